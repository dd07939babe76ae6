"""Outputs of encoders on prepared data, stored once: streams, features, and modalities joined as channels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embench.errors import EmbenchError, PluginError, UsageError
from embench.files import folder_digest
from embench.interfaces.recording import Signal, names_in, parts_of, without_channels
from embench.registry import known_as
from embench.signals import preprocess
from embench.signals.normalise import Moments
from embench.store.arrays import RowWriter, open_rows
from embench.store.clips import Clips, clips
from embench.store.fingerprint import FORMAT, FileHashes
from embench.store.folders import build_once
from embench.store.store import Span, Store
from embench.system import out_of_memory, version_of

if TYPE_CHECKING:  # torch is needed to make an encoder, not to use one here
    from embench.interfaces.encoder import Encoder

__all__ = ["Clips", "Derived", "clips", "derive_features", "joined", "stream"]

_ARRAY, _INDEX = "array.npy", "index.json"

RowsOf = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray | None]]
"""Function from spans (n, 2) of each recording to its features (n, *shape), None where no span has a sample in it."""


@dataclass(frozen=True)
class Derived:
    """Signals of all recordings that have them: `array` (C, total) float32, read-only, at `rate` Hz. `key` differs
    where anything that made them does."""

    array: np.ndarray
    rate: float
    channels: tuple[str, ...]
    unit: str
    spans: Mapping[str, Span]
    key: str

    def signal(self, recording: str) -> Signal:
        """A recording's samples, a slice without a copy; they begin at the span's `t0`."""
        span = self.spans[recording]
        data = self.array[:, span.offset : span.offset + span.samples]
        return Signal(data, self.rate, self.channels, self.unit)


def joined(store: Store, modality: str) -> Derived:
    """A modality, or one channel of it (`ecg[left]`), or several of these joined by plus signs (`ecg+eda`) as channels
    over the time that all of them cover; absent where one of them is.

    Raises:
        UsageError: where the store has no such modality or channel, it is a video, or their rates differ.
    """
    parts = names_in(modality)
    if "video" in parts:
        raise UsageError("a video has no samples", where=f"modality {modality}", expected="an encoder that reads clips")
    for part in parts:
        if part not in store.modalities:
            raise UsageError(
                f"{store.name} has no usable {part}",
                where=f"modality {modality}",
                expected=f"one of {', '.join(store.modalities)}",
            )
    entries = [store.modalities[part] for part in parts]
    chosen = [_chosen(store, part, channel) for part, channel in parts_of(modality)]
    channels = tuple(
        entry.channels[i]
        for entry, which in zip(entries, chosen, strict=True)
        for i in range(*which.indices(len(entry.channels)))
    )
    if len(parts) == 1:
        spans = {entry.id: entry.spans[parts[0]] for entry in store.recordings if parts[0] in entry.spans}
        key = f"{store.key} {modality}"
        return Derived(store.array(parts[0])[chosen[0]], entries[0].rate, channels, entries[0].unit, spans, key)
    rate = entries[0].rate
    if any(entry.rate != rate for entry in entries):
        rates = ", ".join(f"{part} {entry.rate:g} Hz" for part, entry in zip(parts, entries, strict=True))
        raise UsageError(f"modalities of different rates cannot be joined: {rates}", where=f"modality {modality}")

    def signals() -> Iterator[tuple[str, Signal, float]]:
        arrays = [store.array(part)[which] for part, which in zip(parts, chosen, strict=True)]
        for entry in store.recordings:
            if not all(part in entry.spans for part in parts):
                continue
            own = [entry.spans[part] for part in parts]
            start, stop = max(s.t0 for s in own), min(s.t0 + s.samples / rate for s in own)
            cuts = [s.cut(start, stop, rate) for s in own]
            length = min(c.stop - c.start for c in cuts)
            if length > 0:
                data = np.concatenate([a[:, c.start : c.start + length] for a, c in zip(arrays, cuts, strict=True)])
                yield entry.id, Signal(data, rate, channels, unit), start

    unit = "+".join(entry.unit for entry in entries)
    return _stored(store, ["joined", modality], modality, signals)


def _chosen(store: Store, part: str, channel: str | None) -> slice:
    """The positions of a modality's channels that are read: all, or the one that is named."""
    channels = store.modalities[part].channels
    if channel is None:
        return slice(0, len(channels))
    if channel not in channels:
        raise UsageError(
            f"{store.name} has no channel `{channel}` of {part}",
            where=f"modality {part}[{channel}]",
            expected=f"one of {', '.join(channels)}",
        )
    at = channels.index(channel)
    return slice(at, at + 1)


