"""Two and more runs compared: who is better, what may not be compared, and the sentence to quote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import embench
from embench.errors import DataError, UsageError
from embench.interfaces.ranking import auroc_by_subject
from embench.records import record
from embench.records.predictions import Labels, Predictions
from embench.records.record import Record
from embench.records.scores import Scores
from embench.statistics.comparison import compare, compare_all
from embench.statistics.intervals import SHARED_TRAINING
from embench.statistics.joined import joined_on_common

from ..truth.cohorts import FOLDS, TARGET, draw_labels, draw_lengths, partitions, recorded

PEOPLE, SEEDS = 20, 3


def runs(*strengths: float, primary_metric: str = "auroc_within", tried: int = 1) -> list[Record]:
    """Methods of known strength about the same subjects, named a, b, c; they share part of their noise."""
    rng = np.random.default_rng(8)
    y, folds = draw_labels(rng, PEOPLE), partitions(rng, draw_lengths(rng, PEOPLE), SEEDS)
    shared = rng.normal(size=(SEEDS, *y.shape))
    made = []
    for name, strength in zip("abcdef", strengths, strict=False):
        logit = strength * (y - 0.5) + shared + 0.7 * rng.normal(size=shared.shape)
        made.append(recorded(name, 1 / (1 + np.exp(-logit)), y, folds, primary_metric, tried=tried))
    return made


def changed(of: Record, **run: Any) -> Record:
    return replace(of, run={**of.run, **run})


def subject_scores(of: Record) -> np.ndarray:
    """(P,) AUROC inside each subject, seeds averaged."""
    [joined] = joined_on_common([of], TARGET, of.groups)
    subjects = np.array(sorted(of.groups))
    return np.mean(
        [
            np.nanmean([auroc_by_subject(units, subjects) for units in folds.values()], axis=0)
            for folds in joined.seeds.values()
        ],
        axis=0,
    )


def test_a_better_method_is_found_and_said_to_be() -> None:
    one, other = runs(2.0, 1.0)
    c = compare(one, other, "stress")
    gaps = subject_scores(one) - subject_scores(other)
    assert c.difference.mean == pytest.approx(gaps.mean())
    assert c.difference.shared is not None
    error = np.hypot(stats.sem(gaps), np.sqrt(c.difference.shared))
    low, high = stats.t.interval(0.95, PEOPLE - 1, gaps.mean(), error)
    assert (c.difference.low, c.difference.high) == pytest.approx((low, high))
    assert c.tests["wilcoxon"] == pytest.approx(stats.wilcoxon(gaps).pvalue)
    assert (c.better, c.over, c.subjects, c.units, c.is_equivalent) == ("a", "subjects", PEOPLE, PEOPLE * 24, False)
    assert c.tests["permutation"] <= c.p == c.p_holm == c.tests[SHARED_TRAINING] < 0.01
    assert c.sentence == (
        f"a is better than b by {100 * gaps.mean():.1f} points of within-subject AUROC, "
        f"95 % interval {100 * low:.1f} to {100 * high:.1f}, p < .001, 20 subjects."
    )


def test_the_other_way_round_is_the_same_finding() -> None:
    one, other = runs(2.0, 1.0)
    there, back = compare(one, other), compare(other, one)
    assert back.difference.mean == pytest.approx(-there.difference.mean)
    assert (back.better, back.p, back.sentence) == ("a", there.p, there.sentence)


def test_methods_of_equal_strength_are_not_told_apart() -> None:
    c = compare(*runs(1.0, 1.0))
    assert c.better is None
    assert c.smallest_detectable is not None
    assert f"can't be told apart: they differ by {100 * abs(c.difference.mean):.1f} points" in c.sentence
    assert f"the smallest detectable difference is {100 * c.smallest_detectable:.1f} points (80 % power)" in c.sentence
    assert 0.02 < c.smallest_detectable < 0.15


def test_a_method_and_itself_are_equivalent() -> None:
    one, _ = runs(1.0, 1.0)
    c = compare(one, changed(one, id="again"))
    assert (c.difference.mean, c.p, c.is_equivalent, c.better) == (0, 1, True, None)
    assert "equivalent within 2 points" in c.sentence


def test_less_is_better_where_the_metric_says_so() -> None:
    c = compare(*runs(2.0, 1.0), metric="brier")
    assert c.difference.mean < 0
    assert c.better == "a"
    assert c.sentence.startswith("a is better than b by ")


@pytest.mark.parametrize("metric", ["auroc_crossed_time", "auroc_within_stimulus", "auroc", "f1_weighted"])
def test_scores_that_are_no_means_of_subjects_are_compared_too(metric: str) -> None:
    c = compare(*runs(2.5, 0.8), metric=metric)
    assert c.better == "a"
    assert c.difference.over == "jackknife"
    assert set(c.tests) == {"permutation", SHARED_TRAINING, "wilcoxon", "corrected resampled t", "equivalence"}


def test_a_run_that_lacks_some_units_is_compared_on_the_others() -> None:
    one, other = runs(2.0, 1.0)
    late = other.predictions["start_s"] >= 100
    c = compare(one, replace(other, predictions=other.predictions.take(late)))
    assert c.units == PEOPLE * 14
    start = one.predictions["start_s"] >= 100
    alone = compare(replace(one, predictions=one.predictions.take(start)), other)
    assert c.difference.mean == pytest.approx(alone.difference.mean)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("dataset", {"name": "another", "fingerprint": "0", "synthetic": {}}, "dataset"),
        ("dataset", {"name": "made-up", "fingerprint": "0", "synthetic": None}, "synthetic"),
        ("protocol", {"name": "another", "hash": "0"}, "protocol"),
        ("protocol", {"name": "subject-independent-v4", "hash": "1"}, "hash"),
        ("target_access", "unlabelled", "target access"),
        ("card", {"label_rules_hash": "1", "label_rules": []}, "label rules"),
        ("dev", True, "validation"),
    ],
)
def test_what_makes_scores_incomparable_is_refused(field: str, value: Any, text: str) -> None:
    one, other = runs(2.0, 1.0)
    with pytest.raises(UsageError, match=text):
        compare(one, changed(other, **{field: value}))


def test_other_folds_labels_and_targets_are_refused() -> None:
    one, other = runs(2.0, 1.0)
    folds = Predictions({**other.predictions.columns, "fold": (other.predictions["fold"] + 1) % FOLDS})
    with pytest.raises(DataError, match="folds"):
        compare(one, replace(other, predictions=folds))
    assert other.labels is not None
    labels = Labels({**other.labels.columns, "label": 1 - other.labels["label"]})
    with pytest.raises(DataError, match="labels"):
        compare(one, replace(other, labels=labels))
    with pytest.raises(DataError, match="public"):
        compare(one, replace(other, labels=None))
    with pytest.raises(UsageError, match="no target"):
        compare(one, other, "valence")
    with pytest.raises(UsageError, match="in common"):
        compare(one, changed(other, targets=["valence"]))
    with pytest.raises(DataError, match="no labelled unit"):
        compare(one, replace(other, predictions=other.predictions.take(np.array([], int))))


def test_an_undefined_score_is_an_error_that_says_why() -> None:
    one, other = runs(2.0, 1.0)
    assert one.labels is not None
    labels = Labels({**one.labels.columns, "label": np.ones(len(one.labels))})
    with pytest.raises(DataError, match="no subject has both classes"):
        compare(replace(one, labels=labels), replace(other, labels=labels))


def test_where_subjects_are_trained_on_folds_are_paired() -> None:
    """As under a protocol that deals out stretches: Nadeau and Bengio's t over folds, whose interval agrees with it."""
    one, other = runs(2.0, 1.0)
    all_subjects = [{**row, "role": "train"} for row in one.folds]
    c = compare(replace(one, folds=[*one.folds, *all_subjects]), other)
    of = [joined_on_common([r], TARGET, r.groups)[0] for r in (one, other)]
    subjects = np.array(sorted(one.groups))
    by_fold = [np.array([np.nanmean(auroc_by_subject(units, subjects)) for _, _, units in joined]) for joined in of]
    gaps = by_fold[0] - by_fold[1]
    error = np.sqrt((1 / len(gaps) + 1 / (FOLDS - 1)) * gaps.var(ddof=1))
    assert c.over == "folds"
    assert c.p == pytest.approx(2 * stats.t.sf(gaps.mean() / error, len(gaps) - 1))
    expected = stats.t.interval(0.95, len(gaps) - 1, gaps.mean(), error)
    assert (c.difference.low, c.difference.high) == pytest.approx(expected)
    assert set(c.tests) == {"corrected resampled t", "equivalence"}
    assert "paired over folds, 20 subjects" in c.sentence


