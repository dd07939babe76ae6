"""What all synthesizers promise: a planted effect of a known size, subjects who depend on nobody else, same bytes, and
no file of others touched."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pytest

from embench.errors import UsageError
from embench.interfaces.dataset import Dataset
from embench_plugins.datasets.amigos import synthetic
from embench_plugins.datasets.amigos import synthetic as amigos_external
from embench_plugins.datasets.amigos.reader import Amigos, AmigosExternal
from embench_plugins.datasets.amigos.release import LONG
from embench_plugins.datasets.case import synthetic as case
from embench_plugins.datasets.case.reader import Case
from embench_plugins.datasets.deap import synthetic as deap
from embench_plugins.datasets.deap.reader import Deap
from embench_plugins.datasets.eegmat import synthetic as eegmat
from embench_plugins.datasets.eegmat.reader import Eegmat
from embench_plugins.datasets.emoeeg_mc import synthetic as emoeeg_mc
from embench_plugins.datasets.emoeeg_mc.reader import EmoEegMc
from embench_plugins.datasets.faced import synthetic as faced
from embench_plugins.datasets.faced.reader import Faced
from embench_plugins.datasets.hku956 import synthetic as hku956
from embench_plugins.datasets.hku956.reader import Hku956
from embench_plugins.datasets.k_emocon import synthetic as k_emocon
from embench_plugins.datasets.k_emocon.reader import KEmoCon
from embench_plugins.datasets.quiroz2018 import synthetic as quiroz2018
from embench_plugins.datasets.quiroz2018.reader import Quiroz2018
from embench_plugins.datasets.stress_predict import synthetic as stress_predict
from embench_plugins.datasets.stress_predict.reader import StressPredict
from embench_plugins.datasets.wearable_stress import synthetic as wearable_stress
from embench_plugins.datasets.wearable_stress import synthetic as wearable_stress_exercise
from embench_plugins.datasets.wearable_stress.reader import WearableStress, WearableStressExercise
from embench_plugins.datasets.wesad import synthetic as wesad
from embench_plugins.datasets.wesad.reader import Wesad

from ...sample import sample
from . import oracles
from .measures import auroc, digests


@dataclass(frozen=True)
class Kind:
    """`shortest_s`: what the tests ask for; `too_short_s`, `too_long_s`: refused; `most`: subjects of the release."""

    synthesize: Callable[..., None]
    reader: type[Dataset]
    most: int
    shortest_s: float
    too_short_s: float
    too_long_s: float

    def __str__(self) -> str:
        return self.reader.card.name


KINDS = [
    Kind(synthetic.synthesize, Amigos, 40, 10.0, 3.0, 200.0),
    Kind(amigos_external.synthesize_external, AmigosExternal, 40, 10.0, 3.0, 1500.0),
    Kind(case.synthesize, Case, 30, 40.0, 10.0, 3000.0),
    Kind(deap.synthesize, Deap, 32, 6.0, 1.0, 64.0),
    Kind(eegmat.synthesize, Eegmat, 36, 30.0, 5.0, 191.0),
    Kind(emoeeg_mc.synthesize, EmoEegMc, 60, 2.0, 1.0, 61.0),
    Kind(faced.synthesize, Faced, 123, 4.0, 3.0, 200.0),
    Kind(hku956.synthesize, Hku956, 30, 12.0, 5.0, 330.0),
    Kind(k_emocon.synthesize, KEmoCon, 32, 20.0, 19.0, 1e9),
    Kind(quiroz2018.synthesize, Quiroz2018, 44, 20.0, 5.0, 270.0),
    Kind(stress_predict.synthesize, StressPredict, 35, 60.0, 5.0, 3601.0),
    Kind(wearable_stress.synthesize, WearableStress, 36, 60.0, 5.0, 5401.0),
    Kind(wearable_stress_exercise.synthesize_exercise, WearableStressExercise, 30, 60.0, 5.0, 5401.0),
    Kind(wesad.synthesize, Wesad, 15, 60.0, 20.0, 1e9),
]

kinds = pytest.mark.parametrize("kind", KINDS, ids=str)


@dataclass(frozen=True, eq=False)
class Truth:
    """An oracle for a seed and an effect, the target of each quantity that is planted, over how many seeds AUROCs are
    means at effect 1 and 0, and how far these may be off. `everybody` has units of both classes."""

    name: str
    oracle: Callable[..., dict[str, tuple]]
    planted: dict[str, str]
    seeds: tuple[int, int]
    most_off: tuple[float, float]
    everybody: bool = True


REAL, MINUTE = partial(oracles.of_case, 30, length_s=case.REAL_S), partial(oracles.of_k_emocon, 32, length_s=60.0)
STRESS = dict.fromkeys(("heart_rate", "scr_per_min"), "stress")
TRUTHS = [
    Truth("amigos", partial(oracles.of_amigos, 40), synthetic.PLANTED, (25, 25), (0.01, 0.015)),
    Truth(
        "amigos, long videos", partial(oracles.of_amigos, 40, videos=LONG), synthetic.PLANTED, (25, 25), (0.02, 0.02)
    ),
    Truth("amigos/external", partial(oracles.of_amigos_external, 40), synthetic.PLANTED, (4, 4), (0.02, 0.02)),
    Truth("case", partial(oracles.of_case, 30), case.PLANTED, (16, 16), (0.01, 0.02), False),
    Truth("case, real length", REAL, case.PLANTED, (2, 2), (0.02, 0.03), False),
    Truth("deap", partial(oracles.of_deap, 32), deap.PLANTED, (20, 20), (0.01, 0.015), False),
    Truth("k_emocon", partial(oracles.of_k_emocon, 32), k_emocon.QUANTITIES, (25, 25), (0.015, 0.02), False),
    Truth("k_emocon, a minute", MINUTE, k_emocon.QUANTITIES, (25, 25), (0.015, 0.02), False),
    Truth("wesad", partial(oracles.of_wesad, 15), STRESS, (25, 40), (0.015, 0.02)),
]


@cache
def aurocs(truth: Truth, effect: float, seeds: int) -> dict[str, float]:
    """Of each true quantity inside each subject, mean over all subjects of so many seeds."""
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        for quantity, (_, values, labels, subjects) in truth.oracle(seed=seed, effect=effect).items():
            own = [subjects == subject for subject in np.unique(subjects)]
            found.setdefault(quantity, []).extend(auroc(values[rows], labels[rows]) for rows in own)
    assert not truth.everybody or np.isfinite([*found.values()]).all()
    return {quantity: float(np.nanmean(values)) for quantity, values in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name)
def test_an_oracle_scores_ninety_at_effect_one_and_chance_at_none_and_between_them_else(truth):
    assert {quantity: found[0] for quantity, found in truth.oracle(seed=0, effect=1.0).items()} == truth.planted
    ninety, chance = (aurocs(truth, effect, seeds) for effect, seeds in zip((1.0, 0.0), truth.seeds, strict=True))
    assert ninety == pytest.approx(dict.fromkeys(ninety, 0.90), abs=truth.most_off[0])
    assert chance == pytest.approx(dict.fromkeys(ninety, 0.50), abs=truth.most_off[1])
    half = aurocs(truth, 0.5, min(5, truth.seeds[0]))["heart_rate"]
    assert chance["heart_rate"] + 0.1 < half < ninety["heart_rate"] - 0.1


OF_ONE_SET = {
    "eegmat": (partial(oracles.of_eegmat, 36, 0), 0.05),
    "hku956": (partial(oracles.of_hku956, 30, 0), 0.06),
    "quiroz2018": (partial(oracles.of_quiroz2018, 44, 0), 0.05),
    "wearable_stress": (partial(oracles.of_wearable_stress, 36, 0), 0.03),
    "wearable_stress/exercise": (partial(oracles.of_wearable_stress_exercise, 30, 0), 0.03),
}
"""Oracles of a set of the release's size at an effect, and how far their chance may be off."""


