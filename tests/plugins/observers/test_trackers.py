"""What trackers hold after a run, read back with their own libraries."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from embench import registry
from embench.runs.run import grid
from embench.testing import check

from ...tiny.world import RULES

LIBRARIES = {
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
}

FITTED = "unimodal_seed0_fold0_arousal_eda"


def needs(name):
    for library in LIBRARIES[name]:
        pytest.importorskip(library, reason=f"{library} is not installed: pip install {library}")


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A working folder of the test's own, and a machine without any account."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def headline(result):
    score = result.scores["scores"]["arousal"]["auroc"]
    return [score[end] for end in ("mean", "low", "high")]


@pytest.mark.parametrize("name", LIBRARIES)
def test_conforms(name):
    needs(name)
    check("observer", registry.load("observer", name))


@pytest.mark.slow
def test_tensorboard_reads_curves_settings_and_scores(bench, tmp_path):
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    result = bench.run("Pool", modalities="eda", observers=("tensorboard",))
    folder = tmp_path / "tensorboard" / result.id
    fitted = EventAccumulator(str(folder / FITTED)).Reload()
    assert [point.step for point in fitted.Scalars("loss")] == [1, 2]
    assert fitted.Scalars("stage/wall_s")[0].value > 0
    whole = EventAccumulator(str(folder)).Reload()
    found = [whole.Scalars(f"arousal/auroc/{end}")[0].value for end in ("mean", "low", "high")]
    assert found == pytest.approx(headline(result))
    start = HParamsPluginData.FromString(whole.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    written = start.session_start_info.hparams
    assert written["dataset"].string_value == result.manifest["dataset"]["name"]
    assert written["preset"].string_value == "quick"


@pytest.mark.slow
def test_mlflow_holds_runs_in_a_local_file(bench, tmp_path):
    needs("mlflow")
    from mlflow import MlflowClient

    result = bench.run("Pool", modalities="eda", observers=("mlflow",))
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("embench").experiment_id])
    assert (run.info.run_name, run.info.status) == (result.id, "FINISHED")
    assert run.data.params["dataset"] == result.manifest["dataset"]["name"]
    assert [run.data.metrics[f"arousal/auroc/{end}"] for end in ("mean", "low", "high")] == headline(result)
    curve = client.get_metric_history(run.info.run_id, f"{FITTED}/loss")
    assert [point.step for point in curve] == [1, 2]


@pytest.mark.slow
def test_mlflow_marks_a_run_that_broke_off(tmp_path):
    needs("mlflow")
    code = "from embench import registry; o = registry.load('observer', 'mlflow')(); o.run_started({'id': 'r'})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("embench").experiment_id])
    assert run.info.status == "FAILED"


def records_of(file):
    """The records of W&B's file: LevelDB's log format behind seven bytes of W&B's own."""
    content, at, part = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield part
            part = b""


def offline_run(folder):
    """The file of the one offline run in a folder, with its config, history and summary."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    config, history, summary = {}, [], {}
    for record in map(Record.FromString, records_of(file)):
        config |= _values(record.run.config.update) | _values(record.config.update)
        summary |= _values(record.summary.update)
        if record.history.item:
            history.append(_values(record.history.item))
    return file, config, history, summary


def _values(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.mark.slow
def test_wandb_without_an_account_writes_an_offline_run(bench, tmp_path):
    needs("wandb")
    result = bench.run("Pool", modalities="eda", observers=("wandb",))
    file, config, history, summary = offline_run(tmp_path)
    assert file.name == f"run-{result.id}.wandb"
    assert config["dataset"] == result.manifest["dataset"]["name"]
    assert [row[f"{FITTED}/epoch"] for row in history if f"{FITTED}/loss" in row] == [1, 2]
    assert [summary[f"arousal/auroc/{end}"] for end in ("mean", "low", "high")] == headline(result)


def test_stages_of_a_grid_are_told_with_the_runs_that_need_them(bench, tmp_path):
    (tmp_path / "my_list.py").write_text(LISTENER)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**RULES, "split": {"by": "group", "folds": 2}}))
    shared = {"modalities": "ecg,eda", "observers": ("./my_list.py:Listen",), "protocol": "./mine.yaml"}
    done = grid([bench.request("Pool", fusion=fusion, **shared) for fusion in ("late", "vote")])
    done.check()
    runs = [result.id for result in done.results]
    heard = [json.loads(line) for line in Path("heard.jsonl").read_text().splitlines()]
    assert {tuple(stage["runs"]) for stage in heard if stage["kind"] == "unimodal"} == {tuple(runs)}
    assert {tuple(stage["runs"]) for stage in heard if stage["kind"] == "fusion"} == {(runs[0],)}


LISTENER = """
import json, embench

class Listen:
    @embench.hookimpl
    def stage_started(self, stage):
        with open("heard.jsonl", "a") as file:
            print(json.dumps(stage), file=file)
"""


class Absent:
    """Finds none of these libraries, as where they are not installed."""

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_reported_before_anything_else(name, bench, embench, monkeypatch):
    """Before data are prepared, even: here there are none."""
    for module in [module for module in sys.modules if module.partition(".")[0] in LIBRARIES[name]]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Absent(LIBRARIES[name]), *sys.meta_path])
    bench.data = bench.data / "nowhere"
    done = embench(*bench.line("--observer", name))
    assert done.code == 4
    assert f"pip install {name}" in done.err
    assert f"module {LIBRARIES[name][0]} is missing" in done.err