@pytest.mark.parametrize(("tries", "unequal"), [((3, 6), False), ((3, 7), True), ((9, 2), True)])
def test_unequal_tuning_is_said(tries: tuple[int, int], unequal: bool) -> None:
    one, other = runs(2.0, 1.0)
    c = compare(*(changed(r, methods_evaluated={"stress": n}) for r, n in zip((one, other), tries, strict=True)))
    assert c.unequal_tuning is unequal
    assert ("unequal tuning" in c.sentence) is unequal


def test_the_order_of_the_runs_of_a_grid_is_no_unequal_tuning() -> None:
    made = [changed(r, methods_evaluated={"stress": n}) for n, r in enumerate(runs(2.0, 1.0, 0.5, 0.2), 1)]
    [table] = compare_all(made)
    assert not any(pair.unequal_tuning for pair in table.comparisons)
    [table] = compare_all([*made[:3], changed(made[3], methods_evaluated={"stress": 9})])
    assert sum(pair.unequal_tuning for pair in table.comparisons) == 3


def test_several_methods_are_put_in_order_and_corrected_together() -> None:
    [table] = compare_all(runs(1.0, 2.6, 1.0, 2.6))
    means = [s.score.mean for s in table.standings]
    assert means == sorted(means, reverse=True)
    assert {s.name for s in table.standings[:2]} == {"b", "d"}
    assert [s.group for s in table.standings] == ["a", "a", "b", "b"]
    assert len(table.comparisons) == 6
    raw = sorted(c.p for c in table.comparisons)
    corrected = sorted(c.p_holm for c in table.comparisons)
    assert corrected[0] == pytest.approx(6 * raw[0])
    assert all("Holm-corrected" in c.sentence for c in table.comparisons)
    json.dumps([table.to_dict()], allow_nan=False)


