"""The scores of scores: how well they do before anything is held against them."""

from __future__ import annotations

import numpy as np

from bench.adjusted.study import Study
from embench.interfaces.ranking import auroc_by_subject
from embench.interfaces.units import Units


def units_of(study: Study, scores: np.ndarray, seed: int, fold: int) -> Units:
    """The units of a fold with their scores (S, n) of seed number `seed`, as metrics read them."""
    own = study.folds[seed][study.subject] == fold
    subject = study.names[study.subject[own]]
    return Units(
        kind="binary",
        y_true=study.y[own],
        score=scores[seed, own],
        decision=np.zeros(own.sum()),
        subject=subject,
        stimulus=np.full(own.sum(), "session"),
        start_s=study.start[own],
        fold=np.full(own.sum(), fold),
        group=subject,
        length_s=study.length_s,
        session_s=study.session_s[study.subject[own]],
    )


def within(study: Study, scores: np.ndarray) -> float:
    """The mean over subjects and seeds of the AUROC inside a subject."""
    made = []
    for k, folds in enumerate(study.folds):
        for fold in np.unique(folds).tolist():
            made += auroc_by_subject(units_of(study, scores, k, fold), study.names[folds == fold]).tolist()
    return float(np.nanmean(made))
