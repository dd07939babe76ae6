"""Own recordings with labels by several raters: what is read, what is made of it, and what is refused."""

from pathlib import Path
from typing import ClassVar

import pytest

from embench.store import prepare
from embench.testing import check_dataset
from embench_plugins.datasets.own.reader import Own

from .own_files import column, describe, write
from .test_own import read, refused


class TestRaters:
    """A lab has the films of its subjects rated by three assistants, who write into one table."""

    LABEL: ClassVar = {"columns": ["anna", "ben", "chris"], "raters": "ewe", "scale": [1, 9]}

    def lab(self, root: Path, label: dict, ratings: str, **more) -> Path:
        write(root, {"A.csv": column(range(1, 41)), "B.csv": column(range(1, 41)), "ratings.csv": ratings})
        return describe(root, labels={"calm": label}, targets={"calm": {"label": "calm", "kind": "value"}}, **more)

    def of_whole_recordings(self, root: Path, **label) -> Path:
        label = {"table": "ratings.csv", "keys": {"participant": "who"}, **self.LABEL, **label}
        return self.lab(root, label, "who,anna,ben,chris\nA,2,3,9\nB,6,8,\n")

    def prepared(self, root: Path):
        reader = Own(root)
        cache = root.parent / f"{root.name}-cache"
        return prepare(reader, "embench_plugins/own", "0", rate_hz=4.0, filtered=False, cache=cache).labels()

    def test_each_rater_has_a_label_of_their_own(self, tmp_path):
        recording = read(self.of_whole_recordings(tmp_path / "x"))["A"]
        assert {name: label.values.tolist() for name, label in recording.labels.items()} == {
            "calm_r1": [2], "calm_r2": [3], "calm_r3": [9],
        }  # fmt: skip
        check_dataset(Own, tmp_path / "x")
        assert not [f for f in Own(tmp_path / "x").verify() if f.severity == "error"]

    @pytest.mark.parametrize(("raters", "expected"), [("mean", [14 / 3, 7]), ("median", [3, 7]), ("ewe", [2.5, 7])])
    def test_and_one_label_is_made_of_theirs_for_prepared_data(self, tmp_path, raters, expected):
        """`ewe`: chris rated one film, and so has no weight."""
        labels = self.prepared(self.of_whole_recordings(tmp_path / "x", raters=raters))
        assert [labels["calm"][who].values[0] for who in "AB"] == pytest.approx(expected)
        assert labels["calm_r3"].keys() == {"A"}

    def test_raters_who_annotate_all_the_time(self, tmp_path):
        label = {"table": "ratings.csv", "keys": {"participant": "who"}, "time": "s", **self.LABEL}
        rows = "who,s,anna,ben,chris\nA,0,1,2,3\nA,5,3,,5\nB,0,5,5,9\nB,5,6,8,1\n"
        label = self.prepared(self.lab(tmp_path / "x", {**label, "raters": "mean"}, rows))["calm"]["A"]
        assert (label.kind, label.times.tolist(), label.values.tolist()) == ("continuous", [0, 5], [2, 4])

    @pytest.mark.parametrize(
        ("label", "what"),
        [
            ({"columns": ["anna"]}, "two `columns` at least"),
            ({"columns": ["anna", "anna"]}, "two `columns` at least"),
            ({"raters": None}, "`raters: mean`, median or ewe"),
            ({"raters": "best"}, "'mean', 'median' or 'ewe'"),
            ({"classes": ["low", "high"]}, "several raters give numbers"),
        ],
    )
    def test_what_is_no_choice_of_raters_is_refused(self, tmp_path, label, what):
        assert what in refused(self.of_whole_recordings(tmp_path, **label)).what

    def test_a_label_made_of_a_signal_is_refused(self, tmp_path):
        """As MuSe-Physio's arousal is made of ratings and skin conductance."""
        error = refused(self.lab(tmp_path, {**self.LABEL, "columns": ["anna", "EDA"]}, ""))
        assert "`EDA` is a channel of eda: a label made of a signal scores methods on their own input" in error.what
        assert "dataset.yaml, line" in error.where

    def test_a_rater_and_a_label_have_not_one_name(self, tmp_path):
        label = {"table": "ratings.csv", "keys": {"participant": "who"}}
        root = self.of_whole_recordings(tmp_path)
        describe(
            root, labels={"calm": {**label, **self.LABEL}, "calm_r2": {**label, "column": "ben"}},
            targets={"calm": {"label": "calm", "kind": "value"}},
        )  # fmt: skip
        assert "`calm_r2` is also the label of one rater of calm" in refused(root).what
