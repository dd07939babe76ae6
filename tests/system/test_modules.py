"""What all code keeps to, read without running it: files and functions that can be read at a sitting, no circle of
imports, and one meaning for each public name of the harness."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import embench

ROOT = Path(__file__).parents[2]
FILES = [path for folder in ("benchmark", "plugins", "bench") for path in (ROOT / folder).rglob("*.py")]
HARNESS = Path(embench.__file__).parent
MODULES = {
    ".".join(path.relative_to(HARNESS.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in HARNESS.rglob("*.py")
}
LAZY = {"embench"}
"""Names for notebooks, which are imported when they are asked for: `embench` names what stands on everything, and
everything may ask it for the version."""

DOORS = {"compare", "convert", "fetch", "grid", "prepare", "pretrain", "run", "score", "tune"}
"""Commands: the function in `cli` is called like the command, and so is the function that does its work."""

DOORS_OF_PYTHON = {"audit", "predict", "run", "score", "synthesize", "tune", "write_report"}
"""What Python has as `embench.NAME`, called as the command or the function behind it."""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions in a module, in its classes and in other functions."""
    for each in (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each
        yield from functions(each)


def test_no_file_is_over_800_lines_and_no_function_over_75() -> None:
    long = []
    for path in FILES:
        lines = path.read_bytes().count(b"\n")
        found = functions(tree_of(path)) if lines > 75 else ()
        long += [f"{path}: {each.name}" for each in found if (each.end_lineno or 0) - each.lineno >= 75]
        long += [str(path)] if lines > 800 else []
    assert FILES
    assert long == []


def imported(path: Path) -> set[str]:
    """The modules of the harness that one imports: at its top, for types only, or inside functions."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else str(node.module) for name in inside}
    return found & MODULES.keys()


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imported(path) - {name} for name, path in MODULES.items() if name not in LAZY}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise AssertionError(f"{circle}: move what both need into a module below them") from error


def test_a_circle_through_a_function_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    path.write_text("def late():\n    from embench import errors\n    from embench.files import digest\n")
    assert imported(path) == {"embench.errors", "embench.files"}


def defined(module: Path) -> Iterator[str]:
    """The public names that a module's top level defines; imported ones are not among them."""
    for node in tree_of(module).body:
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
    for module in MODULES.values():
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
