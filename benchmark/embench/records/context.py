"""Which other units of a test session reach a prediction; on its own, since commands need it at their start."""

from typing import Literal

TimeContext = Literal["unit", "causal", "offline"]
"""None, earlier ones, any; normalisation apart."""
