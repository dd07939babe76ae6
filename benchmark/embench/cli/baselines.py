"""`embench baselines`: the rows of a named set on a dataset, which a new method is read against; and the list of
sets."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Option

from embench import registry
from embench.cli import console
from embench.cli.options import Cluster, DryRunOption, ExecutorName, Json, cluster_options, with_options
from embench.cli.tables import fields, show_parts, show_table
from embench.screen.plan import set_plan
from embench.screen.progress import Progress, Steps
from embench.snapshot import snapshot

if TYPE_CHECKING:
    from embench.runs.run import GridResult
    from embench.sets.files import BaselineSet
    from embench.sets.rows import BaselineRow
    from embench.statistics.result import Result

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
    before={
        **dict.fromkeys(("named", "level", "trials", "own"), "modalities"),
        **dict.fromkeys(("hours", "dry_run"), "device"),
        **dict.fromkeys(("executor", "cluster"), "workers"),
    },
)
def baselines(
    *,
    named: Annotated[
        str, Option("--set", autocompletion=_names, help="Baseline set, or a YAML file; see `embench list baselines`.")
    ] = _DEFAULT,
    level: Annotated[
        Literal["core", "extended", "full"], Option(help="Rows of the set to run; each level holds those before it.")
    ] = "core",
    trials: Annotated[
        int | None, Option("--tune", min=2, help="Tune each row, too, by so many trials on validation subjects.")
    ] = None,
    own: Annotated[
        list[str] | None,
        Option(
            "--with",
            help="Your method beside them: FILE.py:Class, a plugin, a CSV file of predictions or a run; repeatable.",
        ),
    ] = None,
    hours: Annotated[
        float | None, Option(min=0, help="Start no row whose forecast does not fit into so many hours.")
    ] = None,
    dry_run: DryRunOption = False,
    executor: ExecutorName = "local",
    cluster: Cluster = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run a set of baseline methods with the confound-only models: check the data, run what fits, write one folder."""
    from embench.engine.executors import find_executor
    from embench.sets.files import find_set
    from embench.sets.folder import write_folder
    from embench.sets.forecast import forecast_rows
    from embench.sets.own import check_own, is_scored, own_result, own_rows
    from embench.sets.plan import plan_document
    from embench.sets.rows import baseline_rows
    from embench.sets.running import check_readable, run_rows
    from embench.sets.table import board_rows, write_figures

    find_executor(executor)
    chosen = cluster_options(cluster or ())
    found, dataset = find_set(named), options.pop("dataset")
    given = [text for text in own or () if is_scored(text)]
    rows = own_rows([text for text in own or () if text not in given], dataset, options)
    rows += baseline_rows(found, level, dataset, options, trials)
    with Steps("subjects", "verified") as steps:
        report = check_readable(dataset, options["data_root"], steps)
    _note_warnings(report, dataset, options["data_root"])
    finished = [] if dry_run else [own_result(text, dataset, options) for text in given]
    with snapshot(), Progress() as progress:
        able, unfit = forecast_rows(rows, progress.event)
        if dry_run:
            document = plan_document(found, level, dataset, able, unfit)
        else:
            check_own(able, progress.event)
            told: dict[str, Any] = {"progress": progress.event, "told": progress.line}
            done = run_rows(able, hours=hours, executor=executor, cluster=chosen, **told)
    if dry_run:
        runs = able[0].plan.request.runs_folder
        console.answer(as_json, document, lambda: show_parts(set_plan(document, runs, executor)))
        return
    mine = {result.id for result in finished} | {row.plan.id for row in able if row.row.level == "own"}
    every = [*finished, *done.results]
    board = _of_targets(board_rows(every, mine), options.get("target"))
    document = {"set": found.name, "level": level, "board": board, "runs": [result.json() for result in every]}
    console.answer(as_json, document, lambda: _print_board(_title(found, level), board, every))
    folder = able[0].plan.folder.parent
    if found.paper:
        _paper_page(found.paper, dataset, options, (done, unfit), folder, show=not as_json)
    figures = write_figures(board, folder, found.name) if mine & {result.id for result in every} else []
    with Progress() as progress:
        kept = write_folder(found, level, options, able, unfit, report, _write_site, progress.event)
    if not as_json:
        left = f"; {len(unfit)} more need what {dataset} or these options lack: --dry-run names it" if unfit else ""
        _print_end(f"{_title(found, level)}: {len(done.results)} of {len(able)} rows{left}", figures, kept, board)
    done.check()


