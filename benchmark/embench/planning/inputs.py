"""Inputs of a plan's encoders: length of windows or context, rate and shape; and a check that units are long enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from embench import registry
from embench.data.cohort import Cohort
from embench.engine.rows import encoder_of, view_length, view_of
from embench.engine.stage import Part
from embench.errors import UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recording import Signal, names_in, parts_of, without_channels
from embench.interfaces.units import View
from embench.planning.parts import Method
from embench.registry.objects import is_object
from embench.store import Store

_EPS = 1e-6


def check_views(method: Method, cohorts: Iterable[Cohort], settings: Sequence[str] = ()) -> None:
    """Refuses views that would not hold the signal that they name: windows longer than all units of a cohort, windows
    without a length, and whole units where `settings` give one. A bundled recipe of an encoder may have windows longer
    than units, since networks of a fixed size need them; `input_notes` tells of it.

    Raises:
        UsageError: it names both lengths and what to do.
    """
    for m, part in method.encoders.items():
        view = view_of(encoder_of(part), part.name)
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
            if not _as_bundled(part, method.preset, cohort.card.name):
                check_length(part, m, cohort, path, by_setting=given)


def check_length(part: Part, m: str, cohort: Cohort, path: str = "encoder.view", *, by_setting: bool = False) -> None:
    """Refuses an encoder whose windows are longer than all units of a cohort. `by_setting`: a setting gives the length.

    Raises:
        UsageError: it names both lengths and what to do: the arguments of an object, else the settings at `path`.
    """
    view, longest_s = view_of(encoder_of(part), part.name), _longest(cohort)
    if not _too_long(view, longest_s):
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


def _longest(cohort: Cohort) -> float:
    """The length in s of the longest unit that may be trained on or tested."""
    return max(cohort.units[i].stop - cohort.units[i].start for i in cohort.eligible)


def _too_long(view: View, longest_s: float) -> bool:
    return view.kind == "window" and (view.length_s or 0.0) > longest_s + _EPS


def _as_bundled(part: Part, preset: str, dataset: str) -> bool:
    """True if the view is that of a bundled encoder's recipe."""
    if registry.find("encoder", part.name).package != registry.BUNDLED:
        return False
    return bool(registry.load("encoder", part.name).recipes[preset].on(dataset).view == part.recipe.view)


def input_rows(method: Method, cohort: Cohort) -> list[dict[str, Any]]:
    """For each encoder the seconds of its windows or context, its rate in Hz and the shape (C, T) of its input; None
    where it has none, as features have no rate."""
    rows = []
    for m, part in method.encoders.items():
        encoder = encoder_of(part)
        view = view_of(encoder, part.name)
        length_s = view_length(view, cohort.longest_s, cohort.shortest_s)
        rate, channels = _rate_and_channels(encoder, m, cohort.store, length_s)
        rows.append(
            {
                "modality": m,
                "encoder": part.short,
                "window_s": length_s if view.kind != "context" else None,
                "step_s": (view.step_s or view.length_s) if view.kind == "window" else None,
                "context_s": length_s if view.kind == "context" else None,
                "rate_hz": rate,
                "shape": f"{channels} x {round(length_s * rate)}" if rate and channels else None,
            }
        )
    return rows


def input_notes(method: Method, cohort: Cohort) -> list[str]:
    """The same in sentences, and a note on windows of a bundled recipe that are longer than all units."""
    notes = []
    for row in input_rows(method, cohort):
        length = f"a context of {row['context_s']:g} s" if row["context_s"] else f"windows of {row['window_s']:g} s"
        at = f" at {row['rate_hz']:g} Hz" if row["rate_hz"] else ""
        shape = f" ({row['shape']})" if row["shape"] else ""
        notes.append(f"{row['encoder']} reads {row['modality']}: {length}{at}{shape}")
        view = view_of(encoder_of(method.encoders[row["modality"]]), row["encoder"])
        if _too_long(view, longest_s := _longest(cohort)):
            notes.append(
                f"units last at most {longest_s:g} s, so {row['window_s'] - longest_s:g} s of each window of "
                f"{row['encoder']} are empty"
            )
    return notes


def _rate_and_channels(encoder: Encoder, m: str, store: Store, length_s: float) -> tuple[float | None, int | None]:
    """Rate in Hz and number of channels of an encoder's input: those of the prepared signal, or of what the encoder
    makes of noise in its place. None where it reads features, or refuses noise."""
    if encoder.reads == "features":
        return None, None
    if encoder.reads == "clips":
        return float(encoder.recipe.prepare["frames_hz"]), 3
    channels, hz = prepared_as(store, m)
    if encoder.reads == "signal":
        return hz, len(channels)
    noise = np.random.default_rng(0).standard_normal((len(channels), max(1, round(length_s * hz))))
    unit = "+".join(store.modalities[part].unit for part in names_in(m))
    with suppress(Exception):  # the plugin boundary; what it refuses is reported when the run reads the signal
        made = encoder.stream(Signal(noise.astype(np.float32), hz, channels, unit, modality=without_channels(m)))
        return float(made.rate), len(made.channels)
    return None, None


def prepared_as(store: Store, m: str) -> tuple[tuple[str, ...], float]:
    """Channels and rate in Hz of the prepared signal of a run's modality."""
    parts = parts_of(m)
    names = tuple(name for part, one in parts for name in ((one,) if one else store.modalities[part].channels))
    return names, store.modalities[parts[0][0]].rate
