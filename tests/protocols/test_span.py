"""Ids of units: made in one place, and read again there."""

import pytest

from embench.errors import DataError
from embench.protocols import UnitId


@pytest.mark.parametrize("recording", ["p1_3", "day 2:morning-walk"])
def test_an_id_says_its_recording_and_its_times(recording):
    unit = str(UnitId.from_seconds(recording, 9.9999999, 20.5))
    assert unit == f"{recording}:10000-20500"
    assert UnitId.read(unit) == (recording, 10000, 20500)


@pytest.mark.parametrize(
    "unit", ["", "S02", "S02/other", "S02:0", "S02:0-", "S02:a-b", "S02:0-1-2", f"S02:0-{'9' * 5000}"]
)
def test_another_text_is_no_id(unit):
    with pytest.raises(DataError, match="is not the id of a unit"):
        UnitId.read(unit)
