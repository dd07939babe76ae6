"""What a method adds to clock and movement, in made sessions whose causes are known."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from embench.interfaces.metric import Undefined
from embench.interfaces.units import LabelRule, Target
from embench.statistics.confound_blocks import ConfoundBlocks
from embench.statistics.confound_test import (
    RULE,
    VARIANTS,
    Association,
    LabelledUnits,
    Variant,
    estimate_metric,
    measure_association,
    standardised_scores,
)
from embench.statistics.estimates import mean_difference
from embench.statistics.intervals import leave_one_out
from embench.statistics.nuisance_columns import SessionGrid
from embench.statistics.nuisance_models import Parts, Sessions

SUBJECTS, UNITS = 30, 80
TARGET = Target("stress", "binary", LabelRule(), "stress")


class World:
    """Sessions in which movement and body each tell the label a little, and do not know of each other."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        subject = np.repeat(np.arange(SUBJECTS), UNITS)
        self.y = (random.random(len(subject)) < 0.4).astype(float)
        noise = random.standard_normal((3, len(subject)))
        self.movement = 0.8 * self.y + noise[0]
        self.body = 0.8 * self.y + noise[1]
        self.noise = noise[2]
        fold = np.arange(SUBJECTS) % 5
        every = np.arange(len(subject))
        self.parts: Parts = [(every[fold[subject] != k], every[fold[subject] == k]) for k in range(5)]
        names = np.array([f"p{k:02d}" for k in subject])
        start = np.tile(np.arange(UNITS) * 10.0, SUBJECTS)
        length = np.full(len(subject), UNITS * 10.0)
        self.sessions = Sessions(subject, start, length, 10.0)
        self.tested = LabelledUnits(TARGET, names, names, names, start, length, self.y, 10.0)
        moved = self.sessions.standardised(self.movement[:, None])
        self.held = ConfoundBlocks({"local": np.hstack([np.ones_like(moved), moved, moved**2 / 2])}, self.parts)

    def judged(self, score: np.ndarray, by: Variant = RULE) -> Association:
        values = {0: score[:, None]}
        joined = self.tested.joined(values, {0: self.parts})
        jackknife = leave_one_out(joined.tested_subjects(), {})
        own = estimate_metric("auroc_within", joined, TARGET, jackknife)
        return measure_association(values, self.tested, {0: self.held}, ["local"], "auroc_within", own, jackknife, by)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_what_the_body_tells_beside_movement_adds(world: World) -> None:
    found = world.judged(world.body + world.movement)
    assert found.associated
    assert found.partial_r.low > 0.1  # type: ignore[union-attr]


@pytest.mark.parametrize("make", [lambda m, _: m, lambda m, _: np.exp(m), lambda m, e: m + e, lambda m, _: -m])
def test_movement_does_not_add_to_itself(world: World, make) -> None:
    assert not world.judged(make(world.movement, world.noise)).associated


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_rule_tell_a_body_from_movement_too(world: World, name: str) -> None:
    by, usual = VARIANTS[name], world.judged(world.body + world.movement)
    found = world.judged(world.body + world.movement, by)
    assert found.associated
    assert not world.judged(world.movement, by).associated
    assert (found.share == usual.share) == (by.penalty == RULE.penalty)
    assert found.score.mean != usual.score.mean  # type: ignore[union-attr]


def test_noise_does_not_add(world: World) -> None:
    assert not world.judged(world.noise).associated


def test_what_groups_of_subjects_add_sums_up_to_the_effect(world: World) -> None:
    found = world.judged(world.body)
    assert len(found.by_group) == SUBJECTS
    assert found.by_group.sum() == pytest.approx(found.partial_r.mean)  # type: ignore[union-attr]


def test_the_effect_in_a_task_tells_in_which_task_the_body_answers() -> None:
    world = World()
    half = np.arange(len(world.y)) % UNITS < UNITS // 2
    stimulus = np.where(world.y == 0, "rest", np.where(half, "sums", "speech"))
    world.tested = replace(world.tested, stimulus=stimulus)
    found = world.judged(np.where(stimulus == "sums", world.body, world.noise)).tasks
    assert list(found) == ["speech", "sums"]
    assert found["sums"].low > 0.05 > found["speech"].mean  # type: ignore[union-attr]


