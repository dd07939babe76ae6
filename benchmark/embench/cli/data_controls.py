"""`embench data controls`: what the controls score on a dataset, the numbers that a method must beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from embench.cli import console
from embench.cli.options import DataRoot, Dataset, Json, Protocol
from embench.cli.progress import Steps
from embench.cli.tables import grouped, show_table
from embench.planning.request import Request
from embench.records.wording import format_control, format_figure, format_score, join_with_and

if TYPE_CHECKING:
    from embench.records.scores import Control, Scores

SHOWN = ("auroc_within", "auroc_crossed", "auroc", "balanced_accuracy", "accuracy", "f1_macro", "ccc", "rmse")
"""The scores that stand beside the headline, as far as the target's kind has them; `--json` has all."""


def controls(
    dataset: Dataset,
    target: Annotated[
        str | None, Option(help="Targets, comma-separated; default: those of the dataset's card.")
    ] = None,
    data_root: DataRoot = None,
    protocol: Protocol = Request.protocol,
    seeds: Annotated[str, Option(help="Seeds, comma-separated; each has its own folds.")] = str(Request.seeds),
    as_json: Json = False,
) -> None:
    """Score the controls, which need no method and no signal: the numbers that a method must beat."""
    with console.stdout_kept(as_json):
        from embench.data.cohort import card_for_protocol, choose_targets
        from embench.data.find import card_of, prepared
        from embench.protocols import load_protocol
        from embench.runs.controls import describe_controls

        numbers = Request(dataset, seeds=seeds).seed_list
        rules = load_protocol(protocol)
        card = card_for_protocol(rules, card_of(dataset, data_root))
        chosen = choose_targets(card, target)
        with Steps("subjects", "prepared") as steps:
            store = prepared(dataset, data_root, rules, 1, steps)
        with Steps("folds", "controls fitted") as steps:
            found = describe_controls(store, card, chosen, rules, numbers, steps)
    if as_json:
        console.document(found)
        return
    from embench.cli import show
    from embench.records.scores import Scores

    show.warn_of_synthetic(found["synthetic"])
    scored = Scores({**Scores.none(), **{name: found[name] for name in ("headlines", "controls")}})
    for name in scored.headlines:
        _show(name, scored, found)


def _show(target: str, scored: Scores, found: Mapping[str, Any]) -> None:
    from embench.cli.show import not_applicable
    from embench.statistics.controls import CONTROLS

    controls, headline = {control.name: control for control in scored.controls(target)}, scored.headlines[target]
    applicable = [control for control in controls.values() if not control.reason]
    known = {metric for control in applicable for metric in control.scores}
    others = [metric for metric in SHOWN if metric in known and metric != headline]

    def cells(control: Control) -> dict[str, str]:
        if control.reason:
            return {"control": control.name, headline: not_applicable(control)}
        rest = {metric: format_score(control.scores.get(metric), interval=False) for metric in others}
        return {"control": control.name, headline: format_control(control.scores.get(headline)), **rest}

    best = {metric: of["mean"] for metric, of in found["to_beat"][target].items()}
    to_beat = {metric: format_figure(best.get(metric)) for metric in (headline, *others)}
    title = f"target {target}, {found['people'][target]} subjects, {found['protocol']}"
    show_table([*(cells(controls[name]) for name in CONTROLS), {"control": "to beat *", **to_beat}], title=title)
    for metric in (headline, *others):
        undefined = [(c.why_undefined(metric), c.name) for c in applicable if metric in c.scores]
        for reason, names in grouped(each for each in undefined if each[0]).items():
            of = "" if len(names) == len(applicable) else f" of {join_with_and(names)}"
            console.wrapped(f"{metric}{of} is undefined: {reason}")
    console.echo()
