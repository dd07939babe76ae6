"""All names that users type or import: commands with their options, Python names, plugin interfaces, hooks."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

import embench
import embench.testing
from bench.markdown import table
from embench import cli
from embench.interfaces.dataset import Dataset
from embench.interfaces.encoder import Encoder
from embench.interfaces.fusion import Estimator, Fusion
from embench.interfaces.metric import Metric
from embench.interfaces.pretrainer import Pretrainer
from embench.leaderboard.columns import columns
from embench.python.grids import ResultTable
from embench.python.running import DryRun
from embench.python.windows import FoldRows, Splitter, Windows
from embench.records.audit import Audit
from embench.registry.fragments import GROUP
from embench.registry.loading import LifecycleSpec
from embench.runs.tuning import TuningResult
from embench.statistics.answers import Answer, TargetAnswers
from embench.statistics.comparison import Comparison

from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "names.md"
HOME = Path(embench.__file__).parent
MODULES = ["errors", "nn", *sorted(f"interfaces/{path.stem}" for path in HOME.glob("interfaces/[a-z]*.py"))]
MODULES += [f"signals/{path.stem}" for path in sorted(HOME.glob("signals/[a-z]*.py"))] + ["testing/__init__"]
"""Public modules besides `embench`."""
RETURNED = (ResultTable, DryRun, TuningResult, TargetAnswers, Answer, Comparison, Audit, Windows, Splitter, FoldRows)
"""Classes of the objects that functions of `embench` return, besides those in `embench` itself."""
PLUGINS = (Dataset, Encoder, Pretrainer, Fusion, Estimator, Metric)
"""Interfaces of plugins."""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command of the program with its name, such as `data verify`."""
    program: Any = typer.main.get_command(cli.app)
    for name, command in program.commands.items():
        inner = getattr(command, "commands", None)
        yield from [(f"{name} {each}", found) for each, found in inner.items()] if inner else [(name, command)]


def options(command: Any) -> list[str]:
    """Return the arguments and options of a command, as they are typed."""
    found = [each for each in command.params if each.name != "help"]
    named = [each.metavar or each.name.upper() for each in found if each.param_type_name == "argument"]
    flags = [flag for each in found if each.param_type_name == "option" for flag in (*each.opts, *each.secondary_opts)]
    return [*named, *flags]


def members(cls: type[Any]) -> Iterator[tuple[str, str]]:
    """Yield the public fields, properties and methods of a class with the first sentence of their docstrings."""
    fields = [each.name for each in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
    fields += [*getattr(cls, "model_fields", {}), *getattr(cls, "_fields", ())]
    fields += [name for name in vars(cls).get("__annotations__", {}) if name not in fields]
    found = {name: "" for name in fields if not name.startswith("_")}
    for name, value in vars(cls).items():
        if name.startswith("_") or name in found or name == "model_config":
            continue
        is_method = callable(value) or isinstance(value, classmethod | staticmethod)
        found[f"{name}()" if is_method else name] = first_sentence(inspect.getdoc(value) or "")
    yield from found.items()


def module_names(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the public names that a module defines, with the first sentence of their docstrings."""
    if path.stem == "__init__":
        for name in embench.testing.__all__:
            yield name, first_sentence(inspect.getdoc(getattr(embench.testing, name)) or "")
        return
    body = ast.parse(path.read_text("utf-8")).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name, text = node.name, ast.get_docstring(node) or ""
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if not isinstance(target, ast.Name):
                continue
            described = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            name, text = target.id, str(after.value.value) if described else ""
        else:
            continue
        if not name.startswith("_"):
            yield name, first_sentence(text)


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, on one line."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence = re.split(r"\.\s+(?=[A-Z`(])", paragraph)[0].rstrip(".")
    return sentence + "." if sentence else ""


def names() -> str:
    """Return the lists of the page."""
    rows = [
        [f"`embench {name}`", ", ".join(f"`{flag}`" for flag in options(each)).replace("|", "\\|")]
        for name, each in commands()
    ]
    parts = ["## Commands\n", table(["command", "arguments and options"], rows) + "\n", "## Python\n"]
    found = {name: getattr(embench, name) for name in sorted(embench.__all__, key=str.lower) if name != "__version__"}
    parts.append(_section("embench", ((name, _summary(value)) for name, value in found.items())))
    returned = [value for value in found.values() if inspect.isclass(value)]
    parts += [_section(f"{cls.__module__}.{cls.__name__}", members(cls)) for cls in (*returned, *RETURNED)]
    parts.append(f"## Plugins\n\nA package lists its plugins in the entry point group `{GROUP}`.\n")
    parts += [_section(f"{cls.__module__}.{cls.__name__}", members(cls)) for cls in PLUGINS]
    parts.append("## Hooks of observers\n")
    parts.append(_section("embench.hookimpl", members(LifecycleSpec)))
    parts.append("## Modules\n")
    for module in MODULES:
        title = "embench." + module.removesuffix("/__init__").replace("/", ".")
        parts.append(_section(title, module_names(HOME / f"{module}.py")))
    return "\n".join(filter(None, parts)).strip()


def _section(title: str, found: Iterable[tuple[str, str]]) -> str:
    rows = [[f"`{name}`", text.replace("|", "\\|")] for name, text in found]
    return f"### `{title}`\n\n{table(['name', ''], rows)}\n" if rows else ""


def _summary(value: Any) -> str:
    return first_sentence(inspect.getdoc(value) or "") if inspect.isclass(value) or inspect.isfunction(value) else ""


def every_name() -> Iterator[tuple[str, str]]:
    """Yield (place, name) of all commands, options and their choices, Python names and parameters, columns of
    leaderboards, and fields of records."""
    for name, command in commands():
        words = [*name.split(), *options(command)]
        words += [str(choice) for each in command.params for choice in getattr(each.type, "choices", ())]
        yield from ((f"embench {name}", word) for word in words)
    exported = {name: getattr(embench, name) for name in embench.__all__}
    classes = [value for value in exported.values() if inspect.isclass(value)]
    functions = [value for value in exported.values() if inspect.isfunction(value)]
    for cls in {*classes, *RETURNED, *PLUGINS, LifecycleSpec}:
        yield from ((cls.__name__, name.removesuffix("()")) for name, _ in members(cls))
        functions += [value for value in vars(cls).values() if inspect.isfunction(value)]
    yield from (("embench", name) for name in exported)
    yield from (
        (function.__qualname__, name) for function in functions for name in inspect.signature(function).parameters
    )
    yield from ((module, name) for module in MODULES for name, _ in module_names(HOME / f"{module}.py"))
    yield from (("columns", name) for name in columns())
    for path in sorted(HOME.glob("records/*.py")):
        for value in vars(importlib.import_module(f"embench.records.{path.stem}")).values():
            if inspect.isclass(value) and issubclass(value, BaseModel):
                yield from ((value.__name__, field.alias or name) for name, field in value.model_fields.items())
