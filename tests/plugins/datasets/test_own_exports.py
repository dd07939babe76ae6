"""Exports of devices and programs, and Parquet files: described by `data new`, and read as they were written."""

import builtins
import contextlib
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from embench.errors import DataError
from embench_plugins.datasets.own import tables
from embench_plugins.datasets.own.draft import write_draft
from embench_plugins.datasets.own.reader import Own

from ...sample import sample
from . import export_files as files
from .test_own_draft import answered

SAID = {  # modality: name in the file, rate, unit
    "shimmer.csv": {"eda": ("GSR_Skin_Conductance", 128, "uS"), "ppg": ("PPG_A13", 128, "mV")},
    "capture.txt": {"eda": ("GSR", 64, "uS")},
    "polar.txt": {"ecg": ("ecg [uV]", 130, "mV")},
    "garmin.csv": {"hr": ("record.heart_rate[bpm]", 1, "bpm")},
    "opensignals.txt": {"ecg": ("ECG", 200, "mV"), "eda": ("EDA", 200, "mV")},
    "labchart.txt": {"ecg": ("ECG", 100, "mV"), "resp": ("Respiration", 100, "V")},
}


def study(root: Path, name: str, write, **how) -> dict[str, files.Columns]:
    """Recordings of three people with a table of their moods; what was written of each."""
    (root / "rec").mkdir()
    found = {}
    for person in (1, 2, 3):
        text, found[f"P{person:02d}"] = write(person, **how)
        (root / "rec" / f"P{person:02d}_{name}").write_text(text, "utf-8", newline="")
    (root / "moods.csv").write_text("who,mood\nP01,3\nP02,7\nP03,5\n")
    return found


def described(root: Path) -> Own:
    """The reader by a draft, with what only a person knows; units that the files leave open are mV."""
    text = write_draft(root).replace("unit: TODO", "unit: mV")
    (root / "dataset.yaml").write_text("\n".join(map(answered, text.splitlines())))
    return Own(root)


def compare(root: Path, written: dict[str, files.Columns], said) -> None:
    """Checks that values, rates and units are those that were written."""
    reader = described(root)
    assert reader.verify() == []
    for subject, values in written.items():
        (recording,) = reader.recordings(subject)
        assert set(recording.signals) == set(said)
        for m, (_, rate, unit) in said.items():
            signal = recording.signals[m]
            assert (signal.rate, signal.unit) == (rate, unit)
            np.testing.assert_allclose(signal.data[0], values[m], atol=1e-5)


@pytest.mark.parametrize("name", files.EXPORTS)
def test_an_export_is_described_and_read(name, tmp_path):
    compare(tmp_path, study(tmp_path, name, files.EXPORTS[name]), SAID[name])
    (source,) = yaml.load((tmp_path / "dataset.yaml").read_text(), yaml.BaseLoader)["recordings"]
    assert {m: list(own["channels"].values())[-1] if isinstance(own["channels"], dict) else own["channels"][0]
            for m, own in source["signals"].items()} == {m: name for m, (name, _, _) in SAID[name].items()}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("shimmer.csv", {"separator": "\t"}),
        ("shimmer.csv", {"stated": False}),
        ("shimmer.csv", {"dates": True}),
        ("labchart.txt", {"decimal": ","}),
        ("labchart.txt", {"timed": False}),
    ],
)
def test_other_forms_of_an_export(name, how, tmp_path):
    compare(tmp_path, study(tmp_path, name, files.EXPORTS[name], **how), SAID[name])


PAGE = (Path(__file__).parents[3] / "docs" / "datasets" / "exports.md").read_text("utf-8")


def test_the_page_shows_how_a_file_begins_and_what_is_written_for_it(tmp_path):
    study(tmp_path, "shimmer.csv", files.shimmer)
    text = write_draft(tmp_path)
    assert text[text.index("\nrecordings:") : text.index("\n\nlabels:")] in PAGE
    assert "\n".join(files.shimmer(1)[0].splitlines()[:6]) in PAGE


@pytest.mark.parametrize("name", files.EXPORTS)
def test_the_page_names_the_columns_that_are_written(name, tmp_path):
    study(tmp_path, name, files.EXPORTS[name])
    (source,) = yaml.load(write_draft(tmp_path), yaml.BaseLoader)["recordings"]
    for signal in source["signals"].values():
        columns = [*signal["channels"].values(), *filter(None, [signal.get("time")])]
        assert [column for column in columns if f"`{column}`" not in PAGE] == []


