"""What is prepared is what preprocessing says, in place, with labels apart and absences named."""

import json
import sys
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_dataset import NAME, SmallDataset, make, write_subjects

from embench.data import find
from embench.data.find import find_source, write_synthetic
from embench.errors import DataError, PluginError
from embench.interfaces.recording import Signal
from embench.protocols import load_protocol
from embench.signals.preprocess import preprocess
from embench.store import Span, open_store, prepare


def test_every_recording_holds_the_preprocessed_samples_without_the_first_second(dataset, cache):
    store = make(dataset, cache)
    seen = 0
    for subject in dataset.subjects():
        for recording in dataset.recordings(subject):
            entry = store.recording(recording.id)
            assert (entry.subject, entry.stimulus, entry.order, entry.start_s) == (
                recording.subject,
                recording.stimulus,
                recording.order,
                recording.start_s,
            )
            for m, span in entry.spans.items():
                raw = recording.signals[m]
                late = Signal(raw.data[:, round(raw.rate) :], raw.rate, raw.channels, raw.unit)
                expected = preprocess(late, m, rate_hz=128.0, mains_hz=50.0)
                found = store.signal(recording.id, m)
                np.testing.assert_array_equal(found.data, expected.data)
                assert (found.rate, found.channels, found.unit) == (128.0, raw.channels, raw.unit)
                assert span.t0 == 1.0
                assert span.samples == found.data.shape[1]
                assert span.t0 + found.duration_s == pytest.approx(raw.duration_s, abs=0.01)
                seen += 1
    assert seen == 4 * 2 * 3 - 2


def test_arrays_are_read_only_without_nan_and_wholly_covered(dataset, cache):
    store = make(dataset, cache)
    for m, entry in store.modalities.items():
        array, window = store.array(m), store.array(m)[:, 10:20]
        spans = [r.spans[m] for r in store.recordings if m in r.spans]
        assert window.dtype == np.float32
        assert isinstance(array, np.memmap) == (m == "ecg")
        assert not window.flags.writeable
        assert array.shape == (len(entry.channels), sum(s.samples for s in spans))
        assert [s.offset for s in spans] == np.cumsum([0, *(s.samples for s in spans)])[:-1].tolist()
        assert np.isfinite(array).all()
        assert store.signal("p0-0", m).data.base is not None  # a slice, no copy


def test_slow_signals_are_stored_at_their_own_rate_and_read_at_the_protocols(dataset, cache):
    store, source = make(dataset, cache), make(dataset, cache, filtered=False)
    assert {m: {r.spans[m].hz for r in store.recordings if m in r.spans} for m in store.modalities} == {
        "ecg": {None}, "eda": {4.0}, "hr": {1.0},
    }  # fmt: skip
    for m in ("eda", "hr"):
        assert (store.path / f"{m}.npy").stat().st_size == (source.path / f"{m}.npy").stat().st_size
        array = store.array(m)
        whole = np.concatenate([store.signal(r.id, m).data for r in store.recordings if m in r.spans], axis=1)
        np.testing.assert_array_equal(np.asarray(array), whole)
        for first, last in [(0, 0), (0, 7), (1000, 4000), (whole.shape[1] - 3, whole.shape[1])]:
            np.testing.assert_array_equal(array[:, first:last], whole[:, first:last])
            np.testing.assert_array_equal(array[0, first:last], whole[0, first:last])
    assert store.array("ecg", slice(1, 2)).shape == (1, store.array("ecg").shape[1])


class Uneven(SmallDataset):
    """The EDA of one subject is faster than the protocol's rate, that of the others slower."""

    def recordings(self, subject):
        for recording in super().recordings(subject):
            eda = recording.signals.get("eda")
            if subject == "p2" and eda is not None:
                recording.signals["eda"] = replace(eda, data=np.repeat(eda.data, 64, axis=1), rate=256.0)
            yield recording


