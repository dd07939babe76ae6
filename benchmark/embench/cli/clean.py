"""`embench clean`: what embench stores where, how large it is, and its deletion."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from typer import Argument, Option

from embench.cli import console
from embench.cli.options import Json
from embench.cli.tables import field, show_table
from embench.errors import MachineError, UsageError
from embench.registry.naming import did_you_mean


class _Kept(NamedTuple):
    """Something that embench stores: its name, what it is, the paths, and what its deletion costs."""

    name: str
    what: str
    paths: Callable[[Path], Iterator[Path]]
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
    known = {kept.name: kept for kept in _KEPT}
    for name in names or ():
        if name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(f"`{name}` is not stored by embench", expected=", ".join(known), hint=hint)
    chosen = [known[name] for name in dict.fromkeys(names or known)]
    rows = [_row(kept, runs) for kept in chosen]
    deleted = bool(names and yes)
    if deleted:
        for kept in chosen:
            for path in list(kept.paths(runs)):
                _delete(path)
    if as_json:
        console.document([{**row, "deleted": deleted} for row in rows])
        return
    shown = [{**row, "size": _size_in_words(row["bytes"])} for row in rows]
    show_table(shown, [field(name) for name in ("name", "what", "size", "where", "if deleted")])
    if deleted:
        console.wrapped(f"deleted: {_size_in_words(sum(row['bytes'] for row in rows))}")
    elif names:
        console.wrapped("Nothing was deleted. To delete:")
        console.command(f"embench clean {' '.join(names)} --runs {runs} --yes")
    else:
        console.wrapped("To delete some of it: embench clean NAME --yes")


def _row(kept: _Kept, runs: Path) -> dict[str, Any]:
    paths = [path for path in kept.paths(runs) if path.exists()]
    return {
        "name": kept.name,
        "what": kept.what,
        "bytes": sum(map(_size, paths)),
        "where": str(paths[0] if len(paths) == 1 else paths[0].parent) if paths else "",
        "if deleted": kept.cost,
    }


def _size(path: Path) -> int:
    """Bytes of a file or of all files below a folder; links are not followed."""
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


def _in_cache(*names: str) -> Callable[[Path], Iterator[Path]]:
    def found(_: Path) -> Iterator[Path]:
        from embench.files import cache_root

        yield from (cache_root() / name for name in names)

    return found


def _run_folders(runs: Path) -> Iterator[Path]:
    """The records in a runs folder, `DATASET/RUN`, and what lies beside them; stages are apart."""
    for record in sorted(runs.glob("*/*/run.yaml")):
        yield record.parent


def _log(_: Path) -> Iterator[Path]:
    from embench.records.ledger import ledger_home

    yield ledger_home()


_KEPT = (
    _Kept("data", "prepared data, windows and features", _in_cache("store", "derived"), "prepared again when needed"),
    _Kept("objects", "methods given from Python", _in_cache("objects"), "stored again by the next run"),
    _Kept(
        "checks",
        "results of checks and forecasts",
        _in_cache("conformance", "verified", "boards", "forecasts", "finished", "file-hashes.sqlite"),
        "computed again",
    ),
    _Kept("stages", "trained stages of runs", lambda runs: iter([runs / "stages"]), "runs train again; results stay"),
    _Kept("runs", "records of runs, with results", _run_folders, "the results are lost"),
    _Kept("log", "evaluation log: how often test labels were used", _log, "reports count too few evaluations"),
)
"""What embench stores; keys of pseudonyms, which lie in the cache of some machines, are never deleted."""
