"""Exports of devices and programs with the lines that these write before the rows, and units in names of columns."""

# ruff: noqa: E501, ISC004, FLY002 (the lines of exports are long)

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .cells import as_written
from .files import CLIPS, RATED, clips, eda, table, write
from .outcome import Case, Recordings, lost, must_be_said

START = 1_709_298_300


def format_metric(
    head: Sequence[str], rows: Sequence[str], signals: dict[str, Any], suffix: str = "txt", **more: Any
) -> Callable[[Path], None]:
    """Clips of one file, whose lines are these."""

    def make(root: Path) -> None:
        source = {"files": f"{{participant:P##}}_clip{{clip}}.{suffix}", "stimulus": "{clip}", "signals": signals}
        clips(root, "\n".join([*head, *rows, ""]), recordings=source, **more)

    return make


def holds(modality: str, rate: float, values: np.ndarray, atol: float = 0.002) -> Callable[[Recordings], None]:
    def check(found: Recordings) -> None:
        assert len(found) == 9
        assert lost(found, modality) == [0] * 9
        for r in found.values():
            signal = r.signals[modality]
            assert abs(signal.rate - rate) < 0.002 * rate, signal.rate
            np.testing.assert_allclose(signal.data[0], values, atol=atol)

    return check


# BIOPAC. `{unit}` of times, then the channels; the number of samples is below the names.


def _biopac(
    *, time: str = "min", gap: str = "\t", named: bool = True, title: bool = True, counts: bool = True,
    step: str = "8 msec/sample", channel: str = "EDA (0 - 35 Hz)", end: str = "", **own: Any,
) -> Callable[[Path], None]:  # fmt: skip
    n = 2500
    size = {"min": 1 / 60, "sec": 1, "milliSec": 1000, "": 0}[time]
    head = [*(["lab.acq"] if title else []), step, "2 channels", "EDA (0 - 35 Hz)", "microsiemens",
            "PPG - Plethysmograph, PPG100C", "Volts"]  # fmt: skip
    first = [time] if time else []
    names = [gap.join([*first, "CH1", "CH2"]) + end]
    names += [gap.join([*([""] if time else []), str(n), str(n)]) + end] if counts else []
    rows = [gap.join([*([f"{k * 0.008 * size:.7f}"] if time else []), f"{v:.5f}", "0.1"]) + end
            for k, v in enumerate(eda(20, 125))]  # fmt: skip
    said: dict[str, Any] = {"channels": {"eda": channel}, "unit": "uS"} | own
    return format_metric([*head, *names] if named else names, rows, {"eda": said})


# OpenBCI.


def _openbci_old(root: Path) -> None:
    """Of the first GUIs: no line of names."""
    head = ["%OpenBCI Raw EEG Data", "%", "%Sample Rate = 250.0 Hz", "%First Column = SampleIndex",
            "%Last Column = Timestamp ",
            "%Other Columns = EEG data in microvolts followed by Accel Data (in G) interleaved with Aux Data"]  # fmt: skip
    rows = [
        f"{k % 256}, {v:.2f}, -59240.19, 0.000, 0.000, 0.000, 18:51:{16 + k / 250:06.3f}"
        for k, v in enumerate(20 * eda(20, 250))
    ]
    format_metric(head, rows, {"eeg": {"channels": {"Fp1": "2"}, "unit": "uV"}})(root)


