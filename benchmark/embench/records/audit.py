"""The record of an audit: findings with their evidence, and their texts by check."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any, Literal, NamedTuple

from embench.errors import CheckFailed, DataError
from embench.files import SEAL, DamagedError, parse_json, read_sealed_json, read_text, saving, sealed_json, write_text
from embench.records.manifest import check_texts
from embench.records.scores import Scores

# The record of an audit: findings with their evidence, measured figures, and the skipped checks.

AUDIT_FILE = "audit.json"
VERSION = 10
"""Increased when the same run and data give other findings, or the content of `audit.json` changes."""
BOUND_SINCE = 7
"""The version from which on an audit names, under `of`, digests of what it audited."""

Severity = Literal["severe", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "note")


@dataclass(frozen=True)
class AuditFinding:
    """`severe`: the scores do not mean what they seem to. `warning`: they may not. `note`: good to know.

    Args:
        what: one sentence. `evidence`: the numbers and names behind it. `todo`: what to do about it.
    """

    severity: Severity
    what: str
    evidence: Mapping[str, Any]
    todo: str


@dataclass(frozen=True)
class CheckResult:
    """Figures and findings of one check."""

    figures: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[AuditFinding, ...] = ()


@dataclass(frozen=True)
class Audit:
    """A complete audit. `checks`: check -> its figures and findings. `skipped`: check -> why it could not run, one
    reason a line. `of`: digests of what was audited (`embench.records.record.digests_of`), and of the audit's code."""

    run: str
    checks: Mapping[str, CheckResult]
    skipped: Mapping[str, str]
    of: Mapping[str, str] = field(default_factory=dict)

    @property
    def findings(self) -> list[tuple[str, AuditFinding]]:
        """(check, finding), the severe ones first."""
        found = [(name, finding) for name, checked in self.checks.items() for finding in checked.findings]
        return sorted(found, key=lambda pair: SEVERITIES.index(pair[1].severity))

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings of each severity."""
        return {s: sum(finding.severity == s for _, finding in self.findings) for s in SEVERITIES}

    def json(self) -> dict[str, Any]:
        """The content of `audit.json`."""
        content = {
            "version": VERSION,
            "run": self.run,
            "of": dict(self.of),
            "counts": self.counts,
            "findings": [{"check": name, **asdict(finding)} for name, finding in self.findings],
            "measured": {name: dict(checked.figures) for name, checked in self.checks.items()},
            "not_asked": dict(self.skipped),
        }
        plain: dict[str, Any] = json.loads(json.dumps(content, default=float))
        return plain


def write_audit(folder: Path, content: Mapping[str, Any]) -> Path:
    """Writes `audit.json`, of `Audit.json`, into a run's folder. Raises MachineError where the disk refuses."""
    path = Path(folder) / AUDIT_FILE
    with saving("the audit", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, sealed_json(content) + "\n")
    return path


def read_audit(folder: Path) -> dict[str, Any] | None:
    """The content of `audit.json`; None where a run was not audited. Raises DataError where the file is damaged,
    CheckFailed where it was edited."""
    path = Path(folder) / AUDIT_FILE
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = parse_json(read_text(path))
        if SEAL in content:
            content = read_sealed_json(path)
        if not {"version", "counts", "findings"} <= content.keys():
            raise ValueError("version, counts or findings are missing")
        if not all(isinstance(content["counts"][name], int) for name in SEVERITIES):
            raise ValueError(f"counts is not a whole number for each of {', '.join(SEVERITIES)}")
    except DamagedError as error:
        hint = "embench audit makes it again"
        raise CheckFailed("the audit was changed after it was written", where=str(path), hint=hint) from error
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"the audit cannot be read: {error}", where=str(path)) from error
    check_texts(content, str(path))
    return content


def skipped_lines(skipped: Mapping[str, str]) -> list[str]:
    """Each reason for which a check was skipped, with the check's name."""
    return [f"skipped: {name}: {line}" for name, reasons in skipped.items() for line in reasons.splitlines()]


