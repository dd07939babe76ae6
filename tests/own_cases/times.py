"""Times on a clock: daylight saving, nights, starts of several files, unix times in other units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .files import EDA, WHOLE, Wave, clips, column, edf, table, whole
from .outcome import Case, Recordings, must_be_said, rates, stretches, trials

STAGE = {
    "table": "{participant}_stages.csv", "start": "start", "end": "end", "column": "stage",
    "classes": ["calm", "stress"],
}  # fmt: skip
STRESS = {"stress": {"label": "stage", "kind": "binary", "positive": ["stress"], "negative": ["calm"]}}
ESM = {"table": "{participant}_esm.csv", "time": "at", "column": "stress", "scale": [1, 7]}
LOW = {"stress": {"label": "stress", "kind": "binary", "cut": 4}}
BOTH = "start,end,stage\n60,120,calm\n150,210,stress\n"
SLOW = 0.001
"""EDA rises so much a second in recordings of hours."""


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _staged(zone: str, begins: str, hours: float, rows: Sequence[str], kind: str = "stages") -> Callable[[Path], None]:
    """Recordings from a moment in UTC on, and stages, moments or trials by rows of their cells."""

    def make(root: Path) -> None:
        text = column(unix(begins), 3600 * hours, 0.25, SLOW, "{:.0f}")
        heads = {"stages": "start,end,stage", "moments": "at,stress", "trials": "start,end,film,stress"}
        own = "\n".join([heads[kind], *rows, ""])
        described: dict[str, Any] = {
            "stages": {"labels": {"stage": STAGE}, "targets": STRESS},
            "moments": {"labels": {"stress": ESM}, "targets": LOW, "longest_s": 200_000},
            "trials": {
                "labels": {"stress": {"trial": "stress", "scale": [1, 7]}}, "targets": LOW,
                "recordings": {**WHOLE, "trials": {"table": "{participant}_esm.csv", "start": "start", "end": "end",
                                                   "stimulus": "film"}},
            },
        }[kind]  # fmt: skip
        name = "stages" if kind == "stages" else "esm"
        whole(root, lambda who: {f"{who}.csv": text, f"{who}_{name}.csv": own}, timezone=zone, **described)

    return make


def _stages(**wanted: tuple[float, float]) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        assert len(found) == 3
        for recording in found.values():
            assert stretches(recording, "stage") == wanted

    return check


def _moments(*wanted: tuple[float, float]) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        assert len(found) == 3
        for r in found.values():
            own = r.labels["stress"]
            assert own.times is not None
            assert [(round(float(t), 3), float(v)) for t, v in zip(own.times, own.values, strict=True)] == list(wanted)

    return check


def _films(**wanted: tuple[float, float]) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        assert trials(found, slope=SLOW) == {(f"P0{n}", film): at for n in (1, 2, 3) for film, at in wanted.items()}

    return check


def _late(late_s: float, rows: str, stamps: Callable[[float], str] = "{:.0f}".format, **changes: Any):
    """Temperature begins `late_s` after EDA; stages in seconds or on the clock."""
    zone = changes.pop("timezone", "UTC")

    def make(root: Path) -> None:
        start = unix("2024-03-01 13:05")

        def of(who: str) -> dict[str, str]:
            files = {}
            for m, begins in (("eda", start), ("temp", start + late_s)):
                at = np.arange(300)
                values = 1 + 0.01 * at if m == "eda" else 32 + 0.001 * at
                files[f"{who}_{m}.csv"] = table(
                    {"time": [stamps(begins + k) for k in at], m.upper(): [f"{v:.4f}" for v in values]}
                )
            return files | {f"{who}_stages.csv": rows}

        signals = {
            m: {"channels": {m: m.upper()}, "time": "time", "unit": unit, "file": f"{{participant:P##}}_{m}.csv"}
            for m, unit in (("eda", "uS"), ("temp", "degC"))
        }
        whole(
            root,
            of,
            recordings={"signals": signals},
            labels={"stage": {**STAGE, **changes}},
            targets=STRESS,
            timezone=zone,
        )

    return make


def _files(
    kinds: str, begins: tuple[float, float], rows: str = BOTH, *, source: Any = None, temp: Any = None, **changes: Any
) -> Callable[[Path], None]:
    """EDA and temperature in files of their own, each of a kind: `e`df with a start in its header, a table with `u`nix
    times, one with `t`imes in seconds, or one with a stated `r`ate. Stages are in seconds or dates."""

    def make(root: Path) -> None:
        def file(m: str, kind: str, late: float) -> str | bytes:
            at = np.arange(300)
            values = 1 + 0.01 * at if m == "eda" else 32 + 0.001 * at
            if kind == "e":
                wave = Wave(m.upper(), "uS" if m == "eda" else "degC", np.repeat(values, 20))
                clock = datetime.fromtimestamp(unix("2024-03-01 13:05") + late, UTC)
                return edf([wave]).replace(b"01.03.2414.05.00", f"{clock:%d.%m.%y%H.%M.%S}".encode())
            start = late + (unix("2024-03-01 13:05") if kind == "u" else 0)
            stamps = {"time": [f"{start + k:.0f}" for k in at]} if kind != "r" else {}
            return table({**stamps, m.upper(): [f"{v:.4f}" for v in values]})

        signals, files = dict[str, Any](), dict[str, Any]()
        for m, kind, late, unit in zip(("eda", "temp"), kinds, begins, ("uS", "degC"), strict=True):
            name = f"_{m}.{'edf' if kind == 'e' else 'csv'}"
            files[name] = file(m, kind, late)
            own = {"rate": 1} if kind == "r" else {} if kind == "e" else {"time": "time"}
            signals[m] = {"channels": {m: m.upper()}, "unit": unit, "file": f"{{participant:P##}}{name}", **own}
        signals["temp"] |= temp or {}
        whole(
            root,
            lambda who: {f"{who}{name}": text for name, text in files.items()} | {f"{who}_stages.csv": rows},
            recordings={"signals": signals, **(source or {})},
            labels={"stage": {k: v for k, v in {**STAGE, **changes}.items() if v}},
            targets=STRESS,
        )

    return make


def _one_table(first: float, **origin: str) -> Callable[[Path], None]:
    """A table whose times begin at some second, and stages in seconds."""

    def make(root: Path) -> None:
        text = column(first, 300, 1, 0.01)
        whole(root, lambda who: {f"{who}.csv": text, f"{who}_stages.csv": BOTH},
              labels={"stage": {**STAGE, **origin}}, targets=STRESS)  # fmt: skip

    return make


def _on_eda(calm: tuple[float, float], slack: float = 0.011) -> Callable[[Recordings], None]:
    """Calm lies where EDA has these values."""

    def check(found: Recordings) -> None:
        assert len(found) == 3
        for r in found.values():
            first, last = stretches(r, "stage")["calm"]
            data, rate = r.signals["eda"].data[0], r.signals["eda"].rate
            seen = (float(data[round(first * rate)]), float(data[round(last * rate) - 1]))
            assert abs(seen[0] - calm[0]) < slack, seen
            assert abs(seen[1] - calm[1]) < 2 * slack, seen

    return check


def _warm(found: Recordings) -> None:
    """Calm lies where EDA is 1.6 to 2.2, and temperature has begun 40 s after EDA."""
    _on_eda((1.6, 2.2))(found)
    for r in found.values():
        eda, temp = r.signals["eda"], r.signals["temp"]
        late = 100 * (eda.data[0, 0] - 1) - 1000 * (temp.data[0, 0] - 32)
        assert abs(late - 40) < 1.1, late


def _stamped(times: Callable[[np.ndarray], Sequence[object]], unit: str | None = None) -> Callable[[Path], None]:
    """Clips of 10 s at 4 Hz, with times as given of seconds since 1970."""

    def make(root: Path) -> None:
        at = unix("2024-03-01 13:06:40") + np.arange(40) / 4
        text = table({"time": times(at), "EDA": np.round(1 + 0.025 * np.arange(40), 4)})
        source = {"files": "{participant:P##}_clip{clip}.csv", "stimulus": "{clip}",
                  "signals": {"eda": {**EDA, **({"time_unit": unit} if unit else {})}}}  # fmt: skip
        clips(root, text, recordings=source, longest_s=20_000_000)

    return make


def _at_4_hz(found: Recordings) -> None:
    assert rates(found, "eda") == [4]
    assert {r.duration_s for r in found.values()} == {10}


def _clock(forms: str) -> Callable[[float], str]:
    return lambda t: datetime.fromtimestamp(t, UTC).strftime(forms)


NIGHT = ("2024-03-01 20:00", 14.5)
AUTUMN = ("Europe/Berlin", "2024-10-27 00:00", 2)
FIRST = "2024-10-27 02:10:00,2024-10-27 02:20:00,calm"
TWICE = ["02:[14][05]"]
DATED = (
    "start,end,stage\n2024-03-01 13:06:00,2024-03-01 13:07:00,calm\n2024-03-01 13:07:30,2024-03-01 13:08:30,stress\n"
)
CASES = (
    Case(
        "an hour that comes twice",
        _staged(*AUTUMN, [FIRST, "2024-10-27 02:45:00,2024-10-27 02:50:00,stress"]),
        must_be_said,
        TWICE,
    ),
    Case(
        "an hour that comes twice, as times of day",
        _staged(*AUTUMN, ["02:10:00,02:20:00,calm", "02:45,02:50,stress"]),
        must_be_said,
        TWICE,
    ),
    Case(
        "an hour that comes twice, German dates",
        _staged(*AUTUMN, ["27.10.2024 02:10,27.10.2024 02:20,calm", "27.10.2024 02:45,27.10.2024 02:50,stress"]),
        must_be_said,
        TWICE,
    ),
    Case(
        "an hour that comes twice, moments",
        _staged(*AUTUMN, ["2024-10-27 02:15:00,3", "2024-10-27 02:45:00,6"], "moments"),
        must_be_said,
        TWICE,
    ),
    Case(
        "an hour that comes twice, trials",
        _staged(
            *AUTUMN,
            ["2024-10-27 02:10:00,2024-10-27 02:20:00,joy,3", "2024-10-27 02:45:00,2024-10-27 02:50:00,fear,6"],
            "trials",
        ),
        must_be_said,
        TWICE,
    ),
    Case(
        "an hour that comes twice, with its offset",
        _staged(
            *AUTUMN,
            [
                "2024-10-27T02:10:00+02:00,2024-10-27T02:20:00+02:00,calm",
                "2024-10-27T02:45:00+01:00,2024-10-27T02:50:00+01:00,stress",
            ],
        ),
        _stages(calm=(600, 1200), stress=(6300, 6600)),
    ),
    Case(
        "an hour that comes twice, by a fixed offset",
        _staged(
            "UTC+1",
            *AUTUMN[1:],
            ["2024-10-27 01:10:00,2024-10-27 01:20:00,calm", "2024-10-27 02:45:00,2024-10-27 02:50:00,stress"],
        ),
        _stages(calm=(600, 1200), stress=(6300, 6600)),
    ),
    Case(
        "New York's autumn",
        _staged(
            "America/New_York",
            "2024-11-03 05:00",
            2,
            ["2024-11-03 01:10:00,2024-11-03 01:20:00,calm", "2024-11-03 01:45:00,2024-11-03 01:50:00,stress"],
        ),
        must_be_said,
        ["01:[14]"],
    ),
    Case(
        "Lord Howe's half hour",
        _staged(
            "Australia/Lord_Howe",
            "2024-04-06 14:30",
            1.5,
            ["2024-04-07 01:35:00,2024-04-07 01:40:00,calm", "2024-04-07 01:45:00,2024-04-07 01:50:00,stress"],
        ),
        must_be_said,
        ["01:[34]"],
    ),
    Case(
        "beside Lord Howe's half hour",
        _staged(
            "Australia/Lord_Howe",
            "2024-04-06 14:00",
            2,
            ["2024-04-07 01:05:00,2024-04-07 01:20:00,calm", "2024-04-07 02:10:00,2024-04-07 02:20:00,stress"],
        ),
        _stages(calm=(300, 1200), stress=(6000, 6600)),
    ),
    Case(
        "an hour that is not there",
        _staged(
            "Europe/Berlin",
            "2024-03-31 00:00",
            2,
            ["2024-03-31 01:10:00,2024-03-31 01:20:00,calm", "2024-03-31 02:30:00,2024-03-31 02:40:00,stress"],
        ),
        must_be_said,
        ["02:30"],
    ),
    Case(
        "an hour that is not there, as a time of day",
        _staged("Europe/Berlin", "2024-03-31 00:00", 2, ["01:10,01:20,calm", "02:30,02:40,stress"]),
        must_be_said,
        ["02:30"],
    ),
    Case(
        "over the hour that is not there",
        _staged(
            "Europe/Berlin",
            "2024-03-31 00:00",
            2,
            ["2024-03-31 01:10:00,2024-03-31 01:20:00,calm", "2024-03-31 03:10:00,2024-03-31 03:20:00,stress"],
        ),
        _stages(calm=(600, 1200), stress=(4200, 4800)),
    ),
    Case(
        "a signal in the hour that comes twice",
        _late(0, BOTH, _clock("2024-10-27 02:%M:%S"), timezone="Europe/Berlin"),
        must_be_said,
        ["02:"],
    ),
    Case(
        "ratings over night",
        _staged("UTC", *NIGHT, ["21:00:00,2", "07:00:00,3", "08:30:00,6", "10:00:00,7"], "moments"),
        _moments((3600, 2), (39600, 3), (45000, 6), (50400, 7)),
    ),
    Case(
        "ratings over night, before and after noon",
        _staged("UTC", *NIGHT, ["9:00 PM,2", "7:00 AM,3", "8:30 AM,6", "10:00 AM,7"], "moments"),
        _moments((3600, 2), (39600, 3), (45000, 6), (50400, 7)),
    ),
    Case(
        "ratings over night in New York",
        _staged("America/New_York", *NIGHT, ["16:00,2", "02:00,3", "03:30,6", "05:00,7"], "moments"),
        _moments((3600, 2), (39600, 3), (45000, 6), (50400, 7)),
    ),
    Case(
        "a stage over midnight",
        _staged("UTC", *NIGHT, ["23:50,00:10,calm", "07:00,08:00,stress"]),
        _stages(calm=(13800, 15000), stress=(39600, 43200)),
    ),
    Case(
        "films over midnight",
        _staged("UTC", *NIGHT, ["23:50,00:10,joy,3", "07:00,08:00,fear,6"], "trials"),
        _films(joy=(13800, 15000), fear=(39600, 43200)),
    ),
    Case(
        "a time of day that comes twice",
        _staged("UTC", "2024-03-01 20:00", 30, ["21:00:00,2", "12:00:00,6"], "moments"),
        must_be_said,
        ["21:00"],
    ),
    Case(
        "a time of day outside",
        _staged("UTC", *NIGHT, ["21:00:00,2", "12:30:00,6"], "moments"),
        must_be_said,
        ["12:30|esm"],
    ),
    Case(
        "dates outside",
        _staged("UTC", *NIGHT, ["2024-03-01 21:00:00,2", "2024-03-03 08:00:00,6"], "moments"),
        must_be_said,
        ["esm"],
    ),
    Case("seconds outside", _staged("UTC", *NIGHT, ["3600,2", "99999,6"], "moments"), must_be_said, ["esm"]),
    Case(
        "a stage outside", _staged("UTC", *NIGHT, ["21:00,21:10,calm", "12:00,12:30,stress"]), must_be_said, ["stages"]
    ),
    Case(
        "a stage that is half outside",
        _staged("UTC", *NIGHT, ["3600,7200,calm", "50400,60000,stress"]),
        must_be_said,
        ["stages"],
    ),
    Case(
        "another time zone",
        _staged(
            "Asia/Tokyo",
            *NIGHT,
            ["2024-03-01 21:00:00,2024-03-01 22:00:00,calm", "2024-03-02 07:00:00,2024-03-02 08:00:00,stress"],
        ),
        must_be_said,
        ["stages"],
    ),
    Case(
        "stages that overlap", _staged("UTC", *NIGHT, ["3600,7200,calm", "7000,9000,stress"]), must_be_said, ["overlap"]
    ),
    Case("files that begin 40 s apart", _late(40, BOTH), _on_eda((1.6, 2.2)), ["start|begin"]),
    Case("files that begin 3 s apart", _late(3, BOTH), _on_eda((1.6, 2.2)), ["start|begin"]),
    Case("EDA begins later", _late(-40, BOTH), _on_eda((1.2, 1.8)), ["start|begin"]),
    Case("files that begin half a second apart", _late(0.5, BOTH, "{:.1f}".format), _on_eda((1.6, 2.2), 0.02)),
    Case("files that begin 40 s apart, with dates", _late(40, DATED), _on_eda((1.6, 2.2))),
    Case(
        "files that begin 40 s apart, with times of day",
        _late(40, "start,end,stage\n13:06,13:07,calm\n13:07:30,13:08:30,stress\n"),
        _on_eda((1.6, 2.2)),
    ),
    Case(
        "files that begin 40 s apart, with unix times",
        _late(40, "start,end,stage\n1709298360,1709298420,calm\n1709298450,1709298510,stress\n"),
        _on_eda((1.6, 2.2)),
    ),
    Case(
        "files that begin 40 s apart, with unix milliseconds",
        _late(40, "start,end,stage\n1709298360000,1709298420000,calm\n1709298450000,1709298510000,stress\n"),
        _on_eda((1.6, 2.2)),
        ["ms|1709298360000"],
    ),
    Case("EDF files that begin 40 s apart", _files("ee", (0, 40)), must_be_said, ["13:05:00", "13:05:40", "from: eda"]),
    Case("EDF files that begin 40 s apart, with dates", _files("ee", (0, 40), DATED), _warm),
    Case("EDF files that begin 40 s apart, seconds of EDA", _files("ee", (0, 40), **{"from": "eda"}), _warm),
    Case("EDF and a table that begin 40 s apart", _files("eu", (0, 40)), must_be_said, ["13:05:40", "from: eda"]),
    Case("a table and EDF, seconds of EDA", _files("ue", (0, 40), **{"from": "eda"}), _warm),
    Case("seconds of EDA, by its path", _files("uu", (0, 40), **{"from": "{participant:P##}_eda.csv"}), _warm),
    Case("seconds of EDA, for all of the recordings", _files("uu", (0, 40), source={"from": "eda"}), _warm),
    Case(
        "seconds of temperature, which begins later",
        _files("uu", (-40, 0), **{"from": "temp"}),
        _on_eda((2.0, 2.6)),
    ),
    Case("seconds of nothing", _files("uu", (0, 40), **{"from": "ecg"}), must_be_said, ["from: ecg", "eda, temp"]),
    Case(
        "lengths in place of ends",
        _files(
            "uu",
            (0, 40),
            "start,end,stage\n60,60,calm\n150,60,stress\n",
            **{"from": "eda", "end": None, "duration": "end"},
        ),
        _warm,
    ),
    Case("times that begin 40 s apart", _files("tt", (0, 40)), must_be_said, ["40 s", "from: time"]),
    Case("times that begin 40 s apart, of one clock", _files("tt", (0, 40), source={"from": "time"}), _warm),
    Case(
        "times that begin 40 s apart, from EDA's start",
        _files(
            "tt",
            (0, 40),
            temp={"from": "eda"},
            **{"from": "eda"},
        ),
        _warm,
    ),
    Case("times beside a rate that begin 40 s apart", _files("rt", (0, 40)), must_be_said, ["40 s", "from: time"]),
    Case("a file that does not say when it began", _files("ur", (0, 0)), must_be_said, ["temp.csv", "from: eda"]),
    Case("a file that begins with another", _files("ur", (0, 0), DATED, temp={"from": "eda"}), _on_eda((1.6, 2.2))),
    Case("a table whose times begin at 40 s", _one_table(40), must_be_said, ["from: time", "from: eda"]),
    Case("a table whose times begin at 40 s, from 0", _one_table(40, **{"from": "time"}), _on_eda((1.2, 1.8))),
    Case("a table whose times begin at 40 s, from its start", _one_table(40, **{"from": "eda"}), _on_eda((1.6, 2.2))),
    Case("a table whose times begin before 0", _one_table(-30), must_be_said, ["from: time", "from: eda"]),
    Case("a table whose times begin at half a second", _one_table(0.5), _on_eda((1.6, 2.2), 0.02)),
    Case("unix milliseconds", _stamped(lambda at: [f"{1000 * t:.0f}" for t in at]), _at_4_hz, ["ms|milli"]),
    Case("unix milliseconds that are stated", _stamped(lambda at: [f"{1000 * t:.0f}" for t in at], "ms"), _at_4_hz),
    Case("unix microseconds", _stamped(lambda at: [f"{1e6 * t:.0f}" for t in at]), _at_4_hz, ["us|micro"]),
    Case("unix microseconds that are stated", _stamped(lambda at: [f"{1e6 * t:.0f}" for t in at], "us"), _at_4_hz),
    Case(
        "unix microseconds said to be milliseconds",
        _stamped(lambda at: [f"{1e6 * t:.0f}" for t in at], "ms"),
        must_be_said,
        ["us|micro|time_unit"],
    ),
    Case(
        "unix nanoseconds",
        _stamped(lambda at: [f"{round(1000 * t)}000000" for t in at]),
        _at_4_hz,
        ["ns|nano|time_unit"],
    ),
    Case(
        "unix seconds said to be milliseconds",
        _stamped(lambda at: [f"{t:.2f}" for t in at], "ms"),
        must_be_said,
        ["time_unit|ms"],
    ),
    Case(
        "unix milliseconds with decimals", _stamped(lambda at: [f"{1000 * t:.3f}" for t in at]), _at_4_hz, ["ms|milli"]
    ),
    Case("dates", _stamped(lambda at: [_clock("%Y-%m-%d %H:%M:%S.%f")(t) for t in at]), _at_4_hz),
)
