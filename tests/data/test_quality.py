"""The index of quality: what is lost, flat, noisy or no body's is found, and nothing else; on made-up and real
signals."""

import os
import sys
from functools import cache
from pathlib import Path

import neurokit2 as nk
import numpy as np
import pytest

from embench.data.quality import compute_unit_quality, describe_quality, terciles
from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import Recording, Signal
from embench.protocols import load_protocol, make_units
from embench.store import prepare

RATE, TEN, LONG_S = 128.0, 1280, 120
EEG = ("AF3", "F7", "F3", "FC5")


@cache
def heart(modality: str, seed: int) -> np.ndarray:
    """(samples,) a simulated minute."""
    simulate = getattr(nk, f"{modality}_simulate")
    return simulate(duration=LONG_S // 2, sampling_rate=128, heart_rate=72, random_state=seed)


def body(modality: str, seed: int = 0) -> np.ndarray:
    """(channels, samples) two minutes of a sound signal at 128 Hz; of the heart, a simulated minute twice."""
    rng = np.random.default_rng(seed)
    n = LONG_S * 128
    wander = rng.standard_normal(n).cumsum()
    if modality in ("ppg", "ecg"):
        return np.tile(heart(modality, seed), 2)[None]
    return {
        "eda": lambda: 4 + 0.5 * wander[None] / np.abs(wander).max() + 0.002 * rng.standard_normal((1, n)),
        "temp": lambda: np.full((1, n), 33.0),
        "eeg": lambda: 10 * rng.standard_normal((len(EEG), n)),
        "acc": lambda: np.array([[0.1], [0.2], [0.97]]) + 0.01 * rng.standard_normal((3, n)),
        "resp": lambda: np.sin(2 * np.pi * 0.25 * np.arange(n) / 128)[None],
    }[modality]()


CARDS = {
    "ppg": ModalityCard(("bvp",), RATE, "a.u."), "ecg": ModalityCard(("ecg",), RATE, "mV"),
    "eda": ModalityCard(("eda",), RATE, "uS"), "temp": ModalityCard(("temp",), RATE, "degC"),
    "eeg": ModalityCard(EEG, RATE, "uV"), "acc": ModalityCard(("x", "y", "z"), RATE, "g"),
    "resp": ModalityCard(("resp",), RATE, "a.u."),
}  # fmt: skip


class Worn(Dataset):
    """One recording of each subject's arrays, as they are."""

    card = Card("worn", "Worn", "", "", "", "", CARDS, ("eda",), (), 50.0, 200.0, "yes", False)

    def subjects(self):
        return sorted(path.stem for path in self.root.glob("*.npz"))

    def files(self, subject):
        return [self.root / f"{subject}.npz"]

    def recordings(self, subject):
        with np.load(self.root / f"{subject}.npz") as found:
            signals = {
                m: Signal(found[m].astype(np.float32), RATE, CARDS[m].channels, CARDS[m].unit) for m in found.files
            }
        yield Recording(subject, subject, "s", "s", float(LONG_S), subject, 0.0, 0, signals)


@pytest.fixture
def judged(tmp_path):
    """The index of the units of 10 s of a recording whose signals were changed, `a` and `b` lying sound beside it."""

    def judge(modality, changed):
        root = tmp_path / "data"
        root.mkdir()
        for seed, name in enumerate("abc"):
            np.savez(root / f"{name}.npz", **{modality: changed if name == "c" else body(modality, seed)})
        store = prepare(Worn(root), "tests/worn", "1", rate_hz=RATE, cache=tmp_path / "cache")
        ids = [f"{name}:{1000 * start}-{1000 * (start + 10)}" for name in "abc" for start in range(0, LONG_S, 10)]
        index = compute_unit_quality(store, modality, ids)
        return index if isinstance(index, Undefined) else index.reshape(3, LONG_S // 10)

    return judge


@pytest.mark.parametrize("modality", ["eda", "temp", "eeg", "acc", "resp", "ecg"])
def test_sound_signals_are_good(judged, modality):
    assert (judged(modality, body(modality, 2))[:, 1:-1] > 0.9).all()


def test_a_pulse_that_a_protocol_wants_at_4_hz_has_no_index(tmp_path):
    np.savez(tmp_path / "a.npz", ppg=body("ppg", 0))
    store = prepare(Worn(tmp_path), "tests/worn", "1", rate_hz=4.0, cache=tmp_path / "cache")
    found = compute_unit_quality(store, "ppg", [f"a:0-{1000 * LONG_S}"])
    assert isinstance(found, Undefined)
    assert "4 Hz" in found.reason


def test_skin_without_contact(judged):
    eda = body("eda", 2)
    eda[:, 4 * TEN : 6 * TEN] = 0.05 + 0.002 * np.random.default_rng(0).standard_normal((1, 2 * TEN))  # flat electrode
    eda[:, 9 * TEN : 10 * TEN + TEN // 2] = 3.0  # stuck
    index = judged("eda", eda)[2]
    np.testing.assert_allclose(index[[1, 2, 3, 4, 5, 6, 7, 9]], [1, 1, 1, 0, 0, 1, 1, 0], atol=0.21)
    assert 0.3 <= index[10] <= 0.7


def test_lost_samples_that_were_bridged(judged):
    eda = body("eda", 2)
    eda[:, 4 * TEN : 6 * TEN] = np.nan
    index = judged("eda", eda)[2]
    assert (index[[4, 5]] <= 0.2).all()
    assert (index[[2, 3, 6, 7]] >= 0.8).all()


def test_pulse_waves_with_noise(judged):
    rng = np.random.default_rng(0)
    ppg = body("ppg", 2)
    ppg[:, 6 * TEN :] = ppg.mean() + ppg.std() * rng.standard_normal(ppg[:, 6 * TEN :].shape)
    index = judged("ppg", ppg)[2]
    assert (index[1:5] > 0.8).all()
    assert (index[7:] < 0.3).all()


def test_pulse_waves_are_ranked_as_the_library_ranks_them(judged):
    """Against neurokit2's own index of template matching, on noise that grows."""
    rng = np.random.default_rng(1)
    clean = body("ppg", 2)
    ppg = clean + np.repeat(np.linspace(0, 4, LONG_S // 10), TEN) * clean.std() * rng.standard_normal(clean.shape)
    ours = judged("ppg", ppg)[2]
    cleaned = nk.ppg_clean(ppg[0], sampling_rate=128)
    theirs = nk.ppg_quality(cleaned, sampling_rate=128, method="templatematch").reshape(-1, TEN).mean(1)
    assert np.corrcoef(ours[1:-1], theirs[1:-1])[0, 1] > 0.9


def test_each_electrode_counts(judged):
    eeg = body("eeg", 2)
    eeg[1] = 0.0  # came off
    eeg[2, 6 * TEN :] *= 30  # loose
    index = judged("eeg", eeg)[2]
    np.testing.assert_allclose(index[1:5], 0.75, atol=0.01)
    np.testing.assert_allclose(index[7:11], 0.5, atol=0.01)


def test_a_thermometer_off_the_skin(judged):
    temp = body("temp", 2)
    temp[:, 6 * TEN :] = 15.0
    index = judged("temp", temp)[2]
    assert (index[1:5].min(), index[7:].max()) == (1, 0)


def test_an_axis_that_never_changes_is_no_loss(judged):
    acc = body("acc", 2)
    acc[0] = 0.1
    acc[:, 6 * TEN :] = acc[:, 6 * TEN : 6 * TEN + 1]
    index = judged("acc", acc)[2]
    assert index[1:5].min() == 1
    assert index[7:].max() == 0


def test_equal_indices_stay_together():
    index = np.array([1.0] * 90 + [0.3] * 5 + [0.7] * 5 + [np.nan])
    third = terciles(index)
    assert set(third[:90]) == {1}
    assert set(third[90:95]) == {0}
    assert set(third[95:100]) == {0}
    assert third[100] == -1
    spread = terciles(np.random.default_rng(0).random(300))
    assert np.bincount(spread).tolist() == [100, 100, 100]


def test_it_is_made_once_and_labels_are_not_read(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    np.savez(root / "a.npz", eda=body("eda"), resp=body("resp"))
    store = prepare(Worn(root), "tests/worn", "1", rate_hz=RATE, cache=tmp_path / "cache")
    (store.path / "labels.npz").unlink()
    ids = ["a:0-10000", "a:10000-20000"]
    first = describe_quality(store, ids)
    assert [(one["modality"], one["units"], one["poor"]) for one in first] == [("eda", 2, 0), ("resp", 2, 0)]
    assert set(first[0]["index"]) == set(ids)
    assert len(list((store.path / "kept").iterdir())) == 2
    for name in ("eda", "resp"):
        (store.path / f"{name}.npy").unlink()
    assert describe_quality(store, ids) == first


def test_an_installation_that_only_scores_has_no_index_of_beats(tmp_path, monkeypatch):
    root = tmp_path / "data"
    root.mkdir()
    np.savez(root / "a.npz", ppg=body("ppg"), eda=body("eda"))
    store = prepare(Worn(root), "tests/worn", "1", rate_hz=RATE, cache=tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    ppg, eda = describe_quality(store, ["a:0-10000"])
    assert ppg["undefined"] == "neurokit2 is not installed, and finding heartbeats needs it"
    assert eda["median"] == 1
    monkeypatch.undo()
    assert describe_quality(store, ["a:10000-20000"])[0]["median"] > 0.8  # nothing was kept of it


@pytest.mark.skipif("EMBENCH_TEST_DATA" not in os.environ, reason="EMBENCH_TEST_DATA names no real recordings")
def test_real_wristbands(tmp_path):
    """Stress-Predict: S23's electrodes lie below 0.1 uS for a quarter of the session, S34's never; all wear it."""

    from embench.registry import load_plugin

    reader = load_plugin("dataset", "stress_predict")

    class Two(reader):
        def subjects(self):
            return ["S23", "S34"]

    root = Path(os.environ["EMBENCH_TEST_DATA"]) / "stress_predict"
    rules = load_protocol("subject-independent-v4")
    store = prepare(Two(root), "tests/two", "1", rate_hz=rules.rate_hz, rules=rules.preprocess, cache=tmp_path)
    units = make_units(store.recordings, Two.card, "condition", rules)
    subject = np.array([unit.subject for unit in units])
    index = {m: compute_unit_quality(store, m, [unit.id for unit in units]) for m in store.modalities}
    assert (index["eda"][subject == "S23"] < 0.5).mean() == pytest.approx(0.23, abs=0.03)
    assert (index["eda"][subject == "S34"] == 1).all()
    assert np.median(index["ppg"][subject == "S34"]) > 0.8 > np.median(index["ppg"][subject == "S23"])
    assert min(index["temp"].min(), np.median(index["acc"])) == 1
