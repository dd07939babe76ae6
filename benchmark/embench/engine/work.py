"""Runs one stage: takes its lock, skips what is done, seeds, dispatches, and turns faults into errors with a name."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from embench import registry
from embench.callbacks import EventCallback
from embench.checksums import DamagedError
from embench.engine import device as machine
from embench.engine import estimators, fits, network
from embench.engine.predict import predict_units
from embench.engine.specs import FitParams, FusionParams, Params, PretrainParams
from embench.engine.stage import Folder, Stage
from embench.errors import EmbenchError, MachineError, OutOfMemory, PluginError
from embench.files import make_folder
from embench.registry.objects import shown_name
from embench.system import limited_threads, locked, out_of_memory, processor_name

_RUN: dict[str, Callable[[Stage[Any], Folder, Path], dict[str, Any]]] = {
    "pretrain": fits.run_pretrain,
    "unimodal": fits.run_network,
    "fusion": fits.run_network,
    "estimator": estimators.run_estimator,
    "predict": predict_units,
}

_EMBENCH = Path(__file__).parents[1]
_WITHOUT = re.compile(r"(.+?) does not have a deterministic implementation")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


def run_stage(stage: Stage[Params], root: Path, on_event: EventCallback | None = None) -> dict[str, Any]:
    """Runs a stage unless its result is there already, as it was written; two processes that want the same one share
    it. `on_event` is called with what happens, beside it being written to the stage's events.

    Raises:
        EmbenchError: of the kind that names whose fault it is; the traceback lies in the stage's `error.txt`.
    """
    folder = Folder(root, stage.id, on_event)
    with naming_faults(stage, folder):
        make_folder(folder.path)
        with locked(folder.path / "lock"):
            if folder.done:
                folder.set_aside()
            if folder.done:
                return folder.result()
            return _run(stage, folder, root)


@contextmanager
def naming_faults(stage: Stage[Params], folder: Folder) -> Iterator[None]:
    """Turns exceptions into an EmbenchError whose kind names the cause."""
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
        _keep(folder, traceback.format_exc())
        named = _named(error, stage, folder)
        machine.release(error, stage.params.common.device)
        raise named from error


def _run(stage: Stage[Params], folder: Folder, root: Path) -> dict[str, Any]:
    content = {"kind": stage.kind, "params": stage.params.plain(), "inputs": stage.inputs, "about": stage.description}
    text = json.dumps(content, indent=1)  # modalities keep their order
    folder.write("stage.json", lambda path: path.write_text(text, newline="\n"))
    device, threads = stage.params.common.device, stage.params.common.threads
    for plugin_kind, name in _plugins(stage, folder.path.parent):
        registry.load(plugin_kind, name)  # before the seeds: a module may draw when a worker's first stage imports it
    machine.use_gpu(stage.places.get("gpu"))
    machine.seed_everything(stage.seed, threads, device)
    machine.reset_peak(device)
    began, computed, used = time.monotonic(), _cpu_s(), machine.energy_j(device)
    with limited_threads(threads), _hearing_interrupts():
        result = _RUN[stage.kind](stage, folder, root)
    result |= {"wall_s": time.monotonic() - began, "cpu_s": _cpu_s() - computed}
    result["gpu_s"] = 0.0 if device == "cpu" else result["wall_s"]
    result |= {"processor": processor_name(), "peak_memory_mb": machine.peak_memory_mb(device)}
    result["energy_j"] = None if used is None else (machine.energy_j(device) or used) - used
    folder.finish(result)
    return result


def _cpu_s() -> float:
    """Seconds that this process has computed, and those that it has started and that are over."""
    return sum(os.times()[:4])


@contextmanager
def _hearing_interrupts() -> Iterator[None]:
    """Raises what a library keeps to itself: scikit-learn's perceptrons and skorch's networks end their training where
    an interrupt finds them, and count as fitted."""
    heard = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        try:
            before[signal.Signals(number)](number, frame)
        except KeyboardInterrupt:
            heard.set()
            raise

    main_thread = threading.current_thread() is threading.main_thread()  # no other sees a signal
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if main_thread}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in before:
            signal.signal(number, hear)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard.is_set():
        raise KeyboardInterrupt


def _keep(folder: Folder, trace: str) -> None:
    try:
        (folder.path / "error.txt").write_text(trace, "utf-8")
    except OSError:
        return  # the disk is what failed; the error itself says so


def _named(error: Exception | SystemExit, stage: Stage[Params], folder: Folder) -> EmbenchError:
    """The error by its cause: the machine, a plugin (the innermost frame in one of the stage's plugins), or embench."""
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
        # Most have none for their gradient, which no line of a plugin computes: then it is one of the stage's.
        names = files[frame.filename] if frame else " or ".join(files.values())
        return PluginError(
            f"{names} uses {refused[1]} in {stage.title}, which is not deterministic on this device",
            where=f"{frame.filename}:{frame.lineno}" if frame else None,
            expected="operations that give the same numbers each time, also for gradients",
            hint="use another operation (torch.use_deterministic_algorithms lists those that fail), or --device cpu",
        )
    if frame or _of_a_network(error):
        named = _plugins(stage, folder.path.parent)
        names = files[frame.filename] if frame else " or ".join(f"{kind} {shown_name(name)}" for kind, name in named)
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


def _of_a_network(error: BaseException) -> bool:
    """True where a layer of torch, or its gradient, raised: where no line of a plugin did, in a network that it
    builds."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    inside = next((k for k in reversed(range(len(frames))) if Path(frames[k]).is_relative_to(_EMBENCH)), len(frames))
    called = Path(frames[inside + 1]).as_posix() if inside + 1 < len(frames) else ""
    return called.endswith(("torch/nn/modules/module.py", "torch/_tensor.py"))


def _plugins(stage: Stage[Params], root: Path) -> list[tuple[str, str]]:
    """Kind and name of every plugin that a stage uses."""
    fitted = stage.inputs.get("fitted")
    params = network.describe(Folder(root, fitted)).params if fitted else stage.params
    named = [("encoder", part.name) for part in params.modalities.values()] if isinstance(params, FitParams) else []
    if isinstance(params, FusionParams | PretrainParams) and params.fusion:
        named.append(("fusion", params.fusion.name))
    if isinstance(params, PretrainParams):
        named.append(("pretrainer", params.pretrainer.name))
    return named


def _plugin_files(stage: Stage[Params], root: Path) -> dict[str, str]:
    """Source file -> name of the plugin in it, of every plugin that a stage uses."""
    named = _plugins(stage, root)
    found = [(f"{kind} {shown_name(name)}", registry.find(kind, name)) for kind, name in named]
    return {file: title for title, entry in found for file in registry.code_files(entry)}
