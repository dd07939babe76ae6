"""Check that published entries follow from their own predictions, labels, folds and audit."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np

import embench
from embench import registry
from embench.data.cohort import Cohort, card_for_protocol, label_rules
from embench.errors import CheckFailed, DataError, UsageError
from embench.files import cache_root, digest, read_text, saving
from embench.interfaces.metric import Undefined
from embench.interfaces.units import View
from embench.leaderboard.columns import ShownEntry
from embench.leaderboard.entries import SUMMANDS_FILE, read_summands
from embench.protocols import (
    MADE_BY_METHOD,
    SLICE_ONLY,
    Protocol,
    access_of,
    load_protocol,
    protocol_names,
    recorded_given,
    recorded_protocol,
)
from embench.records import context_of
from embench.records.audit import AUDIT_FILE, BOUND_SINCE, SEVERITIES, VERSION, read_audit, wrong_text
from embench.records.manifest import OVERLAP_OF, Manifest, Overlap
from embench.records.predictions import ANY_SEED, MODEL, UNPREDICTED, Labels
from embench.records.record import Record, digests_of, read_record
from embench.records.scores import ABSENT, NUISANCES_DIFFER, TOLERANCE, Difference, Scores, differences
from embench.records.wording import name_without_package
from embench.statistics import SCORING_REVISION, evaluation
from embench.statistics.answers import design_of
from embench.statistics.gains import headline_summands
from embench.statistics.joined import recorded_targets, unit_length
from embench.statistics.scores import compute_scores
from embench.system import ProgressCallback
from embench.vocabulary import FORMULA, texts_in

# Checks of what a record says that test subjects gave.


def wrong_given(record: Record) -> Iterator[str]:
    """Contradictions between what a record says that test subjects gave and its protocol, what it is compared with, and
    its configuration."""
    run, given = record.run, recorded_given(record.run.get("given"))
    protocol, name = recorded_protocol(run["protocol"]), run["protocol"]["name"]
    if (given is not None) != (protocol is not None and protocol.asks_given):
        said = f"{given.text}, which {name} does not ask" if given else f"not said, which {name} asks"
        yield f"run.yaml: given: {said}"
    made = set(MADE_BY_METHOD) & record.scores["controls"].keys()
    if made and (protocol is None or protocol.personal is None):
        yield f"scores.json: controls.{min(made)}: nobody gives anything under {name}"
    if given is None:
        return
    expected = {*given.without(), *([SLICE_ONLY] if given.labelled and given.units else [])}
    outside = run["method"].get("outside") is not None  # who may compare with less
    if made - expected or (expected - made and not outside):
        yield f"run.yaml: given: {given.text}, but the method is compared with {', '.join(sorted(made)) or 'nothing'}"
    if not outside and (ran := run["config"].get("given")) != given.text:
        yield f"run.yaml: given: {given.text}, but config.given is {ran}"


# Checks that an entry predicts every labelled unit of its test subjects: a unit that is left out can't be wrong.


def missed_units(record: Record, labels: Labels) -> dict[str, set[str]]:
    """Target -> labelled units that lack a prediction in a seed whose folds test their subject, and are not counted as
    units without one."""
    tested: defaultdict[str, set[int]] = defaultdict(set)
    for row in record.folds:
        if row["role"] == "test":
            tested[str(row["subject"])].add(int(row["seed"]))
    rows = record.predictions.own
    answered = set(zip(rows["target"].tolist(), rows["seed"].tolist(), rows["unit"].tolist(), strict=True))
    missed: defaultdict[str, set[str]] = defaultdict(set)
    known = np.flatnonzero(np.isfinite(labels["label"]))
    columns = (labels[name][known].tolist() for name in ("target", "seed", "subject", "unit"))
    for target, seed, subject, unit in zip(*columns, strict=True):
        seeds = tested[subject] if seed == ANY_SEED else tested[subject] & {seed}
        if any((target, each, unit) not in answered for each in seeds):
            missed[target].add(unit)
    return missed


def wrong_coverage(record: Record, labels: Labels) -> Iterator[str]:
    """Yield the targets of which units are missed: a unit without a prediction counts as lost or tied."""
    for target, units in missed_units(record, labels).items():
        yield f"predictions: {len(units)} labelled units of {target} lack one, such as {min(units)}"
    shares = record.scores.get("coverage", {})
    for target, share in _shares(record, labels).items() if shares else ():
        if not abs(share - shares.get(target, math.nan)) <= TOLERANCE:
            yield f"scores.json: coverage.{target}: {shares.get(target)}, but it follows {share:.6g}"


def _shares(record: Record, labels: Labels) -> dict[str, float]:
    """Target -> the share of labelled units, over all seeds, that are predicted."""
    rows, found = record.predictions, {}
    known = np.isfinite(labels["label"])
    names = zip(*(labels[name][known].tolist() for name in ("target", "seed", "unit")), strict=True)
    labelled = {(target, unit, seed) for target, seed, unit in names}
    for target in record.run["targets"]:
        model, owed = (rows.take(rows.rows_with(method=name, target=target)) for name in (MODEL, UNPREDICTED))
        places = zip(model["unit"].tolist(), model["seed"].tolist(), strict=True)
        answered = sum(
            not labelled.isdisjoint({(target, unit, seed), (target, unit, ANY_SEED)}) for unit, seed in places
        )
        if answered or len(owed):
            found[target] = answered / (answered + len(owed))
    return found


# The scores of a published entry, computed again from its own predictions and labels.

FROM_DATA = ("absent", "cuts", "coverage", "adds", "enough_data")
"""Parts of `scores.json` that only the data can tell: units that were not predicted and the share that was, cuts fitted
on training labels, what the method adds to clock and movement, and what would give enough comparisons."""


def recompute(record: Record, cohort: Cohort | None = None) -> Scores:
    """The whole `scores.json`, with `folds`; `FROM_DATA` and why a control does not apply are as recorded.

    Nothing is trained, and no plugin but the metrics is loaded.

    Args:
        cohort: the record's subjects as the data have them; without it, no data are read.

    Raises:
        CheckFailed: the record has no labels. DataError: its parts do not fit together.
        UsageError: its protocol is not known.
    """
    run, predictions = record.manifest, record.predictions
    if record.labels is None:
        raise CheckFailed("the entry has no labels, so only a holder of the data can score it", where=run.id)
    if cohort is not None:
        facts = {**evaluation.study_facts(cohort), "groups": {**cohort.groups, **record.groups}}
    else:
        facts = {
            "targets": recorded_targets(record),
            # Entries from before a design was recorded are of protocols that ask for a fixed order alone.
            "design": design_of(run.cohort.design, fixed_order=run.card.fixed_order) or "free",
            "groups": record.groups,
            "unit_length_s": {t: unit_length(predictions["unit"][predictions["target"] == t]) for t in run.targets},
            "sessions": record.sessions,
        }
    reasons = _reasons_of_controls(record)
    scores = compute_scores(predictions, record.labels, protocol=protocol_of(run), not_applicable=reasons, **facts)
    return Scores({**scores, **{name: record.scores[name] for name in FROM_DATA if name in record.scores}})


def protocol_of(run: Manifest) -> Protocol:
    """The published rules of a run's protocol, else those that its record holds. Raises UsageError where it holds
    none."""
    recorded = None if run.protocol.name in protocol_names() else recorded_protocol(run.protocol.content())
    return recorded or load_protocol(run.protocol.name)


def _reasons_of_controls(record: Record) -> dict[str, dict[str, str]]:
    """Target -> control -> why it does not apply, as recorded, of controls that predicted nothing."""
    predictions, reasons = record.predictions, dict[str, dict[str, str]]()
    predicted = set(predictions.distinct("method", "target"))
    for control, targets in record.scores["controls"].items():
        for target, scored in targets.items():
            if (control, target) not in predicted and "undefined" in scored:
                reasons.setdefault(target, {})[control] = scored["undefined"]
    return reasons


# Checks that an entry's audit belongs to it and contains only texts of audits.
#
# Anybody can write and seal an `audit.json`. Its content is therefore compared with the entry's own files; nothing is
# audited again, which needs the data.

TEXTS_SINCE = 4
"""First version of audits with the texts of `FINDING_TEXTS`; the few earlier ones keep their own."""
_FIELDS = frozenset({"version", "run", "of", "counts", "findings", "measured", "not_asked"})
_OF_FINDING = frozenset({"check", "severity", "what", "evidence", "todo"})
_PLAIN = re.compile(r"(?!.*//)[\w .,:;'()\[\]%+/-]{0,300}")
"""Texts in evidence and measurements are names, and reasons why a number is undefined."""
MANY_METHODS, MISCALIBRATED, UNBALANCED = 20, 0.1, 0.02
"""Thresholds of findings of the checks `validation`, `calibration` and `balance`; the last is the part of a matched
score that may be due to which of two subjects is later in the session."""


def wrong_audit(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Fields of an audit that no audit has, texts and numbers that it cannot have found in this entry, and severe
    findings; each with its place."""
    version, findings = audit["version"], audit["findings"]
    if type(version) is not int or not 1 <= version <= VERSION:
        later = f"expected 1 to {VERSION}; update embench, or audit again"
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
        yield from _wrong_finding(finding, f"findings.{i}", version)
    for field, text in texts_in(audit.get("measured", {}), "measured"):
        if not _PLAIN.fullmatch(text):
            yield f"{AUDIT_FILE}: {field}: `{text[:40]}` is not a text that a check measures"
    if version >= BOUND_SINCE and run.card.labels_public == "yes":
        yield from _left_out(audit, run, scores)
    if audit.get("measured"):
        yield from _wrong_figures(audit, run, scores)
    if severe := [str(f["check"]) for f in findings if f["severity"] == "severe"]:
        yield f"{AUDIT_FILE}: severe findings: {', '.join(severe)}"


