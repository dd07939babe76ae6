"""Recomputes the scores of an entry, or of a run, from its files: python docs/recompute.py FOLDER

It needs numpy, and nothing of embench; docs/why/recompute.md has the formulas. The last line says how many scores agree
with `scores.json`, or why none can be recomputed. It exits with 1 if one disagrees.
"""

import json
import re
import sys
import warnings
from pathlib import Path

import numpy as np

CROSSED = ("crossed", "crossed_time", "crossed_matched", "crossed_moment")
KNOWN = (
    "auroc_within",
    "concordance_within",
    *(f"{share}_{of}" for share in ("auroc", "concordance") for of in CROSSED),
)
FILES = ("predictions.csv.gz", "labels.csv.gz", "folds.csv")

# A seed is (S, Y, p, fold, cell, film, t): scores and labels (classes, n), and (n,) each; `t` is the start of a unit of
# values, 0 of classes. `of` (P, G): subjects in groups.
# An estimate is [score, parts, adds, without] and a factor: the parts (groups,) have the variance factor * sum((parts -
# mean)^2), groups add `adds` (seeds, groups), and `without` (stimuli,) is the score without each, if it may vary, too.


def comparisons(S, Y, p, fold, step):  # of units i and j of a subject and fold: is i's label higher, and what it wins
    for k, a, f in np.ndindex(len(Y), p.max() + 1, fold.max() + 1):
        rows = np.flatnonzero((p == a) & (fold == f))
        higher = np.subtract.outer(Y[k, rows], Y[k, rows]) >= step * (1 - 1e-9)
        if higher.any():
            i, j = rows[higher.any(1)], rows[higher.any(0)]
            of_fold, one, other = S[:, fold == f], S[k, i][:, None], S[k, j]
            gap, tie = one - other, 1e-9 * np.ptp(of_fold[np.isfinite(of_fold)])
            won = (gap > tie) + 0.5 * (np.abs(gap) <= tie)  # 0 where a unit without a prediction is lost: NaN
            tied = (np.isinf(one) | np.isinf(other)) & ~np.isnan(one) & ~np.isnan(other)
            yield k, a, f, i, j, higher[np.ix_(higher.any(1), higher.any(0))], np.where(tied, 0.5, won)


def inside(seeds, of, films, step):  # auroc_within and concordance_within
    size = len(seeds), len(seeds[0][1]), len(of), 1 + max(s[3].max() for s in seeds)
    each = np.full((1 + len(films), *size), np.nan)  # of all units, and without those of each stimulus
    for s, (S, Y, p, fold, _, film, _) in enumerate(seeds):
        for k, a, f, i, j, higher, won in comparisons(S, Y, p, fold, step):
            one, other = (1.0 * (films[:, None] == film[units]) for units in (i, j))
            by_film = (one @ counts @ other.T for counts in (won * higher, 1.0 * higher))  # (films, films)
            left = [n.sum() - n.sum(0) - n.sum(1) + n.diagonal() for n in by_film]
            each[:, s, k, a, f] = won[higher].mean(), *left[0] / left[1]
    values = np.nanmean(np.nanmean(each, 2), -1)  # (1 + films, seeds, subjects)
    value, by_seed = np.nanmean(values[0], 0), np.nan_to_num(values[0])
    known, score = np.isfinite(value), np.nanmean(value)
    if not known.any():
        return None, None
    parts = ((value - score)[known] @ of[known])[of[known].any(0)] / known.sum()
    without = np.array([np.nanmean(np.nanmean(left, 0)) for left in values[1:]])
    return [score, parts, by_seed @ of / known.sum(), without], len(parts) / max(1, len(parts) - 1)


def counted(places, won, crosses):  # in each place that some pairs have and others cross: won, pairs, crossing pairs
    known = np.intersect1d(*map(np.concatenate, (places, crosses)))
    ones = [np.ones_like(row) for row in won]
    for where, weights in ((places, won), (places, ones), (crosses, ones)):
        used = [np.isin(row, known) for row in where]
        at = (np.searchsorted(known, row[here]) for row, here in zip(where, used, strict=True))
        yield np.array([np.bincount(x, w[here], len(known)) for x, w, here in zip(at, weights, used, strict=True)])


