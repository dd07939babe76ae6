"""`embench leaderboard show`: the rows of leaderboards as tables that fit a terminal, as Markdown, CSV or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import Boards, completes
from embench.errors import UsageError
from embench.records import cost
from embench.records.wording import format_control, format_figure, format_score
from embench.texts import markdown

DEFAULT = (
    "rank",
    "method",
    "modalities",
    "access",
    "score",
    "cleared",
    "recipe",
    "subjects",
    "evidence",
    "suspicious",
    "marks",
)
"""The columns of a table, with `entry` at the end. One that is the same in all rows is named once below its title."""
FOLDED = ("access", "modalities", "recipe", "subjects", "evidence", "suspicious", "marks")
_LESS_IS_BETTER = ("rmse",)
_WHOLE = ("rank", "score", "cleared", "entry")
_COSTS = {"time_s": "time", "parameters": "parameters", "flops": "FLOPs", "memory_mb": "memory", "energy_j": "energy"}
_FOR_ALL = {
    "access": "",
    "subjects": "{} subjects",
    "evidence": "evidence {}",
    "suspicious": "suspicious: {}",
    "recipe": "recipe {}",
    "modalities": "on {}",
}


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    markdown = "markdown"
    csv = "csv"
    json = "json"


def show(
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATASET]", help="Name of a dataset; default: all.", autocompletion=completes("dataset")
        ),
    ] = None,
    dataset_option: Annotated[str | None, typer.Option("--dataset", help="The same as DATASET.")] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Boards of this protocol.", autocompletion=completes("protocol"))
    ] = None,
    target: Annotated[str | None, typer.Option("--target", help="Boards of this target.")] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Show this score in place of the headline, and sort by it.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", help="Order rows within each board by a field; -FIELD: greatest first.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            help="Keep rows with FIELD=VALUE, FIELD!=VALUE, FIELD>=NUMBER, FIELD~TEXT (contains); repeatable.",
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="Fields to print, with commas between; `all` for every field.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How to print the rows.")] = Format.table,
    all_boards: Annotated[
        bool, typer.Option("--all", help="Also boards of superseded protocols, and superseded rows.")
    ] = False,
    boards: Boards = Path("leaderboards"),
) -> None:
    """Print the rows of all leaderboards, or of some.

    Examples:

    embench leaderboard show stress_predict --filter modalities~eda --sort -auroc_within

    embench leaderboard show --target stress --format csv
    """
    from embench import leaderboard
    from embench.leaderboard import select

    if dataset and dataset_option and dataset != dataset_option:
        raise UsageError(f"two datasets: `{dataset}` and `{dataset_option}`", where="--dataset", expected="one of them")
    found = leaderboard.leaderboard_sections(boards)
    about = {"dataset": dataset or dataset_option, "protocol": protocol, "target": target}
    chosen = select.select_sections(found, **about, all_boards=all_boards)
    several = [(section, [(select.row_fields(section, row), row) for row in section["rows"]]) for section in chosen]
    known = list(several[0][1][0][0]) if several else []
    wanted = _columns(columns, known, output) if known else []
    if metric is not None and known:
        select.check_field(
            metric, [name.removesuffix("_low") for name in known if name.endswith("_low")][1:], "--metric"
        )
    keep = [select.read_filter(text, known) for text in filters or []] if known else []
    shown = []
    for section, rows in several:
        rows = [row for row in rows if all(keeps(row[0]) for keeps in keep)]
        if not all_boards:
            rows = [row for row in rows if not row[0]["replaced_by"]]
        by = sort or (metric and f"{'' if metric in _LESS_IS_BETTER else '-'}{metric}")
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
        named = select.select_sections(found, **about, all_boards=True)
        if left := len(named) - len(chosen):
            console.note(f"not shown: {left} superseded board{'s' * (left > 1)}; --all shows them")


def _columns(text: str | None, known: Sequence[str], output: Format) -> list[str]:
    from embench.leaderboard.select import check_field

    if text is None or text.strip() == "all":
        return list(known)
    more = [] if output in (Format.json, Format.csv) else ["entry"]
    return [check_field(name.strip(), [*known, *more], "--columns") for name in text.split(",")]


def _print_board(
    section: Mapping[str, Any],
    rows: Sequence[tuple[dict[str, Any], Mapping[str, Any]]],
    columns: Sequence[str] | None,
    metric: str | None,
    output: Format,
    *,
    whole: bool,
) -> None:
    from embench.leaderboard.board import luck_sentence

    headline = rows[0][0]["headline"]
    methods = [fields for fields, _ in rows if fields["kind"] == "method"]
    measured = any(fields["score"] is not None for fields in methods)
    scored = metric or (headline if measured or not methods else "auroc_within")
    sentences, heads = [], list(columns or [])
    if not heads:
        heads, same = _fold(methods, ranked=scored == headline)
        sentences += [f"All methods: {same}."] if same else []
    if scored != headline and "score" in heads:
        why = "" if metric else f" {headline}, the headline, is undefined."
        sentences.append(f"The scores are {scored}, which ranks nothing.{why}")
    if "entry" in heads:
        folder = f"{section['dataset']}/{section['protocol']}/"
        sentences.append(f"Entries lie in {folder}; the column entry is the end of a folder's name.")
    if whole and not columns:
        sentences += filter(None, map(luck_sentence, section["rankings"].values()))
    cells = [[_cell(name, fields, row, scored) for name in heads] for fields, row in rows]
    titles = [scored if name == "score" else _COSTS.get(name, name) for name in heads]
    if output is Format.markdown:
        lines = [titles, ["---"] * len(titles), *([markdown(cell) for cell in row] for row in cells)]
        typer.echo(f"## {markdown(_title(section))}\n")
        typer.echo("\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines))
        typer.echo("\n" + "\n".join(map(markdown, sentences)) + "\n")
        return
    keep = [k for k, name in enumerate(heads) if name in _WHOLE]
    console.table(titles, cells, title=_title(section), whole=keep)
    for sentence in sentences:
        console.wrapped(sentence)
    console.echo()


def _title(section: Mapping[str, Any]) -> str:
    other = f", trained on {section['trained_on']}" if section["trained_on"] else ""
    old = f" (superseded by {section['superseded_by']})" if section["superseded_by"] else ""
    leaks = ", leaks" if section["leaks"] else ""
    return f"{section['dataset']}, {section['protocol']}{other}{old}{leaks}, target {section['target']}"


def _fold(methods: Sequence[Mapping[str, Any]], *, ranked: bool) -> tuple[list[str], str]:
    """The default columns, and in words those that are the same for all methods. Ranks and cleared controls are of the
    headline, so they are left out where another score is shown."""
    same = {name: _plain(methods[0][name]) for name in FOLDED if len({_plain(m[name]) for m in methods}) == 1}
    words = [_FOR_ALL.get(name, "{}").format(value) for name, value in same.items() if value]
    empty = [name for name in ("rank", "cleared") if not ranked or not any(map(_has(name), methods))]
    return [name for name in DEFAULT if name not in (*same, *empty)] + ["entry"], "; ".join(filter(None, words))


def _has(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda fields: bool(fields["controls"] if name == "cleared" else fields[name])


def _plain(value: Any) -> str:
    from embench.leaderboard.attestations import LEVEL_NAMES
    from embench.leaderboard.select import as_text

    text = as_text(value)
    return next((name for level, name in LEVEL_NAMES.items() if level == text), text)


def _cell(name: str, fields: Mapping[str, Any], row: Mapping[str, Any], scored: str) -> str:
    value = fields.get(name)
    if name == "entry":
        return str(fields["id"]).rpartition("-")[2]
    if name == "method" and fields["kind"] == "control":
        return f"({value})"
    if name == "method":
        return str(value).replace(":", ": ")  # a pretrainer's source is a word of its own, at which a line may end
    if name == "score":
        numbers = row["score"] if scored in ("score", fields["headline"]) else row["scores"].get(scored)
        return format_control(numbers) if fields["kind"] == "control" else format_score(numbers)
    if name == "rank":
        last = fields["rank_worst"]
        return "" if value is None else str(value) if value == last else f"{value}-{last}"
    if name == "cleared":
        return f"{value} of {fields['controls']}" if fields["controls"] else ""
    if name in _COSTS and fields["kind"] == "method":
        return cost.format_cost(row["cost"])[_COSTS[name]]
    return format_figure(value) if isinstance(value, float) else _plain(value)
