"""The gallery: what is kept belongs to the scripts in `examples/`, which end with a score and a figure."""

import os
from datetime import UTC, datetime

import pytest

from bench import gallery

from .pages import ROOT

DRAWN = gallery.EXAMPLES[datetime.now(UTC).timetuple().tm_yday % len(gallery.EXAMPLES)]
"""The example of the day; `make gallery ALL=1` runs all."""


def test_every_script_is_in_the_gallery_and_pages_lead_to_it():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(gallery.EXAMPLES)
    readme = (ROOT / "examples" / "README.md").read_text()
    assert [name for name in gallery.EXAMPLES if f"({name}.py)" not in readme] == []
    for page in (ROOT / "docs" / "start" / "notebook.md", ROOT / "examples" / "README.md"):
        assert "jupytext --to notebook" in page.read_text()


def test_what_is_kept_belongs_to_the_scripts():
    assert list(gallery.faults()) == []
    pages = {f"{name}.md" for name in gallery.EXAMPLES} | {"README.md"}
    pictures = {path.name for path in gallery.KEPT.iterdir()} - pages
    shown = "".join((gallery.KEPT / page).read_text() for page in pages)
    assert [name for name in pictures if f"({name})" not in shown] == []


def test_a_changed_script_has_to_be_run_again(tmp_path, monkeypatch):
    (tmp_path / "examples").mkdir()
    for name in gallery.EXAMPLES:
        (tmp_path / "examples" / f"{name}.py").write_bytes(gallery.script(name).read_bytes())
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    assert list(gallery.faults()) == []
    with gallery.script("first_number").open("a") as file:
        file.write("\n")
    assert list(gallery.faults()) == [
        "docs/gallery/first_number.md does not show examples/first_number.py as it is now. Run: make gallery"
    ]


def test_pictures_are_small():
    sizes = {path.name: path.stat().st_size for path in gallery.KEPT.iterdir()}
    assert {name: size for name, size in sizes.items() if size > gallery.LARGEST_B} == {}
    assert sum(sizes.values()) < 1_500_000


def test_examples_can_be_read_at_a_sitting():
    assert [name for name in gallery.EXAMPLES if len(gallery.script(name).read_text().splitlines()) > 70] == []


def test_a_script_is_shown_cell_by_cell(tmp_path, monkeypatch):
    (tmp_path / "examples").mkdir()
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    monkeypatch.setattr(gallery, "KEPT", tmp_path / "gallery")
    gallery.script("one").write_text(
        "# %% [markdown]\n# # One\n#\n# See [it](../docs/why/adjusted.md).\n\n# %%\nx = 1\nprint('a')\nx + 1\n\n"
        "# %%\nfrom matplotlib import pyplot as plt\n\nplt.plot([x, 2])\nplt.title('A line')\nprint('.5 [.4, .6]')\n"
    )
    gallery.keep("one", gallery.mark("one"), gallery.execute("one", tmp_path))
    page = (gallery.KEPT / "one.md").read_text()
    assert page.startswith(f"<!-- Made by `make gallery` from examples/one.py, sha256 {gallery.digest('one')}. Do not")
    assert "# One\n\nSee [it](../why/adjusted.md).\n\n```python\nx = 1\nprint('a')\nx + 1\n```\n" in page
    assert "```text\na\n2\n```" in page
    assert "```text\n.5 [.4, .6]\n```\n\n![A line](one-1.png)\n" in page
    assert sorted(path.name for path in gallery.KEPT.iterdir()) == ["one-1.png", "one-thumbnail.png", "one.md"]


def test_what_a_script_needs_and_is_not_installed_is_named(tmp_path, monkeypatch):
    (tmp_path / "examples").mkdir()
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    gallery.script("one").write_text("# %%\nimport json\n\nfrom no_such_library.models import Net\n")
    assert gallery.absent_libraries("one") == ["no_such_library"]


def test_a_script_without_a_score_is_not_kept(tmp_path, monkeypatch):
    (tmp_path / "examples").mkdir()
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    gallery.script("one").write_text("# %%\nprint('done')\n")
    with pytest.raises(ValueError, match="end with a score"):
        gallery.execute("one", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [DRAWN])
def test_an_example_ends_with_a_score_and_a_figure(name, tmp_path, session_cache, monkeypatch):
    if absent := gallery.absent_libraries(name):
        pytest.skip(f"examples/{name}.py needs {', '.join(absent)}, which is not installed")
    monkeypatch.setenv("EMBENCH_CACHE", str(session_cache))
    paths = [str(ROOT / folder) for folder in ("benchmark", "plugins")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))
    shown = gallery.execute(name, tmp_path)
    printed = [cell.printed for cell in shown if cell.printed]
    assert gallery.SCORE.search(printed[-1])
    assert name == "paper_board" or any("synthetic" in text.lower() for text in printed)
    assert any(cell.figures for cell in shown)
