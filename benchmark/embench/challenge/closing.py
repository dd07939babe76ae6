"""Close a challenge: score the final group once, rank, open the commitment, and write what is published."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from embench.challenge.commitment import (
    Commitment,
    Opening,
    Part,
    Secrets,
    Sizes,
    check_opening,
    read_document,
    split_subjects,
)
from embench.challenge.form import FORM_FILE, read_form
from embench.challenge.hosting import COMMITMENT_FILE, SECRETS_FILE, STUDY_FILE, Layout
from embench.challenge.inbox import Inbox
from embench.challenge.optimism import describe_best_of
from embench.challenge.package import CHALLENGE_FILE, read_challenge
from embench.challenge.scoring import primary_score, read_reference, record_team, score_rows
from embench.challenge.study import Study, StudyRef, open_study
from embench.challenge.submissions import PREDICTIONS, Submission, parse_files, read_expected
from embench.errors import CheckFailed, DataError, EmbenchError, UsageError
from embench.files import aside, read_text, saving, temporary, write_text
from embench.records.record import format_csv, read_record
from embench.records.scores import Score, Scores
from embench.statistics import metric_facts
from embench.statistics.comparison import compare_all
from embench.statistics.result import Result
from embench.vocabulary import label, markdown, table_in_markdown

RESULTS_FILE, OPENING_FILE, REPORT_FILE, BOARD_FILE = "results.json", "opening.json", "report.md", "leaderboard.csv"
BOARD_COLUMNS = ("rank", "team", "method", "score", "low", "high", "above_chance", "given_confounds", "rerun")
DIGITS = 3
TOLERANCE = 0.01
"""Largest difference in score of a method that was run again from its code."""
FIRST = 3
"""Number of teams, best first, whose methods are run again."""
Rerun = Literal["", "to do", "same", "differs"]


class Row(BaseModel):
    """A line of the final leaderboard. `rank` is 0 for an affiliated team."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int
    team: str
    method: str
    sha256: str
    score: float | None
    low: float | None
    high: float | None
    answers: dict[str, str]
    affiliated: bool
    rerun: Rerun = ""


class Results(BaseModel):
    """The content of results.json.

    Args:
        metric: the primary metric. `confound_only`: model -> score with interval, or None if it does not apply.
        pairs: for each pair of teams, the difference with its interval, and the corrected p.
        is_final: whether the first three were run again from their code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    challenge: str
    closed: dt.datetime
    demonstration: bool
    synthetic: bool
    metric: str
    chance: float | None
    subjects: int
    rows: tuple[Row, ...]
    confound_only: dict[str, tuple[float, float | None, float | None] | None]
    pairs: tuple[tuple[str, str, float, float | None, float | None, float], ...]
    sentences: tuple[str, ...]
    is_final: bool


class Scored(NamedTuple):
    """A team's final submission with its result on the final group."""

    team: str
    affiliated: bool
    submission: Submission
    result: Result


def close(
    place: Layout,
    root: Path,
    *,
    early: bool = False,
    now: dt.datetime,
    on_team: Callable[[str], None] | None = None,
) -> Results:
    """Score each team's final submission on the final group, rank the teams, and write the folder of results. A
    repeated call continues where an earlier one was interrupted; after the end it raises UsageError.

    Args:
        root: the inbox. `early`: True to close a demonstration before its deadline.

    Raises:
        UsageError: the deadline has not passed, no team has a valid submission, or the challenge is closed.
    """
    form = read_form(place.holder / FORM_FILE)
    commitment = read_document(place.root / COMMITMENT_FILE, Commitment, "the commitment")
    if (place.results / RESULTS_FILE).exists():
        raise UsageError(
            "the challenge is closed: the final group is scored once",
            where=str(place.results),
            hint="for later submissions, which get no rank: embench challenge score",
        )
    if now <= form.deadline and not (early and commitment.demonstration):
        raise UsageError(
            f"submissions are open until {form.deadline:%Y-%m-%d %H:%M} UTC",
            where="deadline",
            expected="a later time; a demonstration can be closed with --early",
        )
    inbox = Inbox(place, root)
    inbox.read_new(now)
    study = open_study(read_document(place.holder / STUDY_FILE, StudyRef, "the holder's note on the study"))
    opening = make_opening(place, study, publish_labels=form.labels_after == "published")
    check_opening(opening, commitment, read_challenge(place.public)["commitment"]["split_and_labels"])
    scored = _score_teams(place, inbox, study, opening.split, on_team)
    if not scored:
        raise UsageError("no registered team has a valid submission", where=str(root))
    found = _collect(place, study, scored, commitment, now)
    _publish(place, found, opening, scored)
    return found


