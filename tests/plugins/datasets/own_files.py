"""Small folders of own recordings, for tests of their reader."""

import json
from pathlib import Path

import yaml

HEAD = {
    "name": "study", "title": "A study", "citation": "ours", "licence": "CC BY 4.0", "mains_hz": 50, "longest_s": 600,
    "fixed_order": False, "labels_public": "no",
}  # fmt: skip
EDA = {"channels": {"eda": "EDA"}, "rate": 4, "unit": "uS"}
SOURCE = {"files": "{participant:?}.csv", "signals": {"eda": EDA}}
MOOD = {"table": "moods.csv", "keys": {"participant": "who"}, "column": "mood"}
STAGES = {
    "table": "stages.csv", "keys": {"participant": "who"}, "start": "from", "end": "to", "column": "stage",
    "classes": ["rest", "stress"],
}  # fmt: skip
BINARY = {"kind": "binary", "positive": ["stress"], "negative": ["rest"]}


def describe(root: Path, recordings=SOURCE, labels=None, targets=None, **more) -> Path:
    """A `dataset.yaml`; by default the participants' moods are predicted."""
    labels = labels or {"mood": MOOD}
    targets = targets or {"mood": {"label": next(iter(labels)), "kind": "binary", "cut": 5}}
    sources = recordings if isinstance(recordings, list) else [recordings]
    content = {**HEAD, "recordings": sources, "labels": labels, "targets": targets, **more}
    return write_yaml(root / "dataset.yaml", content)


def write_yaml(path: Path, content: dict) -> Path:
    plain = json.loads(json.dumps(content))  # values that stand in two places would become aliases
    path.write_text(yaml.safe_dump(plain, sort_keys=False), "utf-8")
    return path.parent


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


def column(values, name="EDA") -> str:
    return "\n".join([name, *map(str, values)]) + "\n"


def study(root: Path, text: str = column(range(1, 41)), moods: str = "who,mood\nA,3\nB,8\n", **eda) -> Path:
    """Two subjects with a table of one signal each, and their moods."""
    write(root, {"A.csv": text, "B.csv": column(range(1, 41)), "moods.csv": moods})
    return describe(root, {**SOURCE, "signals": {"eda": {**EDA, **eda}}})
