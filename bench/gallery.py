"""The gallery: `python -m bench.gallery` runs the scripts of `examples/` and keeps what they show in `docs/gallery/`.

A script is run cell by cell, as a notebook would run it. Its page has the prose of its `# %% [markdown]` cells, and of
the other cells the code, what they print, the value of their last line, and their figures. The first line of a page
holds the digest of its script: only scripts that changed since are run, or all with `--all`. `python bench/gallery.py
--check` says which pages do not belong to the scripts as they are; it needs nothing but Python.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "gallery"
EXAMPLES = (
    "first_number", "sklearn_pipeline", "sklearn_folds", "lightning_network", "huggingface_trainer",
    "braindecode_network", "three_methods", "paper_board",
)  # fmt: skip
SCORE = re.compile(r"\d?\.\d+ \[-?\d?\.\d+, -?\d?\.\d+\]|\d\.\d+   95 % CI ")
LARGEST_B, THUMBNAIL_PX, COLUMNS = 60_000, (320, 200), 100
INTRODUCTION = """\
# Gallery

Scripts to copy, each with what it printed and drew. Recordings are synthetic unless a page says otherwise: they show
how things are done, and their numbers say nothing about real people. The scripts are in
[`examples/`](../../examples/README.md#notebooks), and [become notebooks by one command](../start/notebook.md)."""


@dataclass
class Cell:
    """A cell of a script: prose or code, and what the code showed."""

    line: int
    prose: bool
    body: str
    printed: str = ""
    figures: list[tuple[str, bytes]] = field(default_factory=list)
    """Titles and PNG."""


def script(name: str) -> Path:
    return ROOT / "examples" / f"{name}.py"


def cells(text: str) -> list[Cell]:
    """The cells of a script in the percent format."""
    found: list[Cell] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# %%"):
            found.append(Cell(number, "[markdown]" in line, ""))
        else:
            found[-1].body += (line.removeprefix("#").removeprefix(" ") if found[-1].prose else line) + "\n"
    return found


def digest(name: str) -> str:
    return hashlib.sha256(script(name).read_text("utf-8").encode()).hexdigest()  # whatever ends the lines of a checkout


def mark(name: str) -> str:
    """The line that begins a page."""
    made = f"examples/{name}.py, sha256 {digest(name)}"
    return f"<!-- Made by `make gallery` from {made}. Do not edit this page: change the script. -->"


def absent_libraries(name: str) -> list[str]:
    """The libraries that a script imports, or tells to install, and that are not installed."""
    text = script(name).read_text("utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    named += re.findall(r"`pip install (\w+)`", text)
    return sorted({top for each in named if not find_spec(top := each.partition(".")[0])})


def execute(name: str, folder: Path) -> list[Cell]:
    """Runs a script in a working folder, as a notebook would: no file holds what its cells define.

    Raises:
        ValueError: its last output has no score with an interval, or it drew no figure.
    """
    import matplotlib as mpl
    import pandas as pd
    from matplotlib import pyplot as plt

    mpl.use("agg")
    plt.close("all")
    found, before = cells(script(name).read_text("utf-8")), sys.modules["__main__"]
    if not (folder / "leaderboards").exists():
        (folder / "leaderboards").symlink_to(ROOT / "leaderboards", target_is_directory=True)
    main = sys.modules["__main__"] = ModuleType("__main__")
    try:
        with chdir(folder), pd.option_context("display.width", 120, "display.max_columns", None):
            for cell in (each for each in found if not each.prose):
                run_cell(cell, script(name), vars(main))
    finally:
        sys.modules["__main__"] = before
    printed = [cell.printed for cell in found if cell.printed]
    if not printed or not SCORE.search(printed[-1]) or not any(cell.figures for cell in found):
        raise ValueError(f"examples/{name}.py has to end with a score and its interval, and a figure")
    return found


def run_cell(cell: Cell, path: Path, names: dict[str, object]) -> None:
    """Runs a cell, and keeps what it prints, the value of its last line and its figures."""
    from matplotlib import pyplot as plt

    tree = ast.parse("\n" * cell.line + cell.body, str(path))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, str(path), "exec"), names)  # noqa: S102  what this script is for
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), str(path), "eval"), names)  # noqa: S307
            if value is not None and not type(value).__module__.startswith("matplotlib"):
                print(value)
    cell.printed = printed.getvalue().rstrip()
    for number in plt.get_fignums():
        figure, file = plt.figure(number), io.BytesIO()
        figure.savefig(file, dpi=120)
        titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
        cell.figures.append((next(filter(None, titles), path.stem), smaller(file)))
    plt.close("all")


