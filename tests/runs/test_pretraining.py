"""`embench pretrain`, what starts from its weights, and chains of pretraining."""

import json
import shutil
from importlib.metadata import version

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from embench.data.find import find_source
from embench.engine.work import run_stage
from embench.errors import CheckFailed, UsageError
from embench.leaderboard.entries import explain_unpublishable
from embench.planning.graph import Setting, locate_data, make_external_stage
from embench.planning.request import Request
from embench.planning.weights import list_data_seen, load_source
from embench.records import record
from embench.records.manifest import Manifest
from embench.runs.pretrain import pretrain
from embench.store.fingerprint import SYNTHETIC

from ..sample import sample
from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, plugin, with_sources, write

OTHER, KINDS, TINY = plugin("Other"), plugin("Kinds"), plugin("Tiny")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    root = with_sources(tmp_path_factory.mktemp("two"))
    return Bench(root, root / "runs", protocol=few_folds(root))


def request_for(bench, corpus=OTHER, pretrainer="masked_value", encoder="Pool", **options):
    defaults = {"recipe": "quick", "device": "cpu", "workers": 1, "modalities": "ecg", **options}
    return Request(
        corpus, (plugin(encoder),), pretrainers=(pretrainer,), data_root=bench.data, runs=bench.runs, **defaults
    )


def pretrained(bench, *arguments, seed=0, **options):
    return pretrain(request_for(bench, *arguments, **options), seed)


def line(bench, *more, corpus=OTHER, pretrainer="masked_value"):
    return [
        "pretrain", "--encoder", plugin("Pool"), "--pretrainer", pretrainer, "--corpus", corpus, "--modalities", "ecg",
        "--recipe", "quick", "--device", "cpu", "--data-root", bench.data, "--runs", bench.runs, *more,
    ]  # fmt: skip


def mended(two, tmp_path):
    """The same data with an empty runs folder."""
    return Bench(two.data, tmp_path / "runs", protocol=two.protocol)


def test_a_run_finds_what_the_command_trained(two, tmp_path, embench):
    bench = mended(two, tmp_path)
    done = embench(*line(bench, "--json"))
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert len(bench.stages()) == 1
    again = embench(*line(bench))
    assert again.code == 0
    assert "0 stages to run, 1 already done" in again.err
    assert f"use the weights with: {document['use']}" in again.out
    assert len(bench.stages()) == 1
    plan = bench.plan("Pool", modalities="ecg", pretrainers=(f"masked_value:{OTHER}",))
    assert {id_ for id_, s in plan.graph.stages.items() if s.kind == "pretrain"} == bench.stages()
    bench.run("Pool", modalities="ecg", pretrainers=(f"masked_value:{OTHER}",), dev=True)
    assert len([s for s in bench.stages() if s in plan.graph.stages]) > 1


def test_the_manifest_says_what_was_seen(two, tmp_path):
    result = pretrained(mended(two, tmp_path), KINDS, "supervised_transfer", modalities="ecg,eda")
    manifest = record.read_sealed(result.folder / "manifest.yaml")
    assert manifest == json.loads(json.dumps(result.manifest))
    (seen,) = manifest["seen"]
    assert (seen["dataset"], seen["labels"], seen["targets"]) == (
        find_source(KINDS, None).full_name,
        "source",
        ["arousal"],
    )
    assert seen["subjects"] == [f"p{n:02d}" for n in range(5)]
    assert seen["hours"] == {m: pytest.approx(5 * 6 * 30 / 3600, abs=1e-3) for m in ("ecg", "eda")}
    assert (seen["licence"], seen["synthetic"], manifest["synthetic"]) == ("MIT", False, False)
    assert manifest["channels"] == {"ecg": ["ecg"], "eda": ["left", "right"]}
    assert (manifest["scope"], manifest["modalities"], manifest["fusion"]) == ("encoder", ["ecg", "eda"], None)
    assert manifest["pretrainer"]["plugin"] == "embench_plugins/supervised_transfer"
    assert manifest["encoders"]["ecg"]["code"]
    assert manifest["versions"]["torch"] == version("torch")
    names = set(load_file(result.folder / "weights.safetensors"))
    assert {name.split(".")[1] for name in names} == {"ecg", "eda"}
    assert all(name.startswith("encoders.") for name in names)  # the heads are gone


