"""What measured claims ask of each subject, on records made up and counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from embench.claims.files import MEASURES, ClaimRun
from embench.errors import DataError
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import Record
from embench.records.scores import Scores
from embench.statistics.gains import subject_gap
from embench.statistics.intervals import mean_over_subjects

SUBJECTS, CLIPS, SECONDS = 6, 6, 4
NAMES = np.array([f"s{k}" for k in range(SUBJECTS)])
SUBJECT = np.repeat(NAMES, CLIPS * SECONDS)
CLIP = np.tile(np.repeat(np.arange(CLIPS), SECONDS), SUBJECTS)
SECOND = np.tile(np.arange(SECONDS), SUBJECTS * CLIPS)
STIMULUS = np.array([f"clip{k}" for k in CLIP])
RECORDING = np.char.add(np.char.add(SUBJECT, "-"), STIMULUS)
UNIT = np.array([f"{r}:{1000 * t}-{1000 * t + 1000}" for r, t in zip(RECORDING, SECOND, strict=True)])
EMOTION = CLIP // 2
SEEDS = 3


def run(target, label, decision, *, classes=3, score=None, folds="fixed", metric="accuracy"):
    """A run of a target with its labels (n,) and its decisions (n,), or (seeds, n) where seeds differ. `folds`: `fixed`
    tests subjects two by two, the same in all seeds; `dealt` other two in each; `alone` trains and tests each by
    itself."""
    decision = np.broadcast_to(decision, (SEEDS, len(UNIT)))
    subjects = np.arange(SUBJECTS)
    of_seeds = {
        "fixed": [subjects // 2] * SEEDS,
        "dealt": [np.random.default_rng(k).permutation(subjects) // 2 for k in range(SEEDS)],
        "alone": [subjects] * SEEDS,
    }[folds]
    rows, tables = [], []
    for k in range(SEEDS):
        fold_of = dict(zip(NAMES.tolist(), of_seeds[k].tolist(), strict=True))
        for fold in sorted(set(fold_of.values())):
            for name, own in fold_of.items():
                roles = ["test"] if own == fold else ["train"]
                if folds == "alone":
                    roles = ["train", "test"] if own == fold else []
                about = {"subject": name, "group": name, "fold": fold, "seed": k, "reason": ""}
                rows += [{**about, "role": role} for role in roles]
        scores = np.eye(classes)[decision[k].astype(int)] if score is None else score
        table = {
            "method": np.full(len(UNIT), MODEL), "target": np.full(len(UNIT), target),
            "fold": np.array([fold_of[name] for name in SUBJECT.tolist()]), "seed": np.full(len(UNIT), k),
            "subject": SUBJECT, "recording": RECORDING, "stimulus": STIMULUS, "unit": UNIT,
            "start_s": SECOND.astype(float), "score": np.full(len(UNIT), np.nan),
            **{f"score_{c}": scores[:, c] for c in range(classes)}, "decision": decision[k].astype(float),
        }  # fmt: skip
        tables.append(table)
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    known = np.isfinite(label)
    labels = {
        "subject": SUBJECT, "recording": RECORDING, "unit": UNIT, "target": np.full(len(UNIT), target),
        "seed": np.full(len(UNIT), ANY_SEED), "raw": label, "label": label,
    }  # fmt: skip
    about = {"id": target, "card": {"label_rules": [
        {"name": target, "kind": "classes", "label": target, "n": classes, "rule": {}},
    ]}}  # fmt: skip
    labels = Labels({name: np.asarray(column)[known] for name, column in labels.items()})
    record = Record(about, Predictions(columns), labels, rows, Scores.make_empty(primary_metrics={target: "accuracy"}))
    return ClaimRun(record, "", target, metric)


def measured(name, **runs):
    measure, count = MEASURES[name]
    assert len(runs) == count
    return measure(runs)


def right(share, rng, label=EMOTION, classes=3):
    """Decisions (n,) of which so many are right, the others wrong."""
    return np.where(rng.random(len(UNIT)) < share, label, (label + rng.integers(1, classes, len(UNIT))) % classes)


def shares(hit, by):
    """The share of hits of each name in `by`, in the order of the names."""
    return np.array([hit[by == name].mean() for name in np.unique(by)])


def test_a_subjects_score_is_over_all_its_units_and_the_mean_of_its_seeds():
    rng = np.random.default_rng(0)
    decisions = np.stack([right(0.7, rng) for _ in range(SEEDS)])
    found = measured("by_subject", one=run("emotion", EMOTION * 1.0, decisions, folds="alone"))
    hit = (decisions == EMOTION).mean(0)
    for what, by in (("accuracy, over subjects", SUBJECT), ("accuracy, over stimuli", STIMULUS)):
        expected = shares(hit, by)
        assert np.mean(found[what].values, axis=0) == pytest.approx(expected)
        assert found[what].estimate().mean == pytest.approx(expected.mean())


def test_runs_with_other_folds_and_targets_are_paired_by_subject():
    rng = np.random.default_rng(1)
    own = np.where(CLIP < 4, rng.integers(0, 3, len(UNIT)), np.nan)  # the last clips have no own label
    decided, felt = right(0.9, rng), rng.integers(0, 3, len(UNIT))
    found = measured(
        "gap_by_subject",
        assigned=run("emotion", EMOTION * 1.0, decided, folds="fixed"),
        own=run("paper", own, felt, folds="alone"),
    )["difference"]
    labelled = np.isfinite(own)
    second = shares((felt == own)[labelled], SUBJECT[labelled])
    expected = shares(decided == EMOTION, SUBJECT) - second
    assert found.values[0] == pytest.approx(expected)
    assert found.estimate().subjects == SUBJECTS


def test_a_method_is_compared_with_a_control_of_its_own_record():
    rng = np.random.default_rng(4)
    decided, guessed = right(0.9, rng), right(0.4, rng)
    model, clock = (run("emotion", EMOTION * 1.0, each) for each in (decided, guessed))
    columns = {
        name: np.concatenate([model.record.predictions[name], clock.record.predictions[name]])
        for name in model.record.predictions.columns
    }
    columns["method"] = np.repeat([MODEL, "clock"], len(model.record.predictions))
    both = replace(model, record=replace(model.record, predictions=Predictions(columns)))
    expected = shares(decided == EMOTION, SUBJECT) - shares(guessed == EMOTION, SUBJECT)
    assert subject_gap(both, replace(both, method="clock")).estimate().mean == pytest.approx(expected.mean())


def test_units_are_divided_by_a_label_and_classes_that_a_subject_lacks_do_not_count():
    rng = np.random.default_rng(2)
    decided = right(0.6, rng)
    agrees = np.where(CLIP == 0, np.nan, rng.random(len(UNIT)) < 0.6)
    agrees[SUBJECT == "s0"] = np.where(EMOTION[SUBJECT == "s0"] == 2, np.nan, agrees[SUBJECT == "s0"])
    agrees[SUBJECT == "s1"] = 1.0  # always agrees, so there is nothing to compare
    asked = replace(
        run("emotion", EMOTION * 1.0, decided, folds="fixed", metric="balanced_accuracy"),
        by=dict(zip(UNIT.tolist(), agrees.tolist(), strict=True)),
    )
    (found,) = measured("gap_by_label", assigned=asked).values()

    def recall(name, side):
        here = (agrees == side) & np.isin(SUBJECT, name)
        return np.mean([(decided == EMOTION)[here & np.isin(EMOTION, c)].mean() for c in np.unique(EMOTION[here])])

    expected = [recall(name, 1) - recall(name, 0) for name in NAMES if name != "s1"]
    assert found.values[0][NAMES != "s1"] == pytest.approx(expected)
    assert np.isnan(found.values[0][1])
    assert found.estimate().subjects == SUBJECTS - 1


def test_units_without_a_label_of_the_target_that_is_named_do_not_count():
    decided = right(0.6, np.random.default_rng(5))
    asked = run("emotion", EMOTION * 1.0, decided, folds="fixed")
    asked = replace(asked, by={unit: np.nan if clip == 0 else 1.0 for unit, clip in zip(UNIT, CLIP, strict=True)})
    found = measured("by_subject", one=asked)
    rest = CLIP > 0
    assert found["accuracy, over subjects"].values[0] == pytest.approx(
        shares((decided == EMOTION)[rest], SUBJECT[rest])
    )
    assert found["accuracy, over stimuli"].estimate().subjects == CLIPS - 1


def test_classes_that_are_parts_of_others_are_merged_by_the_sum_of_their_scores():
    """Clip 5 is the likeliest, and its emotion is not: the other two clips of one emotion have more together."""
    score = np.tile([0.3, 0.3, 0.0, 0.0, 0.0, 0.4], (len(UNIT), 1))
    clips = run("clip", CLIP * 1.0, np.full(len(UNIT), 5), classes=CLIPS, score=score, folds="fixed")
    emotions = run("emotion", EMOTION * 1.0, np.full(len(UNIT), 1), folds="fixed")
    (found,) = measured("gap_of_merged", clips=clips, emotions=emotions).values()
    assert found.values == pytest.approx(0.0)  # both are right of a third: emotion 0, and emotion 1
    wrong = run("emotion", EMOTION * 1.0, (EMOTION + 1) % 3, folds="fixed")
    (found,) = measured("gap_of_merged", clips=clips, emotions=wrong).values()
    assert found.values == pytest.approx(1 / 3)


def test_classes_that_are_no_parts_are_refused():
    emotions = run("emotion", EMOTION * 1.0, EMOTION, folds="fixed")
    other = run("mood", SECOND % 3 * 1.0, EMOTION, folds="fixed")
    with pytest.raises(DataError, match="classes of mood each cover several classes of emotion"):
        measured("gap_of_merged", mood=other, emotions=emotions)


def test_subjects_who_train_each_other_widen_the_interval_and_others_do_not():
    rng = np.random.default_rng(3)
    decided = right(0.7, rng)
    plain = mean_over_subjects(shares(decided == EMOTION, SUBJECT), NAMES)
    error = {}
    for folds in ("alone", "fixed", "dealt"):
        found = measured("by_subject", one=run("emotion", EMOTION * 1.0, decided, folds=folds))
        error[folds] = found["accuracy, over subjects"].estimate().error
    assert error["alone"] == pytest.approx(plain.error)
    assert error["fixed"] == pytest.approx(plain.error * 2**0.5)  # seeds that split alike do not show how much it is
    assert error["dealt"] == pytest.approx(plain.error)  # the scores do not change between seeds that split otherwise


def test_intervals_over_stimuli_allow_for_their_training_each_other():
    rng = np.random.default_rng(4)
    decided = right(0.7, rng)
    found = measured("by_subject", one=run("emotion", EMOTION * 1.0, decided, folds="alone"))
    plain = mean_over_subjects(shares(decided == EMOTION, STIMULUS), np.unique(STIMULUS))
    assert found["accuracy, over stimuli"].estimate().error == pytest.approx(plain.error * 2**0.5)


def test_a_score_that_takes_no_classes_is_refused():
    with pytest.raises(DataError, match="ccc scores no targets of kind classes"):
        measured("by_subject", one=run("emotion", EMOTION * 1.0, EMOTION, folds="alone", metric="ccc"))
