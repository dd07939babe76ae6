"""Questions before results of own data are published: the participants' consent, and the name of an approval."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from embench.cli import console
from embench.errors import UsageError
from embench.records.manifest import Manifest
from embench.records.record import is_own

_LONGEST = 200
_ALWAYS = (
    "run.yaml: the dataset's name, pseudonyms of participants, durations of sessions, reasons for exclusion",
    "run.yaml also: label rules and classes, the method, its cost, versions, the approval",
    "shared/folds: which pseudonyms each fold tests, and which pseudonyms form a group",
    "audit.json: findings of the audit",
)
_SEALED = (
    "scores.json: scores over all participants, rounded to three digits",
    "shared/control_scores: the primary metric of each confound-only model, rounded to three digits",
    "labels.hmac: a keyed hash of the labels",
)
_OPEN = (
    "predictions.npz, summands.json, scores.json: the prediction for each unit, and all scores",
    "shared/rows, shared/labels, shared/controls, shared/control_scores: the stimulus, time and label of each unit",
)
_STAYS = "not published: signals, names of participants, devices, files and folders, dates"
_STAYS_SEALED = f"{_STAYS}, labels, predictions, and scores of single participants"


def ask_consent(runs: Sequence[Manifest], *, consent: bool, ethics: str | None) -> str | None:
    """Return the ethics approval under which these runs may be published; None where none is on own data.

    Args:
        consent: whether the command line states the participants' consent. `ethics`: the approval.

    Raises:
        UsageError: a statement is missing and there is no terminal to ask at; or nothing requires consent.
    """
    own = sorted({run.dataset.name for run in runs if is_own(run.dataset.name)})
    if not own:
        if consent or ethics is not None:
            raise UsageError(
                "consent is for your own data only, and no run here uses your own data",
                where="--consent" if consent else "--ethics",
                expected="runs on your own dataset; runs on public datasets need neither option",
            )
        return None
    public = any(run.card.labels_public == "yes" for run in runs if is_own(run.dataset.name))
    console.echo(f"own data: {', '.join(own)}. An entry is public and cannot be withdrawn. It contains:")
    for line in (*_ALWAYS, *(_OPEN if public else _SEALED)):
        console.wrapped(f"  {line}")
    console.wrapped(_STAYS if public else _STAYS_SEALED)
    if not (consent and ethics) and not sys.stdin.isatty():
        raise UsageError(
            "consent and ethics approval are required, and this is not a terminal where you could answer",
            where="embench leaderboard submit",
            expected="an answer on a terminal, or --consent and --ethics 'COMMITTEE, NUMBER'",
            hint="if participants consented and a committee approved: --consent --ethics 'COMMITTEE, NUMBER'",
        )
    if not consent:
        typer.confirm("Have all participants consented to the publication of this entry?", default=False, abort=True)
    approval = (typer.prompt("Ethics committee and approval number") if ethics is None else ethics).strip()
    if not approval or len(approval) > _LONGEST or not approval.isprintable():
        raise UsageError(
            "the ethics approval is missing or not valid",
            where="--ethics",
            expected=f"ethics committee and approval number, on one line of at most {_LONGEST} characters",
        )
    return str(approval)
