"""Packages that offer plugins: their `registry.yaml`, with modalities and questions, read without importing them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import embench
from embench.errors import CheckFailed
from embench.files import cached, safe_loader
from embench.vocabulary import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

    import yaml


# Trust in names that decide what code runs: a user's own command, or a record by an unknown author.

_RECORD: ContextVar[tuple[str, str | None] | None] = ContextVar("record", default=None)
"""The record whose names are being resolved, and a folder that the user named; None if all names are the user's own."""

DATA_FOLDER = "folder of data"
HINT = "if you trust the author, rerun with --trust-code"


@contextmanager
def installed_only(record: str, *, trust_code: bool = False, given: str | None = None) -> Iterator[None]:
    """Let names mean plugins of installed packages only, never a file or a folder, inside this context.

    Args:
        record: the file that the names come from.
        trust_code: True if the user vouches for the record, so that all names resolve as the user's own.
        given: a folder that the user named, which may be read.
    """
    token = _RECORD.set(None if trust_code else (record, given))
    try:
        yield
    finally:
        _RECORD.reset(token)


def refuse_file(what: str, name: str) -> None:
    """Raise CheckFailed if a record, whose author the user does not trust, names a file (`name`) outside of packages.
    `what`: what the file contains, for the message."""
    record, given = _RECORD.get() or (None, None)
    if record and name != given:
        raise CheckFailed(
            f"a record names {'an' if what[0] in 'aeo' else 'a'} {what} outside the installed packages: {name}",
            where=record,
            expected="the name of an installed plugin, dataset or protocol",
            hint=HINT if what != DATA_FOLDER else f"name it yourself: --dataset {name}; {HINT}",
        )


# Modalities as `registry.yaml` describes them: the bundled ones, and those that packages add.

MODALITY = "modality"
"""Section of `registry.yaml`, and the kind of an entry for an unusable modality."""

SITES = (
    "wrist", "finger", "palm", "arm", "chest", "abdomen", "neck", "ear", "forehead", "ankle", "foot", "zygomaticus",
    "corrugator", "trapezius",
)  # fmt: skip
"""Places of sensors on the body, for a `registry.yaml` and as channel names; for an EMG, the muscle."""

_FIELDS = ("summary", "unit", "range", "rate_hz", "interpolate", "filter", "read_as")
_EDGES = ("high", "low", "order", "notch")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("fusion", "training", "type")
_NOT_READ_AS = "video"


@dataclass(frozen=True)
class ModalityDefinition:
    """A modality and its preparation. Defaults for a package's modality: any measurement unit, no limits, the
    protocol's rate, no filter; for a bundled one, the protocol's rules.

    Args:
        unit: measurement unit that cards must use; None: any.
        limits: least and greatest possible sensor value, in `unit`.
        rate_hz: rate after resampling; None: the protocol's common rate.
        linear: True for a derived series, not a waveform: it is interpolated linearly, and not filtered.
        filter: `high` and `low` (edges in Hz), `order` and `notch`, as in `embench.signals.preprocess.Rule`.
        read_as: the bundled modality as which encoders read it if they do not accept it by name.
    """

    name: str
    package: str
    version: str
    source: Path
    summary: str
    unit: str | None = None
    limits: tuple[float, float] | None = None
    rate_hz: float | None = None
    linear: bool = False
    filter: tuple[tuple[str, Any], ...] = ()
    read_as: str | None = None

    @property
    def home(self) -> str:
        """Package and version, for readers."""
        return f"{self.package} {self.version}"

    def definition(self) -> dict[str, Any]:
        """Return all fields that determine numbers, as plain values; two packages must agree on them."""
        left_out = ("name", "package", "version", "source", "summary")
        plain = {key: value for key, value in asdict(self).items() if key not in left_out}
        return {**plain, "limits": self.limits and list(self.limits), "filter": dict(self.filter)}

    def difference(self, recorded: Mapping[str, Any]) -> list[str]:
        """Return the fields in which a recorded definition differs from this one."""
        own = self.definition()
        return [key for key in own if own[key] != recorded.get(key)]


