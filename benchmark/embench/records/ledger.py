"""The ledger of test-set evaluations: one sealed line for each run and target, and its wording."""

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

# The ledger of test-label openings: one line for each run and target, sealed with the line before it.
#
# A ledger goes with the data, wherever the runs lie. Each runs folder keeps the lines of its own runs as well, and from
# these, and from the runs' records, a ledger that was cut short is made whole again.

LEDGER_FILE = "test_labels_opened.jsonl"
REQUIRED_KEYS = ("dataset", "protocol", "target", "run", "method")
_START = "0" * 64


@dataclass(frozen=True)
class Looks:
    """Counts of a ledger, for each target: openings of test labels, this one included, methods that opened them, and
    scorings of validation subjects instead (`--dev`), whom other folds test. `chain`: the seal of the ledger's last
    line, which fixes all that came before."""

    test_evaluations: Mapping[str, int]
    methods_evaluated: Mapping[str, int]
    dev_evaluations: Mapping[str, int]
    chain: str


def record_evaluations(
    runs: Path, data: bytes, fingerprint: str, opening: Mapping[str, Any], targets: Sequence[str]
) -> Looks:
    """Appends a run's opening of the labels of some targets to the ledger of its data and to that of its runs folder;
    both are on disk when this returns. Call it before the labels are opened.

    A run counts once, however often it is scored: it predicts the same each time. What the runs folder knows of and the
    ledger does not is added first, with a warning.

    Args:
        runs: the folder of the run and of others before it.
        data: a digest of the raw files.
        fingerprint: of the prepared data, as records hold it.
        opening: dataset, protocol, run, and method: a digest of the method's configuration; `dev: true` where
            validation subjects are scored instead of test subjects; `reproduces: ID` where a published run is run
            again, which shows nothing that was not published, and is written down and not counted.

    Raises:
        CheckFailed: a chain is broken. MachineError: a ledger cannot be written.
    """
    mark = hashlib.sha256(b"ledger" + data).hexdigest()[:16]
    home = ledger_home() / mark
    own, known = read_ledger(runs), {_question(entry) for entry in read_ledger(home)}
    same = [e for e in own if e.get("data", mark) == mark and e["dataset"] == opening["dataset"]]
    runs_known = {e["run"] for e in own} | {run for *_, run in known} | {opening["run"]}
    before = [*same, *_of_records(runs, opening["dataset"], fingerprint, runs_known)]
    missing = {_question(e): e for e in before if _question(e) not in known}
    for entry in missing.values():
        append_to_ledger(home, entry)
    if missing:
        what = f"test-set evaluations in {runs} were missing: {len(missing)}; they are counted now"
        warnings.warn(f"{home / LEDGER_FILE}: {what}", stacklevel=2)
    for target in targets:
        for folder in (home, runs):
            append_to_ledger(folder, {**opening, "target": target, "data": mark})
    return _looks(_lines(home), opening["dataset"], opening["protocol"], targets)


def looks_at(chain: str, dataset: str, protocol: str, targets: Sequence[str]) -> Looks | None:
    """The counts of this machine's ledgers when a line of that seal was the last; None where there is no such line."""
    lines = _lines_up_to(chain)
    return None if lines is None else _looks(lines, dataset, protocol, targets)


def methods_at(chain: str, dataset: str, protocol: str, target: str) -> list[tuple[str, str]] | None:
    """(run, method) of the openings that `looks_at` counts for a target; None where there is no such line."""
    lines = _lines_up_to(chain)
    if lines is None:
        return None
    return [
        (entry["run"], json.dumps(entry["method"], sort_keys=True))
        for entry in _counting(lines, dataset, protocol, target)
        if not entry.get("dev")
    ]


def _lines_up_to(chain: str) -> list[dict[str, Any]] | None:
    for path in sorted(ledger_home().glob(f"*/{LEDGER_FILE}")):
        lines = _lines(path.parent)
        at = next((i for i, line in enumerate(lines, 1) if line["hash"] == chain), None)
        if at is not None:
            return lines[:at]
    return None


def ledger_home() -> Path:
    """The folder of all ledgers: `$EMBENCH_CACHE` if set, else where the system keeps a user's data, since caches are
    deleted."""
    chosen = os.environ.get("EMBENCH_CACHE")
    root = Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_data_dir("embench"))
    return root / "ledger"


