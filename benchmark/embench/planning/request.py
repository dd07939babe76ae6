"""A user's request, checked as far as possible without data, and grid points."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from embench.errors import UsageError
from embench.vocabulary import did_you_mean

if TYPE_CHECKING:
    from embench.data.find import Source
    from embench.interfaces.dataset import Card
    from embench.records.manifest import Manifest


@dataclass(frozen=True)
class Request:
    """A run as the command line or Python requests it; see `embench run --help` for each field. Without `seeds`, the
    plan uses `embench.records.manifest.default_seeds`."""

    dataset: str
    encoders: tuple[str, ...] = ("cnn_tf",)
    fusion: str | None = None
    pretrainers: tuple[str, ...] = ()
    modalities: str | None = None
    targets: str | None = None
    protocol: str = "subject-independent-v4"
    recipe: str | None = None
    seeds: str | int | Sequence[int] | None = None
    partitions: str | None = None
    device: str = "auto"
    data_root: Path | None = None
    runs: Path | None = None
    settings: tuple[str, ...] = ()
    dev: bool = False
    confounds: bool = True
    train_dataset: str | None = None
    drop: str | None = None
    label_subjects: str | None = None
    label_fraction: str | None = None
    lag: str | None = None
    calibration_data: str | None = None
    pretrained: str | None = None
    tuned: Path | None = None
    workers: int | None = None
    observers: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        """The test dataset. Raises UsageError if the name is unknown."""
        from embench.data.find import find_source

        return find_source(self.dataset, self.data_root)

    @property
    def card(self) -> Card:
        """Card of the test dataset under the protocol. Raises UsageError if names do not fit."""
        from embench.data.cohort import card_for_protocol
        from embench.protocols import load_protocol

        return card_for_protocol(load_protocol(self.protocol), self.source.card)

    @property
    def train_source(self) -> Source | None:
        """The training dataset; None if it is the test dataset. Raises UsageError if the name is unknown."""
        return replace(self, dataset=self.train_dataset).source if self.train_dataset else None

    @property
    def seed_list(self) -> tuple[int, ...]:
        """Seeds as numbers from 0, each once; `0-9` means ten seeds. Raises UsageError for other texts.

        >>> Request("deap", seeds="0-2,7").seed_list
        (0, 1, 2, 7)
        """
        values = (self.seeds,) if isinstance(self.seeds, int) else self.seeds or ()
        parts = values.split(",") if isinstance(values, str) else values
        try:
            seeds = tuple(dict.fromkeys(seed for part in parts for seed in _parse_seeds(part)))
        except ValueError:
            seeds = ()
        if not seeds or min(seeds) < 0:
            raise UsageError(
                "seeds must be integers of at least 0",
                where=f"--seeds {self.seeds}",
                expected="for example 0,1,2 or 0-9",
            )
        return seeds

    @property
    def lag_s(self) -> float | None:
        """Lag of the labels in s; None for the lag on the dataset card. Raises UsageError if it is not a number."""
        if self.lag is None:
            return None
        try:
            return float(self.lag)
        except ValueError:
            raise UsageError(
                f"`{self.lag}` is not a number of seconds",
                where="--lag",
                expected="a number, such as 2 or -1.5",
                hint="for several values: embench grid" if "," in self.lag else None,
            ) from None

    @property
    def runs_folder(self) -> Path:
        """Folder in which records are written: the requested one, else `runs` in the working folder."""
        return Path(self.runs) if self.runs is not None else Path("runs")


@dataclass(frozen=True)
class Option:
    """An option of `embench run`.

    Args:
        name: name on the command line, without dashes.
        help: text in `embench run --help`.
        sets: field of `Request` that it sets, if it has another name.
        panel: panel in which the help shows it.
        points: text in `embench grid --help`; None if all points of a grid share one value.
        claimed: True if a claim states the option for each side of its comparison."""

    name: str
    help: str
    panel: Literal["Method and data", "Experiments", "Files", "Machine"] = "Method and data"
    sets: str = ""
    points: str | None = None
    required: bool = False
    claimed: bool = False

    @property
    def field(self) -> str:
        """Field of `Request` that the option sets."""
        return self.sets or self.name.replace("-", "_")


OPTIONS = (
    Option(
        "dataset",
        "Dataset to use, or ./FOLDER of your own data; see `embench list dataset`.",
        points="Dataset to use. Repeat an option to give several values.",
        required=True,
    ),
    Option(
        "encoder",
        "Encoder: NAME for all modalities, or eeg=NAME for one; repeatable.",
        sets="encoders",
        points="Encoder: NAME, or eeg=NAME,ecg=NAME.",
        required=True,
        claimed=True,
    ),
    Option(
        "pretrainer",
        "Pretrainer: NAME, eda=NAME, NAME:SOURCE or NAME:SOURCE+SOURCE; repeatable, applied in order.",
        sets="pretrainers",
        points="Pretrainer, or several separated by commas; or none.",
        claimed=True,
    ),
    Option(
        "fusion",
        "Fusion of the modalities; default for one modality: single.",
        points="Fusion of the modalities, or none.",
        claimed=True,
    ),
    Option(
        "modalities",
        "Modalities, such as a,b+c (joined channels) or ecg[left] (one channel); default: the modalities of the "
        "dataset card.",
        points="Modalities such as a,b+c,ecg[left].",
        claimed=True,
    ),
    Option(
        "target",
        "Targets, comma-separated; default: the targets of the dataset card.",
        sets="targets",
        points="Targets, comma-separated.",
    ),
    Option(
        "protocol",
        "Name of a protocol, or a YAML file.",
        points="Name of a protocol, or a YAML file.",
    ),
    Option(
        "recipe",
        "Size of networks and length of training; default: `paper` on a GPU, `small` on a CPU.",
        points="Size of networks and training.",
    ),
    Option(
        "seeds",
        "Seeds, comma-separated; each seed has its own folds. Default: 0,1,2; for estimators on features the balanced "
        "partitions, 0 to 5 or 0 to 4; 0 under the protocol of a paper.",
    ),
    Option(
        "partitions",
        "`balanced`: the seeds in which any two subjects share a test fold once: 0 to 5; for up to 16 subjects 0 to 4.",
    ),
    Option(
        "device",
        "Device to train networks on: auto, cpu, cuda, cuda:1 for the second GPU, or mps (experimental).",
        panel="Machine",
    ),
    Option(
        "data-root",
        "Folder that contains the datasets; default: $EMBENCH_DATA, else the user's data folder.",
        panel="Files",
    ),
    Option("runs", "Folder to write runs to; default: ./runs.", panel="Files"),
    Option(
        "set",
        "Change a setting: path=value, for example fusion.lr=1e-4; repeatable.",
        sets="settings",
        points="Change a setting: path=value. Repeat a path to give several values.",
        claimed=True,
    ),
    Option("dev", "Score the validation subjects only; the test labels stay unused.", panel="Experiments"),
    Option(
        "confounds",
        "Run the confound analysis after the scores: minutes, once for a dataset. Without it, its answers are not "
        "computed, and leaderboards reject the run.",
        panel="Experiments",
    ),
    Option(
        "train-dataset",
        "Train on this dataset and test on --dataset.",
        points="Train on this dataset and test on --dataset.",
        panel="Experiments",
    ),
    Option(
        "drop",
        "Modality to remove at test time.",
        points="Modality to remove at test time; or none, each, all.",
        panel="Experiments",
        claimed=True,
    ),
    Option(
        "label-subjects",
        "Number of training subjects with labels, or all.",
        points="Number of training subjects with labels: 1,2,5,all.",
        panel="Experiments",
        claimed=True,
    ),
    Option(
        "label-fraction",
        "Proportion of labels to use from each training subject: above 0, at most 1.",
        points="Proportion of the training labels: 0.01,0.1,1.",
        panel="Experiments",
        claimed=True,
    ),
    Option(
        "lag",
        "Seconds by which labels lag behind signals (negative: labels precede signals); default: the lag of the "
        "dataset card.",
        points="Seconds by which labels lag behind signals: -2,0,2. Each lag is a test-set evaluation.",
        panel="Experiments",
    ),
    Option(
        "calibration-data",
        "Calibration data of the test subject (personalisation): N labelled units a class, unlabelled:N, or session.",
        points=(
            "Calibration data: `N` labelled units per class, `unlabelled:N` units, or `session`. Example: "
            "0,1,2,5,10,unlabelled:5,session."
        ),
        panel="Experiments",
        claimed=True,
    ),
    Option(
        "pretrained",
        "Initial weights: a file, a run, or an `embench pretrain` output; `random` trains from scratch.",
        points="Initial weights: a file, a run, an `embench pretrain` output, or random.",
        panel="Experiments",
    ),
    Option("tuned", "File of settings that `embench tune` chose for each fold.", panel="Experiments"),
    Option("workers", "Number of parallel processes; default: one per CPU core.", panel="Machine"),
    Option("observer", "Observer to notify of events; repeatable.", sets="observers", panel="Machine"),
)
"""Options of a run, in the order of its help, with the fields of a request that they set."""

AXES = {option.name: option.field for option in OPTIONS if option.points is not None}
"""Name of an option that a grid may vary -> its field in `Request`."""


def map_to_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by fields of `Request`. Keys are names on the command line or of fields; `-` and `_` are equal."""
    fields = {option.name.replace("-", "_"): option.field for option in OPTIONS}
    by_name = {name.replace("-", "_"): value for name, value in options.items()}
    return {fields.get(name, name): value for name, value in by_name.items()}


