"""Digest of the behaviour of an object passed from Python, and its recall by a later process."""

from __future__ import annotations

import builtins
import copyreg
import dis
import hashlib
import json
import platform
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from pickle import whichmodule  # type: ignore[attr-defined]
from typing import Any, TypeVar
from urllib.parse import unquote, urlparse

import numpy as np

from embench.errors import MachineError, UsageError
from embench.files import cache_root
from embench.registry.catalogue import (
    display_name,
    has_object,
    installed,
    is_object,
    load_stored_class,
    object_facts,
    register_object,
)
from embench.registry.fragments import module_file
from embench.registry.loading import bare_code, source_closure
from embench.system import installed_version, process_start_s

# Identity of installed code: its version, or for an editable package its source.

_PLACES = {"site-packages", "dist-packages"}


def identify_installed_code(module: str) -> str | None:
    """Return the identity of a module's code: its distribution with version, or a digest of its source if it is
    editable; None for code that is not installed, such as a notebook or a file beside it.

    Raises:
        UsageError: an editable package was edited after this process started, so that imported code may be outdated.
    """
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__", ""):
        return None
    if top in sys.stdlib_module_names:
        return f"python {platform.python_version()}"
    if module.startswith("embench.python."):  # it wraps objects, as plugin code does
        return _digest_codes({module: bare_code(module)}, module)
    if top == "embench":
        return f"embench {installed_version('embench-affect')}"
    place = _locate(top)
    if place is None:
        is_built_in = top in sys.builtin_module_names and not hasattr(sys.modules.get(top), "__file__")
        return top if top in sys.modules and is_built_in else None
    if _PLACES & set(place.parts):
        names = _map_distributions().get(top, ())
        return ", ".join(f"{name} {installed_version(name)}" for name in sorted(set(names))) or _hash_place(place)
    if top in {name.partition(".")[0] for name in installed()} or any(
        root in place.parents for root in _find_editable_roots()
    ):
        return _identify_source(module)
    return None


def _locate(top: str) -> Path | None:
    """Return the file or folder of a top-level module; None if it has none."""
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    found = Path(file) if file else module_file(top)
    return None if found is None else found.resolve()


@cache
def _map_distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


@cache
def _find_editable_roots() -> frozenset[Path]:
    """Return the folders of projects that were installed by `pip install -e`."""
    roots = set()
    for distribution in metadata.distributions():
        about = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = urlparse(str(about.get("url", "")))
        if about.get("dir_info", {}).get("editable") and url.scheme == "file":
            roots.add(Path(unquote(url.path)).resolve())
    return frozenset(roots)


def _hash_place(place: Path) -> str:
    return hashlib.sha256(place.read_bytes()).hexdigest()[:20] if place.is_file() else str(place)


def _identify_source(module: str) -> str:
    """Return a digest of the source of an editable package's module and all modules that it imports."""
    codes, files = source_closure(module)
    for path in files:
        if path.stat().st_mtime > process_start_s():
            raise UsageError(
                f"{module.partition('.')[0]} was edited after this Python process started, so the process may use "
                "old code",
                where=str(path),
                hint="restart Python (in a notebook: the kernel)",
            )
    return _digest_codes(codes, module)


def _digest_codes(codes: dict[str, str], module: str) -> str:
    text = "".join(f"{name}\n{code}\n" for name, code in sorted(codes.items()))
    return f"{module} source {hashlib.sha256(text.encode()).hexdigest()[:20]}"


# Digest of an object's behaviour: equal in every process, different after any change.
#
# Code outside of installed distributions (a notebook's cells, scripts, loose modules) is hashed by value: its bytecode
# without file names and line numbers, defaults, closures, and the globals that it reads. Installed code is hashed by
# name and version, editable packages by their source. Files that the code opens, and manually imported modules
# (`import_module`), are not included.

PYTHON = f"python {sys.version_info.major}.{sys.version_info.minor}"
"""Python version, whose bytecode is hashed."""
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_GLOBAL = ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_OF_C = (
    types.BuiltinFunctionType, types.MethodWrapperType, types.MethodDescriptorType, types.WrapperDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.ClassMethodDescriptorType,
)  # fmt: skip
_NOT_OF_CLASSES = {
    "__dict__", "__weakref__", "__module__", "__firstlineno__", "__static_attributes__", "__annotations_cache__",
    "__slotnames__", "_abc_impl",
}  # fmt: skip
"""Names that Python keeps in a class and that do not change its behaviour."""


