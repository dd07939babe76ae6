"""Predictions made by other code: read, checked, joined with labels, scored like a run, and recorded."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import numpy as np

from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets
from embench.data.find import Source, find_source
from embench.data.pseudonyms import OriginalName, Pseudonymous
from embench.errors import DataError, UsageError
from embench.files import digest, saving, write_text
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.planning.request import Request
from embench.protocols import CALIBRATION_ONLY, NO_CALIBRATION, Fold, Given, Protocol, count_leaks, load_protocol
from embench.protocols.partition import GivenRow, complete_folds
from embench.reasons import Reason
from embench.records import TimeContext, ledger, record
from embench.records.manifest import CostPart, Manifest, MethodPart, RecipePart, seeds_taken
from embench.records.predictions import NO_FOLD, Faults, SubmittedRow, read_submission
from embench.records.record import format_csv
from embench.records.scores import ConfoundOnlyModel
from embench.records.wording import name_without_package
from embench.statistics import evaluation, metric_facts
from embench.statistics.confound_only import FOR_COMPARISON
from embench.statistics.evaluation import ConfoundAnalysis, Evaluation, FoldPredictions, decide, empty_predictions
from embench.statistics.result import Result
from embench.store import Store
from embench.system import ProgressCallback
from embench.vocabulary import has_control


def describe_confound_only(
    store: Store,
    card: Card,
    targets: Sequence[Target],
    protocol: Protocol,
    seeds: Sequence[int],
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Fit and score the confound-only models of a dataset in the folds of a run with these seeds, without calibration
    data. The numbers equal those of a run's `scores.json` if all subjects have any of the run's modalities.

    Args:
        progress: called with (folds with fitted confound-only models, number of folds, target).

    Returns:
        `primary_metrics` {target: metric}; `confound_only` {model: {target: {metric: number}}} as in `Scores.content`;
        `best` {target: {metric: {"control": name, "mean": number}}}, the model with the best score; `subjects` {target:
        number} and `left_out` {target: [{"subject", "reason"}]}; `dataset`, `synthetic`, `protocol` and `seeds`.

    Raises:
        UsageError: there are too few subjects to split. DataError: nobody has a label. CheckFailed: the folds break the
            rules of the protocol.
    """
    found: dict[str, Any] = {
        "dataset": store.name,
        "synthetic": store.synthetic is not None,
        "protocol": protocol.name,
        "seeds": list(seeds),
        **{key: {} for key in ("subjects", "left_out", "primary_metrics", "confound_only", "best")},
    }
    cohorts = [build_cohort(store, card, (target,), None, protocol) for target in targets]  # units differ by target
    blank = [list(empty_predictions(cohort, protocol, seeds)) for cohort in cohorts]
    done, total = 0, sum(map(len, blank))

    def on_fold(done_in_target: int, _: int, name: str) -> None:
        if progress:
            progress(done + done_in_target, total, name)

    given = Given() if protocol.requests_calibration else None
    for target, cohort, folds in zip(targets, cohorts, blank, strict=True):
        scores = evaluation.score_predictions(folds, cohort, protocol, on_fold, method=False, given=given).scores
        done += len(folds)
        found["subjects"][target.name], found["left_out"][target.name] = len(cohort.subjects), list(cohort.excluded)
        found["primary_metrics"] |= scores.primary_metrics
        for name, by_target in scores.content["confound_only"].items():
            found["confound_only"].setdefault(name, {}).update(by_target)
        found["best"][target.name] = _find_best(scores.get_confound_only_models(target.name))
    return found


def _find_best(confound_only: Sequence[ConfoundOnlyModel]) -> dict[str, dict[str, Any]]:
    """Return metric -> the best model and its score, except models in `FOR_COMPARISON`; empty if all are undefined."""
    best: dict[str, dict[str, Any]] = {}
    for model in confound_only:
        for metric, score in model.scores.items() if model.name not in FOR_COMPARISON else ():
            if score.is_defined:
                sign = 1 if metric_facts(metric).higher else -1
                if metric not in best or sign * score.mean > sign * best[metric]["mean"]:
                    best[metric] = {"control": model.name, "mean": score.mean}
    return best


