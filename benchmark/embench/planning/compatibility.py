"""Check whether the plugins of a method fit together, and describe what each encoder reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from embench import registry
from embench.data.cohort import Cohort
from embench.engine.rows import load_encoder, require_view, view_length
from embench.engine.stage import Part
from embench.errors import PluginError, Refusals, UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.encoder import Encoder
from embench.interfaces.fusion import Estimator, Fusion
from embench.interfaces.kinds import KINDS
from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal, parse_modality, remove_channels, split_modality
from embench.interfaces.units import View
from embench.planning.parts import Method, Pretraining
from embench.planning.request import Request
from embench.protocols import Protocol, load_protocol
from embench.registry.catalogue import is_object
from embench.signals.preprocess import rate_after
from embench.store import Store


def check_parts(method: Method, kind: type[Any] | None, card: Card, protocol: Protocol, refusals: Refusals) -> None:
    """Check that encoders read their modalities of the dataset, that the fusion accepts their number, and that
    pretrainers fit both. Faults are added to `refusals`.

    Args:
        kind: class of the fusion; None if the run names none.
        card: card of the dataset. Modalities and channels that it lacks are not compared with it."""
    for m, part in method.encoders.items():
        with refusals:
            _check_modality(m, part)
            if all(p in card.modalities and c in (None, *card.modalities[p].channels) for p, c in parse_modality(m)):
                check_input(m, part, card, protocol)
    _check_pretrained_encoders(method, refusals)
    if kind is None:
        return
    if issubclass(kind, Fusion):
        with refusals:
            _check_arity(method, kind)
    for step in method.pretraining:
        with refusals:
            _check_pretrained_fusion(method, step, kind)


def _check_modality(m: str, part: Part) -> None:
    """Check that an encoder reads a modality. Raises UsageError."""
    encoder: type[Encoder] = registry.load_plugin("encoder", part.name)
    missing = [p for p in split_modality(m) if registry.known_as(encoder.accepts, p) is None]
    if missing:
        readers = [name for name, kind in _load_plugins("encoder") if registry.known_as(kind.accepts, m)]
        raise UsageError(
            f"encoder {part.short} does not read {', '.join(missing)}",
            where=f"modality {m}",
            expected=f"one of {', '.join(sorted(encoder.accepts))}",
            hint=f"encoders of {m}: {', '.join(readers)}" if readers else None,
        )
    if "+" in m and encoder(part.recipe).reads == "features" and "joined" not in encoder.offers:
        raise UsageError(
            f"encoder {part.short} computes features of single modalities, not of joined ones",
            where=f"modality {m}",
            expected="an encoder that reads signals or supports joined modalities",
            hint=f"list the modalities separately: --modalities {m.replace('+', ',')}",
        )
    if "+" in m and "video" in split_modality(m):
        raise UsageError(
            "a video has no channels to join with other modalities",
            where=f"modality {m}",
            hint="use a fusion instead: --modalities " + m.replace("+", ","),
        )


def check_input(m: str, part: Part, card: Card, protocol: Protocol) -> None:
    """Check that an encoder can read the dataset's channels of a modality, at the protocol's rate. Raises UsageError
    otherwise."""
    encoder: type[Encoder] = registry.load_plugin("encoder", part.name)
    channels = tuple(
        name
        for single, channel in parse_modality(m)
        for name in ((channel,) if channel else tuple(card.modalities[single].channels))
    )
    if len(channels) < encoder.min_channels:
        counts = {name: len(entry.channels) for name, entry in card.modalities.items()}
        enough = [n for n in counts if counts[n] >= encoder.min_channels and registry.known_as(encoder.accepts, n)]
        raise UsageError(
            f"encoder {part.short} requires {encoder.min_channels} channels, but {m} of {card.name} has "
            f"{len(channels)}",
            where="--modalities",
            expected=", ".join(enough)
            or f"joined modalities with {encoder.min_channels} channels in total, such as ecg+eda",
        )
    rates = {
        rate_after(single, protocol.rate_hz, registry.find_modality(single))
        for single in split_modality(m)
        if single != "video"
    }
    encoder(part.recipe).check_input(m, channels, rates.pop() if len(rates) == 1 else math.nan)


def _check_arity(method: Method, fusion: type[Fusion]) -> None:
    """Check that a fusion takes the number of modalities of the run. Raises UsageError."""
    n = len(method.modalities)
    if _accepts(fusion, n):
        return
    span = _format_arity(fusion)
    others = [name for name, other in _load_plugins("fusion") if issubclass(other, Fusion) and _accepts(other, n)]
    raise UsageError(
        f"fusion {method.fusion.short} takes {span} modalit{'y' if span == '1' else 'ies'}, but the run "
        f"has {n}: {', '.join(method.modalities)}",
        where="--fusion",
        expected=_format_offer(f"for {n} modalit{'y' if n == 1 else 'ies'}, a fusion", others),
        hint="add modalities with --modalities, or choose another --fusion"
        if n < fusion.arity[0]
        else f"choose one modality: --modalities {method.modalities[0]}",
    )


CAPABILITIES: Mapping[str, str] = {
    "token_per_sample": "returns one token per sample",
    "masked_clips": "accepts videos with hidden parts",
    "mixed_tokens": "mixes the tokens of all modalities",
    "signal": "reads signals",
    "features": "computes features",
    "clips": "reads videos",
}
"""Capability or input that a pretrainer requires -> words for messages, after "an encoder that" or "a fusion that"."""


def _check_pretrained_encoders(method: Method, refusals: Refusals) -> None:
    """Check that pretrainers fit the encoders that they train. Faults are added to `refusals`, one for each pretrainer
    and encoder."""
    unfit: dict[tuple[type[Pretrainer], str, str, str], list[str]] = {}
    for step in method.pretraining:
        pretrainer = registry.load_plugin("pretrainer", step.part.name)
        for m in method.find_trained_modalities(step):
            if what := _find_missing(pretrainer, load_encoder(method.encoders[m])):
                unfit.setdefault((pretrainer, step.part.short, method.encoders[m].short, what), []).append(m)
    for (pretrainer, option, encoder, what), modalities in unfit.items():
        instance, read = load_encoder(method.encoders[modalities[0]]), " and ".join(modalities)
        others = [name for name, kind in _load_plugins("pretrainer") if not _find_missing(kind, instance)]
        with refusals:
            raise UsageError(
                f"pretrainer {option} requires an encoder that {what}, and {encoder} is not one",
                where=f"--pretrainer {option}, modality {read}",
                expected=_format_offer(f"an encoder of {read}", _find_encoders(pretrainer, modalities, method.preset)),
                hint=f"pretrainers for {encoder}: {', '.join(others)}" if others else "use no --pretrainer",
            )


def _check_pretrained_fusion(method: Method, step: Pretraining, fusion: type[Any]) -> None:
    """Check that a pretrainer fits the fusion. Raises UsageError."""
    pretrainer: type[Pretrainer] = registry.load_plugin("pretrainer", step.part.name)
    if needed := _find_missing_in(pretrainer, fusion):
        raise UsageError(
            f"pretrainer {step.part.short} trains the complete model and requires a fusion that {needed}, and "
            f"{method.fusion.short} is not one",
            where=f"--fusion {method.fusion.short}",
            expected=_format_offer("a fusion", _find_fusions(pretrainer, len(method.modalities))),
        )
    if method.inputs == "features":
        raise UsageError(
            f"{method.fusion.short} is fitted on features, and pretraining does not change them",
            where=f"--pretrainer {step.part.short}",
            hint="use no --pretrainer, or an --encoder that is a network",
        )


def _find_missing(pretrainer: type[Pretrainer], encoder: Encoder) -> str | None:
    """Return in words what a pretrainer needs and an encoder lacks; None if nothing is missing."""
    missing = _format_capabilities(pretrainer.needs_encoder - encoder.offers)
    reads = encoder.reads if encoder.reads in ("features", "clips") else "signal"
    if pretrainer.needs_input and reads not in pretrainer.needs_input:
        missing.append(" or ".join(_format_capabilities(pretrainer.needs_input)))
    return " and ".join(missing) or None


def _find_missing_in(pretrainer: type[Pretrainer], fusion: type[Any]) -> str | None:
    """Return in words what a pretrainer needs and a fusion (or estimator) lacks; None if nothing is missing."""
    missing = _format_capabilities(pretrainer.needs_fusion - getattr(fusion, "offers", frozenset()))
    if pretrainer.scope == "model" and getattr(fusion, "inputs", None) != "tokens":
        missing.append("is trained end to end")
    return " and ".join(missing) or None


def _format_capabilities(names: Iterable[str]) -> list[str]:
    """Return the words for capabilities. Those of other packages are in quotes, since embench has no words for them."""
    return [CAPABILITIES.get(name, f"offers `{name}`") for name in sorted(names)]


def _find_encoders(pretrainer: type[Pretrainer], modalities: Sequence[str], preset: str) -> list[str]:
    """Return the encoders that read all these modalities and that a pretrainer can train."""
    return [
        name
        for name, kind in _load_plugins("encoder")
        if all(registry.known_as(kind.accepts, m) for m in modalities)
        and preset in kind.recipes
        and not _find_missing(pretrainer, kind(kind.recipes[preset]))
    ]


def _find_fusions(pretrainer: type[Pretrainer], modalities: int) -> list[str]:
    """Return the fusions of this number of modalities with which a pretrainer can train the whole model."""
    return [
        name
        for name, kind in _load_plugins("fusion")
        if issubclass(kind, Fusion) and not _find_missing_in(pretrainer, kind) and _accepts(kind, modalities)
    ]


def _accepts(fusion: type[Fusion], modalities: int) -> bool:
    """Return True if a fusion takes this number of modalities."""
    least, most = fusion.arity
    return least <= modalities <= (most or modalities)


def _load_plugins(kind: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, class) of every plugin of a kind that can be loaded."""
    for name in registry.list_plugins(kind):
        with suppress(PluginError):
            yield name, registry.load_plugin(kind, name)


