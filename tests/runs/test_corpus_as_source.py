"""A corpus as what a run is pretrained on: refused where it does not fit, and written down where it does."""

import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from embench import registry
from embench.data.find import find_source
from embench.engine.work import run_stage
from embench.errors import UsageError
from embench.planning.plan import Plan, make
from embench.planning.request import Request
from embench_plugins.datasets.amigos.synthetic import synthesize
from embench_plugins.datasets.own.synthetic import synthesize_corpus

QUICK = ("--set", "pretrainer.epochs=1", "--set", "encoder.epochs=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Four subjects of AMIGOS with trials of 12 s, and a corpus of EEG and ECG."""
    root = tmp_path_factory.mktemp("data")
    synthesize(root / "amigos", subjects=4, seed=0, effect=1.0, length_s=12)
    synthesize_corpus(root / "corpus", subjects=4, seed=0, effect=1.0, length_s=44)
    return root


def line(data: Path, runs: Path, modality: str, *more: str) -> list[str]:
    return [
        "run", "--dataset", "amigos", "--modalities", modality, "--encoder", "cnn_tf", "--recipe", "quick", "--seeds",
        "0", "--target", "arousal", "--device", "cpu", "--workers", "1", "--data-root", str(data), "--runs", str(runs),
        "--pretrainer", "masked_value:corpus", *more,
    ]  # fmt: skip


def record(runs: Path) -> dict:
    (path,) = runs.glob("amigos/*/run.yaml")
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("command", [("run", "--encoder", "cnn_tf"), ("baselines",)])
def test_a_corpus_is_no_dataset_to_score_on(data, embench, command):
    done = embench(*command, "--dataset", "corpus", "--data-root", data)
    assert done.code == 2
    assert "corpus has no targets, only recordings for pretraining" in done.err


def test_a_corpus_has_no_labels_to_tell_of(data, embench):
    done = embench("data", "labels", "corpus", "--data-root", data)
    assert done.code == 2
    assert "has no targets" in done.err


def test_status_shows_the_folders_own_card(data, embench):
    done = embench("data", "status", "corpus", "--data-root", data)
    assert done.code == 0
    assert "A generated corpus" in done.out
    assert "CC0 1.0" in done.out


def renamed(data: Path, root: Path, old: str, new: str) -> Path:
    """The same data with another name in the corpus's layout."""
    (root / "corpus").mkdir(parents=True)
    for path in [*(data / "corpus").iterdir()]:
        if path.name != "dataset.yaml":
            (root / "corpus" / path.name).symlink_to(path)
    (root / "corpus" / "dataset.yaml").write_text((data / "corpus" / "dataset.yaml").read_text().replace(old, new))
    (root / "amigos").symlink_to(data / "amigos")
    return root


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ("{chest:", "different channels of ecg in corpus and amigos: chest"),
        ("{right:", "different channels of ecg in corpus and amigos: right"),
    ],
)
def test_other_channels_than_the_datasets_are_refused_by_name(data, tmp_path, embench, new, text):
    done = embench(*line(renamed(data, tmp_path / "data", "{left:", new), tmp_path / "runs", "ecg", *QUICK))
    assert done.code == 2
    assert text in done.err
    assert "left" in done.err


def test_a_corpus_that_holds_the_tested_subjects_files_is_said_to(data, tmp_path):
    held = (
        "recordings:\n"
        '  - files: "held/{participant}.mat"\n'
        '    signals: {emg: {channels: {x: "1"}, array: joined_data, rate: 128, unit: uV}}\n'
    )
    root = renamed(data, tmp_path / "data", "recordings:\n", held)
    (root / "corpus" / "held").mkdir()
    (root / "corpus" / "held" / "a.mat").write_bytes(next((data / "amigos").rglob("*.mat")).read_bytes())
    assert find_source("corpus", root).shares_files(find_source("amigos", root))
    assert not find_source("corpus", data).shares_files(find_source("amigos", data))
    (only,) = find_source("amigos", root).find_shared_subjects(
        find_source("corpus", root)
    )  # the others have no file in the corpus
    assert only in find_source("amigos", root).reader.subjects()
    assert find_source("amigos", data).find_shared_subjects(find_source("corpus", data)) == []


