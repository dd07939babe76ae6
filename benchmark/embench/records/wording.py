"""How figures, scores with intervals, and names of methods are written: on the terminal, in tables, reports and papers.

What a run costs is written by `records/cost.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

METRIC_NAMES = {
    "auroc": "AUROC",
    "auroc_within": "AUROC within subject",
    "auroc_within_stimulus": "AUROC within stimulus",
    "auroc_crossed": "AUROC with subject and stimulus held constant",
    "auroc_crossed_time": "AUROC with subject and clock held constant",
    "auroc_crossed_matched": "AUROC with subject, clock and session length held constant",
    "auroc_crossed_balanced": "AUROC with subject and clock held constant, balanced in session length",
    "ccc": "concordance within subject",
    "f1_weighted": "weighted F1",
    "f1_macro": "macro F1",
    "mcc": "Matthews correlation",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "brier": "Brier score",
    "ece": "calibration error",
    "precision_macro": "macro precision",
    "rmse": "RMSE",
    "sensitivity_specificity": "mean of sensitivity and specificity",
}

SHORT_METRIC_NAMES = {
    **METRIC_NAMES,
    "auroc_within": "AUROC within",
    "auroc_within_stimulus": "AUROC within stimulus",
    "auroc_crossed": "AUROC crossed",
    "auroc_crossed_time": "AUROC crossed in time",
    "auroc_crossed_matched": "AUROC matched",
    "auroc_crossed_balanced": "AUROC balanced",
    "ccc": "concordance",
    "balanced_accuracy": "bal. acc.",
    "sensitivity_specificity": "sens./spec.",
}
"""For the head of a column, with the whole name elsewhere."""

_NUMBER_WORDS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


def format_figure(value: float | None, spec: str = ".3f", missing: str = "-") -> str:
    """A number with three decimals, or by another format specification; `missing` for None and NaN.

    >>> format_figure(0.6123), format_figure(0.0321, "+.3f"), format_figure(None)
    ('0.612', '+0.032', '-')
    """
    return missing if value is None or value != value else format(value, spec)


def format_interval(score: Mapping[str, Any], template: str = "[{}, {}]", spec: str = ".3f") -> str:
    """The interval of a score as `scores.json` holds it, empty where it has none.

    >>> format_interval({"mean": 0.612, "low": 0.55, "high": 0.674})
    '[0.550, 0.674]'
    >>> format_interval({"mean": 0.612, "low": 0.55, "high": 0.674}, "{} to {}")
    '0.550 to 0.674'
    """
    if score.get("low") is None or score.get("high") is None:
        return ""
    return template.format(format(score["low"], spec), format(score["high"], spec))


def format_score(
    score: Mapping[str, Any] | None, spec: str = ".3f", missing: str = "-", *, interval: bool = True
) -> str:
    """A score as `scores.json` holds it, with its interval where it has one and `interval` is true; `missing` where
    there is no score.

    >>> format_score({"mean": 0.612, "low": 0.55, "high": 0.674})
    '0.612 [0.550, 0.674]'
    >>> format_score({"undefined": "one class only"})
    '-'
    """
    if score is None or score.get("mean") is None:
        return missing
    parts = [format(score["mean"], spec), format_interval(score, spec=spec) if interval else ""]
    return " ".join(filter(None, parts))


def format_over_folds(score: Mapping[str, Any], folds: int) -> str:
    """A score's t interval over the folds of a seed, as papers print it: it takes folds for independent and allows
    neither for shared training subjects nor for other subjects. Empty where the score's SD is not over folds.

    >>> format_over_folds({"mean": 0.81, "std": 0.015, "over": "folds"}, 10)
    '0.810 ± 0.0107'
    """
    if score.get("over") != "folds" or score.get("std") is None or folds < 2:
        return ""
    from scipy.special import stdtrit  # slow to import

    return f"{score['mean']:.3f} ± {stdtrit(folds - 1, 0.975) * score['std'] / folds**0.5:.4f}"


def is_by_construction(score: Mapping[str, Any] | None) -> bool:
    """Whether a control's score has no error at all: no subjects could give it another.

    >>> is_by_construction({"mean": 0.5, "low": 0.5, "high": 0.5}), is_by_construction({"mean": 0.5, "low": None})
    (True, False)
    """
    if score is None or score.get("low") is None:
        return False
    return abs(score["high"] - score["low"]) < 1e-9


def format_control(score: Mapping[str, Any] | None, missing: str = "-") -> str:
    """A control's score with its interval, or that it is what it is by construction.

    >>> format_control({"mean": 0.5, "low": 0.5, "high": 0.5})
    '0.500 by construction'
    """
    if score is not None and is_by_construction(score):
        return f"{format_figure(score['mean'])} by construction"
    return format_score(score, missing=missing)


def compared_metric(headline: str, metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """The score in which a method, with its `metrics`, is shown beside the controls: the headline, or `auroc_within`
    where nothing held the clock or the stimulus constant, so that only the headline is undefined."""
    beside = "auroc_within"
    undefined = "undefined" in metrics.get(headline, {})
    return beside if undefined and "mean" in metrics.get(beside, {}) else headline


def stimulus_scores(controls: Mapping[str, Mapping[str, Any]], target: str) -> Mapping[str, Mapping[str, Any]]:
    """Metric -> the score of `stimulus_mean`, which stands beside every score of a method, because what knows the
    stimulus alone may score high. Empty where the control does not apply."""
    scored = controls.get("stimulus_mean", {}).get(target, {})
    return {} if "undefined" in scored else scored


def control_note(headline: str, model: Mapping[str, Any], controls: Mapping[str, Mapping[str, Any]]) -> str:
    """Why a control may score high inside subjects and yet be at chance by construction; empty where none does.

    Args:
        model: metric -> the method's score. `controls`: control -> the same of each.
    """
    found = {
        name: scores["auroc_within"]["mean"]
        for name, scores in controls.items()
        if is_by_construction(scores.get(headline)) and scores.get("auroc_within", {}).get("mean", 0.0) > 0.55
    }
    if not headline.startswith("auroc_crossed") or not found:
        return ""
    name = max(found, key=lambda each: found[each])
    own = format_figure(model.get("auroc_within", {}).get("mean"))
    at = "stimuli" if headline == "auroc_crossed" else "moments"
    return (
        f"{name} has an auroc_within of {format_figure(found[name])}, the method {own}: the headline compares {at} at "
        f"which two subjects had opposite labels, and what knows the {at} alone answers both subjects alike, so that "
        "it cannot win there."
    )


def score_or_reason(score: Mapping[str, Any]) -> str:
    """A score with its interval, or the reason why it is undefined.

    >>> score_or_reason({"undefined": "one class only"})
    'undefined: one class only'
    """
    return f"undefined: {score['undefined']}" if "undefined" in score else format_score(score)


def format_points(value: float, bounded: bool) -> str:
    """A difference of scores: in hundredths with one decimal where the score is `bounded`, else with three digits."""
    text = f"{100 * value:.1f}" if bounded else f"{value:.3g}"
    return "0.0" if text == "-0.0" else text


def format_p(p: float) -> str:
    """A p value with two significant digits.

    >>> format_p(0.0304), format_p(0.2), format_p(1e-5)
    ('p = .03', 'p = .2', 'p < .001')
    """
    if p < 0.001:
        return "p < .001"
    text = f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
    return f"p = {text.rstrip('0').rstrip('.').removeprefix('0') or '0'}"


def format_value(value: Any, spec: str = ".3f", missing: str = "") -> str:
    """Anything that a record holds, on one line: mappings and lists with commas between; `missing` for None and "".

    >>> format_value({"ppg": 0.5, "eda": [1, 2]})
    'ppg 0.500, eda 1, 2'
    """
    if value is None or value == "":
        return missing
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {format_value(item, spec, missing)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(format_value(item, spec, missing) for item in value)
    return format_figure(value, spec) if isinstance(value, float) else str(value)


def describe_added_modalities(run: Mapping[str, Any]) -> list[str]:
    """Sentences on the modalities of a run that packages add, which no protocol's rules prepare."""
    from embench.interfaces.recording import names_in

    used = {part for m in run["method"]["modalities"] for part in names_in(m)}
    sentences = []
    for name, own in (run["dataset"].get("modalities") or {}).items():
        if name in used:
            filtered = "interpolated linearly" if own.get("linear") else "not filtered"
            said = [f"filter {format_value(own['filter'], 'g')}" if own.get("filter") else filtered]
            said += [f"{own['rate_hz']:g} Hz"] if own.get("rate_hz") else []
            said += [f"read as {own['read_as']}"] if own.get("read_as") else []
            sentences.append(
                f"The modality {name} was prepared as {own['package']} {own['version']} defines it: {', '.join(said)}."
            )
    return sentences


