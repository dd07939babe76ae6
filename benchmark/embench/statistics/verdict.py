"""The result of a run on a target, used wherever it is reported: the headline with its verdict, or what it lacks; then
what can be said of the method and the controls all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embench.interfaces.recording import names_in
from embench.protocols import Design
from embench.records.personal_words import gain_sentences
from embench.records.scores import Adds, Control, Score, Scores
from embench.records.wording import format_controls, format_figure, format_score, in_words, inside_subjects
from embench.statistics.metrics import metric_facts

NOT_COMPARED = "not compared with controls, since the headline can't be estimated"
_NOT_EXCLUDED = "a less reliable accelerometer, contact and the order of tasks are not excluded"
_FEATURES = "fixed features of this accelerometer"
_REGISTERED = "a clock that movement sets"
_NOT_SHOWN = "which does not mean that it is not physiological"
_RECORDED = {
    "emg": "muscles (emg)",
    "eog": "eyes (eog)",
    "resp": "breathing (resp)",
    "eeg": "eyes and muscles (eeg)",
}
"""Modalities that are held constant besides an accelerometer, and what they show."""
NEAR_BOUND = 0.01
"""A low end that is at most so far from the bound that decides is borderline."""
_TOO_FEW = "not estimable: "
"""Prefix of the reasons of scores for which there are too few subjects or labels."""

_EXPLORATORY: Mapping[Design, Mapping[str, str]] = {
    "fixed_order": {
        "auroc_crossed_matched": "movement",
        "auroc_within": "the clock and movement",
        "concordance_within": "the clock and movement",
    },
    "shared_stimuli": {
        "auroc_crossed": "the clock and movement",
        "auroc_within": "the stimulus, the clock and movement",
        "concordance_crossed": "the moment of the stimulus, the clock and movement",
        "concordance_within": "the stimulus, the clock and movement",
    },
    "free": {"auroc_within": "the clock and movement"},
}
"""Design of a study -> the scores that are shown besides the headline, and what each of them does not hold constant.
The design alone decides, whatever was predicted. They rank nothing, and no claim rests on them."""


@dataclass(frozen=True)
class Exploratory:
    """A score besides the headline. `varies`: what it does not hold constant; `control`: the one with the highest such
    score, the first by name of equals, and its score; None where no control has one."""

    metric: str
    score: Score
    varies: str
    control: tuple[str, Score] | None

    @property
    def sentence(self) -> str:
        """The score with what must be known to read it."""
        told = f"exploratory: {self.metric} {format_score(self.score)}, which does not hold {self.varies} constant"
        if self.control is None:
            return told
        name, best = self.control
        reached = format_figure(best.mean)
        if best.mean >= self.score.mean:
            return f"{told}: {in_words(name)} alone reaches {reached}, so this shows nothing about the body"
        return f"{told}; the highest control, {in_words(name)}, reaches {reached}"


def adds_in_words(adds: Adds, *, whole_session: bool = False, reads: Sequence[str] = ()) -> str:
    """A sentence on what a method adds to clock and movement.

    Args:
        whole_session: whether its normalisation reads the test subject's whole session.
        reads: the modalities that it reads.
    """
    told = _added_in_words(adds)
    if adds.undefined:
        return told
    if own := [name for name in adds.held if name in reads and name in _RECORDED]:
        told += f"; the method itself reads {_listed(own)}, and what is held constant of it can't add"
    return told + ("; needs the whole session of the new wearer" if whole_session else "")


def added_in_short(adds: Adds | None) -> str:
    """A few words on what a method adds to clock and movement."""
    if adds is None:
        return "what it adds is not asked"
    if adds.decides is None:
        return "what it adds is undefined"
    told = "adds" if adds.decides.adds else "is not shown to add"
    return f"{told} to clock and movement" if adds.movement else f"{told} to the clock"


def _added_in_words(adds: Adds) -> str:
    if adds.undefined:
        return f"what it adds to clock and movement is undefined: {adds.undefined}"
    full, local = adds.levels["full"].adds, adds.levels["local"].adds
    at_full, at_local = f"({_measured(adds, 'full')})", f"({_measured(adds, 'local')})"
    shown = [_RECORDED[name] for name in adds.held if name in _RECORDED]
    beside = f"what is recorded of {_listed(shown)}" if shown else ""
    if not adds.movement:
        told = "adds to the time since the start" if full else "is not shown to add to the time since the start"
        if beside:
            return f"{told} and to {beside} {at_full}; movement was not recorded by an accelerometer"
        return f"{told} {at_full}; movement was not recorded"
    clock = "" if adds.score is None or "_within" not in adds.score else "; the clock is held by these alone"
    if adds.judged == "full":
        look = f"{_FEATURES}, {beside}" if beside else _FEATURES
        told = f"{look}, the time since the start and {_REGISTERED} {at_full}"
        if full:
            return f"adds to {told}, on these people and tasks; {_NOT_EXCLUDED}{clock}"
        most = "all but the last" if beside else "the first two"
        at_least = f"; it adds to {most} {at_local}, but may have seen the whole session"
        return f"is not shown to add to {told}, {_NOT_SHOWN}{at_least if local else ''}{clock}"
    within = f"within ten minutes{f', to {beside}' if beside else ''} and to the time since the start {at_local}"
    if not local:
        return f"is not shown to add to {_FEATURES} {within}, {_NOT_SHOWN}{clock}"
    beyond = "it also adds" if full else "it is not shown to add"
    return (
        f"adds to {_FEATURES} {within}, on these people and tasks; "
        f"{beyond} to {_REGISTERED} {at_full}; {_NOT_EXCLUDED}{clock}"
    )


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _measured(adds: Adds, level: str) -> str:
    """The figures that decide at a level."""
    at = adds.levels[level]
    left = f"{adds.score} {format_score(at.score)}"
    if adds.difference:
        of_values = adds.score is not None and adds.score.startswith("concordance")
        units = "units of higher and lower label" if of_values else "positive and negative units"
        left = f"a mean difference of {format_score(at.score)} SD between {units}"
    rest = f"with these regressed out, {100 * at.share_left:.0f} % of the scores' variance remains, with {left}"
    return f"partial correlation of scores and labels {format_score(at.effect)}; {rest}"


@dataclass(frozen=True)
class TargetVerdict:
    """The evidence of a run on a target.

    Args:
        metric: the headline, which ranks. `score`: None where it is undefined, for the reason `why`.
        compared: the controls with a paired difference of the headline.
        exploratory: other scores that the subjects of this run allow.
        adds: what it adds to clock and movement; None where the protocol does not ask.
        personal: what it gains by what test subjects gave first, in sentences; none where they gave nothing.
        whole_session: whether its normalisation reads the test subject's whole session. `reads`: its modalities.
        asked: whether it is judged by what it adds, as from version 3 on, and not by the controls that it is above.
        borderline: what a low end is near to where it is: chance, or 0 of a figure that decides what it adds.
    """

    target: str
    metric: str
    score: Score | None
    why: str
    compared: tuple[Control, ...]
    exploratory: tuple[Exploratory, ...]
    adds: Adds | None = None
    asked: bool = False
    borderline: tuple[str, ...] = ()
    whole_session: bool = False
    reads: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The score to draw: the headline, or the first exploratory score where it is undefined."""
        return self.metric if self.score or not self.exploratory else self.exploratory[0].metric

    @property
    def title(self) -> str:
        """The name of the headline in text."""
        return metric_facts(self.metric).title

    @property
    def failed(self) -> list[str]:
        """The controls that the method is not shown to be better than."""
        return [control.name for control in self.compared if control.gap and not control.gap.clears]

    @property
    def headline(self) -> str:
        """The headline with its interval, or why there is none."""
        if self.score is not None:
            return f"{self.metric} {format_score(self.score)}"
        if self.why.startswith(_TOO_FEW):
            return f"{self.metric} is {self.why}"
        return f"{self.metric} is undefined: {self.why}"

    @property
    def fails(self) -> bool:
        """True where the method is not shown to be above what it is judged by, or there is no headline."""
        if self.adds is not None:
            return not (self.adds.decides and self.adds.decides.adds)
        return self.score is None or bool(self.failed)

    @property
    def finding(self) -> str:
        """The verdict in a few words."""
        if self.asked:
            told = added_in_short(self.adds)
            return f"{told}; borderline: {', '.join(self.borderline)}" if self.borderline else told
        if self.score is None:
            return NOT_COMPARED
        if not self.compared:
            return "compared with no control"
        told = format_controls(self.failed, len(self.compared), higher=metric_facts(self.metric).higher)
        return told + ("" if self.failed else " controls")

    @property
    def adds_sentences(self) -> list[str]:
        """Sentences on what it adds to clock and movement, in which seeds and by which variants of the rule it does so,
        on the placebo, and on each task where there are several; none where the protocol does not ask."""
        if self.adds is None:
            return []
        told = [adds_in_words(self.adds, whole_session=self.whole_session, reads=self.reads)]
        if len(seeds := self.adds.seeds) > 1:
            told.append(f"taken alone, {sum(seeds.values())} of {len(seeds)} seeds say that it adds")
        if variants := self.adds.variants:
            told.append(f"by {sum(variants.values())} of {len(variants)} variants of the rule it adds")
        if known := [score for score in self.adds.placebo.values() if score.defined]:
            most = format_score(max(known, key=lambda score: score.mean))
            told.append(
                f"for comparison, one axis of the accelerometer, mere movement, adds up to {most} to the others"
            )
        if self.adds.tasks:
            tasks = (f"{name} {format_score(effect)}" for name, effect in self.adds.tasks.items())
            told.append(f"partial correlation in each task: {', '.join(tasks)}")
        return told

    @property
    def sentences(self) -> list[str]:
        """Sentences on the headline and its verdict, or on its needs where it is undefined, on what it gains by what
        subjects gave, and on exploratory scores."""
        needs = metric_facts(self.metric).needs.removesuffix(".") if self.why.startswith(_TOO_FEW) else ""
        told = [f"{self.headline}; {self.finding}", needs]
        return [
            *filter(None, told),
            *self.personal,
            *self.adds_sentences,
            *(each.sentence for each in self.exploratory),
        ]


