"""Packages of plugins: `embench plugin new` writes them, `embench plugin check` checks them."""

from __future__ import annotations

import contextlib
import inspect
import io
import keyword
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from pathlib import Path
from string import Template

from embench import registry
from embench.data import data_folder
from embench.errors import CheckFailed, EmbenchError, MachineError, PluginError, UsageError
from embench.files import aside, temporary
from embench.registry.catalogue import entries, installed
from embench.registry.fragments import PLUGIN_KINDS, Entry, Package, folders
from embench.registry.loading import FILE_MODULES, classes_in, find_kind, reload_entry
from embench.system import explain_missing_library, in_fresh_process
from embench.vocabulary import did_you_mean

# Writing a package with a first plugin that can be installed, tested and run.

NO_AUTHOR = "TODO: your name"
"""Name of the author in new packages if neither the option nor git names one."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SYNTHESIZE = (
    "embench data synthesize amigos --out data/amigos --subjects 18 --length-s 30"  # enough for a primary metric
)
_SHORT = "--recipe quick --seeds 0 --data-root data"
_RUN = f"embench run --dataset amigos --target arousal {_SHORT} --modalities"


@dataclass(frozen=True)
class _Kind:
    """Parts of a new package that depend on the kind of its plugin: kind, summary and other fields in `registry.yaml`,
    and commands for trying it."""

    registered_as: str
    summary: str
    fields: str
    commands: tuple[str, ...]


_KINDS = {
    "dataset": _Kind(
        "dataset", "Twelve videos, one file per subject.", 'modalities: [eda, temp]\nlicence: "MIT"',
        ("embench data synthesize $name --out data/$name --subjects 24",
         f"embench run --dataset $name --encoder handcrafted --fusion logreg {_SHORT}"),
    ),
    "encoder": _Kind(
        "encoder", "One token per second of a signal.", "modalities: [ecg, ppg, eda, resp, temp]",
        (_SYNTHESIZE, f"{_RUN} eda --encoder $name"),
    ),
    "pretrainer": _Kind(
        "pretrainer", "Detects time-reversed windows.", "",
        (_SYNTHESIZE, f"{_RUN} eda --encoder cnn_tf --pretrainer $name"),
    ),
    "fusion": _Kind(
        "fusion", "The mean of the available modalities.", "",
        (_SYNTHESIZE, f"{_RUN} ecg,eda --encoder tcn --fusion $name"),
    ),
    "estimator": _Kind(
        "fusion", "Gaussian naive Bayes on features.", "",
        (_SYNTHESIZE, f"{_RUN} ecg,eda --encoder handcrafted --fusion $name"),
    ),
    "metric": _Kind("metric", "Youden's J.", "", (_SYNTHESIZE, f"{_RUN} eda --encoder handcrafted --fusion logreg")),
    "observer": _Kind(
        "observer", "Writes one line per epoch.", "", (_SYNTHESIZE, f"{_RUN} eda --encoder tcn --observer $name")
    ),
}  # fmt: skip

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "test.yml",
    "$package/__init__.py": "init.py",
    "$package/registry.yaml": "registry.yaml",
}
"""File of a new package -> its template; the plugin's module and its tests are added."""


@dataclass(frozen=True)
class NewPackage:
    """A written package: the folder, its files, the package's name, and the next commands."""

    folder: Path
    files: tuple[str, ...]
    package: str
    try_it: tuple[str, ...]


