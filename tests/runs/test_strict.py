"""`normalise: baseline`: a method gets nothing to normalise a test subject with but the rest that the card declares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from embench.engine.assemble import assemble
from embench.engine.feed import Data
from embench.engine.rows import StoreSource, build_grid
from embench.errors import UsageError
from embench.planning.plan import Plan
from embench.runs.run import run

from ..sample import sample
from ..tiny.running import Bench
from ..tiny.world import RULES, TIMELESS, make_subjects, plugin, write

STRICT = "subject-independent-strict-v4"
REST_S = 4.0


@pytest.fixture
def unfiltered(tmp_path) -> str:
    """A strict protocol that leaves an ECG's samples as they are, so that they can be followed one by one."""
    return rules(tmp_path / "unfiltered.yaml", "baseline")


def rules(path: Path, normalise: str) -> str:
    path.write_text(yaml.safe_dump({**RULES, "normalise": normalise, "preprocess": "woo2023", "rate_hz": 64}))
    return str(path)


def data_of(plan: Plan) -> tuple[Data, list[str]]:
    """What the first fitting stage of a plan reads, and the recording of each of its rows."""
    stage = next(s for s in plan.graph.stages.values() if s.kind in ("unimodal", "estimator"))
    source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
    modalities = stage.params.modalities
    whole = [stage.task[f"all_{name}"] for name in ("recording", "start", "stop")]
    data, _ = assemble(source, modalities, build_grid(modalities, None, *whole), "cpu")
    return data, [source.store.recordings[r].id for r in whole[0]]


def rows_of(plan: Plan) -> dict[str, np.ndarray]:
    """Recording -> what the method reads of it."""
    data, recordings = data_of(plan)
    (feed,) = data.feeds.values()
    made = {}
    for row in np.flatnonzero(feed.present):
        x, mask = feed.batch_rows(np.array([row]))
        made[recordings[row]] = (x[0] if mask is None else x[0][:, mask[0]]).numpy()
    return made


def test_signals_are_z_scored_by_what_was_recorded_at_rest(tmp_path, unfiltered):
    bench = Bench(write(tmp_path, make_subjects(6), dataset="Rested"), tmp_path / "runs", "Rested")
    plan = bench.plan(("Whole",), modalities="ecg", protocol=unfiltered)
    store, rows = plan.test.store, rows_of(plan)
    rate = store.modalities["ecg"].rate
    assert len(rows) == 24
    for entry in store.recordings:
        theirs = [e for e in store.recordings if e.subject == entry.subject]
        rest = np.concatenate([store.signal(e.id, "ecg").data[:, : round(REST_S * rate)] for e in theirs], 1)
        own = np.asarray(store.signal(entry.id, "ecg").data, np.float64)
        expected = (own - rest.mean(1, dtype=np.float64)[:, None]) / rest.std(1, dtype=np.float64)[:, None]
        np.testing.assert_allclose(rows[entry.id], expected, atol=1e-4)


def test_features_are_z_scored_by_what_they_were_at_rest(tmp_path, unfiltered):
    bench = Bench(write(tmp_path, make_subjects(6), dataset="Rested"), tmp_path / "runs", "Rested")
    plan = bench.plan("Moments", fusion="logreg", modalities="ecg", protocol=unfiltered)
    store, rows = plan.test.store, rows_of(plan)
    rate = store.modalities["ecg"].rate

    def moments(recording: str, seconds: float) -> np.ndarray:
        x = np.asarray(store.signal(recording, "ecg").data, np.float64)[:, : round(seconds * rate)]
        return np.concatenate([x.mean(1), x.std(1)])

    for entry in store.recordings:
        # A unit is longer than the rest, which is then one window in each of the subject's recordings.
        rest = np.stack([moments(e.id, REST_S) for e in store.recordings if e.subject == entry.subject])
        expected = (moments(entry.id, entry.duration_s) - rest.mean(0)) / rest.std(0)
        np.testing.assert_allclose(rows[entry.id], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("encoder", "fusion"), [("Whole", "single"), ("Moments", "logreg")])
