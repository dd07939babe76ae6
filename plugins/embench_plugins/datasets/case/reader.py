"""CASE (Sharma et al. 2019): 30 subjects watch eight film clips and rate their feelings continuously with a joystick.

Reads the first of these folders that exists, at 1000 Hz:
- `data/interpolated`: resampled by the authors to a regular grid.
- `data/non-interpolated`: at the logger's times, interpolated here as the authors do.
- `data/raw`: volts and seconds, converted and given video codes here as the release's scripts do.
A recording is one clip. Start and end videos, and the blue screens between clips, are excluded.

Signals and joystick share one clock. The codes in the joystick files are not used: they are rounded to 50 ms, so they
may be a few samples off.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.interfaces.dataset import Card, Dataset, Download, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.case import tables
from embench_plugins.datasets.case.tables import (
    AXES,
    OBTAIN,
    PEOPLE,
    REST,
    VIDEOS,
    Tree,
    find_tree,
    plan,
    read_metadata,
)
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.ratings import make_binary_targets, make_scale_targets

RATE = 1000.0
TYPES = ("amusing", "boring", "relaxed", "scary")
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_COLUMNS = {"ecg": ("ecg",), "ppg": ("bvp",), "eda": ("gsr",), "resp": ("rsp",), "temp": ("skt",),
            "emg": ("emg_zygo", "emg_coru", "emg_trap")}  # fmt: skip


class Case(Dataset):
    """Reader of CASE. A recording is a clip, such as `sub_1_V3`, whose stimulus is the clip's code. A channel without
    values is NaN in its modality; a modality without values is absent."""

    card = Card(
        name="case",
        title="CASE, Continuously Annotated Signals of Emotion",
        citation="Sharma et al., A dataset of continuous affect annotations and physiological signals for emotion "
        "analysis, Scientific Data 6:196, 2019",
        doi="10.1038/s41597-019-0209-0",
        licence="open download; said to be CC0 1.0, see its page",
        obtain=OBTAIN,
        modalities={
            "ecg": ModalityCard(("ecg",), RATE, "mV"),
            "ppg": ModalityCard(("bvp",), RATE, "%"),
            "eda": ModalityCard(("eda",), RATE, "uS"),
            "resp": ModalityCard(("resp",), RATE, "%"),
            "temp": ModalityCard(("temp",), RATE, "degC"),
            "emg": ModalityCard(("zygo", "coru", "trap"), RATE, "uV"),
        },
        default_modalities=("ecg", "ppg", "eda", "resp", "temp", "emg"),
        targets=(
            # In the release's files a window's mean equals the cut only if the joystick rested throughout: such a
            # window has no label.
            *make_binary_targets(("arousal", "valence"), LabelRule("mean", cut=REST, ties="drop"), (0.5, 9.5)),
            *make_scale_targets(("arousal", "valence"), LabelRule("mean"), (0.5, 9.5)),
            Target("video_type", "classes", LabelRule("value"), label="video_type", n=len(TYPES)),
        ),
        mains_hz=50.0,
        longest_s=200.0,  # the longest clip is about 197 s
        labels_public="unknown",
        fixed_order=False,
        default_targets=("arousal", "valence"),
        downloads=(
            Download(
                "https://springernature.figshare.com/ndownloader/files/16260497",
                "CASE_full.zip",
                "03818aa2e017e53ca7f7c9a39e9268ec6eeb7afd5ee245d5745f258e9e3c554e",
            ),
        ),
    )

    def subjects(self) -> list[str]:
        """Return the subjects with signals, in numeric order. Raises DataError if the folder is not this dataset."""
        return [f"sub_{number}" for number in self._tree.physiology]

    def files(self, subject: str) -> list[Path]:
        """Return the subject's signals, annotations and sheet of subjects; for raw files also the times of videos."""
        tree, number = self._tree, self._number(subject)
        recorded = [paths[number] for paths in (tree.physiology, tree.annotations) if number in paths]
        sheet = read_metadata(tree, "participants.xlsx")
        planned = plan(tree, number).sources if tree.kind == "raw" else ()
        return [*recorded, *planned, *([sheet] if sheet else [])]

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex and age band, if the release's sheet of participants can be read."""
        return self._participants.get(self._number(subject), {})

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the subject's eight clips in the order in which they were seen."""
        number = self._number(subject)
        stick = tables.read_annotations(self._tree, number)[:2] if number in self._tree.annotations else None
        pieces, _ = tables.read_signals(self._tree, number)
        for order, piece in enumerate(pieces):
            duration = piece.values.shape[1] / RATE
            yield Recording(
                id=f"{subject}_V{piece.video}",
                subject=subject,
                stimulus=str(piece.video),
                session="session",
                duration_s=duration,
                group=subject,
                start_s=piece.start_ms / 1000,
                order=order,
                signals=_make_signals(self.card, piece.values),
                labels=_make_labels(piece, stick),
            )

    def verify(self) -> list[Finding]:
        """Return findings on the tree that is read, and on what is missing or odd in each subject's files."""
        tree, where = self._tree, str(self._tree.folder)
        unread = f"; {', '.join(tree.others)} left alone" if tree.others else ""
        findings = [Finding("note", where, f"the {tree.kind} tree is read{unread}")]
        if missing := PEOPLE - len(tree.physiology):
            findings.append(Finding("warning", where, f"{missing} of {PEOPLE} people have no file of signals"))
        if alone := sorted(tree.annotations.keys() - tree.physiology.keys()):
            findings.append(Finding("warning", where, f"annotations without signals: {', '.join(map(str, alone))}"))
        rows: dict[str, int] = {}
        people = self.subjects()
        findings += files.collect_findings(
            people, people, tree.folder, lambda subject: self._list_findings(subject, rows)
        )
        usual = Counter(rows.values()).most_common(1)[0][0] if rows else 0
        if tree.kind == "interpolated":  # in the other trees the logger's jitter makes them differ
            findings += [
                Finding("warning", subject, f"{count} rows, not {usual} as in the others: a truncated copy?")
                for subject, count in rows.items()
                if count != usual
            ]
        return findings

    @cached_property
    def _tree(self) -> Tree:
        return find_tree(self.root)

    @cached_property
    def _participants(self) -> dict[int, dict[str, str]]:
        path = read_metadata(self._tree, "participants.xlsx")
        return _read_sheet(path) if path else {}

    def _number(self, subject: str) -> int:
        numbers = {f"sub_{number}": number for number in self._tree.physiology}
        return numbers[
            files.check_subject(subject, numbers, self._tree.folder, expected="sub_1 to sub_30", hint=OBTAIN)
        ]

    def _list_findings(self, subject: str, rows: dict[str, int]) -> Iterator[Finding]:
        number, tree = self._number(subject), self._tree
        where = str(tree.physiology[number])
        pieces, seen = tables.read_signals(tree, number)
        rows[subject] = seen.rows
        yield from _list_table_findings(where, seen)
        order, end_ms = [], 0
        for piece in pieces:
            order.append(piece.video)
            end_ms = piece.start_ms + piece.values.shape[1]
            for name, row in zip(tables.SENSORS, piece.values, strict=True):
                if lost := int(np.isnan(row).sum()):
                    yield Finding("note", where, f"video {piece.video}: {lost} samples of {name} are missing")
        if tree.kind != "raw" and read_metadata(tree, "seqs_order.txt") and read_metadata(tree, "videos_duration.txt"):
            planned = [code for code, _, _ in plan(tree, number).videos]
            if planned != order:
                yield Finding("warning", where, f"videos come as {order}, by metadata/seqs_order.txt as {planned}")
        if number not in tree.annotations:
            yield Finding("warning", where, "no file of annotations: no arousal and no valence")
            return
        yield from _list_stick_findings(str(tree.annotations[number]), *tables.read_annotations(tree, number), end_ms)


