"""Words for what subjects give and are scored on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from embench.protocols.placed import Placed
from embench.protocols.schema import PersonalRules

BLOCKS_NAMED = 6
"""Kinds of blocks, at most, that words name one by one."""


class _Block(NamedTuple):
    """A block of a subject: its condition or stimulus, and how often this came up to here and in all."""

    name: str
    nth: int
    of: int
    given: bool
    scored: bool


def slices_in_words(
    rules: PersonalRules, placed: Placed, block: np.ndarray, rank: np.ndarray, scored: np.ndarray, most: int
) -> str:
    """Words for what is given and what is scored; block by block where tasks came in one order.

    Args:
        block, rank, scored: (n,) as of `Slices`.
    """
    if rules.gives == "session":
        return "given the first session of each subject, scored on later ones"
    if rules.gives == "blocks":
        return "given the first half of each subject's blocks, scored on the second, a block later"
    what = "units" if placed.classes == 1 else "units of each class"
    designs = Counter(
        tuple(_blocks(placed, own, block[own], rank[own] > 0, scored[own]))
        for own in placed.by_subject.values()
        if scored[own].any()
    )
    blocks = designs.most_common(1)[0][0] if placed.fixed_order and designs else ()
    given, tested = (_named([each for each in blocks if getattr(each, part)]) for part in ("given", "scored"))
    if given and tested:
        return f"given up to {most} {what} from {given}; scored on {tested}"
    where = " of the first block of each class" if placed.fixed_order and placed.classes > 1 else ""
    later = f"at least a block and {rules.guard_s:g} s later"
    return f"given the first {what}{where}, up to {most}; scored on what comes {later}"


def _blocks(
    placed: Placed, own: np.ndarray, block: np.ndarray, given: np.ndarray, scored: np.ndarray
) -> Iterable[_Block]:
    """The blocks of a subject whose units lie at `own` (k,), in the order of time."""
    first = [int(np.flatnonzero(block == number)[0]) for number in range(block.max(initial=-1) + 1)]
    names = [_name(placed, int(own[k])) for k in first]
    for number, name in enumerate(names):
        at = block == number
        yield _Block(name, names[: number + 1].count(name), names.count(name), given[at].any(), scored[at].any())


def _name(placed: Placed, i: int) -> str:
    if placed.kind != "condition":
        return placed.units[i].stimulus
    value = int(placed.raw[i])
    return placed.names[value] if 0 <= value < len(placed.names) else f"condition {value}"


def _named(blocks: Sequence[_Block]) -> str:
    """Blocks by the names of their conditions: `the first block of rest and the first of stress`. Empty where there are
    too many to read."""
    by_name = attrgetter("name")
    kinds = [list(some) for _, some in groupby(sorted(blocks, key=by_name), by_name)]
    if not 0 < len(kinds) <= BLOCKS_NAMED or any(len(some) > BLOCKS_NAMED for some in kinds):
        return ""
    kinds.sort(key=lambda some: blocks.index(some[0]))
    parts, noun = [], " block"
    for some in kinds:
        if some[0].of == 1:
            parts.append(some[0].name)
            continue
        which = _listed([_ordinal(each.nth) for each in some])
        parts.append(f"the {which}{noun}{'s' if noun and len(some) > 1 else ''} of {some[0].name}")
        noun = ""
    return _listed(parts)


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return "first" if n == 1 else f"{n}{ending}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
