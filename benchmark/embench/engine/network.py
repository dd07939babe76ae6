"""Build networks of a stage from plugins, start them from pretrained weights, check, save and load them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from scipy.optimize import minimize
from scipy.special import expit, softmax
from torch import Tensor, nn

from embench import registry
from embench.engine.channels import Channel, all_fit, check_fit, find_channels
from embench.engine.rows import (
    clip_spec,
    feature_spec,
    keeps_level,
    load_encoder,
    require_view,
    signal_spec,
    spec_with_stats,
    standardises,
    view_length,
)
from embench.engine.stage import FitParams, Folder, FusionParams, Part, SourceSpec, fitted_params
from embench.errors import DataError, PluginError, UsageError
from embench.files import cached_call, digest
from embench.interfaces.fusion import Fusion
from embench.interfaces.recording import remove_channels
from embench.interfaces.tokens import InputSpec, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import OBJECTIVES, Model, ValueScale, check_tokens
from embench.store import Store, blank_clips, derive


def class_weights(target: Target, y: np.ndarray, weight: np.ndarray, balanced: bool) -> tuple[float, ...] | None:
    """Return the inverse proportion of each class among the training rows, 1 on average, at most 1,000; None unless
    `balanced`.

    Args:
        y, weight: labels (n,), NaN where missing, and weights (n,) of the training rows."""
    if not (balanced and target.traits.has_classes):
        return None
    known = np.isfinite(y)
    shares = np.bincount(y[known].astype(int), weights=weight[known], minlength=target.n)
    # A class without rows would have an infinite weight: it gets the largest one.
    inverse = shares.sum() / (target.n * np.maximum(shares, 1e-12) * (shares > 0) + 1e-12 * (shares == 0))
    return tuple(inverse.clip(0, 1e3).tolist())


def fit_scale(model: Model, outputs: OutputSpec, y: np.ndarray, weight: np.ndarray) -> None:
    """Set the scale of continuous targets to mean and SD of the training labels, so that a head's first predictions
    have the right size in any measurement unit.

    Args:
        y, weight: labels (n, targets), NaN where missing, and weights (n,) of the training rows."""
    if model.scale is None:
        return
    for t, (target, part) in enumerate(zip(outputs.targets, outputs.get_slices(), strict=True)):
        known = np.isfinite(y[:, t])
        if not target.traits.has_classes and known.any():
            values, share = y[known, t].astype(np.float64), weight[known] / weight[known].sum()
            mean = float(share @ values)
            std = float(share @ (values - mean) ** 2) ** 0.5
            model.scale.mean[part] = mean
            model.scale.std[part] = std if std > 1e-7 * abs(mean) else 1.0


def probabilities(outputs: OutputSpec, logits: Tensor) -> Tensor:
    """Return the scores of all targets side by side, (B, columns): probabilities of classes, or values."""
    parts = zip(outputs.targets, outputs.get_slices(), strict=True)
    return torch.cat([OBJECTIVES[target.kind].activation(logits[:, part]) for target, part in parts], 1)


# A linear head in closed form: ridge on pooled tokens, its penalty chosen on training subjects held out in turn.

PENALTIES = 10.0 ** np.arange(-1, 7)
"""Candidate penalties, for standardised tokens and rows with mean weight 1."""
_ROUNDING_SD = 1e-3
"""Proportion of a column's mean that is added to its SD, against rounding noise."""
HELD_OUT_PARTS = 5
"""Number of parts into which training subjects are divided; each part is held out once."""
DEFAULT_PENALTY = 100.0
"""Penalty if all training rows belong to one subject, so that no subject can be held out."""
_SLOPE_BOUNDS = (0.05, 50.0)
"""Bounds of the SD of logits. The lower one is above 0, so that logits keep the order of decisions."""


