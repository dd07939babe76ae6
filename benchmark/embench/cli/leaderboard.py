"""`embench leaderboard`: tables of published entries, their verification, and the files of a pull request."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.console import fit_columns, show_table
from embench.cli.options import DataRoot, Json, Leaderboards, complete
from embench.errors import DataError, EmbenchError, UsageError
from embench.files import snapshot
from embench.planning.request import Request
from embench.records.wording import format_figure
from embench.screen import Progress, Steps, TableColumn, field
from embench.statistics import metric_facts
from embench.vocabulary import markdown, table_in_markdown

if TYPE_CHECKING:
    from embench.leaderboard.columns import Row
    from embench.leaderboard.pull_request import EntryCheck
    from embench.leaderboard.tables import BoardSection
    from embench.records.manifest import Manifest
    from embench.runs.reproduce import Reproduction


# `embench leaderboard`: tables of published entries, and files for a pull request.

leaderboard_app = typer.Typer(help="Show, send, check and reproduce published entries.", no_args_is_help=True)

# `embench leaderboard show`: leaderboards as tables that fit a terminal, as Markdown, CSV or JSON.

_SPARE = (*("suspicious", "subjects", "recipe", "access", "evidence", "signals", "rank", "above chance", "entry"),)
"""Titles of columns that a narrow terminal omits, the first ones first."""
_ABOVE = "above every entry"
DAGGER = "\N{DAGGER}"
"""Mark of an answer whose interval is above 0, but which fails another condition."""
_FOLDED = {
    "access": "",
    "modalities": "on {}",
    "recipe": "recipe {}",
    "subjects": "{} subjects",
    "evidence": "evidence {}",
    "suspicious": "suspicious: {}",
}
"""Column -> sentence below the table that replaces the column if all its cells are equal."""


class Format(StrEnum):
    """Output format of the entries."""

    table = "table"
    markdown = "markdown"
    csv = "csv"
    json = "json"


@leaderboard_app.command()
def show(
    dataset: Annotated[
        str | None,
        Argument(
            metavar="[DATASET]",
            help="Name of a dataset, to see its leaderboards; default: a line for each leaderboard.",
            autocompletion=complete("dataset"),
        ),
    ] = None,
    dataset_option: Annotated[str | None, Option("--dataset", help="The same as DATASET.")] = None,
    protocol: Annotated[
        str | None, Option(help="Leaderboards of this protocol.", autocompletion=complete("protocol"))
    ] = None,
    target: Annotated[str | None, Option(help="Leaderboards of this target.")] = None,
    metric: Annotated[str | None, Option(help="Show this score instead of the primary metric; sort by it.")] = None,
    sort: Annotated[str | None, Option(help="Sort entries by a field; -FIELD: greatest first.")] = None,
    filters: Annotated[
        list[str] | None,
        Option(
            "--filter",
            help="Keep entries with FIELD=VALUE, FIELD!=VALUE, FIELD>=NUMBER, FIELD~TEXT (contains); repeatable.",
        ),
    ] = None,
    columns: Annotated[str | None, Option(help="Fields to print, with commas between; `all` for every field.")] = None,
    output: Annotated[Format, Option("--format", help="How to print the entries.")] = Format.table,
    all_boards: Annotated[bool, Option("--all", help="Show all leaderboards whole.")] = False,
    boards: Leaderboards = Path("leaderboards"),
) -> None:
    """Print one line per leaderboard. With a dataset, or with options that select leaderboards, print their entries."""
    from embench import leaderboard
    from embench.leaderboard import tables

    if dataset and dataset_option and dataset != dataset_option:
        raise UsageError(f"two datasets: `{dataset}` and `{dataset_option}`", where="--dataset", expected="one of them")
    sections = leaderboard.load_sections(boards)
    selection = {"dataset": dataset or dataset_option, "protocol": protocol, "target": target}
    chosen = tables.select_sections(sections, **selection)
    if output is Format.table and not (any(selection.values()) or metric or sort or filters or columns or all_boards):
        _print_summary(chosen)
        return
    entries = [(section, [(tables.flatten_row(section, row), row) for row in section.rows]) for section in chosen]
    known_fields = list(entries[0][1][0][0]) if entries else []
    printed = _parse_columns(columns, known_fields, output) if known_fields else []
    if metric is not None and known_fields:
        scored = [name.removesuffix("_low") for name in known_fields if name.endswith("_low")]
        tables.check_field(metric, scored[1:], "--metric")
    tests = [tables.read_filter(text, known_fields) for text in filters or []] if known_fields else []
    selected = []
    for section, rows in entries:
        rows = [row for row in rows if all(holds(row[0]) for holds in tests)]
        sort_field = sort or (metric and f"{'-' if metric_facts(metric).higher else ''}{metric}")
        if rows:
            selected.append((section, tables.sort_rows(rows, sort_field) if sort_field else rows))
    if output is Format.json:
        console.document([{name: fields[name] for name in printed} for _, rows in selected for fields, _ in rows])
    elif output is Format.csv:
        typer.echo(tables.as_csv([fields for _, rows in selected for fields, _ in rows], printed), nl=False)
    else:
        for section, rows in selected:
            _print_section(section, rows, printed if columns else None, metric, output, whole=not (tests or metric))
        if not selected:
            console.echo("no entry matches" if sections else f"no published entries in {boards}")


def _print_summary(sections: Sequence[BoardSection]) -> None:
    """Print a line for each leaderboard of the default protocol, and the command that shows a whole leaderboard."""
    from embench.leaderboard.tables import ANSWERS, BY_CHANCE, get_support_key, summarise

    usual = [s for s in sections if s.protocol == Request.protocol and not s.trained_on] or list(sections)
    if not usual:
        console.echo("no published entries in this folder; another one is named by --leaderboards")
        return
    usual.sort(key=get_support_key)
    found = [summarise(section) for section in usual]
    show_table([summary.line for summary in found], title="leaderboards")
    for summary in found:
        if summary.reason:
            console.wrapped(f"{summary.question} {summary.dataset}: {summary.reason}")
    console.echo()
    console.wrapped(ANSWERS)
    console.wrapped(BY_CHANCE)
    if other := len(sections) - len(usual):
        counted = f"{other} leaderboard{'s' * (other > 1)}"
        console.wrapped(f"Not in this table: {counted} of other protocols, or of methods trained on another dataset.")
    console.echo("the leaderboards of one dataset:")
    console.command(f"embench leaderboard show {usual[0].dataset}")


def _parse_columns(text: str | None, known: Sequence[str], output: Format) -> list[str]:
    """Return the fields that the text of `--columns` names; all `known` fields for `all` and for None. Raises
    UsageError for an unknown field."""
    from embench.leaderboard.tables import check_field

    if text is None or text.strip() == "all":
        return list(known)
    more = [] if output in (Format.json, Format.csv) else ["entry"]
    return [check_field(name.strip(), [*known, *more], "--columns") for name in text.split(",")]


def _print_section(
    section: BoardSection,
    rows: Sequence[tuple[dict[str, Any], Row]],
    chosen: Sequence[str] | None,
    metric: str | None,
    output: Format,
    *,
    whole: bool,
) -> None:
    """Print a leaderboard as text or Markdown: sentences, the table of methods, and that of confound-only models.

    Args:
        rows: (fields, row) of each entry and confound-only model.
        chosen: the columns that the user named; None for the default columns.
        metric: the metric that the user chose instead of the primary metric.
        whole: whether all entries are printed."""
    from embench.leaderboard.tables import list_models

    methods = [each for each in rows if each[1].is_method]
    scored = metric or section.metric
    heads, same = (list(chosen), "") if chosen else _fold([row for _, row in methods], ranked=scored == section.metric)
    above, below = _write_sentences(section, methods, metric, whole=whole, plain=not chosen)
    below = [f"All methods: {same}.", *below] if same else below
    columns = [_get_column(name, scored, whole=bool(chosen)) for name in heads]
    if output is Format.table and methods and not chosen:
        columns, left = _fit_columns(methods, columns)
        if left:
            below.append(f"Columns without room here: {', '.join(left)}; --columns prints those that it names.")
    if "entry" in heads:
        below.append(f"Entries are in {section.dataset}/{section.protocol}/; `entry` is the end of a folder's name.")
    models = list_models(section) if len(methods) < len(rows) else []
    lines = [{"model": m.names, "score": m.score, **({"": _ABOVE} if m.above else {})} for m in models]
    if output is Format.markdown:
        typer.echo(f"## {markdown(_get_title(section))}\n")
        heads = [column.title for column in columns]
        _echo_markdown([heads, *([column.text(row) for column in columns] for row in methods)])
        typer.echo("\n".join(map(markdown, [*above, *below])) + "\n")
        if lines:
            _echo_markdown([["model", "score", ""], *([m.names, m.score, _ABOVE * m.above] for m in models)])
        return
    console.wrapped(_get_title(section), bold=True)
    for sentence in above:
        console.wrapped(sentence)
    show_table(methods, columns)
    show_table(lines, title=f"models without any physiological signal: {metric_facts(section.metric).title}")
    for sentence in below:
        console.wrapped(sentence)
    console.echo()


def _write_sentences(
    section: BoardSection, methods: Sequence[tuple[Any, Row]], metric: str | None, *, whole: bool, plain: bool
) -> tuple[list[str], list[str]]:
    """Return the sentences above the table of a leaderboard, and those below it.

    Args:
        methods: (fields, row) of each entry in the table.
        metric: the metric that the user chose instead of the primary metric.
        whole: whether all entries are in the table.
        plain: whether the table has the default columns.
    """
    from embench.leaderboard.tables import CORRECTED, list_notes, summarise

    above = [summarise(section).sentence] if whole else []
    above += [section.unranked] if section.unranked and not metric else []
    if metric and metric != section.metric:
        above.append(f"The score shown is {metric_facts(metric).title}; it does not rank the entries.")
    if not plain:
        return above, []
    below = list_notes(section) if whole else []
    found = {name: [row.answers.get(name) for _, row in methods] for name in ("movement", "protocol_phase")}
    if failed := [name for name, answers in found.items() if any(a and ", but " in a.evidence for a in answers)]:
        below.append(f"{DAGGER} the interval is above 0, but another condition fails: --columns {','.join(failed)}.")
    if any(row.corrected and row.format_answer("movement") == "yes" for _, row in methods):
        below.append(CORRECTED + ".")
    gains = [
        f"{_name_method((fields, row))}: {comparison.text}."
        for fields, row in methods
        if (comparison := row.pretraining_comparison)
    ]
    below += ["Gain from pretraining:", *gains] if gains else []
    return above, below


def _fit_columns(
    methods: Sequence[tuple[Any, Row]], columns: Sequence[TableColumn]
) -> tuple[list[TableColumn], list[str]]:
    """Return the columns that fit the terminal, and the titles of the others. If the column of signals does not fit,
    the column of methods names the signals."""
    fitted = fit_columns(methods, columns, _SPARE)
    left = [column.title for column in columns if column not in fitted]
    if "signals" in left:
        fitted = [TableColumn("method", _name_method) if each.title == "method" else each for each in fitted]
        left.remove("signals")
    return fitted, left


def _echo_markdown(lines: Sequence[Sequence[str]]) -> None:
    heads, *body = [[markdown(cell) for cell in line] for line in lines]
    typer.echo(table_in_markdown(body, heads) + "\n")


def _get_title(section: BoardSection) -> str:
    other = f", trained on {section.trained_on}" if section.trained_on else ""
    other += f", {section.people} subjects" if section.people else ""
    leaks = ", leaks" if section.leaks else ""
    return f"{section.dataset}, {section.protocol}{other}{leaks}, target {section.target}"


def _fold(methods: Sequence[Row], *, ranked: bool) -> tuple[list[str], str]:
    """Return the names of the default columns, and a text in place of columns whose cells are equal for all methods.
    Ranks and answers refer to the primary metric, and are omitted unless the table is `ranked` by it."""
    from embench.leaderboard.columns import TERMINAL_COLUMNS, columns
    from embench.leaderboard.tables import list_answered_questions

    texts = {name: {_as_text(columns()[name].text(row)) for row in methods} for name in _FOLDED}
    same = {name: next(iter(found)) for name, found in texts.items() if len(found) == 1}
    words = [_FOLDED[name].format(value) for name, value in same.items() if value]
    answered = list_answered_questions(methods) if ranked and any(row.score for row in methods) else []
    used = {"rank": ranked and any(row.rank for row in methods), "gain": any(row.gain_source for row in methods)}
    used |= {name: name in answered for name in ("chance", "movement", "protocol_phase")}
    heads = [name for name in TERMINAL_COLUMNS if name not in same and used.get(name, True)]
    return [*heads, "entry"], "; ".join(filter(None, words))


def _get_column(name: str, scored: str, *, whole: bool) -> TableColumn:
    """Return a table column for rows that are pairs (fields, row).

    Args:
        name: the column's name; `score` is titled by the metric `scored`.
        whole: whether answers are printed in full instead of as a number.
    """
    from embench.leaderboard.columns import COST_FIELDS, columns
    from embench.leaderboard.tables import QUESTIONS

    known = columns().get(name)
    if name == "score":
        return TableColumn(metric_facts(scored).title, lambda each: _join_intervals(each[1].format_metric(scored, "-")))
    if name == "entry":
        return TableColumn(name, lambda each: each[1].id.rpartition("-")[2], whole=True)
    if name == "method":
        return TableColumn(name, lambda each: each[1].name)
    if known and name == "rank":
        return TableColumn(name, lambda each: known.text(each[1]) if each[1].rank else "", whole=True)
    if known and name in ("movement", "protocol_phase") and not whole:
        return TableColumn(known.title, lambda each: _get_answer(each[1], name))
    if known and name in (*COST_FIELDS, "modalities", *QUESTIONS, "adjusted", "gain", "repaired"):
        return TableColumn(known.title, lambda each: _join_intervals(known.text(each[1])))
    return TableColumn(known.title if known else name, lambda each: _as_text(each[0][name]))


def _get_answer(row: Row, question: str) -> str:
    """Return the answer to a question as a number with its interval. A dagger marks that another condition for *yes*
    than the interval fails."""
    from embench.leaderboard.columns import columns

    text = columns()[question].text(row)
    answer, but, _ = text.partition(", but ")
    return _join_intervals(answer.replace("partial r ", "")) + (f" {DAGGER}" if but else "")


def _join_intervals(text: str) -> str:
    """Return a text in which no line break can split an interval."""
    return re.sub(r"\([^()]*\d\)", lambda found: found[0].replace(" ", "\xa0"), text)


def _name_method(each: tuple[Any, Row]) -> str:
    """Return the name of the method of a pair (fields, row), with its signals."""
    row = each[1]
    return row.name + (f" on {row.signals}" if row.signals else "")


def _as_text(value: Any) -> str:
    """Return the text of a table's cell; evidence levels are in words."""
    from embench.leaderboard.columns import as_text
    from embench.leaderboard.entries import LEVEL_NAMES

    if isinstance(value, float):
        return format_figure(value)
    text = as_text(value)
    return next((name for level, name in LEVEL_NAMES.items() if level == text), text)


