"""Units as files state them, and the factors between those of one kind."""

from __future__ import annotations

_WRITTEN = {
    "microvolt": "uV", "microvolts": "uV", "millivolt": "mV", "millivolts": "mV", "volt": "V", "volts": "V",
    "uv": "uV", "mv": "mV", "v": "V", "nv": "nV",
    "siemens": "S", "usiemens": "uS", "microsiemens": "uS", "microsiemen": "uS", "us": "uS",
    "umho": "uS", "umhos": "uS", "micromho": "uS", "micromhos": "uS", "millisiemens": "mS",
    "nanosiemens": "nS", "ns": "nS",
    "ohms": "Ohm", "ohm": "Ohm", "kohms": "kOhm", "kohm": "kOhm", "\u03c9": "Ohm", "k\u03c9": "kOhm",
    "celsius": "degC", "deg c": "degC", "\u00b0c": "degC", "c": "degC", "degc": "degC",
    "fahrenheit": "degF", "deg f": "degF", "\u00b0f": "degF", "f": "degF", "degf": "degF", "kelvin": "K", "k": "K",
    "m/s^2": "m/s2", "m/s\u00b2": "m/s2", "m/s**2": "m/s2", "1/min": "bpm", "beats/min": "bpm",
}  # fmt: skip
"""How files write units, in small letters -> how they are written here."""
_KINDS = (
    {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9},
    {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9},
    {"Ohm": 1.0, "kOhm": 1e3, "MOhm": 1e6},
    {"g": 1.0, "mg": 1e-3, "m/s2": 1 / 9.80665},
    *({unit: 1.0} for unit in ("degC", "degF", "K", "bpm", "%")),
)
_NOTHING = frozenset(
    {
        "n/a",
        "na",
        "nan",
        "none",
        "nodim",
        "no_units",
        "unitless",
        "a.u.",
        "au",
        "a.u",
        "arb",
        "arbitrary",
        "nu",
        "-",
        "?",
        "*",
    }
    | {"", "unknown", "unspecified"}
)


def unit_of(text: str) -> str | None:
    """A unit as a file states it, in letters of its own: `\u00b5V` and `Microvolts` are uV. None of an empty text."""
    plain = text.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    return plain if any(plain in kind for kind in _KINDS) else _WRITTEN.get(plain.lower(), plain) or None


def is_stated(unit: str | None) -> bool:
    """True of a unit, false of words for none such as `a.u.`."""
    return (unit or "").strip().lower() not in _NOTHING


def is_known(unit: str | None) -> bool:
    """True of a unit that others can be converted to."""
    return any(unit_of(unit or "") in kind for kind in _KINDS)


def unit_ratio(stated: str | None, wanted: str | None) -> float | None:
    """The factor from one unit to another; 1 where either is not known, None where they are of two kinds.

    >>> unit_ratio("S", "\u00b5S"), unit_ratio("kOhm", "uS"), unit_ratio("a.u.", "uS")
    (1000000.0, None, 1.0)
    """
    own, other = unit_of(stated or ""), unit_of(wanted or "")
    if own == other or not (is_stated(own) and is_stated(other)):
        return 1.0
    ratios = [kind[own] / kind[other] for kind in _KINDS if own in kind and other in kind]
    return float(f"{ratios[0]:.12g}") if ratios else None  # without the last bit's rounding