def _openbci(**own: Any) -> Callable[[Path], None]:
    names = ["Sample Index", *(f"EXG Channel {k}" for k in range(8)), *(f"Accel Channel {k}" for k in range(3)), "Not Used",
             "Digital Channel 0 (D11)", "Digital Channel 1 (D12)", "Digital Channel 2 (D13)", "Digital Channel 3 (D17)",
             "Not Used", "Digital Channel 4 (D18)", "Analog Channel 0", "Analog Channel 1", "Analog Channel 2",
             "Timestamp", "Marker Channel", "Timestamp (Formatted)"]  # fmt: skip
    head = ["%OpenBCI Raw EXG Data", "%Number of channels = 8", "%Sample Rate = 250 Hz",
            "%Board = OpenBCI_GUI$BoardCytonSerial", ", ".join(names)]  # fmt: skip
    rows = [", ".join([f"{k % 256}.0", f"{v:.4f}", *["1.5"] * 7, *["0.0"] * 13, f"{START + k / 250:.6f}", "0.0",
                       f"2024-03-01 14:05:{k / 250:06.3f}"]) for k, v in enumerate(20 * eda(20, 250))]  # fmt: skip
    return format_metric(head, rows, {"eeg": {"channels": {"Fp1": "EXG Channel 0"}, "unit": "uV", **own}})


# Emotiv, Muse.


def _emotiv(**own: Any) -> Callable[[Path], None]:
    head = ["title:rec_EPOCX_1,start timestamp:1709298300.000000,stop timestamp:1709298320.000000,"
            "headset type:EPOCX,headset serial:E2020,headset firmware:930,channels:70,sampling rate:eeg_128;mot_64,"
            "samples:2560,version:2.1.0",
            "Timestamp,OriginalTimestamp,EEG.Counter,EEG.Interpolated,EEG.AF3,EEG.F7,EEG.RawCq,EEG.Battery,"
            "EEG.MarkerHardware,CQ.AF3,CQ.Overall,MOT.Q0,POW.AF3.Theta"]  # fmt: skip
    rows = [f"{START + k / 128:.6f},{START + k / 128 - 0.01:.6f},{k % 128},0,{4000 + v:.4f},4100.0,0,80,0,"
            f"{4 if k % 64 == 0 else ''},{100 if k % 64 == 0 else ''},{0.5 if k % 2 == 0 else ''},{1.2 if k % 16 == 0 else ''}"
            for k, v in enumerate(20 * eda(20, 128))]  # fmt: skip
    return format_metric(head, rows, {"eeg": {"channels": ["EEG.AF3"], "unit": "uV", **own}}, "csv")


def _emotiv_old(root: Path) -> None:
    head = ["title:Test, recorded:11.07.18 13.40.13, sampling:128, subject:, labels:COUNTER INTERPOLATED AF3 F7 F3, "
            "chan:5, units:emotiv"]  # fmt: skip
    rows = [f"{k % 128}, 0, {4000 + v:.4f}, 4100.5, 4100.5" for k, v in enumerate(20 * eda(20, 128))]
    format_metric(head, rows, {"eeg": {"channels": ["AF3"], "unit": "uV"}}, "csv")(root)


MUSE = ("TimeStamp,Delta_TP9,Delta_AF7,Delta_AF8,Delta_TP10,Theta_TP9,Theta_AF7,Theta_AF8,Theta_TP10,Alpha_TP9,Alpha_AF7,"
        "Alpha_AF8,Alpha_TP10,Beta_TP9,Beta_AF7,Beta_AF8,Beta_TP10,Gamma_TP9,Gamma_AF7,Gamma_AF8,Gamma_TP10,RAW_TP9,RAW_AF7,"
        "RAW_AF8,RAW_TP10,AUX_RIGHT,AUX_LEFT,Accelerometer_X,Accelerometer_Y,Accelerometer_Z,Gyro_X,Gyro_Y,Gyro_Z,HeadBandOn,"
        "HSI_TP9,HSI_AF7,HSI_AF8,HSI_TP10,Battery,Elements")  # fmt: skip


