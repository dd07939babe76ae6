"""Options shared by several commands, `--config FILE`, and the examples below each command's help."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer import Argument
from typer.models import OptionInfo

import embench
from embench import registry
from embench.cli import console
from embench.errors import UsageError
from embench.files import MOST_YAML, parse_yaml, read_text
from embench.planning.hub import offline
from embench.planning.request import OF_THE_MACHINE, OPTIONS, Option, Request
from embench.records.wording import grouped
from embench.vocabulary import did_you_mean

# Options shared by several commands, and `--config FILE`, which reads options from a file.


class Preset(StrEnum):
    """Presets of a recipe, explained in `embench.interfaces.recipe.PRESETS`."""

    paper = "paper"
    small = "small"
    quick = "quick"


def _check_device(device: str) -> str:
    if device == "mps":
        console.note("--device mps is untested: first compare a small run with the same run on --device cpu")
    return device


def _keep_stdout(context: typer.Context, as_json: bool) -> bool:
    if as_json and not context.resilient_parsing:
        console.keep_stdout()
    return as_json


def _complete_device(incomplete: str) -> list[str]:
    return [name for name in ("auto", "cpu", "cuda", "mps") if name.startswith(incomplete)]


def complete(kind: str | None) -> Callable[[str], list[str]]:
    """Return a function that completes names of one kind of plugin, also after `eeg=`, or names of protocols.

    Args:
        kind: kind of plugin, or `protocol`; None: all kinds of plugins.
    """

    def list_matches(incomplete: str) -> list[str]:
        if kind == "protocol":  # `embench.protocols` would import pydantic, which is slow
            files = (Path(embench.__file__).parent / "protocols").glob("*.yaml")
            known = sorted(path.stem for path in files)
        else:
            with warnings.catch_warnings(action="ignore"):  # they would disturb the line that the user types
                known = embench.list_plugins(kind) if kind else sorted({e.name for e in registry.entries()})
        before = incomplete[: incomplete.rfind("=") + 1]
        return [before + name for name in known if (before + name).startswith(incomplete)]

    return list_matches


_TYPES: dict[str, Any] = {**get_type_hints(Request), "recipe": Preset | None, "seeds": str | None}
"""Field of a request -> its type on the command line, which is stricter than in `Request` for some fields."""
_EXTRA: dict[str, dict[str, Any]] = {
    "device": {"callback": _check_device, "autocompletion": _complete_device},
    "workers": {"min": 1},
    "train-dataset": {"autocompletion": complete("dataset")},
    **{kind: {"autocompletion": complete(kind)} for kind in ("dataset", "encoder", "pretrainer", "fusion", "protocol")},
}


def with_options(
    *names: str,
    help_texts: Mapping[str, str] | None = None,
    before: Mapping[str, str] | None = None,
    points: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds options of `embench.planning.request.OPTIONS` to a command. The command receives
    them as keywords with the field names of a request.

    Args:
        names: names of the options; default: all.
        help_texts: option -> its help in this command, if it differs.
        before: parameter of the command -> option before which the help lists it; default: after all options.
        points: whether options that a grid may vary are lists of values.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        parameters = [p for p in signature(command).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        parameters = [p.replace(annotation=hints[p.name], kind=Parameter.KEYWORD_ONLY) for p in parameters]
        order = []
        for option in (o for o in OPTIONS if not names or o.name in names):
            order += [p for p in parameters if (before or {}).get(p.name) == option.name]
            order.append(_make_parameter(option, (help_texts or {}).get(option.name), points))
        order += [p for p in parameters if p.name not in (before or {})]
        order = order if names else [_put_in_panel(p) for p in order]  # few options need no panels

        @wraps(command)
        def wrapper(**values: Any) -> None:
            command(**{name: _unwrap_enum(value) for name, value in values.items()})

        wrapper.__signature__ = Signature(order)  # type: ignore[attr-defined]  # what typer reads
        wrapper.__annotations__ = {p.name: p.annotation for p in order}
        return wrapper

    return decorate


def parse_cluster(texts: Sequence[str]) -> dict[str, str]:
    """Parse `["partition=gpu"]` into `{"partition": "gpu"}`. Raises UsageError if an item has no value."""
    chosen = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError("an executor option has no value", where=f"--cluster {text}", expected="KEY=VALUE")
        chosen[key] = value
    return chosen


def _make_parameter(option: Option, help_text: str | None, points: bool) -> Parameter:
    """Return the parameter from which typer makes a command-line option; see `with_options`."""
    hint = _TYPES[option.field]
    default: Any = Parameter.empty if option.required else getattr(Request, option.field)
    text = help_text or option.help
    if points and option.points is not None:
        hint, default, text = (list[Preset] if option.name == "recipe" else list[str]) | None, None, option.points
    elif hint == tuple[str, ...]:
        hint, default = (list[str], default) if option.required else (list[str] | None, None)
    text = text.replace("[", "\\[")  # rich would take it for markup
    flag = f"--{option.name}/--no-{option.name}" if default is True else f"--{option.name}"
    info = typer.Option(flag, help=text, **_EXTRA.get(option.name, {}))
    return Parameter(option.field, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info])


_PANELS = {option.field: option.panel for option in OPTIONS} | {
    "_config": "Files",
    "_from": "Files",
    "pretraining_comparison": "Experiments",
    "executor": "Machine",
}


def _put_in_panel(parameter: Parameter) -> Parameter:
    """Return the parameter with the title of its panel in the help, for commands with all options."""
    title = _PANELS.get(parameter.name)
    hint, *infos = get_args(parameter.annotation)
    if title is None or not infos or not isinstance(infos[0], OptionInfo):
        return parameter
    info = copy(infos[0])
    info.rich_help_panel = title
    return parameter.replace(annotation=Annotated[hint, info])


def _unwrap_enum(value: Any) -> Any:
    return [_unwrap_enum(item) for item in value] if isinstance(value, list) else getattr(value, "value", value)


_HELP = {option.name: option.help for option in OPTIONS}
DatasetName = Annotated[str, Argument(metavar="DATASET", help="Name of a dataset; see `embench list dataset`.")]
ProtocolName = Annotated[
    str, typer.Option("--protocol", autocompletion=complete("protocol"), help="Name of a protocol, or a YAML file.")
]
Leaderboards = Annotated[Path, typer.Option("--leaderboards", help="Folder of published entries.")]
DataAt = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Dataset of the runs: for your own data, its folder.",
        autocompletion=complete("dataset"),
    ),
]
DataRoot = Annotated[Path | None, typer.Option("--data-root", help=_HELP["data-root"])]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code", help="Import the Python files that a record names; use it only if you trust their author."
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", callback=_keep_stdout, help="Print one JSON document to stdout and everything else to stderr."
    ),
]
ExecutorName = Annotated[
    str,
    typer.Option("--executor", help="Executor that runs the stages: local; slurm and ray are experimental."),
]
Cluster = Annotated[
    list[str] | None,
    typer.Option("--cluster", help="Option of the executor: partition=gpu for slurm, address=HOST:PORT for ray."),
]
WithPretrainingComparison = Annotated[
    bool,
    typer.Option(
        "--pretraining-comparison", help="Also train the pretrained network from scratch and run handcrafted features."
    ),
]


def _stay_offline(context: typer.Context, dry_run: bool) -> bool:
    if dry_run:
        context.with_resource(offline())
    return dry_run


DryRunOption = Annotated[bool, typer.Option("--dry-run", callback=_stay_offline, help="Print the plan and exit.")]
ForecastFor = Annotated[
    str | None,
    typer.Option(
        "--forecast-for",
        metavar="GPU",
        help="With --dry-run: hours on a100, h100, h200, l4 or l40s, which need not be here; default recipe: paper.",
    ),
]


def apply_forecast(gpu: str | None, options: dict[str, Any], *, dry_run: bool) -> str | None:
    """Return the name of the GPU to forecast for; the plan is then made on the CPU, whose ratios are measured, and by
    default at recipe `paper`. Raises UsageError without `--dry-run`, or for an unknown GPU."""
    if gpu is None:
        return None
    if not dry_run:
        raise UsageError("only a plan has a forecast", where=f"--forecast-for {gpu}", expected="--dry-run, too")
    from embench.planning.gpus import check_gpu

    options |= {"recipe": options["recipe"] or Preset.paper.value, "device": "cpu"}
    return check_gpu(gpu)


Confounds = Annotated[bool, typer.Option("--confounds/--no-confounds", help=_HELP["confounds"])]
Every = Annotated[bool, typer.Option("--all", help="Print every score, not only the summary.")]


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the values in a file the command's defaults; options on the command line override them."""
    if path is not None:
        by_name = {opt.lstrip("-"): p for p in context.command.params for opt in p.opts if opt.startswith("--")}
        content = read_options(path)
        for key in content:
            if key.replace("_", "-") not in by_name or key == "config":
                raise UsageError(f"unknown option `{key}`", where=str(path), hint=did_you_mean(key, by_name))
        chosen = {by_name[key.replace("_", "-")]: value for key, value in content.items()}
        context.default_map = {p.name or "": _as_option(p, value) for p, value in chosen.items()}
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=_read_config,
        is_eager=True,
        help="YAML file with options; the command line overrides the file.",
    ),
]


