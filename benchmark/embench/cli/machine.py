"""`embench` without a command, `embench doctor` and `embench clean`: this machine's data, runs and storage."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from typer import Argument, Option

import embench
from embench import registry
from embench.cli import console
from embench.cli.console import show_table
from embench.cli.options import DataRoot, Json
from embench.data import data_folder, default_data_root, describe_root_fault
from embench.errors import CheckFailed, EmbenchError, MachineError, UsageError
from embench.files import cache_root
from embench.registry import Entry
from embench.screen import TableColumn, field
from embench.system import INSTALL_TRAINING, cores, explain_missing_library, installed_version, processor_name
from embench.vocabulary import did_you_mean

# Output of `embench` without a command: data and runs found here, and the commands to use next.

_BESIDE = (Path("data"), Path(".embench/demo"))
"""Folders of datasets that the commands in the documentation write, relative to the working folder."""
_FAST = ("eda", "ppg", "ecg", "resp", "temp")
"""Modalities with the fastest features; the first one in a dataset is suggested."""


def start() -> None:
    """Print the data and runs found, and commands for them."""
    root, found = _find_datasets()
    studies = sorted(path.parent for path in Path().glob("*/dataset.yaml"))
    runs = sorted(Path("runs").glob("*/*/run.yaml"), key=lambda path: path.stat().st_mtime)
    console.wrapped(
        f"embench {embench.__version__}, a benchmark for emotion and stress recognition from physiological signals"
    )
    data = [f"{', '.join(entry.name for entry in found)} in {root}"] if found else []
    data += [f"./{study.as_posix()}" for study in studies]
    console.wrapped(f"data: {', '.join(data) or f'none in {default_data_root()} or ./data'}")
    console.wrapped(f"runs: {len(runs) or 'none'} in ./runs")
    boards = Path("leaderboards").is_dir()
    if runs:
        commands = _suggest_with_runs([path.parent for path in runs], boards=boards)
    elif found or studies:
        commands = _suggest_with_data(found, studies, root)
    else:
        commands = _suggest_without_data(boards=boards)
    for about, line in (*commands, ("list all commands", "embench --help")):
        console.echo(f"{about}:")
        console.command(line)


def _find_datasets() -> tuple[Path, list[Entry]]:
    """Return the first folder that contains datasets, and these datasets."""
    known = [entry for entry in registry.entries("dataset") if "/" not in entry.name and not entry.broken]
    for root in (default_data_root(), *_BESIDE):
        if found := [entry for entry in known if data_folder(entry, root).is_dir()]:
            return root, found
    return default_data_root(), []


def _suggest_with_runs(runs: Sequence[Path], *, boards: bool) -> Iterator[tuple[str, str]]:
    """Yield (purpose, command line) for runs in these folders, which are sorted from old to new."""
    newest = runs[-1]
    yield "show the newest run in a browser", f"embench report {newest.as_posix()}"
    if sum(run.parent == newest.parent for run in runs) > 1:
        yield "compare the runs of this dataset", f"embench compare {newest.parent.as_posix()}/*"
    if boards and any(Path("leaderboards", newest.parent.name).glob("*/*/run.yaml")):
        yield "show the published results", f"embench leaderboard show {newest.parent.name}"
    yield "check the newest run for faults", f"embench audit {newest.as_posix()}"


def _suggest_with_data(found: Sequence[Entry], studies: Sequence[Path], root: Path) -> Iterator[tuple[str, str]]:
    """Yield (purpose, command line) for a first result on the data found; without torch, by scoring predictions."""
    name = found[0].name if found else f"./{studies[0].as_posix()}"
    where = f" --data-root {root.as_posix()}" if found and root != default_data_root() else ""
    if not found:
        yield "check your recordings", f"embench data verify {name}"
    yield "score the confound-only models that a method must beat", f"embench data confounds {name}{where}"
    if find_spec("torch"):
        has = [m for m in _FAST if found and m in found[0].modalities]
        method = "--encoder handcrafted --fusion logreg" + (f" --modalities {has[0]}" if has else "")
        yield "run a first method", f"embench run --dataset {name} {method} --seeds 0{where}"
    else:
        yield "list the units to predict", f"embench data labels {name} --units units.csv{where}"
        yield "score predictions of your own code", f"embench score predictions.csv --dataset {name}{where}"


def _suggest_without_data(*, boards: bool) -> Iterator[tuple[str, str]]:
    yield "create synthetic data to try embench", "embench data synthesize amigos --out data/amigos --subjects 18"
    yield "download real open data, 90 MB", "embench data fetch stress_predict --data-root data"
    yield "list the datasets and how to get them", "embench data status"
    yield "describe your own recordings", "embench data new FOLDER"
    if boards:
        yield "show the published results", "embench leaderboard show"


# `embench doctor`: the state of this machine, and its faults.

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "pydantic", "soxr")
_TRAINING_LIBRARIES = ("torch", "torchvision", "transformers", "neurokit2")
_LEAST_FREE = 1 << 30  # bytes; less free space than this will not hold prepared data


class Diagnosis(NamedTuple):
    """A line of the report: subject, finding with its remedy, and whether it is a fault."""

    what: str
    detail: str
    broken: bool = False


def doctor(data_root: DataRoot = None, as_json: Json = False) -> None:
    """Check versions, device, disk, data and plugins; exit with 1 on a fault."""
    light = _is_light()
    training = [] if light else [*_check_device(), *_check_networks()]
    found = [*_check_versions(light), *training, *_check_disk(), *_check_data(data_root), *_check_plugins(light)]
    if as_json:
        console.document([f._asdict() for f in found])
    else:
        state = TableColumn("state", lambda diagnosis: "BROKEN" if diagnosis.broken else "ok")
        show_table(found, [field("what"), state, field("detail")])
    broken = [f.what for f in found if f.broken]
    if broken:
        raise CheckFailed(f"{len(broken)} broken: {', '.join(broken)}", where="embench doctor")


def _is_light() -> bool:
    """Return True if torch is not installed (the light installation); False also if torch is broken."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        return explain_missing_library(error) is not None
    except (ImportError, OSError):
        pass
    return False


