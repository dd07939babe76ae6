"""Tables in Markdown, one page a dataset, and the same rows for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from embench.errors import MachineError, UsageError
from embench.files import write_text
from embench.leaderboard.entries import LeaderboardEntry, load_entries
from embench.leaderboard.rows import SECONDARY_METRICS, BoardRow, ranked_rows
from embench.records.cost import COST_COLUMNS, format_cost
from embench.records.wording import format_controls, format_score, row_method_name

DASH = "—"
LEGEND = """\
## How to read this
- Rows are ranked by the headline (bold) alone, among rows with the same access to the test people's data. In brackets:
  the 95 % interval over people. Rows whose intervals overlap much are not told apart by their ranks.
- `auroc_within` compares moments of one person; `auroc_within_stimulus`, `auroc_crossed` and `auroc_crossed_time` hold
  the stimulus, person and stimulus, person and clock constant; .5 is chance in all of them. `f1_weighted` depends on a
  cut and on how common the label is; it is here because papers report it.
- *controls*: rows in italics read nothing of the body (a constant, the clock, the length of a recording, movement). A
  method that does not lie above each of them, by the interval of the paired difference of headlines, has shown nothing.
- *audit*: how much `embench audit` found wrong; the entry's `audit.json` says what. Severe: the scores do not mean what
  they seem to.
- *time*: of all stages one after the other; *parameters* and *FLOPs*: of one fold's method, for one row's answer;
  *memory*: the highest use of a stage; *energy*: of the GPU. *looks / tried*: how often the test labels had been opened
  when the row was made, and by how many methods.
- —: undefined or not estimable; the reason is in the entry's `scores.json`. An entry's folder (last column) holds the
  predictions, folds and resolved configuration that its numbers can be recomputed from.
