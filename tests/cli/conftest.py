import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from embench.cli import main
from embench.records.scores import Scores
from embench.statistics.result import Result


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def embench(capsys):
    """Runs a command line in this process."""

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def program():
    """Runs a command line as a program of its own, whose stdout is no terminal."""

    def call(*arguments):
        code = "import sys; from embench.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def runner(monkeypatch):
    """Stands in for `embench.run`: keeps what it is asked, and answers with a small result."""
    from embench.runs import run as module

    requested = []

    class Plan:
        def __init__(self, request):
            self.request = request

        def describe(self):
            return {"dataset": self.request.dataset, "folds": [{"seed": 0, "test": 4}], "expected_s": 1.5}

    def result(request):
        return a_result(id_=f"{'+'.join(request.encoders)}-{request.fusion}")

    def run(request, progress=None, **_):
        requested.append(request)
        progress({"event": "plan", "total": 1, "done": 0})
        print("printed by a plugin")
        return result(request)

    def grid(requests, **_):
        requested.extend(requests)
        return module.GridResult(tuple(map(result, requests)))

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "grid", grid)
    monkeypatch.setattr(module, "make", lambda request, _=None: requested.append(request) or Plan(request))
    return requested


NUMBER = {"mean": 0.612, "std": 0.05, "low": 0.55, "high": 0.674}
SCORES = {
    "primary_metrics": {"arousal": "auroc_within"},
    "scores": {
        "arousal": {"auroc": {**NUMBER, "mean": 0.6}, "auroc_within": NUMBER, "mcc": {"undefined": "one class"}}
    },
    "confound_only": {
        "majority": {"arousal": {"auroc_within": {"mean": 0.5, "std": 0.0, "low": 0.5, "high": 0.5}}},
        "elapsed_time": {"arousal": {"auroc_within": {**NUMBER, "mean": 0.7}}},
        "movement": {"arousal": {"undefined": "there is no accelerometer"}},
    },
}


def a_result(scores=SCORES, *, id_="r", synthetic=True):
    """A run that was scored."""
    manifest = {
        "id": id_,
        "dataset": {"name": "embench_plugins/amigos", "synthetic": {} if synthetic else None},
        "protocol": {"name": "subject-independent-v4", "leaks": False},
        "cohort": {"design": "free", "subjects": 12},
        "method": {
            "encoders": {"eda": "embench_plugins/cnn_tf"},
            "fusion": "embench_plugins/late",
            "modalities": ["eda"],
            "pretrainers": [],
        },
        "recipe": {"preset": "quick", "settings": []},
        "config": {"label_subjects": None, "drop": []},
        "cost": {"wall_seconds": 90.0, "parameters": 1000},
    }
    return Result(id_, Path("runs/amigos/r"), manifest, Scores(scores))
