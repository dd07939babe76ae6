"""Subjects for the small datasets of `plugins.py`, written in a fraction of a second."""

import json
from pathlib import Path

import numpy as np
import yaml

PLUGINS = Path(__file__).with_name("plugins.py")
RATES = {"ecg": (64, 1), "eda": (8, 2), "temp": (8, 1)}
SIGNALS = ("ecg", "eda")

RULES = {
    "name": "mine", "version": 1, "leaks": False, "split": {"by": "group", "folds": 3},
    "validation": {"fraction": 0.2, "at_least": 1}, "unit": {"rating": "recording", "continuous_s": 10.0,
    "condition_s": 10.0}, "preprocess": "standard-v1", "rate_hz": 128.0, "normalise": "subject_unlabelled",
    "select": "recipe", "aggregate": "mean_probability", "decision": {"threshold": 0.5},
    "primary_metric": "auroc_within",
}  # fmt: skip
"""A protocol's rules, to be changed and written into a file."""


TIMELESS = {"start_s": None, "order": None}
"""Changes of recordings of which nobody knows when they were made, so that no run has to fit what a clock tells."""


def plugin(name: str) -> str:
    """A class of the small plugins, unless it is of another file."""
    return name if ":" in name else f"{PLUGINS}:{name}"


def few_folds(folder: Path, folds: int = 2, **rules) -> str:
    """The path of a protocol with the rules of the default one, but for its folds."""
    path = folder / "few.yaml"
    own = {"split": {"by": "group", "folds": folds}, "primary_metric": "by_design", **rules}
    path.write_text(yaml.safe_dump({**RULES, **own}))
    return str(path)


def make_subject(number: int, stimuli: int = 4, **changes) -> list[dict]:
    """What a subject's file holds: recordings of uneven length, with ratings of both classes, each value unmistakable.

    Each subject has stimuli of their own, so that the primary metric, the score within subjects, exists for a few
    subjects.

    Args:
        changes: fields that differ in all of the subject's recordings; a function is called with the recording's
        number.
    """
    rows = []
    for r in range(stimuli):
        row = {
            "id": f"p{number:02d}-v{r}",
            "stimulus": f"{chr(97 + number)}{r}",
            "seconds": 10.0 + (number + r) % 3,
            "group": f"p{number:02d}",
            "start_s": 3777.25 + 100 * r + number / 128,
            "order": r,
            "modalities": SIGNALS,
            "ratings": {
                "arousal": (3.0 if (number + r) % 2 else 7.0) + (16 * number + r) / 4096,
                "valence": (7.0 if r % 4 < 2 else 3.0) + (16 * number + r) / 2048,
            },
        }
        rows.append({**row, **{k: v(r) if callable(v) else v for k, v in changes.items()}})
    return rows


def write(root: Path, subjects: dict[str, list[dict]], dataset: str = "Tiny", seed: int = 0) -> Path:
    """Writes subjects below `root/dataset`; returns `root`. Samples depend on `seed` and the subject's own name
    only."""
    folder = root / dataset
    folder.mkdir(parents=True, exist_ok=True)
    for name, recordings in subjects.items():
        rng = np.random.default_rng([seed, *name.encode()])
        content = {"about": json.dumps([{**row, "modalities": list(row["modalities"])} for row in recordings])}
        for row in recordings:
            high = (row["ratings"].get("arousal") or 0) > 5
            for m in row["modalities"]:
                rate, channels = RATES[m]
                length = round(row["seconds"] * rate)
                noise = rng.normal(0, 1, (channels, length))
                wave = np.sin(2 * np.pi * (1.5 if high else 0.7) * np.arange(length) / rate)
                x = 5 + noise + (2.0 if high else 1.0) * wave
                gap = row.get("lost", {}).get(m)
                if gap:
                    x[:, : round(gap * rate)] = np.nan
                content[f"{row['id']} {m}"] = x.astype(np.float32)
        np.savez(folder / f"{name}.npz", **content)
    return root


def make_subjects(count: int, **changes) -> dict[str, list[dict]]:
    return {f"p{n:02d}": make_subject(n, **changes) for n in range(count)}


def sharing_stimuli(subjects: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """The subjects, who all meet the same stimuli, `v0` and so on."""
    return {name: [{**row, "stimulus": f"v{row['order']}"} for row in rows] for name, rows in subjects.items()}


def of_all_kinds(count: int) -> dict[str, list[dict]]:
    """Subjects for `Kinds`: six recordings of 30 s, aroused in about half of them, and in states c, a and d then."""

    def ratings(number):
        def made(r):
            high = (number + r) % 2
            return {
                "arousal": 7.0 + (number + r) % 3 / 4 if high else 3.0 - r / 8,
                "state": 0 if high else 2 + (number + r) // 2 % 2,
                "liking": 5.0 if (number + r) % 3 else 8.0,
            }

        return made

    about = {"seconds": 30.0, "start_s": lambda r: 40.0 * r}
    return {f"p{n:02d}": make_subject(n, stimuli=6, ratings=ratings(n), **about) for n in range(count)}


def with_sources(root: Path) -> Path:
    """Five subjects to test, five others rated alike (`Other`), and five with labels of every kind
    (`Kinds`): what may be pretrained on beside them."""
    write(root, make_subjects(5))
    write(root, make_subjects(5), dataset="Other", seed=5)
    return write(root, of_all_kinds(5), dataset="Kinds", seed=6)
