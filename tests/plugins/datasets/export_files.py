"""Writers of files as devices and programs export them, for tests; docs/datasets/exports.md names their columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

START = datetime(2024, 3, 1, 13, 5, tzinfo=UTC)
Columns = dict[str, np.ndarray]


def waves(person: int, rate: float, seconds: int, names: Sequence[str]) -> Columns:
    """Signals with as many digits as files have: name -> values."""
    at = np.arange(round(rate * seconds)) / rate
    return {name: np.round(person + k + 1.5 * np.sin((0.3 + k) * at), 3) for k, name in enumerate(names, 1)}


def _rows(columns: Sequence[Sequence[object]], separator: str, end: str = "") -> list[str]:
    return [separator.join(map(str, row)) + end for row in zip(*columns, strict=True)]


def shimmer(person: int, *, separator: str = ",", stated: bool = True, dates: bool = False) -> tuple[str, Columns]:
    """ConsensysPRO: names with the device's number, units, and a separator after the last column. 128 Hz."""
    device, values = f"Shimmer_{0xA000 + person:X}", waves(person, 128, 30, ("eda", "ppg"))
    n = len(values["eda"])
    at = [START + timedelta(seconds=k / 128) for k in range(n)]
    times = [f"{t:%Y/%m/%d %H:%M:%S}.{t.microsecond // 1000:03d}" for t in at] if dates else [
        f"{1000 * START.timestamp() + 1000 * k / 128:.3f}" for k in range(n)]  # fmt: skip
    columns = {
        f"{device}_Timestamp_{'Formatted' if dates else ''}Unix_CAL": (
            "yyyy/mm/dd hh:mm:ss.000" if dates else "ms",
            times,
        ),
        f"{device}_GSR_Range_CAL": ("no_units", np.ones(n)),
        f"{device}_GSR_Skin_Conductance_CAL": ("uS", values["eda"]),
        f"{device}_GSR_Skin_Resistance_CAL": ("kOhms", np.round(1000 / np.abs(values["eda"]), 3)),
        f"{device}_PPG_A13_CAL": ("mV", values["ppg"]),
    }
    lines = [f"sep={separator}"] if stated else []
    lines += [separator.join(columns) + separator, separator.join(u for u, _ in columns.values()) + separator]
    return "\n".join([*lines, *_rows([v for _, v in columns.values()], separator, separator)]) + "\n", values


def shimmer_capture(person: int) -> tuple[str, Columns]:
    """ShimmerCapture: the device, names, formats and units over each column. 64 Hz."""
    values = waves(person, 64, 30, ("eda",))
    times = [round(1000 * k / 64, 3) for k in range(len(values["eda"]))]
    heads = [["Shimmer A"] * 3, ["Timestamp", "GSR", "Battery"], ["CAL", "CAL", "CAL"], ["ms", "uS", "mV"]]
    rows = _rows([times, values["eda"], np.full(len(times), 3900)], "\t")
    return "\n".join(["sep=\t", *("\t".join(head) for head in heads), *rows]) + "\n", values


def polar(person: int) -> tuple[str, Columns]:
    """Polar Sensor Logger: the ECG of a chest strap in uV, 130 Hz, with the phone's local time."""
    values = waves(person, 130, 30, ("ecg",))
    n = len(values["ecg"])
    local = [START + timedelta(hours=1, seconds=k / 130) for k in range(n)]
    counts = np.round(1000 * values["ecg"]).astype(int)
    columns = [
        [f"{t:%Y-%m-%dT%H:%M:%S}.{t.microsecond // 1000:03d}" for t in local],
        [599616000_000000000 + round(k * 1e9 / 130) for k in range(n)],
        [f"{1000 * k / 130:.1f}" for k in range(n)],
        counts,
    ]
    head = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]"
    return "\n".join([head, *_rows(columns, ";")]) + "\n", {"ecg": counts / 1000}


def garmin(person: int) -> tuple[str, Columns]:
    """FitCSVTool: heart rate each second, of which a watch leaves some out; seconds since 1989-12-31."""
    kept = [k for k in range(120) if k % 11 != 5]
    hr = np.full(120, np.nan)
    hr[kept] = [60 + person + k % 7 for k in kept]
    first = int(START.timestamp()) - 631_065_600
    rows = [f"{first + k},{512_000_000 + k},{hr[k]:.0f}" for k in kept]
    head = "record.timestamp[s],record.position_lat[semicircles],record.heart_rate[bpm]"
    return "\n".join([head, *rows]) + "\n", {"hr": hr}


def opensignals(person: int) -> tuple[str, Columns]:
    """OpenSignals: two sensors of a biosignalsplux hub in physical units, 200 Hz, tabs to the end of each row."""
    values = waves(person, 200, 30, ("ecg", "eda"))
    device = {
        "sensor": ["ECG", "EDA"], "device name": "00:07:80:58:9B:3F", "column": ["nSeq", "DI", "CH1", "CH2"],
        "sync interval": 2, "time": "14:5:0.0", "comments": "", "device connection": "BTH00:07:80:58:9B:3F",
        "channels": [1, 2], "date": "2024-3-1", "mode": 0, "digital IO": [0, 1], "firmware version": 774,
        "device": "biosignalsplux", "position": 0, "sampling rate": 200, "label": ["CH1", "CH2"],
        "resolution": [16, 16], "special": [{}, {}],
    }  # fmt: skip
    head = [
        "# OpenSignals Text File Format. Version 1",
        f"# {json.dumps({'00:07:80:58:9B:3F': device})}",
        "# EndOfHeader",
    ]
    n = len(values["ecg"])
    rows = _rows([np.arange(n) % 16, np.zeros(n, int), values["ecg"], values["eda"]], "\t", "\t")
    return "\n".join([*head, *rows]) + "\n", values


def labchart(person: int, *, decimal: str = ".", timed: bool = True) -> tuple[str, Columns]:
    """LabChart: lines of names and units, then the time and two channels, with a comment at one moment. 100 Hz."""
    values = waves(person, 100, 30, ("ecg", "resp"))
    head = ["Interval=\t0.01 s",
            "ExcelDateTime=\t4.5352586805555553e+04\t01/03/2024 14:05:00", "TimeFormat=\tStartOfBlock",
            "DateFormat=\t", "ChannelTitle=\tECG\tRespiration", "Range=\t2.000 mV\t10.000 V", "UnitName=\tmV\t*",
            "TopValue=\t2\t*", "BottomValue=\t-2\t*"]  # fmt: skip
    times = [[f"{k / 100:g}" for k in range(len(values["ecg"]))]] if timed else []
    rows = _rows([*times, values["ecg"], values["resp"]], "\t")
    rows[200] += "\t#* the film begins"
    text = "\r\n".join([*head, *rows, ""])
    return text.replace(".", decimal) if decimal != "." else text, values


EXPORTS: dict[str, Callable[[int], tuple[str, Columns]]] = {
    "shimmer.csv": shimmer, "capture.txt": shimmer_capture, "polar.txt": polar, "garmin.csv": garmin,
    "opensignals.txt": opensignals, "labchart.txt": labchart,
}  # fmt: skip
