"""The wording of numbers, scores, method names and calibration data on screens, in reports and in papers."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from embench.records.scores import CalibrationGain, Gap, Score, Scores

K = TypeVar("K")
V = TypeVar("V")


# The cost of a method as tables show it.

NOT_MEASURED = "not measured"
COST_COLUMNS = ("time", "parameters", "FLOPs", "memory", "energy")

_COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_MEGABYTES = ((1024, "GB"), (1, "MB"))


def format_cost(cost: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> text of each cost in the `cost` of a run's record: `COST_COLUMNS` and, where they were measured,
    `CPU time`, `GPU time` and `processor`. For their meaning see `CostPart`."""
    wall, energy = cost.get("wall_seconds"), cost.get("energy_j")
    computed = {"CPU time": cost.get("cpu_seconds"), "GPU time": cost.get("gpu_seconds")}
    return {
        "time": NOT_MEASURED if wall is None else ", ".join(filter(None, (format_duration(wall), cost.get("device")))),
        "parameters": _format_scaled(cost.get("parameters"), _COUNTS),
        "FLOPs": _format_scaled(cost.get("flops"), _COUNTS),
        "memory": _format_scaled(cost.get("peak_memory_mb"), _MEGABYTES),
        "energy": NOT_MEASURED if energy is None else f"{energy / 3600:.3g} Wh",
        **{name: format_duration(seconds) for name, seconds in computed.items() if seconds},
        **({"processor": cost["processor"]} if cost.get("processor") else {}),
    }


def format_duration(seconds: float) -> str:
    """Return a length of time as text: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _format_scaled(number: float | None, sizes: Sequence[tuple[float, str]]) -> str:
    """Return a number with a letter of `sizes` (size, letter): `996`, `1.25 M`; `NOT_MEASURED` for 0 and None."""
    if not number:
        return NOT_MEASURED
    size, letter = next((s for s in sizes if number >= s[0]), sizes[-1])
    return f"{number / size:.3g} {letter}".strip() if size > 1 else f"{number:.0f} {letter}".strip()


def measured_costs(cost: Mapping[str, Any]) -> list[str]:
    """Return the costs that were measured, as texts with their names."""
    return [f"{name} {text}" for name, text in format_cost(cost).items() if text != NOT_MEASURED]


def departures_in_words(recipe: Mapping[str, Any]) -> list[str]:
    """Return a text for each paper: the settings that differ from it, with the paper's values in brackets. Without
    papers or recorded settings, the only text says so. `recipe`: as in records and plans, with the key `departs`.

    >>> lr = {"field": "encoder.lr", "source": "wu2023", "paper": 0.0001, "used": 0.001}
    >>> departures_in_words({"departs": [lr, {**lr, "field": "encoder.epochs", "paper": None, "used": 3}]})
    ['wu2023: encoder.lr 0.001 (0.0001); encoder.epochs 3 (left open)']
    """
    if (departs := recipe.get("departs")) is None:
        return ["no plugin has a paper" if "departs" in recipe else "not recorded"]
    texts = grouped(
        (row["source"], f"{row['field']} {format_value(row['used'], 'g', 'none')} ({paper_value(row['paper'])})")
        for row in departs
    )
    return [f"{source}: {'; '.join(fields)}" for source, fields in texts.items()]


def paper_value(value: Any) -> str:
    """Return the paper's value of a setting in words."""
    return "left open" if value is None else format_value(value, "g", "none")


# Text of figures, scores with intervals, and names of methods for the terminal, tables, reports and papers.

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def inside_subjects(primary_metric: str) -> str:
    """Return the within-subject metric by which rows are sorted if the primary metric does not rank them.

    >>> inside_subjects("auroc_crossed"), inside_subjects("concordance_crossed_moment")
    ('auroc_within', 'concordance_within')
    """
    return "concordance_within" if primary_metric.startswith("concordance") else "auroc_within"


def format_figure(value: float | None, spec: str = ".3f", missing: str = "-") -> str:
    """Return a number as text, with three decimals or by another format `spec`; `missing` for None and NaN.

    >>> format_figure(0.6123), format_figure(0.0321, "+.3f"), format_figure(None)
    ('0.612', '+0.032', '-')
    """
    return missing if value is None or value != value else format(value, spec)


class Interval(Protocol):
    """A number with the ends of its interval: a recorded `Score`, or an `Estimate`."""

    @property
    def mean(self) -> float | None:
        """The number; NaN or None where it is undefined."""

    @property
    def low(self) -> float | None:
        """The lower end."""

    @property
    def high(self) -> float | None:
        """The upper end."""


