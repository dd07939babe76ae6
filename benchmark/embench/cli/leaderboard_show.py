"""`embench leaderboard show`: leaderboards as tables that fit a terminal, as Markdown, CSV or JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import Boards, completes
from embench.cli.tables import TableColumn, fitting, show_table
from embench.errors import UsageError
from embench.planning.request import Request
from embench.records.wording import format_figure
from embench.statistics.metrics import metric_facts
from embench.texts import markdown, table_in_markdown

if TYPE_CHECKING:
    from embench.leaderboard.row import Row
    from embench.leaderboard.sections import BoardSection

_SPARE = (*("suspicious", "subjects", "recipe", "access", "evidence", "signals", "rank", "above chance", "entry"),)
"""Heads of columns that a narrow terminal has no room for, the first ones first."""
_ABOVE = "above every entry"
DAGGER = "\N{DAGGER}"
"""Mark of an answer that rests on another condition than its interval."""
_FOLDED = {
    "access": "",
    "modalities": "on {}",
    "recipe": "recipe {}",
    "subjects": "{} subjects",
    "evidence": "evidence {}",
    "suspicious": "suspicious: {}",
}
"""Columns that are named once below a table where they are the same in all rows, and in which words."""


class Format(StrEnum):
    """Output format of the entries."""

    table = "table"
    markdown = "markdown"
    csv = "csv"
    json = "json"


def show(
    dataset: Annotated[
        str | None,
        Argument(
            metavar="[DATASET]",
            help="Name of a dataset, to see its leaderboards; default: a line for each leaderboard.",
            autocompletion=completes("dataset"),
        ),
    ] = None,
    dataset_option: Annotated[str | None, Option("--dataset", help="The same as DATASET.")] = None,
    protocol: Annotated[
        str | None, Option(help="Leaderboards of this protocol.", autocompletion=completes("protocol"))
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
    all_boards: Annotated[bool, Option("--all", help="Show all leaderboards whole, with superseded entries.")] = False,
    boards: Boards = Path("leaderboards"),
) -> None:
    """Print one line per leaderboard. With a dataset, or with options that select leaderboards, print their entries."""
    from embench import leaderboard
    from embench.leaderboard import select

    if dataset and dataset_option and dataset != dataset_option:
        raise UsageError(f"two datasets: `{dataset}` and `{dataset_option}`", where="--dataset", expected="one of them")
    found = leaderboard.leaderboard_sections(boards)
    about = {"dataset": dataset or dataset_option, "protocol": protocol, "target": target}
    chosen = select.select_sections(found, **about)
    if output is Format.table and not (any(about.values()) or metric or sort or filters or columns or all_boards):
        _print_summary(chosen)
        return
    several = [(section, [(select.row_fields(section, row), row) for row in section.rows]) for section in chosen]
    known = list(several[0][1][0][0]) if several else []
    wanted = _columns(columns, known, output) if known else []
    if metric is not None and known:
        scored = [name.removesuffix("_low") for name in known if name.endswith("_low")]
        select.check_field(metric, scored[1:], "--metric")
    keep = [select.read_filter(text, known) for text in filters or []] if known else []
    shown = []
    for section, rows in several:
        rows = [row for row in rows if all_boards or not row[0]["replaced_by"]]
        rows = [row for row in rows if all(keeps(row[0]) for keeps in keep)]
        by = sort or (metric and f"{'-' if metric_facts(metric).higher else ''}{metric}")
        if rows:
            shown.append((section, select.sorted_rows(rows, by) if by else rows))
    if output is Format.json:
        console.document([{name: fields[name] for name in wanted} for _, rows in shown for fields, _ in rows])
    elif output is Format.csv:
        typer.echo(select.as_csv([fields for _, rows in shown for fields, _ in rows], wanted), nl=False)
    else:
        for section, rows in shown:
            _print_board(section, rows, wanted if columns else None, metric, output, whole=not (keep or metric))
        if not shown:
            console.echo("no entry matches" if found else f"no published entries in {boards}")


def _print_summary(sections: Sequence[BoardSection]) -> None:
    """A line for each leaderboard that ranks under the protocol of runs that name none, and how to see one whole."""
    from embench.leaderboard.summary import ANSWERS, BY_CHANCE, best_supported, summarise

    usual = [s for s in sections if s.protocol == Request.protocol and not s.trained_on] or list(sections)
    if not usual:
        console.echo("no published entries in this folder; another one is named by --boards")
        return
    usual.sort(key=best_supported)
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


def _columns(text: str | None, known: Sequence[str], output: Format) -> list[str]:
    from embench.leaderboard.select import check_field

    if text is None or text.strip() == "all":
        return list(known)
    more = [] if output in (Format.json, Format.csv) else ["entry"]
    return [check_field(name.strip(), [*known, *more], "--columns") for name in text.split(",")]


def _print_board(
    section: BoardSection,
    rows: Sequence[tuple[dict[str, Any], Row]],
    chosen: Sequence[str] | None,
    metric: str | None,
    output: Format,
    *,
    whole: bool,
) -> None:
    from embench.leaderboard.summary import models_of

    methods = [each for each in rows if each[1].is_method]
    scored = metric or section.metric
    heads, same = (list(chosen), "") if chosen else _fold([row for _, row in methods], ranked=scored == section.metric)
    above, below = _sentences(section, methods, metric, whole=whole, plain=not chosen)
    below = [f"All methods: {same}.", *below] if same else below
    shown = [_column(name, scored, whole=bool(chosen)) for name in heads]
    if output is Format.table and methods and not chosen:
        shown, left = _fitted(methods, shown)
        below += (
            [f"Columns without room here: {', '.join(left)}; --columns prints those that it names."] if left else []
        )
    if "entry" in heads:
        below.append(f"Entries are in {section.dataset}/{section.protocol}/; `entry` is the end of a folder's name.")
    models = models_of(section) if len(methods) < len(rows) else []
    lines = [{"model": m.names, "score": m.score, **({"": _ABOVE} if m.above else {})} for m in models]
    if output is Format.markdown:
        _print_markdown(section, methods, shown, [*above, *below])
        if lines:
            _echo_markdown([["model", "score", ""], *([m.names, m.score, _ABOVE * m.above] for m in models)])
        return
    console.wrapped(_title(section), bold=True)
    for sentence in above:
        console.wrapped(sentence)
    show_table(methods, shown)
    show_table(lines, title=f"models without any physiological signal: {metric_facts(section.metric).title}")
    for sentence in below:
        console.wrapped(sentence)
    console.echo()


def _sentences(
    section: BoardSection, methods: Sequence[tuple[Any, Row]], metric: str | None, *, whole: bool, plain: bool
) -> tuple[list[str], list[str]]:
    """The sentences above the entries and below them; `plain`: with the columns that are usual."""
    from embench.leaderboard.board import notes_of
    from embench.leaderboard.summary import CORRECTED, summarise

    above = [summarise(section).sentence] if whole else []
    above += [section.unranked] if section.unranked and not metric else []
    if metric and metric != section.metric:
        above.append(f"The score shown is {metric_facts(metric).title}; it does not rank the entries.")
    if not plain:
        return above, []
    below = notes_of(section) if whole else []
    if failed := [name for name in ("movement", "protocol_phase") if any(_fails(row, name) for _, row in methods)]:
        below.append(f"{DAGGER} the interval is above 0, but another condition fails: --columns {','.join(failed)}.")
    if any(row.corrected and row.word("movement") == "yes" for _, row in methods):
        below.append(CORRECTED + ".")
    if any(row.floors for _, row in methods):
        below.append("Gain from pretraining:")
        below += [f"{_method_on(each)}: {each[1].floors.words}." for each in methods if each[1].floors]
    return above, below


def _fitted(methods: Sequence[tuple[Any, Row]], columns: Sequence[TableColumn]) -> tuple[list[TableColumn], list[str]]:
    """The columns that fit the terminal, and the heads of the others. Signals without a column stand behind the
    method."""
    fitted = fitting(methods, columns, _SPARE)
    left = [column.title for column in columns if column not in fitted]
    if "signals" in left:
        fitted = [TableColumn("method", _method_on) if each.title == "method" else each for each in fitted]
        left.remove("signals")
    return fitted, left


def _print_markdown(
    section: BoardSection,
    rows: Sequence[tuple[dict[str, Any], Row]],
    shown: Sequence[TableColumn],
    sentences: Sequence[str],
) -> None:
    typer.echo(f"## {markdown(_title(section))}\n")
    _echo_markdown([[column.title for column in shown], *([column.text(row) for column in shown] for row in rows)])
    typer.echo("\n".join(map(markdown, sentences)) + "\n")


def _echo_markdown(lines: Sequence[Sequence[str]]) -> None:
    heads, *body = [[markdown(cell) for cell in line] for line in lines]
    typer.echo(table_in_markdown(body, heads) + "\n")


def _title(section: BoardSection) -> str:
    other = f", trained on {section.trained_on}" if section.trained_on else ""
    other += f", {section.people} subjects" if section.people else ""
    leaks = ", leaks" if section.leaks else ""
    return f"{section.dataset}, {section.protocol}{other}{leaks}, target {section.target}"


def _fold(methods: Sequence[Row], *, ranked: bool) -> tuple[list[str], str]:
    """The default columns, and in words those that are the same for all methods. Ranks and answers belong to the
    primary metric, so they are left out where another score is shown."""
    from embench.leaderboard.columns import TERMINAL_COLUMNS, columns
    from embench.leaderboard.summary import answered_questions

    texts = {name: {_plain(columns()[name].text(row)) for row in methods} for name in _FOLDED}
    same = {name: next(iter(found)) for name, found in texts.items() if len(found) == 1}
    words = [_FOLDED[name].format(value) for name, value in same.items() if value]
    asked = answered_questions(methods) if ranked and any(row.score for row in methods) else []
    shown = {"rank": ranked and any(row.rank for row in methods), "gain": any(row.gains_by for row in methods)}
    shown |= {name: name in asked for name in ("chance", "movement", "protocol_phase")}
    heads = [name for name in TERMINAL_COLUMNS if name not in same and shown.get(name, True)]
    return [*heads, "entry"], "; ".join(filter(None, words))


def _column(name: str, scored: str, *, whole: bool) -> TableColumn:
    """A column of (fields, row) of a leaderboard as a terminal shows it, with all that an answer says where `whole`;
    the column of scores is titled by the score."""
    from embench.leaderboard.columns import COST_FIELDS, columns
    from embench.leaderboard.sections import QUESTIONS

    known = columns().get(name)
    if name == "score":
        return TableColumn(metric_facts(scored).title, lambda each: _joined(each[1].text_of(scored, "-")))
    if name == "entry":
        return TableColumn(name, lambda each: each[1].id.rpartition("-")[2], whole=True)
    if name == "method":
        return TableColumn(name, lambda each: each[1].name)
    if known and name == "rank":
        return TableColumn(name, lambda each: known.text(each[1]) if each[1].rank else "", whole=True)
    if known and name in ("movement", "protocol_phase") and not whole:
        return TableColumn(known.title, lambda each: _number(each[1], name))
    if known and name in (*COST_FIELDS, "modalities", *QUESTIONS, "adds", "gain", "repaired"):
        return TableColumn(known.title, lambda each: _joined(known.text(each[1])))
    return TableColumn(known.title if known else name, lambda each: _plain(each[0][name]))


def _number(row: Row, question: str) -> str:
    """An answer with its number; the entry's page has the condition that failed."""
    from embench.leaderboard.columns import columns

    text = columns()[question].text(row)
    told, but, _ = text.partition(", but ")
    return _joined(told.replace("partial r ", "")) + (f" {DAGGER}" if but else "")


def _fails(row: Row, question: str) -> bool:
    found = row.answers.get(question)
    return found is not None and ", but " in found.evidence


def _joined(text: str) -> str:
    """A text whose intervals stay on one line."""
    return re.sub(r"\([^()]*\d\)", lambda found: found[0].replace(" ", "\xa0"), text)


def _method_on(each: tuple[Any, Row]) -> str:
    row = each[1]
    return row.name + (f" on {row.signals}" if row.signals else "")


def _plain(value: Any) -> str:
    from embench.leaderboard.attestations import LEVEL_NAMES
    from embench.leaderboard.columns import as_text

    if isinstance(value, float):
        return format_figure(value)
    text = as_text(value)
    return next((name for level, name in LEVEL_NAMES.items() if level == text), text)
