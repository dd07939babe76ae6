"""After the end: methods that are run again, verification by anyone, and later submissions."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from embench.challenge.commitment import Commitment, Opening, check_opening, read_document
from embench.challenge.hosting import COMMITMENT_FILE, Layout
from embench.challenge.inbox import Inbox
from embench.challenge.package import read_challenge
from embench.challenge.results import (
    OPENING_FILE,
    PUBLISHED_DIGITS,
    RESULTS_FILE,
    TOLERATED_DIFFERENCE,
    Results,
    as_numbers,
    write_tables,
)
from embench.challenge.scoring import Reference, primary_score, read_reference, score_rows
from embench.challenge.submissions import METHOD_FILE, PREDICTIONS, parse_files, read_expected
from embench.errors import CheckFailed, UsageError
from embench.files import reading, saving, write_text
from embench.records.predictions import parse_submission
from embench.records.record import format_csv
from embench.records.scores import Score, Scores
from embench.vocabulary import escape_formula, label


def confirm_rerun(place: Layout, team: str, predictions: Path) -> Results:
    """Compare the predictions of a method that the host ran again from its code with the submitted ones, on the final
    group, and write the leaderboard again.

    Raises:
        UsageError: the team is not among the first three.
    """
    found = read_document(place.results / RESULTS_FILE, Results, "the results")
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
    final = not any(each.rerun == "to do" for each in rows_after)
    after = found.model_copy(update={"rows": rows_after, "is_final": final})
    with saving("the results", place.results):
        write_tables(place.results, after)
    return after


_DECLARED = "manual_labelling: no\n" + "".join(
    f"{key}: run again\n" for key in ("method", "code", "external_data", "weights", "adaptation", "time_context")
)
"""The declaration of predictions that the host made."""


def verify_results(folder: Path) -> list[str]:
    """Check a folder of results from its files alone: that the opening fits the commitments, and, if labels are
    published, that scores, intervals and confound-only models follow from submissions and labels. Return what was
    checked, in words.

    Raises:
        CheckFailed: something does not fit. DataError: a file is missing or damaged.
    """
    found = read_document(folder / RESULTS_FILE, Results, "the results")
    opening = read_document(folder / OPENING_FILE, Opening, "the opened commitment")
    commitment = read_document(folder / COMMITMENT_FILE, Commitment, "the commitment")
    challenge = read_challenge(folder)
    if str(challenge["public_value"]["value"]) != opening.public_value:
        raise CheckFailed("the public value differs from that of the package", where=str(folder / OPENING_FILE))
    checked = check_opening(opening, commitment, challenge["commitment"]["split_and_labels"])
    checked.append(f"compare yourself: {commitment.public_value.source} = {opening.public_value}")
    if opening.labels is None:
        return [*checked, "labels are withheld: scores cannot be computed again without them"]
    reference = read_reference(folder / "final")
    if not set(reference.labels.lines()) <= set(opening.labels):
        raise CheckFailed("labels differ from the opened ones", where=str(folder / "final" / "labels.csv.gz"))
    for row in found.rows:
        scores = _score_published(reference, folder / "submissions" / f"{row.team}.csv")
        _, again = primary_score(scores)
        if _round_numbers(again) != (None if row.score is None else (row.score, row.low, row.high)):
            raise CheckFailed(
                f"the score of {row.team} does not follow from the files", where=str(folder), expected=str(row.score)
            )
        models = {
            model.name: _round_numbers(model.scores.get(found.metric))
            for model in scores.get_confound_only_models(reference.target.name)
        }
        known = found.confound_only
        if wrong := [name for name in {**models, **known} if models.get(name) != known.get(name)]:
            raise CheckFailed(
                f"scores of confound-only models do not follow from the files: {', '.join(map(label, wrong))}",
                where=str(folder),
            )
    return [*checked, f"the scores of {len(found.rows)} teams, from their predictions and the labels"]


def _round_numbers(score: Score | None) -> tuple[float | None, ...] | None:
    """Return a score and the ends of its interval as they are published; None if the score is undefined."""
    numbers = as_numbers(score)
    return numbers and tuple(None if each is None else round(each, PUBLISHED_DIGITS) for each in numbers)


def _score_published(reference: Reference, path: Path) -> Scores:
    with reading(path, missing="a submission is missing"):
        content = path.read_bytes()
    rows, _ = parse_submission(content, path, (reference.target,), reference.facts["dataset"])
    return score_rows(reference, rows)


def score_after(place: Layout, root: Path, now: dt.datetime) -> list[dict[str, Any]]:
    """Score submissions that arrive after the end, without ranks: their authors may know the labels. Return the rows of
    the table `after.csv` in the folder of results."""
    inbox = Inbox(place, root, is_closed=True)
    inbox.read_new(now)
    reference, rows = read_reference(place.reference("final")), []
    for entry in inbox.entries:
        if entry.after_close and entry.state == "valid":
            _, found = primary_score(score_rows(reference, inbox.load(entry).rows))
            mean, low, high = _round_numbers(found) or (None, None, None)
            rows.append(
                {"team": entry.team, "method": escape_formula(entry.method), "score": mean, "low": low, "high": high}
            )
    with saving("the scores after the end", place.results):
        write_text(place.results / "after.csv", format_csv(rows, ("team", "method", "score", "low", "high")))
    return rows
