"""Settings of `--set path=value`, which change the recipes of a method, one field at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from embench.errors import UsageError, faults
from embench.files import parse_yaml
from embench.interfaces.recipe import Recipe
from embench.interfaces.units import View
from embench.planning.parts import Method
from embench.protocols import NORMALISE
from embench.registry.naming import did_you_mean, nearest

_KINDS = ("encoder", "pretrainer", "fusion", "protocol")
_SETTING = re.compile(
    r"(encoder|pretrainer|fusion)(?:\[((?:[^\[\]]|\[[^\[\]]*\])+)\])?\.([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?$"
)


def of_encoder(setting: str) -> str | None:
    """The modality of a setting of one encoder alone, such as `encoder[ecg[left]+eda].lr=1e-4`; None of any other."""
    found = _SETTING.match(setting.partition("=")[0].strip())
    return found[2] if found and found[1] == "encoder" else None


def chosen_normalisation(settings: Sequence[str]) -> str | None:
    """The value of `protocol.normalise` in settings; None where it stands in none."""
    values = [value for path, _, value in (each.partition("=") for each in settings) if path.strip() == NORMALISE]
    return values[-1].strip() if values else None


def applied(method: Method, settings: Sequence[str]) -> Method:
    """The method with what `--set` changes in its recipes.

    Raises:
        UsageError: a setting cannot be read, or names or holds what no recipe of the method can.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if path.strip() == NORMALISE:
            continue  # the protocol's, see `chosen_normalisation`
        found = _SETTING.match(path.strip())
        if not equals or not found:
            kind, dot, rest = path.strip().partition(".")
            near = nearest(kind, _KINDS) if dot else []
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
            name, value = "adapt", "frozen" if value else "full"  # as published rows have it
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?e[-+]?\d+", value):
            value = float(value)  # YAML reads 1e-4 as text
        method = _changed(method, kind, which, lambda r: _set(r, name, key, value, setting), setting)  # noqa: B023  called at once
    return method


def _changed(method: Method, kind: str, which: str | None, change: Any, setting: str) -> Method:
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


def _set(recipe: Recipe, name: str, key: str | None, value: Any, setting: str) -> Recipe:
    known = [n for n in vars(recipe) if n != "datasets"]
    path = setting.partition("=")[0].strip()
    if name not in known:
        raise UsageError(
            f"`{path}` is not a setting",
            where=f"--set {setting}",
            expected=", ".join(known),
            hint=_meant(path, name if key is None else f"{name}.{key}", recipe),
        )
    old = getattr(recipe, name)
    if key is None:
        if isinstance(old, Mapping | View):
            raise UsageError(f"`{name}` has parts", where=f"--set {setting}", expected=f"{name}.PART=value")
        return replace(recipe, **{name: _fitting(Recipe, name, value, setting)})
    parts = asdict(old) if isinstance(old, View) else dict(old or {})
    if name == "view" and old is None:
        parts = asdict(View())
    if key not in parts:
        raise UsageError(
            f"`{path}` is not a setting: `{name}` has no part `{key}`",
            where=f"--set {setting}",
            expected=", ".join(parts),
            hint=_meant(path, f"{name}.{key}", recipe),
        )
    if name == "view":
        return replace(recipe, view=View(**{**parts, key: _fitting(View, key, value, setting)}))
    changed: Mapping[str, Any] = {name: {**parts, key: _typed(parts[key], value, setting)}}
    return replace(recipe, **changed)


def _meant(path: str, wrong: str, recipe: Recipe) -> str | None:
    """The path that was meant, as `fusion.build.C` by `fusion.C`: that of the nearest field, wherever it stands.
    `wrong` is the end of `path` that the recipe lacks."""
    known = []
    for name, value in vars(recipe).items():
        parts = asdict(value) if isinstance(value, View) else value
        known += [f"{name}.{key}" for key in parts] if isinstance(parts, Mapping) else [name]
    fields = {each: each.rpartition(".")[2] for each in known}
    near = nearest(wrong.rpartition(".")[2], fields.values())[:1]
    meant = [path.removesuffix(wrong) + each for each, field in fields.items() if field in near]
    return f"did you mean {' or '.join(meant)}?" if meant else None


_LEAST = {"epochs": 1, "batch": 2, "every": 1, "patience": 1, "warmup": 0, "lr": 0.0, "length_s": 1e-3, "step_s": 1e-3}


def _fitting(record: type[Any], field: str, value: Any, setting: str) -> Any:
    """The value, if a field of a recipe or view can hold it."""
    hint = get_type_hints(record)[field]
    try:
        fits = TypeAdapter(hint).validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
    except ValidationError as error:
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        message = faults(error)[0].what
        raise UsageError(
            f"{value!r} is not valid: {message[:1].lower()}{message[1:]}",
            where=f"--set {setting}",
            hint=did_you_mean(str(value), choices),
        ) from error
    if fits is not None and field in _LEAST and fits < _LEAST[field]:
        raise UsageError(f"{field} is too small", where=f"--set {setting}", expected=f"at least {_LEAST[field]:g}")
    return fits


def _typed(old: Any, value: Any, setting: str) -> Any:
    """The value, if it is of the kind that stood there before (a whole number may stand for a number)."""
    if isinstance(old, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if old is not None and value is not None and type(old) is not type(value):
        raise UsageError(
            f"{value!r} has the wrong type", where=f"--set {setting}", expected=f"{type(old).__name__}, such as {old!r}"
        )
    return value
