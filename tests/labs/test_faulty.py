"""Faults of a lab's files cost what is faulty and no more: a channel, a trial or a recording, named in dataset.yaml."""

import shutil

import pytest
import yaml

from embench.cli import main
from embench_plugins.datasets.own.draft import write_draft
from embench_plugins.datasets.own.reader import Own

from . import folders
from .layouts import LAYOUTS, lay_out
from .test_labs import filled


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    root = folders.wristband(tmp_path_factory.mktemp("described") / "lab", 6)
    (root / "dataset.yaml").write_text(filled(write_draft(root)))
    return root


@pytest.fixture
def lab(described, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(described, tmp_path / "lab")


def damage(root):
    """A text in a channel of P02, a channel of P03 that is empty, P04 cut in half, and a film of P05 that ends late."""
    raw = root / "Rohdaten"
    eda = (raw / "VP02" / "EDA.csv").read_text().split("\n")
    (raw / "VP02" / "EDA.csv").write_text("\n".join([*eda[:50], "Kabel", *eda[51:]]))
    (raw / "VP03" / "TEMP.csv").write_text("")
    for path in (raw / "VP04").glob("[ABET]*.csv"):
        lines = path.read_text().split("\n")
        path.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    rows = (root / "Bewertungen.csv").read_text("utf-8-sig").splitlines()
    of_5 = [k for k, row in enumerate(rows) if row.startswith("5;")]
    cells = rows[of_5[0]].split(";")
    rows[of_5[0]] = ";".join([*cells[:3], "01.03.2024 23:59:59", *cells[4:]])
    (root / "Bewertungen.csv").write_text("\n".join(rows) + "\n")


def held(root):
    reader = Own(root)
    return {r.id: (r.subject, set(r.signals)) for s in reader.subjects() for r in reader.recordings(s)}


def test_every_fault_is_told_at_once_with_the_way_out(lab, capsys):
    damage(lab)
    assert main(["data", "verify", "./lab"]) == 1
    told = capsys.readouterr()
    for where in ("VP02/EDA.csv", "VP03/TEMP.csv", "Bewertungen.csv"):
        assert where in told.out
    assert "--exclude-faulty" in told.err
    assert main(["data", "prepare", "./lab"]) != 0
    assert "embench data verify ./lab --exclude-faulty" in capsys.readouterr().err


def test_what_is_faulty_is_written_down_and_nothing_else_is_lost(lab):
    before = held(lab)
    damage(lab)
    assert main(["data", "verify", "./lab", "--exclude-faulty"]) == 0
    written = yaml.load((lab / "dataset.yaml").read_text(), yaml.BaseLoader)["faulty"]
    by_recording = {(entry["recording"], entry.get("modality")): entry["why"] for entry in written}
    assert ("02", "eda") in by_recording
    assert "Kabel" in by_recording["02", "eda"]
    assert ("03", "temp") in by_recording
    assert [key for key in by_recording if key[0].startswith("05@")] == [("05@1", None)]
    after = held(lab)
    assert set(after) < set(before)  # ids of trials do not move when another is left out
    gone = before.keys() - after.keys()
    assert {before[id_][0] for id_ in gone} == {"04", "05"}
    assert sum(before[id_][0] == "05" for id_ in gone) == 1
    assert all(after[id_][1] == before[id_][1] - {"eda"} for id_ in after if after[id_][0] == "02")
    assert all(after[id_][1] == before[id_][1] - {"temp"} for id_ in after if after[id_][0] == "03")
    assert all(after[id_] == before[id_] for id_ in after if after[id_][0] in ("01", "06"))
    text = (lab / "dataset.yaml").read_text()
    assert main(["data", "verify", "./lab", "--exclude-faulty"]) == 0  # once more: nothing new
    assert (lab / "dataset.yaml").read_text() == text
    assert main(["data", "prepare", "./lab"]) == 0


def test_a_recording_that_is_not_there_is_no_fault(lab, capsys):
    path = lab / "dataset.yaml"
    path.write_text(path.read_text() + "\nfaulty:\n  - {recording: nobody, why: none}\n")
    assert main(["data", "verify", "./lab"]) != 0
    assert "there is no recording `nobody`" in capsys.readouterr().err


def test_released_datasets_are_not_written_into(tmp_path, capsys):
    main(["data", "synthesize", "stress_predict", "--out", str(tmp_path / "stress_predict"), "--subjects", "2"])
    assert main(["data", "verify", "stress_predict", "--data-root", str(tmp_path), "--exclude-faulty"]) == 2
    assert "own recordings" in capsys.readouterr().err


def test_who_has_a_fault_is_not_said_to_lack_recordings(tmp_path, capsys):
    layout = LAYOUTS[2]
    lay_out(tmp_path, layout)
    (tmp_path / "dataset.yaml").write_text(filled(write_draft(tmp_path)))
    (tmp_path / "P03_joy.csv").write_text("")
    assert main(["data", "verify", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "P03_joy.csv" in told
    assert "subjects have" not in told


def test_a_fault_of_no_recording_is_told_as_what_it_is(lab, capsys):
    assert main(["data", "prepare", "./lab"]) == 0
    (lab / ".embench" / "pseudonyms.json").write_text("{")
    assert main(["data", "prepare", "./lab"]) != 0
    told = capsys.readouterr().err
    assert "the key of the study's pseudonyms is damaged" in told
    assert "--exclude-faulty" not in told
