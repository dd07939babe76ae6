"""What is remembered of a signal to find its copies."""

import numpy as np

from embench.signals.copies import stretches


def test_a_signal_is_remembered_by_64_stretches_most_of_which_a_copy_has_that_was_cut_elsewhere():
    signal = np.random.default_rng(0).normal(size=(1, 5000))
    remembered = set(stretches(signal))
    assert len(remembered) == 64
    assert len(remembered & set(stretches(signal[:, 500:]))) > 48
