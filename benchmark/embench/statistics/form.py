"""The form of a result: one structure for the terminal, notebooks, reports, pages, LaTeX and papers.

`result_forms` makes it from a run's record; `lines` prints it, `as_html` marks it up. The order is fixed: question,
sample, method, primary metric, answers, models without a physiological signal, a sentence for a paper, notes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import zip_longest
from typing import Any

from embench import registry, vocabulary
from embench.interfaces.recording import split_modality
from embench.protocols import balanced_count
from embench.records.scores import Adjusted, Score, Scores
from embench.records.wording import (
    bare_name,
    format_coverage,
    in_words,
    is_by_construction,
    join_with_and,
    name_without_package,
)
from embench.registry import Question
from embench.statistics import metric_facts
from embench.statistics.answers import (
    Answer,
    TargetAnswers,
    answer_questions,
    format_decimals,
    format_or_undefined,
    format_with_interval,
    judge_interval,
    metric_family,
)

_LABELS = {
    "task": "the assigned task, not reported feelings",
    "film's class": "the class of the stimulus, not reported feelings",
    "self-report": "the subject's own rating",
    "observer": "observers' ratings, not reported feelings",
}
"""Origin of labels -> a description of the labels."""
_NOT_EXCLUDED = {
    "task": "Effects of the tasks other than {target}, such as speech, breathing and posture, are not excluded.",
    "film's class": "Effects of the stimuli other than emotion, such as brightness and sound, are not excluded.",
    "": "Confounds that were not measured are not excluded.",
}
"""Origin of labels -> the last sentence for a paper; the empty key stands for all other origins."""
_VOWEL_SOUNDS = "AEFHILMNORSX"
"""Letters whose names begin with a vowel, for the article before an abbreviation."""

_MASS_NOUNS = frozenset({"Bayes", "LDA", "fusion", "regression"})
"""Last words of labels that take no article."""


@dataclass(frozen=True)
class ModelLine:
    """A confound-only model, or several that get the same score by construction. `above`: whether its score is above
    the method's."""

    names: str
    score: str
    above: bool = False


@dataclass(frozen=True)
class ResultForm:
    """A result on one target, in words.

    Args:
        question: the question in the dataset's words. `sample`: how many subjects, and which models scored them.
            `about`: a line on the label and a line on the method.
        metric: display name of the metric. `score`: its value with interval. `explanation`: what the metric compares.
        problem: why the primary metric can't be estimated. `remedy`: what to do. Both are empty without a problem.
        answers, models: see `Answer`, `ModelLine`; models from best to worst.
        sentence: sentences for a paper that need no other text.
        notes: sentences that a reader must know. `more`: further sentences, which `--all` prints."""

    target: str
    question: str
    sample: str
    about: tuple[str, ...]
    metric: str
    score: str
    explanation: str
    problem: str
    remedy: str
    answers: tuple[Answer, ...]
    models: tuple[ModelLine, ...]
    sentence: str
    notes: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


def result_forms(run: Mapping[str, Any], scores: Scores) -> dict[str, ResultForm]:
    """Return target -> the form of the result, for a run whose run.yaml has the content `run`."""
    return {target: _form(run, scores, result) for target, result in answer_questions(run, scores).items()}


def _form(run: Mapping[str, Any], scores: Scores, result: TargetAnswers) -> ResultForm:
    """Return the form of one target's result. A secondary score stands in for an undefined primary metric."""
    about = TargetQuestion.from_run(run, result.target)
    metric = result.display_metric
    score = scores.get_score(result.target, metric)
    facts = metric_facts(metric)
    varies = (
        f"This metric holds constant none of: {result.secondary_scores[0].varies}." if result.secondary_scores else ""
    )
    return ResultForm(
        target=result.target,
        question=f"{about.dataset}: {about.question}",
        sample=_sample(run),
        about=(f"label: {about.label}", f"method: {method_in_words(run)}"),
        metric=facts.title + ("" if result.score else ", not the primary metric"),
        score=(_score_in_words(score, facts.chance) + _partitions_clause(run) if score else "not estimable")
        + _strongest_model_clause(result),
        explanation=about.explanation(metric) if result.score else varies,
        problem=about.order_sentence(result),
        remedy=result.problem.remedy if result.problem else "",
        answers=() if result.problem else tuple(_with_variants(result)),
        models=tuple(model_lines(((each.name, each.scores.get(metric)) for each in result.models), metric, score)),
        sentence=_sentence(run, result, about),
        notes=tuple(filter(None, _notes(run, scores, result))),
        more=tuple(filter(None, _extra_sentences(result))),
    )


