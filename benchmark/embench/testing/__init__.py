"""Conformance checks that any plugin package can run on its own classes.

Each takes a class and raises `CheckFailed`, which says what was expected and what was found:

    from embench.testing import check_encoder

    def test_conforms():
        check_encoder(MyEncoder)
"""

from embench.errors import CheckFailed
from embench.testing.checks import check
from embench.testing.datasets import check_dataset
from embench.testing.encoders import check_encoder
from embench.testing.estimators import check_estimator
from embench.testing.fusions import check_fusion
from embench.testing.metrics import check_metric
from embench.testing.observers import check_observer
from embench.testing.pretrainers import check_pretrainer

__all__ = [
    "CheckFailed",
    "check",
    "check_dataset",
    "check_encoder",
    "check_estimator",
    "check_fusion",
    "check_metric",
    "check_observer",
    "check_pretrainer",
]
