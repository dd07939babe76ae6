"""One run, or a grid of runs, from plan to record."""

from __future__ import annotations

import csv
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embench.data.cohort import describe_repaired
from embench.data.find import without_preparing
from embench.engine import executors
from embench.engine.executors import Outcome, Resources, run_graph
from embench.engine.stage import Folder, Params, Stage
from embench.errors import EmbenchError, MachineError, PluginError, Unfinished
from embench.files import aside, folder_mode, make_folder, snapshot, write_text
from embench.planning.compatibility import describe_inputs
from embench.planning.gpus import describe_hours
from embench.planning.graph import stage_folder
from embench.planning.plan import (
    CHEAP,
    Plan,
    default_workers,
    estimate_cheap_stages,
    find_pending_stages,
    make,
    total_seconds,
)
from embench.planning.request import Request
from embench.reasons import Reason
from embench.records import ledger, predictions, record
from embench.records.record import TUNING_FILE, is_own
from embench.records.scores import Scores
from embench.registry.loading import Observers
from embench.runs import again, evaluate, guards
from embench.runs.evaluate import make_manifest
from embench.runs.grids import GridFile
from embench.runs.videos import decode_videos
from embench.statistics import evaluation
from embench.statistics.evaluation import Evaluation
from embench.statistics.form import first_lines
from embench.statistics.result import Result
from embench.system import EventCallback

ON_A_CLUSTER = 100
"""Default number of stages, or jobs of stages, that run at a time on a cluster."""


def choose_workers(
    request: Request, stages: Sequence[Stage[Params]], executor: str = "local", workers: int | None = None
) -> int:
    """Return the number of stages that run at a time: the requested one, or one that suits devices or a cluster."""
    if workers or request.workers:
        return workers or request.workers or 1
    return default_workers({s.params.common.device for s in stages}) if executor == "local" else ON_A_CLUSTER


def run_stages(
    stages: Sequence[Stage[Params]],
    request: Request,
    on_event: EventCallback | None,
    *,
    executor: str = "local",
    resources: Resources | None = None,
    outcome: Outcome | None = None,
) -> tuple[Outcome, Path]:
    """Run unfinished stages; return their outcome and their folder.

    Args:
        resources: by default the workers that suit the request.
        outcome: an outcome to fill and return, for a caller that reads it during events.

    Raises:
        MachineError: the folder cannot be written, or a worker was killed.
    """
    root = stage_folder(request.runs_folder)
    _check_writable(root)
    resources, watch = resources or Resources(choose_workers(request, stages)), on_event or (lambda _: None)
    return run_graph(stages, root, executor=executor, resources=resources, on_event=watch, outcome=outcome), root


def _check_writable(root: Path) -> None:
    """Check before training that results can be stored. Raises MachineError."""
    try:
        make_folder(root)  # stages of all datasets are stored here
        probe = aside(root / "probe")
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        raise MachineError(
            f"cannot write to this folder: {error.strerror}", where=str(root), hint="choose another folder with --runs"
        ) from error


# Files of a run's stages stored beside the record: learning curves, and fitted networks.


def collect_history(planned: Plan, root: Path) -> list[dict[str, Any]]:
    """Return the learning curves of all stages, a row for each stage and epoch."""
    rows = []
    for stage in planned.graph.stages.values():
        path = Folder(root, stage.id).file("history.csv")
        if path.is_file():
            columns = {
                "stage": stage.id,
                "kind": stage.kind,
                **{k: stage.description.get(k, "") for k in ("seed", "fold", "modality", "target")},
            }
            with path.open(newline="") as file:
                rows += [{**columns, **row} for row in csv.DictReader(file)]
    return rows


def link_weights(planned: Plan, root: Path) -> None:
    """Link the fitted networks into the record's folder, or copy them. Raises MachineError if the disk refuses."""
    for _, name, stage in planned.graph.networks():
        source, place = Folder(root, stage.id).file("weights.safetensors"), planned.folder / "weights" / name
        if not source.is_file():
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            try:
                place.hardlink_to(source)
            except OSError:  # another disk, or one without links
                shutil.copyfile(source, place)
        except OSError as error:
            raise MachineError(f"cannot save the weights: {error.strerror}", where=str(place)) from error


