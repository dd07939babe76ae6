"""Options that several commands share, and `--config FILE`, which gives options from a file."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from embench.cli import console
from embench.errors import UsageError
from embench.registry.naming import did_you_mean


class Preset(StrEnum):
    """How big a method is run; what each is, says `embench.interfaces.recipe.PRESETS`."""

    paper = "paper"
    small = "small"
    quick = "quick"


DeviceName = Literal["auto", "cpu", "cuda", "mps"]


def _tried(device: DeviceName) -> DeviceName:
    if device == "mps":
        console.note("nobody has tried --device mps yet: compare a small run with one on --device cpu first")
    return device


Device = Annotated[DeviceName, typer.Option("--device", callback=_tried, help="Where networks are trained.")]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", help="Folder of all datasets; else $EMBENCH_DATA, else the user's data folder."),
]
Runs = Annotated[Path | None, typer.Option("--runs", help="Folder that run folders are written to; by default ./runs.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that work at once; by default one a processor.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, all else on stderr.")]
Dev = Annotated[bool, typer.Option("--dev", help="Score validation people; test labels stay closed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")]
Observer = Annotated[list[str] | None, typer.Option("--observer", help="Observer to call; repeatable.")]


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Makes the file's values the command's defaults, so that what stands on the command line wins."""
    if path is not None:
        by_name = {opt.lstrip("-"): p for p in context.command.params for opt in p.opts if opt.startswith("--")}
        content = read_yaml(path)
        for key in content:
            if key.replace("_", "-") not in by_name or key == "config":
                raise UsageError(f"unknown option `{key}`", where=str(path), hint=did_you_mean(key, by_name))
        chosen = {by_name[key.replace("_", "-")]: value for key, value in content.items()}
        context.default_map = {p.name or "": _as_option(p, value) for p, value in chosen.items()}
    return path


Config = Annotated[
    Path | None,
    typer.Option("--config", callback=_read_config, is_eager=True, help="YAML file of options; the line wins over it."),
]


def read_yaml(path: Path) -> Mapping[str, Any]:
    """A YAML file that holds a mapping. Raises UsageError where it is missing or holds anything else."""
    import yaml

    from embench.files import parse_yaml

    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise UsageError(f"{path} holds no mapping", expected="`option: value` lines, such as `dataset: amigos`")
    return {str(key): value for key, value in content.items()}


def texts(value: Any) -> list[str]:
    """What a repeatable option gets from a file: `{eeg: tcn}` is `eeg=tcn`, a list its items, a value itself."""
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _as_option(parameter: Any, value: Any) -> Any:
    if getattr(parameter, "multiple", False):
        return texts(value)
    return value if isinstance(value, bool) or value is None else ",".join(texts(value))
