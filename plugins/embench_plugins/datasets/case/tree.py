"""The folders of CASE: which of the release's trees is there, and when each video was on by its metadata."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats import files

PEOPLE = 30
VIDEOS = {1: "amusing", 2: "amusing", 3: "boring", 4: "boring", 5: "relaxed", 6: "relaxed", 7: "scary", 8: "scary"}
"""The emotional videos by their code, with what they are meant to be."""
OTHER_VIDEOS = {10: "startVid", 11: "bluVid", 12: "endVid"}
CODES = {*VIDEOS, *OTHER_VIDEOS}
EXPECTED = "data/interpolated/physiological/sub_1.csv and data/interpolated/annotations/sub_1.csv, for each person"
OBTAIN = "download CASE_full.zip (doi 10.6084/m9.figshare.8869157, open to anybody), unpack it, pass the folder"
AGAIN = "the file is cut short or damaged: unpack it again from CASE_full.zip"

LONGEST_MS = 1_800_000
"""No video is longer than this, whatever a damaged file says."""

_PHYSIOLOGY = re.compile(r"sub_?(\d{1,4})(?:\.csv|_daq\.txt)", re.IGNORECASE)
_ANNOTATIONS = re.compile(r"sub_?(\d{1,4})(?:\.csv|_joystick\.txt)", re.IGNORECASE)


class Tree(NamedTuple):
    """One of the release's trees: its folder, and the files of each subject by number."""

    kind: str  # interpolated | non-interpolated | raw
    folder: Path
    physiology: dict[int, Path]
    annotations: dict[int, Path]
    others: tuple[str, ...] = ()  # kinds that are there too and not read


class Plan(NamedTuple):
    """When one subject's emotional videos were on: (code, first millisecond, millisecond after the last)."""

    videos: tuple[tuple[int, int, int], ...]
    sources: tuple[Path, ...]


def find_tree(root: Path) -> Tree:
    """The tree to be read: interpolated before non-interpolated before raw.

    Raises:
        DataError: there is none, or only pointers of a git checkout, or one of a tree's two folders.
    """
    if not root.is_dir():
        raise files.not_this(root, "CASE", expected=EXPECTED, hint=OBTAIN)
    names = ("physiological", "annotations")
    folders = sorted({path.parent for depth in range(5) for name in names for path in root.glob("*/" * depth + name)})
    trees = [tree for folder in folders if (tree := _tree(folder)).physiology or tree.annotations]
    whole = [tree for tree in trees if tree.physiology and tree.annotations]
    real = sorted((tree for tree in whole if not is_pointer(next(iter(tree.physiology.values())))), key=_rank)
    if real:
        return real[0]._replace(others=tuple(tree.kind for tree in real[1:]))
    if whole:
        what = "the files are pointers of a git checkout without its large files"
        raise DataError(what, where=str(whole[0].folder), expected=EXPECTED, hint=f"git lfs pull, or {OBTAIN}")
    if trees:
        lacking = "annotations" if trees[0].physiology else "physiological"
        what = f"there are no files in {lacking}, only in the folder beside it"
        raise DataError(what, where=str(trees[0].folder / lacking), expected=EXPECTED, hint=OBTAIN)
    if folders:
        what = "the data folders hold no data, as in a checkout of the git repository, which has raw files only"
        raise DataError(what, where=str(folders[0]), expected=EXPECTED, hint=OBTAIN)
    raise files.not_this(root, "CASE", expected=EXPECTED, hint=OBTAIN)


def _tree(folder: Path) -> Tree:
    physiology = _numbered(folder / "physiological", _PHYSIOLOGY)
    annotations = _numbered(folder / "annotations", _ANNOTATIONS)
    if any(path.suffix.lower() == ".txt" for path in (*physiology.values(), *annotations.values())):
        kind = "raw"
    else:
        kind = "non-interpolated" if folder.resolve().name.lower().startswith("non") else "interpolated"
    return Tree(kind, folder, physiology, annotations)


