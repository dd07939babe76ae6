"""Networks of a stage: built from plugins, started from pretrained weights, saved with what they were built from."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from torch import Tensor, nn

from embench import registry
from embench.engine.closed import LinearHead
from embench.engine.inputs import encoder_of
from embench.engine.specs import FitParams, FusionParams, Part, fitted_params
from embench.engine.stage import Folder
from embench.engine.supervised import probabilities
from embench.errors import PluginError, UsageError
from embench.interfaces.fusion import Fusion
from embench.interfaces.recording import without_channels
from embench.interfaces.tokens import InputSpec, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench.nn import Model, ValueScale, checked_tokens

ANYTHING = Target("anything", "binary", LabelRule(), "")
"""Placeholder target of a whole model that has none to predict; its read-out is thrown away."""


def output_spec_of(params: FitParams) -> OutputSpec:
    """Output spec of a stage."""
    return OutputSpec(params.targets)


_T = TypeVar("_T")
_hidden: Callable[[Output], Tensor] = attrgetter("hidden")


class Decisions(nn.Module):
    """Converts a unimodal net's output into probabilities of its targets, or values in the labels' unit."""

    def __init__(self, outputs: OutputSpec, scale: ValueScale | None) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, scale

    def forward(self, output: Output) -> Tensor:
        """`logits` (B, n_out) -> (B, columns)."""
        return probabilities(self.outputs, output.logits if self.scale is None else self.scale(output.logits))


class HiddenEncoder(nn.Module):
    """A fitted unimodal net as an encoder whose one token is its head's hidden layer, or what `read` (B, H) takes of
    its output; frozen, dropout off."""

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
        """One token, as wide as its input."""
        return TokenSpec(1, self.width, False, self.width)

    def train(self, mode: bool = True) -> HiddenEncoder:
        """Keeps the module in evaluation mode, whatever `mode` is."""
        return super().train(False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tokens:
        """`x` (B, *shape), `mask` (B, T) -> one token (B, 1, H)."""
        return Tokens(self.read(self.head(self.encoder(x, mask))).unsqueeze(1))


class Precomputed(nn.Module):
    """An encoder for tokens that were computed before: (B, L, D) as they are, the first of which is the `summary` where
    there is one."""

    def __init__(self, *, summary: bool = False) -> None:
        super().__init__()
        self.summary = summary

    def forward(self, x: Tensor, mask: Tensor | None) -> Tokens:
        """`x` (B, L, D) and its mask (B, L), which are not changed."""
        if not self.summary:
            return Tokens(x, mask)
        return Tokens(x[:, 1:], None if mask is None else mask[:, 1:], x[:, 0])


def _example(spec: InputSpec) -> Tensor:
    return torch.zeros(2, *spec.shape, dtype=spec.dtype)


def token_spec(module: nn.Module, spec: InputSpec, head: int | None = None) -> TokenSpec:
    """Token spec of a module, found from its output for two samples of zeros. Raises PluginError where that does not
    have the shape of tokens."""
    module.eval()
    with torch.no_grad():
        tokens = checked_tokens(module(_example(spec), None), 2, spec.modality)
    module.train()
    shape = tuple(getattr(getattr(tokens, "x", None), "shape", ()))
    summary = tuple(getattr(getattr(tokens, "summary", None), "shape", (2, *shape[2:])))
    if len(shape) != 3 or shape[0] != 2 or summary != (2, shape[2]):
        given = f"tokens {shape}" + (f" and a summary {summary}" if summary != (2, *shape[2:]) else "")
        raise PluginError(
            f"{type(module).__name__} gives {given} for 2 samples of {spec.modality}",
            where=inspect.getsourcefile(type(module)),
            expected="Tokens whose x is (2, L, D), and whose summary, where there is one, is (2, D)",
            hint="`embench.testing.check` shows what else the interface requires",
        )
    return TokenSpec(tokens.x.shape[1], tokens.x.shape[2], tokens.summary is not None, head)


def build_encoders(
    modalities: Mapping[str, Part], specs: Mapping[str, InputSpec]
) -> tuple[dict[str, nn.Module], dict[str, TokenSpec]]:
    """The encoder's module of each modality, with random weights, and what tokens it makes."""
    encoders = {m: module_of(part, encoder_of(part).build(specs[m])) for m, part in modalities.items()}
    return encoders, {m: token_spec(module, specs[m]) for m, module in encoders.items()}


def module_of(part: Part, built: Any) -> nn.Module:
    """Returns a plugin's module. Raises PluginError where it is no module."""
    if not isinstance(built, nn.Module):
        raise PluginError(f"{part.name} built {type(built).__name__}", where=part.name, expected="a torch.nn.Module")
    return built


