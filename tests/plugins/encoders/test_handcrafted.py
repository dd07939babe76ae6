"""`handcrafted`: the lists' lengths, values on signals whose answer is known, and the token for networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from embench.errors import UsageError
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec
from embench_plugins.encoders.features import lists, published
from embench_plugins.encoders.features.spans import Spans, fit_slope
from embench_plugins.encoders.handcrafted import Handcrafted

RATE = 128.0
TEN_S = np.stack([np.arange(12) * 10.0, np.arange(12) * 10.0 + 10.0], 1)


def encoder(*, compat: bool = False) -> Handcrafted:
    return Handcrafted(Handcrafted.recipes["small"].replace(prepare={"compat": compat}))


def signal(modality: str, *rows: np.ndarray, unit: str = "uS") -> Signal:
    names = tuple(f"c{i}" for i in range(len(rows)))
    return Signal(np.stack(rows).astype(np.float32), RATE, names, unit, modality=modality)


def named(modality: str, values: np.ndarray, channels: tuple[str, ...] = ("c0",)) -> dict[str, np.ndarray]:
    names = encoder().feature_names(modality, channels)
    assert values.shape[1] == len(names)
    assert values.dtype == np.float32
    return dict(zip(names, values.T, strict=True))


def beating(beats_s: np.ndarray, duration_s: float, width_s: float) -> np.ndarray:
    """A bump at every beat."""
    time = np.arange(int(duration_s * RATE)) / RATE
    return np.exp(-0.5 * ((time[:, None] - beats_s) / width_s) ** 2).sum(1)


@pytest.mark.parametrize(("modality", "width_s"), [("ecg", 0.012), ("ppg", 0.1)])
def test_a_steady_heart(modality: str, width_s: float) -> None:
    """75 beats a minute are 800 ms apart and do not vary."""
    wave = beating(np.arange(0.4, 120, 0.8), 120.0, width_s) + 1e-3 * np.random.default_rng(0).normal(size=15360)
    value = named(modality, encoder().features(signal(modality, wave), TEN_S))
    np.testing.assert_allclose(value["hr_mean"], 75.0, atol=0.5)
    np.testing.assert_allclose(value["nn_mean"], 800.0, atol=5.0)
    assert value["rmssd"].max() < 15.0  # a sample is 7.8 ms
    assert value["pnn50"].max() == 0.0
    np.testing.assert_allclose(value["wave_max"], wave.reshape(12, -1).max(1), rtol=1e-5)


def test_time_domain_by_hand() -> None:
    """Intervals 800, 900, 800, 1000 ms: differences 100, -100, 200."""
    nn = np.array([800.0, 900.0, 800.0, 1000.0])
    value = dict(zip(lists.TIME, lists._compute_time(nn, np.diff(nn), 10.0), strict=True))
    assert value["nn_mean"] == 875.0
    assert value["rmssd"] == pytest.approx(np.sqrt((1e4 + 1e4 + 4e4) / 3))
    assert value["sdnn"] == pytest.approx(np.sqrt((75**2 + 25**2 + 75**2 + 125**2) / 3))
    assert value["cvnn"] == pytest.approx(value["sdnn"] / 875.0)
    assert value["pnn50"] == 100.0
    assert value["nn_per_minute"] == 24.0
    assert (value["hr_max"], value["hr_min"]) == (75.0, 60.0)
    assert np.isnan(value["triangular_index"])  # four intervals make no histogram


def test_poincare_axes_by_hand() -> None:
    """SD1^2 is half the variance of differences; SD1^2 + SD2^2 is twice the variance of intervals."""
    nn = np.array([800.0, 900.0, 800.0, 1000.0])
    sd1, sd2, ratio, *entropies = lists._compute_nonlinear(nn, np.diff(nn))
    assert sd1**2 == pytest.approx(np.var([100, -100, 200], ddof=1) / 2)
    assert sd1**2 + sd2**2 == pytest.approx(2 * np.var(nn, ddof=1))
    assert ratio == pytest.approx(sd1 / sd2)
    assert np.isnan(entropies).all()


def test_breathing_shows_in_the_high_band() -> None:
    """Intervals that swing by 40 ms (SD 28 ms) at .25 Hz: peak there, power 40^2 / 2 = 800 ms^2, next to none in LF."""
    beats = [0.5]
    while beats[-1] < 300:
        beats.append(beats[-1] + 0.8 + 0.04 * np.sin(2 * np.pi * 0.25 * beats[-1]))
    at = np.rint(np.array(beats) * 10_000).astype(int)  # finely timed
    spans = Spans.from_seconds(np.array([[0.0, 300.0], [0.0, 60.0], [0.0, 10.0]]), 10_000.0, 3_000_000)
    values = lists.compute_heart(np.random.default_rng(0).normal(size=3_000_000), at, spans)
    value = dict(zip(lists.HEART, values.T, strict=True))
    assert value["hf_peak"][0] == pytest.approx(0.25, abs=0.01)
    assert value["hf"][0] == pytest.approx(800.0, rel=0.15)
    assert value["lf_hf"][0] < 0.02
    assert value["hf_relative"][0] > 0.95
    assert np.isfinite(value["sample_entropy"][0])
    # What 60 s can and cannot tell, and 10 s: two periods of a band's lower edge.
    assert np.isfinite([value["lf"][1], value["hf"][1], value["approximate_entropy"][1]]).all()
    assert np.isnan([value["vlf"][0], value["vlf"][1], value["ulf"][1]]).all()
    assert np.isnan([value[name][2] for name in (*lists.FREQUENCY, "sample_entropy", "triangular_index")]).all()


def test_no_beats_no_heart_rate() -> None:
    value = named("ecg", encoder().features(signal("ecg", np.zeros(15360)), TEN_S))
    assert np.isnan(value["hr_mean"]).all()
    assert (value["wave_mean"] == 0).all()


def test_planted_skin_responses_are_counted() -> None:
    """Two responses of .5 and 1 uS in the fourth 10 s, none elsewhere, on a level of 5 uS."""
    time = np.arange(int(120 * RATE)) / RATE

    def response(onset: float, size: float) -> np.ndarray:
        after = np.clip(time - onset, 0, None)
        shape = np.exp(-after / 2.0) - np.exp(-after / 0.75)
        return size * shape / shape.max()

    eda = 5.0 + response(31.0, 0.5) + response(35.5, 1.0)
    value = named("eda", encoder().features(signal("eda", eda), TEN_S))
    assert value["scr_per_minute"].tolist() == [12.0 if i == 3 else 0.0 for i in range(12)]
    assert value["scr_amplitude_max"][3] == pytest.approx(1.0, abs=0.35)
    assert value["scr_amplitude_mean"][3] == pytest.approx(0.75, abs=0.3)
    assert value["scr_amplitude_per_minute"][3] == pytest.approx(12 * value["scr_amplitude_mean"][3], rel=1e-5)
    assert 0.5 < value["scr_recovery_mean"][3] < 5.0
    assert np.isnan(value["scr_amplitude_mean"][0])
    np.testing.assert_allclose(value["mean"], eda.reshape(12, -1).mean(1), rtol=1e-5)


def test_a_unit_that_is_not_microsiemens_scales_away() -> None:
    rng = np.random.default_rng(0)
    eda = 5 + np.cumsum(rng.normal(size=15360)) * 0.01
    scr = [
        named("eda", encoder().features(signal("eda", eda * k, unit="?"), TEN_S))["scr_per_minute"] for k in (1, 1e3)
    ]
    np.testing.assert_array_equal(*scr)


def test_tonic_slope_of_a_ramp() -> None:
    eda = 2.0 + 0.01 * np.arange(int(120 * RATE)) / RATE
    value = named("eda", encoder().features(signal("eda", eda), TEN_S))
    np.testing.assert_allclose(value["tonic_slope"][2:-2], 0.01, atol=2e-3)


def test_statistics_and_breathing() -> None:
    time = np.arange(int(120 * RATE)) / RATE
    value = named("resp", encoder().features(signal("resp", np.sin(2 * np.pi * 0.3 * time)), TEN_S))
    np.testing.assert_allclose(value["breaths_per_minute"], 18.0, atol=0.2)
    temp = named("temp", encoder().features(signal("temp", 33 + 0.02 * time), TEN_S))
    np.testing.assert_allclose(temp["c0_slope"], 0.02, rtol=1e-3)
    np.testing.assert_allclose(temp["c0_mean"], 33 + 0.02 * (TEN_S.mean(1) - 0.5 / RATE), rtol=1e-5)
    acc = named("acc", encoder().features(signal("acc", *np.ones((3, 15360))), TEN_S), ("c0", "c1", "c2"))
    assert (acc["c2_mean"] == 1).all()


def test_alpha_raises_alpha_only() -> None:
    """A 10 Hz sine of amplitude a has variance a^2 / 2 in alpha: doubling it adds ln 2 nats there."""
    time = np.arange(int(20 * RATE)) / RATE
    noise = 1e-2 * np.random.default_rng(0).normal(size=len(time))
    sine = np.sin(2 * np.pi * 10 * time)
    spans = TEN_S[:2]
    quiet, loud = (
        named("eeg", encoder().features(signal("eeg", a * sine + noise, unit="uV"), spans)) for a in (1.0, 2.0)
    )
    np.testing.assert_allclose(loud["c0_alpha"] - quiet["c0_alpha"], np.log(2), atol=0.01)
    np.testing.assert_allclose(quiet["c0_alpha"], 0.5 * np.log(2 * np.pi * np.e * 0.5), atol=0.05)
    np.testing.assert_allclose(loud["c0_gamma"], quiet["c0_gamma"], atol=0.05)


@pytest.mark.parametrize(
    ("modality", "channels", "expected"),
    [
        ("ecg", 1, 46),
        ("ecg", 2, 92),
        ("ppg", 1, 46),
        ("eda", 1, 24),
        ("eeg", 14, 56),
        ("temp", 1, 5),
        ("resp", 1, 6),
        ("face_au", 42, 84),
    ],
)
def test_lengths_of_the_lists(modality: str, channels: int, expected: int) -> None:
    names = encoder().feature_names(modality, tuple(f"c{i}" for i in range(channels)))
    assert len(names) == len(set(names)) == expected
    rows = np.random.default_rng(0).normal(size=(channels, 2560))
    assert encoder().features(signal(modality, *rows), TEN_S[:2]).shape == (2, expected)
    assert (len(lists.HEART), len(lists.SKIN), len(lists.EEG_BANDS)) == (46, 24, 4)


@pytest.mark.parametrize("modality", sorted(Handcrafted.accepts))
def test_odd_recordings_give_nan_and_no_crash(modality: str) -> None:
    rng = np.random.default_rng(0)
    spans = np.array([[0.0, 10.0], [10.0, 20.0], [15.0, 25.0], [40.0, 50.0]])
    flat, short = np.zeros(2560), rng.normal(size=40)
    for row in (flat, short):
        values = encoder().features(signal(modality, row), spans)
        assert values.shape[0] == 4
        assert not np.isinf(values).any()
        assert np.isnan(values[3]).all()  # after the end


def test_a_span_with_lost_samples_is_absent() -> None:
    ppg = beating(np.arange(0.4, 120, 0.8), 120.0, 0.1)
    ppg[int(42 * RATE) : int(43 * RATE)] = np.nan
    values = encoder().features(signal("ppg", ppg), TEN_S)
    assert np.isnan(values[4]).all()
    assert np.isfinite(values[[3, 5], 0]).all()


def test_a_joined_modality_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"ecg\+eda") as refusal:
        encoder().features(signal("ecg+eda", np.zeros(100), np.zeros(100)), TEN_S)
    assert "not joined" in str(refusal.value)


def test_a_face_is_means_and_then_deviations() -> None:
    """As OpenFace's columns stand in the published file: all means, then all SDs (over n - 1)."""
    frames = np.array([[0.0, 1.0, 2.0, 1.0], [0.5, 0.5, 0.5, 0.5]], np.float32)
    both = Signal(np.concatenate([frames, frames + 1], 1), 4.0, ("AU01_r", "gaze_0_x"), "", modality="face_au")
    assert encoder().feature_names("face_au", both.channels) == (
        "AU01_r_mean", "gaze_0_x_mean", "AU01_r_sd", "gaze_0_x_sd",
    )  # fmt: skip
    values = encoder().features(both, np.array([[0.0, 1.0], [1.0, 2.0]]))
    sd = np.sqrt(2 / 3)
    np.testing.assert_allclose(values, [[1.0, 0.5, sd, 0.0], [2.0, 1.5, sd, 0.0]], rtol=1e-6)


