"""Which other units of a test session reach a prediction; on its own, since commands need it at their start."""

from typing import Literal

TimeContext = Literal["unit", "causal", "offline"]
OTHER_UNITS: dict[TimeContext, str] = {"unit": "none", "causal": "earlier ones", "offline": "any"}
"""What is meant, in words; normalisation apart."""
