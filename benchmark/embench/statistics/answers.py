"""Answers to the questions about a result: is the score associated with the label, more than by chance and given
confounds?

There are nine answers, see `AnswerWord`. Each rests on an interval, never on a point estimate. If the primary metric
cannot be estimated, the answer is *too few data* or *cannot be told*. `statistics/form.py` prints them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from embench.interfaces.recording import split_modality
from embench.protocols import Design
from embench.reasons import Reason
from embench.records.scores import Adjusted, AdjustedAt, ConfoundOnlyModel, Score, Scores
from embench.records.wording import gain_sentences, inside_subjects, join_with_and
from embench.statistics import metric_facts
from embench.vocabulary import label

AnswerWord = Literal[
    "yes",
    "not shown",
    "no larger than δ",
    "reversed",
    "held constant",
    "excluded by design",
    "cannot be told",
    "too few data",
    "not computed",
]
_TIME_MODELS = ("elapsed_time", "session_position", "study_drift")
"""Confound-only models of time."""
SCORE_RESIDUAL_BOUNDS = 0.05, 1.25
"""Bounds of the proportion of a score's variance that the adjustment must leave for the residuals to mean anything."""
TIME_PREDICTS_LABEL = 0.95
"""Within-subject AUROC of a confound-only model from which on the label cannot be separated from the confound."""
LEAST_LABEL_RESIDUAL = 0.10
"""Least proportion of the label's variance within subjects that the adjustment of a small study must leave. It is the
proportion that a confound measured with reliability 0.9 leaves by error alone."""
EXTRA_MOVEMENT_ALPHA = 0.05
"""Significance level of the test whether a small study's label follows movement in ways that are not adjusted for."""
SMALLEST_EFFECT: Mapping[str, float] = {"partial r": 0.05, "AUROC": 0.55, "C-index": 0.55}
"""Measure -> its smallest effect of interest δ. If an interval's upper end lies below δ, the effect is below δ."""
_CHANCE_ALONE = ("session_position", "previous_stimulus")
"""Confound-only models of order. They are at chance if each subject had a different order of stimuli."""
NEAR_BOUND = 0.01
"""An answer is near the null value if the lower end of its interval is at most this far from the null value."""
_HELD_CONSTANT: Mapping[str, tuple[str, str]] = {
    "crossed_matched": ("given the time since the start?", "by the metric (±0.02)"),
    "crossed_time": ("given the time since the start?", "by the metric"),
    "crossed": ("given the stimulus?", "by the metric"),
    "crossed_moment": ("given the moment of the stimulus?", "by the metric"),
}
"""Kind of primary metric -> the question about the confound that it holds constant, and the evidence, as printed."""
_OTHER_MODALITIES = {
    "emg": "muscle activity (EMG)",
    "eog": "eye movement (EOG)",
    "resp": "breathing",
    "eeg": "eyes and muscles (EEG)",
}
"""Modality, besides acceleration, for which scores can be adjusted -> the confound that it measures."""
_EXPLORATORY: Mapping[Design, Mapping[str, str]] = {
    "fixed_order": {
        "auroc_crossed_matched": "movement",
        "auroc_within": "time and movement",
        "concordance_within": "time and movement",
    },
    "shared_stimuli": {
        "auroc_crossed": "time and movement",
        "auroc_within": "the stimulus, time and movement",
        "concordance_crossed": "the moment of the stimulus, time and movement",
        "concordance_within": "the stimulus, time and movement",
    },
    "free": {"auroc_within": "time and movement"},
}
"""Design -> secondary score, which decides no rank or answer -> the confounds that it does not hold constant."""
TOO_FEW_REASONS = ("few_comparisons", "few_matched_comparisons")
"""Reasons that more data would remove."""
CONFOUNDING: Mapping[str, str] = {
    "elapsed_time": "the time since the start",
    "session_position": "the time since the start",
    "stimulus_mean": "the stimulus",
}
"""Confound-only model -> the confound that it stands for. If such a model predicts the label almost fully, the answer
is *cannot be told*."""
_MOST_SEEDS = 10
"""Number of partitions that a protocol offers."""


