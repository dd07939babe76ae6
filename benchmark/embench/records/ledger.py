"""The ledger of test-set evaluations: a chain of hashed lines, one for each run and target; and its counts in words."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from embench.errors import CheckFailed, EmbenchError, UsageError
from embench.files import digest, saving
from embench.records.manifest import Manifest
from embench.records.record import RUN_FILE, board_name, read_manifest
from embench.system import locked

# Each line contains the hash of the line before it, so that changes are detected. There is one ledger for each raw
# dataset of a user. Each runs folder has a second ledger of its own runs; from this one, and from the runs' records,
# lines that are missing in the first are restored.

LEDGER_FILE = "test_labels_opened.jsonl"
REQUIRED_KEYS = ("dataset", "protocol", "target", "run", "method")
_START = "0" * 64


@dataclass(frozen=True)
class EvaluationCounts:
    """Numbers of evaluations in a ledger.

    Args:
        test_evaluations: target -> number of test-set evaluations, including the latest. `methods_evaluated`: target ->
            number of methods behind these. `dev_evaluations`: target -> number of evaluations on validation subjects.
        chain: hash of the ledger's last line, which depends on all lines before it.
    """

    test_evaluations: Mapping[str, int]
    methods_evaluated: Mapping[str, int]
    dev_evaluations: Mapping[str, int]
    chain: str


def record_evaluations(
    runs: Path, data: bytes, fingerprint: str, opening: Mapping[str, Any], targets: Sequence[str]
) -> EvaluationCounts:
    """Record that a run is scored on some targets, in the ledger of its data and in the ledger of its runs folder. Call
    it before test labels are read; both files are on disk when it returns.

    A run counts once, however often it is scored. Evaluations in the runs folder that the data's ledger lacks are added
    to it first, with a warning.

    Args:
        runs: the runs folder. `data`: digest of the raw files. `fingerprint`: digest of the prepared data.
        opening: `dataset`, `protocol`, `run` (its id) and `method` (digest of its configuration). Optional keys are
            `dev: true` if validation subjects are scored, and `reproduces: ID` (not counted) for a repeated entry.

    Raises:
        CheckFailed: a chain is broken. MachineError: a ledger cannot be written.
    """
    mark = hashlib.sha256(b"ledger" + data).hexdigest()[:16]
    data_ledger = get_ledger_folder() / mark
    in_runs, known_keys = read_ledger(runs), {_get_key(entry) for entry in read_ledger(data_ledger)}
    on_data = [e for e in in_runs if e.get("data", mark) == mark and e["dataset"] == opening["dataset"]]
    known_runs = {e["run"] for e in in_runs} | {run for *_, run in known_keys} | {opening["run"]}
    earlier = [*on_data, *_recover_evaluations(runs, opening["dataset"], fingerprint, known_runs)]
    missing = {_get_key(e): e for e in earlier if _get_key(e) not in known_keys}
    for entry in missing.values():
        append_to_ledger(data_ledger, entry)
    if missing:
        what = f"test-set evaluations in {Path(runs).absolute()} were missing: {len(missing)}; they are counted now"
        warnings.warn(f"{data_ledger / LEDGER_FILE}: {what}", stacklevel=2)
    for target in targets:
        for folder in (data_ledger, runs):
            append_to_ledger(folder, {**opening, "target": target, "data": mark})
    return _count(_read_lines(data_ledger), opening["dataset"], opening["protocol"], targets)


def count_up_to(chain: str, dataset: str, protocol: str, targets: Sequence[str]) -> EvaluationCounts | None:
    """Return the counts of a ledger up to the line with the hash `chain`; None if no ledger has this line."""
    lines = _read_up_to(chain)
    return None if lines is None else _count(lines, dataset, protocol, targets)


def list_methods_up_to(chain: str, dataset: str, protocol: str, target: str) -> list[tuple[str, str]] | None:
    """Return (run id, method) of each test-set evaluation that `count_up_to` counts; None if no ledger has the line."""
    lines = _read_up_to(chain)
    if lines is None:
        return None
    return [
        (entry["run"], json.dumps(entry["method"], sort_keys=True))
        for entry in _select(lines, dataset, protocol, target)
        if not entry.get("dev")
    ]


def _read_up_to(chain: str) -> list[dict[str, Any]] | None:
    """Return a ledger's lines up to the line with the hash `chain`; None if no ledger has this line."""
    for path in sorted(get_ledger_folder().glob(f"*/{LEDGER_FILE}")):
        lines = _read_lines(path.parent)
        end = next((i for i, line in enumerate(lines, 1) if line["hash"] == chain), None)
        if end is not None:
            return lines[:end]
    return None


