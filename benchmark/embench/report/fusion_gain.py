"""The gain from fusion: recordings that all modalities together predict better than one alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from markupsafe import Markup

from embench.errors import DataError, EmbenchError, UsageError
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import parse_modality
from embench.interfaces.units import Target
from embench.protocols import UnitId
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL
from embench.records.record import Record, read_manifest, read_record
from embench.records.wording import join_with_and
from embench.report.drawing import Axis, Mark, Panel, bars, figure, line, rule
from embench.report.facts import NO_LABELS, RunFacts
from embench.report.page import SectionBody, by_target, figure_row, figure_with_table, html_table, paragraph
from embench.statistics.comparison import check_same
from embench.statistics.joined import labels_of

N_DRAWN, N_LISTED = 3, 12
PIXELS = 700
"""Number of columns of a drawn signal; each shows the minimum and the maximum of its samples."""


def single_modality_runs(run: RunFacts, singles: Sequence[Path]) -> dict[str, Record]:
    """Return modality -> record of the most similar run on this modality alone, with the same protocol, data and seeds.
    Runs are searched in the folders `singles`, or if there are none, in the folders next to this run's.

    Raises:
        UsageError: a run of `singles` does not match the run.
        DataError: a folder of `singles` has no record.
    """
    manifest, modalities = run.record.manifest, _list_parts(run.record)
    found: dict[str, list[Record]] = {}
    for folder in singles:
        other = read_record(folder)
        check_same([run.record, other])
        parts = _list_parts(other)
        if len(parts) != 1 or parts[0] not in modalities:
            what = f"{folder} is not a run of a single modality of this run"
            raise UsageError(what, where="--single-modality", expected=", ".join(modalities))
        found.setdefault(parts[0], []).append(other)
    if singles or not run.folder or len(modalities) < 2:
        present = [m for m in modalities if m in found]
        return {m: min(found[m], key=lambda other: _get_dissimilarity(manifest, other.manifest, m)) for m in present}
    siblings = _find_comparable_runs(manifest, run.folder.resolve().parent)
    records = {}
    for m in modalities:
        folders = [folder for folder, other in siblings.items() if other.method.modalities == [m]]
        folders.sort(key=lambda folder: _get_dissimilarity(manifest, siblings[folder], m))
        if record := _read_first_comparable(run.record, folders):
            records[m] = record
    return records


def _list_parts(record: Record) -> list[str]:
    """Return the modalities, or single channels of them, that the method of a record reads."""
    return list(dict.fromkeys(part for m in record.manifest.method.modalities for part in m.split("+")))


def _find_comparable_runs(ours: Manifest, place: Path) -> dict[Path, Manifest]:
    """Return folder -> run.yaml of the scored runs in the folder `place` that have the same labels and data."""
    found, same = {}, ("label_subjects", "label_fraction", "train_dataset", "drop")
    for folder in sorted(path.parent for path in place.glob("*/run.yaml")):
        with suppress(EmbenchError):
            other = read_manifest(folder)
            if not other.dev and all(ours.config.get(key) == other.config.get(key) for key in same):
                found[folder] = other
    return found


def _read_first_comparable(ours: Record, folders: Sequence[Path]) -> Record | None:
    """Return the first record that can be read and compared; None if there is none. Reading a record is slow."""
    for folder in folders:
        with suppress(EmbenchError):
            other = read_record(folder)
            check_same([ours, other])
            return other
    return None


_WAYS = ("with another encoder", "with other pretraining", "with another preset")


def _get_dissimilarity(one: Manifest, two: Manifest, modality: str) -> tuple[bool, bool, bool, str]:
    """Return a sort key, the dissimilarity of `two` to `one`: (other encoder, other pretraining, other preset, id)."""
    encoder = one.method.encoders.get(modality) != two.method.encoders.get(modality)
    preset = one.recipe.preset != two.recipe.preset
    return encoder, one.method.pretrainers != two.method.pretrainers, preset, two.id


def _describe_other_run(ours: Record, other: Record, modality: str) -> str:
    """Return the id of the run `other`, and in words how its method differs from that of `ours`."""
    unlike = _get_dissimilarity(ours.manifest, other.manifest, modality)
    return ", ".join([other.manifest.id, *(what for what, is_other in zip(_WAYS, unlike, strict=False) if is_other)])


@dataclass(frozen=True)
class MethodPredictions:
    """Predictions of several methods for the same n units, averaged over seeds; the first method is the fusion.

    Args:
        start, stop: seconds in the recording (n,).
        score: probability of the true class, or predicted value (methods, n).
        good: 1 where the decision is correct, else 0; for continuous targets minus the absolute error (methods, n).
    """

    recording: np.ndarray
    subject: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    label: np.ndarray
    score: np.ndarray
    good: np.ndarray


def method_predictions(records: Sequence[Record], target: Target) -> MethodPredictions:
    """Return the predictions for the labelled units that all methods predict. Raises DataError without such units."""
    tables = []
    for record in records:
        rows = record.predictions
        tables.append(rows.take(rows.rows_with(method=MODEL, target=target.name)))
    keys = [np.char.add(np.char.add(t["seed"].astype(str), " "), t["unit"]) for t in tables]
    common = keys[0]
    for key in keys[1:]:
        common = np.intersect1d(common, key)
    places = [np.intersect1d(key, common, return_indices=True)[1] for key in keys]
    tables = [t.take(place) for t, place in zip(tables, places, strict=True)]
    labels = records[0].labels
    label = np.full(len(common), np.nan) if labels is None else labels_of(tables[0], labels, target)
    known = np.isfinite(label)
    if not known.any():
        raise DataError(f"the runs have no labelled unit of {target.name} in common")
    tables, label = [t.take(known) for t in tables], label[known]
    score, good = [], []
    for t in tables:
        columns = np.stack([t[name] for name in target.columns], 1)
        score.append(columns[np.arange(len(label)), label.astype(int) if target.traits.has_score_per_class else 0])
        is_correct = t["decision"] == label
        good.append(is_correct.astype(float) if target.traits.has_classes else -np.abs(t["score"] - label))
    units, first, code = np.unique(tables[0]["unit"], return_index=True, return_inverse=True)
    size = np.bincount(code)
    about = tables[0].take(first)
    spans = np.array([UnitId.read(name)[1:] for name in units.tolist()], float) / 1000
    means = [np.array([np.bincount(code, row) / size for row in rows]) for rows in (score, good)]
    return MethodPredictions(about["recording"], about["subject"], spans[:, 0], spans[:, 1], label[first], *means)


def fusion_section(run: RunFacts, singles: Sequence[Path]) -> SectionBody | Undefined:
    """Return the section on recordings that the fusion predicts better than any single modality."""
    modalities = _list_parts(run.record)
    if len(modalities) < 2:
        return Undefined("the method reads only one modality, so there is no fusion")
    if run.record.labels is None:
        return NO_LABELS
    others = single_modality_runs(run, singles)
    if not others:
        return Undefined(
            f"no runs of {join_with_and(modalities)} alone with the same protocol, data and seeds are next to this "
            "run; name such runs with `--single-modality`"
        )
    lacking = [m for m in modalities if m not in others]
    named = ", ".join(f"{m} ({_describe_other_run(run.record, other, m)})" for m, other in others.items())
    note = f"Runs of single modalities: {named}."
    if lacking:
        note += f" There is no run of {', '.join(lacking)} alone."
    body = by_target(run, lambda run, target: _describe_gain(run, target, others), paragraph(note))
    if isinstance(body, SectionBody) and isinstance(run.store, Undefined):
        return replace(body, missing={**body.missing, "signals": run.store.reason})
    return body


def _describe_gain(run: RunFacts, target: Target, others: Mapping[str, Record]) -> Markup | Undefined:
    try:
        predictions = method_predictions([run.record, *others.values()], target)
    except DataError as error:
        return Undefined(error.what)
    names, code = np.unique(predictions.recording, return_inverse=True)
    good = np.array([np.bincount(code, row) for row in predictions.good]) / np.bincount(code)
    gain = good[0] - good[1:]
    order = np.argsort(-gain.max(0), kind="stable")
    better = [int(k) for k in order if gain[:, k].max() > 0]
    measure, sign = ("proportion of correct units", 1) if target.traits.has_classes else ("mean error", -1)
    summary = " ".join(
        f"Against {m} alone, the fusion is better in {int((g > 0).sum())} and worse in {int((g < 0).sum())} of "
        f"{len(names)} recordings."
        for m, g in zip(others, gain, strict=True)
    )
    rows = []
    for k in better[:N_LISTED]:
        subject = str(predictions.subject[predictions.recording == names[k]][0])
        rows.append((names[k], subject, *(float(sign * v) for v in good[:, k])))
    head = ("recording", "subject", "fusion", *(f"{m} alone" for m in others))
    listed = html_table(head, rows, f"{measure.capitalize()}, largest gains of the fusion") if rows else Markup()
    intro = paragraph(f"{summary} Those below were selected because they favour it: they are examples, not evidence.")
    drawings = [_draw_recording(run, target, predictions, names[k], list(others)) for k in better[:N_DRAWN]]
    return intro + listed + figure_row(drawings)


def _draw_recording(
    run: RunFacts, target: Target, predictions: MethodPredictions, name: str, modalities: Sequence[str]
) -> Markup:
    rows = np.flatnonzero(predictions.recording == name)
    rows = rows[np.argsort(predictions.start[rows], kind="stable")]
    start, stop, label = predictions.start[rows], predictions.stop[rows], predictions.label[rows]
    ends = (float(start.min()), float(stop.max()))
    panels = [
        *_draw_signals(run, name, _list_parts(run.record), ends),
        _draw_scores(run, target, predictions, rows, modalities, ends),
    ]
    measure, sign, marks = ("Correct units", 100, " %") if target.traits.has_classes else ("Mean error", -1, "")
    right = ", ".join(
        f"{variant} {sign * predictions.good[k, rows].mean():.{0 if marks else 3}f}{marks}"
        for k, variant in enumerate(("fusion", *(f"{m} alone" for m in modalities)))
    )
    note = f"Recording {name}, subject {predictions.subject[rows[0]]}. {measure}: {right}. Scores are means over seeds."
    drawn = figure(panels, f"{target.name} in recording {name}", note, width=1000)
    head = ("start (s)", "stop (s)", "label", "fusion", *(f"{m} alone" for m in modalities))
    table = [
        (f"{start[i]:g}", f"{stop[i]:g}", float(label[i]), *map(float, predictions.score[:, rows[i]]))
        for i in range(len(rows))
    ]
    return figure_with_table(drawn, head, table, note, wide=True)


def _draw_scores(
    run: RunFacts,
    target: Target,
    predictions: MethodPredictions,
    rows: np.ndarray,
    modalities: Sequence[str],
    ends: tuple[float, float],
) -> Panel:
    start, stop, label = predictions.start[rows], predictions.stop[rows], predictions.label[rows]
    at, typical_s = (start + stop) / 2, float(np.median(stop - start))
    marks: list[Mark] = []
    y = Axis(target.name, 0, 1)
    title = "Probability of the true class"
    if not target.traits.has_classes:
        title, y = "Predicted value", Axis(target.name)
        marks.append(line(np.stack([start, stop], 1), np.repeat(label, 2), colour="muted", label="label"))
    elif not target.traits.has_score_per_class:
        title = "Score"
        true = np.concatenate([[0], (label == 1).astype(int), [0]])
        first_units, last_units = np.flatnonzero(np.diff(true) == 1), np.flatnonzero(np.diff(true) == -1) - 1
        name = f"label: {run.classes(target)[1]}"
        middle, lengths = (start[first_units] + stop[last_units]) / 2, stop[last_units] - start[first_units]
        marks.append(bars(middle, np.ones(len(first_units)), colour="muted", width=lengths, opacity=0.22, label=name))
        marks.append(rule(y=0.5))
    breaks = np.flatnonzero(start[1:] > stop[:-1] + 0.5 * typical_s) + 1  # lines break where nothing was scored
    for k, variant in enumerate(("fusion", *(f"{m} alone" for m in modalities))):
        score = predictions.score[k, rows]
        x, score = (at, score) if len(rows) > 1 else (np.array(ends), score.repeat(2))
        x, score = np.insert(x, breaks, np.nan), np.insert(score, breaks, np.nan)
        marks.append(line(x, score, colour=k, width=1.2 if k else 2.2, dashed=k > 0, label=variant))
    return Panel(f"{title} over time", marks, Axis("time in the recording (s)", *ends), y, 170)


def _draw_signals(run: RunFacts, name: str, modalities: Sequence[str], ends: tuple[float, float]) -> list[Panel]:
    if isinstance(run.store, Undefined):
        return []
    panels = []
    for modality in modalities:
        ((part, chosen),) = parse_modality(modality)
        span = run.store.recording(name).spans.get(part)
        if span is None:
            continue
        signal = run.store.signal(name, part)
        row = signal.channels.index(chosen) if chosen else 0
        first = max(0, round((ends[0] - span.t0) * signal.rate))
        last = max(first, round((ends[1] - span.t0) * signal.rate))
        x, y = min_max_envelope(np.asarray(signal.data[row, first:last]), signal.rate)
        channel = f", {signal.channels[row]}" if len(signal.channels) > 1 else ""
        title = f"{part}{channel}" + (f" ({signal.unit})" if signal.unit else "")
        marks = [line(x + span.t0 + first / signal.rate, y, colour="muted", width=0.9)]
        panels.append(Panel(title, marks, Axis("", *ends, ticks=False), Axis(), 70))
    return panels


def min_max_envelope(data: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (seconds, values) of a curve that looks like `data` (samples,) with fewer points: the minimum and the
    maximum in each of `PIXELS` columns."""
    if len(data) <= 2 * PIXELS:
        return np.arange(len(data)) / rate, data
    edges = np.linspace(0, len(data), PIXELS + 1).astype(int)[:-1]
    least, greatest = np.minimum.reduceat(data, edges), np.maximum.reduceat(data, edges)
    return np.repeat(edges / rate, 2), np.stack([least, greatest], 1).reshape(-1)
