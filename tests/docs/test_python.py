"""The page on Python lists every public name as it is, and the notebooks in `examples/` run."""

import json
import sys
from types import ModuleType

import pytest

from .conftest import SIZE
from .pages import ROOT
from .reference import PAGE, written

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def test_the_page_lists_every_public_name():
    """A name is added, changed or removed on purpose: then `python -m tests.docs.reference` writes the list again."""
    assert PAGE.read_text() == written(PAGE.read_text())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs(path):
    """What a notebook printed once says nothing of what it prints now."""
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")


def cells(path):
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


def run_cells(sources, monkeypatch):
    """Runs code that no file holds, as in a notebook."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(compile("\n\n".join(sources), "<cell>", "exec"), vars(main))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A working folder in which the first cell, the same in all notebooks, has made its data; fewer than it says."""
    (first,) = {cells(path)[0].replace('"--subjects", "6"', str(SIZE)[1:-1]) for path in NOTEBOOKS}
    assert str(SIZE)[1:-1] in first
    folder = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_cells([first], patch)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, made, session_cache, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(session_cache))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(made)
    run_cells(cells(path)[1:], monkeypatch)
