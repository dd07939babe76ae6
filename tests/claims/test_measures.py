"""What measured claims ask of runs, on records counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from embench.claims.files import MEASURES, ClaimRun
from embench.errors import DataError
from embench.records.predictions import Embeddings, write_embeddings
from embench.records.scores import Scores

from .simulated import method, study

OF = study(4, 5, np.random.default_rng(0))
UNITS, SEED0 = OF["unit"], OF["fold"][0]


def asked(right, folder="", **parts):
    """A run that gets these units (n,) right, the same in all seeds."""
    latent = np.where(OF["y"] == 1, 1.0, -1.0) * np.where(right, 1, -1)
    return ClaimRun(replace(method("m", OF, latent), **parts), folder, "stress", "accuracy")


def measured(name, **runs):
    measure, count = MEASURES[name]
    assert len(runs) == count
    return measure(runs)


def in_folds(units, share):
    """(J,) the mean of `share` over the units of each seed and fold in which there are `units`."""
    means = []
    for seed in OF["fold"]:
        for fold in np.unique(seed):
            here = units & (seed == fold)
            means += [share[here].mean()] if here.any() else []
    return sorted(means)


def test_cases_are_counted_among_the_units_that_one_alone_gets_right():
    random = np.random.default_rng(1)
    ecg, eeg, both = (random.random(len(UNITS)) < 0.6 for _ in range(3))
    found = measured("cases", ecg=asked(ecg), eeg=asked(eeg), both=asked(both))
    assert sorted(found["both is correct where ecg is the only correct single model"]) == pytest.approx(
        in_folds(ecg & ~eeg, both)
    )
    assert sorted(found["both is correct where eeg is the only correct single model"]) == pytest.approx(
        in_folds(eeg & ~ecg, both)
    )


def test_disagreements_leave_out_what_both_get_right_or_wrong():
    random = np.random.default_rng(2)
    one, other = (random.random(len(UNITS)) < 0.5 for _ in range(2))
    ((_, values),) = measured("disagreements", one=asked(one), other=asked(other)).items()
    assert sorted(values) == pytest.approx(in_folds(one != other, one))


def test_the_more_frequent_class():
    ((_, values),) = measured("imbalance", run=asked(np.ones(len(UNITS)))).items()
    frequent = OF["y"] if OF["y"].mean() >= 0.5 else 1 - OF["y"]
    assert sorted(values) == pytest.approx(in_folds(np.ones(len(UNITS), bool), frequent))


def history(kind, **columns):
    return [
        {"kind": kind, "seed": "0", "fold": str(fold), "target": "stress", "epoch": str(epoch), name: str(value)}
        for name, by_fold in columns.items()
        for fold, values in enumerate(by_fold)
        for epoch, value in enumerate(values)
    ]


def test_epochs_and_pretext_accuracies_are_read_from_the_history():
    right = np.ones(len(UNITS))
    fast, slow = ([[3, 1, 2, 2], [1, 2, 3, 4]], [[4, 3, 2, 1], [2, 3, 1, 4]])
    runs = {name: asked(right, history=history("unimodal", val_loss=v)) for name, v in (("a", fast), ("b", slow))}
    assert measured("sooner", **runs)["epochs earlier"].tolist() == [2.0, 2.0]
    made = asked(right, history=history("pretrain", accuracy=[[0.2, 0.5, 0.4], [0.1, 0.3, 0.6]]))
    assert measured("pretext_accuracy", run=made)["best accuracy of the pretext task"].tolist() == [0.5, 0.6]


def scored(*values):
    rows = [{"method": "model", "target": "stress", "seed": 0, "fold": f, "accuracy": v} for f, v in enumerate(values)]
    return asked(np.ones(len(UNITS)), scores=Scores.make_empty(folds=rows))


def test_differences_of_scores_are_of_the_folds_that_all_have():
    one, other = scored(0.9, 0.8, 0.7), scored(0.5, None, 0.6)
    assert measured("gap", one=one, other=other)["difference"] == pytest.approx([0.4, 0.1])
    few = {"pf": scored(0.8, 0.9), "sf": scored(0.5, 0.6), "pa": scored(0.9, 0.9), "sa": scored(0.8, 0.9)}
    assert measured("gap_of_gaps", **few)["difference of differences"] == pytest.approx([0.2, 0.3])


def test_tight_classes_lie_further_apart(tmp_path):
    random = np.random.default_rng(3)
    runs = {}
    for name, spread in (("tight", 0.1), ("loose", 3.0)):
        x = (OF["y"][:, None] + random.normal(0, spread, (len(UNITS), 2))).astype(np.float32)
        seed = np.zeros(len(UNITS), int)
        write_embeddings(tmp_path / name, Embeddings(np.full(len(UNITS), "stress"), seed, seed, UNITS, x))
        runs[name] = asked(np.ones(len(UNITS)), tmp_path / name)
    found = measured("apart", **runs)
    assert all((values > 0.5).all() for values in found.values())
    with pytest.raises(DataError, match="saved no hidden layers"):
        measured("apart", tight=runs["tight"], none=asked(np.ones(len(UNITS)), tmp_path / "none"))