def read_modality(name: str, fields: Any, package: str, version: str, source: Path) -> ModalityDefinition | str:
    """Return a modality from its fields in a `registry.yaml`, or a description of the fault."""
    if problem := _find_problem(name, fields):
        return problem
    edges = {"order": 4, **fields["filter"]} if "filter" in fields else {}
    edges |= {key: float(edges[key]) for key in ("high", "low") if key in edges}
    low, high = fields.get("range", (None, None))
    return ModalityDefinition(
        name=name,
        package=package,
        version=version,
        source=source,
        summary=fields["summary"],
        unit=fields.get("unit"),
        limits=None if low is None else (float(low), float(high)),
        rate_hz=float(fields["rate_hz"]) if "rate_hz" in fields else None,
        linear="interpolate" in fields,
        filter=tuple(sorted(edges.items())),
        read_as=fields.get("read_as"),
    )


def describe_clash(modality: ModalityDefinition, bundled: Mapping[str, ModalityDefinition]) -> str | None:
    """Return a description of the conflict of a package's modality with the modalities `bundled` (by name); None if
    there is no conflict."""
    if modality.name in bundled:
        return f"`{modality.name}` is a modality of {bundled[modality.name].home}, and no package can redefine it"
    readable = [name for name in bundled if name != _NOT_READ_AS]
    if modality.read_as is not None and modality.read_as not in readable:
        hint = did_you_mean(modality.read_as, readable) or "known: " + ", ".join(readable)
        return f"`read_as` is {modality.read_as!r}, expected a bundled modality of signals ({hint})"
    return None


def _find_problem(name: str, fields: Any) -> str | None:
    """Return a description of the first fault in the name or fields of a modality; None if there is no fault."""
    if not _NAME.fullmatch(name):
        return "the name of a modality consists of small letters, digits and `_`, and begins with a letter"
    if hasattr(dict, name) or name in _TAKEN:
        return f"`{name}` has a reserved meaning: choose another name"
    if not isinstance(fields, Mapping):
        return "the entry is not a mapping of fields"
    for key in fields:
        if key not in _FIELDS:
            return f"unknown field `{key}` ({did_you_mean(str(key), _FIELDS) or 'known: ' + ', '.join(_FIELDS)})"
    if "summary" not in fields:
        return "`summary` is missing"
    for key in ("summary", "unit", "read_as"):
        if key in fields and (not isinstance(fields[key], str) or not fields[key]):
            return f"`{key}` is {fields[key]!r}, expected text"
    if "rate_hz" in fields and not _is_positive(fields["rate_hz"]):
        return f"`rate_hz` is {fields['rate_hz']!r}, expected a number above 0"
    if "interpolate" in fields and fields["interpolate"] != "linear":
        return f"`interpolate` is {fields['interpolate']!r}, expected linear, or omit the field"
    return _find_range_problem(fields) or _find_filter_problem(fields)


def _find_range_problem(fields: Mapping[str, Any]) -> str | None:
    """Return a description of the fault in a modality's `range`; None if there is no fault."""
    if "range" not in fields:
        return None
    if "unit" not in fields:
        return "`range` requires `unit`, the measurement unit of its values"
    limits = fields["range"]
    if not isinstance(limits, list) or len(limits) != 2 or not all(map(_is_number, limits)) or limits[0] >= limits[1]:
        return f"`range` is {limits!r}, expected [least, greatest]"
    return None


