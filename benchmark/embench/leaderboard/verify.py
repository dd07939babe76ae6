"""Checks that published entries are consistent with their own predictions, labels, folds and audit."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

import embench
from embench import registry
from embench.data.cohort import Cohort, card_for_protocol, label_rules
from embench.errors import CheckFailed, DataError, UsageError
from embench.files import cache_root, cached_call, digest, read_text, saving
from embench.interfaces.metric import Undefined
from embench.interfaces.units import View
from embench.leaderboard.columns import EntrySummary
from embench.leaderboard.entries import SUMMANDS_FILE, read_summands
from embench.protocols import (
    CALIBRATION_ONLY,
    MADE_BY_METHOD,
    Protocol,
    find_access,
    load_protocol,
    protocol_names,
    recorded_given,
    recorded_protocol,
)
from embench.reasons import Reason, read_reason
from embench.records import find_time_context
from embench.records.audit import AUDIT_FILE, VERSION, read_audit
from embench.records.findings import SEVERITIES, find_wrong_field
from embench.records.manifest import OVERLAP_OF, Manifest, Overlap
from embench.records.predictions import ANY_SEED, MODEL, UNPREDICTED, Labels, Predictions
from embench.records.record import Record, digests_of, read_record
from embench.records.scores import ABSENT, NUISANCES_DIFFER, TOLERANCE, Difference, Scores, differences
from embench.records.wording import name_without_package
from embench.statistics import SCORING_REVISION, evaluation
from embench.statistics.gains import primary_metric_summands
from embench.statistics.joined import recorded_targets, unit_length
from embench.statistics.scores import compute_scores
from embench.system import ProgressCallback
from embench.vocabulary import FORMULA, iterate_texts


def find_wrong_calibration_data(record: Record) -> Iterator[str]:
    """Yield a message for each contradiction between the recorded calibration data and the rest of the record."""
    run, given = record.run, recorded_given(record.run.get("calibration_data"))
    protocol, name = recorded_protocol(run["protocol"]), run["protocol"]["name"]
    if (given is not None) != (protocol is not None and protocol.requests_calibration):
        fault = f"{given.text}, which {name} does not ask" if given else f"not said, which {name} asks"
        yield f"run.yaml: calibration_data: {fault}"
    compared_with = set(MADE_BY_METHOD) & record.scores["confound_only"].keys()
    if compared_with and (protocol is None or protocol.personal is None):
        yield f"scores.json: confound_only.{min(compared_with)}: nobody gives anything under {name}"
    if given is None:
        return
    expected = {*given.without(), *([CALIBRATION_ONLY] if given.labelled and given.units else [])}
    is_submission = run["method"].get("submission") is not None  # may be compared with less
    if compared_with - expected or (expected - compared_with and not is_submission):
        names = ", ".join(sorted(compared_with)) or "nothing"
        yield f"run.yaml: calibration_data: {given.text}, but the method is compared with {names}"
    if not is_submission and (configured := run["config"].get("calibration_data")) != given.text:
        yield f"run.yaml: calibration_data: {given.text}, but config.calibration_data is {configured}"


# Checks that an entry predicts every labelled unit of its test subjects: an omitted unit cannot be wrong.


def find_missed_units(record: Record, labels: Labels) -> dict[str, set[str]]:
    """Return target -> labelled units of tested subjects that are neither predicted nor counted as unpredicted. Entries
    with the same rows, labels and folds share the result within a snapshot."""
    key = find_missed_units, record.predictions.own.content("target", "seed", "unit"), labels, record.folds
    return cached_call(key, partial(_find_missed_units, record, labels))


def _find_missed_units(record: Record, labels: Labels) -> dict[str, set[str]]:
    tested: defaultdict[str, set[int]] = defaultdict(set)
    for row in record.folds:
        if row["role"] == "test":
            tested[str(row["subject"])].add(int(row["seed"]))
    rows, seeds_of = record.predictions.own, {seed: 1 << i for i, seed in enumerate(set().union(*tested.values()))}
    needed = {subject: sum(map(seeds_of.__getitem__, seeds)) for subject, seeds in tested.items()}
    answered = dict[tuple[str, str], int]()  # (target, unit) -> the bits of the seeds in which it is answered
    for target, seed in rows.distinct("target", "seed"):
        units = rows.take(rows.rows_with(target=target) & (rows["seed"] == seed)).texts("unit").names
        for unit in units.tolist():
            answered[target, unit] = answered.get((target, unit), 0) | seeds_of.get(seed, 0)
    missed: defaultdict[str, set[str]] = defaultdict(set)
    known = np.flatnonzero(np.isfinite(labels["label"]))
    columns = (labels[name][known].tolist() for name in ("target", "seed", "subject", "unit"))
    for target, seed, subject, unit in zip(*columns, strict=True):
        seeds = needed.get(subject, 0) & (-1 if seed == ANY_SEED else seeds_of.get(seed, 0))
        if seeds & ~answered.get((target, unit), 0):
            missed[target].add(unit)
    return missed


def find_wrong_coverage(record: Record, labels: Labels) -> Iterator[str]:
    """Yield messages on targets with missed units, and on targets whose recorded coverage differs from the rows."""
    for target, units in find_missed_units(record, labels).items():
        yield f"predictions: {len(units)} labelled units of {target} lack one, such as {min(units)}"
    recorded = record.scores.get("coverage", {})
    for target, coverage in _compute_coverage(record, labels).items() if recorded else ():
        if not abs(coverage - recorded.get(target, math.nan)) <= TOLERANCE:
            yield f"scores.json: coverage.{target}: {recorded.get(target)}, but it follows {coverage:.6g}"


def _compute_coverage(record: Record, labels: Labels) -> dict[str, float]:
    """Return target -> proportion of labelled units that are predicted, over all seeds. Within a snapshot, entries with
    the same rows and labels share the result."""
    rows, targets = record.predictions.own, tuple(record.run["targets"])
    key = _compute_coverage, rows.content("method", "target", "seed", "unit"), labels, targets
    return cached_call(key, partial(_compute_coverage_of, rows, labels, targets))


def _compute_coverage_of(rows: Predictions, labels: Labels, targets: Iterable[str]) -> dict[str, float]:
    found = {}
    known = np.isfinite(labels["label"])
    names = zip(*(labels[name][known].tolist() for name in ("target", "seed", "unit")), strict=True)
    labelled = {(target, unit, seed) for target, seed, unit in names}
    for target in targets:
        model, missing = (rows.take(rows.rows_with(method=name, target=target)) for name in (MODEL, UNPREDICTED))
        units = model.texts("unit")
        answered = 0
        for seed in np.unique(model["seed"]).tolist():
            has_label = [bool({(target, unit, seed), (target, unit, ANY_SEED)} & labelled) for unit in units.names]
            answered += int(np.array(has_label, bool)[units.code[model["seed"] == seed]].sum())
        if answered or len(missing):
            found[target] = answered / (answered + len(missing))
    return found


# Scores of a published entry, recomputed from its own predictions and labels.

FROM_DATA = ("absent", "cuts", "coverage", "adjusted", "enough_data")
"""Parts of `scores.json` that only the dataset can confirm: unpredicted units, cuts fitted on training labels, coverage
of units, the association given time and movement, and the conditions for enough comparisons."""


def recompute(record: Record, cohort: Cohort | None = None) -> Scores:
    """Recompute the whole `scores.json`, with `folds`. The parts `FROM_DATA` are copied from the record, and so are the
    reasons why a confound-only model does not apply. Nothing is trained, and only metric plugins are loaded.

    Args:
        cohort: the record's subjects in the data; None to use only the record.

    Raises:
        CheckFailed: the record has no labels. DataError: its parts do not fit together. UsageError: its protocol is not
            known.
    """
    run, predictions = record.manifest, record.predictions
    if record.labels is None:
        raise CheckFailed("the entry has no labels, so only a holder of the data can score it", where=run.id)
    if cohort is not None:
        facts = {**evaluation.study_facts(cohort), "groups": {**cohort.groups, **record.groups}}
    else:
        facts = {
            "targets": recorded_targets(record),
            "design": run.cohort.design or "free",
            "groups": record.groups,
            "unit_length_s": {
                t: unit_length(predictions.take(predictions.rows_with(target=t)).texts("unit").names)
                for t in run.targets
            },
            "sessions": record.sessions,
        }
    reasons = _list_recorded_reasons(record)
    scores = compute_scores(predictions, record.labels, protocol=resolve_protocol(run), not_applicable=reasons, **facts)
    return Scores({**scores, **{name: record.scores[name] for name in FROM_DATA if name in record.scores}})


def resolve_protocol(run: Manifest) -> Protocol:
    """Return the published rules of a run's protocol, else those in its record. Raises UsageError if there are none."""
    recorded = None if run.protocol.name in protocol_names() else recorded_protocol(run.protocol.content())
    return recorded or load_protocol(run.protocol.name)


