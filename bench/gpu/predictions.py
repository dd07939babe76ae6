"""Parts of a trial about predictions: whether they are the same each time, and agree with the CPU's. See README.md."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import warnings
from functools import partial

import numpy as np
import torch
import yaml
from noting import WORK, device, guarded, keep, sized
from stages import engine_step, made, settled

from embench.engine import device as machine
from embench.interfaces.tokens import Batch

TINY = {"cnn_tf small": partial(made, "cnn_tf", "small", (1, 320), 16, rate=32.0)}
PAPER = partial(made, "cnn_tf", "paper", (1, 1280))
REPEATED = {
    "cnn_tf paper": partial(PAPER, 128),
    "cnn_tf paper, no attention dropout": partial(PAPER, 128, build={"attention_dropout": 0.0}),
    "cross_attn small": partial(made, "cnn_tf", "small", (1, 320), 128, rate=32.0, fusion="cross_attn"),
    "tcn shared_tf small": partial(made, "tcn", "small", (1, 240), 128, rate=4.0, fusion="shared_tf"),
    "videomae small": partial(made, "videomae", "small", (4, 3, 32, 32), 64, rate=1.0),
}
ANSWERING = {
    "cnn_tf paper": partial(PAPER, 256),
    "cnn_tf cross_attn paper": partial(PAPER, 64, fusion="cross_attn"),
    "cnn_mlp paper": partial(made, "cnn_mlp", "paper", (2, 1280), 256),
    "tcn shared_tf paper": partial(made, "tcn", "paper", (1, 240), 256, rate=4.0, fusion="shared_tf"),
    "videomae paper": partial(made, "videomae", "paper", (16, 3, 224, 224), 16, rate=4.0),
    "timm_frames paper": partial(made, "timm_frames", "paper", (4, 3, 224, 224), 64, rate=1.0),
}
STEEP = {"schedule": "constant", "warmup": 0, "lr": 1e-3}


def repeat():
    """Checks that a fit gives the same weights twice, and notes what torch says is not deterministic."""
    for strict in (True, False):
        for name, build in sized(REPEATED, TINY).items():
            label = f"{name}{'' if strict else ', warn_only=True'}"
            with guarded(label), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                weights = []
                for _ in range(2):
                    settled()
                    if not strict:
                        torch.use_deterministic_algorithms(True, warn_only=True)
                    module, data, recipe, _ = build()
                    torch.manual_seed(1)
                    engine_step(module, data, recipe.replace(**STEEP), *sized((16, 4), (4, 1)), 2)
                    weights.append(torch.cat([p.detach().flatten().float().cpu() for p in module.parameters()]))
                apart = (weights[0] - weights[1]).abs().max().item()
                words = sorted({str(w.message)[:160] for w in caught if "eterministic" in str(w.message)})
                keep(**{label: {"same": bool(torch.equal(*weights)), "apart": apart, "said": words}})


def agree():
    """Predictions of a row alone, in a batch, and on the CPU: largest differences of probabilities."""
    for name, build in sized(ANSWERING, TINY).items():
        with guarded(name):
            settled()
            module, data, recipe, model = build()
            # A few steps, so that predictions differ between rows.
            engine_step(module, data, recipe.replace(**STEEP, layer_decay=1.0), min(16, data.size), 4, 1)
            model.eval()
            every = np.arange(data.size)[:: max(1, data.size // data.at_once)][: data.at_once]
            with torch.no_grad():
                together = model(data.batch(every))
                single = [model(data.batch(every[i : i + 1])) for i in range(min(16, len(every)))]
            whole = together.logits[:, 0].float().sigmoid().cpu().double()
            alone = torch.stack([one.logits[0, 0].float().sigmoid() for one in single]).cpu().double()
            hidden = together.hidden[: len(single)].cpu().double()
            hidden_alone = torch.cat([one.hidden for one in single]).cpu().double()
            line = {
                "alone_against_batch": (alone - whole[: len(alone)]).abs().max().item(),
                "tolerance": machine.tolerance(device()),
                "hidden_layer_relative": ((hidden_alone - hidden).norm() / hidden.norm()).item(),
                "spread_of_answers": whole.std().item(),
                "rows": len(every),
            }
            keep(**{name: line})
            if device() == "cuda" and not name.startswith(("videomae", "timm")):
                there = answers_on_cpu(model, data.batch(every[:8]))
                keep(**{name: line | {"gpu_against_cpu": (there - whole[:8]).abs().max().item()}})


def answers_on_cpu(model, batch):
    torch.set_num_threads(8)
    x, mask, rows = (
        {m: None if part is None else part.cpu() for m, part in parts.items()}
        for parts in (batch.x, batch.mask, batch.rows)
    )
    with torch.no_grad():
        return copy.deepcopy(model).cpu()(Batch(x, mask, rows, batch.size)).logits[:, 0].sigmoid().double()


# What the runs left.


def left(folder, file):
    """The content of a file that a run left, None where it did not finish."""
    found = sorted((WORK / folder).glob(f"*/*/{file}"))
    return found[0].read_bytes() if found else None


def predictions(folder):
    packed = left(folder, "predictions.csv.gz")
    return packed and gzip.decompress(packed)


def cost(folder):
    record = left(folder, "run.yaml")
    return yaml.safe_load(record) if record else None


def scores(text):
    rows = csv.DictReader(io.StringIO(text.decode()))
    names = [n for n in rows.fieldnames if n not in ("score", "decision")]
    ours = (row for row in rows if row["method"] == "model" and row["score"])
    return {tuple(row[n] for n in names): float(row["score"]) for row in ours}


def compare():
    runs = {name: predictions(name) for name in ("main_one", "main_five", "main_cpu")}
    keep(there={name: text is not None for name, text in runs.items()})
    with guarded("same"):
        keep(one_and_five_same_bytes=runs["main_one"] is not None and runs["main_one"] == runs["main_five"])
    for one, other in (("main_one", "main_five"), ("main_one", "main_cpu")):
        with guarded(f"{one} {other}"):
            a, b = scores(runs[one]), scores(runs[other])
            both = sorted(set(a) & set(b))
            x, y = np.array([a[k] for k in both]), np.array([b[k] for k in both])
            apart = np.abs(x - y)
            line = {"rows": len(both), "largest": float(apart.max()), "median": float(np.median(apart))}
            keep(**{f"{one} against {other}": line | {"correlation": float(np.corrcoef(x, y)[0, 1])}})
    for name in runs:
        with guarded(f"cost {name}"):
            record = cost(name)
            keep(**{f"cost {name}": {**record["cost"], "device": record["device"]}})
    ran = {}
    for folder in sorted(p.name for p in WORK.glob("runs_*")):
        record = cost(folder)
        ran[folder] = {"finished": record is not None}
        if record:
            ran[folder] |= {k: record["cost"][k] for k in ("wall_seconds", "peak_memory_mb", "energy_j")}
    keep(runs=ran)