def _find_filter_problem(fields: Mapping[str, Any]) -> str | None:
    """Return a description of the first fault in a modality's `filter`; None if there is no fault."""
    if "filter" not in fields:
        return None
    edges = fields["filter"]
    if "interpolate" in fields:
        return "`filter` and `interpolate` exclude each other: a derived series is not filtered"
    if not isinstance(edges, Mapping) or not edges:
        return f"`filter` is {edges!r}, expected some of {', '.join(_EDGES)}"
    for key, value in edges.items():
        if key not in _EDGES:
            return f"unknown field `{key}` of `filter` ({did_you_mean(str(key), _EDGES) or ', '.join(_EDGES)})"
        if key == "notch" and not isinstance(value, bool):
            return f"`notch` of `filter` is {value!r}, expected true or false"
        if key == "order" and (type(value) is not int or not 1 <= value <= 10):
            return f"`order` of `filter` is {value!r}, expected an integer from 1 to 10"
        if key in ("high", "low") and not _is_positive(value):
            return f"`{key}` of `filter` is {value!r}, expected an edge in Hz above 0"
    if not {"high", "low", "notch"} & set(edges):
        return "`filter` has no effect: set high (high-pass edge in Hz), low (low-pass edge) or notch"
    if "high" in edges and "low" in edges and edges["high"] >= edges["low"]:
        return (
            f"`filter` removes everything: its lower edge high is {edges['high']} Hz, its upper edge low is "
            f"{edges['low']} Hz"
        )
    return None


def _is_number(value: Any) -> bool:
    """Return True for a finite number that is not a truth value."""
    return type(value) in (int, float) and abs(value) < float("inf")


def _is_positive(value: Any) -> bool:
    """Return True for a finite number above 0."""
    return _is_number(value) and value > 0


# Questions of targets in a dataset's `registry.yaml`, for readers who know neither dataset nor target.

ASKS = "asks"
"""Field of a dataset's entry: target -> its `question` and its `labels`."""

LABEL_ORIGINS = ("task", "film's class", "self-report", "observer")
"""Origins of labels: the given task, the class of a stimulus, subjects' self-reports, observers' ratings."""


@dataclass(frozen=True, slots=True)
class Question:
    """The question that a target asks, and the origin of its labels (one of `LABEL_ORIGINS`).

    Args:
        higher, lower: the two states as nouns in a sentence: that of class 1, that of class 0.
        detail: description of the labels; empty if their origin says enough.
        order: order in which all subjects went through the states, as a clause; empty if subjects' orders differ.
    """

    question: str
    labels: str
    higher: str = ""
    lower: str = ""
    detail: str = ""
    order: str = ""


_OPTIONAL = frozenset({"higher", "lower", "detail", "order"})


def read_questions(asks: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, Question], ...]:
    """Return (target, question) pairs from a field `asks` in which `find_questions_problem` found no fault."""
    return tuple((target, Question(**about)) for target, about in asks.items())


def find_questions_problem(asks: Any) -> str | None:
    """Return a description of the first fault in a dataset's field `asks`; None if there is no fault."""
    if not isinstance(asks, Mapping):
        return f"`{ASKS}` is {asks!r}, expected a mapping of targets"
    for target, about in asks.items():
        if not isinstance(about, Mapping) or set(about) - _OPTIONAL != {"question", "labels"}:
            optional = ", ".join(sorted(_OPTIONAL))
            return f"`{ASKS}` of {target!r} requires `question` and `labels`, and may also have {optional}"
        if wrong := [name for name in _OPTIONAL & set(about) if not isinstance(about[name], str)]:
            return f"`{wrong[0]}` of {target!r} is {about[wrong[0]]!r}, expected text"
        if not isinstance(about["question"], str) or not about["question"]:
            return f"`question` of {target!r} is {about['question']!r}, expected text"
        if about["labels"] not in LABEL_ORIGINS:
            hint = did_you_mean(str(about["labels"]), LABEL_ORIGINS) or f"known: {', '.join(LABEL_ORIGINS)}"
            return f"`labels` of {target!r} is {about['labels']!r} ({hint})"
    return None


# Find the packages that offer plugins and read their `registry.yaml`, without importing them.

