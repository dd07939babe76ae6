"""Shuffled batches of 10 s windows, as a training stage gets them, beside torcheeg's DataLoader and a memory map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bench.speed import data
from bench.speed.measure import Row, Setting, faster, figure, share, timed, turns
from bench.speed.peer import NAME, Peer
from bench.speed.preparing import WINDOW
from embench.engine import fits
from embench.engine.feed import Data
from embench.planning.plan import make
from embench.runs import run
from embench.system import peak_memory

BATCH = 64


def stage_data(setting: Setting) -> Callable[[], Data]:
    """Returns a function that assembles the inputs of a network on the EEG of the DEAP files, anew at each call."""
    request = run.Request(
        "deap", encoders=("cnn_tf",), fusion="single", modalities="eeg", targets="arousal", recipe="paper", seeds="0",
        data_root=data.deap(setting).parent, runs=setting.work / "runs",
    )  # fmt: skip
    plan = make(request)
    stage = next(s for s in plan.graph.stages.values() if s.kind == "unimodal")
    return lambda: fits.load_labelled_data(stage)[0]


def rows(setting: Setting) -> list[Row]:
    torch.set_num_threads(1)
    assemble = stage_data(setting)
    rng = np.random.default_rng(0)
    with Peer(setting.peer) as peer:
        given = {"kind": "deap", "folder": data.flat("deap", data.deap(setting)), "cache": setting.work / "deap-peer"}
        given["window"] = WINDOW
        windows, made = 0, {}
        if not peer.missing:
            peer.ask("prepare", **given)
            windows = peer.ask("epoch", batch=BATCH, **given)["windows"]
        held = assemble()
        shape = tuple(held.batch(np.arange(1)).x["eeg"].shape[1:])
        if shape != (32, WINDOW):
            raise RuntimeError(f"windows of {shape}, and the peer's are (32, {WINDOW})")
        count = windows or held.size

        def epoch(of: Data) -> None:
            order = rng.permutation(np.resize(rng.permutation(of.size), count))
            for index in np.array_split(order, range(BATCH, count, BATCH)):
                of.batch(index)

        def first() -> None:
            made["data"] = assemble()
            epoch(made["data"])

        flat = np.lib.format.open_memmap(setting.work / "bare.npy", "w+", np.float32, (32, WINDOW * count))
        flat[:] = rng.standard_normal(flat.shape, dtype=np.float32)
        flat.flush()
        bare = np.load(setting.work / "bare.npy", mmap_mode="r")

        def mapped() -> None:
            for index in np.array_split(rng.permutation(count), range(BATCH, count, BATCH)):
                out = np.empty((len(index), 32, WINDOW), np.float32)
                for row, start in enumerate((WINDOW * index).tolist()):
                    out[row] = bare[:, start : start + WINDOW]
                torch.from_numpy(out)

        theirs = peer.way("epoch", lambda: {**given, "batch": BATCH})
        ways = {"ours": timed(lambda: epoch(held)), "first": timed(first), "peer": theirs, "bare": timed(mapped)}
        times = turns(ways, setting.size(15, 2), warm=True)
    told: dict[str, Any] = {"note": peer.missing}
    per: dict[str, Any] = {"scale": 1e3 / np.ceil(count / BATCH), "unit": "ms a batch"}
    theirs_too = f"{NAME}, DataLoader"
    what = f"shuffled batches, {BATCH} windows of 32 x {WINDOW}"
    return [
        faster(what, times["ours"], times["peer"], theirs_too, least=8, **told, **per),
        share("the same", times["ours"], times["bare"], "bare float32 memory map", **per),
        faster("the same, first epoch", times["first"], times["peer"], theirs_too, **told, **per),
        figure("peak memory of this process", peak_memory() / 2**20, "MB"),
    ]