def crossed(seeds, of, near, least, step, whole):  # the others; `near` (P, P): who is compared with whom
    def enough(t):  # the classes with 200 quadruples of 10 subjects; if matched, in 10 pairs of subjects
        pairs, many = t[:, 1], (0, 0, 0) if whole else (400, 10, least)
        sizes = pairs.sum((1, 2)), (pairs.sum(2) > 0).sum(1), (pairs > 0).sum((1, 2))
        return t[np.all([size >= some for size, some in zip(sizes, many, strict=True)], axis=0) & (sizes[0] > 0)]

    def few(pairs):  # whether the distinct comparisons of all seeds are too few, with scoring 4: `whole` is the least
        sizes = pairs.sum(), (pairs.sum(1) > 0).sum(), (pairs > 0).sum()
        return any(size < some for size, some in zip(sizes, (2 * whole, 10, least), strict=True))

    # Comparisons inside p (row) that those inside q (column) cross, in p's fold, or in any: won, and all.
    mates, free = np.zeros((2, len(seeds), len(seeds[0][1]), 2, *near.shape))
    for s, (S, Y, p, fold, cell, _, t) in enumerate(seeds):
        tables, size = [[] for _ in Y], cell.max() + 1
        for k, a, f, i, j, higher, won in comparisons(S, Y, p, fold, step):
            here = higher & np.not_equal.outer(cell[i], cell[j])
            # The first half holds pairs whose i came later: those whose j came later cross them in the other half.
            half = np.less.outer(t[i], t[j])
            place = np.add.outer(cell[i] * size, cell[j]) + half * size**2
            crosses = np.add.outer(cell[i], cell[j] * size) + (half ^ t.any()) * size**2
            tables[k].append((a, f, place[here], won[here], crosses[here]))
        for k, of_class in enumerate(tables):
            if of_class:
                a, f, *pairs = zip(*of_class, strict=True)
                a, f, (won, number, crossing) = np.array(a), np.array(f), counted(*pairs)
                for n, of_both in enumerate((won @ crossing.T, number @ crossing.T)):
                    np.add.at(mates[s, k, n], np.ix_(a, a), of_both * np.equal.outer(f, f) * near[np.ix_(a, a)])
                    np.add.at(free[s, k, n], np.ix_(a, a), of_both * near[np.ix_(a, a)])
    total = sum(t for t in mates if len(enough(t)))
    if not len(pooled := enough(total) if np.any(total) else ()) or (whole and few(mates[:, :, 1].max((0, 1)))):
        return None, None
    involved = total[:, 1].any((0, 2)) @ of > 0
    kept = [of.any(1), *~of.T[involved]]
    score, *parts = [np.nanmean([W[k][:, k].sum() / K[k][:, k].sum() for W, K in pooled]) for k in kept]
    adds = [np.mean([W.sum(1) / K.sum() for W, K in enough(t)] or [[np.nan] * len(of)], 0) @ of for t in free]
    if np.allclose(mates[:, :, 0] + mates[:, :, 0].swapaxes(-1, -2), mates[:, :, 1], rtol=0, atol=1e-6):
        adds = np.zeros_like(adds)  # it is decided by the stimulus, or by the time
    return [score, np.array(parts), np.array(adds), np.zeros(0)], (len(parts) - 1) / len(parts)


