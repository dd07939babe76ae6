"""After the end: methods that are run again, and later submissions."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from embench.challenge.commitment import read_document
from embench.challenge.hosting import Layout
from embench.challenge.inbox import Inbox
from embench.challenge.results import (
    RESULTS_FILE,
    TOLERATED_DIFFERENCE,
    Results,
    as_numbers,
    finish_results,
    round_published,
    write_tables,
)
from embench.challenge.scoring import primary_score, read_reference, score_rows
from embench.challenge.submissions import METHOD_FILE, PREDICTIONS, parse_files, read_expected
from embench.errors import UsageError
from embench.files import reading, saving, write_text
from embench.records.record import format_csv
from embench.vocabulary import escape_formula


def confirm_rerun(place: Layout, team: str, predictions: Path) -> Results:
    """Compare the predictions of a method that the host ran again from its code with the submitted ones, on the final
    group, and write the leaderboard again.

    Raises:
        UsageError: the team is not among the first three.
    """
    found = read_document(place.results / RESULTS_FILE, Results, "the file of results")
    row = next((row for row in found.rows if row.team == team and row.rerun), None)
    if row is None:
        raise UsageError(
            f"{team} does not have to be run again",
            where="--rerun",
            expected=", ".join(row.team for row in found.rows if row.rerun) or "nobody",
        )
    reference = read_reference(place.reference("final"))
    with reading(predictions, missing="no such file"):
        files = {METHOD_FILE: _DECLARED.encode(), PREDICTIONS: predictions.read_bytes()}
    rows = parse_files(files, predictions.parent, read_expected(place.public)).rows
    _, again = primary_score(score_rows(reference, rows))
    same = again.is_defined and row.score is not None and abs(again.mean - row.score) <= TOLERATED_DIFFERENCE
    changed = row.model_copy(update={"rerun": "same" if same else "differs"})
    rows_after = tuple(changed if each.team == team else each for each in found.rows)
    after = finish_results(found.model_copy(update={"rows": rows_after}))
    with saving("the results", place.results):
        write_tables(place.results, after)
    return after


_DECLARED = "manual_labelling: no\n" + "".join(
    f"{key}: run again\n" for key in ("method", "code", "external_data", "weights", "adaptation", "time_context")
)
"""The declaration of predictions that the host made."""


def score_after(place: Layout, root: Path, now: dt.datetime) -> list[dict[str, Any]]:
    """Score submissions that arrive after the end, without ranks: their authors may know the labels. Return the rows of
    the table `after.csv` in the folder of results."""
    inbox = Inbox(place, root, is_closed=True)
    inbox.read_new(now)
    reference, rows = read_reference(place.reference("final")), []
    for entry in inbox.entries:
        if entry.after_close and entry.state == "valid":
            _, found = primary_score(score_rows(reference, inbox.load(entry).rows))
            mean, low, high = round_published(as_numbers(found)) or (None, None, None)
            rows.append(
                {"team": entry.team, "method": escape_formula(entry.method), "score": mean, "low": low, "high": high}
            )
    with saving("the scores after the end", place.results):
        write_text(place.results / "after.csv", format_csv(rows, ("team", "method", "score", "low", "high")))
    return rows
