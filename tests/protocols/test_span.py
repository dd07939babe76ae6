"""Ids of units: made in one place, and read again there."""

import pytest

from embench.protocols import UnitId


@pytest.mark.parametrize("recording", ["p1_3", "day 2:morning-walk"])
def test_an_id_says_its_recording_and_its_times(recording):
    unit = str(UnitId.of(recording, 9.9999999, 20.5))
    assert unit == f"{recording}:10000-20500"
    assert UnitId.read(unit) == (recording, 10000, 20500)
