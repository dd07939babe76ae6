"""Close a challenge: score the final group once, rank, open the commitment, and write what is published."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embench.challenge.commitment import (
    Commitment,
    CommittedPart,
    Opening,
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
from embench.challenge.results import (
    FIRST,
    OPENING_FILE,
    RESULTS_FILE,
    Pair,
    ResultRow,
    Results,
    as_numbers,
    rank_teams,
    write_tables,
)
from embench.challenge.scoring import primary_score, record_team
from embench.challenge.study import HostedStudy, StudyRef, open_study
from embench.challenge.submissions import Submission
from embench.errors import DataError, EmbenchError, UsageError
from embench.files import aside, saving, temporary, write_text
from embench.records.record import format_csv, read_record
from embench.statistics import metric_facts
from embench.statistics.comparison import compare_all
from embench.statistics.intervals import ALPHA
from embench.statistics.result import Result
from embench.vocabulary import label


class ScoredTeam(NamedTuple):
    """A team's final submission with its result on the final group."""

    team: str
    affiliated: bool
    submission: Submission
    result: Result


def close_challenge(
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
    found = _collect(study, opening.split, scored, commitment, now)
    _publish(place, found, opening, scored)
    return found


def make_opening(place: Layout, study: HostedStudy, *, publish_labels: bool) -> Opening:
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
    place: Layout,
    inbox: Inbox,
    study: HostedStudy,
    split: Mapping[str, CommittedPart],
    on_team: Callable[[str], None] | None,
) -> list[ScoredTeam]:
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
        scored.append(ScoredTeam(name, team.affiliated, submission, result))
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
    study: HostedStudy,
    split: Mapping[str, CommittedPart],
    scored: Sequence[ScoredTeam],
    commitment: Commitment,
    now: dt.datetime,
) -> Results:
    """Return the results: ranks by paired comparisons, confound-only models, answers, and what limits them."""
    target = study.target.name
    first = scored[0].result
    metric = first.scores.primary_metrics[target]
    pairs = _compare(scored, target)
    ranks = rank_teams({each.team: _mean(each.result) for each in scored if not each.affiliated}, pairs)
    rows = [_make_row(each, target, ranks.get(each.team, 0)) for each in scored]
    rows.sort(key=lambda row: (row.rank == 0, -(row.score if row.score is not None else -np.inf), row.team))
    first_rows = {row.team for row in [row for row in rows if row.rank][:FIRST]}
    rows = [row.model_copy(update={"rerun": "to do"}) if row.team in first_rows else row for row in rows]
    confounds = {
        model.name: as_numbers(model.scores.get(metric)) for model in first.scores.get_confound_only_models(target)
    }
    return Results(
        challenge=commitment.challenge,
        closed=now.replace(microsecond=0),
        demonstration=commitment.demonstration,
        synthetic=study.store.synthetic is not None,
        metric=metric,
        chance=metric_facts(metric).chance,
        subjects=len(study.restrict(split, "final").subjects),
        rows=tuple(rows),
        confound_only=confounds,
        pairs=tuple(pairs),
        sentences=tuple(_list_sentences(rows, pairs, confounds)),
        is_final=not any(row.rerun == "to do" for row in rows),
    )


def _compare(scored: Sequence[ScoredTeam], target: str) -> list[Pair]:
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


def _mean(result: Result) -> float | None:
    _, score = primary_score(result.scores)
    return score.mean if score.is_defined else None


def _make_row(each: ScoredTeam, target: str, rank: int) -> ResultRow:
    _, score = primary_score(each.result.scores)
    numbers = as_numbers(score)
    answers = {answer.question: str(answer.answer) for answer in each.result.answers[target].answers}
    return ResultRow(
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


def _list_sentences(rows: Sequence[ResultRow], pairs: Sequence[Pair], confounds: Mapping[str, Any]) -> list[str]:
    """Return what the leaderboard can and cannot say, in sentences."""
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


def _publish(place: Layout, found: Results, opening: Opening, scored: Sequence[ScoredTeam]) -> None:
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


def _final_rows(submission: Submission, split: Mapping[str, CommittedPart]) -> str:
    """Return the rows of a submission on the final group as CSV."""
    several = len(submission.rows[0].scores) > 1
    rows = [
        {
            "subject": row.subject, "recording": row.recording, "unit": row.unit, "target": row.target,
            **{f"score_{k}" if several else "score": repr(value) for k, value in enumerate(row.scores)},
            **({} if row.decision is None else {"decision": row.decision}),
        }
        for row in submission.rows
        if split[row.subject] == "final"
    ]  # fmt: skip
    return format_csv(rows, list(dict.fromkeys(key for row in rows for key in row)))
