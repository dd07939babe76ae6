"""A shift of a subject's level, which is what normalisation changes most, gains nothing in a primary metric."""

from __future__ import annotations

import numpy as np
import pytest

from embench.interfaces.kinds import KindName
from embench.interfaces.units import LabelRule, Target, Units
from embench.statistics.estimates import estimate_all
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.joined import Joined

SUBJECTS, STIMULI, EACH = 12, 6, 4
NO_GAIN = {
    "binary": [f"auroc_{kind}" for kind in ("within", "crossed", "crossed_time", "crossed_matched", "crossed_moment")],
    "value": [f"concordance_{kind}" for kind in ("within", "crossed", "crossed_matched", "crossed_moment")],
}
"""The primary metrics of all designs, and a relative."""
GAIN = {"binary": ["auroc", "brier", "ece", "accuracy"], "value": ["ccc", "ccc_pooled", "rmse", "mae"]}


def scores(kind: KindName, shift: np.ndarray) -> dict[str, float]:
    """The scores of good predictions to which each subject's `shift` (subjects,) is added."""
    rng = np.random.default_rng(0)
    subject, stimulus, moment = (part.ravel() for part in np.indices((SUBJECTS, STIMULI, EACH)))
    felt = rng.normal(size=len(subject))
    y = (felt > 0).astype(float) if kind == "binary" else felt
    score = np.clip(0.5 + 0.1 * (felt + 0.7 * rng.normal(size=len(felt))), 0.3, 0.7) + shift[subject]
    score = score if kind == "binary" else 10 * (score - 0.5)
    names, films = (np.array([f"{of}{k:02d}" for k in codes]) for of, codes in (("p", subject), ("s", stimulus)))
    start = 60.0 * stimulus + 10.0 * moment
    units = Units(
        kind, y, score, (score >= 0.5) * 1.0 if kind == "binary" else score, names, films, start, subject * 0, names,
        10.0, np.full(len(y), 400.0), 10.0 * moment, STIMULI * subject + stimulus, step=0.1,
    )  # fmt: skip
    target = Target("felt", kind, LabelRule(), "felt")
    jackknife = leave_one_out([{0: sorted(set(names.tolist()))}], {})
    found, _ = estimate_all(Joined({0: {0: units}}), target, NO_GAIN[kind][-1], jackknife, {})
    return {name: each.mean for name, each in found.items() if isinstance(each, Estimate)}


@pytest.mark.parametrize("kind", NO_GAIN)
def test_a_shift_of_each_subjects_level_moves_no_headline_but_scores_of_level(kind: KindName) -> None:
    level = scores(kind, np.zeros(SUBJECTS))
    shifted = scores(kind, np.linspace(-0.28, 0.28, SUBJECTS)[np.random.default_rng(1).permutation(SUBJECTS)])
    assert level[NO_GAIN[kind][0]] > 0.7
    assert {name: shifted[name] for name in NO_GAIN[kind]} == pytest.approx({n: level[n] for n in NO_GAIN[kind]})
    for name in GAIN[kind]:
        assert abs(shifted[name] - level[name]) > 0.01, name
