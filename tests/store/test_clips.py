"""Frames of videos: the right ones at the right rows, on the recording's clock; what cannot be seen is excluded."""

import json
import shutil

import numpy as np
import pytest

from embench.errors import DataError, PluginError, UsageError
from embench.interfaces.recipe import Recipe
from embench.signals.face import crop_square, square
from embench.signals.video import frames
from embench.store import clips, joined, open_store, prepare

from ..tiny import film
from ..tiny.filmed import grey, lossless, make_subjects, recording, write
from ..tiny.watching import Filmed, Watch


def stored(root, cache, **options):
    return prepare(Filmed(root / "Filmed"), "tests/filmed", "code-1", rate_hz=16.0, cache=cache, **options)


def watch(**requested):
    return Watch(Recipe(prepare={"frames_hz": 5.0, "size": 8, "crop": "none", **requested}))


def greys(found, name):
    """The grey of each of a recording's frames."""
    span = found.spans[name]
    return found.array[span.offset : span.offset + span.samples].mean((1, 2, 3))


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """Six recordings of one subject whose films lie differently in time, and two of a subject without trouble."""
    root = tmp_path_factory.mktemp("six")
    films = root / "Filmed" / "films"
    lossless(films / "late.mkv", film.steady(250), 50)
    lossless(films / "long.mkv", film.steady(600, start_s=2.0), 0)
    lossless(films / "uneven.mkv", [0.0, 0.1, 1.0, 1.05, 4.0, 9.9, 11.0], 100)

    def at(number, file, start, stop):
        return recording(0, number, film={"file": f"films/{file}", "span": [start, stop], "boxes": None})

    own = [
        recording(0, 0),
        at(1, "late.mkv", -3.0, 9.0),  # the film begins 3 s after the recording, and lasts 10 s
        at(2, "long.mkv", 5.02, 17.02),  # a part of a long film
        at(3, "uneven.mkv", 0.0, 12.0),
        recording(0, 4, film=None),
        at(5, "p00-v0.mkv", 8.0, 20.0),  # the film stops 4 s after the recording began
    ]
    return write(root, {"p00": own, "p01": make_subjects(2)["p01"][:2]})


@pytest.fixture(scope="module")
def store(six, tmp_path_factory):
    return stored(six, tmp_path_factory.mktemp("cache"))


def test_each_row_shows_the_frame_of_its_moment_of_the_recording(store):
    found = clips(store, "video", watch())
    assert (found.array.dtype, found.array.shape[1:], found.rate) == (np.uint8, (3, 8, 8), 5.0)
    assert isinstance(found.array, np.memmap)
    assert not found.array.flags.writeable
    where = {name: (span.t0, span.samples) for name, span in found.spans.items() if name.startswith("p00")}
    assert where == {
        "p00-v0": (0.0, 60), "p00-v1": (3.0, 45), "p00-v2": (0.0, 60), "p00-v3": (0.0, 60), "p00-v5": (0.0, 20)
    }  # fmt: skip
    rows = np.arange(60)
    np.testing.assert_array_equal(greys(found, "p00-v0"), 5 * rows % 256)
    np.testing.assert_array_equal(greys(found, "p00-v1"), (50 + 5 * rows[:45]) % 256)
    np.testing.assert_array_equal(greys(found, "p00-v2"), (125 + 5 * rows) % 256)  # 5.02 s is in frame 125
    expected = np.searchsorted([0.0, 0.1, 1.0, 1.05, 4.0, 9.9, 11.0], rows / 5 + 1e-6, "right") - 1
    np.testing.assert_array_equal(greys(found, "p00-v3"), 100 + expected)
    np.testing.assert_array_equal(greys(found, "p00-v5"), (200 + 5 * rows[:20]) % 256)
    np.testing.assert_array_equal(greys(found, "p01-v1"), (7 + 5 * rows) % 256)
    ends = np.cumsum([span.samples for span in found.spans.values()])
    assert [span.offset for span in found.spans.values()] == [0, *ends[:-1].tolist()]


def test_the_index_says_when_there_is_something_to_see_and_holds_no_pixels(store):
    entry = store.recording("p00-v1")
    assert (entry.video.file, entry.video.span, entry.video.boxes) == ("films/late.mkv", (-3.0, 9.0), None)
    assert entry.video.duration_s == pytest.approx(10.0, abs=0.01)
    assert entry.video.fps == pytest.approx(25.0, abs=0.05)
    assert (entry.spans["video"].t0, entry.spans["video"].samples) == (3.0, 225)  # in frames of the card's rate
    assert "video" not in store.recording("p00-v4").spans
    left_out = [dict(row) for row in store.excluded]
    assert left_out == [{"subject": "p00", "recording": "p00-v4", "modality": "video", "reason": "not recorded"}]
    assert sorted(path.name for path in store.path.iterdir()) == [
        "checksums.json",
        "eda.npy",
        "index.json",
        "labels.npz",
    ]
    assert open_store(store.path) == store
    with pytest.raises(UsageError, match="no samples"):
        joined(store, "video")


