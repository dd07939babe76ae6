"""Made-up subjects whose truth is known: what simulations of intervals and tests draw from.

Everybody meets the same moments; labels go with the moment and with the subject. Features answer to the label, more in
some subjects than in others, drift with time, and are z-scored inside each subject. A model is trained on the subjects
of four folds of five, as a run does, and what it is worth is measured on many subjects whom nobody has met.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from embench.interfaces.units import LabelRule, Target, Unit
from embench.protocols import Design, load_protocol, partition
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import Record
from embench.records.scores import Scores

UNITS, FEATURES, FOLDS = 24, 4, 5
TARGET = Target("stress", "binary", LabelRule(), "stress")
Model = Callable[[np.ndarray], np.ndarray]
"""(people, units, features) -> probability (people, units)."""


def draw_labels(rng: np.random.Generator, n_subjects: int, units: int = UNITS) -> np.ndarray:
    """(subjects, units) 0 or 1: by the moment, which is the same for all subjects, by the subject, and by chance."""
    moment = np.sin(2 * np.pi * np.arange(units) / 8)
    return (moment + 0.7 * rng.normal(size=(n_subjects, 1)) + rng.normal(size=(n_subjects, units)) > 0).astype(float)


def draw_features(rng: np.random.Generator, y: np.ndarray, effect: float) -> np.ndarray:
    """(subjects, units, features) as one sensor gives them: another sensor of as much use is another draw."""
    n_subjects = len(y)
    gain = effect * (1 + 0.7 * rng.normal(size=(n_subjects, 1, FEATURES)))
    drift = rng.normal(size=(n_subjects, 1, FEATURES)) * np.linspace(-1, 1, y.shape[1])[:, None]
    x = gain * (y - 0.5)[..., None] + drift + rng.normal(size=(*y.shape, FEATURES))
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def draw_lengths(rng: np.random.Generator, n_subjects: int) -> np.ndarray:
    """(subjects,) how many s each session is long, spread as in Stress-Predict; nothing else depends on it."""
    return rng.normal(3300.0, 140.0, n_subjects).round(3)


def partitions(
    rng: np.random.Generator, lengths: np.ndarray, seeds: int, protocol_name: str = "subject-independent-v4"
) -> np.ndarray:
    """(seeds, subjects) the fold of each subject, as the protocol deals subjects with sessions of these lengths."""
    sessions = dict(zip(subject_names(len(lengths)), lengths.tolist(), strict=True))
    units = [Unit(name, name, name, "session", name, 0.0, length, 0.0, 0) for name, length in sessions.items()]
    protocol, dataset = load_protocol(protocol_name), f"made-up {rng.integers(10**9)}"
    fold_of = [
        {name: fold.index for fold in partition(protocol, dataset, units, k, sessions) for name in fold.test}
        for k in range(seeds)
    ]
    return np.array([[of_seed[name] for name in sessions] for of_seed in fold_of])


def subject_names(n_subjects: int) -> list[str]:
    return [f"p{p:04d}" for p in range(n_subjects)]


def trained(_: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Model:
    """A logistic regression on subjects (subjects, units, features): scikit-learn's with its penalty of 1, by Newton's
    steps, which take a tenth of its time."""
    rows, truth = np.c_[x.reshape(-1, FEATURES), np.ones(y.size)], y.ravel()
    penalty = np.diag([1.0] * FEATURES + [0.0])
    weight = np.zeros(FEATURES + 1)
    for _ in range(8):
        p = 1 / (1 + np.exp(-(rows @ weight)))
        gradient = rows.T @ (p - truth) + penalty @ weight
        weight = weight - np.linalg.solve((rows.T * (p * (1 - p))) @ rows + penalty, gradient)
    return lambda new: 1 / (1 + np.exp(-(new @ weight[:-1] + weight[-1])))


def perceptron(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Model:
    """A small network, which chance starts differently each time."""
    network = MLPClassifier((8,), max_iter=15, learning_rate_init=0.01, random_state=int(rng.integers(10**9)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _fitted(network, x, y)


def forest(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> Model:
    """A few small trees, which chance grows differently each time."""
    return _fitted(RandomForestClassifier(20, max_depth=6, random_state=int(rng.integers(10**9))), x, y)


def _fitted(model: Any, x: np.ndarray, y: np.ndarray) -> Model:
    model.fit(x.reshape(-1, FEATURES), y.ravel())
    return lambda new: model.predict_proba(new.reshape(-1, FEATURES))[:, 1].reshape(new.shape[:2])


def drawn(rng: np.random.Generator, *_: np.ndarray) -> Model:
    """A model that nobody trained: near the best one, and a little different in each fold."""
    weight, bias = rng.normal(0.5, 0.15, FEATURES), rng.normal(0, 0.1)
    return lambda new: 1 / (1 + np.exp(-(new @ weight + bias)))


def cross_validated(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, folds: np.ndarray, fit: Callable[..., Model]
) -> list[list[Model]]:
    """The models of each seed and fold."""
    return [[fit(rng, x[of != k], y[of != k]) for k in range(of.max() + 1)] for of in folds]


def predict(models: list[list[Model]], x: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(seeds, subjects, units) what is said of each subject by the model that was not trained on them."""
    predicted = np.empty((*folds.shape, x.shape[1]))
    for row, of, own in zip(models, folds, predicted, strict=True):
        for k, model in enumerate(row):
            own[of == k] = model(x[of == k])
    return predicted


