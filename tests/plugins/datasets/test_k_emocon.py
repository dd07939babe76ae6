"""The K-EmoCon reader, on synthetic files of the released format with all its quirks, and on bad copies of it."""

import csv
import math
import shutil
from collections import defaultdict
from functools import cache
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from embench.errors import DataError
from embench.protocols import label_units, load_protocol, make_units, partition, roles
from embench.testing import check_dataset
from embench_plugins.datasets.devices import faces
from embench_plugins.datasets.k_emocon import synthetic
from embench_plugins.datasets.k_emocon.reader import BANDS, BELT, E4, RATERS, KEmoCon

from ...sample import sample

LENGTH_S = 30.0
USABLE = (1, 4, 5, 8, 9, 10, 11, 13, 14, 15, 16, 19, 22, 23, 24, 25, 26, 27, 28, 31, 32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """P01 to P08 with debates of about half a minute. Not to be changed."""
    root = tmp_path_factory.mktemp("k_emocon")
    synthetic.synthesize(root, subjects=8, seed=4, effect=1.0, length_s=LENGTH_S)
    return root


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    """P01. Not to be changed."""
    return lone(tmp_path_factory.mktemp("one"), 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """P01 and P02. Not to be changed."""
    return lone(tmp_path_factory.mktemp("two"), 1, 2)


@pytest.fixture
def copy(one, tmp_path) -> Path:
    """P01, to be changed; without most of the annotations, which take longest to read."""
    return Path(shutil.copytree(one, tmp_path / "copy", ignore=shutil.ignore_patterns("P1.R[1345].csv")))


@pytest.fixture
def pair(two, tmp_path) -> Path:
    """P01 and P02, to be changed."""
    return Path(shutil.copytree(two, tmp_path / "pair"))


def lone(root: Path, *pids: int) -> Path:
    """Some of the 32 subjects."""
    truth, clocks = synthetic.draw(32, 4, 1.0, LENGTH_S), {pid: synthetic._draw_clock(pid, LENGTH_S) for pid in pids}
    written = {pid: synthetic.write_person(root, truth[truth["person"] == pid], 4, clocks[pid]) for pid in pids}
    synthetic._write_metadata(root / "metadata", clocks, written)
    return root


def read(root: Path, subject: str = "P01"):
    (recording,) = KEmoCon(root).recordings(subject)
    return recording


@cache
def read_whole(root: Path, subject: str = "P01"):
    """Read once, since nobody changes it."""
    return read(root, subject)


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def change(path: Path, change) -> None:
    """Writes a table anew after `change`, which is given it and returns another one."""
    change(pd.read_csv(path, encoding="utf-8-sig")).to_csv(path, index=False)


def debate(root: Path, pid: int) -> tuple[float, float]:
    """startTime in ms and length in s."""
    (row,) = [row for row in cells(root / "metadata" / "subjects.csv") if int(row["pid"]) == pid]
    return float(row["startTime"]), (float(row["endTime"]) - float(row["startTime"])) / 1000


def by_hand(root: Path, pid: int, modality: str) -> np.ndarray:
    """A modality as the file has it, one row after the other; NaN where no row falls."""
    start, length = debate(root, pid)
    card = KEmoCon.card.modalities[modality]
    folder, name = ("neurosky_polar_data", BELT[modality]) if modality in BELT else ("e4_data", E4[modality])
    columns = {"acc": ("x", "y", "z"), "eeg_bands": BANDS}.get(modality, ("value",))
    found: dict[int, list[list[float]]] = defaultdict(list)
    for row in cells(root / folder / str(pid) / name):
        if row.get("device_serial") == "A01FFF":
            continue
        seconds = (float(row["timestamp"]) - start) / 1000
        values = [float(row[column]) for column in columns]
        if modality in BELT and not any(values):
            continue
        at = math.floor(seconds) if modality in BELT else round(seconds * card.rate)
        found[at].append([value / 64 if modality == "acc" else value for value in values])
    data = np.full((len(columns), int(length * card.rate)), np.nan)
    for at, rows in found.items():
        if 0 <= at < data.shape[1]:
            data[:, at] = np.mean(rows, axis=0)
    return data


def findings(root: Path, severity: str) -> list[str]:
    return [f.what for f in KEmoCon(root).verify() if f.severity == severity]


@cache
def said(whole: Path) -> list[tuple[str, str]]:
    """Severity and text of what `verify` finds in what nobody changes."""
    return [(f.severity, f.what) for f in KEmoCon(whole).verify()]


def notes(whole: Path) -> list[str]:
    return [what for severity, what in said(whole) if severity == "note"]


class TestReading:
    def test_it_keeps_the_interface(self, two):
        check_dataset(KEmoCon, two)

    def test_a_recording_is_one_subjects_debate(self, whole):
        recording = read_whole(whole)
        assert (recording.id, recording.subject, recording.group) == ("P01", "P01", "p1.p2")
        assert (recording.stimulus, recording.start_s, recording.order) == ("debate", 0.0, 0)
        assert recording.duration_s == LENGTH_S
        assert read_whole(whole, "P05").duration_s == debate(whole, 5)[1] < LENGTH_S
        assert set(recording.signals) == set(KEmoCon.card.modalities) - {"face_au", "video"}
        assert recording.video is None

    @pytest.mark.parametrize("pid", sample(range(1, 9), 1, 2, 4, 5, 8))
    def test_every_sample_is_the_files_own(self, whole, pid):
        recording = read_whole(whole, f"P{pid:02d}")
        for modality, signal in recording.signals.items():
            card, expected = KEmoCon.card.modalities[modality], by_hand(whole, pid, modality)
            assert (signal.rate, signal.channels, signal.unit) == (card.rate, card.channels, card.unit)
            assert signal.data.dtype == np.float32
            assert signal.data.shape == expected.shape
            there = np.isfinite(expected)
            assert there.mean() > 0.7
            np.testing.assert_array_equal(signal.data[there], expected[there].astype(np.float32))

    def test_every_label_is_the_files_own(self, whole):
        start_of = {"arousal": "self", "valence_partner": "partner", "arousal_external_r3": "R3", "sad": "self"}
        for pid in range(1, 9):
            recording = read_whole(whole, f"P{pid:02d}")
            for label, annotator in start_of.items():
                kind = "external" if annotator in RATERS else annotator
                file = whole / "emotion_annotations" / f"{kind}_annotations" / f"P{pid}.{annotator}.csv"
                rows = [row for row in cells(file) if float(row["seconds"]) <= recording.duration_s]
                found = recording.labels[label]
                assert found.kind == "continuous"
                np.testing.assert_array_equal(found.times, [float(row["seconds"]) - 5 for row in rows])
                name = label.split("_")[0]
                np.testing.assert_array_equal(found.values, [float(row[name] or "nan") for row in rows])

    def test_marks_and_the_vote_are_the_files_own(self, whole):
        base = whole / "emotion_annotations"
        recording = read_whole(whole)
        rows = [row for row in cells(base / "self_annotations" / "P1.self.csv")
                if float(row["seconds"]) <= recording.duration_s]  # fmt: skip
        for name in ("boredom", "sorrow", "none_2"):
            np.testing.assert_array_equal(recording.labels[name].values, [float(row[name] == "x") for row in rows])
        assert f"{name}_partner" not in recording.labels
        vote = cells(base / "aggregated_external_annotations" / "P1.external.csv")
        voted = [float(row["valence"]) for row in vote if float(row["seconds"]) <= recording.duration_s]
        np.testing.assert_array_equal(recording.labels["valence_external_vote"].values, voted)
        (target,) = (target for target in KEmoCon.card.targets if target.name == "boredom")
        assert [target.rule(np.array(two, float)) for two in ((0, 0), (0, 1), (1, 1))] == [0, 1, 1]

    def test_seconds_is_the_end_of_a_window(self, copy):
        label = read(copy).labels["valence"]
        assert label.times[0] == 0
        first = cells(copy / "emotion_annotations" / "self_annotations" / "P1.self.csv")[0]
        assert (float(first["seconds"]), float(first["valence"])) == (5, label.values[0])

    def test_files_are_those_that_are_read(self, whole):
        reader = KEmoCon(whole)
        names = sorted(path.name for path in reader.files("P01"))
        external = [f"P1.{rater}.csv" for rater in RATERS]
        own = ["P1.self.csv", "P1.partner.csv", *external, "P1.external.csv"]
        expected = [*E4.values(), *BELT.values(), *own, "subjects.csv"]
        assert names == sorted(expected)


class TestTargets:
    @pytest.mark.parametrize(
        ("windows", "label"),
        [((1, 2), 0), ((2, 2), 0), ((1, 3), 0), ((2, 3), None), ((1, 4), None), ((3, 3), 1), ((2, 4), 1), ((4,), 1)],
    )
    def test_high_is_above_a_mean_of_two_and_a_half(self, windows, label):
        (target,) = (target for target in KEmoCon.card.targets if target.name == "arousal")
        assert target.rule(np.array(windows, float)) == label

    def test_three_perspectives_each_with_its_values(self):
        targets = {target.name: target for target in KEmoCon.card.targets}
        perspectives = [name for name, target in targets.items() if target.label.startswith(("arousal", "valence"))]
        assert len(perspectives) == 24
        assert KEmoCon.card.default_targets == ("arousal", "valence")
        assert targets["valence_external"].rule.annotator == "external"
        assert targets["valence_external_value"].kind == "value"
        assert targets["arousal_partner_value"].rule(np.array([2.0, 5.0])) == 3.5

    def test_a_unit_has_its_two_windows(self, whole):
        recording, protocol = read_whole(whole), load_protocol("subject-independent-v4")
        units = make_units([recording], KEmoCon.card, "continuous", protocol)
        (target,) = (target for target in KEmoCon.card.targets if target.name == "valence_value")
        raw, _ = label_units(units, {recording.id: recording.labels["valence"]}, target.rule)
        values = recording.labels["valence"].values
        assert len(units) == 3
        np.testing.assert_array_equal(raw, (values[0:6:2] + values[1:6:2]) / 2)

    @pytest.mark.slow
    def test_no_dyad_stands_in_two_parts_of_a_fold(self, tmp_path):
        synthetic.synthesize(tmp_path / "k_emocon", subjects=16, seed=0, effect=0.0, length_s=20.0)
        reader = KEmoCon(tmp_path / "k_emocon")
        recordings = [recording for subject in reader.subjects() for recording in reader.recordings(subject)]
        pairs = defaultdict(list)
        for recording in recordings:
            pairs[recording.group].append(int(recording.subject[1:]))
        assert sorted(pairs.values()) == [[pid, pid + 1] for pid in range(1, 17, 2)]
        protocol = load_protocol("subject-independent-v4")
        units = make_units(recordings, reader.card, "continuous", protocol)
        parts = defaultdict(set)
        for k in range(3):
            for row in roles(units, partition(protocol, "k_emocon", units, k)):
                parts[k, row.fold, row.group].add(row.role)
        assert len(parts) == 3 * 4 * 8  # up to 16 groups are dealt into four folds
        assert all(len(found) == 1 for found in parts.values())


class TestQuirks:
    def test_subjects_csv_starts_with_a_byte_order_mark(self, whole):
        assert (whole / "metadata" / "subjects.csv").read_bytes().startswith(b"\xef\xbb\xbfpid,")
        assert KEmoCon(whole).subjects() == [f"P{pid:02d}" for pid in range(1, 9)]

    def test_subjects_without_a_wristband_have_none_of_its_signals(self, whole):
        for subject in ("P02", "P03", "P06", "P07"):
            assert set(read_whole(whole, subject).signals) == {"hr", "eeg_bands"}

    @pytest.mark.slow
    def test_21_subjects_are_usable_and_p20_has_brainwave_only(self, tmp_path):
        truth, full = synthetic.draw(32, 4, 1.0, 20.0), []
        for pid in range(1, 33):
            tables = synthetic.write_person(
                tmp_path, truth[truth["person"] == pid], 4, synthetic._draw_clock(pid, 20.0)
            )
            full += [pid] if {"E4_BVP", "E4_EDA", "E4_TEMP", "Polar_HR"} <= set(tables) else []
        assert tuple(full) == USABLE
        assert [path.name for path in (tmp_path / "neurosky_polar_data" / "20").iterdir()] == ["BrainWave.csv"]
        assert not (tmp_path / "neurosky_polar_data" / "1" / "Attention.csv").exists()

    @pytest.mark.parametrize("pid", sample([31, 32], 32))
    def test_of_two_wristbands_in_one_file_the_authors_choice_is_kept(self, tmp_path, pid):
        root = lone(tmp_path / "x", pid)
        serials = {row["device_serial"] for row in cells(root / "e4_data" / str(pid) / "E4_BVP.csv")}
        assert serials == {"A01FFF", {31: "A013E1", 32: "A01A3A"}[pid]}
        recording = read(root, f"P{pid}")
        for modality in E4:
            expected = by_hand(root, pid, modality)
            there = np.isfinite(expected)
            np.testing.assert_array_equal(recording.signals[modality].data[there], expected[there].astype(np.float32))
        assert any("as the authors do" in what for what in findings(root, "note"))

    def test_times_out_of_order_are_sorted(self, whole):
        times = [int(row["timestamp"]) for row in cells(whole / "e4_data" / "4" / "E4_BVP.csv")]
        assert times != sorted(times)
        assert np.isfinite(read_whole(whole, "P04").signals["ppg"].data).all()
        assert any("time runs backwards" in what for what in notes(whole))

    def test_rows_that_are_there_twice_count_once(self, whole):
        rows = cells(whole / "e4_data" / "4" / "E4_TEMP.csv")
        assert len({row["timestamp"] for row in rows}) < len(rows)
        assert any("have the time of another one" in what for what in notes(whole))

    def test_several_rows_of_one_second_are_averaged(self, copy):
        start, _ = debate(copy, 1)
        rows = {"timestamp": [start + 3100, start + 3200, start + 3900, start + 4000], "value": [60, 70, 80, 90]}
        change(copy / "neurosky_polar_data" / "1" / "Polar_HR.csv", lambda _: pd.DataFrame(rows))
        hr = read(copy).signals["hr"].data[0]
        np.testing.assert_array_equal(hr[3:5], [70, 90])
        assert np.isnan(np.delete(hr, [3, 4])).all()

    def test_zero_is_no_contact(self, copy):
        start, _ = debate(copy, 1)
        rows = {"timestamp": start + 1000 * np.arange(30), "value": [0] * 10 + [70] * 20}
        change(copy / "neurosky_polar_data" / "1" / "Polar_HR.csv", lambda _: pd.DataFrame(rows))
        hr = read(copy).signals["hr"].data[0]
        assert np.isnan(hr[:10]).all()
        assert (hr[10:] == 70).all()
        change(copy / "neurosky_polar_data" / "1" / "Polar_HR.csv", lambda t: t.assign(value=0))
        assert "hr" not in read(copy).signals
        assert "100.0% of the debate has no hr" in findings(copy, "warning")

    def test_rows_that_are_not_valid_are_left_out(self, copy):
        path = copy / "neurosky_polar_data" / "1" / "BrainWave.csv"
        change(path, lambda t: t.assign(isValid=t.index % 3 != 0, delta=np.where(t.index % 3 == 0, 10**9, t.delta)))
        bands = read(copy).signals["eeg_bands"].data
        assert np.nanmax(bands) < 10**9

    def test_gaps_of_two_samples_are_bridged_and_longer_ones_are_lost(self, whole):
        for pid, modality, missing, lost in ((1, "ppg", 2, 0), (5, "eda", 12, 12), (8, "acc", 64, 64)):
            expected = by_hand(whole, pid, modality)
            assert np.isnan(expected).any(axis=0).sum() >= missing
            found = read_whole(whole, f"P{pid:02d}").signals[modality].data
            assert np.isnan(found).any(axis=0).sum() == lost
        expected = by_hand(whole, 1, "ppg")[0]
        at = np.flatnonzero(np.isnan(expected))[0]
        step = (expected[at + 2] - expected[at - 1]) / 3
        found = read_whole(whole).signals["ppg"].data[0]
        np.testing.assert_allclose(found[at : at + 2], expected[at - 1] + step * np.array([1, 2]), rtol=1e-5)

    def test_before_a_device_starts_and_after_it_stops_there_is_nothing(self, copy):
        start, _ = debate(copy, 1)
        change(copy / "e4_data" / "1" / "E4_TEMP.csv", lambda t: t[t.timestamp.between(start + 10_000, start + 20_000)])
        temp = read(copy).signals["temp"].data[0]
        assert np.isnan(temp[:39]).all()
        assert np.isfinite(temp[41:79]).all()
        assert np.isnan(temp[82:]).all()
        assert any("of the debate has no temp" in what for what in findings(copy, "warning"))

    def test_acceleration_is_counts_or_already_g(self, copy):
        before = read(copy).signals["acc"].data
        assert np.median(np.linalg.norm(before, axis=0)) == pytest.approx(1, abs=0.05)
        change(copy / "e4_data" / "1" / "E4_ACC.csv", lambda t: t.assign(x=t.x / 64, y=t.y / 64, z=t.z / 64))
        np.testing.assert_allclose(read(copy).signals["acc"].data, before, rtol=1e-6)
        assert any("read as g" in what for what in findings(copy, "note"))

    def test_stray_checkpoints_are_not_read(self, whole):
        assert (whole / "e4_data" / "4" / ".ipynb_checkpoints" / "E4_BVP-checkpoint.csv").is_file()
        assert not any("checkpoint" in str(path) for path in KEmoCon(whole).files("P04"))

    def test_marks_are_the_letter_x_or_empty(self, whole):
        rows = cells(whole / "emotion_annotations" / "self_annotations" / "P1.self.csv")
        assert {row[mark] for row in rows for mark in synthetic.MARKS} == {"x", ""}
        assert len(rows[0]) == 1 + 5 + 2 + 15

    def test_a_rating_may_be_missing(self, whole):
        label = read_whole(whole).labels["arousal"]
        assert np.isnan(label.values[1])
        assert np.isfinite(np.delete(label.values, 1)).all()

    def test_ratings_may_be_floats(self, whole):
        text = (whole / "emotion_annotations" / "self_annotations" / "P4.self.csv").read_text().splitlines()
        assert ".0" in text[1].split(",")[1]
        assert set(read_whole(whole, "P04").labels["arousal"].values) <= {1, 2, 3, 4, 5}

    def test_annotations_that_overrun_are_cut_at_the_debates_end(self, whole):
        rows = cells(whole / "emotion_annotations" / "self_annotations" / "P5.self.csv")
        length = debate(whole, 5)[1]
        assert float(rows[-1]["seconds"]) > length + 5
        label = read_whole(whole, "P05").labels["valence"]
        assert label.times[0] == 0  # not cut at the beginning, as the authors' segments are
        assert label.times[-1] + 5 <= length
        assert any("cut longer annotations at their beginning" in what for what in notes(whole))
        assert any("P05 that end after the debate, left out: 4 of self" in what for what in notes(whole))

    def test_perspectives_begin_at_different_times(self, whole):
        labels = read_whole(whole, "P02").labels
        assert labels["arousal"].times[0] == 0
        assert labels["arousal_partner"].times[0] == 5

    def test_external_is_the_mean_of_those_who_rated(self, whole):
        labels = read_whole(whole).labels
        raters = [labels[f"arousal_external_{rater.lower()}"] for rater in RATERS]
        assert np.isnan(raters[0].values[raters[0].times == 5])
        mean = labels["arousal_external"]
        for time, value in zip(mean.times, mean.values, strict=True):
            ratings = [r.values[r.times == time][0] for r in raters if (r.times == time).any()]
            assert value == pytest.approx(np.nanmean(ratings))

    def test_a_missing_annotator_is_told_and_left_out(self, one, tmp_path):
        copy = Path(shutil.copytree(one, tmp_path / "copy"))
        (copy / "emotion_annotations" / "external_annotations" / "P1.R2.csv").unlink()
        (copy / "emotion_annotations" / "partner_annotations" / "P1.partner.csv").unlink()
        labels = read(copy).labels
        assert "arousal_external" in labels
        assert not {"arousal_external_r2", "arousal_partner"} & set(labels)
        assert {"no annotation of P01 by partner", "no annotation of P01 by R2"} <= set(findings(copy, "warning"))

    def test_values_off_the_scale_are_no_labels(self, copy):
        path = copy / "emotion_annotations" / "self_annotations" / "P1.self.csv"
        change(path, lambda t: t.assign(valence=[7, 0, *t.valence[2:]]))
        values = read(copy).labels["valence"].values
        assert np.isnan(values[:2]).all()
        assert np.isfinite(values[2:]).all()
        assert any("2 values of valence off 1 to 5" in what for what in findings(copy, "warning"))

    def test_a_file_that_is_promised_and_not_here_is_told(self, copy):
        (copy / "e4_data" / "1" / "E4_EDA.csv").unlink()
        assert "eda" not in read(copy).signals
        assert findings(copy, "warning").count("data_availability.csv speaks of it, but it is not here") == 1

    def test_verify_tells_what_only_generated_subjects_lack(self, whole):
        assert "error" not in {severity for severity, _ in said(whole)}
        assert ("warning", "24 of 32 people have no signals here") in said(whole)


class TestVideo:
    def film(self, path: Path, seconds: int) -> Path:
        path.parent.mkdir(exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width = stream.height = 16
            stream.pix_fmt = "yuv420p"
            for _ in range(10 * seconds):
                frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    def test_a_subjects_face_belongs_to_the_debate(self, pair):
        path = self.film(pair / "debate_recordings" / "p1_30.mp4", 30)
        video = read(pair).video
        assert (video.path, video.fps, video.span) == (path, 10.0, (0.0, LENGTH_S))
        assert path in KEmoCon(pair).files("P01")
        assert read(pair, "P02").video is None

    def test_a_video_that_cannot_be_read_is_told_and_another_one_taken(self, copy):
        (copy / "debate_recordings").mkdir()
        (copy / "debate_recordings" / "p1_30.mp4").write_bytes(b"not a film")
        assert math.isnan(read(copy).video.fps)  # whoever decodes it says so
        assert any(what.startswith("not readable as a video") for what in findings(copy, "warning"))
        path = self.film(copy / "debate_recordings" / "p1_31.mp4", 31)
        assert read(copy).video.path == path

    def test_one_that_is_shorter_than_its_name_says_is_told(self, copy):
        self.film(copy / "debate_recordings" / "p1_640.mp4", 20)
        assert read(copy).video.span == (0.0, LENGTH_S)
        assert "lasts 20.0 s by its header, 640 s by its name" in findings(copy, "warning")

    @pytest.mark.parametrize("name", ["openface/p1_30.csv", "debate_recordings/p1_30.csv"])
    def test_what_openface_saw_begins_with_the_debate(self, pair, name):
        frame = np.arange(150)  # half of the debate
        columns = {"frame": frame + 1, "timestamp": frame / 10, "confidence": 0.98, "success": 1}
        path = pair / name
        path.parent.mkdir()
        path.write_text(pd.DataFrame(columns | dict.fromkeys(faces.CHANNELS, frame / 100)).to_csv(index=False))
        signal = read(pair).signals["face_au"]
        assert (signal.rate, signal.data.shape) == (10, (42, 300))
        np.testing.assert_allclose(signal.data[0, :150], frame / 100, atol=1e-6)
        assert np.isnan(signal.data[:, 150:]).all()
        assert path in KEmoCon(pair).files("P01")
        assert "face_au" not in read(pair, "P02").signals
        assert KEmoCon.card.default_modalities == ("ppg", "eda", "temp")


class TestDamaged:
    def test_verify_goes_on_after_a_damaged_subject(self, pair):
        (pair / "e4_data" / "1" / "E4_EDA.csv").write_text("")
        findings = KEmoCon(pair).verify()
        assert [Path(f.where).name for f in findings if f.severity == "error"] == ["E4_EDA.csv"]
        assert any("P02" in finding.what for finding in findings)

    def test_an_unknown_subject(self, copy):
        with pytest.raises(DataError, match="P31"):
            read(copy, "P31")
