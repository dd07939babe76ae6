"""Import of an entry's class at first use: its interface, its code identity, and hooks for observers."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path, PurePath
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

import pluggy

from embench.errors import EmbenchError, PluginError, UsageError
from embench.files import cached
from embench.registry.catalogue import entries, find, installed, is_object, load_object_class, object_facts
from embench.registry.fragments import BUNDLED, Entry, module_file
from embench.system import explain_missing_library
from embench.vocabulary import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    from embench.interfaces.conversion import Converter
    from embench.interfaces.dataset import Synthesizer


# Import of an entry's class at first use, checked against the interface of its kind.

_BASES = {
    "dataset": ("embench.interfaces.dataset:Dataset",),
    "encoder": ("embench.interfaces.encoder:Encoder",),
    "pretrainer": ("embench.interfaces.pretrainer:Pretrainer",),
    "fusion": ("embench.interfaces.fusion:Fusion", "embench.interfaces.fusion:Estimator"),
    "metric": ("embench.interfaces.metric:Metric",),
    "observer": (),  # any class: its hooks are checked against the hook specifications
}


FILE_MODULES = "embench_file_"
"""Prefix of module names for user files."""


def load_plugin(kind: str, name: str) -> type[Any]:
    """Return the class of the plugin with this name.

    Raises:
        UsageError: unknown plugin.
        PluginError: importing it failed, or it does not meet its kind's interface; the error names plugin, package and
            place.

    >>> load_plugin("metric", "auroc").__name__
    'Auroc'
    """
    return load_entry(find(kind, name))


def load_entry(entry: Entry) -> type[Any]:
    """Return the class of an entry. Raises PluginError as `load_plugin` does."""
    if not is_object(entry.target):
        return _load_module(entry)
    with _report_import(entry):
        found = load_object_class(entry)
    return _check_class(entry, found)


def reload_entry(entry: Entry) -> type[Any]:
    """Import the class of an entry again, from its package or file. Raises PluginError as `load_plugin` does."""
    return _load_module.__wrapped__(entry)


@cache
def _load_module(entry: Entry) -> type[Any]:
    module, name = _import(entry), entry.target.rpartition(":")[2]
    found = getattr(module, name, None)
    if found is None:
        hint = did_you_mean(name, [key for key, value in vars(module).items() if isinstance(value, type)])
        raise _make_fault(entry, f"{module.__name__} has no class {name}", hint=hint)
    if not isinstance(found, type):
        raise _make_fault(entry, f"{name} is a {type(found).__name__}, not a class")
    return _check_class(entry, found)


def _check_class(entry: Entry, found: type[Any]) -> type[Any]:
    """Return the class unchanged. Raises PluginError if it lacks the base class of its kind, or required methods."""
    name = found.__name__
    bases = tuple(map(_load_base, _BASES[entry.kind]))
    if bases and not issubclass(found, bases):
        wanted = " or ".join(_BASES[entry.kind]).replace(":", ".")
        raise _make_fault(
            entry, f"{name} does not inherit from the base class of its kind", expected=f"a subclass of {wanted}"
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(name for name in dir(found) if _is_abstract(found, name)))
        raise _make_fault(entry, f"{name} lacks methods that its interface requires", expected=f"methods {missing}")
    return found


def classes_in(path: Path) -> list[type[Any]]:
    """Return the classes that a file defines. Raises PluginError if it cannot be imported."""
    module = _import(find("observer", f"{path}:File"))
    return [cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == module.__name__]


def find_kind(cls: type[Any]) -> str | None:
    """Return the plugin kind of a class; None for abstract classes and classes that are not plugins."""
    if inspect.isabstract(cls):
        return None
    for kind, bases in _BASES.items():
        if any(issubclass(cls, _load_base(name)) for name in bases):
            return kind
    marked = any(hasattr(method, "embench_impl") for method in vars(cls).values())  # by `embench.hookimpl`
    return "observer" if marked else None


def has_synthesizer(name: str) -> bool:
    """Return True if synthetic files of a dataset can be written; the generator is not imported."""
    entry = find("dataset", name)
    return entry.synthesizer is not None or hasattr(load_entry(entry), "synthesize")


def synthesizer(name: str) -> Synthesizer:
    """Return the generator of a dataset: the function that its `registry.yaml` names, else the class's `synthesize`.

    Raises:
        UsageError: unknown dataset, or it has no generator.
        PluginError: importing the generator failed, or its module does not have it.
    """
    entry = find("dataset", name)
    if not has_synthesizer(name):
        raise UsageError(f"{entry.name} has no synthesizer", hint="to see how to get its data: embench data status")
    if entry.synthesizer is None:
        return cast("Synthesizer", load_entry(entry).synthesize)
    return cast("Synthesizer", _load_function(entry, entry.synthesizer))


def describer(name: str) -> Callable[[Path], str]:
    """Return the function that writes a first description of a folder for a dataset's reader, as text.

    Raises:
        UsageError: unknown dataset, or its reader has no such function.
        PluginError: importing it failed.
    """
    entry = find("dataset", name)
    if entry.describer is None:
        raise UsageError(f"{entry.name} describes no folders")
    return _load_function(entry, entry.describer)


def converters() -> list[tuple[str, Converter]]:
    """Return the full name and function of each checkpoint converter. Raises PluginError if an import fails."""
    named = [entry for entry in entries() if entry.converter and not entry.broken]
    return [(entry.full_name, cast("Converter", _load_function(entry, str(entry.converter)))) for entry in named]


def _load_function(entry: Entry, target: str) -> Callable[..., Any]:
    """Return the function `target` (`module:function`) that an entry of `registry.yaml` names besides its class."""
    entry = replace(entry, target=target)  # so that an error names its place
    module, function = _import(entry), target.rpartition(":")[2]
    found = getattr(module, function, None)
    if not callable(found):
        hint = did_you_mean(function, [key for key, value in vars(module).items() if inspect.isfunction(value)])
        raise _make_fault(entry, f"{module.__name__} has no function {function}", hint=hint)
    return cast("Callable[..., Any]", found)


def origin(entry: Entry) -> str:
    """Return the origin of a plugin as `package version, file:line`, found without importing it."""
    if is_object(entry.target):
        return object_facts(entry.target).get("place") or entry.home
    path, line = _find_class(entry)
    return f"{entry.home}, {path or entry.source}{f':{line}' if line else ''}"


def source_file(entry: Entry) -> Path | None:
    """Return the file of an entry's module; None without source."""
    return module_file(entry.target.rpartition(":")[0]) if entry.package else entry.source


