"""The texts of audit findings by id, rendered from the evidence, and the values that evidence may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from embench.reasons import Reason, read_values
from embench.records.scores import confounds_in_words

Severity = Literal["severe", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "note")

FoundValues = Mapping[str, Any]


class FindingText(NamedTuple):
    """The texts of a kind of finding.

    Args:
        check: the check that finds it. `severities`: the severities that such a finding may have.
        what: template of the sentence on what was found. Names in braces are values of the evidence or of `values`.
        todo: the advice on what to do about the finding.
        evidence: names of the values in the evidence, see `EVIDENCE_KINDS`.
        values: function from the evidence to further values for the template.
    """

    check: str
    severities: tuple[Severity, ...]
    what: str
    todo: str
    evidence: tuple[str, ...]
    values: Callable[[FoundValues], FoundValues] = dict

    def render(self, evidence: FoundValues) -> str:
        """Return the sentence `what` with values of the evidence. Raises KeyError, TypeError or ValueError if the
        evidence lacks such values."""
        evidence = read_values(dict(evidence))
        return self.what.format_map({**evidence, **self.values(evidence)})


# Valid values of evidence. Strings that sentences show are names, or words of a closed list.

_NAME = re.compile(r"[\w.+\[\]-]{1,200}")
_CHANNEL = re.compile(r"[\w .,+()\[\]-]{1,80}")
_PAIR = re.compile(r"[\w .+()-]{1,200}")
_DATASET = re.compile(r"[\w.+/-]{1,200}")
_MODEL = re.compile(r"(?:baseline )?[\w.+\[\]-]{1,200}")
ACCESS = ("none", "baseline", "unlabelled")
STATISTICS = ("mean", "SD", "minimum", "maximum", "range", "slope")
PLACES = {
    "time_since_start": "time since the start",
    "proportion_of_session": "proportion of the session that has passed",
    "time_to_end": "time to the end of the session",
    "session_length": "length of the session",
    "time_at_similar_length": "time since the start at a similar length of the session",
}
"""Id of a place in a session -> its name in sentences."""
_SEEN = {
    "unlabelled": "signals of the tested subjects were seen",
    "labelled": "labels of the tested subjects were seen",
    "undisclosed": "it is unknown what was seen of the tested subjects",
}
_LEVELS = ("movement", "protocol_phase", "small_study")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**9


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e12


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_one(words: tuple[str, ...] | Mapping[str, str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def _is_list(is_item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(is_item, value))


def _is_mapping(is_item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Mapping) and all(_is_name(k) and is_item(v) for k, v in value.items())


_PARTIAL = ("partial_r", "low_of_partial_r", "high_of_partial_r")
_is_name = _matches(_NAME)


def _is_adjusted(value: Any) -> bool:
    if not isinstance(value, Mapping) or value.keys() != {"level", "has_movement", *_PARTIAL}:
        return False
    figures = all(_is_number_or_none(value[name]) for name in _PARTIAL)
    return figures and value["level"] in _LEVELS and type(value["has_movement"]) is bool


def _is_reason(value: Any) -> bool:
    try:
        return isinstance(read_values(value), Reason)
    except ValueError:
        return False


def _is_plain(value: Any) -> bool:
    """Return True for any JSON value, however nested. It is used for evidence that no message of a finding contains."""
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float | None)


_KINDS: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (
        _is_count,
        (
            "n of seed other_seed folds constant one_class methods_evaluated test_evaluations labels_compared differ "
            "not_in_data missing buffers same_in_all_folds stages methods trials choices_made n_pairs wrong fold"
        ),
    ),
    (
        _is_number,
        (
            "proportion_explained r partial_r matched balanced rank_correlation difference standard_errors p ece "
            "expected_by_chance score chance mean real auroc proportion with_subject without_subject"
        ),
    ),
    (_is_number_or_none, "low proportion_explained_in_class auroc_of_confound low_of_partial_r high_of_partial_r"),
    (_is_name, "target protocol subject signal metric primary_metric modality"),
    (_is_list(_is_name), "stopped_early kinds"),
    (_is_list(_matches(_PAIR)), "pairs"),
    (_is_mapping(_is_number), "auroc_of_seeds"),
    (_is_mapping(_is_adjusted), "targets"),
    (_is_list(_is_number), "permuted"),
    (_matches(_CHANNEL), "channel"),
    (_matches(_MODEL), "best_other"),
    (_matches(_DATASET), "dataset"),
    (_is_one(ACCESS), "stated_access access"),
    (_is_one(STATISTICS), "statistic"),
    (_is_one(PLACES), "place"),
    (_is_one(("subject", "stimulus")), "predicted"),
    (_is_one(_SEEN), "saw"),
    (_is_list(_is_reason), "statements"),
    (_is_reason, "reason"),
    (
        _is_plain,
        (
            "units subjects groups stimuli matches weights examples recorded here ledger windows labels_public "
            "withheld_digest sources pretraining_overlap has_baseline"
        ),
    ),
)
EVIDENCE_KINDS: Mapping[str, Callable[[Any], bool]] = {name: kind for kind, names in _KINDS for name in names.split()}
"""Name of a value in the evidence -> function that returns True for valid values. The free sentences `statements` and
`reason` occur only in severe findings, which no leaderboard accepts."""

_SEVERE: tuple[Severity, ...] = ("severe",)
_WARNING: tuple[Severity, ...] = ("warning",)
_NOTE: tuple[Severity, ...] = ("note",)
_NOTE_OR_SEVERE: tuple[Severity, ...] = ("note", "severe")


def _text(
    check: str,
    severities: tuple[Severity, ...],
    what: str,
    todo: str,
    evidence: str,
    values: Callable[[FoundValues], FoundValues] = dict,
) -> FindingText:
    """Return the texts of a finding. `evidence`: names of the values, separated by spaces; see `FindingText`."""
    return FindingText(check, severities, what, todo, tuple(evidence.split()), values)


def _list_first(name: str, most: int, between: str) -> Callable[[FoundValues], FoundValues]:
    """Return a function from evidence to `listed`: the first `most` texts of the value `name`, joined by `between`."""
    return lambda evidence: {"listed": between.join(evidence[name][:most])}


def _make_explained_text(check: str, name: str, todo: str, more: str = "") -> FindingText:
    """Return the texts for scores that a confound (`name`) explains, with the confound's own AUROC if there is one."""

    def values(evidence: FoundValues) -> FoundValues:
        auroc = evidence["auroc_of_confound"]
        alone = "" if auroc is None else f", and alone has an AUROC of {auroc:.2f}"
        return {"alone": alone, "place": PLACES.get(evidence.get("place", ""))}

    return _text(
        check,
        ("severe", "warning"),
        f"the {name} explains {{proportion_explained:.0%}} of the variance of scores of {{target}}{{alone}}",
        todo,
        f"target proportion_explained proportion_explained_in_class auroc_of_confound{more}",
        values,
    )


