"""Faults of metrics, datasets and observers are found and told."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import embench
from embench.errors import CheckFailed, DataError, UsageError
from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.raters import Raters
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench.testing import check, check_dataset, check_metric, check_observer


class HalfRight(Metric):
    """Share of decisions that are right."""

    range: ClassVar = (0.0, 1.0)
    depends_on_cut: ClassVar = True

    def __call__(self, units):
        return float((units.decision == units.y_true).mean()) if len(units) else Undefined("no units")

    def compute_chance(self, units):
        return 0.5


class OutOfRange(HalfRight):
    def __call__(self, units):
        return 100.0 * super().__call__(units)


class Ordered(HalfRight):
    def __call__(self, units):
        return float((units.decision == units.y_true)[:5].mean())


class Upside(HalfRight):
    direction: ClassVar = "lower"


class NotNumber(HalfRight):
    def __call__(self, units):
        return float("nan")


class NoReason(HalfRight):
    def __call__(self, units):
        return Undefined("") if len(set(units.y_true)) < 2 else super().__call__(units)


class OtherBootstrap(HalfRight):
    def resample(self, units, subjects, counts):
        return np.full(len(counts), 0.5)


class SaysNotThatItDepends(HalfRight):
    depends_on_cut: ClassVar = False


class AnotherChance(HalfRight):
    chance_level: ClassVar = 0.3


class Spoils(HalfRight):
    def __call__(self, units):
        units.score.sort()
        return super().__call__(units)


def test_metrics():
    check_metric(HalfRight)
    faults = [
        (OutOfRange, "a number from 0.0 to 1.0"),
        (Ordered, "in another order"),
        (Upside, "lower is better"),
        (NotNumber, "a score of nan"),
        (NoReason, "without a reason"),
        (OtherBootstrap, "with each subject once"),
        (SaysNotThatItDepends, "depends on decisions but does not declare this"),
        (AnotherChance, "`chance_level` is 0.3"),
        (Spoils, "changed the inputs"),
    ]
    for cls, fault in faults:
        with pytest.raises(CheckFailed, match=fault):
            check_metric(cls)


class Small(Dataset):
    """Two subjects, one recording each."""

    card: ClassVar = Card(
        name="small", title="Small", citation="nobody", doi="", licence="MIT", obtain="make it",
        modalities={"eda": ModalityCard(("eda",), 4.0, "uS")}, default_modalities=("eda",),
        targets=(Target("stress", "binary", LabelRule(), "stress"),), mains_hz=50.0, longest_s=60.0,
        labels_public="yes", fixed_order=False,
    )  # fmt: skip

    def subjects(self):
        if not (self.root / "small.txt").is_file():
            raise DataError("no small.txt", where=str(self.root))
        return ["a", "b"]

    def files(self, subject):
        return [self.root / "small.txt"]

    def data(self, subject):
        return np.random.default_rng(ord(subject)).standard_normal((1, 240)).astype(np.float32)

    def recordings(self, subject):
        signal = Signal(self.data(subject), 4.0, ("eda",), "uS")
        label = Label("rating", np.array([5.0]))
        yield Recording(
            f"{subject}1", subject, "film", "s", 60.0, subject, 0.0, 0, {"eda": signal}, labels={"stress": label}
        )


class Zeros(Small):
    def data(self, subject):
        return np.zeros((1, 240), np.float32)


class Doubles(Small):
    def data(self, subject):
        return super().data(subject).astype(float)


class Dice(Small):
    def data(self, subject):
        return np.random.default_rng().standard_normal((1, 240)).astype(np.float32)


class TooLong(Small):
    card: ClassVar = replace(Small.card, longest_s=30.0)


class OtherUnit(Small):
    card: ClassVar = replace(Small.card, modalities={"eda": ModalityCard(("eda",), 4.0, "mS")})


class NoLabel(Small):
    card: ClassVar = replace(Small.card, targets=(Target("calm", "binary", LabelRule(), "calm"),))


class ByRaters(Small):
    """The target's label is made of those of two raters."""

    card: ClassVar = replace(Small.card, raters={"stress": Raters(("stress_r1", "stress_r2"))})

    def recordings(self, subject):
        for recording in super().recordings(subject):
            yield replace(
                recording, labels=dict.fromkeys(self.card.raters["stress"].labels, recording.labels["stress"])
            )


class GivesAway(ByRaters):
    recordings = Small.recordings


class Unrated(ByRaters):
    card: ClassVar = replace(Small.card, raters={"stress": Raters(("calm_r1", "calm_r2"))})

    def recordings(self, subject):
        for recording in Small.recordings(self, subject):
            yield replace(recording, labels={"stress_r1": recording.labels["stress"]})


class TakesAll(Small):
    def subjects(self):
        return ["a", "b"]


class Lost(Small):
    def files(self, subject):
        return [Path(self.root) / "nowhere"]


class OneId(Small):
    def recordings(self, subject):
        for recording in super().recordings(subject):
            yield replace(recording, id="same")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.txt").touch()
    return tmp_path


def test_a_good_dataset_passes(folder):
    check_dataset(Small, folder)
    check_dataset(ByRaters, folder)
    check("dataset", Small, folder)


@pytest.mark.parametrize(
    ("cls", "fault"),
    [
        (Zeros, "only zeros"),
        (Doubles, "float64"),
        (Dice, "a second reading gives another eda"),
        (TooLong, "the recording lasts 60.0 s"),
        (OtherUnit, "the measurement unit is uS"),
        (NoLabel, "no recording has the label `calm`"),
        (Unrated, "no recording has the label `stress`"),
        (GivesAway, "but the dataset card derives it from raters"),
        (TakesAll, "in an empty folder the reader finds"),
        (Lost, "nowhere"),
        (OneId, "another recording has this id"),
    ],
)
def test_faults_of_datasets(cls, fault, folder):
    with pytest.raises(CheckFailed, match=fault):
        check_dataset(cls, folder)


def test_observers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Good:
        @embench.hookimpl
        def run_ended(self, run, scores):
            assert scores["primary_metrics"]
            Path("notes.md").write_text("a run")

    class Raises:
        @embench.hookimpl
        def stage_ended(self, figures):
            raise KeyError("cost")

    check_observer(Good)
    assert not list(tmp_path.iterdir())
    with pytest.raises(CheckFailed, match="raised in stage_ended"):
        check_observer(Raises)
    with pytest.raises(CheckFailed, match="implements no hook"):
        check_observer(object)


def test_one_door():
    check("metric", HalfRight)
    with pytest.raises(UsageError, match="not a kind of plugin"):
        check("metrics", HalfRight)
    with pytest.raises(UsageError, match="a folder of its files"):
        check("dataset", Small)
