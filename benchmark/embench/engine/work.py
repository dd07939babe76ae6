"""Run one stage: in this process, in a separate process, or as a worker on another machine."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import embench
from embench import registry
from embench.engine import device as machine
from embench.engine import fits, network
from embench.engine.assemble import recompute_derived
from embench.engine.predict import PredictionSetup, average_rows, predict_units, prepare_predictions, row_deviations
from embench.engine.stage import RESULT, FitParams, Folder, FusionParams, Params, PredictParams, PretrainParams, Stage
from embench.errors import EmbenchError, MachineError, OutOfMemory, PluginError
from embench.files import DamagedError, make_folder, write_text
from embench.registry.catalogue import display_name, installed
from embench.registry.fragments import folders
from embench.system import (
    EventCallback,
    fitting,
    installed_version,
    limited_threads,
    locked,
    out_of_memory,
    processor_name,
)

_RUNNERS: dict[str, Callable[[Stage[Any], Folder, Path], dict[str, Any]]] = {
    "pretrain": fits.run_pretrain,
    "unimodal": fits.run_network,
    "fusion": fits.run_network,
    "estimator": fits.run_estimator,
    "predict": predict_units,
}

_EMBENCH = Path(__file__).parents[1]
_WITHOUT = re.compile(r"(.+?) does not have a deterministic implementation")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


def run_stage(stage: Stage[Params], root: Path, on_event: EventCallback | None = None) -> dict[str, Any]:
    """Return the result of a stage: read it if it exists undamaged, else run the stage. A lock keeps other processes
    from running the same stage. `on_event` receives each event that is appended to the stage's file of events.

    Raises:
        EmbenchError: its class names the cause of the failure. The traceback is in the stage's `error.txt`."""
    folder = Folder(root, stage.id, on_event)
    with naming_faults(stage, folder):
        make_folder(folder.path)
        with locked(folder.path / "lock"):
            if folder.done:
                folder.set_aside()
            if folder.done:
                return folder.result()
            return _run_locked(stage, folder, root)


@contextmanager
def naming_faults(stage: Stage[Params], folder: Folder) -> Iterator[None]:
    """Turn exceptions into an EmbenchError whose class names the cause, such as PluginError or MachineError."""
    try:
        yield
    except EmbenchError as error:
        plugins = (
            " or ".join(_plugin_files(stage, folder.path.parent).values()) if isinstance(error, PluginError) else ""
        )
        error.where = error.where or ", ".join(filter(None, (plugins, stage.title)))
        machine.release(error, stage.params.common.device)
        raise
    except (Exception, SystemExit) as error:  # a plugin that ends the program
        with suppress(OSError):  # if the disk failed, the error itself reports it
            (folder.path / "error.txt").write_text(traceback.format_exc(), "utf-8")
        named = _name_cause(error, stage, folder)
        machine.release(error, stage.params.common.device)
        raise named from error


def _run_locked(stage: Stage[Params], folder: Folder, root: Path) -> dict[str, Any]:
    """Run a stage whose lock is held. Write its description, its files and its result, and return the result."""
    content = {"kind": stage.kind, "params": stage.params.plain(), "inputs": stage.inputs, "about": stage.description}
    text = json.dumps(content, indent=1)  # modalities keep their order
    folder.write("stage.json", lambda path: path.write_text(text, newline="\n"))
    device, threads = stage.params.common.device, stage.params.common.threads
    for plugin_kind, name in _stage_plugins(stage, folder.path.parent):
        registry.load_plugin(plugin_kind, name)  # before seeding: the import of a module may draw numbers
    machine.use_gpu(stage.places.get("gpu"))
    machine.seed_everything(stage.seed, threads, device)
    machine.reset_peak(device)
    started_s, started_cpu_s, started_j = time.monotonic(), _cpu_s(), machine.energy_j(device)
    with fitting(threads):
        result = _RUNNERS[stage.kind](stage, folder, root)
    result |= {"wall_seconds": time.monotonic() - started_s, "cpu_seconds": _cpu_s() - started_cpu_s}
    gpu = machine.gpu_name(device)
    result |= {"gpu_seconds": result["wall_seconds"] if gpu else None, "processor": processor_name(), "gpu": gpu}
    result["peak_memory_mb"] = machine.peak_memory_mb(device)
    result["energy_j"] = None if started_j is None else (machine.energy_j(device) or started_j) - started_j
    folder.finish(result)
    return result