def test_nothing_else_of_a_subject_reaches_a_unit(tmp_path, unfiltered, encoder, fusion):
    """Whatever happens in a subject's other recordings after their rest, a unit is read as before, to the last bit;
    under the usual protocol it is not."""

    def after_rest(change: Callable[[np.ndarray], np.ndarray], name: str) -> Bench:
        write(tmp_path / name, make_subjects(6), dataset="Rested")
        path = tmp_path / name / "Rested" / "p02.npz"
        with np.load(path) as content:
            arrays = dict(content)
        for key, x in arrays.items():
            if key.endswith(" ecg") and not key.startswith("p02-v0"):
                x[:, round(64 * REST_S) :] = change(x[:, round(64 * REST_S) :])
        np.savez(path, **arrays)
        return Bench(tmp_path / name, tmp_path / "runs", "Rested")

    before, after = after_rest(lambda x: x, "before"), after_rest(lambda x: 10 * x + 3, "after")
    usual = rules(tmp_path / "usual.yaml", "subject_unlabelled")
    for protocol, kept in ((unfiltered, True), (usual, False)):
        options = {"fusion": fusion, "modalities": "ecg", "protocol": protocol}
        one, other = (rows_of(bench.plan(encoder, **options)) for bench in (before, after))
        assert np.array_equal(one["p02-v0"], other["p02-v0"]) is kept
        assert not np.array_equal(one["p02-v1"], other["p02-v1"])
        np.testing.assert_array_equal(one["p03-v0"], other["p03-v0"])


@pytest.mark.parametrize(
    ("encoder", "fusion"), sample([("Whole", "single"), ("Moments", "logreg")], ("Moments", "logreg"))
)
def test_a_subject_without_rest_has_no_such_modality(tmp_path, unfiltered, encoder, fusion):
    all_subjects = make_subjects(6, seconds=20.0)
    for row in all_subjects["p02"]:
        row["seconds"] = 10.0  # over before the rest begins
    bench = Bench(write(tmp_path, all_subjects, dataset="RestedLate"), tmp_path / "runs", "RestedLate")
    plan = bench.plan(encoder, fusion=fusion, modalities="ecg", protocol=unfiltered)
    assert {recording[:3] for recording in rows_of(plan)} == {"p00", "p01", "p03", "p04", "p05"}
    result = run(plan.request)
    model = result.predictions.take(result.predictions["method"] == "model")
    assert "p02" not in model["subject"]
    assert result.scores["absent"] == {"arousal": 4}


def test_a_run_says_what_it_was_given(tmp_path):
    bench = Bench(write(tmp_path, make_subjects(6, **TIMELESS), dataset="Rested"), tmp_path / "runs", "Rested")
    result = bench.run("Moments", fusion="logreg", modalities="ecg", protocol=STRICT)
    assert result.manifest["target_access"] == "baseline"
    assert result.manifest["protocol"]["leaks"] is False
    assert np.isfinite(result.predictions["score"]).all()


def test_a_dataset_without_declared_rest_is_refused(shared, embench, tmp_path):
    done = embench(*shared.line("--modalities", "ecg", "--protocol", STRICT))
    assert done.code == 2
    assert f"{STRICT} normalises each subject by a resting baseline, but tiny declares none" in done.err
    assert not done.out
    write(tmp_path, make_subjects(6), dataset="Rested")
    write(tmp_path, make_subjects(5), dataset="Other", seed=5)
    bench = Bench(tmp_path, tmp_path / "runs", "Rested")
    for options in ({"train_dataset": plugin("Other")}, {"pretrainers": (f"masked_value:{plugin('Other')}",)}):
        with pytest.raises(UsageError, match="but other declares none"):
            bench.plan("Pool", modalities="ecg", protocol=STRICT, **options)


def test_pretraining_on_the_tested_subjects_is_refused(tmp_path):
    from embench.runs.pretrain import pretrain

    write(tmp_path, make_subjects(6), dataset="Rested")
    bench = Bench(tmp_path, tmp_path / "runs", "Rested")
    inside = bench.plan("Pool", modalities="ecg", protocol=STRICT, pretrainers=("masked_value",))
    assert inside.overlap == "none"
    with pytest.raises(UsageError, match="pretraining used test subjects of rested") as error:
        bench.plan("Pool", modalities="ecg", protocol=STRICT, pretrainers=(f"masked_value:{plugin('Rested')}",))
    assert error.value.where == "--pretrainer"
    made = pretrain(bench.request("Pool", modalities="ecg", protocol=STRICT, pretrainers=("masked_value",)))
    with pytest.raises(UsageError, match="pretraining used test subjects of rested") as error:
        bench.plan("Pool", modalities="ecg", protocol=STRICT, pretrained=made.id)
    assert error.value.where == "--pretrained"
