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

from embench.cli.progress import Progress
from embench.errors import EmbenchError
from embench.report import drawing
from embench.runs import run as runner

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
PEOPLE = ("1", "2", "5", "all")
METRICS = {"auroc_crossed_time": "AUROC with the clock held constant", "auroc_within": "AUROC within a person"}

METHODS: dict[str, tuple[str, str, str, str]] = {
    "signal_transform": ("tcn", "shared_tf", TOGETHER, "tcn + shared_tf"),
    "masked_value": ("cnn_tf", "single", "eda", "cnn_tf on EDA"),
}
"""Pretrainer -> encoder, fusion, modalities, and what the panel is called."""

LIMITS = (0.35, 0.9)
"""Of the AUROC axes, so that panels can be compared."""


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
    panels = []
    for metric, title in METRICS.items():
        for pretrainer, (*_, method) in METHODS.items():
            marks: list[drawing.Mark] = [drawing.rule(y=0.5, label="chance")]
            for k, after in enumerate(("none", pretrainer)):
                curve = [r for r in rows if (r["metric"], r["method"], r["pretrainer"]) == (metric, method, after)]
                at = [i + 0.12 * (k - 0.5) for i in range(len(curve))]
                mean, low, high = ([float(r[key]) for r in curve] for key in ("mean", "low", "high"))
                label, symbol = f"after {after}" if k else "from scratch", drawing.SYMBOLS[k]
                marks.append(drawing.line(at, mean, colour=k, dashed=not k))
                marks.append(drawing.error_bars(at, mean, low, high, colour=k, label=label, symbol=symbol))
            people = drawing.Axis("training people with labels", names=PEOPLE)
            panels.append(drawing.Panel(method, marks, people, drawing.Axis(title, *LIMITS)))
    about = (
        "Four panels: rising numbers of labelled people against AUROC, with and without pretraining, with intervals."
    )
    title = "Label efficiency of two pretrainers on Stress-Predict"
    drawing.figure(panels, title, about, columns=len(METHODS)).save(path)


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
