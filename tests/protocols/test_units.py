"""Which units a recording has, and which labels fall into them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embench.interfaces.dataset import Baseline
from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Target, Unit
from embench.protocols import label_units, load_protocol, make_units

from .cohorts import card, recording

PROTOCOL = load_protocol("subject-independent-v4")


def spans(units: list[Unit]) -> list[tuple[float, float]]:
    return [(unit.start, unit.stop) for unit in units]


def test_a_rating_is_the_whole_recording() -> None:
    (unit,) = make_units([recording("p1", "v3", 86.1255, start_s=200.0, order=4)], card(), "rating", PROTOCOL)
    assert (unit.id, unit.start, unit.stop) == ("p1/v3:0-86126", 0.0, 86.1255)
    assert (unit.recording, unit.subject, unit.stimulus, unit.group) == ("p1/v3", "p1", "v3", "p1")
    assert (unit.start_s, unit.order) == (200.0, 4.0)


def test_the_grid_stands_in_session_time() -> None:
    units = make_units([recording("p1", duration_s=45.0, start_s=123.4)], card(), "continuous", PROTOCOL)
    assert spans(units) == [(6.6, 16.6), (16.6, 26.6), (26.6, 36.6)]
    assert [unit.start_s for unit in units] == pytest.approx([130.0, 140.0, 150.0])
    assert units[0].id == "p1/session:6600-16600"


def test_the_grid_begins_with_the_stimulus_where_tasks_came_in_several_orders() -> None:
    rules, shown = load_protocol("subject-independent-v4"), recording("p1", duration_s=45.0, start_s=123.4)
    units = make_units([shown], replace(card(), fixed_order=False), "continuous", rules)
    assert spans(units) == [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 40.0)]
    assert [unit.start_s for unit in units] == pytest.approx([123.4, 133.4, 143.4, 153.4])


def test_a_hidden_start_puts_the_grid_on_the_recordings_own_clock() -> None:
    units = make_units([recording("p1", duration_s=25.0, start_s=None)], card(), "condition", PROTOCOL)
    assert spans(units) == [(0.0, 10.0), (10.0, 20.0)]
    assert all(math.isnan(unit.start_s) and math.isnan(unit.order) for unit in units)


def test_a_recording_of_exactly_two_units_has_two() -> None:
    assert len(make_units([recording("p1", duration_s=20.0)], card(), "continuous", PROTOCOL)) == 2
    assert len(make_units([recording("p1", duration_s=19.99)], card(), "continuous", PROTOCOL)) == 1
    assert make_units([recording("p1", duration_s=9.0)], card(), "continuous", PROTOCOL) == []


@pytest.mark.parametrize(
    ("baseline", "rating", "grid"),
    [
        (Baseline(0.0, 5.0, in_unit=False), (5.0, 42.0), [(10.0, 20.0), (20.0, 30.0), (30.0, 40.0)]),
        (Baseline(0.0, 5.0, in_unit=True), (0.0, 42.0), [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 40.0)]),
        (Baseline(35.0, 60.0, in_unit=False), (0.0, 35.0), [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]),
        (Baseline(12.0, 18.0, in_unit=False), (18.0, 42.0), [(0.0, 10.0), (20.0, 30.0), (30.0, 40.0)]),
    ],
)
def test_a_baseline_outside_units_is_left_out(
    baseline: Baseline, rating: tuple[float, float], grid: list[tuple[float, float]]
) -> None:
    recordings = [recording("p1", duration_s=42.0)]
    assert spans(make_units(recordings, card(baseline), "rating", PROTOCOL)) == [rating]
    assert spans(make_units(recordings, card(baseline), "condition", PROTOCOL)) == grid


def test_rest_that_normalises_is_not_scored_but_in_a_whole_recording() -> None:
    strict = load_protocol("subject-independent-strict-v4")
    recordings, rest = [recording("p1", duration_s=42.0)], card(Baseline(0.0, 15.0, in_unit=True))
    assert spans(make_units(recordings, rest, "condition", strict)) == [(20.0, 30.0), (30.0, 40.0)]
    assert spans(make_units(recordings, rest, "rating", strict)) == [(0.0, 42.0)]


def test_a_recording_that_is_all_baseline_has_no_unit() -> None:
    rest = card(Baseline(0.0, 300.0, in_unit=False))
    assert make_units([recording("p1", duration_s=250.0)], rest, "rating", PROTOCOL) == []
    assert make_units([recording("p1", duration_s=250.0)], rest, "condition", PROTOCOL) == []


@given(
    duration_s=st.floats(0.0, 400.0),
    start_s=st.none() | st.floats(0.0, 1e6),
    rest=st.none() | st.tuples(st.floats(0.0, 200.0), st.floats(0.0, 200.0)),
)
@settings(deadline=None, derandomize=True)
def test_units_lie_on_the_grid_inside_the_recording(
    duration_s: float, start_s: float | None, rest: tuple[float, float] | None
) -> None:
    baseline = Baseline(min(rest), max(rest), in_unit=False) if rest else None
    recordings = [recording("p1", duration_s=duration_s, start_s=start_s)]
    cells = spans(make_units(recordings, card(baseline), "continuous", PROTOCOL))
    for start, stop in cells:
        assert -1e-5 <= start < stop <= duration_s + 1e-5
        on_session_clock = start + (start_s or 0.0)
        assert on_session_clock == pytest.approx(10 * round(on_session_clock / 10), abs=2e-3)
        assert stop - start == pytest.approx(10.0)
        assert baseline is None or stop <= baseline.start_s + 1e-5 or start >= baseline.stop_s - 1e-5
    assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(cells))


def test_values_count_from_start_until_before_stop() -> None:
    units = make_units([recording("p1", duration_s=30.0)], card(), "continuous", PROTOCOL)
    label = Label("continuous", np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0.0, 9.9, 10.0, 19.9999999, 20.0]))
    raw, made = label_units(units, {"p1/session": label}, LabelRule("mean", cut=3.0))
    assert raw.tolist() == [1.5, 3.0, 4.5]  # 19.9999999 s is 20 s, written by a clock of floats
    assert made.tolist() == [0.0, 0.0, 1.0]


def test_a_lag_reads_labels_later_or_earlier_and_a_unit_that_it_moves_out_has_none() -> None:
    units = make_units([recording("p1", duration_s=30.0)], card(), "continuous", PROTOCOL)
    label = {"p1/session": Label("continuous", np.arange(30.0), np.arange(30.0))}
    later, _ = label_units(units, label, LabelRule("mean", lag_s=3.0))
    np.testing.assert_array_equal(later, [np.arange(3, 13).mean(), np.arange(13, 23).mean(), np.nan])
    earlier, _ = label_units(units, label, LabelRule("mean", lag_s=-3.0))
    np.testing.assert_array_equal(earlier, [np.nan, np.arange(7, 17).mean(), np.arange(17, 27).mean()])
    assert np.isnan(label_units(units, label, LabelRule("mean", lag_s=40.0))[0]).all()


def test_annotations_that_go_on_after_a_recording_are_read_with_a_lag() -> None:
    units = make_units([recording("p1", duration_s=20.0)], card(), "continuous", PROTOCOL)
    label = Label("continuous", np.arange(22.0), np.arange(22.0) + 0.5)
    raw, _ = label_units(units, {"p1/session": label}, LabelRule("mean", lag_s=2.0))
    assert raw.tolist() == [np.arange(2, 12).mean(), np.arange(12, 22).mean()]


def test_a_centred_rating_is_less_the_mean_of_its_own_subject_alone() -> None:
    protocol = load_protocol("subject-independent-v4")
    given = {("p1", "v1"): 2.0, ("p1", "v2"): 4.0, ("p1", "v3"): 9.0, ("p2", "v1"): 8.0, ("p2", "v2"): math.nan}
    shown = [recording(*key, duration_s=20.0) for key in given]
    labels = {one.id: Label("rating", np.array([value])) for one, value in zip(shown, given.values(), strict=True)}
    units = make_units(shown, card(), "rating", protocol)
    raw, made = label_units(units, labels, LabelRule(centred=True))
    np.testing.assert_array_equal(raw, [-3.0, -1.0, 4.0, 0.0, math.nan])
    np.testing.assert_array_equal(made, raw)
    np.testing.assert_array_equal(
        label_units(units, labels, LabelRule(cut=0.0, centred=True))[1], [0.0, 0.0, 1.0, 0.0, math.nan]
    )
    alone, _ = label_units([units[k] for k in (0, 1, 2)], labels, LabelRule(centred=True))
    np.testing.assert_array_equal(alone, raw[:3])


def test_a_centred_annotation_counts_each_of_its_moments_once() -> None:
    units = make_units([recording("p1", duration_s=30.0)], card(), "continuous", PROTOCOL)
    label = Label("continuous", np.array([1.0, 3.0, 3.0, 5.0]), np.array([0.0, 5.0, 12.0, 25.0]))
    raw, _ = label_units(units, {"p1/session": label}, LabelRule("mean", centred=True))
    assert raw.tolist() == [-1.0, 0.0, 2.0]
    with pytest.raises(ValueError, match="conditions have no mean"):
        Target("t", "binary", LabelRule(positive=(1,), negative=(0,), centred=True), label="stage")


def test_times_need_not_be_sorted() -> None:
    units = make_units([recording("p1", duration_s=20.0)], card(), "continuous", PROTOCOL)
    label = Label("continuous", np.array([4.0, 1.0, 2.0]), np.array([15.0, 1.0, 3.0]))
    raw, _ = label_units(units, {"p1/session": label}, LabelRule("mean"))
    assert raw.tolist() == [1.5, 4.0]


def test_one_rating_holds_for_every_unit_of_its_recording() -> None:
    recordings = [recording("p1", "a", 20.0), recording("p2", "a", 20.0), recording("p3", "a", 20.0)]
    units = make_units(recordings, card(), "continuous", PROTOCOL)
    labels = {"p1/a": Label("rating", np.array([7.0])), "p2/a": Label("rating", np.array([5.0]))}
    raw, made = label_units(units, labels, LabelRule(cut=5.0, ties="drop"))
    np.testing.assert_array_equal(raw, [7, 7, 5, 5, np.nan, np.nan])
    np.testing.assert_array_equal(made, [1, 1, np.nan, np.nan, np.nan, np.nan])
    assert raw.dtype == made.dtype == np.float64


def test_a_unit_in_which_conditions_disagree_has_no_label() -> None:
    units = make_units([recording("p1", duration_s=40.0)], card(), "condition", PROTOCOL)
    values = np.repeat([0.0, 1.0, np.nan], [15, 15, 10])
    label = Label("condition", values, np.arange(40.0), ("rest", "stress"))
    _, made = label_units(units, {"p1/session": label}, LabelRule("unanimous", positive=(1,), negative=(0,)))
    np.testing.assert_array_equal(made, [0.0, np.nan, 1.0, np.nan])


def test_many_units_match_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    recordings = [recording(f"p{i}", duration_s=float(rng.integers(100, 900)), start_s=rng.random()) for i in range(20)]
    units = make_units(recordings, card(), "continuous", PROTOCOL)
    labels = {}
    for r in recordings:
        times = np.sort(rng.uniform(0, r.duration_s, 500))
        labels[r.id] = Label("continuous", rng.normal(size=500), times)
    rule = LabelRule("mean", lag_s=2.0)
    raw, _ = label_units(units, labels, rule)
    for unit, value in zip(units, raw, strict=True):
        label = labels[unit.recording]
        assert label.times is not None
        inside = label.values[(label.times >= unit.start + 2.0) & (label.times < unit.stop + 2.0)]
        whole = inside.size and unit.stop + 2.0 <= label.times[-1] + np.median(np.diff(label.times))
        assert value == pytest.approx(inside.mean() if whole else np.nan, nan_ok=True)


def test_classes_may_be_some_of_the_raw_ones_in_another_order() -> None:
    rule = LabelRule("majority", classes=(2, 0))
    assert [rule(np.array([value])) for value in (0.0, 1.0, 2.0)] == [1.0, None, 0.0]
    assert rule(np.array([2.0, 2.0, 1.0, math.nan])) == 0.0
    assert LabelRule("majority")(np.array([1.0, 1.0, 2.0])) == 1.0


def test_a_dead_band_is_closed_and_read_before_the_cut() -> None:
    rule = LabelRule("mean", cut=5.0, ties="high", dead_band=(4.5, 5.5))
    assert [rule(np.array([value])) for value in (4.4, 4.5, 5.0, 5.5, 5.6)] == [0.0, None, None, None, 1.0]
    assert [rule.summarise(np.array([value])) for value in (4.5, 5.0)] == [4.5, 5.0]
    assert LabelRule("mean", dead_band=(4.5, 5.5))(np.array([4.0])) == 4.0


def test_moments_without_a_value_do_not_count_in_a_mean() -> None:
    units = make_units([recording("p1", duration_s=40.0)], card(), "continuous", PROTOCOL)
    values = np.repeat([1.0, np.nan, 6.0, np.nan], [5, 10, 10, 15])
    label = Label("continuous", values, np.arange(40.0))
    raw, made = label_units(units, {"p1/session": label}, LabelRule("mean", cut=5.0))
    np.testing.assert_array_equal(raw, [1.0, 6.0, 6.0, np.nan])
    np.testing.assert_array_equal(made, [0.0, 1.0, 1.0, np.nan])


def test_a_lag_a_dead_band_and_gaps_together() -> None:
    """A joystick of 20 Hz that follows what is felt two seconds late, and rests in the middle."""
    times = np.arange(0.0, 52.0, 0.05)
    felt = np.select([times < 12, times < 22, times < 32], [8.0, 5.05, 2.0], 9.0)
    felt[(times >= 32) & (times < 42)] = np.nan
    units = make_units([recording("p1", duration_s=50.0)], card(), "continuous", PROTOCOL)
    label = {"p1/session": Label("continuous", felt, times)}
    rule = LabelRule("mean", cut=5.0, lag_s=2.0, dead_band=(4.9, 5.1))
    raw, made = label_units(units, label, rule)
    np.testing.assert_allclose(raw, [8.0, 5.05, 2.0, np.nan, 9.0])
    np.testing.assert_array_equal(made, [1.0, np.nan, 0.0, np.nan, 1.0])


def test_two_classes_are_a_binary_target() -> None:
    with pytest.raises(ValueError, match="two are a binary target"):
        Target("state", "classes", LabelRule(), "state", n=2)


def test_a_rated_recording_is_cut_from_its_own_start_and_every_piece_has_the_rating() -> None:
    rules = PROTOCOL.model_copy(update={"unit": PROTOCOL.unit.model_copy(update={"rating": 10.0})})
    recordings = [recording("p1", "v1", 34.5, start_s=123.4), recording("p2", "v1", 9.9)]
    units = make_units(recordings, card(), "rating", rules)
    assert spans(units) == [(0, 10), (10, 20), (20, 30)]
    assert [unit.start_s for unit in units] == pytest.approx([123.4, 133.4, 143.4])
    raw, label = label_units(units, {"p1/v1": Label("rating", np.array([7.0]))}, LabelRule(cut=5.0))
    assert raw.tolist() == [7, 7, 7]
    assert label.tolist() == [1, 1, 1]
    before = make_units(recordings, card(Baseline(0.0, 3.0, in_unit=False)), "rating", rules)
    assert spans(before) == [(3, 13), (13, 23), (23, 33)]


def test_units_may_overlap() -> None:
    rules = PROTOCOL.model_copy(update={"unit": PROTOCOL.unit.model_copy(update={"continuous_s": 20.0, "step_s": 5.0})})
    units = make_units([recording("p1", duration_s=36.0, start_s=2.0)], card(), "continuous", rules)
    assert spans(units) == [(3, 23), (8, 28), (13, 33)]  # at multiples of 5 s in the session


def test_a_rule_that_is_fitted_later_makes_no_label_yet() -> None:
    units = make_units([recording("p1", duration_s=20.0)], card(), "rating", PROTOCOL)
    raw, label = label_units(units, {"p1/session": Label("rating", np.array([7.0]))}, LabelRule(cut="training_mean"))
    assert raw.tolist() == [7]
    assert np.isnan(label).all()


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [
        (81.138, [51.138 + s for s in range(30)]),
        (30.0, list(range(30))),
        (81.1376, [51.137 + s for s in range(30)]),  # no length of segments needs a sample more than there is
        (29.5, list(range(29))),  # shorter: all of it, from its start
    ],
)
def test_units_of_the_last_seconds_are_counted_from_where_these_begin(seconds: float, starts: list[float]) -> None:
    chen = load_protocol("chen2023")
    units = make_units([recording("p1", "v1", seconds, start_s=500.0)], card(), "rating", chen)
    assert [unit.start for unit in units] == pytest.approx(starts)
    assert all(unit.stop - unit.start == pytest.approx(1.0) and unit.stop <= seconds + 1e-9 for unit in units)
    assert [unit.start_s for unit in units] == pytest.approx([500.0 + s for s in starts])


def test_skipped_seconds_are_in_no_unit_of_a_rating() -> None:
    """Segments are counted from where the rest ends; labels with a time of their own keep their units."""
    skipping = PROTOCOL.model_copy(update={"unit": PROTOCOL.unit.model_copy(update={"skip_s": 5.0, "rating": 10.0})})
    recordings = [recording("p1", duration_s=36.0), recording("p2", duration_s=4.0)]
    assert spans(make_units(recordings, card(), "rating", skipping)) == [(5, 15), (15, 25), (25, 35)]
    assert spans(make_units(recordings[:1], card(), "continuous", skipping)) == [(0, 10), (10, 20), (20, 30)]
    whole = PROTOCOL.model_copy(update={"unit": PROTOCOL.unit.model_copy(update={"skip_s": 5.0})})
    assert spans(make_units(recordings[:1], card(), "rating", whole)) == [(5, 36)]


def test_the_last_seconds_are_those_of_ratings_alone() -> None:
    chen = load_protocol("chen2023")
    assert len(make_units([recording("p1", duration_s=60.0)], card(), "continuous", chen)) == 60
    whole = PROTOCOL.model_copy(update={"unit": PROTOCOL.unit.model_copy(update={"last_s": 30.0})})
    assert spans(make_units([recording("p1", duration_s=60.0)], card(), "rating", whole)) == [(30, 60)]
    rest = card(Baseline(0.0, 40.0, in_unit=False))
    assert spans(make_units([recording("p1", duration_s=60.0)], rest, "rating", whole)) == [(40, 60)]


def test_a_stimulus_in_no_part_has_no_units() -> None:
    films = load_protocol("faced-films-v1")
    shown = [recording("sub-000", stimulus) for stimulus in ("clip01", "clip13", "clip28", "clip29")]
    units = make_units(shown, card(name="faced"), "rating", films)
    assert [unit.stimulus for unit in units] == ["clip01", "clip28"]
    assert len(make_units(shown, card(name="faced/processed"), "rating", films)) == 2
    assert len(make_units(shown, card(name="toy"), "rating", films)) == 4  # a source of pretraining
