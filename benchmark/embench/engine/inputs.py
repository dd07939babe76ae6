"""Inputs of an encoder for one modality: the part of a unit that its recipe reads, and the spec for its `build`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from embench import registry
from embench.engine.specs import Part
from embench.errors import PluginError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recording import VIDEO_CHANNELS
from embench.interfaces.tokens import InputSpec
from embench.interfaces.units import View
from embench.store import Clips, Store, derive


def encoder_of(part: Part) -> Encoder:
    """The encoder instance that a stage's `modalities[m]` describes."""
    encoder: Encoder = registry.load("encoder", part.name)(part.recipe)
    return encoder


def view_of(encoder: Encoder, name: str) -> View:
    """The view of an encoder's recipe. Raises PluginError where it has none."""
    view = encoder.recipe.view
    if view is None:
        raise PluginError("an encoder's recipe must say what it sees of a unit", where=name, expected="recipe.view")
    return view


def signal_spec(
    m: str,
    encoder: Encoder,
    channels: tuple[str, ...],
    rate: float,
    length_s: float,
    fitted: Mapping[str, np.ndarray] | None = None,
) -> InputSpec:
    """Spec of windows of `length_s` of a signal, or of the encoder's stream, at `rate` Hz."""
    shape = (len(channels), round(length_s * rate))
    return InputSpec(derive.name_for(encoder, m), shape, channels, rate, fitted=fitted or {})


def clip_spec(m: str, clips: Clips, length_s: float) -> InputSpec:
    """Spec of a video's frames."""
    shape = (round(length_s * clips.rate), *clips.array.shape[1:])
    return InputSpec(m, shape, VIDEO_CHANNELS, clips.rate, torch.uint8)


def feature_spec(m: str, store: Store, encoder: Encoder, shape: tuple[int, ...]) -> InputSpec:
    """Spec of rows of features of this `shape`, with their names where the encoder has any."""
    first, name = derive.joined(store, m.split("+", 1)[0]), derive.name_for(encoder, m)
    return InputSpec(name, shape, encoder.feature_names(name, first.channels))


def spec_with_stats(spec: InputSpec, encoder: Encoder, name: str, x: np.ndarray, mask: np.ndarray | None) -> InputSpec:
    """The spec with what the encoder's `fit_stats` says of rows `x` (n, *shape), of samples where `mask` (n, T) is
    True. Raises PluginError where that is no mapping to numbers."""
    stats = encoder.fit_stats(x, mask)
    try:
        return replace(spec, stats={k: np.asarray(v, np.float32) for k, v in dict(stats).items()})
    except (TypeError, ValueError) as error:
        what, expected = f"`fit_stats` gave {type(stats).__name__}: {error}", "name -> array of numbers"
        raise PluginError(what, where=name, expected=expected) from error