"""


def leaderboard_sections(
    root: Path, dataset: str | None = None, protocol: str | None = None, target: str | None = None
) -> list[dict[str, Any]]:
    """Sections {dataset, protocol, target, leaks, fixed_order, rows}, rows as in `ranked_rows`: all, or one's choice.

    Raises:
        UsageError: there is no such section.
    """
    wanted = (dataset, protocol, target)
    found = _sections(load_entries(root))
    chosen = [
        section
        for section in found
        if all(w in (None, section[k]) for w, k in zip(wanted, ("dataset", "protocol", "target"), strict=True))
    ]
    if not chosen and any(wanted):
        have = ", ".join(f"{s['dataset']} {s['protocol']} {s['target']}" for s in found) or "nothing"
        raise UsageError("no board fits", where=str(root), expected=f"one of: {have}")
    return chosen


def build_leaderboards(root: Path) -> list[Path]:
    """Writes `root`/<dataset>/README.md for each dataset and `root`/README.md, and returns their paths.

    Raises:
        MachineError: the disk refuses.
    """
    root = Path(root)
    sections = _sections(load_entries(root))
    written = []
    try:
        for dataset, of_dataset in groupby(sections, key=lambda section: section["dataset"]):
            path = root / dataset / "README.md"
            write_text(path, _page(dataset, list(of_dataset)))
            written.append(path)
        root.mkdir(parents=True, exist_ok=True)
        write_text(root / "README.md", _front(sections))
    except OSError as error:
        raise MachineError(f"the tables cannot be written: {error.strerror}", where=str(root)) from error
    return [*written, root / "README.md"]


def _sections(entries: Sequence[LeaderboardEntry]) -> list[dict[str, Any]]:
    sections = []
    keyed = sorted(entries, key=lambda e: (e.board, e.run.protocol.leaks, e.run.protocol.name, e.run.id))
    for (board, leaks, protocol), group in groupby(
        keyed, key=lambda e: (e.board, e.run.protocol.leaks, e.run.protocol.name)
    ):
        of_protocol = list(group)
        for target in sorted({target for entry in of_protocol for target in entry.targets}):
            about = {"dataset": board, "protocol": protocol, "target": target, "leaks": leaks}
            about["fixed_order"] = any(entry.run.card.fixed_order for entry in of_protocol)
            sections.append({**about, "rows": ranked_rows(of_protocol, target)})
    return sections


def _page(dataset: str, sections: Sequence[dict[str, Any]]) -> str:
    parts = [
        f"# {dataset}\n",
        "Made by `embench leaderboard build` from the entries beside it; not written by hand.\n",
    ]
    for section in sections:
        parts.append(f"## {section['target']}, {section['protocol']}\n")
        if section["leaks"]:
            parts.append("**This protocol leaks**: what it tests on was partly seen in training. Nothing is ranked.\n")
        methods = [row for row in section["rows"] if row["kind"] == "method"]
        controls = [row for row in section["rows"] if row["kind"] == "control"]
        if section["fixed_order"]:
            parts.append(_clock(methods[0]["headline"], controls))
        for access, rows in groupby(methods, key=lambda row: row["target_access"]):
            parts.append(f"Access to the test people's data: {access}.\n")
            parts.append(markdown_table([*rows, *controls], section["protocol"]) + "\n")
    return "\n".join([*parts, LEGEND])


def _clock(headline: str, controls: Sequence[BoardRow]) -> str:
    """What a reader must know of a dataset whose tasks come in one order."""
    clock = next((row for row in controls if row["control"] == "elapsed_time"), None)
    auroc = clock and clock["scores"].get("auroc")
    gets = f", `auroc` {format_score(auroc, missing=DASH, interval=False)}" if auroc else ""
    holds = "Only `auroc_crossed_time`" + (", the headline," if headline == "auroc_crossed_time" else "")
    return (
        "Everybody had the tasks in one order, so the time since the start predicts the label without any signal (row "
        f"*elapsed_time*{gets}), and splitting by person does not stop that. {holds} holds the clock constant.\n"
    )


def _front(sections: Sequence[dict[str, Any]]) -> str:
    lines = []
    for section in sections:
        methods = [row for row in section["rows"] if row["kind"] == "method"]
        best = next((row for row in methods if row["rank"] == 1), None)
        leader = (
            f"{row_method_name(best)} on {', '.join(best['modalities'])}: {format_score(best['score'])}"
            if best
            else DASH
        )
        link = f"[{section['dataset']}]({section['dataset']}/README.md)"
        headline = methods[0]["headline"]
        lines.append([link, section["protocol"], section["target"], str(len(methods)), headline, leader])
    heads = ["dataset", "protocol", "target", "rows", "headline", "first"]
    table = _table(lines, heads) if lines else "No entries yet."
    return f"# Leaderboards\n\nMade by `embench leaderboard build`; not written by hand.\n\n{table}\n"


def markdown_table(rows: Sequence[BoardRow], protocol: str) -> str:
    """One table: methods with their ranks, controls as rows to compare with. Scores that no row has are excluded."""
    headline = rows[0]["headline"]
    secondary = [
        name for name in SECONDARY_METRICS if name != headline and any(row["scores"].get(name) for row in rows)
    ]
    heads = ["#", "method", "modalities", "recipe", "people", f"**{headline}**", *secondary, "controls", "audit"]
    heads += [*COST_COLUMNS, "looks / tried", "seeds", "entry"]
    return _table([_cells(row, secondary, protocol) for row in rows], heads)


def _cells(row: BoardRow, secondary: Sequence[str], protocol: str) -> list[str]:
    numbers = [
        format_score(row["score"], missing=DASH),
        *(format_score(row["scores"].get(name), missing=DASH, interval=False) for name in secondary),
    ]
    seeds, entry = ", ".join(map(str, row["seeds"])), f"[{row['id'].rpartition('-')[2]}]({protocol}/{row['id']})"
    if row["kind"] == "control":
        nothing = [""] * (len(COST_COLUMNS) + 3)
        return ["", f"*{row['control']}*", "", "", str(row["people"]), *numbers, *nothing, seeds, entry]
    rank = str(row["rank"]) if row["rank"] else f"({', '.join(row['mark'])})"
    recipe = row["recipe"] + (f" ({len(row['assumed'])} assumed)" if row["assumed"] else "")
    controls = format_controls(row["not_cleared"], row["controls"])
    if row["not_cleared"]:
        controls = f"**{controls}**"
    looks = f"{_count(row['test_looks'])} / {_count(row['tried'])}"
    cells = [rank, row_method_name(row), ", ".join(row["modalities"]), recipe, str(row["people"]), *numbers]
    return [*cells, controls, row["audit"], *format_cost(row["cost"]).values(), looks, seeds, entry]


def _count(value: int | None) -> str:
    return DASH if value is None else str(value)


def _table(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """A Markdown table. Cells are not padded: a changed cell changes its own line only."""
    safe = [[cell.replace("|", "\\|") for cell in line] for line in (heads, *lines)]
    head, *body = [f"| {' | '.join(line)} |" for line in safe]
    return "\n".join([head, "|" + " --- |" * len(heads), *body])
