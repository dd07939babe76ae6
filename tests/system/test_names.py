"""A public name of the harness means one thing: no two modules define it at their top level."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import embench

HARNESS = Path(embench.__file__).parent

DOORS = {"compare", "convert", "fetch", "grid", "prepare", "pretrain", "run", "score", "tune"}
"""Commands: the function in `cli` is called like the command, and so is the function that does its work."""

DOORS_OF_PYTHON = {"audit", "baselines", "run", "score", "synthesize", "write_report"}
"""What Python has as `embench.NAME`, called as the command or the function behind it."""


def defined(module: Path) -> Iterator[str]:
    """The public names that a module's top level defines; imported ones are not among them."""
    for node in ast.parse(module.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def test_no_public_name_is_defined_in_two_modules() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for module in HARNESS.rglob("*.py"):
        for name in defined(module):
            places[name].add(module.relative_to(HARNESS).as_posix())
    for name in DOORS_OF_PYTHON:  # in `python`, and once more: where the work is done, or as the command
        assert sum(module.startswith("python/") for module in places[name]) == 1, places[name]
        places[name] = {module for module in places[name] if not module.startswith("python/")}
    twice = {name: sorted(modules) for name, modules in places.items() if len(modules) > 1}
    assert {name: modules for name, modules in twice.items() if name not in DOORS} == {}
    for name in DOORS:
        assert len(twice[name]) == 2, twice[name]
        assert sum(module.startswith("cli/") for module in twice[name]) == 1, twice[name]
