"""Every bundled dataset as a few made-up subjects: its own card, so its channels, rates and recipes, but three targets,
one of each kind. One called `everything` has all modalities. A film shows everybody."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from embench import registry
from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.recording import MODALITIES, VIDEO_CHANNELS, Label, Recording, Signal, Video
from embench.interfaces.units import LabelRule, Target
from embench.testing import require

SECONDS = (20.0, 21.0, 22.0)
LOST_S = 3.0
FILM, FILM_HZ = "film.mp4", 5.0
EEG_HZ = 250.0
TARGETS = (
    Target("high", "binary", LabelRule(cut=1.0), "rating"),
    Target("level", "classes", LabelRule(edges=(0.5, 1.5)), "rating", n=3),
    Target("rating", "value", LabelRule(), "rating"),
)
CHANGES = {"targets": TARGETS, "default_targets": (), "baseline": None, "longest_s": max(SECONDS)}
EVERYTHING = Card(
    "everything", "Everything", "", "", "", "", {}, (), TARGETS, mains_hz=50.0, longest_s=0.0, labels_public="yes",
    fixed_order=False,
)  # fmt: skip


class Made(Dataset):
    """A recording of each length a subject, rated 0, 1 and 2; every third modality ends three seconds early, of films
    the beginning is lost."""

    def subjects(self):
        return sorted(path.name for path in self.root.iterdir() if path.name != FILM)

    def files(self, subject):
        return [self.root / name for name in (subject, FILM)]

    def recordings(self, subject):
        for r, seconds in enumerate(SECONDS):
            lost = {m: LOST_S * ((i + r) % 3 == 0) for i, m in enumerate(self.card.modalities)}
            signals = {
                m: wave(card, m, seconds - lost[m], f"{type(self).__name__}{subject}{r}{m}")
                for m, card in self.card.modalities.items()
                if m != "video"
            }
            film = None
            if "video" in lost:
                film = Video(self.root / FILM, FILM_HZ, (-lost["video"], seconds - lost["video"]))
            rating = {"rating": Label("rating", np.array([float(r)]))}
            yield Recording(f"{subject}{r}", subject, f"s{r}", "", seconds, subject, None, None, signals, film, rating)


def wave(card: ModalityCard, modality: str, seconds: float, seed: str) -> Signal:
    """Slow waves and noise, and beats where there is a heart."""
    random = np.random.default_rng(list(seed.encode()))
    varying = FILM_HZ if modality == "face_au" else EEG_HZ  # where the card has none
    rate = card.rate if math.isfinite(card.rate) else varying
    t = np.arange(round(seconds * rate)) / rate
    x = 0.3 * random.standard_normal((len(card.channels), len(t)))
    for hz in (0.1, 0.3, 2.0, 10.0):
        x += np.sin(2 * np.pi * hz * t + random.uniform(0, 6, (len(x), 1)))
    if modality in ("ecg", "ppg"):
        beats = np.cumsum(random.normal(0.8, 0.05, round(seconds / 0.8) + 4))
        x += 6 * np.exp(-0.5 * ((t - beats[:, None]) / (0.02 if modality == "ecg" else 0.12)) ** 2).sum(0)
    return Signal(x.astype(np.float32), rate, card.channels, card.unit)


class Lacking(Made):
    """Recordings as of AMIGOS, of subjects of whom every second has no EDA, and nobody an ECG in the first
    recording."""

    card = replace(registry.load_plugin("dataset", "amigos").card, **CHANGES)

    def recordings(self, subject):
        for r, recording in enumerate(super().recordings(subject)):
            lost = {"eda"} if int(subject[1:]) % 2 else set()
            lost |= {"ecg"} if r == 0 else set()
            yield replace(recording, signals={m: s for m, s in recording.signals.items() if m not in lost})


def everything() -> Card:
    whole = {m: require.signal(m, 1.0) for m in MODALITIES if m != "video"}
    cards = {m: ModalityCard(s.channels, s.rate, s.unit) for m, s in whole.items()}
    return replace(EVERYTHING, modalities={**cards, "video": ModalityCard(VIDEO_CHANNELS, FILM_HZ, "pixel")})


CARDS = {card.name: card for card in (
    everything(),
    *(registry.load_plugin("dataset", e.name).card
      for e in registry.entries("dataset") if e.package == registry.BUNDLED),
) if card.targets}  # fmt: skip
"""By name. A corpus has no targets, and neither channels nor rates before its folder is read."""


def plugin(name: str, subjects: str = "tested") -> str:
    """What stands for a dataset here: subjects to be `tested`, or `others` with labels of their own to learn from."""
    return f"{subjects}_{name.replace('/', '_')}"


PLUGINS = {plugin(card.name, subjects): card for card in CARDS.values() for subjects in ("tested", "others")}
for name, card in PLUGINS.items():
    globals()[name] = type(name, (Made,), {"card": replace(card, **CHANGES), "__module__": __name__})


def package(folder: Path) -> Path:
    """This file as a package that offers all of them."""
    folder.mkdir()
    shutil.copy(__file__, folder / "__init__.py")
    classes = {**{name: name for name in PLUGINS}, "lacking": Lacking.__name__}
    entries = {
        n: {"target": f"{folder.name}:{c}", "revision": 1, "summary": "Made for tests."} for n, c in classes.items()
    }
    (folder / "registry.yaml").write_text(yaml.safe_dump({"dataset": entries}))
    return folder


def write(root: Path) -> Path:
    """The folders of all of them below `root`, a file a subject: three to train on, to validate and to test. Those who
    are tested see another film than the others."""
    from ..tiny import film  # here, as the package that this file also is has no such neighbour

    times = film.steady(round(max(SECONDS) * FILM_HZ), FILM_HZ)
    shown = {"tested": 3, "others": 1, "lacking": 6}
    for which, kind in enumerate(shown):
        film.write(root / f"{kind}.mp4", times, picture=lambda k, first=100 * which: film.numbered(first + k))
    for name in (*PLUGINS, "lacking"):
        kind = name.partition("_")[0]
        (root / name).mkdir()
        (root / name / FILM).hardlink_to(root / f"{kind}.mp4")
        for subject in range(shown[kind]):
            (root / name / f"p{subject}").write_text(f"{name} {subject}")
    return root
