"""Pages of the reference that the program itself makes: commands with their options, exit codes, fields of a recipe.

`python -m tests.docs.reference` writes them again. Nothing here imports torch.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import typer

from bench.markdown import table
from embench import cli, errors
from embench.cli.console import fold_command
from embench.cli.options import EXAMPLES

from .pages import ROOT

COMMANDS = ROOT / "docs" / "reference" / "commands.md"
ERRORS = ROOT / "docs" / "reference" / "errors.md"
SETTINGS = ROOT / "docs" / "reference" / "settings.md"
_RECIPE = ROOT / "benchmark" / "embench" / "interfaces" / "recipe.py"
_KINDS = {"str": "TEXT", "text": "TEXT", "int": "N", "int range": "N", "float": "N", "float range": "N", "path": "PATH"}


def commands() -> str:
    """Each command: what it does, its arguments and options, examples."""
    program: Any = typer.main.get_command(cli.app)
    parts = []
    for panel, names in cli.COMMANDS.items():
        parts.append(f"## {panel}\n")
        for name in names:
            command = program.commands[name]
            if hasattr(command, "commands"):
                parts += [_command(f"{name} {inner}", found) for inner, found in command.commands.items()]
            else:
                parts.append(_command(name, command))
    return "\n".join(parts).strip()


def exit_codes() -> str:
    """Exit code, label and meaning of each kind of error."""
    rows = [(0, "", "Done.")]
    for kind in vars(errors).values():
        own = inspect.isclass(kind) and issubclass(kind, errors.EmbenchError) and "exit_code" in vars(kind)
        if own and kind is not errors.EmbenchError:
            rows.append((kind.exit_code, f"`{kind.__name__}`", " ".join((kind.__doc__ or "").split())))
    rows.append((errors.EmbenchError.exit_code, "`EmbenchError`", "A bug in embench, or an error of no other kind."))
    rows += [
        (130, "", "Interrupted (SIGINT): finished work is kept, rerun to resume."),
        (143, "", "Terminated (SIGTERM, as batch systems send it): likewise."),
    ]
    return table(["code", "class in `embench.errors`", "meaning"], [[str(code), *words] for code, *words in rows])


def settings() -> str:
    """Fields of `Recipe` with type and default, and what its docstring says of them."""
    (recipe,) = (
        node
        for node in ast.parse(_RECIPE.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == "Recipe"
    )
    told = dict(_arguments(ast.get_docstring(recipe) or ""))
    lines = [
        [f"`{node.target.id}`", _cell(ast.unparse(node.annotation)), _default(node.value)]
        for node in recipe.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    notes = [f"- {', '.join(f'`{name}`' for name in names.split(', '))}: {text}" for names, text in told.items()]
    notes = [textwrap.fill(note, 118, subsequent_indent="  ", break_on_hyphens=False) for note in notes]
    return f"{table(['field', 'type', 'default'], lines)}\n\n" + "\n".join(notes)


def _command(name: str, command: Any) -> str:
    """One section: first what the command does, then a table, then examples."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join(["embench", name, *(_placeholder(each) for each in arguments), "[OPTIONS]"])
    rows = [[f"`{_cell(_placeholder(each))}`", _cell(each.help or "")] for each in arguments]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    rows += [[_flags(each), _meaning(each)] for each in options if each.name != "help"]
    text = [f"### `embench {name}`\n", f"{' '.join(inspect.cleandoc(command.help or '').split())}\n"]
    text.append(f"```text\n{usage}\n```\n")
    if rows:
        text.append(table(["argument or option", "meaning"], rows) + "\n")
    if examples := EXAMPLES.get(name):
        text.append("```text\n" + "\n".join(f"$ {fold_command(line, 110)}" for line in examples) + "\n```\n")
    return "\n".join(text)


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _flags(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    choices = getattr(option.type, "choices", None)
    kind = " \\| ".join(map(str, choices)) if choices else _KINDS.get(option.type.name, option.type.name)
    return f"{names} {kind}"


def _meaning(option: Any) -> str:
    text = _cell(option.help or "")
    if option.required:
        return f"{text} Required."
    if option.is_flag or option.default in (None, (), [], "") or callable(option.default):
        return text
    return f"{text} Default: `{getattr(option.default, 'value', option.default)}`."


def _arguments(text: str) -> Iterator[tuple[str, str]]:
    """Names and text of the entries below `Args:` of a docstring."""
    block = text.partition("Args:\n")[2].partition("\n\n")[0]
    for entry in re.split(r"\n(?=    \w)", block):
        names, _, meaning = entry.strip().partition(": ")
        yield names, " ".join(meaning.split())


def _default(value: ast.expr | None) -> str:
    if value is None:
        return ""
    return "empty" if isinstance(value, ast.Call) else f"`{ast.unparse(value)}`"


def _cell(text: str) -> str:
    """A text of the help as a cell of a table."""
    return " ".join(text.split()).replace("\\[", "[").replace("|", "\\|").replace("<", "&lt;")
