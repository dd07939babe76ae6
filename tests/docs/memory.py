"""Stages of the papers at the papers' size: networks and batches of recipe `paper`, on a few synthetic subjects, on the
CPU, for at least 20 steps. `python -m tests.docs.memory PAPER DATA NUMBER` runs one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from embench.engine.stage import Stage
from embench.engine.work import run_stage
from embench.planning.graph import stage_folder
from embench.planning.plan import make

from .test_papers import request

STEPS = 20
MADE = {"vazquez2022": "amigos --subjects 4", "wu2023": "wesad --subjects 3"}
"""Arguments of `embench data synthesize`."""
OPTIONS = {
    "vazquez2022": "--dataset amigos/all --modalities ecg,eeg --target arousal --encoder cnn_tf --fusion late "
    "--pretrainer eeg=masked_value --set pretrainer.epochs=10 --set encoder.epochs=3 --set fusion.epochs=3",
    "wu2023": "--dataset wesad --modalities eda,ppg,temp --target condition3 --encoder tcn --fusion shared_tf "
    "--pretrainer signal_transform --set pretrainer.epochs=3 --set fusion.epochs=10",
}
"""Of `embench run`: as many epochs as make up the steps. Of two modalities the one with more channels is pretrained."""


def stages(paper: str, data: Path) -> list[Stage[Any]]:
    """The stages of a paper's first fold that train, each after its inputs."""
    line = f"embench run --protocol {paper} --recipe paper {OPTIONS[paper]}"
    graph = make(request(line, data_root=data, runs=data / "runs")).graph
    wanted, found = [graph.predictions[0].stage], list[Stage[Any]]()
    for stage in reversed(graph.stages.values()):
        if stage.id in wanted:
            wanted += stage.inputs.values()
            found.append(stage)
    return [stage for stage in reversed(found) if stage.kind != "predict"]


if __name__ == "__main__":
    paper, data, number = sys.argv[1:]
    run_stage(stages(paper, Path(data))[int(number)], stage_folder(Path(data) / "runs"))
