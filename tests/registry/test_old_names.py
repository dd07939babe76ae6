"""A plugin that was renamed is found by its old name for a release, with a warning that says what it is called now."""

import json
import warnings

import pytest
import yaml

from embench import registry

from ..tiny.fixtures import bench, cache, embench, six

__all__ = ["bench", "cache", "embench", "six"]

FRAGMENT = """
encoder:
  plain: {target: 'embench_other.mine:Plain', revision: 1, summary: one}
  simple: {alias_of: plain, until: '2.0'}
"""
MODULE = """
from embench_plugins.encoders.cnn_tf import CnnTf

class Plain(CnnTf):
    pass
"""


@pytest.fixture
def renamed(site, installing):
    """A package whose encoder `plain` was once called `simple`."""
    package = site / "embench_other"
    package.mkdir()
    for name, text in {"__init__.py": "", "mine.py": MODULE, "registry.yaml": FRAGMENT}.items():
        (package / name).write_text(text)
    installing.write(site, "embench-other", "1.4", {"plugins": "embench_other"})
    registry.refresh()


@pytest.mark.usefixtures("renamed")
def test_an_old_name_is_the_plugin_and_warns_once():
    with pytest.warns(FutureWarning, match="`simple` has the new name `plain`; embench_other 2.0 removes") as caught:
        found = [registry.find("encoder", name) for name in ("simple", "plain", "embench_other/simple")]
    assert [entry.full_name for entry in found] == ["embench_other/plain"] * 3
    assert len(caught) == 1
    assert "simple" not in registry.names("encoder")


def test_another_name_that_stays_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry.find("dataset", "amigos/short").name == "amigos"


@pytest.mark.usefixtures("renamed")
def test_list_marks_an_old_name(embench):
    shown = " ".join(embench("list", "encoder").out.split())
    assert "old name of plain, until embench_other 2.0" in shown
    (entry,) = [e for e in json.loads(embench("list", "encoder", "--json").out) if e["name"] == "simple"]
    assert (entry["alias_of"], entry["until"]) == ("plain", "2.0")


@pytest.mark.usefixtures("renamed")
def test_a_run_by_an_old_name_is_the_run_by_the_new_one(bench, embench):
    runs = []
    for name in ("simple", "plain"):
        line = bench.line("--encoder", name, "--modalities", "eda", "--dry-run", "--json", encoder=None)
        done = embench(*line)
        assert done.code == 0, done.err
        assert done.err.count("has the new name `plain`") == (name == "simple")
        runs.append(json.loads(done.out))
    assert runs[0]["run"] == runs[1]["run"]
    assert "simple" not in yaml.safe_dump(runs)
