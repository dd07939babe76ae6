"""Running the small datasets: requests with little to train, and the command line in this process."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from embench import system
from embench.cli import main
from embench.planning.plan import make
from embench.planning.request import Request
from embench.runs.run import run

from .world import plugin


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Bench:
    """A folder of data and one of runs, and what is asked of them, by default under a `protocol`."""

    def __init__(self, data: Path, runs: Path, dataset: str = "Tiny", protocol: str = Request.protocol) -> None:
        self.data, self.runs, self.dataset, self.protocol = data, runs, dataset, protocol

    def request(self, encoder="Pool", **options) -> Request:
        encoders = (encoder,) if isinstance(encoder, str) else encoder
        named = tuple(map(encoder_name, encoders))
        arguments = {"recipe": "quick", "seeds": "0", "targets": "arousal", "device": "cpu", "workers": 1}
        arguments |= {"protocol": self.protocol, **options}
        for key in ("fusion", "protocol"):
            if arguments.get(key, "").startswith("Fragile"):
                arguments[key] = plugin(arguments[key])
        return Request(plugin(self.dataset), encoders=named, data_root=self.data, runs=self.runs, **arguments)

    def plan(self, encoder="Pool", **options):
        return make(self.request(encoder, **options))

    def run(self, encoder="Pool", **options):
        return run(self.request(encoder, **options))

    def line(self, *arguments: str, encoder: str | None = "Pool", dataset: str | None = None) -> list[str]:
        """The arguments of `embench run` for this bench."""
        own = ["run", "--dataset", dataset or plugin(self.dataset), "--data-root", str(self.data)]
        own += ["--runs", str(self.runs), "--recipe", "quick", "--seeds", "0", "--device", "cpu", "--workers", "1"]
        if "--protocol" not in arguments:
            own += ["--protocol", self.protocol]
        if encoder:
            own += ["--encoder", encoder_name(encoder)]
        return [*own, *map(str, arguments)]

    def stages(self) -> set[str]:
        found = {path.parent for path in (self.runs / "stages").glob("*/result.json")}
        return {folder.name for folder in found if folder.suffix != ".damaged"}


BUNDLED = ("handcrafted", "cnn_tf", "mantis")


def encoder_name(name: str) -> str:
    """A class of the small plugins, unless it is bundled or of another file."""
    return name if name in BUNDLED else plugin(name)


def command(capsys, *arguments) -> Done:
    code = main([str(argument) for argument in arguments])
    return Done(code, *capsys.readouterr())


def start_apart(
    arguments: list[str], out: Path, changes: Mapping[str, str] | None = None, first: Callable[[], object] = bool
) -> BaseProcess:
    """A command line in a process of its own, which may be killed: a copy of the one that workers are copies of, so
    that it is there at once, where a Python anew imports for seconds.

    Args:
        out: the file that gets what it prints.
        changes: variables of its environment that differ from this one's.
        first: is called there before.
    """
    copies, environment = multiprocessing.get_context("forkserver"), {**os.environ, **(changes or {})}
    copies.set_forkserver_preload(["embench.engine.work", "embench.testing"])  # where this is the first of all
    with system.without_main_module():
        process = copies.Process(target=_run, args=(arguments, out, environment, first))
        process.start()
    return process


def _run(arguments: list[str], out: Path, environment: Mapping[str, str], first: Callable[[], object]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with out.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    first()
    sys.exit(main(arguments))
