"""Where rows lie: anchors inside units, positions in the stored array, masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embench.engine.rows import anchor_rows, anchors, make_spans, slide, stage_view, view_length
from embench.interfaces.units import View
from embench.store.store import Span

RATE = 10.0


def units(*spans, recording=0):
    start, stop = np.array(spans, float).T
    return np.full(len(spans), recording), start, stop


def masks(rows):
    position = rows.start[:, None] + np.arange(rows.length)
    return (position >= rows.low[:, None]) & (position < rows.high[:, None])


def test_windows_fill_a_unit_from_its_start_and_weigh_alike():
    grid = anchors(View("window", 4.0, 2.0), *units((0, 10), (10, 13), (13, 17)))
    assert list(zip(grid.start, grid.stop, grid.unit, strict=True)) == [
        (0, 4, 0), (2, 6, 0), (4, 8, 0), (6, 10, 0), (10, 13, 1), (13, 17, 2),
    ]  # fmt: skip
    np.testing.assert_allclose(np.bincount(grid.unit, grid.weights()), 1)


def test_steps_that_are_no_binary_fractions_do_not_lose_the_last_window():
    assert len(anchors(View("window", 0.3, 0.1), *units((0.7, 1.6)))) == 7


@pytest.mark.parametrize("kind", ["unit", "context"])
def test_other_views_have_one_anchor_a_unit(kind):
    grid = anchors(View(kind, 30.0), *units((0, 10), (10, 20)))
    assert list(grid.stop) == [10, 20]


def test_a_stage_without_a_view_takes_the_window_with_the_largest_step():
    windows = [View("window", 4.0, 1.0), View("unit"), View("window", 8.0, 2.0)]
    assert stage_view(None, windows) is windows[2]
    assert stage_view(None, [View("unit"), View("context", 9.0)]) == View("unit")
    assert stage_view(View("unit"), windows) == View("unit")


def test_lengths_come_from_the_view_else_from_the_dataset():
    assert view_length(View("window", 4.0), 30.0, 10.0) == 4
    assert view_length(View("unit"), 30.0, 10.0) == 30
    assert view_length(View("unit", length="common"), 30.0, 10.0) == 10


def test_a_whole_unit_begins_its_row_and_nothing_else_is_shown():
    grid = anchors(View("unit"), *units((10, 14), (10, 18)))
    rows = anchor_rows(grid, View("unit"), 6.0, RATE, [Span(1000, 300, 0.0)])
    shorter, longer = masks(rows)
    assert rows.start.tolist() == [1000 + 100, 1000 + 180 - 60]
    assert shorter[:40].all()
    assert not shorter[40:].any()
    assert longer.all()


def test_a_whole_unit_begins_its_row_where_the_modality_begins_later_than_the_unit():
    """As a face does that is filmed 3 s after the rest began: all modalities have one clock."""
    grid = anchors(View("unit"), *units((0, 8)))
    rows = anchor_rows(grid, View("unit"), 10.0, RATE, [Span(50, 50, 3.0)])
    assert rows.start.tolist() == [50 - 30]
    mask = masks(rows)[0]
    assert mask.nonzero()[0].tolist() == list(range(30, 80))


def test_a_window_ends_with_its_anchor_and_shows_nothing_before_its_unit():
    grid = anchors(View("window", 6.0), *units((10, 14)))
    rows = anchor_rows(grid, View("window", 6.0), 6.0, RATE, [Span(1000, 300, 0.0)])
    assert rows.start[0] == 1000 + 140 - 60
    assert masks(rows)[0].tolist() == [False] * 20 + [True] * 40


def test_context_reaches_before_the_unit_but_not_before_the_recording():
    grid = anchors(View("context", 6.0), *units((2, 4), (10, 14)))
    early, late = masks(anchor_rows(grid, View("context", 6.0), 6.0, RATE, [Span(0, 300, 0.0)]))
    assert not early[:20].any()
    assert early[20:].all()
    assert late.all()


def test_samples_are_counted_from_the_second_at_which_the_modality_begins():
    grid = anchors(View("window", 4.0), *units((0, 8)))
    rows = anchor_rows(grid, View("window", 4.0), 4.0, RATE, [Span(50, 70, 1.0)])
    first, second = masks(rows)
    assert rows.start[1] == 50 + 30
    assert not first[:10].any()
    assert first[10:].all()
    assert second.all()


def test_a_recording_that_ends_early_is_masked_and_absent_when_half_is_missing():
    grid = anchors(View("window", 4.0), *units((0, 12)))
    rows = anchor_rows(grid, View("window", 4.0), 4.0, RATE, [Span(0, 60, 0.0)])
    assert rows.present.tolist() == [True, True, False]
    assert masks(rows).sum(1).tolist() == [40, 20, 0]


def test_a_modality_that_is_not_there_has_no_row():
    grid = anchors(View("window", 4.0), *units((0, 8)))
    rows = anchor_rows(grid, View("window", 4.0), 4.0, RATE, [None])
    assert not rows.present.any()
    assert not masks(rows).any()
    assert rows.whole


def test_whole_rows_need_no_mask():
    grid = anchors(View("window", 4.0), *units((0, 8)))
    assert anchor_rows(grid, View("window", 4.0), 4.0, RATE, [Span(0, 80, 0.0)]).whole
    assert not anchor_rows(grid, View("window", 4.0), 4.0, RATE, [Span(0, 75, 0.0)]).whole


def test_pretraining_windows_slide_over_whole_recordings():
    grid = slide(4.0, 2.0, np.array([3, 5]), np.array([0.0, 1.0]), np.array([9.0, 4.0]))
    assert list(zip(grid.recording, grid.start, grid.stop, strict=True)) == [(3, 0, 4), (3, 2, 6), (3, 4, 8)]


def test_spans_for_features_stay_inside_the_unit():
    grid = anchors(View("unit"), *units((10, 14)))
    assert make_spans(grid, View("unit"), 6.0).tolist() == [[10, 14]]
    assert make_spans(grid, View("context", 6.0), 6.0).tolist() == [[8, 14]]


@st.composite
def cases(draw):
    step = draw(st.sampled_from([0.5, 1.0, 2.0, 3.0]))
    view = View(draw(st.sampled_from(["window", "unit", "context"])), draw(st.sampled_from([1.0, 2.5, 4.0])), step)
    spans, start = [], draw(st.integers(0, 5)) / 2
    for _ in range(draw(st.integers(1, 5))):
        stop = start + draw(st.integers(1, 40)) / 4
        spans.append((start, stop))
        start = stop
    recorded = Span(draw(st.integers(0, 100)), draw(st.integers(0, 300)), draw(st.sampled_from([0.0, 0.5, 1.0])))
    return view, spans, recorded


@settings(max_examples=200, deadline=None)
@given(cases())
def test_no_row_shows_what_lies_outside_its_unit_or_recording(case):
    view, spans, recorded = case
    grid = anchors(view, *units(*spans))
    assert set(grid.unit) == set(range(len(spans)))
    length_s = view_length(view, 20.0, 1.0)
    rows = anchor_rows(grid, view, length_s, RATE, [recorded])
    position = rows.start[:, None] + np.arange(rows.length) - recorded.offset
    seconds, shown = position / RATE + recorded.t0, masks(rows)
    half = 0.5 / RATE + 1e-9
    assert (position[shown] >= 0).all()
    assert (position[shown] < recorded.samples).all()
    stops = np.broadcast_to(grid.stop[:, None], shown.shape)
    assert (seconds[shown] < stops[shown] + half).all()
    if view.kind != "context":
        starts = np.broadcast_to(grid.unit_start[:, None], shown.shape)
        assert (seconds[shown] >= starts[shown] - half).all()
    assert (rows.present <= shown.any(1)).all()
    np.testing.assert_allclose(np.bincount(grid.unit, grid.weights()), 1, rtol=1e-5)
