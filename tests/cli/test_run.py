"""`run` and `grid`: what is asked for reaches the runner, and the answer is printed."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from embench.errors import UsageError
from embench.planning.request import format_recorded_command, list_grid_points
from embench.records.record import read_manifest

BOARDS = Path(__file__).parents[2] / "leaderboards"
ENTRIES = [
    next(BOARDS.glob(f"{place}-*"))
    for place in (
        "hku956/subject-independent-v4/handcrafted-lda",
        "eegmat/subject-independent-v4/unet_se-modality_aware",
        "wearable_stress/subject-independent-v4/tcn-shared_tf",
    )
]
LINE = ("run", "--dataset", "amigos", "--encoder", "eeg=tcn", "--encoder", "ecg=cnn_tf")


def test_every_option_reaches_the_request(embench, runner):
    options = """
        --fusion late --pretrainer eeg=masked_value --pretrainer mae:k400 --modalities eeg,ecg+eda
        --target arousal,valence --protocol p.yaml --recipe small --seeds 0,4 --device cpu --data-root d --runs r
        --set fusion.lr=1e-4 --set encoder[eeg].build.depth=4 --dev --train-dataset deap --drop eda
        --label-subjects 1,2,all --label-fraction 0.1 --pretrained w.safetensors --workers 2 --observer counter
    """
    done = embench(*LINE, *options.split())
    assert done.code == 0, done.err
    (request,) = runner
    assert request.encoders == ("eeg=tcn", "ecg=cnn_tf")
    assert request.pretrainers == ("eeg=masked_value", "mae:k400")
    assert (request.fusion, request.modalities, request.targets) == ("late", "eeg,ecg+eda", "arousal,valence")
    assert (request.protocol, request.recipe, request.seeds) == ("p.yaml", "small", "0,4")
    assert type(request.recipe) is str
    assert (request.data_root, request.runs) == (Path("d"), Path("r"))
    assert request.settings == ("fusion.lr=1e-4", "encoder[eeg].build.depth=4")
    assert (request.dev, request.workers, request.observers) == (True, 2, ("counter",))
    assert (request.train_dataset, request.drop, request.label_subjects) == ("deap", "eda", "1,2,all")
    assert request.label_fraction == "0.1"
    assert (request.device, request.pretrained) == ("cpu", "w.safetensors")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_repeated_and_prints_the_command_that_does_so(embench, runner, entry):
    record = read_manifest(entry)
    assert embench("run", "--from", str(entry), "--runs", "r").code == 0
    assert embench(*shlex.split(format_recorded_command(record))[1:], "--runs", "r").code == 0
    repeated, stated = runner
    assert stated.seeds is None  # the default
    assert repeated == replace(stated, seeds=",".join(map(str, record.seeds)))
    assert repeated.dataset == record.config["request"]["dataset"]


def test_what_stands_on_the_command_line_wins_over_an_entry(embench, runner):
    embench("run", "--from", str(ENTRIES[0]), "--seeds", "1", "--protocol", "leave-one-subject-out-v4")
    (request,) = runner
    assert (request.seeds, request.protocol) == ("1", "leave-one-subject-out-v4")
    assert request.fusion == read_manifest(ENTRIES[0]).config["request"]["fusion"]


def test_a_folder_that_is_no_record_cannot_be_repeated(embench, tmp_path):
    done = embench("run", "--from", str(tmp_path))
    assert done.code == 3
    assert str(tmp_path) in done.err


def test_a_device_that_nobody_has_tried_is_said_to_be_so_once(embench, runner):
    done = embench("grid", *LINE[1:], "--label-subjects", "1,2", "--device", "mps")
    assert len(runner) > 1
    assert {request.device for request in runner} == {"mps"}
    assert done.err.count("--device mps is untested") == 1
    assert "methods_evaluated" not in embench(*LINE, "--device", "cpu").err


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="has MPS")
def test_a_device_that_is_not_there_is_named(embench):
    done = embench(*LINE, "--device", "mps")
    assert done.code == 5
    assert "no MPS device is available" in done.err


def test_a_result_fits_a_screen_question_and_score_first(embench, runner):
    done = embench(*LINE)
    assert runner
    lines = done.out.splitlines()
    assert lines[2].startswith("amigos: Films felt as arousing or calm")
    assert "  Within-subject AUROC   0.61   95 % CI 0.55 to 0.67, over subjects; chance 0.50" in lines
    rows = {line.strip().split("  ")[0]: re.split(r"  +", line.strip())[1:] for line in lines}
    assert rows["more than by chance?"] == ["yes", "AUROC 0.61 (0.55 to 0.67)"]
    assert rows["time since the start"] == ["0.70 (0.55 to 0.67)", "above this method"]
    assert rows["majority class"] == ["0.50 always"]
    assert "cost: time 2 min, parameters 1 k" in lines
    assert "files: runs/amigos/r" in lines
    assert len(lines) < 34
    assert "one class" not in done.out
    assert done.out.count("SYNTHETIC DATA") == 2


@pytest.mark.usefixtures("runner")
def test_every_score_is_printed_where_it_is_asked_for(embench):
    lines = embench(*LINE, "--all").out.splitlines()
    at = lines.index("target arousal, all scores")
    assert lines[at + 3].startswith("auroc_within *")
    assert "not applicable: movement during the scored segment: there is no accelerometer" in lines
    assert lines[at + 4].startswith("auroc ")
    assert "undefined: mcc: one class" in lines


def test_json_is_one_document_and_all_else_is_on_stderr(embench, runner):
    done = embench(*LINE, "--fusion", "late", "--json")
    assert runner
    assert json.loads(done.out)["run"] == "eeg=tcn+ecg=cnn_tf-late"
    assert "printed by a plugin" in done.err
    assert "1 stages to run" in done.err


@pytest.mark.slow
def test_json_keeps_stdout_from_libraries_and_children(tmp_path, program):
    path = tmp_path / "loud.py"
    path.write_text("import os\nprint('python')\nos.system('echo child')\nclass X: ...\n")
    done = program("run", "--dataset", f"{path}:X", "--encoder", "cnn_tf", "--json")
    assert done.code == 4
    assert done.out == ""
    assert "python" in done.err
    assert "child" in done.err


def test_dry_run_prints_the_plan_and_runs_nothing(embench, runner):
    done = embench(*LINE, "--dry-run")
    assert len(runner) == 1
    assert "dataset: amigos" in done.out
    assert "expected time: about 2 s" in done.out
    assert "warning" not in done.err
    assert json.loads(embench(*LINE, "--dry-run", "--json").out)["folds"] == [{"seed": 0, "test": 4}]


def test_dry_run_of_a_grid_prints_each_plan(embench, runner):
    line = ("grid", "--dataset", "amigos", "--encoder", "cnn_tf")
    done = embench(*line, "--fusion", "late", "--fusion", "concat", "--dry-run")
    assert [request.fusion for request in runner] == ["late", "concat"]
    assert done.out.count("dataset: amigos") == 2
    assert len(json.loads(embench(*line, "--dry-run", "--json").out)) == 1


def test_config_gives_options_and_the_command_line_wins(embench, runner, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        "dataset: amigos\nencoder: {eeg: tcn, ecg: cnn_tf}\nfusion: late\nseeds: [0, 1]\nrecipe: small\nworkers: 2\n"
        "set: {fusion.lr: 1.0e-4}\ndata_root: d\ndev: true\ntrain-dataset: deap\n"
    )
    done = embench("run", "--config", config, "--fusion", "cross_attn", "--encoder", "cnn_tf")
    assert done.code == 0, done.err
    (request,) = runner
    assert (request.dataset, request.fusion, request.encoders) == ("amigos", "cross_attn", ("cnn_tf",))
    assert (request.seeds, request.recipe, request.workers, request.dev) == ("0,1", "small", 2, True)
    assert (request.settings, request.data_root) == (("fusion.lr=0.0001",), Path("d"))
    assert request.train_dataset == "deap"
    assert embench("run", "--config", config).code == 0
    assert runner[1].encoders == ("eeg=tcn", "ecg=cnn_tf")


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("datset: amigos", "did you mean dataset"),
        ("- a", "is not a mapping"),
        ("a: [", "cannot read"),
        ("config: x", "config"),
    ],
)
def test_faults_of_a_config_are_said(embench, tmp_path, text, output):
    config = tmp_path / "run.yaml"
    config.write_text(text)
    done = embench("run", "--config", config)
    assert done.code == 2
    assert output in done.err


def test_config_values_are_checked_like_options(embench, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("dataset: amigos\nencoder: cnn_tf\nrecipe: tiny\n")
    done = embench("run", "--config", config)
    assert done.code == 2
    assert "'small'" in done.err


def test_grid_is_the_product_of_repeated_options(embench, runner):
    line = """
        grid --dataset amigos --encoder cnn_tf --encoder eeg=tcn,ecg=cnn_tf --fusion late --fusion cross_attn
        --pretrainer none --pretrainer masked_value --recipe small --seeds 0 --json
    """
    done = embench(*line.split())
    assert done.code == 0, done.err
    assert len(json.loads(done.out)) == len(runner) == 8
    assert {(r.encoders, r.fusion, r.pretrainers) for r in runner} == {
        (encoders, fusion, pretrainers)
        for encoders in (("cnn_tf",), ("eeg=tcn", "ecg=cnn_tf"))
        for fusion in ("late", "cross_attn")
        for pretrainers in ((), ("masked_value",))
    }
    assert {(r.recipe, r.seeds) for r in runner} == {("small", "0")}


def test_settings_of_one_path_are_points_and_of_several_go_together():
    axes = {"dataset": ["d"], "encoder": ["e"], "set": ["a=1", "b=5", "a=2"]}
    assert [point["settings"] for point in list_grid_points(axes)] == [("a=1", "b=5"), ("a=2", "b=5")]


def test_grid_file(embench, runner, tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(
        "dataset: [amigos, stress_predict]\nencoder: [cnn_tf, {eeg: tcn, ecg: cnn_tf}]\nseeds: [0, 1]\n"
        "set: {fusion.lr: [0.1, 0.2]}\n"
    )
    assert embench("grid", path, "--dataset", "amigos").code == 0
    assert len(runner) == 4
    assert {r.dataset for r in runner} == {"amigos"}
    assert {r.encoders for r in runner} == {("cnn_tf",), ("eeg=tcn", "ecg=cnn_tf")}
    assert {r.settings for r in runner} == {("fusion.lr=0.1",), ("fusion.lr=0.2",)}
    assert {r.seeds for r in runner} == {"0,1"}


def test_grid_needs_a_dataset_and_an_encoder(embench, tmp_path):
    with pytest.raises(UsageError, match="--encoder"):
        list(list_grid_points({"dataset": ["d"]}))
    path = tmp_path / "grid.yaml"
    path.write_text("fusin: late\n")
    done = embench("grid", path)
    assert done.code == 2
    assert "did you mean fusion" in done.err


def test_grid_with_a_run_missing_prints_the_others_and_ends_with_6(embench, runner, monkeypatch):
    from embench import errors
    from embench.runs import run as module

    grid = module.grid

    def half(requests, **options):
        done = grid(requests, **options)
        return module.GridResult(done.results[:1], {"late": errors.PluginError("it broke")})

    monkeypatch.setattr(module, "grid", half)
    done = embench("grid", "--dataset", "amigos", "--encoder", "cnn_tf", "--fusion", "single", "--fusion", "late")
    assert runner
    assert done.code == 6
    assert "CNN-Transformer" in done.out
    assert "it broke" in done.err
