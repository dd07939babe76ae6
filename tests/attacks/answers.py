"""What a skilful forger answers in the name of a method, of confound-only models and of the people: predictions, labels
and folds that fit together, with all that follows from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embench.records.predictions import COUNTS_TIED, MODEL, UNPREDICTED, Labels, Predictions
from embench.records.record import Record, read_record
from embench.records.scores import Scores

from .forger import Forger

Change = Callable[[Record], Record]
Other = Callable[[Predictions, np.ndarray], np.ndarray]
"""Rows of a method and their scores (n,), `in_order` -> other scores (n,)."""
SPEAKING = ("movement", "protocol_phase", "session_position", "study_drift")
"""Those of which a score says something."""
CLOCK = "protocol_phase"


@dataclass(frozen=True)
class Place:
    """An honest entry on boards of its own, its neighbour there, the boards of before, without the entry, and data."""

    entry: Path
    twin: Path
    earlier: Path
    data: Path

    @property
    def boards(self) -> Path:
        return self.entry.parents[2]


How = Callable[[Forger, Place], object]


def rewritten(change: Change, *, with_data: bool = True) -> How:
    """An entry whose record is changed, and all that follows from it."""
    return lambda forger, _: forger.rewrite(change, with_data=with_data)


def in_order(rows: Predictions) -> np.ndarray:
    """(n,) positions by seed, subject and time."""
    return np.lexsort([rows["start_s"], rows["subject"], rows["seed"]])


def scored(of: Record, made: dict[str, np.ndarray]) -> Record:
    """The record with other scores (n,) of methods, by `in_order`."""
    p = of.predictions
    score, decision = p["score"].copy(), p["decision"].copy()
    for method, values in made.items():
        rows = np.flatnonzero(p["method"] == method)
        rows = rows[in_order(p.take(rows))]
        score[rows], decision[rows] = values, values >= 0.5
    return replace(of, predictions=Predictions({**p.columns, "score": score, "decision": decision}))


def rows_of(of: Record, method: str = MODEL) -> Predictions:
    """Those of a method, `in_order`."""
    rows = of.predictions.take(of.predictions["method"] == method)
    return rows.take(in_order(rows))


def truth(of: Record, rows: Predictions) -> np.ndarray:
    """(n,) labels, NaN where there is none."""
    assert of.labels is not None
    known = dict(zip(of.labels["unit"].tolist(), of.labels["label"].tolist(), strict=True))
    return np.array([known.get(unit, np.nan) for unit in rows["unit"].tolist()])


def by_person(rows: Predictions, values: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Values (n,) of which each person's are changed by themselves, seed by seed."""
    made = values.copy()
    for seed in np.unique(rows["seed"]):
        for person in np.unique(rows["subject"]):
            at = (rows["seed"] == seed) & (rows["subject"] == person)
            made[at] = change(values[at])
    return made


def next_seed(rows: Predictions, values: np.ndarray) -> np.ndarray:
    """Those of the same units with another seed."""
    return np.roll(values.reshape(len(np.unique(rows["seed"])), -1), 1, axis=0).ravel()


def neighbour(rows: Predictions, values: np.ndarray) -> np.ndarray:
    """Those of another person at the same place in their session."""
    people = np.unique(rows["subject"])
    other = dict(zip(people.tolist(), np.roll(people, 1).tolist(), strict=True))
    made = values.copy()
    for seed in np.unique(rows["seed"]):
        for person in people.tolist():
            mine, theirs = (
                np.flatnonzero((rows["seed"] == seed) & (rows["subject"] == of)) for of in (person, other[person])
            )
            made[mine] = np.resize(values[theirs], len(mine))
    return made


def smoothed(values: np.ndarray) -> np.ndarray:
    return np.convolve(np.pad(values, 3, mode="edge"), np.full(7, 1 / 7), mode="valid")


def model(change: Callable[[Record, Predictions], np.ndarray]) -> How:
    """Another method's predictions under this one's name."""
    return rewritten(lambda of: scored(of, {MODEL: change(of, rows_of(of))}))


def of_controls(change: Other, *names: str) -> Change:
    """Weaker confound-only models, which are easier to clear; by default all that say something."""

    def made(of: Record) -> Record:
        rows = {name: rows_of(of, name) for name in names or SPEAKING}
        return scored(of, {name: change(own, own["score"]) for name, own in rows.items()})

    return made


