"""`modality_aware`: sizes and gates worked out by hand; one to four modalities, from any encoder, absent or not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.tokens import Batch, InputSpec, Tokens, TokenSpec
from embench.nn import Model
from embench_plugins.encoders.cnn_tf import CnnTf
from embench_plugins.encoders.handcrafted import Handcrafted
from embench_plugins.encoders.unet_se import UnetSe
from embench_plugins.fusions.modality_aware import Gates, ModalityAware

from ...sample import sample
from .networks import TINY, batch, outputs_of

PAPER = {"ecg": TokenSpec(32, 64), "eeg": TokenSpec(144, 64)}
FOUR = ("ecg", "eeg", "eda", "temp")
ROWS = 8


def fusion(preset: str = "paper", **build: object) -> ModalityAware:
    return ModalityAware(ModalityAware.recipes[preset].replace(build=build))


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def drawn(specs: dict[str, TokenSpec], rows: int = ROWS, seed: int = 0) -> dict[str, Tokens]:
    """Tokens of which each row has a few that do not count."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for m, spec in specs.items():
        x = torch.randn(rows, spec.length, spec.dim, generator=generator)
        count = 1 + torch.arange(rows)[:, None] * spec.length // rows
        made[m] = Tokens(x, torch.arange(spec.length) < count)
    return made


def all_present(specs: dict[str, TokenSpec], rows: int = ROWS) -> dict[str, Tensor]:
    return {m: torch.ones(rows, dtype=torch.bool) for m in specs}


def encoded(modalities: tuple[str, ...]) -> tuple[Model, dict[str, Tensor]]:
    """A whole model without dropout over intervals, a scalp, one token a sample, and features; and rows for it."""
    torch.manual_seed(0)
    eeg = ("F3", "F4", "O1", "O2")
    specs = {
        "ecg": InputSpec("ecg", (1, 32), ("interval",)),
        "eeg": InputSpec("eeg", (4, 4), eeg),
        "eda": InputSpec("eda", (1, 40), ("eda",), 4.0),
        "temp": InputSpec("temp", (5,), ("temp",)),
    }
    unet = UnetSe(UnetSe.recipes["small"])
    cnn = CnnTf(CnnTf.recipes["small"].replace(build={**TINY, "head_dropout": 0.0, "hidden": 6}))
    makers = {"ecg": unet, "eeg": unet, "eda": cnn, "temp": Handcrafted(Handcrafted.recipes["small"])}
    widths = {
        "ecg": TokenSpec(32, 32),
        "eeg": TokenSpec(144, 32),
        "eda": TokenSpec(40, 8, True),
        "temp": TokenSpec(1, 64),
    }
    chosen = {m: widths[m] for m in modalities}
    joint = fusion("small", dropout=0.0).build(chosen, outputs_of())
    x = {m: torch.randn(ROWS, *specs[m].shape) for m in modalities}
    if "ecg" in x:
        x["ecg"][:, :, 12:] = torch.nan
    return Model({m: makers[m].build(specs[m]) for m in modalities}, chosen, joint), x


def test_parameters_by_hand() -> None:
    """A joint layer 128 -> 128 with batch norm, one 64 -> 64 for each part, then 128 -> 64 -> 1."""
    network = fusion().build(PAPER, outputs_of())
    gates = (128 * 128 + 128) + 2 * 128 + 2 * (64 * 64 + 64)
    head = (128 * 64 + 64) + (64 + 1)
    learned = 2 * 64  # tokens for absent modalities
    assert parameters(network) == gates + head + learned == 33_537
    assert parameters(network.head) == head
    assert network.head.dropout.p == 0.5
    basic = fusion(attention=False).build(PAPER, outputs_of())
    assert parameters(basic) == head + learned


