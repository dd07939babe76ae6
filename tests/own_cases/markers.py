"""Trials by markers and by tables: lost, doubled, swapped and overlapping ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .files import HIGH, JOY, PEOPLE, SHOWN, WHOLE, Notes, Stream, Wave, column, eda, edf, table, whole, write, xdf
from .outcome import Case, Recordings, first, must_be_said, trials

PLAIN = [(10, "film_start_joy"), (50, "film_end"), (80, "film_start_fear"), (120, "film_end")]
MARKED = {
    "files": "{participant}.edf", "signals": {"eda": {"channels": {"eda": "EDA"}, "unit": "uS"}},
    "trials": {"markers": "film_start_{stimulus}", "until": "film_end"},
}  # fmt: skip
TABLED = {
    **WHOLE,
    "trials": {
        "table": "films.csv", "keys": {"participant": "participant"}, "start": "begin", "end": "end",
        "stimulus": "film",
    },
}  # fmt: skip
TRUTH = {"joy": (10.0, 50.0), "fear": (80.0, 120.0)}


def _marked(odd: Notes, trials_: Mapping[str, Any] | None = None, *, as_xdf: bool = False) -> Callable[[Path], None]:
    """P02 has odd markers, the others plain ones."""

    def make(root: Path) -> None:
        source = {**MARKED, "files": "{participant}.xdf" if as_xdf else "{participant}.edf"}
        source["trials"] = {**MARKED["trials"], **(trials_ or {})}

        def of(who: str) -> dict[str, bytes]:
            notes = sorted(odd) if who == "P02" else PLAIN
            data = eda(140, 20)
            if not as_xdf:
                return {f"{who}.edf": edf([Wave("EDA", "uS", data)], notes)}
            signal = Stream("EDA", "float32", 20, 1000 + np.arange(len(data)) / 20, data)
            at, texts = zip(*notes, strict=True)
            return {f"{who}.xdf": xdf([signal, Stream("Marks", "string", 0, 1000 + np.array(at), texts)])}

        whole(root, of, recordings=source, labels=SHOWN, targets=JOY, longest_s=140)

    return make


def _wfdb(odd: Notes, trials_: Mapping[str, Any] | None = None, *, symbols: bool = False) -> Callable[[Path], None]:
    """WFDB records with annotations beside them, as notes or as symbols alone."""

    def make(root: Path) -> None:
        wfdb = pytest.importorskip("wfdb")
        source = {**MARKED, "files": "{participant}.hea", "trials": trials_ or MARKED["trials"]}
        whole(root, lambda _: {}, recordings=source, labels=SHOWN, targets=JOY, longest_s=140)
        for who in PEOPLE:
            at, texts = zip(*(sorted(odd) if who == "P02" else PLAIN), strict=True)
            data = eda(140, 20)[:, None]
            wfdb.wrsamp(who, fs=20, units=["uS"], sig_name=["EDA"], p_signal=data, fmt=["16"], write_dir=str(root))
            notes = [SYMBOLS[text] for text in texts] if symbols else ['"'] * len(texts)
            wfdb.wrann(who, "atr", np.array(at) * 20, symbol=notes, aux_note=None if symbols else list(texts), fs=20,
                       write_dir=str(root))  # fmt: skip

    return make


SYMBOLS = {"film_start_joy": "[", "film_start_fear": "!", "film_end": "]"}


def _films(rows: Sequence[Sequence[object]], files: Callable[[str], str] | None = None) -> Callable[[Path], None]:
    """A table of films in which P02's rows are odd."""

    def make(root: Path) -> None:
        plain = [("joy", 10, 50, 7), ("fear", 80, 120, 3)]
        listed = [(who, *row) for who in PEOPLE for row in (rows if who == "P02" else plain)]
        names = ("participant", "film", "begin", "end", "arousal")
        write(root, {"films.csv": table(dict(zip(names, zip(*listed, strict=True), strict=True)))})
        text = files or (lambda _: column(0, 140, 4))
        whole(root, lambda who: {f"{who}.csv": text(who)}, recordings=TABLED,
              labels={"arousal": {"trial": "arousal", "scale": [1, 9]}}, targets={"arousal": HIGH})  # fmt: skip

    return make