@dataclass(frozen=True)
class GridResult:
    """Finished runs of a grid, in order, and the errors of the others."""

    results: tuple[Result, ...]
    failures: Mapping[str, EmbenchError] = field(default_factory=dict)

    def check(self) -> None:
        """Raise Unfinished, which names each run without a result, if there is any."""
        if self.failures:
            lines = [f"{title}: {error.what}" for title, error in self.failures.items()]
            raise Unfinished(
                f"{len(self.failures)} of {len(self.failures) + len(self.results)} runs are missing: "
                + "; ".join(lines),
                hint="rerun the command to resume",
            )


def describe_plans(
    requests: Sequence[Request], progress: EventCallback | None = None, gpu: str | None = None
) -> list[dict[str, Any]]:
    """Return the plans of requests as `--dry-run` prints them, without preparing data; with the hours on a `gpu`, if
    one is named. Raises planning errors."""
    with snapshot(), without_preparing():
        plans = [make(request, progress) for request in requests]
        more = [
            {"forecast_for": describe_hours(list(plan.graph.stages.values()), gpu)} if gpu else {} for plan in plans
        ]
        return [plan.describe() | hours for plan, hours in zip(plans, more, strict=True)]


def run(request: Request, progress: EventCallback | None = None, *, placebo: bool = False) -> Result:
    """Run one method and write its record.

    Args:
        placebo: True to compute the placebo of the confound analysis.

    Raises:
        EmbenchError: its class says whose fault it is. Finished stages are kept, and not run again.
    """
    before, plans = again.hash_inputs(request), list[Plan]()
    done = grid([request], progress=progress, placebo=placebo, ended=lambda planned, _: plans.append(planned))
    if done.failures:
        raise next(iter(done.failures.values()))
    notes = [*filter(None, [describe_repaired(plans[0].test)]), *_label_notes(plans[0])]
    again.remember_finished(plans[0], request, placebo, before, notes)
    return done.results[0]


def grid(
    requests: Sequence[Request],
    executor: str = "local",
    workers: int | None = None,
    progress: EventCallback | None = None,
    options: Mapping[str, str] | None = None,
    ended: Callable[[Plan, Result | EmbenchError], None] | None = None,
    *,
    placebo: bool = False,
) -> GridResult:
    """Run several requests as one graph: shared stages are run once.

    Args:
        executor: executor of the stages: `local`, `slurm` or `ray`; `options`: its own, such as `{"partition": "gpu"}`.
        ended: called at the end of each run, with its result or error. `placebo`: as for `run`.

    Raises:
        UsageError, DataError: a request cannot be planned. MachineError: a worker was killed.
    """
    executors.find_executor(executor)  # a wrong name is reported before data are prepared
    on_event = progress or (lambda _: None)
    # A request that cannot be planned is reported before data are prepared, too.
    observers = Observers.named(tuple(dict.fromkeys(name for r in requests for name in r.observers)))
    with snapshot():
        plans = [make(request, on_event) for request in requests]
    for planned in plans:
        observers.tell("run_started", run={"id": planned.id, **planned.config})
    _report_notes(plans, on_event)
    conformance = [guards.check_conformance(planned, on_event) for planned in plans]
    videos = [decode_videos(p.cohorts, p.method, p.request.workers, on_event) for p in plans]
    stages = list({id_: stage for p in plans for id_, stage in p.graph.stages.items()}.values())
    outcome, root = Outcome(), stage_folder(requests[0].runs_folder)
    parallel = choose_workers(requests[0], stages, executor, workers)
    several = len(plans) > 1 or executor != "local"
    on_cpu = any(planned.setting.device == "cpu" for planned in plans)
    expected = _estimate_stages(plans, root) if several or (progress and on_cpu) else {}
    file = GridFile.for_plans(plans) if several else None
    if file:
        file.begin(plans, expected, executor, parallel)
    if any(expected.values()):
        on_event(_make_forecast(stages, expected, parallel))
    watched = _add_observers(on_event, observers, plans)
    results: list[Result] = []
    failures: dict[str, EmbenchError] = {}
    waiting, count = deque(zip(plans, conformance, videos, strict=True)), _make_counter(plans)

    def conclude_first() -> None:
        planned, conforms, seen = waiting.popleft()
        end: Result | EmbenchError
        try:
            end = _conclude(planned, outcome, root, observers, conforms, seen, on_event, count, placebo=placebo)
            results.append(end)
        except EmbenchError as error:
            end = failures[format_title(planned)] = error
        if ended:
            ended(planned, end)

    def conclude_finished(event: Mapping[str, Any]) -> None:
        # Runs are concluded while other stages run, so that finished runs survive an early end of the grid.
        watched(event)
        if file and event["event"] == "stage_failed":
            file.record_failure(event["stage"]["id"], outcome.errors[event["stage"]["id"]])
        while waiting and outcome.over(waiting[0][0].graph.stages):
            conclude_first()

    resources = Resources(parallel, options or {}, expected, (lambda: file.cancelled) if file else (lambda: False))
    try:
        run_stages(stages, requests[0], conclude_finished, executor=executor, resources=resources, outcome=outcome)
        while waiting:
            conclude_first()
    finally:
        if file:
            file.end(failures, unfinished=bool(waiting))
    return GridResult(tuple(results), failures)


