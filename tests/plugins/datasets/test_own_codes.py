"""Codes of missing values in labels of own recordings."""

import pytest

from embench_plugins.datasets.own.reader import Own

from .own_files import MOOD, column, describe, write

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