def test_the_dry_run_trains_nothing(two, tmp_path, embench):
    bench = mended(two, tmp_path)
    done = embench(*line(bench, "--dry-run", "--json", pretrainer="supervised_transfer"))
    assert done.code == 0, done.err
    about = json.loads(done.out)
    assert (about["subjects"], about["stages"], about["found"]) == (5, 1, 0)
    assert about["targets"] == ["arousal", "valence"]
    assert not bench.stages()


def test_what_is_asked_for_wrongly_is_refused(two, embench):
    for arguments, text in (
        ({"pretrainer": f"masked_value:{KINDS}"}, "names more than a pretrainer"),
        ({"pretrainer": "ecg=masked_value"}, "names more than a pretrainer"),
        ({"pretrainer": "masked_valu"}, "did you mean masked_value"),
        ({"pretrainer": "signal_transform"}, "trains the complete model"),
        ({"corpus": "nothing"}, "no dataset has the name `nothing`"),
    ):
        done = embench(*line(two, **arguments))
        assert (done.code, text in done.err) == (2, True), done.err
    done = embench(*line(two, corpus=str(two.data / "nowhere")))
    assert (done.code, "nowhere" in done.err) == (3, True)


def fitted_and_start(bench, kind="unimodal", **options):
    """The first fitting stage of a plan, run; its weights before (with nothing learned) and after."""
    plan = bench.plan("Pool", **options)
    stage = next(s for s in plan.graph.stages.values() if s.kind == kind)
    for id_ in [*stage.inputs.values()]:
        for needed in [*plan.graph.stages[id_].inputs.values(), id_]:
            run_stage(plan.graph.stages[needed], bench.runs / "stages")
    run_stage(stage, bench.runs / "stages")
    return plan, stage, load_file(bench.runs / "stages" / stage.id / "weights.safetensors")


def equal(one, other, prefix="encoders."):
    names = [name for name in one if name.startswith(prefix)]
    assert names
    return all(torch.equal(one[name], other[name]) for name in names)


@pytest.mark.parametrize("frozen", [True, False])
def test_encoders_start_from_the_weights_and_stay_so_where_they_are_frozen(two, frozen):
    made = pretrained(two)
    settings = ("encoder.adapt=frozen",) if frozen else ()
    for name in (str(made.folder), made.id):
        plan, stage, after = fitted_and_start(two, modalities="ecg", pretrained=name, settings=settings)
        assert stage.params.weights == {"ecg": made.manifest["sha256"]}
        assert equal(load_file(made.folder / "weights.safetensors"), after) is frozen
    assert plan.started is not None
    still = ("encoder.lr=0.0",)
    assert equal(
        load_file(made.folder / "weights.safetensors"),
        fitted_and_start(two, modalities="ecg", pretrained=made.id, settings=still)[2],
    )


CHAIN = ("masked_value", f"supervised_transfer:{OTHER}")


def test_a_step_goes_on_from_the_last_ones_weights(two):
    settings = ("pretrainer[supervised_transfer].lr=0.0", "encoder.adapt=frozen")
    plan, stage, after = fitted_and_start(two, modalities="ecg", pretrainers=CHAIN, settings=settings)
    second = plan.graph.stages[stage.inputs["pretrained:ecg"]]
    first = plan.graph.stages[second.inputs["pretrained:ecg"]]
    states = [load_file(two.runs / "stages" / s.id / "weights.safetensors") for s in (first, second)]
    assert equal(states[0], states[1])  # a step that learns nothing keeps what it started from
    assert equal(states[0], after)
    plan, stage, after = fitted_and_start(two, modalities="ecg", pretrainers=CHAIN)
    second = plan.graph.stages[stage.inputs["pretrained:ecg"]]
    learned = load_file(two.runs / "stages" / second.id / "weights.safetensors")
    assert not equal(states[0], learned)
    assert not equal(learned, after)


