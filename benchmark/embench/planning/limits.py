"""Options of a request that leave something out: modalities of the test, subjects and labels of the training, what test
subjects give."""

from __future__ import annotations

from embench.errors import UsageError
from embench.planning.parts import Method
from embench.planning.request import Request
from embench.protocols import Given, Protocol


def dropped_modalities(request: Request, method: Method) -> tuple[str, ...]:
    """The modalities that are removed at test time. Raises UsageError where none is left."""
    chosen = tuple(m.strip() for m in request.drop.split(",")) if request.drop else ()
    for m in chosen:
        if m not in method.modalities:
            raise UsageError(
                f"`{m}` is not a modality of this run",
                where="--drop",
                expected=", ".join(method.modalities),
                hint=f"embench grid --drop {m}" if m in ("each", "all") else None,
            )
    if len(chosen) >= len(method.modalities):
        raise UsageError("--drop removes all modalities", where=f"--drop {request.drop}")
    return chosen


def labelled_subjects(request: Request) -> int | None:
    """The number of training subjects with labels, None for all of them."""
    text = request.label_subjects
    if text is None or text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(
            f"`{text}` is not a number of subjects",
            where="--label-subjects",
            expected="a number of at least 1, or all",
            hint="for several values: embench grid",
        )
    return int(text)


def labelled_fraction(request: Request) -> float | None:
    """The share of labels, None for all of them."""
    text = request.label_fraction
    try:
        share = 1.0 if text is None else float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(
            f"`{text}` is not a proportion of labels",
            where="--label-fraction",
            expected="a number above 0 and at most 1, such as 0.1",
            hint="for several values: embench grid",
        )
    return None if share == 1 else share


def given_units(request: Request, protocol: Protocol) -> Given | None:
    """The units that test subjects give to a run; None under protocols that decide it themselves."""
    if protocol.personal and request.train_dataset:
        raise UsageError(
            f"{protocol.name} cannot train on another dataset",
            where=f"--train-dataset {request.train_dataset}",
            expected="training and test subjects of one dataset",
        )
    if not protocol.asks_given:
        if request.given is not None:
            raise UsageError(
                f"{protocol.name} does not let a run choose calibration data",
                where=f"--given {request.given}",
                hint="--protocol personalise-v1",
            )
        return None
    return Given.read(request.given or "0")