def _read_request(context: typer.Context, path: Path | None) -> Path | None:
    """Make the request in a record the command's defaults; options on the command line override them."""
    if path is not None:
        from embench.records.record import read_manifest

        run = read_manifest(path)
        request = run.config.get("request")
        if request is None:
            what = "the record contains submitted predictions, so embench cannot repeat the run"
            raise UsageError(what, where=str(path))
        stated = {**request, "recipe": run.recipe.preset, "seeds": run.seeds}
        if request.get("tuned"):
            stated["tuned"] = str(path / request["tuned"])
        parameters = {p.name or "": p for p in context.command.params}
        known = {name: p for name, p in parameters.items() if name in stated and name not in OF_THE_MACHINE}
        values = {name: _as_option(p, stated[name]) for name, p in known.items() if stated[name] not in (None, [])}
        context.default_map = {**(context.default_map or {}), **values}
    return path


From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        callback=_read_request,
        is_eager=True,
        metavar="<path>",
        help="Folder of a run or leaderboard entry to repeat; the command line overrides its options.",
    ),
]


def read_options(path: Path) -> Mapping[str, Any]:
    """Return the mapping in a YAML file. Raises UsageError if the file is missing or holds anything else."""
    import yaml

    try:
        content = parse_yaml(read_text(path, MOST_YAML))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise UsageError(f"{path} is not a mapping", expected="`option: value` lines, such as `dataset: amigos`")
    return {str(key): value for key, value in content.items()}


