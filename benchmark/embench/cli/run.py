"""`embench run`: one method on one dataset, from the plan to the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embench.cli import console
from embench.cli.options import Config, DryRun, Every, From, Json, WithFloors, with_options
from embench.cli.progress import Progress, long_warning
from embench.planning.request import request_of

if TYPE_CHECKING:
    from embench.planning.request import Request


@with_options(before={"_config": "dev", "_from": "dev"})
def run(
    *,
    _config: Config = None,
    _from: From = None,
    floors: WithFloors = False,
    dry_run: DryRun = False,
    every: Every = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run one method on one dataset under a protocol, and write its record."""
    from embench.cli import show
    from embench.runs import run as runner

    request = request_of(**options)
    if floors:
        from embench.cli.floors import run_with_floors

        run_with_floors([request], dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        document = runner.plan(request).describe()
    else:
        with Progress(smaller(request)) as progress:
            result = runner.run(request, progress=progress.event, placebo=every)
        document = result.json()
    if as_json:
        console.document(document)
    elif dry_run:
        show.print_plan(document)
        if warning := long_warning(document["expected_s"], smaller(request)):
            console.note(warning)
    else:
        show.result(result, every=every)


def smaller(request: Request) -> list[str]:
    """Options that make a run smaller than it was requested."""
    ways = {
        "--recipe quick": request.recipe != "quick",
        "--seeds 0": request.seeds is None or len(request.seed_list) > 1,
        "--modalities with one of them": not request.modalities or "," in request.modalities,
    }
    return [way for way, helps in ways.items() if helps]
