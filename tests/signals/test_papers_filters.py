"""Each paper's preprocessing has the frequency response that the paper states, measured on what an impulse becomes."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy import signal as sps

from embench.interfaces.recording import Signal
from embench.protocols import load_protocol
from embench.protocols.schema import Protocol
from embench.signals.preprocess import RULES, preprocess

SECONDS = 200


def response(rules, modality, rate=128.0, rate_hz=128.0, applied=(None, None), mains_hz=50.0):
    """Hz -> gain in dB: of the impulse response's transform."""
    x = np.zeros((1, round(SECONDS * rate)), np.float32)
    x[0, x.shape[1] // 2] = 1.0
    made = preprocess(
        Signal(x, rate, ("c",), "V"), modality, rate_hz=rate_hz, mains_hz=mains_hz, applied=applied, rules=rules
    )
    gain = np.abs(np.fft.rfft(made.data[0].astype(np.float64)))
    hz = np.fft.rfftfreq(made.data.shape[1], 1 / made.rate)
    return lambda at: 20 * np.log10(max(np.interp(at, hz, gain), 1e-12))


def butter(order, edges, kind, at, rate=128.0):
    """dB of a Butterworth filter that runs forwards and backwards."""
    _, h = sps.sosfreqz(sps.butter(order, edges, kind, fs=rate, output="sos"), [at], fs=rate)
    return 40 * np.log10(max(abs(h[0]), 1e-6))


@pytest.mark.parametrize("modality", ["ecg", "eeg"])
def test_vazquez2022_passes_0_8_to_50_hz_at_order_8(modality):
    gain = response("vazquez2022", modality)
    for edge in (0.8, 50.0):
        assert gain(edge) == pytest.approx(-6.02, abs=0.1)  # -3 dB, forwards and backwards
    for hz in (0.2, 0.4, 0.6, 1.0, 2.0, 10.0, 40.0, 48.0, 52.0, 56.0, 60.0):
        assert gain(hz) == pytest.approx(butter(4, (0.8, 50.0), "bandpass", hz), abs=0.2 if hz > 0.3 else 3)
    assert gain(10) == pytest.approx(0, abs=0.01)
    assert gain(0.4) < -45
    assert gain(60) < -60
    # The band-pass has order 8 as a whole: twice that order forwards and backwards, 4 poles a side, 48 dB an octave.
    assert gain(0.8) - gain(0.4) == pytest.approx(42.2, abs=1)


def test_vazquez2022_filters_what_is_filtered_already():
    gain = response("vazquez2022", "eeg", applied=(4.0, 45.0))
    assert gain(0.8) == pytest.approx(-6.02, abs=0.1)
    assert gain(50.0) == pytest.approx(-6.02, abs=0.1)
    standard = response("standard-v1", "eeg", applied=(4.0, 45.0))
    assert standard(0.8) == pytest.approx(0, abs=0.01)


def notch_width(gain, mains):
    """Hz between the points where a notch takes 6 dB."""
    hz = np.linspace(mains - 3, mains + 3, 6001)
    deep = hz[np.array([gain(f) for f in hz]) < -6.02]
    return deep.max() - deep.min()


def test_strizhkova2024_high_passes_ecg_and_takes_the_mains_out():
    gain = response("strizhkova2024", "ecg")
    assert gain(0.5) == pytest.approx(-6.02, abs=0.1)
    for hz in (0.3, 0.4, 0.7, 1.0):
        assert gain(hz) == pytest.approx(butter(5, 0.5, "highpass", hz), abs=0.3)
    assert gain(10) == pytest.approx(0, abs=0.01)
    assert gain(60) == pytest.approx(0, abs=0.1)  # no low-pass
    assert gain(50) < -40
    assert notch_width(gain, 50.0) == pytest.approx(50 / 30, rel=0.05)  # Q 30
    assert response("strizhkova2024", "ecg", mains_hz=60.0)(60) < -40


def test_strizhkova2024_band_passes_ppg_and_takes_the_mains_out():
    gain = response("strizhkova2024", "ppg")
    for edge in (0.5, 8.0):
        assert gain(edge) == pytest.approx(-6.02, abs=0.1)
    for hz in (0.3, 0.4, 1.0, 2.0, 6.0, 10.0, 15.0):
        assert gain(hz) == pytest.approx(butter(3, (0.5, 8.0), "bandpass", hz), abs=0.3)
    # The notch shows as what it adds to the band-pass.
    assert gain(50) < butter(3, (0.5, 8.0), "bandpass", 50.0) - 10


def test_strizhkova2024_low_passes_eda_and_takes_the_mains_out():
    gain = response("strizhkova2024", "eda")
    assert gain(0.01) == pytest.approx(0, abs=0.02)
    assert gain(3.0) == pytest.approx(-6.02, abs=0.1)
    for hz in (1.0, 2.0, 4.0, 6.0, 9.0):
        assert gain(hz) == pytest.approx(butter(4, 3.0, "lowpass", hz), abs=0.3)
    low = preprocess(
        Signal(np.sin(2 * np.pi * 2.0 * np.arange(25600) / 128)[None].astype(np.float32), 128.0, ("c",), "V"),
        "eda", rate_hz=128.0, mains_hz=2.0, rules="strizhkova2024",
    )  # fmt: skip
    assert np.abs(low.data[0, 8000:-8000]).max() < 0.05  # a mains of 2 Hz shows that the notch runs


@pytest.mark.parametrize("modality", ["ecg", "eeg"])
def test_woo2023_filters_nothing(modality):
    gain = response("woo2023", modality)
    for hz in (0.05, 0.5, 4.0, 31.0, 45.0, 50.0, 60.0):
        assert gain(hz) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("modality", "rate", "order", "edges", "kind"),
    [
        ("eda", 4.0, 4, 1.0, "lowpass"),
        ("eda", 1000.0, 4, 1.0, "lowpass"),
        ("ppg", 64.0, 3, (0.5, 8.0), "bandpass"),
        ("ppg", 1000.0, 3, (0.5, 8.0), "bandpass"),
        ("temp", 4.0, 2, 0.5, "lowpass"),
    ],
)
def test_wu2023_filters_at_the_source_rate(modality, rate, order, edges, kind):
    gain = response("wu2023", modality, rate=rate, rate_hz=rate)
    for edge in np.atleast_1d(edges):
        assert gain(edge) == pytest.approx(-6.02, abs=0.1)
        for hz in (0.7 * edge, 1.4 * edge):
            assert gain(hz) == pytest.approx(butter(order, edges, kind, hz, rate), abs=0.3)