def _cpu_s() -> float:
    """Return the processor seconds of this process and its ended children."""
    return sum(os.times()[:4])


def _name_cause(error: Exception | SystemExit, stage: Stage[Params], folder: Folder) -> EmbenchError:
    """Return an error that names the cause: the machine, a plugin (if its files hold the innermost frame), or
    embench."""
    if out_of_memory(error):
        hint = "a smaller batch takes less: --set encoder.batch=16 --set fusion.batch=16; or a machine with more memory"
        return OutOfMemory(f"out of memory in {stage.title}", hint=hint)
    if isinstance(error, OSError) and error.errno in _DISK:
        return MachineError(f"{error.strerror} in {stage.title}", where=str(error.filename), hint="free some space")
    for id_ in stage.inputs.values():
        try:
            Folder(folder.path.parent, id_).check()
        except DamagedError as damaged:  # since the run began
            again = "rerun the same command to make it again"
            return MachineError(f"{damaged.what}, which {stage.title} reads", where=damaged.where, hint=again)
    files = _plugin_files(stage, folder.path.parent)
    ours = (frame for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename in files)
    frame = next(ours, None)
    if refused := _WITHOUT.match(str(error)):
        # Gradients are computed in no line of a plugin: then the plugin is one of the stage's.
        names = files[frame.filename] if frame else " or ".join(files.values())
        return PluginError(
            f"{names} uses {refused[1]} in {stage.title}, which is not deterministic on this device",
            where=f"{frame.filename}:{frame.lineno}" if frame else None,
            expected="operations that give the same numbers each time, also for gradients",
            hint="use another operation (torch.use_deterministic_algorithms lists those that fail), or --device cpu",
        )
    if frame or _raised_in_network(error):
        named = _stage_plugins(stage, folder.path.parent)
        names = files[frame.filename] if frame else " or ".join(f"{kind} {display_name(name)}" for kind, name in named)
        origins = (registry.origin(registry.find(kind, name)) for kind, name in named)
        return PluginError(
            f"{names} failed in {stage.title}: {type(error).__name__}: {error}",
            where=f"{frame.filename}:{frame.lineno}" if frame else "; ".join(dict.fromkeys(origins)),
            hint=f"the full traceback is in {folder.file('error.txt')}",
        )
    return EmbenchError(
        f"a bug in embench, in {stage.title}: {type(error).__name__}: {error}",
        where=str(folder.file("error.txt")),
        hint="please report it and attach that file",
    )


