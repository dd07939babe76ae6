"""Verification of published results by anyone, from the folder of results alone: everything is computed again."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from embench.challenge.commitment import Commitment, Opening, check_opening, commit_reference, read_document
from embench.challenge.form import as_utc
from embench.challenge.hosting import COMMITMENT_FILE
from embench.challenge.inbox import count_states
from embench.challenge.measuring import NEED_SIGNALS, MeasuredTeams, measure_teams
from embench.challenge.package import CHALLENGE_FILE, SUMS_FILE, read_challenge
from embench.challenge.results import (
    BOARD_FILE,
    FINAL_FOLDER,
    KEPT_FOLDER,
    OPENING_FILE,
    PUBLISHED_DIGITS,
    REGISTERED_FILE,
    REPORT_FILE,
    RESULTS_FILE,
    STATUS_FILE,
    Pair,
    ResultRow,
    Results,
    finish_results,
    make_board,
    make_report,
    read_table,
)
from embench.challenge.scoring import Reference, hash_reference, read_reference
from embench.challenge.study import describe_resolution, list_part
from embench.challenge.submissions import Submission, parse_published, read_files
from embench.errors import CheckFailed, DataError
from embench.files import read_text, reading, sha256
from embench.records.wording import counted
from embench.statistics import metric_facts
from embench.vocabulary import label

_ROUNDING = 0.5 * 10**-PUBLISHED_DIGITS + 1e-9
"""Largest distance of a published number from the computed one. Ends of the last digit may round differently."""


class _Published(NamedTuple):
    """The documents in a folder of results."""

    folder: Path
    results: Results
    opening: Opening
    commitment: Commitment
    challenge: Mapping[str, Any]


def verify_results(folder: Path) -> list[str]:
    """Check a folder of results from its files alone. The opening has to fit the commitments; if labels are published,
    scores, comparisons and answers are computed again; ranks, counts, sentences and tables always are. Return what was
    checked and what was not, in words.

    Raises:
        CheckFailed: something does not fit. DataError: a file is missing or damaged.
    """
    found = _Published(
        folder,
        read_document(folder / RESULTS_FILE, Results, "the file of results"),
        read_document(folder / OPENING_FILE, Opening, "the opened commitment"),
        read_document(folder / COMMITMENT_FILE, Commitment, "the commitment"),
        read_challenge(folder),
    )
    checked = _check_documents(found)
    _refuse(f"{RESULTS_FILE} differs from the other files", _compare_facts(found))
    _refuse(f"{REGISTERED_FILE} and {STATUS_FILE} do not fit {RESULTS_FILE}", _compare_teams(found))
    if found.opening.labels is not None:
        checked += _check_numbers(found)
    again = finish_results(found.results)
    _refuse("this does not follow from scores and comparisons", _compare_derived(found.results, again))
    for name, text in ((BOARD_FILE, make_board(again)), (REPORT_FILE, make_report(again))):
        with reading(folder / name, missing="a published file is missing"):
            if read_text(folder / name) != text:
                raise CheckFailed(f"{name} does not fit {RESULTS_FILE}", where=str(folder / name))
    checked.append(f"ranks, counts and statements, {BOARD_FILE}, {REPORT_FILE}")
    value, public = found.opening.public_value, found.commitment.public_value
    known = f"{public.when:%Y-%m-%d %H:%M:%S} UTC"
    committed, about = sha256(folder / COMMITMENT_FILE), sha256(folder / CHALLENGE_FILE)
    return [
        *checked,
        f"compare yourself: the value that {public.source} made known at {known}, with {value}",
        f"compare yourself: {COMMITMENT_FILE} as published before {known}, with the file here: SHA-256 {committed}",
        f"compare yourself: the line for {CHALLENGE_FILE} in {SUMS_FILE} of the package, with {about}",
        "not checked: answers given confounds, which need the signals; methods that were run again"
        if found.opening.labels is not None
        else "not checked, since labels are withheld: scores, comparisons, answers",
    ]


def _refuse(what: str, wrong: Sequence[str]) -> None:
    """Raise CheckFailed if anything is wrong."""
    if wrong:
        more = f"; {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise CheckFailed(f"{what}: {'; '.join(wrong[:10])}{more}", expected="the values of the other files")


def _check_documents(found: _Published) -> list[str]:
    """Check the opening against the commitment, and challenge.yaml against both. Return what was checked."""
    opening, commitment, challenge = found.opening, found.commitment, found.challenge
    if str(_find(challenge, "public_value.value")) != opening.public_value:
        raise CheckFailed("the public value differs from that of the package", where=str(found.folder / OPENING_FILE))
    checked = check_opening(opening, commitment, str(_find(challenge, "commitment.split_and_labels")))
    final = list_part(opening.split, "final")
    expected: dict[str, Any] = {
        "name": commitment.challenge,
        "demonstration": commitment.demonstration,
        "committed": commitment.committed.isoformat(),
        "public_value.source": commitment.public_value.source,
        "public_value.when": commitment.model_dump(mode="json")["public_value"]["when"],
        "commitment.salt": commitment.salt,
        "final_subjects": opening.sizes.final,
        "feedback_subjects": opening.sizes.feedback,
        "subjects.final": len(final),
        "subjects.hidden": len(list_part(opening.split, "final", "feedback")),
        "subjects.all": len(opening.split),
        "labels_after": "withheld" if opening.labels is None else "published",
        "resolution": describe_resolution(len(final)),
        "metric": metric_facts(found.results.metric).title,
    }
    if opening.labels is not None and opening.nonce is not None:
        files = hash_reference(found.folder / FINAL_FOLDER)
        if _find(challenge, "commitment.reference") != commit_reference(opening.nonce, files):
            raise CheckFailed(
                "the files by which the final group was scored are not those of the package's commitment",
                where=str(found.folder / FINAL_FOLDER),
                expected="the files as they were when the package was written",
            )
        checked.append("the files by which the final group was scored")
        expected |= _describe_target(read_reference(found.folder / FINAL_FOLDER))
    _refuse(f"{CHALLENGE_FILE} differs from the commitment", _list_different(challenge, expected))
    return checked


def _describe_target(reference: Reference) -> dict[str, Any]:
    """Return the facts on the target that challenge.yaml repeats."""
    target = reference.target
    return {
        "target.name": target.name,
        "target.kind": target.kind,
        "target.columns": list(target.columns),
        "target.classes": target.n,
        "target.label": target.label,
        "protocol": reference.facts["protocol"]["name"],
    }


def _list_different(content: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    return [key for key, value in expected.items() if _find(content, key) != value]


def _find(content: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key; None if there is none."""
    known: Any = content
    for part in key.split("."):
        known = known.get(part) if isinstance(known, Mapping) else None
    return known


