"""How often a check calls something severe where nothing is wrong, simulated: scores and labels that change slowly, or
not at all, with and without an effect."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from embench.audits.checks.confounds import MAX_EXPLAINED, SUSPECT_EXPLAINED, explained_share
from embench.audits.checks.subjects import MAX_P_ALONE, find_outlier
from embench.records.predictions import Predictions

from ..sample import sample

PEOPLE, FOLDS = 20, 5


def drawn(rng, units: int, slow: float, effect: float, level: float) -> tuple[Predictions, np.ndarray]:
    """Predictions of 20 subjects and their labels. Both change as slowly as `slow` units; scores have a subject's own
    `level` and follow labels by `effect`, in SDs."""
    latent, noise = rng.normal(size=(2, PEOPLE, units))
    if slow:
        latent, noise = (gaussian_filter1d(x, slow, axis=1) for x in (latent, noise))
        latent, noise = (x / x.std() for x in (latent, noise))
    y = (latent > 0).astype(float)
    score = noise + effect * (y - 0.5) + level * rng.normal(size=(PEOPLE, 1))
    n = PEOPLE * units
    subject = np.repeat([f"p{p:02d}" for p in range(PEOPLE)], units)
    place = np.tile(np.arange(units), PEOPLE)
    columns = {
        "method": np.full(n, "model"),
        "target": np.full(n, "arousal"),
        "fold": np.repeat(np.arange(PEOPLE) % FOLDS, units),
        "seed": np.zeros(n, int),
        "subject": subject,
        "recording": subject,
        "stimulus": np.array([f"v{k}" for k in place]),
        "unit": np.array([f"{p}:{k}" for p, k in zip(subject, place, strict=True)]),
        "start_s": 10.0 * place,
        "score": 1 / (1 + np.exp(-score.ravel())),
        "decision": np.zeros(n),
    }
    return Predictions(columns), y


SETTINGS = {
    "no effect, 20 recordings": (20, 0.0, 0.0, 0.5),
    "an effect of AUROC .9, 20 recordings": (20, 0.0, 1.8, 0.5),
    "no effect, slow windows": (100, 10.0, 0.0, 0.5),
    "an effect, slow windows": (100, 10.0, 1.0, 0.5),
}


@pytest.mark.parametrize("setting", sample(SETTINGS, "an effect, slow windows", "no effect, 20 recordings"))
def test_nothing_explains_scores_of_subjects_who_share_nothing(setting):
    """700 checks in all: the largest share found lies far below what gets a warning."""
    rng = np.random.default_rng(5)
    by_subject, shares = [], []
    for _ in range(25):
        rows, _ = drawn(rng, *SETTINGS[setting])
        by_subject.append(explained_share(rows, rows["subject"], own=True)[0])
        start = rows["start_s"]
        session = np.repeat(start.max() + rng.uniform(10, 500, PEOPLE), len(rows) // PEOPLE)
        both = np.stack([start, session], axis=1)
        lengths = rng.uniform(60, 90, len(rows))
        others = (rows["stimulus"], start, start / session, session - start, both, lengths)
        shares += [explained_share(rows, values, own=False)[0] for values in others]
    print(setting, "largest share explained by the subject:", max(by_subject), "by anything else:", max(shares))
    assert max(by_subject) < MAX_EXPLAINED - 0.1
    assert max(shares) < SUSPECT_EXPLAINED - 0.1


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_nobody_stands_out_by_chance(setting):
    """AUROCs of subjects in units of their error under no effect; slow ones differ more, all of them."""
    rng = np.random.default_rng(6)
    units = SETTINGS[setting][0]
    called = 0
    for _ in range(300):
        rows, y = drawn(rng, *SETTINGS[setting])
        score = rows["score"].reshape(PEOPLE, units)
        ranks = score.argsort(1).argsort(1) + 1
        positive = y.sum(1)
        known = (positive > 0) & (positive < units)
        pairs = (positive * (units - positive))[known]
        area = ((ranks * y).sum(1) - positive * (positive + 1) / 2)[known] / pairs
        error = np.sqrt((units + 1) / (12 * pairs))
        called += find_outlier((area - 0.5) / error)[1] < MAX_P_ALONE
    print(setting, "called:", called, "of 300")
    assert called <= 3
