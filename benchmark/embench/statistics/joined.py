"""Predictions joined with labels, for one record or for several that are compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.interfaces.units import LabelRule, Target, Units
from embench.protocols import MADE_BY_METHOD, Design, UnitId
from embench.records.manifest import scoring_of, tuned_in_words
from embench.records.predictions import ANY_SEED, MODEL, UNPREDICTED, Labels, Predictions, as_scored
from embench.records.record import Record
from embench.records.wording import format_value, in_words, recorded_hyperparameters
from embench.statistics.conditioned import ANY, HURDLE, Hurdle
from embench.statistics.intervals import Jackknife

# Names of methods beside each other: those of the same parts are told apart by the settings that differ.

_NOT_SETTINGS = frozenset({"assumed", "code", "datasets", "plugin"})
"""Keys of a recorded part that hold no setting of it."""
_MOST = 4
"""Most settings that differ in a name; runs of other recipes differ in many, and the recipe names them."""


def names_apart(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of methods; where several are the same, with the settings in which these runs differ, such as `context
    60 s`, and with the run where they differ in none.

    Args:
        runs: the content of each run.yaml.
    """
    found = list(names)
    for name in {name for name in names if name and names.count(name) > 1}:
        at = [i for i, each in enumerate(names) if each == name]
        for i, settings in zip(at, _settings_apart([runs[i] for i in at]), strict=True):
            found[i] = ", ".join([name, *settings])
    plain = found.copy()
    return [
        name if plain.count(name) == 1 else f"{name} ({run['id']})" if name else run["id"]
        for name, run in zip(plain, runs, strict=True)
    ]


