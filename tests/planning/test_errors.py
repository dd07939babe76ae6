"""What is asked for wrongly, or cannot be had: the right exit code, and one message that says what to do."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from embench import registry
from embench.errors import UsageError
from embench.planning.method import resolve_method
from embench.planning.request import Request
from embench_plugins.datasets.amigos.synthetic import synthesize

from ..tiny.running import Bench
from ..tiny.world import make_subjects, plugin, write

WRONG = [
    ("--dataset amigo", "did you mean amigos"),
    ("--encoder cnn_tx", "did you mean cnn_tf"),
    ("--fusion lat", "did you mean late"),
    ("--pretrainer masked_valu --modalities ecg", "did you mean masked_value"),
    ("--pretrainer eda=masked_value --modalities ecg", "`eda` has a pretrainer but is not a modality"),
    ("--pretrainer ::x --modalities ecg", "cannot read `::x`"),
    ("--modalities ecgg", "did you mean ecg"),
    ("--modalities zzz", "`zzz` is not a known modality"),
    ("--modalities ecg,ecg", "duplicate modality"),
    ("--modalities ecg --target arousel", "did you mean arousal"),
    ("--modalities ecg --protocol subject-independent", "did you mean subject-independent-v4"),
    ("--modalities ecg --seeds one", "must be integers"),
    ("--modalities ecg --set encoder.lrr=1", "did you mean encoder.lr?"),
    ("--modalities ecg --set encoder.build.dimm=1", "did you mean encoder.build.dim?"),
    ("--modalities ecg --set encoder.dim=8", "did you mean encoder.build.dim?"),
    ("--modalities ecg --set encodr.build.dim=8", "did you mean encoder.build.dim?"),
    ("--modalities ecg --set encoder.lr=fast", "'fast' is not valid"),
    ("--modalities ecg --set encoder.optimiser=adamx", "did you mean adam"),
    ("--modalities ecg --set encoder.schedule=cosin", "did you mean cosine"),
    ("--modalities ecg --set encoder.clip=abc", "'abc' is not valid"),
    ("--modalities ecg --set encoder.epochs=2.5", "2.5 is not valid"),
    ("--modalities ecg --set encoder.batch=0", "batch is too small"),
    ("--modalities ecg --set encoder.epochs=0", "epochs is too small"),
    ("--modalities ecg --set encoder.view.kind=windw", "did you mean window"),
    ("--modalities ecg --set encoder.view.length_s=-1", "length_s is too small"),
    ("--modalities ecg --set encoder.view=5", "view.PART=value"),
    ("--modalities ecg --set encoder[eda].lr=1", "has no encoder for `eda`"),
    ("--modalities ecg --set pretrainer.lr=1", "add --pretrainer"),
    ("--modalities ecg --set lr=1", "cannot read `lr=1`"),
    ("", "2 modalities (ecg, eda) require a fusion"),
    ("--fusion single", "fusion single takes 1 modality, but the run has 2"),
    ("--fusion late --modalities ecg", "fusion late takes at least 2 modalities, but the run has 1"),
    ("--modalities ecg --drop ecg", "removes all modalities"),
    ("--modalities ecg,eda --fusion late --drop temp", "not a modality of this run"),
    ("--modalities ecg,eda --fusion late --drop each", "embench grid --drop each"),
    ("--modalities ecg --label-subjects 99", "training subjects, fewer than 99"),
    ("--modalities ecg --label-subjects 0", "a number of at least 1, or all"),
    ("--modalities ecg --label-subjects ²", "a number of at least 1, or all"),
    ("--modalities ecg --label-subjects 1,2", "embench grid"),
    ("--modalities ecg --label-fraction 10%", "above 0 and at most 1"),
    ("--modalities ecg --label-fraction 0", "above 0 and at most 1"),
    ("--modalities ecg --label-fraction 0.1,0.5", "embench grid"),
    ("--modalities ecg --label-fraction nan", "above 0 and at most 1"),
    ("--modalities ecg --train-dataset amigo", "did you mean amigos"),
    ("--encoder eda=cnn_tf --modalities ecg", "`eda` has an --encoder but is not a modality"),
]


@pytest.mark.parametrize(("options", "text"), WRONG)
def test_wrong_arguments_end_with_2_and_the_nearest_right_name(shared, embench, options, text):
    arguments = options.split()
    own = {} if "--encoder" not in arguments else {"encoder": None}
    if "--dataset" in arguments:
        own["dataset"] = arguments.pop(arguments.index("--dataset") + 1)
        arguments.remove("--dataset")
    done = embench(*shared.line(*arguments, **own))
    assert done.code == 2, done.err
    assert text in done.err
    assert "Traceback" not in done.err
    assert not done.out


@pytest.mark.parametrize(
    ("encoder", "fusion", "text"),
    [
        (
            "handcrafted",
            "late",
            "requires an encoder that returns one token per sample and reads signals",
        ),
        ("handcrafted", "logreg", "fitted on features, and pretraining does not change them"),
    ],
)
def test_a_pretrainer_that_does_not_fit_names_what_is_missing(shared, embench, encoder, fusion, text):
    done = embench(*shared.line("--fusion", fusion, "--pretrainer", "masked_value", encoder=encoder))
    assert done.code == 2
    assert text in done.err


def test_wrong_words_and_parts_that_do_not_fit_are_named_together(shared, embench):
    done = embench(*shared.line("--modalities", "ecg", "--target", "arousel", "--fusion", "late"))
    assert done.code == 2
    assert done.err.startswith("wrong arguments: 2 faults\n  1. tiny has no target `arousel`")
    assert "\n  2. fusion late takes at least 2 modalities" in done.err
    assert done.err.endswith("what to do: correct all of them; for what fits: embench list --matrix\n")


@pytest.mark.parametrize("encoder", ["handcrafted", "unet_se"])
def test_a_pulse_wave_at_a_rate_without_beats_is_refused_before_data_are_read(embench, tmp_path, encoder):
    bench = Bench(tmp_path / "nothing", tmp_path / "runs")
    options = ("--protocol", "wu2023", "--modalities", "ppg", "--encoder", encoder)
    done = embench(*bench.line(*options, encoder=None, dataset="wesad"))
    assert (done.code, "finds no heartbeats in ppg at 4 Hz" in done.err) == (2, True), done.err


def test_an_encoder_that_does_not_read_a_modality():
    card = registry.load_plugin("dataset", "amigos").card
    with pytest.raises(UsageError, match="does not read video"):
        resolve_method(Request("amigos", modalities="video"), card, ["video"], "cpu")


def test_wrong_names_are_said_before_data_are_read(embench, tmp_path):
    bench = Bench(tmp_path / "nothing", tmp_path / "runs")
    done = embench(*bench.line("--modalities", "ecg", "--fusion", "lat"))
    assert (done.code, "did you mean late" in done.err) == (2, True)


def test_settings_reach_the_recipe_with_their_kind(shared):
    settings = ("encoder[ecg].lr=1e-4", "encoder.betas=[0.5,0.9]", "encoder.clip=2", "encoder.view.length_s=5",
                "encoder.build.dim=8", "encoder.selection=early_stop")  # fmt: skip
    plan = shared.plan("Pool", modalities="ecg", settings=settings)
    recipe = plan.method.encoders["ecg"].recipe
    assert (recipe.lr, recipe.betas, recipe.clip, recipe.view.length_s) == (1e-4, (0.5, 0.9), 2.0, 5.0)
    assert (recipe.build["dim"], recipe.selection) == (8, "early_stop")
    assert isinstance(recipe.clip, float)


def test_a_setting_may_repeat_what_the_recipe_says(shared):
    options = {"modalities": "ecg", "pretrainers": ("masked_value",)}
    plan = shared.plan("Pool", **options)
    same = f"pretrainer.batch={plan.method.pretraining[0].part.recipe.batch}"
    assert shared.plan("Pool", settings=(same,), **options).id == plan.id


# Data.


def test_a_missing_folder_says_where_it_was_looked_for_and_how_to_get_it(embench, tmp_path):
    bench = Bench(tmp_path / "nothing", tmp_path / "runs")
    done = embench(*bench.line("--encoder", "cnn_tf", "--fusion", "late", encoder=None, dataset="amigos"))
    assert done.code == 3
    assert str(tmp_path / "nothing" / "amigos") in done.err
    assert "embench data synthesize amigos" in done.err
    assert "EULA" in done.err


def test_a_folder_of_another_dataset(embench, six, tmp_path):
    (tmp_path / "amigos").symlink_to(six / "Tiny")
    bench = Bench(tmp_path, tmp_path / "runs")
    done = embench(*bench.line("--encoder", "cnn_tf", "--fusion", "late", encoder=None, dataset="amigos"))
    assert done.code == 3
    assert ".npz" in done.err
    assert "Data_Preprocessed_P01.mat" in done.err


@pytest.fixture(scope="session")
def amigos(tmp_path_factory):
    root = tmp_path_factory.mktemp("generated")
    synthesize(root / "amigos", 4, 0, 1.0, length_s=12.0)
    return root


@pytest.mark.parametrize("kept", [0.9, 0.3, 0.0])
def test_a_truncated_file_is_named(embench, amigos, tmp_path, kept):
    shutil.copytree(amigos, tmp_path / "data")
    (path,) = (tmp_path / "data").rglob("*P02.mat")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    bench = Bench(tmp_path / "data", tmp_path / "runs")
    options = ("--encoder", "handcrafted", "--modalities", "eda", "--fusion", "logreg")
    done = embench(*bench.line(*options, encoder=None, dataset="amigos"))
    assert done.code == 3, done.err
    assert path.name in done.err
    assert "unpack it again" in done.err
    assert not (tmp_path / "runs").exists()


def test_channels_that_are_nan_are_left_out_and_the_run_goes_on(tmp_path):
    """A recording whose ECG was lost has no ECG; one with a lost channel of EDA neither has EDA."""
    data = write(tmp_path, make_subjects(4))
    path = tmp_path / "Tiny" / "p01.npz"
    with np.load(path) as file:
        content = dict(file)
    content["p01-v0 ecg"][:] = np.nan
    content["p01-v1 eda"][0] = np.nan
    np.savez(path, **content)
    plan = Bench(data, tmp_path / "runs").plan(fusion="concat")
    reasons = {(row["recording"], row["modality"]): row["reason"] for row in plan.test.store.excluded}
    assert ("p01-v0", "ecg") in reasons
    spans = {entry.id: entry.spans for entry in plan.test.store.recordings}
    assert "ecg" not in spans["p01-v0"]
    assert np.isfinite(plan.test.store.array("eda")).all()


def test_no_weights_of_that_name(shared, embench, tmp_path):
    done = embench(*shared.line("--modalities", "ecg", "--pretrained", "nowhere"))
    assert (done.code, "cannot find the weights `nowhere`" in done.err) == (3, True)
    other = tmp_path / "w.pt"
    other.write_bytes(b"")
    done = embench(*shared.line("--modalities", "ecg", "--pretrained", other))
    assert (done.code, "not a safetensors file" in done.err) == (2, True)
    assert "embench weights convert" in done.err


def test_one_subject_cannot_be_split(embench, tmp_path):
    bench = Bench(write(tmp_path, make_subjects(1)), tmp_path / "runs")
    done = embench(*bench.line("--modalities", "ecg"))
    assert done.code == 2
    assert "cannot be split" in done.err


def test_nobody_to_validate_on_under_dev(embench, tmp_path):
    bench = Bench(write(tmp_path, make_subjects(2)), tmp_path / "runs")
    done = embench(*bench.line("--modalities", "ecg", "--dev"))
    assert done.code == 3
    assert "--dev requires validation subjects" in done.err


def test_a_gpu_that_is_not_there(shared, embench, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = shared.line("--modalities", "ecg")
    line[line.index("--device") + 1] = "cuda"
    done = embench(*line)
    assert (done.code, "no CUDA device" in done.err) == (5, True)


@pytest.mark.parametrize(("fusion", "kind", "n"), [("logreg", "value", 2), ("svm", "value", 2)])
def test_an_estimator_refuses_targets_that_it_does_not_answer(shared, monkeypatch, fusion, kind, n):
    tiny = registry.load_plugin("dataset", plugin("Tiny"))
    other = replace(tiny.card.targets[0], name="level", kind=kind, n=n)
    monkeypatch.setattr(tiny, "card", replace(tiny.card, targets=(tiny.card.targets[1], other)))
    with pytest.raises(UsageError, match="cannot predict values, and level requires this") as refused:
        shared.plan("Moments", fusion=fusion, targets="valence,level")
    assert "two classes or several classes" in str(refused.value)
    assert "--target valence" in str(refused.value)
    with pytest.raises(UsageError, match="choose another fusion: --fusion ridge"):
        shared.plan("Moments", fusion=fusion, targets="level")


def test_paths_of_plugins_stay_out_of_names(shared):
    plan = shared.plan("Pool", modalities="ecg")
    assert plan.id.startswith("Pool-single-")
    assert plan.folder.parent == shared.runs / "Tiny"
    assert os.sep not in plan.id
