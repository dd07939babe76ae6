"""Claims of `gerster2026` on generated FACED: the verdicts that were planted, where films alone can be told apart and
where the EEG follows what subjects felt."""

import pytest

from embench_plugins.datasets.synthetic.faced import Planted

pytestmark = pytest.mark.slow

FILMS, FELT = "films alone", "emotions felt"
WORLDS = {FILMS: Planted(film=6, emotion=0, block=0), FELT: Planted(film=0, emotion=3, block=0)}
SUBJECTS = {FILMS: 6, FELT: 8}
"""Fewer give intervals that are too wide for a verdict."""
VERDICTS = {
    "G1": {FILMS: "supported", FELT: "contradicted"},
    "E1": {FILMS: "supported", FELT: "contradicted"},
    "E3": {FILMS: "supported", FELT: "contradicted"},
}
OTHERS = {
    "G2": {FILMS: "supported", FELT: "contradicted"},
    "G4": {FILMS: "supported", FELT: "supported"},
    "G4-chance": {FILMS: "contradicted", FELT: "contradicted"},
    "E2": {FILMS: "supported"},
}