class LinearHead(nn.Module):
    """A linear layer on pooled tokens (B, D), standardised by the training rows; its output is (B, n_out)."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.linear = nn.Linear(dim, outputs)

    def forward(self, tokens: Tokens) -> Output:
        """Return `logits` (B, n_out) and `hidden` (B, D), the standardised pooled tokens."""
        hidden = (tokens.pool() - self.mean) / self.std
        return Output(self.linear(hidden), hidden)


def fit_head(
    head: LinearHead,
    outputs: OutputSpec,
    scale: ValueScale | None,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    subjects: np.ndarray,
) -> dict[str, float]:
    """Fit a head to training rows. Return target -> chosen penalty.

    Classes are coded as -1 and 1. A scale and an offset, fitted to the decisions on held-out subjects (Platt 1999),
    turn decisions into logits. Values are fitted in standard scores.

    Args:
        X: pooled tokens (n, D). `y`: labels (n, targets), NaN where missing. `weight`: (n,).
        subjects: (n,) the subject of each row."""
    X = X.astype(np.float64)
    mean, std = _moments(X, weight)
    Z = (X - mean) / std
    slopes, offsets = np.zeros((outputs.size, X.shape[1])), np.zeros(outputs.size)
    penalties: dict[str, float] = {}
    all_weights = outputs.class_weights or (None,) * len(outputs.targets)
    for t, (target, part, classes) in enumerate(zip(outputs.targets, outputs.get_slices(), all_weights, strict=True)):
        known = np.isfinite(y[:, t])
        labels, w = y[known, t].astype(np.float64), weight[known].astype(np.float64)
        if not known.any():
            continue
        if classes is not None:
            w = w * np.array(classes)[labels.astype(int)]
        if scale is not None and not target.traits.has_classes:
            labels = (labels - float(scale.mean[part])) / float(scale.std[part])
        fitted = fit_target(target, Z[known], labels, w / w.mean(), subjects[known])
        slopes[part], offsets[part], penalties[target.name] = fitted
    parameters = (head.mean, head.std, head.linear.weight, head.linear.bias)
    with torch.no_grad():
        for parameter, values in zip(parameters, (mean, std, slopes, offsets), strict=True):
            parameter.copy_(torch.from_numpy(np.asarray(values)))
    return penalties


def fit_target(
    target: Target, Z: np.ndarray, labels: np.ndarray, weight: np.ndarray, subjects: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return slopes (K, D), offsets (K,) and penalty of one target, from standardised rows `Z` (n, D), `labels`,
    `weight` and `subjects` (n,). The penalty is the candidate with the smallest squared error on held-out subjects."""
    coded = _code_labels(target, labels)
    held_out = np.full((len(PENALTIES), *coded.shape), np.nan)
    for train, test in _split_subjects(subjects):
        slopes, offsets = ridge_paths(Z[train], coded[train], weight[train], PENALTIES)
        held_out[:, test] = Z[test] @ slopes + offsets[:, None]
    has_held_out = np.isfinite(held_out).all()
    best = int(np.argmin((((held_out - coded) ** 2).sum(2) * weight).sum(1))) if has_held_out else 0
    penalty = float(PENALTIES[best]) if has_held_out else DEFAULT_PENALTY
    (slope,), (offset,) = ridge_paths(Z, coded, weight, np.array([penalty]))
    if not target.traits.has_classes:
        return slope.T, offset, penalty
    a, c = (2.0, np.zeros(coded.shape[1])) if not has_held_out else _fit_logit_scale(held_out[best], labels, weight)
    return a * slope.T, a * offset + c, penalty


