"""FACED (Chen et al. 2023): EEG of 123 people during 28 film clips, each meant for one of nine emotions and rated.

Reads the BIDS release (NEMAR nm000112: `sub-000/eeg/..`) or the original one (Synapse syn50614194: `Data/sub000/..`),
whichever the folder holds; see `faced_bids` and `faced_original`. A recording is one clip, and of a BDF file no more is
read than its clips. Where that file is missing the person's recordings have labels and no signals.

The 30 sites are joined by name, since people have them in two layouts, at 1000 or 250 Hz. Clip 22 began 8 s earlier in
some people's version: only what all have seen is read. The BDF files of 33 people do not state their unit; it is taken
for uV, and refused where the EEG would then be impossibly large or small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from embench.interfaces.dataset import Dataset, Finding
from embench.interfaces.recording import Recording
from embench_plugins.datasets.faced import release
from embench_plugins.datasets.faced.bids import Bids
from embench_plugins.datasets.faced.card import CARD, OBTAIN, Shown, labels, recording_id
from embench_plugins.datasets.faced.eeg import MICROVOLT, Eeg, open_eeg
from embench_plugins.datasets.faced.layout import PEOPLE, stimulus
from embench_plugins.datasets.faced.original import Original
from embench_plugins.datasets.formats import files


class Faced(Dataset):
    """The reader. A recording is a clip, such as `sub-007_clip22`, in the order of play."""

    card = replace(CARD, downloads=release.downloads())

    def subjects(self) -> list[str]:
        """The people with events, `sub-000` and so on, or with ratings in the original release."""
        return self._release.people

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Sex and age band where the release's table says them; the amplifier's layout of channels, and its rate."""
        channels = self._of(subject).channels(subject)
        layout = 1 if "T3" in channels.layout else 2
        return {**self._release.info(subject), "device": f"layout {layout}, {channels.rate:g} Hz"}

    def files(self, subject: str) -> list[Path]:
        """The person's events or ratings, and the EEG where it is there."""
        return self._of(subject).files(subject)

    def recordings(self, subject: str) -> Iterator[Recording]:
        """The clips in the order of play."""
        clips = self._of(subject).clips(subject)
        with self._eeg(subject, clips) as eeg:
            for order, one in enumerate(clips):
                yield Recording(
                    id=recording_id(subject, one.clip),
                    subject=subject,
                    stimulus=stimulus(one.clip),
                    session="session",
                    duration_s=one.length_s,
                    group=subject,
                    start_s=one.start_s,
                    order=order,
                    signals={"eeg": eeg.read(one.start_s, one.length_s)} if eeg else {},
                    labels=labels(one.clip, one.ratings),
                )

    def verify(self) -> list[Finding]:
        """Who is missing, with or without the EEG, and what is odd in each person's files."""
        found = files.look_over(self.subjects(), PEOPLE, self.root, self._look)
        if lacking := [person for person in self.subjects() if not self._release.bdf(person).is_file()]:
            who = ", ".join(lacking) if len(lacking) < len(self.subjects()) else "all"
            what = f"no EEG of {len(lacking)} subjects, whose labels alone are read: {who}"
            found.insert(0, Finding("warning", str(self.root), what))
        return found

    def _look(self, subject: str) -> Iterator[Finding]:
        where, clips = self._release.files(subject)[0], self._release.clips(subject)
        yield from self._release.look(subject)
        yield from release.look_ratings(where, [(one.clip, one.ratings) for one in clips])
        with self._eeg(subject, clips) as eeg:
            if eeg is None:
                yield from release.look_eeg(where, subject, None)
                return
            yield from release.look_eeg(eeg.path, subject, eeg.typical_sd(clips))
            if eeg.rate != (stated := self._release.channels(subject).rate):
                yield Finding("warning", str(eeg.path), f"{eeg.rate:g} Hz, the release states {stated:g} Hz")

    def _eeg(self, subject: str, clips: list[Shown]) -> AbstractContextManager[Eeg | None]:
        bdf = self._release.bdf(subject)
        if not bdf.is_file():
            return nullcontext()
        channels = self._release.channels(subject)
        # Of the one known to be bad, numbers need not look like EEG: all others' data would wait for that file.
        unit = MICROVOLT[0] if subject == release.BAD else channels.unit
        return open_eeg(bdf, channels.layout, unit, clips)

    @cached_property
    def _release(self) -> Bids | Original:
        found = release.find(self.root)
        if found is None:
            raise files.not_this(self.root, self.card.title, expected=release.EXPECTED, hint=OBTAIN)
        return found

    def _of(self, subject: str) -> Bids | Original:
        files.known(subject, self._release.people, self.root, hint=OBTAIN)
        return self._release