def smaller(file: io.BytesIO, size: tuple[int, int] | None = None) -> bytes:
    """A picture in few colours, as PNG; in a white frame of a size, if one is wanted."""
    from PIL import Image, ImageOps

    picture = Image.open(file).convert("RGB")
    if size:
        picture = ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color="white")
    picture.quantize(64).save(out := io.BytesIO(), "png", optimize=True)
    return out.getvalue()


def keep(name: str, first: str, shown: list[Cell]) -> None:
    """Writes a page, whose first line is `first`, with its figures. Raises ValueError where one is too large."""
    parts, figures = [first], [figure for cell in shown for figure in cell.figures]
    if large := [title for title, content in figures if len(content) > LARGEST_B]:
        raise ValueError(f"examples/{name}.py: the figure {large[0]!r} has more than {LARGEST_B // 1000} kB")
    for old in KEPT.glob(f"{name}-*.png"):
        old.unlink()
    pictures = {f"{name}-{k}.png": content for k, (_, content) in enumerate(figures, 1)}
    pictures[f"{name}-thumbnail.png"] = smaller(io.BytesIO(figures[-1][1]), THUMBNAIL_PX)
    names = iter(pictures)
    for cell in shown:
        body = cell.body.strip()
        parts.append(body.replace("](../docs/", "](../") if cell.prose else f"```python\n{body}\n```")
        parts += [f"```text\n{folded(cell.printed)}\n```"] if cell.printed else []
        parts += [f"![{title}]({next(names)})" for title, _ in cell.figures]
    parts.append(f"The script is [`examples/{name}.py`](../../examples/{name}.py).")
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{name}.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    for file, content in pictures.items():
        (KEPT / file).write_bytes(content)


def folded(printed: str) -> str:
    """Lines of prose as wide as a page; tables and LaTeX stay as they are."""
    lines = (
        line
        if re.search(r"\S  |\\", line)
        else textwrap.fill(line, COLUMNS, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in printed.splitlines()
    )
    return "\n".join(lines)


def index() -> str:
    """The page that leads to all: titles, and the first sentence of each script."""
    rows = []
    for name in EXAMPLES:
        heading, _, prose = cells(script(name).read_text("utf-8"))[0].body.strip().partition("\n\n")
        title = heading.removeprefix("# ")
        sentence = re.split(r"(?<=[.?])\s", " ".join(prose.split()))[0].replace("](../docs/", "](../")
        rows.append(f"| [![{title}]({name}-thumbnail.png)]({name}.md) | **[{title}]({name}.md)**<br>{sentence} |")
    made = "<!-- Made by `make gallery` from the scripts in examples/. Do not edit this page. -->"
    return "\n".join([made, "", INTRODUCTION, "", "| figure | example |", "| --- | --- |", *rows, ""])


def stale() -> list[str]:
    """The examples whose page was made from another script, or is missing."""
    pages = {name: KEPT / f"{name}.md" for name in EXAMPLES}
    return [name for name, page in pages.items() if not page.exists() or mark(name) not in page.read_text("utf-8")]


def faults() -> Iterator[str]:
    """Yields what does not belong to the scripts, as sentences."""
    for name in stale():
        yield f"docs/gallery/{name}.md does not show examples/{name}.py as it is now. Run: make gallery"
    page = KEPT / "README.md"
    if not page.exists() or page.read_text("utf-8") != index():
        yield "docs/gallery/README.md does not list the scripts as they are now. Run: make gallery"


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the examples that changed, and keeps what they show.")
    parser.add_argument("--all", action="store_true", help="run all")
    parser.add_argument("--check", action="store_true", help="run none, and end with 1 where a page is not up to date")
    asked = parser.parse_args()
    if asked.check:
        found = list(faults())
        print("\n".join(found) or "every page of the gallery shows its script")
        return int(bool(found))
    failed = False
    with TemporaryDirectory(prefix="embench-gallery-") as work:
        os.environ["EMBENCH_CACHE"] = str(Path(work, "cache"))
        for name in EXAMPLES if asked.all else stale():
            if absent := absent_libraries(name):
                print(f"examples/{name}.py, whose page stays as it was, needs: pip install {' '.join(absent)}")
                failed = True
                continue
            print(f"examples/{name}.py", flush=True)
            own = Path(work, name)  # each counts its own evaluations only
            own.mkdir()
            keep(name, mark(name), execute(name, own))
    (KEPT / "README.md").write_text(index(), "utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
