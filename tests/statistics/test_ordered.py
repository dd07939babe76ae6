"""Values in order: the concordances against loops over every quadruple, and what no curve of other subjects may win."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.stats import kendalltau

from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import TIE
from embench.interfaces.units import LabelRule, Target, Units
from embench.protocols import load_protocol
from embench.records.predictions import ANY_SEED, Labels, Predictions
from embench.statistics import conditioned
from embench.statistics.answers import answer_questions
from embench.statistics.conditioned import crossed_pairs, order_by_subject, order_without_stimulus
from embench.statistics.estimates import estimate, has_difference, mean_difference
from embench.statistics.intervals import Estimate, Jackknife, leave_one_out, with_add_one_interval
from embench.statistics.joined import Joined, varies_within_stimuli
from embench.statistics.scores import choose_primary_metric, compute_scores

from ..sample import sample

FELT = Target("felt", "value", LabelRule("mean"), "felt", scale=(0, 10), step=0.5)
SUBJECTS, FILMS, MOMENTS, FOLDS = 20, 4, 15, 4
SHAPE = SUBJECTS, FILMS, MOMENTS


def few(seed: int) -> tuple[Units, np.ndarray]:
    """Few subjects and stimuli, met several times; scores tie, and many labels are exactly a step apart."""
    rng, n = np.random.default_rng(seed), 50
    score, y = np.round(rng.random(n), 1), rng.integers(0, 10, n) / 10
    subject, stimulus = rng.integers(0, 4, n).astype(str), rng.integers(0, 5, n).astype(str)
    none, start = np.zeros(n), 10.0 * rng.permutation(n)
    units = Units("value", y, score, none, subject, stimulus, start, rng.integers(0, 2, n), subject, 10.0, step=0.3)
    return units, np.array(["0", "1", "absent", "2", "3"])


def loop(units: Units, subjects: np.ndarray, graded: bool) -> tuple[np.ndarray, np.ndarray]:
    """Each comparison of p, with each of q that is its mirror image and came in the same order."""
    wins, pairs = np.zeros((2, len(subjects), len(subjects)))
    at = {name: k for k, name in enumerate(subjects.tolist())}
    who, cell, tie = units.subject, units.stimulus, TIE * np.ptp(units.score[np.isfinite(units.score)])
    start = units.start_s
    own = [
        (i, j)
        for i, j in product(range(len(units)), repeat=2)
        if who[i] == who[j] and units.fold[i] == units.fold[j] and cell[i] != cell[j]
        if round(units.y_true[i] - units.y_true[j], 6) >= units.step
    ]
    for (i, j), (k, m) in product(own, repeat=2):
        same = (start[i] < start[j]) == (start[m] < start[k])
        if who[i] != who[k] and cell[k] == cell[j] and cell[m] == cell[i] and same:
            gap = units.score[i] - units.score[j]
            won = 0.5 if abs(gap) <= tie else float(gap > 0)
            if not graded and not np.isfinite(gap):
                won = 0.0 if np.isnan(units.score[[i, j]]).any() else 0.5
            wins[at[who[i]], at[who[k]]] += gap if graded else won
            pairs[at[who[i]], at[who[k]]] += 1
    return wins, pairs


@pytest.mark.parametrize(("seed", "in_memory"), [(0, 2_000_000), (1, 2_000_000), (0, 30)])
@pytest.mark.parametrize("graded", [False, True])
def test_crossed_pairs_equal_a_loop_over_quadruples(
    monkeypatch: pytest.MonkeyPatch, seed: int, in_memory: int, graded: bool
) -> None:
    monkeypatch.setattr(conditioned, "MAX_TABLE_SIZE", in_memory)
    units, subjects = few(seed)
    if seed and not graded:  # some are not predicted
        units.score[8:20] = np.where(np.arange(12) % 2, np.nan, np.inf)
    made = crossed_pairs(units, units.stimulus.astype(int), subjects, graded=graded)
    wins, pairs = loop(units, subjects, graded)
    np.testing.assert_allclose(made.wins, wins, atol=1e-9)
    np.testing.assert_array_equal(made.pairs, pairs)
    assert pairs.sum() > 60
    hidden = replace(units, start_s=np.full(len(units), np.nan))
    assert crossed_pairs(hidden, units.stimulus.astype(int), subjects).pairs.sum() > 1.3 * pairs.sum()


def test_order_inside_a_subject_is_that_of_kendall() -> None:
    rng = np.random.default_rng(3)
    units = made(rng.normal(size=SHAPE), rng.normal(size=SHAPE))[0]
    units = replace(units, step=0.0, fold=np.zeros(len(units), int))
    names = units.subjects[0]
    for p, share in enumerate(order_by_subject(units, names)):
        mine = units.take(units.subject == names[p])
        assert share == pytest.approx((1 + kendalltau(mine.score, mine.y_true).statistic) / 2)
    assert np.isnan(order_by_subject(replace(units, step=100.0), names)).all()


def test_order_without_a_stimulus_is_that_of_the_other_units() -> None:
    units, subjects = few(2)
    every = order_without_stimulus(units, subjects, ["3", "unseen"])
    np.testing.assert_allclose(every[0], order_by_subject(units.take(units.stimulus != "3"), subjects))
    np.testing.assert_allclose(every[1], order_by_subject(units, subjects))


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Curves over moments, of SD 1."""
    curves = uniform_filter1d(rng.normal(size=shape), 5, axis=-1)
    return np.asarray(curves / curves.std())


