"""Scores by the quality of signals: the units with the worst, the middle and the best signal, each by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from embench.data.quality import TERCILES, quality_of_units, terciles
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import names_in
from embench.interfaces.units import Target
from embench.records.predictions import MODEL, Predictions
from embench.report.facts import NO_LABELS, RunFacts
from embench.report.page import html_table, join_parts, paragraph, with_reasons
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import join, labels_of, shared_stimuli, unit_length
from embench.statistics.scores import with_interval_of
from embench.store import Store

_NOTE = (
    "Descriptive: the scored units in three parts, by an index of how good the signal of a modality is (0 to 1), which "
    "is made of the prepared signals and knows no labels. Units with a poor signal may differ from others in more than "
    "that: in who was recorded, when and with which labels. A third has fewer units and subjects, so that its interval "
    "is wider, and the primary metric may not be estimable. Units with the same index stay together, so that the "
    "parts may differ in size."
)
_NOT_KNOWN = "It is not known which signals the predictions were made of: all that the dataset has are shown."


def quality_section(run: RunFacts) -> Markup | Undefined:
    """The section of scores by tercile of quality."""
    if run.record.labels is None:
        return NO_LABELS
    if isinstance(run.store, Undefined):
        return run.store
    store = run.store
    modalities = list(store.modalities) if run.outside else run.manifest.method.modalities
    chosen = list(dict.fromkeys(part for m in modalities for part in names_in(m) if part != "video"))
    tables = [_of_target(run, store, target, chosen) for target in run.targets]
    silent = {modality: why for _, reasons in tables for modality, why in reasons.items()}
    undivided = paragraph(f"Not divided: {with_reasons(silent)}.") if silent else Markup()
    which = [paragraph(_NOT_KNOWN)] if run.outside else []
    return join_parts([paragraph(_NOTE), *which, *(table for table, _ in tables), undivided])


def _of_target(run: RunFacts, store: Store, target: Target, modalities: Sequence[str]) -> tuple[Markup, dict[str, str]]:
    """The table of a target, and why signals are not divided."""
    ours = own_predictions(run, target)
    ids = np.unique(ours["unit"])
    rows: list[tuple[Any, ...]] = []
    silent = {}
    metrics = [run.scores.headlines[target.name], "auroc" if target.traits.has_classes else target.traits.within]
    metrics = list(dict.fromkeys(metrics))
    for modality in modalities:
        index = quality_of_units(store, modality, ids.tolist())
        if isinstance(index, Undefined):
            silent[modality] = index.reason
            continue
        if not np.isfinite(index).any() or np.nanmin(index) == np.nanmax(index):
            silent[modality] = f"all units have the index {np.nanmax([*index, -np.inf]):.2f}"
            continue
        part = terciles(index)
        for k, name in enumerate(TERCILES):
            in_third = part == k
            if not in_third.any():
                rows.append((f"{modality}, {name}", None, 0, 0, None, None, None, None, "no units: too many are equal"))
                continue
            span = f"{index[in_third].min():.2f} to {index[in_third].max():.2f}"
            some = ours.take(np.isin(ours["unit"], ids[in_third]))
            people = len(np.unique(some["subject"]))
            rows += [
                (f"{modality}, {name}", span, int(in_third.sum()), people, metric, *score_cells(found))
                for metric in metrics
                if (found := score_of_part(run, target, metric, some, unit_length(ids))) is not None
            ]
    heads = ("signal", "index", "units", "subjects", "score", "mean", "low", "high", "remarks")
    table = html_table(heads, rows, f"Scores of {target.name} by the quality of signals") if rows else Markup()
    return table, silent


def score_cells(score: Estimate | Undefined) -> tuple[Any, ...]:
    """Mean, ends of the interval and remarks of a score, as the cells of a table."""
    if isinstance(score, Undefined):
        return None, None, None, f"undefined: {score.reason}"
    return score.mean, score.low, score.high, "; ".join(score.left_out)


def own_predictions(run: RunFacts, target: Target) -> Predictions:
    """The method's predictions of units that have a label. The record has labels."""
    table = run.record.predictions
    ours = table.take(table.rows_with(method=MODEL, target=target.name))
    return ours.take(np.isfinite(labels_of(ours, run.record.labels, target)))  # type: ignore[arg-type]


def score_of_part(
    run: RunFacts, target: Target, metric: str, some: Predictions, length_s: float
) -> Estimate | Undefined | None:
    """A score of some of a run's `own_predictions`; None where the metric does not apply.

    Args:
        length_s: of the run's units, see `unit_length`.
    """
    record = run.record
    joined = join(some, record.labels, target, record.groups, length_s, record.sessions)[MODEL]  # type: ignore[arg-type]
    stimuli = shared_stimuli(run.manifest.cohort.design, joined)
    found, _ = estimate(metric, joined, target, leave_one_out(joined.tested_subjects(), record.groups, stimuli))
    return None if found is None else with_interval_of(metric, found)
