"""Plans that are made together: they are those of single runs, and see one state of the files."""

from dataclasses import replace

import pytest

from embench.files import cached, cached_call, snapshot
from embench.planning.plan import forecast_stages, make

from ..tiny.world import plugin


def everything(plan):
    """All of a plan that decides what is run."""
    folds = {seed: [(f.index, f.train, f.val, f.test) for f in folds] for seed, folds in plan.folds.items()}
    expected = [(p.stage, p.seed, p.fold, p.units, p.train) for p in plan.graph.predictions]
    return plan.id, list(plan.graph.stages), folds, expected


def requests(shared):
    own = (plugin("FragileMasked"),)
    plain = shared.plan("Pool", fusion="late").request
    return [
        plain,
        replace(plain, fusion="single", modalities="ecg"),
        replace(plain, fusion="single", modalities="eda", seeds="0,1"),
        replace(plain, fusion="logreg"),
        replace(plain, pretrainers=own),
        replace(plain, pretrainers=("signal_transform",), fusion="shared_tf"),
        replace(plain, label_subjects="2"),
        replace(plain, label_fraction="0.5"),
        replace(plain, dev=True),
        replace(plain, drop="eda"),
        replace(plain, protocol="segment-random-legacy"),
        plain,
    ]


def test_plans_of_a_grid_are_those_of_single_runs(shared):
    asked = requests(shared)
    alone = [everything(make(request)) for request in asked]
    with snapshot():
        together = [everything(make(request)) for request in asked]
        backwards = [everything(make(request)) for request in reversed(asked)]
    assert together == alone
    assert backwards[::-1] == alone


def test_a_network_of_several_runs_is_measured_once(shared):
    plain, started = (shared.plan("Pool", modalities="ecg", pretrainers=names) for names in ((), ("masked_value",)))

    def expected(plan):
        return [forecast_stages([stage])[stage.id] for stage in plan.graph.stages.values() if stage.kind == "unimodal"]

    with snapshot():
        assert expected(plain) == expected(started)
    assert expected(plain) != expected(started)  # what a clock measures twice differs


def test_a_snapshot_shows_one_state_of_a_file_and_the_next_one_the_new_state(tmp_path):
    path = tmp_path / "file.txt"
    read = cached(lambda path: path.read_text())
    path.write_text("old")
    with snapshot():
        assert read(path) == "old"
        path.write_text("new")
        with snapshot():
            assert read(path) == "old"
        assert read(path) == "old"
    assert read(path) == "new"
    with snapshot():
        assert read(path) == "new"


def test_an_error_is_not_remembered(tmp_path):
    read = cached(lambda path: path.read_text())
    with snapshot():
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "file.txt")
        (tmp_path / "file.txt").write_text("there now")
        assert read(tmp_path / "file.txt") == "there now"


def test_what_cannot_be_hashed_is_equal_to_itself_alone():
    one, same = {"a": 1}, {"a": 1}
    with snapshot():
        assert cached_call(("key", one), lambda: "one") == "one"
        assert cached_call(("key", one), lambda: "again") == "one"
        assert cached_call(("key", same), lambda: "other") == "other"


def test_arrays_that_plans_share_cannot_be_changed(shared):
    plan = shared.plan("Pool", modalities="ecg")
    (first, *_) = plan.graph.stages.values()
    with pytest.raises(ValueError, match="read-only"):
        first.task["all_start"][0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        plan.test.label[plan.test.targets[0].name][:] = 0
