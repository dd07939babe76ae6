"""A dataset of small text files whose faults can be written by hand: what `Small` reads is what its files say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Dataset, Finding
from embench.interfaces.recording import Label, Recording, Signal

from .conftest import CARD


def write(root, subject, seed=0, **facts):
    """One subject: 40 s of eda at 4 Hz, a rating, and whatever `facts` change."""
    rng = np.random.default_rng([seed, sum(subject.encode())])
    stress = [6.125 if subject == "P1" else 2.5]
    content = {"eda": [np.round(rng.normal(5, 1, 160), 4).tolist()], "rate": 4.0, "stress": stress, "times": None}
    root.mkdir(exist_ok=True)
    (root / f"{subject}.json").write_text(json.dumps(content | facts))
    return root


class Small(Dataset):
    card = replace(CARD, name="small")

    def subjects(self):
        return sorted(path.stem for path in self.root.glob("*.json"))

    def files(self, subject):
        return [self.root / f"{subject}.json"]

    def recordings(self, subject):
        path = self.root / f"{subject}.json"
        try:
            content = json.loads(path.read_text())
        except ValueError as error:
            raise DataError(f"`{path.read_text()[:20]}` is no JSON", where=str(path)) from error
        eda = Signal(np.array(content["eda"], np.float32), content["rate"], ("eda",), "uS")
        times = content["times"]
        label = Label("rating", np.array(content["stress"], float), None if times is None else np.array(times, float))
        yield Recording(
            content.get("id", f"{subject}-film"), subject, "film", "day", content.get("duration_s", 40.0), subject,
            None, None, {"eda": eda}, labels={"stress": label},
        )  # fmt: skip

    def verify(self):
        return [Finding("note", str(Path(self.root, "P1.json")), "person P1 rated 6.125 in 'P1.json', film")]