def _find_class(entry: Entry) -> tuple[Path | None, int | None]:
    """Return the file and line of an entry's class, without importing it; None where they cannot be found."""
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
    """Return the files of a plugin's own code, as tracebacks name them."""
    if is_object(entry.target):
        return tuple(object_facts(entry.target)["files"])
    return (str(source_file(entry)),)


def _load_base(name: str) -> type[Any]:
    module, _, cls = name.partition(":")
    return cast("type[Any]", getattr(importlib.import_module(module), cls))


def _import(entry: Entry) -> ModuleType:
    with _report_import(entry):
        if entry.package:
            return importlib.import_module(entry.target.rpartition(":")[0])
        return _import_file(entry.source, entry.version)


@contextmanager
def _report_import(entry: Entry) -> Iterator[None]:
    """Turn exceptions during a plugin's import into a PluginError that names it."""
    try:
        yield
    except EmbenchError:
        raise
    except (Exception, SystemExit) as error:  # plugin boundary: any import error names its plugin
        fault = _make_fault(
            entry, f"{type(error).__name__}: {error}{_describe_place(error)}", hint=_suggest_remedy(entry, error)
        )
        raise explain_missing_library(error, f"{entry.kind} `{entry.name}`") or fault from error


class _Source(SourceFileLoader):
    """Loader that compiles a file at every import. Python's cache misses an edit that keeps second and size."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _import_file(path: Path, version: str) -> ModuleType:
    """Import a user's file as a module whose name contains the version, so that an edited file is imported again."""
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


