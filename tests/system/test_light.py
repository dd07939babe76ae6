"""The light installation, which scores and audits without torch, has what every reader of a dataset imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from embench import registry
from embench.registry.loading import source_closure
from embench.system import explain_missing_library

ROOT = Path(__file__).parents[2]
CALLED = {
    "markdown_it_py": "markdown_it",
    "opencv_python_headless": "cv2",
    "pyyaml": "yaml",
    "scikit_learn": "sklearn",
}
"""Distribution -> the module that is imported, where it is called otherwise."""


def light() -> set[str]:
    lines = (ROOT / "requirements-score.txt").read_text().splitlines()
    return {module(re.split(r"[<>=!~ ]", line)[0]) for line in lines if line and line[0] != "#"}


def module(distribution: str) -> str:
    name = distribution.replace("-", "_")
    return CALLED.get(name, name)


def imported(code: str) -> Iterator[str]:
    """The packages that a module imports as soon as it is imported itself."""
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("dataset", registry.list_plugins("dataset"))
def test_every_reader_can_be_imported(dataset: str) -> None:
    codes, _ = source_closure(registry.find("dataset", dataset).target.partition(":")[0])
    wanted = {name for code in codes.values() for name in imported(code)}
    assert wanted - light() - set(sys.stdlib_module_names) - {"embench", "embench_plugins"} == set()


def test_a_missing_library_of_the_whole_installation_is_named_with_what_to_install() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    whole = {module(re.split(r"[<>=!~ ]", line)[0]) for line in project["dependencies"]}
    for library in whole - light() - {"markupsafe"}:  # which comes with jinja2
        missing = explain_missing_library(ModuleNotFoundError(f"No module named {library!r}", name=library))
        assert missing is not None, library
        assert missing.hint is not None
        assert "pip install" in missing.hint
