"""`embench show`: a result in its form, tables of several, and plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench import vocabulary
from embench.cli import console
from embench.cli.tables import TableColumn, field, grouped, show_parts, show_table
from embench.records import cost
from embench.records.predictions import MODEL
from embench.records.scores import Scores
from embench.records.wording import (
    format_figure,
    format_over_folds,
    format_score,
    format_value,
)
from embench.screen.plan import SYNTHETIC_WARNING, run_plan
from embench.statistics.answers import TargetAnswers, figures, plain_reason
from embench.statistics.form import lines
from embench.statistics.metrics import metric_facts

if TYPE_CHECKING:
    from embench.planning.request import Request
    from embench.report.points import Curve
    from embench.statistics.result import Result


def warn_of_synthetic(synthetic: bool) -> None:
    """Warns where scores are of synthetic data."""
    if synthetic:
        console.wrapped(SYNTHETIC_WARNING, bold=True, colour="yellow")


def _warn_of_leaks(run: Mapping[str, Any]) -> None:
    """Warns where a protocol trains on what it tests."""
    rules = run["protocol"]
    if rules["leaks"]:
        why = "; ".join((rules.get("gives_up") or {}).values()) or "it trains on what it tests"
        console.wrapped(f"{rules['name']} LEAKS: {why}. No leaderboard ranks these scores.", bold=True, colour="yellow")


def result(found: Result, *, every: bool = False) -> None:
    """Prints one run on a screen: its form, and with `every` all scores that were computed."""
    warn_of_synthetic(found.synthetic)
    for target, form in found.forms.items():
        for line in lines(form, min(console.LINE_WIDTH, console.room()), every=every):
            console.echo(line, bold=line == form.question)
        console.echo()
        if every:
            _scores(found.answers[target], found.scores)
            show_not_applicable(found.scores, target, found.manifest["dataset"]["name"])
    console.wrapped(f"cost: {', '.join(cost.measured_costs(found.manifest['cost'])) or cost.NOT_MEASURED}")
    console.echo(f"files: {found.folder}")
    if not every:
        console.note("`--all` shows seeds, variants, tasks and other metrics; `embench report RUN` draws them")
    _warn_of_leaks(found.manifest)
    warn_of_synthetic(found.synthetic)


def results(found: Sequence[Result]) -> None:
    """Prints a row for each run and target: the options in which they differ, the primary metric, the answers, the
    time."""
    several = len({target for each in found for target in each.scores.headlines}) > 1
    metrics = {answers.metric for each in found for answers in each.answers.values()}
    differing = varied([each.manifest for each in found])
    show_table(
        {
            **(options or {"method": each.id}),
            **({"target": answers.target} if several else {}),
            **({"primary metric": answers.title} if len(metrics) > 1 else {}),
            "score" if len(metrics) > 1 else answers.title: in_cell(answers),
            "above chance": answers.word("chance"),
            "given time and movement": answers.word("movement"),
            "time": cost.format_cost(each.manifest["cost"])["time"],
            "run": each.id.rpartition("-")[2],
        }
        for each, options in zip(found, differing, strict=True)
        for answers in each.answers.values()
    )
    run_folders(found)


def in_cell(answers: TargetAnswers) -> str:
    """The primary metric with its interval, or why there is none."""
    if answers.score is None:
        return answers.problem.answer if answers.problem else "not estimable"
    return figures(answers.score, metric_facts(answers.metric).chance)


def run_folders(found: Sequence[Result], *, named: bool = True) -> None:
    """Prints where runs lie, and what must be known to read a table of them, which may have no room for their names."""
    for folder in dict.fromkeys(each.folder.parent for each in found):
        console.echo(f"runs: {folder}" + (", in folders whose names end as in the column run" if named else ""))
    for leaking in {each.manifest["protocol"]["name"]: each.manifest for each in found}.values():
        _warn_of_leaks(leaking)
    warn_of_synthetic(any(each.synthetic for each in found))


def varied(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The values of each run for the options in which runs differ, by their names on the command line."""
    from embench.planning.request import AXES
    from embench.records.manifest import tuned_trials

    requests = [run["config"].get("request") or {"given": run["config"].get("given")} for run in runs]
    texts = {
        name: [format_value(request.get(field), missing="none") or "none" for request in requests]
        for name, field in AXES.items()
    }
    texts["tuned"] = [f"{trials} trials" if (trials := tuned_trials(run["config"])) else "no" for run in runs]
    differ = {name: values for name, values in texts.items() if len(set(values)) > 1}
    return [{name: values[k] for name, values in differ.items()} for k in range(len(runs))]