def get_ledger_folder() -> Path:
    """Return the folder of all ledgers: in `$EMBENCH_CACHE` if set, else in the user's data folder."""
    chosen = os.environ.get("EMBENCH_CACHE")
    root = Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_data_dir("embench"))
    return root / "ledger"


def append_to_ledger(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Add a line to the ledger in `folder`, and return it. If the same run and target have a line, return this one. The
    line is on disk when this returns.

    Several processes may add lines at once. An incomplete last line is deleted: the process that wrote it was killed
    before it read labels.

    Args:
        entry: JSON values with the keys `REQUIRED_KEYS` at least.

    Raises:
        CheckFailed: the chain is broken. MachineError: the file cannot be written. UsageError: a key is missing.
    """
    if missing := [key for key in REQUIRED_KEYS if key not in entry]:
        raise UsageError(f"a ledger entry lacks {', '.join(missing)}", expected=", ".join(REQUIRED_KEYS))
    path = Path(folder) / LEDGER_FILE
    with saving("the ledger", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside the ledger, which stays readable meanwhile: on Windows a locked file cannot be read.
        with locked(path.with_name(f"{LEDGER_FILE}.lock")), path.open("a+b") as file:
            file.seek(0)
            text = file.read()
            lines = list(_verify_lines(text, path))
            if known := next((line for line in lines if _get_key(line["entry"]) == _get_key(entry)), None):
                return known
            previous = lines[-1]["hash"] if lines else _START
            line = {"previous": previous, "entry": dict(entry), "hash": _hash_line(previous, entry)}
            whole = text[: text.rfind(b"\n") + 1]
            file.truncate(len(whole))
            file.seek(len(whole))
            file.write(json.dumps(line, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    return line


def read_ledger(folder: Path) -> list[dict[str, Any]]:
    """Return all entries in order, and verify their hashes; none before the ledger exists."""
    return [line["entry"] for line in _read_lines(folder)]


def _read_lines(folder: Path) -> list[dict[str, Any]]:
    path = Path(folder) / LEDGER_FILE
    return list(_verify_lines(path.read_bytes(), path)) if path.exists() else []


def _count(lines: Sequence[Mapping[str, Any]], dataset: str, protocol: str, targets: Sequence[str]) -> EvaluationCounts:
    """Return the counts of the ledger `lines` for each target of a dataset under a protocol."""
    evaluations, methods, dev = {}, {}, {}
    for target in targets:
        entries = _select(lines, dataset, protocol, target)
        tests = [entry for entry in entries if not entry.get("dev")]
        evaluations[target], dev[target] = len(tests), len(entries) - len(tests)
        methods[target] = len({json.dumps(entry["method"], sort_keys=True) for entry in tests})
    return EvaluationCounts(evaluations, methods, dev, lines[-1]["hash"] if lines else _START)


def _select(lines: Sequence[Mapping[str, Any]], dataset: str, protocol: str, target: str) -> list[dict[str, Any]]:
    """Return the entries of a target under a protocol or its variants, without repeats of published runs."""
    from embench.protocols import without_variant  # slow to import

    entries = (line["entry"] for line in lines if "reproduces" not in line["entry"])
    wanted = dataset, without_variant(protocol), target
    return [e for e in entries if (e["dataset"], without_variant(e["protocol"]), e["target"]) == wanted]


def _get_key(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return entry["dataset"], entry["protocol"], entry["target"], entry["run"]


def _recover_evaluations(runs: Path, dataset: str, fingerprint: str, known: set[str]) -> Iterable[dict[str, Any]]:
    """Yield a ledger entry for each target of the finished runs of a dataset whose ids are not in `known`."""
    for path in sorted([*Path(runs).glob(f"*/{RUN_FILE}"), *Path(runs).glob(f"*/*/{RUN_FILE}")]):
        if path.parent.name in known:
            continue
        with suppress(EmbenchError):  # another run's record that cannot be read must not stop this one
            run = read_manifest(path.parent)
            if (run.dataset.name, run.dataset.fingerprint) == (dataset, fingerprint):
                method = digest({name: value for name, value in run.config.items() if name != "request"})
                dev = {"dev": True} if run.dev else {}
                for target in run.targets:
                    yield {
                        "dataset": dataset, "protocol": run.protocol.name, "run": run.id, "method": method,
                        "target": target, **dev,
                    }  # fmt: skip


def _hash_line(previous: str, entry: Mapping[str, Any]) -> str:
    text = json.dumps(dict(entry), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}{text}".encode()).hexdigest()


def _verify_lines(text: bytes, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the complete lines of a ledger. Raises CheckFailed at a line that does not continue the chain of hashes."""
    previous = _START
    for number, row in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), 1):
        try:
            line = json.loads(row)
            sound = line["previous"] == previous and line["hash"] == _hash_line(previous, line["entry"])
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise CheckFailed(
                "the log of test-set evaluations was changed by hand or damaged",
                where=f"{path}, line {number}",
                expected="the hash of the line before in every line",
                hint="restore the file; or move it away: runs that lie in the runs folder are counted again",
            )
        previous = line["hash"]
        yield line


