"""How much an interval must allow for subjects who train each other's models: `python -m tests.truth.allowance FOLDER`.

**The rule, written before any of these draws.** Candidates for what is added to the variance of a score (own: that of
the t interval over groups, or of the jackknife):

- `none`: nothing;
- `whole`: the variance between seeds, times the factor of `shared_variance`;
- `covariance`: what shows between seeds in pairs of subjects, who both leave the training set when they are tested
  together: the sum over pairs of the products of their deviations, scaled as the whole is; no less than 0 and no more
  than the whole;
- `upper`: the covariance and one standard error of it, within the same bounds.

A cell is a score, a model, a number of subjects and an effect. It fails where the 99 % binomial (Wilson) interval of
its coverage, of the value that these very models have on new subjects, lies outside 93 to 97 %; low where it lies
below. Taken for all scores is the candidate with fewest cells that fail low, then with fewest that fail high, then with
the smallest mean width. A test fails where the interval of its rate at .05 lies outside 3 to 7 %. Whatever is taken,
failing cells are named with their size.

Cells: 24 and 40 subjects; logistic regression (2,000 draws), forest and perceptron (500 draws each); effects of 0, .25
and .5 (`auroc_within` of .50, about .61 and .72); 3 seeds; folds as subject-independent-v2 deals them out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import stats
from tabulate import tabulate

from embench.interfaces.metric import Undefined
from embench.statistics.common import joined_on_common
from embench.statistics.estimates import contributions, estimate
from embench.statistics.intervals import leave_one_out
from embench.statistics.permutation import per_subject_contributions
from embench.statistics.significance import group_permutations

from .cohorts import (
    TARGET,
    cross_validated,
    draw_features,
    draw_labels,
    draw_lengths,
    forest,
    partitions,
    perceptron,
    predict,
    recorded,
    trained,
    worth,
)

MODELS = {"trained": (trained, 2000), "forest": (forest, 500), "perceptron": (perceptron, 500)}
SCORES = ("auroc_within", "auroc_crossed", "auroc_crossed_matched", "f1_weighted")
SEEDS, NEW_SUBJECTS, FIRST = 3, 500, 20261121
CANDIDATES = ("none", "whole", "covariance", "upper")


def moments(by_seed: np.ndarray, trains: np.ndarray) -> tuple[float, float, float]:
    """(whole, covariance, its standard error) of what groups add in each seed (S, G), where each is a subject, and of
    who trained for whom (S, G, G)."""
    share, deviation = trains.mean(0), by_seed - by_seed.mean(0)
    moved = (trains - share) ** 2
    whole = (share**2).mean() / trains.var(0, ddof=1).mean() * by_seed.var(0, ddof=1).sum()
    apart = ~np.eye(len(share), dtype=bool)
    products = (moved * deviation[:, :, None] * deviation[:, None, :]).sum(0)[apart]
    scale = (share**2)[apart].sum() / (moved**2)[:, apart].sum()
    return float(whole), float(scale * products.sum()), float(scale * np.sqrt(2 * (products**2).sum()))


def added(whole: np.ndarray, covariance: np.ndarray, error: np.ndarray) -> dict[str, np.ndarray]:
    """What each candidate adds."""
    return {
        "none": 0 * whole,
        "whole": whole,
        "covariance": np.clip(covariance, 0, whole),
        "upper": np.clip(covariance + error, 0, whole),
    }


def draws(models: str, n_subjects: int, effect: float) -> Iterator[dict[str, list[float]]]:
    """score -> [mean, own variance, df, truth, whole, covariance, its error, and of the difference to a method that
    reads another sensor of equal use: whole, covariance, error, mean square of its sign flips, share of flips that lie
    as far from 0 when shrunk by each candidate]."""
    rng = np.random.default_rng([FIRST, n_subjects, int(100 * effect), list(MODELS).index(models)])
    fit = MODELS[models][0]
    while True:
        lengths, y = draw_lengths(rng, n_subjects), draw_labels(rng, n_subjects)
        folds = partitions(rng, lengths, SEEDS)
        sensors = [draw_features(rng, y, effect) for _ in "ab"]
        fitted = [cross_validated(rng, x, y, folds, fit) for x in sensors]
        new = draw_labels(rng, NEW_SUBJECTS)
        truth = worth(fitted[0], draw_features(rng, new, effect), new)
        records = [
            recorded(name, predict(m, x, folds), y, folds, SCORES[0], lengths)
            for name, m, x in zip("ab", fitted, sensors, strict=True)
        ]
        joined = joined_on_common(records, TARGET, records[0].groups)
        jackknife = leave_one_out(joined[0].tested_subjects(), records[0].groups)
        trains = joined[0].trained(jackknife.subjects).astype(float)
        row: dict[str, list[float]] = {}
        for name in SCORES:
            found, _ = estimate(name, joined[0], TARGET, jackknife)
            if found is None or isinstance(found, Undefined) or found.error is None:
                continue
            one, other = (contributions(name, j, TARGET, jackknife) for j in joined)
            if not np.isfinite([one, other]).all():
                continue
            own = found.error**2 - (found.shared or 0.0)
            row[name] = [found.mean, own, found.df, truth[name], *moments(one, trains)]
            sums = [per_subject_contributions(name, j, TARGET, jackknife.subjects) for j in joined]
            if sums[0] is not None and sums[1] is not None:
                row[name] += _p_values(sums[0] - sums[1], *moments(one - other, trains))
        yield row


def _p_values(difference: np.ndarray, *shared: float) -> list[float]:
    """The p of the permutation test by each candidate, from what each subject adds to the difference (G,)."""
    flips = np.abs((1.0 - 2.0 * group_permutations(len(difference))) @ difference)
    own = (flips**2).mean()
    return [
        float((flips >= flips[0] / np.sqrt(1 + more / own) * (1 - 1e-9)).mean())
        for more in added(*np.array(shared)).values()
    ]


def table(folder: Path) -> str:
    """Coverage and rates of false findings in percent, with the mean width, of all cells in `folder`; those that fail
    are marked < or >."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        made = [json.loads(line) for line in path.read_text().splitlines()]
        for name in SCORES:
            known = [row[name] for row in made if name in row]
            if not known:
                continue
            mean, own, df, truth, *shared = np.array([row[:7] for row in known]).T
            cells = []
            for more in added(*shared).values():
                half = stats.t.ppf(0.975, df) * np.sqrt(own + more)
                cells.append(f"{_marked(np.abs(mean - truth) <= half, 0.93, 0.97)} ({2 * half.mean():.3f})")
            p = np.array([row[7:] for row in known])
            rates = [_marked(of < 0.05, 0.03, 0.07) for of in p.T] if p.size else [""] * 4
            rows.append([path.stem, name, len(known), f"{truth.mean():.3f}", *cells, *rates])
    headers = ["cell", "score", "draws", "truth", *CANDIDATES, *(f"p {name}" for name in CANDIDATES)]
    return tabulate(rows, headers, tablefmt="github")


def _marked(held: np.ndarray, low: float, high: float) -> str:
    """A share in percent, marked where its 99 % interval lies outside the bounds."""
    ends = stats.binomtest(int(held.sum()), len(held)).proportion_ci(0.99, "wilson")
    return f"{'<' if ends.high < low else '>' if ends.low > high else ''}{100 * held.mean():.1f}"


def main() -> None:
    """`FOLDER MODEL SUBJECTS EFFECT` draws one cell, adding to what is there; `FOLDER` alone prints the table."""
    folder, *cell = sys.argv[1:]
    if not cell:
        print(table(Path(folder)))
        return
    models, n_subjects, effect = cell[0], int(cell[1]), float(cell[2])
    times = MODELS[models][1]
    with (Path(folder) / f"{models} {n_subjects} {effect}.json").open("w") as file:
        for _, row in zip(range(times), draws(models, n_subjects, effect), strict=False):
            file.write(json.dumps(row) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
