"""Submissions, scored as a run is: the file is read, checked, joined with labels, and recorded.

Nothing here needs torch.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from embench.callbacks import ProgressCallback
from embench.data import find
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets
from embench.data.pseudonyms import OwnName, Pseudonymous
from embench.errors import DataError, UsageError
from embench.files import digest, saving, write_text
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.planning.request import Request
from embench.protocols import Fold, Protocol, load_current_protocol, protocol_deviations
from embench.protocols.given_folds import GivenRow, given_folds
from embench.records import ledger, record
from embench.records.context import TimeContext
from embench.records.manifest import CostPart, Manifest, MethodPart, RecipePart
from embench.records.seeds import seeds_taken
from embench.records.submission import NO_FOLD, Faults, SubmittedRow, read_submission
from embench.records.wording import name_without_package
from embench.statistics import evaluation
from embench.statistics.fold_predictions import FoldPredictions, decide
from embench.statistics.result import Result
from embench.store import Store
from embench.texts import has_control

LEDGER = Path("runs")
NOT_IN_FILE = "no prediction in the file"
"""Reason for leaving out a subject who has labels."""


def score(
    path: Path,
    dataset: str,
    *,
    name: str | None = None,
    protocol: str = Request.protocol,
    targets: str | None = None,
    time_context: TimeContext = "offline",
    data_root: Path | None = None,
    out: Path | None = None,
    runs: Path = LEDGER,
    progress: ProgressCallback | None = None,
    on_fold: ProgressCallback | None = None,
    on_seed: ProgressCallback | None = None,
) -> Result:
    """Scores a file of predictions under a protocol and writes a record like a run's.

    Args:
        name: what the method is called; by default as the file.
        targets: those to score, with commas between; by default all that the file has.
        time_context: which other units of a test session reached a prediction, as its author declares.
        out: the record's folder; by default one below `runs`, the folder of records. The ledger lies beside these.
        progress: called while the data are prepared. `on_fold`: called with (folds whose controls are fitted, folds in
            all, the target), which takes minutes on large data. `on_seed`: with (seeds whose nuisances are begun, seeds
            in all, the target), see `what_it_adds`.

    Raises:
        DataError: the file can't be read, or names what the dataset does not have. CheckFailed: its folds are not what
            the protocol declares. UsageError: names don't fit, or `out` holds another record.
    """
    rules = load_current_protocol(protocol)
    card = card_for_protocol(rules, find.card_of(dataset, data_root))
    rows, sha = read_submission(path, card)
    chosen = choose_targets(card, targets or ",".join(dict.fromkeys(row.target for row in rows)))
    names = {t.name for t in chosen}
    rows = [row for row in rows if row.target in names]
    if absent := names - {row.target for row in rows}:
        raise DataError(f"no rows for {', '.join(sorted(absent))}", where=str(path))
    store = find.prepared(dataset, data_root, rules, 1, progress)
    whole = build_cohort(store, card, chosen, list(store.modalities), rules)
    own_data = find.pseudonymous(dataset, data_root)
    if own_data is not None:
        rows = _under_pseudonyms(rows, own_data, whole)
    _check_known(rows, whole, path, own_data.owners if own_data else {})
    cohort, ignored = _restrict_to_predicted(whole, rows)
    rows = [row for row in rows if row.subject not in ignored]
    folds, own = _folds(rules, cohort, rows, path)
    if any(t.rule.cut == "training_mean" for t in chosen) and not all(f.train for each in folds.values() for f in each):
        raise UsageError(
            f"{rules.name} derives the cut from training labels, and one fold tests all subjects",
            where="--protocol",
            expected="a protocol whose cuts are fixed, or several folds",
        )
    predictions = [
        a for seed in folds for a in _fold_predictions(rules, cohort, rows, seed, folds[seed], fitted=seed not in own)
    ]
    called = name or path.name.split(".")[0]
    if has_control(called) or len(called) > 200 or set("\r\n\t") & set(called):
        raise UsageError(
            "this is no name of a method", where="--name", expected="plain text on one line, up to 200 letters"
        )
    submission = {
        "name": called,
        "file": path.name,
        "sha256": sha,
        "rows": len(rows),
        "folds": {str(seed): "the file's own" if seed in own else "the protocol's" for seed in folds},
        "missing": _missing(cohort, predictions),
        "ignored": ignored,
    }
    del rows  # of many lines, which scoring does not need
    return _write_record(
        dataset, data_root, cohort, rules, predictions, folds, submission, time_context, out, runs, on_fold, on_seed
    )


def units_table(
    store: Store,
    card: Card,
    targets: Sequence[Target],
    protocol: Protocol,
    names: Mapping[str, OwnName] | None = None,
) -> list[dict[str, Any]]:
    """Units to predict: a row for each target and unit, with what a file of predictions must repeat (`subject`,
    `recording`, `unit`, `target`), where to cut (`start_s`, `stop_s` of the recording's own signals), the label (blank
    where there is none), and under `fold_K` the fold of partition K that tests the unit (blank where none does), of all
    that a board takes.

    Args:
        names: recording -> what its owner calls it, and whose it is, for whom the table is then; else pseudonyms stay.
    """
    rows, seeds = [], seeds_taken(protocol.scoring, "network", protocol.split.folds)[-1]
    for target in targets:
        if target.label not in store.label_kinds:
            continue
        cohort = build_cohort(store, card, (target,), None, protocol)
        tested = [{u: f.index for f in cohort.folds(protocol, seed) for u in f.test} for seed in seeds]
        groups = cohort.groups
        for i in cohort.eligible:
            unit, label = cohort.units[i], cohort.label[target.name][i]
            known = OwnName(unit.recording, unit.subject, groups[unit.subject], unit.stimulus)
            called = names[unit.recording] if names else known
            rows.append(
                {
                    "subject": called.subject, "group": called.group, "recording": called.recording,
                    "stimulus": called.stimulus, "unit": called.recording + unit.id.removeprefix(unit.recording),
                    "start_s": unit.start, "stop_s": unit.stop,
                    "target": target.name, "label": "" if math.isnan(label) else f"{label:.9g}",
                    **{f"fold_{seed}": fold_of.get(unit.id, "") for seed, fold_of in zip(seeds, tested, strict=True)},
                }
            )  # fmt: skip
    return rows


def write_units(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises UsageError where there is nothing to write, MachineError where it can't be written."""
    if not rows:
        raise UsageError("no unit has any of the targets, so there is nothing to list", where=str(path))
    with saving("the list of units", path):
        write_text(Path(path), record.format_csv(rows, list(rows[0])))


