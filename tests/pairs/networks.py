"""One network of the array, put together by the engine from a plan, as a run does it, and looked at from all sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from embench import registry
from embench.engine import fits, loop, network
from embench.engine.feed import Data, FeatureFeed
from embench.engine.network import fit_scale, probabilities
from embench.engine.stage import Folder, Stage
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch, InputSpec, Output, OutputSpec, Tokens
from embench.nn import FillAbsent, Model, Supervised
from embench.planning.graph import stage_folder
from embench.planning.plan import Plan
from embench.testing import require
from embench.testing.require import CLOSE_ENOUGH

There = Mapping[str, Tensor]
"""(B,) bool a modality: in which samples it is there."""


def check(plan: Plan) -> None:
    """The first network that a plan asks for: its pretraining, the nets below it, and itself."""
    stages = plan.graph.stages
    fitted = stages[stages[plan.graph.predictions[0].stage].inputs["fitted"]]
    below = {role.partition(":")[2]: stages[i] for role, i in fitted.inputs.items() if stages[i].kind == "unimodal"}
    decisions = fitted.kind == "estimator" and fitted.params.inputs == "decisions"
    nets = {m: check_fitted(stage, plan, decisions) for m, stage in below.items()}
    if fitted.kind == "estimator":
        check_estimator(fitted, nets)
    elif nets:
        check_over_hidden(fitted, nets)
    else:
        check_fitted(fitted, plan)


def check_fitted(stage: Stage, plan: Plan, decisions: bool = False) -> network.HiddenEncoder | None:
    """A stage that is trained from signals or features: it takes over what is pretrained, and learns. Returns a
    unimodal one as what a stage above it reads: its hidden layer, or its decisions."""
    data, specs, train, _, _ = fits.load_labelled_data(stage)
    outputs, params = network.make_output_spec(stage.params), stage.params
    torch.manual_seed(0)
    if stage.kind == "unimodal":
        model = network.build_unimodal(params.modalities, specs, outputs)
    else:
        model = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    for role, id_ in stage.inputs.items():
        folder = Folder(stage_folder(plan.request.runs_folder), id_)
        check_pretraining(plan.graph.stages[id_], model, role.partition(":")[2], data, specs, folder)
    check_network(model, stage, data, train)
    if stage.kind != "unimodal" or model.head is None:
        return None
    (m,) = specs
    if decisions:
        return network.HiddenEncoder(model.encoders[m], model.head, specs[m], network.Decisions(outputs, model.scale))
    return network.HiddenEncoder(model.encoders[m], model.head, specs[m])


def check_over_hidden(stage: Stage, nets: Mapping[str, network.HiddenEncoder]) -> None:
    """A fusion over frozen nets: on their hidden layers it learns as any other, and over the nets it answers alike."""
    signals, _, train, _, _ = fits.load_labelled_data(stage)
    outputs, hidden = network.make_output_spec(stage.params), fits.hidden_data(signals, nets)
    tokens = {m: net.tokens for m, net in nets.items()}
    fused = network.load_fusion(stage.params.fusion).build(tokens, outputs)
    model = Model({m: network.Precomputed() for m in nets}, tokens, fused, scale=network.make_scale(outputs))
    check_network(model, stage, hidden, train)
    whole, index = Model(nets, tokens, fused, scale=model.scale).eval(), np.arange(signals.size)
    with torch.no_grad():
        same(whole(signals.batch(index)).logits, model.eval()(hidden.batch(index)).logits)


def check_pretraining(
    stage: Stage, model: Model, modality: str, data: Data, specs: Mapping[str, InputSpec], folder: Folder
) -> None:
    """A task of an encoder, or of the whole model, learns, and `model` takes over what was learned. Without labels it
    gets the rows that `model` will get."""
    params, labels = stage.params, "y" in stage.task
    outputs, recipe = network.make_output_spec(params), params.recipe
    if labels:
        data, specs, train, _, _ = fits.load_labelled_data(stage)
    else:
        specs = {m: specs[m] for m in params.modalities}
        data = replace(data, feeds={m: data.feeds[m] for m in specs})
    if params.fusion is not None:
        whole = network.build_fusion(params.modalities, params.fusion, specs, outputs)
    elif labels:
        whole = network.build_unimodal(params.modalities, specs, outputs)
        scale(whole, outputs, data, train)
    else:
        whole = Model(*network.build_encoders(params.modalities, specs))
    pretrainer = registry.load_plugin("pretrainer", params.pretrainer.name)(recipe)
    objective = pretrainer.objective(whole, specs, outputs if labels else None)
    size = enough(specs)
    batch = absent(complete(data, size), ways(specs, size))
    for training in (True, False):
        objective.train(training)
        same(loss_of(objective, noisy(batch)), loss_of(objective, batch))
    # The read-out of the network that is to come has no part, nor without absent rows what stands in for them.
    idle = [p for n, p in whole.named_parameters() if "head" in n.split(".")]
    learn(objective, batch, recipe, idle + (fillers(whole) if len(specs) < 2 else []), list(whole.encoders.values()))
    network.save_weights(folder, whole)
    part = f"encoders.{modality}" if modality else None
    assert network.start_from(model, folder.file(network.weights_file()), part)
    learned = {n: w for n, w in whole.state_dict().items() if n.startswith(part or "") and "head" not in n.split(".")}
    assert all(torch.equal(model.state_dict()[n], w) for n, w in learned.items())


def check_network(model: Model, stage: Stage, data: Data, train: np.ndarray) -> None:
    """Shapes, masks, absent modalities, rows by themselves, gradients and a step of a network that answers."""
    outputs, recipe = network.make_output_spec(stage.params), stage.params.recipe
    size = enough(data.feeds)
    whole, there = complete(data, size), ways(data.feeds, size)
    batch = absent(whole, there)
    model.eval()
    with torch.no_grad():
        tokens, present = model.encode(batch)
        for m, t in tokens.items():
            check_tokens(model, m, t, there[m])
        prediction = check_output(model(batch), size, outputs)
        same(model(noisy(batch)).logits, prediction)
        same(read(model, noisy_tokens(tokens), present), read(model, tokens, present))
        for row in (0, size - 1):
            one = slice(row, row + 1)
            alone = absent(data.batch(rows(data, size)[one]), {m: t[one] for m, t in there.items()})
            same(model(alone).logits, prediction[one])
        for m in there if len(there) > 1 else ():
            nowhere = {other: torch.full((2,), other != m) for other in there}
            check_output(model(absent(complete(data, 2), nowhere)), 2, outputs)
    scale(model, outputs, data, train)
    module = Supervised(model, outputs).train()
    same(loss_of(module, noisy(batch)), loss_of(module, batch))
    parts = [part for part in (*model.encoders.values(), model.fusion, model.head) if part is not None]
    learn(module, whole, recipe, fillers(model), parts)
    if len(there) > 1:
        learn(module, batch, recipe, [], parts)
    check_output(model.eval()(batch), size, outputs)


def check_estimator(stage: Stage, nets: Mapping[str, network.HiddenEncoder]) -> None:
    """An estimator on features or hidden layers, any of them absent somewhere: neither what lies in absent rows counts,
    nor other rows."""
    data, _, _, _, grid = fits.load_labelled_data(stage)
    data = fits.hidden_data(data, nets) if nets else data
    (target,), order = network.make_output_spec(stage.params).targets, tuple(data.feeds)
    there = ways(order, data.size)
    one, other = (fits.feature_rows(without(data, there, noise)) for noise in (0.0, 10.0))
    np.testing.assert_array_equal(one, other)
    kind, (y, weight) = registry.load_plugin("fusion", stage.params.fusion.name), (p.numpy() for p in data.labels)
    fitted = kind(stage.params.fusion.recipe, 0, target.kind, target.n, order)
    fitted.fit(one, y[:, 0], fits.task_subjects(stage)[grid.unit], weight)
    score = fitted.score(one)
    assert score.shape == ((data.size, target.n) if target.kind == "classes" else (data.size,))
    assert np.isfinite(score).all()
    assert target.kind == "value" or ((score >= 0) & (score <= 1)).all()
    np.testing.assert_allclose(fitted.score(one[-1:]), score[-1:], atol=CLOSE_ENOUGH)


# What is looked at.


def check_tokens(model: Model, modality: str, tokens: Tokens, there: Tensor) -> None:
    """Tokens as their spec says, which count where the modality is there, and nowhere else."""
    spec = model.specs[modality]
    assert tokens.x.shape == (len(there), spec.length, spec.dim)
    assert (tokens.summary is not None) == spec.summary
    assert torch.isfinite(tokens.pool()).all()
    counts = counting(tokens)
    assert counts.dtype == torch.bool
    assert counts.shape == tokens.x.shape[:2]
    assert torch.equal(counts.any(1), there)


def check_output(output: Output, size: int, outputs: OutputSpec) -> Tensor:
    assert output.logits.shape == (size, outputs.size)
    assert output.hidden.shape[:-1] == (size,)
    assert torch.isfinite(output.hidden).all()
    assert torch.isfinite(probabilities(outputs, output.logits)).all()
    return output.logits


def learn(module: nn.Module, batch: Batch, recipe: Recipe, idle: Iterable[Tensor], parts: Sequence[nn.Module]) -> None:
    """One step: a finite gradient for every parameter but the idle ones; each part is another one afterwards."""
    module.train()
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    optimiser = loop.make_optimiser(recipe, module)
    module.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    loss, _ = module(batch)
    loss.backward()
    left = {id(p) for p in idle}
    unreached = [n for n, p in parameters.items() if p.grad is None and id(p) not in left]
    assert not unreached
    endless = [n for n, p in parameters.items() if p.grad is not None and not torch.isfinite(p.grad).all()]
    assert not endless
    if recipe.clip is not None:
        nn.utils.clip_grad_norm_(parameters.values(), recipe.clip)
    before = [weights(part) for part in parts]
    optimiser.step()
    assert all(torch.isfinite(p).all() for p in parameters.values())
    assert all(not len(b) or not torch.equal(weights(part), b) for part, b in zip(parts, before, strict=True))


def loss_of(module: nn.Module, batch: Batch) -> Tensor:
    torch.manual_seed(2)
    with torch.no_grad():
        loss, _ = module(batch)
    assert torch.isfinite(loss)
    return loss


def scale(model: Model, outputs: OutputSpec, data: Data, train: np.ndarray) -> None:
    """What the engine does before it fits a network to values."""
    fit_scale(model, outputs, *(part[train].numpy() for part in data.labels))


def read(model: Model, tokens: Mapping[str, Tokens], present: There) -> Tensor:
    """The logits that a fusion, or the head of one encoder, makes of tokens."""
    output = model.head(*tokens.values()) if model.fusion is None else model.fusion(tokens, present)
    return output.logits


def weights(part: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector([torch.zeros(0), *part.parameters()]).detach().clone()


def fillers(model: Model) -> list[Tensor]:
    """What stands in for absent modalities."""
    return [p for part in model.modules() if isinstance(part, FillAbsent) for p in part.parameters()]


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=CLOSE_ENOUGH, atol=CLOSE_ENOUGH)


# Rows.


def rows(data: Data, size: int) -> np.ndarray:
    """Positions of rows that have every modality, again and again."""
    return np.resize(np.flatnonzero(data.present.all(1)), size)


def complete(data: Data, size: int) -> Batch:
    return data.batch(rows(data, size))


def enough(modalities: Sized) -> int:
    """Samples for all `ways`, and two at least that have a modality."""
    return max(4, 2 ** len(modalities))


def ways(modalities: Iterable[str], size: int) -> There:
    """All modalities in the first two samples, then every way in which some are there, over and over."""
    names = list(modalities)
    some = [way for way in product((True, False), repeat=len(names)) if any(way)]
    table = torch.tensor([some[0], *some])[torch.arange(size) % (1 + len(some))]
    return {m: table[:, i] for i, m in enumerate(names)}


def absent(batch: Batch, there: There) -> Batch:
    """A batch that has everything, without the rows of modalities that are not there."""
    x = {m: part[there[m]] for m, part in batch.x.items()}
    mask = {m: None if part is None else part[there[m]] for m, part in batch.mask.items()}
    return replace(batch, x=x, mask=mask, rows={m: torch.argwhere(t)[:, 0] for m, t in there.items()})


def without(data: Data, there: There, noise: float) -> Data:
    """Feature rows, of which those that are not there hold something else."""
    feeds = {}
    for m, feed in data.feeds.items():
        assert isinstance(feed, FeatureFeed)
        present = feed.present & there[m].numpy()
        array = feed.array.clone()
        array[~torch.from_numpy(present)] += noise
        feeds[m] = replace(feed, present=present, array=array)
    return replace(data, feeds=feeds)


def noisy(batch: Batch) -> Batch:
    """Noise in place of samples that were not recorded."""
    masks = {m: mask for m, mask in batch.mask.items() if mask is not None}
    changed = {m: require.masked_noise(batch.x[m], mask, seed=3) for m, mask in masks.items()}
    return replace(batch, x={**batch.x, **changed})


def noisy_tokens(tokens: Mapping[str, Tokens]) -> dict[str, Tokens]:
    """Noise in place of tokens that don't count, and of the summaries of rows without one that does."""
    other: Callable[[Tensor], Tensor] = lambda x: 10 * torch.randn_like(x)  # noqa: E731
    changed = {}
    for m, t in tokens.items():
        counts = counting(t)
        summary = None if t.summary is None else torch.where(counts.any(1)[:, None], t.summary, other(t.summary))
        changed[m] = Tokens(torch.where(counts[..., None], t.x, other(t.x)), t.mask, summary)
    return changed


def counting(tokens: Tokens) -> Tensor:
    return torch.ones(tokens.x.shape[:2], dtype=torch.bool) if tokens.mask is None else tokens.mask
