"""Codes of missing values in labels of own recordings."""

import pytest

from embench_plugins.datasets.own.reader import Own

from .own_files import MOOD, SOURCE, column, describe, study, write

MOODS = "who,mood\nA,3\nB,8\nC,99\nD,-99\nE,5\n"


def labelled(root, **more):
    write(root, {**{f"{who}.csv": column(range(1, 41)) for who in "ABCDE"}, "moods.csv": MOODS})
    describe(root, labels={"mood": {**MOOD, **more}})
    reader = Own(root)
    found = {r.id for s in reader.subjects() for r in reader.recordings(s) if r.labels}
    return found, " ".join(finding.what for finding in reader.verify())


@pytest.mark.parametrize("more", [{"missing": [99, -99]}, {"scale": [1, 9]}, {"scale": [1, 9], "missing": [99]}])
def test_codes_are_no_labels(tmp_path, more):
    found, said = labelled(tmp_path, **more)
    assert found == {"A", "B", "E"}
    assert "2 recordings have no label mood: C, D" in said
    assert ("outside the scale" in said) == (-99 not in more.get("missing", ()))


def test_a_code_that_nobody_names_is_told(tmp_path):
    found, said = labelled(tmp_path)
    assert len(found) == 5
    assert "`missing: [99]`" in said
    assert "`missing: [-99]`" in said


def test_a_signal_of_several_rates_is_noted(tmp_path):
    """Nothing is lost by it, but it often means that one device was set wrongly."""
    study(tmp_path)
    for who, rate in (("A", 4), ("B", 8)):
        rows = "\n".join(f"{k / rate},{2 + k % 3}" for k in range(40))
        write(tmp_path, {f"{who}.csv": f"time,EDA\n{rows}\n"})
    timed = {"channels": {"eda": "EDA"}, "time": "time", "unit": "uS"}
    describe(tmp_path, {**SOURCE, "signals": {"eda": timed}})
    told = [finding.what for finding in Own(tmp_path).verify()]
    assert "eda is recorded at several rates: 4, 8 Hz; all are resampled to one" in told
