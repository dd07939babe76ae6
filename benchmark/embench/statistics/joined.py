"""Predictions joined with labels, for one record or for several that are compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError, UsageError
from embench.interfaces.units import LabelRule, Target, Units
from embench.protocols import MADE_BY_METHOD, Design, UnitId
from embench.records.manifest import describe_tuning
from embench.records.predictions import ANY_SEED, MODEL, UNPREDICTED, Labels, Predictions, as_scored
from embench.records.record import Record
from embench.records.wording import format_value, in_words, recorded_hyperparameters
from embench.statistics.conditioned import ranges_by_code
from embench.statistics.intervals import Jackknife

_NOT_SETTINGS = frozenset({"assumed", "code", "datasets", "plugin"})
"""Keys of a recorded part that are not settings."""
_MAX_SETTINGS = 4
"""Largest number of differing settings in a name. Runs of different recipes with more are named by their recipe."""


def make_names_unique(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return unique names of methods. Equal names get the settings in which their runs differ, such as `context 60 s`,
    or the run's id if they differ in none.

    Args:
        runs: the content of each run.yaml."""
    detailed = list(names)
    for name in {name for name in names if name and names.count(name) > 1}:
        positions = [i for i, each in enumerate(names) if each == name]
        for i, settings in zip(positions, _differing_settings([runs[i] for i in positions]), strict=True):
            detailed[i] = ", ".join([name, *settings])
    return [
        name if detailed.count(name) == 1 else f"{name} ({run['id']})" if name else run["id"]
        for name, run in zip(detailed, runs, strict=True)
    ]


