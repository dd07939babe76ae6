"""Tables in Markdown, one page a dataset, and the same rows for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tabulate import tabulate

from embench.errors import MachineError, UsageError
from embench.leaderboard.entries import Entry, load_entries
from embench.leaderboard.rows import BESIDE, Row, ranked_rows
from embench.results.record import write_text

NONE = "—"
LEGEND = """\
**How to read this.** Rows are ranked by the headline alone, among rows with the same access to the target's data. In
brackets: the 95 % interval. `auroc_within` compares moments of one person; `auroc_within_stimulus`, `auroc_crossed` and
`auroc_crossed_time` hold the stimulus, person and stimulus, person and clock constant; .5 is chance in all of them.
*controls* names those that the row does not lie above; a method that a clock or a constant keeps up with has shown
nothing. *looks / tried*: how often the test labels had been opened, and by how many methods, where the row was made. —:
undefined or not estimable; the reason is in the entry's `scores.json`. Rows of controls are there to compare with.
"""


def show(
    root: Path, dataset: str | None = None, protocol: str | None = None, target: str | None = None
) -> list[dict[str, Any]]:
    """Sections {dataset, protocol, target, leaks, rows}, rows as in `ranked_rows`; all, or those asked for.

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


def build(root: Path) -> list[Path]:
    """Writes `root`/<dataset>/README.md for each dataset and `root`/README.md; the paths written."""
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


def _sections(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    sections = []
    keyed = sorted(entries, key=lambda e: (e.board, e.run.protocol.leaks, e.run.protocol.name, e.run.id))
    for (board, leaks, protocol), group in groupby(
        keyed, key=lambda e: (e.board, e.run.protocol.leaks, e.run.protocol.name)
    ):
        of_protocol = list(group)
        for target in sorted({target for entry in of_protocol for target in entry.targets}):
            rows = ranked_rows(of_protocol, target)
            sections.append({"dataset": board, "protocol": protocol, "target": target, "leaks": leaks, "rows": rows})
    return sections


def _page(dataset: str, sections: Sequence[dict[str, Any]]) -> str:
    parts = [f"# {dataset}\n", "Made by `embench leaderboard build` from the entries beside it; not written by hand.\n"]
    for section in sections:
        parts.append(f"## {section['target']}, {section['protocol']}\n")
        if section["leaks"]:
            parts.append("**This protocol leaks**: what it tests on was partly seen in training. Nothing is ranked.\n")
        methods = [row for row in section["rows"] if row["kind"] == "method"]
        controls = [row for row in section["rows"] if row["kind"] == "control"]
        for access, rows in groupby(methods, key=lambda row: row["target_access"]):
            parts.append(f"Access to the test people's data: {access}.\n")
            parts.append(markdown([*rows, *controls]) + "\n")
    return "\n".join([*parts, LEGEND])


def _front(sections: Sequence[dict[str, Any]]) -> str:
    lines = []
    for section in sections:
        methods = [row for row in section["rows"] if row["kind"] == "method"]
        best = next((row for row in methods if row["rank"] == 1), None)
        leader = f"{_method(best)}: {_interval(best['score'])}" if best else NONE
        link = f"[{section['dataset']}]({section['dataset']}/README.md)"
        headline = methods[0]["headline"]
        lines.append([link, section["protocol"], section["target"], str(len(methods)), headline, leader])
    heads = ["dataset", "protocol", "target", "rows", "headline", "first"]
    table = _tabulate(lines, heads) if lines else "No entries yet."
    return f"# Leaderboards\n\nMade by `embench leaderboard build`; not written by hand.\n\n{table}\n"


def markdown(rows: Sequence[Row]) -> str:
    """One table: methods with their ranks, controls as rows to compare with."""
    headline = rows[0]["headline"]
    beside = [name for name in BESIDE if name != headline]
    heads = ["#", "encoder", "fusion", "pretrainer", "modalities", "recipe", "people", headline, *beside, "controls"]
    heads += ["cost", "looks / tried", "seeds", "run"]
    return _tabulate([_cells(row, beside) for row in rows], heads)


def _cells(row: Row, beside: Sequence[str]) -> list[str]:
    numbers = [_interval(row["score"]), *(_number(row["scores"].get(name)) for name in beside)]
    seeds = ", ".join(map(str, row["seeds"]))
    if row["kind"] == "control":
        return ["", f"*{row['control']}*", *[""] * 4, str(row["people"]), *numbers, "", "", "", seeds, row["id"]]
    rank = str(row["rank"]) if row["rank"] else f"({', '.join(row['mark'])})"
    recipe = row["recipe"] + (f" ({len(row['assumed'])} assumed)" if row["assumed"] else "")
    pretrainers = ", ".join(row["pretrainers"]) or NONE
    if row["pretrain_overlap"] != "none":
        pretrainers += f" ({row['pretrain_overlap'].replace('_', ' ')})"
    looks = f"{_count(row['test_looks'])} / {_count(row['tried'])}"
    cells = [rank, _encoders(row), row["fusion"] or NONE, pretrainers, ", ".join(row["modalities"]), recipe]
    return [*cells, str(row["people"]), *numbers, _controls(row), _cost(row["cost"]), looks, seeds, row["id"]]


def _encoders(row: Row) -> str:
    names = list(dict.fromkeys(row["encoders"].values()))
    if len(names) == 1:
        return str(names[0])
    return ", ".join(f"{modality}: {name}" for modality, name in row["encoders"].items())


def _method(row: Row) -> str:
    parts = [_encoders(row), row["fusion"], *row["pretrainers"]]
    return f"{' + '.join(part for part in parts if part)} on {', '.join(row['modalities'])}"


def _controls(row: Row) -> str:
    if row["not_cleared"]:
        return "**not above " + ", ".join(row["not_cleared"]) + "**"
    return f"above all {row['controls']}" if row["controls"] else "none scored"


def _cost(cost: dict[str, Any]) -> str:
    parts = []
    if cost["wall_s"] is not None:
        parts.append(f"{cost['wall_s'] / 60:.0f} min" if cost["wall_s"] >= 60 else f"{cost['wall_s']:.0f} s")
    if cost["parameters"]:
        parts.append(f"{cost['parameters'] / 1e6:.2f} M")
    return ", ".join([*parts, cost["device"]])


def _interval(number: dict[str, Any] | None) -> str:
    if number is None:
        return NONE
    if number["low"] is None:
        return _number(number)
    return f"{number['mean']:.3f} [{number['low']:.3f}, {number['high']:.3f}]"


def _number(number: dict[str, Any] | None) -> str:
    return NONE if number is None else f"{number['mean']:.3f}"


def _count(value: int | None) -> str:
    return NONE if value is None else str(value)


def _tabulate(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    safe = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return tabulate(safe, headers=heads, tablefmt="github", disable_numparse=True)
