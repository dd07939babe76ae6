"""Files as an Empatica E4 wristband leaves them, from what a subject's heart and skin did in every second.

What is planted. In every second a response is `D_PRIME * effect` higher under stress, on top of noise that has nothing
to do with it; heart rate (BVP) and responses of the skin a minute (EDA) rise with it. `D_PRIME` is such that the mean
response of a 10 s unit ranks one subject's units by their label with AUROC .90 at effect 1, and .50 at effect 0.
Subjects differ more than the effect. Mean and variance of the signals, skin temperature and movement know nothing.

What is not as in real files: the wristband's own heart rate is a plain mean of the last ten seconds (the real one lags
by about 40 s).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embench_plugins.datasets.devices.e4 import COUNT_G
from embench_plugins.datasets.synthetic.body import Body, smooth_noise

UNIT_S = 10
D_PRIME = 1.87
"""Rise under stress in standard deviations of a unit's mean response. A little over the 1.81 that give .90, since units
in which a task begins or ends hold both."""
TAU_S = 5.0  # the noise of neighbouring units is nearly independent
MEAN_SD = float(np.sqrt(2 * TAU_S / UNIT_S * (1 - TAU_S / UNIT_S * (1 - np.exp(-UNIT_S / TAU_S)))))
"""Standard deviation of the mean over a unit of noise of variance 1 that forgets in TAU_S."""
FIRST_RATE_S = 10  # HR.csv begins later than the signals


@dataclass(frozen=True)
class Wristband:
    """What the device holds of a session: pulse (n,), skin (m,) in uS, warmth (k,) in degC, moves (3, l) in 1/64 g,
    heart rates (s - 10,) of each second, and beats (b, 2) as seconds since the start and the interval before."""

    pulse: np.ndarray
    skin: np.ndarray
    warmth: np.ndarray
    moves: np.ndarray
    rates: np.ndarray
    beats: np.ndarray

    def part(self, first: int, last: int) -> Wristband:
        """What lies between two whole seconds of the session, as files of its own."""
        return Wristband(
            self.pulse[first * 64 : last * 64],
            self.skin[first * 4 : last * 4],
            self.warmth[first * 4 : last * 4],
            self.moves[:, first * 32 : last * 32],
            self.rates[first : max(last - FIRST_RATE_S, first)],
            self.beats[(self.beats[:, 0] >= first) & (self.beats[:, 0] < last)] - [first, 0],
        )


def responses(rng: np.random.Generator, stress: np.ndarray, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """True heart rate in beats a minute (n,) and skin responses a minute (n,) of seconds under stress, 1, or not, 0."""
    noise = smooth_noise(rng, len(stress), 1.0, TAU_S) / MEAN_SD
    response = noise + D_PRIME * effect * (stress - stress.mean())
    # Standard deviations: heart rate 10 between subjects, 5 within; log rate of skin responses .38, .3.
    heart_rate = np.clip(rng.uniform(62, 96) + 5 * response, 42, 170)
    return heart_rate, np.exp(rng.uniform(np.log(3), np.log(11)) + 0.3 * response)


def worn(heart_rate: np.ndarray, scr_per_min: np.ndarray, rng: np.random.Generator) -> Wristband:
    """What a wristband records of a session whose seconds have these true rates (n,); its files end some seconds
    apart."""
    session = len(heart_rate)
    body = Body.draw(rng)

    def at(rate: float, values: np.ndarray, late_s: float = 0.0) -> np.ndarray:
        """A rate of every second, at every sample of a file that ends `late_s` after the session."""
        time = np.arange(round((session + late_s) * rate)) / rate
        return np.interp(time, np.arange(session) + 0.5, values)

    rates = at(64, heart_rate)
    phase = body.heart(rates, body.breathing(len(rates), 64, rng), 64, rng)
    pulse = np.exp(0.4 * rng.standard_normal()) * 40 * body.ppg(phase, 64, rng)
    pulse[:2] = -0.0  # the wristband's first samples
    skin = body.eda(at(4, scr_per_min, rng.choice([-0.5, 0.25, 1.0])), 4, rng)
    skin[0] = 0.0
    warmth = body.temperature(round((session + rng.choice([-1.0, 0.5, 2.0])) * 4), 4, rng)
    moves = np.round(body.acceleration(session * 32, 32, rng) / COUNT_G)
    ends = np.interp(np.arange(1, int(phase[-1])), phase, np.arange(len(phase)) / 64)
    # The mean of the ten seconds before, from second ten on, up to a second before the session's end.
    means = np.convolve(heart_rate, np.full(FIRST_RATE_S, 1 / FIRST_RATE_S), "valid")[:-1].round(2)
    return Wristband(pulse, skin, warmth, moves, means, np.stack([ends[1:], np.diff(ends)], axis=1))


def repeated(device: Wristband, rows: Mapping[str, int]) -> Wristband:
    """A fault of an export: from some rows of the files on, counted from 1, the samples come again.

    Files that are shorter stay as they are.
    """

    def again(samples: np.ndarray, row: int) -> np.ndarray:
        first = row - 3
        return samples if samples.shape[-1] < first else np.concatenate([samples[..., :first]] * 2, axis=-1)

    return replace(
        device,
        pulse=again(device.pulse, rows["ppg"]),
        skin=again(device.skin, rows["eda"]),
        warmth=again(device.warmth, rows["temp"]),
        moves=again(device.moves, rows["acc"]),
    )


def covered(device: Wristband, rng: np.random.Generator) -> Wristband:
    """A fault of wearing: the dock stayed on, over the sensors of pulse and temperature."""
    noise = rng.standard_normal(len(device.pulse))
    return replace(device, pulse=0.1 * noise, warmth=np.full(len(device.warmth), 26.5), beats=device.beats[:0])


def write(
    path: Path, start: str, rate: str, samples: np.ndarray, form: str, *, gap: str = ",", end: str = "\n"
) -> None:
    """A signal's file: its start and its rate as they stand there, its samples (n,) or (n, columns).

    Args:
        gap: what stands between the columns of the first two rows.
        end: of each line.
    """
    columns = 1 if samples.ndim == 1 else samples.shape[1]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(gap.join([start] * columns) + end + gap.join([rate] * columns) + end)
        np.savetxt(file, samples, fmt=form, delimiter=",", newline=end)
