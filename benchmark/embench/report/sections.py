"""Sections of a report: the primary metric, subjects, signal quality, pretraining, settings and cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from embench.data.quality import TERCILES, compute_unit_quality, terciles
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import split_modality
from embench.interfaces.units import Target
from embench.leaderboard.rows import describe_differences
from embench.records import audit as audits
from embench.records.predictions import MODEL, Predictions
from embench.records.pretraining_comparison import make_reference_keys, match_reference
from embench.records.record import Record
from embench.records.scores import Score
from embench.records.wording import (
    bare_name,
    counted,
    departures_in_words,
    format_figure,
    format_interval,
    format_score,
    format_share,
    format_value,
    is_by_construction,
    method_name,
)
from embench.report.drawing import Axis, Panel, error_bars, figure, rule, scatter, score_bars
from embench.report.facts import METHOD_UNKNOWN, NO_LABELS, RunFacts, rule_in_words
from embench.report.page import (
    SectionBody,
    as_sentence,
    by_target,
    fact_list,
    figure_row,
    figure_with_table,
    html_table,
    join_named,
    join_parts,
    paragraph,
    render_macro,
    with_reasons,
)
from embench.statistics import metric_facts
from embench.statistics.answers import TargetAnswers
from embench.statistics.estimates import estimate
from embench.statistics.form import as_html
from embench.statistics.gains import compare_pretraining, shown_metric
from embench.statistics.intervals import Estimate, leave_one_out, with_interval
from embench.statistics.joined import Joined, join, labels_of, shared_stimuli, unit_length
from embench.statistics.scores import with_interval_of
from embench.store import Store
from embench.vocabulary import label

# The primary metric next to the confound-only models, scores by subject, and all scores.

HEADLINE_WIDTH = 520.0


def headline_section(run: RunFacts) -> SectionBody | Undefined:
    """Return the section with the primary metric next to the confound-only models, as a figure and in words. Remarks
    on all targets come once, at the end."""
    drawings = {target.name: _describe_headline(run, target) for target in run.targets}
    texts = [texts for _, texts in drawings.values()]
    shared = [text for text in texts[0] if all(text in others for others in texts)] if texts else []
    parts = {
        name: drawn
        + Markup(as_html(run.summaries[name], every=True))  # noqa: S704  as `as_html` escaped it
        + join_parts(paragraph(text) for text in texts if text not in shared)
        for name, (drawn, texts) in drawings.items()
    }
    body = join_named(parts)
    if isinstance(body, Undefined):
        return body
    return replace(body, markup=join_parts([body.markup, *map(paragraph, shared), _list_exploratory(run)]))


def _describe_headline(run: RunFacts, target: Target) -> tuple[Markup, list[str]]:
    """Return the figure of a target's primary metric, and remarks on it."""
    scores, name = run.scores, target.name
    metric, model = run.answers[name].metric, run.answers[name].score
    if model is None:
        return Markup(), []
    applied: dict[str, Score] = {}
    silent: dict[str, str] = {}
    for control in sorted(scores.get_confound_only_models(name), key=lambda control: control.name):
        if score := scores.get_score(name, metric, control.name):
            applied[control.name] = score
        else:
            silent[label(control.name)] = control.explain_undefined(metric)
    height = 30.0 * (1 + len(applied))
    drawn = _draw_headline(run, name, metric, {"model": model, **applied}, height)
    notes = [
        f"Models without a physiological signal that do not apply: {with_reasons(silent)}." if silent else "",
        f"Excluded from the primary metric: {'; '.join(model.left_out)}." if model.left_out else "",
    ]
    return figure_row([drawn]), [*filter(None, notes)]


def _draw_headline(run: RunFacts, target: str, metric: str, scores: Mapping[str, Score], height: float) -> Markup:
    """Draw the primary metric of the method, which is first in `scores`, and of the confound-only models."""
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
    rows = [(name, s.mean, s.low, s.high, s.std, s.over and s.over.replace("_", " "), s.subjects) for name, s in named]
    note = f"The primary metric with {run.level} intervals: {_DEFINITIONS[str(next(iter(scores.values())).over)]}."
    drawn = figure([panel], f"{title} of {target}", about, width=HEADLINE_WIDTH)
    return figure_with_table(drawn, head, rows, note)


