"""Clocks set by a signal: a test subject's trace is laid over those of training subjects, and their labels are read at
the moments that match.

Cells are units of time since the session's start, 0 to C - 1. A pair is a subject p, who is predicted, and a subject q,
whose labels are read if she trains the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.adjusted.attacks.features import smooth, z
from bench.adjusted.study import Study

REACH = 30
"""Cells by which a trace may be shifted."""
LEAST = 40
"""Cells that two traces must share."""


@cache
def cells(study: Study) -> np.ndarray:
    """(n,) the cell of each unit."""
    return np.floor(study.start / study.length_s + 1e-6).astype(int)


def grid(study: Study, values: np.ndarray) -> np.ndarray:
    """(P, C) values (n,) by subject and cell, NaN where there is no unit."""
    made = np.full((len(study.names), cells(study).max() + 1), np.nan)
    made[study.subject, cells(study)] = values
    return made


def trace(study: Study, values: np.ndarray, width: int = 2) -> np.ndarray:
    """(P, C) values (n,), normalised within each subject and smoothed over `width` units on either side."""
    return grid(study, smooth(study, z(study, values), width))


def filled(traces: np.ndarray) -> np.ndarray:
    """Traces (P, C) with gaps closed in a line, and their ends repeated."""
    at = np.arange(traces.shape[1])
    return np.stack([np.interp(at, at[np.isfinite(x)], x[np.isfinite(x)]) for x in traces])


@dataclass(frozen=True, eq=False)
class Match:
    """Cells to read labels at. Of each subject p: `at`, a cell of each subject q (P, n_p) that matches each unit of p;
    `weight` (P, 1) or (P, n_p), how like q is to p."""

    at: Sequence[np.ndarray]
    weight: Sequence[np.ndarray]


def read_labels(study: Study, matches: Iterable[Match], temperature: float) -> np.ndarray:
    """(S, n) the mean of training subjects' labels at matching cells, weighted by exp(likeness / temperature); the mean
    of several matches, each with its own weights."""
    labels, matches = grid(study, study.y), list(matches)
    top = labels.shape[1] - 1
    everyone = np.arange(len(study.names))[:, None]
    made = np.full((len(study.seeds), len(study.y)), np.nan)
    for p, own in enumerate(study.order):
        found = np.stack([labels[everyone, np.clip(m.at[p], 0, top)] for m in matches])
        likeness = np.stack([np.broadcast_to(m.weight[p], m.at[p].shape) for m in matches]) / temperature
        for k, folds in enumerate(study.folds):
            train = folds != folds[p]
            label, log = found[:, train], likeness[:, train]
            weight = np.exp(log - log.max((0, 1))) * np.isfinite(label)
            usual = np.nanmean(labels[train])
            total = (weight * np.nan_to_num(label)).sum((0, 1))
            made[k, own] = (total + 1e-9 * usual) / (weight.sum((0, 1)) + 1e-9)
    return made


def _moved(x: np.ndarray, shift: int) -> np.ndarray:
    """Traces (P, C) later by `shift` cells; 0 where nothing is left."""
    made = np.zeros_like(x)
    made[:, max(shift, 0) : x.shape[1] + min(shift, 0)] = x[:, max(-shift, 0) : x.shape[1] - max(shift, 0)]
    return made


def _correlation(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(P, Q) of traces a (P, C) and x (Q, C), each 0 where `nan` was, over cells that both have; -1 for few."""
    has_a, has_x = (np.isfinite(part).astype(float) for part in (a, x))
    a, x = np.nan_to_num(a), np.nan_to_num(x)
    count = np.maximum(has_a @ has_x.T, 1)
    mean_a, mean_x = a @ has_x.T / count, has_a @ x.T / count
    both = a @ x.T / count - mean_a * mean_x
    spread = (a**2 @ has_x.T / count - mean_a**2) * (has_a @ (x**2).T / count - mean_x**2)
    return np.where(count > LEAST, both / np.sqrt(np.maximum(spread, 1e-6)), -1.0)


def likeness(traces: Sequence[np.ndarray], reach: int = REACH) -> np.ndarray:
    """(P, P, shifts) the correlation of p's traces with q's, later by -reach to reach cells; mean over channels."""
    made = []
    for shift in range(-reach, reach + 1):
        late = [np.where(_moved(np.isfinite(x).astype(float), shift) > 0, _moved(np.nan_to_num(x), shift), np.nan)
                for x in traces]  # fmt: skip
        made.append(np.mean([_correlation(x, y) for x, y in zip(traces, late, strict=True)], axis=0))
    return np.stack(made, -1)


