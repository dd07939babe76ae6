"""Shared parts of a trial: noting figures, and timing. It can be imported without PyTorch."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

WORK, OUT = Path(os.environ["WORK"]), Path(os.environ.get("OUT", "."))
FOUND: dict = {}


def keep(**figures):
    """Notes figures at once, so that an interrupted part keeps those that it has."""
    FOUND.update(figures)
    (WORK / "parts" / f"{sys.argv[1]}.json").write_text(json.dumps(FOUND, indent=1, default=str))
    print(figures, flush=True)


@contextlib.contextmanager
def guarded(name):
    """A fault inside is noted, and the part goes on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        keep(**{name: f"FAILED {type(error).__name__}: {str(error)[:300]}"})
        with contextlib.suppress(Exception):
            import torch

            torch.cuda.empty_cache()


def device():
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def sized(whole, tiny):
    """The full size where there is a GPU, otherwise one that tries the scripts."""
    return whole if device() == "cuda" else tiny


def waited():
    """Waits until the GPU, if there is one, has finished its work."""
    import torch

    if device() == "cuda":
        torch.cuda.synchronize()


def seconds(step, repeats, warm=3):
    """Median seconds of a call on the device."""
    for _ in range(warm):
        step()
    times = []
    for _ in range(repeats):
        waited()
        began = time.perf_counter()
        step()
        waited()
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]
