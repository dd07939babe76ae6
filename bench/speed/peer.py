"""torcheeg in an environment of its own: a process that waits for jobs, so that its turns lie between ours."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench.speed.measure import Took, Way

NAME = "torcheeg 1.1.3"
SERVER = Path(__file__).with_name("peer_server.py")


class Peer(AbstractContextManager["Peer"]):
    """`missing` says why there is no peer; then its ways are None, and rows are ours alone. `told` are its versions."""

    def __init__(self, python: Path) -> None:
        self.missing, self.told = "", dict[str, Any]()
        self._process: subprocess.Popen[str] | None = None
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # a pipe that nobody reads would fill up
        if not python.is_file():
            self.missing = f"{NAME} is not installed ({python})"
            return
        self._process = subprocess.Popen(  # noqa: S603  # our own script
            [python, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        try:
            self.told = self._answer()
        except RuntimeError as error:
            self.missing, self._process = f"{NAME} does not start: {error}", None

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.communicate()
        self._log.close()

    def ask(self, job: str, **arguments: Any) -> dict[str, Any]:
        """Result of a job of `peer_server.py`. Raises RuntimeError where it failed."""
        assert self._process, self.missing  # noqa: S101  # callers ask only where there is a peer
        assert self._process.stdin  # noqa: S101  # it has a pipe
        self._process.stdin.write(json.dumps({"job": job, **arguments}, default=str) + "\n")
        self._process.stdin.flush()
        found = self._answer()
        if "error" in found:
            raise RuntimeError(f"{NAME}, {job}: {found['error']}")
        return found

    def way(self, job: str, arguments: Callable[[], dict[str, Any]]) -> Way | None:
        """A job with new arguments each turn, for `measure.turns`; None where there is no peer."""

        def way() -> Took:
            found = self.ask(job, **arguments())
            return Took(found["seconds"], found["processor"])

        return None if self.missing else way

    def _answer(self) -> dict[str, Any]:
        assert self._process and self._process.stdout  # noqa: S101, PT018  # it has pipes
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise RuntimeError((self._log.read().splitlines() or ["it ended"])[-1])
        found: dict[str, Any] = json.loads(line)
        return found