def format_interval(score: Interval, template: str = "[{}, {}]", spec: str = ".3f") -> str:
    """Return the interval of a score as text; empty where it has none.

    >>> from embench.records.scores import Score
    >>> format_interval(Score(mean=0.612, low=0.55, high=0.674))
    '[0.550, 0.674]'
    >>> format_interval(Score(mean=0.612, low=0.55, high=0.674), "{} to {}")
    '0.550 to 0.674'
    """
    low, high = getattr(score, "interval", None) or (score.low, score.high)  # limited to the metric's range
    return "" if low is None or high is None else template.format(format(low, spec), format(high, spec))


def format_score(score: Interval | None, spec: str = ".3f", missing: str = "-", *, interval: bool = True) -> str:
    """Return a score as text, with its interval if it has one and `interval` is true; `missing` if it is undefined.

    >>> from embench.records.scores import Score
    >>> format_score(Score(mean=0.612, low=0.55, high=0.674))
    '0.612 [0.550, 0.674]'
    >>> format_score(Score(undefined="one class only"))
    '-'
    """
    if score is None or score.mean is None or math.isnan(score.mean):
        return missing
    parts = [format(score.mean, spec), format_interval(score, spec=spec) if interval else ""]
    return " ".join(filter(None, parts))


def format_over_folds(score: Score, folds: int) -> str:
    """Return a score with its t interval over the folds of a seed, as papers print it. This interval ignores that folds
    share training subjects. Empty where the score's SD is not over folds.

    >>> from embench.records.scores import Score
    >>> format_over_folds(Score(mean=0.81, std=0.015, over="folds"), 10)
    '0.810 ± 0.0107'
    """
    half = half_width_over_folds(score, folds)
    return "" if half is None else f"{score.mean:.3f} ± {half:.4f}"


def half_width_over_folds(score: Score, folds: int) -> float | None:
    """Return the half width of that interval; None where the score's SD is not over folds.

    >>> from embench.records.scores import Score
    >>> round(half_width_over_folds(Score(mean=0.81, std=0.015, over="folds"), 10), 4)
    0.0107
    """
    if score.over != "folds" or score.std is None or folds < 2:
        return None
    from scipy.special import stdtrit  # slow to import

    return float(stdtrit(folds - 1, 0.975) * score.std / folds**0.5)


def format_coverage(share: float | None) -> str:
    """Return a sentence on the proportion of units that a method predicts; empty if it predicts all, or for None.

    >>> format_coverage(0.954)
    '95.4 % of the labelled units are predicted; comparisons with the others count as lost, or tied if not recorded'
    >>> format_coverage(1.0)
    ''
    """
    if share is None or share == 1:
        return ""
    others = "comparisons with the others count as lost, or tied if not recorded"
    return f"{min(99.9, 100 * share):.1f} % of the labelled units are predicted; {others}"


def format_share(share: float | None, missing: str = "") -> str:
    """Return a proportion (0 to 1) in whole percents; `missing` for None.

    >>> format_share(0.1234), format_share(0.004), format_share(0.0), format_share(None)
    ('12 %', '< 1 %', '0 %', '')
    """
    if share is None:
        return missing
    return "< 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def is_by_construction(score: Interval | None) -> bool:
    """True if a confound-only model's score has an interval of length 0, since the score is the same for any subjects.

    >>> from embench.records.scores import Score
    >>> is_by_construction(Score(mean=0.5, low=0.5, high=0.5)), is_by_construction(Score(mean=0.5))
    (True, False)
    """
    if score is None or score.low is None or score.high is None:
        return False
    return abs(score.high - score.low) < 1e-9


def format_control(score: Interval | None, missing: str = "-") -> str:
    """Return the score of a confound-only model with its interval, or with a note that it follows by construction.

    >>> from embench.records.scores import Score
    >>> format_control(Score(mean=0.5, low=0.5, high=0.5))
    '0.500 by construction'
    """
    if score is not None and is_by_construction(score):
        return f"{format_figure(score.mean)} by construction"
    return format_score(score, missing=missing)


def format_points(value: float, bounded: bool) -> str:
    """Return a difference of scores: in hundredths with one decimal if `bounded`, else with three digits."""
    text = f"{100 * value:.1f}" if bounded else f"{value:.3g}"
    return "0.0" if text == "-0.0" else text


def format_p(p: float) -> str:
    """Return a p value as text.

    >>> format_p(0.0304), format_p(0.2), format_p(1e-5)
    ('p = .03', 'p = .2', 'p < .001')
    """
    if p < 0.001:
        return "p < .001"
    text = f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
    return f"p = {text.rstrip('0').rstrip('.').removeprefix('0') or '0'}"


