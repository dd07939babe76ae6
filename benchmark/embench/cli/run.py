"""`embench run`: one method on one dataset, from the plan to the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embench.cli import console
from embench.cli.options import Config, DryRunOption, Every, From, Json, WithFloors, with_options
from embench.planning.request import request_of
from embench.screen.progress import Progress, long_warning, smaller

if TYPE_CHECKING:
    from embench.planning.request import Request
    from embench.statistics.result import Result


@with_options(before={"_config": "dev", "_from": "dev"})
def run(
    *,
    _config: Config = None,
    _from: From = None,
    floors: WithFloors = False,
    dry_run: DryRunOption = False,
    every: Every = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run one method on one dataset under a protocol, and write its record."""
    from embench.cli import show

    request = request_of(**options)
    if floors:
        from embench.cli.floors import run_with_floors

        run_with_floors([request], dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        from embench.runs.run import describe_plans

        (document,) = describe_plans([request])
    else:
        with Progress(smaller(request)) as progress:
            result = _finished_or_run(request, every, progress)
        document = result.json()
    if as_json:
        console.document(document)
    elif dry_run:
        show.print_plan(document)
        if warning := long_warning(document["expected_s"], smaller(request)):
            console.note(warning)
    else:
        show.result(result, every=every)


def _finished_or_run(request: Request, every: bool, progress: Progress) -> Result:
    """The result of a run, which is made where it is not done."""
    from embench.runs.again import find_finished

    if found := find_finished(request, every, progress.event):
        return found
    from embench.runs import run as runner  # imports torch, which a run that is done does not need

    return runner.run(request, progress=progress.event, placebo=every)
