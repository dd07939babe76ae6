"""Studies that are mutated: each person's EDA has its own level, so that every sample and label says whose it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tests.labs import folders
from tests.labs.layouts import LAYOUTS, lay_out
from tests.labs.test_labs import filled
from tests.plugins.datasets.own_files import describe

from embench_plugins.datasets.own.draft import write_draft

from .files import AROUSAL, CLIPS, EDA, HIGH, JOY, SHOWN, Stream, Wave, edf, table, whole, write, xdf
from .markers import MARKED, PLAIN, TABLED
from .times import DATED, ESM, LOW, STAGE, STRESS

START = datetime(2024, 3, 1, 13, 5, tzinfo=UTC)
UNIX = 1_709_298_300
PEOPLE = ("P01", "P02", "P03")
FILMS = (("joy", 10, 50), ("fear", 80, 120), ("sea", 130, 170))
LABELLED = {"labels": {"arousal": {"trial": "arousal", "scale": [1, 9]}}, "targets": {"arousal": HIGH}}


def level(who: str, clip: int = 0) -> float:
    return 2.0 * int(who[1:]) + 0.25 * clip


def signal(who: str, seconds: float, start: float = 0.0, *, clip: int = 0, name: str = "EDA") -> dict[str, list[str]]:
    """Columns of times, 4 a second, and of EDA, which rises by 0.02 uS a second from the person's level on."""
    at = np.arange(round(4 * seconds)) / 4
    return {"time": [f"{start + t:.2f}" for t in at], name: [f"{level(who, clip) + 0.02 * t:.4f}" for t in at]}


def rating(who: str, k: int) -> int:
    return (2 * int(who[1:]) + 3 * k) % 9 + 1


def _clips(root: Path) -> None:
    for who in PEOPLE:
        write(root, {f"{who}_clip{k}.csv": table(signal(who, 30, clip=k)) for k in (1, 2, 3)})
    rows = [(who, k, rating(who, k)) for who in PEOPLE for k in (1, 2, 3)]
    names = ("participant", "clip", "arousal")
    write(root, {"ratings.csv": table(dict(zip(names, zip(*rows, strict=True), strict=True)))})
    describe(root, CLIPS, {"arousal": AROUSAL}, {"arousal": HIGH})


def _german(root: Path) -> None:
    """Semicolons, decimal commas, and dates with the day first."""
    source = {**CLIPS, "signals": {"eda": {**EDA, "channels": {"eda": "Leitwert"}}}}
    for who in PEOPLE:
        for k in (1, 2, 3):
            text = table(signal(who, 30, clip=k, name="Leitwert"), ";").replace(".", ",")
            write(root, {f"{who}_clip{k}.csv": b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()})
    rows = [(who, k, f"{rating(who, k) - 0.5:g}".replace(".", ","), "") for who in PEOPLE for k in (1, 2, 3)]
    names = ("Person", "Film", "Erregung", "Bemerkung")
    text = table(dict(zip(names, zip(*rows, strict=True), strict=True)), ";")
    write(root, {"ratings.csv": text.replace("\n", "\r\n").encode("utf-8-sig")})
    label = {"table": "ratings.csv", "keys": {"participant": "Person", "clip": "Film"}, "column": "Erregung",
             "scale": [0, 9]}  # fmt: skip
    describe(root, source, {"arousal": label}, {"arousal": HIGH})


def _films(stamp: Callable[[float], str], start: float = 0.0, **more: Any) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        rows = [
            (who, film, stamp(a), stamp(b), rating(who, k)) for who in PEOPLE for k, (film, a, b) in enumerate(FILMS)
        ]
        names = ("participant", "film", "begin", "end", "arousal")
        write(root, {"films.csv": table(dict(zip(names, zip(*rows, strict=True), strict=True)))})
        whole(root, lambda who: {f"{who}.csv": table(signal(who, 180, start))}, recordings=TABLED, longest_s=180,
              **LABELLED, **more)  # fmt: skip

    return make


def _at(form: str, hours: float = 0) -> Callable[[float], str]:
    return lambda second: f"{START + timedelta(hours=hours, seconds=second):{form}}"


def _stages(root: Path) -> None:
    rows = "start,end,stage\n10,50,calm\n80,120,stress\n130,170,calm\n"
    whole(root, lambda who: {f"{who}.csv": table(signal(who, 180)), f"{who}_stages.csv": rows}, longest_s=180,
          labels={"stage": STAGE}, targets=STRESS)  # fmt: skip


def _moments(root: Path) -> None:
    def of(who: str) -> dict[str, str]:
        rated = {"at": range(5, 175, 10), "stress": [(k + int(who[1:])) % 7 + 1 for k in range(17)]}
        return {f"{who}.csv": table(signal(who, 180)), f"{who}_esm.csv": table(rated)}

    whole(root, of, longest_s=180, labels={"stress": ESM}, targets=LOW)


