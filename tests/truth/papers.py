"""The sets of the papers, whole, on synthetic people: interrupted twice, they end with the same bytes, and each printed
number stands beside what was obtained or the reason why nothing was. `python -m tests.truth.papers PAPER DATASET`
prints the table, and what was done, failed and took how long; without arguments, those of all.
"""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PEOPLE = {
    "amigos": ("--subjects", "4", "--length-s", "20", "--videos"),
    "deap": ("--subjects", "4", "--length-s", "30"),
    "k_emocon": ("--subjects", "6", "--length-s", "120"),  # recorded in pairs
    "wesad": ("--subjects", "4", "--length-s", "200"),
    "case": ("--subjects", "4", "--length-s", "640"),
    "corpus": ("--subjects", "3", "--length-s", "30"),
}
"""Dataset -> how many people, recorded for how long."""
PAPERS = {
    "vazquez2022": ("amigos/all", "amigos"),
    "strizhkova2024": ("amigos", "deap"),
    "woo2023": ("amigos",),
    "wu2023": ("k_emocon", "wesad", "case"),
}
"""Paper -> the datasets of its set."""
BESIDE = {"vazquez2022": ("corpus",), "strizhkova2024": ("amigos", "deap")}
"""Paper -> the data that its rows pretrain on."""
MOMENTS = ((0.3, signal.SIGINT), (0.7, signal.SIGKILL))
"""After which share of the stages a process gets which signal: between two stages, and in the midst of one."""
CODES = {signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}
ENDED = (0, 6)
"""The exit codes of a set that came to its end, with all rows or with rows that failed."""
APART = ("result.json", "run.yaml", "methods.tex", "lock", "events.jsonl", "error.txt")
MEASURED = {"time_s", "memory_mb", "energy_j", "openings", "methods_evaluated"}
"""Files and columns of tables that tell of time and memory, or how many methods were scored before: rows that take
equally long are run in any order."""


