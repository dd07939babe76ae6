"""Entries whose dataset's labels are not public: nothing in them from which labels could be computed.

Predictions and a score of them are an equation about the labels, and the rows of a leaderboard are many. So there are
no predictions, no score of a fold, a subject or a training part, and what remains has three digits.
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
from embench.records.audit import AUDIT_FILE, sealed_text
from embench.records.manifest import Manifest
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import TUNING_FILE, Record, read_folds, read_manifest
from embench.records.scores import Scores

SEAL_FILE = "labels.hmac"
DIGITS = 3
FEWEST_UNITS = 24
"""Labelled units that each fold has to test. Of fewer, all labelings can be tried one by one, in seconds."""
FEWEST_SUBJECTS = 5
"""Subjects that each published number is of, and by whom two entries of a dataset differ if they differ."""
FEWEST_FREE = 80
"""Labels that a seal has to be of; those of a subject who has one label alone count as one."""
SEALED_FILES = frozenset({"run.yaml", "scores.json", SEAL_FILE, AUDIT_FILE, TUNING_FILE})
_KEPT = (
    *("schema", "headlines", "level", "scores", "controls", "differences", "cleared_all", "not_cleared", "absent"),
    "personal",
)
_KEPT_NUMBERS = ("mean", "std", "low", "high", "subjects", "over")
CONSTANT_CONTROLS = frozenset({"majority", "prior"})
"""Controls that everybody can repeat without data: whoever draws the decisions of `prior` again learns from its
accuracy how many of them are right."""
_UNPUBLISHED = {"undefined": "not published, as labels could be told from it"}
_SAME_FILES = b"embench: the raw files of this dataset"


def why_labels_show(predictions: Predictions, labels: Labels) -> str:
    """The reason why labels could be derived from scores of these predictions, whatever is left out; empty if none."""
    known = set(zip(*(labels[name].tolist() for name in ("target", "unit", "seed")), strict=True))
    rows = predictions.take(predictions.rows_with(method=MODEL))
    tested: dict[tuple[str, int, int], int] = {}
    for target, seed, fold, unit in zip(*(rows[n].tolist() for n in ("target", "seed", "fold", "unit")), strict=True):
        labelled = (target, unit, ANY_SEED) in known or (target, unit, seed) in known
        tested[target, seed, fold] = tested.get((target, seed, fold), 0) + labelled
    n, (target, seed, fold) = min((n, place) for place, n in tested.items())
    why = "the labels of this dataset are not public, and"
    if n < FEWEST_UNITS:
        few = f"fold {fold} of seed {seed} tests {n} labelled units of {target}"
        few += f": labels can be told from scores of fewer than {FEWEST_UNITS}"
        return f"{why} {few}; use a protocol with larger folds"
    names = [labels[name].tolist() for name in ("target", "subject", "label")]
    of_subject: dict[tuple[str, str], list[float]] = {}
    for target, subject, label in zip(*names, strict=True):
        of_subject.setdefault((target, subject), []).append(label)
    free = sum(1 if len(set(own)) == 1 else len(own) for own in of_subject.values())
    return "" if free >= FEWEST_FREE else f"{why} only {free} of them are free: all labelings can be tried"


def why_a_difference_shows(folds: Iterable[Mapping[str, Any]], leaderboard: Path) -> str:
    """The reason why labels could be derived from the difference between the scores of an entry of these folds and of
    another one below the folder of a dataset's leaderboards; empty where there is none."""
    people = tested_subjects(folds)
    for other in [path.parent for path in sorted(leaderboard.glob("*/[!.]*/run.yaml"))]:
        apart = people ^ tested_subjects(read_folds(other, read_manifest(other)))
        if 0 < len(apart) < FEWEST_SUBJECTS:
            which = f"{len(apart)} subjects are in only one of this entry and {other.name}"
            return f"the labels of this dataset are not public, and {which}: the difference of scores is theirs"
    return ""


