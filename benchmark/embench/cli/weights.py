"""`embench pretrain`: pretrains on all subjects of a dataset or of a folder of recordings, to start runs from; `embench
weights`: weights that other code has trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DryRunOption, Json, completes, with_options
from embench.planning.request import Request, request_of
from embench.screen.progress import Progress


@with_options(
    *("encoder", "fusion", "modalities", "recipe", "device", "data-root", "runs", "set"),
    help_texts={
        "fusion": "Fusion of the model; only for a pretrained complete model.",
        "set": "Change a setting: path=value, for example pretrainer.lr=1e-4; repeatable.",
    },
    before={"pretrainer": "fusion", "corpus": "fusion", "seed": "device"},
)
def pretrain(
    *,
    pretrainer: Annotated[
        str, Option(autocompletion=completes("pretrainer"), help="Name of a pretrainer; see `embench list pretrainer`.")
    ],
    corpus: Annotated[
        str,
        Option(
            metavar="NAME|DIR",
            autocompletion=completes("dataset"),
            help="A dataset, or a folder with a dataset.yaml; join several with plus signs.",
        ),
    ],
    seed: Annotated[int, Option(min=0, help="Seed of the initial weights and of the batch order.")] = 0,
    protocol: Annotated[
        str,
        Option(
            autocompletion=completes("protocol"),
            help="Protocol for the preprocessing and the units: a name, or a YAML file.",
        ),
    ] = Request.protocol,
    dry_run: DryRunOption = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Pretrain on all subjects of a dataset or corpus; write the weights and a description of the data."""
    from embench.cli import show
    from embench.planning.pretraining import plan_pretraining
    from embench.runs import pretrain as runner

    request = request_of(dataset=corpus, pretrainer=pretrainer, protocol=protocol, **options)
    if dry_run:
        document = plan_pretraining(request, seed).describe()
    else:
        with Progress() as progress:
            document = runner.pretrain(request, seed, progress=progress.event).json()
    print_document = show.print_plan if dry_run else _print_pretrained
    console.answer(as_json, document, lambda: print_document(document))


def _print_pretrained(document: Mapping[str, Any]) -> None:
    manifest = document["manifest"]
    if document["synthetic"]:
        text = (
            "SYNTHETIC DATA: these weights contain nothing about real subjects, and results that use them cannot "
            "be published."
        )
        console.echo(text, bold=True, colour="yellow")
    for source in manifest["seen"]:
        hours = ", ".join(f"{hours:g} h of {m}" for m, hours in source["hours"].items())
        labels = f", labels of {', '.join(source['targets'])}" if source["labels"] == "source" else ", no labels"
        title = manifest["title"] if len(manifest["seen"]) == 1 else source["dataset"]
        console.echo(f"trained on: {title}, {len(source['people'])} subjects, {hours}{labels}")
    console.echo(f"weights: {document['weights']}")
    console.echo(f"use the weights with: {document['use']}")


weights_app = typer.Typer(help="Convert weights trained by other code.", no_args_is_help=True)


@weights_app.callback()
def _weights() -> None:
    """Keeps `convert` a command of its own while it is the only one."""


@weights_app.command("convert")
def convert(
    file: Annotated[Path, Argument(metavar="FILE", help="A checkpoint that torch.save wrote.")],
    out: Annotated[Path, Option(help="Folder to write to; must be empty or not exist.")],
    as_json: Json = False,
) -> None:
    """Convert a checkpoint to safetensors, with a manifest of its origin; no code in the checkpoint runs."""
    from embench.runs.convert import convert as run

    document = run(file, out).json()
    console.answer(as_json, document, lambda: _print_converted(document))


def _print_converted(document: Mapping[str, Any]) -> None:
    manifest = document["manifest"]
    source = manifest["converted"]
    console.echo(f"layout: {source['layout']}; SHA-256 {source['sha256']}")
    for data in manifest["seen"]:
        labels = "with labels" if data["labels"] == "source" else "without labels"
        console.echo(f"trained on: {data['dataset']} ({data['title']}), {labels}")
    if not manifest["seen"]:
        console.echo("trained on: unknown; runs that start from these weights record this")
    console.echo(f"use the weights with: {document['use']}")
