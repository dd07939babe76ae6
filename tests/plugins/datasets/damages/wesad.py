"""Damaged copies of WESAD: of one subject, written by hand."""

import functools
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from embench_plugins.datasets.synthetic import writers
from embench_plugins.datasets.wesad.reader import Wesad, WesadChest

from .. import edit
from ..damage import Copy, Edit, Table, noted, nothing, refused, same, warned

PKL, QUEST = "S2/S2.pkl", "S2/S2_quest.csv"
ANSWERS = """# Subj;S2;;
# ORDER;Base;TSST;Medi 1;Fun;Medi 2;sRead;fRead;;
# START;7.08;39.55;70.19;81.25;93.38;54.42;89.51;;
# END;26.32;50.3;77.1;87.47;100.15;56.07;91.15;;
;;;
# DIM;7;2;;
# DIM;3;8;;
# DIM;6;3;;
# DIM;8;5;;
# DIM;5;1;;
"""
RUNS = ((0, 4), (1, 12), (0, 2), (2, 12), (6, 2), (4, 6), (0, 2), (3, 10), (7, 2), (4, 6), (0, 2))
"""Codes and seconds of the pickle's `label`."""


def codes_of(runs=RUNS) -> np.ndarray:
    return np.concatenate([np.full(700 * length, code, np.int32) for code, length in runs])


def content_of(name: str = "S2", runs=RUNS) -> dict:
    """What a small pickle holds, of random signals."""
    rng, codes = np.random.default_rng(0), codes_of(runs)
    session = len(codes) // 700
    chest = {key: rng.normal(5, 1, (len(codes), 3 if key == "ACC" else 1)) for key in ("ACC", "ECG", "EMG", "EDA")}
    chest |= {key: rng.normal(5, 1, (len(codes), 1)) for key in ("Temp", "Resp")}
    chest["ACC"] /= np.linalg.norm(chest["ACC"], axis=1, keepdims=True)
    wrist = {
        "ACC": np.round(rng.normal(37, 1, (32 * session, 3))),
        "BVP": rng.normal(0, 40, (64 * session, 1)),
        "EDA": rng.normal(1, 0.1, (4 * session, 1)),
        "TEMP": rng.normal(33, 0.1, (4 * session, 1)),
    }
    return {"subject": name, "label": codes, "signal": {"chest": chest, "wrist": wrist}}


@functools.cache
def usual(name: str) -> bytes:
    return pickle.dumps(content_of(name), protocol=2)


def write_subject(root: Path, name: str = "S2", content: object = None, quest: str | None = ANSWERS) -> Path:
    """A subject's folder written by hand; the pickle's path."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / f"{name}.pkl").write_bytes(usual(name) if content is None else pickle.dumps(content, protocol=2))
    if quest is not None:
        (folder / f"{name}_quest.csv").write_text(quest.replace("S2", name), encoding="utf-8")
    return folder / f"{name}.pkl"


def holding(change: Callable[[dict], object]) -> Edit:
    return lambda path: path.write_bytes(pickle.dumps(change(content_of()), protocol=2))


def label(change: Callable[[np.ndarray], object]) -> Edit:
    return holding(lambda content: {**content, "label": change(content["label"])})


def signal(device: str, key: str, change: Callable[[np.ndarray], object]) -> Edit:
    def changed(content: dict) -> dict:
        content["signal"][device][key] = change(content["signal"][device][key])
        return content

    return holding(changed)


def lacking(device: str, key: str | None = None) -> Edit:
    def changed(content: dict) -> dict:
        content["signal"].pop(device) if key is None else content["signal"][device].pop(key)
        return content

    return holding(changed)


def by_python_2(protocol: int) -> Edit:
    def dumped(path: Path) -> None:
        with path.open("wb") as file:
            writers.dump_python2(file, content_of(), protocol)

    return dumped


def lost(bvp: np.ndarray) -> np.ndarray:
    bvp[100:104], bvp[200] = np.inf, 1e300
    return bvp


def renamed(change: Callable[[str], str]) -> Edit:
    """The devices' keys."""

    def changed(content: dict) -> dict:
        for device, own in content["signal"].items():
            content["signal"][device] = {change(key): values for key, values in own.items()}
        return content

    return holding(changed)


