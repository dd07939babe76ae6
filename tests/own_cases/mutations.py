"""Ways in which people and programs change a study. Each says what may be read of it afterwards without a word:

- `same`: the study as it was;
- `lost`: the same, with lost samples or moments where there were some, or a shorter end;
- `fewer`: the same, without some recordings;
- `value`: the same, but for one sample or one label, which is what its file now says;
- `swapped`: the signals of two files are those of each other.
"""

# ruff: noqa: ARG001 - all ways have the same arguments

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from .markers import PLAIN
from .studies import marked

TEXTS = (".csv", ".txt", ".tsv")
Change = Callable[[random.Random, Path], str | None]
Lines = Callable[[random.Random, list[str], str], list[str] | None]


class Mutation(NamedTuple):
    """A way to change one file, what may then be read without a word, and which files it is for.

    Args:
        of: `table`, `signal`, `text` (both), `file` (all), `marks`, `yaml`.
    """

    name: str
    of: str
    silent: str
    change: Change


def gap_of(head: str) -> str:
    return "\t" if "\t" in head else ";" if ";" in head else ","


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


def _lines(change: Lines) -> Change:
    def mutate(rng: random.Random, path: Path) -> str | None:
        before = _text(path).splitlines()
        if len(before) < 3:
            return None
        after = change(rng, list(before), gap_of(before[0]))
        if after is None or after == before:
            return None
        path.write_bytes(("\n".join(after) + "\n").encode())
        first = next((k for k, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), -1)
        return f"from line {first + 1}, {len(before)} lines became {len(after)}"

    return mutate


def _bytes(change: Callable[[random.Random, str], bytes | None]) -> Change:
    def mutate(rng: random.Random, path: Path) -> str | None:
        before = path.read_bytes()
        after = change(rng, _text(path))
        if after is None or after == before:
            return None
        path.write_bytes(after)
        return f"{len(before)} bytes became {len(after)}"

    return mutate


def _row(rng: random.Random, lines: Sequence[str]) -> int:
    return rng.randrange(1, len(lines))


def _drop(count: int) -> Lines:
    def change(rng: random.Random, lines: list[str], gap: str) -> list[str]:
        k = rng.randrange(2, max(3, len(lines) - count))
        return [*lines[:k], *lines[k + count :]]

    return change


