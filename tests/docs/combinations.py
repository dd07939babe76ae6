"""The tables on the page `docs/reference/combinations.md`, made from what plugins declare."""

from embench import registry
from embench.planning.compatibility import NOTE, matrix

from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "combinations.md"


def tables() -> str:
    parts = []
    for title, head, rows in matrix().tables():
        lines = [head, ["---"] * len(head), *([f"`{name}`", *cells] for name, *cells in rows)]
        parts.append(f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    parts.append(f"{NOTE}\n\n## experimental encoders, pretrainers and fusions\n")
    parts.append("| name | kind | why |\n| --- | --- | --- |")
    found = [entry for entry in registry.entries() if entry.package == registry.BUNDLED and entry.experimental]
    parts += [f"| `{entry.name}` | {entry.kind} | {entry.experimental} |" for entry in found]
    return "\n".join(parts)
