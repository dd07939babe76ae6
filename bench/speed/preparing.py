"""From files to prepared data, beside torcheeg on the same files, and beside reading and hashing them."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from scipy.io import loadmat

from bench.speed import data
from bench.speed.measure import Row, Setting, Took, Way, faster, part, share, timed, turns
from bench.speed.peer import NAME, Peer, took
from embench.interfaces.dataset import Dataset
from embench.store import Store, open_store, prepare

WINDOW = 1280
"""Samples of the peer's windows: 10 s. A store of ours has whole recordings, of which any window is cut."""


WORKERS = 2
"""Of rows that say so; the others are one process against one."""


def made(dataset: Dataset, cache: Path, workers: int = 1) -> Store:
    return prepare(dataset, f"bench/{dataset.card.name}", "1", rate_hz=data.RATE, cache=cache, workers=workers)


def read_and_hashed(files: Iterable[Path], load: Callable[[Path], object]) -> None:
    for path in files:
        hashlib.sha256(path.read_bytes()).digest()
        load(path)


def unpickled(path: Path) -> object:
    return pickle.loads(path.read_bytes(), encoding="latin1")  # noqa: S301  # generated here


def on_disk(folder: Path) -> float:
    """MB that the files below a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 2**20


class Cache:
    """A new folder for every turn; what an earlier turn left is removed before the clock starts."""

    def __init__(self, root: Path) -> None:
        self.root, self.numbers, self.last = root, itertools.count(), root

    def next(self) -> Path:
        shutil.rmtree(self.last, ignore_errors=True)
        self.last = self.root / str(next(self.numbers))
        self.last.parent.mkdir(parents=True, exist_ok=True)
        return self.last


def preparing(dataset: Dataset, cache: Cache, workers: int = 1) -> Way:
    def way() -> Took:
        folder = cache.next()
        return timed(lambda: made(dataset, folder, workers))()

    return way


def compared(
    name: str, root: Path, load: Callable[[Path], object], setting: Setting, peer: Peer
) -> tuple[dict[str, list[Took]], dict[str, float]]:
    """Turns of EEG alone, of all modalities, of the peer, of the last two with more processes, and of reading; MB on
    disk of the first three."""
    ours = {"eeg": data.reader(name, root, "eeg"), "all": data.reader(name, root)}
    caches = {key: Cache(setting.work / f"{name}-{key}") for key in (*ours, "all side by side", "peer")}
    files, sizes = data.signal_files(name, root), dict[str, float]()
    read_and_hashed(files, load)  # the files are in memory for all

    def theirs(workers: int = 0) -> Took:
        where = {"folder": data.flat(name, root), "cache": caches["peer"].next()}
        found = peer.ask("prepare", kind=name, window=WINDOW, workers=workers, **where)
        sizes["peer"] = found["mb"]
        return took(found)

    ways = {
        **{key: preparing(dataset, caches[key]) for key, dataset in ours.items()},
        **peer.ways("peer", theirs),
        "all side by side": preparing(ours["all"], caches["all side by side"], WORKERS),
        **peer.ways("peer side by side", lambda: theirs(WORKERS)),
        "read": timed(lambda: read_and_hashed(files, load)),
    }
    for way in ways.values():  # imports, and the first pages
        way()
    times = turns(ways, setting.size(7, 2))
    sizes |= {key: on_disk(caches[key].last) for key in ours}
    return {"peer": [], "peer side by side": [], **times}, sizes


def rows(setting: Setting) -> list[Row]:
    with Peer(setting.peer) as peer:
        return [*_deap(setting, peer), *_amigos(setting, peer)]


def side_by_side(name: str, times: Mapping[str, list[Took]], least: float, told: Mapping[str, str]) -> Row:
    what, against = f"{name}, all modalities, {WORKERS} processes", f"{NAME}, EEG, {WORKERS} processes"
    return faster(what, times["all side by side"], times["peer side by side"], against, least=least, **told)


def _deap(setting: Setting, peer: Peer) -> list[Row]:
    root = data.deap(setting)
    times, sizes = compared("deap", root, unpickled, setting, peer)
    size = sum(path.stat().st_size for path in data.signal_files("deap", root)) / 1e6
    cache = setting.work / "deap-eeg"
    (store,) = cache.glob("*/store/*")

    def theirs() -> Took:
        where = {"folder": data.flat("deap", root), "cache": next((setting.work / "deap-peer").iterdir())}
        return took(peer.ask("reopen", kind="deap", window=WINDOW, **where))

    opened = turns({"ours": timed(lambda: open_store(store, root)), **peer.ways("peer", theirs)}, setting.size(11, 2))
    cached, eeg, told = sizes.get("peer"), f"{NAME}, EEG", {"note": peer.missing}
    what, windows, size_of = f"DEAP, EEG alone, 2 files of {size / 2:.0f} MB", f"{NAME}, 10 s windows", "of its size"
    milli = {"scale": 1e3, "unit": "ms"}
    return [
        faster(what, times["eeg"], times["peer"], NAME, least=2, **told),
        share("the same", times["eeg"], times["read"], "reading and hashing the files", most=1.8),
        faster("DEAP, all seven modalities", times["all"], times["peer"], eeg, least=1, **told),
        share("the same", times["all"], times["read"], "reading and hashing the files"),
        side_by_side("DEAP", times, 1, told),
        part("DEAP, store of EEG", sizes["eeg"], cached, "MB", windows, size_of, "<= 0.55", **told),
        part("DEAP, store of all seven", sizes["all"], cached, "MB", eeg, size_of, **told),
        faster("DEAP, opening what is prepared", opened["ours"], opened.get("peer", []), NAME, **milli, **told),
    ]


def _amigos(setting: Setting, peer: Peer) -> list[Row]:
    root = data.amigos(setting, setting.size(4, 2), setting.size(None, 20.0))
    times, sizes = compared("amigos", root, loadmat, setting, peer)
    cached, eeg, told = sizes.get("peer"), f"{NAME}, EEG", {"note": peer.missing}
    return [
        faster("AMIGOS, EEG alone", times["eeg"], times["peer"], NAME, **told),
        faster("AMIGOS, all three modalities", times["all"], times["peer"], eeg, least=1.25, **told),
        share("the same", times["all"], times["read"], "reading and hashing the files"),
        side_by_side("AMIGOS", times, 1.25, told),
        part("AMIGOS, store of all three", sizes["all"], cached, "MB", eeg, "of its size", **told),
    ]
