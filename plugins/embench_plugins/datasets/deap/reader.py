"""DEAP (Koelstra et al. 2012): 32 subjects watch 40 one-minute music videos and rate their feelings.

Reads the preprocessed files, one for each subject: `data_preprocessed_python/s01.dat` (pickles of any protocol, see
`pickles`) or `data_preprocessed_matlab/s01.mat`, in any folder. If a subject has both, the pickle is read. A file holds
40 trials of 40 channels, 3 s of rest and then the video, and 40 x 4 ratings: **valence first**, then arousal,
dominance, liking. Trials are in order of the video's number (Experiment_id), not in the order shown.

`metadata_csv/participant_ratings.csv` states when each video was shown. Without it, order and time in the session are
unknown. Face videos and tables of them (`faces`) are then excluded, as they are numbered in the order shown. A face
video begins with the music video, 3 s into the recording: its `span` begins at -3.

The GSR channel is a resistance, in ohm by the release's table (values of one of the two laboratories were converted).
It is stored with its sign inverted, so that skin conductance responses rise. The inverse is not used, because values of
some subjects are not positive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import skew

from embench.errors import DataError
from embench.interfaces.dataset import Baseline, Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule
from embench_plugins.datasets.devices import faces
from embench_plugins.datasets.devices.faces import read_header
from embench_plugins.datasets.formats.files import missing_dataset_error, read_table, read_text_table, to_float32
from embench_plugins.datasets.formats.matlab import read_content, read_variables
from embench_plugins.datasets.formats.pickles import load_pickle
from embench_plugins.datasets.formats.ratings import (
    QUADRANT,
    find_quadrant,
    make_binary_targets,
    make_scale_targets,
    make_value_targets,
)

# The preprocessed files of DEAP, one a subject: a pickle (`s01.dat`) or a MATLAB file (`s01.mat`) of two arrays.

PEOPLE = 32
FILMED = 22  # subjects with face videos, the first ones
UNFILMED = {3: (40,), 5: (40,), 11: (38, 39, 40), 14: (40,)}
"""Subject -> trials of which the release has no face video; it has 874."""
RATE = 128.0
TRIALS = 40
BASELINE_S = 3.0
SAMPLES = 8064  # 63 s
RATINGS = ("valence", "arousal", "dominance", "liking")
EEG = (
    "Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz",
    "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2",
)  # fmt: skip
CHANNELS = {
    "eeg": EEG,
    "eog": ("horizontal", "vertical"),
    "emg": ("zygomaticus", "trapezius"),
    "eda": ("eda",),
    "resp": ("belt",),
    "ppg": ("thumb",),
    "temp": ("finger",),
}
"""Modality -> its channels: the 40 channels of a file, in the file's order."""

GSR = 36
HINT = "unpack data_preprocessed_python.zip of DEAP and pass the folder that holds s01.dat .. s32.dat, or one above it"
MOST_BYTES = 1_000_000_000
"""Largest accepted size of a file in bytes: three times the arrays in their longest form, a pickle of protocol 0, and
ten times the release's unpacked MATLAB files."""

_CONTENT = "`data` of 40 trials x 40 channels x 8064 samples and `labels` of 40 x 4 ratings from 1 to 9"


