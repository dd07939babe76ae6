"""Worker processes: they end with their parent, and do not run its script again."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def end_with_parent() -> None:
    """Called once in a worker: when the parent is gone, however it died, the worker ends too."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    # A killed parent cannot tell its workers to stop; left alone, they would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def script_apart() -> Iterator[None]:
    """Spawned workers import the parent's script, which for one without `if __name__ == "__main__"` starts the run
    anew. What our workers are handed never lies in a script, so they start without it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