GROUP = "embench"
API = 1
"""Version of the plugin interfaces; `api` in a `registry.yaml` names the version that its plugins were written for."""
BUNDLED = "embench_plugins"
PLUGIN_KINDS = ("dataset", "encoder", "pretrainer", "fusion", "metric", "observer")
BROKEN_PACKAGE = "package"
"""Kind of an entry for a package whose plugins cannot be listed."""

_REQUIRED = ("target", "revision", "summary")
_OPTIONAL_KEYS = ("paper", "modalities", "licence")
_FUNCTIONS = {"dataset": ("synthesizer", "describer"), "encoder": ("converter",), "pretrainer": ("converter",)}
"""Kind of plugin -> fields that name a function besides its class."""
_SITES = "sites"
_RELEASES = "releases"
_EXPERIMENTAL = "experimental"
_TEXTS = ("summary", "paper", "licence", "address", "availability", "download", _EXPERIMENTAL)
_FLAGS = ("features", "ranks")
_MORE_FIELDS = {
    "dataset": ("address", "availability", "download", "hours", ASKS, _SITES, _RELEASES),
    "encoder": ("features", _EXPERIMENTAL),
    "pretrainer": (_EXPERIMENTAL,),
    "fusion": (*_FLAGS, _EXPERIMENTAL),
}
"""Kind of plugin -> its further fields."""
_COPIED = (
    *("target", "revision", *_TEXTS, *_FLAGS, "hours"),
    *(function for functions in _FUNCTIONS.values() for function in functions),
)
"""Fields of `registry.yaml` that an `Entry` contains as they are."""
_PLAIN: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS, (str,)), **dict.fromkeys(_FLAGS, (bool,)), "hours": (int, float)
}  # fmt: skip
_WORDS = {"hours": "a number", **dict.fromkeys(_FLAGS, "true or false")}
_FRAGMENT_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Entry:
    """A plugin as its `registry.yaml` describes it.

    Args:
        package: the package that offers it; empty for a class from a file (`./my_file.py:MyEncoder`) or one passed from
            Python (`object:DIGEST:MyEncoder`), whose `name` is that text.
        version: of the package; of a file, or an object, a digest of its content.
        target: `module:Class`, `file.py:Class`, or the name of an object.
        revision: increases when the plugin's results change; part of its code identity in an installed wheel.
        source: its `registry.yaml`, or the file of the class.
        broken: reason why it cannot be used, or None. A package that cannot be read is one entry of kind `package`.
        synthesizer: `module:function` that writes synthetic files of a dataset, or None.
        describer: `module:function` that writes the first description of a folder of own recordings, or None.
        converter: `module:function` that converts checkpoints of other code, for an encoder or a pretrainer, or None.
        address: page from which a dataset is obtained; None if unknown, as in the fields below.
        availability: facts on that source and others: whether it answers, mirrors.
        download: size of the download, in words.
        hours: total length of all recordings of a dataset.
        asks: for a dataset, the questions of its targets, as far as declared.
        sites: for a dataset, modality -> declared sensor site of each channel, in the card's order; a single one if all
            share it.
        releases: for a dataset, digests of raw files and label rules (see `embench.data.find.Source`) of known
            releases, each with the source of its subjects.
        features: True if an encoder gives features for estimators, or a fusion is such an estimator.
        ranks: True if the scores of a fusion only rank units, and are not probabilities.
        experimental: why a part of a method is not recommended yet, such as `no published entry`; else None.
    """

    kind: str
    name: str
    package: str
    version: str
    target: str
    revision: int
    summary: str
    source: Path
    paper: str | None = None
    modalities: tuple[str, ...] = ()
    licence: str | None = None
    broken: str | None = None
    synthesizer: str | None = None
    describer: str | None = None
    converter: str | None = None
    address: str | None = None
    availability: str | None = None
    download: str | None = None
    hours: float | None = None
    asks: tuple[tuple[str, Question], ...] = ()
    sites: tuple[tuple[str, tuple[str, ...]], ...] = ()
    releases: tuple[tuple[str, str], ...] = ()
    features: bool = False
    ranks: bool = False
    experimental: str | None = None

    @property
    def description(self) -> str:
        """The summary, followed by the reason if the plugin is experimental."""
        return f"{self.summary} (experimental: {self.experimental})" if self.experimental else self.summary

    @property
    def full_name(self) -> str:
        """Unambiguous name `package/name`, for plans and records."""
        return f"{self.package}/{self.name}" if self.package else self.name

    @property
    def home(self) -> str:
        """Package and version, for readers."""
        if self.package:
            return f"{self.package} {self.version}"
        return "Python" if self.target.startswith("object:") else "file"


