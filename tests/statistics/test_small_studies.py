"""The confound test of small studies computes what the simulation that chose it computed, in other code."""

from dataclasses import replace

import numpy as np
import pytest

from bench.confound_rule.designs import draw_study
from bench.confound_rule.rules import GUARD_LEVEL, PROPORTION_LEFT, Fitted, common_columns, further_columns, own_columns
from bench.confound_rule.scores import balanced, out_of_fold, standardised
from bench.confound_rule.worlds import draw_world, worlds_of
from embench.interfaces.metric import Undefined
from embench.statistics.nuisance_models import Sessions
from embench.statistics.small_studies import ConfoundColumns, Sample, _movement_columns, adjust

SUBJECTS, STIMULI = 24, 12


def drawn(world, draw=0):
    """Standardised scores (S, n, 1), labels (n, 1), the sample, and the simulation's own objects."""
    rng = np.random.default_rng([5, draw])
    study = draw_study("D1", SUBJECTS, rng)
    folds = balanced(SUBJECTS, rng)
    made = draw_world(worlds_of("D1")[world], study, rng)
    label = made.labels["binary"]
    scores = standardised(out_of_fold(made.features, label[None], folds), folds)
    made_columns = (
        own_columns("memory", study, study.movement),
        common_columns("memory", study, study.movement),
        further_columns("memory", study.movement),
    )
    columns = ConfoundColumns(*(of.reshape(SUBJECTS * STIMULI, -1) for of in made_columns))
    subject = np.repeat(np.arange(SUBJECTS), STIMULI)
    sample = Sample(columns, subject, subject, study.stimulus.ravel(), folds)
    simulated = Fitted("memory", study, study.movement, rng)
    return scores[0].reshape(len(folds), -1, 1), label.reshape(-1, 1), sample, (simulated, scores, label, folds)


def test_columns_of_movement_are_those_of_the_simulation():
    study = draw_study("D1", SUBJECTS, np.random.default_rng(7))
    units = SUBJECTS * STIMULI
    subject, when = np.repeat(np.arange(SUBJECTS), STIMULI), np.tile(np.arange(float(STIMULI)), SUBJECTS)
    movement = np.clip(study.movement, -3, 3).ravel()
    common, own, further = _movement_columns(movement, Sessions(subject, when, np.zeros(units), 1.0))
    simulated = common_columns("memory", study, study.movement).reshape(units, -1)
    apart = np.abs(simulated[:, :, None] - common[:, None]).max(0)  # each of its columns from each of the others
    np.testing.assert_allclose(apart.min(0), 0, atol=1e-9)
    np.testing.assert_allclose(further, further_columns("memory", study.movement).reshape(units, -1), atol=1e-9)
    of_subjects = own_columns("memory", study, study.movement).reshape(units, -1)
    np.testing.assert_allclose(np.stack(own, axis=1), of_subjects[:, -len(own) :], atol=1e-9)


@pytest.mark.parametrize("world", ["none", "effect_80", "film_strong", "habituation", "film_movement"])
def test_the_rule_is_that_of_the_simulation(world):
    scores, labels, sample, (simulated, of_simulation, label, folds) = drawn(world)
    found = adjust(scores, labels, sample)
    expected = simulated.answers(of_simulation, label[None], folds, kinds=("pairs",))
    assert found.whole
    assert found.label_residual_proportion == pytest.approx(float(expected.left[0]))
    assert found.extra_movement_p == pytest.approx(float(simulated.follows(label[None])[0]))
    assert found.extra_movement_p < 1
    told = found.label_residual_proportion >= PROPORTION_LEFT and found.extra_movement_p > GUARD_LEVEL
    assert told != bool(expected.cannot[0])
    assert (told and found.effect.low > 0) == bool(expected.yes["pairs"][0])
    paired = simulated._paired(of_simulation, label[None], folds)[0]
    x, y = simulated.residuals(of_simulation).mean(1), simulated.residuals(label[None])
    assert found.effect.mean == pytest.approx(float(paired / np.sqrt((x**2).sum() * (y**2).sum())))
    assert found.by_group.sum() == pytest.approx(found.effect.mean)


def test_one_partition_has_the_wider_interval():
    width: dict[str, list[float]] = {"one": [], "several": []}
    for draw in range(5):
        scores, labels, sample, _ = drawn("effect_80", draw)
        alone = adjust(scores[:1], labels, replace(sample, fold=sample.fold[:1]))
        several = adjust(scores, labels, sample)
        assert not alone.whole
        for name, found in (("one", alone), ("several", several)):
            width[name].append(found.effect.high - found.effect.low)
    assert np.mean(width["one"]) > np.mean(width["several"])


def test_a_model_of_the_stimulus_is_not_associated_whatever_its_sign():
    scores, labels, sample, _ = drawn("film")
    fold, subject, stimulus = sample.fold, sample.subject, sample.stimulus
    means = np.empty_like(scores)
    for s, of in enumerate(fold):
        for k in range(STIMULI):
            for number in np.unique(of):
                train = (of[subject] != number) & (stimulus == k)
                means[s, (of[subject] == number) & (stimulus == k)] = labels[train].mean()
    for sign in (1, -1):
        found = adjust(sign * means, labels, sample)
        assert found.effect.low < 0 < found.effect.high
        assert found.score_left < 0.05


def test_too_few_units_are_told():
    scores, labels, sample, _ = drawn("none")
    rows = np.flatnonzero(np.tile(np.arange(STIMULI) < 6, SUBJECTS))
    few = Sample(
        sample.columns.take(rows), sample.subject[rows], sample.group[rows], sample.stimulus[rows], sample.fold
    )
    found = adjust(scores[:, rows], labels[rows], few)
    assert isinstance(found.effect, Undefined)
    assert "too few to adjust" in found.effect.reason


def test_two_recordings_of_a_subject_leave_nothing_of_the_label_to_associate():
    """Walks after a happy and a sad induction: the place, adjusted for in each subject, explains the label."""
    rng, subjects, units = np.random.default_rng(0), 24, 10
    subject, place = np.repeat(np.arange(subjects), 2 * units), np.tile(np.repeat([0, 1], units), subjects)
    labels = ((place + subject) % 2).astype(float)[:, None]
    own = np.column_stack([np.ones(len(place)), np.exp(-place / 2)])
    columns = ConfoundColumns(own, np.eye(2)[place][:, 1:], np.zeros((len(place), 0)))
    fold = np.stack([rng.permutation(np.arange(subjects) % 5) for _ in range(6)])
    found = adjust(
        labels[None] + rng.normal(size=(6, len(place), 1)), labels, Sample(columns, subject, subject, place, fold)
    )
    assert isinstance(found.effect, Undefined)
    assert found.effect.reason == "time, order and movement, adjusted for in each subject, explain the label fully"
