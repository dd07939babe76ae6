"""The finding of a board, in words and as the figures of one line: its question, its highest row, its strongest
control, and how many rows add."""

from __future__ import annotations

from dataclasses import dataclass

from embench.leaderboard.row import Row
from embench.records.scores import Score
from embench.records.wording import format_control, format_score, in_words
from embench.site.boards import Board, mean_or_least
from embench.statistics.metrics import metric_facts

_CONTROLS = {
    "elapsed_time": "a clock",
    "registered_clock": "a clock that movement sets",
    "recording_length": "the length of the recording",
    "session_position": "the place in the session",
}
"""Controls whose names don't describe their inputs."""


@dataclass(frozen=True)
class BoardFinding:
    """The finding of a board.

    Args:
        question: what its target asks. `labels`: where labels come from; empty where the dataset doesn't say.
        best: the row with the highest score, of those with a rank where there are any. `control`: the control with the
            highest, in words; empty where none has a score. `score`, `control_score`: theirs.
        beaten: whether the control scores at least as high as the row.
        sentence: what is found, with more sentences where more can be said.
    """

    question: str
    labels: str
    best: Row
    score: Score | None
    control: str
    control_score: Score | None
    beaten: bool
    sentence: str


def finding_of(board: Board) -> BoardFinding:
    """Returns the finding of a board."""
    ranked = [row for row in board.rows if row.rank] or board.rows
    best = max(ranked, key=lambda row: mean_or_least(row.scored(board.metric)))
    scored = [row for row in board.controls if row.scored(board.metric)]
    strongest = min(scored, key=lambda row: (-mean_or_least(row.scored(board.metric)), row.name), default=None)
    score, control_score = best.scored(board.metric), strongest.scored(board.metric) if strongest else None
    control = control_in_words(strongest.name) if strongest else ""
    beaten = control_score is not None and mean_or_least(control_score) >= mean_or_least(score)
    on_scores = _scores(board, score, control, control_score, beaten=beaten)
    return BoardFinding(
        question=board.asks.question if board.asks else in_words(board.target),
        labels=board.asks.labels if board.asks else "",
        best=best,
        score=score,
        control=control,
        control_score=control_score,
        beaten=beaten,
        sentence=" ".join(f"{sentence}." for sentence in (on_scores, _added(board)) if sentence),
    )


def control_in_words(name: str) -> str:
    """Describes a control by its inputs, and adds its name where that is different.

    >>> control_in_words("elapsed_time"), control_in_words("movement")
    ('a clock (elapsed_time)', 'movement')
    """
    return f"{_CONTROLS[name]} ({name})" if name in _CONTROLS else in_words(name)


def _scores(board: Board, score: Score | None, control: str, of_control: Score | None, *, beaten: bool) -> str:
    """The highest row and the strongest control."""
    n = f"highest of {len(board.rows)} rows" if len(board.rows) > 1 else "only row"
    start = "The headline can't be estimated here, so nothing is ranked: within subjects the"
    start = start if board.undefined else "The"
    if score is None:
        return f"{start} {n} has no score"
    row = f"{start} {n} scores {format_score(score)}"
    chance = metric_facts(board.metric).chance
    if chance is not None and score.low is not None and score.low <= chance:
        row += ", which is not shown to be above chance"
    if of_control is None:
        missing = "the scores of controls are not published" if board.controls else "no control applies"
        return f"{row}, and {missing}"
    if beaten:
        most = "as much" if of_control.mean == score.mean else "more"
        return f"{row}, and {control} alone reaches {most}, {format_control(of_control)}"
    return f"{row}, and the strongest control, {control}, {format_control(of_control)}"


def _added(board: Board) -> str:
    """A sentence on the number of rows that add or, under earlier protocols, are above all controls; else empty."""
    adding = board.adding
    if adding is None:
        return "" if board.cleared is None else f"{_rows(board.cleared)} above all controls"
    if not adding.adding:
        return "No row is shown to add to clock and movement"
    rows = f"{adding.asked} rows{' of any access to the test subjects' if board.several_access else ''}"
    text = f"{adding.adding} of {rows} {'adds' if adding.adding == 1 else 'add'} to clock and movement"
    text += f", where up to {adding.by_luck} would by luck"
    text += "" if adding.beyond_luck else ", so that this is borderline"
    if adding.adding == 1:
        those = "it is" if board.adding_fully else "it is not"
    else:
        those = f"{board.adding_fully or 'none'} of them {'is' if board.adding_fully < 2 else 'are'}"
    return f"{text}; {those} shown to add to a clock that movement sets"


def _rows(count: int) -> str:
    return {0: "No row lies", 1: "1 row lies"}.get(count, f"{count} rows lie")
