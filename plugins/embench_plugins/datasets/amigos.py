"""AMIGOS (Miranda-Correa et al. 2021): 40 people watch 16 short videos and rate their own arousal and valence.

Reads the preprocessed MATLAB files, one a person (`Data_Preprocessed_P01.mat`), each in its own folder or all in one,
under any spelling of the parent folder. A file holds four variables of 20 cells (16 short videos, then 4 long ones,
which this reader leaves alone). Cells are keyed on their video's name: they do not come in numeric order.

The GSR column is read as a resistance and stored as its inverse, for everybody alike. Its unit is not stated anywhere;
it behaves as a resistance, so the inverse has the polarity that skin conductance has everywhere else (responses rise),
and an open circuit gives values near zero instead of huge ones. The scale is unknown: `1e6/GSR` is microsiemens only if
the column is in ohm. Where GSR is zero or negative, or so small that the inverse would be over 100 times the trial's
median, the sample is lost (NaN).
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from embench.errors import DataError
from embench.interfaces.dataset import Baseline, Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target

RATE = 128.0
COLUMNS = 17
SHORT = ("10", "13", "138", "18", "19", "20", "23", "30", "31", "34", "36", "4", "5", "58", "80", "9")
LONG = ("N1", "P1", "B1", "U1")
EEG = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
RATINGS = ("arousal", "valence")  # the first two of the 12 self-assessment columns, in this order
PEOPLE = 40
VARIABLES = ("joined_data", "labels_selfassessment", "labels_ext_annotation", "VideoIDs")
HINT = "unpack Data_Preprocessed_P01.zip .. P40.zip of AMIGOS (Data_preprocessed) and pass the folder that holds them"
COMPRESSED = 15  # the type number of a compressed variable in a MAT file
FILE = re.compile(r"data_preprocessed_p(\d{2})\.mat", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of a person's file: data (samples, 17) or None, the 12 self-assessments or None."""

    video: str
    data: np.ndarray | None
    ratings: np.ndarray | None


class Amigos(Dataset):
    """The reader of the short videos. A recording is one trial, its 5 s of rest before the video included; order and
    time in the session are hidden by the release. A channel that is NaN throughout stays in its signal as NaN; a
    modality without any value is absent."""

    card = Card(
        name="amigos",
        title="AMIGOS, short videos",
        citation="Miranda-Correa et al., AMIGOS: A Dataset for Affect, Personality and Mood Research on Individuals "
        "and Groups, IEEE Trans. Affective Computing 12(2):479-493, 2021",
        doi="10.1109/TAFFC.2018.2884461",
        licence="EULA, no redistribution (processed copies included)",
        obtain="a permanent academic signs the EULA on the AMIGOS pages of Queen Mary University of London; " + HINT,
        modalities={
            "eeg": ModalityCard(EEG, RATE, "uV", applied=(4.0, 45.0)),
            "ecg": ModalityCard(("right", "left"), RATE, "a.u.", applied=(None, 60.0)),
            "eda": ModalityCard(("eda",), RATE, "1e6/GSR", applied=(None, 60.0)),
        },
        default_modalities=("eeg", "ecg", "eda"),
        targets=tuple(
            Target(name, "binary", LabelRule("value", cut=4.5, ties="low"), label=name, scale=(1.0, 9.0))
            for name in RATINGS
        ),
        mains_hz=50.0,
        longest_s=155.0,
        labels_public="no",
        fixed_order=False,
        baseline=Baseline(0.0, 5.0, in_unit=True),  # rest, but the papers feed the whole trial
        skip_s=1.0,  # a connection artefact, which strizhkova2024 cuts too
    )

    def subjects(self) -> list[str]:
        """People with a preprocessed file. Raises DataError that says what was found instead, where there is none."""
        return sorted(self._paths())

    def files(self, subject: str) -> list[Path]:
        """The person's one file."""
        return [self._path(subject)]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Trials of short videos that have any data, in the file's order."""
        for trial in _read(self._path(subject))[0]:
            if trial.video not in SHORT or trial.data is None:
                continue
            signals = _signals(self.card, trial.data)
            if not signals:
                continue
            yield Recording(
                id=f"{subject}_V{trial.video}",
                subject=subject,
                stimulus=trial.video,
                session="short",
                duration_s=len(trial.data) / RATE,
                group=subject,
                start_s=None,
                order=None,
                signals=signals,
                labels=_labels(trial.ratings),
            )

    def verify(self) -> list[Finding]:
        """What is missing or odd: people, trials, labels, channels, ratings off the scale, odd skin resistance."""
        findings = []
        if missing := PEOPLE - len(self.subjects()):
            findings.append(Finding("warning", str(self.root), f"{missing} of {PEOPLE} people have no file"))
        for subject, path in sorted(self._paths().items()):
            try:
                trials, sound = _read(path)
            except DataError as error:
                findings.append(Finding("error", str(path), error.what))
                continue
            if not sound:
                findings.append(Finding("warning", str(path), "a checksum is wrong: read all the same"))
            videos = [trial.video for trial in trials]
            if unread := sorted(set(SHORT) - set(videos)):
                findings.append(Finding("warning", str(path), f"no cell for video {', '.join(unread)}"))
            if unknown := sorted(set(videos) - set(SHORT + LONG)):
                findings.append(Finding("warning", str(path), f"unknown video {', '.join(unknown)}, left out"))
            for trial in trials:
                if trial.video in SHORT:
                    findings += _look(f"{subject}_V{trial.video}", trial)
        return findings

    @classmethod
    def synthesize(cls, out: Path, *, subjects: int, seed: int, effect: float) -> None:
        """Writes generated people in this exact format below `out`; see `amigos_synthetic`."""
        from embench_plugins.datasets import amigos_synthetic

        amigos_synthetic.synthesize(out, subjects, seed, effect)

    def _path(self, subject: str) -> Path:
        paths = self._paths()
        if subject not in paths:
            raise DataError(f"there is no file of person {subject}", where=str(self.root), hint=HINT)
        return paths[subject]

    def _paths(self) -> Mapping[str, Path]:
        if not self.root.is_dir():
            raise DataError("there is no such folder", where=str(self.root), expected="a folder of AMIGOS", hint=HINT)
        paths: dict[str, Path] = {}
        for path in sorted(self.root.rglob("*.[mM][aA][tT]")):
            if not (match := FILE.fullmatch(path.name)):
                continue
            subject = f"P{match[1]}"
            if subject in paths:
                raise DataError(
                    f"two files of person {subject}",
                    where=f"{paths[subject]} and {path}",
                    expected="one preprocessed file a person",
                    hint="remove one of the two copies",
                )
            paths[subject] = path
        if not paths:
            raise DataError(
                _instead(self.root), where=str(self.root), expected="files named Data_Preprocessed_P01.mat", hint=HINT
            )
        return paths