def _are(odd: Mapping[str, tuple[float, float] | None]) -> Callable[[Recordings], None]:
    """All trials are the plain ones; those of P02 as given, None where one is left out."""

    def check(found: Recordings) -> None:
        wanted = {(who, film): span for who in PEOPLE for film, span in TRUTH.items()}
        wanted |= {("P02", film): span for film, span in odd.items()}
        assert trials(found) == {key: span for key, span in wanted.items() if span}
        assert len(found) == len(trials(found))

    return check


def _subsecond(begins: float, *, bdf: bool = False, lasts_s: float | None = None) -> Callable[[Path], None]:
    notes = [(10, "film_start_joy"), (30, "film_end"), (50, "film_start_fear"), (70, "film_end")]
    source = {**MARKED, "files": "{participant}.bdf" if bdf else "{participant}.edf"}
    if lasts_s:
        source["trials"] = {"markers": "film_start_{stimulus}", "lasts_s": lasts_s}

    def make(root: Path) -> None:
        content = edf([Wave("EDA", "uS", eda(90, 20))], notes, begins, bdf=bdf)
        whole(root, lambda who: {source["files"].replace("{participant}", who): content},
              recordings=source, labels=SHOWN, targets=JOY)  # fmt: skip

    return make


def _on_the_second(found: Recordings) -> None:
    starts = {(r.subject, r.stimulus): round(r.start_s or 0, 6) for r in found.values()}
    assert starts == {(who, film): at for who in PEOPLE for film, at in (("joy", 10.0), ("fear", 50.0))}
    assert all(abs(first(r) - (2 if r.stimulus == "joy" else 6)) < 0.02 for r in found.values())


def _numbered(kind: str, markers: Mapping[str, str], until: str, plus: float = 0) -> Callable[[Path], None]:
    """XDF markers that are numbers."""

    def make(root: Path) -> None:
        data = eda(100, 32)
        signal = Stream("EDA", "float32", 32, 1000 + np.arange(len(data)) / 32, data)
        marks = Stream("Triggers", kind, 0, [1010.0, 1040.0, 1050.0, 1080.0], [v + plus for v in (11, 99, 12, 99)])
        source = {**MARKED, "files": "{participant}.xdf", "trials": {"markers": markers, "until": until}}
        whole(root, lambda who: {f"{who}.xdf": xdf([signal, marks])}, recordings=source, labels=SHOWN, targets=JOY)

    return make


def _joy_then_fear(found: Recordings) -> None:
    wanted = {(who, film): at for who in PEOPLE for film, at in (("joy", (10.0, 40.0)), ("fear", (50.0, 80.0)))}
    assert trials(found) == wanted


def _late(text: str) -> Callable[[Path], None]:
    """A film of P02 that is written in other words."""
    return _films([("joy", 10, 50, 7), tuple(text.split())])


