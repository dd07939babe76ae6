"""`embench baselines` and `embench claims`: sets of runs that are planned, executed and compared together."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from embench import registry
from embench.cli import console
from embench.cli.console import fit_columns, show_parts, show_table
from embench.cli.options import (
    Cluster,
    DryRunOption,
    ExecutorName,
    ForecastFor,
    Json,
    apply_forecast,
    complete,
    parse_cluster,
    with_options,
)
from embench.data import data_folder
from embench.errors import EmbenchError
from embench.files import snapshot
from embench.records.wording import format_duration, grouped
from embench.screen import Progress, Steps, TableColumn, field, fields, set_plan

if TYPE_CHECKING:
    from embench.claims.examine import ClaimResult, Measured
    from embench.claims.files import AnyClaim, Claim, Printed, UntestedClaim
    from embench.claims.page import PageHead, PrintedResult
    from embench.runs.run import GridResult
    from embench.sets.files import BaselineSet, SetLevel
    from embench.sets.rows import BaselineRow
    from embench.sets.running import RowForecast
    from embench.statistics.result import Result


# `embench baselines`: the methods of a named set on a dataset, to compare a new method with; and the list of sets.

SETS = "baselines"
"""Name of baseline sets in `embench list`."""
_DEFAULT = "features-v1"


def _complete_set(incomplete: str) -> list[str]:
    return [path.stem for path in registry.find_shipped_files("baselines/*.yaml") if path.stem.startswith(incomplete)]


_SET_HELP = "Baseline set, or a YAML file; see `embench list baselines`."
_SetName = Annotated[str, Option("--baseline-set", autocompletion=_complete_set, help=_SET_HELP)]


@with_options(
    *("dataset", "modalities", "target", "protocol", "recipe", "seeds", "partitions"),
    *("device", "data-root", "runs", "dev", "workers"),
    help_texts={
        "modalities": "a,b,c; default: the dataset's own.",
        "target": "Targets, comma-separated.",
        "recipe": "Recipe of all rows; default: that of the set, else of `embench run`.",
    },
    before={
        **dict.fromkeys(("named", "level", "trials", "own"), "modalities"),
        **dict.fromkeys(("hours", "publish", "dry_run", "forecast_for"), "device"),
        **dict.fromkeys(("executor", "cluster"), "workers"),
    },
)
def baselines(
    *,
    named: _SetName = _DEFAULT,
    level: Annotated[
        Literal["core", "extended", "full"],
        Option(help="Rows of the set to run; each level includes the previous ones."),
    ] = "core",
    trials: Annotated[
        int | None, Option("--tune", min=2, help="Also tune each row by this number of trials, on validation subjects.")
    ] = None,
    own: Annotated[
        list[str] | None,
        Option(
            "--method",
            help="Method to compare with the set: FILE.py:Class, a plugin, a CSV file of predictions or a run; "
            "repeatable.",
        ),
    ] = None,
    hours: Annotated[float | None, Option(min=0, help="Skip rows whose forecast exceeds the remaining hours.")] = None,
    publish: Annotated[
        Path | None,
        Option(
            metavar="FOLDER",
            help="Leaderboards that get the entry of each finished row; rows that they have are not run again.",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    forecast_for: ForecastFor = None,
    executor: ExecutorName = "local",
    cluster: Cluster = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run a set of baseline methods with the confound-only models: check the data, run what fits, write one folder."""
    from embench.engine.executors import find_executor
    from embench.leaderboard import build_leaderboards
    from embench.sets import running
    from embench.sets.files import find_set
    from embench.sets.folder import publish_row
    from embench.sets.rows import baseline_rows

    find_executor(executor)
    chosen, gpu = parse_cluster(cluster or ()), apply_forecast(forecast_for, options, dry_run=dry_run)
    set_, dataset = find_set(named), options.pop("dataset")
    scored = [text for text in own or () if running.is_scored(text)]
    rows = running.build_user_rows([text for text in own or () if text not in scored], dataset, options)
    rows += baseline_rows(set_, level, dataset, options, trials)
    with Steps("subjects", "verified") as steps:
        report = running.check_readable(dataset, options["data_root"], steps)
    _note_warnings(report, dataset, options["data_root"])
    scored_results = [] if dry_run else [running.load_user_result(text, dataset, options) for text in scored]
    with snapshot(), Progress() as progress:
        feasible, unfit = running.forecast_rows(rows, progress.event)
        if publish and not (feasible := _select_unpublished(feasible, publish, progress)):
            return
        if dry_run:
            document = running.plan_document(set_, level, dataset, feasible, unfit, gpu)
        else:
            running.check_user_methods(feasible, progress.event)
            callbacks: dict[str, Any] = {"progress": progress.event, "print_line": progress.line}
            callbacks["finished"] = partial(publish_row, boards=publish, progress=progress.event) if publish else None
            done = running.run_rows(feasible, hours=hours, executor=executor, cluster=chosen, **callbacks)
    if dry_run:
        runs = feasible[0].plan.request.runs_folder
        console.answer(as_json, document, lambda: show_parts(set_plan(document, runs, executor)))
        return
    if publish:
        for path in build_leaderboards(publish):
            console.echo(str(path))
        done.check()
        return
    _finish_set(set_, level, dataset, options, (feasible, unfit), (scored_results, done), report, as_json=as_json)
    done.check()