def _pair(root: Path) -> None:
    """EDA and temperature in files of their own, with unix times, and stages with dates."""

    def of(who: str) -> dict[str, str]:
        temp = {
            "time": range(UNIX + 2, UNIX + 300),
            "TEMP": [f"{32 + level(who) / 10 + k / 1000:.3f}" for k in range(298)],
        }
        files = {f"{who}_eda.csv": table(signal(who, 300, UNIX)), f"{who}_temp.csv": table(temp)}
        return {**files, f"{who}_stages.csv": DATED}

    signals = {
        m: {"channels": {m: m.upper()}, "time": "time", "unit": unit, "file": f"{{participant:P##}}_{m}.csv"}
        for m, unit in (("eda", "uS"), ("temp", "degC"))
    }
    whole(root, of, recordings={"signals": signals}, labels={"stage": STAGE}, targets=STRESS, longest_s=300)


def _wide(root: Path) -> None:
    _clips(root)
    rows = [(who, *(rating(who, k) for k in (1, 2, 3)), 20 + n) for n, who in enumerate(PEOPLE)]
    names = ("participant", "1_arousal", "2_arousal", "3_arousal", "age")
    write(root, {"ratings.csv": table(dict(zip(names, zip(*rows, strict=True), strict=True)))})
    label = {**AROUSAL, "keys": {"participant": "participant"}, "column": "{clip}_arousal"}
    describe(root, CLIPS, {"arousal": label}, {"arousal": HIGH})


def _named_files(root: Path) -> None:
    for who in PEOPLE:
        write(root, {f"{who}_{f}.csv": table(signal(who, 30, clip=k)) for k, f in enumerate(("joy", "fear"))})
    source = {"files": "{participant:P##}_{stimulus}.csv", "signals": {"eda": EDA}}
    describe(root, source, SHOWN, JOY)


def _column(root: Path) -> None:
    def of(who: str) -> dict[str, str]:
        own = signal(who, 180)
        return {f"{who}.csv": table({**own, "stage": ["calm" if k < 360 else "stress" for k in range(720)]})}

    label = {"column": "stage", "classes": ["calm", "stress"]}
    whole(root, of, labels={"stage": label}, targets=STRESS, longest_s=180)


def marked(who: str, notes: Any, *, as_xdf: bool) -> bytes:
    """An EDF+ or XDF file of a person with markers."""
    data = level(who) + 0.02 * np.arange(140 * 20) / 20
    if not as_xdf:
        return edf([Wave("EDA", "uS", data)], sorted(notes))
    at, texts = zip(*sorted(notes), strict=True)
    own = Stream("EDA", "float32", 20, 1000 + np.arange(len(data)) / 20, data)
    return xdf([own, Stream("Marks", "string", 0, 1000 + np.array(at), texts)])


def _marked(suffix: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        whole(root, lambda who: {f"{who}.{suffix}": marked(who, PLAIN, as_xdf=suffix == "xdf")}, labels=SHOWN,
              targets=JOY, recordings={**MARKED, "files": f"{{participant:P##}}.{suffix}"}, longest_s=140)  # fmt: skip

    return make


def _layout(number: int) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        lay_out(root, LAYOUTS[number])
        (root / "dataset.yaml").write_text(filled(write_draft(root)))

    return make


def _lab(name: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        getattr(folders, name)(root, 3)
        (root / "dataset.yaml").write_text(filled(write_draft(root)))

    return make


STUDIES: dict[str, Callable[[Path], None]] = {
    "clips": _clips,
    "german": _german,
    "films in seconds": _films(lambda second: f"{second:g}"),
    "films with dates": _films(_at("%Y-%m-%d %H:%M:%S", 1), UNIX, timezone="Europe/Berlin"),
    "films with German dates": _films(_at("%d.%m.%Y %H:%M:%S", 1), UNIX, timezone="Europe/Berlin"),
    "films with times of day": _films(_at("%H:%M:%S", -5), UNIX, timezone="America/New_York"),
    "films with unix times": _films(
        lambda second: f"{UNIX + second:g}" if second % 1 else f"{UNIX + second:.0f}", UNIX
    ),
    "stages": _stages,
    "moments": _moments,
    "pair": _pair,
    "wide": _wide,
    "named files": _named_files,
    "column": _column,
    "edf": _marked("edf"),
    "xdf": _marked("xdf"),
    **{f"layout {k}": _layout(k) for k in range(len(LAYOUTS))},
    **{name: _lab(name) for name in ("wristband", "brainvision", "streams", "strap", "bids")},
}