def _list_recorded_reasons(record: Record) -> dict[str, dict[str, Reason]]:
    """Return target -> confound-only model -> why it does not apply, for models without predictions."""
    predictions, reasons = record.predictions, dict[str, dict[str, Reason]]()
    predicted = set(predictions.distinct("method", "target"))
    for control, targets in record.scores["confound_only"].items():
        for target, scored in targets.items():
            if (control, target) not in predicted and "undefined" in scored:
                reasons.setdefault(target, {})[control] = read_reason(scored["undefined"])
    return reasons


# Checks that an entry's audit belongs to it and contains only findings of audits.
#
# Anybody can write and seal an `audit.json`, so its content is compared with the entry's own files. The audit itself is
# not repeated, since that needs the data.

_FIELDS = frozenset({"version", "run", "digests", "counts", "findings", "measured", "skipped"})
_OF_FINDING = frozenset({"check", "severity", "id", "evidence"})
_PLAIN = re.compile(r"(?!.*//)[\w .,:;'()\[\]%+/-]{0,300}")
"""Pattern of texts in evidence and measurements: names, and reasons why a number is undefined."""
MANY_METHODS, MISCALIBRATED, UNBALANCED = 20, 0.1, 0.02
"""Thresholds of the findings of the checks `validation`, `calibration` and `balance`. The last one limits the part of a
matched score that may be due to which of two subjects is later in the session."""