def interval(score, parts, adds, without, factor, trained, scoring):  # the score and the ends of its interval
    df, variance, shared, centre = len(parts) - 1, factor * ((parts - parts.mean()) ** 2).sum(), 0.0, score
    if df < 1:
        return np.array([score, np.nan, np.nan])
    if len(without) > 1:
        df, variance = min(df, len(without) - 1), variance + (len(without) - 1) * without.var()
    shared = variance if scoring == 4 and len(adds) == 1 else shared
    adds, trained = (x[np.isfinite(adds).all(1)] for x in (adds, trained))
    share, change = trained.mean(0), adds - adds.mean(0)
    if (moved := (trained - share) ** 2).any():
        products = (moved * change[:, :, None] * change[:, None]).sum(0) * (1 - np.eye(len(share)))
        covariance = (products.sum() + np.sqrt(2 * (products**2).sum())) / (moved**2).sum()
        shared = min((share**2).sum() * np.clip(covariance, 0, (change**2).sum() / moved.sum()), 2 * variance)
    n = len(parts)  # as if one more group scored .5
    centre = (n * score + 0.5) / (n + 1)
    variance = ((n - 1) * variance + (score - 0.5) ** 2 / (n + 1)) / (n + 1)
    phi = np.linspace(0, np.pi / 2, 10**6)  # t = sqrt(df) tan(phi), where phi has the density cos(phi)^(df - 1)
    area = np.cumsum(np.cos(phi[1:]) ** (df - 1) + np.cos(phi[:-1]) ** (df - 1))
    half = np.sqrt(df * (variance + shared)) * np.tan(np.interp(0.95 * area[-1], area, phi[1:]))
    ends = np.array([centre - half, centre + half])
    return np.array([score, *ends.clip(0, 1)])


def estimate(x, name, group_of, manifest):  # of a method's rows x; and `trained`, for the interval
    S = [np.where(v == "", "nan", v).astype(float) for k, v in x.items() if k.startswith("score")]
    S = np.array([v for v in S if np.isfinite(v).any()])
    values = name.startswith("concordance")
    Y = x["label"][None] if values else (x["label"][None] == (np.arange(len(S))[:, None] if len(S) > 1 else 1)) * 1.0
    step = (
        float(re.search(rf"\n    {re.escape(x['target'][0])}: (.*)", manifest.partition("\n  steps:")[2])[1])
        if values
        else 1
    )
    subjects, p = np.unique(x["subject"], return_inverse=True)
    of = np.array([group_of[s] for s in subjects])[:, None] == np.unique([group_of[s] for s in subjects])
    spans = [unit.rsplit(":", 1) for unit in set(x["unit"])]
    length = np.median([-np.subtract(*map(int, span.split("-"))) / 1000 for _, span in spans])
    start, cell = np.where(x["start_s"] == "", "nan", x["start_s"]).astype(float), x["stimulus"]
    if name.endswith("_moment"):
        begins = np.array([int(unit.rsplit(":", 1)[1].split("-")[0]) for unit in x["unit"]]) / 1000
        cell = np.char.add(np.char.add(cell, " "), np.floor(begins / length + 1e-6).astype(str))
    if name.endswith(("_time", "_matched")):
        if np.isnan(start).any() or len({recording for recording, _ in spans}) == len(spans):
            return None, None, None
        cell = np.floor(start / length + 1e-6)
    fold, cell = (np.unique(v, return_inverse=True)[1] for v in (x["fold"], cell))
    t = np.nan_to_num(start) * values
    seeds = [[v[..., x["seed"] == s] for v in (S, Y, p, fold, cell, x["stimulus"], t)] for s in np.unique(x["seed"])]
    tested = [[of[p[fold == f]].any(0) for f in np.unique(fold)] for _, _, p, fold, *_ in seeds]
    trained = np.array([1.0 - np.any([t[:, None] & t for t in folds], axis=0) for folds in tested])
    if name.endswith("_within"):
        films = np.unique(x["stimulus"])
        films = films if "\n  design: shared_stimuli" in manifest and len(films) > 1 else films[:0]
        return *inside(seeds, of, films, step), trained
    sessions = [re.search(rf"\n    '?{re.escape(s)}'?: ([\d.]+)\n|$", manifest)[1] for s in subjects]
    apart, matched = np.abs(np.subtract.outer(*[np.array(sessions, float)] * 2)), name.endswith("_matched")
    near = ~np.eye(len(of), dtype=bool) & ((apart <= 60) | (not matched))
    whole = (25 if name.endswith("_crossed") else 200) if scoring_of(manifest) == 4 else 0
    return *crossed(seeds, of, near, 20 * matched, step, whole), trained


def scoring_of(manifest):  # the version of the rules by which the record is judged
    return int([*re.findall(r"\n    scoring: (\d)", manifest), 4][0])