@dataclass(frozen=True)
class Answer:
    """Answer to one question.

    Args:
        question: its id: `chance`, `held`, `order`, `movement` or `protocol_phase`; later versions may add others.
        text: the question as printed, after "Is the score associated with the label".
        answer: one of the nine. `evidence`: an effect with its interval, or the reason for the answer.
        effect: the estimate that decides; None if no estimate does."""

    question: str
    text: str
    answer: AnswerWord
    evidence: str
    effect: Score | None = None


@dataclass(frozen=True)
class Unanswerable:
    """Reason why the primary metric of a target can't be estimated.

    Args:
        answer: *cannot be told* if the design is the reason, *too few data* if more data would help.
        reason: sentences. `remedy`: a sentence and a command; empty if there is none.
        confound: what the design cannot separate from the label; empty if that is not the reason."""

    answer: Literal["cannot be told", "too few data", "not computed"]
    reason: str
    remedy: str = ""
    confound: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class SecondaryScore:
    """A score besides the primary metric.

    Args:
        varies: the confounds that it does not hold constant.
        confound_only: name and score of the confound-only model with the highest such score; None if none has one."""

    metric: str
    score: Score
    varies: str
    confound_only: tuple[str, Score] | None


@dataclass(frozen=True, repr=False)
class TargetAnswers:
    """The answers of a run on one target. It prints as the primary metric and the answers.

    Args:
        metric: the primary metric. `score`: its value; None if undefined. Then `undefined_reason` is the recorded
            reason, and `problem` explains it.
        answers: one per question, in the order of printing.
        models: the confound-only models that apply.
        secondary_scores: other scores that this design allows.
        adjusted: the recorded confound analysis; None if the protocol does not ask for it, or it was not run.
        calibration_gain: the gain from calibration data, in sentences.
        reads_session: whether the method reads the test subject's whole session. `modalities`: what it reads.
        near_null: names of the intervals that end within `NEAR_BOUND` of the null value."""

    target: str
    metric: str
    score: Score | None
    undefined_reason: Reason
    problem: Unanswerable | None
    answers: tuple[Answer, ...]
    models: tuple[ConfoundOnlyModel, ...]
    secondary_scores: tuple[SecondaryScore, ...]
    adjusted: Adjusted | None = None
    calibration_gain: tuple[str, ...] = ()
    reads_session: bool = False
    modalities: tuple[str, ...] = ()
    near_null: tuple[str, ...] = ()

    @property
    def display_metric(self) -> str:
        """Name of the score to draw: the primary metric, or the first secondary score if the primary metric is
        undefined."""
        return self.metric if self.score or not self.secondary_scores else self.secondary_scores[0].metric

    @property
    def title(self) -> str:
        """Display name of the primary metric."""
        return metric_facts(self.metric).title

    def find_answer(self, question: str) -> Answer | None:
        """Return the answer to a question, by its id; None if it is not asked."""
        return next((each for each in self.answers if each.question == question), None)

    def __repr__(self) -> str:
        score = format_with_interval(self.score) if self.score else "not estimable"
        return "; ".join([f"{self.title} {score}", *(f"{a.text} {a.answer} ({a.evidence})" for a in self.answers)])

    def format_answer(self, question: str) -> str:
        """Return the answer as a table's cell; a dash if the question is not asked."""
        found = self.find_answer(question)
        return found.answer if found else "—"


