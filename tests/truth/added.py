"""How often a verdict `adjusted` is false, and how often a body is found, in made sessions whose causes are known.
`python -m tests.truth.added 200` prints the tables of `docs/why/adjusted-methods.md`; names of cells after the number
choose some.

Three tasks come in one order, later in longer sessions, and move the wrist of most people. A method is trained on eight
features, which show movement, the clock or the body, and lasting noise. Nuisances are held as the product holds them,
but for their members, which are ridge regressions here: on columns, and on random Fourier features of them in place of
the product's kernels. Some cells hold trees, forests, kernels and a perceptron too; these take a hundred times as long.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from zlib import crc32

import numpy as np
from scipy import optimize, signal, stats
from sklearn.tree import DecisionTreeClassifier

from embench.interfaces.metric import Undefined
from embench.statistics import nuisance_models
from embench.statistics.confound_blocks import ConfoundBlocks
from embench.statistics.confound_test import (
    CONFOUND_LEVELS,
    LabelledUnits,
    estimate_metric,
    measure_association,
)
from embench.statistics.estimates import ScoreOrReason
from embench.statistics.intervals import (
    Estimate,
    Jackknife,
    leave_one_out,
    paired_difference,
    training_overlap,
    widen,
)
from embench.statistics.joined import Joined
from embench.statistics.nuisance_models import (
    CLIP,
    Members,
    Parts,
    Sessions,
    careful_trees,
    forest,
    kernel,
    linear,
    perceptron,
    predictions,
    standardise_all,
    trees,
)

from .cohorts import TARGET, draw_lengths, partitions, subject_names
from .sessions import EDGES

UNIT_S, SEEDS, FEATURES = 20, 3, 8
NEAR_S = (60.0, 120.0, 240.0)
GAIN_SPREAD = 0.5
"""How much an effect differs between people, an SD as a share of its mean."""
REGISTERED_NOISE = 0.71
"""Beside the label in a clock that scores about .86 inside subjects."""


@dataclass(frozen=True)
class Cell:
    """A world, of which many are drawn.

    Args:
        movement: the AUROC of movement inside subjects. `reliability`: the share of what the accelerometer shows that
            is the movement in the features.
        artefact, drift, body: how much of movement, of the clock and of the label the features show, in SDs of their
            noise.
        gains: how much movement shows in one person's features and another's, the SD of its logarithm.
        waves: whether features are random Fourier features of what the accelerometer shows, and nothing else.
        members: whether models of the product are among the nuisances.
    """

    subjects: int
    movement: float = 0.75
    artefact: float = 0.0
    drift: float = 0.0
    body: float = 0.0
    waves: bool = False
    reliability: float = 1.0
    gains: float = 0.0
    members: bool = False

    @property
    def primary_metric(self) -> str:
        """Of few subjects too few have a partner whose session is as long."""
        return "auroc_within" if self.subjects < 20 else "auroc_crossed_matched"

    @property
    def may_add(self) -> bool:
        """Whether the features show a body, or movement that the accelerometer does not show."""
        return self.body > 0 or self.reliability < 1

    @property
    def levels(self) -> Sequence[str]:
        """Nuisances of level `local` are the easier ones to pass."""
        return ("movement", "protocol_phase") if self.body else ("movement",)


SUBJECTS = 16, 24, 34, 120
CELLS = {
    **{f"nothing {n}": Cell(n) for n in SUBJECTS},
    **{f"movement {n}": Cell(n, artefact=0.7) for n in SUBJECTS},
    **{f"movement {auroc:g} 34": Cell(34, movement=auroc, artefact=0.7) for auroc in (0.6, 0.9)},
    **{f"waves {n}": Cell(n, waves=True) for n in SUBJECTS},
    **{f"clock {n}": Cell(n, artefact=0.7, drift=1.0) for n in SUBJECTS},
    **{f"body {n}": Cell(n, movement=0.62, body=0.25) for n in (24, 34)},
    **{f"gains 0.7 {n}": Cell(n, artefact=0.7, gains=0.7) for n in (24, 34)},
    **{f"gains 1.2 {n}": Cell(n, movement=0.77, artefact=1.2, gains=1.2) for n in (16, 24, 34)},
    **{f"reliable {share:g} 34": Cell(34, artefact=0.7, reliability=share) for share in (0.9, 0.7, 0.5)},
}
CELLS |= {
    f"{name}, members": replace(CELLS[name], members=True)
    for name in ("movement 0.9 34", "waves 34", "clock 34", "body 34")
}
FEW = 10
"""So many draws of cells with members are made at most."""

Score = np.ndarray
"""(n,) of one seed."""
SHAPES: Mapping[str, Callable[[Score], Score]] = {
    "ridge": lambda s: s,
    "skewed": np.exp,
    "bounded": lambda s: 1 / (1 + np.exp(-2 * s)),
    "tied": lambda s: np.round(1.5 * s),
    "votes": lambda s: np.mean([s > bound for bound in (-1, -0.5, 0, 0.5, 1)], axis=0),
}
METHODS = (*SHAPES, "tree")
VERDICTS = "adjusted", "above chance", "above movement"


class World:
    """One draw of a cell."""

    def __init__(self, cell: Cell, rng: np.random.Generator) -> None:
        lengths = draw_lengths(rng, cell.subjects)
        y, start, subject = _labels(rng, lengths)
        n, last = len(y), partial(_lasting, rng, subject)
        gain = partial(_gain, rng, subject)
        moved = gain(_effect_of(cell.movement)) * y + last(0.7)
        shown = np.sqrt(cell.reliability) * moved + np.sqrt(1 - cell.reliability) * last(0.7)
        change = np.abs(np.diff(shown, prepend=shown[0]))
        self.sessions = Sessions(subject, start, lengths[subject], float(UNIT_S))
        self.cell = cell
        self.movement = self.sessions.standardised(np.stack([shown, change, shown + rng.normal(size=n)], 1))
        if cell.waves:
            directions = rng.normal(size=(self.movement.shape[1], 80)) / np.sqrt(self.movement.shape[1])
            self.features = np.cos(self.movement @ directions + rng.uniform(0, 2 * np.pi, 80))
        else:
            place, answers = start / lengths[subject], gain(cell.body) if cell.body else 0.0
            drift = np.sin(3 * np.pi * place[:, None] + rng.uniform(0, 2 * np.pi, FEATURES))
            made = cell.artefact * rng.normal(size=FEATURES) * moved[:, None]
            if cell.gains:
                made *= np.exp(cell.gains * rng.normal(size=cell.subjects))[subject, None]
            made += 1.4 * cell.drift * rng.normal(size=FEATURES) * drift
            made += np.abs(rng.normal(size=FEATURES)) * np.reshape(answers * y, (-1, 1))
            self.features = self.sessions.standardised(made + np.stack([last(0.8) for _ in range(FEATURES)], 1))
        every, folds = np.arange(n), partitions(rng, lengths, SEEDS)
        self.parts: dict[int, Parts] = {
            seed: [(every[of[subject] != k], every[of[subject] == k]) for k in range(of.max() + 1)]
            for seed, of in enumerate(folds)
        }
        names = np.array(subject_names(cell.subjects))[subject]
        self.y = y
        self.tested = LabelledUnits(TARGET, names, names, names, start, lengths[subject], y, float(UNIT_S))
        registered = self.sessions.standardised((y + REGISTERED_NOISE * last(0.9))[:, None])
        self.held = {
            seed: ConfoundBlocks({"registered": registered, "local": self._local(parts)}, parts)
            for seed, parts in self.parts.items()
        }
        self.jackknife = leave_one_out(self.joined(dict.fromkeys(self.parts, y)).tested_subjects(), {})

    def _local(self, parts: Parts) -> np.ndarray:
        """(n, k) nuisances of one seed: clock, movement with its context and squares, and what ridges read off them."""
        of_time = nuisance_models.time_bumps(self.sessions)
        wide = np.clip(self.sessions.context(self.movement, NEAR_S), -CLIP, CLIP)
        seen = [self.movement, _squared(self.movement), _squared(wide), of_time, np.hstack([_squared(wide), of_time])]
        seen += [_waves(self.movement, 1), _waves(wide, 2)]
        seen += [_waves(np.hstack([self.movement, of_time]), 3), _waves(np.hstack([wide, of_time]), 4)]
        predicted = [ridge(columns, self.y, parts)[:, None] for columns in seen]
        if self.cell.members:
            models: Members = {
                "trees": (self.movement, trees),
                "trees near": (wide, trees),
                "kernel": (self.movement, kernel),
                "kernel near": (wide, kernel),
                "forest": (wide, forest),
                "linear": (wide, linear),
                "perceptron": (wide, perceptron),
                "joint": (np.hstack([wide, of_time]), careful_trees),
            }
            predicted += predictions(models, self.y, TARGET, parts, 0).values()
        members = [standardise_all(each) for each in predicted]
        smooth = [self.sessions.mean(members[k], s, s) for k in (1, 2, 5) for s in NEAR_S]
        return np.hstack([np.ones((len(self.y), 1)), of_time, _squared(wide), *members, *smooth])

    def joined(self, values: Mapping[int, Score]) -> Joined:
        return self.tested.joined({seed: score[:, None] for seed, score in values.items()}, self.parts)

    @property
    def control(self) -> dict[int, Score]:
        """Of each seed, what movement alone predicts."""
        return {seed: ridge(_squared(self.movement), self.y, parts) for seed, parts in self.parts.items()}

    def scores(self, methods: Collection[str]) -> dict[str, dict[int, Score]]:
        """Method -> seed -> its out-of-fold scores."""
        linear = {seed: stats.zscore(ridge(self.features, self.y, parts)) for seed, parts in self.parts.items()}
        made = {name: {seed: shape(s) for seed, s in linear.items()} for name, shape in SHAPES.items()}
        if "tree" in methods:
            made["tree"] = {seed: tree(self.features, self.y, parts) for seed, parts in self.parts.items()}
        return {name: made[name] for name in methods}


def _labels(rng: np.random.Generator, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) 1 in tasks and 0 between them, starts in s, and subjects, of sessions of these lengths."""
    shift = 0.4 * (lengths - lengths.mean()) + 45.0 * rng.normal(size=len(lengths))
    edges = EDGES + shift[:, None] + 20.0 * rng.normal(size=(len(lengths), len(EDGES)))
    units = (lengths // UNIT_S).astype(int)
    subject = np.repeat(np.arange(len(lengths)), units)
    start = UNIT_S * np.concatenate([np.arange(k) for k in units]).astype(float)
    return (edges[subject] < start[:, None] + UNIT_S / 2).sum(1) % 2.0, start, subject


def _lasting(rng: np.random.Generator, subject: np.ndarray, kept: float) -> np.ndarray:
    """(n,) noise of variance 1 that lasts: its correlation is `kept` after a unit."""
    noise = [rng.normal(size=size + 50) for size in np.bincount(subject)]
    return np.concatenate([signal.lfilter([np.sqrt(1 - kept**2)], [1.0, -kept], each)[50:] for each in noise])


def _gain(rng: np.random.Generator, subject: np.ndarray, mean: float) -> np.ndarray:
    """(n,) an effect of this mean, which differs between people."""
    return np.asarray((mean * (1 + GAIN_SPREAD * rng.normal(size=subject.max() + 1)))[subject])


def _effect_of(auroc: float) -> float:
    """The mean effect, in SDs, of scores with this AUROC inside subjects."""
    spread = 1 + GAIN_SPREAD * stats.norm.ppf((np.arange(1000) + 0.5) / 1000)
    return float(optimize.brentq(lambda d: stats.norm.cdf(d * spread / np.sqrt(2)).mean() - auroc, 0, 30))


def _squared(columns: np.ndarray) -> np.ndarray:
    return np.hstack([columns, columns**2 / 2])


def _waves(columns: np.ndarray, seed: int) -> np.ndarray:
    """(n, 150) random Fourier features of columns (n, k), by which a ridge regression is one with a Gaussian kernel."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(columns.shape[1], 150)) / np.sqrt(columns.shape[1])
    return np.cos(columns @ directions + rng.uniform(0, 2 * np.pi, 150))


def ridge(x: np.ndarray, y: np.ndarray, parts: Parts, penalty: float = 10.0) -> Score:
    """Out-of-fold predictions of a ridge regression on columns `x` (n, k)."""
    out, around = np.zeros(len(y)), y - y.mean()
    squares, products = x.T @ x + penalty * np.eye(x.shape[1]), x.T @ around
    for _, test in parts:  # all others train
        weight = np.linalg.solve(squares - x[test].T @ x[test], products - x[test].T @ around[test])
        out[test] = x[test] @ weight
    return out


def tree(x: np.ndarray, y: np.ndarray, parts: Parts) -> Score:
    out = np.zeros(len(y))
    for train, test in parts:
        model = DecisionTreeClassifier(max_depth=5, min_samples_leaf=40, random_state=0).fit(x[train], y[train])
        out[test] = model.predict_proba(x[test])[:, 1]
    return out


def judged(world: World, methods: Collection[str] = METHODS) -> dict[str, dict[str, bool]]:
    """Of each method and level: whether it `adjusted`; and whether its own primary metric lies above chance, and above
    that of movement."""
    of, jackknife = world.cell, world.jackknife
    nothing = dict.fromkeys(VERDICTS, False)
    out = {f"{name}, {level}": nothing for name in methods for level in of.levels}
    made = world.scores(methods)
    joined = {name: world.joined(scores) for name, scores in made.items()}
    own = {name: estimate_metric(of.primary_metric, each, TARGET, jackknife) for name, each in joined.items()}
    above = [name for name in methods if _low(own[name]) > 0.5]  # nothing else can add
    if not above:
        return out
    control = estimate_metric(of.primary_metric, world.joined(world.control), TARGET, jackknife)
    for level in of.levels:
        for name in above:
            values = {seed: score[:, None] for seed, score in made[name].items()}
            found = measure_association(
                values, world.tested, world.held, CONFOUND_LEVELS[level], of.primary_metric, own[name], jackknife
            )
            out[f"{name}, {level}"] = {
                "adjusted": found.associated,
                "above chance": True,
                "above movement": _low(_above(own[name], control, joined[name], jackknife)) > 0,
            }
    return out


def _above(own: ScoreOrReason, control: ScoreOrReason, joined: Joined, jackknife: Jackknife) -> ScoreOrReason:
    """How far a primary metric lies above the control's, paired, as in a record."""
    if isinstance(own, Undefined) or isinstance(control, Undefined):
        return Undefined("not estimable")
    gap = paired_difference(own, control, jackknife.codes)
    if isinstance(gap, Undefined):
        return gap
    return widen(gap, training_overlap(gap.by_seed, joined.trained(jackknife)))


def _low(value: ScoreOrReason) -> float:
    return float(value.low) if isinstance(value, Estimate) and value.low is not None else -np.inf


def trials(name: str, methods: Collection[str] = METHODS) -> Iterator[dict[str, dict[str, bool]]]:
    """What is said in each draw of a cell."""
    draw = 0
    while True:
        yield judged(World(CELLS[name], np.random.default_rng([crc32(name.encode()), draw])), methods)
        draw += 1


def main(times: int, names: Sequence[str]) -> int:
    """Prints what is said in so many draws of each cell, and whether a cell without a body adds more often than in 5 %:
    1 where it does."""
    too_many = False
    for name in names or CELLS:
        counts: dict[str, Counter[str]] = {}
        draws = min(times, FEW) if CELLS[name].members else times
        for found in islice(trials(name), draws):
            for method, verdicts in found.items():
                counts.setdefault(method, Counter()).update(what for what, is_so in verdicts.items() if is_so)
        for method, count in counts.items():
            what = [f"{kind} {count[kind]} ({100 * count[kind] / draws:.0f} %)" for kind in VERDICTS]
            print(f"{name}, {method}: n {draws}, {', '.join(what)}", flush=True)
            if not CELLS[name].may_add and count["adjusted"] > stats.binom.isf(0.001, draws, 0.05):
                print(f"{name}, {method}: adds in more than 5 %", flush=True)
                too_many = True
    return int(too_many)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
