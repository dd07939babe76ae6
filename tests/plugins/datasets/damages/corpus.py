"""Damaged files of recordings of every kind but tables, in folders without labels."""

import struct
from functools import partial
from pathlib import Path

import numpy as np
import pyedflib
import wfdb
from scipy.io import savemat

from embench_plugins.datasets.own.reader import Corpus

from .. import edit
from ..corpus_files import describe, source, waves, write_e4, write_edf
from ..damage import Copy, Edit, Table, refused


def edf(root: Path) -> None:
    write_edf(root / "a.edf", waves(1, 3200, 100), ["lead"], unit="mV", kind=pyedflib.FILETYPE_EDF)
    describe(root, source("{participant}.edf"))


def record(root: Path) -> None:
    wfdb.wrsamp("a", 250, ["mV", "mV"], ["II", "V"], p_signal=waves(2, 2500).T, fmt=["16", "16"], write_dir=str(root))
    describe(root, source("{participant}.hea", channels=["II"]))


def matlab(root: Path) -> None:
    savemat(root / "a.mat", {"x": waves(2, 100), "s": {"rate": 100}, "n": np.array(["a", "b"], object)})
    describe(root, source("{participant}.mat", **PLACED))


def wristband(root: Path) -> None:
    write_e4(root / "S2" / "EDA.csv", "1495437325.000000", 4, np.round(waves(1, 400)[0] + 1.5, 6))
    describe(root, source("{participant}/EDA.csv", "eda", channels=["eda"], unit="uS"))


PLACED = {"channels": {"lead": "2"}, "unit": "mV", "array": "x", "rate": 100}
NO_HEADERS = ("", "# nothing\n", "a 2 9 100\na.dat 16 1 16 0 0 0 0 II\n", b"\x00\xff\n")


def placed(**changes) -> Edit:
    """Samples of a MATLAB file that are looked for elsewhere; what is None is not said."""
    own = {key: value for key, value in {**PLACED, **changes}.items() if value is not None}
    return lambda path: describe(path.parent, source("{participant}.mat", **own))


def cells(count: int) -> bytes:
    """The shape of a cell array in a MATLAB file."""
    return struct.pack("<4i", 5, 8, 1, count)


described = partial(refused, "dataset.yaml")

EDF = [
    refused("a.edf", edit.cut(-400), "ends after 18 of 20 records"),
    refused("a.edf", edit.cut(300), "header is cut short"),
    refused("a.edf", edit.write(""), "not an EDF or BDF file"),
    refused("a.edf", edit.put(0, b"\x89PNG"), "not an EDF or BDF file"),
    refused("a.edf", edit.put(252, b"9999"), "9999 signals"),
    refused("a.edf", edit.put(244, b"0       "), "records of 0 s"),
    refused("a.edf", edit.put(236, b"99999999"), "of 99999999 records"),
    refused("a.edf", edit.put(472, b"99999999"), "it ends after 0 of 20 records"),
    refused("a.edf", edit.put(360, b"what?   "), "physical minimum is `what?`"),
    refused("a.edf", edit.put(192, b"EDF+D"), "gaps", expected="of each record"),
    refused("a.edf", edit.replace("mV ", "adu"), "a.edf is in `adu`", at="dataset.yaml, line 8", hint="unit: mV"),
]

WFDB = [
    refused("a.dat", edit.cut(4000), "ends after 1000 of 2500 samples", at="a."),
    refused("a.hea", edit.replace("a.dat", "../a.dat"), "no WFDB header"),
    *(refused("a.hea", edit.write(text), at="a.") for text in NO_HEADERS),
    refused("a.hea", edit.write("a/2 2 9 100\na 50\nb 50\n"), "several segments", expected=None),
    described(edit.replace(".hea", ".dat"), "`.dat` are not read", at="a.dat", hint=".hea"),
]

MATLAB = [
    described(placed(array=None), "which of n, s, x contains the samples", at="a.mat", hint=None),
    described(placed(array="y"), "no `y` of `y`, but n, s, x", at="a.mat", hint=None),
    described(placed(array="s.z"), "no `z` of `s.z`, but rate", at="a.mat", hint=None),
    described(placed(array="s.rate"), "a.mat has no channel `2`", at="dataset.yaml"),
    described(placed(rate=None), "how many samples a second", at="a.mat", hint=None),
    described(placed(rate="x"), "how many samples a second", at="a.mat", hint=None),
    described(placed(unit=None), "a.mat is in no unit that it names", at="dataset.yaml"),
    refused("a.mat", edit.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM\x89HDF"), "version 7.3", hint="-v7"),
    # A cell array that announces 2 ** 27 cells, which scipy would make before it reads the first.
    refused(".", edit.both(edit.within("a.mat", edit.replace(cells(2), cells(1 << 27))),
                           edit.within("dataset.yaml", placed(names="n"))), "cells in", at="a.mat"),
    *(refused("a.mat", edit.cut(upto)) for upto in (0, 100, 130, 400, 900)),
]  # fmt: skip

E4 = [
    refused("S2/EDA.csv", edit.line(51, "0.3;0.4"), "line 51: not readable as numbers: `0.3;0.4`"),
    refused("S2/EDA.csv", edit.write("1495437325.000000, IBI\n19.672745,0.718784\n20.391529,0.734410\n"),
            "intervals between beats of an Empatica E4, not samples at a rate", hint=None),
]  # fmt: skip


DAMAGES: Table = {
    Copy("corpus of EDF", Corpus, "a", edf): EDF,
    Copy("corpus of WFDB", Corpus, "a", record): WFDB,
    Copy("corpus of MATLAB", Corpus, "a", matlab): MATLAB,
    Copy("corpus of E4", Corpus, "S2", wristband): E4,
}