def test_comparisons_of_several_targets_are_one_family() -> None:
    records = []
    for of in runs(2.0, 1.0):
        assert of.labels is not None
        parts = [Predictions({**of.predictions.columns, "target": np.full(len(of.predictions), t)}) for t in "xy"]
        texts = {n: np.concatenate([of.labels[n]] * 2) for n in Labels.FIXED}
        labels = Labels({**texts, "target": np.repeat(["x", "y"], len(of.labels))})
        rules = [{"name": t, "kind": "binary", "label": t, "n": 2, "rule": {}} for t in "xy"]
        run = {**of.run, "targets": ["x", "y"], "card": {**of.run["card"], "label_rules": rules}}
        scores = Scores.make_empty(primary_metrics={"x": "auroc_within", "y": "auroc_within"})
        records.append(replace(of, run=run, predictions=Predictions.concatenate(parts), labels=labels, scores=scores))
    x, y = compare_all(records)
    assert (x.target, y.target) == ("x", "y")
    assert x.comparisons[0].p_holm == pytest.approx(2 * x.comparisons[0].p)
    with pytest.raises(UsageError, match="several targets"):
        compare(*records)
    assert compare(*records, target="y").p_holm == y.comparisons[0].p


def test_from_python_runs_may_be_folders_or_results(tmp_path: Path) -> None:
    class Done:
        def __init__(self, folder: Path) -> None:
            self.folder = folder

    one, other = runs(2.0, 1.0)
    for of in (one, other):
        record.write_record(tmp_path / of.run["id"], of)
    expected = compare(one, other).to_dict()
    assert embench.compare(tmp_path / "a", str(tmp_path / "b")).to_dict() == expected
    assert embench.compare(Done(tmp_path / "a"), other).to_dict() == expected


def test_methods_are_called_by_their_parts() -> None:
    one, other = runs(2.0, 1.0)
    method = {
        "encoders": {"eda": "embench_plugins/tcn", "ppg": "embench_plugins/tcn"},
        "fusion": "embench_plugins/late",
        "pretrainers": ["masked_value"],
        "modalities": ["eda", "ppg"],
    }
    c = compare(changed(one, method=method), changed(other, method={**method, "pretrainers": []}))
    assert (c.one, c.other) == ("tcn + late after masked_value on eda, ppg", "tcn + late on eda, ppg")
    alike = compare(changed(one, method=method), changed(other, method=method))
    assert alike.other == "tcn + late after masked_value on eda, ppg (b)"
    outside = changed(one, method={**one.run["method"], "submission": "their network"})
    assert compare(outside, other).one == "their network"


def test_methods_of_the_same_parts_are_told_apart_by_the_settings_that_differ() -> None:
    made = runs(2.0, 1.0, 0.5)
    window = {"kind": "window", "length_s": 10.0, "step_s": 10.0}
    context = {"kind": "context", "length_s": 60.0, "step_s": None}
    encoders = {"ppg": "object:0123456789abcdef0123:net"}
    method = {"encoders": encoders, "fusion": None, "pretrainers": [], "modalities": ["ppg"]}
    settings = [(window, 0.01), (context, 0.01), (context, 0.001)]
    parts = [{"encoder[ppg]": {"plugin": "x", "lr": lr, "view": view}} for view, lr in settings]
    own = [changed(r, method=method, config={"parts": part}) for r, part in zip(made, parts, strict=True)]
    pair = compare(own[0], own[1])
    assert (pair.one, pair.other) == ("net on ppg, window 10 s every 10 s", "net on ppg, context 60 s")
    assert "net on ppg, context 60 s" in pair.sentence
    [table] = compare_all(own)
    names = [standing.name for standing in table.standings]
    assert "net on ppg, encoder lr 0.001, context 60 s" in names
    assert len(set(names)) == 3


def test_pipelines_of_the_same_steps_are_told_apart_by_their_hyperparameters() -> None:
    made = runs(2.0, 1.0)
    own = []
    for k, (r, c) in enumerate(zip(made, (0.1, 1), strict=True)):
        name = f"object:0123456789abcdef012{k}:StandardScaler-SVC"
        method = {"encoders": {"ppg": "x/handcrafted"}, "fusion": name, "pretrainers": [], "modalities": ["ppg"]}
        text = f"Pipeline(steps=[('scale', StandardScaler()),\n  ('svc', SVC(C={c}))])"
        own.append(changed(r, method=method, objects={name: {"repr": text}}))
    names = [compare(*own).one, compare(*own).other]
    assert names == [f"handcrafted + StandardScaler-SVC on ppg, SVC(C={c})" for c in (0.1, 1)]
