"""`embench data` on generated AMIGOS files."""

import json
import re
from pathlib import Path

import pytest

import embench as bench
from embench.errors import DataError

from ..data.conftest import Server, zipped

SMALL = ["--subjects", "2", "--length-s", "12"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    from embench.cli import main

    folder = tmp_path_factory.mktemp("data")
    assert main(["data", "synthesize", "amigos", "--out", str(folder / "amigos"), *SMALL]) == 0
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("EMBENCH_DATA", raising=False)


def test_synthesize_refuses_a_folder_in_use(embench, root):
    done = embench("data", "synthesize", "amigos", "--out", root / "amigos")
    assert done.code == 2
    assert "is not empty" in done.err


def test_synthesize_refuses_an_effect_that_there_is_not(embench, tmp_path):
    assert embench("data", "synthesize", "amigos", "--out", tmp_path / "a", "--effect", "1.5").code == 2


def test_status_of_all(embench, root):
    done = embench("data", "status", "--data-root", root, "--json")
    facts = {fact["dataset"]: fact for fact in json.loads(done.out)}
    assert {"amigos", "amigos/long", "stress_predict", "deap", "wesad/chest"} <= set(facts)
    assert facts["amigos"]["state"] == "generated"
    assert facts["stress_predict"]["state"] == "missing"
    assert facts["stress_predict"]["get"] == "embench data fetch stress_predict"
    assert "EULA" in facts["deap"]["get"]
    assert all(fact["licence"] and fact["labels_public"] and fact["verified_on_real"] for fact in facts.values())


def test_status_tells_an_empty_folder_from_one_that_cannot_be_read(embench, tmp_path):
    (tmp_path / "stress_predict").mkdir()
    (tmp_path / "deap").mkdir()
    (tmp_path / "deap" / "data_preprocessed_python.zip").write_text("")
    done = embench("data", "status", "--data-root", tmp_path, "--json")
    facts = {fact["dataset"]: fact for fact in json.loads(done.out)}
    assert facts["stress_predict"]["state"] == "missing"
    assert facts["deap"]["state"] == "broken"
    assert "unpacked" in facts["deap"]["broken"]


def test_status_knows_what_was_verified(embench, tmp_path):
    line = ["--subjects", "2", "--length-s", "60", "--out", tmp_path / "wesad"]
    assert embench("data", "synthesize", "wesad", *line).code == 0
    assert "not verified" in embench("data", "status", "wesad", "--data-root", tmp_path).out
    assert embench("data", "verify", "wesad", "--data-root", tmp_path).code == 0
    [fact] = json.loads(embench("data", "status", "wesad", "--data-root", tmp_path, "--json").out)
    assert fact["verification"]["subjects"] == fact["subjects"] == 2
    assert fact["verified"].startswith(fact["verification"]["date"][:10])
    [other] = json.loads(embench("data", "status", "wesad/chest", "--data-root", tmp_path, "--json").out)
    assert other["verified"] == "not verified"


def test_a_dataset_that_cannot_be_loaded_is_a_row(embench, root, monkeypatch):
    from embench import registry
    from embench.errors import PluginError

    whole = registry.load_plugin

    def load(kind, name):
        if name == "embench_plugins/stress_predict":
            raise PluginError("dataset `stress_predict` can't be used: ModuleNotFoundError")
        return whole(kind, name)

    monkeypatch.setattr(registry, "load_plugin", load)
    done = embench("data", "status", "--data-root", root)
    assert done.code == 0, done.err
    [row] = [line for line in done.out.splitlines() if "stress_predict" in line]
    assert "broken" in row
    assert "generated" in done.out
    assert "ModuleNotFoundError" in done.err
    assert embench("data", "status", "stress_predict", "--data-root", root).code == PluginError.exit_code


def test_status_reads_the_environment(embench, root, monkeypatch):
    monkeypatch.setenv("EMBENCH_DATA", str(root))
    done = embench("data", "status", "amigos")
    assert "generated" in done.out
    assert "2 subjects" in done.out


@pytest.mark.parametrize("command", ["status", "verify", "prepare", "labels"])
def test_missing_data_say_where_and_how_to_get_them(embench, tmp_path, command):
    done = embench("data", command, "stress_predict", "--data-root", tmp_path)
    assert done.code == 3
    assert str(tmp_path / "stress_predict") in done.err
    assert "what to do: " in done.err


@pytest.mark.parametrize("as_json", [True, False])
def test_status_shows_the_card_of_missing_data(embench, tmp_path, as_json):
    done = embench("data", "status", "deap", "--data-root", tmp_path, *(["--json"] if as_json else []))
    assert done.code == 3
    assert "what to do: " in done.err
    for words in ("EULA, no redistribution", "eecs.qmul.ac.uk", "error 503", "about 3 GB", "1.6 GB in the cache"):
        assert words in done.out
    if as_json:
        [fact] = json.loads(done.out)
        assert (fact["state"], fact["hours"]) == ("missing", 22)


def test_status_of_gated_data_ends_with_open_data_for_the_same_questions(embench, tmp_path):
    fact = json.loads(embench("data", "status", "amigos", "--data-root", tmp_path, "--json").out)[0]
    first = fact["open_instead"][0]
    assert first == {
        "dataset": "case", "targets": "arousal, valence", "labels": "self-report", "signals": "ecg, eda",
        "get it": "embench data fetch case",
    }  # fmt: skip
    assert {"faced", "hku956"} <= {each["dataset"] for each in fact["open_instead"]}
    said = embench("data", "status", "amigos", "--data-root", tmp_path).out
    assert said.rstrip().splitlines()[-1].startswith("amigos")
    assert "embench data fetch case" in said
    for name in ("case", "stress_predict"):  # open themselves
        assert (
            json.loads(embench("data", "status", name, "--data-root", tmp_path, "--json").out)[0]["open_instead"] == []
        )
    every = embench("data", "status", "--data-root", tmp_path).out
    assert every.rpartition("open datasets for the same questions")[2].count("deap ") == 3


def test_status_shows_the_card_of_data_that_cannot_be_read(embench, tmp_path):
    (tmp_path / "deap").mkdir()
    (tmp_path / "deap" / "data_preprocessed_python.zip").write_text("")
    done = embench("data", "status", "deap", "--data-root", tmp_path)
    assert done.code == 3
    assert "EULA, no redistribution" in done.out
    assert done.err.count("not unpacked") == 1


def test_every_bundled_dataset_says_how_large_it_is_and_where_it_comes_from(embench, tmp_path):
    facts = json.loads(embench("data", "status", "--data-root", tmp_path, "--json").out)
    for fact in facts:
        if fact["dataset"] not in ("corpus", "own"):  # folders of one's own
            assert all(fact[name] for name in ("address", "availability", "download", "hours", "prepared")), fact


METHOD = ("--encoder", "handcrafted", "--fusion", "logreg", "--modalities", "eda")


@pytest.mark.parametrize(
    "line",
    [
        ("data", "status"),
        ("data", "status", "stress_predict"),
        ("data", "verify", "stress_predict"),
        ("data", "prepare", "stress_predict"),
        ("data", "labels", "stress_predict"),
        ("run", "--dataset", "stress_predict", *METHOD),
        ("run", "--dataset", "stress_predict", *METHOD, "--dry-run"),
        ("grid", "--dataset", "stress_predict", *METHOD),
        ("baselines", "--dataset", "stress_predict", "--modalities", "eda"),
        ("pretrain", "--corpus", "stress_predict", "--encoder", "cnn_tf", "--pretrainer", "masked_value"),
        ("score", "answers.csv", "--dataset", "stress_predict"),
        pytest.param(("doctor",), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_wrong_variable_is_named_in_one_line(embench, tmp_path, monkeypatch, line):
    monkeypatch.setenv("EMBENCH_DATA", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answers.csv").write_text("subject,recording,unit,target,score\nS1,S1,S1-0,stress,0.5\n")
    done = embench(*line)
    output = [text for text in (done.out + done.err).splitlines() if "EMBENCH_DATA=" in text]
    assert len(output) == 1, done
    assert f"EMBENCH_DATA={tmp_path / 'nowhere'} does not exist" in output[0]
    assert done.code == {"data status": 0, "doctor": 1}.get(" ".join(line), 3)


def test_a_wrong_variable_is_passed_over_where_a_folder_is_given(embench, root, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_DATA", str(tmp_path / "nowhere"))
    done = embench("data", "status", "--data-root", root)
    assert "EMBENCH_DATA" not in done.out + done.err
    assert embench("data", "verify", "amigos", "--data-root", root).code == 0


def test_folder_of_another_dataset_is_refused(embench, root, tmp_path):
    (tmp_path / "stress_predict").symlink_to(root / "amigos")
    assert embench("data", "verify", "stress_predict", "--data-root", tmp_path).code in (1, 3)


def test_verify_tells_its_findings(embench, root):
    done = embench("data", "verify", "amigos", "--data-root", root, "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["subjects"] == 2
    assert facts["synthetic"] is True
    assert set(facts["hours"]) == {"eeg", "ecg", "eda"}
    assert facts["labels"]["arousal"]["recordings"] == facts["recordings"]
    assert [len(file["sha256"]) for file in facts["files"]] == [64, 64]
    assert {"severity", "where", "what"} == set(facts["findings"][0])
    assert str(root) not in json.dumps(facts["findings"])


def test_verify_ends_with_1_and_names_the_file_that_cannot_be_used(embench, tmp_path):
    assert embench("data", "synthesize", "amigos", "--out", tmp_path / "amigos", *SMALL).code == 0
    path = sorted(tmp_path.rglob("*.mat"))[1]
    path.write_bytes(path.read_bytes()[:5000])
    done = embench("data", "verify", "amigos", "--data-root", tmp_path, "--json")
    assert done.code == 1
    facts = json.loads(done.out)
    name = path.relative_to(tmp_path / "amigos").as_posix()
    assert [f["where"] for f in facts["findings"] if f["severity"] == "error"] == [name]
    assert {file["name"]: file["findings"] for file in facts["files"]}[name] == 1
    done = embench("data", "verify", "amigos", "--data-root", tmp_path)
    assert name in done.out
    assert "1 errors" in embench("data", "status", "amigos", "--data-root", tmp_path).out


def test_verify_writes_a_report_to_mail(embench, root, tmp_path):
    done = embench("data", "verify", "amigos", "--data-root", root, "--share", tmp_path / "report.json")
    assert done.code == 0, done.err
    text = (tmp_path / "report.json").read_text()
    report = json.loads(text)
    assert report["dataset"] == "embench_plugins/amigos"
    assert len(report["recordings_by_subject"]) == 2
    assert str(root) not in text
    assert "Data_Preprocessed" not in text
    assert not re.search(r"P0[12]", text)


def test_verify_shows_that_a_share_cannot_be_written(embench, root, tmp_path):
    done = embench("data", "verify", "amigos", "--data-root", root, "--share", tmp_path / "no" / "report.json")
    assert done.code == 2
    assert "--share" in done.err


def test_fetch_of_a_gated_dataset_says_where_to_apply(embench, tmp_path):
    done = embench("data", "fetch", "amigos", "--data-root", tmp_path)
    assert done.code == 3
    assert "EULA" in done.err
    assert "http://www.eecs.qmul.ac.uk/mmv/datasets/amigos" in done.err
    assert "embench data synthesize amigos --out demo/amigos" in done.err
    assert not list(tmp_path.iterdir())


def test_fetch_tells_licence_and_citation_and_refuses_a_folder_in_use(embench, tmp_path):
    (tmp_path / "stress_predict").mkdir()
    (tmp_path / "stress_predict" / "mine.csv").write_text("1")
    done = embench("data", "fetch", "stress_predict", "--data-root", tmp_path)
    assert done.code == 2
    assert "licence: MIT" in done.out
    assert "cite: Iqbal" in done.out
    assert "mine.csv" in [path.name for path in (tmp_path / "stress_predict").iterdir()]


OPEN = """
from dataclasses import replace
from embench.interfaces.dataset import Dataset, Download
from tests.data.conftest import CARD

class Open(Dataset):
    card = replace(CARD, downloads=(Download("{url}", "open.zip", None),))
    def subjects(self): return sorted(path.name for path in self.root.iterdir())
    def files(self, subject): return []
    def recordings(self, subject): yield from ()
"""


def test_fetch(embench, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    server = Server()
    server.files["open.zip"] = zipped({"S1": "1"})
    (tmp_path / "open.py").write_text(OPEN.format(url=server.url("open.zip")))
    call = ["data", "fetch", f"{tmp_path}/open.py:Open", "--data-root", tmp_path / "root"]
    unasked = embench(*call)
    assert unasked.code == 2
    assert "CC BY 4.0" in unasked.out
    assert "--yes" in unasked.err
    assert not (tmp_path / "root").exists()
    done = embench(*call, "--yes")
    server.server.shutdown()
    assert done.code == 0, done.err
    assert "licence: CC BY 4.0" in done.out
    assert "could not be verified" in done.err
    assert [path.name for path in (tmp_path / "root").rglob("S*")] == ["S1"]


MANY = """
import hashlib
from dataclasses import replace
from embench.interfaces.dataset import Dataset, Download
from tests.data.conftest import CARD

NAMES = [f"sub-{{n}}/sub-{{n}}_{{what}}" for what in ("events.tsv", "eeg.bdf") for n in (1, 2, 3)]
SHA = hashlib.sha256(b"x" * 1_000_000).hexdigest()

class Many(Dataset):
    card = replace(CARD, downloads=tuple(Download("{url}" + n, n, SHA, 1_000_000, subject=n[:5]) for n in NAMES))
    def subjects(self): return sorted(path.name for path in self.root.iterdir())
    def files(self, subject): return []
    def recordings(self, subject): yield from ()
"""


def test_fetch_of_some_subjects(embench, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    server = Server()
    names = [f"sub-{n}/sub-{n}_{what}" for what in ("events.tsv", "eeg.bdf") for n in (1, 2, 3)]
    server.files.update(dict.fromkeys(names, b"x" * 1_000_000))
    (tmp_path / "many.py").write_text(MANY.format(url=server.url("")))
    call = ["data", "fetch", f"{tmp_path}/many.py:Many", "--data-root", tmp_path / "root", "--yes"]
    wrong = embench(*call, "--subjects", "sub-1,sub-33")
    assert wrong.code == 2
    assert "did you mean sub-3" in wrong.err
    assert not (tmp_path / "root").exists()
    some = embench(*call, "--subjects", "sub-3, sub-1")
    assert some.code == 0, some.err
    assert len([path for path in (tmp_path / "root").rglob("*") if path.is_file()]) == 4
    every = embench(*call)
    server.server.shutdown()
    assert every.code == 0, every.err
    assert "from 127.0.0.1:" in every.out
    assert "6 files, 6 MB" in every.out
    assert len(server.requests) == 6


OLD = """
from embench.interfaces.dataset import Dataset

class Old(Dataset):
    def subjects(self): return []
    def files(self, subject): return []
    def recordings(self, subject): yield from ()

    @classmethod
    def synthesize(cls, out, *, subjects, seed, effect):
        out.mkdir()
"""


def test_synthesizer_of_one_length_is_still_called(embench, tmp_path):
    (tmp_path / "old.py").write_text(OLD)
    line = ["data", "synthesize", f"{tmp_path}/old.py:Old", "--out", tmp_path / "old", "--subjects", "1"]
    done = embench(*line, "--length-s", "30")
    assert done.code == 2
    assert "--length-s" in done.err
    assert embench(*line).code == 0


def test_faces_are_drawn_where_a_dataset_has_them(embench, tmp_path):
    line = ["--subjects", "1", "--length-s", "20", "--videos"]
    assert embench("data", "synthesize", "k_emocon", "--out", tmp_path / "k_emocon", *line).code == 0
    assert (tmp_path / "k_emocon" / "debate_recordings" / "p1_20.mp4").is_file()
    done = embench("data", "synthesize", "stress_predict", "--out", tmp_path / "stress_predict", *line)
    assert done.code == 2
    assert "no face videos" in done.err


def test_what_nobody_has_is_said_in_one_line(embench, root):
    done = embench("data", "prepare", "amigos", "--data-root", root)
    assert "face_au, in all recordings: not recorded" in done.out + done.err
    assert "video, in all recordings: not recorded" in done.out + done.err


def test_prepare_once(embench, root):
    first = embench("data", "prepare", "amigos", "--data-root", root, "--json")
    assert first.code == 0, first.err
    facts = json.loads(first.out)
    assert facts["synthetic"] is True
    assert facts["subjects"] == 2
    again = embench("data", "prepare", "amigos", "--data-root", root)
    assert facts["folder"] in again.out
    assert "prepared" not in again.err


def test_unknown_protocol(embench, root):
    assert embench("data", "prepare", "amigos", "--data-root", root, "--protocol", "subject").code == 2


@pytest.mark.parametrize(
    "command", [("data", "status"), ("data", "verify", "amigos"), pytest.param(("doctor",), marks=pytest.mark.slow)]
)
def test_a_data_root_one_level_too_deep_is_said_in_a_line(embench, tmp_path, command):
    (tmp_path / "amigos" / "Data_preprocessed").mkdir(parents=True)
    done = embench(*command, "--data-root", tmp_path / "amigos")
    [line] = [line for line in (done.out + done.err).splitlines() if "use its parent folder" in line]
    assert line.rstrip().endswith(str(tmp_path))


def test_a_data_root_that_does_not_exist_is_said_once(embench, tmp_path):
    done = embench("data", "status", "--data-root", tmp_path / "nowhere")
    assert done.code == 0
    assert done.err == f"--data-root {tmp_path / 'nowhere'} does not exist\n"


def test_missing_data_that_can_be_downloaded_name_the_command(tmp_path):
    with pytest.raises(DataError, match="no data of Stress-Predict Dataset found") as caught:
        bench.run(dataset="stress_predict", encoder="handcrafted", fusion="svm", data_root=tmp_path, progress=False)
    assert f"embench data fetch stress_predict --data-root {tmp_path}" in caught.value.hint
    assert "in the folder PARENT of data_root=PARENT," in caught.value.expected
    assert "pass its folder" not in str(caught.value)


def test_the_folder_of_one_dataset_is_refused_as_data_root_with_its_parent(tmp_path):
    (tmp_path / "stress_predict" / "Raw_data").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        bench.run(
            dataset="stress_predict", encoder="handcrafted", fusion="svm", data_root=tmp_path / "stress_predict",
            progress=False,
        )  # fmt: skip
    assert f"use its parent folder: data_root={tmp_path}" in caught.value.what
    assert caught.value.hint == "correct the path"