def tested_subjects(folds: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the subjects that folds test, in any seed."""
    return {str(row["subject"]) for row in folds if row["role"] == "test"}


def sealed(record: Record) -> Record:
    """The record without everything that reveals labels."""
    return replace(
        record, predictions=Predictions.none(), labels=None, scores=Scores(sealed_scores(record.scores)), history=()
    )


def sealed_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores without those of folds, cuts, counts of comparisons and names of subjects, rounded; of controls, and of
    gains over them, the headline alone, and nothing of those in `CONSTANT_CONTROLS`. Sealed ones stay as they are."""
    kept: dict[str, Any] = {name: _rounded(scores[name]) for name in _KEPT if name in scores}
    headlines = scores["headlines"]
    for control, by_target in kept["controls"].items():
        for target, numbers in by_target.items():
            if control in CONSTANT_CONTROLS:
                by_target[target] = dict(_UNPUBLISHED)
            elif "undefined" not in numbers:
                headline = headlines[target]
                by_target[target] = {name: number for name, number in numbers.items() if name == headline}
    for target, personal in kept.get("personal", {}).items():
        headline = headlines[target]
        for name, gains in personal["over"].items():
            personal["over"][name] = {score: gap for score, gap in gains.items() if score == headline}
    return kept


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "mean" in value and value.get("subjects", FEWEST_SUBJECTS) < FEWEST_SUBJECTS:
            return dict(_UNPUBLISHED)
        if "mean" in value:
            return {**{n: _rounded(value[n]) for n in _KEPT_NUMBERS if n in value}, "left_out": []}
        return {name: _rounded(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [_rounded(inside) for inside in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def sealed_audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    """An audit's findings without numbers and names, which are of single subjects, folds or units."""
    findings = [
        {
            "check": f["check"],
            "severity": f["severity"],
            "what": sealed_text(f["check"]),
            "evidence": {},
            "todo": f["todo"],
        }
        for f in audit["findings"]
    ]
    kept = {name: audit[name] for name in ("version", "run", "of", "counts") if name in audit}
    if "of" in kept:  # a digest of labels would tell whether somebody has guessed them
        kept["of"] = {name: digest for name, digest in kept["of"].items() if name in ("folds", "code")}
    return {**kept, "findings": findings, "measured": {}, "not_asked": {}}


def sealed_tuning(tuning: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of a tuned run without the scores, of a few validation subjects each, that they rest on."""
    return {**tuning, "choices": [{**choice, "scores": []} for choice in tuning["choices"]]}


def what_tells_labels(folder: Path, run: Manifest, scores: Mapping[str, Any], audit: Mapping[str, Any] | None) -> str:
    """The part of an entry's folder that must not be there if its labels are not public; empty where there is none."""
    more = sorted({path.name for path in folder.iterdir()} - SEALED_FILES)
    if more:
        return f"the file {more[0]}"
    if run.entry is None or run.entry.rows or run.entry.labels or run.entry.controls:
        return "predictions or labels, shared with other entries"
    tuned = parse_json(read_text(folder / TUNING_FILE)) if (folder / TUNING_FILE).is_file() else None
    if tuned is not None and sealed_tuning(tuned) != tuned:
        return f"scores of validation subjects in {TUNING_FILE}"
    if sealed_scores(scores) != scores:
        return "scores of folds, names of subjects, or more than three digits in scores.json"
    if audit is not None and sealed_audit(audit) != audit:
        return "measurements in audit.json"
    return ""


def seal_labels(labels: Labels, key: bytes) -> str:
    """The text of `labels.hmac`: an HMAC over the sorted labels, and one by which it shows whether somebody's raw files
    give the same key."""
    content = "\n".join(labels.lines()).encode()
    return f"labels {_hmac(key, content)}\nfiles {_hmac(key, _SAME_FILES)}\n"


def compare_seal(path: Path, labels: Labels, key: bytes) -> Literal["same", "other labels", "other files"]:
    """Compares labels with the seal in the file `path`; `other files` if it was made with another key, so that labels
    can't be compared.

    Raises:
        DataError: the file cannot be read, or is not a seal.
    """
    try:
        lines = dict(line.split(" ", 1) for line in path.read_text(encoding="ascii").splitlines())
    except (OSError, ValueError) as error:
        raise DataError(f"the file of withheld labels cannot be read: {error}", where=str(path)) from error
    ours = dict(line.split(" ", 1) for line in seal_labels(labels, key).splitlines())
    if lines.keys() != ours.keys():
        raise DataError(
            "the file does not contain withheld labels", where=str(path), expected="the lines `labels` and `files`"
        )
    if not hmac.compare_digest(lines["files"], ours["files"]):
        return "other files"
    return "same" if hmac.compare_digest(lines["labels"], ours["labels"]) else "other labels"


def _hmac(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()
