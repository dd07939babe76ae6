"""What a study cannot answer, printed before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embench.cli import console


def print_unanswerable(found: Sequence[Mapping[str, Any]]) -> None:
    """Print for each target why the study cannot answer, and what would help. `found`: see `Unanswerable.as_json`; with
    `command`, the command that gives enough comparisons."""
    for each in found:
        console.wrapped(f"{each['target']}: {each['answer']}. {each['reason']}", bold=True, colour="yellow")
        if command := each.get("command"):
            console.wrapped(f"{each['remedy'].partition(':')[0]}:")
            console.command(command)
        elif each["remedy"]:
            console.wrapped(each["remedy"])
