"""Weights to start from: a safetensors file, or the encoders of a run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file

from embench.errors import DataError, UsageError


def find(text: str, runs: Path) -> tuple[Path, str]:
    """The file that a text means, and its SHA-256.

    Args:
        text: a `.safetensors` file, or the folder or id of a run, whose first network is taken.

    Raises:
        DataError: there is no such file or run. UsageError: the file is of another kind.
    """
    path = Path(text)
    if not path.exists():
        found = sorted(runs.glob(f"*/{text}"))
        if not found:
            raise DataError(
                f"no weights `{text}`", where="--pretrained", expected="a .safetensors file, or a run's folder or id"
            )
        path = found[0]
    if path.is_dir():
        files = sorted((path / "weights").glob("*.safetensors"))
        if not files:
            raise DataError("this run has no weights", where=str(path / "weights"), hint="estimators have none")
        path = files[0]
    if path.suffix != ".safetensors":
        raise UsageError(f"{path.name} is no safetensors file", where="--pretrained", expected="NAME.safetensors")
    try:
        load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"the weights cannot be read: {error}", where=str(path), expected="a whole safetensors file"
        ) from error
    return path.resolve(), hashlib.sha256(path.read_bytes()).hexdigest()


def overlap(path: Path, dataset: str) -> str:
    """What the people behind a run's weights have to do with a dataset, from the run's record: `labelled_target` where
    they were fitted on it, `unlabelled_target` where they were pretrained on it, else `none`; `unknown` without a
    record, or where the run itself started from other weights."""
    record = path.parent.parent / "run.yaml"
    if not record.is_file():
        return "unknown"
    run = yaml.safe_load(record.read_text())
    config = run["config"]
    if config["pretrained"]:
        return "unknown"
    if dataset in (run["dataset"]["name"], config["train_dataset"]):
        return "labelled_target"
    return "unlabelled_target" if dataset in config["pretrained_on"] else "none"