def build_unimodal(modalities: Mapping[str, Part], specs: Mapping[str, InputSpec], outputs: OutputSpec) -> Model:
    """One encoder and its own head."""
    encoders, tokens = build_encoders(modalities, specs)
    (m,) = modalities
    if modalities[m].recipe.adapt == "ridge":
        head: nn.Module = LinearHead(tokens[m].dim, outputs.size)
    else:
        head = module_of(modalities[m], encoder_of(modalities[m]).head(tokens[m], outputs))
    return Model(encoders, tokens, head=head, scale=scale_of(outputs))


def scale_of(outputs: OutputSpec) -> ValueScale | None:
    """Scale from predictions to the labels' unit; None where no target is a value."""
    return None if all(target.traits.has_classes for target in outputs.targets) else ValueScale(outputs.size)


def fusion_of(part: Part) -> Fusion:
    """The fusion plugin with its recipe. Raises UsageError or PluginError where it cannot be loaded."""
    fusion: Fusion = registry.load("fusion", part.name)(part.recipe)
    return fusion


def build_fusion(
    modalities: Mapping[str, Part], fusion: Part, specs: Mapping[str, InputSpec], outputs: OutputSpec
) -> Model:
    """Encoders and their fusion, trained end to end."""
    encoders, tokens = build_encoders(modalities, specs)
    return Model(encoders, tokens, fused(fusion, tokens, outputs), scale=scale_of(outputs))


