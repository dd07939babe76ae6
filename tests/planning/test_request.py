"""Options as the command line, files and Python give them, and the request that they make."""

from dataclasses import fields
from pathlib import Path

from embench.planning.request import OPTIONS, Request, make_request


def test_an_option_may_be_given_in_the_form_that_comes_easiest():
    easy = make_request(
        dataset="wesad",
        encoder="cnn_tf",
        modalities=["eda", "temp"],
        target=("stress",),
        set="encoder.lr=1e-4",
        data_root="data",
        label_subjects=2,
        observer=None,
        **{"train-dataset": "case"},
    )
    assert easy == Request(
        dataset="wesad",
        encoders=("cnn_tf",),
        modalities="eda,temp",
        targets="stress",
        settings=("encoder.lr=1e-4",),
        data_root=Path("data"),
        label_subjects="2",
        train_dataset="case",
    )


def test_settings_may_be_a_mapping():
    asked = make_request(dataset="wesad", encoder="cnn_tf", set={"encoder.lr": 1e-4, "fusion.build.C": 0.5})
    assert asked.settings == ("encoder.lr=0.0001", "fusion.build.C=0.5")


def test_every_field_of_a_request_has_its_option():
    assert sorted(option.field for option in OPTIONS) == sorted(field.name for field in fields(Request))
