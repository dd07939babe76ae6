"""Damaged copies of DEAP."""

import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from scipy.io import savemat

from embench_plugins.datasets.deap.reader import TRIALS, Deap
from embench_plugins.datasets.synthetic import writers

from .. import edit
from ..damage import Copy, Edit, Table, noted, nothing, refused, same, warned

DAT = "data_preprocessed_python/s01.dat"
MAT = "data_preprocessed_python/s01.mat"
RATINGS = "metadata_csv/participant_ratings.csv"
HEADER = "Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,Familiarity\n"


@cache
def content() -> dict[str, np.ndarray]:
    """What a file holds, with trials of little more than the rest."""
    rng = np.random.default_rng(0)
    data = rng.standard_normal((TRIALS, TRIALS, 400), np.float32) + np.arange(TRIALS, dtype=np.float32)[:, None]
    return {"labels": np.round(rng.uniform(1, 9, (TRIALS, 4)), 2), "data": data}


PRESENTED = 1 + np.random.default_rng(1).permutation(TRIALS)
"""The trial in which each video was shown."""


def write_person(path: Path, content: object, protocol: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writers.dump_python2(file, content, protocol)


def write_ratings(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = [
        f"1,{PRESENTED[e]},{e + 1},{PRESENTED[e] * 90_000_000},{','.join(map(str, labels[e]))},\n"
        for e in np.argsort(PRESENTED)
    ]
    path.write_text(HEADER + "".join(rows), "utf-8-sig")


def rated(root: Path) -> None:
    write_person(root / DAT, content())
    write_ratings(root / RATINGS, content()["labels"])


def changed(change: Callable[[dict[str, np.ndarray]], object]) -> Edit:
    return lambda path: write_person(path, change(content()))


def told(change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """Other ratings in the table."""
    return lambda path: write_ratings(path, change(content()["labels"]))


def odd(name: str, *at_and_value: tuple[object, float]) -> Edit:
    """Some values of an array replaced."""

    def change(whole: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        array = whole[name].copy()
        for at, value in at_and_value:
            array[at] = value
        return {**whole, name: array}

    return changed(change)


def as_matlab(path: Path) -> None:
    path.unlink()
    savemat(path.with_suffix(".mat"), content(), do_compression=True)


def part_of_matlab(path: Path) -> None:
    as_matlab(path)
    edit.cut(-1000)(path.with_suffix(".mat"))


def by_python_2(protocol: int) -> Edit:
    return lambda path: write_person(path, content(), protocol)


def by_python_3(protocol: int) -> Edit:
    return lambda path: path.write_bytes(pickle.dumps(content(), protocol))


def quoted_from_last_to_first(rows: list[str]) -> list[str]:
    quoted = [",".join(f'"{cell}"' for cell in row.split(",")) for row in rows[:0:-1]]
    return [rows[0].removeprefix("\ufeff"), *quoted]


DAMAGES: Table = {
    Copy("deap", Deap, "s01", rated): [
        *(same(DAT, by_python_2(protocol), called=f"protocol {protocol} of Python 2") for protocol in (0, 1)),
        *(same(DAT, by_python_3(protocol), called=f"protocol {protocol} of Python 3") for protocol in range(6)),
        same(DAT, edit.write(pickle.dumps({key.encode(): value for key, value in content().items()})), called="bytes"),
        same(DAT, as_matlab, called="MATLAB"),
        same(DAT, edit.move("../s01.dat"), called="flat"),
        same(DAT, edit.into("data_preprocessed_python"), called="twice nested"),
        same(DAT, edit.move("../DEAP/Data_Preprocessed_Python/S01.DAT"), called="capitals"),
        same(RATINGS, edit.lines(quoted_from_last_to_first), called="quoted, in another order"),
        refused(DAT, edit.write(b"PK\x03\x04" + bytes(100)), "zip"),
        refused(DAT, edit.write("<!DOCTYPE html><html>sign in</html>"), "web page"),
        refused(DAT, edit.write(b"MATLAB 5.0 MAT-file" + bytes(200)), "MATLAB"),
        refused(DAT, edit.write(""), "empty"),
        refused(DAT, edit.cut(-1000), "truncated"),
        refused(DAT, part_of_matlab, "ends after", at=MAT),
        refused(DAT, edit.move("s01.mat"), "not a MATLAB file", at=MAT),
        refused(DAT, changed(lambda c: {**c, "data": c["data"][:, :32]}), "EEG alone"),
        refused(DAT, changed(lambda c: {**c, "data": np.zeros((40, 40, 7680), np.int8)}), "rest were cut off"),
        refused(DAT, changed(lambda c: {**c, "data": np.zeros((40, 40, 8065), np.int8)}), "40 x 40 x 8065"),
        refused(DAT, changed(lambda c: {**c, "data": c["data"][:, :, :300]}), "40 x 40 x 300"),
        refused(DAT, changed(lambda c: {**c, "data": c["data"][:39]}), "39 x 40"),
        refused(DAT, changed(lambda c: {**c, "data": c["data"].transpose(0, 2, 1)}), "40 x 400 x 40"),
        refused(DAT, changed(lambda c: {**c, "data": "text"}), "`data` is not an array"),
        refused(DAT, changed(lambda c: {**c, "labels": c["labels"][:, :2]}), "40 x 2"),
        refused(DAT, changed(lambda c: {**c, "labels": (c["labels"] > 5).astype(float)}), "made classes"),
        refused(DAT, changed(lambda c: {**c, "labels": c["labels"] > 5}), "`labels` is bool"),
        refused(DAT, changed(lambda c: {"data": c["data"]}), "`labels` is missing"),
        refused(DAT, changed(lambda c: [c["data"], c["labels"]]), "a pickle of a list"),
        warned(DAT, odd("labels", ((3, 1), np.nan)), "1 trials lack a rating"),
        warned(DAT, odd("labels", (0, 9.5)), "1 trials have ratings off the scale"),
        warned(DAT, odd("data", ((5, 2, 10), np.inf), ((6, 38), np.nan)), "401 samples are not numbers"),
        warned(DAT, odd("data", ((slice(4), 36), 7.0)), "eda eda (4)"),
        refused(RATINGS, edit.replace("Experiment_id", "video"), "no column Experiment_id"),
        refused(RATINGS, edit.replace("\n1,1,", "\n1,2,"), "trial 2", "not in the release, or it comes twice"),
        refused(RATINGS, edit.replace("\n1,1,", "\n1,41,"), "trial 41", "not in the release, or it comes twice"),
        refused(RATINGS, edit.replace("\n1,1,", "\n1,,"), "trial nan", "not in the release, or it comes twice"),
        refused(RATINGS, edit.replace("\n1,1,", "\n1,x,"), "`x` is not a number"),
        warned(RATINGS, edit.replace("\n1,", "\n2,"), "s01: 0 of 40 trials have a row"),
        warned(RATINGS, told(lambda labels: labels[PRESENTED - 1]), "agree in the order shown only"),
        warned(RATINGS, told(lambda labels: labels[:, [1, 0, 2, 3]]), "valence and arousal exchanged"),
        warned(RATINGS, told(lambda labels: labels[::-1]), "ratings differ"),
        noted(RATINGS, edit.remove, "no participant_ratings.csv"),
        nothing(DAT, edit.twin("../twice/s01.dat"), "two files of subject s01", at=DAT),
    ],
    Copy("no deap", Deap, "s01", edit.nothing): [
        nothing(".", edit.nothing, "empty"),
        nothing(".", edit.remove, "no such folder"),
        nothing("data_preprocessed_python.zip", edit.write(b"PK\x03\x04"), "not unpacked", hint="unzip"),
    ],
}
