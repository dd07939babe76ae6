"""Studies in the forms that are known to go wrong: the right value, or an error or warning that names the fault."""

import pytest
from tests.sample import WHOLE

from embench_plugins.datasets.own.reader import Own

from . import cells, formats, markers, rates, times
from .fuzz import fuzz
from .outcome import Case, judge
from .studies import STUDIES

CASES: tuple[Case, ...] = (*markers.CASES, *times.CASES, *rates.CASES, *cells.CASES, *formats.CASES)


NOT_YET: frozenset[str] = frozenset(
    {
        "lost end",
        "lost end, in XDF",
        "lost end of the last",
        "lost start",
        "end before all starts",
        "restarted film",
        "restarted film whose end is there, too",
        "start twice at once",
        "end twice",
        "two starts swapped with ends",
        "starts of two films at once",
        "a start in the last film's length",
        "rows that overlap",
        "a row twice",
        "a row twice with two ratings",
        "a film inside another",
        "an hour that comes twice",
        "an hour that comes twice, as times of day",
        "an hour that comes twice, German dates",
        "an hour that comes twice, moments",
        "an hour that comes twice, trials",
        "New York's autumn",
        "Lord Howe's half hour",
        "an hour that is not there",
        "an hour that is not there, as a time of day",
        "a signal in the hour that comes twice",
        "ratings over night",
        "ratings over night, before and after noon",
        "ratings over night in New York",
        "a stage over midnight",
        "films over midnight",
        "a time of day that comes twice",
        "a time of day outside",
        "dates outside",
        "seconds outside",
        "a stage outside",
        "a stage that is half outside",
        "another time zone",
        "files that begin 40 s apart",
        "files that begin 3 s apart",
        "EDA begins later",
        "files that begin 40 s apart, with unix milliseconds",
        "unix milliseconds",
        "unix microseconds",
        "unix microseconds said to be milliseconds",
        "unix nanoseconds",
        "unix seconds said to be milliseconds",
        "unix milliseconds with decimals",
        "milliseconds from zero, not stated",
        "130 Hz in whole ms with a gap",
        "130 Hz in whole ms with a gap, stated",
        "130 Hz in whole ms with two gaps",
        "51.2 Hz in whole ms with a gap",
        "51.2 Hz in whole ms with a gap, stated",
        "64 Hz in whole ms with a gap",
        "128 Hz in whole ms with a gap",
        "256 Hz in whole ms with a gap",
        "512 Hz in whole ms with a gap",
        "30 Hz in whole ms with a gap",
        "a gap that is not a whole number of samples",
        "a rate that changes",
        "codes that differ in case",
        "classes that differ in case",
        "classes that differ by a space",
        "classes that differ by leading zeros",
        "classes that differ by an ending",
        "codes that differ in an umlaut's case",
        "classes of files that differ in case",
        "a film called NA",
        "a film called None",
        "a film called null",
        "a film called nan",
        "a film called -",
        "a film called n/a",
        "a film called .",
        "99 and -99 off the scale",
        "999 and -1 off the scale",
        "88 and 0 off the scale",
        "98.0 and 1e3 off the scale",
        "99 off the scale of trials",
        "99 off the scale of a wide table",
        "99 without a scale",
        "-9999 in PPG",
        "-1000 in EEG",
        "65535 in PPG",
        "-1 in EDA",
        "commas for thousands, tabs",
        "commas for thousands alone, tabs",
        "commas for thousands, semicolons",
        "points for thousands, semicolons",
        "UTF-16",
        "CR",
        "semicolons, decimal commas, UTF-16, CRLF",
        "names in cp1252",
        "names in UTF-16",
        "an Excel sheet",
        "an Excel book of two sheets",
        "equal names of columns that are not wanted",
        "Muse with rows of events",
        "Muse with a row of an event in each packet",
        "Muse without events",
        "OpenBCI with columns of one name",
        "two lines before the names",
        "EmotivPRO",
        "Polar Flow",
    }
)
"""Cases that are not repaired."""


REPORTED = frozenset({
    "codes that differ in case", "an hour that comes twice", "EDF in S", "a start of less than a second",
    "an unused channel without a range", "a film called NA", "lost end", "-9999 in PPG", "Muse with rows of events",
    "rates that differ between people", "OpenBCI with columns of one name", "ratings over night",
    "130 Hz in whole ms with a gap", "99 and -99 off the scale", "commas for thousands, tabs",
    "files that begin 40 s apart", "unix milliseconds", "numeric markers", "nominal 32 Hz, stamps of 30",
    "names in cp1252", "UTF-16", "a row twice",
})  # fmt: skip
"""Those of which people have reported that they go wrong somewhere; the others vary them, and are tried with all slow
tests."""


def cases():
    for case in CASES:
        marks = [pytest.mark.xfail(strict=False)] if case.name in NOT_YET else []
        marks += [] if case.name in REPORTED else [pytest.mark.slow]
        yield pytest.param(case, id=case.name, marks=marks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", cases())
def test_a_study_is_read_rightly_or_its_fault_is_named(case, tmp_path):
    judge(case, tmp_path)


@pytest.mark.parametrize("name", [name for name in STUDIES if "layout" not in name][:15])
def test_a_study_that_is_mutated_is_right_before(name, tmp_path):
    STUDIES[name](tmp_path)
    assert [finding for finding in Own(tmp_path).verify() if finding.severity != "note"] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_mutated_study_is_read_as_it_was_or_its_fault_is_named():
    """`make fuzz` tries 300."""
    outcomes = list(fuzz(range(300 if WHOLE else 20)))
    assert [f"SEED={o.seed} {o.done}: {o.fault}" for o in outcomes if o.fault] == []
    assert {o.how for o in outcomes} == {"read", "told", "refused"}
