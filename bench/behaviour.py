"""Records what the harness does, so that two commits can be held against each other byte by byte.

`python bench/behaviour.py record OUT --work WORK` writes a file a thing into OUT: identities, plans, rescored entries,
boards and reports, what every command prints, small runs, errors; which, says `behaviour.yaml`. `compare A B` says
which files differ, and exits with 1 where any does. For changes that are to change nothing.

Record both sides on one machine with one WORK: the synthetic data lie there, made by whichever comes first. Paths,
times and memory are masked while recording. `compare --mask-datasets` is for changes that move the readers' code: it
also hides the datasets' identities, and puts numbers in place of the ids that follow from them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from difflib import unified_diff
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import rescore
import typer
import yaml

from embench import protocols, registry
from embench.cli import app, main
from embench.files import digest
from embench.planning.plan import make
from embench.planning.request import Request
from embench.records.record import read_record
from embench.records.schema_1 import scoring_of, written_scores

PROGRAM = "import sys; from embench.cli import main; sys.exit(main())"
BOARDS, ROOT = rescore.BOARDS, rescore.BOARDS.parent
THINGS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
ENTRIES = [BOARDS / entry for entry in THINGS["entries"]]

MASKS = [  # what differs from one time to the next, and what stands for it; by what words it is found
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?[.\d]*(Z|[+-]\d\d:?\d\d)?", "<time>"),
    (r'("?(?:wall_s|cpu_s|gpu_s|peak_memory_mb|energy_j|expected_s|nuisances_s)"?: )[\d.e+-]+', r"\1<cost>"),
    (r", about [\d.]+ (s|min|h)( left| \([^)]*\))?", ""),
    (r"(?m)^sealed: [0-9a-f]{64}$", "sealed: <with its times>"),
    (r"(<dt>(?:(?:CPU |GPU )?time|memory)</dt><dd>)[^<]*", r"\1<cost>"),
    (r"(?m)^(preparing|pretraining|training|fitting|predicting|confound analysis:) .*\n", ""),
]
HEX = r"(?<=-)[0-9a-f]{10}\b|(?<![\w.])(?=\d*[a-f])[0-9a-f]{16,64}\b"
"""Ids of runs, and other hashes."""
UNMASKED = ("boards", "rescored", "protocols")
"""Parts in which no id follows from a reader's code on this machine."""
DRAWN = r"runs/(network|pretrain)\b(?!/below|/files)"
"""Files with numbers that a stage's id seeds: with other ids they are others."""