def _describe_unassociated(target: str, at: FoundValues) -> str:
    """Return a clause: an association of the scores with a target is not shown. `at`: name -> figure of the target's
    confound analysis."""
    given = confounds_in_words(at["level"], has_movement=at["has_movement"])
    if at["partial_r"] is None:
        figures = "partial r undefined"
    elif at["low_of_partial_r"] is None:
        figures = f"partial r {at['partial_r']:.2f}, without an interval"
    else:
        mean, low, high = (f"{round(at[name], 2) + 0.0:.2f}" for name in _PARTIAL)  # adding 0 avoids -0.00
        figures = f"partial r {mean} ({low} to {high})"
        if at["low_of_partial_r"] > 0:
            figures += ", but another condition of the test fails"
    return f"given {given}, an association of the scores with {target} is not shown: {figures}"


def _describe_stopping(evidence: FoundValues) -> FoundValues:
    """Return the number of parts that stopped early, and the parts in words."""
    names = evidence["stopped_early"]
    return {"n": len(names), "listed": ", ".join(f"when to stop {name}" for name in names)}


def _describe_stages(evidence: FoundValues) -> FoundValues:
    """Return the kinds of stages in words, with a clause on the recordings of pretraining."""
    kinds = evidence["kinds"]
    more = "; pretraining used recordings other than those of the training subjects" if "pretrain" in kinds else ""
    return {"listed": ", ".join(kinds), "more": more}


