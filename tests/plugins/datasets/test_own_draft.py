"""The first `dataset.yaml` of a folder: what is found in it is right, and what a person must say is asked for."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from embench import registry
from embench.errors import DataError
from embench_plugins.datasets.own.draft import write_draft
from embench_plugins.datasets.own.layout import Template
from embench_plugins.datasets.own.reader import Own

from .damages.own_bids import study as bids_study
from .real import released

FILLED = {"title": "A study", "citation": "ours", "licence": "CC0", "mains_hz": "50", "fixed_order": "false"}


def found(root: Path) -> dict:
    return yaml.load(write_draft(root), yaml.BaseLoader)


def answered(line: str) -> str:
    """A line of a draft as a person fills it in."""
    key = line.partition(":")[0]
    return f"{key}: {FILLED[key]}" if key in FILLED else line


def filled(root: Path) -> Own:
    """The reader on the draft, with what only a person knows."""
    (root / "dataset.yaml").write_text("\n".join(map(answered, write_draft(root).splitlines())))
    return Own(root)


def tables(root: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = ["id;film;arousal;mood"]
    for person in ("P01", "P02", "P03"):
        (root / person).mkdir()
        for film in ("sea", "city"):
            values = "".join(
                f"{k * 250};{x:.3f};{x:.2f}\n".replace(".", ",") for k, x in enumerate(rng.uniform(1, 9, 80))
            )
            (root / person / f"watch_{film}.csv").write_text("time_ms;GSR;Skin Temp\n" + values)
            rows.append(f"{person};{film};{rng.integers(1, 100) / 10};{rng.choice(['good', 'bad'])}".replace(".", ","))
    (root / "ratings.csv").write_text("\n".join(rows))
    (root / "people.csv").write_text("id,sex,dyad\nP01,f,1\nP02,m,1\nP03,f,2\n")
    (root / "notes.txt").write_text("the cable of P02 was loose")
    return root


def test_tables_with_ratings(tmp_path):
    reader = filled(tables(tmp_path))
    of = reader.description
    assert reader.subjects() == ["P01", "P02", "P03"]
    assert {m: card.channels for m, card in reader.card.modalities.items()} == {"eda": ("eda",), "temp": ("temp",)}
    recordings = [r for subject in reader.subjects() for r in reader.recordings(subject)]
    assert {r.signals["eda"].rate for r in recordings} == {4}
    assert {r.stimulus for r in recordings} == {"sea", "city"}
    assert all({"arousal", "mood"} <= set(r.labels) for r in recordings)
    assert {name: rule.kind for name, rule in of.targets.items()} == {"arousal": "value", "mood": "binary"}
    assert dict(reader.subject_info("P02")) == {"sex": "m"}
    assert [f for f in reader.verify() if f.severity == "error"] == []


def test_what_only_a_person_knows_is_asked_for(tmp_path):
    text = write_draft(tables(tmp_path))
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises(DataError, match="`title` still says TODO; so do `citation`, `licence`") as caught:
        Own(tmp_path)
    title = next(k for k, line in enumerate(text.splitlines(), 1) if line.startswith("title:"))
    assert caught.value.where.endswith(f"line {title}")
    assert "dyad" in text


def test_a_folder_of_all_kinds_is_found_as_it_was_described(tmp_path):
    registry.synthesizer("own")(tmp_path, subjects=3, seed=0, effect=1.0, length_s=60.0)
    before = Own(tmp_path)
    expected = {r.id: r for s in before.subjects() for r in before.recordings(s)}
    (tmp_path / "dataset.yaml").unlink()
    first, clips, eeg = (source for source in found(tmp_path)["recordings"])
    assert first == {"e4": "wrist/{participant}", "labels": ["stage"], "signals": ["ppg", "eda", "temp", "acc"]}
    assert clips["files"] == "clips/{participant}_clip{clip}.csv"
    assert list(clips["signals"]) == ["eda"]
    assert len(eeg["signals"]["eeg"]["channels"]) == 10
    labels = found(tmp_path)["labels"]
    assert labels["stage"]["start"] == "begins"
    assert labels["arousal"]["keys"] == {"participant": "code", "clip": "clip"}
    assert (clips["labels"], eeg["labels"]) == (["arousal"], ["part1"])
    after = filled(tmp_path)
    again = {r.id: r for s in after.subjects() for r in after.recordings(s)}
    assert again.keys() == expected.keys()
    for id_, recording in again.items():
        for m, signal in recording.signals.items():
            np.testing.assert_array_equal(signal.data, expected[id_].signals[m].data)
        assert len(recording.labels) == 1


def test_a_bids_dataset(tmp_path):
    bids_study(tmp_path)
    (tmp_path / "dataset.yaml").unlink()
    said = found(tmp_path)
    assert said["participants"] == {"table": "participants.tsv", "id": "participant_id", "info": {"sex": "sex"}}
    (source,) = said["recordings"]
    assert source["bids"] == "films"
    assert source["signals"]["eeg"] == {"channels": ["Fz", "Cz"]}
    assert source["signals"]["resp"]["channels"] == {"resp": "respiratory"}
    label = said["labels"]["trial_type"]
    assert label["table"] == "sub-{participant}/eeg/sub-{participant}_task-films_events.tsv"
    assert {"calm", "fear"} <= set(label["classes"])


@pytest.mark.parametrize("files", [{}, {"readme.txt": "hello"}, {"a.csv": "x\n1\n"}, {"a.edf": "no EDF"}])
def test_a_folder_without_recordings_is_refused(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="no recordings are found"):
        write_draft(tmp_path)


def test_names_that_yaml_would_misread_are_quoted(tmp_path):
    folder = tmp_path / "my study: 2"
    folder.mkdir()
    for person in ("no", "yes"):
        (folder / f"{person} #1.csv").write_text("EDA [µS]: left\n" + "1.5\n" * 80)
    said = found(folder)
    assert said["name"] == "my_study_2"
    (source,) = said["recordings"]
    assert source["files"] == "{participant} #1.csv"
    assert list(source["signals"]["eda"]["channels"].values()) == ["EDA [µS]: left"]


@pytest.mark.parametrize(
    ("release", "source"),
    [
        ("eegmat", {"files": "{participant}_{part1}.edf"}),
        ("wearable_stress", {"e4": "Wearable_Dataset/{part1}/{participant}"}),
        pytest.param("stress_predict", {"e4": "Raw_data/S{participant}"}, marks=pytest.mark.slow),
        pytest.param("faced_sidecars", {"bids": "watchingVideoClips"}, marks=pytest.mark.slow),
    ],
)
def test_real_releases(release, source, tmp_path):
    root = released(release)
    if release == "wearable_stress":  # reading all 44 sessions takes a minute
        for session in root.glob("Wearable_Dataset/*/S0*"):
            shutil.copytree(session, tmp_path / session.relative_to(root))
        root = tmp_path
    assert any(source.items() <= row.items() for row in found(root)["recordings"])


def test_classes_with_quotation_marks_are_read_again_as_they_are(tmp_path):
    root = tables(tmp_path)
    path = root / "ratings.csv"
    path.write_text(path.read_text().replace(";good", ';so `"`good').replace("bad", "bad\\"), "utf-8")
    classes = found(root)["labels"]["mood"]["classes"]
    assert set(classes) == set(pd.read_csv(path, sep=";", quoting=3)["mood"])


def test_traits_and_times_are_no_labels_and_a_condition_in_a_name_is_no_stimulus(tmp_path):
    rows = ["person,task,time,STAI,strain"]
    for person in (1, 2, 3):
        for k, task in enumerate(("rest", "talk")):
            values = "".join(f"{i / 4},{i % 7},{i % 5},{60 + i % 9}\n" for i in range(60))
            (tmp_path / f"P{person:02d}_{task}.csv").write_text("time,ax,EDA,heart\n" + values)
            rows.append(f"P{person:02d},{task},{100 * person + k},{30 + person},{1 + person + 3 * k}")
    said = found(tmp_path)
    assert set(said["recordings"][0]["signals"]) == {"acc", "eda", "hr"}
    assert "stimulus" not in said["recordings"][0]
    assert list(said["targets"]) == ["part1"]
    (tmp_path / "ratings.csv").write_text("\n".join(rows) + "\n")
    assert list(found(tmp_path)["targets"]) == ["strain"]


def export(folder: Path) -> Path:
    """What an E4 wristband writes in one session."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, rate in (("BVP", 64), ("EDA", 4), ("TEMP", 4)):
        values = "\n".join(f"{x:.3f}" for x in rng.uniform(1, 9, rate * 60))
        (folder / f"{name}.csv").write_text(f"1600000000.0\n{rate}.0\n{values}\n")
    return folder


