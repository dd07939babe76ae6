"""Trials by channels of triggers: BioSemi's status, channels of EDF and XDF files, columns of tables."""

from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Track
from embench_plugins.datasets.formats.notes import find_triggers
from embench_plugins.datasets.own.reader import Own

from .edf_files import write_edf_plus
from .own_files import write_yaml
from .xdf_files import XdfStream, write_streams

RATE = 32
MARKERS = {"11": "joy", "12": "fear"}
SHOWN = [("joy", 10.0, 30.0), ("fear", 50.0, 70.0)]


def codes(*changes, seconds=90, idle=0):
    """A channel that has a code from a second on, to another second."""
    found = np.full(seconds * RATE, idle)
    for first, last, code in changes:
        found[round(first * RATE) : round(last * RATE)] = code
    return found


PULSES = codes((10, 10.5, 11), (30, 30.5, 99), (50, 50.5, 12), (70, 70.5, 99))
HELD = codes((10, 30, 11), (30, 50, 99), (50, 70, 12), (70, 90, 99))
RAMP = 1 + np.arange(90 * RATE) / RATE / 10


def trials(root, suffix, **changes):
    """What was shown and when, as the ramp says it, of the study in a folder."""
    asked = {"markers": MARKERS, "until": "99", **changes}
    eda = {"channels": {"eda": "EDA"}, "unit": "uS", **({"rate": RATE} if suffix == ".csv" else {})}
    write_yaml(root / "dataset.yaml", {
        "name": "a", "title": "a", "citation": "a", "licence": "a", "mains_hz": 50, "longest_s": 60,
        "fixed_order": False, "labels_public": "no",
        "recordings": [{"files": "{participant}" + suffix, "signals": {"eda": eda}, "trials": asked}],
        "labels": {"shown": {"file": "stimulus", "classes": ["joy", "fear"]}},
        "targets": {"shown": {"label": "shown", "kind": "binary", "positive": ["joy"], "negative": ["fear"]}},
    })  # fmt: skip
    found = []
    for recording in Own(root).recordings("P1"):
        signal = recording.signals["eda"]
        begin = 10 * (float(signal.data[0, 0]) - 1)
        found.append((recording.stimulus, round(begin, 1), round(begin + signal.duration_s, 1)))
    return found


@pytest.mark.parametrize("values", [PULSES, HELD, PULSES + 0xFF00, PULSES + (1 << 16) + (1 << 20), PULSES - (1 << 23)])
@pytest.mark.parametrize("asked", [{}, {"channel": "Status"}])
def test_the_status_of_biosemi_has_its_codes_in_the_lower_16_bits(tmp_path, values, asked):
    """Above them are the device's own: the range of its electrodes, its battery; pins that are not connected are on."""
    write_edf_plus(tmp_path / "P1.bdf", {"EDA": RAMP, "Status": values}, kind="", counts=["Status"])
    assert trials(tmp_path, ".bdf", **asked) == SHOWN


@pytest.mark.parametrize("values", [PULSES, HELD])
def test_a_channel_of_edf_is_asked_for_by_its_name(tmp_path, values):
    write_edf_plus(tmp_path / "P1.edf", {"EDA": RAMP, "TRIG": values})
    assert trials(tmp_path, ".edf", channel="TRIG") == SHOWN
    with pytest.raises(DataError, match=r"no channel `Status` of trials[^,]*, line 16\n  expected: one of EDA, TRIG"):
        trials(tmp_path, ".edf", channel="Status")
    with pytest.raises(DataError, match="channel EDA is not one of triggers: numbers that are not whole"):
        trials(tmp_path, ".edf", channel="EDA")


@pytest.mark.parametrize("cell", ["{:g}", "{:.1f}"])
@pytest.mark.parametrize("empty", [False, True])
def test_a_column_beside_the_signals_holds_codes(tmp_path, cell, empty):
    shown = [" " if empty and not code else cell.format(code) for code in PULSES]
    rows = [f"{value:.5f},{code.strip()}" for value, code in zip(RAMP, shown, strict=True)]
    (tmp_path / "P1.csv").write_text("EDA,code\n" + "\n".join(rows) + "\n")
    assert trials(tmp_path, ".csv", channel="code") == SHOWN


def test_of_two_streams_of_markers_one_is_named(tmp_path):
    at = 5000 + np.arange(90 * RATE) / RATE
    signal = XdfStream("box", RATE, at, RAMP[:, None])
    said = [5010.0, 5030.0, 5050.0, 5070.0]
    rows = np.array([[11], [99], [12], [99]])
    marks = [
        XdfStream(name, 0, np.array(said) + late, rows, (("", ""),), "int32")
        for name, late in (("task", 0), ("eyes", 5))
    ]
    write_streams(tmp_path / "P1.xdf", signal, *marks)
    with pytest.raises(DataError, match=r"in 2 streams of P1\.xdf: task, eyes") as caught:
        trials(tmp_path, ".xdf")
    assert "channel: task" in (caught.value.hint or "")
    assert trials(tmp_path, ".xdf", channel="task") == SHOWN


def test_markers_that_are_not_there_are_told_with_those_that_are(tmp_path):
    write_edf_plus(tmp_path / "P1.edf", {"EDA": RAMP}, annotations=[(10, "S 11"), (30, "S 99")])
    with pytest.raises(DataError, match=r"no marker in P1\.edf begins a trial") as caught:
        trials(tmp_path, ".edf")
    assert "annotations: `S 11`, `S 99`" in (caught.value.expected or "")
    with pytest.raises(DataError, match=r"no marker in P1\.edf ends a trial"):
        trials(tmp_path, ".edf", markers={"S 11": "joy", "S 12": "fear"})


def marks(values, rate=512.0):
    values = np.asarray(values, np.float64)
    track = Track("TRIG", rate, len(values), None, lambda first, last: values[first:last])
    return [(round(at * rate), text) for at, text in find_triggers(Path("a.edf"), track)]


def test_lines_that_switch_one_after_the_other_are_one_code():
    quiet = [0] * 50
    assert marks([*quiet, 3, 11, 11, 11, 8, 0, *quiet]) == [(51, "11")]
    assert marks([*quiet, 11, 0, *quiet]) == [(50, "11")]
    assert marks([*quiet, 3, 11, 11, 0, *quiet], rate=32.0) == [(50, "3"), (51, "11")]


def test_lost_samples_begin_nothing():
    assert marks([0] * 20 + [11] * 20 + [np.nan] * 5 + [11] * 20 + [0] * 20) == [(20, "11")]
