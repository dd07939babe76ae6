"""`python -m bench.kills`: stop commands at random moments, rerun them, compare all files with an undisturbed run.

Trials that `results.jsonl` holds are not repeated, so that an interrupted series goes on. Every trial has a fresh
folder and an empty cache. `python -m bench.kills 5` runs five trials,
`python -m bench.kills page` writes `results.md`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench import find_commit
from bench.markdown import table

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
DATA = ("--data-root", "../data")
METHOD = ("--dataset", "stress_predict", "--encoder", "handcrafted", "--modalities", "eda", *DATA)
RUN = ("run", *METHOD, "--fusion", "logreg")
BASELINES = ("baselines", "--dataset", "stress_predict", "--baseline-set", "quick-v1", "--modalities", "eda,temp")
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": (*RUN, "--seeds", "0", "--workers", "1"),
    "grid": ("grid", *METHOD, "--fusion", "logreg", "--fusion", "lda", "--seeds", "0", "--workers", "2"),
    "baselines": (*BASELINES, "--seeds", "0", *DATA, "--workers", "2"),
    "score": ("score", "mine.csv", "--dataset", "stress_predict", "--out", "scored", *DATA),
    "predict": ("predict", "RUN", "--dataset", "wearable_stress", "--out", "new.csv", *DATA),
    "data prepare": ("data", "prepare", "stress_predict", *DATA),
    "leaderboard submit": ("leaderboard", "submit", "RUN", "--leaderboards", "boards", *DATA),
    "leaderboard build": ("leaderboard", "build", "--leaderboards", "boards", "--from", "runs", *DATA),
}
"""Command -> its words; `RUN` is the folder of a finished run."""
NEEDS_RUN = ("leaderboard submit", "leaderboard build", "score", "predict")
SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")
ROUNDS = 3
"""Trials of each command with each signal."""
ANSWERED_S = 10.0
CODES = {"SIGINT": (130, -2), "SIGTERM": (143, -15), "SIGKILL": (-9,)}
"""Exit codes of an answer; the negative ones come from Python itself before embench is imported."""
MEASURED = {
    "cost", "cpu_seconds", "created", "date", "energy_j", "finished", "host", "memory_mb", "peak_memory_mb", "pid",
    "processor", "sealed", "seconds", "started", "time", "time_s", "wall_seconds",
}  # fmt: skip
"""Names of fields about time, memory and the process, of which `sealed` is a digest; they always differ."""
UNCOMPARED = re.compile(
    r"(\.|^|/)lock$|\.sqlite(-\w+)?$|^cache/(finished|forecasts)/|^runs/grids/|^runs/stages/\.compared$|methods\.tex$"
)
"""Files without results: locks, the database of file dates, forecasts, notes about progress, and a text with the
measured cost."""


def main() -> None:
    """Run the trials that are missing, or write the page."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    if sys.argv[1:] == ["page"]:
        write_page()
        return
    work, limit = Path(".embench/kills").resolve(), int(sys.argv[1]) if sys.argv[1:] else sys.maxsize
    prepare(work)
    done = {(row["command"], row["signal"], row["round"]) for row in read()}
    trials = itertools.product(COMMANDS, SIGNALS, range(ROUNDS))
    missing = sorted((trial for trial in trials if trial not in done), key=lambda trial: trial[2])
    for trial in missing[:limit]:
        row = stop_once(work, *trial)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def prepare(work: Path) -> None:
    """Write two synthetic datasets, and a finished run on the first."""
    if (work / "PREPARED").exists():
        return
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in ("stress_predict", "wearable_stress"):
        call(work, "data", "synthesize", name, "--out", f"data/{name}", "--subjects", "6")
        (work / "data" / name / "EMBENCH_SYNTHETIC.json").unlink()  # else no leaderboard takes an entry
    (work / "first").mkdir()
    call(work / "first", *RUN, "--workers", "1")  # with the seeds that a leaderboard takes
    (work / "PREPARED").touch()


def call(place: Path, *words: str) -> None:
    """Run a command to its end."""
    process = start(place, words)
    if code := process.wait():
        raise SystemExit(f"{' '.join(words)}: exit code {code}\n{printed(place)[-3000:]}")