def stream(store: Store, modality: str, encoder: Encoder, code: str) -> Derived:
    """Outputs of `encoder.stream` for all recordings; `code` is the identity of the encoder's code.

    Raises:
        PluginError: where the encoder fails, or its streams differ in channels or rate.
    """
    source = joined(store, modality)

    def signals() -> Iterator[tuple[str, Signal, float]]:
        for recording, span in source.spans.items():
            yield recording, _streamed(source, modality, encoder, recording), span.t0

    key = ["stream", modality, *_made_by(store, encoder, code)]
    return _stored(store, key, modality, signals)


def stream_of(store: Store, modality: str, encoder: Encoder, recording: str) -> Signal:
    """Output of `encoder.stream` for one recording; nothing is stored. Raises PluginError where it fails."""
    return _streamed(joined(store, modality), modality, encoder, recording)


def _streamed(source: Derived, modality: str, encoder: Encoder, recording: str) -> Signal:
    with _encoder(encoder, recording):
        streamed = encoder.stream(_private_copy(source.signal(recording), modality, encoder))
        data = np.moveaxis(np.asarray(streamed.data, np.float32), streamed.time_axis, -1)
        streamed = Signal(data, float(streamed.rate), tuple(streamed.channels), streamed.unit)
    if data.ndim != 2 or len(data) != len(streamed.channels):
        raise PluginError(
            f"a stream of shape {data.shape} with channels {streamed.channels}",
            where=f"{_name(encoder)}, recording {recording}",
            expected="(channels, samples)",
        )
    return streamed


def derive_features(
    store: Store,
    modality: str,
    encoder: Encoder,
    code: str,
    spans: Mapping[str, np.ndarray],
    standardised: bool = False,
    make: RowsOf | None = None,
) -> Mapping[str, np.ndarray]:
    """Outputs of `encoder.features` for `spans`, seconds (n, 2) of each recording: {recording id: (n, *shape) float32},
    memory-mapped.

    `standardised` signals have mean 0 and SD 1 in each channel of a recording. Spans are clipped at what was recorded;
    one with nothing in it is a row of NaN. Recordings without the modality are not in the result.
    `make` gives what `features_in` would of each recording's spans, by other processes perhaps.

    Raises:
        PluginError: where the encoder fails, or gives rows of another number or shape.
    """
    source = joined(store, modality)
    wanted = {r: np.asarray(own, np.float64).reshape(-1, 2) for r, own in spans.items() if r in source.spans}
    spans_digest = hashlib.sha256()
    for recording, own in wanted.items():
        spans_digest.update(f"{recording} {len(own)} ".encode() + own.tobytes())
    key = ["features", modality, *_made_by(store, encoder, code), spans_digest.hexdigest()]
    if standardised:
        key.append("standardised")

    def build(folder: Path) -> None:
        rows_by_recording = (
            make(wanted)
            if make
            else {r: _rows(source, modality, encoder, r, own, standardised) for r, own in wanted.items()}
        )
        shapes = {rows.shape[1:] for rows in rows_by_recording.values() if rows is not None}
        if len(shapes) > 1:
            raise PluginError(f"features of different shapes: {sorted(shapes)}", where=_name(encoder))
        shape = shapes.pop() if shapes else ()
        with RowWriter(folder / _ARRAY, shape) as writer:
            for recording, own in wanted.items():
                rows = rows_by_recording[recording]
                writer.append(np.full((len(own), *shape), np.nan, np.float32) if rows is None else rows)

    rows = open_rows(build_once(_folder(store, key), build, store.mode) / _ARRAY)
    ends = np.cumsum([len(own) for own in wanted.values()])
    return dict(zip(wanted, np.split(rows, ends[:-1]), strict=True)) if wanted else {}


def features_in(
    store: Store, modality: str, encoder: Encoder, recording: str, spans: np.ndarray, standardised: bool = False
) -> np.ndarray | None:
    """(n, *shape) what `encoder.features` makes now of `spans` (n, 2) of one recording, None where they hold no sample;
    nothing is stored. Raises PluginError where it fails."""
    return _rows(joined(store, modality), modality, encoder, recording, spans, standardised)