def append_to_ledger(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The sealed line that was added to the ledger in `folder`, which is on disk when this returns; or the line that
    the same run and target have already.

    Safe when several processes do so at once; a last line that a killed process left half written was never followed
    by an opening, and is dropped.

    Args:
        entry: JSON values; at least dataset, protocol, target, run, and method.

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
            lines = list(_verified(text, path))
            if known := next((line for line in lines if _question(line["entry"]) == _question(entry)), None):
                return known
            previous = lines[-1]["hash"] if lines else _START
            line = {"previous": previous, "entry": dict(entry), "hash": _seal(previous, entry)}
            whole = text[: text.rfind(b"\n") + 1]
            file.truncate(len(whole))
            file.seek(len(whole))
            file.write(json.dumps(line, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    return line


def read_ledger(folder: Path) -> list[dict[str, Any]]:
    """All entries in order, after the chain is verified; none where there is no ledger yet."""
    return [line["entry"] for line in _lines(folder)]


def _lines(folder: Path) -> list[dict[str, Any]]:
    path = Path(folder) / LEDGER_FILE
    return list(_verified(path.read_bytes(), path)) if path.exists() else []


def _looks(lines: Sequence[Mapping[str, Any]], dataset: str, protocol: str, targets: Sequence[str]) -> Looks:
    """The counts over these lines for each target of a dataset under a protocol."""
    openings, tried, dev = {}, {}, {}
    for target in targets:
        own = _counting(lines, dataset, protocol, target)
        tests = [entry for entry in own if not entry.get("dev")]
        openings[target], dev[target] = len(tests), len(own) - len(tests)
        tried[target] = len({json.dumps(entry["method"], sort_keys=True) for entry in tests})
    return Looks(openings, tried, dev, lines[-1]["hash"] if lines else _START)


def _counting(lines: Sequence[Mapping[str, Any]], dataset: str, protocol: str, target: str) -> list[dict[str, Any]]:
    """The looks at a target of a dataset under a protocol and its variants by lag, of which each is another look."""
    from embench.protocols import without_variant  # which imports much more than the start of the program needs

    looks = (line["entry"] for line in lines if "reproduces" not in line["entry"])
    asked = dataset, without_variant(protocol), target
    return [e for e in looks if (e["dataset"], without_variant(e["protocol"]), e["target"]) == asked]


def _question(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return entry["dataset"], entry["protocol"], entry["target"], entry["run"]


def _of_records(runs: Path, dataset: str, fingerprint: str, known: set[str]) -> Iterable[dict[str, Any]]:
    """The looks of runs that lie in a runs folder and are in none of its ledgers."""
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
                "the log of test-set evaluations was changed by hand or damaged",
                where=f"{path}, line {number}",
                expected="the hash of the line before in every line",
                hint="restore the file; or move it away: runs that lie in the runs folder are counted again",
            )
        previous = line["hash"]
        yield line


# Wording of how often test subjects were scored, used everywhere.

BOARDS = Path("leaderboards")


def published_among(run: Manifest, boards: Path = BOARDS) -> int | None:
    """The number of these methods that are entries of the leaderboards in a folder; None where the folder, or the log
    that `run` counts up to, is not on this machine."""
    own = _own_methods(run)
    if own is None or not boards.is_dir():
        return None
    rows = _published(run, boards)
    return len({method for name, method in own if name in rows})


def _own_methods(run: Manifest) -> list[tuple[str, str]] | None:
    """(run, method) that the log of this machine counts; None where the log is not here."""
    if run.ledger is None or not isinstance(run.methods_evaluated, Mapping) or not run.methods_evaluated:
        return None
    target = max(run.methods_evaluated, key=lambda name: run.methods_evaluated[name])  # type: ignore[index]
    return methods_at(run.ledger, run.dataset.name, run.protocol.name, target)


def _published(run: Manifest, boards: Path) -> set[str]:
    """The entries on the same labels of leaderboards in a folder."""
    board = boards / board_name(run.dataset.name) / run.protocol.name
    return {path.parent.name for path in board.glob(f"*/{RUN_FILE}")}


def scored_in_words(run: Manifest) -> str:
    """A clause on how many methods were scored on the test subjects; empty where that was not recorded."""
    tried = run.most_of("methods_evaluated")
    if not tried:
        return ""
    if run.dev:
        return f"{tried} {'method was' if tried == 1 else 'methods were'} scored on these test subjects"
    if tried == 1:
        return "no other method was scored on these test subjects before"
    return f"{tried} methods, including this one, were scored on these test subjects"


def whose_in_words(run: Manifest, boards: Path = BOARDS) -> str:
    """Clauses on whose methods these are. They are those of the people who made the run, some of which may be entries
    of leaderboards; entries of others are told apart. Empty where the log of the run is not here."""
    own, tried = _own_methods(run), run.most_of("methods_evaluated")
    if own is None:
        return "counted by those who published this entry" if run.entry is not None and tried > 1 else ""
    clauses = []
    if tried > 1:
        published = published_among(run, boards) or 0
        entries = "one is an entry" if published == 1 else f"{published} are entries"
        of_these = f", of which {entries} of published leaderboards" if published else ""
        clauses.append(f"all by the authors of this result{of_these}")
    if others := len(_published(run, boards) - {name for name, _ in own}):
        entries = "one entry" if others == 1 else f"{others} entries"
        clauses.append(f"not counted: {entries} that others published on these labels")
    return "; ".join(clauses)


def scored_and_whose(run: Manifest, boards: Path = BOARDS) -> str:
    """The clauses of `scored_in_words` and `whose_in_words` joined; empty where nothing was recorded."""
    return ": ".join(filter(None, [scored_in_words(run), whose_in_words(run, boards)]))
