"""Ways in which files of a lab break: in their form, range, length, unit or key."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

Mutation = Callable[[random.Random, Path], str | None]
TEXTS = (".csv", ".txt", ".tsv")


def _gap(text: str) -> str:
    head = text.split("\n", 1)[0]
    return "\t" if "\t" in head else ";" if ";" in head else ","


def _cell(change: Callable[[str], str]) -> Mutation:
    """Another value in one cell."""

    def mutate(rng: random.Random, path: Path) -> str | None:
        lines = path.read_bytes().decode("utf-8", "replace").split("\n")
        k, gap = rng.randrange(1, max(2, len(lines) - 1)), _gap(lines[0])
        cells = lines[k].rstrip("\r").split(gap)
        j = rng.randrange(len(cells))
        before, cells[j] = cells[j], change(cells[j])
        lines[k] = gap.join(cells)
        path.write_bytes("\n".join(lines).encode())
        return None if cells[j] == before else f"line {k + 1}: `{before[:20]}` is `{cells[j][:20]}`"

    return mutate


def _times(factor: float) -> Callable[[str], str]:
    def change(cell: str) -> str:
        try:
            return str(factor * (float(cell.replace(",", ".")) or 1.0))
        except ValueError:
            return cell

    return change


def _lines(change: Callable[[random.Random, list[str]], list[str]]) -> Mutation:
    def mutate(rng: random.Random, path: Path) -> str | None:
        before = path.read_bytes().decode("utf-8", "replace").split("\n")
        after = change(rng, list(before))
        path.write_bytes("\n".join(after).encode())
        return None if after == before else f"{len(before)} lines are {len(after)}"

    return mutate


def _double(rng: random.Random, lines: list[str]) -> list[str]:
    k = rng.randrange(1, max(2, len(lines) - 1))
    return [*lines[:k], *lines[k - 1 :]]


def _drop(rng: random.Random, lines: list[str]) -> list[str]:
    k = rng.randrange(1, max(2, len(lines) - 1))
    return lines[:k] + lines[k + 1 :]


def _header(rng: random.Random, lines: list[str]) -> list[str]:
    gap = _gap(lines[0])
    cells = lines[0].split(gap)
    cells[rng.randrange(len(cells))] += "_x"
    return [gap.join(cells), *lines[1:]]


def _cut(share: float | None) -> Mutation:
    def mutate(rng: random.Random, path: Path) -> str | None:
        content = path.read_bytes()
        kept = int(len(content) * (rng.random() if share is None else share))
        path.write_bytes(content[:kept])
        return f"cut at {kept} of {len(content)}" if content else None

    return mutate


def _rename(change: Callable[[str], str]) -> Mutation:
    def mutate(_: random.Random, path: Path) -> str | None:
        other = path.with_name(change(path.name))
        path.rename(other)
        return f"is called {other.name}"

    return mutate


def _remove(_: random.Random, path: Path) -> str:
    path.unlink()
    return "is gone"


def _utf16(_: random.Random, path: Path) -> str:
    path.write_bytes(path.read_bytes().decode("utf-8", "replace").encode("utf-16"))
    return "is in UTF-16"


FILES: dict[str, Mutation] = {
    "cut in half": _cut(0.5),
    "cut anywhere": _cut(None),
    "empty": _cut(0.0),
    "removed": _remove,
    "another name": _rename(lambda name: f"x{name}"),
    "another case": _rename(str.swapcase),
}
TABLES: dict[str, Mutation] = {
    **FILES,
    "a text": _cell(lambda _: "abc"),
    "infinite": _cell(lambda cell: "inf" if _times(1.0)(cell) != cell or cell.isdigit() else cell),
    "far out of range": _cell(_times(1e6)),
    "a line doubled": _lines(_double),
    "a line missing": _lines(_drop),
    "another header": _lines(_header),
    "UTF-16": _utf16,
}


def of_yaml(rng: random.Random, path: Path) -> str | None:
    """A key or value of a description that is another one."""
    lines = path.read_text().split("\n")
    k = rng.choice([i for i, line in enumerate(lines) if ":" in line and not line.startswith("#")])
    before = lines[k]
    how = rng.choice(["key", "missing", "value", "indent", "twice"])
    if how == "key":
        lines[k] = re.sub(r"(\w+):", lambda found: found[1][:-1] + "x:", before, count=1)
    elif how == "value":
        lines[k] = re.sub(r":\s*[^#{\[]*$", ": wrong", before)
    elif how == "indent":
        lines[k] = f" {before}"
    else:
        lines[k : k + 1] = [] if how == "missing" else [before, before]
    text = "\n".join(lines)
    changed = text != path.read_text()
    path.write_text(text)
    return f"{how}: `{before.strip()[:60]}`" if changed else None
