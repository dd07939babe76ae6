"""The headline against every control, the subjects one by one, and all scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from embench.interfaces.units import Target
from embench.records.predictions import MODEL
from embench.records.wording import (
    compared_metric,
    control_note,
    format_figure,
    is_by_construction,
    join_with_and,
    stimulus_scores,
)
from embench.report.drawing import Axis, Panel, error_bars, figure, rule, scatter
from embench.report.page import (
    figure_row,
    figure_with_table,
    html_table,
    join_parts,
    missing_note,
    paragraph,
    render_macro,
)
from embench.report.run_view import NO_LABELS, RunView, ScoreValue
from embench.statistics.controls import NOT_TO_CLEAR
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import Joined

HEADLINE_WIDTH = 520.0
CHANCE_LEVELS = {"ccc": 0.0}
"""What knowing nothing gives, of headlines that are no AUROC."""


def headline_section(run: RunView) -> Markup:
    """The section that compares the headline with every control."""
    return join_parts(_controls(run, target) for target in run.targets)


def target_heading(run: RunView, target: Target) -> Markup:
    """The target's name as a heading where a run has several targets, else nothing."""
    return render_macro("heading", target.name) if run.several else Markup()


def _controls(run: RunView, target: Target) -> Markup:
    scores, name = run.record.scores, target.name
    metric = scores["headlines"][name]
    model = run.score(name, metric)
    if model is None:
        own = scores["scores"].get(name, {})
        reason = own.get(metric, {}).get("undefined", "it was not computed")
        note = missing_note(f"{metric} is undefined: {reason}")
        return target_heading(run, target) + note + _side_by_side(run, name, compared_metric(metric, own))
    rows, gaps, silent = [("model", model)], [], []
    for control, by_target in sorted(scores["controls"].items()):
        if (number := run.score(name, metric, control)) is None:
            about = by_target.get(name, {})
            silent.append(f"{control}: {about.get('undefined') or about.get(metric, {}).get('undefined', 'no score')}")
            continue
        rows.append((control, number))
        gap = scores["differences"].get(control, {}).get(name)
        if gap and "undefined" not in gap["difference"]:
            gaps.append((control, gap["difference"], gap["clears"]))
    level = f"{100 * scores['level']:.0f} % intervals"
    chance = CHANCE_LEVELS.get(metric, 0.5 if metric.startswith("auroc") else np.nan)
    marks = [
        error_bars(
            [k], *_ends([number]), across=True, colour=0 if k == 0 else "muted", symbol="diamond" if k else "circle"
        )
        for k, (_, number) in enumerate(rows)
    ]
    if np.isfinite(chance):
        marks.insert(0, rule(x=chance, label="chance"))
    axis = Axis(metric)
    shown = Panel(f"{metric}: model and controls", marks, axis, Axis(names=[row[0] for row in rows]), 30.0 * len(rows))
    listed = ", ".join(f"{method} {format_figure(number['mean'])}" for method, number in rows)
    made = [
        figure_with_table(
            figure([shown], f"Headline {metric} of {name}", f"With {level}: {listed}.", width=HEADLINE_WIDTH),
            ("method", metric, "low", "high", "SD", "over", "subjects"),
            [
                (
                    w,
                    n["mean"],
                    n["low"],
                    n["high"],
                    n["std"],
                    "subjects" if n["over"] == "people" else n["over"],
                    n["people"],
                )
                for w, n in rows
            ],
            f"The headline with {level}: {_of_what(model)}.",
        )
    ]
    if gaps:
        marks = [rule(x=0.0, label="no difference")]
        for k, (_, gap, clears) in enumerate(gaps):
            look = ("circle", 2) if clears else ("square", 1)
            marks.append(error_bars([k], *_ends([gap]), across=True, symbol=look[0], colour=look[1]))
        panel = Panel(
            "Model minus control, paired by subject", marks, Axis(f"difference in {metric}"),
            Axis(names=[gap[0] for gap in gaps]), 30.0 * len(rows),
        )  # fmt: skip
        listed = ", ".join(
            f"{method} {format_figure(gap['mean'], '+.3f')} {'cleared' if ok else 'not cleared'}"
            for method, gap, ok in gaps
        )
        made.append(
            figure_with_table(
                figure(
                    [panel],
                    f"Difference between the model and each control, {name}",
                    f"With {level}: {listed}.",
                    width=HEADLINE_WIDTH,
                ),
                ("control", "difference", "low", "high", "cleared"),
                [(method, gap["mean"], gap["low"], gap["high"], ok) for method, gap, ok in gaps],
                "A control is cleared (circle) if the whole interval lies above 0. The interval allows for subjects "
                "who train each other's models. Squares are controls that the model is not shown to be better than.",
            )
        )
    notes = paragraph(f"Controls that do not apply: {'; '.join(silent)}.") if silent else Markup()
    extra = [control for control, _ in rows[1:] if control in NOT_TO_CLEAR]
    notes += paragraph(f"Shown for comparison, and not to be cleared: {', '.join(extra)}.") if extra else Markup()
    notes += _by_construction(run, name, metric, dict(rows[1:]))
    left_out = "; ".join(model["left_out"])
    return (
        target_heading(run, target)
        + figure_row(made)
        + notes
        + (paragraph(f"Excluded from the headline: {left_out}.") if left_out else Markup())
    )


def _side_by_side(run: RunView, target: str, metric: str) -> Markup:
    """The method and the controls in a score that is defined, where the headline is not; nothing where none is."""
    found = [("model", run.score(target, metric))]
    found += [(control, run.score(target, metric, control)) for control in sorted(run.record.scores["controls"])]
    rows = [(name, n["mean"], n["low"], n["high"]) for name, n in found if n is not None]
    if not rows:
        return Markup()
    caption = f"{metric} of the model and of the controls, side by side: nothing is ranked or cleared by it."
    return html_table(("method", metric, "low", "high"), rows, caption)


