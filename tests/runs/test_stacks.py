"""`--stack`: networks of folds, seeds and targets that are trained as one are those that are trained alone."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from embench.engine import loop
from embench.engine.stage import STACK, alone
from embench.errors import UsageError
from embench.runs.memory import permute_labels

from ..tiny.running import Bench, command

PLAIN = {"encoder": "handcrafted", "modalities": "eda", "targets": "arousal,valence"}
"""A network that draws nothing, which stops early: of two targets in each fold."""


def scores(result):
    rows = pd.read_csv(result.folder / "predictions.csv.gz")
    return rows.set_index(["method", "target", "seed", "fold", "unit"])["score"]


def of_kind(bench, kind):
    found = [json.loads(path.read_text()) | {"path": path.parent} for path in bench.runs.glob("stages/*/stage.json")]
    return [stage for stage in found if stage["kind"] == kind]


def test_stacked_networks_are_those_that_are_trained_alone(bench):
    lone, stacked = bench.run(**PLAIN), bench.run(**PLAIN, stack=4)
    assert lone.id != stacked.id
    assert stacked.manifest["config"]["stack"] == 4
    one, other = scores(lone), scores(stacked)
    np.testing.assert_allclose(other[one.index], one, atol=2e-5)
    for path in (lone.folder / "weights").iterdir():
        pairs = load_file(path), load_file(stacked.folder / "weights" / path.name)
        for name, weights in pairs[0].items():
            np.testing.assert_allclose(pairs[1][name], weights, atol=1e-4)
    history = [pd.read_csv(r.folder / "history.csv").sort_values(["fold", "target", "epoch"]) for r in (lone, stacked)]
    assert history[0]["epoch"].tolist() == history[1]["epoch"].tolist()
    np.testing.assert_allclose(history[0]["val_loss"], history[1]["val_loss"], rtol=1e-4)
    assert max(len(stage["params"]["members"]) for stage in of_kind(bench, STACK)) == 4


@pytest.mark.slow
def test_a_stack_that_was_stopped_goes_on_to_the_same_bytes(bench, tmp_path, monkeypatch):
    options = {"encoder": "Early", "modalities": "eda", "stack": 3}
    whole = scores(bench.run(**options))
    again, epochs = Bench(bench.data, tmp_path / "again", protocol=bench.protocol), []
    conclude = loop.conclude_epoch

    def stop(*arguments):
        epochs.append(1)
        if len(epochs) == 5:
            raise KeyboardInterrupt
        conclude(*arguments)

    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", -1.0)
    monkeypatch.setattr(loop, "conclude_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        again.run(**options)
    monkeypatch.setattr(loop, "conclude_epoch", conclude)
    assert [stage for stage in of_kind(again, STACK) if (stage["path"] / "checkpoint.pt").is_file()]
    pd.testing.assert_series_equal(scores(again.run(**options)), whole)


def test_one_member_that_fails_does_not_stop_the_others(bench, capsys, monkeypatch):
    check, seen = loop.check_loss, []

    def second_diverges(loss, epoch):
        seen.append(loss)
        check(float("nan") if len(seen) == 2 else loss, epoch)

    monkeypatch.setattr(loop, "check_loss", second_diverges)
    options = ["--modalities", "eda", "--target", "arousal", "--stack", "3"]
    done = command(capsys, *bench.line(*options))
    assert done.code == 4
    assert "the training loss became nan in epoch 1" in done.err
    members = [stage for stage in of_kind(bench, "unimodal") if STACK in stage["inputs"]]
    assert sum((stage["path"] / "result.json").is_file() for stage in members) == len(members) - 1


def test_a_damaged_stack_is_made_again(bench):
    first = scores(bench.run(modalities="eda", stack=3))
    (stack,) = of_kind(bench, STACK)
    next(stack["path"].glob("*/weights.safetensors")).write_bytes(b"damaged")
    for stage in of_kind(bench, "unimodal"):
        (stage["path"] / "result.json").unlink()
    with pytest.warns(UserWarning, match="made again"):
        again = bench.run(modalities="eda", stack=3)
    pd.testing.assert_series_equal(scores(again), first)


def test_permuted_labels_reach_the_stack(bench):
    planned = bench.plan(modalities="eda", stack=3)
    stages = permute_labels(planned, 0).graph.stages
    assert len(stages) == len(planned.graph.stages)
    assert not set(stages) & set(planned.graph.stages)
    for stage in stages.values():
        if STACK in stage.inputs:
            assert alone(stage).id in {one.id for one in stages[stage.inputs[STACK]].params.members}


def test_hidden_layers_and_their_fusion_are_stacked_in_turn(bench):
    kinds = [stage.kind for stage in bench.plan(fusion="late", stack=9).graph.stages.values()]
    assert kinds.count(STACK) == 3
    assert kinds.index("fusion") > kinds.index("unimodal")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoder": "Moments", "fusion": "logreg"}, "no two networks"),
        ({"modalities": "eda", "stack": 1}, "stack of 1"),
    ],
)
def test_what_cannot_be_stacked_is_refused(bench, options, words):
    with pytest.raises(UsageError, match=words):
        bench.plan(**{"stack": 3, **options})


def test_statistics_of_a_batch_are_refused(bench, capsys):
    options = ["--modalities", "ecg,eda", "--target", "arousal", "--fusion", "modality_aware", "--stack", "3"]
    done = command(capsys, *bench.line(*options))
    assert done.code == 2
    assert "statistics of a batch" in done.err
    assert "leave out --stack" in done.err
