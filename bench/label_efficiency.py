"""`make curve`: how much pretraining helps when few people are labelled, on Stress-Predict, as a table and a picture.

Both pretrainers against none, with 1, 2, 5 and all training people labelled; the others' signals are seen by
pretraining alone. One seed. Stages that `make board` or an earlier call has run are found again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

from board import DATASET, PROTOCOL, RUNS, TOGETHER  # the board's own places and modalities

from embench import run as runner
from embench.cli.progress import Progress
from embench.errors import EmbenchError

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
PEOPLE = ("1", "2", "5", "all")
METRICS = {"auroc_crossed_time": "AUROC with the clock held constant", "auroc_within": "AUROC within a person"}

METHODS: dict[str, tuple[str, str, str, str]] = {
    "signal_transform": ("tcn", "shared_tf", TOGETHER, "tcn + shared_tf"),
    "masked_value": ("cnn_tf", "single", "eda", "cnn_tf on EDA"),
}
"""Pretrainer -> encoder, fusion, modalities, and what the panel is called."""

COLOURS = {False: "#0072B2", True: "#D55E00"}


def request(pretrainer: str, pretrained: bool, people: str, data_root: Path | None) -> runner.Request:
    encoder, fusion, modalities, _ = METHODS[pretrainer]
    return runner.Request(
        DATASET,
        encoders=(encoder,),
        fusion=fusion,
        modalities=modalities,
        pretrainers=(pretrainer,) if pretrained else (),
        protocol=PROTOCOL,
        seeds="0",
        data_root=data_root,
        runs=RUNS,
        label_subjects=people,
    )


def measure(data_root: Path | None) -> list[dict[str, Any]]:
    """A row for each method, number of people and metric: mean and interval over test people. What is done is not
    scored again, so that its test people are looked at once."""
    points = [(p, started, people) for p in METHODS for started in (False, True) for people in PEOPLE]
    requests = [request(*point, data_root) for point in points]
    folders = [runner.plan(each).folder for each in requests]
    todo = [each for each, folder in zip(requests, folders, strict=True) if not (folder / "run.yaml").is_file()]
    if todo:
        with Progress() as progress:
            runner.grid(todo, progress=progress.event).check()
    rows = []
    for (pretrainer, started, people), folder in zip(points, folders, strict=True):
        (scores,) = json.loads((folder / "scores.json").read_text())["scores"].values()
        for metric in METRICS:
            found = {key: round(scores[metric][key], 4) for key in ("mean", "low", "high")}
            method, after = METHODS[pretrainer][3], pretrainer if started else "none"
            rows.append({"method": method, "pretrainer": after, "labelled": people, "metric": metric, **found})
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "embench", "font.size": 8}):  # the same rows give the same bytes
        figure = Figure(figsize=(7.2, 5.2), facecolor="white", layout="constrained")
        panels = figure.subplots(len(METRICS), len(METHODS), sharex=True, sharey="row")
        for line, (metric, title) in zip(panels, METRICS.items(), strict=True):
            for panel, (pretrainer, (*_, method)) in zip(line, METHODS.items(), strict=True):
                panel.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
                for shift, started in ((-0.06, False), (0.06, True)):
                    after = pretrainer if started else "none"
                    curve = [r for r in rows if (r["metric"], r["method"], r["pretrainer"]) == (metric, method, after)]
                    at, means = [i + shift for i in range(len(curve))], [r["mean"] for r in curve]
                    spread = [[r["mean"] - r["low"] for r in curve], [r["high"] - r["mean"] for r in curve]]
                    label = f"after {pretrainer}" if started else "from scratch"
                    panel.errorbar(
                        at, means, yerr=spread, label=label, color=COLOURS[started], marker="s" if started else "o",
                        markersize=4, linewidth=1.2, capsize=2,
                    )  # fmt: skip
                panel.set_xticks(range(len(PEOPLE)), PEOPLE)
                panel.set_title(method, loc="left", fontweight="bold")
            line[0].set_ylabel(title)
        for panel in panels[-1]:
            panel.set_xlabel("training people with labels")
            panel.legend(frameon=False, loc="lower right")
        figure.savefig(path, metadata={"Title": "Label efficiency of two pretrainers on Stress-Predict", "Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description="The label-efficiency curves of docs/stress-predict.md.")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("EMBENCH_TEST_DATA"))
    given = parser.parse_args()
    try:
        rows = measure(given.data_root)
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (IMAGES / "label-efficiency.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, IMAGES / "label-efficiency.svg")
    print(IMAGES / "label-efficiency.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
