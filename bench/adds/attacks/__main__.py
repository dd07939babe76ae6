"""Computes the attacks on a dataset and keeps them: `python -m bench.adds.attacks stress_predict`."""

from __future__ import annotations

import time
from types import ModuleType

import numpy as np

from bench.adds import KEPT, arguments, attacks_file
from bench.adds.attacks import Attack, clocks, contact, events, fresh, movement, registered, transforms, windows
from bench.adds.attacks.scoring import matched, within
from bench.adds.study import Study, read_study
from embench.interfaces.metric import Undefined

THEMES = (fresh, registered, windows, clocks, transforms, movement, contact, events)


def compute(study: Study, theme: ModuleType) -> dict[str, np.ndarray]:
    """A theme's attacks as they are kept. Prints each as soon as it is there."""
    made: list[Attack] = []
    scored: list[tuple[float, float]] = []
    began = time.process_time()
    for attack in theme.attacks(study):
        if attack.scores.shape != (len(study.seeds), len(study.y)) or not np.isfinite(attack.scores).all():
            raise ValueError(f"{attack.name}: scores of shape {attack.scores.shape}, or not all finite")
        held_constant = matched(study, attack.scores)
        score = np.nan if isinstance(held_constant, Undefined) else held_constant
        made.append(attack)
        scored.append((within(study, attack.scores), score))
        print(
            f"{time.process_time() - began:5.0f} s  {attack.name:78} {attack.sees:8}{attack.held:9} "
            f"within {scored[-1][0]:.3f}  matched {score:.3f}",
            flush=True,
        )
    return {
        "names": np.array([attack.name for attack in made]),
        "themes": np.full(len(made), named(theme)),
        "sees": np.array([attack.sees for attack in made]),
        "held": np.array([attack.held for attack in made]),
        "scores": np.stack([attack.scores for attack in made]).astype(np.float32),
        "within": np.array([score[0] for score in scored]),
        "matched": np.array([score[1] for score in scored]),
    }


def named(theme: ModuleType) -> str:
    return theme.__name__.rpartition(".")[2]


def keep(study: Study, new: dict[str, np.ndarray]) -> int:
    """Writes attacks into the file in place of those of their theme; how many it then holds."""
    path, every = attacks_file(study.dataset), new
    if path.is_file():
        with np.load(path) as old:
            rest = old["themes"] != new["themes"][0]
            if np.array_equal(old["unit_ids"], study.unit_ids):
                every = {name: np.concatenate([old[name][rest], new[name]]) for name in new}
    if len(set(every["names"].tolist())) < len(every["names"]):
        raise ValueError("two attacks have one name")
    KEPT.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, unit_ids=study.unit_ids, **every)  # type: ignore[arg-type]
    return len(every["names"])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--theme", action="append", choices=[named(theme) for theme in THEMES], help="these alone")
    chosen = parser.parse_args()
    study = read_study(chosen.dataset, chosen.data_root)
    for theme in THEMES:
        if not chosen.theme or named(theme) in chosen.theme:
            print(f"{keep(study, compute(study, theme))} attacks in {attacks_file(study.dataset)}", flush=True)


if __name__ == "__main__":
    main()