def answer_questions(run: Mapping[str, Any], scores: Scores) -> dict[str, TargetAnswers]:
    """Return target -> the answers, for a run whose run.yaml has the content `run`."""
    design = recorded_design(run["cohort"].get("design"), fixed_order=run.get("card", {}).get("fixed_order", False))
    with_confounds = not run.get("protocol", {}).get("leaks")
    # How the signals behind a file of predictions were normalised is not known.
    reads_session = run.get("target_access") == "unlabelled" and not run.get("submission")
    reads = tuple(name for each in run.get("method", {}).get("modalities", ()) for name in split_modality(each))
    seeds = len(run.get("seeds") or ()) or 1
    dataset = run.get("dataset", {}).get("name", "")
    answers = {}
    for target, metric in scores.primary_metrics.items():
        score, adjusted = scores.get_score(target, metric), scores.get_adjusted(target)
        subjects = run["cohort"].get("subjects")
        problem = None if score else explain_unanswerable(scores, target, subjects, seeds, dataset)
        models = tuple(model for model in scores.get_confound_only_models(target) if not model.reason)
        answers[target] = TargetAnswers(
            target=target,
            metric=metric,
            score=score,
            undefined_reason=scores.explain_undefined(target, metric),
            problem=problem,
            answers=tuple(_answers(scores, target, problem, dataset, with_confounds=with_confounds)),
            models=models,
            secondary_scores=tuple(_secondary_scores(scores, target, design)),
            adjusted=adjusted,
            calibration_gain=tuple(gain_sentences(scores, target, run.get("calibration_data"))),
            reads_session=reads_session,
            modalities=reads,
            near_null=tuple(find_near_null(scores, target)) if with_confounds else (),
        )
    return answers


def _secondary_scores(scores: Scores, target: str, design: Design | None) -> Iterator[SecondaryScore]:
    """Yield the recorded scores besides the primary metric that the design allows, see `_EXPLORATORY`."""
    for name, varies in _EXPLORATORY[design].items() if design else ():
        if name != scores.primary_metrics[target] and (score := scores.get_score(target, name)):
            yield SecondaryScore(name, score, varies, scores.find_strongest_model(target, name))


def _answers(
    scores: Scores, target: str, problem: Unanswerable | None, dataset: str, *, with_confounds: bool
) -> Iterator[Answer]:
    """Yield the answers on one target, in the order of printing. `with_confounds`: False to leave out confounds, for a
    protocol that leaks."""
    metric = scores.primary_metrics[target]
    score, facts = scores.get_score(target, metric), metric_facts(metric)
    if problem or score is None:
        word, why = (problem.answer, "see above") if problem else ("not computed", "")
        yield Answer("chance", "more than by chance?", word, why)
        if with_confounds:
            yield Answer("movement", "given time and movement within 10 min?", word, why)
        return
    if facts.chance is not None:
        by_metric = f"{metric_family(metric)} {format_or_undefined(score, facts.chance)}"
        smallest = SMALLEST_EFFECT.get(metric_family(metric))
        yield Answer("chance", "more than by chance?", judge_interval(score, facts.chance, smallest), by_metric, score)
    kind = metric.partition("_")[2]
    if kind in _HELD_CONSTANT:
        text, evidence = _HELD_CONSTANT[kind]
        yield Answer("held", text, "held constant", evidence)
    if with_confounds:
        of_time = [(name, known) for name in _TIME_MODELS if (known := scores.get_score(target, metric, name))]
        timed = max(of_time, key=lambda pair: pair[1].mean, default=None) if kind not in _HELD_CONSTANT else None
        yield from _confound_answers(scores.get_adjusted(target), metric, score, timed, dataset)
        if kind in ("crossed", "crossed_moment"):
            yield from _order_answer(scores, target, metric)


def _order_answer(scores: Scores, target: str, metric: str) -> Iterator[Answer]:
    """Yield the answer *excluded by design* on the order of stimuli, if all models of order are at chance."""
    known = {name: score for name in _CHANCE_ALONE if (score := scores.get_score(target, metric, name))}
    chance = metric_facts(metric).chance or 0.0
    if len(known) < len(_CHANCE_ALONE) or any(judge_interval(score, chance) != "not shown" for score in known.values()):
        return
    alone = "; ".join(f"{label(name)} alone {format_or_undefined(score, chance)}" for name, score in known.items())
    yield Answer("order", "given the order of the stimuli?", "excluded by design", alone)


