"""Small folders of recordings without labels, for tests of their reader."""

from pathlib import Path

import numpy as np
import pyedflib

from embench.interfaces.recording import Recording
from embench_plugins.datasets.own.reader import Corpus

from .own_files import write_yaml

HEAD = {"title": "Some recordings", "citation": "ours", "licence": "CC BY 4.0", "mains_hz": 50}


def describe(root: Path, *sources: dict, **changes) -> Path:
    return write_yaml(root / "dataset.yaml", {**HEAD, "recordings": list(sources), **changes})


def source(files: str, modality: str = "ecg", **channels) -> dict:
    return {"files": files, "signals": {modality: {"channels": ["lead"], **channels}}}


def only(root: Path) -> Recording:
    (recording,) = (r for subject in Corpus(root).subjects() for r in Corpus(root).recordings(subject))
    return recording


def waves(channels: int, samples: int, size: float = 1.0) -> np.ndarray:
    return size * np.random.default_rng(0).uniform(-1, 1, (channels, samples))


def write_edf(path: Path, data: np.ndarray, names: list[str], rate: int = 160, unit: str = "uV", kind=None) -> None:
    kind = pyedflib.FILETYPE_BDFPLUS if path.suffix == ".bdf" else pyedflib.FILETYPE_EDFPLUS if kind is None else kind
    bits = 23 if path.suffix == ".bdf" else 15
    with pyedflib.EdfWriter(str(path), len(names), file_type=kind) as file:
        file.setSignalHeaders([
            {"label": name, "dimension": unit, "sample_frequency": rate, "physical_min": -200, "physical_max": 200,
             "digital_min": -(2**bits), "digital_max": 2**bits - 1} for name in names
        ])  # fmt: skip
        file.writeSamples(list(data))


def write_e4(path: Path, start: str, rate: float, data: np.ndarray) -> None:
    path.parent.mkdir()
    rows = np.atleast_2d(data.T).T
    lines = [", ".join([start] * rows.shape[1]), ", ".join([f"{rate:.6f}"] * rows.shape[1])]
    path.write_text("\n".join(lines + [",".join(f"{value:.6f}" for value in row) for row in rows]) + "\n")
