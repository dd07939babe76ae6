"""What is made on the pages of `docs/reference`; here the list of all public names, from their docstrings.

`python -m tests.docs.reference` writes all of it again, after a name, a command or a plugin was changed on purpose.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import embench
import embench.testing
from bench.markdown import insert

from ..attacks import page as attacks
from . import combinations, commands, features, glossary, records
from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "python.md"
HOME = Path(embench.__file__).parent
MODULES = ["errors", "nn", *sorted(f"interfaces/{path.stem}" for path in HOME.glob("interfaces/[a-z]*.py"))]
MODULES += [f"signals/{path.stem}" for path in sorted(HOME.glob("signals/[a-z]*.py"))] + ["testing/__init__"]


MOST = 12
"""Parameters that the page shows of a function."""


def reference() -> str:
    parts = ["## `embench`\n"]
    for name in sorted(embench.__all__, key=str.lower):
        if name == "__version__":
            continue
        found = getattr(embench, name)
        parts.append(f"```text\n{_signature(name, found)}\n```\n\n{_first(inspect.getdoc(found) or '')}\n")
    for module in MODULES:
        rows = [f"| `{name}` | {text} |" for name, text in _names(HOME / f"{module}.py")]
        title = "embench." + module.removesuffix("/__init__").replace("/", ".")
        if rows:
            parts.append(f"## `{title}`\n\n| name | |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts).strip()


def _signature(name: str, found: object) -> str:
    if not inspect.isfunction(found) and not inspect.isclass(found):  # of another library's version
        return f"embench.{name}"
    taken = list(inspect.signature(found).parameters.values())
    text = f"embench.{name}{inspect.Signature([p.replace(annotation=p.empty) for p in taken[:MOST]])}"
    text = f"{text[:-1]}, ...)" if len(taken) > MOST else text  # `help` has them all
    return "\n".join(textwrap.wrap(text, 110, subsequent_indent="    ", break_on_hyphens=False))


def _names(path: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(path.read_text("utf-8"))
    if path.stem == "__init__":
        for name in embench.testing.__all__:
            yield name, _cell(inspect.getdoc(getattr(embench.testing, name)) or "")
        return
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name, text = node.name, ast.get_docstring(node) or ""
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if not isinstance(target, ast.Name):
                continue
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            name, text = target.id, str(after.value.value) if told else ""
        else:
            continue
        if not name.startswith("_"):
            yield name, _cell(text)


def _first(text: str) -> str:
    """The first sentence of a docstring, in lines of at most 118 characters."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence = re.split(r"\.\s+(?=[A-Z`(])", paragraph)[0].rstrip(".")
    return "\n".join(textwrap.wrap(sentence + ".", 118)) if sentence else ""


def _cell(text: str) -> str:
    return " ".join(_first(text).split()).replace("|", "\\|")


MADE = {
    PAGE: reference,
    combinations.PAGE: combinations.tables,
    features.PAGE: features.lists,
    commands.COMMANDS: commands.commands,
    commands.ERRORS: commands.exit_codes,
    commands.SETTINGS: commands.settings,
    glossary.PAGE: glossary.terms,
    records.PAGE: records.fields,
    attacks.PAGE: attacks.forgeries,
}
"""Page -> what is made on it."""


def written(page: Path) -> str:
    """A page with what is made on it as it is now."""
    return insert(page.read_text("utf-8"), "python -m tests.docs.reference", MADE[page]())


if __name__ == "__main__":
    for path in MADE:
        path.write_text(written(path), "utf-8", newline="\n")