def audit_status(content: Mapping[str, Any] | None) -> str:
    """An audit in a few words, for a table."""
    if content is None:
        return "not audited"
    counts = content["counts"]
    return format_counts({name: counts[name] for name in ("severe", "warning") if counts[name]}) or "nothing found"


def format_counts(counts: Mapping[str, int]) -> str:
    """Severity -> how many, in words: `1 severe, 2 warnings`."""
    return ", ".join(f"{n} {name}" + "s" * (n != 1 and name != "severe") for name, n in counts.items())


# Earlier wordings of audit findings, as published entries have them. Read only: nothing writes them any more.

EARLIER: Mapping[str, tuple[str, ...]] = {
    "the scores follow the time since the start: report": ("the scores follow the clock: report",),
    "do not present this score as evidence of a physiological effect": ("claim nothing of the body by this score",),
    "proportion of the session that has passed": ("share of the session that is over",),
    "at a similar length of the session": ("at a like length of the session",),
    "position in the files": ("place in the files",),
    "differ from those that the rules of the dataset card make": ("differ from those that the card's rules make",),
    "the data on this machine, or the code that prepares them, differ from those of the run": (
        "the data here, or the code that prepares them, are not those of the run",
    ),
    "part of the score depends on which session is longer: report the balanced score too": (
        "part of the score comes from whose session is longer: present the balanced score beside it",
    ),
    "report this with the method: the statistic alone predicts nearly as well": (
        "say so where the method is presented: this statistic alone tells nearly as much",
    ),
    "{not_associated}": ("{not_added}",),
    "the score is not above these confound-only models, by the interval of the difference: {listed}": (
        "the method is not shown to be better than {listed}",
        "the method is not shown to lie above {listed}",
    ),
    "confound-only models that score higher than the method": ("controls that score higher than the method",),
    "on average, more than expected by chance": ("on the average, beyond what is luck",),
    "use scores as ranks only: decisions, F1 and accuracy depend on a threshold that does not fit": (
        "use scores as ranks only: decisions, F1 and accuracy depend on a cut that does not fit",
        "read scores as ranks; decisions, F1 and accuracy hang on a cut that does not fit",
    ),
    "the same validation subjects were used for {n} decisions": ("the same validation people decided {n} things",),
    "test scores are not affected; scores of --dev runs are too high": (
        "nothing is wrong with the test scores; scores of --dev runs are too good",
    ),
    "{tried} methods, including this one, were scored on these test subjects": (
        "{tried} methods were scored on these test people before or with this one",
    ),
    "compare methods with --dev, and evaluate on the test labels once": (
        "choose among methods with --dev, and open the test labels once",
    ),
}
"""Part of a text of today -> what stood in its place."""

NOT_ADDED = "on {target}, the method is not shown to add to {given}"
NAMES_THEN = {
    "time and movement": "clock and movement",
    "the protocol phase": "clock and movement",
    "the time since the start": "the clock",
}
"""Confounds -> what `NOT_ADDED` called them: two levels by one name, so that the entry's scores tell which is meant."""


def wordings(template: str) -> Iterator[str]:
    """A text, then its earlier wordings."""
    yield template
    for now, earlier in EARLIER.items():
        if now in template:
            yield from (template.replace(now, before) for before in earlier)


# Texts of audit findings, by check: an entry's `audit.json` may contain no others but their earlier wordings.
#
# A field in braces stands for what the finding's evidence has under that name, or, where the evidence does not have it,
# for a name or a number as in `SLOTS`. Severe findings are not among them: no leaderboard takes an entry with one.

FoundNumbers = Mapping[str, Any]
SLOTS: Mapping[str, str] = {
    "n": r"\d{1,9}",
    "of": r"\d{1,9}",
    "pairs": r"[\w .,+()-]{1,500}",
    "access": "none|baseline|unlabelled",
}
"""A field's name -> what may stand there; by default a name as in `_NAME`."""
_NAME = r"[\w.+\[\]-]{1,200}"
SPLIT = "split by subject and group, then train and score again"
CLOCK = (
    "the scores follow the time since the start: report auroc_crossed_matched, and remove trends and trial order from "
    "the input"
)
NO_EFFECT = "do not present this score as evidence of a physiological effect"
STIMULUS_MEAN = (
    "the scores may show which stimulus was presented: rely on the stimulus-matched metric, and test on stimuli that "
    "were not trained on"
)
FITTING = "try a lower learning rate, more epochs or less regularisation"
LEARNING = "try class weights, a lower learning rate or more epochs; never rank by accuracy or f1_weighted"