def _list_exploratory(run: RunFacts) -> Markup:
    """Return a table of the secondary scores of the method and the confound-only models; empty without such scores. A
    model with equal scores on all targets has one row."""
    targets = [name for name, found in run.answers.items() if found.secondary_scores]
    metrics = list(dict.fromkeys(each.metric for name in targets for each in run.answers[name].secondary_scores))
    cells: dict[str, dict[str, tuple[str, ...]]] = {}  # method, target -> a cell for each score
    for name in targets:
        methods = {
            control.name: control.scores for control in run.scores.get_confound_only_models(name) if not control.reason
        }
        named = {label(method): scores for method, scores in methods.items()}
        for method, scores in {"the method": run.scores.get_scores(name), **named}.items():
            found = [scores.get(metric) for metric in metrics]
            if any(score and score.is_defined for score in found):
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


_DEFINITIONS = {
    "subjects": "the mean over subjects, with a t interval over groups of subjects",
    "subjects_and_stimuli": "the mean over subjects, with a t interval over groups of subjects and over stimuli",
    "folds": "the mean over seeds, then over folds, with a jackknife interval over groups of subjects",
    "jackknife": "all comparisons of all seeds, with a jackknife interval over groups of subjects",
}
"""Value of `over` in a score -> how the score and its interval are computed."""


def scores_by_subject(run: RunFacts, target: Target) -> Markup | Undefined:
    """Return a figure of each subject's score, with the range over seeds and the strongest confound-only model."""
    joined = run.joined_units(target)
    metric = target.traits.within_metric
    model = _compute_within_subject(run, target, joined[MODEL]) if MODEL in joined else None
    if model is None:
        return Undefined(f"{metric} is undefined for all subjects: no subject has labels that vary")
    names = leave_one_out(joined[MODEL].tested_subjects(), {}).subjects
    by_seed = [_compute_within_subject(run, target, Joined({s: f})) for s, f in joined[MODEL].seeds.items()]
    seeds = np.array([np.full(len(names), np.nan) if values is None else values for values in by_seed])
    scored = np.flatnonzero(np.isfinite(model))
    order = scored[np.argsort(-model[scored], kind="stable")]
    low, high = seeds[:, order].min(0), seeds[:, order].max(0)
    positions = np.arange(len(order))
    chance = metric_facts(metric).chance or 0.0
    named = "model, lowest and highest seed" if len(seeds) > 1 else "model"
    marks = [rule(x=chance, label="chance"), error_bars(positions, model[order], low, high, across=True, label=named)]
    head, columns = ["subject", "model", "lowest seed", "highest seed"], [model[order], low, high]
    control, _ = run.scores.find_strongest_model(target.name, metric) or (None, None)
    control_scores = _compute_within_subject(run, target, joined[control]) if control in joined else None
    if control and control_scores is not None:
        strongest = f"strongest model without a signal: {label(control)}"
        marks.append(scatter(control_scores[order], positions, colour=1, symbol="diamond", size=3.5, label=strongest))
        head.append(label(control))
        columns.append(control_scores[order])
    panel = Panel("", marks, Axis(metric), Axis("subject", names=names[order].tolist()), 15.0 * len(order))
    left_out = names[~np.isfinite(model)].tolist()
    above_chance = int((model[order] > chance).sum())
    note = f"{metric} of each subject, averaged over folds and seeds. {above_chance} of {len(order)} are above chance."
    primary_metric = run.scores.primary_metrics[target.name]
    primary_score = run.scores.get_score(target.name, primary_metric, control) if control else None
    if control and control_scores is not None and is_by_construction(primary_score):
        note += f" The primary metric holds constant what the model ({label(control)}) uses; this metric does not."
    if left_out:
        note += f" Without a score, because their labels do not vary: {', '.join(left_out)}."
    drawn = figure([panel], f"{metric} of each subject, {target.name}", note, width=HEADLINE_WIDTH)
    rows = [(names[i], *(float(column[k]) for column in columns)) for k, i in enumerate(order)]
    return figure_row([figure_with_table(drawn, head, rows, note)])


