"""The release's layout, shared by Stress-Predict's reader and its synthesizer: where the labels are."""

from __future__ import annotations

from pathlib import Path

LABELS = Path("Processed_data", "Improved_All_Combined_hr_rsp_binary.csv")
