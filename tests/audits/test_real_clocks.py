"""On real recordings: clocks and their negatives are severe, published methods are not, and neither is one that is
always right."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench.audits.checks.confounds import check_explained_by_time
from embench.audits.checks.records import Evidence
from embench.audits.collect import collect_evidence
from embench.data.cohort import Cohort
from embench.data.find import find_source
from embench.protocols import load_protocol
from embench.records import record
from embench.records.audit import CheckResult
from embench.records.predictions import MODEL, Predictions

from ..attacks.clocks import CLOCKS
from ..sample import WHOLE

DATA = os.environ.get("EMBENCH_TEST_DATA")
PROTOCOL = "subject-independent-v4"
BOARDS = Path(__file__).parents[2] / "leaderboards" / "stress_predict"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA names no folder with stress_predict"),
]


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return find_source("stress_predict", Path(str(DATA))).cohort(load_protocol(PROTOCOL))


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """About a published method, whose predictions others take the place of."""
    [folder] = (BOARDS / PROTOCOL).glob("handcrafted-logreg-3cd485d6e9")
    return collect_evidence(folder, Path(str(DATA)))


def found(evidence: Evidence, predictions: Predictions) -> list[str]:
    """The severities that the check finds for other predictions of the same cohort."""
    changed = replace(evidence, record=replace(evidence.record, predictions=predictions, labels=None))
    result = check_explained_by_time(changed)
    assert isinstance(result, CheckResult), result
    print({name: at["proportion_explained"] for name, at in result.figures["stress"].items()})
    return [finding.severity for finding in result.findings]


def predicted(
    evidence: Evidence, cohort: Cohort, score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> Predictions:
    """Predictions of seed 0, a fold at a time: `score` of all labels, and of the rows to train on and to predict."""
    rows = evidence.predictions.take((evidence.predictions["method"] == MODEL) & (evidence.predictions["seed"] == 0))
    at = {unit.id: k for k, unit in enumerate(cohort.units)}
    y = cohort.label["stress"]
    made = np.full(len(rows), np.nan)
    for fold in np.unique(rows["fold"]).tolist():
        here = rows["fold"] == fold
        test = np.array([at[unit] for unit in rows["unit"][here].tolist()])
        tested = {cohort.units[k].subject for k in test}
        train = [k for k, unit in enumerate(cohort.units) if np.isfinite(y[k]) and unit.subject not in tested]
        made[here] = score(y, np.array(train), test)
    return Predictions({**rows.columns, "score": made})


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", CLOCKS)
def test_a_clock_is_severe(evidence: Evidence, cohort: Cohort, name: str, sign: int) -> None:
    t = np.array([unit.start_s for unit in cohort.units])
    session = np.array([cohort.sessions.get(unit.subject, np.nan) for unit in cohort.units])

    def score(y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        return sign * CLOCKS[name](t[train], session[train], y[train], t[test], session[test])

    assert found(evidence, predicted(evidence, cohort, score)) == ["severe"]


def test_to_be_always_right_is_not_severe(evidence: Evidence, cohort: Cohort) -> None:
    right = predicted(evidence, cohort, lambda y, _, test: np.nan_to_num(y[test], nan=0.5))
    assert found(evidence, right) == ["warning"]


def test_no_published_method_is_severe(evidence: Evidence) -> None:
    entries = sorted(BOARDS.glob(f"subject-independent-*/*{'' if WHOLE else '[01]'}/run.yaml"))
    assert entries  # about an eighth of all, by the last digit, or all
    for path in entries:
        rows = record.read_record(path.parent).predictions
        assert found(evidence, rows.take(rows["seed"] == 0)) == [], path
