"""The machine: processes, locks, versions of libraries, and callbacks that follow long work."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import platform
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from embench.errors import MachineError, WorkerKilled

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing.process import BaseProcess

    from threadpoolctl import ThreadpoolController


# Services of the machine: locks, cores, memory, worker processes, versions of libraries. Linux, macOS and Windows
# differ in these; nothing else in the harness may care.

_T = TypeVar("_T")
_OWN = Path("/proc/self")
"""Linux's view of this process."""
LEASE = ".lease"
"""Suffix of a file that serves as a lock where the file system has none."""
LEASE_S = 60.0
"""Seconds without a sign of life after which another machine takes over what such a file protects."""
_NO_MEMORY = re.compile(r"out of memory|not enough memory|(?i:can(?:no|')t allocate memory)|_ALLOC_FAILED")
"""Messages of torch and the libraries of a GPU, which have a class of errors for some cases only."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds a lock on the file `path`, which is made where it is missing and may stay. The system lets go of it when
    this process ends, however it ends.

    A disk without locks, as some network disks are, gets a lease instead: a file beside `path` with the machine and the
    process that hold it, touched every few seconds. Another machine takes it over `LEASE_S` after the last touch, and
    the same machine as soon as the process is gone. So a process that was stopped for longer may find that another
    works beside it: what a lease protects has to be written whole, and the same whoever writes it.

    Yields:
        Whether it is held: False only where another process has it and this one does not wait.

    Raises:
        OSError: the file cannot be written.
    """
    from filelock import FileLock, SoftFileLease, Timeout

    timeout = -1 if wait else 0
    # filelock's own replacement would outlive a process that is killed on another machine.
    lock: FileLock | SoftFileLease = FileLock(path, timeout=timeout, fallback_to_soft=False)
    try:
        try:
            lock.acquire()
        except OSError as error:
            if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
                raise
            lease = path.with_name(f".{path.name.removeprefix('.')}{LEASE}")
            lock = SoftFileLease(lease, lease_duration=LEASE_S, timeout=timeout, poll_interval=0.2)
            lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def others_can_write(path: Path) -> bool:
    """True if a file or folder is another user's, or can be written by one; False where the system has no such
    permissions."""
    status = path.stat()
    return hasattr(os, "getuid") and (status.st_uid != os.getuid() or bool(status.st_mode & 0o022))


@cache
def process_start_s() -> float:
    """Start of this process, in s of the clock by which files are dated."""
    import psutil

    return float(psutil.Process().create_time())


def cores() -> int:
    """Number of processors that this process may use."""
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        return len(process.cpu_affinity())
    return psutil.cpu_count() or 1


def limited_threads(count: int) -> AbstractContextManager[object]:
    """Limits numerical libraries (BLAS, OpenMP) to `count` threads each, for the duration of the context."""
    return _numerical_libraries(len(sys.modules)).limit(limits=count)


@lru_cache(maxsize=1)
def _numerical_libraries(_: int) -> ThreadpoolController:
    """The loaded numerical libraries; finding them takes 3 ms, and another one comes with a module."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def free_memory() -> int:
    """Bytes of memory that the machine can still give."""
    import psutil

    return int(psutil.virtual_memory().available)


def out_of_memory(error: BaseException) -> bool:
    """True if an error says that memory of the machine or of a GPU was exhausted."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))


def reset_peak_memory() -> None:
    """Restarts the measurement of peak memory, where the system can do that: on Linux."""
    with contextlib.suppress(OSError):
        (_OWN / "clear_refs").write_text("5")


