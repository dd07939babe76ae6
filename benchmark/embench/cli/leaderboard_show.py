"""`embench leaderboard show`: the rows of leaderboards as tables that fit a terminal, as Markdown, CSV or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import Boards, completes
from embench.cli.tables import TableColumn, fitting, show_table
from embench.errors import UsageError
from embench.planning.request import Request
from embench.records.context import OTHER_UNITS
from embench.records.wording import format_figure, inside_subjects
from embench.statistics.metrics import metric_facts
from embench.texts import markdown

if TYPE_CHECKING:
    from embench.leaderboard.row import Row
    from embench.leaderboard.sections import BoardSection

_WHOLE = ("rank", "score", "cleared", "entry")
_SPARE = ("suspicious", "subjects", "recipe", "access", "evidence", "marks", "modalities")
"""Columns that a narrow terminal has no room for, the first ones first."""
_FOLDED = {
    "access": "",
    "modalities": "on {}",
    "recipe": "recipe {}",
    "subjects": "{} subjects",
    "evidence": "evidence {}",
    "suspicious": "suspicious: {}",
    "marks": "{}",
}
"""Columns that are named once below a table where they are the same in all rows, and in which words."""


_VERDICTS = {
    "add": "Add: rows that add to clock and movement, where that is asked.",
    "clear all": "Clear all: rows shown to be above every control.",
}
"""Verdicts counted over the rows of a board -> the legend of each."""


class Format(StrEnum):
    """Output format of the rows."""

    table = "table"
    markdown = "markdown"
    csv = "csv"
    json = "json"


def show(
    dataset: Annotated[
        str | None,
        Argument(
            metavar="[DATASET]",
            help="Name of a dataset, to see its boards; default: a line for each board.",
            autocompletion=completes("dataset"),
        ),
    ] = None,
    dataset_option: Annotated[str | None, Option("--dataset", help="The same as DATASET.")] = None,
    protocol: Annotated[
        str | None, Option(help="Boards of this protocol.", autocompletion=completes("protocol"))
    ] = None,
    target: Annotated[str | None, Option(help="Boards of this target.")] = None,
    metric: Annotated[str | None, Option(help="Show this score in place of the headline, and sort by it.")] = None,
    sort: Annotated[str | None, Option(help="Order rows within each board by a field; -FIELD: greatest first.")] = None,
    filters: Annotated[
        list[str] | None,
        Option(
            "--filter",
            help="Keep rows with FIELD=VALUE, FIELD!=VALUE, FIELD>=NUMBER, FIELD~TEXT (contains); repeatable.",
        ),
    ] = None,
    columns: Annotated[str | None, Option(help="Fields to print, with commas between; `all` for every field.")] = None,
    output: Annotated[Format, Option("--format", help="How to print the rows.")] = Format.table,
    all_boards: Annotated[
        bool, Option("--all", help="All boards whole, also those of superseded protocols, and superseded rows.")
    ] = False,
    boards: Boards = Path("leaderboards"),
) -> None:
    """Print a line for each leaderboard; or the rows of a dataset's, or of those that options choose."""
    from embench import leaderboard
    from embench.leaderboard import select

    if dataset and dataset_option and dataset != dataset_option:
        raise UsageError(f"two datasets: `{dataset}` and `{dataset_option}`", where="--dataset", expected="one of them")
    found = leaderboard.leaderboard_sections(boards)
    about = {"dataset": dataset or dataset_option, "protocol": protocol, "target": target}
    chosen = select.select_sections(found, **about, all_boards=all_boards)
    superseded = len(select.select_sections(found, **about, all_boards=True)) - len(chosen)
    if output is Format.table and not (any(about.values()) or metric or sort or filters or columns or all_boards):
        _print_summary(chosen, superseded)
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
            console.echo("no row matches" if found else f"no published entries in {boards}")
        _note_superseded(superseded)


def _note_superseded(count: int) -> None:
    if count:
        console.note(f"not shown: {count} superseded board{'s' * (count > 1)}; --all shows them")