def _check_versions(light: bool) -> Iterator[Diagnosis]:
    from importlib.metadata import PackageNotFoundError, version

    yield Diagnosis("embench", embench.__version__)
    kind = f"light, without training; to install training: {INSTALL_TRAINING}" if light else "full"
    yield Diagnosis("installation", kind)
    yield Diagnosis("Python", f"{platform.python_version()} on {platform.platform()}")
    for library in _LIBRARIES if light else (*_TRAINING_LIBRARIES, *_LIBRARIES):
        try:
            yield Diagnosis(library, f"{version(library)}, {_megabytes(_measure(library))}")
        except PackageNotFoundError:
            yield Diagnosis(library, "not installed", broken=True)


def _check_device() -> Iterator[Diagnosis]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Diagnosis("device", f"cannot import torch: {error}", broken=True)
        return
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    for number in range(torch.cuda.device_count() if has_cuda else 0):
        card = torch.cuda.get_device_properties(number)
        yield Diagnosis("device", f"cuda:{number}: {card.name}, {card.total_memory / 2**30:.0f} GB")
    if not has_cuda:
        why = "MPS is available but untested: --device mps" if has_mps else "no CUDA device"
        yield Diagnosis("device", f"cpu; {why}")
    threads = f"{cores()} processors ({processor_name()}); torch uses {torch.get_num_threads()} threads"
    yield Diagnosis("threads", threads)


def _check_networks() -> Iterator[Diagnosis]:
    """Build each encoder that needs further libraries, since many import these only when built; yield the results."""
    from embench.testing import require

    for entry in registry.entries("encoder"):
        try:
            plugin = registry.load_plugin("encoder", entry.full_name)
            libraries = plugin.libraries
            absent = [name for name in libraries if installed_version(name) == "absent"]
            if not libraries or absent:
                continue
            encoder = plugin(plugin.recipes["quick"])
            rows = require.rows(encoder, min(encoder.accepts))
            if encoder.reads != "features":
                encoder.build(rows.spec)
        except EmbenchError:
            continue  # `_check_plugins` reports what cannot be loaded, and a run reports missing weights
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            text = f"cannot be built with {', '.join(libraries)}: {' '.join(str(error).split())[:200]}"
            yield Diagnosis(f"encoder {entry.name}", text, broken=True)
        else:
            yield Diagnosis(f"encoder {entry.name}", f"can be built with {', '.join(libraries)}")


