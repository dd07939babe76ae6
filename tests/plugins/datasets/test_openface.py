"""Tables of OpenFace: every shape that their versions write, lost frames, frame rates, bad files."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embench.errors import DataError
from embench.signals.preprocess import preprocess
from embench_plugins.datasets.deap.reader import Deap
from embench_plugins.datasets.devices import faces
from embench_plugins.datasets.devices.faces import ACTION_UNITS, CHANNELS, GAZE, LEAST_CONFIDENCE, UNITS, Track

FACE = faces.CARDS["face_au"]
AU12 = CHANNELS.index("AU12_r")


def table(frames: int = 100, rate: float = 25.0, **changes) -> pd.DataFrame:
    """A table as OpenFace 2.2 writes it; AU12's intensity is the frame's number, from 0, over 100."""
    frame = np.arange(frames)
    made = {
        "frame": frame + 1,
        "face_id": 0,
        "timestamp": np.round(frame / rate, 3),
        "confidence": 0.98,
        "success": 1,
        **dict.fromkeys(faces.GAZE, 0.1),
        "eye_lmk_x_0": 300.5,
        "pose_Tx": 12.3,
        **{f"AU{n:02d}_r": frame / 100 if n == 12 else 0.5 for n in UNITS},
        **{f"AU{n:02d}_c": 1.0 for n in (*UNITS[:-1], 28, 45)},
    }
    return pd.DataFrame(made | changes)


def write(path: Path, content: pd.DataFrame, spaced: bool = False) -> Path:
    text = content.to_csv(index=False)
    path.write_text(text.replace(",", ", ") if spaced else text)
    return path


def on(track: Track, span: tuple[float, float]):
    return faces.resample_track(track, span, track.channels, faces.UNIT)


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        faces.read_table(path)
    assert caught.value.where == str(path)
    assert "OpenFace" in caught.value.expected
    assert "FeatureExtraction" in caught.value.hint
    return caught.value


class TestRead:
    def test_there_are_17_intensities_17_presences_and_8_values_of_gaze(self):
        assert (len(CHANNELS), CHANNELS[0], CHANNELS[17]) == (42, "AU01_r", "AU01_c")
        assert CHANNELS[34:] == (
            "gaze_0_x", "gaze_0_y", "gaze_0_z", "gaze_1_x", "gaze_1_y", "gaze_1_z", "gaze_angle_x", "gaze_angle_y"
        )  # fmt: skip
        assert not any("28" in name for name in CHANNELS)

    @pytest.mark.parametrize("spaced", [False, True])
    def test_columns_come_by_name_in_one_order(self, tmp_path, spaced):
        content = table()
        columns = {name: np.round(np.random.default_rng(i).random(100), 3) for i, name in enumerate(CHANNELS)}
        path = write(tmp_path / "clip.csv", content.assign(**columns)[list(content.columns)[::-1]], spaced)
        track = faces.read_table(path)
        np.testing.assert_array_equal(track.values, np.stack(list(columns.values()), 1).astype(np.float32))
        assert track.lost == 0

    def test_older_versions_have_no_face_id(self, tmp_path):
        assert faces.read_table(write(tmp_path / "clip.csv", table().drop(columns="face_id"))).lost == 0

    @pytest.mark.parametrize("rate", [12.5, 18, 24, 24.97, 25, 29.97, 30, 50, 60])
    @pytest.mark.parametrize("seconds", [4, 60])
    def test_the_rate_is_that_of_the_timestamps(self, tmp_path, rate, seconds):
        path = write(tmp_path / "clip.csv", table(int(seconds * rate), rate))
        track = faces.read_table(path)
        assert track.rate == pytest.approx(rate, rel=1e-3 / seconds)
        assert track.duration_s == pytest.approx(int(seconds * rate) / rate, abs=2e-3)
        if seconds == 60:
            assert track.rate == rate

    def test_frames_without_a_face_or_confidence_are_lost(self, tmp_path):
        content = table()
        content.loc[10:19, "success"] = 0
        content.loc[20:29, "confidence"] = LEAST_CONFIDENCE - 0.01
        content.loc[30, "confidence"] = LEAST_CONFIDENCE
        content["gaze_0_x"] = content["gaze_0_x"].astype(object)
        content.loc[10, "gaze_0_x"] = "-nan(ind)"  # what Windows writes where nothing was computed
        content.loc[40, "AU12_r"] = math.inf
        track = faces.read_table(write(tmp_path / "clip.csv", content))
        lost = np.isnan(track.values)
        assert (lost.all(1) == lost.any(1)).all()
        assert np.flatnonzero(lost.any(1)).tolist() == [*range(10, 30), 40]
        assert track.lost == pytest.approx(0.21)

    def test_of_several_faces_the_one_that_is_seen_most_is_taken(self, tmp_path):
        mine, other = table(), table()[20:50].assign(face_id=1, AU12_r=5.0)
        other.loc[other.index[:25], "success"] = 0
        both = pd.concat([other, mine.assign(face_id=3)]).sort_values("frame", kind="stable")
        track = faces.read_table(write(tmp_path / "clip.csv", both))
        assert len(track.values) == 100
        assert np.nanmax(track.values[:, AU12]) < 1

    def test_frames_that_have_no_row(self, tmp_path):
        """FaceLandmarkVidMulti writes a row only where there is a face."""
        signal = on(faces.read_table(write(tmp_path / "clip.csv", table().drop(index=range(3, 9)))), (0, 4))
        assert np.flatnonzero(np.isnan(signal.data[AU12])).tolist() == list(range(3, 9))

    def test_a_row_that_was_cut_off_is_lost(self, tmp_path):
        path = write(tmp_path / "clip.csv", table())
        path.write_text(path.read_text()[:-60])
        assert faces.read_table(path).lost == pytest.approx(0.01)

    @pytest.mark.parametrize(
        ("damaged", "what"),
        [
            *((table().drop(columns=name), f"no column {name}")
              for name in ("frame", "success", "confidence", "AU12_r", "AU45_c", "gaze_1_y")),
            (table()[["frame", "timestamp", "confidence", "success"]],
             "no column AU01_r, AU02_r, AU04_r and 31 others"),
            (table(AU12_r="high"), "column AU12_r, row 1: `high` is not a number"),
            (table(timestamp=0.0), "99 frames in 0 s by the columns"),
            (table(timestamp=np.nan), "99 frames in 0 s by the columns"),
            (table(frame=1), "0 frames in 3.96 s by the columns"),
        ],
    )  # fmt: skip
    def test_what_is_no_table_of_a_video_is_named(self, tmp_path, damaged, what):
        found = refused(write(tmp_path / "clip.csv", damaged)).what
        assert found.startswith(what) if "frames" in what else found == what

    @pytest.mark.parametrize("content", ["", "frame\n", "\x00\x01\x02", "<html></html>"])
    def test_other_files(self, tmp_path, content):
        (tmp_path / "clip.csv").write_text(content)
        refused(tmp_path / "clip.csv")

    def test_boxes_of_faces_and_hidden_files_are_none_of_openface(self, tmp_path):
        (tmp_path / ".ipynb_checkpoints").mkdir()
        for name in ("a.csv", "a.boxes.csv", "._a.csv", ".ipynb_checkpoints/a.csv"):
            (tmp_path / name).write_text("")
        assert faces.find_tables(tmp_path) == [tmp_path / "a.csv"]


def version_1(frames: int = 100, rate: float = 25.0) -> pd.DataFrame:
    """A table as OpenFace 1 writes it: no faces' numbers, vectors of gaze without angles, shapes, AU28 among the
    presences."""
    made = table(frames, rate).drop(columns=["face_id", "gaze_angle_x", "gaze_angle_y", "eye_lmk_x_0"])
    made = made.assign(gaze_0_x=0.109059, gaze_0_y=0.062474, gaze_0_z=-0.99207)
    made = made.assign(gaze_1_x=-0.124401, gaze_1_y=0.0663107, gaze_1_z=-0.990014)
    return made.assign(pose_Ty=43.4, pose_Rx=0.29, x_0=277.3, X_0=-62.3, p_scale=0.72, p_33=0.0257)


class TestVersions:
    def test_version_1_has_vectors_of_gaze_and_the_angles_of_their_mean(self, tmp_path):
        track = faces.read_table(write(tmp_path / "clip.csv", version_1(), spaced=True))
        assert (track.channels, track.rate, track.lost) == (CHANNELS, 25, 0)
        angles = dict(zip(CHANNELS, track.values[0].tolist(), strict=True))
        assert angles["gaze_angle_x"] == pytest.approx(math.atan2(0.109059 - 0.124401, 0.99207 + 0.990014))
        assert angles["gaze_angle_y"] == pytest.approx(math.atan2(0.062474 + 0.0663107, 0.99207 + 0.990014))

    def test_without_gaze_there_are_action_units(self, tmp_path):
        """Version 2 with `-aus`."""
        track = faces.read_table(write(tmp_path / "clip.csv", table().drop(columns=list(GAZE))))
        assert track.channels == ACTION_UNITS
        assert track.values.shape == (100, 34)
        assert track.lost == 0

    def test_version_0_has_fewer_action_units(self, tmp_path):
        units = [f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 9, 10, 12, 14, 15, 17, 20, 25, 26)]
        units += [f"AU{n:02d}_c" for n in (4, 12, 15, 23, 28, 45)]
        content = table()[["frame", "timestamp", "confidence", "success", *units]]
        track = faces.read_table(write(tmp_path / "300_CLNF_AUs.txt", content, spaced=True))
        assert track.channels == tuple(name for name in units if name != "AU28_c")

    @pytest.mark.parametrize("stamps", ["none", "zero", "thousandths"])
    def test_without_a_frame_rate_it_is_the_videos(self, tmp_path, stamps):
        """Of pictures, version 1 writes 0, 0.001, 0.002 and so on."""
        content = table()
        if stamps == "none":
            content = content.drop(columns="timestamp")
        else:
            content["timestamp"] = 0.0 if stamps == "zero" else np.arange(100) / 1000
        path = write(tmp_path / "clip.csv", content)
        assert "by the columns frame and timestamp" in refused(path).what
        track = faces.read_table(path, fps=12.5)
        assert track.rate == 12.5
        np.testing.assert_allclose(track.seconds, np.arange(100) / 12.5)

    def test_a_dataset_has_the_channels_that_all_its_tables_have(self, tmp_path):
        whole = write(tmp_path / "a.csv", table())
        bare = write(tmp_path / "b.csv", table().drop(columns=list(GAZE)), spaced=True)
        assert faces.extend_card(Deap.card, []) is Deap.card
        assert faces.extend_card(Deap.card, [whole]).modalities == Deap.card.modalities
        card = faces.extend_card(Deap.card, [whole, bare])
        assert card.modalities["face_au"].channels == ACTION_UNITS
        _, signals = faces.read_face(None, whole, lambda s: (0.0, s), card.modalities["face_au"])
        np.testing.assert_array_equal(signals["face_au"].data, faces.read_table(whole).values.T[:34])
        (note,) = faces.note_missing_channels(tmp_path, card.modalities["face_au"])
        assert (note.severity, note.what) == ("note", "tables without gaze: face_au has 34 channels")
        assert not list(faces.note_missing_channels(tmp_path, FACE))


class TestClock:
    def on(self, span: tuple[float, float], rate: float = 25.0, frames: int = 100) -> np.ndarray:
        """The number of the frame that each point of a recording shows, NaN where there is none."""
        content = table(frames, rate)
        track = Track(rate, content["timestamp"].to_numpy(), content[list(CHANNELS)].to_numpy(np.float32), CHANNELS)
        signal = on(track, span)
        assert signal.rate == rate
        assert signal.channels == CHANNELS
        assert signal.data.dtype == np.float32
        return np.round(100 * signal.data[AU12])

    def test_a_recording_of_the_whole_file(self):
        np.testing.assert_array_equal(self.on((0, 4)), np.arange(100))

    def test_a_recording_that_begins_within_the_file(self):
        np.testing.assert_array_equal(self.on((1, 3)), np.arange(25, 75))

    @pytest.mark.parametrize("rate", [25.0, 29.97])
    def test_a_file_that_begins_after_the_recording_and_ends_before_it(self, rate):
        shown = self.on((-3, 6), rate)
        before = round(3 * rate)
        assert len(shown) == int(9 * rate)
        np.testing.assert_array_equal(shown[before : before + 100], np.arange(100))
        assert np.isnan(shown[:before]).all()
        assert np.isnan(shown[before + 100 :]).all()

    def test_half_a_frame_loses_none(self):
        shown = self.on((-5, 2), 12.5, 50)
        there = shown[np.isfinite(shown)]
        np.testing.assert_array_equal(there, np.arange(len(there)))
        assert np.isnan(shown).sum() in (62, 63)

    def test_nothing_of_the_recording(self, tmp_path):
        track = faces.read_table(write(tmp_path / "clip.csv", table()))
        assert on(track, (10, 20)) is None
        content = table().assign(success=0)
        assert on(faces.read_table(write(tmp_path / "clip.csv", content)), (0, 4)) is None

    def test_prepared_it_has_18_values_a_second_at_the_recordings_times(self, tmp_path):
        track = faces.read_table(write(tmp_path / "clip.csv", table(250)))
        ready = preprocess(on(track, (-3, 7)), "face_au", rate_hz=128, mains_hz=50)
        assert ready.rate == 18
        seconds = np.arange(ready.data.shape[1]) / 18
        seen = (seconds >= 3) & (seconds < 9.9)
        np.testing.assert_allclose(ready.data[AU12, seen], (seconds[seen] - 3) * 25 / 100, atol=1e-4)


class TestFaces:
    def test_a_table_without_its_clip(self, tmp_path):
        video, signals = faces.read_face(None, write(tmp_path / "clip.csv", table()), lambda s: (0.0, s), FACE)
        assert video is None
        assert signals["face_au"].data.shape == (42, 100)

    def test_neither(self):
        assert faces.read_face(None, None, lambda _: (0.0, 1.0), FACE) == (None, {})
        assert faces.list_files(None, None) == []

    def test_a_clip_that_cannot_be_read_is_handed_on(self, tmp_path):
        (tmp_path / "clip.mov").write_bytes(b"no film")
        (tmp_path / "clip.boxes.csv").write_text("time_s,x,y,width,height\n0,1,1,5,5\n")
        video, signals = faces.read_face(tmp_path / "clip.mov", None, lambda _: (0.0, 10.0), FACE)
        assert math.isnan(video.fps)
        assert video.boxes == tmp_path / "clip.boxes.csv"
        assert not signals
        assert faces.list_files(video.path, None) == [video.path, video.boxes]

    def test_what_is_odd_is_told(self, tmp_path):
        path = write(tmp_path / "clip.csv", table().drop(columns="AU01_r"))
        assert [(f.severity, f.what) for f in faces.list_findings(None, path)] == [("error", "no column AU01_r")]
        content = table()
        content.loc[:19, "success"] = 0
        (found,) = faces.list_findings(None, write(path, content))
        assert (found.severity, found.what[:3]) == ("warning", "20%")
