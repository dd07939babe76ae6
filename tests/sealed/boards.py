"""Boards of generated entries whose labels are known to the test alone, under the units and folds of real datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embench import registry
from embench.data.cohort import card_for_protocol, choose_targets
from embench.data.find import find_source
from embench.interfaces.metric import Undefined
from embench.interfaces.units import LabelRule, Target, Unit
from embench.leaderboard.entries import export_entry
from embench.protocols import load_protocol, protocol_names
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import Record, write_record
from embench.statistics.confound_only import CONFOUND_ONLY, ConfoundTask
from embench.statistics.intervals import Jackknife, leave_one_out
from embench.statistics.joined import Joined, join, unit_length
from embench.statistics.scores import compute_scores

TARGET = Target("arousal", "binary", LabelRule(), "arousal")
SEEDS = (0, 1, 2)
REPEATABLE = ("majority", "prior", "stimulus_mean")
"""Controls that look at no signal and fit no trees: what an attacker could compute of assumed labels."""

DATASETS = {
    "amigos": (20, 45), "amigos/long": (40, 45), "amigos/external": (20, 60), "deap": (16, 9), "k_emocon": (20, 300),
    "case": (16, 600), "wesad": (15, 300), "wesad/chest": (15, 300), "stress_predict": (20, 300),
    "hku956": (20, 30),
}  # fmt: skip
"""Dataset -> subjects, and seconds that shorten its recordings."""
PROTOCOLS = protocol_names()

Folds = Mapping[int, Sequence[tuple[np.ndarray, np.ndarray]]]
"""Seed -> (training units, test units) of each fold, as positions."""


@dataclass(frozen=True, eq=False)
class Layout:
    """What everybody may know of a dataset under a protocol: all but signals and labels."""

    dataset: str
    protocol: str
    design: Any
    units: Sequence[Unit]
    folds: Folds

    @cached_property
    def groups(self) -> dict[str, str]:
        return {unit.subject: unit.group for unit in self.units}

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Column of a record -> what it says of each unit (n,)."""
        texts = {"subject": "subject", "recording": "recording", "stimulus": "stimulus", "unit": "id"}
        columns = {column: np.array([getattr(u, name) for u in self.units]) for column, name in texts.items()}
        return {**columns, "start_s": np.array([u.start_s for u in self.units], float)}

    @cached_property
    def unit_s(self) -> float:
        return unit_length(self.columns["unit"])

    @cached_property
    def stimuli(self) -> dict[tuple[int, int], np.ndarray | Undefined]:
        """(seed, fold) -> what confound-only models know of stimuli, which no label changes."""
        y = np.zeros(len(self.units))
        return {
            at: ConfoundTask(TARGET, self.units, y, *fold, {}, {}, None, 0).stimuli() for at, fold in self.each_fold()
        }

    @cached_property
    def joined(self) -> Joined:
        """The units in the folds that test them, as scores read them, with nothing said of them yet."""
        parts = [rows(self, MODEL, *at, test, 0 * test, 0.0 * test) for at, (_, test) in self.each_fold()]
        labels = board_labels(self, np.zeros(len(self.units)))
        return join(Predictions.concatenate(parts), labels, TARGET, self.groups, self.unit_s)[MODEL]

    @cached_property
    def jackknife(self) -> Jackknife:
        return leave_one_out(self.joined.tested_subjects(), self.groups)

    def each_fold(self) -> Iterator[tuple[tuple[int, int], tuple[np.ndarray, np.ndarray]]]:
        """((seed, fold), (training units, test units))."""
        for seed, folds in self.folds.items():
            for k, fold in enumerate(folds):
                yield (seed, k), fold


@dataclass(frozen=True)
class _Task(ConfoundTask):
    """A task whose stimuli are known from earlier ones."""

    found: Any = None

    def stimuli(self) -> Any:
        return self.found


