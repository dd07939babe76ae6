"""Comparison runs of requests: which runs stand beside a pretrained one, and that all of them are trained alike."""

from dataclasses import replace

import pytest

from embench.errors import UsageError
from embench.planning.pretraining import add_comparisons
from embench.planning.request import Request
from embench.records.record import public_run


def asked(dataset="stress_predict", encoder="cnn_tf", **options):
    return Request(dataset, (encoder,), **{"modalities": "eda", "device": "cpu", "recipe": "small", **options})


def rows_of(request):
    return {(row.title, *(row.request.encoders if row.request else ())): row for row in add_comparisons(request).rows}


TRAINED = ("encoder.selection=early_stop", "encoder.patience=5", "encoder.epochs=100")


def test_a_pretrained_row_and_its_comparison_runs():
    request = asked(pretrainers=("masked_value",), settings=("encoder.lr=0.01", "pretrainer.epochs=2"), seeds="0")
    found = add_comparisons(request)
    row, frozen, scratch, features = found.requests
    assert row == replace(request, settings=(*TRAINED, *request.settings))
    shared = {"pretrained": "random", "pretrainers": ()}
    assert scratch == replace(row, **shared, settings=(*TRAINED, "encoder.lr=0.01"))
    assert frozen == replace(scratch, settings=(*scratch.settings, "encoder.adapt=frozen"))
    assert features == asked(encoder="handcrafted", fusion="logreg", seeds="0")
    assert "has not fallen for 5 epochs, at most 100" in found.training


def test_what_the_user_sets_stands_in_all_rows_and_is_told():
    found = add_comparisons(asked(pretrainers=("masked_value",), settings=("encoder.epochs=3",)))
    networks = found.requests[:3]
    assert all(each.settings.index("encoder.epochs=3") > each.settings.index(TRAINED[2]) for each in networks)
    assert found.training.endswith("except for encoder.epochs=3")


@pytest.mark.parametrize(
    ("own", "frozen", "scratch"),
    [
        (("encoder.adapt=ridge",), ("encoder.adapt=ridge",), ()),
        (("encoder.frozen=true",), ("encoder.adapt=frozen",), ()),
    ],
)
def test_the_head_at_random_is_that_of_the_row(own, frozen, scratch):
    found = rows_of(asked(pretrainers=("masked_value",), settings=own))
    assert found["the same at random, frozen", "cnn_tf"].request.settings == (*TRAINED, *frozen)
    assert found["the same from scratch", "cnn_tf"].request.settings == (*TRAINED, *scratch)


def test_a_frozen_fusion_is_frozen_at_random_and_what_was_not_pretrained_stays_as_it_is():
    whole = asked(
        "wesad", "tcn", modalities="eda,ppg", fusion="shared_tf", pretrainers=("signal_transform",),
        settings=("encoder.adapt=frozen", "fusion.adapt=frozen"),
    )  # fmt: skip
    found = rows_of(whole)
    assert found["the same at random, frozen", "tcn"].request.settings[3:] == (
        "encoder.adapt=frozen",
        "fusion.adapt=frozen",
    )
    assert found["the same from scratch", "tcn"].request.settings == (
        "fusion.selection=early_stop", "fusion.patience=5", "fusion.epochs=100",
    )  # fmt: skip
    one = rows_of(asked(modalities="eda,ppg", fusion="late", pretrainers=("eda=masked_value",)))
    assert one["the same at random, frozen", "cnn_tf"].request.settings[-1] == "encoder[eda].adapt=frozen"


def test_eeg_has_the_tangent_space_and_a_face_stands_for_its_video():
    eeg = rows_of(asked("eegmat", modalities="eeg", pretrainers=("masked_value",)))
    assert ("simple features", "tangent_space") in eeg
    assert ("simple features", "handcrafted") in eeg
    both = rows_of(asked("eegmat", modalities="eeg,ecg", fusion="late", pretrainers=("masked_value",)))
    assert ("simple features", "handcrafted", "eeg=tangent_space") in both
    video = asked("amigos", "videomae", modalities="video", pretrainers=("mae",), targets="arousal")
    found = rows_of(video)
    assert found["simple features", "handcrafted"].request.modalities == "face_au"
    assert "encoder.build.weights=random" in found["the same at random, frozen", "videomae"].request.settings


def test_a_protocol_without_validation_subjects_leaves_the_schedule():
    found = add_comparisons(asked("wesad", pretrainers=("masked_value",), protocol="wu2023-last"))
    assert found.requests[0].settings == ()
    assert "no validation subjects" in found.training


def test_values_have_ridge_and_a_joined_input_its_parts():
    found = rows_of(asked("k_emocon", modalities="eda+ppg", pretrainers=("masked_value",), targets="arousal_value"))
    features = found["simple features", "handcrafted"].request
    assert (features.fusion, features.modalities) == ("ridge", "eda,ppg")


def test_what_has_no_comparison_runs_is_refused():
    for request in (asked(), asked(pretrainers=("masked_value",), pretrained="random"), asked(pretrained="random")):
        with pytest.raises(UsageError, match="requires a pretrained encoder"):
            add_comparisons(request)
    with pytest.raises(UsageError, match="do not apply to its from-scratch"):
        add_comparisons(asked(pretrainers=("masked_value",), tuned="tuning.json"))


def test_random_drops_what_pretrains_and_keeps_all_else(bench):
    plain = bench.plan("Pool", modalities="ecg", settings=("encoder.lr=0.01",))
    settings = ("encoder.lr=0.01", "pretrainer.epochs=1")
    same = bench.plan("Pool", modalities="ecg", pretrainers=("masked_value",), settings=settings, pretrained="random")
    assert (same.id, same.overlap, same.started) == (plain.id, "none", None)
    assert not any(stage.kind == "pretrain" for stage in same.graph.stages.values())
    with pytest.raises(UsageError, match="fitted on features"):
        bench.plan("handcrafted", modalities="ecg", fusion="logreg", pretrained="random")


def test_a_fusion_is_frozen_at_random_only_where_that_is_asked_for(bench):
    settings = ("encoder.adapt=frozen", "fusion.adapt=frozen")
    options = {"modalities": "ecg,eda", "fusion": "shared_tf", "settings": settings}
    with pytest.raises(UsageError, match="it is not pretrained") as refused:
        bench.plan("Pool", **options)
    assert refused.value.hint == "to freeze random initial weights: --pretrained random"
    plan = bench.plan("Pool", **options, pretrained="random")
    assert plan.method.fusion.recipe.frozen


def test_a_published_request_says_that_it_started_at_random():
    config = {"request": {"dataset": "x", "pretrained": "random", "runs": "/home/me/runs"}}
    assert public_run({"config": config})["config"]["request"] == {"dataset": "x", "pretrained": "random"}
