"""Facts of a plugin's class for `embench info`: its recipes as paths of `--set`, and how an encoder reads a dataset.
The class is imported for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench.cli import console
from embench.cli.tables import show_table
from embench.errors import UsageError

if TYPE_CHECKING:
    from embench.interfaces.dataset import Card, ModalityCard
    from embench.interfaces.encoder import Encoder
    from embench.interfaces.recipe import Recipe
    from embench.protocols import Protocol

WITH_RECIPES = ("encoder", "pretrainer", "fusion")
_NOT_SET = ("assumed", "datasets")


def recipe_facts(kind: str, recipes: Mapping[str, Recipe], dataset: str | None = None) -> dict[str, dict[str, Any]]:
    """Preset -> path as `--set` takes it -> value, as it holds for a dataset where one is named."""
    known = {preset: recipe.on(dataset) if dataset else recipe for preset, recipe in recipes.items()}
    return {preset: dict(_settings(kind, recipe)) for preset, recipe in known.items()}


def print_recipes(kind: str, plugin: Any, dataset: str | None) -> None:
    """A table of the settings that a recipe of the plugin has of its own, and a sentence with the others, which say
    something where the plugin is trained by gradients."""
    from embench.interfaces.fusion import Estimator
    from embench.interfaces.recipe import Recipe

    facts = recipe_facts(kind, plugin.recipes, dataset)
    usual = dict(_settings(kind, Recipe()))
    paths = list(dict.fromkeys(path for settings in facts.values() for path in settings))
    own = [p for p in paths if p not in usual or any(settings.get(p) != usual[p] for settings in facts.values())]
    rows = [{"--set": path, **{name: _as_set(facts[name], path) for name in facts}} for path in own]
    where = f" on {dataset}" if dataset else ""
    show_table(rows, title=f"recipes{where}")
    if not issubclass(plugin, Estimator) and (rest := [path for path in paths if path not in own]):
        same = ", ".join(f"{path}={_as_set(usual, path)}" for path in rest)
        console.wrapped(f"The settings {same} are equal in {'all' if len(facts) > 2 else 'these'} recipes.")
    elif not rows:
        console.wrapped("recipes: none changes a setting")
    if rows:
        example = next((path for path in own if path.endswith((".lr", ".epochs"))), own[0])
        value = _as_set(next(settings for settings in facts.values() if example in settings), example)
        of_one = (
            f" {kind}[eda].{example.partition('.')[2]} changes the setting for eda only." if kind == "encoder" else ""
        )
        console.wrapped(f"To change a setting: embench run ... --set {example}={value}.{of_one}")
    for preset, recipe in {} if dataset else plugin.recipes.items():
        for name, changes in recipe.datasets.items():
            values = ", ".join(f"{path}={_text(value)}" for path, value in _flat(kind, changes))
            console.wrapped(f"{preset} on {name}: {values}")
    console.echo()


def reading_facts(encoder: type[Encoder], preset: str, dataset: str, data_root: Path | None, protocol: str) -> Any:
    """Facts on reading a dataset with an encoder under a protocol: a row for each modality that the encoder accepts,
    and the modalities that the dataset lacks, or the encoder does not read."""
    from embench.data import find
    from embench.protocols import load_protocol

    rules, card = load_protocol(protocol), find.card_of(dataset, data_root)
    recipe = encoder.recipes[preset].on(card.name)
    read = [m for m in card.modalities if m in encoder.accepts]
    wired = {m: _wiring(m, card.modalities[m].channels, encoder(recipe)) for m in read}
    return {
        "dataset": card.name,
        "protocol": rules.name,
        "recipe": preset,
        "modalities": {m: _reading(m, card.modalities[m], encoder(recipe), rules) for m in read},
        "channels": {m: known for m, known in wired.items() if known},
        "lacking": sorted(encoder.accepts - set(card.modalities)),
        "not_read": [m for m in card.modalities if m not in encoder.accepts],
    }


def rate_facts(card: Card, protocol: str) -> dict[str, str]:
    """Modality -> the rate at which it was recorded, and that at which encoders without a rate of their own read it."""
    from embench.protocols import load_protocol

    rules = load_protocol(protocol)
    return {
        m: f"{_recorded(own)} (read at {_prepared_hz(m, rules):g} Hz)"
        for m, own in card.modalities.items()
        if m != "video"
    }


def print_reading(facts: Mapping[str, Any]) -> None:
    """Prints the facts of `reading_facts`."""
    title = f"how the encoder reads {facts['dataset']}, {facts['protocol']}, recipe {facts['recipe']}"
    show_table(({"modality": m, **row} for m, row in facts["modalities"].items()), title=title)
    if not facts["modalities"]:
        console.wrapped(f"{title}: the encoder accepts no modality of {facts['dataset']}", bold=True, colour="red")
    for m, wired in facts["channels"].items():
        if "refused" in wired:
            console.wrapped(f"the encoder cannot read {m}: {wired['refused']}", colour="red")
            continue
        made = [name if source == name else f"{name} ({source})" for name, source in wired["read"].items()]
        left = f"; not used: {', '.join(wired['left_out'])}" if wired["left_out"] else ""
        console.wrapped(f"channels of {m} in the order of the network: {', '.join(made)}{left}")
    if facts["not_read"]:
        console.wrapped(
            f"modalities of {facts['dataset']} that the encoder does not read: {', '.join(facts['not_read'])}"
        )
    if facts["lacking"]:
        console.wrapped(
            f"modalities that the encoder accepts and {facts['dataset']} lacks: {', '.join(facts['lacking'])}"
        )
    console.echo()


def _wiring(modality: str, channels: tuple[str, ...], encoder: Encoder) -> dict[str, Any]:
    """The channels of an encoder's network and what each is made of, and those of the dataset that it leaves out; why
    it refuses them; nothing where it reads them as they are."""
    try:
        wired = encoder.network_channels(modality, channels)
    except UsageError as error:
        return {"refused": error.what}
    if list(wired) == list(channels):
        return {}
    used = {name for sources in wired.values() for name in sources}
    return {
        "read": {name: "-".join(sources) for name, sources in wired.items()},
        "left_out": [name for name in channels if name not in used],
    }


def _reading(modality: str, card: ModalityCard, encoder: Encoder, protocol: Protocol) -> dict[str, str]:
    from embench.signals.preprocess import LINEAR, band_after

    count = len(card.channels)
    channels = ", ".join(card.channels) if count <= 4 else f"{count}: {card.channels[0]} to {card.channels[-1]}"
    known = {"channels": channels, "recorded": _recorded(card)}
    if modality == "video":
        frames = encoder.recipe.prepare.get("frames_hz")
        return {**known, "read": f"{frames:g} frames/s" if frames else "", "band": ""}
    prepared = _prepared_hz(modality, protocol)
    own = encoder.recipe.prepare.get("rate_hz") if encoder.reads == "stream" and modality != "face_au" else None
    read = "features of " if encoder.reads == "features" else ""
    rates = (card.rate, prepared, own or prepared)
    high, low = band_after(modality, rates, card.applied, protocol.preprocess)
    high = max(high, float(encoder.recipe.prepare.get("high_hz", 0.0)))
    band = f"{high:g} to {low:g} Hz" if modality not in LINEAR else "not filtered"
    return {**known, "read": f"{read}{own or prepared:g} Hz", "band": band}


def _recorded(card: ModalityCard) -> str:
    return "varies" if math.isnan(card.rate) else f"{card.rate:g} Hz"


def _prepared_hz(modality: str, protocol: Protocol) -> float:
    """The rate of a prepared signal, which encoders read unless their recipe names another."""
    from embench.signals.preprocess import VIDEO_FEATURES_HZ

    return VIDEO_FEATURES_HZ if modality == "face_au" else protocol.rate_hz


def _settings(kind: str, recipe: Recipe) -> Iterator[tuple[str, Any]]:
    return _flat(kind, {name: value for name, value in vars(recipe).items() if name not in _NOT_SET})


def _flat(kind: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fields of a recipe as `--set` names them, those of `view`, `prepare` and `build` one by one."""
    for name, value in fields.items():
        parts = asdict(value) if name == "view" and value is not None else value
        if isinstance(parts, Mapping):
            yield from ((f"{kind}.{name}.{key}", item) for key, item in parts.items())
        else:
            yield f"{kind}.{name}", value


def _as_set(settings: Mapping[str, Any], path: str) -> str:
    return _text(settings[path]) if path in settings else "-"


def _text(value: Any) -> str:
    """A value as YAML has it, without spaces, which a shell would split."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)