def _compute_within_subject(run: RunFacts, target: Target, joined: Joined) -> np.ndarray | None:
    """Return the within-subject score of each tested subject, (subjects,); None if no subject has one."""
    groups = run.record.groups
    found, _ = estimate(target.traits.within_metric, joined, target, leave_one_out(joined.tested_subjects(), groups))
    return found.subject_values if isinstance(found, Estimate) else None


def scores_section(run: RunFacts) -> Markup:
    """Return the section with a table of all scores of each target."""
    tables = []
    for target in run.targets:
        primary_metric = run.scores.primary_metrics[target.name]
        stimulus = run.scores.get_model_scores(target.name, "stimulus_mean")
        rows = []
        undefined = {}
        for metric, score in sorted(
            run.scores.get_scores(target.name).items(), key=lambda item: item[0] != primary_metric
        ):
            name = f"{metric} (primary)" if metric == primary_metric else metric
            if not score.is_defined:
                undefined[name] = score.undefined or "without a reason"
                continue
            of_stimulus = run.scores.get_score(target.name, metric, "stimulus_mean")
            more = (of_stimulus and of_stimulus.mean,) if stimulus else ()
            rows.append((name, score.mean, score.low, score.high, score.std, *more, "; ".join(score.left_out)))
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


# Description of the run: warnings, cost, audit and settings.

OVERLAPS = {
    "unlabelled_target": "it saw signals of the test subjects",
    "labelled_target": "it saw labels of the test subjects",
    "unknown": "the subjects that it saw are unknown",
}
"""Overlap of pretraining with test subjects that excludes a run from the ranking -> its meaning."""


def notices(run: RunFacts) -> list[tuple[bool, str, str]]:
    """Return (is severe, title, text) of each warning at the top of a report."""
    about, outside = run.manifest, run.submission
    recipe, protocol = about.recipe, about.protocol
    leaks = "; ".join([f"under {protocol.name}, training sees test data", *protocol.leaks_in_words()])
    overlap = OVERLAPS.get(about.pretraining_overlap, "")
    unknown = [f"{target}: {form.problem}" for target, form in run.summaries.items() if form.problem]
    audit = run.audit or run.audited
    findings = audits.list_shown_findings(audit) if isinstance(audit, Mapping) else []
    severe = [found.what for found in findings if found.severity == "severe"]
    differences = "" if outside else ", ".join(describe_differences(about))
    trial = f"{recipe.preset} is for trials and never enters a leaderboard"
    assumed = f"settings that the papers leave open: {', '.join(recipe.assumed or ())}"
    marks = [
        (run.synthetic, True, "Synthetic data", "these numbers say nothing about real subjects"),
        (protocol.leaks, True, "Leaks", leaks),
        (about.dev, False, "Development", "validation subjects were scored; the test labels stayed closed"),
        (overlap and not outside, True, "Pretraining", overlap),
        *((True, False, "Primary metric", text) for text in unknown),
        *((True, True, "Audit", what) for what in severe),
        (outside, False, "Submission", "the predictions came from a file; how they were made is unknown"),
        (differences, False, "Differences from the plain method", differences),
        (not recipe.on_leaderboard and not outside, False, "Recipe", trial),
        (recipe.preset == "paper" and recipe.assumed, False, "Assumed", assumed),
    ]
    return [(bad, title, text) for holds, bad, title, text in marks if holds]


def page_header(run: RunFacts) -> Markup:
    """Return the top of a report: dataset, protocol, subjects, seeds, warnings, and primary metrics."""
    about = run.manifest
    seeds = "one seed" if len(about.seeds) == 1 else f"{len(about.seeds)} seeds"
    line = f"{bare_name(about.dataset.name)}, {about.protocol.name}, {about.cohort.size} subjects, {seeds}"
    line += f", {len(run.excluded)} excluded" if run.excluded else ""
    listed = [(bad, called, as_sentence(text)) for bad, called, text in notices(run)]
    return render_macro("header", run.name, line, about.id, listed, [*map(_make_card, run.answers.values())])


def _make_card(found: TargetAnswers) -> dict[str, str]:
    word = found.problem.answer if found.problem else "not estimable"
    return {
        "target": found.target,
        "metric": found.title,
        "value": format_score(found.score, ".2f", missing="\N{EM DASH}", interval=False),
        "interval": format_interval(found.score, "{} to {}", ".2f") if found.score else word,
        "answers": "; ".join(f"{each.text.removesuffix('?')}: {each.answer}" for each in found.answers),
    }


