"""What a caller may pass to follow work that takes long: one name for each signature."""

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