def test_gates_by_hand() -> None:
    """Largest values -> joint layer -> split -> own layers -> sigmoid, one gate a channel."""
    torch.manual_seed(0)
    network = fusion().build(PAPER, outputs_of()).eval()
    tokens = drawn(PAPER)
    with torch.no_grad():
        running = network.gates.joint[1]
        running.running_mean.normal_()
        running.running_var.uniform_(0.5, 2.0)
        gated = network.gates(tokens)
        largest = torch.stack(
            [
                torch.cat([tokens[m].x[row, tokens[m].mask[row]].max(0).values for m in ("ecg", "eeg")])
                for row in range(ROWS)
            ]
        )
        linear, norm, _ = network.gates.joint
        joint = largest @ linear.weight.T + linear.bias
        joint = (joint - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps) * norm.weight + norm.bias
        for m, part in zip(("ecg", "eeg"), torch.relu(joint).split(64, 1), strict=True):
            own = network.gates.own[m]
            gate = 1 / (1 + torch.exp(-(part @ own.weight.T + own.bias)))
            torch.testing.assert_close(gated[m].x, tokens[m].x * gate[:, None])
            assert gated[m].mask is tokens[m].mask


def test_gates_of_tokens_by_hand() -> None:
    """The other reading: the largest value over channels, one gate a moment or place."""
    torch.manual_seed(0)
    specs = {"ecg": TokenSpec(5, 3), "eeg": TokenSpec(7, 3)}
    network = fusion(mask_axis="token", dim=3).build(specs, outputs_of()).eval()
    assert parameters(network.gates) == (12 * 12 + 12) + 2 * 12 + (5 * 5 + 5) + (7 * 7 + 7)
    tokens = drawn(specs)
    gated = network.gates(tokens)
    largest = torch.cat([tokens[m].x.max(2).values * tokens[m].mask for m in specs], 1)
    parts = network.gates.joint(largest).split([5, 7], 1)
    for m, part in zip(specs, parts, strict=True):
        torch.testing.assert_close(gated[m].x, tokens[m].x * torch.sigmoid(network.gates.own[m](part))[:, :, None])


def test_the_basic_model_is_the_same_network_with_open_gates() -> None:
    torch.manual_seed(0)
    full, basic = fusion().build(PAPER, outputs_of()).eval(), fusion(attention=False).build(PAPER, outputs_of()).eval()
    kept = {name: value for name, value in full.state_dict().items() if not name.startswith("gates.")}
    basic.load_state_dict(kept)
    tokens, present = drawn(PAPER), all_present(PAPER)
    pooled = torch.cat([tokens[m].pool() for m in PAPER], 1)
    hidden = torch.relu(pooled @ full.head.first.weight.T + full.head.first.bias)
    torch.testing.assert_close(basic(tokens, present).hidden, hidden)
    for own in full.gates.own.values():  # sigmoid(30) is 1
        nn.init.zeros_(own.weight)
        nn.init.constant_(own.bias, 30.0)
    torch.testing.assert_close(full(tokens, present).logits, basic(tokens, present).logits)


def test_a_modality_changes_the_gates_of_the_other() -> None:
    torch.manual_seed(0)
    gates = Gates({"ecg": 4, "eeg": 4}, by_channel=True, relative=False).eval()
    specs = {"ecg": TokenSpec(3, 4), "eeg": TokenSpec(3, 4)}
    one, other = drawn(specs), drawn(specs)
    other["eeg"] = other["eeg"]._replace(x=other["eeg"].x + 1)
    assert not torch.allclose(gates(one)["ecg"].x, gates(other)["ecg"].x)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("axis", ["channel", "token"])
def test_one_to_four_modalities_of_any_width(count: int, axis: str) -> None:
    specs = {m: TokenSpec(4 + i, 8 * (i + 1), summary=i == 1) for i, m in enumerate(FOUR[:count])}
    network = fusion("small", mask_axis=axis).build(specs, outputs_of(2))
    output = network(drawn(specs), all_present(specs))
    assert output.logits.shape == (ROWS, 2)
    assert output.hidden.shape == (ROWS, 32)
    projected = [m for m, layer in network.project.items() if isinstance(layer, nn.Linear)]
    assert projected == [m for m in specs if specs[m].dim != 32]


