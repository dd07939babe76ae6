"""Makes the feature tables that stages will read, by several processes, before any stage runs: else one stage would
make a table alone, or two that run side by side would both make it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import numpy as np

from embench.callbacks import EventCallback, ProgressCallback, now_and_then
from embench.engine import device as machine
from embench.engine.assemble import features_at_rest, features_of
from embench.engine.inputs import encoder_of, view_of
from embench.engine.rows import stage_view, view_length
from embench.engine.source import Source, all_anchors, by_subject, standardises
from embench.engine.specs import FitParams, Params, Part, PretrainParams
from embench.engine.stage import Stage
from embench.errors import EmbenchError
from embench.files import digest
from embench.store import Store, derive, open_store
from embench.system import fresh_processes, limited_threads, workers_pay, working


def make_tables(todo: Iterable[Stage[Params]], workers: int, on_event: EventCallback) -> None:
    """Makes the tables of all stages that fit something to features, if they are not there."""
    made = set()
    for stage in todo:
        params = stage.params
        if not isinstance(params, FitParams) or isinstance(params, PretrainParams) or params.common.device != "cpu":
            continue
        units = tuple(digest(stage.task[f"all_{name}"]) for name in ("recording", "start", "stop"))
        key = repr((params.common.source, params.modalities, params.recipe.view, units))
        if key not in made:
            made.add(key)
            # Whatever fails here fails again in the stage, which says whose fault it is and holds up no other.
            with suppress(EmbenchError, MemoryError):
                _make(stage, params, workers, on_event)


def _make(stage: Stage[Params], params: FitParams, workers: int, on_event: EventCallback) -> None:
    source = Source.of(params.common.source, stage.places, stage.task)
    views = {m: view_of(encoder_of(part), part.name) for m, part in params.modalities.items()}
    everything = all_anchors(source, stage_view(params.recipe.view, [*views.values()]))
    for m, part in params.modalities.items():
        encoder, length_s = encoder_of(part), view_length(views[m], source.longest_s, source.shortest_s)
        if encoder.reads != "features":
            continue
        rows = partial(_rows, str(source.store.path), m, part, stage.seed, params.common.threads)
        make = partial(_shared, workers, now_and_then(f"computing {part.short} of {m}", on_event))
        read = (source.store, m, encoder, part.code, everything, views[m], length_s)
        alike = standardises(source, m)
        features_of(*read, alike, partial(make, partial(rows, alike)))
        if by_subject(source) and source.rest is not None:
            features_at_rest(source, m, encoder, part.code, length_s, partial(make, partial(rows, False)))


def _shared(
    workers: int, step: ProgressCallback, rows: partial[np.ndarray | None], wanted: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray | None]:
    """Rows of each recording: by this process, then by `workers` as soon as the rest is large enough."""
    made: dict[str, np.ndarray | None] = {}
    took: list[float] = []
    left = list(wanted)
    while left and not workers_pay(took, len(left), workers):
        recording, began = left.pop(0), time.process_time()
        made[recording] = rows(recording, wanted[recording])
        took.append(time.process_time() - began)
        step(len(made), len(wanted), recording)
    if left:
        # The stages' own workers will be copies of the same process.
        with working(fresh_processes(min(workers, len(left)), "embench.engine.work")) as submit:
            waiting = {recording: submit(rows, recording, wanted[recording]) for recording in left}
            for recording, future in waiting.items():
                made[recording] = future.result()
                step(len(made), len(wanted), recording)
    return made


def _rows(
    store: str, m: str, part: Part, seed: int, threads: int, standardised: bool, recording: str, spans: np.ndarray
) -> np.ndarray | None:
    """The features (n, *shape) of one recording's spans (n, 2), made as in a stage."""
    encoder = encoder_of(part)  # before the seeds: its module may draw when it is imported
    machine.seed_everything(seed, threads, "cpu")
    with limited_threads(threads):
        return derive.features_in(_opened(store), m, encoder, recording, spans, standardised)


@cache
def _opened(store: str) -> Store:
    return open_store(Path(store))
