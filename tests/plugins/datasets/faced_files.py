"""Small files of FACED as both releases have them, for tests of its readers; signals are written by pyEDFlib."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyedflib
from scipy.io import savemat

from embench_plugins.datasets.faced.release import CLIPS, RATINGS, find_cohort

MEAN_UV = 30.0

Event = tuple[int, float, float]
"""A clip's number, its onset and its length in s."""


def play(clips: Sequence[int] = tuple(CLIPS), length_s: float = 3.0) -> list[Event]:
    """Clips one after another, each followed by a second, from second 2 on."""
    return [(clip, 2.0 + (length_s + 1) * k, length_s) for k, clip in enumerate(clips)]


def ratings(clips: Sequence[int], seed: int = 0) -> dict[int, list[float]]:
    """Twelve numbers from 0 to 7 for each clip."""
    rng = np.random.default_rng(seed)
    return {clip: rng.uniform(0, 7, len(RATINGS)).tolist() for clip in clips}


def noise(seconds: float, rate: float, seed: int = 0) -> np.ndarray:
    """(32, samples) in uV: white, with another spread and offset in each channel."""
    rng = np.random.default_rng(seed)
    spread = np.linspace(10, 2 * MEAN_UV - 10, 32)[:, None]
    return spread * rng.standard_normal((32, round(seconds * rate))) + 5 * np.arange(32)[:, None]


def write_bdf(path: Path, data: np.ndarray, rate: float, names: Sequence[str], unit: str = "uV") -> None:
    """A BDF file of whole seconds without further channels; its range is a power of ten, which its header can hold."""
    digits = int(np.ceil(np.log10(np.abs(data).max())))
    most = 10**digits  # whole where it can be: a dot more is too long
    writer = pyedflib.EdfWriter(str(path), len(names), file_type=pyedflib.FILETYPE_BDF)
    writer.setSignalHeaders([
        {
            "label": name, "dimension": unit, "sample_frequency": rate, "physical_max": most, "physical_min": -most,
            "digital_max": 8388607, "digital_min": -8388608, "transducer": "", "prefilter": "",
        }
        for name in names
    ])  # fmt: skip
    writer.writeSamples(list(np.ascontiguousarray(data)))
    writer.close()


def write_bids(
    root: Path,
    subject: str,
    events: Sequence[Event],
    rated: dict[int, list[float]],
    *,
    data: np.ndarray | None = None,
    dimension: str = "uV",
    names: Sequence[str] | None = None,
) -> Path:
    """A person's files in the BIDS release, with the EEG where `data` (32, samples) are given; returns their folder.

    Times are cut to milliseconds as the release's are, with the noise of a subtraction in their last digits.
    """
    known = find_cohort(subject)
    names = known.layout if names is None else names
    folder = root / subject / "eeg"
    folder.mkdir(parents=True)
    start = folder / f"{subject}_task-watchingVideoClips_"
    rows = [["onset", "duration", "trial_type", "value", "sample", "emotion_label", "binary_label", "video_index",
             *RATINGS]]  # fmt: skip
    for onset, code in ((0.25, "Experiment start"), (0.5, "91"), (0.75, "201")):
        rows.append([onset, 0.0, code, 3, round(onset * known.rate), *["n/a"] * 15])
    for clip, onset, length in events:
        emotion, positive = CLIPS[clip].emotion, CLIPS[clip].positive
        label = "\\" if positive is None else emotion.capitalize()
        sign = {None: "neutral", True: "positive", False: "negative"}[positive]
        rows.append([onset, (onset + length) - onset, CLIPS[clip].film, 7, round(onset * known.rate), label, sign, clip,
                     *rated[clip]])  # fmt: skip
    _table(Path(f"{start}events.tsv"), rows)
    heads = ["name", "type", "units", "low_cutoff", "high_cutoff", "description", "sampling_frequency", "status",
             "status_description"]  # fmt: skip
    channels = [
        [name, "EEG", known.unit, 0.0, 62.0, "ElectroEncephaloGram", known.rate, "good", "n/a"] for name in names
    ]
    _table(Path(f"{start}channels.tsv"), [heads, *channels])
    samples = data.shape[1] if data is not None else round((events[-1][1] + events[-1][2] + 1) * known.rate)
    said = {"SamplingFrequency": known.rate, "RecordingDuration": (samples - 1) / known.rate}
    Path(f"{start}eeg.json").write_text(json.dumps(said), "utf-8")
    if data is not None:
        write_bdf(Path(f"{start}eeg.bdf"), data, known.rate, names, dimension)
    return folder


def write_original(
    root: Path,
    subject: str,
    events: Sequence[Event],
    rated: dict[int, list[float]],
    *,
    data: np.ndarray | None = None,
    before: Sequence[tuple[float, str]] = (),
) -> Path:
    """A person's files in the original release; `before`: annotations of another experiment. Returns their folder."""
    folder = root / subject.replace("-", "")
    folder.mkdir(parents=True)
    texts = [(0.2, "100"), *before]
    for clip, onset, length in events:
        texts += [(onset - 0.05, str(clip)), (onset, "101"), (onset + length, "102")]
    writer = pyedflib.EdfWriter(str(folder / "evt.bdf"), 1, file_type=pyedflib.FILETYPE_BDFPLUS)
    writer.setSignalHeader(0, {
        "label": "mark", "dimension": "", "sample_frequency": 1, "physical_max": 1, "physical_min": -1,
        "digital_max": 100, "digital_min": -100, "transducer": "", "prefilter": "",
    })  # fmt: skip
    writer.writeSamples([np.zeros(round(texts[-1][0]) + 2)])
    for onset, text in texts:
        writer.writeAnnotation(onset, -1, text)
    writer.close()
    fields = [("score", object), ("trial", object), ("vid", object), ("Accuracy", object), ("ResponseTime", object)]
    remark = np.zeros((len(events), 1), fields)
    for k, (clip, *_) in enumerate(events):
        remark[k, 0] = (np.array([rated[clip]]), k + 1.0, float(clip), np.zeros((0, 0)), np.zeros((0, 0)))
    savemat(folder / "After_remarks.mat", {"After_remark": remark}, do_compression=True)
    if data is not None:
        known = find_cohort(subject)
        write_bdf(folder / "data.bdf", data, known.rate, known.layout)
    return folder


def _table(path: Path, rows: Sequence[Sequence[object]]) -> None:
    lines = ["\t".join(str(cell) for cell in row) for row in rows]
    path.write_bytes(b"\xef\xbb\xbf" + ("\n".join(lines) + "\n").encode())