def _describe_place(error: BaseException) -> str:
    """Return the place where an import failed: the last line outside the import machinery."""
    if isinstance(error, SyntaxError):
        return ""  # its text says so
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    frames = [f for f in frames if Path(f.filename) not in (Path(__file__), Path(importlib.__file__))]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _suggest_remedy(entry: Entry, error: BaseException) -> str | None:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    own = entry.package.partition(".")[0]
    if error.name.partition(".")[0] == own:
        return f"{entry.source} names a module that does not exist in {entry.package}"
    return f"install the missing module {error.name} (its library often has the same name)"


def _is_abstract(cls: type[Any], name: str) -> bool:
    return bool(getattr(getattr(cls, name, None), "__isabstractmethod__", False))


def _make_fault(entry: Entry, what: str, *, expected: str | None = None, hint: str | None = None) -> PluginError:
    text = f"cannot use {entry.kind} `{entry.name}` of {entry.home}: {what}"
    return PluginError(text, where=origin(entry), expected=expected, hint=hint)


# Code identity of a plugin's results, as text for cache keys and stage ids.


@cached
def code_identity(kind: str, name: str) -> str:
    """Return the identity of a plugin's code; equal identity means equal results.

    For an installed wheel of another package it is the version and `revision`, which authors increase when results
    change. Otherwise (a bundled plugin, an editable install, a file) it is the source, without comments and docstrings,
    of the plugin's module and of all modules of its package that it imports. Data files and manual imports
    (`import_module`) are not included.

    Raises:
        UsageError: unknown plugin.
        PluginError: its source can't be found or read.
    """
    entry = find(kind, name)
    if is_object(entry.target):
        return f"object {entry.target.split(':')[1]}"  # derived from everything that determines its behaviour
    target = entry.target.rpartition(":")
    if entry.package != BUNDLED and _is_from_wheel(entry):
        return f"{entry.package} {entry.version} {entry.target} revision {entry.revision}"
    return f"{entry.package or 'file'} {target[0] if entry.package else ''}:{target[2]} source {_hash_source(entry)}"


def _is_from_wheel(entry: Entry) -> bool:
    """Return True if the package's distribution installed its files, which an editable install does not."""
    package = installed().get(entry.package)
    distribution = package.distribution if package else None
    if distribution is None:
        return False
    inside = f"{entry.package.replace('.', '/')}/registry.yaml"
    listed = any(file.as_posix() == inside for file in distribution.files or ())
    return listed and Path(str(distribution.locate_file(inside))).resolve() == entry.source.resolve()


def _hash_source(entry: Entry) -> str:
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
    """Return {module name: code} of a module and all modules of its package that it imports, and a list of their files.
    Nothing is imported."""
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
    """Return the code of a module without comments and docstrings; empty without source."""
    path = module_file(module)
    return "" if path is None else _read(path, module)[0]


@cached
def _read(path: Path, module: str = "") -> tuple[str, tuple[str, ...]]:
    """Return a file's code without comments and docstrings, and the modules that it imports."""
    return _parse(path.read_bytes(), module, path.name == "__init__.py")


@cache
def _parse(source: bytes, module: str, is_package: bool) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(source)
    imported = tuple(_list_imports(tree, module, is_package=is_package))
    return ast.unparse(_strip_docstrings(tree)), imported


def _list_imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
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


def _strip_docstrings(tree: ast.Module) -> ast.Module:
    """Return the syntax tree, which has no comments, without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(ast.Constant(str())), *rest]:
                    node.body = rest or [ast.Pass()]
    return tree


# Hooks of a run for observers, and their calls: observers receive copies, and cannot stop or change a run.

PROJECT = "embench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an observer's methods: `@embench.hookimpl`. A method may leave out arguments that it does not need."""


Event = Literal["run_started", "stage_started", "epoch_ended", "stage_ended", "run_ended"]


