"""Printing of results, plans and protocols, for several commands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embench import protocols, vocabulary
from embench.cli import console
from embench.cli.console import fit_columns, show_parts, show_table
from embench.interfaces.kinds import KindName
from embench.protocols import Design, PersonalRules, Protocol, describe_leaks, recorded_protocol
from embench.records import wording
from embench.records.predictions import MODEL
from embench.records.pretraining_comparison import PretrainingGains
from embench.records.scores import Scores
from embench.records.wording import (
    format_figure,
    format_over_folds,
    format_score,
    format_value,
    grouped,
    name_without_package,
)
from embench.screen import SYNTHETIC_WARNING, Progress, TableColumn, field, fields, run_plan
from embench.sets.table import board_cells, board_notes, board_panels, model_cells, sensor_cells
from embench.statistics import metric_facts
from embench.statistics.answers import TargetAnswers, format_with_interval, plain_reason
from embench.statistics.form import lines

if TYPE_CHECKING:
    from embench.planning.pretraining import ComparisonRun
    from embench.planning.request import Request
    from embench.records.record import Record
    from embench.report.axis_curves import Curve
    from embench.statistics.gains import RecordGains
    from embench.statistics.result import Result


# A single result, tables of several, and plans.


def warn_of_synthetic(synthetic: bool) -> None:
    """Print a warning if scores are on synthetic data."""
    if synthetic:
        console.wrapped(SYNTHETIC_WARNING, bold=True, colour="yellow")


def _warn_of_leaks(run: Mapping[str, Any]) -> None:
    """Print a warning if a run's protocol trains on test data."""
    rules = run["protocol"]
    if rules["leaks"]:
        leaks = describe_leaks(recorded_protocol(rules), rules.get("leaks_by") or {})
        why = "; ".join(leaks) or "it trains on what it tests"
        console.wrapped(f"{rules['name']} LEAKS: {why}. No leaderboard ranks these scores.", bold=True, colour="yellow")


def print_run(found: Result, *, every: bool = False) -> None:
    """Print the result of one run; with `every`, all computed scores."""
    warn_of_synthetic(found.is_synthetic)
    for target, form in found.summaries.items():
        for line in lines(form, min(console.LINE_WIDTH, console.line_width()), every=every):
            console.echo(line, bold=line == form.question)
        console.echo()
        if every:
            _print_scores(found.answers[target], found.scores)
            show_not_applicable(found.scores, target, found.manifest["dataset"]["name"])
    console.wrapped(f"cost: {', '.join(wording.measured_costs(found.manifest['cost'])) or wording.NOT_MEASURED}")
    console.echo(f"files: {found.folder}")
    if not every:
        console.note("`--all` shows seeds, variants, tasks and other metrics; `embench report RUN` draws them")
    _warn_of_leaks(found.manifest)
    warn_of_synthetic(found.is_synthetic)


def print_runs(found: Sequence[Result]) -> None:
    """Print a row for each run and target: differing options, primary metric, answers, and time."""
    several = len({target for each in found for target in each.scores.primary_metrics}) > 1
    metrics = {answers.metric for each in found for answers in each.answers.values()}
    differing = find_varied([each.manifest for each in found])
    show_table(
        {
            **(options or {"method": each.id}),
            **({"target": answers.target} if several else {}),
            **({"primary metric": answers.title} if len(metrics) > 1 else {}),
            "score" if len(metrics) > 1 else answers.title: format_primary(answers),
            "above chance": answers.format_answer("chance"),
            "given time and movement": answers.format_answer("movement"),
            "time": wording.format_cost(each.manifest["cost"])["time"],
            "run": each.id.rpartition("-")[2],
        }
        for each, options in zip(found, differing, strict=True)
        for answers in each.answers.values()
    )
    print_folders(found)


def format_primary(answers: TargetAnswers) -> str:
    """Return the primary metric with its interval, or the answer that it cannot be estimated."""
    if answers.score is None:
        return answers.problem.answer if answers.problem else "not estimable"
    return format_with_interval(answers.score, metric_facts(answers.metric).chance)


