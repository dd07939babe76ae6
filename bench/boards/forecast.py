"""Forecast of the time that rows will take: `python -m bench.boards --list`.

The plan times networks, and what clock and movement tell of a dataset, which is fitted once. Features and estimators
take what the published rows of the same estimator took, for each hour of sessions, seed and target. So do scores and
audits, of which nothing is published: their seconds were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from statistics import median

from bench.boards.published import entries, fusion, is_features
from bench.boards.rows import Row
from embench.planning.plan import Plan
from embench.system import cores

SCORED_S, AUDITED_S = 0.030, 0.048
"""Seconds of one process for an hour of sessions, a seed and a target."""


def expected(plans: Mapping[Row, Plan]) -> Iterator[tuple[Row, float]]:
    """Each row with the seconds that this machine will take to run, score and audit it, with all of its cores. The
    first row on a target has those of what clock and movement tell of it, where this is not kept yet."""
    fitted: set[tuple[object, ...]] = set()
    for row, plan in plans.items():
        described = plan.describe()
        once = (row.dataset, row.targets, row.protocol, tuple(plan.folds))
        seconds = described["expected_s"] + (0.0 if once in fitted else described.get("nuisances_s", 0.0))
        fitted.add(once)
        size = _hours(plan.test.sessions) * len(plan.folds) * len(plan.test.targets)
        yield row, seconds + size * (SCORED_S + AUDITED_S + _fitted_s(row.fusion) / cores())


@cache
def _fitted_s(estimator: str) -> float:
    """Seconds of the published rows of an estimator, for an hour of sessions, a seed and a target; 0 where there are
    none, as of networks."""
    took = [
        e.run.cost.wall_s / (_hours(sessions) * len(e.run.seeds) * len(e.run.targets))
        for e in entries()
        if is_features(e) and fusion(e) == estimator and (sessions := e.run.cohort.session_s)
    ]
    return median(took) if took else 0.0


def _hours(sessions: Mapping[str, float]) -> float:
    return sum(sessions.values()) / 3600
