"""FACED (Chen et al. 2023): EEG of 123 people during 28 video clips, each meant to evoke one of nine emotions, with
ratings.

`Faced` reads the recordings as released, `FacedProcessed` those that the authors preprocessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Dataset, Finding, ModalityCard
from embench.interfaces.recording import Recording, Signal
from embench_plugins.datasets.faced import release
from embench_plugins.datasets.faced.release import (
    CARD,
    CLIPS,
    ELECTRODES,
    MASTOIDS,
    MICROVOLT,
    OBTAIN,
    PEOPLE,
    Bids,
    Eeg,
    Original,
    Shown,
    make_labels,
    measure_spread,
    name_recording,
    name_stimulus,
    open_eeg,
)
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.pickles import load_pickle

# As released: the BIDS release (NEMAR nm000112: `sub-000/eeg/..`) or the original one (Synapse syn50614194:
# `Data/sub000/..`), see `release`. A recording is one clip, and only clips are read from a BDF file. If that file is
# missing, the person's recordings have labels and no signals.
#
# The 30 sites are identified by name, since there are two layouts, at 1000 or 250 Hz. Clip 22 began 8 s earlier for
# some people: only the part that all people saw is read. The BDF files of 33 people do not state their unit. It is
# assumed to be uV, and refused if the EEG would then be implausibly large or small.


class Faced(Dataset):
    """Reader of the recordings as released. A recording is a clip, such as `sub-007_clip22`, in the order of play."""

    card = replace(CARD, downloads=release.list_downloads())

    def subjects(self) -> list[str]:
        """Return the subjects with events, `sub-000` and so on, or with ratings in the original release."""
        return self._release.people

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex and age band, if they are known, and `device`: the amplifier's layout and rate."""
        channels = self._find_release(subject).channels(subject)
        layout = 1 if "T3" in channels.layout else 2
        return {**self._release.info(subject), "device": f"layout {layout}, {channels.rate:g} Hz"}

    def files(self, subject: str) -> list[Path]:
        """Return the subject's events or ratings, and the EEG if it exists."""
        return self._find_release(subject).files(subject)

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the clips in the order of play."""
        clips = self._find_release(subject).clips(subject)
        with self._eeg(subject, clips) as eeg:
            for order, one in enumerate(clips):
                yield Recording(
                    id=name_recording(subject, one.clip),
                    subject=subject,
                    stimulus=name_stimulus(one.clip),
                    session="session",
                    duration_s=one.length_s,
                    group=subject,
                    start_s=one.start_s,
                    order=order,
                    signals={"eeg": eeg.read(one.start_s, one.length_s)} if eeg else {},
                    labels=make_labels(one.clip, one.ratings),
                )

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, missing EEG, and on what is odd in each subject's files."""
        found = files.collect_findings(self.subjects(), PEOPLE, self.root, self._list_findings)
        if lacking := [person for person in self.subjects() if not self._release.bdf(person).is_file()]:
            who = ", ".join(lacking) if len(lacking) < len(self.subjects()) else "all"
            what = f"no EEG of {len(lacking)} subjects, whose labels alone are read: {who}"
            found.insert(0, Finding("warning", str(self.root), what))
        return found

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        where, clips = self._release.files(subject)[0], self._release.clips(subject)
        yield from self._release.list_findings(subject)
        yield from release.list_rating_findings(where, [(one.clip, one.ratings) for one in clips])
        with self._eeg(subject, clips) as eeg:
            if eeg is None:
                yield from release.list_eeg_findings(where, subject, None)
                return
            yield from release.list_eeg_findings(eeg.path, subject, eeg.measure_typical_sd(clips))
            if eeg.rate != (stated := self._release.channels(subject).rate):
                yield Finding("warning", str(eeg.path), f"{eeg.rate:g} Hz, the release states {stated:g} Hz")

    def _eeg(self, subject: str, clips: list[Shown]) -> AbstractContextManager[Eeg | None]:
        """Open the subject's EEG as a context; None if its file is missing."""
        bdf = self._release.bdf(subject)
        if not bdf.is_file():
            return nullcontext()
        channels = self._release.channels(subject)
        # The known bad file is not checked for plausible EEG: it would stop reading all other people's files.
        unit = MICROVOLT[0] if subject == release.BAD else channels.unit
        return open_eeg(bdf, channels.layout, unit, clips)

    @cached_property
    def _release(self) -> Bids | Original:
        found = release.find_release(self.root)
        if found is None:
            raise files.missing_dataset_error(self.root, self.card.title, expected=release.EXPECTED, hint=OBTAIN)
        return found

    def _find_release(self, subject: str) -> Bids | Original:
        """Return the release. Raises DataError if it lacks the subject."""
        files.check_subject(subject, self._release.people, self.root, hint=OBTAIN)
        return self._release


