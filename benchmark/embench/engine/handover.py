"""Check that another network can take over what one has learned: both are built, and nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from embench.engine import network
from embench.engine.channels import Channel, all_fit, channels_of, check_fit
from embench.engine.inputs import (
    clip_spec,
    encoder_of,
    feature_spec,
    signal_spec,
    spec_with_stats,
    view_of,
)
from embench.engine.rows import view_length
from embench.engine.source import keeps_level, standardises
from embench.engine.specs import Part, SourceSpec
from embench.errors import DataError, UsageError
from embench.files import digest
from embench.interfaces.tokens import InputSpec, OutputSpec
from embench.nn import Model
from embench.snapshot import cached_call
from embench.store import Store, blank_clips, derive

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Site:
    """Dataset of a network: its name, its prepared data, and the stage's spec of it."""

    name: str
    store: Store
    source: SourceSpec


def input_spec(site: Site, m: str, part: Part) -> InputSpec:
    """Input spec of an encoder for a modality of a site, from one recording. Raises DataError where there is none."""
    key = (_input_spec, site.store, site.source, m, part.name, part.code, digest(part.recipe.mapping()))
    return cached_call(key, lambda: _input_spec(site, m, part))


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


def channels_at(site: Site, m: str) -> tuple[Channel, ...]:
    """All channels of a modality there. Raises PluginError where the dataset declares sites of others."""
    return channels_of(site.store.name, {name: entry.channels for name, entry in site.store.modalities.items()}, m)


def channels_read(site: Site, m: str, part: Part, channels: tuple[Channel, ...] | None = None) -> tuple[Channel, ...]:
    """The channels that an encoder's network picks of a modality there, or would of other `channels`; all of them where
    it is fed something else. Raises DataError or PluginError as `input_spec` does."""
    own, spec = channels_at(site, m), input_spec(site, m, part)
    channels = channels or own
    if spec.rate is None or spec.channels != _names(own):
        return channels
    spec = replace(spec, channels=_names(channels), shape=(len(channels), *spec.shape[1:]))
    with torch.random.fork_rng(devices=[]):
        return network.picked_channels(encoder_of(part).build(spec), channels)


def check_channels(one: Site, other: Site, m: str, part: Part, where: str) -> None:
    """Refuses to go on at another site with a network whose channels there do not fit those that it learned from.

    Raises:
        UsageError: they do not fit.
    """
    if all_fit(channels_at(one, m), channels_at(other, m)) or _same_features(one, other, m, part):
        return  # what is read of them fits as well, whichever it is
    there, here = (channels_read(site, m, part) for site in (one, other))
    check_fit(part.short, m, (one.name, there), (other.name, here), where)


def check_rows(one: Site, other: Site, m: str, part: Part, where: str) -> None:
    """Refuses to learn from the rows of two sites at once where those of a modality differ in rate or length.

    Raises:
        UsageError: they differ.
    """
    specs = [input_spec(site, m, part) for site in (one, other)]
    leveled = keeps_level(one.source, m)  # by the first dataset's level, channel by channel
    if specs[0].rate == specs[1].rate and specs[0].shape[not leveled :] == specs[1].shape[not leveled :]:
        return
    each = [" x ".join(map(str, spec.shape)) + (f" at {spec.rate:g} Hz" if spec.rate else "") for spec in specs]
    raise UsageError(
        f"{part.short} would read {m} in rows of {each[0]} of {one.name} and of {each[1]} of {other.name} at once",
        where=where,
        expected="rows of one rate and length",
        hint="a window has the same length in all: --set encoder.view.kind=window --set encoder.view.length_s=10"
        if specs[0].rate == specs[1].rate
        else "choose another --protocol, or an encoder that has a rate of its own",
    )


def _same_features(one: Site, other: Site, m: str, part: Part) -> bool:
    """True if an encoder makes features of several channels at both sites that it calls alike."""
    specs = [input_spec(site, m, part) for site in (one, other)]
    several = all(len(channels_at(site, m)) > 1 for site in (one, other))
    return several and all(s.rate is None and s.channels == specs[0].channels != () for s in specs)


def _names(channels: Sequence[Channel]) -> tuple[str, ...]:
    return tuple(channel.name for channel in channels)


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


def check_file(file: Path, part: str, site: Site, parts: Mapping[str, Part], fusion: Part | None) -> None:
    """Refuses weights of a file that have other shapes than a part of the networks at a site, `encoders.ecg` or
    `fusion`, or nothing for it. Raises UsageError."""
    with safe_open(file, "pt") as opened:
        given = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118  no mapping
    specs = {m: input_spec(site, m, encoder) for m, encoder in parts.items()}
    network.names_that_fit(_shapes(parts, fusion, specs), given, part, str(file))


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
