"""What code a plugin's results come from, as text for cache keys and stage ids."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from embench.errors import PluginError
from embench.registry.catalogue import find, installed
from embench.registry.fragments import Entry, module_file
from embench.registry.loading import source_file


def code_identity(kind: str, name: str) -> str:
    """The identity of a plugin's code; equal identity means equal results.

    For an installed wheel package, version and `revision`: its author raises the revision when results change.
    Otherwise (editable install, a file) the source without comments and docstrings of the plugin's module and of all
    modules of its package that it imports, directly or not. Data files and imports made by hand (`import_module`) are
    not seen.

    Raises:
        UsageError: there is no such plugin.
        PluginError: its source can't be found or read.
    """
    entry = find(kind, name)
    target = entry.target.rpartition(":")
    if _from_wheel(entry):
        return f"{entry.package} {entry.version} {entry.target} revision {entry.revision}"
    return f"{entry.package or 'file'} {target[0] if entry.package else ''}:{target[2]} source {_source_digest(entry)}"


def _from_wheel(entry: Entry) -> bool:
    """Whether the package's own files are among those its distribution put there (an editable install has none)."""
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
        raise PluginError(f"the source of {entry.kind} `{entry.name}` can't be found", where=str(entry.source))
    digest = hashlib.sha256()
    module = entry.target.rpartition(":")[0] if entry.package else ""
    try:
        trees = _closure(module) if entry.package else {"": ast.parse(path.read_bytes())}
    except (OSError, SyntaxError, ValueError) as error:
        raise PluginError(
            f"the source of {entry.kind} `{entry.name}` can't be read: {error}", where=str(path)
        ) from error
    for name in sorted(trees):
        digest.update(f"{name}\n{ast.unparse(_bare(trees[name]))}\n".encode())
    return digest.hexdigest()[:20]


def _closure(module: str) -> dict[str, ast.Module]:
    """Module name -> syntax tree, of a module and all it needs of its own top-level package, nothing imported."""
    top, trees, waiting = module.partition(".")[0], {}, [module]
    while waiting:
        name = waiting.pop()
        path = None if name in trees else module_file(name)
        if path is None:
            continue
        trees[name] = ast.parse(path.read_bytes())
        parts = name.split(".")
        waiting += [".".join(parts[:n]) for n in range(1, len(parts))]  # importing a.b.c runs a and a.b first
        imported = _imports(trees[name], name, is_package=path.name == "__init__.py")
        waiting += [i for i in imported if i == top or i.startswith(f"{top}.")]
    return trees


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