def make_opening(place: Layout, study: Study, *, publish_labels: bool) -> Opening:
    """Return the opening of a challenge's commitment; without labels and nonce where labels stay withheld."""
    form = read_form(place.holder / FORM_FILE)
    drawn = read_document(place.holder / SECRETS_FILE, Secrets, "the holder's secrets")
    value = str(read_challenge(place.public)["public_value"]["value"])
    sizes = Sizes(feedback=form.feedback_subjects, final=form.final_subjects)
    return Opening(
        salt=drawn.salt,
        public_value=value,
        groups=study.groups,
        sizes=sizes,
        split=split_subjects(drawn.salt, value, study.groups, sizes),
        nonce=drawn.nonce if publish_labels else None,
        labels=study.labels().lines() if publish_labels else None,
    )


def _score_teams(
    place: Layout, inbox: Inbox, study: Study, split: Mapping[str, Part], on_team: Callable[[str], None] | None
) -> list[Scored]:
    scored = []
    for name, team in sorted(inbox.teams.items()):
        entry = inbox.find_final(name)
        if entry is None:
            continue
        if on_team:
            on_team(name)
        submission, folder = inbox.load(entry), place.holder / "records" / name
        result = _read_finished(folder, submission)
        if result is None:
            shutil.rmtree(folder, ignore_errors=True)
            title = f"{submission.method.method} ({name})"
            result = record_team(study, split, title, submission.sha256, submission.rows, folder)
        scored.append(Scored(name, team.affiliated, submission, result))
    return scored


def _read_finished(folder: Path, submission: Submission) -> Result | None:
    """Return the result that an interrupted call has written for this submission; None if there is none."""
    try:
        found = Result.read(folder)
    except (EmbenchError, OSError):
        return None
    is_same = (found.manifest.get("submission") or {}).get("sha256") == submission.sha256
    return found if is_same and "adjusted" in found.scores.content else None


def _collect(
    place: Layout, study: Study, scored: Sequence[Scored], commitment: Commitment, now: dt.datetime
) -> Results:
    """Return the results: ranks by paired comparisons, confound-only models, answers, and what limits them."""
    target = study.target.name
    first = scored[0].result
    metric = first.scores.primary_metrics[target]
    pairs = _compare(scored, target)
    ranks = rank_teams({each.team: _mean(each.result, target) for each in scored if not each.affiliated}, pairs)
    rows = [_make_row(each, target, ranks.get(each.team, 0)) for each in scored]
    rows.sort(key=lambda row: (row.rank == 0, -(row.score if row.score is not None else -np.inf), row.team))
    first_rows = {row.team for row in [row for row in rows if row.rank][:FIRST]}
    rows = [row.model_copy(update={"rerun": "to do"}) if row.team in first_rows else row for row in rows]
    confounds = {
        model.name: _as_numbers(model.scores.get(metric)) for model in first.scores.get_confound_only_models(target)
    }
    return Results(
        challenge=commitment.challenge,
        closed=now.replace(microsecond=0),
        demonstration=commitment.demonstration,
        synthetic=study.store.synthetic is not None,
        metric=metric,
        chance=metric_facts(metric).chance,
        subjects=len(study.restrict(make_split(place), "final").subjects),
        rows=tuple(rows),
        confound_only=confounds,
        pairs=tuple(pairs),
        sentences=tuple(_list_sentences(rows, pairs, confounds, metric)),
        is_final=not any(row.rerun == "to do" for row in rows),
    )