def test_several_datasets_are_pretrained_on_as_one(two):
    alone = {}
    for name in (OTHER, KINDS, f"{OTHER}+{KINDS}"):
        plan = two.plan("Pool", modalities="ecg", pretrainers=(f"masked_value:{name}",))
        (stage,) = {s.id: s for s in plan.graph.stages.values() if s.kind == "pretrain"}.values()
        alone[name] = run_stage(stage, two.runs / "stages")
    both = alone[f"{OTHER}+{KINDS}"]
    assert both["rows"] == alone[OTHER]["rows"] + alone[KINDS]["rows"]
    assert list_data_seen(both) == [alone[OTHER]["manifest"], alone[KINDS]["manifest"]]
    assert plan.config["pretrained_on"] == sorted(find_source(name, two.data).full_name for name in (OTHER, KINDS))
    assert plan.overlap == "none"


def test_beside_other_datasets_only_a_folds_training_subjects_are_pretrained_on(two):
    plan = two.plan("Pool", modalities="ecg", pretrainers=(f"masked_value:{OTHER}+{TINY}",))
    mixed, alone, other = (
        [
            s
            for s in two.plan("Pool", modalities="ecg", pretrainers=(name,)).graph.stages.values()
            if s.kind == "pretrain"
        ]
        for name in (f"masked_value:{OTHER}+{TINY}", "masked_value", f"masked_value:{OTHER}")
    )
    assert len(mixed) == len(alone) == 2  # one of each fold
    results = [[run_stage(stage, two.runs / "stages") for stage in stages] for stages in (mixed, alone, other)]
    for both, own in zip(*results[:2], strict=True):
        assert list_data_seen(both) == [own["manifest"], results[2][0]["manifest"]]
        assert both["rows"] == own["rows"] + results[2][0]["rows"]
        assert both["val_rows"] == own["val_rows"]
    assert (plan.overlap, plan.config["pretrained_on"]) == ("none", [find_source(OTHER, two.data).full_name])


def test_weights_of_several_datasets_say_what_they_saw(two, tmp_path):
    made = pretrained(mended(two, tmp_path), f"{OTHER}+{KINDS}")
    assert [seen["dataset"] for seen in made.manifest["seen"]] == [
        find_source(name, None).full_name for name in (OTHER, KINDS)
    ]
    overlap = {
        name: Bench(two.data, two.runs, name, two.protocol).plan(modalities="ecg", pretrained=str(made.folder)).overlap
        for name in ("Tiny", "Kinds")
    }
    assert overlap == {"Tiny": "none", "Kinds": "unlabelled_target"}


def test_labels_of_several_datasets_are_not_learned_at_once(two):
    with pytest.raises(UsageError, match="learns from the labels of one dataset"):
        two.plan("Pool", modalities="ecg", pretrainers=(f"supervised_transfer:{OTHER}+{KINDS}",))


@pytest.mark.parametrize("target", ["arousal", "arousal_value", "state"])
def test_labels_of_every_kind_are_learned(two, target):
    """The loss falls, and the stage says which target it was."""
    plan = two.plan("Pool", modalities="ecg", pretrainers=(f"supervised_transfer:{KINDS}",))
    (step,) = plan.method.pretraining
    source = load_source(step.sources[0], step, plan.method, [target], plan.protocol, 1)
    setting = Setting(plan.protocol, "cpu", 1, places=locate_data(source))
    stage = make_external_stage(plan.method, step, [source], setting, 0, {})
    result = run_stage(stage, two.runs / "stages")
    assert result["manifest"]["targets"] == [target]
    history = (two.runs / "stages" / stage.id / "history.csv").read_text().splitlines()
    losses = [float(row.split(",")[1]) for row in history[1:]]
    assert losses[-1] < losses[0]


