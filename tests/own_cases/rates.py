"""Rates: stamps that are rounded, gaps, doubled stamps, other rates than stated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .files import CLIPS, EDA, JOY, SHOWN, Stream, clips, eda, table, whole, xdf
from .markers import MARKED
from .outcome import Case, Recordings, lost, must_be_said, rates

START = 1_709_298_300


def _stamped(
    rate: float, *, gaps: tuple[tuple[float, float], ...] = ((8, 10),), digits: int = 0, stated: float | None = None,
    doubled: int = 0, jitter_ms: float = 0.0, seconds: float = 20,
) -> Callable[[Path], None]:  # fmt: skip
    """Clips with stamps in ms, rounded, and stretches in which all samples are lost."""

    def make(root: Path) -> None:
        at = np.arange(round(seconds * rate)) / rate
        values = np.round(1 + 0.1 * at, 5)
        kept = ~np.any([(at >= first - 1e-9) & (at < last - 1e-9) for first, last in gaps], axis=0) if gaps else at >= 0
        noise = np.random.default_rng(0).uniform(-jitter_ms, jitter_ms, len(at))
        stamps = [f"{1000 * (START + t) + n:.{digits}f}" for t, n in zip(at, noise, strict=True)]
        rows = [k for k in np.flatnonzero(kept) for _ in range(1 + (k < doubled))]
        own: dict[str, Any] = {**EDA, "time_unit": "ms"} | ({"rate": stated} if stated else {})
        clips(root, table({"time": [stamps[k] for k in rows], "EDA": [values[k] for k in rows]}),
              recordings={**CLIPS, "signals": {"eda": own}})  # fmt: skip

    return make


def _written(
    rate: float, seconds: float, stamp: Callable[[np.ndarray], np.ndarray], *, drop: Callable[[np.ndarray], np.ndarray]
    | None = None, stated: float | None = None, digits: int = 3,
) -> Callable[[Path], None]:  # fmt: skip
    """Clips whose stamps in s are made of the true times, without the samples that `drop` names."""

    def make(root: Path) -> None:
        at = np.arange(round(seconds * rate)) / rate
        kept = ~drop(at) if drop else at >= 0
        stamps = [f"{t:.{digits}f}" for t in stamp(at)[kept]]
        own: dict[str, Any] = {**EDA} | ({"rate": stated} if stated else {})
        clips(root, table({"time": stamps, "EDA": np.round(1 + 0.1 * at[kept], 6)}),
              recordings={**CLIPS, "signals": {"eda": own}}, longest_s=3600)  # fmt: skip

    return make


def _packets(size: int, rate: float, jitter_s: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """Samples have the time at which their packet came."""

    def stamp(at: np.ndarray) -> np.ndarray:
        number = np.arange(len(at)) // size
        noise = np.random.default_rng(1).uniform(0, jitter_s, number[-1] + 1) if jitter_s else np.zeros(number[-1] + 1)
        came = (np.arange(number[-1] + 1) + 1) * size / rate + noise
        return np.maximum.accumulate(came)[number]

    return stamp


def _jitter(size_s: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda at: np.maximum.accumulate(at + np.random.default_rng(2).uniform(0, size_s, len(at)))


def _some(share: float) -> Callable[[np.ndarray], np.ndarray]:
    """Single samples that are lost, not the first or the last."""

    def drop(at: np.ndarray) -> np.ndarray:
        lost_ = np.random.default_rng(3).random(len(at)) < share
        lost_[[0, -1]] = False
        return lost_

    return drop


def _part(*stretches: tuple[float, float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda at: np.any([(at >= first - 1e-9) & (at < last - 1e-9) for first, last in stretches], axis=0)


def _holds(rate: float, seconds: float, n_lost: int, off_s: float, tolerance: float = 0.002, spare: int = 2):
    """The rate, as many lost samples, and all others at their times, but for the constant lag of packets."""

    def check(found: Recordings) -> None:
        assert len(found) == 9
        for r in found.values():
            data, own = r.signals["eda"].data[0].astype(float), r.signals["eda"].rate
            assert abs(own / rate - 1) < tolerance, own
            assert abs(len(data) - seconds * rate) <= max(spare, 2 * tolerance * len(data)), len(data)
            assert abs(int(np.isnan(data).sum()) - n_lost) <= spare, int(np.isnan(data).sum())
            late = (data - 1) / 0.1 - np.arange(len(data)) / own
            assert np.nanmax(np.abs(late - np.nanmedian(late))) < off_s, np.nanmax(np.abs(late - np.nanmedian(late)))
            assert abs(np.nanmedian(late)) < 0.2

    return check


def _is(rate: float, n_lost: int, seconds: float = 20, tolerance: float = 0.002) -> Callable[[Recordings], None]:
    """All clips have the rate, as many lost samples, and each sample at its place."""

    def check(found: Recordings) -> None:
        assert len(found) == 9
        for r in found.values():
            signal = r.signals["eda"]
            data = signal.data[0]
            assert abs(signal.rate / rate - 1) < tolerance, signal.rate
            assert abs(len(data) - seconds * rate) <= 2, len(data)
            assert abs(int(np.isnan(data).sum()) - n_lost) <= 2, int(np.isnan(data).sum())
            at = (data - 1) / 0.1
            off = np.nanmax(np.abs(at - np.arange(len(data)) / signal.rate))
            assert off < max(0.06, 1.1 / rate), off

    return check


def _streams(
    nominal: float, real: float, *, gap: tuple[float, float] | None = None, resets: int = 0
) -> Callable[[Path], None]:
    """XDF whose stamps are of another rate than its nominal one; after each reset the clock begins anew."""

    def make(root: Path) -> None:
        at = np.arange(round(100 * real)) / real
        values = 1 + 0.1 * at
        if gap:
            kept = (at < gap[0]) | (at >= gap[1])
            at, values = at[kept], values[kept]
        shifts = np.zeros(len(at))
        offsets = [(1000 + 5.0 * k, 0.0) for k in range(20)]
        for k in range(1, resets + 1):
            later = at >= k * 100 / (resets + 1)
            shifts[later] = -1000.0 * k
        if resets:
            moments = np.arange(0, 100, 5.0)
            offsets = []
            for t in moments:
                shift = -1000.0 * min(int(t // (100 / (resets + 1))), resets)
                offsets.append((1000 + t + shift, -shift))
        signal = Stream("EDA", "float32", nominal, 1000 + at + shifts, values, offsets)
        notes = (("film_start_joy", 10), ("film_end", 40), ("film_start_fear", 50), ("film_end", 80))
        marks = Stream("Marks", "string", 0, [1000.0 + t for _, t in notes], [text for text, _ in notes])
        whole(root, lambda who: {f"{who}.xdf": xdf([signal, marks])},
              recordings={**MARKED, "files": "{participant}.xdf"}, labels=SHOWN, targets=JOY)  # fmt: skip

    return make


def _trials_at(rate: float, n_lost: int = 0) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        assert len(found) == 6
        for r in found.values():
            signal = r.signals["eda"]
            assert abs(int(np.isnan(signal.data[0]).sum()) - (n_lost if r.stimulus == "joy" else 0)) <= 2
            begin = 2 if r.stimulus == "joy" else 6
            at = begin + 0.1 * np.arange(signal.data.shape[1]) / signal.rate
            assert np.nanmax(np.abs(signal.data[0] - at)) < 0.02
            assert abs(signal.rate / rate - 1) < 0.005, signal.rate
            assert abs(signal.duration_s - 30) < 0.1

    return check


def _mixed(root: Path) -> None:
    clips(root)
    for path in sorted(root.glob("P01_clip*.csv")):
        path.write_text(table({"time": [f"{k / 8:.3f}" for k in range(480)], "EDA": np.round(eda(60, 8), 5)}))


def _two_rates(found: Recordings) -> None:
    assert {r.signals["eda"].rate for r in found.values() if r.subject == "P01"} == {8}
    assert {r.signals["eda"].rate for r in found.values() if r.subject != "P01"} == {4}
    assert lost(found, "eda") == [0] * 9


def _uneven(root: Path) -> None:
    at = np.cumsum(np.random.default_rng(0).exponential(0.25, 240))
    clips(root, table({"time": np.round(at, 3), "EDA": np.round(1 + 0.1 * at, 4)}))


def _changing(root: Path) -> None:
    at = np.concatenate([np.arange(0, 30, 0.25), np.arange(30, 60, 0.125)])
    clips(root, table({"time": np.round(at, 3), "EDA": np.round(1 + 0.1 * at, 4)}))


def _rate_stated_wrong(root: Path) -> None:
    source = {**CLIPS, "signals": {"eda": {**EDA, "rate": 8}}}
    clips(root, recordings=source)


def _rows_moved(root: Path) -> None:
    rows = list(zip(np.round(np.arange(240) / 4, 2), np.round(eda(60, 4), 5), strict=True))
    rows[100], rows[180] = rows[180], rows[100]
    clips(root, table(dict(zip(("time", "EDA"), zip(*rows, strict=True), strict=True))))


def _even_at_4(found: Recordings) -> None:
    assert rates(found, "eda") == [4]
    for r in found.values():
        assert np.nanmax(np.abs((r.signals["eda"].data[0] - 1) / 0.1 - np.arange(240) / 4)) < 0.01


CASES = (
    Case("130 Hz in whole ms with a gap", _stamped(130), _is(130, 260)),
    Case("130 Hz in whole ms with a gap, stated", _stamped(130, stated=130), _is(130, 260)),
    Case("130 Hz in whole ms with two gaps", _stamped(130, gaps=((3, 4.5), (12, 15))), _is(130, 585)),
    Case("130 Hz in whole ms without a gap", _stamped(130, gaps=()), _is(130, 0)),
    Case("51.2 Hz in whole ms with a gap", _stamped(51.2, gaps=((7.5, 10),)), _is(51.2, 128)),
    Case("51.2 Hz in whole ms with a gap, stated", _stamped(51.2, gaps=((7.5, 10),), stated=51.2), _is(51.2, 128)),
    Case("64 Hz in whole ms with a gap", _stamped(64), _is(64, 128)),
    Case("128 Hz in whole ms with a gap", _stamped(128), _is(128, 256)),
    Case("256 Hz in whole ms with a gap", _stamped(256), _is(256, 512)),
    Case("512 Hz in whole ms with a gap", _stamped(512), _is(512, 1024)),
    Case("30 Hz in whole ms with a gap", _stamped(30), _is(30, 60)),
    Case("a single sample lost", _stamped(64, gaps=((8, 8.02),)), _is(64, 2)),
    Case("130 Hz with jitter of 2 ms and a gap", _stamped(130, jitter_ms=2), _is(130, 260), ["even|rise"]),
    Case("4 Hz with jitter of 20 ms and a gap", _stamped(4, jitter_ms=20, gaps=((8, 10),)), _is(4, 8)),
    Case("130 Hz with doubled stamps", _stamped(130, gaps=(), doubled=200), _is(130, 0), ["time|twice|even|one time"]),
    Case("130 Hz with one doubled stamp", _stamped(130, gaps=(), doubled=1), _is(130, 0), ["time|twice|even|one time"]),
    Case("a gap that is not a whole number of samples", _stamped(64, gaps=((8, 10.0077),)), _is(64, 129)),
    Case("rates that differ between people", _mixed, _two_rates),
    Case("times that are not even", _uneven, must_be_said, ["even"]),
    Case("a rate that changes", _changing, must_be_said, ["even|rate|samples a second|time|missing samples"]),
    Case("another rate than stated", _rate_stated_wrong, must_be_said, ["not 8"]),
    Case("rows in another order", _rows_moved, _even_at_4, ["rise"]),
    Case("nominal 32 Hz, stamps of 30", _streams(32, 30), _trials_at(30)),
    Case("nominal 32 Hz, stamps of 34", _streams(32, 34), _trials_at(34)),
    Case("nominal 100 Hz, stamps of 93.2", _streams(100, 93.2), _trials_at(93.2)),
    Case("nominal 32 Hz, stamps of 32.05", _streams(32, 32.05), _trials_at(32.05)),
    Case("nominal 32 Hz, stamps of 30, a gap", _streams(32, 30, gap=(20, 25)), _trials_at(30, 150)),
    Case("a clock that is reset", _streams(32, 32, resets=1), _trials_at(32), ["rise|time|clock"]),
    Case("a clock that is reset twice", _streams(32, 32, resets=2), _trials_at(32), ["rise|time|clock"]),
    Case("packets of 10", _written(100, 60, _packets(10, 100)), _holds(100, 60, 0, 0.02)),
    Case("packets of 10, stated", _written(100, 60, _packets(10, 100), stated=100), _holds(100, 60, 0, 0.02)),
    Case("packets of 12 at 256 Hz", _written(256, 60, _packets(12, 256)), _holds(256, 60, 0, 0.02)),
    Case(
        "packets of 10, three lost",
        _written(100, 60, _packets(10, 100), drop=_part((10, 10.1), (30, 30.2))),
        _holds(100, 60, 30, 0.02),
    ),
    Case(
        "packets of 10, a pause of 10 s, stated",
        _written(100, 60, _packets(10, 100), drop=_part((20, 30)), stated=100),
        _holds(100, 60, 1000, 0.02),
    ),
    Case(
        "packets of 10 that come up to 40 ms late",
        _written(100, 60, _packets(10, 100, 0.04)),
        _holds(100, 60, 0, 0.06),
        ["even"],
    ),
    Case(
        "packets of 73 that come up to 80 ms late, one lost",
        _written(130, 73 * 100 / 130, _packets(73, 130, 0.08), drop=_part((73 * 40 / 130, 73 * 41 / 130))),
        _holds(130, 73 * 100 / 130, 73, 0.12, 0.004, 8),
        ["even"],
    ),
    Case("two samples in each ms", _written(2000, 10, lambda at: at), _holds(2000, 10, 0, 0.002)),
    Case(
        "stamps in whole seconds at 4 Hz",
        _written(4, 120, np.floor, digits=0),
        _holds(4, 120, 0, 0.8),
        ["even|one time"],
    ),
    Case(
        "a tenth lost at 64 Hz", _written(64, 60, lambda at: at, drop=_some(0.1)), _holds(64, 60, 384, 0.01, spare=60)
    ),
    Case(
        "a third lost at 64 Hz", _written(64, 60, lambda at: at, drop=_some(0.33)), _holds(64, 60, 1267, 0.01, spare=80)
    ),
    Case(
        "a tenth lost at 130 Hz, stated",
        _written(130, 60, lambda at: at, drop=_some(0.1), stated=130),
        _holds(130, 60, 780, 0.01, spare=80),
    ),
    Case(
        "single samples lost at 256 Hz",
        _written(256, 30, lambda at: at, drop=_part((10, 10.0035), (20, 20.0035))),
        _holds(256, 30, 2, 0.004, spare=0),
    ),
    Case(
        "a single sample lost at 512 Hz",
        _written(
            512,
            30,
            lambda at: at,
            drop=_part(
                (10, 10.0015),
            ),
        ),
        _holds(512, 30, 1, 0.004, spare=0),
    ),
    Case(
        "one lost at 32 Hz", _written(32, 60, lambda at: at, drop=_part((10, 10.03))), _holds(32, 60, 1, 0.02, spare=0)
    ),
    Case("129.9 Hz for ten minutes", _written(129.9, 600, lambda at: at), _holds(129.9, 600, 0, 0.06, spare=0)),
    Case(
        "129.9 Hz for ten minutes, 130 stated",
        _written(129.9, 600, lambda at: at, stated=130),
        _holds(129.9, 600, 0, 0.06, spare=80),
    ),
    Case("1/60 Hz", _written(1 / 60, 3600, lambda at: at, digits=0), _holds(1 / 60, 3600, 0, 1)),
    Case(
        "0.2 Hz with lost ones", _written(0.2, 3600, lambda at: at, drop=_some(0.1)), _holds(0.2, 3600, 72, 1, spare=25)
    ),
    Case("64 Hz with jitter of 30 ms", _written(64, 60, _jitter(0.03)), _holds(64, 60, 0, 0.06), ["even"]),
    Case(
        "64 Hz with jitter of 30 ms and a pause",
        _written(64, 60, _jitter(0.03), drop=_part((20, 25))),
        _holds(64, 60, 320, 0.08, spare=4),
        ["even"],
    ),
    Case(
        "many pauses at 64 Hz",
        _written(64, 120, lambda at: at, drop=_part(*((3 * k + 1.3, 3 * k + 2) for k in range(39)))),
        _holds(64, 120, 39 * 45, 0.02, spare=40),
    ),
)
