"""The CASE reader, on synthetic files of the three trees, and on bad copies of them."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook

from embench.errors import DataError
from embench.testing import check_dataset
from embench_plugins.datasets.case import synthetic
from embench_plugins.datasets.case.reader import Case
from embench_plugins.datasets.case.tables import VIDEOS, find_tree, plan

from . import edit

COLUMNS = {"ecg": ["ecg"], "ppg": ["bvp"], "eda": ["gsr"], "resp": ["rsp"], "temp": ["skt"]} | {
    "emg": ["emg_zygo", "emg_coru", "emg_trap"]
}


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """Two subjects, all three trees, sessions of 60 s: clips of 4 to 7 s."""
    root = tmp_path_factory.mktemp("case")
    synthetic.synthesize(root, 2, seed=11, effect=1.0, length_s=60.0, trees=synthetic.TREES)
    return root


def tree(release: Path, name: str) -> Path:
    return release / "CASE_full" / "data" / name


@pytest.fixture
def one(release, tmp_path) -> Path:
    """A copy with one subject and the interpolated tree, to be spoilt."""
    for part in ("physiological", "annotations"):
        folder = tmp_path / "CASE_full" / "data" / "interpolated" / part
        folder.mkdir(parents=True)
        shutil.copy(tree(release, "interpolated") / part / "sub_1.csv", folder)
    return tmp_path


@pytest.fixture
def raw(release, tmp_path) -> Path:
    """A copy with the raw tree and the metadata."""
    shutil.copytree(tree(release, "raw"), tmp_path / "case_dataset-master" / "data" / "raw")
    shutil.copytree(release / "CASE_full" / "metadata", tmp_path / "case_dataset-master" / "metadata")
    return tmp_path


def signals_file(root: Path) -> Path:
    return next(root.rglob("physiological/sub_1.csv"))


def read(root: Path, subject: str = "sub_1") -> list:
    return list(Case(root).recordings(subject))


def findings(root: Path, severity: str) -> str:
    return "\n".join(f"{f.where}: {f.what}" for f in Case(root).verify() if f.severity == severity)


def at(recording, name: str) -> np.ndarray:
    for modality, names in COLUMNS.items():
        if name in names:
            return recording.signals[modality].data[names.index(name)]
    raise KeyError(name)


class TestReading:
    def test_a_recording_is_a_clip_in_the_order_of_the_session(self, release):
        recordings = read(release)
        assert sorted(r.stimulus for r in recordings) == [str(code) for code in VIDEOS]
        assert [r.order for r in recordings] == list(range(8))
        starts = [r.start_s for r in recordings]
        assert starts == sorted(starts)
        ends = [r.start_s + r.duration_s for r in recordings]
        assert all(end + 1.4 < start for end, start in zip(ends, starts[1:], strict=False))  # blue screens are excluded
        first = recordings[0]
        assert (first.id, first.subject, first.group) == (f"sub_1_V{first.stimulus}", "sub_1", "sub_1")
        for modality, signal in first.signals.items():
            card = Case.card.modalities[modality]
            assert (signal.channels, signal.rate, signal.unit) == (card.channels, card.rate, card.unit)
            assert signal.data.dtype == np.float32
            assert signal.duration_s == first.duration_s

    @pytest.mark.parametrize("subject", ["sub_1", "sub_2"])
    def test_every_sample_is_the_files_own(self, release, subject):
        table = np.loadtxt(
            tree(release, "interpolated") / "physiological" / f"{subject}.csv", delimiter=",", skiprows=1
        )
        names = ["daqtime", "ecg", "bvp", "gsr", "rsp", "skt", "emg_zygo", "emg_coru", "emg_trap"]
        for recording in read(release, subject):
            own = table[table[:, 9] == int(recording.stimulus)]
            assert recording.start_s == own[0, 0] / 1000
            assert recording.duration_s == len(own) / 1000
            for column, name in enumerate(names[1:], start=1):
                np.testing.assert_array_equal(at(recording, name), own[:, column].astype(np.float32))

    @pytest.mark.parametrize("subject", ["sub_1", "sub_2"])
    def test_every_label_is_the_files_own_in_the_clips_time(self, release, subject):
        table = np.loadtxt(tree(release, "interpolated") / "annotations" / f"{subject}.csv", delimiter=",", skiprows=1)
        for recording in read(release, subject):
            stop = recording.start_s + recording.duration_s
            own = table[(table[:, 0] >= 1000 * recording.start_s) & (table[:, 0] < 1000 * stop)]
            for column, name in ((1, "valence"), (2, "arousal")):
                label = recording.labels[name]
                assert label.kind == "continuous"
                np.testing.assert_array_equal(label.values, own[:, column])
                np.testing.assert_allclose(label.times, own[:, 0] / 1000 - recording.start_s, atol=1e-9)
            kind = recording.labels["video_type"]
            assert kind.classes[int(kind.values[0])] == VIDEOS[int(recording.stimulus)]

    def test_codes_with_a_point_are_codes(self, release):
        lines = (tree(release, "interpolated") / "physiological" / "sub_2.csv").read_text().splitlines()
        assert lines[1].endswith(",10.0")
        assert len(read(release, "sub_2")) == 8

    def test_conformance(self, release):
        check_dataset(Case, release)

    def test_a_unit_in_which_the_stick_rests_has_no_label_and_a_mean_above_five_is_high(self):
        rule = {target.name: target.rule for target in Case.card.targets}["arousal"]
        assert rule(np.full(200, 5.0)) is None
        assert rule(np.r_[np.full(199, 5.0), 5.001]) == 1
        assert rule(np.r_[np.full(150, 5.0), np.full(50, 3.2)]) == 0
        assert rule(np.array([np.nan])) is None


class TestTrees:
    def test_subjects_come_in_numeric_order_and_readmes_are_ignored(self, one):
        for part in ("physiological", "annotations"):
            folder = one / "CASE_full" / "data" / "interpolated" / part
            (folder / "README.txt").write_text("about these files")
            (folder / "._sub_1.csv").write_bytes(b"\0\5")
            for number in (10, 2):
                (folder / f"sub_{number}.csv").symlink_to(folder / "sub_1.csv")
        assert Case(one).subjects() == ["sub_1", "sub_2", "sub_10"]

    def test_the_interpolated_tree_is_read_where_there_are_several(self, release):
        assert all("/interpolated/" in str(path) for path in Case(release).files("sub_1"))
        assert "interpolated tree is read; non-interpolated, raw left alone" in findings(release, "note")

    @pytest.mark.parametrize("inside", [".", "CASE_full", "CASE_full/data", "CASE_full/data/interpolated"])
    def test_the_folder_may_be_any_of_those_around_the_data(self, release, inside):
        assert Case(release / inside).subjects() == ["sub_1", "sub_2"]

    @pytest.mark.parametrize("name", ["non-interpolated", "raw"])
    @pytest.mark.parametrize("subject", ["sub_1", "sub_2"])
    def test_the_three_trees_hold_the_same(self, release, tmp_path, name, subject):
        shutil.copytree(tree(release, name), tmp_path / "data" / name)
        shutil.copytree(release / "CASE_full" / "metadata", tmp_path / "metadata")
        others = read(tmp_path, subject)
        for mine, other in zip(read(release, subject), others, strict=True):
            assert mine.id == other.id
            spans = [(round(1000 * r.start_s), round(1000 * (r.start_s + r.duration_s))) for r in (mine, other)]
            assert np.abs(np.subtract(*spans)).max() <= 3
            first, last = max(a for a, _ in spans), min(b for _, b in spans)
            for modality, signal in other.signals.items():
                ours = mine.signals[modality].data[:, first - spans[0][0] : last - spans[0][0]]
                apart = np.abs(ours - signal.data[:, first - spans[1][0] : last - spans[1][0]])
                # All are straight lines between the same logged rows, but csv files have three decimals.
                assert np.nanmax(apart) < 1.1e-3
            for axis in ("arousal", "valence"):
                assert abs(other.labels[axis].values.mean() - mine.labels[axis].values.mean()) < 0.05

    def test_raw_names_have_no_underscore_and_the_video_comes_from_metadata_to_the_row(self, release, raw):
        assert (raw / "case_dataset-master/data/raw/physiological/sub1_DAQ.txt").is_file()
        assert Case(raw).subjects() == ["sub_1", "sub_2"]
        for number in (1, 2):
            table = pd.read_csv(tree(release, "interpolated") / "physiological" / f"sub_{number}.csv")
            for code, start, stop in plan(find_tree(raw), number).videos:
                own = table.daqtime[table.video == code]
                assert (own.iloc[0], own.iloc[-1] + 1) == (start, stop)
        assert len(Case(raw).files("sub_1")) == 4

    def test_lost_rows_are_nan_where_logged_times_are_read(self, raw):
        lost = {r.stimulus: np.isnan(r.signals["ecg"].data).sum() for r in read(raw, "sub_2")}
        share, rows = synthetic.LOGGER_GAP[2]
        middle = list(lost)[int(share * 8)]
        assert rows - 2 <= lost.pop(middle) <= rows
        assert set(lost.values()) == {0}
        assert f"video {middle}" in findings(raw, "note")

    def test_a_clone_with_empty_interpolated_folders_is_read_from_its_raw_files(self, raw):
        for part in ("physiological", "annotations"):
            folder = raw / "case_dataset-master" / "data" / "interpolated" / part
            folder.mkdir(parents=True)
            (folder / "README.txt").write_text("made by the scripts")
        assert len(read(raw)) == 8
        assert "the raw tree is read" in findings(raw, "note")

    def test_sex_and_age_come_from_the_sheet_of_participants(self, one):
        assert Case(one).subject_info("sub_1") == {}
        (one / "CASE_full" / "metadata").mkdir()
        book = Workbook()
        book.active.append(["Participant-ID", "Age-Group", "Sex"])
        book.active.append([1, "22-26", "F"])
        book.save(one / "CASE_full" / "metadata" / "participants.xlsx")
        assert Case(one).subject_info("sub_1") == {"sex": "F", "age_band": "22-26"}
        (one / "CASE_full" / "metadata" / "participants.xlsx").write_bytes(b"PK\3\4 no sheet")
        assert Case(one).subject_info("sub_1") == {}


class TestLost:
    def test_an_empty_cell_is_a_lost_sample(self, one):
        edit.column("gsr", lambda _: "", row=round(1000 * read(one)[2].start_s) + 700)(signals_file(one))
        lost = {r.order: np.flatnonzero(np.isnan(r.signals["eda"].data[0])).tolist() for r in read(one)}
        assert lost == {order: [700] if order == 2 else [] for order in range(8)}

    def test_a_sensor_without_values_is_absent_and_one_of_the_muscles_is_nan(self, one):
        for name in ("rsp", "emg_coru"):
            edit.column(name, lambda _: "")(signals_file(one))
        for recording in read(one):
            assert "resp" not in recording.signals
            assert np.isnan(recording.signals["emg"].data).all(axis=1).tolist() == [False, True, False]

    def test_missing_rows_are_nan(self, one):
        rows = signals_file(one).read_text().splitlines()
        first = next(at for at, row in enumerate(rows) if row.endswith(",3")) + 1000
        signals_file(one).write_text("\n".join(rows[:first] + rows[first + 500 :]))
        recording = {r.stimulus: r for r in read(one)}["3"]
        assert np.flatnonzero(np.isnan(recording.signals["ecg"].data[0])).tolist() == list(range(1000, 1500))

    def test_without_annotations_there_is_the_type_of_video_only(self, one):
        edit.twin("sub_2.csv")(signals_file(one))
        assert all(set(recording.labels) == {"video_type"} for recording in read(one, "sub_2"))

    def test_nobody_of_that_name(self, one):
        with pytest.raises(DataError, match="no person sub_7"):
            Case(one).files("sub_7")
