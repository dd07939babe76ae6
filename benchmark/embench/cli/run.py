"""`embench run`: one method on one dataset, from the plan to the row."""

from __future__ import annotations

from typing import Annotated

import typer

from embench.cli import console
from embench.cli.options import Config, DataRoot, Dev, Device, DryRun, Json, Observer, Preset, Runs, Workers


def run(
    dataset: Annotated[str, typer.Option("--dataset", help="Dataset to run on; `embench list dataset`.")],
    encoder: Annotated[list[str], typer.Option("--encoder", help="NAME for all modalities, or eeg=NAME; repeatable.")],
    pretrainer: Annotated[
        list[str] | None, typer.Option("--pretrainer", help="NAME, eda=NAME or NAME:SOURCE; repeatable, run in order.")
    ] = None,
    fusion: Annotated[str | None, typer.Option("--fusion", help="What joins the modalities; single for one.")] = None,
    modalities: Annotated[
        str | None, typer.Option("--modalities", help="a,b+c, b+c joined as channels; by default the card's.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Targets, with commas between; by default all.")
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="Name of a protocol, or its file.")] = (
        "subject-independent-v1"
    ),
    recipe: Annotated[
        Preset | None, typer.Option("--recipe", help="Preset; by default paper on a GPU and small on a CPU.")
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", help="Seeds, with commas between; each has its partition.")
    ] = "0,1,2",
    device: Device = "auto",
    data_root: DataRoot = None,
    runs: Runs = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="path=value, such as fusion.lr=1e-4; repeatable.")
    ] = None,
    _config: Config = None,
    dev: Dev = False,
    train_dataset: Annotated[
        str | None, typer.Option("--train-dataset", help="Train on this dataset, test on --dataset.")
    ] = None,
    drop: Annotated[str | None, typer.Option("--drop", help="Modality that is taken away at the test.")] = None,
    label_subjects: Annotated[
        str | None, typer.Option("--label-subjects", help="How many training people have labels, or all.")
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option("--pretrained", help="Weights: a file, a run, a pretraining.")
    ] = None,
    workers: Workers = None,
    observer: Observer = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run one method on one dataset under a protocol and write its record."""
    with console.stdout_kept(as_json):
        from embench.cli import show
        from embench.cli.progress import Progress
        from embench.runs import run as runner

        request = runner.Request(
            dataset=dataset,
            encoders=tuple(encoder),
            fusion=fusion,
            pretrainers=tuple(pretrainer or ()),
            modalities=modalities,
            targets=target,
            protocol=protocol,
            recipe=recipe and recipe.value,
            seeds=seeds,
            device=device,
            data_root=data_root,
            runs=runs,
            settings=tuple(settings or ()),
            dev=dev,
            train_dataset=train_dataset,
            drop=drop,
            label_subjects=label_subjects,
            pretrained=pretrained,
            workers=workers,
            observers=tuple(observer or ()),
        )
        if dry_run:
            answer = runner.plan(request).describe()
        else:
            with Progress() as progress:
                result = runner.run(request, progress=progress.event)
            answer = result.json()
    if as_json:
        console.document(answer)
    elif dry_run:
        show.plan(answer)
    else:
        show.result(answer, result.scores)
