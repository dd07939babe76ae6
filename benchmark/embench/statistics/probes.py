"""Linear probes: how well a linear classifier predicts the subject, the stimulus or the label from a network's last
hidden layer.

Each fold and seed has its own network. Each probe is therefore fitted and scored within one fold and seed, on the test
subjects of that network."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from embench.interfaces.metric import Undefined
from embench.protocols import UnitId
from embench.records.predictions import MODEL, Embeddings, Labels, Predictions
from embench.system import fitting

SUBJECT, STIMULUS, LABEL = "subject", "stimulus", "label"
N_FOLDS = 5
MAX_UNITS = 1000
"""Largest number of units of a fold and seed that a probe uses; more make it slower, not better."""


@dataclass(frozen=True)
class ProbeResult:
    """Score of a linear classifier that predicts `what` from hidden layers, mean over the folds and seeds with a probe.

    `metric` is `balanced_accuracy`, or `auroc` for binary labels. `chance` is the score of guessing: 1 over the number
    of classes, or .5."""

    what: str
    metric: str
    score: float
    chance: float
    std: float
    folds: int
    units: int


def linear_probe(
    embeddings: Embeddings, predictions: Predictions, what: str, *, target: str, labels: Labels | None = None
) -> ProbeResult | Undefined:
    """Return how well a linear probe predicts `what` from hidden layers: `subject`, `stimulus`, or `label` (of
    `target`; it requires `labels`).

    Probes are cross-validated. For subjects, the test units are other recordings, or other fifths of the time if a
    subject has one recording. For stimuli and labels, they are units of other subjects. The classifier is logistic
    regression on standardised dimensions, C = 1."""
    rows = predictions.take(predictions.rows_with(method=MODEL, target=target))
    hidden = embeddings.take(embeddings.target == target)
    place = {key: i for i, key in enumerate(zip(rows["seed"].tolist(), rows["unit"].tolist(), strict=True))}
    keys = zip(hidden.seed.tolist(), hidden.unit.tolist(), strict=True)
    row = np.array([place.get(key, -1) for key in keys], np.int64)
    hidden, about = hidden.take(row >= 0), rows.take(row[row >= 0])  # same units in the same order
    if what == LABEL:
        codes = _label_codes(about, labels, target)
        known = codes >= 0
        hidden, about, y = hidden.take(known), about.take(known), codes[known].astype(str)
    else:
        y = about[what]
    scores, chances, units = [], [], 0
    for seed, fold in sorted(set(zip(about["seed"].tolist(), about["fold"].tolist(), strict=True))):
        here = np.flatnonzero((about["seed"] == seed) & (about["fold"] == fold))
        here = np.sort(np.random.default_rng(0).permutation(here)[:MAX_UNITS])
        tested = about.take(here)
        groups = _segments(tested) if what == SUBJECT else tested["subject"]
        result = _cross_validate(hidden.x[here], y[here], groups, binary=what == LABEL)
        if result is not None:
            scores.append(result[0])
            chances.append(result[1])
            units += len(here)
    if not scores:
        return Undefined(f"no fold has two values of {what} in parts that can be held apart")
    metric = "auroc" if what == LABEL and len(np.unique(y)) == 2 else "balanced_accuracy"
    score, chance, std = (float(v) for v in (np.mean(scores), np.mean(chances), np.std(scores)))
    return ProbeResult(what, metric, score, chance, std, len(scores), units)


def _cross_validate(x: np.ndarray, y: np.ndarray, groups: np.ndarray, *, binary: bool) -> tuple[float, float] | None:
    """Return score and chance level of predicting `y` (n,) from `x` (n, H), cross-validated over `groups` (n,). Values
    that occur in one group only are excluded; None if fewer than two are left."""
    usable = [v for v in np.unique(y) if len(np.unique(groups[y == v])) > 1]
    x, groups, y = x[np.isin(y, usable)], groups[np.isin(y, usable)], y[np.isin(y, usable)]
    if len(usable) < 2:
        return None
    folds = GroupKFold(min(N_FOLDS, len(np.unique(groups))))
    splits = list(folds.split(x, y, groups))
    if any(len(np.unique(y[train])) < 2 for train, _ in splits):
        return None
    two = binary and len(usable) == 2
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=300))
    with fitting(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # as of subjects with few rows
        predicted = cross_val_predict(model, x, y, cv=splits, method="decision_function" if two else "predict")
    if not two:
        return float(balanced_accuracy_score(y, predicted)), 1 / len(usable)
    # AUROC within each test fold: models of different folds predict on different scales.
    both = [test for _, test in splits if len(np.unique(y[test])) == 2]
    areas = [roc_auc_score(y[test] == usable[1], predicted[test]) for test in both]
    return (float(np.mean(areas)), 0.5) if areas else None


def _segments(rows: Predictions) -> np.ndarray:
    """Return (n,) the part, from 0 to `N_FOLDS` - 1, of the subject's data to which each unit belongs. A subject's
    recordings are spread over the parts; if there is one recording, parts are fifths of its time."""
    part = np.zeros(len(rows), np.int64)
    start_ms = np.array([UnitId.read(name).start_ms for name in rows["unit"].tolist()])
    for subject in np.unique(rows["subject"]):
        of_subject = np.flatnonzero(rows["subject"] == subject)
        order = of_subject[np.lexsort((start_ms[of_subject], rows["recording"][of_subject]))]
        _, recording = np.unique(rows["recording"][order], return_inverse=True)
        many = recording.max() > 0
        part[order] = recording % N_FOLDS if many else np.arange(len(order)) * N_FOLDS // len(order)
    return part


def _label_codes(rows: Predictions, labels: Labels | None, target: str) -> np.ndarray:
    """Return (n,) the label of each row as an integer, -1 if there is none."""
    if labels is None:
        return np.full(len(rows), -1)
    chosen = labels["target"] == target
    known = dict(zip(labels["unit"][chosen].tolist(), labels["label"][chosen].tolist(), strict=True))
    return np.array([int(known.get(unit, -1)) for unit in rows["unit"].tolist()])
