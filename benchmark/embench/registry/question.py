"""Questions of targets, as a dataset's `registry.yaml` says them, for readers who know neither dataset nor target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embench.registry.naming import did_you_mean

ASKS = "asks"
"""The field of a dataset's entry: target -> its `question` and its `labels`."""

LABEL_ORIGINS = ("task", "film's class", "self-report", "observer")
"""Origins of labels: the given task, the class of a film or another stimulus, subjects' reports of themselves,
observers' ratings."""


@dataclass(frozen=True, slots=True)
class Question:
    """The question that a target asks, and the origin of its labels (one of `LABEL_ORIGINS`).

    Args:
        higher, lower: the states that are told apart, as nouns in a sentence: that of class 1, that of class 0.
        detail: what the labels are; empty where their origin says enough.
        order: in which order everybody was in these states, as a clause; empty where that differed.
    """

    question: str
    labels: str
    higher: str = ""
    lower: str = ""
    detail: str = ""
    order: str = ""


_OPTIONAL = frozenset({"higher", "lower", "detail", "order"})


def read_questions(asks: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, Question], ...]:
    """Target -> its question, of a field without `problem_of_questions`."""
    return tuple((target, Question(**about)) for target, about in asks.items())


def problem_of_questions(asks: Any) -> str | None:
    """Describes the first fault of the field; None where it has none."""
    if not isinstance(asks, Mapping):
        return f"`{ASKS}` is {asks!r}, expected a mapping of targets"
    for target, about in asks.items():
        if not isinstance(about, Mapping) or set(about) - _OPTIONAL != {"question", "labels"}:
            optional = ", ".join(sorted(_OPTIONAL))
            return f"`{ASKS}` of {target!r} requires `question` and `labels`, and may also have {optional}"
        if wrong := [name for name in _OPTIONAL & set(about) if not isinstance(about[name], str)]:
            return f"`{wrong[0]}` of {target!r} is {about[wrong[0]]!r}, expected text"
        if not isinstance(about["question"], str) or not about["question"]:
            return f"`question` of {target!r} is {about['question']!r}, expected text"
        if about["labels"] not in LABEL_ORIGINS:
            hint = did_you_mean(str(about["labels"]), LABEL_ORIGINS) or f"known: {', '.join(LABEL_ORIGINS)}"
            return f"`labels` of {target!r} is {about['labels']!r} ({hint})"
    return None
