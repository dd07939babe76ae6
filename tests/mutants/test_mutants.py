"""The lists of faults fit the code."""

from .faults import load


def test_every_fault_can_be_planted():
    faults = {fault.name: fault for fault in load()}
    assert len(faults) == len(load()) >= 60
    assert all(fault.line() for fault in faults.values())