def test_frames_are_shared_by_encoders_that_ask_for_the_same(store):
    class Another(Watch):
        pass

    steps = []
    first = clips(store, "video", watch(frames_hz=2, size=6), progress=lambda *what: steps.append(what))
    assert [row[:2] for row in steps] == [(i + 1, 7) for i in range(7)]
    again = clips(
        store,
        "video",
        Another(Recipe(lr=9.0, prepare={"frames_hz": 2.0, "size": 6, "crop": "none", "clip_s": 4.0, "own": 1})),
        progress=lambda *what: steps.append(what),
    )
    assert len(steps) == 7
    assert again.array.filename == first.array.filename
    for other in ({"frames_hz": 3}, {"size": 7}, {"crop": "tight"}, {"clip_s": 2}):
        assert (
            clips(store, "video", watch(**{"frames_hz": 2, "size": 6, **other})).array.filename != first.array.filename
        )


@pytest.mark.slow
def test_more_workers_write_the_same_bytes(six, tmp_path):
    one, two = stored(six, tmp_path / "one"), stored(six, tmp_path / "two", workers=2)
    assert (one.path / "index.json").read_bytes() == (two.path / "index.json").read_bytes()
    found = [clips(s, "video", watch(), workers=workers) for s, workers in ((one, 1), (two, 2))]
    assert found[0].array.tobytes() == found[1].array.tobytes()
    assert found[0].spans == found[1].spans


@pytest.mark.parametrize(
    "requested", [{"frames_hz": 0}, {"size": 3.5}, {"crop": "wide"}, {"clip_s": -1}, {"size": "big"}]
)
def test_an_encoder_that_does_not_say_what_it_wants_is_named(store, requested):
    with pytest.raises(PluginError, match="which frames it reads") as caught:
        clips(store, "video", watch(**requested))
    assert "Watch" in caught.value.where
    with pytest.raises(PluginError):
        clips(store, "video", Watch(Recipe()))
    with pytest.raises(UsageError, match="no usable video"):
        clips(store, "eda", watch())


