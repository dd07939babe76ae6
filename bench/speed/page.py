"""The table of `bench/performance.md`, made from the JSON of a measurement.

The page shows the rows that are compared with something, or have a bound; all rows of a topic that compares nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import markdown


def table(found: Mapping[str, Any]) -> str:
    """Markdown: what was measured on, and a table of all topics."""
    about, parts = found["machine"], []
    versions = ", ".join(
        f"{name} {version}" for name, version in {"Python": about["python"], **about["versions"]}.items()
    )
    parts.append(
        f"Measured on {about['measured']}, commit {about['commit']}, in {found['seconds'] / 60:.0f} minutes, on "
        f"{about['cores']} cores of {about['processor']} with {about['memory_gb']} GB, {about['system']}; {versions}; "
        f"load average before: {', '.join(map(str, about['load_average']))}."
    )
    if found["warnings"]:
        parts.append("\n".join(f"- **Warning**: {warning}" for warning in found["warnings"]))
    lines = ["| what | embench | beside | ratio | bound |", "|---|---|---|---|---|"]
    for topic in found["topics"]:
        lines.append(_cells([f"**{topic['name']}**{': ' if topic['about'] else ''}{topic['about']}", "", "", "", ""]))
        if topic["error"]:
            lines.append(_cells([f"**Not measured**: {topic['error']}", "", "", "", ""]))
        compared = [row for row in topic["rows"] if row["ratio"] is not None or row["bound"]]
        lines += [_line(row) for row in compared or topic["rows"]]
    parts.append("\n".join(lines))
    return "\n\n".join(parts)


def insert(page: str, found: Mapping[str, Any]) -> str:
    """The page with this table between its marks. Raises ValueError where it lacks one."""
    return markdown.insert(page, "make bench", table(found))


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Puts the table into `performance.md` of a folder, where there is one."""
    page = folder / "performance.md"
    if page.is_file():
        page.write_text(insert(page.read_text(), found))


def _line(row: Mapping[str, Any]) -> str:
    peer = row["against"]
    if row["peer"] is not None:
        peer += f": {_number(row['peer'])} {row['unit']}"
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g} {row['means']}"
    verdict = {True: ", kept", False: ", **missed**", None: ""}[row["kept"]]
    bound = row["bound"].replace(">=", "≥").replace("<=", "≤") + verdict
    what = row["what"] + (f" ({row['note']})" if row["note"] else "")
    return _cells([what, f"{_number(row['ours'])} {row['unit']}", peer, ratio, bound])


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
