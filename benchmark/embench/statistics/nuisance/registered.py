"""Clocks that a signal sets: a subject's trace is aligned with those of training subjects, whose labels are read at the
shifted time. Where tasks came in one order, such a clock reads the label off the order of movements, without a body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft

from embench.statistics.nuisance.sessions import Sessions

SHIFT_S = 300.0
"""Largest shift of a trace, to each side."""
OVERLAP_S = 600.0
"""Least overlap of two compared traces, or half of the shorter session."""
SHARP, SOFT, FLAT = 0.08, 0.05, 10.0
"""Increase of a correlation that multiplies the weight by e."""


class Cells:
    """Sessions in cells of time of a unit's length, where their units lie in them.

    Args:
        sessions: of P subjects.
    """

    def __init__(self, sessions: Sessions) -> None:
        """Cells begin with the session."""
        self.sessions = sessions
        self.cell = np.floor(sessions.start / sessions.unit_s + 1e-6).astype(int)
        self.shape = len(sessions.rows), int(self.cell.max()) + 1
        self.most = min(round(SHIFT_S / sessions.unit_s), self.shape[1] - 1)
        self.shifts = np.arange(-self.most, self.most + 1)

    def laid(self, values: np.ndarray) -> np.ndarray:
        """(P, M) `values` (n,) of units in the cells of their subject, NaN in those without a unit."""
        out = np.full(self.shape, np.nan)
        for p, rows in enumerate(self.sessions.rows):
            out[p, self.cell[rows]] = values[rows]
        return out

    def likeness(self, traces: Sequence[np.ndarray]) -> np.ndarray:
        """(P, P, 2 K + 1) the mean over `traces` (n,) of the correlation of one subject (row) with another (column),
        later by 0 to K cells to each side; -1 where they share too little."""
        return np.mean([self._correlations(self.laid(trace)) for trace in traces], axis=0)

    def _correlations(self, trace: np.ndarray) -> np.ndarray:
        known = np.isfinite(trace)
        value = np.where(known, trace, 0.0)
        size = fft.next_fast_len(2 * self.shape[1], real=True)
        parts = [fft.rfft(part, size, axis=1) for part in (known.astype(float), value, value**2)]
        least = np.minimum(OVERLAP_S / self.sessions.unit_s, known.sum(1) / 2)
        out = np.empty((len(trace), len(trace), len(self.shifts)))
        for p in range(len(trace)):
            mine = [part[p] for part in parts]

            def shared(own: int, other: int, mine: list[np.ndarray] = mine) -> np.ndarray:
                """(P, 2 K + 1) sums of products of what overlaps."""
                return fft.irfft(mine[own] * parts[other].conj(), size, axis=1)[:, self.shifts]

            count = np.maximum(shared(0, 0), 0.5)
            of_mine, of_theirs = shared(1, 0) / count, shared(0, 1) / count
            together = shared(1, 1) / count - of_mine * of_theirs
            spread = (shared(2, 0) / count - of_mine**2) * (shared(0, 2) / count - of_theirs**2)
            enough = count > np.minimum(least[p], least)[:, None]
            out[p] = np.where(enough, together / np.sqrt(np.maximum(spread, 1e-6)), -1.0)
        return out

    def clocks(self, likeness: np.ndarray, labels: np.ndarray, train: Sequence[np.ndarray]) -> np.ndarray:
        """(n, 3 K) what each of K `labels` is expected to be when sessions are aligned.

        Subjects are aligned by their best shift, and those more alike count more (`SHARP`) or all equally (`FLAT`); or
        by all shifts, those more alike counting more (`SOFT`).

        Args:
            likeness: see there. `labels`: (n, K), NaN where there is none.
            train: of each subject, the positions of the training units of the model that predicts them.
        """
        subject = self.sessions.subject
        best = likeness.argmax(2)
        top = likeness.max(2)
        out = np.zeros((len(subject), 3, labels.shape[1]))
        for p, rows in enumerate(self.sessions.rows):
            others = np.unique(subject[train[p]])
            others = others[others != p]
            if not len(others):
                continue
            known = np.full((*self.shape, labels.shape[1]), np.nan)
            known[subject[train[p]], self.cell[train[p]]] = labels[train[p]]
            read = np.where(np.isfinite(known), known, np.nanmean(labels[train[p]], axis=0))[others]
            cells = self.cell[rows]
            aligned = np.clip(cells - self.shifts[best[p, others]][:, None], 0, self.shape[1] - 1)
            of_best = np.take_along_axis(read, aligned[:, :, None], axis=1)
            for k, warmth in enumerate((SHARP, FLAT)):
                weight = _softened(top[p, others], warmth)
                out[rows, k] = np.einsum("q,qik->ik", weight, of_best)
            weight = _softened(likeness[p, others], SOFT)
            for s, shift in enumerate(self.shifts):
                here = read[:, np.clip(cells - shift, 0, self.shape[1] - 1)]
                out[rows, 2] += np.einsum("q,qik->ik", weight[:, s], here)
        return out.reshape(len(subject), -1)


def _softened(likeness: np.ndarray, warmth: float) -> np.ndarray:
    """Weights that add up to 1."""
    weight = np.exp((likeness - likeness.max()) / warmth)
    return np.asarray(weight / weight.sum())
