"""The confound test of small studies computes what the simulation that chose it computed, in other code."""

import numpy as np
import pytest

from bench.confound_rule.designs import draw_study
from bench.confound_rule.rules import Fitted, common_columns, own_columns
from bench.confound_rule.scores import balanced, out_of_fold, random_partition, standardised
from bench.confound_rule.worlds import draw_world, worlds_of
from embench.interfaces.metric import Undefined
from embench.statistics.small_studies import ConfoundColumns, Sample, adjust

SUBJECTS, STIMULI = 24, 12


def drawn(world, draw=0, partitions=balanced):
    """Standardised scores (S, n, 1), labels (n, 1), the sample, and the simulation's own objects."""
    rng = np.random.default_rng([5, draw])
    study = draw_study("D1", SUBJECTS, rng)
    folds = partitions(SUBJECTS, rng)
    made = draw_world(worlds_of("D1")[world], study, rng)
    label = made.labels["binary"]
    scores = standardised(out_of_fold(made.features, label[None], folds), folds)
    own = own_columns("gains", study, study.movement).reshape(SUBJECTS * STIMULI, -1)
    common = common_columns("gains", study, study.movement).reshape(SUBJECTS * STIMULI, -1)
    subject = np.repeat(np.arange(SUBJECTS), STIMULI)
    sample = Sample(ConfoundColumns(own, common, common[:, :0]), subject, subject, study.stimulus.ravel(), folds)
    simulated = Fitted("gains", study, study.movement, rng)
    return scores[0].reshape(len(folds), -1, 1), label.reshape(-1, 1), sample, (simulated, scores, label, folds)


@pytest.mark.parametrize("world", ["none", "effect_80", "film_strong", "habituation"])
def test_the_rule_is_that_of_the_simulation(world):
    scores, labels, sample, (simulated, of_simulation, label, folds) = drawn(world)
    found = adjust(scores, labels, sample)
    expected = simulated.answers(of_simulation, label[None], folds)
    assert found.whole
    assert found.label_left == pytest.approx(float(expected.left[0]))
    assert (found.effect.low > 0) == bool(expected.yes["pairs"][0])
    paired = simulated._paired(of_simulation, label[None], folds)[0]
    x, y = simulated.residuals(of_simulation).mean(1), simulated.residuals(label[None])
    assert found.effect.mean == pytest.approx(float(paired / np.sqrt((x**2).sum() * (y**2).sum())))
    assert found.of_groups.sum() == pytest.approx(found.effect.mean)


def test_one_partition_has_the_wider_interval():
    alone = adjust(*drawn("effect_80", partitions=random_partition)[:3])
    several = adjust(*drawn("effect_80")[:3])
    assert not alone.whole
    assert alone.effect.high - alone.effect.low > several.effect.high - several.effect.low


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
