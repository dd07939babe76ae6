"""The files of AMIGOS: preprocessed MATLAB files, clips of faces, OpenFace's tables, and sheets of metadata."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench.interfaces.recording import Label
from embench_plugins.datasets.devices import faces
from embench_plugins.datasets.formats.matlab import read_content, read_variables

# The preprocessed MATLAB files of AMIGOS (`Data_Preprocessed_P01.mat`): one for each subject, four variables of 20
# cells.
#
# Cells 1 to 16 are the short videos, 17 to 20 the long ones. They are not in numeric order, so they are identified by
# their video's name. An empty cell is 0 x 0 (data) or 1 x 0 (labels).

RATE = 128.0
COLUMNS = 17
EEG = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
BASELINE_S = 5.0
SHORT = ("10", "13", "138", "18", "19", "20", "23", "30", "31", "34", "36", "4", "5", "58", "80", "9")
LONG = ("N1", "P1", "B1", "U1")
SEGMENTS = dict(
    zip(SHORT + LONG, (6, 4, 7, 5, 8, 5, 7, 5, 9, 5, 5, 6, 7, 4, 6, 5, 72, 58, 72, 44), strict=True)
)  # fmt: skip
"""Video -> number of its annotated segments, from which the video's length follows to within 20 s."""

SEGMENT_S = 20.0
PEOPLE = 40
NO_LONG = ("P08", "P24", "P28")  # neither long videos nor external annotations
VARIABLES = ("joined_data", "labels_selfassessment", "labels_ext_annotation", "VideoIDs")
HINT = "unpack Data_Preprocessed_P01.zip .. P40.zip of AMIGOS (Data_preprocessed) and pass the folder that holds them"
MOST_BYTES = 400_000_000
"""Largest accepted size of an unpacked file in bytes: over three times that of 20 trials of full length."""

