"""Check of published rows for event markers: `python -m bench.adjusted.markers stress_predict`.

Markers are pressed where labels begin and end, so that no row can add to what they predict. But a row that holds them
goes together with this prediction beyond what the clock and the other rows of the board tell: their partial
correlation, of the kind that `adjusted` asks for, has an interval above 0. So has a row that tells labels by what no
other row reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.adjusted import arguments
from bench.adjusted.attacks.events import pressed
from bench.adjusted.attacks.fitting import boosting, crossfit
from bench.adjusted.attacks.scoring import within
from bench.adjusted.recompute import left, partial_correlation, standardised
from bench.adjusted.study import Study, read_study
from embench.statistics.nuisance_models import Sessions, time_bumps

WEIGHTS = 0.0, 0.02, 0.05, 0.1, 0.2


@dataclass(frozen=True)
class Suspect:
    """A row with event markers mixed in: `scores` (S, n), and `effect` (3,), its partial correlation with what markers
    predict, given clock and other rows, and the ends of its interval."""

    scores: np.ndarray
    effect: np.ndarray

    @property
    def flagged(self) -> bool:
        """True of a row that knows of the markers what nothing else does."""
        return bool(self.effect[1] > 0)


def suspects(
    study: Study, row: np.ndarray, others: Sequence[np.ndarray], marked: np.ndarray, weights: Sequence[float]
) -> list[Suspect]:
    """A row with `marked`, what event markers predict, mixed in by each weight, 0 to 1; all standardised, (S, n)."""
    mixed = [standardised((1 - weight) * row + weight * marked, study) for weight in weights]
    clock = time_bumps(Sessions(study.subject, study.start, study.session_s[study.subject], study.length_s))
    rests = []
    for s, folds in enumerate(study.folds):
        z = np.column_stack([np.ones(len(study.y)), clock, *(scores[s] for scores in others)])
        asked = np.column_stack([*(scores[s] for scores in mixed), marked[s]])
        rests.append(left(asked, z, folds[study.subject]))
    *of_rows, of_markers = np.moveaxis(np.array(rests), 2, 0)
    effects = [partial_correlation(rest, of_markers, study) for rest in of_rows]
    return [Suspect(scores, effect) for scores, effect in zip(mixed, effects, strict=True)]


def print_mixtures(study: Study, rows: dict[str, np.ndarray], marked: np.ndarray) -> None:
    """A line for each weight; before it, the rows that are flagged as they are."""
    made = []
    for name, row in rows.items():
        made.append(suspects(study, row, [x for other, x in rows.items() if other != name], marked, WEIGHTS))
        if made[-1][0].flagged:
            print(f"{name}: {made[-1][0].effect[0]:.3f} [{made[-1][0].effect[1]:.3f}]")
    honest = [within(study, row) for row in rows.values()]
    for weight, found in zip(WEIGHTS, zip(*made, strict=True), strict=True):
        effects = [suspect.effect[0] for suspect in found]
        gain = np.median(np.subtract([within(study, suspect.scores) for suspect in found], honest))
        told = f"{np.median(effects):.3f} ({min(effects):.3f} to {max(effects):.3f}) | {gain:.3f}"
        print(f"| {weight:g} | {sum(suspect.flagged for suspect in found)} of {len(found)} | {told} |", flush=True)


def main() -> None:
    """Prints all of it."""
    chosen = arguments(__doc__).parse_args()
    study = read_study(chosen.dataset, chosen.data_root)
    rows = {name: standardised(scores, study) for name, scores in study.rows.items()}
    marked = standardised(crossfit(study, pressed(study), boosting), study)
    print(f"event markers alone: auroc_within {within(study, marked):.3f}")
    print_mixtures(study, rows, marked)


if __name__ == "__main__":
    main()