def _format_offer(what: str, names: Sequence[str]) -> str:
    """Return the text on what is expected (`what`), with the `names` of plugins that would fit, if there are any."""
    return f"{what} such as {', '.join(names)}" if names else f"{what}; no installed one fits"


FusionSupport = Literal["yes", "hidden", "-"]
"""Whether a pretrainer and a fusion fit: `yes`, `-` (no), or `hidden` (only if the encoder computes no features)."""


@dataclass(frozen=True)
class DatasetFit:
    """What fits a dataset. `readers`: modality -> encoders that read its channels at the usual rate of 128 Hz.
    `targets`: kinds of its default targets."""

    readers: Mapping[str, tuple[str, ...]]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Matrix:
    """Compatible combinations of all plugins that can be loaded, by name.

    Args:
        datasets: dataset -> the encoders and targets that fit it. A user's own recordings are not included, since their
            channels and labels are not known.
        reads: encoder -> its modalities. `features`: the encoders that compute features for estimators.
        sizes: fusion -> the number of modalities that it takes, in words.
        predicts: fusion -> the kinds of targets that it predicts.
        trains: encoder -> the pretrainers that can train it (with its recipe `small`, if any).
        under: fusion -> pretrainer -> whether they fit."""

    datasets: Mapping[str, DatasetFit]
    reads: Mapping[str, tuple[str, ...]]
    features: tuple[str, ...]
    sizes: Mapping[str, str]
    predicts: Mapping[str, tuple[str, ...]]
    trains: Mapping[str, tuple[str, ...]]
    under: Mapping[str, Mapping[str, FusionSupport]]

    def allows(self, pretrainer: str, encoder: str, fusion: str) -> bool:
        """Return True if pretrainer, encoder and fusion can be used together."""
        verdict = self.under[fusion][pretrainer]
        fits = verdict == "yes" or (verdict == "hidden" and encoder not in self.features)
        return pretrainer in self.trains[encoder] and fits

    def fits(self, dataset: str, modality: str, encoder: str, fusion: str) -> bool:
        """Return True if an encoder reads a modality of a dataset, and the fusion predicts the dataset's default
        targets."""
        found = self.datasets[dataset]
        predicted = set(found.targets) <= set(self.predicts[fusion])
        return encoder in found.readers.get(modality, ()) and predicted

    def tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """Return (title, head, rows) of each table: datasets, encoders of each modality, modalities of encoders,
        pretrainers of encoders, fusions, and pretrainers of fusions."""
        pretrainers = list(next(iter(self.under.values()), ()))
        readers: dict[tuple[str, str], list[str]] = {}
        for name, fit in self.datasets.items():
            for m, encoders in fit.readers.items():
                readers.setdefault((m, " ".join(encoders) or "-"), []).append(name)
        read_by = [[m, " ".join(names), encoders] for (m, encoders), names in sorted(readers.items())]
        datasets = [[n, " ".join(fit.readers), _format_kinds(fit.targets)] for n, fit in self.datasets.items()]
        modalities = [[name, " ".join(read)] for name, read in self.reads.items()]
        trained = [[name, *("yes" if p in those else "-" for p in pretrainers)] for name, those in self.trains.items()]
        taken = [[name, size, _format_kinds(self.predicts[name])] for name, size in self.sizes.items()]
        under = [[name, *verdicts.values()] for name, verdicts in self.under.items()]
        return [
            ("modalities and default targets of datasets", ["dataset", "modalities", "targets"], datasets),
            ("encoders that read a modality of a dataset", ["modality", "datasets", "encoders"], read_by),
            ("modalities that encoders read", ["encoder", "modalities"], modalities),
            ("encoders that a pretrainer can train", ["encoder", *pretrainers], trained),
            ("modalities and targets of fusions and estimators", ["fusion", "modalities", "targets"], taken),
            ("fusions and estimators that a pretrainer supports", ["fusion", *pretrainers], under),
        ]


