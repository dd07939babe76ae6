"""Texts of audit findings, by check: an entry's `audit.json` may contain no others but their earlier wordings.

A field in braces stands for what the finding's evidence has under that name, or, where the evidence does not have it,
for a name or a number as in `SLOTS`. Severe findings are not among them: no leaderboard takes an entry with one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from string import Formatter
from typing import Any, NamedTuple

from embench.records.audit import Severity
from embench.records.earlier_texts import NAMES_THEN, NOT_ADDED, wordings
from embench.records.scores import Scores

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
