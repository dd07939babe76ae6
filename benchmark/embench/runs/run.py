"""One run, or a grid of runs, from plan to record."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from embench.callbacks import EventCallback
from embench.data import find
from embench.engine import executors
from embench.engine.executors import Outcome
from embench.engine.stage import Folder, Stage
from embench.errors import EmbenchError, Unfinished
from embench.files import digest, folder_mode, make_folder
from embench.planning.graph import stage_folder
from embench.planning.plan import Plan, default_workers, make
from embench.planning.request import Request
from embench.protocols import load_current_protocol
from embench.records import embeddings, ledger, record
from embench.registry.hooks import Observers
from embench.runs import evaluate, guards, kept
from embench.runs.manifest import manifest
from embench.runs.stages import run_stages, seconds_of
from embench.runs.videos import decode_videos
from embench.statistics import evaluation
from embench.statistics.result import Result


@dataclass(frozen=True)
class GridResult:
    """The runs of a grid that finished, in order, and why the others did not."""

    results: tuple[Result, ...]
    failures: Mapping[str, EmbenchError] = field(default_factory=dict)

    def check(self) -> None:
        """Raises Unfinished where a run is missing; names each."""
        if self.failures:
            lines = [f"{title}: {error.what}" for title, error in self.failures.items()]
            raise Unfinished(
                f"{len(self.failures)} of {len(self.failures) + len(self.results)} runs are missing: "
                + "; ".join(lines),
                hint="run the same command again to continue",
            )


def plan(request: Request, progress: EventCallback | None = None) -> Plan:
    """The plan of a request; see `embench.planning.plan.make`. Raises UsageError also where the protocol is superseded:
    plans of recorded runs are made without this."""
    load_current_protocol(request.protocol)
    return make(request, progress)


def run(request: Request, progress: EventCallback | None = None) -> Result:
    """Runs one method and writes its record.

    Raises:
        EmbenchError: of the kind that says whose fault it is; stages that finished are kept and not run again.
    """
    done = grid([request], progress=progress)
    if done.failures:
        raise next(iter(done.failures.values()))
    return done.results[0]


def grid(
    requests: Sequence[Request],
    executor: str = "local",
    workers: int | None = None,
    progress: EventCallback | None = None,
    options: Mapping[str, str] | None = None,
) -> GridResult:
    """Runs several requests as one graph: what two of them share is run once.

    Args:
        executor: who runs the stages: `local`, `slurm` or `ray`.
        options: of the executor, such as `{"partition": "gpu"}`.

    Raises:
        UsageError, DataError: a request cannot be planned. MachineError: a worker was killed.
    """
    executors.find_executor(executor)  # a wrong name is reported before data are prepared
    on_event = progress or (lambda _: None)
    # One that cannot be made is reported before data are prepared, too.
    observers = Observers.named(tuple(dict.fromkeys(name for r in requests for name in r.observers)))
    plans = [plan(request, on_event) for request in requests]
    for planned in plans:
        observers.run_started({"id": planned.id, **planned.config})
    conformance = [guards.conformance(planned, on_event) for planned in plans]
    videos = [decode_videos(p.cohorts, p.method, p.request.workers, on_event) for p in plans]
    stages = list({id_: stage for p in plans for id_, stage in p.graph.stages.items()}.values())
    if progress:
        _foretell(plans, workers, progress)
    outcome, root = Outcome(), stage_folder(requests[0].runs_folder)
    watched = _with_observers(on_event, observers, plans)
    results: list[Result] = []
    failures: dict[str, EmbenchError] = {}
    waiting = deque(zip(plans, conformance, videos, strict=True))

    def conclude_first() -> None:
        planned, conforms, seen = waiting.popleft()
        try:
            results.append(_conclude(planned, outcome, root, observers, conforms, seen))
        except EmbenchError as error:
            failures[f"{planned.method.title} ({planned.id})"] = error

    def conclude_finished(event: Mapping[str, Any]) -> None:
        # While other stages run: workers wait for nothing, and what ends this grid early takes no finished run with it.
        watched(event)
        while waiting and outcome.over(waiting[0][0].graph.stages):
            conclude_first()

    run_stages(
        stages,
        requests[0],
        conclude_finished,
        executor=executor,
        options=options,
        workers=workers,
        outcome=outcome,
        seconds=partial(_expected, plans),
    )
    while waiting:
        conclude_first()
    return GridResult(tuple(results), failures)


def _foretell(plans: Sequence[Plan], workers: int | None, on_event: EventCallback) -> None:
    """Reports how long the networks that are to be trained will take, where a CPU trains them. A network that fails
    here fails in its stage as well, which says whose fault it is."""
    from embench.planning.forecast import forecast

    root, seconds = stage_folder(plans[0].request.runs_folder), 0.0
    seen: set[str] = set()
    for planned in plans:
        stages = planned.graph.stages
        done = seen | {id_ for id_ in stages if Folder(root, id_).done}
        trained = {id_ for id_, stage in stages.items() if stage.kind not in ("estimator", "predict")} - done
        if trained and planned.setting.device == "cpu":
            count = workers or planned.request.workers or default_workers({"cpu"})
            try:
                seconds += forecast(planned.graph, count, done)["expected_s"]
            except Exception:  # noqa: BLE001  # of a plugin, of any kind
                return
        seen |= set(stages)
    if seconds:
        on_event({"event": "forecast", "seconds": seconds})


def _expected(plans: Sequence[Plan], todo: Sequence[Stage[Any]]) -> dict[str, float]:
    """How long each of these stages is expected to take in s, by id: measured for each method by itself."""
    seconds: dict[str, float] = {}
    for planned in plans:
        own = [s for s in todo if s.id in planned.graph.stages and s.id not in seconds]
        seconds |= seconds_of(own)
    return seconds


def _with_observers(on_event: EventCallback, observers: Observers, plans: Sequence[Plan]) -> EventCallback:
    def watch(event: Mapping[str, Any]) -> None:
        on_event(event)
        kind = event["event"]
        if kind not in ("stage_started", "epoch_ended", "stage_ended"):
            return
        stage = {**event["stage"], "runs": [p.id for p in plans if event["stage"]["id"] in p.graph.stages]}
        if kind == "stage_started":
            observers.stage_started(stage)
        elif kind == "epoch_ended":
            figures = {k: v for k, v in event.items() if k not in ("event", "stage", "epoch")}
            observers.epoch_ended(stage, event["epoch"], figures)
        else:
            observers.stage_ended(stage, event["figures"])

    return watch


def _conclude(
    planned: Plan,
    outcome: Outcome,
    root: Path,
    observers: Observers,
    conformance: Mapping[str, str],
    videos: Sequence[Mapping[str, Any]],
) -> Result:
    """Scores a plan whose stages are done and writes its record; one that the same code wrote before is read again, so
    that the test labels stay closed."""
    outcome.check(planned.graph.stages)
    if (planned.folder / "run.yaml").is_file():
        known = record.read_record(planned.folder)
        if known.run.get("scoring") == evaluation.scoring_identity():
            observers.run_ended({"id": planned.id, **planned.config}, known.scores)
            return Result(planned.id, planned.folder, known.run, known.scores)
    if any(not part.startswith("dataset") for part in conformance):
        guards.ask_alone(planned, root)
    opening: dict[str, Any] = {
        "dataset": planned.dataset,
        "protocol": planned.protocol.name,
        "run": planned.id,
        "method": digest(planned.config),
    }
    request, targets = planned.request, [t.name for t in planned.test.targets]
    if request.dev:  # other folds test the same subjects, so choosing by these scores is a look, too
        opening["dev"] = True
    data = find.raw_digest_of(request.dataset, request.data_root)
    looks = ledger.record_openings(request.runs_folder, data, planned.test.store.key, opening, targets)
    evaluated = evaluate.evaluate(planned, root)
    content = manifest(planned, outcome, looks, conformance, videos).content()
    written = record.Record(
        content,
        evaluated.predictions,
        evaluated.labels,
        evaluate.fold_rows(planned),
        evaluated.scores,
        kept.history(planned, root),
    )
    make_folder(planned.folder, folder_mode(planned.fit.card.labels_public, planned.test.card.labels_public))
    kept.keep_weights(planned, root)
    if (embedded := evaluate.embeddings_of(planned, root)) is not None:
        embeddings.write_embeddings(planned.folder, embedded)
    record.write_record(planned.folder, written)
    observers.run_ended({"id": planned.id, **planned.config}, evaluated.scores)
    return Result(planned.id, planned.folder, content, evaluated.scores)
