"""Synthetic data that are asked for again: written once, and never mixed with something else."""

from pathlib import Path

import pytest

import embench
from embench.data import find
from embench.errors import UsageError


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_data_that_are_there_stay(tmp_path):
    made = embench.synthesize("stress_predict", tmp_path / "stress_predict", subjects=2, length_s=60)
    before = times(made)
    assert embench.synthesize("stress_predict", made, subjects=2, length_s=60) == made
    assert times(made) == before
    assert embench.open_dataset("stress_predict", data_root=tmp_path).subjects()


@pytest.mark.parametrize("other", [{"subjects": 3}, {"seed": 1}, {"effect": 0.5}, {"length_s": 70}])
def test_other_settings_are_refused(tmp_path, other):
    how = {"subjects": 2, "length_s": 60}
    embench.synthesize("stress_predict", tmp_path / "made", **how)
    with pytest.raises(UsageError, match="other synthetic data") as caught:
        embench.synthesize("stress_predict", tmp_path / "made", **{**how, **other})
    assert caught.value.where == "out="


def test_files_of_ones_own_are_not_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        embench.synthesize("stress_predict", tmp_path, subjects=2)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_was_interrupted_is_written_again(tmp_path, monkeypatch):
    out = tmp_path / "made"
    whole = find.registry.synthesizer("stress_predict")

    def interrupted(out, subjects, seed, effect, *, length_s=None):
        whole(out, subjects, seed, effect, length_s=length_s)
        raise KeyboardInterrupt

    monkeypatch.setattr(find.registry, "synthesizer", lambda _: interrupted)
    with pytest.raises(KeyboardInterrupt):
        embench.synthesize("stress_predict", out, subjects=2, length_s=60)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    out.mkdir()  # an empty folder is as good as none
    assert list(embench.synthesize("stress_predict", out, subjects=2, length_s=60).iterdir())