@dataclass(frozen=True)
class ObjectContent:
    """Content of an object.

    Args:
        digest: digest of everything that determines its behaviour. `files`: the files with its code.
        loose: top-level names of the modules that it uses and that are not installed. `installed`: installed module
            that it uses -> identity of the module's code.
    """

    digest: str
    files: tuple[str, ...]
    loose: tuple[str, ...]
    installed: Mapping[str, str]


def inspect_object(value: Any) -> ObjectContent:
    """Return the content of an object that a user passes.

    Raises:
        UsageError: it holds an object without a value (an open file, a lock), or a network that exists already and may
            have learned from test subjects; the error names the place inside the object.
    """
    walk = _Walk()
    walk.texts(PYTHON)
    try:
        walk.visit(value)
    except RecursionError as error:
        raise UsageError("the object is nested too deeply to be stored", where=walk.place()) from error
    found = walk.hash.hexdigest()[:20]
    return ObjectContent(
        found, tuple(sorted(walk.files)), tuple(sorted(walk.loose)), dict(sorted(walk.installed.items()))
    )


def list_changed_modules(installed: Mapping[str, str]) -> list[str]:
    """Return the modules of `ObjectContent.installed` whose code differs here, or that are not installed."""
    return [module for module, home in installed.items() if identify_installed_code(module) != home]


