"""The data that topics measure on: generated files in the layout of a release, real recordings where they are."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.speed.measure import Setting
from embench import registry
from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import LabelRule, Target

RATE = 128.0


def deap(setting: Setting) -> Path:
    """Two subjects with trials of real length, 103 MB each. Both files are pickles of protocol 2, as the release has
    them; the generator writes the second as text. There are no face videos, which the peer does not read."""
    from embench_plugins.datasets.synthetic.writers import dump_python2

    root = setting.work / "data" / "deap"
    if not root.exists():
        registry.synthesizer("deap")(root, subjects=2, seed=0, effect=1.0, length_s=setting.size(63.0, 18.0))
        shutil.rmtree(root / "face_video")
        second = root / "data_preprocessed_python" / "s02.dat"
        content = pickle.loads(second.read_bytes(), encoding="latin1")  # noqa: S301  # just written
        with second.open("wb") as file:
            dump_python2(file, content, 2)
    return root


def amigos(setting: Setting, subjects: int, length_s: float | None = None) -> Path:
    """Short videos of real length unless `length_s` is given."""
    root = setting.work / "data" / f"amigos-{subjects}-{length_s or 'real'}" / "amigos"
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        registry.synthesizer("amigos")(root, subjects=subjects, seed=0, effect=1.0, length_s=length_s)
    return root


def stress_predict(setting: Setting) -> tuple[Path, str]:
    """The folder that holds `stress_predict`, and what it is: the real recordings where they are."""
    real = os.environ.get("EMBENCH_TEST_DATA", "")
    if not setting.tiny and real and (Path(real) / "stress_predict").is_dir():
        return Path(real), "Stress-Predict"
    root = setting.work / "data" / "wristband"
    if not root.exists():
        root.mkdir(parents=True)
        subjects, length_s = setting.size((35, 3315.0), (12, 400.0))
        registry.synthesizer("stress_predict")(
            root / "stress_predict", subjects=subjects, seed=0, effect=1.0, length_s=length_s
        )
    return root, "synthetic Stress-Predict"


def card(name: str, modality: str, of: ModalityCard, longest_s: float) -> Card:
    """The card of a made-up dataset with one modality, whose recordings have a rating."""
    return Card(
        name=name, title="", citation="", doi="", licence="", obtain="", modalities={modality: of},
        default_modalities=(modality,), targets=(Target("arousal", "binary", LabelRule(cut=5.0), "rating"),),
        mains_hz=50.0, longest_s=longest_s, labels_public="yes", fixed_order=False,
    )  # fmt: skip


RATING = {"rating": Label("rating", np.array([5.0]))}


class Part(Dataset):
    """A dataset with some modalities of another, read by its own reader."""

    def __init__(self, whole: Dataset, modalities: Sequence[str]) -> None:
        super().__init__(whole.root)
        kept = {m: whole.card.modalities[m] for m in modalities}
        self.whole, self.card = whole, replace(whole.card, modalities=kept, default_modalities=tuple(modalities))

    def subjects(self) -> list[str]:
        return self.whole.subjects()

    def files(self, subject: str) -> list[Path]:
        return self.whole.files(subject)

    def recordings(self, subject: str) -> Iterator[Recording]:
        for recording in self.whole.recordings(subject):
            kept = {m: signal for m, signal in recording.signals.items() if m in self.card.modalities}
            yield replace(recording, signals=kept)


def reader(name: str, root: Path, *modalities: str) -> Dataset:
    """A dataset's reader: of all modalities but the videos, or of those that are named."""
    whole: Dataset = registry.load_plugin("dataset", name)(root)
    seen = ("video", "face_au")
    return Part(whole, modalities or [m for m in whole.card.modalities if m not in seen])


def signal_files(name: str, root: Path) -> list[Path]:
    """The files with signals, in order."""
    pattern = {"deap": "data_preprocessed_python/s*.dat", "amigos": "*/*/Data_Preprocessed_P*.mat"}[name]
    return sorted(root.glob(pattern))


def flat(name: str, root: Path) -> Path:
    """The files in one folder without others, which the peer reads altogether."""
    folder = root.parent / f"{root.name}-flat"
    if not folder.exists():
        folder.mkdir()
        for path in signal_files(name, root):
            (folder / path.name).symlink_to(path)
    return folder
