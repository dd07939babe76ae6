"""Upper bounds on the numbers of a record, for any method: larger ones cannot have been measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

MOST_SECONDS = 3.2e9
"""A century, the stages of a run one after another."""
MOST_PARAMETERS = 10**15
"""A thousand times the largest networks that were ever trained."""
MOST_OPERATIONS = 1e21
"""Bound on the operations of one row's prediction: each of so many parameters used a million times."""
MOST_MEGABYTES = 1e9
"""A petabyte, more than any machine has as memory."""
MOST_JOULES = 1e15
"""A power station of a gigawatt, for eleven days."""
MOST_LOOKS = 10**9
"""A look a second, for thirty years."""
MOST_SUBJECTS = 10**10
"""About all people alive."""
_DIGITS = 24
"""Number of digits that a message repeats."""

MOST_GIVEN = 10**6
"""Units of a class that a subject gives: more than any session has."""

Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]
Parameters = Annotated[int, Field(ge=0, le=MOST_PARAMETERS)]
Operations = Annotated[int | float, Field(ge=0, le=MOST_OPERATIONS)]
Megabytes = Annotated[float, Field(ge=0, le=MOST_MEGABYTES, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=MOST_JOULES, allow_inf_nan=False)]


def _few_enough(counted: Any, info: ValidationInfo) -> Any:
    for name, count in (counted if isinstance(counted, Mapping) else {"": counted}).items():
        if count is not None and not 0 <= count <= MOST_LOOKS:
            field = f"{info.field_name}.{name}".rstrip(".")
            raise ValueError(f"{field}: {shortened(count)}, expected 0 to {MOST_LOOKS:,}")
    return counted


def check_subjects(subjects: Any) -> Any:
    """The number of subjects, or their names, as they are. Raises ValueError beyond the bound."""
    if isinstance(subjects, int) and not 0 <= subjects <= MOST_SUBJECTS:
        raise ValueError(f"{shortened(subjects)}, expected 0 to {MOST_SUBJECTS:,}")
    return subjects


def shortened(number: object) -> str:
    """A number for a message, cut where it is very long."""
    text = str(number)
    return text if len(text) <= _DIGITS else f"{text[:_DIGITS]}.. ({len(text)} characters)"


CountedLooks = Annotated[int | dict[str, int] | None, AfterValidator(_few_enough)]
"""A number, of each target or of all."""


def check_given(given: dict[str, int | str]) -> dict[str, int | str]:
    """The units of each class that test subjects gave first, under protocols that ask: empty where it was nothing,
    `labelled: 5`, `unlabelled: 5` or `unlabelled: session`. Raises ValueError where it is none of these."""
    known = not given or given == {"unlabelled": "session"}
    if not known and len(given) == 1 and given.keys() <= {"labelled", "unlabelled"}:
        [units] = given.values()
        known = isinstance(units, int) and not isinstance(units, bool) and 1 <= units <= MOST_GIVEN
    if not known:
        raise ValueError("expected {}, {labelled: N}, {unlabelled: N} or {unlabelled: session}")
    return given
