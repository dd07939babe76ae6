"""Writes the package of a first plugin, which installs, passes its own tests and runs as it is."""

from __future__ import annotations

import keyword
import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from string import Template

from embench.errors import UsageError
from embench.files import aside, temporary
from embench.registry.catalogue import entries
from embench.registry.fragments import PLUGIN_KINDS, folders
from embench.registry.naming import did_you_mean

NO_AUTHOR = "TODO: your name"
"""Placeholder for the author where neither an option nor git knows one."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MADE = "embench data synthesize amigos --out data/amigos --subjects 18 --length-s 30"  # enough for a headline
_SHORT = "--recipe quick --seeds 0 --data-root data"
_RUN = f"embench run --dataset amigos --target arousal {_SHORT} --modalities"


@dataclass(frozen=True)
class _Kind:
    """Parts of a new package that depend on its kind, besides the class: the kind in `registry.yaml`, its summary and
    other fields, and the commands that try it."""

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
        (_MADE, f"{_RUN} eda --encoder $name"),
    ),
    "pretrainer": _Kind(
        "pretrainer", "Detects time-reversed windows.", "",
        (_MADE, f"{_RUN} eda --encoder cnn_tf --pretrainer $name"),
    ),
    "fusion": _Kind(
        "fusion", "The mean of the available modalities.", "",
        (_MADE, f"{_RUN} ecg,eda --encoder tcn --fusion $name"),
    ),
    "estimator": _Kind(
        "fusion", "Gaussian naive Bayes on features.", "",
        (_MADE, f"{_RUN} ecg,eda --encoder handcrafted --fusion $name"),
    ),
    "metric": _Kind("metric", "Youden's J.", "", (_MADE, f"{_RUN} eda --encoder handcrafted --fusion logreg")),
    "observer": _Kind(
        "observer", "Writes one line per epoch.", "", (_MADE, f"{_RUN} eda --encoder tcn --observer $name")
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
"""File -> its template; besides these, the plugin's own module and its tests."""


@dataclass(frozen=True)
class NewPackage:
    """A written package: the folder, its files, the package's name, and the commands that come next."""

    folder: Path
    files: tuple[str, ...]
    package: str
    try_it: tuple[str, ...]


def write_package(kind: str, name: str, folder: Path | None = None, author: str | None = None) -> NewPackage:
    """Writes the package `embench_NAME` with one plugin of a kind: class, entry, tests, README, licence, workflow.

    Args:
        kind: a kind of plugin, or `estimator`, a fusion without gradients.
        name: what users will type.
        folder: where to write, a folder that does not exist; default: `embench-NAME` in the working folder.
        author: default: git's `user.name`.

    Raises:
        UsageError: there is no such kind, the name can't be taken, or the folder exists.
    """
    if kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS)
        raise UsageError(f"`{kind}` is not a kind of plugin", expected=f"one of {', '.join(_KINDS)}", hint=hint)
    _check_name(name)
    package, project = f"embench_{name}", f"embench-{name.replace('_', '-')}"
    folder = folder or Path(project)
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            f"{folder} exists already, and embench does not overwrite it", hint="choose another folder with --out"
        )
    of_kind = _KINDS[kind]
    plugin = _template(f"{kind}.py")
    texts = {
        "name": name,
        "cls": _class_name(kind, name, plugin),
        "title": name.replace("_", " ").capitalize(),
        "package": package,
        "project": project,
        "author": author or _git_author() or NO_AUTHOR,
        "year": str(datetime.now(UTC).year),
        "summary": of_kind.summary,
        "registry_kind": of_kind.registered_as,
        "more": "\n".join(f"    {line}" for line in of_kind.fields.splitlines()),
        "try_it": "\n".join(f"$ {_filled(line, {'name': name})}" for line in of_kind.commands),
    }
    tests = _template("test_dataset.py" if kind == "dataset" else "test.py")
    files = {_filled(path, texts): _filled(_template(template), texts) for path, template in _FILES.items()}
    files |= {f"{package}/{name}.py": _filled(plugin, texts), f"tests/test_{name}.py": _filled(tests, texts)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary(aside(folder)) as whole:
        for path, text in files.items():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_text(f"{text.rstrip()}\n", encoding="utf-8")
        whole.rename(folder)
    return NewPackage(folder, tuple(files), package, tuple(_filled(line, texts) for line in of_kind.commands))


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


def _class_name(kind: str, name: str, text: str) -> str:
    """`my_encoder` -> `MyEncoder`; the kind follows where the module uses the name for something else."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return f"{camel}{kind.capitalize()}" if re.search(rf"\b{camel}\b", text) else camel


def _template(name: str) -> str:
    return (resources.files("embench.authoring") / "templates" / f"{name}.txt").read_text(encoding="utf-8")


def _filled(text: str, values: dict[str, str]) -> str:
    return Template(text).substitute(values)


def _git_author() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "config", "user.name"], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or None
