"""Callbacks that follow long work: one name for each signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

EventCallback = Callable[[Mapping[str, Any]], None]
"""Called with each event of a run, such as a stage that starts, an epoch that ends or a recording that is decoded."""

ProgressCallback = Callable[[int, int, str], None]
"""Called with (items done, items in all, what the last one was)."""

DownloadCallback = Callable[[str, int, int | None], None]
"""Called with (what is being done, bytes so far, bytes in all where that is known)."""

BytesCallback = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""


def every_fifth(what: str, on_event: EventCallback | None) -> ProgressCallback:
    """Makes a note of every fifth step and of the last one."""

    def note(done: int, total: int, which: str) -> None:
        if on_event and (done == total or done % 5 == 0):
            on_event({"event": "note", "text": f"{what}: {done} of {total} ({which})"})

    return note
