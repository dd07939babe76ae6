"""`embench data`: what data there are, whether they are whole, and how they are made ready."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from typer import Argument, Option

from embench import registry
from embench.cli import console, data_describe, data_look, data_status
from embench.cli.options import DataRoot, DatasetName, Json, ProtocolName
from embench.cli.tables import fields, grouped, show_table
from embench.data.locations import data_folder
from embench.errors import UsageError
from embench.planning.request import Request
from embench.screen.progress import Steps
from embench.system import cores

if TYPE_CHECKING:
    from embench.interfaces.dataset import Download
    from embench.store import Store

data_app = typer.Typer(help="List, download, check, synthesize and prepare datasets.", no_args_is_help=True)

_OPEN = re.compile(r"(\s*)(\w+): TODO  # (.*)")
"""A line of a description that a person has to fill in: indent, key, and what is asked for."""
_LISTED = 5
"""Addresses that `fetch` prints; of more files, only the host."""

data_app.command("status")(data_status.status)


@data_app.command()
def fetch(
    dataset: DatasetName,
    data_root: DataRoot = None,
    subjects: Annotated[
        str | None, Option(help="Download only these subjects, such as sub-004,sub-036; add others later.")
    ] = None,
    yes: Annotated[bool, Option("--yes", help="Accept the licence without a prompt.")] = False,
) -> None:
    """Download, check and unpack a dataset; rerun the command to resume."""
    from embench.data.fetch import chosen
    from embench.data.fetch import fetch as get

    names = None if subjects is None else [name.strip() for name in subjects.split(",")]
    entry = registry.find("dataset", dataset)
    card, folder = registry.load("dataset", entry.full_name).card, data_folder(entry, data_root)
    if card.downloads:
        sources = _sources(chosen(card, names))
        console.echo(f"{card.title}\nlicence: {card.licence}\ncite: {card.citation}")
        for source in sources:
            console.echo(f"from {source}")
        console.echo(f"into {folder}")
        if not yes and not sys.stdin.isatty():
            raise UsageError(
                "the licence must be accepted, and this is not a terminal where you could answer",
                where="embench data fetch",
                expected="an answer on a terminal, or --yes",
                hint="read the licence above; if you agree, rerun the command with --yes",
            )
        if not yes:
            typer.confirm("Do you agree to the licence?", default=False, abort=True)
    with Steps("MB") as steps:
        notes = get(card, folder, lambda what, done, total: steps(done, total, what), names)
    for line in notes:
        console.note(line)
    console.echo(f"{folder}: done; check the files with `embench data verify {entry.name}`")


data_app.command("verify")(data_status.verify_data)
data_app.command("labels")(data_describe.labels)
data_app.command("confounds")(data_describe.confounds)
data_app.command("look")(data_look.look)


@data_app.command()
def synthesize(
    dataset: DatasetName,
    out: Annotated[Path, Option(help="Folder to write to; must be empty or not exist.")],
    subjects: Annotated[int, Option(min=1, help="Number of subjects.")] = 8,
    seed: Annotated[int, Option(min=0, help="Random seed.")] = 0,
    effect: Annotated[
        float,
        Option(
            min=0.0,
            max=1.0,
            help="Size of the simulated effect of labels on signals, in amigos of arousal on ECG and EDA, of valence "
            "on EEG; 0: no effect.",
        ),
    ] = 1.0,
    length_s: Annotated[
        float | None,
        Option(min=1.0, help="Duration of the longest recording in seconds; default: short, for quick trials."),
    ] = None,
    videos: Annotated[bool, Option("--videos", help="Also write face videos and matching OpenFace output.")] = False,
) -> None:
    """Write synthetic data in the format of a dataset; results on synthetic data are marked."""
    from embench.data.synthetic import write_synthetic

    entry = registry.find("dataset", dataset)
    write_synthetic(dataset, out, subjects=subjects, seed=seed, effect=effect, length_s=length_s, videos=videos)
    console.echo(f"{out}: {subjects} synthetic subjects in the format of {entry.name}, effect {effect:g}, seed {seed}")
    if out.name == entry.name.partition("/")[0]:
        console.echo(f"use these data with --data-root {out.parent}")


@data_app.command()
def new(folder: Annotated[Path, Argument(metavar="FOLDER", help="Folder of your own recordings.")]) -> None:
    """Write a first dataset.yaml for your own recordings: what was found, and TODO where a person has to decide.

    On a terminal it asks what only a person knows.
    """
    from embench.data.find import first_description, write_description

    lines = first_description(folder).splitlines()
    understood = itertools.takewhile(lambda line: not line.startswith("# Then:"), lines[1:])
    console.wrapped(" ".join(line.removeprefix("# ") for line in understood))
    if sys.stdin.isatty():
        lines = [_answered(line) for line in lines]
    path = write_description(folder, "\n".join(lines) + "\n")
    todo = sum("TODO" in line for line in lines[1:])
    left = f"fill in {todo} lines with TODO and check the other lines" if todo else "check all lines"
    console.echo(f"{path}: written; {left}")
    name = folder.as_posix()
    console.echo(f"then run: embench data verify {shlex.quote(name if name[0] in '/.~' else f'./{name}')}")


def _answered(line: str) -> str:
    """A line of a description, with what is asked for where it says TODO; as it is where the answer is empty."""
    found = _OPEN.fullmatch(line)
    if found is None:
        return line
    answer = typer.prompt(f"{found[2]} ({found[3]})", default="", show_default=False).strip()
    plain = re.fullmatch(r"[A-Za-z0-9][\w. /-]*", answer)
    return f"{found[1]}{found[2]}: {answer if plain else json.dumps(answer, ensure_ascii=False)}" if answer else line


@data_app.command()
def prepare(
    dataset: DatasetName,
    data_root: DataRoot = None,
    protocol: ProtocolName = Request.protocol,
    workers: Annotated[
        int | None,
        Option(min=1, help="Number of subjects to prepare in parallel; default: one per CPU core, at most 4."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Filter, resample and store the signals of a dataset; prepared data are reused."""
    from embench.data.find import prepared
    from embench.protocols import load_protocol

    with Steps("subjects", "prepared") as steps:
        store = prepared(dataset, data_root, load_protocol(protocol), workers or min(4, cores()), steps)
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
    else:
        _print_store(store)


