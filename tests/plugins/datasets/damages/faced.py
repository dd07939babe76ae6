"""Damaged copies of FACED, of all three releases."""

import pickle
from pathlib import Path

import numpy as np

from embench_plugins.datasets.faced.reader import Faced, FacedProcessed
from embench_plugins.datasets.faced.release import CLIPS, FIRST_LAYOUT

from .. import edit
from ..damage import Copy, Edit, Table, erred, nothing, refused, warned
from ..faced_files import noise, play, ratings, write_bdf, write_bids, write_original

ORDER = (5, 2, 28, 13, *(clip for clip in CLIPS if clip not in (5, 2, 28, 13)))
START = "sub-036/eeg/sub-036_task-watchingVideoClips_"
EVENTS, CHANNELS, BDF = f"{START}events.tsv", f"{START}channels.tsv", f"{START}eeg.bdf"
UNSTATED = "sub-004/eeg/sub-004_task-watchingVideoClips_eeg.bdf"
NOTES, REMARKS = "sub036/evt.bdf", "sub036/After_remarks.mat"
PICKLE = "Processed_data/sub007.pkl"


def bids(root: Path) -> None:
    write_bids(root, "sub-036", play(length_s=1.0), ratings(CLIPS), data=noise(60, 250.0))


def unstated(root: Path) -> None:
    write_bids(root, "sub-004", play((1, 2)), ratings(CLIPS), data=noise(12, 250.0), dimension="?")


def original(root: Path) -> None:
    write_original(root, "sub-036", play(ORDER), ratings(CLIPS))


def values(seed: int) -> np.ndarray:
    """A person's EEG in uV."""
    return 10 * np.random.default_rng(seed).standard_normal((28, 32, 7500), np.float32)


def processed(root: Path) -> None:
    pickled(values(7))(root / PICKLE)


def scaled(factor: float) -> Edit:
    """EEG of no stated unit whose numbers are larger by a factor."""
    return lambda path: write_bdf(path, factor * noise(12, 250.0), 250.0, FIRST_LAYOUT, "?")


def pickled(data: object) -> Edit:
    def edit(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(data, protocol=4))

    return edit


def rated_otherwise(folder: Path) -> None:
    """Ratings in another order than the events."""
    other = write_original(folder.parent / "other", "sub-036", play(), ratings(CLIPS))
    (other / "After_remarks.mat").replace(folder / "After_remarks.mat")


DAMAGES: Table = {
    Copy("faced", Faced, "sub-036", bids): [
        erred(
            EVENTS,
            edit.replace("\tFear\tnegative\t7\t", "\tJoy\tnegative\t7\t"),
            "clip 7 is Joy, negative, not Fear, negative",
        ),
        erred(EVENTS, edit.replace("\t\\\tneutral\t13\t", "\tnan\tneutral\t13\t"), "clip 13 is nan"),
        erred(EVENTS, edit.replace("\tFear\tnegative\t7\t", "\tFear\tpositive\t7\t"), "clip 7 is Fear, positive"),
        refused(EVENTS, edit.replace("\tnegative\t7\t", "\tnegative\t29\t"), "clip of number 29"),
        refused(EVENTS, edit.replace("\tnegative\t7\t", "\tnegative\t8\t"), "clip of number 8"),
        refused(EVENTS, edit.replace("\tnegative\t7\t", "\tnegative\tx\t"), "`x` is not a number"),
        refused(EVENTS, edit.replace("video_index", "index"), "no column video_index"),
        warned(CHANNELS, edit.replace("T3", "T7"), "not those of the release: T7"),
        warned(CHANNELS, edit.replace("250.0\tgood", "500.0\tgood"), "500 Hz in µV, the release has 250 Hz in µV"),
        warned(CHANNELS, edit.replace("250.0\tgood", "500.0\tgood"), "250 Hz, the release states 500 Hz"),
        refused(BDF, edit.cut(-1000), "ends after 59 of 60 records"),
        refused(BDF, edit.both(edit.cut(8448 + 96 * 250 * 30), edit.put(236, b"30      ")), "of 30 s"),
        refused(BDF, edit.replace("Oz ", "X1 ", 1), "no channel Oz"),
        refused(BDF, edit.replace("uV ", "mV "), "in mV"),
    ],
    Copy("faced without units", Faced, "sub-004", unstated): [
        refused(UNSTATED, scaled(1e-6), "uV if they are V", "e-05 uV if its numbers are uV, and 1"),
        refused(UNSTATED, scaled(1e3), "uV if they are V", "e+04 uV if its numbers are uV, and"),
        refused(UNSTATED, edit.put(244, b"3       "), "83.3", "Hz"),
    ],
    Copy("faced as it was recorded", Faced, "sub-036", original): [
        *(refused(file, edit.cut(upto)) for file in (NOTES, REMARKS) for upto in (0, 200, 2000)),
        refused(NOTES, edit.remove, "missing"),
        refused(NOTES, edit.replace(b"\x1428\x14", b"\x1425\x14"), "clips 5, 2, 25"),
        refused(NOTES, edit.replace(b"\x14102\x14", b"\x14103\x14"), "no clip"),
        warned("sub036", rated_otherwise, "in another order"),
    ],
    Copy("faced as preprocessed", FacedProcessed, "sub-007", processed): [
        refused(PICKLE, pickled(np.zeros((28, 30, 7500), np.float32)), "float32 (28, 30, 7500)"),
        refused(PICKLE, pickled(np.zeros((28, 32, 7500), np.int8)), "int8 (28, 32, 7500)"),
        refused(PICKLE, pickled({"data": 1}), "a dict"),
        refused(PICKLE, edit.cut(-50)),
        refused(PICKLE, edit.write(b"cos\nsystem\n(S'true'\ntR."), "os.system"),
    ],
    Copy("no faced", Faced, "sub-036", edit.nothing): [nothing(".", edit.nothing, "no file of FACED")],
    Copy("no preprocessed faced", FacedProcessed, "sub-007", edit.nothing): [
        nothing(".", edit.nothing, "no file of FACED"),
    ],
}
