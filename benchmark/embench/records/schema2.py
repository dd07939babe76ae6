"""Records of schema 2, as published entries have them, in the names of schema 3. Nothing writes them any more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from embench.files import parse_json, read_text
from embench.reasons import REASON_TEXTS, Reason

MODELS = {"registered_clock": "protocol_phase"}
"""Confound-only model -> its name now."""
SHARED_NAMES = {"confound_only": "controls", "confound_only_scores": "control_scores"}
"""Kind of a shared file -> the beginning of its name then."""

_RUN = {
    "test_looks": "test_evaluations",
    "tried": "methods_evaluated",
    "dev_looks": "dev_evaluations",
    "given": "calibration_data",
    "giving": "calibration_split",
    "outside": "submission",
    "started_from": "initial_weights",
    "kept_units": "measurement_units",
    "pretrain_overlap": "pretraining_overlap",
}
_PARTS = {
    "method": {"outside": "submission"},
    "recipe": {"on_board": "on_leaderboard"},
    "cost": {"wall_s": "wall_seconds", "cpu_s": "cpu_seconds", "gpu_s": "gpu_seconds"},
    "entry": {"controls": "confound_only", "control_scores": "confound_only_scores"},
}
_LEVELS = {
    "local": "movement",
    "full": "protocol_phase",
    "local_contact": "movement_signal_quality",
    "full_contact": "protocol_phase_signal_quality",
}
_VARIANTS = {
    "a third of the penalty": "third_penalty",
    "three times the penalty": "triple_penalty",
    "the headline of what is left": "metric_of_residuals",
}
_ADJUSTED = {"score": "metric", "difference": "mean_difference", "movement": "has_movement", "held": "adjusted_for"}
_ADJUSTED_AT = {
    "effect": "partial_r",
    "score": "residual_score",
    "share_left": "residual_proportion",
    "adds": "associated",
    "of_groups": "by_group",
}
_EMPTY = ("differences", "cleared_all", "not_cleared")


def translate_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a run.yaml of schema 2, without its schema, in the names of schema 3."""
    found = _renamed(run, _RUN)
    for part, names in _PARTS.items():
        if isinstance(found.get(part), Mapping):
            found[part] = _renamed(found[part], names)
    for name, part in found.items():
        if name in _WITH_SENTENCES:
            found[name] = _translate_sentences(part)
    if isinstance(found.get("cohort"), Mapping) and isinstance(found["cohort"].get("left_out"), list):
        found["cohort"] = {
            **found["cohort"],
            "left_out": [_translate_row(row) for row in found["cohort"]["left_out"]],
        }
    recipe, fusion = found.get("recipe"), found.get("config")
    if isinstance(recipe, dict) and recipe.get("preset") != "paper" and recipe.get("assumed") == []:
        recipe["assumed"] = None  # then recorded for the recipe `paper` alone
    for part in ("parts", "fusion", "build"):
        fusion = fusion.get(part) if isinstance(fusion, Mapping) else None
    if isinstance(fusion, dict) and "asks" in fusion:
        found["config"] = _with_query(found["config"], fusion)
    protocol = found.get("protocol")
    if isinstance(protocol, Mapping) and isinstance(protocol.get("gives_up"), Mapping):
        leaks = {field: _count_shared(str(text)) for field, text in protocol["gives_up"].items()}
        found["protocol"] = {**_renamed(protocol, {"gives_up": "leaks_by"}), "leaks_by": leaks}
    return found


_WITH_SENTENCES = ("calibration_split", "conformance", "dropped", "sites", "measurement_units")


def _translate_sentences(part: Any) -> Any:
    """Return a part in which each sentence is a reason."""
    if isinstance(part, Mapping):
        return {name: _translate_sentences(each) for name, each in part.items()}
    return translate_reason(part).to_dict() if isinstance(part, str) else part


def _translate_row(row: Any) -> Any:
    known = isinstance(row, Mapping) and isinstance(row.get("reason"), str)
    return {**row, "reason": translate_reason(row["reason"]).to_dict()} if known else row


