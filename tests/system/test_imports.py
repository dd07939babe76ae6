"""No circle of imports: whoever reads a module can read all that it needs, from the ground up."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import embench

HARNESS = Path(embench.__file__).parent
MODULES = {
    ".".join(path.relative_to(HARNESS.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in HARNESS.rglob("*.py")
}
LAZY = {"embench"}
"""Names for notebooks, which are imported when they are asked for: `embench` names what stands on everything, and
everything may ask it for the version."""


def imported(path: Path) -> set[str]:
    """The modules of the harness that one imports: at its top, for types only, or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else str(node.module) for name in inside}
    return found & MODULES.keys()


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: imported(path) - {name} for name, path in MODULES.items() if name not in LAZY}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise AssertionError(f"{circle}: move what both need into a module below them") from error


def test_a_circle_through_a_function_would_be_found(tmp_path):
    path = tmp_path / "one.py"
    path.write_text("def late():\n    from embench import errors\n    from embench.files import digest\n")
    assert imported(path) == {"embench.errors", "embench.files"}