@dataclass(frozen=True)
class Package:
    """A package that registered through an entry point, and its plugins."""

    name: str
    version: str
    distribution: Distribution | None
    entries: tuple[Entry, ...]
    modalities: tuple[ModalityDefinition, ...] = ()


def packages() -> list[Package]:
    """Return all packages that offer plugins, the bundled one first, then by name."""
    from importlib.metadata import entry_points  # imported here: `--help` lists no plugins

    points = {point.value: point for point in reversed(list(entry_points(group=GROUP)))}
    found = [_read(points[name]) for name in sorted(points, key=lambda name: (name != BUNDLED, name))]
    bundled = {m.name: m for package in found if package.name == BUNDLED for m in package.modalities}
    return [package if package.name == BUNDLED else _mark_clashes(bundled, package) for package in found]


def _mark_clashes(bundled: Mapping[str, ModalityDefinition], package: Package) -> Package:
    """Return a package with its modalities that clash with bundled ones marked as broken."""
    clashes = [(m, describe_clash(m, bundled)) for m in package.modalities]
    broken = tuple(
        _make_broken(MODALITY, m.name, m.package, m.version, m.source, clash) for m, clash in clashes if clash
    )
    fine = tuple(m for m, clash in clashes if not clash)
    return replace(package, entries=package.entries + broken, modalities=fine)


@cached
def module_file(module: str) -> Path | None:
    """Return the source file of a module, found without importing it or its parents; None if there is none."""
    for place in _list_places(module):
        if place.is_file():
            return place
    return None


def _list_places(module: str) -> Iterator[Path]:
    """Yield the paths at which a module's source may be."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)  # a top-level name: executes nothing of it
    if spec is None:
        return
    if not rest:
        if spec.origin and spec.origin.endswith(".py"):
            yield Path(spec.origin)
        return
    for folder in spec.submodule_search_locations or ():
        inside = Path(folder, *rest)
        yield inside / "__init__.py"
        yield inside.with_name(f"{inside.name}.py")


def folders(package: str) -> list[Path]:
    """Return the folders of a package, found without importing it; empty if the name is not a package's."""
    if not _PACKAGE.fullmatch(package):
        return []
    top, *rest = package.split(".")
    spec = importlib.util.find_spec(top)
    locations = (spec.submodule_search_locations if spec else None) or ()
    return [folder for folder in (Path(location, *rest) for location in locations) if folder.is_dir()]


def _read(point: EntryPoint) -> Package:
    """Return the package of an entry point; one that cannot be read has a single broken entry."""
    distribution = point.dist
    version = distribution.version if distribution else "unknown"
    name, source = point.value, Path()
    try:
        if not _PACKAGE.fullmatch(name):
            raise ValueError(f"its entry point is {name!r}, expected the name of a package")
        places = folders(name)
        if not places:
            raise ValueError(
                f"the package {name} does not exist, but {(distribution.name if distribution else '?')} names it"
            )
        sources = [folder / "registry.yaml" for folder in places]
        source = next((s for s in sources if s.is_file()), sources[0])
        items = _parsed(source.read_text(encoding="utf-8"), name, version, source)
    except Exception as error:  # noqa: BLE001  # the plugin boundary: whatever one package does, others are listed
        items = (_make_broken(BROKEN_PACKAGE, name, name, version, source, _format_error(error)),)
    entries = tuple(item for item in items if isinstance(item, Entry))
    modalities = tuple(item for item in items if isinstance(item, ModalityDefinition))
    return Package(name, version, distribution, entries, modalities)


