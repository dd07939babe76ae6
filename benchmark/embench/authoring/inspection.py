"""Looks through installed packages and single files: the entry, the import and the conformance of every plugin.

Each plugin is imported and tried in a process of its own, so that none can harm the next, or this one.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from embench import registry
from embench.data.locations import data_folder
from embench.errors import CheckFailed, EmbenchError, MachineError, PluginError, UsageError
from embench.registry.catalogue import installed
from embench.registry.fragments import Entry, Package, folders
from embench.registry.loading import FILE_MODULES, classes_in, kind_of, load_anew
from embench.registry.naming import did_you_mean
from embench.system import in_fresh_process, lacking

LONG_IMPORT_S = 1.0
"""Seconds of an import from which on it is a fault: every command that uses the plugin, and every worker, waits."""

_LIBRARIES = "embench.testing"
"""The package that processes have imported before they import a plugin."""

_LENGTH_S = 30.0
_SUBJECTS = 4
"""Synthetic subjects on which a dataset's reader is tried."""


@dataclass(frozen=True)
class PluginCheck:
    """The result of one check of a plugin.

    Args:
        plugin: its kind and name.
        check: `registry.yaml`, `import` or `conformance`.
        fault: what is wrong, or None.
        where: where in the plugin.
        remedy: what was expected, or what to do.
        skipped: why it was not checked, or None.
        seconds: how long the check took.
        trace: the traceback of what the plugin raised, or None.
    """

    plugin: str
    check: str
    fault: str | None = None
    where: str | None = None
    remedy: str | None = None
    skipped: str | None = None
    seconds: float = 0.0
    trace: str | None = None


def look_through(target: str, data_root: Path | None = None) -> Iterator[PluginCheck]:
    """The findings of a package's plugins, one by one as they are checked.

    Args:
        target: a plugin's name, a package, the folder of one that is installed, `package/name`, `FILE.py` or
            `FILE.py:CLASS`.
        data_root: where files of datasets are; a dataset without any is checked on synthetic ones.

    Raises:
        UsageError: there is no such package or file; says how to install one that is not.
    """
    path, _, cls = target.rpartition(":") if ".py:" in target else (target, "", "")
    try:
        found = _in_file(Path(path), cls) if path.endswith(".py") else _installed(target)
    except PluginError as error:
        yield PluginCheck(path, "import", error.what, error.where, error.hint or error.expected)
        return
    for entry in found:
        yield from _of_entry(entry, data_root)


def _installed(target: str) -> list[Entry]:
    if Path(target).is_dir() and (package := _of_folder(Path(target))):
        return list(package.entries)
    name, _, plugin = target.partition("/")
    package = installed().get(name) or _of_distribution(name)
    if package is None and (named := [entry for entry in registry.entries() if entry.name == target]):
        return named
    if package is None:
        known = [offered for offered in installed() if offered != registry.BUNDLED]
        hint = (
            did_you_mean(name, [*known, *(entry.name for entry in registry.entries())])
            or "install the package first: pip install -e FOLDER"
        )
        raise UsageError(f"no installed package `{name}` offers plugins", expected=_expected(known), hint=hint)
    if not plugin:
        return list(package.entries)
    found = [entry for entry in package.entries if entry.name == plugin]
    if not found:
        near = did_you_mean(plugin, [entry.name for entry in package.entries])
        raise UsageError(f"{name} offers no plugin `{plugin}`", hint=near or f"embench plugin check {name}")
    return found


def _expected(known: list[str]) -> str:
    return f"{', '.join(known) or 'an installed package'}, the name of a plugin, a folder or FILE.py:CLASS"


def _of_distribution(name: str) -> Package | None:
    """The package of a distribution: what pip calls embench-mine may be embench_mine."""
    same = (p for p in installed().values() if p.distribution and p.distribution.name == name)
    return next(same, None)


def _of_folder(folder: Path) -> Package | None:
    """The installed package whose modules lie in a folder. Raises UsageError where none does and it is a project."""
    inside = folder.resolve()
    for package in installed().values():
        if any(inside in (place.resolve(), *place.resolve().parents) for place in folders(package.name)):
            return package
    if (folder / "pyproject.toml").is_file():
        raise UsageError(
            f"the package in {folder} is not installed, so commands cannot find its plugins",
            expected='an entry point in the group "embench" of its pyproject.toml, with the package as value',
            hint=f"pip install -e {folder if folder.is_absolute() else f'./{folder.as_posix()}'}",
        )
    return None


def _in_file(path: Path, cls: str) -> list[Entry]:
    if not path.is_file():
        raise UsageError(f"the file {path} does not exist", expected="FILE.py or FILE.py:CLASS")
    listed = in_fresh_process(f"while importing {path}", _classes, path, module=_LIBRARIES)
    found = [(kind, name) for kind, name in listed if cls in ("", name)]
    if not found:
        what = f"class {cls} in {path} is not a plugin" if cls else f"no class in {path} is a plugin"
        expected = "a subclass of Dataset, Encoder, Pretrainer, Fusion, Estimator or Metric, or hooks of an observer"
        raise UsageError(what, expected=expected)
    return [registry.find(kind, f"{path}:{name}") for kind, name in found]


def _classes(path: Path) -> list[tuple[str, str]]:
    """Kind and name of every plugin that a file defines. Raises PluginError where it can't be imported."""
    with _captured():
        return [(kind, cls.__name__) for cls in classes_in(path) if (kind := kind_of(cls))]