def format_title(planned: Plan) -> str:
    """Return the title of a plan's method with the id of the run."""
    return f"{planned.method.title} ({planned.id})"


def _report_notes(plans: Sequence[Plan], on_event: EventCallback) -> None:
    """Report before training: for each plan, the targets that the study cannot answer, with remedies; and once for all
    plans, a large proportion of repaired units, invalid labels, and what encoders read."""
    unanswerable = (answer for planned in plans for answer in planned.unanswerable())
    for text in (
        *(f"{answer.target}: {answer.answer}. {answer.reason} {answer.remedy}".rstrip() for answer in unanswerable),
        *filter(None, dict.fromkeys(describe_repaired(planned.test) for planned in plans)),
        *dict.fromkeys(text for planned in plans for text in _label_notes(planned)),
        *dict.fromkeys(text for planned in plans for text in describe_inputs(planned.method, planned.test)),
    ):
        on_event({"event": "note", "text": text})


def _label_notes(planned: Plan) -> list[str]:
    """Return sentences on values in tables of own recordings that cannot be labels; none for published datasets."""
    if not is_own(planned.dataset):
        return []
    reader = planned.source.owners_reader()
    notes: list[str] = getattr(reader, "label_notes", list)()
    return notes


@snapshot()
def _estimate_stages(plans: Sequence[Plan], root: Path) -> dict[str, float]:
    """Return stage id -> expected seconds of each pending stage: measured for networks, else from similar stages."""
    seconds: dict[str, float] = {}
    for planned in plans:
        new = {id_: stage for id_, stage in planned.graph.stages.items() if id_ not in seconds}
        todo = find_pending_stages(new.values(), root)
        if any(stage.kind not in CHEAP for stage in todo):
            from embench.planning.plan import forecast_stages

            seconds |= forecast_stages(todo)
        seconds |= estimate_cheap_stages(list(new.values()), root)
    return seconds


def _make_forecast(stages: Sequence[Stage[Any]], expected: Mapping[str, float], workers: int) -> dict[str, Any]:
    """Return the event `forecast`: the time of the pending stages."""
    hours = {"cpu": 0.0, "gpu": 0.0}
    for stage in stages:
        common = stage.params.common
        taken = expected.get(stage.id, 0.0) / 3600
        hours["cpu" if common.device == "cpu" else "gpu"] += taken * (common.threads if common.device == "cpu" else 1)
    return {
        "event": "forecast",
        "seconds": total_seconds(expected.values(), workers),
        "core_hours": hours["cpu"],
        "gpu_hours": hours["gpu"],
    }


def _add_observers(on_event: EventCallback, observers: Observers, plans: Sequence[Plan]) -> EventCallback:
    """Return a callback that passes events on to `on_event` and events of stages also to the observers."""
    runs: dict[str, list[str]] = {}  # stage -> the runs that need it
    for planned in plans:
        for id_ in planned.graph.stages:
            runs.setdefault(id_, []).append(planned.id)

    def watch(event: Mapping[str, Any]) -> None:
        on_event(event)
        kind = event["event"]
        if kind not in ("stage_started", "epoch_ended", "stage_ended"):
            return
        stage = {**event["stage"], "runs": list(runs[event["stage"]["id"]])}
        if kind == "stage_started":
            observers.tell("stage_started", stage=stage)
        elif kind == "epoch_ended":
            figures = {k: v for k, v in event.items() if k not in ("event", "stage", "epoch")}
            observers.tell("epoch_ended", stage=stage, epoch=event["epoch"], figures=figures)
        else:
            observers.tell("stage_ended", stage=stage, figures=event["figures"])

    return watch


