"""Peak memory of preparing a dataset: four times the subjects must not need more."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tabulate import tabulate

from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench.store import prepare
from embench.system import peak_memory

N_SUBJECTS = (4, 16)
CHANNELS, RATE, SECONDS = 14, 128, 300


class Synthetic(Dataset):
    """`n_subjects` subjects with two recordings of noise each, made when they are read."""

    n_subjects = 0
    card = Card(
        name="synthetic", title="", citation="", doi="", licence="", obtain="",
        modalities={"eeg": ModalityCard(tuple(f"c{i}" for i in range(CHANNELS)), float(RATE), "uV")},
        default_modalities=("eeg",), targets=(Target("arousal", "binary", LabelRule(cut=5.0), "rating"),),
        mains_hz=50.0, longest_s=float(SECONDS), labels_public="yes", fixed_order=False,
    )  # fmt: skip

    def subjects(self) -> list[str]:
        return [f"p{i:02d}" for i in range(self.n_subjects)]

    def files(self, subject: str) -> list[Path]:
        return []

    def recordings(self, subject: str) -> Iterator[Recording]:
        rng = np.random.default_rng(int(subject[1:]))
        for r in range(2):
            data = rng.standard_normal((CHANNELS, RATE * SECONDS), dtype=np.float32)
            signals = {"eeg": Signal(data, float(RATE), self.card.modalities["eeg"].channels, "uV")}
            labels = {"rating": Label("rating", np.array([5.0]))}
            yield Recording(
                f"{subject}-{r}", subject, f"v{r}", "s", float(SECONDS), subject, 0.0, r, signals=signals, labels=labels
            )


def child(n_subjects: int) -> None:
    """Prints the process's peak before and after preparing, in MB."""
    before = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        dataset = Synthetic(Path(folder))
        dataset.n_subjects = n_subjects
        prepare(dataset, "bench/synthetic", "1", rate_hz=float(RATE), cache=Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.npy")) / 2**20
    print(before / 2**20, peak_memory() / 2**20, size)


def main() -> None:
    rows, peaks = [], []
    for n_subjects in N_SUBJECTS:
        line = [sys.executable, __file__, str(n_subjects)]
        done = subprocess.run(line, check=True, capture_output=True, text=True)  # noqa: S603  # this very script
        before, after, size = map(float, done.stdout.split())
        peaks.append(after)
        rows.append([n_subjects, f"{size:.0f} MB", f"{before:.0f} MB", f"{after:.0f} MB"])
    print("Memory of `prepare`, one worker")
    print(tabulate(rows, ["subjects", "prepared", "before", "peak"]))
    print(f"peak with {N_SUBJECTS[1]} subjects: {peaks[1] / peaks[0]:.2f} x that with {N_SUBJECTS[0]}\n")


if __name__ == "__main__":
    child(int(sys.argv[1])) if len(sys.argv) > 1 else main()