NOTE = (
    "hidden: the estimator is fitted to hand-crafted features if the encoder computes them; pretraining does not "
    "change these. For other encoders the estimator is fitted to the hidden layers of the pretrained network."
)
"""Legend of a matrix."""


def matrix() -> Matrix:
    """Return the matrix of the installed plugins, by their declarations."""
    encoders, pretrainers, fusions, datasets = (
        dict(_load_plugins(kind)) for kind in ("encoder", "pretrainer", "fusion", "dataset")
    )
    modalities = [m.name for m in registry.modalities()]
    return Matrix(
        {name: _fit_dataset(cls.card, encoders) for name, cls in datasets.items() if cls.card.targets},
        {n: tuple(m for m in modalities if registry.known_as(cls.accepts, m)) for n, cls in encoders.items()},
        tuple(name for name, cls in encoders.items() if "features" in cls.offers),
        {name: _format_arity(fusion) for name, fusion in fusions.items()},
        {
            name: tuple(k for k in KINDS if not issubclass(fusion, Estimator) or k in fusion.kinds)
            for name, fusion in fusions.items()
        },
        {
            n: tuple(p for p, k in pretrainers.items() if not _find_missing(k, cls(_get_small(cls))))
            for n, cls in encoders.items()
        },
        {n: {p: _judge(kind, fusion) for p, kind in pretrainers.items()} for n, fusion in fusions.items()},
    )