def make_split(place: Layout) -> dict[str, Part]:
    """Return subject -> part, as `begin` wrote it. Raises DataError if the file is missing."""
    import csv
    import io

    try:
        rows = list(csv.DictReader(io.StringIO(read_text(place.holder / "split.csv"))))
        return {row["subject"]: row["part"] for row in rows}  # type: ignore[misc]  # written by `begin`
    except (OSError, KeyError) as error:
        raise DataError("the split is missing", where=str(place.holder / "split.csv")) from error


Pair = tuple[str, str, float, float | None, float | None, float]


def _compare(scored: Sequence[Scored], target: str) -> list[Pair]:
    """Return all pairs of teams: difference of the first from the second, interval, Holm-corrected p. Pairs without a
    defined difference are left out."""
    if len(scored) < 2:
        return []
    records = [read_record(each.result.folder) for each in scored]
    team_of = {record.run["id"]: each.team for record, each in zip(records, scored, strict=True)}
    try:
        (table,) = compare_all(records, [target])
    except (DataError, UsageError):
        return []
    teams = [team_of[standing.run] for standing in table.standings]
    return [
        (one, other, pair.difference.mean, pair.difference.low, pair.difference.high, pair.p_holm)
        for (one, other), pair in zip(combinations(teams, 2), table.comparisons, strict=True)
    ]


def rank_teams(scores: Mapping[str, float | None], pairs: Sequence[Pair]) -> dict[str, int]:
    """Return team -> rank: 1, plus the number of teams that are better by a significant paired difference. Teams that
    nothing tells apart share a rank, and a team without a score is last.

    Args:
        scores: team -> score of which more is better, None if undefined. `pairs`: see `Results`.

    >>> rank_teams({"a": 0.7, "b": 0.69, "c": 0.5}, [("a", "b", 0.01, -0.1, 0.1, 0.9), ("a", "c", 0.2, 0.1, 0.3, 0.01)])
    {'a': 1, 'b': 1, 'c': 2}
    """
    from embench.statistics.intervals import ALPHA

    worse_than: dict[str, set[str]] = {team: set() for team in scores}
    for one, other, difference, _, _, p in pairs:
        if p < ALPHA and one in scores and other in scores:
            better, worse = (one, other) if difference > 0 else (other, one)
            worse_than[worse].add(better)
    defined = [team for team, score in scores.items() if score is not None]
    return {team: 1 + len(worse_than[team]) if scores[team] is not None else len(defined) + 1 for team in scores}


def _mean(result: Result, target: str) -> float | None:
    _, score = primary_score(result.scores)
    return score.mean if score.is_defined else None


def _as_numbers(score: Score | None) -> tuple[float, float | None, float | None] | None:
    if score is None or not score.is_defined:
        return None
    low, high = score.interval or (None, None)
    return score.mean, low, high


def _make_row(each: Scored, target: str, rank: int) -> Row:
    _, score = primary_score(each.result.scores)
    numbers = _as_numbers(score)
    answers = {answer.question: str(answer.answer) for answer in each.result.answers[target].answers}
    return Row(
        rank=rank,
        team=each.team,
        method=each.submission.method.method,
        sha256=each.submission.sha256,
        score=numbers and numbers[0],
        low=numbers and numbers[1],
        high=numbers and numbers[2],
        answers=answers,
        affiliated=each.affiliated,
    )


def _list_sentences(rows: Sequence[Row], pairs: Sequence[Pair], confounds: Mapping[str, Any], metric: str) -> list[str]:
    """Return what the leaderboard can and cannot say, in sentences."""
    from embench.statistics.intervals import ALPHA

    apart = sum(pair[5] < ALPHA for pair in pairs)
    sentences = [
        f"{apart} of {len(pairs)} pairs of teams can be told apart; the others share their rank or differ by chance."
    ]
    halves = [(row.high - row.low) / 2 for row in rows if row.low is not None and row.high is not None]
    if halves:
        sentences.append(describe_best_of(float(np.median(halves)) / 1.96))
    known = {name: found for name, found in confounds.items() if found is not None}
    if known:
        strongest = max(known, key=lambda name: known[name][0])
        above = sum(row.score is not None and row.score > known[strongest][0] for row in rows)
        sentences.append(
            f"The strongest confound-only model, {label(strongest)}, reaches {known[strongest][0]:.2f} without any "
            f"signal; {above} of {len(rows)} teams score higher."
        )
    return sentences