def _double(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    k = _row(rng, lines)
    return [*lines[: k + 1], *lines[k:]]


def _double_apart(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return [*lines, lines[_row(rng, lines)]]


def _double_other(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    """A row again, with another value in its last cell that is a number."""
    k = _row(rng, lines)
    cells = lines[k].split(gap)
    at = max((j for j, cell in enumerate(cells) if cell.isdigit()), default=-1)
    cells[at] = str(int(cells[at]) % 6 + 1) if cells[at].isdigit() else cells[at]
    return [*lines, gap.join(cells)]


def _shuffle(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    rows = lines[1:]
    rng.shuffle(rows)
    return [lines[0], *rows]


def _swap_rows(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    k = rng.randrange(1, len(lines) - 1)
    lines[k], lines[k + 1] = lines[k + 1], lines[k]
    return lines


def _cell(change: Callable[[random.Random, str], str]) -> Lines:
    def mutate(rng: random.Random, lines: list[str], gap: str) -> list[str]:
        k = _row(rng, lines)
        cells = lines[k].split(gap)
        j = rng.randrange(len(cells))
        cells[j] = change(rng, cells[j])
        lines[k] = gap.join(cells)
        return lines

    return mutate


def _shift_right(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    k = _row(rng, lines)
    cells = lines[k].split(gap)
    cells.insert(rng.randrange(len(cells)), "")
    lines[k] = gap.join(cells)
    return lines


def _shift_left(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
    k = _row(rng, lines)
    cells = lines[k].split(gap)
    if len(cells) < 2:
        return None
    del cells[rng.randrange(len(cells))]
    lines[k] = gap.join(cells)
    return lines


def _swap_columns(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
    rows = [line.split(gap) for line in lines]
    if len({len(row) for row in rows}) > 1 or len(rows[0]) < 2:
        return None
    a, b = rng.sample(range(len(rows[0])), 2)
    for row in rows:
        row[a], row[b] = row[b], row[a]
    return [gap.join(row) for row in rows]


def _swap_names(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
    cells = lines[0].split(gap)
    if len(cells) < 2:
        return None
    a, b = rng.sample(range(len(cells)), 2)
    cells[a], cells[b] = cells[b], cells[a]
    return [gap.join(cells), *lines[1:]]


def _double_name(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
    cells = lines[0].split(gap)
    if len(cells) < 2:
        return None
    a, b = rng.sample(range(len(cells)), 2)
    cells[a] = cells[b]
    return [gap.join(cells), *lines[1:]]


def _double_column(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    """A column again, with other values, under the same name."""
    at = rng.randrange(len(lines[0].split(gap)))
    cells = [line.split(gap) for line in lines]
    return [gap.join([*row, row[at] if k == 0 else "7"]) for k, row in enumerate(cells) if at < len(row)]


def _rename_column(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    cells = lines[0].split(gap)
    at = rng.randrange(len(cells))
    cells[at] = rng.choice([cells[at].upper(), f"{cells[at]}_x", f" {cells[at]} ", cells[at][:-1]])
    return [gap.join(cells), *lines[1:]]


def _no_header(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return lines[1:]


def _header_again(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    k = rng.randrange(2, len(lines))
    return [*lines[:k], lines[0], *lines[k:]]


def _title(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return [*rng.choice([["Export of 1 March"], ["Export", ""], ["Study", "Person 3", ""]]), *lines]


def _sums(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    count = lines[0].count(gap)
    return [*lines, gap.join(["mean", *["5"] * count])]


def _blank_lines(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    for _ in range(3):
        lines.insert(rng.randrange(1, len(lines) + 1), "")
    return lines


def _empty_rows(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return [*lines, *[gap * lines[0].count(gap)] * 3]


def _trailing(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return [line + gap for line in lines]


def _trailing_some(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return [lines[0], *(line + gap for line in lines[1:])]


def _quoted(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
    return None if any('"' in line for line in lines) else [
        gap.join(f'"{cell}"' for cell in line.split(gap)) for line in lines]  # fmt: skip


def _spaced(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return [f"{gap} ".join(f"{cell} " for cell in line.split(gap)) for line in lines]


def _comment(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return ["# made by hand", *lines]


def _other_gap(new: str) -> Lines:
    def change(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
        return None if any(new in line for line in lines) else [line.replace(gap, new) for line in lines]

    return change


def _commas(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
    """Semicolons, and decimal commas."""
    if gap == ";" or any(";" in line for line in lines):
        return None
    return [";".join(re.sub(r"^(-?\d+)\.(\d+)$", r"\1,\2", cell) for cell in line.split(gap)) for line in lines]


def _thousands(mark: str) -> Lines:
    """Marks of thousands in all cells, as a spreadsheet shows them."""

    def change(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
        if mark == gap:
            return None
        form = re.compile(r"^(\d{4,})(\.\d+)?$")

        def shown(cell: str) -> str:
            return re.sub(form, lambda m: f"{int(m[1]):,}".replace(",", mark) + (m[2] or ""), cell)

        return [gap.join(map(shown, line.split(gap))) for line in lines]

    return change


def _times_1000(rng: random.Random, lines: list[str], gap: str) -> list[str] | None:
    """The column of times in ms."""
    heads = lines[0].lower().split(gap)
    columns = [k for k, name in enumerate(heads) if name in ("time", "begin", "end", "start", "at")]
    rows = [line.split(gap) for line in lines[1:]]
    try:
        for row in rows:
            for k in columns:
                row[k] = f"{1000 * float(row[k]):.0f}"
    except (ValueError, IndexError):
        return None
    return [lines[0], *map(gap.join, rows)] if columns else None


def _moved(**by: float) -> Lines:
    """All dates, times of day and unix times later."""

    def later(match: re.Match[str], form: str) -> str:
        return f"{datetime.strptime(match[0], form) + timedelta(**by):{form}}"  # noqa: DTZ007

    def change(rng: random.Random, lines: list[str], gap: str) -> list[str]:
        made, shift = [], timedelta(**by).total_seconds()
        for line in lines:
            if re.search(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", line):
                line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", lambda m: later(m, "%Y-%m-%d %H:%M:%S"), line)
            elif re.search(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", line):
                line = re.sub(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", lambda m: later(m, "%d.%m.%Y %H:%M:%S"), line)
            elif "days" not in by:
                line = re.sub(r"(?<![\d:])\d\d:\d\d:\d\d", lambda m: later(m, "%H:%M:%S"), line)
            made.append(re.sub(r"\b1709\d{6}\b", lambda m: str(round(int(m[0]) + shift)), line))
        return made

    return change


def _american(rng: random.Random, lines: list[str], gap: str) -> list[str]:
    return [re.sub(r"2024-03-01 ", "3/1/2024 ", line) for line in lines]


def _cut(share: float | None, whole_lines: bool = False) -> Change:
    def mutate(rng: random.Random, path: Path) -> str | None:
        content = path.read_bytes()
        size = int(len(content) * (rng.random() if share is None else share))
        if whole_lines:
            size = content.rfind(b"\n", 0, size) + 1
        path.write_bytes(content[:size])
        return f"cut at {size} of {len(content)}" if content else None

    return mutate


def _swap_files(rng: random.Random, path: Path) -> str | None:
    """Exchanged with a file of another person, of the same kind."""
    form = re.compile(re.sub(r"(\d+)", "#", path.name))
    others = [p for p in sorted(path.parent.glob(f"*{path.suffix}")) if p != path
              and form.fullmatch(re.sub(r"(\d+)", "#", p.name))]  # fmt: skip
    if not others:
        return None
    other = rng.choice(others)
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)
    return None if mine == theirs else f"exchanged with {other.name}"


def _copy(form: str) -> Change:
    def mutate(rng: random.Random, path: Path) -> str | None:
        other = path.with_name(form.format(stem=path.stem, suffix=path.suffix))
        if other.exists():
            return None
        other.write_bytes(path.read_bytes())
        return f"is there again as {other.name}"

    return mutate


def _rename(change: Callable[[str], str]) -> Change:
    def mutate(rng: random.Random, path: Path) -> str | None:
        other = path.with_name(change(path.name))
        if other.exists():
            return None
        path.rename(other)
        return f"is called {other.name}"

    return mutate


def _remove(rng: random.Random, path: Path) -> str:
    path.unlink()
    return "is gone"


def _marks(change: Callable[[random.Random, list[tuple[float, str]]], None]) -> Change:
    def mutate(rng: random.Random, path: Path) -> str | None:
        notes = [(float(at), text) for at, text in PLAIN]
        change(rng, notes)
        if sorted(notes) == sorted(PLAIN):
            return None
        path.write_bytes(marked(path.stem, notes, as_xdf=path.suffix == ".xdf"))
        return f"markers are {sorted(notes)}"

    return mutate


def _swap_marks(rng: random.Random, notes: list[tuple[float, str]]) -> None:
    a, b = rng.sample(range(len(notes)), 2)
    notes[a], notes[b] = (notes[a][0], notes[b][1]), (notes[b][0], notes[a][1])


def _again(rng: random.Random, notes: list[tuple[float, str]]) -> None:
    at, text = rng.choice(notes)
    notes.append((at + rng.choice([0.0, 0.5, 3.0, 15.0]), text))


def _misspell(rng: random.Random, notes: list[tuple[float, str]]) -> None:
    k = rng.randrange(len(notes))
    notes[k] = (notes[k][0], rng.choice([notes[k][1].upper(), notes[k][1] + "x", notes[k][1].replace("_", " ")]))


def _yaml(change: Callable[[random.Random, list[str]], list[str] | None]) -> Change:
    def mutate(rng: random.Random, path: Path) -> str | None:
        before = path.read_text("utf-8").splitlines()
        after = change(rng, list(before))
        if after is None or after == before:
            return None
        path.write_text("\n".join(after) + "\n", "utf-8")
        gone = [line.strip() for line in before if line not in after]
        return f"{gone[:2]} became {[line.strip() for line in after if line not in before][:2]}"

    return mutate


def _one_line(
    find: str, new: str | Callable[[re.Match[str]], str]
) -> Callable[[random.Random, list[str]], list[str] | None]:
    def change(rng: random.Random, lines: list[str]) -> list[str] | None:
        fitting = [k for k, line in enumerate(lines) if re.search(find, line) and not line.lstrip().startswith("#")]
        if not fitting:
            return None
        k = rng.choice(fitting)
        lines[k] = re.sub(find, new, lines[k], count=1)
        return lines

    return change


def _drop_line(rng: random.Random, lines: list[str]) -> list[str] | None:
    inner = [k for k, line in enumerate(lines) if re.match(r"\s+[\w{]", line) and ":" in line and "scale" not in line]
    if not inner:
        return None
    del lines[rng.choice(inner)]
    return lines


def _other_unit(match: re.Match[str]) -> str:
    """A unit of the same kind, which the values are not in."""
    other = {"uS": "mS", "mV": "V", "uV": "V", "degC": "degF", "g": "mg"}
    return f"unit: {other.get(match[1], match[1])}"


def _misspelt(match: re.Match[str]) -> str:
    return f"{match[1][:-1]}x:"


MUTATIONS = (
    Mutation("a row is missing", "table", "fewer", _lines(_drop(1))),
    Mutation("a row is missing", "signal", "lost", _lines(_drop(1))),
    Mutation("rows are missing", "signal", "lost", _lines(_drop(9))),
    Mutation("a row twice", "text", "same", _lines(_double)),
    Mutation("a row again at the end", "text", "same", _lines(_double_apart)),
    Mutation("a row again with another value", "table", "same", _lines(_double_other)),
    Mutation("rows in another order", "text", "same", _lines(_shuffle)),
    Mutation("two rows exchanged", "text", "same", _lines(_swap_rows)),
    Mutation("a row moved to the right", "text", "same", _lines(_shift_right)),
    Mutation("a row moved to the left", "text", "same", _lines(_shift_left)),
    Mutation("NA in a cell", "text", "lost", _lines(_cell(lambda rng, _: rng.choice(["NA", "", "n/a", "NaN", "-"])))),
    Mutation("a text in a cell", "text", "lost", _lines(_cell(lambda rng, _: rng.choice(["abc", "?", "o.k."])))),
    Mutation("another case", "table", "same", _lines(_cell(lambda _, cell: cell.swapcase()))),
    Mutation("a space in a cell", "table", "same", _lines(_cell(lambda _, cell: f" {cell}\xa0"))),
    Mutation(
        "a sign of missing values",
        "table",
        "lost",
        _lines(_cell(lambda rng, cell: rng.choice(["99", "-99", "999", "-9"]) if cell.isdigit() else cell)),
    ),
    Mutation("columns exchanged", "text", "same", _lines(_swap_columns)),
    Mutation("names of columns exchanged", "text", "same", _lines(_swap_names)),
    Mutation("a name of a column twice", "text", "same", _lines(_double_name)),
    Mutation("a column twice", "text", "same", _lines(_double_column)),
    Mutation("a column by another name", "text", "same", _lines(_rename_column)),
    Mutation("no header", "text", "same", _lines(_no_header)),
    Mutation("the header again", "text", "lost", _lines(_header_again)),
    Mutation("lines before the header", "text", "same", _lines(_title)),
    Mutation("a line of means", "text", "same", _lines(_sums)),
    Mutation("a comment", "text", "same", _lines(_comment)),
    Mutation("blank lines", "text", "same", _lines(_blank_lines)),
    Mutation("empty rows", "text", "lost", _lines(_empty_rows)),
    Mutation("a separator at the end", "text", "same", _lines(_trailing)),
    Mutation("a separator at the end of rows", "text", "same", _lines(_trailing_some)),
    Mutation("quotes", "text", "same", _lines(_quoted)),
    Mutation("spaces", "text", "same", _lines(_spaced)),
    Mutation("semicolons", "text", "same", _lines(_other_gap(";"))),
    Mutation("tabs", "text", "same", _lines(_other_gap("\t"))),
    Mutation("decimal commas", "text", "same", _lines(_commas)),
    *(Mutation(f"thousands with {mark!r}", "text", "same", _lines(_thousands(mark))) for mark in (",", "'", " ", ".")),
    Mutation("times in ms", "text", "same", _lines(_times_1000)),
    Mutation("a day later", "text", "same", _lines(_moved(days=1))),
    Mutation("an hour later", "text", "same", _lines(_moved(hours=1))),
    Mutation("five hours earlier", "text", "same", _lines(_moved(hours=-5))),
    Mutation("American dates", "table", "same", _lines(_american)),
    Mutation("UTF-16", "text", "same", _bytes(lambda _, text: text.encode("utf-16"))),
    Mutation("UTF-8 with a mark", "text", "same", _bytes(lambda _, text: text.encode("utf-8-sig"))),
    Mutation("cp1252", "table", "same", _bytes(lambda _, text: text.encode("cp1252", "ignore"))),
    Mutation("CR", "text", "same", _bytes(lambda _, text: "\r".join(text.splitlines()).encode())),
    Mutation("CRLF", "text", "same", _bytes(lambda _, text: "\r\n".join([*text.splitlines(), ""]).encode())),
    Mutation("no last line end", "text", "same", _bytes(lambda _, text: text.rstrip("\r\n").encode())),
    Mutation("cut in half", "file", "lost", _cut(0.5)),
    Mutation("cut anywhere", "file", "lost", _cut(None)),
    Mutation("cut behind a line", "text", "lost", _cut(None, whole_lines=True)),
    Mutation("empty", "file", "same", _cut(0.0)),
    Mutation("removed", "file", "fewer", _remove),
    Mutation("exchanged files", "signal", "swapped", _swap_files),
    Mutation("a copy", "file", "same", _copy("{stem} (1){suffix}")),
    Mutation("a copy in front", "file", "same", _copy("Copy of {stem}{suffix}")),
    Mutation("an old version", "file", "same", _copy("{stem}_old{suffix}")),
    Mutation("another case of the name", "file", "same", _rename(str.swapcase)),
    Mutation("another name", "file", "fewer", _rename(lambda name: f"x{name}")),
    Mutation(
        "a marker is missing", "marks", "same", _marks(lambda rng, notes: notes.pop(rng.randrange(len(notes))) and None)
    ),
    Mutation("a marker twice", "marks", "same", _marks(_again)),
    Mutation("two markers exchanged", "marks", "same", _marks(_swap_marks)),
    Mutation("a marker misspelt", "marks", "same", _marks(_misspell)),
    Mutation("a key misspelt", "yaml", "same", _yaml(_one_line(r"\b([a-z_]{3,}):", _misspelt))),
    Mutation("a line missing", "yaml", "same", _yaml(_drop_line)),
    Mutation("another type", "yaml", "same", _yaml(_one_line(r": [\w.{][^\[{]*$", ": [1, 2]"))),
    Mutation("another unit", "yaml", "same", _yaml(_one_line(r"unit: (\S+?)(?=[,}]|$)", _other_unit))),
    Mutation(
        "times said to be ms", "yaml", "same", _yaml(_one_line(r"^(\s+)time: (\S+)$", r"\1time: \2\n\1time_unit: ms"))
    ),
    Mutation("another zone", "yaml", "same", _yaml(_one_line(r"^timezone: .*", "timezone: Asia/Tokyo"))),
    Mutation(
        "another column", "yaml", "same", _yaml(_one_line(r"(column|start|end|stimulus|time): (\w+)$", r"\1: \2_x"))
    ),
)
