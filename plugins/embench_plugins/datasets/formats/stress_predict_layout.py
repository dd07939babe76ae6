"""The release's layout, shared by Stress-Predict's reader and its synthesizer: names of files, and a unit."""

from __future__ import annotations

from pathlib import Path

LABELS = Path("Processed_data", "Improved_All_Combined_hr_rsp_binary.csv")
FILES = {"ppg": "BVP.csv", "eda": "EDA.csv", "temp": "TEMP.csv", "acc": "ACC.csv"}
COUNT_G = 1 / 64
"""The wristband counts acceleration in 1/64 g."""
