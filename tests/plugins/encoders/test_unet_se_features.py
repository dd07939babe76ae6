"""What `unet_se` is fed: intervals on beats that are known or annotated, entropies of signals that are known."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal as sps

from embench.errors import UsageError
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec
from embench.signals.beats import intervals
from embench.signals.resample import resample
from embench_plugins.encoders.features.spans import Spans
from embench_plugins.encoders.unet_se import UnetSe, make_series

RATE = 128.0


def encoder() -> UnetSe:
    return UnetSe(UnetSe.recipes["paper"])


def test_a_series_by_hand() -> None:
    """Beats at 0.5, 1.5, 2.4, 3.2, 4.1 s: the first span holds two whole intervals, the second one, the last none."""
    peaks = np.array([50, 150, 240, 320, 410])
    made = make_series(
        peaks, Spans.from_seconds(np.array([[0.0, 3.0], [1.0, 3.0], [4.0, 5.0]]), 100.0, 500), 4, compat=False
    )
    assert made.shape == (3, 1, 4)
    assert made.dtype == np.float32
    nan = np.nan
    np.testing.assert_allclose(made[0, 0], [(1.0 - 0.8) / 0.2, (0.9 - 0.8) / 0.2, nan, nan], rtol=1e-6)
    np.testing.assert_allclose(made[1, 0], [(0.9 - 0.8) / 0.2, nan, nan, nan], rtol=1e-6)
    assert np.isnan(made[2]).all()


def test_beats_on_a_spans_edges() -> None:
    """A beat on the first sample belongs to a span, one on the sample after the last does not."""
    peaks = np.arange(13) * 100  # one a second, from 0
    made = make_series(peaks, Spans.from_seconds(np.array([[0.0, 10.0], [2.0, 12.0]]), 100.0, 1250), 32, compat=False)
    assert np.isfinite(made[:, 0]).sum(1).tolist() == [9, 9]


def test_compat_is_seconds_and_zeros() -> None:
    peaks = np.array([50, 150, 240, 320, 410])
    made = make_series(peaks, Spans.from_seconds(np.array([[0.0, 3.0], [4.0, 5.0]]), 100.0, 500), 4, compat=True)
    np.testing.assert_allclose(made[0, 0], [1.0, 0.9, 0.0, 0.0], rtol=1e-6)
    assert np.isnan(made[1]).all()  # still absent
    network = encoder().build(InputSpec("ecg", (1, 8), ("interval",))).eval()
    assert network(torch.zeros(2, 1, 8)).mask.all()


def test_a_long_span_keeps_the_first_intervals() -> None:
    peaks = np.cumsum([100 + i % 7 for i in range(60)])
    gaps = np.diff(peaks) / 100
    (made,) = make_series(peaks, Spans.from_seconds(np.array([[0.0, 60.0]]), 100.0, 6200), 32, compat=False)
    np.testing.assert_allclose(made[0] * 0.2 + 0.8, gaps[:32], rtol=1e-5)


@pytest.mark.parametrize(("modality", "width_s"), [("ecg", 0.012), ("ppg", 0.1)])
def test_a_steady_heart_gives_equal_intervals(modality: str, width_s: float) -> None:
    beats = np.arange(0.4, 60, 0.75)
    time = np.arange(int(60 * RATE)) / RATE
    wave = np.exp(-0.5 * ((time[:, None] - beats) / width_s) ** 2).sum(1)
    wave[int(40 * RATE) :] = 0.0  # the heart stops
    wave += 1e-3 * np.random.default_rng(0).normal(size=len(wave))
    spans = np.array([[0.0, 10.0], [15.0, 25.0], [45.0, 45.5]])
    signal = Signal(wave[None].astype(np.float32), RATE, ("c",), "mV", modality=modality)
    made = encoder().features(signal, spans)
    assert made.shape == (3, 1, 32)
    for row in made[:2, 0]:
        known = row[np.isfinite(row)]
        assert len(known) in (12, 13)
        assert not np.isfinite(row[len(known) :]).any()  # they stand first
        np.testing.assert_allclose(known * 0.2 + 0.8, 0.75, atol=0.02)  # a sample is 7.8 ms
    assert np.isnan(made[2]).all()


def test_the_left_arms_lead_is_read() -> None:
    time = np.arange(int(30 * RATE)) / RATE
    fast, slow = (np.exp(-0.5 * ((time[:, None] - np.arange(0.4, 30, gap)) / 0.012) ** 2).sum(1) for gap in (0.6, 1.0))
    for names, gap in ((("right", "left"), 1.0), (("chest", "left"), 1.0), (("chest", "back"), 0.6)):
        signal = Signal(np.stack([fast, slow]).astype(np.float32), RATE, names, "mV", modality="ecg")
        made = encoder().features(signal, np.array([[5.0, 15.0]]))
        np.testing.assert_allclose(np.nanmean(made) * 0.2 + 0.8, gap, atol=0.01)


@pytest.mark.parametrize("rate", [360.0, 128.0])
def test_the_series_of_a_real_heart_follows_from_its_annotated_beats(rate: float) -> None:
    """MIT-BIH record 100, half an hour: of every 10 s, the intervals of found beats are those of annotated ones."""
    root = os.environ.get("EMBENCH_TEST_DATA")
    if not root:
        pytest.skip("EMBENCH_TEST_DATA is not set: no real recordings at hand")
    wfdb = pytest.importorskip("wfdb", reason="wfdb reads the recording")
    name = str(Path(root) / "physionet_samples" / "100")
    ecg = wfdb.rdrecord(name, channels=[0]).p_signal.T.astype(np.float32)
    notes = wfdb.rdann(name, "atr")
    beats = np.asarray(notes.sample)[np.isin(notes.symbol, list("NLRBAaJSVrFejnE/fQ?"))]
    assert len(beats) == 2273
    signal = Signal(resample(ecg, 360.0, rate), rate, ("MLII",), "mV", modality="ecg")
    starts = np.arange(0.0, signal.duration_s - 10, 10.0)
    spans = np.stack([starts, starts + 10], 1)
    found = encoder().features(signal, spans)[:, 0].astype(np.float64) * 0.2 + 0.8
    ends, gaps = intervals(beats, 360.0)
    true = [gaps[(ends - gaps >= a) & (ends < b)] for a, b in spans]
    # A beat at a span's edge may fall to its other side: annotations are at 360 Hz. Three beats of 2273 are missed.
    counts, wanted = np.isfinite(found).sum(1), np.array([len(row) for row in true])
    same = counts == wanted
    assert same.mean() > 0.97
    assert np.abs(counts - wanted).max() <= 1
    for row, gap in zip(found[same], [t for t, fine in zip(true, same, strict=True) if fine], strict=True):
        np.testing.assert_allclose(row[: len(gap)], gap, atol=0.010)
    np.testing.assert_allclose(np.nanmean(found, 1), [gap.mean() for gap in true], atol=0.025)


def entropy(variance: float) -> float:
    return 0.5 * np.log(2 * np.pi * np.e * variance)


def eeg(*rows: np.ndarray) -> Signal:
    names = ("AF3", "F7", "F3")[: len(rows)]
    return Signal(np.stack(rows).astype(np.float32), RATE, names, "uV", modality="eeg")


@pytest.mark.parametrize(("hz", "band"), [(6.0, 0), (11.0, 1), (22.0, 2), (38.0, 3)])
def test_entropy_of_a_sine(hz: float, band: int) -> None:
    """A sine of amplitude a has the variance a^2 / 2; of the other bands it is far below."""
    time = np.arange(int(60 * RATE)) / RATE
    made = encoder().features(eeg(10 * np.sin(2 * np.pi * hz * time)), np.array([[20.0, 30.0], [30.0, 40.0]]))
    assert made.shape == (2, 4, 1)
    np.testing.assert_allclose(made[:, band, 0], entropy(50.0), atol=0.02)
    others = np.delete(made[:, :, 0], band, 1)
    assert (others < entropy(50.0) - 2).all()


def test_entropy_of_white_noise() -> None:
    """Noise of variance v passes a filter of gain g(f), run both ways, as v * 2 / rate * integral of g^4."""
    noise = 5 * np.random.default_rng(0).standard_normal((2, int(1200 * RATE)))
    made = encoder().features(eeg(*noise), np.array([[10.0, 1190.0]]))[0]
    for k, (low, high) in enumerate(((4, 8), (8, 14), (14, 31), (31, 45))):
        f, response = sps.sosfreqz(sps.butter(4, (low, high), "bandpass", fs=RATE, output="sos"), 1 << 15, fs=RATE)
        passed = 25 * 2 / RATE * np.sum(np.abs(response) ** 4) * (f[1] - f[0])
        np.testing.assert_allclose(made[k], entropy(passed), atol=0.03)
        # Somewhat less than the band's own width would let through.
        assert entropy(25 * 2 / RATE * (high - low)) - 0.15 < made[k].mean() < entropy(25 * 2 / RATE * (high - low))


def test_a_flat_or_broken_electrode_has_no_entropy_and_harms_no_other() -> None:
    noise = np.random.default_rng(0).standard_normal(int(40 * RATE))
    broken = noise.copy()
    broken[1000] = np.nan
    spans = np.array([[0.0, 10.0], [20.0, 30.0]])
    made = encoder().features(eeg(noise, np.full_like(noise, 3.0), broken), spans)
    assert np.isnan(made[:, :, 1:]).all()
    np.testing.assert_array_equal(made[:, :, :1], encoder().features(eeg(noise), spans))


def test_a_band_beyond_the_rate_is_missing() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 64 * 20)).astype(np.float32)
    made = encoder().features(Signal(noise, 64.0, ("Cz",), "uV", modality="eeg"), np.array([[0.0, 10.0]]))
    assert np.isfinite(made[0, :, 0]).tolist() == [True, True, True, False]


def test_joined_modalities_are_refused() -> None:
    signal = Signal(np.zeros((2, 1280), np.float32), RATE, ("left", "eda"), "mV+uS", modality="ecg+ppg")
    with pytest.raises(UsageError, match=r"nothing to compute from 'ecg\+ppg'"):
        encoder().features(signal, np.array([[0.0, 10.0]]))
