"""The lists of faults fit the code, and a sample of them is caught; `make mutants` plants all."""

import pytest
import yaml

from .__main__ import CAUGHT, catches
from .faults import load

SAMPLE = ("labels-off-by-one-unit", "a-control-trains-on-test-units", "an-edited-ledger-passes")


def caught():
    return yaml.safe_load(CAUGHT.read_text(encoding="utf-8"))


def test_every_fault_can_be_planted():
    faults = {fault.name: fault for fault in load()}
    assert len(faults) == len(load()) >= 60
    assert all(fault.line() for fault in faults.values())
    assert set(caught()) == set(faults)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_a_fault_is_caught_by_the_test_on_record(name):
    (fault,) = (fault for fault in load() if fault.name == name)
    assert catches(fault, [caught()[name]]) == caught()[name]


@pytest.mark.slow
def test_tests_pass_where_nothing_is_planted():
    (fault,) = (fault for fault in load() if fault.name == SAMPLE[0])
    harmless = type(fault)(fault.name, fault.file, fault.old, fault.old)
    assert catches(harmless, [caught()[fault.name]]) is None
