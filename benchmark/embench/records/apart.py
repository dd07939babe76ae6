"""Names of methods beside each other: those of the same parts are told apart by the settings that differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from embench.records.manifest import tuned_in_words
from embench.records.wording import format_value, in_words, recorded_hyperparameters

_NOT_SETTINGS = frozenset({"assumed", "code", "datasets", "plugin"})
"""Keys of a recorded part that hold no setting of it."""
_MOST = 4
"""Most settings that differ in a name; runs of other recipes differ in many, and the recipe names them."""


def names_apart(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of methods; where several are the same, with the settings in which these runs differ, such as `context
    60 s`, and with the run where they differ in none.

    Args:
        runs: the content of each run.yaml.
    """
    found = list(names)
    for name in {name for name in names if name and names.count(name) > 1}:
        at = [i for i, each in enumerate(names) if each == name]
        for i, settings in zip(at, _settings_apart([runs[i] for i in at]), strict=True):
            found[i] = ", ".join([name, *settings])
    plain = found.copy()
    return [
        name if plain.count(name) == 1 else f"{name} ({run['id']})" if name else run["id"]
        for name, run in zip(plain, runs, strict=True)
    ]


def _settings_apart(runs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Each run's settings that not all of the runs share."""
    recipes = [str((run.get("recipe") or {}).get("preset", "")) for run in runs]
    found = [_settings(run) for run in runs]
    keys = [key for key in dict.fromkeys(key for each in found for key in each) if len({e.get(key) for e in found}) > 1]
    if len(set(recipes)) > 1 and len(keys) > _MOST:
        asked = [{setting.partition("=")[0] for setting in (run["recipe"].get("settings") or ())} for run in runs]
        keys = [key for key in keys if any(key in each for each in asked)]
        found = [{"recipe": f"recipe {recipe}", **each} for recipe, each in zip(recipes, found, strict=True)]
        keys = ["recipe", *keys]
    return [list(dict.fromkeys(each[key] for key in keys if each.get(key))) for each in found]


def _settings(run: Mapping[str, Any]) -> dict[str, str]:
    """Each setting of a run in words, under its path."""
    config = run.get("config") or {}
    parts, asked = config.get("parts") or {}, config.get("request") or {}
    found = {path: text for part, recipe in parts.items() for path, text in _of_part(part, recipe)}
    for name, about in (run.get("objects") or {}).items():
        for text in recorded_hyperparameters(str(about.get("repr", ""))):
            found[f"{name.rpartition(':')[2]} {text.partition('(')[0]}"] = text
    options = {
        "train_dataset": "trained on {}", "drop": "without {}", "label_subjects": "labels of {} subjects",
        "label_fraction": "{} of the labels", "lag": "lag {} s", "pretrained": "weights {}",
    }  # fmt: skip
    found |= {name: text.format(Path(str(asked[name])).name) for name, text in options.items() if asked.get(name)}
    if tuned := tuned_in_words(config):
        found["tuned"] = tuned[0]
    return found


def _of_part(part: str, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings of a part: path -> words. One of several modalities has the same words for each."""
    kind = re.sub(r"\[.*?\]", "", part)
    for name, value in recipe.items():
        if name == "view":
            yield f"{part}.view", _view(value or {})
        elif isinstance(value, Mapping):
            yield from ((f"{part}.{name}.{key}", f"{in_words(key)} {_value(each)}") for key, each in value.items())
        elif name not in _NOT_SETTINGS:
            yield f"{part}.{name}", f"{kind} {in_words(name)} {_value(value)}"


def _view(view: Mapping[str, Any]) -> str:
    """What a part reads, as a name holds it."""
    kind, length, step = view.get("kind") or "unit", view.get("length_s"), view.get("step_s")
    every = f" every {step:g} s" if step and kind == "window" else ""
    return f"{kind} {length:g} s{every}" if length and kind != "unit" else f"whole {kind}s"


def _value(value: Any) -> str:
    words = {True: "on", False: "off", None: "none"}
    return words[value] if value is None or isinstance(value, bool) else format_value(value, "g")
