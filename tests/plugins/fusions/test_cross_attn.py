"""`cross_attn`: sizes by hand, the query modality, and pooling of long streams."""

from __future__ import annotations

import pytest
import torch

from embench.errors import UsageError
from embench.interfaces.tokens import Tokens, TokenSpec
from embench_plugins import attention
from embench_plugins.attention import Attention, Layer
from embench_plugins.fusions.cross_attn import CrossAttn, shorten

from .networks import fusion, outputs_of


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def everyone(*modalities: str, rows: int = 2) -> dict[str, torch.Tensor]:
    return {m: torch.ones(rows, dtype=torch.bool) for m in modalities}


def test_paper_sizes() -> None:
    """8 layers: four 512 x 512 maps with biases, 512 -> 2048 -> 512, two LayerNorms; LayerNorm and 512 -> 2 to end."""
    paper = fusion(CrossAttn, "paper")
    network = paper.build({"ecg+eda": TokenSpec(100, 512), "face_au": TokenSpec(100, 512)}, outputs_of(2))
    attention = 4 * (512 * 512 + 512)
    ffn = (512 * 2048 + 2048) + (2048 * 512 + 512)
    assert parameters(network.layers) == 8 * (attention + ffn + 2 * 2 * 512)
    assert parameters(network.head) == 2 * 512 + (512 * 2 + 2)
    assert parameters(network.project) == 0  # the widths are equal
    assert all(layer.attention.heads == 8 and layer.norm == "pre" for layer in network.layers)
    assert paper.recipe.targets == "joint"
    assert paper.recipe.batch == 8


def test_the_answer_is_the_mean_of_the_asking_stream() -> None:
    network = (
        fusion(CrossAttn, tokens=None)
        .build({"ecg": TokenSpec(9, 64), "video": TokenSpec(30, 64)}, outputs_of(2))
        .eval()
    )
    tokens = {"ecg": Tokens(torch.randn(2, 9, 64)), "video": Tokens(torch.randn(2, 30, 64))}
    output = network(tokens, everyone("ecg", "video"))
    assert output.tokens.shape == (2, 9, 64)
    mean = output.tokens.mean(1)
    torch.testing.assert_close(output.logits, network.head.linear(network.head.norm(mean)))


def test_answers_stay_the_encoders_tokens() -> None:
    """Every layer gets the same keys and values; the asking stream moves on."""
    network = (
        fusion(CrossAttn, tokens=None).build({"ecg": TokenSpec(9, 64), "video": TokenSpec(30, 64)}, outputs_of()).eval()
    )
    seen: list[tuple[torch.Tensor, ...]] = []
    for layer in network.layers:
        layer.attention.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs))
    network({"ecg": Tokens(torch.randn(2, 9, 64)), "video": Tokens(torch.randn(2, 30, 64))}, everyone("ecg", "video"))
    assert seen[0][1] is seen[1][1]
    assert not torch.equal(seen[0][0], seen[1][0])


def test_attention_by_hand() -> None:
    """softmax(Q K^T / sqrt(d_k)) V for each head, against the plain formula."""
    attention = Attention(6, 2, 0.0).eval()
    x, context = torch.randn(1, 3, 6), torch.randn(1, 4, 6)
    mask = torch.tensor([[True, True, False, True]])
    key, value = attention.key_value(context[0]).chunk(2, -1)
    heads = []
    for h in (slice(0, 3), slice(3, 6)):
        score = attention.query(x[0])[:, h] @ key[:, h].T / 3**0.5
        heads.append(torch.softmax(score.masked_fill(~mask, -torch.inf), -1) @ value[:, h])
    torch.testing.assert_close(attention(x, context, mask)[0], attention.out(torch.cat(heads, -1)))


@pytest.mark.parametrize(
    ("modalities", "query", "expected"),
    [
        (("video", "ecg+eda"), None, "ecg+eda"),
        (("eda", "ppg", "temp"), None, "ppg"),
        (("eeg", "eda"), None, "eda"),
        (("video", "face_au"), None, "face_au"),
        (("eda", "ecg[left]", "face_au"), None, "ecg[left]"),
        (("eda+ppg[wrist]", "ecg"), None, "eda+ppg[wrist]"),
        (("ecg", "video"), "video", "video"),
    ],
)
def test_the_query_modality_does_not_depend_on_order_or_channels(
    modalities: tuple[str, ...], query: str | None, expected: str
) -> None:
    for ordered in (modalities, modalities[::-1]):
        assert fusion(CrossAttn, query=query).query_modality(ordered) == expected


