"""Output of `embench` without a command: data and runs found here, and the commands to use next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import embench
from embench import registry
from embench.cli import console
from embench.data.locations import data_folder, data_root
from embench.registry import Entry

_BESIDE = (Path("data"), Path(".embench/demo"))
"""Folders of datasets that the pages' commands write, relative to the working folder."""
_CHEAP = ("eda", "ppg", "ecg", "resp", "temp")
"""Modalities with the fastest features; the first one that a dataset has is suggested."""


def start() -> None:
    """Prints the data and runs found, and commands that fit them."""
    root, found = _datasets()
    studies = sorted(path.parent for path in Path().glob("*/dataset.yaml"))
    runs = sorted(Path("runs").glob("*/*/run.yaml"), key=lambda path: path.stat().st_mtime)
    console.wrapped(
        f"embench {embench.__version__}, a benchmark for emotion and stress recognition from physiological signals"
    )
    data = [f"{', '.join(entry.name for entry in found)} in {root}"] if found else []
    data += [f"./{study.as_posix()}" for study in studies]
    console.wrapped(f"data: {', '.join(data) or f'none in {data_root()} or ./data'}")
    console.wrapped(f"runs: {len(runs) or 'none'} in ./runs")
    boards = Path("leaderboards").is_dir()
    if runs:
        commands = _with_runs([path.parent for path in runs], boards=boards)
    elif found or studies:
        commands = _with_data(found, studies, root)
    else:
        commands = _with_nothing(boards=boards)
    for about, line in (*commands, ("list all commands", "embench --help")):
        console.echo(f"{about}:")
        console.command(line)


def _datasets() -> tuple[Path, list[Entry]]:
    """The first folder that holds datasets, and these datasets."""
    known = [entry for entry in registry.entries("dataset") if "/" not in entry.name and not entry.broken]
    for root in (data_root(), *_BESIDE):
        if found := [entry for entry in known if data_folder(entry, root).is_dir()]:
            return root, found
    return data_root(), []


def _with_runs(runs: Sequence[Path], *, boards: bool) -> Iterator[tuple[str, str]]:
    """Commands for runs in these folders, the newest last."""
    newest = runs[-1]
    yield "show the newest run in a browser", f"embench report {newest.as_posix()}"
    if sum(run.parent == newest.parent for run in runs) > 1:
        yield "compare the runs of this dataset", f"embench compare {newest.parent.as_posix()}/*"
    if boards and any(Path("leaderboards", newest.parent.name).glob("*/*/run.yaml")):
        yield "show the published results", f"embench leaderboard show {newest.parent.name}"
    yield "check the newest run for faults", f"embench audit {newest.as_posix()}"


def _with_data(found: Sequence[Entry], studies: Sequence[Path], root: Path) -> Iterator[tuple[str, str]]:
    """A first number, by this program or, where torch is not installed, by other code."""
    name = found[0].name if found else f"./{studies[0].as_posix()}"
    where = f" --data-root {root.as_posix()}" if found and root != data_root() else ""
    if not found:
        yield "check your recordings", f"embench data verify {name}"
    yield "score the confound-only models that a method must beat", f"embench data confounds {name}{where}"
    if find_spec("torch"):
        has = [m for m in _CHEAP if found and m in found[0].modalities]
        method = "--encoder handcrafted --fusion logreg" + (f" --modalities {has[0]}" if has else "")
        yield "run a first method", f"embench run --dataset {name} {method} --seeds 0{where}"
    else:
        yield "list the units to predict", f"embench data labels {name} --units units.csv{where}"
        yield "score predictions of your own code", f"embench score predictions.csv --dataset {name}{where}"


def _with_nothing(*, boards: bool) -> Iterator[tuple[str, str]]:
    yield "create synthetic data to try embench", "embench data synthesize amigos --out data/amigos --subjects 18"
    yield "download real open data, 90 MB", "embench data fetch stress_predict --data-root data"
    yield "list the datasets and how to get them", "embench data status"
    yield "describe your own recordings", "embench data new FOLDER"
    if boards:
        yield "show the published results", "embench leaderboard show"
