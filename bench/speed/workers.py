"""What a second worker brings: to the baselines of a dataset, and to preparing one."""

from __future__ import annotations

import os
import shutil

from bench.speed import data
from bench.speed.measure import Row, Setting, Took, Way, embench, faster, figure, turns
from embench import registry


def rows(setting: Setting) -> list[Row]:
    return [*_baselines(setting), *_prepare(setting)]


def _baselines(setting: Setting) -> list[Row]:
    """Data, features and confound-only models are there before the first turn; every turn fits all methods anew."""
    root, name = data.stress_predict(setting)
    line = ("baselines", "--dataset", "stress_predict", "--data-root", root, "--seeds", "0")

    def way(workers: int) -> Way:
        def once() -> Took:
            return embench(*line, "--workers", str(workers), "--runs", setting.new("runs"))()

        return once

    way(2)()
    times = turns({"one": way(1), "two": way(2)}, setting.size(2, 1))
    what = f"`embench baselines` on {name}, one seed, two workers"
    return [faster(what, times["two"], times["one"], "one worker", least=1.5)]


def _prepare(setting: Setting) -> list[Row]:
    """CASE, whose files are long text: 40 minutes of eight sensors at 1000 Hz are 150 MB a subject."""
    subjects, length_s = setting.size((4, 600.0), (2, 300.0))
    root = setting.work / "data" / "text"
    root.mkdir(parents=True)
    registry.synthesizer("case")(root / "case", subjects=subjects, seed=0, effect=1.0, length_s=length_s)
    cache = os.environ["EMBENCH_CACHE"]

    def way(workers: int) -> Way:
        def once() -> Took:
            shutil.rmtree(cache, ignore_errors=True)
            return embench("data", "prepare", "case", "--data-root", root, "--workers", str(workers))()

        return once

    times = turns({"one": way(1), "two": way(2)}, setting.size(2, 1))
    what = f"`embench data prepare case`, {subjects} subjects of {length_s / 60:.0f} minutes"
    return [
        faster(f"{what}, two workers", times["two"], times["one"], "one worker"),
        figure("the same, peak memory of one process", max(t.memory for t in times["one"]), "MB"),
    ]