def _raised_in_network(error: BaseException) -> bool:
    """Return True if a torch layer or its gradient raised in a network that a plugin built."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    innermost = next((k for k in reversed(range(len(frames))) if Path(frames[k]).is_relative_to(_EMBENCH)), len(frames))
    next_file = Path(frames[innermost + 1]).as_posix() if innermost + 1 < len(frames) else ""
    return next_file.endswith(("torch/nn/modules/module.py", "torch/_tensor.py"))


def _stage_plugins(stage: Stage[Params], root: Path) -> list[tuple[str, str]]:
    """Return (kind, name) of every plugin that a stage uses."""
    fitted = stage.inputs.get("fitted")
    params = network.describe(Folder(root, fitted)).params if fitted else stage.params
    named = [("encoder", part.name) for part in params.modalities.values()] if isinstance(params, FitParams) else []
    if isinstance(params, FusionParams | PretrainParams) and params.fusion:
        named.append(("fusion", params.fusion.name))
    if isinstance(params, PretrainParams):
        named.append(("pretrainer", params.pretrainer.name))
    return named


def _plugin_files(stage: Stage[Params], root: Path) -> dict[str, str]:
    """Return source file -> plugin name, for every plugin that a stage uses."""
    named = _stage_plugins(stage, root)
    found = [(f"{kind} {display_name(name)}", registry.find(kind, name)) for kind, name in named]
    return {file: title for title, entry in found for file in registry.code_files(entry)}


# Predictions are repeated in a fresh process, where a plugin cannot remember its inputs: its numbers must equal those
# of the run.

FEW_ROWS = 16
"""Number of rows of each stage that are predicted again. At least one whole unit is drawn, even if it has more rows."""

SPANS = 8
"""Number of segments of the recording whose features are computed again."""


def check_alone(stages: Sequence[Stage[PredictParams]], root: Path) -> None:
    """Check that predictions of finished stages do not depend on earlier inputs of their plugins. Some rows are
    predicted again, one at a time, and compared with the stored predictions. Call it in a fresh process.

    First, features and streams of the last tested recording are computed again, without any recording before it. If
    methods adapt to subjects, the last subject comes first.

    Raises:
        PluginError: numbers differ. The error names the plugins, and the units or the recording."""
    last = max(stages, key=lambda stage: int(stage.task["recording"].max(initial=-1)))
    for stage in [last, *(stage for stage in stages if stage is not last)]:
        common, folder = stage.params.common, Folder(root, stage.id)
        machine.seed_everything(stage.seed, common.threads, common.device)
        with naming_faults(stage, folder), limited_threads(common.threads):
            setup = prepare_predictions(stage, root)
            if stage is last:
                _check_recording(stage, setup)
            _check_rows(stage, setup, folder)


def _check_rows(stage: Stage[PredictParams], setup: PredictionSetup, folder: Folder) -> None:
    """Predict some rows of a stage again, one at a time, and compare them with its stored predictions."""
    if not len(setup.rows):
        return
    with np.load(folder.file("predictions.npz")) as arrays:
        known = arrays["score"]
    rows = _draw_units(setup, stage.seed)
    if stage.params.given:  # in reverse order, so that every subject has another predecessor
        rows = np.unique(np.concatenate([_last_subject_unit(setup), rows]))
        rows = rows[np.argsort(setup.subject[rows], kind="stable")[::-1]]
    predictor = setup.predictor(None)
    alone = np.concatenate([predictor(rows[i : i + 1])["score"] for i in range(len(rows))]).astype(np.float64)
    table = average_rows(alone, setup.grid.unit, len(known), setup.data.size, rows)
    units = np.flatnonzero(np.isfinite(table).all(1))
    gap, tolerance = row_deviations(table[units], known[units]), setup.tolerance
    if not np.isfinite(alone).all():
        raise PluginError("the prediction of a single row is not a finite number", where=setup.names)
    if not (gap <= tolerance).all():
        named = [f"unit {setup.unit_ids[units[i]]} differs by {gap[i]:.2g}" for i in np.argsort(-gap)[:3]]
        raise PluginError(
            "a unit's prediction depends on the units that were predicted before it: " + ", ".join(named),
            where=setup.names,
            expected=f"the same prediction, within {tolerance:g}",
            hint="a method must not remember the rows that it predicts, nor use neighbouring rows",
        )


def _draw_units(setup: PredictionSetup, seed: int) -> np.ndarray:
    """Return the rows (k,) of randomly drawn units."""
    unit_of_row = setup.grid.unit[setup.rows]
    units, counts = np.unique(unit_of_row, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(units))
    taken = max(1, int((np.cumsum(counts[order]) <= FEW_ROWS).sum()))
    return setup.rows[np.isin(unit_of_row, units[order[:taken]])]


def _last_subject_unit(setup: PredictionSetup) -> np.ndarray:
    """Return the rows (k,) of a unit of the subject whose name sorts last."""
    subject, unit = setup.subject[setup.rows], setup.grid.unit[setup.rows]
    return setup.rows[unit == unit[subject == np.unique(subject)[-1]][0]]


def _check_recording(stage: Stage[PredictParams], setup: PredictionSetup) -> None:
    """Compute the features or streams of the last tested recording again, and compare them with the stored ones."""
    recording = int(stage.task["recording"].max(initial=-1))
    for m, part in setup.params.modalities.items():
        pair = recompute_derived(setup.source, m, part, setup.params, recording, SPANS)
        if pair is None:
            continue
        again, known = pair
        if again.shape != known.shape or not np.allclose(again, known, rtol=1e-4, atol=1e-5, equal_nan=True):
            name = setup.source.store.recordings[recording].id
            raise PluginError(
                f"{m} of recording {name} gets other features alone than after other recordings",
                where=part.name,
                expected="features of a segment that depend on the signal of its recording only",
                hint="an encoder must not remember recordings, nor the other segments of one",
            )


# Shared parts of executors on other machines: the worker's environment, and its results of a stage.
#
# Stages, prepared data and runs lie in folders that all machines share, under the same absolute paths. Machines need
# nothing else in common, and of these folders only what NFS guarantees:
#
# - A rename is atomic: a file is there whole or not at all.
# - A file closed on one machine is seen completely when opened afterwards on another, and a new listing of a folder
#   shows files renamed into it.
# - `events.jsonl` is appended to by one process at a time. Its reader may be late, and takes complete lines only.

UNFORECAST_S = 10.0
"""Seconds that a stage without a forecast is assumed to take."""


@cache
def environment() -> dict[str, str]:
    """Return name -> version of Python, libraries, embench and plugin packages, the last two with a digest of their
    source. All machines of a grid must have the same."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    found |= {name: installed_version(name) for name in ("numpy", "scikit-learn", "scipy", "torch")}
    found["embench"] = f"{embench.__version__} {_hash_source(Path(embench.__file__).parent)}"
    for package in installed().values():
        found[package.name] = " ".join([package.version, *map(_hash_source, folders(package.name))])
    return found