def _make_signals(card: Card, values: np.ndarray) -> dict[str, Signal]:
    """Return the modalities with any value, from the eight columns (8, samples)."""
    signals = {}
    for modality, meta in card.modalities.items():
        data = values[[tables.SENSORS.index(name) for name in _COLUMNS[modality]]]
        if np.isfinite(data).any():
            signals[modality] = Signal(data, RATE, meta.channels, meta.unit)
    return signals


def _make_labels(piece: tables.Piece, stick: tuple[np.ndarray, np.ndarray] | None) -> dict[str, Label]:
    """Return the type of the video, and the joystick's axes during it. `stick`: its times in ms, and values (n, 2)."""
    labels = {"video_type": Label("condition", np.array([float(TYPES.index(VIDEOS[piece.video]))]), classes=TYPES)}
    if stick is not None:
        time, values = stick
        first, last = np.searchsorted(time, (piece.start_ms, piece.start_ms + piece.values.shape[1]))
        if last > first:
            seconds = (time[first:last] - piece.start_ms) / 1000
            labels |= {axis: Label("continuous", values[first:last, i].copy(), seconds) for i, axis in enumerate(AXES)}
    return labels


def _list_table_findings(where: str, seen: tables.Seen) -> Iterator[Finding]:
    if seen.unordered:
        yield Finding("warning", where, f"{seen.unordered} rows are not in order of time: sorted")
    if seen.empty:
        yield Finding("note", where, f"{seen.empty} empty cells")
    if seen.unknown:
        yield Finding("warning", where, f"unknown video codes {sorted(seen.unknown)[:5]}, left out")
    if not 20 <= seen.skin_temperature <= 42:
        yield Finding("warning", where, f"a median skin temperature of {seen.skin_temperature:.1f} degC")