def _confound_answers(
    adjusted: Adjusted | None, metric: str, score: Score, timed: tuple[str, Score] | None, dataset: str
) -> Iterator[Answer]:
    """Yield the answers of the confound analysis.

    Args:
        timed: name and score of the strongest model of time; None if the metric holds time constant. For a *yes*, the
            method's interval must lie above this score, since a more exact model of time can pass the analysis."""
    text = "given time and movement within 10 min?"
    if adjusted is None:
        yield Answer("movement", text, "not computed", "the confound analysis was not run")
        return
    if adjusted.undefined:
        word: AnswerWord = "too few data" if adjusted.undefined.id == "few_to_adjust" else "cannot be told"
        yield Answer("movement", text, word, plain_reason(adjusted.undefined, dataset))
        return
    if adjusted.metric != metric:  # of an older record: it rests on a score that does not hold the stimulus constant
        yield Answer("movement", text, "too few data", f"too few comparisons for {metric_facts(metric).title}")
        return
    beside = [_OTHER_MODALITIES[name] for name in adjusted.adjusted_for if name in _OTHER_MODALITIES]
    if adjusted.decisive_level == "small_study":
        yield _require_above_time(_small_study_answer(adjusted, beside, metric, score), score, timed)
        return
    if not adjusted.has_movement:
        given = join_with_and(["the time since the start", *beside])
        answer = _answer_at_level(
            adjusted, "protocol_phase", "movement", f"given {given}? (movement was not recorded)", metric, score
        )
        yield _require_above_time(answer, score, timed)
        return
    given = join_with_and(["time", "movement", *beside])
    yield _require_above_time(
        _answer_at_level(adjusted, "movement", "movement", f"given {given} within 10 min?", metric, score), score, timed
    )
    phase = "given the phase of the protocol, inferred from movement of the whole session?"
    yield _require_above_time(
        _answer_at_level(adjusted, "protocol_phase", "protocol_phase", phase, metric, score), score, timed
    )


def _small_study_answer(adjusted: Adjusted, beside: Sequence[str], metric: str, score: Score) -> Answer:
    """Return the answer of a small study, which is adjusted for few columns. `beside`: names of the confounds besides
    time, order and movement."""
    at = adjusted.levels["small_study"]
    order = ["position", "previous stimulus"] if "crossed" in metric and "matched" not in metric else []
    given = join_with_and(["time", *order, *(["movement"] if adjusted.has_movement else []), *beside])
    text = f"given {given}?{'' if adjusted.has_movement else ' (movement was not recorded)'}"
    label_left = at.label_residual_proportion
    if label_left is not None and label_left < LEAST_LABEL_RESIDUAL:
        why = (
            f"{label_left:.0%} of the label's variance is left after adjustment; {LEAST_LABEL_RESIDUAL:.0%} are needed"
        )
        return Answer("movement", text, "cannot be told", why)
    if at.extra_movement_p is not None and at.extra_movement_p <= EXTRA_MOVEMENT_ALPHA:
        what = "movement over several units in ways that are not adjusted for"
        why = f"the label follows {what} (p = {at.extra_movement_p:.2g})"
        return Answer("movement", text, "cannot be told", why)
    if at.residual_proportion < SCORE_RESIDUAL_BOUNDS[0]:
        why = f"the confounds explain {1 - at.residual_proportion:.0%} of the score's variance"
        return Answer("movement", text, "not shown", why)
    return _answer_at_level(adjusted, "small_study", "movement", text, metric, score, SMALLEST_EFFECT["partial r"])