def _muse(root: Path) -> None:
    """Mind Monitor at a constant 256 Hz, with stamps of packets and rows of events."""
    lines = ["2024-03-01 14:05:00.422,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,/muse/event/connected MuseS-84AC"]
    for k, v in enumerate(20 * eda(20, 256)):
        ms = 592 + round(1000 * (k // 12 * 12) / 256)
        stamp = f"2024-03-01 14:05:{ms // 1000:02d}.{ms % 1000:03d}"
        if k % 500 == 77:
            lines.append(f"{stamp}{',' * 39}/muse/elements/blink")
        cells = [
            *["0.498"] * 20,
            f"{v:.4f}",
            *["800.1"] * 3,
            "",
            "",
            "0.1",
            "0.2",
            "0.9",
            "1",
            "1",
            "1",
            "1",
            *["1"] * 4,
            "80",
            "",
        ]
        lines.append(f"{stamp},{','.join(cells)}")
    own = {"channels": {"TP9": "RAW_TP9"}, "time": "TimeStamp", "unit": "uV"}
    format_metric([MUSE], lines, {"eeg": own}, "csv")(root)


# Polar.


def _sensor_logger(time: str) -> Callable[[Path], None]:
    rows = [f"2024-03-01T14:05:{k / 130:06.3f};{762_613_500_000_000_000 + round(k * 1e9 / 130)};{k * 1000 / 130:.1f};{1000 * v:.0f}"
            for k, v in enumerate(eda(20, 130))]  # fmt: skip
    head = ["Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV] "]
    unit = {"time_unit": "ms"} if "[ms]" in time else {}
    return format_metric(head, rows, {"ecg": {"channels": {"ecg": "ecg [uV]"}, "time": time, **unit}})


def _polar_acc(root: Path) -> None:
    rows = [f"2024-03-01T14:05:{k / 50:06.3f};{599_616_065_136_175_104 + k * 20_000_000};{100 * v:.0f};63;425"
            for k, v in enumerate(eda(20, 50))]  # fmt: skip
    head = ["Phone timestamp;sensor timestamp [ns];X [mg];Y [mg];Z [mg]"]
    own = {"channels": {a: f"{a.upper()} [mg]" for a in "xyz"}, "time": "sensor timestamp [ns]", "unit": "g"}
    format_metric(head, rows, {"acc": own})(root)


FLOW = ["Name,Sport,Date,Start time,Duration,Total distance (km),Average heart rate (bpm),Average speed (km/h),"
        "Max speed (km/h),Average pace (min/km),Max pace (min/km),Calories,Fat percentage of calories(%),Average cadence (rpm),"
        "Average stride length (cm),Running index,Training load,Ascent (m),Descent (m),Notes,Height (cm),Weight (kg),HR max,"
        "HR sit,VO2max,",
        "A B,OTHER_INDOOR,01-03-2024,14:05:00,00:01:00,,112,,,,,80,26,,,,,,,,170.0,60.0,190,55,50,",
        "Sample rate,Time,HR (bpm),Speed (km/h),Pace (min/km),Cadence,Altitude (m),Stride length (m),Distances (m),"
        "Temperatures (C),Power (W),"]  # fmt: skip


def _flow(lines: Sequence[str] = FLOW, **own: Any) -> Callable[[Path], None]:
    rows = [f"{1 if k == 0 else ''},00:00:{k:02d},{70 + k},,,,,,,,," for k in range(60)]
    return format_metric(lines, rows, {"hr": {"channels": {"hr": "HR (bpm)"}, "unit": "bpm", **own}}, "csv")


# Movisens, Shimmer, Qualtrics.


def _movisens(*, values: bool) -> Callable[[Path], None]:
    kind = ('<valuesEntry id="eda.csv" sampleRate="64" unit="µS" contentClass="EDA">' if values else
            '<signalEntry id="eda.csv" dataType="double" sampleRate="64" unit="µS" contentClass="EDA">')  # fmt: skip
    xml = ('<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<unisens duration="60" measurementId="P" '
           'timestampStart="2024-03-01T14:05:00.000" version="2.0" xmlns="http://www.unisens.org/unisens2.0">\n'
           f'{kind}<csvFileFormat decimalSeparator="." separator=";"/><channel name="eda"/><channel name="skt"/>'
           f"</{kind[1:12]}></unisens>\n")  # fmt: skip

    def make(root: Path) -> None:
        rate = 4 if values else 64
        rows = [f"{16 * k};{v:.4f};33.5" if values else f"{v:.4f};33.5" for k, v in enumerate(eda(60, rate))]
        for who in ("P01", "P02", "P03"):
            write(root, {f"{who}/{k}/{name}": text for k in (1, 2, 3)
                         for name, text in (("eda.csv", "\n".join([*rows, ""])), ("unisens.xml", xml))})  # fmt: skip
        own = {"channels": {"eda": "eda"}} | ({"time": "time"} if values else {})
        source = {"files": "{participant}/{clip}/eda.csv", "stimulus": "{clip}", "signals": {"eda": own}}
        clips(root, "x\n1\n", recordings=source)
        for path in root.glob("*clip*"):
            path.unlink()

    return make


def _shimmer(
    first: str = '"sep=\\t"', *, third: bool = True, channel: str = "GSR_Skin_Conductance", unit: str | None = "uS"
):
    names = [
        "Timestamp_FormattedUnix",
        "Accel_LN_X",
        "GSR_Range",
        "GSR_Skin_Conductance",
        "GSR_Skin_Resistance",
        "PPG_A13",
    ]
    head = [first, "\t".join([*(f"Shimmer_8CF5_{name}_CAL" for name in names), ""])]
    head += ["\t".join([*["CAL"] * 6, ""])] if third else []
    head += ["\t".join(["yyyy/mm/dd hh:mm:ss.000", "m/(s^2)", "no_units", "uS", "kOhms", "mV", ""])]
    rows = ["\t".join([f"2024/03/01 14:05:{k / 64:06.3f}", "-0.5", "1.0", f"{v:.5f}", f"{1000 / v:.4f}", "1500.1", ""])
            for k, v in enumerate(eda(20, 64))]  # fmt: skip
    own = {"channels": {"eda": channel}, "time": "Timestamp_FormattedUnix"} | ({"unit": unit} if unit else {})
    return format_metric([first.replace("\\t", "\t"), *head[1:]], rows, {"eda": own}, "csv")


QUALTRICS = (
    "StartDate,EndDate,Status,Progress,Duration (in seconds),Finished,RecordedDate,ResponseId,UserLanguage,code,Q1_1,Q1_2,Q1_3",
    'Start Date,End Date,Response Type,Progress,Duration (in seconds),Finished,Recorded Date,Response ID,User Language,"What is '
    'your code, please?","How excited\nwere you? - clip 1",How excited were you? - clip 2,How excited were you? - clip 3',
    ",".join(f'"{{""ImportId"":""{name}"",""timeZone"":""America/Denver""}}"' for name in (
        "startDate", "endDate", "status", "progress", "duration", "finished", "recordedDate", "_recordId", "userLanguage",
        "QID1_TEXT", "QID2_1", "QID2_2", "QID2_3")),
)  # fmt: skip


def _qualtrics(lines: Sequence[str] = QUALTRICS, gap: str = ",", encoding: str = "utf-8-sig") -> Callable[[Path], None]:
    def make(root: Path) -> None:
        rows = [gap.join(["2024-03-01 10:00:00", "2024-03-01 10:05:00", "IP Address", "100", "300", "True",
                          "2024-03-01 10:05:01", f"R_{n}", "EN", f"P0{n}", *map(str, RATED[n - 1])]) for n in (1, 2, 3)]  # fmt: skip
        head = [line.replace(",", gap) if k == 0 else line for k, line in enumerate(lines)]
        label = {"table": "ratings.csv", "keys": {"participant": "code"}, "column": "Q1_{clip}", "scale": [1, 9]}
        clips(root, None, "\n".join([*head, *rows, ""]).encode(encoding), labels={"arousal": label})

    return make


def _headed(head: str, values: np.ndarray, modality: str = "eda", unit: str | None = None) -> Callable[[Path], None]:
    """A signal whose column has its unit in its name."""

    def make(root: Path) -> None:
        at = [f"{k / 4:g}" for k in range(len(values))]
        own = {"channels": {modality: head}, "time": "time"} | ({"unit": unit} if unit else {})
        clips(
            root,
            table({"time": at, head: [f"{v:.6g}" for v in values]}),
            recordings={**CLIPS, "signals": {modality: own}},
        )

    return make


LEVEL, CELSIUS = eda(60, 4), 33 + np.arange(240) / 240
MICRO, DEGREES = holds("eda", 4, LEVEL), holds("temp", 4, CELSIUS)
BIOPAC_READ, EEG = holds("eda", 125, eda(20, 125)), holds("eeg", 250, 20 * eda(20, 250))
EMOTIV = holds("eeg", 128, 4000 + 20 * eda(20, 128))

CASES = (
    Case("AcqKnowledge text", _biopac(), BIOPAC_READ),
    Case("AcqKnowledge text, commas", _biopac(gap=","), BIOPAC_READ, ["EDA .0"]),
    Case("AcqKnowledge text, seconds", _biopac(time="sec"), BIOPAC_READ),
    Case("AcqKnowledge text, by CH1", _biopac(channel="CH1"), BIOPAC_READ),
    Case("AcqKnowledge text, no time", _biopac(time=""), BIOPAC_READ),
    Case("AcqKnowledge text, no counts", _biopac(time="milliSec", counts=False), BIOPAC_READ),
    Case("AcqKnowledge text, no time and counts", _biopac(time="", counts=False), BIOPAC_READ),
    Case("AcqKnowledge text, no file's name", _biopac(title=False), BIOPAC_READ),
    Case("AcqKnowledge text, tabs at ends", _biopac(end="\t"), BIOPAC_READ),
    Case("AcqKnowledge text, rate beside", _biopac(step="8 msec/sample\tSample rate =\t125Hz"), BIOPAC_READ),
    Case("AcqKnowledge text, its rate stated", _biopac(rate=125), BIOPAC_READ),
    Case("AcqKnowledge text, another rate stated", _biopac(rate=250), must_be_said, ["125 samples"]),
    Case("AcqKnowledge text, unit left to it", _biopac(unit=None), BIOPAC_READ),
    Case("AcqKnowledge text, volts for EDA", _biopac(channel="CH2"), must_be_said, ["Volts|`V`"]),
    Case("AcqKnowledge text, lines skipped", _biopac(named=False, channel="CH1", rate=125), BIOPAC_READ),
    Case("OpenBCI", _openbci(), EEG),
    Case("OpenBCI, its time", _openbci(time="Timestamp"), EEG),
    Case("OpenBCI of the first GUIs", _openbci_old, holds("eeg", 250, 20 * eda(20, 250), 0.006)),
    Case("EmotivPRO export", _emotiv(), EMOTIV),
    Case("EmotivPRO export, its time", _emotiv(time="Timestamp"), EMOTIV),
    Case("EmotivPRO export, another rate", _emotiv(rate=256), must_be_said, ["128 samples"]),
    Case("Emotiv of older programs", _emotiv_old, EMOTIV),
    Case("Mind Monitor", _muse, holds("eeg", 256, 20 * eda(20, 256), 0.3)),
    Case("Polar Sensor Logger, phone", _sensor_logger("Phone timestamp"), holds("ecg", 130, eda(20, 130))),
    Case("Polar Sensor Logger, sensor", _sensor_logger("sensor timestamp [ns]"), holds("ecg", 130, eda(20, 130))),
    Case("Polar Sensor Logger, ms", _sensor_logger("timestamp [ms]"), holds("ecg", 130, eda(20, 130))),
    Case("Polar acceleration", _polar_acc, holds("acc", 50, 0.1 * eda(20, 50), 0.0006)),
    Case("Polar Flow export", _flow(rate=1), holds("hr", 1, 70 + np.arange(60))),
    Case("Polar Flow export, its time", _flow(time="Time"), holds("hr", 1, 70 + np.arange(60))),
    Case("Polar Flow with a blank line", _flow([*FLOW[:2], "", FLOW[2]], rate=1), holds("hr", 1, 70 + np.arange(60))),
    Case("Movisens values", _movisens(values=True), MICRO),
    Case("Movisens signal", _movisens(values=False), holds("eda", 64, eda(60, 64))),
    Case("Consensys with three lines", _shimmer(), holds("eda", 64, eda(20, 64))),
    Case("Consensys with two lines", _shimmer(third=False), holds("eda", 64, eda(20, 64))),
    Case("Consensys without quotes", _shimmer("sep=\\t"), holds("eda", 64, eda(20, 64))),
    Case("Consensys, unit left to it", _shimmer(unit=None), holds("eda", 64, eda(20, 64))),
    Case("Consensys, resistance as uS", _shimmer(channel="GSR_Skin_Resistance"), must_be_said, ["kOhm"]),
    Case("Consensys, resistance", _shimmer(channel="GSR_Skin_Resistance", unit=None), must_be_said, ["kOhm"]),
    Case("Qualtrics", _qualtrics(), as_written),
    Case(
        "Qualtrics in UTF-16 with tabs",
        _qualtrics(
            [QUALTRICS[0], *(q.replace('","', '"\t"').replace("},{", "}\t{") for q in QUALTRICS[2:])], "\t", "utf-16"
        ),
        as_written,
        ["ImportId|number|table"],
    ),
    Case("Qualtrics without what identifies questions", _qualtrics(QUALTRICS[:2]), as_written, ["ratings.csv"]),
    Case("EDA (uS)", _headed("EDA (uS)", LEVEL, unit="uS"), MICRO),
    Case("EDA (uS), unit left to it", _headed("EDA (uS)", LEVEL), MICRO),
    Case("EDA [µS], unit left to it", _headed("EDA [µS]", LEVEL), MICRO),
    Case("EDA_uS, unit left to it", _headed("EDA_uS", LEVEL), MICRO),
    Case("EDA (nS)", _headed("EDA (nS)", 1000 * LEVEL), MICRO),
    Case("EDA (nS), stated uS", _headed("EDA (nS)", 1000 * LEVEL, unit="uS"), MICRO, ["nS"]),
    Case("EDA in microsiemens", _headed("EDA (microsiemens)", LEVEL), MICRO),
    Case("GSR [kOhm]", _headed("GSR [kOhm]", 1000 / LEVEL), must_be_said, ["kOhm"]),
    Case("GSR [kOhm], stated uS", _headed("GSR [kOhm]", 1000 / LEVEL, unit="uS"), must_be_said, ["kOhm"]),
    Case("EDA without a unit", _headed("EDA", LEVEL), must_be_said, ["`unit` of eda is missing"]),
    Case("EDA (0 - 35 Hz)", _headed("EDA (0 - 35 Hz)", LEVEL, unit="uS"), MICRO),
    Case("Temp [°C], unit left to it", _headed("Temp [°C]", CELSIUS, "temp"), DEGREES),
    Case("Temp (C), stated", _headed("Temp (C)", CELSIUS, "temp", "degC"), DEGREES),
    Case("Temp [°F], unit left to it", _headed("Temp [°F]", CELSIUS * 1.8 + 32, "temp"), DEGREES, ["degF|°F"]),
    Case("Temp [°F], stated degC", _headed("Temp [°F]", CELSIUS * 1.8 + 32, "temp", "degC"), DEGREES, ["degF|°F"]),
    Case("ECG (uV), stated mV", _headed("ECG (uV)", 1000 * LEVEL, "ecg", "mV"), holds("ecg", 4, LEVEL), ["uV"]),
    Case("one column of a file, a word in brackets", _headed("EDA (left)", LEVEL, unit="uS"), MICRO),
)
