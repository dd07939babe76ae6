"""The layout of eegmat, shared by its reader and its synthesizer: subjects, files, electrodes by their old names."""

from __future__ import annotations

PEOPLE = tuple(f"Subject{number:02d}" for number in range(36))
INFO = "subject-info.csv"
CLASSES = ("rest", "subtraction")
"""Of the files `Subject00_1.edf` and `Subject00_2.edf`, in this order."""

RATE = 500.0
ELECTRODES = {
    "Fp1": "EEG Fp1", "Fp2": "EEG Fp2", "F3": "EEG F3", "F4": "EEG F4", "F7": "EEG F7", "F8": "EEG F8",
    "T7": "EEG T3", "T8": "EEG T4", "C3": "EEG C3", "C4": "EEG C4", "P7": "EEG T5", "P8": "EEG T6", "P3": "EEG P3",
    "P4": "EEG P4", "O1": "EEG O1", "O2": "EEG O2", "Fz": "EEG Fz", "Cz": "EEG Cz", "Pz": "EEG Pz",
}  # fmt: skip
"""Today's name -> the label in the files, in their order."""
EARS = "EEG A2-A1"
HEART = "ECG ECG"