def _differing_settings(runs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return for each run the settings that not all of the runs share."""
    recipes = [str((run.get("recipe") or {}).get("preset", "")) for run in runs]
    settings = [_settings(run) for run in runs]
    all_keys = dict.fromkeys(key for each in settings for key in each)
    keys = [key for key in all_keys if len({each.get(key) for each in settings}) > 1]
    if len(set(recipes)) > 1 and len(keys) > _MAX_SETTINGS:
        requested = [{setting.partition("=")[0] for setting in (run["recipe"].get("settings") or ())} for run in runs]
        keys = ["recipe", *(key for key in keys if any(key in each for each in requested))]
        settings = [{"recipe": f"recipe {recipe}", **each} for recipe, each in zip(recipes, settings, strict=True)]
    return [list(dict.fromkeys(each[key] for key in keys if each.get(key))) for each in settings]


def _settings(run: Mapping[str, Any]) -> dict[str, str]:
    """Return path -> setting in words, for all settings of a run."""
    config = run.get("config") or {}
    parts, request = config.get("parts") or {}, config.get("request") or {}
    settings = {path: text for part, recipe in parts.items() for path, text in _part_settings(part, recipe)}
    for name, about in (run.get("objects") or {}).items():
        for text in recorded_hyperparameters(str(about.get("repr", ""))):
            settings[f"{name.rpartition(':')[2]} {text.partition('(')[0]}"] = text
    options = {
        "train_dataset": "trained on {}", "drop": "without {}", "label_subjects": "labels of {} subjects",
        "label_fraction": "{} of the labels", "lag": "lag {} s", "pretrained": "weights {}",
    }  # fmt: skip
    given = {name: text for name, text in options.items() if request.get(name)}
    settings |= {name: text.format(Path(str(request[name])).name) for name, text in given.items()}
    if tuned := describe_tuning(config):
        settings["tuned"] = tuned[0]
    return settings


def _part_settings(part: str, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield path and words for each setting of a part. Equal parts of several modalities get the same words."""
    kind = re.sub(r"\[.*?\]", "", part)
    for name, value in recipe.items():
        if name == "view":
            yield f"{part}.view", _view_in_words(value or {})
        elif isinstance(value, Mapping):
            yield from (
                (f"{part}.{name}.{key}", f"{in_words(key)} {_setting_in_words(each)}") for key, each in value.items()
            )
        elif name not in _NOT_SETTINGS:
            yield f"{part}.{name}", f"{kind} {in_words(name)} {_setting_in_words(value)}"


def _view_in_words(view: Mapping[str, Any]) -> str:
    """Return the words for the view of a part (what it reads of a unit), as names of methods contain them."""
    kind, length, step = view.get("kind") or "unit", view.get("length_s"), view.get("step_s")
    every = f" every {step:g} s" if step and kind == "window" else ""
    return f"{kind} {length:g} s{every}" if length and kind != "unit" else f"whole {kind}s"


def _setting_in_words(value: Any) -> str:
    words = {True: "on", False: "off", None: "none"}
    return words[value] if value is None or isinstance(value, bool) else format_value(value, "g")


@dataclass(frozen=True)
class Joined:
    """One method's labelled units of one target. `seeds`: seed -> fold -> units."""

    seeds: dict[int, dict[int, Units]]

    def __iter__(self) -> Iterator[tuple[int, int, Units]]:
        """Yield seed, fold and units."""
        for seed, folds in self.seeds.items():
            for fold, units in folds.items():
                yield seed, fold, units

    @cached_property
    def predicted(self) -> Joined:
        """The units with a prediction."""
        known = [is_predicted(units) for _, _, units in self]
        if all(each.all() for each in known):
            return self
        seeds: dict[int, dict[int, Units]] = {}
        for (seed, fold, units), each in zip(self, known, strict=True):
            if each.any():
                seeds.setdefault(seed, {})[fold] = units.take(each)
        return Joined(seeds)

    def tested_subjects(self) -> list[dict[int, np.ndarray]]:
        """Return for each seed a dictionary: fold -> tested subjects (P,)."""
        return [{fold: units.subjects[0] for fold, units in folds.items()} for folds in self.seeds.values()]

    def trained(self, jackknife: Jackknife) -> np.ndarray:
        """Return (S, G, G) bool for each seed: a group of subjects (column) may have trained the models that predict
        another group (row), because no fold tests both."""
        key = jackknife.subjects.tobytes(), jackknife.codes.tobytes()
        if key not in self._trained:
            together = []
            for folds in self.tested_subjects():
                tested = np.stack([jackknife.select(members) for members in folds.values()])
                groups = jackknife.by_group(tested.astype(int))
                together.append(groups.T @ groups > 0)
            self._trained[key] = ~np.stack(together)
        return self._trained[key]

    @cached_property
    def _trained(self) -> dict[tuple[bytes, bytes], np.ndarray]:
        """Content of a jackknife -> the result of `trained`, as far as it was needed."""
        return {}


def is_predicted(units: Units) -> np.ndarray:
    """Return (n,) True for each unit with a prediction."""
    return finite_rows(units.score)


def finite_rows(score: np.ndarray) -> np.ndarray:
    """Return (n,) True for each finite row of scores (n,) or (n, K).

    >>> finite_rows(np.zeros(0)).tolist(), finite_rows(np.array([[1.0, np.nan], [0.0, 1.0]])).tolist()
    ([], [False, True])
    """
    known = np.isfinite(score)
    return np.asarray(known.all(1) if known.ndim > 1 else known)


def shared_stimuli(design: Design | None, joined: Joined) -> list[str]:
    """Return the names of the stimuli if subjects share several stimuli; empty for other studies."""
    stimuli = {name for _, _, units in joined for name in units.stimulus.tolist()}
    return sorted(stimuli) if design == "shared_stimuli" and len(stimuli) > 1 else []


def varies_within_stimuli(joined: Joined) -> bool:
    """Return True if a subject has different labels (for values: at least a step apart) within one stimulus."""
    return any(np.isfinite(units.length_s) and _labels_differ(units) for _, _, units in joined)


def _labels_differ(units: Units) -> bool:
    """Return True if a subject has different labels within one stimulus, see `varies_within_stimuli`."""
    stimuli, stimulus = np.unique(units.stimulus, return_inverse=True)
    ranges = ranges_by_code(units.y_true, units.subjects[1] * len(stimuli) + stimulus)
    return bool(((ranges > 0) & (ranges >= units.step)).any())


def join(
    predictions: Predictions,
    labels: Labels,
    target: Target,
    groups: Mapping[str, str],
    unit_length_s: float,
    sessions: Mapping[str, float] | None = None,
    *,
    whole: bool = False,
) -> dict[str, Joined]:
    """Return method -> its labelled units. Confound-only models are limited to the units of the run's method.

    Args:
        groups: subject -> group. `sessions`: subject -> length of the session in s, if known.
        whole: whether to include units that lack a required prediction.

    Raises:
        DataError: a score is missing or not finite, a unit is predicted twice, or subjects are unknown to `groups`."""
    chosen = predictions.rows_with(target=target.name)
    table = predictions if chosen.all() else predictions.take(chosen)
    y = labels_of(table, labels, target)
    units = table.texts("unit")
    unit = units.code
    # One number for each (seed, unit); the order of units is then by seed, fold and unit id, whatever the file's.
    key = (table["seed"] - table["seed"].min(initial=0)) * max(1, len(units.names)) + unit
    method_of = table.texts("method")
    is_of = {name: method_of.code == code for code, name in enumerate(method_of.names.tolist())}
    not_predicted = is_of.pop(UNPREDICTED, None)
    if whole and not_predicted is not None:  # the method's variants without calibration data lack the same units
        variants = [name for name in (MODEL, *MADE_BY_METHOD) if name in {MODEL, *is_of}]
        is_of |= {name: is_of.get(name, False) | not_predicted for name in variants}
    known = np.isfinite(y) & np.isin(key, key[is_of[MODEL]] if MODEL in is_of else [])
    values = labels["label"][labels["target"] == target.name]
    step, whole_numbers = target.find_step(values), bool((values == np.rint(values)).all())
    methods = {}
    for method in sorted(is_of, key=lambda name: (name != MODEL, name)):
        rows = np.flatnonzero(is_of[method] & known)
        rows = rows[np.lexsort((unit[rows], table["fold"][rows], table["seed"][rows]))]
        if not np.diff(np.sort(key[rows])).all():  # `np.unique` takes fifty times as long
            raise DataError(f"units are predicted more than once in a seed by {method}", where=f"target {target.name}")
        units_in_order = units_of(table.take(rows), y[rows], target, groups, unit_length_s, sessions)
        labelled = replace(units_in_order, step=step, whole_numbers=whole_numbers)
        methods[method] = _split_by_fold(labelled, table["seed"][rows])
    return methods


def unit_length(ids: np.ndarray) -> float:
    """Return the nominal length in s of the units with these ids (n,), which contain recording, start and stop. NaN if
    no recording has several units, so that units are whole recordings."""
    spans = [UnitId.read(id_) for id_ in set(ids.tolist())]
    if len({span.recording for span in spans}) == len(spans):
        return float("nan")
    return float(np.median([span.stop_ms - span.start_ms for span in spans])) / 1000


def labels_of(predictions: Predictions, labels: Labels, target: Target) -> np.ndarray:
    """Return (n,) the label of each row of predictions, NaN for an unlabelled unit."""
    y = np.full(len(predictions), np.nan)
    units = predictions.texts("unit")
    for seed in np.unique(labels["seed"][labels["target"] == target.name]).tolist():
        chosen = (labels["target"] == target.name) & (labels["seed"] == seed)
        order = np.argsort(labels["unit"][chosen])
        ids, values = labels["unit"][chosen][order], labels["label"][chosen][order]
        position = np.minimum(np.searchsorted(ids, units.names), len(ids) - 1)
        has_label, position = (ids[position] == units.names)[units.code], position[units.code]
        if seed != ANY_SEED:
            has_label &= predictions["seed"] == seed
        y[has_label] = values[position][has_label]
    return y


def _split_by_fold(units: Units, seed_of: np.ndarray) -> Joined:
    """Return units (n,) as seed -> fold -> units. They must be ordered by seed (`seed_of` (n,)) and fold."""
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
    """Return predictions of one target and their labels `y` (n,) as `Units`, the form that metrics take.

    Raises:
        DataError: a score is missing or not finite, or subjects are unknown to `groups`."""
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
    recording, moment = _recordings_and_moments(rows)
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


def _recordings_and_moments(rows: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) the number of the recording of each row's unit, and the time since that recording began, in s. A
    recording is one stimulus."""
    units = rows.texts("unit")
    number, moment = _read_unit_names(tuple(units.names.tolist()))
    return number[units.code], moment[units.code]


@lru_cache(maxsize=8)
def _read_unit_names(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) the number of each unit's recording, and its start in the recording in s; all methods of a record
    predict the same units."""
    ids = [UnitId.read(unit) for unit in names]
    number = np.unique(np.array([id_.recording for id_ in ids], np.str_), return_inverse=True)[1]
    return number, np.array([id_.start_ms / 1000 for id_ in ids])


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
"""Fact that compared records must share -> its path in `run.yaml`."""
_HINTS = {
    "calibration data": "run both at the same --calibration-data; embench compare --calibration-data K compares "
    "the gains of methods at K over no calibration data"
}


def common_targets(records: Sequence[Record]) -> list[str]:
    """Return the targets that all records have. Raises UsageError if there is none."""
    named = [list(r.run["targets"]) for r in records]
    common = [target for target in named[0] if all(target in others for others in named)]
    if not common:
        raise UsageError("the runs have no target in common", expected=" / ".join(", ".join(names) for names in named))
    return common


def check_same(records: Sequence[Record], *, but: Sequence[str] = ()) -> None:
    """Raise UsageError if records differ in a fact of `_SAME`, except those named in `but`. Scores of such records are
    not comparable."""
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
                    expected=f"the same; found: {_found_in_words(values[0])} and {_found_in_words(value)}",
                    hint=_HINTS.get(what, "run both with the same settings"),
                )