# Files of predictions under protocols with calibration data: the amount of calibration data that each row used, and
# the units that may be predicted.

UnitUse = Literal["calibration", "gap", "scored", "no label"]
WHY_UNTESTED: Mapping[UnitUse, str] = {
    "calibration": "that are calibration data, which are never scored",
    "gap": "in the gap between calibration data and scored units",
    "no label": "without a label, which are not scored",
}
"""Use of a unit -> description for errors on rows with such units."""


@dataclass(frozen=True)
class RowsByAmount:
    """Rows of a predictions file by amount of calibration data (None under protocols without them). `wanted`: the
    amounts to score; rows with other amounts serve as comparisons."""

    rows: Mapping[Given | None, Sequence[SubmittedRow]]
    wanted: Sequence[Given | None]


def find_use(cohort: Cohort, i: int) -> UnitUse:
    """Return the use of the unit at position `i` of the cohort, under a protocol with calibration data."""
    slices = cohort.slices
    if slices is None:
        raise ValueError(f"{cohort.card.name} was laid out by a protocol to which subjects give nothing")
    if slices.scored[i]:
        return "scored"
    labelled = np.isfinite(cohort.label[cohort.targets[0].name][i])
    return "calibration" if slices.rank[i] > 0 else "gap" if labelled else "no label"


def group_by_amount(protocol: Protocol, rows: Sequence[SubmittedRow], given: str | None, path: Path) -> RowsByAmount:
    """Group rows by their amount of calibration data, from a column of the file or, without it, from the option.

    Args:
        given: the option `--calibration-data`: the amount of all rows or, with the column, the amounts to score.

    Raises:
        UsageError: the calibration data are not stated, or the protocol has none.
    """
    named = {row.given for row in rows}
    if not protocol.requests_calibration:
        if given is not None or named != {""}:
            raise UsageError(
                f"{protocol.name} does not let a file choose calibration data",
                where=f"--calibration-data {given}" if given is not None else f"{path}, column calibration_data",
                hint="--protocol personalise-v1",
            )
        return RowsByAmount({None: rows}, [None])
    amounts = [Given.read(text) for text in given.split(",")] if given is not None else []
    if named == {""}:
        if len(amounts) != 1:
            raise UsageError(
                "the amount of calibration data is not known"
                if not amounts
                else "the rows do not name their amount of calibration data",
                where=str(path),
                expected="a column `calibration_data`, or --calibration-data with one of 0, 5, unlabelled:5, session",
                hint="for predictions without calibration data: --calibration-data 0",
            )
        return RowsByAmount({amounts[0]: rows}, amounts)
    if "" in named:
        lines = [str(row.line) for row in rows if not row.given]
        raise DataError(
            f"{len(lines)} rows do not name the amount of calibration data, but other rows do",
            where=f"{path}, lines {', '.join(lines[:5])}",
        )
    known = sorted(map(Given.read, named), key=lambda item: item.place)
    if unknown := [item.text for item in amounts if item not in known]:
        raise UsageError(
            f"the file has no rows with {', '.join(unknown)} given",
            where=f"--calibration-data {given}",
            expected=", ".join(item.text for item in known),
        )
    return RowsByAmount({item: [row for row in rows if row.given == item.text] for item in known}, amounts or known)


