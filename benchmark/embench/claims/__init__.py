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
from embench.claims.files import (
    AnyClaim,
    Claim,
    MeasuredClaim,
    UntestedClaim,
    installed_claims,
    read_claim,
    select_claims,
)
from embench.claims.measured import Measured, examine_measured, measured_requests

__all__ = [
    "FIXED_PROTOCOL",
    "AnyClaim",
    "Claim",
    "ClaimResult",
    "ComparedPair",
    "Leg",
    "Measured",
    "MeasuredClaim",
    "UntestedClaim",
    "check_all_compared",
    "claim_pairs",
    "examine_claims",
    "examine_measured",
    "installed_claims",
    "measured_requests",
    "preview_claims",
    "read_claim",
    "select_claims",
]
