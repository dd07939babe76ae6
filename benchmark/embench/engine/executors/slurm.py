"""Runs stages as jobs of Slurm. The queue and the folders of stages are all that it knows: whoever starts the same grid
again, after this process was killed, waits for the jobs that are still there."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from embench.callbacks import EventCallback
from embench.engine.executors import WORKER_TRIES, Outcome, Resources, given_up
from embench.engine.executors.events import Events
from embench.engine.executors.jobs import (
    JobKind,
    JobState,
    fault_file,
    last_lines,
    load_submitit,
    queue,
    submissions,
    submit_jobs,
)
from embench.engine.executors.remote import LITTLE_S, Parent, finished
from embench.engine.specs import Params
from embench.engine.stage import Folder, Stage
from embench.engine.tables import make_tables
from embench.errors import MachineError, OutOfMemory
from embench.system import cores

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
