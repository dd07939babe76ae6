"""The fixed preprocessing: which filter runs where, gaps, and what cannot be used."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embench.interfaces.recording import MODALITIES, Signal
from embench.signals.gaps import _MERGED_S, _MOST_STRETCHES, Unusable, fill_gaps, lost_stretches
from embench.signals.preprocess import LINEAR, preprocess


def make(rate, *tones, seconds=20.0, offset=0.0, channels=1):
    t = np.arange(round(rate * seconds)) / rate
    wave = offset + sum((np.sin(2 * np.pi * hz * t) for hz in tones), np.zeros_like(t))
    return Signal(np.tile(wave, (channels, 1)).astype(np.float32), rate, tuple(f"c{i}" for i in range(channels)), "V")


def run(signal, modality, mains_hz=50.0, applied=(None, None), rate_hz=128.0):
    return preprocess(signal, modality, rate_hz=rate_hz, mains_hz=mains_hz, applied=applied)


def amplitude(signal, hz):
    """Of the tone at `hz`, away from the ends."""
    x = signal.data[0]
    x = x[len(x) // 4 : -len(x) // 4]
    t = np.arange(len(x)) / signal.rate
    window = np.hanning(len(x))
    return 2 * abs((x * window * np.exp(-2j * np.pi * hz * t)).sum()) / window.sum()


def test_ecg_loses_drift_and_mains_and_keeps_the_beats():
    for rate in (128.0, 500.0):
        for mains in (50.0, 60.0):
            out = run(make(rate, 0.1, 10.0, mains, offset=5.0), "ecg", mains)
            assert amplitude(out, 10) == pytest.approx(1, abs=0.02)
            assert amplitude(out, mains) < 0.03
            assert amplitude(out, 0.1) < 0.01
            assert abs(out.data.mean()) < 0.05
            assert out.rate == 128
            assert out.data.shape == (1, 2560)


def test_ppg_is_notched_only_above_100_hz():
    for rate, expected in ((64.0, 1.0), (250.0, 1.0)):
        out = run(make(rate, 1.2, 20.0), "ppg")
        assert amplitude(out, 1.2) == pytest.approx(expected, abs=0.02)
        assert amplitude(out, 20) < 0.01
    # A notch at 2 Hz shows whether it ran, where the band-pass would hide the one at 50.
    assert amplitude(run(make(100.0, 2.0), "ppg", mains_hz=2.0), 2.0) > 0.9
    assert amplitude(run(make(101.0, 2.0), "ppg", mains_hz=2.0), 2.0) < 0.3


def test_eda_is_smoothed_unless_its_rate_is_too_low_for_that():
    assert amplitude(run(make(32.0, 0.2, 10.0), "eda"), 10) < 0.01
    assert amplitude(run(make(8.0, 0.2, 3.2), "eda"), 3.2) == pytest.approx(1, abs=0.05)
    slow = make(4.0, 0.2, offset=7.0)
    out = run(slow, "eda")
    np.testing.assert_allclose(out.data[0, ::32], slow.data[0], atol=0.02)


def test_eeg_is_left_as_it_is_where_the_release_filtered_it_already():
    signal = make(128.0, 2.0, 10.0, 60.0)
    untouched = run(signal, "eeg", applied=(4.0, 45.0))
    np.testing.assert_array_equal(untouched.data, signal.data)
    filtered = run(signal, "eeg")
    assert amplitude(filtered, 10) == pytest.approx(1, abs=0.02)
    assert amplitude(filtered, 2) < 0.05
    assert amplitude(filtered, 60) < 0.1


@pytest.mark.parametrize(("rate", "mains"), [(250.0, 50.0), (1000.0, 60.0)])
def test_wide_eeg_keeps_what_is_below_4_and_above_45_hz_without_the_mains(rate, mains):
    signal = make(rate, 1.0, 10.0, 65.0, mains, 100.0, seconds=60.0, offset=5000.0)
    out = preprocess(signal, "eeg", rate_hz=256.0, mains_hz=mains, rules="wide-eeg-v1")
    assert out.rate == 256
    assert [amplitude(out, hz) > 0.7 for hz in (1, 10, 65)] == [True] * 3
    assert [amplitude(out, hz) < 0.05 for hz in (mains, 100)] == [True] * 2
    assert abs(out.data.mean()) < 0.1


def test_a_higher_rate_adds_no_band_to_what_was_filtered_before():
    signal = make(128.0, 10.0, 60.0)
    out = preprocess(signal, "eeg", rate_hz=256.0, mains_hz=50.0, applied=(4.0, 45.0), rules="wide-eeg-v1")
    assert amplitude(out, 10) == pytest.approx(1, abs=0.02)
    assert amplitude(out, 68) < 0.01, "an image of 60 Hz at 128"


@pytest.mark.parametrize("rate", [250.0, 1000.0])
def test_chen2023_keeps_eeg_from_0_05_to_47_hz_and_takes_the_mean_of_the_electrodes(rate):
    t = np.arange(round(240 * rate)) / rate
    rng = np.random.default_rng(0)
    brain = rng.normal(size=(4, 1)) * np.sin(2 * np.pi * 10 * t) + np.sin(2 * np.pi * 0.2 * t) * np.arange(4)[:, None]
    shared = 30 * np.sin(2 * np.pi * 4 * t)  # at the reference: the same in all channels
    offset = np.array([[5000.0], [-20000.0], [0.0], [300.0]])
    wave = brain + shared + offset + 5 * np.arange(1, 5)[:, None] * np.sin(2 * np.pi * 80 * t)
    signal = Signal(wave.astype(np.float32), rate, ("Fz", "Cz", "Pz", "Oz"), "uV")
    out = preprocess(signal, "eeg", rate_hz=250.0, mains_hz=50.0, rules="chen2023")
    assert (out.rate, out.data.shape) == (250.0, (4, 60000))
    np.testing.assert_allclose(out.data.mean(0), 0, atol=1e-3)
    inside = slice(25000, 35000)  # at the ends, what is slower than a recording can be told only roughly
    expected = (brain - brain.mean(0))[:, :: round(rate / 250)]
    np.testing.assert_allclose(out.data[:, inside], expected[:, inside], atol=0.05)


def test_chen2023_does_not_filter_again_what_the_authors_filtered():
    signal = make(250.0, 0.02, 10.0, 60.0, channels=2)
    signal.data[1] *= -1
    out = preprocess(signal, "eeg", rate_hz=250.0, mains_hz=50.0, applied=(0.05, 47.0), rules="chen2023")
    np.testing.assert_allclose(out.data, signal.data, atol=1e-6)


def test_a_filter_that_was_applied_less_strictly_runs_all_the_same():
    signal = make(128.0, 0.5, 20.0)
    assert amplitude(run(signal, "eda", applied=(None, 60.0)), 20) < 0.01
    assert amplitude(run(signal, "eda", applied=(None, 3.0)), 20) == pytest.approx(1, abs=0.01)
    half = run(make(128.0, 1.0, 60.0), "eeg", applied=(None, 40.0))  # only the high-pass is left to do
    assert amplitude(half, 1) < 0.02
    assert amplitude(half, 60) == pytest.approx(1, abs=0.02)


def test_a_low_pass_near_the_source_rate_is_skipped():
    acc = make(32.0, 12.0, channels=3)  # 20 Hz is above 0.45 * 32
    assert amplitude(run(acc, "acc"), 12) == pytest.approx(1, abs=0.02)
    assert amplitude(run(make(128.0, 40.0, channels=3), "acc"), 40) < 0.01


def test_emg_becomes_an_envelope():
    t = np.arange(20 * 1000) / 1000
    burst = np.where((t > 8) & (t < 12), 1.0, 0.1) * np.sin(2 * np.pi * 45 * t)
    out = run(Signal(burst[None].astype(np.float32), 1000.0, ("m",), "mV"), "emg").data[0]
    assert out.min() >= 0
    assert out[9 * 128 : 11 * 128].mean() == pytest.approx(1, abs=0.05)
    assert out[4 * 128 : 6 * 128].mean() == pytest.approx(0.1, abs=0.02)
    with pytest.raises(Unusable, match="32 Hz"):
        run(make(32.0, 5.0), "emg")


def test_derived_series_are_only_interpolated():
    hr = Signal(np.array([[60.0, 70.0, 65.0]], np.float32), 1.0, ("bpm",), "1/min")
    out = run(hr, "hr")
    assert out.data.shape == (1, 384)
    assert out.data[0, 64] == 65
    assert out.data.max() == 70
    face = run(make(30.0, 1.0, channels=4), "face_au")
    assert face.rate == 18
    assert face.data.shape == (4, 360)


def test_gaps_are_bridged_before_filtering():
    signal = make(64.0, 1.2)
    broken = signal.data.copy()
    broken[0, 300:310] = np.nan
    out = run(Signal(broken, 64.0, signal.channels, "V"), "ppg").data
    assert np.isfinite(out).all()
    whole = run(signal, "ppg").data
    assert np.abs(out - whole)[0, :384].max() < 0.05  # far from the gap nothing changes


@pytest.mark.parametrize("lost", [0.51, 1.0])
def test_a_channel_that_is_mostly_missing_makes_the_signal_unusable(lost):
    signal = make(64.0, 1.2, channels=2)
    signal.data[1, : int(lost * signal.data.shape[1]) + 1] = np.nan
    with pytest.raises(Unusable, match="channel c1") as caught:
        run(signal, "ppg")
    assert "missing" in caught.value.reason


@pytest.mark.parametrize("modality", [m for m in MODALITIES if m != "video"])
@pytest.mark.parametrize("rate", [128.0, 1000.0])
@pytest.mark.parametrize("samples", [0, 1, 3, 40])
def test_short_signals_are_prepared_or_refused_with_a_reason(modality, rate, samples):
    signal = Signal(np.ones((2, samples), np.float32), rate, ("a", "b"), "V")
    if samples == 0 or (round(samples * 128 / rate) == 0 and modality not in LINEAR):
        with pytest.raises(Unusable, match="no samples"):
            run(signal, modality)
    else:
        assert np.isfinite(run(signal, modality).data).all()


def test_time_first_signals_are_turned():
    signal = make(128.0, 1.0, channels=2)
    turned = Signal(np.ascontiguousarray(signal.data.T), 128.0, signal.channels, "V", time_axis=0)
    np.testing.assert_array_equal(run(turned, "acc").data, run(signal, "acc").data)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.floats(-100, 100, width=32), st.just(float("nan"))), min_size=1, max_size=60))
def test_gaps_keep_every_value_and_stay_between_their_neighbours(values):
    x = np.array([values], np.float32)
    there = np.isfinite(x[0])
    if there.mean() < 0.5:
        with pytest.raises(Unusable):
            fill_gaps(x, ("c",))
        return
    out = fill_gaps(x, ("c",))
    np.testing.assert_array_equal(out[0, there], x[0, there])
    known = np.flatnonzero(there)
    for i in np.flatnonzero(~there):
        near = [x[0, known[known < i][-1]]] if (known < i).any() else []
        near += [x[0, known[known > i][0]]] if (known > i).any() else []
        assert min(near) - 1e-4 <= out[0, i] <= max(near) + 1e-4


def test_lost_samples_of_any_channel_count_whether_they_are_no_numbers_or_infinite():
    x = np.ones((2, 40), np.float32)
    assert lost_stretches(x, 4.0) == ()
    x[0, 4:8], x[1, 6:12], x[1, 39] = np.nan, np.inf, -np.inf
    assert lost_stretches(x, 4.0) == ((1.0, 3.0, 2.0), (9.75, 10.0, 0.25))
    assert lost_stretches(x, 4.0, t0=1.5) == ((2.5, 4.5, 2.0), (11.25, 11.5, 0.25))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=80), st.sampled_from([1.0, 4.0, 16.0]))
def test_stretches_hold_every_lost_sample_once_and_lie_apart(lost, rate):
    found = lost_stretches(np.where([lost], np.nan, 1.0), rate)
    assert sum(seconds for *_, seconds in found) * rate == pytest.approx(sum(lost))
    for k, is_lost in enumerate(lost):
        inside = [first <= (k + 0.5) / rate <= stop for first, stop, _ in found]
        assert sum(inside) <= 1
        assert any(inside) or not is_lost
    assert all(after[0] - before[1] >= _MERGED_S for before, after in pairwise(found))


def test_of_very_many_stretches_the_nearest_are_merged_and_no_sample_is_forgotten():
    x = np.ones((1, 6 * _MOST_STRETCHES))
    x[0, ::2] = np.nan
    x[0, 3001:3040] = 1.0
    found = lost_stretches(x, 1.0)
    assert len(found) == _MOST_STRETCHES
    assert sum(seconds for *_, seconds in found) == np.isnan(x).sum()
    assert any(before[1] <= 3001 and after[0] >= 3039 for before, after in pairwise(found))
