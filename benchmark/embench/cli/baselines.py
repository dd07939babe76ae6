"""`embench baselines`: the rows of a named set on a dataset, which a new method is read against; and the list of
sets."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Option

from embench import registry
from embench.cli import console
from embench.cli.options import DryRun, Json, with_options
from embench.cli.progress import Progress, Steps
from embench.cli.tables import fields, grouped, show_table
from embench.errors import UsageError
from embench.planning.request import command_of
from embench.records.cost import format_duration
from embench.snapshot import snapshot

if TYPE_CHECKING:
    from embench.sets.files import BaselineSet
    from embench.sets.forecast import RowForecast
    from embench.sets.rows import BaselineRow

SETS = "baselines"
"""The word of `embench list` for baseline sets."""
_DEFAULT = "features-v1"


def _names(incomplete: str) -> list[str]:
    return [path.stem for path in registry.shipped("baselines/*.yaml") if path.stem.startswith(incomplete)]


@with_options(
    *("dataset", "modalities", "target", "protocol", "recipe", "seeds"),
    *("device", "data-root", "runs", "dev", "workers"),
    help_texts={
        "modalities": "a,b,c; default: the dataset's own.",
        "target": "Targets, comma-separated.",
        "recipe": "Recipe of all rows; default: that of the set, else of `embench run`.",
    },
    before={"named": "modalities", "level": "modalities", "hours": "device", "dry_run": "device"},
)
def baselines(
    *,
    named: Annotated[
        str, Option("--set", autocompletion=_names, help="Baseline set, or a YAML file; see `embench list baselines`.")
    ] = _DEFAULT,
    level: Annotated[
        Literal["core", "extended", "full"], Option(help="SetLevel of the set; each holds those before it.")
    ] = "core",
    hours: Annotated[
        float | None, Option(min=0, help="Start no row whose forecast does not fit into so many hours.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run the baselines of a set: check the data, then run the rows that fit them, with their controls."""
    from embench.cli import show
    from embench.sets.files import find_set
    from embench.sets.forecast import forecast_rows
    from embench.sets.rows import baseline_rows
    from embench.sets.running import check_readable, run_rows

    found, dataset = find_set(named), options.pop("dataset")
    rows = baseline_rows(found, level, dataset, options)
    with Steps("subjects", "verified") as steps:
        doubts = check_readable(dataset, options["data_root"], steps)
    if doubts:
        line = f"embench data verify {shlex.quote(dataset)} lists them"
        console.note(f"{doubts} warning{'s' if doubts > 1 else ''} on the files, which are used all the same: {line}")
    with snapshot(), Progress(several=True) as progress:
        able, unfit = forecast_rows(rows, progress.event)
        if not dry_run and able:
            done = run_rows(able, hours=hours, progress=progress.event, told=progress.line)
    if not able:
        reasons = "; ".join(dict.fromkeys(row.reason for row in unfit))
        raise UsageError(f"no row of {found.name} fits {dataset}: {reasons}", hint="embench list baselines")
    if dry_run:
        document = _plan(found, level, dataset, able, unfit)
        console.answer(as_json, document, lambda: _print_plan(found, document, able[0].plan.request.runs_folder))
        return
    console.answer(as_json, [result.json() for result in done.results], lambda: show.results(done.results))
    if not as_json:
        left = f"; {len(unfit)} more do not fit {dataset}: --dry-run says why" if unfit else ""
        console.wrapped(f"{_title(found, level)}: {len(done.results)} of {len(able)} rows{left}")
        if found.paper:
            given = {name: options[name] for name in ("recipe", "seeds", "data_root", "runs") if options[name]}
            words = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items()]
            console.wrapped("Printed and obtained numbers side by side:")
            console.command(" ".join(["embench claims", found.paper, "--dataset", shlex.quote(dataset), *words]))
    done.check()


def listed_sets() -> list[dict[str, Any]]:
    """Name, summary, number of rules up to each level, and state of each installed baseline set."""
    from embench.sets.files import SET_LEVELS, installed_sets

    return [
        {
            "kind": SETS,
            "name": each.name,
            "summary": each.summary,
            "state": "draft" if each.draft else "fixed",
            "rules": None if each.paper else {level: len(each.rules(level)) for level in SET_LEVELS},
            "hash": each.hash,
        }
        for each in installed_sets().values()
    ]


def print_sets() -> None:
    """Prints the baseline sets as a table."""
    show_table(listed_sets(), fields("name", "summary", "state"), title=SETS)


def _plan(
    found: BaselineSet, level: str, dataset: str, able: Sequence[RowForecast], unfit: Sequence[BaselineRow]
) -> dict[str, Any]:
    """The document of `--dry-run`: rows in the order in which they are run, with the hours that each adds."""
    from embench.sets.forecast import lefts

    rows: list[dict[str, Any]] = [
        {
            "row": each.row.title,
            "level": each.row.level,
            "run": each.plan.id,
            "device": each.plan.setting.device,
            "done": each.done,
            "expected_s": round(left_s, 1),
            "memory_mb": round(each.memory_mb),
            "disk_mb": 0.0 if each.done else round(each.disk_mb, 1),
            "command": command_of(vars(each.row.request)),
        }
        for each, left_s in zip(able, lefts(able), strict=True)
    ]
    return {
        "set": found.name,
        "hash": found.hash,
        "draft": found.draft,
        "level": level,
        "dataset": dataset,
        "synthetic": able[0].plan.test.store.synthetic is not None,
        "expected_s": round(sum(row["expected_s"] for row in rows), 1),
        "memory_mb": max(row["memory_mb"] for row in rows),
        "disk_mb": round(sum(row["disk_mb"] for row in rows), 1),
        "rows": rows,
        "does_not_fit": [_unfit(row) for row in unfit],
    }


def _title(found: BaselineSet, level: str) -> str:
    return f"{found.name}{' (draft)' if found.draft else ''}, {level}"


def _unfit(row: BaselineRow) -> dict[str, str]:
    return {"row": row.title, "level": row.level, "reason": row.reason}


def _print_plan(found: BaselineSet, document: dict[str, Any], runs: Path) -> None:
    import shutil

    from embench.cli.show import warn_of_synthetic

    warn_of_synthetic(document["synthetic"])
    show_table(
        (
            {
                "": number,
                "row": row["row"],
                "level": row["level"],
                "time": "done" if row["done"] else format_duration(row["expected_s"]),
                "memory": f"{row['memory_mb'] / 1000:.1f} GB",
                "disk": f"{row['disk_mb']:.0f} MB",
            }
            for number, row in enumerate(document["rows"], 1)
        ),
        title=f"{_title(found, document['level'])}, on {document['dataset']}",
    )
    _print_unfit(document["does_not_fit"])
    ended = sum(row["done"] for row in document["rows"])
    existing = next(path for path in (runs.absolute(), *runs.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    console.wrapped(
        f"{ended} of {len(document['rows'])} rows done; left: about {format_duration(document['expected_s'])}, at most "
        f"about {document['memory_mb'] / 1000:.1f} GB of memory and {document['disk_mb'] / 1000:.1f} GB below {runs}, "
        f"where {free:.0f} GB are free. Each row brings its controls."
    )


def _print_unfit(rows: Sequence[dict[str, str]]) -> None:
    by_reason = grouped((row["reason"], row["row"].partition(" on ")[0]) for row in rows)
    show_table(
        ({"does not fit": ", ".join(dict.fromkeys(own)), "reason": reason} for reason, own in by_reason.items()),
    )