DAMAGES: Table = {
    Copy("wesad", Wesad, "S2", write_subject): [
        # What other programs make of it.
        *(same("S2", edit.move(f"{folder}/S2"), called=folder) for folder in ("WESAD", "WESAD/WESAD", "wesad")),
        *(same(PKL, renamed(change), called=change.__name__) for change in (str.upper, str.lower)),
        *(
            same(PKL, label(lambda codes, dtype=dtype: codes.astype(dtype)), called=f"codes of {dtype}")
            for dtype in ("f8", "f4", "i8", "u1", ">i4")
        ),
        same(PKL, label(lambda codes: codes[:, None]), called="codes in a column"),
        same(PKL, signal("wrist", "EDA", lambda x: x[:, 0].astype(">f8")), called="a signal in a row"),
        same(QUEST, edit.write("\ufeff" + ANSWERS.replace("\n", "\r\n")), called="ends of lines"),
        # What the pickle holds.
        refused(PKL, label(lambda codes: codes[::175]), "`label` has 240 values"),
        refused(PKL, label(lambda codes: codes[:0]), "`label` has 0 values"),
        refused(PKL, label(lambda codes: codes * 3), "`label` contains 18"),
        refused(PKL, label(lambda codes: codes + 0.5), "`label` contains 0.5"),
        refused(PKL, label(lambda _: np.array(["stress"])), "not a row of numbers"),
        refused(PKL, holding(lambda _: content_of("S3")), "its `subject` is S3"),
        refused(PKL, holding(lambda _: {"subject": "S2", "signal": {}}), "no label"),
        refused(PKL, holding(lambda _: [1, 2]), "not a dict, but list"),
        refused(PKL, holding(lambda content: {**content, "signal": np.zeros(3)}), "`signal` is not a dict"),
        refused(PKL, holding(lambda content: {**content, "signal": {}}), "no wrist"),
        refused(PKL, holding(lambda c: {**c, "signal": {"wrist": {}, "chest": {}}}), "nothing of the wrist"),
        refused(PKL, signal("wrist", "BVP", lambda x: x[:-640]), "wrist BVP lasts 50 s"),
        refused(PKL, signal("wrist", "ACC", lambda x: x.T), "wrist ACC has shape"),
        refused(PKL, signal("wrist", "ACC", lambda x: x[:, :1]), "wrist ACC has shape"),
        refused(PKL, signal("wrist", "EDA", lambda _: [1.0, 2.0]), "not an array of numbers"),
        refused(PKL, signal("wrist", "EDA", lambda x: x + 1j), "not an array of numbers"),
        refused(PKL, signal("chest", "ECG", lambda x: x[:-700]), "chest ecg 41300 samples"),
        warned(PKL, lacking("wrist", "TEMP"), "no wrist TEMP"),
        warned(PKL, signal("wrist", "EDA", np.zeros_like), "no wrist EDA"),
        warned(PKL, signal("wrist", "BVP", lost), "5 samples of wrist BVP are missing"),
        warned(PKL, signal("wrist", "ACC", lambda x: x / 64), "another unit"),
        noted(PKL, lacking("chest"), "no chest"),
        # What else may lie there under its name.
        refused(PKL, edit.write(""), "empty"),
        refused(PKL, edit.write("<!DOCTYPE html><html>"), "web page"),
        refused(PKL, edit.write(b"PK\x03\x04zip"), "zip"),
        refused(PKL, edit.write("version https://git-lfs.github.com/spec/v1\n")),
        refused(PKL, edit.cut(-1000), "truncated"),
        refused(PKL, edit.both(by_python_2(0), edit.cut(-1000)), "truncated"),
        refused(PKL, edit.both(by_python_2(2), edit.cut(-1000)), "truncated"),
        # Questionnaires.
        refused(QUEST, edit.replace("# Subj;S2", "# Subj;S3"), "names S3, not S2", hint="take the file away"),
        refused(QUEST, edit.replace("# ORDER", "# ODER"), "no row # ORDER", hint="take the file away"),
        refused(QUEST, edit.replace("Medi 2", "Party"), "names `party`", hint="take the file away"),
        refused(QUEST, edit.replace("# DIM;8;5;;\n", ""), "4 rows # DIM for 5 conditions", hint="take the file away"),
        refused(QUEST, edit.replace("# DIM;8", "# DIM;80"), "has 80 and 5", hint="take the file away"),
        refused(QUEST, edit.replace("# DIM;8", "# DIM;high"), "not a number", hint="take the file away"),
        refused(QUEST, edit.write(""), "no row # ORDER", hint="take the file away"),
        refused(QUEST, edit.write("\x00\x01\ufffd;" * 99), "no row # ORDER", hint="take the file away"),
        same(QUEST, edit.replace("7.08;39.55;70.19", "99.1;1.2;0"), "warning", "START and END"),
        warned(QUEST, edit.replace("TSST;Medi 1;Fun", "Fun;Medi 1;TSST"), "its order is not that of the conditions"),
        warned(PKL, label(lambda codes: np.where(codes == 3, 0, codes)), "no second of it is amusement"),
        noted(QUEST, edit.remove, "no valence and no arousal"),
        # Folders.
        warned("S2", edit.twin("S1"), "S1 is not of the release"),
        warned("S2", edit.twin("S12"), "S12 is not of the release"),
        warned("S3/S3_quest.csv", edit.write(""), "there is no S3.pkl"),
    ],
    Copy("wesad chest", WesadChest, "S2", write_subject): [
        *(same(PKL, renamed(change), called=change.__name__) for change in (str.upper, str.lower)),
        refused(PKL, lacking("chest"), "there is no chest in it, but wrist"),
    ],
    Copy("no wesad", Wesad, "S2", edit.nothing): [
        nothing(".", edit.remove, "no such folder"),
        nothing(".", edit.nothing, "empty"),
        nothing("Data_preprocessed/s01.dat", edit.write(""), "Data_preprocessed"),
        nothing("WESAD.zip", edit.write(b"PK\x03\x04"), "not unpacked", hint="unzip 'WESAD.zip'"),
        nothing("S2.zip", edit.write(b"PK\x05\x06" + bytes(18)), "not unpacked"),
        nothing(
            "WESAD/S2/S2_E4_Data.zip", edit.both(edit.write(b"PK\x03\x04"), edit.twin("../S3/S3_E4_Data.zip")),
            "S2, S3 have no pickle", hint="don't contain the conditions",
        ),
        nothing(
            "merged_data.csv", edit.write("X,Y,Z,EDA,HR,TEMP,id,datetime,label\n1,2,3,4,5,6,15,now,2.0\n"),
            "merged_data.csv is a re-upload",
        ),
        nothing("WESAD.txt", edit.write("Link to the dataset: https://example.org"), "has a link"),
    ],
}  # fmt: skip
