"""The AUROC of what explains scores is scikit-learn's, to the last digit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from embench.audits.checks.confounds import area_under_curve

from ..sample import sample


@pytest.mark.parametrize("digits", sample([0, 1, 9], 1))
def test_areas_are_those_of_scikit_learn(digits: int) -> None:
    rng = np.random.default_rng(digits)
    for n in range(2, 200):
        y = np.append([0.0, 1.0], rng.integers(0, 2, n - 2))
        values = (y + rng.normal(size=n)).round(digits)
        assert area_under_curve(y, values) == roc_auc_score(y, values)
