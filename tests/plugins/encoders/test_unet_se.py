"""`unet_se`: sizes, gates and places worked out by hand, and what does not count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from embench.errors import UsageError
from embench.interfaces.tokens import InputSpec, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench_plugins.encoders.unet_se import GRID, Excitation, UnetSe, find_cell

AMIGOS_EEG = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
DEAP_EEG = (
    "Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz", "Fp2",
    "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2",
)  # fmt: skip
PLACES = {
    "AF3": (1, 3), "AF4": (1, 5), "F7": (2, 0), "F3": (2, 2), "F4": (2, 6), "F8": (2, 8), "FC5": (3, 1), "FC6": (3, 7),
    "T7": (4, 0), "T8": (4, 8), "P7": (6, 0), "P8": (6, 8), "O1": (8, 3), "O2": (8, 5),
}  # fmt: skip


def encoder(preset: str = "paper", **build: object) -> UnetSe:
    return UnetSe(UnetSe.recipes[preset].replace(build=build))


def heart_spec(length: int = 32) -> InputSpec:
    return InputSpec("ecg", (1, length), ("interval",))


def scalp_spec(channels: tuple[str, ...] = AMIGOS_EEG) -> InputSpec:
    return InputSpec("eeg", (4, len(channels)), channels)


def heart_rows(n: int = 6, seed: int = 0) -> torch.Tensor:
    """Intervals of which each row has a few more than the one before, NaN after them."""
    x = torch.randn(n, 1, 32, generator=torch.Generator().manual_seed(seed))
    for row in range(n):
        x[row, :, 7 + row :] = torch.nan
    return x


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def block_by_hand(a: int, b: int, kernel: int) -> int:
    """Two convolutions with biases, two batch norms, the channel gate b -> b/2 -> b, the spatial gate b -> 1."""
    convolutions = (kernel * a * b + b) + (kernel * b * b + b)
    gates = (b * b // 2 + b // 2) + (b // 2 * b + b) + (b + 1)
    return convolutions + 2 * 2 * b + gates


def test_parameters_of_the_series_network() -> None:
    """16-32-64 and 128 at the bottom, kernels of 3, transposed ones of 2; two units, then 16 -> 64."""

    def unit(channels: int) -> int:
        down = sum(block_by_hand(a, b, 3) for a, b in ((channels, 16), (16, 32), (32, 64), (64, 128)))
        lift = (2 * 128 * 64 + 64) + (2 * 64 * 32 + 32) + (2 * 32 * 16 + 16)
        return down + lift + sum(block_by_hand(2 * b, b, 3) for b in (64, 32, 16))

    network = encoder().build(heart_spec())
    assert parameters(network) == unit(1) + unit(16) + (16 * 64 + 64) == 397_246


def test_parameters_of_the_map_network() -> None:
    """16-32 and 64 at the bottom, kernels of 3 x 3, transposed ones of 2 x 2; two units, then 16 -> 64."""

    def unit(channels: int) -> int:
        down = sum(block_by_hand(a, b, 9) for a, b in ((channels, 16), (16, 32), (32, 64)))
        lift = (4 * 64 * 32 + 32) + (4 * 32 * 16 + 16)
        return down + lift + sum(block_by_hand(2 * b, b, 9) for b in (32, 16))

    network = encoder().build(scalp_spec())
    assert parameters(network) == unit(4) + unit(16) + (16 * 64 + 64) == 252_554


@pytest.mark.parametrize(
    ("spec", "rows", "tokens", "bottom"),
    [
        (heart_spec(), torch.zeros(2, 1, 32), 32, (128, 4)),
        (scalp_spec(), torch.zeros(2, 4, 14), 144, (64, 3, 3)),
    ],
    ids=["series", "map"],
)
def test_shapes_down_to_the_bottom(spec: InputSpec, rows: torch.Tensor, tokens: int, bottom: tuple[int, ...]) -> None:
    """32 intervals become 4 at the lowest of four levels; 12 x 12 cells become 3 x 3 at the lowest of three."""
    network = encoder().build(spec).eval()
    seen = []
    for unit in list(network.units)[:-1]:
        unit.down[-1].register_forward_hook(lambda _module, _x, out: seen.append(tuple(out.shape[1:])))
    made = network(rows)
    assert seen == [bottom, bottom]
    assert made.x.shape == (2, tokens, 64)
    assert made.summary is None


def test_a_block_reaches_two_cells_to_each_side() -> None:
    """Two convolutions of 3; the gates, which see everything, are taken out."""
    network = encoder().build(heart_spec()).eval()
    convolutions = network.units[0].down[0][:-1]
    x = torch.randn(1, 1, 32, requires_grad=True)
    out = x
    for layer in convolutions:
        out = out if isinstance(layer, torch.nn.ReLU) else layer(out)
    out[0, :, 15].sum().backward()
    assert torch.nonzero(x.grad[0, 0]).flatten().tolist() == [13, 14, 15, 16, 17]


@pytest.mark.parametrize("dims", [1, 2])
def test_excitation_is_the_greater_of_both_gated_maps(dims: int) -> None:
    torch.manual_seed(0)
    gates = Excitation(6, dims, "greater")
    x = torch.randn(3, 6, *[5] * dims).relu()
    first, last, place = gates.channel[0], gates.channel[2], gates.spatial[0]
    mean = x.flatten(2).mean(2)
    by_channel = torch.sigmoid(torch.relu(mean @ first.weight.T + first.bias) @ last.weight.T + last.bias)
    by_place = torch.sigmoid(torch.einsum("bc...,c->b...", x, place.weight.flatten()) + place.bias)
    assert first.out_features == 3
    one = torch.einsum("bc...,bc->bc...", x, by_channel)
    other = torch.einsum("bc...,b...->bc...", x, by_place)
    torch.testing.assert_close(gates(x), torch.maximum(one, other))
    assert (one > other).any()
    assert (one < other).any()


def test_excitations_differ_by_their_gates() -> None:
    """With all weights at zero each gate is one half: the sum of both is one, and none leaves things as they are."""
    x = torch.rand(2, 6, 5)
    for kind, share in {"greater": 0.5, "sum": 1.0, "channel": 0.5, "spatial": 0.5}.items():
        gates = Excitation(6, 1, kind)
        for parameter in gates.parameters():
            torch.nn.init.zeros_(parameter)
        torch.testing.assert_close(gates(x), share * x)
    assert not any(isinstance(part, Excitation) for part in encoder(excitation="none").build(heart_spec()).modules())


@pytest.mark.parametrize(("wrong", "message"), [({"kernel": 4}, "no middle"), ({"excitation": "both"}, "'both'")])
def test_a_kernel_without_a_middle_and_an_unknown_excitation_are_refused(wrong, message) -> None:
    with pytest.raises(UsageError, match=message):
        encoder(**wrong).build(heart_spec())


@pytest.mark.parametrize("preset", ["paper", "small", "quick"])
@pytest.mark.parametrize(("spec", "rows"), [(heart_spec(), heart_rows()), (scalp_spec(), torch.randn(6, 4, 14))])
def test_gradients_reach_every_parameter(preset: str, spec: InputSpec, rows: torch.Tensor) -> None:
    torch.manual_seed(0)
    maker = encoder(preset)
    network = maker.build(spec).train()
    made = network(rows)
    head = maker.head(TokenSpec(made.x.shape[1], made.x.shape[2]), outputs_of())
    head(made).logits.square().sum().backward()
    named = [*network.named_parameters(), *head.named_parameters()]
    assert [name for name, p in named if p.grad is None or not p.grad.abs().sum() > 0] == []


def outputs_of() -> OutputSpec:
    return OutputSpec((Target("t", "binary", LabelRule(), "t"),))


def test_head_is_the_mean_of_tokens_that_count_and_two_layers() -> None:
    head = encoder().head(TokenSpec(32, 64), outputs_of()).eval()
    assert parameters(head) == (64 * 64 + 64) + (64 + 1)
    assert head.dropout.p == 0.5
    x, mask = torch.randn(3, 32, 64), torch.arange(32) < torch.tensor([[9], [4], [32]])
    mean = torch.stack([x[0, :9].mean(0), x[1, :4].mean(0), x[2].mean(0)])
    hidden = torch.relu(mean @ head.first.weight.T + head.first.bias)
    output = head(Tokens(x, mask))
    torch.testing.assert_close(output.hidden, hidden)
    torch.testing.assert_close(output.logits, hidden @ head.last.weight.T + head.last.bias)


def test_an_odd_number_of_intervals_is_refused() -> None:
    with pytest.raises(UsageError, match="30 intervals cannot be halved 3 times"):
        encoder().build(heart_spec(30))


def test_what_stands_where_there_is_no_interval_changes_nothing() -> None:
    """Fewer intervals are fewer tokens, and the mean of tokens leaves the others out."""
    network, x = encoder("small").build(heart_spec()).eval(), heart_rows()
    tokens = network(x)
    assert tokens.mask.sum(1).tolist() == [7, 8, 9, 10, 11, 12]
    torch.testing.assert_close(tokens.pool()[0], tokens.x[0, :7].mean(0))
    infinite = x.masked_fill(x.isnan(), torch.inf)
    torch.testing.assert_close(network(infinite).x, tokens.x)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("spec", "rows"), [(heart_spec(), heart_rows()), (scalp_spec(), torch.randn(6, 4, 14))])
def test_the_order_of_a_batch_changes_no_row(spec: InputSpec, rows: torch.Tensor, training: bool) -> None:
    """In training too: the statistics of a batch do not depend on its order."""
    torch.manual_seed(0)
    network = encoder().build(spec).train(training)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(network(rows[order]).pool(), network(rows).pool()[order], atol=1e-5, rtol=1e-5)


def test_electrodes_lie_where_the_head_has_them() -> None:
    for name, (row, column) in PLACES.items():
        assert find_cell(name) == row * GRID + column
    assert len({find_cell(name) for name in DEAP_EEG}) == 32
    assert [find_cell(name) for name in ("T3", "T4", "T5", "T6")] == [
        find_cell(name) for name in ("T7", "T8", "P7", "P8")
    ]
    assert find_cell("FP1") == find_cell("Fp1")
    assert all(max(divmod(find_cell(name), GRID)) < 9 for name in DEAP_EEG)


@pytest.mark.parametrize("stem", ["Fp", "AF", "F", "FC", "C", "CP", "P", "PO", "O"])
def test_both_halves_mirror_each_other(stem: str) -> None:
    """Odd numbers are on the left; their neighbours, one higher, as far to the right; z is in the middle."""
    middle = find_cell(f"{stem}z") % GRID
    assert middle == 4
    for left in (1, 3, 5, 7):
        try:
            places = find_cell(f"{stem}{left}"), find_cell(f"{stem}{left + 1}")
        except UsageError:
            continue
        rows, columns = zip(*(divmod(place, GRID) for place in places), strict=True)
        assert rows[0] == rows[1] == find_cell(f"{stem}z") // GRID
        assert columns[0] < 4
        assert sum(columns) == 8


@pytest.mark.parametrize("name", ["A1", "EEG 001", ".", ""])
def test_an_electrode_off_the_map_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="has no electrode") as caught:
        encoder().build(scalp_spec(("F3", name)))
    assert "matrix" in str(caught.value.hint)
    assert encoder(layout="matrix").build(scalp_spec(("F3", name)))


def test_values_go_to_their_cells() -> None:
    network = encoder().build(scalp_spec()).eval()
    seen = []
    network.units[0].register_forward_pre_hook(lambda _module, signal: seen.append(signal[0]))
    x = torch.randn(2, 4, 14)
    network(x)
    (image,) = seen
    assert image.shape == (2, 4, 12, 12)
    for i, name in enumerate(AMIGOS_EEG):
        row, column = PLACES[name]
        torch.testing.assert_close(image[:, :, row, column], x[:, :, i])
    assert torch.count_nonzero(image) == 2 * 4 * 14


@pytest.mark.parametrize("channels", [AMIGOS_EEG, DEAP_EEG, ("C3",)])
def test_the_matrix_has_a_token_for_each_band_of_each_electrode(channels: tuple[str, ...]) -> None:
    network = encoder(layout="matrix").build(scalp_spec(channels)).eval()
    assert network(torch.randn(3, 4, len(channels))).x.shape == (3, 4 * len(channels), 64)


def test_a_layout_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="no layout is called 'disc'"):
        encoder(layout="disc").build(scalp_spec())


def test_statistics_of_training_subjects_are_applied_and_a_missing_electrode_is_the_mean() -> None:
    random = np.random.default_rng(0)
    x = (3 + 2 * random.standard_normal((50, 4, 14))).astype(np.float32)
    x[:, 2, 5] = 7.0  # constant
    x[:, :, 9] = np.nan  # never there
    x[3, 1, 1] = np.nan
    maker = encoder("small")
    stats = maker.fit_stats(x, None)
    np.testing.assert_allclose(stats["mean"][1, 1], np.nanmean(x[:, 1, 1]), rtol=1e-5)
    np.testing.assert_allclose(stats["std"][1, 1], np.nanstd(x[:, 1, 1]), rtol=1e-5)
    assert stats["std"][2, 5] == 1.0
    assert all(np.isfinite(value).all() for value in stats.values())
    spec = InputSpec("eeg", (4, 14), AMIGOS_EEG, stats=stats)
    network = maker.build(spec).eval()
    signal, filled = torch.from_numpy(x[3:4]), torch.from_numpy(x[3:4].copy())
    filled[0, 1, 1] = float(stats["mean"][1, 1])
    torch.testing.assert_close(network(signal).x, network(filled).x)
    assert maker.fit_stats(np.zeros((5, 1, 32), np.float32), None) == {}


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["ecg", "eeg"])
def test_short_training_finds_what_is_there(modality: str) -> None:
    """The class is the mean interval, or the right side's alpha against the left's."""
    torch.manual_seed(0)
    y = (torch.arange(64) % 2).float()[:, None]
    if modality == "ecg":
        x = heart_rows(64 // 4).repeat(4, 1, 1) + (y - 0.5)[:, :, None]
        spec = heart_spec()
    else:
        x = torch.randn(64, 4, 14)
        x[:, 1, AMIGOS_EEG.index("F4")] += 2 * y[:, 0] - 1
        x[:, 1, AMIGOS_EEG.index("F3")] -= 2 * y[:, 0] - 1
        spec = scalp_spec()
    maker = encoder("small")
    network = maker.build(spec)
    head = maker.head(TokenSpec(1, 32), outputs_of())
    optimiser = torch.optim.AdamW([*network.parameters(), *head.parameters()], 3e-3)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(network(x)).logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