def _fit_dataset(card: Card, encoders: Mapping[str, type[Encoder]]) -> DatasetFit:
    """Return what fits the dataset of a card, among `encoders`."""
    protocol = load_protocol(Request.protocol)

    def reads(m: str, name: str, encoder: type[Encoder]) -> bool:
        part = Part(registry.find("encoder", name).full_name, "", _get_small(encoder).apply_dataset(card.name))
        try:
            _check_modality(m, part)
            check_input(m, part, card, protocol)
        except UsageError:
            return False
        return True

    names = card.default_targets or tuple(target.name for target in card.targets)
    kinds = {target.kind for target in card.targets if target.name in names}
    readers = {m: tuple(name for name, cls in encoders.items() if reads(m, name, cls)) for m in card.modalities}
    return DatasetFit(readers, tuple(kind for kind in KINDS if kind in kinds))


def _format_kinds(kinds: Sequence[str]) -> str:
    return ", ".join(about.plural for kind, about in KINDS.items() if kind in kinds) or "-"


def _get_small(encoder: type[Encoder]) -> Recipe:
    recipes = encoder.recipes
    return recipes["small"] if "small" in recipes else next(iter(recipes.values()))


def _judge(pretrainer: type[Pretrainer], fusion: type[Any]) -> FusionSupport:
    """Return whether a pretrainer and a fusion (or estimator) fit."""
    if _find_missing_in(pretrainer, fusion):
        return "-"
    return "hidden" if issubclass(fusion, Estimator) and fusion.reads == "features" else "yes"