BOARDS = Path("leaderboards")


def count_published(run: Manifest, boards: Path = BOARDS) -> int | None:
    """Return the number of methods in a run's ledger that are published in `boards`; None if either is missing."""
    counted = _list_own_methods(run)
    if counted is None or not boards.is_dir():
        return None
    published = _list_published(run, boards)
    return len({method for name, method in counted if name in published})


def _list_own_methods(run: Manifest) -> list[tuple[str, str]] | None:
    """Return (run id, method) of each test-set evaluation up to a run; None if its ledger is not on this machine."""
    if run.ledger is None or not isinstance(run.methods_evaluated, Mapping) or not run.methods_evaluated:
        return None
    target = max(run.methods_evaluated, key=lambda name: run.methods_evaluated[name])  # type: ignore[index]
    return list_methods_up_to(run.ledger, run.dataset.name, run.protocol.name, target)


def _list_published(run: Manifest, boards: Path) -> set[str]:
    """Return the ids of the published entries on a run's dataset and protocol."""
    board = boards / board_name(run.dataset.name) / run.protocol.name
    return {path.parent.name for path in board.glob(f"*/{RUN_FILE}")}


def describe_evaluations(run: Manifest) -> str:
    """Return a clause on how many methods were scored on the test subjects; empty where that was not recorded."""
    count = run.most_of("methods_evaluated")
    if not count:
        return ""
    if run.dev:
        return f"{count} {'method was' if count == 1 else 'methods were'} scored on these test subjects"
    if count == 1:
        return "no other method was scored on these test subjects before"
    return f"{count} methods, including this one, were scored on these test subjects"


def describe_authors(run: Manifest, boards: Path = BOARDS) -> str:
    """Return clauses on the methods evaluated up to a run: who evaluated them, how many are published, and how many
    entries of others are not counted. If the run's ledger is not on this machine, name only who counted, or nothing."""
    counted, count = _list_own_methods(run), run.most_of("methods_evaluated")
    if counted is None:
        return "counted by those who published this entry" if run.entry is not None and count > 1 else ""
    clauses = []
    if count > 1:
        published = count_published(run, boards) or 0
        entries = "one is an entry" if published == 1 else f"{published} are entries"
        of_these = f", of which {entries} of published leaderboards" if published else ""
        clauses.append(f"all by the authors of this result{of_these}")
    if others := len(_list_published(run, boards) - {name for name, _ in counted}):
        entries = "one entry" if others == 1 else f"{others} entries"
        clauses.append(f"not counted: {entries} that others published on these labels")
    return "; ".join(clauses)


def describe_evaluations_by_author(run: Manifest, boards: Path = BOARDS) -> str:
    """Return the clauses of `describe_evaluations` and `describe_authors`; empty where nothing was recorded."""
    return ": ".join(filter(None, [describe_evaluations(run), describe_authors(run, boards)]))
