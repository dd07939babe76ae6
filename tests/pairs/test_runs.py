"""Mixtures that only the whole engine can prove, from the command line to the record: other encoders for other
modalities, joined modalities, one network for targets of all kinds, subjects who lack a modality."""

import json
from pathlib import Path

import numpy as np
import pytest

from embench import registry
from embench.records.predictions import Predictions

from .declared import ALL

MIXED = "--modalities eeg,ecg,eda --encoder eeg=unet_se --encoder ecg=cnn_tf --encoder eda=tcn"
JOINED = "--modalities eeg,ecg+eda --encoder eeg=unet_se --encoder ecg+eda=cnn_mlp"
FILMED = (
    "--modalities video,ecg+eda --encoder video=videomae --encoder ecg+eda=cnn_mlp --set encoder[video].view.step_s=4"
)
JOINT = "--set fusion.targets=joint"

METHODS = [
    (f"{MIXED} --fusion late", "high"),
    (f"{MIXED} --fusion late {JOINT}", ALL),
    (f"{MIXED} --fusion cross_attn {JOINT}", ALL),
    (f"{MIXED} --fusion modality_aware {JOINT}", ALL),
    (f"{MIXED} --fusion forest", "high"),
    (f"{MIXED} --fusion vote", ALL),
    (f"{MIXED} --fusion concat --pretrainer ecg=masked_value", "level"),
    (f"{JOINED} --fusion late {JOINT}", ALL),
    (f"{JOINED} --fusion cross_attn {JOINT}", ALL),
    ("--modalities ecg+eda --encoder tcn", "rating"),
    ("--modalities ecg,eda --encoder handcrafted --encoder eda=tcn --fusion shared_tf", "high"),
    (f"{FILMED} --fusion cross_attn --pretrainer video=mae {JOINT}", ALL),
    (f"{FILMED} --fusion forest", "level"),
]
UNITS = {"eeg": 18, "video": 18, "ecg": 15, "ecg+eda": 6}
"""How many are answered, by the first modality: EEG and films are there in all three recordings of six people; ECG in
two of each, and EDA in those of half of the people; ECG and EDA together in two recordings of half of the people."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One folder for all, so that a stage is run once."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "targets"), METHODS)
def test_everybody_who_has_any_of_the_modalities_is_answered(world, runs, embench, method, targets):
    arguments = "--recipe quick --seeds 0 --device cpu --workers 1 --json --set fusion.epochs=1"
    words = method.split()
    fusion = registry.load_plugin("fusion", words[words.index("--fusion") + 1]) if "--fusion" in words else None
    if getattr(fusion, "inputs", None) != "tokens":
        arguments += " --set encoder.epochs=1"
    places = ["--data-root", world, "--runs", runs, "--target", targets]
    done = embench("run", "--dataset", "lacking", *method.split(), *arguments.split(), *places)
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert set(document["scores"]) == set(targets.split(","))
    predictions = Predictions.read(Path(document["folder"]) / "predictions.csv.gz")
    for target in targets.split(","):
        own = predictions.take((predictions["method"] == "model") & (predictions["target"] == target))
        assert len(own["unit"]) == len(set(own["unit"].tolist())) == UNITS[method.split()[1].split(",")[0]]
        columns = ("score_0", "score_1", "score_2") if target == "level" else ("score",)
        assert all(np.isfinite(own[name]).all() for name in columns)