def _measure(library: str) -> int:
    """Return the size of an installed library in bytes."""
    from importlib.metadata import files

    paths = (Path(str(file.locate())) for file in files(library) or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _check_disk() -> Iterator[Diagnosis]:
    from embench.store.store import damaged_folders

    cache = cache_root()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:
        yield Diagnosis("cache folder", f"cannot write to {cache}: {error.strerror}", broken=True)
        return
    free = shutil.disk_usage(cache).free
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    yield Diagnosis("cache folder", f"{cache}, {_megabytes(size)}")
    damaged = [f"{fault.where}: {fault.what}; delete its folder" for fault in damaged_folders(cache)]
    yield Diagnosis("prepared data", "; ".join(damaged) or "intact", broken=bool(damaged))
    yield Diagnosis("disk space", f"{free / 2**30:.1f} GB free for the cache", broken=free < _LEAST_FREE)


def _check_data(chosen: Path | None) -> Iterator[Diagnosis]:
    datasets = [e for e in registry.entries("dataset") if data_folder(e, chosen).is_dir()]
    names = ", ".join(e.name for e in datasets) or "none found"
    wrong = describe_root_fault(chosen)
    yield Diagnosis("data", wrong or f"{default_data_root(chosen)}: {names}", broken=wrong is not None)


def _check_plugins(light: bool) -> Iterator[Diagnosis]:
    working = training = 0
    for entry in registry.entries():
        try:
            if entry.broken:
                yield Diagnosis(f"{entry.kind} {entry.full_name}", f"{entry.broken} ({entry.source})", broken=True)
                continue
            registry.load_plugin(entry.kind, entry.full_name)
            working += 1
        except EmbenchError as error:
            if light and isinstance(error, MachineError):  # it needs the training installation
                training += 1
            else:
                yield Diagnosis(f"{entry.kind} {entry.full_name}", " ".join(str(error).split()), broken=True)
    more = f", {training} require the training installation" if training else ""
    yield Diagnosis("plugins", f"{working} usable{more}")


# `embench clean`: stored files, their sizes, and their deletion.


class _Stored(NamedTuple):
    """A kind of stored files: name, description, function from the runs folder to paths, and cost of a deletion."""

    name: str
    what: str
    paths: Callable[[Path], Sequence[Path]]
    cost: str


def clean(
    names: Annotated[
        list[str] | None,
        Argument(metavar="[NAME]...", help="Delete: data, objects, checks, stages, runs, log."),
    ] = None,
    runs: Annotated[Path, Option(help="Folder of the runs.")] = Path("runs"),
    yes: Annotated[bool, Option("--yes", help="Delete; without it, only list what would be deleted.")] = False,
    as_json: Json = False,
) -> None:
    """List what embench stores on this machine, with sizes; delete what is named."""
    known = {item.name: item for item in _STORED}
    for name in names or ():
        if name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(f"`{name}` is not stored by embench", expected=", ".join(known), hint=hint)
    chosen = [known[name] for name in dict.fromkeys(names or known)]
    rows = [_get_row(item, runs) for item in chosen]
    deleted = bool(names and yes)
    if deleted:
        for item in chosen:
            for path in item.paths(runs):
                _delete(path)
    if as_json:
        console.document([{**row, "deleted": deleted} for row in rows])
        return
    table = [{**row, "size": _size_in_words(row["bytes"])} for row in rows]
    show_table(table, [field(name) for name in ("name", "what", "size", "where", "if deleted")])
    if deleted:
        console.wrapped(f"deleted: {_size_in_words(sum(row['bytes'] for row in rows))}")
    elif names:
        console.wrapped("Nothing was deleted. To delete:")
        console.command(f"embench clean {' '.join(names)} --runs {runs} --yes")
    else:
        console.wrapped("To delete some of it: embench clean NAME --yes")


def _get_row(item: _Stored, runs: Path) -> dict[str, Any]:
    paths = [path for path in item.paths(runs) if path.exists()]
    where = str(paths[0] if len(paths) == 1 else paths[0].parent) if paths else ""
    about = {"name": item.name, "what": item.what, "bytes": sum(map(_bytes_below, paths))}
    return {**about, "where": where, "if deleted": item.cost}


def _bytes_below(path: Path) -> int:
    """Return the size in bytes of a file or of all files below a folder; links are not followed."""
    each = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(one.lstat().st_size for one in each if one.is_symlink() or one.is_file())


def _size_in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"


def _delete(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"cannot delete: {error.strerror}", where=error.filename or str(path)) from error


def _cached(*names: str) -> Callable[[Path], list[Path]]:
    return lambda _: [cache_root() / name for name in names]


def _find_log(_: Path) -> list[Path]:
    from embench.records.ledger import get_ledger_folder

    return [get_ledger_folder()]


_STORED = (
    _Stored("data", "prepared data, windows and features", _cached("store", "derived"), "prepared again when needed"),
    _Stored("objects", "methods given from Python", _cached("objects"), "stored again by the next run"),
    _Stored(
        "checks",
        "results of checks and forecasts",
        _cached("conformance", "verified", "boards", "forecasts", "finished", "file-hashes.sqlite"),
        "computed again",
    ),
    _Stored("stages", "trained stages of runs", lambda runs: [runs / "stages"], "runs train again; results stay"),
    _Stored(
        "runs",
        "records of runs, with results",
        lambda runs: [f.parent for f in sorted(runs.glob("*/*/run.yaml"))],
        "the results are lost",
    ),
    _Stored("log", "evaluation log: how often test labels were used", _find_log, "reports count too few evaluations"),
)
"""Kinds of files that embench stores. Keys of pseudonyms, which some machines store in the cache, are never deleted."""
