"""Runs of the rows of a set: after a check of the data, a line for each row, and a file for each that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from embench import registry
from embench.callbacks import EventCallback, ProgressCallback
from embench.data import checks, find
from embench.data.checks import check_dataset_files
from embench.data.describe import DataReport
from embench.errors import DataError, EmbenchError, MachineError
from embench.files import cache_root, make_folder, read_text, write_text
from embench.planning.plan import Plan
from embench.planning.request import command_of
from embench.records.record import is_own
from embench.records.wording import format_duration, format_figure, format_score
from embench.runs import run as runner
from embench.runs.tuning import tune
from embench.sets.forecast import RowForecast
from embench.sets.table import best_control
from embench.statistics.answers import TargetAnswers
from embench.statistics.metrics import metric_facts
from embench.statistics.result import Result
from embench.store.fingerprint import synthetic
from embench.vocabulary import label

TUNED = "-tuned"
"""The end of the name of a file that says why a row could not be tuned."""


def check_readable(dataset: str, data_root: Path | None, progress: ProgressCallback | None = None) -> Mapping[str, Any]:
    """Verifies a dataset's files, unless these files were verified before, and returns the report on them that can be
    shared.

    Raises:
        DataError: there are no files, or some that cannot be used: scores would be of whatever the reader made of them.
    """
    entry, _ = find.place(dataset, data_root)
    reader = find.open_dataset(dataset, data_root, own_names=True)
    name, code = entry.full_name, registry.code_identity("dataset", entry.full_name)
    known = checks.recall(reader, code, cache_root())
    if known is not None and not known["errors"] and known.get("report"):
        return dict(known["report"])
    report, made_by = DataReport(), registry.load("dataset", name)
    checked = check_dataset_files(reader, name, cache_root(), progress, report.add)
    shared = report.document(name, code, made_by, reader.card, checked, synthetic=synthetic(reader.root) is not None)
    checks.remember(reader, code, checked, cache_root(), shared)
    if faults := [finding for finding in checked.findings if finding.severity == "error"]:
        raise DataError(
            f"{len(faults)} finding{'s' if len(faults) > 1 else ''} in the files of {reader.card.title} "
            f"{'are errors' if len(faults) > 1 else 'is an error'}, so nothing was trained: {faults[0].what}",
            where=f"{reader.root}, {faults[0].where}" if faults[0].where else str(reader.root),
            expected="unchanged files that the dataset reader can use",
            hint=f"to list all findings: embench data verify {dataset}",
        )
    return shared


def run_rows(
    rows: Sequence[RowForecast],
    *,
    hours: float | None = None,
    progress: EventCallback | None = None,
    told: Callable[[str], None],
    executor: str = "local",
    cluster: Mapping[str, str] | None = None,
) -> runner.GridResult:
    """Runs rows in order, or reads them again where they are done; those that fail hold up no other.

    Args:
        hours: after which all should be over. Each row is then run by itself, as where some are to be tuned; none is
            started whose forecast does not fit, and none is broken off.
        executor, cluster: who runs the stages, and its options; see `embench.runs.run.grid`.
        told: is given a line for each row: its headline beside the best control, why it failed, or was not started.

    Raises:
        MachineError: a worker was killed, or nothing can be written. The same call goes on where this one stopped.
    """
    began, counted, number = time.monotonic(), set[str](), 0
    results: list[Result] = []
    failures: dict[str, EmbenchError] = {}
    titles = {row.plan.id: row.row.title for row in rows}

    def ended(plan: Plan, end: Result | EmbenchError, mark: str = "") -> None:
        nonlocal number
        number += 1
        file = _failure_file(plan, mark)
        if isinstance(end, EmbenchError):
            line = f"failed: {end.what}; {file}"
            make_folder(file.parent)
            again = command_of(vars(plan.request))
            write_text(file, f"{plan.method.title}\n{again}\n{end.label}: {end}\n")
        else:
            line = "; ".join(_scored(end, found) for found in end.answers.values())
            file.unlink(missing_ok=True)
        title = some[0].row.title if len(some) == 1 else titles[plan.id]
        told(f"{number} of {len(rows)}: {title}: {line}")

    one_by_one = hours is not None or any(row.trials for row in rows)
    for some in [[row] for row in rows] if one_by_one else [list(rows)]:
        if hours is not None:
            needed, left = some[0].left_s(counted), hours * 3600 - (time.monotonic() - began)
            if needed > left:
                number += 1
                about = f"about {format_duration(needed)}, but only {format_duration(max(0.0, left))} are left"
                told(f"{number} of {len(rows)}: {some[0].row.title}: not started: the row takes {about}")
                continue
        requests = [row.plan.request for row in some]
        if some[0].trials and (search := some[0].row.search):
            try:
                requests = [tune(some[0].row.request, search, progress).request]
            except MachineError:
                raise
            except EmbenchError as error:
                ended(some[0].plan, error, TUNED)
                failures[some[0].row.title] = error
                continue
        done = runner.grid(requests, executor=executor, options=cluster, progress=progress, ended=ended)
        results += done.results
        failures |= done.failures
        counted |= {name for row in some for name in row.once}
    return runner.GridResult(tuple(results), failures)


def why_failed(row: RowForecast) -> str:
    """The reason why a row failed when it was run last, in a sentence; of own data, whose files it may quote, its kind
    alone. Empty where it was not run."""
    with suppress(OSError, IndexError):
        file = _failure_file(row.plan, TUNED if row.trials else "")
        label, _, what = read_text(file).splitlines()[2].partition(": ")
        return f"failed: {label}" if is_own(row.plan.dataset) else f"failed: {what}"
    return ""


def _failure_file(plan: Plan, mark: str) -> Path:
    return plan.request.runs_folder / "failures" / f"{plan.id}{mark}.txt"


def _scored(result: Result, found: TargetAnswers) -> str:
    """The primary metric of a target beside the best confound-only model."""
    name, best = found.shown, best_control(result, found.target, found.shown)
    score = format_score(result.scores.score(found.target, name), missing="not estimable")
    text = f"{found.target}: {metric_facts(name).title} {score}"
    if best is None:
        return text
    return f"{text}; best model without a signal {format_figure(best.scores[name].mean)} ({label(best.name)})"
