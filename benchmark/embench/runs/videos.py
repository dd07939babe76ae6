"""Decode the frames that a run's encoders will read, before any stage needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from embench.data.cohort import Cohort
from embench.planning.parts import Method
from embench.planning.plan import default_workers, list_clip_encoders
from embench.reasons import plain_values
from embench.store import clips
from embench.system import EventCallback, throttle_progress


def decode_videos(
    cohorts: Iterable[Cohort], method: Method, workers: int | None = None, on_event: EventCallback | None = None
) -> list[dict[str, Any]]:
    """Decode the videos that a method's encoders read, and cache the frames. Return a row for each dataset and encoder
    with the numbers of decoded recordings and of segments without a face, and the excluded recordings.

    Args:
        workers: number of processes; by default one per core.
    """
    tell = on_event or (lambda _: None)
    return [note for cohort in cohorts for note in _decode(cohort, method, workers or default_workers({"cpu"}), tell)]


def _decode(cohort: Cohort, method: Method, workers: int, on_event: EventCallback) -> Iterator[dict[str, Any]]:
    for m, encoder in list_clip_encoders(cohort, method):
        on_step = throttle_progress(f"decoding videos of {cohort.card.name}", on_event)
        stored = clips(cohort.store, m, encoder, workers=workers, progress=on_step)
        notes = [f"video of {row['recording']} excluded: {row['reason']}" for row in stored.excluded]
        if stored.faceless:
            notes.append(
                f"no face found in {stored.faceless} of {stored.segments} segments of {cohort.card.name}; these "
                "segments use the centre of the frame"
            )
        for note in notes:
            on_event({"event": "note", "text": note})
        yield {
            "dataset": cohort.card.name,
            "recordings": len(stored.spans),
            "left_out": plain_values(stored.excluded),
            "stretches": stored.segments,
            "without_face": stored.faceless,
        }