# FACED as its authors preprocessed it (Chen et al. 2023): `Processed_data/sub000.pkl` to `sub122.pkl`.
#
# A pickle is an array of 28 clips in order of their numbers, 32 channels and the last 30 s of the clip at 250 Hz, in
# uV, .05 to 47 Hz, without components of the eyes, average reference. The last two channels are the mastoids, A2 and
# A1, and are left out. A restricted unpickler reads it, since pickles may hold programs.
#
# Ratings and the order of play come from the original's `Data` or the BIDS release's sidecars in the same folder.
# Without those there are only the clips' own labels.

RATE, LENGTH_S = 250.0, 30.0
SHAPE = (len(CLIPS), len(ELECTRODES) + len(MASTOIDS), round(RATE * LENGTH_S))
EXPECTED = "Processed_data/sub000.pkl to sub122.pkl"
HINT = "unpack Processed_data of the original release and pass the folder that holds it"
_ARRAY = f"a pickled array of {' x '.join(map(str, SHAPE))} numbers: clips, channels, samples"
_MOST_BYTES = 500_000_000  # of a pickle in its longest form; the array takes 54 MB


class FacedProcessed(Dataset):
    """Reader of the processed EEG. A recording is the last 30 s of a clip, such as `sub-007_clip22`, by number."""

    card = replace(
        CARD,
        name="faced/processed",
        title="FACED, as its authors preprocessed it",
        modalities={"eeg": ModalityCard(ELECTRODES, RATE, "uV", applied=(0.05, 47.0))},
        longest_s=LENGTH_S,
        verified_on_real="never",
    )

    def subjects(self) -> list[str]:
        """Return the subjects with a pickle, `sub-000` and so on."""
        found = [person for person in PEOPLE if self._path(person).is_file()]
        return files.require_subjects(found, self.root, self.card.title, expected=EXPECTED, hint=f"{HINT}; {OBTAIN}")

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return sex and age band, if a table that states them is beside the pickles."""
        return self._rated_release.info(subject) if self._rated_release else {}

    def files(self, subject: str) -> list[Path]:
        """Return the pickle, and the file of ratings if there is one."""
        ratings = self._ratings(subject)
        return [self._path(subject), *([ratings] if ratings else [])]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield the 28 clips, by number."""
        data, rated = self._read(subject), self._rated(subject)
        order = list(rated)
        for clip, channels in zip(CLIPS, data, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                eeg = channels[: len(ELECTRODES)].astype(np.float32)
            yield Recording(
                id=name_recording(subject, clip),
                subject=subject,
                stimulus=name_stimulus(clip),
                session="session",
                duration_s=LENGTH_S,
                group=subject,
                start_s=None,
                order=order.index(clip) if clip in rated else None,
                signals={"eeg": Signal(eeg, RATE, ELECTRODES, "uV")},
                labels=make_labels(clip, rated.get(clip)),
            )

    def verify(self) -> list[Finding]:
        """Return findings on missing subjects, missing ratings, and on what is odd in each subject's files."""
        found = files.collect_findings(self.subjects(), PEOPLE, self.root, self._list_findings)
        if lacking := [person for person in self.subjects() if self._ratings(person) is None]:
            who = ", ".join(lacking) if len(lacking) < len(self.subjects()) else "all"
            what = f"no ratings and no order of play of {len(lacking)} subjects: {who}"
            found.insert(0, Finding("warning", str(self.root), what))
        return found

    def _list_findings(self, subject: str) -> Iterator[Finding]:
        path = self._path(subject)
        data = self._read(subject)
        if ratings := self._ratings(subject):
            yield from release.list_rating_findings(ratings, list(self._rated(subject).items()))
        pieces = (Signal(clip[: len(ELECTRODES)].astype(np.float32), RATE, ELECTRODES, "uV") for clip in data)
        sd = float(np.median([measure_spread(piece) for piece in pieces]))
        yield from release.list_eeg_findings(path, subject, sd)

    def _read(self, subject: str) -> np.ndarray:
        """Return the array in the subject's pickle, (28, 32, 7500)."""
        path = self._path(subject)
        array = load_pickle(path, expected=_ARRAY, hint=HINT, most_bytes=_MOST_BYTES)
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.shape != SHAPE:
            what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            raise DataError(what, where=str(path), expected=_ARRAY, hint=HINT)
        return array

    def _rated(self, subject: str) -> dict[int, tuple[float, ...]]:
        """Return clip -> its ratings, in the order of play; empty if they are unknown."""
        known = self._rated_release
        return dict(known.rated(subject)) if known and subject in known.people else {}

    def _ratings(self, subject: str) -> Path | None:
        known = self._rated_release
        return known.files(subject)[0] if known and subject in known.people else None

    def _path(self, subject: str) -> Path:
        return self._folder / f"{subject.replace('-', '')}.pkl"

    @cached_property
    def _folder(self) -> Path:
        """Folder of the pickles: `Processed_data` in the root, or the root itself."""
        inside = self.root / "Processed_data"
        return inside if inside.is_dir() else self.root

    @cached_property
    def _rated_release(self) -> Bids | Original | None:
        """The release with ratings: in the folder of the pickles, or in the folder above it; None if there is none."""
        return release.find_release(self._folder) or release.find_release(self._folder.parent)
