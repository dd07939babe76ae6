"""Reasons and notes of records: stored as ids with values, shown on screens and pages as sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

OTHER = "other"
"""The id of a reason that a plugin states in its own words."""

REASON_TEXTS: Mapping[str, str] = {
    # scores of a method, and metrics
    "no_units": "no units",
    "one_class": "one class only",
    "constant_labels": "labels do not vary",
    "labels_not_integers": "labels are not all whole numbers",
    "unknown_recordings": "it is not known in which recordings units lie",
    "no_subject_with_value": "no subject has a value",
    "no_subject_with_both_classes": "no subject has both classes",
    "no_predicted_label": "no unit with a label was predicted",
    "no_label_in_all_seeds": "no unit with a label is predicted in all seeds",
    "other_subjects": "the two are not scores of the same subjects",
    "not_computed": "it was not computed",
    "metric_not_computed": "{metric} was not computed",
    "metric_not_estimable": "{metric} is not estimable",
    "metric_of_other_targets": "{metric} scores no such target",
    "no_metric_of_kind": "no metric named {metric} scores targets that are of kind {kind}",
    "metric_fails": "the metric {metric} fails",
    "metric_not_loaded": "the metric {metric} can't be loaded",
    "no_pair_of_minutes": "no pair of minutes has both halves",
    "no_two_subjects": "no two subjects can be compared",
    "subjects_left_out": "{n} of {of} subjects: {why}",
    "folds_left_out": "{n} of {of} folds and seeds: {why}",
    "seeds_left_out": "{n} of {of} seeds: {why}",
    "no_varying_subject": "no subject has labels that vary",
    "no_varying_recording": "labels vary in no recording",
    "no_step_apart": "no two labels are a step apart",
    "no_subject_with_step": "no subject has two labels that are a step apart",
    # comparisons that hold the time or the stimulus constant
    "whole_recordings": "units are whole recordings and have no common length",
    "hidden_times": "the release hides when units were recorded",
    "unknown_session_length": "it is not known how long sessions were",
    "unknown_moment": "it is not known at which moment of its stimulus a unit lies",
    "moments_apart": "units at one moment of a stimulus begin up to {apart:.1f} s apart",
    "one_condition": "there is one {what} only, so that nothing can be held constant",
    "few_matched_comparisons": (
        "not estimable: {subjects} subjects match another one whose session is of similar length, in {matches} pairs "
        "and {comparisons} matched comparisons; {least_subjects}, {least_matches} and {least_comparisons} are needed"
    ),
    "few_comparisons": (
        "not estimable: {comparisons} {what} of {subjects} subjects; at least {least_comparisons} of {least_subjects} "
        "are needed"
    ),
    # confound-only models
    "one_stimulus": "there is one stimulus only",
    "untrained_stimuli": "{n} test stimuli have no training label: {names}",
    "no_training_label": "no training unit has a label",
    "no_others_at_moments": "others have no training label at most tested moments",
    "no_label_of_subjects": "most tested subjects have no training label",
    "no_earlier_label": "most tested recordings have no earlier training label",
    "no_label_in_recordings": "most tested recordings have no training label",
    "one_training_class": "training labels are of one class only",
    "no_common_class": "values have no class that is most common",
    "constant_within_stimuli": "labels do not vary while a stimulus lasts",
    "one_subject_elapsed_time": (
        "training and test data are of one subject, for whom `elapsed_time` already measures this"
    ),
    "one_subject": "training and test are of one subject",
    "equal_lengths": "all recordings are of one length",
    "no_accelerometer": "there is no accelerometer",
    "no_accelerometer_in_part": "no subject in the training or test part has an accelerometer",
    "unknown_in_training": "it is known of no training unit",
    "trained_on_other_dataset": "the method was trained on another dataset",
    "few_columns": "small studies are adjusted for few columns",
    "no_confound_analysis": "not computed: the confound analysis was not run",
    "part_predicted": "answered {n} of the model's {of} units only",
    "no_predictions_with": "the file has no predictions with {amount} given",
    "unknown_features": "the features of predictions made elsewhere are not known",
    "unknown_time_since_calibration": "the time since the calibration data is unknown",
    "withheld": "not published, as labels could be told from it",
    # the confound test
    "primary_metric_undefined": "{metric} can't be estimated: {reason}",
    "time_decides": "not estimable: {metric} can't be estimated, and in {within} the time alone reaches {reached:.3f}",
    "few_to_adjust": "{n} units of {of} subjects are too few to adjust for the confounds",
    "nothing_left": "time, order and movement, adjusted for in each subject, explain the {what} fully",
    "cuts_of_folds": "the training part of each fold decides which labels are high",
    # checks of an audit
    "no_predictions": "the record contains no predictions",
    "no_scored_target": "no target of two classes or values",
    "no_two_class_target": "no target of two classes",
    "no_matched_and_balanced": "the record has no score that is matched in session length and one that is balanced",
    "of_target": "{target}: {why}",
    "few_values": "there are fewer than three values of the {what}",
    "few_subjects_or_units": (
        "fewer than {subjects} subjects have scores that differ between {units} units with samples, of a target with "
        "one score a unit"
    ),
    "unknown_places": "scores are constant, or too few units have a known place in the session",
    "no_confound_test": "the protocol does not test the association given confounds",
    "confound_test_skipped": ("the confound analysis was not run: repeat the command without `--no-confounds`"),
    "not_retrained": "--retrain N was not given",
    "submitted_predictions": "its predictions are a submission",
    "missing_library": "{name} is not installed on this machine",
    "other_configuration": "{name} of the run's configuration would differ here",
    "other_version": "the run used {name} {then}, here it is {here}",
    "other_modality": "modality {name} is defined otherwise here: {fields}",
    "constant_scores": "scores are constant, or too few units have the same value",
    "unknown_stimulus_means": "the mean label of the stimulus is not known of all test stimuli",
    "constant_within_subjects": "scores, labels or the mean labels of the stimuli do not vary within subjects",
    "only_videos": "there are no signals but videos",
    "cut_at_training_mean": (
        "labels are cut at the mean of the training subjects, which the protocol alone does not determine"
    ),
    "other_raw_files": "the raw files on this machine are not those that the withheld labels come from",
    "no_labels": "the record has no labels",
    "no_training_statistics": "no encoder of the method keeps statistics of its training subjects",
    "dev_run": "--dev scores validation subjects",
    "folds_not_determined": "the protocol alone does not determine the folds",
    "indistinct_recordings": "recordings are too short, or change too slowly, to be distinguished",
    "not_pretrained": "nothing was pretrained",
    "not_tuned": "the run was not tuned",
    "few_subjects_with_both_classes": "fewer than five subjects have both classes",
    "one_seed": "the run has only one seed",
    "nothing_to_compare": "no confound-only model or baseline method to compare with",
    "no_hidden_layer": "the run has no embeddings: estimators on features have no hidden layer",
    "no_embeddings": "the run has no embeddings",
    "no_history": "the record has no history of stages that were trained by epochs",
    "pretrained_statistics": "statistics came with pretrained weights",
    "no_weights": "there are no weights beside the record",
    "tuned_network": "the validation scores of {trials} trials of a network are not computed again",
    # what the reasons above count
    "matched_comparisons": "matched comparisons",
    "pairs_of_units": "pairs of units",
    "bin_of_time": "bin of time",
    "stimulus": "stimulus",
    "subject": "subject",
    "length_of_recording": "length of the recording",
    "position_in_files": "position in the files",
    # what severe findings of an audit say
    "chosen_on_tested": "the setting was chosen on {subject}, who is also a test subject of that fold",
    "chosen_on_other": "the setting was chosen on {subject}, who is not a validation subject of that fold",
    "worse_trial": "trial {chosen} was taken, but trial {best} was better",
    "of_choice": "seed {seed}, fold {fold}, {target}: {why}",
    "other_choices": "the choices are not those that the run was made with",
    "other_trial_score": (
        "seed {seed}, fold {fold}, {target}, trial {trial}: {recorded} in the record, {recomputed} here"
    ),
    "wrongly_counted": (
        "predictions: {n} units without one do not count as they should, such as {unit} of {target} with seed {seed}"
    ),
    "remembers_fold": (
        "it remembers labels: predictions of seed {seed}, fold {fold} differ by up to {difference:.2g} after fold "
        "{other} was trained on other labels of the subjects that they are of"
    ),
    "follows_true_labels": (
        "it remembers labels: its predictions follow the true ones within subjects although it was trained on swapped "
        "ones (a correlation of {correlation:.2f} at least)"
    ),
    # subjects that are left out
    "not_in_protocol": "not among the protocol's subjects",
    "no_label": "no label of any target",
    "no_long_recording": "no recording that is long enough for a unit",
    "no_modality": "none of {modalities}",
    "no_prediction": "no prediction in the file",
    "hidden_order": "the release hides in which order recordings came",
    "one_session": "there is one session only",
    "few_units_to_give": "there are fewer than {most} units of a class to give",
    "class_not_given": "what is given lacks a class",
    "class_not_scored": "the remaining units to score lacks a class",
    "one_value_scored": "the remaining units to score has one value only",
    "less_scored_than_given": "less is left to be scored than is given",
    # calibration data and the scored units after them
    "given_session": "given the first session of each subject, scored on later ones",
    "given_half": "given the first half of each subject's blocks, scored on the second, a block later",
    "given_blocks": "given up to {most} {units} from {given_blocks}; scored on {scored_blocks}",
    "given_units": (
        "given the first {units}{where}, up to {most}; scored on what comes at least a block and {guard_s:g} s later"
    ),
    # signals that are left out
    "no_samples": "no samples",
    "no_samples_left": "no samples are left after the rate conversion",
    "missing_samples": "channel {channel}: {proportion:.0%} of the samples are missing",
    "low_rate": "sampled at {rate_hz:g} Hz, too slow for its high-pass of {high_hz:g} Hz",
    "not_recorded": "not recorded",
    "of_file": "{file}: {why}",
    "outside_video": "it lasts {seconds:.1f} s, and the recording is said to lie at {start:.1f} to {stop:.1f} s of it",
    "before_first_frame": "it ends before the first requested frame",
    "undecodable_from": "frames from {seconds:g} s on cannot be decoded",
    "undecodable": "there is no frame that can be decoded",
    "not_rgb": "its pictures cannot be made RGB: {error}",
    "not_a_file": "this is not a regular file",
    "no_video": "there is no video in it, only {streams}",
    "not_a_video": "it cannot be read as a video: {error}",
    "wrong_columns": "its columns are {columns}",
    "unreadable": "cannot be read: {error}",
    # where sensors were, measurement units, and folds of submissions
    "other_sites": "{steps}",
    "units_in_bands": "{signals}",
    "own_folds": "the file's own",
    "folds_of_protocol": "the protocol's",
    "no_unit": "no unit",
    # features that are left out, and checks of plugins
    "constant_feature": "constant over the training units",
    "follows_length": "a function of the length of the recording",
    "passed": "passed",
    "failed_check": "failed: {why}",
}
"""Id -> sentence with names in braces, which are replaced by the reason's values or by texts from `_EXTRA`."""


