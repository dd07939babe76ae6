"""Damaged copies of Stress-Predict."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from embench_plugins.datasets.stress_predict.reader import LABELS, StressPredict

from .. import edit
from ..damage import Copy, Edit, Table, nothing, refused, same

START = 1_644_000_000
SECONDS = 120
RATES = {"BVP": 64, "EDA": 4, "TEMP": 4, "ACC": 32}
FOLDER = "Raw_data/S02"
EDA = f"{FOLDER}/EDA.csv"
CSV = LABELS.as_posix()
HEADER = "Participant,HR,respr,Time(sec),Label"


def write_e4(path: Path, samples: np.ndarray, rate: float, start: float = START) -> None:
    columns = samples.shape[1]
    table = np.vstack([np.full(columns, start), np.full(columns, rate), samples])
    np.savetxt(path, table, fmt="%.6f", delimiter=",")


def release(root: Path) -> None:
    """S01 without labels, S02 with labels from second 9 and without ACC."""
    rng = np.random.default_rng(0)
    for subject in ("S01", "S02"):
        folder = root / "Raw_data" / subject
        folder.mkdir(parents=True)
        for name, rate in RATES.items():
            if name != "ACC" or subject == "S01":
                columns = 3 if name == "ACC" else 1
                write_e4(folder / f"{name}.csv", rng.normal(40, 5, (SECONDS * rate, columns)), rate)
    (root / LABELS).parent.mkdir()
    labelled((2, 70.5, 12.0, START + second, int(second >= 60)) for second in range(9, SECONDS))(root / LABELS)


def labelled(rows: Iterable[tuple], header: str = HEADER) -> Edit:
    return edit.write("".join(",".join(map(str, row)) + "\r\n" for row in [(header,), *rows]))


DAMAGES: Table = {
    Copy("stress_predict", StressPredict, "S02", release): [
        refused(EDA, edit.remove, "missing"),
        refused(EDA, edit.write(""), "empty"),
        refused(EDA, edit.write(f"{START}\n4\n"), "or it has no samples"),
        refused(EDA, edit.write(f"{START}\n4\n1.5\n<html>\n"), "not readable"),
        refused(EDA, edit.write(f"{START}\n8\n" + "1\n" * 960), "8 samples a second"),
        refused(EDA, edit.write(f"{START},{START}\n4,4\n" + "1,1\n" * 480), "2 columns"),
        refused(EDA, edit.write(f"{START}\n4\n" + "1\n" * 200), "ends 70 s before"),
        refused(EDA, edit.write(f"{START - 9000}\n4\n" + "1\n" * 480), "before the subject's other files",
                at=f"{FOLDER}/BVP.csv"),
        refused(CSV, labelled([(2, 1, 1, START, 0)], HEADER.replace("Label", "Stress")), "no column Label"),
        refused(CSV, labelled([(2, 1, 1, START + 9, 2)]), "other than 0 and 1", hint=None),
        refused(CSV, labelled([(2, 1, 1, START + 9, 0), (2, 1, 1, START + 9, 1)]), "two labels",
                hint=None),
        refused(CSV, labelled([(2, 1, 1, START - 99_999, 0)]), "different times"),
        refused(CSV, labelled([(2, 1, 1, "noon", 0)]), "`noon` is not a number"),
        refused(CSV, labelled([]), "no rows"),
        refused(CSV, edit.remove, "missing"),
        same(CSV, edit.replace(",70.5,", ",,"), "no heart rate"),
        same("*_data", edit.into("Stress-Predict-Dataset-main")),
    ],
    Copy("no stress_predict", StressPredict, "S02", edit.nothing): [
        nothing("Data_preprocessed", Path.mkdir, "no file of Stress-Predict", "Data_preprocessed"),
        nothing(".", edit.remove, "no such folder"),
        nothing("Stress-Predict-Dataset-main.zip", edit.write(b"PK"), "not unpacked",
                hint="unzip 'Stress-Predict-Dataset-main.zip'"),
    ],
}  # fmt: skip
