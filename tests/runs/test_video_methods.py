"""The methods of faces on generated AMIGOS and DEAP, as one asks for them: VideoMAE after its pretext task, frames one
by one, action units that answer heart and skin, the other dataset's labels first."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from embench.engine import fits
from embench.planning.plan import make
from embench.planning.request import Request
from embench.records import record
from embench_plugins import torchvision_shim
from embench_plugins.datasets.amigos import synthetic
from embench_plugins.datasets.deap import synthetic as deap

from ..sample import WHOLE, drawn
from ..tiny.world import few_folds

pytestmark = pytest.mark.slow

FILMED = {
    "amigos": {f"P{p:02d}_V{v}" for p in range(1, 5) for v in synthetic.SHORT} - {"P02_V23", "P03_V30"},
    "deap": {f"s{p:02d}_E{e:02d}" for p in range(1, 5) for e in range(1, 41)} - {"s02_E19", "s03_E23"},
}
"""Recordings that are seen. Of AMIGOS's P02 a film is missing, and P03 has a trial without any signal; of DEAP's s02
one film has a header that cannot be right, and s03 has a trial that was not filmed."""

STEP = "--set encoder.view.step_s=4"
"""`quick` shows a clip every 20 s, and DEAP's films here are of 8 s."""

BODY_AND_FACE = {"amigos": "ecg+eda,face_au", "deap": "ppg+eda,face_au"}
TRIED = [*FILMED] if WHOLE else drawn(FILMED)[:1]
"""`make rates` tries both."""
LONGEST_S = 28.0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four subjects of each, with faces."""
    root = tmp_path_factory.mktemp("made")
    synthetic.synthesize(root / "amigos", 4, 0, 1.0, length_s=LONGEST_S, videos=True)
    deap.synthesize(root / "deap", 4, 0, 1.0, length_s=11.0, videos=True)
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One folder for all, so that a stage is run once."""
    return tmp_path_factory.mktemp("runs")


def places(made, folder):
    few = ["--protocol", few_folds(made, 2), "--seeds", "0", "--recipe", "quick"]
    return ["--data-root", made, "--runs", folder, "--device", "cpu", "--workers", "1", *few]


@pytest.fixture
def embench_run(made, runs, embench):
    """Runs a line of options; the record that it leaves."""

    def call(line, folder=runs):
        done = embench("run", *line.split(), *places(made, folder), "--json")
        assert done.code == 0, done.err
        return record.read_record(Path(json.loads(done.out)["folder"]))

    return call


def predicted_recordings(found, target="arousal"):
    rows = found.predictions
    own = rows.take((rows["method"] == "model") & (rows["target"] == target))
    assert len(own["unit"]) == len(set(own["unit"].tolist()))
    return set(own["recording"].tolist())


@pytest.mark.parametrize("dataset", TRIED)
def test_videomae_after_mae(dataset, embench_run, tmp_path):
    step = STEP if dataset == "deap" else ""
    line = f"--dataset {dataset} --modalities video --encoder videomae --pretrainer mae --target arousal {step}"
    found = embench_run(line, tmp_path)
    assert predicted_recordings(found) == FILMED[dataset]
    run = found.run
    assert run["dataset"]["synthetic"]["effect"] == 1.0
    assert (run["pretraining_overlap"], run["recipe"]["on_leaderboard"]) == ("none", False)
    (seen,) = run["videos"]
    assert (seen["dataset"], seen["recordings"], seen["left_out"]) == (dataset, len(FILMED[dataset]), [])
    assert 0 <= seen["without_face"] < 0.05 * seen["stretches"]  # the drawn faces can be found
    stages = [json.loads(path.read_text()) for path in (tmp_path / "stages").glob("*/result.json")]
    manifests = [stage["manifest"] for stage in stages if "manifest" in stage]
    assert len(manifests) == len({row["fold"] for row in found.folds})
    for manifest in manifests:
        assert manifest["labels"] == "none"
        assert manifest["hours"]["video"] > 0
        assert len(manifest["subjects"]) < 4  # a fold's training subjects


@pytest.mark.parametrize("dataset", TRIED)
def test_timm_frames(dataset, embench_run):
    found = embench_run(f"--dataset {dataset} --modalities video --encoder timm_frames --target arousal")
    assert predicted_recordings(found) == FILMED[dataset]
    assert found.run["cost"]["parameters"] > 50_000


@pytest.mark.parametrize("dataset", TRIED)
def test_action_units_answer_heart_and_skin(dataset, embench_run, runs):
    """Of whole recordings, in eight layers of eight heads; one network answers both targets."""
    found = embench_run(
        f"--dataset {dataset} --modalities {BODY_AND_FACE[dataset]} --encoder cnn_mlp --fusion cross_attn "
        "--set fusion.build.layers=8 --set fusion.build.heads=8"
    )
    # Who was not filmed is answered from heart and skin.
    all_subjects = FILMED[dataset] | ({"P02_V23"} if dataset == "amigos" else {"s02_E19", "s03_E23"})
    assert predicted_recordings(found) == predicted_recordings(found, "valence") == all_subjects
    weights = sorted((runs / dataset / found.run["id"] / "weights").iterdir())
    assert len(weights) == len({row["fold"] for row in found.folds})
    for file in weights:
        state = load_file(file)
        layers = {name.split(".")[2] for name in state if name.startswith("fusion.layers.")}
        assert layers == {str(n) for n in range(8)}
        assert state["fusion.head.linear.bias"].shape == (2,)


