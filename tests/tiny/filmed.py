"""Subjects for the small dataset of `watching.py`: every frame of a film is of one grey, which tells its number."""

import json
import shutil
from pathlib import Path

import numpy as np

from . import film

WATCHING = Path(__file__).with_name("watching.py")


def plugin(name: str) -> str:
    return f"{WATCHING}:{name}"


def grey(number: int, across: int = 32, down: int = 24) -> np.ndarray:
    return np.full((down, across, 3), number % 256, np.uint8)


def recording(subject: int, number: int, **changes) -> dict:
    """What a subject's file says of a recording of 12 s, whose film begins and ends with it.

    Args:
        changes: fields that differ; `film` None: there is none.
    """
    name = f"p{subject:02d}-v{number}"
    random = np.random.default_rng([subject, number])
    return {
        "id": name,
        "stimulus": f"v{number}",
        "seconds": 12.0,
        "arousal": 7.0 if (subject + number) % 2 else 3.0,
        "eda": (5 + random.standard_normal(12 * 16)).round(4).tolist(),
        "film": {"file": f"films/{name}.mkv", "span": [0.0, 12.0], "boxes": None},
        **changes,
    }


def write(root: Path, subjects: dict[str, list[dict]], dataset: str = "Filmed") -> Path:
    """Writes subjects below `root/dataset`, with a film of 12 s at 25 frames a second wherever one is named and not
    there yet; returns `root`."""
    folder, films = root / dataset, dict[int, Path]()
    folder.mkdir(parents=True, exist_ok=True)
    for name, recordings in subjects.items():
        (folder / f"{name}.json").write_text(json.dumps(recordings))
        for at, about in enumerate(recordings):
            path = folder / about["film"]["file"] if about["film"] else folder
            if path.exists():
                continue
            if at in films:
                shutil.copyfile(films[at], path)
            else:
                films[at] = lossless(path, film.steady(300), 7 * at)
    return root


def lossless(path: Path, times_s: list[float], first: int = 0) -> Path:
    """A film whose frame k is of the grey `first` + k."""
    return film.write(path, times_s, codec="ffv1", b_frames=0, pixels="bgr0", picture=lambda k: grey(first + k))


def make_subjects(count: int) -> dict[str, list[dict]]:
    return {f"p{subject:02d}": [recording(subject, number) for number in range(4)] for subject in range(count)}