def make_request(**options: Any) -> Request:
    """Return a request from options of the command line, a file or Python, named as options or as fields. A text may
    stand for a list of one text, a list for a comma-separated text, and a mapping for texts with `=`."""
    hints = get_type_hints(Request)
    return Request(**{field: _convert(hints[field], value) for field, value in map_to_fields(options).items()})


def rebuild_request(
    config: Mapping[str, Any], runs: Path, data_root: Path | None = None, dataset: str | None = None
) -> Request | None:
    """Return the request in a record's `config`; None for a submission, which has none.

    Args:
        runs: folder of runs. `data_root`, `dataset`: values that replace the recorded ones; None keeps these."""
    request = config.get("request")
    if request is None:
        return None
    names = {field.name for field in fields(Request)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in request.items() if k in names}
    values.setdefault("pretrainers", tuple(config.get("pretrainers", ())))
    if dataset:
        values["dataset"] = dataset
    return Request(**{**values, "data_root": data_root or get_recorded_root(config), "runs": runs})


def get_recorded_root(config: Mapping[str, Any]) -> Path | None:
    """Return the folder of datasets in a record's request; None if it names none."""
    place = config.get("request", {}).get("data_root")
    return Path(place) if place else None


def _convert(hint: Any, value: Any) -> Any:
    """Return a value in the type `hint` of a field of `Request`, see `make_request`."""
    if isinstance(value, Mapping):
        value = [f"{name}={each if isinstance(each, str) else json.dumps(each)}" for name, each in value.items()]
    if hint == tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value or ())
    if hint == str | None and value is not None:
        return ",".join(value) if isinstance(value, list | tuple) else str(value)
    return Path(value) if hint == Path | None and value is not None else value


