"""The page of FACED shows what its script computes from the real events, ratings and nothing else. The script prints
more."""

import os
import runpy
from pathlib import Path

import pytest

from ..sample import proof
from .pages import ROOT

SCRIPT = runpy.run_path(str(ROOT / "docs" / "faced_controls.py"))
PAGE = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "datasets").glob("faced*")))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root in which `faced` is the real release without its EEG."""
    source = os.environ.get("EMBENCH_TEST_DATA")
    if not source:
        pytest.skip("EMBENCH_TEST_DATA does not say where real data are")
    folder = tmp_path_factory.mktemp("data")
    (folder / "faced").symlink_to(Path(source, "faced_sidecars"), target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield folder


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| ")]


@pytest.mark.slow
def test_tables_of_labels_are_those_of_the_page(root):
    shown = [rows(table) for table in SCRIPT["tables"](root, protocols=()) if rows(table)[0] in PAGE]
    assert shown
    for table in shown:
        assert "\n".join(table) in PAGE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "targets"),
    [("subject-independent-v2", ("valence",)), pytest.param("faced-films-v1", ("agreement",), marks=proof)],
)
def test_controls_are_those_of_the_page(root, protocol, targets):
    """Of the targets whose trees are fitted in a minute."""
    shown = 0
    for table in SCRIPT["tables"](root, (protocol,), targets):
        head, heads, *_, row = filter(None, table.splitlines())
        if protocol in head and head in PAGE:
            section = PAGE[PAGE.index(f"{head}\n\n{heads}\n") :]
            assert row in section.split("\n\n")[1]
            shown += 1
    assert shown
