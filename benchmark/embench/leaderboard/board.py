"""Tables in Markdown, one page a dataset, and the same rows for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from embench.errors import MachineError, UsageError
from embench.files import write_text
from embench.leaderboard.entries import Entry, load_entries
from embench.leaderboard.rows import BESIDE, Row, ranked_rows
from embench.records.cost import COLUMNS, said

NONE = "—"
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


def show(
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


def build(root: Path) -> list[Path]:
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


def _sections(entries: Sequence[Entry]) -> list[dict[str, Any]]:
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
    parts = [f"# {dataset}\n", "Made by `embench leaderboard build` from the entries beside it; not written by hand.\n"]
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
            parts.append(markdown([*rows, *controls], section["protocol"]) + "\n")
    return "\n".join([*parts, LEGEND])


def _clock(headline: str, controls: Sequence[Row]) -> str:
    """What a reader must know of a dataset whose tasks come in one order."""
    clock = next((row for row in controls if row["control"] == "elapsed_time"), None)
    auroc = clock and clock["scores"].get("auroc")
    gets = f", `auroc` {_number(auroc)}" if auroc else ""
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
        leader = f"{_method(best)} on {', '.join(best['modalities'])}: {_interval(best['score'])}" if best else NONE
        link = f"[{section['dataset']}]({section['dataset']}/README.md)"
        headline = methods[0]["headline"]
        lines.append([link, section["protocol"], section["target"], str(len(methods)), headline, leader])
    heads = ["dataset", "protocol", "target", "rows", "headline", "first"]
    table = _table(lines, heads) if lines else "No entries yet."
    return f"# Leaderboards\n\nMade by `embench leaderboard build`; not written by hand.\n\n{table}\n"


def markdown(rows: Sequence[Row], protocol: str) -> str:
    """One table: methods with their ranks, controls as rows to compare with. Scores that no row has are left out."""
    headline = rows[0]["headline"]
    beside = [name for name in BESIDE if name != headline and any(row["scores"].get(name) for row in rows)]
    heads = ["#", "method", "modalities", "recipe", "people", f"**{headline}**", *beside, "controls", "audit"]
    heads += [*COLUMNS, "looks / tried", "seeds", "entry"]
    return _table([_cells(row, beside, protocol) for row in rows], heads)


def _cells(row: Row, beside: Sequence[str], protocol: str) -> list[str]:
    numbers = [_interval(row["score"]), *(_number(row["scores"].get(name)) for name in beside)]
    seeds, entry = ", ".join(map(str, row["seeds"])), f"[{row['id'].rpartition('-')[2]}]({protocol}/{row['id']})"
    if row["kind"] == "control":
        nothing = [""] * (len(COLUMNS) + 3)
        return ["", f"*{row['control']}*", "", "", str(row["people"]), *numbers, *nothing, seeds, entry]
    rank = str(row["rank"]) if row["rank"] else f"({', '.join(row['mark'])})"
    recipe = row["recipe"] + (f" ({len(row['assumed'])} assumed)" if row["assumed"] else "")
    looks = f"{_count(row['test_looks'])} / {_count(row['tried'])}"
    cells = [rank, _method(row), ", ".join(row["modalities"]), recipe, str(row["people"]), *numbers]
    return [*cells, _controls(row), row["audit"], *said(row["cost"]).values(), looks, seeds, entry]


def _encoders(row: Row) -> str:
    names = list(dict.fromkeys(row["encoders"].values()))
    if len(names) == 1:
        return str(names[0])
    return ", ".join(f"{modality}: {name}" for modality, name in row["encoders"].items())


def _method(row: Row) -> str:
    fused = " + ".join(part for part in (_encoders(row), row["fusion"]) if part)
    after = f", after {', '.join(row['pretrainers'])}" if row["pretrainers"] else ""
    return fused + after + (f" ({'; '.join(row['apart'])})" if row["apart"] else "")


def _controls(row: Row) -> str:
    if row["not_cleared"]:
        return "**not above " + ", ".join(row["not_cleared"]) + "**"
    return f"above all {row['controls']}" if row["controls"] else "none scored"


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


def _table(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """A Markdown table. Cells are not padded: a changed cell changes its own line only."""
    safe = [[cell.replace("|", "\\|") for cell in line] for line in (heads, *lines)]
    head, *body = [f"| {' | '.join(line)} |" for line in safe]
    return "\n".join([head, "|" + " --- |" * len(heads), *body])
