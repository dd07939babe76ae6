"""Score predictions of hidden subjects: from tables alone, or with the study, which also answers the confound test."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench.challenge.commitment import CommittedPart
from embench.challenge.study import HostedStudy
from embench.errors import DataError
from embench.files import parse_json, read_text, reading, saving, sha256, write_text
from embench.interfaces.units import LabelRule, Target
from embench.protocols import Fold, Protocol
from embench.reasons import Reason
from embench.records.predictions import MODEL, Labels, Predictions, SubmittedRow
from embench.records.scores import Score, Scores
from embench.records.wording import counted
from embench.runs.external import (
    PredictionsFile,
    PreparedRows,
    RowsByAmount,
    ScoreOptions,
    decide_rows,
    write_scored_record,
)
from embench.statistics.answers import describe_undefined
from embench.statistics.evaluation import (
    ConfoundAnalysis,
    FoldPredictions,
    decide,
    model_rows,
    recorded_rules,
    score_predictions,
    study_facts,
)
from embench.statistics.result import Result
from embench.statistics.scores import compute_scores

REFERENCE_FILES = ("facts.json", "labels.csv.gz", "rows.csv.gz")
"""Files of a reference: facts about units and target, labels, and one row for each unit and confound-only model."""


class Reference(NamedTuple):
    """The facts, labels and rows by which predictions of one hidden group are scored without the study.

    Args:
        facts: design, unit length, sessions, groups, protocol, and the target's rule.
        rows: a row for each unit with the method `MODEL`, whose scores are placeholders, and one for each unit and
            confound-only model.
    """

    facts: Mapping[str, Any]
    target: Target
    labels: Labels
    rows: Predictions


def _blank_fold(study: HostedStudy, split: Mapping[str, CommittedPart], part: CommittedPart) -> FoldPredictions:
    """Return a fold that tests the units of a part and trains on the training subjects. All scores are 0."""
    index = np.array(study.positions(split, part), np.int64)
    nothing = decide(study.target, np.zeros((len(index), len(study.target.columns))), study.protocol)
    return FoldPredictions(study.target, 0, 0, index, study.positions(split, "training"), *nothing)


def write_reference(folder: Path, study: HostedStudy, split: Mapping[str, CommittedPart], part: CommittedPart) -> str:
    """Write the labels of a hidden group, and the predictions of confound-only models that were fitted on training
    subjects. Return the primary metric. Raises DataError if nobody in the group has a label."""
    cohort = study.restrict(split, part)
    scored = score_predictions(
        [_blank_fold(study, split, part)], cohort, study.protocol, method=False,
        confounds=ConfoundAnalysis() if part == "final" else None,
    )  # fmt: skip
    (rules,) = (row for row in recorded_rules(study.card)["label_rules"] if row["name"] == study.target.name)
    facts = study_facts(cohort)
    content = {
        "dataset": study.card.title,
        "synthetic": study.store.synthetic is not None,
        "part": part,
        "protocol": study.protocol.content(),
        "target": {**rules, "step": study.target.find_step(cohort.label[study.target.name])},
        "design": facts["design"],
        "groups": dict(facts["groups"]),
        "unit_length_s": None if math.isnan(cohort.length_s) else cohort.length_s,
        "sessions": {who: facts["sessions"][who] for who in cohort.subjects},
        "not_applicable": {
            name: by_target[study.target.name]["undefined"]
            for name, by_target in scored.scores.content["confound_only"].items()
            if "undefined" in by_target.get(study.target.name, {})
        },
    }
    with saving("the labels of hidden subjects", folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "facts.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
        scored.labels.write(folder / "labels.csv.gz")
        scored.predictions.write(folder / "rows.csv.gz")
    return str(scored.scores.primary_metrics[study.target.name])


def hash_reference(folder: Path) -> dict[str, str]:
    """Return file -> SHA-256 of a reference. Raises DataError if a file is missing."""
    with reading(folder, missing="a file by which the final group is scored is missing"):
        return {name: sha256(folder / name) for name in REFERENCE_FILES}


def explain_undefined(study: HostedStudy, split: Mapping[str, CommittedPart], part: CommittedPart) -> str:
    """Return why the primary metric cannot be estimated on the subjects of a part; empty if it can."""
    cohort, fold = study.restrict(split, part), _blank_fold(study, split, part)
    everyone = study.labels()
    chosen = np.isin(everyone["subject"], cohort.subjects)
    labels = Labels({name: everyone[name][chosen] for name in Labels.FIXED})
    rows = model_rows([fold], cohort)
    scores = compute_scores(rows, labels, protocol=study.protocol, **study_facts(cohort))
    found = primary_score(scores)[1]
    return (
        "" if found.is_defined else describe_undefined(found.undefined or Reason.make("no_label"), len(cohort.subjects))
    )


def read_reference(folder: Path) -> Reference:
    """Read a reference. Raises DataError if a file is missing or damaged."""
    try:
        facts = parse_json(read_text(folder / "facts.json"))
        row = facts["target"]
        rule: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in row["rule"].items()
        }
        step = row["step"] or None
        target = Target(row["name"], row["kind"], LabelRule(**rule), row["label"], row["n"], step=step)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the labels of hidden subjects cannot be read: {error}",
            where=str(folder),
            expected=", ".join(REFERENCE_FILES),
        ) from error
    labels, rows = Labels.read(folder / "labels.csv.gz"), Predictions.read(folder / "rows.csv.gz")
    return Reference(facts, target, labels, rows)


def score_rows(reference: Reference, rows: Sequence[SubmittedRow], *, confounds: bool = True) -> Scores:
    """Return the scores of submitted rows on a reference's group, with intervals.

    Args:
        confounds: whether confound-only models are scored, too.

    Raises:
        DataError: a unit of the group has no prediction.
    """
    length = reference.facts["unit_length_s"]
    return compute_scores(
        join_rows(reference, rows, confounds=confounds),
        reference.labels,
        targets=(reference.target,),
        protocol=Protocol.model_validate(reference.facts["protocol"], strict=False),
        design=reference.facts["design"],
        groups=reference.facts["groups"],
        unit_length_s=math.nan if length is None else length,
        sessions=reference.facts["sessions"],
        not_applicable={
            reference.target.name: {name: Reason.read(why) for name, why in reference.facts["not_applicable"].items()}
        },
    )


def join_rows(reference: Reference, rows: Sequence[SubmittedRow], *, confounds: bool) -> Predictions:
    """Return submitted rows of a reference's group as predictions; with `confounds` also those of confound-only models.
    Raises DataError if a unit of the group has no prediction."""
    protocol, target = Protocol.model_validate(reference.facts["protocol"], strict=False), reference.target
    own = reference.rows.rows_with(method=MODEL)
    units, others = reference.rows.take(own), reference.rows.take(~own)
    by_unit = {row.unit: row for row in rows}
    if missing := [unit for unit in units["unit"].tolist() if unit not in by_unit]:
        what = f"{counted(len(missing), 'unit')} without a prediction, such as {missing[0]}"
        raise DataError(what, where="predictions.csv")
    score, decision = decide_rows(target, [by_unit[unit] for unit in units["unit"].tolist()], protocol)
    columns = {name: units[name] for name in units.columns} | {"decision": decision}
    columns |= dict(zip(target.columns, score.reshape(len(units), -1).T, strict=True))
    return Predictions.concatenate([Predictions(columns), *([others] if confounds else [])])


def primary_score(scores: Scores) -> tuple[str, Score]:
    """Return the primary metric of the only target, and the method's score."""
    ((target, metric),) = scores.primary_metrics.items()
    found = scores.get_scores(target)[metric]
    return metric, found


