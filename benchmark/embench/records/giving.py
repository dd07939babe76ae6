"""The facts in which recorded runs agree that differ in what test subjects give first alone."""

from __future__ import annotations

from typing import Any

from embench.records.manifest import Manifest

_OF_WHAT_IS_GIVEN = ("request", "given", "file", "seeds")


def but_for_given(run: Manifest) -> list[Any]:
    """Facts of a run's method and data, equal in those that differ in what test subjects give, or in seeds, alone."""
    config = {name: value for name, value in run.config.items() if name not in _OF_WHAT_IS_GIVEN}
    return [run.protocol.name, run.dev, run.method.outside, config]
