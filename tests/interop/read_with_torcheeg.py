"""Reads DEAP or AMIGOS files with torcheeg and writes what it found to a file; runs in torcheeg's own environment.

python read_with_torcheeg.py deap|amigos FOLDER OUT.npz
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from torcheeg.datasets import AMIGOSDataset, DEAPDataset

LABELS = {"deap": ("valence", "arousal", "dominance", "liking"), "amigos": ("arousal", "valence")}


def main(dataset: str, folder: str, out: str) -> None:
    with tempfile.TemporaryDirectory() as cache:
        # Whole trials (chunk_size -1) of all channels and subjects: torcheeg alone takes EEG and drops subjects.
        shared = {"root_path": folder, "chunk_size": -1, "io_path": f"{cache}/io", "verbose": False}
        if dataset == "deap":
            read = DEAPDataset(num_channel=40, **shared)
        else:
            read = AMIGOSDataset(num_channel=17, num_trial=-1, skipped_subjects=[], **shared)
        arrays = {}
        for index in range(len(read)):
            signal, label = read[index]
            key = f"{Path(str(label['subject_id'])).stem}/{label['trial_id']}"
            arrays[f"{key}/signal"] = np.asarray(signal)
            arrays[f"{key}/baseline"] = read.read_eeg(str(label["_record_id"]), str(label["baseline_id"]))
            arrays[f"{key}/labels"] = np.array([float(label[name]) for name in LABELS[dataset]])
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
