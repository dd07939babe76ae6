"""Power of a study before anything is trained: the proportion of simulated studies like it that find an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from embench.data.cohort import Cohort, build_cohort
from embench.errors import EmbenchError
from embench.files import parse_yaml
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.protocols import Protocol, load_protocol
from embench.store import Store

SIMULATED_POWER = Path(__file__).with_name("power.yaml")
"""Percentages of simulated studies, made by `python -m bench.confound_rule --tables`."""
ANNOUNCED = ("0.62", "0.72")
"""Effects for which power is announced: within-subject AUROC of the signals' information, without noise."""


SIMULATED_PROTOCOL = "subject-independent-v4"
"""The protocol of the simulated studies."""


def find_power(store: Store, card: Card, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Return the power for a dataset's targets with all balanced partitions. Targets without a cohort are left out."""
    found, protocol = [], load_protocol(SIMULATED_PROTOCOL)
    for target in targets:
        with suppress(EmbenchError):
            cohort = build_cohort(store, card, (target,), None, protocol)
            found += simulated_power(cohort, protocol, target, range(cohort.partitions(protocol)))
    return found


@cache
def _read_simulated_power() -> Mapping[str, Any]:
    found: Mapping[str, Any] = parse_yaml(SIMULATED_POWER.read_text(encoding="utf-8"))
    return found


def simulated_power(cohort: Cohort, protocol: Protocol, target: Target, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return, for each effect in `ANNOUNCED`, the percentages of similar simulated studies that find it: above chance,
    and given confounds. Empty if no study of this design was simulated.

    Args:
        seeds: the seeds of the run. Without all balanced partitions, the power is that of one partition."""
    design, groups = _simulated_design(cohort, target), len(set(cohort.groups.values()))
    known = _read_simulated_power().get(design or "", {}).get("continuous" if target.kind == "value" else "binary")
    if protocol.rules < 4 or not known or target.kind == "classes":
        return []
    whole = len(set(seeds) & set(range(cohort.partitions(protocol)))) == cohort.partitions(protocol)
    rows = []
    for effect in ANNOUNCED:
        row: dict[str, Any] = {"target": target.name, "AUROC of the signals": float(effect)}
        for question in ("above_chance", "given_confounds"):
            column = question if whole else f"{question}_one_partition"
            at = {size: of[effect][column] for size, of in known.items() if column in of.get(effect, {})}
            if at:
                found = np.interp(groups, list(at), list(at.values()))
                row[f"{question.replace('_', ' ')}, %"] = round(float(found))
        rows.append(row)
    return rows


def _simulated_design(cohort: Cohort, target: Target) -> str | None:
    """Return the simulated design that the study resembles, such as "D1" (bench/confound_rule/plan.md); None if none
    does."""
    units = cohort.select_units(cohort.eligible)
    several = len({unit.recording for unit in units}) < len(units)
    if cohort.design == "shared_stimuli":
        labels = cohort.label[target.name][list(cohort.eligible)]
        return "D6" if several and _labels_vary([unit.recording for unit in units], labels) else "D1"
    if cohort.design == "fixed_order":
        return None if several else "D2"
    return "D3" if several else "D5"


def _labels_vary(recordings: Sequence[str], labels: np.ndarray) -> bool:
    """Return True if labels vary within a recording."""
    _, code = np.unique(recordings, return_inverse=True)
    known = np.isfinite(labels)
    least, most = np.full(code.max() + 1, np.inf), np.full(code.max() + 1, -np.inf)
    np.minimum.at(least, code[known], labels[known])
    np.maximum.at(most, code[known], labels[known])
    return bool((most > least).any())