def find_comparisons(
    rows: RowsByAmount, given: Given | None
) -> tuple[dict[str, Sequence[SubmittedRow]], dict[str, Reason]]:
    """Return name -> rows of the comparisons with less calibration data, and name -> reason why one is missing."""
    found, absent = {}, dict[str, Reason]()
    for name, less in given.without().items() if given else ():
        if less in rows.rows:
            found[name] = rows.rows[less]
        else:
            what = "nothing" if name == NO_CALIBRATION else less.text
            absent[name] = Reason.make("no_predictions_with", amount=what)
    if given and given.labelled and given.units:
        absent[CALIBRATION_ONLY] = Reason.make("unknown_features")
    return found, absent


def attach_comparisons(
    predictions: Sequence[FoldPredictions], others: Mapping[str, Sequence[FoldPredictions]]
) -> list[FoldPredictions]:
    """Return the predictions of folds together with those of comparisons (`others`, by name) in the same folds."""
    return [
        replace(fold, beside={name: compared[k].score for name, compared in others.items()})
        for k, fold in enumerate(predictions)
    ]


# Submissions: the file is read, checked, joined with labels, scored like a run, and recorded, without torch.

LEDGER = Path("runs")
NOT_IN_FILE = Reason.make("no_prediction")
"""Reason for leaving out a subject who has labels."""


def score(path: Path, dataset: str, *, calibration_data: str | None = None, **about: Unpack[ScoreOptions]) -> Result:
    """Score a file of predictions under a protocol and write a record like a run's.

    Args:
        calibration_data: amount of calibration data, if the protocol requires them. In a file with a column
            `calibration_data`, rows with this amount are scored. `about`: see `ScoreOptions`.

    Raises:
        UsageError: the file holds several amounts. Otherwise as `score_amounts`.
    """
    found = score_amounts(path, dataset, calibration_data=calibration_data, single=True, **about)
    return found[0]


class ScoreOptions(TypedDict, total=False):
    """Options of scoring a file.

    Args:
        name: name of the method; default: that of the file. `targets`: comma-separated targets to score; default: all
            in the file. `time_context`: other units of a test session that influence a prediction, as the author says.
        windows: True if predictions are for windows of embench's folds.
        out: the record's folder; default: one below `runs`, the folder of records and of the ledger.
        progress: called while data are prepared. `on_fold`: called with (folds with fitted confound-only models, all
            folds, the target). `on_scored`: called with the result before a slow confound analysis. `on_confounds`:
            called with (started models, all models, the target).
        confounds: False to omit the analysis. `placebo`: True to compute its placebo.
    """

    name: str | None
    protocol: str
    targets: str | None
    time_context: TimeContext
    windows: bool
    data_root: Path | None
    out: Path | None
    runs: Path
    progress: ProgressCallback | None
    on_fold: ProgressCallback | None
    on_scored: Callable[[Result], None] | None
    on_confounds: ProgressCallback | None
    confounds: bool
    placebo: bool


