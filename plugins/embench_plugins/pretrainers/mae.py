"""Pretrainer `mae`: hides nine tenths of a video clip and learns to reconstruct them from the rest.

Strizhkova et al. 2024 (`strizhkova2024`) with the VideoMAE of Tong et al. 2022. Of the 14 x 14 places of the picture,
176 are hidden, the same in every frame ("tubes"). The encoder sees the other places only. A decoder of four narrow
layers predicts the pixels of each hidden cube, standardised by the cube's own mean and SD in each colour. The loss is
that of transformers' `VideoMAEForPreTraining`.

Not followed: VideoMAE's crops at random scales, as the paper names none and faces are cropped before. The learning rate
falls to 0, not to a fifteenth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch, InputSpec, OutputSpec
from embench.nn import Model
from embench_plugins.encoders.videomae import DropPath, Network, keep_positions, load

# VideoMAE: 1.5e-4 for 256 clips a step, a twentieth of the epochs to warm up. 50 epochs go on from Kinetics-400.
PAPER = Recipe(
    optimiser="adamw", lr=1.5e-4 * 64 / 256, betas=(0.9, 0.95), weight_decay=0.05, schedule="cosine", warmup=3,
    epochs=50, batch=64,
    build={"ratio": 0.9, "tubes": True, "width": 384, "layers": 4, "heads": 6, "ffn": 1536, "norm_pix": True},
    assumed=("optimiser", "lr", "betas", "weight_decay", "schedule", "warmup", "epochs", "batch", "selection",
             "build.tubes", "build.width", "build.layers", "build.heads", "build.ffn", "build.norm_pix"),
)  # fmt: skip

SMALL = Recipe(
    optimiser="adamw", lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05, schedule="cosine", warmup=1, epochs=10, batch=64,
    clip=1.0,
    build={"ratio": 0.9, "tubes": True, "width": 32, "layers": 1, "heads": 2, "ffn": 128, "norm_pix": True},
)  # fmt: skip


class Mae(Pretrainer):
    """Mean squared error of the hidden pixels. Clips with a missing frame are skipped. With `build.tubes` the same
    places are hidden in every frame, else new places at each time step."""

    scope: ClassVar = "encoder"
    labels: ClassVar = "none"
    needs_encoder: ClassVar = frozenset({"masked_clips"})
    needs_input: ClassVar = frozenset({"clips"})
    recipes: ClassVar[Mapping[str, Recipe]] = {"paper": PAPER, "small": SMALL, "quick": SMALL.replace(epochs=2)}

    def objective(self, model: Model, inputs: Mapping[str, InputSpec], outputs: OutputSpec | None) -> nn.Module:
        """Return the objective for the video encoder of `model`; `inputs` and `outputs` are not used."""
        return Objective(model, **self.recipe.build)


class Objective(nn.Module):
    """`Batch -> (loss, {"mse", "hidden"})`, where `hidden` is the proportion of hidden tokens."""

    def __init__(
        self,
        model: Model,
        *,
        ratio: float,
        tubes: bool,
        width: int,
        layers: int,
        heads: int,
        ffn: int,
        norm_pix: bool,
    ) -> None:
        super().__init__()
        self.model, self.ratio, self.tubes = model, ratio, tubes
        (self.modality,) = model.encoders
        decoder = {
            "decoder_hidden_size": width,
            "decoder_num_hidden_layers": layers,
            "decoder_num_attention_heads": heads,
            "decoder_intermediate_size": ffn,
            "norm_pix_loss": norm_pix,
        }
        self.mae = _wrap_encoder(self.encoder, decoder)
        for part in self.encoder.modules():
            if isinstance(part, DropPath):
                part.share = 0.0  # VideoMAE drops paths in fine-tuning only

    @property
    def encoder(self) -> Network:
        """The video encoder that is pretrained."""
        network: Any = self.model.encoders[self.modality]
        return network

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss (scalar) and figures of a batch of clips, uint8 (B, T, 3, H, W); 0 if all lack a frame."""
        x, mask = batch.x[self.modality], batch.mask[self.modality]
        if mask is not None:
            x = x[mask.all(1)]
        if len(x) == 0:
            nothing = torch.zeros((), device=x.device)
            return nothing.clone().requires_grad_(), {"mse": nothing, "hidden": nothing}
        pixels, config = self.encoder.pixels(x, None), self.mae.config
        places = (config.image_size // config.patch_size) ** 2
        steps = config.num_frames // config.tubelet_size
        hidden = draw_hidden_places(len(x), steps, places, self.ratio, x.device, tubes=self.tubes)
        loss = self.mae(pixels, bool_masked_pos=hidden).loss
        return loss, {"mse": loss.detach(), "hidden": hidden.float().mean()}


def draw_hidden_places(
    clips: int, steps: int, places: int, ratio: float, device: torch.device, *, tubes: bool
) -> Tensor:
    """Draw the hidden tokens: (clips, steps * places) bool, with int(ratio * places) places hidden at every step. With
    `tubes` all steps of a clip hide the same places."""
    hidden = torch.rand(clips, 1 if tubes else steps, places, device=device).argsort(2) < int(ratio * places)
    return hidden.expand(clips, steps, places).flatten(1)


def _wrap_encoder(encoder: Network, decoder: Mapping[str, Any]) -> Any:
    """Return transformers' network for pretraining, which shares `encoder`. If the file of the encoder's weights
    contains a decoder, its weights are loaded; else the decoder starts at random."""
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    own = encoder.videomae.config
    if encoder.folder is not None:
        mae = load(VideoMAEForPreTraining, encoder.folder, decoder)
    else:
        # The encoder that comes with it is discarded, so it has no layers.
        mae = VideoMAEForPreTraining(VideoMAEConfig(**{**own.to_dict(), **decoder, "num_hidden_layers": 0}))
    mae.videomae = encoder.videomae
    keep_positions(mae)
    return mae