def made_up(rng: np.random.Generator, n_subjects: int, n_units: int, folds: int) -> Layout:
    """Subjects who all meet the same stimuli, each 10 s long."""
    names = [f"p{p:02d}" for p in range(n_subjects)]
    units = [
        Unit(f"{s}-r:{u}0000-{u + 1}0000", f"{s}-r", s, f"v{u:02d}", s, 10.0 * u, 10.0 * u + 10, 10.0 * u, 0)
        for s in names
        for u in range(n_units)
    ]
    return Layout("made-up", "subject-independent-v4", "free", units, _deal(rng, units, names, folds))


def without(layout: Layout, hidden: np.ndarray) -> Layout:
    """The same units and folds less the `hidden` (n,) ones."""
    place = np.cumsum(~hidden) - 1

    def kept(part: np.ndarray) -> np.ndarray:
        return place[part[~hidden[part]]]

    folds = {seed: [(kept(train), kept(test)) for train, test in each] for seed, each in layout.folds.items()}
    units = [unit for unit, gone in zip(layout.units, hidden, strict=True) if not gone]
    return replace(layout, units=units, folds=folds)


def _deal(rng: np.random.Generator, units: Sequence[Unit], names: Sequence[str], folds: int) -> Folds:
    subject = np.array([unit.subject for unit in units])
    dealt = {}
    for seed in SEEDS:
        fold_of = dict(zip(rng.permutation(names).tolist(), np.arange(len(names)) % folds, strict=True))
        fold = np.array([fold_of[s] for s in subject])
        dealt[seed] = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]
    return dealt


def of_dataset(name: str, protocol_name: str, root: Path) -> Layout:
    """The units and folds of the dataset's synthetic files in `root`. Raises EmbenchError where they don't fit."""
    protocol = load_protocol(protocol_name)
    full = registry.find("dataset", name).full_name
    source = find_source(name, root)
    first = choose_targets(card_for_protocol(protocol, source.card), None)[0].name
    cohort = source.cohort(protocol, first)
    every = {unit.id: i for i, unit in enumerate(cohort.units)}
    kept = sorted(cohort.positions)
    place = {i: k for k, i in enumerate(kept)}

    def positions(ids: Sequence[str]) -> np.ndarray:
        return np.array([place[every[u]] for u in ids if every[u] in place], np.int64)

    folds = {
        seed: [(positions([*f.train, *f.val]), positions(f.test)) for f in cohort.folds(protocol, seed)]
        for seed in SEEDS
    }
    return Layout(full, protocol_name, cohort.design, cohort.select_units(kept), folds)


