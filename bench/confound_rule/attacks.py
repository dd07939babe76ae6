"""Scores without a signal of the subject: confound-only models, negated, with noise, and mixed with a true method."""

from __future__ import annotations

import numpy as np

from bench.confound_rule.designs import Study, standard
from bench.confound_rule.scores import out_of_fold
from bench.confound_rule.worlds import shifted

MODELS = ("stimulus", "position", "previous", "movement", "movement_lags", "time", "phase")
VARIANTS = ("plain", "negated", "noisy")
UNDER = ("none", "film", "clock_linear", "movement")
TRUE, WEIGHTS = "effect_62", (-1.0, -0.3, 0.3, 1.0)
SHIFTS, SHARPNESS = range(-3, 4), 6.0


def names(*, best: bool = False) -> list[str]:
    """Names of all attacks: model:variant:world, then mixtures and the true method alone; with `best`, then those that
    `best_of_ten` selects."""
    alone = [f"{model}:{variant}:{world}" for world in UNDER for model in MODELS for variant in VARIANTS]
    mixed = [f"{model}:{weight:+g}:{TRUE}" for model in MODELS for weight in WEIGHTS]
    return [*alone, f"true:alone:{TRUE}", *mixed, *(f"best:of_ten:{world}" for world in UNDER if best)]


def best_of_ten(metric: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(len(UNDER),) indices of the attacks with the highest metric, of ten drawn at random in each world.

    Args:
        metric: of all attacks, in the order of `names`.
    """
    size = len(MODELS) * len(VARIANTS)
    drawn = [first * size + rng.permutation(size)[:10] for first in range(len(UNDER))]
    return np.array([of[np.nanargmax(metric[of])] for of in drawn])


def _by_code(label: np.ndarray, code: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(S, n, J) means of labels (n, J) of other folds' units with the same code (n, J)."""
    at = np.eye(int(code.max()) + 1)[code]
    train = (folds[:, None] != folds[:, :, None]).astype(float)
    sums = np.einsum("smn,np->smp", train, np.einsum("nj,njp->np", label, at))
    counts = np.einsum("smn,np->smp", train, at.sum(1))
    return np.einsum("smp,mjp->smj", sums / np.maximum(counts, 1), at)


def _by_phase(label: np.ndarray, movement: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(S, n, J) labels of other folds' subjects, read where their movement goes as the subject's."""
    subjects, units = movement.shape
    train = (folds[:, None] != folds[:, :, None]).astype(float)
    total, weight = np.zeros((len(folds), subjects, units)), np.zeros((len(folds), subjects, 1))
    for shift in SHIFTS:
        alike = np.exp(SHARPNESS * (movement @ shifted(movement, shift).T) / units)
        of = train * alike
        total += of @ shifted(label, shift)
        weight += of.sum(2, keepdims=True)
    return total / weight


def confound_scores(model: str, study: Study, label: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(S, n, J) out-of-fold scores of a confound-only model."""
    m = study.movement
    if model in ("stimulus", "position", "previous"):
        return _by_code(label, getattr(study, model), folds)
    if model == "time":
        return np.broadcast_to(study.time, (len(folds), *study.time.shape)).copy()
    if model == "phase":
        return _by_phase(label, m, folds)
    columns = [m]
    if model == "movement_lags":
        columns += [m**2, np.exp(np.clip(m, -3, 3)), *(shifted(m, lag) for lag in (-2, -1, 1, 2)), m.cumsum(1)]
    return out_of_fold(np.stack(columns, axis=2), label[None], folds)[0]


def variant_of(scores: np.ndarray, variant: str, rng: np.random.Generator) -> np.ndarray:
    """Scores (S, n, J) as they are, negated, or with as much noise, which is the same in all partitions."""
    if variant == "negated":
        return -scores
    if variant == "noisy":
        return unit(scores) + rng.standard_normal(scores.shape[1:])
    return scores


def unit(scores: np.ndarray) -> np.ndarray:
    """Scores (S, n, J) standardised within the subject."""
    return np.stack([standard(of) for of in scores])
