"""Calibration data of test subjects: the first units, to which a method may adapt, and the later, scored units."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from embench.errors import CheckFailed, UsageError
from embench.protocols.schema import PersonalRules, Protocol
from embench.protocols.units import Placed
from embench.reasons import Reason

BLOCKS_NAMED = 6
"""Largest number of kinds of blocks that a sentence lists by name."""


class _Block(NamedTuple):
    """A block of a subject: the `nth` of `total` blocks with this condition or stimulus (`name`); `given` and `scored`
    are True if it has calibration units and scored units."""

    name: str
    nth: int
    total: int
    given: bool
    scored: bool


def describe_slices(
    rules: PersonalRules, placed: Placed, block: np.ndarray, rank: np.ndarray, scored: np.ndarray, most: int
) -> Reason:
    """Return a description of calibration data and scored units; it lists blocks if tasks came in one order.

    Args:
        block, rank, scored: (n,) as in `Slices`."""
    if rules.gives == "session":
        return Reason.make("given_session")
    if rules.gives == "blocks":
        return Reason.make("given_half")
    of_classes = placed.classes > 1
    designs = Counter(
        tuple(_subject_blocks(placed, index, block[index], rank[index] > 0, scored[index]))
        for index in placed.by_subject.values()
        if scored[index].any()
    )
    blocks = designs.most_common(1)[0][0] if placed.fixed_order and designs else ()
    given, tested = (_sort_blocks([each for each in blocks if getattr(each, part)]) for part in ("given", "scored"))
    if given and tested:
        return Reason.make("given_blocks", most=most, of_classes=of_classes, given=given, scored=tested)
    first = {"of_first_block": placed.fixed_order and of_classes, "guard_s": rules.guard_s}
    return Reason.make("given_units", most=most, of_classes=of_classes, **first)


def _subject_blocks(
    placed: Placed, index: np.ndarray, block: np.ndarray, given: np.ndarray, scored: np.ndarray
) -> Iterable[_Block]:
    """Yield one subject's blocks in temporal order. `index` (k,): positions of its units, which the other arrays
    describe."""
    first = [int(np.flatnonzero(block == number)[0]) for number in range(block.max(initial=-1) + 1)]
    names = [_block_name(placed, int(index[k])) for k in first]
    for number, name in enumerate(names):
        at = block == number
        yield _Block(name, names[: number + 1].count(name), names.count(name), given[at].any(), scored[at].any())


def _block_name(placed: Placed, i: int) -> str:
    if placed.kind != "condition":
        return placed.units[i].stimulus
    value = int(placed.raw[i])
    return placed.names[value] if 0 <= value < len(placed.names) else f"condition {value}"


def _sort_blocks(blocks: Sequence[_Block]) -> list[list[Any]]:
    """Return [name, number of blocks with this name in a session, list of their `nth`] for each name, in temporal
    order; empty if there are too many blocks to list."""
    by_name = attrgetter("name")
    kinds = [list(same_name) for _, same_name in groupby(sorted(blocks, key=by_name), by_name)]
    if len(kinds) > BLOCKS_NAMED or any(len(same_name) > BLOCKS_NAMED for same_name in kinds):
        return []
    kinds.sort(key=lambda same_name: blocks.index(same_name[0]))
    return [[same_name[0].name, same_name[0].total, [each.nth for each in same_name]] for same_name in kinds]


# A subject's units are ordered in time, in blocks: a block is a section of one condition, a recording or, in a single
# long recording, a section of fixed length. Calibration data lie in the subject's first blocks; a whole block and a
# guard gap separate them from scored units. Scored units are the same for any amount of calibration data, so that
# scores at several amounts are paired.

MADE_BY_METHOD = ("no_calibration", "calibration_normalised", "calibration_only")
"""Comparisons that are run for each method with labelled calibration data: without calibration data; with the same
units unlabelled; and a linear model that is fitted to these units alone, on the same features."""
NO_CALIBRATION, CALIBRATION_NORMALISED, CALIBRATION_ONLY = MADE_BY_METHOD
AMOUNTS = (5, 2, 1)
"""Numbers of calibration units per class to choose from, if subjects have fewer than the rules' `most`. The steps are
coarse, so that one unit more or less excludes nobody."""
LEAST_PROPORTION = 2 / 3
"""Least proportion of subjects who can give that many units, and still have scored units of each class."""


_OTHER_PROTOCOLS = {
    "units": "for a protocol without calibration data: --protocol subject-independent-v4",
    "blocks": "for a protocol without calibration data: --protocol subject-independent-v4",
    "session": "for datasets with one session: --protocol later-block-v1",
}


@dataclass(frozen=True)
class Given:
    """Calibration data of each test subject in a run: its first `units` of each class, labelled or not; or the whole
    `session` without labels.

    >>> Given.read("unlabelled:5").to_record(), Given.read("2").access, Given.read("0").access
    ({'unlabelled': 5}, '2_labelled_units', 'none')
    """

    units: int = 0
    labelled: bool = True
    session: bool = False

    @classmethod
    def read(cls, text: str) -> Given:
        """Parse the value of `--calibration-data`. Raises UsageError if it is malformed."""
        kind, _, number = text.strip().rpartition(":")
        if text.strip() == "session":
            return cls(labelled=False, session=True)
        if kind not in ("", "unlabelled") or not number.isdecimal() or (kind and int(number) == 0):
            raise UsageError(
                f"`{text}` is not a valid amount of calibration data",
                where="--calibration-data",
                expected="a number of labelled units of each class, such as 5; unlabelled:5; or session",
                hint="for several values: embench grid" if "," in text else None,
            )
        return cls(int(number), labelled=not kind)

    @classmethod
    def from_record(cls, plain: Mapping[str, int | str]) -> Given:
        """Rebuild from the output of `to_record()`."""
        if plain.get("unlabelled") == "session":
            return cls(labelled=False, session=True)
        return cls(int(plain.get("labelled", plain.get("unlabelled", 0))), labelled="unlabelled" not in plain)

    def to_record(self) -> dict[str, int | str]:
        """Return the amount of calibration data as records hold it: `labelled` or `unlabelled` -> number of units, or
        `unlabelled` -> `session`. Empty without calibration data."""
        if self.session:
            return {"unlabelled": "session"}
        return {"labelled" if self.labelled else "unlabelled": self.units} if self.units else {}

    def without(self) -> dict[str, Given]:
        """Return name of a comparison -> its calibration data: none, or the same amount without labels."""
        if not self.to_record():
            return {}
        more = {CALIBRATION_NORMALISED: Given(self.units, labelled=False)} if self.labelled else {}
        return {NO_CALIBRATION: Given(), **more}

    @property
    def text(self) -> str:
        """The value of `--calibration-data`."""
        return "session" if self.session else f"{'' if self.labelled else 'unlabelled:'}{self.units}"

    @property
    def access(self) -> str:
        """Name of the access to test subjects' data; leaderboards rank each access separately."""
        if self.session:
            return "unlabelled"
        return f"{self.units}_{'' if self.labelled else 'un'}labelled_units" if self.units else "none"

    @property
    def place(self) -> tuple[float, int]:
        """Sort key of amounts along a curve of scores: unlabelled first, then by number."""
        return (math.inf if self.session else self.units, int(self.labelled))


