"""EmoEEG-MC (Xu et al. 2025): EEG of 60 people during videos and imagery that evoke seven emotions, with ratings.

`EmoEegMc` reads the BIDS release, `EmoEegMcProcessed` the arrays that the authors preprocessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.emoeeg_mc import release
from embench_plugins.datasets.emoeeg_mc.release import (
    AGAIN,
    CONTEXTS,
    COPIED,
    LENGTH_S,
    REORDERED,
    SITES,
    TASK,
    WRIST,
    Person,
    Trial,
    list_people,
)
from embench_plugins.datasets.formats import files, notes
from embench_plugins.datasets.formats.ratings import (
    find_highest,
    make_binary_targets,
    make_class_label,
    make_scale_targets,
    make_value_targets,
)

# The card of EmoEEG-MC, and the labels of a trial.

SCALE = (0.0, 7.0)
CONFOUND_ONLY = ("familiarity", "liking")
"""Ratings of the stimulus, not of what was felt."""
OBTAIN = (
    "openneuro.org/datasets/ds005540 (version 1.0.7), for example `openneuro download ds005540` or `datalad install`; "
    "pass the folder that holds sub-01"
)


def make_labels(trial: Trial, scores: tuple[float, ...] | None) -> dict[str, Label]:
    """Return the labels of a trial, from its stimulus and its ratings in the order of `RATINGS`. Without ratings
    (None), the labels that depend on them are NaN."""
    positive = math.nan if release.EMOTIONS[trial.emotion] == "neutral" else float(trial.emotion in release.POSITIVE)
    rated = scores or (math.nan,) * len(release.RATINGS)
    return {
        "emotion": make_class_label(release.EMOTIONS, trial.emotion),
        "positive": make_class_label(("negative", "positive"), positive),
        "own_emotion": make_class_label(release.FELT, find_highest(rated[: len(release.FELT)])),
        **{name: Label("rating", np.array([value])) for name, value in zip(release.RATINGS, rated, strict=True)},
    }


CARD = Card(
    name="emoeeg_mc",
    title="EmoEEG-MC, EEG of 60 people during videos and imagery",
    citation="Xu et al., EmoEEG-MC: A Multi-Context Emotional EEG Dataset for Cross-Context Emotion Decoding, "
    "Scientific Data, 2025",
    doi="10.18112/openneuro.ds005540.v1.0.7",
    licence="CC0",
    obtain=OBTAIN,
    modalities={
        "eeg": ModalityCard(release.SITES, math.nan, "uV"),
        **{kind: ModalityCard((kind,), rate, "a.u.") for kind, (_, rate) in release.WRIST.items()},
    },
    default_modalities=("eeg",),
    targets=(
        Target("emotion", "classes", LabelRule("value"), label="emotion", n=len(release.EMOTIONS)),
        Target("positive", "binary", LabelRule("value", positive=(1,), negative=(0,)), label="positive"),
        Target("own_emotion", "classes", LabelRule("value"), label="own_emotion", n=len(release.FELT)),
        *make_binary_targets(("valence", "arousal"), LabelRule("value", cut=3.5, ties="drop"), SCALE),
        *make_scale_targets(("valence", "arousal", *release.FELT), LabelRule("value"), SCALE),
        *make_value_targets(CONFOUND_ONLY, LabelRule("value"), SCALE),
    ),
    mains_hz=50.0,
    longest_s=release.LENGTH_S,
    labels_public="yes",
    fixed_order=False,
    default_targets=("emotion", "positive"),
    verified_on_real={
        "by": "tests of this reader, on the ratings, orders, missing trials and trigger codes of all 60 people of "
        "ds005540 1.0.7, and on NO recording: not one sample of a real EDF or physio file has been read",
        "date": "2026-11-27",
        "fingerprint": "sha256 of participants.tsv 2719739acbacb61dd7e853ed24a5737a0241be1d82743d1282b91f96fb5b1c4d",
    },
)


# As released: OpenNeuro ds005540, `sub-01/beh/..` and `sub-01/eeg/..`. A recording is the part of a trial that the
# authors use, its last 30 s before the ratings. Each context has its own stimuli, such as `film_joy4`, three for each
# emotion. A person has one or two EDF files. Their triggers, whose codes differ between people, give the times of
# trials; `orders.tsv` gives the stimuli. Without EDF files there are only labels.
#
# Quirks: sub-01 has no EDF file, and is excluded if others have one. Ratings of sub-57 to sub-60 are copies of those of
# sub-21 to sub-24, and are not read. For 26 people, ratings do not state the context of a trial; only the triggers do.
# PPG and EDA have Unix times, and are read if the README confirms the time in the EDF file's header.

GUESSED = "IF" * 7
EXPECTED = "sub-01/beh/sub-01_task-emotion_beh.tsv to sub-60"


class Placed(NamedTuple):
    """A trial, the part of an EDF file that is read, the trial's position in the session, and the start of that part in
    s from the start of the first EDF file. The part and the start are None for a subject without EDF files."""

    trial: Trial
    shown: release.Shown | None
    order: int
    start_s: float | None


class EmoEegMc(Dataset):
    """Reader of the release. A recording is the end of a trial, such as `sub-07_film_joy4`, in the order of play."""

    card = CARD

    def subjects(self) -> list[str]:
        """Return the subjects whose EDF files are all there. If that holds for nobody, return the subjects with
        ratings."""
        known = {name: release.locate_files(self.root, person) for name, person in list_people().items()}
        recorded = [name for name, paths in known.items() if paths.recorded]
        found = recorded or [name for name, paths in known.items() if paths.ratings.is_file()]
        return files.require_subjects(found, self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex and age band, if the release's table states them."""
        return self._info.get(subject, {})

    def files(self, subject: str) -> list[Path]:
        """Return the subject's files that exist: ratings, EDF files, PPG and EDA."""
        return self._paths(subject).present()

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield a recording for each trial that is not missing."""
        paths, heads = self._paths(subject), self._heads(subject)
        placed = self._placed(subject, heads)
        rated = self._rated(subject, placed)
        clocks = self._clocks(subject, heads)
        existing = {kind: path for kind, path in paths.wrist.items() if path.is_file() and clocks}
        wrist = {kind: release.read_timed_rows(path, WRIST[kind][0]) for kind, path in existing.items()}
        for run in range(max(len(heads), 1)):
            parts = [one for one in placed if one.shown is None or one.shown.run == run]
            shown = [one.shown for one in parts if one.shown]
            eeg_parts = release.read_eeg(paths.runs[run], shown) if shown else iter(())
            for one in parts:
                signals: dict[str, Signal] = {}
                if one.shown:
                    signals["eeg"] = next(eeg_parts)
                    for kind, (times, values) in wrist.items():
                        began, length_s = clocks[run] + one.shown.start_s, signals["eeg"].duration_s
                        piece = release.cut_piece(times, values, kind, began, length_s)
                        signals |= {kind: piece} if piece else {}
                yield Recording(
                    id=f"{subject}_{one.trial.stimulus}",
                    subject=subject,
                    stimulus=one.trial.stimulus,
                    session="session",
                    duration_s=signals["eeg"].duration_s if signals else LENGTH_S,
                    group=subject,
                    start_s=one.start_s,
                    order=one.order,
                    signals=signals,
                    labels=make_labels(one.trial, rated.get(one.trial)),
                )

    def find_trials(self, subject: str) -> tuple[dict[Trial, Placed], dict[Trial, tuple[float, ...]]]:
        """Return two mappings: trial -> its position and time, and trial -> its ratings. The second lacks trials with
        unknown ratings."""
        placed = self._placed(subject, self._heads(subject))
        return {one.trial: one for one in placed}, self._rated(subject, placed)

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, and on what is missing or odd in each subject's files."""
        return files.collect_findings(self.subjects(), list(list_people()), self.root, self._list_findings)

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        """Yield what is missing or odd in a subject's files. Raises DataError for a damaged file."""
        person, paths = list_people()[subject], self._paths(subject)
        heads = self._heads(subject)
        placed = self._placed(subject, heads)
        where = str(self.root / subject)
        if not heads:
            yield Finding("warning", where, "no EEG, but labels alone: not all EDF files are here")
        elif person.wrist and not self._clocks(subject, heads):
            yield Finding("warning", where, "no PPG and EDA: the EDF header's time is not the one of the README")
        shown = [one.shown for one in placed if one.shown]
        played = [one.trial for one in placed]
        known = person.sequence(person.pairs)
        if heads and played[: len(known)] != known and subject not in COPIED:
            yield Finding("warning", where, "triggers and ratings contradict each other on the order of contexts")
        if short := sum(one.stop_s - one.start_s < LENGTH_S - 1 for one in shown):
            yield Finding("note", where, f"{short} of {len(shown)} trials last under {LENGTH_S:g} s")
        if subject in COPIED:
            yield Finding("note", str(paths.ratings), f"those of {COPIED[subject]}: its own ratings are not released")
        else:
            yield from self._list_rating_findings(paths.ratings, self._rated(subject, placed), placed)
        for kind, path in paths.wrist.items():
            if not path.is_file():
                yield Finding("warning", str(path), f"there is no {kind}")
        for _ in self.recordings(subject):
            pass

    @staticmethod
    def _list_rating_findings(
        path: Path, rated: Mapping[Trial, tuple[float, ...]], placed: list[Placed]
    ) -> Iterator[Finding]:
        """Yield findings on ratings that are off the scale or missing, and on trials without ratings.

        Args:
            path: the file of ratings. `rated`: trial -> its ratings. `placed`: all trials of the subject."""
        scores = [value for row in rated.values() for value in row]
        if off := sum(value < SCALE[0] or value > SCALE[1] for value in scores):
            yield Finding("warning", str(path), f"{off} ratings are off the scale {SCALE[0]:g} to {SCALE[1]:g}")
        if not path.is_file():
            yield Finding("warning", str(path), "the ratings are missing")
        elif lacking := sum(one.trial not in rated for one in placed):
            what = f"{lacking} trials without ratings: which ones are theirs, only triggers of the EDF files say"
            yield Finding("warning", str(path), what)

    def _paths(self, subject: str) -> release.Paths:
        """Return the paths of a subject's files. Raises an error for an unknown subject."""
        files.check_subject(subject, list_people(), self.root, expected=EXPECTED, hint=OBTAIN)
        return release.locate_files(self.root, list_people()[subject])

    def _heads(self, subject: str) -> list[notes.Header]:
        """Return the headers of the subject's EDF files; empty if any of the files is missing."""
        paths = self._paths(subject)
        return [notes.read_header(path, release.CHINA) for path in paths.runs] if paths.recorded else []

    def _clocks(self, subject: str, heads: list[notes.Header]) -> list[float]:
        """Return the start of each EDF file in Unix s; empty if any header contradicts the README."""
        starts = [
            release.find_clock(head, end) for head, end in zip(heads, list_people()[subject].ends, strict=bool(heads))
        ]
        return [began for began in starts if began is not None] if None not in starts else []

    def _placed(self, subject: str, heads: list[notes.Header]) -> list[Placed]:
        """Return the trials in the order of play. If neither EDF files nor ratings state the order of contexts, it is a
        guess, right to within three positions."""
        person, paths = list_people()[subject], self._paths(subject)
        if not heads:
            trials = person.sequence(person.pairs if len(person.pairs) > 1 else GUESSED)
            return [Placed(trial, None, order, None) for order, trial in enumerate(trials)]
        shown = [
            one
            for run, (path, head) in enumerate(zip(paths.runs, heads, strict=True))
            for one in release.find_trials(notes.read_notes(path, head), run, person.codes)
        ]
        # To the minute, the README's times are right for whoever has two files.
        ended = [end.timestamp() - head.seconds for head, end in zip(heads, person.ends, strict=True)]
        began = self._clocks(subject, heads) or ended
        waiting = {context: iter(_name_stimuli(person, context, shown, paths.runs[0])) for context in CONTEXTS}
        found = []
        for order, one in enumerate(shown):
            if name := next(waiting[one.context]):
                found.append(Placed(Trial(one.context, name), one, order, began[one.run] - began[0] + one.start_s))
        return found

    def _rated(self, subject: str, placed: list[Placed]) -> dict[Trial, tuple[float, ...]]:
        """Return a mapping: trial -> its ratings. Empty if the ratings are missing, or if it is unknown to which trials
        they belong."""
        path, person = self._paths(subject).ratings, list_people()[subject]
        if subject in COPIED or not path.is_file():
            return {}
        known = any(one.shown for one in placed) or len(person.pairs) > 1
        return release.sort_ratings(release.read_rated(path), [one.trial for one in placed] if known else None)

    @cached_property
    def _info(self) -> Mapping[str, dict[str, str]]:
        return files.read_subject_info(self.root / "participants.tsv", ("participant_id", "age", "gender"), "\t")


