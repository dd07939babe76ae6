"""Finds the packages that offer plugins and reads their `registry.yaml`, without importing any of them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import embench
from embench.files import safe_loader
from embench.registry.modality import MODALITY, SITES, ModalityDefinition, clash_with_bundled, read_modality
from embench.registry.naming import did_you_mean
from embench.registry.question import ASKS, Question, problem_of_questions, read_questions
from embench.snapshot import cached

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

    import yaml

GROUP = "embench"
API = 1
"""The version of the interfaces that this embench offers to plugins; `api` in a `registry.yaml` names the one that its
plugins were written for."""
BUNDLED = "embench_plugins"
PLUGIN_KINDS = ("dataset", "encoder", "pretrainer", "fusion", "metric", "observer")
BROKEN_PACKAGE = "package"
"""The kind of an entry that stands for a package whose plugins cannot even be listed."""

_REQUIRED = ("target", "revision", "summary")
_OPTIONAL = ("paper", "modalities", "licence")
_OF_KINDS = {"dataset": ("synthesizer", "describer"), "encoder": ("converter",), "pretrainer": ("converter",)}
"""The functions that a plugin of a kind may have beside its class."""
_OF_DATASETS = ("address", "availability", "download", "hours")
_SITES = "sites"
_RELEASES = "releases"
_TEXTS = ("summary", "paper", "licence", "address", "availability", "download")
_FLAGS = ("features", "ranks")
_FLAGS_OF = {"encoder": ("features",), "fusion": _FLAGS}
"""Boolean fields of a kind's plugins."""
_PLAIN: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS, (str,)), **dict.fromkeys(_FLAGS, (bool,)), "hours": (int, float)
}  # fmt: skip
_WORDS = {"hours": "a number", **dict.fromkeys(_FLAGS, "true or false")}
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Entry:
    """A plugin as its `registry.yaml` describes it.

    Args:
        package: the package that offers it; empty for a class from a file (`./my_file.py:MyEncoder`) or one that was
            given from Python (`object:DIGEST:MyEncoder`), whose `name` is that text.
        version: of the package; of a file, or an object, a digest of its content.
        target: `module:Class`, `file.py:Class`, or the name of an object.
        revision: rises when the plugin's results change; part of its code identity in an installed wheel.
        source: the `registry.yaml` it stands in, or the file of the class.
        broken: why it can't be used, or None. A package that can't be read at all is one entry of kind `package`.
        synthesizer: `module:function` that writes synthetic files of a dataset, or None.
        describer: `module:function` that writes the first description of a folder of own recordings, or None.
        converter: `module:function` that converts checkpoints of other code for an encoder or what a pretrainer trains,
            or None.
        address: the page from which a dataset is obtained; None where it is unknown, as in the fields below.
        availability: what is known of that source and of others: whether it answers, mirrors.
        download: how much is downloaded, in words.
        hours: how long all recordings of a dataset are together.
        asks: of a dataset, what its targets ask, each that has words for it.
        sites: of a dataset, each modality whose sensors have a declared place with that of each channel, in the card's
            order; one that all share stands alone.
        releases: of a dataset, the digests of raw files and label rules (see `embench.data.find.files_digest`) that are
            known to be those of a release, each with whose recordings they are.
        features: whether an encoder gives features that estimators are fitted to, or a fusion is such an estimator.
        ranks: whether the scores of a fusion only rank units, and are not meant as probabilities.
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

    @property
    def full_name(self) -> str:
        """`package/name`, which always means this very entry; plans and records hold it."""
        return f"{self.package}/{self.name}" if self.package else self.name

    @property
    def home(self) -> str:
        """Package and version, for readers."""
        if self.package:
            return f"{self.package} {self.version}"
        return "Python" if self.target.startswith("object:") else "file"


@dataclass(frozen=True)
class Package:
    """A package that joined through an entry point, and what it offers."""

    name: str
    version: str
    distribution: Distribution | None
    entries: tuple[Entry, ...]
    modalities: tuple[ModalityDefinition, ...] = ()


def packages() -> list[Package]:
    """All packages that offer plugins, the bundled one first, then by name."""
    from importlib.metadata import entry_points  # not for `--help`, which lists no plugin

    points = {point.value: point for point in reversed(list(entry_points(group=GROUP)))}
    found = [_read(points[name]) for name in sorted(points, key=lambda name: (name != BUNDLED, name))]
    bundled = {m.name: m for package in found if package.name == BUNDLED for m in package.modalities}
    return [package if package.name == BUNDLED else _beside(bundled, package) for package in found]


def _beside(bundled: Mapping[str, ModalityDefinition], package: Package) -> Package:
    """A package whose modalities clash with no bundled one; those that do are broken."""
    clashes = [(m, clash_with_bundled(m, bundled)) for m in package.modalities]
    broken = tuple(_broken(MODALITY, m.name, m.package, m.version, m.source, clash) for m, clash in clashes if clash)
    fine = tuple(m for m, clash in clashes if not clash)
    return replace(package, entries=package.entries + broken, modalities=fine)


@cached
def module_file(module: str) -> Path | None:
    """The source file of a module, found without importing it or its parents; None where there is none."""
    for place in _places(module):
        if place.is_file():
            return place
    return None


def _places(module: str) -> Iterator[Path]:
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)  # of a top-level name: runs nothing of it
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
    """The folders of a package, found without importing it; none where the name is no package's."""
    if not _PACKAGE.fullmatch(package):
        return []
    top, *rest = package.split(".")
    spec = importlib.util.find_spec(top)
    locations = (spec.submodule_search_locations if spec else None) or ()
    return [folder for folder in (Path(location, *rest) for location in locations) if folder.is_dir()]


