"""Comparison runs, told from records: published runs that pretrained ones are compared with, and runs that pretend to
be."""

import copy
from pathlib import Path

import pytest

from embench.records.manifest import check_manifest
from embench.records.pretraining_comparison import make_reference_keys, match_reference, pretrained_modalities
from embench.records.record import read_manifest

BOARD = Path(__file__).parents[2] / "leaderboards" / "eegmat" / "subject-independent-v4"
ROW, SCRATCH, FEATURES = "cnn_tf-single-0e70c3bbdf", "cnn_tf-single-d080ecd6dc", "handcrafted-logreg-30bf3c961a"


def published(name):
    return read_manifest(BOARD / name)


def is_reference(run, other):
    return match_reference(make_reference_keys(run), run.seeds, make_reference_keys(other), other.seeds)


def but(run, place, value):
    """A record that says something else at a place such as `config.parts.fusion.lr`."""
    content = copy.deepcopy(run.model_dump())
    at = content
    *way, last = place.replace("encoder[ecg]", "encoder").split("/")
    for name in way:
        at = at["encoder[ecg]" if name == "encoder" else name]
    at[last] = value
    return check_manifest(content, "made up")


ENCODER = "config/parts/encoder"


def test_published_runs_beside_one_that_was_pretrained():
    row = published(ROW)
    assert pretrained_modalities(row) == ["ecg"]
    assert is_reference(row, published(SCRATCH)) == "scratch"
    assert is_reference(row, published(FEATURES)) == "features"  # of seeds 0 to 9, where the row has 0 to 2
    assert is_reference(row, but(published(SCRATCH), f"{ENCODER}/frozen", True)) == "random_frozen"
    assert is_reference(published(SCRATCH), published(SCRATCH)) is None  # nothing was pretrained
    assert is_reference(row, row) is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (f"{ENCODER}/epochs", 8),  # less training
        (f"{ENCODER}/selection", "early_stop"),
        (f"{ENCODER}/lr", 1e-5),
        (f"{ENCODER}/adapt", "ridge"),
        (f"{ENCODER}/build", {"layers": 1}),  # another network or head
        (f"{ENCODER}/code", "other code"),
        (f"{ENCODER}/prepare", {"rate_hz": 64}),
        (f"{ENCODER}/view", {"kind": "window", "length_s": 2.0, "step_s": 2.0, "length": "native"}),
        (f"{ENCODER}/class_weight", "none"),
        ("config/label_fraction", 0.1),
        ("config/label_subjects", 2),
        ("config/drop", ["ecg"]),
        ("config/tuned", {"trials": 20, "choices": "x"}),
        ("config/pretrained", {"ecg": "0" * 64}),
        (f"{ENCODER}/assets", {"model.safetensors": "0" * 64}),
        ("method/pretrainers", ["masked_value"]),
        ("method/modalities", ["ecg[left]"]),
        ("method/fusion", "embench_plugins/late"),
        ("seeds", [0]),
        ("seeds", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("targets", []),
        ("dev", True),
        ("protocol/hash", "other"),
        ("dataset/fingerprint", "other"),
        ("dataset/synthetic", {"seed": 0}),
        ("card/label_rules_hash", "other"),
        ("cohort/subjects", ["Subject00"]),
        ("cost/parameters", 1000),  # the same recipe, of which weights with a config.json made another network
    ],
)
def test_a_run_from_scratch_that_is_not_alike_is_not_compared(place, value):
    if place.endswith("modalities"):
        run = published(SCRATCH)
        parts = {"encoder[ecg[left]]": run.config["parts"]["encoder[ecg]"], "fusion": run.config["parts"]["fusion"]}
        pretended = but(but(run, "config/parts", parts), place, value)
    else:
        pretended = but(published(SCRATCH), place, value)
    assert is_reference(published(ROW), pretended) is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("recipe/settings", ["fusion.build.C=1e-9"]),
        ("recipe/on_leaderboard", False),
        ("method/fusion", "embench_plugins/naive_bayes"),
        ("method/encoders", {"ecg": "embench_plugins/signal_mean"}),
        ("method/encoders", {"ecg": "other_package/handcrafted"}),
        ("method/modalities", ["ecg", "eeg"]),
        ("seeds", [0, 1]),
        ("config/label_fraction", 0.1),
        ("config/tuned", {"trials": 20, "choices": "x"}),
        ("protocol/hash", "other"),
        ("dev", True),
    ],
)
def test_features_that_are_not_the_simple_ones_on_the_same_signals_are_not_compared(place, value):
    assert is_reference(published(ROW), but(published(FEATURES), place, value)) is None


def test_the_head_at_random_is_that_of_the_row():
    row, scratch = published(ROW), published(SCRATCH)
    ridge = but(row, f"{ENCODER}/adapt", "ridge")
    assert is_reference(ridge, but(scratch, f"{ENCODER}/adapt", "ridge")) == "random_frozen"
    assert is_reference(ridge, but(scratch, f"{ENCODER}/frozen", True)) is None
    assert is_reference(ridge, scratch) == "scratch"
    frozen = but(row, f"{ENCODER}/frozen", True)
    assert is_reference(frozen, but(scratch, f"{ENCODER}/frozen", True)) == "random_frozen"
    assert is_reference(frozen, but(scratch, f"{ENCODER}/adapt", "ridge")) is None


def test_joined_channels_are_the_same_signals_and_a_face_stands_for_its_video():
    row, features = published(ROW), published(FEATURES)
    pair = but(row, "method/modalities", ["ecg+eeg"])
    pair = but(pair, "config/parts", {"encoder[ecg+eeg]": row.config["parts"]["encoder[ecg]"], "fusion": {}})
    assert is_reference(pair, but(features, "method/modalities", ["eeg", "ecg"])) == "features"
    assert is_reference(pair, features) is None
    video = but(row, "method/modalities", ["video"])
    video = but(video, "config/parts", {"encoder[video]": row.config["parts"]["encoder[ecg]"], "fusion": {}})
    assert is_reference(video, but(features, "method/modalities", ["face_au"])) == "features"
