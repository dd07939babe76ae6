"""Code identity of a plugin's results, as text for cache keys and stage ids."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from embench.errors import PluginError
from embench.registry.catalogue import find, installed
from embench.registry.fragments import BUNDLED, Entry, module_file
from embench.registry.loading import source_file
from embench.registry.objects import is_object
from embench.snapshot import cached


@cached
def code_identity(kind: str, name: str) -> str:
    """The identity of a plugin's code; equal identity means equal results.

    For an installed wheel of another package its version and `revision`: its author raises the revision when results
    change. Otherwise (a bundled plugin, an editable install, a file) the source without comments and docstrings of the
    plugin's module and of all modules of its package that it imports, directly or not. Data files and imports made by
    hand (`import_module`) are not seen.

    Raises:
        UsageError: there is no such plugin.
        PluginError: its source can't be found or read.
    """
    entry = find(kind, name)
    if is_object(entry.target):
        return f"object {entry.target.split(':')[1]}"  # made of all that decides what it does
    target = entry.target.rpartition(":")
    if entry.package != BUNDLED and _from_wheel(entry):
        return f"{entry.package} {entry.version} {entry.target} revision {entry.revision}"
    return f"{entry.package or 'file'} {target[0] if entry.package else ''}:{target[2]} source {_source_digest(entry)}"


def _from_wheel(entry: Entry) -> bool:
    """True if the package's own files are among those its distribution installed (an editable install has none)."""
    package = installed().get(entry.package)
    distribution = package.distribution if package else None
    if distribution is None:
        return False
    inside = f"{entry.package.replace('.', '/')}/registry.yaml"
    listed = any(file.as_posix() == inside for file in distribution.files or ())
    return listed and Path(str(distribution.locate_file(inside))).resolve() == entry.source.resolve()


def _source_digest(entry: Entry) -> str:
    path = source_file(entry)
    if path is None:
        raise PluginError(f"cannot find the source of {entry.kind} `{entry.name}`", where=str(entry.source))
    digest = hashlib.sha256()
    module = entry.target.rpartition(":")[0] if entry.package else ""
    try:
        codes = source_closure(module)[0] if entry.package else {"": _read(path)[0]}
    except (OSError, SyntaxError, ValueError) as error:
        raise PluginError(f"cannot read the source of {entry.kind} `{entry.name}`: {error}", where=str(path)) from error
    for name in sorted(codes):
        digest.update(f"{name}\n{codes[name]}\n".encode())
    return digest.hexdigest()[:20]


def source_closure(module: str) -> tuple[dict[str, str], list[Path]]:
    """Module name -> its code, of a module and all it needs of its own top-level package, and their files; nothing is
    imported."""
    top, codes, waiting = module.partition(".")[0], dict[str, str](), [module]
    files: list[Path] = []
    while waiting:
        name = waiting.pop()
        path = None if name in codes else module_file(name)
        if path is None:
            continue
        codes[name], imported = _read(path, name)
        files.append(path)
        parts = name.split(".")
        waiting += [".".join(parts[:n]) for n in range(1, len(parts))]  # importing a.b.c runs a and a.b first
        waiting += [i for i in imported if i == top or i.startswith(f"{top}.")]
    return codes, files


def bare_code(module: str) -> str:
    """The code of a module without comments and docstrings, empty where it has no source."""
    path = module_file(module)
    return "" if path is None else _read(path, module)[0]


@cached
def _read(path: Path, module: str = "") -> tuple[str, tuple[str, ...]]:
    """A file's code without comments and docstrings, and the modules that it imports."""
    return _parsed(path.read_bytes(), module, path.name == "__init__.py")


@cache
def _parsed(source: bytes, module: str, is_package: bool) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(source)
    imported = tuple(_imports(tree, module, is_package=is_package))
    return ast.unparse(_bare(tree)), imported


def _imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # may be modules themselves


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings; comments are not in it anyway."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