def _rows(
    source: Derived, modality: str, encoder: Encoder, recording: str, own: np.ndarray, standardised: bool
) -> np.ndarray | None:
    """Features (n, *shape) of one recording's spans, None where no span has a sample in it."""
    signal, t0 = _private_copy(source.signal(recording), modality, encoder), source.spans[recording].t0
    inside = np.clip(own - t0, 0.0, signal.duration_s)  # an encoder's time begins with its first sample
    valid = np.rint(inside[:, 1] * source.rate) > np.rint(inside[:, 0] * source.rate)
    if not valid.any():
        return None
    if standardised:
        moments = Moments.of(signal.data)
        data = ((signal.data - moments.mean[:, None]) / moments.std[:, None]).astype(np.float32)
        signal = replace(signal, data=data)
    with _encoder(encoder, recording):
        values = np.asarray(encoder.features(signal, inside[valid]), np.float32)
    if values.ndim == 0 or len(values) != valid.sum():
        raise PluginError(
            f"features of shape {values.shape} for {valid.sum()} spans",
            where=f"{_name(encoder)}, recording {recording}",
        )
    rows = np.full((len(own), *values.shape[1:]), np.nan, np.float32)
    rows[valid] = values
    return rows


def _private_copy(signal: Signal, modality: str, encoder: Encoder) -> Signal:
    """A copy for an encoder: from a slice of the map the whole store could be reached, and its labels' file."""
    data = np.array(signal.data, order="C", subok=False)
    return replace(signal, data=data, modality=name_for(encoder, modality))


def name_for(encoder: Encoder, modality: str) -> str:
    """The name by which an encoder knows a run's modality."""
    return known_as(encoder.accepts, modality) or without_channels(modality)


def _made_by(store: Store, encoder: Encoder, code: str) -> list[object]:
    """Causes of an encoder's output besides the data: its code and settings, the contents of its files, and the
    versions of the libraries that compute."""
    libraries = {name: version_of(name) for name in (*_LIBRARIES, *encoder.libraries)}
    with FileHashes(_cache(store)) as hashes:
        assets = [hashes(path) for path in encoder.assets()]
    return [_name(encoder), code, encoder.recipe.prepare, encoder.recipe.build, libraries, assets]


_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "neurokit2")
"""Libraries that plugins may use beside those that they name."""


def _folder(store: Store, key: Sequence[object]) -> Path:
    """The folder of derived data, in the same cache as the stores."""
    return _cache(store) / "derived" / folder_digest([FORMAT, store.key, preprocess.PREPROCESS_REVISION, *key])


def _cache(store: Store) -> Path:
    return store.path.parent.parent


def _stored(
    store: Store,
    key: Sequence[object],
    modality: str,
    signals: Callable[[], Iterator[tuple[str, Signal, float]]],
) -> Derived:
    """Signals of recordings, with the second at which each begins, as one array on disk; made if it is not there."""

    def build(folder: Path) -> None:
        rest = signals()
        first = next(rest, None)
        if first is None:
            raise UsageError("no recording has this modality", where=f"modality {modality}")
        like, spans = first[1], dict[str, Span]()
        with RowWriter(folder / _ARRAY, (len(like.channels),)) as writer:
            for recording, signal, t0 in chain([first], rest):
                form, expected_form = (signal.rate, signal.channels), (like.rate, like.channels)
                if form != expected_form:
                    raise PluginError(
                        f"a stream of rate and channels {form}",
                        where=f"modality {modality}, recording {recording}",
                        expected=f"rate and channels {expected_form}, as in the recordings before",
                    )
                spans[recording] = Span(writer.rows, signal.data.shape[1], t0)
                writer.append(signal.data.T)
        index = {"rate": like.rate, "channels": like.channels, "unit": like.unit,
                 "spans": {recording: asdict(span) for recording, span in spans.items()}}  # fmt: skip
        (folder / _INDEX).write_text(json.dumps(index))

    target = _folder(store, key)
    folder = build_once(target, build, store.mode)
    index = json.loads((folder / _INDEX).read_text())
    spans = {recording: Span(**span) for recording, span in index["spans"].items()}
    return Derived(
        open_rows(folder / _ARRAY).T, index["rate"], tuple(index["channels"]), index["unit"], spans, target.name
    )


@contextmanager
def _encoder(encoder: Encoder, recording: str) -> Iterator[None]:
    """Turns all exceptions of an encoder into faults of the plugin."""
    try:
        yield
    except EmbenchError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise PluginError(
            f"the encoder failed: {type(error).__name__}: {error}", where=f"{_name(encoder)}, recording {recording}"
        ) from error


def _name(encoder: Encoder) -> str:
    return f"{type(encoder).__module__}:{type(encoder).__qualname__}"
