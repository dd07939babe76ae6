"""`embench export`: texts and a table of runs for a paper; `embench report`: a run as a page of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataAt, DataRoot, TrustCode, named_runs
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
    dataset: DataAt = None,
    latex: Annotated[bool, Option("--latex", help="LaTeX tables of scores (package booktabs).")] = False,
    columns: Annotated[
        str | None, Option(help="Columns of --latex after the method and the primary metric, comma-separated.")
    ] = None,
    rows: Annotated[
        str | None,
        Option(help="Confound-only models of --latex after the methods, comma-separated, or none; default: all."),
    ] = None,
    methods: Annotated[bool, Option("--methods", help="A methods section, with citations.")] = False,
    bibtex: Annotated[
        bool, Option("--bibtex", help="BibTeX entries of the datasets, the methods and embench.")
    ] = False,
    table: Annotated[
        Path | None,
        Option(metavar="FILE.csv", help="File to write: labels and scores by unit, for a mixed model in R."),
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            metavar="FILE.tex",
            help="File to write; of several texts, FILE.tex, FILE_methods.tex and FILE.bib. Default: standard output.",
        ),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Export tables, methods text or citations of runs for a paper."""
    texts = {"--latex": latex, "--methods": methods, "--bibtex": bibtex}
    where = "embench export"
    if not (runs or dataset):
        raise UsageError("nothing to export is named", where=where, expected="RUN.. or --dataset")
    if table is None and not any(texts.values()):
        raise UsageError("no output format is named", where=where, expected=f"{', '.join(texts)} or --table")
    for option, value in (("--columns", columns), ("--rows", rows)):
        if value is not None and not latex:
            raise UsageError(f"{option} applies to --latex only", where=option, expected="--latex")
    folders = named_runs(runs, dataset, where)
    if table is not None:
        _write_table(folders, dataset, table, trust_code=trust_code)
    if not any(texts.values()):
        return
    made = _of_runs(folders, dataset, texts, _names(columns), _names(rows), trust_code=trust_code, ranked=not runs)
    if out is None:
        _write(None, "\n".join(made.values()))
        return
    beside = {"--methods": out.with_name(f"{out.stem}_methods.tex"), "--bibtex": out.with_suffix(".bib")}
    for k, (option, text) in enumerate(made.items()):
        _write(beside[option] if k else out, text)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _of_runs(
    runs: Sequence[Path],
    dataset: str | None,
    chosen: Mapping[str, bool],
    columns: Sequence[str] | None,
    rows: Sequence[str] | None,
    *,
    trust_code: bool,
    ranked: bool,
) -> dict[str, str]:
    """Option -> its text. `ranked`: the best run comes first; else runs stand as they were named."""
    from embench.data.find import data_at
    from embench.records import record
    from embench.records.names import names_resolved
    from embench.report import latex as paper
    from embench.report.latex.table import best_first

    records = [record.read_record(folder) for folder in runs]
    named = list(zip(runs, records, strict=True))
    of = [record.manifest.dataset.name for record in records]
    with names_resolved(named, trust_code=trust_code, given=dataset), data_at(dataset, None, of):
        if ranked:
            records = best_first(records)
        texts = {}
        if chosen["--latex"]:
            texts["--latex"] = paper.latex_tables(records, columns, rows)
        if chosen["--methods"]:
            texts["--methods"] = paper.methods_section(records)
        if chosen["--bibtex"]:
            texts["--bibtex"] = paper.bibtex(records)
        return texts


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
