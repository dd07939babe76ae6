"""FACED's EEG: the 30 sites of the scalp in uV, a clip at a time, from the BDF file of either release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.recording import Signal
from embench.signals.filters import bandpass
from embench_plugins.datasets.faced.card import Shown
from embench_plugins.datasets.faced.layout import ELECTRODES, MASTOIDS, OLD_NAMES
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.recordings import opened
from embench_plugins.datasets.formats.tracks import AGAIN, Track

MICROVOLT = ("uV", "\u00b5V", "\u03bcV")
"""The unit; also with the micro sign, and with the Greek letter."""
PLAUSIBLE_UV = (1.0, 500.0)
"""What the typical standard deviation of EEG from .5 to 45 Hz may be."""

_SITES = {site.lower(): site for site in (*ELECTRODES, *MASTOIDS)} | {
    old.lower(): new for old, new in OLD_NAMES.items()
}
_PIECE_S = 10.0
_BAND_HZ = (0.5, 45.0)
"""The EEG whose size is judged."""


def site(name: str) -> str:
    """A channel's site by its name of today.

    >>> site("T3"), site("HEOL")
    ('T7', 'A1')
    """
    return _SITES.get(name.lower(), name)


@dataclass(frozen=True)
class Eeg:
    """An open file: the channels of the 30 sites in the card's order."""

    path: Path
    tracks: tuple[Track, ...]

    @property
    def rate(self) -> float:
        """In Hz, the same for all channels."""
        return self.tracks[0].rate

    def read(self, start_s: float, length_s: float) -> Signal:
        """Whole samples of some seconds, in uV. Raises DataError where the file does not hold them."""
        first = round(start_s * self.rate)
        last = first + int(length_s * self.rate + 1e-3)  # times have a few more digits than they have meaning
        if not 0 <= first < last <= self.tracks[0].samples:
            raise DataError(
                f"a clip lies at {start_s:.3f} to {start_s + length_s:.3f} s of {self.tracks[0].duration_s:g} s",
                where=str(self.path), expected="a recording that holds all clips of its events", hint=AGAIN,
            )  # fmt: skip
        data = np.stack([track.read(first, last) for track in self.tracks])
        with np.errstate(over="ignore"):
            return Signal(data.astype(np.float32), self.rate, ELECTRODES, "uV")

    def typical_sd(self, clips: Sequence[Shown]) -> float:
        """The median over clips and channels of the standard deviation from .5 to 45 Hz in 10 s amid each clip."""
        found = []
        for one in clips:
            length_s = min(one.length_s, _PIECE_S)
            found.append(spread(self.read(one.start_s + (one.length_s - length_s) / 2, length_s)))
        return float(np.median(found))


def spread(piece: Signal) -> np.ndarray:
    """The standard deviation of each channel (C,) from .5 to 45 Hz, in the signal's unit."""
    with np.errstate(all="ignore"):  # damaged files hold any number
        return bandpass(piece.data, piece.rate, _BAND_HZ, order=2).std(axis=1, dtype=np.float64)


def plausible(sd: float) -> bool:
    """Whether EEG may have this typical standard deviation in uV."""
    return PLAUSIBLE_UV[0] <= sd <= PLAUSIBLE_UV[1]


@contextmanager
def open_eeg(path: Path, names: Sequence[str], unit: str | None, clips: Sequence[Shown]) -> Iterator[Eeg]:
    """A person's BDF file, open to be read piece by piece.

    Args:
        names: what the release says the channels are, in the file's order; they count where the file's own names are
            no sites.
        unit: what the release says of the unit; None: the file's own statement counts.
        clips: where the unit is none that is known, numbers are taken for uV if those in clips can be that.

    Raises:
        DataError: it is damaged, lacks a site, is no EEG in uV, or its numbers cannot be.
    """
    with opened(path) as channels:
        eeg = _found(path, channels(Channels(channels={name: name for name in ELECTRODES})), names)
        said = {track.unit for track in eeg.tracks}
        if known := sorted({"V", "mV", "nV"} & {text or "" for text in said}):
            raise DataError(f"channels are in {known[0]}", where=str(path), expected="numbers in uV", hint=AGAIN)
        stated = said if unit is None else {unit}
        if not stated <= set(MICROVOLT) and clips and not plausible(sd := eeg.typical_sd(clips)):
            raise DataError(
                f"its unit is not stated, and the EEG's standard deviation (.5 to 45 Hz) is {sd:.3g} uV if its numbers "
                f"are uV, and {1e6 * sd:.3g} uV if they are V",
                where=str(path),
                expected=f"{PLAUSIBLE_UV[0]:g} to {PLAUSIBLE_UV[1]:g} uV if its numbers are uV",
                hint="see what the file holds; where it is missing the subject's labels are read alone",
            )
        yield eeg


def _found(path: Path, tracks: Sequence[Track], names: Sequence[str]) -> Eeg:
    """The sites' channels by name: by the file's own, or by the release's where those are no sites."""
    own = [site(track.name) for track in tracks]
    if not set(ELECTRODES) <= set(own) and len(names) == len(tracks) and not set(own) & set(_SITES.values()):
        own = [site(name) for name in names]
    named = dict(zip(own, tracks, strict=True))
    if missing := [name for name in ELECTRODES if name not in named]:
        what = f"no channel {', '.join(missing[:5])}, but {', '.join(own[:12])}"
        raise DataError(what, where=str(path), expected=f"the sites {', '.join(ELECTRODES)}", hint=AGAIN)
    chosen = tuple(named[name] for name in ELECTRODES)
    for track in chosen:
        if (track.rate, track.samples) != (chosen[0].rate, chosen[0].samples):
            what = f"channel {track.name} has {track.samples} samples of {track.rate:g} Hz"
            raise DataError(what, where=str(path), expected=f"{chosen[0].samples} of {chosen[0].rate:g} Hz", hint=AGAIN)
    if chosen[0].rate <= 2 * _BAND_HZ[1]:
        what = f"{chosen[0].rate:.4g} Hz, which holds no EEG up to {_BAND_HZ[1]:g} Hz"
        raise DataError(what, where=str(path), expected="the 250 or 1000 Hz of the release", hint=AGAIN)
    return Eeg(path, chosen)
