"""Records of made-up methods whose true scores are known."""

from statistics import NormalDist

import numpy as np

from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import Record


def auroc(separation: float) -> float:
    """The AUROC of normal scores whose classes lie so many SDs apart."""
    return NormalDist().cdf(separation / 2**0.5)


def study(n_subjects: int, units: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Units of 10 s, one after the other; a fair coin is each label."""
    names = np.array([f"s{p:03d}" for p in range(n_subjects)])
    subject, start = np.repeat(names, units), np.tile(np.arange(units) * 10, n_subjects)
    return {
        "subject": subject,
        "start_s": start.astype(float),
        "unit": np.array([f"{s}-r:{t * 1000}-{t * 1000 + 10000}" for s, t in zip(subject, start, strict=True)]),
        "y": rng.integers(0, 2, n_subjects * units),
        "fold": np.repeat(np.arange(n_subjects) % 5, units),
    }


def method(name: str, of: dict[str, np.ndarray], latent: np.ndarray) -> Record:
    """The record of a method with these scores (n,), before they are squeezed to probabilities."""
    n = len(latent)
    score = 1 / (1 + np.exp(-latent))
    recording = np.char.add(of["subject"], "-r")
    columns = {
        "method": np.full(n, MODEL), "target": np.full(n, "stress"), "fold": of["fold"], "seed": np.zeros(n, int),
        "subject": of["subject"], "recording": recording, "stimulus": np.full(n, ""), "unit": of["unit"],
        "start_s": of["start_s"], "score": score, "decision": (score >= 0.5).astype(float),
    }  # fmt: skip
    labels = {
        "subject": of["subject"], "recording": recording, "unit": of["unit"], "target": columns["target"],
        "seed": np.full(n, ANY_SEED), "raw": of["y"].astype(float), "label": of["y"].astype(float),
    }  # fmt: skip
    where = dict(zip(of["subject"].tolist(), of["fold"].tolist(), strict=True))
    folds = [
        {"subject": s, "group": s, "fold": f, "role": "test" if f == own else "train", "seed": 0, "reason": ""}
        for s, own in where.items()
        for f in range(5)
    ]
    run = {
        "id": name,
        "dataset": {"name": "made_up", "synthetic": {"by": "a test"}},
        "protocol": {"name": "mine", "hash": "0"},
        "card": {
            "label_rules_hash": "0",
            "label_rules": [{"name": "stress", "kind": "binary", "label": "s", "n": 2, "rule": {}}],
        },
        "target_access": "unlabelled",
        "seeds": [0],
        "dev": False,
        "targets": ["stress"],
        "tried": {"stress": 1},
        "method": {"encoders": {"eda": name}, "fusion": "single", "pretrainers": [], "modalities": ["eda"]},
    }
    return Record(run, Predictions(columns), Labels(labels), folds, {"headlines": {"stress": "auroc_within"}})
