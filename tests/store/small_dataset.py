"""A small dataset in files of its own: one file a subject, two recordings each, some of them damaged on purpose."""

import time
import zipfile
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench.store import prepare

NAME = "tests/small/short"


def write_subjects(root: Path, n_subjects: int, seconds: float = 12.0) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for p in range(n_subjects):
        rng = np.random.default_rng(p)
        content = {}
        for r in range(2):
            length = seconds + p + 3 * r
            t = np.arange(round(256 * length)) / 256
            content[f"ecg{r}"] = np.sin(2 * np.pi * np.array([[1.0], [7.0]]) * t) + rng.normal(0, 0.1, (2, len(t)))
            content[f"eda{r}"] = 5 + rng.normal(0, 1, (1, round(4 * length))).cumsum(1) * 0.05
            content[f"hr{r}"] = 60 + rng.normal(0, 2, (1, round(length)))
            content[f"rating{r}"] = rng.normal(5, 1, 1)
            content[f"stress{r}"] = rng.integers(0, 2, int(length)).astype(float)
        if p == 1:
            content["eda1"][:] = np.nan  # wholly lost
            content["ecg0"][0, 300:400] = np.nan  # a gap
        if p == 2:
            del content["hr0"]
        np.savez(root / f"p{p}.npz", **content)
    return root


class SmallDataset(Dataset):
    card = Card(
        name="small",
        title="",
        citation="",
        doi="",
        licence="",
        obtain="",
        modalities={
            "ecg": ModalityCard(("left", "right"), 256.0, "mV"),
            "eda": ModalityCard(("eda",), 4.0, "uS"),
            "hr": ModalityCard(("hr",), 1.0, "1/min"),
        },
        default_modalities=("ecg", "eda"),
        targets=(Target("arousal", "binary", LabelRule(cut=5.0), "rating"),),
        mains_hz=50.0,
        longest_s=60.0,
        labels_public="yes",
        fixed_order=False,
        skip_s=1.0,
    )

    def subjects(self):
        return sorted((path.stem for path in self.root.glob("p*.npz")), key=lambda name: int(name[1:]))

    def files(self, subject):
        return [self.root / f"{subject}.npz"]

    def subject_info(self, subject):
        return {"site": "here"}

    def recordings(self, subject):
        path = self.root / f"{subject}.npz"
        try:
            file = np.load(path)
            content = {key: file[key] for key in file.files}
        except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise DataError("is damaged", where=str(path)) from error
        for r in range(2):
            signals = {
                m: Signal(content[f"{m}{r}"].astype(np.float32), entry.rate, entry.channels, entry.unit)
                for m, entry in self.card.modalities.items()
                if f"{m}{r}" in content
            }
            stress = content[f"stress{r}"]
            labels = {
                "rating": Label("rating", content[f"rating{r}"]),
                "stress": Label("condition", stress, np.arange(len(stress)) + 0.1, ("rest", "stress")),
            }
            length = content[f"ecg{r}"].shape[1] / 256
            yield Recording(
                f"{subject}-{r}", subject, f"v{r}", "s", length, subject, 100.0 * r, r, signals=signals, labels=labels
            )


class SlowDataset(SmallDataset):
    """Takes its time, so that two processes meet, or one can be killed on the way."""

    def recordings(self, subject):
        for recording in super().recordings(subject):
            time.sleep(0.15)
            yield recording


def make(dataset, cache, **options):
    return prepare(dataset, NAME, "code-1", **{"rate_hz": 128.0, "cache": cache, **options})