def _partitions_clause(run: Mapping[str, Any]) -> str:
    """Return a clause on how many balanced partitions a score uses; empty for all, or if the protocol has none."""
    if run.get("protocol", {}).get("rules", {}).get("split", {}).get("deal") != "balanced":
        return ""
    subjects = run["cohort"].get("subjects")
    whole = balanced_count(subjects if isinstance(subjects, int) else len(subjects or ()))
    used = len(set(run.get("seeds") or ()) & set(range(whole)))
    return "" if used >= whole else f"; {used} of {whole} partitions"


def _with_variants(result: TargetAnswers) -> Iterator[Answer]:
    """Yield the answers. If some variants of the confound test do not give the deciding *yes*, its evidence tells how
    many variants do."""
    adjusted = result.adjusted
    by_movement = adjusted is None or adjusted.decisive_level == "movement" or not adjusted.has_movement
    judged = "movement" if by_movement else "protocol_phase"
    for each in result.answers:
        if adjusted and each.question == judged and each.answer == "yes" and not all(adjusted.variants.values()):
            count = f"{sum(adjusted.variants.values())} of {len(adjusted.variants)}"
            yield replace(each, evidence=f"{each.evidence}; yes under {count} variants of the rule")
        else:
            yield each


@dataclass(frozen=True)
class TargetQuestion:
    """The question that a target asks, in the dataset's words.

    Args:
        higher, lower: the two states that a method distinguishes; empty without such a pair.
        origin: where the labels come from, see `registry.question.LABEL_ORIGINS`; empty if the dataset does not state
            it.
        kind: the target's kind. `order`: the order of tasks in words; empty if the dataset does not state it."""

    dataset: str
    target: str
    question: str
    label: str
    higher: str
    lower: str
    origin: str
    kind: str
    order: str = ""

    @classmethod
    def from_run(cls, run: Mapping[str, Any], target: str) -> TargetQuestion:
        """Return the question of one target of a run, whose run.yaml has the content `run`."""
        full_name = str(run["dataset"]["name"])
        name, words = name_without_package(full_name), in_words(target)
        stated: Question | None = registry.find_questions(full_name).get(target)
        rules = run.get("card", {}).get("label_rules", ())
        rule: Mapping[str, Any] = next((each for each in rules if each["name"] == target), {})
        kind = str(rule.get("kind", "binary"))
        if stated:
            pair = ("", "") if kind != "binary" else (f"high {words}", f"low {words}")
            higher, lower = (stated.higher, stated.lower) if stated.higher else pair
            label = stated.detail or _LABELS[stated.labels]
            return cls(name, target, stated.question, label, higher, lower, stated.labels, kind, stated.order)
        label = f"`{rule.get('label', target)}`{_cut_clause(rule)}"
        if kind == "binary":
            return cls(name, target, f"{words}, high or low?", label, f"high {words}", f"low {words}", "", kind)
        question = f"{words}, as a continuous target" if kind == "value" else f"which class of {words}?"
        return cls(name, target, question, label, "", "", "", kind)

    def explanation(self, metric: str) -> str:
        """Return sentences on what a metric compares; empty if none is needed."""
        family, _, kind = metric.partition("_")
        null = "A score that depends on {} alone gets 0.50."
        if family not in ("auroc", "concordance"):
            return metric_facts(metric).about
        higher, lower = self.higher or "the higher label", self.lower or "the lower label"
        if kind.startswith("crossed_matched") or kind in ("crossed_time", "crossed_balanced"):
            return (
                f"Two subjects, the same two times since the start: one goes from {lower} to {higher}, the other from "
                f"{higher} to {lower}. The metric is how often a subject's own score is higher at that subject's time "
                f"in {higher}. {null.format('time')}"
            )
        if kind.startswith("crossed"):
            what = "moments of a stimulus" if kind == "crossed_moment" else "stimuli"
            one = "moment" if kind == "crossed_moment" else "stimulus"
            return (
                f"Two subjects, the same two {what}: one has the higher label at the first, the other at the second. "
                f"The metric is how often a subject's own scores order the two as that subject's labels do. "
                f"{null.format(f'the {one}')}"
            )
        if kind == "within":
            return (
                f"Two units of one subject with different labels: the metric is how often the unit with "
                f"{higher} has the higher score. It holds neither the stimulus nor time constant."
            )
        return metric_facts(metric).about

    def order_sentence(self, result: TargetAnswers) -> str:
        """Return why the questions can't be answered, with the order of tasks if the dataset states it; empty without a
        problem."""
        reason = result.problem.reason if result.problem else ""
        if self.order and result.problem and result.problem.answer == "cannot be told":
            return f"This design cannot separate {self.higher} from the time since the start: {self.order}."
        return reason