@pytest.mark.parametrize("unknown", [{"mask_axis": "time"}, {"gate": "tanh"}])
def test_an_axis_or_a_gate_that_nobody_knows_is_refused(unknown: dict[str, str]) -> None:
    (name,) = unknown.values()
    with pytest.raises(UsageError, match=f"is called '{name}'"):
        fusion(**unknown).build(PAPER, outputs_of())


def test_gates_of_a_softmax_have_a_mean_of_one() -> None:
    torch.manual_seed(0)
    gates = Gates({"ecg": 4, "eeg": 4}, by_channel=True, relative=True).eval()
    ones = {m: Tokens(torch.ones(ROWS, 3, 4)) for m in ("ecg", "eeg")}
    for part in gates(ones).values():
        torch.testing.assert_close(part.x.mean(2), torch.ones(ROWS, 3))
        assert part.x.std() > 0


@pytest.mark.parametrize("count", sample([1, 2, 3, 4], 1, 3))
def test_any_encoders_learn_together(count: int) -> None:
    """Gradients reach every parameter, and a few steps lower the loss."""
    model, x = encoded(FOUR[:count])
    present = {m: [row for row in range(ROWS) if count == 1 or row != i] for i, m in enumerate(x)}
    data, y = batch(x, present), (torch.arange(ROWS) % 2).float()[:, None]
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for step in range(12):
        loss = nn.functional.binary_cross_entropy_with_logits(model(data).logits, y)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            unused = {f"fusion.fill.token.{m}" for m in x} if count == 1 else set()  # nobody was absent
            idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
            assert idle == unused
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def absent(x: dict[str, Tensor], noise: float) -> Batch:
    """Each modality is absent in another row, where `noise` is stored of it."""
    present = {m: [row for row in range(ROWS) if row != i] for i, m in enumerate(x)}
    stored = {m: value.clone() for m, value in x.items()}
    for i, value in enumerate(stored.values()):
        value[i] = noise
    return batch(stored, present)


@pytest.mark.parametrize("training", [False, True])
def test_what_is_stored_of_an_absent_modality_changes_nothing(training: bool) -> None:
    outputs_for = []
    for noise in (0.0, 1e6):
        model, x = encoded(FOUR)
        outputs_for.append(model.train(training)(absent(x, noise)).logits)
    assert torch.equal(*outputs_for)


@pytest.mark.parametrize("training", [False, True])
def test_tokens_that_do_not_count_change_nothing(training: bool) -> None:
    torch.manual_seed(0)
    network, tokens = fusion(dropout=0.0).build(PAPER, outputs_of()).train(training), drawn(PAPER)
    noisy = {
        m: t._replace(x=torch.where(t.mask[:, :, None], t.x, torch.full_like(t.x, 50.0))) for m, t in tokens.items()
    }
    present = all_present(PAPER)
    torch.testing.assert_close(network(noisy, present).logits, network(tokens, present).logits)


@pytest.mark.parametrize("training", [False, True])
def test_the_order_of_a_batch_changes_no_row(training: bool) -> None:
    torch.manual_seed(0)
    network, tokens = fusion(dropout=0.0).build(PAPER, outputs_of()).train(training), drawn(PAPER)
    order = torch.tensor([3, 0, 7, 5, 1, 6, 4, 2])
    present = {"ecg": torch.arange(ROWS) != 2, "eeg": torch.arange(ROWS) != 5}
    mixed = {m: Tokens(t.x[order], t.mask[order]) for m, t in tokens.items()}
    there = {m: p[order] for m, p in present.items()}
    after, before = network(mixed, there).logits, network(tokens, present).logits
    torch.testing.assert_close(after, before[order], atol=1e-5, rtol=1e-5)


def test_a_row_does_not_depend_on_the_others() -> None:
    model, x = encoded(FOUR)
    together = model.eval()(absent(x, 0.0)).logits
    for i in range(ROWS):
        own = {m: [] if at == i else [0] for at, m in enumerate(x)}
        alone = model(batch({m: v[i : i + 1] for m, v in x.items()}, own)).logits
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)


def test_each_target_has_a_network_of_its_own() -> None:
    assert all(recipe.targets == "each" for recipe in ModalityAware.recipes.values())