def score_amounts(
    path: Path,
    dataset: str,
    *,
    calibration_data: str | None = None,
    single: bool = False,
    **about: Unpack[ScoreOptions],
) -> list[Result]:
    """Score a file of predictions. Return one record per amount of calibration data, in the order of the amounts; one
    record if the protocol has no calibration data.

    Args:
        path: file of predictions.
        dataset: name or folder of the dataset.
        calibration_data: as for `score`; several values separated by commas.
        single: True to refuse several amounts.

    Raises:
        DataError: the file cannot be read, or names units or targets that the dataset lacks.
        CheckFailed: the folds of the file are not the folds of the protocol.
        UsageError: names do not fit, or `out` contains another record.
    """
    data_root, called = about.get("data_root"), about.get("name") or path.name.split(".")[0]
    rules = load_protocol(about.get("protocol", Request.protocol))
    source = find_source(dataset, data_root)
    card = card_for_protocol(rules, source.card)
    rows, sha = read_submission(path, card)
    targets = about.get("targets")
    chosen = choose_targets(card, targets or ",".join(dict.fromkeys(row.target for row in rows)))
    names = {t.name for t in chosen}
    rows = [row for row in rows if row.target in names]
    if absent := names - {row.target for row in rows}:
        raise DataError(f"the file has no rows for {', '.join(sorted(absent))}", where=str(path))
    if has_control(called) or len(called) > 200 or set("\r\n\t") & set(called):
        raise UsageError(
            "the name of the method is not valid",
            where="--name",
            expected="plain text on one line, at most 200 characters",
        )
    by_amount = group_by_amount(rules, rows, calibration_data, path)
    if single and len(by_amount.wanted) > 1:
        amounts = ", ".join(amount.text for amount in by_amount.wanted if amount)
        raise UsageError(
            "the file contains several amounts of calibration data",
            where="calibration_data=",
            expected=f"one of {amounts}",
        )
    store = source.prepared(rules, 1, about.get("progress"))
    cohort = build_cohort(store, card, chosen, list(store.modalities), rules)
    own_data = source.pseudonymous
    if own_data is not None:
        renamed = {given: _use_pseudonyms(group, own_data, cohort) for given, group in by_amount.rows.items()}
        by_amount = RowsByAmount(renamed, by_amount.wanted)
    for group in by_amount.rows.values():
        _check_known(group, cohort, path, own_data.owners if own_data else {})
    file = PredictionsFile(path, sha, called, source, rules, cohort, by_amount)
    ready = [_read_amount(file, amount) for amount in by_amount.wanted]  # check all before scoring any
    return [write_scored_record(file, amount, about) for amount in ready]


@dataclass(frozen=True)
class PredictionsFile:
    """A checked file of predictions, and the data to score it with. `name`: of the method; `cohort`: all subjects."""

    path: Path
    sha: str
    name: str
    source: Source
    rules: Protocol
    cohort: Cohort
    by_amount: RowsByAmount


class PreparedRows(NamedTuple):
    """A file's rows with one amount of calibration data, as predictions. `cohort`: the subjects whom the file predicts;
    `submission`: that field of run.yaml; `absent`: comparison -> reason why it is missing."""

    given: Given | None
    cohort: Cohort
    predictions: Sequence[FoldPredictions]
    folds: Mapping[int, list[Fold]]
    submission: Mapping[str, Any]
    absent: Mapping[str, str]


def _read_amount(file: PredictionsFile, given: Given | None) -> PreparedRows:
    """Return the checked rows of a file with this calibration data, with their comparisons."""
    if given and file.cohort.slices:
        file.cohort.slices.check(given, file.cohort.card.name)
    rules, path, rows = file.rules, file.path, file.by_amount.rows[given]
    cohort, ignored = _restrict_to_predicted(file.cohort, rows)
    rows = [row for row in rows if row.subject not in ignored]
    subjects = {row.subject for row in rows}
    folds, own = _make_folds(rules, cohort, rows, path)
    if any(t.rule.cut == "training_mean" for t in cohort.targets) and not all(
        f.train for each in folds.values() for f in each
    ):
        raise UsageError(
            f"{rules.name} derives the threshold from training labels, but one fold tests all subjects",
            where="--protocol",
            expected="a protocol with fixed thresholds, or several folds",
        )

    def predict_folds(some: Sequence[SubmittedRow]) -> list[FoldPredictions]:
        predicted: list[FoldPredictions] = []
        for seed in folds:
            predicted += _make_fold_predictions(rules, cohort, some, seed, folds[seed], fitted=seed not in own)
        return predicted

    comparisons, absent = find_comparisons(file.by_amount, given)
    for some in comparisons.values():
        compared = [row for row in some if row.seed in folds and row.subject in subjects]
        compared_folds, _ = _make_folds(rules, cohort, compared, path)
        if any(compared_folds[seed] != folds[seed] for seed in compared_folds):
            raise DataError(
                "the fold of a test subject differs between amounts of calibration data",
                where=str(path),
                expected="the same folds for every amount of calibration data",
            )
    others = {name: predict_folds(some) for name, some in comparisons.items()}
    predictions = attach_comparisons(predict_folds(rows), others)
    submission = {
        "name": file.name,
        "file": path.name,
        "sha256": file.sha,
        "rows": len(rows),
        "folds": {str(seed): Reason.make("own_folds" if seed in own else "folds_of_protocol") for seed in folds},
        "missing": _count_missing(cohort, predictions),
        "ignored": ignored,
    }
    return PreparedRows(given, cohort, predictions, folds, submission, absent)


