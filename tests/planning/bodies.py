"""Releases of the small datasets that put sensors elsewhere, call channels otherwise, or lack some."""

from dataclasses import replace

from tests.tiny.plugins import Moments, Pool, Tiny, card

from embench.interfaces.dataset import ModalityCard
from embench.interfaces.recording import Signal

WIDE = frozenset({"ecg", "eda", "emg", "ppg", "temp"})


class WidePool(Pool):
    accepts = WIDE


class WideMoments(Moments):
    accepts = WIDE


def release(name, **channels):
    """A card with these channels: one of a modality reads the small ECG, two read its EDA."""
    units = {"emg": "uV", "ecg": "mV", "temp": "degC"}
    own = {
        m: ModalityCard(names, 64.0 if len(names) == 1 else 8.0, units.get(m, "a.u.")) for m, names in channels.items()
    }
    return card(name, *Tiny.card.targets, modalities=own, default_modalities=tuple(own))


class Released(Tiny):
    def recordings(self, subject):
        own = self.card.modalities
        read = type("Read", (Tiny,), {"card": Tiny.card})(self.root)
        for whole in read.recordings(subject):
            source = {m: whole.signals["ecg" if len(about.channels) == 1 else "eda"] for m, about in own.items()}
            signals = {m: Signal(source[m].data, own[m].rate, own[m].channels, own[m].unit) for m in own}
            yield replace(whole, signals=signals)


class Wrist(Released):
    card = release("wrist", ppg=("wrist",), eda=("left", "right"), ecg=("ecg",), emg=("trapezius",))


class Finger(Released):
    card = release("finger", ppg=("finger",), eda=("right", "left"), ecg=("lead",), emg=("corrugator",))


class Nameless(Released):
    card = release("nameless", ppg=("bvp",), temp=("temp",), emg=("emg",))