def _under_pseudonyms(rows: Sequence[SubmittedRow], own: Pseudonymous, cohort: Cohort) -> list[SubmittedRow]:
    """The rows with pseudonyms in place of the names that the owner of the data has for them."""
    subjects, recordings = set(own.owners), {entry.id for entry in cohort.store.recordings}
    subject_of = {name: own.pseudonym_of("subject", name, subjects) for name in {row.subject for row in rows}}
    names = {row.recording for row in rows}
    recording_of = {name: own.pseudonym_of("recording", name, recordings) for name in names}
    made = []
    for row in rows:
        subject, recording, unit = subject_of[row.subject], recording_of[row.recording], row.unit
        if unit.startswith(f"{row.recording}:"):
            unit = recording + unit.removeprefix(row.recording)
        made.append(row._replace(subject=subject, recording=recording, unit=unit))
    return made


def _check_known(rows: Sequence[SubmittedRow], cohort: Cohort, path: Path, owners: Mapping[str, str]) -> None:
    """Refuses subjects, recordings and units that the dataset does not have. `owners`: pseudonym -> own name."""
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
            example = f"{row.unit}, which is of {own.subject} and {own.recording}"
            faults.add("rows name units of another subject or recording", row.line, example)
    faults.check(hint=f"embench data labels {data} --units FILE.csv lists all units")