_FILE = re.compile(r"data_preprocessed_p(\d{2})\.mat", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of a subject's file: a video that the subject watched.

    Args:
        data: (samples, 17) real numbers, or None.
        ratings: (n,) the self-assessments, 12 in the release, or None.
        external: (K, 3) of segment, valence, arousal, or None.
    """

    video: str
    data: np.ndarray | None
    ratings: np.ndarray | None
    external: np.ndarray | None

    @property
    def duration_s(self) -> float:
        """Length in s at the files' 128 Hz; 0 if the cell is empty."""
        return 0.0 if self.data is None else len(self.data) / RATE


def limit_length(video: str) -> float:
    """Return the greatest possible length in s of a video with its rest, from the number of its annotated segments."""
    return SEGMENT_S * (SEGMENTS[video] - 1) + BASELINE_S


def list_segments(count: int, duration_s: float) -> np.ndarray:
    """Return the start and stop in s, (count, 2), of the annotated segments of a trial, which begins with 5 s of rest.
    The segments are its first 20 s, blocks of 20 s from the start of the video, and its final 20 s."""
    start = BASELINE_S + SEGMENT_S * (np.arange(count) - 1.0)
    start[:1] = 0.0
    if count > 1:
        start[-1] = duration_s - SEGMENT_S
    return np.clip(np.stack([start, start + SEGMENT_S], axis=1), 0.0, duration_s)


def count_segments(duration_s: float) -> int:
    """Return the number of annotated segments of a trial of this length, which includes its rest."""
    return max(2, math.ceil((duration_s - BASELINE_S) / SEGMENT_S) + 1)


def sample_by_second(annotations: np.ndarray, duration_s: float) -> Label:
    """Return annotations as a label with one value for each second of a trial, at the middle of the second. The value
    is the mean of the segments that contain it, clipped to -1 to 1.

    Args:
        annotations: (K, 2) segment and value.
    """
    rows = annotations[np.argsort(annotations[:, 0], kind="stable")]
    values = np.clip(rows[:, 1], -1.0, 1.0)
    spans = list_segments(len(rows), duration_s)
    times = np.arange(int(duration_s)) + 0.5
    inside = (spans[:, :1] <= times) & (times < spans[:, 1:]) & np.isfinite(values)[:, None]
    count = inside.sum(axis=0)
    total = np.nan_to_num(values, posinf=0, neginf=0) @ inside
    return Label("continuous", np.where(count > 0, total / np.maximum(count, 1), np.nan), times)


def find(root: Path) -> Mapping[str, Path]:
    """Return subject (`P01`) -> the subject's file, anywhere below `root`.

    Raises:
        DataError: there is no such file, or a subject has two.
    """
    if not root.is_dir():
        raise DataError("there is no such folder", where=str(root), expected="a folder of AMIGOS", hint=HINT)
    paths: dict[str, Path] = {}
    for path in sorted(root.rglob("*.[mM][aA][tT]")):
        if not (match := _FILE.fullmatch(path.name)):
            continue
        subject = f"P{match[1]}"
        if subject in paths:
            raise DataError(
                f"two files of subject {subject}",
                where=f"{paths[subject]} and {path}",
                expected="one preprocessed file per subject",
                hint="remove one of the two copies",
            )
        paths[subject] = path
    if not paths:
        raise DataError(
            _describe_content(root), where=str(root), expected="files named Data_Preprocessed_P01.mat", hint=HINT
        )
    return paths


def _describe_content(root: Path) -> str:
    """Return a description of a folder without preprocessed files, for the error message."""
    names = [path.name.lower() for path in root.rglob("*")]
    if any(re.fullmatch(r"data_preprocessed_p\d{2}.*\.zip", name) for name in names):
        return "the zip files of AMIGOS are not unpacked: unzip 'Data_Preprocessed_P*.zip' -d Data_preprocessed"
    if any(re.fullmatch(r"data_original_p\d{2}.*", name) for name in names):
        return "only the raw recordings of AMIGOS are here (Data_original); the preprocessed ones are read"
    if any(name.endswith(".npz") for name in names):
        return "these are .npz exports that somebody made; only the released .mat files are read"
    return "no AMIGOS file is here" + (f", but {', '.join(sorted(names)[:5])}" if names else ": the folder is empty")


def read(path: Path) -> tuple[list[Trial], bool]:
    """Return the trials in one subject's file, and True if its checksums are right. Raises DataError if damaged."""
    expected = f"a MATLAB file with the variables {', '.join(VARIABLES)}, 1 x 20 cells each"
    again = "the file is truncated or damaged: unpack it again from its zip"
    try:
        content, sound = read_variables(read_content(path, MOST_BYTES), VARIABLES, MOST_BYTES)
    except Exception as error:  # scipy's parser raises all kinds of exceptions for damaged bytes
        reason = str(error) or type(error).__name__
        raise DataError(f"not readable: {reason}", where=str(path), expected=expected, hint=again) from error
    if missing := [name for name in VARIABLES if name != "labels_ext_annotation" and name not in content]:
        raise DataError(f"the file lacks {', '.join(missing)}", where=str(path), expected=expected, hint=again)
    cells = {name: np.ravel(content[name]) for name in VARIABLES if name in content}
    videos, data, ratings = cells["VideoIDs"], cells["joined_data"], cells["labels_selfassessment"]
    external = cells.get("labels_ext_annotation", np.full(len(videos), None))
    plain_arrays = any(column.dtype != object for column in (videos, data, ratings, external))
    if plain_arrays or not len(videos) == len(data) == len(ratings) == len(external) >= len(SHORT):
        what = f"{len(videos)} videos, {len(data)} data, {len(ratings)} and {len(external)} label cells"
        raise DataError(what, where=str(path), expected=expected)
    trials = [
        Trial(_name(video), _read_samples(samples, path), _read_ratings(rating, path), _read_external(annotation, path))
        for video, samples, rating, annotation in zip(videos, data, ratings, external, strict=True)
    ]
    named = [trial.video for trial in trials if trial.video]
    if len(set(named)) < len(named):
        raise DataError("a video comes twice", where=str(path), expected="20 different VideoIDs")
    return trials, sound


def _name(cell: object) -> str:
    """Return a video's name as text. Some copies store it as a number or with quotes."""
    content = np.ravel(np.asarray(cell))[:1]
    while content.dtype == object and content.size:
        content = np.ravel(np.asarray(content[0]))[:1]
    if not content.size:
        return ""
    return f"{content[0]:g}" if content.dtype.kind in "iuf" else str(content[0]).strip(" '\"")


def _read_samples(cell: Any, path: Path) -> np.ndarray | None:
    """Return a data cell as (samples, 17); None if it is empty. A cell of (17, samples) is transposed."""
    numbers = _read_numbers(cell)
    if np.size(cell) == 0:
        return None
    if numbers is not None and numbers.ndim == 2 and numbers.shape[0] == COLUMNS != numbers.shape[1]:
        numbers = numbers.T
    if numbers is None or numbers.ndim != 2 or numbers.shape[1] != COLUMNS:
        what = f"a data cell of {_name_kind(cell)}"
        raise DataError(what, where=str(path), expected="time x 17 numbers: 14 EEG, 2 ECG, 1 EDA")
    return numbers


def _read_ratings(cell: Any, path: Path) -> np.ndarray | None:
    numbers = _read_numbers(cell)
    if np.size(cell) == 0:
        return None
    if numbers is None:
        raise DataError(f"self-assessments of {_name_kind(cell)}", where=str(path), expected="1 x 12 numbers a cell")
    return np.ravel(numbers)


def _read_external(cell: Any, path: Path) -> np.ndarray | None:
    numbers = _read_numbers(cell)
    if cell is None or np.size(cell) == 0:
        return None
    if numbers is None or numbers.ndim != 2 or numbers.shape[1] != 3:
        what = f"external annotations of {_name_kind(cell)}"
        raise DataError(what, where=str(path), expected="K x 3 numbers: segment, valence, arousal")
    return numbers


def _read_numbers(cell: object) -> np.ndarray | None:
    """Return a cell if it is an array of real numbers, else None."""
    return cell if isinstance(cell, np.ndarray) and cell.dtype.kind in "fiub" else None


def _name_kind(cell: object) -> str:
    content = np.asarray(cell)
    return f"{content.dtype.name if content.dtype.names is None else 'struct'} {'x'.join(map(str, content.shape))}"


# Clips of faces, OpenFace's tables of them, and two of the sheets of metadata.
#
# Sheets are read if `openpyxl` is installed (extra `corpora`). Their layout is not documented, so content is used only
# if it is unambiguous: an order of videos that names all of them, annotators in columns of their name.

SUFFIXES = (".mov", ".mp4", ".avi", ".mkv", ".m4v")
CLIP_TOLERANCE_S = 1.5
"""A clip starts with the signals if their lengths differ by at most this; those of video 20 are 1 s short."""
ANNOTATORS = 3
ORDER_SHEET, ANNOTATION_SHEET = "Experiment_Data.xlsx", "External_Annotations.xlsx"
_CLIP = re.compile(r"p0*([1-9]\d?)_([a-z]?\d+)(?:_.*)?", re.IGNORECASE)
_MOST_ROWS = 50_000  # the longest sheet of the release has 12,580
_MOST_BYTES = 200_000_000


def find_clips(root: Path) -> tuple[Mapping[tuple[str, str], Path], list[Path]]:
    """Return (subject, video) (`P01`, `4`) -> clip of the face, and the video files whose names do not state both.

    The release's `Exp1_P01_face/P1_4_face.mov` is subject 1, video 4. Folders may be nested, and numbers padded with
    zeros. Names of the long videos' clips are not documented: `P1_N1_face.mov` is assumed to be subject 1, video N1. If
    a trial has two clips, the first by path is used.
    """
    return _sort_by_trial(sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES))


