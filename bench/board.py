"""`make board`: the Stress-Predict leaderboards, from the raw files to the tables below `leaderboards/`.

Every group of runs is published as soon as it is done, cheap groups first, so an interrupted call leaves a smaller
leaderboard, not a broken one. The same command continues where the last one stopped: finished stages are reused, and a
finished run is not scored again, so its test labels are opened once. Recipe: `small` on a CPU, `paper` on a GPU.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

from embench import leaderboard
from embench.cli.progress import Progress, format_duration
from embench.data.find import raw_digest_of
from embench.errors import CheckFailed, EmbenchError
from embench.runs import run as runner

ROOT = Path(__file__).resolve().parents[1]
RUNS, BOARDS = ROOT / ".embench" / "board", ROOT / "leaderboards"
DATASET, PROTOCOL, SEEDS = "stress_predict", "subject-independent-v2", "0,1,2"
ALONE, TOGETHER = ("ppg", "eda", "temp"), "ppg,eda,temp"

ESTIMATORS = ("logreg", "svm", "lda", "forest", "boosting", "mlp")
TOGETHER_IN_ONE = "ppg+eda"

STRICT, LEGACY = "subject-independent-strict-v2", "segment-random-legacy"


class Method(NamedTuple):
    """`encoder` is one, or `modality=encoder` with commas between. Not all that is run is `published`."""

    encoder: str
    fusion: str
    modalities: str
    pretrainer: str | None = None
    protocol: str = PROTOCOL
    published: bool = True


GROUPS: dict[str, list[Method]] = {
    # Published: all estimators on all modalities, one on each modality, and a forest on EDA.
    "baselines": [
        Method("handcrafted", f, m, published=m == TOGETHER or f == "logreg" or (f, m) == ("forest", "eda"))
        for m in (*ALONE, TOGETHER)
        for f in ESTIMATORS
    ],
    # The cost of unseen subjects, and the gain that a leaking split pretends, for the same methods.
    "strict": [Method("handcrafted", f, TOGETHER, protocol=STRICT) for f in ("svm", "forest", "boosting")],
    "legacy": [Method("handcrafted", f, TOGETHER, protocol=LEGACY) for f in ("svm", "forest", "boosting")],
    "unet_se": [Method("unet_se", "single", "ppg")],
    "cnn_mlp": [Method("cnn_mlp", fusion, TOGETHER_IN_ONE) for fusion in ("single", "cross_attn")],
    "cnn_tf": [Method("cnn_tf", "single", "eda")],
    "tcn": [Method("tcn", "shared_tf", TOGETHER)],
    "modality_aware": [Method("ppg=unet_se,eda=cnn_tf", "modality_aware", "ppg,eda")],
    "late": [Method("cnn_tf", "late", TOGETHER)],
    "cross_attn": [Method("cnn_tf", "cross_attn", TOGETHER)],
    "tcn-pretrained": [Method("tcn", "shared_tf", TOGETHER, "signal_transform")],
    "cnn_tf-pretrained": [Method("cnn_tf", "single", "eda", "masked_value")],
    "late-pretrained": [Method("cnn_tf", "late", TOGETHER, "masked_value")],
    "cross_attn-pretrained": [Method("cnn_tf", "cross_attn", TOGETHER, "masked_value")],
}


def request(method: Method, data_root: Path | None) -> runner.Request:
    return runner.Request(
        DATASET,
        encoders=tuple(method.encoder.split(",")),
        fusion=method.fusion,
        modalities=method.modalities,
        pretrainers=(method.pretrainer,) if method.pretrainer else (),
        protocol=method.protocol,
        seeds=SEEDS,
        data_root=data_root,
        runs=RUNS,
    )


def run_group(methods: list[Method], data_root: Path | None) -> tuple[set[str], dict[str, EmbenchError]]:
    """Runs what is not there yet, publishes the group; the ids of what is published, and why runs are missing."""
    requests = [request(method, data_root) for method in methods]
    plans = [runner.plan(each) for each in requests]
    if plans[0].test.store.synthetic is not None:
        raise CheckFailed(
            "a leaderboard holds real recordings only, and these data are synthetic",
            where=str(data_root or "the default folder"),
        )
    todo = [each for each, plan in zip(requests, plans, strict=True) if not (plan.folder / "run.yaml").is_file()]
    failures = {}
    if todo:
        with Progress() as progress:
            failures = dict(runner.grid(todo, progress=progress.event).failures)
    done = [
        plan.folder
        for method, plan in zip(methods, plans, strict=True)
        if method.published and (plan.folder / "run.yaml").is_file()
    ]
    leaderboard.publish_runs(done, BOARDS, lambda dataset: raw_digest_of(dataset, data_root))
    leaderboard.build_leaderboards(BOARDS)
    return {folder.name for folder in done}, failures


def drop_superseded(done: set[str]) -> None:
    """Removes entries that an earlier version of the same methods left: a whole leaderboard is of one version."""
    for protocol in {method.protocol for methods in GROUPS.values() for method in methods}:
        for entry in (BOARDS / DATASET / protocol).iterdir():
            if entry.is_dir() and entry.name not in done:
                shutil.rmtree(entry)
    leaderboard.build_leaderboards(BOARDS)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Run the Stress-Predict leaderboard and publish it below leaderboards/."
    )
    parser.add_argument("--data-root", type=Path, default=os.environ.get("EMBENCH_TEST_DATA"))
    parser.add_argument("--only", choices=list(GROUPS), action="append", help="a group alone; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the groups and do nothing")
    arguments = parser.parse_args()
    chosen = arguments.only or list(GROUPS)
    if arguments.list:
        for name in chosen:
            for method in GROUPS[name]:
                after = f" after {method.pretrainer}" if method.pretrainer else ""
                print(f"{name:22} {method.encoder} + {method.fusion} on {method.modalities}{after}, {method.protocol}")
        return 0
    done: set[str] = set()
    failures: dict[str, EmbenchError] = {}
    try:
        for name in chosen:
            began = time.monotonic()
            print(f"{name}: {len(GROUPS[name])} runs", flush=True)
            published, missing = run_group(GROUPS[name], arguments.data_root)
            done, failures = done | published, failures | missing
            print(
                f"{name}: done in {format_duration(time.monotonic() - began)}; {BOARDS / DATASET / 'README.md'}",
                flush=True,
            )
        if not arguments.only and not failures:
            drop_superseded(done)
    except EmbenchError as error:
        print(f"{error.label}: {error}", file=sys.stderr)
        return error.exit_code
    for title, failure in failures.items():
        print(f"missing: {title}: {failure}", file=sys.stderr)
    return 6 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
