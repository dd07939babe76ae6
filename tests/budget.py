"""Which quick tests take more processor time than a quick test may.

They are listed at the end, and fail nothing: a core is slower beside other work, and on another machine.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

LIMIT_S = 1.5
"""CPU seconds of a quick test, with the fixtures that it is the first to ask for and the processes it waits for."""

_spent = pytest.StashKey[dict[str, float]]()
_over: dict[str, dict[str, float]] = {}


@contextmanager
def _measured(item: pytest.Item, phase: str) -> Iterator[None]:
    before = os.times()
    yield
    spent, now = item.stash.setdefault(_spent, {}), os.times()
    spent[phase] = now.user + now.system - before.user - before.system
    processes = now.children_user + now.children_system - before.children_user - before.children_system
    spent["processes"] = spent.get("processes", 0.0) + processes


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    with _measured(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    with _measured(item, "call"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    with _measured(item, "teardown"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """What a test took goes with its last report, from a worker too."""
    report = yield
    if call.when == "teardown":
        report.cpu_s = item.stash.get(_spent, {})
    return report


def pytest_runtest_logreport(report):
    cpu_s = getattr(report, "cpu_s", {})
    if sum(cpu_s.values()) > LIMIT_S and "slow" not in report.keywords:
        _over[report.nodeid] = cpu_s


def pytest_terminal_summary(terminalreporter):
    if _over:
        terminalreporter.section(f"quick tests of more than {LIMIT_S:g} CPU s: make them quicker, or slow tests")
    for test, cpu_s in sorted(_over.items(), key=lambda item: -sum(item[1].values())):
        where = ", ".join(f"{phase} {value:.1f}" for phase, value in cpu_s.items() if value >= 0.05)
        terminalreporter.line(f"{sum(cpu_s.values()):.1f} ({where}) {test}")