def cost_section(run: RunFacts) -> Markup:
    """Return the section on the run's costs: time, parameters, operations, memory and energy."""
    note = (
        "Time: the sum over all stages. Parameters and FLOPs: the method of one fold, for the prediction of one row. "
        "Memory: the highest use of a stage. Energy: that of the GPU."
    )
    return fact_list(list(run.costs.items())) + paragraph(note)


def audit_section(run: RunFacts) -> Markup | Undefined:
    """Return the section on the audit: findings, and skipped checks."""
    content = run.audit or run.audited
    if content is None:
        return Undefined("this run has not been audited; run `embench audit RUN`")
    if isinstance(content, Undefined):
        return content
    found = [
        (f.severity, f.check, f.what, _format_recorded(_shorten(f.evidence)), f.todo)
        for f in audits.list_shown_findings(content)
    ]
    found_of = {severity: n for severity, n in content["counts"].items() if n}
    status = audits.format_counts(found_of).capitalize() or "Nothing found"
    now = (
        ""
        if run.audit
        else (
            f" Audited for this report by {counted(len(content['measured']), 'check')} that need the record alone. "
            "`embench audit RUN` makes all checks, with the data, and keeps what it found with the run."
        )
    )
    summary = paragraph(f"{status}.{now}")
    heads = ("severity", "check", "finding", "evidence", "what to do")
    listed = html_table(heads, found, "Findings") if found else Markup()
    skipped = with_reasons({name: ", ".join(reasons) for name, reasons in audits.read_skipped_reasons(content).items()})
    return join_parts([summary, listed, paragraph(f"Skipped checks: {skipped}.") if skipped else Markup()])


def facts_section(run: RunFacts) -> Markup:
    """Return the section on the settings of the run: data, protocol, cohort, method, versions."""
    about = run.manifest
    subjects = "" if isinstance(about.cohort.subjects, int) else f": {', '.join(about.cohort.subjects)}"
    recipe = [
        ("recipe", about.recipe.preset),
        ("settings that the papers leave open", format_value(about.recipe.assumed, missing="not recorded") or "none"),
        ("settings that differ from the papers", ". ".join(departures_in_words(about.recipe.content())) or "none"),
        ("query modality", about.method.query or "none"),
        ("changed settings", ", ".join(about.changed_settings) or "none"),
    ]
    dropped = [f"{m}: {name} ({why})" for m, features in about.dropped.items() for name, why in features.items()]
    rows = [
        *([("command", f"`{run.command}`")] if run.command else []),
        ("dataset", f"{about.dataset.name}, data {about.dataset.fingerprint}"),
        ("reader verified on real data", _format_recorded(about.dataset.verified_on_real)),
        ("protocol", f"{about.protocol.name}, version {about.protocol.version}, {about.protocol.hash[:12]}"),
        ("protocol deviations", "; ".join(about.protocol.leaks_in_words()) or "none"),
        ("subjects", f"{about.cohort.size}{subjects}"),
        ("units that rest on bridged or missing samples", format_share(about.cohort.repaired, "not recorded")),
        ("excluded", "; ".join(run.excluded) or "none"),
        (run.without_prediction, _format_recorded(run.scores.get("absent", "not recorded"))),
        ("encoders", ", ".join(f"{m}: {e}" for m, e in about.method.encoders.items()) or "unknown"),
        ("fusion", METHOD_UNKNOWN if run.submission else about.method.fusion or "none"),
        ("pretraining", METHOD_UNKNOWN if run.submission else ", ".join(about.method.pretrainers) or "none"),
        ("overlap of pretraining with test subjects", run.overlap),
        *([("weights", "; ".join(run.weights))] if run.weights else []),
        ("what the method saw of a test subject", run.access),
        *([] if run.submission else recipe),
        ("seeds", ", ".join(map(str, about.seeds))),
        ("submission", _format_recorded(about.submission or "no")),
        ("evaluations on the test labels, including this one", _format_recorded(about.test_evaluations)),
        ("methods scored on these test subjects", run.evaluations_sentence or "not recorded"),
        ("scorings of validation subjects", _format_recorded(about.dev_evaluations)),
        *([("plugins that are not bundled", _format_recorded(about.conformance))] if about.conformance else []),
        *([("features dropped", "; ".join(dropped))] if about.dropped else []),
        ("embench", about.embench_version),
        ("versions", _format_recorded(about.versions)),
        ("device", _format_recorded(about.device)),
        ("signals available for this report", f"no: {run.store.reason}" if isinstance(run.store, Undefined) else "yes"),
    ]  # fmt: skip
    made = about.card.label_rules
    rules = [(rule.name, rule.kind, rule.label, rule_in_words(rule.rule) or "as it is") for rule in made]
    listed = html_table(("target", "kind", "made from", "label rule"), rules, "Label rules of the dataset")
    return fact_list(rows) + _count_subjects(run) + listed


