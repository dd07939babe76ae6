"""`signal_mean`: the mean of each channel over a span, and nothing where samples were lost."""

import numpy as np
import pytest

from embench.errors import UsageError
from embench.interfaces.recording import Signal
from embench_plugins.encoders.handcrafted import SignalMean

READER = SignalMean(SignalMean.recipes["paper"])


def test_each_channel_has_its_mean_over_the_span():
    x = np.stack([np.arange(40.0), np.full(40, 7.0)]).astype(np.float32)
    found = READER.features(Signal(x, 4.0, ("x", "y"), "g", modality="acc"), np.array([[0.0, 2.0], [5.0, 10.0]]))
    np.testing.assert_allclose(found, [[3.5, 7.0], [29.5, 7.0]])
    assert READER.feature_names("acc", ("x", "y")) == ("x_mean", "y_mean")


def test_a_span_with_lost_samples_in_a_channel_has_no_values():
    x = np.ones((2, 40), np.float32)
    x[1, 3] = np.nan
    found = READER.features(Signal(x, 4.0, ("x", "y"), "g", modality="acc"), np.array([[0.0, 2.0], [2.0, 10.0]]))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], [1.0, 1.0])


def test_faces_as_pictures_are_refused():
    with pytest.raises(UsageError, match="no features of 'video'"):
        READER.feature_names("video", ("rgb",))
