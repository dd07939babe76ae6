"""Reads damaged datasets, each in a process of its own with little memory and little time, and judges what comes out.

What may come out: a reading, or a DataError that names a file. What may not: another error, a reading that makes no
sense, more than 2 GB of memory, more than 10 s, a crash, or code that ran.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embench import registry
from embench.errors import DataError
from embench.interfaces.dataset import Dataset
from embench.interfaces.recording import Recording

from .formats import CANARY
from .mutations import mutate

DATASETS = {
    "amigos": (2, 12.0, ("deap",)),
    "amigos/long": (2, 12.0, ("amigos",)),
    "amigos/external": (2, 12.0, ("stress_predict",)),
    "deap": (2, 6.0, ("wesad", "amigos")),
    "k_emocon": (2, 30.0, ("stress_predict",)),
    "case": (2, 40.0, ("k_emocon",)),
    "wesad": (2, 60.0, ("stress_predict",)),
    "wesad/chest": (2, 60.0, ("stress_predict",)),
    "stress_predict": (2, 60.0, ("k_emocon",)),
    "wearable_stress": (2, 60.0, ("stress_predict",)),
    "wearable_stress/exercise": (2, 60.0, ("stress_predict",)),
    "hku956": (2, 12.0, ("wearable_stress",)),
    "eegmat": (2, 30.0, ("corpus",)),
    "quiroz2018": (2, 20.0, ("hku956", "stress_predict")),
    "emoeeg_mc": (2, 2.0, ("eegmat", "faced")),
    "emoeeg_mc/processed": (2, 2.0, ("emoeeg_mc", "faced")),
    "faced": (2, 4.0, ("eegmat", "wearable_stress")),
    "faced/processed": (2, 30.0, ("faced", "deap")),
    "corpus": (2, 10.0, ("stress_predict", "case")),
    "own": (2, 60.0, ("stress_predict", "corpus")),
}
"""Of the generated sets: people and seconds, as few as the formats allow, and datasets whose files take the place of
their own: of like formats, where there are some."""

MEMORY = 2 << 30
SECONDS = 10
_WALL_S = 90.0
"""Seconds on the clock after which a process that waits instead of working is ended; others may use the machine too."""

_RUNS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn", "socket.connect")
_PICKLED = ("numpy", "_codecs")


@dataclass
class Result:
    """What came out of a dataset's mutations: how many were read and refused, and the failures, each to be replayed."""

    name: str
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def world(name: str, folder: Path) -> Path:
    """A small synthetic dataset."""
    subjects, seconds, _ = DATASETS[name]
    root = folder / name.replace("/", "_")
    registry.synthesizer(name)(root, subjects=subjects, seed=0, effect=1.0, length_s=seconds)
    return root


def fuzz(name: str, first: int, count: int, keep: Path | None = None) -> Result:
    """Mutations `first` to `first + count` of one dataset; damaged folders that failed are kept below `keep`."""
    result = Result(name)
    cls = registry.load_plugin("dataset", name)
    with tempfile.TemporaryDirectory(prefix="embench-fuzz-") as place:
        whole = world(name, Path(place, "whole"))
        outcome = _apart(cls, whole)
        if outcome["kind"] != "read":
            result.failures.append(f"{name}: not damaged at all: {outcome}")
        reader = cls(whole)
        used = sorted({f.relative_to(whole).as_posix() for owner in reader.subjects() for f in reader.files(owner)})
        others = [world(other, Path(place, "others")) for other in DATASETS[name][2]]
        strangers = [file for other in others for file in sorted(other.rglob("*")) if file.is_file()]
        for seed in range(first, first + count):
            root = Path(place, "damaged", name.partition("/")[0])
            shutil.copytree(whole, root, copy_function=os.link)
            how = mutate(root, np.random.default_rng([zlib.crc32(name.encode()), seed]), used, strangers)
            outcome = _apart(cls, root)
            result.outcomes[outcome["kind"]] += 1
            if outcome["kind"] == "failed":
                result.failures.append(f"{name} {seed}: {how}: {outcome['what']}")
                if keep:
                    shutil.copytree(root, keep / str(seed) / root.name, dirs_exist_ok=True)
            shutil.rmtree(Path(place, "damaged"))
    return result


