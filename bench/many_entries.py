"""Times a board of thousands of entries: its display, its site, and its growth.

    python -m bench.many_entries [--entries 5000] [--new 60] [--ranked]

The entries are those of Stress-Predict under its present protocol, under other ids, in a temporary folder. Files that
don't hold the id are links to one copy. Audits, which hold it, are left out. What `build` found right of the old
entries is noted in the cache, as if they had been verified before.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import tempfile
from itertools import cycle, islice
from pathlib import Path

from bench import ROOT
from bench.speed.measure import Took, embench
from embench.files import digest
from embench.leaderboard import verify
from embench.leaderboard.entries import Attestation, hash_entry, list_entry_folders, write_attestation
from embench.records.record import read_manifest

BOARD = ROOT / "leaderboards" / "stress_predict"
PROTOCOL = "subject-independent-v4"


def make_copies(root: Path, count: int, first: int = 0) -> list[Path]:
    """Adds `count` entries to the board below `root`, numbered from `first`, and returns their folders."""
    kept = root.parent / "originals"
    if not kept.is_dir():
        shutil.copytree(BOARD, kept)
    if not root.is_dir():
        shutil.copytree(BOARD / "shared", root / BOARD.name / "shared")
    made = []
    originals = sorted(path.parent for path in (kept / PROTOCOL).glob("*/run.yaml"))
    for number, entry in enumerate(islice(cycle(originals), count), first):
        place = root / BOARD.name / PROTOCOL / f"{entry.name.rpartition('-')[0]}-{number:010x}"
        place.mkdir(parents=True)
        for name in ("predictions.npz", "scores.json", "summands.json"):
            os.link(entry / name, place / name)
        text = (entry / "run.yaml").read_text()
        (place / "run.yaml").write_text(text.replace(f"id: {entry.name}", f"id: {place.name}", 1))
        made.append(place)
    return made


def attest_all(folders: list[Path]) -> None:
    """Attests that the entries were reproduced, so that they are ranked."""
    for folder in folders:
        run = read_manifest(folder)
        stated = {"protocol": run.protocol.name, "entry": run.id, "digest": hash_entry(folder, run), "versions": {}}
        write_attestation(folder, run, Attestation(level="reproduced", by="bench", on=dt.date(2026, 11, 27), **stated))


def note_as_verified(folders: list[Path]) -> None:
    """Notes in the cache that these entries were found right."""
    verifier = verify._compute_verifier_digest()  # noqa: SLF001  as `verify_entries` notes it
    for folder in folders:
        mark = verify.cache_root() / "verified" / digest([hash_entry(folder, read_manifest(folder)), verifier])
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def tell(what: str, took: Took) -> None:
    print(f"{what:45} {took.seconds:7.1f} s, of the CPU {took.processor:6.1f} s {took.memory:7.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.many_entries", description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--new", type=int, default=60)
    parser.add_argument("--ranked", action="store_true", help="attest the entries, so that they are ranked")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        many, few = Path(folder, "many"), Path(folder, "few")
        os.environ["EMBENCH_CACHE"], os.environ["OMP_NUM_THREADS"] = str(Path(folder, "cache")), "1"
        show = embench("leaderboard", "show", "--format", "csv", "--leaderboards", many)
        made = make_copies(many, asked.entries)
        if asked.ranked:
            attest_all(made)
        tell(f"show of {asked.entries} entries, nothing kept", show())
        for _ in range(3):
            tell("the same again", show())
        for _ in range(2):
            tell("site", embench("leaderboard", "site", "--leaderboards", many, "--out", Path(folder, "site"))())
        note_as_verified(list_entry_folders(many))
        tell("build, nothing new", embench("leaderboard", "build", "--leaderboards", many)())
        for place in (few, many):
            make_copies(place, asked.new, first=asked.entries)
        tell(f"build of {asked.new} entries alone", embench("leaderboard", "build", "--leaderboards", few)())
        for mark in verify.cache_root().glob("verified/*"):
            mark.unlink()
        note_as_verified(made)
        tell(f"build of {asked.new} beside {asked.entries}", embench("leaderboard", "build", "--leaderboards", many)())
        tell(f"show after {asked.new} were added", show())


if __name__ == "__main__":
    main()