def _with_query(config: Any, build: Mapping[str, Any]) -> Any:
    """Return the configuration of a run with the present name of the fusion's query modality."""
    parts = config["parts"]
    fusion = {**parts["fusion"], "build": _renamed(build, {"asks": "query"})}
    return {**config, "parts": {**parts, "fusion": fusion}}


_SHARED = re.compile(r": (\d+) of (\d+) subjects and (\d+) of (\d+) recordings$")


def _count_shared(text: str) -> dict[str, list[int]]:
    """Return how many test subjects and recordings a split shares with training, and how many there are, as
    `{"subjects": [shared, all], "recordings": [shared, all]}`. Empty if the text states no numbers."""
    found = _SHARED.search(text)
    return {} if found is None else dict(zip(("subjects", "recordings"), _pairs(found.groups()), strict=True))


def _pairs(numbers: tuple[str, ...]) -> list[list[int]]:
    """Return four numbers as two pairs."""
    return [[int(numbers[0]), int(numbers[1])], [int(numbers[2]), int(numbers[3])]]


def translate_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a scores.json of schema 2, without its schema, in the names of schema 3."""
    names = {"headlines": "primary_metrics", "controls": "confound_only", "adds": "adjusted"}
    found = {name: part for name, part in _renamed(scores, names).items() if name not in _EMPTY or part}
    if isinstance(found.get("confound_only"), Mapping):
        found["confound_only"] = _renamed(found["confound_only"], MODELS)
    if isinstance(found.get("adjusted"), Mapping):
        found["adjusted"] = {target: _adjusted(part) for target, part in found["adjusted"].items()}
    translated: dict[str, Any] = _numbers(found)
    return translated


def _adjusted(part: Any) -> Any:
    """Return the confound analysis of a target in the names of schema 3; anything but a mapping is unchanged."""
    if not isinstance(part, Mapping):
        return part
    found = _renamed(part, {**_ADJUSTED, "judged": "decisive_level"})
    if "decisive_level" in found:
        found["decisive_level"] = _LEVELS.get(found["decisive_level"], found["decisive_level"])
    if isinstance(found.get("variants"), Mapping):
        found["variants"] = _renamed(found["variants"], _VARIANTS)
    if isinstance(found.get("levels"), Mapping):
        levels = _renamed(found["levels"], _LEVELS)
        found["levels"] = {
            name: _renamed(at, _ADJUSTED_AT) if isinstance(at, Mapping) else at for name, at in levels.items()
        }
    return found


def _numbers(value: Any) -> Any:
    """Return plain values in which the numbers of schema 2 have the names, and the reasons the form, of schema 3."""
    if isinstance(value, list):
        return [_numbers(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    found = {name: _numbers(each) for name, each in _renamed(value, {"shared_variance": "training_overlap"}).items()}
    if isinstance(found.get("undefined"), str):
        found["undefined"] = translate_reason(found["undefined"]).to_dict()
    if found.get("over") == "subjects and stimuli":
        found["over"] = "subjects_and_stimuli"
    if isinstance(found.get("left_out"), list):
        found["left_out"] = [
            translate_reason(each).to_dict() if isinstance(each, str) else each for each in found["left_out"]
        ]
    return found


def translate_summands(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summands of a target of schema 2 in the names of schema 3."""
    return _renamed(kept, {"adds": "contributions"})


def translate_reason(text: str) -> Reason:
    """Return the reason that a sentence of schema 2 states. A sentence that no version of embench wrote becomes a
    reason in its author's own words."""
    if text in _SENTENCES:
        return Reason.make(_SENTENCES[text])
    for name, pattern, fields in _PATTERNS:
        if found := pattern.fullmatch(text):
            values: dict[str, Any] = dict(zip(fields, map(_value, found.groups()), strict=True))
            if "why" in values:
                several = [translate_reason(each) for each in str(values["why"]).split("; ")]
                values["why"] = several if name == "folds_left_out" else several[0]
            if "names" in values:
                values["names"] = str(values["names"]).split(", ")
            if values.get("what") in _SENTENCES:
                values["what"] = translate_reason(values["what"])
            return Reason.make(name, **values)
    return Reason.make(text)


