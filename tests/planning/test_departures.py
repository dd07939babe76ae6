"""What a run says of the papers of its plugins: settings that differ from theirs, and those that they leave open."""

import pytest

from embench import registry
from embench.errors import UsageError
from embench.planning.method import assumed_fields, departures, resolve_names
from embench.planning.request import Request
from embench.protocols import load_protocol
from embench.screen import plan_text, run_plan


def method(encoder="cnn_tf", fusion="cross_attn", modalities="eda,ecg", recipe="quick", *settings, **more):
    """A method on AMIGOS, whose files are not needed."""
    card = registry.load_plugin("dataset", "amigos").card
    request = Request("amigos", (encoder,), fusion, modalities=modalities, recipe=recipe, settings=settings, **more)
    return resolve_names(request, card, list(card.modalities), "cpu")


def departs(*of, protocol="subject-independent-v4", **more):
    found = departures(method(*of, **more), "amigos", load_protocol(protocol))
    return None if found is None else {(each["field"], each["source"]): (each["paper"], each["used"]) for each in found}


def test_a_small_recipe_departs_from_the_papers_of_its_plugins():
    found = departs()
    assert found["fusion.build.layers", "strizhkova2024"] == (8, 2)
    assert found["fusion.lr", "strizhkova2024"] == (None, 1e-3)  # which the paper leaves open
    assert found["encoder.build.widths", "vazquez2022"] == ([64, 128, 256], [16, 32, 32])  # of both encoders
    assert ("encoder.lr", "vazquez2022") not in found  # the fusion trains them
    assert found["protocol.preprocess", "vazquez2022"] == ("vazquez2022", "standard-v1")
    assert found["protocol.normalise", "strizhkova2024"] == ("recording_unlabelled", "subject_unlabelled")


def test_the_recipe_of_the_paper_departs_by_what_is_set():
    of = ("cnn_mlp", "cross_attn", "ecg[left]+eda", "paper")
    assert departs(*of, protocol="strizhkova2024") == {}
    found = departs(*of, "fusion.build.layers=2", protocol="strizhkova2024")
    assert found == {("fusion.build.layers", "strizhkova2024"): (8, 2)}
    found = departs(
        "cnn_mlp", "cross_attn", "ecg,eda", "paper", "encoder[eda].build.tokens=50", protocol="strizhkova2024"
    )
    assert list(found) == [("encoder[eda].build.tokens", "strizhkova2024")]


def test_a_setting_departs_as_it_can_be_set_and_its_assumed_value_is_not_the_papers(monkeypatch):
    found = departs("tcn", "single", "eda", "small")
    sizes = [found["encoder.build.head", "wu2023"][i]["width"] for i in (0, 1)]
    assert sizes == [128, 64]
    assert not any(field.count(".") > 2 for field, _ in found)
    changed = ("tcn", "single", "eda", "paper", "encoder.prepare.lowpass_hz={eda: 2.0}")
    departed = ("encoder.prepare.lowpass_hz", "wu2023")
    assert departs(*changed)[departed] == (None, {"eda": 2.0})
    plugin = registry.load_plugin("encoder", "tcn")
    stated, whole = (plugin.recipes["paper"].replace(assumed=names) for names in ((), ("prepare",)))
    monkeypatch.setattr(plugin, "recipes", {"paper": stated})
    assert departs(*changed)[departed] == ({"eda": 1.0, "temp": 0.5}, {"eda": 2.0})
    monkeypatch.setattr(plugin, "recipes", {"paper": whole})
    assert departs(*changed)[departed] == (None, {"eda": 2.0})


def test_features_of_a_paper_have_no_training_to_depart_in():
    assert departs("handcrafted", "svm", "ecg", "paper", protocol="strizhkova2024") == {}
    found = departs("handcrafted", "svm", "ecg", "quick", protocol="strizhkova2024")
    assert {field for field, _ in found} == {"fusion.class_weight", "fusion.build.impute", "fusion.build.pca"}
    assert departs("signal_mean", "logreg", "ecg", "small") is None  # no plugin has a paper


def test_what_papers_leave_open_does_not_depend_on_the_recipe():
    named = {recipe: assumed_fields(method(recipe=recipe)) for recipe in ("paper", "small", "quick")}
    assert named["paper"] == named["small"] == named["quick"]
    assert {"encoder.build.padding", "fusion.lr"} <= set(named["quick"])
    assert "encoder.batch" not in named["quick"]  # the fusion trains them


def test_a_plan_shows_each_setting_that_differs_and_the_query_modality():
    quick = method()
    found = departures(quick, "amigos", load_protocol("strizhkova2024"))
    text = plan_text(run_plan({"departs": found, "query": quick.query}))
    assert "query modality: ecg" in text
    assert "settings that differ from the papers, strizhkova2024: " in text
    assert "fusion.build.layers 2 (8)" in " ".join(text.split())


def test_a_pretrainer_departs_as_well():
    found = departs("cnn_tf", "single", "ecg", "small", pretrainers=("masked_value",), protocol="vazquez2022")
    assert any(field.startswith("pretrainer.") for field, _ in found)


@pytest.mark.parametrize(
    ("modalities", "ordered"),
    [
        ("eda,ecg", ("ecg", "eda")),
        ("ecg,eda", ("ecg", "eda")),
        ("eeg,eda,ecg[left]", ("ecg[left]", "eda", "eeg")),
        ("eda,eeg+ecg", ("eda", "eeg+ecg")),
    ],
)
def test_the_query_modality_does_not_depend_on_the_order_in_which_modalities_are_typed(modalities, ordered):
    found = method(modalities=modalities)
    assert (found.query, found.modalities, tuple(found.encoders)) == (ordered[0], ordered, ordered)
    assert method(fusion="concat", modalities=modalities).modalities == tuple(modalities.split(","))
    assert method(fusion="concat", modalities=modalities).query is None


def test_the_query_modality_can_be_set():
    assert method("cnn_tf", "cross_attn", "ecg,eda", "quick", "fusion.build.query=eda").modalities == ("eda", "ecg")
    with pytest.raises(UsageError, match="eeg cannot provide the queries"):
        method("cnn_tf", "cross_attn", "ecg,eda", "quick", "fusion.build.query=eeg")
