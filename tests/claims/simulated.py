"""Records of made-up methods whose true scores are known."""

from statistics import NormalDist

import numpy as np

from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import Record
from embench.records.scores import Scores


def auroc(separation: float) -> float:
    """The AUROC of normal scores whose classes lie so many SDs apart."""
    return NormalDist().cdf(separation / 2**0.5)


SEEDS = 3


def study(n_subjects: int, units: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Units of 10 s, one after the other; a fair coin is each label. `fold` (seeds, n): each seed splits anew."""
    names = np.array([f"s{p:03d}" for p in range(n_subjects)])
    subject, start = np.repeat(names, units), np.tile(np.arange(units) * 10, n_subjects)
    folds = np.stack([rng.permutation(np.arange(n_subjects) % 5) for _ in range(SEEDS)])
    return {
        "subject": subject,
        "start_s": start.astype(float),
        "unit": np.array([f"{s}-r:{t * 1000}-{t * 1000 + 10000}" for s, t in zip(subject, start, strict=True)]),
        "y": rng.integers(0, 2, n_subjects * units),
        "fold": np.repeat(folds, units, axis=1),
    }


def method(name: str, of: dict[str, np.ndarray], latent: np.ndarray) -> Record:
    """The record of a method with these scores (n,), the same in all seeds, before they are squeezed to
    probabilities."""
    n = len(latent)
    score = np.tile(1 / (1 + np.exp(-latent)), SEEDS)
    recording = np.char.add(of["subject"], "-r")
    every = {
        "subject": of["subject"], "recording": recording, "stimulus": np.full(n, ""), "unit": of["unit"],
        "start_s": of["start_s"],
    }  # fmt: skip
    columns = {
        "method": np.full(len(score), MODEL), "target": np.full(len(score), "stress"), "fold": of["fold"].ravel(),
        "seed": np.repeat(np.arange(SEEDS), n), "score": score, "decision": (score >= 0.5).astype(float),
        **{column: np.tile(values, SEEDS) for column, values in every.items()},
    }  # fmt: skip
    labels = {
        "subject": of["subject"], "recording": recording, "unit": of["unit"], "target": np.full(n, "stress"),
        "seed": np.full(n, ANY_SEED), "raw": of["y"].astype(float), "label": of["y"].astype(float),
    }  # fmt: skip
    folds = [
        {"subject": s, "group": s, "fold": f, "role": "test" if f == own else "train", "seed": k, "reason": ""}
        for k, row in enumerate(of["fold"])
        for s, own in dict(zip(of["subject"].tolist(), row.tolist(), strict=True)).items()
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
        "seeds": list(range(SEEDS)),
        "cohort": {"subjects": len(set(of["subject"].tolist())), "left_out": []},
        "dev": False,
        "targets": ["stress"],
        "methods_evaluated": {"stress": 1},
        "method": {"encoders": {"eda": name}, "fusion": "single", "pretrainers": [], "modalities": ["eda"]},
    }
    return Record(
        run, Predictions(columns), Labels(labels), folds, Scores.make_empty(primary_metrics={"stress": "auroc_within"})
    )
