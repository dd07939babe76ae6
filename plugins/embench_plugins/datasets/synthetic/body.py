"""A synthetic body for sessions in which heart rate, breathing and sweating change with time.

neurokit2's simulators hold one rate for a whole signal, so these follow a rate of every moment instead. What they plant
is the rate alone: a wave is a function of its cycle's phase, with mean 0 and variance 1 over a cycle however long that
is, and responses of the skin get smaller where they get more frequent, so that mean and variance of a stretch of signal
tell nothing about the rate. Slow changes of gain and level come on top, drawn without regard to anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve, lfilter

_ECG = np.array([[0.20, 0.030, 0.12], [0.36, 0.012, -0.1], [0.40, 0.014, 1], [0.44, 0.014, -0.25], [0.69, 0.053, 0.3]])
_PPG = np.array([[0.25, 0.09, 1.0], [0.58, 0.11, 0.35]])
_CYCLE = np.linspace(0, 1, 2048, endpoint=False)


def smooth_noise(rng: np.random.Generator, samples: int, rate: float, tau_s: float) -> np.ndarray:
    """(samples,) of a stationary Gaussian process: mean 0, variance 1, correlation exp(-t / tau_s)."""
    keep = float(np.exp(-1 / (rate * tau_s)))
    steps = rng.standard_normal(samples) * np.sqrt(1 - keep**2)
    steps[:1] /= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1], [1, -keep], steps))


def planted(latent: np.ndarray, other: np.ndarray, strength: float) -> np.ndarray:
    """(T,) a response that correlates with `latent` (T,) by `strength`, -1 to 1; `other` (T,) is unrelated to it. All
    have variance 1."""
    return strength * latent + np.sqrt(1 - strength**2) * other


def spread(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count,) uniform values in random order, one in each of so many equal parts: both classes occur."""
    return np.clip((rng.permutation(count) + rng.random(count)) / count, 1e-4, 1 - 1e-4)


def pulse(hz: np.ndarray, rate: float, start: float) -> np.ndarray:
    """(T,) phase of cycles of which there are `hz` (T,) a second; `start`, 0 to 1, is the phase at first."""
    return np.cumsum(hz) / rate + start


