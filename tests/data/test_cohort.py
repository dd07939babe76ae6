"""Cohorts and folds over subjects of every kind, by property tests on the whole plan; nothing is trained."""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from embench import registry
from embench.data.cohort import build_cohort, card_for_protocol, unlabelled_cohort
from embench.errors import DataError, UsageError
from embench.interfaces.dataset import Baseline
from embench.interfaces.recording import Label
from embench.planning.graph import Builder, Graph, Setting
from embench.planning.method import resolve_method
from embench.planning.plan import _make_folds
from embench.planning.request import Request
from embench.protocols import Protocol, connected_groups, load_protocol, roles
from embench.store.store import RecordingEntry, Span

from ..tiny.world import plugin

TINY = registry.load_plugin("dataset", plugin("Tiny"))


@dataclass(frozen=True)
class FakeStore:
    """What planning reads of a store."""

    recordings: tuple
    ratings: dict
    key: str = "fake"
    path: Path = Path("/nowhere")
    label_kinds: dict = field(default_factory=lambda: {"arousal": "rating", "valence": "rating"})

    def labels(self):
        return {
            name: {r: Label("rating", np.array([value])) for r, value in own.items()}
            for name, own in self.ratings.items()
        }


@st.composite
def stores(draw):
    subjects = draw(st.integers(2, 9))
    groups = draw(st.lists(st.integers(0, subjects), min_size=subjects, max_size=subjects))
    entries, ratings = [], {"arousal": {}, "valence": {}}
    for p in range(subjects):
        for r in range(draw(st.integers(1, 3))):
            there = draw(st.sets(st.sampled_from(["ecg", "eda"])))
            seconds = draw(st.integers(4, 20))
            spans = {m: Span(0, 128 * seconds, 0.0) for m in sorted(there)}
            id_ = f"p{p}-{r}"
            entries.append(
                RecordingEntry(id_, f"p{p}", f"v{r}", "s", f"g{groups[p]}", 100.0 * r, r, float(seconds), spans)
            )
            for name, own in ratings.items():
                if draw(st.integers(0, 5)):
                    own[id_] = draw(st.sampled_from([1.0, 5.0, 9.0]))
                assume(own or name != "arousal" or p < subjects - 1)
    assume(ratings["arousal"])
    return FakeStore(tuple(entries), ratings)


@cache
def method_of(modalities):
    request = Request(
        plugin("Tiny"), encoders=(plugin("Pool"),), fusion="concat", modalities=modalities, recipe="quick"
    )
    return resolve_method(request, TINY.card, ["ecg", "eda"], "cpu")


def planned(store, protocol, seed, modalities="ecg,eda", **options):
    method = method_of(modalities)
    cohort = build_cohort(store, TINY.card, TINY.card.targets[:1], method.modalities, protocol)
    folds = _make_folds(protocol, cohort, cohort, seed)
    graph = Graph()
    builder = Builder(graph, method, cohort, cohort, Setting(protocol, "cpu", 1, **options), {})
    for fold in folds:
        builder.add_fold(seed, fold)
    return cohort, folds, graph


@settings(max_examples=30, deadline=None)
@given(stores(), st.integers(0, 3), st.sampled_from(["subject-independent-v4", "leave-one-subject-out-v4"]))
def test_groups_stay_together_and_every_unit_is_tested_once(store, seed, name):
    protocol = load_protocol(name)
    try:
        cohort, folds, graph = planned(store, protocol, seed)
    except (DataError, UsageError) as refused:  # nobody has label and modality; or all are of one group
        event(refused.what)
        return
    units = {unit.id: unit for unit in cohort.units}
    group = connected_groups([cohort.units[i] for i in cohort.eligible])
    for fold in folds:
        parts = [{group[units[u].subject] for u in getattr(fold, role)} for role in ("train", "val", "test")]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
    tested = [u for fold in folds for u in fold.test]
    assert sorted(tested) == sorted(cohort.units[i].id for i in cohort.eligible)
    predicted = [i for prediction in graph.predictions for i in prediction.units]
    assert len(set(predicted)) == len(predicted)
    assert set(predicted) <= set(cohort.positions)
    # A fold whose training side has nobody with a modality is no fold of this run; all others answer everybody.
    skipped = {f.index for f in folds} - {a.fold for a in graph.predictions}
    sensed = {cohort.units[i].id for i in cohort.positions}
    for fold in folds:
        if fold.index in skipped:
            assert not sensed & set(fold.train) or not sensed & set(fold.test)
    # Nobody is lost: tested, or left out with a reason.
    out = {row["subject"] for row in cohort.excluded}
    assert out | set(cohort.subjects) == {entry.subject for entry in store.recordings}
    assert not out & set(cohort.subjects)
    for prediction in graph.predictions:
        fitted = graph.stages[graph.stages[prediction.stage].inputs["fitted"]]
        tested_subjects = {group[cohort.units[i].subject] for i in prediction.units}
        used = {group[store.recordings[r].subject] for r in fitted.task["recording"]}
        assert not tested_subjects & used
        assert np.isfinite(fitted.task["y"]).any(1).all()


