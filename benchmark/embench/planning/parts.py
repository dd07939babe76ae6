"""Parts of a method (plugins with recipes), settings that change them, and options of a request that restrict data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from embench import registry
from embench.data.cohort import Cohort
from embench.data.find import Source
from embench.engine.stage import Part
from embench.errors import UsageError, list_faults
from embench.files import parse_yaml, snapshot
from embench.interfaces.recipe import Recipe
from embench.interfaces.units import Target, View
from embench.planning.request import Request
from embench.protocols import NORMALISE, Given, Protocol, load_protocol
from embench.records import TimeContext, find_time_context
from embench.records.manifest import Inputs, Joins
from embench.vocabulary import did_you_mean, find_nearest

FUSION = "fusion"
"""Key of the fusion's weights. The key of an encoder's weights is its modality."""

Origin = tuple[Source, str]
"""External source of a pretraining, and the use of its labels: `none` or `source`."""


@dataclass(frozen=True)
class Pretraining:
    """A pretraining step.

    Args:
        part: the pretrainer. `modality`: the modality whose encoder is trained; None for the whole model.
        sources: other datasets to train on. `own`: True to train on this fold's training subjects.
        labels: whether labels of the sources are used. `option`: the option that requested the step, for messages."""

    part: Part
    modality: str | None
    sources: tuple[Source, ...]
    own: bool
    labels: Literal["none", "source"]
    option: str

    @property
    def trained(self) -> dict[str, str]:
        """The modality as part of a stage's description; empty for the whole model."""
        return {"modality": self.modality} if self.modality else {}


@dataclass(frozen=True)
class Method:
    """The method to train.

    Args:
        joins: how modalities are combined: `unimodal` (not at all), `tokens` (end to end), `hidden` (over frozen
            unimodal networks), `estimator`.
        inputs: what is combined: `tokens`, the encoders' `features`, or `hidden` layers or `decisions` of fitted
            unimodal networks.
        preset: name of the recipes. `device`: the CPU if only an estimator on features is trained.
    """

    modalities: tuple[str, ...]
    encoders: Mapping[str, Part]
    fusion: Part
    joins: Joins
    inputs: Inputs
    pretraining: tuple[Pretraining, ...]
    preset: str
    device: str

    @property
    def title(self) -> str:
        """Short title: `cnn_tf+cross_attn ppg,eda`."""
        names = list(dict.fromkeys(part.short for part in self.encoders.values()))
        steps = [p.part.short for p in self.pretraining]
        return f"{'_'.join(names)}+{self.fusion.short} {','.join(self.modalities)}" + (
            f" after {','.join(steps)}" if steps else ""
        )

    @property
    def recipe(self) -> Recipe:
        """Recipe of the last fitted stage."""
        return next(iter(self.encoders.values())).recipe if self.joins == "unimodal" else self.fusion.recipe

    @property
    def time_context(self) -> TimeContext:
        """Which other units of a test session influence a prediction."""
        return find_time_context(part.recipe.view for part in (*self.encoders.values(), self.fusion))

    @property
    def query(self) -> str | None:
        """Modality from which attention computes its queries; None for a fusion without queries."""
        if self.joins == "estimator":
            return None
        query: str | None = registry.load_plugin("fusion", self.fusion.name)(self.fusion.recipe).query_modality(
            self.modalities
        )
        return query

    def find_trained_modalities(self, step: Pretraining) -> list[str]:
        """Return the modalities whose encoders a step trains."""
        return [step.modality] if step.modality else list(self.modalities)

    def parts(self) -> list[tuple[str, Part]]:
        """Return (name in `--set`, part) of each encoder, pretrainer and the fusion."""
        encoders = [(f"encoder[{m}]", part) for m, part in self.encoders.items()]
        steps = self.pretraining
        pretrainers = [("pretrainer" if len(steps) == 1 else f"pretrainer[{i}]", p.part) for i, p in enumerate(steps)]
        return [*encoders, *pretrainers, ("fusion", self.fusion)]


# Settings of `--set path=value`, which change the recipes of a method, one field at a time.

