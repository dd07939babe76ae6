"""Datasets, each with one fault, of eight subjects with four recordings each."""

import json
from typing import ClassVar

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target


class Good(Dataset):
    card: ClassVar = Card(
        name="good", title="Good", citation="nobody", doi="", licence="MIT", obtain="make it",
        modalities={"eda": ModalityCard(("eda",), 8.0, "uS"), "temp": ModalityCard(("temp",), 8.0, "degC")},
        default_modalities=("eda",), targets=(Target("stress", "binary", LabelRule("value", cut=5.0), "stress"),),
        mains_hz=50.0, longest_s=20.0, labels_public="yes", fixed_order=False,
    )  # fmt: skip

    def subjects(self):
        if not (self.root / "EMBENCH_SYNTHETIC.json").is_file():
            raise DataError("nothing here", where=str(self.root))
        return [f"p{n}" for n in range(8)]

    def files(self, subject):
        return [self.root / "EMBENCH_SYNTHETIC.json"]

    def rating(self, subject, n):
        return float(np.random.default_rng([int(subject[1:]), n, 1]).integers(1, 10))

    def eda(self, subject, n):
        return np.random.default_rng([int(subject[1:]), n]).standard_normal((1, 160)).astype(np.float32)

    def temp(self, subject, n):
        return 33 + self.eda(subject, n + 100)

    def recordings(self, subject):
        for n in range(4):
            signals = {
                "eda": Signal(self.eda(subject, n), 8.0, ("eda",), "uS"),
                "temp": Signal(self.temp(subject, n), 8.0, ("temp",), "degC"),
            }
            labels = {"stress": Label("rating", np.array([self.rating(subject, n)]))}
            yield Recording(
                f"{subject}-{n}", subject, f"s{n}", "one", 20.0, subject, None, None, signals, labels=labels
            )

    @classmethod
    def synthesize(cls, out, *, subjects, seed, effect):
        out.mkdir(parents=True)
        (out / "EMBENCH_SYNTHETIC.json").write_text(json.dumps({"seed": seed, "effect": effect}))


class ForgetsASubject(Good):
    def recordings(self, subject):
        return super().recordings(subject) if subject != "p1" else iter(())


class GivesAnotherSubject(Good):
    def recordings(self, subject):
        return super().recordings("p0" if subject == "p1" else subject)


class CopiesAPerson(Good):
    def eda(self, subject, n):
        return super().eda("p0" if subject == "p2" else subject, n)


class LabelInAChannel(Good):
    def temp(self, subject, n):
        return super().temp(subject, n) * 0 + np.float32(self.rating(subject, n))


class StaysHere(Good):
    def __init__(self, root):
        super().__init__(root)
        self.clock = lambda: 0.0
