"""Code that can be read at a sitting: no function over 75 lines, and no file over 400."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [path for folder in ("benchmark", "plugins", "bench") for path in (ROOT / folder).rglob("*.py")]


def test_no_file_is_over_400_lines_and_no_function_over_75():
    texts = {path: path.read_text(encoding="utf-8") for path in FILES}
    long = [str(path) for path, text in texts.items() if text.count("\n") > 400]
    for path, text in texts.items():
        functions = [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef)]
        long += [f"{path}: {each.name}" for each in functions if each.end_lineno - each.lineno >= 75]
    assert FILES
    assert long == []