@dataclass(frozen=True)
class Body:
    """What makes one subject's signals that subject's: shapes and levels that no moment changes."""

    ecg_waves: np.ndarray  # (5, 3): P Q R S T, as phase, width (share of a cycle), height
    ppg_waves: np.ndarray  # (2, 3): the pulse and its echo
    breath_hz: float
    breath_share: float  # by how much breathing modulates heart rate
    conductance: float  # in microsiemens
    skin_temperature: float  # in degrees Celsius

    @staticmethod
    def draw(rng: np.random.Generator) -> Body:
        """One subject's body, drawn from `rng`: amplitudes, breathing rate (Hz), conductance (µS), temperature (°C)."""
        return Body(
            ecg_waves=_ECG * np.exp(0.15 * rng.standard_normal((5, 3)) * [0.1, 1, 1.5]),
            ppg_waves=_PPG * np.exp(0.15 * rng.standard_normal((2, 3)) * [0.2, 1, 1]),
            breath_hz=rng.uniform(0.2, 0.32),
            breath_share=rng.uniform(0.01, 0.04),
            conductance=rng.uniform(2, 12),
            skin_temperature=rng.uniform(30, 35),
        )

    def breathing(
        self, samples: int, rate: float, rng: np.random.Generator, hz: np.ndarray | None = None
    ) -> np.ndarray:
        """(samples,) phase of the breath, at the subject's own rate or at `hz` (samples,)."""
        own = np.full(samples, self.breath_hz) if hz is None else hz
        return pulse(own * np.exp(0.05 * smooth_noise(rng, samples, rate, 20)), rate, rng.random())

    def heart(self, beats_per_min: np.ndarray, breath: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(T,) phase of the heart at a rate (T,) that breathing, by its phase (T,), modulates."""
        swing = self.breath_share * np.sin(2 * np.pi * breath) + 0.01 * smooth_noise(rng, len(breath), rate, 5)
        return pulse(beats_per_min / 60 * (1 + swing), rate, rng.random())

    def ecg(self, phase: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(T,) in mV at the heart's phase (T,)."""
        return 0.3 * (
            _settled(_wave(phase, self.ecg_waves), rate, rng)
            + 0.3 * np.sin(2 * np.pi * 0.15 / rate * np.arange(len(phase)))
        )

    def ppg(self, phase: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(T,) in units of its own standard deviation, at the heart's phase (T,)."""
        return _settled(_wave(phase, self.ppg_waves), rate, rng)

    def respiration(self, breath: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(T,) in units of its own standard deviation, at the breath's phase (T,)."""
        return _settled(np.sqrt(2) * np.sin(2 * np.pi * breath), rate, rng)

    def eda(self, per_min: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(T,) conductance in microsiemens with `per_min` (T,) responses a minute, at `rate` of 4 Hz or more."""
        expected = per_min / 60 / rate
        size = np.sqrt(per_min.mean() / np.maximum(per_min, 1e-3))
        count = rng.poisson(expected)
        shape = _response(25, rate)
        shape /= np.sqrt((shape**2).sum() * expected.mean())
        train = count * size * np.exp(0.25 * rng.standard_normal(len(count)))
        responses = fftconvolve(train - expected * size * np.exp(0.25**2 / 2), shape)[: len(train)]
        drift = smooth_noise(rng, len(train), rate, 120)
        return self.conductance * np.exp(0.06 * responses + 0.1 * drift + 0.0005 * rng.standard_normal(len(train)))

    def temperature(self, samples: int, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(samples,) in degrees Celsius; carries nothing."""
        return self.skin_temperature + 0.4 * smooth_noise(rng, samples, rate, 300) + 0.01 * rng.standard_normal(samples)

    def acceleration(self, samples: int, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(3, samples) in g: gravity, posture and small movements; carries nothing."""
        tilt = np.stack([smooth_noise(rng, samples, rate, 60) for _ in range(3)])
        down = np.array([[0.0], [0.0], [1.0]]) + 0.2 * tilt
        return down / np.linalg.norm(down, axis=0) + 0.01 * rng.standard_normal((3, samples))

    def muscle(self, samples: int, rate: float, rng: np.random.Generator) -> np.ndarray:
        """(samples,) in microvolt: noise in bursts; carries nothing."""
        return 4 * rng.standard_normal(samples) * np.exp(0.6 * smooth_noise(rng, samples, rate, 1))


def skin_responses(count: int, onset_s: float, samples: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """(samples,) of responses of the skin after `onset_s`, spread evenly with jitter."""
    span_s = samples / rate - onset_s
    at = onset_s + (np.arange(count) + rng.uniform(0.1, 0.9, count)) * span_s / max(count, 1)
    train = np.zeros(samples)
    np.add.at(train, (at * rate).astype(int), np.exp(0.25 * rng.standard_normal(count)))
    return fftconvolve(train, _response(20, rate))[:samples]


def _response(seconds: float, rate: float) -> np.ndarray:
    """One response of the skin: a fast rise and a slow fall."""
    after = np.arange(round(seconds * rate)) / rate
    return np.exp(-after / 3) - np.exp(-after / 0.7)


def _wave(phase: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """(T,) sum of bells at phases of a cycle, its mean 0 and its variance 1 over a cycle."""
    at, width, height = waves.T[:, :, None]
    cycle = (height * np.exp(-0.5 * (((_CYCLE - at + 0.5) % 1 - 0.5) / width) ** 2)).sum(0)
    cycle = (cycle - cycle.mean()) / cycle.std()
    return np.interp(phase % 1, np.append(_CYCLE, 1), np.append(cycle, cycle[0]))


def _settled(wave: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """A wave whose size changes slowly, with a little noise."""
    gain = np.exp(0.1 * smooth_noise(rng, len(wave), rate, 60))
    return gain * wave + 0.03 * rng.standard_normal(len(wave))