def _value(text: str) -> int | float | str:
    """Return the number that a text states; the text itself if it states none."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


_EARLIER = {
    "not computed": "not_computed",
    "no test subject has both classes": "no_subject_with_both_classes",
    "nobody has both classes": "no_subject_with_both_classes",
    "the labels of no test subject vary": "no_varying_subject",
    "nobody's labels vary": "no_varying_subject",
    "no test subject has two labels that are a step apart": "no_subject_with_step",
    "labels that do not vary": "constant_labels",
    "quadruples": "matched_comparisons",
    "no units": "no_units",
}
_SENTENCES = {
    **{text: name for name, text in REASON_TEXTS.items() if "{" not in text},
    **_EARLIER,
}
_WORDS = (
    ("failed_check", "failed: {why}"),
    (
        "few_matched_comparisons",
        (
            "not estimable: {subjects} subjects have a partner whose session is of like length, in {matches} pairs and "
            "{comparisons} quadruples; {least_subjects}, {least_matches} and {least_comparisons} are needed"
        ),
    ),
    (
        "few_comparisons",
        (
            "not estimable: {comparisons} {what} of {subjects} subjects; at least {least_comparisons} of "
            "{least_subjects} are needed"
        ),
    ),
    ("time_decides", "not estimable: {metric} can't be estimated, and in {within} the clock alone reaches {reached}"),
    ("subjects_left_out", "{n} of {of} subjects: {why}"),
    ("folds_left_out", "{n} of {of} folds and seeds: {why}"),
    ("seeds_left_out", "{n} of {of} seeds: {why}"),
    ("untrained_stimuli", "{n} test stimuli have no training label: {names}"),
    ("part_predicted", "answered {n} of the model's {of} units only"),
    ("one_condition", "there is one {what} only, so that nothing can be held constant"),
    ("moments_apart", "units at one moment of a stimulus begin up to {apart} s apart"),
    ("few_to_adjust", "{n} units of {of} subjects are too few to adjust for the confounds"),
    ("metric_not_computed", "{metric} was not computed"),
    ("few_values", "there are fewer than three values of the {what}"),
)


def _pattern(template: str) -> tuple[re.Pattern[str], list[str]]:
    parts = [(re.escape(plain), name) for plain, name, _, _ in Formatter().parse(template)]
    fields = [name for _, name in parts if name]
    groups = {None: "", "subjects": r"(\d+)"}
    return re.compile("".join(plain + groups.get(name, "(.+?)") for plain, name in parts)), fields


_PATTERNS = [(name, *_pattern(template)) for name, template in _WORDS]


def _renamed(part: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return `part` with new keys. `names`: key -> new key; keys that are not in it stay."""
    return {names.get(name, name): value for name, value in part.items()}


# Audits of version 6: their sentences become ids and evidence.

