"""Reads a `corpus.yaml`, the former description of recordings without labels, as a `dataset.yaml`. It goes with 0.2."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import POTENTIALS
from embench_plugins.datasets.own.found import template_of
from embench_plugins.datasets.own.paths import Listed, Template
from embench_plugins.datasets.own.yaml import DATASET, Written, read_yaml

LEGACY = "corpus.yaml"
_MOST_REPEATS = 3


def note(root: Path) -> str:
    """The advice on the `corpus.yaml` of a folder."""
    return f"{LEGACY} is read until 0.2 only: `embench data new {shlex.quote(str(root))}` writes the same as {DATASET}"


def read_legacy(root: Path) -> Written:
    """The content of a folder's `corpus.yaml` in the form of a `dataset.yaml`, with the lines of the former.

    Raises:
        DataError: it cannot be read, or does not say whose a file is; it names the line.
    """
    warnings.warn(f"{root}: {note(root)}", FutureWarning, stacklevel=4)
    old = read_yaml(root / LEGACY, aliases=True)
    places = {
        ("recordings", *place[1:]) if place[:1] == ("sources",) else place: old.lines[place] for place in old.lines
    }
    return Written(old.path, _converted(root, old, lambda listed: listed), places)


def converted(root: Path) -> str:
    """The `dataset.yaml` that says the same as the `corpus.yaml` of a folder, with a TODO for files whose subjects no
    path with names in braces finds. Raises DataError as `read_legacy`."""
    content = _converted(root, read_yaml(root / LEGACY, aliases=True), lambda listed: _template(root, listed))
    text = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return f"# The same as {LEGACY}, which can go.\n{text}"


class _Plain(yaml.SafeDumper):
    """Writes texts without quotes where a `dataset.yaml` needs none."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  an attribute of the library


_Plain.add_representer(type(None), lambda dumper, _: dumper.represent_str("null"))


def _converted(root: Path, old: Written, files: Callable[[Listed], Any]) -> Any:
    """The content of a `dataset.yaml`; what is of another kind than it should be stays, and is told of later."""
    if not isinstance(old.content, dict) or not isinstance(sources := old.content.get("sources"), list):
        return old.content
    made = []
    for i, source in enumerate(sources):
        known = isinstance(source, dict) and isinstance(source.get("files"), str)
        if known and isinstance(source.get("subject"), str | None):
            listed = _listed(root, source["files"], source.get("subject"), partial(old.where, "sources", i))
            source = {"files": files(listed), **{key: source[key] for key in source if key not in ("files", "subject")}}
            for m, own in source["signals"].items() if isinstance(source.get("signals"), dict) else ():
                if isinstance(own, dict) and m not in POTENTIALS and not own.get("unit"):
                    own["unit"] = "a.u."
        made.append(source)
    return {
        "recordings" if key == "sources" else key: made if key == "sources" else old.content[key] for key in old.content
    }


def _listed(root: Path, pattern: str, subject: str | None, where: Callable[[str], str]) -> Listed:
    """The files of a pattern, and their subjects: the folders that they are in, or what an expression finds."""
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise DataError(
            f"`{pattern}` leads out of the folder", where=where("files"), expected="a pattern such as S*/*.edf"
        )
    if subject and (re.search(r"\)[*+{]", subject) or len(re.findall(r"[*+]|\{\d*,", subject)) > _MOST_REPEATS):
        what = f"`{subject}` could take forever: it repeats a group, or over {_MOST_REPEATS} parts"
        raise DataError(
            what, where=where("subject"), expected=r"a plain expression, such as S\d+", hint=f"write a {DATASET}"
        )
    try:
        paths = sorted(p.relative_to(root).as_posix() for p in root.glob(pattern) if p.is_file())
    except (OSError, ValueError, NotImplementedError):  # such as a pattern that is too long for a file's name
        paths = []
    people = []
    for path in paths:
        try:
            found = re.search(subject or r"^.*(?=/)|^[^.]+", path)
        except re.error as error:
            what = f"`{subject}` is no regular expression: {error}"
            raise DataError(what, where=where("subject"), expected=r"one such as S\d+") from error
        person = found and (found[1] if found.re.groups else found[0])
        if not person:
            expected = "an expression that matches every path, its first group being the subject"
            raise DataError(f"`{subject}` finds nobody in {path}", where=where("subject"), expected=expected)
        people.append(person)
    return Listed(pattern, tuple(zip(paths, people, strict=True)))


def _template(root: Path, listed: Listed) -> str:
    """The path with names in braces that finds the same files and tells subjects apart as they were; else a TODO."""
    paths, people = [path for path, _ in listed.of], [person for _, person in listed.of]
    if len({path.count("/") for path in paths}) == 1:
        text, facts = template_of(root, [root / path for path in paths], stars=False)
        for name in facts:
            swapped = {name: "{participant}", "participant": f"{{{name}}}"}
            made = re.sub(r"\{(\w+)\}", lambda match: swapped.get(match[1], match[0]), text)  # noqa: B023
            found = {p.relative_to(root).as_posix(): own["participant"] for p, own in Template(made).matches(root)}
            pairs = {(found.get(path), person) for path, person in listed.of}
            if found.keys() == set(paths) and len(pairs) == len(set(found.values())) == len(set(people)):
                return made
    return f"TODO: {{participant}} and other names in place of `{listed.text}`, or an entry for each kind of path"