def _format_arity(fusion: type[Any]) -> str:
    """Return the number of modalities that a fusion (or estimator) takes, in words."""
    least, most = getattr(fusion, "arity", (1, None))
    return f"{least}" if most == least else f"{least} to {most}" if most else f"at least {least}"


# Refusal of values of `adapt` that a method does not support.

_ALLOWED = {"encoder": ("full", "frozen", "ridge"), "fusion": ("full", "frozen"), "pretrainer": ("full",)}
"""Kind of plugin -> the allowed values of `adapt`."""


def check_adaptation(method: Method, settings: Sequence[str]) -> None:
    """Check that each part supports its value of `adapt`, and that every setting has an effect. Raises UsageError."""
    for name, part in method.parts():
        kind = name.partition("[")[0]
        adapt = part.recipe.adapt
        if adapt not in _ALLOWED[kind]:
            raise UsageError(
                f"{kind} {part.short} does not support `adapt={adapt}`",
                where=f"{name}.adapt",
                expected=" or ".join(_ALLOWED[kind]),
                hint=f"--set encoder.adapt={adapt}" if kind == "fusion" else None,
            )
    for m, part in method.encoders.items():
        _check_encoder(method, m, part.recipe.adapt)
    own_loss = [s for s in settings if s.partition("=")[0].strip().endswith(".loss") and s.startswith("encoder")]
    if own_loss and all(part.recipe.adapt == "ridge" for part in method.encoders.values()):
        raise UsageError(
            "ridge uses squared error and has no other loss", where=f"--set {own_loss[0]}", hint="leave it out"
        )
    if low_rank := [s for s in settings if ".lora." in s.partition("=")[0]]:
        raise UsageError("nothing reads `lora`", where=f"--set {low_rank[0]}", hint="leave it out")


TRAINING_FIELDS = frozenset(
    ("optimiser", "lr", "betas", "momentum", "weight_decay", "schedule", "every", "factor", "warmup", "epochs", "batch")
).union(("clip", "selection", "patience", "class_weight", "loss", "targets"))
"""Fields of a recipe that decide how a stage is trained."""