def recorded_given(plain: Mapping[str, int | str] | None) -> Given | None:
    """Return the calibration data in a record; None under protocols that do not request any."""
    return None if plain is None else Given.from_record(plain)


def format_access(access: str) -> str:
    """Return an access to test subjects in words.

    >>> format_access("2_labelled_units"), format_access("unlabelled+labelled_session")
    ('2 labelled units a class', 'unlabelled, labelled earlier session')
    """
    session, _, earlier = access.partition("+")
    n, _, units = session.partition("_")
    words = f"{n} {units.removesuffix('_units')} units a class" if units else session
    return f"{words}, labelled earlier {earlier.removeprefix('labelled_')}" if earlier else words


def find_access(protocol: Protocol, given: Given | None) -> str:
    """Return a run's access to test subjects' data: that of `given` if each run chooses its calibration data, else that
    of the protocol."""
    return protocol.target_access if given is None else given.access


@dataclass(frozen=True)
class Slices:
    """Calibration units and scored units of subjects.

    Args:
        rank: (n,) position of a unit among its subject's calibration units of its class, from 1 in temporal order; 0
            for other units.
        scored: (n,) True for scored units.
        block: (n,) number of a unit's block in its subject's order, -1 if it is in none.
        most: largest number of calibration units of each class.
        unusable: subject -> reason why it takes no part.
        words: description of calibration and scored units, for readers."""

    rank: np.ndarray
    scored: np.ndarray
    block: np.ndarray
    most: int
    unusable: Mapping[str, Reason]
    words: Reason

    def select_given(self, units: int) -> np.ndarray:
        """Return (n,) True for each subject's first `units` units of each class."""
        return np.asarray((self.rank > 0) & (self.rank <= units))

    def check(self, given: Given, dataset: str) -> None:
        """Raise UsageError if a run requests more than subjects can give."""
        if given.units > self.most:
            raise UsageError(
                f"subjects of {dataset} have at most {self.most} units of each class as calibration data, fewer than "
                f"{given.units}",
                where=f"--calibration-data {given.text}",
                expected=f"0 to {self.most}: {self.words}",
            )


