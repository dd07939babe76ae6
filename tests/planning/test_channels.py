"""Whether channels fit is one rule, whoever asks: what another dataset is trained, pretrained or started from for."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from embench import registry
from embench.engine.channels import Channel, find_channels
from embench.errors import UsageError
from embench.leaderboard.rows import describe_differences
from embench.planning.plan import make
from embench.records.manifest import check_manifest
from embench.runs.pretrain import pretrain
from embench.runs.run import run

from ..tiny.running import Bench
from ..tiny.world import make_subjects, write

BODIES = Path(__file__).with_name("bodies.py")


def body(name):
    return f"{BODIES}:{name}"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("bodies")
    for seed, dataset in enumerate(("Wrist", "Finger", "Nameless")):
        write(root, make_subjects(4), dataset=dataset, seed=seed)
    return Bench(root, root / "runs")


def request(bench, modalities, encoder="WidePool", dataset="Wrist", **options):
    return replace(bench.request(body(encoder), modalities=modalities, **options), dataset=body(dataset))


def plan(bench, *arguments, **options):
    return make(request(bench, *arguments, **options))


WAYS = {"trained": lambda of: {"train_dataset": of}, "pretrained": lambda of: {"pretrainers": (f"masked_value:{of}",)}}


@pytest.mark.parametrize("way", WAYS)
def test_the_only_channel_of_a_modality_fits_whatever_a_release_calls_it(bench, way):
    assert plan(bench, "ecg", **WAYS[way](body("Finger"))).sites == {}


@pytest.mark.parametrize("way", WAYS)
def test_another_site_is_allowed_where_it_shows_the_same_and_is_recorded(bench, way):
    assert plan(bench, "ppg", **WAYS[way](body("Finger"))).sites == {"ppg": f"{way} at the finger, tested at the wrist"}
    assert plan(bench, "ppg", **WAYS[way](body("Nameless"))).sites == {}  # nobody knows where that one was


@pytest.mark.parametrize("encoder", ["WidePool", "WideMoments"])
@pytest.mark.parametrize("source", ["Finger", "Nameless"])
def test_another_muscle_is_refused_and_so_is_one_that_nobody_names(bench, encoder, source):
    fusion = {"fusion": "logreg"} if encoder == "WideMoments" else {}
    with pytest.raises(
        UsageError, match=f"^{encoder} would read different channels of emg in {source.lower()} and wrist"
    ) as refused:
        plan(bench, "emg", encoder, train_dataset=body(source), **fusion)
    assert "{channels: {trapezius: NAME IN THE FILE}}" in str(refused.value)


def test_one_dataset_fits_itself_however_little_it_says(bench):
    assert plan(bench, "emg", dataset="Nameless", pretrainers=("masked_value",)).sites == {}


@pytest.mark.parametrize("way", WAYS)
def test_several_channels_need_the_same_names_in_the_same_order(bench, way):
    with pytest.raises(
        UsageError, match=r"^WidePool would read different channels of eda in finger and wrist: right, left"
    ) as refused:
        plan(bench, "eda", **WAYS[way](body("Finger")))
    assert "expected: left, right" in str(refused.value)
    assert "dataset.yaml" in str(refused.value)


def test_a_channel_that_is_chosen_by_name_fits_that_of_the_same_name(bench):
    assert plan(bench, "eda[left]", train_dataset=body("Finger")).fit.store.modalities["eda"].channels[1] == "left"


@pytest.mark.parametrize(
    ("options", "reader"),
    [
        ({"train_dataset": body("Nameless")}, "WidePool would be trained on"),
        ({"pretrainers": (f"masked_value:{body('Nameless')}",)}, "masked_value would learn from"),
        ({"pretrainers": (f"supervised_transfer:{body('Nameless')}",)}, "supervised_transfer would learn from"),
    ],
)
def test_a_modality_that_is_missing_is_named_with_who_wants_it(bench, options, reader):
    with pytest.raises(UsageError, match=f"^nameless has no ecg, which {reader}"):
        plan(bench, "ecg", **options)
    with pytest.raises(UsageError, match=r"^nameless has no eda\[left\], which"):
        plan(bench, "ppg,eda[left]", fusion="concat", **options)


def weights(bench, modality, dataset):
    options = {"pretrainers": ("masked_value",), "settings": ("pretrainer.epochs=1",)}
    return pretrain(request(bench, modality, dataset=dataset, **options))


@pytest.mark.slow
def test_weights_are_held_to_the_same_rule(bench):
    with pytest.raises(
        UsageError, match=r"^WidePool would read different channels of emg in weights of .*: corrugator"
    ):
        plan(bench, "emg", pretrained=weights(bench, "emg", "Finger").id)
    own = weights(bench, "emg", "Nameless").id
    assert plan(bench, "emg", dataset="Nameless", pretrained=own).sites == {}
    started = plan(bench, "ppg", pretrained=weights(bench, "ppg", "Finger").id)
    assert started.sites == {"ppg": "pretrained at the finger, tested at the wrist"}


@pytest.mark.slow
def test_the_sites_stand_in_the_record_and_on_the_row(bench):
    done = run(request(bench, "ppg", train_dataset=body("Finger")))
    words = "trained at the finger, tested at the wrist"
    assert yaml.safe_load((done.folder / "run.yaml").read_text())["sites"] == {
        "ppg": {"id": "other_sites", "steps": [["trained", ["finger"]], ["tested", ["wrist"]]]}
    }
    assert f"ppg {words}" in describe_differences(check_manifest(done.manifest, "run.yaml"))


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        (("ppg", "thumb", None), ("ppg", "bvp", None), True),
        (("ecg", "ecg", "chest"), ("ecg", "ecg", "arm"), False),
        (("ecg", "ecg", "chest"), ("ecg", "lead", None), True),
        (("acc", "x", "wrist"), ("acc", "x", "chest"), False),
        (("eeg", "Fz", None), ("eeg", "Cz", None), False),
        (("emg", "zygo", "zygomaticus"), ("emg", "zygomaticus", "zygomaticus"), True),
        (("emg", "masseter", None), ("emg", "masseter", None), True),
        (("emg", "emg", None), ("emg", "emg", None), False),
        (("ppg", "x", None), ("resp", "x", None), False),
    ],
)
def test_one_channel_fits_another(one, other, fits):
    assert Channel(*one, alone=True).fits(Channel(*other, alone=True)) is fits


def test_declared_sites_are_of_the_channels_on_the_card():
    for entry in registry.entries("dataset"):
        card = registry.load_plugin("dataset", entry.full_name).card
        for m, sites in entry.sites:
            channels = find_channels(entry.full_name, {m: card.modalities[m].channels}, m)
            assert {channel.site for channel in channels} == set(sites)
