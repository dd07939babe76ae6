"""Close a challenge: score the final group once, rank, open the commitment, and write what is published."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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
from embench.challenge.hosting import COMMITMENT_FILE, SECRETS_FILE, SPLIT_FILE, STUDY_FILE, TEAMS_FILE, Layout
from embench.challenge.inbox import Inbox, count_states, read_teams
from embench.challenge.measuring import MeasuredTeams, list_reasons, measure_teams
from embench.challenge.package import CHALLENGE_FILE, read_challenge
from embench.challenge.results import (
    FINAL_FOLDER,
    KEPT_FOLDER,
    OPENING_FILE,
    REGISTERED_FILE,
    RESULTS_FILE,
    STATUS_FILE,
    ResultRow,
    Results,
    finish_results,
    read_table,
    write_tables,
)
from embench.challenge.scoring import read_reference, record_team
from embench.challenge.study import HostedStudy, StudyRef, open_study
from embench.challenge.submissions import Submission, read_files
from embench.errors import EmbenchError, UsageError
from embench.files import aside, saving, temporary, write_text
from embench.records.record import format_csv
from embench.records.wording import counted
from embench.statistics import metric_facts
from embench.statistics.result import Result


class ScoredTeam(NamedTuple):
    """A team's final submission with its result on the final group."""

    team: str
    affiliated: bool
    submission: Submission
    files: Mapping[str, bytes]
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
    _check_subjects(place, study)
    opening = make_opening(place, study, publish_labels=form.labels_after == "published")
    check_opening(opening, commitment, read_challenge(place.public)["commitment"]["split_and_labels"])
    scored = _score_teams(place, inbox, study, opening.split, on_team)
    if not scored:
        raise UsageError("no registered team has a valid submission", where=str(root))
    found = _collect(place, study, scored, commitment, now)
    _publish(place, found, opening, scored)
    return found


def _check_subjects(place: Layout, study: HostedStudy) -> None:
    """Raise UsageError if a subject of the split is no longer in the study."""
    missing = sorted({row["subject"] for row in read_table(place.holder / SPLIT_FILE)} - set(study.subjects))
    if missing:
        raise UsageError(
            f"{counted(len(missing), 'subject')} of the commitment {'is' if len(missing) == 1 else 'are'} missing",
            where=", ".join(missing),
            expected="the study as it was committed",
            hint="restore the files; if a subject withdrew, tell the teams, and begin a new challenge without it",
        )


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
        scored.append(
            ScoredTeam(name, team.affiliated, submission, read_files(inbox.root / entry.team / entry.file), result)
        )
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
    place: Layout, study: HostedStudy, scored: Sequence[ScoredTeam], commitment: Commitment, now: dt.datetime
) -> Results:
    """Return the results: ranks by paired comparisons, confound-only models, answers, and what limits them."""
    reference = read_reference(place.reference("final"))
    found = measure_teams(reference, {each.team: each.submission.rows for each in scored})
    registered, states = list_registered(place), read_table(place.feedback / STATUS_FILE)
    return finish_results(
        Results(
            challenge=commitment.challenge,
            closed=now.replace(microsecond=0),
            demonstration=commitment.demonstration,
            synthetic=study.store.synthetic is not None,
            metric=found.metric,
            chance=metric_facts(found.metric).chance,
            subjects=len(reference.facts["sessions"]),
            registered=len(registered),
            submissions=count_states(states),
            rows=tuple(_make_row(each, found, study.target.name) for each in scored),
            confound_only=dict(found.confound_only),
            undefined=dict(found.undefined),
            pairs=tuple(found.pairs),
        )
    )


def _make_row(each: ScoredTeam, found: MeasuredTeams, target: str) -> ResultRow:
    mean, low, high = found.scores[each.team] or (None, None, None)
    with_signals = each.result.answers[target]
    answers = {answer.question: str(answer.answer) for answer in with_signals.answers}
    return ResultRow(
        rank=0,
        team=each.team,
        method=each.submission.method.method,
        sha256=each.submission.sha256,
        score=mean,
        low=low,
        high=high,
        answers={**answers, **found.answers[each.team]},
        reasons={**list_reasons(with_signals), **found.reasons[each.team]},
        affiliated=each.affiliated,
    )


def list_registered(place: Layout) -> list[dict[str, str]]:
    """Return a row for each registered team, without its members."""
    teams = read_teams(place.holder / TEAMS_FILE)
    return [{"team": name, "affiliated": "yes" if team.affiliated else "no"} for name, team in sorted(teams.items())]


# What is published.


def _publish(place: Layout, found: Results, opening: Opening, scored: Sequence[ScoredTeam]) -> None:
    """Write the folder of results, with submissions and labels only if labels are published."""
    with saving("the results", place.results), temporary(aside(place.results)) as whole:
        whole.mkdir(parents=True)
        write_text(whole / OPENING_FILE, opening.model_dump_json(indent=1) + "\n")
        shutil.copyfile(place.root / COMMITMENT_FILE, whole / COMMITMENT_FILE)
        shutil.copyfile(place.public / CHALLENGE_FILE, whole / CHALLENGE_FILE)
        shutil.copyfile(place.feedback / STATUS_FILE, whole / STATUS_FILE)
        write_text(whole / REGISTERED_FILE, format_csv(list_registered(place), ("team", "affiliated")))
        if opening.labels is not None:
            shutil.copytree(place.reference("final"), whole / FINAL_FOLDER)
            for each in scored:
                folder = whole / KEPT_FOLDER / each.team
                folder.mkdir(parents=True)
                for name, content in each.files.items():
                    (folder / name).write_bytes(content)
        write_tables(whole, found)
        whole.rename(place.results)