# Questions before results on own data are published.

_LONGEST = 200
_ALWAYS = (
    "run.yaml: the dataset's name, pseudonyms of participants, durations of sessions, reasons for exclusion",
    "run.yaml also: label rules and classes, the method, its cost, versions, the approval",
    "shared/folds: which pseudonyms each fold tests, and which pseudonyms form a group",
    "audit.json: findings of the audit",
)
_SEALED = (
    "scores.json: scores over all participants, rounded to three digits",
    "shared/control_scores: the primary metric of each confound-only model, rounded to three digits",
    "labels.hmac: a keyed hash of the labels",
)
_OPEN = (
    "predictions.npz, summands.json, scores.json: the prediction for each unit, and all scores",
    "shared/rows, shared/labels, shared/controls, shared/control_scores: the stimulus, time and label of each unit",
)
_STAYS = "not published: signals, names of participants, devices, files and folders, dates"
_STAYS_SEALED = f"{_STAYS}, labels, predictions, and scores of single participants"


def ask_consent(runs: Sequence[Manifest], *, consent: bool, ethics: str | None) -> str | None:
    """Ask for the participants' consent and the ethics approval before results on own data are published.

    Args:
        consent: whether the command line states the participants' consent.
        ethics: approval from the command line.

    Returns:
        The approval; None if no run is on own data.

    Raises:
        UsageError: a statement is missing, and there is no terminal to ask on; the approval is not valid; or a
            statement was made although no run is on own data.
    """
    from embench.records.record import is_own

    own = sorted({run.dataset.name for run in runs if is_own(run.dataset.name)})
    if not own:
        if consent or ethics is not None:
            what = "consent is for your own data only, and no run here uses your own data"
            expected = "runs on your own dataset; runs on public datasets need neither option"
            raise UsageError(what, where="--consent" if consent else "--ethics", expected=expected)
        return None
    public = any(run.card.labels_public == "yes" for run in runs if is_own(run.dataset.name))
    console.echo(f"own data: {', '.join(own)}. An entry is public and cannot be withdrawn. It contains:")
    for line in (*_ALWAYS, *(_OPEN if public else _SEALED)):
        console.wrapped(f"  {line}")
    console.wrapped(_STAYS if public else _STAYS_SEALED)
    if not (consent and ethics) and not sys.stdin.isatty():
        what = "consent and ethics approval are required, and this is not a terminal where you could answer"
        expected = "an answer on a terminal, or --consent and --ethics 'COMMITTEE, NUMBER'"
        hint = "if participants consented and a committee approved: --consent --ethics 'COMMITTEE, NUMBER'"
        raise UsageError(what, where="embench leaderboard submit", expected=expected, hint=hint)
    if not consent:
        typer.confirm("Have all participants consented to the publication of this entry?", default=False, abort=True)
    approval = (typer.prompt("Ethics committee and approval number") if ethics is None else ethics).strip()
    if not approval or len(approval) > _LONGEST or not approval.isprintable():
        expected = f"ethics committee and approval number, on one line of at most {_LONGEST} characters"
        raise UsageError("the ethics approval is missing or not valid", where="--ethics", expected=expected)
    return str(approval)


