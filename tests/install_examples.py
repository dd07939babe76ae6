"""`python -m tests.install_examples`: the wheel with its tracker and the packages of `examples/` in one empty
environment, where they are listed, pass their own tests and work in runs; the first notebook is made and run there.

Needs a package index.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from .install import ROOT, build, installed, run

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
MADE = ["--data-root", "made", "--runs", "runs", "--seeds", "0", "--recipe", "quick", "--device", "cpu"]
WORK = [
    ["data", "synthesize", "acq_films", "--out", "made/acq_films", "--subjects", "6"],
    [
        "run", "--dataset", "acq_films", "--encoder", "rocket", "--fusion", "logreg", "--target", "arousal", *MADE,
        "--observer", "lab_notebook",
    ],
    [
        "run", "--dataset", "acq_films", "--encoder", "cnn_tf", "--fusion", "single", "--modalities", "eda",
        "--target", "arousal", *MADE, "--observer", "tensorboard",
    ],
]  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="embench-examples-") as name:
        place = Path(name)
        pins = f"-c {ROOT / 'constraints.txt'}"
        wheel = build(place / "dist")
        program = installed(
            place / "env",
            f"torch {pins}",
            f"{wheel}[notebook,track] {pins}",
            f"pytest {' '.join(map(str, EXAMPLES))} {pins}",
        )
        listed = json.loads(subprocess.run([program, "list", "--json"], check=True, capture_output=True).stdout)
        packages = {entry["package"] for entry in listed if not entry.get("broken")}
        wanted = {example.name.replace("-", "_") for example in EXAMPLES}
        assert wanted <= packages, f"not listed: {wanted - packages}"
        for example in EXAMPLES:
            tests = [str(program.with_name("pytest")), "-q", "-p", "no:cacheprovider", str(example / "tests")]
            subprocess.run(tests, cwd=place, check=True)
        run(program, WORK, work := place / "work")
        assert (work / "tensorboard").exists()
        assert "acq_films" in (work / "notebook.md").read_text()
        first = shutil.copy(ROOT / "examples" / "first_number.py", work)
        subprocess.run([program.with_name("jupytext"), "--to", "notebook", first], check=True)
        notebook = Path(first).with_suffix(".ipynb")
        execute = ["nbconvert", "--to", "notebook", "--execute", "--inplace", notebook]
        subprocess.run([program.with_name("jupyter"), *execute], cwd=work, check=True)
        assert "image/png" in notebook.read_text()
        print("ok: the examples and the tracker", flush=True)


if __name__ == "__main__":
    main()