@pytest.mark.parametrize("workers", [1, 2])
def test_a_modality_of_several_rates_is_read_at_one(dataset, cache, workers):
    uneven = Uneven(dataset.root)
    store = make(uneven, cache, workers=workers)
    assert {entry.subject: span.hz for entry in store.recordings if (span := entry.spans.get("eda"))} == {
        "p0": 4.0, "p1": 4.0, "p2": None, "p3": 4.0,
    }  # fmt: skip
    for subject in uneven.subjects():
        for recording in uneven.recordings(subject):
            if "eda" not in store.recording(recording.id).spans:
                continue
            raw = recording.signals["eda"]
            late = replace(raw, data=raw.data[:, round(raw.rate) :])
            expected = preprocess(late, "eda", rate_hz=128.0, mains_hz=50.0).data
            np.testing.assert_array_equal(store.signal(recording.id, "eda").data, expected)


def test_what_is_absent_is_named_with_its_reason_and_never_zeros(dataset, cache):
    store = make(dataset, cache)
    assert "eda" not in store.recording("p1-1").spans
    assert "hr" not in store.recording("p2-0").spans
    reasons = {(x["subject"], x["recording"], x["modality"]): x["reason"] for x in store.excluded}
    assert set(reasons) == {("p1", "p1-1", "eda"), ("p2", "p2-0", "hr")}
    assert "100%" in reasons["p1", "p1-1", "eda"]
    assert reasons["p2", "p2-0", "hr"] == "not recorded"


def test_where_samples_were_lost_is_kept_and_nothing_of_what_is_sound(dataset, cache):
    store = make(dataset, cache)
    lost = {(entry.id, m): stretches for entry in store.recordings for m, stretches in entry.lost.items()}
    assert lost == {("p1-0", "ecg"): ((300 / 256, 400 / 256, 100 / 256),)}
    plain = make(dataset, cache, filtered=False)
    assert plain.recording("p1-0").lost == store.recording("p1-0").lost


def test_data_that_were_prepared_with_an_older_index_are_prepared_anew_under_the_same_key(dataset, cache):
    store = make(dataset, cache)
    older = store.path.with_name(f"small-short-{store.key}")
    store.path.rename(older)
    again = make(dataset, cache)
    assert (again.key, again.path.name) == (store.key, f"{older.name}-3")
    assert (again.path / "ecg.npy").read_bytes() == (older / "ecg.npy").read_bytes()


def test_the_source_store_keeps_rates_and_values(dataset, cache):
    store = make(dataset, cache, filtered=False)
    assert {m: e.rate for m, e in store.modalities.items()} == {"ecg": 256.0, "eda": 4.0, "hr": 1.0}
    raw = next(iter(dataset.recordings("p0"))).signals["eda"].data[:, 4:]
    np.testing.assert_array_equal(store.signal("p0-0", "eda").data, raw)
    assert np.isfinite(store.array("ecg")).all()
    assert store.key != make(dataset, cache).key


def test_labels_come_back_exactly_and_lie_in_their_own_file(dataset, cache):
    store = make(dataset, cache)
    labels = store.labels()
    assert store.label_kinds == {"rating": "rating", "stress": "condition"}
    for subject in dataset.subjects():
        for recording in dataset.recordings(subject):
            for name, label in recording.labels.items():
                found = labels[name][recording.id]
                assert (found.kind, found.classes) == (label.kind, label.classes)
                assert found.values.dtype == np.float64
                assert found.values.tobytes() == label.values.tobytes()
                assert (found.times is None) == (label.times is None)
                if label.times is not None:
                    np.testing.assert_array_equal(found.times, label.times)
    index = (store.path / "index.json").read_text()
    assert "times" not in index
    assert str(labels["rating"]["p0-0"].values[0])[:7] not in index


