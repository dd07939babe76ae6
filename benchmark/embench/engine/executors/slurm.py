"""Run stages as jobs of Slurm; the queue and the folders of stages are the only state."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from embench.engine.assemble import make_tables
from embench.engine.executors import WORKER_TRIES, Events, Outcome, Resources, to_final_error
from embench.engine.stage import Folder, Params, Stage
from embench.engine.work import UNFORECAST_S, Parent, is_finished, prepare_for_transport, run_in_worker
from embench.errors import EmbenchError, MachineError, OutOfMemory
from embench.files import make_folder, write_text, write_whole
from embench.system import EventCallback, cores, missing_library

PREFIX = "embench-"
_RECORD = "jobs.json"
_LEAST_MIN, _TIMES = 30, 4
"""Least time limit of a job in minutes, and the factor from the expected time of its stages to the limit."""
_LEAST_MB = 3072
"""Memory in MB of a process with loaded libraries, without data."""
_ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
)
"""Job states that neither run nor wait. Slurm requeues or cancels preempted jobs."""


class JobKind(NamedTuple):
    """Requirements that all stages of a job share. `tries`: how many workers have died while running them."""

    device: str
    threads: int
    tries: int


@dataclass(frozen=True)
class Work:
    """Stages of a job, run one after the other. A failed stage blocks only stages that need it. `place`: log folder."""

    stages: tuple[Stage[Params], ...]
    parent: Parent
    place: Path

    def __call__(self) -> None:
        """Run the stages; write a file for each failed stage."""
        for stage in self.stages:
            if all(is_finished(Folder(self.parent.root, id_)) for id_ in stage.inputs.values()):
                result = run_in_worker(stage, self.parent)
                if isinstance(result, EmbenchError):
                    text = pickle.dumps(result)
                    write_whole(fault_file(self.place, stage.id), partial(Path.write_bytes, data=text))

    def checkpoint(self) -> Any:
        """Return the work that submitit requeues after preemption: the same work, since finished stages are skipped."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def fault_file(place: Path, stage_id: str) -> Path:
    """Return the path of a stage's fault file in `place`, the log folder of its submission."""
    return place / f"{stage_id}.fault"


class JobState(NamedTuple):
    """State of a job as Slurm names it: the job's number, the state's `word`, and the `reason` for waiting."""

    job: str
    word: str
    reason: str

    @property
    def queued(self) -> bool:
        """True if the job runs or waits."""
        return self.word not in _ENDED


def queue(names: Sequence[str]) -> dict[tuple[str, int], JobState] | None:
    """Return (submission name, position in array) -> state of the jobs that Slurm knows; None if it does not answer."""
    if not names:
        return {}
    command = ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%j|%r"]
    command.append(f"--name={','.join(names)}")
    try:
        reply = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  names are our own
    except (OSError, subprocess.CalledProcessError):
        return None
    found = {}
    for job, word, name, reason in (row.split("|", 3) for row in reply.stdout.splitlines() if row.count("|") >= 3):
        index = job.partition("_")[2]
        found[name, int(index) if index.isdecimal() else 0] = JobState(job, word, reason)
    return found


def submissions(folder: Path) -> dict[str, list[list[str]]]:
    """Return submission name -> the list of stage ids of each of its jobs, for all submissions below a folder."""
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob(f"{PREFIX}*/{_RECORD}")}


