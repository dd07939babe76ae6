"""`embench data controls`: what the controls score on a dataset, the numbers that a method must beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json, completes
from embench.planning.request import Request
from embench.records.wording import format_control, format_figure, join_with_and

SHOWN = ("auroc_within", "auroc_crossed", "auroc", "balanced_accuracy", "accuracy", "f1_macro", "ccc", "rmse")
"""The scores that stand beside the headline, as far as the target's kind has them; `--json` has all."""


def controls(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset; see `embench list dataset`.")],
    target: Annotated[
        str | None, typer.Option("--target", help="Targets, comma-separated; default: those of the dataset's card.")
    ] = None,
    data_root: DataRoot = None,
    protocol: Annotated[
        str, typer.Option("--protocol", autocompletion=completes("protocol"), help="Protocol name, or a YAML file.")
    ] = Request.protocol,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds, comma-separated; each has its own folds.")] = str(
        Request.seeds
    ),
    as_json: Json = False,
) -> None:
    """Score the controls, which need no method and no signal: the numbers that a method must beat."""
    with console.stdout_kept(as_json):
        from embench.cli.progress import Steps
        from embench.data.cohort import card_for_protocol, choose_targets
        from embench.data.find import card_of, prepared
        from embench.protocols import load_protocol
        from embench.runs.controls import describe_controls

        numbers = Request(dataset, seeds=seeds).seed_list
        rules = load_protocol(protocol)
        card = card_for_protocol(rules, card_of(dataset, data_root))
        chosen = choose_targets(card, target)
        with Steps() as steps:
            store = prepared(dataset, data_root, rules, 1, lambda n, all_, _: steps(n, all_, "prepared"))
        with Steps("folds") as steps:
            found = describe_controls(
                store, card, chosen, rules, numbers, lambda n, all_, _: steps(n, all_, "controls fitted")
            )
    if as_json:
        console.document(found)
        return
    from embench.cli import show

    if found["synthetic"]:
        console.wrapped(show.SYNTHETIC_SCORES, bold=True, colour="yellow")
    for name, headline in found["headlines"].items():
        _show(name, headline, found)


def _show(target: str, headline: str, found: Mapping[str, Any]) -> None:
    from embench.statistics.controls import CONTROLS

    by_control = {name: found["controls"].get(name, {}).get(target, {}) for name in CONTROLS}
    scored = {name: scores for name, scores in by_control.items() if "undefined" not in scores}
    known = {metric for scores in scored.values() for metric in scores}
    columns = [headline, *(metric for metric in SHOWN if metric in known and metric != headline)]
    rows = []
    for name, scores in by_control.items():
        if name not in scored:
            rows.append([name, f"not applicable: {scores['undefined']}", *[""] * (len(columns) - 1)])
            continue
        others = (format_figure(scores.get(metric, {}).get("mean")) for metric in columns[1:])
        rows.append([name, format_control(scores[headline]), *others])
    best = found["to_beat"][target]
    rows.append(["to beat *", *(format_figure(best.get(metric, {}).get("mean")) for metric in columns)])
    subjects = f"{found['people'][target]} subjects"
    console.table(["control", *columns], rows, title=f"target {target}, {subjects}, {found['protocol']}")
    for metric in columns:
        reasons: dict[str, list[str]] = {}
        for name, scores in scored.items():
            if "undefined" in (number := scores.get(metric, {})):
                reasons.setdefault(number["undefined"], []).append(name)
        for reason, names in reasons.items():
            of = "" if len(names) == len(scored) else f" of {join_with_and(names)}"
            console.wrapped(f"{metric}{of} is undefined: {reason}")
    console.echo()