def _print_summary(sections: Sequence[BoardSection], superseded: int) -> None:
    """A line for each board that ranks under the protocol of runs that name none, and how to see one whole."""
    _note_superseded(superseded)
    usual = [s for s in sections if s.protocol == Request.protocol and not s.trained_on] or list(sections)
    if not usual:
        counted = "published entries of current protocols" if superseded else "published entries"
        console.echo(f"no {counted} in this folder; another one is named by --boards")
        return
    rows = [_summary(section) for section in usual]
    show_table(rows, title="leaderboards")
    legends = [words for name, words in _VERDICTS.items() if any(name in row for row in rows)]
    console.wrapped(
        " ".join(["best: of the rows, by the score named. Above chance: rows whose interval lies above it.", *legends])
    )
    if other := len(sections) - len(usual):
        console.wrapped(f"not in this table: {other} of other protocols, or of methods trained on another dataset")
    console.echo("one dataset's boards:")
    console.command(f"embench leaderboard show {usual[0].dataset}")


def _summary(section: BoardSection) -> dict[str, str]:
    methods = [row for row in section.rows if row.is_method and not row.superseded]
    ranked = [row for row in methods if row.score]
    headline = section.rows[0].headline
    metric = headline if ranked else inside_subjects(headline)
    facts, chance = metric_facts(metric), metric_facts(metric).chance
    sign = 1 if facts.higher else -1
    scores = [score for row in methods if (score := row.scored(metric))]
    best = max((score.mean for score in scores), key=lambda mean: sign * mean, default=None)
    controls = [
        (row.control or "", score.mean) for row in section.rows if (score := row.scored(metric)) and row.control
    ]
    hardest = max(controls, key=lambda each: sign * each[1], default=None)
    above = None if chance is None else sum(score.low is not None and score.low > chance for score in scores)
    verdict: dict[str, int] = {}
    if section.adding:
        verdict["add"] = section.adding.adding
    elif any(row.controls for row in methods):
        verdict["clear all"] = sum(row.controls > 0 and not row.not_cleared for row in ranked)
    return {
        "board": f"{section.dataset}, {section.target}: {metric}",
        "rows": str(len(methods)),
        "above chance": "-" if above is None else str(above),
        "best": format_figure(best, missing="-"),
        "best control": f"{format_figure(hardest[1])} {hardest[0]}" if hardest else "-",
        **{name: str(count) for name, count in verdict.items()},
    }


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
    from embench.leaderboard.board import luck_sentence

    headline = rows[0][1].headline
    methods = [row for _, row in rows if row.is_method]
    ranked = not methods or any(row.score for row in methods)
    scored = metric or (headline if ranked else inside_subjects(headline))
    sentences, heads = [], list(chosen or [])
    if not heads:
        heads, same = _fold(methods, ranked=scored == headline)
        sentences += [f"All methods: {same}."] if same else []
    if scored != headline and "score" in heads:
        sentences.append(section.unranked or f"The scores are {scored}, which ranks nothing.")
    sentences += filter(None, [_groups(methods)])
    if "entry" in heads:
        folder = f"{section.dataset}/{section.protocol}/"
        sentences.append(f"Entries lie in {folder}; the column entry is the end of a folder's name.")
    if whole and not chosen:
        sentences += filter(None, map(luck_sentence, section.rankings.values()))
        sentences += [section.adding.sentence] if section.adding else []
    if not chosen and any(row.floors for _, row in rows):
        sentences.append("Pretrained rows, their scores less those of their floors:")
        sentences += [f"{_method_on(each)}: {each[1].floors.words}." for each in rows if each[1].floors]
    shown, title = [_column(name, scored) for name in heads], _title(section)
    if output is Format.table and not chosen:
        if "adds" in heads:
            shown[heads.index("adds")] = TableColumn("adds", _adds_briefly)
            sentences.append("The partial correlation stands beside adds; --columns adds prints that of all rows.")
        fitted = fitting(rows, shown, _SPARE)
        left = [column.title for column in shown if column not in fitted]
        if "modalities" in left:  # then they stand behind the method
            fitted = [TableColumn("method", _method_on) if each.title == "method" else each for each in fitted]
            left.remove("modalities")
        if left:
            sentences.append(f"Columns that do not fit here: {', '.join(left)}; --columns prints those that it names.")
        shown = fitted
    if output is Format.markdown:
        cells = [[markdown(column.text(row)) for column in shown] for row in rows]
        lines = [[column.title for column in shown], ["---"] * len(shown), *cells]
        typer.echo(f"## {markdown(title)}\n")
        typer.echo("\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines))
        typer.echo("\n" + "\n".join(map(markdown, sentences)) + "\n")
        return
    show_table(rows, shown, title=title)
    for sentence in sentences:
        console.wrapped(sentence)
    console.echo()


def _groups(methods: Sequence[Row]) -> str:
    """A sentence on the groups of rows that are ranked by themselves, in their order; empty where there is one, or rows
    stand in another order."""
    from embench.leaderboard.rows import class_of

    groups = [list(rows) for _, rows in groupby((row for row in methods if not row.superseded), key=class_of)]
    if len(groups) < 2 or len({class_of(rows[0]) for rows in groups}) < len(groups):
        return ""
    told = []
    for rows in groups:
        context = rows[0].time_context
        seen = [f"data of the test subjects: {rows[0].target_access}"]
        seen += [f"other units that reach a prediction: {OTHER_UNITS[context]}"] if context else []
        told.append(f"{len(rows)} ({', '.join(filter(None, [*seen, rows[0].kept_units]))})")
    return f"Rows stand in groups, each in an order of its own: {'; '.join(told)}."


def _title(section: BoardSection) -> str:
    other = f", trained on {section.trained_on}" if section.trained_on else ""
    other += f", {section.people} subjects" if section.people else ""
    old = f" (superseded by {section.superseded_by})" if section.superseded_by else ""
    leaks = ", leaks" if section.leaks else ""
    return f"{section.dataset}, {section.protocol}{other}{old}{leaks}, target {section.target}"


def _fold(methods: Sequence[Row], *, ranked: bool) -> tuple[list[str], str]:
    """The default columns, and in words those that are the same for all methods. Ranks and cleared controls are of the
    headline, so they are left out where another score is shown."""
    from embench.leaderboard.columns import TERMINAL_COLUMNS, columns
    from embench.leaderboard.rows import asked_of

    texts = {name: {_plain(columns()[name].value(row)) for row in methods} for name in _FOLDED}
    same = {name: next(iter(found)) for name, found in texts.items() if len(found) == 1}
    words = [_FOLDED[name].format(value) for name, value in same.items() if value]
    kept = {"rank": any(row.rank for row in methods), "cleared": any(row.controls for row in methods)}
    empty = [name for name, shown in kept.items() if not (ranked and shown)]
    shown = [name for name in asked_of(methods, TERMINAL_COLUMNS) if name not in (*same, *empty)]
    return [*shown, "entry"], "; ".join(filter(None, words))


def _column(name: str, scored: str) -> TableColumn:
    """A column of (fields, row) of a board as a terminal shows it; that of scores is titled by the score."""
    from embench.leaderboard.columns import COST_FIELDS, columns

    whole, known = name in _WHOLE, columns().get(name)
    if name == "score":
        return TableColumn(scored, lambda each: each[1].text_of(scored, "-"), whole)
    if name == "entry":
        return TableColumn(name, lambda each: each[1].id.rpartition("-")[2], whole)
    if name == "method":
        return TableColumn(name, lambda each: _method(each[1]))
    if known and name == "rank":
        return TableColumn(name, lambda each: known.text(each[1]) if each[1].rank else "", whole)
    if known and name in (*COST_FIELDS, "cleared", "adds", "repaired"):
        return TableColumn(known.title, lambda each: known.text(each[1]), whole)
    return TableColumn(name, lambda each: _plain(each[0][name]))


def _method(row: Row) -> str:
    # A pretrainer's source is a word of its own, at which a line may end.
    return row.short_name.replace(":", ": ") if row.is_method else f"({row.name})"


def _method_on(each: tuple[Any, Row]) -> str:
    row = each[1]
    return _method(row) + (f" on {', '.join(row.modalities)}" if row.is_method and row.modalities else "")


def _adds_briefly(each: tuple[Any, Row]) -> str:
    """A row's verdict on what it adds, without the interval, which would leave other columns no room."""
    from embench.leaderboard.columns import ADDS

    row = each[1]
    if row.effect is None:
        return "undefined" if row.adds else ""
    text = f"adds {format_figure(row.effect.mean)}" if row.does_add else ADDS[False]
    return f"{text}, borderline" if row.borderline else text


def _plain(value: Any) -> str:
    from embench.leaderboard.attestations import LEVEL_NAMES
    from embench.leaderboard.columns import as_text

    if isinstance(value, float):
        return format_figure(value)
    text = as_text(value)
    return next((name for level, name in LEVEL_NAMES.items() if level == text), text)
