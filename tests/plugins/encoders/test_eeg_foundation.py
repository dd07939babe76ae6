"""Pretrained encoders of EEG, before their networks: which channels, at which rate, in which unit, and what is refused.
None of it needs braindecode."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from embench.errors import DataError, MachineError, UsageError
from embench.interfaces.recording import Signal
from embench.interfaces.units import View
from embench_plugins import pretrained
from embench_plugins.datasets.amigos.release import EEG as AMIGOS
from embench_plugins.datasets.deap.reader import EEG as DEAP
from embench_plugins.datasets.eegmat.reader import ELECTRODES
from embench_plugins.datasets.faced.release import ELECTRODES as FACED
from embench_plugins.datasets.faced.release import FIRST_LAYOUT
from embench_plugins.encoders.eeg_foundation import SCALES
from embench_plugins.encoders.eeg_models import CLINICAL, Biot, CBraMod, Eegpt, Labram, Luna, Reve

ALL = (Labram, CBraMod, Biot, Eegpt, Luna, Reve)
EEGMAT = tuple(ELECTRODES)


def made(cls, **changes):
    return cls(cls.recipes["small"].replace(**changes))


def noise(channels, rate=250.0, seconds=12.0, unit="uV", size=20.0):
    rng = np.random.default_rng(0)
    x = size * rng.standard_normal((len(channels), round(rate * seconds)))
    return Signal(x.astype(np.float32), rate, tuple(channels), unit, modality="eeg")


def tone(hz, rate, microvolts=50.0, seconds=60.0):
    t = np.arange(round(rate * seconds)) / rate
    x = np.tile(microvolts * np.sin(2 * np.pi * hz * t), (len(EEGMAT), 1)) * np.arange(1, len(EEGMAT) + 1)[:, None]
    return Signal(x.astype(np.float32), rate, EEGMAT, "uV", modality="eeg")


@pytest.mark.parametrize("cls", ALL)
def test_the_order_of_the_files_does_not_matter(cls):
    signal = noise(EEGMAT)
    order = np.random.default_rng(1).permutation(len(EEGMAT))
    shuffled = replace(signal, data=signal.data[order], channels=tuple(EEGMAT[k] for k in order))
    one, other = made(cls).stream(signal), made(cls).stream(shuffled)
    assert one.channels == other.channels
    np.testing.assert_array_equal(one.data, other.data)


def test_cbramod_has_the_order_of_its_pretraining():
    assert made(CBraMod).stream(noise(EEGMAT)).channels == CLINICAL
    assert tuple(made(CBraMod).network_channels("eeg", FACED))[:19] == CLINICAL


@pytest.mark.parametrize("cls", ALL)
def test_old_names_of_electrodes_are_the_new_ones(cls):
    old = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
    signal = noise(EEGMAT)
    renamed = replace(signal, channels=tuple(f"EEG {old.get(name, name)}-REF" for name in EEGMAT))
    one, other = made(cls).stream(signal), made(cls).stream(renamed)
    assert one.channels == other.channels
    np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("cls", ALL)
def test_an_electrode_by_both_of_its_names_is_refused(cls):
    with pytest.raises(UsageError, match="T7 is there twice, as T7 and as T3"):
        made(cls).network_channels("eeg", (*EEGMAT, "T3"))


@pytest.mark.parametrize("cls", [Labram, CBraMod, Eegpt, Luna, Reve])
def test_channels_that_are_no_electrodes_are_left_out_and_alone_refused(cls):
    assert "HEOR" not in made(cls).network_channels("eeg", (*FACED, "HEOR"))
    with pytest.raises(UsageError, match="knows none of these electrodes: ch1, ch2"):
        made(cls).network_channels("eeg", ("ch1", "ch2"))


def test_biot_subtracts_electrodes():
    signal = noise(EEGMAT, rate=200.0)
    row = dict(zip(EEGMAT, signal.data, strict=True))
    streamed = made(Biot).stream(signal)
    assert streamed.channels[:2] == ("Fp1-F7", "F7-T7")
    assert len(streamed.channels) == 16
    np.testing.assert_allclose(streamed.data[1], row["F7"] - row["T7"], rtol=1e-6)


@pytest.mark.parametrize(("channels", "pairs"), [(DEAP, 16), (FACED, 16), (EEGMAT, 16), (FIRST_LAYOUT, 18)])
def test_biot_reads_montages_with_the_clinical_electrodes(channels, pairs):
    assert len(made(Biot, prepare={"pairs": pairs}).network_channels("eeg", channels)) == pairs


@pytest.mark.parametrize(
    ("channels", "pairs", "missing"),
    [(AMIGOS, 16, "Fp1, Fp2, C3, P3, C4, P4 are missing"), (EEGMAT, 18, "A2, A1 are missing")],
)
def test_biot_names_the_electrodes_that_it_lacks(channels, pairs, missing):
    with pytest.raises(UsageError, match=missing):
        made(Biot, prepare={"pairs": pairs}, build={"max_chans": pairs}).check_input("eeg", channels, 128.0)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("rate", [250.0, 500.0, 1000.0])
def test_a_rhythm_keeps_its_size_at_the_rate_of_the_network(cls, rate):
    streamed = made(cls, prepare={"reference": "as recorded"}).stream(tone(10, rate))
    assert streamed.rate == cls.rate
    middle = streamed.data[:, 4000:-4000]
    places = [[1 + EEGMAT.index(name) for name in channel.split("-")] for channel in streamed.channels]
    steps = [abs(one - sum(other)) for one, *other in places]
    np.testing.assert_allclose(np.abs(middle).max(1), 50.0 * np.array(steps), rtol=0.01)


def test_eegpt_reads_electrodes_against_their_mean_as_in_its_pretraining():
    shared = noise(EEGMAT)
    streamed = made(Eegpt).stream(replace(shared, data=shared.data + 30 * np.sin(np.arange(shared.data.shape[1]) / 40)))
    np.testing.assert_allclose(streamed.data, made(Eegpt).stream(shared).data, atol=1e-3)
    assert np.abs(streamed.data.mean(0)).max() < 1e-3


@pytest.mark.parametrize("cls", [Labram, CBraMod, Reve])
def test_what_is_above_half_the_rate_does_not_come_back_below_it(cls):
    streamed = made(cls).stream(tone(115, 500.0))
    assert np.abs(streamed.data[:, 4000:-4000]).max() < 0.01 * 50 * len(EEGMAT)


def test_millivolts_become_microvolts():
    signal = noise(EEGMAT)
    in_mv = replace(signal, data=signal.data / 1000, unit="mV")
    np.testing.assert_allclose(made(Labram).stream(in_mv).data, made(Labram).stream(signal).data, atol=1e-4)


@pytest.mark.parametrize("factor", [1e6, 1e3, 1e-3, 1e-6])
def test_values_in_another_unit_than_they_say_are_refused(factor):
    with pytest.raises(DataError, match=r"eeg is given in uV with a usual swing of .*, which no body gives"):
        made(CBraMod).stream(noise(EEGMAT, size=8.0 * factor))


def test_a_recording_with_a_dead_amplifier_is_no_fault_of_the_unit():
    assert not made(CBraMod).stream(noise(EEGMAT, size=0.0)).data.any()


def test_signals_without_a_unit_are_refused():
    with pytest.raises(UsageError, match="reads EEG in its unit, and this is in `z`"):
        made(Reve).stream(noise(EEGMAT, unit="z", size=1.0))


@pytest.mark.parametrize(
    ("cls", "seconds", "expected"),
    [
        (Labram, 10.5, "1, 2, 3, 4"), (Labram, 16.0, "15 s at most"), (CBraMod, 2.25, "1, 2, 3, 4"),
        (Luna, 4.0, "5, 10, 15, 20"), (Reve, 5.0, "1, 10, 19, 28"), (Eegpt, 0.1, "1, 2, 3, 4"),
        (Biot, 0.5, "1, 2, 3, 4"),
    ],
)  # fmt: skip
def test_a_window_that_would_be_padded_is_refused(cls, seconds, expected):
    with pytest.raises(UsageError, match="pads nothing") as error:
        made(cls, view=View("window", seconds, seconds)).check_input("eeg", EEGMAT, 500.0)
    assert expected in error.value.expected


@pytest.mark.parametrize("cls", ALL)
def test_windows_of_any_length_are_refused(cls):
    with pytest.raises(UsageError, match="reads windows of one length"):
        made(cls, view=View("unit")).check_input("eeg", EEGMAT, 500.0)


@pytest.mark.parametrize("cls", ALL)
def test_another_rate_than_that_of_its_pretraining_is_refused(cls):
    with pytest.raises(UsageError, match=f"reads {cls.rate:g} Hz"):
        made(cls, prepare={"rate_hz": 128}).check_input("eeg", EEGMAT, 500.0)


@pytest.mark.parametrize(
    ("cls", "changes"),
    [
        (CBraMod, {"build": {"pooling": "cls"}}), (Labram, {"build": {"head": "paper"}}),
        (Reve, {"prepare": {"scale": "volts"}}), (Luna, {"prepare": {"reference": "Cz"}}),
    ],
)  # fmt: skip
def test_a_choice_that_a_network_does_not_have_is_refused(cls, changes):
    with pytest.raises(UsageError, match="has no"):
        made(cls, **changes).check_input("eeg", EEGMAT, 500.0)


@pytest.mark.skipif(importlib.util.find_spec("braindecode") is not None, reason="braindecode is installed")
@pytest.mark.parametrize("cls", ALL)
def test_a_missing_library_is_named_with_the_way_to_get_it(cls):
    with pytest.raises(MachineError, match=f"braindecode is not installed, and encoder {cls.family} needs it") as error:
        made(cls).assets()
    assert error.value.hint == "in a clone, pip install '.[foundation]'"


@pytest.mark.parametrize(
    ("cls", "dataset", "saw"),
    [
        (Labram, "seed", "unlabelled"), (Labram, "faced", "none"), (CBraMod, "deap", "none"), (Biot, "eegmat", "none"),
        (Eegpt, "seed", "unlabelled"), (Luna, "faced", "none"), (Reve, "deap", "undisclosed"),
    ],
)  # fmt: skip
def test_what_known_weights_saw_is_on_record(cls, dataset, saw, monkeypatch):
    repository = next(iter(yaml.safe_load(pretrained.TABLE.read_text())[cls.family]))
    monkeypatch.setattr(pretrained, "find_files", lambda _: ())  # nothing is downloaded to know it
    known = made(cls, build={"weights": f"{repository}@{'0' * 40}"}).pretraining_data()
    assert known.look_up(dataset) == saw
    assert known.declared


@pytest.mark.parametrize("cls", ALL)
def test_random_weights_saw_nothing(cls):
    assert made(cls).pretraining_data() is None


@pytest.fixture
def windows():
    torch.manual_seed(0)
    x = 20 * torch.randn(3, 4, 400) + torch.arange(4.0)[:, None] * 50
    mask = torch.ones(3, 400, dtype=torch.bool)
    mask[1, 300:] = False
    return x * mask[:, None], mask


def test_scales_are_those_of_the_papers(windows):
    x, mask = windows
    torch.testing.assert_close(SCALES["100 uV"](x, mask), x / 100)
    torch.testing.assert_close(SCALES["mV"](x, mask), x / 1000)
    share = (SCALES["p95"](x, mask).abs() > 1).float().sum(-1) / mask.sum(1, keepdim=True)
    assert (share - 0.05).abs().max() < 0.01
    assert SCALES["p95"](x, mask).abs().amax(-1).min() >= 1
    standardised = SCALES["z"](x, mask)
    for row, length in ((0, 400), (1, 300)):
        torch.testing.assert_close(standardised[row, :, :length].mean(-1), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(standardised[row, :, :length].std(-1, correction=0), torch.ones(4))


def test_artefacts_are_clipped_for_reve_and_not_for_luna(windows):
    x, mask = windows
    x[0, 0, 7] = 1e6
    assert SCALES["z15"](x, mask).abs().max() == 15
    assert SCALES["z"](x, mask).abs().max() > 15


@pytest.mark.parametrize("scale", SCALES)
def test_a_flat_channel_and_an_empty_window_stay_finite(scale):
    x, mask = torch.zeros(2, 3, 400), torch.ones(2, 400, dtype=torch.bool)
    mask[1] = False
    assert SCALES[scale](x, mask).isfinite().all()
    assert SCALES[scale](x, None).isfinite().all()


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("preset", ["paper", "small", "quick"])
def test_recipes_read_the_montages_of_the_datasets(cls, preset):
    for channels, rate in ((EEGMAT, 500.0), (DEAP, 128.0), (FACED, float("nan"))):
        cls(cls.recipes[preset]).check_input("eeg", channels, rate)
