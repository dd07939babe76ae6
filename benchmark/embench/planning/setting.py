"""Settings that all stages of a run share, and what of them goes into the stages' params."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from embench.data.cohort import Cohort
from embench.engine.stage import ENGINE_REVISION, Common, SourceSpec
from embench.protocols import Given, Protocol
from embench.signals.normalise import KEEP_LEVEL
from embench.system import version_of


@dataclass(frozen=True)
class Setting:
    """Settings of all stages of a run; `weights` is modality, or `fusion`, -> digest of the file to start from."""

    protocol: Protocol
    device: str
    threads: int
    drop: tuple[str, ...] = ()
    dev: bool = False
    label_subjects: int | None = None
    label_fraction: float | None = None
    given: Given | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Any] = field(default_factory=dict)


def common(setting: Setting, seed: int, fold: int | None, cohort: Cohort) -> Common:
    """Params that every stage has; without a fold where all folds share the stage."""
    source = source_spec(setting.protocol, cohort, setting.given if cohort.slices else None)
    return Common(ENGINE_REVISION, libraries(setting.device), setting.device, setting.threads, seed, fold, source)


def source_spec(protocol: Protocol, cohort: Cohort, given: Given | None = None) -> SourceSpec:
    """Data facts of a cohort in the params of stages. Where subjects give units, these normalise them, or where a run
    is given nothing, training units do; other datasets' subjects, to pretrain on, are normalised by all they have."""
    normalise: str = protocol.normalise
    if normalise == "given":
        normalise = "subject_unlabelled" if given is None or given.session else "given" if given.units else "training"
    rest = cohort.card.baseline if protocol.normalise == "baseline" else None
    return SourceSpec(
        cohort.store.key,
        cohort.longest_s,
        cohort.shortest_s,
        normalise,
        (rest.start_s, rest.stop_s) if rest else None,
        tuple(sorted(KEEP_LEVEL)) if protocol.normalise == "recording_unlabelled" else (),
    )


def libraries(device: str) -> dict[str, str]:
    """Other causes of a network's numbers: versions of the libraries that compute them, and the kind of GPU."""
    found = dict(_versions())
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


@cache
def _versions() -> dict[str, str]:
    return {name: version_of(name) for name in ("numpy", "scikit-learn", "torch")}


def data_places(*cohorts: Cohort) -> dict[str, dict[str, str]]:
    """Folders and licences of the data of some cohorts, for `Setting.places`."""
    return {
        "stores": {c.store.key: str(c.store.path) for c in cohorts},
        "licences": {c.store.key: c.card.licence for c in cohorts},
    }


def stage_folder(runs: Path) -> Path:
    """The folder of stages, shared by all runs of a runs folder."""
    return Path(runs) / "stages"
