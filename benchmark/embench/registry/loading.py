"""Import of an entry's class when it is used, checked against the interface of its kind."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from embench.errors import EmbenchError, PluginError, UsageError
from embench.registry.catalogue import entries, find
from embench.registry.fragments import Entry, module_file
from embench.registry.naming import did_you_mean
from embench.registry.objects import is_object, object_class, object_facts
from embench.system import lacking

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    from embench.interfaces.conversion import Converter
    from embench.interfaces.dataset import Synthesizer

_BASES = {
    "dataset": ("embench.interfaces.dataset:Dataset",),
    "encoder": ("embench.interfaces.encoder:Encoder",),
    "pretrainer": ("embench.interfaces.pretrainer:Pretrainer",),
    "fusion": ("embench.interfaces.fusion:Fusion", "embench.interfaces.fusion:Estimator"),
    "metric": ("embench.interfaces.metric:Metric",),
    "observer": (),  # any class: what it may watch is checked against the hook specifications
}


FILE_MODULES = "embench_file_"
"""Prefix of the names of modules that are loaded from a user's file."""


def load(kind: str, name: str) -> type[Any]:
    """The class that a name means.

    Raises:
        UsageError: there is no such plugin.
        PluginError: importing it failed, or it is not what its kind requires; the error names plugin, package and
            place.

    >>> load("metric", "auroc").__name__
    'Auroc'
    """
    return load_entry(find(kind, name))


def load_entry(entry: Entry) -> type[Any]:
    """The class of an entry; see `load`."""
    if not is_object(entry.target):
        return _load_module(entry)
    with _naming(entry):
        found = object_class(entry)
    return _checked(entry, found)


def load_anew(entry: Entry) -> type[Any]:
    """The class of an entry in a package or a file, though it was loaded before; see `load`."""
    return _load_module.__wrapped__(entry)


@cache
def _load_module(entry: Entry) -> type[Any]:
    module, name = _import(entry), entry.target.rpartition(":")[2]
    found = getattr(module, name, None)
    if found is None:
        hint = did_you_mean(name, [key for key, value in vars(module).items() if isinstance(value, type)])
        raise _fault(entry, f"{module.__name__} has no class {name}", hint=hint)
    if not isinstance(found, type):
        raise _fault(entry, f"{name} is a {type(found).__name__}, not a class")
    return _checked(entry, found)


def _checked(entry: Entry, found: type[Any]) -> type[Any]:
    """The class, which has the base class of its kind and all of its methods."""
    name = found.__name__
    bases = tuple(map(_base, _BASES[entry.kind]))
    if bases and not issubclass(found, bases):
        wanted = " or ".join(_BASES[entry.kind]).replace(":", ".")
        raise _fault(
            entry, f"{name} does not inherit from the base class of its kind", expected=f"a subclass of {wanted}"
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(name for name in dir(found) if _is_abstract(found, name)))
        raise _fault(entry, f"{name} lacks methods that its interface requires", expected=f"methods {missing}")
    return found


def classes_in(path: Path) -> list[type[Any]]:
    """The classes that a file defines. Raises PluginError where it can't be imported."""
    module = _import(find("observer", f"{path}:File"))
    return [cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == module.__name__]


def kind_of(cls: type[Any]) -> str | None:
    """The kind of plugin that a class is; None for an abstract class, and for one that is none."""
    if inspect.isabstract(cls):
        return None
    for kind, bases in _BASES.items():
        if any(issubclass(cls, _base(name)) for name in bases):
            return kind
    marked = any(hasattr(method, "embench_impl") for method in vars(cls).values())  # by `embench.hookimpl`
    return "observer" if marked else None


def has_synthesizer(name: str) -> bool:
    """True if synthetic files of a dataset can be written; the generator is not imported."""
    entry = find("dataset", name)
    return entry.synthesizer is not None or hasattr(load_entry(entry), "synthesize")


def synthesizer(name: str) -> Synthesizer:
    """The generator of a dataset: the function that its `registry.yaml` names, else the class's own `synthesize`.

    Raises:
        UsageError: there is no such dataset, or it has no generator.
        PluginError: importing the generator failed, or its module does not have it.
    """
    entry = find("dataset", name)
    if not has_synthesizer(name):
        raise UsageError(f"{entry.name} has no synthesizer", hint="to see how to get its data: embench data status")
    if entry.synthesizer is None:
        return cast("Synthesizer", load_entry(entry).synthesize)
    return cast("Synthesizer", _function(entry, entry.synthesizer))