_KINDS = ("encoder", "pretrainer", "fusion", "protocol")
_SETTING = re.compile(
    r"(encoder|pretrainer|fusion)(?:\[((?:[^\[\]]|\[[^\[\]]*\])+)\])?\.([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?$"
)


def parse_encoder_setting(setting: str) -> str | None:
    """Return the modality of a setting for one encoder, such as `encoder[ecg[left]+eda].lr=1e-4`; None for others."""
    found = _SETTING.match(setting.partition("=")[0].strip())
    return found[2] if found and found[1] == "encoder" else None


def find_normalisation(settings: Sequence[str]) -> str | None:
    """Return the value of `protocol.normalise` in settings; None if it is not set."""
    values = [value for path, _, value in (each.partition("=") for each in settings) if path.strip() == NORMALISE]
    return values[-1].strip() if values else None


def apply_settings(method: Method, settings: Sequence[str]) -> Method:
    """Return the method with recipes changed by `--set`.

    Raises:
        UsageError: a setting cannot be parsed, or has a name or value that no recipe of the method can have.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if path.strip() == NORMALISE:
            continue  # the protocol's, see `find_normalisation`
        found = _SETTING.match(path.strip())
        if not equals or not found:
            kind, dot, rest = path.strip().partition(".")
            near = find_nearest(kind, _KINDS) if dot else []
            raise UsageError(
                f"cannot read `{setting}`",
                where=f"--set {setting}",
                expected="path=value, such as encoder[eeg].build.depth=4, encoder.lr=1e-4, fusion.batch=32 or "
                f"{NORMALISE}=none",
                hint=f"did you mean {near[0]}.{rest}?" if near and near[0] != kind else None,
            )
        kind, which, name, key = found.groups()
        value = parse_yaml(text)
        if (name, key) == ("frozen", None) and isinstance(value, bool):
            name, value = "adapt", "frozen" if value else "full"  # as in published entries
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?e[-+]?\d+", value):
            value = float(value)  # YAML reads 1e-4 as text
        method = _change_recipes(method, kind, which, lambda r: _set_field(r, name, key, value, setting), setting)  # noqa: B023  called at once
    return method


def _change_recipes(method: Method, kind: str, which: str | None, change: Any, setting: str) -> Method:
    """Return the method with `change(recipe)` in place of the recipes of one kind of part. `which`: only this
    modality's encoder, or this pretrainer (name, modality or position). Raises UsageError if there is no such part."""
    if kind == "fusion":
        return replace(method, fusion=replace(method.fusion, recipe=change(method.fusion.recipe)))
    if kind == "encoder":
        if which and which not in method.encoders:
            raise UsageError(
                f"the run has no encoder for `{which}`", where=f"--set {setting}", expected=", ".join(method.encoders)
            )
        chosen = [which] if which else list(method.encoders)
        changed = {m: replace(p, recipe=change(p.recipe)) if m in chosen else p for m, p in method.encoders.items()}
        return replace(method, encoders=changed)
    named = [which in (None, str(i), p.part.short, p.modality) for i, p in enumerate(method.pretraining)]
    if not any(named):
        raise UsageError("the run has no such pretrainer", where=f"--set {setting}", hint="add --pretrainer NAME")
    steps = [
        replace(p, part=replace(p.part, recipe=change(p.part.recipe))) if hit else p
        for p, hit in zip(method.pretraining, named, strict=True)
    ]
    return replace(method, pretraining=tuple(steps))