def cut_slices(rules: PersonalRules, placed: Placed, dataset: str, subjects: Sequence[str]) -> Slices:
    """Return the calibration and scored units of a dataset's subjects.

    With `gives: units`, calibration data are a subject's first units of each class; if tasks came in one order, only
    from the first block of each class. Their number `most` is the rules' value; if that is too large, the largest of
    `AMOUNTS` that two thirds of the subjects have. Afterwards, such a subject has scored units of each class, at least
    as many in total. Other subjects take no part.

    Args:
        subjects: subjects with labels. They decide `most`, and only their units are cut.

    Raises:
        UsageError: fewer than two thirds of the subjects have both calibration data and scored units of each class."""
    positions = {name: index for name, index in placed.by_subject.items() if name in set(subjects)}
    blocks = {name: placed.blocks(index, rules.block_s) for name, index in positions.items()}
    fewer = [most for most in AMOUNTS if most < rules.most] if rules.gives == "units" else []
    for most in (rules.most, *fewer):
        cut = {name: _cut_subject(rules, placed, index, blocks[name], most) for name, index in positions.items()}
        unusable = {name: why for name, (*_, why) in cut.items() if why}
        if len(positions) - len(unusable) >= max(2, LEAST_PROPORTION * len(positions)):
            return _combine_slices(rules, placed, positions, blocks, cut, most)
    (reason, count), *more = Counter(unusable.values()).most_common()
    raise UsageError(
        f"{dataset} cannot be split into calibration and test data: for {count} of {len(positions)} subjects, {reason}"
        + "".join(f"; for {count}, {reason}" for reason, count in more),
        where="--protocol, which requires calibration data of test subjects",
        expected="subjects with every class in the calibration data and, at least one block later, in the test data",
        hint=_OTHER_PROTOCOLS[rules.gives],
    )


def _cut_subject(
    rules: PersonalRules, placed: Placed, index: np.ndarray, block: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, Reason | None]:
    """Return `rank` (k,) and `scored` (k,) of a subject's units at positions `index`, as in `Slices`. Also return the
    reason if the subject cannot take part, else None."""
    code, times = placed.code(index), placed.times(index)
    inside = (code >= 0) & (block >= 0)
    rank, scored = np.zeros(len(index), np.int64), np.zeros(len(index), bool)
    if rules.gives != "session" and placed.is_order_unknown(index):
        return rank, scored, Reason.make("hidden_order")
    if rules.gives == "session" and len(np.unique(times[:, 0])) < 2:
        return rank, scored, Reason.make("one_session")
    for k in range(placed.classes):
        first = np.flatnonzero(inside & (code == k) & _givable(rules, placed, times, block, inside, code == k))
        chosen = first[:most] if rules.gives == "units" else first
        if not len(chosen) or (rules.gives == "units" and len(chosen) < most):
            few = Reason.make("few_units_to_give", most=most)
            return rank, scored, few if len(chosen) else Reason.make("class_not_given")
        rank[chosen] = np.arange(1, len(chosen) + 1)
    given = rank > 0
    last = block[given].max()
    scored = inside & ~given & (block >= last + _block_distance(rules)) & _after_guard(times, given, rules.guard_s)
    if rules.gives == "session":
        scored &= times[:, 0] > times[given, 0].max()
    lacking = set(range(placed.classes)) - set(code[scored].tolist())
    if lacking or (placed.classes == 1 and len(np.unique(placed.y[index[scored]])) < 2):
        return rank, scored, Reason.make("class_not_scored" if placed.classes > 1 else "one_value_scored")
    if rules.gives == "units" and scored.sum() < given.sum():
        return rank, scored, Reason.make("less_scored_than_given")
    return rank, scored, None


