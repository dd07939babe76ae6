"""Studies in the forms that are known to go wrong: the right value, or an error or warning that names the fault."""

import pytest
from tests.sample import WHOLE, drawn, proof

from embench_plugins.datasets.own.reader import Own

from . import cells, exports, formats, heads, markers, rates, times
from .fuzz import fuzz
from .outcome import Case, judge
from .studies import STUDIES

CASES: tuple[Case, ...] = (
    *markers.CASES,
    *times.CASES,
    *rates.CASES,
    *cells.CASES,
    *heads.CASES,
    *formats.CASES,
    *exports.CASES,
)


REPORTED = frozenset({
    "codes that differ in case", "an hour that comes twice", "EDF in S", "a start of less than a second",
    "an unused channel without a range", "a film called NA", "lost end", "-9999 in PPG", "Muse with rows of events",
    "rates that differ between people", "OpenBCI with columns of one name", "ratings over night",
    "130 Hz in whole ms with a gap", "99 and -99 off the scale", "commas for thousands, tabs",
    "files that begin 40 s apart", "unix milliseconds", "numeric markers", "nominal 32 Hz, stamps of 30",
    "names in cp1252", "UTF-16", "a row twice",
})  # fmt: skip
"""Those of which people have reported that they go wrong somewhere; the others vary them."""
VARIED = drawn(case.name for case in CASES if case.name not in REPORTED)
LATER = frozenset(() if WHOLE else VARIED[len(VARIED) // 2 :])
"""Those that are tried for another state of the code; `make fuzz` tries all."""


def cases():
    for case in CASES:
        marks = [] if case.name in REPORTED else [pytest.mark.slow]
        yield pytest.param(case, id=case.name, marks=[*marks, proof] if case.name in LATER else marks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", list(cases()))
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
