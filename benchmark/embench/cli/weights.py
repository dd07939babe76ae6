"""`embench weights`: weights that other code has trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import Json

weights_app = typer.Typer(help="Convert weights that other code has trained.", no_args_is_help=True)


@weights_app.callback()
def _weights() -> None:
    """Keeps `convert` a command of its own while it is the only one."""


@weights_app.command("convert")
def convert(
    file: Annotated[Path, Argument(metavar="FILE", help="A checkpoint that torch.save wrote.")],
    out: Annotated[Path, Option(help="Folder to write to; must be empty or not exist.")],
    as_json: Json = False,
) -> None:
    """Turn a checkpoint into safetensors, with a manifest of its origin; no code in it is run."""
    with console.stdout_kept(as_json):
        from embench.runs.convert import convert as run

        document = run(file, out).json()
    console.answer(as_json, document, lambda: _print(document))


def _print(document: Mapping[str, Any]) -> None:
    manifest = document["manifest"]
    source = manifest["converted"]
    console.echo(f"layout: {source['layout']}; SHA-256 {source['sha256']}")
    for seen in manifest["seen"]:
        labels = "with labels" if seen["labels"] == "source" else "without labels"
        console.echo(f"trained on: {seen['dataset']} ({seen['title']}), {labels}")
    if not manifest["seen"]:
        console.echo("trained on: unknown; runs that start from them say so")
    console.echo(f"use them with: {document['use']}")
