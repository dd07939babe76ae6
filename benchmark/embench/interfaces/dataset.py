"""The Dataset interface: a card with facts on the data, and a reader that yields one recording at a time."""

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
    """A modality in the release. `rate` is NaN if it differs between recordings. `applied`: edges in Hz of the filters
    already applied in the release (high-pass, low-pass); None without such a filter."""

    channels: tuple[str, ...]
    rate: float
    unit: str
    applied: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Resting period in a recording, in s from its start; `in_unit` is True if units may contain it."""

    start_s: float
    stop_s: float
    in_unit: bool


@dataclass(frozen=True, slots=True)
class Download:
    """A freely available file.

    Args:
        name: its file name. On a card without archives, it is the path in the dataset's folder, with `/`.
        sha256: hash; None if the publisher gives no reliable one: the file cannot be checked, and `fetch` reports that.
        unpack: folder inside the dataset's folder into which an archive is unpacked.
        subject: the subject of the file, so that subjects can be fetched separately; None: shared by all."""

    url: str
    name: str
    sha256: str | None
    size: int | None = None
    unpack: str = "."
    subject: str | None = None


@dataclass(frozen=True)
class Card:
    """Facts about a dataset, for readers of its results.

    Args:
        targets: what can be predicted, each with its label rule; empty if recordings serve pretraining only.
        longest_s: length of the longest recording, in s: a fixed number, so that padding never depends on a fold.
        skip_s: seconds dropped from the start of every signal (connection artefacts); times still count from the
            recording's start.
        labels_public: whether labels may be published; `unknown` is treated as `no`.
        fixed_order: True if tasks come in one order for all subjects, so that elapsed time can predict the label.
        default_targets: targets of a run that names none; empty: all of them.
        downloads: files that `embench data fetch` downloads; empty if access must be requested.
        verified_on_real: `never`, or who read real files with this reader, when, and their fingerprint.
        sessions: names of a subject's sessions in recording order; by default sorted by name, with numbers in numerical
            order.
        raters: name of a fused label -> its raters. The reader yields the labels of single raters; the fused label is
            made from the ratings of all recordings during preparation."""

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
    """One finding of `verify`: `error` (unusable), `warning` (usable, needs attention), `note`."""

    severity: Literal["error", "warning", "note"]
    where: str
    what: str


class Dataset(ABC):
    """A reader of one dataset in its released form.

    `card` is a class attribute; a reader whose folder describes itself gives each instance its own card.

    Args:
        root: the folder as the user received it.

    Raises:
        DataError: from `subjects` and `recordings`, where files are missing, damaged or of another dataset."""

    card: Card

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        about = self.card
        targets = ", ".join(target.name for target in about.targets) or "none"
        return f"{about.title} in {self.root}\n  modalities: {', '.join(about.modalities)}\n  targets: {targets}"

    @abstractmethod
    def subjects(self) -> list[str]:
        """Return the subjects found, in a fixed order. Raises DataError if the folder is not this dataset."""

    @abstractmethod
    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield one subject's recordings, one at a time, so that memory is independent of the dataset's size."""

    @abstractmethod
    def files(self, subject: str) -> list[Path]:
        """Return the files that determine `recordings(subject)`; a hash of their contents identifies prepared data."""

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return known facts on a subject: sex, age band, handedness, site, device; absent if unknown."""
        return {}

    def verify(self) -> list[Finding]:
        """Read all files and report missing, damaged or unusual ones."""
        raise NotImplementedError

    def exclude_faulty(self) -> int:
        """Exclude unusable parts in the folder's own description; return the number of exclusions.

        Raises:
            UsageError: the dataset's folder has no description."""
        raise UsageError(
            f"what is faulty in {self.card.name} is not written down",
            where="--exclude-faulty",
            expected="own recordings, whose dataset.yaml says which are excluded",
        )


class Synthesizer(Protocol):
    """Writes synthetic files in a dataset's exact format; the same arguments give the same bytes.

    `synthesizer: module:function` in `registry.yaml` names it. Without that line it may be the reader's class method
    `synthesize`. It is then part of the reader's code, so that an edit of it invalidates prepared data."""

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
        """Write files below `out`, among them `EMBENCH_SYNTHETIC.json`, a JSON object that says what was generated.

        Args:
            subjects: number of subjects.
            effect: strength of the simulated effect, 0 to 1.
            length_s: length in s of the longest recording; None: a short default. A generator may omit this and
                `videos`.
            videos: True to write videos of faces, too."""