def format_value(value: Any, spec: str = ".3f", missing: str = "") -> str:
    """Return any value of a record on one line, with commas between items; `missing` for None and "".

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
    """Return a sentence on the preparation of each modality of a run that a package other than embench defines."""
    from embench.interfaces.recording import split_modality

    used = {part for m in run["method"]["modalities"] for part in split_modality(m)}
    sentences = []
    for name, added in (run["dataset"].get("modalities") or {}).items():
        if name in used:
            filtered = "interpolated linearly" if added.get("linear") else "not filtered"
            parts = [f"filter {format_value(added['filter'], 'g')}" if added.get("filter") else filtered]
            parts += [f"{added['rate_hz']:g} Hz"] if added.get("rate_hz") else []
            parts += [f"read as {added['read_as']}"] if added.get("read_as") else []
            package = f"{added['package']} {added['version']}"
            sentences.append(f"The modality {name} was prepared as {package} defines it: {', '.join(parts)}.")
    return sentences


def number_in_words(count: int) -> str:
    """Return a number as a word (`three`), above twelve in digits."""
    return _NUMBERS[count] if 0 <= count < len(_NUMBERS) else str(count)


def join_with_and(parts: Sequence[str]) -> str:
    """Return the parts as a list in words: `a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


OF_SYNTHETIC_DATA = " (synthetic)"
"""The end of the name of a leaderboard of unpublished runs on synthetic data."""


def in_words(name: str) -> str:
    """Return the name of a model, target or metric as words.

    >>> in_words("elapsed_time")
    'elapsed time'
    """
    return name.replace("_", " ")


def counted(count: int, noun: str) -> str:
    """Return a number in words with its noun.

    >>> counted(1, "seed"), counted(3, "subject"), counted(24, "subject")
    ('one seed', 'three subjects', '24 subjects')
    """
    return f"{number_in_words(count)} {noun}{'' if count == 1 else 's'}"


def bare_name(full_name: str) -> str:
    """Return the last part of `package/name`, `package/name/variant` or `object:DIGEST:Class`."""
    return full_name.rpartition("/")[2] if not full_name.startswith("object:") else full_name.rpartition(":")[2]


def recorded_hyperparameters(text: str) -> list[str]:
    """Return the steps of a scikit-learn pipeline or estimator, with the hyperparameters that differ from their
    defaults, from its recorded `repr`; nothing for other objects.

    >>> recorded_hyperparameters("Pipeline(steps=[('scale', StandardScaler()), ('svc', SVC(C=0.1))])")
    ['StandardScaler()', 'SVC(C=0.1)']
    >>> recorded_hyperparameters("<class '__main__.Net'>")
    []
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return []
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return []
    steps = next((each.value for each in node.keywords if each.arg == "steps"), None)
    if node.func.id == "Pipeline" and isinstance(steps, ast.List):
        named = [each.elts[-1] for each in steps.elts if isinstance(each, ast.Tuple)]
        return [found for each in named for found in recorded_hyperparameters(ast.unparse(each))]
    return [ast.unparse(node)]


def name_without_package(full_name: str) -> str:
    """Return `name` or `name/variant` of a full name; `Class` of `./file.py:Class`."""
    return full_name.rpartition(":")[2].split("/", 1)[-1]


def method_name(run: Mapping[str, Any]) -> str:
    """Return the display name of a method: encoders, fusion, pretraining and modalities; for a submission, its name.
    Empty where the record names no parts.

    Args:
        run: the content of run.yaml.
    """
    method = run["method"]
    if method.get("submission"):
        return str(method["submission"])
    encoders = dict.fromkeys(map(bare_name, method["encoders"].values()))
    parts = [*encoders, *filter(None, [bare_name(method["fusion"] or "")])]
    after = f" after {', '.join(method['pretrainers'])}" if method["pretrainers"] else ""
    return f"{' + '.join(parts)}{after} on {', '.join(method['modalities'])}" if parts else ""


_NORMALISES = {True: "normalisation helps", False: "a benefit of normalisation is not shown"}
_LABELS = {True: "labels help", False: "a benefit of the labels is not shown"}
_FIRST, _ALONE = "no_calibration", "calibration_only"
_OF_LABELS = frozenset({"calibration_normalised", "calibration_only", "calibration_class_proportions"})
"""The comparisons that exist only for methods with labelled calibration data."""
COMPARISONS = {
    "no_calibration": "the same method without calibration data",
    "calibration_normalised": "the same calibration data without labels, which normalise a subject",
    "calibration_only": "a linear model of the calibration data only, on the same features",
    "calibration_class_proportions": "the class proportions of the calibration data, or their mean",
    "time_since_calibration": "the time since the calibration data",
}
"""Name -> description of each model that a method with calibration data is compared with."""


def given_in_words(given: Mapping[str, int | str], *, of_classes: bool = True) -> str:
    """Return the calibration data of a test subject in words, from run.yaml. `of_classes`: whether units are counted by
    class.

    >>> given_in_words({"labelled": 5}), given_in_words({"unlabelled": 1}), given_in_words({})
    ('5 labelled units of each class', '1 unit of each class without its label', 'nothing')
    >>> given_in_words({"labelled": 2}, of_classes=False), given_in_words({"unlabelled": "session"})
    ('2 labelled units', 'the whole session without labels')
    """
    if not given:
        return "nothing"
    if given.get("unlabelled") == "session":
        return "the whole session without labels"
    [(kind, number)] = given.items()
    units = f"{'labelled ' * (kind == 'labelled')}unit{'s' * (number != 1)}{' of each class' * of_classes}"
    whose = "" if kind == "labelled" else f" without {'its label' if number == 1 else 'their labels'}"
    return f"{number} {units}{whose}"


def gain_sentences(scores: Scores, target: str, given: Mapping[str, int | str] | None) -> list[str]:
    """Return sentences on the gain of a target from calibration data: from their labels, and from normalisation. Return
    none for a method without calibration data.

    Args:
        given: calibration data as in run.yaml, such as `{"labelled": 5}`; None if the protocol decides on them.
    """
    gain = scores.get_calibration_gain(target)
    if gain is None:
        return []
    metric, is_continuous = scores.primary_metrics[target], gain.level_metric == "rmse"
    data = "with calibration data"
    if given is not None:
        units = given_in_words(given, of_classes=not is_continuous)
        data = f"with {units} as calibration data" if given else "without calibration data"
    with_data, without_data = (scores.get_score(target, metric, name) for name in (None, _FIRST))
    reached = f"{data}: {metric} {format_score(with_data, interval=False)}"
    if with_data is None:
        reached = f"{data}: {metric} cannot be estimated"
    elif without_data:
        reached += f", without {format_score(without_data, interval=False)}"
    if gain.missing:
        reached += f" (not compared with {join_with_and(gain.missing)})"
    normalising = "the gain from normalisation cannot be estimated"
    if gain.normalisation:
        normalising = f"{_describe_gains(gain, metric)}: {_NORMALISES[_is_any_above_zero(gain.normalisation)]}"
    if "labelled" not in (given if given is not None else {"labelled": 0}):
        return [f"{reached}, {normalising}"]
    sentence = f"{reached}{_describe_gain_over_best(gain, metric)}: {_LABELS[gain.source == 'labels']}"
    if alone := scores.get_score(target, metric, _ALONE):
        sentence += f"; {COMPARISONS[_ALONE]}, reaches {format_score(alone)}"
    if not gain.normalisation or "calibration_normalised" not in gain.compared_with:
        return [sentence]
    return [sentence, f"{COMPARISONS['calibration_normalised']}: {normalising}"]


def least_gain(found: CalibrationGain, metric: str) -> tuple[str, Gap] | None:
    """Return (name, gain in `metric`) of the comparison with the smallest gain; None if no gain is known. With labelled
    calibration data, all comparisons count except `calibration_only`, which itself uses the labels. Without labels,
    only the comparison `no_calibration` counts."""
    labelled = not _OF_LABELS.isdisjoint(found.compared_with)
    counting = found.compared_with.keys() - {_ALONE} if labelled else {_FIRST}
    known = {
        name: gaps[metric]
        for name, gaps in found.compared_with.items()
        if name in counting and metric in gaps and gaps[metric].difference.is_defined
    }
    return min(known.items(), key=lambda each: each[1].difference.mean or 0.0, default=None)


def _describe_gain_over_best(found: CalibrationGain, metric: str) -> str:
    """Return a clause on the gain over the best comparison; empty where there is none."""
    best = least_gain(found, metric)
    if best is None:
        return ""
    name, gap = best
    about = f" ({COMPARISONS[name]})" if name in COMPARISONS else ""
    return f"; the gain over the best comparison, {name}{about}, is {format_score(gap.difference)}"


def _describe_gains(found: CalibrationGain, metric: str) -> str:
    """Return the gains from normalisation in words: in the primary `metric`, and in `found.level_metric`."""
    gaps = {name: gap.difference for name, gap in found.normalisation.items() if gap.difference.is_defined}
    clauses = [f"a gain of {format_score(gaps[metric])}"] if metric in gaps else []
    if level := gaps.get(found.level_metric):
        clauses.append(f"the difference of {found.level_metric}, where less is better, is {format_score(level)}")
    return "; ".join(clauses) or "no gain can be estimated"


def _is_any_above_zero(gaps: Mapping[str, Gap]) -> bool:
    return any(gap.above_zero for gap in gaps.values())


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Group the second items of pairs by the first, in order of first appearance.

    >>> grouped([("no label", "s1"), ("too short", "s2"), ("no label", "s3")])
    {'no label': ['s1', 's3'], 'too short': ['s2']}
    """
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