def _cut_clause(rule: Mapping[str, Any]) -> str:
    """Return a clause on the cut that divides ratings into classes; empty without a cut."""
    cut = (rule.get("rule") or {}).get("cut")
    if cut == "training_mean":
        return ", high above the mean of the training subjects' labels"
    return "" if cut is None else f", high above {cut:g}"


def _sample(run: Mapping[str, Any]) -> str:
    """Return a clause on how many subjects there are, and which models scored them."""
    subjects = run["cohort"]["subjects"]
    n = f"{subjects if isinstance(subjects, int) else len(subjects)} subjects"
    if run.get("dev"):
        return f"{n}, scores of validation subjects"
    if run.get("protocol", {}).get("leaks"):
        return f"{n}; training has seen part of the test data"
    if submitted := run.get("submission"):
        return f"{n}, predictions {'for the test windows of each fold' if submitted.get('windows') else 'from a file'}"
    if other := run.get("config", {}).get("train_dataset"):
        return f"{n}, scored by models trained on {bare_name(str(other))}"
    more = " and on the subject's calibration data" if run.get("calibration_data") else ""
    return f"{n}, each scored by models trained on other subjects{more}"


def method_in_words(run: Mapping[str, Any]) -> str:
    """Return the method in words: encoders with their modalities, fusion or estimator, pretraining. A submission has
    the name that its author gave it.

    >>> method_in_words({"method": {"encoders": {"ppg": "embench_plugins/handcrafted"}, "modalities": ["ppg"],
    ...     "fusion": "embench_plugins/svm", "pretrainers": []}})
    'handcrafted features of PPG; SVM'
    """
    method = run["method"]
    if method.get("submission"):
        return str(method["submission"])
    signals: dict[str, list[str]] = {}
    for modality, encoder in (method.get("encoders") or {}).items():
        signals.setdefault(vocabulary.label(bare_name(encoder)), []).extend(_signals(modality))
    read = [
        f"{encoder} {'of' if encoder.endswith('features') else 'on'} {join_with_and(names)}"
        for encoder, names in signals.items()
    ]
    parts = [join_with_and(read)] if read else []
    parts += [vocabulary.label(bare_name(method["fusion"]))] if method.get("fusion") else []
    if pretrainers := [vocabulary.label(bare_name(text.partition(":")[0])) for text in method.get("pretrainers") or ()]:
        parts.append(f"pretrained by {join_with_and(pretrainers)}")
    return "; ".join(parts)


def _signals(modality: str) -> list[str]:
    """Return the display names of the modalities that a joined name, such as "ecg+eda", contains."""
    return [vocabulary.label(name, "modalities") for name in split_modality(modality)]


def _score_in_words(score: Score, chance: float | None) -> str:
    """Return a score with its interval and the chance level."""
    over = {"subjects_and_stimuli": "subjects and stimuli", "folds": "folds"}.get(str(score.over), "subjects")
    shown = format_with_interval(score, chance, "{}   95 % CI {} to {}, over " + over)
    return f"{shown}; chance {format_decimals(chance)}" if chance is not None else shown


def _strongest_model_clause(result: TargetAnswers) -> str:
    """Return a clause on the strongest confound-only model next to a secondary score; empty if there is none."""
    if result.score or not result.secondary_scores or not (strongest := result.secondary_scores[0].confound_only):
        return ""
    return f"; {vocabulary.label(strongest[0])} alone: {format_decimals(strongest[1].mean)}"