def _hash_source(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


@dataclass(frozen=True)
class Parent:
    """The process that sends stages to a worker: its folder of stages (`root`), versions (`environment`), working
    `folder`, import `path` and environment `variables`."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=environment)
    folder: Path = field(default_factory=Path.cwd)
    path: Sequence[str] = field(default_factory=lambda: tuple(sys.path))
    variables: Mapping[str, str] = field(
        default_factory=lambda: {k: v for k, v in os.environ.items() if k.startswith(("EMBENCH_", "OMP_"))}
    )

    def enter(self) -> None:
        """Give this process the parent's environment variables, working folder and import path. Record this machine's
        versions in `workers/`, beside the folder of stages.

        Raises:
            MachineError: this machine doesn't see the folder of the stages, or has other versions."""
        host = platform.node()
        if not self.root.is_dir():
            raise MachineError(
                f"{host} does not see the folder of the stages",
                where=str(self.root),
                expected="the same folder under the same path on all machines",
                hint="name a shared folder with --runs, and another for prepared data with EMBENCH_CACHE",
            )
        os.environ.update(self.variables)
        if self.folder.is_dir():
            os.chdir(self.folder)
        sys.path += [place for place in self.path if place not in sys.path]
        record = self.root.parent / "workers" / f"{host}.txt"
        text = "".join(f"{name} {version}\n" for name, version in environment().items())
        if not record.is_file() or record.read_text() != text:
            record.parent.mkdir(exist_ok=True)
            write_text(record, text)
        self.compare()

    def compare(self) -> None:
        """Raise MachineError if this process has other versions than the parent."""
        ours = environment()
        for name in sorted({*ours, *self.environment}):
            here, there = ours.get(name, "absent"), self.environment.get(name, "absent")
            if here != there:
                raise MachineError(
                    f"{name} differs on {platform.node()}: {here}, not {there}",
                    where=sys.executable,
                    expected="the same versions on all machines, since they decide the numbers",
                    hint="install embench once in a shared folder, and start it from there",
                )


def prepare_for_transport(stage: Stage[Params]) -> Stage[Params]:
    """Return a stage without its GPU number, which has no meaning on another machine."""
    return replace(stage, places={name: place for name, place in stage.places.items() if name != "gpu"})


def run_in_worker(stage: Stage[Params], parent: Parent) -> dict[str, Any] | EmbenchError:
    """Run a stage in a worker. Return errors instead of raising them, since executors wrap exceptions differently."""
    try:
        parent.enter()
        for store in stage.places.get("stores", {}).values():
            if not Path(store).is_dir():
                raise MachineError(
                    f"{platform.node()} does not see the prepared data",
                    where=store,
                    expected="the same folder under the same path on all machines",
                    hint="set EMBENCH_CACHE to a shared folder, and rerun the same command",
                )
        return run_stage(stage, parent.root)
    except EmbenchError as error:
        return error


def is_finished(folder: Folder) -> bool:
    """Return True if a stage has finished. The folder is listed, because NFS may cache a missing file name."""
    try:
        return RESULT in os.listdir(folder.path)  # noqa: PTH208  names are enough
    except FileNotFoundError:
        return False
