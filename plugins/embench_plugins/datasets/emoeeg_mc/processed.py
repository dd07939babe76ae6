"""EmoEEG-MC as its authors preprocessed it: `derivatives/sub-01/ses-ima/../*_reorder.npy`, and `ses-vid` for films.

An array holds a context's trials in the order of `REORDERED`, 64 channels and 30 s at 200 Hz: .1 to 47 Hz, bad channels
interpolated, components of eyes and muscles removed, against the average of all. The unit is taken for uV. The last
30 s are those before a button press where there was one. Ratings and the order of play are those of the raw form in the
same folder, as far as they are known there. Arrays of sub-55 hold more trials than the README lists, and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Dataset, Finding, ModalityCard
from embench.interfaces.recording import Recording, Signal
from embench_plugins.datasets.emoeeg_mc.card import CARD, OBTAIN, labels
from embench_plugins.datasets.emoeeg_mc.files import AGAIN
from embench_plugins.datasets.emoeeg_mc.layout import CONTEXTS, REORDERED, SITES, TASK, Trial, people
from embench_plugins.datasets.emoeeg_mc.reader import EmoEegMc
from embench_plugins.datasets.formats import files

RATE, UNCLEAR = 200.0, "sub-55"
EXPECTED = f"derivatives/sub-01/ses-ima/eeg/sub-01_ses-ima_task-{TASK}_reorder.npy to sub-60"


class EmoEegMcProcessed(Dataset):
    """The reader. A recording is a trial, such as `sub-07_film_joy4`, in the order of the arrays."""

    card = replace(
        CARD,
        name="emoeeg_mc/processed",
        title="EmoEEG-MC, as its authors preprocessed it",
        modalities={"eeg": ModalityCard(SITES, RATE, "uV", applied=(0.1, 47.0))},
        verified_on_real="never",
    )

    def subjects(self) -> list[str]:
        """The people with both arrays, but for sub-55."""
        found = [name for name in people() if all(path.is_file() for path in self._paths(name)) and name != UNCLEAR]
        return files.some(found, self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Sex and age band, where the release's table says them."""
        return EmoEegMc(self.root).subject_info(subject)

    def files(self, subject: str) -> list[Path]:
        """The arrays, and what says ratings and the order of play."""
        return [*self._paths(subject), *EmoEegMc(self.root).files(subject)]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Imagery, then films."""
        placed, rated = EmoEegMc(self.root).known(subject)
        for context, path in zip(CONTEXTS, self._paths(subject), strict=True):
            trials = [Trial(context, name) for name in REORDERED if name in people()[subject].orders[context]]
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
                    labels=labels(trial, rated.get(trial)),
                )

    def verify(self) -> list[Finding]:
        """Findings on who is missing, and whose ratings are not known."""
        return files.look_over(self.subjects(), list(people()), self.root, self._look)

    def _look(self, subject: str) -> Iterator[Finding]:
        rated = EmoEegMc(self.root).known(subject)[1]
        found = list(self.recordings(subject))
        if lacking := sum(one.stimulus not in {trial.stimulus for trial in rated} for one in found):
            yield Finding("note", str(self._paths(subject)[0]), f"the ratings of {lacking} trials are not known")

    def _paths(self, subject: str) -> list[Path]:
        """The arrays of imagery and of films, which lie in a folder `eeg` or beside it."""
        found = []
        for session in ("ses-ima", "ses-vid"):
            folder = self.root / "derivatives" / subject / session
            name = f"{subject}_{session}_task-{TASK}_reorder.npy"
            found.append(folder / name if (folder / name).is_file() else folder / "eeg" / name)
        return found


def _read(path: Path, count: int) -> np.ndarray:
    """(trials, 64, samples) as in the file."""
    wanted = f"an array of {count} trials x {len(SITES)} channels x 6000 samples"
    try:
        read = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"not readable: {error}", where=str(path), expected=wanted, hint=AGAIN) from error
    if read.dtype.kind != "f" or read.ndim != 3 or read.shape[:2] != (count, len(SITES)) or not read.shape[2]:
        raise DataError(f"{read.dtype} {read.shape}", where=str(path), expected=wanted, hint=AGAIN)
    return read