def test_the_textbooks_definitions_are_the_default() -> None:
    for recipe in Handcrafted.recipes.values():
        assert recipe.prepare == {"compat": False}


def swinging(rate: float, hz: float, seconds: float = 300.0) -> tuple[np.ndarray, np.ndarray]:
    """An ECG (T,) whose intervals, 800 ms, swing by 80 ms at `hz`, and its intervals in ms."""
    beats = [0.5]
    while beats[-1] < seconds - 1.5:
        beats.append(beats[-1] + 0.8 + 0.08 * np.sin(2 * np.pi * hz * beats[-1]))
    time, wave = np.arange(int(seconds * rate)) / rate, np.zeros(int(seconds * rate))
    for beat in beats:
        near = np.abs(time - beat) < 0.1
        wave[near] += np.exp(-0.5 * ((time[near] - beat) / 0.012) ** 2)
    return wave, np.diff(beats) * 1000


def of_published_code(wave: np.ndarray, rate: float) -> dict[str, float]:
    spans = Spans.from_seconds(np.array([[0.0, len(wave) / rate]]), rate, len(wave))
    return dict(zip(lists.HEART, published.compute_heart(wave, spans, clean=True)[0], strict=True))


@pytest.mark.parametrize("rate", [128.0, 500.0])
def test_the_published_codes_faults_are_repeated_at_any_rate(rate: float) -> None:
    """A swing at .1 Hz, which is LF, comes out at .2 Hz, which is HF, and so on down the list."""
    wave, nn = swinging(rate, 0.1)
    value = of_published_code(wave, rate)
    resolution = 2000 / rate  # ms: a beat is where a sample is
    assert value["nn_mean"] == pytest.approx(nn.mean(), abs=resolution)
    assert value["hf_peak"] == pytest.approx(0.2, abs=0.02)
    assert value["hf_relative"] > 95.0
    assert value["cvnn"] == pytest.approx(nn.std(), rel=0.05)  # holds SDNN
    assert value["sdnn"] == pytest.approx(nn.std() / nn.mean(), rel=0.05)  # holds CVNN
    differences = np.diff(nn)
    assert value["sd1"] == pytest.approx(differences.std() / np.sqrt(2) / 2, rel=0.25)  # samples of 2 ms, not ms
    per_minute = len(nn) / (300 / 60)
    assert value["nn_per_minute"] == pytest.approx(per_minute, rel=0.01)
    assert value["pnn20"] == pytest.approx(100 * (np.abs(differences) > 20).sum() / per_minute, rel=0.1)
    assert value["pnn20"] > 100  # a percentage that is none
    # Positions rise steadily, so that they look regular, whatever the intervals do.
    assert value["approximate_entropy"] < 0.05
    assert value["sample_entropy"] < 0.05
    assert value["triangular_index"] > 0


