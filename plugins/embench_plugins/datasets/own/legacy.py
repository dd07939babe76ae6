"""Reads a `corpus.yaml`, the former description of recordings without labels, as a `dataset.yaml`. It goes with 0.2."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import POTENTIALS
from embench_plugins.datasets.own.paths import Listed, Template
from embench_plugins.datasets.own.yaml import DATASET, Place, Written, read_yaml

LEGACY = "corpus.yaml"
_MOST_REPEATS = 5
_FILES = ("files", "subject")


def note(root: Path) -> str:
    """What to do with the `corpus.yaml` of a folder."""
    return f"{LEGACY} is read until 0.2 only: `embench data new {shlex.quote(str(root))}` writes the same as {DATASET}"


def read_legacy(root: Path) -> Written:
    """What the `corpus.yaml` of a folder says, as a `dataset.yaml` would, with the lines of the former.

    Raises:
        DataError: it cannot be read, or does not say whose a file is; it names the line.
    """
    warnings.warn(f"{root}: {note(root)}", FutureWarning, stacklevel=4)
    old = read_yaml(root / LEGACY, aliases=True)
    lines = {
        ("recordings", *place[1:]) if place[:1] == ("sources",) else place: line for place, line in old.lines.items()
    }
    return Written(old.path, _converted(root, old), lines)


def converted(root: Path) -> str:
    """The `dataset.yaml` that says the same as the `corpus.yaml` of a folder, with a TODO for files whose subjects no
    path with names in braces finds. Raises DataError as `read_legacy`."""
    content = _converted(root, read_yaml(root / LEGACY, aliases=True))
    for source in content["recordings"]:
        listed = source["files"]
        if isinstance(listed, Listed):
            todo = f"TODO: {{participant}} and other names in place of `{listed.text}`; several entries if one is not enough"
            source["files"] = template(root, listed) or todo
    return f"# The same as {LEGACY}, which can go.\n" + yaml.dump(
        content, Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )


class _Plain(yaml.SafeDumper):
    """Writes texts without quotes where a `dataset.yaml` needs none."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_Plain.add_representer(type(None), lambda dumper, _: dumper.represent_str("null"))


def _converted(root: Path, old: Written) -> Any:
    if not isinstance(old.content, dict):
        return old.content
    content = {"recordings" if key == "sources" else key: value for key, value in old.content.items()}
    sources = content.get("recordings")
    if isinstance(sources, list):
        content["recordings"] = [_source(root, source, old, ("sources", i)) for i, source in enumerate(sources)]
    return content


def _source(root: Path, source: Any, old: Written, place: Place) -> Any:
    if not isinstance(source, dict) or not isinstance(source.get("files"), str):
        return source
    pattern, subject = source["files"], source.get("subject")
    if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        where = old.where(*place, "files")
        raise DataError(f"`{pattern}` leads out of the folder", where=where, expected="a pattern such as S*/*.edf")
    where = old.where(*place, "subject")
    found = tuple((path, _person(path, subject, where)) for path in _files(root, pattern))
    made = {"files": Listed(pattern, found), **{key: value for key, value in source.items() if key not in _FILES}}
    if isinstance(signals := source.get("signals"), dict):
        made["signals"] = {m: _channels(m, own) for m, own in signals.items()}
    return made


def _channels(modality: str, own: Any) -> Any:
    known = modality in POTENTIALS or not isinstance(own, dict) or own.get("unit")
    return own if known else {**own, "unit": "a.u."}


def _files(root: Path, pattern: str) -> list[str]:
    try:
        return sorted(p.relative_to(root).as_posix() for p in root.glob(pattern) if p.is_file())
    except (OSError, ValueError, NotImplementedError):  # such as a pattern that is too long for a file's name
        return []


def _person(path: str, subject: str | None, where: str) -> str:
    """The subject of a file: the folder that it is in, or what an expression finds."""
    if subject is None:
        return path.rpartition("/")[0] or path.rpartition(".")[0] or path
    if re.search(r"\)[*+{]", subject) or len(re.findall(r"[*+{]", subject)) > _MOST_REPEATS:
        what = f"`{subject}` could take forever: it repeats a group, or over {_MOST_REPEATS} parts"
        raise DataError(what, where=where, expected=r"a plain expression, such as S\d+", hint=f"write a {DATASET}")
    try:
        found = re.search(subject, path)
    except re.error as error:
        raise DataError(
            f"`{subject}` is no regular expression: {error}", where=where, expected=r"such as S\d+"
        ) from error
    person = found and (found[1] if found.re.groups else found[0])
    if not person:
        expected = "an expression that matches every path, its first group being the subject"
        raise DataError(f"`{subject}` finds nobody in {path}", where=where, expected=expected)
    return str(person)


# The path with names in braces that finds the same files, and tells the same subjects apart.


def template(root: Path, listed: Listed) -> str | None:
    """The text of a template that finds the files of a pattern, with the same of the same subject; None if there is
    none."""
    paths = [path.split("/") for path, _ in listed.of]
    if not paths or len({len(parts) for parts in paths}) > 1:
        return None
    people = [person.rpartition("/")[2] for _, person in listed.of]
    columns = [list(column) for column in zip(*paths, strict=True)]
    at = next((i for i, column in enumerate(columns) if all(p in c for p, c in zip(people, column, strict=True))), None)
    for form in ("", f":{_form(people)}"):
        names = iter(f"part{i}" for i in range(1, 2 * len(columns) + 2))
        parts = [
            _column(column, people, form, names) if i == at else _varying(column, names)
            for i, column in enumerate(columns)
        ]
        if at is not None and _same(root, "/".join(parts), dict(listed.of)):
            return "/".join(parts)
    return None


def _column(texts: Sequence[str], people: Sequence[str], form: str, names: Iterator[str]) -> str:
    """A part of a path, with the subject in it."""
    before, after = zip(*(text.split(person, 1) for text, person in zip(texts, people, strict=True)), strict=True)
    return f"{_varying(before, names)}{{participant{form}}}{_varying(after, names)}"


def _varying(texts: Sequence[str], names: Iterator[str]) -> str:
    """What texts have in common at both ends, and a name between."""
    if len(set(texts)) == 1:
        return texts[0]
    first, last = _common(texts).rstrip("0123456789"), _common([text[::-1] for text in texts])[::-1]
    last = last[max(0, len(first) + len(last) - min(map(len, texts))) :].lstrip("0123456789")
    form = "" if len(first) + len(last) < min(map(len, texts)) else ":*"
    return f"{first}{{{next(names)}{form}}}{last}"


def _common(texts: Sequence[str]) -> str:
    """What texts begin with."""
    alike = next((k for k, letters in enumerate(zip(*texts, strict=False)) if len(set(letters)) > 1), None)
    return min(texts, key=len) if alike is None else texts[0][:alike]


def _form(people: Sequence[str]) -> str:
    """What subjects' names look like: letters that all have, `#` for a digit, `?` for another."""
    if len({len(person) for person in people}) > 1:
        return "*"
    return "".join(
        c[0] if len(set(c)) == 1 else "#" if all(map(str.isdigit, c)) else "?" for c in zip(*people, strict=True)
    )


def _same(root: Path, text: str, of: Mapping[str, str]) -> bool:
    """Whether a template finds these files, and tells their subjects apart."""
    try:
        found = {p.relative_to(root).as_posix(): facts["participant"] for p, facts in Template(text).matches(root)}
    except ValueError:
        return False
    pairs = {(found.get(path), person) for path, person in of.items()}
    return found.keys() == of.keys() and len(pairs) == len(set(found.values())) == len(set(of.values()))
