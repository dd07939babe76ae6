"""A run keeps the hidden layer behind each of its predictions."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from embench.records.predictions import read_embeddings


@pytest.mark.slow
def test_networks_leave_a_hidden_vector_for_every_predicted_unit(bench):
    result = bench.run("Pool", fusion="concat", targets="arousal,valence", seeds="0,1")
    kept = read_embeddings(result.folder)
    rows = result.predictions.take(result.predictions["method"] == "model")
    predicted = sorted(zip(*(rows[c].tolist() for c in ("target", "seed", "fold", "unit")), strict=True))
    columns = (kept.target, kept.seed, kept.fold, kept.unit)
    assert sorted(zip(*(c.tolist() for c in columns), strict=True)) == predicted
    assert kept.x.dtype == np.float32
    assert kept.x.shape == (len(predicted), 8)  # two modalities side by side, four wide each
    assert np.ptp(kept.x, axis=0).min() > 0


def test_the_read_out_of_a_units_hidden_vector_is_its_score(bench):
    """Where a unit is one row, what was kept is what the last layer read: recomputed here by hand."""
    result = bench.run("Pool", fusion="single", modalities="eda", settings=("encoder.view.kind=unit",))
    kept, predictions = read_embeddings(result.folder), result.predictions
    rows = predictions.take(predictions["method"] == "model")
    score = dict(zip(rows["unit"].tolist(), rows["score"].tolist(), strict=True))
    for fold in np.unique(kept.fold).tolist():
        (path,) = (result.folder / "weights").glob(f"seed0-fold{fold}-*.safetensors")
        state = load_file(path)
        own = kept.take(kept.fold == fold)
        logits = torch.from_numpy(own.x) @ state["head.linear.weight"].T + state["head.linear.bias"]
        expected = [score[unit] for unit in own.unit.tolist()]
        np.testing.assert_allclose(torch.sigmoid(logits[:, 0]).numpy(), expected, atol=1e-6)


@pytest.mark.slow
def test_estimators_leave_what_they_read_of_frozen_nets_and_nothing_of_features(bench):
    on_features = bench.run("Moments", fusion="logreg", modalities="eda")
    assert read_embeddings(on_features.folder) is None
    on_hidden = bench.run("Pool", fusion="logreg")
    kept = read_embeddings(on_hidden.folder)
    assert kept.x.shape[1] == 8
    assert len(kept) == (on_hidden.predictions["method"] == "model").sum()