def submit_jobs(
    jobs: Sequence[Sequence[Stage[Params]]],
    kind: JobKind,
    seconds: float,
    folder: Path,
    parent: Parent,
    at_once: int,
    options: Mapping[str, str],
) -> tuple[str, list[str]]:
    """Submit jobs (lists of stages) of one kind as an array, each expected to take at most `seconds`. Return the
    submission's name and the jobs' numbers. `at_once`: number of jobs that run at a time. `options`: options of sbatch.

    Raises:
        MachineError: Slurm refuses them."""
    submitit = load_submitit()
    name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
    place = folder / name
    make_folder(place)
    # Written before submission, so that a process that finds the job also finds its stages.
    write_text(place / _RECORD, json.dumps([[stage.id for stage in stages] for stages in jobs]))
    chosen = {key.replace("_", "-"): True if value == "true" else value for key, value in options.items()}
    inherited = {
        "time": math.ceil(max(_LEAST_MIN, _TIMES * seconds / 60)) * 2**kind.tries,
        "mem": f"{(_LEAST_MB + _data_mb(jobs)) * 2**kind.tries}MB",
        "cpus-per-task": kind.threads,
        **({"gpus-per-node": 1} if kind.device == "cuda" else {}),
    }
    for ours, theirs in (("mem", ("mem",)), ("gpus-per-node", ("gpus", "gres")), ("time", ("time",))):
        if any(key.startswith(theirs) for key in chosen):
            inherited.pop(ours, None)
    more = {"ntasks": 1, "requeue": True, **inherited, **chosen}
    with _hide_job_variables():
        executor = submitit.SlurmExecutor(place, max_num_timeout=0)
        executor.update_parameters(
            job_name=name,
            array_parallelism=at_once,
            time=int(more["time"]) if str(more["time"]).isdecimal() else _LEAST_MIN,
            additional_parameters=more,
        )
        try:
            submitted = executor.submit_array(
                [Work(tuple(map(prepare_for_transport, stages)), parent, place) for stages in jobs]
            )
        except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError, OSError) as error:
            shutil.rmtree(place, ignore_errors=True)
            raise MachineError(
                f"Slurm refuses a job: {' '.join(str(error).split())[-400:]}",
                where=" ".join(f"--cluster {key}={value}" for key, value in options.items()) or "sbatch",
                hint="--cluster partition=NAME and other options of sbatch choose what is asked for; `sinfo` lists",
            ) from error
    return name, [job.job_id for job in submitted]


def _data_mb(jobs: Sequence[Sequence[Stage[Params]]]) -> int:
    """Return the memory in MB for the data of stages: twice their prepared data, once as arrays and once as batches."""
    stores = {store for stages in jobs for stage in stages for store in stage.places.get("stores", {}).values()}
    files = (path for store in stores for path in Path(store).rglob("*") if path.is_file())
    return 2 * sum(path.stat().st_size for path in files) >> 20


def load_submitit() -> Any:
    """Import the library that writes job scripts. Raises MachineError if the library or Slurm is missing."""
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise missing_library("submitit", "--executor slurm") from error
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise MachineError(
            "there is no Slurm on this machine",
            where="--executor slurm",
            expected="the commands sbatch, srun and squeue",
            hint="start embench on a login node of the cluster, or in a job",
        )
    return submitit