def _use_pseudonyms(rows: Sequence[SubmittedRow], own: Pseudonymous, cohort: Cohort) -> list[SubmittedRow]:
    """Return the rows with pseudonyms in place of the data owner's names."""
    subjects, recordings = set(own.owners), {entry.id for entry in cohort.store.recordings}
    subject_of = {name: own.to_pseudonym("subject", name, subjects) for name in {row.subject for row in rows}}
    names = {row.recording for row in rows}
    recording_of = {name: own.to_pseudonym("recording", name, recordings) for name in names}
    renamed = []
    for row in rows:
        subject, recording, unit = subject_of[row.subject], recording_of[row.recording], row.unit
        if unit.startswith(f"{row.recording}:"):
            unit = recording + unit.removeprefix(row.recording)
        renamed.append(row._replace(subject=subject, recording=recording, unit=unit))
    return renamed


def _check_known(rows: Sequence[SubmittedRow], cohort: Cohort, path: Path, owners: Mapping[str, str]) -> None:
    """Refuse subjects, recordings and units that the dataset does not have. `owners`: pseudonym -> original name."""
    units = {unit.id: unit for unit in cohort.units}
    subjects = {entry.subject for entry in cohort.store.recordings}
    recordings = {entry.id for entry in cohort.store.recordings}
    data, faults = cohort.card.name, Faults(path)
    for row in rows:
        if row.subject not in subjects:
            faults.add(
                f"rows name subjects that {data} does not have",
                row.line,
                row.subject,
                ", ".join(sorted(owners.get(s, s) for s in subjects)),
            )
        elif row.recording not in recordings:
            faults.add(f"rows name recordings that {data} does not have", row.line, row.recording)
        elif row.unit not in units:
            known = f"units such as {cohort.units[0].id}"
            faults.add(f"rows name units that {data} does not have", row.line, row.unit, known)
        elif (units[row.unit].subject, units[row.unit].recording) != (row.subject, row.recording):
            own = units[row.unit]
            example = f"{row.unit}, which belongs to {own.subject} and {own.recording}"
            faults.add("rows name units of another subject or recording", row.line, example)
    faults.check(hint=f"for a list of all units: embench data labels {data} --units FILE.csv")


def _restrict_to_predicted(cohort: Cohort, rows: Sequence[SubmittedRow]) -> tuple[Cohort, dict[str, Reason]]:
    """Return the cohort reduced to the file's subjects; and the subjects who cannot be scored, with reasons."""
    predicted = {row.subject for row in rows}
    reasons = {row["subject"]: row["reason"] for row in cohort.excluded}
    eligible = {cohort.units[i].subject for i in cohort.eligible}
    ignored = {subject: reasons.get(subject, Reason.make("no_unit")) for subject in sorted(predicted - eligible)}
    excluded = [row for row in cohort.excluded if row["subject"] not in predicted or row["subject"] in ignored]
    excluded += [{"subject": p, "reason": NOT_IN_FILE} for p in sorted(eligible - predicted - set(reasons))]
    positions = tuple(i for i in cohort.eligible if cohort.units[i].subject in predicted)
    if not positions:
        raise DataError("no subject in the file has a label", where=cohort.card.name)
    return replace(cohort, positions=positions, excluded=tuple(sorted(excluded, key=lambda r: r["subject"]))), ignored