def find_wrong_audit(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Yield messages on an audit's unknown fields, severe findings, and contradictions to the entry."""
    version, findings = audit["version"], audit["findings"]
    if type(version) is not int or version != VERSION:
        later = f"expected {VERSION}; update embench, or audit again"
        yield f"{AUDIT_FILE}: version: {str(version)[:20]} is none that is known here, {later}"
        return
    if audit.get("run") != run.id:
        yield f"{AUDIT_FILE}: it is of another run, {audit.get('run')}"
    for name in sorted(audit.keys() - _FIELDS):
        yield f"{AUDIT_FILE}: {name}: audits have no such field"
    for severity in SEVERITIES:
        if audit["counts"].get(severity) != sum(f["severity"] == severity for f in findings):
            yield f"{AUDIT_FILE}: counts.{severity} is not the number of {severity} findings"
    for i, finding in enumerate(findings):
        yield from _wrong_finding(finding, f"findings.{i}")
    for field, text in iterate_texts(audit.get("measured", {}), "measured"):
        if not _PLAIN.fullmatch(text):
            yield f"{AUDIT_FILE}: {field}: `{text[:40]}` is not a text that a check measures"
    yield from _wrong_reasons(audit.get("skipped", {}))
    if run.card.labels_public == "yes":
        yield from _find_omitted_checks(audit, run, scores)
    if audit.get("measured"):
        yield from _wrong_figures(audit, run, scores)
    if severe := [str(f["check"]) for f in findings if f["severity"] == "severe"]:
        yield f"{AUDIT_FILE}: severe findings: {', '.join(severe)}"


def _wrong_finding(finding: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield a message for each invalid field of a finding; `place`: path of the finding in audit.json."""
    if more := sorted(finding.keys() ^ _OF_FINDING):
        yield f"{AUDIT_FILE}: {place}.{more[0]}: expected the fields {', '.join(sorted(_OF_FINDING))}"
        return
    for field, text in iterate_texts(finding["evidence"], f"{place}.evidence"):
        if not _PLAIN.fullmatch(text):
            yield f"{AUDIT_FILE}: {field}: `{text[:40]}` is not a text that a check measures"
    if wrong := find_wrong_field(finding):
        yield f"{AUDIT_FILE}: {place}.{wrong}: not what the check {str(finding['check'])[:40]} writes"


def _wrong_reasons(skipped: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each check that was skipped for an invalid reason."""
    for check, reasons in skipped.items():
        try:
            [Reason.read(reason) for reason in reasons]
        except ValueError as error:
            yield f"{AUDIT_FILE}: skipped.{str(check)[:40]}: {error}"


def _find_omitted_checks(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Yield a message for each check that applies to every entry with labels, but is missing from the audit."""
    measured = audit.get("measured", {})
    for check in _ALWAYS - measured.keys():
        yield f"{AUDIT_FILE}: measured: the check {check} is missing, which every audit makes; audit the run again"
    for target in (rule.name for rule in run.card.label_rules if rule.kind == "binary"):
        if scores.get_score(target, "ece") and target not in measured.get("calibration", {}):
            yield f"{AUDIT_FILE}: measured.calibration: {target} is missing, which has an ece; audit the run again"


_ALWAYS = frozenset({"access", "scores", "statements", "validation"})

_SCORES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "calibration": {"ece": ("ece", "mean"), "low": ("ece", "low")},
    "balance": {"matched": ("auroc_crossed_matched", "mean"), "balanced": ("auroc_crossed_balanced", "mean")},
}
"""Check of the audit -> name of a figure -> (metric, field) of the score that must have the same value."""


def _wrong_figures(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Yield a message for each figure of the audit that differs from scores.json or run.yaml."""
    measured = audit["measured"]
    for check in ("labels", "scores", "statements"):
        if differ := measured.get(check, {}).get("differ"):
            yield f"{AUDIT_FILE}: measured.{check}.differ: {differ}, but of an entry nothing may differ"
    for check, names in _SCORES.items():
        for target, figures in measured.get(check, {}).items():
            for name, (metric, part) in names.items():
                known = getattr(scores.get_score(target, metric), part, None)
                if not _are_equal(figures[name], known):
                    place = f"measured.{check}.{target}.{name}"
                    yield f"{AUDIT_FILE}: {place}: {figures[name]}, but the {metric} of this entry is {known}"
    for target in measured.get("confound_only", {}).keys() & scores.primary_metrics.keys():
        figures, adjusted = measured["confound_only"][target], scores.get_adjusted(target)
        at = adjusted and adjusted.decides
        if (
            not at
            or figures["associated"] != at.associated
            or not abs(figures["partial_r"]["mean"] - at.partial_r.mean) <= NUISANCES_DIFFER
        ):
            yield f"{AUDIT_FILE}: measured.confound_only.{target}: not what the confound analysis of this entry gives"
    counted = {name: run.most_of(name) for name in ("methods_evaluated", "test_evaluations")}
    for name, count in measured.get("validation", {}).items():
        if name in counted and count != counted[name]:
            yield f"{AUDIT_FILE}: measured.validation.{name}: {count}, but run.yaml counts {counted[name]}"
    yield from _wrong_findings(audit)


def _are_equal(measured: float | None, known: float | None) -> bool:
    return measured is known is None or (known is not None and abs((measured or 0) - known) <= TOLERANCE)


def _wrong_findings(audit: Mapping[str, Any]) -> Iterator[str]:
    """Yield messages on checks whose figures imply another number of findings, and on findings with wrong evidence."""
    measured, findings = audit["measured"], audit["findings"]
    calibration, balance = (measured.get(check, {}).values() for check in _SCORES)
    confound_only = measured.get("confound_only", {})
    analysed = [row for row in confound_only.values() if isinstance(row, Mapping)]
    expected = {
        "calibration": sum((row["low"] or 0) - row["expected_by_chance"] > MISCALIBRATED for row in calibration),
        "balance": sum(row["matched"] - row["balanced"] > UNBALANCED for row in balance),
        "confound_only": any(row.get("associated") is False for row in analysed),
        "validation": measured.get("validation", {}).get("methods_evaluated", 0) > MANY_METHODS,
    }
    for check, count in expected.items():
        of_check = [f for f in findings if f["check"] == check]
        found = {
            "confound_only": bool(of_check),
            "validation": any("methods_evaluated" in f["evidence"] for f in of_check),
        }.get(check, len(of_check))
        if found != count:
            yield f"{AUDIT_FILE}: measured.{check}: {count:d} findings follow from it, but there are {found:d}"
    for i, finding in enumerate(findings):
        for field in _other_evidence(finding, measured.get(finding["check"], {})):
            yield f"{AUDIT_FILE}: findings.{i}.evidence.{field}: not what the check {finding['check']} measured"


def _other_evidence(finding: Mapping[str, Any], figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a finding's evidence that differ from the `figures` of its check, although they must not."""
    evidence = finding["evidence"]
    if finding["id"] == "not_associated":
        for target, stated in evidence.get("targets", {}).items():
            known = figures[target]["partial_r"]
            if [stated[f"{end}partial_r"] for end in _ENDS] != [known[name] for name in _ENDS.values()]:
                yield f"targets.{target}"
    elif finding["check"] in _SAME_FIGURES:
        known = figures.get(evidence.get("target"), {}) if "target" in evidence else figures
        names = [name for name in evidence if name != "target"]
        yield from (name for name in names if name in known and evidence[name] != known[name])
        yield from (name for name in names if name not in known)


_ENDS = {"": "mean", "low_of_": "low", "high_of_": "high"}
_SAME_FIGURES = frozenset({"calibration", "balance", "collapse", "validation", "suspicious"})
"""Checks whose evidence repeats their figures; if the evidence names a target, the figures of this target."""


def find_wrong_digests(audit: Mapping[str, Any], record: Record) -> list[str] | Undefined:
    """Return a message for each digest in an audit that does not match the entry's files. Return `Undefined` if all
    match but another version of the audits' code made it."""
    stated, actual = audit.get("digests"), digests_of(record)
    if not isinstance(stated, Mapping):
        return [f"{AUDIT_FILE}: digests: missing, so that it is bound to no files; audit the run again"]
    wrong = [
        f"{AUDIT_FILE}: digests.{name}: the audit is of other {name} than the entry contains; audit the run again"
        for name in sorted(actual)
        if stated.get(name) != actual[name]
    ]
    unknown = sorted(stated.keys() - {*actual, "code"})
    wrong += [f"{AUDIT_FILE}: digests.{name}: audits name no such digest" for name in unknown]
    if not wrong and stated.get("code") != hash_audit_code():
        return Undefined("the audit is of these files, but was made by other code of embench's audits than is here")
    return wrong


@cache
def hash_audit_code() -> str:
    """Return a digest of the source of audits, the same on every machine."""
    folder, digest = Path(__file__).parents[1] / "audits", hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n{read_text(path)}\n".encode())
    return digest.hexdigest()[:32]


# All checks of an entry. They train nothing and read no data; the audit covers what needs another run or the data.

MOST_NAMED = 3
"""Maximum number of differences that a message names."""
ANOTHER_REVISION = 0.005
"""Largest allowed difference to a score that was computed by an earlier revision."""

_OF_A_VIEW = {field.name for field in fields(View)}


def verify_entries(entries: Iterable[EntrySummary], progress: ProgressCallback | None = None) -> None:
    """Recompute the scores of all entries with public labels, and check the statements of all entries. An entry that
    passed is not checked again, and not counted in the progress, until its content or the verifying code changes.

    Raises:
        CheckFailed: a statement is wrong; the message names file and field. DataError: an entry cannot be read.
    """
    verifier = _compute_verifier_digest()
    marks = [(entry, cache_root() / "verified" / digest([entry.content, verifier])) for entry in entries]
    new = [(entry, mark) for entry, mark in marks if not mark.is_file()]
    for i, (entry, mark) in enumerate(new, 1):
        if found := _list_faults(entry.folder):
            raise CheckFailed(
                f"the entry does not follow from its own files: {join_first(found)}",
                where=str(entry.folder),
                expected="an entry as `embench leaderboard build --from RUNS` writes it, unchanged",
                hint="publish the run again",
            )
        with saving("the cache", mark):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        if progress is not None:
            progress(i, len(new), entry.id)


def join_first(messages: Sequence[str]) -> str:
    """Return the first `MOST_NAMED` messages as one text, with the number of the others."""
    more = f"; and {len(messages) - MOST_NAMED} more" if len(messages) > MOST_NAMED else ""
    return "; ".join(messages[:MOST_NAMED]) + more


def _list_faults(folder: Path) -> list[str]:
    """Return each wrong statement of the entry in `folder`, with its file and field."""
    try:
        record = read_record(folder)
        found = [*find_wrong_fields(record), *find_wrong_parts(record), *find_wrong_statements(record)]
        found += _wrong_audit(record, folder)
        if record.labels is not None:
            found += [*find_wrong_score_file(record), *find_wrong_summands(folder, record)]
        return found
    except DataError as error:  # raised by the statistics, which know columns but no files
        if str(folder.parent.parent) in (error.where or ""):
            raise
        where = f"{folder}: {error.where}" if error.where else str(folder)
        raise DataError(error.what, where=where, expected=error.expected, hint=error.hint) from error


def find_wrong_score_file(record: Record) -> Iterator[str]:
    """Yield a message for each score that does not follow from the record's predictions and labels."""
    for difference in find_wrong_scores(record, recompute(record)):
        yield f"scores.json: {difference}"
    if not (scored_by_this_revision(record) or record.manifest.protocol.leaks):
        yield f"run.yaml: scoring.revision: an earlier one than {SCORING_REVISION}, which the ranked entries have"


def find_wrong_parts(record: Record) -> Iterator[str]:
    """Yield messages on surplus and missing parts of a record. Scores by metrics of other packages are surplus. If the
    labels are public, the labels, the coverage and the confound analysis are required."""
    run, metrics = record.manifest, _get_scoring(record).get("metrics", {})
    for name in sorted(metrics.keys() - set(record.scores.primary_metrics.values())):
        if not metrics[name].startswith(f"{registry.BUNDLED} "):
            yield f"run.yaml: scoring.metrics: {name} is of another package, whose scores no entry contains"
    if run.card.labels_public != "yes":
        return
    if record.labels is None:
        yield "labels: they are public, and the entry contains none"
    protocol = recorded_protocol(record.run["protocol"])
    if protocol is None or run.protocol.leaks:
        return
    if any(record.scores.get_adjusted(target) is None for target in record.scores.primary_metrics):
        yield "scores.json: adds: the confound analysis was not run; run or score it without `--no-confounds`"
    if "coverage" not in record.scores:
        yield "scores.json: coverage: missing"


def find_wrong_statements(record: Record) -> Iterator[str]:
    """Yield a message for each statement that contradicts the rest of the record, the card or the published rules."""
    run = record.run
    yield from (*find_wrong_version(run), *find_wrong_card(run), *find_wrong_rules(run), *find_wrong_method(run))
    yield from (*find_wrong_calibration_data(record), *find_wrong_design(record), *find_wrong_folds(record))


def _wrong_audit(record: Record, folder: Path) -> Iterator[str]:
    """Yield a message for each fault of an entry's audit, if it has one."""
    audit = read_audit(folder)
    if audit is None:
        return
    try:
        bound = find_wrong_digests(audit, record)
        found = [
            *find_wrong_audit(audit, record.manifest, record.scores),
            *([] if isinstance(bound, Undefined) else bound),
        ]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # not written by embench
        found = [f"{AUDIT_FILE}: a field is missing or is not what embench writes: {type(error).__name__}: {error}"]
    yield from found


def find_wrong_fields(record: Record) -> Iterator[str]:
    """Yield messages on unknown fields of run.yaml, texts that a spreadsheet would run, and impossible counts. Test
    labels were evaluated at least once, and there are at most as many methods as evaluations."""
    run = record.manifest
    for field in run.unknown_fields():
        yield f"run.yaml: {field}: embench writes no such field; take run.yaml as the run wrote it"
    evaluations, methods = (_split_by_target(counted, run) for counted in (run.test_evaluations, run.methods_evaluated))
    for name, counted in {"test_evaluations": evaluations, "methods_evaluated": methods}.items():
        if counted.keys() ^ set(run.targets):
            yield f"run.yaml: {name}: it counts {', '.join(counted) or 'nothing'}, not the targets that were scored"
        for target, count in counted.items():
            if count is not None and count < 1:
                yield f"run.yaml: {name}.{target}: {count}, but the entry has scores, so that labels were used"
    for target in evaluations.keys() & methods.keys():
        if (most := evaluations[target]) is not None and (methods[target] or 0) > most:
            what = f"{methods[target]} methods, more than the {most} test-set evaluations"
            yield f"run.yaml: methods_evaluated.{target}: {what}"
    yield from _wrong_words(run)
    for field, text in iterate_texts({name: part for name, part in record.run.items() if name not in _IN_NO_TABLE}):
        if text.startswith(FORMULA):
            yield f"run.yaml: {field}: a spreadsheet would run `{text[:30]}`; expected no = + - or @ before a text"


def _wrong_words(run: Manifest) -> Iterator[str]:
    """Yield a message for each wrong field of run.yaml among those that decide with which entries the run is compared.
    A field is wrong if no run writes it so, or if it contradicts the request."""
    config, request = run.config, run.config.get("request")
    count, share, other = (config.get(name) for name in ("label_subjects", "label_fraction", "train_dataset"))
    requested = _format_request_limits(request or {})
    as_written = {
        "config.label_subjects": count is None or (type(count) is int and count > 0),
        "config.label_fraction": share is None or (type(share) is float and 0 < share < 1),
        "config.train_dataset": other is None or (other != run.dataset.name and "/" in str(other)),
        "dataset.name": "/" in run.dataset.name,
        "targets": len(set(run.targets)) == len(run.targets),
        "config.dataset": config.get("dataset", run.dataset.name) == run.dataset.name,
        "config.targets": config.get("targets", run.targets) == run.targets,
        "config.protocol": config.get("protocol", run.protocol.hash) == run.protocol.hash,
    }
    if request is not None:
        as_written["config.label_subjects"] &= str(count) == requested["label_subjects"]
        as_written["config.label_fraction"] &= str(share) == requested["label_fraction"]
        as_written["config.train_dataset"] &= (
            str(other).rpartition("/")[2] == requested["train_dataset"].rpartition("/")[2]
        )
    for field, right in as_written.items():
        if not right:
            yield f"run.yaml: {field}: no run writes this, or not beside the rest of run.yaml"


def _format_request_limits(request: Mapping[str, Any]) -> dict[str, str]:
    """Return the limits on training data in a request as texts, as a configuration has them: `None` for `all`."""
    limits = {name: str(request.get(name)) for name in ("label_subjects", "label_fraction", "train_dataset")}
    if limits["label_subjects"] == "all":
        limits["label_subjects"] = "None"
    with suppress(ValueError):
        share = float(limits["label_fraction"])
        limits["label_fraction"] = "None" if share == 1 else str(share)
    return limits


_IN_NO_TABLE = frozenset({"card", "cohort", "config", "dropped", "objects", "submission", "scoring", "videos"})
"""Fields of run.yaml whose texts no table shows."""


def _split_by_target(counted: int | dict[str, int] | None, run: Manifest) -> dict[str, int | None]:
    """Return target -> its count; one count for all targets is repeated."""
    return dict(counted) if isinstance(counted, dict) else dict.fromkeys(run.targets, counted)


def find_wrong_version(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message if a later version of embench wrote the record, since its records are not known here."""
    if _parse_version(run["embench_version"]) > _parse_version(embench.__version__):
        yield f"run.yaml: embench_version: {run['embench_version']}, a later one than {embench.__version__}"


def _parse_version(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]


def find_wrong_card(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield messages on differences from the installed dataset card: label rules, task order, publicity of labels."""
    recorded, protocol = run["card"], run["protocol"]["name"]
    rules = recorded["label_rules_hash"]
    if digest(recorded.get("label_rules", [])) != rules:
        yield "run.yaml: card.label_rules: not those of card.label_rules_hash"
    try:
        card = registry.load_plugin("dataset", run["dataset"]["name"]).card
        published = protocol in protocol_names()
        known = label_rules(card_for_protocol(load_protocol(protocol), card)) if published else None
    except UsageError:
        return  # a package that is not installed here, or a protocol of other datasets
    if known is not None and digest(known) != rules:
        yield "run.yaml: card.label_rules_hash: not that of the dataset's card"
    real = {"labels_public": card.labels_public, "fixed_order": card.fixed_order}
    yield from format_run_differences(differences({name: recorded[name] for name in real}, real, "card"))


def find_wrong_rules(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message where the rules of the protocol do not match their hash or the published rules of that name."""
    stated = run["protocol"]
    recorded = recorded_protocol(stated)
    known = load_protocol(stated["name"]) if stated["name"] in protocol_names() else recorded
    if recorded is None or known is None or not recorded.hash == known.hash == stated["hash"]:
        yield f"run.yaml: protocol.rules: they are not those of {stated['name']}, or not those of protocol.hash"
        return
    access = find_access(recorded, recorded_given(run.get("calibration_data")))
    if recorded.leaks != stated["leaks"] or access != run["target_access"]:
        yield "run.yaml: protocol.leaks or target_access: not as the protocol's rules have them"


def find_wrong_method(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message where the method differs from the configuration or from the id."""
    method, parts, config = run["method"], run["config"].get("parts", {}), run["config"]
    if method.get("submission") is not None:
        return  # a submission names itself
    if "fusion" not in parts:
        yield "run.yaml: config.parts: the configuration does not hold the method"
        return
    used = {name.partition("[")[2].removesuffix("]"): part["plugin"] for name, part in parts.items() if "[" in name}
    real = {"encoders": {m: used.get(m) for m in method["encoders"]}, "fusion": parts["fusion"]["plugin"]}
    yield from format_run_differences(differences({name: method[name] for name in real}, real, "method"))
    names = "_".join(dict.fromkeys(map(name_without_package, method["encoders"].values())))
    if not run["id"].startswith(f"{names}-{name_without_package(method['fusion'])}-"):
        yield f"run.yaml: id: {run['id']} does not name the method"
    if "request" in config and list(run["recipe"]["settings"]) != list(config["request"].get("settings") or []):
        yield "run.yaml: recipe.settings: not those of config.request"
    bundled = (entry for entry in registry.entries("fusion") if entry.package == registry.BUNDLED)
    estimators = {entry.full_name: entry.features for entry in bundled}  # other packages need not say it
    if method.get("joins") and (is_estimator := estimators.get(method["fusion"])) is not None:
        inputs = ["hidden"] if method["joins"] == "hidden" else ["tokens"]
        inputs = ["features", "hidden", "decisions"] if is_estimator else inputs
        if (method["joins"] == "estimator") != is_estimator or method["inputs"] not in inputs:
            yield f"run.yaml: method.joins or method.inputs: not as {method['fusion']} has them"
    stated = {"seeds": run["seeds"], "modalities": method["modalities"], "preset": run["recipe"]["preset"]}
    yield from format_run_differences(differences(stated, {name: config[name] for name in stated}, "config"))
    seen = {name: part["view"] for name, part in parts.items() if part.get("view") and "pretrainer" not in name}
    if wrong := [name for name, view in seen.items() if not isinstance(view, Mapping) or view.keys() - _OF_A_VIEW]:
        yield f"run.yaml: config.parts.{wrong[0]}.view: not what a method sees of a unit"
        return
    context = find_time_context(View(**view) for view in seen.values())
    if run.get("time_context") not in (None, context):
        yield f"run.yaml: time_context: {run['time_context']}, but the views of the method say {context}"
    yield from _wrong_overlap(run, [name for name, part in parts.items() if part.get("assets")])


def _wrong_overlap(run: Mapping[str, Any], encoders: Iterable[str]) -> Iterator[str]:
    """Yield a message for each encoder whose weights saw more of the test subjects than the record states.

    Args:
        encoders: names of the parts with weights, such as `encoder[ecg]`.
    """
    order: tuple[Overlap, ...] = get_args(Overlap)
    for name in encoders:
        m = name.partition("[")[2].removesuffix("]")
        saw = OVERLAP_OF[(run.get("weights") or {}).get(m, {}).get("saw", "undisclosed")]
        if order.index(saw) > order.index(run["pretraining_overlap"]):
            yield f"run.yaml: pretraining_overlap: {run['pretraining_overlap']}, but the weights of {m} saw {saw}"


def format_run_differences(found: Iterable[Difference]) -> Iterator[str]:
    """Yield differences of fields in run.yaml, in words."""
    return (f"run.yaml: {difference}" for difference in found)


def find_wrong_design(record: Record) -> Iterator[str]:
    """Yield a message where the design does not follow from the card and the stimuli."""
    stated, fixed = record.manifest.cohort.design, record.manifest.card.fixed_order
    if not len(record.predictions):
        return
    of_stimulus: dict[str, set[str]] = {}
    groups = record.groups
    for subject, stimulus in record.predictions.distinct("subject", "stimulus"):
        of_stimulus.setdefault(stimulus, set()).add(groups[subject])
    shared = sum(len(groups) > 1 for groups in of_stimulus.values()) > 1
    if (stated == "fixed_order") != fixed or (stated == "free" and shared):
        yield f"run.yaml: cohort.design: {stated}, which is not that of the dataset card and of the stimuli met"


def find_wrong_folds(record: Record) -> Iterator[str]:
    """Yield messages on predictions in a fold that does not test their subject, on subjects outside of the cohort, and
    on subjects that no fold tests."""
    subjects, rows = record.manifest.cohort.subjects, record.predictions
    model, missing = (rows.take(rows.rows_with(method=name)) for name in (MODEL, UNPREDICTED))
    if isinstance(subjects, list) and (foreign := sorted(set(model.texts("subject").names.tolist()) - set(subjects))):
        yield f"run.yaml: cohort: {', '.join(foreign[:MOST_NAMED])} was predicted, and is not among its subjects"
    tests = {(row["seed"], row["fold"], row["subject"]) for row in record.folds if row["role"] == "test"}
    if isinstance(subjects, list) and (untested := sorted(set(subjects) - {subject for *_, subject in tests})):
        yield f"run.yaml: cohort: {', '.join(untested[:MOST_NAMED])} is tested in no fold"
    tested = {(seed, subject) for seed, _, subject in tests}  # not all subjects where folds are a file's own
    found = {tuple(map(str, row)) for row in model.distinct("seed", "fold", "subject")}
    unpredicted = (tuple(map(str, row)) for row in missing.distinct("seed", "fold", "subject"))
    found |= {row for row in unpredicted if row[::2] in tested}
    if wrong := sorted(found - tests):
        seed, fold, subject = wrong[0]
        yield f"folds: {subject} was predicted in fold {fold} of seed {seed}, which does not test this subject"


def find_wrong_scores(record: Record, again: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield differences between `scores.json` and the recomputed scores `again`. If this revision computed the recorded
    scores, all values must be equal, except for metrics that only one of the two machines has installed. Else only the
    means must be close, since earlier revisions computed intervals differently."""
    if scored_by_this_revision(record):
        recorded, installed = _get_scoring(record).get("metrics", {}), evaluation.scoring_identity()["metrics"]
        foreign = (recorded.keys() ^ installed.keys()) - set(record.scores.primary_metrics.values())
        if record.run["embench_version"] == embench.__version__:
            foreign -= {name for name, code in installed.items() if code.startswith(f"{registry.BUNDLED} ")}
        folds = {} if "folds" in record.scores else {"folds": again["folds"]}  # entries do not hold them
        of_data = {name: record.scores[name] for name in FROM_DATA if name in record.scores}
        found = differences({**record.scores, **folds}, {**again, **of_data})
        yield from (difference for difference in found if not _is_exempt(difference, foreign))
        return
    for part in ("scores", "confound_only"):
        was, now = dict(list_means(record.scores[part])), dict(list_means(again[part]))
        for name in was.keys() & now.keys():
            if not abs(was[name] - now[name]) <= ANOTHER_REVISION:
                yield Difference(f"{part}.{name}", was[name], now[name])


def _is_exempt(difference: Difference, foreign: Collection[str]) -> bool:
    """Return True if a score by a `foreign` metric is missing on one side."""
    is_foreign = any(difference.place.endswith(f".{name}") for name in foreign)
    return is_foreign and ABSENT in (difference.recorded, difference.recomputed)


def scored_by_this_revision(record: Record) -> bool:
    """Return True if the record's scores were computed by this revision."""
    return bool(_get_scoring(record).get("revision") == SCORING_REVISION)


def _get_scoring(record: Record) -> Mapping[str, Any]:
    """Return the recorded revision and metrics of the scores; empty in entries older than this field."""
    return record.run.get("scoring") or {}


def list_means(table: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, float]]:
    """Yield (path, mean) of all scores in nested mappings; scores without a mean are omitted."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            if "mean" in value:
                yield f"{place}{name}", value["mean"]
            else:
                yield from list_means(value, f"{place}{name}.")


def find_wrong_summands(folder: Path, record: Record) -> Iterator[str]:
    """Yield differences between an entry's file of contributions and those that follow from its predictions."""
    if not scored_by_this_revision(record):
        return
    found = {target: primary_metric_summands(record, target) for target in record.scores.primary_metrics}
    expected = {target: summands.to_dict() for target, summands in found.items() if summands}
    for difference in differences(read_summands(folder), expected):
        yield f"{SUMMANDS_FILE}: {difference}"


def _compute_verifier_digest() -> str:
    """Compute a digest of the code of scores and entries, and of the installed metrics."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(json.dumps(evaluation.scoring_identity(), sort_keys=True).encode())
    for folder in ("interfaces", "leaderboard", "protocols", "records", "statistics"):
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
