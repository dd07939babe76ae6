"""`embench pretrain`: pretrains on all people of a dataset or of a folder of recordings, to start runs from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Device, DryRun, Json, Preset, Runs

GENERATED = "GENERATED DATA: these weights know nothing of people, and no run that starts from them can be published."


def pretrain(
    encoder: Annotated[list[str], typer.Option("--encoder", help="NAME for all modalities, or eeg=NAME; repeatable.")],
    pretrainer: Annotated[str, typer.Option("--pretrainer", help="NAME; `embench list pretrainer`.")],
    corpus: Annotated[
        str,
        typer.Option("--corpus", help="A dataset, or a folder with a corpus.yaml in it.", metavar="NAME|DIR"),
    ],
    fusion: Annotated[
        str | None, typer.Option("--fusion", help="Where the whole model is pretrained, what joins its modalities.")
    ] = None,
    modalities: Annotated[
        str | None, typer.Option("--modalities", help="a,b+c, b+c joined as channels; by default the card's.")
    ] = None,
    recipe: Annotated[
        Preset | None, typer.Option("--recipe", help="Preset; by default paper on a GPU and small on a CPU.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the weights.")] = 0,
    device: Device = "auto",
    data_root: DataRoot = None,
    runs: Runs = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="path=value, such as pretrainer.lr=1e-4; repeatable.")
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="Whose preprocessing and units; a name, or a file.")] = (
        "subject-independent-v1"
    ),
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pretrain on everybody of a dataset or corpus, and write weights with a manifest of what they saw."""
    with console.stdout_kept(as_json):
        from embench.cli import show
        from embench.cli.progress import Progress
        from embench.planning.pretraining import plan_pretraining
        from embench.planning.request import Request
        from embench.runs import pretrain as runner

        request = Request(
            dataset=corpus,
            encoders=tuple(encoder),
            fusion=fusion,
            pretrainers=(pretrainer,),
            modalities=modalities,
            protocol=protocol,
            recipe=recipe and recipe.value,
            device=device,
            data_root=data_root,
            runs=runs,
            settings=tuple(settings or ()),
        )
        if dry_run:
            answer = plan_pretraining(request, seed).describe()
        else:
            with Progress() as progress:
                answer = runner.pretrain(request, seed, progress=progress.event).json()
    if as_json:
        console.document(answer)
    elif dry_run:
        show.plan(answer)
    else:
        _say(answer)


def _say(answer: Mapping[str, Any]) -> None:
    manifest = answer["manifest"]
    if answer["synthetic"]:
        console.say(GENERATED, bold=True, colour="yellow")
    for seen in manifest["seen"]:
        hours = ", ".join(f"{hours:g} h of {m}" for m, hours in seen["hours"].items())
        labels = f", labels of {', '.join(seen['targets'])}" if seen["labels"] == "source" else ", no labels"
        console.say(f"saw: {manifest['title']}, {len(seen['people'])} people, {hours}{labels}")
    console.say(f"weights: {answer['weights']}")
    console.say(f"start from them with: {answer['use']}")
