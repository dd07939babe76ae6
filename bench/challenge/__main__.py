"""`python -m bench.challenge`: 1,000 simulated challenges for each cell of plan.md; writes results.csv.

Seeds depend on the cell and the number of the challenge alone, so that cells can be run in any order.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from embench.challenge.ladder import choose_step, release_score
from embench.challenge.optimism import TEAMS, best_of

HIDDEN, WAYS, ANSWERS = (30, 100, 1000), ("independent", "search", "vote"), ("score", "ladder")
CHALLENGES, SUBMISSIONS = 1000, 200
UNITS, FEATURES, TRAINING_LABELS, SHIFT, SPREAD = 5, 10, 20, 0.6, 0.5
"""Units of each class of a subject, features, training subjects, shift of the first feature, SD over subjects."""
CHANGE = 0.5
"""Length of a random change, as a proportion of that of the weights."""
OUT = Path(__file__).parent / "results.csv"


def draw_subjects(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of negative and positive units, each (subjects, units, features)."""
    shift = SPREAD * rng.standard_normal((count, 1, FEATURES))
    shift[:, :, 0] += SHIFT
    negative = rng.standard_normal((count, UNITS, FEATURES))
    return negative, rng.standard_normal((count, UNITS, FEATURES)) + shift


def score(subjects: tuple[np.ndarray, np.ndarray], weights: np.ndarray) -> np.ndarray:
    """AUROC within a subject for each submission and subject, (submissions, subjects). `weights`: (submissions, F)."""
    low, high = (np.moveaxis(x @ weights.T, -1, 0) for x in subjects)
    return (high[:, :, :, None] > low[:, :, None, :]).mean((2, 3))


def expected(weights: np.ndarray) -> np.ndarray:
    """Expected score on new subjects, exactly. A unit's difference has variance 2, a subject's shift SPREAD squared."""
    length = np.linalg.norm(weights, axis=-1)
    return ndtr(SHIFT * weights[..., 0] / length / np.sqrt(2 + SPREAD**2))


def first_weights(rng: np.random.Generator) -> np.ndarray:
    """The mean difference of the classes on training subjects."""
    negative, positive = draw_subjects(rng, TRAINING_LABELS)
    return (positive - negative).mean((0, 1))


def change(rng: np.random.Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """Random changes of weights, (count, F)."""
    steps = rng.standard_normal((count, FEATURES))
    steps *= CHANGE * np.linalg.norm(weights) / np.linalg.norm(steps, axis=1, keepdims=True)
    return weights + steps


def play(rng: np.random.Generator, hidden: int, way: str, answer: str) -> tuple[float, float]:
    """One challenge with one team: final score and feedback score of the picked submission, less the expected score."""
    feedback, final = draw_subjects(rng, hidden // 2), draw_subjects(rng, hidden - hidden // 2)
    step, best = choose_step(hidden // 2), None

    def tell(weights: np.ndarray) -> list[float]:
        """Answers to submissions (submissions, F), in their order."""
        nonlocal best
        told = []
        for value in score(feedback, weights).mean(1).tolist():
            best = value if answer == "score" else release_score(value, best, step)
            told.append(best)
        return told

    picked = PICKS[way](rng, first_weights(rng), tell)
    truth = float(expected(picked))
    return tuple(float(score(group, picked[None]).mean()) - truth for group in (final, feedback))


Tell = Callable[[np.ndarray], list[float]]


def pick_independent(rng: np.random.Generator, first: np.ndarray, tell: Tell) -> np.ndarray:
    tried = np.vstack([first, change(rng, first, SUBMISSIONS - 1)])
    return tried[int(np.argmax(tell(tried)))]


def pick_by_search(rng: np.random.Generator, first: np.ndarray, tell: Tell) -> np.ndarray:
    picked, (best,) = first, tell(first[None])
    for _ in range(SUBMISSIONS - 1):
        other = change(rng, picked, 1)
        (value,) = tell(other)
        if value > best:
            (picked,), best = other, value
    return picked


def pick_by_vote(rng: np.random.Generator, first: np.ndarray, tell: Tell) -> np.ndarray:
    tried = change(rng, first, SUBMISSIONS - 2)
    told = np.array(tell(np.vstack([first, tried])))
    signs = np.where(told[1:] > told[0], 1.0, -1.0)
    picked = first + (signs[:, None] * (tried - first)).mean(0) * np.sqrt(len(tried))
    tell(picked[None])
    return picked


PICKS = {"independent": pick_independent, "search": pick_by_search, "vote": pick_by_vote}


def play_teams(rng: np.random.Generator, hidden: int) -> tuple[list[float], float]:
    """One challenge with 100 teams and no feedback: the excess of the best of the first 3, 10, 100; and the standard
    error of one team's score."""
    final = draw_subjects(rng, hidden - hidden // 2)
    tried = change(rng, first_weights(rng), max(TEAMS))
    by_subject = score(final, tried)
    scores, truth = by_subject.mean(1), expected(tried)
    winners = [int(np.argmax(scores[:teams])) for teams in TEAMS]
    error = float(np.median(by_subject.std(1, ddof=1)) / np.sqrt(by_subject.shape[1]))
    return [float(scores[k] - truth[k]) for k in winners], error


def main() -> None:
    rows = []
    for hidden, way, answer in itertools.product(HIDDEN, WAYS, ANSWERS):
        cell = [HIDDEN.index(hidden), WAYS.index(way), ANSWERS.index(answer)]
        played = np.array([play(np.random.default_rng([*cell, k]), hidden, way, answer) for k in range(CHALLENGES)])
        mean, error = played.mean(0), played.std(0, ddof=1) / np.sqrt(CHALLENGES)
        rows.append((hidden, way, answer, *(f"{x:.4f}" for x in (mean[0], error[0], mean[1], error[1])), ""))
        sys.stdout.write(f"{rows[-1]}\n")
    for hidden in HIDDEN:
        found = [play_teams(np.random.default_rng([99, HIDDEN.index(hidden), k]), hidden) for k in range(CHALLENGES)]
        stated = best_of(float(np.mean([error for _, error in found])))
        for k, teams in enumerate(TEAMS):
            excess = np.array([winners[k] for winners, _ in found])
            error = excess.std(ddof=1) / np.sqrt(CHALLENGES)
            rows.append(
                (
                    hidden,
                    f"best of {teams}",
                    "none",
                    f"{excess.mean():.4f}",
                    f"{error:.4f}",
                    "",
                    "",
                    f"{stated[teams]:.4f}",
                )
            )
            sys.stdout.write(f"{rows[-1]}\n")
    with OUT.open("w", newline="") as file:
        head = ("hidden", "way", "answers", "final_excess", "se", "feedback_excess", "feedback_se", "stated")
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    main()
