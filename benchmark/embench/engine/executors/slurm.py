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
from embench.engine.executors import WORKER_TRIES, Events, Outcome, Resources, given_up
from embench.engine.stage import Folder, Params, Stage
from embench.engine.work import LITTLE_S, Parent, as_sent, finished, work_on
from embench.errors import EmbenchError, MachineError, OutOfMemory
from embench.files import make_folder, write_text, write_whole
from embench.system import EventCallback, cores, not_installed

# Jobs of Slurm: their work, their submission, and their state in the queue.

PREFIX = "embench-"
_RECORD = "jobs.json"
_LEAST_MIN, _TIMES = 30, 4
"""Least time limit of a job in minutes, and the limit as a multiple of the expected time of its stages."""
_LEAST_MB = 3072
"""Memory of a process that has loaded its libraries, beside the data."""
_ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
)
"""States of jobs that neither run nor wait; one that was preempted goes back into the queue, or is cancelled."""


class JobKind(NamedTuple):
    """Properties shared by all stages of a job; `tries` is the number of workers that died of them."""

    device: str
    threads: int
    tries: int


@dataclass(frozen=True)
class Work:
    """Work of a job: stages one after the other. A failed stage holds up only those that need it."""

    stages: tuple[Stage[Params], ...]
    parent: Parent
    place: Path

    def __call__(self) -> None:
        """Runs the stages, and leaves a file for each that failed."""
        for stage in self.stages:
            if all(finished(Folder(self.parent.root, id_)) for id_ in stage.inputs.values()):
                result = work_on(stage, self.parent)
                if isinstance(result, EmbenchError):
                    text = pickle.dumps(result)
                    write_whole(fault_file(self.place, stage.id), partial(Path.write_bytes, data=text))

    def checkpoint(self) -> Any:
        """The work that submitit requeues when Slurm takes the machine away: the same, which skips finished stages."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def fault_file(place: Path, stage_id: str) -> Path:
    """File for the fault of a stage, beside the logs of its submission."""
    return place / f"{stage_id}.fault"


class JobState(NamedTuple):
    """State of a job in Slurm's words."""

    job: str
    word: str
    reason: str

    @property
    def queued(self) -> bool:
        """True if the job runs, or will."""
        return self.word not in _ENDED


def queue(names: Sequence[str]) -> dict[tuple[str, int], JobState] | None:
    """Name of a submission and place in its array -> state, of jobs that Slurm still knows; None where it doesn't
    answer."""
    if not names:
        return {}
    line = ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%j|%r"]
    line.append(f"--name={','.join(names)}")
    try:
        told = subprocess.run(line, capture_output=True, text=True, check=True)  # noqa: S603  names are our own
    except (OSError, subprocess.CalledProcessError):
        return None
    found = {}
    for job, word, name, reason in (row.split("|", 3) for row in told.stdout.splitlines() if row.count("|") >= 3):
        index = job.partition("_")[2]
        found[name, int(index) if index.isdecimal() else 0] = JobState(job, word, reason)
    return found


def submissions(folder: Path) -> dict[str, list[list[str]]]:
    """Name of a submission -> ids of the stages of each of its jobs, of all that were ever made in a folder."""
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
    """Puts jobs of one kind into the queue, each of which is expected to take at most `seconds`: as an array of which
    `at_once` run at a time. Returns the name of the submission, and the jobs' numbers.

    Raises:
        MachineError: Slurm refuses them.
    """
    submitit = load_submitit()
    name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
    place = folder / name
    make_folder(place)
    # Before anything is in the queue, so that whoever finds a job there also finds what it runs.
    write_text(place / _RECORD, json.dumps([[stage.id for stage in stages] for stages in jobs]))
    chosen = {key.replace("_", "-"): True if value == "true" else value for key, value in options.items()}
    asked = {
        "time": math.ceil(max(_LEAST_MIN, _TIMES * seconds / 60)) * 2**kind.tries,
        "mem": f"{(_LEAST_MB + _data_mb(jobs)) * 2**kind.tries}MB",
        "cpus-per-task": kind.threads,
        **({"gpus-per-node": 1} if kind.device == "cuda" else {}),
    }
    for ours, theirs in (("mem", ("mem",)), ("gpus-per-node", ("gpus", "gres")), ("time", ("time",))):
        if any(key.startswith(theirs) for key in chosen):
            asked.pop(ours, None)
    more = {"ntasks": 1, "requeue": True, **asked, **chosen}
    with _outside_of_jobs():
        executor = submitit.SlurmExecutor(place, max_num_timeout=0)
        executor.update_parameters(
            job_name=name,
            array_parallelism=at_once,
            time=int(more["time"]) if str(more["time"]).isdecimal() else _LEAST_MIN,
            additional_parameters=more,
        )
        try:
            made = executor.submit_array([Work(tuple(map(as_sent, stages)), parent, place) for stages in jobs])
        except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError, OSError) as error:
            shutil.rmtree(place, ignore_errors=True)
            raise MachineError(
                f"Slurm refuses a job: {' '.join(str(error).split())[-400:]}",
                where=" ".join(f"--cluster {key}={value}" for key, value in options.items()) or "sbatch",
                hint="--cluster partition=NAME and other options of sbatch choose what is asked for; `sinfo` lists",
            ) from error
    return name, [job.job_id for job in made]