def model_lines(
    models: Iterable[tuple[str, Score | None]], metric: str, own: Score | None = None
) -> Iterator[ModelLine]:
    """Yield the confound-only models with a score, from best to worst. Models whose score is fixed by construction come
    last, one line for each value.

    Args:
        models: (name, score by `metric`) of each model. `own`: the method's score."""
    higher = metric_facts(metric).higher
    known = [(name, score) for name, score in models if score and score.is_defined]
    known.sort(key=lambda pair: -pair[1].mean if higher else pair[1].mean)
    fixed: dict[str, list[str]] = {}
    for name, score in known:
        if is_by_construction(score):
            fixed.setdefault(format_decimals(score.mean), []).append(vocabulary.label(name))
            continue
        above = own is not None and (score.mean > own.mean if higher else score.mean < own.mean)
        yield ModelLine(vocabulary.label(name), format_with_interval(score), above)
    for value, names in fixed.items():
        yield ModelLine(", ".join(names), f"{value} always")


def _sentence(run: Mapping[str, Any], result: TargetAnswers, about: TargetQuestion) -> str:
    """Return the sentences for a paper, which need no other text."""
    subjects = run["cohort"]["subjects"]
    n = subjects if isinstance(subjects, int) else len(subjects)
    dataset = _dataset_title(about.dataset)
    if run["dataset"].get("synthetic") is not None:
        dataset = f"synthetic data in the format of {dataset}"
    method = _method_for_paper(run)
    tested = _test_clause(run)
    if result.score is None:
        return _unanswered_sentences(result, about, f"On {dataset} (n = {n})", method, tested)
    facts = metric_facts(result.metric)
    chance = f"; chance {format_decimals(facts.chance)}" if facts.chance is not None else ""
    if result.metric.endswith(("_crossed", "_moment")):
        chance += ", as for any score that depends on the stimulus alone"
    score = format_with_interval(result.score, facts.chance, "{}, 95 % CI {} to {}")
    shown = f"{_lower_first(facts.title)} {score}{chance}"
    first = f"On {dataset} (n = {n}), {method}, {tested}, {_predicate(result, about)} ({shown})."
    last = _NOT_EXCLUDED.get(about.origin, _NOT_EXCLUDED[""]).format(target=in_words(about.target))
    if result.adjusted and result.adjusted.decisive_level == "small_study" and result.adjusted.has_movement:
        last += " Nor are nonlinear effects of movement over several units."
    return " ".join(filter(None, (first, _adjustment_sentence(run, result), last)))


def _test_clause(run: Mapping[str, Any]) -> str:
    """Return a clause on the data that the method was trained and tested on."""
    if run.get("protocol", {}).get("leaks"):
        return "tested on data of which part was seen in training"
    tested = "tested on participants not used for training"
    if submitted := run.get("submission"):
        windows = f"trained outside embench on its folds and {tested}"
        return windows if submitted.get("windows") else "whose predictions were given in a file"
    if other := (run.get("config") or {}).get("train_dataset"):
        return f"trained on {_dataset_title(name_without_package(str(other)))} alone and {tested}"
    return tested


def _dataset_title(dataset: str) -> str:
    """Return the display name of a dataset; an unknown dataset keeps its name.

    >>> _dataset_title("amigos/long"), _dataset_title("my_study")
    ('AMIGOS (long)', 'my_study')
    """
    name, _, variant = dataset.partition("/")
    known = vocabulary.terms("datasets").get(name)
    return dataset if known is None else f"{known.label} ({variant})" if variant else known.label


def _predicate(result: TargetAnswers, about: TargetQuestion) -> str:
    """Return the predicate of the paper's first sentence, such as "distinguished stress from rest"."""
    chance = result.find_answer("chance")
    word = chance.answer if chance else ""
    if about.higher and about.lower:
        pair = f"{about.higher} from {about.lower}"
        verbs = {"yes": f"distinguished {pair}", "reversed": f"scored {about.higher} below {about.lower}"}
        return verbs.get(word, f"did not demonstrably distinguish {pair}") if word else f"was tested on {pair}"
    what = f"the classes of {in_words(about.target)}" if about.kind != "value" else in_words(about.target)
    verbs = {"yes": f"predicted {what}", "reversed": f"predicted {what} in reverse"}
    return verbs.get(word, f"did not demonstrably predict {what}") if word else f"was tested on {what}"


