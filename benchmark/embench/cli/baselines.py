"""`embench baselines`: the controls and the handcrafted methods of a dataset, the rows a new method is read against."""

from __future__ import annotations

from typing import Annotated

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Dev, Device, Json, Preset, Runs, Workers


def baselines(
    dataset: Annotated[str, typer.Option("--dataset", help="Dataset to run on; `embench list dataset`.")],
    modalities: Annotated[str | None, typer.Option("--modalities", help="a,b,c; by default the dataset's own.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Targets, with commas between.")] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="Name of a protocol, or its file.")] = (
        "subject-independent-v1"
    ),
    recipe: Annotated[Preset | None, typer.Option("--recipe", help="Preset of the handcrafted methods.")] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds, with commas between.")] = "0,1,2",
    device: Device = "auto",
    data_root: DataRoot = None,
    runs: Runs = None,
    dev: Dev = False,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Run the controls and handcrafted features with simple classifiers: each modality alone, and all together."""
    with console.stdout_kept(as_json):
        from embench.cli import show
        from embench.cli.progress import Progress
        from embench.runs import baselines as runner

        with Progress() as progress:
            done = runner.baselines(
                dataset,
                modalities=modalities,
                targets=target,
                protocol=protocol,
                recipe=recipe and recipe.value,
                seeds=seeds,
                device=device,
                data_root=data_root,
                runs=runs,
                dev=dev,
                workers=workers,
                progress=progress.event,
            )
        answers = [result.json() for result in done.results]
    if as_json:
        console.document(answers)
    else:
        show.results(answers)
    done.check()
