"""Boxes are read on the film's clock, squares stay inside the picture, and a face is found where there is one."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embench.errors import DataError
from embench.signals.face import crop_square, find_face, read_boxes, square

from ..tiny.film import write


def drawn(x, y, radius, size=(200, 260)):
    """A face looking at the camera: light skin, dark eyes and brows, a nose and a mouth."""
    picture = np.full((*size, 3), 90, np.uint8)

    def oval(dx, dy, across, down, grey):
        centre = (round(x + dx * radius), round(y + dy * radius))
        axes = (round(across * radius), round(down * radius))
        cv2.ellipse(picture, centre, axes, 0, 0, 360, (grey,) * 3, -1, cv2.LINE_AA)

    oval(0, 0, 0.8, 1.05, 200)
    for side in (-1, 1):
        oval(side * 0.34, -0.38, 0.26, 0.05, 60)
        oval(side * 0.34, -0.18, 0.2, 0.1, 110)
        oval(side * 0.34, -0.18, 0.1, 0.09, 20)
    oval(0, 0.15, 0.1, 0.22, 160)
    oval(0, 0.58, 0.34, 0.09, 70)
    return cv2.GaussianBlur(picture, (0, 0), radius / 40)


def boxes(path, head, *rows):
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]))
    return path


def test_boxes_by_time_and_by_frame_lie_on_the_films_clock(tmp_path):
    film = write(tmp_path / "uneven.mkv", [1.0, 1.1, 1.5, 1.6, 2.0])
    by_time = boxes(
        tmp_path / "a.csv", "time_s,x,y,width,height", (0.5, 3, 4, 10, 12), (0, 1, 2, 10, 12), (0.6, 5, 6, 10, 12)
    )
    by_frame = boxes(
        tmp_path / "b.csv",
        " frame, x, y, width, height, more",
        (0, 1, 2, 10, 12, 0),
        (2, 3, 4, 10, 12, 0),
        (3, 5, 6, 10, 12, 0),
        (9, 0, 0, 1, 1, 0),
    )
    for path in (by_time, by_frame):
        found = read_boxes(path, film)
        np.testing.assert_allclose(found.time_s, [0, 0.5, 0.6], atol=1e-9)
        np.testing.assert_array_equal(found.box[:, 0], [1, 3, 5])
        np.testing.assert_array_equal(found.median(0.5, 0.6), [3, 4, 10, 12])
        np.testing.assert_array_equal(found.median(0.0, 9.0), [3, 4, 10, 12])
        assert found.median(0.7, 9.0) is None


def test_rows_without_a_face_are_passed_over(tmp_path):
    rows = [(0, 1, 2, 10, 12), (1, "", "", "", ""), (2, 1, 2, 0, 0), (3, "nan", 2, 3, 4), (4, 7, 8, 10, 12)]
    found = read_boxes(boxes(tmp_path / "a.csv", "time_s,x,y,width,height", *rows), tmp_path)
    assert found.time_s.tolist() == [0, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "none"), ("x,y,width,height\n1,2,3,4", "x, y"), ("time_s,x,y,width\n0,1,2,3", "time_s, x"),
     ("time_s,x,y,width,height\n0,1,2,three,4", "three")],
)  # fmt: skip
def test_a_file_that_holds_no_boxes_is_named(tmp_path, text, message):
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_boxes(path, tmp_path)
    assert caught.value.where == str(path)


@given(
    st.integers(1, 300), st.integers(1, 300), st.sampled_from(["large", "tight", "none"]),
    st.one_of(st.none(), st.tuples(*[st.floats(-50, 400)] * 2, *[st.floats(0.1, 400)] * 2)),
)  # fmt: skip
def test_a_square_lies_inside_the_picture(height, width, crop, box):
    left, top, side = square(None if box is None else np.array(box), crop, height, width)
    assert 1 <= side <= min(height, width)
    assert 0 <= left <= width - side
    assert 0 <= top <= height - side


def test_a_square_is_around_the_box_as_large_as_the_crop_says():
    box = np.array([100.0, 60.0, 40.0, 50.0])
    assert square(box, "tight", 200, 300) == (95, 60, 50)
    assert square(box, "large", 200, 300) == (80, 45, 80)
    assert square(box, "none", 200, 300) == (50, 0, 200) == square(None, "large", 200, 300)


def test_what_is_cut_is_the_square_colour_first():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    np.testing.assert_array_equal(crop_square(picture, (7, 5, 16), 16), picture[5:21, 7:23].transpose(2, 0, 1))
    flat = np.full((40, 60, 3), (10, 20, 30), np.uint8)
    for size in (8, 64):
        small = crop_square(flat, (7, 5, 16), size)
        assert small.shape == (3, size, size)
        assert (small == np.array([10, 20, 30], np.uint8)[:, None, None]).all()


@pytest.mark.parametrize("scale", [1, 3])
def test_a_face_is_found_where_it_is_and_none_where_there_is_none(scale):
    for x, y, radius in ((80, 90, 60), (160, 110, 50)):
        picture = drawn(x * scale, y * scale, radius * scale, (200 * scale, 260 * scale))
        box = find_face(picture)
        assert box is not None
        assert np.abs(box[:2] + box[2:] / 2 - np.array([x, y]) * scale).max() < 0.3 * radius * scale
        assert 1.0 < box[2] / radius / scale < 2.6
    assert find_face(np.full((200, 260, 3), 90, np.uint8)) is None