def unranked(headline: str, design: Design | None, best: tuple[str, Score] | None, scores: Sequence[Score]) -> str:
    """Text for a board on which no row has the headline: why it has no ranks, and what the score in whose order its
    rows stand is worth.

    Args:
        best: the control with the highest such score. `scores`: those of its methods.
    """
    told = f"{headline}, the headline, can't be estimated for any row, so nothing is ranked"
    inside = inside_subjects(headline)
    varies = _EXPLORATORY[design].get(inside) if design else None
    if not scores or not varies:
        return f"{told}."
    told += f". Rows are in the order of {inside}, which is exploratory: it does not hold {varies} constant"
    if best is None:
        return f"{told}."
    more = sum(score.mean > best[1].mean for score in scores)
    n = f"{more} of {len(scores)} rows score" if more else "no row scores"
    return f"{told}; {in_words(best[0])} alone reaches {format_figure(best[1].mean)}, and {n} higher."


def verdict(
    scores: Scores,
    target: str,
    design: Design | None,
    scoring: int | None = None,
    *,
    whole_session: bool = False,
    reads: tuple[str, ...] = (),
    given: Mapping[str, int | str] | None = None,
) -> TargetVerdict:
    """The verdict on a target of a study of this design; None, in early records, leaves out the exploratory scores.

    Args:
        scoring: that of the protocol. `whole_session`, `reads`: see `TargetVerdict`. `given`: what test subjects gave,
            as run.yaml holds it.
    """
    metric = scores.headlines[target]
    return TargetVerdict(
        target,
        metric,
        scores.score(target, metric),
        scores.why_undefined(target, metric),
        tuple(scores.compared(target)),
        tuple(
            Exploratory(name, score, varies, scores.strongest(target, name))
            for name, varies in (_EXPLORATORY[design].items() if design else ())
            if name != metric and (score := scores.score(target, name))
        ),
        scores.adds(target),
        scoring == 3,
        tuple(borderline(scores, target)) if scoring == 3 else (),
        whole_session,
        reads,
        tuple(gain_sentences(scores, target, given)),
    )