def _read(point: EntryPoint) -> Package:
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
        found = _parsed(source.read_text(encoding="utf-8"), name, version, source)
    except Exception as error:  # noqa: BLE001  # the plugin boundary: whatever one package does, others are listed
        found = (_broken(BROKEN_PACKAGE, name, name, version, source, _one_line(error)),)
    entries = tuple(one for one in found if isinstance(one, Entry))
    return Package(
        name, version, distribution, entries, tuple(one for one in found if isinstance(one, ModalityDefinition))
    )


@cache
def _parsed(text: str, package: str, version: str, source: Path) -> tuple[Entry | ModalityDefinition, ...]:
    """The plugins and modalities of a `registry.yaml`. An installation leaves those of other packages as they were."""
    return tuple(_parse(text, package, version, source))


def _parse(text: str, package: str, version: str, source: Path) -> Iterator[Entry | ModalityDefinition]:
    content = _loader()(text).get_single_data()
    if not isinstance(content, Mapping):
        raise TypeError("the file is not a mapping of kinds")
    api = content.get("api", API)
    if type(api) is not int or api != API:
        raise ValueError(_other_api(api, package))
    sections = (*PLUGIN_KINDS, MODALITY)
    for kind, plugins in content.items():
        if kind == "api":
            continue
        if kind not in sections:
            problem = f"`{kind}` is not a kind of plugin ({did_you_mean(str(kind), sections) or ', '.join(sections)})"
            yield _broken(BROKEN_PACKAGE, package, package, version, source, problem)
        elif not isinstance(plugins, Mapping):
            problem = f"`{kind}` is not a mapping of names"
            yield _broken(BROKEN_PACKAGE, package, package, version, source, problem)
        elif kind == MODALITY:
            for name, fields in plugins.items():
                found = read_modality(str(name), fields, package, version, source)
                yield _broken(MODALITY, str(name), package, version, source, found) if isinstance(found, str) else found
        else:
            for name, fields in plugins.items():
                yield _entry(str(kind), str(name), fields, package, version, source)


