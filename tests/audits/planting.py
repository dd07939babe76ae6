"""Small datasets and records with one fault each. Nothing here uses the audit's code: files are read and written by
hand, and scores are made by running embench."""

import csv
import gzip
import io
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np

import embench.audits
from embench.planning.request import Request
from embench.runs.run import run

from ..tiny.damage import unseal
from ..tiny.world import plugin, write

audit_run = partial(embench.audits.audit_run, trust_code=True)
"""The plugins of these tests are classes in files."""

CHEATS = Path(__file__).with_name("cheats.py")


def cheat(name: str) -> str:
    return f"{CHEATS}:{name}"


def world(root: Path, high=None, *, seed: int = 0, n_subjects: int = 12, stimuli: int = 12, seconds=(18, 24)) -> Path:
    """Subjects who met each stimulus once, in an order of their own that is not the files'. `high(about)` says whether
    a recording, with its `person` and `place` in the file, is rated high; by default that is drawn at random."""
    rng = np.random.default_rng(seed)
    made = {}
    for subject in range(n_subjects):
        name, rows = f"p{subject:02d}", []
        turn, shown = rng.permutation(stimuli), rng.permutation(stimuli)
        for place in range(stimuli):
            about = {
                "stimulus": f"v{shown[place]}",
                "seconds": round(float(rng.uniform(*seconds)), 2),
                "order": int(turn[place]),
                "start_s": 3000.0 + 40 * int(turn[place]) + float(rng.uniform(0, 5)),
            }
            chosen = rng.random() < 0.5 if high is None else high({**about, "person": subject, "place": place})
            rating = 5 + (1 if chosen else -1) * float(rng.uniform(0.5, 3))
            ratings = {"arousal": rating, "valence": float(rng.uniform(1, 9))}
            own = {"id": f"{name}-v{place}", "group": name, "modalities": ("ecg",), "ratings": ratings}
            rows.append({**own, **about})
        made[name] = rows
    return write(root, made, seed=seed)


def method(root: Path, encoder: str, **options):
    """The result of a method, of the small plugins or one that cheats, on the ECG."""
    arguments = {"recipe": "quick", "seeds": "0", "targets": "arousal", "device": "cpu", "workers": 1, **options}
    place = {"data_root": root, "runs": root / "runs", "modalities": "ecg"}
    return run(Request(plugin("Tiny"), encoders=(encoder,), **place, **arguments))


def abouts(root: Path) -> list[dict]:
    """What the files say of all recordings, in the order of the files."""
    found = []
    for path in sorted((root / "Tiny").glob("*.npz")):
        with np.load(path) as content:
            found += [
                {"subject": path.stem, "place": i, **about} for i, about in enumerate(json.loads(str(content["about"])))
            ]
    return found


def predicted(path: Path, root: Path, score) -> Path:
    """A file of predictions: `score(about, rng)` of each recording, as anybody's code would write it."""
    rng = np.random.default_rng(9)
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["subject", "recording", "unit", "target", "score"])
        for about in abouts(root):
            unit = f"{about['id']}:0-{round(1000 * about['seconds'])}"
            value = float(np.clip(score(about, rng), 0.001, 0.999))
            lines.writerow([about["subject"], about["id"], unit, "arousal", f"{value:.6f}"])
    return path


def table(path: Path) -> list[dict]:
    """The rows of a CSV file, gzipped or not."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def put(path: Path, rows: list[dict]) -> None:
    text = io.StringIO()
    lines = csv.DictWriter(text, rows[0], lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def copy_of(folder: Path, to: Path) -> Path:
    """The run's folder once more, in a runs folder of its own."""
    return unseal(Path(shutil.copytree(folder, to / folder.parent.name / folder.name)))


def copy_subject(root: Path, one: str, other: str, change, dataset: str = "Tiny", into: str | None = None) -> None:
    """Gives `other` the signals of `one`, through `change(x, rate)`, under names and ratings of their own."""
    rates = {"ecg": 64}
    with np.load(root / dataset / f"{one}.npz") as source:
        mine = json.loads(str(source["about"]))
        arrays = {(row["id"], m): source[f"{row['id']} {m}"] for row in mine for m in row["modalities"]}
    target = root / (into or dataset) / f"{other}.npz"
    with np.load(target) as there:
        theirs = json.loads(str(there["about"]))
    content = {}
    for row, (source_row) in zip(theirs, mine, strict=True):
        for m in row["modalities"]:
            x = change(arrays[source_row["id"], m].astype(np.float64), rates[m])
            row["seconds"] = x.shape[1] / rates[m]
            content[f"{row['id']} {m}"] = x.astype(np.float32)
    np.savez(target, about=json.dumps(theirs), **content)