def _common_value(run: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = run
    for key in path:
        value = value.get(key)
    return value


def _found_in_words(value: Any) -> str:
    return format_value(value, missing="nothing") or "nothing"


def common_seeds(records: Sequence[Record]) -> tuple[int, ...]:
    """Return the seeds that all records have, in order. Raises UsageError if there is none."""
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


def recorded_target(record: Record, name: str) -> Target:
    """Return the target of this name. Raises UsageError if the record has none."""
    for target in recorded_targets(record):
        if target.name == name:
            return target
    raise UsageError(f"no target `{name}`", where=record.run["id"], expected=", ".join(record.scores.primary_metrics))


def recorded_targets(record: Record) -> list[Target]:
    """Return the scored targets of a record, from its label rules."""
    card = record.run["card"]
    rules, steps = {row["name"]: row for row in card.get("label_rules", [])}, card.get("steps", {})
    targets = []
    for name in record.scores.primary_metrics:
        if row := rules.get(name):
            rule: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row["rule"].items()}
            known = LabelRule(**rule)
            targets.append(Target(name, row["kind"], known, row["label"], row["n"], step=steps.get(name)))
    return targets


def joined_on_common(records: Sequence[Record], target: Target, groups: Mapping[str, str]) -> list[Joined]:
    """Return for each record its labelled units that all records list: predicted units, and units that
    a method had to predict and did not. `groups`: subject -> group.

    Raises:
        DataError: no unit is common, or folds or labels differ."""
    rows = [_labelled_predictions(r, target.name) for r in records]
    shared = rows if len(rows) == 1 else _take_common(rows)
    if not all(map(len, shared)):
        raise DataError(f"the runs have no labelled unit of {target.name} in common", where=_ids(records))
    length = unit_length(rows[0]["unit"])
    all_joined = []
    for r, t in zip(records, shared, strict=True):
        methods = join(t, r.labels, target, groups, length, records[0].sessions, whole=True)  # type: ignore[arg-type]  # `_labelled_predictions` checks that there are labels
        all_joined.append(methods[MODEL])
    first = all_joined[0]
    for r, joined in zip(records, all_joined, strict=True):
        if [(s, f, len(units)) for s, f, units in joined] != [(s, f, len(units)) for s, f, units in first] or any(
            (a.subject != b.subject).any() for (_, _, a), (_, _, b) in zip(joined, first, strict=True)
        ):
            raise DataError(
                "the runs tested subjects in different folds, so that their models had other training subjects",
                where=f"{records[0].run['id']} and {r.run['id']}",
                expected="the same folds and seeds, for a file those of `embench data labels DATASET --units FILE`",
                hint="score predictions that were made in the folds of that list; folds of one's own can't be compared",
            )
        if any((a.y_true != b.y_true).any() for (_, _, a), (_, _, b) in zip(joined, first, strict=True)):
            raise DataError("the runs have different labels", where=f"{records[0].run['id']} and {r.run['id']}")
    return all_joined


