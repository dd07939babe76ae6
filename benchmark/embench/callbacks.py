"""Callbacks that follow long work: one name for each signature."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

EventCallback = Callable[[Mapping[str, Any]], None]
"""Receives each event of a run, such as a stage that starts, an epoch that ends or a recording that is decoded."""

ProgressCallback = Callable[[int, int, str], None]
"""Receives (items done, items in all, description of the last one)."""

DownloadCallback = Callable[[str, int, int | None], None]
"""Receives (description, bytes so far, bytes in all where that is known)."""

BytesCallback = Callable[[int, int], None]
"""Receives (bytes so far, bytes in all)."""

_STEP_S = 5.0


def now_and_then(what: str, on_event: EventCallback | None) -> ProgressCallback:
    """Reports a step every few seconds, and the last one."""
    last = time.monotonic()

    def note(done: int, total: int, which: str) -> None:
        nonlocal last
        if on_event and (done == total or time.monotonic() - last >= _STEP_S):
            last = time.monotonic()
            on_event({"event": "note", "text": f"{what}: {done} of {total} ({which})"})

    return note