def number_in_words(count: int) -> str:
    """`three` for 3, up to twelve; digits beyond."""
    return _NUMBER_WORDS[count] if 0 <= count < len(_NUMBER_WORDS) else str(count)


def join_with_and(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def format_controls(not_cleared: Sequence[str], n_scored: int | None = None) -> str:
    """Whether a method lies above its controls: `not above prior`, or `above all 6` where their number is given."""
    if not_cleared:
        return f"not above {', '.join(not_cleared)}"
    if n_scored is None:
        return "above all"
    return f"above all {n_scored}" if n_scored else "none scored"


def format_rank(row: Mapping[str, Any]) -> str:
    """The ranks that a row may have, or why it has none.

    >>> format_rank({"rank": (1, 23)}), format_rank({"rank": (4, 4)}), format_rank({"rank": None, "mark": ["leaks"]})
    ('1-23', '4', '(leaks)')
    """
    if row["rank"] is None:
        return f"({', '.join(row['mark'])})"
    best, worst = row["rank"]
    return str(best) if best == worst else f"{best}-{worst}"


def format_evidence(evidence: Mapping[str, Any]) -> str:
    """What others have checked of a row, by whom and when.

    >>> format_evidence({"level": "spot_checked", "by": "A. Reader", "on": "2026-11-22"})
    'spot-checked by A. Reader, 2026-11-22'
    >>> format_evidence({"level": "self_reported", "by": None, "on": None})
    'self-reported'
    """
    level = evidence["level"].replace("_", "-")
    return f"{level} by {evidence['by']}, {evidence['on']}" if evidence["by"] else level


def metric_name(metric: str) -> str:
    """What a metric is called in text; its own name in words where it has no other."""
    return METRIC_NAMES.get(metric, in_words(metric))


def in_words(name: str) -> str:
    """The name of a control, a target or a metric as words.

    >>> in_words("elapsed_time")
    'elapsed time'
    """
    return name.replace("_", " ")


def counted(count: int, noun: str) -> str:
    """A number in words with its noun.

    >>> counted(1, "seed"), counted(3, "subject"), counted(24, "subject")
    ('one seed', 'three subjects', '24 subjects')
    """
    return f"{number_in_words(count)} {noun}{'' if count == 1 else 's'}"


def bare_name(full_name: str) -> str:
    """The last part of `package/name`, `package/name/variant` or `object:DIGEST:Class`."""
    return full_name.rpartition("/")[2] if not full_name.startswith("object:") else full_name.rpartition(":")[2]


def name_without_package(full_name: str) -> str:
    """`name` or `name/variant` of a full name; `Class` of `./file.py:Class`."""
    return full_name.rpartition(":")[2].split("/", 1)[-1]


def method_name(run: Mapping[str, Any]) -> str:
    """What a method is called: its encoders and fusion, its pretraining, its modalities; of a submission, the name that
    its author gave it. Empty where the record names no parts.

    Args:
        run: the content of run.yaml.
    """
    method = run["method"]
    if method.get("outside"):
        return str(method["outside"])
    encoders = dict.fromkeys(map(bare_name, method["encoders"].values()))
    parts = [*encoders, *filter(None, [bare_name(method["fusion"] or "")])]
    after = f" after {', '.join(method['pretrainers'])}" if method["pretrainers"] else ""
    return f"{' + '.join(parts)}{after} on {', '.join(method['modalities'])}" if parts else ""


def row_method_name(row: Mapping[str, Any]) -> str:
    """What the method of a leaderboard's row is called: with the modality of each encoder where they differ, and what
    sets the run apart from the plain method. Its modalities have a column of their own."""
    names = list(dict.fromkeys(row["encoders"].values()))
    encoders = names[0] if len(names) == 1 else ", ".join(f"{m}: {name}" for m, name in row["encoders"].items())
    after = f", after {', '.join(row['pretrainers'])}" if row["pretrainers"] else ""
    return " + ".join(filter(None, [encoders, row["fusion"]])) + after + _differences(row)


def short_row_method_name(row: Mapping[str, Any]) -> str:
    """The same for a narrow column: every part once, without modalities."""
    parts = [*dict.fromkeys(row["encoders"].values()), *filter(None, [row["fusion"]]), *row["pretrainers"]]
    return " + ".join(parts) + _differences(row)


def _differences(row: Mapping[str, Any]) -> str:
    return f" ({'; '.join(row['apart'])})" if row["apart"] else ""