@pytest.mark.parametrize("name", OF_ONE_SET)
def test_an_oracle_of_one_set_scores_ninety_at_effect_one_and_chance_at_none(name):
    oracle, most_off = OF_ONE_SET[name]
    for effect, score, off in ((1.0, 0.9, 0.03), (0.0, 0.5, most_off)):
        for *_, value, label, subject in oracle(effect=effect).values():
            scores = [auroc(value[subject == one], label[subject == one]) for one in np.unique(subject)]
            assert np.mean(scores) == pytest.approx(score, abs=off)


DRAWN = (
    synthetic, amigos_external, case, deap, eegmat, emoeeg_mc, hku956, k_emocon, quiroz2018, stress_predict,
    wearable_stress, wearable_stress_exercise, wesad,
)  # fmt: skip


@pytest.mark.parametrize("module", DRAWN, ids=lambda module: module.__name__)
def test_a_subject_depends_on_the_seed_and_not_on_how_many_there_are(module):
    few, many, other = (module.draw(subjects, seed, 1.0) for subjects, seed in ((2, 7), (3, 7), (2, 8)))
    np.testing.assert_array_equal(few, many[: len(few)])
    assert not np.array_equal(few, other)


SLOW = {"amigos", "amigos/external", "deap", "emoeeg_mc", "faced"}
"""Sets whose generators take long; they have the frame and the writers of the others."""