class Recording:
    """A folder that is filled, file by file, with what was masked."""

    def __init__(self, out: Path, work: Path) -> None:
        self.out, self.data, self.scratch = out, work / "data", work / "scratch"
        places = {"scratch": self.scratch, "data": self.data, "root": ROOT, "python": Path(sys.prefix)}
        self.places = {str(path): f"<{name}>" for name, path in places.items()}

    def masked(self, text: str) -> str:
        plain = text
        for path, name in self.places.items():
            plain = plain.replace(path, name)
        if plain != text:  # a path's length has moved what stands in columns
            plain = re.sub(r"-{3,}", "---", re.sub(r"(?<=\S) {2,}", "  ", plain))
        for pattern, name in MASKS:
            plain = re.sub(pattern, name, plain)
        return plain

    def keep(self, name: str, text: str) -> None:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.masked(text), encoding="utf-8")

    def keep_folder(self, name: str, folder: Path) -> None:
        """All files of text below a folder, and the names of all."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in files:
            if path.suffix in (".json", ".yaml", ".csv", ".md", ".html", ".svg", ".gz"):
                content = path.read_bytes()
                text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
                self.keep(f"{name}/{path.relative_to(folder)}", text)
        self.keep(f"{name}/files.txt", "".join(f"{path.relative_to(folder)}\n" for path in files))

    def run(self, name: str, line: str) -> str:
        """Runs a command line in a folder of its own; keeps exit code, stdout and stderr. Returns stdout."""
        words = line.replace("{quick}", THINGS["quick"]).split()
        words = [word.format(*ENTRIES, data=self.data, boards=BOARDS) for word in words]
        folder = self.scratch / "at" / name
        folder.mkdir(parents=True)
        for file, text in THINGS["files"].items():
            (folder / file).write_text(text)
        (folder / "damaged").symlink_to(self.scratch / "damaged")
        if name.endswith("leaderboard-build"):
            shutil.copytree(BOARDS, folder / "built", ignore=shutil.ignore_patterns("README.md"))
        out, err = folder / "stdout", folder / "stderr"
        code = (apart if name.startswith("runs/") else forked)(words, folder, out, err)
        stdout = out.read_text()
        self.keep(f"{name}.txt", f"$ embench {line}\nexit code {code}\n-- stdout\n{stdout}-- stderr\n{err.read_text()}")
        return stdout


def apart(words: list[str], folder: Path, out: Path, err: Path) -> int:
    """Runs a command line in a new process; what trains needs one."""
    with out.open("w") as stdout, err.open("w") as stderr:
        line = [sys.executable, "-c", PROGRAM, *words]
        return subprocess.run(line, cwd=folder, stdout=stdout, stderr=stderr, check=False).returncode  # noqa: S603


def forked(words: list[str], folder: Path, out: Path, err: Path) -> int:
    """Runs a command line in a copy of this process, which has imported everything already."""
    child = get_context("fork").Process(target=_command, args=(words, folder, out, err))
    child.start()
    child.join()
    return child.exitcode or 0


def _command(words: list[str], folder: Path, out: Path, err: Path) -> None:
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.exit(main(words))


def identities(to: Recording) -> None:
    entries = sorted({(e.kind, e.full_name) for e in registry.entries()})
    lines = [f"{kind} {name}: {registry.code_identity(kind, name)}" for kind, name in entries]
    to.keep("identities.txt", "\n".join(lines) + "\n")
    names = sorted(path.stem for path in Path(protocols.__file__).parent.glob("*.yaml"))
    to.keep("protocols.txt", "".join(f"{name}: {protocols.load_protocol(name).hash}\n" for name in names))


def plans(to: Recording) -> None:
    for name, options in THINGS["plans"].items():
        arguments = {**THINGS["every_plan"], "data_root": to.data, "runs": to.scratch / "runs", **options}
        for key in ("encoders", "pretrainers", "settings"):
            arguments[key] = tuple(text.format(data=to.data) for text in arguments.get(key, ()))
        described = json.dumps(plan(Request(**arguments)), indent=1, sort_keys=True, default=str, ensure_ascii=False)
        to.keep(f"plans/{name}.json", described + "\n")


def plan(request: Request) -> dict[str, Any]:
    made = make(request)
    stages = [
        {
            "id": s.id, "kind": s.kind, "title": s.title, "about": dict(s.description), "inputs": dict(s.inputs),
            "params": s.params.plain(), "task": {key: f"task:{digest(value)}" for key, value in s.task.items()},
        }
        for s in made.graph.stages.values()
    ]  # fmt: skip
    return {
        "run": made.id, "folder": str(made.folder), "title": made.method.title, "joins": made.method.joins,
        "overlap": made.overlap, "config": made.config, "describe": made.describe(), "people": made.test.subjects,
        "trained_on": made.fit.subjects, "groups": made.test.groups, "units": [str(u) for u in made.test.units],
        "positions": made.test.positions, "folds": {seed: [str(f) for f in some] for seed, some in made.folds.items()},
        "answers": [str(prediction) for prediction in made.graph.predictions], "stages": stages,
    }  # fmt: skip


def rescored(to: Recording, entry: Path) -> None:
    copy = to.scratch / "rescored" / "protocol" / entry.name
    shutil.copytree(entry, copy)
    to.keep(f"rescored/{entry.name}.txt", "\n".join(rescore.rescore(copy)) + "\n")
    known = read_record(copy)
    scores = written_scores(known.scores, scoring_of(known.run))
    to.keep(f"rescored/{entry.name}.json", json.dumps(scores, indent=1))


def runs(to: Recording) -> None:
    """Small runs, one after the other for they share a cache, and what can be done with one."""
    for name, line in THINGS["runs"].items():
        folder = Path(json.loads(to.run(f"runs/{name}", f"{line} --runs {to.scratch}/made/{name} --json"))["folder"])
        to.keep_folder(f"runs/{name}", folder)
        made = to.scratch / "made" / name
        count = Counter(re.sub(HEX, "<id>", str(p.relative_to(made))) for p in made.rglob("*"))
        to.keep(f"runs/{name}/below.txt", "".join(f"{n} x {path}\n" for path, n in sorted(count.items())))
        if name == "estimator":
            to.run("runs/score", f"score {folder}/predictions.csv.gz --dataset amigos --name mine --out scored --json")
            to.keep_folder("runs/score", to.scratch / "at/runs/score/scored")
            to.run("runs/audit", f"audit {folder} --json")
            to.run("runs/report", f"report {folder} --out report.html")
            to.keep("runs/report.html", (to.scratch / "at/runs/report/report.html").read_text())
    start = f"--pretrained {folder} --modalities ecg --encoder cnn_tf --seeds 0"
    to.run("runs/pretrained", f"run {{quick}} {start} --dry-run --json")


def command(to: Recording, name: str, line: str) -> None:
    to.run(name, line)
    for made in ("built", "report-0.html", "report-1.html", "report-2.html", "labels.svg", "units.csv"):
        path = to.scratch / "at" / name / made
        for file in sorted(path.rglob("*.md")):
            to.keep(f"boards/{file.relative_to(path)}", file.read_text())
        if path.is_file():
            to.keep(f"{name}-{made}", path.read_text())


def lines() -> Iterator[tuple[str, str]]:
    """Every command line that stands by itself, and the name of its output."""
    for kind in ("commands", "faults"):
        yield from ((f"{kind}/{name}", line) for name, line in THINGS[kind].items())
    yield from ((f"info/{e.kind}-{e.name.replace('/', '-')}", f"info {e.name}") for e in registry.entries())
    waiting: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while waiting:
        path, of = waiting.pop()
        yield f"help/{'-'.join(('embench', *path))}", " ".join((*path, "--help"))
        waiting += [((*path, name), below) for name, below in getattr(of, "commands", {}).items()]


def record(out: Path, work: Path) -> None:
    to, began = Recording(out, work), time.monotonic()
    os.environ |= {"COLUMNS": "120", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    os.environ |= {"EMBENCH_DATA": str(to.data), "EMBENCH_CACHE": str(to.scratch / "cache")}
    shutil.rmtree(to.scratch, ignore_errors=True)
    to.scratch.mkdir(parents=True)
    for name, (n_subjects, seconds) in THINGS["data"].items():
        if not (to.data / name).is_dir():
            line = f"data synthesize {name} --out {to.data}/{name} --subjects {n_subjects} --length-s {seconds}"
            to.run(f"synthesize/{name}", line)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(to.data / "stress_predict", to.scratch / "damaged" / "stress_predict")
    for file in sorted((to.scratch / "damaged").rglob("*.csv"))[:3]:
        file.write_bytes(file.read_bytes()[:40])
    for shared in BOARDS.glob("*/shared"):
        shutil.copytree(shared, to.scratch / "rescored" / "shared", dirs_exist_ok=True)
    entries = sorted(path.parent for path in BOARDS.glob("*/*/*/predictions.npz"))  # whose labels are public
    jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(plans, ()), (runs, ()), (identities, ())]
    jobs += [(rescored, (entry,)) for entry in entries] + [(command, each) for each in lines()]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(do, to, *arguments) for do, arguments in jobs]
        for each in waiting:
            each.result()
    shutil.rmtree(to.scratch)
    print(f"{out}: {len(texts(out))} files in {time.monotonic() - began:.0f} s")


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


def without_datasets(found: Mapping[str, str]) -> dict[str, str]:
    """A recording without the datasets' identities, and with numbers, in the order of a file, for what follows from
    them: every hash but the identities of other plugins, the protocols' and those of arrays."""
    own = [line for line in found["identities.txt"].splitlines() if not line.startswith("dataset ")]
    stay = {hash_ for text in (*own, found["protocols.txt"]) for hash_ in re.findall(r"[0-9a-f]{16,}", text)}
    made = {"identities.txt": "\n".join(own)}
    for name, text in found.items():
        if name.startswith(UNMASKED):
            made[name] = text
        elif name not in made and not re.match(DRAWN, name):
            made[name] = re.sub(HEX, _numbered(stay, {}), text)
    return made