@cache
def _parsed(text: str, package: str, version: str, source: Path) -> tuple[Entry | ModalityDefinition, ...]:
    """Return the plugins and modalities of a `registry.yaml`, cached by its text."""
    return tuple(_parse(text, package, version, source))


def _parse(text: str, package: str, version: str, source: Path) -> Iterator[Entry | ModalityDefinition]:
    """Yield the plugins and modalities of a `registry.yaml`. Raises TypeError or ValueError if it cannot be read."""
    content = _make_loader()(text).get_single_data()
    if not isinstance(content, Mapping):
        raise TypeError("the file is not a mapping of kinds")
    api = content.get("api", API)
    if type(api) is not int or api != API:
        raise ValueError(_describe_api_problem(api, package))
    sections = (*PLUGIN_KINDS, MODALITY)
    for kind, plugins in content.items():
        if kind == "api":
            continue
        if kind not in sections:
            problem = f"`{kind}` is not a kind of plugin ({did_you_mean(str(kind), sections) or ', '.join(sections)})"
            yield _make_broken(BROKEN_PACKAGE, package, package, version, source, problem)
        elif not isinstance(plugins, Mapping):
            problem = f"`{kind}` is not a mapping of names"
            yield _make_broken(BROKEN_PACKAGE, package, package, version, source, problem)
        elif kind == MODALITY:
            for name, fields in plugins.items():
                found = read_modality(str(name), fields, package, version, source)
                yield (
                    _make_broken(MODALITY, str(name), package, version, source, found)
                    if isinstance(found, str)
                    else found
                )
        else:
            for name, fields in plugins.items():
                yield _make_entry(str(kind), str(name), fields, package, version, source)


def _make_entry(kind: str, name: str, fields: Any, package: str, version: str, source: Path) -> Entry:
    """Return a plugin from its fields in the `registry.yaml` at `source`; one marked as broken if the fields have a
    fault."""
    if problem := _find_entry_problem(kind, name, fields):
        return _make_broken(kind, name, package, version, source, problem)
    return Entry(
        kind=kind,
        name=name,
        package=package,
        version=version,
        source=source,
        modalities=tuple(fields.get("modalities") or ()),
        asks=read_questions(fields.get(ASKS) or {}),
        sites=tuple((m, tuple(_as_list(places))) for m, places in (fields.get(_SITES) or {}).items()),
        releases=tuple((fields.get(_RELEASES) or {}).items()),
        **{field: fields[field] for field in _COPIED if field in fields},
    )