class PaperSet(NamedTuple):
    """The set of a paper on people in the folder `data`, run in a folder and with a cache of its own."""

    paper: str
    dataset: str
    data: Path
    place: Path

    @property
    def runs(self) -> Path:
        return self.place / "runs"

    @property
    def log(self) -> str:
        return self.place.with_suffix(".log").read_text(encoding="utf-8")

    def start(self) -> subprocess.Popen[bytes]:
        self.place.mkdir(exist_ok=True, parents=True)
        line = [
            "baselines",
            "--baseline-set",
            f"paper-{self.paper}",
            "--dataset",
            self.dataset,
            "--data-root",
            str(self.data),
        ]
        line += ["--runs", "runs", "--recipe", "quick", "--seeds", "0", "--device", "cpu", "--workers", "1"]
        # Nothing is fetched: what starts from published weights does not fit, and its rows say so.
        own = {"EMBENCH_CACHE": str(self.place / "cache"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with self.place.with_suffix(".log").open("ab") as log:
            command = [sys.executable, "-m", "embench", *line]
            return subprocess.Popen(command, cwd=self.place, env=os.environ | own, stdout=log, stderr=log)

    def whole(self) -> int:
        """Runs it to its end, or goes on; returns the exit code."""
        code = self.start().wait()
        assert code in ENDED, self.log[-4000:]
        return code

    def interrupted(self, stages: int) -> None:
        """Starts it as often as there are moments in `stages` stages, each time until one comes."""
        for share, number in MOMENTS:
            process = self.start()
            while process.poll() is None and not self._has_come(share * stages, number):
                time.sleep(0.05)
            process.send_signal(number)
            code = process.wait()
            assert code == CODES[number], f"ended with {code} before it was stopped: {self.log[-4000:]}"

    def _has_come(self, stages: float, number: int) -> bool:
        written, begun = len(self.written()), len(list(self.runs.glob("stages/*/stage.json")))
        late = written >= 1.2 * stages  # stages can be too short to be caught in one
        return written >= stages and (number == signal.SIGINT or written < begun or late)

    def written(self) -> dict[Path, int]:
        """The stages that have come to their end, with the time at which each did."""
        return {path: path.stat().st_mtime_ns for path in self.runs.glob("stages/*/result.json")}

    def content(self) -> dict[str, bytes]:
        """Every file of stages, runs, failures and boards, and the page."""
        found = {path.relative_to(self.runs): path for path in self.runs.rglob("*") if path.is_file()}
        return {
            str(name): without_measured(path) if name.name == "table.csv" else path.read_bytes()
            for name, path in found.items()
            if len(name.parts) > 1 and name.parts[0] != "grids" and name.name not in APART
            if not any(part.startswith(".") for part in name.parts)
        }

    @property
    def page(self) -> Path:
        (path,) = self.runs.glob(f"*/{self.paper}.md")
        return path

    def told(self) -> Iterator[str]:
        """The paper's numbers beside what was obtained, and the rows that are missing or do not fit, with reasons."""
        yield section(self.page.read_text(encoding="utf-8"), "Tables")
        (readme,) = self.runs.glob("boards/*/README.md")
        text = readme.read_text(encoding="utf-8")
        yield next(line for line in text.splitlines() if line.startswith("**"))
        yield from (f"{title}\n{lines}" for title in UNFINISHED if (lines := section(text, title)))


UNFINISHED = ("Rows that are missing", "Rows that do not fit")


def section(page: str, title: str) -> str:
    """The lines below a heading, up to the next."""
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0].strip()


def without_measured(table: Path) -> bytes:
    """The rows of a CSV file without the columns that may differ."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [{name: text for name, text in row.items() if name not in MEASURED} for row in csv.DictReader(file)]
    return repr(rows).encode()


def numbers_without_reason(page: str) -> list[str]:
    """The lines of a page's table with a cell in which nothing stands, or `-` alone."""
    rows = [line for line in section(page, "Tables").splitlines() if line.startswith("|")][2:]
    return [row for row in rows if {"", "-", "\\-"} & {cell.strip() for cell in row.strip("|").split("|")}]


def proved(found: PaperSet) -> str:
    """Runs a set without a break and with two, holds the files against each other, and returns what it took."""
    used, began = cpu_s(), time.monotonic()
    code = found.whole()
    took = f"{(time.monotonic() - began) / 60:.1f} min, {(cpu_s() - used) / 60:.1f} min of a processor"
    broken = found._replace(place=found.place.with_name("broken"))
    broken.interrupted(len(found.written()))
    before = broken.written()
    assert broken.whole() == code
    assert before.items() <= broken.written().items(), "a stage that had come to its end was run again"
    expected, content = found.content(), broken.content()
    differ = [name for name in sorted({*expected, *content}) if expected.get(name) != content.get(name)]
    assert not differ, f"{len(differ)} of {len(expected)} files differ: {', '.join(differ[:20])}"
    assert not (lacking := numbers_without_reason(found.page.read_text(encoding="utf-8"))), lacking
    stages = f"broken off twice before {len(before)} of {len(found.written())} stages"
    return f"{took}; {stages}; {len(expected)} files alike"


def cpu_s() -> float:
    """The processor time of the processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def main(paper: str | None = None, *datasets: str) -> int:
    """Proves the sets of all papers, or of one, on all of its datasets or some, and prints their tables."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells ignore in what they run in the background
    for each in [paper] if paper else PAPERS:
        with tempfile.TemporaryDirectory() as folder:
            data, chosen = Path(folder) / "data", datasets or PAPERS[each]
            for name in sorted({*(name.partition("/")[0] for name in chosen), *BESIDE.get(each, ())}):
                line = ["data", "synthesize", name, "--out", str(data / name), *PEOPLE[name]]
                subprocess.run([sys.executable, "-m", "embench", *line], check=True, capture_output=True)
            for dataset in chosen:
                found = PaperSet(each, dataset, data, Path(folder) / dataset.replace("/", "-") / "whole")
                told = f"{each} on {dataset}: {proved(found)}"
                print(f"# {each} on {dataset}", *found.told(), told, sep="\n\n", end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