def draw_labels(rng: np.random.Generator, layout: Layout) -> np.ndarray:
    """(n,) 0 or 1: for each subject the upper half, so that the prior knows nothing; stimuli have something to say."""
    names, stimulus = np.unique(layout.columns["stimulus"], return_inverse=True)
    wish = rng.normal(size=len(names))[stimulus] + rng.normal(size=len(layout.units))
    y = np.zeros(len(layout.units))
    for subject in np.unique(layout.columns["subject"]):
        own = np.flatnonzero(layout.columns["subject"] == subject)
        y[own[np.argsort(wish[own])[(len(own) + rng.integers(2)) // 2 :]]] = 1
    return y


def control(layout: Layout, name: str, y: np.ndarray, seed: int, fold: int) -> Any:
    """A control's (scores, decisions) for the test units of a fold, or `Undefined`."""
    train, test = layout.folds[seed][fold]
    found = layout.stimuli[seed, fold]
    return CONFOUND_ONLY[name](_Task(TARGET, layout.units, y, train, test, {}, {}, None, seed, found=found))


def rows(layout: Layout, method: str, seed: int, fold: int, test: np.ndarray, score: Any, decision: Any) -> Predictions:
    """A method's answers for the units of a fold."""
    n = len(test)
    columns = {"method": np.full(n, method), "target": np.full(n, TARGET.name), "fold": np.full(n, fold)}
    columns |= {"seed": np.full(n, seed), **{name: of[test] for name, of in layout.columns.items()}}
    return Predictions({**columns, "score": np.float32(score), "decision": decision})


def board_labels(layout: Layout, y: np.ndarray) -> Labels:
    """The labels `y` (n,) as a record holds them."""
    about = {name: layout.columns[name] for name in ("subject", "recording", "unit")}
    target, seed = np.full(len(y), TARGET.name), np.full(len(y), ANY_SEED)
    return Labels({**about, "target": target, "seed": seed, "raw": y, "label": y})


def entry(layout: Layout, y: np.ndarray, rng: np.random.Generator, name: str, public: str) -> Record:
    """A run whose model knows something of the labels `y`."""
    logit = 1.5 * (y - 0.5) + rng.normal(size=len(y))
    parts, reasons = [], {}
    for (seed, k), (_, test) in layout.each_fold():
        score = 1 / (1 + np.exp(-logit[test] - 0.3 * rng.normal(size=len(test))))
        parts.append(rows(layout, MODEL, seed, k, test, score, (score >= 0.5).astype(float)))
        for which in REPEATABLE:
            answer = control(layout, which, y, seed, k)
            if isinstance(answer, Undefined):
                reasons[which] = answer.reason
            else:
                parts.append(rows(layout, which, seed, k, test, *answer))
    predictions = Predictions.concatenate(parts)
    labels = board_labels(layout, y)
    protocol = load_protocol(layout.protocol)
    scores = compute_scores(
        predictions, labels, targets=[TARGET], protocol=protocol, design=layout.design, groups=layout.groups,
        unit_length_s=layout.unit_s, not_applicable={TARGET.name: reasons},
    )  # fmt: skip
    folds = [
        {"subject": s, "group": layout.groups[s], "fold": str(k), "role": role, "seed": str(seed), "reason": ""}
        for (seed, k), fold in layout.each_fold()
        for role, part in zip(("train", "test"), fold, strict=True)
        for s in np.unique(layout.columns["subject"][part]).tolist()
    ]
    return Record(_run(layout, name, public), predictions, labels, folds, scores)


def _run(layout: Layout, name: str, public: str) -> dict[str, Any]:
    rule = {"name": TARGET.name, "kind": "binary", "label": TARGET.name, "n": 2, "rule": {}}
    card = {"labels_public": public, "fixed_order": False, "label_rules_hash": "b", "label_rules": [rule]}
    method = {"encoders": {"ecg": "embench_plugins/tcn"}, "fusion": None, "pretrainers": [], "modalities": ["ecg"]}
    return {
        "id": name, "embench_version": "0.1.0",
        "dataset": {"name": layout.dataset, "fingerprint": "f", "synthetic": None},
        "protocol": {"name": layout.protocol, "version": 2, "hash": "a", "leaks": False}, "card": card,
        "method": method, "recipe": {"preset": "small", "on_leaderboard": True, "assumed": []},
        "targets": [TARGET.name],
        "seeds": list(SEEDS), "cohort": {"subjects": len(layout.groups), "left_out": [], "design": layout.design},
        "target_access": "unlabelled", "pretraining_overlap": "none", "dev": False,
        "cost": {"wall_seconds": 1, "parameters": 1, "flops": 1, "device": "cpu", "peak_memory_mb": 1},
        "test_evaluations": 1, "methods_evaluated": 1, "versions": {}, "device": "cpu", "config": {},
    }  # fmt: skip


def board(layout: Layout, y: np.ndarray, rng: np.random.Generator, root: Path, n_rows: int, public: str) -> Path:
    """The folder of a protocol's entries, published from `n_rows` runs."""
    made = root
    for k in range(n_rows):
        folder = root / "runs" / f"run{k}"
        write_record(folder, entry(layout, y, rng, f"run{k}", public))
        made = export_entry(folder, root / "boards", key=lambda _: b"digest").parent
    return made
