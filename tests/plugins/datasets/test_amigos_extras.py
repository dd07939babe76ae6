"""What lies beside AMIGOS' signals: clips of faces, the order of videos, single annotators."""

import math
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from embench_plugins.datasets.amigos import release
from embench_plugins.datasets.amigos.reader import Amigos, AmigosExternal, AmigosLong
from embench_plugins.datasets.amigos.release import LONG, SHORT
from embench_plugins.datasets.devices import faces

from .amigos_made import clip, own_file

PERSON = "Data_Preprocessed_P01.mat"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    own_file(tmp_path / PERSON, seconds=10.0)
    return tmp_path


def videos(reader: Amigos) -> dict:
    return {recording.stimulus: recording.video for recording in reader.recordings("P01")}


def findings(reader: Amigos) -> list[str]:
    return [f"{Path(finding.where).name}: {finding.what}" for finding in reader.verify()]


def book(path: Path, sheets: dict[str, list[list]]) -> Path:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        page = made.create_sheet(name)
        for row in rows:
            page.append(row)
    made.save(path)
    return path


class TestClips:
    @pytest.mark.parametrize("fps", [18, 25, 50])
    def test_the_rate_is_the_containers_own(self, root, fps):
        path = clip(root / "Exp1_P01_face" / "P1_4_face.mov", 10.0, fps)
        video = videos(Amigos(root))["4"]
        assert (video.path, video.fps, video.span) == (path, fps, (0.0, 10.0))
        assert path in Amigos(root).files("P01")

    @pytest.mark.parametrize(
        "name",
        [
            "Exp1_P01_face/P1_4_face.mov",
            "Exp1_P01_face/Exp1_P01_face/P1_4_face.mov",
            "faces/P01_04_face.mov",
            "P1_4_face.MP4",
        ],
    )
    def test_nested_folders_and_padded_ids(self, root, name):
        path = clip(root / name, 1.0)
        assert {video: found.path for video, found in videos(Amigos(root)).items() if found} == {"4": path}

    def test_p10_is_not_p1_and_video_13_is_not_video_138(self, root):
        for name in ("P10_4_face.mov", "P1_138_face.mov"):
            clip(root / name, 1.0)
        assert [video for video, found in videos(Amigos(root)).items() if found] == ["138"]

    @pytest.mark.parametrize(
        ("seconds", "span"), [(9.0, (0, 10.0)), (11.0, (0, 10.0)), (5.0, (-5.0, 5.0)), (2.0, (0, 10.0))]
    )
    def test_clips_whose_length_differs_from_the_signals(self, root, seconds, span):
        """P11_18, P13_58, P39_10, and video 20, whose clips are 1 s short; one of the stimulus alone starts 5 s in.
        A span is where the recording lies on the clip's clock, whether the clip covers all of it or not."""
        clip(root / "P1_20_face.mov", seconds)
        reader = Amigos(root)
        assert videos(reader)["20"].span == pytest.approx(span)
        assert any(
            line.startswith(f"P01_V20: the clip lasts {seconds:.1f} s, the signals 10.0 s") for line in findings(reader)
        )

    def test_a_broken_clip_costs_the_clip_only(self, root):
        (root / "P1_4_face.mov").write_bytes(b"\x00\x00\x00\x14ftypqt  " + bytes(200))
        path = clip(root / "P1_5_face.mov", 5.0)
        path.write_bytes(path.read_bytes()[:300])
        reader = Amigos(root)
        assert len(videos(reader)) == 16
        broken = {video: film for video, film in videos(reader).items() if film}  # whoever decodes them says so
        assert {video: (math.isnan(film.fps), film.span) for video, film in broken.items()} == {
            "4": (True, (0, 10)), "5": (True, (0, 10))
        }  # fmt: skip
        found = {Path(f.where).name: f for f in reader.verify() if f.severity == "warning"}
        assert "not readable as a video" in found["P1_4_face.mov"].what
        assert "not readable as a video" in found["P1_5_face.mov"].what

    def test_names_of_long_videos_clips_are_guessed_and_others_told(self, root):
        path = clip(root / "Exp2_P01_face" / "P1_N1_face.mov", 10.0)
        clip(root / "Exp2_group1" / "N13_face.mov", 1.0)
        assert videos(AmigosLong(root))["N1"].path == path
        assert not any(videos(Amigos(root)).values())
        assert any(line.startswith("N13_face.mov: 1 video files are left out") for line in findings(AmigosLong(root)))

    def test_verify_says_what_is_assumed(self, root):
        clip(root / "P1_4_face.mov", 10.0)
        assert any("taken to start with the signals, rest included" in line for line in findings(Amigos(root)))