def elsewhere(data: Path, root: Path) -> Path:
    """The same corpus in a folder of its own, whatever it is called."""
    (root / "data").mkdir()
    (root / "data" / "amigos").symlink_to(data / "amigos")
    (root / "ecgs").symlink_to(data / "corpus")
    return root


def make_plan(data: Path, source: str, root: Path, modalities: str = "ecg", **options) -> Plan:
    request = Request(
        "amigos", ("cnn_tf",), pretrainers=(f"masked_value:{source}",), modalities=modalities, recipe="quick",
        seeds="0", targets="arousal", device="cpu", workers=1, data_root=data, runs=root / "runs", **options,
    )  # fmt: skip
    return make(request)


def test_a_folder_anywhere_is_a_corpus(data, tmp_path, monkeypatch):
    root = elsewhere(data, tmp_path)
    monkeypatch.chdir(root)
    named = make_plan(data, "corpus", root)
    for source in (str(root / "ecgs"), "./ecgs", "ecgs"):
        plan = make_plan(root / "data", source, root)
        assert plan.graph.stages.keys() == named.graph.stages.keys()  # the same files, the same stages
        assert plan.config["pretrainers"] == ["masked_value:corpus"]  # where links lead to, and no path
        assert plan.config["pretrained_on"] == ["embench_plugins/corpus"]
    assert find_source(str(root / "ecgs"), data).shares_files(find_source("corpus", data))
    assert not find_source(str(root / "ecgs"), data).shares_files(find_source("amigos", data))


@pytest.mark.parametrize(
    ("source", "options", "text"),
    [
        ("corpus+corpus", {}, "duplicate dataset `corpus`"),
        ("corpus+", {}, "a dataset name is missing before or after a plus sign"),
        ("corpus+amigos/all", {}, "pretraining would include test subjects"),
        ("corpus+amigos", {"settings": ("encoder.view.kind=unit",)}, "at once"),
    ],
)
def test_a_mixture_that_cannot_be_read_in_one_batch_is_refused(data, tmp_path, source, options, text):
    with pytest.raises(UsageError, match=text):
        make_plan(data, source, tmp_path, **options)


def test_two_folders_are_two_sources_whatever_they_are_called(data, tmp_path):
    root = elsewhere(data, tmp_path)
    shutil.copytree(data / "corpus", tmp_path / "more")
    plan = make_plan(root / "data", f"{root / 'ecgs'}+{root / 'more'}", root)
    (stage,) = {s.id: s for s in plan.graph.stages.values() if s.kind == "pretrain"}.values()
    assert len(stage.params.beside) == 1
    assert plan.config["pretrainers"] == ["masked_value:corpus+corpus"]