def _restrict_to_predicted(cohort: Cohort, rows: Sequence[SubmittedRow]) -> tuple[Cohort, dict[str, str]]:
    """The cohort without subjects that the file does not have; and subjects who can't be scored, with the reason."""
    predicted = {row.subject for row in rows}
    reasons = {row["subject"]: row["reason"] for row in cohort.excluded}
    eligible = {cohort.units[i].subject for i in cohort.eligible}
    ignored = {subject: reasons.get(subject, "no unit") for subject in sorted(predicted - eligible)}
    excluded = [row for row in cohort.excluded if row["subject"] not in predicted or row["subject"] in ignored]
    excluded += [{"subject": p, "reason": NOT_IN_FILE} for p in sorted(eligible - predicted - set(reasons))]
    positions = tuple(i for i in cohort.eligible if cohort.units[i].subject in predicted)
    if not positions:
        raise DataError("no subject in the file has a label", where=cohort.card.name)
    return replace(cohort, positions=positions, excluded=tuple(sorted(excluded, key=lambda r: r["subject"]))), ignored


def _folds(
    protocol: Protocol, cohort: Cohort, rows: Sequence[SubmittedRow], path: Path
) -> tuple[dict[int, list[Fold]], set[int]]:
    """seed -> folds, and the seeds whose folds are the file's own: those of the protocol's partition where the file
    says none or the same."""
    folds: dict[int, list[Fold]] = {}
    own: set[int] = set()
    for seed in sorted({row.seed for row in rows}):
        of_seed = [row for row in rows if row.seed == seed]
        without = [row.line for row in of_seed if row.fold == NO_FOLD]
        if without and len(without) < len(of_seed):
            raise DataError(
                f"{len(without)} rows of seed {seed} have no fold, but others do",
                where=f"{path}, lines {', '.join(map(str, without[:5]))}",
            )
        folds[seed] = cohort.folds(protocol, seed)
        tested = {unit: fold.index for fold in folds[seed] for unit in fold.test}
        _check_tested(protocol, of_seed, tested, path)
        if not without and any(tested[row.unit] != row.fold for row in of_seed):
            given = (GivenRow(row.unit, row.fold, row.line) for row in of_seed)
            units = cohort.of(cohort.eligible)
            folds[seed] = given_folds(
                protocol, cohort.card.name, units, cohort.groups, given, seed=seed, file=str(path)
            )
            own.add(seed)
    return folds, own


def _check_tested(protocol: Protocol, rows: Sequence[SubmittedRow], tested: Mapping[str, int], path: Path) -> None:
    """Refuses units that no fold tests, and folds of the file's own where one alone is tested."""
    faults = Faults(path)
    for row in rows:
        if row.unit not in tested:
            faults.add(f"rows are of units that {protocol.name} trains on and does not test", row.line, row.unit)
        elif protocol.split.tests and row.fold not in (NO_FOLD, tested[row.unit]):
            faults.add(f"rows are of another fold than {protocol.name} has", row.line, str(row.fold))
    faults.check(hint="embench data labels DATASET --protocol NAME --units FILE.csv lists all units with their folds")


def _fold_predictions(
    protocol: Protocol, cohort: Cohort, rows: Sequence[SubmittedRow], seed: int, folds: Sequence[Fold], *, fitted: bool
) -> Iterable[FoldPredictions]:
    """The file's predictions for each fold's test units, NaN where it has none.

    Args:
        fitted: whether the folds are the protocol's, whose training part is that of a run: subjects of the cohort.
    """
    position = {unit.id: i for i, unit in enumerate(cohort.units)}
    keep = set(cohort.positions)
    predicted = {(row.target, row.unit): row for row in rows if row.seed == seed}
    names = {name for name, _ in predicted} if protocol.scoring != 3 else {t.name for t in cohort.targets}
    targets = [t for t in cohort.targets if t.name in names]
    for fold in folds:
        index = [position[u] for u in fold.test if position[u] in keep]
        train = [i for u in fold.train if (i := position[u]) in keep or not fitted]
        for target in targets:
            found = [predicted.get((target.name, cohort.units[i].id)) for i in index]
            nothing = (math.nan,) * len(target.columns)
            table = np.array([row.scores if row else nothing for row in found]).reshape(len(index), len(nothing))
            score, decision = decide(target, table, protocol)
            for k, row in enumerate(found):
                if row is not None and row.decision is not None:
                    decision[k] = row.decision
            yield FoldPredictions(target, seed, fold.index, np.array(index, np.int64), tuple(train), score, decision)


