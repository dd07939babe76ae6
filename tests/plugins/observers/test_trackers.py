"""What a tracker holds after a run, read back with its own library; what observers are told."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from embench.runs.run import grid

from ...tiny.world import RULES

FITTED = "unimodal_seed0_fold0_arousal_eda"


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def primary_metric(result):
    score = result.scores["scores"]["arousal"]["auroc"]
    return [score[end] for end in ("mean", "low", "high")]


@pytest.mark.slow
def test_tensorboard_reads_curves_settings_and_scores(bench, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    result = bench.run("Pool", modalities="eda", observers=("tensorboard",))
    folder = tmp_path / "tensorboard" / result.id
    fitted = EventAccumulator(str(folder / FITTED)).Reload()
    assert [point.step for point in fitted.Scalars("loss")] == [1, 2]
    assert fitted.Scalars("stage/wall_seconds")[0].value > 0
    whole = EventAccumulator(str(folder)).Reload()
    found = [whole.Scalars(f"arousal/auroc/{end}")[0].value for end in ("mean", "low", "high")]
    assert found == pytest.approx(primary_metric(result))
    start = HParamsPluginData.FromString(whole.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    written = start.session_start_info.hparams
    assert written["dataset"].string_value == result.manifest["dataset"]["name"]
    assert written["preset"].string_value == "quick"


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
    """Does not find tensorboard, as where it is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorboard":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_a_missing_library_is_reported_before_anything_else(bench, embench, monkeypatch):
    """Before data are prepared, even: here there are none."""
    for module in [module for module in sys.modules if "tensorboard" in module.split(".")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    bench.data = bench.data / "nowhere"
    done = embench(*bench.line("--observer", "tensorboard"))
    assert done.code == 4
    assert "pip install tensorboard" in done.err
    assert "module tensorboard is missing" in done.err
