"""Features of real signals: they find a heart's rhythm, and whose brain it is, without a label."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench import registry
from embench.signals.preprocess import preprocess
from embench_plugins.encoders import catch22
from embench_plugins.encoders.features.spans import RATES_HZ

ROOT = os.environ.get("EMBENCH_TEST_DATA")
pytestmark = pytest.mark.skipif(not ROOT, reason="EMBENCH_TEST_DATA does not say where real data are")


def prepared(dataset, modality, subjects):
    """The recordings of the first subjects, each with its signal as a protocol wants it and windows of ten seconds."""
    reader = registry.load_plugin("dataset", dataset)(Path(ROOT) / dataset)
    for subject in reader.subjects()[:subjects]:
        for recording in reader.recordings(subject):
            raw = recording.signals[modality]
            signal = preprocess(raw, modality, rate_hz=128.0, mains_hz=reader.card.mains_hz)
            start = 10.0 * np.arange(min(6, int(signal.duration_s // 10)))
            yield recording, replace(signal, modality=modality), np.stack([start, start + 10.0], 1)


def encoder(name):
    kind = registry.load_plugin("encoder", name)
    return kind(kind.recipes["small"])


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("multirocket", "catch22")]


@pytest.mark.parametrize("name", ["tangent_space", *SLOW])
def test_a_window_is_most_like_one_of_the_same_subject_in_another_recording(name):
    rows, subjects, recordings = [], [], []
    for recording, signal, spans in prepared("eegmat", "eeg", subjects=6):
        rows.append(encoder(name).features(signal, spans))
        subjects += [recording.subject] * len(spans)
        recordings += [recording.id] * len(spans)
    x, subjects, recordings = np.concatenate(rows), np.array(subjects), np.array(recordings)
    assert np.isfinite(x).all()
    scale = 1.0 if name == "tangent_space" else np.maximum(x.std(0), 1e-6)  # whose distances mean something
    distance = np.stack([(((x - row) / scale) ** 2).sum(1) for row in x])
    distance[recordings[:, None] == recordings] = np.inf
    assert (subjects[distance.argmin(1)] == subjects).mean() > 0.4  # one in six by chance


def test_the_periodicity_of_a_pulse_wave_is_its_beat():
    beats = encoder("handcrafted")
    for _, signal, spans in prepared("wearable_stress", "ppg", subjects=2):
        rate = beats.features(signal, spans)[:, beats.feature_names("ppg", signal.channels).index("hr_mean")]
        lag = encoder("catch22").features(signal, spans)[:, catch22.NAMES.index("periodicity")]
        assert 60 * RATES_HZ["ppg"] / np.median(lag) == pytest.approx(np.median(rate), rel=0.15)