def peak_memory() -> int:
    """The highest memory use of this process in bytes, since the last reset or since it started."""
    with contextlib.suppress(OSError):
        for line in (_OWN / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        import psutil

        used = psutil.Process().memory_info()
        return int(getattr(used, "peak_wset", used.rss))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@cache
def version_of(distribution: str) -> str:
    """The installed version of a library; `absent` where it is not there, as in the light installation."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


@cache
def processor_name() -> str:
    """The name of this machine's processor, such as `AMD EPYC 7R13`."""
    try:  # platform.processor() is empty on Linux
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


_TO_TRAIN = {"cloudpickle", "cv2", "neurokit2", "safetensors", "timm", "torch", "torchvision", "transformers"}
_ALONE = {"huggingface_hub", "matplotlib", "requests"}
"""Libraries of the whole installation that `requirements-score.txt` leaves out: together they train, or each serves a
command."""
INSTALL_TRAINING = (
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu && pip install . "
    "in a clone of embench (with a GPU, without --index-url)"
)


def not_installed(library: str, needed_by: str, hint: str | None = None) -> MachineError:
    """The error where a library is missing; the hint is to install it by its own name, unless another is given."""
    return MachineError(f"{library} is not installed, and {needed_by} needs it", hint=hint or f"pip install {library}")


def lacking(error: BaseException, needed_by: str = "this command") -> MachineError | None:
    """The error of an import that failed because this is the light installation; None for any other fault."""
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if library not in _TO_TRAIN | _ALONE:
        return None
    return not_installed(library, needed_by, INSTALL_TRAINING if library in _TO_TRAIN else None)


def begin_worker() -> None:
    """Prepares a worker: it ends when its parent asks it to or is gone, however that died. An interrupt, which a
    terminal sends to all processes, is handled by the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a copy has what its parent made of it
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    # A killed parent cannot stop its workers; left alone, they would wait for work for ever.
    parent, pid = multiprocessing.parent_process(), os.getppid()
    if parent is None:
        return
    try:
        parent.join()
    except ValueError:  # joblib's workers have nothing to wait for: they are its children
        while os.getppid() == pid:
            time.sleep(1)
    os._exit(1)


WORKERS_START_S = 5.0
"""Seconds that workers need to start, and to import what they compute with."""


def workers_pay(took: Sequence[float], left: int, workers: int) -> bool:
    """True if `workers` processes would save time on `left` items, of which this one has done some: `took`, the
    processor time of each in s. The slowest one does not count, since it waited for imports."""
    if workers <= 1 or len(took) < 2:
        return False
    each = (sum(took) - max(took)) / (len(took) - 1)
    return each * left * (1 - 1 / workers) > WORKERS_START_S


_SLOW_TO_IMPORT = ("sklearn.linear_model", "embench.testing", "embench.engine.work")
"""Modules that take long to import, with all that they import; none of them asks which plugins are installed."""


def fresh_processes(most: int, module: str) -> ProcessPoolExecutor:
    """Up to `most` processes that share nothing with this one, for work of `module`.

    Where the system can, they are copies of one that has imported the module of the first call, and modules that this
    process has by then, and done nothing else, so that only that one takes seconds to start.
    """
    from concurrent.futures import ProcessPoolExecutor  # most commands start no process

    copies = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if copies else "spawn")
    if copies:
        context.set_forkserver_preload([module, *(name for name in _SLOW_TO_IMPORT if name in sys.modules)])
    return ProcessPoolExecutor(most, mp_context=context, initializer=_start, initargs=(dict(os.environ),))


KEPT = "finished work is kept, rerun to resume"
"""Note on every command that ends early."""
_SERVER_GONE = 255
"""The exit code reported for a process whose end was not observed, since the server that started it is gone."""


@contextmanager
def working(
    pool: ProcessPoolExecutor, doing: str = "", where: str | None = None
) -> Iterator[Callable[..., Future[Any]]]:
    """Yields a function that submits work to the processes of a pool, as its `submit` does. They end with it: at once,
    whatever they do, where something is raised inside.

    Raises:
        WorkerKilled: one of them was killed, or the server that starts them, while `doing`.
    """
    from concurrent.futures.process import BrokenProcessPool

    processes = pool._processes  # noqa: SLF001  there is no public way, and the pool forgets them
    with named_workers(doing, where, processes), pool:
        try:
            yield partial(_submit, pool)
        except BaseException as error:
            for process in list(processes.values()):
                process.terminate()
            # How they ended is known when the pool has seen it.
            pool.shutdown(wait=isinstance(error, BrokenProcessPool), cancel_futures=True)
            raise


def _submit(pool: ProcessPoolExecutor, work: Callable[..., _T], *arguments: Any) -> Future[_T]:
    from concurrent.futures.process import BrokenProcessPool

    try:
        with without_main_module(), _holding_interrupts():
            return pool.submit(work, *arguments)
    except (EOFError, ConnectionError) as error:  # there was no answer
        raise BrokenProcessPool("the server that starts processes is gone") from error


@contextmanager
def _holding_interrupts() -> Iterator[None]:
    """Processes that are started meanwhile never see an interrupt, not even before `begin_worker`; this one sees it
    afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def named_workers(
    doing: str = "", where: str | None = None, processes: Mapping[int, BaseProcess] | None = None
) -> Iterator[None]:
    """Raises an error that names the killed process, of `processes` or of a library's own.

    Raises:
        WorkerKilled: in place of what a broken pool raises.
    """
    from concurrent.futures.process import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool as error:  # joblib's is one, too
        raise killed_worker(error, doing, where, processes) from error


@contextmanager
def joblib_workers(doing: str) -> Iterator[None]:
    """Makes workers of joblib behave as our own do: an interrupt is handled by this process, and a killed worker is
    named.

    Raises:
        WorkerKilled: one was killed while `doing`.
    """
    from joblib import parallel_config  # type: ignore[import-untyped]

    with named_workers(doing), parallel_config(backend="loky", initializer=begin_worker):
        yield


def killed_worker(
    error: BaseException,
    doing: str = "",
    where: str | None = None,
    processes: Mapping[int, BaseProcess] | None = None,
) -> WorkerKilled:
    """The error for a broken pool: which process was killed, by what, and what to do."""
    if processes is None:
        found = re.search(r"SIG[A-Z]+", str(error))
        ended = f"a worker process was killed{f' by {found[0]}' if found else ''}"
    else:
        ended = _first_ended([process.exitcode for process in processes.values()])
    starved = "often the machine ran out of memory: fewer --workers or a smaller --recipe take less; "
    hint = f"{starved if ended.endswith(('killed', 'SIGKILL')) else ''}{KEPT}"
    return WorkerKilled(f"{ended} {doing}".strip(), where=where, hint=hint)


def _first_ended(codes: Sequence[int | None]) -> str:
    """A clause on what ended first of a pool, as its processes' exit codes say; the others are terminated then."""
    if not codes or _SERVER_GONE in codes:
        _await_end_of_server()
        return "the server that starts worker processes (forkserver) was killed"
    first = next((code for code in codes if code not in (None, -signal.SIGTERM)), -signal.SIGTERM)
    if first >= 0:
        return f"a worker process ended by itself, with code {first},"
    names = {known.value: known.name for known in signal.Signals}
    return f"a worker process was killed by {names.get(-first, f'signal {-first}')}"


def _await_end_of_server(at_most_s: float = 5.0) -> None:
    """Returns when the system calls a killed server dead, which it does after its pipes are closed: the next pool would
    ask it in vain, where later it starts another one."""
    from multiprocessing import forkserver

    import psutil

    pid, until = getattr(forkserver._forkserver, "_forkserver_pid", None), time.monotonic() + at_most_s  # noqa: SLF001
    with contextlib.suppress(psutil.Error):
        while pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.01)