def test_a_crop_stays_where_it_is_for_the_length_of_a_clip(tmp_path):
    rng = np.random.default_rng(0)
    room = rng.integers(0, 256, (60, 120, 3)).astype(np.uint8)
    root = tmp_path / "data"
    films = root / "Filmed" / "films"
    film.write(films / "p00-v0.mkv", film.steady(300), codec="ffv1", b_frames=0, pixels="bgr0", picture=lambda _: room)
    path = films / "boxes.csv"
    # A face that goes to the right, in a recording that begins 1 s into the film; none is seen from 9 s on.
    rows = [f"{k},{10 + k // 5},20,16,18" for k in range(225)]
    path.write_text("\n".join(["frame,x,y,width,height", *rows]))
    about = {"file": "films/p00-v0.mkv", "span": [1.0, 12.0], "boxes": "films/boxes.csv"}
    write(root, {"p00": [recording(0, 0, seconds=11.0, film=about)]})
    store = stored(root, tmp_path / "cache")
    assert store.recording("p00-v0").video.boxes == "films/boxes.csv"
    for crop in ("large", "tight"):
        found = clips(store, "video", watch(crop=crop, size=12, frames_hz=4))
        for k, picture in enumerate(found.array):
            stretch = np.arange(225)[25 + 100 * (k // 16) :][:100]
            face = np.median([[10 + n // 5, 20, 16, 18] for n in stretch], 0) if len(stretch) else None
            np.testing.assert_array_equal(picture, crop_square(room, square(face, crop, 60, 120), 12))
        assert len(found.array) == 44
        assert (found.segments, found.faceless) == (3, 1)
    whole = clips(store, "video", watch(crop="none", size=12, frames_hz=4))
    assert (whole.segments, whole.faceless) == (0, 0)
    np.testing.assert_array_equal(whole.array[3], crop_square(room, (30, 0, 60), 12))


def test_without_boxes_a_face_is_looked_for(store):
    found = clips(store, "video", watch(crop="large"))
    assert found.segments == sum(-(-span.samples // 20) for span in found.spans.values())
    assert found.faceless == found.segments
    np.testing.assert_array_equal(greys(found, "p00-v0"), 5 * np.arange(60) % 256)


def test_files_that_cannot_be_seen_are_left_out_and_leave_the_others_as_they_are(tmp_path):
    all_subjects = make_subjects(2)
    root = write(tmp_path / "data", all_subjects)
    films = root / "Filmed" / "films"
    whole = stored(root, tmp_path / "cache")
    expected = clips(whole, "video", watch())
    (films / "p00-v0.mkv").write_bytes(b"")
    film.sound(films / "p00-v1.wav")
    all_subjects["p00"][1]["film"]["file"] = "films/p00-v1.wav"
    all_subjects["p00"][2]["film"]["span"] = [13.0, 25.0]
    (films / "boxes.csv").write_text("no,boxes\n1,2\n")
    all_subjects["p00"][3]["film"]["boxes"] = "films/boxes.csv"
    (films / "p01-v2.mkv").write_bytes((films / "p01-v2.mkv").read_bytes()[:200])
    film.write(films / "p01-v3.avi", [], codec="mpeg4")
    all_subjects["p01"][3]["film"]["file"] = "films/p01-v3.avi"
    for name, recordings in all_subjects.items():
        (root / "Filmed" / f"{name}.json").write_text(json.dumps(recordings))
    store = stored(root, tmp_path / "cache", workers=2)
    reasons = {row["recording"]: row["reason"] for row in store.excluded}
    names = {
        "p00-v0": "p00-v0.mkv", "p00-v1": "p00-v1.wav", "p00-v2": "p00-v2.mkv", "p00-v3": "boxes.csv",
        "p01-v2": "p01-v2.mkv", "p01-v3": "p01-v3.avi",
    }  # fmt: skip
    assert reasons.keys() == names.keys()
    assert all(f"films/{file}" in reasons[name] for name, file in names.items())
    assert "only audio" in reasons["p00-v1"]
    assert "lasts 12.0 s" in reasons["p00-v2"]
    assert all(row["modality"] == "video" for row in store.excluded)
    assert all("eda" in entry.spans for entry in store.recordings)
    found = clips(store, "video", watch())
    assert [*found.spans] == ["p01-v0", "p01-v1"]
    for name in found.spans:
        np.testing.assert_array_equal(greys(found, name), greys(expected, name))


def test_a_film_that_was_fine_and_cannot_be_decoded_any_more_is_left_out(tmp_path):
    root = write(tmp_path / "data", {"p00": make_subjects(1)["p00"][:2]})
    store = stored(root, tmp_path / "cache")
    lossless(root / "Filmed" / "films" / "p00-v0.mkv", film.steady(100))  # 4 s are left
    (root / "Filmed" / "films" / "p00-v1.mkv").write_bytes(b"?")
    found = clips(store, "video", watch())
    assert {name: span.samples for name, span in found.spans.items()} == {"p00-v0": 60}
    assert [row["recording"] for row in found.excluded] == ["p00-v1"]
    assert "p00-v1.mkv" in found.excluded[0]["reason"]


def test_moving_the_folder_changes_nothing_and_a_film_that_is_gone_is_named(tmp_path):
    root = write(tmp_path / "data", {"p00": make_subjects(1)["p00"][:2]})
    first = stored(root, tmp_path / "cache")
    shutil.move(root, tmp_path / "elsewhere")
    with pytest.raises(DataError, match="has moved since") as caught:
        clips(first, "video", watch())
    assert caught.value.where.endswith("films/p00-v0.mkv")
    moved = stored(tmp_path / "elsewhere", tmp_path / "cache")
    assert moved.path == first.path
    found = clips(moved, "video", watch())
    shutil.rmtree(tmp_path / "elsewhere")
    assert clips(first, "video", watch()).array.filename == found.array.filename  # made once, the film is not needed


def test_frames_are_those_that_reading_the_film_gives(tmp_path):
    root = tmp_path / "data"
    path = film.write(root / "Filmed" / "films" / "p00-v0.mp4", film.steady(300))
    about = {"file": "films/p00-v0.mp4", "span": [0.5, 12.5], "boxes": None}
    write(root, {"p00": [recording(0, 0, film=about)]})
    found = clips(stored(root, tmp_path / "cache"), "video", watch(size=48, frames_hz=3))
    assert len(found.array) == 35  # the film lasts 12 s
    for picture, frame in zip(found.array, frames(path, 0.5 + np.arange(35) / 3), strict=True):
        np.testing.assert_array_equal(picture, frame[:, 8:56].transpose(2, 0, 1))
    assert grey(3).shape == (24, 32, 3)