def _take_common(tables: Sequence[Predictions]) -> list[Predictions]:
    """Return the rows of each table whose seed and unit all tables have."""
    columns = [zip(t["seed"].tolist(), t["unit"].tolist(), strict=True) for t in tables]
    keys = [[f"{seed} {unit}" for seed, unit in of_table] for of_table in columns]
    common = reduce(set.intersection, map(set, keys))
    return [t.take(np.array([k in common for k in key], bool)) for t, key in zip(tables, keys, strict=True)]


def _labelled_predictions(record: Record, target: str) -> Predictions:
    """Return the rows of the run's own method (also of unpredicted units) for units that have a label."""
    if record.labels is None:
        raise DataError(
            "the record contains no labels, as those of this dataset are not public",
            where=record.run["id"],
            hint="compare the run's own folder, or run the method",
        )
    chosen = record.labels["target"] == target
    ids, seeds = record.labels["unit"][chosen], record.labels["seed"][chosen]
    table = record.predictions
    is_own = table.rows_with(method=MODEL, target=target) | table.rows_with(method=UNPREDICTED, target=target)
    rows = np.flatnonzero(is_own)
    units, known = table.texts("unit"), np.zeros(len(rows), bool)
    for seed in np.unique(seeds).tolist():
        has_label = np.isin(units.names, ids[seeds == seed])[units.code[rows]]
        known |= has_label if seed == ANY_SEED else has_label & (table["seed"][rows] == seed)
    return table.take(rows[known])


def has_shared_stimuli(record: Record) -> bool:
    """Return True if all subjects of the study had the same stimuli; False if the record does not say so."""
    return bool(record.run["cohort"].get("design") == "shared_stimuli")


def has_shared_subjects(record: Record) -> bool:
    """Return True if a subject is in both the training and the test part of a fold."""
    rows = {(r["seed"], r["fold"], r["subject"], r["role"]) for r in record.folds}
    return any((seed, fold, subject, "train") in rows for seed, fold, subject, role in rows if role == "test")


def _ids(records: Sequence[Record]) -> str:
    return ", ".join(r.run["id"] for r in records)
