"""Runs of the rows of a set: after a check of the data, a line for each row, and a file for each that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from embench import registry
from embench.callbacks import EventCallback, ProgressCallback
from embench.data import find, verified
from embench.data.checks import check_dataset_files
from embench.errors import DataError, EmbenchError
from embench.files import make_folder, write_text
from embench.planning.plan import Plan
from embench.planning.request import command_of
from embench.records.cost import format_duration
from embench.records.wording import format_figure, format_score
from embench.runs import run as runner
from embench.sets.forecast import RowForecast
from embench.statistics.metrics import metric_facts
from embench.statistics.result import Result
from embench.statistics.verdict import TargetVerdict
from embench.store import cache_root


def check_readable(dataset: str, data_root: Path | None, progress: ProgressCallback | None = None) -> int:
    """Verifies a dataset's files, unless these files were verified before; returns the number of warnings.

    Raises:
        DataError: there are no files, or some that cannot be used: scores would be of whatever the reader made of them.
    """
    entry, _ = find.place(dataset, data_root)
    reader = find.open_dataset(dataset, data_root, own_names=True)
    code = registry.code_identity("dataset", entry.full_name)
    known = verified.recall(reader, code, cache_root())
    if known is not None and not known["errors"]:
        return int(known["warnings"])
    checked = check_dataset_files(reader, entry.full_name, cache_root(), progress)
    verified.remember(reader, code, checked, cache_root())
    if faults := [finding for finding in checked.findings if finding.severity == "error"]:
        raise DataError(
            f"{len(faults)} finding{'s' if len(faults) > 1 else ''} in the files of {reader.card.title} "
            f"{'are errors' if len(faults) > 1 else 'is an error'}, and nothing is trained on them: {faults[0].what}",
            where=f"{reader.root}, {faults[0].where}" if faults[0].where else str(reader.root),
            expected="files as their holder received them, all of which its reader can use",
            hint=f"embench data verify {dataset} lists all findings",
        )
    return checked.count("warning")


def run_rows(
    rows: Sequence[RowForecast],
    *,
    hours: float | None = None,
    progress: EventCallback | None = None,
    told: Callable[[str], None],
) -> runner.GridResult:
    """Runs rows in order, or reads them again where they are done; those that fail hold up no other.

    Args:
        hours: after which all should be over. Each row is then run by itself, none is started whose forecast does not
            fit, and none is broken off.
        told: is given a line for each row: its headline beside the best control, why it failed, or was not started.

    Raises:
        MachineError: a worker was killed, or nothing can be written. The same call goes on where this one stopped.
    """
    began, counted, number = time.monotonic(), set[str](), 0
    results: list[Result] = []
    failures: dict[str, EmbenchError] = {}
    titles = {row.plan.id: row.row.title for row in rows}

    def ended(plan: Plan, end: Result | EmbenchError) -> None:
        nonlocal number
        number += 1
        file = plan.request.runs_folder / "failures" / f"{plan.id}.txt"
        if isinstance(end, EmbenchError):
            line = f"failed: {end.what}; {file}"
            make_folder(file.parent)
            again = command_of(vars(plan.request))
            write_text(file, f"{plan.method.title}\n{again}\n{end.label}: {end}\n")
        else:
            line = "; ".join(_headline(end, verdict) for verdict in end.verdicts.values())
            file.unlink(missing_ok=True)
        told(f"{number} of {len(rows)}: {titles[plan.id]}: {line}")

    for some in [[row] for row in rows] if hours is not None else [list(rows)]:
        if hours is not None:
            needed, left = some[0].left_s(counted), hours * 3600 - (time.monotonic() - began)
            if needed > left:
                number += 1
                about = f"about {format_duration(needed)}, and {format_duration(max(0.0, left))} are left"
                told(f"{number} of {len(rows)}: {some[0].row.title}: not started: it takes {about}")
                continue
        done = runner.grid([row.plan.request for row in some], progress=progress, ended=ended)
        results += done.results
        failures |= done.failures
        counted |= {name for row in some for name in row.once}
    return runner.GridResult(tuple(results), failures)


def _headline(result: Result, verdict: TargetVerdict) -> str:
    """The headline of a target beside the best control."""
    name, higher = verdict.shown, metric_facts(verdict.shown).higher
    means = {control.name: control.scores.get(name) for control in result.scores.controls(verdict.target)}
    known = [(score.mean, control) for control, score in means.items() if score and score.mean is not None]
    text = f"{verdict.target} {name} {format_score(result.scores.score(verdict.target, name), missing='not estimable')}"
    if not known:
        return text
    mean, best = sorted(known, reverse=higher)[0]
    return f"{text}, best control {format_figure(mean)} ({best})"
