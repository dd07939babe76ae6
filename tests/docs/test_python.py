"""The page on Python lists every public name as it is, and the notebooks in `examples/` run."""

import json
import subprocess
import sys

import pytest

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


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, tmp_path, session_cache, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(session_cache))
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells)
    program = (
        "import sys\n"
        "sources = sys.stdin.read()\n"  # no file holds the code, as in a notebook
        "exec(compile(sources, '<cell>', 'exec'), vars(sys.modules['__main__']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=code, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