def _list_stick_findings(
    where: str, time: np.ndarray, values: np.ndarray, unordered: int, end_ms: int
) -> Iterator[Finding]:
    """Yield findings on the joystick's order of rows, end, scale, resting value and gaps."""
    if unordered:
        yield Finding("warning", where, f"{unordered} rows are not in order of time: sorted")
    if time[-1] + 100 < end_ms:
        yield Finding("warning", where, f"ends after {time[-1] / 1000:.1f} s, before the last clip: a truncated copy?")
    for axis, column in zip(AXES, values.T, strict=True):
        known = column[np.isfinite(column)]
        if off := int(((known < 0.5) | (known > 9.5)).sum()):
            yield Finding("warning", where, f"{off} values of {axis} off the scale 0.5 to 9.5")
        levels, counts = np.unique(known, return_counts=True)
        rest = levels[counts.argmax()] if levels.size else REST
        if rest != REST and abs(rest - REST) < 0.1:
            yield Finding("warning", where, f"{axis} rests at {rest:g}, not {REST:g}: units at rest count as labelled")
    if (gap := float(np.diff(time).max(initial=0)) / 1000) > 1:
        yield Finding("note", where, f"a gap of {gap:.1f} s")


def _read_sheet(path: Path) -> dict[int, dict[str, str]]:
    """Return subject's number -> sex and age band. Empty if the sheet cannot be read, as no result depends on it."""
    try:
        from openpyxl import load_workbook

        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > 2**24:
                return {}
        rows = list(
            load_workbook(path, read_only=True, data_only=True).worksheets[0].iter_rows(max_row=200, values_only=True)
        )
        header = [str(cell).strip() for cell in rows[0]]
        number, sex, age = (header.index(name) for name in ("Participant-ID", "Sex", "Age-Group"))
        return {int(row[number]): {"sex": str(row[sex]), "age_band": str(row[age])} for row in rows[1:] if row[number]}
    except (ImportError, OSError, LookupError, ValueError, TypeError, AttributeError, SyntaxError, *_BROKEN_ZIP):
        return {}