def _apart(cls: type[Dataset], root: Path) -> dict[str, str]:
    """What reading gives, in a process of its own."""
    canaries = [place / CANARY for place in (Path.cwd(), root, *root.parents[:3], Path("/tmp"))]
    back, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(back)
        _limit()
        outcome = _judge(cls, root)
        os.write(out, json.dumps(outcome).encode()[:60_000])
        os._exit(0)
    os.close(out)
    os.set_blocking(back, False)
    until, status = time.monotonic() + _WALL_S, None
    while status is None:
        ended, code = os.waitpid(child, os.WNOHANG)
        if ended:
            status = code
        elif time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            until = float("inf")
        else:
            time.sleep(0.002)
    text = b""
    with contextlib.suppress(BlockingIOError):
        text = os.read(back, 65_536)
    os.close(back)
    ran = [str(path) for path in canaries if path.exists()]
    for path in ran:
        Path(path).unlink()
    if ran:
        return {"kind": "failed", "what": f"code ran and left {ran}"}
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        slow = number in (signal.SIGXCPU, signal.SIGKILL)
        why = f"more than {SECONDS} s" if slow else f"crashed with signal {signal.Signals(number).name}"
        return {"kind": "failed", "what": why}
    return json.loads(text) if text else {"kind": "failed", "what": f"ended without an answer, status {status}"}


def _limit() -> None:
    """Little memory and time, no output, and an eye on what is run."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    warnings.simplefilter("ignore")
    faulthandler.disable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    seconds = int(spent) + SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_watch)


_ran: list[str] = []


def _watch(event: str, arguments: Any) -> None:
    looked_up = event == "pickle.find_class" and not str(arguments[0]).startswith(_PICKLED)
    if looked_up or event in _RUNS:
        _ran.append(f"{event} {arguments}")


def _judge(cls: type[Dataset], root: Path) -> dict[str, str]:
    """`read`, `refused`, or `failed` with what is wrong, of one folder."""
    outcomes = []
    try:
        outcomes += list(_attempts(cls, root))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what we look for
        outcomes.append(f"{type(error).__name__}: {error} {_place(error)}")
    if _ran:
        outcomes.append(f"looked up or ran {_ran[:3]}")
    wrong = [outcome for outcome in outcomes if outcome not in ("read", "refused")]
    if wrong:
        return {"kind": "failed", "what": "; ".join(dict.fromkeys(wrong))[:2000]}
    return {"kind": "refused" if "refused" in outcomes else "read", "what": ""}


def _attempts(cls: type[Dataset], root: Path) -> Iterator[str]:
    try:
        reader = cls(root)
        subjects = reader.subjects()
    except DataError as error:
        yield _refusal(error, root)
        return
    yield "read"
    for subject in subjects:
        try:
            reader.files(subject)
            for recording in reader.recordings(subject):
                yield _sense(recording, subject)
        except DataError as error:
            yield _refusal(error, root)
    try:
        findings = reader.verify()
        yield "read" if all(f.severity in ("error", "warning", "note") for f in findings) else f"findings {findings}"
    except DataError as error:
        yield _refusal(error, root)


def _refusal(error: DataError, root: Path) -> str:
    where = error.where or ""
    named = str(root) in where or any(p.name in where for p in root.rglob("*") if len(p.name) > 2)
    return "refused" if named else f"DataError names no file, but `{where}`: {error.what}"


def _sense(recording: Recording, subject: str) -> str:
    """`read`, or what is wrong with a recording however its files are damaged."""
    wrong = []
    if recording.subject != subject or not (np.isfinite(recording.duration_s) and recording.duration_s > 0):
        wrong.append(f"subject {recording.subject}, {recording.duration_s} s")
    for modality, signal_ in recording.signals.items():
        data = signal_.data
        if data.dtype != np.float32 or data.ndim != 2 or data.shape[0] != len(signal_.channels) or not data.shape[1]:
            wrong.append(f"{modality} {data.dtype} {data.shape}")
        if not np.isfinite(signal_.rate) or signal_.rate <= 0:
            wrong.append(f"{modality} {signal_.rate} Hz")
    for name, label in recording.labels.items():
        if label.values.ndim != 1 or not label.values.size:
            wrong.append(f"{name} {label.values.shape}")
        elif label.times is not None and (
            label.times.shape != label.values.shape or not (np.diff(label.times) >= 0).all()
        ):
            wrong.append(f"times of {name}")
    return f"{recording.id}: {', '.join(wrong)}" if wrong else "read"


def _place(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "embench" in f.filename]
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames[-4:]))
