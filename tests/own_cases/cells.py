"""Cells and tables: names of classes and stimuli, codes of what is missing, separators, encodings."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import AROUSAL, CLIPS, EDA, HIGH, PEOPLE, RATED, clips, column, eda, rated, table, whole, write
from .markers import TABLED
from .outcome import Case, Recordings, counts, lost, must_be_said, trials, values

TRUE = {(f"P0{n}", f"{k}"): float(RATED[n - 1][k - 1]) for n in (1, 2, 3) for k in (1, 2, 3)}


def _classes(
    codes: Sequence[str], names: Mapping[str, str] | list[str], *, by: str = "table"
) -> Callable[[Path], None]:
    """A code for each of nine clips, in turn."""

    def make(root: Path) -> None:
        given = {(n, k): codes[(3 * n + k) % len(codes)] for n in (1, 2, 3) for k in (1, 2, 3)}
        label = {"table": "ratings.csv", "keys": AROUSAL["keys"], "column": "arousal", "classes": names}
        source: dict[str, Any] = {}
        if by == "file":
            source = {"files": "{participant:P##}_{code}.csv", "signals": {"eda": EDA}, "stimulus": "{code}"}
            label = {"file": "code", "classes": names}
            write(root, {f"{who}_{code}.csv": column(0, 60, 4) for who in PEOPLE for code in codes})
        targets = {"felt": {"label": "felt", "kind": "classes"}}
        if len(set(names.values() if isinstance(names, Mapping) else names)) == 2:
            first, second = names.values() if isinstance(names, Mapping) else names
            targets = {"felt": {"label": "felt", "kind": "binary", "positive": [first], "negative": [second]}}
        if by == "file":
            whole(root, lambda _: {}, recordings=source, labels={"felt": label}, targets=targets)
        else:
            clips(root, None, rated(changed=given), labels={"felt": label}, targets=targets)

    return make


def _counted(**wanted: int) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        assert counts(found, "felt") == wanted

    return check


def _film(name: str, *, by: str = "trials") -> Callable[[Path], None]:
    """One of three films has this name."""

    def make(root: Path) -> None:
        films = ("AM", name, "SA")
        if by == "file":
            write(root, {f"{who}_{film}.csv": column(0, 60, 4) for who in PEOPLE for film in films})
            keys = {"participant": "participant", "stimulus": "film"}
            rows = [(who, film, 3 + k) for who in PEOPLE for k, film in enumerate(films)]
            write(root, {"ratings.csv": table(dict(zip(("participant", "film", "arousal"), zip(*rows, strict=True),
                                                       strict=True)))})  # fmt: skip
            source = {"files": "{participant:P##}_{stimulus}.csv", "signals": {"eda": EDA}}
            whole(root, lambda _: {}, recordings=source, labels={"arousal": {**AROUSAL, "keys": keys}},
                  targets={"arousal": HIGH})  # fmt: skip
            return
        rows = [(who, film, 10 + 45 * k, 40 + 45 * k, 3 + k) for who in PEOPLE for k, film in enumerate(films)]
        names = ("participant", "film", "begin", "end", "arousal")
        write(root, {"films.csv": table(dict(zip(names, zip(*rows, strict=True), strict=True)))})
        whole(root, lambda who: {f"{who}.csv": column(0, 180, 4)}, recordings=TABLED,
              labels={"arousal": {"trial": "arousal", "scale": [1, 9]}}, targets={"arousal": HIGH})  # fmt: skip

    return make


def _all_films(name: str, *, by: str = "trials") -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        films = ("AM", name, "SA")
        assert values(found) == {(who, film): 3.0 + k for who in PEOPLE for k, film in enumerate(films)}
        if by == "trials":
            wanted = {(who, film): (10.0 + 45 * k, 40.0 + 45 * k) for who in PEOPLE for k, film in enumerate(films)}
            assert trials(found) == wanted

    return check


def _missing(*codes: object, scale: bool = True, by: str = "table") -> Callable[[Path], None]:
    """Codes in the place of the first ratings of P01, P02 and so on."""

    def make(root: Path) -> None:
        changed = {(n, 1): code for n, code in enumerate(codes, 1)}
        label = {key: value for key, value in AROUSAL.items() if scale or key != "scale"}
        if by == "trials":
            rows = [(f"P0{n}", k, 10 + 45 * k, 40 + 45 * k, changed.get((n, k), RATED[n - 1][k - 1]))
                    for n in (1, 2, 3) for k in (1, 2, 3)]  # fmt: skip
            names = ("participant", "film", "begin", "end", "arousal")
            write(root, {"films.csv": table(dict(zip(names, zip(*rows, strict=True), strict=True)))})
            whole(root, lambda who: {f"{who}.csv": column(0, 180, 4)}, recordings=TABLED,
                  labels={"arousal": {"trial": "arousal", "scale": [1, 9]}}, targets={"arousal": HIGH})  # fmt: skip
        elif by == "wide":
            cells = [[f"P0{n}", *(changed.get((n, k), RATED[n - 1][k - 1]) for k in (1, 2, 3))] for n in (1, 2, 3)]
            heads = ("participant", "1_arousal", "2_arousal", "3_arousal")
            text = table(dict(zip(heads, zip(*cells, strict=True), strict=True)))
            label |= {"column": "{clip}_arousal", "keys": {"participant": "participant"}}
            clips(root, None, text, labels={"arousal": label})
        else:
            clips(root, None, rated(changed=changed), labels={"arousal": label})

    return make


def _without(n: int) -> Callable[[Recordings], None]:
    """The first ratings of `n` subjects are not labels; all others are."""

    def check(found: Recordings) -> None:
        assert values(found) == {
            key: v for key, v in TRUE.items() if key not in {(f"P0{i}", "1") for i in range(1, n + 1)}
        }

    return check


def _lost_code(code: float, modality: str, unit: str, level: float, size: float) -> Callable[[Path], None]:
    """A code for lost samples in a fifth of each signal."""

    def make(root: Path) -> None:
        rng = np.random.default_rng(0)
        data = np.round(level + size * np.sin(np.arange(3840) / 9) + 0.05 * size * rng.standard_normal(3840), 2)
        data[500:900] = code
        data[2000:2400] = code
        source = {**CLIPS, "signals": {modality: {"channels": {modality: "X"}, "rate": 64, "unit": unit}}}
        clips(root, table({"X": [f"{v:g}" for v in data]}), recordings=source)

    return make


def _gone(modality: str) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        assert lost(found, modality) == [800] * 9

    return check


def _numbers(cells: Sequence[str], gap: str, *, quoted: bool = False) -> Callable[[Path], None]:
    """Respiration around 1,000, of 120 cells in turn."""

    def make(root: Path) -> None:
        shown = [f'"{cells[k % len(cells)]}"' if quoted else cells[k % len(cells)] for k in range(120)]
        source = {"files": "{participant:P##}_clip{clip}.txt", "stimulus": "{clip}",
                  "signals": {"resp": {"channels": {"resp": "RESP"}, "time": "time", "unit": "a.u."}}}  # fmt: skip
        clips(root, table({"time": range(120), "RESP": shown}, gap), recordings=source)

    return make


def _about(*wanted: float) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        for r in found.values():
            data = r.signals["resp"].data[0]
            np.testing.assert_allclose(data, np.resize(wanted, len(data)), rtol=1e-5)

    return check


def _as_table(change: Callable[[str], str | bytes], source: Mapping[str, Any] | None = None) -> Callable[[Path], None]:
    """Signals and ratings written in another way."""

    def make(root: Path) -> None:
        clips(root, change(column(0, 60, 4)), change(rated()), recordings={**CLIPS, **(source or {})})

    return make


def as_written(found: Recordings) -> None:
    assert values(found) == TRUE
    for r in found.values():
        np.testing.assert_allclose(r.signals["eda"].data[0], eda(60, 4), atol=2e-5)
        assert r.signals["eda"].rate == 4


def _named(names: Sequence[str], encoding: str = "utf-8") -> Callable[[Path], None]:
    """Ratings whose people have other names than P01 and so on."""

    def make(root: Path) -> None:
        rows = [(who, k, RATED[n][k - 1]) for n, who in enumerate(names) for k in (1, 2, 3)]
        text = table(dict(zip(("participant", "clip", "arousal"), zip(*rows, strict=True), strict=True)))
        write(root, {f"{who}_clip{k}.csv": column(0, 60, 4) for who in names for k in (1, 2, 3)})
        write(root, {"ratings.csv": text.encode(encoding)})
        source = {**CLIPS, "files": "{participant}_clip{clip}.csv"}
        whole(root, lambda _: {}, recordings=source, labels={"arousal": AROUSAL}, targets={"arousal": HIGH})

    return make


def _ratedas_written(found: Recordings) -> None:
    assert sorted(values(found).values()) == sorted(TRUE.values())
    people = list(dict.fromkeys(sorted(r.subject for r in found.values())))
    assert [values(found)[who, "1"] for who in people] == [6, 3, 9]


def workbook(sheets: Mapping[str, str]) -> bytes:
    import openpyxl

    book, out = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for name, text in sheets.items():
        sheet = book.create_sheet(name)
        for line in text.splitlines():
            sheet.append([float(cell) if cell.replace(".", "").isdigit() else cell for cell in line.split(",")])
    book.save(out)
    return out.getvalue()


def _xlsx(sheets: Mapping[str, str], **label: Any) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        clips(root, labels={"arousal": {**AROUSAL, "table": "ratings.xlsx", **label}})
        (root / "ratings.csv").unlink()
        write(root, {"ratings.xlsx": workbook(sheets)})

    return make


def _twice(root: Path) -> None:
    clips(root, table({"time": [f"{k / 4:g}" for k in range(240)], "EDA": np.round(eda(60, 4), 5)}))
    for path in root.glob("*_clip*.csv"):
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([f"{head},x,x", *(f"{row},1,2" for row in rows), ""]))


def _wanted_twice(root: Path) -> None:
    clips(root)
    for path in root.glob("*_clip*.csv"):
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([f"{head},EDA", *(f"{row},9" for row in rows), ""]))


def _rating_columns(text: str) -> Callable[[Path], None]:
    return lambda root: clips(root, None, text)


def _key_spelt(form: str) -> Callable[[Path], None]:
    """Participants of the table in another form than in the files."""

    def make(root: Path) -> None:
        text = rated()
        for n in (1, 2, 3):
            text = text.replace(f"P0{n}", form.format(n))
        clips(root, None, text)

    return make


def _swap(text: str, first: str, second: str) -> str:
    return text.replace(first, "\0").replace(second, first).replace("\0", second)


def _off(found: Recordings, code: float) -> None:
    assert code not in values(found).values()
    assert len(values(found)) == 8


def _half(found: Recordings) -> None:
    assert values(found) == {**TRUE, ("P01", "1"): 6.5}


SPLIT = {"A": "anger", "a": "amusement", "B": "boredom"}
SEMICOLONS = lambda text: text.replace(",", ";").replace(".", ",")  # noqa: E731


def _short_rows(*rows: int, rate: float | None = None) -> Callable[[Path], None]:
    """Rows (from 1 on) of three columns that lost their first cell or the one after it."""

    def make(root: Path) -> None:
        lines = column(0, 60, 4).splitlines()
        lines = [lines[0] + ",TEMP", *(f"{line},33.1" for line in lines[1:])]
        for k in rows:
            cells = lines[k].split(",")
            lines[k] = ",".join(cells[1:] if rate else [cells[0], *cells[2:]])
        eda = {key: value for key, value in EDA.items() if key != "time"} | {"rate": rate} if rate else EDA
        clips(root, "\n".join([*lines, ""]), recordings={**CLIPS, "signals": {"eda": eda}})

    return make


CASES = (
    Case("a row without a cell", _short_rows(37), must_be_said, ["line 38", "1 of 240", "cells"]),
    Case("a row without a cell, rate stated", _short_rows(37, rate=4), must_be_said, ["line 38", "cells"]),
    Case("rows without a cell", _short_rows(1, 12, 240), must_be_said, ["line 2", "3 of 240", "cells"]),
    Case(
        "codes that differ in case",
        _classes(["A", "a", "B"], SPLIT),
        _counted(anger=3, amusement=3, boredom=3),
        ["`[Aa]`|case|same|one class"],
    ),
    Case(
        "classes that differ in case",
        _classes(["Fear", "fear", "joy"], ["Fear", "fear", "joy"]),
        _counted(Fear=3, fear=3, joy=3),
        ["[Ff]ear"],
    ),
    Case(
        "classes that differ by a space",
        _classes(["Fear", "fear ", "joy"], ["Fear", "fear ", "joy"]),
        must_be_said,
        ["[Ff]ear"],
    ),
    Case(
        "classes that differ by leading zeros",
        _classes(["01", "1", "2"], {"01": "sea", "1": "joy", "2": "fear"}),
        _counted(sea=3, joy=3, fear=3),
        ["01|`1`"],
    ),
    Case(
        "classes that differ by an ending",
        _classes(["a.mp4", "a.avi", "b"], {"a.mp4": "sea", "a.avi": "joy", "b": "fear"}),
        _counted(sea=3, joy=3, fear=3),
        [r"a\.(mp4|avi)"],
    ),
    Case(
        "codes that differ in an umlaut's case",
        _classes(["Ä", "ä", "B"], {"Ä": "sea", "ä": "joy", "B": "fear"}),
        _counted(sea=3, joy=3, fear=3),
        ["[Ää]"],
    ),
    Case(
        "classes in another case than the table's",
        _classes(["FEAR", "joy"], ["fear", "joy"]),
        lambda found: (
            _counted(fear=4, joy=5)(found) if counts(found, "felt").get("fear") == 4 else _counted(fear=5, joy=4)(found)
        ),
    ),
    Case(
        "classes that are words for nothing",
        _classes(["NA", "none", "-"], {"NA": "sea", "none": "joy", "-": "fear"}),
        _counted(sea=3, joy=3, fear=3),
        ["NA|none|-"],
    ),
    Case(
        "classes of files that differ in case",
        _classes(["A", "a", "B"], SPLIT, by="file"),
        _counted(anger=3, amusement=3, boredom=3),
        ["`[Aa]`|case|same|one class"],
    ),
    Case(
        "a class of files called NA",
        _classes(["NA", "B"], {"NA": "sea", "B": "joy"}, by="file"),
        _counted(sea=3, joy=3),
    ),
    *(
        Case(f"a film called {name}", _film(name), _all_films(name), ["film"])
        for name in ("NA", "None", "null", "nan", "-", "n/a", ".")
    ),
    *(
        Case(f"a film called {name}, of files", _film(name, by="file"), _all_films(name, by="file"), ["film|ratings"])
        for name in ("NA", "None", "null", "-")
    ),
    Case("99 and -99 off the scale", _missing(99, -99, 99), _without(3)),
    Case("999 and -1 off the scale", _missing(999, -1), _without(2)),
    Case("88 and 0 off the scale", _missing(88, 0), _without(2)),
    Case("98.0 and 1e3 off the scale", _missing("98.0", "1e3"), _without(2)),
    Case("99 off the scale of trials", _missing(99, by="trials"), lambda found: _off(found, 99), ["99"]),
    Case("99 off the scale of a wide table", _missing(99, -9, by="wide"), _without(2)),
    Case("empty, NA and n/a", _missing("", "NA", "n/a"), _without(3)),
    Case("a text in the place of a rating", _missing("seven"), must_be_said, ["seven"]),
    Case("a decimal comma in a rating", _missing('"6,5"'), _half, ["6,5"]),
    Case("-9999 in PPG", _lost_code(-9999, "ppg", "a.u.", 2000, 100), _gone("ppg"), ["9999"]),
    Case("-1000 in EEG", _lost_code(-1000, "eeg", "uV", 0, 20), _gone("eeg"), ["1000|outside|1,000"]),
    Case("65535 in PPG", _lost_code(65535, "ppg", "a.u.", 20000, 300), _gone("ppg"), ["65535"]),
    Case("-1 in EDA", _lost_code(-1, "eda", "uS", 5, 0.5), _gone("eda"), ["-1|outside|physical"]),
    Case("999 in temperature", _lost_code(999, "temp", "degC", 33, 0.3), _gone("temp"), ["999|outside|physical"]),
    Case(
        "commas for thousands, tabs",
        _numbers(["1,002", "1,082", "969", "1,150"], "\t"),
        _about(1002, 1082, 969, 1150),
        ["1,0|thousand"],
    ),
    Case(
        "commas for thousands, semicolons",
        _numbers(["1,002", "815", "12,150"], ";"),
        _about(1002, 815, 12150),
        ["1,0|thousand"],
    ),
    Case(
        "commas for thousands in quotes",
        _numbers(["1,002", "815", "1,150"], ",", quoted=True),
        _about(1002, 815, 1150),
        ["1,0|thousand|number"],
    ),
    Case(
        "points for thousands, semicolons",
        _numbers(["1.002", "815", "1.150"], ";"),
        _about(1002, 815, 1150),
        [r"1\.0|thousand"],
    ),
    Case(
        "points for thousands and decimal commas",
        _numbers(["1.002,5", "815,25", "1.150,0"], ";"),
        _about(1002.5, 815.25, 1150),
        [r"1\.0|thousand|number"],
    ),
    Case(
        "commas for thousands and decimal points",
        _numbers(["1,002.5", "815.25", "1,150.0"], "\t"),
        _about(1002.5, 815.25, 1150),
        [r"1,0|thousand|number"],
    ),
    Case(
        "apostrophes for thousands",
        _numbers(["1'002", "815", "1'150"], ";"),
        _about(1002, 815, 1150),
        ["1'0|thousand|number"],
    ),
    Case(
        "spaces for thousands",
        _numbers(["1 002", "815", "1 150"], ";"),
        _about(1002, 815, 1150),
        ["1 0|thousand|number"],
    ),
    Case(
        "narrow spaces for thousands",
        _numbers(["1\u202f002", "815", "1\u202f150"], ";"),
        _about(1002, 815, 1150),
        ["1.0|thousand|number"],
    ),
    Case(
        "hard spaces for thousands",
        _numbers(["1\xa0002", "815", "1\xa0150"], ";"),
        _about(1002, 815, 1150),
        ["1.0|thousand|number"],
    ),
    Case("decimal commas, tabs", _numbers(["1,25", "0,815", "2,5"], "\t"), _about(1.25, 0.815, 2.5)),
    Case(
        "decimal commas of three digits, tabs",
        _numbers(["1,002", "0,815", "0,998"], "\t"),
        _about(1.002, 0.815, 0.998),
        ["1,0|thousand"],
    ),
    Case(
        "decimal commas of three digits, and a minus",
        _numbers(["-1,002", "0,815", "0,098"], ";"),
        _about(-1.002, 0.815, 0.098),
        ["1,0|thousand"],
    ),
    Case("UTF-16", _as_table(lambda text: text.encode("utf-16")), as_written),
    Case("UTF-16 without a mark", _as_table(lambda text: text.encode("utf-16-le")), as_written, ["UTF|text|encoding"]),
    Case("UTF-8 with a mark", _as_table(lambda text: text.encode("utf-8-sig")), as_written),
    Case("CRLF", _as_table(lambda text: text.replace("\n", "\r\n")), as_written),
    Case("CR", _as_table(lambda text: text.replace("\n", "\r")), as_written),
    Case("semicolons and decimal commas", _as_table(SEMICOLONS), as_written),
    Case(
        "semicolons, decimal commas, UTF-16, CRLF",
        _as_table(lambda text: SEMICOLONS(text).replace("\n", "\r\n").encode("utf-16")),
        as_written,
    ),
    Case("tabs", _as_table(lambda text: text.replace(",", "\t")), as_written),
    Case("blank lines", _as_table(lambda text: text.replace("\n", "\n\n")), as_written),
    Case("separators at the end of each line", _as_table(lambda text: text.replace("\n", ",\n")), as_written),
    Case(
        "quotes",
        _as_table(
            lambda text: "\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in text.splitlines()) + "\n"
        ),
        as_written,
    ),
    Case("spaces around cells", _as_table(lambda text: text.replace(",", " , ")), as_written),
    Case("no line end at the end", _as_table(lambda text: text.rstrip("\n")), as_written),
    Case("names in cp1252", _named(["Jörg", "Käthe", "Rüdiger"], "cp1252"), _ratedas_written),
    Case("names in UTF-8", _named(["Jörg", "Käthe", "Rüdiger"]), _ratedas_written),
    Case("names in UTF-16", _named(["Jörg", "Käthe", "Rüdiger"], "utf-16"), _ratedas_written),
    Case("names in Polish code pages", _named(["Ania", "Łukasz", "Żaneta"], "cp1250"), _ratedas_written, ["row|label"]),
    Case("an Excel sheet", _xlsx({"Sheet1": rated()}), as_written),
    Case(
        "an Excel book of two sheets", _xlsx({"notes": "a,b\n1,2\n", "ratings": rated()}), as_written, ["sheet|column"]
    ),
    Case("equal names of columns that are not wanted", _twice, as_written),
    Case("equal names of columns of which one is wanted", _wanted_twice, must_be_said, ["EDA"]),
    Case("a rating twice, alike", _rating_columns(rated() + "P01,1,6\n"), as_written, ["line"]),
    Case("a rating twice, in two values", _rating_columns(rated() + "P01,1,2\n"), must_be_said, ["line"]),
    Case("a rating of nobody", _rating_columns(rated() + "P09,1,2\n"), must_be_said, ["ratings.csv"]),
    Case("a rating less", _rating_columns(rated().replace("P01,1,6\n", "")), must_be_said, ["arousal"]),
    Case(
        "a column moved",
        _rating_columns(_swap(rated(), "clip,arousal", "arousal,clip")),
        must_be_said,
        ["arousal|ratings"],
    ),
    Case("people without zeros", _key_spelt("P{}"), as_written),
    Case("people by number", _key_spelt("{}"), as_written, ["label|row"]),
    Case("people in small letters", _key_spelt("p0{}"), as_written),
    Case("people with a float's zero", _key_spelt("{}.0"), as_written, ["label|row"]),
)
