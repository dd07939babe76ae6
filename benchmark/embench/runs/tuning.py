"""Settings of a method that each fold chooses on its own validation subjects, who are not its test subjects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embench.engine.device import resolve_device
from embench.engine.stage import Folder
from embench.errors import CheckFailed, EmbenchError, Unfinished, UsageError
from embench.files import digest, make_folder, saving, write_text
from embench.interfaces.units import Target, Units
from embench.planning.graph import ExpectedPredictions, stage_folder
from embench.planning.method import resolve_method
from embench.planning.plan import Plan, make
from embench.planning.request import Request
from embench.planning.tuning import Choice, Search, Tuning, format_setting, hash_tuned_method, parse_space
from embench.runs import evaluate
from embench.runs import run as runner
from embench.statistics.estimates import WITHIN_SUBJECT_SCORES
from embench.system import EventCallback

if TYPE_CHECKING:
    from pandas import DataFrame

_DIGITS = 6
"""Digits to which scores are compared: smaller differences are ties, on any machine."""


@dataclass(frozen=True)
class TuningResult:
    """Result of a search.

    Args:
        tuning: the choices. `file`: the file that contains them. `request`: the run that tests them.
        errors: number of a failed trial -> its error.
    """

    tuning: Tuning
    file: Path
    request: Request
    errors: dict[int, EmbenchError]

    @property
    def trials(self) -> list[dict[str, Any]]:
        """A row for each trial: its number, settings, mean score of each target over folds, and how often it was
        `chosen`; for a failed trial also the `error`."""
        choices, found = self.tuning.choices, []
        for number, settings in enumerate(self.tuning.search.settings):
            own = {each.target: [c.scores[number] for c in choices if c.target == each.target] for each in choices}
            known = {target: [score for score in scores if score is not None] for target, scores in own.items()}
            means = {target: sum(scores) / len(scores) if scores else None for target, scores in known.items()}
            error = {"error": str(self.errors[number])} if number in self.errors else {}
            chosen = sum(choice.chosen == number for choice in choices)
            found.append({"trial": number, "settings": list(settings), "means": means, "chosen": chosen, **error})
        return found

    def to_pandas(self) -> DataFrame:
        """Return the trials as a table: one column per setting, the mean score of each target, and `chosen`."""
        import pandas as pd

        settings = [dict(setting.split("=", 1) for setting in row["settings"]) for row in self.trials]
        rows = zip(self.trials, settings, strict=True)
        return pd.DataFrame({"trial": r["trial"], **own, **r["means"], "chosen": r["chosen"]} for r, own in rows)


def tune(request: Request, search: Search, progress: EventCallback | None = None) -> TuningResult:
    """Run each trial of a search with `--dev`, and write which trial each seed, fold and target chooses.

    Finished trials are not run again: an interrupted search resumes, and a longer search adds trials. A finished run
    does not count as another evaluation of its subjects.

    Raises:
        UsageError: the method has no setting with this path. Unfinished: the method fails with its own settings.
    """
    if request.tuned:
        raise UsageError("`embench tune` cannot tune a method that is tuned already", where=f"--tuned {request.tuned}")
    check_search(request, search)
    request = replace(request, dev=True)
    candidates = {settings: replace(request, settings=(*request.settings, *settings)) for settings in search.settings}
    plans: dict[tuple[str, ...], Plan] = {}
    errors: dict[tuple[str, ...], EmbenchError] = {}

    def ended(plan: Plan, end: object) -> None:
        plans[plan.request.settings] = plan
        if isinstance(end, EmbenchError):
            errors[plan.request.settings] = end

    runner.grid(list(candidates.values()), progress=progress, ended=ended)
    trials = [candidates[settings].settings for settings in search.settings]
    if error := errors.get(trials[0]):
        raise Unfinished(
            f"the method fails with its default settings: {error.what}", where=error.where, hint=error.hint
        )
    root = stage_folder(request.runs_folder)
    tables = [None if trial in errors else read_tables(plans[trial].graph.predictions, root) for trial in trials]
    base, tested = plans[trials[0]], make(replace(request, dev=False))
    own = {_get_key(expected): expected for expected in base.graph.predictions}
    choices = [
        choose(base, own[key], [None if by_key is None else by_key[key] for by_key in tables])
        if key in own
        else _make_default_choice(key, len(tables))
        for key in map(_get_key, tested.graph.predictions)
    ]
    tuning = Tuning(of=hash_tuned_method(tested.config), search=search, choices=tuple(choices))
    file = name_tuning_file(tested, search)
    with saving("the choices", file):
        make_folder(file.parent)
        write_text(file, tuning.text())
    failed = {number: errors[trial] for number, trial in enumerate(trials) if trial in errors}
    return TuningResult(tuning, file, replace(request, dev=False, tuned=file), failed)


def name_tuning_file(plan: Plan, search: Search) -> Path:
    """Return the path of a search's file, for the method of a test plan."""
    fitted = sorted({plan.graph.fitted(e).id for e in plan.graph.predictions})
    names = "_".join(dict.fromkeys(part.short for part in plan.method.encoders.values()))
    mark = digest([hash_tuned_method(plan.config), plan.request.seed_list, fitted, search.model_dump(mode="json")])[:10]
    return plan.request.runs_folder / "tuning" / f"{names}-{plan.method.fusion.short}-{mark}.json"


