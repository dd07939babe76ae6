"""Batches: cut without lonely rows, equal whether resident or streamed, and blind to what is absent."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embench import registry
from embench.engine.assemble import assemble, standardise
from embench.engine.feed import Data, FeatureFeed, ResidentFeed, split
from embench.engine.fits import load_labelled_data
from embench.engine.network import token_spec
from embench.engine.rows import Rows, StoreSource, build_grid
from embench.engine.stage import Folder
from embench.engine.work import run_stage
from embench.interfaces.tokens import InputSpec, OutputSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model, Supervised

from ..tiny.world import plugin

OUTPUTS = OutputSpec((Target("arousal", "binary", LabelRule(), ""),))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            st.permutations(range(n)),
            st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=n, max_size=n),
            st.integers(2, 12),
        )
    )
)
def test_no_batch_has_one_row_nor_one_present_row_of_a_modality(case):
    order, present, size = np.array(case[0]), np.array(case[1]), case[2]
    parts = split(order, present, size)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(order)))
    if len(order) > 1:
        assert min(map(len, parts)) > 1
    total = present.sum(0)
    for part in parts:
        assert ((present[part].sum(0) != 1) | (total == 1)).all()


def test_batches_are_of_the_size_asked_for_where_nothing_is_missing():
    parts = split(np.arange(23), np.ones((23, 2), bool), 5)
    assert [len(part) for part in parts] == [5, 5, 5, 5, 3]
    assert [len(part) for part in split(np.arange(21), np.ones((21, 2), bool), 5)] == [5, 5, 5, 6]


def modalities(plan):
    stage = next(s for s in plan.graph.stages.values() if s.kind == "fusion")
    return stage, stage.params.modalities


@pytest.mark.parametrize("encoder", ["Pool", "Whole"])
def test_streamed_rows_equal_resident_ones(shared, encoder):
    plan = shared.plan(encoder, fusion="concat")
    stage, chosen = modalities(plan)
    source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
    grid = build_grid(chosen, None, *(stage.task[f"all_{k}"] for k in ("recording", "start", "stop")))
    here, specs = assemble(source, chosen, grid, "cpu")
    there, _ = assemble(source, chosen, grid, "cpu", memory_bytes=0)
    assert {type(f).__name__ for f in here.feeds.values()} == {"ResidentFeed"}
    assert {type(f).__name__ for f in there.feeds.values()} == {"StreamedFeed"}
    np.testing.assert_array_equal(here.present, there.present)
    assert not here.present.all()
    order = split(np.random.default_rng(0).permutation(len(grid)), here.present, 16)
    for one, other in zip(here.batches(order), there.batches(order), strict=True):
        for m in chosen:
            assert one.x[m].shape[1:] == specs[m].shape
            assert torch.equal(one.x[m], other.x[m])
            assert torch.equal(one.rows[m], other.rows[m])
            assert (one.mask[m] is None) == (other.mask[m] is None)
            if one.mask[m] is not None:
                assert torch.equal(one.mask[m], other.mask[m])
                assert not one.x[m].masked_select(~one.mask[m][:, None]).any()


def test_a_stage_gives_the_same_weights_when_its_data_are_streamed(shared, tmp_path):
    plan = shared.plan("Pool", fusion="concat")
    stage, _ = modalities(plan)
    run_stage(stage, tmp_path / "resident")
    run_stage(replace(stage, places={**stage.places, "memory_bytes": 0}), tmp_path / "streamed")
    one, other = (
        Folder(tmp_path / name, stage.id).file("weights.safetensors").read_bytes() for name in ("resident", "streamed")
    )
    assert one == other


def test_each_subject_is_standardised_over_their_own_recordings(shared):
    plan = shared.plan("Whole", modalities="ecg")
    stage = next(s for s in plan.graph.stages.values() if s.kind == "unimodal")
    data, _, train, val, grid = load_labelled_data(stage)
    subject = np.array([plan.fit.store.recordings[r].subject for r in grid.recording])
    for subject_id in np.unique(subject):
        rows = np.flatnonzero((subject == subject_id) & data.present[:, 0])
        x, mask = data.feeds["ecg"].batch_rows(rows)
        values = x.transpose(0, 1).flatten(1)[:, mask.flatten()]
        assert values.mean().abs() < 1e-3
        assert abs(values.std() - 1) < 1e-3
    assert len(train)
    assert len(val)


def test_features_are_standardised_one_by_one_or_along_an_axis_together():
    """By hand: subject a has 1 3 | 5 -, subject b has 10 10 | - 10; NaN where there is nothing."""
    values = np.array([[[1.0, 3.0]], [[5.0, np.nan]], [[10.0, 10.0]], [[np.nan, 10.0]]])
    subject = np.array(["a", "a", "b", "b"])
    nan = np.nan
    apart = [[[-1, 0]], [[1, nan]], [[0, 0]], [[nan, 0]]]  # 1 and 5: mean 3, SD 2
    np.testing.assert_allclose(standardise(values, subject, values, subject), apart)
    sd = np.sqrt(8 / 3)  # 1, 3 and 5
    together = [[[-2 / sd, 0]], [[2 / sd, nan]], [[0, 0]], [[nan, 0]]]
    np.testing.assert_allclose(standardise(values, subject, values, subject, (-1,)), together, rtol=1e-6)
    # By what is known of a alone, 2 6 | 4 -: mean 3, SD 1, and 6, which does not vary. Nothing is known of b.
    known, whose = np.array([[[2.0, 6.0]], [[4.0, nan]]]), np.array(["a", "a"])
    by_others = [[[-2, -3]], [[2, nan]], [[nan, nan]], [[nan, nan]]]
    np.testing.assert_allclose(standardise(values, subject, known, whose), by_others)


def rows_with(noise):
    """A batch source of two modalities in which rows 2 and 5 have no EDA; `noise` is stored there."""
    rng = np.random.default_rng(0)
    feeds = {}
    for k, m in enumerate(("ecg", "eda")):
        array = torch.from_numpy(rng.standard_normal((1, 8 * 64)).astype(np.float32))
        start = np.arange(8) * 64
        gone = np.isin(np.arange(8), (2, 5)) & (k == 1)
        if k == 1 and noise is not None:
            for row in np.flatnonzero(gone):
                array[:, row * 64 : row * 64 + 64] = noise
        rows = Rows(start, start, np.where(gone, start, start + 64), np.full(8, 64), 64)
        feeds[m] = ResidentFeed(rows, "cpu", array)
    y = torch.tensor([0.0, 1.0] * 4)[:, None]
    return Data(feeds, 8, "cpu", y, torch.ones(8))


def network(fusion):
    torch.manual_seed(0)
    pool = registry.load_plugin("encoder", plugin("Pool"))
    recipe = pool.recipes["quick"]
    spec = {m: InputSpec(m, (1, 64), ("x",), 16.0) for m in ("ecg", "eda")}
    encoders = {m: pool(recipe).build(spec[m]) for m in spec}
    tokens = {m: token_spec(encoder, spec[m]) for m, encoder in encoders.items()}
    kind = registry.load_plugin("fusion", fusion)
    return Model(encoders, tokens, kind(kind.recipes["quick"]).build(tokens, OUTPUTS))


@pytest.mark.parametrize("fusion", ["concat", "cross_attn"])
@pytest.mark.parametrize("training", [True, False])
def test_noise_in_absent_rows_changes_no_output_and_no_gradient(fusion, training):
    predictions = []
    for noise in (None, torch.randn(1, 64), torch.full((1, 64), torch.nan), torch.full((1, 64), 1e30)):
        model = network(fusion).train(training)
        module = Supervised(model, OUTPUTS)
        batch = rows_with(noise).batch(np.arange(8))
        torch.manual_seed(1)
        loss, _ = module(batch)
        loss.backward()
        grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        predictions.append((loss.detach(), *grads))
    for other in predictions[1:]:
        for a, b in zip(predictions[0], other, strict=True):
            assert torch.equal(a, b)
    assert torch.isfinite(predictions[0][0])


def test_a_batch_without_any_row_of_a_modality_is_answered():
    data = rows_with(None)
    output = network("concat").eval()(data.batch(np.array([2, 5])))
    assert torch.isfinite(output.logits).all()


def test_feature_rows_of_absent_modalities_are_packed_away():
    feed = FeatureFeed(torch.arange(6.0)[:, None], np.array([1, 0, 1, 1, 0, 1], bool), "cpu")
    batch = Data({"ecg": feed}, 6, "cpu").batch(np.array([0, 1, 2]))
    assert batch.x["ecg"].ravel().tolist() == [0, 2]
    assert batch.rows["ecg"].tolist() == [0, 2]
