"""What encoders read: windows that fit their units, and the lengths, rates and shapes that a plan prints."""

import json

import numpy as np
import pytest
from torch import nn

import embench
from embench.errors import UsageError
from embench.interfaces.recording import Signal
from embench.interfaces.units import View
from embench.screen import run_plan

from ..tiny.world import plugin


def pooled(channels, samples):  # noqa: ARG001  what every such function is given
    return nn.Sequential(nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(4 * channels, 4))


def planned(bench, encoder, **more):
    return embench.run(
        dataset=plugin("Tiny"), data_root=bench.data, runs=bench.runs, encoder=encoder, modalities="ecg",
        target="arousal", seeds=0, device="cpu", dry_run=True, progress=False, **more,
    ).document["inputs"]  # fmt: skip


@pytest.mark.parametrize("length_s", [12.5, 30, 600])
def test_a_window_longer_than_all_units_is_refused_with_both_lengths_and_the_remedy(shared, length_s):
    with pytest.raises(UsageError) as refused:
        shared.plan("Pool", modalities="ecg", settings=(f"encoder.view.length_s={length_s}",))
    message = str(refused.value)
    assert f"windows of {length_s:g} s, but units of tiny last at most 12 s" in message
    assert "--set encoder.view.kind=context" in message


def test_the_remedy_works_and_a_window_as_long_as_the_longest_unit_does(shared):
    context = ("encoder.view.kind=context", "encoder.view.length_s=30")
    assert shared.plan("Pool", modalities="ecg", settings=context).method.encoders["ecg"].recipe.view.length_s == 30
    shared.plan("Pool", modalities="ecg", settings=("encoder.view.length_s=12",))


def test_several_encoders_are_named_with_their_modality(shared):
    settings = ("encoder[eda].view.length_s=40",)
    with pytest.raises(UsageError, match="40 s, but units") as refused:
        shared.plan("Pool", modalities="ecg,eda", fusion="late", settings=settings)
    assert "--set encoder[eda].view.kind=context" in str(refused.value)


def test_a_length_that_changes_nothing_is_refused(shared):
    with pytest.raises(UsageError, match="reads whole units, so a length of 30 s changes nothing"):
        shared.plan("handcrafted", modalities="ecg", fusion="logreg", settings=("encoder.view.length_s=30",))
    shared.plan(
        "handcrafted",
        modalities="ecg",
        fusion="logreg",
        settings=("encoder.view.length_s=30", "encoder.view.kind=context"),
    )


def test_a_network_from_python_is_refused_alike(shared):
    with pytest.raises(UsageError, match="windows of 30 s, but units of tiny last at most 12 s") as refused:
        planned(shared, embench.make_encoder(pooled, window_s=30))
    assert (refused.value.where, refused.value.hint) == ("modality ecg, window_s=30 of pooled", "context_s=30")
    with pytest.raises(UsageError, match="windows of 30 s") as refused:  # the setting decides, not the argument
        planned(shared, embench.make_encoder(pooled), set={"encoder.view.length_s": 30})
    assert refused.value.hint == 'set={"encoder.view.kind": "context"}'
    with pytest.raises(UsageError, match="windows of 30 s, but units") as refused:
        planned(shared, plugin("Pool"), set={"encoder.view.length_s": 30})
    assert refused.value.hint == 'set={"encoder.view.kind": "context"}'


@pytest.mark.parametrize(("name", "title"), [(plugin("Pool"), "Pool"), ("cnn_tf", "cnn_tf"), ("tcn", "tcn")])
def test_lengths_and_rate_of_an_encoder_are_arguments(name, title):
    """The first reads signals as they are, the others resample them where their recipe says so, or always."""
    signal = Signal(np.zeros((1, 1280), np.float32), 128.0, ("eda",), "uS", modality="eda")
    found = embench.configure_encoder(name, context_s=30, rate_hz=16)
    assert found.__name__ == f"{title}-context30-rate16"
    for recipe in found.recipes.values():
        assert recipe.view == View("context", 30.0)
        assert (found(recipe).reads, found(recipe).stream(signal).data.shape) == ("stream", (1, 160))
    assert embench.configure_encoder(name, window_s=4).recipes["small"].view == View("window", 4.0, 4.0)


def test_a_plan_has_an_encoder_with_other_lengths(shared):
    (row,) = planned(shared, embench.configure_encoder(plugin("Pool"), context_s=30, rate_hz=16))
    assert (row["encoder"], row["context_s"], row["shape"]) == ("Pool-context30-rate16", 30, "1 x 480")


def test_lengths_hold_on_datasets_with_settings_of_their_own():
    found = embench.configure_encoder("cnn_tf", context_s=30, rate_hz=16)
    recipes = [recipe.apply_dataset("stress_predict") for recipe in found.recipes.values()]
    assert {(recipe.view.kind, recipe.view.length_s, recipe.prepare["rate_hz"]) for recipe in recipes} == {
        ("context", 30.0, 16)
    }
    with pytest.raises(UsageError, match="Handcrafted does not read signals at a rate"):
        embench.configure_encoder("handcrafted", rate_hz=4)


def test_a_plan_says_what_an_encoder_reads(shared):
    row = {"modality": "ecg", "encoder": "pooled", "window_s": None, "step_s": None, "context_s": None}
    assert planned(shared, embench.make_encoder(pooled, window_s=4)) == [
        {**row, "window_s": 4.0, "step_s": 4.0, "rate_hz": 128.0, "shape": "1 x 512"}
    ]
    assert planned(shared, embench.make_encoder(pooled, context_s=30, rate_hz=16)) == [
        {**row, "context_s": 30.0, "rate_hz": 16.0, "shape": "1 x 480"}
    ]


def test_info_of_a_dataset_names_the_rates(embench):
    (found,) = json.loads(embench("info", "stress_predict", "--json").out)
    assert found["rates"]["eda"] == "4 Hz (read at 128 Hz)"


def test_a_plan_speaks_of_papers_only_where_they_leave_something_open():
    assert list(run_plan({"assumed": []})) == []
    [part] = run_plan({"assumed": ["encoder.lr"]})
    assert part.text == "settings that the papers leave open: encoder.lr"