def curve(found: Curve, files: Sequence[Path]) -> None:
    """A grid along one axis: a table for each dataset and target, a row for each place, a column for each method."""
    from embench.report.points import AXIS_TITLES

    for title, points in found.panels():
        rows = {place: {AXIS_TITLES[found.axis]: place} for place in found.places}
        for point in points:
            score = point.score
            rows[point.at][point.line] = format_figure(score.mean) if point.control else format_score(score)
        lines = dict.fromkeys(point.line for point in points)
        show_table(rows.values(), [field(head, head) for head in (AXIS_TITLES[found.axis], *lines)], title=title)
        gain = TableColumn("gain above best model without a signal", lambda point: format_score(point.score, "+.3f"))
        heads = (
            field("at", AXIS_TITLES[found.axis]),
            field("line", ""),
            gain,
            field("above", "best model without a signal"),
        )
        show_table(found.gains(title), heads)
    if found.note:
        console.wrapped(found.note)
    console.echo(f"files: {', '.join(map(str, files))}")


def print_plans(requests: Sequence[Request], *, as_json: bool) -> None:
    """Prints what `--dry-run` of several runs does."""
    from embench.runs import run as runner

    plans = runner.describe_plans(requests)
    if as_json:
        console.document(plans)
        return
    for described in plans:
        print_plan(described)


def print_plan(description: Mapping[str, Any]) -> None:
    """Prints the plan of a run."""
    show_parts(run_plan(description))


def show_not_applicable(scores: Scores, target: str, dataset: str) -> None:
    """Prints the confound-only models that do not apply, with the reason."""
    controls = [control for control in scores.controls(target) if control.reason]
    silent = grouped((plain_reason(control.reason, dataset), control.name) for control in controls)
    for reason, names in silent.items():
        console.wrapped(f"not applicable: {'; '.join(map(vocabulary.label, names))}: {reason}")
    console.echo()


def _scores(found_on: TargetAnswers, scores: Scores) -> None:
    """Prints every score of the method, and that of a prediction from the stimulus alone."""
    found, folds = scores.of(found_on.target), _folds(scores, found_on.target)
    stimulus = scores.control_scores(found_on.target, "stimulus_mean")
    knows = TableColumn("stimulus_mean", lambda name: format_score(stimulus.get(name), interval=False))
    over_folds = TableColumn("over folds", lambda name: format_over_folds(found[name], folds))
    columns = [
        TableColumn("metric (* primary)", lambda name: f"{name} *" if name == found_on.metric else name),
        TableColumn("mean and interval", lambda name: format_score(found[name])),
        *([knows] if stimulus else []),
        TableColumn("SD", lambda name: format_figure(found[name].std, missing="")),
        # Only where the headline itself is a score of folds, as under papers' protocols: elsewhere it would mislead.
        *([over_folds] if found_on.score and found_on.score.over == "folds" else []),
    ]
    defined = sorted((name for name in found if found[name].defined), key=lambda name: name != found_on.metric)
    show_table(defined, columns, title=f"target {found_on.target}, all scores")
    undefined = grouped((str(score.undefined), name) for name, score in found.items() if not score.defined)
    if undefined:
        listed = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in undefined.items())
        console.wrapped(f"undefined: {listed}")
        console.echo()


def _folds(scores: Scores, target: str) -> int:
    """Number of folds in which the method was scored, in the seed with fewest."""
    own = [row["seed"] for row in scores.folds if (row["method"], row["target"]) == (MODEL, target)]
    return min(Counter(own).values(), default=0)
