"""Candidate rules from residuals of score and label on few unpenalised columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np
from scipy import stats

from bench.confound_rule.designs import Study, standard
from bench.confound_rule.scores import apart, overlap, t_quantile
from bench.confound_rule.worlds import running, shifted

MATRICES = ("few", "lags", "curves", "slopes", "gains")
"""Matrices with all intervals. `memory`, made later, has `pairs` and the rule of one partition alone."""
INTERVALS = ("t", "t+overlap", "cr2", "permutation", "pairs")
PROPORTION_LEFT = 0.10
PERMUTATIONS = 999
LEVEL = 0.025
MEMORIES = (2.0, 5.0, 10.0)
"""Trials after which a leaky sum of movement has fallen to 1/e."""
GUARD_LEVEL = 0.05
"""Of the test whether the label still follows products of two lags of movement, given the columns of `memory`."""


def _one_hot(codes: np.ndarray, first: int = 1) -> np.ndarray:
    """(n, J, K - first) dummies of codes (n, J), of all kinds from the given one on."""
    return np.eye(int(codes.max()) + 1)[codes][..., first:]


def common_columns(name: str, study: Study, movement: np.ndarray) -> np.ndarray:
    """(n, J, c) columns that all subjects share."""
    m, q = np.clip(movement, -3, 3), np.clip(study.posture, -3, 3)
    parts = [_one_hot(study.stimulus)]
    if study.crossed or not study.stimulus.any():
        parts.append(_one_hot(study.position))
    if name == "few":
        series = [m, m**2, shifted(m, 1), m.cumsum(1)]
        return np.concatenate([*parts, np.stack(series, axis=2)], axis=2)
    if study.crossed:
        parts.append(_one_hot(study.previous)[..., :-1])  # the last code stands for "none", which is the first position
    lagged = [shifted(m, lag) for lag in (-2, -1, 1, 2)]
    series = [m, m**2, m**3, np.exp(m), *lagged, lagged[2] ** 2, np.exp(lagged[2])]
    series += [m.cumsum(1), running(np.exp(m)), (m + lagged[1] + lagged[2]) / 3, (m + sum(lagged)) / 5, q, q**2]
    if name in ("slopes", "gains", "memory"):
        parts.append(parts[0] * m[..., None])
    if name == "memory":
        leaky = [np.clip(standard(leaky_sum(m, trials)), -3, 3) for trials in MEMORIES]
        series += [shape for of in leaky for shape in (of, of**2, np.exp(of))]
        series += [m * lagged[2], lagged[2] * lagged[3], m * lagged[1]]
    return np.concatenate([*parts, np.stack(series, axis=2)], axis=2)


def leaky_sum(values: np.ndarray, trials: float) -> np.ndarray:
    """(n, J) the sum so far of `values`, of which each trial leaves exp(-1 / trials)."""
    total = values.copy()
    for at in range(1, values.shape[1]):
        total[:, at] += np.exp(-1 / trials) * total[:, at - 1]
    return total


def further_columns(name: str, movement: np.ndarray) -> np.ndarray:
    """(n, J, f) columns that the label must not follow after adjustment: of `memory`, products of two lags."""
    m = np.clip(movement, -3, 3)
    lagged = [shifted(m, lag) for lag in (-2, -1, 0, 1, 2)] if name == "memory" else []
    products = [one * other for one, other in combinations_with_replacement(lagged, 2)]
    return np.stack(products, axis=2) if products else np.zeros((*m.shape, 0))


def own_columns(name: str, study: Study, movement: np.ndarray) -> np.ndarray:
    """(n, J, k) columns that each subject has for itself."""
    own, m = [np.ones_like(study.time), study.time], np.clip(movement, -3, 3)
    if name in ("curves", "slopes", "gains", "memory"):
        own.append(np.exp(-study.position / 2))
    if name in ("slopes", "gains", "memory"):
        own.append(m)
    if name in ("gains", "memory"):
        own += [np.mean([shifted(m, lag) for lag in range(-2, 3)], axis=0), m.cumsum(1)]
    return np.stack(own, axis=2)


@dataclass(frozen=True)
class Residuals:
    """The residual maker of columns: of each subject's own (n, J, k), orthonormal, and of common ones (n, J, c), which
    are orthonormal too and orthogonal to the others."""

    own: np.ndarray
    common: np.ndarray

    @classmethod
    def of_columns(cls, own: np.ndarray, common: np.ndarray) -> Residuals:
        basis, _ = np.linalg.qr(own)
        left = common - basis @ (basis.transpose(0, 2, 1) @ common)
        flat = left.reshape(-1, common.shape[2])
        spread = np.sqrt((flat**2).sum(0))
        flat = flat[:, spread > 1e-8] / spread[spread > 1e-8]
        size, vectors = np.linalg.eigh(flat.T @ flat)
        kept = size > 1e-9 * size[-1]
        return cls(basis, (flat @ (vectors[:, kept] / np.sqrt(size[kept]))).reshape(*common.shape[:2], -1))

    def within(self, values: np.ndarray) -> np.ndarray:
        """Residuals of values (..., n, J) on each subject's own columns."""
        return np.asarray(values - np.einsum("njk,nik,...ni->...nj", self.own, self.own, values, optimize=True))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Residuals of values (..., n, J)."""
        left = self.within(values)
        flat, common = (
            left.reshape(-1, self.own.shape[0] * self.own.shape[1]),
            self.common.reshape(-1, self.common.shape[2]),
        )
        return np.asarray((flat - flat @ common @ common.T).reshape(left.shape))

    @cached_property
    def factor(self) -> float:
        """N' / (N' - c): units less own columns, over these less common ones."""
        return (self.freedom + self.common.shape[2]) / max(self.freedom, 1)

    @cached_property
    def freedom(self) -> int:
        """N' - c."""
        subjects, units, own = self.own.shape
        return subjects * (units - own) - self.common.shape[2]

    def blocks(self, cells: np.ndarray) -> np.ndarray:
        """(K, s, s) the residual maker's blocks of clusters of units, whose flat positions are (K, s)."""
        subjects, units = self.own.shape[:2]
        subject = np.arange(subjects * units) // units
        own = self.own.reshape(subjects * units, -1)[cells]
        common = self.common.reshape(subjects * units, -1)[cells]
        same = subject[cells][:, :, None] == subject[cells][:, None]
        return np.eye(cells.shape[1]) - same * (own @ own.transpose(0, 2, 1)) - common @ common.transpose(0, 2, 1)

    def inverse_roots(self, cells: np.ndarray) -> np.ndarray:
        """(K, s, s) symmetric inverse roots of the blocks; 0 in directions that are fitted exactly."""
        size, vectors = np.linalg.eigh(self.blocks(cells))
        root = np.where(size > 1e-6, 1 / np.sqrt(np.maximum(size, 1e-6)), 0.0)
        return (vectors * root[:, None]) @ vectors.transpose(0, 2, 1)


