"""Measurements and publications from a copy of the project: speed, scaling, and the boards of real recordings."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
