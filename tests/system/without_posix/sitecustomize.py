"""Python imports this before anything else where this folder is on its path, in worker processes too: what Windows or
macOS lack is taken away from all but psutil and filelock, which do without it there."""

import os
import sys

import filelock  # noqa: F401
import psutil  # noqa: F401


def _no_proc(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals["__name__"].partition(".")[0] in ("io", "pathlib"):
            frame = frame.f_back
        if frame.f_globals["__name__"].startswith("embench"):
            raise FileNotFoundError(2, "there is no /proc here", arguments[0])


sys.modules["fcntl"] = sys.modules["resource"] = None  # type: ignore[assignment]  # importing them fails
del os.sched_getaffinity
sys.addaudithook(_no_proc)
