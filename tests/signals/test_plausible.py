"""Units that no body allows are told, and others are not: of made-up sizes, synthetic datasets and real recordings."""

import os
from pathlib import Path

import numpy as np
import pytest

from embench import registry
from embench.data.find import find_source, write_synthetic
from embench.interfaces.recording import Signal
from embench.signals.plausible import PLAUSIBLE_SIZES, signal_size, unit_fault

REAL = Path(os.environ.get("EMBENCH_TEST_DATA", "nowhere"))
GENERATED = [e for e in registry.entries("dataset") if registry.has_synthesizer(e.full_name)]


@pytest.mark.parametrize(
    ("modality", "unit", "size", "seems"),
    [
        ("eda", "uS", 4e-6, "S"), ("eda", "µS", 0.004, "mS"), ("eda", "uS", 4000, "nS"), ("eda", "uS", 250, "kOhm"),
        ("temp", "degC", 91.4, "degF"), ("temp", "°C", 306, "K"), ("hr", "bpm", 1.2, "Hz or s between beats"),
        ("hr", "bpm", 833, "ms between beats"), ("ecg", "mV", 1000, "uV"), ("ecg", "mV", 0.001, "V"),
        ("eeg", "uV", 40e-6, "V"), ("eeg", "uV", 40e3, "nV"), ("emg", "uV", 1e5, "nV"), ("acc", "g", 9.81, "m/s2"),
        ("acc", "g", 1000, "mg"), ("acc", "g", 64, "counts of 1/64 g"),
    ],
)  # fmt: skip
def test_a_wrong_unit_is_told_with_the_one_that_it_seems_to_be(modality, unit, size, seems):
    found = unit_fault(modality, unit, [size, float("nan"), size])
    assert found.endswith(f"its values look like {seems}")
    assert PLAUSIBLE_SIZES[modality].source in found


@pytest.mark.parametrize("modality", PLAUSIBLE_SIZES)
def test_usual_sizes_are_right_in_every_unit_that_is_stated_rightly(modality):
    known = PLAUSIBLE_SIZES[modality]
    assert unit_fault(modality, known.unit, [known.usual]) is None
    # One sensor that fell off is no unit, and nothing is known of arbitrary units.
    assert unit_fault(modality, known.unit, [known.usual, known.usual, 1e9]) is None
    assert unit_fault(modality, "a.u.", [1e9]) is None
    assert unit_fault(modality, known.unit, []) is None
    for other, convert in known.others.items():
        in_other = next(x for x in np.geomspace(1e-9, 1e9, 3601) if abs(convert(x) / known.usual - 1) < 0.02)
        assert unit_fault(modality, other, [in_other]) is None


def test_sizes_are_swings_lengths_or_medians():
    t = np.arange(1000) / 100
    swing = Signal(50 * np.sin(2 * np.pi * t)[None] + 4000, 100.0, ("Cz",), "uV")
    assert signal_size("eeg", swing) == pytest.approx(100, abs=1)
    axes = Signal(np.array([[0.6], [0.0], [0.8]]) * np.ones(90), 30.0, ("x", "y", "z"), "g")
    assert signal_size("acc", axes) == pytest.approx(1)
    assert np.isnan(signal_size("eda", Signal(np.full((1, 9), np.nan), 4.0, ("eda",), "uS")))
    assert np.isnan(signal_size("ppg", Signal(np.ones((1, 9)), 4.0, ("bvp",), "a.u.")))


def faults(dataset, factor=1.0):
    """Modality -> what is wrong with its unit, after values were multiplied."""
    sizes, units = {}, {}
    for subject in dataset.subjects():
        for recording in dataset.recordings(subject):
            for modality, signal in recording.signals.items():
                sizes.setdefault(modality, []).append(factor * signal_size(modality, signal))
                units[modality] = signal.unit
    return {m: text for m in sizes if (text := unit_fault(m, units[m], sizes[m]))}


@pytest.mark.slow
@pytest.mark.parametrize("name", [entry.name for entry in GENERATED])
def test_no_bundled_dataset_is_complained_about(name, tmp_path):
    folder = tmp_path / name.partition("/")[0]
    write_synthetic(name, folder, subjects=3, seed=0, effect=1.0, length_s=None, videos=False)
    dataset = find_source(str(folder) if name in ("own", "corpus") else name, tmp_path).reader
    assert faults(dataset) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wearable_stress", {"eda", "temp", "acc"}), ("eegmat", {"eeg", "ecg"}),
    ],
)  # fmt: skip
def test_real_recordings_are_right_and_a_thousandth_or_a_thousandfold_is_not(name, told):
    if not (REAL / name).is_dir():
        pytest.skip("EMBENCH_TEST_DATA has no such recordings")
    dataset = find_source(name, REAL).reader
    assert faults(dataset) == {}
    assert set(faults(dataset, 1000.0)) == told
    assert set(faults(dataset, 0.001)) == told - {"acc"}  # without gravity there may be next to nothing