def fused(fusion: Part, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
    """The fusion's module, with random weights."""
    return module_of(fusion, fusion_of(fusion).build(tokens, outputs))


def hidden_encoder(
    root: Path, stage_id: str, inputs: str = "hidden", channels: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[HiddenEncoder, dict[str, InputSpec]]:
    """A fitted unimodal stage's network as a frozen encoder of its hidden layer, or its `decisions`; `channels` as in
    `load_model`. Raises ValueError where the stage has no head."""
    model, specs, fitted = load_model(root, stage_id, channels=channels)
    (m,) = specs
    if model.head is None:
        raise ValueError(f"stage {stage_id} is not unimodal")
    read = Decisions(output_spec_of(fitted.params), model.scale) if inputs == "decisions" else _hidden
    return HiddenEncoder(model.encoders[m], model.head, specs[m], read), specs


def save(folder: Folder, model: nn.Module, specs: Mapping[str, InputSpec]) -> None:
    """Weights as safetensors; input specs and their statistics beside them."""
    save_weights(folder, model)
    save_specs(folder, specs)


def weights_file(epoch: int | None = None) -> str:
    """The name of the file of an epoch's weights; None: of those that the recipe selected."""
    return "weights.safetensors" if epoch is None else f"epoch-{epoch}.safetensors"


def save_weights(folder: Folder, model: nn.Module, epoch: int | None = None) -> None:
    """Writes a network's weights as safetensors, those of an epoch under a name of their own. Raises MachineError where
    the disk is full."""
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    # Made in memory, so that a full disk is found by Python and not in a library's own words.
    folder.write(weights_file(epoch), lambda path: path.write_bytes(as_safetensors(state)))


def save_specs(folder: Folder, specs: Mapping[str, InputSpec]) -> None:
    """Writes what each modality's encoder is fed, with its statistics, as `specs.json` and `stats.npz`."""
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
    arrays: dict[str, Any] = {f"{m}/{name}": value for m, s in specs.items() for name, value in s.stats.items()}
    arrays |= {f"{m}/fitted/{name}": value for m, s in specs.items() for name, value in s.fitted.items()}

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **arrays)

    folder.write("stats.npz", write)


def load_specs(folder: Folder) -> dict[str, InputSpec]:
    """Reads the input specs that `save_specs` wrote, by modality."""
    plain = json.loads(folder.file("specs.json").read_text())
    with np.load(folder.file("stats.npz")) as arrays:
        return {
            m: InputSpec(
                without_channels(s["modality"]),
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
    """The description of a fitted stage that was run."""

    kind: str
    params: FitParams
    inputs: Mapping[str, str]


def describe(folder: Folder) -> Fitted:
    """Kind, params and inputs of a fitted stage that was run."""
    plain = folder.description()
    return Fitted(plain["kind"], fitted_params(plain["params"]), plain["inputs"])


def load_model(
    root: Path, stage_id: str, epoch: int | None = None, channels: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Model, dict[str, InputSpec], Fitted]:
    """The fitted network of a unimodal or fusion stage, on the CPU in eval mode, its input specs and the
    stage's description.

    Args:
        epoch: whose weights, where every epoch's were kept.
        channels: modality -> those of the signals that it is to answer, where they may be another dataset's: it reads
            the same ones of them, wherever they stand.

    Raises:
        PluginError: an encoder that picks channels does not pick them anew.
    """
    folder = Folder(root, stage_id)
    content = describe(folder)
    params, outputs = content.params, output_spec_of(content.params)
    specs = {m: _of_channels(spec, (channels or {}).get(m)) for m, spec in load_specs(folder).items()}
    if not isinstance(params, FusionParams):
        model = build_unimodal(params.modalities, specs, outputs)
        _load(model, folder.file(weights_file(epoch)), specs)
    elif params.inputs == "hidden":
        stages = {m: content.inputs[f"unimodal:{m}"] for m in params.modalities}
        encoders = {m: hidden_encoder(root, stage, channels=channels)[0] for m, stage in stages.items()}
        tokens = {m: encoder.tokens for m, encoder in encoders.items()}
        fusion = fused(params.fusion, tokens, outputs)
        # What was saved has tokens in place of encoders, which lie with their own stages.
        saved = Model({m: Precomputed() for m in encoders}, tokens, fusion, scale=scale_of(outputs))
        saved.load_state_dict(load_file(folder.file(weights_file(epoch))))
        model = Model(encoders, tokens, saved.fusion, scale=saved.scale)
    else:
        model = build_fusion(params.modalities, params.fusion, specs, outputs)
        _load(model, folder.file(weights_file(epoch)), specs)
    return model.eval(), specs, content


def _load(model: Model, file: Path, specs: Mapping[str, InputSpec]) -> None:
    """Loads weights, which must not move the channels that the encoders have picked."""
    picked = {m: picked_channels(encoder, specs[m].channels) for m, encoder in model.encoders.items()}
    model.load_state_dict(load_file(file))
    for m, encoder in model.encoders.items():
        if picked_channels(encoder, specs[m].channels) != picked[m]:
            raise PluginError(
                f"weights of {m} contain the positions of the channels that the network reads",
                where=inspect.getsourcefile(type(encoder)),
                expected="`picks` as a buffer that is not persistent",
            )


def _of_channels(spec: InputSpec, channels: tuple[str, ...] | None) -> InputSpec:
    if channels in (None, spec.channels) or spec.rate is None:
        return spec
    return replace(spec, channels=channels, shape=(len(channels), *spec.shape[1:]))


def is_kept(name: str) -> bool:
    """True if a tensor of a pretrained model's state is used afterwards: read-outs are not."""
    return not (name.startswith("head.") or ".head." in name)


def start_from(model: Model, weights: Path, part: str | None) -> int:
    """Starts a model from pretrained weights: a part, such as `encoders.ecg` or `fusion`, or all that pretraining
    shares with it.

    Nothing under a module's `.head` is kept. Returns how many tensors were taken; raises UsageError where shapes
    do not fit.
    """
    state = load_file(weights)
    own, given = ({n: tuple(v.shape) for n, v in tensors.items()} for tensors in (model.state_dict(), state))
    taken = names_that_fit(own, given, part, str(weights))
    model.load_state_dict({name: state[name] for name in taken}, strict=False)
    return len(taken)


def names_that_fit(
    own: Mapping[str, tuple[int, ...]],
    given: Mapping[str, tuple[int, ...]],
    part: str | None,
    where: str,
    hint: str | None = None,
) -> list[str]:
    """The tensors of a network that others can start, from their names and shapes: those of a part, or all. `hint` is
    what to do if shapes differ.

    Raises:
        UsageError: there is none, or one has another shape.
    """
    prefix = f"{part}." if part else ""
    taken = [name for name in given if name.startswith(prefix) and is_kept(name) and name in own]
    if not taken:
        raise UsageError(
            f"these weights contain nothing for {part or 'this network'}",
            where=where,
            expected="the encoder, recipe and modality of the pretraining",
        )
    for name in taken:
        if own[name] != given[name]:
            raise UsageError(
                f"pretrained weights do not fit: {name} is {given[name]}, the network has {own[name]}",
                where=where,
                expected="the encoder, recipe, modality and channels of the pretraining",
                hint=hint,
            )
    return taken


def picked_channels(encoder: nn.Module, channels: Sequence[_T]) -> tuple[_T, ...]:
    """The channels that a network reads: the ones at the positions in its `picks`, else all."""
    picks = getattr(encoder, "picks", None)
    return tuple(channels) if picks is None else tuple(channels[i] for i in picks.tolist())


def parameter_count(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in model.parameters())