class FindingText(NamedTuple):
    """`severities`: those that the finding may have, beside severe. `values`: fields that follow from the evidence and
    are not in it."""

    severities: tuple[Severity, ...]
    what: str
    todo: str
    values: Callable[[FoundNumbers], FoundNumbers] = dict

    def now(self, what: str, evidence: FoundNumbers) -> str | None:
        """The text in its wording of today; None where a finding with this evidence has another text."""
        for template in wordings(self.what):
            try:
                known = {**evidence, **self.values(evidence)}
                pattern = "".join(_pieces(template, known))
            except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
                continue  # the evidence lacks a number, or has something else in its place
            if (found := re.fullmatch(pattern, what)) and template == self.what:
                return what
            elif found:
                slots = [name for _, name, _, _ in Formatter().parse(template) if name and name not in known]
                return self.what.format_map({**dict(zip(slots, found.groups(), strict=True)), **known})
        return None


def _pieces(template: str, known: FoundNumbers) -> Iterator[str]:
    for plain, name, form, _ in Formatter().parse(template):
        yield re.escape(plain)
        if name is not None:
            yield re.escape(format(known[name], form or "")) if name in known else f"({SLOTS.get(name, _NAME)})"


def _explained(what: str, todo: str) -> tuple[FindingText, FindingText]:
    """Texts for scores explained by `what`, with the AUROC that it has alone and without one."""

    def values(evidence: FoundNumbers) -> FoundNumbers:
        return {"share": evidence["share explained"], "area": evidence["auroc of what explains"]}

    alone = f"the {what} explains {{share:.0%}} of the variance of scores of {{target}}"
    both = alone + ", and alone has an AUROC of {area:.2f}"
    return FindingText(("warning",), both, todo, values), FindingText(("warning",), alone, todo, values)


def not_associated(target: str, at: FoundNumbers, given: str) -> str:
    """A sentence on a target whose label is not shown to go with the scores after adjustment.

    Args:
        at: what was found at a level of confounds, as `scores.json` has it. `given`: the confounds.
    """
    effect = at["effect"]
    if effect["mean"] is None:
        figures = "partial r undefined"
    else:
        mean, low, high = (f"{round(effect[name], 2) + 0.0:.2f}" for name in ("mean", "low", "high"))
        figures = f"partial r {mean} ({low} to {high})"
        if effect["low"] > 0:
            figures += ", but another condition of the test fails"
    return f"given {given}, an association of the scores with {target} is not shown: {figures}"


def _not_associated(given: str) -> FindingText:
    def values(evidence: FoundNumbers) -> FoundNumbers:
        return {
            "not_associated": "; ".join(not_associated(target, at, given) for target, at in evidence.items()),
            "not_added": "; ".join(NOT_ADDED.format(target=target, given=NAMES_THEN[given]) for target in evidence),
        }

    return FindingText(("warning",), "{not_associated}", NO_EFFECT, values)


def _listed(name: str) -> Callable[[FoundNumbers], FoundNumbers]:
    return lambda evidence: {"listed": ", ".join(evidence[name]), "n": len(evidence[name])}


_MOMENTS = "the scores identify the subject, not the state: compare moments within a subject (auroc_within)"
_STIMULI = "the scores identify the stimulus: report auroc_crossed, and split by stimulus too"
_CROP = "the scores follow the length of a recording: crop all to one length (view.length=common)"
_SHUFFLE = "the scores or labels follow the order of the files: shuffle the input, and find where the order enters"
_PLACES = (
    "time since the start", "proportion of the session that has passed", "time to the end of the session",
    "length of the session", "time since the start at a similar length of the session",
)  # fmt: skip
_OTHERS = "pretrain on other subjects, or on each fold's training subjects (no source after the pretrainer's name)"

