"""`embench run`: one method on one dataset, from the plan to the row."""

from __future__ import annotations

from typing import Any

from embench.cli import console
from embench.cli.options import Config, DryRun, From, Json, takes


@takes(before={"_config": "dev", "_from": "dev"})
def run(
    *, _config: Config = None, _from: From = None, dry_run: DryRun = False, as_json: Json = False, **options: Any
) -> None:
    """Run one method on one dataset under a protocol, and write its record."""
    with console.stdout_kept(as_json):
        from embench.cli import show
        from embench.cli.progress import Progress
        from embench.planning.request import request_of
        from embench.runs import run as runner

        request = request_of(**options)
        if dry_run:
            document = runner.plan(request).describe()
        else:
            with Progress() as progress:
                result = runner.run(request, progress=progress.event)
            document = result.json()
    if as_json:
        console.document(document)
    elif dry_run:
        show.print_plan(document)
    else:
        show.result(document, result.scores)