def read(folder, manifest):  # method -> its labelled rows, as columns; subject -> group
    def arrays(path, prefix):  # the first bytes of all numbers, then the second ..; decisions have one
        found = {k: np.ascontiguousarray(v.T).view(f"<f{len(v)}") for k, v in np.load(path).items() if len(v) > 1}
        return {prefix + k: v[:, 0].astype(str) for k, v in found.items()}

    entry = dict(re.findall(r"\n  (\w+): '?(\w+)", manifest.partition("\nentry:")[2]))
    shared = {k: folder.parents[1] / "shared" / f"{k}-{key}" for k, key in entry.items()}
    paths = [f"{shared[k]}.csv.gz" for k in ("rows", "labels", "folds")] if entry else [folder / f for f in FILES]
    tables = (np.loadtxt(path, str, None, ",", quotechar='"', encoding="utf-8") for path in paths)
    rows, labels, folds = ({column[0]: column[1:] for column in table.T} for table in tables)
    of, to = (np.transpose([table[k] for k in ("unit", "target", "seed")]) for table in (labels, rows))
    known = {tuple(key): label for *key, label in np.c_[of, labels["label"]].tolist()}
    rows["label"] = np.array([known.get((u, t, s), known.get((u, t, ""), "nan")) for u, t, s in to.tolist()], float)
    if entry:
        numbers = arrays(folder / "predictions.npz", "model/") | arrays(f"{shared['confound_only']}.npz", "")
        methods = {k.split("/")[0]: dict(rows) for k in numbers}
        for k, v in numbers.items():
            methods[k.split("/")[0]][k.split("/")[1]] = v
    else:
        if (owed := rows["method"] == "unpredicted").any():  # each comparison of theirs counts 0, or .5
            counts = np.where(rows["score"] == "0.5", "inf", "nan")
            rows |= {k: np.where(owed, counts, v) for k, v in rows.items() if k.startswith("score")}
            rows["method"] = np.where(owed, "model", rows["method"])
        methods = {m: {k: v[rows["method"] == m] for k, v in rows.items()} for m in set(rows["method"])}
    return methods, dict(np.c_[folds["subject"], folds["group"]].tolist())


def why_not(folder, metrics):  # why nothing can be recomputed, or None
    if (folder / "labels.hmac").exists():
        return "sealed, predictions and labels are not public. Holders of the data use `embench leaderboard verify`"
    if others := {*metrics.values()} - {*KNOWN}:
        return f"the primary metric {', '.join(sorted(others))} is none of the scores that this script knows"
    return None


def main(folder):  # whether all agrees
    manifest, scores = ((folder / name).read_text(encoding="utf-8") for name in ("run.yaml", "scores.json"))
    scores, agree, n = json.loads(scores), 0, 0
    primary = scores["primary_metrics"]
    if reason := why_not(folder, primary):
        print(f"not recomputed: {reason}")
        return True
    methods, group_of = read(folder, manifest)
    for target, metric in primary.items():
        used = {m: (x["target"] == target) & np.isfinite(x["label"]) for m, x in methods.items()}
        of = {m: {k: v[used[m]] for k, v in x.items()} for m, x in methods.items()}
        for name in dict.fromkeys([metric, f"{metric.partition('_')[0]}_within"]):
            ours, factor, trained = estimate(of["model"], name, group_of, manifest)
            recorded = scores["scores"][target][name]
            there = np.array([recorded.get(k, np.nan) for k in ("mean", "low", "high")], float)
            found = interval(*ours, factor, trained, scoring_of(manifest)) if ours else np.array([np.nan] * 3)
            same = np.allclose(found, there, rtol=0, atol=1e-6, equal_nan=True)
            text = "{:.6f} [{:.6f}, {:.6f}]".format(*found) if ours else recorded.get("undefined")
            print(target, name, text, *() if same else (f"DISAGREES with {recorded}",))
            agree, n = agree + same, n + 1
    print(f"{agree} of {n} agree with scores.json to 1e-6")
    return agree == n


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # a mean of nothing is NaN, and is left out
    sys.exit(not main(Path(sys.argv[1]).resolve()))