def _answer_at_level(
    adjusted: Adjusted, level: str, question: str, text: str, metric: str, score: Score, smallest: float | None = None
) -> Answer:
    """Return the answer at a confound level. If the interval excludes 0 and another condition fails, the answer is *not
    shown*, and the evidence names that condition."""
    at = adjusted.levels[level]
    evidence = f"partial r {format_or_undefined(at.partial_r, 0.0)}"
    word = judge_interval(at.partial_r, 0.0, smallest)
    if word == "yes" and not at.associated:
        word, evidence = "not shown", f"{evidence}, but {_failed_condition(adjusted, at, metric, score)}"
    if word == "reversed" and judge_interval(score, metric_facts(metric).chance or 0.0) != "reversed":
        word, evidence = "not shown", f"{evidence}, but {metric_family(metric)} is not below chance"
    return Answer(question, text, word, evidence, at.partial_r)


def _require_above_time(answer: Answer, score: Score, timed: tuple[str, Score] | None) -> Answer:
    """Return the answer. A *yes* becomes *not shown* if the method's interval does not lie above the score of the model
    of time `timed`."""
    if answer.answer != "yes" or timed is None or (score.low is not None and score.low > timed[1].mean):
        return answer
    reached = (
        f"{label(timed[0])} alone reaches {format_decimals(timed[1].mean)}, which the metric does not hold constant"
    )
    return replace(answer, answer="not shown", evidence=f"{answer.evidence}, but {reached}")


def _failed_condition(adjusted: Adjusted, at: AdjustedAt, metric: str, score: Score) -> str:
    """Return a clause on the first condition of an association that fails, besides the partial correlation."""
    chance = metric_facts(metric).chance or 0.0
    if judge_interval(score, chance) != "yes":
        return f"{metric_family(metric)} is not above chance"
    least, most = SCORE_RESIDUAL_BOUNDS
    none = 0.0 if adjusted.mean_difference else chance
    if judge_interval(at.residual_score, none) != "yes":
        what = "higher and lower labels differ" if metric.startswith("concordance") else "the two labels differ"
        size = format_or_undefined(at.residual_score, none) + (" SD" if adjusted.mean_difference else "")
        return f"over the matched comparisons the adjusted scores of {what} by {size}"
    return f"{at.residual_proportion:.0%} of the score's variance is left ({least:.0%} to {most:.0%} is allowed)"


def metric_family(metric: str) -> str:
    """Return the family of a metric, as a table's cell names it: AUROC, C-index, or the metric's short name.

    >>> metric_family("auroc_crossed_matched"), metric_family("concordance_within")
    ('AUROC', 'C-index')
    """
    known = {"auroc": "AUROC", "concordance": "C-index"}
    return known.get(metric.partition("_")[0]) or metric_facts(metric).short


def judge_interval(score: Score | None, null: float, smallest: float | None = None) -> AnswerWord:
    """Return the answer that a score's interval gives. `null`: the value to exclude. `smallest`: the smallest effect of
    interest.

    >>> score = Score(mean=0.52, low=0.49, high=0.54)
    >>> judge_interval(score, 0.5), judge_interval(score, 0.5, 0.55)
    ('not shown', 'no larger than δ')
    """
    if score is None or not score.is_defined or score.low is None or score.high is None:
        return "too few data"
    if score.low > null:
        return "yes"
    if score.high < null:
        return "reversed"
    return "no larger than δ" if smallest is not None and score.high < smallest else "not shown"


def format_or_undefined(score: Score | None, null: float) -> str:
    """Return a number with its interval, as `format_with_interval`, or "not estimable"."""
    return "not estimable" if score is None or not score.is_defined else format_with_interval(score, null)