def _numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """The files of a folder that have such names, by the subject's number."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*")):
        if (match := pattern.fullmatch(path.name)) and path.is_file():
            if (number := int(match[1])) in found:
                what = f"two files of person {number}: {found[number].name} and {path.name}"
                raise DataError(what, where=str(folder), expected="one file a person", hint="remove one of the two")
            found[number] = path
    return dict(sorted(found.items()))


def _rank(tree: Tree) -> tuple[int, str]:
    return ("interpolated", "non-interpolated", "raw").index(tree.kind), str(tree.folder)


def is_pointer(path: Path) -> bool:
    """Whether a file only stands for one that git has not fetched."""
    with path.open("rb") as file:
        return file.read(40).startswith(b"version https://git-lfs")


def metadata(tree: Tree, name: str) -> Path | None:
    """A file of the release's metadata folder, which lies beside `data`; None where it is not there."""
    above = tree.folder.resolve().parents
    found = [folder / "metadata" / name for folder in above[:2] if (folder / "metadata" / name).is_file()]
    return found[0] if found else None


def plan(tree: Tree, person: int) -> Plan:
    """When a subject's videos were on, from the release's order and durations of videos, on a grid of milliseconds.

    Counted as the release's own script counts: a video ends at the millisecond that is closest to its duration after
    the end of the one before. So the codes are those of the interpolated tree, to the row.

    Raises:
        DataError: a file is missing or names unknown videos, or the subject is not in it.
    """
    orders, durations = (metadata(tree, name) for name in ("seqs_order.txt", "videos_duration.txt"))
    if orders is None or durations is None:
        raise DataError(
            "raw files do not say which video was on, and there is no metadata/seqs_order.txt and videos_duration.txt",
            where=str(tree.folder), expected="the release's metadata folder beside its data folder", hint=OBTAIN,
        )  # fmt: skip
    header, *lines = _cells(orders)
    columns = {int(match[1]): at for at, name in enumerate(header) if (match := re.search(r"sub_?(\d{1,4})$", name))}
    if person not in columns:
        raise DataError(f"there is no column of person {person}", where=str(orders), expected="a column each: seq_sub1")
    lengths = {line[0].lower(): _duration(line, durations) for line in _cells(durations)[1:]}
    videos, end = [], -1
    for name in [line[columns[person]] for line in lines if len(line) > columns[person] and line[columns[person]]]:
        if name.lower() not in lengths:
            raise DataError(f"no duration of video {name}", where=str(durations), expected=f"all videos of {orders}")
        start, end = end + 1, int(np.ceil(max(end, 0) + lengths[name.lower()] - 0.5))
        if (code := _code(name, orders)) in VIDEOS:
            videos.append((code, start, end + 1))
    if sorted(code for code, _, _ in videos) != sorted(VIDEOS):
        what = f"person {person} has {len(videos)} emotional videos"
        raise DataError(what, where=str(orders), expected="8, each once")
    return Plan(tuple(videos), (orders, durations))


def _cells(path: Path) -> list[list[str]]:
    """A small table with tabs as rows of cells without their quotes; the release has stray tabs at ends of lines."""
    text = path.read_text("utf-8-sig", errors="replace") if path.stat().st_size < 2**20 else ""
    rows = [[cell.strip().strip('"') for cell in line.split("\t")] for line in text.splitlines() if line.strip()]
    if len(rows) < 2:
        raise DataError("this is no table of videos", where=str(path), expected="a header and rows", hint=OBTAIN)
    return rows


def _duration(line: Sequence[str], path: Path) -> float:
    try:
        length = float(line[1])
    except (ValueError, IndexError):
        length = -1.0
    if not 0 < length < LONGEST_MS:
        raise DataError(f"video {line[0]} has no duration", where=str(path), expected="milliseconds", hint=OBTAIN)
    return length


def _code(name: str, path: Path) -> int:
    codes = {f"{kind}-{2 - code % 2}": code for code, kind in VIDEOS.items()}
    codes |= {other.lower(): code for code, other in OTHER_VIDEOS.items()}
    if name.lower() not in codes:
        raise DataError(f"unknown video {name}", where=str(path), expected=", ".join(codes))
    return codes[name.lower()]
