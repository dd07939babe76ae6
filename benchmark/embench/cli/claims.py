"""`embench claims`: what papers claim, listed, or run under the fixed protocol and under their own, with a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from embench import registry
from embench.cli import console
from embench.cli.options import DryRunOption, Json, completes, with_options
from embench.cli.tables import TableColumn, field, fields, fitting, grouped, show_table
from embench.data.locations import data_folder
from embench.errors import EmbenchError
from embench.records.cost import format_duration
from embench.screen.progress import Progress

if TYPE_CHECKING:
    from embench.claims.examine import ClaimResult, Measured
    from embench.claims.files import AnyClaim, Claim, Printed, UntestedClaim
    from embench.claims.page import PrintedResult

ALL = "all"
"""The argument that selects every paper."""
LEGS: Mapping[str, Sequence[Any]] = {"both": ("fixed", "own"), "fixed": ("fixed",), "own": ("own",)}


@with_options(
    *("recipe", "seeds", "device", "data-root", "runs", "set", "workers"),
    help_texts={
        "set": "Change a setting of both methods, encoder[video]... for methods that read video; repeatable.",
    },
    before={"paper": "recipe", "claim": "recipe", "printed": "recipe", "dataset": "recipe", "under": "recipe"},
)
def claims(
    paper: Annotated[
        str | None,
        Argument(metavar="[PAPER]", help="Name of a paper, such as wu2023, or `all`. Default: list the papers."),
    ] = None,
    *,
    claim: Annotated[list[str] | None, Option(help="Id of a claim; repeatable.")] = None,
    printed: Annotated[
        bool, Option("--printed", help="List each number in the paper's tables and whether embench can run it.")
    ] = False,
    dataset: Annotated[
        list[str] | None,
        Option(autocompletion=completes("dataset"), help="Dataset to use instead of the claim's datasets; repeatable."),
    ] = None,
    under: Annotated[
        Literal["both", "fixed", "own"], Option(help="Use the fixed protocol, the papers' protocols, or both.")
    ] = "both",
    dry_run: DryRunOption = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """List the claims of papers, or test claims: run the two methods of each claim and compare them."""
    from embench.claims import files

    if printed:
        from embench.claims.files import printed_tables

        files.select_claims(None if paper == ALL else paper, ())  # refuses a paper that nobody knows
        _list_printed(printed_tables(None if paper == ALL else paper), options["data_root"], as_json=as_json)
        return
    chosen = files.select_claims(None if paper == ALL else paper, tuple(claim or ()))
    if not (paper or claim or dry_run):
        _list(chosen, options["data_root"], as_json=as_json)
        return
    from embench.claims import examine  # with torch, which a list does not need

    tested = [each for each in chosen if isinstance(each, files.Claim)]
    pairs = examine.claim_pairs(tested, dataset or (), LEGS[under], options)
    # Only under the papers' own protocols: what they measure is a score of no fixed protocol.
    measurable = [each for each in chosen if isinstance(each, files.MeasuredClaim) and under != "fixed"]
    if dry_run:
        rows = examine.preview_claims(pairs)
        values = examine.examine_measured(measurable, dataset or (), options, dry_run=True)
    else:
        with Progress() as progress:
            rows = examine.examine_claims(pairs, progress=progress.event, workers=options["workers"])
            values = examine.examine_measured(measurable, dataset or (), options, progress.event)
    untested = [each for each in chosen if isinstance(each, files.UntestedClaim)]
    document = _document([*tested, *measurable], [*rows, *values], untested)
    console.answer(as_json, document, lambda: print_claims(tested, rows, values, untested))
    if not dry_run:
        examine.check_all_compared([*rows, *values])


def _list(found: Sequence[AnyClaim | UntestedClaim], data_root: Path | None, *, as_json: bool) -> None:
    """Prints what each paper claims, and on which data at hand it can be tested; runs and plans nothing."""
    available = {name: _at_hand(name, data_root) for claim in found for name in getattr(claim, "datasets", ())}

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
    for paper, own in grouped((claim.paper, claim) for claim in found).items():
        show_table(own, columns, title=paper)
    able = [claim.paper for claim in found if any(available[name] for name in getattr(claim, "datasets", ()))]
    console.wrapped("Test the claims of a paper, or of `all` papers; --dry-run prints the plan:")
    console.command(f"embench claims {next(iter(able), found[0].paper if found else ALL)} --recipe quick --dry-run")


def _list_printed(papers: Sequence[Printed], data_root: Path | None, *, as_json: bool) -> None:
    """Prints each number in the tables of papers, with the data that its run needs, or why it could not be read."""
    rows: list[dict[str, Any]] = []
    for tables in papers:
        for row in tables.rows:
            about: dict[str, Any] = {"paper": tables.paper, "table": ", ".join(row.tables), "row": row.row}
            about |= {"dataset": row.dataset, "here": _at_hand(row.dataset, data_root)}
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
            console.command(f"embench baselines --dataset {dataset} --set paper-{paper} --dry-run")


def _at_hand(dataset: str, data_root: Path | None) -> bool:
    """True where there is a folder of the dataset; planning checks its content."""
    try:
        return data_folder(registry.find("dataset", dataset), data_root).is_dir()
    except EmbenchError:  # of a package that is not installed
        return False


def _document(
    tested: Sequence[AnyClaim], rows: Sequence[ClaimResult | Measured], untested: Sequence[UntestedClaim]
) -> dict[str, Any]:
    """The document of `--json`."""
    kept = {"id", "paper", "claim", "direction", "measure", "by", "margin", "published", "protocol"}
    kept |= {"metric", "remarks"}
    described = [
        claim.model_dump(include=kept) | {"rows": [row.json() for row in rows if row.claim is claim]}
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
) -> None:
    """Prints what was obtained of the numbers in tables, what was compared and measured, claim by claim, and the claims
    that cannot be tested yet."""
    from embench.claims.page import MEANING, compared_cells, options_line
    from embench.cli.show import warn_of_synthetic

    every: Sequence[ClaimResult | Measured] = [*rows, *values]
    generated = any(row.synthetic for row in [*every, *printed])
    warn_of_synthetic(generated)
    _print_printed(printed, notes)
    for claim in tested:
        own = [row for row in rows if row.claim is claim]
        dataset = own[0].dataset if own else next(iter(claim.datasets))
        console.wrapped(f"{claim.paper} {claim.id}: {claim.claim}", bold=True)
        console.wrapped(f"a: {options_line(claim.options('a', dataset))}")
        console.wrapped(f"b: {options_line(claim.options('b', dataset))}")
        compared = [row for row in own if row.status == "compared"]
        cost = (", ".join(f"{side} {format_duration(s)}" for side, s in row.cost.items()) for row in compared)
        _show_cells([compared_cells(row) | {"cost": text} for row, text in zip(compared, cost, strict=True)])
        rest = [((row.status, row.dataset, row.target, row.reason), row.protocol) for row in own]
        for (status, *place, reason), protocols in grouped(each for each in rest if each[0][0] != "compared").items():
            line = f"{status}: {' '.join(filter(None, place))} ({', '.join(protocols)})"
            console.wrapped(f"{line}: {reason}" if reason else line)
        if claim.remarks:
            console.wrapped(claim.remarks)
        console.echo()
    _print_measured(values)
    for what_to_do in dict.fromkeys(row.what_to_do for row in every if row.what_to_do):
        console.wrapped(f"what to do: {what_to_do}")
    columns = [*fields("paper", "id"), field("claim", "statement"), field("not_tested", "reason")]
    show_table(untested, columns, title="not yet tested in embench")
    if any(row.status in ("compared", "measured") for row in every):
        console.wrapped(MEANING)
    warn_of_synthetic(generated)


def _print_printed(printed: Sequence[PrintedResult], notes: Sequence[str]) -> None:
    """Prints what was obtained of the numbers in tables, and what must be known to read it."""
    from embench.claims.page import printed_cells

    cells, reasons = printed_cells(printed)
    columns = [field(name, name) for name in (cells[0] if cells else ())]
    show_table(cells, fitting(cells, columns, ["table"]), title="tables")
    for note in (*reasons, *notes):
        console.wrapped(note)
    if reasons or notes:
        console.echo()


def _show_cells(rows: Sequence[Mapping[str, str]]) -> None:
    """Prints a table for each dataset and protocol, without columns that hold nothing, and with cost and sizes where
    they fit."""
    for place, own in grouped((f"{row['dataset']}, {row['protocol']}", row) for row in rows).items():
        filled = {name for row in own for name, text in row.items() if text != "-"} - {"dataset", "protocol"}
        columns = [field(name, name) for name in own[0] if name in filled]
        show_table(own, fitting(own, columns, ["recipe", "cost", "of", "size"]), title=place)


def _print_measured(values: Sequence[Measured]) -> None:
    """Prints claims that compare no scores: the measured values, and their range if the claim is right."""
    from embench.claims.page import measured_cells, options_line

    for (paper, claim), own in grouped(((row.claim.paper, row.claim.id), row) for row in values).items():
        about = own[0].claim
        console.wrapped(f"{paper} {claim}: {about.claim}", bold=True)
        for name, run in about.runs.items():
            console.wrapped(f"{name}: {options_line(run.stated)}")
        _show_cells([measured_cells(row) for row in own if row.status == "measured"])
        for protocol, what in {name: text for row in own for name, text in row.leaks.items()}.items():
            console.wrapped(f"{protocol} leaks: {what}")
        for row in own:
            if row.status != "measured":
                where = " ".join(filter(None, [row.dataset, row.target]))
                console.wrapped(f"{row.status}: {where}" + (f": {row.reason}" if row.reason else ""))
        if about.remarks:
            console.wrapped(about.remarks)
        console.echo()
