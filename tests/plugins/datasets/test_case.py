"""The CASE reader, on synthetic files of the three trees, and on bad copies of them."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook

from embench.errors import DataError
from embench.testing import check_dataset
from embench_plugins.datasets.case import Case
from embench_plugins.datasets.formats.case_tree import VIDEOS, find_tree, plan
from embench_plugins.datasets.synthetic import case as synthetic

COLUMNS = {"ecg": ["ecg"], "ppg": ["bvp"], "eda": ["gsr"], "resp": ["rsp"], "temp": ["skt"]} | {
    "emg": ["emg_zygo", "emg_coru", "emg_trap"]
}


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """Two subjects, all three trees, sessions of 120 s: clips of 8 to 14 s."""
    root = tmp_path_factory.mktemp("case")
    synthetic.synthesize(root, 2, seed=4, effect=1.0, length_s=120.0, trees=synthetic.TREES)
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


def stick_file(root: Path) -> Path:
    return next(root.rglob("annotations/sub_1.csv"))


def rewrite(path: Path, change) -> None:
    """Changes a table as a frame: `change(frame)` gives the new one, or None where it changed its own."""
    frame = pd.read_csv(path)
    changed = change(frame)
    (frame if changed is None else changed).to_csv(path, index=False)


def read(root: Path, subject: str = "sub_1") -> list:
    return list(Case(root).recordings(subject))


def findings(root: Path, severity: str) -> str:
    return "\n".join(f"{f.where}: {f.what}" for f in Case(root).verify() if f.severity == severity)


def refused(root: Path, *words: str) -> None:
    """The subject cannot be read, `verify` says so too, and the error has these words."""
    with pytest.raises(DataError) as caught:
        read(root)
    text = str(caught.value)
    assert caught.value.where
    for word in words:
        assert word in text
    assert caught.value.what in findings(root, "error")


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
        assert all(end + 2 < start for end, start in zip(ends, starts[1:], strict=False))  # blue screens are excluded
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

    def test_a_folder_nested_twice_is_found(self, one):
        (one / "download").mkdir()
        (one / "CASE_full").rename(one / "download" / "CASE_full")
        assert Case(one).subjects() == ["sub_1"]

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

    def test_raw_files_without_metadata(self, raw):
        shutil.rmtree(raw / "case_dataset-master" / "metadata")
        refused(raw, "do not say which video was on", "seqs_order.txt")

    @pytest.mark.parametrize(
        ("name", "old", "new", "words"),
        [
            ("seqs_order.txt", '"seq_sub1"', '"seq_sub31"', "no column of person 1"),
            ("seqs_order.txt", "amusing-1", "amusing-3", "no duration of video amusing-3"),
            ("seqs_order.txt", "amusing-1", "bluVid", "7 emotional videos"),
            ("videos_duration.txt", 'bluVid"\t', 'bluVid"\tx', "video bluVid has no duration"),
            ("videos_duration.txt", '"scary-1"', '"scary"', "no duration of video scary-1"),
        ],
    )
    def test_damaged_metadata(self, raw, name, old, new, words):
        path = raw / "case_dataset-master" / "metadata" / name
        path.write_text(path.read_text().replace(old, new))
        refused(raw, words, name)

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


class TestTolerated:
    """Copies that went through other programs."""

    def same(self, release: Path, root: Path) -> None:
        for mine, other in zip(read(release), read(root), strict=True):
            assert (mine.id, mine.start_s, mine.duration_s) == (other.id, other.start_s, other.duration_s)
            for modality, signal in mine.signals.items():
                np.testing.assert_array_equal(signal.data, other.signals[modality].data)
            for name, label in mine.labels.items():
                np.testing.assert_array_equal(label.values, other.labels[name].values)

    def test_a_mark_quotes_capitals_and_more_columns_in_the_header(self, release, one):
        for path in (signals_file(one), stick_file(one)):
            header, *lines = path.read_text().splitlines()
            names = ",".join(f'"{name.upper()}"' for name in header.split(","))
            text = [f'"row", {names}', *(f"{i},{line}" for i, line in enumerate(lines))]
            path.write_text("\ufeff" + "\r\n".join(text), encoding="utf-8")
        self.same(release, one)

    def test_columns_and_rows_in_another_order(self, release, one):
        rewrite(signals_file(one), lambda table: table[table.columns[::-1]].sample(frac=1, random_state=0))
        rewrite(stick_file(one), lambda table: table.sample(frac=1, random_state=0))
        self.same(release, one)
        assert "not in order of time: sorted" in findings(one, "warning")

    def test_an_empty_cell_is_a_lost_sample(self, one):
        rewrite(signals_file(one), lambda table: table.assign(gsr=table.gsr.mask(table.index == 40_000)))
        lost = [r for r in read(one) if r.start_s <= 40 < r.start_s + r.duration_s]
        assert [np.flatnonzero(np.isnan(r.signals["eda"].data[0])) for r in lost] == [40_000 - 1000 * lost[0].start_s]
        assert "1 empty cells" in findings(one, "note")

    def test_a_sensor_without_values_is_absent_and_one_of_the_muscles_is_nan(self, one):
        rewrite(signals_file(one), lambda table: table.assign(rsp="", emg_coru=""))
        for recording in read(one):
            assert "resp" not in recording.signals
            assert np.isnan(recording.signals["emg"].data).all(axis=1).tolist() == [False, True, False]

    def test_missing_rows_are_nan(self, one):
        table = pd.read_csv(signals_file(one))
        first = table.index[table.video == 3][1000]
        table.drop(index=range(first, first + 500)).to_csv(signals_file(one), index=False)
        recording = {r.stimulus: r for r in read(one)}["3"]
        assert np.flatnonzero(np.isnan(recording.signals["ecg"].data[0])).tolist() == list(range(1000, 1500))

    def test_an_unknown_code_is_told(self, one):
        rewrite(signals_file(one), lambda table: table.assign(video=table.video.replace(12, 9)))
        assert len(read(one)) == 8
        assert "unknown video codes [9.0]" in findings(one, "warning")

    def test_another_order_than_the_metadata_have_is_told(self, release, one):
        shutil.copytree(release / "CASE_full" / "metadata", one / "CASE_full" / "metadata")
        assert "seqs_order" not in findings(one, "warning")
        path = one / "CASE_full" / "metadata" / "seqs_order.txt"
        path.write_text(
            path.read_text().replace("scary-1", "x").replace("scary-2", "scary-1").replace('"x"', '"scary-2"')
        )
        assert "by metadata/seqs_order.txt" in findings(one, "warning")

    def test_a_stick_that_rests_beside_the_middle_is_told(self, one):
        assert "rests at" not in findings(one, "warning")
        rewrite(stick_file(one), lambda table: table.assign(arousal=table.arousal.replace(5, 5.003)))
        assert "arousal rests at 5.003, not 5" in findings(one, "warning")

    def test_values_off_the_scale_are_told(self, one):
        rewrite(stick_file(one), lambda table: table.assign(valence=table.valence.mask(table.index == 9, 9.8)))
        assert "1 values of valence off the scale" in findings(one, "warning")


class TestBadCopies:
    def test_no_folder_an_empty_one_and_another_dataset(self, tmp_path):
        for root, word in ((tmp_path / "none", "no such folder"), (tmp_path, "no file of CASE")):
            with pytest.raises(DataError, match=word):
                Case(root).subjects()
        (tmp_path / "S2").mkdir()
        (tmp_path / "S2" / "S2.pkl").write_bytes(b"")
        with pytest.raises(DataError, match=r"but S2, S2/S2\.pkl"):
            Case(tmp_path).subjects()

    def test_the_archive_is_not_unpacked(self, tmp_path):
        zipfile.ZipFile(tmp_path / "CASE_full.zip", "w").close()
        with pytest.raises(DataError, match="not unpacked") as caught:
            Case(tmp_path).subjects()
        assert "unzip 'CASE_full.zip'" in caught.value.hint

    def test_folders_that_hold_nothing_but_readmes(self, tmp_path):
        for part in ("physiological", "annotations"):
            folder = tmp_path / "data" / "interpolated" / part
            folder.mkdir(parents=True)
            (folder / "README.txt").write_text("made by the scripts")
        with pytest.raises(DataError, match="hold no data") as caught:
            Case(tmp_path).subjects()
        assert "CASE_full.zip" in caught.value.hint

    def test_pointers_of_a_git_checkout(self, one):
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 155000000\n"
        signals_file(one).write_text(pointer)
        with pytest.raises(DataError, match="pointers") as caught:
            Case(one).subjects()
        assert "git lfs pull" in caught.value.hint

    @pytest.mark.parametrize("part", ["physiological", "annotations"])
    def test_only_one_of_the_two_folders(self, one, part):
        shutil.rmtree(one / "CASE_full" / "data" / "interpolated" / part)
        with pytest.raises(DataError, match=f"no files in {part}"):
            Case(one).subjects()

    def test_one_subject_without_annotations(self, release, tmp_path):
        shutil.copytree(tree(release, "interpolated"), tmp_path / "interpolated")
        (tmp_path / "interpolated" / "annotations" / "sub_2.csv").unlink()
        assert all(set(recording.labels) == {"video_type"} for recording in read(tmp_path, "sub_2"))
        assert "no file of annotations" in findings(tmp_path, "warning")

    def test_two_files_of_one_subject(self, one):
        shutil.copy(signals_file(one), signals_file(one).with_name("sub_01.csv"))
        with pytest.raises(DataError, match="two files of person 1"):
            Case(one).subjects()

    def test_volts_fed_as_units(self, one):
        rewrite(signals_file(one), lambda table: table.assign(skt=(table.skt + 32.085) / 21.341))
        refused(one, "column skt", "volts", "sub_1.csv")

    def test_units_fed_as_volts(self, raw):
        path = raw / "case_dataset-master/data/raw/physiological/sub1_DAQ.txt"
        table = pd.read_csv(path, sep="\t", header=None)
        table.assign(**{"5": table[5] * 10}).drop(columns=5)[[0, 1, 2, 3, 4, "5", 6, 7, 8]].to_csv(
            path, sep="\t", header=False, index=False
        )
        refused(raw, "column skt", "sub1_DAQ.txt")

    @pytest.mark.parametrize(("which", "column"), [(signals_file, "daqtime"), (stick_file, "jstime")])
    def test_times_in_seconds(self, one, which, column):
        rewrite(which(one), lambda table: table.assign(**{column: table[column] / 1000}))
        refused(one, "ms apart", "another unit", which(one).name)

    def test_downsampled_signals(self, one):
        rewrite(signals_file(one), lambda table: table.iloc[::50])
        refused(one, "rows are 50 ms apart", "resampled")

    def test_annotations_from_minus_one_to_one(self, one):
        rewrite(
            stick_file(one),
            lambda table: table.assign(valence=(table.valence - 5) / 4.5, arousal=(table.arousal - 5) / 4.5),
        )
        refused(one, "valence and arousal go up to", "0.5 to 9.5")

    def test_row_counts_that_differ_between_subjects(self, release, tmp_path):
        shutil.copytree(tree(release, "interpolated"), tmp_path / "interpolated")
        for part in ("physiological", "annotations"):
            shutil.copy(tmp_path / f"interpolated/{part}/sub_1.csv", tmp_path / f"interpolated/{part}/sub_3.csv")
        rewrite(tmp_path / "interpolated/physiological/sub_2.csv", lambda table: table.iloc[:-500])
        assert len(read(tmp_path, "sub_2")) == 8  # nothing but the end video is lost
        assert "sub_2: " in findings(tmp_path, "warning")
        assert "a truncated copy?" in findings(tmp_path, "warning")

    @pytest.mark.parametrize(("clip", "words"), [(4, "no rows of video"), (7, "inside video")])
    def test_a_file_cut_short(self, one, clip, words):
        rows = signals_file(one).read_bytes().splitlines(keepends=True)
        upto = int((read(one)[clip].start_s + 3) * 1000)
        signals_file(one).write_bytes(b"".join(rows[:upto]))
        refused(one, words, "sub_1.csv")

    def test_a_raw_file_cut_short(self, raw):
        path = raw / "case_dataset-master/data/raw/physiological/sub1_DAQ.txt"
        stop = read(raw)[-1]
        rows = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(rows[: int((stop.start_s + 3) * 1000)]))
        refused(raw, "inside video", "sub1_DAQ.txt")

    def test_annotations_cut_short_are_told(self, one):
        rewrite(stick_file(one), lambda table: table.iloc[: len(table) // 2])
        assert "before the last clip" in findings(one, "warning")

    @pytest.mark.parametrize(("which", "column"), [(signals_file, "bvp"), (stick_file, "arousal")])
    def test_a_cell_that_is_no_number_is_named(self, one, which, column):
        rewrite(
            which(one),
            lambda table: table.assign(**{column: table[column].astype(object).mask(table.index == 1234, "oops")}),
        )
        refused(one, f"column {column}, row 1235", "oops")

    @pytest.mark.parametrize("column", ["daqtime", "video"])
    def test_a_row_without_time_or_code(self, one, column):
        rewrite(signals_file(one), lambda table: table.assign(**{column: table[column].mask(table.index == 1234)}))
        refused(one, f"column {column}, row 1235: no value")

    def test_codes_in_the_wrong_place(self, one):
        rewrite(signals_file(one), lambda table: table.assign(video=table.video.mask(table.index == 2, 3)))
        refused(one, "column video")

    def test_a_huge_time_takes_no_memory(self, one):
        table = pd.read_csv(signals_file(one))
        row = table.index[table.video == 3][-1]
        rewrite(signals_file(one), lambda table: table.assign(daqtime=table.daqtime.mask(table.index == row, 10**15)))
        refused(one, "scattered")

    def test_missing_columns(self, one):
        rewrite(signals_file(one), lambda table: table.drop(columns=["gsr", "video"]))
        refused(one, "no column gsr, video")

    @pytest.mark.parametrize(
        "content", [b"", b"\0" * 1000, b"daqtime,ecg,bvp,gsr,rsp,skt,emg_zygo,emg_coru,emg_trap,video\n"]
    )
    def test_files_without_a_table(self, one, content):
        signals_file(one).write_bytes(content)
        refused(one, "sub_1.csv")

    def test_the_annotations_file_in_place_of_the_signals(self, one):
        shutil.copy(stick_file(one), signals_file(one))
        refused(one, "no column daqtime")

    def test_nobody_of_that_name(self, one):
        with pytest.raises(DataError, match="no person sub_7"):
            Case(one).files("sub_7")
