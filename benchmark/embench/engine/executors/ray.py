"""Run stages on Ray: on a cluster started for this run, or on an existing one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from psutil import STATUS_ZOMBIE, Process

from embench.engine.assemble import make_tables
from embench.engine.executors import WORKER_TRIES, Events, Outcome, Resources, check_options, to_final_error
from embench.engine.stage import Params, Stage
from embench.engine.work import Parent, prepare_for_transport, run_in_worker
from embench.errors import EmbenchError, MachineError, OutOfMemory, UsageError, WorkerKilled
from embench.system import KEPT, EventCallback, cores, missing_library

_OPTIONS = ("address", "gpus", "memory_gb")


def run_on_ray(
    todo: Sequence[Stage[Params]], outcome: Outcome, root: Path, resources: Resources, on_event: EventCallback
) -> None:
    """Run each stage as a Ray task with as many CPUs as it has threads.

    Options: `address` of an existing Ray (`auto` on this machine); `gpus`, the proportion of a GPU per training stage,
    default 1; `memory_gb` per stage, default none.

    Raises:
        MachineError: Ray is missing, can't be reached, or was killed. UsageError: an option is wrong."""
    check_options(resources.options, _OPTIONS)
    if "address" in resources.options and (Path.home() / ".ray" / "auth_token").is_file():
        # `ray start` then requires a token, and a Ray without one ignores it. Read when Ray is imported.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise missing_library("ray", "--executor ray") from error
    shares = {name: _positive_number(resources.options, name) for name in ("gpus", "memory_gb")}
    make_tables(todo, min(resources.workers, cores()), on_event)
    _connect(ray, resources)
    try:
        _run_tasks(ray, _started_servers(), todo, outcome, root, resources, shares, on_event)
    finally:
        ray.shutdown()


def _positive_number(options: Mapping[str, str], name: str) -> float | None:
    """Return an option as a number; None if it is not given. Raises UsageError if it is not above 0."""
    try:
        number = float(options[name]) if name in options else None
    except ValueError:
        number = -1.0
    if number is not None and not number > 0:
        raise UsageError("not a number above 0", where=f"--cluster {name}={options[name]}", expected="such as 0.5")
    return number


def _connect(ray: Any, resources: Resources) -> None:
    """Connect to the Ray at the given address, or start one on this machine. Raises MachineError."""
    address = resources.options.get("address")
    quiet: dict[str, Any] = {"include_dashboard": False, "num_cpus": min(resources.workers, cores())}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="error",
            configure_logging=False,
            **({} if address else quiet),
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise MachineError(
            f"no connection to Ray: {' '.join(str(error).split())[:300]}",
            where=f"--cluster address={address}" if address else "--executor ray",
            expected="HOST:PORT as `ray start --head` prints it; or no address, for a Ray on this machine only",
        ) from error


def _started_servers() -> dict[str, Process]:
    """Return name -> process of the Ray servers that were started for this run; empty if an existing Ray is used."""
    return {child.name(): child for child in Process().children() if child.name() in ("raylet", "gcs_server")}


def _check_servers(servers: Mapping[str, Process]) -> None:
    """Raise WorkerKilled if a Ray process has ended. Ray itself would end this process silently."""
    for name, server in servers.items():
        if not server.is_running() or server.status() == STATUS_ZOMBIE:
            raise _killed_error(name)


def _killed_error(server: str) -> WorkerKilled:
    return WorkerKilled(f"the process `{server}` of Ray was killed", where="--executor ray", hint=KEPT)


def _run_tasks(
    ray: Any,
    servers: Mapping[str, Process],
    todo: Sequence[Stage[Params]],
    outcome: Outcome,
    root: Path,
    resources: Resources,
    shares: Mapping[str, float | None],
    on_event: EventCallback,
) -> None:
    # Ray restarts a task on another machine if its worker or machine is lost.
    """Run the stages as Ray tasks, each once its inputs are done, and store their results and errors in `outcome`."""
    task = ray.remote(max_retries=WORKER_TRIES - 1, num_returns=1)(run_in_worker)
    parent = ray.put(Parent(root))
    waiting, running, ended = {stage.id: stage for stage in todo}, dict[Any, tuple[Stage[Params], Events]](), 0
    tries: Counter[str] = Counter()
    while waiting or running:
        resources.check_wanted()
        _check_servers(servers)
        for stage in list(waiting.values()):
            if blocker := outcome.blocker(stage):
                outcome.held_up[stage.id] = blocker
                del waiting[stage.id]
            elif len(running) < 2 * resources.workers and all(i in outcome.results for i in stage.inputs.values()):
                del waiting[stage.id]
                needs = _task_options(stage, shares) | (_whole_machine(ray, stage) if tries[stage.id] else {})
                remote = task.options(name=stage.title, scheduling_strategy="SPREAD", **needs)
                reference = remote.remote(prepare_for_transport(stage), parent)
                running[reference] = (stage, Events(stage, root, on_event))
        ready, _ = ray.wait(list(running), timeout=0.5) if running else ([], [])
        for _, events in running.values():
            if events.path.is_file():
                events.poll()
        for reference in ready:
            stage, events = running.pop(reference)
            result = _task_result(ray, reference, stage)
            events.poll()
            if isinstance(result, OutOfMemory):
                tries[stage.id] += 1
                if tries[stage.id] < WORKER_TRIES:
                    on_event({"event": "note", "text": f"{result.what}, which is tried again alone"})
                    waiting[stage.id] = stage
                    continue
                result = to_final_error(result)
            if isinstance(result, EmbenchError):
                outcome.errors[stage.id] = result
            else:
                outcome.results[stage.id] = result
            ended += 1
            events.end(outcome, ended, len(todo))


def _task_options(stage: Stage[Params], shares: Mapping[str, float | None]) -> dict[str, Any]:
    gpus = (shares["gpus"] or 1) if stage.params.common.device == "cuda" else 0
    memory = {"memory": int(shares["memory_gb"] * 2**30)} if shares["memory_gb"] else {}
    return {"num_cpus": stage.params.common.threads, "num_gpus": gpus, **memory}


def _whole_machine(ray: Any, stage: Stage[Params]) -> dict[str, Any]:
    """Return the resources of a stage that ran out of memory before: all CPUs of the smallest machine that has enough,
    so that no other stage runs beside it there, and a whole GPU."""
    threads = stage.params.common.threads
    cpus = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    whole = min((count for count in cpus if count >= threads), default=threads)
    return {"num_cpus": whole, "num_gpus": 1 if stage.params.common.device == "cuda" else 0}


def _task_result(ray: Any, reference: Any, stage: Stage[Params]) -> dict[str, Any] | EmbenchError:
    """Return the result of a Ray task, or the error that it ended with. Raises WorkerKilled if Ray itself ended."""
    try:
        result: dict[str, Any] | EmbenchError = ray.get(reference)
    except ray.exceptions.LocalRayletDiedError as error:
        raise _killed_error("raylet") from error
    except ray.exceptions.RayError as error:
        return MachineError(
            f"a worker of Ray was lost {WORKER_TRIES} times during {stage.title}: {' '.join(str(error).split())[:300]}",
            hint="often it ran out of memory: --cluster memory_gb=16 reserves more; the same command resumes",
        )
    return result
