import functools
import gc
import importlib
import os
import shutil
import sys
from pathlib import Path

import pytest
import typer

from embench import registry
from embench.system import locked

from .budget import (
    pytest_runtest_call,
    pytest_runtest_logreport,
    pytest_runtest_makereport,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_terminal_summary,
)
from .packages import installing as installer

__all__ = [
    "pytest_runtest_call", "pytest_runtest_logreport", "pytest_runtest_makereport", "pytest_runtest_setup",
    "pytest_runtest_teardown", "pytest_terminal_summary",
]  # fmt: skip
"""Hooks of `budget.py`."""

_PACKAGES = (
    "embench_acme", "embench_broken", "embench_mine", "embench_optics", "embench_other", "embench_faulty",
    "embench_file_", "acme_space", "embench_rocket", "embench_acq_films", "embench_lab_notebook",
)  # fmt: skip
"""What tests install in folders of their own, which are gone with the test."""

_LARGE = ("neurokit2", "sklearn.ensemble", "torch._dynamo", "transformers.models.videomae.modeling_videomae")
"""Modules whose import takes half a second or more."""

os.environ["COLUMNS"] = "500"  # a row of a table is a line, but in tests of how tables fit a terminal

os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the hub, which would be tried again for half a minute

CHROMIUM_FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
CHROMIUM_FLAGS += "--disable-component-update --disable-sync"


@pytest.fixture(scope="module")
def chromium():
    """The system's own Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
    path = os.environ.get("EMBENCH_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("there is no Chromium here (Debian's package `chromium`)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def installing():
    """How the packages in `tests/packages` are installed."""
    return installer


def pytest_configure():
    """Gives a worker one core. Processes that a command starts for others would import everything anew, and wait for
    the cores of the other workers."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


def pytest_collection_finish(session):
    """Keeps the garbage collector from walking thousands of collected tests again and again, and has it look less
    often, which took a twentieth of the time. A run of the whole suite imports now what it imports anyway, lest
    whichever test comes first pays for it; not where each line is recorded with the tests that run it."""
    recorded = session.config.getoption("cov_source", None)
    if len(session.items) > 1000 and not recorded:
        from embench_plugins import torchvision_shim

        torchvision_shim.settle()  # transformers' networks import torchvision
        for library in _LARGE:
            importlib.import_module(library)
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory):
    """Where prepared data of this session's tests lie: one folder for all packages of tests, since `EMBENCH_CACHE` can
    name only one, and for all workers, whose folders lie side by side."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def made_once(session_cache):
    """Gives the folder of a name, which one of the session's workers makes and all of them read."""

    def made(name, make):
        root = session_cache.with_name("made") / name
        root.parent.mkdir(exist_ok=True)
        with locked(Path(f"{root}.lock")):
            if not (done := root / "MADE").exists():
                make(root)
                done.touch()
        return root

    return made


@pytest.fixture(scope="session", autouse=True)
def commands_made_once():
    """typer makes all commands anew for each line: a program has one line, the tests have a thousand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_power_cut():
    """Files are not flushed to the disk: what they hold is there for every process without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def forgotten(request):
    """Plugins of files in a test's folder go with it: the next test may get a folder of the same name."""
    before = len(sys.modules)
    yield
    if (folder := request.node.funcargs.get("tmp_path")) and len(sys.modules) > before:
        for name in [name for name in sys.modules if name.startswith("embench_file_")]:
            if vars(sys.modules[name])["__file__"].startswith(str(folder)):
                del sys.modules[name]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder on `sys.path`; what tests import from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    registry.refresh()
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith(_PACKAGES):
            del sys.modules[name]
    monkeypatch.undo()
    registry.refresh()


@pytest.fixture
def acme(site):
    """A good outside package; the folder of its modules."""
    installer.install("embench_acme", site)
    registry.refresh()
    return site / "embench_acme"


@pytest.fixture
def optics(site):
    """An outside package that adds modalities, with a dataset that has them; the folder of its modules."""
    installer.install("embench_optics", site)
    registry.refresh()
    return site / "embench_optics"


@pytest.fixture
def broken(site):
    """An outside package in which much is wrong; the folder of its modules."""
    installer.install("embench_broken", site)
    registry.refresh()
    return site / "embench_broken"
