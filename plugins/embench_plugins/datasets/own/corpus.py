"""A folder of recordings without labels, for pretraining on external data.

Reads EDF and BDF, WFDB, MATLAB and CSV files, as the file `corpus.yaml` beside them says (see `corpus_layout`): which
files there are, of which subjects, and what their channels are. A long recording comes in pieces of up to ten
minutes, so that memory does not grow with it. Rates may differ from file to file.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset, Finding, ModalityCard
from embench.interfaces.recording import Recording, Signal
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import POTENTIALS, SENSED, Channels, chosen, factor
from embench_plugins.datasets.formats.recordings import opened, parts
from embench_plugins.datasets.formats.tracks import Track
from embench_plugins.datasets.own.corpus_layout import HINT, LAYOUT, Layout, Source, read_layout

PIECE_S = 600.0


class Corpus(Dataset):
    """The reader. The class's card is that of any corpus; an instance's own says what its folder holds. A recording is
    a file, or a piece of one: its id is the file's path, with the second at which the piece begins.

    Raises:
        DataError: already when made, where the folder has no readable `corpus.yaml`.
    """

    card = Card(
        name="corpus",
        title="a corpus of recordings without labels",
        citation="that of the recordings",
        doi="",
        licence="that of the recordings",
        obtain=f"put recordings and a {LAYOUT} that describes them into one folder",
        modalities={m: ModalityCard((m,), math.nan, POTENTIALS.get(m, "a.u.")) for m in SENSED},
        default_modalities=("eeg",),
        targets=(),
        mains_hz=50.0,
        longest_s=PIECE_S,
        labels_public="unknown",
        fixed_order=False,
    )

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.layout = read_layout(self.root)
        self.card = _card(self.layout)

    def subjects(self) -> list[str]:
        """The subjects of all files that the patterns name."""
        return sorted(self._files)

    def files(self, subject: str) -> list[Path]:
        """The layout, and one subject's files with all that belongs to them."""
        return [self.root / LAYOUT, *(part for path, _ in self._of(subject) for part in parts(path))]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """One subject's files, piece by piece, in the order of their paths."""
        for path, source in self._of(subject):
            yield from self._pieces(subject, path, source)

    def verify(self) -> list[Finding]:
        """Reads every sample; what cannot be read, and how many hours there are of each modality, at which rates."""
        findings: list[Finding] = []
        seconds: dict[str, float] = defaultdict(float)
        people: dict[str, set[str]] = defaultdict(set)
        rates: dict[str, set[float]] = defaultdict(set)
        for subject in self.subjects():
            for path, source in self._of(subject):
                lost: dict[str, int] = defaultdict(int)
                try:
                    for recording in self._pieces(subject, path, source):
                        for m, signal in recording.signals.items():
                            seconds[m] += signal.duration_s
                            people[m].add(subject)
                            rates[m].add(signal.rate)
                            if recording.start_s == 0:
                                findings += _odd_starts(path, m, signal)
                            lost[m] += int((~np.isfinite(signal.data)).any(axis=0).sum())
                except DataError as error:
                    findings.append(Finding("error", error.where or str(path), error.what))
                    continue
                findings += [Finding("warning", str(path), f"no {m} in it") for m in source.signals if m not in lost]
                findings += [
                    Finding("warning", str(path), f"{n} samples of {m} are lost") for m, n in lost.items() if n
                ]
        for m in self.card.modalities:
            if m in seconds:
                at = ", ".join(f"{rate:g}" for rate in sorted(rates[m]))
                said = f"{seconds[m] / 3600:.2f} h of {m} from {len(people[m])} people at {at} Hz, as {self._named(m)}"
                findings.append(Finding("note", str(self.root), said))
        return findings

    def _named(self, modality: str) -> str:
        return ", ".join(self.card.modalities[modality].channels)

    def _of(self, subject: str) -> Sequence[tuple[Path, Source]]:
        if subject not in self._files:
            raise DataError(f"there is no person {subject}", where=str(self.root), hint="embench data verify corpus")
        return self._files[subject]

    @cached_property
    def _files(self) -> Mapping[str, list[tuple[Path, Source]]]:
        """Subject -> files with what the layout says of them, in the order of their paths."""
        found: dict[Path, Source] = {}
        for source in self.layout.sources:
            try:
                paths = sorted(path for path in self.root.glob(source.files) if path.is_file())
            except (OSError, ValueError, NotImplementedError):  # such as a pattern that is too long for a file's name
                paths = []
            if not paths:
                raise DataError(
                    f"no file matches `{source.files[:80]}`",
                    where=str(self.root / LAYOUT),
                    expected=self._instead(source),
                )
            for path in paths:
                if path in found:
                    raise DataError(
                        f"two patterns name {path.name}: `{found[path].files}` and `{source.files}`",
                        where=str(self.root / LAYOUT),
                        expected="each file in one source",
                    )
                found[path] = source
        people: dict[str, list[tuple[Path, Source]]] = defaultdict(list)
        for path, source in sorted(found.items()):
            inside = path.relative_to(self.root).as_posix()
            person = source.person(inside)
            if person is None:
                raise DataError(
                    f"`{source.subject}` finds nobody in {inside}",
                    where=str(self.root / LAYOUT),
                    expected="a regular expression that matches every path, its first group being the person",
                )
            people[person].append((path, source))
        return people

    def _instead(self, source: Source) -> str:
        """What lies in the folder, where a pattern matches none of it."""
        names = sorted(
            path.relative_to(self.root).as_posix()
            for pattern in ("*.*", "*/*.*")
            for path in self.root.glob(pattern)
            if path.is_file() and path.name != LAYOUT
        )
        near = difflib.get_close_matches(source.files, names, 3, 0.3) or names[:3]
        return f"a pattern of files such as {', '.join(near)}" if near else "files, of which there are none"

    def _pieces(self, subject: str, path: Path, source: Source) -> Iterator[Recording]:
        inside = path.relative_to(self.root).as_posix()
        try:
            with opened(path) as tracks_of:
                tracks = {m: chosen(path, m, own, tracks_of(own), LAYOUT) for m, own in source.signals.items()}
                duration = max(track.duration_s for own in tracks.values() for track in own)
                count = max(1, math.ceil(duration / PIECE_S))
                # Whole seconds, so that pieces at rates of their own begin together.
                bounds = [math.floor(k * duration / count) for k in range(count)] + [duration]
                for start, stop in itertools.pairwise(bounds):
                    signals = {
                        m: signal
                        for m, own in tracks.items()
                        if (signal := self._signal(path, m, source.signals[m], own, start, stop)) is not None
                    }
                    yield Recording(
                        id=inside if count == 1 else f"{inside}@{start:g}s",
                        subject=subject,
                        stimulus="recording",
                        session=inside,
                        duration_s=stop - start,
                        group=subject,
                        start_s=float(start),
                        order=None,
                        signals=signals,
                    )
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", where=str(path)) from error

    def _signal(
        self, path: Path, modality: str, own: Channels, tracks: Sequence[Track], start: float, stop: float
    ) -> Signal | None:
        """A modality between two seconds of a file; None where nothing was recorded."""
        rate, samples = tracks[0].rate, tracks[0].samples
        first, last = (min(round(second * rate), samples) for second in (start, stop))
        if last <= first:
            return None
        promised = self.card.modalities[modality]
        rows = [track.read(first, last) * factor(path, modality, own, track, LAYOUT) for track in tracks]
        with np.errstate(over="ignore"):
            data = np.stack(rows).astype(np.float32)
        data[~np.isfinite(data)] = np.nan
        recorded = bool(np.nan_to_num(data).any())
        return Signal(data, rate, promised.channels, promised.unit) if recorded else None


def _odd_starts(path: Path, modality: str, signal: Signal) -> Iterator[Finding]:
    """What is odd about a first sample that is a million times as large as the others."""
    for row in signal.data:
        if (others := e4.odd_first(row)) is not None:
            what = f"the first sample is {abs(row[0]):g}, the others are {others:g} in the median: a header, perhaps"
            yield Finding("warning", str(path), f"{modality}: {what}")


def _card(layout: Layout) -> Card:
    """The card of one folder. Rates are the files' own."""
    modalities = {
        m: ModalityCard(layout.channels(m), math.nan, layout.unit(m), layout.applied(m)) for m in layout.modalities
    }
    return Card(
        name="corpus",
        title=layout.title,
        citation=layout.citation,
        doi=layout.doi,
        licence=layout.licence,
        obtain=HINT,
        modalities=modalities,
        default_modalities=layout.modalities,
        targets=(),
        mains_hz=layout.mains_hz,
        longest_s=PIECE_S,
        labels_public="unknown",
        fixed_order=False,
    )
