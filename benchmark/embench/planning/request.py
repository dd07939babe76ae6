"""What a person asks for, checked as far as that goes without data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embench.errors import UsageError
from embench.registry.naming import did_you_mean


@dataclass(frozen=True)
class Request:
    """One run, as the command line or Python states it; see `embench run --help` for what each field means."""

    dataset: str
    encoders: tuple[str, ...] = ("cnn_tf",)
    fusion: str | None = None
    pretrainers: tuple[str, ...] = ()
    modalities: str | None = None
    targets: str | None = None
    protocol: str = "subject-independent-v1"
    recipe: str | None = None
    seeds: str | int | Sequence[int] = "0,1,2"
    device: str = "auto"
    data_root: Path | None = None
    runs: Path | None = None
    settings: tuple[str, ...] = ()
    dev: bool = False
    train_dataset: str | None = None
    drop: str | None = None
    label_subjects: str | None = None
    pretrained: str | None = None
    workers: int | None = None
    observers: tuple[str, ...] = ()

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds as numbers, each once."""
        given = (self.seeds,) if isinstance(self.seeds, int) else self.seeds
        parts = given.split(",") if isinstance(given, str) else given
        try:
            seeds = tuple(dict.fromkeys(int(part) for part in parts))
        except ValueError:
            seeds = ()
        if not seeds or min(seeds) < 0:
            raise UsageError(
                "seeds are whole numbers from 0 on", where=f"--seeds {self.seeds}", expected="such as 0,1,2"
            )
        return seeds

    @property
    def runs_folder(self) -> Path:
        return Path(self.runs) if self.runs is not None else Path("runs")


def assign(texts: Sequence[str], modalities: Sequence[str], what: str) -> dict[str, str]:
    """modality -> name from texts such as `cnn_tf` (for all that have no own) and `eeg=tcn`."""
    general = [text for text in texts if "=" not in text]
    if len(general) > 1:
        raise UsageError(
            f"{what} {' and '.join(general)}: which is for which modality?",
            where=f"--{what}",
            expected=f"one for all, or {what}s such as {modalities[0]}={general[0]}",
        )
    own = dict(text.split("=", 1) for text in texts if "=" in text)
    for m, name in own.items():
        if m not in modalities:
            raise UsageError(
                f"{what} for `{m}`, which is not among the modalities",
                where=f"--{what} {m}={name}",
                expected=", ".join(modalities),
                hint=did_you_mean(m, list(modalities)),
            )
    missing = [m for m in modalities if m not in own and not general]
    if missing:
        raise UsageError(
            f"no {what} for {', '.join(missing)}", where=f"--{what}", hint=f"add --{what} {missing[0]}=NAME"
        )
    return {m: own.get(m) or general[0] for m in modalities}