FINDING_TEXTS: Mapping[str, tuple[FindingText, ...]] = {
    "people": (
        FindingText(("note",), "{n} subjects are in both training and test of a fold", SPLIT),
        FindingText(
            ("note",), "{n} test subjects were recorded together with training subjects of their fold", SPLIT
        ),
        FindingText(
            ("note",),
            "{n} subjects or groups are tested in several folds of a seed, so other folds trained on them",
            SPLIT,
        ),
    ),
    "partition": (
        FindingText(
            ("warning",),
            "{n} subjects are tested in folds other than those of {protocol}",
            "run again with this protocol: runs with other folds cannot be compared with leaderboard entries",
        ),
    ),
    "samples": (
        FindingText(
            ("note",),
            "{n} units share raw samples with units that another fold of the seed tests",
            "cut units that do not overlap, or keep each recording in one fold",
        ),
    ),
    "copies": (
        FindingText(
            ("note",),
            "{n} pairs of subjects have the same signals: {pairs}",
            "find out which subject was recorded, and exclude the copy: it is in training where its original is in "
            "test",
        ),
    ),
    "pretraining": (
        FindingText(("warning",), "pretraining used signals of test subjects, without labels", _OTHERS),
        FindingText(
            ("warning",), "the subjects that the pretrained weights were trained on are unknown", _OTHERS
        ),
    ),
    "labels": (
        FindingText(
            ("warning",),
            "{n} of {of} labels differ from those that the rules of the dataset card make",
            "score again against the labels of the data: `embench score predictions.csv.gz --dataset ..`",
        ),
    ),
    "access": (
        FindingText(
            ("warning",),
            "the record states access `{access}` to data of test subjects, but its protocol gives `{access}`",
            "run again, or correct the record: entries with different access are not ranked together",
        ),
        FindingText(
            ("note",),
            "the data on this machine, or the code that prepares them, differ from those of the run",
            "audit with the data of the run: --data-root",
        ),
    ),
    "person": _explained("subject", _MOMENTS),
    "stimulus": (
        *_explained("stimulus", _STIMULI),
        FindingText(
            ("warning",),
            "scores of {target} follow the mean label of the stimulus, r = {r:.2f} within subjects; given "
            "the stimulus, their partial r with the label is {partial:.2f}",
            STIMULUS_MEAN,
            lambda evidence: {"partial": evidence["partial r"]},
        ),
    ),
    "length": _explained("length of the recording", _CROP),
    "order": (
        *_explained("position in the files", _SHUFFLE),
        FindingText(
            ("note",),
            "labels of {target} follow the order of the files, because all subjects had the tasks in the same order",
            CLOCK,
        ),
    ),
    "clock": tuple(text for place in _PLACES for text in _explained(place, CLOCK)),
    "balance": (
        FindingText(
            ("warning",),
            "auroc_crossed_matched of {target} is {gap:.3f} above auroc_crossed_balanced",
            "part of the score depends on which session is longer: report the balanced score too",
            lambda evidence: {"gap": evidence["matched"] - evidence["balanced"]},
        ),
    ),
    "one_statistic": (
        FindingText(
            ("note",),
            "scores of {target} order moments within subjects as the {statistic} of {signal} does, channel {channel}: "
            "rank correlation {rank correlation:.3f}",
            "report this with the method: the statistic alone predicts nearly as well",
        ),
    ),
    "controls": (
        *map(_not_associated, NAMES_THEN),
        FindingText(
            ("warning",),
            "the score is not above these confound-only models, by the interval of the difference: {listed}",
            NO_EFFECT,
            _listed("differences"),
        ),
        FindingText(
            ("warning",),
            "confound-only models that score higher than the method, by the interval of the difference: {listed}",
            NO_EFFECT,
            _listed("differences"),
        ),
    ),
    "suspicious": (
        FindingText(
            ("warning", "note"),
            "auroc_within of {target} is {standard errors:.1f} paired standard errors above {best other}",
            "look for leaks in the signals (triggers, stimulus sound, gaps, padding), then run with `--retrain`",
        ),
    ),
    "shift": (
        FindingText(
            ("warning",),
            "auroc_within of {target} is above .5 by its interval, but no higher than with shifted labels",
            "treat the score as no effect: scores and labels both change slowly over time, and agree by chance",
        ),
    ),
    "seeds": (
        FindingText(
            ("warning",),
            "seeds {n} and {of} differ on {target}, consistently over subjects",
            "check the training history of the worse seed; run more seeds, and report their spread",
        ),
    ),
    "collapse": (
        FindingText(("warning",), "scores of {target} are constant in {constant} of {folds} folds", LEARNING),
        FindingText(("warning",), "values of {target} are constant in {constant} of {folds} folds", FITTING),
        FindingText(
            ("warning",), "nearly all decisions on {target} are one class in {one class} of {folds} folds", LEARNING
        ),
    ),
    "calibration": (
        FindingText(
            ("warning",),
            "probabilities of {target} are off by {off:.2f} on average, more than expected by chance",
            "use scores as ranks only: decisions, F1 and accuracy depend on a threshold that does not fit",
            lambda evidence: {"off": evidence["ece"] - evidence["of right probabilities"]},
        ),
    ),
    "probes": (
        FindingText(
            ("note",),
            "a linear probe predicts the {probed} from the embeddings of {target}: {score:.0%} correct, "
            "{chance:.0%} by chance",
            "not a fault in itself, but scores across subjects or stimuli may rest on it: check auroc_crossed",
            lambda evidence: {"score": next(iter(evidence.values()))},
        ),
    ),
    "validation": (
        FindingText(
            ("note",),
            "the same validation subjects were used for {n} decisions: {listed}",
            "test scores are not affected; scores of --dev runs are too high",
            _listed("uses"),
        ),
        FindingText(
            ("note",),
            "{tried} methods, including this one, were scored on these test subjects",
            "compare methods with --dev, and evaluate on the test labels once",
        ),
    ),
    "permuted_labels": (
        FindingText(
            ("warning", "note"),
            "{n} of {of} runs on permuted labels score as high on {target} as the real one",
            "treat the score as no effect",
        ),
    ),
}  # fmt: skip