def test_opening_again_gives_the_same(dataset, cache):
    store = make(dataset, cache)
    assert open_store(store.path) == store
    assert store.path.parent == cache / "store"
    assert store.path.name == f"small-short-{store.key}-3"
    assert store.name == NAME
    assert store.subjects["p3"] == {"site": "here"}
    assert store.synthetic is None
    with pytest.raises(DataError, match="no prepared data"):
        open_store(cache / "store" / "elsewhere")


def test_more_workers_write_the_same_bytes(dataset, tmp_path):
    one, two = make(dataset, tmp_path / "one"), make(dataset, tmp_path / "two", workers=2)
    names = sorted(path.name for path in one.path.iterdir())
    assert names == ["checksums.json", "ecg.npy", "eda.npy", "hr.npy", "index.json", "labels.npz"]
    assert names == sorted(path.name for path in two.path.iterdir())
    for name in names:
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


@pytest.mark.parametrize("found", [True, False], ids=["a module's reader", "a script's reader"])
def test_workers_that_are_no_copies_write_the_same_bytes(dataset, tmp_path, monkeypatch, found):
    """As on macOS and Windows; a script's reader, which they could not import, is read without them."""
    monkeypatch.setattr(sys.modules["embench.store.prepare"], "_FORKS", False)
    if not found:
        dataset.__class__ = type("Here", (SmallDataset,), {"__module__": "embench_file_here"})
    one, two = (make(dataset, tmp_path / str(n), filtered=False, workers=n) for n in (1, 2))
    for path in one.path.iterdir():
        assert path.read_bytes() == (two.path / path.name).read_bytes()


def test_progress_counts_subjects(dataset, cache):
    steps = []
    make(dataset, cache, progress=lambda *what: steps.append(what))
    assert steps == [(i + 1, 4, f"p{i}") for i in range(4)]


def test_generated_data_say_so(dataset, cache):
    real = make(dataset, cache)
    (dataset.root / "EMBENCH_SYNTHETIC.json").write_text(json.dumps({"seed": 3, "effect": 1.0}))
    generated = make(dataset, cache)
    assert generated.synthetic == {"seed": 3, "effect": 1.0}
    assert generated.key != real.key
    (dataset.root / "EMBENCH_SYNTHETIC.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        make(dataset, cache)


def test_memory_does_not_grow_with_the_subjects(tmp_path):
    def peak(n_subjects):
        root = write_subjects(tmp_path / f"data{n_subjects}", n_subjects, seconds=240.0)  # later ones: seconds more
        tracemalloc.start()
        make(SmallDataset(root), tmp_path / f"cache{n_subjects}")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # imports
    assert peak(8) < 1.1 * peak(3)


class Wrong(SmallDataset):
    def recordings(self, subject):
        for recording in super().recordings(subject):
            eda = recording.signals["eda"]
            recording.signals["eda"] = Signal(np.repeat(eda.data, 2, 0), 4.0, ("a", "b"), "uS")
            yield recording


class Failing(SmallDataset):
    def recordings(self, subject):
        yield next(super().recordings(subject))
        raise ZeroDivisionError("oh")


class Twice(SmallDataset):
    def recordings(self, subject):
        first = next(super().recordings(subject))
        yield first
        yield first


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("kind", "message"), [(Wrong, "eda has channels"), (Failing, "ZeroDivisionError: oh"), (Twice, "two recordings")]
)
def test_a_reader_that_breaks_its_promises_is_named(root, cache, kind, message, workers):
    with pytest.raises(PluginError, match=message) as caught:
        make(kind(root), cache, workers=workers)
    assert "tests/small/short" in caught.value.where
    assert "p0" in caught.value.where
    assert list((cache / "store").iterdir()) == []


class FailingMeanwhile(SmallDataset):
    def recordings(self, subject):
        if subject == "p0":
            time.sleep(0.5)
        if subject == "p1":
            raise ZeroDivisionError("oh")
        yield from super().recordings(subject)