class TestOpenFace:
    def table(self, path: Path, seconds: float, rate: float = 25.0) -> Path:
        """All values of a frame are its second in the clip over 10."""
        frame = np.arange(round(seconds * rate))
        columns = {"frame": frame + 1, "timestamp": frame / rate, "confidence": 0.98, "success": 1}
        columns |= dict.fromkeys(faces.CHANNELS, frame / rate / 10)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pd.DataFrame(columns).to_csv(index=False))
        return path

    def shown(self, reader: Amigos) -> dict[str, np.ndarray]:
        signals = {r.stimulus: r.signals.get("face_au") for r in reader.recordings("P01")}
        return {video: 10 * signal.data[8] for video, signal in signals.items() if signal}

    @pytest.mark.parametrize(
        "name", ["openface/P1_4_face.csv", "Exp1_P01_face/P1_4_face.csv", "P01_04.csv", "faces/processed/P1_4_face.csv"]
    )
    def test_it_is_named_as_the_clip_and_lies_anywhere(self, root, name):
        path = self.table(root / name, 10.0)
        ((video, shown),) = self.shown(Amigos(root)).items()
        assert video == "4"
        np.testing.assert_allclose(shown, np.arange(250) / 25, atol=1e-6)
        assert path in Amigos(root).files("P01")

    def test_it_is_there_without_a_clip_and_counts_for_long_videos_and_annotations_too(self, root):
        self.table(root / "openface" / "P1_N1_face.csv", 10.0)
        assert list(self.shown(AmigosLong(root))) == list(self.shown(AmigosExternal(root))) == ["N1"]
        assert not self.shown(Amigos(root))

    @pytest.mark.parametrize("with_clip", [True, False])
    @pytest.mark.parametrize(("seconds", "first"), [(10.0, 0), (9.0, 0), (5.0, 5), (2.0, 0), (12.0, 0)])
    def test_it_has_the_clips_offset(self, root, seconds, first, with_clip):
        """With the rest or without, as the length of the clip, or else its own, tells."""
        self.table(root / "openface" / "P1_20_face.csv", seconds)
        if with_clip:
            clip(root / "Exp1_P01_face" / "P1_20_face.mov", seconds)
        shown = self.shown(Amigos(root))["20"]
        time = np.arange(250) / 25 - first
        inside = (time >= -1e-9) & (time < seconds - 1e-9)
        np.testing.assert_allclose(shown, np.where(inside, time, np.nan), atol=1e-6)

    def test_no_modality_of_it_is_used_unless_asked_for(self):
        assert Amigos.card.default_modalities == ("eeg", "ecg", "eda")
        assert Amigos.card.modalities["face_au"].channels == faces.CHANNELS
        assert "video" in AmigosLong.card.modalities

    def test_what_one_table_lacks_no_recording_has(self, root):
        self.table(root / "openface" / "P1_4_face.csv", 10.0)
        path = self.table(root / "openface" / "P1_20_face.csv", 10.0)
        path.write_text(pd.read_csv(path).drop(columns=list(faces.GAZE)).to_csv(index=False))
        found = {r.stimulus: r.signals["face_au"] for r in Amigos(root).recordings("P01") if "face_au" in r.signals}
        assert {video: signal.channels for video, signal in found.items()} == dict.fromkeys(
            ("4", "20"), faces.ACTION_UNITS
        )
        assert any(line.endswith("tables without gaze: face_au has 34 channels") for line in findings(Amigos(root)))

    def test_one_of_another_file_is_told(self, root):
        self.table(root / "openface" / "P1_4_face.csv", 7.0)
        clip(root / "P1_4_face.mov", 10.0)
        assert "P1_4_face.csv: it covers 7.0 s, the clip lasts 10.0 s: not of this file?" in findings(Amigos(root))

    def test_boxes_of_faces_lie_beside_the_clip(self, root):
        path = clip(root / "Exp1_P01_face" / "P1_4_face.mov", 10.0)
        boxes = path.with_suffix(".boxes.csv")
        boxes.write_text("time_s,x,y,width,height\n0,1,1,5,5\n")
        assert videos(Amigos(root))["4"].boxes == boxes
        assert boxes in Amigos(root).files("P01")
        assert not self.shown(Amigos(root))