def test_published_entropies_by_counting() -> None:
    """Runs of two and of three values; sample entropy compares those that can be continued with all others."""
    x = np.random.default_rng(0).normal(size=40)

    def alike(i: int, j: int, length: int) -> bool:
        return bool(np.abs(x[i : i + length] - x[j : j + length]).max() <= 0.2 * x.std())

    def phi(length: int) -> float:
        runs = range(len(x) - length + 1)
        return float(np.mean([np.log(np.mean([alike(i, j, length) for j in runs])) for i in runs]))

    pairs = sum(alike(i, j, 2) for i in range(38) for j in range(39) if i != j)
    triples = sum(alike(i, j, 3) for i in range(38) for j in range(38) if i != j)
    assert triples > 0
    assert published._compute_entropies(x) == pytest.approx((abs(phi(3) - phi(2)), -np.log(triples / pairs)))


def test_published_skin_is_standardised_by_the_trial_and_its_area_is_signed() -> None:
    rng = np.random.default_rng(0)
    eda = 5.0 + np.cumsum(rng.normal(size=15360)) * 0.01
    whole = np.array([[0.0, 120.0]])
    value, scaled = (named("eda", encoder(compat=True).features(signal("eda", x), whole)) for x in (eda, 3 * eda - 4))
    for name, found in value.items():
        np.testing.assert_allclose(scaled[name], found, rtol=1e-3, atol=1e-4, err_msg=name)
    assert abs(value["mean"][0]) < 0.05
    assert value["sd"][0] == pytest.approx(1.0, abs=0.05)
    standard = (eda - eda.mean()) / eda.std()
    textbook = named("eda", encoder().features(signal("eda", standard), whole))
    assert abs(value["phasic_area"][0]) < 500 * textbook["phasic_area"][0]  # ups and downs cancel; in samples
    assert value["scr_per_minute"][0] < textbook["scr_per_minute"][0]  # responses under a tenth of the largest go


