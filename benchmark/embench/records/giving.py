"""What test subjects gave to recorded runs, and which runs differ in that alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embench.protocols import Given
from embench.records.manifest import Manifest

_OF_WHAT_IS_GIVEN = ("request", "given", "file")


def given_of(run: Mapping[str, Any]) -> Given | None:
    """What test subjects gave to a run, by the content of its run.yaml; None under protocols that do not ask."""
    return None if run.get("given") is None else Given.of(run["given"])


def but_for_given(run: Manifest) -> list[Any]:
    """Facts of a run's method and data, equal in those that differ in what test subjects give, or in seeds, alone."""
    config = {name: value for name, value in run.config.items() if name not in (*_OF_WHAT_IS_GIVEN, "seeds")}
    return [run.protocol.name, run.dev, run.method.outside, config]


def given_in_words(given: Given) -> str:
    """What is given, for a sentence.

    >>> given_in_words(Given.read("unlabelled:1")), given_in_words(Given())
    ('1 unlabelled unit of each class', 'nothing')
    """
    if given.session:
        return "the whole session, unlabelled"
    kind = "labelled" if given.labelled else "unlabelled"
    return f"{given.units} {kind} unit{'' if given.units == 1 else 's'} of each class" if given.units else "nothing"
