"""Folders of further labs: from `data new` to the ratings of each recording, or one line on what to do."""

import itertools
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embench.errors import DataError
from embench_plugins.datasets.own.draft import write_draft
from embench_plugins.datasets.own.reader import Own

from .test_open_studies import edited

FILMS = ("Meer", "Unfall", "Clown")


def rating(n: int, k: int) -> int:
    return (3 * n + 2 * k) % 9 + 1


def signals(root: Path, form: str, names: tuple[str, str] = ("time", "EDA")) -> None:
    """Files of 60 s of skin conductance of five people and three films; `{n}`, `{k}` and `{film}` stand in paths."""
    for n, k in itertools.product(range(1, 6), range(3)):
        path = root / form.format(n=n, k=k, film=FILMS[k])
        path.parent.mkdir(parents=True, exist_ok=True)
        data = 3 + np.cumsum(np.random.default_rng([n, k]).normal(0, 0.02, 240))
        path.write_text(f"{names[0]};{names[1]}\n" + "".join(f"{i / 4};{v:.4f}\n" for i, v in enumerate(data)))


def german(root: Path) -> None:
    """A questionnaire in Excel with a column for each film, times called `Zeit`."""
    signals(root, "VP{n:02d}/{film}.csv", ("Zeit", "Hautleitwert"))
    rows = [{"Code": f"VP{n:02d}", "STAI_T": 30 + n, **{f"{f}_Erregung": rating(n, k) for k, f in enumerate(FILMS)}}
            for n in range(1, 6)]  # fmt: skip
    pd.DataFrame(rows).to_excel(root / "Ratings.xlsx", index=False)


def book(root: Path) -> None:
    """An Excel file with a sheet for each participant."""
    signals(root, "{n:02d}_{film}.csv", ("t", "EDA"))
    with pd.ExcelWriter(root / "Bewertungen.xlsx") as writer:
        for n in range(1, 6):
            rows = {"Film": FILMS, "Erregung": [rating(n, k) for k in range(3)]}
            pd.DataFrame(rows).to_excel(writer, sheet_name=f"{n:02d}", index=False)


def qualtrics(root: Path) -> None:
    """An export with three rows above the answers."""
    signals(root, "10{n}_clip{k}.csv")
    names = ["StartDate", "RecordedDate", "ResponseId", "PID", *(f"clip{k}_Erregung" for k in range(3))]
    asked = ['"How aroused, 1 to 9?"'] * len(names)
    marks = [f'"{{""ImportId"":""q{k}""}}"' for k in range(len(names))]
    answers = [["2024-03-01 10:00", "2024-03-01 10:30", f"R_{n}", f"10{n}", *(str(rating(n, k)) for k in range(3))]
               for n in range(1, 6)]  # fmt: skip
    (root / "survey.csv").write_text("\n".join(map(",".join, [names, asked, marks, *answers])) + "\n")


def days(root: Path) -> None:
    """A file for each signal and day, and a diary."""
    signals(root, "P{n:02d}/2024-03-1{k}/EDA.csv")
    signals(root, "P{n:02d}/2024-03-1{k}/TEMP.csv", ("time", "TEMP"))
    rows = [f"P{n:02d},2024-03-1{k},{rating(n, k)}" for n in range(1, 6) for k in range(3)]
    (root / "diary.csv").write_text("\n".join(["who,date,Erregung", *rows]) + "\n")


@pytest.mark.parametrize("write", [german, book, qualtrics, days])
def test_each_recording_gets_its_rating(write, tmp_path):
    write(tmp_path)
    (tmp_path / "dataset.yaml").write_text(edited(write_draft(tmp_path)))
    reader = Own(tmp_path)
    assert [found for found in reader.verify() if found.severity != "note"] == []
    assert {name: rule.kind for name, rule in reader.description.targets.items()} == {"Erregung": "value"}
    assert len(reader.subjects()) == 5
    for n, subject in enumerate(reader.subjects(), 1):
        found = sorted(float(r.labels["Erregung"].values[0]) for r in reader.recordings(subject))
        assert found == sorted(rating(n, k) for k in range(3))


def test_a_trial_with_two_ratings_is_named(tmp_path):
    days(tmp_path)
    with (tmp_path / "diary.csv").open("a") as file:
        file.write("P02,2024-03-11,9\n")
    said = " ".join(write_draft(tmp_path).replace("\n# ", " ").split())
    assert "one trial has several rows (of p2 and 2024-03-11, for example)" in said


def test_one_table_of_all_participants_has_to_be_divided(tmp_path):
    rows = [f"P{n},{i / 4},3.{i}" for n in range(1, 4) for i in range(60)]
    (tmp_path / "all.csv").write_text("\n".join(["participant,time,EDA", *rows]) + "\n")
    with pytest.raises(DataError, match=r"all\.csv has the signals of 3 participants") as caught:
        write_draft(tmp_path)
    assert "groupby('participant')" in str(caught.value.hint)


def test_archives_have_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "P01.zip", "w") as file:
        file.writestr("EDA.csv", "1709298300\n4\n")
    with pytest.raises(DataError, match=r"1 archives, such as P01\.zip") as caught:
        write_draft(tmp_path)
    assert "unzip" in str(caught.value.hint)