_SPLIT = "split by subject and group, then train and score again"
_TIME = (
    "the scores follow the time since the start: report auroc_crossed_matched, and remove trends and trial order from "
    "the input"
)
_ORDER = "the scores or labels follow the order of the files: shuffle the input, and find where the order enters"
_NO_EFFECT = "do not present this score as evidence of a physiological effect"
_FITTING = "try a lower learning rate, more epochs or less regularisation"
_LEARNING = "try class weights, a lower learning rate or more epochs; never rank by accuracy or f1_weighted"
_OTHERS = "pretrain on other subjects, or on each fold's training subjects (no source after the pretrainer's name)"
_SCORE_AGAIN = "score again, with the same `embench run` or `embench score` command"
_PUBLISH_AGAIN = "publish the run again: `embench leaderboard build --from RUNS`"
_OWN_STATISTICS = (
    "fit normalisation statistics in `fit_stats`, on the training subjects of each fold only, and train again"
)
_TUNE_AGAIN = "tune again with `embench tune`, and test what it wrote"
_LEAK = "test labels reach the method by some way other than its training labels: find it"

FINDINGS: Mapping[str, FindingText] = {
    # splits, units, pretraining and tuning
    "shared_subjects": _text(
        "subjects", _NOTE_OR_SEVERE, "{n} subjects are in both training and test of a fold", _SPLIT, "n subjects"
    ),
    "shared_groups": _text(
        "subjects",
        _NOTE_OR_SEVERE,
        "{n} test subjects were recorded together with training subjects of their fold",
        _SPLIT,
        "n subjects groups",
    ),
    "untested_subjects": _text(
        "subjects",
        _SEVERE,
        "{n} subjects are predicted in folds that, by folds.csv, do not test them",
        "find out which folds the predictions come from",
        "n subjects",
    ),
    "several_folds": _text(
        "subjects",
        _NOTE_OR_SEVERE,
        "{n} subjects or groups are tested in several folds of a seed, so other folds trained on them",
        _SPLIT,
        "n subjects",
    ),
    "other_folds": _text(
        "partition",
        _WARNING,
        "{n} subjects are tested in folds other than those of {protocol}",
        "run again with this protocol: runs with other folds cannot be compared with leaderboard entries",
        "n protocol subjects",
    ),
    "unknown_units": _text(
        "samples",
        _SEVERE,
        "{n} predicted units do not exist in the data under this protocol",
        "predict the units of the protocol: `embench data labels DATASET --units FILE.csv` lists them",
        "n units",
    ),
    "calibration_units": _text(
        "samples",
        _SEVERE,
        "{n} predicted units are calibration data of their subjects, or too near to them",
        "predict only the scored units: at least one block and the guard gap after the calibration data",
        "n units",
    ),
    "other_units": _text(
        "samples",
        _SEVERE,
        "{n} units have another subject, recording or stimulus than in the data",
        "join predictions and units again, by id",
        "n units",
    ),
    "shared_samples": _text(
        "samples",
        _NOTE_OR_SEVERE,
        "{n} units share raw samples with units that another fold of the seed tests",
        "cut units that do not overlap, or keep each recording in one fold",
        "n units",
    ),
    "shared_stimuli": _text(
        "samples",
        _SEVERE,
        "{n} stimuli are in both training and test of a fold",
        "split by stimulus as well, as the protocol requires",
        "n stimuli",
    ),
    "copied_signals": _text(
        "copies",
        _NOTE_OR_SEVERE,
        "{n_pairs} pairs of subjects have the same signals: {listed}",
        "find out which subject was recorded, and exclude the copy: it is in training where its original is in test",
        "n_pairs pairs windows matches",
        _list_first("pairs", 5, ", "),
    ),
    "pretrained_on_labels": _text(
        "pretraining", _SEVERE, "pretraining used labels of test subjects", _OTHERS, "pretraining_overlap"
    ),
    "pretrained_on_signals": _text(
        "pretraining",
        _WARNING,
        "pretraining used signals of test subjects, without labels",
        _OTHERS,
        "pretraining_overlap",
    ),
    "unknown_pretraining": _text(
        "pretraining",
        _WARNING,
        "the subjects that the pretrained weights were trained on are unknown",
        _OTHERS,
        "pretraining_overlap",
    ),
    "unknown_pretraining_of_file": _text(
        "pretraining",
        _NOTE,
        "a file of predictions does not show what its method was pretrained on",
        "report it with the score, and state that it contained no tested subject",
        "pretraining_overlap",
    ),
    "undeclared_dataset": _text(
        "pretraining",
        _SEVERE,
        "pretraining used the tested dataset, but the record states no overlap",
        "pretrain on other subjects",
        "sources subjects",
    ),
    "undeclared_weights": _text(
        "pretraining",
        _SEVERE,
        "{words} by the weights of {modality}, but the record states no overlap",
        "use other weights",
        "modality weights saw",
        lambda evidence: {"words": _SEEN[evidence["saw"]]},
    ),
    "pretrained_on_copies": _text(
        "pretraining",
        _SEVERE,
        "the pretraining data {dataset} contain signals of {n} test subjects",
        "pretrain without these subjects, or test others",
        "n dataset subjects matches",
    ),
    "unreadable_choices": _text("tuning", _SEVERE, "its choices cannot be read: {reason}", _TUNE_AGAIN, "reason"),
    "wrong_choices": _text(
        "tuning",
        _SEVERE,
        "settings were not chosen by validation subjects: {listed}",
        _TUNE_AGAIN,
        "trials choices_made wrong statements",
        _list_first("statements", 3, "; "),
    ),
    "other_choices": _text(
        "choices",
        _SEVERE,
        "validation scores that decided between trials are others here: {listed}",
        _TUNE_AGAIN,
        "trials seed fold differ statements",
        _list_first("statements", 3, "; "),
    ),
    # contents of the record
    "other_statistics": _text(
        "statistics",
        _SEVERE,
        "normalisation statistics of the networks differ from those of their training subjects",
        _OWN_STATISTICS,
        "buffers differ same_in_all_folds examples",
    ),
    "statistics_of_all_subjects": _text(
        "statistics",
        _SEVERE,
        "signals or features were normalised by statistics of all subjects, including test subjects",
        _OWN_STATISTICS,
        "buffers differ same_in_all_folds examples",
    ),
    "other_stages": _text(
        "stages",
        _SEVERE,
        "{differ} stages ({listed}) were not trained on the data that the protocol gives them{more}",
        "delete the run and its stages, and run again with an unchanged embench",
        "stages differ kinds examples",
        _describe_stages,
    ),
    "other_labels": _text(
        "labels",
        ("severe", "warning"),
        "{n} of {of} labels differ from those that the rules of the dataset card make",
        "score again against the labels of the data: `embench score predictions.csv.gz --dataset ..`",
        "n of labels_compared differ not_in_data missing units",
    ),
    "labels_missing": _text(
        "labels",
        _SEVERE,
        "the labels of this dataset are public, but the record does not contain them",
        _PUBLISH_AGAIN,
        "labels_public",
    ),
    "labels_not_withheld": _text(
        "labels",
        _SEVERE,
        "the labels of this dataset are not public, and the record has labels, or predictions that reveal them",
        f"delete the entry, also from the history of the repository; {_PUBLISH_AGAIN}",
        "labels_public",
    ),
    "digest_missing": _text(
        "labels", _SEVERE, "the digest of the withheld labels is missing", _PUBLISH_AGAIN, "labels_public"
    ),
    "other_withheld_labels": _text(
        "labels",
        _SEVERE,
        "the labels that the run was scored against are not those of the data",
        "find out which labels they are, and publish a run that was scored against those of the data",
        "labels_compared withheld_digest",
    ),
    "other_scores": _text(
        "scores",
        _SEVERE,
        "{differ} recorded scores do not follow from the record's own predictions and labels",
        _SCORE_AGAIN,
        "methods differ examples",
    ),
    "uncounted_units": _text(
        "unpredicted", _SEVERE, "{listed}", _SCORE_AGAIN, "n statements", _list_first("statements", 3, "; ")
    ),
    "contradictions": _text(
        "statements",
        _SEVERE,
        "the record contradicts itself, or what was published: {listed}",
        "restore the record as the run wrote it, or run again",
        "statements",
        _list_first("statements", 3, "; "),
    ),
    "other_access": _text(
        "access",
        ("severe", "warning"),
        "the record states access `{stated_access}` to data of test subjects, but its protocol gives `{access}`",
        "run again, or correct the record: entries with different access are not ranked together",
        "stated_access access",
    ),
    "other_rules": _text(
        "access",
        _SEVERE,
        "the rules of the protocol differ from those published as {protocol}",
        "give changed rules a name of their own, and run again",
        "protocol recorded here",
    ),
    "other_data": _text(
        "access",
        _NOTE,
        "the data on this machine, or the code that prepares them, differ from those of the run",
        "audit with the data of the run: --data-root",
        "recorded here",
    ),
    "reused_validation": _text(
        "validation",
        _NOTE,
        "the same validation subjects were used for {n} decisions: {listed}",
        "test scores are not affected; scores of --dev runs are too high",
        "stopped_early",
        _describe_stopping,
    ),
    "many_methods": _text(
        "validation",
        _NOTE,
        "{methods_evaluated} methods, including this one, were scored on these test subjects",
        "compare methods with --dev, and evaluate on the test labels once",
        "methods_evaluated test_evaluations",
    ),
    "many_methods_dev": _text(
        "validation",
        _NOTE,
        "{methods_evaluated} methods were scored on these test subjects",
        "compare methods with --dev, and evaluate on the test labels once",
        "methods_evaluated test_evaluations",
    ),
    "many_files": _text(
        "validation",
        _NOTE,
        "{methods_evaluated} methods, including this one, were scored on these test subjects",
        "choose among methods by validation inside the training subjects of each fold, and score only the file of "
        "the chosen method: each file that is scored counts",
        "methods_evaluated test_evaluations",
    ),
    "other_counts": _text(
        "validation",
        _SEVERE,
        "the record and the evaluation log differ in the number of test-set evaluations or methods",
        "run the same command again into another folder",
        "ledger recorded",
    ),
    # confounds
    "explained_by_subject": _make_explained_text(
        "subject",
        "subject",
        "the scores identify the subject, not the state: compare moments within a subject (auroc_within)",
    ),
    "explained_by_stimulus": _make_explained_text(
        "stimulus",
        "stimulus",
        "the scores identify the stimulus: report auroc_crossed, and split by stimulus too",
    ),
    "follows_stimulus_mean": _text(
        "stimulus",
        _WARNING,
        "scores of {target} follow the mean label of the stimulus, r = {r:.2f} within subjects; given the "
        "stimulus, their partial r with the label is {partial_r:.2f}",
        "the scores may show which stimulus was presented: rely on the stimulus-matched metric, and test on "
        "stimuli that were not trained on",
        "target r low partial_r low_of_partial_r high_of_partial_r",
    ),
    "explained_by_time": _make_explained_text("time", "{place}", _TIME, " place"),
    "explained_by_length": _make_explained_text(
        "length",
        "length of the recording",
        "the scores follow the length of a recording: crop all to one length (view.length=common)",
    ),
    "explained_by_order": _make_explained_text("order", "position in the files", _ORDER),
    "labels_follow_order": _text(
        "order", _SEVERE, "labels of {target} follow the order of the files", _ORDER, "target auroc n_pairs"
    ),
    "labels_follow_task_order": _text(
        "order",
        _NOTE,
        "labels of {target} follow the order of the files, because all subjects had the tasks in the same order",
        _TIME,
        "target auroc n_pairs",
    ),
    "labels_follow_missing": _text(
        "missing",
        _SEVERE,
        "labels of {target} follow how much of {modality} was recorded",
        "absent or padded signals predict the label: use only what was recorded in all units, or other data",
        "target modality auroc n_pairs",
    ),
    "unbalanced": _text(
        "balance",
        _WARNING,
        "auroc_crossed_matched of {target} is {gap:.3f} above auroc_crossed_balanced",
        "part of the score depends on which session is longer: report the balanced score too",
        "target matched balanced",
        lambda evidence: {"gap": evidence["matched"] - evidence["balanced"]},
    ),
    "follows_statistic": _text(
        "one_statistic",
        _NOTE,
        "scores of {target} order moments within subjects as the {statistic} of {signal} does, channel {channel}: "
        "rank correlation {rank_correlation:.3f}",
        "report this with the method: the statistic alone predicts nearly as well",
        "target signal channel statistic rank_correlation",
    ),
    "not_associated": _text(
        "confound_only",
        _WARNING,
        "{listed}",
        _NO_EFFECT,
        "targets",
        lambda evidence: {"listed": "; ".join(_describe_unassociated(*each) for each in evidence["targets"].items())},
    ),
    # scores of subjects, seeds and folds
    "far_above_others": _text(
        "suspicious",
        ("warning", "note"),
        "auroc_within of {target} is {standard_errors:.1f} paired standard errors above {best_other}",
        "look for leaks in the signals (triggers, stimulus sound, gaps, padding), then run with `--retrain`",
        "target best_other difference standard_errors has_baseline",
    ),
    "not_above_shifted": _text(
        "shift",
        _WARNING,
        "auroc_within of {target} is above .5 by its interval, but no higher than with shifted labels",
        "treat the score as no effect: scores and labels both change slowly over time, and agree by chance",
        "target auroc mean p low n",
    ),
    "carried_by_one_subject": _text(
        "one_subject",
        _SEVERE,
        "the effect on {target} comes from one subject, {subject}; without it, scores are at chance",
        "check the recordings and labels of this subject, and report the effect without it",
        "target subject auroc with_subject without_subject p proportion",
    ),
    "seeds_differ": _text(
        "seeds",
        _WARNING,
        "seeds {seed} and {other_seed} differ on {target}, consistently over subjects",
        "check the training history of the worse seed; run more seeds, and report their spread",
        "target seed other_seed auroc_of_seeds difference p",
    ),
    "constant_scores": _text(
        "collapse",
        _WARNING,
        "scores of {target} are constant in {constant} of {folds} folds",
        _LEARNING,
        "target folds constant one_class",
    ),
    "constant_values": _text(
        "collapse",
        _WARNING,
        "values of {target} are constant in {constant} of {folds} folds",
        _FITTING,
        "target folds constant one_class",
    ),
    "one_class_decided": _text(
        "collapse",
        _WARNING,
        "nearly all decisions on {target} are one class in {one_class} of {folds} folds",
        _LEARNING,
        "target folds constant one_class",
    ),
    "miscalibrated": _text(
        "calibration",
        _WARNING,
        "probabilities of {target} are off by {off:.2f} on average, more than expected by chance",
        "use scores as ranks only: decisions, F1 and accuracy depend on a threshold that does not fit",
        "target ece low expected_by_chance",
        lambda evidence: {"off": evidence["ece"] - evidence["expected_by_chance"]},
    ),
    "standardised_over_test": _text(
        "hidden",
        _SEVERE,
        "embeddings of {n} folds are standardised over the test subjects",
        "normalise by the training subjects; batch normalisation must be in eval mode for prediction",
        "n folds examples",
    ),
    "probed": _text(
        "probes",
        _NOTE,
        "a linear probe predicts the {predicted} from the embeddings of {target}: {score:.0%} correct, "
        "{chance:.0%} by chance",
        "not a fault in itself, but scores across subjects or stimuli may rest on it: check auroc_crossed",
        "target predicted metric score chance folds",
    ),
    "learned_from_permuted": _text(
        "permuted_labels",
        _SEVERE,
        "trained on permuted labels, the method still scores {mean:.3f} on {target}",
        _LEAK,
        "target primary_metric real permuted mean p",
    ),
    "permuted_as_high": _text(
        "permuted_labels",
        ("warning", "note"),
        "{n} of {of} runs on permuted labels score as high on {target} as the real one",
        "treat the score as no effect",
        "n of target primary_metric real permuted mean p",
    ),
    "remembers_labels": _text("permuted_labels", _SEVERE, "{reason}", _LEAK, "reason"),
}
"""Id of a finding -> its texts."""
UNKNOWN = "this version of embench does not know the finding"


def describe_redacted_finding(check: str) -> str:
    """Return the sentence of a finding in an entry whose labels are not public."""
    return f"the check `{check}` found something; what it measured is not published, as the labels are not"


def find_wrong_field(finding: Mapping[str, Any]) -> str | None:
    """Return the first field of a finding in `audit.json` with an invalid value; None if all fields are valid."""
    text = FINDINGS.get(finding["id"]) if isinstance(finding["id"], str) else None
    if text is None:
        return "id"
    if finding["check"] != text.check:
        return "check"
    if finding["severity"] not in text.severities:
        return "severity"
    evidence = finding["evidence"]
    if not isinstance(evidence, Mapping):
        return "evidence"
    if not evidence:
        return None
    if more := sorted(map(str, evidence.keys() ^ set(text.evidence))):
        return f"evidence.{more[0]}"
    if wrong := [name for name in text.evidence if not EVIDENCE_KINDS[name](evidence[name])]:
        return f"evidence.{wrong[0]}"
    try:
        text.render(evidence)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return "evidence"
    return None