def _name_stimuli(person: Person, context: str, shown: list[release.Shown], path: Path) -> list[str | None]:
    """Return the stimuli of a context's trials in the EDF files, in the order of play. The stimulus is None if the
    release calls the trial missing."""
    count = sum(one.context == context for one in shown)
    order = list(person.orders[context])
    present: list[str | None] = [name for name in order if name]
    if count not in (len(present), len(order)):
        raise DataError(
            f"triggers of {count} {context} trials",
            where=str(path),
            expected=f"{len(present)} trials, as the release lists, or {len(order)} with those that it calls missing",
            hint=f"{release.AGAIN}; if it is whole, report the triggers of {person.name}",
        )
    return order if count == len(order) else present


# EmoEEG-MC as its authors preprocessed it: `derivatives/sub-01/ses-ima/../*_reorder.npy`, and `ses-vid` for films.
#
# An array holds a context's trials in the order of `REORDERED`, 64 channels and 30 s at 200 Hz: .1 to 47 Hz, bad
# channels interpolated, components of eyes and muscles removed, average reference. The unit is assumed to be uV. The
# last 30 s are those before a button press, if there was one. Ratings and the order of play come from the raw release
# in the same folder, if known. Arrays of sub-55 hold more trials than the README lists, and are not read.

RATE, UNCLEAR = 200.0, "sub-55"
EXPECTED_ARRAYS = f"derivatives/sub-01/ses-ima/eeg/sub-01_ses-ima_task-{TASK}_reorder.npy to sub-60"


