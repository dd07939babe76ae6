"""The verdict `adds` under exercise without stress: `python -m bench.adds.exercise`.

The sessions of `wearable_stress/exercise`, on a stationary bicycle: what a few methods that tell exercise from what
comes before and after add to clock and movement.
"""

from __future__ import annotations

import embench
from bench.adds import KEPT, PROTOCOL, with_data_root
from bench.adds.study import SEEDS
from embench.records.scores import Adds, Score
from embench.statistics.adding import ADDS_LEVELS

DATASET = "wearable_stress/exercise"
TARGETS = ("exercise", "work")
"""The second is surer, and of fewer units; see `wearable_stress.exercise`."""
METHODS = tuple(
    (modalities, fusion)
    for modalities in ("ppg", "eda", "temp", "ppg,eda,temp", "acc")
    for fusion in ("logreg", "boosting")
)


def main() -> None:
    """Prints a line for each method: its headline, and of each level the effect, the share left and the verdict."""
    chosen = with_data_root(__doc__).parse_args()
    print("| target | method | score | " + " | ".join(ADDS_LEVELS) + " |\n|" + "---|" * (len(ADDS_LEVELS) + 3))
    adding = []
    for modalities, fusion in METHODS:
        run = embench.run(
            dataset=DATASET,
            encoder="handcrafted",
            fusion=fusion,
            modalities=modalities,
            target=TARGETS,
            protocol=PROTOCOL,
            seeds=SEEDS,
            data_root=chosen.data_root,
            runs=KEPT / "exercise",
            workers=1,
        )
        for target in TARGETS:
            found = run.scores.adds(target) or Adds(undefined="the protocol does not ask")
            score = found.score or run.scores.headlines[target]
            own = f"{score} {_with_low(run.scores.score(target, score))}"
            print(f"| {target} | {modalities} {fusion} | {own} | " + " | ".join(_told(found)) + " |", flush=True)
            adding += [f"{modalities} {fusion} ({target}, {level})" for level, at in found.levels.items() if at.adds]
    print(f"Physical demand adds, too: {', '.join(adding)}." if adding else "No method adds.")


def _told(found: Adds) -> list[str]:
    if found.undefined:
        return [found.undefined] * len(ADDS_LEVELS)
    return [
        f"{_with_low(at.effect, '+')}, {at.share_left:.2f}, {'adds' if at.adds else '-'}"
        for at in (found.levels[level] for level in ADDS_LEVELS)
    ]


def _with_low(score: Score | None, sign: str = "") -> str:
    if score is None or score.low is None:
        return score.undefined or "-" if score else "-"
    return f"{score.mean:{sign}.3f} [{score.low:{sign}.3f}]"


if __name__ == "__main__":
    main()
