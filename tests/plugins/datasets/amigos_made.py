"""AMIGOS files made for tests: by hand, or of one of the subjects of the synthesizer."""

from pathlib import Path

import av
import numpy as np
from scipy.io import savemat

from embench_plugins.datasets.amigos import synthetic
from embench_plugins.datasets.amigos.release import LONG, SHORT


def subject_file(root: Path, subject: int, long_s: float = 10.0) -> Path:
    """The file of any of the 40 subjects, alone in a flat folder."""
    trials = synthetic.draw(40, 4, 1.0)
    path = root / f"Data_Preprocessed_P{subject:02d}.mat"
    path.write_bytes(
        synthetic._encode_mat(subject, synthetic._make_cells(trials[trials["person"] == subject], 4, 12.0, long_s))
    )
    return path


def own_file(path: Path, cells: int = 20, seconds: float = 10.0, **changes) -> Path:
    """A file written by hand, with whole variables replaced; None leaves one out."""
    videos = [*SHORT, *LONG][:cells]
    rng = np.random.default_rng(0)
    content = {
        "joined_data": row([rng.normal(100, 1, (round(seconds * 128), 17)) for _ in videos]),
        "labels_selfassessment": row([np.arange(1.0, 13.0)[None] for _ in videos]),
        "labels_ext_annotation": row([np.ones((4, 3)) for _ in videos]),
        "VideoIDs": row(videos),
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {name: value for name, value in content.items() if value is not None})
    return path


def row(cells: list) -> np.ndarray:
    made = np.empty((1, len(cells)), object)
    for index, cell in enumerate(cells):
        made[0, index] = cell
    return made


def clip(path: Path, seconds: float, fps: int = 25) -> Path:
    """A tiny video with a few frames a second, as long as said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height = 16, 16
        for index in range(round(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), index % 256, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
