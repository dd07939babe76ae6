"""Faults of encoders are found and told."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from embench.errors import CheckFailed
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, Tokens
from embench.testing import check_encoder
from embench.testing.require import seeded


class Network(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.line = nn.Linear(channels, 8)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        return Tokens(self.line(x.transpose(1, 2)), mask)


class Good(Encoder):
    accepts: ClassVar = frozenset({"eda"})
    recipes: ClassVar = {preset: Recipe(prepare={"a": [1, 2]}) for preset in ("paper", "small", "quick")}
    network: ClassVar = Network

    def build(self, spec: InputSpec) -> nn.Module:
        return self.network(spec.shape[0])


class ReadsMask(Network):
    def forward(self, x, mask=None):
        return Tokens(self.line(x.transpose(1, 2)), None)


class LooksAtBatch(Network):
    def forward(self, x, mask=None):
        tokens = super().forward(x, mask)
        return Tokens(tokens.x - tokens.x.mean(0), mask)


class Idle(Network):
    def __init__(self, channels):
        super().__init__(channels)
        self.unused = nn.Linear(2, 2)


class OwnDice(Network):
    def __init__(self, channels):
        super().__init__(channels)
        with torch.no_grad():
            self.line.bias += torch.from_numpy(np.random.default_rng().standard_normal(8)).float()


class NotSaved(Network):
    def __init__(self, channels):
        super().__init__(channels)
        self.shift = torch.randn(8)

    def forward(self, x, mask=None):
        tokens = super().forward(x, mask)
        return Tokens(tokens.x + self.shift, mask)


class Restless(Network):
    def forward(self, x, mask=None):
        tokens = super().forward(x, mask)
        return Tokens(tokens.x + torch.randn(8), mask)


class Infinite(Network):
    def forward(self, x, mask=None):
        return Tokens(super().forward(x, mask).x / 0.0, mask)


class Flat(Network):
    def forward(self, x, mask=None):
        return Tokens(super().forward(x, mask).x.mean(1), None)


class Raises(Network):
    def forward(self, x, mask=None):
        raise ValueError("no")


def test_a_good_one_passes():
    check_encoder(Good)


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        (ReadsMask, "reads masked samples"),
        (LooksAtBatch, "the output of a row depends on the other rows"),
        (Idle, "no gradient reaches `unused"),
        (OwnDice, "differs between two builds of one seed"),
        (NotSaved, "gives another output after saving and loading"),
        (Restless, "two calls differ"),
        (Infinite, "not finite"),
        (Flat, "the tokens have shape"),
        (Raises, "the plugin raised ValueError: no"),
    ],
)
def test_faults_of_the_network(network, fault):
    class Faulty(Good):
        pass

    Faulty.network = network
    with pytest.raises(CheckFailed) as caught:
        check_encoder(Faulty)
    assert fault in str(caught.value)
    assert "test_encoders.py" in str(caught.value)
    assert "preset paper, eda" in str(caught.value)


def test_faults_of_the_class():
    class NoRecipe(Good):
        recipes: ClassVar = {"paper": Recipe()}

    class Unknown(Good):
        accepts: ClassVar = frozenset({"bvp"})

    class Unwritable(Good):
        recipes: ClassVar = {preset: Recipe(betas=[0.9, 0.99]) for preset in ("paper", "small", "quick")}

    for cls, fault in (
        (NoRecipe, "no recipe `small`"),
        (Unknown, "bvp"),
        (Unwritable, "round trip"),
        (Network, "not an Encoder"),
    ):
        with pytest.raises(CheckFailed, match=fault):
            check_encoder(cls)


def test_statistics_of_masked_samples_and_their_loss_are_found():
    class Counts(Good):
        def fit_stats(self, x, mask):
            return {"mean": x.mean((0, 2))}

    class Forgets(Good):
        def fit_stats(self, x, mask):
            return {"mean": np.array([x[:, 0][mask].mean()])}

        def build(self, spec):
            network = Network(spec.shape[0])
            mean = torch.from_numpy(spec.stats["mean"])
            network.register_forward_pre_hook(lambda _, args: (args[0] - mean[None, :, None], *args[1:]))
            return network

    with pytest.raises(CheckFailed, match="uses masked samples for mean"):
        check_encoder(Counts)
    with pytest.raises(CheckFailed, match="after saving and loading"):
        check_encoder(Forgets)


class Features(Good):
    @property
    def reads(self):
        return "features"

    def features(self, signal, spans):
        cuts = [signal.data[:, round(a * signal.rate) : round(b * signal.rate)] for a, b in spans]
        return np.stack([np.concatenate([c.mean(1), c.std(1)]) for c in cuts]).astype(np.float32)

    def build(self, spec):
        class Vector(nn.Module):
            def __init__(self):
                super().__init__()
                self.line = nn.Linear(spec.shape[0], 4)

            def forward(self, x, mask=None):
                return Tokens(self.line(torch.nan_to_num(x))[:, None])

        return Vector()


def test_features():
    check_encoder(Features)

    class AcrossSpans(Features):
        def features(self, signal, spans):
            found = super().features(signal, spans)
            return found - found.mean(0)

    class Misnamed(Features):
        def feature_names(self, modality, channels):
            return ("only one",)

    with pytest.raises(CheckFailed, match="depend on the other spans"):
        check_encoder(AcrossSpans)
    with pytest.raises(CheckFailed, match="1 feature names for 2 features"):
        check_encoder(Misnamed)


def test_checks_leave_the_random_state_as_it_was():
    before = seeded(lambda: torch.rand(1), seed=5)
    torch.manual_seed(5)
    check_encoder(Good)
    assert torch.equal(torch.rand(1), before)


class Picks(Network):
    """Reads the channels at `read`, and says of `said` that it does (None: nothing)."""

    def __init__(self, read, picks):
        super().__init__(len(read))
        self.read = read
        if picks is not None:
            self.register_buffer("picks", torch.tensor(picks), persistent=False)

    def forward(self, x, mask=None):
        return super().forward(x[:, self.read], mask)


def picking(read, picks):
    class Picking(Good):
        accepts: ClassVar = frozenset({"acc"})  # x, y, z

        def build(self, spec: InputSpec) -> nn.Module:
            return Picks(read, picks)

    return Picking


@pytest.mark.parametrize(("read", "picks"), [([2, 0], [2, 0]), ([0, 1, 2], None), ([1], [1])])
def test_an_encoder_says_which_channels_it_reads(read, picks):
    check_encoder(picking(read, picks))


@pytest.mark.parametrize(
    ("read", "picks", "fault"),
    [
        ([2, 0], None, "channel y changes nothing"),
        ([2, 0], [0, 1, 2], "channel y, as named by `picks` of its module, changes nothing"),
        ([2, 0], [0], "reads channel z, which `picks` does not name"),
        ([2, 0], [0, 3], "unique positions from 0 to 2"),
        ([2, 0], [-1, 0], "unique positions from 0 to 2"),
        ([2, 0], [0, 0, 2], "unique positions from 0 to 2"),
        ([2, 0], [0.0, 2.0], "an integer tensor (k,)"),
        ([2, 0], [True, False, True], "an integer tensor (k,)"),
    ],
)
def test_an_encoder_that_says_other_channels_than_it_reads_is_told(read, picks, fault):
    with pytest.raises(CheckFailed) as caught:
        check_encoder(picking(read, picks))
    assert fault in str(caught.value)