def describer(name: str) -> Callable[[Path], str]:
    """The function that writes the first description of a folder for a dataset's reader, as text.

    Raises:
        UsageError: there is no such dataset, or it has none.
        PluginError: importing it failed.
    """
    entry = find("dataset", name)
    if entry.describer is None:
        raise UsageError(f"{entry.name} describes no folders")
    return _function(entry, entry.describer)


def converters() -> list[tuple[str, Converter]]:
    """All converters of checkpoints: the full name of the plugin that each is for, and the function. Raises PluginError
    where importing one fails."""
    named = [entry for entry in entries() if entry.converter and not entry.broken]
    return [(entry.full_name, cast("Converter", _function(entry, str(entry.converter)))) for entry in named]


def _function(entry: Entry, target: str) -> Callable[..., Any]:
    """The function beside an entry's class that `registry.yaml` names."""
    entry = replace(entry, target=target)  # so that an error names its place
    module, function = _import(entry), target.rpartition(":")[2]
    found = getattr(module, function, None)
    if not callable(found):
        hint = did_you_mean(function, [key for key, value in vars(module).items() if inspect.isfunction(value)])
        raise _fault(entry, f"{module.__name__} has no function {function}", hint=hint)
    return cast("Callable[..., Any]", found)


def origin(entry: Entry) -> str:
    """Origin of a plugin as `package version, file:line`, found without importing it."""
    if is_object(entry.target):
        return object_facts(entry.target).get("place") or entry.home
    path, line = _class_place(entry)
    return f"{entry.home}, {path or entry.source}{f':{line}' if line else ''}"


def source_file(entry: Entry) -> Path | None:
    """The file of an entry's module, or None where there is no such source."""
    return module_file(entry.target.rpartition(":")[0]) if entry.package else entry.source


def _class_place(entry: Entry) -> tuple[Path | None, int | None]:
    path = source_file(entry) if entry.target else None
    if path is None:
        return None, None
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        return path, getattr(error, "lineno", None)
    name = entry.target.rpartition(":")[2]
    return path, next((n.lineno for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)


def code_files(entry: Entry) -> tuple[str, ...]:
    """The files in which a plugin's own code stands, as tracebacks name them."""
    if is_object(entry.target):
        return tuple(object_facts(entry.target)["files"])
    return (str(source_file(entry)),)


def _base(name: str) -> type[Any]:
    module, _, cls = name.partition(":")
    return cast("type[Any]", getattr(importlib.import_module(module), cls))


def _import(entry: Entry) -> ModuleType:
    with _naming(entry):
        if entry.package:
            return importlib.import_module(entry.target.rpartition(":")[0])
        return _import_file(entry.source, entry.version)


@contextmanager
def _naming(entry: Entry) -> Iterator[None]:
    """Turns exceptions in importing a plugin into a PluginError that names it."""
    try:
        yield
    except EmbenchError:
        raise
    except (Exception, SystemExit) as error:  # the plugin boundary: whatever its import does, say whose it is
        fault = _fault(entry, f"{type(error).__name__}: {error}{_place(error)}", hint=_remedy(entry, error))
        raise lacking(error, f"{entry.kind} `{entry.name}`") or fault from error


class _Source(SourceFileLoader):
    """Compiles a file whenever it is imported. Python's own cache takes a file for unchanged that was edited within the
    same second and has the same size."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _import_file(path: Path, version: str) -> ModuleType:
    name = f"{FILE_MODULES}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{version}"
    if name in sys.modules:
        return sys.modules[name]
    loader = _Source(name, str(path))
    module = importlib.util.module_from_spec(cast("ModuleSpec", importlib.util.spec_from_loader(name, loader)))
    sys.modules[name] = module  # dataclasses and pickle look their module up by name
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _place(error: BaseException) -> str:
    """The place where an import failed: the last line that is not the import machinery's."""
    if isinstance(error, SyntaxError):
        return ""  # its own text says it
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    frames = [f for f in frames if Path(f.filename) not in (Path(__file__), Path(importlib.__file__))]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _remedy(entry: Entry, error: BaseException) -> str | None:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    own = entry.package.partition(".")[0]
    if error.name.partition(".")[0] == own:
        return f"{entry.source} names a module that does not exist in {entry.package}"
    return f"install the missing module {error.name} (its library often has the same name)"


def _is_abstract(cls: type[Any], name: str) -> bool:
    return bool(getattr(getattr(cls, name, None), "__isabstractmethod__", False))


def _fault(entry: Entry, what: str, *, expected: str | None = None, hint: str | None = None) -> PluginError:
    text = f"cannot use {entry.kind} `{entry.name}` of {entry.home}: {what}"
    return PluginError(text, where=origin(entry), expected=expected, hint=hint)