def test_a_query_modality_that_the_run_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="eeg cannot provide the queries") as refusal:
        fusion(CrossAttn, query="eeg").query_modality(["ecg", "eda"])
    assert "ecg or eda" in str(refusal.value)


def test_several_answer_one_after_the_other() -> None:
    specs = {"ppg": TokenSpec(6, 8), "eda": TokenSpec(5, 8), "temp": TokenSpec(4, 12)}
    network = fusion(CrossAttn, tokens=None).build(specs, outputs_of()).eval()
    assert network.others == ("eda", "temp")
    contexts: list[torch.Tensor] = []
    network.layers[0].attention.register_forward_pre_hook(lambda _module, inputs: contexts.append(inputs[1]))
    network({m: Tokens(torch.randn(2, s.length, s.dim)) for m, s in specs.items()}, everyone(*specs))
    assert contexts[0].shape == (2, 5 + 4, 64)


def test_one_modality_attends_to_itself() -> None:
    network = fusion(CrossAttn, tokens=None).build({"eda": TokenSpec(6, 8)}, outputs_of()).eval()
    x = torch.randn(2, 6, 8)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    before = network({"eda": Tokens(x, mask)}, everyone("eda")).logits
    x[1, 4:] = 50.0
    torch.testing.assert_close(network({"eda": Tokens(x, mask)}, everyone("eda")).logits, before)
    x[0, 5] = 50.0
    assert (network({"eda": Tokens(x, mask)}, everyone("eda")).logits[0] - before[0]).abs() > 1e-4


def test_shorten_averages_neighbours() -> None:
    x = torch.arange(6.0).reshape(1, 6, 1)
    assert shorten(Tokens(x), 3).x.flatten().tolist() == [0.5, 2.5, 4.5]
    assert shorten(Tokens(x), None).x is x
    assert shorten(Tokens(x), 6).x is x
    mask = torch.tensor([[True, True, True, False, False, False]])
    short = shorten(Tokens(x, mask), 3)
    assert short.x.flatten().tolist() == [0.5, 2.0, 0.0]
    assert short.mask.tolist() == [[True, True, False]]


def test_shorten_where_groups_are_uneven() -> None:
    x = torch.randn(2, 321, 3)
    short = shorten(Tokens(x), 40).x
    torch.testing.assert_close(short[:, 0], x[:, :9].mean(1))  # samples i with i * 40 // 321 == 0
    assert short.shape == (2, 40, 3)


@pytest.mark.parametrize("asked", [False, True])
def test_a_batch_that_is_too_large_for_a_cpu_goes_through_a_layer_in_parts(
    asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part drops what it would drop by itself, once for its tokens and again, the same, for the gradient."""
    torch.manual_seed(0)
    layer = Layer(8, 2, 16, 0.5)
    x, context = torch.randn(6, 5, 8), torch.randn(6, 4, 8) if asked else None
    mask = torch.rand(6, 4 if asked else 5) < 0.6
    mask[:, 0] = True

    def trained(rows: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        torch.manual_seed(1)
        parts = [None if t is None else t.split(rows) for t in (x, mask, context)]
        made = [layer(*(p and p[k] for p in parts)) for k in range(6 // rows)]
        (tokens := torch.cat(made)).square().sum().backward()
        found = [p.grad for p in layer.parameters() if p.grad is not None]
        layer.zero_grad()
        return tokens.detach(), found

    by_hand = trained(rows=2)
    monkeypatch.setattr(attention, "LARGEST", 2 * 5 * 16)
    in_parts = trained(rows=6)
    assert torch.equal(in_parts[0], by_hand[0])
    assert len(in_parts[1]) == len(list(layer.parameters()))
    for found, expected in zip(in_parts[1], by_hand[1], strict=True):
        torch.testing.assert_close(found, expected)
