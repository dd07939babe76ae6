"""From files to prepared data, beside torcheeg on the same files, and beside reading and hashing them."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from scipy.io import loadmat

from bench.speed import data
from bench.speed.measure import MILLI, Row, Setting, Took, Way, faster, part, share, timed, turns
from bench.speed.peer import NAME, Peer
from embench.interfaces.dataset import Dataset
from embench.store import open_store, prepare

WINDOW = 1280
"""Samples of the peer's windows: 10 s. A store of ours has whole recordings, of which any window is cut."""

WORKERS = 2
"""Number of processes of rows that say so; the others are one process against one."""


def read_and_hashed(files: Iterable[Path], load: Callable[[Path], object]) -> None:
    for path in files:
        hashlib.sha256(path.read_bytes()).digest()
        load(path)


def unpickled(path: Path) -> object:
    return pickle.loads(path.read_bytes(), encoding="latin1")  # noqa: S301  # generated here


def on_disk(folder: Path) -> float:
    """MB that the files below a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 2**20


def compared(
    name: str, root: Path, load: Callable[[Path], object], setting: Setting, peer: Peer
) -> tuple[dict[str, list[Took]], dict[str, Path]]:
    """Turns of EEG alone, of all modalities, of the peer, of the last two with more processes, and of reading; and the
    folder that the last turn of each has filled."""
    files, last = data.signal_files(name, root), dict[str, Path]()
    read_and_hashed(files, load)  # the files are in memory for all

    def fresh(key: str) -> Path:
        """A new folder for every turn; the last one is removed before the clock starts."""
        if key in last:
            shutil.rmtree(last[key])
        last[key] = setting.new("cache")
        return last[key]

    def ours(key: str, dataset: Dataset, workers: int = 1) -> Way:
        about = (dataset, f"bench/{dataset.card.name}", "1")

        def way() -> Took:
            cache = fresh(key)
            return timed(lambda: prepare(*about, rate_hz=data.RATE, cache=cache, workers=workers))()

        return way

    def theirs(key: str, workers: int = 0) -> Way | None:
        where = {"kind": name, "folder": data.flat(name, root), "window": WINDOW, "workers": workers}
        return peer.way("prepare", lambda: {**where, "cache": fresh(key)})

    every = data.reader(name, root)
    ways = {
        "eeg": ours("eeg", data.reader(name, root, "eeg")),
        "all": ours("all", every),
        "peer": theirs("peer"),
        "all side by side": ours("all side by side", every, WORKERS),
        "peer side by side": theirs("peer side by side", WORKERS),
        "read": timed(lambda: read_and_hashed(files, load)),
    }
    return turns(ways, setting.size(7, 2), warm=True), last


def rows(setting: Setting) -> list[Row]:
    with Peer(setting.peer) as peer:
        return [*_deap(setting, peer), *_amigos(setting, peer)]


def side_by_side(name: str, times: Mapping[str, list[Took]], least: float, told: Mapping[str, str]) -> Row:
    what, against = f"{name}, all modalities, {WORKERS} processes", f"{NAME}, EEG, {WORKERS} processes"
    return faster(what, times["all side by side"], times["peer side by side"], against, least=least, **told)


def _deap(setting: Setting, peer: Peer) -> list[Row]:
    root = data.deap(setting)
    times, made = compared("deap", root, unpickled, setting, peer)
    size = sum(path.stat().st_size for path in data.signal_files("deap", root)) / 1e6
    (store,) = made["eeg"].glob("store/*")
    where = {"kind": "deap", "folder": data.flat("deap", root), "window": WINDOW}
    theirs = peer.way("reopen", lambda: {**where, "cache": made["peer"]})
    opened = turns({"ours": timed(lambda: open_store(store, root)), "peer": theirs}, setting.size(11, 2))
    sizes, told = {key: on_disk(folder) for key, folder in made.items()}, {"note": peer.missing}
    cached, eeg = sizes.get("peer"), f"{NAME}, EEG"
    what, windows, size_of = f"DEAP, EEG alone, 2 files of {size / 2:.0f} MB", f"{NAME}, 10 s windows", "of its size"
    return [
        faster(what, times["eeg"], times["peer"], NAME, least=2, **told),
        share("the same", times["eeg"], times["read"], "reading and hashing the files", most=1.8),
        faster("DEAP, all seven modalities", times["all"], times["peer"], eeg, least=1, **told),
        share("the same", times["all"], times["read"], "reading and hashing the files"),
        side_by_side("DEAP", times, 1, told),
        part("DEAP, store of EEG", sizes["eeg"], cached, "MB", windows, size_of, "<= 0.55", **told),
        part("DEAP, store of all seven", sizes["all"], cached, "MB", eeg, size_of, **told),
        faster("DEAP, opening what is prepared", opened["ours"], opened["peer"], NAME, **MILLI, **told),
    ]


def _amigos(setting: Setting, peer: Peer) -> list[Row]:
    root = data.amigos(setting, setting.size(4, 2), setting.size(None, 20.0))
    times, made = compared("amigos", root, loadmat, setting, peer)
    cached = on_disk(made["peer"]) if "peer" in made else None
    eeg, told = f"{NAME}, EEG", {"note": peer.missing}
    return [
        faster("AMIGOS, EEG alone", times["eeg"], times["peer"], NAME, **told),
        faster("AMIGOS, all three modalities", times["all"], times["peer"], eeg, least=1.25, **told),
        share("the same", times["all"], times["read"], "reading and hashing the files"),
        side_by_side("AMIGOS", times, 1.25, told),
        part("AMIGOS, store of all three", on_disk(made["all"]), cached, "MB", eeg, "of its size", **told),
    ]