def _settings_apart(runs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Each run's settings that not all of the runs share."""
    recipes = [str((run.get("recipe") or {}).get("preset", "")) for run in runs]
    found = [_settings(run) for run in runs]
    keys = [key for key in dict.fromkeys(key for each in found for key in each) if len({e.get(key) for e in found}) > 1]
    if len(set(recipes)) > 1 and len(keys) > _MOST:
        asked = [{setting.partition("=")[0] for setting in (run["recipe"].get("settings") or ())} for run in runs]
        keys = [key for key in keys if any(key in each for each in asked)]
        found = [{"recipe": f"recipe {recipe}", **each} for recipe, each in zip(recipes, found, strict=True)]
        keys = ["recipe", *keys]
    return [list(dict.fromkeys(each[key] for key in keys if each.get(key))) for each in found]


def _settings(run: Mapping[str, Any]) -> dict[str, str]:
    """Each setting of a run in words, under its path."""
    config = run.get("config") or {}
    parts, asked = config.get("parts") or {}, config.get("request") or {}
    found = {path: text for part, recipe in parts.items() for path, text in _of_part(part, recipe)}
    for name, about in (run.get("objects") or {}).items():
        for text in recorded_hyperparameters(str(about.get("repr", ""))):
            found[f"{name.rpartition(':')[2]} {text.partition('(')[0]}"] = text
    options = {
        "train_dataset": "trained on {}", "drop": "without {}", "label_subjects": "labels of {} subjects",
        "label_fraction": "{} of the labels", "lag": "lag {} s", "pretrained": "weights {}",
    }  # fmt: skip
    found |= {name: text.format(Path(str(asked[name])).name) for name, text in options.items() if asked.get(name)}
    if tuned := tuned_in_words(config):
        found["tuned"] = tuned[0]
    return found


def _of_part(part: str, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings of a part: path -> words. One of several modalities has the same words for each."""
    kind = re.sub(r"\[.*?\]", "", part)
    for name, value in recipe.items():
        if name == "view":
            yield f"{part}.view", _view(value or {})
        elif isinstance(value, Mapping):
            yield from ((f"{part}.{name}.{key}", f"{in_words(key)} {_value(each)}") for key, each in value.items())
        elif name not in _NOT_SETTINGS:
            yield f"{part}.{name}", f"{kind} {in_words(name)} {_value(value)}"


def _view(view: Mapping[str, Any]) -> str:
    """Words for the view of a part, as a name holds them."""
    kind, length, step = view.get("kind") or "unit", view.get("length_s"), view.get("step_s")
    every = f" every {step:g} s" if step and kind == "window" else ""
    return f"{kind} {length:g} s{every}" if length and kind != "unit" else f"whole {kind}s"


def _value(value: Any) -> str:
    words = {True: "on", False: "off", None: "none"}
    return words[value] if value is None or isinstance(value, bool) else format_value(value, "g")


# Predictions joined with labels: one set of units for each fold and seed, units without a label dropped.


@dataclass(frozen=True)
class Joined:
    """One method's labelled units of one target: seed -> fold -> units. `scoring`: the version of the rules by which
    they are scored, see `embench.protocols.Protocol`."""

    seeds: dict[int, dict[int, Units]]
    scoring: int = 3

    def __iter__(self) -> Iterator[tuple[int, int, Units]]:
        """(seed, fold, units)."""
        for seed, folds in self.seeds.items():
            for fold, units in folds.items():
                yield seed, fold, units

    @cached_property
    def predicted(self) -> Joined:
        """The units with a prediction alone; itself where all have one."""
        known = [is_predicted(units) for _, _, units in self]
        if all(each.all() for each in known):
            return self
        seeds: dict[int, dict[int, Units]] = {}
        for (seed, fold, units), each in zip(self, known, strict=True):
            if each.any():
                seeds.setdefault(seed, {})[fold] = units.take(each)
        return Joined(seeds, self.scoring)

    @property
    def hurdle_of_seed(self) -> Hurdle:
        """The hurdle of comparisons that each seed takes by itself; under scoring 4 all seeds take one together."""
        return HURDLE if self.scoring == 3 else ANY

    def tested_subjects(self) -> list[dict[int, np.ndarray]]:
        """Tested subjects (P,) of each fold, for each seed."""
        return [{fold: units.subjects[0] for fold, units in folds.items()} for folds in self.seeds.values()]

    def trained(self, jackknife: Jackknife) -> np.ndarray:
        """(S, G, G) in each seed, whether a group of subjects (column) was free to train the models that predict
        another (row): no fold tests both."""
        together = []
        for folds in self.tested_subjects():
            tested = np.stack([np.isin(jackknife.subjects, members) for members in folds.values()])
            groups = jackknife.by_group(tested.astype(int))
            together.append(groups.T @ groups > 0)
        return ~np.stack(together)


def is_predicted(units: Units) -> np.ndarray:
    """(n,) whether each unit has a prediction."""
    return finite_rows(units.score)


def finite_rows(score: np.ndarray) -> np.ndarray:
    """(n,) whether each row of scores (n,) or (n, K) is finite.

    >>> finite_rows(np.zeros(0)).tolist(), finite_rows(np.array([[1.0, np.nan], [0.0, 1.0]])).tolist()
    ([], [False, True])
    """
    known = np.isfinite(score)
    return np.asarray(known.all(1) if known.ndim > 1 else known)


def shared_stimuli(design: Design | None, joined: Joined) -> list[str]:
    """The stimuli of a study in which subjects share them, where there are several; else none."""
    stimuli = {name for _, _, units in joined for name in units.stimulus.tolist()}
    return sorted(stimuli) if design == "shared_stimuli" and len(stimuli) > 1 else []


def varies_within_stimuli(joined: Joined) -> bool:
    """True if a subject has different labels, of values a step apart, at one stimulus with several units."""
    return any(np.isfinite(units.length_s) and _varies(units) for _, _, units in joined)


def _varies(units: Units) -> bool:
    stimuli, stimulus = np.unique(units.stimulus, return_inverse=True)
    at = units.subjects[1] * len(stimuli) + stimulus
    low, high = np.full((2, at.max() + 1), units.y_true[0])
    low[at] = high[at] = units.y_true
    np.minimum.at(low, at, units.y_true)
    np.maximum.at(high, at, units.y_true)
    return bool(((high - low > 0) & (high - low >= units.step)).any())


def join(
    predictions: Predictions,
    labels: Labels,
    target: Target,
    groups: Mapping[str, str],
    unit_length_s: float,
    sessions: Mapping[str, float] | None = None,
    *,
    whole: bool = False,
    scoring: int = 3,
) -> dict[str, Joined]:
    """Method -> its labelled units; a control's are limited to those of the model.

    Args:
        groups: subject -> group. `sessions`: subject -> length of the session in s, where known.
        whole: whether units that the model should have predicted, and did not, are among them.

    Raises:
        DataError: a score is missing or not finite, a unit is predicted twice, or subjects are unknown to `groups`.
    """
    chosen = predictions.rows_with(target=target.name)
    ours = predictions if chosen.all() else predictions.take(chosen)
    y = labels_of(ours, labels, target)
    units = ours.texts("unit")
    unit = units.code
    # One number for each (seed, unit); the order of units is then by seed, fold and unit id, whatever the file's.
    key = (ours["seed"] - ours["seed"].min(initial=0)) * max(1, len(units.names)) + unit
    method_of = ours.texts("method")
    at = {name: method_of.code == code for code, name in enumerate(method_of.names.tolist())}
    not_predicted = at.pop(UNPREDICTED, None)
    if whole and not_predicted is not None:  # what the method makes with less given predicts no more
        at |= {name: at.get(name, False) | not_predicted for name in (MODEL, *MADE_BY_METHOD) if name in {MODEL, *at}}
    known = np.isfinite(y) & np.isin(key, key[at[MODEL]] if MODEL in at else [])
    values = labels["label"][labels["target"] == target.name]
    step, whole_numbers = target.find_step(values), bool((values == np.rint(values)).all())
    methods = {}
    for method in sorted(at, key=lambda name: (name != MODEL, name)):
        rows = np.flatnonzero(at[method] & known)
        rows = rows[np.lexsort((unit[rows], ours["fold"][rows], ours["seed"][rows]))]
        if not np.diff(np.sort(key[rows])).all():  # `np.unique` takes fifty times as long
            raise DataError(f"units are predicted more than once in a seed by {method}", where=f"target {target.name}")
        units_in_order = units_of(ours.take(rows), y[rows], target, groups, unit_length_s, sessions)
        split = _split(replace(units_in_order, step=step, whole_numbers=whole_numbers), ours["seed"][rows])
        methods[method] = replace(split, scoring=scoring)
    return methods


def unit_length(ids: np.ndarray) -> float:
    """The nominal length in seconds of the units with these ids (n,), which hold recording, start and stop; NaN where
    no recording holds several, so that units are whole recordings."""
    spans = [UnitId.read(id_) for id_ in set(ids.tolist())]
    if len({span.recording for span in spans}) == len(spans):
        return float("nan")
    return float(np.median([span.stop_ms - span.start_ms for span in spans])) / 1000


def labels_of(predictions: Predictions, labels: Labels, target: Target) -> np.ndarray:
    """(n,) the label of each row, NaN where there is none."""
    y = np.full(len(predictions), np.nan)
    units = predictions.texts("unit")
    for seed in np.unique(labels["seed"][labels["target"] == target.name]).tolist():
        chosen = (labels["target"] == target.name) & (labels["seed"] == seed)
        order = np.argsort(labels["unit"][chosen])
        ids, values = labels["unit"][chosen][order], labels["label"][chosen][order]
        at = np.minimum(np.searchsorted(ids, units.names), len(ids) - 1)
        found, at = (ids[at] == units.names)[units.code], at[units.code]
        if seed != ANY_SEED:
            found &= predictions["seed"] == seed
        y[found] = values[at][found]
    return y


def _split(units: Units, seed_of: np.ndarray) -> Joined:
    """The units (n,) by seed and fold, in the order of which they are; `seed_of` (n,)."""
    seeds: dict[int, dict[int, Units]] = {}
    ends = [*(np.flatnonzero(np.diff(seed_of) | np.diff(units.fold)) + 1).tolist(), len(units)]
    for start, end in pairwise([0, *ends] if len(units) else []):
        part = units.take(slice(start, end))
        seeds.setdefault(int(seed_of[start]), {})[int(part.fold[0])] = part
    return Joined(seeds)


def units_of(
    rows: Predictions,
    y: np.ndarray,
    target: Target,
    groups: Mapping[str, str],
    unit_length_s: float,
    sessions: Mapping[str, float] | None = None,
) -> Units:
    """Rows of predictions of one target with their labels `y` (n,), as metrics read them.

    Raises:
        DataError: a score is missing or not finite, or subjects are unknown to `groups`.
    """
    score = rows["score"]
    if target.traits.has_score_per_class:
        if rows.classes < len(target.columns):
            raise DataError(f"predictions have no column for every class of {target.name}", expected=f"{target.n}")
        score = np.stack([rows[name] for name in target.columns], axis=1)
    decision, missing = rows["decision"], rows.rows_with(method=UNPREDICTED)
    if not np.isfinite(score[~missing]).all() or (
        target.traits.has_classes and not np.isfinite(decision[~missing]).all()
    ):
        raise DataError("a score or decision is missing or not finite", where=f"predictions of {target.name}")
    if missing.any():
        score = score.copy()
        score[missing] = as_scored(rows["score"][missing]).reshape(-1, *[1] * (score.ndim - 1))
    subject = rows.texts("subject")
    unknown = sorted(set(subject.names.tolist()) - set(groups))
    if unknown:
        raise DataError(f"subjects without a group: {', '.join(unknown[:5])}", where=f"predictions of {target.name}")
    recording, moment = _places(rows)
    return Units(
        kind=target.kind,
        y_true=y,
        score=score,
        decision=decision,
        subject=subject.array(),
        stimulus=rows["stimulus"],
        start_s=rows["start_s"],
        fold=rows["fold"],
        group=np.array([groups[s] for s in subject.names.tolist()], dtype=np.str_)[subject.code],
        length_s=unit_length_s,
        session_s=None
        if sessions is None
        else np.array([sessions.get(s, np.nan) for s in subject.names.tolist()])[subject.code],
        moment_s=moment,
        recording=recording,
        step=target.find_step(y),
    )


def _places(rows: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the number of the recording of each row's unit, and the time since that began, in s: a recording is one
    stimulus."""
    units = rows.texts("unit")
    ids = [UnitId.read(unit) for unit in units.names.tolist()]
    number = np.unique(np.array([id_.recording for id_ in ids], np.str_), return_inverse=True)[1]
    return number[units.code], np.array([id_.start_ms / 1000 for id_ in ids])[units.code]


# Common ground of several records: whether they can be compared, and the units that all of them predict.

_SAME = {
    "dataset": ("dataset", "name"),
    "synthetic data": ("dataset", "synthetic"),
    "protocol": ("protocol", "name"),
    "protocol's hash": ("protocol", "hash"),
    "label rules": ("card", "label_rules_hash"),
    "calibration data": ("calibration_data",),
    "target access": ("target_access",),
    "seeds": ("seeds",),
    "scoring of validation subjects": ("dev",),
}
"""Fields of `run.yaml` that have to be equal, in words."""
_HINTS = {
    "calibration data": "run both at the same --calibration-data; embench compare --calibration-data K compares "
    "the gains of methods at K over no calibration data"
}


def common_targets(records: Sequence[Record]) -> list[str]:
    """The targets that all records have. Raises UsageError where there is none."""
    named = [list(r.run["targets"]) for r in records]
    common = [target for target in named[0] if all(target in others for others in named)]
    if not common:
        raise UsageError("the runs have no target in common", expected=" / ".join(", ".join(names) for names in named))
    return common


def check_same(records: Sequence[Record], *, but: Sequence[str] = ()) -> None:
    """Raises UsageError where the records differ in what makes their scores comparable, `but` in these things."""
    if len(records) < 2:
        raise UsageError("a comparison needs several runs", expected="two runs at least")
    for what, path in _SAME.items():
        if what in but:
            continue
        values = [_common_value(r.run, path) for r in records]
        for r, value in zip(records, values, strict=True):
            if value != values[0]:
                raise UsageError(
                    f"runs can't be compared: they differ in {what}",
                    where=f"{records[0].run['id']} and {r.run['id']}",
                    expected=f"the same; found: {_told(values[0])} and {_told(value)}",
                    hint=_HINTS.get(what, "run both with the same settings"),
                )


def _common_value(run: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = run
    for key in path:
        found = found.get(key)
    return found


def _told(value: Any) -> str:
    return format_value(value, missing="nothing") or "nothing"


def common_seeds(records: Sequence[Record]) -> tuple[int, ...]:
    """The seeds that all records have, in order. Raises UsageError where there is none."""
    named = [list(r.run["seeds"]) for r in records]
    common = set(named[0]).intersection(*named)
    if not common:
        raise UsageError(
            "runs can't be compared: they have no seed in common",
            where=_ids(records),
            expected=f"a seed that all runs have; found: {' / '.join(', '.join(map(str, seeds)) for seeds in named)}",
            hint="run both with the same --seeds",
        )
    return tuple(sorted(common))


def recorded_target(of: Record, name: str) -> Target:
    """The target of this name. Raises UsageError where the record has none."""
    for target in recorded_targets(of):
        if target.name == name:
            return target
    raise UsageError(f"no target `{name}`", where=of.run["id"], expected=", ".join(of.scores.primary_metrics))


def recorded_targets(of: Record) -> list[Target]:
    """The targets that were scored, from the label rules in the record."""
    card = of.run["card"]
    rules, steps = {row["name"]: row for row in card.get("label_rules", [])}, card.get("steps", {})
    return [
        Target(name, row["kind"], LabelRule(**_tuples(row["rule"])), row["label"], row["n"], step=steps.get(name))
        for name in of.scores.primary_metrics
        if (row := rules.get(name))
    ]


def _tuples(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in rule.items()}


def joined_on_common(records: Sequence[Record], target: Target, groups: Mapping[str, str]) -> list[Joined]:
    """The labelled units that all methods predict or, under protocols of version 3, should have predicted. Raises
    DataError where there are none, or they don't fit."""
    rows = [_labelled_predictions(r, target.name) for r in records]
    keys = [[f"{seed} {unit}" for seed, unit in zip(t["seed"].tolist(), t["unit"].tolist(), strict=True)] for t in rows]
    common = reduce(set.intersection, map(set, keys))
    if not common:
        raise DataError(f"the runs have no labelled unit of {target.name} in common", where=_ids(records))
    length = unit_length(rows[0]["unit"])
    every = []
    for r, t, key in zip(records, rows, keys, strict=True):
        ours = t.take(np.array([k in common for k in key]))
        rules = scoring_of(r.run)
        made = join(ours, r.labels, target, groups, length, records[0].sessions, whole=True, scoring=rules)  # type: ignore[arg-type]  # `_labelled_predictions` saw to it
        every.append(made[MODEL])
    for r, joined in zip(records, every, strict=True):
        if [(s, f, len(units)) for s, f, units in joined] != [(s, f, len(units)) for s, f, units in every[0]] or any(
            (a.subject != b.subject).any() for (_, _, a), (_, _, b) in zip(joined, every[0], strict=True)
        ):
            raise DataError(
                "the runs tested subjects in different folds, so that their models had other training subjects",
                where=f"{records[0].run['id']} and {r.run['id']}",
                expected="the same folds and seeds, for a file those of `embench data labels DATASET --units FILE`",
                hint="score predictions that were made in the folds of that list; folds of one's own can't be compared",
            )
        if any((a.y_true != b.y_true).any() for (_, _, a), (_, _, b) in zip(joined, every[0], strict=True)):
            raise DataError("the runs have different labels", where=f"{records[0].run['id']} and {r.run['id']}")
    return every


def _labelled_predictions(of: Record, target: str) -> Predictions:
    """The method's own rows of units that have a label."""
    if of.labels is None:
        raise DataError(
            "the record contains no labels, as those of this dataset are not public",
            where=of.run["id"],
            hint="compare the run's own folder, or run the method",
        )
    chosen = of.labels["target"] == target
    ids, seeds = of.labels["unit"][chosen], of.labels["seed"][chosen]
    labelled = set(zip(ids.tolist(), seeds.tolist(), strict=True))
    table = of.predictions
    own = table.rows_with(method=MODEL, target=target) | table.rows_with(method=UNPREDICTED, target=target)
    mine = np.flatnonzero(own)
    units, drawn = table["unit"][mine].tolist(), table["seed"][mine].tolist()
    known = [(u, ANY_SEED) in labelled or (u, s) in labelled for u, s in zip(units, drawn, strict=True)]
    return table.take(mine[np.array(known, bool)])


def has_shared_stimuli(of: Record) -> bool:
    """True if all subjects of the study had the same stimuli; False in records that don't say so."""
    return bool(of.run["cohort"].get("design") == "shared_stimuli")


def has_shared_subjects(of: Record) -> bool:
    """True if a subject is in both the training and the test part of a fold."""
    rows = {(r["seed"], r["fold"], r["subject"], r["role"]) for r in of.folds}
    return any((seed, fold, subject, "train") in rows for seed, fold, subject, role in rows if role == "test")


def _ids(records: Sequence[Record]) -> str:
    return ", ".join(r.run["id"] for r in records)
