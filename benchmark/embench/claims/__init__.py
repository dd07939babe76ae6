"""What papers claim, run and judged."""

from embench.claims.examine import (
    FIXED_PROTOCOL,
    ClaimResult,
    ComparedPair,
    Leg,
    check_all_compared,
    claim_pairs,
    examine_claims,
    preview_claims,
)
from embench.claims.files import Claim, UntestedClaim, installed_claims, read_claim, select_claims

__all__ = [
    "FIXED_PROTOCOL",
    "Claim",
    "ClaimResult",
    "ComparedPair",
    "Leg",
    "UntestedClaim",
    "check_all_compared",
    "claim_pairs",
    "examine_claims",
    "installed_claims",
    "preview_claims",
    "read_claim",
    "select_claims",
]
