"""The primary metric of `faced-films-v1` where films alone are recognised: chance, in an interval that covers other
films."""

from __future__ import annotations

import numpy as np
import pytest

from embench.interfaces.units import LabelRule, Target, Units
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import Joined

EMOTION = Target("emotion", "classes", LabelRule(), "emotion", n=9)
CLASSES = np.array([0, 1, 2, 3, 5, 6, 7, 8], float)
SUBJECTS, PARTS = 10, 3


def drawn(rng: np.random.Generator, film: float, emotion: float) -> Estimate:
    """The primary metric where every subject's scores of the nine classes are those of the film, of no emotion,
    and noise; the score of the true class is higher by `emotion`. Two folds of subjects for each part of the films."""
    of_film = film * rng.normal(size=(PARTS * len(CLASSES), EMOTION.n))
    folds = {}
    for half in range(2):
        for part in range(PARTS):
            names = [f"p{p}" for p in range(SUBJECTS) if p % 2 == half]
            shown = np.tile(np.arange(len(CLASSES)) + len(CLASSES) * part, len(names))
            y, subject = np.tile(CLASSES, len(names)), np.repeat(names, len(CLASSES))
            score = of_film[shown] + 0.5 * rng.normal(size=(len(y), EMOTION.n))
            score[np.arange(len(y)), y.astype(int)] += emotion
            fold = PARTS * half + part
            stimulus, when = np.char.add("v", shown.astype(str)), np.zeros(len(y))
            decision = score.argmax(1).astype(float)
            at = np.full(len(y), fold)
            folds[fold] = Units("classes", y, score, decision, subject, stimulus, when, at, subject)
    joined = Joined({0: folds})
    stimuli = [f"v{k}" for k in range(PARTS * len(CLASSES))]
    found, _ = estimate("auroc_within", joined, EMOTION, leave_one_out(joined.tested_subjects(), {}, stimuli))
    assert isinstance(found, Estimate)
    return found


@pytest.mark.slow
def test_who_recognises_films_is_at_chance_and_the_interval_covers_other_films() -> None:
    rng = np.random.default_rng(0)
    made = [drawn(rng, film=1.0, emotion=0.0) for _ in range(40)]
    assert {(e.over, e.df) for e in made} == {("subjects_and_stimuli", SUBJECTS - 1)}
    means, errors = np.array([e.mean for e in made]), np.array([e.error for e in made], float)
    assert np.mean(means) == pytest.approx(0.5, abs=3 * means.std() / 40**0.5)
    # One partition can't show what partitions share: its variance counts twice.
    assert 1.0 <= np.sqrt((errors**2).mean() / 2) / means.std() <= 1.7
    assert np.mean([e.low is not None and e.low <= 0.5 <= (e.high or 0) for e in made]) >= 0.9


def test_an_emotion_that_shows_in_all_films_is_found() -> None:
    found = drawn(np.random.default_rng(1), film=0.5, emotion=1.5)
    assert found.low is not None
    assert found.low > 0.5
