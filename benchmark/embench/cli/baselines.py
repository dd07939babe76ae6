"""`embench baselines`: the controls and the handcrafted methods of a dataset, the rows a new method is read against."""

from __future__ import annotations

from typing import Any

from embench.cli import console
from embench.cli.options import Json, takes


@takes(
    *(
        "dataset",
        "modalities",
        "target",
        "protocol",
        "recipe",
        "seeds",
        "device",
        "data-root",
        "runs",
        "dev",
        "workers",
    ),
    help_texts={
        "modalities": "a,b,c; default: the dataset's own.",
        "target": "Targets, comma-separated.",
        "recipe": "Recipe of the handcrafted methods.",
        "seeds": "Seeds, comma-separated.",
    },
)
def baselines(*, as_json: Json = False, **options: Any) -> None:
    """Run the baselines: controls, and simple classifiers on features of each modality and of all together."""
    with console.stdout_kept(as_json):
        from embench.cli import show
        from embench.cli.progress import Progress
        from embench.runs import baselines as runner

        with Progress() as progress:
            done = runner.baselines(**options, progress=progress.event)
        documents = [result.json() for result in done.results]
    if as_json:
        console.document(documents)
    else:
        show.results(documents)
    done.check()