def test_a_name_of_a_dataset_is_that_dataset(data, tmp_path, monkeypatch):
    """Also where a folder of that name lies in the working folder."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "dataset.yaml").write_text("not a layout")
    monkeypatch.chdir(tmp_path)
    assert find_source("corpus", data).folder == data / "corpus"
    assert find_source("./corpus", data).folder == Path("corpus")


@pytest.mark.parametrize(
    ("text", "reader"),
    [
        ("title: hearts\n", "corpus"),
        ("title: hearts\nlabels: {}\n", "own"),
        ("{title: hearts, targets: {}}", "own"),
        ("? [a]\n: 1\n", "corpus"),
        ("title: [", "own"),
        ("[" * 400, "own"),
        ("", "own"),
        ("a: &a [*a]", "corpus"),
    ],
)
def test_a_description_without_labels_is_of_a_corpus(data, tmp_path, text, reader):
    (tmp_path / "hearts").mkdir()
    (tmp_path / "hearts" / "dataset.yaml").write_text(text)
    assert find_source(str(tmp_path / "hearts"), data).entry.name == reader
    assert find_source("hearts", tmp_path).same_data(find_source(str(tmp_path / "hearts"), data))


def test_a_labelled_folder_is_no_corpus_whatever_it_is_called(tmp_path, embench):
    registry.synthesizer("own")(tmp_path / "corpus", subjects=2, seed=0, effect=1.0, length_s=60.0)
    done = embench("data", "verify", "corpus", "--data-root", tmp_path)
    assert (done.code, "these recordings have labels" in done.err, "--dataset ./FOLDER" in done.err) == (3, True, True)


@pytest.mark.parametrize(
    ("source", "code", "output"), [("./nowhere", 3, "nowhere"), ("nowhere", 2, "no dataset has the name `nowhere`")]
)
def test_a_folder_that_is_not_there(data, tmp_path, embench, source, code, output):
    arguments = [text.replace("masked_value:corpus", f"masked_value:{source}") for text in line(data, tmp_path, "ecg")]
    done = embench(*arguments)
    assert (done.code, output in done.err) == (code, True)


def test_a_corpus_has_no_labels_to_transfer(data, tmp_path, embench):
    arguments = [t.replace("masked_value:corpus", "supervised_transfer:corpus") for t in line(data, tmp_path, "ecg")]
    done = embench(*arguments)
    assert (done.code, "learns from labels, but corpus has none" in done.err) == (2, True)


@pytest.mark.slow
class TestPretraining:
    @pytest.mark.parametrize(("modality", "subjects"), [("ecg", 2), ("eeg", 2)])
    def test_ten_of_fourteen_electrodes_and_one_of_two_leads_are_matched_by_name(
        self, data, tmp_path, embench, modality, subjects
    ):
        done = embench(*line(data, tmp_path, modality, *QUICK))
        assert done.code == 0, done.err
        content = record(tmp_path)
        assert content["pretraining_overlap"] == "none"
        (seen,) = content["pretraining"]
        assert (seen["dataset"], seen["licence"], seen["synthetic"]) == ("embench_plugins/corpus", "CC0 1.0", True)
        assert seen["subjects"] == subjects
        assert seen["hours"][modality] == pytest.approx(subjects * 44 / 3600, abs=0.001)
        assert len(seen["store"]) == 16

    def test_electrodes_beside_a_dataset_are_matched_by_name_in_any_order(self, data, tmp_path):
        """The order in which a corpus has its electrodes changes nothing in what is learned from both."""
        order = "F7, F3, T7, P7, O1, O2, P8, T8, F4, F8"
        other = ", ".join(reversed(order.split(", ")))
        weights = []
        for folder in (data, renamed(data, tmp_path / "data", order, other)):
            plan = make_plan(folder, "corpus+amigos", tmp_path, modalities="eeg", settings=QUICK[1::2])
            stage = next(s for s in plan.graph.stages.values() if s.kind == "pretrain")
            run_stage(stage, tmp_path / "stages")
            weights.append(load_file(tmp_path / "stages" / stage.id / "weights.safetensors"))
        assert stage.params.beside
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    def test_on_real_recordings(self, data, tmp_path, embench):
        samples = os.environ.get("EMBENCH_TEST_DATA")
        if not samples or not Path(samples, "physionet_samples").is_dir():
            pytest.skip("EMBENCH_TEST_DATA holds no physionet_samples: the real recordings are not here")
        root = tmp_path / "data"
        (root / "corpus").mkdir(parents=True)
        (root / "amigos").symlink_to(data / "amigos")
        for name in ("s0010_re.hea", "s0010_re.dat", "a103l.hea", "a103l.mat"):
            (root / "corpus" / name).symlink_to(Path(samples, "physionet_samples", name))
        (root / "corpus" / "dataset.yaml").write_text(
            "title: two\ncitation: PhysioNet\nlicence: ODC-By 1.0\nmains_hz: 60\nrecordings:\n"
            '  - files: "{participant:s*}.hea"\n    signals: {ecg: {channels: {left: ii}}}\n'
            '  - files: "{participant:a*}.hea"\n    signals: {ecg: {channels: {left: II}}}\n'
        )
        done = embench(*line(root, tmp_path / "runs", "ecg", *QUICK))
        assert done.code == 0, done.err
        (seen,) = record(tmp_path / "runs")["pretraining"]
        assert (seen["subjects"], seen["synthetic"], seen["licence"]) == (2, False, "ODC-By 1.0")
        assert seen["hours"]["ecg"] == pytest.approx(368.4 / 3600, abs=0.001)
