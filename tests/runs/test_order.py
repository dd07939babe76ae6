"""Several modalities: their order is the request's at fitting and at prediction, whatever the alphabet says."""

from itertools import product

import numpy as np
import pytest

from embench import registry
from embench.engine.fits import feature_rows, load_labelled_data
from embench.engine.network import describe, load_model
from embench.engine.stage import Folder

from ..sample import sample
from ..tiny.world import plugin

COLUMNS = list(product(["Moments", "handcrafted"], ["eda,ecg", "ecg,eda"]))


@pytest.mark.parametrize(("encoder", "modalities"), sample(COLUMNS, ("Moments", "ecg,eda"), ("handcrafted", "eda,ecg")))
def test_an_estimator_gets_the_columns_it_was_fitted_on(shared, encoder, modalities):
    result = shared.run(encoder, fusion="logreg", modalities=modalities)
    plan = shared.plan(encoder, fusion="logreg", modalities=modalities)
    predictions = result.predictions
    got = {
        (fold, unit): score
        for method, fold, unit, score in zip(
            *(predictions[k] for k in ("method", "fold", "unit", "score")), strict=True
        )
        if method == "model"
    }
    assert len(got) == sum(len(a.units) for a in plan.graph.predictions) - result.scores["absent"]["arousal"]
    everything = list(range(len(plan.fit.units)))
    for prediction in plan.graph.predictions:
        stage = plan.graph.stages[plan.graph.stages[prediction.stage].inputs["fitted"]]
        assert list(stage.params.modalities) == modalities.split(",")
        # By hand: all units' features in the order that was asked for.
        data, _, train, *_ = load_labelled_data(stage)
        whole = type(stage)(stage.kind, stage.params, {}, {**stage.task, **all_units(plan, everything)}, stage.places)
        table = feature_rows(load_labelled_data(whole)[0])
        fitted = registry.load_plugin("fusion", "logreg")(
            registry.load_plugin("fusion", "logreg").recipes["quick"], stage.seed
        )
        X, y = feature_rows(data), data.y[:, 0].numpy()
        fitted.fit(X[train], y[train], np.zeros(len(train)), data.weight.numpy()[train], None)
        for i in prediction.units:
            key = (prediction.fold, plan.fit.units[i].id)
            if key in got:
                assert got[key] == pytest.approx(float(fitted.score(table[[i]])[0]), abs=1e-6)


def all_units(plan, index):
    return {
        **plan.fit.arrays(index),
        "role": np.zeros(len(index), int),
        "y": np.zeros((len(index), 1)),
    }


@pytest.mark.parametrize("fusion", ["late", "concat"])
def test_networks_are_read_back_in_their_order(shared, fusion):
    result = shared.run("Pool", fusion=fusion, modalities="eda,ecg")
    plan = shared.plan("Pool", fusion=fusion, modalities="eda,ecg")
    root = shared.runs / "stages"
    for prediction in plan.graph.predictions:
        id_ = plan.graph.stages[prediction.stage].inputs["fitted"]
        assert list(describe(Folder(root, id_)).params.modalities) == ["eda", "ecg"]
        model, specs, _ = load_model(root, id_)
        assert list(model.encoders) == list(specs) == ["eda", "ecg"]
        assert model.fusion.modalities == ("eda", "ecg")
    assert result.scores["scores"]["arousal"]


def test_order_is_part_of_what_a_stage_is(shared):
    one = shared.plan("Moments", fusion="logreg", modalities="eda,ecg")
    other = shared.plan("Moments", fusion="logreg", modalities="ecg,eda")
    assert not one.graph.stages.keys() & other.graph.stages.keys()
    assert one.id != other.id


def test_order_hardly_changes_a_symmetric_method(shared):
    """Logistic regression does not care in which order its columns come, if they are the right ones."""
    one, other = (
        shared.run("Moments", fusion="logreg", modalities=m).predictions.columns for m in ("eda,ecg", "ecg,eda")
    )
    np.testing.assert_array_equal(one["unit"], other["unit"])
    np.testing.assert_allclose(one["score"], other["score"], atol=1e-6)


@pytest.mark.parametrize("fusion", sample(["late", plugin("FragileLate")], "late"))
def test_a_joined_modality_is_one_encoder(shared, fusion):
    result = shared.run("Pool", fusion="single", modalities="ecg+eda")
    assert result.manifest["method"]["modalities"] == ["ecg+eda"]
    plan = shared.plan("Pool", fusion=fusion, modalities="ecg+eda,ecg")
    stages = [s for s in plan.graph.stages.values() if s.kind == "unimodal"]
    joined = [s for s in stages if list(s.params.modalities) == ["ecg+eda"]]
    spans = plan.fit.store.recordings
    for stage in joined:
        assert all({"ecg", "eda"} <= set(spans[r].spans) for r in stage.task["recording"])
        data, specs, *_ = load_labelled_data(stage)
        assert specs["ecg+eda"].channels == ("ecg", "left", "right")
        assert data.present.all()
