"""`embench run`, `grid`, `tune`, `predict`, `pretrain` and `convert`: commands that train or apply a method."""

from __future__ import annotations

import csv
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.console import show_table
from embench.cli.options import (
    Cluster,
    Config,
    DataRoot,
    DryRunOption,
    Every,
    ExecutorName,
    ForecastFor,
    From,
    Json,
    TrustCode,
    WithPretrainingComparison,
    apply_forecast,
    as_texts,
    complete,
    parse_cluster,
    read_options,
    with_options,
)
from embench.errors import UsageError
from embench.planning.request import AXES, Request, format_command, make_request
from embench.records.wording import format_duration, format_figure
from embench.screen import Progress, TableColumn, field, long_warning, suggest_smaller
from embench.vocabulary import did_you_mean

if TYPE_CHECKING:
    from embench.runs.tuning import TuningResult
    from embench.statistics.result import Result


# `embench run`: one method on one dataset, from the plan to the result.


@with_options(before={"_config": "dev", "_from": "dev"})
def run(
    *,
    _config: Config = None,
    _from: From = None,
    pretraining_comparison: WithPretrainingComparison = False,
    dry_run: DryRunOption = False,
    forecast_for: ForecastFor = None,
    every: Every = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run one method on one dataset under a protocol, and write its record."""
    from embench.cli import show

    gpu = apply_forecast(forecast_for, options, dry_run=dry_run)
    request = make_request(**options)
    if pretraining_comparison:
        show.run_with_comparison([request], dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        from embench.runs.run import describe_plans

        (document,) = describe_plans([request], gpu=gpu)
    else:
        with Progress(suggest_smaller(request)) as progress:
            result = _load_or_run(request, every, progress)
        document = result.to_dict()
    if as_json:
        console.document(document)
    elif dry_run:
        show.print_plan(document)
        if not gpu and (warning := long_warning(document["expected_s"], suggest_smaller(request))):
            console.note(warning)
    else:
        show.print_run(result, every=every)


def _load_or_run(request: Request, every: bool, progress: Progress) -> Result:
    """Return the result from the record of a finished run, or run the request if there is none."""
    from embench.runs.again import find_finished

    if found := find_finished(request, every, progress.event):
        return found
    from embench.runs import run as runner  # imports torch, which a finished run does not need

    return runner.run(request, progress=progress.event, placebo=every)


# `embench grid`: a run for each point of a grid; shared stages are run once. `grid status` and `grid cancel` work from
# any terminal with access to the runs folder.

_STATES = {
    "running": "running",
    "ended": "ended",
    "cancelled": "cancelled: rerun the command to resume",
    "stopped": "stopped: its process is gone; rerun the command to resume",
    "unknown": "running, or stopped: its process is another machine's",
}


@with_options(
    points=True,
    help_texts={"seeds": "Seeds of every point, comma-separated; default: those of `embench run`."},
    before={"executor": "workers", "cluster": "workers", "pretraining_comparison": "workers"},
)
def grid(
    words: Annotated[
        list[str] | None,
        Argument(
            metavar="[GRID.yaml | status FOLDER | cancel FOLDER]",
            help="YAML file of options and their values; or how far the grid in a runs folder is, or to stop it.",
        ),
    ] = None,
    *,
    executor: ExecutorName = "local",
    cluster: Cluster = None,
    pretraining_comparison: WithPretrainingComparison = False,
    dry_run: DryRunOption = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Run all combinations of several option values; stages that runs share are computed once."""
    if words and words[0] in ("status", "cancel"):
        _show_or_cancel(words[0], words[1:], as_json=as_json)
        return
    if words and len(words) > 1:
        raise UsageError(f"what is `{words[1]}`?", where="embench grid", expected="one file, or status FOLDER")
    file = Path(words[0]) if words else None
    line = {name: options.pop(field) for name, field in AXES.items()}
    axes = _read_axes(file, options) | {name: list(values) for name, values in line.items() if values}
    from embench.planning.parts import check_names
    from embench.planning.request import list_grid_points

    chosen = parse_cluster(cluster or ())
    requested = [make_request(**options, **point) for point in list_grid_points(axes)]
    check_names(requested)
    from embench.engine import executors

    executors.find_executor(executor)
    from embench.cli import show  # imports torch, which is slow, so wrong arguments are refused before
    from embench.planning.weights import expand_axes
    from embench.runs import run as runner

    requests = list(dict.fromkeys(each for request in requested for each in expand_axes(request)))
    if pretraining_comparison:
        show.run_with_comparison(requests, executor=executor, options=chosen, dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        show.print_plans(requests, as_json=as_json)
        return
    from embench.report import axis_curves  # slow to import, and a dry run draws nothing
    from embench.sets.table import board_rows

    with Progress() as progress:
        done = runner.grid(requests, executor=executor, progress=progress.event, options=chosen)
    scored = [(result.manifest, result.scores) for result in done.results]
    drawn = axis_curves.write_curves(scored, requests[0].runs_folder / "curves")
    board = board_rows(done.results, reference="first")
    if as_json:
        rows = {result.id: [row for row in board if row.get("run") == result.id] for result in done.results}
        console.document([{**result.to_dict(), "rows": rows[result.id]} for result in done.results])
    else:
        named = show.print_board(board, varied=_list_varied_options(done.results))
        show.print_folders(done.results, named=named)
        for curve, files in drawn:
            show.print_curve(curve, files)
    done.check()


_PARTS = ("dataset", "encoder", "fusion", "modalities", "pretrainer", "set", "target", "protocol")
"""Options that a table of methods shows in any case."""


def _list_varied_options(results: Sequence[Result]) -> dict[str, dict[str, str]]:
    """Return id of a run -> option -> value, for the options in which runs differ and which tables do not show."""
    from embench.cli import show

    options = show.find_varied([result.manifest for result in results])
    return {
        result.id: {name: value for name, value in own.items() if name not in (*_PARTS, "tuned")}
        for result, own in zip(results, options, strict=True)
    }


def _read_axes(path: Path | None, common: dict[str, Any]) -> dict[str, list[str]]:
    """Return option -> values from a grid file; settings that all points share are added to `common`."""
    if path is None:
        return {}
    axes: dict[str, list[str]] = {}
    shared = {"seeds", "partitions", "device"}
    for key, value in read_options(path).items():
        name = key.replace("_", "-")
        if name in shared:
            common[name] = ",".join(as_texts(value))
        elif name in AXES:
            axes[name] = _parse_axis(name, value)
        else:
            raise UsageError(f"unknown option `{key}`", where=str(path), hint=did_you_mean(name, [*AXES, *shared]))
    return axes


def _parse_axis(name: str, value: Any) -> list[str]:
    if name == "set" and isinstance(value, Mapping):  # {fusion.lr: [1e-4, 1e-3]}
        return [f"{path}={item}" for path, items in value.items() for item in as_texts(items)]
    if isinstance(value, list):  # a point may be a mapping or a list itself: [{eeg: tcn, ecg: cnn_tf}]
        return [",".join(as_texts(item)) for item in value]
    return [",".join(as_texts(value))]


def _show_or_cancel(verb: str, words: Sequence[str], *, as_json: bool) -> None:
    """Show the progress of the last grid in a runs folder, or ask it to stop."""
    from embench.runs.grids import OVER, describe_grid, find_latest_grid

    if len(words) != 1:
        raise UsageError("which runs folder?", where=f"embench grid {verb}", expected=f"embench grid {verb} FOLDER")
    grid = find_latest_grid(Path(words[0]))
    if verb == "cancel":
        grid.cancel()
    found = describe_grid(grid)
    if as_json:
        console.document(found)
    elif verb == "status":
        _print_status(found)
    elif found["state"] in OVER:
        console.wrapped(f"the grid is not running any more; {_STATES[found['state']]}")
    else:
        console.wrapped(
            "The grid stops within seconds. What is finished is kept, and the command that started it goes on there."
        )


def _print_status(found: Mapping[str, Any]) -> None:
    console.wrapped(f"grid {found['grid']}: {_STATES[found['state']]}")
    for each in found["processes"]:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(each["began"]))
        state = "" if len(found["processes"]) == 1 else f": {each['state']}"
        console.echo(
            f"started: {began} on {each['host']}, executor {each['executor']}, {each['workers']} at a time{state}"
        )
    runs, stages = found["runs"], found["stages"]
    console.echo(f"runs: {runs['finished']} of {runs['of']} finished")
    console.echo("stages: " + ", ".join(f"{count} {word}" for word, count in stages.items()))
    if found["left_s"] and found["state"] != "ended":
        console.echo(f"left: about {format_duration(found['left_s'])}")
    last_sign = TableColumn("last sign", lambda stage: f"{format_duration(stage['silent_s'])} ago")
    show_table(found["running"], [field("title", "stage at work"), last_sign])
    show_table(found["failed"], [field("title", "failed stage"), field("error", "why"), field("where")])
    for title, why in found["failures"].items():
        console.note(f"missing: {title}: {why}")


# `embench tune`: settings of a method, chosen in each fold by scores on its validation subjects.


@with_options(
    *("dataset", "encoder", "pretrainer", "fusion", "modalities", "target", "protocol", "recipe", "seeds", "set"),
    *("device", "data-root", "runs", "train-dataset", "workers"),
    help_texts={"set": "A setting that all trials share."},
    before={"search": "seeds", "trials": "seeds"},
)
def tune(
    *,
    search: Annotated[
        list[str],
        Option(
            metavar="PATH=VALUES",
            help="Settings to search: encoder.lr=log:1e-4..1e-2, encoder.build.layers=1..4, fusion.batch=16,32; "
            "repeatable.",
        ),
    ],
    trials: Annotated[
        int, Option(min=1, help="Number of trials; the first trial uses the default settings of the method.")
    ] = 20,
    sampler_seed: Annotated[int, Option(min=0, help="Seed of the sampled settings.")] = 0,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Choose the settings of a method in each fold, on validation subjects only."""
    from embench.planning.tuning import Search, parse_space
    from embench.runs import tuning

    parse_space(search)
    with Progress() as progress:
        found = tuning.tune(
            make_request(**options), Search(space=tuple(search), trials=trials, seed=sampler_seed), progress.event
        )
    document = _as_json(found)
    console.answer(as_json, document, lambda: _print_tuned(found, document))


def _as_json(found: TuningResult) -> dict[str, Any]:
    choices = found.tuning.choices
    folders = {"--data-root": found.request.data_root, "--runs": found.request.runs}
    words = [word for name, folder in folders.items() if folder is not None for word in (name, str(folder))]
    command = " ".join([format_command(asdict(found.request)), *([shlex.join(words)] if words else [])])
    scores = ", ".join(dict.fromkeys(choice.score for choice in choices))
    files = {"file": str(found.file), "command": command}
    return {"score": scores, "choices": len(choices), "trials": found.trials, **files}


def _print_tuned(found: TuningResult, document: dict[str, Any]) -> None:
    default = dict.fromkeys((text.partition("=")[0].strip() for text in found.tuning.search.space), "default")
    rows = [
        {
            "trial": row["trial"],
            **(dict(setting.split("=", 1) for setting in row["settings"]) or default),
            **{target: "-" if mean is None else format_figure(mean) for target, mean in row["means"].items()},
            "chosen": f"{row['chosen']} of {document['choices']}",
        }
        for row in document["trials"]
    ]
    show_table(rows, title=f"{document['score']}, mean over the validation subjects of all folds")
    for number, error in found.errors.items():
        console.note(f"{', '.join(found.tuning.search.settings[number])} failed: {error.what}")
    console.wrapped(
        "Each fold uses the trial with the best score on its validation subjects. This score is too high because it "
        "was selected. Test the selected settings (this counts as a test-set evaluation):"
    )
    console.command(document["command"])


# `embench predict`: prediction of new recordings with a trained run.


def predict(
    run: Annotated[
        Path, Argument(metavar="RUN", help="Folder of a finished run; its stages and training data must be here.")
    ],
    dataset: Annotated[str, Option(help="New recordings: a dataset, or ./FOLDER of your own data; no labels needed.")],
    out: Annotated[Path, Option(help="CSV file to write.")] = Path("predictions.csv"),
    data_root: DataRoot = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Predict new recordings with what a run has trained; print the answers and limits of the run."""
    from embench.files import saving
    from embench.runs.reproduce import predict_with

    if out.exists():
        raise UsageError(f"{out} exists", where="--out", expected="a new file")
    with Progress(()) as progress:
        found = predict_with(run, dataset, data_root, trust_code=trust_code, progress=progress.event)
    with saving("the predictions", out), out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(found.rows[0]) if found.rows else ["unit"])
        writer.writeheader()
        writer.writerows(found.rows)
    about = {"run": found.run, "file": str(out), "rows": len(found.rows)}
    document = {**about, "answers": list(found.answers), "limits": list(found.limits)}

    def show() -> None:
        for line in found.answers:
            console.echo(line)
        console.echo()
        for line in found.limits:
            console.wrapped(line)
        console.echo(f"file: {out}, {len(found.rows)} predictions")

    console.answer(as_json, document, show)


# `embench pretrain`: pretraining on all subjects of a dataset or folder of recordings, as a start for runs; `embench
# weights`: weights from other code.


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
        str, Option(autocompletion=complete("pretrainer"), help="Name of a pretrainer; see `embench list pretrainer`.")
    ],
    corpus: Annotated[
        str,
        Option(
            metavar="NAME|DIR",
            autocompletion=complete("dataset"),
            help="A dataset, or a folder with a dataset.yaml; join several with plus signs.",
        ),
    ],
    seed: Annotated[int, Option(min=0, help="Seed of the initial weights and of the batch order.")] = 0,
    protocol: Annotated[
        str,
        Option(
            autocompletion=complete("protocol"),
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

    request = make_request(dataset=corpus, pretrainer=pretrainer, protocol=protocol, **options)
    if dry_run:
        document = plan_pretraining(request, seed).describe()
    else:
        with Progress() as progress:
            document = runner.pretrain(request, seed, progress=progress.event).to_dict()
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
        console.echo(f"trained on: {title}, {len(source['subjects'])} subjects, {hours}{labels}")
    console.echo(f"weights: {document['weights']}")
    console.echo(f"use the weights with: {document['use']}")


weights_app = typer.Typer(help="Convert weights trained by other code.", no_args_is_help=True)


@weights_app.callback()
def _weights() -> None:
    """Keep `convert` a subcommand while it is the only one."""


@weights_app.command("convert")
def convert(
    file: Annotated[Path, Argument(metavar="FILE", help="A checkpoint that torch.save wrote.")],
    out: Annotated[Path, Option(help="Folder to write to; must be empty or not exist.")],
    as_json: Json = False,
) -> None:
    """Convert a checkpoint to safetensors, with a manifest of its origin; no code in the checkpoint runs."""
    from embench.runs.pretrain import convert as run

    document = run(file, out).to_dict()
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
