"""Parts of a trial about predictions: whether they are the same each time, and agree with the CPU's. See README.md."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import warnings
from pathlib import Path

import numpy as np
import torch
import yaml
from stages import WORK, device, engine_step, guarded, keep, made, settled

from embench.engine import device as machine
from embench.interfaces.tokens import Batch


def repeat():
    """Whether a fit gives the same weights twice, and what torch says is not deterministic."""

    big = device() == "cuda"
    stages = (
        {
            "cnn_tf paper": lambda: made("cnn_tf", "paper", (1, 1280), 128),
            "cnn_tf paper, no attention dropout": lambda: made(
                "cnn_tf", "paper", (1, 1280), 128, changes={"build": {"attention_dropout": 0.0}}
            ),
            "cross_attn small": lambda: made(
                "cnn_tf", "small", (1, 320), 128, rate=32.0, fusion="cross_attn", streams=("ecg", "eda")
            ),
            "tcn shared_tf small": lambda: made(
                "tcn", "small", (1, 240), 128, rate=4.0, fusion="shared_tf", streams=("ecg", "eda")
            ),
            "videomae small": lambda: made(
                "videomae", "small", (4, 3, 32, 32), 64, rate=1.0, streams=("video",), clips=True
            ),
        }
        if big
        else {"cnn_tf small": lambda: made("cnn_tf", "small", (1, 320), 16, rate=32.0)}
    )
    for strict in (True, False):
        for name, build in stages.items():
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
                    engine_step(
                        module,
                        data,
                        recipe.but(schedule="constant", warmup=0, lr=1e-3),
                        16 if big else 4,
                        4 if big else 1,
                        2,
                    )
                    weights.append(torch.cat([p.detach().flatten().float().cpu() for p in module.parameters()]))
                apart = (weights[0] - weights[1]).abs().max().item()
                words = sorted({str(w.message)[:160] for w in caught if "eterministic" in str(w.message)})
                keep(**{label: {"same": bool(torch.equal(*weights)), "apart": apart, "said": words}})


def agree():
    """Predictions of a row alone, in a batch, and on the CPU: largest differences of probabilities."""

    big = device() == "cuda"
    stages = (
        {
            "cnn_tf paper": lambda: made("cnn_tf", "paper", (1, 1280), 256),
            "cnn_tf cross_attn paper": lambda: made(
                "cnn_tf", "paper", (1, 1280), 64, fusion="cross_attn", streams=("ecg", "eda")
            ),
            "cnn_mlp paper": lambda: made("cnn_mlp", "paper", (2, 1280), 256),
            "tcn shared_tf paper": lambda: made(
                "tcn", "paper", (1, 240), 256, rate=4.0, fusion="shared_tf", streams=("ecg", "eda")
            ),
            "videomae paper": lambda: made(
                "videomae", "paper", (16, 3, 224, 224), 16, rate=4.0, streams=("video",), clips=True
            ),
            "timm_frames paper": lambda: made(
                "timm_frames", "paper", (4, 3, 224, 224), 64, rate=1.0, streams=("video",), clips=True
            ),
        }
        if big
        else {"cnn_tf small": lambda: made("cnn_tf", "small", (1, 320), 16, rate=32.0)}
    )
    for name, build in stages.items():
        with guarded(name):
            settled()
            module, data, recipe, model = build()
            # A few steps, so that predictions differ between rows.
            engine_step(
                module,
                data,
                recipe.but(schedule="constant", warmup=0, lr=1e-3, layer_decay=1.0),
                min(16, data.size),
                4,
                1,
            )
            model.eval()
            every = np.arange(data.size)[:: max(1, data.size // data.at_once)][: data.at_once]
            with torch.no_grad():
                together = model(data.batch(every))
                single = [model(data.batch(every[i : i + 1])) for i in range(min(16, len(every)))]
            whole = together.logits[:, 0].float().sigmoid().cpu().double()
            alone = torch.stack([one.logits[0, 0].float().sigmoid() for one in single]).cpu().double()
            hidden, hidden_alone = (
                together.hidden[: len(single)].cpu().double(),
                torch.cat([one.hidden for one in single]).cpu().double(),
            )
            line = {
                "alone_against_batch": (alone - whole[: len(alone)]).abs().max().item(),
                "tolerance": machine.tolerance(device()),
                "hidden_layer_relative": ((hidden_alone - hidden).norm() / hidden.norm()).item(),
                "spread_of_answers": whole.std().item(),
                "rows": len(every),
            }
            keep(**{name: line})
            if big and not name.startswith(("videomae", "timm")):
                torch.set_num_threads(8)
                some = data.batch(every[:8])
                on_cpu = copy.deepcopy(model).cpu()
                move = lambda part: {m: None if t is None else t.cpu() for m, t in part.items()}  # noqa: E731

                with torch.no_grad():
                    there = (
                        on_cpu(Batch(move(some.x), move(some.mask), move(some.rows), some.size))
                        .logits[:, 0]
                        .sigmoid()
                        .double()
                    )
                keep(**{name: line | {"gpu_against_cpu": (there - whole[:8]).abs().max().item()}})


# What the runs left.


def predictions(folder):
    found = sorted(Path(WORK / folder).glob("*/*/predictions.csv.gz"))
    return gzip.decompress(found[0].read_bytes()) if found else None


def cost(folder):

    found = sorted(Path(WORK / folder).glob("*/*/run.yaml"))
    return yaml.safe_load(found[0].read_text()) if found else None


def compare():

    runs = {name: predictions(name) for name in ("main_one", "main_five", "main_cpu")}
    keep(there={name: text is not None for name, text in runs.items()})
    with guarded("same"):
        keep(one_and_five_same_bytes=runs["main_one"] is not None and runs["main_one"] == runs["main_five"])

    def scores(text):
        rows = csv.DictReader(io.StringIO(text.decode()))
        names = [n for n in rows.fieldnames if n not in ("score", "decision")]
        return {
            tuple(row[n] for n in names): float(row["score"])
            for row in rows
            if row["method"] == "model" and row["score"]
        }

    for one, other in (("main_one", "main_five"), ("main_one", "main_cpu")):
        with guarded(f"{one} {other}"):
            a, b = scores(runs[one]), scores(runs[other])

            both = sorted(set(a) & set(b))
            x, y = np.array([a[k] for k in both]), np.array([b[k] for k in both])
            keep(
                **{
                    f"{one} against {other}": {
                        "rows": len(both),
                        "largest": float(np.abs(x - y).max()),
                        "median": float(np.median(np.abs(x - y))),
                        "correlation": float(np.corrcoef(x, y)[0, 1]),
                    }
                }
            )
    for name in ("main_one", "main_five", "main_cpu"):
        with guarded(f"cost {name}"):
            cost_of = cost(name)
            keep(**{f"cost {name}": {**cost_of["cost"], "device": cost_of["device"]}})
    ran = {}
    for folder in sorted(p.name for p in WORK.glob("runs_*")):
        cost_of = cost(folder)
        ran[folder] = {
            "finished": cost_of is not None,
            **({k: cost_of["cost"][k] for k in ("wall_s", "peak_memory_mb", "energy_j")} if cost_of else {}),
        }
    keep(runs=ran)