def _start(environment: dict[str, str]) -> None:
    os.environ.clear()  # a copy has the environment of the time when the first one was made
    os.environ.update(environment)
    begin_worker()


def in_fresh_process(doing: str, work: Callable[..., _T], *arguments: Any, module: str | None = None) -> _T:
    """Returns `work(*arguments)` from a process in which no code of a plugin ran before. Its exceptions are raised
    here. `module` is what the process has imported when it starts, by default that of `work`.

    Raises:
        WorkerKilled: the process was killed while `doing`.
    """
    with working(fresh_processes(1, module or work.__module__), doing) as submit:
        result: _T = submit(work, *arguments).result()
        return result


@contextmanager
def without_main_module() -> Iterator[None]:
    """Spawned workers import the parent's script, which for one without `if __name__ == "__main__"` starts the run
    anew. What our workers are handed never lies in a script, so they start without it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


# Callbacks that follow long work: one name for each signature.

EventCallback = Callable[[Mapping[str, Any]], None]
"""Receives each event of a run, such as a stage that starts, an epoch that ends or a recording that is decoded."""

ProgressCallback = Callable[[int, int, str], None]
"""Receives (items done, items in all, description of the last one)."""

DownloadCallback = Callable[[str, int, int | None], None]
"""Receives (description, bytes so far, bytes in all where that is known)."""

BytesCallback = Callable[[int, int], None]
"""Receives (bytes so far, bytes in all)."""

_STEP_S = 5.0


def now_and_then(what: str, on_event: EventCallback | None) -> ProgressCallback:
    """Reports a step every few seconds, and the last one."""
    last = time.monotonic()

    def note(done: int, total: int, which: str) -> None:
        nonlocal last
        if on_event and (done == total or time.monotonic() - last >= _STEP_S):
            last = time.monotonic()
            on_event({"event": "note", "text": f"{what}: {done} of {total} ({which})"})

    return note
