"""Entries that are made up: a row of a board with the scores that a test wants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from embench.protocols import load_protocol
from embench.records.manifest import SCHEMA

from .conftest import attest


def number(mean: float, half: float = 0.05) -> dict[str, Any]:
    return {"mean": mean, "std": 0.1, "low": mean - half, "high": mean + half, "subjects": 24, "over": "subjects"}


def answer(effect: float, primary_metric: str = "auroc_crossed_matched") -> dict[str, Any]:
    """The confound analysis of a method: this partial r at each level, equally much of it from each subject."""
    parts = {f"S{k:02d}": effect / 24 for k in range(24)}
    at = {
        "partial_r": number(effect),
        "residual_score": number(effect),
        "residual_proportion": 0.8,
        "associated": effect > 0.05,
    }
    levels = {name: {**at, "by_group": parts} for name in ("movement", "protocol_phase")}
    return {
        "metric": primary_metric,
        "mean_difference": True,
        "has_movement": True,
        "decisive_level": "movement",
        "levels": levels,
    }


def put(
    root: Path,
    run_id: str,
    mean: float | None = 0.6,
    *,
    access: str = "unlabelled",
    leaks: bool = False,
    overlap: str = "none",
    subjects: int = 24,
    effect: float = 0.0,
    primary_metric: str = "auroc_crossed_matched",
    protocol: str = "subject-independent-v4",
    attested: bool = True,
    **changed: Any,
) -> Path:
    """An entry on the stress board, as an exported run leaves it. It holds the partial r (`effect`) unless
    its protocol leaks."""
    rules = load_protocol("segment-random-legacy" if leaks else protocol)
    about = {"name": rules.name, "version": rules.version, "hash": "a", "leaks": leaks}
    run = {
        "id": run_id,
        "embench_version": "0.1.0",
        "dataset": {"name": "embench_plugins/stress_predict", "fingerprint": "f", "synthetic": None},
        "protocol": {**about, "rules": rules.model_dump(mode="json", exclude_none=True)},
        "card": {"labels_public": "yes", "fixed_order": True, "label_rules_hash": "b"},
        "method": {
            "encoders": {"ppg": "embench_plugins/cnn_tf", "eda": "embench_plugins/cnn_tf"},
            "fusion": "embench_plugins/late",
            "pretrainers": ["embench_plugins/masked_value"],
            "modalities": ["ppg", "eda"],
        },
        "recipe": {"preset": "small", "on_leaderboard": True, "assumed": ["batch"]},
        "targets": ["stress"],
        "seeds": [0, 1, 2],
        "cohort": {"subjects": subjects, "left_out": [{"subject": f"S{k:02d}"} for k in range(subjects, 24)]},
        "target_access": access,
        "pretraining_overlap": overlap,
        "dev": False,
        "cost": {
            "wall_seconds": 125.0,
            "parameters": 1_250_000,
            "flops": None,
            "device": "cpu",
            "peak_memory_mb": None,
        },
        "test_evaluations": {"stress": 3},
        "methods_evaluated": 2,
        "ledger": "0" * 64,
        "versions": {},
        "device": "cpu",
        "config": {},
        **changed,
    }
    score: dict[str, Any] = {"undefined": "not estimable"} if mean is None else number(mean)
    scores: dict[str, Any] = {
        "schema": SCHEMA,
        "primary_metrics": {"stress": primary_metric},
        "scores": {"stress": {primary_metric: score, "auroc": number(0.7), "f1_weighted": number(0.65)}},
        "confound_only": {
            "elapsed_time": {"stress": {primary_metric: number(0.5, 0.0), "auroc": number(0.94 + subjects / 10000)}},
            "movement": {"stress": {"undefined": "there is no accelerometer"}},
        },
    }
    if not leaks:
        scores["adjusted"] = {"stress": answer(effect, primary_metric)}
    folder = root / "stress_predict" / rules.name / run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.yaml").write_text(yaml.safe_dump({"schema": SCHEMA, **run}))
    (folder / "scores.json").write_text(json.dumps(scores))
    if attested:
        attest(folder)
    return folder
