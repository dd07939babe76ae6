"""A method whose scores follow the film and nothing else of the ratings is told from one that reads them."""

import numpy as np
import pytest

from embench.audits.checks.confounds import follow_stimulus_mean
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Units
from embench.records.audit import AuditFinding
from embench.records.findings import find_wrong_field
from embench.statistics.joined import Joined

FOLDS = 4


def study(score_of, subjects=24, films=12, film_share=0.6, seed=0):
    """The joined units of a method whose score is made of the film's part of a rating and the subject's own, and those
    of the mean rating that training subjects gave."""
    rng = np.random.default_rng(seed)
    of_film = film_share**0.5 * rng.normal(size=films)
    own = (1 - film_share) ** 0.5 * rng.normal(size=(subjects, films))
    rating = of_film + own
    score = score_of(np.broadcast_to(of_film, own.shape), own, rng.normal(size=own.shape))
    model, control = {}, {}
    for fold in range(FOLDS):
        test = np.arange(subjects) % FOLDS == fold
        means = np.broadcast_to(rating[~test].mean(0), rating[test].shape)
        for made, values in ((model, score[test]), (control, means)):
            names = np.repeat([f"P{k:02d}" for k in np.flatnonzero(test)], films)
            made[fold] = Units(
                kind="value", y_true=rating[test].ravel(), score=values.ravel(), decision=values.ravel(), subject=names,
                stimulus=np.tile([f"film {k}" for k in range(films)], int(test.sum())),
                start_s=np.full(len(names), np.nan), fold=np.full(len(names), fold), group=names,
            )  # fmt: skip
    return {"model": Joined({0: model}), "stimulus_mean": Joined({0: control})}


METHODS = {
    "the film alone": (lambda film, _, noise: film + noise, True),
    "the film exactly": (lambda film, _, noise: film + 0 * noise, True),
    "the subject's own rating": (lambda _, own, noise: own + noise, False),
    "both": (lambda film, own, noise: film + own + noise, False),
    "nothing": (lambda _, __, noise: noise, False),
}


@pytest.mark.parametrize("method", METHODS)
def test_only_a_method_that_follows_the_film_alone_is_warned_of(method):
    score_of, warned = METHODS[method]
    told = [follow_stimulus_mean(study(score_of, seed=seed)).explains for seed in range(10)]
    assert sum(told) >= 8 if warned else sum(told) <= 1


def test_without_the_mean_label_of_the_stimulus_nothing_is_said():
    model = study(METHODS["the film alone"][0])["model"]
    assert isinstance(follow_stimulus_mean({"model": model}), Undefined)


def test_the_finding_has_a_text_that_an_entry_may_hold():
    evidence = follow_stimulus_mean(study(METHODS["the film alone"][0])).figures
    evidence = {"target": "arousal", **evidence}
    found = AuditFinding("warning", "follows_stimulus_mean", evidence)
    assert found.what == (
        f"scores of arousal follow the mean label of the stimulus, r = {evidence['r']:.2f} within subjects; given the "
        f"stimulus, their partial r with the label is {evidence['partial_r']:.2f}"
    )
    row = {"check": "stimulus", "severity": "warning", "id": found.id, "evidence": evidence}
    assert find_wrong_field(row) is None
    assert find_wrong_field({**row, "evidence": {**evidence, "r": "0.1"}}) == "evidence.r"
