"""Scores of groups of subjects: those of a record of their units alone, and a method that works for one sex only."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench import report
from embench.records.predictions import MODEL, Predictions
from embench.records.record import read_record
from embench.report.facts import RunFacts
from embench.report.sections import SMALLEST_GROUP, group_scores
from embench.statistics.joined import recorded_target
from embench.statistics.scores import compute_scores


@pytest.fixture(scope="module")
def record(made):
    return read_record(made.folder)


def sexes(record, male):
    people = sorted(record.groups)
    return {subject: {"sex": "male" if k < male else "female"} for k, subject in enumerate(people)}


def scores_of(record, known):
    (target,) = RunFacts(record).targets
    return list(group_scores(RunFacts(record), target, known))


def test_a_group_has_the_score_of_a_record_of_its_units(record):
    known = sexes(record, 6)
    found = {(one.group, one.metric): one for one in scores_of(record, known)}
    target = recorded_target(record, "stress")
    for group in ("male", "female"):
        members = [subject for subject, facts in known.items() if facts["sex"] == group]
        rows = record.predictions.take(record.predictions["method"] == MODEL)
        some = rows.take(np.isin(rows["subject"], members))
        alone = compute_scores(
            some, record.labels, targets=[target], protocol=RunFacts(record).rules,
            design=record.manifest.cohort.design, groups=record.groups, unit_length_s=10.0, sessions=record.sessions,
        ).get_scores("stress")["auroc_within"]  # fmt: skip
        one = found[group, "auroc_within"]
        assert one.subjects == len(members)
        assert (one.score.mean, one.score.low, one.score.high) == (alone.mean, alone.low, alone.high)
    gap = found["female minus male", "auroc_within"].score
    assert gap.mean == found["female", "auroc_within"].score.mean - found["male", "auroc_within"].score.mean
    assert gap.low < gap.mean < gap.high


def test_a_method_that_works_for_one_sex_only_is_found(record):
    """Women's predictions are their labels, men's are noise."""
    known, rows = sexes(record, 6), record.predictions
    label = dict(zip(record.labels["unit"], record.labels["label"], strict=True))
    women = np.array([known[subject]["sex"] == "female" for subject in rows["subject"]])
    right = np.array([label.get(unit, 0.0) for unit in rows["unit"]])
    noise = np.random.default_rng(0).normal(size=len(rows))
    columns = {**rows.columns, "score": np.where(women, right, noise)}
    changed = replace(record, predictions=Predictions(columns))
    found = {(one.group, one.metric): one.score for one in scores_of(changed, known)}
    assert found["female", "auroc_within"].mean == 1.0
    assert found["female minus male", "auroc_within"].low > 0


def test_small_groups_and_facts_that_divide_nobody_are_not_scored(record):
    assert scores_of(record, sexes(record, SMALLEST_GROUP - 1)) == []
    assert scores_of(record, {subject: {"sex": "male"} for subject in record.groups}) == []


@pytest.mark.slow
@pytest.mark.skipif("EMBENCH_TEST_DATA" not in os.environ, reason="EMBENCH_TEST_DATA does not say where real data are")
def test_an_entry_of_eegmat_has_scores_of_women_and_men(tmp_path, page):
    entry = next((Path(__file__).parents[2] / "leaderboards/eegmat/subject-independent-v4").glob("handcrafted-lda-*"))
    path = report.write_report(entry, tmp_path / "r.html", data_root=Path(os.environ["EMBENCH_TEST_DATA"]))
    people = page(path.read_text()).sections["groups"]
    assert all(group in people for group in ("sex: female", "sex: male", "sex: female minus male", "age_band: 10-19"))