def test_a_whole_model_starts_with_its_fusion(two):
    options = {"modalities": "ecg,eda", "fusion": "shared_tf"}
    made = pretrained(two, OTHER, "signal_transform", **options)
    assert made.manifest["scope"] == "model"
    state = load_file(made.folder / "weights.safetensors")
    assert {name.partition(".")[0] for name in state} == {"encoders", "fusion"}
    frozen = ("encoder.adapt=frozen", "fusion.adapt=frozen")
    with_step = two.plan("Pool", pretrainers=(f"signal_transform:{OTHER}",), settings=frozen, **options)
    (before,) = [s.id for s in with_step.graph.stages.values() if s.kind == "pretrain"]
    assert before in two.stages()  # the run shares the stage
    _, stage, after = fitted_and_start(two, "fusion", pretrained=made.id, settings=frozen, **options)
    assert set(stage.params.weights) == {"ecg", "eda", "fusion"}
    assert equal(state, after)
    learned = {name: value for name, value in state.items() if ".fill." not in name}
    assert equal(learned, after, "fusion.")
    plan = two.plan("Pool", fusion="concat", modalities="ecg,eda", pretrained=made.id)
    (first, *_) = [s for s in plan.graph.stages.values() if s.kind == "fusion"]
    assert set(first.params.weights) == {"ecg", "eda"}  # another fusion takes the encoders


