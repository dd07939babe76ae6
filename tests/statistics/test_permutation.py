"""Exchanged answers against exchanging them by hand and scoring everything anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from embench.interfaces.units import Units
from embench.statistics import comparison, intervals
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, Jackknife, leave_one_out
from embench.statistics.joined import Joined, joined_on_common

from ..sample import sample
from ..truth.cohorts import TARGET, draw_labels, draw_lengths, partitions, recorded

PEOPLE = 18
ONCE = 12
"""As many exchanges are done by hand."""


def two_methods() -> tuple[list[Joined], Jackknife, dict[str, str]]:
    """On different scales, with ties; some subjects recorded two by two."""
    rng = np.random.default_rng(5)
    y, folds = draw_labels(rng, PEOPLE), partitions(rng, draw_lengths(rng, PEOPLE), 2)
    folds[:, 1:12:2] = folds[:, :12:2]
    noise = rng.normal(size=(2, 2, *y.shape))
    scores = [1 / (1 + np.exp(-(y + noise[0]))), np.round(0.3 + 0.1 * (0.6 * y + noise[1]), 2)]
    records = [recorded(name, np.clip(s, 0, 1), y, folds, "auroc") for name, s in zip("ab", scores, strict=True)]
    groups = {subject: f"g{k // 2 if k < 12 else k}" for k, subject in enumerate(records[0].groups)}
    joined = joined_on_common(records, TARGET, groups)
    return joined, leave_one_out(joined[0].tested_subjects(), groups), groups


def mean_of(name: str, joined: Joined, jackknife: Jackknife) -> Estimate:
    score, _ = estimate(name, joined, TARGET, jackknife)
    assert isinstance(score, Estimate)
    return score


def ranked(units: Units) -> Units:
    return replace(units, score=stats.rankdata(units.score))


def exchanged(one: Joined, other: Joined, subjects: set[str]) -> Joined:
    """`one` with the answers of `other` for these subjects."""
    seeds: dict[int, dict[int, Units]] = {}
    for seed, fold, units in one:
        theirs = other.seeds[seed][fold]
        take = np.isin(units.subject, list(subjects))
        predictions = {
            name: np.where(take, getattr(theirs, name), getattr(units, name)) for name in ("score", "decision")
        }
        seeds.setdefault(seed, {})[fold] = replace(units, **predictions)
    return Joined(seeds)


def as_ranks(joined: Joined) -> Joined:
    return Joined(
        {seed: {fold: ranked(units) for fold, units in folds.items()} for seed, folds in joined.seeds.items()}
    )


@pytest.mark.parametrize(
    ("name", "by_rank"),
    sample(
        [
            ("auroc_within", False),
            ("auroc_crossed", False),
            ("auroc_crossed_time", False),
            ("auroc_within_stimulus", True),
            ("auroc", True),
            ("f1_weighted", False),
            ("brier", False),
        ],
        ("auroc_within", False),
        ("auroc", True),
        ("brier", False),
    ),
)
def test_exchanging_answers_of_groups_is_what_it_says(name: str, by_rank: bool) -> None:
    (one, other), jackknife, groups = two_methods()
    subjects = jackknife.subjects
    names, codes = np.unique([groups[p] for p in subjects.tolist()], return_inverse=True)
    scores = [mean_of(name, joined, jackknife) for joined in (one, other)]
    parts = [comparison.per_subject_contributions(name, joined, TARGET, subjects) for joined in (one, other)]
    if parts[0] is not None and parts[1] is not None:
        added = np.bincount(codes, parts[0] - parts[1])
        values = intervals.sign_flips(added)
        assert added.sum() == pytest.approx(scores[0].mean - scores[1].mean)
    else:
        values = comparison.permuted_differences(name, one, other, subjects, codes)
        added = comparison.group_contributions(name, one, other, subjects, codes)
        assert added.sum() == pytest.approx(scores[0].mean - scores[1].mean, rel=0.25)
    assert values[0] == pytest.approx(scores[0].mean - scores[1].mean)
    mixed = (as_ranks(one), as_ranks(other)) if by_rank else (one, other)
    ways = intervals.group_permutations(len(names))
    for way, value in list(zip(ways, values, strict=True))[:ONCE]:
        theirs = set(subjects[way[codes]].tolist())
        first, second = exchanged(*mixed, theirs), exchanged(*mixed[::-1], theirs)
        expected = mean_of(name, first, jackknife).mean - mean_of(name, second, jackknife).mean
        assert value == pytest.approx(expected, abs=1e-12)
