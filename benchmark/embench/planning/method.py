"""Resolve the method of a run: full names of its plugins, and their recipes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from embench import registry
from embench.data.find import Source, find_source, is_folder
from embench.engine.stage import Part, plain_value
from embench.errors import Refusals, UsageError
from embench.files import sha256
from embench.interfaces.dataset import Card
from embench.interfaces.encoder import Encoder
from embench.interfaces.fusion import Estimator
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.recording import parse_modality, split_modality
from embench.planning.compatibility import (
    TRAINING_FIELDS,
    check_adaptation,
    check_parts,
    check_trained_by,
)
from embench.planning.hub import find_assets
from embench.planning.parts import Method, Pretraining, apply_settings, list_fields
from embench.planning.request import Request, assign
from embench.protocols import Protocol, load_protocol, protocol_names
from embench.store import decoder_versions
from embench.system import installed_version
from embench.vocabulary import did_you_mean


def resolve_method(request: Request, card: Card, available: Sequence[str], device: str) -> Method:
    """Return the method of a request with the library versions and weights that affect its encoders' numbers. Missing
    weights are downloaded. For arguments and errors see `resolve_names`."""
    return pin_assets(resolve_names(request, card, available, device))


def pin_assets(method: Method) -> Method:
    """Return a method with the library versions and weights of its encoders. Raises DataError or UsageError."""
    return replace(method, encoders={m: _pin_part(part) for m, part in method.encoders.items()})


def resolve_names(request: Request, card: Card, available: Sequence[str], device: str) -> Method:
    """Return the method of a request, without preparing or downloading anything.

    Args:
        card: card of the dataset. `available`: its modalities. `device`: cpu, cuda or mps, for networks.

    Raises:
        UsageError: a name is unknown, or parts do not fit; the error names all faults.
        PluginError: a modality on the card has another definition than in the registry."""
    refusals = Refusals()
    method = read_method(request, card, available, device, refusals)
    method = check_method(request, method, card, refusals)
    refusals.raise_all()
    # The modality of the queries comes first, and the others follow by name.
    if method.query and method.modalities != (
        ordered := (method.query, *sorted(set(method.modalities) - {method.query}))
    ):
        return resolve_names(replace(request, modalities=",".join(ordered)), card, available, device)
    return method


def read_method(request: Request, card: Card, available: Sequence[str], device: str, refusals: Refusals) -> Method:
    """Return the method that a request names, whether or not its parts fit. Faults that do not prevent this are added
    to `refusals`: a modality that the dataset lacks, a missing fusion (then the method has `single`), a wrong source.

    Raises:
        UsageError: a name is unknown, so parts cannot be compared; the error includes the faults in `refusals`."""
    registry.added_modalities(card, card.name)
    wrong = Refusals()  # names without which there is no method to check
    modalities: tuple[str, ...] = ()
    with wrong:
        modalities = _split_modalities(request, card, available)
    known = {modality.name for modality in registry.modalities()}
    with refusals if all(p in known for m in modalities for p in split_modality(m)) else wrong:
        choose_modalities(request, card, available)
    names: dict[str, str] = {}
    with wrong:
        names = assign(request.encoders, modalities, "encoder") if modalities else {}
    fusion_name = request.fusion or "single"
    with wrong:
        if request.recipe and request.recipe not in PRESETS:
            raise UsageError(
                f"no recipe `{request.recipe}`",
                where="--recipe",
                expected=", ".join(PRESETS),
                hint=did_you_mean(request.recipe, PRESETS),
            )
    named = [("encoder", name) for name in names.values()] + [("fusion", fusion_name)]
    for part in named:
        with wrong:
            registry.load_plugin(*part)
    for text in request.pretrainers:
        with wrong:
            registry.load_plugin("pretrainer", read_pretrainer(text)[1])
    if wrong.found:
        refusals.found += wrong.found
        refusals.raise_all()
    with refusals:
        _check_named(request, modalities)
    plugins = [registry.load_plugin("encoder", name) for name in names.values()]
    kind = registry.load_plugin("fusion", fusion_name)
    joins: Any = "estimator" if issubclass(kind, Estimator) else kind.inputs
    has_features = all("features" in plugin.offers for plugin in plugins)
    inputs: Any = "hidden" if joins == "hidden" else "tokens"
    if joins == "estimator":
        inputs = kind.reads if kind.reads == "decisions" or has_features else "hidden"
    device = "cpu" if inputs == "features" else device
    preset = request.recipe or ("paper" if device == "cuda" else "small")
    encoders = {m: _load_part("encoder", names[m], preset, card.name) for m in modalities}
    fusion = _load_part("fusion", fusion_name, preset, card.name)
    steps: list[Pretraining] = []
    for text in request.pretrainers:
        with refusals:
            steps += _plan_steps(text, modalities, preset, card.name, request, refusals)
    return Method(modalities, encoders, fusion, joins, inputs, tuple(steps), preset, device)


def check_method(request: Request, method: Method, card: Card, refusals: Refusals) -> Method:
    """Check that the parts of a method fit, add all faults to `refusals`, and return the method with its settings."""
    with refusals:
        method = apply_settings(method, request.settings)
    kind = registry.load_plugin("fusion", method.fusion.name)
    named = request.fusion is not None or len(method.modalities) == 1
    check_parts(method, kind if named else None, card, load_protocol(request.protocol), refusals)
    with refusals:
        check_adaptation(method, request.settings)
    with refusals:
        check_trained_by(method, request.settings)
    return method


def _check_named(request: Request, modalities: Sequence[str]) -> None:
    """Raise UsageError if there are several modalities and no fusion is named."""
    if request.fusion is None and len(modalities) > 1:
        joined = "+".join(name for name in modalities if name != "video")
        raise UsageError(
            f"{len(modalities)} modalities ({', '.join(modalities)}) require a fusion, and none is named",
            where="--fusion",
            expected=f"one of {', '.join(name for name in registry.list_plugins('fusion') if name != 'single')}",
            hint=f"for one network on all channels: --modalities {joined}",
        )


def choose_modalities(request: Request, card: Card, available: Sequence[str]) -> tuple[str, ...]:
    """Return the modalities of a request, by default the card's. Raises UsageError if any are not available."""
    chosen, refusals = _split_modalities(request, card, available), Refusals()
    known = {modality.name for modality in registry.modalities()}
    for joined in chosen:
        for m, channel in _parse_modality(joined):
            with refusals:
                if m not in available:
                    raise UsageError(
                        f"{card.name} has no modality `{m}`"
                        + ("" if m in known else f"; `{m}` is not a known modality"),
                        where="--modalities",
                        expected=", ".join(available),
                        hint=did_you_mean(m, list(available)),
                    )
                channels = card.modalities[m].channels
                if channel is not None and (channel not in channels or m == "video"):
                    raise UsageError(
                        f"{card.name} has no channel `{channel}` of {m}",
                        where=f"--modalities {joined}",
                        expected=", ".join([m, *(f"{m}[{name}]" for name in channels if m != "video")]),
                        hint=did_you_mean(channel, list(channels)),
                    )
    refusals.raise_all()
    return chosen