@pytest.mark.parametrize("modality", ["ecg", "ppg", "eda"])
def test_published_lists_have_the_same_length_and_survive_odd_recordings(modality: str) -> None:
    rng = np.random.default_rng(0)
    spans = np.array([[0.0, 10.0], [10.0, 20.0], [15.0, 25.0], [16.0, 19.0], [40.0, 50.0]])
    wave = beating(np.arange(0.4, 20, 0.8), 20.0, 0.02) + 0.01 * rng.normal(size=2560)
    ramp = np.linspace(1.0, 2.0, 2560)
    for row in (wave, ramp, np.zeros(2560), rng.normal(size=40)):
        values = encoder(compat=True).features(signal(modality, row), spans)
        assert values.shape == encoder().features(signal(modality, row), spans).shape
        assert not np.isinf(values).any()
        assert np.isnan(values[-2:]).all()  # three seconds are too few, and after the end there is nothing
    found = encoder(compat=True).features(signal(modality, wave, wave), spans)
    assert found.shape[1] == 2 * (24 if modality == "eda" else 46)
    assert np.isfinite(found[0]).any()


def test_published_definitions_leave_the_other_signals_alone() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 2560))
    for modality in ("eeg", "temp", "resp", "acc", "face_au"):
        one, other = (encoder(compat=c).features(signal(modality, *rows), TEN_S[:2]) for c in (False, True))
        np.testing.assert_array_equal(one, other)