def start(place: Path, words: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, with the cache and the log of its folder."""
    run = next(place.glob("runs/stress_predict/*-*"), place)
    own = {"EMBENCH_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    line = [sys.executable, "-m", "embench", *(str(run) if word == "RUN" else word for word in words)]
    with place.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own commands
            line, cwd=place, env=os.environ | own, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def printed(place: Path) -> str:
    """Return what the commands in a folder printed."""
    return place.with_suffix(".log").read_text(encoding="utf-8", errors="replace")


def lay(work: Path, command: str) -> Path:
    """Return a fresh folder with what the command reads. Its path is the same each time, since records contain it."""
    place = work / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.with_suffix(".log").unlink(missing_ok=True)
    place.mkdir()
    if command in NEEDS_RUN:
        shutil.copytree(work / "first" / "runs", place / "runs")
        (predictions,) = place.glob("runs/stress_predict/*/predictions.csv.gz")
        (place / "mine.csv").write_bytes(gzip.decompress(predictions.read_bytes()))
    return place


def reference(work: Path, command: str) -> dict[str, Any]:
    """Return duration and content of an undisturbed run, which is kept for the next trials."""
    kept = work / f"{command.replace(' ', '-')}.json"
    if not kept.exists():
        place, began = lay(work, command), time.monotonic()
        call(place, *COMMANDS[command])
        kept.write_text(json.dumps({"took_s": time.monotonic() - began, "content": content(place)}))
    return dict(json.loads(kept.read_text()))


def stop_once(work: Path, command: str, name: str, number: int) -> dict[str, Any]:
    """Run one trial and return its row. A signal that comes after the end is drawn again, earlier."""
    undisturbed, rng = reference(work, command), random.Random(f"{command} {name} {number}")
    share = rng.random()
    while True:
        place = lay(work, command)
        process, moment = start(place, COMMANDS[command]), share * undisturbed["took_s"]
        time.sleep(moment)
        if process.poll() is None:
            break
        share *= 0.5
    process.send_signal(getattr(signal, name))
    sent = time.monotonic()
    try:
        code: int | None = process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        code = None
        process.kill()
        process.wait()
    answer_s = time.monotonic() - sent
    left = end_session(process.pid)
    said = printed(place)
    odd = "Traceback" in said or code not in CODES[name]
    again = start(place, COMMANDS[command]).wait()
    changed = differences(undisturbed["content"], content(place))
    return {
        "command": command, "signal": name, "round": number, "moment_s": round(moment, 2),
        "undisturbed_s": round(undisturbed["took_s"], 2), "code": code, "answer_s": round(answer_s, 2),
        "left": left, "said": said[-3000:] if odd else "", "code_again": again,
        "files": len(undisturbed["content"]), "differ": changed, **stamp(),
    }  # fmt: skip


def end_session(leader: int) -> int:
    """Wait 10 s for the processes that a command started; end those that stay, and return their number."""
    until = time.monotonic() + ANSWERED_S
    while (members := list(session(leader))) and time.monotonic() < until:
        time.sleep(0.2)
    for process in members:
        process.kill()
    return len(members)


def session(leader: int) -> Iterator[psutil.Process]:
    """Yield the living processes of a session."""
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def content(place: Path) -> dict[str, Any]:
    """Return the content of all files below a folder, without measured fields of documents."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if path.is_file() and not UNCOMPARED.search(name):
            found[name] = read_file(path)
    return found


def read_file(path: Path) -> str:
    """Return the documents of a file without measured fields, or the digest of its bytes."""
    data = path.read_bytes()
    if path.suffix in (".json", ".yaml", ".jsonl"):
        text = data.decode()
        documents = (
            [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else yaml.safe_load(text)
        )
        return json.dumps(without_measured(documents), sort_keys=True, default=str)
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return json.dumps(without_measured(list(csv.DictReader(file))))
    return hashlib.sha256(data).hexdigest()


def without_measured(value: Any) -> Any:
    """Return a document without the fields named in `MEASURED`."""
    if isinstance(value, Mapping):
        return {str(key): without_measured(item) for key, item in value.items() if key not in MEASURED}
    return [without_measured(item) for item in value] if isinstance(value, list) else value


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the names of files that differ, with the first differing text of documents."""
    told = []
    for name in sorted({*expected, *found}):
        old, new = expected.get(name), found.get(name)
        if old is None or new is None:
            told.append(f"{name}: {'new' if old is None else 'missing'}")
        elif old != new:
            at = next((k for k, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), 0)
            told.append(f"{name}: {old[max(at - 60, 0) : at + 40]} | {new[max(at - 10, 0) : at + 40]}")
    return told


def stamp() -> dict[str, str]:
    """Return today's date and the current commit."""
    return {"date": datetime.now().astimezone().date().isoformat(), "commit": find_commit()[:8]}


def read() -> list[dict[str, Any]]:
    """Return the rows of finished trials."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    return [json.loads(line) for line in lines]


def write_page() -> None:
    """Write the results as a table: a line for each command and signal."""
    lines, rows = [], read()
    for command in COMMANDS:
        for name in SIGNALS:
            own = [row for row in rows if (row["command"], row["signal"]) == (command, name)]
            if not own:
                continue
            answered = sum(row["code"] in CODES[name] and row["answer_s"] <= ANSWERED_S for row in own)
            same = sum(not row["differ"] and row["code_again"] == 0 for row in own)
            slowest = "" if name == "SIGKILL" else f"{max(row['answer_s'] for row in own):.1f}"
            left = sum(row["left"] for row in own)
            lines.append([f"`{command}`", name, str(len(own)), str(answered), slowest, str(same), str(left)])
    heads = [
        "command",
        "signal",
        "trials",
        "answered within 10 s",
        "slowest answer, s",
        "same files after a rerun",
        "processes left",
    ]
    dates, commits = sorted({row["date"] for row in rows}), sorted({row["commit"] for row in rows})
    text = HEAD.format(n=len(rows), dates=" and ".join(dates), commits=", ".join(commits))
    (HERE / "results.md").write_text(f"{text}\n{table(heads, lines)}\n", encoding="utf-8")


HEAD = """# Commands stopped at random moments

`python -m bench.kills`: {n} trials, {dates}, at commit {commits}.

Each command runs on a synthetic Stress-Predict of five subjects (six in the last trials), in a
fresh folder with an empty cache. A signal goes to its main process at a random moment. The same command then runs to
its end, and all files are compared with those of an undisturbed run: results, records, stages, entries, tables and
cache. Fields of time and memory, locks, the database of file dates, forecasts and notes about a command's progress are
not compared.

An earlier SIGTERM in `grid` ended with the code of Ctrl-C. The likely cause, an interrupt in the import of a dataclass,
was repeated by a test and mended; the trial was repeated. So were two trials of `leaderboard submit`, whose folder was
not that of the undisturbed run.
"""


if __name__ == "__main__":
    main()