def ridge_paths(
    X: np.ndarray, Y: np.ndarray, weight: np.ndarray, penalties: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes (P, D, K) and offsets (P, K) of weighted ridge regressions of `Y` (n, K) on `X` (n, D), one for
    each of the `penalties` (P,) (Hoerl and Kennard 1970). Offsets are not penalised. `weight`: (n,) of the rows."""
    share = weight / weight.sum()
    x, y = share @ X, share @ Y
    root = np.sqrt(weight)[:, None]
    A, B = root * (X - x), root * (Y - y)
    wide = A.shape[1] > A.shape[0]  # more columns than rows: the smaller of the two Gram matrices is decomposed
    values, vectors = np.linalg.eigh(A @ A.T if wide else A.T @ A)
    turned = vectors.T @ (B if wide else A.T @ B)
    slopes = vectors @ (turned / (np.maximum(values, 0.0)[:, None] + penalties[:, None, None]))
    slopes = A.T @ slopes if wide else slopes
    return slopes, y - x @ slopes


def _moments(X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and SD (D,) of rows (n, D). A proportion of the mean is added to the SD, since nearly
    constant columns hold only rounding noise. A column of zeros has SD 1."""
    share = weight / weight.sum()
    mean = share @ X
    std = np.sqrt(share @ (X - mean) ** 2 + (_ROUNDING_SD * mean) ** 2)
    return mean, np.where(std > 0, std, 1.0)


def _code_labels(target: Target, labels: np.ndarray) -> np.ndarray:
    """Return labels (n,) coded for regression, (n, K): -1 and 1 for classes; values unchanged."""
    if not target.traits.has_classes:
        return labels[:, None]
    if target.kind == "binary":
        return 2.0 * labels[:, None] - 1.0
    return 2.0 * np.eye(target.n)[labels.astype(int)] - 1.0


def _split_subjects(subjects: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield two arrays of row positions for each part of the subjects: the rows of all other subjects, to fit to, and
    the rows of this part, which are held out. Yield nothing for a single subject. `subjects`: (n,) of the rows."""
    from sklearn.model_selection import GroupKFold

    parts = min(HELD_OUT_PARTS, len(np.unique(subjects)))
    if parts > 1:
        yield from GroupKFold(parts).split(subjects, groups=subjects)


def _fit_logit_scale(decisions: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the slope and the offsets (K,) that turn decisions (n, K) into logits with the smallest cross-entropy.
    Labels are smoothed (Platt 1999), since without errors the best slope would be infinite."""
    n, K = decisions.shape
    spread = float(decisions.std(0).mean()) or 1.0
    classes = max(K, 2)
    counts = np.bincount(labels.astype(int), weights=weight, minlength=classes)
    smoothed = (np.eye(classes) * counts + 1) / (counts[:, None] + classes)
    truth = smoothed[labels.astype(int)][:, 1:] if K == 1 else smoothed[labels.astype(int)]

    def loss(free: np.ndarray) -> tuple[float, Any]:
        """Return the cross-entropy of the parameters `free` (1 + K,), scaled slope and offsets, and its gradient."""
        logits = free[0] / spread * decisions + free[1:]
        if K == 1:
            each, p = np.logaddexp(0, logits) - truth * logits, expit(logits)
        else:
            p = softmax(logits, axis=1)
            each = -truth * (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        slope = (p - truth) * weight[:, None] / n
        gradient = np.concatenate([[np.sum(slope * decisions) / spread], slope.sum(0)])
        return float((each * weight[:, None]).sum() / n), gradient

    bounds = [_SLOPE_BOUNDS, *[(-10.0, 10.0)] * K]
    found = minimize(loss, np.array([1.0, *[0.0] * K]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]) / spread, np.asarray(found[1:])


PLACEHOLDER_TARGET = Target("anything", "binary", LabelRule(), "")
"""Target of a whole model that is pretrained without a target of its own; its predictions are not used."""


def make_output_spec(params: FitParams) -> OutputSpec:
    """Return the spec of a network's output: the targets in a stage's params."""
    return OutputSpec(params.targets)


_T = TypeVar("_T")
_hidden: Callable[[Output], Tensor] = attrgetter("hidden")


class Decisions(nn.Module):
    """Module from a unimodal network's output to the scores of its targets: probabilities of classes, or values in the
    labels' measurement unit."""

    def __init__(self, outputs: OutputSpec, scale: ValueScale | None) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, scale

    def forward(self, output: Output) -> Tensor:
        """Return probabilities or values (B, columns), from the `logits` (B, n_out) of the output."""
        return probabilities(self.outputs, output.logits if self.scale is None else self.scale(output.logits))


class HiddenEncoder(nn.Module):
    """A fitted unimodal network as a frozen encoder without dropout. The encoder's single token (B, H) is `read(output
    of the head)`, by default the head's hidden layer."""

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        spec: InputSpec,
        read: Callable[[Output], Tensor] = _hidden,
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.read = encoder, head, read
        self.requires_grad_(False)
        self.width = token_spec(self, spec).dim

    @property
    def tokens(self) -> TokenSpec:
        """Spec of the single token, as wide as the hidden layer or as the output of `read`."""
        return TokenSpec(1, self.width, False, self.width)

    def train(self, mode: bool = True) -> HiddenEncoder:
        """Keep the module in evaluation mode, whatever `mode` is, and return it."""
        return super().train(False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tokens:
        """Return one token (B, 1, H), computed from `x` (B, *shape) and `mask` (B, T)."""
        return Tokens(self.read(self.head(self.encoder(x, mask))).unsqueeze(1))


class Precomputed(nn.Module):
    """An encoder that passes on precomputed tokens (B, L, D). If `summary`, the first one is the summary token."""

    def __init__(self, *, summary: bool = False) -> None:
        super().__init__()
        self.summary = summary

    def forward(self, x: Tensor, mask: Tensor | None) -> Tokens:
        """Return the tokens `x` (B, L, D) and their mask (B, L), with the summary token apart."""
        if not self.summary:
            return Tokens(x, mask)
        return Tokens(x[:, 1:], None if mask is None else mask[:, 1:], x[:, 0])


def token_spec(module: nn.Module, spec: InputSpec, head: int | None = None) -> TokenSpec:
    """Return the spec of a module's tokens, from its output for two samples of zeros. `head`: width of its hidden
    layer, if it has one. Raises PluginError if the output does not have the shape of tokens."""
    module.eval()
    zeros = torch.zeros(2, *spec.shape, dtype=spec.dtype)
    with torch.no_grad():
        tokens = check_tokens(module(zeros, None), 2, spec.modality)
    module.train()
    shape = tuple(getattr(getattr(tokens, "x", None), "shape", ()))  # () if the output is not Tokens
    summary = tuple(getattr(getattr(tokens, "summary", None), "shape", (2, *shape[2:])))
    if len(shape) != 3 or shape[0] != 2 or summary != (2, shape[2]):
        found = f"tokens {shape}" + (f" and a summary {summary}" if summary != (2, *shape[2:]) else "")
        raise PluginError(
            f"{type(module).__name__} gives {found} for 2 samples of {spec.modality}",
            where=inspect.getsourcefile(type(module)),
            expected="Tokens whose x is (2, L, D), and whose summary, where there is one, is (2, D)",
            hint="`embench.testing.check` shows what else the interface requires",
        )
    return TokenSpec(tokens.x.shape[1], tokens.x.shape[2], tokens.summary is not None, head)


def build_encoders(
    modalities: Mapping[str, Part], specs: Mapping[str, InputSpec]
) -> tuple[dict[str, nn.Module], dict[str, TokenSpec]]:
    """Return modality -> encoder module with random weights, and modality -> spec of its tokens."""
    encoders = {m: check_module(part, load_encoder(part).build(specs[m])) for m, part in modalities.items()}
    return encoders, {m: token_spec(module, specs[m]) for m, module in encoders.items()}


def check_module(part: Part, built: Any) -> nn.Module:
    """Return what a plugin built. Raises PluginError if it is not a module."""
    if not isinstance(built, nn.Module):
        raise PluginError(f"{part.name} built {type(built).__name__}", where=part.name, expected="a torch.nn.Module")
    return built


def build_unimodal(modalities: Mapping[str, Part], specs: Mapping[str, InputSpec], outputs: OutputSpec) -> Model:
    """Build a model of one encoder and a head, with random weights. The head is the encoder plugin's, or a linear one
    if the recipe adapts by ridge regression."""
    encoders, tokens = build_encoders(modalities, specs)
    (m,) = modalities
    if modalities[m].recipe.adapt == "ridge":
        head: nn.Module = LinearHead(tokens[m].dim, outputs.size)
    else:
        head = check_module(modalities[m], load_encoder(modalities[m]).head(tokens[m], outputs))
    return Model(encoders, tokens, head=head, scale=make_scale(outputs))


def make_scale(outputs: OutputSpec) -> ValueScale | None:
    """Return the module that scales predictions to the labels' measurement unit; None without continuous targets."""
    return None if all(target.traits.has_classes for target in outputs.targets) else ValueScale(outputs.size)


def load_fusion(part: Part) -> Fusion:
    """Return the fusion plugin with its recipe. Raises UsageError or PluginError if it cannot be loaded."""
    fusion: Fusion = registry.load_plugin("fusion", part.name)(part.recipe)
    return fusion


def build_fusion(
    modalities: Mapping[str, Part], fusion: Part, specs: Mapping[str, InputSpec], outputs: OutputSpec
) -> Model:
    """Build a model of encoders and a fusion, with random weights, to be trained end to end."""
    encoders, tokens = build_encoders(modalities, specs)
    return Model(encoders, tokens, build_fusion_module(fusion, tokens, outputs), scale=make_scale(outputs))


def build_model(params: FitParams, specs: Mapping[str, InputSpec], outputs: OutputSpec) -> Model:
    """Build the model of a stage, with random weights: encoders with a fusion, or one encoder with its head."""
    if isinstance(params, FusionParams):
        return build_fusion(params.modalities, params.fusion, specs, outputs)
    return build_unimodal(params.modalities, specs, outputs)


def build_fusion_module(fusion: Part, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
    """Build the fusion's module, with random weights."""
    return check_module(fusion, load_fusion(fusion).build(tokens, outputs))


def hidden_encoder(
    root: Path, stage_id: str, inputs: str = "hidden", channels: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[HiddenEncoder, dict[str, InputSpec]]:
    """Return the network of a fitted unimodal stage as a frozen encoder, and the network's input specs. The encoder's
    token is the hidden layer, or the prediction if `inputs` is `decisions`. `channels`: see `load_model`. Raises
    ValueError if the stage is not unimodal."""
    model, specs, fitted = load_model(root, stage_id, channels=channels)
    (m,) = specs
    if model.head is None:
        raise ValueError(f"stage {stage_id} is not unimodal")
    read = Decisions(make_output_spec(fitted.params), model.scale) if inputs == "decisions" else _hidden
    return HiddenEncoder(model.encoders[m], model.head, specs[m], read), specs


def save(folder: Folder, model: nn.Module, specs: Mapping[str, InputSpec]) -> None:
    """Write a network's weights as safetensors, and its input specs with their statistics."""
    save_weights(folder, model)
    save_specs(folder, specs)


def weights_file(epoch: int | None = None) -> str:
    """Return the file name of the weights of an epoch; None stands for the epoch that the recipe selected."""
    return "weights.safetensors" if epoch is None else f"epoch-{epoch}.safetensors"


def save_weights(folder: Folder, model: nn.Module, epoch: int | None = None) -> None:
    """Write a network's weights as safetensors, named by epoch. Raises MachineError if the disk is full."""
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    # Serialised in memory, so that Python reports a full disk, not a library.
    folder.write(weights_file(epoch), lambda path: path.write_bytes(as_safetensors(state)))


def save_specs(folder: Folder, specs: Mapping[str, InputSpec]) -> None:
    """Write the input spec of each modality as `specs.json`, and its statistics as `stats.npz`."""
    plain = {
        m: {
            **asdict(s),
            "dtype": str(s.dtype).removeprefix("torch."),
            "stats": sorted(s.stats),
            "fitted": sorted(s.fitted),
        }
        for m, s in specs.items()
    }
    folder.write("specs.json", lambda path: path.write_text(json.dumps(plain, indent=1), newline="\n"))
    arrays = {f"{m}/{name}": value for m, s in specs.items() for name, value in s.stats.items()}
    arrays |= {f"{m}/fitted/{name}": value for m, s in specs.items() for name, value in s.fitted.items()}
    folder.write_arrays("stats.npz", arrays)


def load_specs(folder: Folder) -> dict[str, InputSpec]:
    """Return modality -> input spec, from the files that `save_specs` wrote."""
    plain = json.loads(folder.file("specs.json").read_text())
    with np.load(folder.file("stats.npz")) as arrays:
        return {
            m: InputSpec(
                remove_channels(s["modality"]),
                tuple(s["shape"]),
                tuple(s["channels"]),
                s["rate"],
                getattr(torch, s.get("dtype", "float32")),
                stats={name: arrays[f"{m}/{name}"] for name in s["stats"]},
                fitted={name: arrays[f"{m}/fitted/{name}"] for name in s.get("fitted", ())},
            )
            for m, s in plain.items()
        }


class Fitted(NamedTuple):
    """Kind, params and inputs of a finished stage that was fitted. `inputs`: role -> stage id."""

    kind: str
    params: FitParams
    inputs: Mapping[str, str]


def describe(folder: Folder) -> Fitted:
    """Return kind, params and inputs of a finished stage that was fitted, from its folder."""
    plain = folder.description()
    return Fitted(plain["kind"], fitted_params(plain["params"]), plain["inputs"])


def load_model(
    root: Path, stage_id: str, epoch: int | None = None, channels: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Model, dict[str, InputSpec], Fitted]:
    """Return the fitted network of a unimodal or fusion stage (on the CPU, in evaluation mode), its input specs, and
    the stage's kind, params and inputs.

    Args:
        epoch: epoch whose weights are loaded, if all were saved; None for the selected one.
        channels: modality -> channels of the signals to predict, possibly of another dataset. The network reads those
            with the names of its own channels.

    Raises:
        PluginError: an encoder that picks channels does not find them again."""
    folder = Folder(root, stage_id)
    content = describe(folder)
    params, outputs = content.params, make_output_spec(content.params)
    specs = {m: _select_channels(spec, (channels or {}).get(m)) for m, spec in load_specs(folder).items()}
    if isinstance(params, FusionParams) and params.inputs == "hidden":
        stages = {m: content.inputs[f"unimodal:{m}"] for m in params.modalities}
        encoders = {m: hidden_encoder(root, stage, channels=channels)[0] for m, stage in stages.items()}
        tokens = {m: encoder.tokens for m, encoder in encoders.items()}
        fusion = build_fusion_module(params.fusion, tokens, outputs)
        # Saved models have precomputed tokens in place of encoders, which are saved with their own stages.
        saved = Model({m: Precomputed() for m in encoders}, tokens, fusion, scale=make_scale(outputs))
        saved.load_state_dict(load_file(folder.file(weights_file(epoch))))
        model = Model(encoders, tokens, saved.fusion, scale=saved.scale)
    else:
        model = build_model(params, specs, outputs)
        _load_weights(model, folder.file(weights_file(epoch)), specs)
    return model.eval(), specs, content


def _load_weights(model: Model, file: Path, specs: Mapping[str, InputSpec]) -> None:
    """Load the weights in `file` into a model. Raises PluginError if encoders then pick other channels than before.
    `specs`: modality -> input spec of the encoder."""
    picked = {m: picked_channels(encoder, specs[m].channels) for m, encoder in model.encoders.items()}
    model.load_state_dict(load_file(file))
    for m, encoder in model.encoders.items():
        if picked_channels(encoder, specs[m].channels) != picked[m]:
            raise PluginError(
                f"weights of {m} contain the positions of the channels that the network reads",
                where=inspect.getsourcefile(type(encoder)),
                expected="`picks` as a buffer that is not persistent",
            )


def _select_channels(spec: InputSpec, channels: tuple[str, ...] | None) -> InputSpec:
    """Return the spec with `channels` in place of its channels; the spec itself if `channels` is None or if the encoder
    does not read signals."""
    if channels in (None, spec.channels) or spec.rate is None:
        return spec
    return replace(spec, channels=channels, shape=(len(channels), *spec.shape[1:]))


def is_transferred(name: str) -> bool:
    """Return True if a tensor of this name is used after pretraining; tensors of a `head` are not."""
    return not (name.startswith("head.") or ".head." in name)


def start_from(model: Model, weights: Path, part: str | None) -> int:
    """Load pretrained weights into a model, except those under a `head`. `part`: load only this part, such as
    `encoders.ecg` or `fusion`; None loads all tensors that the model has. Return the number of loaded tensors. Raises
    UsageError if shapes differ."""
    state = load_file(weights)
    own, given = ({n: tuple(v.shape) for n, v in tensors.items()} for tensors in (model.state_dict(), state))
    names = match_names(own, given, part, str(weights))
    model.load_state_dict({name: state[name] for name in names}, strict=False)
    return len(names)


def match_names(
    own: Mapping[str, tuple[int, ...]],
    given: Mapping[str, tuple[int, ...]],
    part: str | None,
    where: str,
    hint: str | None = None,
) -> list[str]:
    """Return the names of pretrained tensors that can initialise a network's tensors.

    Args:
        own: name -> shape of the network's tensors. `given`: name -> shape of the pretrained tensors.
        part: initialise only this part, such as `fusion`; None for the whole network.
        where: location of the weights, for errors. `hint`: what to do about a tensor of another shape.

    Raises:
        UsageError: no pretrained tensor can initialise the part, or a tensor has another shape."""
    prefix = f"{part}." if part else ""
    names = [name for name in given if name.startswith(prefix) and is_transferred(name) and name in own]
    if not names:
        raise UsageError(
            f"these weights contain nothing for {part or 'this network'}",
            where=where,
            expected="the encoder, recipe and modality of the pretraining",
        )
    for name in names:
        if own[name] != given[name]:
            raise UsageError(
                f"pretrained weights do not fit: {name} is {given[name]}, the network has {own[name]}",
                where=where,
                expected="the encoder, recipe, modality and channels of the pretraining",
                hint=hint,
            )
    return names


def picked_channels(encoder: nn.Module, channels: Sequence[_T]) -> tuple[_T, ...]:
    """Return the `channels` that an encoder's network reads: those at the positions `picks`, or all without `picks`."""
    picks = getattr(encoder, "picks", None)
    return tuple(channels) if picks is None else tuple(channels[i] for i in picks.tolist())


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in model.parameters())


Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Site:
    """The dataset on which a network is trained or tested: its name, its prepared data, and its source spec."""

    name: str
    store: Store
    source: SourceSpec


def input_spec(site: Site, m: str, part: Part) -> InputSpec:
    """Return the spec of an encoder's input at a site, from a recording with the modality `m`. Raises DataError if no
    recording has it. The result is cached."""
    key = (_input_spec, site.store, site.source, m, part.name, part.code, digest(part.recipe.to_mapping()))
    return cached_call(key, lambda: _input_spec(site, m, part))


def _input_spec(site: Site, m: str, part: Part) -> InputSpec:
    """Return the spec as `input_spec` does, without a cache."""
    encoder, store = load_encoder(part), site.store
    length_s = view_length(require_view(encoder, part.name), site.source.longest_s, site.source.shortest_s)
    if encoder.reads == "clips":
        return clip_spec(m, blank_clips(store, m, encoder), length_s)
    derived = derive.joined(store, m)
    for recording, span in derived.spans.items():
        if encoder.reads == "features":
            seconds = np.array([[span.t0, span.t0 + min(length_s, span.samples / derived.rate)]])
            rows = derive.features_in(store, m, encoder, recording, seconds, standardises(site.source, m))
            if rows is None:
                continue
            spec = feature_spec(m, store, encoder, rows.shape[1:])
        else:
            streams = encoder.reads == "stream"
            signal = derive.compute_stream(store, m, encoder, recording) if streams else derived.signal(recording)
            spec = signal_spec(m, encoder, tuple(signal.channels), signal.rate, length_s)
            rows = np.zeros((1, *spec.shape), np.float32)
        return spec_with_stats(spec, encoder, part.name, np.nan_to_num(rows), None)
    raise DataError(f"no recording has {m}", where=site.name, hint="choose other --modalities")


def channels_at(site: Site, m: str) -> tuple[Channel, ...]:
    """Return all channels of a modality at a site. Raises PluginError if it declares a wrong number of sensor sites."""
    return find_channels(site.store.name, {name: entry.channels for name, entry in site.store.modalities.items()}, m)


def channels_read(site: Site, m: str, part: Part, channels: tuple[Channel, ...] | None = None) -> tuple[Channel, ...]:
    """Return the channels of a modality that an encoder's network picks at a site, or would pick of other `channels`.
    It picks all if it does not read signals. Raises DataError or PluginError as `input_spec` does."""
    site_channels, spec = channels_at(site, m), input_spec(site, m, part)
    channels = channels or site_channels
    if spec.rate is None or spec.channels != _channel_names(site_channels):
        return channels
    spec = replace(spec, channels=_channel_names(channels), shape=(len(channels), *spec.shape[1:]))
    with torch.random.fork_rng(devices=[]):
        return picked_channels(load_encoder(part).build(spec), channels)


def check_channels(one: Site, other: Site, m: str, part: Part, where: str) -> None:
    """Raise UsageError if a network that was trained at the site `one` can't read the channels at the site `other`."""
    if all_fit(channels_at(one, m), channels_at(other, m)) or _same_features(one, other, m, part):
        return  # then every selection of them fits as well
    there, here = (channels_read(site, m, part) for site in (one, other))
    check_fit(part.short, m, (one.name, there), (other.name, here), where)


def check_rows(one: Site, other: Site, m: str, part: Part, where: str) -> None:
    """Raise UsageError if a network can't learn from two sites at once: a modality's rows differ in rate or length."""
    specs = [input_spec(site, m, part) for site in (one, other)]
    leveled = keeps_level(one.source, m)  # scaled by the first dataset's level, channel by channel
    if specs[0].rate == specs[1].rate and specs[0].shape[not leveled :] == specs[1].shape[not leveled :]:
        return
    each = [" x ".join(map(str, spec.shape)) + (f" at {spec.rate:g} Hz" if spec.rate else "") for spec in specs]
    raise UsageError(
        f"{part.short} would read {m} in rows of {each[0]} of {one.name} and of {each[1]} of {other.name} at once",
        where=where,
        expected="rows of one rate and length",
        hint="a window has the same length in all: --set encoder.view.kind=window --set encoder.view.length_s=10"
        if specs[0].rate == specs[1].rate
        else "choose another --protocol, or an encoder that has a rate of its own",
    )


def _same_features(one: Site, other: Site, m: str, part: Part) -> bool:
    """Return True if an encoder computes features from several channels at both sites, with equal names."""
    specs = [input_spec(site, m, part) for site in (one, other)]
    several = all(len(channels_at(site, m)) > 1 for site in (one, other))
    return several and all(s.rate is None and s.channels == specs[0].channels != () for s in specs)


def _channel_names(channels: Sequence[Channel]) -> tuple[str, ...]:
    return tuple(channel.name for channel in channels)


def check_shapes(one: Site, other: Site, parts: Mapping[str, Part], fusion: Part | None, where: str) -> None:
    """Raise UsageError if networks trained at the site `one` can't be trained further at the site `other`, because
    their tensors have other shapes there. `fusion` is None if only encoders are trained."""
    there, here = ({m: input_spec(site, m, part) for m, part in parts.items()} for site in (one, other))
    if all(_input_sizes(there[m]) == _input_sizes(here[m]) for m in parts):
        return
    shapes = [_tensor_shapes(parts, fusion, specs) for specs in (there, here)]
    reads_units = any(require_view(load_encoder(part), part.name).kind == "unit" for part in parts.values())
    longer = reads_units and any(there[m].rate and there[m].shape[-1] != here[m].shape[-1] for m in parts)
    window = (
        "a network over whole units is as large as the dataset's longest unit: "
        "give it a window with --set encoder.view.kind=window --set encoder.view.length_s=10"
    )
    hint = window if longer else "choose other --modalities, or another encoder"
    match_names(shapes[1], shapes[0], None, f"{where}: from {one.name} to {other.name}", hint)


def check_file(file: Path, part: str, site: Site, parts: Mapping[str, Part], fusion: Part | None) -> None:
    """Raise UsageError if a file of weights lacks a part (`encoders.ecg` or `fusion`) of a site's networks, or has
    other tensor shapes."""
    with safe_open(file, "pt") as opened:
        given = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118  no mapping
    specs = {m: input_spec(site, m, encoder) for m, encoder in parts.items()}
    match_names(_tensor_shapes(parts, fusion, specs), given, part, str(file))


def _input_sizes(spec: InputSpec) -> tuple[object, ...]:
    return spec.shape, spec.channels, spec.rate


def _tensor_shapes(parts: Mapping[str, Part], fusion: Part | None, specs: Mapping[str, InputSpec]) -> Shapes:
    """Return name -> shape of all tensors of a model of these encoders, and of the fusion if there is one."""
    with torch.random.fork_rng(devices=[]):
        if fusion is None:
            model = Model({m: load_encoder(part).build(specs[m]) for m, part in parts.items()}, {})
        else:
            model = build_fusion(parts, fusion, specs, OutputSpec((PLACEHOLDER_TARGET,)))
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}
