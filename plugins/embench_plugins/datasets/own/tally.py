"""What `verify` says of signals: samples that were lost, headers among samples, modalities that are absent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from embench.interfaces.dataset import Finding, ModalityCard
from embench.interfaces.recording import Recording
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.own.items import Item


class Tally:
    """Findings, and how long recordings are."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.longest_s = 0.0
        self._seconds: dict[str, float] = defaultdict(float)
        self._people: dict[str, set[str]] = defaultdict(set)
        self._rates: dict[str, set[float]] = defaultdict(set)

    def count(self, item: Item, modalities: Sequence[str], recordings: Iterable[Recording]) -> None:
        """Reads the recordings of some files, which should have some modalities."""
        lost: dict[str, int] = {}
        for recording in recordings:
            self.longest_s = max(self.longest_s, recording.duration_s)
            for m, signal in recording.signals.items():
                self._seconds[m] += signal.duration_s
                self._people[m].add(recording.subject)
                self._rates[m].add(signal.rate)
                first = m not in lost
                lost[m] = lost.get(m, 0) + int((~np.isfinite(signal.data)).any(axis=0).sum())
                for row in signal.data if first else ():
                    if (others := e4.odd_first(row)) is not None:
                        what = f"the first sample is {abs(row[0]):g}, the others are {others:g} in the median"
                        self._warn(item, m, f"{m}: {what}: a header, perhaps")
        for m in modalities:
            if m not in lost:
                self._warn(item, m, f"no {m} in it")
            elif lost[m]:
                self._warn(item, m, f"{lost[m]} samples of {m} are lost")

    def _warn(self, item: Item, modality: str, what: str) -> None:
        path = item.paths.get(modality) or next(iter(item.paths.values()))
        self.findings.append(Finding("warning", str(path), what))

    def hours(self, root: Path, modalities: Mapping[str, ModalityCard]) -> list[Finding]:
        """How many hours there are of each modality, at which rates."""
        return [
            Finding(
                "note",
                str(root),
                f"{self._seconds[m] / 3600:.2f} h of {m} from {len(self._people[m])} people at "
                f"{', '.join(f'{rate:g}' for rate in sorted(self._rates[m]))} Hz, as {', '.join(card.channels)}",
            )
            for m, card in modalities.items()
            if m in self._seconds
        ]
