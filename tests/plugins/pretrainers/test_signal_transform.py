"""`signal_transform`: what each change does to a window and what it leaves alone, labels, loss, sizes."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal as sps
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from embench import registry
from embench.engine.network import start_from
from embench.errors import UsageError
from embench.interfaces.tokens import Batch, InputSpec, OutputSpec, TokenSpec
from embench.interfaces.units import LabelRule, Target, View
from embench.nn import Model
from embench_plugins.encoders.cnn_tf import CnnTf
from embench_plugins.encoders.tcn import Tcn
from embench_plugins.fusions.shared_tf import SharedTf
from embench_plugins.pretrainers import signal_transform as task
from embench_plugins.pretrainers.signal_transform import (
    KINDS,
    Objective,
    SignalTransform,
    make_every_version,
    make_versions,
)

from ...sample import sample

THREE = ("eda", "ppg", "temp")
RATE, LENGTH = 4.0, 240


def sine(rows: int = 6, hz: float = 0.2, length: int = LENGTH, rate: float = RATE) -> Tensor:
    """(rows, 1, length), each row at a phase of its own."""
    phase = torch.linspace(0, 6, rows)[:, None, None]
    return torch.sin(2 * torch.pi * hz * torch.arange(length) / rate + phase)


@cache
def real() -> Tensor:
    """(20, 1, 240): minutes of real PPG as `tcn` reads them, z-scored."""
    root = os.environ.get("EMBENCH_TEST_DATA")
    if not root:
        pytest.skip("EMBENCH_TEST_DATA does not say where real data are")
    dataset = registry.load_plugin("dataset", "stress_predict")(Path(root) / "stress_predict")
    (recording,) = dataset.recordings("S05")
    x = Tcn(Tcn.recipes["paper"]).stream(recording.signals["ppg"]).data
    x = (x - x.mean()) / x.std()
    return torch.from_numpy(x[:, : 20 * LENGTH].reshape(20, 1, LENGTH).copy())


@pytest.fixture(params=["sine", "real"])
def window(request: pytest.FixtureRequest) -> Tensor:
    torch.manual_seed(0)
    return sine(20) if request.param == "sine" else real()


def band_power(x: Tensor) -> Tensor:
    return torch.fft.rfft(x - x.mean(-1, keepdim=True)).abs().square()


# What each change does.


def test_every_change_keeps_shape_and_dtype_and_leaves_the_original_alone(window: Tensor) -> None:
    before = window.clone()
    made = make_versions(window, RATE)
    assert len(made) == KINDS == 6
    assert all(x.shape == window.shape and x.dtype == window.dtype and torch.isfinite(x).all() for x in made)
    assert torch.equal(made[0], before)
    assert torch.equal(window, before)  # nothing is changed in place
    for x in made[1:]:
        assert ((x - window).abs().amax((1, 2)) > 1e-3).all()


def test_noise_lies_15_db_below_the_mean_square_offset_included() -> None:
    torch.manual_seed(0)
    x = 3 + sine(400)
    added = task.add_noise(x) - x
    ratio = 10 * torch.log10(x.square().mean() / added.square().mean())
    assert float(ratio) == pytest.approx(15.0, abs=0.1)
    assert float(added.mean()) == pytest.approx(0.0, abs=0.01)
    neighbours = (added[..., 1:] * added[..., :-1]).mean() / added.square().mean()
    assert float(neighbours) == pytest.approx(0.0, abs=0.01)  # white


def test_noise_follows_each_rows_own_power(window: Tensor) -> None:
    scale = torch.linspace(0.1, 10, len(window))[:, None, None]
    added = (task.add_noise(window * scale) - window * scale) / scale
    share = added.square().mean((1, 2)) / window.square().mean((1, 2))
    assert (share / 10**-1.5 - 1).abs().max() < 0.5  # 240 draws a row


def test_permutation_keeps_the_multiset_of_values(window: Tensor) -> None:
    made = task.permute(window)
    assert torch.equal(made.sort(-1).values, window.sort(-1).values)


def test_permutation_moves_ten_whole_pieces() -> None:
    torch.manual_seed(0)
    x = torch.arange(240.0).expand(200, 1, -1)
    pieces = task.permute(x).reshape(200, 10, 24)
    assert torch.equal(pieces - pieces[..., :1], torch.arange(24.0).expand(200, 10, -1))
    order = (pieces[..., 0] / 24).long()
    assert torch.equal(order.sort(1).values, torch.arange(10).expand(200, -1))
    often = torch.stack([(order == piece).float().mean(0) for piece in range(10)])
    assert (often - 0.1).abs().max() < 0.08  # every piece everywhere about equally often


def test_permutation_of_a_length_that_ten_does_not_divide() -> None:
    """243 = 3 x 25 + 7 x 24, as numpy splits it."""
    x = torch.arange(243.0).expand(50, 1, -1)
    starts = np.cumsum([0, 25, 25, 25, *[24] * 6])
    for row in task.permute(x)[:, 0]:
        assert torch.equal(row.sort().values, torch.arange(243.0))
        jumps = row[1:][row.diff() != 1].tolist()
        assert set(jumps) <= set(starts.tolist())


@pytest.mark.parametrize(
    ("length", "rate", "sizes"),
    [
        (240, 4.0, (26, 28, 25, 25)),  # 5 x 28 + 4 x 25 = 240
        (480, 4.0, (53, 56, 50, 50)),
        (320, 32.0, (35, 37, 33, 36)),  # 135 samples for four: the last takes the three that are left
    ],
)
def test_sizes_of_warped_pieces(length: int, rate: float, sizes: tuple[int, ...]) -> None:
    assert task.compute_warped_sizes(length, rate) == sizes
    assert 5 * sizes[1] + 3 * sizes[2] + sizes[3] == length


def by_hand(x: np.ndarray, stretched: set[int]) -> np.ndarray:
    """Nine pieces of a window, each brought to its new length as an image library resizes a line of pixels."""
    piece, long, short, last = task.compute_warped_sizes(len(x), RATE)
    ending = max(set(range(9)) - stretched)
    made = []
    for i in range(9):
        size = long if i in stretched else last if i == ending else short
        part = torch.from_numpy(x[i * piece : (i + 1) * piece])[None, None]
        made.append(nn.functional.interpolate(part, size=size, mode="linear", align_corners=False)[0, 0].numpy())
    return np.concatenate(made)


@pytest.mark.parametrize("length", [240, 242, 480])
def test_time_warp_stretches_five_pieces_and_squeezes_four(length: int) -> None:
    """Which pieces were stretched is read off a ramp; a second channel then says that all was done to it too."""
    torch.manual_seed(0)
    piece, long, short, last = task.compute_warped_sizes(length, RATE)
    other = torch.randn(length)
    x = torch.stack([torch.arange(float(length)), other])
    seen = set()
    for made in task.warp_time(x.expand(60, -1, -1).contiguous(), RATE):
        counts = np.bincount((made[0].numpy() / piece).clip(0, 8.999).astype(int), minlength=9)
        stretched = {i for i in range(9) if counts[i] == long}
        assert len(stretched) == 5
        assert sorted(counts) == sorted([long] * 5 + [short] * 3 + [last])
        np.testing.assert_allclose(made[0], by_hand(x[0].numpy(), stretched), atol=1e-3)
        np.testing.assert_allclose(made[1], by_hand(other.numpy(), stretched), atol=1e-4)
        seen.add(frozenset(stretched))
    assert len(seen) > 30  # of 126 choices


def test_time_warp_moves_samples_a_little(window: Tensor) -> None:
    """Five pieces at the start, each longer by two samples, put the next one ten samples later at most; no value lies
    outside the window's own range."""
    made = task.warp_time(window, RATE)
    assert (made.amax(-1) <= window.amax(-1) + 1e-6).all()
    assert (made.amin(-1) >= window.amin(-1) - 1e-6).all()
    ramp = torch.arange(float(LENGTH)).expand(200, 1, -1).contiguous()
    moved = (task.warp_time(ramp, RATE) - ramp).abs().amax((1, 2))
    assert float(moved.min()) > 1
    assert float(moved.max()) < 11


