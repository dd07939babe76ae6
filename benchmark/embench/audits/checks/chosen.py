"""Check of a tuned run: each fold has the trial that is best by its own record, on validation subjects alone."""

from __future__ import annotations

from collections.abc import Iterator

from embench.audits.checks.evidence import RecordEvidence
from embench.errors import EmbenchError
from embench.interfaces.metric import Undefined
from embench.planning.tuning import Choice, Tuning, read_tuning
from embench.records.audit import AuditFinding, CheckResult
from embench.records.record import TUNING_FILE

_TODO = "tune again with `embench tune`, and test what it wrote"


def check_tuning(e: RecordEvidence) -> CheckResult | Undefined:
    """The settings of a tuned run are those that are best, by the scores in its record, on the validation subjects of
    each fold. Scores themselves are computed again where the run is retrained."""
    stated = e.record.run["config"].get("tuned")
    if stated is None:
        return Undefined("the run was not tuned")
    try:
        tuning = read_tuning(e.folder / TUNING_FILE)
    except EmbenchError as error:
        return CheckResult({}, (AuditFinding("severe", f"its choices cannot be read: {error.what}", {}, _TODO),))
    wrong = list(_wrong(e, tuning))
    if tuning.summary != stated:
        wrong.insert(0, "the choices are not those that the run was made with")
    figures = {"trials": tuning.search.trials, "choices": len(tuning.choices), "wrong": len(wrong)}
    if not wrong:
        return CheckResult(figures)
    what = f"settings were not chosen by validation subjects: {'; '.join(wrong[:3])}"
    return CheckResult(figures, (AuditFinding("severe", what, {**figures, "such as": wrong[:8]}, _TODO),))


def _wrong(e: RecordEvidence, tuning: Tuning) -> Iterator[str]:
    members: dict[tuple[int, int, str], set[str]] = {}
    for row in e.record.folds:
        if row["role"]:
            members.setdefault((int(row["seed"]), int(row["fold"]), row["role"]), set()).add(row["subject"])
    for choice in tuning.choices:
        train, val, test = (members.get((choice.seed, choice.fold, role), set()) for role in ("train", "val", "test"))
        if reason := _why_wrong(
            choice, val, test - train if e.record.run["config"].get("train_dataset") is None else set()
        ):
            yield f"seed {choice.seed}, fold {choice.fold}, {choice.target}: {reason}"


def _why_wrong(choice: Choice, val: set[str], test: set[str]) -> str:
    subjects = set(choice.subjects)
    if tested := subjects & test:
        return f"the setting was chosen on {min(tested)}, who is also a test subject of that fold"
    if others := subjects - val:
        return f"the setting was chosen on {min(others)}, who is not a validation subject of that fold"
    if choice.scores and choice.chosen != choice.best:
        return f"trial {choice.chosen} was taken, but trial {choice.best} was better"
    return ""