def best_shift(study: Study, like: np.ndarray) -> Match:
    """Each pair at the shift where it is most alike."""
    shift = like.argmax(-1) - like.shape[-1] // 2
    own = [cells(study)[order] for order in study.order]
    return Match([at - shift[p][:, None] for p, at in enumerate(own)], [x[:, None] for x in like.max(-1)])


def all_shifts(study: Study, like: np.ndarray, step: int = 2) -> list[Match]:
    """Each pair at every shift, as much as it is alike there."""
    reach = like.shape[-1] // 2
    own = [cells(study)[order] for order in study.order]
    many = len(study.names)
    return [
        Match([np.tile(at - shift, (many, 1)) for at in own], list(like[:, :, shift + reach, None]))
        for shift in range(-reach, reach + 1, step)
    ]


def registered(
    study: Study, *traces: np.ndarray, temperature: float = 0.08, reach: int = REACH, soft: bool = False
) -> np.ndarray:
    """(S, n) labels read from training subjects whose traces (P, C) are shifted onto the subject's own."""
    like = likeness(traces, reach)
    return read_labels(study, all_shifts(study, like) if soft else [best_shift(study, like)], temperature)


def warped(study: Study, traces: np.ndarray, band: int = REACH, step: float = 0.3) -> Match:
    """Each pair aligned by dynamic time warping inside a band; a step in one trace alone costs `step` more."""
    x = filled(traces)
    subjects, last = len(x), cells(study).max()
    p, q = (part.ravel() for part in np.indices((subjects, subjects)))
    offsets = np.arange(-band, band + 1)
    cost = np.full((last + 1, len(p), len(offsets)), np.inf, np.float32)
    came = np.zeros(cost.shape, np.int8)  # 0 both, 1 p alone, 2 q alone
    for i in range(last + 1):
        at = i + offsets
        inside = (at >= 0) & (at <= last)
        here = np.where(inside, np.abs(x[p, i][:, None] - x[q][:, np.clip(at, 0, last)]), np.inf)
        if i == 0:
            cost[0] = here + step * np.abs(offsets)
            continue
        alone = np.concatenate([cost[i - 1][:, 1:], np.full((len(p), 1), np.inf, np.float32)], 1) + step
        row = np.minimum(cost[i - 1], alone)
        came[i] = alone < cost[i - 1]
        cost[i] = row + here
        for k in range(1, len(offsets)):
            ahead = cost[i][:, k - 1] + here[:, k] + step
            better = ahead < cost[i][:, k]
            cost[i][better, k] = ahead[better]
            came[i][better, k] = 2
    k = cost[-1].argmin(1)
    pairs = np.arange(len(p))
    total = cost[-1][pairs, k] / (last + 1)
    path = np.zeros((len(p), last + 1), int)
    for i in range(last, -1, -1):
        path[:, i] = i + offsets[k]
        while (alone := came[i][pairs, k] == 2).any():
            k = np.where(alone, k - 1, k)
        k = np.where(came[i][pairs, k] == 1, np.minimum(k + 1, len(offsets) - 1), k)
    path = path.reshape(subjects, subjects, -1)
    weight = -total.reshape(subjects, subjects)
    return Match(
        [path[s][:, cells(study)[own]] for s, own in enumerate(study.order)],
        [w[:, None] for w in weight],
    )


def nearby(study: Study, traces: np.ndarray, back: int, ahead: int, reach: int = REACH, step: int = 2) -> Match:
    """Each unit at the shift where `back` cells before and `ahead` after it are most alike: only these are seen."""
    has, x = np.isfinite(traces).astype(float), np.nan_to_num(traces)
    many, last = len(x), x.shape[1]

    def box(values: np.ndarray) -> np.ndarray:
        total = np.concatenate([np.zeros((many, 1)), np.cumsum(values, 1)], 1)
        at = np.arange(last)
        return total[:, np.minimum(at + ahead + 1, last)] - total[:, np.maximum(at - back, 0)]

    ats, weights = [], []
    for p, own in enumerate(study.order):
        best, shift_at = np.full((many, last), -1.0), np.zeros((many, last), int)
        for shift in range(-reach, reach + 1, step):
            y, both = _moved(x, shift), _moved(has, shift) * has[p]
            n = np.maximum(box(both), 1)
            a, b = box(x[p] * both), box(y * both)
            spread = (box(x[p] ** 2 * both) - a**2 / n) * (box(y**2 * both) - b**2 / n)
            r = (box(x[p] * y * both) - a * b / n) / np.sqrt(np.maximum(spread, 1e-3))
            r = np.where(n < 0.4 * (back + ahead + 1), -1.0, r)
            shift_at = np.where(r > best, shift, shift_at)
            best = np.maximum(r, best)
        at = cells(study)[own]
        ats.append(at - shift_at[:, at])
        weights.append(best[:, at])
    return Match(ats, weights)
