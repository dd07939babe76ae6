"""Selection of boards and rows of the leaderboards: rows as flat records with readable fields, filtered and sorted.

Every row of every board has the same fields, so that tables, CSV and JSON agree.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from embench.errors import UsageError
from embench.leaderboard.columns import as_text, columns
from embench.leaderboard.row import Row
from embench.leaderboard.sections import BoardSection
from embench.registry.naming import did_you_mean
from embench.texts import harmless

Fields = dict[str, Any]
"""Field -> text, number, truth value, list of texts, or None where it is not known or does not apply."""

ENTRY = "entry"
"""The column of tables that holds the end of an entry's id."""

_ABOUT = ("dataset", "protocol", "target", "trained_on", "leaks")
_PARTS = re.compile(r"(\w+)\s*(!=|>=|<=|=|~)\s*(.*)", re.DOTALL)
_FORMS = "FIELD=VALUE, FIELD!=VALUE, FIELD>=NUMBER, FIELD<=NUMBER or FIELD~TEXT (contains)"


def select_sections(
    sections: Sequence[BoardSection],
    *,
    dataset: str | None = None,
    protocol: str | None = None,
    target: str | None = None,
) -> list[BoardSection]:
    """The boards of a dataset, protocol and target, None standing for any.

    Args:
        sections: as `leaderboard_sections` gives them.

    Raises:
        UsageError: no board is of that dataset, protocol or target.
    """
    chosen = list(sections)
    for name, wanted in (("dataset", dataset), ("protocol", protocol), ("target", target)):
        if wanted is None:
            continue
        known = sorted({getattr(section, name) for section in chosen})
        if wanted not in known:
            raise UsageError(
                f"no leaderboard has the {name} `{wanted}`",
                where=f"--{name}",
                expected=f"one of: {', '.join(known)}" if known else "a folder with published entries (--boards)",
                hint=did_you_mean(wanted, known),
            )
        chosen = [section for section in chosen if getattr(section, name) == wanted]
    return chosen


def row_fields(section: BoardSection, row: Row) -> Fields:
    """One row of a board as a flat record: its board, and the values of all `columns`."""
    about = {name: getattr(section, name) for name in _ABOUT}
    return about | {name: column.value(row) for name, column in columns().items()}


def check_field(field: str, known: Sequence[str], option: str) -> str:
    """`field` where it is one of those known. Raises UsageError that names the option, the choices and the nearest."""
    if field in known:
        return field
    names = [name for name in known if not name.endswith(("_low", "_high"))]
    ends = "; the ends of a score's interval: its name with _low or _high" if len(names) < len(known) else ""
    expected = f"one of: {', '.join(names)}{ends}"
    raise UsageError(f"unknown field `{field}`", where=option, expected=expected, hint=did_you_mean(field, names))


def read_filter(text: str, known: Sequence[str]) -> Callable[[Fields], bool]:
    """Returns the predicate of a filter such as `fusion=svm`, `score>=0.6` or `modalities~eda`; a list is compared as
    its texts joined by commas, and case does not count. A field without a value is kept by `field=` alone, and by `!=`.

    Args:
        known: the fields that rows have.

    Raises:
        UsageError: the text is no filter, names no field, or compares with what is no number.
    """
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"cannot read the filter `{text}`", where="--filter", expected=_FORMS)
    field, sign, wanted = _printed(found[1], known, "--filter"), found[2], found[3].strip()
    if sign in (">=", "<="):
        limit = _number(wanted)
        if limit is None:
            raise UsageError(f"`{wanted}` is not a number", where=f"--filter {field}{sign}", expected="a number")

        def within(fields: Fields) -> bool:
            value = _value(fields, field)
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            return value >= limit if sign == ">=" else value <= limit

        return within
    if sign == "~":
        return lambda fields: _alike(wanted) in _alike(as_text(_value(fields, field), ","))
    return lambda fields: _same(_value(fields, field), wanted) == (sign == "=")


def _printed(name: str, known: Sequence[str], option: str) -> str:
    """The field of a name of a field or of a table's head, such as `time` of `time_s`; `entry` is the end of `id`."""
    titles = {column.title: field for field, column in columns().items() if " " not in column.title}
    return titles.get(name, name) if name in titles else check_field(name, [*known, ENTRY], option)


def _value(fields: Fields, field: str) -> Any:
    return fields["id"].rpartition("-")[2] if field == ENTRY else fields[field]


def _same(value: Any, wanted: str) -> bool:
    number = _number(wanted)
    if number is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return value == number
    return _alike(as_text(value, ",")) == _alike(wanted.replace(", ", ","))


def _alike(text: str) -> str:
    """The text without what does not count: case, and `_` for the hyphen that tables print."""
    return text.lower().replace("_", "-")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def as_csv(rows: Sequence[Fields], columns: Sequence[str] | None = None) -> str:
    """A table with a line for each row; by default all fields. Lists have `; ` between their items, and what is not
    known is empty."""
    heads = list(rows[0] if columns is None and rows else columns or ())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_cell(row[name]) for name in heads] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    """A number below zero is none of a formula."""
    text = as_text(value, "; ")
    return text if isinstance(value, int | float) else harmless(text)


def sorted_rows(rows: Sequence[tuple[Fields, Row]], by: str) -> list[tuple[Fields, Row]]:
    """Rows by a field, from the least, or by `-field` from the greatest; rows without a value come last, and equal ones
    stay in their order. Raises UsageError where no row has such a field."""
    field, down = by.removeprefix("-"), by.startswith("-")
    if rows:
        field = _printed(field, list(rows[0][0]), "--sort")
    known = [row for row in rows if _known(_value(row[0], field))]
    known.sort(key=lambda row: _order(_value(row[0], field)), reverse=down)
    return [*known, *(row for row in rows if not _known(_value(row[0], field)))]


def _known(value: Any) -> bool:
    return value is not None and value != []


def _order(value: Any) -> Any:
    return value if isinstance(value, int | float) else as_text(value).lower()
