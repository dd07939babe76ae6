"""Frames are those of a full decode, whatever the file is like; what cannot be read is named."""

import av
import numpy as np
import pytest

from embench.errors import DataError
from embench.signals.video import frame_times, frames, probe

from ..sample import sample
from ..tiny.film import numbered, read, sound, steady, write

COUNT = 90


def uneven(count, start_s=0.0):
    """Times of a camera that is now quick, now slow, and once stops for half a second."""
    gaps = np.random.default_rng(3).choice([0.02, 0.04, 0.07], count)
    gaps[count // 2] = 0.5
    return (start_s + np.cumsum(gaps) - gaps[0]).tolist()


FILES = {
    "h264.mp4": {},
    "open_groups.mp4": {"x264-params": "open-gop=1:scenecut=0:bframes=3:b-pyramid=normal"},
    "turning_slowly.mp4": {"x264-params": "intra-refresh=1:scenecut=0", "b_frames": 0},
    "h264_b.avi": {},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 0},
    "mpeg4_b.avi": {"codec": "mpeg4"},
    "mpeg4_b.mov": {"codec": "mpeg4"},
    "uneven.mkv": {"times": uneven(COUNT)},
    "uneven.mp4": {"times": uneven(COUNT)},
    "late.mkv": {"times": uneven(COUNT, 7.5)},
    "late.ts": {"times": steady(COUNT, start_s=3.0)},
    "one_group.mp4": {"gop": 1000, "x264-params": "scenecut=0"},
    "pictures.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "b_frames": 0},
    "lossless.mkv": {"codec": "ffv1", "b_frames": 0, "pixels": "bgr0"},
    "raw.avi": {"codec": "rawvideo", "b_frames": 0, "pixels": "bgr24"},
}  # fmt: skip


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Writes one of `FILES`; returns it with its frames' times from the first on."""
    folder = tmp_path_factory.mktemp("films")

    def made(name):
        about = dict(FILES[name])
        times = about.pop("times", steady(COUNT))
        path = folder / name
        if not path.exists():
            write(path, times, **about)
        return path, np.round(np.array(times) - times[0], 3)

    return made