def _instead(root: Path) -> str:
    """What is in a folder that holds no preprocessed file."""
    names = [path.name.lower() for path in root.rglob("*")]
    if any(re.fullmatch(r"data_preprocessed_p\d{2}.*\.zip", name) for name in names):
        return "the zip files of AMIGOS are not unpacked: unzip 'Data_Preprocessed_P*.zip' -d Data_preprocessed"
    if any(re.fullmatch(r"data_original_p\d{2}.*", name) for name in names):
        return "only the raw recordings of AMIGOS are here (Data_original); the preprocessed ones are read"
    if any(name.endswith(".npz") for name in names):
        return "these are .npz exports that somebody made; only the released .mat files are read"
    return "no AMIGOS file is here" + (f", but {', '.join(sorted(names)[:5])}" if names else ": the folder is empty")


def _read(path: Path) -> tuple[list[Trial], bool]:
    """The cells of one person's file, and whether its checksums are right. Raises DataError that names the file."""
    expected = f"a MATLAB file with the variables {', '.join(VARIABLES)}, 1 x 20 cells each"
    again = "the file is truncated or damaged: unpack it again from its zip"
    try:
        plain, sound = _inflated(path.read_bytes())
        content = loadmat(io.BytesIO(plain), variable_names=VARIABLES)
    except (MatReadError, NotImplementedError, OSError, TypeError, ValueError, KeyError, EOFError, zlib.error) as error:
        raise DataError(f"not readable: {error}", where=str(path), expected=expected, hint=again) from error
    if missing := [name for name in VARIABLES if name != "labels_ext_annotation" and name not in content]:
        raise DataError(f"the file lacks {', '.join(missing)}", where=str(path), expected=expected, hint=again)
    cells = {name: content[name].ravel() for name in VARIABLES if name in content}
    videos, data, ratings = cells["VideoIDs"], cells["joined_data"], cells["labels_selfassessment"]
    plain_arrays = any(column.dtype != object for column in (videos, data, ratings))
    if plain_arrays or not len(videos) == len(data) == len(ratings) >= len(SHORT):
        raise DataError(
            f"{len(videos)} videos, {len(data)} data and {len(ratings)} label cells", where=str(path), expected=expected
        )
    trials = []
    for video, samples, rating in zip(videos, data, ratings, strict=True):
        name = str(np.asarray(video).ravel()[0]).strip(" '\"") if np.size(video) else ""
        trials.append(Trial(name, _samples(samples, path), np.ravel(rating) if np.size(rating) else None))
    named = [trial.video for trial in trials if trial.video]
    if len(set(named)) < len(named):
        raise DataError("a video comes twice", where=str(path), expected="20 different VideoIDs")
    return trials, sound


