"""Formats of devices: units and ranges in EDF headers, text exports with rows and columns of another kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import AROUSAL, HIGH, Wave, clips, eda, edf, rated, table
from .outcome import Case, Recordings, lost, must_be_said, rates

SHORT = {"files": "{participant:P##}_clip{clip}.edf", "stimulus": "{clip}"}


def _edf(waves: Sequence[Wave], *, bdf: bool = False, modality: str = "eda", unit: str | None = "uS",
         channel: str = "EDA", change: Callable[[bytes], bytes] = bytes) -> Callable[[Path], None]:  # fmt: skip
    def make(root: Path) -> None:
        own = {"channels": {modality: channel}} | ({"unit": unit} if unit else {})
        source = {**SHORT, "signals": {modality: own}}
        source["files"] = source["files"].replace("edf", "bdf") if bdf else source["files"]
        clips(root, change(edf(waves, bdf=bdf)), recordings=source)

    return make


def _in_unit(unit: str, size: float, low: float, high: float, stated: str | None = "uS", **more: Any):
    """EDA from 1 uS on, in the unit of the header."""
    return _edf([Wave("EDA", unit, size * eda(60, 20), 20, low, high)], unit=stated, **more)


def _micro(found: Recordings) -> None:
    for r in found.values():
        np.testing.assert_allclose(r.signals["eda"].data[0], eda(60, 20), atol=0.01)
        assert r.signals["eda"].unit == "uS"


def _degrees(unit: str, stated: str, *, fahrenheit: bool = False) -> Callable[[Path], None]:
    celsius = 33 + np.arange(1200) / 1200
    data = celsius * 1.8 + 32 if fahrenheit else celsius
    return _edf([Wave("TEMP", unit, data, 20, 20, 120)], modality="temp", unit=stated, channel="TEMP")


def _celsius(found: Recordings) -> None:
    for r in found.values():
        np.testing.assert_allclose(r.signals["temp"].data[0], 33 + np.arange(1200) / 1200, atol=0.01)


def _beside(aux: Wave, **more: Any) -> Callable[[Path], None]:
    return _edf([Wave("EDA", "uS", eda(60, 20)), aux], **more)


def _first_text(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old.ljust(8), new.ljust(8)[:8], 1)


NOTHING = np.zeros(1200)
MUSE = {"files": "{participant:P##}_clip{clip}.csv", "stimulus": "{clip}"}


def _muse(events: Sequence[int], *, rows: int = 2560, batch: int = 12) -> Callable[[Path], None]:
    """Mind Monitor: rows of events between samples, and stamps when a packet arrives."""

    def make(root: Path) -> None:
        lines = ["TimeStamp,RAW_TP9,RAW_AF7,Battery,Elements", "2024-03-01 14:05:00.000,,,,/muse/event/connected"]
        for k in range(rows):
            ms = round(1000 * (k // batch * batch + batch) / 256)
            stamp = f"2024-03-01 14:05:{ms // 1000:02d}.{ms % 1000:03d}"
            if k in events:
                lines.append(f"{stamp},,,,/muse/elements/blink")
            wave = 20 * np.sin(2 * np.pi * 10 * k / 256)
            lines.append(f"{stamp},{800 + wave:.2f},{800 + 0.5 * wave:.2f},90,")
        source = {**MUSE, "signals": {"eeg": {"channels": ["RAW_TP9", "RAW_AF7"], "time": "TimeStamp", "unit": "uV"}}}
        clips(root, "\n".join([*lines, ""]), recordings=source)

    return make


def _muse_is_whole(found: Recordings) -> None:
    (rate,) = rates(found, "eeg")
    assert abs(rate - 256) < 1, rate
    assert lost(found, "eeg") == [0] * 9
    for r in found.values():
        assert abs(r.signals["eeg"].data.shape[1] - 2560) <= 2
        wave = 800 + 20 * np.sin(2 * np.pi * 10 * np.arange(2560) / 256)
        data = r.signals["eeg"].data[0]
        assert np.abs(data - wave[: len(data)]).max() < 0.1


def _text(
    head: Sequence[str], rows: Sequence[str], signals: dict[str, Any], suffix: str = "txt"
) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        source = {"files": f"{{participant:P##}}_clip{{clip}}.{suffix}", "stimulus": "{clip}", "signals": signals}
        clips(root, "\n".join([*head, *rows, ""]), recordings=source)

    return make


def _eda_at(rate: float, seconds: float = 20, modality: str = "eda") -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        for r in found.values():
            signal = r.signals[modality]
            assert abs(signal.rate - rate) < 0.01 * rate
            np.testing.assert_allclose(signal.data[0], eda(seconds, rate), atol=0.002)

    return check


def _openbci(wanted: str = "EXG Channel 0") -> Callable[[Path], None]:
    names = "Sample Index, EXG Channel 0, EXG Channel 1, Other, Other, Other, Timestamp, Timestamp (Formatted)"
    head = ["%OpenBCI Raw EXG Data", "%Number of channels = 2", "%Sample Rate = 250 Hz", "%Board = Cyton", names]
    rows = [f"{k % 256}.0, {v:.4f}, 1.5, 0.0, 192.0, 0.0, {1709298300 + k / 250:.6f}, 2024-03-01 14:05:00.000"
            for k, v in enumerate(eda(20, 250))]  # fmt: skip
    return _text(head, rows, {"eeg": {"channels": {"Fp1": wanted}, "rate": 250, "unit": "uV"}})


BIOPAC = [
    "lab.acq",
    "8 msec/sample",
    "2 channels",
    "EDA (0 - 35 Hz)",
    "microsiemens",
    "PPG",
    "Volts",
    "min,CH1,CH2",
    ",2500,2500",
]


def _biopac(gap: str) -> Callable[[Path], None]:
    head = [line.replace(",", gap) for line in BIOPAC]
    rows = [gap.join([f"{k / 125 / 60:.7f}", f"{v:.5f}", "0.1"]) for k, v in enumerate(eda(20, 125))]
    return _text(head, rows, {"eda": {"channels": {"eda": "CH1"}, "rate": 125, "unit": "uS", "skip_lines": 7}})


def _skipped(lines: int, junk: Sequence[str], stated: int | None = None) -> Callable[[Path], None]:
    own: dict[str, Any] = {"channels": {"eda": "EDA"}, "time": "time", "unit": "uS"}
    own |= {"skip_lines": stated} if stated is not None else {}
    rows = table({"time": [f"{k / 4:g}" for k in range(80)], "EDA": np.round(eda(20, 4), 4)}).splitlines()
    return _text(list(junk)[:lines], rows, {"eda": own}, "csv")


def _emotiv(root: Path) -> None:
    head = ["title:rec,start timestamp:1709298300.0,stop timestamp:1709298320.0,headset type:EPOCX,samples:2560",
            "Timestamp,EEG.Counter,EEG.AF3,EEG.F7,EEG.MarkerHardware"]  # fmt: skip
    rows = [f"{1709298300 + k / 128:.6f},{k % 128},{v:.4f},4100.0,0" for k, v in enumerate(eda(20, 128))]
    own = {"channels": ["EEG.AF3"], "time": "Timestamp", "unit": "uV", "skip_lines": 1}
    _text(head, rows, {"eeg": own}, "csv")(root)


def _polar_flow(root: Path) -> None:
    head = ["Name,Sport,Date,Start time,Duration,HR max,Average heart rate (bpm)",
            "A B,OTHER,01-03-2024,14:05:00,00:00:20,190,80", "Sample rate,Time,HR (bpm),Speed (km/h)"]  # fmt: skip
    rows = [f"{1 if k == 0 else ''},00:00:{k:02d},{70 + k}," for k in range(20)]
    own = {"channels": {"hr": "HR (bpm)"}, "rate": 1, "unit": "bpm", "skip_lines": 2}
    _text(head, rows, {"hr": own}, "csv")(root)


def _beats(found: Recordings) -> None:
    for r in found.values():
        np.testing.assert_array_equal(r.signals["hr"].data[0], 70 + np.arange(20))
        assert r.signals["hr"].rate == 1


def _by_keys(root: Path) -> None:
    """Ratings of films whose files are named after people with an underscore."""
    clips(root, None, rated().replace("P0", "A_0"))
    for path in sorted(root.glob("P0*")):
        path.rename(path.with_name(f"A_{path.name[1:]}"))
    from .files import EDA, describe

    describe(root, {"files": "{participant}_clip{clip}.csv", "stimulus": "{clip}", "signals": {"eda": EDA}},
             labels={"arousal": AROUSAL}, targets={"arousal": HIGH})  # fmt: skip


def _three_people(found: Recordings) -> None:
    assert {r.subject for r in found.values()} == {"A_01", "A_02", "A_03"}
    assert all("arousal" in r.labels for r in found.values())


CASES = (
    Case("EDF in S", _in_unit("S", 1e-6, -1e-6, 4e-5), _micro, ["S"]),
    Case("EDF in nS", _in_unit("nS", 1e3, -1000, 40000), _micro, ["nS|look like"]),
    Case("EDF in mS", _in_unit("mS", 1e-3, -1e-3, 4e-2), _micro, ["mS|look like"]),
    Case("EDF in microsiemens with a Latin sign", _in_unit("\xb5S", 1, -1, 40), _micro),
    Case("EDF in umho", _in_unit("umho", 1, -1, 40), _micro, ["umho"]),
    Case("EDF in kOhm", _edf([Wave("EDA", "kOhm", 1000 / eda(60, 20), 20, 0, 2000)]), must_be_said, ["kOhm|look"]),
    Case("EDF in V", _in_unit("V", 1, -1, 40), must_be_said, [r"\bV\b|`V`"]),
    Case("EDF without a unit", _in_unit("", 1, -1, 40), _micro),
    Case("EDF in uS, nothing stated", _in_unit("uS", 1, -1, 40, None), _micro, ["unit"]),
    Case("EDF in nS, stated nS", _in_unit("nS", 1e3, -1000, 40000, "nS"), _micro, ["nS|look like|unit"]),
    Case("BDF in nS", _in_unit("nS", 1e3, -1000, 40000, bdf=True), _micro, ["nS|look like"]),
    Case("EDF in degC", _degrees("degC", "degC"), _celsius),
    Case("EDF in C", _degrees("C", "degC"), _celsius),
    Case("EDF in degF", _degrees("degF", "degC", fahrenheit=True), _celsius, ["degF|F|look like"]),
    Case(
        "EDF in K",
        _edf(
            [Wave("TEMP", "K", 306 + np.arange(1200) / 1200, 20, 200, 400)],
            modality="temp",
            unit="degC",
            channel="TEMP",
        ),
        must_be_said,
        ["K|look like"],
    ),
    Case("an unused channel without a range", _beside(Wave("AUX7", "uV", NOTHING, 20, 0, 0)), _micro),
    Case("an unused channel without a range, in BDF", _beside(Wave("AUX7", "uV", NOTHING, 20, 0, 0), bdf=True), _micro),
    Case(
        "an unused channel whose range is a text",
        _beside(Wave("AUX7", "uV", NOTHING, 20, -3, 3), change=_first_text(b"-3", b"n/a")),
        _micro,
    ),
    Case(
        "an unused channel of an infinite range",
        _beside(Wave("AUX7", "uV", NOTHING, 20, -3, 3), change=_first_text(b"-3", b"-inf")),
        _micro,
    ),
    Case("an unused channel without a name", _beside(Wave("", "uV", NOTHING)), _micro),
    Case("unused channels of another rate", _beside(Wave("ECG", "mV", np.zeros(6000), 100)), _micro),
    Case("the wanted channel has no range", _edf([Wave("EDA", "uS", eda(60, 20), 20, 0, 0)]), must_be_said, ["EDA"]),
    Case("the wanted channel is there twice", _beside(Wave("EDA", "uS", NOTHING)), must_be_said, ["EDA"]),
    Case("Muse with rows of events", _muse([300, 301, 900, 1500, 2000]), _muse_is_whole),
    Case("Muse with a row of an event in each packet", _muse(list(range(5, 2560, 24))), _muse_is_whole),
    Case("Muse without events", _muse([]), _muse_is_whole),
    Case("OpenBCI with columns of one name", _openbci(), _eda_at(250, modality="eeg")),
    Case("OpenBCI, one of them wanted", _openbci("Other"), must_be_said, ["Other"]),
    Case("BIOPAC text, tabs", _biopac("\t"), _eda_at(125), ["CH1|column|skip_lines|2500"]),
    Case("BIOPAC text, commas", _biopac(","), _eda_at(125), ["CH1|column|skip_lines|2500"]),
    Case("two lines before the names", _skipped(2, ["Device 7", "made by hand"], 2), _eda_at(4)),
    Case(
        "two lines before the names, not stated",
        _skipped(2, ["Device 7", "made by hand"]),
        _eda_at(4),
        ["skip_lines|no column|table"],
    ),
    Case(
        "three lines where two are stated",
        _skipped(3, ["Device 7", "made by", "hand"], 2),
        _eda_at(4),
        ["skip_lines|no column|table"],
    ),
    Case("EmotivPRO", _emotiv, _eda_at(128, modality="eeg")),
    Case("Polar Flow", _polar_flow, _beats),
    Case("people with an underscore", _by_keys, _three_people),
)
