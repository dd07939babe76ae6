"""The Dataset interface: a card that says what is in the data, and a reader that yields one recording at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from embench.errors import UsageError
from embench.interfaces.raters import Raters
from embench.interfaces.recording import Recording
from embench.interfaces.units import Target


@dataclass(frozen=True, slots=True)
class ModalityCard:
    """A modality as the release holds it. `rate` is NaN where it differs from recording to recording. `applied`:
    filters already in the files, as edges in Hz (high-pass, low-pass), None where there is none."""

    channels: tuple[str, ...]
    rate: float
    unit: str
    applied: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Start and stop of rest in a recording, in s from its start, and whether it is part of a unit."""

    start_s: float
    stop_s: float
    in_unit: bool


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is free to download.

    Args:
        name: its file name. Where none of a card's downloads is an archive, each is put into the dataset's folder as it
            is, and `name` is its path there, with `/` between its parts.
        sha256: None: its publisher names none that is reliable, so that the file cannot be checked, and fetching it
            reports so.
        unpack: the folder inside the dataset's own into which an archive is unpacked.
        subject: whose file it is, so that some subjects can be fetched without the others; None: no one subject's.
    """

    url: str
    name: str
    sha256: str | None
    size: int | None = None
    unpack: str = "."
    subject: str | None = None


@dataclass(frozen=True)
class Card:
    """Facts on a dataset for readers of its results.

    Args:
        targets: what can be predicted, each with its label rule; none where there are only recordings to pretrain on.
        longest_s: length of the longest recording, in s: a fixed number, so that padding never depends on a fold.
        skip_s: seconds to drop from the start of every signal (connection artefacts); time keeps counting from the
            recording's own start.
        labels_public: whether labels may be published; `unknown` is treated as `no`.
        fixed_order: tasks come in one order for all subjects, so that a clock can predict the label.
        default_targets: names of the targets of a run that names none; empty: all of them.
        downloads: what `embench data fetch` gets; empty where access must be requested.
        verified_on_real: `never`, or who read real files with this reader, when, and their fingerprint.
        sessions: names of a subject's sessions in the order in which they were recorded; by default the order of their
            names, numbers in them as numbers.
        raters: label that is made of several raters' own -> these raters. The reader yields theirs; the fused label is
            made when data are prepared, from the ratings of all recordings.
    """

    name: str
    title: str
    citation: str
    doi: str
    licence: str
    obtain: str
    modalities: Mapping[str, ModalityCard]
    default_modalities: tuple[str, ...]
    targets: tuple[Target, ...]
    mains_hz: float
    longest_s: float
    labels_public: Literal["yes", "no", "unknown"]
    fixed_order: bool
    baseline: Baseline | None = None
    skip_s: float = 0.0
    default_targets: tuple[str, ...] = ()
    downloads: tuple[Download, ...] = ()
    verified_on_real: Literal["never"] | Mapping[str, str] = "never"
    raters: Mapping[str, Raters] = field(default_factory=dict)
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of `verify`: `error` (cannot be used), `warning` (used, but look), `note`."""

    severity: Literal["error", "warning", "note"]
    where: str
    what: str


class Dataset(ABC):
    """A reader of one dataset in its released form.

    `card` stands on the class; a reader whose folder says what is in it gives each instance a card of its own.

    Args:
        root: the folder as its holder received it.

    Raises:
        DataError: from `subjects` and `recordings`, where files are missing, damaged or of another dataset.
    """

    card: Card

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        about = self.card
        targets = ", ".join(target.name for target in about.targets) or "none"
        return f"{about.title} in {self.root}\n  modalities: {', '.join(about.modalities)}\n  targets: {targets}"

    @abstractmethod
    def subjects(self) -> list[str]:
        """The subjects found, in a fixed order. Raises DataError where the folder is not this dataset."""

    @abstractmethod
    def recordings(self, subject: str) -> Iterator[Recording]:
        """One subject's recordings, one at a time, so that memory does not grow with the dataset."""

    @abstractmethod
    def files(self, subject: str) -> list[Path]:
        """The files that decide what `recordings(subject)` yields; their contents address the prepared data."""

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Known facts of a subject: sex, age band, handedness, site, device; absent where unknown."""
        return {}

    def verify(self) -> list[Finding]:
        """Reads all files and reports missing, damaged or odd ones."""
        raise NotImplementedError

    def exclude_faulty(self) -> int:
        """Writes what cannot be used into the folder's own description; how many entries that are.

        Raises:
            UsageError: the dataset's folder has no description.
        """
        raise UsageError(
            f"what is faulty in {self.card.name} is not written down",
            where="--exclude-faulty",
            expected="own recordings, whose dataset.yaml says what is left out",
        )


class Synthesizer(Protocol):
    """Writes synthetic files in a dataset's exact format; the same arguments give the same bytes.

    `synthesizer: module:function` in `registry.yaml` names it. A dataset without that line may have it as its class
    method `synthesize`; it is then part of the reader's code, so that an edit of it makes prepared data stale.
    """

    def __call__(
        self,
        out: Path,
        *,
        subjects: int,
        seed: int,
        effect: float,
        length_s: float | None = None,
        videos: bool = False,
    ) -> None:
        """Writes below `out`, with `EMBENCH_SYNTHETIC.json` there, a JSON object that says what was generated.

        Args:
            subjects: how many subjects.
            effect: the planted strength, 0 to 1.
            length_s: seconds of the longest recording; None: what the generator thinks right for trying things. A
                generator may leave out this and `videos`.
            videos: also films of faces.
        """
