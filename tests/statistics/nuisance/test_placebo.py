"""What one axis of an accelerometer adds to the others, where it is known what it shows that they do not."""

from __future__ import annotations

import numpy as np
import pytest
from joblib import parallel_config

from embench.interfaces.metric import Undefined
from embench.statistics import confound_test
from embench.statistics.confound_blocks import ConfoundBlocks
from embench.statistics.confound_test import measure_association
from embench.statistics.intervals import Estimate, leave_one_out
from embench.statistics.nuisance_columns import Study, axes_of, placebo

from .test_behaviour import SAMPLES, SUBJECTS, UNITS, store_of, study_over


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The wrist shakes along x where the label is 1, and along y and z whenever it likes."""
    random = np.random.default_rng(1)
    y = (random.random(SUBJECTS * UNITS) < 0.4).astype(float)
    size = np.exp(np.stack([1.2 * y, 0 * y, 0 * y]) + random.standard_normal((3, len(y)))) / 20
    shaken = random.standard_normal((3, len(y), SAMPLES)) * size[:, :, None]
    acc = shaken.reshape(3, SUBJECTS, -1).swapaxes(0, 1) + np.array([0.0, 0.0, 1.0])[:, None]
    store = store_of(tmp_path_factory.mktemp("made"), {"acc": acc}, {"acc": ("x", "y", "z")})
    return study_over(store, y)


@pytest.mark.slow
def test_an_axis_that_shows_what_the_others_do_not_adds_to_them(study: Study) -> None:
    assert axes_of(study) == ["x", "y", "z"]
    tested = confound_test.tested_units(study.cohort, study.target, study.units)
    effects = {}
    for axis in ("x", "y"):
        with parallel_config("sequential"):
            score, others = placebo(study, axis)
        joined = tested.joined({0: score}, {0: study.parts})
        held = {0: ConfoundBlocks({"others": others}, study.parts)}
        jackknife = leave_one_out(joined.tested_subjects(), {})
        own = Undefined("not asked")
        found = measure_association({0: score}, tested, held, ["others"], "auroc_within", own, jackknife)
        assert isinstance(found.partial_r, Estimate)
        assert not found.associated
        effects[axis] = found.partial_r
    assert effects["x"].low > 0.05  # type: ignore[operator]
    assert abs(effects["y"].mean) < effects["x"].mean / 3
