"""A note says where scores order a subject's moments as one statistic of one signal does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench.audits.checks.confounds import check_one_statistic
from embench.audits.checks.records import Evidence
from embench.audits.collect import collect_evidence
from embench.interfaces.metric import Undefined
from embench.records.predictions import Predictions
from embench.runs import external

from ..tiny.world import few_folds, plugin
from .planting import audit_run, method, predicted, world


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world(tmp_path_factory.mktemp("world"), n_subjects=6, stimuli=12, seconds=(12, 16))


@pytest.fixture(scope="module")
def evidence(root: Path) -> Evidence:
    """About a file of random scores."""
    path = predicted(root / "mine.csv", root, lambda _, noise: noise.uniform(0.1, 0.9))
    scored = external.score(path, plugin("Tiny"), protocol=few_folds(root), data_root=root, out=root / "out" / "mine")
    return collect_evidence(scored.folder, root)


def spread(evidence: Evidence, rows: Predictions) -> np.ndarray:
    """(n,) the SD of the ECG that was predicted from."""
    return np.array([evidence.store.signal(name, "ecg").data.std() for name in rows["recording"].tolist()])


def noted(evidence: Evidence, score: np.ndarray | None = None) -> tuple[list[str], dict]:
    """The severities that are found of scores (n,), and what was measured."""
    rows = evidence.predictions
    if score is not None:
        rows = Predictions({**rows.columns, "score": score})
    found = check_one_statistic(replace(evidence, record=replace(evidence.record, predictions=rows)))
    assert not isinstance(found, Undefined)
    return [finding.severity for finding in found.findings], dict(found.figures["arousal"])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_sd_of_a_signal_in_disguise_gets_a_note(evidence: Evidence, sign: int) -> None:
    """On a scale of its own in each subject, and bent."""
    rows = evidence.predictions
    subject = np.unique(rows["subject"], return_inverse=True)[1]
    score = np.exp(sign * spread(evidence, rows) * (1 + subject)) + 10.0 * subject
    severities, figures = noted(evidence, score)
    assert severities == ["note"]
    assert figures == {"signal": "ecg", "channel": "ecg", "statistic": "SD", "rank_correlation": sign}


def test_what_only_shares_something_with_the_sd_gets_none(evidence: Evidence) -> None:
    own = spread(evidence, evidence.predictions)
    noise = np.random.default_rng(0).normal(0, own.std(), len(own))
    severities, figures = noted(evidence, own + noise)
    assert severities == []
    assert 0.4 < figures["rank_correlation"] < 0.95
    assert noted(evidence)[0] == []


def test_few_subjects_say_nothing(evidence: Evidence) -> None:
    rows = evidence.predictions
    few = rows.take(np.isin(rows["subject"], ["p00", "p01", "p02", "p03"]))
    found = check_one_statistic(replace(evidence, record=replace(evidence.record, predictions=few)))
    assert isinstance(found, Undefined)
    assert "fewer than 5 subjects" in found.reason


@pytest.mark.slow
def test_an_audit_of_features_measures_it_and_says_nothing(root: Path, tmp_path: Path) -> None:
    result = method(root, "handcrafted", fusion="logreg", protocol=few_folds(root))
    audited = audit_run(result.folder, out=tmp_path)
    assert "one_statistic" not in {name for name, _ in audited.findings}
    assert audited.checks["one_statistic"].figures["arousal"]["signal"] == "ecg"