def test_crops_are_a_quarter_and_resampled_as_scipy_does(window: Tensor) -> None:
    """Each row is `scipy.signal.resample` of one of its four pieces of 60 samples; all four come up."""
    pieces = window.reshape(len(window), 4, 60).numpy()
    expected = sps.resample(pieces, LENGTH, axis=-1)
    which = []
    for row, made in enumerate(task.resize_crop(window)[:, 0].numpy()):
        gaps = np.abs(expected[row] - made).max(1)
        which.append(int(gaps.argmin()))
        assert gaps.min() < 1e-4
    assert set(which) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("length", "count", "piece"), [(240, 4, 60), (480, 4, 120), (244, 4, 61), (242, 5, 48), (243, 5, 48)]
)
def test_crops_of_other_lengths(length: int, count: int, piece: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 1, length)
    which = set()
    for row, made in zip(x[:, 0].numpy(), task.resize_crop(x)[:, 0].numpy(), strict=True):
        gaps = [
            np.abs(sps.resample(row[i * piece : (i + 1) * piece], length) - made).max() for i in range(length // piece)
        ]
        which.add(int(np.argmin(gaps)))
        assert min(gaps) < 1e-4
    assert which == set(range(count))


def test_a_cropped_sine_is_four_times_slower() -> None:
    x = sine(20, hz=0.2)  # 3 periods in each piece of 15 s, 12 in the whole
    assert (band_power(x).argmax(-1) == 12).all()
    assert (band_power(task.resize_crop(x)).argmax(-1) == 3).all()


@pytest.mark.parametrize("length", [40, 240, 1280])
def test_curves_are_scipys_splines(length: int) -> None:
    knots = np.random.default_rng(0).normal(1, 0.2, (5, 6))
    expected = [CubicSpline(np.linspace(0, length - 1, 6), row)(np.arange(length)) for row in knots]
    made = torch.from_numpy(knots.astype(np.float32)) @ task.make_splines(length, torch.device("cpu"))
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_magnitude_warp_multiplies_by_a_smooth_curve() -> None:
    torch.manual_seed(0)
    curves = task.warp_magnitude(torch.ones(4000, 1, LENGTH))[:, 0]
    at_knots = curves[:, [0, -1]]
    assert float(at_knots.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(at_knots.std()) == pytest.approx(0.2, abs=0.01)
    assert float(curves.diff(n=2, dim=1).abs().max()) < 0.01
    assert (curves.std(1) > 0.01).all()


def test_magnitude_warp_moves_no_zero_crossing(window: Tensor) -> None:
    made = task.warp_magnitude(window)
    small = (window.abs() < 1e-6).expand_as(made)
    assert (made[small].abs() < 1e-5).all()
    same_sign = (made.sign() == window.sign()).float().mean()
    assert same_sign > 0.99  # a curve falls below 0 very rarely


def test_what_changes_must_not_change(window: Tensor) -> None:
    """Noise, permutation, time-warp and magnitude-warp keep a window's power within a factor; time-warp and permutation
    keep its mean as well. Straight lines between samples damp what is fast for 4 Hz, as a pulse is."""
    power = window.square().mean((1, 2))
    for make, low, high in (
        (task.add_noise, 0.95, 1.15), (task.permute, 0.999, 1.001), (warp, 0.4, 1.2), (task.warp_magnitude, 0.3, 2.5),
    ):  # fmt: skip
        ratio = make(window).square().mean((1, 2)) / power
        assert float(ratio.min()) > low, make
        assert float(ratio.max()) < high, make
    torch.testing.assert_close(task.permute(window).mean(-1), window.mean(-1), atol=1e-5, rtol=0)
    assert float((warp(window).mean(-1) - window.mean(-1)).abs().max()) < 0.1


def warp(x: Tensor) -> Tensor:
    return task.warp_time(x, RATE)


@pytest.mark.parametrize("make", [task.add_noise, task.permute, warp, task.resize_crop, task.warp_magnitude])
def test_rows_draw_for_themselves(make: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 1, LENGTH).expand(30, -1, -1).contiguous()
    made = make(x)[:, 0]
    different = len({tuple(row.round(decimals=4).tolist()) for row in made})
    assert different == 4 if make is task.resize_crop else different >= 25


@pytest.mark.parametrize("make", [task.permute, warp, task.resize_crop])
def test_channels_of_one_modality_move_together(make: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(10, 1, LENGTH)
    made = make(torch.cat([x, 2 * x, -x], 1))
    torch.testing.assert_close(made[:, 1:2], 2 * made[:, :1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made[:, 2:], -made[:, :1], atol=1e-5, rtol=1e-5)


# What the task makes of them.


def batch(size: int = 4, absent: dict[str, list[int]] | None = None, x: Tensor | None = None) -> Batch:
    """A batch of three modalities, the same signal in each; `absent[m]` lack m."""
    x = torch.randn(size, 1, LENGTH) if x is None else x
    rows = {m: torch.tensor([i for i in range(size) if i not in (absent or {}).get(m, [])]) for m in THREE}
    return Batch({m: x[r] for m, r in rows.items()}, dict.fromkeys(THREE), rows, size)


RATES = dict.fromkeys(THREE, RATE)


def test_every_window_comes_in_all_six_versions_of_all_modalities() -> None:
    """The same kind for all modalities of a sample, with draws of their own; labels are balanced by construction."""
    torch.manual_seed(0)
    whole = batch()
    made = make_every_version(whole, RATES)
    assert made.size == 24
    for m in THREE:
        assert torch.equal(made.rows[m], torch.arange(24))
        assert torch.equal(made.x[m][:4], whole.x[m])
        assert torch.equal(made.x[m][8:12].sort(-1).values, whole.x[m].sort(-1).values)  # the permuted ones
    for kind in range(1, 6):
        at = slice(4 * kind, 4 * kind + 4)
        assert not torch.equal(made.x["eda"][at], made.x["ppg"][at])
        assert not torch.equal(made.x["ppg"][at], made.x["temp"][at])


def test_versions_of_what_is_absent_are_absent() -> None:
    made = make_every_version(batch(absent={"ppg": [1, 2]}), RATES)
    assert made.rows["ppg"].tolist() == [4 * k + i for k in range(6) for i in (0, 3)]
    assert len(made.x["ppg"]) == 12
    assert len(made.x["eda"]) == 24


def test_samples_that_were_not_recorded_are_read_as_zeros() -> None:
    whole = batch()
    mask = torch.ones(4, LENGTH, dtype=torch.bool)
    mask[1, :80] = False
    masked = Batch(whole.x, dict.fromkeys(THREE, mask), whole.rows, 4)
    made = make_every_version(masked, RATES)
    assert (made.x["eda"][1, :, :80] == 0).all()
    assert set(made.mask.values()) == {None}


def model(preset: str = "paper", modalities: tuple[str, ...] = THREE) -> tuple[Model, dict[str, InputSpec]]:
    torch.manual_seed(0)
    inputs = {m: InputSpec(m, (1, LENGTH), (m,), RATE) for m in modalities}
    encoder, fusion = Tcn(Tcn.recipes[preset]), SharedTf(SharedTf.recipes[preset])
    specs = {m: TokenSpec(LENGTH, 16) for m in modalities}
    outputs = OutputSpec((Target("t", "binary", LabelRule(), "t"),))
    return Model({m: encoder.build(s) for m, s in inputs.items()}, specs, fusion.build(specs, outputs)), inputs


def objective(preset: str = "paper", modalities: tuple[str, ...] = THREE) -> Objective:
    whole, inputs = model(preset, modalities)
    made = SignalTransform(SignalTransform.recipes[preset]).objective(whole, inputs, None)
    assert isinstance(made, Objective)
    return made


def test_the_codes_parameters() -> None:
    """A head a modality: 128 -> 64, batch norm, 64 -> 6."""
    made = objective()
    assert set(made.heads) == set(THREE)
    for head in made.heads.values():
        assert sum(p.numel() for p in head.parameters()) == (128 * 64 + 64) + 2 * 64 + (64 * 6 + 6) == 8774


def test_the_codes_recipe() -> None:
    recipe = SignalTransform.recipes["paper"]
    assert (recipe.optimiser, recipe.lr, recipe.momentum, recipe.weight_decay) == ("sgd", 5e-3, 0.9, 5e-7)
    assert (recipe.epochs, recipe.batch, recipe.schedule, recipe.selection) == (15, 32, "constant", "best_train")
    assert (recipe.view, recipe.assumed) == (View("window", step_s=5.0), ("view.step_s",))


def test_loss_is_the_plain_sum_of_the_heads_cross_entropies() -> None:
    made = objective().eval()
    whole = batch(3, absent={"temp": [2]})
    torch.manual_seed(7)
    loss, figures = made(whole)
    torch.manual_seed(7)
    changed = make_every_version(whole, made.rates)
    mixed = made.fusion.mix(*made.model.encode(changed))
    by_hand, right = torch.zeros(()), []
    for m in THREE:
        pooled = mixed[m].x.mean(1)[changed.rows[m]]  # nothing is masked where a modality is there
        likely = made.heads[m](pooled).log_softmax(1)
        label = torch.arange(6).repeat_interleave(len(whole.rows[m]))
        by_hand = by_hand - likely[torch.arange(len(label)), label].mean()
        right.append(float((likely.argmax(1) == label).float().mean()))
        assert float(figures[f"accuracy_{m}"]) == pytest.approx(right[-1])
    torch.testing.assert_close(loss, by_hand, atol=1e-5, rtol=1e-5)
    assert float(figures["accuracy"]) == pytest.approx(sum(right) / 3)


def test_before_training_it_guesses() -> None:
    loss, _ = objective().eval()(batch(4))
    assert float(loss.detach()) == pytest.approx(3 * np.log(6), rel=0.1)


@pytest.mark.parametrize("preset", sample(["paper", "small"], "small"))
def test_gradients_reach_everything_but_the_classifier(preset: str) -> None:
    """The whole model learns, the Transformer of the fusion included; its classifier has no part in this task."""
    made = objective(preset).train()
    made(batch(6, absent={"eda": [0], "ppg": [1], "temp": [2]}))[0].backward()
    idle = [name for name, p in made.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle
    assert all(name.startswith("model.fusion.head.") for name in idle)


def test_what_was_learned_is_kept_and_the_classifier_is_not(tmp_path: Path) -> None:
    """Encoders (weight norm and all) and the shared Transformer start from pretraining; nothing under `.head` does."""
    from safetensors.torch import save_file

    learned, _ = model()
    for p in learned.parameters():
        nn.init.normal_(p)
    save_file({k: v.contiguous() for k, v in learned.state_dict().items()}, tmp_path / "w.safetensors")
    fresh, _ = model()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    start_from(fresh, tmp_path / "w.safetensors", None)
    for name, value in fresh.state_dict().items():
        source = before if ".head." in name else learned.state_dict()
        assert torch.equal(value, source[name]), name
    changed = {
        name.rsplit(".", 1)[-1] for name, value in fresh.state_dict().items() if not torch.equal(value, before[name])
    }
    assert {"original0", "original1"} <= changed


def test_one_modality_can_be_pretrained_too() -> None:
    loss, figures = objective("small", ("eda",))(
        Batch({"eda": torch.randn(4, 1, LENGTH)}, {"eda": None}, {"eda": torch.arange(4)}, 4)
    )
    assert torch.isfinite(loss)
    assert set(figures) == {"accuracy", "accuracy_eda"}


def test_windows_that_are_too_short_are_refused() -> None:
    whole, inputs = model(modalities=("eda",))
    inputs["eda"] = InputSpec("eda", (1, 16), ("eda",), RATE)
    with pytest.raises(UsageError, match="16 samples of eda are too short"):
        SignalTransform(SignalTransform.recipes["paper"]).objective(whole, inputs, None)


def test_what_it_needs() -> None:
    assert (SignalTransform.scope, SignalTransform.labels) == ("model", "none")
    assert SignalTransform.needs_fusion == {"mixed_tokens"} <= SharedTf.offers
    assert SignalTransform.needs_encoder <= CnnTf.offers  # any encoder of signals will do


@pytest.mark.slow
def test_the_task_can_be_learned_on_real_ppg() -> None:
    """Far above one in six after a few hundred steps, on minutes that were not trained on."""
    x = real()
    made = objective("small", ("ppg",))
    optimiser = torch.optim.AdamW(made.parameters(), 2e-3)
    for _ in range(150):
        loss, _ = made(Batch({"ppg": x[:15]}, {"ppg": None}, {"ppg": torch.arange(15)}, 15))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    made.eval()
    with torch.no_grad():
        scores = [
            float(made(Batch({"ppg": x[15:]}, {"ppg": None}, {"ppg": torch.arange(5)}, 5))[1]["accuracy"])
            for _ in range(10)
        ]
    assert np.mean(scores) > 0.35
