"""Stages on outside sources: shared by all folds and runs, with whose labels, and what is refused."""

import numpy as np
import pytest

from embench.errors import UsageError

from ..tiny.running import Bench
from ..tiny.world import make_subjects, plugin, with_sources, write

OTHER, KINDS = plugin("Other"), plugin("Kinds")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    root = with_sources(tmp_path_factory.mktemp("two"))
    return Bench(root, root / "runs")


def steps(plan, name=None):
    found = [stage for stage in plan.graph.stages.values() if stage.kind == "pretrain"]
    return [s for s in found if name in (None, s.params.pretrainer.name.rpartition("/")[2])]


@pytest.mark.parametrize("name", ["masked_value", "supervised_transfer"])
def test_all_folds_share_the_stage_on_an_outside_source_and_seeds_do_not(two, name):
    plan = two.plan("Pool", modalities="ecg", pretrainers=(f"{name}:{OTHER}",), seeds="0,1")
    found = steps(plan)
    assert [stage.description for stage in found] == [{"seed": s, "modality": "ecg"} for s in (0, 1)]
    assert not any("fold" in stage.params.plain() for stage in found)
    started = {s.inputs["pretrained:ecg"] for s in plan.graph.stages.values() if s.kind == "unimodal"}
    assert started == {stage.id for stage in found}
    own = two.plan("Pool", modalities="ecg", pretrainers=("masked_value",), seeds="0,1")
    assert len(steps(own)) == sum(map(len, own.folds.values())) == 6


def test_nothing_of_the_tested_dataset_is_in_such_a_stage(two):
    step = (f"masked_value:{KINDS}",)
    ids = {
        steps(Bench(two.data, two.runs, dataset).plan("Pool", modalities="ecg", pretrainers=step, **options))[0].id
        for dataset, options in (("Tiny", {}), ("Tiny", {"targets": "valence"}), ("Other", {"label_subjects": "1"}))
    }
    assert len(ids) == 1


def test_a_step_after_one_on_own_subjects_is_of_a_fold_again(two):
    chain = ("masked_value", f"supervised_transfer:{OTHER}")
    plan = two.plan("Pool", modalities="ecg", pretrainers=chain)
    second = steps(plan, "supervised_transfer")
    assert [stage.description["fold"] for stage in second] == [fold.index for fold in plan.folds[0]]
    assert len(second) == 3
    assert {s.inputs["pretrained:ecg"] for s in second} == {s.id for s in steps(plan, "masked_value")}
    turned = steps(two.plan("Pool", modalities="ecg", pretrainers=chain[::-1]), "supervised_transfer")
    assert [stage.inputs for stage in turned] == [{}]


def test_steps_of_one_modality_leave_the_others_alone(two):
    chain = (f"masked_value:{OTHER}", f"ecg=supervised_transfer:{OTHER}")
    plan = two.plan("Pool", fusion="concat", pretrainers=chain)
    (transfer,) = steps(plan, "supervised_transfer")
    first = {stage.description["modality"]: stage.id for stage in steps(plan, "masked_value")}
    assert transfer.inputs == {"pretrained:ecg": first["ecg"]}
    (fused, *_) = [stage for stage in plan.graph.stages.values() if stage.kind == "fusion"]
    assert fused.inputs == {"pretrained:ecg": transfer.id, "pretrained:eda": first["eda"]}


@pytest.mark.parametrize(
    ("source", "targets", "learned"),
    [
        (OTHER, "valence", ["valence"]),
        (OTHER, "valence,arousal", ["arousal", "valence"]),
        (KINDS, "valence", ["arousal"]),  # its default one, for none is called so
        (KINDS, "arousal,valence", ["arousal"]),
    ],
)
def test_labels_are_those_of_targets_with_the_same_names_or_else_the_sources_usual_ones(two, source, targets, learned):
    plan = two.plan("Pool", modalities="ecg", targets=targets, pretrainers=(f"supervised_transfer:{source}",))
    (stage,) = steps(plan)
    assert [target.name for target in stage.params.targets] == learned
    assert stage.task["y"].shape == (len(stage.task["recording"]), len(learned))
    assert not stage.task["role"].any()  # everybody trains


def test_labels_are_made_by_the_sources_own_rule(two):
    """Arousal of `Kinds` is a mean over units of ten seconds, read two seconds late; the scale's middle is none."""
    (stage,) = steps(two.plan("Pool", modalities="ecg", pretrainers=(f"supervised_transfer:{KINDS}",)))
    own = Bench(two.data, two.runs, "Kinds").plan("Pool", modalities="ecg")
    assert len(stage.task["y"]) == len(own.fit.positions) == 5 * 6 * 3
    np.testing.assert_array_equal(stage.task["y"][:, 0], own.fit.label["arousal"][list(own.fit.positions)])
    assert set(np.diff(np.stack([stage.task["start"], stage.task["stop"]]), axis=0)[0]) == {10.0}


def test_labels_without_a_source_say_how_to_name_one(two):
    with pytest.raises(UsageError, match="no dataset is named") as refused:
        two.plan("Pool", modalities="ecg", pretrainers=("supervised_transfer",))
    assert "--pretrainer supervised_transfer:DATASET" in str(refused.value)
    with pytest.raises(UsageError, match="no dataset is named") as refused:
        two.plan("Pool", modalities="ecg", pretrainers=("ecg=supervised_transfer",))
    assert "--pretrainer ecg=supervised_transfer:DATASET" in str(refused.value)


def test_labels_of_the_tested_subjects_are_refused(two, tmp_path):
    with pytest.raises(UsageError, match="contains subjects of tiny, so the method would learn"):
        two.plan("Pool", modalities="ecg", pretrainers=(f"supervised_transfer:{plugin('Tiny')}",))
    write(tmp_path, make_subjects(5))
    write(tmp_path, make_subjects(5), dataset="Other")  # another name, and the same files
    with pytest.raises(UsageError, match="learn from test labels"):
        Bench(tmp_path, tmp_path).plan("Pool", modalities="ecg", pretrainers=(f"supervised_transfer:{OTHER}",))
    unlabelled = Bench(tmp_path, tmp_path).plan("Pool", modalities="ecg", pretrainers=(f"masked_value:{OTHER}",))
    assert len(steps(unlabelled)) == 1  # without labels it is marked, not refused