def read_trials(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a subject's data (40, 40, samples), up to 63 s, and ratings (40, 4), real numbers of the file's dtypes.

    Raises:
        DataError: it is not such a file, or a modified copy: with EEG only, without rest, or with classes as ratings.
    """
    if path.suffix.lower() == ".dat":
        content = load_pickle(path, expected=f"a pickle of {_CONTENT}", hint=HINT, most_bytes=MOST_BYTES)
    else:
        content = _read_matlab(path)
    if not isinstance(content, dict):
        raise _reject(path, f"a pickle of a {type(content).__name__}")
    named = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    data, ratings = (_check_numbers(named, name, path) for name in ("data", "labels"))
    if data.shape[:2] == (TRIALS, len(EEG)):
        raise _reject(path, f"`data` is {_describe_shape(data)}: a copy with EEG alone")
    if data.shape == (TRIALS, TRIALS, SAMPLES - round(BASELINE_S * RATE)):
        raise _reject(path, f"`data` is {_describe_shape(data)}: a copy whose 3 s of rest were cut off")
    if data.ndim != 3 or data.shape[:2] != (TRIALS, TRIALS) or not BASELINE_S * RATE < data.shape[2] <= SAMPLES:
        raise _reject(path, f"`data` is {_describe_shape(data)}")
    if ratings.shape != (TRIALS, len(RATINGS)):
        raise _reject(path, f"`labels` is {_describe_shape(ratings)}")
    if np.isin(ratings, (0, 1)).all():
        raise _reject(path, "`labels` contains 0 and 1 only: a copy whose ratings were made classes")
    return data, ratings


def _read_matlab(path: Path) -> dict[str, Any]:
    """Return name -> variable of a MATLAB file of a subject. Raises DataError if the file cannot be read."""
    try:
        return read_variables(read_content(path, MOST_BYTES), ("data", "labels"), MOST_BYTES)[0]
    except Exception as error:  # scipy's parser raises all kinds of exceptions for damaged bytes
        what = f"not readable: {str(error) or type(error).__name__}"
        raise DataError(what, where=str(path), expected=f"a MATLAB file of {_CONTENT}", hint=HINT) from error


def _check_numbers(content: dict[Any, Any], name: str, path: Path) -> np.ndarray:
    """Return the array `name` of a file's content. Raises DataError if the array is missing or does not hold real
    numbers."""
    array = content.get(name)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        kind = (
            array.dtype.name
            if isinstance(array, np.ndarray) and array.dtype.names is None
            else "not an array of numbers"
        )
        raise _reject(path, f"`{name}` is {kind if name in content else 'missing'}")
    return array


def _reject(path: Path, what: str) -> DataError:
    """Return the error that the file of a subject has another content. `what`: the fault as a clause."""
    return DataError(what, where=str(path), expected=_CONTENT, hint=HINT)


def _describe_shape(array: np.ndarray) -> str:
    """Return the shape of an array as a text, such as `40 x 40 x 8064`."""
    return " x ".join(map(str, array.shape))


# The reader.

CUT = 5.0
LONGEST_CLIP = 1.25
"""Greatest plausible length of a face video, as a multiple of the music video's. A longer one has a wrong rate."""

EXPECTED = "data_preprocessed_python/s01.dat and so on, or data_preprocessed_matlab/s01.mat"
_FILE = re.compile(r"s(\d{1,2})\.(dat|mat)", re.IGNORECASE)
_CLIP = re.compile(r"s(\d{1,2})_trial(\d{1,2})\.(avi|mp4|mov|mkv)", re.IGNORECASE)
_FEATURES = re.compile(r"s(\d{1,2})_trial(\d{1,2})\.(csv|txt)", re.IGNORECASE)
_TABLE = re.compile(r"participant_ratings\.csv", re.IGNORECASE)
_COLUMNS = ("Participant_id", "Trial", "Experiment_id", "Start_time", "Valence", "Arousal", "Dominance", "Liking")


class Shown(NamedTuple):
    """A row of participant_ratings.csv: position and time at which a video was shown, its ratings in the order of
    `RATINGS`, and its familiarity, 1 to 5. Familiarity is NaN for three subjects, and if the table lacks the column."""

    trial: int
    start_s: float | None
    ratings: tuple[float, ...]
    familiarity: float


class Deap(Dataset):
    """Reader of DEAP. A recording is a trial with the 3 s of rest before the video, which are not part of a unit."""

    card = Card(
        name="deap",
        title="DEAP, preprocessed",
        citation="Koelstra et al., DEAP: A Database for Emotion Analysis using Physiological Signals, "
        "IEEE Trans. Affective Computing 3(1):18-31, 2012",
        doi="10.1109/T-AFFC.2011.15",
        licence="EULA, no redistribution",
        obtain="a permanent member of the academic staff signs the EULA of the DEAP pages of Queen Mary University of "
        "London; " + HINT,
        modalities={
            "eeg": ModalityCard(CHANNELS["eeg"], RATE, "uV", applied=(4.0, 45.0)),
            "eog": ModalityCard(CHANNELS["eog"], RATE, "uV"),
            "emg": ModalityCard(CHANNELS["emg"], RATE, "uV"),
            "eda": ModalityCard(CHANNELS["eda"], RATE, "-ohm"),
            "resp": ModalityCard(CHANNELS["resp"], RATE, "a.u."),
            "ppg": ModalityCard(CHANNELS["ppg"], RATE, "a.u."),
            "temp": ModalityCard(CHANNELS["temp"], RATE, "a.u."),
            **faces.CARDS,
        },
        default_modalities=("eeg", "ppg", "eda"),
        targets=(
            *make_binary_targets(
                ("arousal", "valence", "dominance", "liking"), LabelRule("value", cut=CUT, ties="low"), (1.0, 9.0)
            ),
            QUADRANT,
            *make_scale_targets(("arousal", "valence", "dominance"), LabelRule("value"), (1.0, 9.0)),
            *make_value_targets(["liking"], LabelRule("value"), (1.0, 9.0)),
            *make_value_targets(["familiarity"], LabelRule("value"), (1.0, 5.0)),
        ),
        mains_hz=50.0,
        longest_s=SAMPLES / RATE,
        labels_public="no",
        fixed_order=False,
        baseline=Baseline(0.0, BASELINE_S, in_unit=False),  # before the video, and the face video does not have it
        default_targets=("arousal", "valence"),
    )

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.card = faces.extend_card(self.card, (path for own in self._features.values() for path in own.values()))

    def subjects(self) -> list[str]:
        """Return the subjects with a preprocessed file, `s01` and so on."""
        return sorted(self._paths)

    def files(self, subject: str) -> list[Path]:
        """Return the subject's file, the table of ratings, and the subject's face videos with their tables, if any."""
        if self._table is None:
            return [self._path(subject)]
        trials = range(1, TRIALS + 1)
        face_files = [path for trial in trials for path in faces.list_files(*self._face(subject, trial))]
        return [self._path(subject), self._table, *face_files]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the 40 trials, in order of the videos' numbers."""
        data, ratings = read_trials(self._path(subject))
        shown = self._showings.get(subject, {})
        for index, trial in enumerate(data):
            row = shown.get(index + 1)
            duration_s = data.shape[2] / RATE
            rated = dict(zip(RATINGS, ratings[index].tolist(), strict=True))
            rated |= find_quadrant(rated["arousal"], rated["valence"], CUT)
            rated |= {"familiarity": row.familiarity} if row else {}
            clip, table = self._face(subject, row.trial) if row else (None, None)
            find_span = partial(_find_span, duration_s=duration_s)
            video, face_signals = faces.read_face(clip, table, find_span, self.card.modalities["face_au"])
            yield Recording(
                id=f"{subject}_E{index + 1:02d}",
                subject=subject,
                stimulus=str(index + 1),
                session="main",
                duration_s=duration_s,
                group=subject,
                start_s=row.start_s if row else None,
                order=row.trial - 1 if row else None,
                signals=_make_signals(self.card, trial) | face_signals,
                video=video,
                labels={
                    name: Label("rating", np.array([value])) for name, value in rated.items() if np.isfinite(value)
                },
            )

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, lengths, ratings, constant channels and face videos."""
        findings = []
        if missing := PEOPLE - len(self.subjects()):
            findings.append(Finding("warning", str(self.root), f"{missing} of {PEOPLE} people have no file"))
        unread = "not read, since the pickle of the same subject is"
        findings += [Finding("note", str(spare), unread) for spare in self._spare]
        if self._table is None:
            what = "no participant_ratings.csv: order and time of trials are unknown, and face videos are not used"
            findings.append(Finding("note", str(self.root), what))
        findings += faces.note_missing_channels(self.root, self.card.modalities["face_au"])
        for subject in self.subjects():
            try:
                data, ratings = read_trials(self._path(subject))
                findings += _list_findings(str(self._path(subject)), data, ratings)
                findings += self._compare(subject, ratings)
                findings += self._list_video_findings(subject, data.shape[2] / RATE - BASELINE_S)
            except DataError as error:
                findings.append(Finding("error", error.where or subject, error.what))
        return findings

    def _path(self, subject: str) -> Path:
        if subject not in self._paths:
            raise DataError(f"there is no file of subject {subject}", where=str(self.root), hint=HINT)
        return self._paths[subject]

    @cached_property
    def _paths(self) -> Mapping[str, Path]:
        """Subject -> the file that is read."""
        paths: dict[str, Path] = {}
        for path, match in self._named(_FILE):
            subject = f"s{int(match[1]):02d}"
            rival = paths.get(subject)
            if rival and rival.suffix.lower() == path.suffix.lower():
                raise DataError(
                    f"two files of subject {subject}",
                    where=f"{rival} and {path}",
                    expected="one file of each kind per subject",
                    hint="remove one of the two copies",
                )
            if not rival or path.suffix.lower() == ".dat":
                paths[subject] = path
        if not paths:
            raise missing_dataset_error(self.root, self.card.title, expected=EXPECTED, hint=HINT)
        return paths

    @property
    def _spare(self) -> list[Path]:
        return [path for path, _ in self._named(_FILE) if path not in self._paths.values()]

    @cached_property
    def _clips(self) -> Mapping[str, Mapping[int, Path]]:
        return _sort_by_trial(self._named(_CLIP))

    @cached_property
    def _features(self) -> Mapping[str, Mapping[int, Path]]:
        return _sort_by_trial(_matches(faces.find_tables(self.root), _FEATURES))

    def _face(self, subject: str, trial: int) -> tuple[Path | None, Path | None]:
        """Return the face video of a trial, numbered from 1 in the order shown, and OpenFace's table of it."""
        return self._clips.get(subject, {}).get(trial), self._features.get(subject, {}).get(trial)

    def _named(self, pattern: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
        return _matches(sorted(path for path in self.root.rglob("*") if path.is_file()), pattern)

    @cached_property
    def _table(self) -> Path | None:
        """Path of participant_ratings.csv, in any folder."""
        return next((path for path, _ in self._named(_TABLE)), None)

    @cached_property
    def _showings(self) -> Mapping[str, Mapping[int, Shown]]:
        """Subject -> video number -> the video's row of participant_ratings.csv."""
        shown: dict[str, dict[int, Shown]] = {}
        if self._table is None:
            return shown
        expected = f"a table of {PEOPLE * TRIALS} rows with the columns {', '.join(_COLUMNS)}"
        hint = "copy metadata_csv/participant_ratings.csv again from the release, or take it away"
        rows = read_table(self._table, _COLUMNS, expected=expected, hint=hint)
        cells = read_text_table(self._table, expected=expected, hint=hint).get(
            "Familiarity", pd.Series(index=rows.index)
        )
        rows = rows.assign(familiarity=pd.to_numeric(cells, errors="coerce"))
        for person, trial, video, started, *ratings, familiarity in rows.to_numpy().tolist():
            known = all(value in range(1, most + 1) for value, most in ((person, 99), (trial, TRIALS), (video, TRIALS)))
            own = shown.setdefault(f"s{int(person):02d}", {}) if known else {}
            if not known or video in own or any(row.trial == trial for row in own.values()):
                what = f"subject {person:g}, trial {trial:g}, video {video:g}: not in the release, or it comes twice"
                raise DataError(what, where=str(self._table), expected=expected, hint=hint)
            start_s = started / 1e6 - BASELINE_S
            at = start_s if np.isfinite(start_s) else None
            own[int(video)] = Shown(int(trial), at, tuple(ratings), familiarity)
        return shown

    def _compare(self, subject: str, ratings: np.ndarray) -> Iterator[Finding]:
        """Yield a finding if the table's ratings differ from the file's."""
        where = str(self._table)
        rows = sorted(self._showings.get(subject, {}).items())
        if self._table and len(rows) < TRIALS:
            yield Finding("warning", where, f"{subject}: {len(rows)} of {TRIALS} trials have a row")
        if not rows:
            return
        stated = np.array([row.ratings for _, row in rows])
        by_video = ratings[[video - 1 for video, _ in rows]]
        by_trial = ratings[[row.trial - 1 for _, row in rows]]
        if _agree(stated, by_video):
            return
        if _agree(stated, by_trial):
            what = "ratings agree in the order shown only: this copy's trials are not in order of the videos' numbers"
        elif _agree(stated[:, [1, 0, 2, 3]], by_video):
            what = "ratings agree with valence and arousal exchanged"
        else:
            what = "ratings differ from those of the subject's file"
        yield Finding("warning", where, f"{subject}: {what}")

    def _list_video_findings(self, subject: str, video_s: float) -> Iterator[Finding]:
        """Yield findings on a subject's face videos that are missing, or whose headers are implausible."""
        clips = self._clips.get(subject, {})
        person = int(subject[1:])
        unfilmed = range(1, TRIALS + 1) if person > FILMED else UNFILMED.get(person, ())
        known = [n for n in range(1, TRIALS + 1) if n not in unfilmed]
        if lacking := [str(n) for n in known if n not in clips] if self._clips else []:
            what = "all face videos" if len(lacking) == len(known) else f"face videos of trial {', '.join(lacking)}"
            yield Finding("warning", str(self.root), f"{subject}: {what} are missing")
        for path in clips.values():
            try:
                clip = read_header(path)
            except DataError as error:
                yield Finding("warning", str(path), error.what)
                continue
            if abs(clip.duration_s - video_s) > 5 or clip.duration_s > LONGEST_CLIP * video_s:
                what = f"lasts {clip.duration_s:.1f} s by its header, the music video {video_s:g} s"
                unused = ": its rate must be wrong, and it is not used" * (clip.duration_s > LONGEST_CLIP * video_s)
                yield Finding("warning", str(path), what + unused)
        for trial in range(1, TRIALS + 1):
            yield from faces.list_findings(*self._face(subject, trial))


def _matches(paths: list[Path], pattern: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    return [(path, match) for path in paths if (match := pattern.fullmatch(path.name))]


def _sort_by_trial(named: list[tuple[Path, re.Match[str]]]) -> Mapping[str, Mapping[int, Path]]:
    """Return subject -> trial, numbered as shown -> file. If a trial has two files, the first by path is used."""
    found: dict[str, dict[int, Path]] = {}
    for path, match in named:
        found.setdefault(f"s{int(match[1]):02d}", {}).setdefault(int(match[2]), path)
    return found


def _find_span(clip_s: float, duration_s: float) -> tuple[float, float] | None:
    """Return the start and end of a trial, in seconds of its face video. The trial starts 3 s before the video, at -3.
    None if the video's header states an implausible length.

    Args:
        clip_s: length of the video, as its header states it; 0 if unknown.
        duration_s: length of the trial."""
    video_s = duration_s - BASELINE_S
    return (-BASELINE_S, video_s) if clip_s <= LONGEST_CLIP * video_s else None


def _make_signals(card: Card, trial: np.ndarray) -> dict[str, Signal]:
    """Return the modalities with any value, from the 40 channels (40, samples) of a trial."""
    signals, at = {}, 0
    for modality, channels in CHANNELS.items():
        values = to_float32(trial[at : at + len(channels)])
        at += len(channels)
        if np.isfinite(values).any():
            values = -values if modality == "eda" else values
            signals[modality] = Signal(values, RATE, channels, card.modalities[modality].unit)
    return signals


def _list_findings(where: str, data: np.ndarray, ratings: np.ndarray) -> Iterator[Finding]:
    """Yield what is odd in a subject's file."""
    if data.shape[2] != SAMPLES:
        what = f"trials of {data.shape[2]} samples, not {SAMPLES}: a shortened or generated copy"
        yield Finding("warning", where, what)
    if unrated := int((~np.isfinite(ratings)).any(axis=1).sum()):
        yield Finding("warning", where, f"{unrated} trials lack a rating")
    if off := int(((ratings < 1) | (ratings > 9)).any(axis=1).sum()):
        yield Finding("warning", where, f"{off} trials have ratings off the scale 1 to 9")
    names = [f"{modality} {name}" for modality, channels in CHANNELS.items() for name in channels]
    flat = np.zeros(len(names), int)
    lost = 0
    for trial in data:
        flat += np.nanmax(trial, axis=1, initial=-np.inf) <= np.nanmin(trial, axis=1, initial=np.inf)
        lost += int((~np.isfinite(trial)).sum())
    if some := [f"{name} ({count})" for name, count in zip(names, flat, strict=True) if count]:
        yield Finding("warning", where, f"channels without any change, and in how many trials: {', '.join(some[:6])}")
    if lost:
        yield Finding("warning", where, f"{lost} samples are not numbers")
    elif (lean := _measure_skew(data[:, GSR])) > 1:
        what = f"`GSR` rises faster than it falls (skewness {lean:.1f}), as a conductance does; read as a resistance"
        yield Finding("warning", where, what)


def _measure_skew(resistance: np.ndarray) -> float:
    """Return the skewness of the steps of a signal (trials, samples) at 4 Hz. It is negative for a resistance, which
    falls faster than it rises."""
    block = round(RATE / 4)
    count = resistance.shape[1] // block
    with np.errstate(all="ignore"):  # damaged files hold any number
        steps = np.diff(resistance[:, : count * block].reshape(len(resistance), count, block).mean(axis=2), axis=1)
        return float(skew(steps, axis=None)) if np.ptp(steps) > 0 else 0.0


def _agree(stated: np.ndarray, stored: np.ndarray) -> bool:
    """Return True if ratings are equal apart from rounding; NaN agrees with any rating."""
    return bool(np.nanmax(np.abs(stated - stored), initial=0.0) <= 0.01)
