"""Lags between labels and signals: where they are found, what is counted, and what they must not change."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from embench.errors import UsageError
from embench.records.record import read_record

from ..tiny import lagging
from ..tiny.running import Bench
from ..tiny.world import RULES

DATASET = f"{Path(lagging.__file__)}:Lagging"
SECONDS = {"unit": {"rating": "recording", "continuous_s": 1.0, "condition_s": 10.0}, "primary_metric": "by_design"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("lag")
    (root / "Lagging").mkdir()
    for number in range(12):
        np.savez(root / "Lagging" / f"p{number:02d}.npz")
    (root / "seconds.yaml").write_text(yaml.safe_dump({**RULES, **SECONDS}))
    return Bench(root, root / "runs", DATASET, protocol=str(root / "seconds.yaml"))


def test_a_lag_of_the_card_is_no_option(bench):
    asked = {"encoder": "Moments", "fusion": "boosting", "modalities": "eda", "targets": "prompt"}
    plain, same, other = (bench.plan(**asked, lag=lag) for lag in (None, "0", "2.5"))
    assert same.id == plain.id
    assert (same.protocol, other.protocol.name) == (plain.protocol, "mine-lag2.5s")
    assert other.protocol.hash != plain.protocol.hash
    assert other.folds == plain.folds
    assert plain.test.targets[0].rule.lag_s == 0


def test_a_protocol_file_names_its_lag(bench, tmp_path):
    rules = yaml.safe_load(Path(bench.protocol).read_text())
    path = tmp_path / "late.yaml"
    path.write_text(yaml.safe_dump({**rules, "name": "late", "lag_s": -1.5}))
    asked = {"encoder": "Moments", "fusion": "boosting", "modalities": "eda", "targets": "prompt"}
    plan, by_option = bench.plan(**asked, protocol=str(path)), bench.plan(**asked, lag="-1.5")
    assert plan.protocol.name == "late"
    np.testing.assert_array_equal(plan.test.label["prompt"], by_option.test.label["prompt"])
    assert bench.plan(**asked, protocol=str(path), lag="3").protocol.name == "late-lag3s"


@pytest.mark.parametrize(
    ("lag", "target", "message"),
    [
        ("2", "liked", "ratings of whole recordings"),
        ("soon", "prompt", "not a number of seconds"),
        ("1,2", "prompt", "not a number of seconds"),
        ("61", "prompt", "a lag of 61 s"),
        ("nan", "prompt", "a lag of nan s"),
    ],
)
def test_what_no_lag_can_be(bench, lag, target, message):
    with pytest.raises(UsageError, match=message):
        bench.plan("Moments", fusion="logreg", modalities="eda", targets=target, lag=lag)


@pytest.mark.slow
def test_a_planted_delay_is_found_with_its_sign_and_controls_know_nothing_of_it(bench, embench):
    own = bench.line("--fusion", "boosting", "--modalities", "eda", "--target", "prompt,late", encoder="Moments")
    done = embench("grid", *own[1:], "--lag", "-6,-3,0", "--lag", "3")
    assert done.code == 0, done.err
    name = "concordance_crossed_moment"
    records = [read_record(path.parent) for path in bench.runs.glob("Lagging/*/run.yaml")]
    assert len(records) == 4
    for target, planted in (("prompt", "mine-lag-3s"), ("late", "mine-lag3s")):
        curve = {known.manifest.protocol.name: known.scores.get_score(target, name).mean for known in records}
        assert curve.pop(planted) > 0.8
        assert all(0.4 < score < 0.6 for score in curve.values())
        for known in records:
            assert known.scores.get_score(target, name, "stimulus_moment").mean == pytest.approx(0.5, abs=0.02)
    # The labels of each lag are an evaluation on the same people, and all are counted before the first is scored.
    assert [known.manifest.methods_evaluated["prompt"] for known in records] == [4, 4, 4, 4]


def test_a_unit_that_a_lag_moves_out_of_its_recording_is_not_scored(bench):
    labelled = {}
    for lag in ("-3", "0", "3"):
        cohort = bench.plan("Moments", fusion="boosting", modalities="eda", targets="prompt", lag=lag).test
        known = np.isfinite(cohort.label["prompt"])
        labelled[lag] = {int(cohort.units[i].start) for i in np.flatnonzero(known)}
    seconds = set(range(lagging.SECONDS))
    assert labelled == {"-3": seconds - {0, 1, 2}, "0": seconds, "3": seconds - {37, 38, 39}}