def check_trained_by(method: Method, settings: Sequence[str]) -> None:
    """Refuse training settings of encoders that are trained end to end with a fusion, since the fusion's recipe
    decides. They are accepted if the fusion has the same setting. Raises UsageError that names the fusion's setting."""
    paths = {setting.partition("=")[0].strip() for setting in settings}
    for setting in settings if method.joins == "tokens" else ():
        path = setting.partition("=")[0]
        part, _, field = path.strip().rpartition(".")
        if part.partition("[")[0] == "encoder" and field in TRAINING_FIELDS and f"fusion.{field}" not in paths:
            raise UsageError(
                f"fusion {method.fusion.short} is trained end to end with its encoders, so `{path.strip()}` changes "
                "nothing",
                where=f"--set {setting}",
                expected=f"fusion.{field} for {method.fusion.short}; encoder.{field} for fusions such as late, whose "
                "encoders are trained by themselves; in a grid of both, one command each",
                hint=f"did you mean fusion.{field}?",
            )


def _check_encoder(method: Method, m: str, adapt: str) -> None:
    """Raise UsageError if a method cannot train a modality's encoder as its value of `adapt` says."""
    where = f"encoder[{m}].adapt={adapt}"
    if method.inputs == "features" and adapt == "ridge":
        raise UsageError(f"{method.fusion.short} is fitted on features, so no network is adapted", where=where)
    if method.joins == "tokens" and adapt == "ridge":
        raise UsageError(
            f"fusion {method.fusion.short} is trained end to end, but ridge fits a separate head for each encoder",
            where=where,
            expected="frozen or full; or a fusion of fitted networks, such as single or late",
        )


# Inputs of a plan's encoders: length of windows or context, rate and shape; and a check that units are long enough.

_EPS = 1e-6


def check_views(method: Method, cohorts: Iterable[Cohort], settings: Sequence[str] = ()) -> None:
    """Check that encoders read windows or units as requested.

    Raises:
        UsageError: windows are longer than all units of a cohort, windows have no length, or `settings` give whole
            units a length. A bundled recipe may have longer windows, since networks of a fixed size need them;
            `describe_inputs` reports that."""
    for m, part in method.encoders.items():
        view = require_view(load_encoder(part), part.name)
        path = "encoder.view" if len(method.encoders) == 1 else f"encoder[{m}].view"
        if view.kind == "window" and view.length_s is None:
            raise UsageError("windows have no length", where=f"--set {path}.kind", hint=f"--set {path}.length_s=10")
        given = any(setting.partition("=")[0].strip() == f"{path}.length_s" for setting in settings)
        if view.kind == "unit" and given:
            raise UsageError(
                f"encoder {part.short} reads whole units, so a length of {view.length_s or 0:g} s changes nothing",
                where=f"--set {path}.length_s",
                hint=f"--set {path}.kind=context for the last {view.length_s or 0:g} s before the end of each unit, or "
                f"--set {path}.kind=window for windows inside it",
            )
        for cohort in cohorts:
            if not _has_bundled_view(part, method.preset, cohort.card.name):
                check_length(part, m, cohort, path, by_setting=given)


def check_length(part: Part, m: str, cohort: Cohort, path: str = "encoder.view", *, by_setting: bool = False) -> None:
    """Refuse an encoder whose windows are longer than all units of a cohort. `by_setting`: True if a setting gives the
    length; else the encoder's recipe or the arguments of an object do.

    Raises:
        UsageError: the message names both lengths and what to change, such as the setting at `path`."""
    view, longest_s = require_view(load_encoder(part), part.name), _find_longest_s(cohort)
    if not _is_too_long(view, longest_s):
        return
    length, in_python = f"{view.length_s:g}", is_object(part.name) and not by_setting
    setting = f"window_s={length} of {part.short}" if in_python else f"{path}.length_s of encoder {part.short}"
    raise UsageError(
        f"windows of {length} s, but units of {cohort.card.name} last "
        f"{'at most ' if cohort.shortest_s < longest_s - _EPS else ''}{longest_s:g} s",
        where=f"modality {m}, {setting}",
        expected=f"at most {longest_s:g} s, or a context, which begins before the unit",
        hint=f"context_s={length}" if in_python else f"--set {path}.kind=context",
    )


