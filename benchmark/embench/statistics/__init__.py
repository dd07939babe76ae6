"""Records, scores, intervals, controls and the ledger: everything that happens after predictions are made."""

REVISION = 2
"""Rises when the same predictions and labels give other scores; records say it, and older ones are scored anew."""
