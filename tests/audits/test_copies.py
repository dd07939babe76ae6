"""Copies of signals are told from signals that are alike."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from embench.audits.checks.splits import find_matches
from embench.data.find import find_source
from embench.protocols import load_protocol
from embench_plugins.datasets.synthetic.body import Body, draw_smooth_noise

from ..tiny.world import plugin
from .planting import copy_subject, world

DATA = os.environ.get("EMBENCH_TEST_DATA")


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA does not say where real data are")
def test_pulses_of_two_people_are_no_copies_though_some_align_by_chance():
    """Of 22 people, two pairs had three of twelve windows of many songs that aligned with .53 and .55."""
    store = find_source("hku956", Path(DATA)).prepared(load_protocol("subject-independent-v4"))
    compared, found = find_matches(store, None, ["ppg"], {"ppg": 64.0})
    assert compared["ppg"] > 2000
    assert found == []


def regular_pulses(root: Path) -> Path:
    """Ten people, eight recordings of 84 s each, whose ECG is the pulse wave of a generated heart: beats of one
    shape, without the noise between their harmonics."""
    world(root, n_subjects=10, stimuli=8, seconds=(84, 84.5))
    smooth = butter(4, 5, fs=64, output="sos")
    for number, path in enumerate(sorted((root / "Tiny").glob("*.npz"))):
        rng = np.random.default_rng([4, number])
        body, own = Body.draw(rng), rng.uniform(58, 92)
        with np.load(path) as content:
            arrays = dict(content)
        for about in json.loads(str(arrays["about"])):
            x = arrays[f"{about['id']} ecg"]
            track = draw_smooth_noise(rng, x.shape[1], 64, 15)
            heart = body.draw_heart_phase(own + 5 * track, body.draw_breath_phase(x.shape[1], 64, rng), 64, rng)
            arrays[f"{about['id']} ecg"] = sosfiltfilt(smooth, body.draw_ppg(heart, 64, rng))[None].astype(np.float32)
        np.savez(path, **arrays)
    return root


def matches(root: Path) -> list[tuple[str, str]]:
    store = find_source(plugin("Tiny"), root).prepared(load_protocol("subject-independent-v4"))
    compared, found = find_matches(store, None, ["ecg"], {"ecg": 64.0})
    assert compared["ecg"] > 200
    return [(match.one, match.other) for match in found]


@pytest.mark.slow
def test_generated_pulses_are_no_copies_and_a_copied_pulse_is_one(tmp_path):
    """Windows of such pulses align by chance, with up to .8, but what lies before and after them does not."""
    root = regular_pulses(tmp_path)
    assert matches(root) == []
    copy_subject(root, "p03", "p09", lambda x, rate: 2.5 * x[:, 3 * rate :] - 3)
    assert matches(root) == [("p03", "p09")]


def test_a_recording_of_one_window_can_be_a_copy(tmp_path):
    """Nothing lies before or after it that could be compared."""
    root = world(tmp_path, n_subjects=8, stimuli=8, seconds=(18, 18.5))
    copy_subject(root, "p03", "p05", lambda x, _: x)
    store = find_source(plugin("Tiny"), root).prepared(load_protocol("subject-independent-v4"))
    _, found = find_matches(store, None, ["ecg"], {"ecg": 64.0})
    assert [(match.one, match.other) for match in found] == [("p03", "p05")]