def _set_field(recipe: Recipe, name: str, key: str | None, value: Any, setting: str) -> Recipe:
    """Return the recipe with another value of the field `name`, or of its part `key` such as `view.length_s`. Raises
    UsageError if the field does not exist or cannot have this value. `setting`: the whole text, for the error."""
    known = [n for n in vars(recipe) if n != "datasets"]
    path = setting.partition("=")[0].strip()
    if name not in known:
        raise UsageError(
            f"`{path}` is not a setting",
            where=f"--set {setting}",
            expected=", ".join(known),
            hint=_suggest_field(path, name if key is None else f"{name}.{key}", recipe),
        )
    old = getattr(recipe, name)
    if key is None:
        if isinstance(old, Mapping | View):
            raise UsageError(f"`{name}` has parts", where=f"--set {setting}", expected=f"{name}.PART=value")
        return replace(recipe, **{name: _validate(Recipe, name, value, setting)})
    parts = asdict(old) if isinstance(old, View) else dict(old or {})
    if name == "view" and old is None:
        parts = asdict(View())
    if key not in parts:
        raise UsageError(
            f"`{path}` is not a setting: `{name}` has no part `{key}`",
            where=f"--set {setting}",
            expected=", ".join(parts),
            hint=_suggest_field(path, f"{name}.{key}", recipe),
        )
    if name == "view":
        return replace(recipe, view=View(**{**parts, key: _validate(View, key, value, setting)}))
    changed: Mapping[str, Any] = {name: {**parts, key: _convert_type(parts[key], value, setting)}}
    return replace(recipe, **changed)