def _find_entry_problem(kind: str, name: str, fields: Any) -> str | None:
    """Return a description of the first fault in the name or fields of a plugin; None if there is no fault."""
    if not _FRAGMENT_NAME.fullmatch(name):
        return "a name consists of letters, digits, `_`, `-`, `.`, and at most one `/` before a variant"
    if not isinstance(fields, Mapping):
        return "the entry is not a mapping of fields"
    extras = _FUNCTIONS.get(kind, ())
    known = (*_REQUIRED, *_OPTIONAL_KEYS, *extras, *_MORE_FIELDS.get(kind, ()))
    for key in fields:
        if key not in known:
            return f"unknown field `{key}` ({did_you_mean(str(key), known) or 'known: ' + ', '.join(known)})"
    missing = [key for key in _REQUIRED if fields.get(key) in (None, "")]
    if missing:
        return f"`{missing[0]}` is missing"
    if not isinstance(fields["target"], str) or not _TARGET.fullmatch(fields["target"]):
        return f"`target` is {fields['target']!r}, expected `module:Class`"
    if type(fields["revision"]) is not int or fields["revision"] < 1:
        return f"`revision` is {fields['revision']!r}, expected an integer of at least 1"
    functions = {extra: fields.get(extra, fields["target"]) for extra in extras}
    if wrong := next((e for e, f in functions.items() if not isinstance(f, str) or not _TARGET.fullmatch(f)), None):
        return f"`{wrong}` is {functions[wrong]!r}, expected `module:function`"
    for key, types in _PLAIN.items():
        if key in fields and type(fields[key]) not in types:
            return f"`{key}` is {fields[key]!r}, expected {_WORDS.get(key, 'text')}"
    modalities = fields.get("modalities", [])
    if not isinstance(modalities, list) or not all(isinstance(m, str) for m in modalities):
        return f"`modalities` is {modalities!r}, expected a list of names"
    problem = find_questions_problem(fields.get(ASKS, {})) or _find_sites_problem(fields.get(_SITES, {}), modalities)
    return problem or _find_releases_problem(fields.get(_RELEASES, {}))


def _find_sites_problem(sites: Any, modalities: list[str]) -> str | None:
    """Return a description of the first fault in a dataset's sensor sites; None if there is no fault."""
    if not isinstance(sites, Mapping):
        return f"`{_SITES}` is {sites!r}, expected a mapping of modalities to places on the body"
    for m, places in sites.items():
        if m not in modalities:
            return f"`{_SITES}` names {m!r}, which `modalities` does not contain"
        if wrong := next((place for place in _as_list(places) if place not in SITES), None):
            return f"`{_SITES}` contains {wrong!r} ({did_you_mean(str(wrong), SITES) or 'known: ' + ', '.join(SITES)})"
    return None


def _find_releases_problem(released: Any) -> str | None:
    """Return a description of the fault in a dataset's digests of releases; None if there is no fault."""
    if not isinstance(released, Mapping) or not all(isinstance(text, str) for row in released.items() for text in row):
        return f"`{_RELEASES}` is {released!r}, expected a mapping from each digest to the owner of its recordings"
    return None


def _as_list(places: Any) -> list[Any]:
    """Return sensor sites as a list; a single one as a list of one."""
    return places if isinstance(places, list) else [places]


def _describe_api_problem(api: Any, package: str) -> str:
    """Return in words that a package's version of the plugin API is not the one that embench reads, and what to do."""
    own = f"embench {embench.__version__} reads version {API} of the plugin API"
    later = type(api) is int and api > API
    remedy = f"update {embench.DISTRIBUTION}, or install a version of {package} that supports" if later else "write"
    return f"`api` is {api!r}, and {own}: {remedy} `api: {API}`"


def _make_broken(kind: str, name: str, package: str, version: str, source: Path, problem: str) -> Entry:
    """Return a plugin that cannot be used, with the reason `problem`."""
    return Entry(kind, name, package, version, target="", revision=0, summary="", source=source, broken=problem)


def _format_error(error: Exception) -> str:
    """Return an error on reading a `registry.yaml` as a clause."""
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} does not exist"
    if mark := getattr(error, "problem_mark", None):  # of a yaml.MarkedYAMLError
        return f"line {mark.line + 1} is not YAML: {getattr(error, 'problem', '')}"
    text = " ".join(str(error).split())
    return text if type(error) in (ValueError, TypeError) else f"{type(error).__name__}: {text}"


@cache
def _make_loader() -> type[yaml.SafeLoader]:
    """Return a plain YAML loader that refuses duplicate keys, which would silently override each other."""

    class Loader(safe_loader()):  # type: ignore[misc]  # a base that is imported where it is used
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise ValueError(f"`{key.value}` appears twice (line {key.start_mark.line + 1})")
                seen.add(key.value)
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

    return Loader
