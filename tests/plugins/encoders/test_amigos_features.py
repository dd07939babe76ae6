"""`amigos_features`: its numbers, and values that are known by construction."""

import numpy as np

from embench.interfaces.recording import Signal
from embench.testing import require
from embench_plugins.encoders.amigos_features import AmigosFeatures

RATE = 128.0
READER = AmigosFeatures(AmigosFeatures.recipes["paper"])
WHOLE = np.array([[0.0, 20.0]])


def made(modality, data, channels=None):
    data = np.atleast_2d(data).astype(np.float32)
    signal = Signal(data, RATE, channels or (modality,), "", modality=modality)
    names = READER.feature_names(modality, signal.channels)
    return dict(zip(names, READER.features(signal, WHOLE)[0].tolist(), strict=True))


def seconds(n=20):
    return np.arange(round(n * RATE)) / RATE


def test_there_are_as_many_as_the_authors_say():
    counts = [len(READER.feature_names(m, require.signal(m, 1.0).channels)) for m in ("eeg", "eda")]
    assert counts == [105, 31]
    assert len(READER.feature_names("ecg", ("left",))) == 77


def test_a_stronger_right_side_has_a_negative_asymmetry():
    alpha, quiet = np.sin(2 * np.pi * 9 * seconds()), 0.1 * np.sin(2 * np.pi * 9 * seconds())
    found = made("eeg", np.stack([quiet, alpha]), ("F3", "F4"))
    assert found["F3-F4_slow_alpha"] == np.float32(found["F3_slow_alpha"] - found["F4_slow_alpha"])
    np.testing.assert_allclose(found["F3-F4_slow_alpha"], 2 * np.log(0.1), atol=1e-3)
    assert found["F4_slow_alpha"] > found["F4_beta"] + 5


def test_steady_beats_have_their_rate_and_no_spread():
    t, found = seconds(), np.zeros(round(20 * RATE))
    for beat in np.arange(0.5, 20, 0.75):
        found += np.exp(-0.5 * ((t - beat) / 0.02) ** 2)
    values = made("ecg", found)
    np.testing.assert_allclose([values["ecg_ibi_mean"], values["ecg_hr_mean"]], [0.75, 80.0], rtol=1e-2)
    assert values["ecg_ibi_sd"] < 0.02


def test_falling_conductance_and_its_waves():
    falling = made("eda", 10.0 - 0.1 * seconds())
    np.testing.assert_allclose([falling["eda_slope"], falling["eda_falling_slope"]], -0.1, rtol=1e-3)
    assert falling["eda_falling_share"] == 1.0
    np.testing.assert_allclose(falling["eda_resistance"], np.mean(1 / (10.0 - 0.1 * seconds())), rtol=1e-4)
    waves = made("eda", 5.0 + np.sin(2 * np.pi * 0.15 * seconds()))
    np.testing.assert_allclose(waves["eda_slow_crossings"], 0.3, atol=0.06)
    assert abs(waves["eda_minima"] - 3) <= 1


def test_lost_samples_and_silence_have_no_values():
    data = require.signal("eda", 40.0).data.copy()
    data[:, 100] = np.nan
    rows = READER.features(Signal(data, RATE, ("eda",), "", modality="eda"), np.array([[0.0, 20.0], [20.0, 40.0]]))
    assert np.isnan(rows[0]).all()
    assert np.isfinite(rows[1]).all()
    flat = READER.features(Signal(np.zeros((1, 2560), np.float32), RATE, ("ecg",), "", modality="ecg"), WHOLE)
    assert np.isnan(flat[0, :17]).all()