def _finish_set(
    set_: BaselineSet,
    level: SetLevel,
    dataset: str,
    options: Mapping[str, Any],
    rows: tuple[Sequence[RowForecast], Sequence[BaselineRow]],
    runs: tuple[Sequence[Result], GridResult],
    report: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print the table of a set, and write its figures, its folder and the page of its paper.

    Args:
        rows: those that can be run, and those that cannot.
        runs: the user's finished runs and predictions, and the results of the rows.
        report: shareable report on the dataset's files."""
    from embench.sets.folder import write_folder
    from embench.sets.table import board_rows, write_figures
    from embench.site import build_site

    (feasible, unfit), (scored_results, done) = rows, runs
    user_ids = {result.id for result in scored_results} | {row.plan.id for row in feasible if row.row.level == "user"}
    results = [*scored_results, *done.results]
    targets = [name.strip() for name in (options["targets"] or "").split(",") if name.strip()]
    board = [row for row in board_rows(results, user_ids) if not targets or row["target"] in targets]
    document = {"set": set_.name, "level": level, "rows": board, "runs": [result.to_dict() for result in results]}
    console.answer(as_json, document, lambda: _print_board(_get_title(set_, level), board, results))
    folder = feasible[0].plan.folder.parent
    if set_.paper:
        _write_paper(set_.paper, dataset, options, (done, unfit), folder, show=not as_json)
    figures = write_figures(board, folder, set_.name) if user_ids & {result.id for result in results} else []
    with Progress() as progress:
        place = write_folder(set_, level, options, feasible, unfit, report, build_site, progress.event)
    if not as_json:
        left = f"; {len(unfit)} more need what {dataset} or these options lack: --dry-run names it" if unfit else ""
        _print_end(
            f"{_get_title(set_, level)}: {len(done.results)} of {len(feasible)} rows{left}", figures, place, board
        )


def _select_unpublished(rows: Sequence[RowForecast], boards: Path, progress: Progress) -> list[RowForecast]:
    """Return the rows that the leaderboards lack, and print how many they have."""
    from embench.sets.folder import is_in_leaderboards

    left = [row for row in rows if not is_in_leaderboards(row, boards)]
    progress.line(f"{len(rows) - len(left)} of {len(rows)} rows are published in {boards}")
    return left


def _note_warnings(report: Mapping[str, Any], dataset: str, data_root: Path | None) -> None:
    """Print the number of warnings on a dataset's files, and the command that lists them."""
    if count := sum(each["times"] for each in report["findings"] if each["severity"] == "warning"):
        console.note(f"{count} warning{'s' if count > 1 else ''} on the files; all files are used. To list them:")
        root = ["--data-root", str(data_root)] if data_root else []
        console.note(f"  {shlex.join(['embench', 'data', 'verify', dataset, *root])}")


def _print_board(title: str, board: Sequence[Mapping[str, Any]], runs: Sequence[Result]) -> None:
    """Print the table of a baseline set, the folders of its runs, and warnings."""
    from embench.cli import show

    show.warn_of_synthetic(any(each.is_synthetic for each in runs))
    show.print_folders(runs, named=show.print_board(board, title))


def _write_paper(
    paper: str,
    dataset: str,
    options: Mapping[str, Any],
    rows: tuple[GridResult, Sequence[BaselineRow]],
    folder: Path,
    *,
    show: bool,
) -> None:
    """Write a page with the numbers that a paper printed next to the results; with `show`, also print them.

    Args:
        rows: results of the finished rows, and the rows that do not apply to the dataset.
    """
    from embench.claims.page import claims_page
    from embench.files import make_folder, write_text
    from embench.sets.rows import examine_paper

    done, unfit = rows
    found = examine_paper(paper, dataset, options, done, ((row.request, row.reason) for row in unfit))
    make_folder(folder)
    write_text(folder / f"{paper}.md", claims_page(*found))
    if show:
        print_claims(*found)
        console.wrapped(f"Published and reproduced numbers side by side: {folder / f'{paper}.md'}")


def _print_end(count: str, figures: Sequence[Path], folder: Path | None, board: Sequence[Mapping[str, Any]]) -> None:
    """Print the end of a baseline set: `count` (a text on rows), files, next command, and the user's best method."""
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
        if row["best"] and row["role"] == "user":
            console.wrapped(row["answer"], bold=True)


def list_sets() -> list[dict[str, Any]]:
    """Return name, summary, state, number of rules of each level, and hash of all installed baseline sets."""
    from embench.sets.files import SET_LEVELS, installed_sets

    rows = []
    for each in installed_sets().values():
        rules = None if each.paper else {level: len(each.rules(level)) for level in SET_LEVELS}
        about = {"kind": SETS, "name": each.name, "summary": each.summary, "state": "draft" if each.draft else "fixed"}
        rows.append({**about, "rules": rules, "hash": each.hash})
    return rows


def print_sets() -> None:
    """Print the baseline sets as a table."""
    show_table(list_sets(), fields("name", "summary", "state"), title=SETS)


def _get_title(found: BaselineSet, level: str) -> str:
    return f"{found.name}{' (draft)' if found.draft else ''}, {level}"


# `embench claims`: claims of papers, listed, or run under the fixed protocol and the papers' own, with a verdict.

ALL = "all"
"""Argument that selects every paper."""
LEGS: Mapping[str, Sequence[Any]] = {"both": ("fixed", "paper"), "fixed": ("fixed",), "paper": ("paper",)}


@with_options(
    *("recipe", "seeds", "device", "data-root", "runs", "set", "workers"),
    help_texts={
        "set": "Change a setting of both methods, encoder[video]... for methods that read video; repeatable.",
    },
    before={"paper": "recipe", "claim": "recipe", "printed": "recipe", "dataset": "recipe", "protocols": "recipe"},
)
def claims(
    paper: Annotated[
        str | None,
        Argument(metavar="[PAPER]", help="Name of a paper, such as wu2023, or `all`. Default: list the papers."),
    ] = None,
    *,
    claim: Annotated[list[str] | None, Option(help="Id of a claim; repeatable.")] = None,
    printed: Annotated[
        bool, Option("--printed-numbers", help="List each number in the paper's tables and whether embench can run it.")
    ] = False,
    dataset: Annotated[
        list[str] | None,
        Option(autocompletion=complete("dataset"), help="Dataset to use instead of the claim's datasets; repeatable."),
    ] = None,
    protocols: Annotated[
        Literal["both", "fixed", "paper"], Option(help="Protocols to run: the fixed one, that of the paper, or both.")
    ] = "both",
    dry_run: DryRunOption = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """List the claims of papers, or test claims: run the two methods of each claim and compare them."""
    from embench.claims import files

    if printed:
        from embench.claims.files import printed_tables

        files.select_claims(None if paper == ALL else paper, ())  # raises if the paper is unknown
        _print_numbers(printed_tables(None if paper == ALL else paper), options["data_root"], as_json=as_json)
        return
    chosen = files.select_claims(None if paper == ALL else paper, tuple(claim or ()))
    if not (paper or claim or dry_run):
        _print_claims(chosen, options["data_root"], as_json=as_json)
        return
    from embench.claims import examine  # with torch, which a list does not need
    from embench.claims.corpora import describe_pretraining

    tested = [each for each in chosen if isinstance(each, files.Claim)]
    for_verdict = {**options, "seeds": options["seeds"] or ",".join(map(str, range(examine.MIN_SEEDS)))}
    options_of = {"fixed": options, "paper": for_verdict}
    pairs = [p for leg in LEGS[protocols] for p in examine.claim_pairs(tested, dataset or (), [leg], options_of[leg])]
    # Only under the papers' own protocols: the fixed protocols do not score these measurements.
    measurable = [each for each in chosen if isinstance(each, files.MeasuredClaim) and protocols != "fixed"]
    if dry_run:
        rows = examine.preview_claims(pairs)
        values = examine.examine_measured(measurable, dataset or (), for_verdict, dry_run=True)
    else:
        with Progress() as progress:
            rows = examine.examine_claims(pairs, progress.event)
            values = examine.examine_measured(measurable, dataset or (), for_verdict, progress.event)
    untested = [each for each in chosen if isinstance(each, files.UntestedClaim)]
    examined: Sequence[AnyClaim] = [*tested, *measurable]
    document = _as_json(examined, [*rows, *values], untested)
    by_dataset = grouped((name, claim) for claim in examined for name in dataset or claim.datasets)
    notes = [n for name, own in by_dataset.items() for n in describe_pretraining((), own, name, options["data_root"])]
    console.answer(
        as_json, document | {"notes": notes}, lambda: print_claims(tested, rows, values, untested, (), notes)
    )
    if not dry_run:
        examine.check_all_compared([*rows, *values])


def _print_claims(found: Sequence[AnyClaim | UntestedClaim], data_root: Path | None, *, as_json: bool) -> None:
    """Print the claims of each paper, and the datasets here with which they can be tested."""
    available = {name: _is_available(name, data_root) for claim in found for name in getattr(claim, "datasets", ())}

    def place(claim: AnyClaim | UntestedClaim) -> str:
        datasets = list(getattr(claim, "datasets", ()))
        if not datasets:
            return "not yet in embench"
        names = [name for name in datasets if available[name]]
        return f"on {', '.join(names)}" if names else f"requires {' or '.join(datasets)}"

    if as_json:
        keys = ("paper", "id", "claim", "datasets", "not_tested")
        rows = [{name: getattr(claim, name) for name in keys if hasattr(claim, name)} for claim in found]
        lists = [row | {"datasets": list(row["datasets"])} if "datasets" in row else row for row in rows]
        console.document([row | {"here": [n for n in row.get("datasets", ()) if available[n]]} for row in lists])
        return
    columns = [field("id"), field("claim"), TableColumn("can be tested", place)]
    for paper, claims_of_paper in grouped((claim.paper, claim) for claim in found).items():
        show_table(claims_of_paper, columns, title=paper)
    testable = [claim.paper for claim in found if any(available[name] for name in getattr(claim, "datasets", ()))]
    console.wrapped("Test the claims of a paper, or of `all` papers; --dry-run prints the plan:")
    console.command(f"embench claims {next(iter(testable), found[0].paper if found else ALL)} --recipe quick --dry-run")


def _print_numbers(papers: Sequence[Printed], data_root: Path | None, *, as_json: bool) -> None:
    """Print each number in the tables of papers, with the dataset that its run requires, or why it cannot be run."""
    rows: list[dict[str, Any]] = []
    for tables in papers:
        for row in tables.rows:
            about: dict[str, Any] = {"paper": tables.paper, "table": ", ".join(row.tables), "row": row.row}
            about |= {"dataset": row.dataset, "here": _is_available(row.dataset, data_root)}
            about |= {"protocol": row.protocol or tables.protocol}
            for target, metric, figures in row.numbers():
                number = {"target": target, "score": metric, "printed": tables.in_words(figures)}
                rows.append({**about, **number, "options": row.run.stated, "remarks": row.remarks})
        rows += [{"paper": tables.paper, **unread.model_dump()} for unread in tables.unread]
    if as_json:
        console.document(rows)
        return

    def place(row: Mapping[str, Any]) -> str:
        return row.get("why") or (f"on {row['dataset']}" if row["here"] else f"requires {row['dataset']}")

    columns = [*fields("table"), TableColumn("row", lambda row: row.get("row") or row["what"])]
    columns += fields("target", "score", "printed")
    for paper, own in grouped((row["paper"], row) for row in rows).items():
        show_table(own, [*columns, TableColumn("can be run", place)], title=paper)
    for dataset in dict.fromkeys(row["dataset"] for row in rows if row.get("here")):
        for paper in dict.fromkeys(row["paper"] for row in rows if row.get("dataset") == dataset):
            console.command(f"embench baselines --dataset {dataset} --baseline-set paper-{paper} --dry-run")


def _is_available(dataset: str, data_root: Path | None) -> bool:
    """Return True if the folder of the dataset exists; its content is not checked."""
    try:
        return data_folder(registry.find("dataset", dataset), data_root).is_dir()
    except EmbenchError:  # the dataset's package is not installed
        return False


def _as_json(
    tested: Sequence[AnyClaim], rows: Sequence[ClaimResult | Measured], untested: Sequence[UntestedClaim]
) -> dict[str, Any]:
    """Return tested claims with their results, and untested claims, as `--json` prints them."""
    names = {"id", "paper", "claim", "direction", "measure", "by", "margin", "published", "protocol"}
    names |= {"metric", "remarks"}
    described = [
        claim.model_dump(include=names) | {"rows": [row.to_dict() for row in rows if row.claim is claim]}
        for claim in tested
    ]
    return {"claims": described, "not_tested": [claim.model_dump() for claim in untested]}


def print_claims(
    tested: Sequence[Claim],
    rows: Sequence[ClaimResult],
    values: Sequence[Measured],
    untested: Sequence[UntestedClaim],
    printed: Sequence[PrintedResult] = (),
    notes: Sequence[str] = (),
    head: PageHead | None = None,
) -> None:
    """Print what was run (`head`), results next to a paper's tables (`printed`, with `notes`), then the results of each
    claim, then the claims that cannot be tested yet.

    Args:
        tested: claims with two compared methods, whose results are `rows`.
        values: results of claims on one measured value.
    """
    from embench.claims.page import MEANING, OBTAINED, claim_cells, rows_by_claim, run_lines
    from embench.cli.show import warn_of_synthetic

    all_rows: Sequence[ClaimResult | Measured] = [*rows, *values]
    generated = any(row.synthetic for row in [*all_rows, *printed])
    warn_of_synthetic(generated)
    if head:
        _print_head(head)
    _print_printed(printed, notes)
    for claim, claim_rows in rows_by_claim(tested, rows, values):
        console.wrapped(f"{claim.paper} {claim.id}: {claim.claim}", bold=True)
        for name, line in run_lines(claim, claim_rows).items():
            console.wrapped(f"{name}: {line}")
        cells = claim_cells(claim_rows)
        for row, cost in zip(cells, [row.cost for row in claim_rows if row.status == "compared"], strict=False):
            row["cost"] = ", ".join(f"{side} {format_duration(s)}" for side, s in cost.items())
        _show_cells(cells)
        leaks = {name: text for row in claim_rows for name, text in getattr(row, "leaks", {}).items()}
        for protocol, what in leaks.items():
            console.wrapped(f"{protocol} leaks: {what}")
        missing = [row for row in claim_rows if row.status not in OBTAINED]
        lines = (((row.status, row.dataset, row.target, row.reason), getattr(row, "protocol", "")) for row in missing)
        for (status, *place, reason), protocols in grouped(lines).items():
            line = f"{status}: {' '.join(filter(None, place))}"
            line += f" ({', '.join(protocols)})" if any(protocols) else ""
            console.wrapped(f"{line}: {reason}" if reason else line)
        if claim.remarks:
            console.wrapped(claim.remarks)
        console.echo()
    for what_to_do in dict.fromkeys(row.what_to_do for row in all_rows if row.what_to_do):
        console.wrapped(f"what to do: {what_to_do}")
    columns = [*fields("paper", "id"), field("claim", "statement"), field("not_tested", "reason")]
    show_table(untested, columns, title="not yet tested in embench")
    if any(row.status in OBTAINED for row in all_rows):
        console.wrapped(MEANING)
    warn_of_synthetic(generated)


def _print_head(head: PageHead) -> None:
    """Print what was run for a paper's page."""
    console.wrapped(f"Printed and obtained: {head.headline}", bold=True)
    for name, text in head.facts.items():
        console.wrapped(f"{name}: {text}")
    columns = [field(name, name) for name in (head.methods[0] if head.methods else ())]
    show_table(head.methods, fit_columns(head.methods, columns, ["protocol", "settings left open"]))


def _print_printed(printed: Sequence[PrintedResult], notes: Sequence[str]) -> None:
    """Print results next to the numbers in a paper's tables, and notes on both."""
    from embench.claims.page import printed_cells

    cells, primary, reasons = printed_cells(printed)
    columns = [field(name, name) for name in (cells[0] if cells else ())]
    show_table(cells, fit_columns(cells, columns, ["table", "score"]), title="tables")
    show_table(primary)
    for note in (*reasons, *notes):
        console.wrapped(note)
    if reasons or notes:
        console.echo()


def _show_cells(rows: Sequence[Mapping[str, str]]) -> None:
    """Print a table of claims' results for each dataset and protocol, without empty columns."""
    for place, cells in grouped((f"{row['dataset']}, {row['protocol']}", row) for row in rows).items():
        filled = {name for row in cells for name, text in row.items() if text != "-"} - {"dataset", "protocol"}
        columns = [field(name, name) for name in cells[0] if name in filled]
        show_table(cells, fit_columns(cells, columns, ["recipe", "cost", "of", "size"]), title=place)
