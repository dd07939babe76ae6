"""Ratings in Excel and SPSS files."""

import pandas as pd
import pytest

from embench.errors import DataError
from embench_plugins.datasets.own.reader import Own

from .own_files import MOOD, column, describe, write

MOODS = pd.DataFrame({"who": ["A", "B"], "mood": [3.5, 8.0], "Händigkeit": ["links", "rechts"]})


def moods(root, name):
    write(root, {"A.csv": column(range(1, 41)), "B.csv": column(range(1, 41))})
    reader = Own(describe(root, labels={"mood": {**MOOD, "table": name}}))
    return [recording.labels["mood"].values.tolist() for s in "AB" for recording in reader.recordings(s)]


@pytest.mark.parametrize("title", [0, 2])
def test_the_only_sheet_of_an_excel_file_below_its_title(title, tmp_path):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "moods.xlsx") as book:
        MOODS.to_excel(book, sheet_name="Bewertung", startrow=title, index=False)
        if title:
            book.sheets["Bewertung"]["A1"] = "Ratings of March"
        pd.DataFrame().to_excel(book, sheet_name="Tabelle2", index=False)
    assert moods(tmp_path, "moods.xlsx") == [[3.5], [8.0]]


def test_several_sheets_are_refused_by_name(tmp_path):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "moods.xlsx") as book:
        MOODS.to_excel(book, sheet_name="pre", index=False)
        MOODS.to_excel(book, sheet_name="post", index=False)
    with pytest.raises(DataError, match="sheets with cells: pre, post"):
        moods(tmp_path, "moods.xlsx")


def test_codes_of_an_spss_file(tmp_path):
    pyreadstat = pytest.importorskip("pyreadstat")
    frame = MOODS.assign(mood=[3.0, 8.0])
    pyreadstat.write_sav(frame, tmp_path / "moods.sav", variable_value_labels={"mood": {3: "calm", 8: "tense"}})
    assert moods(tmp_path, "moods.sav") == [[3.0], [8.0]]


@pytest.mark.parametrize("name", ["moods.xlsx", "moods.sav"])
def test_a_damaged_file_is_named(name, tmp_path):
    pytest.importorskip("openpyxl" if name.endswith("xlsx") else "pyreadstat")
    (tmp_path / name).write_bytes(b"PK\3\4 nothing of this kind")
    with pytest.raises(DataError, match="not readable by"):
        moods(tmp_path, name)
