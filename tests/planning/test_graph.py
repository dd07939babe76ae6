"""The graph of stages: what is shared, and what changes which ids."""

import shutil
from functools import partial
from statistics import median

import pytest
import yaml

from embench.engine.stage import Folder
from embench.planning import plan as planning
from embench.planning.plan import estimate_cheap_stages, forecast_stages

from ..tiny.running import Bench
from ..tiny.world import RULES, few_folds, make_subjects, plugin, write


def kinds(plan, kind):
    return {id_ for id_, stage in plan.graph.stages.items() if stage.kind == kind}


def test_single_late_and_estimators_share_unimodal_stages(shared):
    plan = partial(shared.plan, "Pool", protocol="leave-one-subject-out-v4")
    late, hidden = plan(fusion="late"), plan(fusion="logreg")
    ecg, eda = (plan(modalities=m) for m in ("ecg", "eda"))
    alone = kinds(ecg, "unimodal") | kinds(eda, "unimodal")
    assert kinds(late, "unimodal") >= alone
    # The one subject without EDA is tested by `late` only.
    assert len(kinds(late, "unimodal")) == len(alone) + 1
    assert kinds(hidden, "unimodal") == kinds(late, "unimodal")
    assert kinds(hidden, "estimator")


def test_each_stage_follows_its_inputs(shared):
    plan = shared.plan("Pool", fusion="late", pretrainers=(plugin("FragileMasked"),), seeds="0,1")
    before = set()
    for id_, stage in plan.graph.stages.items():
        assert id_ == stage.id
        assert set(stage.inputs.values()) <= before
        before.add(id_)
    assert len(plan.graph.predictions) == sum(map(len, plan.folds.values())) == 4


def test_pretraining_is_an_input_of_what_starts_from_it(shared):
    plain = shared.plan("Pool", modalities="ecg")
    started = shared.plan("Pool", modalities="ecg", pretrainers=("masked_value",))
    assert kinds(plain, "unimodal").isdisjoint(kinds(started, "unimodal"))
    for id_ in kinds(started, "unimodal"):
        assert set(started.graph.stages[id_].inputs) == {"pretrained:ecg"}


def test_steps_of_pretraining_follow_each_other(shared):
    steps = ("ecg=masked_value", f"ecg={plugin('FragileMasked')}")
    plan = shared.plan("Pool", modalities="ecg", pretrainers=steps)
    assert len(kinds(plan, "pretrain")) == 2 * len(plan.folds[0])
    for id_ in kinds(plan, "unimodal"):
        last = plan.graph.stages[plan.graph.stages[id_].inputs["pretrained:ecg"]]
        first = plan.graph.stages[last.inputs["pretrained:ecg"]]
        assert (last.params.pretrainer.name.rpartition(":")[2], first.inputs) == ("FragileMasked", {})


CHANGES = {
    "fusion.lr=0.5": {"fusion"},
    "fusion.build.dropout=0.3": {"fusion"},
    "encoder[ecg].lr=0.5": {"unimodal ecg", "fusion"},
    "encoder.build.dim=6": {"unimodal ecg", "unimodal eda", "fusion"},
}


@pytest.mark.parametrize(("setting", "changed"), CHANGES.items())
def test_a_recipe_field_changes_what_depends_on_it(shared, setting, changed):
    def ids(*settings):
        plan = shared.plan("Pool", fusion="late", settings=settings)
        found = {}
        for stage in plan.graph.stages.values():
            part = f"{stage.kind} {stage.description['modality']}" if stage.kind == "unimodal" else stage.kind
            found.setdefault(part, set()).add(stage.id)
        return found, plan.id

    (before, run), (after, other) = ids(), ids(setting)
    assert {part for part in before if before[part] != after[part]} == changed | {"predict"}
    assert all(before[part].isdisjoint(after[part]) for part in changed)
    assert run != other