def test_weights_of_something_else_are_refused(two, tmp_path):
    made = pretrained(two)
    with pytest.raises(UsageError, match="no encoder for eda"):
        two.plan("Pool", modalities="eda", pretrained=made.id)
    with pytest.raises(UsageError, match="belong to encoder Pool for ecg, not to Whole"):
        two.plan("Whole", modalities="ecg", pretrained=made.id)
    with pytest.raises(UsageError, match="do not fit"):
        fitted_and_start(two, modalities="ecg", pretrained=made.id, settings=("encoder.build.dim=6",))
    slow, at_32 = ("encoder.prepare.rate_hz=16",), _with_cnn_tf(two).id
    with pytest.raises(UsageError, match=r"prepare\.rate_hz=32 for ecg, but the run uses 16"):
        two.plan("cnn_tf", modalities="ecg", settings=slow, pretrained=at_32)
    both = pretrained(two, modalities="eda")
    for channels, text in (
        (["chest"], "read different channels of eda in weights of .*: chest"),
        (["right"], "read different"),
    ):
        folder = tmp_path / channels[0]
        folder.mkdir()
        state = load_file(both.folder / "weights.safetensors")
        save_file({name: value + 1 for name, value in state.items()}, folder / "weights.safetensors")
        manifest = {**json.loads(json.dumps(both.manifest)), "channels": {"eda": channels}}
        del manifest["sha256"]  # as in manifests of before
        (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
        with pytest.raises(UsageError, match=text):
            fitted_and_start(two, modalities="eda", pretrained=str(folder))


def _with_cnn_tf(bench):
    quick = ("pretrainer.epochs=1", "pretrainer.build.span=4", "encoder.view.length_s=4", "encoder.view.step_s=4")
    request = Request(
        OTHER, ("cnn_tf",), pretrainers=("masked_value",), recipe="quick", device="cpu", modalities="ecg",
        data_root=bench.data, runs=bench.runs, settings=quick, workers=1,
    )  # fmt: skip
    return pretrain(request)


@pytest.mark.parametrize(
    ("corpus", "pretrainer", "overlap"),
    sample(
        [
            (OTHER, "masked_value", "none"),
            (OTHER, "supervised_transfer", "none"),
            (TINY, "masked_value", "unlabelled_target"),
            (TINY, "supervised_transfer", "labelled_target"),
        ],
        (OTHER, "masked_value", "none"),
        (TINY, "supervised_transfer", "labelled_target"),
    ),
)
def test_a_record_says_what_the_weights_saw_of_the_target(two, corpus, pretrainer, overlap):
    made = pretrained(two, corpus, pretrainer)
    record = two.run("Pool", modalities="ecg", pretrained=made.id, dev=True).manifest
    assert record["pretraining_overlap"] == overlap
    assert record["initial_weights"]["manifest"]["id"] == made.id
    assert record["initial_weights"]["weights"] == {"ecg": made.manifest["sha256"]}
    assert "files" not in record["initial_weights"]["manifest"]
    (seen,) = record["pretraining"]
    assert (seen["dataset"], seen["subjects"]) == (find_source(corpus, None).full_name, 5)


def test_weights_are_those_of_their_manifest_and_nobody_edits_it(two, tmp_path):
    made = pretrained(two)
    for name in ("weights.safetensors", "manifest.yaml"):
        folder = tmp_path / name
        shutil.copytree(made.folder, folder)
        if name == "manifest.yaml":
            (folder / name).write_bytes((folder / name).read_bytes().replace(b"labels: none", b"labels: source"))
        else:
            state = load_file(folder / name)
            save_file({key: value + 1 for key, value in state.items()}, folder / name)
        with pytest.raises(CheckFailed) as found:
            two.plan("Pool", modalities="ecg", pretrained=str(folder))
        assert found.value.where == str(folder / name)


def test_weights_of_a_run_are_those_that_it_kept(two, tmp_path):
    result = two.run("Pool", modalities="ecg")
    folder = tmp_path / "copy"
    shutil.copytree(result.folder, folder)
    first = min((folder / "weights").iterdir())
    save_file({key: value + 1 for key, value in load_file(first).items()}, first)
    for text in (folder, first):
        with pytest.raises(CheckFailed) as found:
            two.plan("Pool", modalities="ecg", pretrained=str(text))
        assert found.value.where == str(first)


def test_a_bare_file_is_of_unknown_subjects(two, tmp_path):
    made = pretrained(two)
    save_file(load_file(made.folder / "weights.safetensors"), tmp_path / "w.safetensors")
    record = two.run("Pool", modalities="ecg", pretrained=str(tmp_path / "w.safetensors"), dev=True).manifest
    assert record["pretraining_overlap"] == "unknown"
    assert record["initial_weights"]["manifest"] is None
    # With its manifest beside it, it is known.
    inside = two.run("Pool", modalities="ecg", pretrained=str(made.folder / "weights.safetensors"), dev=True)
    assert inside.manifest["pretraining_overlap"] == "none"


def test_another_datasets_copy_of_the_tested_files_is_found(tmp_path):
    write(tmp_path, make_subjects(5))
    write(tmp_path, make_subjects(5), dataset="Other")
    bench = Bench(tmp_path, tmp_path / "runs", protocol=few_folds(tmp_path))
    made = pretrained(bench)
    record = bench.run("Pool", modalities="ecg", pretrained=made.id, dev=True).manifest
    assert record["pretraining_overlap"] == "unlabelled_target"


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Subjects to test, and generated ones to start from."""
    root = write(tmp_path_factory.mktemp("generated"), make_subjects(5))
    write(root, make_subjects(5), dataset="Other", seed=5)
    (root / "Other" / SYNTHETIC).write_text('{"seed": 5, "effect": 1.0}')
    return Bench(root, root / "runs", protocol=few_folds(root))


WAYS = "pretrained", "pretrainers", "train_dataset", "run"


@pytest.mark.parametrize("way", sample(WAYS, "pretrained", "train_dataset"))
def test_generated_data_leave_their_mark_on_whatever_starts_from_them(generated, way):
    bench, made = generated, pretrained(generated)
    assert made.manifest["synthetic"]
    options = {
        "pretrained": {"pretrained": made.id},
        "pretrainers": {"pretrainers": (f"masked_value:{OTHER}",)},
        "train_dataset": {"train_dataset": OTHER},
        "run": {},
    }[way]
    if way == "run":
        source = Bench(bench.data, bench.runs, "Other", bench.protocol)
        options = {"pretrained": source.run("Pool", modalities="ecg").id}
    record = bench.run("Pool", modalities="ecg", **options).manifest
    reasons = explain_unpublishable(Manifest.model_validate(record))
    assert any("synthetic" in reason for reason in reasons)
    clean = bench.run("Pool", modalities="ecg").manifest
    assert not any("synthetic" in reason for reason in explain_unpublishable(Manifest.model_validate(clean)))
