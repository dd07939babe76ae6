"""What lies beside the signals of AMIGOS: clips of faces, tables of these, and two of the sheets of metadata.

Sheets are read where `openpyxl` is installed (extra `corpora`). What could not be settled from the sources is only
taken where it proves itself: an order of videos that is a permutation of all of them, annotators in columns of their
name.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.amigos.files import BASELINE_S, LONG, SHORT
from embench_plugins.datasets.devices import faces

SUFFIXES = (".mov", ".mp4", ".avi", ".mkv", ".m4v")
CLIP_TOLERANCE_S = 1.5
"""A clip that is so much shorter or longer than the signals still starts with them: those of video 20 are 1 s short."""
ANNOTATORS = 3
ORDER_SHEET, ANNOTATION_SHEET = "Experiment_Data.xlsx", "External_Annotations.xlsx"
_CLIP = re.compile(r"p0*([1-9]\d?)_([a-z]?\d+)(?:_.*)?", re.IGNORECASE)
_MOST_ROWS = 50_000  # the longest sheet of the release has 12,580
_MOST_BYTES = 200_000_000


def clips(root: Path) -> tuple[Mapping[tuple[str, str], Path], list[Path]]:
    """Face clips by subject and video (`P01`, `4`), and video files whose name tells neither.

    The release's `Exp1_P01_face/P1_4_face.mov` is subject 1, video 4; folders may be nested, ids padded. Of the long
    videos' clips the names are not documented: `P1_N1_face.mov` and the like are taken for subject 1, video N1. Of two
    clips of one trial the first in order of path is taken.
    """
    return _by_trial(sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES))


def tables(root: Path) -> Mapping[tuple[str, str], Path]:
    """Tables of faces by subject and video: files named as the clips are (`P1_4_face.csv`), anywhere."""
    return _by_trial(faces.tables(root))[0]


def clip_span(clip_s: float, duration_s: float) -> tuple[float, float]:
    """Where, in seconds of a clip that lasts `clip_s`, a recording of `duration_s` begins and ends.

    A clip starts with the signals, the 5 s of rest included, unless just this rest is missing: then the recording
    starts 5 s before the clip (-5), so that the two stay aligned.
    """
    start = -BASELINE_S if abs(duration_s - BASELINE_S - clip_s) <= CLIP_TOLERANCE_S else 0.0
    return start, start + duration_s


def _by_trial(paths: list[Path]) -> tuple[Mapping[tuple[str, str], Path], list[Path]]:
    known: dict[tuple[str, str], Path] = {}
    unknown = []
    for path in paths:
        if path.name.startswith("._"):  # what macOS leaves beside a file
            continue
        match = _CLIP.fullmatch(path.stem)
        video = match[2].upper().lstrip("0") if match else ""
        if match and video in SHORT + LONG:
            known.setdefault((f"P{int(match[1]):02d}", video), path)
        else:
            unknown.append(path)
    return known, unknown


def sheet(root: Path, name: str, *, readable: bool = True) -> Path | None:
    """A sheet of metadata below `root`; None where it is not there, or nothing is installed that reads it. With
    `readable` False it is the other way round: one that is there and not read."""
    if (find_spec("openpyxl") is not None) != readable:
        return None
    return next((path for path in sorted(root.rglob("*.xlsx")) if path.name.lower() == name.lower()), None)


def orders(path: Path) -> dict[tuple[str, str], int]:
    """Position from 0 of each video in a subject's session, by subject and video.

    Rows of the sheets `Short_Videos_Order` and `Long_Videos_Order` count where their `Video_Number` columns, repeats
    left out, name all videos of the session; all subjects of a row (`7,1,2,16`) share its order.

    Raises:
        DataError: it is no readable sheet.
    """
    found: dict[tuple[str, str], int] = {}
    for name, rows in _tables(path, ("userid", "video_number")):
        videos = LONG if "long" in name.lower() else SHORT
        for row in rows:
            order = dict.fromkeys(
                _text(cell).upper() for column, cell in row if column.startswith(("video_number", "videoid"))
            )
            seen = [video for video in order if video in videos]
            if len(seen) == len(videos):
                people = next(_text(cell) for column, cell in row if column.startswith("userid"))
                for person in re.findall(r"\d+", people):
                    found |= {(f"P{int(person):02d}", video): place for place, video in enumerate(seen)}
    return found


def annotators(path: Path) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """What each annotator gave the segments of a trial: (`P01`, `4`) -> `arousal_annotator1` .. -> (K, 2) of segment
    and value as it stands, NaN where a cell is empty.

    Raises:
        DataError: it is no readable sheet of annotations.
    """
    columns = {
        f"{scale}_annotator_{number}": f"{scale}_annotator{number}"
        for scale in ("arousal", "valence")
        for number in range(1, ANNOTATORS + 1)
    }
    found: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for _, rows in _tables(path, ("userid", "videoid", "segment_index", *columns)):
        for row in rows:
            cells = dict(row)
            person, segment = _number(cells["userid"]), _number(cells["segment_index"])
            if not (np.isfinite(person) and np.isfinite(segment)):
                continue
            own = found.setdefault((f"P{int(person):02d}", _text(cells["videoid"]).upper()), {})
            for column, label in columns.items():
                own.setdefault(label, []).append((segment, _number(cells[column])))
    if not found:
        what = "it holds no annotation"
        raise DataError(what, where=str(path), expected=f"columns UserID, VideoID, Segment_Index, {list(columns)}")
    return {key: {label: np.array(rows) for label, rows in own.items()} for key, own in found.items()}


_Rows = Iterator[list[tuple[str, object]]]


def _tables(path: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, _Rows]]:
    """The sheets of a workbook that have a row of headers with all `wanted` beginnings: the sheet's name, and the rows
    below as pairs of header (lower case) and cell."""
    import openpyxl

    try:
        with zipfile.ZipFile(path) as packed:
            if sum(member.file_size for member in packed.infolist()) > _MOST_BYTES:
                raise ValueError("it unpacks to more than any sheet of the release")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        for page in book.worksheets:
            page.reset_dimensions()  # which a damaged file may have wrong
            rows = islice(page.iter_rows(values_only=True), _MOST_ROWS)
            for row in islice(rows, 20):
                header = [str(cell).strip().lower() if cell is not None else "" for cell in row]
                if all(any(name.startswith(start) for name in header) for start in wanted):
                    yield page.title, (list(zip_longest(header, row[: len(header)])) for row in rows)
                    break
        book.close()
    except Exception as error:  # whatever a damaged sheet makes openpyxl stumble over
        raise DataError(f"not readable as a sheet: {error}", where=str(path), expected="an .xlsx file") from error


def _text(cell: object) -> str:
    """A cell as text: `'10'` with its apostrophes, 10 and 10.0 are the same."""
    return f"{cell:g}" if isinstance(cell, (int, float)) else str(cell if cell is not None else "").strip(" '\"")


def _number(cell: object) -> float:
    try:
        return float(_text(cell))
    except ValueError:
        return float("nan")
