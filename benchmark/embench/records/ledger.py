"""The ledger of test-label openings: one line each time, beside the runs, each line sealed with the one before it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from embench.errors import CheckFailed, MachineError, UsageError
from embench.system import locked

LEDGER_FILE = "test_labels_opened.jsonl"
REQUIRED_KEYS = ("dataset", "protocol", "target", "run", "method")
_START = "0" * 64


def append_to_ledger(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The sealed line that was added to the ledger in `folder`, which is on disk when this returns.

    Append before the labels are opened. Safe when several processes do so at once; a last line that a killed process
    left half written was never followed by an opening, and is dropped.

    Args:
        entry: JSON values; at least dataset, protocol, target, run, and method: a digest of the method's configuration;
            `dev: true` where validation subjects are scored instead of test subjects.

    Raises:
        CheckFailed: the chain is broken. MachineError: the file cannot be written. UsageError: a key is missing.
    """
    if missing := [key for key in REQUIRED_KEYS if key not in entry]:
        raise UsageError(f"a ledger entry lacks {', '.join(missing)}", expected=", ".join(REQUIRED_KEYS))
    path = Path(folder) / LEDGER_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside the ledger, which stays readable meanwhile: on Windows a locked file cannot be read.
        with locked(path.with_name(f"{LEDGER_FILE}.lock")), path.open("a+b") as file:
            file.seek(0)
            text = file.read()
            lines = list(_verified(text, path))
            previous = lines[-1]["hash"] if lines else _START
            line = {"previous": previous, "entry": dict(entry), "hash": _seal(previous, entry)}
            whole = text[: text.rfind(b"\n") + 1]
            file.truncate(len(whole))
            file.seek(len(whole))
            file.write(json.dumps(line, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise MachineError(f"the ledger cannot be written: {error.strerror}", where=str(path)) from error
    return line


def read_ledger(folder: Path) -> list[dict[str, Any]]:
    """All entries in order, after the chain is verified; none where there is no ledger yet."""
    path = Path(folder) / LEDGER_FILE
    if not path.exists():
        return []
    return [line["entry"] for line in _verified(path.read_bytes(), path)]


def count_openings(folder: Path, dataset: str, protocol: str, target: str) -> int:
    """How often the test labels of this dataset and target were opened under this protocol."""
    return len(_concerning(folder, dataset, protocol, target))


def count_dev_looks(folder: Path, dataset: str, protocol: str, target: str) -> int:
    """How often validation subjects were scored (`--dev`) instead; other folds test the same subjects."""
    return len(_concerning(folder, dataset, protocol, target, dev=True))


def count_methods(folder: Path, dataset: str, protocol: str, target: str) -> int:
    """How many different methods were scored on them."""
    return len({json.dumps(e["method"], sort_keys=True) for e in _concerning(folder, dataset, protocol, target)})


def _concerning(folder: Path, dataset: str, protocol: str, target: str, *, dev: bool = False) -> list[dict[str, Any]]:
    wanted = (dataset, protocol, target, dev)
    return [e for e in read_ledger(folder) if (e["dataset"], e["protocol"], e["target"], e.get("dev", False)) == wanted]


def _seal(previous: str, entry: Mapping[str, Any]) -> str:
    text = json.dumps(dict(entry), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}{text}".encode()).hexdigest()


def _verified(text: bytes, path: Path) -> Iterator[dict[str, Any]]:
    previous = _START
    for number, row in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), 1):
        try:
            line = json.loads(row)
            sound = line["previous"] == previous and line["hash"] == _seal(previous, line["entry"])
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise CheckFailed(
                "the ledger of test-label openings was changed by hand or damaged",
                where=f"{path}, line {number}",
                expected="every line to hold the hash of the one before it",
                hint="restore the file; or move it away, and say so where these runs' results are used",
            )
        previous = line["hash"]
        yield line