def format_with_interval(score: Score, null: float | None = None, template: str = "{} ({} to {})") -> str:
    """Return a number with its interval in two decimals. There are more decimals if an end of the interval excludes
    `null` but would round to it.

    >>> [format_with_interval(Score(mean=0.621, low=low, high=0.675), 0.5) for low in (0.56, 0.5003)]
    ['0.62 (0.56 to 0.68)', '0.6210 (0.5003 to 0.6750)']
    """
    ends = score.interval
    if ends is None:
        return format_decimals(score.mean)
    digits = 2
    while null is not None and digits < 4 and any(round(end, digits) == null != end for end in ends):
        digits += 1
    return template.format(*(format_decimals(value, digits) for value in (score.mean, *ends)))


def format_decimals(value: float, digits: int = 2) -> str:
    """Return a number with this many decimals, without a negative zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def explain_unanswerable(scores: Scores, target: str, subjects: Any, seeds: int, dataset: str = "") -> Unanswerable:
    """Return why the primary metric of a target can't be estimated, the answer that follows, and what helps.

    Args:
        subjects: a record's subjects, or their number. `seeds`: the number of seeds of the run.
        dataset: the dataset's full name."""
    metric, why = scores.primary_metrics[target], scores.explain_undefined(target, scores.primary_metrics[target])
    within = inside_subjects(metric)
    for control, what in CONFOUNDING.items():
        known = scores.get_score(target, within, control)
        if known and known.mean >= TIME_PREDICTS_LABEL:
            alone = f"{metric_family(within)} of {label(control)} alone {format_decimals(known.mean)}"
            return Unanswerable("cannot be told", say_not_separable(target, what, alone), confound=what)
    if why.id not in TOO_FEW_REASONS:
        reason = f"{metric_facts(metric).title} is undefined: {plain_reason(why, dataset)}."
        return Unanswerable("cannot be told", reason)
    size = subjects if isinstance(subjects, int) else len(subjects or ())
    reason, factor = describe_missing_data(why, size)
    if enough := scores.get_enough_data(target):
        return Unanswerable("too few data", reason, suggest_more_data(enough.seeds, enough.subjects))
    # A partition counts only if it has enough comparisons by itself.
    remedy = f"Other partitions may give enough:  embench run ... --seeds 0-{_MOST_SEEDS - 1} --dry-run"
    if seeds >= _MOST_SEEDS or factor == float("inf"):
        remedy = "More subjects are needed, or stimuli on which subjects disagree."
    return Unanswerable("too few data", reason, remedy)


def say_not_separable(target: str, confound: str, evidence: str) -> str:
    """Return a sentence on a design in which a confound predicts the label."""
    return f"This design cannot separate {target} from {confound} ({evidence})."


def suggest_more_data(seeds: Sequence[int], subjects: int, stimuli: int = 0) -> str:
    """Return a sentence on the data that give enough comparisons: `seeds`, with the command to type, or else roughly
    `subjects` or `stimuli`. Empty if all are empty or 0."""
    if seeds:
        listed = ",".join(map(str, seeds))
        if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
            listed = f"{seeds[0]}-{seeds[-1]}"
        return f"{len(seeds)} partitions give enough:  embench run ... --seeds {listed}"
    enough = [f"{number} {noun}" for number, noun in ((subjects, "subjects"), (stimuli, "stimuli")) if number]
    return f"About {' or '.join(enough)} with such labels would give enough." if enough else ""


def describe_missing_data(why: Reason, size: int) -> tuple[str, float]:
    """Return a sentence on the missing data, and the factor by which the number of comparisons must grow.

    Args:
        why: the recorded reason why the primary metric is undefined. `size`: number of subjects in the study.

    Returns:
        The factor is infinite if more comparisons of the same subjects do not help."""
    counts = why.values
    if why.id == "few_comparisons":
        if counts["subjects"] < counts["least_subjects"]:
            text = f"{_say_comparable(counts['subjects'], size)}; {counts['least_subjects']} are needed."
            return f"Too few comparisons: {text}", float("inf")
        text = "{comparisons} matched comparisons of {subjects} subjects; {least_comparisons} are needed."
        factor = counts["least_comparisons"] / max(counts["comparisons"], 1)
        return f"Too few comparisons: {text.format_map(counts)}", factor
    if why.id == "few_matched_comparisons":
        text = (
            "whose session is of similar length, in {matches} pairs and {comparisons} comparisons; {least_subjects}, "
            "{least_matches} and {least_comparisons} are needed."
        )
        start = f"Too few comparisons: {_say_comparable(counts['subjects'], size)}"
        return f"{start} {text.format_map(counts)}", float("inf")
    return f"Too few data: {plain_reason(why)}.", float("inf")


