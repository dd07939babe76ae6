"""Training recipe of one stage: all of a method's choices, as one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from embench.interfaces.units import View

PRESETS = ("paper", "small", "quick")
"""`paper`: as in the paper. `small`: feasible on a CPU. `quick`: for trials, never on a leaderboard."""


@dataclass(frozen=True)
class Recipe:
    """All choices on how a stage is trained; the stage's plugin owns it.

    Args:
        optimiser, lr, betas, momentum, weight_decay: as torch names them; `adam` has coupled L2, `adamw` decoupled.
        schedule: `step` multiplies lr by `factor` every `every` epochs; `cosine` and `linear` fall to 0 at the end;
            each after `warmup` epochs of linear rise.
        epochs, batch: passes over the rows, and rows per step; `clip` limits the gradient's norm.
        layer_decay: factor of the learning rate per layer away from the head (1 for the last layer), for encoders whose
            network names its layers, see `Encoder.build`.
        selection: `last` keeps the last epoch; `early_stop` the best one on validation subjects, stopping after
            `patience` epochs without a better one; `best_train` the one with the highest training figure `accuracy`,
            for pretext tasks that name one.
        class_weight: `balanced` weighs classes inversely to their proportion of the training units.
        loss: loss of networks for continuous targets, see `embench.nn.Supervised`: squared or absolute error, or 1
            minus the concordance in a batch, or in each recording; batches then hold whole recordings.
        targets: `each` trains one network per target, `joint` one for all.
        view: part of a unit that the method reads. A fusion without a view predicts for the windows of the encoder with
            the largest step, or, without windows, for units.
        adapt: use of a pretrained part. `full` trains all of it; `frozen` keeps it unchanged, without dropout: in an
            encoder's recipe the encoder, in a fusion's everything outside its `.head`. Encoders only: `ridge` freezes
            it and fits a linear head in closed form; `lora` trains low-rank additions to its linear layers, and the
            head.
        lora: `rank`, `alpha` and `dropout` of these additions (Hu et al. 2022, arXiv 2106.09685), scaled by alpha /
            rank.
        prepare: options of the encoder's `stream` and `features`, part of their cache key. The encoder defines the
            keys, such as `rate_hz`; the protocol's preprocessing comes first.
        build: sizes and switches of the network.
        assumed: fields that the paper leaves open.
        datasets: fields that differ for a dataset, by its name.

    >>> paper = Recipe(lr=1e-4, epochs=100, build={"width": 128, "layers": 2})
    >>> paper.replace(epochs=5, build={"layers": 1}).build
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
        """True if the pretrained part stays unchanged in training."""
        return self.adapt in ("frozen", "ridge")

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with some fields changed; `build`, `lora` and `prepare` are merged key by key."""
        for name in ("build", "lora", "prepare"):
            if name in changes:
                changes[name] = {**getattr(self, name), **changes[name]}
        return replace(self, **changes)

    def apply_dataset(self, dataset: str) -> Recipe:
        """Return the recipe for one dataset, with the fields that `datasets` changes for it."""
        return replace(self.replace(**self.datasets.get(dataset, {})), datasets={})

    def to_mapping(self) -> dict[str, Any]:
        """Return the recipe as plain values for JSON and YAML."""
        plain = {**asdict(self), "frozen": self.frozen}
        # Omitted while unset, so that hashes of older recipes stay valid; `frozen` was the older form of `adapt`.
        unused = [name for name, default in (("layer_decay", 1.0), ("loss", "mse")) if plain[name] == default]
        unused += ["adapt"] if self.adapt in ("full", "frozen") else []
        unused += [] if self.adapt == "lora" else ["lora"]
        return {name: value for name, value in plain.items() if name not in unused}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Recipe:
        """Rebuild the recipe from `to_mapping()`."""
        datasets = {name: _recipe_fields(changes) for name, changes in mapping.get("datasets", {}).items()}
        return cls(**{**_recipe_fields(mapping), "datasets": datasets})


def _recipe_fields(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe's fields from plain values, such as a `View` from a mapping."""
    fields: dict[str, Any] = dict(plain)
    if fields.pop("frozen", False):
        fields.setdefault("adapt", "frozen")
    for name in {"betas", "assumed"} & fields.keys():
        fields[name] = tuple(fields[name])
    view = fields.get("view")
    return fields if view is None else {**fields, "view": View(**view)}
