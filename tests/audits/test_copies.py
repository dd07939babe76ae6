"""Copies of signals are told from signals that are alike."""

import os
from pathlib import Path

import pytest

from embench.audits.checks.copies import find_matches
from embench.data import find
from embench.protocols import load_protocol

DATA = os.environ.get("EMBENCH_TEST_DATA")


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA does not say where real data are")
def test_pulses_of_two_people_are_no_copies_though_some_align_by_chance():
    """Of 22 people, two pairs had three of twelve windows of many songs that aligned with .53 and .55."""
    store = find.prepared("hku956", Path(DATA), load_protocol("subject-independent-v2"))
    compared, found = find_matches(store, None, ["ppg"], {"ppg": 64.0})
    assert compared["ppg"] > 2000
    assert found == []
