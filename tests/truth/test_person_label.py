"""A label that is a function of the subject alone: nothing is to be learnt about new subjects, all about known ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..sample import WHOLE
from ..tiny.world import few_folds

SPECTRUM = f"{Path(__file__).with_name('spectrum.py')}:Spectrum"
SETS = range(6 if WHOLE else 2)
UNDEFINED = {"undefined": {"id": "no_subject_with_both_classes"}}


@pytest.mark.slow
def test_known_subjects_are_recognised_and_the_headline_is_undefined(data: Callable, run: Callable) -> None:
    root = data(subjects=10 if WHOLE else 6, seed=0, effect=1.0, length_s=12.0, person_label=True)
    method = {"encoder": SPECTRUM, "fusion": "single", "modalities": "eeg", "target": "arousal"}
    scores = run(root, **method, protocol="segment-random-legacy").scores
    print(scores["scores"]["arousal"]["auroc"])
    assert scores["scores"]["arousal"]["auroc"]["mean"] > 0.9
    assert scores["primary_metrics"] == {"arousal": "auroc_within"}
    assert scores["scores"]["arousal"]["auroc_within"] == UNDEFINED

    # The same again as a command: every stage is there, so that it only scores and prints.
    options = [f"--{name}={value}" for name, value in method.items()]
    command = [sys.executable, "-c", "from embench.cli import main; main()", "run", "--dataset=amigos", *options]
    arguments = ["--protocol=segment-random-legacy", "--recipe=small", "--seeds=0", "--device=cpu"]
    folders = [f"--data-root={root}", f"--runs={root / 'runs'}"]
    done = subprocess.run([*command, *arguments, *folders], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "undefined: no subject has both classes" in done.stdout
    assert "0 stages to run" in done.stderr + done.stdout


@pytest.mark.slow
def test_new_subjects_are_at_chance(data: Callable, run: Callable, tmp_path: Path) -> None:
    """The method that recognises subjects, on new ones. With four to seven subjects in a fold, one set's `auroc` says
    little, so that their mean is looked at: its standard error is about .06 over six sets."""
    method = {"encoder": SPECTRUM, "fusion": "single", "modalities": "eeg", "target": "arousal"}
    folds, length_s = ({}, 20.0) if WHOLE else ({"protocol": few_folds(tmp_path, 3)}, 12.0)
    found = []
    for seed in SETS:
        root = data(subjects=20, seed=seed, effect=1.0, length_s=length_s, person_label=True)
        scores = run(root, **method, **folds).scores
        assert scores["scores"]["arousal"]["auroc_within"] == UNDEFINED
        found.append(scores["scores"]["arousal"]["auroc"])
    print([tuple(round(number[key], 3) for key in ("mean", "low", "high")) for number in found])
    assert sum(number["low"] <= 0.5 <= number["high"] for number in found) >= len(SETS) - 1
    assert sum(number["mean"] for number in found) / len(SETS) == pytest.approx(0.5, abs=0.37 / len(SETS) ** 0.5)
