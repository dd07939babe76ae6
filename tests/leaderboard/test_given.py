"""Entries of methods that test subjects give something: what is compared with a method is its own, what was given is
what the record says, and rows are ranked among those that were given as much."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench.errors import CheckFailed, DataError
from embench.leaderboard import build_leaderboards
from embench.leaderboard.rows import get_ranking_class, load_entry_summaries, rank_rows
from embench.leaderboard.verify import find_wrong_statements
from embench.leaderboard.verify_data import find_board_differences, find_same_entry
from embench.leaderboard.withheld import redact_scores
from embench.protocols import MADE_BY_METHOD, Given, load_protocol
from embench.records.predictions import Predictions
from embench.records.record import (
    PREDICTIONS_FILE,
    Record,
    read_numbers,
    read_record,
    read_shared_numbers,
    shared_folder,
    write_numbers,
)
from embench.records.scores import Scores
from embench.statistics import evaluation
from embench.statistics.scores import COMPARED

from ..tiny import scored
from .conftest import attest
from .made_up import put
from .test_verify import edit, made_record, publish, verify

PROTOCOL = load_protocol("personalise-v1")
RECORDED = {"name": PROTOCOL.name, "version": PROTOCOL.version, "hash": PROTOCOL.hash, "leaks": False}
METHODS = (
    "model",
    "majority",
    "elapsed_time",
    *MADE_BY_METHOD,
    "calibration_class_proportions",
    "time_since_calibration",
)


def personal_record(
    given: Given, name: str = "cnn_tf-single-0123456789", others: float = 0.0, units: int = 12
) -> Record:
    """A run of which test subjects gave something; `others`: what is added to what its method is compared with."""
    made = scored._run(units - 4, units, strength=0.5, methods=METHODS)
    named = made.predictions["method"]
    made.predictions = Predictions({
        **made.predictions.columns,
        "score": made.predictions["score"] + others * np.isin(named, MADE_BY_METHOD),
    })  # fmt: skip
    record = made_record(made, scored.BINARY, protocol=PROTOCOL)
    scores = Scores(
        {**record.scores, "adjusted": {"stress": {"undefined": "it is made up"}}, "coverage": {"stress": 1.0}}
    )
    rules = {**RECORDED, "rules": PROTOCOL.model_dump(mode="json", exclude_none=True)}
    run = copy.deepcopy(record.run) | {
        "id": name, "protocol": rules, "target_access": given.access, "calibration_data": given.to_record(),
        "scoring": evaluation.scoring_identity(),
    }  # fmt: skip
    run["config"]["calibration_data"] = given.text
    return replace(record, run=run, scores=scores)


@pytest.fixture(scope="module")
def record() -> Record:
    return personal_record(Given(5))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record) -> Path:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    return publish(tmp_path, record)


def test_what_is_compared_with_a_method_lies_with_it_and_comes_back(published: Path, record: Record) -> None:
    verify(published)
    again = read_record(published)
    for method in METHODS:
        here, there = (r.predictions.take(r.predictions.rows_with(method=method)) for r in (again, record))
        assert sorted(here["score"].tolist()) == sorted(there["score"].tolist()), method
    assert again.scores["confound_only"] == record.scores["confound_only"]
    assert again.scores["calibration_gain"] == record.scores["calibration_gain"]
    attest(published, compared=["confound_only"])
    page, _ = build_leaderboards(published.parents[2])
    assert "given 5 labelled units of each class" in page.read_text()
    models = page.read_text().partition("Models without any physiological signal")[2]
    assert "time since the start" in models
    assert not [name for name in COMPARED if name in models]


def test_methods_share_controls_and_not_what_each_is_compared_with(tmp_path: Path, record: Record) -> None:
    one = publish(tmp_path, record)
    other = publish(tmp_path, personal_record(Given(5), "cnn_tf-single-1123456789", others=0.25))
    parts = [read_record(folder).run["entry"] for folder in (one, other)]
    assert parts[0] == parts[1]
    shared = read_shared_numbers(shared_folder(one), "confound_only", parts[0]["confound_only"])
    assert {name.partition("/")[0] for name in shared} == set(METHODS) - {"model", *MADE_BY_METHOD}
    assert find_board_differences(one, [other]) == []


def test_entries_that_were_given_otherwise_are_neither_copies_nor_contradictions(
    tmp_path: Path, record: Record
) -> None:
    one, less = publish(tmp_path, record), personal_record(Given(2), "cnn_tf-single-2123456789")
    rows = less.predictions
    moved = rows["score"] + 0.1 * (rows["method"] == "time_since_calibration")
    again = replace(less, predictions=Predictions({**rows.columns, "score": moved}))
    other = publish(tmp_path, again)
    assert find_same_entry(other, [one]) is None
    assert find_board_differences(other, [one]) == []
    said = publish(
        tmp_path, replace(again, run={**again.run, "calibration_data": {"labelled": 5}, "id": "cnn_tf-single-3"})
    )
    assert find_same_entry(said, [one]) == one.name
    assert any("confound_only: time_since_calibration" in wrong for wrong in find_board_differences(said, [one]))


CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": (
        {"calibration_data": {}, "target_access": "none"},
        "calibration_data: 0, but the method is compared with calibration_normalised, calibration_only, no_calibration",
    ),
    "no labels": (
        {"calibration_data": {"unlabelled": 5}, "target_access": "5_unlabelled_units"},
        "unlabelled:5, but the method is compared with calibration_normalised, calibration_only, no_calibration",
    ),
    "less": (
        {"calibration_data": {"labelled": 2}, "target_access": "2_labelled_units"},
        "calibration_data: 2, but config.calibration_data is 5",
    ),
    "not said": (
        {"calibration_data": None, "target_access": "none"},
        "calibration_data: not said, which personalise-v1 asks",
    ),
    "another access": ({"target_access": "unlabelled"}, "protocol.leaks or target_access"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_record_that_says_another_amount_is_refused(record: Record, name: str) -> None:
    claim, found = CLAIMS[name]
    assert not list(find_wrong_statements(record))
    assert any(found in wrong for wrong in find_wrong_statements(replace(record, run={**record.run, **claim})))


def test_a_record_of_nothing_is_compared_with_nothing(record: Record) -> None:
    nothing = {
        "calibration_data": {},
        "target_access": "none",
        "config": {**record.run["config"], "calibration_data": "0"},
    }
    kept = record.predictions.take(~np.isin(record.predictions["method"], MADE_BY_METHOD))
    confound_only = {name: of for name, of in record.scores["confound_only"].items() if name not in MADE_BY_METHOD}
    honest = replace(record, predictions=kept, scores=Scores({**record.scores, "confound_only": confound_only}))
    assert not list(find_wrong_statements(replace(honest, run={**record.run, **nothing})))


def test_no_control_is_taken_from_an_entry_s_own_files(published: Path) -> None:
    """Others confirm what is shared; a method that brought its own confound-only models would bring weak ones."""
    numbers = read_numbers(published / PREDICTIONS_FILE)
    write_numbers(published / PREDICTIONS_FILE, {**numbers, "majority/score": numbers["score"]})
    with pytest.raises(DataError, match="majority/score"):
        read_record(published)
    write_numbers(published / PREDICTIONS_FILE, numbers)
    before = read_record(published).scores["confound_only"]
    edit(
        published / "scores.json", lambda s: s["confound_only"].update(majority=s["confound_only"]["calibration_only"])
    )
    assert read_record(published).scores["confound_only"] == before


def test_gains_that_do_not_follow_are_refused(published: Path) -> None:
    edit(published / "scores.json", lambda s: s["calibration_gain"]["stress"].update(source="labels"))
    with pytest.raises(CheckFailed, match=r"scores\.json: calibration_gain\.stress\.source"):
        verify(published)


def test_sealed_gains_over_controls_are_those_of_the_headline_with_three_digits() -> None:
    kept = redact_scores(personal_record(Given(5), units=20).scores)
    assert redact_scores(kept) == kept
    over = kept["calibration_gain"]["stress"]["compared_with"]
    assert {tuple(gains) for gains in over.values()} == {("auroc_crossed",)}
    means = [gap["mean"] for gains in over.values() if "mean" in (gap := gains["auroc_crossed"]["difference"])]
    assert means
    assert means == [round(mean, 3) for mean in means]
    assert "left_out': ['" not in json.dumps(kept)


def test_rows_are_ranked_among_those_that_were_given_as_much(tmp_path: Path) -> None:
    access = {"a": Given(5), "b": Given(5), "c": Given(5, labelled=False), "d": Given(), "e": Given.read("session")}
    for name, given in access.items():
        more = {"protocol": PROTOCOL.name, "calibration_data": given.to_record(), "access": given.access}
        put(tmp_path, f"cnn_tf-late-{name}", 0.6, **more)
    rows, rankings = rank_rows(load_entry_summaries(tmp_path), "stress")
    apart = {row.id[-1]: (get_ranking_class(row), row.differences) for row in rows if row.is_method}
    assert apart["a"][0] == apart["b"][0]
    assert len({of for of, _ in apart.values()}) == len(rankings) == 4
    assert apart["c"][1] == ("given 5 units of each class without their labels",)