def list_fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of each of the `fields` of a recipe, as `--set` names it: `lr`, `build.layers`,
    `view.length_s`."""
    for name, value in fields.items():
        parts = asdict(value) if isinstance(value, View) else value
        if isinstance(parts, Mapping):
            yield from ((f"{name}.{key}", item) for key, item in parts.items())
        else:
            yield name, value


def _suggest_field(path: str, wrong: str, recipe: Recipe) -> str | None:
    """Return a suggestion of the nearest field, such as `fusion.build.C` for the path `fusion.C`. `wrong`: the end of
    the path that names no field. None if no field is near."""
    fields = {known_path: known_path.rpartition(".")[2] for known_path, _ in list_fields(vars(recipe))}
    near = find_nearest(wrong.rpartition(".")[2], fields.values())[:1]
    suggested = [path.removesuffix(wrong) + known_path for known_path, field in fields.items() if field in near]
    return f"did you mean {' or '.join(suggested)}?" if suggested else None


_LEAST = {"epochs": 1, "batch": 2, "every": 1, "patience": 1, "warmup": 0, "lr": 0.0, "length_s": 1e-3, "step_s": 1e-3}
"""Field of a recipe or view -> its smallest value."""


def _validate(record: type[Any], field: str, value: Any, setting: str) -> Any:
    """Return the value if it fits the type of a field of the class `record`. Raises UsageError otherwise."""
    hint = get_type_hints(record)[field]
    try:
        fits = TypeAdapter(hint).validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
    except ValidationError as error:
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        message = list_faults(error)[0].what
        raise UsageError(
            f"{value!r} is not valid: {message[:1].lower()}{message[1:]}",
            where=f"--set {setting}",
            hint=did_you_mean(str(value), choices),
        ) from error
    if fits is not None and field in _LEAST and fits < _LEAST[field]:
        raise UsageError(f"{field} is too small", where=f"--set {setting}", expected=f"at least {_LEAST[field]:g}")
    return fits


def _convert_type(old: Any, value: Any, setting: str) -> Any:
    """Return the value in the type of the `old` value. Raises UsageError for another type, except int for float."""
    if isinstance(old, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if old is not None and value is not None and type(old) is not type(value):
        raise UsageError(
            f"{value!r} has the wrong type", where=f"--set {setting}", expected=f"{type(old).__name__}, such as {old!r}"
        )
    return value


# Refusal of losses from which the networks of a method learn nothing.


def check_losses(method: Method, targets: Sequence[Target], settings: Sequence[str], cohort: Cohort) -> None:
    """Refuse a `loss` for classes or estimators, and a loss by recording if labels are constant within recordings.

    Raises:
        UsageError: the message names the targets or the setting that would fit."""
    values = [target for target in targets if not target.traits.has_classes]
    for setting in settings:
        path = setting.partition("=")[0].strip()
        if not path.endswith(".loss") or ".build." in path:
            continue
        if not values:
            raise UsageError(
                f"`loss` applies to continuous targets only, and {targets[0].name} has {targets[0].traits.plural}",
                where=f"--set {setting}",
                expected="a continuous target; for class targets use class_weight",
            )
        if method.joins == "estimator" and path == "fusion.loss":
            raise UsageError(
                f"{method.fusion.short} is not a network and has its own loss",
                where=f"--set {setting}",
                hint="remove the setting, or choose a network as --fusion",
            )
    for name, part in method.parts():
        if part.recipe.loss == "ccc_recording" and (flat := [t.name for t in values if not _varies(cohort, t)]):
            raise UsageError(
                f"labels of {', '.join(flat)} are constant within every recording, and ccc_recording requires labels "
                "that vary",
                where=f"{name}.loss",
                hint=f"--set {name}.loss=ccc_batch",
            )


def _varies(cohort: Cohort, target: Target) -> bool:
    """Return True if two units of one recording have different labels."""
    label = cohort.label[target.name]
    known = np.flatnonzero(np.isfinite(label))
    seen: dict[str, float] = {}
    return any(seen.setdefault(cohort.units[i].recording, label[i]) != label[i] for i in known.tolist())


# Options of a request that restrict data: modalities of the test, subjects and labels of the training, calibration
# data.


def parse_drop(request: Request, method: Method) -> tuple[str, ...]:
    """Return the modalities to remove at test time. Raises UsageError if one is unknown, or none remains."""
    chosen = tuple(m.strip() for m in request.drop.split(",")) if request.drop else ()
    for m in chosen:
        if m not in method.modalities:
            raise UsageError(
                f"`{m}` is not a modality of this run",
                where="--drop",
                expected=", ".join(method.modalities),
                hint=f"embench grid --drop {m}" if m in ("each", "all") else None,
            )
    if len(chosen) >= len(method.modalities):
        raise UsageError("--drop removes all modalities", where=f"--drop {request.drop}")
    return chosen


def parse_label_subjects(request: Request) -> int | None:
    """Return the number of training subjects with labels, None for all."""
    text = request.label_subjects
    if text is None or text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(
            f"`{text}` is not a number of subjects",
            where="--label-subjects",
            expected="a number of at least 1, or all",
            hint="for several values: embench grid",
        )
    return int(text)


def parse_label_fraction(request: Request) -> float | None:
    """Return the proportion of labels that are used, None for all."""
    text = request.label_fraction
    try:
        share = 1.0 if text is None else float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(
            f"`{text}` is not a proportion of labels",
            where="--label-fraction",
            expected="a number above 0 and at most 1, such as 0.1",
            hint="for several values: embench grid",
        )
    return None if share == 1 else share


def parse_given(request: Request, protocol: Protocol) -> Given | None:
    """Return the calibration data that a request chooses; None under protocols that do not let runs choose. Raises
    UsageError if the request does not fit the protocol."""
    if protocol.personal and request.train_dataset:
        raise UsageError(
            f"{protocol.name} cannot train on another dataset",
            where=f"--train-dataset {request.train_dataset}",
            expected="training and test subjects of one dataset",
        )
    if not protocol.requests_calibration:
        if request.calibration_data is not None:
            raise UsageError(
                f"{protocol.name} does not let a run choose calibration data",
                where=f"--calibration-data {request.calibration_data}",
                hint="--protocol personalise-v1",
            )
        return None
    return Given.read(request.calibration_data or "0")


# Unknown names are refused before any training library is imported.


@snapshot()
def check_names(requests: Iterable[Request]) -> None:
    """Check seeds and the names of protocols, datasets, encoders and fusions. Raises UsageError."""
    for request in requests:
        if request.seeds is not None:
            _ = request.seed_list
        load_protocol(request.protocol)
        _ = request.source, request.train_source
        for text in request.encoders:
            registry.find("encoder", text.split("=", 1)[-1])
        _check_one("encoder", [text for text in request.encoders if "=" not in text])
        fusions = (request.fusion or "").split(",")
        for name in filter(None, fusions):
            registry.find("fusion", name)
        _check_one("fusion", fusions)


def _check_one(kind: str, names: Sequence[str]) -> None:
    """Refuse several names in one value of an option, such as `--fusion a,b`. Grids repeat the option instead."""
    if len(names) > 1:
        again = " ".join(f"--{kind} {name}" for name in names)
        raise UsageError(
            f"--{kind} has several names in one value", where=f"--{kind} {','.join(names)}",
            hint=f"for a run of each, repeat the option: {again}",
        )  # fmt: skip
