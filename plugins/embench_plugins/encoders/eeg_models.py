"""Encoders `labram`, `cbramod`, `biot`, `eegpt`, `luna` and `reve`: subclasses of `EegFoundation` with settings.

Bands, scales and windows are those of the papers and of the authors' code; what neither states is in `assumed`. None of
these networks is pretrained here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from unittest.mock import patch

from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import OutputSpec, TokenSpec
from embench.interfaces.units import View
from embench_plugins import pretrained
from embench_plugins.encoders.eeg_foundation import (
    PAPER,
    POSITIONS,
    WITHOUT_POSITION,
    EegFoundation,
    EluHead,
    FlatHead,
    Pieces,
    add_small,
)

CLINICAL = (
    "Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T7", "T8", "P7", "P8", "Fz", "Cz", "Pz",
)  # fmt: skip
"""The 19 electrodes of the 10-20 system, in the order of the Temple University Hospital's recordings."""

PAIRS = (
    "Fp1-F7", "F7-T7", "T7-P7", "P7-O1", "Fp2-F8", "F8-T8", "T8-P8", "P8-O2", "Fp1-F3", "F3-C3", "C3-P3", "P3-O1",
    "Fp2-F4", "F4-C4", "C4-P4", "P4-O2", "C3-A2", "C4-A1",
)  # fmt: skip
"""The bipolar channels of `biot`, in its order; only its weights for 18 channels have the last two."""

UNKNOWN_TO_EEGPT = frozenset({
    "AF9", "AF5", "AF1", "AFz", "AF2", "AF6", "AF10", "F9", "F10", "FT9", "FT10", "T9", "T10", "TP9", "TP10", "P9",
    "P10", "PO9", "PO1", "PO2", "PO10", "Iz", "M1", "M2", "A1", "A2", "FTT9h", "FTT10h", "TTP7h", "TPP9h", "TPP8h",
    "TPP10h", "CCP5", "CCP3", "CCP1", "CCP2", "CCP4", "CCP6",
})  # fmt: skip