def test_slope_by_hand() -> None:
    assert fit_slope(np.array([[1.0, 2.0, 3.0]]), 2.0) == pytest.approx([2.0])


def test_token_is_standardised_by_the_training_subjects() -> None:
    x = np.array([[1.0, 5.0, np.nan], [3.0, 5.0, np.nan], [np.nan, 5.0, np.nan]], np.float32)
    stats = encoder().fit_stats(x, None)
    np.testing.assert_allclose(stats["mean"], [2.0, 5.0, 0.0])
    np.testing.assert_allclose(stats["std"], [1.0, 1.0, 1.0])
    network = encoder().build(InputSpec("eda", (3,), ("c0",), stats=stats)).eval()
    tokens = network(torch.from_numpy(x))
    assert tokens.x.shape == (3, 1, 64)
    assert (tokens.mask, tokens.summary) == (None, None)
    standard = torch.tensor([[-1.0, 0, 0], [1.0, 0, 0], [0, 0, 0]])
    expected = torch.nn.functional.gelu(network.linear(standard))
    torch.testing.assert_close(tokens.x[:, 0], expected)
    assert {"mean", "std"} <= set(network.state_dict())  # they travel with the weights


def test_outliers_are_held() -> None:
    network = encoder().build(InputSpec("eda", (1,), ("c0",))).eval()
    torch.testing.assert_close(network(torch.tensor([[1e9]])).x, network(torch.tensor([[10.0]])).x)
