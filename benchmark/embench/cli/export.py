"""`embench export`: texts and files on runs, a dataset or a board for a paper, a reviewer or a hub; `embench report`: a
run as a page of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataAt, DataRoot, TrustCode, completes, named_runs
from embench.errors import UsageError
from embench.files import saving, write_text
from embench.screen.progress import Steps
from embench.texts import visible


def export(
    runs: Annotated[
        list[Path] | None,
        Argument(
            metavar="[RUN..]",
            help="Folders of finished runs or leaderboard entries; default: all runs of --dataset in runs/.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        Option(
            help="Dataset to describe (--croissant), or that of the runs: for your own data, its folder.",
            autocompletion=completes("dataset"),
        ),
    ] = None,
    board: Annotated[
        Path | None, Option(help="With --croissant or --hub: describe this leaderboard folder instead of a run.")
    ] = None,
    latex: Annotated[bool, Option("--latex", help="LaTeX tables of scores (package booktabs).")] = False,
    columns: Annotated[
        str | None, Option(help="Columns of --latex after the method and the primary metric, comma-separated.")
    ] = None,
    methods: Annotated[bool, Option("--methods", help="A methods section, with citations.")] = False,
    bibtex: Annotated[
        bool, Option("--bibtex", help="BibTeX entries of the datasets, the methods and embench.")
    ] = False,
    table: Annotated[
        Path | None,
        Option(metavar="FILE.csv", help="File to write: labels and scores by unit, for a mixed model in R."),
    ] = None,
    reforms: Annotated[bool, Option("--reforms", help="The REFORMS checklist of each run, in Markdown.")] = False,
    croissant: Annotated[
        bool, Option("--croissant", help="Croissant metadata (JSON-LD) of a dataset or of a leaderboard table.")
    ] = False,
    hub: Annotated[
        str | None,
        Option(
            metavar="OWNER/NAME",
            help=(
                "Files for the Hugging Face Hub benchmark dataset of this name: results of runs, or eval.yaml of a "
                "leaderboard."
            ),
        ),
    ] = None,
    out: Annotated[Path | None, Option(help="File to write; default: standard output.")] = None,
    trust_code: TrustCode = False,
) -> None:
    """Export tables, methods text or citations for a paper, or metadata for other tools."""
    chosen = {"--latex": latex, "--methods": methods, "--bibtex": bibtex, "--reforms": reforms}
    chosen |= {"--table": table is not None}
    chosen |= {"--croissant": croissant, "--hub": hub is not None}
    _check(runs or [], dataset, board, [name for name, wanted in chosen.items() if wanted], columns)
    if board is not None:
        files = _of_board(board, out, hub)
    elif croissant:
        from embench.report import forms

        files = {out: forms.dataset_croissant(dataset or _dataset_of(runs or []))}
    else:
        folders = named_runs(runs, dataset, "embench export")
        if table is not None:
            _write_table(folders, dataset, table, trust_code=trust_code)
            if not any(chosen[name] for name in chosen if name != "--table"):
                return
        files = {out: _of_runs(folders, dataset, chosen, columns, hub, trust_code=trust_code)}
    for path, text in files.items():
        _write(path, text)


def _check(
    runs: Sequence[Path], dataset: str | None, board: Path | None, wanted: Sequence[str], columns: str | None
) -> None:
    """Raises UsageError where the options do not fit the things to describe."""
    where = "embench export"
    described = runs and dataset and "--croissant" in wanted  # else the dataset is where the data of the runs lie
    if not (runs or dataset or board) or (board and (runs or dataset)) or described:
        several = "export runs, a dataset or a leaderboard, one at a time"
        what = several if runs or dataset or board else "nothing to export is named"
        raise UsageError(what, where=where, expected="RUN.., --dataset or --board")
    possible = ["--latex", "--methods", "--bibtex", "--table", "--reforms", "--croissant", "--hub"]
    possible = ["--croissant", "--hub"] if board else possible
    subject = "a leaderboard" if board else "runs"
    if not wanted:
        raise UsageError(
            "no output format is named", where=where, expected=f"{', '.join(possible[:-1])} or {possible[-1]}"
        )
    if wrong := [name for name in wanted if name not in possible]:
        raise UsageError(f"{wrong[0]} cannot export {subject}", where=where, expected=", ".join(possible))
    documents = [name for name in wanted if name in ("--croissant", "--hub")]
    if documents and len(wanted) > 1:
        raise UsageError(
            f"{documents[0]} cannot be combined with other outputs", where=where, expected=f"{documents[0]} alone"
        )
    if columns is not None and "--latex" not in wanted:
        raise UsageError("--columns applies to --latex only", where="--columns", expected="--latex")


def _of_runs(
    runs: Sequence[Path],
    dataset: str | None,
    chosen: Mapping[str, bool],
    columns: str | None,
    hub: str | None,
    *,
    trust_code: bool,
) -> str:
    from embench.data.find import data_at
    from embench.records import record
    from embench.records.names import names_resolved
    from embench.report import forms
    from embench.report import latex as paper

    records = [record.read_record(folder) for folder in runs]
    named = list(zip(runs, records, strict=True))
    columns_wanted = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
    of = [record.manifest.dataset.name for record in records]
    with names_resolved(named, trust_code=trust_code, given=dataset), data_at(dataset, None, of):
        if hub is not None:
            return forms.hub_results(records, hub)
        texts = []
        if chosen["--latex"]:
            texts.append(paper.latex_tables(records, columns_wanted))
        if chosen["--methods"]:
            texts.append(paper.methods_section(records))
        if chosen["--bibtex"]:
            texts.append(paper.bibtex(records))
        if chosen["--reforms"]:
            texts += [forms.reforms_checklist(*each) for each in named]
        return "\n".join(texts)


def _write_table(runs: Sequence[Path], dataset: str | None, path: Path, *, trust_code: bool) -> None:
    """Write labels and scores by unit, and print a line of R for them."""
    from embench.data.find import data_at
    from embench.records.names import names_resolved
    from embench.records.record import format_csv, read_record
    from embench.report.unit_table import UNIT_COLUMNS, WHY_DIFFERENT, mixed_model, score_columns, unit_rows

    records = [read_record(folder) for folder in runs]
    named, columns = list(zip(runs, records, strict=True)), score_columns(records)
    of = [record.manifest.dataset.name for record in records]
    with names_resolved(named, trust_code=trust_code, given=dataset), data_at(dataset, None, of):
        rows = unit_rows(records)
    _write(path, format_csv(rows, [*UNIT_COLUMNS, *columns]))
    console.echo("A mixed model in R:")
    for line in mixed_model(path, rows, columns[0]):
        console.echo(f"  {line}")
    console.wrapped(WHY_DIFFERENT)


def _dataset_of(runs: Sequence[Path]) -> str:
    """The dataset that all runs were tested on. Raises UsageError if there are several."""
    from embench.records.record import read_manifest

    names = sorted({read_manifest(folder).dataset.name for folder in runs})
    if len(names) > 1:
        raise UsageError(
            "--croissant describes one dataset, and the runs use several",
            where="--croissant",
            expected=f"one of: {', '.join(names)}",
        )
    return names[0]


def _of_board(board: Path, out: Path | None, hub: str | None) -> dict[Path | None, str]:
    """File -> its content: with Croissant metadata also the table that they describe, unless they are printed."""
    from embench import leaderboard
    from embench.leaderboard.select import as_csv, row_fields, select_sections
    from embench.report import forms
    from embench.report.facts import dataset_title

    if not board.is_dir():
        raise UsageError(
            f"{board} is not a folder", where="--board", expected="a leaderboard folder, such as leaderboards/wesad"
        )
    board = board.resolve()
    sections = leaderboard.leaderboard_sections(board.parent)
    every = select_sections(sections, dataset=board.name, all_boards=True)
    if hub is not None:
        current = select_sections(every)
        return {out: forms.hub_benchmark(dataset_title(board.name), current or every, hub)}
    rows: list[dict[str, Any]] = [row_fields(section, row) for section in every for row in section.rows]
    table = as_csv(rows)
    metadata = forms.board_croissant(board.name, every, rows, table)
    files: dict[Path | None, str] = {out: metadata}
    if out is not None:
        files[out.parent / f"{board.name}.csv"] = table
    return files


def _write(path: Path | None, text: str) -> None:
    if path is None:
        typer.echo(visible(text), nl=False)
        return
    with saving("the text", path):
        write_text(path, text)
    console.echo(f"written: {path}")


def report(
    run: Annotated[Path, Argument(metavar="RUN", help="Folder of a run or leaderboard entry.")],
    out: Annotated[Path | None, Option(help="File to write; default: RUN.html in the current folder.")] = None,
    beside: Annotated[
        list[Path] | None,
        Option(help="Single-modality run to compare the fusion with; repeatable. Default: the runs next to RUN."),
    ] = None,
    dataset: DataAt = None,
    data_root: DataRoot = None,
    share: Annotated[
        bool,
        Option(
            "--share",
            help="Omit signals and, unless labels are public, everything that reveals labels or single subjects.",
        ),
    ] = False,
    trust_code: TrustCode = False,
) -> None:
    """Write a self-contained HTML report: scores, confound-only models, subjects, training, signals, cost."""
    from embench import report as reports
    from embench.audits import audit_record

    with Steps("subjects", "prepared") as steps:
        path = reports.write_report(
            run,
            out or Path(f"{run.resolve().name}.html"),
            singles=beside or (),
            dataset=dataset,
            data_root=data_root,
            trust_code=trust_code,
            progress=steps,
            audit=audit_record,
            share=share,
        )
    _print_summary(run)
    console.echo(str(path))


def _print_summary(run: Path) -> None:
    """Print a line for each target before the file's name: the primary metric and whether it is above chance."""
    from embench.cli import show
    from embench.statistics.result import Result

    found = Result.read(run)
    if found.synthetic:
        console.note("SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published.")
    for target, answers in found.answers.items():
        chance = answers.answer("chance")
        above = f"; more than by chance: {chance.answer}" if chance and answers.score else ""
        console.note(f"{target}: {answers.title} {show.in_cell(answers)}{above}")
    console.note("report, to open in a browser:")