@pytest.mark.parametrize(
    ("inside", "template", "who"),
    [
        ("S01", "{participant}", "S01"),
        ("P07/watch", "{participant}/watch", "P07"),
        ("P07/session1", "{participant}/session1", "P07"),
        ("raw/VP_12", "raw/{participant}", "VP_12"),
        ("anna", "{participant}", "anna"),
    ],
)
def test_one_export_of_one_participant_is_described(tmp_path, inside, template, who):
    export(tmp_path / inside)
    assert found(tmp_path)["recordings"][0]["e4"] == template
    assert list(Template(template).matches(tmp_path)) == [(tmp_path / inside, {"participant": who})]


@pytest.mark.parametrize("name", ["S01.csv", "S01/eda.csv", "S01/day1/eda.csv"])
def test_one_file_is_named_by_the_part_of_its_path_that_names_a_participant(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("time,EDA\n" + "".join(f"{k / 4:.2f},{3 + k % 7}\n" for k in range(200)))
    assert found(tmp_path)["recordings"][0]["files"] == name.replace("S01", "{participant}")


def test_an_export_in_the_folder_of_the_study_itself_names_nobody(tmp_path):
    export(tmp_path / "S01")
    with pytest.raises(DataError, match="itself the export of an E4") as caught:
        write_draft(tmp_path / "S01")
    assert "move the files" in caught.value.hint
