"""Heads of tables: columns by position, files without names, titles above the names, sheets, marks far below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .cells import as_written, workbook
from .files import AROUSAL, CLIPS, EDA, RATED, clips, column, eda, rated, table, write
from .outcome import Case, Recordings, must_be_said


def _signals(change: Callable[[str], str], **own: Any) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        clips(root, change(column(0, 60, 4)), recordings={**CLIPS, "signals": {"eda": {**EDA, **own}}})

    return make


def _ratings(change: Callable[[str], str], **label: Any) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        clips(root, None, change(rated()), labels={"arousal": {**AROUSAL, **label}})

    return make


def _bare(text: str) -> str:
    return text.partition("\n")[2]


def _named(text: str, end: str) -> str:
    """Rows with an end, below names without."""
    head, *rows = text.splitlines()
    return "\n".join([head, *(row + end for row in rows), ""])


def _numbered(text: str) -> str:
    """A first column of row numbers without a name, as spreadsheets of R and pandas have it."""
    head, *rows = text.splitlines()
    return "\n".join([f",{head}", *(f"{k},{row}" for k, row in enumerate(rows)), ""])


def _dated(text: str) -> str:
    """Rows with dates in the place of seconds, and no names."""
    rows = [line.split(",") for line in _bare(text).splitlines()]
    return "".join(
        f"2024-03-01 14:05:{int(float(t)) % 60:02d}.{round(1000 * float(t)) % 1000:03d},{v}\n" for t, v in rows
    )


def _book(sheets: Mapping[str, str], **label: Any) -> Callable[[Path], None]:
    """Ratings in an Excel file."""

    def make(root: Path) -> None:
        clips(root, labels={"arousal": {**AROUSAL, "table": "ratings.xlsx", **label}})
        (root / "ratings.csv").unlink()
        write(root, {"ratings.xlsx": workbook(sheets)})

    return make


def _signal_book(sheet: str | None) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        own = {**EDA} | ({"sheet": sheet} if sheet else {})
        source = {"files": "{participant:P##}_clip{clip}.xlsx", "stimulus": "{clip}", "signals": {"eda": own}}
        book = workbook({"Info": "Device,No\nE4,7\n", "EDA": column(0, 60, 4)})
        clips(root, book, recordings=source)  # type: ignore[arg-type]

    return make


def _late(first: Sequence[str], later: Sequence[str], gap: str = ";") -> Callable[[Path], None]:
    """Respiration whose first 300 cells are of one form, and 20 later ones of another."""

    def make(root: Path) -> None:
        shown = [first[k % len(first)] for k in range(300)] + [later[k % len(later)] for k in range(20)]
        source = {"files": "{participant:P##}_clip{clip}.txt", "stimulus": "{clip}",
                  "signals": {"resp": {"channels": {"resp": "RESP"}, "time": "time", "unit": "a.u."}}}  # fmt: skip
        clips(root, table({"time": range(320), "RESP": shown}, gap), recordings=source)

    return make


def _then(first: Sequence[float], later: Sequence[float]) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        wanted = np.concatenate([np.resize(first, 300), np.resize(later, 20)])
        assert len(found) == 9
        for r in found.values():
            np.testing.assert_allclose(r.signals["resp"].data[0], wanted, rtol=1e-5)

    return check


def _above(*lines: str) -> Callable[[str], str]:
    return lambda text: "".join(f"{line}\n" for line in lines) + text


def _one_column(*above: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        own = {"channels": {"eda": "EDA"}, "rate": 4, "unit": "uS"}
        text = "".join(f"{line}\n" for line in (*above, "EDA", *np.round(eda(60, 4), 5)))
        clips(root, text, recordings={**CLIPS, "signals": {"eda": own}})

    return make


def _wide_decimals(root: Path) -> None:
    """A row for each person, and columns called 1.5, 2.5 and so on for the clips."""
    rows = "".join(f"P0{n},{','.join(f'{v:.1f}' for v in RATED[n - 1])}\n" for n in (1, 2, 3))
    label = {"table": "ratings.csv", "keys": {"participant": "code"}, "column": "{clip}.5", "scale": [1, 9]}
    clips(root, None, f"code,1.5,2.5,3.5\n{rows}", labels={"arousal": label})


def _people(root: Path) -> None:
    """A table of participants in the second sheet of a book, below a title, without names of columns."""
    write(root, {"people.xlsx": workbook({"log": "a,b\n1,2\n", "subjects": "P01,f,21\nP02,m,33\nP03,f,40\n"})})
    people = {"table": "people.xlsx", "sheet": "subjects", "id": "1", "info": {"sex": "2"}}
    clips(root, participants=people)


def _trials(root: Path) -> None:
    from .files import HIGH, whole
    from .markers import TABLED

    rows = "".join(f"P0{n},{k},{10 + 45 * k},{40 + 45 * k},{6 if (n, k) == (1, 1) else n + k}\n"
                   for n in (1, 2, 3) for k in (1, 2, 3))  # fmt: skip
    write(root, {"films.csv": rows})
    trials = {"table": "films.csv", "keys": {"participant": "1"}, "start": "3", "end": "4", "stimulus": "2"}
    whole(root, lambda who: {f"{who}.csv": column(0, 180, 4)}, recordings={**TABLED, "trials": trials},
          labels={"arousal": {"trial": "5", "scale": [1, 9]}}, targets={"arousal": HIGH})  # fmt: skip


def _nine_trials(found: Recordings) -> None:
    own = {(r.subject, r.stimulus): float(r.labels["arousal"].values[0]) for r in found.values()}
    assert own == {(f"P0{n}", f"{k}"): 6.0 if (n, k) == (1, 1) else float(n + k) for n in (1, 2, 3) for k in (1, 2, 3)}


CASES = (
    Case("columns by position", _signals(str, channels={"eda": "2"}, time="1"), as_written),
    Case("columns by position, no names", _signals(_bare, channels={"eda": "2"}, time="1"), as_written),
    Case("columns by position, dates and no names", _signals(_dated, channels={"eda": "2"}, time="1"), as_written),
    Case("a position beyond the last", _signals(str, channels={"eda": "5"}), must_be_said, ["5"]),
    Case("names where the file has none", _signals(_bare), must_be_said, ["no column `time`", "1, 2"]),
    Case(
        "ratings by position",
        _ratings(str, keys={"participant": "1", "clip": "2"}, column="3"),
        as_written,
    ),
    Case(
        "ratings without names",
        _ratings(_bare, keys={"participant": "1", "clip": "2"}, column="3"),
        as_written,
    ),
    Case("trials by position, no names", _trials, _nine_trials),
    Case("participants in a sheet without names", _people, as_written),
    Case("a sheet by name", _book({"notes": "a,b\n1,2\n", "rated": rated()}, sheet="rated"), as_written),
    Case("a sheet in capitals", _book({"notes": "a,b\n1,2\n", "Rated": rated()}, sheet="rated"), as_written),
    Case("a sheet that is not there", _book({"a": rated(), "b": rated()}, sheet="c"), must_be_said, ["`c`", "a, b"]),
    Case("several sheets, none named", _book({"a": rated(), "b": rated()}), must_be_said, ["sheet: a"]),
    Case("a sheet of a CSV file", _ratings(str, sheet="a"), must_be_said, ["sheet"]),
    Case("signals in a sheet", _signal_book("EDA"), as_written),
    Case("signals in a book, no sheet named", _signal_book(None), must_be_said, ["sheet: Info"]),
    Case("a sheet with a title", _book({"rated": "Export\n\n" + rated()}), as_written),
    Case("a sheet with two titles", _book({"rated": "Export,2024\nby,me\n" + rated()}, skip_lines=2), as_written),
    Case("a title", _signals(_above("Export from BioLab")), as_written),
    Case("a title and a blank line", _signals(_above("Export from BioLab", "")), as_written),
    Case("a blank line", _signals(_above("")), as_written),
    Case("a title with a comma", _signals(_above("Export from BioLab, version 3"), skip_lines=1), as_written),
    Case(
        "a title with a comma, not stated",
        _signals(_above("Export from BioLab, version 3")),
        as_written,
        ["skip_lines: 1"],
    ),
    Case("keys and values above", _signals(_above("Device: E7", "Rate: 4 Hz", "", "Start: 14:05")), as_written),
    Case(
        "as many cells above as below",
        _signals(_above("Device: E7", "Rate: 4 Hz, Unit: uS", "", "Start: 14:05")),
        as_written,
        ["skip_lines: 4"],
    ),
    Case("names and a separator", _signals(lambda text: text.replace("EDA", "EDA,", 1)), as_written),
    Case("a name is missing", _signals(lambda text: _named(text, ",7")), must_be_said, ["2 columns", "3 cells"]),
    Case(
        "names that are decimals",
        _wide_decimals,
        as_written,
    ),
    Case("rows that end with a separator", _signals(lambda text: _named(text, ",")), as_written),
    Case("rows without their last cell", _signals(lambda text: text.replace("EDA", "EDA,note", 1)), as_written),
    Case("a column without a name", _signals(_numbered), as_written),
    Case(
        "a comment in each row", _signals(lambda text: _named(text, ",a; b").replace("EDA", "EDA,note", 1)), as_written
    ),
    Case("commas of a spreadsheet above", _signals(_above("Export,", ",")), as_written),
    Case("comments", _signals(_above("# Export", "# of 2024")), as_written),
    Case("a title and a comment", _signals(_above("Export", "# of 2024")), as_written),
    Case("a comment and a title", _signals(_above("# of 2024", "Export")), as_written),
    Case("a title above ratings", _ratings(_above("Ratings, spring 2024")), as_written),
    Case("two titles above ratings", _ratings(_above("Ratings", "spring 2024", "")), as_written),
    Case("a title above one column", _one_column("Export"), as_written),
    Case("two titles above one column", _one_column("Export", "of 2024"), as_written, ["skip_lines: 2|no column"]),
    Case("marks of thousands far below", _late(["815", "969"], ["1,002", "1,150"]), must_be_said, ["1,002", "815"]),
    Case(
        "points for thousands far below",
        _late(["815", "969"], ["1.002", "1.150"]),
        _then([815, 969], [1002, 1150]),
        [r"1\.002", "815"],
    ),
    Case(
        "thousands and decimals far below",
        _late(["815.25", "969.5"], ["1,002.5", "1,150.25"], "\t"),
        _then([815.25, 969.5], [1002.5, 1150.25]),
    ),
    Case(
        "German thousands and decimals far below",
        _late(["815,25", "969,5"], ["1.002,5", "1.150,25"]),
        _then([815.25, 969.5], [1002.5, 1150.25]),
    ),
    Case("spaces for thousands far below", _late(["815", "969"], ["1 002", "1 150"]), _then([815, 969], [1002, 1150])),
    Case("decimal commas far below", _late(["0", "1"], ["0,5", "1,25"]), _then([0, 1], [0.5, 1.25])),
    Case("millions far below", _late(["815", "969"], ["1,234,567"], "\t"), _then([815, 969], [1234567])),
    Case(
        "decimals of three digits below 1 far below",
        _late(["0", "1"], ["0,125", "0,250"]),
        _then([0, 1], [0.125, 0.25]),
    ),
)
