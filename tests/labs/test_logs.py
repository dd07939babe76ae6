"""Folders with the log of an experiment: from the files to trials and ratings, and what is said of logs without a
place on the recordings' clock."""

import contextlib
import re

import pytest
import yaml
from tests.sample import sample

from embench.errors import DataError
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.draft import write_draft
from embench_plugins.datasets.own.reader import Own

from . import folders, logs
from .test_labs import KNOWN, filled

PEOPLE = 4
LABS = {"eprime": (logs.eprime, "Arousal_RESP"), "psychopy": (logs.psychopy, "arousal_response")}
TRIALS = {
    "table": "logs/{participant}-films.log", "start": "Time in s", "duration": "Duration in s", "stimulus": "Code",
    "where": {"Event Type": ["Video"]},
}  # fmt: skip


def read_right(root, label: str) -> None:
    """Checks that trials and ratings are those that the folder's writer drew."""
    reader = Own(root)
    assert reader.verify() == []
    for one, subject in zip(folders.sessions(PEOPLE), reader.subjects(), strict=True):
        played = sorted(reader.recordings(subject), key=lambda r: r.start_s)
        assert [r.stimulus for r in played] == list(one.films)
        assert [r.start_s for r in played] == pytest.approx(one.begins, abs=0.1)
        assert [r.duration_s for r in played] == pytest.approx([folders.FILM_S] * len(played), abs=0.1)
        assert [float(r.labels[label].values[0]) for r in played] == list(one.arousal)


def said(root) -> str:
    """The sentences that begin a draft."""
    return " ".join(line.removeprefix("# ") for line in write_draft(root).splitlines() if line.startswith("# "))


def edit(root, folder: str, *edits: tuple[str, str], encoding: str = "utf-8-sig") -> None:
    """Replaces what fits regular expressions in all files of a folder."""
    for path in (root / folder).iterdir():
        text = path.read_bytes().decode(encoding)
        for old, new in edits:
            assert re.search(old, text)
            text = re.sub(old, new, text)
        path.write_bytes(text.encode(encoding))


@pytest.mark.parametrize("name", LABS)
def test_a_log_with_dates_cuts_recordings_that_have_them(name, tmp_path):
    write, label = LABS[name]
    (tmp_path / "dataset.yaml").write_text(filled(write_draft(write(tmp_path, PEOPLE))))
    read_right(tmp_path, label)