_MOST_SEEDS = 1000
"""Most seeds that a range such as `0-9` may have."""
OF_THE_MACHINE = ("data_root", "runs", "workers", "observers", "confounds")
"""Fields of a request that state where and how it is run, without effect on its numbers."""


def format_recorded_command(run: Manifest) -> str:
    """Return the command that repeats a recorded run, without default seeds; empty for a submission."""
    from embench.records.manifest import default_seeds, method_kind

    request, rules = run.config.get("request"), run.protocol
    usual = default_seeds(method_kind(run.method), rules.name, rules.folds, balanced=rules.is_balanced)
    seeds = {"seeds": None} if tuple(run.seeds) == usual else {}
    return format_command({**request, "recipe": run.recipe.preset, **seeds}) if request else ""


def _parse_seeds(part: str | int) -> range:
    """Return the seeds in a part of a list: a number, or a range such as `0-9`. Raises ValueError for other texts."""
    first, dash, last = str(part).strip().partition("-")
    found = range(int(first), int(last if dash else first) + 1)
    if not found or len(found) > _MOST_SEEDS:
        raise ValueError(part)
    return found


def format_command(request: Mapping[str, Any]) -> str:
    """Return the command of a request, valid on any machine.

    >>> format_command({"dataset": "deap", "encoders": ["tcn"], "seeds": "0", "settings": ["fusion.lr=1e-4"]})
    'embench run --dataset deap --encoder tcn --seeds 0 --set fusion.lr=1e-4'
    """
    words = ["embench", "run"]
    for option in (o for o in OPTIONS if o.field not in OF_THE_MACHINE):
        value = request.get(option.field)
        if value is None or (not option.required and value == getattr(Request, option.field)):
            continue
        values = [value] if isinstance(value, str | bool | int | Path) else value
        words += [w for each in values for w in (f"--{option.name}", *([] if each is True else [str(each)]))]
    return shlex.join(words)


