"""A synthetic EEG: a 1/f background and an alpha rhythm whose frontal asymmetry is planted.

What is planted is the share of a channel's variance that is alpha. The channel as a whole is standardised and given a
random gain, so that its mean and variance tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

FRONTAL = ("Fp", "AF", "F", "FC")


@dataclass(frozen=True)
class Brain:
    """What makes one subject's EEG that subject's: what no trial changes."""

    side: np.ndarray  # (channels,): -1 frontal left, 1 frontal right, 0 elsewhere
    left: np.ndarray  # (channels,): share of the left of two sources of alpha; the right one has the rest
    slope: float  # of the 1/f spectrum
    alpha_hz: float
    alpha: np.ndarray  # (channels,): log variance of alpha over the background's
    mixing: np.ndarray  # (channels, channels): of background sources to electrodes

    @staticmethod
    def draw(rng: np.random.Generator, channels: Sequence[str]) -> Brain:
        """A subject's EEG at electrodes named as in the 10-20 system: odd numbers left, even ones right, `z`
        between."""
        hemisphere = np.array([0 if name[-1] == "z" else 1 if int(name[-1]) % 2 == 0 else -1 for name in channels])
        frontal = np.array([name.rstrip("z0123456789") in FRONTAL for name in channels])
        side = np.where(frontal, hemisphere, 0).astype(float)
        count = len(channels)
        return Brain(
            side=side,
            left=(1 - hemisphere) / 2,
            slope=rng.uniform(0.7, 1.5),
            alpha_hz=rng.uniform(9, 11.5),
            alpha=0.5 * rng.standard_normal(count) + np.where(np.abs(side) > 0, -0.5, 0.3),
            mixing=np.eye(count) + 0.2 * rng.standard_normal((count, count)),
        )

    def eeg(
        self,
        asymmetry: float | np.ndarray,
        samples: int,
        rate: float,
        rng: np.random.Generator,
        *,
        band: tuple[float, float],
        skip: int = 0,
    ) -> np.ndarray:
        """(channels, samples) of random gain, with mean 0 and variance near 1 after the first `skip` samples.

        Args:
            asymmetry: log power of alpha, right over left, of the trial or of every moment (samples,). Where it varies,
                each moment has the same expected variance.
            band: Hz that the release is filtered to.
        """
        length = fft.next_fast_len(samples, real=True)
        hz = np.fft.rfftfreq(length, 1 / rate)
        kept = (hz >= band[0]) & (hz <= band[1])
        background = np.where(kept, np.maximum(hz, 1) ** (-self.slope / 2), 0)
        peak = kept * np.exp(-0.5 * (hz - self.alpha_hz) ** 2)
        count = len(self.side)
        spectra = fft.rfft(rng.standard_normal((2 * count + 2, length)))
        noise = standardised(self.mixing @ fft.irfft(spectra[:count] * background, length)[:, :samples], skip)
        alpha = fft.irfft(spectra[count:] * peak, length)[:, :samples]
        shared = self.left[:, None] * alpha[count] + (1 - self.left[:, None]) * alpha[count + 1]
        alpha = standardised(alpha[:count] + shared, skip)
        level = (self.alpha + 0.2 * rng.standard_normal())[:, None]
        level = level + 0.5 * np.atleast_1d(asymmetry) * self.side[:, None]  # (channels, 1 or samples)
        loudness = np.sqrt(1 + np.exp(level)) if np.ndim(asymmetry) else 1.0
        return standardised((noise + np.exp(level / 2) * alpha) / loudness, skip) * gain(rng, count)


def standardised(x: np.ndarray, skip: int = 0) -> np.ndarray:
    """`x` (..., T) with mean 0 and variance 1 in each row after the first `skip` samples."""
    kept = x[..., skip:]
    return np.asarray((x - kept.mean(axis=-1, keepdims=True)) / kept.std(axis=-1, keepdims=True))


def gain(rng: np.random.Generator, rows: int) -> np.ndarray:
    """(rows, 1) factors near 1, drawn without regard to anything."""
    return np.exp(0.1 * rng.standard_normal((rows, 1)))