def _adjustment_sentence(run: Mapping[str, Any], result: TargetAnswers) -> str:
    """Return the paper's sentence on the adjustment for confounds; empty if the protocol does not require it, or if it
    has no estimate."""
    local, phase = result.find_answer("movement"), result.find_answer("protocol_phase")
    if local and local.answer == "not computed":
        return "The scores were not adjusted for confounds."
    if local is None or local.effect is None:
        return ""
    site = registry.sites(str(run["dataset"]["name"])).get("acc", ("",))[0]
    movement = f"{site} movement".strip()
    recorded = result.adjusted is not None and result.adjusted.has_movement
    given = f"time and {movement} within 10 min" if recorded else "the time since the start (movement was not recorded)"
    if result.adjusted is not None and result.adjusted.decisive_level == "small_study":
        given = local.text.removeprefix("given ").replace("?", "").replace("and movement", f"and {movement}")
    tried = _recorded_count(run.get("methods_evaluated"), result.target)
    uncorrected = tried > 1 and local.answer == "yes"
    methods = f"; not corrected for the {tried} methods evaluated on these labels" if uncorrected else ""
    r = format_with_interval(local.effect, 0.0, "partial r = {}, 95 % CI {} to {}")
    if local.answer == "yes":
        text = f"The scores were associated with the label after adjustment for {given} ({r}{methods})"
    else:
        failed = local.evidence.partition(", but ")[2]
        text = f"The scores were not demonstrably associated with the label after adjustment for {given} ({r}"
        text += f"; {failed})" if failed else ")"
    if phase is None or phase.effect is None:
        return f"{text}."
    model = next((each for each in result.models if each.name == "protocol_phase"), None)
    alone = model.scores.get(result.metric) if model else None
    short = metric_family(result.metric)
    reach = f"; that phase alone: {short} {format_decimals(alone.mean)}" if alone and alone.is_defined else ""
    of_phase = format_with_interval(phase.effect, 0.0, "{}, 95 % CI {} to {}")
    yes, both = phase.answer == "yes", local.answer == phase.answer
    link = (", and" if both else ", but") if yes else (", nor" if both else ", but not demonstrably")
    return f"{text}{link} after adjustment for the protocol phase inferred from movement ({of_phase}{reach})."


def _unanswered_sentences(result: TargetAnswers, about: TargetQuestion, start: str, method: str, tested: str) -> str:
    """Return the sentences for a paper if the primary metric can't be estimated. With too few data they quote no other
    metric, since none holds the same confounds constant."""
    problem, title = result.problem, metric_facts(result.metric).title
    if problem is None or problem.answer != "cannot be told" or not result.secondary_scores:
        reason = problem.reason.partition(": ")[2] or problem.reason if problem else f"{result.undefined_reason}."
        return f"{start}, the {_lower_first(title)} of {method} could not be estimated: {reason}"
    shown = result.secondary_scores[0]
    facts = metric_facts(shown.metric)
    score = format_with_interval(shown.score, facts.chance, "mean over subjects {}, 95 % CI {} to {}")
    separated = (
        "separated" if judge_interval(shown.score, facts.chance or 0.0) == "yes" else "did not demonstrably separate"
    )
    pair = f"{about.higher} from {about.lower}" if about.higher else f"the labels of {in_words(about.target)}"
    text = f"{start}, {method}, {tested}, {separated} {pair} within participants ({_lower_first(facts.title)} {score})."
    if not shown.confound_only or not problem.confound:
        return f"{text} {problem.reason}"
    confound = "elapsed time" if "time" in problem.confound else problem.confound
    reached = f"{metric_family(shown.metric)} {format_decimals(shown.confound_only[1].mean)}"
    alone = f"{vocabulary.label(shown.confound_only[0])} alone: {reached}"
    order = about.order or f"{confound} alone separates the labels"
    rather = f"{about.higher or 'the label'} rather than {confound}"
    return f"{text} {order[:1].upper()}{order[1:]}, so the difference cannot be attributed to {rather} ({alone})."


def _method_for_paper(run: Mapping[str, Any]) -> str:
    """Return the method as the subject of a sentence: the estimator or network with its article, then its inputs."""
    method = run["method"]
    if method.get("submission") or not method.get("encoders"):
        return f"the method {method_in_words(run)}"
    names = list(dict.fromkeys(map(bare_name, method["encoders"].values())))
    signals = join_with_and([name for modality in method["encoders"] for name in _signals(modality)])
    fusion = bare_name(method["fusion"]) if method.get("fusion") else ""
    if method.get("joins") == "estimator" and fusion:
        features = [vocabulary.label(name) for name in names]
        return f"{_with_kind(fusion, 'estimator')} on {join_with_and(features)} of {signals}"
    encoders = join_with_and([_with_kind(names[0], "network"), *map(vocabulary.label, names[1:])])
    joined = f" with {vocabulary.label(fusion)}" if fusion and method.get("joins") != "unimodal" else ""
    return f"{encoders} on {signals}{joined}"