def _conclude(
    planned: Plan,
    outcome: Outcome,
    root: Path,
    observers: Observers,
    conformance: Mapping[str, Reason],
    videos: Sequence[Mapping[str, Any]],
    on_event: EventCallback,
    count_evaluations: Callable[[Plan], ledger.EvaluationCounts],
    *,
    placebo: bool,
) -> Result:
    """Score a plan with finished stages and write its record; scores are written and shown once before the confound
    analysis. If the same code wrote this record before, return it, so that test labels are not read again.

    `count_evaluations` records the plan in the ledger, and returns the counts."""
    outcome.check(planned.graph.stages)
    if (planned.folder / "run.yaml").is_file():
        known = record.read_record(planned.folder)
        if known.run.get("scoring") == evaluation.scoring_identity() and _has_analysis(planned, known.scores, placebo):
            _notify(observers, planned, known.scores)
            return Result(planned.id, planned.folder, known.run, known.scores)
    if any(not part.startswith("dataset") for part in conformance):
        try:
            guards.repeat_alone(planned, root)
        except PluginError:
            guards.record_refusal(planned, root)
            raise
    on_event({"event": "scoring", "run": planned.id})
    content = make_manifest(planned, outcome, count_evaluations(planned), conformance, videos).content()

    def write(evaluated: Evaluation) -> Result:
        _write(planned, root, content, evaluated)
        return Result(planned.id, planned.folder, content, evaluated.scores)

    def show(evaluated: Evaluation) -> None:
        forms = write(evaluated).summaries.values()
        lines = [line for form in forms for line in first_lines(form, follows=True)]
        on_event({"event": "scored", "run": planned.id, "lines": lines})

    found = write(evaluate.evaluate(planned, root, on_event, first=show, placebo=placebo))
    _notify(observers, planned, found.scores)
    return found


def _make_counter(plans: Sequence[Plan]) -> Callable[[Plan], ledger.EvaluationCounts]:
    """Return a function that records a plan in the ledgers and returns the counts. Its first call records all `plans`
    of a command, so that no count depends on the order in which runs end."""
    waiting = list(plans)

    def count_evaluations(planned: Plan) -> ledger.EvaluationCounts:
        while waiting:
            _record_evaluations(waiting.pop(0))
        return _record_evaluations(planned)

    return count_evaluations


def _record_evaluations(planned: Plan) -> ledger.EvaluationCounts:
    """Record in the ledgers that a plan is scored, and return the counts."""
    data, targets = planned.source.raw_digest(), [target.name for target in planned.test.targets]
    opening, runs = guards.make_ledger_line(planned), planned.request.runs_folder
    return ledger.record_evaluations(runs, data, planned.test.store.key, opening, targets)


def _has_analysis(planned: Plan, scores: Scores, placebo: bool) -> bool:
    """Return True if a record's scores hold the confound analysis that this plan requests."""
    protocol = planned.protocol
    if not planned.request.confounds or planned.request.dev or protocol.leaks:
        return True
    known = [scores.get_adjusted(target.name) for target in planned.test.targets]
    return all(each and (not placebo or each.undefined or each.placebo_seeds) for each in known)


def _write(planned: Plan, root: Path, content: Mapping[str, Any], evaluated: Evaluation) -> None:
    """Write the record of a plan with the content of its run.yaml."""
    written = record.Record(
        content,
        evaluated.predictions,
        evaluated.labels,
        evaluate.list_fold_rows(planned),
        evaluated.scores,
        collect_history(planned, root),
    )
    make_folder(planned.folder, folder_mode(planned.fit.card.labels_public, planned.test.card.labels_public))
    link_weights(planned, root)
    if planned.tuning:
        write_text(planned.folder / TUNING_FILE, planned.tuning.text())
    if (embedded := evaluate.collect_embeddings(planned, root)) is not None:
        predictions.write_embeddings(planned.folder, embedded)
    record.write_record(planned.folder, written)


def _notify(observers: Observers, planned: Plan, scores: Scores) -> None:
    """Notify observers that a run has ended, with the content of its scores.json."""
    observers.tell("run_ended", run={"id": planned.id, **planned.config}, scores=dict(scores))