def test_seed_protocol_data_and_subjects_change_every_stage(tmp_path):
    data = write(tmp_path / "a", make_subjects(5))
    bench = Bench(data, tmp_path / "runs")
    first = bench.plan(modalities="ecg")
    assert first.graph.stages.keys() == bench.plan(modalities="ecg").graph.stages.keys()
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**RULES, "normalise": "none", "split": {"by": "group", "folds": 5}}))
    write(tmp_path / "b", make_subjects(5))
    write(tmp_path / "b", {"p04": make_subjects(5)["p04"]}, seed=1)
    others = [
        bench.plan(modalities="ecg", seeds="1"),
        bench.plan(modalities="ecg", protocol=str(path)),
        Bench(tmp_path / "b", tmp_path / "runs").plan(modalities="ecg"),
        bench.plan(modalities="ecg", targets="valence"),
    ]
    for other in others:
        assert first.graph.stages.keys().isdisjoint(other.graph.stages)
        assert first.id != other.id


def test_dropping_a_modality_changes_predictions_only(shared):
    whole = shared.plan("Pool", fusion="concat")
    dropped = shared.plan("Pool", fusion="concat", drop="eda")
    assert kinds(whole, "fusion") == kinds(dropped, "fusion")
    assert kinds(whole, "predict").isdisjoint(kinds(dropped, "predict"))


def test_few_labels_leave_pretraining_and_validation_alone(shared):
    options = {"modalities": "ecg", "pretrainers": ("masked_value",)}
    whole, few = (shared.plan("Pool", **options, label_subjects=n) for n in (None, "1"))
    assert kinds(whole, "pretrain") == kinds(few, "pretrain")
    for id_ in kinds(few, "unimodal"):
        stage = few.graph.stages[id_]
        subject = [few.fit.store.recordings[r].subject for r in stage.task["recording"]]
        roles = stage.task["role"]
        assert len({s for s, role in zip(subject, roles, strict=True) if role == 0}) == 1
        assert (roles == 1).any()
    more = shared.plan("Pool", **options, label_subjects="2")
    for one, two in zip(few.graph.predictions, more.graph.predictions, strict=True):
        assert set(one.train) < set(two.train)


def test_shares_of_labels_lie_in_each_other_and_hold_both_classes(shared):
    options = {"modalities": "ecg", "targets": "arousal"}
    shares = ("0.001", "0.25", "0.5", "1")
    plans = [shared.plan("Pool", **options, label_fraction=share) for share in shares]
    assert plans[-1].id == shared.plan("Pool", **options).id
    assert len({plan.id for plan in plans}) == len(plans)
    for tiny, quarter, half, whole in zip(*(plan.graph.predictions for plan in plans), strict=True):
        assert set(tiny.train) <= set(quarter.train) < set(half.train) < set(whole.train)
        assert len(half.train) == pytest.approx(len(whole.train) / 2, rel=0.3)
        (target,), cohort = whole.targets, plans[0].fit
        y = cohort.labels(target, whole.train)
        assert len(tiny.train) == 2
        assert set(y[list(tiny.train)]) == {0.0, 1.0}


def test_one_network_for_all_targets_or_one_each(shared):
    each = shared.plan("Pool", fusion="concat", targets=None)
    joint = shared.plan("Pool", fusion="concat", targets=None, settings=("fusion.targets=joint",))
    assert len(kinds(each, "fusion")) == 2 * len(kinds(joint, "fusion"))
    (stage, *_) = (joint.graph.stages[i] for i in kinds(joint, "fusion"))
    assert stage.task["y"].shape[1] == 2


def test_the_plan_is_described_without_training(shared):
    about = shared.plan("Pool", fusion="late", seeds="0,1").describe()
    assert about["stages"] == {"unimodal": 8, "fusion": 4, "predict": 4}
    assert about["subjects"] == 6
    assert len(about["folds"]) == 4
    assert about["parameters"] > 0
    assert about["flops"] > 0
    assert about["expected_s"] >= 0
    low, high = about["smallest_difference_range"]
    assert 0 < low < about["smallest_difference"] < high
    assert "pairs of published networks, 3 other datasets" in about["smallest_difference_note"]


