"""Ablations in one command: each row has the window, context or normalisation that its settings name."""

import json
import os
from pathlib import Path

import pytest
import yaml

from embench.engine.fits import load_labelled_data
from embench.errors import UsageError
from embench.planning.plan import make
from embench.planning.request import Request
from embench.protocols import load_protocol


def test_a_normalisation_is_a_variant_with_the_same_folds_that_is_ranked_apart(shared):
    usual = shared.plan("Pool", modalities="ecg")
    other = shared.plan("Pool", modalities="ecg", settings=("protocol.normalise=none",))
    assert other.protocol.name == f"{usual.protocol.name}-normalise-none"
    assert other.protocol.hash != usual.protocol.hash
    assert other.folds == usual.folds
    assert {s.params.common.source.normalise for s in other.graph.stages.values()} == {"none"}
    (stage, *_) = [s for s in other.graph.stages.values() if s.kind == "unimodal"]
    data, _, train, *_ = load_labelled_data(stage)
    assert abs(float(data.batch(train).x["ecg"].std()) - 1) > 0.01
    same = shared.plan("Pool", modalities="ecg", settings=(f"protocol.normalise={usual.protocol.normalise}",))
    assert (same.protocol.name, same.protocol.hash) == (usual.protocol.name, usual.protocol.hash)


@pytest.mark.parametrize("value", ["calibration_data", "zscore", ""])
def test_a_wrong_normalisation_is_refused(shared, value):
    with pytest.raises(UsageError, match="is not a normalisation"):
        shared.plan("Pool", modalities="ecg", settings=(f"protocol.normalise={value}",))


def test_the_path_that_decides_is_named(shared):
    with pytest.raises(UsageError, match="trained end to end") as refused:
        shared.plan("Pool", modalities="ecg,eda", fusion="concat", settings=("encoder[ecg].lr=0.1",))
    assert "fusion.lr for concat; encoder.lr for fusions such as late" in str(refused.value)
    shared.plan("Pool", modalities="ecg,eda", fusion="late", settings=("encoder[ecg].lr=0.1",))


def test_a_protocol_is_printed_as_a_file_that_can_be_used(embench, tmp_path):
    text = embench("info", "subject-independent-v4", "--yaml").out
    changed = {**yaml.safe_load(text), "name": "mine", "rate_hz": 64.0}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed))
    assert load_protocol(tmp_path / "mine.yaml").rate_hz == 64
    (facts,) = json.loads(embench("info", tmp_path / "mine.yaml", "--json").out)
    assert facts["rate"].startswith("64 Hz")
    assert facts["normalisation"].startswith("subject_unlabelled")
    (published,) = json.loads(embench("info", "subject-independent-v4", "--json").out)
    assert published["rate"].startswith("128 Hz")


@pytest.mark.slow
def test_contexts_of_10_30_and_60_s_hold_that_much_signal_in_one_command(embench, tmp_path):
    data = Path(os.environ.get("EMBENCH_TEST_DATA", "-")) / "stress_predict"
    if not data.is_dir():
        pytest.skip("needs stress_predict in $EMBENCH_TEST_DATA")
    lengths, protocol = (10, 30, 60), tmp_path / "two-folds.yaml"
    protocol.write_text("{extends: subject-independent-v4, name: two-folds, split: {by: group, folds: 2}}")
    small = ("encoder.view.kind=context", "encoder.epochs=1", "encoder.build.layers=0", "encoder.prepare.rate_hz=4")
    line = ["--dataset", "stress_predict", "--data-root", data.parent, "--encoder", "cnn_tf", "--modalities", "eda"]
    line += ["--seeds", "0", "--recipe", "small", "--device", "cpu", "--runs", tmp_path / "runs", "--workers", "1"]
    line += ["--protocol", protocol, "--dev", "--no-confounds"]
    settings = [word for each in (*small, *(f"encoder.view.length_s={s}" for s in lengths)) for word in ("--set", each)]
    done = embench("grid", *line, *settings, "--json")
    assert done.code == 0, done.err
    rows = [row for result in json.loads(done.out) for row in result["rows"]]
    assert len({row["run"] for row in rows}) == len(rows) == len(lengths)
    for length in lengths:
        assert f"a context of {length} s at 4 Hz (1 x {4 * length})" in done.err
        plan = make(
            Request("stress_predict", ("cnn_tf",), modalities="eda", recipe="small", seeds="0", device="cpu", dev=True,
                    protocol=str(protocol), data_root=data.parent, runs=tmp_path / "runs", confounds=False,
                    settings=(*small, f"encoder.view.length_s={length}"))
        )  # fmt: skip
        assert plan.folder.is_dir()  # the run of the row
        stage = next(s for s in plan.graph.stages.values() if s.kind == "unimodal")
        windows, _, train, *_ = load_labelled_data(stage)
        batch = windows.batch(train)
        assert batch.x["eda"].shape[-1] == 4 * length
        mask = batch.mask["eda"]
        assert mask is None or float(mask.all(1).float().mean()) > 0.95  # but for units at the beginning of a recording