def as_texts(value: Any) -> list[str]:
    """Return the values of a repeatable option from a YAML file: `{eeg: tcn}` becomes `["eeg=tcn"]`, a list its items
    as strings, any other value a list of one string."""
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _as_option(parameter: Any, value: Any) -> Any:
    if getattr(parameter, "multiple", False):
        return as_texts(value)
    return value if isinstance(value, bool) or value is None else ",".join(as_texts(value))


def find_runs(runs: Sequence[Path] | None, dataset: str | None, command: str) -> list[Path]:
    """Return the folders of runs that a user named; if none, of all finished runs of `dataset` in runs/.

    Raises:
        UsageError: neither runs nor dataset are named, or the dataset has no finished run there.
    """
    if runs:
        return list(runs)
    if dataset is None:
        raise UsageError("no run is named", where=command, expected="RUN.., or --dataset for all of its runs in runs/")
    from embench.data.find import find_source
    from embench.leaderboard.entries import find_finished_runs

    name, place = find_source(dataset, None).full_name, Request(dataset).runs_folder
    if found := find_finished_runs(place, name):
        return found
    raise UsageError(f"no finished run of {dataset} found", where=f"{place}/", expected="folders of runs: RUN..")


# Examples below the options in each command's help.

_GROUPS = ("challenge", "data", "weights", "plugin", "leaderboard")
_EXAMPLES = """
embench run --dataset amigos --encoder cnn_tf --fusion cross_attn --recipe quick --dry-run
embench run --dataset stress_predict --encoder handcrafted --fusion logreg --modalities eda --seeds 0
embench run --dataset deap --encoder eeg=tcn --encoder eda=cnn_tf --fusion late --set encoder.lr=1e-4
embench run --from leaderboards/stress_predict/subject-independent-v4/unet_se-single-b0b0eeb59b
embench grid --dataset deap --encoder tcn --encoder cnn_tf --modalities eda --recipe quick
embench grid status runs
embench tune --dataset wesad --encoder tcn --modalities eda --search encoder.lr=log:1e-4..1e-2 --trials 30
embench tune --dataset wesad --encoder handcrafted --fusion logreg --search fusion.build.C=log:1e-3..10
embench predict runs/amigos/tcn-single-0123456789 --dataset ./study --out new.csv
embench predict runs/study/handcrafted-ridge-0123456789 --dataset ./new_people
embench pretrain --corpus wearable_stress --encoder cnn_tf --pretrainer masked_value
embench pretrain --corpus case --encoder tcn --pretrainer signal_transform --modalities eda --recipe quick
embench list
embench list encoder
embench list protocol
embench info cnn_tf
embench info cnn_tf --dataset stress_predict
embench info subject-independent-v4
embench doctor
embench doctor --data-root ~/data
embench clean
embench clean data stages --yes
embench audit runs/deap/tcn-single-0123456789
embench audit predictions.csv --dataset deap
embench baselines --dataset stress_predict --seeds 0
embench baselines --dataset amigos --modalities ecg,eda --target arousal
embench baselines --dataset amigos --baseline-set standard-v1 --level extended --hours 8 --dry-run
embench score predictions.csv --dataset stress_predict
embench score predictions.csv --dataset stress_predict --name ours --out scored/ours
embench export runs/deap/* --latex
embench export runs/deap/* --methods --bibtex
embench export runs/deap/* --unit-table ratings.csv
embench compare runs/deap/*
embench compare runs/a runs/b --metric auroc --all
embench claims
embench claims vazquez2022 --dry-run
embench claims woo2023 --claim W1 --recipe quick --seeds 0
embench report runs/deap/tcn-single-0123456789
embench report runs/deap/tcn-single-0123456789 --share --out report.html
embench data status
embench data status deap --data-root ~/data
embench data fetch stress_predict --data-root ~/data
embench data fetch faced --subjects sub-004,sub-036,sub-061
embench data verify deap --data-root ~/data
embench data verify ./study
embench data labels deap --target arousal
embench data labels deap --units units.csv
embench data confounds stress_predict
embench data confounds amigos --target arousal --data-root ~/data
embench data report stress_predict --out report.html
embench data report ./study --subjects S02,S07 --out two.html
embench data synthesize amigos --out demo/amigos --subjects 18
embench data synthesize stress_predict --out demo/stress_predict
embench data new ./study
embench data new ~/recordings/second_study
embench data prepare deap --workers 4
embench data prepare ./study
embench data pseudonyms ./study
embench data pseudonyms ./study --json
embench weights convert best_model.pth --out weights/case
embench weights convert checkpoints/encoder_last.pt --out weights/encoder --json
embench plugin new encoder my_net
embench plugin new dataset my_study --out ~/my_study
embench plugin check embench_my_net
embench plugin check ./my_net.py:MyNet
embench challenge new ./study --target arousal --out calm
embench challenge new --out calm --public-value 8f3a5c
embench challenge check mine --package public --out mine.zip
embench challenge check mine.zip --package public
embench challenge score inbox --challenge calm
embench challenge score inbox --challenge calm --json
embench challenge close inbox --challenge calm
embench challenge close --challenge calm --rerun alpha=again.csv
embench challenge verify results
embench challenge verify calm/results
embench challenge bundle --challenge calm --image example/embench-score:0.1 --out codabench.zip
embench challenge bundle --challenge calm --image example/embench-score:0.1 --out again.zip
embench leaderboard show
embench leaderboard show stress_predict --filter modalities~eda --sort -auroc_within
embench leaderboard show --target stress --format csv
embench leaderboard build
embench leaderboard build --from runs
embench leaderboard overview
embench leaderboard overview --out overview.parquet
embench leaderboard site --out pages
embench leaderboard site --out pages --notes docs/leaderboards
embench leaderboard site --runs runs --out pages
embench leaderboard submit runs/deap/tcn-single-0123456789
embench leaderboard submit runs/study/tcn-single-0123456789 --data-root . --consent --ethics 'IRB, no. 17'
embench leaderboard reveal-nonce --commit
embench leaderboard reveal-nonce --leaderboards leaderboards
embench leaderboard verify leaderboards
embench leaderboard verify leaderboards/eegmat/subject-independent-v4/ENTRY --data-root ~/data
embench leaderboard reproduce leaderboards/eegmat/ENTRY --attester 'A. Name' --spot-check 2
embench leaderboard reproduce leaderboards/eegmat --attester 'A. Name' --data-root ~/data
"""
EXAMPLES = grouped(
    (" ".join(words[1:3] if words[1] in _GROUPS else words[1:2]), line)
    for line in _EXAMPLES.split("\n")[1:-1]
    for words in [line.split()]
)
"""Command -> example command lines."""

_WIDTH = 78
"""Characters in a line of an example, without margins."""


def add_examples(app: typer.Typer, group: str = "") -> None:
    """Add the examples below the help of each command of an app and of its groups."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        if lines := EXAMPLES.get(f"{group}{name}"):
            command.epilog = "\n".join(["Examples:", *(console.fold_command(line, _WIDTH) for line in lines)])
    for inner in app.registered_groups:
        if inner.typer_instance is not None:
            add_examples(inner.typer_instance, f"{inner.name} ")