def _entry(kind: str, name: str, fields: Any, package: str, version: str, source: Path) -> Entry:
    if problem := _problem(kind, name, fields):
        return _broken(kind, name, package, version, source, problem)
    return Entry(
        kind=kind,
        name=name,
        package=package,
        version=version,
        target=fields["target"],
        revision=fields["revision"],
        summary=fields["summary"],
        source=source,
        paper=fields.get("paper"),
        modalities=tuple(fields.get("modalities") or ()),
        licence=fields.get("licence"),
        synthesizer=fields.get("synthesizer"),
        describer=fields.get("describer"),
        converter=fields.get("converter"),
        asks=read_questions(fields.get(ASKS) or {}),
        sites=tuple((m, tuple(_listed(places))) for m, places in (fields.get(_SITES) or {}).items()),
        releases=tuple((fields.get(_RELEASES) or {}).items()),
        features=fields.get("features", False),
        ranks=fields.get("ranks", False),
        **{field: fields[field] for field in _OF_DATASETS if field in fields},
    )


def _problem(kind: str, name: str, fields: Any) -> str | None:
    """The fault in an entry's fields, or None."""
    if not _NAME.fullmatch(name):
        return "a name consists of letters, digits, `_`, `-`, `.`, and at most one `/` before a variant"
    if not isinstance(fields, Mapping):
        return "the entry is not a mapping of fields"
    extras = _OF_KINDS.get(kind, ())
    known = (*_REQUIRED, *_OPTIONAL, *extras, *((*_OF_DATASETS, ASKS, _SITES, _RELEASES) if kind == "dataset" else ()))
    known += _FLAGS_OF.get(kind, ())
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
    sites, released = fields.get(_SITES, {}), fields.get(_RELEASES, {})
    return (
        problem_of_questions(fields.get(ASKS, {}))
        or _problem_of_sites(sites, modalities)
        or _problem_of_releases(released)
    )


def _problem_of_sites(sites: Any, modalities: list[str]) -> str | None:
    if not isinstance(sites, Mapping):
        return f"`{_SITES}` is {sites!r}, expected a mapping of modalities to places on the body"
    for m, places in sites.items():
        if m not in modalities:
            return f"`{_SITES}` names {m!r}, which `modalities` does not contain"
        if wrong := next((place for place in _listed(places) if place not in SITES), None):
            return f"`{_SITES}` contains {wrong!r} ({did_you_mean(str(wrong), SITES) or 'known: ' + ', '.join(SITES)})"
    return None


def _problem_of_releases(released: Any) -> str | None:
    if not isinstance(released, Mapping) or not all(isinstance(text, str) for row in released.items() for text in row):
        return f"`{_RELEASES}` is {released!r}, expected a mapping from each digest to the owner of its recordings"
    return None


def _listed(places: Any) -> list[Any]:
    return places if isinstance(places, list) else [places]


def _other_api(api: Any, package: str) -> str:
    own = f"embench {embench.__version__} reads version {API} of the plugin API"
    later = type(api) is int and api > API
    remedy = f"update {embench.DISTRIBUTION}, or install a version of {package} that supports" if later else "write"
    return f"`api` is {api!r}, and {own}: {remedy} `api: {API}`"


def _broken(kind: str, name: str, package: str, version: str, source: Path, problem: str) -> Entry:
    return Entry(kind, name, package, version, target="", revision=0, summary="", source=source, broken=problem)


def _one_line(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} does not exist"
    if mark := getattr(error, "problem_mark", None):  # of a yaml.MarkedYAMLError
        return f"line {mark.line + 1} is not YAML: {getattr(error, 'problem', '')}"
    text = " ".join(str(error).split())
    return text if type(error) in (ValueError, TypeError) else f"{type(error).__name__}: {text}"


@cache
def _loader() -> type[yaml.SafeLoader]:
    """Plain YAML that refuses a duplicate key, which would silently override the first."""

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
