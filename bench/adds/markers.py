"""Whether published rows hold event markers: `python -m bench.adds.markers stress_predict`.

Markers are pressed where labels begin and end, so that no row can add to what they predict. But a row that holds them
goes together with this prediction beyond all that the other rows of the board tell: their partial correlation, of the
kind that `adds` asks for, has an interval above 0. Rows that do so are printed, and how many of the rows would do so if
the prediction were mixed into them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.adds import arguments
from bench.adds.attacks.events import pressed
from bench.adds.attacks.fitting import boosting, crossfit
from bench.adds.attacks.scoring import within
from bench.adds.recompute import left, partial_correlation, standardised
from bench.adds.study import Study, read_study
from embench.statistics.nuisance.clock import basis
from embench.statistics.nuisance.sessions import Sessions

WEIGHTS = 0.0, 0.02, 0.05, 0.1, 0.2


@dataclass(frozen=True)
class Suspect:
    """A row with event markers mixed in by `weight`, 0 to 1: `scores` (S, n), and `effect` (3,), its partial
    correlation with what markers predict, given the other rows, and the ends of its interval."""

    weight: float
    scores: np.ndarray
    effect: np.ndarray

    @property
    def flagged(self) -> bool:
        """Whether it holds event markers."""
        return bool(self.effect[1] > 0)


def suspects(study: Study, name: str, marked: np.ndarray, weights: Sequence[float] = WEIGHTS) -> list[Suspect]:
    """A row of the study, with `marked` (S, n), what event markers predict, mixed in by each weight; all scores are
    standardised before."""
    row, marked = standardised(study.rows[name], study), standardised(marked, study)
    mixed = [standardised((1 - weight) * row + weight * marked, study) for weight in weights]
    others = [standardised(scores, study) for other, scores in study.rows.items() if other != name]
    sessions = Sessions(study.subject, study.start, study.session_s[study.subject], study.length_s)
    bumps, rests = basis(sessions), []
    for s, folds in enumerate(study.folds):
        z = np.column_stack([np.ones(len(study.y)), bumps, *(scores[s] for scores in others)])
        asked = np.column_stack([*(scores[s] for scores in mixed), marked[s]])
        rests.append(left(asked, z, folds[study.subject]))
    *of_rows, of_markers = np.moveaxis(np.array(rests), 2, 0)
    return [
        Suspect(weight, scores, partial_correlation(rest, of_markers, study))
        for weight, scores, rest in zip(weights, mixed, of_rows, strict=True)
    ]


def main() -> None:
    """Prints each row that is flagged, and the table."""
    chosen = arguments(__doc__).parse_args()
    study = read_study(chosen.dataset, chosen.data_root)
    marked = crossfit(study, pressed(study), boosting)
    print(f"event markers alone: auroc_within {within(study, marked):.3f}")
    by_weight: list[list[Suspect]] = [[] for _ in WEIGHTS]
    for name in study.rows:
        found = suspects(study, name, marked)
        if found[0].flagged:
            print(f"{name} holds event markers: {found[0].effect[0]:.3f} [{found[0].effect[1]:.3f}]")
        for of_weight, suspect in zip(by_weight, found, strict=True):
            of_weight.append(suspect)
    honest = [within(study, suspect.scores) for suspect in by_weight[0]]
    print(
        "| weight | flagged | partial correlation: median, range | `auroc_within` gains: median |",
        "|---|---|---|---|",
        sep="\n",
    )
    for weight, found in zip(WEIGHTS, by_weight, strict=True):
        values = [suspect.effect[0] for suspect in found]
        gains = np.subtract([within(study, suspect.scores) for suspect in found], honest)
        told = f"{np.median(values):.3f}, {min(values):.3f} to {max(values):.3f} | {np.median(gains):.3f}"
        print(f"| {weight:g} | {sum(suspect.flagged for suspect in found)} of {len(found)} | {told} |", flush=True)


if __name__ == "__main__":
    main()