def _split_modalities(request: Request, card: Card, available: Sequence[str]) -> tuple[str, ...]:
    """Return the modalities that a request names, by default the card's. Raises UsageError if there is none, or one is
    malformed or named twice."""
    chosen = request.modalities.split(",") if request.modalities else list(card.default_modalities)
    chosen = [m.strip() for m in chosen if m.strip()]
    for joined in chosen:
        _parse_modality(joined)
    if not chosen:
        raise UsageError("no modality", where=f"--modalities {request.modalities}", expected=", ".join(available))
    if twice := [m for m, count in Counter(chosen).items() if count > 1]:
        raise UsageError(f"duplicate modality `{twice[0]}`", where=f"--modalities {request.modalities}")
    return tuple(chosen)


def _parse_modality(modality: str) -> tuple[tuple[str, str | None], ...]:
    """Return (modality, channel or None) for each part of a joined modality. Raises UsageError if it is malformed."""
    try:
        return parse_modality(modality)
    except ValueError as error:
        raise UsageError(
            str(error),
            where="--modalities",
            expected="names joined by plus signs, each with at most one channel in brackets, such as ecg[left]+eda",
        ) from error


def _load_part(kind: str, name: str, preset: str, dataset: str) -> Part:
    """Return a plugin with its recipe `preset` for a dataset. Raises UsageError if it has none of this name."""
    entry = registry.find(kind, name)
    plugin = registry.load_plugin(kind, name)
    if preset not in plugin.recipes:
        raise UsageError(
            f"{kind} {name} has no recipe `{preset}`", where="--recipe", expected=", ".join(plugin.recipes)
        )
    return Part(entry.full_name, registry.code_identity(kind, name), plugin.recipes[preset].apply_dataset(dataset))


