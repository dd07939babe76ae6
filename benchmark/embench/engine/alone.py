"""Repeats predictions in a process that has seen nothing else: a few rows one by one, and the features of one
recording.

A plugin can remember its inputs. Where it can't, it must give the same numbers as it gave in the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embench.engine import device as machine
from embench.engine.assemble import derived_again
from embench.engine.predict import Questions, deviation, questions, units_of_rows
from embench.engine.specs import PredictParams
from embench.engine.stage import Folder, Stage
from embench.engine.work import naming_faults
from embench.errors import PluginError
from embench.system import limited_threads

FEW_ROWS = 16
"""Rows of each stage that are predicted again; all rows of a unit, so that one unit may have more."""

SPANS = 8
"""Segments of the recording whose features are computed again."""


def check_alone(stages: Sequence[Stage[PredictParams]], root: Path) -> None:
    """Compares what finished stages predicted with what the same fitted plugins predict here, row by row; to be called
    in a process of its own. Where methods adapt to subjects, the last subject comes first here.

    Features and streams of the recording that came last among the tested ones are computed again first, without any
    recording before it.

    Raises:
        PluginError: some differ; names the plugins, and the units or the recording.
    """
    last = max(stages, key=lambda stage: int(stage.task["recording"].max(initial=-1)))
    for stage in [last, *(stage for stage in stages if stage is not last)]:
        common, folder = stage.params.common, Folder(root, stage.id)
        machine.seed_everything(stage.seed, common.threads, common.device)
        with naming_faults(stage, folder), limited_threads(common.threads):
            asked = questions(stage, root)
            if stage is last:
                _check_recording(stage, asked)
            _check_rows(stage, asked, folder)


def _check_rows(stage: Stage[PredictParams], asked: Questions, folder: Folder) -> None:
    if not len(asked.rows):
        return
    with np.load(folder.file("predictions.npz")) as arrays:
        known = arrays["score"]
    rows = _some_units(asked, stage.seed)
    if stage.params.given:  # whoever came last comes first, so that nobody follows whom it followed
        rows = np.unique(np.concatenate([_one_unit_of_last(asked), rows]))
        rows = rows[np.argsort(asked.subject[rows], kind="stable")[::-1]]
    predictor = asked.predictor(None)
    alone = np.concatenate([predictor(rows[i : i + 1])["score"] for i in range(len(rows))]).astype(np.float64)
    table = units_of_rows(alone, asked.grid.unit, len(known), asked.data.size, rows)
    units = np.flatnonzero(np.isfinite(table).all(1))
    gap, tolerance = deviation(table[units], known[units]), asked.tolerance
    if not np.isfinite(alone).all():
        raise PluginError("the prediction of a single row is not a finite number", where=asked.names)
    if not (gap <= tolerance).all():
        named = [f"unit {asked.unit_ids[units[i]]} differs by {gap[i]:.2g}" for i in np.argsort(-gap)[:3]]
        raise PluginError(
            "a unit's prediction depends on the units that were predicted before it: " + ", ".join(named),
            where=asked.names,
            expected=f"the same prediction, within {tolerance:g}",
            hint="a method must not remember the rows that it predicts, nor use neighbouring rows",
        )


def _some_units(asked: Questions, seed: int) -> np.ndarray:
    """The rows (k,) of some units, drawn."""
    of_row = asked.grid.unit[asked.rows]
    units, counts = np.unique(of_row, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(units))
    taken = max(1, int((np.cumsum(counts[order]) <= FEW_ROWS).sum()))
    return asked.rows[np.isin(of_row, units[order[:taken]])]


def _one_unit_of_last(asked: Questions) -> np.ndarray:
    """The rows (k,) of a unit of the subject whose name comes last."""
    subject, unit = asked.subject[asked.rows], asked.grid.unit[asked.rows]
    return asked.rows[unit == unit[subject == np.unique(subject)[-1]][0]]


def _check_recording(stage: Stage[PredictParams], asked: Questions) -> None:
    recording = int(stage.task["recording"].max(initial=-1))
    for m, part in asked.params.modalities.items():
        pair = derived_again(asked.source, m, part, asked.params, recording, SPANS)
        if pair is None:
            continue
        again, known = pair
        if again.shape != known.shape or not np.allclose(again, known, rtol=1e-4, atol=1e-5, equal_nan=True):
            name = asked.source.store.recordings[recording].id
            raise PluginError(
                f"{m} of recording {name} gets other features alone than after other recordings",
                where=part.name,
                expected="features of a segment that depend on the signal of its recording only",
                hint="an encoder must not remember recordings, nor the other segments of one",
            )