_CHECKS = {
    "people": "subjects",
    "person": "subject",
    "clock": "time",
    "controls": "confound_only",
    "one_person": "one_subject",
}
_FINDINGS_THEN = (
    (
        "calibration",
        "miscalibrated",
        "probabilities of {target} are off by {off} on average, more than expected by chance",
        "use scores as ranks only: decisions, F1 and accuracy depend on a cut that does not fit",
    ),
    (
        "controls",
        "not_associated",
        "on {target}, the method is not shown to add to {given}",
        "do not present this score as evidence of a physiological effect",
    ),
    (
        "validation",
        "many_methods",
        "{methods_evaluated} methods, including this one, were scored on these test subjects",
        "choose among methods with --dev, and open the test labels once",
    ),
    (
        "order",
        "labels_follow_task_order",
        "labels of {target} follow the order of the files, because all subjects had the tasks in the same order",
        ("the scores follow the clock: report auroc_crossed_matched, and remove trends and trial order from the input"),
    ),
    (
        "one_statistic",
        "follows_statistic",
        (
            "scores of {target} order moments within subjects as the {statistic} of {signal} does, channel {channel}: "
            "rank correlation {rank}"
        ),
        "say so where the method is presented: this statistic alone tells nearly as much",
    ),
    (
        "balance",
        "unbalanced",
        "auroc_crossed_matched of {target} is {gap} above auroc_crossed_balanced",
        "part of the score comes from whose session is longer: present the balanced score beside it",
    ),
    (
        "seeds",
        "seeds_differ",
        "seeds {seed} and {other_seed} differ on {target}, consistently over subjects",
        "check the training history of the worse seed; run more seeds, and report their spread",
    ),
    (
        "collapse",
        "one_class_decided",
        "nearly all decisions on {target} are one class in {one_class} of {folds} folds",
        "try class weights, a lower learning rate or more epochs; never rank by accuracy or f1_weighted",
    ),
    (
        "probes",
        "probed",
        (
            "a linear probe predicts the {predicted} from the embeddings of {target}: {score} correct, {chance} by "
            "chance"
        ),
        "not a fault in itself, but scores across subjects or stimuli may rest on it: check auroc_crossed",
    ),
)
"""(check, id, sentence, what to do) of each kind of finding of published audits."""
_SEALED = "the check `{check}` found something; what it measured is not published, as the labels are not"
_FIGURES = {
    "share": "proportion_explained",
    "share explained": "proportion_explained",
    "share inside classes": "proportion_explained_in_class",
    "inside classes": "proportion_explained_in_class",
    "auroc of that": "auroc_of_confound",
    "auroc of what explains": "auroc_of_confound",
    "rank correlation": "rank_correlation",
    "labels by place": "auroc_of_position_for_labels",
    "auroc of the place within people": "auroc",
    "time since the start": "time_since_start",
    "share of the session that is over": "proportion_of_session",
    "time to the end of the session": "time_to_end",
    "length of the session": "session_length",
    "time since the start at a like length of the session": "time_at_similar_length",
    "of right probabilities": "expected_by_chance",
    "test looks": "test_evaluations",
    "tried": "methods_evaluated",
    "pretrain_overlap": "pretraining_overlap",
    "one class": "one_class",
    "best other": "best_other",
    "standard errors": "standard_errors",
    "baseline at hand": "has_baseline",
    "auroc within people": "auroc",
    "shifted": "mean",
    "people": "subjects",
    "people found": "subjects_found",
    "pairs of people": "n_pairs",
    "pairs": "n_pairs",
    "person": "subject",
    "their auroc": "auroc",
    "with": "with_subject",
    "without": "without_subject",
    "not in the data": "not_in_data",
    "left out": "missing",
    "labels": "labels_compared",
    "targets and seeds": "n",
    "uses": "stopped_early",
    "same in all folds": "same_in_all_folds",
    "not at hand": "missing_sources",
}
_RECORDED_OF = "labels by what was recorded of "