def _pin_part(part: Part) -> Part:
    """Return an encoder's part with the library versions and asset digests that its recipe implies."""
    encoder: Encoder = registry.load_plugin("encoder", part.name)(part.recipe)
    versions = {name: installed_version(name) for name in encoder.libraries}
    if encoder.reads == "clips":
        versions |= decoder_versions()
    return replace(part, libraries=versions, assets={path.name: sha256(path) for path in find_assets(encoder)})


_PRETRAINER = re.compile(r"(?:([\w+\[\]-]+)=)?([^:]+\.py:[A-Za-z_]\w*|object:\w+:[\w-]+|[^:]+)(?::(.+))?")


def read_pretrainer(text: str) -> tuple[str | None, str, str | None]:
    """Return (modality, name, source) in a value of `--pretrainer`; None for absent ones. Raises UsageError."""
    found = _PRETRAINER.fullmatch(text)
    if found is None:
        raise UsageError(
            f"cannot read `{text}`", where="--pretrainer", expected="[modality=]NAME[:source], such as eeg=masked_value"
        )
    return found[1], found[2], found[3]


def _plan_steps(
    text: str, modalities: Sequence[str], preset: str, dataset: str, request: Request, refusals: Refusals
) -> list[Pretraining]:
    """Return the pretraining steps of one value of `--pretrainer`: one per modality, or one for the whole model. Faults
    of its sources are added to `refusals`."""
    modality, name, source = read_pretrainer(text)
    if modality and modality not in modalities:
        raise UsageError(
            f"`{modality}` has a pretrainer but is not a modality of this run",
            where=f"--pretrainer {text}",
            expected=", ".join(modalities),
        )
    part = _load_part("pretrainer", name, preset, dataset)
    pretrainer = registry.load_plugin("pretrainer", name)
    trained = [None] if pretrainer.scope == "model" else [modality] if modality else list(modalities)
    sources: tuple[Source, ...] = ()
    own = source is None
    with refusals:
        if pretrainer.labels == "source" and source is None:
            raise UsageError(
                f"{name} learns from the labels of another dataset, and no dataset is named",
                where=f"--pretrainer {text}",
                expected=f"--pretrainer {text}:DATASET, such as {text}:{_suggest_dataset(dataset)}",
                hint="embench list dataset",
            )
        if source:
            sources, own = _find_sources(text, source, request)
        if pretrainer.labels == "source" and len(sources) + own > 1:
            raise UsageError(
                f"{name} learns from the labels of one dataset, but {source} names several",
                where=f"--pretrainer {text}",
                expected="one dataset, or a pretrainer without labels",
            )
    option = f"--pretrainer {name}" + (f":{source}" if source else "")
    return [Pretraining(part, m, sources, own, pretrainer.labels, option) for m in trained]


def split_datasets(source: str) -> tuple[str, ...]:
    """Return the dataset names in a source, which plus signs join. The path of an existing folder is one name."""
    return (source,) if Path(source).expanduser().is_dir() else tuple(source.split("+"))


def _find_sources(text: str, source: str, request: Request) -> tuple[tuple[Source, ...], bool]:
    """Return the other datasets that a source names, and True if it also names the dataset on which the run trains."""
    names = split_datasets(source)
    if len(names) == 1:
        return (find_source(source, request.data_root),), False
    if "" in names:
        raise UsageError(
            "a dataset name is missing before or after a plus sign",
            where=f"--pretrainer {text}",
            expected="datasets joined by plus signs, such as corpus+amigos",
        )
    found = [find_source(name, request.data_root) for name in names]
    if twice := [one.name for one in found if sum(map(one.same_data, found)) > 1]:
        raise UsageError(f"duplicate dataset `{twice[0]}`", where=f"--pretrainer {text}")
    trained_on = request.train_source or request.source
    others = tuple(one for one in found if not one.same_data(trained_on))
    return others, len(others) < len(found)


def _suggest_dataset(dataset: str) -> str:
    """Return the name of another dataset that has labels."""
    others = (name for name in registry.list_plugins("dataset") if name.partition("/")[0] != dataset.partition("/")[0])
    return next((name for name in others if registry.load_plugin("dataset", name).card.targets), "DATASET")


