"""`embench.run` and `embench.benchmark`: a method, given by names or as objects, on a dataset.

>>> import embench
>>> data = {"dataset": "amigos", "modalities": "eda", "target": "arousal", "seeds": 0}
>>> run = embench.run(encoder="handcrafted", fusion="logreg", **data)
>>> 0 <= run.scores.get_score("arousal", "auroc_within").mean <= 1
True
>>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
>>> other = embench.run(encoder="handcrafted", fusion=LinearDiscriminantAnalysis(), **data)
>>> embench.compare(run, other, metric="auroc_within").metric
'auroc_within'
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from embench import registry
from embench.errors import UsageError
from embench.planning.hub import offline
from embench.planning.request import Request, make_request
from embench.python.records import from_python, in_python, remember_own, store_plugin
from embench.screen import PlanPart, Progress, plan_text, run_plan, suggest_smaller
from embench.system import EventCallback

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from embench.interfaces.encoder import Encoder
    from embench.interfaces.fusion import Estimator, Fusion
    from embench.interfaces.pretrainer import Pretrainer
    from embench.statistics.result import Result

    AnyEncoder: TypeAlias = str | type[Encoder]
    AnyPretrainer: TypeAlias = str | type[Pretrainer]
    AnyFusion: TypeAlias = str | type[Fusion | Estimator] | BaseEstimator
    Texts: TypeAlias = str | Sequence[str]


# Output of Python functions: the events of a run on stderr, and the plan of a dry run.


@dataclass(frozen=True, repr=False)
class DryRun:
    """The plan that `dry_run=True` returns; its text is the output of `--dry-run`.

    Args:
        document: the output of `--dry-run --json`.
    """

    document: Mapping[str, Any]
    parts: Iterable[PlanPart]

    def __repr__(self) -> str:
        return plan_text(self.parts)


def make_watcher(bar: Progress | None) -> EventCallback:
    """Return a callback that prints the events of a run on `bar`; without it, only notes on objects and
    leaderboards."""

    def watch(event: Mapping[str, Any]) -> None:
        if bar:
            bar.event(event)
        elif event["event"] == "note" and ("leaderboards reject" in event["text"] or "note on" in event["text"]):
            sys.stderr.write(f"{event['text']}\n")

    return watch


_INTERFACES = {
    "encoder": ("embench.interfaces.encoder", ("Encoder",)),
    "pretrainer": ("embench.interfaces.pretrainer", ("Pretrainer",)),
    "fusion": ("embench.interfaces.fusion", ("Fusion", "Estimator")),
}


@from_python
def run(
    *,
    dataset: str,
    encoder: AnyEncoder | Sequence[str] | Mapping[str, AnyEncoder],
    pretrainer: AnyPretrainer | Sequence[AnyPretrainer] = (),
    fusion: AnyFusion | None = None,
    modalities: Texts | None = None,
    target: Texts | None = None,
    protocol: str = Request.protocol,
    recipe: str | None = None,
    seeds: str | int | Sequence[int] | None = None,
    partitions: str | None = None,
    device: str = "auto",
    data_root: str | Path | None = None,
    runs: str | Path | None = None,
    set: Texts | Mapping[str, Any] = (),  # noqa: A002  the option is called so
    dev: bool = False,
    confounds: bool = True,
    train_dataset: str | None = None,
    drop: Texts | None = None,
    label_subjects: str | int | None = None,
    label_fraction: str | float | None = None,
    lag: str | float | None = None,
    calibration_data: str | int | None = None,
    pretrained: str | Path | None = None,
    tuned: str | Path | None = None,
    workers: int | None = None,
    observer: Texts = (),
    dry_run: bool = False,
    progress: bool = True,
) -> Result | DryRun:
    """Run one method on one dataset under a protocol, write its record and return its scores.

    Plan, expected time and progress are printed on stderr. The same call resumes an interrupted run.

    Args:
        dataset: name of a dataset, or `./FOLDER` of your own data; see `embench.list_plugins("dataset")`.
        encoder: a name for all modalities; a class of encoders, such as `embench.make_encoder` makes; or one for each
            modality, as in `{"eeg": "cnn_tf", "eda": MyEncoder}` or `["eeg=cnn_tf", "eda=tcn"]`.
        pretrainer: names or classes of pretrainers, in the order in which they run.
        fusion: a name, a class, or a scikit-learn estimator or Pipeline fitted to features; `single` for one modality.
        modalities: such as `"eda,ecg"` or `["eda", "ecg+resp", "ecg[left]"]`; by default the card's.
        target: targets; by default those of the dataset's card.
        protocol: name of a protocol, or a YAML file.
        recipe: `paper`, `small` or `quick`: the size of networks and training; by default `paper` on a GPU, `small` on
            a CPU. Runs with `quick` never enter a leaderboard.
        seeds: as a text, a number or several; each seed has its own folds. By default 0, 1 and 2; for estimators on
            features the balanced partitions, 0 to 5 or 0 to 4; 0 under the protocol of a paper.
        partitions: `"balanced"`: the seeds in which any two subjects share a test fold once.
        device: device for training networks: `auto`, `cpu`, `cuda`, `cuda:1` for the second GPU, or `mps`.
        data_root: folder that contains the datasets; by default `$EMBENCH_DATA`, else the user's data folder.
        runs: folder to which runs are written; by default `runs` in the working folder.
        set: settings to change, as in `{"fusion.lr": 1e-4}` or `["fusion.lr=1e-4"]`.
        dev: score the validation subjects instead of the test subjects.
        confounds: False leaves out the confound analysis, which follows the scores.
        train_dataset: train on this dataset, and test on `dataset`.
        drop: modalities to remove at test time.
        label_subjects: number of training subjects with labels, or `"all"`.
        label_fraction: proportion of each training subject's labels that is used: above 0, at most 1.
        lag: seconds by which labels are read later than signals, or earlier below 0; by default the card's.
        calibration_data: under `personalise-v1`, data of each test subject to which the method adapts: a number of
            labelled units of each class, `"unlabelled:5"`, or `"session"`; by default none.
        pretrained: weights to start from: a file, a run, or a result of `embench pretrain`.
        tuned: file of `embench tune` with the settings of each fold.
        workers: number of parallel processes; by default one per CPU core.
        observer: observers to notify of events.
        dry_run: train nothing, and return the plan as text with its `document` (as of `--dry-run --json`).
        progress: False prints no progress.

    Raises:
        UsageError: an argument names something that does not exist or does not fit.
        DataError: the data are missing or damaged. EmbenchError: a plugin or the machine failed.
    """
    values = {name: value for name, value in locals().items() if name not in ("dry_run", "progress")}
    return _run(values, dry_run=dry_run, progress=progress)


def _run(values: Mapping[str, Any], *, dry_run: bool, progress: bool) -> Result | DryRun:
    """Run the method of the arguments `values` of `run`; with `dry_run`, return only its plan."""
    from embench.runs import run as runner  # imports torch, which is slow

    request = request_with(values)
    with Progress(map(str, map(in_python, suggest_smaller(request)))) if progress else nullcontext() as bar:
        if not dry_run:
            return remember_own(runner.run(request, progress=make_watcher(bar)))
        with offline():
            (document,) = runner.describe_plans([request], make_watcher(bar))
        return DryRun(document, tuple(run_plan(document)))


def request_with(values: Mapping[str, Any]) -> Request:
    """Return the request for the arguments `values` of `run`; plugins may be objects instead of names."""
    pretrainers = values["pretrainer"] if isinstance(values["pretrainer"], list | tuple) else [values["pretrainer"]]
    # Options are first checked as strings. Names of objects, which users may not type, are inserted afterwards.
    return replace(
        make_request(**{**values, "encoder": (), "pretrainer": (), "fusion": None}),
        encoders=_name_encoders(values["encoder"]),
        pretrainers=tuple(str(plugin_name("pretrainer", each)) for each in pretrainers if each is not None),
        fusion=plugin_name("fusion", values["fusion"]),
    )


@from_python
def benchmark(
    model: AnyEncoder | AnyFusion,
    dataset: str,
    *,
    modalities: Texts | None = None,
    target: Texts | None = None,
    protocol: str = Request.protocol,
    recipe: str | None = None,
    seeds: str | int | Sequence[int] | None = None,
    data_root: str | Path | None = None,
    runs: str | Path | None = None,
    workers: int | None = None,
    name: str | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> Result | DryRun:
    """Evaluate a model for the first time: `embench.run` with the missing parts filled in.

    Args:
        model: a scikit-learn estimator or Pipeline, fitted to the `handcrafted` features of all default modalities; or
            an encoder, such as from `embench.make_encoder`, for the first default modality that it reads; or the name
            of either.
        dataset: see `embench.run`, which explains all arguments that are not listed here.
        modalities: modalities to read instead. An encoder reads several only if they are joined, as in `"ecg+eda"`.
        name: name of the model in tables and ids; by default the classes of a pipeline's steps, or the network's.

    Raises:
        UsageError, DataError, EmbenchError: as `embench.run`.
    """
    rest: dict[str, Any] = {key: value for key, value in locals().items() if key not in ("model", "modalities", "name")}
    names = registry.list_plugins("encoder")
    is_encoder = model in names if isinstance(model, str) else hasattr(model, "accepts")
    if name is not None:
        model = _rename_model(model, name)
    encoder: Any = model if is_encoder else "handcrafted"
    if modalities is None:
        encoder_class = registry.load_plugin("encoder", encoder) if isinstance(encoder, str) else encoder
        accepts = encoder_class.accepts
        card = make_request(dataset=dataset, protocol=protocol, data_root=data_root).card
        recorded = {m for m, about in card.modalities.items() if len(about.channels) >= encoder_class.min_channels}
        readable = [m for m in card.default_modalities if m in recorded and registry.known_as(accepts, m)]
        if not readable:
            others = [m for m in sorted(card.modalities) if registry.known_as(accepts, m)]
            what = f"{card.name} has no default modality that the encoder reads"
            raise UsageError(what, where="modalities=", expected=f"some of {', '.join(others) or 'another encoder'}")
        modalities = readable[:1] if is_encoder else readable
    return run(encoder=encoder, fusion=None if is_encoder else model, modalities=modalities, **rest)


def _rename_model(model: Any, name: str) -> type[Any]:
    """Return the model as a class with another name. Raises UsageError for names of plugins, and for invalid names."""
    if isinstance(model, str):
        what = f"{model} is a plugin and already has a name"
        raise UsageError(what, where="name=", expected="a model given as an object")
    from embench.python.networks import estimator_class
    from embench.python.records import checked_name

    if isinstance(model, type):
        return type(checked_name(name), (model,), {"__module__": model.__module__, "__doc__": model.__doc__})
    return estimator_class(model, name)


def _name_encoders(encoder: Any) -> tuple[str, ...]:
    if isinstance(encoder, Mapping):
        return tuple(f"{modality}={plugin_name('encoder', each)}" for modality, each in encoder.items())
    several = encoder if isinstance(encoder, list | tuple) else [encoder]
    return tuple(str(plugin_name("encoder", each)) for each in several)


def plugin_name(kind: str, value: Any) -> str | None:
    """Return the name of a plugin. An object gets a name under which worker processes can load it.

    Args:
        kind: `encoder`, `pretrainer` or `fusion`.
        value: name, path or object; None: no plugin.

    Raises:
        UsageError: the object is not a plugin of this kind.
    """
    if value is None or isinstance(value, str | Path):
        return None if value is None else str(value)
    module, names = _INTERFACES[kind]
    interface = __import__(module, fromlist=names)
    bases = tuple(getattr(interface, name) for name in names)
    where = f"{kind}="
    if isinstance(value, type) and issubclass(value, bases):
        source = None
        with suppress(OSError, TypeError):
            source = inspect.getsource(getattr(value, "make", value))
        return store_plugin(kind, value, text=_describe_object(value), source=source)
    if isinstance(value, bases):
        what = f"this is an object of the class {type(value).__name__}"
        raise UsageError(what, where=where, expected="the class itself; each fold creates its own object")
    if kind == "fusion":
        from embench.python.networks import estimator_class, is_estimator

        if is_estimator(value):
            return store_plugin(kind, estimator_class(value), text=_describe_object(value))
        if isinstance(value, type) and is_estimator_class(value):
            raise UsageError(f"{value.__name__} is a class", where=where, expected=f"an estimator: {value.__name__}()")
    from torch import nn

    if isinstance(value, nn.Module):
        raise UsageError(
            f"a network that exists already ({type(value).__name__}): it may have learned from test subjects, and "
            "all folds would train the same weights",
            where=where,
            expected="a function or class that makes a new network for each fold and seed",
            hint=f"embench.make_encoder(lambda channels, samples: {type(value).__name__}(...))",
        )
    cls = value if isinstance(value, type) else type(value)
    if kind == "encoder" and is_estimator_class(cls):
        way = f'encoder="handcrafted", fusion={cls.__name__}(..)'
        raise UsageError(f"{cls.__name__} is a fusion", where=where, expected="an encoder", hint=way)
    if callable(value):  # `benchmark` passes everything that is not an encoder as a fusion
        called = getattr(value, "__name__", type(value).__name__)
        expected = f"a name, or a subclass of {module}.{names[0]}"
        hint = f"if it makes networks, pass embench.make_encoder({called}) as the encoder or to embench.benchmark"
        raise UsageError(f"{called} is not a {kind}", where=where, expected=expected, hint=hint)
    raise UsageError(
        f"a {type(value).__name__} is not a {kind}",
        where=where,
        expected=f"a name, or a subclass of {' or '.join(f'{module}.{name}' for name in names)}"
        + (", or a scikit-learn estimator" if kind == "fusion" else ""),
    )


def is_estimator_class(value: type[Any]) -> bool:
    """Return True for a class of scikit-learn estimators."""
    return all(hasattr(value, name) for name in ("fit", "predict", "get_params"))


def _describe_object(value: Any) -> str:
    """Return a text on the user's object for the record: its `repr`, or its class and bases."""
    value = getattr(value, "given", value)  # the user's estimator, if embench made a class from it
    if not isinstance(value, type):
        try:
            text = value.__repr__(N_CHAR_MAX=100_000)
        except TypeError:
            text = repr(value)
    elif recipes := hasattr(value, "make") and getattr(value, "recipes", None):
        text = f"embench.make_encoder({value.__name__}): {recipes['paper']}"
    else:
        text = f"class {value.__qualname__}({', '.join(base.__name__ for base in value.__bases__)})"
    return re.sub(r" at 0x[0-9a-f]+", "", text)