class LifecycleSpec:
    """Events of a run, in order. Mappings hold plain values: text, numbers, lists, mappings.

    >>> class Losses:
    ...     @hookimpl
    ...     def epoch_ended(self, epoch, figures):
    ...         print(epoch, figures["loss"])
    >>> Observers([Losses()]).tell("epoch_ended", stage={"kind": "fit"}, epoch=1, figures={"loss": 0.7})
    1 0.7
    """

    @hookspec
    def run_started(self, run: Mapping[str, Any]) -> None:
        """Called when a run begins; `run` is its resolved configuration."""

    @hookspec
    def stage_started(self, stage: Mapping[str, Any]) -> None:
        """Called when a stage begins; `stage` has `id`, `kind`, `runs` (ids of the runs that need it: runs of a grid
        share stages) and, where they apply, `fold`, `seed`, `modality`, `target`."""

    @hookspec
    def epoch_ended(self, stage: Mapping[str, Any], epoch: int, figures: Mapping[str, Any]) -> None:
        """Called after an epoch (from 1) of a stage; `figures` has the losses and further figures of the method."""

    @hookspec
    def stage_ended(self, stage: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        """Called when a stage is done; `figures` has its cost."""

    @hookspec
    def run_ended(self, run: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Called after a run's record is written; `scores`: content of `scores.json`, as for
        `embench.Scores(scores)`."""


class Observers:
    """Call observers one after the other; one that raises is disabled with a warning, and the others continue.

    Args:
        observers: objects with methods marked by `hookimpl`.

    Raises:
        PluginError: an observer has no hook, or a hook that `LifecycleSpec` lacks.
    """

    def __init__(self, observers: Iterable[object] = ()) -> None:
        self._active = [(_get_title(observer), _make_manager(observer)) for observer in observers]

    @classmethod
    def named(cls, names: Sequence[str]) -> Observers:
        """Return observers by name, each made without arguments.

        Raises:
            UsageError: unknown observer.
            PluginError: an observer cannot be imported or made, or has no hook.
        """
        observers = []
        for name in names:
            entry = find("observer", name)
            try:
                observers.append(load_entry(entry)())
            except EmbenchError:
                raise
            except Exception as error:  # the plugin boundary
                problem = f"cannot create observer `{entry.name}` of {entry.home}: {type(error).__name__}: {error}"
                raise PluginError(problem, where=origin(entry)) from error
        return cls(observers)

    def tell(self, hook: Event, **event: Any) -> None:
        """Pass an event to every observer, with the arguments that its hook takes."""
        for title, manager in list(self._active):
            own = {key: to_plain(value) for key, value in event.items()}  # copies, which observers may change
            try:
                getattr(manager.hook, hook)(**own)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # the plugin boundary
                self._active.remove((title, manager))
                problem = f"{type(error).__name__}: {error}"
                warnings.warn(f"observer {title} is disabled, because it raised in {hook}: {problem}", stacklevel=2)


def to_plain(value: Any) -> Any:
    """Return a deep copy of plain values. Raises TypeError for other values: no array or model is passed on by mistake.

    >>> to_plain({"targets": ("arousal", "valence")})
    {'targets': ['arousal', 'valence']}
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # one number of numpy or torch
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [to_plain(item) for item in value]
        return items if isinstance(value, list | tuple) else sorted(items, key=str)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"an event must contain plain values only, not {type(value).__name__}")


def _get_title(observer: object) -> str:
    return f"{type(observer).__module__}.{type(observer).__qualname__}"


def _make_manager(observer: object) -> pluggy.PluginManager:
    """Return a manager that calls an observer's hooks. Raises PluginError if these do not match `LifecycleSpec`."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(LifecycleSpec)
    try:
        manager.register(observer)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = ", ".join(name for name in vars(LifecycleSpec) if not name.startswith("_"))
        raise PluginError(
            f"observer {_get_title(observer)} does not match the hooks: {error}", expected=f"hooks {known}"
        ) from error
    if not manager.get_hookcallers(observer):
        hint = "mark its methods with @embench.hookimpl"
        raise PluginError(f"observer {_get_title(observer)} implements no hook", hint=hint)
    return manager
