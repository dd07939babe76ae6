"""The light installation, which scores and audits without torch, has what every reader of a dataset imports."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embench import registry
from embench.registry.identity import source_closure

ROOT = Path(__file__).parents[2]
CALLED = {"markdown_it_py": "markdown_it", "pyyaml": "yaml", "scikit_learn": "sklearn"}
"""Distribution -> the module that is imported, where it is called otherwise."""


def light() -> set[str]:
    lines = (ROOT / "requirements-score.txt").read_text().splitlines()
    names = [re.split(r"[<>=!~ ]", line)[0].replace("-", "_") for line in lines if line and line[0] != "#"]
    return {CALLED.get(name, name) for name in names}


def imported(code: str) -> Iterator[str]:
    """The packages that a module imports as soon as it is imported itself."""
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("dataset", registry.names("dataset"))
def test_every_reader_can_be_imported(dataset: str) -> None:
    codes, _ = source_closure(registry.find("dataset", dataset).target.partition(":")[0])
    wanted = {name for code in codes.values() for name in imported(code)}
    assert wanted - light() - set(sys.stdlib_module_names) - {"embench", "embench_plugins"} == set()
