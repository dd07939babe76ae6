"""The headline against every control, the subjects one by one, and all scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from embench.interfaces.units import Target
from embench.records.predictions import MODEL
from embench.records.scores import Gap, Score
from embench.records.wording import (
    format_coverage,
    format_figure,
    format_score,
    is_by_construction,
    join_with_and,
)
from embench.report.drawing import Axis, Panel, error_bars, figure, rule, scatter, score_bars
from embench.report.facts import NO_LABELS, RunFacts
from embench.report.page import (
    by_target,
    figure_row,
    figure_with_table,
    html_table,
    join_parts,
    missing_note,
    paragraph,
)
from embench.statistics.controls import NOT_TO_CLEAR
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import Joined
from embench.statistics.metrics import metric_facts
from embench.statistics.verdict import TargetVerdict

HEADLINE_WIDTH = 520.0


def headline_section(run: RunFacts) -> Markup:
    """The section that compares the headline with every control."""
    return by_target(run, _controls)


def _controls(run: RunFacts, target: Target) -> Markup:
    scores, name = run.scores, target.name
    told = run.verdicts[name]
    metric, model = told.metric, told.score
    first, *others = told.sentences
    covered = [text] if (text := format_coverage(scores.coverage(name))) else []
    beside = join_parts(map(paragraph, [*others, *covered])) + _side_by_side(run, told)
    if model is None:
        return missing_note(first) + beside
    applied: dict[str, Score] = {}
    gaps: dict[str, Gap] = {}
    silent = []
    for control in sorted(scores.controls(name), key=lambda control: control.name):
        if score := scores.score(name, metric, control.name):
            applied[control.name] = score
            if control.gap and control.gap.difference.defined:
                gaps[control.name] = control.gap
        else:
            silent.append(f"{control.name}: {control.why_undefined(metric)}")
    height = 30.0 * (1 + len(applied))
    made = [_headlines(run, name, metric, {"model": model, **applied}, height)]
    if gaps:
        made.append(_differences(run, name, metric, gaps, height))
    extra = [control for control in applied if control in NOT_TO_CLEAR]
    notes = [
        f"Controls that do not apply: {'; '.join(silent)}." if silent else "",
        f"Shown for comparison, and not to be cleared: {', '.join(extra)}." if extra and not told.asked else "",
        _by_construction(metric, applied),
        f"Excluded from the headline: {'; '.join(model.left_out)}." if model.left_out else "",
    ]
    return figure_row(made) + join_parts(paragraph(note) for note in notes if note) + beside


def _headlines(run: RunFacts, target: str, metric: str, scores: Mapping[str, Score], height: float) -> Markup:
    """The method, first of `scores`, and the controls."""
    marks = []
    if (chance := metric_facts(metric).chance) is not None:
        marks.append(rule(x=chance, label="chance"))
    for k, score in enumerate(scores.values()):
        look: dict[str, Any] = {"colour": "muted", "symbol": "diamond"} if k else {"colour": 0, "symbol": "circle"}
        marks.append(score_bars([k], [score], across=True, **look))
    panel = Panel(f"{metric}: model and controls", marks, Axis(metric), Axis(names=list(scores)), height)
    listed = ", ".join(f"{method} {format_figure(score.mean)}" for method, score in scores.items())
    about = f"With {run.level} intervals: {listed}."
    head = ("method", metric, "low", "high", "SD", "over", "subjects")
    rows = [(method, s.mean, s.low, s.high, s.std, s.over, s.subjects) for method, s in scores.items()]
    note = f"The headline with {run.level} intervals: {_OF_WHAT[str(next(iter(scores.values())).over)]}."
    drawn = figure([panel], f"Headline {metric} of {target}", about, width=HEADLINE_WIDTH)
    return figure_with_table(drawn, head, rows, note)


def _differences(run: RunFacts, target: str, metric: str, gaps: Mapping[str, Gap], height: float) -> Markup:
    """The differences from the controls, by name."""
    marks = [rule(x=0.0, label="no difference")]
    for k, gap in enumerate(gaps.values()):
        symbol, colour = ("circle", 2) if gap.clears else ("square", 1)
        marks.append(score_bars([k], [gap.difference], across=True, symbol=symbol, colour=colour))
    title, axis = "Model minus control, paired by subject", Axis(f"difference in {metric}")
    panel = Panel(title, marks, axis, Axis(names=list(gaps)), height)
    listed = ", ".join(
        f"{control} {format_figure(gap.difference.mean, '+.3f')} {'cleared' if gap.clears else 'not cleared'}"
        for control, gap in gaps.items()
    )
    called, about = f"Difference between the model and each control, {target}", f"With {run.level} intervals: {listed}."
    rows = [(c, gap.difference.mean, gap.difference.low, gap.difference.high, gap.clears) for c, gap in gaps.items()]
    return figure_with_table(
        figure([panel], called, about, width=HEADLINE_WIDTH),
        ("control", "difference", "low", "high", "cleared"),
        rows,
        "A control is cleared (circle) if the whole interval lies above 0. The interval allows for subjects who train "
        "each other's models. Squares are controls that the model is not shown to be better than.",
    )


def _side_by_side(run: RunFacts, told: TargetVerdict) -> Markup:
    """The method and the controls in the exploratory scores; nothing where there is none."""
    metrics = [each.metric for each in told.exploratory]
    if not metrics:
        return Markup()
    rows = [("model", *(format_score(run.scores.score(told.target, metric)) for metric in metrics))]
    rows += [
        (control.name, *(format_score(control.scores.get(metric)) for metric in metrics))
        for control in run.scores.controls(told.target)
        if not control.reason
    ]
    return html_table(("method", *metrics), rows, "Exploratory scores: nothing is ranked or cleared by them.")


def _by_construction(metric: str, controls: Mapping[str, Score]) -> str:
    """A sentence on the controls that can't score anything else."""
    fixed = [control for control, score in controls.items() if is_by_construction(score)]
    if not fixed:
        return ""
    value = format_figure(controls[fixed[0]].mean)
    return f"By construction, {join_with_and(fixed)} can't differ from {value} in {metric}."


