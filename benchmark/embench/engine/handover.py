"""Whether what one network learned can go on in another: both are built, and nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from embench.engine import network
from embench.engine.assemble import standardises
from embench.engine.inputs import (
    clip_spec,
    encoder_of,
    feature_spec,
    signal_spec,
    spec_with_stats,
    view_of,
)
from embench.engine.rows import view_length
from embench.engine.specs import Part, SourceSpec
from embench.errors import DataError, UsageError
from embench.files import digest
from embench.interfaces.tokens import InputSpec, OutputSpec
from embench.nn import Model
from embench.snapshot import once
from embench.store import Store, blank_clips, derive

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Site:
    """Where networks learn or answer: the dataset's name, its prepared data, and what a stage's source says of them."""

    name: str
    store: Store
    source: SourceSpec


def input_spec(site: Site, m: str, part: Part) -> InputSpec:
    """What an encoder is fed of a modality there, found from one recording. Raises DataError where there is none."""
    key = (_input_spec, site.store, site.source, m, part.name, part.code, digest(part.recipe.mapping()))
    return once(key, lambda: _input_spec(site, m, part))


def _input_spec(site: Site, m: str, part: Part) -> InputSpec:
    encoder, store = encoder_of(part), site.store
    length_s = view_length(view_of(encoder, part.name), site.source.longest_s, site.source.shortest_s)
    if encoder.reads == "clips":
        return clip_spec(m, blank_clips(store, m, encoder), length_s)
    derived = derive.joined(store, m)
    for recording, span in derived.spans.items():
        if encoder.reads == "features":
            seconds = np.array([[span.t0, span.t0 + min(length_s, span.samples / derived.rate)]])
            rows = derive.features_in(store, m, encoder, recording, seconds, standardises(site.source, m))
            if rows is None:
                continue
            spec = feature_spec(m, store, encoder, rows.shape[1:])
        else:
            streams = encoder.reads == "stream"
            signal = derive.stream_of(store, m, encoder, recording) if streams else derived.signal(recording)
            spec = signal_spec(m, encoder, tuple(signal.channels), signal.rate, length_s)
            rows = np.zeros((1, *spec.shape), np.float32)
        return spec_with_stats(spec, encoder, part.name, np.nan_to_num(rows), None)
    raise DataError(f"no recording has {m}", where=site.name, hint="choose other --modalities")


def check_channels(one: Site, other: Site, m: str, part: Part, where: str) -> None:
    """Refuses to go on at another site with a network that would read other channels, or features, of a modality there.
    This is the one rule for two sets of channels: the network reads the same of both, in the same order.

    Raises:
        UsageError: it would read others.
    """
    specs = [input_spec(site, m, part) for site in (one, other)]
    if specs[0].channels == specs[1].channels:
        return
    there, here = (channels_read(part, spec) for spec in specs)
    if there != here:
        raise UsageError(
            f"{part.short} would read different channels of {m} in {one.name} and {other.name}: {_some(there)}",
            where=where,
            expected=_some(here),
            hint="choose --modalities with the same channels, or an encoder that reads those that both have "
            "(cnn_tf does of EEG); a corpus names its channels in its corpus.yaml",
        )


def check_shapes(one: Site, other: Site, parts: Mapping[str, Part], fusion: Part | None, where: str) -> None:
    """Refuses to go on at another site with what encoders, and a fusion of them, learned at one, where their tensors
    have other shapes there. Raises UsageError."""
    there, here = ({m: input_spec(site, m, part) for m, part in parts.items()} for site in (one, other))
    if all(_sizes(there[m]) == _sizes(here[m]) for m in parts):
        return
    shapes = [_shapes(parts, fusion, specs) for specs in (there, here)]
    whole = any(view_of(encoder_of(part), part.name).kind == "unit" for part in parts.values())
    longer = whole and any(there[m].rate and there[m].shape[-1] != here[m].shape[-1] for m in parts)
    window = (
        "a network over whole units is as large as the dataset's longest unit: "
        "give it a window with --set encoder.view.kind=window --set encoder.view.length_s=10"
    )
    hint = window if longer else "choose other --modalities, or another encoder"
    network.names_that_fit(shapes[1], shapes[0], None, f"{where}: from {one.name} to {other.name}", hint)


def check_file(
    file: Path, part: str, site: Site, parts: Mapping[str, Part], fusion: Part | None, read: Sequence[str] | None
) -> None:
    """Refuses weights of a file that do not fit a part of the networks at a site.

    Args:
        part: `encoders.ecg`, or `fusion`.
        read: the channels that the network read which learned them, where they are known.

    Raises:
        UsageError: they have other shapes or were of other channels, or the file has nothing for this part.
    """
    with safe_open(file, "pt") as opened:
        given = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118  no mapping
    specs = {m: input_spec(site, m, encoder) for m, encoder in parts.items()}
    network.names_that_fit(_shapes(parts, fusion, specs), given, part, str(file))
    for m, encoder in parts.items():
        if read is not None:
            network.check_same_channels(m, read, channels_read(encoder, specs[m]), str(file))


def channels_read(part: Part, spec: InputSpec) -> tuple[str, ...]:
    """The channels, or features, that an encoder's network reads of what it is fed."""
    with torch.random.fork_rng(devices=[]):
        return network.picked_channels(encoder_of(part).build(spec), spec)


def _some(names: Sequence[str]) -> str:
    """Names, of which there may be hundreds."""
    return ", ".join(names[:16]) + (f" and {len(names) - 16} others" if len(names) > 16 else "")


def _sizes(spec: InputSpec) -> tuple[object, ...]:
    return spec.shape, spec.channels, spec.rate


def _shapes(parts: Mapping[str, Part], fusion: Part | None, specs: Mapping[str, InputSpec]) -> Shapes:
    """Name -> shape of the tensors of encoders, and of a fusion of them, as a model has them."""
    with torch.random.fork_rng(devices=[]):
        if fusion is None:
            model = Model({m: encoder_of(part).build(specs[m]) for m, part in parts.items()}, {})
        else:
            model = network.build_fusion(parts, fusion, specs, OutputSpec((network.ANYTHING,)))
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}
