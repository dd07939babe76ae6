"""One channel of a modality, `eda[left]`, alone and joined with others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from embench.engine.fits import load_labelled_data
from embench.errors import UsageError
from embench.planning.request import Request
from embench.records.record import read_record
from embench.report import write_report
from embench.store import derive


def rows_of(plan):
    (stage, *_) = [s for s in plan.graph.stages.values() if s.kind in ("estimator", "unimodal")]
    data, specs, *_ = load_labelled_data(stage)
    (m,) = stage.params.modalities
    return data.feeds[m], specs[m]


def test_a_lead_is_read_alone_or_joined_with_others(shared):
    store = shared.plan("Pool", modalities="ecg").fit.store
    whole = derive.joined(store, "eda")
    assert whole.channels == ("left", "right")
    for at, lead in enumerate(whole.channels):
        one = derive.joined(store, f"eda[{lead}]")
        assert one.channels == (lead,)
        np.testing.assert_array_equal(one.array[0], whole.array[at])
    joined, both = derive.joined(store, "eda[right]+ecg"), derive.joined(store, "eda+ecg")
    assert joined.channels == ("right", "ecg")
    np.testing.assert_array_equal(joined.array, both.array[1:])
    assert len({one.key for one in (whole, joined, both, derive.joined(store, "eda[right]"))}) == 4


def test_encoders_see_a_modality_with_one_channel(shared):
    feed, spec = rows_of(shared.plan("Moments", fusion="logreg", modalities="eda[left]"))
    both, _ = rows_of(shared.plan("Moments", fusion="logreg", modalities="eda"))
    assert spec.modality == "eda"
    there = feed.present & both.present
    np.testing.assert_array_equal(feed.array[there], both.array[there][:, ::2])  # mean and SD of each channel
    _, spec = rows_of(shared.plan("Pool", fusion="single", modalities="ecg+eda[right]"))
    assert (spec.modality, spec.channels) == ("ecg+eda", ("ecg", "right"))


def test_a_channel_keeps_its_level_where_its_modality_does(shared):
    plan = shared.plan("Pool", fusion="single", modalities="eda[left]")
    (stage, *_) = [s for s in plan.graph.stages.values() if s.kind == "unimodal"]
    common = stage.params.common
    source = replace(common.source, normalise="recording_unlabelled", keep_level=("eda",))
    stage = replace(stage, params=replace(stage.params, common=replace(common, source=source)))
    _, specs, *_ = load_labelled_data(stage)
    store, task = plan.fit.store, stage.task
    learned = [store.recordings[r].id for r in task["recording"][task["role"] == 0]]
    left = np.concatenate([store.signal(r, "eda").data[0] for r in learned])
    np.testing.assert_allclose(specs["eda[left]"].fitted["mean"], [left.mean()], rtol=1e-5)


def test_handcrafted_features_are_those_of_one_lead(shared):
    _, spec = rows_of(shared.plan("handcrafted", fusion="logreg", modalities="eda[left]"))
    assert spec.shape == (24,)
    assert not any(name.startswith("left_") for name in spec.channels)


def test_a_run_of_leads_is_recorded_and_read_again(shared):
    settings = ("encoder[ecg+eda[left]].epochs=1", "fusion.epochs=1")
    result = shared.run("Pool", fusion="concat", modalities="ecg+eda[left],eda[right]", settings=settings)
    record = read_record(result.folder)
    assert record.run["method"]["modalities"] == ["ecg+eda[left]", "eda[right]"]
    assert record.run["config"]["parts"]["encoder[ecg+eda[left]]"]["epochs"] == 1


@pytest.mark.slow
def test_a_report_compares_channels_with_runs_of_one_of_them(shared, tmp_path):
    published = partial(shared.run, "Pool", protocol=Request.protocol)
    both = published(fusion="concat", modalities="eda[left],eda[right]", settings=("fusion.epochs=1",))
    one = published(fusion="single", modalities="eda[right]", settings=("encoder.epochs=1",))
    html = write_report(both.folder, tmp_path / "report.html", data_root=shared.data, trust_code=True).read_text()
    assert "eda[right] alone" in html
    assert one.id in html
    assert "with another encoder" not in html
    assert "eda, left" in html
    assert "eda, right" in html


@pytest.mark.parametrize(
    ("modalities", "what", "expected"),
    [
        ("eda[up]", "tiny has no channel `up` of eda", "eda, eda[left], eda[right]"),
        ("ecg[left]+eda", "tiny has no channel `left` of ecg", "ecg, ecg[ecg]"),
        ("eda[]", "cannot read the modality 'eda[]'", "ecg[left]+eda"),
        ("eda[left", "cannot read the modality 'eda[left'", "ecg[left]+eda"),
        ("eda[left]]", "cannot read the modality 'eda[left]]'", "ecg[left]+eda"),
        ("[left]", "cannot read the modality '[left]'", "ecg[left]+eda"),
        ("eda+", "cannot read the modality 'eda+'", "ecg[left]+eda"),
        ("gsr[left]", "tiny has no modality `gsr`", "ecg, eda"),
        ("eda[left],eda[left]", "duplicate modality `eda[left]`", None),
    ],
)
def test_what_is_no_lead_is_refused_when_the_run_is_planned(shared, modalities, what, expected):
    with pytest.raises(UsageError) as error:
        shared.plan("Pool", fusion="concat", modalities=modalities)
    assert what in error.value.what
    assert "--modalities" in str(error.value.where)
    assert expected is None or expected in str(error.value.expected)
