"""The machine a stage runs on: device, precision, threads, seeds, free memory."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import traceback
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from embench import system
from embench.errors import MachineError, OutOfMemory, UsageError


def resolve_device(name: str) -> str:
    """Return the kind of device that a name such as `auto` or `cuda:1` means: cpu, cuda or mps.

    Raises:
        UsageError: unknown name. MachineError: this machine has no such device."""
    name, numbered, number = name.partition(":")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto" and not numbered:
        return "cuda" if available["cuda"] else "cpu"
    if name not in available or (numbered and not (name == "cuda" and number.isdecimal())):
        raise UsageError(
            f"no device is called {name + numbered + number!r}",
            where="--device",
            expected=f"auto, {', '.join(available)}, or a GPU by its number, such as cuda:1",
        )
    if not available[name]:
        raise MachineError(
            f"no {name.upper()} device is available",
            where=f"--device {name}",
            hint="use --device cpu, or --device auto",
        )
    if numbered:
        count = torch.cuda.device_count()
        if int(number) >= count:
            raise MachineError(
                f"there is no GPU {number}",
                where=f"--device {name}:{number}",
                expected=", ".join(f"cuda:{i}" for i in range(count)),
            )
        use_gpu(int(number))
    return name


def gpu_in_use(device: str) -> int | None:
    """Return the number of the GPU that this process uses; None if the device is not a GPU."""
    return torch.cuda.current_device() if device == "cuda" else None


def gpu_name(device: str) -> str | None:
    """Return the name of the GPU that stages on this device use, such as `NVIDIA H200` or `mps`; None for a CPU."""
    return torch.cuda.get_device_name() if device == "cuda" else None if device == "cpu" else device


def use_gpu(number: int | None) -> None:
    """Make `cuda` mean the GPU of this number in this process; None changes nothing."""
    if number is not None:
        torch.cuda.set_device(number)


def seed_everything(seed: int, threads: int, device: str) -> None:
    """Make later computations repeatable: seeds, threads, float32, deterministic kernels. From now on, an operation
    without a deterministic form raises RuntimeError on CUDA, and warns elsewhere.

    Args:
        seed: 0 to 2**32 - 1."""
    random.seed(seed)
    # With seed alone numpy would draw the same numbers as torch on the CPU, and with [seed] the same as `random`.
    np.random.seed([seed, 1])  # noqa: NPY002  plugins may use libraries that draw from it
    # On a CPU, torch.manual_seed would also store the seed and a stack trace for each kind of GPU.
    (torch.default_generator if device == "cpu" else torch).manual_seed(seed)
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)  # a notebook may have chosen another type, which workers do not inherit
    strict = device == "cuda"  # if torch only warned, attention would use its fast backward, which is random
    # Sets the same flag as `use_deterministic_algorithms`, which would also import the compiler: a second per process.
    torch.set_deterministic_debug_mode("error" if strict else "warn")
    # Filling new memory would cost a GPU a kernel per operation.
    torch.utils.deterministic.fill_uninitialized_memory = not strict  # type: ignore[attr-defined]
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # float32 predictions must not depend on their batch


def tolerance(device: str) -> float:
    """Return the largest allowed difference between a row's prediction alone and in a batch. GPUs use other kernels for
    one row than for many, with other rounding."""
    return 1e-5 if device == "cpu" else 1e-4


def release(error: BaseException, device: str) -> None:
    """Release the networks and batches in the frames of an error, so that the next stage gets their memory while the
    error is kept. The slow collection of reference cycles is done only on a GPU, or if memory ran out."""
    faults: list[BaseException] = [error]
    for fault in faults:
        traceback.clear_frames(fault.__traceback__)
        faults += [cause for cause in (fault.__cause__, fault.__context__) if cause and cause not in faults]
    if device != "cpu" or any(isinstance(fault, OutOfMemory) or system.out_of_memory(fault) for fault in faults):
        gc.collect()
        torch.cuda.empty_cache()


def free_bytes(device: str) -> int:
    """Return the free memory of the device in bytes; for the CPU, of the machine."""
    if device == "cuda":  # torch's cache of released tensors is free for the next ones
        return int(torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())
    if device == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return system.free_memory()


def widest_dtype(device: str) -> torch.dtype:
    """Return the most precise float type of the device: MPS has no float64."""
    return torch.float32 if device == "mps" else torch.float64


def to_summand(value: Tensor | float, device: str) -> Tensor:
    """Return a scalar to be summed, without a gradient, on the device and in its most precise float type."""
    if isinstance(value, Tensor):
        return value.detach().to(device, widest_dtype(device))
    return torch.full((), value, dtype=widest_dtype(device), device=device)  # no copy, for which the host would wait


def random_state(device: str) -> Tensor | None:
    """Return the state of a GPU's random generator, uint8 (n,); None for the CPU."""
    return None if device == "cpu" else torch.get_device_module(device).get_rng_state()


def set_random_state(device: str, state: Tensor | None) -> None:
    """Restore a state that `random_state` returned."""
    if device != "cpu" and state is not None:
        torch.get_device_module(device).set_rng_state(state.cpu())


@contextlib.contextmanager
def training_precision(device: str) -> Iterator[None]:
    """Use bf16 on a GPU, also for the validation loss, and float32 elsewhere; predictions are always float32."""
    if device == "cuda":
        with torch.autocast("cuda", torch.bfloat16):
            yield
    else:
        yield


def reset_peak(device: str) -> None:
    """Restart the measurement of peak memory, if the system supports it."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        system.reset_peak_memory()


def peak_memory_mb(device: str) -> float:
    """Return the highest memory use in MB since the last reset: of a CUDA device, else of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return system.peak_memory() / 2**20


def energy_j(device: str) -> float | None:
    """Return the energy in J that the GPU has used since its driver was loaded; None without a GPU, or if NVML (package
    nvidia-ml-py) cannot measure it."""
    if device != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties().uuid}")
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
    except pynvml.NVMLError:
        return None