class EmoEegMcProcessed(Dataset):
    """Reader of the preprocessed arrays. A recording is a trial, such as `sub-07_film_joy4`, in the arrays' order."""

    card = replace(
        CARD,
        name="emoeeg_mc/processed",
        title="EmoEEG-MC, as its authors preprocessed it",
        modalities={"eeg": ModalityCard(SITES, RATE, "uV", applied=(0.1, 47.0))},
        verified_on_real="never",
    )

    def subjects(self) -> list[str]:
        """Return the subjects with both arrays, without sub-55."""
        found = [
            name for name in list_people() if all(path.is_file() for path in self._paths(name)) and name != UNCLEAR
        ]
        return files.require_subjects(found, self.root, self.card.title, expected=EXPECTED_ARRAYS, hint=OBTAIN)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex and age band, if the release's table states them."""
        return EmoEegMc(self.root).subject_info(subject)

    def files(self, subject: str) -> list[Path]:
        """Return the arrays, and the files with ratings and the order of play."""
        return [*self._paths(subject), *EmoEegMc(self.root).files(subject)]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the trials of imagery, then those of films."""
        placed, rated = EmoEegMc(self.root).find_trials(subject)
        for context, path in zip(CONTEXTS, self._paths(subject), strict=True):
            trials = [Trial(context, name) for name in REORDERED if name in list_people()[subject].orders[context]]
            for trial, data in zip(trials, _read(path, len(trials)), strict=True):
                yield Recording(
                    id=f"{subject}_{trial.stimulus}",
                    subject=subject,
                    stimulus=trial.stimulus,
                    session="session",
                    duration_s=data.shape[1] / RATE,
                    group=subject,
                    start_s=placed[trial].start_s,
                    order=placed[trial].order,
                    signals={"eeg": Signal(data.astype(np.float32), RATE, SITES, "uV")},
                    labels=make_labels(trial, rated.get(trial)),
                )

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, and on subjects whose ratings are unknown."""
        return files.collect_findings(self.subjects(), list(list_people()), self.root, self._list_findings)

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        rated = EmoEegMc(self.root).find_trials(subject)[1]
        found = list(self.recordings(subject))
        if lacking := sum(one.stimulus not in {trial.stimulus for trial in rated} for one in found):
            yield Finding("note", str(self._paths(subject)[0]), f"the ratings of {lacking} trials are not known")

    def _paths(self, subject: str) -> list[Path]:
        """Return the paths of the arrays of imagery and films: in the session's folder, or in `eeg` inside it."""
        found = []
        for session in ("ses-ima", "ses-vid"):
            folder = self.root / "derivatives" / subject / session
            name = f"{subject}_{session}_task-{TASK}_reorder.npy"
            found.append(folder / name if (folder / name).is_file() else folder / "eeg" / name)
        return found


def _read(path: Path, count: int) -> np.ndarray:
    """Return an array file as (trials, 64, samples). Raises DataError if it does not have `count` trials."""
    wanted = f"an array of {count} trials x {len(SITES)} channels x 6000 samples"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"not readable: {error}", where=str(path), expected=wanted, hint=AGAIN) from error
    if array.dtype.kind != "f" or array.ndim != 3 or array.shape[:2] != (count, len(SITES)) or not array.shape[2]:
        raise DataError(f"{array.dtype} {array.shape}", where=str(path), expected=wanted, hint=AGAIN)
    return array