def _count_subjects(run: RunFacts) -> Markup:
    """Return a table with a row for each split into training, validation and test subjects, and its number of folds."""
    subjects: dict[tuple[str, str], dict[str, set[str]]] = {}
    for row in run.record.folds:
        if row["fold"] != "":
            roles = subjects.setdefault((row["seed"], row["fold"]), {"train": set(), "val": set(), "test": set()})
            roles.setdefault(row["role"], set()).add(row["subject"])
    sizes = Counter(tuple(len(roles[name]) for name in ("train", "val", "test")) for roles in subjects.values())
    head = ("folds", "training subjects", "validation subjects", "test subjects")
    rows = [(str(n), *size) for size, n in sorted(sizes.items())]
    return html_table(head, rows, f"Subjects in the folds of {counted(len(run.manifest.seeds), 'seed')}")


def _shorten(evidence: Any) -> Any:
    """Return the evidence of a finding, with scores formatted as mean and interval."""
    if isinstance(evidence, Mapping) and "mean" in evidence:
        return format_score(Score.model_validate(evidence))
    if isinstance(evidence, Mapping):
        return {name: _shorten(value) for name, value in evidence.items()}
    return [_shorten(value) for value in evidence] if isinstance(evidence, list) else evidence


def _format_recorded(value: Any) -> str:
    return format_value(value, missing="not recorded")


# Scores by signal quality: for the units with the worst, the middle and the best signals.

_NOTE = (
    "Descriptive: the scored units in three parts, by an index of how good the signal of a modality is (0 to 1), which "
    "is made of the prepared signals and knows no labels. Units with a poor signal may differ from others in more than "
    "that: in who was recorded, when and with which labels. A third has fewer units and subjects, so that its interval "
    "is wider, and the primary metric may not be estimable. Units with the same index stay together, so that the "
    "parts may differ in size."
)
_NOT_KNOWN = "It is not known which signals the predictions were made of: all that the dataset has are shown."


def quality_section(run: RunFacts) -> Markup | Undefined:
    """Return the section of scores by tercile of signal quality."""
    if run.record.labels is None:
        return NO_LABELS
    if isinstance(run.store, Undefined):
        return run.store
    store = run.store
    modalities = list(store.modalities) if run.submission else run.manifest.method.modalities
    chosen = list(dict.fromkeys(part for m in modalities for part in split_modality(m) if part != "video"))
    tables = [_quality_table(run, store, target, chosen) for target in run.targets]
    silent = {modality: why for _, reasons in tables for modality, why in reasons.items()}
    undivided = paragraph(f"Not divided: {with_reasons(silent)}.") if silent else Markup()
    which = [paragraph(_NOT_KNOWN)] if run.submission else []
    return join_parts([paragraph(_NOTE), *which, *(table for table, _ in tables), undivided])