class _Walk:
    """A walk through an object that feeds all of it into one hash, in an order that depends only on its content."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.files: set[str] = set()
        self.loose: set[str] = set()
        self.installed: dict[str, str] = {}
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # keeps objects alive, so that no id is reused
        self._path: list[str] = []

    def texts(self, *parts: str | bytes) -> None:
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            self.hash.update(len(data).to_bytes(8, "big") + data)

    def place(self) -> str:
        return ", ".join(self._path)

    @contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        self._path.append(name)
        yield
        self._path.pop()  # not restored after an error: the path then says where

    def visit(self, value: Any) -> None:
        kind = type(value)
        if kind in _PLAIN:
            text = format(value, "x") if kind is int else value if kind in (str, bytes) else repr(value)
            self.texts(kind.__name__, text)
            return
        if kind is tuple:
            self.texts("tuple", str(len(value)))
            self._each(value)
            return
        if id(value) in self._seen:
            self.texts("again", str(self._seen[id(value)]))
            return
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        _choose_walk(value)(self, value)

    def _each(self, values: Iterable[Any]) -> None:
        for value in values:
            self.visit(value)

    def mapping(self, value: Mapping[Any, Any], what: str = "item") -> None:
        self.texts("mapping", str(len(value)))
        for key, item in value.items():
            self.visit(key)
            with self._inside(f"{what} {str(key)[:60]}"):
                self.visit(item)

    def sequence(self, value: Any) -> None:
        self.texts("list", str(len(value)))
        self._each(value)

    def set_(self, value: Any) -> None:
        digests = []
        for item in value:
            item_walk = _Walk()
            item_walk._seen, item_walk._alive, item_walk._path = dict(self._seen), self._alive, self._path
            item_walk.files, item_walk.loose, item_walk.installed = self.files, self.loose, self.installed
            item_walk.visit(item)
            digests.append(item_walk.hash.hexdigest())
        self.texts(type(value).__name__, *sorted(digests))

    def module(self, value: types.ModuleType) -> None:
        home = self._identify(value.__name__)
        self.texts("module", value.__name__, home or "")
        if home is None:
            own = {name: item for name, item in sorted(vars(value).items()) if not name.startswith("__")}
            self.mapping(own, value.__name__)

    def function(self, value: types.FunctionType) -> None:
        if self._hash_by_name(value):
            return
        code, names = value.__code__, vars(sys.modules.get(value.__module__ or "", types.ModuleType("")))
        with self._inside(value.__qualname__):
            self.texts("function", value.__qualname__)
            self.code(code)
            for what, part in (("default", value.__defaults__), ("default", value.__kwdefaults__)):
                with self._inside(what):
                    self.visit(part)
            for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=True):
                with self._inside(f"variable {name}"):
                    self.visit(cell)
            if value.__globals__ is not names or self._identify(value.__module__) is None:
                self._globals(code, value.__globals__)
            with self._inside("attributes"):
                self.visit(dict(vars(value)))
                self.visit(dict(value.__annotations__))

    def _globals(self, code: types.CodeType, known: Mapping[str, Any]) -> None:
        for name in sorted(set(_list_global_names(code))):
            if name in known:
                self.texts("global", name)
                with self._inside(f"global {name}"):
                    self.visit(known[name])
            else:
                self.texts("builtin" if hasattr(builtins, name) else "unknown", name)

    def code(self, value: types.CodeType) -> None:
        self.files.add(value.co_filename)
        numbers = (
            value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags, value.co_stacksize,
        )  # fmt: skip
        self.texts("code", value.co_qualname, repr(numbers), value.co_code, value.co_exceptiontable)
        for names in (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars):
            self.visit(names)
        for constant in value.co_consts:
            if isinstance(constant, types.CodeType):
                self.code(constant)
            else:
                self.visit(constant)
        for step in dis.get_instructions(value):
            if step.opname == "IMPORT_NAME" and self._identify(str(step.argval)) is None:
                raise UsageError(
                    f"`{value.co_qualname}` imports {step.argval or 'a neighbour'} when called, so embench cannot "
                    "detect later edits of that module",
                    where=self.place(),
                    expected="imports of your own modules at the top of the cell or file",
                )

    def cell(self, value: types.CellType) -> None:
        try:
            content = value.cell_contents
        except ValueError:  # not assigned yet
            self.texts("empty")
            return
        self.visit(content)

    def class_(self, value: type[Any]) -> None:
        if self._hash_by_name(value):
            return
        with self._inside(value.__qualname__):
            self.texts("class", value.__qualname__)
            self.visit(type(value))
            self.visit(value.__bases__)
            for name, item in vars(value).items():
                own = isinstance(item, types.GetSetDescriptorType | types.MemberDescriptorType)
                if name not in _NOT_OF_CLASSES:
                    self.texts(name)
                    if not own:  # of `__slots__`, which stand there themselves
                        with self._inside(name):
                            self.visit(item)

    def method(self, value: types.MethodType) -> None:
        self.texts("method")
        self._each((value.__func__, value.__self__))

    def builtin(self, value: Any) -> None:
        owner = getattr(value, "__objclass__", None) or getattr(value, "__self__", None)
        module = getattr(value, "__module__", None)
        self.texts(type(value).__name__, getattr(value, "__qualname__", value.__name__), module or "")
        if isinstance(owner, types.ModuleType) or module:
            name = str(module or getattr(owner, "__name__", ""))
            if name != "builtins" and self._identify(name) is None:
                raise self._make_fault(value, f"compiled code is not supported: install {name} as a package")
        if owner is not None and not isinstance(owner, types.ModuleType):
            self.visit(owner)

    def property_(self, value: property) -> None:
        self.texts("property")
        self._each((value.fget, value.fset, value.fdel))

    def bound_to_class(self, value: Any) -> None:
        self.texts(type(value).__name__)
        self.visit(value.__func__)

    def array(self, value: np.ndarray) -> None:
        self.texts("array", value.dtype.str, repr(value.shape))
        if value.dtype.hasobject:
            self._each(value.ravel().tolist())
        else:
            self.visit(value.dtype)
            self.texts(np.ascontiguousarray(value).tobytes())

    def tensor(self, value: Any) -> None:
        import torch

        plain = value.detach().cpu().contiguous().reshape(-1)
        self.texts("tensor", str(value.dtype), repr(tuple(value.shape)), str(value.requires_grad))
        self.texts(plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b"")

    def network(self, value: Any) -> None:
        raise UsageError(
            f"a network that exists already ({type(value).__name__}): its weights may come from test subjects, and "
            "all folds would train the same weights",
            where=self.place(),
            expected="code that makes a new network for each fold and seed",
            hint="embench.make_encoder(make), where make(channels, samples) returns a new network each time",
        )

    def cached(self, value: Any) -> None:
        if self._identify(value.__module__) is None:
            raise self._make_fault(value, f"pickle identifies {value.__qualname__} by its name only")
        self.texts("lru_cache", str(value.__module__), value.__qualname__, str(self._identify(value.__module__)))

    def type_variable(self, value: TypeVar) -> None:
        self.texts("type variable", value.__name__, repr((value.__covariant__, value.__contravariant__)))
        self._each((value.__bound__, value.__constraints__))

    def object_(self, value: Any) -> None:
        """Hash an object by the parts into which pickle would take it apart."""
        kind = type(value)
        try:
            reduce = copyreg.dispatch_table.get(kind)
            parts = reduce(value) if reduce else value.__reduce_ex__(4)
        except (TypeError, AttributeError, RuntimeError, NotImplementedError) as error:
            raise self._make_fault(value, str(error)) from error
        if isinstance(parts, str):
            home = getattr(value, "__module__", None) or whichmodule(value, parts)
            if self._identify(home) is None:
                raise self._make_fault(value, f"pickle identifies it by its name {parts} only")
            self.texts("object", kind.__module__, kind.__qualname__, parts)
            return
        self.texts("object", str(len(parts)))
        make, arguments, state, items, pairs, *more = (*parts, None, None, None, None)[:6]
        self._each((make, arguments))
        with self._inside(kind.__name__):
            if isinstance(state, dict):
                self.mapping(state, "attribute")
            else:
                self.visit(state)
            self.visit(None if items is None else list(items))
            self.visit(None if pairs is None else [list(pair) for pair in pairs])
            self._each(more)

    def _hash_by_name(self, value: Any) -> bool:
        """Hash a class or function of installed code by its name and version; return False for other values."""
        module = getattr(value, "__module__", None)
        named: Any = sys.modules.get(module or "")
        for part in value.__qualname__.split("."):
            named = getattr(named, part, None)
        home = self._identify(module) if named is value else None
        if home is not None:
            self.texts("name", str(module), value.__qualname__, home)
        elif named is value and module != "__main__":
            self.loose.add(str(module).partition(".")[0])
        return home is not None

    def _identify(self, module: str | None) -> str | None:
        identity = identify_installed_code(module) if module else None
        if identity is None and module and module in sys.modules and module != "__main__":
            self.loose.add(module.partition(".")[0])
        if identity is not None:
            self.installed[str(module)] = identity
        return identity

    def _make_fault(self, value: Any, why: str) -> UsageError:
        return UsageError(
            f"cannot store a {type(value).__name__} with the object: {why}",
            where=self.place(),
            expected="functions, classes, numbers, texts, arrays, and objects that pickle can store",
            hint="create it inside the function that needs it",
        )


_WALKS: tuple[tuple[type[Any] | tuple[type[Any], ...], Callable[[_Walk, Any], None]], ...] = (
    (types.FunctionType, _Walk.function),
    (type, _Walk.class_),
    (types.ModuleType, _Walk.module),
    (types.CodeType, _Walk.code),
    (types.CellType, _Walk.cell),
    (types.MethodType, _Walk.method),
    (_OF_C, _Walk.builtin),
    (property, _Walk.property_),
    ((classmethod, staticmethod), _Walk.bound_to_class),
    (types.MappingProxyType, _Walk.mapping),
    (TypeVar, _Walk.type_variable),
)
_EXACT: dict[type[Any], Callable[[_Walk, Any], None]] = {
    dict: _Walk.mapping,
    list: _Walk.sequence,
    set: _Walk.set_,
    frozenset: _Walk.set_,
    np.ndarray: _Walk.array,
}


def _choose_walk(value: Any) -> Callable[[_Walk, Any], None]:
    """Return the method that hashes a value of this type."""
    if type(value) in _EXACT:
        return _EXACT[type(value)]
    if callable(getattr(value, "cache_parameters", None)) and hasattr(value, "__wrapped__"):
        return _Walk.cached
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.nn.Module | torch.nn.Parameter):
        return _Walk.network
    if torch is not None and isinstance(value, torch.Tensor):
        return _Walk.tensor
    return next((walk for kinds, walk in _WALKS if isinstance(value, kinds)), _Walk.object_)


def _list_global_names(code: types.CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname in _GLOBAL:
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _list_global_names(constant)


# Objects of finished runs, read from the user's own cache by a later process.


def recall_objects(names: Iterable[str]) -> None:
    """Register the classes that a record names, from this user's cache, where an earlier process stored them. This is
    safe for anybody's record, since only this user can write to the cache.

    Raises:
        UsageError: a class is not stored here, or installed code that it uses has changed.
    """
    for name in names:
        if is_object(name) and not has_object(name):
            _recall(name)


def _recall(name: str) -> None:
    """Register one stored class; see `recall_objects`."""
    try:
        facts = object_facts(name)
    except (MachineError, IndexError):
        why = "is not in this cache"
    else:
        changed = list_changed_modules(facts.get("installed", {}))
        if facts.get("python") == PYTHON and not changed:
            register_object(name, load_stored_class(name))
            return
        why = f"uses code that has changed since: {', '.join(changed) or 'Python'}"
    raise UsageError(
        f"{display_name(name)} was given from Python and {why}",
        where=str(cache_root()),
        expected="the code, libraries and cache that the run had",
        hint="define the object again, repeat the same call of embench.run, and use its result, as in "
        "result.predict(..)",
    )