def _givable(
    rules: PersonalRules,
    placed: Placed,
    times: np.ndarray,
    block: np.ndarray,
    inside: np.ndarray,
    candidates: np.ndarray,
) -> np.ndarray:
    """Return (k,) True for a subject's units that may be calibration data of one class. `inside`: (k,) True for units
    with a label in a block; `candidates`: (k,) True for units of the class."""
    if rules.gives == "session":
        return np.asarray(times[:, 0] == times[inside, 0].min()) if inside.any() else inside
    if rules.gives == "blocks":
        return np.asarray(block < (block.max(initial=-1) + 1) // 2)
    if placed.fixed_order and (candidates & inside).any():
        return np.asarray(block == block[candidates & inside].min())
    return inside


def _block_distance(rules: PersonalRules) -> int:
    """Return the least distance in blocks from the last calibration block to the first scored block: 1 for sessions,
    which a gap separates anyway, else 2."""
    return 1 if rules.gives == "session" else 2


def _after_guard(times: np.ndarray, given: np.ndarray, guard_s: float) -> np.ndarray:
    """Return (k,) True for units that begin at least `guard_s` after all calibration data, or in a later session; True
    if times are hidden."""
    session = times[given, 0].max()
    end = np.nanmax(times[given & (times[:, 0] == session), 2], initial=-math.inf)
    late = np.isnan(times[:, 1]) | (times[:, 1] - end >= guard_s - 1e-6)
    return np.asarray((times[:, 0] > session) | ((times[:, 0] == session) & late))


def _combine_slices(
    rules: PersonalRules,
    placed: Placed,
    positions: Mapping[str, np.ndarray],
    blocks: Mapping[str, np.ndarray],
    cut: Mapping[str, tuple[np.ndarray, np.ndarray, Reason | None]],
    most: int,
) -> Slices:
    """Return the `Slices` of a dataset. `positions`: subject -> its units; `cut`: subject -> its `_cut_subject`."""
    n = len(placed.units)
    rank, scored, block = np.zeros(n, np.int64), np.zeros(n, bool), np.full(n, -1, np.int64)
    for name, index in positions.items():
        block[index] = blocks[name]
        if not cut[name][2]:
            rank[index], scored[index], _ = cut[name]
    words = describe_slices(rules, placed, block, rank, scored, most)
    for array in (rank, scored, block):
        array.flags.writeable = False
    unusable = {name: why for name, (*_, why) in cut.items() if why}
    return Slices(rank, scored, block, most, unusable, words)


def prove_slices(rules: PersonalRules, placed: Placed, slices: Slices, given: np.ndarray, dataset: str) -> None:
    """Check that the calibration data of a run satisfy the rules of the protocol.

    No calibration unit is scored. All calibration data precede the subject's scored units, with the guard gap and a
    whole block between. No earlier unit of a class was skipped, so that nobody could select units.

    Args:
        given: (n,) True for the run's calibration units.

    Raises:
        CheckFailed: names the units."""
    _refuse_units(given & slices.scored, placed, dataset, "are calibration data and scored")
    for index in placed.by_subject.values():
        calibration, scored = given[index], slices.scored[index]
        if not calibration.any() or not scored.any():
            continue
        block, code = placed.blocks(index, rules.block_s), placed.code(index)
        near = scored & (block < block[calibration].max() + _block_distance(rules))
        _refuse_units(
            _to_mask(index[near], placed), placed, dataset, "are scored less than a block after the calibration data"
        )
        early = scored & ~_after_guard(placed.times(index), calibration, rules.guard_s)
        too_early = f"are scored less than {rules.guard_s:g} s after the calibration data"
        _refuse_units(_to_mask(index[early], placed), placed, dataset, too_early)
        for k in np.unique(code[calibration]).tolist():
            of_class = np.flatnonzero((code == k) & (block >= 0))
            first = of_class[: (calibration & (code == k)).sum()]
            if not calibration[first].all():
                raise CheckFailed(
                    f"the calibration data of {placed.units[int(index[0])].subject} skip earlier units of a class",
                    where=f"the calibration data of test subjects of {dataset}",
                    expected="the first units of each class in order of time",
                )


def _to_mask(index: np.ndarray, placed: Placed) -> np.ndarray:
    """Return (n,) True for the units at `index`."""
    return np.isin(np.arange(len(placed.units)), index)


def _refuse_units(wrong: np.ndarray, placed: Placed, dataset: str, what: str) -> None:
    ids = [placed.units[i].id for i in np.flatnonzero(wrong).tolist()]
    if ids:
        raise CheckFailed(
            f"{len(ids)} units {what}: {', '.join(ids[:5])}",
            where=f"the calibration data of test subjects of {dataset}",
            expected="a guard gap and a whole block between calibration data and scored units",
        )
