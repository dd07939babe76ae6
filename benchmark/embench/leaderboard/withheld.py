"""Entries of datasets without public labels: their content does not allow computing labels.

Predictions together with their score form an equation about the labels, and a leaderboard has many rows. Such entries
therefore contain no predictions and no scores of folds, subjects or training parts. All other numbers are rounded to
three digits.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from embench.errors import DataError
from embench.files import parse_json, read_text
from embench.records.audit import AUDIT_FILE
from embench.records.manifest import Manifest
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import TUNING_FILE, Record, read_folds, read_manifest
from embench.records.scores import Scores

LABEL_HMAC_FILE = "labels.hmac"
DIGITS = 3
FEWEST_UNITS = 24
"""Minimum number of labelled units in each tested fold. With fewer, all labelings can be tried in seconds."""
FEWEST_SUBJECTS = 5
"""Minimum number of subjects behind each published number, and of subjects that are in only one of two entries."""
FEWEST_FREE = 80
"""Minimum number of labels behind an HMAC, so that nobody can try all combinations. If all labels of a subject are
equal, they count as one."""
REDACTED_FILES = frozenset({"run.yaml", "scores.json", LABEL_HMAC_FILE, AUDIT_FILE, TUNING_FILE})
_KEPT = ("schema", "primary_metrics", "level", "scores", "confound_only", "absent", "calibration_gain")
"""Parts of scores.json that are published without labels."""
_KEPT_NUMBERS = ("mean", "std", "low", "high", "subjects", "over")
CONSTANT_MODELS = frozenset({"majority", "prior"})
"""Confound-only models that anyone can repeat without data. Whoever repeats the random decisions of `prior` could learn
from its accuracy how many of them are right."""
_UNPUBLISHED = {"undefined": {"id": "withheld"}}
_SAME_FILES = b"embench: the raw files of this dataset"


def explain_derivable_labels(predictions: Predictions, labels: Labels) -> str:
    """Return the reason why labels could be derived from published scores of these predictions; empty if not."""
    labelled = set(zip(*(labels[name].tolist() for name in ("target", "unit", "seed")), strict=True))
    rows = predictions.take(predictions.rows_with(method=MODEL))
    counts: dict[tuple[str, int, int], int] = {}  # number of labelled units that each fold tests
    for target, seed, fold, unit in zip(*(rows[n].tolist() for n in ("target", "seed", "fold", "unit")), strict=True):
        is_labelled = (target, unit, ANY_SEED) in labelled or (target, unit, seed) in labelled
        counts[target, seed, fold] = counts.get((target, seed, fold), 0) + is_labelled
    n, (target, seed, fold) = min((n, key) for key, n in counts.items())
    why = "the labels of this dataset are not public, and"
    if n < FEWEST_UNITS:
        few = f"fold {fold} of seed {seed} tests {n} labelled units of {target}"
        few += f": labels can be told from scores of fewer than {FEWEST_UNITS}"
        return f"{why} {few}; use a protocol with larger folds"
    names = [labels[name].tolist() for name in ("target", "subject", "label")]
    of_subject: dict[tuple[str, str], list[float]] = {}
    for target, subject, label in zip(*names, strict=True):
        of_subject.setdefault((target, subject), []).append(label)
    free = sum(1 if len(set(values)) == 1 else len(values) for values in of_subject.values())
    return "" if free >= FEWEST_FREE else f"{why} only {free} of them are free: all labelings can be tried"


def explain_label_disclosure(folds: Iterable[Mapping[str, Any]], leaderboard: Path) -> str:
    """Return the reason why publishing an entry with these folds would disclose withheld labels; empty if not. If fewer
    than `FEWEST_SUBJECTS` are in only one of two entries, the difference of the scores reveals their labels."""
    subjects = tested_subjects(folds)
    for other in [path.parent for path in sorted(leaderboard.glob("*/[!.]*/run.yaml"))]:
        in_one = subjects ^ tested_subjects(read_folds(other, read_manifest(other)))
        if 0 < len(in_one) < FEWEST_SUBJECTS:
            which = f"{len(in_one)} subjects are in only one of this entry and {other.name}"
            return f"the labels of this dataset are not public, and {which}: the difference of scores is theirs"
    return ""


def tested_subjects(folds: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the subjects that folds test, in any seed."""
    return {str(row["subject"]) for row in folds if row["role"] == "test"}


def redact_record(record: Record) -> Record:
    """Return the record without the parts that reveal labels."""
    return replace(
        record, predictions=Predictions.none(), labels=None, scores=Scores(redact_scores(record.scores)), history=()
    )


