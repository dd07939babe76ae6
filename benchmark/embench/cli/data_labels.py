"""`embench data labels`: what the labels of a dataset look like, in numbers and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json
from embench.planning.request import Request
from embench.records.wording import format_figure, format_value

WIDTH = 30
"""Characters of a bar."""
SHADES = "█░▒▓▚▞▙"


def labels(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset; see `embench list dataset`.")],
    target: Annotated[str | None, typer.Option("--target", help="Targets, comma-separated; default: all.")] = None,
    data_root: DataRoot = None,
    protocol: Annotated[str, typer.Option("--protocol", help="Protocol name, or a YAML file.")] = Request.protocol,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Also plot the labels to this file (.svg, .png or .pdf).")
    ] = None,
    units: Annotated[
        Path | None, typer.Option("--units", help="Also write a list of the units to this CSV file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Summarise labels and signals: classes per subject, units on the cut, shares of variance, agreement, quality."""
    with console.stdout_kept(as_json):
        from embench.cli.progress import Steps
        from embench.data import label_report
        from embench.data.cohort import card_for_protocol, choose_targets
        from embench.data.find import card_of, prepared
        from embench.data.quality import describe_quality
        from embench.protocols import load_protocol, make_units
        from embench.report import drawing, label_figure
        from embench.runs.external import units_table, write_units

        if figure:
            drawing.check_path(figure, "--figure")
        rules = load_protocol(protocol)
        card = card_for_protocol(rules, card_of(dataset, data_root))
        chosen = choose_targets(card, target or ",".join(t.name for t in card.targets))
        with Steps() as steps:
            store = prepared(dataset, data_root, rules, 1, lambda n, all_, _: steps(n, all_, "prepared"))
        report = label_report.describe_labels(store, card, chosen, rules)
        quality: dict[str, list[dict[str, Any]]] = {}
        with Steps("modalities") as steps:
            for described in report:
                kind: Any = described.get("label_kind")
                if kind and kind not in quality:
                    ids = [unit.id for unit in make_units(store.recordings, card, kind, rules)]
                    quality[kind] = describe_quality(store, ids, lambda n, all_, _: steps(n, all_, "judged"))
                described["quality"] = quality.get(kind, [])
        if figure:
            label_figure.draw_labels(card.title, report).save(figure)
        if units:
            write_units(units, units_table(store, card, chosen, rules))
    if as_json:
        console.document(report)
        return
    for described in report:
        _show(described)
    for kind, judged in quality.items() if store.modalities else ():
        _show_quality(judged, next(described for described in report if described.get("label_kind") == kind))
    if figure:
        console.echo(f"figure: {figure}")
    if units:
        console.echo(f"units: {units}")


def _show(described: Mapping[str, Any]) -> None:
    console.wrapped(f"{described['target']} ({described['kind']}, from {described['label']})", bold=True)
    if described["units"]:
        dropped = ", ".join(f"{reason}: {count}" for reason, count in described["dropped"].items())
        unit = "whole recordings" if described["unit_s"] is None else f"units of {described['unit_s']:g} s"
        console.wrapped(
            f"{described['units']} {unit}, {described['labelled']} with a label" + (f" ({dropped})" if dropped else "")
        )
        _subjects(described)
        console.wrapped(_variance(described["variance"]))
        for found in described["agreement"]:
            _agreement(found)
    for warning in described["warnings"]:
        console.wrapped(f"warning: {warning}", colour="yellow")
    console.echo()


def _show_quality(judged: Sequence[Mapping[str, Any]], described: Mapping[str, Any]) -> None:
    unit = "whole recordings" if described["unit_s"] is None else f"units of {described['unit_s']:g} s"
    known = [one for one in judged if "undefined" not in one]
    quartiles = ("low", "median", "high")
    rows = [
        [one["modality"], str(one["units"]), *(f"{one[name]:.2f}" for name in quartiles), f"{one['poor']:.1%}"]
        for one in known
    ]
    heads = ["modality", "units", "lower quartile", "median", "upper quartile", "poor (below 0.5)"]
    console.table(heads, rows, title=f"quality of signals, 0 to 1, {unit}")
    for one in judged:
        if "undefined" in one:
            console.wrapped(f"{one['modality']}: no index of quality: {one['undefined']}")
    console.echo()


def _subjects(described: Mapping[str, Any]) -> None:
    total = {"subject": f"{described['people']} subjects *", **described}
    if "values" in described:
        spread = [row["values"] for row in described["per_person"]] or [{"low": 0.0, "high": 1.0}]
        low, high = min(v["low"] for v in spread), max(v["high"] for v in spread)
        heads = ["subject", "units", "mean", "SD", f"{low:.3g} to {high:.3g}"]
        rows = [
            [row["subject"], str(row["labelled"]), f"{v['mean']:.3g}", f"{v['sd']:.3g}", _mark(v["mean"], low, high)]
            for row in (*described["per_person"], total)
            if (v := row["values"])
        ]
    else:
        heads = ["subject", "units", *(c["name"] for c in described["classes"]), " ".join(_legend(described))]
        rows = [
            [row["subject"], str(row["labelled"]), *(f"{c['share']:.2f}" for c in row["classes"]), _bar(row)]
            for row in (*described["per_person"], total)
        ]
    console.table(heads, rows)
    for key, what in (("one_class_only", "labels do not vary"), ("without_any_label", "no label at all")):
        if described[key]:
            console.wrapped(f"{what}: {', '.join(described[key])}")
    at_cut = described["at_cut"]
    if at_cut:
        console.wrapped(f"on the cut of {at_cut['cut']:g}: {at_cut['units']} units ({at_cut['share']:.1%})")


def _legend(described: Mapping[str, Any]) -> list[str]:
    return [f"{SHADES[k % len(SHADES)]} {c['name']}" for k, c in enumerate(described["classes"])]


def _bar(row: Mapping[str, Any]) -> str:
    """Shares as stretches of one bar; they end where the rounded sum of the shares so far does."""
    text, done = "", 0.0
    for k, of_class in enumerate(row["classes"]):
        done += of_class["share"]
        text += SHADES[k % len(SHADES)] * (round(WIDTH * done) - len(text))
    return text


def _mark(value: float, low: float, high: float) -> str:
    at = round((WIDTH - 1) * (value - low) / (high - low)) if high > low else 0
    return "·" * at + "█" + "·" * (WIDTH - 1 - at)


def _variance(variance: Mapping[str, Any]) -> str:
    if "undefined" in variance:
        return f"shares of variance: undefined: {variance['undefined']}"
    shares = ", ".join(f"{name} {share:.0%}" for name, share in variance.items() if name != "method")
    return f"shares of variance: {shares} ({variance['method']})"


def _agreement(found: Mapping[str, Any]) -> None:
    alpha = format_figure(found["alpha"], missing=found.get("undefined", "-"))
    console.wrapped(f"agreement of {', '.join(found['labels'])} on {found['units']} units:")
    console.echo(f"Krippendorff's alpha ({found['metric']}): {alpha}")
    heads = [head for head in ("one", "other", "units", "spearman", "ccc", "equal") if head in found["pairs"][0]]
    console.table(heads, [[format_value(row[head], missing="-") for head in heads] for row in found["pairs"]])
