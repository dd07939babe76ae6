"""Code identity: equal text means equal results."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import embench_plugins
from embench import registry
from embench.registry import loading


@pytest.fixture
def source(tmp_path, site, monkeypatch, installing):
    """A copy of the good package, installed editable."""
    project = tmp_path / "project"
    shutil.copytree(installing.HERE / "embench_acme", project)
    monkeypatch.syspath_prepend(str(project))
    installing.write(site, "embench-acme", "1.2.0", {"plugins": "embench_acme"}, project=project)
    registry.refresh()
    return project / "embench_acme"


def identity():
    return registry.code_identity("encoder", "embench_acme/plain")


def test_installed_wheel_is_package_version_and_revision(acme):
    assert identity() == "embench_acme 1.2.0 embench_acme.encoders:Plain revision 3"
    (acme / "encoders.py").write_text((acme / "encoders.py").read_text().replace("DIM)", "DIM, bias=False)"))
    assert identity() == "embench_acme 1.2.0 embench_acme.encoders:Plain revision 3"


def test_editable_install_is_its_source_without_comments_and_docstrings(source):
    before = identity()
    assert "source" in before
    text = (source / "encoders.py").read_text()
    changed = text.replace('"""One linear layer over every sample."""', '"""Other words."""')
    changed = changed.replace("return Network(", "return Network(  # a comment\n            ")
    assert changed != text
    (source / "encoders.py").write_text(changed)
    assert identity() == before
    (source / "encoders.py").write_text(text.replace("nn.Linear(channels, DIM)", "nn.Linear(channels, DIM + 1)"))
    assert identity() != before


@pytest.mark.parametrize(("module", "counts"), [("sizes", True), ("__init__", True), ("observers", False)])
def test_modules_of_the_package_count_when_they_are_imported(source, module, counts):
    before = identity()
    path = source / f"{module}.py"
    path.write_text(path.read_text() + "\nADDED = 1\n")
    assert (identity() != before) == counts


def test_modules_that_imported_modules_import_count(source):
    (source / "deeper").mkdir()
    (source / "deeper" / "__init__.py").write_text("from embench_acme.deeper import inner\n")
    (source / "deeper" / "inner.py").write_text("VALUE = 1\n")
    (source / "sizes.py").write_text("from .deeper import inner\nDIM = 8 * inner.VALUE\n")
    before = identity()
    (source / "deeper" / "inner.py").write_text("VALUE = 2\n")
    assert identity() != before


def test_file_is_its_source(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("class Mine:\n    '''Words.'''\n    x = 1\n")
    before = registry.code_identity("observer", f"{path}:Mine")
    path.write_text("class Mine:\n    x = 1  # the same\n")
    assert registry.code_identity("observer", f"{path}:Mine") == before
    path.write_text("class Mine:\n    x = 2\n")
    assert registry.code_identity("observer", f"{path}:Mine") != before


def test_identity_imports_nothing(source):
    (source / "encoders.py").write_text("raise RuntimeError\n")
    identity()
    assert "embench_acme.encoders" not in sys.modules


def test_bundled_plugins_are_known_by_their_source_here():
    assert "source" in registry.code_identity("fusion", "cross_attn")


def test_bundled_plugins_have_one_identity_in_a_wheel_and_in_an_editable_installation(monkeypatch):
    editable = registry.code_identity("dataset", "stress_predict")
    monkeypatch.setattr(loading, "_is_from_wheel", lambda _: True)
    assert loading.code_identity.__wrapped__("dataset", "stress_predict") == editable


EDIT_AND_ASK = """
import json
from pathlib import Path
from embench import registry

def identities():
    return {e.name: registry.code_identity("dataset", e.name) for e in registry.entries("dataset")}

def edited(*patterns):
    for path in [path for pattern in patterns for path in Path("embench_plugins/datasets").glob(pattern)]:
        path.write_text(path.read_text() + chr(10) + "ADDED = 1" + chr(10))
    return identities()

generators = "synthetic/*.py", "*/synthetic.py"
print(json.dumps([identities(), edited(*generators), edited("formats/*.py")]))
"""


def test_edit_of_a_generator_leaves_every_reader_what_it_is(tmp_path):
    """In a copy of the bundled plugins, every module of generators is edited, then every module of formats."""
    shutil.copytree(Path(embench_plugins.__file__).parent, tmp_path / "embench_plugins")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    requested = [sys.executable, "-c", EDIT_AND_ASK]
    done = subprocess.run(
        requested, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    before, generators, formats = json.loads(done.stdout)
    assert set(before) == {entry.name for entry in registry.entries("dataset")}
    assert all("source" in text for text in before.values())
    assert generators == before
    assert not set(formats.values()) & set(before.values())
