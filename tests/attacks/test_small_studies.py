"""The study of rules for small studies computes what it says, and scores without a signal do not pass its best rule."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from bench.confound_rule.__main__ import main
from bench.confound_rule.attacks import UNDER, best_of_ten, confound_scores, names
from bench.confound_rule.cells import LIGHT_HEADER, RULES, append
from bench.confound_rule.decision import CHOSEN, to_draw
from bench.confound_rule.designs import draw_study
from bench.confound_rule.published_rule import RidgeResiduals
from bench.confound_rule.rules import Fitted
from bench.confound_rule.scores import apart, balanced, matched, out_of_fold, overlap, random_partition, standardised
from bench.confound_rule.tables import Counts, merge
from bench.confound_rule.worlds import WORLDS, confirmation_worlds, draw_world, kind_of
from embench.statistics.intervals import training_overlap


def test_overlap_is_that_of_published_intervals() -> None:
    rng = np.random.default_rng(0)
    folds, contributions = balanced(24, rng), rng.standard_normal((2, 6, 24))
    expected = [training_overlap(of, apart(folds)) for of in contributions]
    assert overlap(contributions, apart(folds)) == pytest.approx(expected)


def test_the_metric_counts_comparisons_of_two_subjects_with_opposite_labels() -> None:
    rng = np.random.default_rng(1)
    study = draw_study("D1", 8, rng)
    folds = random_partition(8, rng, folds=2)
    label, score = (rng.random((8, 12)) < 0.4).astype(float), rng.standard_normal((8, 12)).round(1)
    by_stimulus = [np.take_along_axis(of, study.stimulus.argsort(1), 1) for of in (label, score)]
    wins = total = 0.0
    for p, q in permutations(range(8), 2):
        for s, t in permutations(range(12), 2) if folds[0, p] == folds[0, q] else ():
            y, x = by_stimulus
            if (y[p, s], y[p, t], y[q, s], y[q, t]) == (1, 0, 0, 1):
                wins += (x[p, s] > x[p, t]) + 0.5 * (x[p, s] == x[p, t])
                total += 1
    found = matched(score[None, None], label[None], study.stimulus, folds, graded=False)
    assert found.estimate[0] == pytest.approx(wins / total)
    assert found.comparisons[0] == total / 2


def test_ridge_residuals_are_those_of_a_refit_in_each_fold() -> None:
    rng = np.random.default_rng(2)
    columns, folds = rng.standard_normal((60, 20)), (np.arange(12) % 4)[None]
    scores, labels, models = (rng.standard_normal(size) for size in ((1, 1, 12, 5), (1, 12, 5), (1, 1, 12, 5, 4)))
    found, _ = RidgeResiduals(columns, 7.0)(scores, labels, models, folds)
    whole, values, fold = np.hstack([columns, models.reshape(60, 4)]), scores.ravel(), np.repeat(folds[0], 5)
    for k in range(4):
        z, test = whole[fold != k], fold == k
        weights = np.linalg.solve(z.T @ z + 7 * np.eye(24), z.T @ values[fold != k])
        assert found.ravel()[test] == pytest.approx(values[test] - whole[test] @ weights)


def test_a_negated_mean_by_stimulus_passes_only_where_labels_meet_models_that_saw_them() -> None:
    rng = np.random.default_rng(3)
    study, folds = draw_study("D1", 24, rng), balanced(24, rng)
    label = draw_world(WORLDS["none"], study, rng).labels["binary"]
    scores = standardised(-confound_scores("stimulus", study, label, folds)[None], folds)
    found = Fitted("lags", study, study.movement, rng).answers(scores, label[None], folds)
    assert found.r[0] > 0.9
    assert found.yes["t+overlap"][0]
    assert not found.yes["pairs"][0]


def test_a_strong_effect_is_found() -> None:
    rng = np.random.default_rng(4)
    study, folds = draw_study("D1", 24, rng), balanced(24, rng)
    drawn = draw_world(WORLDS["effect_80"], study, rng)
    label = drawn.labels["binary"][None]
    scores = standardised(out_of_fold(drawn.features, label, folds), folds)
    assert Fitted("slopes", study, study.movement, rng).answers(scores, label, folds).yes["pairs"][0]


def test_worlds_of_the_confirmation_depend_on_their_seed_alone() -> None:
    assert confirmation_worlds(5) == confirmation_worlds(5) != confirmation_worlds(6)
    kinds = [world.kind for world in confirmation_worlds(5).values()]
    assert (kinds.count("null"), kinds.count("effect")) == (18, 6)


def test_a_cell_passes_by_its_first_draws_or_by_those_that_follow(tmp_path: Path) -> None:
    path, rows = tmp_path / "development.csv", []
    for world, found in {
        "none": (6, 30, 0),
        "film": (7, 13, 0),
        "previous": (7, 14, 100),
        "startle": (7, 14, 101),
    }.items():
        for first, draws, yes in zip((0, 200, 10_000), (200, 200, 2_000), found, strict=True):
            for measure in ("yes", "shown"):
                counted = (yes if rule == CHOSEN else "" for rule in LIGHT_HEADER[7:])
                rows.append(["D1", 24, "binary", world, first, draws, measure, *counted])
    append(path, LIGHT_HEADER, rows)
    merge(path)
    counts = Counts(path)
    states = {cell[3]: counts.states(cell, "yes")[RULES.index(CHOSEN)] for cell in counts.staged}
    assert states == {"none": "pass", "film": "pass", "previous": "pass", "startle": "fail"}
    assert to_draw(counts, [CHOSEN], "more") == {}


def test_the_best_of_ten_attacks_is_one_of_its_world() -> None:
    metric = np.arange(len(names()), dtype=float)
    found = [names()[at] for at in best_of_ten(metric, np.random.default_rng(5))]
    assert [name.split(":")[2] for name in found] == list(UNDER)


def test_the_kind_of_a_world_follows_from_its_name() -> None:
    kinds = {
        "film": "null",
        "effect_62": "effect",
        "reliability_90": "limit",
        "joystick": "null",
        "effect_1_71": "effect",
    }
    assert {name: kind_of(name) for name in kinds} == kinds
    assert kind_of("null_03") == "null"


@pytest.mark.parametrize("arguments", [["--cells", "D1:3"], ["--confirm", "MISSING"]])
def test_a_wrong_argument_ends_with_one_sentence(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["confound_rule", *arguments])
    with pytest.raises(SystemExit, match=arguments[1]):
        main()