def _say_comparable(involved: int, size: int) -> str:
    """Return a clause: `involved` of `size` subjects (at least `involved`) can be compared."""
    return f"{involved} of {max(size, involved)} subjects share a test fold with a subject of opposite labels"


def describe_undefined(why: Reason, size: int, dataset: str = "") -> str:
    """Return the recorded reason why a score of `size` subjects is undefined, in plain words."""
    if why.id in TOO_FEW_REASONS:
        return describe_missing_data(why, size)[0].removesuffix(".")
    return plain_reason(why, dataset)


_RELEASE = "the release does not state when a unit began"
_DESCRIPTION = (
    "dataset.yaml does not say at which second recordings began: add `start_s:` to `recordings`, or `time:`, a column "
    "with dates"
)


def plain_reason(why: Reason, dataset: str = "") -> str:
    """Return a recorded reason in plain words. The full name `dataset` decides the advice on missing times, which
    differs for a published dataset and for the user's own recordings."""
    if why.id == "hidden_times":
        return _DESCRIPTION if re.search(r"^own/|/own$", dataset) else _RELEASE
    if why.id == "time_decides":
        return f"the time since the start alone reaches {why.values['reached']:.3f}"
    return why.removeprefix("not estimable: ")


def explain_unranked(
    metric: str, design: Design | None, best: tuple[str, Score] | None, scores: Sequence[Score]
) -> str:
    """Return the text above a leaderboard whose primary metric is undefined: why it has no ranks, and which secondary
    score orders its entries.

    Args:
        best: name and secondary score of the best confound-only model. `scores`: secondary scores of the methods."""
    title = metric_facts(metric).title
    text = f"{title}, the primary metric, cannot be estimated for any entry, so that no entry has a rank"
    inside = inside_subjects(metric)
    varies = _EXPLORATORY[design].get(inside) if design else None
    if not scores or not varies:
        return f"{text}."
    text += f". Entries are ordered by the {metric_facts(inside).title}, which does not hold {varies} constant"
    if best is None:
        return f"{text}."
    more = sum(score.mean > best[1].mean for score in scores)
    higher = f"{more} of {len(scores)} entries score higher" if more else "no entry scores higher"
    return f"{text}. The model that uses only the {label(best[0])} reaches {format_decimals(best[1].mean)}; {higher}."


def find_near_null(scores: Scores, target: str) -> Iterator[str]:
    """Yield the names of the deciding intervals whose lower end lies within `NEAR_BOUND` of the null value."""
    metric = scores.primary_metrics[target]
    known: list[tuple[str, Score | None, float | None]] = [
        ("chance", scores.get_score(target, metric), metric_facts(metric).chance)
    ]
    adjusted = scores.get_adjusted(target)
    if adjusted and (at := adjusted.decides):
        none = 0.0 if adjusted.mean_difference or adjusted.metric is None else metric_facts(adjusted.metric).chance
        known += [("partial r", at.partial_r, 0.0), ("adjusted scores", at.residual_score, none)]
    for what, score, bound in known:
        if score and score.low is not None and bound is not None and abs(score.low - bound) <= NEAR_BOUND:
            yield what


def recorded_design(recorded: Design | None, *, fixed_order: bool) -> Design | None:
    """Return a study's design from its record. For early records it is "fixed_order", or None if unknown."""
    return recorded or ("fixed_order" if fixed_order else None)
