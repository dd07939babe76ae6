"""Jobs of Slurm: their work, their submission, and their state in the queue."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from embench.engine.executors.remote import Parent, as_sent, finished, work_on
from embench.engine.specs import Params
from embench.engine.stage import Folder, Stage
from embench.errors import EmbenchError, MachineError
from embench.files import make_folder, write_text, write_whole
from embench.system import not_installed

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
