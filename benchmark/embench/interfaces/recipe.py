"""Training recipe of one stage: every choice a method makes, as one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from embench.interfaces.units import View

PRESETS = ("paper", "small", "quick")
"""`paper`: what the paper says. `small`: what a CPU can finish. `quick`: for trying things, never on a board."""


@dataclass(frozen=True)
class Recipe:
    """All choices on how a stage is trained; owned by the plugin whose stage it is.

    Args:
        optimiser, lr, betas, momentum, weight_decay: as torch names them; `adam` has coupled L2, `adamw` decoupled.
        schedule: `step` multiplies lr by `factor` every `every` epochs; `cosine` and `linear` fall to 0 at the end;
            each after `warmup` epochs of linear rise.
        epochs, batch: passes over the rows and rows a step; `clip` bounds the gradient's norm.
        layer_decay: the learning rate of an encoder's layer is this, to the power of its distance from the head (1 for
            the last layer); for encoders whose network says what its layers are, see `Encoder.build`.
        selection: `last` keeps the last epoch; `early_stop` the best one on validation subjects, stopping after
            `patience` epochs without a better one; `best_train` the one with the highest training figure `accuracy`,
            for pretext tasks that name one.
        class_weight: `balanced` weighs classes inversely to their share of the training units.
        loss: what networks learn targets that are values by, see `embench.nn.Supervised`: squared or absolute error, or
            1 less the concordance in a batch, or in each recording, of which a batch then holds whole ones.
        targets: `each` trains one network a target, `joint` one for all.
        view: what the method sees of a unit. A fusion may leave it None: then its anchors are those of the encoder
            whose windows have the largest step, else the units.
        adapt: how a stage goes on from what was pretrained. `full` trains all of it; `frozen` keeps it as it is,
            dropout off: in an encoder's recipe the encoder, in a fusion's all of the fusion that is not under its
            `.head`. Encoders only: `ridge` keeps it too and fits a linear head in closed form; `lora` trains
            low-rank additions to its linear layers, and the head.
        lora: `rank`, `alpha` and `dropout` of these additions (Hu et al. 2022, arXiv 2106.09685), which are scaled by
            alpha / rank.
        prepare: what the encoder's `stream` and `features` see; part of their cache key. The keys are the encoder's
            own, such as `rate_hz`; the signal has had the protocol's preprocessing.
        build: the network's own sizes and switches.
        assumed: names of the fields that the paper leaves open.
        datasets: fields that differ for a dataset, by its name.

    >>> paper = Recipe(lr=1e-4, epochs=100, build={"width": 128, "layers": 2})
    >>> paper.but(epochs=5, build={"layers": 1}).build
    {'width': 128, 'layers': 1}
    """

    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "step", "cosine", "linear"] = "constant"
    every: int = 1
    factor: float = 1.0
    warmup: int = 0
    epochs: int = 10
    batch: int = 64
    clip: float | None = None
    layer_decay: float = 1.0
    selection: Literal["last", "early_stop", "best_train"] = "last"
    patience: int = 5
    class_weight: Literal["none", "balanced"] = "none"
    loss: Literal["mse", "mae", "ccc_batch", "ccc_recording"] = "mse"
    targets: Literal["each", "joint"] = "each"
    view: View | None = None
    adapt: Literal["full", "frozen", "ridge", "lora"] = "full"
    lora: Mapping[str, Any] = field(default_factory=lambda: {"rank": 8, "alpha": 16.0, "dropout": 0.0})
    prepare: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def frozen(self) -> bool:
        """True if what was pretrained stays as it is."""
        return self.adapt in ("frozen", "ridge")

    def but(self, **changes: Any) -> Recipe:
        """A copy with some fields changed; `build`, `lora` and `prepare` are merged key by key."""
        for name in ("build", "lora", "prepare"):
            if name in changes:
                changes[name] = {**getattr(self, name), **changes[name]}
        return replace(self, **changes)

    def on(self, dataset: str) -> Recipe:
        """The recipe as it holds for a dataset."""
        return replace(self.but(**self.datasets.get(dataset, {})), datasets={})

    def mapping(self) -> dict[str, Any]:
        """The recipe as plain values that JSON and YAML can hold."""
        plain = {**asdict(self), "frozen": self.frozen}
        # Hashes of recipes made before there was a field stay what they are; `frozen` was all that `adapt` says.
        unused = [name for name, default in (("layer_decay", 1.0), ("loss", "mse")) if plain[name] == default]
        unused += ["adapt"] if self.adapt in ("full", "frozen") else []
        unused += [] if self.adapt == "lora" else ["lora"]
        return {name: value for name, value in plain.items() if name not in unused}

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Recipe:
        """The recipe that `mapping()` gave."""
        datasets = {name: _fields(changes) for name, changes in mapping.get("datasets", {}).items()}
        return cls(**{**_fields(mapping), "datasets": datasets})


def _fields(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a recipe from plain values."""
    fields: dict[str, Any] = dict(plain)
    if fields.pop("frozen", False):
        fields.setdefault("adapt", "frozen")
    for name in {"betas", "assumed"} & fields.keys():
        fields[name] = tuple(fields[name])
    view = fields.get("view")
    return fields if view is None else {**fields, "view": View(**view)}
