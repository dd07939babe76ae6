"""The method of a run: plugins by full name, recipes resolved, and whether the parts fit together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from embench import registry
from embench.data.find import is_folder
from embench.engine.specs import Part
from embench.errors import PluginError, UsageError
from embench.files import sha256
from embench.interfaces.dataset import Card
from embench.interfaces.encoder import Encoder
from embench.interfaces.fusion import Estimator, Fusion
from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import PRESETS
from embench.interfaces.recording import names_in, parts_of
from embench.planning.parts import Method, Pretraining
from embench.planning.request import Request, assign
from embench.planning.settings import applied
from embench.registry.naming import did_you_mean
from embench.store import decoder_versions
from embench.system import version_of


def resolve_method(request: Request, card: Card, available: Sequence[str], device: str) -> Method:
    """The method of a request on a dataset, on a `device` (cpu, cuda or mps) if it trains a network.

    Raises:
        UsageError: a name is unknown, or parts do not fit; the error names what is missing.
        PluginError: the card has a modality that is not defined so.
    """
    registry.added_modalities(card, card.name)
    if request.recipe and request.recipe not in PRESETS:
        raise UsageError(
            f"no recipe `{request.recipe}`",
            where="--recipe",
            expected=", ".join(PRESETS),
            hint=did_you_mean(request.recipe, PRESETS),
        )
    modalities = chosen_modalities(request, card, available)
    names = assign(request.encoders, modalities, "encoder")
    plugins = {name: registry.load("encoder", name) for name in names.values()}
    fusion_name = request.fusion or ("single" if len(modalities) == 1 else None)
    if fusion_name is None:
        raise UsageError(
            f"{len(modalities)} modalities ({', '.join(modalities)}) and no fusion",
            where="--fusion",
            expected=f"one of {', '.join(registry.names('fusion'))}",
            hint="or one modality alone: --modalities " + modalities[0],
        )
    kind = registry.load("fusion", fusion_name)
    joins: Any = "estimator" if issubclass(kind, Estimator) else kind.inputs
    has_features = all("features" in plugin.offers for plugin in plugins.values())
    inputs: Any = "hidden" if joins == "hidden" else "tokens"
    if joins == "estimator":
        inputs = kind.reads if kind.reads == "decisions" or has_features else "hidden"
    device = "cpu" if inputs == "features" else device
    preset = request.recipe or ("paper" if device == "cuda" else "small")
    encoders = {m: _part("encoder", names[m], preset, card.name) for m in modalities}
    fusion = _part("fusion", fusion_name, preset, card.name)
    steps = tuple(s for text in request.pretrainers for s in _pretraining(text, modalities, preset, card.name))
    method = Method(modalities, encoders, fusion, joins, inputs, steps, preset, device)
    method = applied(method, request.settings)
    _check(method, kind)
    return replace(method, encoders={m: _grounded(part) for m, part in method.encoders.items()})


def chosen_modalities(request: Request, card: Card, available: Sequence[str]) -> tuple[str, ...]:
    """The modalities of a request, by default the card's. Raises UsageError where one is not available."""
    chosen = request.modalities.split(",") if request.modalities else list(card.default_modalities)
    chosen = [m.strip() for m in chosen if m.strip()]
    known = {modality.name for modality in registry.modalities()}
    for joined in chosen:
        for m, channel in _parts(joined):
            if m not in available:
                raise UsageError(
                    f"{card.name} has no modality `{m}`" + ("" if m in known else ", and no modality is called that"),
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
    if not chosen:
        raise UsageError("no modality", where=f"--modalities {request.modalities}", expected=", ".join(available))
    if twice := [m for m, count in Counter(chosen).items() if count > 1]:
        raise UsageError(f"duplicate modality `{twice[0]}`", where=f"--modalities {request.modalities}")
    return tuple(chosen)


def _parts(modality: str) -> tuple[tuple[str, str | None], ...]:
    try:
        return parts_of(modality)
    except ValueError as error:
        raise UsageError(
            str(error),
            where="--modalities",
            expected="names joined by plus signs, each with one channel in brackets or none, such as ecg[left]+eda",
        ) from error


def _part(kind: str, name: str, preset: str, dataset: str) -> Part:
    entry = registry.find(kind, name)
    plugin = registry.load(kind, name)
    if preset not in plugin.recipes:
        raise UsageError(
            f"{kind} {name} has no recipe `{preset}`", where="--recipe", expected=", ".join(plugin.recipes)
        )
    return Part(entry.full_name, registry.code_identity(kind, name), plugin.recipes[preset].on(dataset))


def _grounded(part: Part) -> Part:
    """An encoder's part with what its numbers rest on under its recipe."""
    encoder: Encoder = registry.load("encoder", part.name)(part.recipe)
    versions = {name: version_of(name) for name in encoder.libraries}
    if encoder.reads == "clips":
        versions |= decoder_versions()
    return replace(part, libraries=versions, assets={path.name: sha256(path) for path in encoder.assets()})


_PRETRAINER = re.compile(r"(?:([\w+\[\]-]+)=)?([^:]+\.py:[A-Za-z_]\w*|object:\w+:\w+|[^:]+)(?::(.+))?")


def read_pretrainer(text: str) -> tuple[str | None, str, str | None]:
    """Modality, name and source in the value of `--pretrainer`. Raises UsageError where it cannot be read."""
    found = _PRETRAINER.fullmatch(text)
    if found is None:
        raise UsageError(
            f"cannot read `{text}`", where="--pretrainer", expected="[modality=]NAME[:source], such as eeg=masked_value"
        )
    return found[1], found[2], found[3]


def _pretraining(text: str, modalities: Sequence[str], preset: str, dataset: str) -> list[Pretraining]:
    modality, name, source = read_pretrainer(text)
    if modality and modality not in modalities:
        raise UsageError(
            f"pretrainer for `{modality}`, which is not among the modalities",
            where=f"--pretrainer {text}",
            expected=", ".join(modalities),
        )
    part = _part("pretrainer", name, preset, dataset)
    pretrainer = registry.load("pretrainer", name)
    if pretrainer.labels == "source" and source is None:
        raise UsageError(
            f"{name} learns from another dataset's labels, and none is named",
            where=f"--pretrainer {text}",
            expected=f"--pretrainer {text}:DATASET, such as {text}:{_labelled_dataset(dataset)}",
            hint="embench list dataset",
        )
    which = [None] if pretrainer.scope == "model" else [modality] if modality else list(modalities)
    return [Pretraining(part, m, source, pretrainer.labels) for m in which]


def _labelled_dataset(dataset: str) -> str:
    """The name of another dataset that has labels."""
    others = (name for name in registry.names("dataset") if name.partition("/")[0] != dataset.partition("/")[0])
    return next((name for name in others if registry.load("dataset", name).card.targets), "DATASET")


def without_paths(text: str) -> str:
    """The value of `--pretrainer`, with a corpus's folder by its name alone, as records and titles have it."""
    source = read_pretrainer(text)[2]
    if not source or not is_folder(source):
        return text
    return f"{text.removesuffix(source)}{Path(source).expanduser().resolve().name}"


def _check(method: Method, kind: type[Any]) -> None:
    for m, part in method.encoders.items():
        encoder: type[Encoder] = registry.load("encoder", part.name)
        missing = [p for p in names_in(m) if registry.known_as(encoder.accepts, p) is None]
        if missing:
            readers = [name for name, kind in _plugins("encoder") if registry.known_as(kind.accepts, m)]
            raise UsageError(
                f"encoder {part.short} does not read {', '.join(missing)}",
                where=f"modality {m}",
                expected=f"one of {', '.join(sorted(encoder.accepts))}",
                hint=f"encoders of {m}: {', '.join(readers)}" if readers else None,
            )
        if "+" in m and encoder(part.recipe).reads == "features" and "joined" not in encoder.offers:
            raise UsageError(
                f"encoder {part.short} computes features of single modalities only, not of joined ones",
                where=f"modality {m}",
                expected="an encoder that reads signals, or offers joined",
                hint=f"list them separately: --modalities {m.replace('+', ',')}",
            )
        if "+" in m and "video" in names_in(m):
            raise UsageError(
                "a video has no channels to join with others",
                where=f"modality {m}",
                hint="use a fusion instead: --modalities " + m.replace("+", ","),
            )
    if issubclass(kind, Fusion):
        n, (least, most) = len(method.modalities), kind.arity
        if not _takes(kind, n):
            span = f"{least}" if most == least else f"{least} to {most}" if most else f"at least {least}"
            others = [name for name, other in _plugins("fusion") if issubclass(other, Fusion) and _takes(other, n)]
            raise UsageError(
                f"fusion {method.fusion.short} takes {span} modalit{'y' if span == '1' else 'ies'}, "
                f"and there are {n}: {', '.join(method.modalities)}",
                where="--fusion",
                expected=_offered(f"for {n}, a fusion", others),
                hint="name more with --modalities, or choose another --fusion"
                if n < least
                else f"choose with --modalities, such as --modalities {method.modalities[0]}",
            )
    for step in method.pretraining:
        _check_pretraining(method, step, kind)


def _check_pretraining(method: Method, step: Pretraining, fusion: type[Any]) -> None:
    pretrainer: type[Pretrainer] = registry.load("pretrainer", step.part.name)
    if method.inputs == "features":
        raise UsageError(
            f"{method.fusion.short} is fitted on features, which no pretraining changes",
            where=f"--pretrainer {step.part.short}",
        )
    for m in method.of(step):
        instance: Encoder = registry.load("encoder", method.encoders[m].name)(method.encoders[m].recipe)
        if what := _lacks(pretrainer, instance):
            raise UsageError(
                f"pretrainer {step.part.short} needs {what}, and encoder {method.encoders[m].short} does not offer it",
                where=f"--pretrainer {step.part.short}, modality {m}",
                expected=_offered(f"an encoder of {m}", _encoders_for(pretrainer, m, method.preset)),
            )
    lacks = sorted(pretrainer.needs_fusion - getattr(fusion, "offers", frozenset()))
    if lacks or (pretrainer.scope == "model" and method.joins != "tokens"):
        needed = ", ".join(lacks) or "a fusion trained end to end"
        raise UsageError(
            f"pretrainer {step.part.short} trains the whole model and needs {needed}",
            where=f"--fusion {method.fusion.short}",
            expected=_offered("a fusion", _fusions_for(pretrainer, len(method.modalities))),
        )


def _lacks(pretrainer: type[Pretrainer], encoder: Encoder) -> str | None:
    """What a pretrainer needs of an encoder and does not find."""
    if lacks := sorted(pretrainer.needs_encoder - encoder.offers):
        return ", ".join(lacks)
    reads = encoder.reads if encoder.reads in ("features", "clips") else "signal"
    fine = not pretrainer.needs_input or reads in pretrainer.needs_input
    return None if fine else f"input of kind {' or '.join(sorted(pretrainer.needs_input))}"


def _encoders_for(pretrainer: type[Pretrainer], modality: str, preset: str) -> list[str]:
    """The encoders of a modality that a pretrainer can train."""
    found = ((name, kind) for name, kind in _plugins("encoder") if registry.known_as(kind.accepts, modality))
    return [n for n, kind in found if preset in kind.recipes and not _lacks(pretrainer, kind(kind.recipes[preset]))]


def _fusions_for(pretrainer: type[Pretrainer], modalities: int) -> list[str]:
    """The fusions of so many modalities under which a pretrainer can train the whole model."""
    return [
        name
        for name, kind in _plugins("fusion")
        if issubclass(kind, Fusion)
        and pretrainer.needs_fusion <= kind.offers
        and (pretrainer.scope != "model" or kind.inputs == "tokens")
        and _takes(kind, modalities)
    ]


def _takes(fusion: type[Fusion], modalities: int) -> bool:
    """Whether a fusion joins so many modalities."""
    least, most = fusion.arity
    return least <= modalities <= (most or modalities)


def _plugins(kind: str) -> Iterator[tuple[str, Any]]:
    """Name and class of every plugin of a kind that can be loaded."""
    for name in registry.names(kind):
        with suppress(PluginError):
            yield name, registry.load(kind, name)


def _offered(what: str, names: Sequence[str]) -> str:
    return f"{what} such as {', '.join(names)}" if names else f"{what}, of which none is installed"
