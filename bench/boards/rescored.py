"""Rows whose networks were trained under version 2 of a protocol: their published predictions, scored by version 3.

Both versions train alike in the same folds, so that what was predicted then is what would be predicted now, but for the
digits that other machines round differently. Nothing is trained; the record names the entry (`rescored_from`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embench.callbacks import EventCallback
from embench.data.find import files_digest, raw_digest_of
from embench.errors import CheckFailed
from embench.files import digest, folder_mode, make_folder
from embench.planning.plan import Plan
from embench.records import ledger
from embench.records.manifest import Manifest
from embench.records.predictions import MODEL
from embench.records.record import Record, read_record, write_record
from embench.runs.evaluate import fold_rows
from embench.statistics import evaluation
from embench.statistics.fold_predictions import FoldPredictions, decide


def rescore(plan: Plan, entry: Path, progress: EventCallback) -> None:
    """Writes the record of a plan, with the predictions of an entry of the same method in the same folds.

    Raises:
        CheckFailed: the entry is of other data, or lacks predictions of units.
    """
    known = read_record(entry)
    before = Manifest.model_validate(known.run)
    if before.dataset.fingerprint != plan.test.store.key:
        raise CheckFailed(
            "the entry is of other data than the row", where=str(entry), expected=f"fingerprint {plan.test.store.key}"
        )
    made = list(_predictions(plan, known, entry))
    progress({"event": "scoring", "run": plan.id})
    context = plan.method.time_context
    files = files_digest(plan.request.dataset, plan.request.data_root, plan.test.card)
    about = plan.dataset, plan.test, plan.protocol, plan.deviations, context
    facts = evaluation.run_circumstances(*about, files=files)
    opening = {"dataset": plan.dataset, "protocol": plan.protocol.name, "run": plan.id, "method": digest(plan.config)}
    request, data = plan.request, raw_digest_of(plan.request.dataset, plan.request.data_root)
    targets = [target.name for target in plan.test.targets]
    looks = ledger.record_openings(request.runs_folder, data, plan.test.store.key, opening, targets)
    evaluated = evaluation.score_predictions(made, plan.test, plan.protocol, proved=context == "unit")
    content = {name: value for name, value in known.run.items() if name != "entry"} | {
        **facts.content(),
        "id": plan.id,
        "versions": {**before.versions, **facts.versions},
        "rescored_from": before.id,
        "config": {**plan.config, "request": {**before.config["request"], "protocol": plan.protocol.name}},
        "test_looks": dict(looks.openings),
        "tried": dict(looks.tried),
        "dev_looks": dict(looks.dev),
        "ledger": looks.chain,
    }
    run = Manifest.model_validate(content).content()
    make_folder(plan.folder, folder_mode(plan.fit.card.labels_public, plan.test.card.labels_public))
    write_record(plan.folder, Record(run, evaluated.predictions, evaluated.labels, fold_rows(plan), evaluated.scores))


def _predictions(plan: Plan, known: Record, entry: Path) -> Iterator[FoldPredictions]:
    """Predictions of the entry for the units of each fold of the plan."""
    table, cohort = known.predictions.table, plan.test
    of_model = np.flatnonzero(table["method"] == MODEL)
    columns = (table[name][of_model].tolist() for name in ("target", "seed", "fold", "unit", "score"))
    scores = {tuple(place): score for *place, score in zip(*columns, strict=True)}
    for expected in plan.graph.predictions:
        train = expected.train if plan.fit is cohort else None
        for target in expected.targets:
            places = [(target.name, expected.seed, expected.fold, cohort.units[i].id) for i in expected.units]
            if missing := [
                unit for *_, unit in places if (target.name, expected.seed, expected.fold, unit) not in scores
            ]:
                raise CheckFailed("the entry does not predict units of the row", where=f"{entry}, {missing[0]}")
            found = np.array([scores[place] for place in places])
            score, decision = decide(target, found[:, None], plan.protocol)
            units = np.array(expected.units, np.int64)
            yield FoldPredictions(target, expected.seed, expected.fold, units, train, score, decision)
