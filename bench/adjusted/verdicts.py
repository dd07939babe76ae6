"""Verdicts of `adjusted` on published rows: `python -m bench.adjusted.verdicts stress_predict`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bench.adjusted import PROTOCOL, arguments
from bench.adjusted.study import SEEDS, Study, read_study
from embench.errors import DataError
from embench.interfaces.metric import Undefined
from embench.protocols import load_protocol
from embench.statistics.confound_test import (
    CONFOUND_LEVELS,
    Association,
    estimate_metric,
    make_confound_blocks,
    make_studies,
    measure_association,
    tested_units,
)
from embench.statistics.intervals import Estimate, Jackknife, leave_one_out

PRIMARY_METRIC = "auroc_crossed_matched"


class Judge:
    """A study's nuisances in all seeds."""

    def __init__(self, study: Study) -> None:
        """Fits them, or reads them from the cache."""
        self.study, cohort = study, study.cohort
        studies = make_studies(cohort, load_protocol(PROTOCOL), {study.target.name: SEEDS})[study.target.name]
        if isinstance(studies, Undefined):
            raise DataError(studies.reason, where=study.dataset)
        self.held = {seed: make_confound_blocks(one, _begun) for seed, one in studies.items()}
        self.units = np.array(cohort.eligible)
        self.tested = tested_units(cohort, study.target, self.units)
        place = {position: k for k, position in enumerate(self.units.tolist())}
        self.at = np.array([place[position] for position in study.positions.tolist()])
        self.parts = {seed: held.parts for seed, held in self.held.items()}
        joined = self.tested.joined(self.laid(next(iter(study.rows.values()))), self.parts)
        self.jackknife: Jackknife = leave_one_out(joined.tested_subjects(), cohort.groups)

    def laid(self, scores: np.ndarray) -> dict[int, np.ndarray]:
        """Seed -> (n, 1) of scores (S, m) of the study's units."""
        out = {}
        for k, seed in enumerate(SEEDS):
            out[seed] = np.full((len(self.units), 1), np.nan)
            out[seed][self.at, 0] = scores[k]
        return out

    def verdicts(
        self, scores: np.ndarray, levels: Mapping[str, tuple[str, ...]]
    ) -> tuple[object, dict[str, Association]]:
        """The primary metric of scores (S, m), and level -> their association with the label given its confounds."""
        values = self.laid(scores)
        own = estimate_metric(PRIMARY_METRIC, self.tested.joined(values, self.parts), self.study.target, self.jackknife)
        made = {
            level: measure_association(values, self.tested, self.held, blocks, PRIMARY_METRIC, own, self.jackknife)
            for level, blocks in levels.items()
        }
        return own, made


def _begun(target: str) -> None:
    print(f"fitting what time and movement tell of {target}", flush=True)


def _told(own: object, made: Mapping[str, Association]) -> Iterator[str]:
    yield f"{own.mean:.3f} [{own.low:.3f}]" if isinstance(own, Estimate) and own.low is not None else str(own)
    for of_level in made.values():
        score, partial_r = of_level.score, of_level.partial_r
        if isinstance(score, Estimate) and isinstance(partial_r, Estimate):
            mark = "YES" if of_level.associated else "-"
            told = f"{score.mean:.3f} [{score.low:.3f}] {partial_r.mean:+.3f} [{partial_r.low:+.3f}]"
            yield f"{told} {of_level.share:.2f} {mark}"


def main() -> None:
    """Print a line for each row, and the counts."""
    chosen = arguments(__doc__).parse_args()
    judge = Judge(read_study(chosen.dataset, chosen.data_root))
    counts: dict[str, dict[str, int]] = {}
    for name, scores in judge.study.rows.items():
        _count(counts, "rows", judge.verdicts(scores, CONFOUND_LEVELS), name)
    for kind, of_kind in counts.items():
        print(kind, of_kind)


def _count(
    counts: dict[str, dict[str, int]], kind: str, verdict: tuple[object, Mapping[str, Association]], name: str
) -> None:
    of_kind = counts.setdefault(kind, {"all": 0, **dict.fromkeys(CONFOUND_LEVELS, 0)})
    of_kind["all"] += 1
    for level, made in verdict[1].items():
        of_kind[level] += made.associated
    print(f"{kind[:10]:10s} {name[:44]:44s} | " + " | ".join(_told(*verdict)), flush=True)


if __name__ == "__main__":
    main()
