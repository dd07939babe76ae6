"""A stage's typed parameters have one plain form, which ids are made of and files hold."""

import json
import pickle
from dataclasses import replace

import pytest

from embench.engine.stage import (
    Common,
    FitParams,
    FusionParams,
    Part,
    PredictParams,
    PretrainParams,
    SourceSpec,
    Stage,
    fitted_params,
    without_rule,
)
from embench.files import digest
from embench.interfaces.recipe import Recipe
from embench.interfaces.units import LabelRule, Target, View

RECIPE = Recipe(view=View("window", 10.0), build={"width": 8})
ENCODER = Part("embench/pool", "c0de", RECIPE, {"torch": "2"}, {"w.bin": "5ha"})
FUSION = Part("embench/late", "f00d", Recipe(layer_decay=0.5))
COMMON = Common(1, {"torch": "2"}, "cpu", 1, 0, 3, SourceSpec("store", 12.0, 8.0, "baseline", (0.0, 4.0), ("face_au",)))
TARGET = without_rule(Target("stress", "classes", LabelRule(), "stress", 3, (1.0, 3.0)))

ALL = {
    "engine": 1,
    "libraries": {"torch": "2"},
    "device": "cpu",
    "threads": 1,
    "seed": 0,
    "fold": 3,
    "source": {
        "store": "store",
        "longest_s": 12.0,
        "shortest_s": 8.0,
        "normalise": "baseline",
        "rest": [0.0, 4.0],
        "filled": "behind",
        "keep_level": ["face_au"],
    },
}
BY_HAND = {
    "encoder": "embench/pool",
    "code": "c0de",
    "recipe": RECIPE.to_mapping(),
    "libraries": {"torch": "2"},
    "assets": {"w.bin": "5ha"},
}
FUSION_BY_HAND = {"name": "embench/late", "code": "f00d", "recipe": FUSION.recipe.to_mapping()}
TARGETS = [{"name": "stress", "kind": "classes", "n": 3}]
NET = FitParams(
    COMMON, modalities={"eda": ENCODER}, recipe=RECIPE, targets=(TARGET,), weights={"eda": "5ha"}, every_epoch=True
)
BOTH = {"eda": ENCODER, "bvp": ENCODER}
FUSED = FusionParams(COMMON, modalities=BOTH, recipe=FUSION.recipe, targets=(TARGET,), fusion=FUSION, inputs="tokens")
CASES = {
    "predict": (PredictParams(COMMON, ("eda",)), {**ALL, "drop": ["eda"]}),
    "unimodal": (
        NET,
        {
            **ALL,
            "targets": TARGETS,
            "every_epoch": True,
            "modalities": {"eda": BY_HAND},
            "recipe": RECIPE.to_mapping(),
            "weights": {"eda": "5ha"},
        },
    ),
    "fusion": (
        FUSED,
        {
            **ALL,
            "targets": TARGETS,
            "modalities": {"eda": BY_HAND, "bvp": BY_HAND},
            "order": ["eda", "bvp"],
            "fusion": FUSION_BY_HAND,
            "recipe": FUSION.recipe.to_mapping(),
            "inputs": "tokens",
        },
    ),
    "pretrain": (
        PretrainParams(
            replace(COMMON, fold=None, source=replace(COMMON.source, rest=None, keep_level=())),
            modalities={"eda": ENCODER},
            recipe=RECIPE,
            pretrainer=FUSION,
            step=1,
        ),
        {
            **{key: value for key, value in ALL.items() if key not in ("fold", "source")},
            "source": {
                "store": "store",
                "longest_s": 12.0,
                "shortest_s": 8.0,
                "normalise": "baseline",
                "filled": "behind",
            },
            "modalities": {"eda": BY_HAND},
            "order": ["eda"],
            "pretrainer": FUSION_BY_HAND,
            "fusion": None,
            "recipe": RECIPE.to_mapping(),
            "targets": [],
            "step": 1,
        },
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_stage_has_the_id_of_its_parameters_written_by_hand(kind):
    params, by_hand = CASES[kind]
    inputs = {"fitted": "a stage"}
    stage = Stage(kind, params, inputs)
    assert stage.id == digest({"kind": kind, "params": by_hand, "inputs": inputs, "task": {}})[:20]
    assert pickle.loads(pickle.dumps(stage)).id == stage.id


@pytest.mark.parametrize("kind", CASES)
def test_the_file_of_a_stage_has_them_in_the_order_of_old(kind):
    params, by_hand = CASES[kind]
    assert json.dumps(params.plain()) == json.dumps(by_hand)


@pytest.mark.parametrize("params", [NET, FUSED], ids=["unimodal", "fusion"])
def test_what_predicts_reads_a_fitted_stage_back_as_it_was(params):
    assert fitted_params(json.loads(json.dumps(params.plain()))) == params