def _with_kind(name: str, kind: str) -> str:
    """Return the display name of a method's part with its article. A part without a display name becomes "the KIND
    NAME".

    >>> _with_kind("tcn", "network"), _with_kind("my_net", "network"), _with_kind("network", "network")
    ('a TCN', 'the network my_net', 'a network')
    """
    if name == kind:  # a part from Python without a name of its own
        return with_article(kind)
    known = vocabulary.label(name)
    return with_article(known) if name in vocabulary.terms("methods") else f"the {kind} {name}"


def with_article(noun: str) -> str:
    """Return a noun with its indefinite article; plural and mass nouns have none.

    >>> with_article("SVM"), with_article("random forest"), with_article("boosted trees"), with_article("U-Net")
    ('an SVM', 'a random forest', 'boosted trees', 'a U-Net')
    """
    head = noun.rsplit(maxsplit=1)[-1]
    if (head.endswith("s") and not head.endswith("ss") and head != "Bayes") or head in _MASS_NOUNS:
        return noun
    first = noun.split(maxsplit=1)[0]
    vowel = first[0] in _VOWEL_SOUNDS if first.isupper() else first[0].lower() in "aeio"
    return f"{'an' if vowel else 'a'} {noun}"


def _lower_first(title: str) -> str:
    """Return a display name for the middle of a sentence, in lower case unless it starts with an abbreviation."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _recorded_count(counted: Any, target: str) -> int:
    """Return a target's count from a record, 0 if unknown. `counted`: one number for all targets, or one by target."""
    return int((counted.get(target, 0) if isinstance(counted, Mapping) else counted) or 0)


def robustness(r: float) -> float:
    """Return the robustness value of a partial correlation `r` (Cinelli & Hazlett 2020, doi 10.1111/rssb.12348): the
    proportion of the remaining variance of both score and label that an unmeasured confound must explain to reduce `r`
    to 0.

    >>> round(robustness(0.09), 2)
    0.09
    """
    f2 = r * r / (1 - r * r)
    return float(((f2 * f2 + 4 * f2) ** 0.5 - f2) / 2)


def _notes(run: Mapping[str, Any], scores: Scores, result: TargetAnswers) -> Iterator[str]:
    """Yield sentences that a reader of the result must know."""
    local = result.find_answer("movement")
    if local and local.answer == "yes" and local.effect:
        explained = f"{100 * robustness(local.effect.mean):.0f} %"
        yield (
            f"An unmeasured confound that explains {explained} of the remaining variance of both score and label would "
            f"reduce the partial r of {format_decimals(local.effect.mean)} to 0."
        )
    if result.reads_session:
        yield "The method needs the test subject's whole session for normalisation, so it cannot run live."
    if result.find_answer("protocol_phase") and result.adjusted and result.adjusted.decisive_level == "protocol_phase":
        yield f"The answer given the phase of the protocol decides, {_why_phase_decides(run)}."
    yield from result.calibration_gain
    if text := format_coverage(scores.get_coverage(result.target)):
        yield f"{text[:1].upper()}{text[1:]}."
    if looks := _recorded_count(run.get("test_evaluations"), result.target):
        yield f"{looks} evaluation{'s' if looks > 1 else ''} on these labels {'are' if looks > 1 else 'is'} recorded."


def _why_phase_decides(run: Mapping[str, Any]) -> str:
    """Return a clause on why the answer given the protocol phase decides: how far the method reads beyond a unit."""
    views = [part.get("view") or {} for part in ((run.get("config") or {}).get("parts") or {}).values()]
    contexts = [float(view["length_s"]) for view in views if view.get("kind") == "context" and view.get("length_s")]
    if not contexts:
        return "because the scores may depend on signals outside the predicted unit"
    lengths = (((run.get("protocol") or {}).get("rules") or {}).get("unit") or {}).values()
    if max(contexts) > min((each for each in lengths if isinstance(each, int | float)), default=0.0):
        return f"because the method reads up to {max(contexts):g} s before the end of each unit"
    return "as for all methods with a context, although this context is not longer than a unit"


