"""Several requests that are planned, run as one grid and looked up one by one; and correction of their p values."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from embench.errors import DataError, EmbenchError, Unfinished
from embench.files import snapshot
from embench.planning.plan import Plan, make
from embench.planning.request import Request
from embench.runs import run as runner
from embench.statistics.intervals import holm
from embench.statistics.result import Result
from embench.system import EventCallback

_K = TypeVar("_K", bound=Hashable)


class RunStudy:
    """Requests, each with its plan or planning error, and after the run with its result or the reason why it has none.
    A failed request does not stop the others.

    Args:
        requests: all requests that may be looked up; equal ones are planned and run once.
        done: a finished grid whose results are used, so that nothing is run.
        unfit: request -> why it was not part of that grid."""

    @snapshot()
    def __init__(
        self,
        requests: Iterable[Request],
        done: runner.GridResult | None = None,
        unfit: Mapping[Request, str] | None = None,
    ) -> None:
        self._plans: dict[Request, Plan | EmbenchError] = {}
        self._done, self._unfit = done, unfit or {}
        for request in dict.fromkeys(requests):
            try:
                self._plans[request] = make(request)
            except EmbenchError as error:
                self._plans[request] = error

    def plan(self, request: Request) -> Plan:
        """Return the plan of a request. Raises the error from its planning."""
        plan = self._plans[request]
        if isinstance(plan, EmbenchError):
            raise plan
        return plan

    def refusal(self, requests: Iterable[Request]) -> EmbenchError | None:
        """Return the error of the first of these requests that cannot be planned; None if all can be planned."""
        return next((plan for request in requests if isinstance(plan := self._plans[request], EmbenchError)), None)

    def run(self, requests: Iterable[Request], progress: EventCallback | None = None) -> None:
        """Run these requests, which must have plans, as one grid; do nothing if there is a finished grid."""
        wanted = list(dict.fromkeys(requests))
        if self._done is None and wanted:
            self._done = runner.grid(wanted, progress=progress)

    def result(self, request: Request) -> Result | EmbenchError:
        """Return the result of a request, or the reason why there is none."""
        plan, done = self._plans[request], self._done or runner.GridResult(())
        if isinstance(plan, EmbenchError):
            return plan
        if (found := next((result for result in done.results if result.id == plan.id), None)) is not None:
            return found
        if request in self._unfit:
            return DataError(self._unfit[request])
        stopped = Unfinished("the run did not start", hint="rerun the command with more --hours")
        return done.failures.get(runner.format_title(plan), stopped)


def correct_p(values: Mapping[_K, float | None]) -> dict[_K, float]:
    """Return key -> p value after Holm's correction over all known p values. Keys whose value is None are left out."""
    known = {key: p for key, p in values.items() if p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))
