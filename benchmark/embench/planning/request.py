"""What a person asks for, checked as far as that goes without data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

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
    seeds: str | Sequence[int] = "0,1,2"
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
        parts = self.seeds.split(",") if isinstance(self.seeds, str) else self.seeds
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

    @classmethod
    def read(cls, path: Path, **given: Any) -> Request:
        """A request from a YAML file; what is `given` beside it wins.

        Raises:
            UsageError: the file cannot be read, or has a key that no request has.
        """
        try:
            content = yaml.safe_load(Path(path).read_text())
        except (OSError, yaml.YAMLError) as error:
            raise UsageError(f"cannot read the configuration: {error}", where=str(path)) from error
        if not isinstance(content, Mapping):
            raise UsageError("the configuration holds no keys", where=str(path), expected="such as `dataset: amigos`")
        known = [f.name for f in fields(cls)]
        for key in content:
            if key not in known:
                raise UsageError(f"unknown key `{key}`", where=str(path), hint=did_you_mean(str(key), known))
        lists = ("encoders", "pretrainers", "settings", "observers")
        values = {k: tuple(v) if k in lists and isinstance(v, list) else v for k, v in content.items()}
        return replace(cls(**{"dataset": "", **values}), **given) if given else cls(**values)


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
    for m in own:
        if m not in modalities:
            raise UsageError(
                f"{what} for `{m}`, which is not among the modalities",
                where=f"--{what} {m}={own[m]}",
                expected=", ".join(modalities),
                hint=did_you_mean(m, list(modalities)),
            )
    missing = [m for m in modalities if m not in own and not general]
    if missing:
        raise UsageError(
            f"no {what} for {', '.join(missing)}", where=f"--{what}", hint=f"add --{what} {missing[0]}=NAME"
        )
    return {m: own.get(m) or general[0] for m in modalities}