def _make_folds(
    protocol: Protocol, cohort: Cohort, rows: Sequence[SubmittedRow], path: Path
) -> tuple[dict[int, list[Fold]], set[int]]:
    """Return seed -> folds, and the seeds whose folds come from the file; others have the protocol's partition."""
    folds: dict[int, list[Fold]] = {}
    own: set[int] = set()
    for seed in sorted({row.seed for row in rows}):
        seed_rows = [row for row in rows if row.seed == seed]
        without = [row.line for row in seed_rows if row.fold == NO_FOLD]
        if without and len(without) < len(seed_rows):
            raise DataError(
                f"{len(without)} rows of seed {seed} have no fold, but other rows do",
                where=f"{path}, lines {', '.join(map(str, without[:5]))}",
            )
        folds[seed] = cohort.folds(protocol, seed)
        tested = {unit: fold.index for fold in folds[seed] for unit in fold.test}
        _check_tested(protocol, cohort, seed_rows, tested, path)
        if not without and any(tested[row.unit] != row.fold for row in seed_rows):
            given = (GivenRow(row.unit, row.fold, row.line) for row in seed_rows)
            units = cohort.select_units(cohort.eligible)
            of_file = complete_folds(protocol, cohort.card.name, units, cohort.groups, given, seed=seed, file=str(path))
            folds[seed] = cohort.split_calibration(protocol, of_file)
            own.add(seed)
    return folds, own


def _check_tested(
    protocol: Protocol, cohort: Cohort, rows: Sequence[SubmittedRow], tested: Mapping[str, int], path: Path
) -> None:
    """Check that a fold tests each unit of the file, and that the file names this fold if only one fold is tested."""
    faults, place = Faults(path), {unit.id: i for i, unit in enumerate(cohort.units)}
    for row in rows:
        if row.unit not in tested:
            why = f"that {protocol.name} uses for training and does not test"
            if cohort.slices is not None:
                why = WHY_UNTESTED.get(find_use(cohort, place[row.unit]), why)
            faults.add(f"the file has rows for units {why}", row.line, row.unit)
        elif protocol.split.tests and row.fold not in (NO_FOLD, tested[row.unit]):
            faults.add(f"the fold differs from the fold of {protocol.name}", row.line, str(row.fold))
    faults.check(
        hint=("for a list of all units with their folds: embench data labels DATASET --protocol NAME --units FILE.csv")
    )


def _make_fold_predictions(
    protocol: Protocol, cohort: Cohort, rows: Sequence[SubmittedRow], seed: int, folds: Sequence[Fold], *, fitted: bool
) -> Iterable[FoldPredictions]:
    """Yield the file's predictions for each fold's test units, NaN where it has none.

    Args:
        fitted: True for the protocol's folds, whose training units are limited to subjects of the cohort.
    """
    position = {unit.id: i for i, unit in enumerate(cohort.units)}
    keep = set(cohort.positions)
    predicted = {(row.target, row.unit): row for row in rows if row.seed == seed}
    for fold in folds:
        index = [position[u] for u in fold.test if position[u] in keep]
        train = [i for u in fold.train if (i := position[u]) in keep or not fitted]
        for target in cohort.targets:
            found = [predicted.get((target.name, cohort.units[i].id)) for i in index]
            made = decide_rows(target, found, protocol)
            yield FoldPredictions(target, seed, fold.index, np.array(index, np.int64), tuple(train), *made)


def decide_rows(
    target: Target, rows: Sequence[SubmittedRow | None], protocol: Protocol
) -> tuple[np.ndarray, np.ndarray]:
    """Return the score (n,) or (n, K) and the decision (n,) of submitted rows, NaN where there is no row. A decision
    that a row states takes precedence over the one that follows from its scores."""
    nothing = (math.nan,) * len(target.columns)
    table = np.array([row.scores if row else nothing for row in rows], np.float64).reshape(len(rows), len(nothing))
    score, decision = decide(target, table, protocol)
    for k, row in enumerate(rows):
        if row is not None and row.decision is not None:
            decision[k] = row.decision
    return score, decision


