"""Scores that order the moments of a subject as one statistic of one signal does, such as the SD of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from embench.audits.checks.evidence import Evidence
from embench.files import digest, sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Unit
from embench.records.audit import AuditFinding, CheckResult
from embench.records.predictions import Predictions
from embench.store import Store
from embench.store.kept import kept
from embench.system import version_of

SAME_ORDER = 0.95
"""Rank correlation inside subjects, in either direction, from which on scores are said to follow a statistic."""
_FEWEST_UNITS, _FEWEST_SUBJECTS = 5, 5
"""Fewer units of a subject, or fewer subjects, show nothing: few moments are in some statistic's order by chance."""
STATISTICS = ("mean", "SD", "minimum", "maximum", "range", "slope")


def check_one_statistic(e: Evidence) -> CheckResult | Undefined:
    """Checks that no statistic of one channel has the order of scores (mean over seeds) within each subject."""
    units = list(e.units.values())
    names, tables = [], []
    for modality, entry in e.store.modalities.items():
        if modality != "video":  # its pixels are not in the store
            names += [(modality, channel, statistic) for channel in entry.channels for statistic in STATISTICS]
            tables.append(signal_statistics(e.store, modality, units))
    if not tables:
        return Undefined("there are no signals but videos")
    figures: dict[str, Any] = {}
    findings = []
    subject = np.array([unit.subject for unit in units])
    for target in e.compared_targets():
        score = _mean_scores(e.model_rows(target.name), units)
        found = np.concatenate([_correlations(score, table, subject) for table in tables])
        if np.isnan(found).all():
            continue
        best = int(np.nanargmax(np.abs(found)))
        (modality, channel, statistic), correlation = names[best], float(found[best])
        evidence = {"signal": modality, "channel": channel, "statistic": statistic, "rank correlation": correlation}
        figures[target.name] = {**evidence, "rank correlation": round(correlation, 3)}
        if abs(correlation) > SAME_ORDER:
            what = f"scores of {target.name} order moments within subjects as the {statistic} of {modality} does"
            what += f", channel {channel}: rank correlation {correlation:.3f}"
            todo = "report this with the method: the statistic alone predicts nearly as well"
            findings.append(AuditFinding("note", what, evidence, todo))
    if figures:
        return CheckResult(figures, tuple(findings))
    few = f"fewer than {_FEWEST_SUBJECTS} subjects have scores that differ between {_FEWEST_UNITS} units with samples"
    return Undefined(f"{few}, of a target with one score a unit")


def signal_statistics(store: Store, modality: str, units: Sequence[Unit]) -> np.ndarray:
    """(n, C S) the `STATISTICS` of each channel of a modality in n units, channel by channel; NaN where there are not
    two samples. The slope is that of a straight line, per sample."""
    where = digest([[unit.recording, unit.start, unit.stop] for unit in units])
    key = ["one statistic", sha256(Path(__file__)), version_of("numpy"), modality, where]
    return kept(store, key, partial(_signal_statistics, store, modality, units))


def _signal_statistics(store: Store, modality: str, units: Sequence[Unit]) -> np.ndarray:
    array, entry = store.array(modality), store.modalities[modality]
    table = np.full((len(units), len(entry.channels), len(STATISTICS)), np.nan)
    for row, unit in zip(table, units, strict=True):
        span = store.recording(unit.recording).spans.get(modality)
        x = array[:, span.cut(unit.start, unit.stop, entry.rate)].astype(np.float64) if span else np.empty((0, 0))
        if x.shape[-1] < 2:
            continue
        time = np.arange(x.shape[1]) - (x.shape[1] - 1) / 2
        low, high, mean = x.min(1), x.max(1), x.mean(1)
        slope = (x - mean[:, None]) @ time / (time @ time)
        row[:] = np.stack([mean, x.std(1), low, high, high - low, slope], axis=1)
    return table.reshape(len(units), -1)


def _mean_scores(rows: Predictions, units: Sequence[Unit]) -> np.ndarray:
    """(n,) the mean over seeds of a target's scores in n units, NaN where there is none."""
    own = rows.texts("unit")
    mean = np.bincount(own.code, rows["score"]) / np.bincount(own.code)
    by_name = dict(zip(own.names.tolist(), mean.tolist(), strict=True))
    return np.array([by_name.get(unit.id, np.nan) for unit in units])


def _correlations(score: np.ndarray, table: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """(k,) the rank correlation of scores (n,) with each column of `table` (n, k), mean over subjects (n,); NaN where
    too few have one."""
    known = np.isfinite(score) & np.isfinite(table).all(1)
    found = []
    for name in np.unique(subject[known]).tolist():
        mine = known & (subject == name)
        if mine.sum() >= _FEWEST_UNITS and np.ptp(score[mine]) > 0:
            ranks = stats.rankdata(np.column_stack([score[mine], table[mine]]), axis=0)
            ranks -= ranks.mean(0)
            scale = np.sqrt((ranks**2).sum(0))
            products = ranks[:, 0] @ ranks[:, 1:]
            found.append(products / np.maximum(scale[0] * scale[1:], 1e-12))  # 0 of what does not vary
    if len(found) < _FEWEST_SUBJECTS:
        return np.full(table.shape[1], np.nan)
    return np.asarray(np.mean(found, axis=0))
