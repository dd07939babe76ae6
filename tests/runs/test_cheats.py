"""Plugins that are not bundled: what they remember is found, and an answer of a wrong shape ends with their name."""

from pathlib import Path

import pytest

from embench.errors import PluginError
from embench.leaderboard.entries import publish_runs
from embench.records.ledger import read_ledger

from ..sample import sample
from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, write

CHEATS = Path(__file__).parents[1] / "tiny" / "cheating.py"


def cheat(name: str) -> str:
    return f"{CHEATS}:{name}"


def test_ranks_in_the_batch_that_are_remembered(bench):
    """Asked again in the same process, each row alone gets what it got in the batch."""
    with pytest.raises(
        PluginError, match="a unit's prediction depends on the units that were predicted before it: unit p0"
    ) as error:
        bench.run("Moments", fusion=cheat("Ranks"), modalities="ecg")
    assert error.value.exit_code == 4
    assert "Ranks" in error.value.where
    [look] = read_ledger(bench.runs)  # no label was opened, and the refusal counts as if some had been
    assert look["run"] == f"refusal of {look['refused']}"


@pytest.mark.parametrize("encoder", ["Centred", "Drifting"])
def test_what_is_remembered_of_other_recordings(bench, monkeypatch, tmp_path, encoder):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    fusion = "single" if encoder == "Drifting" else "logreg"
    with pytest.raises(PluginError, match="ecg of recording p05-v3 gets other features alone") as error:
        bench.run(cheat(encoder), fusion=fusion, modalities="ecg")
    assert encoder in error.value.where


def test_what_is_remembered_of_other_segments(tmp_path):
    data = write(tmp_path, make_subjects(6, stimuli=1, seconds=240.0, start_s=0.0), dataset="Session")
    session = Bench(data, tmp_path / "runs", "Session", few_folds(tmp_path))
    with pytest.raises(PluginError, match="ecg of recording p05-v0 gets other features alone"):
        session.run(cheat("Whitened"), fusion="logreg", modalities="ecg", targets="stress")


def test_conformance_is_checked_once_and_stands_in_the_record(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    run = bench.run("Moments", fusion=cheat("Honest"), modalities="ecg")
    found = run.manifest["conformance"]
    assert found["fusion"] == found["dataset"] == {"id": "passed"}
    assert found["encoder[ecg]"]["id"] == "failed_check"  # its module is empty
    [(_, reasons)] = publish_runs([run.folder], tmp_path / "boards", lambda _: b"")[1].items()
    assert "its encoder[ecg] does not pass the conformance checks" in "; ".join(reasons)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "conformance").iterdir()}
    assert len(kept) == 3
    bench.run("Moments", fusion=cheat("Honest"), modalities="eda")
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "conformance").iterdir()}


WRONG = {
    "TwoColumns": ("Moments", "`score` gave float64 of shape"),
    "OneForAll": ("Moments", "`score` gave float64 of shape (1,)"),
    "Texts": ("Moments", "`score` gave <U4 of shape"),
    "BareTensor": ("", "the encoder of ecg gave Tensor"),
    "Flat": ("", "the encoder of ecg gave a x of shape"),
    "HalfTheRows": ("", "the encoder of ecg gave a x of shape"),
    "NoModule": ("", "built NoneType"),
    "NoFigures": ("", "`fit_stats` gave list"),
    "WideHead": ("", "2 logits a row"),
    "FlatStream": ("", "a stream of shape"),
    "NoSignal": ("", "the encoder failed: AttributeError"),
    "WideFusion": ("Pool", "2 logits a row"),
    "BareFusion": ("Pool", "the fusion gave Tensor"),
    "FlatFeatures": ("", "features of shape"),
    "NoNumbers": ("", "the encoder failed: ValueError"),
    "NoObjective": ("Pool", "built dict"),
    "NoLoss": ("Pool", "the objective gave Tensor"),
}
"""A plugin, the encoder with which it is asked where it is none itself, and what is found."""


@pytest.mark.parametrize("name", sample(WRONG, "TwoColumns", "HalfTheRows", "BareFusion"))
def test_an_answer_of_a_wrong_shape_ends_with_the_plugins_name(bench, embench, name):
    encoder, found = WRONG[name]
    kind = "--pretrainer" if name.startswith("No") and encoder else "--fusion"
    others = (
        [kind, cheat(name)]
        if encoder
        else ["--fusion", "logreg" if name in ("FlatFeatures", "NoNumbers") else "single"]
    )
    done = embench(*bench.line("--modalities", "ecg", "--target", "arousal", *others, encoder=encoder or cheat(name)))
    assert done.code == 4, done.err
    fault = done.err[done.err.index("plugin: ") :]
    assert found in fault
    assert name in fault
