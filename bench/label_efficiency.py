"""`make curve`: how much pretraining helps when few subjects are labelled, on Stress-Predict, as a table and a picture.

Both pretrainers against none, with 1, 2, 5 and all training subjects labelled; the others' signals are used in
pretraining alone. One seed. Stages that `make board` or an earlier call has run are reused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from bench.boards import ROOT, RUNS
from embench.errors import EmbenchError
from embench.files import write_text
from embench.planning.request import Request
from embench.records.record import format_csv
from embench.report import drawing
from embench.runs import run as runner
from embench.screen.progress import Progress

IMAGES = ROOT / "docs" / "images"
N_LABELLED = ("1", "2", "5", "all")
METRICS = {
    "auroc_crossed_matched": "AUROC with clock and session length held constant",
    "auroc_within": "AUROC within a subject",
}

METHODS = {
    "signal_transform": (("tcn", "shared_tf", "ppg,eda,temp"), "tcn + shared_tf"),
    "masked_value": (("cnn_tf", "single", "eda"), "cnn_tf on EDA"),
}
"""Pretrainer -> encoder, fusion and modalities of the row without it, and what the panel is called."""

LIMITS = (0.35, 0.9)
"""Limits of the AUROC axes, so that panels can be compared."""


def request(pretrainer: str, pretrained: bool, n_labelled: str, data_root: Path | None) -> Request:
    (encoder, fusion, modalities), _ = METHODS[pretrainer]
    return Request(
        "stress_predict",
        encoders=(encoder,),
        fusion=fusion,
        modalities=modalities,
        pretrainers=(pretrainer,) if pretrained else (),
        label_subjects=n_labelled,
        seeds="0",
        recipe="small",
        device="cpu",
        data_root=data_root,
        runs=RUNS,
    )


def measure(data_root: Path | None) -> list[dict[str, Any]]:
    """A row for each method, number of subjects and metric: mean and interval over test subjects. Finished runs are
    not scored again, so that test labels are opened once."""
    points = [(p, started, n_labelled) for p in METHODS for started in (False, True) for n_labelled in N_LABELLED]
    requests = [request(*point, data_root) for point in points]
    folders = [runner.plan(each).folder for each in requests]
    todo = [each for each, folder in zip(requests, folders, strict=True) if not (folder / "run.yaml").is_file()]
    if todo:
        with Progress() as progress:
            runner.grid(todo, progress=progress.event).check()
    rows = []
    for (pretrainer, started, n_labelled), folder in zip(points, folders, strict=True):
        (scores,) = json.loads((folder / "scores.json").read_text())["scores"].values()
        for metric in METRICS:
            found = {key: round(scores[metric][key], 4) for key in ("mean", "low", "high")}
            method, after = METHODS[pretrainer][1], pretrainer if started else "none"
            rows.append({"method": method, "pretrainer": after, "labelled": n_labelled, "metric": metric, **found})
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    panels = []
    for metric, title in METRICS.items():
        for pretrainer, (_, method) in METHODS.items():
            marks: list[drawing.Mark] = [drawing.rule(y=0.5, label="chance")]
            for k, after in enumerate(("none", pretrainer)):
                curve = [r for r in rows if (r["metric"], r["method"], r["pretrainer"]) == (metric, method, after)]
                at = [i + 0.12 * (k - 0.5) for i in range(len(curve))]
                mean, low, high = ([float(r[key]) for r in curve] for key in ("mean", "low", "high"))
                label, symbol = f"after {after}" if k else "from scratch", drawing.SYMBOLS[k]
                marks.append(drawing.line(at, mean, colour=k, dashed=not k))
                marks.append(drawing.error_bars(at, mean, low, high, colour=k, label=label, symbol=symbol))
            axis = drawing.Axis("training subjects with labels", names=N_LABELLED)
            panels.append(drawing.Panel(method, marks, axis, drawing.Axis(title, *LIMITS)))
    about = (
        "Four panels: rising numbers of labelled subjects against AUROC, with and without pretraining, with intervals."
    )
    title = "Label efficiency of two pretrainers on Stress-Predict"
    drawing.figure(panels, title, about, columns=len(METHODS)).save(path)


def main() -> int:
    parser = argparse.ArgumentParser(description="The label-efficiency curves of docs/boards/stress_predict_v1.md.")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("EMBENCH_TEST_DATA"))
    arguments = parser.parse_args()
    try:
        rows = measure(arguments.data_root)
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    IMAGES.mkdir(parents=True, exist_ok=True)
    write_text(IMAGES / "label-efficiency.csv", format_csv(rows, list(rows[0])))
    draw(rows, IMAGES / "label-efficiency.svg")
    print(IMAGES / "label-efficiency.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
