"""What readers of a release say alike of a folder that may hold only some of its subjects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from embench.errors import DataError
from embench.interfaces.dataset import Finding


def look_over(
    found: Sequence[str], people: Sequence[str], where: Path, look: Callable[[str], Iterable[Finding]]
) -> list[Finding]:
    """Findings on a folder: which of the release's `people` are missing, and what `look` finds of each who is here; an
    error where it cannot read them."""
    findings = []
    if missing := [person for person in people if person not in found]:
        what = f"{len(found)} of {len(people)} subjects are here, not {', '.join(missing)}"
        findings.append(Finding("note", str(where), what))
    for subject in found:
        try:
            findings += look(subject)
        except DataError as error:
            findings.append(Finding("error", error.where or subject, error.what))
    return findings