class TestOrder:
    HEADER = ("UserID", *["Video_Number"] * 17)

    def test_it_is_read_where_a_row_names_all_videos(self, root):
        order = [*SHORT[8:], *SHORT[:8]]
        book(
            root / "Experiment_Data.xlsx",
            {
                "Short_Videos_Order": [
                    ["order of presentation"],
                    list(self.HEADER),
                    [
                        1,
                        *(int(video) for video in order[:3]),
                        *(f"'{video}'" for video in order[2:]),
                    ],  # one comes twice
                    [2, *range(1, 18)],
                ],
                "Long_Videos_Order": [["UserID(s)", *["Video_Number"] * 4], ["7,1,2,16", "B1", "N1", "U1", "P1"]],
            },
        )
        recordings = {r.stimulus: r.order for r in Amigos(root).recordings("P01")}
        assert recordings == {video: place for place, video in enumerate(order)}
        recordings = {r.stimulus: r.order for r in AmigosLong(root).recordings("P01")}
        assert recordings == {"B1": 0, "N1": 1, "U1": 2, "P1": 3}
        assert "Experiment_Data.xlsx: states the order of the videos of 1 subjects" in findings(Amigos(root))
        assert "Experiment_Data.xlsx: states the order of the videos of 4 subjects" in findings(AmigosLong(root))
        assert root / "Experiment_Data.xlsx" in Amigos(root).files("P01")

    def test_numbers_that_are_no_video_ids_tell_no_order(self, root):
        book(root / "Experiment_Data.xlsx", {"Short_Videos_Order": [list(self.HEADER[:17]), [1, *range(1, 17)]]})
        assert {r.order for r in Amigos(root).recordings("P01")} == {None}
        assert "Experiment_Data.xlsx: states the order of the videos of 0 subjects" in findings(Amigos(root))

    def test_a_damaged_sheet_costs_the_order_only(self, root):
        (root / "Experiment_Data.xlsx").write_bytes(b"")
        assert {r.order for r in Amigos(root).recordings("P01")} == {None}


class TestAnnotators:
    HEADER = (
        "UserID", "VideoID", "Segment_Index", *(f"Valence_Annotator_{n}" for n in (1, 2, 3)),
        *(f"Arousal_Annotator_{n}" for n in (1, 2, 3)),
    )  # fmt: skip

    @pytest.fixture
    def sheet(self, root) -> Path:
        rows = [[1, f"'{video}'", k, 0.1 * k, -0.1, None, 0.3, -1.2, 0.5] for video in SHORT + LONG for k in (1, 2)]
        rows[0][3] = 1.3
        return book(root / "External_Annotations.xlsx", {"Sheet1": [list(self.HEADER), *rows]})

    def test_single_annotators_are_raw_labels(self, root, sheet):
        recording = next(AmigosExternal(root).recordings("P01"))
        assert set(recording.labels) == {"arousal", "valence"} | {
            f"{scale}_annotator{n}" for scale in ("arousal", "valence") for n in (1, 2, 3)
        } - {"valence_annotator3"}  # an empty column
        np.testing.assert_allclose(recording.labels["valence_annotator2"].values, -0.1)
        np.testing.assert_array_equal(recording.labels["valence_annotator2"].times, np.arange(10) + 0.5)
        assert sheet in AmigosExternal(root).files("P01")

    def test_out_of_range_cells_are_held_within_the_scale(self, root, sheet):
        assert sheet.exists()
        labels = next(AmigosExternal(root).recordings("P01")).labels
        assert set(labels["arousal_annotator2"].values) == {-1.0}
        assert labels["valence_annotator1"].values[0] == pytest.approx((1.0 + 0.2) / 2)
        assert any("valence_annotator1 off the scale -1 to 1 (1)" in line for line in findings(AmigosExternal(root)))
        assert "External_Annotations.xlsx: states the single annotators of 20 trials" in findings(AmigosExternal(root))

    def test_self_assessments_do_without(self, root, sheet):
        assert sheet not in Amigos(root).files("P01")
        assert not {n for n in next(Amigos(root).recordings("P01")).labels if "annotator" in n}

    def test_a_sheet_with_a_shifted_header_is_named(self, root):
        book(root / "External_Annotations.xlsx", {"Sheet1": [["UserID", "VideoID"], [1, "10", 1]]})
        assert any(
            "External_Annotations.xlsx: the sheet has no annotations" in line for line in findings(AmigosExternal(root))
        )

    def test_without_openpyxl_verify_says_what_is_not_read(self, root, sheet, monkeypatch):
        monkeypatch.setattr(release, "find_spec", lambda _: None)
        assert sheet not in AmigosExternal(root).files("P01")
        assert set(next(AmigosExternal(root).recordings("P01")).labels) == {"arousal", "valence"}
        assert any("External_Annotations.xlsx: not read: openpyxl" in line for line in findings(AmigosExternal(root)))
