"""Numbers in the tables of papers, each with the run that it is of, or why it could not be read.

Any package can provide some, as `printed/<paper>.yaml` next to its `registry.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from embench import registry
from embench.claims.files import Configuration, Identity, Strict, read_stated
from embench.errors import UsageError


def _with_spread(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


Figures = Annotated[tuple[float] | tuple[float, float], BeforeValidator(_with_spread)]
"""A number as it is printed, with its spread where one is."""


class PrintedRow(Strict):
    """A row of a paper's tables: the options of its run, on the paper's dataset and by another protocol than the
    paper's where it names one, and target -> metric -> what is printed."""

    tables: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    row: str
    dataset: str
    run: Configuration
    protocol: str | None = None
    printed: dict[str, dict[str, Figures]] = Field(min_length=1)
    remarks: str = ""

    def numbers(self) -> Iterator[tuple[str, str, Sequence[float]]]:
        """Target, metric, and the number with its spread where one is printed."""
        for target, scores in self.printed.items():
            yield from ((target, metric, figures) for metric, figures in scores.items())


class UnreadTable(Strict):
    """A table or a picture of a paper whose numbers are not among ours, and why."""

    table: str
    what: str
    why: str


class Printed(Strict):
    """The tables of a paper. `unit` is that of scores that are shares, `spread` says what stands behind ±."""

    paper: Identity
    protocol: str
    unit: Literal["share", "percent"]
    spread: str | None = None
    rows: Annotated[tuple[PrintedRow, ...], Field(strict=False)]
    unread: Annotated[tuple[UnreadTable, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _says_what_spreads_are(self) -> Self:
        if not self.spread and any(len(figures) > 1 for row in self.rows for _, _, figures in row.numbers()):
            raise ValueError("a number has a spread, but `spread` does not say what the spread is")
        return self

    def in_words(self, figures: Sequence[float]) -> str:
        """A number as the paper prints it, a share with its unit."""
        text = " ± ".join(f"{figure:g}" for figure in figures)
        return f"{text} %" if self.unit == "percent" else text


def printed_tables(paper: str | None = None) -> list[Printed]:
    """The tables of all papers, or of one, by name. Raises UsageError: a file cannot be read, or breaks the schema."""
    found = [_read(path) for path in registry.shipped("printed/*.yaml") if paper in (None, path.stem)]
    return sorted(found, key=lambda printed: printed.paper)


def _read(path: Path) -> Printed:
    printed = read_stated(path, "a table", lambda _: Printed)
    if printed.paper != path.stem:
        raise UsageError(f"these are the tables of {printed.paper}", where=str(path), expected=f"{printed.paper}.yaml")
    return printed