def _of_entry(entry: Entry, data_root: Path | None) -> Iterator[PluginCheck]:
    plugin = _title(entry)
    if entry.broken:
        remedy = "correct the file as shown in docs/guide/plugins/package.md"
        yield PluginCheck(plugin, "registry.yaml", entry.broken, str(entry.source), remedy)
        return
    if entry.package:
        yield _clash(entry, plugin)
    root = data_folder(entry, data_root) if entry.kind == "dataset" else None
    root = root if root is not None and root.is_dir() else None
    try:
        yield from in_fresh_process(
            f"while trying {plugin}", _try, entry.kind, entry.full_name, root, module=_LIBRARIES
        )
    except MachineError as error:
        yield PluginCheck(plugin, "import", error.what, None, "code that does not end the process")


def _title(entry: Entry) -> str:
    return f"{entry.kind} {entry.name if entry.package else entry.target.rpartition(':')[2]}"


def _clash(entry: Entry, plugin: str) -> PluginCheck:
    others = [e for e in registry.entries(entry.kind) if e.name == entry.name and e.package != entry.package]
    if not others or entry.package == registry.BUNDLED:
        return PluginCheck(plugin, "registry.yaml")
    means = f"means {others[0].full_name}" if others[0].package == registry.BUNDLED else "is refused"
    fault = f"{' and '.join(e.full_name for e in others)} has the same name, so `{entry.name}` {means}"
    remedy = f"choose another name; otherwise users must type {entry.full_name}"
    return PluginCheck(plugin, "registry.yaml", fault, str(entry.source), remedy)


def _try(kind: str, name: str, root: Path | None) -> list[PluginCheck]:
    """The import and the conformance of one plugin, in a process in which no other was imported."""
    entry = registry.find(kind, name)
    plugin, findings = _title(entry), list[PluginCheck]()
    for check, work in (("import", _import), ("conformance", _conformance)):
        began = time.perf_counter()
        fault = where = remedy = skipped = trace = None
        try:
            skipped = work(entry, root)
        except EmbenchError as error:
            fault, where = error.what, error.where
            remedy = "; ".join(part for part in (error.hint, error.expected and f"expected {error.expected}") if part)
            trace = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else None
        except BaseException as error:  # the plugin boundary, sys.exit too
            if lacking(error):  # nothing can be checked here
                raise
            fault, trace = f"the plugin raised {type(error).__name__}: {error}", traceback.format_exc()
        seconds = time.perf_counter() - began
        findings.append(PluginCheck(plugin, check, fault, where, remedy, skipped, seconds, trace))
        if fault:
            break
    return findings


def _import(entry: Entry, _: Path | None) -> None:
    from embench.testing.require import random_states, set_seeds

    where, before = registry.origin(entry), random_states()
    with _captured() as printed:
        began = time.perf_counter()
        registry.load(entry.kind, entry.full_name)
        seconds = time.perf_counter() - began
    if text := printed.getvalue().strip():
        raise CheckFailed(f"the import prints: {text[:200]}", where=where, expected="an import that prints nothing")
    after = random_states()
    if after != before:  # libraries may draw when they are imported; a seed leads to the same state from any other
        set_seeds(1)
        _import_again(entry)
        same = [name for name, state in random_states().items() if state == after[name]]
        what = f"the import sets the seed of {', '.join(same)}"
        if same:
            raise CheckFailed(what, where=where, expected="no global seed; embench seeds every stage of a run")
    if seconds > LONG_IMPORT_S and (own := _import_again(entry)) > LONG_IMPORT_S:
        raise CheckFailed(
            f"the import takes {own:.1f} s without the libraries that it imports",
            where=where,
            expected=f"less than {LONG_IMPORT_S:g} s, because every command and worker that uses the plugin waits",
            hint="load files in `build` or at first use, not at import",
        )


def _import_again(entry: Entry) -> float:
    """Imports the plugin's own modules once more, and says in how many seconds: without libraries, which are there."""
    top = entry.package.partition(".")[0]
    own = {
        name: module for name, module in sys.modules.items()
        if (name.partition(".")[0] == top if top else name.startswith(FILE_MODULES))
    }  # fmt: skip
    for name in own:
        del sys.modules[name]
    began = time.perf_counter()
    try:
        with _captured(), contextlib.suppress(EmbenchError):
            load_anew(entry)
    finally:
        sys.modules.update(own)
    return time.perf_counter() - began


def _conformance(entry: Entry, root: Path | None) -> str | None:
    from embench.testing import check

    cls = registry.load(entry.kind, entry.full_name)
    if entry.kind != "dataset":
        check(entry.kind, cls)
        return None
    if root is not None:
        check("dataset", cls, root)
        return None
    if not registry.has_synthesizer(entry.full_name):
        return "no data found and no synthesizer available: name a folder with --data-root"
    write = registry.synthesizer(entry.full_name)
    if "length_s" in inspect.signature(write).parameters:
        write = partial(write, length_s=_LENGTH_S)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "made"
        write(folder, subjects=_SUBJECTS, seed=0, effect=1.0)
        check("dataset", cls, folder)
    return None


@contextlib.contextmanager
def _captured() -> Iterator[io.StringIO]:
    """Captures stdout for the duration of the context."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        yield text