def test_units_that_no_file_states_are_left_to_a_person(tmp_path):
    study(tmp_path, "opensignals.txt", files.opensignals)
    assert write_draft(tmp_path).count("unit: TODO") == 2


def test_units_of_labchart_are_those_it_names(tmp_path):
    """`*` stands for the unit of the range; an empty one is a scale without a name."""
    path = tmp_path / "a.txt"
    head = "Interval=\t1 ms\nChannelTitle=\tA\tB\tC\t\tE\nRange=\t10.000 V\t500 mV\t100 mV\t1.1000 \t2.00 L/s.s\n"
    path.write_text(f"{head}UnitName=\t*\t\tcmH2O\t*\t*\n432\t1\t2\t3\t4\t5\n432.001\t1\t2\t3\t4\t5\n")
    form = tables.find_dialect(path)
    assert form.units == {"Time": "s", "A": "V", "B": "", "C": "cmH2O", "Channel 4": "", "E": "L/s.s"}
    assert (form.names[-1], form.before.rate) == ("Comment", 1000)


def test_channels_of_opensignals_without_a_sensor_keep_their_names(tmp_path):
    """As of two BITalinos, one of which has two sensors of a kind."""
    one = '{"sensor": ["RAW"], "column": ["nSeq", "I1", "O1", "A2"], "label": ["A2"], "sampling rate": 1000}'
    two = '{"sensor": ["EDA", "XYZ", "XYZ"], "column": ["nSeq", "A1", "A2", "A3"], "label": ["A1", "A2", "A3"]}'
    path = tmp_path / "a.txt"
    path.write_text(
        f'# OpenSignals Text File Format\n# {{"a": {one}, "b": {two}}}\n# EndOfHeader\n' + "\t".join("12345678")
    )
    form = tables.find_dialect(path)
    assert form.names == ("nSeq", "digital I1", "digital O1", "A2", "nSeq 5", "EDA", "A2 7", "A3")
    assert form.before.rate is None


def test_a_rate_other_than_the_file_s_own_is_refused(tmp_path):
    study(tmp_path, "opensignals.txt", files.opensignals)
    described(tmp_path)
    path = tmp_path / "dataset.yaml"
    path.write_text(path.read_text().replace("unit: mV", "unit: mV\n        rate: 100"))
    with pytest.raises(DataError, match=r"P01_opensignals\.txt has 200 samples of ecg a second, not 100"):
        list(Own(tmp_path).recordings("P01"))


def test_times_of_garmin_are_unix_times(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text(files.garmin(1)[0])
    assert (
        tables.read_columns(path, ["record.timestamp[s]"], "")["record.timestamp[s]"].iloc[0] == files.START.timestamp()
    )


def test_a_comment_of_labchart_stays_with_its_row(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(files.labchart(1)[0], newline="")
    rows = tables.read_rows(path)
    (line,) = rows.index[rows["Comment"] != ""]
    assert rows["Comment"][line] == "#* the film begins"
    assert "#*" in path.read_text().splitlines()[line - 1]
    assert tables.find_dialect(path).before.rate == 100


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("# a device\n# of 2019\ntime,EDA\n0,1\n", ("time", "EDA")),
        ("# a device\n# time,EDA\n0,1\n", ("time", "EDA")),
        ("# one line\n0,1\n0,2\n", ("1", "2")),
        ("#time,EDA\n0,1\n", ("#time", "EDA")),
        ("sep=;\nid;film\nP1;joy\n", ("id", "film")),
        ("id,s,V\nP1,V,s\n1,2,3\n", ("id", "s", "V")),
    ],
)
def test_names_after_other_lines(text, names, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert tables.find_dialect(path).names == names
    assert list(tables.read_rows(path).columns) == list(names)
    last = tables.read_rows(path).index[-1]
    assert len(text.splitlines()) == last


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("# OpenSignals Text File Format\n# {\"a\": [1]}\n# EndOfHeader\n0\t1\n", "line 2: the header of OpenSignals"),
        ("# OpenSignals Text File Format\n# {\"a\": {\n# EndOfHeader\n0\t1\n", "line 2: the header of OpenSignals"),
        ("# OpenSignals Text File Format\n", "line 2: the header of OpenSignals"),
        ("Interval=\t0.01 s\n0\t1\n", "line 1: the header of LabChart does not name the columns"),
        ("Interval=\t0.01 s\nChannelTitle=\tA\n0\t1\nInterval=\t0.01 s\n", "line 4: a second block begins"),
        ("# only\n# comments\n", "line 2: only comments"),
        ("sep=;\n", "line 1: only the separator"),
    ],
)  # fmt: skip
def test_what_is_wrong_before_the_rows_is_named_with_its_line(text, what, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=what) as caught:
        tables.read_rows(path)
    assert caught.value.where == str(path)
    assert caught.value.hint