def decoded(path):
    """All frames, in the order in which they are shown."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def shown(times, at):
    """The position of the frame that is shown at a time."""
    return max(int(np.searchsorted(times, at + 1e-6, "right")) - 1, 0)


@pytest.mark.parametrize("name", sample(FILES, "uneven.mkv"))
def test_frames_are_those_of_a_full_decode(film, name):
    path, times = film(name)
    whole = decoded(path)
    assert [read(picture) for picture in whole] == list(range(COUNT))
    np.testing.assert_allclose(frame_times(path), times, atol=2e-3)
    rng = np.random.default_rng(0)
    for count in (1, 1, 2, 3, 8, 40, 200):
        at = np.sort(rng.uniform(-0.3, times[-1] + 0.3, count))
        for time, picture in zip(at, frames(path, at), strict=True):
            expected = shown(frame_times(path), time)
            assert read(picture) == expected
            assert np.array_equal(picture, whole[expected])
    on_time = [*frames(path, frame_times(path))]
    assert all(np.array_equal(one, other) for one, other in zip(on_time, whole, strict=True))


@pytest.mark.parametrize("name", ["lossless.mkv", "raw.avi"])
def test_lossless_frames_are_what_was_drawn(film, name):
    path, times = film(name)
    for k, picture in zip((0, 17, 18, COUNT - 1), frames(path, times[[0, 17, 18, COUNT - 1]]), strict=True):
        np.testing.assert_array_equal(picture, numbered(k))


@pytest.mark.parametrize(("name", "fps"), [("h264.mp4", 25.0), ("mpeg4_b.avi", 25.0), ("late.ts", 25.0)])
def test_a_file_tells_its_rate_and_length_from_its_first_frame_on(film, name, fps):
    path, _ = film(name)
    found = probe(path)
    assert found.fps == pytest.approx(fps, rel=0.01)
    assert found.duration_s == pytest.approx(COUNT / fps, abs=0.05)


def test_an_uneven_film_lasts_until_its_last_frame_ends(film):
    path, times = film("uneven.mkv")
    assert times[-1] < probe(path).duration_s < times[-1] + 0.2


def test_times_must_ascend_and_none_gives_nothing(film):
    path, _ = film("h264.mp4")
    assert [*frames(path, [])] == []
    with pytest.raises(ValueError, match="ascend"):
        next(frames(path, [1.0, 0.5]))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_key_frames_that_are_none_are_not_believed(tmp_path, codec):
    path = write(tmp_path / "lies.mp4", steady(COUNT), codec=codec, gop=30)
    whole, content = decoded(path), bytearray(path.read_bytes())
    table = content.index(b"stss") + 12
    count = int.from_bytes(content[table - 4 : table], "big")
    assert count >= 3
    for entry in range(1, count):  # each key frame is said to be five frames later
        where = slice(table + 4 * entry, table + 4 * entry + 4)
        content[where] = (int.from_bytes(content[where], "big") + 5).to_bytes(4, "big")
    path.write_bytes(content)
    with av.open(str(path)) as container:
        claimed = [k for k, packet in enumerate(container.demux(video=0)) if packet.size and packet.is_keyframe]
    assert len(claimed) >= 3
    for k in range(0, COUNT, 7):
        at = np.array([k, min(k + 33, COUNT - 1)]) / 25
        for time, picture in zip(at, frames(path, at), strict=True):
            assert np.array_equal(picture, whole[shown(steady(COUNT), time)])


@pytest.mark.parametrize("turned", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_film_is_turned_and_mirrored_as_its_file_says(tmp_path, turned, mirrored):
    path = write(
        tmp_path / "turned.mp4", steady(6), turned=turned, mirrored=mirrored, picture=lambda _: numbered(0b1011)
    )
    upright = np.rot90(decoded(path)[4], turned // 90)
    expected = upright[:, ::-1] if mirrored else upright
    picture = next(frames(path, [4 / 25]))
    np.testing.assert_array_equal(picture, expected)
    assert picture.flags.c_contiguous


def test_a_wrecked_stretch_spoils_no_frame_outside_it(film, tmp_path):
    path = film("mpeg4_b.mov")[0]
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size, p.is_keyframe) for p in container.demux(video=0) if p.size]
    keys = [i for i, (_, _, key) in enumerate(packets) if key]
    content, broken = bytearray(path.read_bytes()), tmp_path / "wrecked.mov"
    for pos, size, _ in packets[keys[2] : keys[3]]:
        content[pos : pos + size] = b"\0" * size
    broken.write_bytes(content)
    whole = decoded(path)
    for k, picture in zip((3, 20, 60, 85), frames(broken, np.array([3, 20, 60, 85]) / 25), strict=True):
        np.testing.assert_array_equal(picture, whole[k])


@pytest.mark.parametrize("name", ["h264.mp4", "uneven.mkv", "late.ts", "mpeg4_b.avi"])
def test_of_a_file_that_was_cut_short_there_is_what_comes_before_the_cut(film, tmp_path, name):
    path, times = film(name)
    cut = tmp_path / path.name
    with av.open(str(path)) as container:
        end = [packet.pos for packet in container.demux(video=0) if packet.size][50]
    cut.write_bytes(path.read_bytes()[:end])
    if name.endswith("mp4"):  # its table of contents stands at the end
        with pytest.raises(DataError, match="cannot be read") as caught:
            probe(cut)
        assert caught.value.where == str(cut)
        return
    whole, left = decoded(path), len(decoded(cut))
    assert 10 < left < COUNT
    assert probe(cut).duration_s < times[-1]
    safe = left - 8
    for k, picture in enumerate(frames(cut, times[:safe])):
        np.testing.assert_array_equal(picture, whole[k])


def empty(path):
    path.touch()
    return path


def text(path):
    path.write_text("this is no video\n" * 100)
    return path


def no_frames(path):
    return write(path, [])


def rubble(path):
    """A file whose frames are all there and can none of them be decoded."""
    write(path, steady(20), codec="mpeg4", b_frames=0)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    for pos, size in packets:
        content[pos : pos + size] = b"\0" * size
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("empty.mp4", empty, "cannot be read"),
        ("text.mp4", text, "cannot be read"),
        ("sound.wav", sound, "only audio"),
        ("no_frames.avi", no_frames, "no frame|no video|cannot be read"),
        ("rubble.mov", rubble, "no frame"),
        ("nowhere.mp4", lambda path: path, "No such file"),
    ],
)
def test_what_cannot_be_seen_is_named(tmp_path, name, make, message):
    path = make(tmp_path / name)
    for read_it in (probe, lambda path: next(frames(path, [0.0]))):
        with pytest.raises(DataError, match=message) as caught:
            read_it(path)
        assert caught.value.where == str(path)