@data_app.command()
def pseudonyms(dataset: DatasetName, data_root: DataRoot = None, as_json: Json = False) -> None:
    """List participants and recordings of your own data and their pseudonyms in records, predictions and entries."""
    from embench.data.find import pseudonymous
    from embench.data.pseudonyms import PseudonymRow

    reader = pseudonymous(dataset, data_root)
    if reader is None:
        raise UsageError(
            "this dataset has no pseudonyms: only your own recordings have them",
            where=f"embench data pseudonyms {dataset}",
            expected="a folder with dataset.yaml and recordings that are not synthetic, such as ./FOLDER",
        )
    rows = [row._asdict() for row in reader.pseudonyms()]
    console.answer(as_json, rows, lambda: show_table(rows, fields(*PseudonymRow._fields)))


def _print_store(store: Store) -> None:
    rows = (
        {
            "modality": name,
            "channels": len(m.channels),
            "rate": "as recorded" if name == "video" else f"{m.rate:g} Hz",
            "unit": m.unit,
        }
        for name, m in store.modalities.items()
    )
    show_table(rows, title=store.name)
    lacking = grouped((e["modality"], e["reason"]) for e in store.excluded if e["modality"] not in store.modalities)
    nowhere = {modality: reasons[0] for modality, reasons in lacking.items() if len(set(reasons)) == 1}
    excluded = (item for item in store.excluded if item["modality"] not in nowhere)
    show_table(excluded, fields("subject", "recording", "modality", "reason"), title="excluded")
    for modality, reason in nowhere.items():
        console.echo(f"{modality}, in all recordings: {reason}")
    console.echo(f"{len(store.subjects)} subjects, {len(store.recordings)} recordings")
    console.echo(f"files: {store.path}")


def _sources(downloads: Sequence[Download]) -> list[str]:
    """The addresses of a download, and how much comes from each."""
    if len(downloads) <= _LISTED:
        return [f"{download.url}{_megabytes([download])}" for download in downloads]
    by_host = grouped((urlsplit(download.url).netloc, download) for download in downloads)
    return [f"{host}: {len(files)} files{_megabytes(files)}" for host, files in by_host.items()]


def _megabytes(downloads: Sequence[Download]) -> str:
    size = sum(download.size or 0 for download in downloads)
    return f", {size / 1e6:,.0f} MB" if size else ""