# `embench leaderboard overview`: methods over all leaderboards.


@leaderboard_app.command()
def overview(
    boards: Leaderboards = Path("leaderboards"),
    out: Annotated[
        Path | None,
        Option(metavar="FILE", help="Also write the scores as .csv or .parquet, which `bencheval` 0.1.0 reads."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print rank and win rate of each method over the leaderboards, with intervals over datasets and subjects."""
    from embench.leaderboard import load_sections
    from embench.leaderboard.overview import select_tasks, summarise_tasks, write_errors

    tasks = select_tasks(load_sections(boards), Request.protocol)
    if not tasks:
        raise UsageError("no leaderboard has a primary metric", where=str(boards), expected="a folder of leaderboards")
    found = summarise_tasks(tasks, boards)
    if out is not None:
        write_errors(tasks, out)
    lines = [
        {"method": one.method, "mean rank": _format_range(one.rank, ".1f"), "win rate": _format_range(one.win_rate)}
        for one in found.standings
    ]
    facts = {
        **{name: getattr(found, name) for name in ("datasets", "ordered", "least_p", "sentence", "others")},
        "leaderboards": [task.name for task in tasks],
        "methods": [one._asdict() for one in found.standings],
    }

    def show_overview() -> None:
        show_table(lines, title=f"{len(lines)} methods on {len(tasks)} leaderboards of {len(found.datasets)} datasets")
        console.wrapped(found.sentence)
        console.wrapped(f"Leaderboards: {', '.join(facts['leaderboards'])}.")
        if found.others:
            console.wrapped(f"{len(found.others)} other methods lack an entry on some leaderboard: --json lists them.")
        if out is not None:
            console.echo(str(out))

    console.answer(as_json, facts, show_overview)


def _format_range(values: tuple[float, float, float], spec: str = ".2f") -> str:
    """Return a value with its interval as text."""
    value, low, high = (format(each, spec) for each in values)
    return f"{value} ({low} to {high})"


# The other commands: the site, and entries that are sent, checked and reproduced.


@leaderboard_app.command()
def site(
    out: Annotated[Path, Option(help="Folder to write; an earlier site there is replaced.")] = Path("site"),
    boards: Leaderboards = Path("leaderboards"),
    runs: Annotated[
        Path | None,
        Option(help="Folder of runs, published or not: write a private site of these instead, for colleagues."),
    ] = None,
    notes: Annotated[
        Path | None, Option(help="Folder of notes in Markdown, DATASET.md, to show with the leaderboards.")
    ] = None,
) -> None:
    """Write the leaderboards as web pages that open without a server or a network."""
    from embench.site import build_private_site, build_site

    if runs is not None and notes is not None:
        raise UsageError("notes are of published leaderboards", where="--notes", expected="--notes without --runs")
    with Steps("entries" if runs is None else "runs") as steps:
        if runs is None:
            first = build_site(boards, out, notes_folder=notes, progress=steps)
        else:
            first = build_private_site(runs, out, progress=steps)
    console.echo(str(first))


@leaderboard_app.command()
def submit(
    runs: Annotated[
        list[Path],
        Argument(metavar="RUN..|FOLDER", help="Folders of finished runs, or the one of `embench baselines`."),
    ],
    boards: Leaderboards = Path("leaderboards"),
    leaking: Annotated[
        bool, Option("--allow-leakage", help="Also submit runs of a protocol that leaks; they get no rank.")
    ] = False,
    data_root: DataRoot = None,
    consent: Annotated[
        bool, Option("--consent", help="Of your own data: all participants consent to what is published.")
    ] = False,
    ethics: Annotated[
        str | None, Option(help="Of your own data: ethics board and number of its approval, which the entry contains.")
    ] = None,
) -> None:
    """Write the entries of runs for a pull request; audit those that were not audited, and verify what is written.

    For your own data, it first lists what an entry contains, and asks for consent and an ethics approval. In a folder
    of `embench baselines`, a refused entry does not stop the others; the exit code is 1 then.
    """
    from embench.sets.folder import SET_FILE

    if len(runs) == 1 and ((runs[0] / SET_FILE).exists() or (runs[0] / "entries").is_dir()):
        _submit_folder(runs[0], boards, data_root, leaking=leaking)
        return
    from embench import audits
    from embench.data.find import make_raw_digest_getter
    from embench.leaderboard.pull_request import describe_other_subjects, explain_unsubmittable, refuse, submit_runs
    from embench.records.audit import read_audit
    from embench.records.record import read_manifest

    reasons = {run: explain_unsubmittable(read_manifest(run), boards, leaking=leaking) for run in runs}
    refuse({run: found for run, found in reasons.items() if found})
    approval = ask_consent([read_manifest(run) for run in runs], consent=consent, ethics=ethics)
    for run in runs:
        if read_audit(run) is None:
            console.note(f"auditing {run}")
            with Progress() as progress:
                audits.audit_run(run, data_root=data_root, progress=progress.event)
    new = submit_runs(runs, boards, make_raw_digest_getter(data_root), data_root, approval)
    for note in filter(None, (describe_other_subjects(read_manifest(run), boards) for run in runs)):
        console.note(f"note: {note}")
    _print_written(new)


def _print_written(new: Sequence[Path]) -> None:
    console.echo("verified; commit these files on a branch of your own:")
    for path in new:
        console.echo(f"  {shlex.quote(str(path))}")
    console.echo("then open a pull request with them and nothing else: the tables are made when it is merged")


def _submit_folder(folder: Path, boards: Path, data_root: Path | None, *, leaking: bool) -> None:
    """Submit each entry in a folder of `embench baselines`; print refused ones, and exit with 1 if there are any."""
    from embench.leaderboard.pull_request import submit_entry
    from embench.sets.folder import list_set_entries

    new, refused = list[Path](), 0
    for entry in list_set_entries(folder):
        try:
            written = submit_entry(entry, boards, data_root, leaking=leaking)
        except EmbenchError as error:
            refused += 1
            console.echo(f"refused: {error.what.removeprefix(f'{entry.name}: ')} ({entry.name})")
        else:
            console.echo(f"{'there already' if written is None else 'written'}: {entry.name}")
            new += written or []
    if new:
        _print_written(new)
    if refused:
        raise typer.Exit(1)


@leaderboard_app.command("verify")
def verify_entry(
    paths: Annotated[list[Path], Argument(metavar="PATH..", help="An entry, or a folder of leaderboards.")],
    data_root: DataRoot = None,
    previous: Annotated[
        Path | None, Option(help="Earlier state of the same leaderboards: its entries must still be there.")
    ] = None,
    attester: Annotated[str | None, Option(help="Your name, for an attestation of each entry that passes.")] = None,
    as_json: Json = False,
) -> None:
    """Check entries without training, and compare them with your data, if found.

    Exit with 1 if a check fails, and with 3 if a comparison with your data was not made.
    """
    from embench.leaderboard.entries import check_name
    from embench.leaderboard.pull_request import check_boards, select_failures

    if attester is not None:
        check_name(attester)
    if previous is not None and not previous.is_dir():
        raise UsageError(f"{previous} is not a folder", where="--previous", expected="a folder of leaderboards")
    checks: list[EntryCheck] = []
    with snapshot(), Steps("entries", "checked") as steps:
        for path in paths:
            checks += check_boards(path, data_root, previous, steps)
    failed = select_failures(checks)
    console.answer(as_json, [check._asdict() for check in checks], lambda: _print_checks(checks))
    if attester is not None:
        _attest(paths, checks, attester, data_root)
    if failed:
        raise typer.Exit(1 if any(check.status == "failed" for check in failed) else DataError.exit_code)


def _print_checks(checks: Sequence[EntryCheck]) -> None:
    """Print all checks of a single entry. Of several entries, print the failed checks, and a count of each result."""
    from embench.leaderboard.pull_request import select_failures

    names = dict.fromkeys(check.entry for check in checks)
    if len(names) == 1:
        show_table(checks, [field("check"), field("status", "result"), field("reason")], title=checks[0].entry)
    else:
        listed = [*select_failures(checks), *(c for c in checks if c.check == "alike" and c.status == "not possible")]
        show_table(listed, [field("entry"), field("check"), field("status", "result"), field("reason")])
        counts = Counter((c.check, c.status, c.reason if c.status == "not possible" else "") for c in checks)
        show_table(
            {"check": check, "result": status, "entries": count, "reason": reason}
            for (check, status, reason), count in counts.items()
        )
    wrong = len({check.entry for check in select_failures(checks)})
    summary = f"{len(names)} entries, {wrong} with a check that did not pass"
    console.echo(summary if len(names) > 1 else _count_by_status(checks))


def _count_by_status(checks: Sequence[EntryCheck]) -> str:
    from embench.leaderboard.pull_request import CheckStatus

    counts = Counter(check.status for check in checks)
    return ", ".join(f"{counts[status]} {status}" for status in get_args(CheckStatus) if counts[status])


def _attest(paths: Sequence[Path], checks: Sequence[EntryCheck], by: str, data_root: Path | None) -> None:
    """Write an attestation by the person `by` for each entry below `paths` that failed no check."""
    from embench.leaderboard.entries import attest
    from embench.leaderboard.pull_request import (
        find_entry_folders,
        get_entry_name,
        list_compared_checks,
        select_failures,
    )
    from embench.leaderboard.verify_data import hash_local_files
    from embench.records.record import read_manifest

    failed = {check.entry for check in select_failures(checks)}
    for folder in (
        folder for path in paths for folder in find_entry_folders(path) if get_entry_name(folder) not in failed
    ):
        names = list_compared_checks(checks, get_entry_name(folder))
        files = hash_local_files(read_manifest(folder), data_root) if names else None
        console.echo(f"attested: {attest(folder, 'verified', by, files=files, compared=names)}")


@leaderboard_app.command()
def reproduce(
    entries: Annotated[list[Path], Argument(metavar="ENTRY..", help="Folders of entries, or of leaderboards.")],
    attester: Annotated[str, Option(help="Your name, for the attestation.")],
    data_root: DataRoot = None,
    spot_check: Annotated[
        int | None, Option(min=1, help="Run only N folds, which the author could not foresee; 2 are usual.")
    ] = None,
    nonce: Annotated[
        str | None,
        Option(
            help="Text that decides which folds a spot check runs, which is not attested then; default: the nonce "
            "that was revealed for the entry."
        ),
    ] = None,
    runs: Annotated[Path | None, Option(help="Folder for the stages, kept; default: a temporary one.")] = None,
    out: Annotated[Path | None, Option(help="File for the attestation; default: next to the entries.")] = None,
) -> None:
    """Run the request of entries again and compare; write an attestation of each that is reproduced.

    Entries that you attested before are skipped, and a failure does not stop the others. A spot check is attested only
    with the nonce that `embench leaderboard reveal-nonce` revealed for the entry, which decides the folds.
    """
    from embench.leaderboard.entries import attest, check_name, is_attested_by
    from embench.leaderboard.pull_request import find_entry_folders, get_entry_name
    from embench.runs.reproduce import reproduce_entry

    check_name(attester)
    folders = [folder for path in entries for folder in find_entry_folders(path)]
    if out is not None and len(folders) > 1:
        raise UsageError("one file for several entries", where=f"--out {out}", expected="one entry")
    if nonce is not None and spot_check is None:
        raise UsageError("a nonce picks the folds of a spot check", where="--nonce", expected="--spot-check N as well")
    failed = 0
    for folder in folders:
        if len(folders) > 1 and is_attested_by(
            folder, attester, "reproduced" if spot_check is None else "spot_checked"
        ):
            console.note(f"attested by {attester} already: {get_entry_name(folder)}")
            continue
        try:
            with Progress() as bar:
                found = reproduce_entry(
                    folder, data_root, runs=runs, stages=spot_check, nonce=nonce, progress=bar.event
                )
        except EmbenchError as error:
            if len(folders) == 1:
                raise
            console.note(f"not reproduced: {get_entry_name(folder)}: {error}")
            failed += 1
            continue
        failed += bool(found.wrong)
        _print_reproduction(found)
        if not found.wrong and not found.attestable:
            console.note("not attested: the folds follow from a nonce that was not revealed for the entry")
        elif not found.wrong:
            console.echo(f"  attestation: {attest(folder, found.level, attester, out=out, **found.figures())}")
    if len(folders) > 1:
        console.echo(f"{len(folders) - failed} of {len(folders)} entries reproduced")
    if failed:
        raise typer.Exit(1)


def _print_reproduction(found: Reproduction) -> None:
    """Print whether an entry was reproduced, with its faults, folds of a spot check, differences and notes."""
    if found.wrong:
        console.echo(f"not reproduced: {found.entry}", bold=True, colour="red")
        for wrong in found.wrong:
            console.echo(f"  {wrong}")
    else:
        console.echo(f"reproduced: {found.entry}", bold=True)
    if found.stages is not None and found.drawn_by:
        which = ", ".join(f"seed {seed} fold {fold}" for seed, fold in found.stages)
        console.echo(f"  spot check of {which} (--nonce {shlex.quote(found.drawn_by)})")
    for name, value in found.greatest.items():
        allowed = f", allowed {found.tolerances[name]:g}" if name in found.tolerances else ""
        console.echo(f"  greatest difference of {name}: {value:.3g}{allowed}")
    for note in found.notes:
        console.echo(f"  {note}")


@leaderboard_app.command("reveal-nonce")
def reveal(
    boards: Leaderboards = Path("leaderboards"),
    commit: Annotated[
        bool, Option("--commit", help="Begin: draw a secret, print it, and write what commits to it.")
    ] = False,
) -> None:
    """Reveal the nonce, a random value, that decides which folds a spot check of new entries runs; for maintainers.

    It is computed from the secret in $EMBENCH_NONCE_SECRET. The leaderboards hold a hash that commits to the secret.
    """
    from embench.leaderboard.entries import hash_entry, list_entry_folders
    from embench.leaderboard.nonces import commit_nonces, reveal_nonce
    from embench.records.record import read_manifest

    if commit:
        console.echo(f"keep this secret, as $EMBENCH_NONCE_SECRET: {commit_nonces(boards)}")
        return
    digests = [hash_entry(folder, read_manifest(folder)) for folder in list_entry_folders(boards)]
    found = reveal_nonce(boards, digests, os.environ.get("EMBENCH_NONCE_SECRET", ""))
    console.echo(f"{found.nonce}: {len(found.entries)} entries" if found else "all entries have a nonce")


@leaderboard_app.command("build")
def build(
    boards: Leaderboards = Path("leaderboards"),
    runs: Annotated[Path | None, Option("--from", help="Folder of runs; first publish those that qualify.")] = None,
    data_root: DataRoot = None,
) -> None:
    """Score the entries again, and rebuild the Markdown tables; --from publishes runs first."""
    from embench import leaderboard
    from embench.data.find import make_raw_digest_getter
    from embench.leaderboard.rows import load_entry_summaries
    from embench.leaderboard.verify import verify_entries

    if runs is not None:
        folders = leaderboard.find_finished_runs(runs)
        if not folders:
            raise DataError("no finished runs found", where=str(runs), expected="<dataset>/<run>/run.yaml below it")
        entries, refused = leaderboard.publish_runs(folders, boards, make_raw_digest_getter(data_root))
        for entry in entries:
            console.echo(f"published {entry}")
        for folder, reasons in refused.items():
            console.note(f"not published: {folder}: {'; '.join(reasons)}")
    with Steps("entries", "checked") as steps:
        known = load_entry_summaries(boards)
        verify_entries(known, steps)
    for path in leaderboard.build_leaderboards(boards, known):
        console.echo(str(path))
