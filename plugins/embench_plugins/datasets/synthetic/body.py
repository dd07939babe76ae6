"""Synthetic physiological signals with rates that change in time: heart, breathing, EDA and EEG, and a wristband's
files.

The signals follow a rate that may change at every moment; neurokit2's simulators hold one rate for a whole signal.
Planted effects appear in the shape of a signal only: its mean and variance carry no information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import fft
from scipy.signal import fftconvolve, lfilter

from embench_plugins.datasets.devices.e4 import COUNT_G

# Signals whose planted information is a rate. A wave is a function of its cycle's phase, with mean 0 and variance 1
# over a cycle of any length. Skin conductance responses get smaller where they get more frequent. Mean and variance of
# a segment thus carry no information about the rate. Slow random changes of gain and level are added.

_ECG = np.array([[0.20, 0.030, 0.12], [0.36, 0.012, -0.1], [0.40, 0.014, 1], [0.44, 0.014, -0.25], [0.69, 0.053, 0.3]])
_PPG = np.array([[0.25, 0.09, 1.0], [0.58, 0.11, 0.35]])
_CYCLE = np.linspace(0, 1, 2048, endpoint=False)


def draw_smooth_noise(rng: np.random.Generator, samples: int, rate: float, tau_s: float) -> np.ndarray:
    """Return (samples,) noise of a stationary Gaussian process: mean 0, variance 1, correlation exp(-t / tau_s)."""
    decay = float(np.exp(-1 / (rate * tau_s)))
    steps = rng.standard_normal(samples) * np.sqrt(1 - decay**2)
    steps[:1] /= np.sqrt(1 - decay**2)
    return np.asarray(lfilter([1], [1, -decay], steps))


def plant_response(latent: np.ndarray, other: np.ndarray, strength: float) -> np.ndarray:
    """Return a response (T,) of variance 1 whose correlation with `latent` (T,) is `strength`, -1 to 1. `other` (T,) is
    independent of `latent`; both have variance 1."""
    return strength * latent + np.sqrt(1 - strength**2) * other


def spread_values(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return (count,) values in random order, one in each of `count` equal parts of 0 to 1: both classes occur."""
    return np.clip((rng.permutation(count) + rng.random(count)) / count, 1e-4, 1 - 1e-4)


def make_phase(hz: np.ndarray, rate: float, start: float) -> np.ndarray:
    """Return the phase (T,) in cycles for a frequency `hz` (T,), from `start`, 0 to 1, at the first sample."""
    return np.cumsum(hz) / rate + start