_OF_WHAT = {
    "subjects": "the mean over subjects, with a t interval over groups of subjects",
    "subjects and stimuli": "the mean over subjects, with a t interval over groups of subjects and over stimuli",
    "folds": "the mean over seeds, then over folds, with a jackknife interval over groups of subjects",
    "jackknife": "all comparisons of all seeds, with a jackknife interval over groups of subjects",
    "replicates": "all comparisons in a seed, averaged over seeds, with a bootstrap of subjects within folds",
}
"""What a score is, by what its SD is over."""


def subjects_section(run: RunFacts) -> Markup:
    """The section of scores by subject."""
    if run.record.labels is None:
        return missing_note(NO_LABELS)
    return by_target(run, _subjects)


def _subjects(run: RunFacts, target: Target) -> Markup:
    joined = run.joined_units(target)
    metric = target.traits.within
    model = _inside(run, target, joined[MODEL]) if MODEL in joined else None
    if model is None:
        return missing_note(f"{metric} is undefined for all subjects: no subject has labels that vary")
    names = _tested(joined[MODEL])
    seeds = np.array(
        [_filled(_inside(run, target, Joined({s: f})), len(names)) for s, f in joined[MODEL].seeds.items()]
    )
    known = np.flatnonzero(np.isfinite(model))
    order = known[np.argsort(-model[known], kind="stable")]
    low, high = seeds[:, order].min(0), seeds[:, order].max(0)
    at = np.arange(len(order))
    chance = metric_facts(metric).chance or 0.0
    marks = [
        rule(x=chance, label="chance"),
        error_bars(
            at,
            model[order],
            low,
            high,
            across=True,
            label="model, lowest and highest seed" if len(seeds) > 1 else "model",
        ),
    ]
    head, columns = ["subject", "model", "lowest seed", "highest seed"], [model[order], low, high]
    control, _ = run.scores.strongest(target.name, metric) or (None, None)
    theirs = _inside(run, target, joined[control]) if control in joined else None
    if control and theirs is not None:
        marks.append(
            scatter(theirs[order], at, colour=1, symbol="diamond", size=3.5, label=f"strongest control: {control}")
        )
        head.append(control)
        columns.append(theirs[order])
    panel = Panel("", marks, Axis(metric), Axis("subject", names=names[order].tolist()), 15.0 * len(order))
    left_out = names[~np.isfinite(model)].tolist()
    beyond = int((model[order] > chance).sum())
    note = f"{metric} of each subject, averaged over folds and seeds. {beyond} of {len(order)} are above chance."
    headline = run.scores.headlines[target.name]
    if control and theirs is not None and is_by_construction(run.scores.score(target.name, headline, control)):
        note += f" {control} is at chance in the headline, which holds constant what it knows, and may be high here."
    if left_out:
        note += f" Without a score, because their labels do not vary: {', '.join(left_out)}."
    drawn = figure([panel], f"{metric} of each subject, {target.name}", note, width=HEADLINE_WIDTH)
    rows = [(names[i], *(float(column[k]) for column in columns)) for k, i in enumerate(order)]
    return figure_row([figure_with_table(drawn, head, rows, note)])


def _tested(joined: Joined) -> np.ndarray:
    return leave_one_out(joined.tested_subjects(), {}).subjects


def _inside(run: RunFacts, target: Target, joined: Joined) -> np.ndarray | None:
    """(P,) the score inside each tested subject, None where no subject has one."""
    groups = run.record.groups
    found, _ = estimate(target.traits.within, joined, target, leave_one_out(joined.tested_subjects(), groups))
    return found.subject_values if isinstance(found, Estimate) else None


def _filled(values: np.ndarray | None, size: int) -> np.ndarray:
    return np.full(size, np.nan) if values is None else values


def scores_section(run: RunFacts) -> Markup:
    """The section with a table of all scores of each target."""
    made = []
    for target in run.targets:
        headline = run.scores.headlines[target.name]
        stimulus = run.scores.control_scores(target.name, "stimulus_mean")
        rows = []
        for metric, score in sorted(run.scores.of(target.name).items(), key=lambda item: item[0] != headline):
            numbers = (_mean(score), score.low, score.high, score.std)
            beside = (_mean(stimulus.get(metric)),) if stimulus else ()
            remarks = "; ".join(score.left_out) if score.defined else f"undefined: {score.undefined}"
            rows.append((f"{metric} (headline)" if metric == headline else metric, *numbers, *beside, remarks))
        caption = f"Scores of {target.name}, with {run.level} intervals"
        heads = ("score", "mean", "low", "high", "SD", *(("stimulus_mean",) if stimulus else ()), "remarks")
        made.append(html_table(heads, rows, caption))
    note = (
        "Scores per fold are averaged over seeds, then over folds, and never pooled over folds. Conditioned scores "
        "hold constant the stimulus (auroc_within_stimulus), subject and stimulus (auroc_crossed), subject and clock "
        "(auroc_crossed_time), or subject, clock and length of the session (auroc_crossed_matched). The column "
        "stimulus_mean, where there is one, is the score of a control that knows only which stimulus was shown."
    )
    return paragraph(note) + join_parts(made)


def _mean(score: Score | None) -> float | None:
    return score.mean if score and score.defined else None
