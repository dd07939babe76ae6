"""What all synthesizers promise of their folders: same bytes, subjects of their own, no file of others touched."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from embench.errors import UsageError
from embench.interfaces.dataset import Dataset
from embench_plugins.datasets.amigos import Amigos, AmigosExternal
from embench_plugins.datasets.case import Case
from embench_plugins.datasets.deap import Deap
from embench_plugins.datasets.k_emocon import KEmoCon
from embench_plugins.datasets.synthetic import amigos, amigos_external, case, deap, k_emocon, wesad
from embench_plugins.datasets.wesad import Wesad

from .measures import digests


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
    Kind(amigos.synthesize, Amigos, 40, 12.0, 3.0, 200.0),
    Kind(amigos_external.synthesize, AmigosExternal, 40, 12.0, 3.0, 1500.0),
    Kind(case.synthesize, Case, 30, 40.0, 10.0, 3000.0),
    Kind(deap.synthesize, Deap, 32, 6.0, 1.0, 64.0),
    Kind(k_emocon.synthesize, KEmoCon, 32, 20.0, 19.0, 1e9),
    Kind(wesad.synthesize, Wesad, 15, 60.0, 20.0, 1e9),
]

kinds = pytest.mark.parametrize("kind", KINDS, ids=str)


@kinds
def test_same_arguments_give_the_same_bytes_whatever_was_there_and_more_subjects_change_nobody(kind, tmp_path):
    two, other = tmp_path / "two", tmp_path / "other"
    made = partial(kind.synthesize, effect=0.5, length_s=kind.shortest_s)
    made(two, 2, 5)
    whole = digests(two)
    made(other, 1, 6)
    another = digests(other)
    made(other, 2, 5)
    assert digests(other) == whole
    made(other, 1, 5)
    alone = digests(other)
    (subject,) = kind.reader(other).subjects()
    own = {path.relative_to(other).as_posix() for path in kind.reader(other).files(subject)}
    own = {name for name in own if "metadata" not in name}
    assert {name: alone[name] for name in own} == {name: whole[name] for name in own}
    assert {name: alone[name] for name in own} != {name: another[name] for name in own}
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
