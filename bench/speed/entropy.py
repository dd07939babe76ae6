"""Differential entropy of EEG bands, ln(2 pi e v) / 2 of each band's variance v, of the same windows."""

from __future__ import annotations

import numpy as np

from bench.speed import data
from bench.speed.measure import Row, Setting, faster, figure, timed, turns
from bench.speed.peer import NAME, Peer
from bench.speed.preparing import WINDOW, unpickled
from embench.signals.spectra import differential_entropy

BANDS = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 31.0), "gamma": (31.0, 49.0)}
ALIKE = 0.1
"""Nats: the peer filters, ours sums a spectrum, so the edges of their bands differ; the median over windows, channels
and the bands inside the 4 to 45 Hz that the files hold must not."""


def rows(setting: Setting) -> list[Row]:
    content = unpickled(data.signal_files("deap", data.deap(setting))[0])
    trials = np.asarray(content["data"], np.float32)[: setting.size(20, 4), :32, 384:]  # type: ignore[index]  # a pickle
    whole = trials.shape[2] // WINDOW
    windows = (
        trials[:, :, : whole * WINDOW].reshape(len(trials), 32, whole, WINDOW).swapaxes(1, 2).reshape(-1, 32, WINDOW)
    )
    given, out = setting.work / "windows.npy", setting.work / "entropy.npy"
    np.save(given, windows)

    def ours() -> np.ndarray:
        return np.stack([differential_entropy(row, data.RATE, list(BANDS.values())) for row in windows])

    with Peer(setting.peer) as peer:
        apart = []
        if not peer.missing:
            peer.ask("entropy", windows=given, bands=BANDS, out=out)
            inside = [k for k, (low, high) in enumerate(BANDS.values()) if low >= 4 and high <= 45]
            distance = np.abs(ours() - np.load(out))[..., inside]
            apart = [figure("the same, median distance of the values", float(np.median(distance)), "nat", most=ALIKE)]

        theirs = peer.way("entropy", lambda: {"windows": given, "bands": BANDS})
        times = turns({"ours": timed(ours), "peer": theirs}, setting.size(7, 2), warm=True)
    what = f"differential entropy, 5 bands of {len(windows)} windows of 32 x {WINDOW}"
    return [
        faster(what, times["ours"], times["peer"], f"{NAME}, BandDifferentialEntropy", least=6, note=peer.missing),
        *apart,
    ]