def _count_missing(cohort: Cohort, predictions: Sequence[FoldPredictions]) -> dict[str, dict[str, Any]]:
    """Return target -> counts of missing predictions; empty if there are none. `units`: units that lack a prediction in
    some seed; `labelled`: those with a label; `subjects`: subject -> their number; `predictions`: missing predictions
    over all seeds."""
    units: dict[str, dict[int, bool]] = {}  # target -> unit -> whether it has a label
    lost: Counter[str] = Counter()
    for fold in predictions:
        absent = fold.units[~fold.predicted]
        labelled = np.isfinite(cohort.labels(fold.target, fold.train or ())[absent])
        lost[fold.target.name] += len(absent)
        known = units.setdefault(fold.target.name, {})
        for i, has_label in zip(absent.tolist(), labelled.tolist(), strict=True):
            known[i] = known.get(i, False) or has_label
    return {
        target: {
            "units": len(known),
            "labelled": sum(known.values()),
            "subjects": dict(sorted(Counter(cohort.units[i].subject for i in known).items())),
            "predictions": lost[target],
        }
        for target, known in units.items()
        if known
    }


def write_scored_record(file: PredictionsFile, prepared: PreparedRows, about: ScoreOptions) -> Result:
    """Score the predictions and write the record; the ledger is updated before labels are joined.

    Args:
        file: `file.cohort` has all units of the folds. `prepared`: its cohort has those that are tested."""
    given, cohort, predictions, folds, submission, absent = prepared
    protocol, full = file.rules, file.source.full_name
    units = file.cohort.select_units(file.cohort.eligible)
    tested = count_leaks(protocol, units, [fold for of_seed in folds.values() for fold in of_seed])
    files = file.source.files_digest(cohort.card)
    context = about.get("time_context", "offline")
    facts = evaluation.run_circumstances(full, cohort, protocol, tested, context, files=files, given=given)
    targets, amount = [t.name for t in cohort.targets], {} if given is None else {"calibration_data": given.text}
    method = digest([submission["name"], submission["sha256"], targets, *amount.values()])
    mark = digest([method, facts.dataset.fingerprint, facts.protocol.hash])[:10]
    run_id = f"submission-{re.sub(r'[^A-Za-z0-9_.]+', '-', submission['name'])}-{mark}"
    out, runs = about.get("out"), about.get("runs", LEDGER)
    if out and given and len(file.by_amount.wanted) > 1:
        out = out / given.text.replace(":", "-")
    folder = out or runs / name_without_package(full).replace("/", "-") / run_id
    _check_free(folder, run_id)
    opening = {"dataset": full, "protocol": protocol.name, "run": run_id, "method": method}
    data = file.source.raw_digest()
    looks = ledger.record_evaluations(out.parent if out else runs, data, cohort.store.key, opening, targets)
    content = Manifest(
        id=run_id,
        **facts.content(),
        method=MethodPart(encoders={}, fusion=None, pretrainers=[], modalities=[], submission=submission["name"]),
        submission={**submission, **({"windows": True} if about.get("windows") else {})},
        recipe=RecipePart(preset="submission", on_leaderboard=False, assumed=None, settings=[]),
        seeds=list(folds),
        pretraining_overlap="unknown",
        pretraining=[],
        dev=False,
        cost=CostPart(wall_seconds=None, parameters=None, flops=None, peak_memory_mb=None, device="unknown"),
        test_evaluations=dict(looks.test_evaluations),
        methods_evaluated=dict(looks.methods_evaluated),
        dev_evaluations=dict(looks.dev_evaluations),
        ledger=looks.chain,
        device="unknown",
        config={"dataset": full, "protocol": protocol.hash, "targets": targets, "seeds": list(folds), **amount},
    ).content()
    rows = evaluation.record_folds(replace(file.cohort, excluded=cohort.excluded), folds)
    rows = [*rows, *evaluation.excluded_rows(cohort, rows)]

    def write(scored: Evaluation) -> Result:
        record.write_record(folder, record.Record(content, scored.predictions, scored.labels, rows, scored.scores))
        return Result(run_id, folder, content, scored.scores)

    def first(scored: Evaluation) -> None:
        result, show = write(scored), about.get("on_scored")
        if show:
            show(result)

    analysis = ConfoundAnalysis(first, about.get("on_confounds"), about.get("placebo", False))
    confounds = analysis if about.get("confounds", True) else None
    scored = evaluation.score_predictions(
        predictions, cohort, protocol, about.get("on_fold"), proved=False, confounds=confounds, given=given,
        absent=absent,
    )  # fmt: skip
    return write(scored)