def test_wu2023_brings_everything_to_4_hz_after_the_filter():
    t = np.arange(round(SECONDS * 64)) / 64
    # 5 Hz passes the band-pass of the pulse, and must not come back as 1 Hz.
    x = (np.sin(2 * np.pi * 5.0 * t) + np.sin(2 * np.pi * 1.2 * t))[None].astype(np.float32)
    made = preprocess(Signal(x, 64.0, ("bvp",), "V"), "ppg", rate_hz=4.0, mains_hz=50.0, rules="wu2023")
    assert (made.rate, made.data.shape) == (4.0, (1, 4 * SECONDS))
    spectrum = np.abs(np.fft.rfft(made.data[0] * np.hanning(made.data.shape[1])))
    hz = np.fft.rfftfreq(made.data.shape[1], 0.25)
    assert hz[spectrum.argmax()] == pytest.approx(1.2, abs=0.01)
    assert spectrum[np.abs(hz - 1.0) < 0.05].max() < 0.01 * spectrum.max()


def test_protocols_and_preparations_have_the_same_names():
    assert set(get_args(Protocol.model_fields["preprocess"].annotation)) == set(RULES)
    papers = ("vazquez2022", "strizhkova2024", "woo2023", "wu2023")
    assert {name: load_protocol(name).preprocess for name in papers} == {name: name for name in papers}
    assert {name: load_protocol(name).rate_hz for name in papers} == {**dict.fromkeys(papers, 128), "wu2023": 4}


def test_what_a_paper_does_not_use_is_prepared_as_usual():
    for rules in RULES.values():
        assert rules.filters["acc"] == RULES["standard-v1"].filters["acc"]
        assert set(rules.filters) == set(RULES["standard-v1"].filters)