def _inflated(content: bytes) -> tuple[bytes, bool]:
    """A MAT file, version 5, without its compression, and whether all checksums are right: one that is wrong is passed
    over, as other readers of the release do, for which scipy has no way. Raises ValueError where it is cut short."""
    if len(content) < 128 or content[126:128] not in (b"IM", b"MI"):
        raise ValueError("this is no MATLAB file of version 5")
    order: Literal["little", "big"] = "little" if content[126:128] == b"IM" else "big"
    parts, at, sound = [content[:128]], 128, True
    while at < len(content):
        kind, size = (int.from_bytes(content[at + i : at + i + 4], order) for i in (0, 4))
        element = content[at + 8 : at + 8 + size]
        if len(element) < size or len(content) < at + 8:
            raise ValueError(f"the file ends after {len(content)} bytes, inside a variable")
        if kind == COMPRESSED:
            stream = zlib.decompressobj(-zlib.MAX_WBITS)  # without zlib's frame, whose tail is the checksum
            parts.append(stream.decompress(element[2:]))
            if not stream.eof:
                raise ValueError("a compressed variable is cut short")
            sound &= stream.unused_data[:4] == zlib.adler32(parts[-1]).to_bytes(4, "big")
        else:
            parts.append(content[at : at + 8 + size])
        at += 8 + size
    return b"".join(parts), sound


def _samples(cell: np.ndarray, path: Path) -> np.ndarray | None:
    """A data cell as (samples, 17), or None where it is empty; copies with time along the second axis are turned."""
    if cell.size == 0:
        return None
    if cell.ndim == 2 and cell.shape[0] == COLUMNS != cell.shape[1]:
        cell = cell.T
    if cell.ndim != 2 or cell.shape[1] != COLUMNS or not np.issubdtype(cell.dtype, np.number):
        raise DataError(
            f"a data cell of {cell.dtype} {'x'.join(map(str, cell.shape))}",
            where=str(path),
            expected="time x 17 numbers: 14 EEG, 2 ECG, GSR",
        )
    return cell


def _signals(card: Card, data: np.ndarray) -> dict[str, Signal]:
    """The modalities with any value in them, from the 17 columns (samples, 17)."""
    split = {"eeg": data[:, :14], "ecg": data[:, 14:16], "eda": _conductance(data[:, 16:])}
    signals = {}
    for modality, values in split.items():
        if np.isfinite(values).any():
            meta = card.modalities[modality]
            signals[modality] = Signal(np.ascontiguousarray(values.T, np.float32), RATE, meta.channels, meta.unit)
    return signals


def _conductance(resistance: np.ndarray) -> np.ndarray:
    """1e6 over the resistance, NaN where that is nothing that skin could have."""
    positive = resistance[resistance > 0]
    floor = 0.01 * float(np.median(positive)) if positive.size else 0.0
    return 1e6 / np.where(resistance > floor, resistance, np.nan)


def _labels(ratings: np.ndarray | None) -> dict[str, Label]:
    if ratings is None or len(ratings) < len(RATINGS):
        return {}
    values = {name: float(ratings[column]) for column, name in enumerate(RATINGS)}
    return {name: Label("rating", np.array([value])) for name, value in values.items() if np.isfinite(value)}


def _look(where: str, trial: Trial) -> Iterator[Finding]:
    labels = _labels(trial.ratings)
    if trial.data is None:
        yield Finding("note", where, "labels without data" if labels else "no data, no labels")
        return
    if missing := [name for name in RATINGS if name not in labels]:
        yield Finding("note", where, f"data without {' and '.join(missing)}")
    if odd := [name for name, label in labels.items() if not 1 <= label.values[0] <= 9]:
        yield Finding("warning", where, f"{', '.join(odd)} off the scale 1 to 9")
    names = (*EEG, "ECG right", "ECG left", "GSR")
    lost = np.isnan(trial.data).mean(axis=0)
    if empty := [name for name, share in zip(names, lost, strict=True) if share == 1]:
        yield Finding("note", where, f"no value in {'all of ' if len(empty) > 5 else ''}{', '.join(empty)}")
    if partly := [name for name, share in zip(names, lost, strict=True) if 0 < share < 1]:
        yield Finding("note", where, f"gaps in {', '.join(partly)}")
    if (trial.data[:, 16] <= 0).any():
        yield Finding("warning", where, "GSR is not positive throughout, as a resistance would be")
    if len(trial.data) > 155 * RATE:
        yield Finding("warning", where, f"{len(trial.data) / RATE:.0f} s, more than the longest video's 155 s")