def worst_person(of: Record) -> str:
    rows = rows_of(of)
    wrong = np.abs(rows["score"] - truth(of, rows))
    return str(max(np.unique(rows["subject"]), key=lambda person: np.nanmean(wrong[rows["subject"] == person])))


def turned(of: Record, rows: Predictions) -> np.ndarray:
    return np.where(rows["subject"] == worst_person(of), 1 - rows["score"], rows["score"])


def calibrated(of: Record, rows: Predictions) -> np.ndarray:
    """Each fold's predictions centred between its two classes, which only labels tell; their order stays."""
    made, label = rows["score"].copy(), truth(of, rows)
    for fold in np.unique(rows["fold"]):
        at = rows["fold"] == fold
        low, high = (np.nanmean(made[at & (label == of_class)]) for of_class in (0, 1))
        made[at] = 1 / (1 + np.exp(-(made[at] - (low + high) / 2)))
    return made


def decided(of: Record) -> Record:
    """Decisions alone, at the cut that fits the labels."""
    p = of.predictions
    own, label = p["method"] == MODEL, truth(of, p)
    decision = np.where(own & np.isfinite(label), label, p["decision"])
    return replace(of, predictions=Predictions({**p.columns, "decision": decision}))


def of_twin(forger: Forger, place: Place) -> None:
    twin = rows_of(read_record(place.twin))
    forger.rewrite(lambda of: scored(of, {MODEL: twin["score"]}), with_data=True)


def swapped(of: Record) -> Record:
    names = {"movement": CLOCK, CLOCK: "movement"}
    return scored(of, {name: rows_of(of, other)["score"] for name, other in names.items()})


def without(name: str, reason: str | None) -> Change:
    """A control left out; or said not to apply, for a reason."""

    def change(of: Record) -> Record:
        rest = of.predictions.take(of.predictions["method"] != name)
        told = {**of.scores["confound_only"], name: {"stress": {"undefined": reason}}}
        told = told if reason else {each: scores for each, scores in told.items() if each != name}
        return replace(of, predictions=rest, scores=Scores({**of.scores, "confound_only": told}))

    return change


def without_a_unit(of: Record) -> Record:
    """A control that lacks one unit, with which no method can be compared."""
    p = of.predictions
    return replace(of, predictions=p.take(~((p["method"] == CLOCK) & (p["unit"] == p["unit"][0]))))


def unknown_control(of: Record) -> Record:
    rows = of.predictions.take(of.predictions["method"] == "prior")
    known = {**rows.columns, "method": np.full(len(rows), "state_of_the_art")}
    return replace(of, predictions=Predictions.concatenate([of.predictions, Predictions(known)]))


def lots(units: np.ndarray) -> np.ndarray:
    """(n,) one unit in twenty, drawn by a hash of its name, lest anybody sees a choice."""
    lot = {unit: int(hashlib.sha256(unit.encode()).hexdigest(), 16) % 20 == 0 for unit in np.unique(units).tolist()}
    return np.array([lot[unit] for unit in units.tolist()])


def drawn_out(of: Record) -> Record:
    """Units drawn by a hash, gone from predictions and labels alike."""
    assert of.labels is not None
    p, known = of.predictions, of.labels
    left = {name: values[~lots(known["unit"])] for name, values in known.columns.items()}
    return replace(of, predictions=p.take(~lots(p["unit"])), labels=Labels(left))


def tied(of: Record) -> Record:
    """What the method gets wrong counts as recorded in no signal: half a point instead of none."""
    p, label = of.predictions, truth(of, of.predictions)
    bad = np.unique(p["unit"][(p["method"] == MODEL) & (np.abs(p["score"] - label) > 0.5)])[::3]
    owed = (p["method"] == MODEL) & np.isin(p["unit"], bad)
    changed = {"method": np.where(owed, UNPREDICTED, p["method"]), "score": np.where(owed, COUNTS_TIED, p["score"])}
    changed["decision"] = np.where(owed, np.nan, p["decision"])
    share = 1 - owed.sum() / ((p["method"] == MODEL) & np.isfinite(label)).sum()
    scores = Scores({**of.scores, "coverage": {"stress": float(share)}})
    return replace(of, predictions=Predictions({**p.columns, **changed}), scores=scores)