def _missing(cohort: Cohort, predictions: Sequence[FoldPredictions]) -> dict[str, dict[str, Any]]:
    """target -> how many units of its subjects have no prediction in some seed, how many of these have a label, subject
    -> how many, and how many predictions these are over all seeds; none where nothing is missing."""
    units: dict[str, dict[int, bool]] = {}  # target -> unit -> whether it has a label
    lost: Counter[str] = Counter()
    for of_fold in predictions:
        absent = of_fold.units[~of_fold.predicted]
        labelled = np.isfinite(cohort.labels(of_fold.target, of_fold.train or ())[absent])
        lost[of_fold.target.name] += len(absent)
        known = units.setdefault(of_fold.target.name, {})
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


def _write_record(
    dataset: str,
    data_root: Path | None,
    cohort: Cohort,
    protocol: Protocol,
    predictions: Sequence[FoldPredictions],
    folds: Mapping[int, list[Fold]],
    submission: Mapping[str, Any],
    time_context: TimeContext,
    out: Path | None,
    runs: Path,
    on_fold: ProgressCallback | None,
    on_seed: ProgressCallback | None,
) -> Result:
    """Scores the predictions and writes the record; the ledger knows of it before the labels are joined."""
    units = [cohort.units[i] for i in cohort.eligible]
    tested = protocol_deviations(protocol, units, [fold for of_seed in folds.values() for fold in of_seed])
    full = find.full_name(dataset, data_root)
    files = find.files_digest(dataset, data_root, cohort.card)
    facts = evaluation.run_circumstances(full, cohort, protocol, tested, time_context, files=files)
    targets = [t.name for t in cohort.targets]
    method = digest([submission["name"], submission["sha256"], targets])
    mark = digest([method, facts.dataset.fingerprint, facts.protocol.hash])[:10]
    run_id = f"outside-{re.sub(r'[^A-Za-z0-9_.]+', '-', submission['name'])}-{mark}"
    folder = out or runs / name_without_package(full).replace("/", "-") / run_id
    _check_free(folder, run_id)
    opening = {"dataset": full, "protocol": protocol.name, "run": run_id, "method": method}
    data = find.raw_digest_of(dataset, data_root)
    looks = ledger.record_openings(out.parent if out else runs, data, cohort.store.key, opening, targets)
    evaluated = evaluation.score_predictions(predictions, cohort, protocol, on_fold, proved=False, held=on_seed)
    content = Manifest(
        id=run_id,
        **facts.content(),
        method=MethodPart(encoders={}, fusion=None, pretrainers=[], modalities=[], outside=submission["name"]),
        outside=dict(submission),
        recipe=RecipePart(preset="outside", on_board=False, assumed=[], settings=[]),
        seeds=list(folds),
        pretrain_overlap="unknown",
        pretraining=[],
        dev=False,
        cost=CostPart(wall_s=None, parameters=None, flops=None, peak_memory_mb=None, energy_j=None, device="unknown"),
        test_looks=dict(looks.openings),
        tried=dict(looks.tried),
        dev_looks=dict(looks.dev),
        ledger=looks.chain,
        device="unknown",
        config={"dataset": full, "protocol": protocol.hash, "targets": targets, "seeds": list(folds)},
    ).content()
    rows = evaluation.record_folds(cohort, folds)
    rows = [*rows, *evaluation.excluded_rows(cohort, rows)]
    record.write_record(folder, record.Record(content, evaluated.predictions, evaluated.labels, rows, evaluated.scores))
    return Result(run_id, folder, content, evaluated.scores)


def _check_free(folder: Path, run_id: str) -> None:
    """Refuses a folder that holds another record; the same one may be made again."""
    if (folder / record.RUN_FILE).exists() and (held := record.read_manifest(folder).id) != run_id:
        raise UsageError(
            f"the folder holds another record, {held}",
            where=f"--out {folder}",
            hint="choose another --out; or delete the folder, if nobody needs that record",
        )