def test_in_a_session_that_is_one_stimulus_each_block_of_positive_units_is_a_task() -> None:
    world = World()
    place = np.arange(len(world.y)) % UNITS
    world.y[:] = np.isin(place // 10, (1, 3, 6))
    world.y[world.tested.subject == "p03"] = place[world.tested.subject == "p03"] < 30  # one block, as nobody else has
    world.body = 0.8 * (world.y * (place // 10 == 3)) + world.noise  # answers in the second
    stimulus = np.full(len(world.y), "session")
    world.tested = replace(world.tested, stimulus=stimulus, y=world.y)
    found = world.judged(world.body).tasks
    assert list(found) == ["block 1 of 3", "block 2 of 3", "block 3 of 3"]
    first, second, third = (effect.mean for effect in found.values())  # type: ignore[union-attr]
    assert second > 0.15 > max(first, third)


def test_scores_of_units_without_a_label_change_nothing() -> None:
    world = World()
    world.y[::3] = np.nan
    score = world.body + world.movement
    found = [world.judged(np.where(np.isfinite(world.y), score, other)) for other in (np.nan, 0.0, 50.0)]
    assert found[0].associated
    told = [(each.partial_r.mean, each.partial_r.low, each.score.mean, each.share) for each in found]
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("metric", ["auroc_within", "auroc_crossed_matched"])
def test_the_mean_difference_is_that_of_the_comparisons_one_by_one(world: World, metric: str) -> None:
    few = np.flatnonzero(np.isin(world.tested.subject, [f"p{k:02d}" for k in range(15)]))
    score = {0: np.full((len(world.y), 1), np.nan)}
    score[0][few, 0] = world.body[few]
    joined = world.tested.joined(score, {0: world.parts})
    found = mean_difference(metric, joined, leave_one_out(joined.tested_subjects(), {}))
    by_fold: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(5)]
    for k in range(15):
        mine = world.tested.subject == f"p{k:02d}"
        by_fold[k % 5].append((world.body[mine], world.y[mine] == 1))
    gaps = [x[positive].mean() - x[~positive].mean() for fold in by_fold for x, positive in fold]
    if metric != "auroc_within":  # what two subjects of a fold give whose labels are the other way round
        gaps = [
            (a[i] - a[j] + b[j] - b[i]) / 2
            for fold in by_fold
            for (a, high), (b, other) in itertools.combinations(fold, 2)
            for i, j in itertools.permutations(range(UNITS), 2)
            if high[i] and not high[j] and other[j] and not other[i]
        ]
    assert found.mean == pytest.approx(np.mean(gaps), abs=1e-12)  # type: ignore[union-attr]


def test_labels_of_a_subject_do_not_reach_what_is_left_of_its_own_scores(world: World) -> None:
    of_first = world.tested.subject == "p00"
    changed = np.where(of_first, 1 - world.y, world.y)
    before, after = (world.held.residuals(y[:, None], ["local"])[:, 0] for y in (world.y, changed))
    np.testing.assert_allclose((world.y - before)[of_first], (changed - after)[of_first], atol=1e-12)


def test_no_scale_of_a_fold_or_a_subject_matters(world: World) -> None:
    score = world.body[:, None]
    scaled = score * (1.0 + np.arange(len(score))[:, None] // UNITS) + 7.0
    one, other = (standardised_scores(values, world.tested.subject, world.parts) for values in (score, scaled))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_ridge_of_numpy_leaves_the_same(world: World) -> None:
    x, y = world.held.blocks["local"], world.body
    train, test = world.parts[2]
    for penalty in (100.0, 300.0):
        weights = np.linalg.solve(x[train].T @ x[train] + penalty * np.eye(3), x[train].T @ y[train])
        left = world.held.residuals(y[:, None], ["local"], penalty)[test, 0]
        np.testing.assert_allclose(left, y[test] - x[test] @ weights, atol=1e-9)


def test_a_clock_set_by_movement_reads_labels_of_shifted_sessions() -> None:
    random = np.random.default_rng(3)
    late = random.integers(0, 20, SUBJECTS)
    subject = np.repeat(np.arange(SUBJECTS), 200)
    place = np.tile(np.arange(200), SUBJECTS)
    task = place - late[subject]
    y = ((task > 60) & (task < 120)).astype(float)
    tasks = random.standard_normal(400)  # what the wrist does in each task, which tells nothing of stress
    trace = tasks[task + 100] + 0.3 * random.standard_normal(len(subject))
    sessions = Sessions(subject, place * 10.0, np.full(len(subject), 2000.0), 10.0)
    grid = SessionGrid(sessions)
    train = [np.flatnonzero(subject % 5 != p % 5) for p in range(SUBJECTS)]
    clocks = grid.clocks(grid.likeness([trace]), y[:, None], train)
    assert np.corrcoef(clocks[:, 0], y)[0, 1] > 0.95
    assert np.corrcoef(np.exp(-(((place - 100) / 30) ** 2)), y)[0, 1] < 0.9  # which the time of the session does not


def test_plain_numpy_gives_the_same_effect_and_share(world: World) -> None:
    z, folds, person = world.held.blocks["local"], np.arange(SUBJECTS) % 5, np.repeat(np.arange(SUBJECTS), UNITS)

    def left(v: np.ndarray) -> np.ndarray:
        out = np.empty(len(v))
        for k in range(5):
            train, test = folds[person] != k, folds[person] == k
            gram = z[train].T @ z[train] + 100 * np.eye(z.shape[1])
            out[test] = v[test] - z[test] @ np.linalg.inv(gram) @ z[train].T @ v[train]
        return out

    x = world.body + world.movement
    for group in (folds[person], person):
        for k in np.unique(group):
            x = np.where(group == k, (x - x[group == k].mean()) / x[group == k].std(), x)
    x = x.clip(-4, 4)
    rx, ry = left(x), left(world.y)
    by_subject = [(rx * ry)[person == p].mean() for p in range(SUBJECTS)]
    found = world.judged(world.body + world.movement)
    assert not isinstance(found.partial_r, Undefined)
    assert abs(found.partial_r.mean - np.mean(by_subject) / np.sqrt((rx**2).mean() * (ry**2).mean())) < 1e-6
    assert abs(found.share - (rx**2).mean() / (x**2).mean()) < 1e-6