def made(
    y: np.ndarray, score: np.ndarray, *, seeds: int = 2, binary: bool = False, one_order: bool = False
) -> tuple[Units, Joined]:
    """Labels and scores (subjects, films, moments) as units, each subject's films in an order of its own."""
    rng = np.random.default_rng(5)
    subject, film, moment = (part.ravel() for part in np.indices(y.shape))
    order = np.array([rng.permutation(y.shape[1]) for _ in range(y.shape[0])])
    if one_order:
        order[:] = np.arange(y.shape[1])
    values, n = y.ravel(), y.size
    units = Units(
        kind="binary" if binary else "value",
        y_true=(values > 0).astype(float) if binary else values,
        score=np.broadcast_to(score, y.shape).ravel(),
        decision=np.zeros(n),
        subject=np.char.mod("p%02d", subject),
        stimulus=np.char.mod("film%d", film),
        start_s=order[subject, film] * 1000.0 + moment * 10.0,
        fold=np.zeros(n, int),
        group=np.char.mod("p%02d", subject),
        length_s=10.0,
        session_s=np.full(n, 4000.0),
        moment_s=moment * 10.0,
        step=0.0 if binary else 0.5,
    )
    folds = {seed: (subject * (2 * seed + 1) + subject // FOLDS) % FOLDS for seed in range(seeds)}
    parts = {
        seed: {k: replace(units.take(of == k), fold=np.full((of == k).sum(), k)) for k in range(FOLDS)}
        for seed, of in folds.items()
    }
    return units, Joined(parts)


def scored(name: str, joined: Joined, target: Target = FELT) -> Estimate:
    found, _ = estimate(name, joined, target, jackknife(joined))
    assert isinstance(found, Estimate)
    return found


def jackknife(joined: Joined) -> Jackknife:
    return leave_one_out(joined.tested_subjects(), {})


RNG = np.random.default_rng(0)
SHARED, OWN = smooth(RNG, SHAPE[1:]), smooth(RNG, SHAPE)
LABELS = SHARED + OWN
OTHERS = (SHARED + smooth(RNG, (30, *SHAPE[1:]))).mean(0)
"""What 30 other subjects felt on average."""
CURVES = {
    "others": OTHERS,
    "one other": SHARED + smooth(RNG, SHAPE[1:]),
    "lagged": np.roll(OTHERS, 2, axis=1),
    "early": np.roll(OTHERS, -3, axis=1),
    "smoothed": uniform_filter1d(OTHERS, 7, axis=1),
    "changes": np.gradient(OTHERS, axis=1),
    "squared": OTHERS**2,
    "clock": np.broadcast_to(np.arange(MOMENTS) * 10.0, SHAPE[1:]),
    "film": np.broadcast_to(OTHERS.mean(1, keepdims=True), SHAPE[1:]),
    "constant": np.zeros(SHAPE[1:]),
}


@pytest.mark.parametrize("name", sample(CURVES, "others", "lagged", "clock"))
def test_no_curve_of_other_subjects_wins(name: str) -> None:
    curve = CURVES[name]
    rng = np.random.default_rng(1)
    gain, offset = rng.uniform(0.2, 5, (SUBJECTS, 1, 1)), rng.normal(size=(SUBJECTS, 1, 1))
    for score in (curve, -curve, 0.01 * curve - 7, curve * gain, curve + offset, -curve * gain + offset):
        _, joined = made(LABELS, score)
        assert scored("concordance_crossed_moment", joined).mean == pytest.approx(0.5, abs=1e-9)
    _, joined = made(LABELS, curve, binary=True)
    felt = Target("felt", "binary", LabelRule(cut=0.0), "felt")
    assert scored("auroc_crossed_moment", joined, felt).mean == pytest.approx(0.5, abs=1e-9)


def test_a_curve_of_others_wins_where_the_moment_is_not_held_constant() -> None:
    _, joined = made(LABELS, OTHERS)
    assert scored("concordance_within", joined).low > 0.55
    assert scored("ccc", joined).low > 0.1


def test_an_own_part_of_a_tenth_is_found() -> None:
    known = np.sqrt(0.9) * OTHERS / OTHERS.std() + np.sqrt(0.1) * OWN
    _, joined = made(LABELS, known)
    found = with_add_one_interval(scored("concordance_crossed_moment", joined))
    assert found.low > 0.5
    _, unknown = made(LABELS, np.sqrt(0.9) * OTHERS / OTHERS.std() + np.sqrt(0.1) * smooth(RNG, SHAPE))
    assert with_add_one_interval(scored("concordance_crossed_moment", unknown)).low < 0.5
    _, best = made(LABELS, LABELS)
    assert scored("concordance_crossed_moment", best).mean == 1


def test_the_clock_does_not_win_where_tasks_came_in_one_order() -> None:
    time = np.indices(SHAPE)[1] * 1000.0 + np.indices(SHAPE)[2] * 10.0
    for score in (time, -time, np.sin(time / 100)):
        _, joined = made(LABELS, score, one_order=True)
        assert scored("concordance_crossed_matched", joined).mean == pytest.approx(0.5, abs=1e-9)
    assert scored("concordance_crossed_matched", made(LABELS, OWN, one_order=True)[1]).low > 0.5


def test_whole_tasks_in_one_order_are_compared_between_tasks() -> None:
    """They have no common length, and so no bins of time, but the task tells how late it is."""
    protocol = load_protocol("subject-independent-v4")
    y = smooth(np.random.default_rng(4), (SUBJECTS, 12))[:, :, None]
    joined = made(y, np.arange(12.0)[:, None], one_order=True)[1]
    assert choose_primary_metric(FELT, protocol, "fixed_order", joined) == "concordance_crossed_matched"
    whole = Joined(
        {seed: {k: replace(units, length_s=np.nan) for k, units in of.items()} for seed, of in joined.seeds.items()}
    )
    assert choose_primary_metric(FELT, protocol, "fixed_order", whole) == "concordance_crossed"
    assert scored("concordance_crossed", whole).mean == pytest.approx(0.5, abs=1e-9)
    felt = Target("felt", "binary", LabelRule(cut=0.0), "felt")
    assert choose_primary_metric(felt, protocol, "fixed_order", whole) == "auroc_crossed"


@pytest.mark.parametrize("name", ["concordance_crossed", "concordance_crossed_moment"])
def test_no_drift_wins_whatever_the_order_of_the_films_was(name: str) -> None:
    """Labels rise all through the session, and so does what a method without a look at the body may know: the time."""
    units, _ = made(LABELS, OWN)
    time = np.reshape(units.start_s, SHAPE) / 1000
    labels = LABELS + 1.5 * time
    for score in (time, -time, time**3, np.log(1 + time), time + 10 * np.arange(SUBJECTS)[:, None, None]):
        assert scored(name, made(labels, score)[1]).mean == pytest.approx(0.5, abs=1e-9)
    assert scored("concordance_within", made(labels, time)[1]).low > 0.7
    assert with_add_one_interval(scored(name, made(labels, OWN + time)[1])).low > 0.5


def test_one_label_of_a_film_is_compared_between_films() -> None:
    y = smooth(np.random.default_rng(4), (SUBJECTS, 12))[:, :, None]
    _, joined = made(y, np.arange(12.0)[:, None])
    assert not varies_within_stimuli(joined)
    assert scored("concordance_crossed", joined).mean == pytest.approx(0.5, abs=1e-9)
    _, known = made(y, y)
    assert scored("concordance_crossed", known).mean == 1
    assert varies_within_stimuli(made(LABELS, LABELS)[1])


def test_units_that_begin_at_other_times_of_a_film_are_not_compared() -> None:
    """The curve of others, read where each subject's own unit begins, would tell who is later."""
    units, _ = made(LABELS, OTHERS)
    assert units.moment_s is not None
    later = units.moment_s + 5 * (units.subject < "p10")
    parts = {seed: {0: replace(units, moment_s=later)} for seed in range(2)}
    found, _ = estimate("concordance_crossed_moment", Joined(parts), FELT, jackknife(Joined(parts)))
    assert isinstance(found, Undefined)
    assert "begin up to 5.0 s apart" in found.reason


def test_nobody_who_orders_alike_can_be_compared() -> None:
    _, joined = made(np.broadcast_to(SHARED, SHAPE), OTHERS)
    found, _ = estimate("concordance_crossed_moment", joined, FELT, jackknife(joined))
    assert isinstance(found, Undefined)
    assert "matched comparisons" in found.reason


@pytest.mark.parametrize("name", ["concordance_within", "concordance_crossed", "concordance_crossed_moment"])
def test_the_mean_difference_is_that_of_the_comparisons(name: str) -> None:
    assert has_difference(name)
    _, joined = made(LABELS, OWN)
    found = mean_difference(name, joined, jackknife(joined))
    assert isinstance(found, Estimate)
    assert found.low > 0
    doubled = mean_difference(
        name, made(LABELS, 2 * OWN + OTHERS * (name != "concordance_within"))[1], jackknife(joined)
    )
    assert doubled.mean > 1.5 * found.mean
    if name == "concordance_crossed_moment":  # what all share cancels
        assert doubled.mean == pytest.approx(2 * found.mean)


def tables(y: np.ndarray, scores: dict[str, np.ndarray]) -> tuple[Predictions, Labels]:
    """What methods predict, as a record holds it, of films that begin where a recording does."""
    labels: dict[str, list[object]] = {name: [] for name in Labels.FIXED}
    columns: dict[str, list[object]] = {name: [] for name in (*Predictions.FIXED, "score", "decision")}
    for p, film, moment in np.ndindex(*y.shape):
        recording, start = f"p{p:02d}-film{film}", moment * 10_000
        unit, value = f"{recording}:{start}-{start + 10_000}", y[p, film, moment]
        for column, cell in zip(
            Labels.FIXED, (f"p{p:02d}", recording, unit, "felt", ANY_SEED, value, value), strict=True
        ):
            labels[column].append(cell)
        for (method, score), seed in product(scores.items(), (0, 1)):
            given = np.broadcast_to(score, y.shape)[p, film, moment]
            fold = (p * (2 * seed + 1) + p // FOLDS) % FOLDS
            row = (method, "felt", fold, seed, f"p{p:02d}", recording, f"film{film}", unit, np.nan, given, given)
            for column, cell in zip(columns, row, strict=True):
                columns[column].append(cell)
    return (
        Predictions({name: np.array(column) for name, column in columns.items()}),
        Labels({name: np.array(column) for name, column in labels.items()}),
    )


def test_the_moment_of_films_is_held_constant_by_the_primary_metric() -> None:
    """Also where a release hides when recordings were made."""
    predictions, labels = tables(LABELS, {"model": OWN, "stimulus_mean": OTHERS})
    groups = {f"p{p:02d}": f"p{p:02d}" for p in range(SUBJECTS)}
    target = replace(FELT, step=None)
    now = compute_scores(
        predictions,
        labels,
        targets=[target],
        protocol=load_protocol("subject-independent-v4"),
        design="shared_stimuli",
        groups=groups,
        unit_length_s=10.0,
    )
    assert now["primary_metrics"] == {"felt": "concordance_crossed_moment"}
    assert {name for name in now["scores"]["felt"] if "concordance" in name} == {
        "concordance_within", "concordance_crossed", "concordance_crossed_matched", "concordance_crossed_moment"
    }  # fmt: skip
    others = now["confound_only"]["stimulus_mean"]["felt"]
    assert others["concordance_crossed_moment"]["mean"] == pytest.approx(0.5, abs=1e-9)
    assert others["concordance_within"]["low"] > 0.55
    told = answer_questions({"cohort": {"design": "shared_stimuli"}}, now)["felt"]
    assert [each.metric for each in told.secondary_scores] == ["concordance_crossed", "concordance_within"]


def test_a_step_is_that_of_the_card_or_a_tenth() -> None:
    bare = Target("felt", "value", LabelRule(), "felt")
    assert replace(bare, scale=(1, 9), step=2.0).find_step(np.array([1.0, 3.0])) == 2
    assert replace(bare, scale=(1, 9)).find_step(np.array([1.0, 3.0])) == pytest.approx(0.8)
    assert bare.find_step(np.array([1.0, np.nan, 3.0])) == pytest.approx(0.2)
    for kind, step in (("value", 0.0), ("binary", 1.0)):
        with pytest.raises(ValueError, match="step"):
            Target("felt", kind, LabelRule(), "felt", step=step)