VIEWS = {
    "native": ((), 155.0),  # the longest that AMIGOS has
    "common": (("encoder.view.length=common",), 0.75 * LONGEST_S),  # the shortest that is here
    "cut": ([f"encoder.view.{part}" for part in ("kind=window", "length_s=10", "step_s=10")], 10.0),
}


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_read_of_a_recording_is_a_setting_and_who_is_scored_is_not(view, made, runs, embench_run):
    settings, seconds = VIEWS[view]
    options = "--dataset amigos --modalities ecg+eda,face_au --encoder cnn_mlp --fusion cross_attn"
    found = embench_run(options + "".join(f" --set {setting}" for setting in settings))
    assert predicted_recordings(found) == predicted_recordings(found, "valence") == FILMED["amigos"] | {"P02_V23"}
    arguments = {"recipe": "quick", "seeds": "0", "device": "cpu", "workers": 1, "settings": tuple(settings)}
    arguments["protocol"] = few_folds(made, 2)
    plan = make(
        Request(
            "amigos", ("cnn_mlp",), "cross_attn", modalities="ecg+eda,face_au", data_root=made, runs=runs, **arguments
        )
    )
    assert plan.id == found.run["id"]
    fitted = next(stage for stage in plan.graph.stages.values() if stage.kind == "fusion")
    data, specs, *_, grid = fits.load_labelled_data(fitted)
    rate = float(plan.method.encoders["ecg+eda"].recipe.prepare["rate_hz"])
    assert {m: (spec.shape[1], spec.rate) for m, spec in specs.items()} == {
        "ecg+eda": (pytest.approx(rate * seconds, abs=1), rate), "face_au": (pytest.approx(18 * seconds, abs=1), 18.0),
    }  # fmt: skip
    units = [plan.test.units[at] for at in plan.test.eligible]
    each = 1 if view != "cut" else 2  # of 21 to 28 s
    assert data.size == each * len(set(grid.unit.tolist()))
    assert {round(unit.stop - unit.start) for unit in units} <= set(range(21, 29))


def test_videomae_starts_from_weights_then_clips_of_both_then_the_other_sets_labels(embench_run, tmp_path):
    """The last row of the paper's table of pretraining, in small: the test subjects are in none of it."""
    torchvision_shim.settle()
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    sizes = {"image_size": 32, "patch_size": 8, "num_frames": 4, "hidden_size": 64, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "intermediate_size": 256, "decoder_hidden_size": 32}
    sizes |= {"decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2, "decoder_intermediate_size": 128}
    VideoMAEForPreTraining(VideoMAEConfig(**sizes)).save_pretrained(tmp_path / "weights")
    found = embench_run(
        f"--dataset deap --modalities video --encoder videomae --target arousal {STEP} --pretrainer mae:amigos "
        f"--pretrainer mae --pretrainer supervised_transfer:amigos --set encoder.build.weights={tmp_path / 'weights'}"
    )
    assert predicted_recordings(found) == FILMED["deap"]
    assert found.run["pretraining_overlap"] == "unknown"  # nobody knows whom a folder of weights has seen
    assert {seen["dataset"]: seen["recordings"] for seen in found.run["videos"]} == {
        dataset: len(names) for dataset, names in FILMED.items()
    }
    outside = found.run["pretraining"]
    assert {(row["dataset"], row["subjects"]) for row in outside} == {("embench_plugins/amigos", 4)}
    assert all(row["synthetic"] for row in outside)


@pytest.mark.parametrize(("dataset", "source"), [("amigos", "deap"), ("deap", "amigos")])
def test_videomae_learns_the_other_sets_labels_first(dataset, source, embench_run):
    method = f"--dataset {dataset} --modalities video --encoder videomae --target valence"
    found = embench_run(f"{method} --pretrainer supervised_transfer:{source}")
    assert predicted_recordings(found, "valence") == FILMED[dataset]
    assert found.run["pretraining_overlap"] == "none"
    (row,) = found.run["pretraining"]
    assert (row["dataset"], row["subjects"], row["targets"]) == (f"embench_plugins/{source}", 4, ["valence"])


def test_a_network_of_faces_stands_beside_its_comparison_runs(made, runs, embench, tmp_path):
    """The same network at random, frozen and from scratch, and simple features of the face; of weights in a folder,
    and after a pretext task."""
    torchvision_shim.settle()
    from transformers import VideoMAEConfig, VideoMAEModel

    sizes = {"image_size": 32, "patch_size": 8, "num_frames": 4, "tubelet_size": 2, "hidden_size": 64}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256, "use_mean_pooling": False}
    VideoMAEModel(VideoMAEConfig(**sizes)).save_pretrained(tmp_path / "weights")
    line = "--dataset amigos --modalities video --encoder videomae --target arousal --set encoder.epochs=1"
    compared = {}
    for pretrained in (f"--set encoder.build.weights={tmp_path / 'weights'}", "--pretrainer mae"):
        done = embench(
            "run", *line.split(), *pretrained.split(), *places(made, runs), "--pretraining-comparison", "--json"
        )
        assert done.code == 0, done.err
        (found,) = json.loads(done.out)["pretraining_comparison"]
        compared[pretrained] = [(each["kind"], each["method"], each["run"]) for each in found["differences"]]
    one, other = compared.values()
    assert one == other  # they are those of the network, whatever it started from
    assert [(kind, method) for kind, method, _ in one] == [
        ("random_frozen", "videomae + single"), ("scratch", "videomae + single"), ("features", "handcrafted + logreg"),
    ]  # fmt: skip