def find_tables(root: Path) -> Mapping[tuple[str, str], Path]:
    """Return (subject, video) -> table of the face: files named as the clips (`P1_4_face.csv`), in any folder."""
    return _sort_by_trial(faces.find_tables(root))[0]


def align_clip(clip_s: float, duration_s: float) -> tuple[float, float]:
    """Return the times, in seconds of the clip, at which a recording of length `duration_s` begins and ends.

    A clip starts with the signals, including the 5 s of rest. If the clip is shorter by just this rest, it starts with
    the video, so the recording begins at -5.
    """
    start = -BASELINE_S if abs(duration_s - BASELINE_S - clip_s) <= CLIP_TOLERANCE_S else 0.0
    return start, start + duration_s


def _sort_by_trial(paths: list[Path]) -> tuple[Mapping[tuple[str, str], Path], list[Path]]:
    """Return (subject, video) -> the first such file, and the files whose names do not state both."""
    known: dict[tuple[str, str], Path] = {}
    unknown = []
    for path in paths:
        if path.name.startswith("._"):  # a file of macOS's own
            continue
        match = _CLIP.fullmatch(path.stem)
        video = match[2].upper().lstrip("0") if match else ""
        if match and video in SHORT + LONG:
            known.setdefault((f"P{int(match[1]):02d}", video), path)
        else:
            unknown.append(path)
    return known, unknown


