"""The notebooks in `examples/` end with a number."""

import sys
import time
from types import ModuleType

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from .pages import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.py"))


def test_pages_lead_to_every_notebook():
    for page in (ROOT / "docs" / "start" / "notebook.md", ROOT / "examples" / "README.md"):
        assert "jupytext --to notebook" in page.read_text()
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"({path.name})" in (ROOT / "examples" / "README.md").read_text()


def run_as_a_notebook(path, patch):
    """Runs code that no file holds; returns what it leaves."""
    main = ModuleType("__main__")
    patch.setitem(sys.modules, "__main__", main)
    exec(compile(path.read_text(), "<cell>", "exec"), vars(main))
    return vars(main)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One working folder for all notebooks, as a reader has them."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_end_with_a_number_and_a_figure(path, again, folder, session_cache, monkeypatch):
    """One after another in one folder, and each twice."""
    assert (folder / "data").exists() or not again
    monkeypatch.setenv("EMBENCH_CACHE", str(session_cache))
    mpl.use("agg")
    plt.close("all")
    monkeypatch.chdir(folder)
    began = time.process_time()
    left = run_as_a_notebook(path, monkeypatch)
    assert time.process_time() - began < 120
    (result, headline), *_ = (
        (each, each.scores.score("arousal", each.scores.headlines["arousal"]))
        for each in (left.get(name) for name in ("result", "ours", "again"))
        if each is not None
    )
    assert headline is not None
    assert 0.6 < headline.low < headline.mean < 1  # the planted effect, and more than chance
    assert result.synthetic
    (axes,) = plt.figure(plt.get_fignums()[-1]).axes
    assert result.scores.headlines["arousal"] in axes.get_xlabel()
