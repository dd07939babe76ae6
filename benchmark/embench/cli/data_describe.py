"""`embench data labels`, `data confounds` and `data report`: descriptions of a dataset before any training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from embench import vocabulary
from embench.cli import console
from embench.cli.console import fit_columns, show_parts, show_table
from embench.cli.options import DataRoot, DatasetName, Json, ProtocolName
from embench.errors import UsageError
from embench.planning.request import Request
from embench.records.wording import format_control, format_figure, format_score, grouped, join_with_and
from embench.screen import Steps, TableColumn, field, fields, unanswerable_parts
from embench.vocabulary import did_you_mean

if TYPE_CHECKING:
    from embench.interfaces.dataset import Card
    from embench.interfaces.units import Target
    from embench.protocols import Protocol
    from embench.records.scores import ConfoundOnlyModel, Scores
    from embench.store import Store


CardTargets = Annotated[str | None, Option(help="Targets, comma-separated; default: the targets of the dataset card.")]

# `embench data labels` and `data confounds`: labels in numbers and figures, and their prediction by confound-only
# models.

WIDTH = 30
"""Number of characters in a bar."""
SHADES = "█░▒▓▚▞▙"


def labels(
    dataset: DatasetName,
    target: Annotated[str | None, Option(help="Targets, comma-separated; default: all.")] = None,
    data_root: DataRoot = None,
    protocol: ProtocolName = Request.protocol,
    figure: Annotated[Path | None, Option(help="Also plot the labels to this file (.svg, .png or .pdf).")] = None,
    units: Annotated[Path | None, Option(help="Also write a list of the units to this CSV file.")] = None,
    as_json: Json = False,
) -> None:
    """Summarise labels and signals: classes, units at the threshold, variance, agreement, signal quality."""
    from embench.data import describe
    from embench.data.find import find_source
    from embench.data.quality import describe_quality
    from embench.protocols import make_units
    from embench.report import drawing
    from embench.runs.external import list_unit_rows, write_units

    if figure:
        drawing.check_path(figure, "--figure")
    store, card, rules, chosen = _prepare(dataset, data_root, protocol, target, every=True)
    report = describe.describe_labels(store, card, chosen, rules)
    quality: dict[str, list[dict[str, Any]]] = {}
    with Steps("modalities", "judged") as steps:
        for described in report:
            kind: Any = described.get("label_kind")
            if kind and kind not in quality:
                ids = [unit.id for unit in make_units(store.recordings, card, kind, rules)]
                quality[kind] = describe_quality(store, ids, steps)
            described["quality"] = quality.get(kind, [])
    if figure:
        drawing.draw_labels(card.title, report).save(figure)
    if units:
        own = find_source(dataset, data_root).pseudonymous
        write_units(units, list_unit_rows(store, card, chosen, rules, own.original_names() if own else None))
    if as_json:
        console.document(report)
        return
    for described in report:
        _print_target(described)
    for kind, judged in quality.items() if store.modalities else ():
        _print_quality(judged, next(described for described in report if described.get("label_kind") == kind))
    if figure:
        console.echo(f"figure: {figure}")
    if units:
        console.echo(f"units: {units}")


def _print_target(described: Mapping[str, Any]) -> None:
    console.wrapped(f"{described['target']} ({described['kind']}, from {described['label']})", bold=True)
    if described["units"]:
        dropped = ", ".join(f"{reason}: {count}" for reason, count in described["dropped"].items())
        counts = f"{described['units']} {_unit_text(described)}, {described['labelled']} with a label"
        console.wrapped(f"{counts} ({dropped})" if dropped else counts)
        _print_subjects(described)
        console.wrapped(_describe_variance(described["variance"]))
        for found in described["agreement"]:
            _print_agreement(found)
    for warning in described["warnings"]:
        console.wrapped(f"warning: {warning}", colour="yellow")
    console.echo()


def _unit_text(described: Mapping[str, Any]) -> str:
    return "whole recordings" if described["unit_s"] is None else f"units of {described['unit_s']:g} s"


def _print_quality(judged: Sequence[Mapping[str, Any]], described: Mapping[str, Any]) -> None:
    columns = [
        *fields("modality", "units"),
        field("low", "lower quartile", ".2f"),
        field("median", spec=".2f"),
        field("high", "upper quartile", ".2f"),
        field("poor", "poor (below 0.5)", ".1%"),
    ]
    known = [one for one in judged if "undefined" not in one]
    show_table(known, columns, title=f"signal quality, 0 to 1, {_unit_text(described)}")
    for one in judged:
        if "undefined" in one:
            console.wrapped(f"{one['modality']}: no quality index: {one['undefined']}")
    console.echo()


def _print_subjects(described: Mapping[str, Any]) -> None:
    rows = [*described["per_person"], {**described, "subject": f"{described['subjects']} subjects *"}]
    columns = [field("subject"), field("labelled", "units")]
    if "values" in described:
        rows = [{**row, **row["values"]} for row in rows if row["values"]]
        low, high = (rows[-1][end] if rows else 0.0 for end in ("low", "high"))  # those of all subjects
        mean = TableColumn("mean", lambda row: f"{round(row['mean'], 9) + 0.0:.3g}")  # of centred values not -1e-17
        columns += [mean, field("sd", "SD", ".3g")]
        columns += [TableColumn(f"{low:.3g} to {high:.3g}", lambda row: _draw_mark(row["mean"], low, high))]
    else:
        names = [c["name"] for c in described["classes"]]
        rows = [{**row, "shares": [c["share"] for c in row["classes"]]} for row in rows]
        legend = " ".join(f"{_shade(k)} {name}" for k, name in enumerate(names))
        columns += [_share_column(k, name) for k, name in enumerate(names)]
        columns += [TableColumn(legend, lambda row: _draw_bar(row["shares"]))]
    show_table(rows, columns)
    for key, what in (("one_class_only", "constant labels"), ("without_any_label", "without any label")):
        if described[key]:
            console.wrapped(f"{what}: {', '.join(described[key])}")
    at_cut = described["at_cut"]
    if at_cut:
        console.wrapped(f"at the threshold of {at_cut['cut']:g}: {at_cut['units']} units ({at_cut['share']:.1%})")


def _share_column(k: int, name: str) -> TableColumn:
    return TableColumn(name, lambda row: f"{row['shares'][k]:.2f}")


def _shade(k: int) -> str:
    return SHADES[k % len(SHADES)]


def _draw_bar(shares: Sequence[float]) -> str:
    """Draw proportions of classes as one bar of text, with a shade for each class."""
    text, done = "", 0.0
    for k, share in enumerate(shares):
        done += share
        text += _shade(k) * (round(WIDTH * done) - len(text))
    return text


def _draw_mark(value: float, low: float, high: float) -> str:
    position = round((WIDTH - 1) * (value - low) / (high - low)) if high > low else 0
    return "·" * position + "█" + "·" * (WIDTH - 1 - position)


def _describe_variance(variance: Mapping[str, Any]) -> str:
    if "undefined" in variance:
        return f"proportions of variance: undefined: {variance['undefined']}"
    shares = ", ".join(f"{name} {share:.0%}" for name, share in variance.items() if name != "method")
    return f"proportions of variance: {shares} ({variance['method']})"


def _print_agreement(found: Mapping[str, Any]) -> None:
    alpha = format_figure(found["alpha"], missing=found.get("undefined", "-"))
    console.wrapped(f"agreement of {', '.join(found['labels'])} on {found['units']} units:")
    console.echo(f"Krippendorff's alpha ({found['metric']}): {alpha}")
    show_table(found["pairs"], [field(name, missing="-") for name in found["pairs"][0]])


_SCORES = (
    *("auroc_within", "auroc_crossed", "auroc", "balanced_accuracy", "accuracy", "f1_macro"),
    *("concordance_within", "concordance_crossed", "ccc", "ccc_pooled", "rmse"),
)
"""Metrics that are printed besides the primary metric, if they apply to the target; `--json` has all."""


def confounds(
    dataset: DatasetName,
    target: CardTargets = None,
    data_root: DataRoot = None,
    protocol: ProtocolName = Request.protocol,
    seeds: Annotated[str, Option(help="Seeds, comma-separated; each has its own folds.")] = "0,1,2",
    as_json: Json = False,
) -> None:
    """Score confound-only models: how well time, stimulus, position, length and movement predict labels."""
    from embench.runs.external import describe_confound_only

    numbers = Request(dataset, seeds=seeds).seed_list
    store, card, rules, chosen = _prepare(dataset, data_root, protocol, target)
    with Steps("folds", "models fitted") as steps:
        found = describe_confound_only(store, card, chosen, rules, numbers, steps)
    if as_json:
        console.document(found)
        return
    from embench.cli import show
    from embench.records.scores import Scores

    show.warn_of_synthetic(found["synthetic"])
    scored = Scores.make_empty(primary_metrics=found["primary_metrics"], confound_only=found["confound_only"])
    for name in scored.primary_metrics:
        _print_models(name, scored, found)


def _print_models(target: str, scored: Scores, found: Mapping[str, Any]) -> None:
    from embench.cli.show import show_not_applicable
    from embench.statistics import metric_facts
    from embench.statistics.answers import describe_undefined
    from embench.statistics.confound_only import CONFOUND_ONLY

    models = {model.name: model for model in scored.get_confound_only_models(target) if not model.reason}
    primary = scored.primary_metrics[target]
    applicable = [models[name] for name in dict.fromkeys((*CONFOUND_ONLY, *models)) if name in models]
    # Metric -> (why it is undefined, or empty; model) of each model.
    reasons = {m: [(c.explain_undefined(m), c) for c in applicable if m in c.scores] for m in (primary, *_SCORES)}
    metrics = [metric for metric, known in reasons.items() if any(not why for why, _ in known)]
    subjects = found["subjects"][target]
    console.wrapped(f"target {target}, confound-only models, {subjects} subjects, {found['protocol']}", bold=True)
    for metric in metrics[:1]:
        console.wrapped(_describe_predictive(target, metric, applicable, metric == primary))
    columns = [
        TableColumn("model", lambda control: vocabulary.label(control.name)),
        *(_score_column(metric, interval=metric == metrics[0]) for metric in metrics),
    ]
    heads = [metric_facts(metric).short for metric in metrics]
    columns_shown = fit_columns(applicable, columns, heads[:0:-1])
    show_table(applicable, columns_shown)
    if hidden := [head for head in heads if head not in {column.title for column in columns_shown}]:
        console.wrapped(f"Columns hidden for lack of space: {', '.join(hidden)}. --json prints all scores.")
    for metric, known in reasons.items():
        for why, names in grouped((why, vocabulary.label(control.name)) for why, control in known if why).items():
            whose = "" if len(names) == len(applicable) else f" of {join_with_and(names)}"
            about = describe_undefined(why, subjects, found["dataset"])
            console.wrapped(f"{metric_facts(metric).title}{whose} is undefined: {about}")
    show_not_applicable(scored, target, found["dataset"])


def _score_column(metric: str, *, interval: bool) -> TableColumn:
    """Return the table column of a metric of confound-only models, with 95 % intervals if `interval`."""
    from embench.statistics import metric_facts

    def cell(control: ConfoundOnlyModel) -> str:
        score = control.scores.get(metric)
        return format_control(score) if interval else format_score(score, interval=False)

    return TableColumn(metric_facts(metric).short, cell)


def _describe_predictive(target: str, metric: str, models: Sequence[ConfoundOnlyModel], is_primary: bool) -> str:
    """Return a sentence that names the models whose interval of `metric` is above chance."""
    from embench.statistics import metric_facts

    facts = metric_facts(metric)
    title = facts.title if is_primary else f"{facts.title}, as the primary metric is undefined"
    chance = math.inf if facts.chance is None else facts.chance
    scores = [(score, model.name) for model in models if (score := model.scores.get(metric))]
    better = [(s.mean, vocabulary.label(name)) for s, name in scores if s.low is not None and s.low > chance]
    if not better:
        return f"No confound-only model predicts {target} better than chance ({title})."
    named = join_with_and([f"{name} ({mean:.2f})" for mean, name in sorted(better, reverse=True)])
    return f"Without any physiological signal, {target} is predicted by {named} ({title}; chance {facts.chance:g})."


def _prepare(
    dataset: str, data_root: Path | None, protocol: str, target: str | None, *, every: bool = False
) -> tuple[Store, Card, Protocol, Sequence[Target]]:
    """Return the prepared data of a dataset, its card, the protocol, and the targets.

    Args:
        target: names of targets, comma-separated; default: the card's default targets, or all its targets if `every`.
    """
    from embench.data.cohort import card_for_protocol, choose_targets
    from embench.data.find import find_source
    from embench.protocols import load_protocol

    rules = load_protocol(protocol)
    source = find_source(dataset, data_root)
    card = card_for_protocol(rules, source.card)
    chosen = choose_targets(card, target or (",".join(t.name for t in card.targets) if every else None))
    with Steps("subjects", "prepared") as steps:
        return source.prepared(rules, 1, steps), card, rules, chosen


# `embench data report`: signals, faults, labels and confound-only models of a dataset on one page, before any training.


def report_data(
    dataset: DatasetName,
    target: CardTargets = None,
    data_root: DataRoot = None,
    protocol: ProtocolName = Request.protocol,
    out: Annotated[Path, Option(help="File to write; an existing file is replaced.")] = Path("data.html"),
    subjects: Annotated[
        str | None,
        Option(help="Plot signals of these subjects only, such as S02,S07; everything else covers all subjects."),
    ] = None,
) -> None:
    """Write a page about a dataset: signals, faults, labels, units, confound-only models, statistical power."""
    from embench.data.cohort import card_for_protocol, choose_targets
    from embench.data.find import CORPUS, OWN, find_source
    from embench.protocols import load_protocol
    from embench.report.data_page import DataPageContent, write_data_page
    from embench.statistics.answerable import find_power, find_unanswerable, unique_as_json

    if not out.absolute().parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist", where="--out")
    rules = load_protocol(protocol)
    source = find_source(dataset, data_root)
    card = card_for_protocol(rules, source.card)
    chosen = choose_targets(card, target) if card.targets or target else ()
    with Steps("subjects", "prepared") as steps:
        store = source.prepared(rules, 1, steps)
        named = store.subjects if subjects is None else (name.strip() for name in subjects.split(","))
        people = list(dict.fromkeys(named))
        for name in people:
            if name not in store.subjects:
                hint = did_you_mean(name, list(store.subjects))
                raise UsageError(f"subject `{name}` does not exist in this dataset", where="--subjects", hint=hint)
        own = source.entry.name in (OWN, CORPUS)
        content = DataPageContent(source.reader, store, card, rules, chosen, people, own)
        cannot_answer = unique_as_json(find_unanswerable(store, card, chosen, rules))
        power = find_power(store, card, chosen)
        path = write_data_page(replace(content, cannot_answer=cannot_answer, power=power), out, steps.part)
    console.echo(f"{path}: signals of {len(people)} subjects; {path.stat().st_size / 1e6:.1f} MB")
    show_parts(unanswerable_parts(cannot_answer))
    if own or card.labels_public != "yes":
        console.note("the page contains participants' signals: do not share it")