def test_pretraining_is_expected_to_take_as_long_as_it_has_windows(shared):
    plans = [
        shared.plan("Pool", modalities="ecg", pretrainers=("masked_value",), settings=(f"pretrainer.view.step_s={s}",))
        for s in (1, 4)
    ]
    seconds = forecast_stages([stage for plan in plans for stage in plan.graph.stages.values()])  # of one measurement
    often, seldom = (sum(seconds[id_] for id_ in kinds(plan, "pretrain")) for plan in plans)
    assert often > 2.5 * seldom > 0


def test_a_dry_run_expects_what_is_left_and_estimators_what_others_took(bench):
    options = {"encoder": "Moments", "modalities": "ecg", "fusion": "logreg"}
    before = bench.plan(**options)
    assert before.describe()["expected_s"] == 0  # nothing tells
    bench.run(**options)
    assert before.describe()["expected_s"] == 0  # all is done
    stages = list(before.graph.stages.values())
    took = {stage.id: Folder(bench.runs / "stages", stage.id).result()["wall_seconds"] for stage in stages}
    gone, others = [kinds(before, "estimator"), kinds(before, "predict")], 0.0
    gone = {id_ for of_kind in gone for id_ in sorted(of_kind)[:1]}
    for id_ in gone:
        shutil.rmtree(bench.runs / "stages" / id_)
    for kind in ("estimator", "predict"):
        others += median(took[id_] for id_ in kinds(before, kind) - gone)
    assert sum(estimate_cheap_stages(stages, bench.runs / "stages").values()) == pytest.approx(others)
    assert before.describe()["expected_s"] <= round(others, 1)


def test_a_forecast_counts_rows_of_seconds_of_this_process(shared, monkeypatch):
    """Whatever else the machine does: only what this process takes is counted, and the shortest of a few steps."""
    clocks = {"process": 0.0, "wall": 0.0}

    class Clock:
        def process_time(self):
            clocks["process"] += 1.0
            return clocks["process"]

        def perf_counter(self):
            clocks["wall"] += 50.0
            return clocks["wall"]

    monkeypatch.setattr(planning, "time", Clock())
    plan = shared.plan("Pool", modalities="ecg", settings=("encoder.batch=8",))
    (one, *_) = [stage for stage in plan.graph.stages.values() if stage.kind == "unimodal"]
    rows = planning._count_training_rows(one)
    assert forecast_stages([one])[one.id] == pytest.approx(rows / 8 * one.params.recipe.epochs)
    assert clocks["wall"] == 0
    settings = ("encoder.batch=8", "encoder.epochs=50", "encoder.adapt=frozen")
    plan = shared.plan("Pool", modalities="ecg", settings=settings)
    (one, *_) = [stage for stage in plan.graph.stages.values() if stage.kind == "unimodal"]
    assert forecast_stages([one])[one.id] < rows / 8  # its rows are read once, and nothing goes back


def test_training_on_another_dataset_tests_everybody_of_this_one(tmp_path):
    data = write(tmp_path / "a", make_subjects(4))
    write(tmp_path / "a", make_subjects(5, seconds=14.0), dataset="Other", seed=5)
    bench = Bench(data, tmp_path / "runs", protocol=few_folds(data))
    for encoder in ("Pool", "Whole"):
        plan = bench.plan(encoder, modalities="ecg", train_dataset=plugin("Other"))
        (prediction,) = plan.graph.predictions
        assert len(prediction.units) == 16
        result = bench.run(encoder, modalities="ecg", train_dataset=plugin("Other"))
        assert (result.predictions["method"] == "model").sum() == 16
        assert result.manifest["pretraining_overlap"] == "none"