def _check_free(folder: Path, run_id: str) -> None:
    """Refuse a folder that contains another record; the same record may be written again."""
    if (folder / record.RUN_FILE).exists() and (held := record.read_manifest(folder).id) != run_id:
        raise UsageError(
            f"the folder contains another record, {held}",
            where=f"--out {folder}",
            hint="choose another --out; or delete the folder if you do not need that record",
        )


# The list of units for files of predictions.


def list_unit_rows(
    store: Store,
    card: Card,
    targets: Sequence[Target],
    protocol: Protocol,
    names: Mapping[str, OriginalName] | None = None,
) -> list[dict[str, Any]]:
    """Return the units of a dataset, one row per target and unit. A file of predictions must repeat `subject`,
    `recording`, `unit` and `target`; `start_s` and `stop_s` are times in the recording's signals; the label is blank if
    there is none. `fold_K` is the fold of partition K that tests the unit, or blank, for all partitions that a
    leaderboard requires. With calibration data, `use` says whether a unit is `calibration`, scored, or in the gap
    between, and `rank` is its position among the calibration units of its class.

    Args:
        names: recording -> its original name, for a table for the owner; default: pseudonyms.
    """
    rows = []
    for target in targets:
        if target.label not in store.label_kinds:
            continue
        cohort = build_cohort(store, card, (target,), None, protocol)
        seeds = seeds_taken("network", protocol.split.folds)[-1]
        if protocol.split.deal == "balanced":
            seeds = tuple(range(cohort.partitions(protocol)))
        tested = [{u: f.index for f in cohort.folds(protocol, seed) for u in f.test} for seed in seeds]
        groups = cohort.groups
        for i in cohort.eligible:
            unit, label = cohort.units[i], cohort.label[target.name][i]
            known = OriginalName(unit.recording, unit.subject, groups[unit.subject], unit.stimulus)
            called = names[unit.recording] if names else known
            rows.append(
                {
                    "subject": called.subject, "group": called.group, "recording": called.recording,
                    "stimulus": called.stimulus, "unit": called.recording + unit.id.removeprefix(unit.recording),
                    "start_s": unit.start, "stop_s": unit.stop,
                    "target": target.name, "label": "" if math.isnan(label) else f"{label:.9g}",
                    **_describe_use(cohort, i),
                    **{f"fold_{seed}": fold_of.get(unit.id, "") for seed, fold_of in zip(seeds, tested, strict=True)},
                }
            )  # fmt: skip
    return rows


def _describe_use(cohort: Cohort, i: int) -> dict[str, Any]:
    """Return `use` and `rank` of the unit at position `i`, see `list_unit_rows`; {} without calibration data."""
    if cohort.slices is None:
        return {}
    return {"use": find_use(cohort, i), "rank": int(cohort.slices.rank[i]) or ""}


def write_units(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the units as CSV. Raises UsageError if there are none, MachineError if the file cannot be written."""
    if not rows:
        raise UsageError("no unit has any of the targets, so the list is empty", where=str(path))
    with saving("the list of units", path):
        write_text(Path(path), format_csv(rows, list(rows[0])))
