"""Runs in which nothing is wrong raise nothing severe, with an effect in the body and without."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

import embench
from embench_plugins.datasets.amigos.synthetic import synthesize as amigos
from embench_plugins.datasets.stress_predict.synthetic import synthesize as stress_predict

from ..sample import WHOLE
from ..tiny.world import few_folds
from .planting import audit_run

SPECTRUM = Path(__file__).parents[1] / "truth" / "spectrum.py"
FEATURES = {"encoder": "handcrafted", "fusion": "logreg", "modalities": "ecg,eda"}
NETWORK = {"encoder": f"{SPECTRUM}:Spectrum", "fusion": "single", "modalities": "ecg"}
RUNS = 30 if WHOLE else 5


@pytest.mark.slow
def test_clean_runs_raise_nothing_severe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them with an effect; three in five of features with logistic regression and one of a network on AMIGOS,
    and one on Stress-Predict, whose units are windows of one session with its tasks in one order.

    The rule of three: none in the 30 of `make rates` means fewer than one in ten runs, at 95 %. The sample is the first
    five, in three folds of one seed. What each check's own rate is stands in docs/why/audit.md.
    """
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    severe, others = [], Counter()
    folds, trial_s = ({}, 20.0) if WHOLE else ({"protocol": few_folds(tmp_path, 3)}, 12.0)
    for seed in range(RUNS):
        root, effect = tmp_path / str(seed), float(seed % 2)
        method = {"target": "arousal", **(NETWORK if seed % 5 == 3 else FEATURES), "dataset": "amigos"}
        if seed % 5 == 4:
            stress_predict(root / "stress_predict", subjects=8, seed=seed, effect=effect, length_s=600.0)
            method = {**FEATURES, "modalities": "ppg,eda", "dataset": "stress_predict"}
        else:
            amigos(root / "amigos", subjects=8, seed=seed, effect=effect, length_s=trial_s)
        result = embench.run(
            **method,
            **folds,
            recipe="small",
            seeds="0,1" if WHOLE else "0",
            workers=1,
            device="cpu",
            data_root=root,
            runs=root / "runs",
        )
        audited = audit_run(result.folder)
        for name, finding in audited.findings:
            others[name, finding.severity] += 1
            if finding.severity == "severe":
                severe.append((seed, name, finding.what, dict(finding.evidence)))
        print(seed, effect, method["encoder"], audited.severity_counts, dict(audited.skipped), flush=True)
        shutil.rmtree(root)
    print(others)
    assert severe == []
