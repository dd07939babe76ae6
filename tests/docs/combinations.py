"""The tables on the page `docs/reference/combinations.md`, made from what plugins declare."""

from embench.planning.compatibility import NOTE, matrix

from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "combinations.md"


def tables() -> str:
    parts = []
    for title, head, rows in matrix().tables():
        lines = [head, ["---"] * len(head), *([f"`{name}`", *cells] for name, *cells in rows)]
        parts.append(f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(parts) + f"\n{NOTE}"
