"""Heart beats on a real recording with cardiologists' annotations, and on generated pulses."""

import os
from pathlib import Path

import numpy as np
import pytest

from embench.signals.beats import ecg_peaks, intervals, ppg_peaks
from embench.signals.resample import resample


@pytest.fixture(scope="module")
def record_100():
    """First lead of MIT-BIH record 100 in mV at 360 Hz, and the annotated beats in s."""
    root = os.environ.get("EMBENCH_TEST_DATA")
    if not root:
        pytest.skip("EMBENCH_TEST_DATA is not set: no real recordings at hand")
    folder = Path(root) / "physionet_samples"
    packed = np.fromfile(folder / "100.dat", np.uint8).reshape(-1, 3).astype(np.int16)  # format 212: 2 values, 3 bytes
    lead = packed[:, 0] | (packed[:, 1] & 15) << 8
    return (np.where(lead > 2047, lead - 4096, lead) - 1024) / 200, np.array(beat_samples(folder / "100.atr")) / 360


def beat_samples(path):
    """Positions of annotations that mark a beat: words of 6 bits code and 10 bits time since the one before."""
    words, at, sample = np.fromfile(path, "<u2").tolist(), 0, 0
    found = []
    while words[at]:
        code, value = words[at] >> 10, words[at] & 1023
        if code == 59:  # a long skip in the next two words
            sample += (words[at + 1] << 16) + words[at + 2]
            at += 2
        elif code == 63:  # a text of `value` bytes
            at += (value + 1) // 2
        elif code < 59:
            sample += value
            if code <= 13:
                found.append(sample)
        at += 1
    return found


def agreement(found, true, tolerance=0.05):
    """Sensitivity and precision."""
    near = np.abs(found[:, None] - true[None]) <= tolerance
    return near.any(0).mean(), near.any(1).mean()


@pytest.mark.parametrize("rate", [360.0, 128.0])
def test_real_r_peaks_are_found(record_100, rate):
    ecg, beats = record_100
    assert len(beats) == 2273
    sensitivity, precision = agreement(ecg_peaks(resample(ecg[None], 360, rate)[0], rate) / rate, beats)
    assert sensitivity >= 0.995
    assert precision >= 0.995


def test_real_intervals_keep_the_rhythm(record_100):
    ecg, beats = record_100
    times, nn = intervals(ecg_peaks(ecg, 360), 360)
    assert len(times) == len(nn) > 0.97 * len(beats)
    assert np.median(nn) == pytest.approx(np.median(np.diff(beats)), abs=0.005)
    assert nn.min() > 0.5
    assert nn.max() < 1.3


@pytest.mark.parametrize("rate", [64.0, 128.0])
def test_generated_pulses_are_found(rate):
    beats = np.cumsum(np.random.default_rng(1).normal(0.85, 0.04, 120)) + 1
    t = np.arange(round((beats[-1] + 2) * rate)) / rate
    wave = sum(np.exp(-0.5 * ((t - b) / 0.09) ** 2) + 0.3 * np.exp(-0.5 * ((t - b - 0.3) / 0.08) ** 2) for b in beats)
    sensitivity, precision = agreement(ppg_peaks(wave, rate) / rate, beats)
    assert sensitivity >= 0.97
    assert precision >= 0.97


@pytest.mark.parametrize("find", [ecg_peaks, ppg_peaks])
@pytest.mark.parametrize("x", [np.zeros(0), np.ones(3), np.zeros(2000), np.full(2000, np.nan)])
def test_without_a_rhythm_there_are_no_peaks(find, x):
    assert find(x, 128.0).shape == (0,)


def test_missed_and_invented_beats_leave_no_interval():
    beats = np.arange(40) * 100
    missed, invented = np.delete(beats, 20), np.sort(np.append(beats, 2030))
    for peaks in (missed, invented):
        times, nn = intervals(peaks, 100)
        assert np.allclose(nn, 1.0)
        assert len(times) >= 36
    assert intervals(beats[:1], 100)[0].size == 0
    assert intervals(beats[:2], 100)[1].tolist() == [1.0]


def test_a_pulse_wave_too_slow_for_its_band_is_refused_with_the_rate_that_is_needed():
    with pytest.raises(ValueError, match=r"more than 16 Hz, and this one has 4$"):
        ppg_peaks(np.sin(np.arange(240) / 4), 4.0)
