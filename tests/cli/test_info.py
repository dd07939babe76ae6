"""`embench info`: recipes as paths of `--set`, and how an encoder reads a dataset."""

import json

import pytest

from embench import registry
from embench.planning.parts import apply_settings

PRESETS = ("paper", "small", "quick")


def document(embench, *arguments):
    done = embench("info", *arguments, "--json")
    assert done.code == 0, done.err
    [found] = json.loads(done.out)
    return found


@pytest.mark.parametrize("name", ["cnn_tf", "logreg", "cross_attn", "masked_value", "handcrafted"])
def test_recipes_fit_the_terminal(embench, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "100")
    done = embench("info", name)
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 100
    assert "recipes" in done.out


def test_the_matrix_of_what_goes_with_what_fits_80_columns(embench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = embench("list", "--matrix")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    document = json.loads(embench("list", "--matrix", "--json").out)
    assert document["reads"]["unet_se"] == ["eeg", "ecg", "ppg"]
    assert document["under"]["single"]["signal_transform"] == "-"
    assert embench("list", "encoder", "--matrix").code == 2


def test_a_card_says_which_other_units_reach_a_prediction(embench):
    names = ("cnn_tf", "handcrafted", "cross_attn", "logreg", "tcn")
    found = {name: document(embench, name)["time_context"] for name in names}
    assert found == {**dict.fromkeys(names, "unit"), "tcn": "causal"}  # which reads the minute that ends with the unit
    assert "time_context" not in document(embench, "masked_value")


def test_a_recipe_that_was_used_shows_its_settings_alone(embench):
    first = document(embench, "masked_value")["recipes"]
    for recipe in registry.load_plugin("pretrainer", "masked_value").recipes.values():
        recipe.to_mapping()  # what every plan of it asks for
    assert document(embench, "masked_value")["recipes"] == first


def test_settings_are_shown_as_set_takes_them_with_their_values(embench):
    lines = embench("info", "cnn_tf").out.splitlines()
    assert next(line.split() for line in lines if line.startswith("--set ")) == ["--set", *PRESETS]
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("encoder.")}
    assert rows["encoder.lr"] == ["0.0001", "0.001", "0.001"]
    assert rows["encoder.build.layers"] == ["2", "1", "1"]
    assert rows["encoder.build.widths"] == ["[64,128,256]", "[16,32,32]", "[16,32,32]"]
    assert rows["encoder.prepare.rate_hz"] == ["-", "32", "32"]
    assert rows["encoder.view.length_s"] == ["10.0", "10.0", "10.0"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_setting_shown_can_be_set_to_the_value_shown(embench, preset):
    from embench.cli.listing import _text
    from embench.engine.stage import Part
    from embench.planning.parts import Method

    recipe = registry.load_plugin("encoder", "cnn_tf").recipes[preset]
    part, fusion = (
        Part("cnn_tf", "", recipe),
        Part("single", "", registry.load_plugin("fusion", "single").recipes[preset]),
    )
    method = Method(("eda",), {"eda": part}, fusion, "unimodal", "tokens", (), preset, "cpu")
    shown = document(embench, "cnn_tf")["recipes"][preset]
    assert len(shown) > 25
    for path, value in shown.items():
        assert apply_settings(method, [f"{path}={_text(value)}"]).encoders["eda"].recipe == recipe, path


def test_recipes_on_a_dataset_and_how_the_encoder_reads_it(embench):
    found = document(embench, "cnn_tf", "--dataset", "stress_predict")
    assert found["recipes"]["small"]["encoder.epochs"] == 8
    reading = found["reading"]
    assert reading["modalities"]["ppg"] == {
        "channels": "bvp",
        "recorded": "64 Hz",
        "read": "16 Hz",
        "band": "0.5 to 8 Hz",
    }
    assert "ecg" in reading["lacking"]
    assert reading["not_read"] == []
    out = embench("info", "unet_se", "--dataset", "amigos").out.replace("\n", " ")
    assert "modalities of amigos that the encoder does not read: eda, face_au, video" in out
    assert "modalities that the encoder accepts and amigos lacks: ppg" in out


def test_which_channels_a_network_gets_of_a_dataset_and_in_which_band(embench):
    """None of it needs the library that builds the network."""
    wide = ("--protocol", "subject-independent-wide-eeg-v1")
    reading = document(embench, "reve", "--dataset", "amigos", *wide)["reading"]
    assert reading["modalities"]["eeg"]["read"] == "200 Hz"
    assert reading["modalities"]["eeg"]["band"] == "4 to 45 Hz", "a higher rate adds no band"
    of_pairs = document(embench, "biot", "--dataset", "eegmat", *wide)["reading"]
    assert of_pairs["modalities"]["eeg"]["band"] == "0.5 to 45 Hz"
    assert list(of_pairs["channels"]["eeg"]["read"])[:2] == ["Fp1-F7", "F7-T7"]
    assert of_pairs["channels"]["eeg"]["left_out"] == ["Fz", "Cz", "Pz"]
    out = embench("info", "biot", "--dataset", "amigos").out.replace("\n", " ")
    assert (
        "the encoder cannot read eeg: biot reads differences of electrodes, and Fp1, Fp2, C3, P3, C4, P4 are missing"
        in out
    )
    assert "order of the network" not in embench("info", "eegnet", "--dataset", "amigos").out, (
        "it reads them as they are"
    )


def test_a_dataset_of_which_the_encoder_reads_nothing(embench):
    done = embench("info", "videomae", "--dataset", "stress_predict")
    assert done.code == 0
    assert "the encoder accepts no modality of stress_predict" in done.out.replace("\n", " ")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("logreg", "--dataset", "amigos"), "logreg is a fusion; only encoders read datasets"),
        (("cnn_tf", "--dataset", "amigoz"), "did you mean amigos"),
        (("cnn_tf", "--dataset", "amigos", "--protocol", "nonsense"), "nonsense"),
    ],
)
def test_mistakes(embench, line, words):
    done = embench("info", *line)
    assert done.code == 2
    assert words in done.err


