"""A row that holds event markers is told from the rows of its board."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.adjusted.markers import Suspect, suspects
from bench.adjusted.recompute import standardised
from bench.adjusted.study import Study, in_order

SUBJECTS, UNITS, SEEDS = 20, 60, 2


@pytest.fixture(scope="module")
def made() -> tuple[Study, np.ndarray]:
    """Rows that read one body, each with noise of its own, and what markers predict: nearly the labels."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(SUBJECTS), UNITS)
    y = (rng.random(len(subject)) < 0.4).astype(float)
    body = y + 1.5 * rng.standard_normal(len(subject))
    rows = {f"row{k}": body + 0.5 * rng.standard_normal((SEEDS, len(subject))) for k in range(6)}
    marked = 4 * y + rng.standard_normal((SEEDS, len(subject)))
    start, names = np.tile(10.0 * np.arange(UNITS), SUBJECTS), np.array([f"p{k:02d}" for k in range(SUBJECTS)])
    anything: Any = SimpleNamespace(groups={name: name for name in names.tolist()})
    study = Study(
        dataset="made up", cohort=anything, target=anything, positions=np.arange(len(y)),
        unit_ids=np.arange(len(y)).astype(str), subject=subject, start=start, y=y, names=names,
        session_s=np.full(SUBJECTS, 10.0 * UNITS), length_s=10.0, seeds=np.arange(SEEDS),
        folds=np.stack([rng.permutation(np.arange(SUBJECTS) % 5) for _ in range(SEEDS)]),
        order=in_order(subject, start), rows=rows, confound_only={},
    )  # fmt: skip
    return study, marked


def judged(study: Study, name: str, marked: np.ndarray, weights: tuple[float, ...]) -> list[Suspect]:
    rows = {other: standardised(scores, study) for other, scores in study.rows.items()}
    row = rows.pop(name)
    return suspects(study, row, list(rows.values()), standardised(marked, study), weights)


def test_a_row_with_markers_mixed_in_is_flagged_and_no_honest_one_is(made: tuple[Study, np.ndarray]) -> None:
    study, marked = made
    found = {name: judged(study, name, marked, (0.0, 0.1)) for name in study.rows}
    assert [[suspect.flagged for suspect in of_row] for of_row in found.values()] == [[False, True]] * len(study.rows)
    honest, mixed = found["row0"]
    assert honest.effect[0] < 0.1 < mixed.effect[0]


def test_a_row_that_reads_what_no_other_does_is_flagged_too(made: tuple[Study, np.ndarray]) -> None:
    study, marked = made
    other_body = study.y + 1.5 * np.random.default_rng(1).standard_normal((SEEDS, len(study.y)))
    assert judged(replace(study, rows={**study.rows, "other": other_body}), "other", marked, (0.0,))[0].flagged


def test_no_scale_of_a_subject_matters(made: tuple[Study, np.ndarray]) -> None:
    study, marked = made
    scaled = marked * (1 + study.subject) + 7
    one, other = (judged(study, "row1", values, (0.05,))[0].effect for values in (marked, scaled))
    np.testing.assert_allclose(one, other, atol=1e-9)