def print_folders(found: Sequence[Result], *, named: bool = True) -> None:
    """Print the folders of runs, and warnings on their scores; `named`: whether a table above has the column `run`."""
    for folder in dict.fromkeys(each.folder.parent for each in found):
        console.echo(f"runs: {folder}" + (", in folders whose names end as in the column run" if named else ""))
    for leaking in {each.manifest["protocol"]["name"]: each.manifest for each in found}.values():
        _warn_of_leaks(leaking)
    warn_of_synthetic(any(each.is_synthetic for each in found))


def find_varied(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return option -> value of each run, for the command-line options in which the runs differ."""
    from embench.planning.request import AXES
    from embench.records.manifest import tuned_trials

    requests = [
        run["config"].get("request") or {"calibration_data": run["config"].get("calibration_data")} for run in runs
    ]
    texts = {
        name: [format_value(request.get(field), missing="none") or "none" for request in requests]
        for name, field in AXES.items()
    }
    texts["tuned"] = [f"{trials} trials" if (trials := tuned_trials(run["config"])) else "no" for run in runs]
    differ = {name: values for name, values in texts.items() if len(set(values)) > 1}
    return [{name: values[k] for name, values in differ.items()} for k in range(len(runs))]


def print_curve(found: Curve, files: Sequence[Path]) -> None:
    """Print scores along one axis of a grid: for each dataset and target a table with a row for each position on the
    axis and a column for each method, and a table of gains."""
    from embench.report.axis_curves import AXIS_TITLES

    for title, points in found.panels():
        rows = {place: {AXIS_TITLES[found.axis]: place} for place in found.places}
        for point in points:
            score = point.score
            rows[point.at][point.line] = format_figure(score.mean) if point.control else format_score(score)
        lines = dict.fromkeys(point.line for point in points)
        show_table(rows.values(), [field(head, head) for head in (AXIS_TITLES[found.axis], *lines)], title=title)
        gain = TableColumn("gain above best model without a signal", lambda point: format_score(point.score, "+.3f"))
        where, above = field("at", AXIS_TITLES[found.axis]), field("above", "best model without a signal")
        show_table(found.gains(title), (where, field("line", ""), gain, above))
    if found.note:
        console.wrapped(found.note)
    console.echo(f"files: {', '.join(map(str, files))}")


def print_plans(requests: Sequence[Request], *, as_json: bool) -> None:
    """Print the output of `--dry-run` for several runs."""
    from embench.runs import run as runner

    plans = runner.describe_plans(requests)
    if as_json:
        console.document(plans)
        return
    for described in plans:
        print_plan(described)


def print_plan(description: Mapping[str, Any]) -> None:
    """Print the plan of a run."""
    show_parts(run_plan(description))


def show_not_applicable(scores: Scores, target: str, dataset: str) -> None:
    """Print the confound-only models that do not apply, with the reason."""
    confound_only = scores.get_confound_only_models(target)
    reasons = ((control.reason, control.name) for control in confound_only if control.reason)
    silent = grouped((plain_reason(reason, dataset), name) for reason, name in reasons)
    for reason, names in silent.items():
        console.wrapped(f"not applicable: {'; '.join(map(vocabulary.label, names))}: {reason}")
    console.echo()


def _print_scores(found_on: TargetAnswers, scores: Scores) -> None:
    """Print all scores of the method, next to those of the model that predicts from the stimulus alone."""
    found, folds = scores.get_scores(found_on.target), _count_folds(scores, found_on.target)
    stimulus = scores.get_model_scores(found_on.target, "stimulus_mean")
    stimulus_column = TableColumn("stimulus_mean", lambda name: format_score(stimulus.get(name), interval=False))
    over_folds = TableColumn("over folds", lambda name: format_over_folds(found[name], folds))
    columns = [
        TableColumn("metric (* primary)", lambda name: f"{name} *" if name == found_on.metric else name),
        TableColumn("mean and interval", lambda name: format_score(found[name])),
        *([stimulus_column] if stimulus else []),
        TableColumn("SD", lambda name: format_figure(found[name].std, missing="")),
        # Only where the primary metric itself is a score of folds, as under papers' protocols; elsewhere it would
        # mislead.
        *([over_folds] if found_on.score and found_on.score.over == "folds" else []),
    ]
    metrics = sorted((name for name in found if found[name].is_defined), key=lambda name: name != found_on.metric)
    show_table(metrics, columns, title=f"target {found_on.target}, all scores")
    undefined = grouped((str(score.undefined), name) for name, score in found.items() if not score.is_defined)
    if undefined:
        listed = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in undefined.items())
        console.wrapped(f"undefined: {listed}")
        console.echo()


def _count_folds(scores: Scores, target: str) -> int:
    """Return the number of folds in which the method was scored on a target, in the seed with the fewest folds."""
    seeds = [row["seed"] for row in scores.folds if (row["method"], row["target"]) == (MODEL, target)]
    return min(Counter(seeds).values(), default=0)


# Several methods side by side, as `grid` and `baselines` print them.


def print_board(
    rows: Sequence[Mapping[str, Any]], title: str = "", varied: Mapping[str, Mapping[str, str]] | None = None
) -> bool:
    """Print a table of methods for each dataset, protocol and target, with notes and confound-only models.

    Args:
        rows: see `board_rows`.
        varied: id of a run -> option -> value, for further columns.

    Returns:
        Whether all tables have the column `run`.
    """
    panels, named = board_panels(rows), True
    for panel in panels:
        cells = board_cells(panel)
        by_run = {run.rpartition("-")[2]: options for run, options in (varied or {}).items()}
        cells = [_with_options(row, by_run.get(row["run"], {})) for row in cells]
        columns = [field(name, name) for name in cells[0]]
        kept = fit_columns(cells, columns, ["run", "p", "p (Holm)"])
        named &= "run" in {column.title for column in kept}
        about = [name_without_package(panel[0]["dataset"]), panel[0]["protocol"], panel[0]["target"]]
        show_table(cells, kept, title=", ".join(filter(None, [title, *about])))
        for note in board_notes(panel):
            console.wrapped(note)
        console.echo()
        show_table(model_cells(panel))
        show_table(sensor_cells(panel), title="Which sensors are associated with the label?")
    return named


def _with_options(cells: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
    """Return the cells of a row with those of `options` inserted after `sensors`, or after `method` without sensors."""
    found: dict[str, str] = {}
    for name, cell in cells.items():
        if name == "sensors" or (name == "method" and "sensors" not in cells):
            found |= {name: cell, **options}
        else:
            found[name] = cell
    return found


# `--pretraining-comparison` of `embench run` and `embench grid`: pretrained runs and their comparison runs (the same
# network trained from scratch, and handcrafted features), as one grid, and the differences between the scores.


def run_with_comparison(
    requests: Sequence[Request],
    *,
    executor: str = "local",
    options: Mapping[str, str] | None = None,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Run pretrained methods and their comparison runs, and print the differences; with `dry_run`, only plans.

    Raises:
        UsageError: no request is pretrained.
    """
    from embench.planning.pretraining import split_pretrained
    from embench.records.record import read_record
    from embench.runs import run as runner
    from embench.statistics.gains import collect_pretraining_gains

    comparisons, all_requests = split_pretrained(requests)
    for comparison in comparisons:
        show_table(comparison.rows, [field("title", "row"), TableColumn("method", _name_method)])
        console.wrapped(f"{comparison.training[:1].upper()}{comparison.training[1:]}.")
    if dry_run:
        print_plans(all_requests, as_json=as_json)
        return
    with Progress() as progress:
        done = runner.grid(all_requests, executor=executor, progress=progress.event, options=options)
    records = [read_record(result.folder) for result in done.results]
    gains = collect_pretraining_gains(records)
    if as_json:
        documents = [result.to_dict() for result in done.results]
        console.document({"runs": documents, "pretraining_comparison": [gains_as_json(*each) for each in gains]})
    else:
        compared = {
            id_
            for record, _, comparison in gains
            for id_ in (record.run["id"], *(each.run for each in comparison.gains))
        }
        if alone := [result for result in done.results if result.id not in compared]:
            print_runs(alone)
        show_gains(gains, records)
        print_folders(done.results)
    done.check()


def _name_method(row: ComparisonRun) -> str:
    if row.request is None:
        return f"none: {row.reason}"
    request = row.request
    after = f" after {', '.join(request.pretrainers)}" if request.pretrainers else ""
    named = [request.pretrained, *(text.partition("=")[2] for text in request.settings if ".build.weights=" in text)]
    weights = ", ".join(dict.fromkeys(filter(None, named)))
    method = " + ".join(filter(None, [", ".join(request.encoders), request.fusion]))
    return f"{method}{after}{f', weights: {weights}' if weights else ''}"


def show_gains(gains: Sequence[RecordGains], records: Sequence[Record], metric: str | None = None) -> None:
    """Print a table for each pretrained run and target: its score, those of its comparison runs, and the gains."""
    from embench.records.wording import method_name
    from embench.statistics.gains import shown_metric

    by_id = {record.run["id"]: record for record in records}
    for record, target, comparison in gains:
        name = metric or shown_metric(record, target)
        compared = [
            ("pretrained", record, ""),
            *((each.reference, by_id[each.run], each.text) for each in comparison.gains),
        ]
        rows = [
            (row, method_name(of.run), of.scores.get_scores(target).get(name), gain, of.run["id"])
            for row, of, gain in compared
        ]
        columns = [
            TableColumn("row", lambda row: row[0]),
            TableColumn("method", lambda row: row[1]),
            TableColumn(name, lambda row: format_score(row[2])),
            TableColumn("difference", lambda row: row[3]),
            TableColumn("run", lambda row: row[4].rpartition("-")[2]),
        ]
        show_table(rows, columns, title=f"target {target}: {record.run['id']} and its comparison runs")
        if not comparison.gains:
            console.wrapped(f"{record.run['id']} has no from-scratch or feature comparison here.")
        elif comparison.epochs:
            console.wrapped(
                f"Networks were trained for at most {comparison.epochs} epochs and stopped before the validation loss "
                "converged. A difference may come from an undertrained head."
            )
    if gains:
        console.wrapped("difference: pretrained network minus comparison run, paired, with a 95 % interval.")
        console.echo()


def gains_as_json(record: Record, target: str, comparison: PretrainingGains) -> dict[str, Any]:
    """Return the gains of a pretrained run over its comparison runs, as `--json` prints them."""
    return {
        "run": record.run["id"],
        "target": target,
        "epochs_at_most": comparison.epochs,
        "differences": [
            {
                "kind": gain.kind,
                "method": gain.name,
                "run": gain.run,
                "difference": gain.difference and gain.difference.to_dict(),
                "why": gain.why,
            }
            for gain in comparison.gains
        ],
    }


# Protocols for `embench list` and `embench info`: names, and rules in words.

KIND = "protocol"
_FOLDED = {
    "group": "subjects; subjects of one group share a fold",
    "recording": "recordings",
    "segment": "segments",
    "stimulus": "stimuli",
    "group+stimulus": "subjects and stimuli; the subject and the stimulus of a test unit are both new",
}
_ACCESS = {
    "none": "only the unit to predict",
    "baseline": "the unit to predict and the rest before the tasks, if the dataset card declares such a rest",
    "unlabelled": "all signals, without labels",
}

_NORMALISED = {
    "none": "signals keep their unit",
    "baseline": "z-scored by the subject's rest before the tasks",
    "subject_unlabelled": "z-scored by all signals of the subject, without labels",
    "recording_unlabelled": "z-scored by the recording, but for signals whose level tells something",
    "given": "z-scored by the calibration data of the test subject",
}

DISPLAY_NAMES = {
    "primary_metric": "primary metric",
    "a method reads of test subjects": "a method may read from test subjects",
    "test subjects give first": "calibration data",
    "shown beside the confound-only models": "shown next to the confound-only models",
}
"""Key of `describe_protocol` -> its name on the screen."""


def list_protocols() -> list[dict[str, Any]]:
    """Return name, summary and leakage of each protocol, as `embench list protocol` prints them."""
    names = protocols.protocol_names()
    firsts = [re.split(r"(?<=\.) (?=[A-Z])", protocols.about_protocol(name))[0] for name in names]
    leaks = ["yes" if protocols.load_protocol(name).leaks else "no" for name in names]
    rows = zip(names, firsts, leaks, strict=True)
    return [{"kind": KIND, "name": name, "summary": summary, "leaks": leak} for name, summary, leak in rows]


def print_protocols() -> None:
    """Print the protocols as a table."""
    show_table(list_protocols(), fields("name", "summary", "leaks"), title=KIND)


def describe_protocol(name: str) -> dict[str, Any]:
    """Return the rules of a protocol in words, as `embench info` prints them; `name`: its name, or a YAML file."""
    protocol, published = protocols.load_protocol(name), name in protocols.protocol_names()
    split, unit = protocol.split, protocol.unit
    count = "one fold for each of the" if split.folds == "each" else f"{split.folds} folds of"
    within = ", within each subject" if split.within else ""
    rated = "a rated recording" if unit.rating == "recording" else f"{unit.rating:g} s of a rated recording"
    held_out = protocol.validation.fraction
    return {
        "kind": KIND,
        "name": protocol.name,
        "summary": protocols.about_protocol(name) if published else f"rules of the file {name}",
        "datasets": sorted({*(protocol.labels or {}), *(protocol.stimuli or {}), *(protocol.people or {})}),
        "folds": f"one, of the last of {split.folds} segments of each recording, trained on the earlier segments"
        if split.tests
        else f"{count} {_FOLDED[split.by]}{within}",
        "validation": f"{held_out:.0%} of the training subjects" if held_out else "none",
        "unit": f"{rated}; {unit.continuous_s:g} s for continuous ratings; {unit.condition_s:g} s of a condition",
        "primary_metric": _describe_primary(protocol),
        "a method reads of test subjects": _describe_access(protocol),
        **({"test subjects give first": _describe_calibration(protocol.personal)} if protocol.personal else {}),
        **({"shown beside the confound-only models": ", ".join(protocol.references)} if protocol.references else {}),
        "preprocessing": protocol.preprocess,
        "rate": f"{protocol.rate_hz:g} Hz, to which all signals are resampled; an encoder may read another",
        "normalisation": f"{protocol.normalise}: {_NORMALISED[protocol.normalise]}",
        "leaks": "; ".join(protocol.deviations.values()) if protocol.leaks else "no",
        "hash": protocol.hash[:16],
    }


def _describe_access(protocol: Protocol) -> str:
    known, _, trained_on = protocol.target_access.partition("+")
    if trained_on:
        return f"{_ACCESS[known]}; and labelled earlier {trained_on.removeprefix('labelled_')}"
    return _ACCESS[known] + (", and the calibration data" if protocol.personal else "")


def _describe_calibration(rules: PersonalRules) -> str:
    """Describe which units of test subjects are calibration data, and which later units are scored."""
    later = f"units at least one block and {rules.guard_s:g} s later are scored"
    if rules.gives == "session":
        return "their first session, with labels, for training; later sessions are scored"
    if rules.gives == "blocks":
        return f"the first half of their blocks, with labels, for training; {later}"
    return (
        f"N units of each class (--calibration-data N, at most {rules.most}) or units without labels (unlabelled:N), "
        f"also for normalisation; {later}, and the scored units do not depend on N"
    )


def _describe_primary(protocol: Protocol) -> str:
    primary_metrics = {
        "class targets": _describe_primary_for(protocol, "binary"),
        "continuous targets": _describe_primary_for(protocol, "value"),
    }
    if len(set(primary_metrics.values())) == 1:
        return primary_metrics["class targets"]
    return "; ".join(f"for {words}: {scores}" for words, scores in primary_metrics.items())


def _describe_primary_for(protocol: Protocol, kind: KindName) -> str:
    designs: Mapping[str, tuple[Design, bool]] = {
        "for tasks in one fixed order": ("fixed_order", False),
        "for stimuli that subjects share": ("shared_stimuli", False),
        "for labels that vary within a shared stimulus": ("shared_stimuli", True),
        "otherwise": ("free", False),
    }
    scores = {text: protocol.primary_metric_for(kind, design, moments) for text, (design, moments) in designs.items()}
    if len(set(scores.values())) == 1:
        return next(iter(scores.values()))
    return ", ".join(f"{score} {text}" for text, score in scores.items())