# What is published.


def _publish(place: Layout, found: Results, opening: Opening, scored: Sequence[Scored]) -> None:
    """Write the folder of results. Records, predictions and labels only if labels are published; otherwise numbers
    with three digits."""
    with saving("the results", place.results), temporary(aside(place.results)) as whole:
        whole.mkdir(parents=True)
        write_text(whole / OPENING_FILE, opening.model_dump_json(indent=1) + "\n")
        shutil.copyfile(place.root / COMMITMENT_FILE, whole / COMMITMENT_FILE)
        shutil.copyfile(place.public / CHALLENGE_FILE, whole / CHALLENGE_FILE)
        if opening.labels is not None:
            (whole / "submissions").mkdir()
            shutil.copytree(place.reference("final"), whole / "final")
            for each in scored:
                write_text(whole / "submissions" / f"{each.team}.csv", _final_rows(each.submission, opening.split))
        write_tables(whole, found)
        whole.rename(place.results)


def _final_rows(submission: Submission, split: Mapping[str, Part]) -> str:
    """Return the rows of a submission on the final group as CSV."""
    several = len(submission.rows[0].scores) > 1
    rows = [
        {
            "subject": row.subject, "recording": row.recording, "unit": row.unit, "target": row.target,
            **({f"score_{k}": repr(s) for k, s in enumerate(row.scores)} if several else {"score": repr(row.scores[0])}),
            **({} if row.decision is None else {"decision": row.decision}),
        }
        for row in submission.rows
        if split[row.subject] == "final"
    ]  # fmt: skip
    return format_csv(rows, list(dict.fromkeys(key for row in rows for key in row)))