def check_search(request: Request, search: Search) -> None:
    """Refuse settings that the method's recipes lack, before data are read. Raises UsageError."""
    card, device = request.card, resolve_device(request.device)
    for setting in _list_trial_settings(search):
        try:
            candidate = replace(request, settings=(*request.settings, setting))
            resolve_method(candidate, card, list(card.modalities), device)
        except UsageError as error:
            if error.where == f"--set {setting}":
                path = setting.partition("=")[0]
                what, where = error.what.replace(setting, path), f"--search {path}"
                raise UsageError(what, where=where, expected=error.expected, hint=error.hint) from error


def _list_trial_settings(search: Search) -> Iterator[str]:
    """Yield `path=value` for each value of each path of a search; of a range, only for its lower end."""
    for path, values in parse_space(search.space).items():
        yield from (
            f"{path}={value}" for value in (values if isinstance(values, tuple) else (format_setting(values.low),))
        )


def read_tables(predictions: Sequence[ExpectedPredictions], root: Path) -> dict[tuple[int, int, str], np.ndarray]:
    """Return (seed, fold, targets) -> predictions (units, columns) of finished stages."""
    return {_get_key(expected): Folder(root, expected.stage).predicted("score")[0] for expected in predictions}


def choose(plan: Plan, expected: ExpectedPredictions, tables: Sequence[np.ndarray | None]) -> Choice:
    """Return the trial whose predictions score best within the validation subjects of a seed and fold. If no score is
    defined within a subject, the score over all units decides; ties go to the first trial.

    Args:
        plan: the plan of the trial without settings, with `--dev`.
        tables: the predictions (units, columns) of each trial, None where it failed.

    Raises:
        CheckFailed: a validation unit is tested by the fold, or belongs to a tested subject who is not trained on.
    """
    units = [plan.fit.units[i] for i in expected.units]
    fold = next(fold for fold in plan.folds[expected.seed] if fold.index == expected.fold)
    if plan.fit is plan.test:
        subject_of = {unit.id: unit.subject for unit in plan.fit.units}
        tested = {subject_of[id_] for id_ in fold.test} - {subject_of[id_] for id_ in fold.train}
        seen = sorted({unit.id for unit in units if unit.subject in tested} | {u.id for u in units} & set(fold.test))
    else:
        seen = [] if plan.request.dev else [unit.id for unit in units]
    if seen:
        raise CheckFailed(
            "tuning must not use test subjects",
            where=f"seed {expected.seed}, fold {expected.fold}, unit {seen[0]}",
            expected="predictions for the validation subjects of the fold",
        )
    by_target = []
    for target, own in expected.columns():
        tried = [
            None if table is None else evaluate.select_labelled(plan, plan.fit, target, expected, table[:, own])[1]
            for table in tables
        ]
        by_target.append(_score_trials(target, tried))
    known = [values for _, values in by_target if set(values) != {None}] or [values for _, values in by_target]
    scores = [None if None in values else round(float(np.mean(values)), _DIGITS) for values in zip(*known, strict=True)]
    choice = Choice(
        seed=expected.seed,
        fold=expected.fold,
        target=_get_key(expected)[2],
        subjects=tuple(sorted({unit.subject for unit in units})),
        score=", ".join(dict.fromkeys(name for name, _ in by_target)),
        scores=tuple(scores),
        chosen=0,
    )
    return choice.model_copy(update={"chosen": choice.best})


def _make_default_choice(key: tuple[int, int, str], trials: int) -> Choice:
    """Return the choice of a fold whose validation subjects have none of the method's modalities."""
    seed, fold, target = key
    nothing = (None,) * trials
    return Choice(seed=seed, fold=fold, target=target, subjects=(), score="none", scores=nothing, chosen=0)


def _score_trials(target: Target, tried: Sequence[Units | None]) -> tuple[str, list[float | None]]:
    """Return the name of the score by which trials are compared on a target, and its value for each trial."""
    name = f"{target.traits.ranking_family}_within"
    inside = [None if units is None else _score_within_subjects(name, units) for units in tried]
    if any(value is not None for value in inside):
        return name, inside
    pooled = [units and replace(units, subject=np.full(len(units), "all")) for units in tried]
    return f"{name} pooled", [None if units is None else _score_within_subjects(name, units) for units in pooled]


def _score_within_subjects(name: str, units: Units) -> float | None:
    """Return the mean over subjects of the score of this name; None if no subject has one."""
    if not len(units):
        return None
    values = WITHIN_SUBJECT_SCORES[name](units, units.subjects[0])
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _get_key(expected: ExpectedPredictions) -> tuple[int, int, str]:
    return expected.seed, expected.fold, ",".join(target.name for target in expected.targets)
