"""Windows, features and folds as arrays: what a run reads, bit for bit, and nothing of test subjects in training."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.utils.data import DataLoader

import embench
from embench.engine.fits import feature_rows, load_labelled_data
from embench.errors import CheckFailed, UsageError
from embench.planning.plan import make
from embench.planning.request import Request
from embench.python.running import plugin_name

from ..docs.pages import ROOT, blocks
from ..tiny.world import few_folds, plugin

DATA = os.environ.get("EMBENCH_TEST_DATA")


class Recorder(nn.Module):
    """Writes each batch that it is trained on or asked about to a file of its own."""

    def __init__(self, folder, *layers):
        super().__init__()
        self.folder, self.layers = folder, nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten())

    def forward(self, x):
        if len(x) > 1:
            name = "train" if self.training else "asked"
            number = len(list(self.folder.glob(f"{name}-*.npy")))
            np.save(self.folder / f"{name}-{number}.npy", x.numpy())
        return self.layers(x)


def about(bench, **more):
    return {"dataset": plugin("Tiny"), "data_root": bench.data, "protocol": bench.protocol, "target": "arousal", **more}


def recorded(folder, name, shape):
    """The windows of this shape that came in batches; checks of conformance have others."""
    batches = map(np.load, sorted(folder.glob(f"{name}-*.npy")))
    return as_set(row for batch in batches if batch.shape[1:] == shape for row in batch)


def as_set(rows):
    return {np.ascontiguousarray(row).tobytes() for row in rows}


LENGTHS = [{"window_s": 4}, {"window_s": 4, "step_s": 2, "rate_hz": 16}, {"context_s": 12, "rate_hz": 16}]


@pytest.mark.slow
@pytest.mark.parametrize("lengths", LENGTHS)
def test_arrays_are_what_a_network_in_a_run_receives(bench, tmp_path, lengths):
    seen = tmp_path / "seen"
    seen.mkdir()
    encoder = embench.make_encoder(
        lambda c, _: Recorder(seen, nn.Conv1d(c, 3, 1)), epochs=1, name="recorder", **lengths
    )
    where = about(bench, modalities="eda")
    embench.run(
        **where, encoder=encoder, runs=bench.runs, seeds=0, workers=1, device="cpu", confounds=False, progress=False
    )
    check_received(embench.load_windows(**where, **lengths), seen)


def check_received(own, seen):
    """Checks that a run of seed 0 was trained on, and asked about, these windows bit for bit."""
    trained, asked = (recorded(seen, name, own.X.shape[1:]) for name in ("train", "asked"))
    for fold in own.list_folds(0):
        assert as_set(own.load_arrays(fold, "train").x) <= trained
        assert as_set(x.numpy() for x, _, _ in own.to_torch(fold, "train")) <= trained
        assert as_set(own.load_arrays(fold, "test").x) <= asked


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA does not say where real data are")
def test_a_notebook_and_a_run_train_a_network_alike_on_real_recordings(tmp_path, monkeypatch):
    """The notebook is that of the page, on six subjects and in two folds."""
    root, original = tmp_path / "stress_predict", Path(str(DATA), "stress_predict")
    for name in ("Processed_data", *(f"Raw_data/S{number:02d}" for number in range(2, 8))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(original / name)
    monkeypatch.setenv("EMBENCH_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    protocol, seen = few_folds(tmp_path), tmp_path / "seen"
    notebook = next(block.body for block in blocks(ROOT / "docs" / "guide" / "arrays.md") if block.language == "python")
    assert sum(bool(line.strip()) for line in notebook.splitlines()) <= 15
    cells: dict = {}
    torch.manual_seed(0)
    exec(notebook.replace("rate_hz=16", f"rate_hz=16, protocol={protocol!r}"), cells)
    by_hand = cells["windows"].score(cells["scores"], name="mine")
    assert by_hand.answers["stress"]
    seen.mkdir()
    encoder = embench.make_encoder(
        lambda c, _: Recorder(seen, nn.Conv1d(c, 16, 16, 4), nn.ReLU()), rate_hz=16, epochs=5, class_weight="none",
        name="recorder",
    )  # fmt: skip
    run = embench.run(
        dataset="stress_predict", modalities="ppg+eda", encoder=encoder, protocol=protocol, seeds=0, device="cpu",
        workers=1, confounds=False, progress=False,
    )  # fmt: skip
    check_received(cells["windows"], seen)
    gap = embench.compare(run, by_hand, metric="auroc_within").difference
    assert gap.low <= 0 <= gap.high
    assert abs(gap.mean) < 0.1


@pytest.mark.parametrize("normalise", ["subject_unlabelled", "recording_unlabelled", "none"])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_arrays_are_the_rows_of_a_stage(bench, tmp_path, normalise, lengths):
    protocol = few_folds(tmp_path, 3, normalise=normalise)
    where = about(bench, modalities="eda,ecg", protocol=protocol)
    own = embench.load_windows(**where, **lengths)
    name = plugin_name("encoder", embench.make_encoder(nn.Linear, **lengths))
    request = Request(
        plugin("Tiny"),
        encoders=(name,),
        fusion="concat",
        modalities="eda,ecg",
        targets="arousal",
        protocol=protocol,
        seeds="0",
        device="cpu",
        data_root=bench.data,
        runs=bench.runs,
        recipe="small",
        workers=1,
    )
    stages = [stage for stage in make(request).graph.stages.values() if stage.kind == "fusion"]
    assert len(stages) == len(own.list_folds(0)) == 3
    for stage, fold in zip(stages, own.list_folds(0), strict=True):
        data, _, train, val, _ = load_labelled_data(stage)
        for role, index in (("train", train), ("validation", val)):
            x, mask, y = own.load_arrays(fold, role)
            assert np.array_equal(y, data.labels[0][:, 0].numpy()[index])
            for m, feed in data.feeds.items():
                there = feed.present[index]
                rows, seen = feed.batch_rows(index[there])
                assert np.array_equal(x[m][there], rows.numpy())
                assert not x[m][~there].any()
                assert mask[m][there].all() if seen is None else np.array_equal(mask[m][there], seen.numpy())
            loaded = own.to_torch(fold, role)
            items = next(iter(DataLoader(loaded, batch_size=len(loaded))))
            assert all(torch.equal(items[0][m], torch.from_numpy(x[m])) for m in x)
            assert all(torch.equal(items[1][m], torch.from_numpy(mask[m])) for m in x)
            assert torch.equal(items[2], torch.from_numpy(y))


def test_training_has_nothing_of_test_subjects(bench):
    own = embench.load_windows(**about(bench, modalities="eda", window_s=4))
    subject = own.meta["subject"].to_numpy()
    tested = []
    for fold in own.list_folds(0):
        parts = [set(subject[index]) for index in fold]
        assert not parts[0] & parts[2]
        assert not parts[0] & parts[1]
        assert not parts[1] & parts[2]
        assert np.isnan(own.load_arrays(fold, "test").y).all()
        assert np.isfinite(own.load_arrays(fold, "train").y).all()
        tested += fold.test.tolist()
    assert len(set(tested)) == len(tested)
    fold = own.list_folds(0)[0]
    mixed = type(fold)(np.concatenate([fold.train, fold.test]), fold.validation, fold.test)
    mixed.units = fold.units
    with pytest.raises(CheckFailed, match="training and in the test part"):
        own.load_arrays(mixed, "train")
    with pytest.raises(UsageError, match="no role"):
        own.load_arrays(fold, "val")


def test_scores_of_predictions_of_windows_are_those_of_a_run(bench, tmp_path):
    where = about(bench, modalities="eda,ecg")
    run = embench.run(
        **where,
        encoder=plugin("Moments"),
        fusion="logreg",
        runs=bench.runs,
        seeds="0,1",
        workers=1,
        confounds=False,
        progress=False,
    )
    own = embench.load_windows(**where, window_s=4, step_s=2)
    predicted = run.to_pandas("predictions").set_index(["seed", "unit"])["score"]
    rows = {seed: own.meta["unit"].map(predicted.loc[seed]).to_numpy() for seed in (0, 1)}
    result = own.score(rows, name="mine", out=tmp_path / "out")
    assert result.scores["scores"] == run.scores["scores"]
    assert "predictions for the test windows of each fold" in str(result)
    with pytest.raises(UsageError, match="shape"):
        own.score(rows[0][:-1], out=tmp_path / "other")


def test_features_are_those_that_an_estimator_receives(bench):
    frame = embench.compute_features(**about(bench, modalities="eda,ecg"))
    plan = bench.plan("handcrafted", modalities="eda,ecg", fusion="logreg", recipe="small")
    stages = [stage for stage in plan.graph.stages.values() if stage.kind == "estimator"]
    assert frame.columns.is_unique
    units = frame.index.get_level_values("unit")
    for stage in stages:
        data, _, train, _, grid = load_labelled_data(stage)
        recordings = plan.fit.store.recordings
        kept = np.isfinite(feature_rows(data)).any(0)
        assert kept.sum() > 20
        names = [next(u for u in units if u.startswith(recordings[r].id)) for r in grid.recording[train].tolist()]
        own = frame.set_axis(units).loc[names].to_numpy(np.float64)
        assert np.array_equal(own[:, kept], feature_rows(data)[train][:, kept], equal_nan=True)


def test_splitters_serve_scikit_learn(bench):
    where = about(bench)
    frame = embench.compute_features(**where, modalities="eda")
    y, units = (frame.index.get_level_values(name).to_numpy() for name in ("label", "unit"))
    model = make_pipeline(SimpleImputer(), LogisticRegression())
    cv = embench.make_splitter(**where)
    assert cv.get_n_splits() == 2
    assert len(cross_val_score(model, frame.to_numpy(), y, groups=units, cv=cv)) == 2
    own = embench.load_windows(**where, modalities="eda", window_s=4)
    for (train, test), fold in zip(own.make_splitter().split(own.X, own.y), own.list_folds(), strict=True):
        assert set(train) == set(fold.train)
        assert set(test) <= set(fold.test)
    with pytest.raises(UsageError, match="3 rows, but no units"):
        next(cv.split(np.zeros(3)))
    with pytest.raises(UsageError, match="there is no unit"):
        next(cv.split(np.zeros(1), groups=["x"]))


def test_windows_longer_than_units_are_refused(bench):
    with pytest.raises(UsageError, match="windows of 60 s, but units of tiny last at most 12 s") as caught:
        embench.load_windows(**about(bench, modalities="eda", window_s=60))
    assert caught.value.where.startswith("modality eda, window_s=60")
    assert caught.value.hint == "context_s=60"
    with pytest.raises(UsageError, match="two ways"):
        embench.load_windows(**about(bench, modalities="eda", window_s=60, context_s=60))
