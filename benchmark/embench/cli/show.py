"""How a result is read: the headline with its interval, the other scores, and the controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench.cli import console
from embench.cli.tables import TableColumn, field, show_table
from embench.records import cost
from embench.records.predictions import MODEL
from embench.records.scores import Control, Score, Scores
from embench.records.wording import (
    compared_metric,
    control_note,
    format_control,
    format_figure,
    format_over_folds,
    format_score,
    format_value,
    score_or_reason,
)

if TYPE_CHECKING:
    from embench.report.grid_curves import Curve
    from embench.statistics.result import Result


def warn_of_synthetic(synthetic: bool) -> None:
    """Says of scores that they are of synthetic data, where they are."""
    if synthetic:
        text = "SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published."
        console.wrapped(text, bold=True, colour="yellow")


def result(found: Result) -> None:
    """One run."""
    warn_of_synthetic(found.synthetic)
    for target in found.scores.headlines:
        _scores(target, found.scores)
        _controls(target, found.scores)
    measured = cost.format_cost(found.manifest["cost"])
    if set(measured.values()) == {cost.NOT_MEASURED}:
        console.echo(f"cost: {cost.NOT_MEASURED}")
    else:
        show_table([measured], title="cost")
    console.echo(f"run: {found.id}")
    console.echo(f"files: {found.folder}")
    warn_of_synthetic(found.synthetic)


def results(found: Sequence[Result]) -> None:
    """Many runs, a row each and target: the headline with its interval, and where the files are."""
    show_table(
        {
            "run": f"{each.id} (synthetic)" if each.synthetic else each.id,
            "target": target,
            "headline": headline,
            "score": score_or_reason(each.scores.of(target).get(headline, Score())),
            **cost.format_cost(each.manifest["cost"]),
            "files": str(each.folder),
        }
        for each in found
        for target, headline in each.scores.headlines.items()
    )
    warn_of_synthetic(any(each.synthetic for each in found))


def curve(found: Curve, files: Sequence[Path]) -> None:
    """A grid along one axis: a table for each dataset and target, a row for each place, a column for each method."""
    from embench.report.grid_curves import AXIS_TITLES

    for title, points in found.panels():
        rows = {place: {AXIS_TITLES[found.axis]: place} for place in found.places}
        for point in points:
            rows[point.at][point.line] = format_score(point.score)
        lines = dict.fromkeys(point.line for point in points)
        show_table(rows.values(), [field(head, head) for head in (AXIS_TITLES[found.axis], *lines)], title=title)
    console.echo(f"files: {', '.join(map(str, files))}")


def print_plan(description: Mapping[str, Any]) -> None:
    """A plan: facts as lines, lists of mappings as tables."""
    for key, item in description.items():
        name = _PLAN_WORDS.get(key, key.replace("_", " "))
        if isinstance(item, list) and item and all(isinstance(row, Mapping) for row in item):
            heads = dict.fromkeys(head for row in item for head in row)
            show_table(item, [field(head, head, ".4g") for head in heads], title=name)
        elif key != "smallest_difference_note":
            note = f" ({description['smallest_difference_note']})" if key == "smallest_difference" else ""
            console.wrapped(f"{name}: {_plan_value(key, item)}{note}")


_PLAN_WORDS = {
    "people": "subjects",
    "left_out": "excluded",
    "gives_up": "protocol deviations",
    "assumed": "settings that the papers leave open",
    "flops": "FLOPs",
    "expected_s": "expected time",
    "smallest_difference": "smallest detectable difference",
}


def _plan_value(key: str, item: Any) -> str:
    """A value of a plan in the form that it has in the table of a run."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if key in ("parameters", "flops", "expected_s") and not item:
        return "none: no network is trained" if key != "expected_s" else "not estimated where no network is trained"
    if key == "expected_s":
        return f"about {cost.format_duration(item)}"
    if key in ("parameters", "flops"):
        return cost.format_cost({key: item})["FLOPs" if key == "flops" else key]
    return format_value(item, ".4g") or "none"


def _scores(target: str, scores: Scores) -> None:
    headline, found = scores.headlines[target], scores.of(target)
    stimulus, folds = scores.control_scores(target, "stimulus_mean"), _folds(scores, target)
    knows = TableColumn("stimulus_mean", lambda name: format_score(stimulus.get(name), interval=False))
    over_folds = TableColumn("over folds", lambda name: format_over_folds(found[name], folds))
    columns = [
        TableColumn("score (* headline)", lambda name: f"{name} *" if name == headline else name),
        TableColumn("mean and interval", lambda name: score_or_reason(found[name])),
        *([knows] if stimulus else []),
        TableColumn("SD", lambda name: format_figure(found[name].std, missing="")),
        # Only where the headline itself is a score of folds, as under papers' protocols: elsewhere it would mislead.
        *([over_folds] if headline in found and found[headline].over == "folds" else []),
    ]
    show_table(sorted(found, key=lambda name: name != headline), columns, title=f"target {target}")


def _folds(scores: Scores, target: str) -> int:
    """In how many folds the method was scored, in the seed with fewest."""
    own = [row["seed"] for row in scores.folds if (row["method"], row["target"]) == (MODEL, target)]
    return min(Counter(own).values(), default=0)


def _controls(target: str, scores: Scores) -> None:
    headline, controls = scores.headlines[target], scores.controls(target)
    if (metric := compared_metric(scores, target)) != headline:
        _side_by_side(target, metric, scores)
        return

    def shown(control: Control) -> str:
        score = control.scores.get(headline, Score())
        return not_applicable(control) or (format_control(score) if score.defined else score_or_reason(score))

    compared = {control.name: control.gap for control in controls if control.gap}
    columns = [
        field("name", "control"),
        TableColumn(headline, shown),
        TableColumn("difference", lambda c: score_or_reason(c.gap.difference) if c.gap else "" if c.reason else "-"),
        TableColumn("cleared", lambda c: ("yes" if c.gap.clears else "NO") if c.gap else "" if c.reason else "-"),
    ]
    show_table(controls, columns, title=f"target {target}, controls")
    if note := control_note(scores, target):
        console.wrapped(note)
    if failed := [name for name, gap in compared.items() if not gap.clears]:
        console.wrapped(f"{target}: not shown to be better than {', '.join(failed)}", bold=True, colour="red")


def not_applicable(control: Control) -> str:
    """The reason why a control does not apply; empty where it does."""
    return f"not applicable: {control.reason}" if control.reason else ""


def _side_by_side(target: str, metric: str, scores: Scores) -> None:
    """The method and the controls in another score than the headline, which is undefined and so ranks nothing."""
    headline, own = scores.headlines[target], Control("the method", scores.of(target), "", None)
    columns = [
        field("name", "method or control"),
        TableColumn(metric, lambda c: not_applicable(c) or score_or_reason(c.scores.get(metric, Score()))),
    ]
    title = f"target {target}, method and controls side by side"
    show_table([own, *scores.controls(target)], columns, title=title)
    why = f"{headline} is undefined ({scores.why_undefined(target, headline)})"
    console.wrapped(f"{target}: {why}, so no control is cleared and nothing is ranked", bold=True, colour="red")
