"""What papers claim, run and judged."""

from embench.claims.examine import FIXED, Leg, Pair, Row, check, examine, pairs, prospects
from embench.claims.files import Claim, Untested, chosen, installed, read

__all__ = [
    "FIXED",
    "Claim",
    "Leg",
    "Pair",
    "Row",
    "Untested",
    "check",
    "chosen",
    "examine",
    "installed",
    "pairs",
    "prospects",
    "read",
]