def read_sheet(root: Path, name: str, *, readable: bool = True) -> Path | None:
    """Return the path of a sheet of metadata below `root`; None if it is missing or `openpyxl` is not installed. With
    `readable` False, return a sheet only if it exists and `openpyxl` is missing."""
    if (find_spec("openpyxl") is not None) != readable:
        return None
    return next((path for path in sorted(root.rglob("*.xlsx")) if path.name.lower() == name.lower()), None)


def read_orders(path: Path) -> dict[tuple[str, str], int]:
    """Return (subject, video) -> position of the video in the subject's session, from 0.

    A row of the sheets `Short_Videos_Order` and `Long_Videos_Order` counts if its `Video_Number` columns name all
    videos of the session, without repeats. All subjects of a row (`7,1,2,16`) have its order.

    Raises:
        DataError: the file is not a readable sheet.
    """
    found: dict[tuple[str, str], int] = {}
    for name, rows in _find_tables(path, ("userid", "video_number")):
        videos = LONG if "long" in name.lower() else SHORT
        for row in rows:
            order = dict.fromkeys(
                _parse_text(cell).upper() for column, cell in row if column.startswith(("video_number", "videoid"))
            )
            seen = [video for video in order if video in videos]
            if len(seen) == len(videos):
                people = next(_parse_text(cell) for column, cell in row if column.startswith("userid"))
                for person in re.findall(r"\d+", people):
                    found |= {(f"P{int(person):02d}", video): place for place, video in enumerate(seen)}
    return found


def read_annotators(path: Path) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Return (subject, video) (`P01`, `4`) -> annotator (`arousal_annotator1`) -> (K, 2) segment and value. The value
    is NaN where a cell is empty.

    Raises:
        DataError: the file is not a readable sheet of annotations.
    """
    columns = {
        f"{scale}_annotator_{number}": f"{scale}_annotator{number}"
        for scale in ("arousal", "valence")
        for number in range(1, ANNOTATORS + 1)
    }
    found: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for _, rows in _find_tables(path, ("userid", "videoid", "segment_index", *columns)):
        for row in rows:
            cells = dict(row)
            person, segment = _parse_number(cells["userid"]), _parse_number(cells["segment_index"])
            if not (np.isfinite(person) and np.isfinite(segment)):
                continue
            by_label = found.setdefault((f"P{int(person):02d}", _parse_text(cells["videoid"]).upper()), {})
            for column, label in columns.items():
                by_label.setdefault(label, []).append((segment, _parse_number(cells[column])))
    if not found:
        what, expected = "the sheet has no annotations", f"columns UserID, VideoID, Segment_Index, {list(columns)}"
        raise DataError(what, where=str(path), expected=expected, hint="copy the sheet again, or take it away")
    return {key: {label: np.array(rows) for label, rows in by_label.items()} for key, by_label in found.items()}


_Rows = Iterator[list[tuple[str, object]]]


def _find_tables(path: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, _Rows]]:
    """Yield the name and rows of each sheet whose header row has, for each of `wanted`, a column that begins with it. A
    row is a list of (column's name in lower case, cell)."""
    import openpyxl

    try:
        with zipfile.ZipFile(path) as packed:
            if sum(member.file_size for member in packed.infolist()) > _MOST_BYTES:
                raise ValueError("it unpacks to more than any sheet of the release")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        for page in book.worksheets:
            page.reset_dimensions()  # they may be wrong in a damaged file
            rows = islice(page.iter_rows(values_only=True), _MOST_ROWS)
            for row in islice(rows, 20):
                header = [str(cell).strip().lower() if cell is not None else "" for cell in row]
                if all(any(name.startswith(start) for name in header) for start in wanted):
                    yield page.title, (list(zip_longest(header, row[: len(header)])) for row in rows)
                    break
        book.close()
    except Exception as error:  # openpyxl raises all kinds of exceptions for a damaged sheet
        raise DataError(f"not readable as a sheet: {error}", where=str(path), expected="an .xlsx file") from error


def _parse_text(cell: object) -> str:
    """Return a cell as text: the number 10, the number 10.0 and the text `'10'` with apostrophes all give `10`."""
    return f"{cell:g}" if isinstance(cell, (int, float)) else str(cell if cell is not None else "").strip(" '\"")


def _parse_number(cell: object) -> float:
    try:
        return float(_parse_text(cell))
    except ValueError:
        return float("nan")