@settings(max_examples=12, deadline=None)
@given(stores(), st.integers(0, 2))
def test_partition_does_not_depend_on_the_modalities_nor_on_the_order_of_subjects(store, seed):
    protocol = load_protocol("subject-independent-v4")
    turned = replace(store, recordings=store.recordings[::-1])
    folds = []
    for own, modalities in ((store, "ecg,eda"), (store, "eda,ecg"), (turned, "ecg,eda"), (store, "ecg,ecg+eda")):
        try:
            cohort, found, _ = planned(own, protocol, seed, modalities)
        except (DataError, UsageError):
            return
        units = [cohort.units[i] for i in cohort.eligible]
        folds.append({(row.subject, row.fold, row.role) for row in roles(units, found)})
    assert all(one == folds[0] for one in folds)


def test_two_subjects_are_enough():
    entries = tuple(
        RecordingEntry(f"p{p}-{r}", f"p{p}", f"v{r}", "s", f"p{p}", 0.0, r, 10.0, {"ecg": Span(0, 1280, 0.0)})
        for p in range(2)
        for r in range(2)
    )
    ratings = {"arousal": {e.id: float(1 + 8 * (e.order or 0)) for e in entries}, "valence": {}}
    _, folds, graph = planned(FakeStore(entries, ratings), load_protocol("subject-independent-v4"), 0, "ecg,eda")
    assert len(folds) == 2
    assert all(not fold.val for fold in folds)
    assert len(graph.predictions) == 2


def test_the_design_follows_from_who_met_what_and_in_which_order():
    def design(fixed_order, *met):
        """Of subjects who met these stimuli; the first letter of a name is the group."""
        entries = tuple(
            RecordingEntry(
                f"{name}-{s}", name, s, "s", name[0], 60.0 * r, r, 50.0 + r, {"ecg": Span(0, 128 * (50 + r), 0.0)}
            )
            for name, stimuli in met
            for r, s in enumerate(stimuli)
        )
        store = FakeStore(entries, {"arousal": {e.id: 7.0 for e in entries}, "valence": {}})
        card, protocol = replace(TINY.card, fixed_order=fixed_order), load_protocol("subject-independent-v4")
        cohort = build_cohort(store, card, card.targets[:1], ["ecg"], protocol)
        assert cohort.sessions == {name: 60.0 * (len(stimuli) - 1) + 49.0 + len(stimuli) for name, stimuli in met}
        return cohort.design

    assert design(False, ("a", "xyz"), ("b", "zyx")) == "shared_stimuli"
    assert design(True, ("a", "xyz"), ("b", "xyz")) == "fixed_order"
    assert design(False, ("a", "xy"), ("b", "vw")) == "free"
    assert design(False, ("a", "xy"), ("b", "yw")) == "free"  # nothing to hold one stimulus against
    assert design(False, ("a1", "xy"), ("a2", "xy"), ("b", "vw")) == "free"  # they are one group, in one fold


def test_the_shortest_unit_is_counted_without_a_baseline_that_is_no_part_of_it():
    entries = tuple(
        RecordingEntry(f"p{p}-0", f"p{p}", "v0", "s", f"p{p}", 0.0, 0, 10.0 + p, {"ecg": Span(0, 1280, 0.0)})
        for p in range(3)
    )
    store = FakeStore(entries, {"arousal": {e.id: 7.0 for e in entries}, "valence": {}})
    card = replace(TINY.card, baseline=Baseline(0.0, 3.0, in_unit=False))
    protocol = load_protocol("subject-independent-v4")
    assert build_cohort(store, card, card.targets[:1], ["ecg"], protocol).shortest_s == 7.0


def test_nobody_with_label_and_modality_is_said():
    entry = RecordingEntry("p0-0", "p0", "v0", "s", "p0", 0.0, 0, 10.0, {})
    store = FakeStore((entry,), {"arousal": {"p0-0": 7.0}, "valence": {}})
    with pytest.raises(DataError, match="the cohort is empty"):
        planned(store, load_protocol("subject-independent-v4"), 0)


KINDS = registry.load_plugin("dataset", plugin("Kinds"))


@dataclass(frozen=True)
class MixedStore(FakeStore):
    """Ratings of liking, and arousal once a second."""

    label_kinds: dict = field(default_factory=lambda: {"arousal": "continuous", "liking": "rating"})

    def labels(self):
        times = np.arange(0.5, 60)
        liking = {r: Label("rating", np.array([v])) for r, v in self.ratings["liking"].items()}
        felt = {r: Label("continuous", np.where(times < 30, v, 5.0), times) for r, v in self.ratings["arousal"].items()}
        return {"liking": liking, "arousal": felt}


