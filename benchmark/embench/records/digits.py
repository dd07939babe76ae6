"""Rounding of scores to the digits that records hold."""

from __future__ import annotations

import numpy as np

_POWERS = np.array([float(10**k) for k in range(23)])
"""The powers of ten that float64 holds exactly."""


def nine_digits(values: np.ndarray) -> np.ndarray:
    """Return scores (n,) rounded to nine significant digits, from which metrics are computed.

    >>> nine_digits(np.array([2 / 3, -123456789.5, 0.0]))
    array([ 6.66666667e-01, -1.23456790e+08,  0.00000000e+00])
    """
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = 8 - np.floor(np.log10(np.abs(values)))
        usual = (places >= 0) & (places < len(_POWERS))
        power = _POWERS[np.where(usual, places, 0).astype(int)]
        digits = np.abs(values * power)
        # An integer divided by an exact power of ten is the float64 nearest to the decimal number. A product is rounded
        # by at most 6e-8 here, so that its nearest integer is certain unless it lies halfway.
        certain = usual & (digits >= 1e8) & (digits < 1e9) & (np.abs(digits % 1 - 0.5) > 1e-6)
    rounded = np.where(certain, np.copysign(np.rint(digits) / power, values), values)
    others = np.flatnonzero(~certain & (values != 0))
    each, at = np.unique(values[others], return_inverse=True)
    rounded[others] = np.array([float(f"{v:.9g}") for v in each.tolist()], np.float64)[at]
    return rounded