def _numbered(stay: set[str], numbers: dict[str, str]) -> Callable[[re.Match[str]], str]:
    def number(match: re.Match[str]) -> str:
        of_array = match.string.startswith("task:", match.start() - len("task:"))
        return match[0] if of_array or match[0] in stay else numbers.setdefault(match[0], f"<id {len(numbers) + 1}>")

    return number


def compare(one: Path, other: Path, mask_datasets: bool, shown: int = 12) -> int:
    a, b = ((without_datasets if mask_datasets else dict)(texts(folder)) for folder in (one, other))
    differ = [name for name in sorted({*a, *b}) if a.get(name) != b.get(name)]
    for name in differ:
        print(f"differs: {name}" if name in a and name in b else f"only in {one if name in a else other}: {name}")
        if name in a and name in b:
            lines = unified_diff(a[name].splitlines(), b[name].splitlines(), "one", "other", lineterm="", n=0)
            print("".join(f"    {line[:300]}\n" for line in list(lines)[2 : 2 + shown]), end="")
    print(f"{len(differ)} of {len({*a, *b})} files differ" if differ else f"no difference in {len(a)} files")
    return int(bool(differ))


def begin() -> int:
    parser = argparse.ArgumentParser(description="Record what the harness does, and compare two recordings.")
    commands = parser.add_subparsers(dest="do", required=True)
    recording = commands.add_parser("record", help="write what this commit does into OUT")
    recording.add_argument("out", type=Path)
    recording.add_argument("--work", type=Path, required=True, help="folder of the synthetic data, the same for both")
    comparing = commands.add_parser("compare", help="say which files differ; exit 1 where any does")
    comparing.add_argument("a", type=Path)
    comparing.add_argument("b", type=Path)
    comparing.add_argument("--mask-datasets", action="store_true", help="but for the readers' identities")
    arguments = parser.parse_args()
    if arguments.do == "compare":
        return compare(arguments.a, arguments.b, arguments.mask_datasets)
    record(arguments.out.resolve(), arguments.work.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(begin())
