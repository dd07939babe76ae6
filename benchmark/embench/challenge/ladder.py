"""The Ladder mechanism of Blum and Hardt (2015): feedback that a team can hardly overfit, and its bound."""

from __future__ import annotations

import math

CONFIDENCE = 0.95


def choose_step(subjects: int) -> float:
    """Return the step by which a score has to improve before a team learns of it: about one standard error of a mean
    over subjects of values from 0 to 1.

    >>> choose_step(25)
    0.1
    """
    return round(1 / (2 * math.sqrt(subjects)), 3)


def release_score(score: float, best: float | None, step: float) -> float:
    """Return the value that a team is told: the score, rounded to a multiple of `step`, if it exceeds the best one so
    far by more than a step; else the best one so far. Only the order of events decides, so a repeated or slightly
    changed submission reveals nothing.

    Args:
        score: of the new submission, higher is better. `best`: last released value; None before the first.

    >>> release_score(0.63, 0.6, 0.1), release_score(0.74, 0.6, 0.1)
    (0.6, 0.7)
    """
    if best is not None and score <= best + step:
        return best
    return round(round(score / step) * step, 6)


def compute_bound(subjects: int, submissions: int, step: float) -> float:
    """Return the largest error of the best released value of one team, with probability `CONFIDENCE`.

    It is ε + η of theorem 3.1 of Blum and Hardt (2015, arXiv 1502.04585): P(error > ε + η) ≤ exp(-2 ε² n + (1/η + 2)
    log(4 k / η) + 1), for n = `subjects` independent subjects whose values lie in 0 to 1, k = `submissions` that may
    depend on all earlier answers, and η = `step`. A score that compares pairs of subjects is a U-statistic, for which n
    counts half as much (Hoeffding 1963); the bound is then larger than this one.

    >>> round(compute_bound(1000, 200, 0.1), 2)
    0.34
    """
    exponent = (1 / step + 2) * math.log(4 * submissions / step) + 1 - math.log(1 - CONFIDENCE)
    return math.sqrt(exponent / (2 * subjects)) + step


def describe_bound(subjects: int, submissions: int) -> str:
    """Return a sentence on what the Ladder guarantees for a feedback group."""
    step = choose_step(subjects)
    bound = compute_bound(subjects, submissions, step)
    useful = bound < 0.5
    verdict = "" if useful else ": no guarantee, since chance is 0.5; ranks come from other subjects in any case"
    return (
        f"Ladder with n = {subjects} subjects, step {step:g}, {submissions} submissions: a team's feedback is wrong by "
        f"at most {bound:.2f} in 95 of 100 challenges{verdict}"
    )
