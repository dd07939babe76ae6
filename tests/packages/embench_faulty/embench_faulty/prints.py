"""Prints when it is imported."""

from embench_faulty.metrics import Accuracy

print("version 3 of my metric")


class Prints(Accuracy):
    """Fine but for its module."""