def write_package(kind: str, name: str, folder: Path | None = None, author: str | None = None) -> NewPackage:
    """Write the package `embench_NAME` with one plugin: class, registry entry, tests, README, licence, CI workflow.

    Args:
        kind: a kind of plugin, or `estimator`, a fusion without gradients.
        name: name that users type.
        folder: a new folder to write to; default: `embench-NAME` in the working folder.
        author: default: git's `user.name`.

    Raises:
        UsageError: the kind is unknown, the name is not valid, or the folder exists.
    """
    if kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS)
        raise UsageError(f"`{kind}` is not a kind of plugin", expected=f"one of {', '.join(_KINDS)}", hint=hint)
    _check_name(name)
    package, project = f"embench_{name}", f"embench-{name.replace('_', '-')}"
    folder = folder or Path(project)
    if folder.exists() or folder.is_symlink():
        what = f"{folder} exists already, and embench does not overwrite it"
        raise UsageError(what, hint="choose another folder with --out")
    of_kind = _KINDS[kind]
    plugin = _read_template(f"{kind}.py")
    texts = {
        "name": name,
        "cls": _make_class_name(kind, name, plugin),
        "title": name.replace("_", " ").capitalize(),
        "package": package,
        "project": project,
        "author": author or _git_author() or NO_AUTHOR,
        "year": str(datetime.now(UTC).year),
        "summary": of_kind.summary,
        "registry_kind": of_kind.registered_as,
        "more": "\n".join(f"    {line}" for line in of_kind.fields.splitlines()),
        "try_it": "\n".join(f"$ {_fill_in(line, {'name': name})}" for line in of_kind.commands),
    }
    tests = _read_template("test_dataset.py" if kind == "dataset" else "test.py")
    files = {_fill_in(path, texts): _fill_in(_read_template(template), texts) for path, template in _FILES.items()}
    files |= {f"{package}/{name}.py": _fill_in(plugin, texts), f"tests/test_{name}.py": _fill_in(tests, texts)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary(aside(folder)) as whole:
        for path, text in files.items():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_text(f"{text.rstrip()}\n", encoding="utf-8")
        whole.rename(folder)
    return NewPackage(folder, tuple(files), package, tuple(_fill_in(line, texts) for line in of_kind.commands))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        why = "a keyword of Python" if keyword.iskeyword(name) else "not a name"
        expected = "letters, digits and `_`, with a letter first, as in `my_encoder`; the name is also a module name"
        raise UsageError(f"`{name}` is {why}", expected=expected)
    if taken := [entry for entry in entries() if entry.name == name and entry.kind in PLUGIN_KINDS]:
        what = f"{taken[0].home} already has a {taken[0].kind} with the name `{name}`"
        raise UsageError(what, hint="choose another name, so that users need not type the package name")
    if folders(f"embench_{name}"):
        raise UsageError(f"a package with the name embench_{name} exists already", hint="choose another name")


def _make_class_name(kind: str, name: str, text: str) -> str:
    """Convert `my_encoder` to `MyEncoder`; append the kind if the template `text` contains that name already."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return f"{camel}{kind.capitalize()}" if re.search(rf"\b{camel}\b", text) else camel


def _read_template(name: str) -> str:
    return (resources.files("embench.authoring") / "templates" / f"{name}.txt").read_text(encoding="utf-8")


def _fill_in(text: str, values: dict[str, str]) -> str:
    return Template(text).substitute(values)


def _git_author() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "config", "user.name"], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or None


# Checks of installed packages and single files: registry entry, import and conformance of every plugin. Each plugin has
# its own process, so that it cannot affect others.

LONG_IMPORT_S = 1.0
"""Import time in seconds above which a plugin is reported; every command and worker that uses it waits so long."""

_LIBRARIES = "embench.testing"
"""Package that is imported before a plugin, so that the time for its libraries does not count for the plugin."""

_LENGTH_S = 30.0
_SUBJECTS = 4
"""Number of synthetic subjects for checking a dataset's reader."""


@dataclass(frozen=True)
class PluginCheck:
    """The result of one check of a plugin.

    Args:
        plugin: its kind and name.
        check: `registry.yaml`, `import` or `conformance`.
        fault: the fault, or None.
        where: place of the fault in the plugin.
        remedy: what was expected, or what to do.
        skipped: why the check was skipped, or None.
        seconds: duration of the check.
        trace: traceback of the plugin's exception, or None.
    """

    plugin: str
    check: str
    fault: str | None = None
    where: str | None = None
    remedy: str | None = None
    skipped: str | None = None
    seconds: float = 0.0
    trace: str | None = None


def check_plugins(target: str, data_root: Path | None = None) -> Iterator[PluginCheck]:
    """Check one or several plugins, and yield the results one by one.

    Args:
        target: a plugin's name, a package, the folder of an installed package, `package/name`, `FILE.py` or
            `FILE.py:CLASS`.
        data_root: folder of the datasets; a reader without files is checked on synthetic data.

    Raises:
        UsageError: the package or file does not exist, or the package is not installed.
    """
    path, _, cls = target.rpartition(":") if ".py:" in target else (target, "", "")
    try:
        found = _find_in_file(Path(path), cls) if path.endswith(".py") else _find_installed(target)
    except PluginError as error:
        yield PluginCheck(path, "import", error.what, error.where, error.hint or error.expected)
        return
    for entry in found:
        yield from _check_entry(entry, data_root)


def _find_installed(target: str) -> list[Entry]:
    if Path(target).is_dir() and (package := _find_by_folder(Path(target))):
        return list(package.entries)
    name, _, plugin = target.partition("/")
    distributed = {p.distribution.name: p for p in installed().values() if p.distribution}  # may have other names
    package = installed().get(name) or distributed.get(name)
    if package is None and (named := [entry for entry in registry.entries() if entry.name == target]):
        return named
    if package is None:
        known = [offered for offered in installed() if offered != registry.BUNDLED]
        near = did_you_mean(name, [*known, *(entry.name for entry in registry.entries())])
        expected = f"{', '.join(known) or 'an installed package'}, the name of a plugin, a folder or FILE.py:CLASS"
        hint = near or "install the package first: pip install -e FOLDER"
        raise UsageError(f"no installed package `{name}` offers plugins", expected=expected, hint=hint)
    if not plugin:
        return list(package.entries)
    found = [entry for entry in package.entries if entry.name == plugin]
    if not found:
        near = did_you_mean(plugin, [entry.name for entry in package.entries])
        raise UsageError(f"{name} offers no plugin `{plugin}`", hint=near or f"embench plugin check {name}")
    return found


def _find_by_folder(folder: Path) -> Package | None:
    """Return the installed package whose modules are in a folder; None if there is none. Raises UsageError if the
    folder is a project that is not installed."""
    inside = folder.resolve()
    for package in installed().values():
        if any(inside in (place.resolve(), *place.resolve().parents) for place in folders(package.name)):
            return package
    if (folder / "pyproject.toml").is_file():
        what = f"the package in {folder} is not installed, so commands cannot find its plugins"
        expected = 'an entry point in the group "embench" of its pyproject.toml, with the package as value'
        hint = f"pip install -e {folder if folder.is_absolute() else f'./{folder.as_posix()}'}"
        raise UsageError(what, expected=expected, hint=hint)
    return None


def _find_in_file(path: Path, cls: str) -> list[Entry]:
    if not path.is_file():
        raise UsageError(f"the file {path} does not exist", expected="FILE.py or FILE.py:CLASS")
    listed = in_fresh_process(f"while importing {path}", _list_classes, path, module=_LIBRARIES)
    found = [(kind, name) for kind, name in listed if cls in ("", name)]
    if not found:
        what = f"class {cls} in {path} is not a plugin" if cls else f"no class in {path} is a plugin"
        expected = "a subclass of Dataset, Encoder, Pretrainer, Fusion, Estimator or Metric, or hooks of an observer"
        raise UsageError(what, expected=expected)
    return [registry.find(kind, f"{path}:{name}") for kind, name in found]


def _list_classes(path: Path) -> list[tuple[str, str]]:
    """Return (kind, name) of the plugins that a file defines. Raises PluginError if it cannot be imported."""
    with _capture_stdout():
        return [(kind, cls.__name__) for cls in classes_in(path) if (kind := find_kind(cls))]


def _check_entry(entry: Entry, data_root: Path | None) -> Iterator[PluginCheck]:
    plugin = _get_title(entry)
    if entry.broken:
        remedy = "correct the file as shown in docs/guide/plugins/package.md"
        yield PluginCheck(plugin, "registry.yaml", entry.broken, str(entry.source), remedy)
        return
    if entry.package:
        yield _check_name_clash(entry, plugin)
    root = data_folder(entry, data_root) if entry.kind == "dataset" else None
    root = root if root is not None and root.is_dir() else None
    try:
        yield from in_fresh_process(
            f"while trying {plugin}", _check, entry.kind, entry.full_name, root, module=_LIBRARIES
        )
    except MachineError as error:
        yield PluginCheck(plugin, "import", error.what, None, "code that does not end the process")


def _get_title(entry: Entry) -> str:
    return f"{entry.kind} {entry.name if entry.package else entry.target.rpartition(':')[2]}"


def _check_name_clash(entry: Entry, plugin: str) -> PluginCheck:
    others = [e for e in registry.entries(entry.kind) if e.name == entry.name and e.package != entry.package]
    if not others or entry.package == registry.BUNDLED:
        return PluginCheck(plugin, "registry.yaml")
    means = f"means {others[0].full_name}" if others[0].package == registry.BUNDLED else "is refused"
    fault = f"{' and '.join(e.full_name for e in others)} has the same name, so `{entry.name}` {means}"
    remedy = f"choose another name; otherwise users must type {entry.full_name}"
    return PluginCheck(plugin, "registry.yaml", fault, str(entry.source), remedy)


def _check(kind: str, name: str, root: Path | None) -> list[PluginCheck]:
    """Check import and conformance of one plugin; it runs in a process of its own."""
    entry = registry.find(kind, name)
    plugin, findings = _get_title(entry), list[PluginCheck]()
    for check, work in (("import", _check_import), ("conformance", _check_conformance)):
        began = time.perf_counter()
        fault = where = remedy = skipped = trace = None
        try:
            skipped = work(entry, root)
        except EmbenchError as error:
            fault, where = error.what, error.where
            remedy = "; ".join(part for part in (error.hint, error.expected and f"expected {error.expected}") if part)
            trace = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else None
        except BaseException as error:  # the plugin boundary, sys.exit too
            if explain_missing_library(error):  # this installation lacks a library, so nothing can be checked
                raise
            fault, trace = f"the plugin raised {type(error).__name__}: {error}", traceback.format_exc()
        seconds = time.perf_counter() - began
        findings.append(PluginCheck(plugin, check, fault, where, remedy, skipped, seconds, trace))
        if fault:
            break
    return findings


def _check_import(entry: Entry, _: Path | None) -> None:
    from embench.testing.require import random_states, set_seeds

    where, before = registry.origin(entry), random_states()
    with _capture_stdout() as printed:
        began = time.perf_counter()
        registry.load_plugin(entry.kind, entry.full_name)
        seconds = time.perf_counter() - began
    if text := printed.getvalue().strip():
        raise CheckFailed(f"the import prints: {text[:200]}", where=where, expected="an import that prints nothing")
    after = random_states()
    if after != before:  # libraries may draw numbers during import; only a set seed leads to one state from any other
        set_seeds(1)
        _import_again(entry)
        same = [name for name, state in random_states().items() if state == after[name]]
        what = f"the import sets the seed of {', '.join(same)}"
        if same:
            raise CheckFailed(what, where=where, expected="no global seed; embench seeds every stage of a run")
    if seconds > LONG_IMPORT_S and (own := _import_again(entry)) > LONG_IMPORT_S:
        what = f"the import takes {own:.1f} s without the libraries that it imports"
        expected = f"less than {LONG_IMPORT_S:g} s, because every command and worker that uses the plugin waits"
        hint = "load files in `build` or at first use, not at import"
        raise CheckFailed(what, where=where, expected=expected, hint=hint)


def _import_again(entry: Entry) -> float:
    """Import the plugin's own modules again, while its libraries stay imported; return the seconds."""
    top = entry.package.partition(".")[0]
    own = {
        name: module for name, module in sys.modules.items()
        if (name.partition(".")[0] == top if top else name.startswith(FILE_MODULES))
    }  # fmt: skip
    for name in own:
        del sys.modules[name]
    began = time.perf_counter()
    try:
        with _capture_stdout(), contextlib.suppress(EmbenchError):
            reload_entry(entry)
    finally:
        sys.modules.update(own)
    return time.perf_counter() - began


def _check_conformance(entry: Entry, root: Path | None) -> str | None:
    from embench.testing import check

    cls = registry.load_plugin(entry.kind, entry.full_name)
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
def _capture_stdout() -> Iterator[io.StringIO]:
    """Capture stdout within the context."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        yield text
