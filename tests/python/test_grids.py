"""`embench.run_grid` and `embench.tune`: what the commands do, with objects too."""

import inspect

import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

import embench
from embench.errors import UsageError
from embench.planning.request import OPTIONS

from ..tiny.world import plugin


def small(channels, samples):  # noqa: ARG001  what every such function is given
    return nn.Sequential(nn.Conv1d(channels, 4, 9, stride=4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())


def about(bench, **more):
    return {
        "dataset": plugin("Tiny"), "data_root": bench.data, "runs": bench.runs, "protocol": bench.protocol,
        "target": "arousal", "seeds": 0, "workers": 1, "progress": False, **more,
    }  # fmt: skip


def test_a_grid_has_the_options_of_the_command():
    found = inspect.signature(embench.run_grid).parameters
    names = {option.name.replace("-", "_") for option in OPTIONS} - {"tuned"}
    assert set(found) == names | {"pretraining_comparison", "executor", "cluster", "dry_run", "progress"}
    needed = {name for name, parameter in found.items() if parameter.default is inspect.Parameter.empty}
    assert needed == {option.name for option in OPTIONS if option.required}


@pytest.mark.slow
def test_a_grid_runs_each_combination_of_names_and_objects(bench):
    pipeline = make_pipeline(SimpleImputer(), LogisticRegression())
    board = embench.run_grid(
        **about(bench), encoder=plugin("Moments"), fusion=["logreg", pipeline], modalities=["eda", "ecg,eda"]
    )
    assert len(board.results) == 4
    assert not board.failures
    frame = board.to_pandas()
    methods = frame[frame["role"] == "method"]
    assert set(methods["run"]) == {result.id for result in board.results}
    assert methods.loc[methods["reference"], "run"].tolist() == [board.results[0].id]
    assert methods["comparisons"].max() == len(board.answers) == 3
    assert all("Holm-corrected" in answer for answer in board.answers)
    assert {"difference", "reference", "(Holm)."} <= set(repr(board).split())
    alone = embench.run(**about(bench), encoder=plugin("Moments"), fusion=pipeline, modalities="eda")
    assert alone.id in {result.id for result in board.results}


@pytest.mark.slow
def test_plans_of_a_grid_have_networks_and_settings_as_axes(bench):
    networks = [
        embench.make_encoder(small, window_s=4, name="short"),
        embench.make_encoder(small, context_s=12, name="long"),
    ]
    plans = embench.run_grid(
        **about(bench), encoder=networks, modalities="eda", set={"encoder.lr": [1e-3, 1e-2]}, dry_run=True
    )
    assert len({plan.document["run"] for plan in plans}) == 4
    assert sum("short" in plan.document["run"] for plan in plans) == 2
    with pytest.raises(UsageError, match=r"embench\.run_grid has no argument"):
        embench.run_grid(**about(bench), encoder="x", lr=3)
    with pytest.raises(UsageError, match="handcraftet"):
        embench.run_grid(**about(bench), encoder=["handcraftet"], fusion="logreg")


def test_a_tuned_pipeline_is_tested_by_a_run(bench):
    where = about(bench, encoder=plugin("Moments"), fusion="logreg", modalities="eda")
    found = embench.tune(
        **where, search={"fusion.build.C": "log:1e-3..10", "fusion.class_weight": ["balanced", "none"]}, trials=3
    )
    frame = found.to_pandas()
    assert frame["trial"].tolist() == [0, 1, 2]
    assert frame["chosen"].sum() == len(found.tuning.choices) == 2
    run = embench.run(**where, tuned=found.file)
    assert run.manifest["config"]["tuned"]["trials"] == 3
    with pytest.raises(UsageError, match="cannot read"):
        embench.tune(**where, search="fusion.build.C")
