"""FACED as its authors preprocessed it (Chen et al. 2023): `Processed_data/sub000.pkl` to `sub122.pkl`.

A pickle is an array of 28 clips in order of their numbers, 32 channels and the last 30 s of the clip at 250 Hz, in uV,
.05 to 47 Hz, without components of the eyes, against the average of all 32. The last two channels are the mastoids, A2
and A1, and are left out. A restricted unpickler reads it, since pickles may hold programs.

Ratings and the order of play are in no pickle: they come from the original's `Data` or the BIDS release's sidecars in
the same folder. Without those there are only the clips' own labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Dataset, Finding, ModalityCard
from embench.interfaces.recording import Recording, Signal
from embench_plugins.datasets.faced import release
from embench_plugins.datasets.faced.bids import Bids
from embench_plugins.datasets.faced.card import CARD, OBTAIN, labels, recording_id
from embench_plugins.datasets.faced.eeg import spread
from embench_plugins.datasets.faced.layout import CLIPS, ELECTRODES, MASTOIDS, PEOPLE, stimulus
from embench_plugins.datasets.faced.original import Original
from embench_plugins.datasets.formats import files
from embench_plugins.datasets.formats.pickles import load_pickle

RATE, LENGTH_S = 250.0, 30.0
SHAPE = (len(CLIPS), len(ELECTRODES) + len(MASTOIDS), round(RATE * LENGTH_S))
EXPECTED = "Processed_data/sub000.pkl to sub122.pkl"
HINT = "unpack Processed_data of the original release and pass the folder that holds it"
_ARRAY = f"a pickled array of {' x '.join(map(str, SHAPE))} numbers: clips, channels, samples"
_MOST_BYTES = 500_000_000  # of a pickle in its longest form; the array takes 54 MB


class FacedProcessed(Dataset):
    """The reader. A recording is the last 30 s of a clip, such as `sub-007_clip22`, in the order of numbers."""

    card = replace(
        CARD,
        name="faced/processed",
        title="FACED, as its authors preprocessed it",
        modalities={"eeg": ModalityCard(ELECTRODES, RATE, "uV", applied=(0.05, 47.0))},
        longest_s=LENGTH_S,
        verified_on_real="never",
    )

    def subjects(self) -> list[str]:
        """The people with a pickle, `sub-000` and so on."""
        found = [person for person in PEOPLE if self._path(person).is_file()]
        return files.some(found, self.root, self.card.title, expected=EXPECTED, hint=f"{HINT}; {OBTAIN}")

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Sex and age band, where a table of them is beside the pickles."""
        return self._beside.info(subject) if self._beside else {}

    def files(self, subject: str) -> list[Path]:
        """The pickle, and the file of ratings where there is one."""
        ratings = self._ratings(subject)
        return [self._path(subject), *([ratings] if ratings else [])]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """The 28 clips."""
        data, rated = self._read(subject), self._rated(subject)
        order = list(rated)
        for clip, channels in zip(CLIPS, data, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                eeg = channels[: len(ELECTRODES)].astype(np.float32)
            yield Recording(
                id=recording_id(subject, clip),
                subject=subject,
                stimulus=stimulus(clip),
                session="session",
                duration_s=LENGTH_S,
                group=subject,
                start_s=None,
                order=order.index(clip) if clip in rated else None,
                signals={"eeg": Signal(eeg, RATE, ELECTRODES, "uV")},
                labels=labels(clip, rated.get(clip)),
            )

    def verify(self) -> list[Finding]:
        """Who is missing, who has no ratings, and what is odd in each person's files."""
        found = files.look_over(self.subjects(), PEOPLE, self.root, self._look)
        if lacking := [person for person in self.subjects() if self._ratings(person) is None]:
            who = ", ".join(lacking) if len(lacking) < len(self.subjects()) else "all"
            what = f"no ratings and no order of play of {len(lacking)} subjects: {who}"
            found.insert(0, Finding("warning", str(self.root), what))
        return found

    def _look(self, subject: str) -> Iterator[Finding]:
        path = self._path(subject)
        data = self._read(subject)
        if ratings := self._ratings(subject):
            yield from release.look_ratings(ratings, list(self._rated(subject).items()))
        pieces = (Signal(clip[: len(ELECTRODES)].astype(np.float32), RATE, ELECTRODES, "uV") for clip in data)
        sd = float(np.median([spread(piece) for piece in pieces]))
        yield from release.look_eeg(path, subject, sd)

    def _read(self, subject: str) -> np.ndarray:
        """(28, 32, 7500) as in the file."""
        path = self._path(subject)
        read = load_pickle(path, expected=_ARRAY, hint=HINT, most_bytes=_MOST_BYTES)
        if not isinstance(read, np.ndarray) or read.dtype.kind != "f" or read.shape != SHAPE:
            what = f"{read.dtype} {read.shape}" if isinstance(read, np.ndarray) else f"a {type(read).__name__}"
            raise DataError(what, where=str(path), expected=_ARRAY, hint=HINT)
        return read

    def _rated(self, subject: str) -> dict[int, tuple[float, ...]]:
        """The ratings of each clip in the order of play; empty where nothing says them."""
        return dict(self._beside.rated(subject)) if self._beside and subject in self._beside.people else {}

    def _ratings(self, subject: str) -> Path | None:
        return self._beside.files(subject)[0] if self._beside and subject in self._beside.people else None

    def _path(self, subject: str) -> Path:
        return self._folder / f"{subject.replace('-', '')}.pkl"

    @cached_property
    def _folder(self) -> Path:
        """The folder of the pickles: inside the one given, or that one itself."""
        inside = self.root / "Processed_data"
        return inside if inside.is_dir() else self.root

    @cached_property
    def _beside(self) -> Bids | Original | None:
        """The release with ratings: in the folder of the pickles, or the one above it."""
        return release.find(self._folder) or release.find(self._folder.parent)