def _data_mb(jobs: Sequence[Sequence[Stage[Params]]]) -> int:
    """MB that stages may hold: twice their prepared data, once whole and once as batches."""
    stores = {store for stages in jobs for stage in stages for store in stage.places.get("stores", {}).values()}
    files = (path for store in stores for path in Path(store).rglob("*") if path.is_file())
    return 2 * sum(path.stat().st_size for path in files) >> 20


def load_submitit() -> Any:
    """The library that writes the scripts of jobs. Raises MachineError where it, or Slurm, is missing."""
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise not_installed("submitit", "--executor slurm") from error
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise MachineError(
            "there is no Slurm on this machine",
            where="--executor slurm",
            expected="the commands sbatch, srun and squeue",
            hint="start embench on a login node of the cluster, or in a job",
        )
    return submitit


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """A job that submits others would hand on its own size to them."""
    own = {
        name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLURM_") and name != "SLURM_CONF"
    }
    try:
        yield
    finally:
        os.environ.update(own)


def last_lines(place: Path, job: str, count: int = 5) -> tuple[Path, str]:
    """The log of a job, and the last lines of it."""
    path = place / f"{job}_0_log.err"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return path, ""
    return path, " | ".join([line.strip() for line in lines if line.strip()][-count:])


# Runs stages as jobs of Slurm. The queue and the folders of stages are all that it knows: whoever starts the same grid
# again, after this process was killed, waits for the jobs that are still there.

_ASK_S, _LOOK_S = 5.0, 1.0
"""Seconds between two looks at the queue, and at the folders of stages."""
_JOB_S = (60.0, 600.0)
"""Least and most seconds of a job that short stages are joined to."""
_USUAL = ("", "None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime")
"""Reasons of waiting jobs that will start by themselves."""
_ARRAY = 500
"""Most jobs of an array; Slurm's default limit is 1,001."""


@dataclass
class _Job:
    """A job and the stages that it runs one after the other."""

    stages: list[Stage[Params]]
    name: str
    index: int
    state: JobState
    gone: int = 0
    events: dict[str, Events] = field(default_factory=dict)


def run_on_slurm(
    todo: Sequence[Stage[Params]], outcome: Outcome, root: Path, resources: Resources, on_event: EventCallback
) -> None:
    """Runs the stages as jobs; options are those of sbatch.

    Raises:
        MachineError: Slurm or submitit is missing, or Slurm refuses a job.
    """
    load_submitit()
    make_tables(todo, min(resources.workers, cores()), on_event)
    _Grid(todo, outcome, root, resources, on_event).run()