def redact_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return rounded scores without scores of folds, cuts, counts of comparisons and names of subjects. Confound-only
    models, and gains over them, keep the primary metric only. Models of `CONSTANT_MODELS` become undefined. Scores that
    were redacted before are returned unchanged."""
    public: dict[str, Any] = {name: _round_values(scores[name]) for name in _KEPT if name in scores}
    primary_metrics = scores["primary_metrics"]
    for control, by_target in public["confound_only"].items():
        for target, numbers in by_target.items():
            if control in CONSTANT_MODELS:
                by_target[target] = dict(_UNPUBLISHED)
            elif "undefined" not in numbers:
                primary_metric = primary_metrics[target]
                by_target[target] = {name: number for name, number in numbers.items() if name == primary_metric}
    for target, gain in public.get("calibration_gain", {}).items():
        primary_metric = primary_metrics[target]
        for name, gains in gain["compared_with"].items():
            gain["compared_with"][name] = {score: gap for score, gap in gains.items() if score == primary_metric}
    return public


def _round_values(value: Any) -> Any:
    """Return a part of scores.json with rounded numbers; a score of fewer than `FEWEST_SUBJECTS` is removed."""
    if isinstance(value, Mapping):
        if "mean" in value and value.get("subjects", FEWEST_SUBJECTS) < FEWEST_SUBJECTS:
            return dict(_UNPUBLISHED)
        if "mean" in value:
            return {**{n: _round_values(value[n]) for n in _KEPT_NUMBERS if n in value}, "left_out": []}
        return {name: _round_values(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [_round_values(inside) for inside in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def redact_audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return an audit's findings without numbers and names, which describe single subjects, folds or units."""
    findings = [{**{name: f[name] for name in ("check", "severity", "id")}, "evidence": {}} for f in audit["findings"]]
    public = {name: audit[name] for name in ("version", "run", "digests", "counts") if name in audit}
    if "digests" in public:  # a digest of labels would tell whether somebody has guessed them
        public["digests"] = {name: digest for name, digest in public["digests"].items() if name in ("folds", "code")}
    return {**public, "findings": findings, "measured": {}, "skipped": {}}


def redact_tuning(tuning: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choices of a tuned run without the scores of validation subjects behind them."""
    return {**tuning, "choices": [{**choice, "scores": []} for choice in tuning["choices"]]}


def find_revealing_part(folder: Path, run: Manifest, scores: Mapping[str, Any], audit: Mapping[str, Any] | None) -> str:
    """Return in words the first part of an entry that may reveal withheld labels; empty if there is none."""
    more = sorted({path.name for path in folder.iterdir()} - REDACTED_FILES)
    if more:
        return f"the file {more[0]}"
    if run.entry is None or run.entry.rows or run.entry.labels or run.entry.confound_only:
        return "predictions or labels, shared with other entries"
    tuned = parse_json(read_text(folder / TUNING_FILE)) if (folder / TUNING_FILE).is_file() else None
    if tuned is not None and redact_tuning(tuned) != tuned:
        return f"scores of validation subjects in {TUNING_FILE}"
    if redact_scores(scores) != scores:
        return "scores of folds, names of subjects, or more than three digits in scores.json"
    if audit is not None and redact_audit(audit) != audit:
        return "measurements in audit.json"
    return ""


def hash_labels(labels: Labels, key: bytes) -> str:
    """Return the text of `labels.hmac`: an HMAC of the sorted labels, and one of a constant, by which keys compare."""
    content = "\n".join(labels.lines()).encode()
    return f"labels {_hmac(key, content)}\nfiles {_hmac(key, _SAME_FILES)}\n"


def compare_label_hash(path: Path, labels: Labels, key: bytes) -> Literal["same", "other labels", "other files"]:
    """Compare labels with the HMAC in the file `path`. `other files`: it was made with another key, so labels cannot be
    compared.

    Raises:
        DataError: the file cannot be read, or lacks the lines of `hash_labels`.
    """
    try:
        lines = dict(line.split(" ", 1) for line in path.read_text(encoding="ascii").splitlines())
    except (OSError, ValueError) as error:
        raise DataError(f"the file of withheld labels cannot be read: {error}", where=str(path)) from error
    ours = dict(line.split(" ", 1) for line in hash_labels(labels, key).splitlines())
    if lines.keys() != ours.keys():
        raise DataError(
            "the file does not contain withheld labels", where=str(path), expected="the lines `labels` and `files`"
        )
    if not hmac.compare_digest(lines["files"], ours["files"]):
        return "other files"
    return "same" if hmac.compare_digest(lines["labels"], ours["labels"]) else "other labels"


def _hmac(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()
