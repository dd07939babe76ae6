"""Code that can be read at a sitting: no function over 75 lines, and no file over 400."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [path for folder in ("benchmark", "plugins", "bench") for path in (ROOT / folder).rglob("*.py")]


def functions(node):
    """The functions in a module, in its classes and in other functions."""
    for each in (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each
        yield from functions(each)


def test_no_file_is_over_400_lines_and_no_function_over_75():
    long = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        found = functions(ast.parse(text)) if lines > 75 else ()
        long += [f"{path}: {each.name}" for each in found if each.end_lineno - each.lineno >= 75]
        long += [str(path)] if lines > 400 else []
    assert FILES
    assert long == []
