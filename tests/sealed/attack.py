"""An attack on a board: labels told from its published entries, by somebody who knows units, folds and embench's code.

Each part gives (n,) guesses, 0 or 1, or None where the entries hold nothing that it could start from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from embench.interfaces.units import Units
from embench.leaderboard.withheld import redact_scores
from embench.records.predictions import MODEL
from embench.records.record import Record, read_record
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate
from embench.statistics.joined import Joined

from .boards import TARGET, Layout, control, draw_labels

BRUTE, LATTICE = 16, 40
"""The largest folds whose labelings are tried one by one, and that lattice reduction is tried on."""
CANDIDATES = 24


def told(board: Path, layout: Layout) -> dict[str, np.ndarray | None]:
    """Part of the attack -> its guesses."""
    entries = [read_record(path.parent) for path in sorted(board.glob("*/run.yaml"))]
    return {name: part(entries, layout) for name, part in PARTS.items()}


def by_equations(entries: list[Record], layout: Layout) -> np.ndarray | None:
    """The Brier score of a fold is one equation about its labels, for each row whose predictions are known."""
    guess, solved = np.ones(len(layout.units)), False
    place = {unit.id: i for i, unit in enumerate(layout.units)}
    for seed, fold in itertools.product(layout.folds, range(max(map(len, layout.folds.values())))):
        known = []
        for of in entries:
            p = of.predictions
            mine = (p["method"] == MODEL) & (p["seed"] == seed) & (p["fold"] == fold)
            brier = [
                row["brier"]
                for row in of.scores.get("folds", [])
                if (row["method"], row["seed"], row["fold"]) == (MODEL, seed, fold)
            ]
            if mine.any() and brier:
                known.append((p["unit"][mine], p["score"][mine], brier[0]))
        if not known:
            continue
        units = known[0][0]
        order = [np.argsort(names) for names, _, _ in known]
        scores = np.array([p[of] for (_, p, _), of in zip(known, order, strict=True)])
        # mean (p - y)^2 = s, and y^2 = y: sum (1 - 2 p) y = n s - sum p^2
        sums = np.array([len(units) * s for _, _, s in known]) - (scores**2).sum(1)
        y = None
        if len(units) <= BRUTE:
            y = _tried(1 - 2 * scores, sums)
        elif len(units) <= LATTICE and len(known) > 1:
            y = _reduced(1 - 2 * scores, sums)
        if y is not None:
            guess[[place[u] for u in np.sort(units).tolist()]] = y
            solved = True
    return guess if solved else None


def _tried(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """The labeling whose sums come nearest, of all."""
    every = (np.arange(2 ** weights.shape[1])[:, None] >> np.arange(weights.shape[1])) & 1
    return every[np.abs(every @ weights.T - sums).max(1).argmin()]


def _reduced(weights: np.ndarray, sums: np.ndarray) -> np.ndarray | None:
    """A labeling that fulfils all equations, by a short vector of their lattice (Coster et al. 1992)."""
    n = weights.shape[1]
    scale = 10.0**8
    basis = np.zeros((n + 1, n + 1 + len(sums)), dtype=object)
    for i in range(n):
        basis[i, i] = 2
        basis[i, n + 1 :] = [round(float(w) * scale) for w in weights[:, i]]
    basis[n, : n + 1] = 1
    basis[n, n + 1 :] = [round(float(s) * scale) for s in sums]
    for row in lll(basis):
        if abs(row[n]) == 1 and all(abs(x) == 1 for x in row[:n]):
            y = (1 - np.array([int(x) * int(row[n]) for x in row[:n]])) // 2
            for labels in (y, 1 - y):
                if np.abs(weights @ labels - sums).max() < n / scale:
                    return labels
    return None


def lll(basis: np.ndarray, delta: float = 0.99) -> np.ndarray:
    """The basis (rows of whole numbers), reduced (Lenstra, Lenstra & Lovasz 1982) with floating-point projections."""
    b = basis.copy()
    n = len(b)
    star, mu, size = np.zeros((n, b.shape[1])), np.zeros((n, n)), np.zeros(n)

    def project(k: int) -> None:
        v = b[k].astype(float)
        star[k] = v
        for _ in range(2):  # twice is enough
            part = star[:k] @ star[k] / size[:k]
            star[k] -= part @ star[:k]
        mu[k, :k] = star[:k] @ v / size[:k]
        size[k] = star[k] @ star[k]

    project(0)
    k = 1
    while k < n:
        project(k)
        for _ in range(20):
            changed = False
            for j in range(k - 1, -1, -1):
                q = round(mu[k, j])
                if q:
                    b[k] = b[k] - q * b[j]
                    mu[k, :j] -= q * mu[j, :j]
                    mu[k, j] -= q
                    changed = True
            project(k)
            if not changed:
                break
        if size[k] >= (delta - mu[k, k - 1] ** 2) * size[k - 1]:
            k += 1
        else:
            b[[k - 1, k]] = b[[k, k - 1]]
            project(k - 1)
            k = max(k - 1, 1)
    return b


def by_draws(entries: list[Record], layout: Layout) -> np.ndarray | None:
    """The decisions of `prior` are drawn from a known seed: its accuracy says how many of them are right."""
    number = entries[0].scores["confound_only"].get("prior", {}).get(TARGET.name, {}).get("accuracy")
    if number is None or "mean" not in number:
        return None
    votes = np.zeros(len(layout.units))
    for seed, folds in layout.folds.items():
        for _, test in folds:
            votes[test] += 2.0 * np.random.default_rng(seed).choice(2, len(test), p=[0.5, 0.5]) - 1
    return (votes * (number["mean"] - 0.5) > 0).astype(int)


def by_candidates(entries: list[Record], layout: Layout) -> np.ndarray | None:
    """Of labelings as such a dataset may have them, the one under which a control that looks at no signal would have
    the primary metric nearest to the published one."""
    primary_metric = entries[0].scores["primary_metrics"][TARGET.name]
    published = entries[0].scores["confound_only"].get("stimulus_mean", {}).get(TARGET.name, {}).get(primary_metric, {})
    if "mean" not in published:
        return None
    rng = np.random.default_rng(1)
    candidates = [draw_labels(rng, layout) for _ in range(CANDIDATES)]
    gaps = [abs(_headline(primary_metric, layout, y) - published["mean"]) for y in candidates]
    return candidates[int(np.argmin(gaps))]


def by_differences(
    records: list[Record], whole: Layout, fewer: Layout, y: np.ndarray, hidden: np.ndarray
) -> np.ndarray:
    """(m,) guesses of the `hidden` labels, of units that only the first of two entries tested: of labelings as such
    subjects may have them, the one whose control without a signal comes nearest to both published primary metrics. All
    other labels are known."""
    name, rng = records[0].scores["primary_metrics"][TARGET.name], np.random.default_rng(2)
    published = [
        redact_scores(each.scores)["confound_only"]["stimulus_mean"][TARGET.name][name].get("mean", math.nan)
        for each in records
    ]
    apart = published[0] - published[1] + _headline(name, fewer, y[~hidden])
    candidates = []
    for _ in range(CANDIDATES):
        labels = y.copy()
        labels[hidden] = draw_labels(rng, whole)[hidden]
        candidates.append(labels)
    gaps = [abs(_headline(name, whole, labels) - apart) for labels in candidates]
    return candidates[int(np.argmin(np.nan_to_num(gaps, nan=math.inf)))][hidden]


def _headline(name: str, layout: Layout, y: np.ndarray) -> float:
    """What `stimulus_mean` would score if these were the labels."""
    answers: dict[int, dict[int, Units]] = {}
    for seed, fold, units in layout.joined:
        test = layout.folds[seed][fold][1]
        order = np.argsort(layout.columns["unit"][test])  # that of `joined`
        score, decision = control(layout, "stimulus_mean", y, seed, fold)
        answered = replace(units, y_true=y[test][order], score=score[order], decision=decision[order])
        answers.setdefault(seed, {})[fold] = answered
    found, _ = estimate(name, Joined(answers), TARGET, layout.jackknife)
    return found.mean if isinstance(found, Estimate) else math.inf


PARTS: Mapping[str, Callable[[list[Record], Layout], np.ndarray | None]] = {
    "equations": by_equations,
    "draws": by_draws,
    "candidates": by_candidates,
}