def _write_site(entries: Path, out: Path, notes: Path) -> None:
    from embench.site import build_site

    build_site(entries, out, notes_folder=notes)


def _note_warnings(report: Mapping[str, Any], dataset: str, data_root: Path | None) -> None:
    """Says how many warnings there are on the files that will be used."""
    if count := sum(each["times"] for each in report["findings"] if each["severity"] == "warning"):
        console.note(f"{count} warning{'s' if count > 1 else ''} on the files; all files are used. To list them:")
        root = ["--data-root", str(data_root)] if data_root else []
        console.note(f"  {shlex.join(['embench', 'data', 'verify', dataset, *root])}")


def _of_targets(board: Sequence[Mapping[str, Any]], target: str | None) -> list[Mapping[str, Any]]:
    """The rows of the targets that were asked for, of all where none was."""
    targets = [name.strip() for name in (target or "").split(",") if name.strip()]
    return [row for row in board if not targets or row["target"] in targets]


def _print_board(title: str, board: Sequence[Mapping[str, Any]], runs: Sequence[Result]) -> None:
    """Prints the rows of a board, and what must be known to read them."""
    from embench.cli import show
    from embench.cli.board import print_board

    show.warn_of_synthetic(any(each.synthetic for each in runs))
    show.run_folders(runs, named=print_board(board, title))


def _paper_page(
    paper: str,
    dataset: str,
    options: Mapping[str, Any],
    rows: tuple[GridResult, Sequence[BaselineRow]],
    folder: Path,
    *,
    show: bool,
) -> None:
    """Writes what a paper printed and what was obtained side by side as a page, and prints it where it is to `show`.
    `rows`: what is done of them, and those that do not fit."""
    from embench.claims.page import claims_page
    from embench.cli.claims import print_claims
    from embench.files import make_folder, write_text
    from embench.sets.paper import examine_paper

    done, unfit = rows
    found = examine_paper(paper, dataset, options, done, ((row.request, row.reason) for row in unfit))
    make_folder(folder)
    write_text(folder / f"{paper}.md", claims_page(*found))
    if show:
        print_claims(*found)
        console.wrapped(f"Published and reproduced numbers side by side: {folder / f'{paper}.md'}")


def _print_end(count: str, figures: Sequence[Path], folder: Path | None, board: Sequence[Mapping[str, Any]]) -> None:
    """Prints how many rows there are, where figures and the folder of the set lie, the next command, and if one's own
    method is better."""
    console.wrapped(count)
    if figures:
        console.wrapped(f"figures: {', '.join(map(str, figures))}")
    if folder:
        console.echo(f"folder: {folder}")
        if (folder / "entries").is_dir():
            console.wrapped("Check its entries, and write them among leaderboards:")
            console.command(f"embench leaderboard submit {shlex.quote(str(folder))}")
        else:
            synthetic = any(row["synthetic"] for row in board)
            why = "the data are synthetic" if synthetic else "its README.md says why"
            console.wrapped(f"It has no entries for leaderboards: {why}.")
    for row in board:
        if row["best"] and row["role"] == "own":
            console.wrapped(row["answer"], bold=True)


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


def _title(found: BaselineSet, level: str) -> str:
    return f"{found.name}{' (draft)' if found.draft else ''}, {level}"