def relabelled(change: Callable[[Labels, np.ndarray], np.ndarray]) -> Change:
    def made(of: Record) -> Record:
        assert of.labels is not None
        new = change(of.labels, of.labels["label"].copy())
        return replace(of, labels=Labels({**of.labels.columns, "label": new, "raw": new}))

    return made


def of_neighbour(known: Labels, label: np.ndarray) -> np.ndarray:
    one, other = (np.flatnonzero(known["subject"] == person) for person in np.unique(known["subject"])[:2])
    new = label.copy()
    new[one], new[other] = np.resize(label[other], len(one)), np.resize(label[one], len(other))
    return new


def later(known: Labels, label: np.ndarray) -> np.ndarray:
    """Each task begins and ends a unit later."""
    return np.where(known["subject"] == np.roll(known["subject"], 1), np.roll(label, 1), label)


def left_out(of: Record) -> Record:
    """The person whom the method gets most wrong, in no file."""
    assert of.labels is not None
    who, run = worst_person(of), dict(of.run)
    cohort = {**run["cohort"], "subjects": [name for name in run["cohort"]["subjects"] if name != who]}
    cohort["session_s"] = {name: s for name, s in cohort["session_s"].items() if name != who}
    cohort["left_out"] = [*cohort["left_out"], {"subject": who, "reason": {"id": "no_label"}}]
    kept = of.labels["subject"] != who
    return replace(
        of,
        run={**run, "cohort": cohort},
        predictions=of.predictions.take(of.predictions["subject"] != who),
        labels=Labels({name: values[kept] for name, values in of.labels.columns.items()}),
        folds=[row for row in of.folds if row["subject"] != who],
    )


def moved(of: Record, rows: Predictions) -> np.ndarray:
    """A little towards the labels, where no decision changes."""
    score, label = rows["score"], truth(of, rows)
    new = np.where(np.isfinite(label), score + 1e-4 * (label - score), score)
    return np.where((new >= 0.5) == (score >= 0.5), new, score)


def sessions(of: Record) -> Record:
    """Lengths of sessions dealt out anew, by which other people are compared: the best of 200 draws lifts a primary
    metric of .475 to .591."""
    cohort = of.run["cohort"]
    dealt = np.random.default_rng(96).permutation(list(cohort["session_s"].values())).tolist()
    return replace(
        of, run={**of.run, "cohort": {**cohort, "session_s": dict(zip(cohort["session_s"], dealt, strict=True))}}
    )


def started_later(of: Record) -> Record:
    """Times of units at which those of other classes no longer meet."""
    p = of.predictions
    late = np.isin(p["subject"], np.unique(p["subject"])[::2])
    return replace(of, predictions=Predictions({**p.columns, "start_s": p["start_s"] + 300 * late}))


def stimuli(of: Record) -> Record:
    """A session said to be of two stimuli, as a protocol of other stimuli has them."""
    p = of.predictions
    half = np.where(p["start_s"] < 1500, "rest", "task")
    return replace(of, predictions=Predictions({**p.columns, "stimulus": half}))


def dealt_again(of: Record) -> Record:
    """Two people change their folds, in each seed."""
    p, swapped = of.predictions, [dict(row) for row in of.folds]
    fold = p["fold"].copy()
    for seed in np.unique(p["seed"]).tolist():
        tests = {r["subject"]: r["fold"] for r in of.folds if (r["role"], r["seed"]) == ("test", str(seed))}
        one = min(tests)
        other = next(name for name in sorted(tests) if tests[name] != tests[one])
        names = {one: other, other: one}
        for row in swapped:
            if row["seed"] == str(seed) and row["subject"] in names:
                row.update(subject=names[row["subject"]], group=names[row["subject"]])
        for person, new in names.items():
            fold[(p["seed"] == seed) & (p["subject"] == person)] = int(tests[new])
    return replace(of, predictions=Predictions({**p.columns, "fold": fold}), folds=swapped)


def regrouped(of: Record) -> Record:
    """Two people who are one, so that intervals count fewer."""
    return replace(of, folds=[{**row, "group": "S02" if row["group"] == "S03" else row["group"]} for row in of.folds])
