import json
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target

SECONDS, FILMS = 20, 8
CHANNELS = {"fnirs": ("hbo", "hbr"), "pupil": ("left",), "eda": ("eda",)}
RATES = {"fnirs": 10.0, "pupil": 60.0, "eda": 8.0}
UNITS = {"fnirs": "uM", "pupil": "mm", "eda": "uS"}
LEVELS = {"fnirs": 0.0, "pupil": 4.0, "eda": 6.0}


class Glances(Dataset):
    card = Card(
        name="glances",
        title="Glances",
        citation="Nobody, Never",
        doi="",
        licence="MIT",
        obtain="embench data synthesize writes it",
        modalities={m: ModalityCard(CHANNELS[m], RATES[m], UNITS[m]) for m in CHANNELS},
        default_modalities=("fnirs", "eda"),
        targets=(Target("arousal", "binary", LabelRule("value", cut=5.0), label="arousal", scale=(1, 9)),),
        mains_hz=50.0,
        longest_s=float(SECONDS),
        labels_public="yes",
        fixed_order=False,
    )

    def subjects(self) -> list[str]:
        found = sorted(path.stem for path in self.root.glob("p*.npz"))
        if not found:
            raise DataError("no subject found", where=str(self.root), expected="p00.npz and so on")
        return found

    def files(self, subject: str) -> list[Path]:
        return [self.root / f"{subject}.npz"]

    def recordings(self, subject: str):
        with np.load(self.root / f"{subject}.npz") as file:
            content = dict(file)
        for film in range(FILMS):
            yield Recording(
                id=f"{subject}_{film}",
                subject=subject,
                stimulus=f"{subject}{film}",
                session="films",
                duration_s=float(SECONDS),
                group=subject,
                start_s=None,
                order=None,
                signals={m: Signal(content[m][film], RATES[m], CHANNELS[m], UNITS[m]) for m in CHANNELS},
                labels={"arousal": Label("rating", content["arousal"][film : film + 1])},
            )

    def verify(self) -> list[Finding]:
        return []

    @classmethod
    def synthesize(cls, out: Path, *, subjects: int, seed: int, effect: float) -> None:
        out.mkdir(parents=True, exist_ok=True)
        for subject in range(subjects):
            random = np.random.default_rng([seed, subject])
            arousal = random.permutation([2.0, 3.0, 3.0, 4.0, 6.0, 7.0, 7.0, 8.0])
            size = 1 + effect * (arousal > 5)[:, None, None]
            content = {}
            for m, channels in CHANNELS.items():
                t = np.arange(round(SECONDS * RATES[m])) / RATES[m]
                wave = np.sin(2 * np.pi * 0.2 * t + random.uniform(0, 6, (FILMS, len(channels), 1)))
                noise = 0.1 * random.standard_normal(wave.shape)
                content[m] = (LEVELS[m] + size * wave + noise).astype(np.float32)
            content["pupil"][:, :, 60:72] = np.nan  # a blink
            np.savez(out / f"p{subject:02d}.npz", arousal=arousal, **content)
        (out / "EMBENCH_SYNTHETIC.json").write_text(json.dumps({"seed": seed, "effect": effect}))