def test_subjects_that_wait_for_one_that_fails_are_let_go(root, cache):
    with pytest.raises(PluginError, match="oh") as caught:
        make(FailingMeanwhile(write_subjects(root, 6, seconds=2.0)), cache, workers=3)
    assert "p1" in caught.value.where
    assert list((cache / "store").iterdir()) == []


class SameBuffer(SmallDataset):
    def recordings(self, subject):
        first, second = super().recordings(subject)
        held = np.zeros((1, 10_000), np.float32)
        for recording in (first, second):
            if subject == "p0":
                time.sleep(0.2)
            signal = recording.signals["eda"]
            held[:, : signal.data.shape[1]] = signal.data
            recording.signals["eda"] = replace(signal, data=held[:, : signal.data.shape[1]])
            yield recording


def test_a_reader_may_use_its_memory_again(root, tmp_path):
    one, two = (make(kind(root), tmp_path / kind.__name__, filtered=False, workers=2)
                for kind in (SmallDataset, SameBuffer))  # fmt: skip
    np.testing.assert_array_equal(one.array("eda"), two.array("eda"))


def test_an_empty_folder_is_not_prepared(tmp_path):
    with pytest.raises(DataError, match="no subjects found"):
        prepare(SmallDataset(tmp_path), NAME, "c", rate_hz=128.0, cache=tmp_path / "cache")


@given(
    st.integers(0, 1000), st.integers(1, 2000), st.integers(0, 8).map(lambda t: t / 4),
    st.floats(-5, 30), st.floats(0, 20), st.sampled_from([4.0, 18.0, 128.0]),
)  # fmt: skip
def test_cuts_stay_inside_their_recording_and_keep_their_length(offset, samples, t0, start, length, rate):
    span = Span(offset, samples, t0)
    cut = span.cut(start, start + length, rate)
    assert offset <= cut.start <= cut.stop <= offset + samples
    inside = (start - t0) * rate >= 0 and (start + length - t0) * rate <= samples
    if inside:
        assert abs((cut.stop - cut.start) - length * rate) <= 1
        assert abs(cut.start - offset - (start - t0) * rate) <= 0.5
    if start + length < t0 or start > t0 + samples / rate + 1 / rate:
        assert cut.start == cut.stop
    middle = start + length / 2
    first, second = span.cut(start, middle, rate), span.cut(middle, start + length, rate)
    assert (first.start, second.stop) == (cut.start, cut.stop)
    assert first.stop == second.start


@pytest.mark.parametrize("workers", [1, 2])
def test_a_plan_has_a_store_with_all_but_the_samples(dataset, cache, tmp_path, workers):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    planned = make(dataset, cache, scratch=scratch, workers=workers)
    assert [path.name for path in cache.iterdir()] == ["file-hashes.sqlite"]
    prepared = make(dataset, cache)
    assert replace(planned, path=prepared.path) == prepared
    assert repr(planned.labels()) == repr(prepared.labels())
    for m in prepared.modalities:
        assert planned.array(m).shape == prepared.array(m).shape
        assert not np.asarray(planned.array(m)).any()
    assert make(dataset, cache, scratch=scratch) == prepared  # which is there by now


@pytest.mark.slow
@pytest.mark.parametrize("name", ["amigos", "case", "deap", "eegmat", "faced", "hku956", "stress_predict", "wesad"])
def test_no_dataset_tells_plans_anything_else(name, tmp_path):
    write_synthetic(name, tmp_path / name, subjects=2, seed=0, effect=1.0, length_s=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
        protocol = load_protocol("subject-independent-v4")
        with find.without_preparing():
            planned = find_source(name, tmp_path).prepared(protocol)
            shapes = {m: planned.array(m).shape for m in planned.modalities if m != "video"}
        prepared = find_source(name, tmp_path).prepared(protocol)
    assert replace(planned, path=prepared.path) == prepared
    assert shapes == {m: prepared.array(m).shape for m in shapes}