class Labram(EegFoundation):
    """LaBraM base (Jiang et al. 2024, ICLR): a Transformer whose tokens are seconds of single electrodes, identified by
    name.

    The network is built for its window, 15 s at most. A checkpoint has positions in time for 15 s; of these, the first
    seconds are loaded. Not followed: the paper smooths labels by .1.
    """

    family: ClassVar = "labram"
    module: ClassVar = "braindecode.models.labram"
    network: ClassVar = "Labram"
    pieces: ClassVar = Pieces(200, 200)
    longest_s: ClassVar = 15.0
    known: ClassVar = (*POSITIONS, *WITHOUT_POSITION)
    stack: ClassVar = "blocks"
    offered: ClassVar = frozenset({"cls"})
    recipes: ClassVar[Mapping[str, Recipe]] = add_small(
        PAPER.replace(
            lr=5e-4, warmup=5, epochs=50, batch=64, layer_decay=0.65, clip=None,
            build={"num_layers": 12, "drop_path_prob": 0.1},
            assumed=(*PAPER.assumed, "view.length_s"),
        ),
        num_layers=2,
    )  # fmt: skip

    def load_model(self, channels: tuple[str, ...], samples: int) -> Any:
        """Return the network for windows of `samples` samples. Pretrained weights for 15 s are cut to this length."""
        model = self.make_model(n_chans=len(channels), n_times=samples)
        if self.recipe.build["weights"] not in (pretrained.RANDOM, pretrained.UNNAMED):
            whole = self.make_model(n_chans=len(channels), n_times=round(self.rate * self.longest_s))
            self.fill(whole)
            state, seconds = whole.state_dict(), model.temporal_embedding.shape[1]
            state["temporal_embedding"] = state["temporal_embedding"][:, :seconds]
            model.load_state_dict(state)
        model.channels = list(channels)
        return model

    def tokens(self, model: Any, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, C * seconds, 200) and the CLS token."""
        found = model(x, ch_names=model.channels, return_features=True)
        return found["features"], found["cls_token"]


class CBraMod(EegFoundation):
    """CBraMod (Wang et al. 2025, ICLR): attention among electrodes and among seconds, with positions encoded by
    convolution.

    It distinguishes electrodes only by the order of channels: first the 19 electrodes of its pretraining, then the
    others as in `POSITIONS`. Not followed: the paper trains the head at five times the learning rate of the network,
    smooths labels by .1, and keeps the epoch with the best kappa on validation subjects, not the lowest loss.
    """

    family: ClassVar = "cbramod"
    module: ClassVar = "braindecode.models.cbramod"
    network: ClassVar = "CBraMod"
    pieces: ClassVar = Pieces(200, 200)
    known: ClassVar = (*CLINICAL, *(name for name in (*POSITIONS, *WITHOUT_POSITION) if name not in CLINICAL))
    stack: ClassVar = "encoder.layers"
    offered: ClassVar = frozenset({"head"})
    recipes: ClassVar[Mapping[str, Recipe]] = add_small(
        PAPER.replace(
            selection="early_stop", patience=50,
            prepare={"high_hz": 0.3}, build={"n_layer": 12, "drop_prob": 0.1, "head": "paper"},
            assumed=("class_weight", "view.step_s"),
        ),
        n_layer=2,
    )  # fmt: skip

    def make_model(self, **shape: Any) -> Any:
        """Return the network without its head."""
        return super().make_model(**shape, return_encoder_output=True)

    def tokens(self, model: Any, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, C * seconds, 200)."""
        return model(x).flatten(1, 2), None

    def paper_head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return three layers on all tokens of a window, the first with 200 outputs for each second."""
        seconds = round(float(self.recipe.view.length_s or 0)) if self.recipe.view else 1
        return FlatHead(tokens, outputs, hidden=(200 * seconds, 200), dropout=0.1)


class Biot(EegFoundation):
    """BIOT (Yang et al. 2023, NeurIPS): linear attention over spectra of single bipolar channels.

    The epoch with the lowest validation loss is kept; the authors' code keeps the epoch with the best AUROC.

    Prepare keys: `pairs`, the number of bipolar channels: 16, or 18, two of which are measured against the ears.

    Build keys: `max_chans`, the number of channels that the weights were trained with, 16 or 18.
    """

    family: ClassVar = "biot"
    module: ClassVar = "braindecode.models.biot"
    network: ClassVar = "BIOT"
    pieces: ClassVar = Pieces(200, 100)
    stack: ClassVar = "encoder.transformer.layers.layers"
    offered: ClassVar = frozenset({"head"})
    recipes: ClassVar[Mapping[str, Recipe]] = add_small(
        PAPER.replace(
            optimiser="adam", lr=1e-3, weight_decay=1e-5, schedule="constant", epochs=100, batch=512, clip=None,
            selection="early_stop", patience=5,
            prepare={"scale": "p95", "pairs": 16}, build={"num_layers": 4, "max_chans": 16, "head": "paper"},
            assumed=("class_weight", "view.step_s"),
        ),
        num_layers=2,
    )  # fmt: skip

    def network_channels(self, modality: str, channels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Return pair of electrodes -> two channels of the dataset; the second is subtracted from the first.

        Raises:
            UsageError: electrodes of the pairs are missing, or one occurs twice.
        """
        pairs, found = PAIRS[: int(self.recipe.prepare["pairs"])], self.find_electrodes(channels)
        wired = {pair: tuple(pair.split("-")) for pair in pairs}
        if missing := [name for name in dict.fromkeys(n for both in wired.values() for n in both) if name not in found]:
            raise UsageError(
                f"biot reads differences of electrodes, and {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing",
                where=f"encoder biot, modality {modality}",
                expected=f"channels for {', '.join(pairs)}",
                hint="another encoder of EEG, such as cbramod or labram, reads any electrodes",
            )
        return {pair: tuple(found[name] for name in both) for pair, both in wired.items()}

    def make_model(self, **shape: Any) -> Any:
        """Return the network with as many channel tokens as its weights have."""
        most = int(self.recipe.build["max_chans"])
        if shape["n_chans"] > most:
            raise UsageError(
                f"biot with {most} channel tokens cannot read {shape['n_chans']} pairs",
                where="encoder.build.max_chans", expected=f"{shape['n_chans']}",
            )  # fmt: skip
        return super().make_model(**{**shape, "n_chans": most})

    def sizes(self) -> dict[str, Any]:
        """Return all of `build` but `max_chans`, which `make_model` passes under another name."""
        return {key: value for key, value in super().sizes().items() if key != "max_chans"}

    def tokens(self, model: Any, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the one token (B, 1, 256) of a window, the mean over its channels."""
        return model.encoder(x)[:, None], None

    def paper_head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return ELU and one linear layer."""
        return EluHead(tokens, outputs)


class Eegpt(EegFoundation):
    """EEGPT (Wang et al. 2024, NeurIPS): summaries of all electrodes in steps of a quarter of a second; electrodes are
    identified by name.

    braindecode's default projection to 19 channels is not used, as its weights would be random in a frozen network. As
    in its pretraining, electrodes are referenced to their mean and in mV.
    """

    family: ClassVar = "eegpt"
    module: ClassVar = "braindecode.models.eegpt"
    network: ClassVar = "EEGPT"
    rate: ClassVar = 256.0
    pieces: ClassVar = Pieces(64, 32)
    known: ClassVar = tuple(name for name in POSITIONS if name not in UNKNOWN_TO_EEGPT)
    stack: ClassVar = "target_encoder.blocks"
    offered: ClassVar = frozenset({"head"})
    left_out: ClassVar = ("final_layer", "chan_proj", "chans_id")
    recipes: ClassVar[Mapping[str, Recipe]] = add_small(
        PAPER.replace(
            lr=4e-4, weight_decay=0.01, warmup=20, epochs=100, clip=None, adapt="frozen", view=View("window", 4.0, 4.0),
            prepare={"rate_hz": 256, "reference": "average", "scale": "mV"}, build={"depth": 8, "head": "paper"},
            assumed=("class_weight", "view.step_s", "prepare.high_hz"),
        ),
        depth=2,
    )  # fmt: skip

    def load_model(self, channels: tuple[str, ...], samples: int) -> Any:
        """Return the network for these electrodes, with the recipe's weights."""
        model = self.make_model(
            n_times=samples,
            chs_info=[{"ch_name": name} for name in channels],
            chan_proj_type="none",
            return_encoder_output=True,
        )
        self.fill(model)
        return model

    def tokens(self, model: Any, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, steps, 4 * 512): the four summaries of each step side by side."""
        return model(x).flatten(2), None

    def paper_head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return a linear probe: one layer from each step to 16 values, and one layer on the values of all steps."""
        return FlatHead(tokens, outputs, narrow=16, dropout=0.5)


class Luna(EegFoundation):
    """LUNA base (Doener et al. 2025, NeurIPS): combines electrodes by their positions, then attends over time.

    It reads single electrodes, as in the paper's results on Siena and SEED-V; most of its pretraining was on bipolar
    channels. The decoder of a checkpoint is not loaded. The paper's head, one learned query over the tokens, is not
    implemented.
    """

    family: ClassVar = "luna"
    module: ClassVar = "braindecode.models.luna"
    network: ClassVar = "LUNA"
    rate: ClassVar = 256.0
    pieces: ClassVar = Pieces(40, 40)
    placed: ClassVar = True
    stack: ClassVar = "blocks"
    left_out: ClassVar = ("final_layer", "decoder_head", "channel_emb")
    recipes: ClassVar[Mapping[str, Recipe]] = add_small(
        PAPER.replace(
            lr=5e-4, warmup=10, epochs=30, batch=256, layer_decay=0.75, clip=None, selection="early_stop", patience=8,
            view=View("window", 5.0, 5.0),
            prepare={"rate_hz": 256, "scale": "z"}, build={"depth": 8},
            assumed=("class_weight", "view.step_s", "build.head"),
        ),
        depth=2,
    )  # fmt: skip

    def make_model(self, **shape: Any) -> Any:
        """Return the network, which also loads weights under their older names."""
        model = super().make_model(**shape)
        new_names = dict(model.mapping)

        def rename(state: dict[str, Tensor], *_: Any) -> None:
            for name in new_names.keys() & state.keys():
                state[new_names[name]] = state.pop(name)

        model._register_load_state_dict_pre_hook(rename)  # noqa: SLF001  torch has no public one that sees the state
        return model

    def tokens(self, model: Any, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, pieces, 256): four queries of 64 values side by side."""
        return model(x, channel_locations=positions.expand(len(x), -1, -1)), None


class Reve(EegFoundation):
    """REVE base (El Ouahidi et al. 2025, NeurIPS): attention over seconds of single electrodes, identified by position.

    Positions are the template's, as in the authors' table. Windows are standardised and clipped, as in its pretraining;
    for other data the authors' code divides by a constant instead (`--set "encoder.prepare.scale=100 uV"`). Not
    followed: that code first trains the head alone.
    """

    family: ClassVar = "reve"
    module: ClassVar = "braindecode.models.reve"
    network: ClassVar = "REVE"
    pieces: ClassVar = Pieces(200, 180)
    placed: ClassVar = True
    stack: ClassVar = "transformer.layers"
    offered: ClassVar = frozenset({"head"})
    left_out: ClassVar = ("final_layer", "cls_query_token")
    recipes: ClassVar[Mapping[str, Recipe]] = add_small(
        PAPER.replace(
            prepare={"high_hz": 0.5, "scale": "z15"}, build={"depth": 22, "head": "paper"},
            assumed=(*PAPER.assumed, "lr", "weight_decay", "epochs", "batch"),
        ),
        depth=2,
    )  # fmt: skip

    def make_model(self, **shape: Any) -> Any:
        """Return the network without its table of positions, which its class would download: `tokens` passes ours."""
        with patch(f"{self.module}.RevePositionBank", nn.Identity):
            model = super().make_model(**shape)
        del model._position_bank  # noqa: SLF001  a placeholder now
        return model

    def tokens(self, model: Any, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, C * pieces, 512)."""
        found = model(x, pos=positions.expand(len(x), -1, -1), return_features=True)
        return found["features"].flatten(1, 2), None

    def paper_head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return a LayerNorm and one layer on all tokens."""
        return FlatHead(tokens, outputs, norm=True)
