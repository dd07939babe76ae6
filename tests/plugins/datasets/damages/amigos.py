"""Damaged copies of AMIGOS: of one subject's file, written by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

from embench_plugins.datasets.amigos.reader import Amigos, AmigosExternal, AmigosLong
from embench_plugins.datasets.amigos.release import LONG, NO_LONG, SHORT

from .. import edit
from ..amigos_made import own_file, row
from ..damage import Copy, Edit, Table, noted, nothing, refused, same, warned

FILE = "Data_Preprocessed_P02.mat"
SHEET, SINGLE = "Experiment_Data.xlsx", "External_Annotations.xlsx"
FACE = "openface/P2_4_face.csv"
AGAIN = "the file is truncated or damaged"


def one(root: Path) -> None:
    own_file(root / FILE, seconds=2.0)


def numbered(root: Path) -> None:
    own_file(root / FILE, seconds=2.0, labels_ext_annotation=each(np.array([[1, 0, 0], [2, 0, 0.0]])))


def holding(**changes: object) -> Edit:
    """The file, with whole variables replaced."""
    return lambda path: own_file(path, **{"seconds": 2.0, **changes})


def edit_cells(change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """Each data cell, changed."""

    def changed(path: Path) -> None:
        cells = loadmat(path)["joined_data"][0]
        own_file(path, seconds=2.0, joined_data=row([change(cell) for cell in cells]))

    return changed


def first_variable_only(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: 136 + int.from_bytes(content[132:136], "little")])


def raw_recordings(path: Path) -> None:
    savemat(path, {"ECG_DATA": row([np.zeros((9, 6))] * 20)})


def each(*cells: np.ndarray) -> np.ndarray:
    """The last of them in all further cells."""
    return row([*cells[:-1], *[cells[-1]] * (21 - len(cells))])


def annotated(*rows: tuple[float, float, float], seconds: float = 25.0) -> Edit:
    """Other annotations of the first video, which lasts so long."""
    data = each(np.ones((round(seconds * 128), 17)), np.ones((64, 17)))
    return holding(joined_data=data, labels_ext_annotation=each(np.array(rows), np.ones((2, 3))))


DAMAGES: Table = {
    Copy("amigos", Amigos, "P02", one): [
        *(
            same(FILE, edit.into(f"{folder}/{own}"), called=f"{folder}/{own}")
            for folder in (".", "Data_preprocessed", "data-preprocessed", "Data_Processed/nested")
            for own in (".", "Data_Preprocessed_P02")
        ),
        same(FILE, holding(VideoIDs=row([*map(float, SHORT[:8]), *map("'{}'".format, SHORT[8:]), *LONG])), called="id"),
        same(FILE, edit_cells(np.transpose), called="time along the second axis"),
        same(FILE, holding(cells=16), called="short videos only"),
        refused(FILE, edit.cut(0), "not readable", hint="truncated"),
        refused(FILE, edit.cut(0.00001), "not readable", hint="truncated"),
        refused(FILE, edit.cut(0.3), hint="truncated"),
        refused(FILE, edit.cut(0.999), "not readable", hint="truncated"),
        refused(FILE, first_variable_only, "lacks labels_selfassessment, VideoIDs", hint=AGAIN),
        refused(FILE, raw_recordings, "lacks joined_data, labels_selfassessment, VideoIDs", hint=AGAIN),
        refused(FILE, edit.write(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(100)), "version 7.3"),
        refused(FILE, holding(joined_data=None, ECG_DATA=np.zeros((3, 3))), "lacks joined_data", expected="VideoIDs"),
        refused(FILE, holding(joined_data=each(np.zeros((50, 16)))), "50x16", expected="numbers", hint=None),
        refused(FILE, holding(joined_data=row([np.zeros((50, 17))] * 15)), "20 videos, 15 data", hint=None),
        refused(FILE, holding(joined_data=np.zeros((20, 17))), "340 data", expected="cells", hint=None),
        refused(FILE, holding(VideoIDs=np.zeros((0, 0))), "0 videos, 20 data", expected="cells", hint=None),
        refused(FILE, holding(VideoIDs=row(["10"] * 20)), "twice", expected="VideoIDs", hint=None),
        refused(
            FILE, holding(labels_selfassessment=each(np.array([["high"]]))), "self-assessments of",
            expected="numbers", hint=None,
        ),
        refused(
            FILE, holding(labels_ext_annotation=each(np.ones((4, 2)))), "external annotations of float64 4x2",
            expected="numbers", hint=None,
        ),
        warned(
            FILE, holding(labels_selfassessment=each(np.full((1, 12), 11.0), np.full((1, 12), 5.0))),
            "P02_V10: arousal, valence, dominance, liking, familiarity off the scale 1 to 9",
        ),
        warned(FILE, holding(joined_data=each(np.full((128, 17), -1.0), np.ones((128, 17)))), "`GSR` is 0 or negative"),
        nothing(FILE, edit.twin(f"b/{FILE}"), "two files of subject P02"),
        refused(FACE, edit.write("frame,timestamp,confidence,success\n1,0,1,1\n"), "no column AU01_r"),
        warned(SHEET, edit.write(""), "not readable as a sheet"),
        warned(SHEET, edit.write(b"PK\x03\x04 nothing"), "not readable as a sheet"),
        warned(SHEET, edit.write("<html>please log in</html>"), "not readable as a sheet"),
    ],
    Copy("amigos/long", AmigosLong, "P02", one): [
        warned(FILE, holding(cells=16), "no cell for video B1, N1, P1, U1"),
        warned(
            FILE, holding(joined_data=row([np.ones((1, 17))] * 19 + [np.ones((128 * 900, 17), np.int8)])),
            "longer than its annotated",
        ),
        nothing(FILE, edit.move("Data_Preprocessed_P08.mat"), ", ".join(NO_LONG), "who have nothing of"),
    ],
    Copy("amigos/external", AmigosExternal, "P02", numbered): [
        noted(
            FILE, holding(labels_ext_annotation=each(np.empty((1, 0)), np.ones((2, 3)))),
            "P02_V10: data without annotations",
        ),
        warned(FILE, annotated((1, 0, 0), (3, 0, 0), seconds=65.0), "P02_V10: 2 annotated segments in 65 s"),
        warned(FILE, annotated((1, 0, 0), (3, 0, 0), seconds=65.0), "P02_V10: the annotated segments are not numbered"),
    ],
    Copy("no amigos", Amigos, "P02", edit.nothing): [
        nothing(".", edit.remove, "no such folder"),
        nothing(".", edit.nothing, "empty", expected="Data_Preprocessed_P01", hint="unpack"),
        *(
            nothing(name, edit.write("?"), word, expected="Data_Preprocessed_P01", hint="unpack")
            for name, word in (
                ("Data_original/Data_Original_P01/Data_Original_P01.mat", "Data_original"),
                ("Data_preprocessed/Data_Preprocessed_P01.zip", "not unpacked"),
                ("AMIGOS_P01.npz", "npz"),
                ("Raw_data/BVP.csv", "no AMIGOS file"),
            )
        ),
    ],
}  # fmt: skip
