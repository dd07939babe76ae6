"""Claims of papers, run and judged. The code that runs claims needs torch, and is loaded when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from embench.claims.files import (
    AnyClaim,
    Claim,
    MeasuredClaim,
    UntestedClaim,
    installed_claims,
    read_claim,
    select_claims,
)

if TYPE_CHECKING:
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

_MEASURED = ("Measured", "examine_measured", "measured_requests")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'embench.claims' has no attribute {name!r}")
    return getattr(import_module(f"embench.claims.{'measured' if name in _MEASURED else 'examine'}"), name)
