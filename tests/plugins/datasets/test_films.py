"""Made-up faces on film: what mouth and brow show and nothing else does, files that are as others write them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from embench.signals.face import find_face
from embench_plugins.datasets.devices import faces
from embench_plugins.datasets.devices.faces import CHANNELS
from embench_plugins.datasets.synthetic import films
from embench_plugins.datasets.synthetic.films import HEIGHT, WIDTH, Face, Performance

SECONDS = 8.0
RATE = float(films.FPS)


def performance(smile: float = 0.0, brow: float = 0.0, seconds: float = SECONDS, seed: int = 0) -> Performance:
    """What is drawn besides is the same for one seed."""
    still = np.zeros(len(films.list_times(seconds)))
    return Performance.draw(still + smile, still + brow, RATE, np.random.default_rng(seed))


def pictures(done: Performance, seed: int = 0) -> np.ndarray:
    face = Face.draw(np.random.default_rng(seed))
    return np.stack([face.draw_picture(done, at) for at in range(len(done.smile))]).astype(float)


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def seen(tmp_path: Path, done: Performance, **options) -> faces.Track:
    path = tmp_path / "seen.csv"
    films.write_table(path, done, np.random.default_rng(1), **options)
    return faces.read_table(path)


class TestFace:
    @pytest.mark.parametrize("seed", range(3))
    def test_brightness_and_contrast_are_the_same_whatever_is_shown(self, seed):
        low, high = (pictures(performance(s, b, 4.0, seed), seed) for s, b in ((-2, -2), (2, 2)))
        np.testing.assert_allclose(high.mean((1, 2)), low.mean((1, 2)), atol=0.5)
        np.testing.assert_allclose(high.std((1, 2)), low.std((1, 2)), atol=0.5)
        assert np.ptp(low.mean((1, 2, 3))) > 0.5  # light drifts

    def test_mouth_and_brow_show_it_and_the_room_does_not(self):
        none = pictures(performance())
        for shown, rows in (({"smile": 2.0}, slice(44, 64)), ({"brow": 2.0}, slice(14, 32))):
            changed = np.abs(pictures(performance(**shown)) - none).mean((0, 3))
            inside = changed[rows, 30:66].mean()
            assert inside > 4
            assert inside > 5 * changed[:, :12].mean()

    def test_mouth_and_brow_are_apart(self):
        smile, brow, none = (pictures(performance(s, b)) for s, b in ((2, 0), (0, 2), (0, 0)))
        one, other = (np.abs(changed - none).mean((0, 3)).ravel() for changed in (smile, brow))
        assert np.corrcoef(one, other)[0, 1] < 0.2

    def test_subjects_look_different(self):
        still = [pictures(performance(seconds=1.0), seed)[0] for seed in range(6)]
        apart = [np.abs(a - b).mean() for i, a in enumerate(still) for b in still[:i]]
        assert min(apart) > 10

    def test_a_subject_moves_and_blinks(self):
        done = performance(seconds=60.0)
        assert 5 < (np.diff(done.lid) < 0).sum() < 40
        assert done.head.std() > 0.02
        assert np.abs(np.diff(pictures(performance(seconds=2.0)), axis=0)).mean((1, 2, 3)).min() > 0

    def test_a_detector_finds_it(self):
        """In nineteen of twenty pictures at least, and about where it is."""
        boxes = []
        for seed in range(20):
            face, done = Face.draw(np.random.default_rng(seed)), performance(seed % 5 - 2, 2 - seed % 4, 2.0, seed)
            for at in (0, 12):
                box = find_face(face.draw_picture(done, at))
                if box is not None:
                    middle = box[:2] + box[2:] / 2
                    boxes.append(np.abs(middle - face.centre - face.size * done.head[at]).max() / face.size)
        assert len(boxes) >= 38
        assert np.median(boxes) < 0.25


class TestFilm:
    @pytest.mark.parametrize(
        ("suffix", "kind", "tag"), [(".mov", "h264", "avc1"), (".mp4", "h264", "avc1"), (".avi", "mpeg4", "XVID")]
    )
    def test_kinds_of_the_releases(self, tmp_path, suffix, kind, tag):
        done, face = performance(), Face.draw(np.random.default_rng(0))
        films.write_film(tmp_path / f"clip{suffix}", face, done)
        with av.open(str(tmp_path / f"clip{suffix}")) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.codec_tag) == (kind, tag)
        found = faces.read_header(tmp_path / f"clip{suffix}")
        assert (found.fps, found.duration_s) == (12.5, SECONDS)
        film = decoded(found.path)
        assert film.shape == (len(done.smile), HEIGHT, WIDTH, 3)
        for at in (0, 50, 99):  # each picture in its place, as well as a codec keeps it
            assert np.abs(film[at] - face.draw_picture(done, at).astype(float)).mean() < 6
        assert [path.name for path in tmp_path.iterdir()] == [f"clip{suffix}"]

    def test_a_header_with_a_wrong_rate(self, tmp_path):
        path = tmp_path / "clip.avi"
        films.write_film(path, Face.draw(np.random.default_rng(0)), performance(), header_fps=Fraction(25, 4))
        found = faces.read_header(path)
        assert (found.fps, found.duration_s) == (6.25, 2 * SECONDS)
        assert len(decoded(path)) == SECONDS * 12.5

    @pytest.mark.parametrize("suffix", films.KINDS)
    def test_the_same_bytes(self, tmp_path, suffix):
        for name in "ab":
            films.write_film(
                tmp_path / f"{name}{suffix}", Face.draw(np.random.default_rng(0)), performance(seconds=2.0)
            )
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


class TestTable:
    @pytest.mark.parametrize("spaced", [False, True])
    def test_it_covers_the_film(self, tmp_path, spaced):
        track = seen(tmp_path, performance(), spaced=spaced)
        assert (track.rate, track.duration_s) == (12.5, pytest.approx(SECONDS))
        header = (tmp_path / "seen.csv").read_text().split("\n")[0]
        assert header.startswith("frame, face_id" if spaced else "frame,face_id")
        assert "AU28_c" in header

    def test_it_believes_a_wrong_header(self, tmp_path):
        track = seen(tmp_path, performance(), header_fps=films.FPS / 2)
        assert (track.rate, track.duration_s) == (6.25, pytest.approx(2 * SECONDS))

    def test_values_are_such_as_openface_gives(self, tmp_path):
        values = seen(tmp_path, performance(seconds=120.0)).values
        values = values[np.isfinite(values).all(1)]
        assert values[:, :17].min() >= 0
        assert values[:, :17].max() <= 5
        assert set(np.unique(values[:, 17:34])) == {0, 1}
        assert np.linalg.norm(values[:, 34:37], axis=1) == pytest.approx(1, abs=1e-4)
        assert np.linalg.norm(values[:, 37:40], axis=1) == pytest.approx(1, abs=1e-4)

    def test_smile_and_brow_move_their_units_only(self, tmp_path):
        def means(smile: float, brow: float) -> dict[str, float]:
            return dict(zip(CHANNELS, np.nanmean(seen(tmp_path, performance(smile, brow)).values, 0), strict=True))

        none, smile, brow = means(0, 0), means(1.5, 0), means(0, 1.5)
        for changed, more, less in ((smile, ("AU12_r", "AU06_r"), "AU15_r"), (brow, ("AU01_r", "AU02_r"), "AU04_r")):
            assert all(changed[name] > none[name] + 0.8 for name in more)
            assert changed[less] < none[less] - 0.4
            others = {n for n in CHANNELS if n[:4] not in ("AU12", "AU06", "AU15", "AU01", "AU02", "AU04", "AU05")}
            assert all(changed[name] == pytest.approx(none[name], abs=1e-4) for name in others)

    def test_some_faces_are_lost_for_a_while(self, tmp_path):
        lost = []
        for seed in range(30):
            films.write_table(tmp_path / "seen.csv", performance(seconds=4.0), np.random.default_rng(seed))
            lost.append(faces.read_table(tmp_path / "seen.csv").lost)
        assert 4 <= np.count_nonzero(lost) <= 16
        assert max(lost) == pytest.approx(6 / 50)
