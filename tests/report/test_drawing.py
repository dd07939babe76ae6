"""Charts: shapes stand where the data say, in light and dark, and the words for those who don't see them are there."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from embench.errors import UsageError
from embench.report.drawing import (
    Axis,
    Panel,
    bars,
    check_path,
    error_bars,
    figure,
    heat,
    line,
    rule,
    scatter,
    ticks,
)

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*marks, **axes):
    return figure([Panel("panel", marks, axes.get("x", Axis()), axes.get("y", Axis()))], "A title", "What is seen")


def elements(made, kind):
    return [e for e in ET.fromstring(made.svg()).iter(SVG + kind) if e.get("width") != "100%"]


def test_bars_are_as_high_as_their_values():
    made = elements(drawn(bars([0, 1, 2], [1, 2, 4]), y=Axis(low=0, high=4)), "rect")
    one, two, four = (float(e.get("height")) for e in made)
    assert two == pytest.approx(2 * one, abs=0.1)
    assert four == pytest.approx(4 * one, abs=0.1)
    feet = {round(float(e.get("y")) + float(e.get("height")), 1) for e in made}
    assert len(feet) == 1


def test_points_lie_on_the_scale_that_the_ticks_show():
    made = drawn(
        scatter([2.0], [30.0], symbol="circle", tips=["here"]), x=Axis(low=0, high=10), y=Axis(low=0, high=100)
    )
    (dot,) = elements(made, "circle")
    label = {e.text: (float(e.get("x")), float(e.get("y"))) for e in elements(made, "text")}
    x, y = float(dot.get("cx")), float(dot.get("cy"))
    assert x == pytest.approx(label["2"][0], abs=0.1)
    assert (label["40"][1] + label["20"][1]) / 2 == pytest.approx(y + 4, abs=0.2)  # words stand 4 under their place
    assert dot[0].text == "here"


def test_names_have_one_place_each_and_the_first_stands_on_top():
    made = drawn(error_bars([0, 1], [0.5, 0.6], [0.4, 0.5], [0.6, 0.7], across=True), y=Axis(names=["a", "b"]))
    dots = [float(e.get("cy")) for e in elements(made, "circle")]
    label = {e.text: float(e.get("y")) for e in elements(made, "text")}
    assert label["a"] < label["b"]
    assert dots == pytest.approx([label["a"] - 4, label["b"] - 4], abs=0.1)


def test_lines_and_bands_break_where_nothing_is_known():
    y = np.array([1, 2, np.nan, 4, 5, np.nan, 7])
    made = drawn(line(range(7), y, y - 1, y + 1), x=Axis(ticks=False), y=Axis(ticks=False))
    lines = [e for e in elements(made, "path") if e.get("class") == "s0"]
    bands = [e for e in elements(made, "path") if e.get("class") == "f0"]
    assert len(lines) == len(bands) == 2


def test_a_whisker_without_ends_is_left_out():
    made = drawn(error_bars([0, 1], [0.5, 0.6], [np.nan, 0.5], [np.nan, 0.7]))
    assert len(elements(made, "circle")) == 2
    assert sum(e.get("class") == "s0" for e in elements(made, "path")) == 3


def test_what_lies_beyond_the_axes_stands_on_their_edge():
    made = drawn(line([0, 1], [0.5, 9.0]), rule(y=0.2), y=Axis(low=0, high=1))
    curve = next(e for e in elements(made, "path") if e.get("class") == "s0")
    ends = [float(v) for v in re.findall(r"[\d.]+", curve.get("d"))]
    edge = next(float(e.get("y")) - 4 for e in elements(made, "text") if e.text == "1.0")
    assert ends[3] == pytest.approx(edge, abs=0.1)


def test_cells_are_stronger_the_larger_they_are():
    made = elements(drawn(heat([[0.0, 1.0], [0.5, np.nan]], [["0", "1"], ["h", "-"]])), "rect")
    zero, one, half, nothing = (float(e.get("opacity")) for e in made)
    assert zero == nothing < half < one


def test_ticks_are_round_numbers_inside():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(-0.053, 0.116) == [-0.05, 0, 0.05, 0.1]
    assert ticks(3, 3260, 12) == [500, 1000, 1500, 2000, 2500, 3000]
    assert ticks(0.6871, 0.7052, 3) == [0.69, 0.7]


def test_words_are_those_given_whatever_they_are():
    odd = 'a < b & "c"'
    svg = drawn(line([0, 1], [0, 1], label=odd)).svg()
    root = ET.fromstring(svg)
    assert [e.text for e in root.iter(SVG + "text")].count(odd) == 1
    assert (root[0].text, root[1].text) == ("A title", "What is seen")
    assert root.get("aria-label") == "A title. What is seen"
    assert root.get("role") == "img"


def test_a_page_holds_the_style_once():
    made = drawn(line([0, 1], [0, 1]))
    assert "prefers-color-scheme:dark" in made.svg()
    assert "<style>" not in made.svg(alone=False)


@pytest.mark.parametrize("name", ["a.svg", "a.png", "a.pdf"])
def test_the_same_chart_gives_the_same_bytes(tmp_path, name):
    marks = [line([0, 1, 2], [0, 1, 4], [0, 0, 3], [1, 2, 5], label="a", symbol="square"), bars([0, 1], [1, 2])]
    marks += [scatter([0, 1], [1, 2]), heat([[1.0]], [["x"]]), rule(x=1.0)]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        drawn(*marks).save(tmp_path / folder / name)
    content = (tmp_path / "one" / name).read_bytes()
    assert content == (tmp_path / "two" / name).read_bytes()
    assert content.startswith({"a.svg": b"<svg", "a.png": b"\x89PNG", "a.pdf": b"%PDF"}[name])


def test_nothing_to_draw_is_an_empty_chart():
    assert elements(figure([], "Nothing"), "path") == []
    assert len(elements(drawn(line([], []), error_bars([], [], [], [])), "text")) > 1


@pytest.mark.parametrize(("name", "text"), [("labels.doc", "no format"), ("nowhere/labels.svg", "no folder")])
def test_paths_that_cannot_be_written_are_refused(tmp_path, name, text):
    with pytest.raises(UsageError, match=text):
        check_path(tmp_path / name, "--figure")
