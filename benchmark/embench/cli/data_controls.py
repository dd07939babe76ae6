"""`embench data controls`: what the controls score on a dataset, the numbers that a method must beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Json, completes
from embench.planning.request import Request
from embench.records.wording import format_control, format_figure, format_score, join_with_and

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
    from embench.records.scores import Scores
    from embench.statistics.controls import CONTROLS

    scored = Scores({**Scores.none(), **{name: found[name] for name in ("headlines", "controls")}})
    controls = {control.name: control for control in scored.controls(target)}
    applicable = [control for control in controls.values() if not control.reason]
    known = {metric for control in applicable for metric in control.scores}
    columns = [headline, *(metric for metric in SHOWN if metric in known and metric != headline)]
    rows = []
    for name in CONTROLS:
        control = controls[name]
        if control.reason:
            rows.append([name, f"not applicable: {control.reason}", *[""] * (len(columns) - 1)])
            continue
        others = (format_score(control.scores.get(metric), interval=False) for metric in columns[1:])
        rows.append([name, format_control(control.scores.get(headline)), *others])
    best = {metric: of["mean"] for metric, of in found["to_beat"][target].items()}
    rows.append(["to beat *", *(format_figure(best.get(metric)) for metric in columns)])
    subjects = f"{found['people'][target]} subjects"
    console.table(["control", *columns], rows, title=f"target {target}, {subjects}, {found['protocol']}")
    for metric in columns:
        reasons: dict[str, list[str]] = {}
        for control in applicable:
            if metric in control.scores and (reason := control.why_undefined(metric)):
                reasons.setdefault(reason, []).append(control.name)
        for reason, names in reasons.items():
            of = "" if len(names) == len(applicable) else f" of {join_with_and(names)}"
            console.wrapped(f"{metric}{of} is undefined: {reason}")
    console.echo()
