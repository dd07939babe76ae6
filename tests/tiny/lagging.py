"""A small dataset of films whose annotations and skin conductance lag by three seconds, in a file of its own."""

from typing import ClassVar

import numpy as np

from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target

LAG_S, SECONDS, FILMS = 3, 40, ("a", "b", "c")
HZ = 16


class Lagging(Dataset):
    """An empty `.npz` a subject: all is drawn from its name. Each second is felt anew: half of it is the film's, half
    the subject's own. The signal follows `prompt` by `LAG_S`, and `late` follows the signal by as much; `liked` rates
    the film."""

    card: ClassVar = Card(
        name="lagging",
        title="Lagging",
        citation="nobody",
        doi="",
        licence="MIT",
        obtain="write it yourself",
        modalities={"eda": ModalityCard(("eda",), float(HZ), "uS")},
        default_modalities=("eda",),
        targets=(
            Target("prompt", "value", LabelRule("mean"), "prompt", scale=(-3.0, 3.0)),
            Target("late", "value", LabelRule("mean"), "late", scale=(-3.0, 3.0)),
            Target("liked", "binary", LabelRule(cut=5.0), "liked", scale=(1.0, 9.0)),
        ),
        default_targets=("prompt",),
        mains_hz=50.0,
        longest_s=float(SECONDS),
        labels_public="yes",
        fixed_order=False,
    )

    def subjects(self):
        return sorted(path.stem for path in self.root.glob("*.npz"))

    def files(self, subject):
        return [self.root / f"{subject}.npz"]

    def recordings(self, subject):
        for film in FILMS:
            length = SECONDS + 2 * LAG_S
            felt, own = (np.random.default_rng([*name.encode()]).normal(size=length) for name in (film, subject + film))
            felt = (felt + own) / 2**0.5
            times = np.arange(SECONDS) + 0.5
            signal = felt[LAG_S : LAG_S + SECONDS].repeat(HZ)[None].astype(np.float32)
            yield Recording(
                f"{subject}-{film}",
                subject,
                film,
                "s1",
                float(SECONDS),
                subject,
                None,
                None,
                signals={"eda": Signal(10 + signal, float(HZ), ("eda",), "uS")},
                labels={
                    "prompt": Label("continuous", felt[2 * LAG_S :], times),
                    "late": Label("continuous", felt[:SECONDS], times),
                    "liked": Label("rating", np.array([2.0 if own[0] < 0 else 8.0])),
                },
            )