def recorded(
    name: str,
    predicted: np.ndarray,
    y: np.ndarray,
    folds: np.ndarray,
    primary_metric: str,
    lengths: np.ndarray | None = None,
    tried: int = 1,
    unit_s: int = 10,
    design: Design | None = None,
) -> Record:
    """Answers (seeds, subjects, units) as a run of this name leaves them behind, of sessions of these lengths
    (subjects,) in s. Units whose `y` is NaN have no label."""
    seeds, n_subjects, units = predicted.shape
    seed, subject_id, moment = (grid.ravel() for grid in np.indices(predicted.shape))
    subject = np.array(subject_names(n_subjects))
    ids = np.array([[f"{p}:{1000 * unit_s * u}-{1000 * unit_s * (u + 1)}" for u in range(units)] for p in subject])
    columns = {
        "method": np.full(predicted.size, MODEL),
        "target": np.full(predicted.size, TARGET.name),
        "fold": folds[seed, subject_id],
        "seed": seed,
        "subject": subject[subject_id],
        "recording": subject[subject_id],
        "stimulus": np.array([f"s{u:02d}" for u in range(units)])[moment],
        "unit": ids[subject_id, moment],
        "start_s": unit_s * moment.astype(float),
        "score": predicted.ravel(),
        "decision": predicted.ravel() >= 0.5,
    }
    of = np.repeat(subject, units)
    about = (of, of, ids.ravel(), np.full(y.size, TARGET.name), np.full(y.size, ANY_SEED), y.ravel(), y.ravel())
    roles = [
        {"subject": s, "group": s, "fold": k, "role": "test" if k == own else "train", "seed": n, "reason": ""}
        for n, row in enumerate(folds)
        for s, own in zip(subject.tolist(), row.tolist(), strict=True)
        for k in range(folds.max() + 1)
    ]
    run = {
        "id": name,
        "embench_version": "0.1.0",
        "dataset": {"name": "made-up", "fingerprint": "0", "synthetic": {}},
        "protocol": {"name": "subject-independent-v4", "version": 2, "hash": "0", "leaks": False},
        "card": {
            "labels_public": "yes",
            "fixed_order": lengths is not None,
            "label_rules_hash": "0",
            "label_rules": [{"name": TARGET.name, "kind": "binary", "label": TARGET.label, "n": 2, "rule": {}}],
        },
        "method": {"encoders": {}, "fusion": None, "pretrainers": [], "modalities": []},
        "recipe": {"preset": "small", "on_leaderboard": True, "assumed": []},
        "targets": [TARGET.name],
        "seeds": list(range(seeds)),
        "cohort": {
            "subjects": n_subjects,
            "left_out": [],
            "session_s": None if lengths is None else dict(zip(subject.tolist(), lengths.tolist(), strict=True)),
            "design": design or ("free" if lengths is None else "fixed_order"),
        },
        "target_access": "none",
        "pretraining_overlap": "none",
        "dev": False,
        "cost": {"wall_seconds": None, "parameters": None, "flops": None, "device": "cpu", "peak_memory_mb": None},
        "test_evaluations": {TARGET.name: tried},
        "methods_evaluated": {TARGET.name: tried},
        "versions": {},
        "device": "cpu",
        "config": {},
    }
    labels = Labels(dict(zip(Labels.FIXED, about, strict=True)))
    return Record(
        run, Predictions(columns), labels, roles, Scores.make_empty(primary_metrics={TARGET.name: primary_metric})
    )


def worth(models: list[list[Model]], x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """What models score on many new subjects, in code that shares nothing with the harness: mean over folds and
    seeds."""
    moments = (y[:, :, None] == 1) & (y[:, None, :] == 0)  # (subjects, s, t): label 1 at s, 0 at t
    comparable = moments.sum((1, 2)) > 0
    swapped = moments.sum(0).T
    values: dict[str, list[float]] = {"auroc_within": [], "auroc_crossed": [], "f1_weighted": []}
    for row in models:
        for model in row:
            score = model(x)
            won = moments & (score[:, :, None] > score[:, None, :])  # ties don't occur
            values["auroc_within"].append((won.sum((1, 2))[comparable] / moments.sum((1, 2))[comparable]).mean())
            # One's own moments never cross, so that nobody is paired with themselves.
            values["auroc_crossed"].append((won.sum(0) * swapped).sum() / (moments.sum(0) * swapped).sum())
            values["f1_weighted"].append(_f1_weighted(y == 1, score >= 0.5))
    means = {name: float(np.mean(of)) for name, of in values.items()}
    # Moments are stimuli and times alike here, and nothing depends on the length of the session.
    return {**means, "auroc_crossed_matched": means["auroc_crossed"]}


def _f1_weighted(y: np.ndarray, decision: np.ndarray) -> float:
    """F1 of each class, 2 hits / (hits of labels and of decisions), weighted by its share."""
    parts = [(y, decision), (~y, ~decision)]
    f1 = [2 * (label & decided).sum() / (label.sum() + decided.sum()) for label, decided in parts]
    return float(np.average(f1, weights=[y.mean(), 1 - y.mean()]))
