"""Electrodes: their places against MNE's template, and one spelling for each."""

import numpy as np
import pytest

from embench_plugins.encoders.eeg_foundation import POSITIONS, find_electrode, find_positions


def test_places_are_those_of_the_template():
    mne = pytest.importorskip("mne", reason="mne is not installed: pip install mne")
    template = mne.channels.make_standard_montage("standard_1005").get_positions()["ch_pos"]
    expected = np.stack([template[name] for name in POSITIONS])
    np.testing.assert_allclose(find_positions(tuple(POSITIONS)), expected, atol=1e-7)


def test_left_is_left_and_front_is_front():
    place = dict(zip(POSITIONS, find_positions(tuple(POSITIONS)), strict=True))
    assert place["C3"][0] < 0 < place["C4"][0]
    assert place["Oz"][1] < 0 < place["Fpz"][1]
    assert place["Cz"][2] == max(z for _, _, z in place.values())


@pytest.mark.parametrize(
    ("written", "meant"),
    [("EEG T3", "T7"), ("t6", "P8"), ("FP1", "Fp1"), ("EEG CZ-REF", "Cz"), ("Fcz.", "FCz"), ("A1", "A1")],
)
def test_a_channel_is_known_however_it_is_written(written, meant):
    assert find_electrode(written) == meant


@pytest.mark.parametrize("name", ["ECG", "EEG A2-A1", "ch1", "Fp1-F7", "HEOR"])
def test_what_is_no_electrode_is_none(name):
    assert find_electrode(name) is None
