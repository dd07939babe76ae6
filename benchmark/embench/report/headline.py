"""The primary metric beside the confound-only models, the subjects one by one, and all scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from markupsafe import Markup

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.records.predictions import MODEL
from embench.records.scores import Score
from embench.records.wording import (
    format_figure,
    format_score,
    is_by_construction,
)
from embench.report.drawing import Axis, Panel, error_bars, figure, rule, scatter, score_bars
from embench.report.facts import RunFacts
from embench.report.page import (
    SectionBody,
    figure_row,
    figure_with_table,
    html_table,
    join_named,
    join_parts,
    paragraph,
    render_macro,
    with_reasons,
)
from embench.statistics.estimates import estimate
from embench.statistics.form import as_html
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import Joined
from embench.statistics.metrics import metric_facts
from embench.vocabulary import label

HEADLINE_WIDTH = 520.0


def headline_section(run: RunFacts) -> SectionBody | Undefined:
    """The section with the primary metric beside the confound-only models as a drawing, and with the result in words.
    Remarks that hold of all targets stand once, at its end."""
    drawings = {target.name: _drawing(run, target) for target in run.targets}
    texts = [texts for _, texts in drawings.values()]
    shared = [text for text in texts[0] if all(text in others for others in texts)] if texts else []
    own = {
        name: drawn
        + Markup(as_html(run.forms[name], every=True))  # noqa: S704  as `as_html` escaped it
        + join_parts(paragraph(text) for text in texts if text not in shared)
        for name, (drawn, texts) in drawings.items()
    }
    body = join_named(own)
    if isinstance(body, Undefined):
        return body
    return replace(body, shown=join_parts([body.shown, *map(paragraph, shared), _exploratory(run)]))


def _drawing(run: RunFacts, target: Target) -> tuple[Markup, list[str]]:
    """The drawing of a target, and remarks on it."""
    scores, name = run.scores, target.name
    metric, model = run.answers[name].metric, run.answers[name].score
    if model is None:
        return Markup(), []
    applied: dict[str, Score] = {}
    silent: dict[str, str] = {}
    for control in sorted(scores.controls(name), key=lambda control: control.name):
        if score := scores.score(name, metric, control.name):
            applied[control.name] = score
        else:
            silent[label(control.name)] = control.why_undefined(metric)
    height = 30.0 * (1 + len(applied))
    drawn = _headlines(run, name, metric, {"model": model, **applied}, height)
    notes = [
        f"Models without a physiological signal that do not apply: {with_reasons(silent)}." if silent else "",
        f"Excluded from the primary metric: {'; '.join(model.left_out)}." if model.left_out else "",
    ]
    return figure_row([drawn]), [*filter(None, notes)]


def _headlines(run: RunFacts, target: str, metric: str, scores: Mapping[str, Score], height: float) -> Markup:
    """The method, first of `scores`, and the controls."""
    marks = []
    if (chance := metric_facts(metric).chance) is not None:
        marks.append(rule(x=chance, label="chance"))
    for k, score in enumerate(scores.values()):
        look: dict[str, Any] = {"colour": "muted", "symbol": "diamond"} if k else {"colour": 0, "symbol": "circle"}
        marks.append(score_bars([k], [score], across=True, **look))
    title = metric_facts(metric).title
    names = [label(method) if k else "the method" for k, method in enumerate(scores)]
    panel = Panel(f"{title}: method and models without a signal", marks, Axis(title), Axis(names=names), height)
    named = list(zip(names, scores.values(), strict=True))
    listed = ", ".join(f"{name} {format_figure(score.mean)}" for name, score in named)
    about = f"With {run.level} intervals: {listed}."
    head = ("method", metric, "low", "high", "SD", "over", "subjects")
    rows = [(name, s.mean, s.low, s.high, s.std, s.over, s.subjects) for name, s in named]
    note = f"The primary metric with {run.level} intervals: {_OF_WHAT[str(next(iter(scores.values())).over)]}."
    drawn = figure([panel], f"{title} of {target}", about, width=HEADLINE_WIDTH)
    return figure_with_table(drawn, head, rows, note)


def _exploratory(run: RunFacts) -> Markup:
    """The method and the confound-only models in the exploratory scores; nothing where there is none. A model with the
    same scores on all targets stands once."""
    targets = [name for name, found in run.answers.items() if found.exploratory]
    metrics = list(dict.fromkeys(each.metric for name in targets for each in run.answers[name].exploratory))
    cells: dict[str, dict[str, tuple[str, ...]]] = {}  # method, target -> a cell for each score
    for name in targets:
        methods = {control.name: control.scores for control in run.scores.controls(name) if not control.reason}
        named = {label(method): scores for method, scores in methods.items()}
        for method, scores in {"the method": run.scores.of(name), **named}.items():
            found = [scores.get(metric) for metric in metrics]
            if any(score and score.defined for score in found):
                cells.setdefault(method, {})[name] = tuple(map(format_score, found))
    rows = []
    for method, row in cells.items():
        if len(set(row.values())) == 1 and len(row) == len(targets):
            rows.append((method, *next(iter(row.values()))))
        else:
            rows += [(f"{method}, {target}", *found) for target, found in row.items()]
    if not rows:
        return Markup()
    titles = [metric_facts(metric).title for metric in metrics]
    return html_table(("", *titles), rows, "Other scores: no rank and no answer rests on them.")


_OF_WHAT = {
    "subjects": "the mean over subjects, with a t interval over groups of subjects",
    "subjects and stimuli": "the mean over subjects, with a t interval over groups of subjects and over stimuli",
    "folds": "the mean over seeds, then over folds, with a jackknife interval over groups of subjects",
    "jackknife": "all comparisons of all seeds, with a jackknife interval over groups of subjects",
    "replicates": "all comparisons in a seed, averaged over seeds, with a bootstrap of subjects within folds",
}
"""Definitions of a score, by what its SD is over."""


def scores_by_subject(run: RunFacts, target: Target) -> Markup | Undefined:
    """The score inside each subject, with the range over seeds and the strongest control."""
    joined = run.joined_units(target)
    metric = target.traits.within
    model = _inside(run, target, joined[MODEL]) if MODEL in joined else None
    if model is None:
        return Undefined(f"{metric} is undefined for all subjects: no subject has labels that vary")
    names = leave_one_out(joined[MODEL].tested_subjects(), {}).subjects
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
        strongest = f"strongest model without a signal: {label(control)}"
        marks.append(scatter(theirs[order], at, colour=1, symbol="diamond", size=3.5, label=strongest))
        head.append(label(control))
        columns.append(theirs[order])
    panel = Panel("", marks, Axis(metric), Axis("subject", names=names[order].tolist()), 15.0 * len(order))
    left_out = names[~np.isfinite(model)].tolist()
    beyond = int((model[order] > chance).sum())
    note = f"{metric} of each subject, averaged over folds and seeds. {beyond} of {len(order)} are above chance."
    headline = run.scores.headlines[target.name]
    if control and theirs is not None and is_by_construction(run.scores.score(target.name, headline, control)):
        note += f" The primary metric holds constant what the model ({label(control)}) uses; this metric does not."
    if left_out:
        note += f" Without a score, because their labels do not vary: {', '.join(left_out)}."
    drawn = figure([panel], f"{metric} of each subject, {target.name}", note, width=HEADLINE_WIDTH)
    rows = [(names[i], *(float(column[k]) for column in columns)) for k, i in enumerate(order)]
    return figure_row([figure_with_table(drawn, head, rows, note)])


def _inside(run: RunFacts, target: Target, joined: Joined) -> np.ndarray | None:
    """(P,) the score inside each tested subject, None where no subject has one."""
    groups = run.record.groups
    found, _ = estimate(target.traits.within, joined, target, leave_one_out(joined.tested_subjects(), groups))
    return found.subject_values if isinstance(found, Estimate) else None


def _filled(values: np.ndarray | None, size: int) -> np.ndarray:
    return np.full(size, np.nan) if values is None else values


def scores_section(run: RunFacts) -> Markup:
    """The section with a table of all scores of each target."""
    tables = []
    for target in run.targets:
        headline = run.scores.headlines[target.name]
        stimulus = run.scores.control_scores(target.name, "stimulus_mean")
        rows = []
        undefined = {}
        for metric, score in sorted(run.scores.of(target.name).items(), key=lambda item: item[0] != headline):
            name = f"{metric} (primary)" if metric == headline else metric
            if not score.defined:
                undefined[name] = score.undefined or "without a reason"
                continue
            of_stimulus = run.scores.score(target.name, metric, "stimulus_mean")
            beside = (of_stimulus and of_stimulus.mean,) if stimulus else ()
            rows.append((name, score.mean, score.low, score.high, score.std, *beside, "; ".join(score.left_out)))
        caption = f"Scores of {target.name}, with {run.level} intervals"
        heads = ("score", "mean", "low", "high", "SD", *(("stimulus_mean",) if stimulus else ()), "remarks")
        width = len(heads) - (not any(row[-1] for row in rows))
        table = html_table(heads[:width], [row[:width] for row in rows], caption) if rows else Markup()
        tables.append(table + (paragraph(f"Undefined: {with_reasons(undefined)}.") if undefined else Markup()))
    note = (
        "Scores of folds are averaged over seeds, then over folds, and never pooled over folds. Matched metrics hold "
        "constant the stimulus (auroc_within_stimulus), subject and stimulus (auroc_crossed), subject and time "
        "(auroc_crossed_time), or subject, time and length of the session (auroc_crossed_matched). Metrics of "
        "continuous targets have concordance in place of auroc in their names. The column stimulus_mean is the score "
        "of a model that uses only which stimulus was shown."
    )
    return paragraph(note) + (render_macro("columns", tables) if len(tables) > 1 else join_parts(tables))
