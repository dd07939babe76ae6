"""The release's layout, shared by WESAD's readers and its synthesizer: subjects, and the rate of `label` in Hz."""

from __future__ import annotations

PEOPLE = tuple(f"S{number}" for number in range(2, 18) if number != 12)
LABEL_RATE = 700
