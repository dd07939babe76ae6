"""The features of estimators by name, as a supplement to the methods section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from embench import registry
from embench.errors import EmbenchError
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import names_in
from embench.records.manifest import method_kind
from embench.records.wording import bare_name, counted, join_with_and
from embench.report.facts import RunFacts
from embench.report.latex.parts import signals_in_words
from embench.report.text import code, escape


def describe_features(runs: Sequence[RunFacts]) -> list[str]:
    """A sentence for each encoder and modality whose features an estimator was fitted to, once, with their names, and
    those that were dropped; it takes the plugin and the dataset's card."""
    sentences: dict[str, None] = {}
    for run in runs:
        if run.outside or method_kind(run.manifest.method) != "features":
            continue
        for modality, name in run.manifest.method.encoders.items():
            if listed := _listed(run, modality, name):
                dropped = run.manifest.dropped.get(modality, {})
                sentences[f"{code(bare_name(name))} of {listed}.{_dropped(dropped)}"] = None
    return list(sentences)


def _listed(run: RunFacts, modality: str, name: str) -> str:
    recipe, card = run.parts.get(f"encoder[{modality}]"), run.folder_card or run.card
    parts = names_in(modality)
    if recipe is None or card is None or any(part not in card.modalities for part in parts):
        return ""
    channels = tuple(channel for part in parts for channel in card.modalities[part].channels)
    try:
        settings = {key: value for key, value in recipe.items() if key not in ("plugin", "code")}
        names = registry.load("encoder", name)(Recipe.of(settings)).feature_names("+".join(parts), channels)
    except (EmbenchError, TypeError):  # not installed here, or its recipes have other fields now
        return ""
    if not names:
        return ""
    listed, each = _without_channels(names, channels)
    return f"{signals_in_words([modality])}, {counted(len(names), 'feature')}{each}: {escape(', '.join(listed))}"


def _without_channels(names: Sequence[str], channels: Sequence[str]) -> tuple[list[str], str]:
    """The names of the features that all channels have alike, and how many channels; else all names."""
    first = f"{channels[0]}_" if channels else ""
    base = [name.removeprefix(first) for name in names if name.startswith(first)]
    every = {f"{channel}_{name}" for channel in channels for name in base}
    if len(channels) > 1 and len(every) == len(names) and every == set(names):
        return base, f" ({len(base)} of each of the channels {escape(join_with_and(list(channels)))})"
    return list(names), ""


def _dropped(dropped: Mapping[str, str]) -> str:
    if not dropped:
        return ""
    reasons: dict[str, list[str]] = {}
    for name, why in dropped.items():
        reasons.setdefault(why, []).append(name)
    return (
        " Dropped in some fold: " + "; ".join(f"{escape(', '.join(n))} ({escape(w)})" for w, n in reasons.items()) + "."
    )