def _blocks_in_words(blocks: Sequence[tuple[str, int, Sequence[int]]]) -> str:
    """Return the names of blocks by their conditions, such as `the first block of rest and the first of stress`.

    Args:
        blocks: (condition, number of its blocks in a session, numbers of the named blocks from 1).
    """
    parts, noun = [], " block"
    for name, total, which in blocks:
        if total == 1:
            parts.append(name)
            continue
        plural = "s" if noun and len(which) > 1 else ""
        parts.append(f"the {_join_with_and([*map(_ordinal, which)])}{noun}{plural} of {name}")
        noun = ""
    return _join_with_and(parts)


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return "first" if n == 1 else f"{n}{ending}"


def _join_with_and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _units(values: Mapping[str, Any]) -> dict[str, str]:
    return {"units": "units of each class" if values["of_classes"] else "units"}


_EXTRA: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, str]]] = {
    "given_blocks": lambda values: {
        **_units(values),
        "given_blocks": _blocks_in_words(values["given"]),
        "scored_blocks": _blocks_in_words(values["scored"]),
    },
    "given_units": lambda values: {
        **_units(values),
        "where": " of the first block of each class" if values["of_first_block"] else "",
    },
    "other_sites": lambda values: {
        "steps": ", ".join(f"{step} at the {' and '.join(sites)}" for step, sites in values["steps"])
    },
    "units_in_bands": lambda values: {
        "signals": "+".join(f"{unit}, {high:g} to {low:g} Hz" for unit, high, low in values["signals"])
    },
}
"""Id -> function from the values of a reason to further texts for its sentence."""