def translate_audit(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the content of an audit of version 6 in the form of version 11; one that has it already stays.

    Args:
        folder: of the record. Its scores tell the level of confounds, which the sentences do not.

    Raises:
        ValueError: a finding says what no published audit says.
    """
    if "skipped" in content:
        return dict(content)
    kept = {name: content[name] for name in ("version", "run", "counts") if name in content}
    return {
        **kept,
        "findings": [_finding(each, folder) for each in content["findings"]],
        "measured": _measured(content.get("measured", {})),
        "skipped": {
            _CHECKS.get(check, check): [_skipped(line).to_dict() for line in text.splitlines()]
            for check, text in content.get("not_asked", {}).items()
        },
    }


def _finding(finding: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a finding of version 6 in the form of version 11. Raises ValueError for a sentence that no audit wrote."""
    check, what, evidence = finding["check"], str(finding["what"]), finding["evidence"]
    of_check = [each for each in _FINDINGS_THEN if each[0] == check and each[3] == finding["todo"]]
    if not evidence and what == _SEALED.format(check=check) and of_check:
        return _new(finding, of_check[0][1], {})
    for _, name, sentence, _ in of_check:
        pattern, fields = _pattern(sentence)
        if name == "not_associated":
            if all(re.fullmatch(pattern, part) for part in what.split("; ")) and len(what.split("; ")) == len(evidence):
                return _new(finding, name, {"targets": _targets(evidence, folder)})
        elif found := pattern.fullmatch(what):
            said = dict(zip(fields, map(_value, found.groups()), strict=True))
            return _new(finding, name, _evidence(name, said, evidence))
    raise ValueError(f"a finding of the check {check} says what no audit says: {what[:60]}")


def _new(finding: Mapping[str, Any], name: str, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding of version 11 with the id `name` and this evidence."""
    check = _CHECKS.get(finding["check"], finding["check"])
    return {"check": check, "severity": finding["severity"], "id": name, "evidence": dict(evidence)}


def _evidence(name: str, said: Mapping[str, Any], evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence of the finding `name` in the names of version 11, with the target and, if seeds differ, the
    two seeds. `said`: the values that the finding's sentence states."""
    found = {"target": said["target"]} if "target" in said else {}
    if name != "seeds_differ":
        return {**found, **_renamed(evidence, _FIGURES)}
    of_seeds = {key: value for key, value in evidence.items() if key not in ("difference", "p")}
    about = {key: evidence[key] for key in ("difference", "p")}
    return {**found, "seed": said["seed"], "other_seed": said["other_seed"], "auroc_of_seeds": of_seeds, **about}


def _targets(evidence: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a mapping: target -> its partial r, with the level of confounds that the scores of the record in `folder`
    state."""
    scores = translate_scores(parse_json(read_text(folder / "scores.json")))
    found = {}
    for target, at in evidence.items():
        adjusted, effect = scores.get("adjusted", {}).get(target, {}), at["effect"]
        found[target] = {
            "level": adjusted.get("decisive_level", "protocol_phase"),
            "has_movement": adjusted.get("has_movement", False),
            "partial_r": effect["mean"],
            "low_of_partial_r": effect["low"],
            "high_of_partial_r": effect["high"],
        }
    return found


def _measured(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of each check in the names of version 11. The figures of a target are in a mapping under the
    target's name."""
    found: dict[str, Any] = {}
    for check, figures in measured.items():
        own: dict[str, Any] = found.setdefault(_CHECKS.get(check, check), {})
        for name, value in figures.items():
            target, _, of_target = name.partition(": ")
            if of_target:
                of_target = of_target.removeprefix(_RECORDED_OF)
                own.setdefault(target, {})[_FIGURES.get(of_target, of_target)] = _figures(value)
            elif check == "controls":
                own[name] = _adjusted_at(value)
            elif check == "pretraining" and isinstance(value, Mapping):
                own.setdefault("sources", {})[name] = _figures(value)
            elif check == "validation" and name == "uses":
                own["stopped_early"] = [each.removeprefix("when to stop ") for each in value]
            elif check == "probes":
                own[name] = {predicted: _probe(of) for predicted, of in value.items()}
            else:
                own[_FIGURES.get(name, name)] = _figures(value)
    return found


def _figures(value: Any) -> Any:
    """Return a value in which all keys of mappings have the names of version 11."""
    return (
        {name: _figures(each) for name, each in _renamed(value, _FIGURES).items()}
        if isinstance(value, Mapping)
        else value
    )


def _adjusted_at(figures: Mapping[str, Any]) -> Any:
    """Return the figures of one level of confounds in the names of schema 3."""
    return _numbers(_renamed(figures, _ADJUSTED_AT))


def _probe(found: Any) -> Any:
    if not isinstance(found, Mapping):
        return {"undefined": translate_reason(found).to_dict()}
    (metric,) = found.keys() - {"chance", "folds"}
    return {"metric": metric, "score": found[metric], "chance": found["chance"], "folds": found["folds"]}


def _skipped(line: str) -> Reason:
    """Return the reason of a line, which may begin with the name of a target."""
    target, separator, rest = line.partition(": ")
    why = translate_reason(rest)
    if separator and " " not in target and why.id != "other":
        return Reason.make("of_target", target=target, why=why)
    return translate_reason(line)
