"""Quiroz2018 without embench: segments of 10 s, labels, a simple method and its AUROC inside subjects, from the files.

    python -m tests.plugins.datasets.quiroz2018_alone DIR

Needs numpy and scikit-learn. The method: standard deviation and mean size of each axis of acceleration in a segment,
z-scored inside each subject, and logistic regression in five folds of subjects. It also compares what subjects answered
to the questionnaire after happy and after sad inductions.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

SEGMENT_S = 10
FOLDS = 5
POSITIVE = (0, 2, 4, 8, 9, 11, 13, 15, 16, 18)
"""Positions of PANAS' ten positive items among its twenty."""


class Segment(NamedTuple):
    """Ten seconds of a walk: its name, subject, label (1 after a happy induction) and features (6,)."""

    name: str
    subject: str
    happy: int
    features: np.ndarray


class Felt(NamedTuple):
    """By how much positive less negative affect was higher in the happy than in the sad part of a session: right after
    the induction (while walking to music: after the walk), and after the walk."""

    study: str
    after_induction: int
    after_walk: int


def table(root: Path) -> dict[str, tuple[str, list[int]]]:
    """Subject -> the condition and six times in seconds of the day."""
    with (root / "user_study_encoding.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return {row[0].upper(): (row[1], [_seconds(cell) for cell in row[4:10]]) for row in rows}


def _seconds(cell: str) -> int:
    hours, minutes, seconds = map(int, cell.split("."))
    return 3600 * hours + 60 * minutes + seconds


def walks(root: Path) -> dict[str, list[tuple[int, float, np.ndarray]]]:
    """Subject -> the emotion (-1, 0, 1), the rate in Hz and the rows (n, 9) of each walk."""
    known, found = table(root), {}
    for path in (root / "walking_data").glob("*.csv"):
        subject = re.split("_", path.name)[1].upper()
        times, data = known[subject][1], np.loadtxt(path, delimiter=",")
        parts = [data[data[:, 1] == emotion] for emotion in dict.fromkeys(data[:, 1].tolist())]
        lengths = [times[2 * k + 1] - times[2 * k] for k in range(3)]
        found[subject] = [
            (int(rows[0, 1]), len(rows) / length, rows) for rows, length in zip(parts, lengths, strict=True)
        ]
    return found


def describe(acc: np.ndarray) -> np.ndarray:
    """(6,) of acceleration (3, n): standard deviations, and means of the sizes."""
    acc = acc.astype(np.float64)
    return np.concatenate([acc.std(axis=1), np.abs(acc).mean(axis=1)])


def segments(root: Path) -> list[Segment]:
    """All segments with a label, by name."""
    found = []
    for subject, own in walks(root).items():
        for place, (emotion, rate, rows) in enumerate(own, 1):
            acc = (rows[:, 2:5].T / 9.80665).astype(np.float32)
            for k in range(round(len(rows) / rate) // SEGMENT_S if emotion else 0):
                first, last = (round(SEGMENT_S * at * rate) for at in (k, k + 1))
                name = f"{subject}_{place}:{1000 * SEGMENT_S * k}-{1000 * SEGMENT_S * (k + 1)}"
                found.append(Segment(name, subject, int(emotion > 0), describe(acc[:, first:last])))
    return sorted(found)


def out_of_fold(subjects: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(n,) probabilities of class 1 from models of other subjects; subjects are dealt to folds in order of name."""
    names, code = np.unique(subjects, return_inverse=True)
    z = x.copy()
    for one in range(len(names)):
        own = x[code == one]
        z[code == one] = (own - own.mean(0)) / own.std(0)
    score = np.zeros(len(y))
    for fold in range(FOLDS):
        test = code % FOLDS == fold
        model = LogisticRegression(max_iter=1000).fit(z[~test], y[~test])
        score[test] = model.predict_proba(z[test])[:, 1]
    return score


def auroc_within(subjects: np.ndarray, y: np.ndarray, score: np.ndarray) -> float:
    """The share of pairs of a happy and a sad segment of one subject that are in the right order, mean over
    subjects."""
    shares = []
    for name in np.unique(subjects):
        happy, sad = (score[(subjects == name) & (y == label)][:, None] for label in (1, 0))
        shares.append(np.mean((happy > sad.T) + 0.5 * (happy == sad.T)))
    return float(np.mean(shares))


def felt(root: Path) -> list[Felt]:
    """What each subject with walks answered. A block of 20 answers follows each induction and each walk; while walking
    to music, each walk."""
    known, found = table(root), []
    for name, blocks in (("PANAS_mo_mu", 2), ("PANAS_mw", 1)):
        with (root / "PANAS" / f"{name}.csv").open(encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if len(row) > 20 and row[1].upper() in known]
        for row in rows:
            study, order = known[row[1].upper()][0].split("-")
            answers = np.array(row[3 : 3 + 60 * blocks], int).reshape(3, blocks, 20)
            signs = np.where(np.isin(np.arange(20), POSITIVE), 1, -1)
            gap = (answers @ signs)[order.index("H")] - (answers @ signs)[order.index("S")]
            found.append(Felt(study, int(gap[0]), int(gap[-1])))
    return found


def summary(gaps: Iterable[int]) -> tuple[int, int, int]:
    """How many are above, at and below zero."""
    signs = np.sign(list(gaps))
    return int((signs > 0).sum()), int((signs == 0).sum()), int((signs < 0).sum())


if __name__ == "__main__":
    place = Path(sys.argv[1])
    every = segments(place)
    who, label = np.array([one.subject for one in every]), np.array([one.happy for one in every])
    scored = out_of_fold(who, label, np.array([one.features for one in every]))
    print(f"{len(every)} segments of {len(set(who))} subjects, {label.mean():.3f} happy")
    print(f"AUROC within subjects {auroc_within(who, label, scored):.6f}")
    reports = felt(place)
    print("felt happier after the happy induction, as happy, less happy:", summary(r.after_induction for r in reports))
    print("the same after the walk:", summary(r.after_walk for r in reports))
