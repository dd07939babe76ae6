"""The machine a stage runs on: device, precision, threads, seeds, free memory."""

from __future__ import annotations

import contextlib
import os
import random
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from embench.errors import MachineError


def resolve(name: str) -> str:
    """`cpu` or `cuda` from `auto`, `cpu` or `cuda`. Raises MachineError where a GPU is asked for and none is there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise MachineError("no CUDA device is there", where="--device cuda", hint="use --device cpu, or --device auto")
    return name


def settle(seed: int, threads: int) -> None:
    """Makes what follows repeatable: seeds, threads, deterministic kernels."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  plugins may use libraries that draw from it
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # float32 predictions must not hang on the batch they are made in


def free_bytes(device: str) -> int:
    """Memory that is free on the device (for the CPU: of the machine), in bytes."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    with Path("/proc/meminfo").open() as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    raise MachineError("cannot tell how much memory is free", where="/proc/meminfo")


@contextlib.contextmanager
def training_precision(device: str) -> Iterator[None]:
    """bf16 where a GPU does the work, float32 else; predictions are always float32."""
    if device == "cuda":
        with torch.autocast("cuda", torch.bfloat16):
            yield
    else:
        yield


def reset_peak_memory(device: str) -> None:
    """What follows is measured from here on, where the system can do that."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: str) -> float:
    """Highest memory use since the last reset: of the GPU where there is one, else of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def energy_j(device: str) -> float | None:
    """What the GPU has used since its driver was loaded, in J, by everything that runs on it; None where there is none,
    or NVML (package nvidia-ml-py) can't tell."""
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
