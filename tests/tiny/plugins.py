"""Plugins in a file of their own: a small dataset, a small encoder, and others that misbehave in one way each."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate, max_pool1d, max_unpool1d

import embench
from embench.errors import DataError
from embench.interfaces.dataset import Baseline, Card, Dataset, ModalityCard
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.tokens import Tokens
from embench.interfaces.units import LabelRule, Target, View
from embench.nn import Head
from embench_plugins.fusions.classical import LogReg
from embench_plugins.fusions.late import Late
from embench_plugins.pretrainers.masked_value import MaskedValue


def card(name, *targets, **changes):
    fields = {
        "title": name.title(), "citation": "nobody", "doi": "", "licence": "MIT", "obtain": "write it yourself",
        "modalities": {
            "ecg": ModalityCard(("ecg",), 64.0, "mV"),
            "eda": ModalityCard(("left", "right"), 8.0, "uS"),
            "temp": ModalityCard(("temp",), 8.0, "C"),
        },
        "default_modalities": ("ecg", "eda"), "mains_hz": 50.0, "longest_s": 24.0,
        "labels_public": "yes", "fixed_order": False,
    }  # fmt: skip
    return Card(name=name, targets=targets, **{**fields, **changes})


class Tiny(Dataset):
    """One `.npz` a subject, as `world.write` writes it; a recording has one rating of each target."""

    card = card(
        "tiny",
        Target("arousal", "binary", LabelRule(cut=5.0), "arousal", scale=(1.0, 9.0)),
        Target("valence", "binary", LabelRule(cut=5.0), "valence", scale=(1.0, 9.0)),
    )

    def subjects(self):
        found = sorted(path.stem for path in self.root.glob("*.npz"))
        if not found:
            raise DataError("no file of this dataset is here", where=str(self.root), expected="p00.npz and so on")
        return found

    def files(self, subject):
        return [self.root / f"{subject}.npz"]

    def recordings(self, subject):
        with np.load(self.root / f"{subject}.npz") as content:
            for about in json.loads(str(content["about"])):
                yield Recording(
                    about["id"],
                    subject,
                    about["stimulus"],
                    "s1",
                    about["seconds"],
                    about["group"],
                    about["start_s"],
                    about["order"],
                    signals={
                        m: Signal(content[f"{about['id']} {m}"], entry.rate, entry.channels, entry.unit)
                        for m, entry in self.card.modalities.items()
                        if m in about["modalities"]
                    },
                    labels=self.labels(about),
                )

    def labels(self, about):
        return {t: Label("rating", np.array([v])) for t, v in about["ratings"].items() if v is not None}


class Session(Tiny):
    """The same files, with a condition for every second instead: the first half of each recording is rest."""

    card = card("session", Target("stress", "binary", LabelRule("unanimous"), "stress"), fixed_order=True)

    def labels(self, about):
        seconds = np.arange(int(about["seconds"])) + 0.5
        return {"stress": Label("condition", (seconds > about["seconds"] / 2).astype(float), seconds, ("rest", "task"))}


class Kinds(Tiny):
    """The same files, with labels of every kind: a rating of each recording, arousal once a second as it is felt two
    seconds later, and one of four states all the time, of which one does not count."""

    card = card(
        "kinds",
        Target("arousal", "binary", LabelRule("mean", cut=5.0, lag_s=2.0, dead_band=(4.9, 5.1)), "arousal"),
        Target("arousal_value", "value", LabelRule("mean", lag_s=2.0), "arousal", scale=(1.0, 9.0)),
        Target("state", "classes", LabelRule("unanimous", classes=(2, 0, 3)), "state", n=3),
        Target("liking", "binary", LabelRule(cut=5.0), "liking"),
        longest_s=60.0,
        default_targets=("arousal",),
    )

    def labels(self, about):
        times = np.arange(0.5, about["seconds"] + 2)
        felt = about["ratings"]["arousal"] + 0.3 * np.sin(times)
        given = {
            "arousal": Label("continuous", np.where(times > 2, felt, 1.0), times),
            "arousal_annotator1": Label("continuous", felt + 0.5, times),
            "arousal_annotator2": Label("continuous", felt - 0.1 * times, times),
            "state": Label(
                "condition", np.full(len(times), float(about["ratings"]["state"])), times, ("a", "b", "c", "d")
            ),
        }
        if about["ratings"]["liking"] is not None:
            given["liking"] = Label("rating", np.array([about["ratings"]["liking"]]))
        return given


class Rested(Tiny):
    """The same files, whose recordings begin with four seconds of rest."""

    card = card("rested", *Tiny.card.targets, baseline=Baseline(0.0, 4.0, in_unit=True))


class RestedLate(Tiny):
    """The same files, with rest that short recordings do not reach."""

    card = card("rested_late", *Tiny.card.targets, baseline=Baseline(12.0, 16.0, in_unit=True))


class Shifted(Tiny):
    """The same files, in which another number is high, and what was felt is a value on another scale."""

    card = card(
        "shifted",
        Target("arousal", "binary", LabelRule(cut=8.0), "arousal", scale=(1.0, 9.0)),
        Target("valence", "value", LabelRule("value"), "valence", scale=(0.0, 1.0)),
        default_modalities=("eda", "ecg", "temp"),
    )


class Other(Tiny):
    """Another dataset of the same kind, to train on."""

    card = card("other", *Tiny.card.targets, longest_s=30.0)


RECIPE = Recipe(lr=1e-2, epochs=2, batch=8, view=View("window", 4.0, 4.0), build={"dim": 4})


def everywhere(recipe):
    return dict.fromkeys(PRESETS, recipe)


class Pool(Encoder):
    """One token a sample, and their mean over the samples that were recorded."""

    accepts = frozenset({"ecg", "eda", "ppg", "temp"})
    offers = frozenset({"token_per_sample", "summary"})
    recipes = dict.fromkeys(PRESETS, RECIPE)

    def build(self, spec):
        return PoolNetwork(spec.shape[0], int(self.recipe.build["dim"]))


class PoolNetwork(nn.Module):
    def __init__(self, channels, dim):
        super().__init__()
        self.mix, self.dropout = nn.Conv1d(channels, dim, 9, padding="same"), nn.Dropout(0.2)

    def forward(self, x, mask=None):
        x = self.dropout(torch.relu(self.mix(x))).transpose(1, 2)
        return Tokens(x, mask, Tokens(x, mask).pool())


class Early(Pool):
    """Selects on validation subjects."""

    recipes = everywhere(RECIPE.replace(selection="early_stop", patience=2, epochs=4))


class Whole(Pool):
    """Sees whole units."""

    recipes = everywhere(RECIPE.replace(view=View("unit")))


class Moments(Encoder):
    """Features: mean and standard deviation of each channel."""

    accepts = Pool.accepts
    offers = frozenset({"features"})
    recipes = everywhere(RECIPE.replace(view=View("unit")))

    @property
    def reads(self):
        return "features"

    def features(self, signal, spans):
        at = np.rint(spans * signal.rate).astype(int)
        cuts = [signal.data[:, a:b] for a, b in at]
        return np.stack([np.concatenate([cut.mean(1), cut.std(1)]) for cut in cuts]).astype(np.float32)

    def feature_names(self, modality, channels):
        return tuple(f"{c}_{name}" for name in ("mean", "std") for c in channels)

    def build(self, spec):
        return nn.Module()  # only estimators read it


# Those that look for what they must not see.


def reach(*roots):
    """Everything that can be reached from some objects by their attributes, items, closures and memory."""
    seen, waiting, found = set(), list(roots), []
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type | type(os)):
            continue
        seen.add(id(thing))
        found.append(thing)
        if isinstance(thing, dict):
            waiting += [*thing, *thing.values()]
        elif isinstance(thing, list | tuple | set | frozenset):
            waiting += list(thing)
        elif isinstance(thing, np.ndarray):
            waiting.append(thing.base)
        elif isinstance(thing, torch.Tensor):
            waiting += [thing._base, thing.grad_fn if thing.requires_grad else None]
        for name in ("__self__", "__closure__", "__defaults__", "cell_contents", "__wrapped__"):
            waiting.append(getattr(thing, name, None))
        waiting += [getattr(thing, name, None) for name in getattr(type(thing), "__slots__", ())]
        waiting.append(getattr(thing, "__dict__", None))
        if hasattr(thing, "items") and not isinstance(thing, type):  # mapping proxies and the like
            with contextlib.suppress(TypeError):
                waiting += [part for item in thing.items() for part in item]
    return found


def note(hook, *roots):
    """Appends what was found to the file that `$FINDINGS` names."""
    found = reach(*roots)
    arrays = [thing for thing in found if isinstance(thing, np.ndarray | torch.Tensor)]
    arrays = [a for a in arrays if not isinstance(a, nn.Parameter)]
    line = {
        "hook": hook,
        "texts": sorted({thing for thing in found if isinstance(thing, str)}),
        "numbers": sorted({float(x) for x in found if isinstance(x, int | float) and not isinstance(x, bool)}),
        "arrays": [list(a.shape) for a in arrays],
        "beyond": [a.untyped_storage().nbytes() - a.nbytes for a in arrays if isinstance(a, torch.Tensor)],
        "memory": [type(thing).__name__ for thing in found if isinstance(thing, np.memmap)],
    }  # fmt: skip
    with Path(os.environ["FINDINGS"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


class Searching(Pool):
    """Notes everything that it can reach."""

    def stream(self, signal):
        note("stream", self, signal)
        return signal

    @property
    def reads(self):
        return "stream"

    def fit_stats(self, x, mask):
        note("fit_stats", self, x, mask)
        return {"scale": x.std((0, 2))}

    def build(self, spec):
        note("build", self, spec)
        return SearchingNetwork(spec.shape[0], int(self.recipe.build["dim"]))


class SearchingNetwork(PoolNetwork):
    def forward(self, x, mask=None):
        note("forward", self, x, mask)
        return super().forward(x, mask)


class SearchingMoments(Moments):
    def features(self, signal, spans):
        note("features", self, signal, spans)
        return super().features(signal, spans)


class Curious:
    """An observer that notes everything that it can reach."""

    @embench.hookimpl
    def run_started(self, run):
        note("run_started", self, run)

    @embench.hookimpl
    def stage_started(self, stage):
        note("stage_started", self, stage)

    @embench.hookimpl
    def epoch_ended(self, stage, epoch, figures):
        note("epoch_ended", self, stage, epoch, figures)

    @embench.hookimpl
    def stage_ended(self, stage, figures):
        note("stage_ended", self, stage, figures)

    @embench.hookimpl
    def run_ended(self, run, scores):
        note("run_ended", self, run, scores)


# Those that break a rule, or break.


class BatchBound(Pool):
    """Answers with the difference from the rest of the batch."""

    def build(self, spec):
        return BatchBoundNetwork(spec.shape[0], int(self.recipe.build["dim"]))


class BatchBoundNetwork(PoolNetwork):
    def forward(self, x, mask=None):
        return super().forward(x - x.mean(0), mask)


class Rounding(Pool):
    """Predicts other numbers of one row than of many, as a GPU does: probabilities differ by some 3e-5."""

    def head(self, tokens, outputs):
        return RoundingHead(tokens.dim, outputs.size)


class RoundingHead(Head):
    def forward(self, tokens):
        made = super().forward(tokens)
        return made if self.training or len(made.logits) > 1 else made._replace(logits=made.logits + 1.2e-4)


class Unpooling(Pool):
    """Torch has no repeatable form of what it does, on any device."""

    def build(self, spec):
        return UnpoolingNetwork(spec.shape[0], int(self.recipe.build["dim"]))


class UnpoolingNetwork(PoolNetwork):
    def forward(self, x, mask=None):
        halves, index = max_pool1d(x[..., : x.shape[-1] // 2 * 2], 2, return_indices=True)
        return super().forward(max_unpool1d(halves, index, 2), None)


class Stretching(Pool):
    """Torch has no repeatable form of its gradient on CUDA."""

    def build(self, spec):
        return StretchingNetwork(spec.shape[0], int(self.recipe.build["dim"]))


class StretchingNetwork(PoolNetwork):
    def forward(self, x, mask=None):
        tokens = super().forward(x, mask)
        coarse = tokens.x.transpose(1, 2)[..., ::2]
        return tokens._replace(summary=interpolate(coarse, scale_factor=2.0, mode="linear").mean(-1))


class Hungry(Pool):
    """Runs out of memory; `networks` are those of its networks that are still alive."""

    networks: ClassVar = WeakSet()

    def build(self, spec):
        network = HungryNetwork(spec.shape[0], int(self.recipe.build["dim"]))
        self.networks.add(network)
        return network


class HungryNetwork(PoolNetwork):
    def forward(self, x, mask=None):
        if self.training:
            torch.empty(1 << 60)
        return super().forward(x, mask)


class Raising(Pool):
    def build(self, spec):
        raise ZeroDivisionError("a fault of the plugin")


class Diverging(Pool):
    recipes = everywhere(RECIPE.replace(lr=1e30, epochs=3))


STRUCK = {}


def strike(what):
    """Kills this process at the moment that `$STRIKE_AT` names, such as `fusion:3`."""
    STRUCK[what] = STRUCK.get(what, 0) + 1
    if os.environ.get("STRIKE_AT") == f"{what}:{STRUCK[what]}":
        os.kill(os.getpid(), signal.SIGKILL)


class Fragile(Early):
    def head(self, tokens, outputs):
        return FragileHead(tokens.dim, outputs.size)


class FragileHead(Head):
    def forward(self, tokens):
        if self.training:
            strike("unimodal")
        return super().forward(tokens)


class FragileMasked(MaskedValue):
    recipes = everywhere(MaskedValue.recipes["quick"].replace(epochs=3, batch=8))

    def objective(self, model, inputs, outputs):
        module = super().objective(model, inputs, outputs)
        module.register_forward_pre_hook(lambda *_: strike("pretrain"))
        return module


class FragileLate(Late):
    recipes = everywhere(Late.recipes["quick"].replace(epochs=3, batch=8))

    def build(self, tokens, outputs):
        module = super().build(tokens, outputs)
        module.register_forward_pre_hook(lambda own, _: strike("fusion") if own.training else None)
        return module


class FragileLogReg(LogReg):
    def fit(self, X, y, subjects, weight, val=None):
        strike("estimator")
        super().fit(X, y, subjects, weight, val)

    def score(self, X):
        strike("predict")
        return super().score(X)


class Resting(Pool):
    """Rests on a library and on a file, `build.file`."""

    libraries = ("safetensors",)
    recipes = everywhere(RECIPE.replace(build={"file": ""}))

    def assets(self):
        path = Path(self.recipe.build["file"])
        if not path.is_file():
            raise DataError("there is no such file", where=str(path))
        return (path,)
