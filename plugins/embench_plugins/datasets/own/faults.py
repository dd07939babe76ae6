"""The faults of own recordings, judged by their files alone, and the lines of a `dataset.yaml` that leave them out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from embench.errors import CheckFailed, DataError
from embench_plugins.datasets.own.items import Item
from embench_plugins.datasets.own.rows import Span
from embench_plugins.datasets.own.signals import Read

KEY = "faulty:"


class Fault(NamedTuple):
    """A recording, or a modality of it, that cannot be used, and why."""

    recording: str
    modality: str | None
    error: DataError

    @property
    def line(self) -> str:
        """The entry of a `dataset.yaml` that leaves it out."""
        where = Path(self.error.where or "").name
        why = json.dumps(f"{where}: {self.error.what}" if where else self.error.what, ensure_ascii=False)
        modality = f", modality: {self.modality}" if self.modality else ""
        return f"  - {{recording: {json.dumps(self.recording, ensure_ascii=False)}{modality}, why: {why}}}"


def faults(
    items: Iterable[Item],
    modalities: Callable[[Item], Sequence[str]],
    opened: Callable[[Item, Sequence[str]], AbstractContextManager[Read]],
    trials: Callable[[Item, Read], Sequence[Span | DataError | None]],
) -> Iterator[Fault]:
    """The unusable parts of some recordings: modalities whose files cannot be read, trials that lie outside, and whole
    recordings of which nothing can be used.

    Args:
        modalities: those of a recording.
        opened: opens some of them.
        trials: the parts of a recording, or what is wrong with each.
    """
    for item in items:
        there = modalities(item)
        unreadable = {m: error for m in there if (error := _error(opened, item, [m]))}
        whole = [m for m in there if m not in unreadable]
        if not whole:
            yield Fault(item.id, None, next(iter(unreadable.values())))
            continue
        yield from (Fault(item.id, m, error) for m, error in unreadable.items())
        try:
            with opened(item, whole) as read:
                parts = trials(item, read)
        except DataError as error:
            yield Fault(item.id, None, error)
            continue
        for number, part in enumerate(parts, 1):
            if isinstance(part, DataError):
                yield Fault(f"{item.id}@{number}", None, part)


def check_share(found: Sequence[Fault], counts: Mapping[str, int]) -> None:
    """Raises CheckFailed where over a third of the recordings, or of those of one modality, would be left out: then the
    description is wrong, rather than the files.

    Args:
        counts: file's recording -> how many recordings it holds.
    """
    lost = Counter[str | None]()
    for fault in found:
        lost[fault.modality] += 1 if fault.modality else counts.get(fault.recording, 1)
    for modality, count in lost.items():
        whole = len(counts) if modality else sum(counts.values())
        if whole > 1 and 3 * count > whole:
            error = next(fault.error for fault in found if fault.modality == modality)
            what = f"{modality} of {count}" if modality else f"{count}"
            raise CheckFailed(
                f"{what} of {whole} recordings would be left out, which is over a third; the first: {error.what}",
                where=error.where,
                expected=error.expected or "a few faulty recordings",
                hint=error.hint or "correct dataset.yaml where many recordings fail alike; exclude the others then",
            )


def _error(
    opened: Callable[[Item, Sequence[str]], AbstractContextManager[Read]], item: Item, modalities: Sequence[str]
) -> DataError | None:
    try:
        with opened(item, modalities) as read:
            read.between(0.0, read.duration_s)
    except DataError as error:
        return error
    return None


def with_faults(text: str, found: Sequence[Fault]) -> str:
    """The text of a `dataset.yaml` with entries for some faults, after those that it has."""
    lines = text.rstrip("\n").split("\n")
    at = next((k for k, line in enumerate(lines) if re.match(rf"{KEY}\s*(#.*)?$", line)), None)
    if at is None:
        lines += ["", f"{KEY}  # left out: what cannot be used, judged by the files alone"]
        at = len(lines) - 1
    return "\n".join([*lines[: at + 1], *(fault.line for fault in found), *lines[at + 1 :]]) + "\n"