def _quality_table(
    run: RunFacts, store: Store, target: Target, modalities: Sequence[str]
) -> tuple[Markup, dict[str, str]]:
    """Return a table of a target's scores by tercile of signal quality, and modality -> why it has no terciles."""
    predictions = select_labelled_predictions(run, target)
    ids = np.unique(predictions["unit"])
    rows: list[tuple[Any, ...]] = []
    silent: dict[str, str] = {}
    second = "auroc" if target.traits.has_classes else target.traits.within_metric
    metrics = list(dict.fromkeys([run.scores.primary_metrics[target.name], second]))
    for modality in modalities:
        index = compute_unit_quality(store, modality, ids.tolist())
        if isinstance(index, Undefined):
            silent[modality] = index.reason
            continue
        if not np.isfinite(index).any() or np.nanmin(index) == np.nanmax(index):
            silent[modality] = f"all units have the index {np.nanmax([*index, -np.inf]):.2f}"
            continue
        part = terciles(index)
        for k, name in enumerate(TERCILES):
            in_third = part == k
            if not in_third.any():
                rows.append((f"{modality}, {name}", None, 0, 0, None, None, None, None, "no units: too many are equal"))
                continue
            span = f"{index[in_third].min():.2f} to {index[in_third].max():.2f}"
            selected = predictions.take(np.isin(predictions["unit"], ids[in_third]))
            people = len(np.unique(selected["subject"]))
            rows += [
                (f"{modality}, {name}", span, int(in_third.sum()), people, metric, *score_cells(found))
                for metric in metrics
                if (found := score_of_part(run, target, metric, selected, unit_length(ids))) is not None
            ]
    heads = ("signal", "index", "units", "subjects", "score", "mean", "low", "high", "remarks")
    table = html_table(heads, rows, f"Scores of {target.name} by the quality of signals") if rows else Markup()
    return table, silent


def score_cells(score: Estimate | Undefined) -> tuple[Any, ...]:
    """Return the cells of a score in a table: mean, lower and upper bound, remarks."""
    if isinstance(score, Undefined):
        return None, None, None, f"undefined: {score.reason}"
    return score.mean, score.low, score.high, "; ".join(score.left_out)


def select_labelled_predictions(run: RunFacts, target: Target) -> Predictions:
    """Select the method's predictions of labelled units. The record must have labels."""
    table = run.record.predictions
    predictions = table.take(table.rows_with(method=MODEL, target=target.name))
    return predictions.take(np.isfinite(labels_of(predictions, run.record.labels, target)))  # type: ignore[arg-type]


def score_of_part(
    run: RunFacts, target: Target, metric: str, some: Predictions, length_s: float
) -> Estimate | Undefined | None:
    """Compute a score with its interval from some of a run's predictions; None if the metric does not apply.

    Args:
        some: a part of `select_labelled_predictions`.
        length_s: length of the run's units in s, see `unit_length`.
    """
    record = run.record
    joined = join(some, record.labels, target, record.groups, length_s, record.sessions)[MODEL]  # type: ignore[arg-type]
    stimuli = shared_stimuli(run.manifest.cohort.design, joined)
    found, _ = estimate(metric, joined, target, leave_one_out(joined.tested_subjects(), record.groups, stimuli))
    return None if found is None else with_interval_of(metric, found)


# Scores of groups of subjects, by recorded facts (sex, age band).

SMALLEST_GROUP = 5
"""Smallest number of subjects in a scored group. Scores of smaller groups reveal too much about single subjects."""

_GROUPS_NOTE = (
    "Descriptive: each score is of one group of test subjects alone, by models that were trained on subjects of all "
    f"groups. Groups of fewer than {SMALLEST_GROUP} subjects are not scored. Between two groups stands the difference, "
    "with an interval that takes them as independent and is not corrected for the number of groups looked at. An "
    "interval that holds 0 does not show that a method works alike for both, and a difference does not say why: groups "
    "may differ in age, in movement or in how the sensor sat."
)


class GroupScore(NamedTuple):
    """The score of a group of subjects, or the difference between the scores of two groups. `fact`: a recorded fact
    such as `sex`; `group`: its value; `subjects`: number of tested subjects with this value."""

    fact: str
    group: str
    subjects: int
    metric: str
    score: Estimate | Undefined
    is_difference: bool = False


def people_section(run: RunFacts) -> SectionBody | Undefined:
    """Return the section of scores by group of subjects."""
    if run.record.labels is None:
        return NO_LABELS
    if isinstance(run.store, Undefined):
        return run.store
    known = run.store.subjects
    if not any(known.values()):
        return Undefined("the dataset records nothing of its subjects, such as sex or age band")
    return by_target(run, lambda run, target: _make_group_table(run, target, known), paragraph(_GROUPS_NOTE))


