"""Whether scores add something to clock and movement, put to the test on real recordings: the `study` that all of it
reads, and `attacks`, scores made of movement, clocks and contact alone, which must not add anything."""

from bench import ROOT

KEPT = ROOT / ".embench" / "adds"
"""Where what takes minutes to compute is kept."""
PROTOCOL = "subject-independent-v2"
DATASETS = ("stress_predict", "wearable_stress")
TARGET = "stress"
