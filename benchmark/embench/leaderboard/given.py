"""Checks of what a record says that test subjects gave."""

from __future__ import annotations

from collections.abc import Iterator

from embench.protocols import MADE_BY_METHOD, SLICE_ONLY, recorded_given, recorded_protocol
from embench.records.record import Record


def wrong_given(record: Record) -> Iterator[str]:
    """Contradictions between what a record says that test subjects gave and its protocol, what it is compared with, and
    its configuration."""
    run, given = record.run, recorded_given(record.run.get("given"))
    protocol, name = recorded_protocol(run["protocol"]), run["protocol"]["name"]
    if (given is not None) != (protocol is not None and protocol.asks_given):
        said = f"{given.text}, which {name} does not ask" if given else f"not said, which {name} asks"
        yield f"run.yaml: given: {said}"
    made = set(MADE_BY_METHOD) & record.scores["controls"].keys()
    if made and (protocol is None or protocol.personal is None):
        yield f"scores.json: controls.{min(made)}: nobody gives anything under {name}"
    if given is None:
        return
    expected = {*given.without(), *([SLICE_ONLY] if given.labelled and given.units else [])}
    outside = run["method"].get("outside") is not None  # who may compare with less
    if made - expected or (expected - made and not outside):
        yield f"run.yaml: given: {given.text}, but the method is compared with {', '.join(sorted(made)) or 'nothing'}"
    if not outside and (ran := run["config"].get("given")) != given.text:
        yield f"run.yaml: given: {given.text}, but config.given is {ran}"
