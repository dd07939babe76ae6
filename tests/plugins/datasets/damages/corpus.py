"""Damaged files of corpora, of every kind, and what can be wrong with a `corpus.yaml`."""

import struct
from functools import partial
from pathlib import Path

import numpy as np
import pyedflib
import wfdb
import yaml
from scipy.io import savemat

from embench_plugins.datasets.own.corpus import Corpus

from .. import edit
from ..corpus_files import describe, source, waves, write_e4, write_edf
from ..damage import Copy, Edit, Table, nothing, refused

SIGNALS = {"ecg": {"channels": ["lead"], "rate": 4, "unit": "mV"}}


def edf(root: Path) -> None:
    write_edf(root / "a.edf", waves(1, 3200, 100), ["lead"], unit="mV", kind=pyedflib.FILETYPE_EDF)
    describe(root, source("*.edf"))


def record(root: Path) -> None:
    wfdb.wrsamp("a", 250, ["mV", "mV"], ["II", "V"], p_signal=waves(2, 2500).T, fmt=["16", "16"], write_dir=str(root))
    describe(root, source("*.hea", channels=["II"]))


def matlab(root: Path) -> None:
    savemat(root / "a.mat", {"x": waves(2, 100), "s": {"rate": 100}, "n": np.array(["a", "b"], object)})
    describe(root, source("*.mat", **PLACED))


def table(root: Path) -> None:
    (root / "a.csv").write_text("lead\n" + "1\n2\n" * 20)
    describe(root, {"files": "*.csv", "subject": "a", "signals": SIGNALS})


def wristband(root: Path) -> None:
    write_e4(root / "S2" / "EDA.csv", "1495437325.000000", 4, np.round(waves(1, 400)[0] + 1.5, 6))
    describe(root, source("*/EDA.csv", "eda", channels=["eda"]))


PLACED = {"channels": {"lead": "2"}, "unit": "mV", "array": "x", "rate": 100}
NO_HEADERS = ("", "# nothing\n", "a 2 9 100\na.dat 16 1 16 0 0 0 0 II\n", b"\x00\xff\n")


def placed(**changes) -> Edit:
    """Samples of a MATLAB file that are looked for elsewhere; what is None is not said."""
    own = {key: value for key, value in {**PLACED, **changes}.items() if value is not None}
    return lambda path: describe(path.parent, source("*.mat", **own))


def cells(count: int) -> bytes:
    """The shape of a cell array in a MATLAB file."""
    return struct.pack("<4i", 5, 8, 1, count)


def said(**changes) -> Edit:
    """Another `corpus.yaml`."""

    def change(text: str) -> str:
        return yaml.safe_dump({key: v for key, v in {**yaml.safe_load(text), **changes}.items() if v is not None})

    return edit.text(change)


def of_source(**changes) -> Edit:
    return said(sources=[{"files": "*.csv", "subject": "a", "signals": SIGNALS, **changes}])


def of_ecg(**changes) -> Edit:
    own = {key: value for key, value in {**SIGNALS["ecg"], **changes}.items() if value is not None}
    return of_source(signals={"ecg": own})


EDF = [
    refused("a.edf", edit.cut(-400), "ends after 18 of 20 records"),
    refused("a.edf", edit.cut(300), "header is cut short"),
    refused("a.edf", edit.write(""), "no EDF or BDF file"),
    refused("a.edf", edit.put(0, b"\x89PNG"), "no EDF or BDF file"),
    refused("a.edf", edit.put(252, b"9999"), "9999 signals"),
    refused("a.edf", edit.put(244, b"0       "), "records of 0 s"),
    refused("a.edf", edit.put(236, b"99999999"), "of 99999999 records"),
    refused("a.edf", edit.put(472, b"99999999"), "it ends after 0 of 20 records"),
    refused("a.edf", edit.put(360, b"what?   "), "physical minimum is `what?`"),
    refused("a.edf", edit.put(192, b"EDF+D"), "gaps", expected=None),
    refused("a.edf", edit.replace("mV ", "adu"), "channel lead is in `adu`", hint="unit: mV"),
]

WFDB = [
    refused("a.dat", edit.cut(4000), "ends after 1000 of 2500 samples", at="a."),
    refused("a.hea", edit.replace("a.dat", "../a.dat"), "no WFDB header"),
    *(refused("a.hea", edit.write(text), at="a.") for text in NO_HEADERS),
    refused("a.hea", edit.write("a/2 2 9 100\na 50\nb 50\n"), "several segments", expected=None),
    refused("corpus.yaml", edit.replace(".hea", ".dat"), "`.dat` are not read", at="a.dat", hint=".hea"),
]

