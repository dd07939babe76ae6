"""Verdicts of `adjusted` on published rows, computed again from arrays: `python -m bench.adjusted.recompute
wearable_stress`.

Scores, labels, folds and Z are given; the rest is written from docs/why/adjusted-methods.md and docs/why/recompute.md.
Exits with 1 if a largest difference from embench is above 1e-9. Scores x are (S, n): S seeds, n labelled units of P
subjects in G groups.
"""

import sys

import numpy as np
from scipy.stats import t as student

from bench.adjusted import arguments
from bench.adjusted.study import Study, read_study
from bench.adjusted.verdicts import CONFOUND_LEVELS, Judge

LEVELS = {"movement": ["local"], "protocol_phase": ["local", "registered"]}
LEVELS |= {f"{level}_signal_quality": [*blocks, "contact"] for level, blocks in LEVELS.items()}
QUANTITIES = "primary metric", "mean difference of the rest", "partial correlation", "share left"


def standardised(x: np.ndarray, study: Study) -> np.ndarray:
    out = x.astype(float)
    for s in range(len(x)):
        for parts in (study.folds[s, study.subject], study.subject):
            for own in (parts == part for part in np.unique(parts)):
                out[s, own] = (out[s, own] - out[s, own].mean()) / (out[s, own].std() + 1e-9)
    return np.clip(out, -4, 4)


def left(values: np.ndarray, z: np.ndarray, fold: np.ndarray) -> np.ndarray:  # of (n, m), by z (n, k) and fold (n,)
    rest = np.full(values.shape, np.nan)
    for tests in (fold == f for f in np.unique(fold)):
        known = z[~tests]
        weights = np.linalg.solve(known.T @ known + 100 * np.eye(z.shape[1]), known.T @ values[~tests])
        rest[tests] = values[tests] - z[tests] @ weights
    return rest


def groups_of(study: Study) -> np.ndarray:  # (P, G), 1 where a subject is of a group
    names = [study.cohort.groups[name] for name in study.names.tolist()]
    return 1.0 * (np.array(names)[:, None] == np.unique(names))


def allowance(a: np.ndarray, study: Study, v: float) -> float:  # A of docs/why/recompute.md, of a (S, P)
    known, of = np.isfinite(a).all(1), groups_of(study)
    together = study.folds[known][:, :, None] == study.folds[known][:, None]
    free = of.T @ together @ of == 0  # t_sgh
    share, d = free.mean(0), (a @ of)[known] - (a @ of)[known].mean(0)
    m = (free - share) ** 2
    if not m.any():
        return 0.0
    z = (m * d[:, :, None] * d[:, None]).sum(0) * (1 - np.eye(len(share)))
    f = (share**2).sum() / (m**2).sum()
    most = (share**2).sum() / m.sum() * (d**2).sum()
    return min(max(f * z.sum() + f * np.sqrt(2 * (z**2).sum()), 0.0), most, 2 * v)


def interval(value: float, v: float, groups: int, shared: float, add_one: bool) -> np.ndarray:  # value, low, high
    centre, t = value, student.ppf(0.975, groups - 1)
    if add_one:
        centre = (groups * value + 0.5) / (groups + 1)
        v = ((groups - 1) * v + (value - 0.5) ** 2 / (groups + 1)) / (groups + 1)
    ends = centre + t * np.sqrt(v + shared) * np.array([-1, 1])
    return np.array([value, *(ends.clip(0, 1) if add_one else ends)])


def won(x: np.ndarray, study: Study, s: int, p: int, graded: bool) -> list[np.ndarray]:  # i, j, c (i, j)
    i, j = (np.flatnonzero((study.subject == p) & (study.y == label)) for label in (1, 0))
    tie = 1e-9 * np.ptp(x[s, study.folds[s, study.subject] == study.folds[s, p]])
    gap = x[s, i][:, None] - x[s, j]
    return [i, j, gap if graded else (gap > tie) + 0.5 * (np.abs(gap) <= tie)]