CASES = (
    Case("annotations beside WFDB records", _wfdb(PLAIN), _are({})),
    Case(
        "annotations beside WFDB records, a lost end",
        _wfdb([m for m in PLAIN if m[0] != 50]),
        must_be_said,
        ["P02", "10"],
    ),
    Case(
        "annotations beside WFDB records, symbols",
        _wfdb(PLAIN, {"markers": {"[": "joy", "!": "fear"}, "until": "]"}, symbols=True),
        _are({}),
    ),
    Case("lost end", _marked([m for m in PLAIN if m[0] != 50]), _are({"joy": None}), ["P02", "10"]),
    Case(
        "lost end, in XDF", _marked([m for m in PLAIN if m[0] != 50], as_xdf=True), _are({"joy": None}), ["P02", "10"]
    ),
    Case("lost end of the last", _marked(PLAIN[:-1]), must_be_said, ["P02", "80"]),
    Case("lost start", _marked([m for m in PLAIN if m[0] != 80]), must_be_said, ["P02", "120|fear"]),
    Case("end before all starts", _marked([(4, "film_end"), *PLAIN]), must_be_said, ["P02", r"\b4\b"]),
    Case("restarted film", _marked([(5, "film_start_joy"), *PLAIN]), must_be_said, ["P02", "joy"]),
    Case("start twice at once", _marked([*PLAIN, (10, "film_start_joy")]), _are({})),
    Case("end twice", _marked([*PLAIN, (52, "film_end")]), must_be_said, ["P02", "52"]),
    Case(
        "two starts swapped with ends",
        _marked([(10, "film_end"), (50, "film_start_joy"), (80, "film_end"), (120, "film_start_fear")]),
        must_be_said,
        ["P02"],
    ),
    Case("starts of two films at once", _marked([*PLAIN, (10, "film_start_fear")]), must_be_said, ["P02", "fear"]),
    Case(
        "ends that name the film",
        _marked(
            [(10, "film_start_joy"), (80, "film_start_fear"), (120, "film_end_fear")], {"until": "film_end_{stimulus}"}
        ),
        must_be_said,
        ["P0[123]"],
    ),
    Case(
        "an end of another film",
        _marked(
            [(10, "film_start_joy"), (50, "film_end_sea"), (80, "film_start_fear"), (120, "film_end_fear")],
            {"until": "film_end_{stimulus}"},
        ),
        must_be_said,
        ["P0[123]"],
    ),
    Case(
        "a start in the last film's length",
        _marked([(10, "film_start_joy"), (30, "film_start_fear")], {"until": None, "lasts_s": 40}),
        must_be_said,
        ["P02", "30"],
    ),
    Case("no markers at all", _marked([(1, "hello")]), must_be_said, ["P02"]),
    Case(
        "rows that overlap", _films([("joy", 10, 90, 7), ("fear", 80, 120, 3)]), must_be_said, ["films.csv", "line|80"]
    ),
    Case(
        "rows that overlap by a sample",
        _films([("joy", 10, 80.01, 7), ("fear", 80, 120, 3)]),
        lambda found: None if len(found) == 6 else must_be_said(found),
        ["films.csv"],
    ),
    Case(
        "a row twice", _films([("joy", 10, 50, 7), ("joy", 10, 50, 7), ("fear", 80, 120, 3)]), _are({}), ["films.csv"]
    ),
    Case(
        "a row twice with two ratings",
        _films([("joy", 10, 50, 7), ("joy", 10, 50, 2), ("fear", 80, 120, 3)]),
        must_be_said,
        ["films.csv"],
    ),
    Case("a film inside another", _films([("joy", 10, 130, 7), ("fear", 80, 120, 3)]), must_be_said, ["films.csv"]),
    Case(
        "a film behind the end", _films([("joy", 10, 50, 7), ("fear", 180, 220, 3)]), must_be_said, ["films.csv", "180"]
    ),
    Case("an end before its start", _films([("joy", 50, 10, 7), ("fear", 80, 120, 3)]), must_be_said, ["films.csv"]),
    Case("a film without an end", _films([("joy", 10, "", 7), ("fear", 80, 120, 3)]), must_be_said, ["films.csv"]),
    Case("a film of no length", _films([("joy", 10, 10, 7), ("fear", 80, 120, 3)]), must_be_said, ["films.csv"]),
    Case("a negative start", _films([("joy", -10, 50, 7), ("fear", 80, 120, 3)]), must_be_said, ["films.csv", "-10"]),
    Case("minutes and seconds in place of seconds", _late("fear 01:20 02:00 3"), _are({}), ["films.csv"]),
    Case("decimal commas in quotes", _late('fear "80,0" "120,0" 3'), _are({}), ["films.csv"]),
    Case("a start of less than a second", _subsecond(0.75), _on_the_second),
    Case("a start of less than a second, in BDF+", _subsecond(0.5, bdf=True), _on_the_second),
    Case("a start of a millisecond", _subsecond(0.001), _on_the_second),
    Case("a start near the next second, lengths stated", _subsecond(0.9375, lasts_s=20), _on_the_second),
    Case("a start on the second", _subsecond(0.0), _on_the_second),
    Case("numeric markers", _numbered("int32", {"11": "joy", "12": "fear"}, "99"), _joy_then_fear),
    Case("numeric markers of 8 bits", _numbered("int8", {"11": "joy", "12": "fear"}, "99"), _joy_then_fear),
    Case("numeric markers of 64 bits", _numbered("int64", {"11": "joy", "12": "fear"}, "99"), _joy_then_fear),
    Case("float markers", _numbered("float32", {"11": "joy", "12": "fear"}, "99"), _joy_then_fear),
    Case("double markers", _numbered("double64", {"11": "joy", "12": "fear"}, "99"), _joy_then_fear),
    Case(
        "float markers with halves", _numbered("float32", {"11.5": "joy", "12.5": "fear"}, "99.5", 0.5), _joy_then_fear
    ),
    Case("texts of numbers", _numbered("string", {"11": "joy", "12": "fear"}, "99"), _joy_then_fear),
    Case(
        "markers that are not there",
        _numbered("int32", {"21": "joy", "22": "fear"}, "99"),
        must_be_said,
        ["P01|marker", "11"],
    ),
)