class Reason(str):
    """A reason as a sentence, with the id and the values that records hold.

    >>> reason = Reason.make("one_condition", what="stimulus")
    >>> reason, reason.to_dict()
    ('there is one stimulus only, so that nothing can be held constant', {'id': 'one_condition', 'what': 'stimulus'})
    >>> Reason.make("my sensor was off").to_dict()
    {'id': 'other', 'text': 'my sensor was off'}
    """

    __slots__ = ("id", "values")

    id: str
    values: Mapping[str, Any]

    @classmethod
    def make(cls, reason: str, /, **values: Any) -> Self:
        """Make a reason from an id of `REASON_TEXTS` and its values, or from a plugin's own sentence."""
        if isinstance(reason, cls):
            return reason
        known = REASON_TEXTS.get(reason)
        texts = {name: _join(value) if isinstance(value, list) else value for name, value in values.items()}
        texts |= _EXTRA.get(reason, lambda _: {})(values)
        made = cls(reason if known is None else known.format_map(texts))
        values = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
        made.id, made.values = (OTHER, {"text": str(reason)}) if known is None else (reason, values)
        return made

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Return the reason from the output of `to_dict`. Raises ValueError for other content."""
        try:
            values = {name: read_values(value) for name, value in content.items()}
            name = values.pop("id")
            if name == OTHER:
                return cls.make(values["text"])
            if name not in REASON_TEXTS:
                raise ValueError(f"`{name}` is not the id of a reason")
            return cls.make(name, **values)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"not a reason: {content!r:.100}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the id and the values for a record. Values that are reasons become mappings, too."""
        return {"id": self.id, **plain_values(self.values)}


def _join(values: Sequence[Any]) -> str:
    return ("; " if any(isinstance(value, Reason) for value in values) else ", ").join(map(str, values))


def plain_values(value: Any) -> Any:
    """Return `value` with each reason in it, at any depth, replaced by its `to_dict`."""
    if isinstance(value, Mapping):
        return {name: plain_values(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(each) for each in value]
    return value.to_dict() if isinstance(value, Reason) else value


def read_reason(content: Any) -> Any:
    """Return a record's `content` as a reason if it is a mapping or a sentence, else unchanged. Raises ValueError for
    a mapping that is not a reason."""
    if isinstance(content, Mapping):
        return Reason.read(content)
    return Reason.make(content) if isinstance(content, str) else content


def read_values(value: Any) -> Any:
    """Invert `plain_values`: mappings with an `id` become reasons. Raises ValueError if one of them is not a reason."""
    if isinstance(value, list):
        return [read_values(each) for each in value]
    if isinstance(value, Mapping):
        return Reason.read(value) if "id" in value else {name: read_values(each) for name, each in value.items()}
    return value