@pytest.mark.parametrize("kind", sample(KINDS, *(kind for kind in KINDS if str(kind) not in SLOW)), ids=str)
def test_same_arguments_give_the_same_bytes_whatever_was_there_and_more_subjects_change_nobody(kind, tmp_path):
    two, other = tmp_path / "two", tmp_path / "other"
    made = partial(kind.synthesize, effect=0.5, length_s=kind.shortest_s)
    made(two, 2, 5)
    whole, reader = digests(two), kind.reader(two)
    files = {
        person: {path.relative_to(two).as_posix() for path in reader.files(person)} for person in reader.subjects()
    }
    made(other, 1, 6)
    another = digests(other)
    made(other, 1, 5)
    alone = digests(other)
    made(two, 1, 5)
    assert digests(two) == alone
    (subject,) = kind.reader(other).subjects()
    own = files.pop(subject).difference(*files.values())  # tables of all subjects have a row more
    assert {name: alone[name] for name in own} == {name: whole[name] for name in own}
    assert {name: alone[name] for name in own} != {name: another.get(name) for name in own}
    mark = json.loads((other / "EMBENCH_SYNTHETIC.json").read_text())
    assert mark["dataset"] == kind.reader.card.name.partition("/")[0]
    assert (mark["subjects"], mark["seed"], mark["effect"], mark["length_s"]) == (1, 5, 0.5, kind.shortest_s)


@kinds
def test_files_of_others_are_left_alone(kind, tmp_path):
    (tmp_path / "Data_preprocessed").mkdir()
    (tmp_path / "Data_preprocessed" / "mine.csv").write_text("real")
    for _ in range(2):
        with pytest.raises(UsageError, match="nothing was written") as caught:
            kind.synthesize(tmp_path, 1, 0, 1.0, length_s=kind.shortest_s)
        assert caught.value.exit_code == 2
        assert (tmp_path / "Data_preprocessed" / "mine.csv").read_text() == "real"
        (tmp_path / "EMBENCH_SYNTHETIC.json").write_text('{"dataset": "another"}')


@kinds
@pytest.mark.parametrize("wrong", ["nobody", "too many", "seed", "effect", "short", "long", "no length"])
def test_arguments_out_of_range(kind, wrong, tmp_path):
    change = {
        "nobody": {"subjects": 0}, "too many": {"subjects": kind.most + 1}, "seed": {"seed": -1},
        "effect": {"effect": 1.5}, "short": {"length_s": kind.too_short_s}, "long": {"length_s": kind.too_long_s},
        "no length": {"length_s": math.nan},
    }[wrong]  # fmt: skip
    arguments = {"subjects": 2, "seed": 0, "effect": 1.0, "length_s": kind.shortest_s, **change}
    with pytest.raises(UsageError):
        kind.synthesize(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