def test_protocols_are_listed_and_described_in_words_like_plugins(embench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    out = embench("list", "protocol").out
    assert "No subject is in both training and test." in out
    listed = {line.split()[0] for line in out.splitlines() if line}
    assert "subject-independent-v4" in listed
    rows = {row["name"]: row for row in json.loads(embench("list", "protocol", "--json").out)}
    assert (rows["subject-independent-v4"]["leaks"], rows["wu2023"]["leaks"]) == ("no", "yes")
    found = document(embench, "subject-independent-v4")
    assert found["folds"].startswith("5 folds of subjects")
    for kind, share in (("class", "auroc"), ("continuous", "concordance")):
        assert f"for {kind} targets: {share}_crossed_matched for tasks in one fixed order, " in found["primary_metric"]
        moments = f"{share}_crossed_moment for labels that vary within a shared stimulus"
        assert f"{share}_crossed for stimuli that subjects share, {moments}" in found["primary_metric"]
    assert found["a method reads of test subjects"] == "all signals, without labels"
    assert document(embench, "wu2023")["leaks"] == "the epoch is chosen by the test score"


def test_one_package_is_named_below_the_list_and_takes_no_column(embench):
    out = embench("list").out
    assert out.count("embench_plugins 0.1.0") == 1
    assert "protocols: embench list protocol" in out


def test_several_packages_are_a_column(embench, acme):
    assert acme
    head = embench("list", "encoder").out.splitlines()[1]
    assert "package" in head


def test_known_weights_are_listed_with_their_licence_and_what_they_saw(embench):
    weights = {row["weights"]: row for row in document(embench, "mantis")["weights"]}
    assert weights["paris-noah/MantisV2@COMMIT"]["licence"] == "MIT"
    assert weights["paris-noah/MantisV2@COMMIT"]["saw"] == "none (declared)"
    assert weights["paris-noah/Mantis-8M@COMMIT"]["saw"] == "undisclosed"
    assert "seed unlabelled" in document(embench, "labram")["weights"][0]["saw"]
    assert "weights" not in document(embench, "cnn_tf")
    assert "known weights" in embench("info", "mantis").out
