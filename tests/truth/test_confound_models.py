"""No model without a physiological signal, submitted as a method, is said to be associated with the label given what it
encodes: whatever the design, and however few subjects."""

from __future__ import annotations

from pathlib import Path

import pytest

from embench.statistics.answers import answer_questions

from ..sample import sample
from .confound_models import DESIGNS, YES, Study, cells

SLOW = "three tasks in one order"


def wrong(study: Study) -> list[str]:
    return [str(cell) for cell in cells(study) if cell.wrong]


@pytest.mark.parametrize(
    ("design", "subjects"),
    [
        *sample([(design, 12) for design in DESIGNS], *[(design, 12) for design in DESIGNS if design != SLOW]),
        *sample([("films in random orders, strong", 34)]),
        pytest.param("blocks in two orders", 24, marks=pytest.mark.slow),
    ],
)
def test_without_an_accelerometer(design: str, subjects: int, tmp_path: Path) -> None:
    assert not wrong(Study(design, subjects, 0, tmp_path / "store", accelerometer=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "subjects"),
    [
        ("films in random orders, strong", 16),
        ("films in one order", 16),
    ],
)
def test_with_an_accelerometer(design: str, subjects: int, tmp_path: Path) -> None:
    assert not wrong(Study(design, subjects, 0, tmp_path / "store"))


def test_what_a_body_shows_is_found(tmp_path: Path) -> None:
    study = Study("films in random orders", 34, 0, tmp_path / "store", accelerometer=False)
    assert study.answers(study.scores(study.of_a_body)) == {"chance": YES, "movement": YES}


def test_a_body_below_a_model_of_time_is_not_shown_where_the_metric_does_not_hold_time(tmp_path: Path) -> None:
    study = Study("blocks in two orders", 16, 0, tmp_path / "store", accelerometer=False)
    scores = study.scores(study.of_a_body)
    assert study.answers(scores) == {"chance": YES, "movement": "not shown"}
    [found] = answer_questions({"cohort": {}}, scores).values()
    assert "position in the session alone reaches 0.90" in found.find_answer("movement").evidence
