"""`embench data`: what data there are, whether they are whole, and how they are made ready."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embench.cli import console, data_controls, data_fetch, data_labels, data_status, data_verify
from embench.cli.options import DataRoot, Json
from embench.errors import UsageError
from embench.planning.request import Request

if TYPE_CHECKING:
    from embench.protocols import Protocol
    from embench.store import Store

data_app = typer.Typer(help="List, download, check, synthesize and prepare datasets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset; see `embench list dataset`.")]
PrepareWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Number of subjects prepared at the same time; default: one per CPU core, at most 4."
    ),
]
ProtocolOption = Annotated[str, typer.Option("--protocol", help="Protocol name, or a YAML file.")]

data_app.command("status")(data_status.status)
data_app.command("fetch")(data_fetch.fetch)
data_app.command("verify")(data_verify.verify)
data_app.command("labels")(data_labels.labels)
data_app.command("controls")(data_controls.controls)


@data_app.command("synthesize")
def synthesize(
    dataset: Name,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; must be empty or not exist.")],
    subjects: Annotated[int, typer.Option("--subjects", min=1, help="Number of subjects.")] = 8,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed.")] = 0,
    effect: Annotated[
        float, typer.Option("--effect", min=0.0, max=1.0, help="Strength of the planted effect; 0 means none.")
    ] = 1.0,
    length_s: Annotated[
        float | None,
        typer.Option(
            "--length-s", min=1.0, help="Length of the longest recording in seconds; default: short, for quick trials."
        ),
    ] = None,
    videos: Annotated[
        bool, typer.Option("--videos", help="Also write face videos with matching OpenFace output.")
    ] = False,
) -> None:
    """Write synthetic data in a dataset's exact format; all results from them are marked as synthetic."""
    from embench import registry

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty", where="--out", hint="name a new folder")
    entry = registry.find("dataset", dataset)
    write = registry.synthesizer(entry.full_name)
    known, more = inspect.signature(write).parameters, dict[str, Any]()
    if length_s is not None:
        more["length_s"] = length_s
        if "length_s" not in known:
            raise UsageError(f"{entry.name} has a synthesizer with a fixed length", where="--length-s")
    if videos:
        more["videos"] = True
        if "videos" not in known:
            raise UsageError(f"{entry.name} has no face videos, or its synthesizer writes none", where="--videos")
    write(out, subjects=subjects, seed=seed, effect=effect, **more)
    console.echo(f"{out}: {subjects} synthetic subjects in the format of {entry.name}, effect {effect:g}, seed {seed}")
    if out.name == entry.name.partition("/")[0]:
        console.echo(f"use them with --data-root {out.parent}")


@data_app.command("new")
def new(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of your own recordings.")],
) -> None:
    """Write a first dataset.yaml for your own recordings, with TODO where a person has to decide."""
    from embench.data.find import write_description

    path, todo = write_description(folder)
    console.echo(f"{path}: written; {todo} lines with TODO are to be filled in, all others to be checked")
    name = folder.as_posix()
    console.echo(f"then: embench data verify {shlex.quote(name if name[0] in '/.~' else f'./{name}')}")


@data_app.command("prepare")
def prepare(
    dataset: Name,
    data_root: DataRoot = None,
    protocol: ProtocolOption = Request.protocol,
    workers: PrepareWorkers = None,
    as_json: Json = False,
) -> None:
    """Filter, resample and store a dataset's signals; data that are already prepared are reused."""
    with console.stdout_kept(as_json):
        from embench.protocols import load_protocol
        from embench.system import cores

        store = _prepare(dataset, data_root, load_protocol(protocol), workers or min(4, cores()))
    if as_json:
        console.document({
            "dataset": store.name,
            "folder": str(store.path),
            "key": store.key,
            "synthetic": store.synthetic is not None,
            "people": len(store.subjects),
            "recordings": len(store.recordings),
            "modalities": {name: {"channels": m.channels, "rate": m.rate} for name, m in store.modalities.items()},
            "left_out": [dict(item) for item in store.excluded],
        })  # fmt: skip
        return
    rows = [
        [n, str(len(m.channels)), "as recorded" if n == "video" else f"{m.rate:g} Hz", m.unit]
        for n, m in store.modalities.items()
    ]
    console.table(["modality", "channels", "rate", "unit"], rows, title=store.name)
    reasons: dict[str, set[str]] = {}
    for item in store.excluded:
        if item["modality"] not in store.modalities:
            reasons.setdefault(item["modality"], set()).add(item["reason"])
    nowhere = {m: min(found) for m, found in reasons.items() if len(found) == 1}
    if excluded := [item for item in store.excluded if item["modality"] not in nowhere]:
        keys = ["subject", "recording", "modality", "reason"]
        console.table(keys, [[str(item.get(k, "")) for k in keys] for item in excluded], title="excluded")
    for modality, reason in nowhere.items():
        console.echo(f"{modality}, in all recordings: {reason}")
    console.echo(f"{len(store.subjects)} subjects, {len(store.recordings)} recordings")
    console.echo(f"files: {store.path}")


def _prepare(dataset: str, data_root: Path | None, protocol: Protocol, workers: int) -> Store:
    from embench.cli.progress import Steps
    from embench.data.find import prepared

    with Steps() as steps:
        return prepared(dataset, data_root, protocol, workers, lambda n, all_, _: steps(n, all_, "prepared"))