def _extra_sentences(result: TargetAnswers) -> Iterator[str]:
    """Yield further sentences, for `--all`."""
    if result.adjusted and result.score and not result.adjusted.undefined and result.adjusted.metric == result.metric:
        yield from _details(result.adjusted, result.modalities)
    if result.near_null:
        yield f"Near the null value, within 0.01: the interval of {join_with_and(list(result.near_null))}."
    for each in result.secondary_scores:
        score = f"{metric_facts(each.metric).title} {format_with_interval(each.score)}"
        text = f"Not the primary metric: {score}, which does not hold {each.varies} constant"
        if each.confound_only:
            name, reached = each.confound_only
            text += f"; {vocabulary.label(name)} alone reaches {format_decimals(reached.mean)}"
        yield f"{text}."
    if result.score and "crossed" in result.metric:
        yield "A matched metric does not hold constant drifts that differ between subjects."
    if result.find_answer("protocol_phase"):
        yield "Movement may be part of the response: adjusting for the phase of the protocol can remove a true effect."


def _details(adjusted: Adjusted, reads: Sequence[str]) -> Iterator[str]:
    """Yield sentences on the stability of the confound analysis: signal quality, seeds, variants, placebo, tasks."""
    for level in ("movement_signal_quality", "protocol_phase_signal_quality"):
        if at := adjusted.levels.get(level):
            yield f"Given {vocabulary.label(level, 'levels')}: partial r {format_with_interval(at.partial_r, 0.0)}."
    level = vocabulary.label(adjusted.decisive_level, "levels")
    if len(adjusted.seeds) > 1:
        yield f"In {sum(adjusted.seeds.values())} of {len(adjusted.seeds)} seeds alone the answer given {level} is yes."
    if adjusted.variants:
        count = f"{sum(adjusted.variants.values())} of {len(adjusted.variants)}"
        yield f"Under {count} variants of the rule the answer is yes."
    if known := [score for score in adjusted.placebo.values() if score.is_defined]:
        most = format_with_interval(max(known, key=lambda score: score.mean), 0.0)
        yield f"Placebo: one axis of the accelerometer, given the other axes and time, has a partial r of up to {most}."
    if adjusted.tasks:
        tasks = (f"{name}: {format_or_undefined(effect, 0.0)}" for name, effect in adjusted.tasks.items())
        yield f"Partial r in each task: {'; '.join(tasks)}."
    if read := [
        vocabulary.label(name, "modalities") for name in adjusted.adjusted_for if name in reads and name != "acc"
    ]:
        yield f"The method reads {join_with_and(read)}, which the analysis also adjusts for."


_QUESTIONS_HEAD = "Is the score associated with the label ..."
_MODELS_HEAD = "Models without any physiological signal, same metric:"

_FOLLOWS = (
    "The confound analysis follows. Where movement was recorded, it adds the model of the protocol phase, which may "
    "score higher."
)

_LEAST_FIRST_COLUMN = 26
"""Least width of a table's first column next to a last column that is not wrapped."""


def lines(form: ResultForm, width: int = 100, *, every: bool = False) -> list[str]:
    """Return the form as lines of at most `width` characters; words are not broken. `every`: include what `--all`
    adds."""
    out = _side_by_side(form.question, form.sample, width)
    for text in form.about:
        out += _wrap(text, width, hanging=2)
    out += ["", *_score_lines(form, width)]
    if form.explanation:
        out += _wrap(form.explanation, width, indent=2)
    if form.answers:
        out += ["", *_answer_table(form, width)]
    if form.models:
        out += ["", *_model_table(form, width)]
    out += ["", *_wrap(f'For a paper: "{form.sentence}"', width, indent=2)]
    for text in (*form.notes, *(form.more if every else ())):
        out += ["", *_wrap(text, width, indent=2)]
    return out


def first_lines(form: ResultForm, width: int = 100, *, follows: bool = False) -> list[str]:
    """Return the scores known before the confound analysis as lines of at most `width` characters: the primary metric
    and the models without a signal. `follows`: whether that analysis is still to come."""
    models = _model_table(form, width) if form.models else []
    return [form.question, *_score_lines(form, width), *models, *(_wrap(_FOLLOWS, width, indent=2) if follows else ())]


