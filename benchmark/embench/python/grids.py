"""`embench.grid` and `embench.tune`: a run for each combination of values, and settings that each fold chooses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from embench.planning.hub import offline
from embench.planning.parts import check_names
from embench.planning.pretraining import split_pretrained
from embench.planning.request import AXES, Request, grid_points, request_of
from embench.planning.tuning import Search
from embench.planning.weights import expand_axes
from embench.python.baselines import BaselineBoard
from embench.python.door import from_python
from embench.python.records import remember_own
from embench.python.running import plugin_name, request_with
from embench.python.showing import DryRun, watcher
from embench.records.record import read_record
from embench.screen.plan import run_plan
from embench.screen.progress import Progress
from embench.sets.table import board_rows
from embench.statistics.floor_gaps import gaps_of

if TYPE_CHECKING:
    from embench.python.running import AnyEncoder, AnyFusion, AnyPretrainer, Texts
    from embench.runs.tuning import Tuned

    Encoders: TypeAlias = AnyEncoder | Mapping[str, AnyEncoder]
    Values: TypeAlias = str | float | Sequence[str | float | None] | None

_PLUGINS = ("encoder", "pretrainer", "fusion")


@from_python
def grid(
    *,
    dataset: Texts,
    encoder: Encoders | Sequence[Encoders],
    pretrainer: AnyPretrainer | Sequence[AnyPretrainer | None] = (),
    fusion: AnyFusion | Sequence[AnyFusion | None] | None = None,
    modalities: Texts | None = None,
    target: Texts | None = None,
    protocol: Texts = Request.protocol,
    recipe: Texts | None = None,
    seeds: str | int | Sequence[int] | None = None,
    device: str = "auto",
    data_root: str | Path | None = None,
    runs: str | Path | None = None,
    set: Texts | Mapping[str, Any] = (),  # noqa: A002  the option is called so
    dev: bool = False,
    confounds: bool = True,
    train_dataset: Texts | None = None,
    drop: Values = None,
    label_subjects: Values = None,
    label_fraction: Values = None,
    lag: Values = None,
    given: Values = None,
    pretrained: Texts | None = None,
    workers: int | None = None,
    observer: Texts = (),
    floors: bool = False,
    executor: str = "local",
    cluster: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> BaselineBoard | list[DryRun]:
    """Runs all combinations of several values of its arguments; stages that runs share are computed once.

    A list is several values, one for each run, of any argument but `seeds`, `device`, `observer` and folders; in a list
    None is a run without that option. See `embench.run` for the arguments that are not explained here.

    Args:
        encoder: one or several; `{"eeg": a, "ecg": b}` is one value.
        modalities: `["eda", "ecg"]` are two runs, `"eda,ecg"` is one on both.
        set: settings with their values, as in `{"encoder.lr": [1e-4, 1e-3]}`.
        drop: also `each` and `all`.
        floors: also trains the networks of pretrained runs from scratch and at random, and runs handcrafted features.
        executor: who runs the stages: `local`, `slurm` or `ray`; `cluster`: its own options.
        dry_run: trains nothing, and returns the plan of each run.

    Returns:
        A board, which prints as a table. Differences are from the first run: the first value of each list. Also
        `to_pandas()`, `answers`, `results`, `floors`, and `failures`, which names runs that failed.

    Raises:
        UsageError, DataError: a run cannot be planned; nothing was trained.
    """
    given_values = dict(locals())
    axes = {name: _axis(name, given_values[name.replace("-", "_")]) for name in AXES}
    shared = {name: given_values[name] for name in _SHARED}
    asked = [request_of(**shared, **point) for point in grid_points({k: v for k, v in axes.items() if v})]
    check_names(asked)
    points = list(dict.fromkeys(each for request in asked for each in expand_axes(request)))
    pretrained_rows, plain = split_pretrained(points) if floors else ([], points)
    requests = list(dict.fromkeys([*(each for row in pretrained_rows for each in row.requests), *plain]))
    from embench.runs import run as runner  # imports torch, which takes longer than to refuse what is wrong

    with Progress(()) if progress else nullcontext() as shown:
        watch = watcher(shown)
        if dry_run:
            with offline():
                documents = runner.describe_plans(requests, watch)
            return [DryRun(document, tuple(run_plan(document))) for document in documents]
        done = runner.grid(requests, executor, workers, watch, dict(cluster or {}))
    results = [remember_own(result) for result in done.results]
    gaps = gaps_of([read_record(result.folder) for result in results]) if floors else []
    compared = {(record.run["id"], target): found for record, target, found in gaps}
    return BaselineBoard(board_rows(results, reference="first"), results, done.failures, floors=compared)


_SHARED = ("seeds", "device", "data_root", "runs", "dev", "confounds", "workers", "observer")


def _axis(name: str, value: Any) -> list[str]:
    """The values of an option for the points of a grid, as texts; none where it is not used."""
    if name == "set":
        return _settings(value)
    if value is None or value == ():
        return []
    return [_text(name, each) for each in (value if isinstance(value, list | tuple) else [value])]


def _text(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name == "encoder" and isinstance(value, Mapping):
        return ",".join(f"{m}={plugin_name(name, each)}" for m, each in value.items())
    return str(plugin_name(name, value) if name in _PLUGINS else value)


def _settings(given: Texts | Mapping[str, Any]) -> list[str]:
    if isinstance(given, Mapping):
        pairs = ((path, each if isinstance(each, list | tuple) else [each]) for path, each in given.items())
        return [setting for path, values in pairs for setting in request_settings(path, values)]
    return [given] if isinstance(given, str) else list(given)


def request_settings(path: str, values: Iterable[Any]) -> tuple[str, ...]:
    """Settings of one path, as `--set` has them."""
    return tuple(each for value in values for each in request_of(dataset="", set={path: value}).settings)


@from_python
def tune(
    *,
    dataset: str,
    encoder: AnyEncoder | Sequence[str] | Mapping[str, AnyEncoder],
    search: Texts | Mapping[str, Any],
    trials: int = 20,
    sampler_seed: int = 0,
    pretrainer: AnyPretrainer | Sequence[AnyPretrainer] = (),
    fusion: AnyFusion | None = None,
    modalities: Texts | None = None,
    target: Texts | None = None,
    protocol: str = Request.protocol,
    recipe: str | None = None,
    seeds: str | int | Sequence[int] | None = None,
    set: Texts | Mapping[str, Any] = (),  # noqa: A002  the option is called so
    device: str = "auto",
    data_root: str | Path | None = None,
    runs: str | Path | None = None,
    train_dataset: str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Tuned:
    """Chooses the settings of a method in each fold, on its validation subjects only.

    `embench.run(..., tuned=found.file)` with the same arguments tests the choices.

    Args:
        dataset: see `embench.run`, as for all arguments that are not explained here.
        search: settings to search, as in `{"encoder.lr": "log:1e-4..1e-2", "encoder.batch": [16, 32]}`, or texts such
            as `"encoder.lr=log:1e-4..1e-2"`.
        trials: number of trials; the first has the method's own settings.
        sampler_seed: seed of the sampled settings.
        set: settings that all trials share.

    Returns:
        The choices: `to_pandas()` has the trials, `file` is what `tuned=` takes.

    Raises:
        UsageError, DataError: a setting does not exist, or the data are missing. Unfinished: the method fails as it is.
    """
    given = dict(locals())
    values = {name: given[name] for name in given if name not in ("search", "trials", "sampler_seed", "progress")}
    if isinstance(search, Mapping):
        pairs = search.items()
        space = [f"{k}={','.join(map(str, v)) if isinstance(v, list | tuple) else v}" for k, v in pairs]
    else:
        space = [search] if isinstance(search, str) else list(search)
    from embench.planning.tuning import space_of
    from embench.runs import tuning  # imports torch, which takes longer than to refuse what is wrong

    space_of(space)
    request = request_with(values)
    with Progress(()) if progress else nullcontext() as shown:
        return tuning.tune(request, Search(space=tuple(space), trials=trials, seed=sampler_seed), watcher(shown))
