"""The tables on the page `docs/combinations.md`, made from what plugins declare.

`python -m tests.docs.combinations` writes them anew.
"""

from embench.planning.compatibility import NOTE, matrix

from .pages import ROOT

PAGE = ROOT / "docs" / "combinations.md"
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->"


def tables() -> str:
    parts = []
    for title, head, rows in matrix().tables():
        lines = [head, ["---"] * len(head), *([f"`{name}`", *cells] for name, *cells in rows)]
        parts.append(f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n" + "\n".join(parts) + f"\n{NOTE}\n\n"


def written(text: str) -> str:
    """The page with the tables as they are now."""
    return text[: text.index(BEGIN) + len(BEGIN)] + tables() + text[text.index(END) :]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8", newline="\n")
