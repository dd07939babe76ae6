"""Damaged copies of K-EmoCon: of one subject's debate of 20 s, the shortest that there is."""

from pathlib import Path

import pandas as pd

from embench_plugins.datasets.k_emocon import synthetic
from embench_plugins.datasets.k_emocon.reader import KEmoCon

from .. import edit
from ..damage import Copy, Table, nothing, refused, same

BVP, EDA = "e4_data/1/E4_BVP.csv", "e4_data/1/E4_EDA.csv"
HR, BANDS = "neurosky_polar_data/1/Polar_HR.csv", "neurosky_polar_data/1/BrainWave.csv"
SELF, R4 = "emotion_annotations/self_annotations/P1.self.csv", "emotion_annotations/external_annotations/P1.R4.csv"
FOLDERS = ("e4_data", "neurosky_polar_data", "emotion_annotations")
SUBJECTS = "metadata/subjects.csv"
TIMES = "pid,startTime,endTime\n"


def one(root: Path) -> None:
    synthetic.synthesize(root, subjects=1, seed=4, effect=1.0, length_s=20.0)


def in_seconds(table: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in ("timestamp", "initTime", "startTime", "endTime") if name in table]
    return table.assign(**{name: table[name] / 1000 for name in names})


def days_later(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(startTime=table.startTime + 9e8, endTime=table.endTime + 9e8)


def columns_turned(table: pd.DataFrame) -> pd.DataFrame:
    return table[[*reversed(table.columns)]].rename(columns=lambda name: f" {name} ")


def another_wristband(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table[::2].assign(device_serial="B", value=99.0)])


def first_again(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table[:1].assign(valence=1)])


def below_raw(root: Path) -> None:
    for name in FOLDERS:
        edit.into("raw")(root / name)


half_unpacked = edit.both(edit.within("e4_data.tar.gz", edit.write("packed")), edit.within("e4_data", edit.remove))

DAMAGES: Table = {
    Copy("k_emocon", KEmoCon, "P01", one): [
        # What is read all the same.
        *(same(name, edit.into(name)) for name in (*FOLDERS, "metadata")),
        same("emotion_annotations/self_annotations", edit.into("self_annotations")),
        same(".", below_raw, called="all below raw"),
        same("e4_data/1/*.csv", edit.table(columns_turned), called="columns by name"),
        same("neurosky_polar_data/1/*.csv", edit.table(columns_turned), called="columns by name"),
        same(EDA, edit.table(another_wristband), "warning", "A00001 are kept, the one with most rows"),
        same(SELF, edit.table(first_again), "warning", "1 windows have several rows"),
        # Times.
        refused(BVP, edit.table(in_seconds), "seconds: somebody converted them"),
        refused(HR, edit.table(in_seconds), "seconds: somebody converted them"),
        nothing(SUBJECTS, edit.table(in_seconds), "seconds: somebody converted them", at=SUBJECTS),
        refused(SUBJECTS, edit.table(days_later), "no value of any device"),
        # Tables.
        refused(BVP, edit.write("1550000000.0\n64.0\n" + "0.5\n" * 900), "without a header, as Empatica exports it"),
        refused(EDA, edit.write(""), "not readable"),
        refused(EDA, edit.write("timestamp,value\n"), "no rows"),
        refused(EDA, edit.write("timestamp,eda\n1550000000000,1\n"), "no column value"),
        refused(EDA, edit.write("timestamp,value\n1550000000000,<html>\n"), "`<html>` is not a number"),
        refused(EDA, edit.write("timestamp,value\n,1\n"), "no row has a time"),
        refused(BANDS, edit.write("timestamp,delta\n1550000000000,1\n"), "no column theta"),
        refused(SELF, edit.write("seconds,arousal\n5,1\n"), "no column valence"),
        refused(SELF, edit.write("seconds,arousal,valence\n1,1,1\n2,1,1\n"), "rows are 1 s apart"),
        refused(SELF, edit.write("seconds,arousal,valence\n5,x,1\n"), "`x` is not a number"),
        nothing(SUBJECTS, edit.write(TIMES + "1,1550000000000,1549999999999\n"), "debate of -0.001 s", at=SUBJECTS),
        nothing(SUBJECTS, edit.write(TIMES + "1,1550000000000,1560000000000\n"), "debate of 1e", at=SUBJECTS),
        nothing(SUBJECTS, edit.write(TIMES + "77,1550000000000,1550000060000\n"), "pid 77", at=SUBJECTS),
        nothing(SUBJECTS, edit.write(TIMES + "1,1550000000000,1550000060000\n" * 2), "again", at=SUBJECTS),
        nothing(SUBJECTS, edit.write("pid,startTime\n1,1550000000000\n"), "no column endTime", at=SUBJECTS),
        # Files and folders.
        refused(SELF, edit.move("1.self.csv"), "lost the P of its name", at=SELF.replace("P1", "1")),
        refused(R4, edit.move("1.R4.csv"), "lost the P of its name", at=R4.replace("P1", "1")),
        same("e4_data.tar.gz", edit.write("packed, beside its folder")),
        nothing(".", half_unpacked, "not unpacked: e4_data.tar.gz"),
        nothing("metadata", edit.remove, "missing", at=SUBJECTS),
    ],
    Copy("no k_emocon", KEmoCon, "P01", edit.nothing): [
        nothing(".", edit.remove, "no such folder"),
        nothing(".", edit.nothing, "empty"),
        nothing("Raw_data/S01", Path.mkdir, "Raw_data"),
        *(
            nothing(f"metadata{end}", edit.both(edit.write(""), edit.twin(f"e4_data{end}")), "not unpacked", hint=hint)
            for end, hint in ((".tar.gz", "tar xf"), (".tar", "tar xf"), (".zip", "unzip"))
        ),
        *(
            nothing(folder + "p01-017-243333.json", edit.write("{}"), "segments that the authors' code made")
            for folder in ("segments/1/", "1/", "")
        ),
    ],
}  # fmt: skip
