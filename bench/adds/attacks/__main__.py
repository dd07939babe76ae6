"""Computes the attacks on a dataset and keeps them: `python -m bench.adds.attacks stress_predict`."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from bench.adds import DATASETS, KEPT
from bench.adds.attacks import Attack, clocks, contact, events, fresh, movement, registered, transforms, windows
from bench.adds.attacks.scoring import matched, within
from bench.adds.study import Study, read_study
from embench.interfaces.metric import Undefined

THEMES = (fresh, registered, windows, clocks, transforms, movement, contact, events)


def kept(dataset: str) -> Path:
    """The file with the K attacks on a dataset: `names`, `sees`, `held` (K,), `scores` (K, S, n) float32, `unit_ids`
    (n,), and how well they do, `within` and `matched` (K,), NaN where that is not estimable."""
    return KEPT / f"{dataset}-attacks.npz"


def compute(study: Study, themes: list[str]) -> None:
    """Prints each attack as soon as it is there."""
    made: list[Attack] = []
    scored: list[tuple[float, float]] = []
    began = time.perf_counter()
    for theme in THEMES:
        if themes and theme.__name__.rsplit(".")[-1] not in themes:
            continue
        for attack in theme.attacks(study):
            if attack.scores.shape != (len(study.seeds), len(study.y)) or not np.isfinite(attack.scores).all():
                raise ValueError(f"{attack.name}: scores of shape {attack.scores.shape}, or not all finite")
            held_constant = matched(study, attack.scores)
            score = np.nan if isinstance(held_constant, Undefined) else held_constant
            made.append(attack)
            scored.append((within(study, attack.scores), score))
            seconds = time.perf_counter() - began
            print(
                f"{seconds:5.0f} s  {attack.name:78} {attack.sees:8}{attack.held:9} "
                f"within {scored[-1][0]:.3f}  matched {score:.3f}",
                flush=True,
            )
    names = [attack.name for attack in made]
    if len(set(names)) < len(names):
        raise ValueError(f"names that are not unique: {sorted({n for n in names if names.count(n) > 1})}")
    KEPT.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        kept(study.dataset),
        names=names,
        sees=[attack.sees for attack in made],
        held=[attack.held for attack in made],
        scores=np.stack([attack.scores for attack in made]).astype(np.float32),
        unit_ids=study.unit_ids,
        within=[score[0] for score in scored],
        matched=[score[1] for score in scored],
    )
    print(f"{len(made)} attacks in {kept(study.dataset)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=DATASETS)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("EMBENCH_TEST_DATA"))
    parser.add_argument("--theme", action="append", default=[], help="these alone, which replace what was kept")
    chosen = parser.parse_args()
    if chosen.data_root is None:
        parser.error("--data-root, or $EMBENCH_TEST_DATA, is the folder with the dataset's")
    compute(read_study(chosen.dataset, Path(chosen.data_root)), chosen.theme)


if __name__ == "__main__":
    main()