def _make_group_table(run: RunFacts, target: Target, known: Mapping[str, Mapping[str, str]]) -> Markup | Undefined:
    rows = [
        (f"{one.fact}: {one.group}", one.subjects, one.metric, *score_cells(one.score))
        for one in group_scores(run, target, known)
    ]
    if not rows:
        return Undefined(f"nothing recorded of the subjects divides them into groups of at least {SMALLEST_GROUP}")
    heads = ("group", "subjects", "score", "mean", "low", "high", "remarks")
    return html_table(heads, rows, f"Scores of {target.name} by group of subjects")


def group_scores(run: RunFacts, target: Target, known: Mapping[str, Mapping[str, str]]) -> Iterator[GroupScore]:
    """Yield the primary metric and the within-subject score of each group of at least `SMALLEST_GROUP` subjects. If a
    fact has two such groups, the difference between them follows.

    Args:
        known: subject -> recorded facts.
    """
    predictions = select_labelled_predictions(run, target)
    length_s, tested = unit_length(np.unique(predictions["unit"])), np.unique(predictions["subject"]).tolist()
    for fact in sorted({fact for facts in known.values() for fact in facts}):
        group_of = {subject: value for subject in tested if (value := known.get(subject, {}).get(fact))}
        groups = sorted(value for value, subjects in Counter(group_of.values()).items() if subjects >= SMALLEST_GROUP)
        if len(groups) < 2:
            continue
        for metric in dict.fromkeys([run.scores.primary_metrics[target.name], target.traits.within_metric]):
            found = []
            for group in groups:
                members = [subject for subject, value in group_of.items() if value == group]
                rows = predictions.take(np.isin(predictions["subject"], members))
                score = score_of_part(run, target, metric, rows, length_s)
                if score is not None:
                    found.append(GroupScore(fact, group, len(members), metric, score))
            yield from found
            if len(found) == 2 and (difference := _subtract(*found)):
                yield difference


def _subtract(one: GroupScore, other: GroupScore) -> GroupScore | None:
    """Return the difference between the scores of two groups; None if one has no score or no standard error."""
    a, b = one.score, other.score
    if isinstance(a, Undefined) or isinstance(b, Undefined) or a.error is None or b.error is None:
        return None
    gap = replace(a, mean=a.mean - b.mean, subjects=a.subjects + b.subjects, left_out=a.left_out + b.left_out)
    gap = with_interval(gap, math.hypot(a.error, b.error), min(a.df, b.df))
    name, subjects = f"{one.group} minus {other.group}", one.subjects + other.subjects
    return GroupScore(one.fact, name, subjects, one.metric, gap, is_difference=True)


# Gains of a pretrained run over its comparison runs, which are searched next to its folder.

_HEAD = ("comparison", "method", "score", "gain over it", "run")
_ABOUT = (
    "Runs of the same network with random weights and of handcrafted features, on the same data and folds, with the "
    "same head and training. Gain: the difference of this run's score from theirs, paired over subjects."
)

_NONE = "No from-scratch or feature run lies beside the folder of this run."


def comparison_section(run: RunFacts) -> Markup | None:
    """Return the gains of a pretrained run over the same network from scratch and over handcrafted features, on each
    target. Return None if nothing is pretrained, or if the report is for others."""
    keys, seeds = make_reference_keys(run.manifest), run.manifest.seeds
    if run.for_others or run.submission or not keys.wants:
        return None
    found = run.read_siblings(lambda other: bool(match_reference(keys, seeds, make_reference_keys(other), other.seeds)))
    records = {other.run["id"]: other for other in found}
    parts = [_pretraining_section(run, records, target) for target in run.record.scores.primary_metrics]
    return join_parts([paragraph(_ABOUT), *parts]) if records else paragraph(_NONE)


def _pretraining_section(run: RunFacts, records: dict[str, Record], target: str) -> Markup:
    metric = shown_metric(run.record, target)
    found = compare_pretraining(run.record, records.values(), target, metric)
    rows = []
    for gain in found.gains if found else ():
        score = format_score(records[gain.run].scores.get_scores(target).get(metric))
        rows.append((gain.reference, method_name(records[gain.run].run), score, gain.text, gain.run))
    note = f"Networks were trained for at most {found.epochs} epochs." if found and found.epochs else ""
    return html_table(_HEAD, rows, f"{target}: {metric}") + (paragraph(note) if note else Markup())