@pytest.mark.parametrize("damages", sample((40, 150), 40))
@pytest.mark.parametrize("name", files.EXPORTS)
def test_a_damaged_export_is_read_or_named(name, damages, tmp_path):
    text, path, rng = files.EXPORTS[name](1)[0][:3000].encode(), tmp_path / "a.txt", random.Random(0)
    for _ in range(damages):
        at, to = sorted(rng.sample(range(len(text)), 2))
        piece = rng.choice([b"", b"\n", b"\t", b"{}", b"null", b"=", b"-", b'"', b"\xff", b"9" * 400])
        path.write_bytes(rng.choice([text[:at], text[:at] + piece + text[at:], text[:at] + piece + text[to:]]))
        with contextlib.suppress(DataError):
            names = tables.find_dialect(path).names
            tables.read_rows(path)
            tables.read_columns(path, names, "")


# Parquet.


def parquet(root: Path) -> None:
    """Three people's skin conductance with dates as the index, and a table of films."""
    pytest.importorskip("pyarrow")
    (root / "rec").mkdir()
    films, dates = [], pd.date_range("2024-03-01T13:05", periods=480, freq="250ms", tz="UTC", name="time")
    for person in (1, 2, 3):
        values = files.waves(person, 4, 120, ("eda",))["eda"]
        pd.DataFrame({"EDA": values}, index=dates).to_parquet(root / "rec" / f"P{person:02d}.parquet")
        for k, film in enumerate(("sea", "city", "joy")):
            films.append((f"P{person:02d}", film, dates[160 * k], dates[160 * k + 120], person + 2 * k, None))
    columns = ["who", "film", "start", "end", "arousal", "note"]
    pd.DataFrame(films, columns=columns).to_parquet(root / "films.parquet")


def test_parquet_files_of_signals_and_of_trials(tmp_path):
    parquet(tmp_path)
    reader = described(tmp_path)
    assert reader.verify() == []
    found = list(reader.recordings("P02"))
    assert [r.stimulus for r in found] == ["sea", "city", "joy"]
    assert [float(r.labels["arousal"].values[0]) for r in found] == [2, 4, 6]
    assert [r.start_s for r in found] == [0, 40, 80]
    values = files.waves(2, 4, 120, ("eda",))["eda"]
    np.testing.assert_allclose(found[1].signals["eda"].data[0], values[160:280], atol=1e-5)
    cells = tables.read_rows(tmp_path / "films.parquet").iloc[0].to_dict()
    assert (cells["arousal"], cells["note"], cells["start"]) == ("1", "", "2024-03-01T13:05:00.000000+0000")


def test_a_damaged_parquet_file_is_named(tmp_path):
    parquet(tmp_path)
    path, rng = tmp_path / "rec" / "P01.parquet", random.Random(0)
    whole = path.read_bytes()
    for k in range(60):
        cut = rng.randrange(len(whole))
        path.write_bytes(whole[:cut] if k % 2 else whole[:cut] + b"\xff\x00" + whole[cut + 2 :])
        with contextlib.suppress(DataError):
            tables.read_columns(path, ["EDA"], "")
    path.write_bytes(whole[:100])
    with pytest.raises(DataError, match="not readable as Parquet") as caught:
        tables.read_rows(path)
    assert caught.value.where == str(path)


def test_parquet_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    parquet(tmp_path)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith(("pyarrow", "fastparquet")):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError) as caught:
        tables.read_rows(tmp_path / "films.parquet")
    assert "pip install pyarrow" in str(caught.value.hint)