@dataclass(frozen=True)
class Answers:
    """Answers for W worlds: yes (W,) by kind of interval, partial r, the label's proportion left, and whether the
    answer is *cannot be told*."""

    yes: dict[str, np.ndarray]
    r: np.ndarray
    left: np.ndarray
    cannot: np.ndarray


def cluster_cells(study: Study) -> dict[str, np.ndarray]:
    """Flat positions of the units of each cluster: `subject` (n, J), `stimulus` (K, n) where there are several."""
    cells = {"subject": np.arange(study.stimulus.size).reshape(study.stimulus.shape)}
    if study.stimulus.any():
        kinds = range(int(study.stimulus.max()) + 1)
        cells["stimulus"] = np.stack([np.flatnonzero(study.stimulus.ravel() == kind) for kind in kinds])
    return cells


def two_way(sums: Mapping[str, np.ndarray], by_unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(W,) the two-way variance and the one over subjects, from what clusters of a kind (W, K) and units (W, N) add."""
    variances = {kind: of.shape[1] / (of.shape[1] - 1) * (of**2).sum(1) for kind, of in sums.items()}
    of_subjects = variances["subject"]
    if "stimulus" not in variances:
        return of_subjects, of_subjects
    of_stimuli = variances["stimulus"]
    both = (by_unit**2).sum(1)
    return np.maximum.reduce([of_subjects, of_stimuli, of_subjects + of_stimuli - both]), of_subjects


class Fitted:
    """A matrix of columns fitted to a study, with what its intervals need."""

    def __init__(self, name: str, study: Study, movement: np.ndarray, rng: np.random.Generator) -> None:
        self.study = study
        own, common = own_columns(name, study, movement), common_columns(name, study, movement)
        self.residuals = Residuals.of_columns(own, common)
        further = further_columns(name, movement)
        self.wide = Residuals.of_columns(own, np.concatenate([common, further], axis=2)) if further.size else None
        self.cells = cluster_cells(study)
        self.rng = rng
        self.df = min(len(of) for of in self.cells.values()) - 1

    @cached_property
    def roots(self) -> dict[str, np.ndarray]:
        return {kind: self.residuals.inverse_roots(cells) for kind, cells in self.cells.items()}

    @cached_property
    def unit_roots(self) -> np.ndarray:
        diagonal = self.residuals.blocks(np.arange(self.study.stimulus.size)[:, None]).ravel()
        return np.where(diagonal > 1e-6, 1 / np.sqrt(np.maximum(diagonal, 1e-6)), 0.0)

    @cached_property
    def exchanges(self) -> np.ndarray:
        return self.rng.random((PERMUTATIONS, len(self.study.stimulus))).argsort(1)

    def _clustered(self, x: np.ndarray, e: np.ndarray, *, cr2: bool) -> tuple[np.ndarray, np.ndarray]:
        """Two-way variance and the one over subjects of sums of x e, (W, N) each."""
        sums = {}
        for kind, cells in self.cells.items():
            errors = np.einsum("kst,wkt->wks", self.roots[kind], e[:, cells]) if cr2 else e[:, cells]
            sums[kind] = (x[:, cells] * errors).sum(2)
        return two_way(sums, x * e * (self.unit_roots if cr2 else 1.0))

    def follows(self, labels: np.ndarray) -> np.ndarray:
        """(W,) p of the F test whether labels (W, n, J), adjusted for the columns, follow the further ones; 1 where
        there are none."""
        if self.wide is None:
            return np.ones(len(labels))
        more, rest = self.residuals.freedom - self.wide.freedom, self.wide.freedom
        if more < 1 or rest < 1:
            return np.ones(len(labels))
        before, after = ((of(labels) ** 2).sum((1, 2)) for of in (self.residuals, self.wide))
        return np.asarray(stats.f.sf((before - after) / more / (after / rest + 1e-12), more, rest))

    def answers(
        self,
        scores: np.ndarray,
        labels: np.ndarray,
        folds: np.ndarray,
        *,
        one: bool = False,
        kinds: Collection[str] = INTERVALS,
    ) -> Answers:
        """Answers for standardised scores (W, S, n, J) and labels (W, n, J) by some kinds of interval, `pairs` at
        least; of `one` partition by `t+overlap` alone, with the variance over subjects as its correction."""
        of_partitions, y = self.residuals(scores), self.residuals(labels)
        worlds, x = len(scores), of_partitions.mean(1)
        scale = np.sqrt((x**2).sum((1, 2)) * (y**2).sum((1, 2))) + 1e-12
        r = (x * y).sum((1, 2)) / scale
        errors = y - (r * scale / ((x**2).sum((1, 2)) + 1e-12))[:, None, None] * x
        flat_x, flat_e = (x / scale[:, None, None]).reshape(worlds, -1), errors.reshape(worlds, -1)
        plain, of_subjects = self._clustered(flat_x, flat_e, cr2=False)
        plain, of_subjects = plain * self.residuals.factor, of_subjects * self.residuals.factor
        total = ((labels - labels.mean(2, keepdims=True)) ** 2).sum((1, 2)) / (labels.shape[1] * (labels.shape[2] - 1))
        left = (y**2).sum((1, 2)) / max(self.residuals.freedom, 1) / (total + 1e-12)
        t, told = t_quantile(self.df), (left >= PROPORTION_LEFT) & (self.follows(labels) > GUARD_LEVEL)
        if one:
            return Answers({"one": told & (r - t * np.sqrt(plain + of_subjects) > 0)}, r, left, ~told)
        by_subject = (of_partitions * y[:, None]).sum(3) / scale[:, None, None]
        added = np.minimum(overlap(by_subject, apart(folds)), of_subjects)
        paired = self._paired(scores, labels, folds) / scale
        if set(kinds) == {"pairs"}:
            found = told & (paired - t * np.sqrt(plain + added + (paired - r) ** 2) > 0)
            return Answers({"pairs": found}, r, left, ~told)
        narrow, _ = self._clustered(flat_x, flat_e, cr2=True)
        inflation = np.sqrt(self.residuals.factor * (1 + added / np.maximum(of_subjects, 1e-12)))
        yes = {
            "pairs": paired - t * np.sqrt(plain + added + (paired - r) ** 2) > 0,
            "t": r - t * np.sqrt(plain) > 0,
            "t+overlap": r - t * np.sqrt(plain + added) > 0,
            "cr2": r - t * np.sqrt(narrow + added) > 0,
            "permutation": self._exchanged(x, y, inflation) <= LEVEL,
        }
        return Answers({kind: told & of_kind for kind, of_kind in yes.items()}, r, left, ~told)

    def _paired(self, scores: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """(W,) the sum of products x_r y_r in which no label meets a score whose model trained on it.

        x'My = sum over i of x_i y_i - sum over i, j of (C_i'x_i)(C_j'y_j), with orthonormal common columns C. In the
        second sum x_i is of the partitions in which i and j share a test fold.
        """
        mates = ~apart(folds)
        weights = mates / mates.sum(0)
        # So that scores of a model of the confounds alone cancel.
        weights *= folds.shape[1] / (weights.sum(1, keepdims=True) * len(folds))
        x, y = self.residuals.within(scores), self.residuals.within(labels)
        a = np.einsum("njc,wsnj->wsnc", self.residuals.common, x, optimize=True)
        b = np.einsum("njc,wnj->wnc", self.residuals.common, y, optimize=True)
        crossed = (weights * (a @ b.transpose(0, 2, 1)[:, None])).sum(1)
        return (x.mean(1) * y).sum((1, 2)) - crossed.sum((1, 2))

    def _exchanged(self, x: np.ndarray, y: np.ndarray, inflation: np.ndarray) -> np.ndarray:
        """(W,) one-sided p of the exchange of whole subjects; the larger of both alignments."""
        order, subjects = self.study.stimulus.argsort(1)[None], np.arange(x.shape[1])
        p = np.zeros(len(x))
        for aligned in (False, True) if self.study.crossed else (False,):
            a, b = (np.take_along_axis(v, order, 2) if aligned else v for v in (x, y))
            products = a @ b.transpose(0, 2, 1)
            seen = np.einsum("wnn->w", products) / inflation
            flat = np.ascontiguousarray(products.reshape(len(x), -1).T)
            made = flat[subjects * len(subjects) + self.exchanges].sum(1)
            p = np.maximum(p, (1 + (made >= seen).sum(0)) / (1 + PERMUTATIONS))
        return p