@dataclass(frozen=True)
class Body:
    """Shapes and levels of one subject's signals."""

    ecg_waves: np.ndarray  # (5, 3): P Q R S T, as phase, width (proportion of a cycle), height
    ppg_waves: np.ndarray  # (2, 3): the pulse and its reflection
    breath_hz: float
    breath_share: float  # relative modulation of heart rate by breathing
    conductance: float  # in microsiemens
    skin_temperature: float  # in degrees Celsius

    @staticmethod
    def draw(rng: np.random.Generator) -> Body:
        """Draw one subject's body from `rng`: amplitudes, breathing rate (Hz), conductance (µS), temperature (°C)."""
        return Body(
            ecg_waves=_ECG * np.exp(0.15 * rng.standard_normal((5, 3)) * [0.1, 1, 1.5]),
            ppg_waves=_PPG * np.exp(0.15 * rng.standard_normal((2, 3)) * [0.2, 1, 1]),
            breath_hz=rng.uniform(0.2, 0.32),
            breath_share=rng.uniform(0.01, 0.04),
            conductance=rng.uniform(2, 12),
            skin_temperature=rng.uniform(30, 35),
        )

    def draw_breath_phase(
        self, samples: int, rate: float, rng: np.random.Generator, hz: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the phase of breathing (samples,) in cycles, at the subject's own rate or at `hz` (samples,)."""
        typical_hz = np.full(samples, self.breath_hz) if hz is None else hz
        return make_phase(typical_hz * np.exp(0.05 * draw_smooth_noise(rng, samples, rate, 20)), rate, rng.random())

    def draw_heart_phase(
        self, beats_per_min: np.ndarray, breath: np.ndarray, rate: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Return the phase of the heart (T,) in cycles, for a rate (T,) that breathing modulates by its phase (T,)."""
        swing = self.breath_share * np.sin(2 * np.pi * breath) + 0.01 * draw_smooth_noise(rng, len(breath), rate, 5)
        return make_phase(beats_per_min / 60 * (1 + swing), rate, rng.random())

    def draw_ecg(self, phase: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return ECG (T,) in mV for the heart's phase (T,)."""
        return 0.3 * (
            _settle(_make_wave(phase, self.ecg_waves), rate, rng)
            + 0.3 * np.sin(2 * np.pi * 0.15 / rate * np.arange(len(phase)))
        )

    def draw_ppg(self, phase: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return PPG (T,) in units of its standard deviation, for the heart's phase (T,)."""
        return _settle(_make_wave(phase, self.ppg_waves), rate, rng)

    def draw_respiration(self, breath: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return respiration (T,) in units of its standard deviation, for the phase of breathing (T,)."""
        return _settle(np.sqrt(2) * np.sin(2 * np.pi * breath), rate, rng)

    def draw_eda(self, per_min: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return conductance (T,) in µS with `per_min` (T,) responses per minute, at a `rate` of 4 Hz or more."""
        expected = per_min / 60 / rate
        size = np.sqrt(per_min.mean() / np.maximum(per_min, 1e-3))
        count = rng.poisson(expected)
        shape = _make_response(25, rate)
        shape /= np.sqrt((shape**2).sum() * expected.mean())
        train = count * size * np.exp(0.25 * rng.standard_normal(len(count)))
        responses = fftconvolve(train - expected * size * np.exp(0.25**2 / 2), shape)[: len(train)]
        drift = draw_smooth_noise(rng, len(train), rate, 120)
        return self.conductance * np.exp(0.06 * responses + 0.1 * drift + 0.0005 * rng.standard_normal(len(train)))

    def draw_temperature(self, samples: int, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return (samples,) skin temperature in °C; nothing is planted in it."""
        return (
            self.skin_temperature
            + 0.4 * draw_smooth_noise(rng, samples, rate, 300)
            + 0.01 * rng.standard_normal(samples)
        )

    def draw_acceleration(self, samples: int, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return (3, samples) acceleration in g, from gravity, posture and small movements, without any effect."""
        tilt = np.stack([draw_smooth_noise(rng, samples, rate, 60) for _ in range(3)])
        down = np.array([[0.0], [0.0], [1.0]]) + 0.2 * tilt
        return down / np.linalg.norm(down, axis=0) + 0.01 * rng.standard_normal((3, samples))

    def draw_emg(self, samples: int, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return (samples,) EMG in µV, noise in bursts; nothing is planted in it."""
        return 4 * rng.standard_normal(samples) * np.exp(0.6 * draw_smooth_noise(rng, samples, rate, 1))


def make_skin_responses(count: int, onset_s: float, samples: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Return a signal (samples,) of `count` skin conductance responses after `onset_s`, evenly spaced with jitter."""
    span_s = samples / rate - onset_s
    times_s = onset_s + (np.arange(count) + rng.uniform(0.1, 0.9, count)) * span_s / max(count, 1)
    train = np.zeros(samples)
    np.add.at(train, (times_s * rate).astype(int), np.exp(0.25 * rng.standard_normal(count)))
    return fftconvolve(train, _make_response(20, rate))[:samples]


def _make_response(seconds: float, rate: float) -> np.ndarray:
    """Return (T,) one skin conductance response, a fast rise and a slow fall, of `seconds` at `rate` Hz."""
    after = np.arange(round(seconds * rate)) / rate
    return np.exp(-after / 3) - np.exp(-after / 0.7)


def _make_wave(phase: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Return a periodic signal (T,) at the phases `phase` (T,) in cycles. A cycle is a sum of N bells, shifted and
    scaled to mean 0 and variance 1. `waves`: (N, 3) phase, width (proportion of a cycle) and height of each bell."""
    position, width, height = waves.T[:, :, None]
    cycle = (height * np.exp(-0.5 * (((_CYCLE - position + 0.5) % 1 - 0.5) / width) ** 2)).sum(0)
    cycle = (cycle - cycle.mean()) / cycle.std()
    return np.interp(phase % 1, np.append(_CYCLE, 1), np.append(cycle, cycle[0]))


def _settle(wave: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Return (T,) the signal `wave` (T,) with slowly changing amplitude and a little noise."""
    gain = np.exp(0.1 * draw_smooth_noise(rng, len(wave), rate, 60))
    return gain * wave + 0.03 * rng.standard_normal(len(wave))


# A synthetic EEG: a 1/f background and an alpha rhythm whose frontal asymmetry is planted.
#
# Planted is the proportion of a channel's variance that is alpha. The whole channel is standardised and gets a random
# gain, so that its mean and variance carry no information.

FRONTAL = ("Fp", "AF", "F", "FC")


@dataclass(frozen=True)
class Brain:
    """Shapes and levels of one subject's EEG, the same in all trials."""

    side: np.ndarray  # (channels,): -1 frontal left, 1 frontal right, 0 elsewhere
    left: np.ndarray  # (channels,): weight of the left of two sources of alpha; the right one has the rest
    slope: float  # of the 1/f spectrum
    alpha_hz: float
    alpha: np.ndarray  # (channels,): log variance of alpha over the background's
    mixing: np.ndarray  # (channels, channels): of background sources to electrodes

    @staticmethod
    def draw(rng: np.random.Generator, channels: Sequence[str]) -> Brain:
        """Draw a subject's EEG at electrodes of the 10-20 system: odd numbers are left, even ones right, `z`
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

    def draw_eeg(
        self,
        asymmetry: float | np.ndarray,
        samples: int,
        rate: float,
        rng: np.random.Generator,
        *,
        band: tuple[float, float],
        skip: int = 0,
    ) -> np.ndarray:
        """Return (channels, samples) EEG with random gain, mean 0 and variance near 1 after the first `skip` samples.

        Args:
            asymmetry: log of alpha power, right over left, for the trial or for every sample (samples,). The expected
                variance is the same at all samples.
            band: edges in Hz of the release's filter.
        """
        length = fft.next_fast_len(samples, real=True)
        hz = np.fft.rfftfreq(length, 1 / rate)
        in_band = (hz >= band[0]) & (hz <= band[1])
        background = np.where(in_band, np.maximum(hz, 1) ** (-self.slope / 2), 0)
        peak = in_band * np.exp(-0.5 * (hz - self.alpha_hz) ** 2)
        count = len(self.side)
        spectra = fft.rfft(rng.standard_normal((2 * count + 2, length)))
        noise = standardise(self.mixing @ fft.irfft(spectra[:count] * background, length)[:, :samples], skip)
        alpha = fft.irfft(spectra[count:] * peak, length)[:, :samples]
        shared = self.left[:, None] * alpha[count] + (1 - self.left[:, None]) * alpha[count + 1]
        alpha = standardise(alpha[:count] + shared, skip)
        level = (self.alpha + 0.2 * rng.standard_normal())[:, None]
        level = level + 0.5 * np.atleast_1d(asymmetry) * self.side[:, None]  # (channels, 1 or samples)
        loudness = np.sqrt(1 + np.exp(level)) if np.ndim(asymmetry) else 1.0
        return standardise((noise + np.exp(level / 2) * alpha) / loudness, skip) * draw_gain(rng, count)


def standardise(x: np.ndarray, skip: int = 0) -> np.ndarray:
    """Return `x` (..., T) scaled and shifted along the last axis, so that the samples after the first `skip` have mean
    0 and variance 1."""
    after = x[..., skip:]
    return np.asarray((x - after.mean(axis=-1, keepdims=True)) / after.std(axis=-1, keepdims=True))


def draw_gain(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Return (rows, 1) random factors near 1."""
    return np.exp(0.1 * rng.standard_normal((rows, 1)))


# Files of an Empatica E4 wristband, generated from a subject's heart rate and skin responses in every second.
#
# Planted: in every second a response is `D_PRIME * effect` higher under stress, plus independent noise. Heart rate
# (PPG) and skin conductance responses per minute (EDA) rise with it. `D_PRIME` is chosen so that the mean response of a
# 10 s unit ranks one subject's units by their label with an AUROC of .90 at effect 1, and .50 at effect 0. Subjects
# differ more than the effect. Mean and variance of signals, skin temperature and movement carry no information.
#
# Unlike real files: the wristband's own heart rate is a plain mean of the last ten seconds (the real one lags by about
# 40 s).

UNIT_S = 10
D_PRIME = 1.87
"""Rise under stress in standard deviations of a unit's mean response. 1.81 would give an AUROC of .90; this is a little
more, since units in which a task begins or ends have both states."""
TAU_S = 5.0  # the noise of neighbouring units is nearly independent
MEAN_SD = float(np.sqrt(2 * TAU_S / UNIT_S * (1 - TAU_S / UNIT_S * (1 - np.exp(-UNIT_S / TAU_S)))))
"""Standard deviation of the mean of `draw_smooth_noise` with TAU_S over a unit."""
FIRST_RATE_S = 10  # HR.csv begins this much later than the signals


@dataclass(frozen=True)
class Wristband:
    """A wristband's recording of a session: PPG (n,), EDA (m,) in µS, temperature (k,) in °C, acceleration (3, l) in
    1/64 g, heart rates (s - 10,) of each second, and beats (b, 2) as seconds since the start and the interval
    before."""

    ppg: np.ndarray
    eda: np.ndarray
    temperature: np.ndarray
    acceleration: np.ndarray
    rates: np.ndarray
    beats: np.ndarray

    def cut(self, first: int, last: int) -> Wristband:
        """Return the recording from second `first` to second `last`, as if it were a session."""
        return Wristband(
            self.ppg[first * 64 : last * 64],
            self.eda[first * 4 : last * 4],
            self.temperature[first * 4 : last * 4],
            self.acceleration[:, first * 32 : last * 32],
            self.rates[first : max(last - FIRST_RATE_S, first)],
            self.beats[(self.beats[:, 0] >= first) & (self.beats[:, 0] < last)] - [first, 0],
        )


def draw_responses(rng: np.random.Generator, stress: np.ndarray, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the true heart rate (n,) in beats per minute and skin responses (n,) per minute in each second, from
    `stress` (n,): 1 in seconds under stress, 0 in others."""
    noise = draw_smooth_noise(rng, len(stress), 1.0, TAU_S) / MEAN_SD
    response = noise + D_PRIME * effect * (stress - stress.mean())
    # Standard deviations: heart rate 10 between subjects, 5 within; log rate of skin responses .38, .3.
    heart_rate = np.clip(rng.uniform(62, 96) + 5 * response, 42, 170)
    return heart_rate, np.exp(rng.uniform(np.log(3), np.log(11)) + 0.3 * response)


def record_wristband(heart_rate: np.ndarray, scr_per_min: np.ndarray, rng: np.random.Generator) -> Wristband:
    """Return a wristband's recording of a session of n seconds. The signals end up to a few seconds apart.

    Args:
        heart_rate, scr_per_min: (n,) beats per minute and skin conductance responses per minute, in each second."""
    session = len(heart_rate)
    body = Body.draw(rng)

    def interpolate(rate: float, values: np.ndarray, late_s: float = 0.0) -> np.ndarray:
        """Return (T,) `values` (n,) of every second, interpolated at every sample of a file with the rate `rate` in Hz
        that ends `late_s` after the session."""
        time = np.arange(round((session + late_s) * rate)) / rate
        return np.interp(time, np.arange(session) + 0.5, values)

    rates = interpolate(64, heart_rate)
    phase = body.draw_heart_phase(rates, body.draw_breath_phase(len(rates), 64, rng), 64, rng)
    ppg = np.exp(0.4 * rng.standard_normal()) * 40 * body.draw_ppg(phase, 64, rng)
    ppg[:2] = -0.0  # the wristband's first samples
    eda = body.draw_eda(interpolate(4, scr_per_min, rng.choice([-0.5, 0.25, 1.0])), 4, rng)
    eda[0] = 0.0
    temperature = body.draw_temperature(round((session + rng.choice([-1.0, 0.5, 2.0])) * 4), 4, rng)
    acceleration = np.round(body.draw_acceleration(session * 32, 32, rng) / COUNT_G)
    ends = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(len(phase)) / 64)
    # The mean of the ten seconds before, from second ten on, up to a second before the session's end.
    means = np.convolve(heart_rate, np.full(FIRST_RATE_S, 1 / FIRST_RATE_S), "valid")[:-1].round(2)
    return Wristband(ppg, eda, temperature, acceleration, means, np.stack([ends[1:], np.diff(ends)], axis=1))


def repeat_samples(device: Wristband, rows: Mapping[str, int]) -> Wristband:
    """Return the wristband's signals with an export fault: from a certain row of the file on, the samples at its start
    are repeated in place of the samples that follow.

    Args:
        rows: signal (`ppg`, `eda`, `temp`, `acc`) -> row of its file where the repetition starts, from 1. Shorter
            signals are unchanged.
    """

    def repeat(samples: np.ndarray, row: int) -> np.ndarray:
        first = row - 3  # sample of this row: rows 1 and 2 are start and rate
        return samples if samples.shape[-1] < first else np.concatenate([samples[..., :first]] * 2, axis=-1)

    return replace(
        device,
        ppg=repeat(device.ppg, rows["ppg"]),
        eda=repeat(device.eda, rows["eda"]),
        temperature=repeat(device.temperature, rows["temp"]),
        acceleration=repeat(device.acceleration, rows["acc"]),
    )


def cover_sensors(device: Wristband, rng: np.random.Generator) -> Wristband:
    """Return a recording in which the charging dock covered the PPG and temperature sensors."""
    noise = rng.standard_normal(len(device.ppg))
    return replace(device, ppg=0.1 * noise, temperature=np.full(len(device.temperature), 26.5), beats=device.beats[:0])


def write_e4(
    path: Path, start: str, rate: str, samples: np.ndarray, form: str, *, gap: str = ",", end: str = "\n"
) -> None:
    """Write a signal's file in the E4 format: its start, its rate, and its samples (n,) or (n, columns).

    Args:
        form: format of a sample, such as `%.2f`.
        gap: separator of the columns in the first two rows.
        end: end of each line.
    """
    columns = 1 if samples.ndim == 1 else samples.shape[1]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(gap.join([start] * columns) + end + gap.join([rate] * columns) + end)
        np.savetxt(file, samples, fmt=form, delimiter=",", newline=end)