def answer_lines(form: ResultForm, width: int = 100) -> list[str]:
    """Return the scores and all answers as lines of at most `width` characters."""
    first, models = [form.question, *_score_lines(form, width)], _model_table(form, width) if form.models else []
    return [*first, *(_answer_table(form, width) if form.answers else ()), *models]


def _answer_table(form: ResultForm, width: int) -> list[str]:
    rows = [(_QUESTIONS_HEAD, "answer", "evidence"), *((f"  {a.text}", a.answer, a.evidence) for a in form.answers)]
    return _table(rows, width)


def _score_lines(form: ResultForm, width: int) -> list[str]:
    """Return lines on the primary metric, or on why there is none."""
    out = []
    if form.problem:
        out += [*_wrap(form.problem, width, indent=2), *_wrap(form.remedy, width, indent=2), ""]
    if not form.problem or form.score != "not estimable":
        out += _wrap(f"{form.metric}   {form.score}", width, indent=2, hanging=4)
    return out


def _model_table(form: ResultForm, width: int) -> list[str]:
    rows = [(f"  {m.names}", m.score, "above this method" if m.above else "") for m in form.models]
    return [f"  {_MODELS_HEAD}", *_table(rows, width)]


def _wrap(text: str, width: int, indent: int = 0, hanging: int = 0) -> list[str]:
    first, more = " " * indent, " " * (indent + hanging)
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )


def _side_by_side(left: str, right: str, width: int) -> list[str]:
    gap = width - len(left) - len(right)
    return [left + " " * min(gap, 8) + right] if gap >= 2 else [*_wrap(left, width), *_wrap(right, width)]


def _table(rows: Sequence[tuple[str, str, str]], width: int) -> list[str]:
    """Return rows of three cells as lines; the first and the last cell are wrapped if they do not fit."""
    middle = max(len(row[1]) for row in rows)
    left, right = (max(len(row[k]) for row in rows) for k in (0, 2))
    room = width - 2 - middle - 4  # without the indentation of 2 and two gaps of 2
    if left + right > room:  # the third column keeps its width, unless too little is left for the first
        left = min(left, room - right if room - right >= _LEAST_FIRST_COLUMN else room // 2)
        right = room - left
    out = []
    for first, second, third in rows:
        indent = len(first) - len(first.lstrip())
        wrapped = _wrap(first.lstrip(), left, indent, 2), [second], _wrap(third, max(right, 1))
        cells = zip_longest(*wrapped, fillvalue="")
        out += [f"  {one:<{left}}  {two:<{middle}}  {three}".rstrip() for one, two, three in cells]
    return out


def as_html(form: ResultForm, *, every: bool = False) -> str:
    """Return the form as HTML, with the same words as on the terminal."""
    about = "<br>".join(map(_markup, (form.sample, *form.about)))
    parts = [f"<h3>{escape(form.question)}</h3>", f"<p>{about}</p>"]
    if form.problem:
        parts.append(f"<p><strong>{_markup(form.problem)}</strong> {_markup(form.remedy)}</p>")
    if not form.problem or form.score != "not estimable":
        parts.append(f"<p><strong>{escape(form.metric)} {escape(form.score)}</strong></p>")
    if form.explanation:
        parts.append(f"<p>{escape(form.explanation)}</p>")
    if form.answers:
        heads = (_QUESTIONS_HEAD, "answer", "evidence")
        parts.append(_html_table(heads, [(a.text, a.answer, a.evidence) for a in form.answers]))
    if form.models:
        rows = [(m.names, m.score, "above this method" if m.above else "") for m in form.models]
        parts.append(_html_table((_MODELS_HEAD, "", ""), rows))
    parts.append(f"<p>For a paper: <q>{escape(form.sentence)}</q></p>")
    parts += [f"<p>{_markup(text)}</p>" for text in (*form.notes, *(form.more if every else ()))]
    return f'<div class="result">{"".join(parts)}</div>'


def _markup(text: str) -> str:
    """Return a text as HTML; text between backticks becomes code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _html_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    scrolls = 'style="max-width:100%;overflow-x:auto" role="region" tabindex="0"'
    return f'<div {scrolls} aria-label="{escape(heads[0] or heads[-1])}">{table}</div>'