def replace_paths(text: str, data_root: Path | None) -> str:
    """Return a value of `--pretrainer` with dataset names in place of folders, as it stands in records and titles."""
    source = read_pretrainer(text)[2]
    if not source:
        return text
    names = [
        find_source(name, data_root).full_name.removeprefix(f"{registry.BUNDLED}/") if is_folder(name) else name
        for name in split_datasets(source)
    ]
    return text.removesuffix(source) + "+".join(names)


# What the papers of a method leave open, and where a run departs from them.

_OF_PAPERS = ("unit", "preprocess", "rate_hz", "normalise", "split", "validation")
"""Rules of the run's protocol that are compared with the protocol of a plugin's paper."""


def assumed_fields(method: Method) -> list[str]:
    """Return every setting that the papers of the plugins leave open, as `part.field`, whatever recipe the run uses."""
    fields = (
        (name, field)
        for name, part in method.parts()
        if (recipe := _paper_recipe(name, part))
        for field in recipe.assumed
        if field.partition(".")[0] not in _unused(method, name)
    )
    return [f"{name}.{field}" for name, field in _merged(method, fields)]


def departures(method: Method, dataset: str, protocol: Protocol) -> list[dict[str, Any]] | None:
    """Return `field`, `source`, `paper` and `used` of each setting in which a method differs from its plugins' papers.
    Return None if no plugin has a paper.

    Args:
        dataset: name on the dataset card, for which recipes may have values of their own."""
    sources: dict[str, None] = {}
    found: list[tuple[str, dict[str, Any]]] = []
    for name, part in method.parts():
        source, recipe = registry.find(name.partition("[")[0], part.name).paper, _paper_recipe(name, part)
        if source is None or recipe is None:
            continue
        sources[source] = None
        differ = _differences(source, vars(recipe.apply_dataset(dataset)), vars(part.recipe), recipe.assumed)
        unused = _unused(method, name)
        found += [(name, item) for item in differ if item["field"].partition(".")[0] not in unused]
    listed = [{**item, "field": f"{name}.{item['field']}"} for name, item in _merged(method, found)]
    published = set(protocol_names())
    for source in [source for source in sources if source in published]:
        contents = (load_protocol(source).content(), protocol.content())
        paper, used = ({f"protocol.{rule}": content.get(rule) for rule in _OF_PAPERS} for content in contents)
        listed += _differences(source, paper, used)
    return listed if sources else None


def _differences(
    source: str, paper: Mapping[str, Any], used: Mapping[str, Any], left_open: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield each field in which the values `used` differ from the paper's, which are None if it leaves them open."""
    paper, used = (dict(list_fields(plain_value(each))) for each in (paper, used))
    for field in dict.fromkeys([*paper, *used]):
        stated, ours = paper.get(field), used.get(field)
        if stated != ours:
            stated = None if {field, field.partition(".")[0]} & set(left_open) else stated
            yield {"field": field, "source": source, "paper": stated, "used": ours}


def _merged(method: Method, found: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield (part, value). A value that all encoders share is yielded once, with the part `encoder`, as in `--set`."""
    grouped: dict[str, tuple[Any, list[str]]] = {}
    for name, value in found:
        grouped.setdefault(f"{name.partition('[')[0]} {value}", (value, []))[1].append(name)
    for value, names in grouped.values():
        of_all = names[0].startswith("encoder") and len(names) == len(method.encoders)
        yield from ((name, value) for name in (["encoder"] if of_all else names))


def _paper_recipe(name: str, part: Part) -> Recipe | None:
    """Return the recipe `paper` of a plugin; None if it has none."""
    recipe: Recipe | None = registry.load_plugin(name.partition("[")[0], part.name).recipes.get("paper")
    return recipe


def _unused(method: Method, name: str) -> frozenset[str]:
    """Return the fields of a part's recipe that have no effect in this method, or that are not settings."""
    never = frozenset({"assumed", "datasets"})
    if not name.startswith("encoder") or method.joins not in ("tokens", "estimator"):
        return never
    if method.joins == "tokens":
        return never | TRAINING_FIELDS
    return never | TRAINING_FIELDS | {"build", "adapt"} if method.inputs == "features" else never
