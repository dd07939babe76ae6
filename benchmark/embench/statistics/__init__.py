"""Scores with their intervals, controls, tests and comparisons: arithmetic on predictions, which needs no torch."""

SCORING_REVISION = 3
"""Increased when the same predictions and labels give other scores; records say it, and older ones are scored anew."""