def assign(texts: Sequence[str], modalities: Sequence[str], what: str) -> dict[str, str]:
    """Return modality -> name, from texts such as `cnn_tf` (for all modalities without their own) and `eeg=tcn`.

    Raises:
        UsageError: a modality is unknown or without a name, or several texts are for all modalities.

    >>> assign(["cnn_tf", "eda=tcn"], ["ecg", "eda"], "encoder")
    {'ecg': 'cnn_tf', 'eda': 'tcn'}
    """
    general = [text for text in texts if "=" not in text]
    if len(general) > 1:
        raise UsageError(
            f"{what} {' and '.join(general)}: the modality of each is not named",
            where=f"--{what}",
            expected=f"one for all, or {what}s such as {modalities[0]}={general[0]}",
        )
    named = dict(text.split("=", 1) for text in texts if "=" in text)
    for m, name in named.items():
        if m not in modalities:
            raise UsageError(
                f"`{m}` has an --{what} but is not a modality of this run",
                where=f"--{what} {m}={name}",
                expected=", ".join(modalities),
                hint=did_you_mean(m, list(modalities)),
            )
    missing = [m for m in modalities if m not in named and not general]
    if missing:
        raise UsageError(
            f"{what} missing for {', '.join(missing)}", where=f"--{what}", hint=f"add --{what} {missing[0]}=NAME"
        )
    return {m: named.get(m) or general[0] for m in modalities}


# Points of a grid: every combination of the values of its options.

_NONE = "none"
"""Value of a grid point without the option, as in `--pretrainer none --pretrainer masked_value`."""


def list_grid_points(axes: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Yield the fields of a request for each combination of the values of all options. The last option changes fastest.

    Args:
        axes: option -> its values.

    Raises:
        UsageError: the dataset or the encoder is missing."""
    for name in ("dataset", "encoder"):
        if not axes.get(name):
            raise UsageError(f"a grid needs at least one --{name}", hint=f"embench list {name}")
    chosen_axes: list[tuple[str, Sequence[str]]] = [(name, values) for name, values in axes.items() if name != "set"]
    by_path: dict[str, list[str]] = {}
    for setting in axes.get("set", ()):
        by_path.setdefault(setting.partition("=")[0], []).append(setting)
    chosen_axes += [("set", values) for values in by_path.values()]
    for chosen in product(*(values for _, values in chosen_axes)):
        fields: dict[str, Any] = {"fusion": None, "modalities": None, "targets": None}
        for (name, _), value in zip(chosen_axes, chosen, strict=True):
            _set_field(fields, name, value)
        yield fields


def _set_field(fields: dict[str, Any], name: str, value: str) -> None:
    """Add the value of an option in a grid point to the `fields` of its request."""
    field = AXES[name]
    if name == "set":
        fields[field] = (*fields.get(field, ()), value)
    elif name in ("encoder", "pretrainer"):
        fields[field] = () if value == _NONE else tuple(value.split(","))
    elif value != _NONE:
        fields[field] = value
