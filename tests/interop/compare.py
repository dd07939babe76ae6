"""An independent reader on synthetic files: torcheeg must find the same samples and ratings in them as embench does.

python -m tests.interop.compare PYTHON_WITH_TORCHEEG   (`make interop` sets that up)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat

import embench
from embench import registry

PEOPLE = 4
RATE = 128
READ = Path(__file__).with_name("read_with_torcheeg.py")

CONDUCTANCE = {"deap": lambda ohm: -ohm, "amigos": lambda resistance: 1e6 / resistance}
"""What embench makes of the resistance that the files hold."""


class Trial(NamedTuple):
    """What embench reads of a trial: all columns of the file (C, T) float32, the ratings in the file's order."""

    key: str
    columns: np.ndarray
    ratings: list[float]


def main(python: str) -> int:
    faults = 0
    with tempfile.TemporaryDirectory() as scratch:
        for dataset, trials, baseline_s, eda in (("deap", deap, 3, 36), ("amigos", amigos, 5, 16)):
            root = Path(scratch, dataset)
            registry.synthesizer(dataset)(root, subjects=PEOPLE, seed=0, effect=1.0)
            flat = Path(scratch, f"{dataset}-flat")  # torcheeg lists one folder and reads all that is in it
            flat.mkdir()
            for path in [*root.rglob("Data_Preprocessed_P*.mat"), *root.rglob("data_preprocessed_python/s*.dat")]:
                (flat / path.name).symlink_to(path)
            out = Path(scratch, f"{dataset}.npz")
            subprocess.run([python, str(READ), dataset, str(flat), str(out)], check=True)
            with np.load(out) as arrays:
                theirs = {key: arrays[key] for key in arrays.files}
            faults += report(dataset, list(trials(root)), theirs, baseline_s * RATE, eda)
    return int(faults > 0)


def report(dataset: str, ours: list[Trial], theirs: dict[str, np.ndarray], baseline: int, eda: int) -> int:
    """Prints how far both agree and returns in how many trials they do not."""
    keys = {key.rpartition("/")[0] for key in theirs}
    faults, worst = len(keys ^ {trial.key for trial in ours}), 0.0
    for trial in ours:
        if trial.key not in keys:
            print(f"{dataset}: torcheeg has no trial {trial.key}")
            continue
        signal, rest = theirs[f"{trial.key}/signal"], theirs[f"{trial.key}/baseline"]
        signal[eda] = CONDUCTANCE[dataset](signal[eda])
        apart = np.abs(trial.columns[:, baseline:] - signal) / np.maximum(np.abs(signal), 1e-6)
        # torcheeg keeps of the rest before a trial the mean over its seconds.
        mean = trial.columns[:, :baseline].astype(float).reshape(len(rest), -1, RATE).mean(1)
        kept = np.arange(len(rest)) != eda
        same_gaps = np.array_equal(np.isnan(trial.columns[:, baseline:]), np.isnan(signal))
        fine = same_gaps and np.allclose(mean[kept], rest[kept], rtol=1e-5, atol=1e-5, equal_nan=True)
        fine &= np.allclose(trial.ratings, theirs[f"{trial.key}/labels"], rtol=1e-7)
        worst = max(worst, float(np.nanmax(apart)))
        faults += not (fine and np.nanmax(apart) <= np.finfo(np.float32).eps)
    print(
        f"{dataset}: {len(ours)} trials of {PEOPLE} people, {faults} differ; greatest relative difference {worst:.1e}"
    )
    return faults


def deap(root: Path) -> Iterator[Trial]:
    reader = embench.load_plugin("dataset", "deap")(root)
    for subject in reader.subjects():
        for recording in reader.recordings(subject):
            signals = [recording.signals[m].data for m in ("eeg", "eog", "emg", "eda", "resp", "ppg", "temp")]
            ratings = [float(recording.labels[n].values[0]) for n in ("valence", "arousal", "dominance", "liking")]
            yield Trial(f"{subject}/{int(recording.stimulus) - 1}", np.concatenate(signals), ratings)


def amigos(root: Path) -> Iterator[Trial]:
    """Trials with ratings: torcheeg leaves out the others."""
    for name in ("amigos", "amigos/long"):
        reader = embench.load_plugin("dataset", name)(root)
        for subject in reader.subjects():
            cells = {str(v[0]): i for i, v in enumerate(loadmat(reader.files(subject)[0])["VideoIDs"][0])}
            for recording in reader.recordings(subject):
                if not recording.labels:
                    continue
                length = next(iter(recording.signals.values())).data.shape[1]
                columns = np.full((17, length), np.nan, np.float32)
                for modality, rows in (("eeg", slice(14)), ("ecg", slice(14, 16)), ("eda", slice(16, 17))):
                    if modality in recording.signals:
                        columns[rows] = recording.signals[modality].data
                ratings = [float(recording.labels[n].values[0]) for n in ("arousal", "valence")]
                yield Trial(f"{int(subject[1:])}/{cells[recording.stimulus]}", columns, ratings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