def write_tables(folder: Path, found: Results) -> None:
    """Write results.json, the leaderboard and the report."""
    rounded = Results.model_validate(_round(found.model_dump(mode="json")), strict=False)
    write_text(folder / BOARD_FILE, format_csv(list_board(rounded), BOARD_COLUMNS))
    write_text(folder / REPORT_FILE, make_report(rounded))
    write_text(folder / RESULTS_FILE, json.dumps(rounded.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_round(each) for each in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def list_board(found: Results) -> list[dict[str, Any]]:
    """Return the rows of the leaderboard, best first; affiliated teams last, without a rank."""
    return [
        {
            "rank": row.rank or "", "team": row.team, "method": row.method if row.method[:1].isalnum() else f"'{row.method}",
            "score": row.score, "low": row.low, "high": row.high,
            "above_chance": row.answers.get("chance", ""), "given_confounds": _given(row), "rerun": row.rerun,
        }
        for row in found.rows
    ]  # fmt: skip


_LEVELS = ("protocol_phase", "movement", "small_study")


def _given(row: Row) -> str:
    """Return the answer of the confound test at the strictest level that was asked."""
    return next((row.answers[level] for level in _LEVELS if level in row.answers), "")


def make_report(found: Results) -> str:
    """Return the report as Markdown: leaderboard, confound-only models, and what can be told apart."""
    facts = metric_facts(found.metric)
    board = [
        [
            str(row.rank or "unranked"), markdown(row.team), markdown(row.method), _in_words((row.score, row.low, row.high)),
            row.answers.get("chance", ""), _given(row), row.rerun,
        ]
        for row in found.rows
    ]  # fmt: skip
    heads = ["rank", "team", "method", facts.title, "above chance", "given confounds", "run again"]
    models = [[label(name), _in_words(numbers or (None, None, None))] for name, numbers in found.confound_only.items()]
    marks = ["**Synthetic data: these numbers say nothing about real subjects.**"] if found.synthetic else []
    if found.demonstration:
        marks.append("**Demonstration: the labels were known before, so the ranks mean nothing.**")
    state = "Ranks are final." if found.is_final else "Ranks are provisional until the first three were run again."
    parts = [
        f"# {markdown(found.challenge)}: results", *marks,
        f"{found.subjects} subjects of the final group, scored once. {state}",
        table_in_markdown(board, heads),
        "Teams share a rank if nothing tells them apart: a rank is 1 plus the number of teams that are better by a "
        "paired difference (Holm-corrected p < .05). Intervals are 95 %, over subjects.",
        "## Confound-only models", table_in_markdown(models, ["model", facts.title]),
        "## What this can say", "\n".join(f"- {sentence}" for sentence in found.sentences),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _in_words(numbers: Sequence[float | None]) -> str:
    mean, low, high = numbers
    if mean is None:
        return "undefined"
    return f"{mean:.2f}" if low is None or high is None else f"{mean:.2f} ({low:.2f} to {high:.2f})"


# After the end: methods that are run again, verification by anyone, and later submissions.


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
    files = {**_declared(place), PREDICTIONS: predictions.read_bytes()}
    rows = parse_files(files, predictions.parent, read_expected(place.public)).rows
    _, again = primary_score(score_rows(reference, rows))
    same = again.is_defined and row.score is not None and abs(again.mean - row.score) <= TOLERANCE
    changed = row.model_copy(update={"rerun": "same" if same else "differs"})
    rows_after = tuple(changed if each.team == team else each for each in found.rows)
    final = not any(each.rerun == "to do" for each in rows_after)
    after = found.model_copy(update={"rows": rows_after, "is_final": final})
    with saving("the results", place.results):
        write_tables(place.results, after)
    return after


def _declared(place: Layout) -> dict[str, bytes]:
    """Return a complete declaration, for predictions that the host made."""
    keys = ("method", "code", "external_data", "weights", "adaptation", "time_context")
    return {"method.yaml": "\n".join([*(f"{key}: rerun" for key in keys), "manual_labelling: no"]).encode()}


def verify(folder: Path) -> list[str]:
    """Check a folder of results from its files alone: that the opening fits the commitments, and, if labels are
    published, that the scores follow from submissions and labels. Return what was checked, in words.

    Raises:
        CheckFailed: something does not fit. DataError: a file is missing or damaged.
    """
    found = read_document(folder / RESULTS_FILE, Results, "the results")
    opening = read_document(folder / OPENING_FILE, Opening, "the opening")
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
        again = _score_published(folder, row.team)
        if (again.mean if again.is_defined else None) is None or row.score is None:
            same = row.score is None and not again.is_defined
        else:
            same = round(again.mean, DIGITS) == row.score
        if not same:
            raise CheckFailed(
                f"the score of {row.team} does not follow from the files", where=str(folder), expected=str(row.score)
            )
    return [*checked, f"the scores of {len(found.rows)} teams, from their predictions and the labels"]


def _score_published(folder: Path, team: str) -> Score:
    from embench.records.predictions import parse_submission

    reference, path = read_reference(folder / "final"), folder / "submissions" / f"{team}.csv"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError("a submission is missing", where=str(path)) from error
    rows, _ = parse_submission(content, path, (reference.target,), reference.facts["dataset"])
    return primary_score(score_rows(reference, rows))[1]


def score_after(place: Layout, root: Path, now: dt.datetime) -> list[dict[str, Any]]:
    """Score submissions that arrive after the end, without ranks: their authors may know the labels. Return the rows of
    the table `after.csv` in the folder of results."""
    inbox = Inbox(place, root, is_closed=True)
    inbox.read_new(now)
    reference, rows = read_reference(place.reference("final")), []
    for entry in inbox.entries:
        if entry.after_close and entry.state == "valid":
            scores: Scores = score_rows(reference, inbox.load(entry).rows)
            numbers = _as_numbers(primary_score(scores)[1]) or (None, None, None)
            mean, low, high = (None if x is None else round(x, DIGITS) for x in numbers)
            rows.append({"team": entry.team, "method": f"'{entry.method}", "score": mean, "low": low, "high": high})
    with saving("the scores after the end", place.results):
        write_text(place.results / "after.csv", format_csv(rows, ("team", "method", "score", "low", "high")))
    return rows