MATLAB = [
    refused("corpus.yaml", placed(array=None), "which of n, s, x holds the samples", at="a.mat", hint=None),
    refused("corpus.yaml", placed(array="y"), "no `y` of `y`, but n, s, x", at="a.mat", hint=None),
    refused("corpus.yaml", placed(array="s.z"), "no `z` of `s.z`, but rate", at="a.mat", hint=None),
    refused("corpus.yaml", placed(array="s.rate"), "there is no channel `2`", at="a.mat"),
    refused("corpus.yaml", placed(rate=None), "at how many samples a second", at="a.mat", hint=None),
    refused("corpus.yaml", placed(rate="x"), "at how many samples a second", at="a.mat", hint=None),
    refused("corpus.yaml", placed(unit=None), "no unit that the file names", at="a.mat"),
    refused("a.mat", edit.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM\x89HDF"), "version 7.3", hint="-v7"),
    # A cell array that announces 2 ** 27 cells, which scipy would make before it reads the first.
    refused(".", edit.both(edit.within("a.mat", edit.replace(cells(2), cells(1 << 27))),
                           edit.within("corpus.yaml", placed(names="n"))), "cells in", at="a.mat"),
    *(refused("a.mat", edit.cut(upto)) for upto in (0, 100, 130, 400, 900)),
]  # fmt: skip

CSV = [
    refused("a.csv", edit.write("lead\n1\n<html>\n3\n"), "column lead, row 2: `<html>` is no number"),
    refused("a.csv", edit.write("lead\n"), "no rows"),
    refused("a.csv", edit.write(""), "no rows"),
    refused("a.csv", edit.write("lead,lead\n1,2\n"), "two columns have one name"),
    refused("a.csv", edit.write("lead,b\n1,2\n1,2,3\n"), "rows 1 to 2"),
    refused("a.csv", edit.write("other\n1\n2\n"), "no channel `lead`"),
    refused("a.csv", edit.write("lead\n" + "1" * 2_000_000), "over a megabyte"),
]

misdescribed = partial(nothing, "corpus.yaml", at="corpus.yaml")
unmatched = partial(misdescribed, hint=None)

LAYOUT = [
    misdescribed(said(license="MIT"), "unknown key `license`; did you mean licence?"),
    misdescribed(of_ecg(chanels=["x"]), "key `sources.0.signals.ecg.chanels`; did you mean channels"),
    misdescribed(said(licence=None), "`licence`: Field required"),
    misdescribed(said(sources=[]), "`sources`"),
    misdescribed(of_source(signals={"ekg": {"channels": ["x"]}}), "`ekg` is none of eeg, ecg", "did you mean"),
    misdescribed(of_ecg(channels=[]), "no channel is named"),
    misdescribed(of_ecg(channels=["a", "a"]), "named twice"),
    misdescribed(of_ecg(channels=None), "channels`: Field required"),
    misdescribed(of_source(subject="(S"), "no regular expression"),
    misdescribed(of_source(files="../*.csv"), "below the folder"),
    misdescribed(of_source(files="/data/*.csv"), "below the folder"),
    misdescribed(of_ecg(rate=0), "rate"),
    misdescribed(said(mains_hz="often"), "`mains_hz`"),
    misdescribed(said(sources=[source("a"), source("b", channels=["x"])]), "lead in one source and x in another"),
    misdescribed(edit.write("- 1\n- 2\n"), "valid dictionary"),
    misdescribed(edit.write("title: ["), "not readable as YAML"),
    misdescribed(edit.write(""), "valid dictionary"),
    misdescribed(edit.write("mains_hz: " + "5" * 10_000), "not readable as YAML"),
    misdescribed(edit.remove, "no corpus.yaml", expected="title, citation, licence"),
    nothing(".", edit.remove, "no such folder"),
    unmatched(of_source(files="x" * 300), "no file matches"),
    unmatched(of_source(files="*.cvs"), "no file matches `*.cvs`", expected="a.csv"),
    unmatched(said(sources=[source("*.csv"), source("a.*")]), "two patterns name a.csv"),
    unmatched(of_source(subject=r"S\d+"), "finds nobody in a.csv"),
]

E4 = [
    refused("S2/EDA.csv", edit.line(51, "0.3;0.4"), "line 51: not readable as numbers: `0.3;0.4`"),
    refused("S2/EDA.csv", edit.write("1495437325.000000, IBI\n19.672745,0.718784\n20.391529,0.734410\n"),
            "intervals between beats of an Empatica E4, not samples at a rate", hint=None),
]  # fmt: skip

DAMAGES: Table = {
    Copy("corpus of EDF", Corpus, "a", edf): EDF,
    Copy("corpus of WFDB", Corpus, "a", record): WFDB,
    Copy("corpus of MATLAB", Corpus, "a", matlab): MATLAB,
    Copy("corpus of CSV", Corpus, "a", table): CSV + LAYOUT,
    Copy("corpus of E4", Corpus, "S2", wristband): E4,
}