def sealed_text(check: str) -> str:
    """The text of a finding in an entry whose labels are not public."""
    return f"the check `{check}` found something; what it measured is not published, as the labels are not"


def wrong_text(finding: Mapping[str, Any]) -> str | None:
    """The field of a finding, not a severe one, that says what no audit says; None where there is none."""
    texts = FINDING_TEXTS.get(finding["check"])
    if texts is None:
        return "check"
    what, evidence = str(finding["what"]), finding["evidence"]
    if not evidence and what == sealed_text(finding["check"]):
        fitting = texts
    elif not (fitting := tuple(text for text in texts if text.now(what, evidence) is not None)):
        return "what"
    if not any(finding["todo"] in wordings(text.todo) for text in fitting):
        return "todo"
    return None if any(finding["severity"] in text.severities for text in fitting) else "severity"


def reworded(finding: Mapping[str, Any], scores: Scores | None = None) -> dict[str, Any]:
    """A finding in the wording of today; one that says what no audit says, or a severe one, as it is. `scores`: those
    that were audited, which tell the level of confounds."""
    what, todo, evidence = (finding.get(name) for name in ("what", "todo", "evidence"))
    found: dict[str, Any] = dict(finding)
    for text in FINDING_TEXTS.get(str(finding.get("check")), ()):
        is_told = isinstance(evidence, Mapping) and (now := text.now(str(what), evidence)) is not None
        if is_told:
            found["what"] = now
        if str(todo) in wordings(text.todo):
            found["todo"] = text.todo
        if is_told:
            break
    if found.get("check") == "controls" and scores and isinstance(evidence, Mapping):
        named = {adds.confounds for target in evidence if (adds := scores.adds(target))}
        if named == {"the protocol phase"}:
            found["what"] = str(found["what"]).replace("given time and movement", "given the protocol phase")
    return found