def borderline(scores: Scores, target: str) -> Iterator[str]:
    """The figures that decide on a target by a low end within `NEAR_BOUND` of their bound."""
    metric = scores.headlines[target]
    known: list[tuple[str, Score | None, float | None]] = [
        ("chance", scores.score(target, metric), metric_facts(metric).chance)
    ]
    adds = scores.adds(target)
    if adds and (at := adds.decides):
        none = 0.0 if adds.difference or adds.score is None else metric_facts(adds.score).chance
        known += [("partial correlation", at.effect, 0.0), ("what is left", at.score, none)]
    for what, score, bound in known:
        if score and score.low is not None and bound is not None and abs(score.low - bound) <= NEAR_BOUND:
            yield what


def verdicts(run: Mapping[str, Any], scores: Scores) -> dict[str, TargetVerdict]:
    """Target -> the verdict on it, of a run whose run.yaml holds `run`."""
    design = design_of(run["cohort"].get("design"), fixed_order=run.get("card", {}).get("fixed_order", False))
    scoring = run.get("protocol", {}).get("rules", {}).get("scoring")
    # How the signals behind a file of predictions were normalised is not known.
    whole = run.get("target_access") == "unlabelled" and not run.get("outside")
    reads = tuple(name for each in run.get("method", {}).get("modalities", ()) for name in names_in(each))
    return {
        target: verdict(scores, target, design, scoring, whole_session=whole, reads=reads, given=run.get("given"))
        for target in scores.headlines
    }


def design_of(recorded: Design | None, *, fixed_order: bool) -> Design | None:
    """The design of a study: that of the record, or what the card of an early one tells; None where neither does."""
    return recorded or ("fixed_order" if fixed_order else None)