def test_logs_of_several_days_are_found_by_their_participant(tmp_path):
    logs.psychopy(tmp_path, PEOPLE)
    for path in list((tmp_path / "data").iterdir())[: PEOPLE // 2]:
        path.rename(path.with_name(path.name.replace("2024-03-01", "2024-04-11")))
    (tmp_path / "dataset.yaml").write_text(filled(write_draft(tmp_path)))
    read_right(tmp_path, "arousal_response")


def test_a_presentation_log_is_placed_by_its_owner_alone(tmp_path):
    logs.presentation(tmp_path, PEOPLE)
    assert "log of Presentation whose times are not used: the recordings do not say when they began." in said(tmp_path)
    text = "\n".join(f"{k}: {KNOWN[k]}" if (k := line.partition(":")[0]) in KNOWN else line
                     for line in write_draft(tmp_path).splitlines())  # fmt: skip
    described = yaml.load(text, yaml.BaseLoader)
    assert "trials" not in described["recordings"][0]
    described["recordings"][0]["trials"] = TRIALS
    described["longest_s"] = folders.FILM_S
    keys = {"participant": "participant", "stimulus": "film"}
    described["labels"] = {"arousal": {"table": "ratings.csv", "keys": keys, "column": "arousal", "scale": [1, 9]}}
    described["targets"] = {"arousal": {"label": "arousal", "kind": "value"}}
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    read_right(tmp_path, "arousal")


def test_an_eprime_log_in_local_time_takes_the_zone_of_the_study(tmp_path):
    logs.eprime(tmp_path, PEOPLE)
    edit(tmp_path, "eprime", ("SessionStartDateTimeUtc:.*\r\n", ""), encoding="utf-16")
    text = write_draft(tmp_path)
    assert "timezone: UTC+01:00" in text
    (tmp_path / "dataset.yaml").write_text(filled(text))
    read_right(tmp_path, "Arousal_RESP")


@pytest.mark.parametrize(
    ("name", "folder", "edits", "why"),
    [
        ("eprime", "eprime", [("Session(StartDateTimeUtc|Date|Time):.*\r\n", "")], "does not say when the experiment"),
        ("eprime", "eprime", [("(FilmMovie|Fixation).OffsetTime:.*\r\n", "")], "when what was shown ended"),
        (
            "psychopy",
            "data",
            [(",expStart", ","), (r"\d{4}-\d\d-\d\d \d\dh.*", "")],
            "`date` is when the dialog opened",
        ),
    ],
)
def test_a_log_that_does_not_say_when_it_began_cuts_nothing(name, folder, edits, why, tmp_path):
    LABS[name][0](tmp_path, PEOPLE)
    edit(tmp_path, folder, *edits, encoding="utf-16" if name == "eprime" else "utf-8-sig")
    assert why in said(tmp_path)
    assert "trials:" not in write_draft(tmp_path)


def test_cells_of_an_eprime_log(tmp_path):
    logs.eprime(tmp_path, 1)
    rows = tables.read_rows(tmp_path / "eprime" / "Films-1-1.txt")
    row = rows.iloc[1]
    assert len(rows) == 5
    assert (row["Subject"], row["SessionDate"], row["SessionTime"]) == ("1", "03-01-2024", "15:03:52")
    assert row["FilmMovie.OnsetTime"] == "150001"
    assert row["FilmMovie.OnsetTime in s"] == "150.001"
    assert row["FilmMovie.OnsetTime date"] == "2024-03-01T14:06:22.001000+00:00"
    assert "Arousal.OffsetTime date" not in rows  # 0: it was not logged
    text = (tmp_path / "eprime" / "Films-1-1.txt").read_bytes().decode("utf-16").splitlines()
    assert text[rows.index[1] - 1] == "\t*** LogFrame Start ***"


@pytest.mark.parametrize(
    ("utc", "date", "found"),
    [
        ("3/1/2024 2:03:52 PM", "03-01-2024", "2024-03-01T14:06:22.001000+00:00"),
        ("01/03/2024 14:03:52", "03-01-2024", "2024-03-01T14:06:22.001000+00:00"),  # day first, as the region has it
        ("01.03.2024 14:03:52", "03-01-2024", "2024-03-01T14:06:22.001000+00:00"),
        ("01/03/2024 14:03:52", "09-09-2019", "2019-09-09T15:06:22.001000"),  # of no use: local time
        ("00/00/0000 0:00:00 PM", "03-01-2024", "2024-03-01T15:06:22.001000"),
    ],
)
def test_the_start_in_an_eprime_log(utc, date, found, tmp_path):
    logs.eprime(tmp_path, 1)
    said = (
        ("SessionStartDateTimeUtc: .*?\r", f"SessionStartDateTimeUtc: {utc}\r"),
        ("Date: 03-01-2024", f"Date: {date}"),
    )
    edit(tmp_path, "eprime", *said, encoding="utf-16")
    assert tables.read_rows(tmp_path / "eprime" / "Films-1-1.txt").iloc[1]["FilmMovie.OnsetTime date"] == found


def test_an_eprime_log_without_ends_lasts_to_what_follows(tmp_path):
    logs.eprime(tmp_path, PEOPLE)
    edit(tmp_path, "eprime", ("FilmMovie.OffsetTime: .*?\r", "FilmMovie.OnsetToOnsetTime: 40000\r"), encoding="utf-16")
    (tmp_path / "dataset.yaml").write_text(filled(write_draft(tmp_path)))
    read_right(tmp_path, "Arousal_RESP")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_an_eprime_log(encoding, tmp_path):
    path = tmp_path / "log.txt"
    text = "*** Header Start ***\nSubject: ü\n*** Header End ***\nLevel: 1\n*** LogFrame Start ***\nA: 1\n"
    path.write_bytes(text.encode(encoding))
    assert tables.read_rows(path).to_dict("records") == [{"Subject": "ü", "A": "1"}]  # no times: a table of answers


def test_cells_of_a_presentation_log(tmp_path):
    logs.presentation(tmp_path, 1)
    rows = tables.read_rows(tmp_path / "logs" / "P01-films.log")
    films = rows[rows["Event Type"] == "Video"]
    assert len(rows) == 1 + 3 * 5  # a pulse; the second table is not read
    assert list(films["Time in s"]) == [f"{s:.4f}" for s in folders.sessions(1)[0].begins]
    assert set(films["Duration in s"]) == {"40.0000"}
    assert (rows.iloc[0]["Subject"], rows.iloc[0]["Uncertainty 2"], rows.index[0]) == ("P01", "", 6)


@pytest.mark.parametrize("places", sample((20, 60), 20))
@pytest.mark.parametrize("name", ["eprime", "presentation", "psychopy"])
def test_a_damaged_log_is_read_or_named(name, places, tmp_path):
    getattr(logs, name)(tmp_path, 1)
    folder = {"eprime": "eprime", "presentation": "logs", "psychopy": "data"}[name]
    (path,) = (tmp_path / folder).iterdir()
    whole = path.read_bytes()
    for k in range(0, len(whole), max(1, len(whole) // places)):
        for damaged in (whole[:k], whole[:k] + b"\x00\xff9/" + whole[k + 4 :], whole[:k] + b"\t-" + whole[k:]):
            path.write_bytes(damaged)
            with contextlib.suppress(DataError):
                tables.read_rows(path)


def test_what_is_wrong_in_a_log_is_named_with_its_line(tmp_path):
    path = tmp_path / "P01.log"
    path.write_text("Scenario - films\nLogfile written - 03/01/2024 14:05:00\n\n")
    with pytest.raises(DataError, match="this log of Presentation has no table of events"):
        tables.read_rows(path)
    path.write_text("Scenario - films\n\nTrial\tEvent Type\tCode\tTime\tTTime\n\n1\tPicture\tsea\tlate\t0\n")
    with pytest.raises(DataError, match="line 5, column Time: `late` is not a time"):
        tables.read_rows(path)
    path.write_text("*** Header Start ***\nSubject: 1\n*** Header End ***\n")
    with pytest.raises(DataError, match="this log of E-Prime has no LogFrame"):
        tables.read_rows(path)
