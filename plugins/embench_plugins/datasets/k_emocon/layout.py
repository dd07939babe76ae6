"""The release's layout, shared by K-EmoCon's reader and its synthesizer: subjects, devices, annotators."""

from __future__ import annotations

PEOPLE = 32
BANDS = ("delta", "theta", "lowAlpha", "highAlpha", "lowBeta", "highBeta", "lowGamma", "middleGamma")
SERIALS = {31: "A013E1", 32: "A01A3A"}
"""Two people wore two wristbands, which wrote into one file; the authors keep these."""
WINDOW_S = 5.0
SCALE = {"arousal": (1, 5), "valence": (1, 5)} | dict.fromkeys(("cheerful", "happy", "angry", "nervous", "sad"), (1, 4))
DIMENSIONS = ("arousal", "valence")
RATERS = ("R1", "R2", "R3", "R4", "R5")
