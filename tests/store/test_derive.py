"""What encoders make of prepared data: right values, on the recording's clock, made once."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from small_dataset import SmallDataset, make

from embench.errors import PluginError, UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.store import derive, derive_features, joined, stream
from embench.system import installed_version


class Half(Encoder):
    """Streams every other sample; features are mean, first and last sample of the first channel, in two rows."""

    accepts = frozenset({"ecg", "eda"})
    recipes: ClassVar = {}
    calls = 0

    def stream(self, signal):
        type(self).calls += 1
        return Signal(signal.data[:, ::2], signal.rate / 2, signal.channels, signal.unit)

    def features(self, signal, spans):
        type(self).calls += 1
        cuts = [signal.data[0, round(a * signal.rate) : round(b * signal.rate)] for a, b in spans]
        return np.array([[[c.mean(), c[0]], [c[-1], len(c) / signal.rate]] for c in cuts])

    def build(self, spec):
        raise NotImplementedError


@pytest.fixture
def store(dataset, cache):
    Half.calls = 0
    return make(dataset, cache)


@pytest.fixture
def encoder():
    return Half(Recipe())


def test_streams_are_stored_once_and_keep_the_clock(store, encoder):
    derived = stream(store, "ecg", encoder, "code-1")
    assert derived.rate == 64.0
    assert derived.channels == ("left", "right")
    assert Half.calls == 8
    for recording, span in derived.spans.items():
        expected = store.signal(recording, "ecg").data[:, ::2]
        np.testing.assert_array_equal(derived.signal(recording).data, expected)
        assert span.t0 == 1.0
        assert span.samples == expected.shape[1]
    assert isinstance(derived.array, np.memmap)
    assert derived.array.shape[0] == 2
    again = stream(store, "ecg", encoder, "code-1")
    assert Half.calls == 8
    assert again.spans == derived.spans
    np.testing.assert_array_equal(again.array, derived.array)


def test_code_and_settings_address_a_stream_and_how_it_is_trained_does_not(store):
    stream(store, "eda", Half(Recipe()), "code-1")
    made = Half.calls
    stream(store, "eda", Half(Recipe(lr=0.5, epochs=3)), "code-1")
    assert Half.calls == made
    stream(store, "eda", Half(Recipe(prepare={"rate": 4})), "code-1")
    stream(store, "eda", Half(Recipe(build={"depth": 9})), "code-1")
    stream(store, "eda", Half(Recipe()), "code-2")
    assert Half.calls == 4 * made


def test_features_are_those_of_the_recordings_own_seconds(store, encoder):
    spans = {"p0-0": np.array([[1.0, 3.0], [4.0, 6.5]]), "p3-1": np.array([[2.0, 12.0]])}
    made = derive_features(store, "ecg", encoder, "code-1", spans)
    assert list(made) == ["p0-0", "p3-1"]
    assert made["p0-0"].shape == (2, 2, 2)
    assert made["p0-0"].dtype == np.float32
    data = store.signal("p0-0", "ecg").data[0]
    piece = data[3 * 128 : round(5.5 * 128)]  # the stored samples begin at second 1
    np.testing.assert_allclose(made["p0-0"][1], [[piece.mean(), piece[0]], [piece[-1], 2.5]], rtol=1e-5)
    calls = Half.calls
    again = derive_features(store, "ecg", encoder, "code-1", spans)
    assert Half.calls == calls
    np.testing.assert_array_equal(again["p3-1"], made["p3-1"])
    derive_features(store, "ecg", encoder, "code-1", {**spans, "p3-1": np.array([[2.0, 12.5]])})
    assert Half.calls == 2 * calls


def test_spans_without_samples_are_rows_of_nan_and_those_over_an_end_are_clipped(store, encoder):
    end = store.recording("p0-0").duration_s
    spans = np.array([[0.0, 0.9], [0.0, 2.0], [end - 1, end + 50], [end + 1, end + 2]])
    made = derive_features(store, "ecg", encoder, "c", {"p0-0": spans, "p0-1": np.array([[0.0, 0.5]])})
    assert np.isnan(made["p0-0"][[0, 3]]).all()
    assert np.isnan(made["p0-1"]).all()
    assert made["p0-1"].shape == (1, 2, 2)
    np.testing.assert_allclose(made["p0-0"][[1, 2], 1, 1], [1.0, 1.0])


def test_recordings_without_the_modality_are_not_in_the_result(store, encoder):
    every = {r.id: np.array([[1.0, 5.0]]) for r in store.recordings}
    assert set(every) - set(derive_features(store, "eda", encoder, "c", every)) == {"p1-1"}
    assert derive_features(store, "eda", encoder, "c", {"p1-1": np.array([[1.0, 5.0]])}) == {}
    empty = derive_features(store, "eda", encoder, "c", {"p0-0": np.zeros((0, 2))})
    assert len(empty["p0-0"]) == 0


def test_joined_modalities_are_channels_over_the_common_time(store):
    both = joined(store, "ecg+eda")
    assert both.channels == ("left", "right", "eda")
    assert both.rate == 128.0
    assert set(both.spans) == {r.id for r in store.recordings} - {"p1-1"}
    for recording in both.spans:
        ecg, eda = store.signal(recording, "ecg").data, store.signal(recording, "eda").data
        length = min(ecg.shape[1], eda.shape[1])
        np.testing.assert_array_equal(both.signal(recording).data, np.concatenate([ecg[:, :length], eda[:, :length]]))
    alone = joined(store, "ecg")
    assert np.shares_memory(alone.signal("p0-0").data, alone.array)
    assert alone.array.shape == store.array("ecg").shape


def test_windows_read_at_random_come_from_a_map(store):
    eda, ecg = joined(store, "eda"), joined(store, "ecg")
    assert derive.to_memory_map(store, "ecg", ecg) is ecg
    written = derive.to_memory_map(store, "eda", eda)
    assert isinstance(written.array, np.memmap)
    assert {r: replace(span, hz=None) for r, span in eda.spans.items()} == written.spans
    np.testing.assert_array_equal(written.array, np.asarray(eda.array))


class Uneven(SmallDataset):
    """The ECG stops after five seconds, and the start that is dropped is no whole sample of it."""

    card = replace(SmallDataset.card, skip_s=0.9)

    def recordings(self, subject):
        for recording in super().recordings(subject):
            ecg = recording.signals["ecg"]
            recording.signals["ecg"] = Signal(ecg.data[:, : 256 * 5], ecg.rate, ecg.channels, ecg.unit)
            yield recording


def test_joined_modalities_begin_with_the_later_and_end_with_the_earlier(root, cache):
    store = make(Uneven(root), cache)
    spans = store.recording("p0-0").spans
    assert (spans["ecg"].t0, spans["eda"].t0) == (231 / 256, 1.0)
    both = joined(store, "eda+ecg")
    assert both.channels == ("eda", "left", "right")
    assert {s.t0 for s in both.spans.values()} == {1.0}
    assert {s.samples for s in both.spans.values()} == {4 * 128}
    late = round((1 - 231 / 256) * 128)
    np.testing.assert_array_equal(
        both.signal("p0-0").data[1:], store.signal("p0-0", "ecg").data[:, late : late + 4 * 128]
    )


def test_what_cannot_be_joined_is_refused(dataset, store, cache):
    with pytest.raises(UsageError, match="no usable ppg"):
        joined(store, "ecg+ppg")
    with pytest.raises(UsageError, match="ecg 256 Hz, eda 4 Hz"):
        joined(make(dataset, cache, filtered=False), "ecg+eda")


def test_streams_and_features_of_joined_modalities(store, encoder):
    assert stream(store, "ecg+eda", encoder, "c").array.shape[0] == 3
    assert set(
        derive_features(store, "eda+ecg", encoder, "c", {"p0-0": np.array([[2, 3]]), "p1-1": np.array([[2, 3]])})
    ) == {"p0-0"}


class Curious(Half):
    """EvaluationCounts for a way from its signal to the rest of the store."""

    def stream(self, signal):
        assert type(signal.data) is np.ndarray
        assert signal.data.base is None
        return signal

    def features(self, signal, spans):
        self.stream(signal)
        return np.zeros((len(spans), 1))


def test_an_encoder_cannot_get_from_its_signal_to_the_store(store):
    stream(store, "ecg", Curious(Recipe()), "c")
    derive_features(store, "ecg+eda", Curious(Recipe()), "c", {"p0-0": np.array([[1.0, 2.0]])})


class Broken(Half):
    def stream(self, signal):
        raise ZeroDivisionError("oh")

    def features(self, signal, spans):
        return np.zeros((len(spans) + 1, 3))


class Changing(Half):
    def stream(self, signal):
        type(self).calls += 1
        return Signal(signal.data, signal.rate + type(self).calls, signal.channels, signal.unit)

    def features(self, signal, spans):
        type(self).calls += 1
        return np.zeros((len(spans), type(self).calls))


def test_an_encoder_that_fails_is_named_and_leaves_nothing(store, cache):
    spans = {r: np.array([[1.0, 3.0]]) for r in ("p0-0", "p0-1")}
    for encoder, message in ((Broken(Recipe()), "ZeroDivisionError: oh"), (Changing(Recipe()), "rate and channels")):
        with pytest.raises(PluginError, match=message) as caught:
            stream(store, "ecg", encoder, "c")
        assert "recording p0-" in caught.value.where
    with pytest.raises(PluginError, match=r"\(2, 3\) for 1 spans"):
        derive_features(store, "ecg", Broken(Recipe()), "c", spans)
    with pytest.raises(PluginError, match="different shapes"):
        derive_features(store, "ecg", Changing(Recipe()), "c", spans)
    assert list((cache / "derived").iterdir()) == []


def test_derived_data_lie_in_the_same_cache(store, encoder, cache):
    stream(store, "ecg", encoder, "c")
    assert len(list((cache / "derived").iterdir())) == 1


class FromFile(Half):
    """Scales by what a file says, whose place its recipe names."""

    libraries = ("scipy",)

    def assets(self):
        return (self.recipe.build["weights"],)

    def stream(self, signal):
        gain = float(self.recipe.build["weights"].read_text())
        return replace(super().stream(signal), data=signal.data[:, ::2] * gain)

    def features(self, signal, spans):
        return super().features(signal, spans) * float(self.recipe.build["weights"].read_text())


def test_a_file_of_other_contents_gives_other_streams_and_features(store, tmp_path):
    """Another file, or the same one rewritten: never what was made with the old one."""
    spans = {"p0-0": np.array([[1.0, 3.0]])}
    made = []
    for number in ("1", "2"):
        (tmp_path / "weights").write_text(number)
        encoder = FromFile(Recipe(build={"weights": tmp_path / "weights"}))
        rows = derive_features(store, "ecg", encoder, "code-1", spans)["p0-0"]
        made.append((stream(store, "ecg", encoder, "code-1").array[:, :99].copy(), np.array(rows)))
    for one, other in zip(*made, strict=True):
        np.testing.assert_allclose(2 * one, other, rtol=1e-5)


def test_other_versions_of_the_libraries_make_streams_anew(store, monkeypatch):
    stream(store, "eda", Half(Recipe()), "code-1")
    made = Half.calls
    for library in ("torch", "neurokit2"):
        monkeypatch.setattr(
            derive, "installed_version", lambda name, new=library: "9" if name == new else installed_version(name)
        )
        stream(store, "eda", Half(Recipe()), "code-1")
    assert Half.calls == 3 * made