def record_team(
    study: HostedStudy, split: Mapping[str, CommittedPart], name: str, sha: str, rows: Sequence[SubmittedRow], out: Path
) -> Result:
    """Score a submission on the final group with the study, and write a record like a run's to the folder `out`."""
    cohort, blank = study.restrict(split, "final"), _blank_fold(study, split, "final")
    training = study.positions(split, "training")
    by_unit = {row.unit: row for row in rows}
    found = [by_unit[cohort.units[i].id] for i in blank.units.tolist()]
    made = decide_rows(study.target, found, study.protocol)
    fold = FoldPredictions(study.target, 0, 0, blank.units, training, *made)
    ids = [tuple(cohort.units[i].id for i in index) for index in (training, blank.units.tolist())]
    both = study.restrict({who: "final" for who, part in split.items() if part != "feedback"}, "final")
    by_amount = RowsByAmount({None: rows}, [None])
    file = PredictionsFile(Path(name), sha, name, study.source, study.protocol, both, by_amount)
    submission = {
        "name": name,
        "file": "predictions.csv",
        "sha256": sha,
        "rows": len(found),
        "folds": {"0": Reason.make("own_folds")},
        "missing": {},
        "ignored": {},
    }
    prepared = PreparedRows(None, cohort, [fold], {0: [Fold(0, ids[0], (), ids[1])]}, submission, {})
    about: ScoreOptions = {"time_context": "offline", "out": out}
    return write_scored_record(file, prepared, about)