class _Grid:
    """The stages of a grid that wait, and the jobs that run."""

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
        self.seconds = {stage.id: LITTLE_S + resources.seconds.get(stage.id, 0.0) for stage in todo}

    def run(self) -> None:
        self._adopt()
        asked = time.monotonic()
        while self.waiting or self.jobs:
            self.resources.check_wanted()
            self._hold_up()
            self._submit()
            known = None
            if time.monotonic() - asked >= _ASK_S:
                known, asked = queue(sorted({job.name for job in self.jobs})), time.monotonic()
            for job in list(self.jobs):
                if known is not None:
                    self._follow(job, known.get((job.name, job.index)))
                self._collect(job)
            if self.jobs:
                time.sleep(_LOOK_S)

    def _adopt(self) -> None:
        """Finds the jobs that a process before this one left in the queue."""
        known = submissions(self.folder)
        states = queue(sorted(known))
        if states is None:  # to submit everything once more would fill the queue with what is there already
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
        """Submits the stages that can start."""
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
        """The stages that can start, by what they need, as jobs: short ones together, each after its inputs. A stage of
        which a worker died is alone."""
        least, most = _JOB_S
        length = min(most, max(least, self._length(self.waiting.values()) / self.resources.workers))
        packed: dict[JobKind, list[list[Stage[Params]]]] = {}
        place: dict[str, tuple[JobKind, int]] = {}
        for stage in self.waiting.values():
            kind = JobKind(stage.params.common.device, stage.params.common.threads, self.tries[stage.id])
            jobs = packed.get(kind, [])
            missing = {place.get(id_) for id_ in stage.inputs.values() if id_ not in self.outcome.results}
            if missing:
                # It goes with the stage that it needs, or waits for it.
                (where,) = missing if len(missing) == 1 else (None,)
                if where is None or where[0] != kind or kind.tries:
                    continue
            elif jobs and not kind.tries and self._length(jobs[-1]) + self.seconds[stage.id] <= length:
                where = (kind, len(jobs) - 1)
            else:
                where = (kind, len(jobs))
                packed.setdefault(kind, []).append([])
            packed[kind][where[1]].append(stage)
            place[stage.id] = where
        return packed

    def _length(self, stages: Iterable[Stage[Params]]) -> float:
        return sum(self.seconds[stage.id] for stage in stages)

    def _follow(self, job: _Job, state: JobState | None) -> None:
        """Updates a job from Slurm's state; one that Slurm has forgotten has ended."""
        if state is not None:
            job.state = state
        over = state is None or not state.queued
        job.gone = job.gone + 1 if over else 0
        if job.state.word == "PENDING" and job.state.reason not in _USUAL:
            self.on_event({"event": "note", "text": f"a job waits in Slurm's queue: {job.state.reason}"})

    def _collect(self, job: _Job) -> None:
        """Collects the stages of a job that ended, and the events of the one that runs. Unfinished stages of a job wait
        again."""
        if job.state.word == "PENDING" and not job.gone:
            return
        while job.stages:
            first = job.stages[0]
            if blocker := self.outcome.blocker(first):
                self.outcome.held_up[first.id] = blocker
            elif any(id_ in self.waiting for id_ in first.inputs.values()):
                self.waiting[first.id] = first  # what it needs is tried again
            elif not self._ended(first, job):
                break
            del job.stages[0]
        if job.stages and job.state.word == "RUNNING":
            job.events[first.id].poll()
        # Seen twice, since what a job wrote last may be seen after its end.
        if not job.stages or job.gone >= 2:
            self.jobs.remove(job)
        if job.stages and job.gone >= 2:
            self.waiting = {stage.id: stage for stage in job.stages} | self.waiting
            if all(id_ in self.outcome.results for id_ in first.inputs.values()):  # else it was never begun
                self._died(first, job)

    def _ended(self, stage: Stage[Params], job: _Job) -> bool:
        folder, fault = Folder(self.root, stage.id), fault_file(self.folder / job.name, stage.id)
        if finished(folder):
            self.outcome.results[stage.id] = folder.result()
            job.events[stage.id].poll()
        elif fault.is_file():
            error = pickle.loads(fault.read_bytes())  # noqa: S301  our own worker wrote it
            if isinstance(error, OutOfMemory):
                if self._waits_again(stage, f"{error.what}, which is tried again alone and with more"):
                    return True
                error = given_up(error)
            self.outcome.errors[stage.id] = error
        else:
            return False
        self._end(stage, job)
        return True

    def _died(self, stage: Stage[Params], job: _Job) -> None:
        """The worker of a stage is gone: the stage is tried again with more time and memory, or has failed."""
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
        """Requeues a stage whose worker died or ran out of memory, unless it has been begun too often."""
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
