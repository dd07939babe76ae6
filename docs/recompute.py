"""Recomputes an entry's headlines and their intervals from its files: python -W ignore docs/recompute.py FOLDER"""

import json
import re
import sys
from pathlib import Path

import numpy as np


def own(S, Y, p, fold, cell, P, F):  # (classes, 2, P, F, C, C): positive units in one cell over negative in another,
    tables = np.zeros((len(S), 2, P, F, cell.max() + 1, cell.max() + 1))  # won, and how many
    for k, a, f in np.ndindex(len(S), P, F):
        up, down = (np.flatnonzero((p == a) & (fold == f) & (Y[k] == one)) for one in (True, False))
        gap, at = S[k, up][:, None] - S[k, down], (cell[up][:, None], cell[down])
        counts, tie = (at[0] != at[1]) | (cell.max() == 0), 1e-9 * np.ptp(S[:, fold == f]) if gap.size else 0
        np.add.at(tables[k, :, a, f], np.s_[:, *at], [counts * ((gap > tie) + 0.5 * (np.abs(gap) <= tie)), counts])
    return tables


def enough(t, least):  # the classes with 200 quadruples of 10 subjects; if matched, in 10 pairs of subjects
    return t[(t[:, 1].sum((1, 2)) >= 400) & ((t[:, 1].sum(2) > 0).sum(1) >= 10) & ((t[:, 1] > 0).sum((1, 2)) >= least)]


def recompute(name, group, near, seed, *units):  # the score and the ends of its interval
    def crossed(tables):  # (classes, 2, P, P): comparisons inside p (row) that those inside q (column) cross
        return near * np.array([t.reshape(2, P, -1) @ t[1].swapaxes(-1, -2).reshape(P, -1).T for t in tables])

    P, F, groups, least = len(group), units[3].max() + 1, np.arange(group.max() + 1), 20 * name.endswith("matched")
    by_seed = [[x[..., seed == s] for x in units] for s in np.unique(seed)]
    tests = np.array([[np.isin(groups, group[p[fold == f]]) for f in range(F)] for *_, p, fold, _ in by_seed])
    tables = [own(*u[:4], u[4] * ("crossed" in name), P, F) for u in by_seed]
    if name == "auroc_within":
        adds = np.array([np.nanmean(np.nanmean(t[:, 0] / t[:, 1], 0)[..., 0, 0], 1) for t in tables])
        known, value = np.isfinite(adds).any(0), np.nanmean(adds, 0)
        score, adds, df = value[known].mean(), np.nan_to_num(adds) / known.sum(), len(np.unique(group[known])) - 1
        variance = (df + 1) / df * (np.bincount(group[known], (value - score)[known] / known.sum()) ** 2).sum()
    else:
        mates = [crossed(t) for t in tables]
        pooled = enough(sum(t for t in mates if len(enough(t, least))), least)
        kept = [group != g for g in (-1, *groups) if g < 0 or pooled[:, 1, group == g].any()]
        score, *without = [np.mean([W[k][:, k].sum() / K[k][:, k].sum() for W, K in pooled]) for k in kept]
        df, variance = len(without) - 1, (len(without) - 1) * np.var(without)
        free = [enough(crossed(t.sum(3, keepdims=True)), least) for t in tables]
        adds = np.array([np.nanmean([P * [np.nan], *(W.sum(1) / K.sum() for W, K in t)], axis=0) for t in free])
        adds *= not all(np.allclose(t[:, 0] + t[:, 0].swapaxes(1, 2), t[:, 1], rtol=0, atol=1e-6) for t in mates)
    adds = (adds @ (group[:, None] == groups))[seeds := np.isfinite(adds).all(1)]
    trained = 1.0 - (tests[seeds, :, :, None] & tests[seeds, :, None]).any(1)
    share, change = trained.mean(0), adds - adds.mean(0)
    if (moved := (trained - share) ** 2).any():
        products = (moved * change[:, :, None] * change[:, None]).sum(0) * (1 - np.eye(len(groups)))
        covariance = (products.sum() + np.sqrt(2 * (products**2).sum())) / (moved**2).sum()
        variance += min((share**2).sum() * np.clip(covariance, 0, (change**2).sum() / moved.sum()), 2 * variance)
    phi = np.linspace(0, np.pi / 2, 10**6)  # t = sqrt(df) tan(phi), where phi has the density cos(phi)^(df - 1)
    area = np.cumsum(np.cos(phi[1:]) ** (df - 1) + np.cos(phi[:-1]) ** (df - 1))
    return score + np.sqrt(df * variance) * np.tan(np.interp(0.95 * area[-1], area, phi[1:])) * np.array([0, -1, 1])


folder, files = Path(sys.argv[1]).resolve(), ["predictions.csv.gz", "labels.csv.gz", "folds.csv"]
manifest, scores = (folder / "run.yaml").read_text(), json.loads((folder / "scores.json").read_text())
shared = [f"../../shared/{k}-{of}.csv.gz" for k, of in re.findall(r"\n  (rows|labels|folds): '?(\w+)", manifest)]
tables = (np.loadtxt(folder / name, str, None, ",", quotechar='"', encoding="utf-8") for name in shared or files)
table, labels, folds = ({column[0]: column[1:] for column in file.T} for file in tables)
numbers = np.load(folder / "predictions.npz") if shared else {}  # the first bytes of all numbers, then the second ..
table |= {k: np.ascontiguousarray(v.T).view(f"<f{len(v)}")[:, 0].astype(str) for k, v in numbers.items() if k > "s"}
known = {("model", *of): y for *of, y in np.transpose([labels[k] for k in ("target", "unit", "seed", "label")])}
rows = np.transpose([table[k] for k in ("method", "target", "unit", "seed")])
table["label"] = np.array([known.get(tuple(row)) or known.get((*row[:3], "")) or "nan" for row in rows])
for target, name in [(t, n) for t, n in scores["headlines"].items() if "mean" in scores["scores"][t][n] and n != "ccc"]:
    x = {k: v[(table["target"] == target) & (table["label"] != "nan")] for k, v in table.items()}
    S = np.array([v for k, v in x.items() if k.startswith("score") and v[0] not in ("", "nan")], float)
    Y = x["label"].astype(float)[None] == (np.arange(len(S))[:, None] if len(S) > 1 else 1)
    subject, p = np.unique(x["subject"], return_inverse=True)
    group = np.unique([folds["group"][folds["subject"] == s][0] for s in subject], return_inverse=True)[1]
    T = np.array([re.search(rf"\n    '?{re.escape(s)}'?: ([\d.]+)\n|$", manifest)[1] for s in subject], float)
    near = ~np.eye(len(T), dtype=bool) & ((np.abs(T[:, None] - T) <= 60) | (name != "auroc_crossed_matched"))
    length = np.median([np.ptp(np.array(u.rsplit(":", 1)[1].split("-"), float)) / 1000 for u in set(x["unit"])])
    moment = np.floor(x["start_s"].astype(float) / length + 1e-6) if name[14:] else x["stimulus"]
    seed, fold, cell = (np.unique(of, return_inverse=True)[1] for of in (x["seed"], x["fold"], moment))
    print(target, name, *recompute(name, group, near, seed, S, Y, p, fold, cell).round(8))