@contextmanager
def _hide_job_variables() -> Iterator[None]:
    """Hide the current job's Slurm variables inside the context, since jobs submitted from it would inherit them."""
    hidden = {
        name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLURM_") and name != "SLURM_CONF"
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def last_lines(place: Path, job: str, count: int = 5) -> tuple[Path, str]:
    """Return the path of a job's log, and its last `count` lines; no lines if it cannot be read."""
    path = place / f"{job}_0_log.err"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return path, ""
    return path, " | ".join([line.strip() for line in lines if line.strip()][-count:])


# If this process is killed, restarting the grid waits for the existing jobs.

_ASK_S, _LOOK_S = 5.0, 1.0
"""Seconds between two queries of Slurm's queue, and between two checks of the stages' folders."""
_JOB_S = (60.0, 600.0)
"""Least and most expected seconds of a job that combines short stages."""
_USUAL = ("", "None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime")
"""Reasons for waiting that need no note, since such a job starts by itself."""
_ARRAY = 500
"""Most jobs in an array; Slurm's default limit is 1,001."""


@dataclass
class _Job:
    """A job and the stages that it runs one after the other. `gone`: queries in a row that found it ended."""

    stages: list[Stage[Params]]
    name: str
    index: int
    state: JobState
    gone: int = 0
    events: dict[str, Events] = field(default_factory=dict)


def run_on_slurm(
    todo: Sequence[Stage[Params]], outcome: Outcome, root: Path, resources: Resources, on_event: EventCallback
) -> None:
    """Run the stages as jobs; options are those of sbatch.

    Raises:
        MachineError: Slurm or submitit is missing, or Slurm refuses a job."""
    load_submitit()
    make_tables(todo, min(resources.workers, cores()), on_event)
    _Grid(todo, outcome, root, resources, on_event).run()


class _Grid:
    """The waiting stages of a grid, and the running jobs."""

    def __init__(
        self,
        todo: Sequence[Stage[Params]],
        outcome: Outcome,
        root: Path,
        resources: Resources,
        on_event: EventCallback,
    ) -> None:
        self.outcome, self.root, self.resources, self.on_event = outcome, root, resources, on_event
        self.folder, self.parent = root.parent / "slurm", Parent(root)
        self.waiting = {stage.id: stage for stage in todo}
        self.total, self.over, self.jobs = len(todo), 0, list[_Job]()
        self.tries: Counter[str] = Counter()
        self.seconds = {stage.id: UNFORECAST_S + resources.seconds.get(stage.id, 0.0) for stage in todo}

    def run(self) -> None:
        """Submit stages and follow their jobs until all stages have ended or are held up."""
        self._adopt()
        last_query = time.monotonic()
        while self.waiting or self.jobs:
            self.resources.check_wanted()
            self._hold_up()
            self._submit()
            states = None
            if time.monotonic() - last_query >= _ASK_S:
                states, last_query = queue(sorted({job.name for job in self.jobs})), time.monotonic()
            for job in list(self.jobs):
                if states is not None:
                    self._follow(job, states.get((job.name, job.index)))
                self._collect(job)
            if self.jobs:
                time.sleep(_LOOK_S)

    def _adopt(self) -> None:
        """Find the jobs that an earlier process left in the queue."""
        known = submissions(self.folder)
        states = queue(sorted(known))
        if states is None:  # a second submission would duplicate the queued jobs
            raise MachineError("Slurm does not answer", where="squeue --me", hint="rerun the same command later")
        for (name, index), state in states.items():
            ids = known[name][index] if name in known and index < len(known[name]) else []
            stages = [self.waiting.pop(id_) for id_ in ids if id_ in self.waiting] if state.queued else []
            if stages:
                self._add(_Job(stages, name, index, state))
        if self.jobs:
            self.on_event({"event": "note", "text": f"{len(self.jobs)} earlier jobs are still in Slurm's queue"})

    def _add(self, job: _Job) -> None:
        job.events = {stage.id: Events(stage, self.root, self.on_event) for stage in job.stages}
        self.jobs.append(job)

    def _hold_up(self) -> None:
        for stage in list(self.waiting.values()):
            if blocker := self.outcome.blocker(stage):
                self.outcome.held_up[stage.id] = blocker
                del self.waiting[stage.id]

    def _submit(self) -> None:
        """Submit the stages that can start."""
        for kind, jobs in self._packed().items():
            longest = max(self._length(stages) for stages in jobs)
            for first in range(0, len(jobs), _ARRAY):
                some = jobs[first : first + _ARRAY]
                name, numbers = submit_jobs(
                    some,
                    kind,
                    longest,
                    self.folder,
                    self.parent,
                    self.resources.workers,
                    self.resources.options,
                )
                for index, (stages, number) in enumerate(zip(some, numbers, strict=True)):
                    for stage in stages:
                        del self.waiting[stage.id]
                    self._add(_Job(stages, name, index, JobState(number, "PENDING", "")))

    def _packed(self) -> dict[JobKind, list[list[Stage[Params]]]]:
        """Return the stages that can start, as lists of jobs by requirements. A job combines short stages, each after
        its inputs. A stage whose worker died gets a job of its own."""
        least, most = _JOB_S
        length = min(most, max(least, self._length(self.waiting.values()) / self.resources.workers))
        packed: dict[JobKind, list[list[Stage[Params]]]] = {}
        assigned: dict[str, tuple[JobKind, int]] = {}  # stage id -> kind and position of its job
        for stage in self.waiting.values():
            kind = JobKind(stage.params.common.device, stage.params.common.threads, self.tries[stage.id])
            jobs = packed.get(kind, [])
            input_jobs = {assigned.get(id_) for id_ in stage.inputs.values() if id_ not in self.outcome.results}
            if input_jobs:
                # It joins the job of the stage that it needs, or waits for it.
                (where,) = input_jobs if len(input_jobs) == 1 else (None,)
                if where is None or where[0] != kind or kind.tries:
                    continue
            elif jobs and not kind.tries and self._length(jobs[-1]) + self.seconds[stage.id] <= length:
                where = (kind, len(jobs) - 1)
            else:
                where = (kind, len(jobs))
                packed.setdefault(kind, []).append([])
            packed[kind][where[1]].append(stage)
            assigned[stage.id] = where
        return packed

    def _length(self, stages: Iterable[Stage[Params]]) -> float:
        return sum(self.seconds[stage.id] for stage in stages)

    def _follow(self, job: _Job, state: JobState | None) -> None:
        """Update a job from its state in Slurm's queue; None if Slurm no longer knows the job, which then has ended."""
        if state is not None:
            job.state = state
        over = state is None or not state.queued
        job.gone = job.gone + 1 if over else 0
        if job.state.word == "PENDING" and job.state.reason not in _USUAL:
            self.on_event({"event": "note", "text": f"a job waits in Slurm's queue: {job.state.reason}"})

    def _collect(self, job: _Job) -> None:
        """Store the results of a job's ended stages, and report the events of its running stage. After the job has
        ended, its unfinished stages wait again."""
        if job.state.word == "PENDING" and not job.gone:
            return
        while job.stages:
            first = job.stages[0]
            if blocker := self.outcome.blocker(first):
                self.outcome.held_up[first.id] = blocker
            elif any(id_ in self.waiting for id_ in first.inputs.values()):
                self.waiting[first.id] = first  # its input is retried
            elif not self._ended(first, job):
                break
            del job.stages[0]
        if job.stages and job.state.word == "RUNNING":
            job.events[first.id].poll()
        # Checked twice, since a job's last output may appear after its end.
        if not job.stages or job.gone >= 2:
            self.jobs.remove(job)
        if job.stages and job.gone >= 2:
            self.waiting = {stage.id: stage for stage in job.stages} | self.waiting
            if all(id_ in self.outcome.results for id_ in first.inputs.values()):  # else it was never started
                self._died(first, job)

    def _ended(self, stage: Stage[Params], job: _Job) -> bool:
        """Return True if a stage has a result or error, now in the outcome, or waits for another attempt."""
        folder, fault = Folder(self.root, stage.id), fault_file(self.folder / job.name, stage.id)
        if is_finished(folder):
            self.outcome.results[stage.id] = folder.result()
            job.events[stage.id].poll()
        elif fault.is_file():
            error = pickle.loads(fault.read_bytes())  # noqa: S301  our own worker wrote it
            if isinstance(error, OutOfMemory):
                if self._waits_again(stage, f"{error.what}, which is tried again alone and with more"):
                    return True
                error = to_final_error(error)
            self.outcome.errors[stage.id] = error
        else:
            return False
        self._end(stage, job)
        return True

    def _died(self, stage: Stage[Params], job: _Job) -> None:
        """Retry the stage of a dead worker with more time and memory, or mark it as failed."""
        log, lines = last_lines(self.folder / job.name, job.state.job)
        word = job.state.word.split()[0]
        again = f"job {job.state.job} of Slurm ended as {word} during {stage.title}, which is tried again: {log}"
        if word != "CANCELLED" and self._waits_again(stage, again):
            return
        hint = "ask for more: --cluster mem=16G --cluster time=240 (minutes)" if word != "CANCELLED" else None
        self.outcome.errors[stage.id] = MachineError(
            f"job {job.state.job} of Slurm ended as {word} during {stage.title}" + (f": {lines}" if lines else ""),
            where=str(log),
            hint=hint or "rerun the same command to submit it again",
        )
        del self.waiting[stage.id]
        self._end(stage, job)

    def _waits_again(self, stage: Stage[Params], note: str) -> bool:
        """Let a stage wait again whose worker died or ran out of memory. Return False after too many attempts."""
        self.tries[stage.id] += 1
        if self.tries[stage.id] == WORKER_TRIES:
            return False
        self.waiting[stage.id] = stage
        self.on_event({"event": "note", "text": note})
        return True

    def _end(self, stage: Stage[Params], job: _Job) -> None:
        self.over += 1
        job.events[stage.id].begin()
        job.events[stage.id].end(self.outcome, self.over, self.total)
