"""`embench grid`: the points of a grid as so many runs; stages that points share are run once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from embench.cli import console
from embench.cli.options import DataRoot, Dev, Device, DryRun, Json, Observer, Preset, Runs, Workers, read_yaml, texts
from embench.errors import UsageError
from embench.registry.naming import did_you_mean

Points = list[str] | None
_AXES = {
    "dataset": "dataset",
    "encoder": "encoders",
    "pretrainer": "pretrainers",
    "fusion": "fusion",
    "modalities": "modalities",
    "target": "targets",
    "protocol": "protocol",
    "recipe": "recipe",
    "set": "settings",
    "train-dataset": "train_dataset",
    "drop": "drop",
    "label-subjects": "label_subjects",
    "pretrained": "pretrained",
}
_NONE = "none"
"""A grid point without the option, such as `--pretrainer none --pretrainer masked_value`."""


def grid(
    file: Annotated[Path | None, typer.Argument(metavar="[GRID.yaml]", help="Options and their points.")] = None,
    dataset: Annotated[Points, typer.Option("--dataset", help="Repeat an option for grid points.")] = None,
    encoder: Annotated[
        Points, typer.Option("--encoder", help="A point: NAME, or eeg=NAME,ecg=NAME for one by modality.")
    ] = None,
    pretrainer: Annotated[
        Points, typer.Option("--pretrainer", help="A point: one or more with commas, or none.")
    ] = None,
    fusion: Annotated[Points, typer.Option("--fusion", help="What joins the modalities, or none.")] = None,
    modalities: Annotated[Points, typer.Option("--modalities", help="A point: a,b+c.")] = None,
    target: Annotated[Points, typer.Option("--target", help="A point: targets, with commas between.")] = None,
    protocol: Annotated[Points, typer.Option("--protocol", help="Name of a protocol, or its file.")] = None,
    recipe: Annotated[list[Preset] | None, typer.Option("--recipe", help="Preset.")] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds of every point, with commas between.")] = "0,1,2",
    device: Device = "auto",
    data_root: DataRoot = None,
    runs: Runs = None,
    settings: Annotated[Points, typer.Option("--set", help="path=value; the same path twice makes two points.")] = None,
    dev: Dev = False,
    train_dataset: Annotated[
        Points, typer.Option("--train-dataset", help="Train on this dataset, test on --dataset.")
    ] = None,
    drop: Annotated[Points, typer.Option("--drop", help="Modality that is taken away at the test, or none.")] = None,
    label_subjects: Annotated[
        Points, typer.Option("--label-subjects", help="How many training people have labels: 1,2,5,all.")
    ] = None,
    pretrained: Annotated[Points, typer.Option("--pretrained", help="Weights: a file, a run, a pretraining.")] = None,
    executor: Annotated[str, typer.Option("--executor", help="Who runs the stages.")] = "local",
    workers: Workers = None,
    observer: Observer = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run every point of a grid; what two points share is done once."""
    line: dict[str, Sequence[str] | None] = {
        "dataset": dataset,
        "encoder": encoder,
        "pretrainer": pretrainer,
        "fusion": fusion,
        "modalities": modalities,
        "target": target,
        "protocol": protocol,
        "recipe": recipe and [preset.value for preset in recipe],
        "set": settings,
        "train-dataset": train_dataset,
        "drop": drop,
        "label-subjects": label_subjects,
        "pretrained": pretrained,
    }
    common: dict[str, Any] = {
        "seeds": seeds,
        "device": device,
        "data_root": data_root,
        "runs": runs,
        "dev": dev,
        "workers": workers,
        "observers": tuple(observer or ()),
    }
    axes = _from_file(file, common) | {name: list(values) for name, values in line.items() if values}
    with console.stdout_kept(as_json):
        from embench.cli import show
        from embench.cli.progress import Progress
        from embench.engine import executors
        from embench.planning.axes import spread
        from embench.report import grid_curves
        from embench.runs import run as runner

        executors.named(executor)
        asked = [runner.Request(**common, **point) for point in points(axes)]
        requests = list(dict.fromkeys(each for request in asked for each in spread(request)))
        if dry_run:
            answers = [runner.plan(request).describe() for request in requests]
        else:
            with Progress() as progress:
                done = runner.grid(requests, executor=executor, workers=workers, progress=progress.event)
            answers = [result.json() for result in done.results]
            scored = [(result.manifest, result.scores) for result in done.results]
            drawn = grid_curves.write_all(scored, requests[0].runs_folder / "curves")
    if as_json:
        console.document(answers)
    elif dry_run:
        for answer in answers:
            show.plan(answer)
    else:
        show.results(answers)
        for curve, files in drawn:
            show.curve(curve, files)
    if not dry_run:
        done.check()


def points(axes: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """The fields of a request for each point: the product of all axes, the last one changing fastest.

    Raises:
        UsageError: there is no dataset or no encoder.
    """
    for name in ("dataset", "encoder"):
        if not axes.get(name):
            raise UsageError(f"a grid needs at least one --{name}", hint=f"embench list {name}")
    spread: list[tuple[str, Sequence[str]]] = [(name, values) for name, values in axes.items() if name != "set"]
    by_path: dict[str, list[str]] = {}
    for setting in axes.get("set", ()):
        by_path.setdefault(setting.partition("=")[0], []).append(setting)
    spread += [("set", values) for values in by_path.values()]
    for chosen in product(*(values for _, values in spread)):
        fields: dict[str, Any] = {"fusion": None, "modalities": None, "targets": None}
        for (name, _), value in zip(spread, chosen, strict=True):
            _put(fields, name, value)
        yield fields


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    field = _AXES[name]
    if name == "set":
        fields[field] = (*fields.get(field, ()), value)
    elif name in ("encoder", "pretrainer"):
        fields[field] = () if value == _NONE else tuple(value.split(","))
    elif value != _NONE:
        fields[field] = value


def _from_file(path: Path | None, common: dict[str, Any]) -> dict[str, list[str]]:
    """The axes a grid file gives; values that all points share go into `common`."""
    if path is None:
        return {}
    axes: dict[str, list[str]] = {}
    shared = {"seeds", "device"}
    for key, value in read_yaml(path).items():
        name = key.replace("_", "-")
        if name in shared:
            common[name] = ",".join(texts(value))
        elif name in _AXES:
            axes[name] = _axis(name, value)
        else:
            raise UsageError(f"unknown option `{key}`", where=str(path), hint=did_you_mean(name, [*_AXES, *shared]))
    return axes


def _axis(name: str, value: Any) -> list[str]:
    if name == "set" and isinstance(value, Mapping):  # {fusion.lr: [1e-4, 1e-3]}
        return [f"{path}={item}" for path, items in value.items() for item in texts(items)]
    if isinstance(value, list):  # a point may be a mapping or a list itself: [{eeg: tcn, ecg: cnn_tf}]
        return [",".join(texts(item)) for item in value]
    return [",".join(texts(value))]
