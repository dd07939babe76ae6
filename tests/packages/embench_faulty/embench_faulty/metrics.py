"""Metrics, most with one fault."""

from typing import ClassVar

from embench.interfaces.metric import Metric


class Accuracy(Metric):
    """The share of right decisions."""

    range: ClassVar = (0.0, 1.0)
    depends_on_cut: ClassVar = True

    def __call__(self, units):
        return float((units.decision == units.y_true).mean())

    def compute_chance(self, units):
        return 0.5


class OutOfRange(Accuracy):
    def __call__(self, units):
        return 100 * super().__call__(units)


class NanNotUndefined(Accuracy):
    def __call__(self, units):
        return super().__call__(units) if len(set(units.y_true)) > 1 else float("nan")


class Raises(Accuracy):
    def __call__(self, units):
        raise ZeroDivisionError("no units")
