"""Scores, answers and paired comparisons of teams on the final group, from published files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from embench.challenge.results import Pair, as_numbers
from embench.challenge.scoring import Reference, join_rows, primary_score, score_rows
from embench.errors import DataError, UsageError
from embench.records.predictions import SubmittedRow
from embench.records.record import Record
from embench.records.scores import Scores
from embench.statistics.answers import TargetAnswers, answer_questions, describe_undefined
from embench.statistics.comparison import compare_all

ScoreNumbers = tuple[float, float | None, float | None] | None
"""A score and the ends of its interval; None if it is undefined."""
NEED_SIGNALS = ("movement", "protocol_phase")
"""Questions whose answers need the signals of the final group."""


class MeasuredTeams(NamedTuple):
    """The primary metric, and the numbers and answers of teams and confound-only models.

    Args:
        answers: team -> question -> answer, without those that need signals. `reasons`: of those without an answer.
        undefined: confound-only model -> why it has no score.
    """

    metric: str
    scores: Mapping[str, ScoreNumbers]
    answers: Mapping[str, Mapping[str, str]]
    reasons: Mapping[str, Mapping[str, str]]
    confound_only: Mapping[str, ScoreNumbers]
    undefined: Mapping[str, str]
    pairs: Sequence[Pair]


def measure_teams(reference: Reference, submitted: Mapping[str, Sequence[SubmittedRow]]) -> MeasuredTeams:
    """Score and compare teams on the final group.

    Args:
        submitted: team -> rows of its submission, at least one team.

    Raises:
        DataError: a unit of the group has no prediction.
    """
    scored = {team: score_rows(reference, rows) for team, rows in submitted.items()}
    first = next(iter(scored.values()))
    metric, _ = primary_score(first)
    models = first.get_confound_only_models(reference.target.name)
    numbers = {model.name: as_numbers(model.scores.get(metric)) for model in models}
    size = len(reference.facts["sessions"])
    found = {team: _answer(reference, scores) for team, scores in scored.items()}
    return MeasuredTeams(
        metric=metric,
        scores={team: as_numbers(primary_score(scores)[1]) for team, scores in scored.items()},
        answers={
            team: {each.question: str(each.answer) for each in of_team.answers if each.question not in NEED_SIGNALS}
            for team, of_team in found.items()
        },
        reasons={
            team: {key: reason for key, reason in list_reasons(of_team).items() if key not in NEED_SIGNALS}
            for team, of_team in found.items()
        },
        confound_only=numbers,
        undefined={
            model.name: describe_undefined(model.explain_undefined(metric), size)
            for model in models
            if numbers[model.name] is None
        },
        pairs=_compare(reference, submitted, scored),
    )


def _describe_run(reference: Reference) -> dict[str, Any]:
    """Return the part of a run's manifest that answers and comparisons read."""
    facts = reference.facts
    return {
        "dataset": {"name": facts["dataset"]},
        "protocol": {"name": facts["protocol"]["name"], "leaks": False},
        "card": {"label_rules": [facts["target"]], "steps": {reference.target.name: reference.target.step}},
        "cohort": {
            "design": facts["design"],
            "session_s": facts["sessions"],
            "subjects": sorted(set(reference.labels["subject"].tolist())),
        },
        "seeds": [0],
        "methods_evaluated": None,
    }


def _answer(reference: Reference, scores: Scores) -> TargetAnswers:
    return answer_questions(_describe_run(reference), scores)[reference.target.name]


_UNANSWERED = ("cannot be told", "too few data", "not computed")


def list_reasons(found: TargetAnswers) -> dict[str, str]:
    """Return why questions have no answer, by question; and at `score`, why the score is undefined."""
    if found.problem:
        return dict.fromkeys(("score", *(each.question for each in found.answers)), found.problem.reason)
    return {each.question: each.evidence for each in found.answers if each.answer in _UNANSWERED}


def _compare(
    reference: Reference, submitted: Mapping[str, Sequence[SubmittedRow]], scored: Mapping[str, Scores]
) -> list[Pair]:
    """Return all pairs of teams: difference of the first from the second, interval, Holm-corrected p. Without a defined
    difference there are none."""
    if len(submitted) < 2:
        return []
    run, groups = _describe_run(reference), reference.facts["groups"]
    tested = [
        {"subject": name, "group": groups[name], "fold": 0, "role": "test", "seed": 0}
        for name in run["cohort"]["subjects"]
    ]
    records = [
        Record(
            {**run, "id": team, "method": {"submission": team}},
            join_rows(reference, rows, confounds=False),
            reference.labels,
            tested,
            scored[team],
        )
        for team, rows in submitted.items()
    ]
    try:
        (table,) = compare_all(records, [reference.target.name])
    except (DataError, UsageError):
        return []
    teams = [standing.run for standing in table.standings]
    return [
        Pair(
            first=one, second=other, difference=pair.difference.mean, low=pair.difference.low,
            high=pair.difference.high, p_holm=pair.p_holm,
        )
        for (one, other), pair in zip(combinations(teams, 2), table.comparisons, strict=True)
    ]  # fmt: skip