def _wrong_finding(finding: Mapping[str, Any], place: str, version: int) -> Iterator[str]:
    if more := sorted(finding.keys() ^ _OF_FINDING):
        yield f"{AUDIT_FILE}: {place}.{more[0]}: expected the fields {', '.join(sorted(_OF_FINDING))}"
        return
    for field, text in texts_in(finding["evidence"], f"{place}.evidence"):
        if not _PLAIN.fullmatch(text):
            yield f"{AUDIT_FILE}: {field}: `{text[:40]}` is not a text that a check measures"
    if version >= TEXTS_SINCE and finding["severity"] != "severe" and (wrong := wrong_text(finding)):
        text = str(finding[wrong])[:60]
        yield f"{AUDIT_FILE}: {place}.{wrong}: `{text}` is not what the check {finding['check']} says of its evidence"


def _left_out(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Checks that can be made of every entry with labels, and were not."""
    measured = audit.get("measured", {})
    for check in _ALWAYS - measured.keys():
        yield f"{AUDIT_FILE}: measured: the check {check} is missing, which every audit makes; audit the run again"
    for target in (rule.name for rule in run.card.label_rules if rule.kind == "binary"):
        if scores.score(target, "ece") and target not in measured.get("calibration", {}):
            yield f"{AUDIT_FILE}: measured.calibration: {target} is missing, which has an ece; audit the run again"


_ALWAYS = frozenset({"access", "scores", "statements", "validation"})

_SCORES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "calibration": {"ece": ("ece", "mean"), "low": ("ece", "low")},
    "balance": {"matched": ("auroc_crossed_matched", "mean"), "balanced": ("auroc_crossed_balanced", "mean")},
}
"""Check -> what it measures of a target -> metric and part of its score that this is."""


def _wrong_figures(audit: Mapping[str, Any], run: Manifest, scores: Scores) -> Iterator[str]:
    """Figures of the audit that differ from those of scores.json and run.yaml."""
    measured = audit["measured"]
    for check in ("labels", "scores", "statements"):
        if differ := measured.get(check, {}).get("differ"):
            yield f"{AUDIT_FILE}: measured.{check}.differ: {differ}, but of an entry nothing may differ"
    for check, names in _SCORES.items():
        for target, figures in measured.get(check, {}).items():
            for name, (metric, part) in names.items():
                known = getattr(scores.score(target, metric), part, None)
                if not _same(figures[name], known):
                    place = f"measured.{check}.{target}.{name}"
                    yield f"{AUDIT_FILE}: {place}: {figures[name]}, but the {metric} of this entry is {known}"
    for target in measured.get("controls", {}).keys() & scores.headlines.keys():
        figures, adds = measured["controls"][target], scores.adds(target)
        at = adds and adds.decides
        if (
            not at
            or figures["adds"] != at.adds
            or not abs(figures["effect"]["mean"] - at.effect.mean) <= NUISANCES_DIFFER
        ):
            yield f"{AUDIT_FILE}: measured.controls.{target}: not what the confound analysis of this entry gives"
    counted = {"tried": run.most_of("tried"), "test looks": run.most_of("test_looks")}
    for name, looks in measured.get("validation", {}).items():
        if name in counted and looks != counted[name]:
            yield f"{AUDIT_FILE}: measured.validation.{name}: {looks}, but run.yaml counts {counted[name]}"
    yield from _wrong_findings(audit)


def _same(measured: float | None, known: float | None) -> bool:
    return measured is known is None or (known is not None and abs((measured or 0) - known) <= TOLERANCE)


def _wrong_findings(audit: Mapping[str, Any]) -> Iterator[str]:
    """Findings that follow from what was measured and are missing, or the other way round."""
    measured, findings = audit["measured"], audit["findings"]
    calibration, balance = (measured.get(check, {}).values() for check in _SCORES)
    controls = measured.get("controls", {})
    asked = [row for row in controls.values() if isinstance(row, Mapping)]
    expected = {
        "calibration": sum((row["low"] or 0) - row["of right probabilities"] > MISCALIBRATED for row in calibration),
        "balance": sum(row["matched"] - row["balanced"] > UNBALANCED for row in balance),
        "controls": any(row.get("adds") is False for row in asked),
        "validation": measured.get("validation", {}).get("tried", 0) > MANY_METHODS,
    }
    for check, count in expected.items():
        own = [f for f in findings if f["check"] == check]
        found = {"controls": bool(own), "validation": any("tried" in f["evidence"] for f in own)}.get(check, len(own))
        if found != count:
            yield f"{AUDIT_FILE}: measured.{check}: {count:d} findings follow from it, but there are {found:d}"


def wrong_binding(audit: Mapping[str, Any], record: Record) -> list[str] | Undefined:
    """The parts of an entry that are not those that were audited; undefined where the audit does not say, or the code
    that made it is another one than here.

    An audit older than these digests is bound by its figures alone, see `wrong_audit`.
    """
    if unbound := why_unbound(audit):
        return Undefined(f"{unbound}: it is not bound to these predictions")
    stated, own = audit["of"], digests_of(record)
    wrong = [
        f"{AUDIT_FILE}: of.{name}: the audit is of other {name} than the entry contains; audit the run again"
        for name in sorted(own)
        if stated.get(name) != own[name]
    ]
    wrong += [f"{AUDIT_FILE}: of.{name}: audits name no such digest" for name in sorted(stated.keys() - {*own, "code"})]
    if not wrong and stated.get("code") != audit_code():
        return Undefined("the audit is of these files, but was made by other code of embench's audits than is here")
    return wrong


def why_unbound(audit: Mapping[str, Any]) -> str:
    """The reason why an audit names no digests; empty where it has to."""
    if audit["version"] >= BOUND_SINCE:
        return ""
    return f"the audit, of version {audit['version']}, names no digests"


@cache
def audit_code() -> str:
    """A digest of the source of audits, the same on every machine."""
    folder, digest = Path(__file__).parents[1] / "audits", hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n{read_text(path)}\n".encode())
    return digest.hexdigest()[:32]


# Checks that published entries follow from their own predictions, labels and folds.
#
# Nothing is trained and no data are read. What only another run, or the data, can show is the audit's.

MOST_NAMED = 3
"""Number of differences that a message names."""
ANOTHER_REVISION = 0.005
"""Largest difference allowed to a score of an earlier revision."""

_OF_A_VIEW = {field.name for field in fields(View)}


def verify_entries(entries: Iterable[ShownEntry], progress: ProgressCallback | None = None) -> None:
    """Computes the scores of all entries again whose labels are public, and compares what entries say of themselves.
    Passed checks are cached by the content of the entry and the code that verifies, and are not part of the progress.

    Raises:
        CheckFailed: an entry says something else; file and field are named.
        DataError: one cannot be read.
    """
    verifier = _verifier()
    marks = [(entry, cache_root() / "verified" / digest([entry.content, verifier])) for entry in entries]
    new = [(entry, mark) for entry, mark in marks if not mark.is_file()]
    for i, (entry, mark) in enumerate(new, 1):
        if found := _findings(entry.folder):
            more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            raise CheckFailed(
                f"the entry does not follow from its own files: {'; '.join(found[:MOST_NAMED])}{more}",
                where=str(entry.folder),
                expected="an entry as `embench leaderboard build --from RUNS` writes it, unchanged",
                hint="publish the run again",
            )
        with saving("the cache", mark):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        if progress is not None:
            progress(i, len(new), entry.id)


def _findings(folder: Path) -> list[str]:
    try:
        return list(_wrong(read_record(folder), folder))
    except DataError as error:  # of the statistics, which know columns and no files
        if str(folder.parent.parent) in (error.where or ""):
            raise
        where = f"{folder}: {error.where}" if error.where else str(folder)
        raise DataError(error.what, where=where, expected=error.expected, hint=error.hint) from error


def _wrong(record: Record, folder: Path) -> Iterator[str]:
    """Each statement of an entry that does not follow, with its file and field."""
    yield from (*wrong_fields(record), *wrong_parts(record), *wrong_statements(record), *_wrong_audit(record, folder))
    if record.labels is None:
        return
    yield from wrong_score_file(record)
    yield from wrong_summands(folder, record)


def wrong_score_file(record: Record) -> Iterator[str]:
    """The scores follow from the predictions and labels that a record holds."""
    for difference in wrong_scores(record, recompute(record)):
        yield f"scores.json: {difference}"
    about = record.manifest.protocol
    if not (scored_by_this_revision(record) or about.leaks):
        yield f"run.yaml: scoring.revision: an earlier one than {SCORING_REVISION}, which the ranked entries have"


def wrong_parts(record: Record) -> Iterator[str]:
    """The parts of a record that its protocol and its card ask for are there: labels, where they are public, the
    share that was predicted and what the method adds; and no scores by metrics of other packages."""
    run, metrics = record.manifest, _scoring(record).get("metrics", {})
    for name in sorted(metrics.keys() - set(record.scores.headlines.values())):
        if not metrics[name].startswith(f"{registry.BUNDLED} "):
            yield f"run.yaml: scoring.metrics: {name} is of another package, whose scores no entry contains"
    if run.card.labels_public != "yes":
        return
    if record.labels is None:
        yield "labels: they are public, and the entry contains none"
    protocol = recorded_protocol(record.run["protocol"])
    if protocol is None or run.protocol.leaks:
        return
    if any(record.scores.adds(target) is None for target in record.scores.headlines):
        yield "scores.json: adds: the confound analysis was not run; run or score it without `--no-confounds`"
    if "coverage" not in record.scores:
        yield "scores.json: coverage: missing"


def wrong_statements(record: Record) -> Iterator[str]:
    """Statements of a record on its dataset, protocol, method and folds that contradict the rest of it, or the
    published card and rules; with file and field."""
    run = record.run
    yield from (*wrong_version(run), *wrong_card(run), *wrong_rules(run), *wrong_method(run))
    yield from (*wrong_given(record), *wrong_design(record), *wrong_folds(record))


def _wrong_audit(record: Record, folder: Path) -> Iterator[str]:
    """Faults of the audit of an entry that was audited."""
    audit = read_audit(folder)
    if audit is None:
        return
    try:
        bound = wrong_binding(audit, record)
        found = [*wrong_audit(audit, record.manifest, record.scores), *([] if isinstance(bound, Undefined) else bound)]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # a document that nobody wrote so
        found = [f"{AUDIT_FILE}: a field is missing or is not what embench writes: {type(error).__name__}: {error}"]
    yield from found


def wrong_fields(record: Record) -> Iterator[str]:
    """No field is one that embench does not write, the labels were opened at least once and not by more methods than
    times, and no text is one that a spreadsheet runs."""
    run = record.manifest
    for field in run.unknown_fields():
        yield f"run.yaml: {field}: embench writes no such field; take run.yaml as the run wrote it"
    looks, tried = (_by_target(counted, run) for counted in (run.test_looks, run.tried))
    for name, counted in {"test_looks": looks, "tried": tried}.items():
        if counted.keys() ^ set(run.targets):
            yield f"run.yaml: {name}: it counts {', '.join(counted) or 'nothing'}, not the targets that were scored"
        for target, count in counted.items():
            if count is not None and count < 1:
                yield f"run.yaml: {name}.{target}: {count}, but the entry has scores, so that labels were used"
    for target in looks.keys() & tried.keys():
        if (most := looks[target]) is not None and (tried[target] or 0) > most:
            yield f"run.yaml: tried.{target}: {tried[target]} methods, more than the {most} test-set evaluations"
    yield from _wrong_words(run)
    for field, text in texts_in({name: part for name, part in record.run.items() if name not in _IN_NO_TABLE}):
        if text.startswith(FORMULA):
            yield f"run.yaml: {field}: a spreadsheet would run `{text[:30]}`; expected no = + - or @ before a text"


def _wrong_words(run: Manifest) -> Iterator[str]:
    """Yield the fields that decide with whom an entry is compared and that no run writes, or not for its request."""
    config, request = run.config, run.config.get("request")
    count, share, other = (config.get(name) for name in ("label_subjects", "label_fraction", "train_dataset"))
    asked = _asked(request or {})
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
        as_written["config.label_subjects"] &= str(count) == asked["label_subjects"]
        as_written["config.label_fraction"] &= str(share) == asked["label_fraction"]
        as_written["config.train_dataset"] &= str(other).rpartition("/")[2] == asked["train_dataset"].rpartition("/")[2]
    for field, right in as_written.items():
        if not right:
            yield f"run.yaml: {field}: no run writes this, or not beside the rest of run.yaml"


def _asked(request: Mapping[str, Any]) -> dict[str, str]:
    """Return the limits of a request, as a configuration states them."""
    asked = {name: str(request.get(name)) for name in ("label_subjects", "label_fraction", "train_dataset")}
    if asked["label_subjects"] == "all":
        asked["label_subjects"] = "None"
    with suppress(ValueError):
        share = float(asked["label_fraction"])
        asked["label_fraction"] = "None" if share == 1 else str(share)
    return asked


_IN_NO_TABLE = frozenset({"card", "cohort", "config", "dropped", "objects", "outside", "scoring", "videos"})


def _by_target(counted: int | dict[str, int] | None, run: Manifest) -> dict[str, int | None]:
    return dict(counted) if isinstance(counted, dict) else dict.fromkeys(run.targets, counted)


def wrong_version(run: Mapping[str, Any]) -> Iterator[str]:
    """The record is not of a later embench, whose records are not known here."""
    if _numbers(run["embench_version"]) > _numbers(embench.__version__):
        yield f"run.yaml: embench_version: {run['embench_version']}, a later one than {embench.__version__}"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]


def wrong_card(run: Mapping[str, Any]) -> Iterator[str]:
    """The card is that of the dataset, where it is installed: what is sealed depends on it, and what labels mean."""
    kept, about = run["card"], run["protocol"]["name"]
    rules = kept["label_rules_hash"]
    if digest(kept.get("label_rules", [])) != rules:
        yield "run.yaml: card.label_rules: not those of card.label_rules_hash"
    try:
        card = registry.load("dataset", run["dataset"]["name"]).card
        published = about in protocol_names()
        known = label_rules(card_for_protocol(load_protocol(about), card)) if published else None
    except UsageError:
        return  # a package that is not installed here, or a protocol of other datasets
    if known is not None and digest(known) != rules:
        yield "run.yaml: card.label_rules_hash: not that of the dataset's card"
    real = {"labels_public": card.labels_public, "fixed_order": card.fixed_order}
    yield from in_run(differences({name: kept[name] for name in real}, real, "card"))


def wrong_rules(run: Mapping[str, Any]) -> Iterator[str]:
    """The rules of the protocol are those that its hash, and the published ones of its name, are of."""
    about = run["protocol"]
    recorded = recorded_protocol(about)
    known = load_protocol(about["name"]) if about["name"] in protocol_names() else recorded
    if recorded is None or known is None or not recorded.hash == known.hash == about["hash"]:
        yield f"run.yaml: protocol.rules: they are not those of {about['name']}, or not those of protocol.hash"
        return
    access = access_of(recorded, recorded_given(run.get("given")))
    if recorded.leaks != about["leaks"] or access != run["target_access"]:
        yield "run.yaml: protocol.leaks or target_access: not as the protocol's rules have them"


def wrong_method(run: Mapping[str, Any]) -> Iterator[str]:
    """The method is the one that the configuration holds and the id names."""
    method, parts, config = run["method"], run["config"].get("parts", {}), run["config"]
    if method.get("outside") is not None:
        return  # a submission names itself
    if "fusion" not in parts:
        yield "run.yaml: config.parts: the configuration does not hold the method"
        return
    used = {name.partition("[")[2].removesuffix("]"): part["plugin"] for name, part in parts.items() if "[" in name}
    real = {"encoders": {m: used.get(m) for m in method["encoders"]}, "fusion": parts["fusion"]["plugin"]}
    yield from in_run(differences({name: method[name] for name in real}, real, "method"))
    names = "_".join(dict.fromkeys(map(name_without_package, method["encoders"].values())))
    if not run["id"].startswith(f"{names}-{name_without_package(method['fusion'])}-"):
        yield f"run.yaml: id: {run['id']} does not name the method"
    if "request" in config and list(run["recipe"]["settings"]) != list(config["request"].get("settings") or []):
        yield "run.yaml: recipe.settings: not those of config.request"
    bundled = (entry for entry in registry.entries("fusion") if entry.package == registry.BUNDLED)
    estimators = {entry.full_name: entry.features for entry in bundled}  # other packages need not say it
    if method.get("joins") and (is_one := estimators.get(method["fusion"])) is not None:
        reads = (
            ("features", "hidden", "decisions") if is_one else ("hidden" if method["joins"] == "hidden" else "tokens",)
        )
        if (method["joins"] == "estimator") != is_one or method["inputs"] not in reads:
            yield f"run.yaml: method.joins or method.inputs: not as {method['fusion']} has them"
    stated = {"seeds": run["seeds"], "modalities": method["modalities"], "preset": run["recipe"]["preset"]}
    yield from in_run(differences(stated, {name: config[name] for name in stated}, "config"))
    seen = {name: part["view"] for name, part in parts.items() if part.get("view") and "pretrainer" not in name}
    if wrong := [name for name, view in seen.items() if not isinstance(view, Mapping) or view.keys() - _OF_A_VIEW]:
        yield f"run.yaml: config.parts.{wrong[0]}.view: not what a method sees of a unit"
        return
    views = [View(**view) for view in seen.values()]
    if run.get("time_context") not in (None, context_of(views)):
        yield f"run.yaml: time_context: {run['time_context']}, but the views of the method say {context_of(views)}"
    yield from _wrong_overlap(run, {m: part for m, part in parts.items() if part.get("assets")})


def _wrong_overlap(run: Mapping[str, Any], bringing: Mapping[str, Any]) -> Iterator[str]:
    """The overlap is at least that of the weights that encoders bring; of weights that nobody knows, it is unknown."""
    order: tuple[Overlap, ...] = get_args(Overlap)
    for name in bringing:
        m = name.partition("[")[2].removesuffix("]")
        saw = OVERLAP_OF[(run.get("weights") or {}).get(m, {}).get("saw", "undisclosed")]
        if order.index(saw) > order.index(run["pretrain_overlap"]):
            yield f"run.yaml: pretrain_overlap: {run['pretrain_overlap']}, but the weights of {m} saw {saw}"


def in_run(found: Iterable[Difference]) -> Iterator[str]:
    """Differences of what run.yaml holds, in words."""
    return (f"run.yaml: {difference}" for difference in found)


def wrong_design(record: Record) -> Iterator[str]:
    """The design, which decides the headline, is that of the card and of the stimuli that were met."""
    stated, fixed = record.manifest.cohort.design, record.manifest.card.fixed_order
    if stated is None or not len(record.predictions):
        return  # an entry from before it was recorded, or without predictions
    met: dict[str, set[str]] = {}
    groups = record.groups
    for subject, stimulus in record.predictions.distinct("subject", "stimulus"):
        met.setdefault(stimulus, set()).add(groups[subject])
    shared = sum(len(groups) > 1 for groups in met.values()) > 1
    if (stated == "fixed_order") != fixed or (stated == "free" and shared):
        yield f"run.yaml: cohort.design: {stated}, which is not that of the dataset card and of the stimuli met"


def wrong_folds(record: Record) -> Iterator[str]:
    """Every unit was predicted in the fold that tests its subject, who is one of the cohort."""
    subjects, rows = record.manifest.cohort.subjects, record.predictions
    model, owed = (rows.take(rows.rows_with(method=name)) for name in (MODEL, UNPREDICTED))
    if isinstance(subjects, list) and (foreign := sorted(set(model.texts("subject").names.tolist()) - set(subjects))):
        yield f"run.yaml: cohort: {', '.join(foreign[:MOST_NAMED])} was predicted, and is not among its subjects"
    tests = {(row["seed"], row["fold"], row["subject"]) for row in record.folds if row["role"] == "test"}
    if isinstance(subjects, list) and (untested := sorted(set(subjects) - {subject for *_, subject in tests})):
        yield f"run.yaml: cohort: {', '.join(untested[:MOST_NAMED])} is tested in no fold"
    tested = {(seed, subject) for seed, _, subject in tests}  # not all subjects where folds are a file's own
    found = {tuple(map(str, row)) for row in model.distinct("seed", "fold", "subject")}
    found |= {row for each in owed.distinct("seed", "fold", "subject") if (row := tuple(map(str, each)))[::2] in tested}
    if wrong := sorted(found - tests):
        seed, fold, subject = wrong[0]
        yield f"folds: {subject} was predicted in fold {fold} of seed {seed}, which does not test this subject"


def wrong_scores(record: Record, again: Mapping[str, Any]) -> Iterator[Difference]:
    """Differences between `scores.json` and `again`, the scores that were computed again: of the same revision every
    number and word, but those of metrics that are installed on one side only; else the means, roughly, since intervals
    were others."""
    if scored_by_this_revision(record):
        recorded, installed = _scoring(record).get("metrics", {}), evaluation.scoring_identity()["metrics"]
        foreign = (recorded.keys() ^ installed.keys()) - set(record.scores.headlines.values())
        if record.run["embench_version"] == embench.__version__:
            foreign -= {name for name, code in installed.items() if code.startswith(f"{registry.BUNDLED} ")}
        folds = {} if "folds" in record.scores else {"folds": again["folds"]}  # entries leave them to be computed
        of_data = {name: record.scores[name] for name in FROM_DATA if name in record.scores}
        found = differences({**record.scores, **folds}, {**again, **of_data})
        yield from (difference for difference in found if not _passed_over(difference, foreign))
        return
    for part in ("scores", "controls"):
        was, now = dict(means_in(record.scores[part])), dict(means_in(again[part]))
        for name in was.keys() & now.keys():
            if not abs(was[name] - now[name]) <= ANOTHER_REVISION:
                yield Difference(f"{part}.{name}", was[name], now[name])


def _passed_over(difference: Difference, foreign: Collection[str]) -> bool:
    """True if one side has no score of a foreign metric; a score that both have is compared, whatever a record says of
    its metrics."""
    ends = any(difference.place.endswith(f".{name}") for name in foreign)
    return ends and ABSENT in (difference.recorded, difference.recomputed)


def scored_by_this_revision(record: Record) -> bool:
    """True if the record's scores were computed by this revision."""
    return bool(_scoring(record).get("revision") == SCORING_REVISION)


def _scoring(record: Record) -> Mapping[str, Any]:
    """The recorded revision and metrics of the scores; empty in entries that are older than this record."""
    return record.run.get("scoring") or {}


def means_in(table: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, float]]:
    """(place, mean) of all scores of a table that have one."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            if "mean" in value:
                yield f"{place}{name}", value["mean"]
            else:
                yield from means_in(value, f"{place}{name}.")


def wrong_summands(folder: Path, record: Record) -> Iterator[str]:
    """The summands by which a row is ranked follow from its predictions."""
    if not scored_by_this_revision(record):
        return  # scored otherwise then
    found = {target: headline_summands(record, target) for target in record.scores.headlines}
    expected = {target: summands.as_json() for target, summands in found.items() if summands}
    for difference in differences(read_summands(folder), expected):
        yield f"{SUMMANDS_FILE}: {difference}"


def _verifier() -> str:
    """A digest of the code of scores and entries, and of the metrics that are installed."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(json.dumps(evaluation.scoring_identity(), sort_keys=True).encode())
    for folder in ("interfaces", "leaderboard", "protocols", "records", "statistics"):
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