def _compare_facts(found: _Published) -> list[str]:
    """Return the facts of the results that differ from the other documents."""
    results = found.results
    expected = {
        "challenge": found.commitment.challenge,
        "demonstration": found.commitment.demonstration,
        "subjects": len(list_part(found.opening.split, "final")),
        "chance": metric_facts(results.metric).chance,
    }
    wrong = [
        "metric or chance" if key == "chance" else key
        for key, value in expected.items()
        if getattr(results, key) != value
    ]
    deadline = _find(found.challenge, "deadline")
    if not results.demonstration and as_utc(results.closed) <= _read_time(deadline):
        wrong.append("closed (before the deadline)")
    return wrong


def _read_time(text: Any) -> dt.datetime:
    try:
        return as_utc(dt.datetime.fromisoformat(str(text)))
    except ValueError as error:
        raise DataError("the deadline is not a time", where=f"{CHALLENGE_FILE}, deadline", expected="a time") from error


def _compare_teams(found: _Published) -> list[str]:
    """Return the teams and counts of the results that differ from the tables of registered teams and of answers."""
    results, folder = found.results, found.folder
    registered, states = read_table(folder / REGISTERED_FILE), read_table(folder / STATUS_FILE)
    try:
        affiliated = {row["team"]: row["affiliated"] for row in registered}
        numbers = [(row["team"], row["submission"], row["state"]) for row in states]
        counts = count_states(states)
    except KeyError as error:
        raise DataError(f"a table lacks the column {error}", where=str(folder)) from error
    ranked = {row.team: "yes" if row.affiliated else "no" for row in results.rows}
    valid = Counter(team for team, _, state in numbers if state == "valid")
    limit = str(_find(found.challenge, "submissions_per_team"))
    most = int(limit) if limit.isdecimal() else 0
    sent = Counter(team for team, _, _ in numbers)
    wrong = [f"team {name} is there twice" for name, n in Counter(row.team for row in results.rows).items() if n > 1]
    wrong += [f"team {name}" for name in sorted(ranked.keys() ^ valid.keys())]
    wrong += [f"affiliated of team {name}" for name, word in ranked.items() if affiliated.get(name) != word]
    wrong += [f"affiliated of team {name}" for name, word in affiliated.items() if word not in ("yes", "no")]
    wrong += [f"more submissions of team {name} than {limit}" for name, n in valid.items() if n > most]
    for name, n in sent.items():
        if [number for team, number, _ in numbers if team == name] != [str(k) for k in range(1, n + 1)]:
            wrong.append(f"submissions of team {name}")
    if results.registered != len(affiliated) or len(affiliated) != len(registered):
        wrong.append(f"registered teams, {results.registered}")
    if results.submissions != counts or sum(counts.values()) != len(states):
        wrong.append(f"submissions, {results.submissions}")
    return wrong