def _find_longest_s(cohort: Cohort) -> float:
    """Return the length in s of the longest unit that may be trained on or tested."""
    return max(cohort.units[i].stop - cohort.units[i].start for i in cohort.eligible)


def _is_too_long(view: View, longest_s: float) -> bool:
    return view.kind == "window" and (view.length_s or 0.0) > longest_s + _EPS


def _has_bundled_view(part: Part, preset: str, dataset: str) -> bool:
    """Return True if the encoder is bundled and its view is that of its own recipe."""
    if registry.find("encoder", part.name).package != registry.BUNDLED:
        return False
    return bool(
        registry.load_plugin("encoder", part.name).recipes[preset].apply_dataset(dataset).view == part.recipe.view
    )


def list_inputs(method: Method, cohort: Cohort) -> list[dict[str, Any]]:
    """Return one row per encoder: window or context in s, rate in Hz and shape (C, T); None where undefined."""
    rows = []
    for modality, part in method.encoders.items():
        encoder = load_encoder(part)
        view = require_view(encoder, part.name)
        length_s = view_length(view, cohort.longest_s, cohort.shortest_s)
        rate, channels = _find_input_form(encoder, modality, cohort.store, length_s)
        rows.append(
            {
                "modality": modality,
                "encoder": part.short,
                "window_s": length_s if view.kind != "context" else None,
                "step_s": (view.step_s or view.length_s) if view.kind == "window" else None,
                "context_s": length_s if view.kind == "context" else None,
                "rate_hz": rate,
                "shape": f"{channels} x {round(length_s * rate)}" if rate and channels else None,
            }
        )
    return rows


def describe_inputs(method: Method, cohort: Cohort) -> list[str]:
    """Return one sentence for each encoder on what it reads, and a note if its windows are longer than all units."""
    notes = []
    for row in list_inputs(method, cohort):
        length = f"a context of {row['context_s']:g} s" if row["context_s"] else f"windows of {row['window_s']:g} s"
        rate = f" at {row['rate_hz']:g} Hz" if row["rate_hz"] else ""
        shape = f" ({row['shape']})" if row["shape"] else ""
        notes.append(f"{row['encoder']} reads {row['modality']}: {length}{rate}{shape}")
        view = require_view(load_encoder(method.encoders[row["modality"]]), row["encoder"])
        if _is_too_long(view, longest_s := _find_longest_s(cohort)):
            notes.append(
                f"units last at most {longest_s:g} s, so {row['window_s'] - longest_s:g} s of each window of "
                f"{row['encoder']} are empty"
            )
    return notes


def _find_input_form(encoder: Encoder, m: str, store: Store, length_s: float) -> tuple[float | None, int | None]:
    """Return the rate in Hz and the number of channels of an encoder's input. An encoder that transforms the signal is
    tried on noise. Both are None if the encoder reads features, or refuses noise."""
    if encoder.reads == "features":
        return None, None
    if encoder.reads == "clips":
        return float(encoder.recipe.prepare["frames_hz"]), 3
    channels, hz = get_prepared_form(store, m)
    if encoder.reads == "signal":
        return hz, len(channels)
    noise = np.random.default_rng(0).standard_normal((len(channels), max(1, round(length_s * hz))))
    unit = "+".join(store.modalities[part].unit for part in split_modality(m))
    with suppress(Exception):  # plugin boundary; a refusal is reported when the run reads the signal
        output = encoder.stream(Signal(noise.astype(np.float32), hz, channels, unit, modality=remove_channels(m)))
        return float(output.rate), len(output.channels)
    return None, None


def get_prepared_form(store: Store, m: str) -> tuple[tuple[str, ...], float]:
    """Return the channel names and the rate in Hz of the prepared signal of a modality, such as `ecg[left]+eda`."""
    parts = parse_modality(m)
    names = tuple(
        name for part, channel in parts for name in ((channel,) if channel else store.modalities[part].channels)
    )
    return names, store.modalities[parts[0][0]].rate
