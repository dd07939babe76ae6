"""A dry run prepares nothing, and says the same as one of prepared data."""

import json

import pytest

from ..tiny.world import make_subjects, plugin, write

TIMES = {"expected_s", "nuisances_s"}


@pytest.mark.parametrize(
    "method",
    [
        ("--encoder", "handcrafted", "--fusion", "logreg", "--modalities", "ecg"),
        ("--encoder", plugin("Pool"), "--modalities", "ecg", "--device", "cpu"),
    ],
    ids=["features", "network"],
)
def test_data_that_are_not_prepared_give_the_same_plan_and_stay_so(embench, tmp_path, monkeypatch, method):
    cache = tmp_path / "cache"
    monkeypatch.setenv("EMBENCH_CACHE", str(cache))
    data = (plugin("Tiny"), "--data-root", write(tmp_path / "data", make_subjects(6)))
    line = ("run", "--dataset", *data, *method, "--seeds", "0", "--runs", tmp_path / "runs", "--dry-run", "--json")
    planned = embench(*line)
    assert planned.code == 0, planned.err
    assert "warning" not in planned.err
    assert [path.name for path in cache.iterdir()] == ["file-hashes.sqlite"]
    assert not (tmp_path / "runs").exists()
    assert embench("data", "prepare", *data).code == 0
    unprepared, prepared = (json.loads(done.out) for done in (planned, embench(*line)))
    assert unprepared.keys() == prepared.keys()
    assert {k: v for k, v in unprepared.items() if k not in TIMES} == {
        k: v for k, v in prepared.items() if k not in TIMES
    }