def auroc_crossed_matched(x: np.ndarray, study: Study, graded: bool = False) -> np.ndarray:
    def enough(n: np.ndarray) -> bool:  # 200 quadruples of 10 subjects in 10 pairs; each stands in n (P, P) twice
        return n.sum() >= 400 and n.any(0).sum() >= 10 and (n > 0).sum() >= 20

    cell, seeds, people = np.floor(study.start / study.length_s + 1e-6).astype(int), len(x), len(study.names)
    near = (np.abs(study.session_s[:, None] - study.session_s) <= 60) & ~np.eye(people, dtype=bool)
    pooled, a, mates = np.zeros((2, people, people)), np.full((seeds, people), np.nan), []
    for s in range(seeds):
        table = np.zeros((2, people, cell.max() + 1, cell.max() + 1))  # W and K
        for p in range(people):
            i, j, c = won(x, study, s, p, graded)
            apart = cell[i][:, None] != cell[j]
            np.add.at(table[:, p], (slice(None), cell[i][:, None], cell[j]), [c * apart, apart])
        whole = np.einsum("tpkl,qlk->tpq", table, table[1], optimize=True) * near  # w and n
        a[s] = whole[0].sum(1) / whole[1].sum() if enough(whole[1]) else np.nan
        mates.append(whole * (study.folds[s][:, None] == study.folds[s]))
        pooled += mates[-1] if enough(mates[-1][1]) else 0
    kept = [of == 0 for of in groups_of(study).T if pooled[1][of > 0].any()]
    parts = np.array([np.divide(*pooled[:, others][:, :, others].sum((1, 2))) for others in kept])
    v = (len(parts) - 1) / len(parts) * ((parts - parts.mean()) ** 2).sum()
    even = not graded and all(np.allclose(w + w.T, n, rtol=0, atol=1e-6) for w, n in mates)
    shared = 0.0 if even else allowance(a, study, v)
    return interval(np.divide(*pooled.sum((1, 2))), v, len(parts), shared, add_one=not graded)


def partial_correlation(x: np.ndarray, y: np.ndarray, study: Study) -> np.ndarray:  # of what is left of both
    products = x * y / np.sqrt((x**2).mean() * (y**2).mean())
    by_seed = np.array([[own[study.subject == p].mean() for p in range(len(study.names))] for own in products])
    values = by_seed.mean(0)
    sums = ((values - values.mean()) / len(values)) @ groups_of(study)
    v = len(sums) / (len(sums) - 1) * (sums**2).sum()
    return interval(values.mean(), v, len(sums), allowance(by_seed / len(values), study, v), add_one=False)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10, help="of so many rows, evenly spread over the list")
    chosen = parser.parse_args()
    judge = Judge(study := read_study(chosen.dataset, chosen.data_root))
    rows = [list(study.rows.values())[k] for k in np.linspace(0, len(study.rows) - 1, chosen.rows).astype(int)]
    x, said = [standardised(raw, study) for raw in rows], [judge.verdicts(raw, CONFOUND_LEVELS) for raw in rows]
    own, alike, gaps = [auroc_crossed_matched(raw, study) for raw in rows], [], []
    for level, blocks in LEVELS.items():
        z = [np.hstack([held.blocks[name][judge.at] for name in blocks]) for held in judge.held.values()]
        both = [np.column_stack([*(scores[s] for scores in x), study.y]) for s in range(len(z))]
        rests = [left(both[s], z[s], study.folds[s, study.subject]) for s in range(len(z))]
        *of_rows, y = np.moveaxis(np.array(rests), 2, 0)
        for k, rest in enumerate(of_rows):
            ours = [own[k], auroc_crossed_matched(rest, study, True), partial_correlation(rest, y, study)]
            share, theirs = (rest**2).sum() / (x[k] ** 2).sum(), said[k][1][level]
            associated = ours[0][1] > 0.5 and ours[1][1] > 0 and ours[2][1] > 0 and 0.05 <= share <= 1.25
            alike.append((associated == theirs.associated, associated))
            found = [[e.mean, e.low, e.high] for e in (said[k][0], theirs.score, theirs.partial_r)]
            gaps.append([*np.abs(np.subtract(ours, found)).max(1), abs(share - theirs.share)])
    (agree, positive), largest = np.sum(alike, 0), np.max(gaps, 0)
    print(f"{agree} of {len(alike)} verdicts on {len(rows)} rows agree; {positive} are *yes*")
    print(*(f"{what}: largest difference {gap:.1e}" for what, gap in zip(QUANTITIES, largest, strict=True)), sep="\n")
    sys.exit(int(agree < len(alike) or not largest.max() <= 1e-9))


if __name__ == "__main__":
    main()