def mixed(lengths, liking, arousal):
    """A store of one recording a subject (s), of subjects with these labels."""
    entries = tuple(
        RecordingEntry(f"p{p}-0", f"p{p}", "v0", "s", f"p{p}", 0.0, 0, s, {"ecg": Span(0, round(128 * s), 0.0)})
        for p, s in enumerate(lengths)
    )
    own = {"liking": dict.fromkeys((f"p{p}-0" for p in liking), 8.0)}
    return MixedStore(entries, {**own, "arousal": dict.fromkeys((f"p{p}-0" for p in arousal), 8.0)})


def test_subjects_are_dealt_out_alike_whatever_kind_of_label_they_have():
    """p0 has ratings only, p1 arousal only, p2 no stretch of 10 s, p9 nothing."""
    store = mixed([60.0, 60.0, 7.0, *[60.0] * 7], liking={0, 2, *range(3, 9)}, arousal=range(1, 9))
    protocol, folds, left_out = load_protocol("subject-independent-v4"), {}, {}
    by_name = {t.name: t for t in KINDS.card.targets}
    for name in ("arousal", "arousal_value", "liking"):
        cohort = build_cohort(store, KINDS.card, [by_name[name]], ("ecg",), protocol)
        own = {unit.id: unit.subject for unit in cohort.units}
        folds[name] = {own[u]: fold.index for fold in _make_folds(protocol, cohort, cohort, 0) for u in fold.test}
        left_out[name] = {row["subject"]: row["reason"] for row in cohort.excluded}
    assert set(folds["liking"]) == {f"p{p}" for p in range(9)}
    assert folds["arousal"] == folds["arousal_value"]
    assert folds["arousal"] == {p: k for p, k in folds["liking"].items() if p != "p2"}
    assert left_out["liking"] == {"p9": "no label of any target"}
    assert left_out["arousal"] == {**left_out["liking"], "p2": "no recording that is long enough for a unit"}


def test_labels_less_a_subjects_mean_are_refused_where_the_subject_is_trained_on():
    store = mixed([60.0] * 4, range(4), range(4))
    (plain,) = [t for t in KINDS.card.targets if t.name == "arousal_value"]
    target = replace(plain, name="arousal_centred", rule=replace(plain.rule, centred=True))
    card = replace(KINDS.card, targets=(*KINDS.card.targets, target))
    cohort = build_cohort(store, card, [plain, target], ("ecg",), load_protocol("subject-independent-v4"))
    less = cohort.raw["arousal_value"] - cohort.raw["arousal_centred"]
    for subject in cohort.subjects:
        mean = store.labels()["arousal"][f"{subject}-0"].values.mean()
        of_subject = less[[unit.subject == subject for unit in cohort.units]]
        assert of_subject[:-1] == pytest.approx(mean)  # the last unit has no label: these are read late
    with pytest.raises(UsageError, match="includes test labels") as refused:
        build_cohort(store, card, [target], ("ecg",), load_protocol("segment-random-legacy"))
    assert "arousal_centred" in str(refused.value)
    assert "subject-independent-v4" in str(refused.value)


def test_a_value_of_a_protocol_has_the_scale_and_the_step_of_the_card():
    label = {"kind": "value", "aggregate": "mean", "label": "arousal"}
    protocol = Protocol(
        **{**load_protocol("subject-independent-v4").model_dump(), "labels": {"kinds": {"mine": label}}}
    )
    known = {t.label: replace(t, scale=(1.0, 9.0), step=2.0) for t in KINDS.card.targets if t.kind == "value"}
    card = replace(KINDS.card, name="kinds", targets=tuple(known.values()))
    (mine,) = card_for_protocol(protocol, card).targets
    assert (mine.name, mine.scale, mine.step) == ("mine", (1.0, 9.0), 2.0)


def test_targets_without_any_label_in_the_data_are_named():
    store = replace(mixed([60.0] * 4, range(4), range(4)), label_kinds={"arousal": "continuous"})
    targets = [t for t in KINDS.card.targets if t.name in ("arousal", "liking")]
    with pytest.raises(DataError, match="no labels for liking") as refused:
        build_cohort(store, KINDS.card, targets, ("ecg",), load_protocol("subject-independent-v4"))
    assert "--target arousal" in str(refused.value)


def test_everybody_is_pretrained_on_labelled_or_not():
    store = mixed([60.0] * 4, liking=(), arousal={0})
    cohort = unlabelled_cohort(store, KINDS.card, load_protocol("subject-independent-v4"))
    assert (len(cohort.units), cohort.length_s, cohort.subjects) == (24, 10.0, ["p0", "p1", "p2", "p3"])
    unlabelled = unlabelled_cohort(
        replace(store, label_kinds={}), replace(KINDS.card, targets=()), load_protocol("subject-independent-v4")
    )
    assert len(unlabelled.units) == 4
    assert np.isnan(unlabelled.length_s)