def _by_construction(run: RunView, target: str, metric: str, controls: Mapping[str, ScoreValue]) -> Markup:
    """Which controls can't score anything else, and why one that is high inside subjects is among them."""
    fixed = [control for control, number in controls.items() if is_by_construction(number)]
    if not fixed:
        return Markup()
    scores = run.record.scores
    value = format_figure(controls[fixed[0]]["mean"])
    text = f"By construction, {join_with_and(fixed)} can't differ from {value} in {metric}."
    scored = {control: by_target.get(target, {}) for control, by_target in scores["controls"].items()}
    note = control_note(metric, scores["scores"].get(target, {}), scored)
    return paragraph(" ".join(filter(None, [text, note])))


def _ends(numbers: Sequence[ScoreValue]) -> tuple[list[float], ...]:
    return tuple([np.nan if n[key] is None else n[key] for n in numbers] for key in ("mean", "low", "high"))


def _of_what(number: ScoreValue) -> str:
    return {
        "people": "the mean over subjects, with a t interval over groups of subjects",
        "people and stimuli": "the mean over subjects, with a t interval over groups of subjects and over stimuli",
        "folds": "the mean over seeds, then over folds, with a jackknife interval over groups of subjects",
        "jackknife": "all comparisons of all seeds, with a jackknife interval over groups of subjects",
        "replicates": "all comparisons in a seed, averaged over seeds, with a bootstrap of subjects within folds",
    }[number["over"]]


def subjects_section(run: RunView) -> Markup:
    """The section of scores by subject."""
    if run.record.labels is None:
        return missing_note(NO_LABELS)
    return join_parts(target_heading(run, target) + _subjects(run, target) for target in run.targets)


def _subjects(run: RunView, target: Target) -> Markup:
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
    marks = [
        rule(x=CHANCE_LEVELS.get(metric, 0.5), label="chance"),
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
    control = run.strongest_control(target.name, metric)
    theirs = _inside(run, target, joined[control]) if control in joined else None
    if control and theirs is not None:
        marks.append(
            scatter(theirs[order], at, colour=1, symbol="diamond", size=3.5, label=f"strongest control: {control}")
        )
        head.append(control)
        columns.append(theirs[order])
    panel = Panel("", marks, Axis(metric), Axis("subject", names=names[order].tolist()), 15.0 * len(order))
    left_out = names[~np.isfinite(model)].tolist()
    beyond = int((model[order] > CHANCE_LEVELS.get(metric, 0.5)).sum())
    note = f"{metric} of each subject, averaged over folds and seeds. {beyond} of {len(order)} are above chance."
    headline = run.record.scores["headlines"][target.name]
    if control and theirs is not None and is_by_construction(run.score(target.name, headline, control)):
        note += f" {control} is at chance in the headline, which holds constant what it knows, and may be high here."
    if left_out:
        note += f" Without a score, because their labels do not vary: {', '.join(left_out)}."
    drawn = figure([panel], f"{metric} of each subject, {target.name}", note, width=HEADLINE_WIDTH)
    rows = [(names[i], *(float(column[k]) for column in columns)) for k, i in enumerate(order)]
    return figure_row([figure_with_table(drawn, head, rows, note)])


def _tested(joined: Joined) -> np.ndarray:
    return leave_one_out(joined.tested_subjects(), {}).subjects


def _inside(run: RunView, target: Target, joined: Joined) -> np.ndarray | None:
    """(P,) the score inside each tested subject, None where no subject has one."""
    groups = run.record.groups
    found, _ = estimate(target.traits.within, joined, target, leave_one_out(joined.tested_subjects(), groups))
    return found.subject_values if isinstance(found, Estimate) else None


def _filled(values: np.ndarray | None, size: int) -> np.ndarray:
    return np.full(size, np.nan) if values is None else values


def scores_section(run: RunView) -> Markup:
    """The section with a table of all scores of each target."""
    scores = run.record.scores
    made = []
    for target in run.targets:
        names = scores["scores"].get(target.name, {})
        stimulus = stimulus_scores(scores["controls"], target.name)
        rows = []
        for metric, number in sorted(names.items(), key=lambda item: item[0] != scores["headlines"][target.name]):
            called = f"{metric} (headline)" if metric == scores["headlines"][target.name] else metric
            beside = (stimulus.get(metric, {}).get("mean"),) if stimulus else ()
            if "undefined" in number:
                rows.append((called, None, None, None, None, *beside, f"undefined: {number['undefined']}"))
            else:
                left_out = "; ".join(number["left_out"])
                rows.append((called, number["mean"], number["low"], number["high"], number["std"], *beside, left_out))
        caption = f"Scores of {target.name}, with {100 * scores['level']:.0f} % intervals"
        heads = ("score", "mean", "low", "high", "SD", *(("stimulus_mean",) if stimulus else ()), "remarks")
        made.append(html_table(heads, rows, caption))
    note = (
        "Scores per fold are averaged over seeds, then over folds, and never pooled over folds. Conditioned scores "
        "hold constant the stimulus (auroc_within_stimulus), subject and stimulus (auroc_crossed), subject and clock "
        "(auroc_crossed_time), or subject, clock and length of the session (auroc_crossed_matched). The column "
        "stimulus_mean, where there is one, is the score of a control that knows only which stimulus was shown."
    )
    return paragraph(note) + join_parts(made)
