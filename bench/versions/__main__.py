"""`python -m bench.versions NUMBERS.json`: write the golden numbers of all plugins, unrounded, and the scores of fixed
predictions, with the versions of the installed libraries. `python -m bench.versions REFERENCE.json OTHER.json ..`
prints how far the numbers of other environments are from those of a reference.
"""

from __future__ import annotations

import json
import math
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.markdown import table
from embench.errors import EmbenchError
from embench.system import installed_version

LIBRARIES = (
    "av", "isal", "neurokit2", "numpy", "opencv-python-headless", "pandas", "pydantic", "scikit-learn", "scipy", "soxr",
    "timm", "torch", "torchvision", "transformers", "typer",
)  # fmt: skip
EQUAL = 1e-9
"""Largest relative difference of numbers that count as equal."""


def main() -> None:
    """Write the numbers of this environment, or compare those of several."""
    warnings.simplefilter("ignore")
    first, *others = map(Path, sys.argv[1:])
    if others:
        print(compare(first, others))
        return
    versions = {"python": platform.python_version(), **{name: installed_version(name) for name in LIBRARIES}}
    numbers = {**golden_numbers(), **{f"score {key}": [value] for key, value in scores().items()}}
    first.write_text(json.dumps({"versions": versions, "numbers": numbers}, indent=1), encoding="utf-8")


def golden_numbers() -> dict[str, list[float] | None]:
    """Return mean, mean magnitude and spread of each plugin's output; None where a library is missing."""
    from tests.golden import test_golden_numbers as golden

    golden.figures = figures
    found: dict[str, list[float] | None] = {}
    for kind, name, _ in golden.CASES:
        try:
            found[f"{kind} {name}"] = golden.MAKERS[kind](name)
        except EmbenchError:
            found[f"{kind} {name}"] = None
    with tempfile.TemporaryDirectory() as folder:
        found["engine"] = golden.engine(Path(folder))
    return found


def figures(*arrays: Any) -> list[float]:
    """Return mean, mean magnitude and spread of arrays, unrounded."""
    values = [np.asarray(a.detach() if hasattr(a, "detach") else a, np.float64) for a in arrays]
    return [float(part) for v in values for part in (np.nanmean(v), np.nanmean(np.abs(v)), np.nanstd(v))]


def scores() -> dict[str, float]:
    """Return all numbers that `embench score` writes of fixed predictions on a synthetic Stress-Predict."""
    from embench.cli import main as embench

    with tempfile.TemporaryDirectory() as folder:
        data, units, out = (f"{folder}/{name}" for name in ("data", "units.csv", "scored"))
        run(embench, "data", "synthesize", "stress_predict", "--out", f"{data}/stress_predict", "--subjects", "12")
        run(embench, "data", "labels", "stress_predict", "--units", units, "--data-root", data)
        head, *rows = Path(units).read_text(encoding="utf-8").splitlines()
        lines = [f"{row},{(1 + math.sin(k * k)) / 2:.6f}" for k, row in enumerate(rows)]
        Path(folder, "mine.csv").write_text("\n".join([f"{head},score", *lines]) + "\n", encoding="utf-8")
        run(embench, "score", f"{folder}/mine.csv", "--dataset", "stress_predict", "--out", out, "--data-root", data)
        return dict(leaves(json.loads(Path(out, "scores.json").read_text(encoding="utf-8"))))


def run(embench: Any, *words: str) -> None:
    """Run a command of embench in this process."""
    if code := embench([*words, "--quiet"]):
        raise SystemExit(f"{' '.join(words)}: exit code {code}")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a document with their paths."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from leaves(item, f"{path}/{k}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def difference(expected: list[float] | None, found: list[float] | None) -> float:
    """Return the largest difference relative to the largest number; NaN if one is missing."""
    if expected is None or found is None or len(expected) != len(found):
        return math.nan
    size = max(1e-12, *(abs(x) for x in expected)) if expected else 1.0
    return max((abs(a - b) / size for a, b in zip(expected, found, strict=True)), default=0.0)


def compare(reference: Path, others: list[Path]) -> str:
    """Return a table: versions, numbers within `EQUAL`, and the plugins whose numbers differ."""
    expected, lines = json.loads(reference.read_text(encoding="utf-8")), []
    for path in others:
        found = json.loads(path.read_text(encoding="utf-8"))
        names = sorted({*expected["numbers"], *found["numbers"]})
        gaps = {n: difference(expected["numbers"].get(n), found["numbers"].get(n)) for n in names}
        told = sorted(((gap, n) for n, gap in gaps.items() if not gap <= EQUAL), key=lambda pair: pair[1])
        lines.append([path.stem, f"{sum(gap <= EQUAL for gap in gaps.values())} of {len(gaps)}"])
        lines += [[f"{path.stem}: {name}", f"{gap:.1e}"] for gap, name in told]
    return table(["environment", "relative difference"], lines)


if __name__ == "__main__":
    main()