def _check_numbers(found: _Published) -> list[str]:
    """Compute all numbers again from submissions and labels. Return what was checked."""
    results, folder = found.results, found.folder
    reference = read_reference(folder / FINAL_FOLDER)
    _check_labels(reference, found.opening, folder)
    if results.synthetic != reference.facts["synthetic"]:
        raise CheckFailed(f"{RESULTS_FILE} differs from the other files: synthetic", where=str(folder))
    submitted = _read_submissions(found, reference)
    if not submitted:
        raise CheckFailed("the results list no team", where=str(folder / RESULTS_FILE))
    again = measure_teams(reference, {team: each.rows for team, each in submitted.items()})
    wrong = [] if again.metric == results.metric else ["metric"]
    for row in results.rows:
        wrong += _compare_row(row, submitted[row.team], again)
    names = {**again.confound_only, **results.confound_only}
    wrong += [
        f"the confound-only model {label(name)}"
        for name in names
        if name not in results.confound_only
        or name not in again.confound_only
        or not _same_numbers(results.confound_only[name], again.confound_only[name])
    ]
    wrong += [
        f"the reason of the confound-only model {label(name)}"
        for name in {**again.undefined, **results.undefined}
        if results.undefined.get(name) != again.undefined.get(name)
    ]
    wrong += _compare_pairs(results.pairs, again.pairs)
    _refuse("this does not follow from submissions and labels", wrong)
    teams, pairs = counted(len(results.rows), "team"), counted(len(results.pairs), "comparison")
    return [f"the scores of {teams} and {pairs}, from submissions and labels"]


def _check_labels(reference: Reference, opening: Opening, folder: Path) -> None:
    """Check that the final group and its labels are those of the opening."""
    subjects = reference.labels["subject"].tolist()
    lines = [line for line in opening.labels or () if opening.split.get(line.partition(",")[0]) == "final"]
    if sorted(lines) != reference.labels.lines() or not set(subjects) <= set(list_part(opening.split, "final")):
        raise CheckFailed("labels differ from the opened ones", where=str(folder / FINAL_FOLDER / "labels.csv.gz"))


def _read_submissions(found: _Published, reference: Reference) -> dict[str, Submission]:
    """Return team -> its published submission. Raises CheckFailed if a team or a submission is missing."""
    root = found.folder / KEPT_FOLDER
    known = {path.name for path in root.iterdir()} if root.is_dir() else set()
    teams = sorted(row.team for row in found.results.rows)  # as `close` compares them, which decides between ties
    if wrong := sorted(known.symmetric_difference(teams)):
        raise CheckFailed(
            f"teams without a result or without a submission: {', '.join(wrong)}", where=str(root), expected="both"
        )
    name = found.commitment.challenge
    return {team: parse_published(read_files(root / team), root / team, name, reference.target) for team in teams}


def _compare_row(row: ResultRow, submission: Submission, again: MeasuredTeams) -> list[str]:
    """Return what of a team's row does not follow from its submission."""
    wrong = []
    if not _same_numbers(None if row.score is None else (row.score, row.low, row.high), again.scores[row.team]):
        wrong.append(f"the score of {row.team} with its interval")
    if row.sha256 != submission.sha256:
        wrong.append(f"the submission of {row.team}, whose checksum is {submission.sha256}")
    if row.method != submission.method.method:
        wrong.append(f"the method of {row.team}")
    for what, published, expected in (
        ("answers", row.answers, again.answers[row.team]),
        ("reasons", row.reasons, again.reasons[row.team]),
    ):
        if {key: text for key, text in published.items() if key not in NEED_SIGNALS} != expected:
            wrong.append(f"{what} of {row.team}")
    return wrong


def _compare_pairs(pairs: Sequence[Pair], again: Sequence[Pair]) -> list[str]:
    """Return the comparisons that differ, are missing, or were added."""
    known, expected = ({(pair.first, pair.second): pair for pair in each} for each in (pairs, again))
    wrong = [
        f"the comparison of {names[0]} and {names[1]}"
        for names in {**expected, **known}
        if names not in known
        or names not in expected
        or not _same_numbers(
            *((pair.difference, pair.low, pair.high, pair.p_holm) for pair in (known[names], expected[names]))
        )
    ]
    same_order = list(known) == list(expected) and len(pairs) == len(again)
    return wrong or ([] if same_order else ["the order of comparisons"])


def _same_numbers(published: Sequence[float | None] | None, again: Sequence[float | None] | None) -> bool:
    """Return True if published numbers are the computed ones, rounded."""
    if published is None or again is None:
        return published is again
    return all(
        (one is None and other is None) or (one is not None and other is not None and abs(one - other) <= _ROUNDING)
        for one, other in zip(published, again, strict=True)
    )


def _compare_derived(published: Results, again: Results) -> list[str]:
    """Return what of the results differs from what follows from their own numbers."""
    known, wrong = {row.team: row for row in published.rows}, []
    for row in again.rows:
        wrong += [f"{key} of {row.team}" for key, value in row if getattr(known[row.team], key) != value]
    if [row.team for row in published.rows] != [row.team for row in again.rows]:
        wrong.append("the order of teams")
    wrong += [key for key, value in again if key != "rows" and getattr(published, key) != value]
    return [each.replace("_", " ") for each in wrong]
