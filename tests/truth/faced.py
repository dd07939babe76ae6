"""What a method knows of emotions that only knows films, and how often intervals say so: `python -m tests.truth.faced
50`.

Subjects and films as the synthesizer of FACED plants them, at the level of features: log band powers of each trial with
what estimating them from seconds of EEG adds, z-scored inside each subject. Films alone are planted (with subjects,
blocks and noise), or the emotions that subjects felt too. A linear discriminant analysis is trained and tested in the
folds of the protocols, and scored with the project's statistics.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from tabulate import tabulate

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Unit, Units
from embench.protocols import Protocol, load_protocol, partition
from embench.statistics.estimates import ScoreOrReason, estimate
from embench.statistics.intervals import leave_one_out
from embench.statistics.joined import Joined, shared_stimuli
from embench_plugins.datasets.faced.reader import Faced
from embench_plugins.datasets.faced.release import make_labels, name_recording, name_stimulus
from embench_plugins.datasets.faced.synthetic import draw

SUBJECTS, SEEDS = 30, 3
ESTIMATION = 0.2
"""What estimating a log power from some seconds of EEG adds, a standard deviation."""
EFFECTS = {"films alone": 0.0, "films and emotions": 1.0}
KNOWN, NEW = "subject-independent-v4", "faced-films-v1"
SCORED = (
    ("emotion", KNOWN, "auroc_within"),
    ("emotion", NEW, "auroc_within"),
    ("valence", KNOWN, "auroc_within"),
    ("valence", NEW, "auroc_within"),
    ("valence", KNOWN, "auroc_crossed"),
    ("own_emotion", KNOWN, "auroc_crossed"),
)
"""Target, protocol and score of what is proven."""
NAMES = tuple(" ".join(what) for what in SCORED)


def scores(effect: float, seed: int) -> dict[str, ScoreOrReason]:
    """The scores of one generated set, by the names of `SCORED`."""
    rows = draw(SUBJECTS, seed, effect)
    power = rows["power"].reshape(SUBJECTS, -1, rows["power"][0].size)
    power = power + ESTIMATION * np.random.default_rng([seed, 8]).standard_normal(power.shape)
    x = ((power - power.mean(1, keepdims=True)) / power.std(1, keepdims=True)).reshape(len(rows), -1)
    units = [_unit(row["person"], int(row["clip"]), int(row["order"])) for row in rows]
    targets = {target.name: target for target in Faced.card.targets}
    found: dict[str, ScoreOrReason] = {}
    for name, protocol, score in SCORED:
        target = targets[name]
        joined = _predicted(x, _labels(rows, target), units, target, load_protocol(protocol))
        jackknife = leave_one_out(joined.tested_subjects(), {}, shared_stimuli("shared_stimuli", joined))
        made, _ = estimate(score, joined, target, jackknife)
        assert made is not None
        found[f"{name} {protocol} {score}"] = made
    return found


class Rate(NamedTuple):
    """Of one score on many sets: its mean and standard deviation, half the mean length of its interval, and the shares
    of intervals that lie above .5, and below."""

    mean: float
    sd: float
    half: float
    above: float
    below: float


def rates(effect: float, times: int) -> dict[str, Rate]:
    """The scores of so many generated sets, by the names of `SCORED`."""
    drawn = [scores(effect, seed) for seed in range(times)]
    found = {}
    for name in NAMES:
        mean, low, high = np.array([_numbers(made[name]) for made in drawn]).T
        found[name] = Rate(mean.mean(), mean.std(), (high - low).mean() / 2, (low > 0.5).mean(), (high < 0.5).mean())
    return found


def _numbers(score: ScoreOrReason) -> tuple[float, float, float]:
    assert not isinstance(score, Undefined), score
    assert score.low is not None
    assert score.high is not None
    return score.mean, score.low, score.high


def _unit(person: str, clip: int, order: int) -> Unit:
    name = name_recording(person, clip)
    return Unit(f"{name}:0-60000", name, person, name_stimulus(clip), person, 0.0, 60.0, 120.0 * order, float(order))


def _labels(rows: np.ndarray, target: Target) -> np.ndarray:
    """(n,) the card's labels, NaN where there is none."""
    raw = (make_labels(int(row["clip"]), tuple(row["ratings"].tolist()))[target.label] for row in rows)
    found = [target.rule(label.values) for label in raw]
    return np.array([np.nan if value is None else value for value in found])


def _predicted(x: np.ndarray, y: np.ndarray, units: Sequence[Unit], target: Target, protocol: Protocol) -> Joined:
    """What is said of the units (n,) with features (n, F) and labels (n,), in the folds of a protocol."""
    at = {unit.id: row for row, unit in enumerate(units)}
    included = protocol.included_stimuli("faced")
    dealt = [unit for unit in units if included is None or unit.stimulus in included]
    seeds: dict[int, dict[int, Units]] = {}
    for seed in range(SEEDS):
        for fold in partition(protocol, "faced", dealt, seed):
            train, test = (
                [at[id_] for id_ in part if np.isfinite(y[at[id_]])] for part in ((*fold.train, *fold.val), fold.test)
            )
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x[train], y[train])
            score = np.zeros((len(test), target.n))
            score[:, model.classes_.astype(int)] = model.predict_proba(x[test])
            tested = [units[row] for row in test]
            subject, shown = (np.array([getattr(unit, name) for unit in tested]) for name in ("subject", "stimulus"))
            seeds.setdefault(seed, {})[fold.index] = Units(
                kind=target.kind,
                y_true=y[test],
                score=score if target.traits.has_score_per_class else score[:, 1],
                decision=score.argmax(1).astype(float),
                subject=subject,
                stimulus=shown,
                start_s=np.array([unit.start_s for unit in tested]),
                fold=np.full(len(test), fold.index),
                group=subject,
            )
    return Joined(seeds)


def tables(times: int) -> Iterator[str]:
    head = ["target, protocol, score", "mean", "SD over sets", "half an interval", "% above .5", "% below .5"]
    for what, effect in EFFECTS.items():
        rows = [
            [name, *(f"{value:.3f}" for value in rate[:3]), *(f"{100 * share:.0f}" for share in rate[3:])]
            for name, rate in rates(effect, times).items()
        ]
        yield f"{what}, {times} sets\n\n" + tabulate(rows, head, tablefmt="github")


if __name__ == "__main__":
    for table in tables(int(sys.argv[1])):
        print(table, "\n", flush=True)
