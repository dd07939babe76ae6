"""The machine: processes, locks, library versions, and callbacks for progress."""

from __future__ import annotations

import _thread
import contextlib
import errno
import math
import multiprocessing
import os
import platform
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from embench.errors import MachineError, WorkerKilled

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing.process import BaseProcess

    from threadpoolctl import ThreadpoolController


# Differences between Linux, macOS and Windows are handled here only.

_T = TypeVar("_T")
_OWN = Path("/proc/self")
"""Folder in which Linux reports on this process."""
LEASE = ".lease"
"""Suffix of a file that replaces a lock if the file system has no locks."""
LEASE_S = 60.0
"""Seconds without a touch after which another machine takes over a lease."""
_NO_MEMORY = re.compile(r"out of memory|not enough memory|(?i:can(?:no|')t allocate memory)|_ALLOC_FAILED")
"""Messages for exhausted memory in torch and GPU libraries, which have an exception class for some cases only."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on the file `path`, which is created if missing and may stay. The system releases it when this
    process ends.

    Disks without locks, such as some network disks, get a lease instead: a file beside `path` that names the machine
    and the process, touched every few seconds. Another machine takes it over `LEASE_S` after the last touch; the same
    machine as soon as the process has ended. A process that was paused for longer may find a second one at work. Files
    under a lease must therefore be written completely, and identically by any process.

    Yields:
        True if the lock is held; False if another process has it and `wait` is False.

    Raises:
        OSError: the file cannot be written."""
    from filelock import FileLock, SoftFileLease, Timeout

    timeout = -1 if wait else 0
    # filelock's own fallback would remain after a process is killed on another machine
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
    """Return True if a file or folder belongs to another user, or another user can write it; False on systems without
    such permissions."""
    status = path.stat()
    return hasattr(os, "getuid") and (status.st_uid != os.getuid() or bool(status.st_mode & 0o022))


@cache
def process_start_s() -> float:
    """Return the start time of this process in s since 1970, comparable with the time stamps of files."""
    import psutil

    return float(psutil.Process().create_time())


def cores() -> int:
    """Return the number of processors that this process may use."""
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        return len(process.cpu_affinity())
    return psutil.cpu_count() or 1


def limited_threads(count: int) -> AbstractContextManager[object]:
    """Limit numerical libraries (BLAS, OpenMP) to `count` threads each, inside the context."""
    return _numerical_libraries(len(sys.modules)).limit(limits=count)


@contextmanager
def fitting(threads: int) -> Iterator[None]:
    """Guard a fit of any model: limit numerical libraries to `threads` threads, and raise at the end of the context the
    interrupt or exception that a library suppressed. So a model that is half trained gets no further."""
    with limited_threads(threads), hearing_interrupts(), _raising_callbacks():
        yield


@lru_cache(maxsize=1)
def _numerical_libraries(_: int) -> ThreadpoolController:
    """Return the loaded numerical libraries, cached by the number of imported modules, since the search takes 3 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def free_memory() -> int:
    """Return the bytes of available memory of the machine."""
    import psutil

    return int(psutil.virtual_memory().available)


def out_of_memory(error: BaseException) -> bool:
    """Return True if an error reports exhausted memory of the machine or a GPU."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))


def reset_peak_memory() -> None:
    """Restart the measurement of peak memory, if supported (on Linux)."""
    with contextlib.suppress(OSError):
        (_OWN / "clear_refs").write_text("5")


def peak_memory() -> int:
    """Return the highest memory use of this process in bytes, since the last reset or its start."""
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
def installed_version(distribution: str) -> str:
    """Return the installed version of a library; `absent` if it is missing, as in the light installation."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


@cache
def processor_name() -> str:
    """Return the name of this machine's processor, such as `AMD EPYC 7R13`."""
    try:  # platform.processor() is empty on Linux
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


_TO_TRAIN = {"cloudpickle", "cv2", "neurokit2", "safetensors", "timm", "torch", "torchvision", "transformers"}
_ALONE = {"huggingface_hub", "matplotlib", "requests"}
"""Libraries that the light installation (`requirements-score.txt`) lacks: `_TO_TRAIN` for training, `_ALONE` for
single commands."""
INSTALL_TRAINING = (
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu && pip install . "
    "in a clone of embench (with a GPU, without --index-url)"
)


def missing_library(library: str, needed_by: str, hint: str | None = None) -> MachineError:
    """Return the error for a missing library; the default hint installs it by its name."""
    return MachineError(f"{library} is not installed, and {needed_by} needs it", hint=hint or f"pip install {library}")


def explain_missing_library(error: BaseException, needed_by: str = "this command") -> MachineError | None:
    """Return advice as a MachineError if `error` is a failed import of an optional library; None for other errors."""
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if library not in _TO_TRAIN | _ALONE:
        return None
    return missing_library(library, needed_by, INSTALL_TRAINING if library in _TO_TRAIN else None)


# Interrupts. A library may suppress one: scikit-learn's perceptrons stop training and count as fitted.

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_REPEAT_S = 1.0
"""Seconds between repeats of an interrupt that was suppressed."""
_ANSWER_S = 5.0
"""Seconds after which a signal that Python could not handle ends the process."""
_TOLERANCE_S = 1.0
"""Seconds by which a thread may notice a signal later than the main thread does."""

_heard: list[BaseException] = []
"""What signals raised within the outermost `hearing_interrupts`."""
_hearers: set[object] = set()
_reached_s = -math.inf
"""When this process last handled a signal, in s of the monotonic clock."""


@contextmanager
def hearing_interrupts() -> Iterator[None]:
    """Raise an interrupt at the end of the context if a library suppressed it inside. Until then it is repeated each
    second. Errors that follow from an interrupt are replaced by it. Contexts may be nested."""
    before = len(_heard)
    with _hearing_signals():
        try:
            yield
        except BaseException as error:
            if len(_heard) == before or any(error is heard for heard in _heard):
                raise
            raise _heard[before] from error
        if len(_heard) > before:
            raise _heard[before]


@contextmanager
def _hearing_signals() -> Iterator[None]:
    """Record in `_heard` what the handlers of signals raise. Only the main thread handles signals."""
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS if main}
    before = {number: handler for number, handler in handlers.items() if callable(handler) and handler not in _hearers}
    if not before:
        yield
        return
    ended, changing = threading.Event(), threading.Lock()

    def hear(number: int, frame: FrameType | None) -> None:
        global _reached_s  # noqa: PLW0603  a handler has no other place
        _reached_s = time.monotonic()
        try:
            before[signal.Signals(number)](number, frame)
        except BaseException as error:
            if not _heard:
                threading.Thread(target=_repeat_signal, args=(number, ended, changing), daemon=True).start()
            _heard.append(error)
            raise

    _hearers.add(hear)
    try:
        for number in before:
            signal.signal(number, hear)
        yield
    finally:
        with changing:
            ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        _hearers.discard(hear)
        _heard.clear()


def _repeat_signal(number: int, ended: threading.Event, changing: threading.Lock) -> None:
    """Repeat a signal each second until `ended`, unless the main thread handles an exception, as while it ends."""
    main = threading.main_thread().ident or 0
    while not ended.wait(_REPEAT_S):
        handled = sys._current_exceptions().get(main)  # noqa: SLF001  no public function tells
        error = handled[1] if isinstance(handled, tuple) else handled  # a tuple in Python 3.11
        while error is not None and not any(error is heard for heard in _heard):
            error = error.__context__
        with changing:
            if error is None and not ended.is_set():
                if hasattr(signal, "pthread_kill"):
                    signal.pthread_kill(main, number)  # it also wakes a thread that waits
                else:
                    _thread.interrupt_main(signal.Signals(number))


@contextmanager
def _raising_callbacks() -> Iterator[None]:
    """Raise at the end of the context the first exception that a callback of compiled code could not pass on.
    Exceptions of finalisers are only printed, as usual."""
    before, lost = sys.unraisablehook, list[BaseException]()

    def hear(unraisable: Any) -> None:
        if isinstance(unraisable.object, str) or "ctypes callback" in (unraisable.err_msg or ""):
            lost.append(unraisable.exc_value)
        else:
            before(unraisable)

    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = before
    if lost:
        raise lost[0]


@contextmanager
def ending_stuck_process(end: Callable[[int], None]) -> Iterator[None]:
    """Call `end(signal number)` in a thread if Python could not handle a signal for seconds. Then the main thread is in
    compiled code, which only the end of the process stops. Needs `hearing_interrupts` inside."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended, (reader, writer) = threading.Event(), socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        with reader:
            while number := int.from_bytes(reader.recv(1)):
                came_s = time.monotonic()
                stuck = number in _SIGNALS and not ended.wait(_ANSWER_S)
                if stuck and _reached_s < came_s - _TOLERANCE_S:
                    end(number)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        writer.close()


def begin_worker() -> None:
    """Prepare a worker process: it ends when its parent ends or asks it to. Interrupts, which a terminal sends to all
    processes, are handled by the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked process inherits its parent's state
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    # A killed parent cannot stop its workers, which would then wait forever.
    parent, pid = multiprocessing.parent_process(), os.getppid()
    if parent is None:
        return
    try:
        parent.join()
    except ValueError:  # joblib's workers need no watch: they are its children
        while os.getppid() == pid:
            time.sleep(1)
    os._exit(1)


WORKERS_START_S = 5.0
"""Seconds that workers need to start and import libraries."""


def workers_pay(took: Sequence[float], left: int, workers: int) -> bool:
    """Return True if `workers` processes would save time on the `left` items. `took`: processor seconds of each
    finished item; the slowest is ignored, since it includes imports."""
    if workers <= 1 or len(took) < 2:
        return False
    each = (sum(took) - max(took)) / (len(took) - 1)
    return each * left * (1 - 1 / workers) > WORKERS_START_S


_SLOW_TO_IMPORT = ("sklearn.linear_model", "embench.testing", "embench.engine.work")
"""Modules that take long to import; none of them looks up installed plugins."""


def fresh_processes(most: int, module: str) -> ProcessPoolExecutor:
    """Return a pool of up to `most` processes that share nothing with this one, for work of `module`.

    If the system supports it, they are forked from a server process that has only imported `module` and modules which
    import slowly. Then only the server takes seconds to start."""
    from concurrent.futures import ProcessPoolExecutor  # most commands start no process

    can_fork = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if can_fork else "spawn")
    if can_fork:
        context.set_forkserver_preload([module, *(name for name in _SLOW_TO_IMPORT if name in sys.modules)])
    return ProcessPoolExecutor(most, mp_context=context, initializer=_start_worker, initargs=(dict(os.environ),))


KEPT = "finished work is kept, rerun to resume"
"""Note of every command that ends early."""
_SERVER_GONE = 255
"""Exit code reported for a process whose server ended first."""


@contextmanager
def working(
    pool: ProcessPoolExecutor, doing: str = "", where: str | None = None
) -> Iterator[Callable[..., Future[Any]]]:
    """Yield a function like `pool.submit`. At the end of the context the processes finish their work and end; after an
    exception they are terminated.

    Raises:
        WorkerKilled: a process, or the server that starts them, was killed while `doing`."""
    from concurrent.futures.process import BrokenProcessPool

    processes = pool._processes  # noqa: SLF001  no public attribute has them, and the pool forgets them
    with named_workers(doing, where, processes), pool:
        try:
            yield partial(_submit, pool)
        except BaseException as error:
            for process in list(processes.values()):
                process.terminate()
            # Exit codes are known after the pool has seen the end.
            pool.shutdown(wait=isinstance(error, BrokenProcessPool), cancel_futures=True)
            raise


def _submit(pool: ProcessPoolExecutor, work: Callable[..., _T], *arguments: Any) -> Future[_T]:
    from concurrent.futures.process import BrokenProcessPool

    try:
        with without_main_module(), _holding_interrupts():
            return pool.submit(work, *arguments)
    except (EOFError, ConnectionError) as error:  # no answer
        raise BrokenProcessPool("the server that starts processes is gone") from error


@contextmanager
def _holding_interrupts() -> Iterator[None]:
    """Block interrupts in processes started inside the context, even before `begin_worker`; this process receives them
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
    """Replace the error of a broken pool by a WorkerKilled that names the killed one of `processes` (None: unknown).

    Raises:
        WorkerKilled: a process was killed."""
    from concurrent.futures.process import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool as error:  # joblib's error is a subclass
        raise killed_worker(error, doing, where, processes) from error


@contextmanager
def joblib_workers(doing: str) -> Iterator[None]:
    """Make joblib's workers ignore interrupts, which this process handles, and name a killed worker in the error.

    Raises:
        WorkerKilled: a worker was killed while `doing`."""
    from joblib import parallel_config  # type: ignore[import-untyped]

    with named_workers(doing), parallel_config(backend="loky", initializer=begin_worker):
        yield


def killed_worker(
    error: BaseException,
    doing: str = "",
    where: str | None = None,
    processes: Mapping[int, BaseProcess] | None = None,
) -> WorkerKilled:
    """Return the error for a broken pool; it names the killed process, the likely cause, and what to do."""
    if processes is None:
        found = re.search(r"SIG[A-Z]+", str(error))
        ended = f"a worker process was killed{f' by {found[0]}' if found else ''}"
    else:
        ended = _first_ended([process.exitcode for process in processes.values()])
    starved = "often the machine ran out of memory: fewer --workers or a smaller --recipe take less; "
    hint = f"{starved if ended.endswith(('killed', 'SIGKILL')) else ''}{KEPT}"
    return WorkerKilled(f"{ended} {doing}".strip(), where=where, hint=hint)


def _first_ended(codes: Sequence[int | None]) -> str:
    """Describe the process of a pool that ended first, from the exit codes; the others were terminated afterwards."""
    if not codes or _SERVER_GONE in codes:
        _await_end_of_server()
        return "the server that starts worker processes (forkserver) was killed"
    first = next((code for code in codes if code not in (None, -signal.SIGTERM)), -signal.SIGTERM)
    if first >= 0:
        return f"a worker process ended by itself, with code {first},"
    names = {known.value: known.name for known in signal.Signals}
    return f"a worker process was killed by {names.get(-first, f'signal {-first}')}"


def _await_end_of_server(at_most_s: float = 5.0) -> None:
    """Wait until the system reports a killed server as dead, after its pipes are closed: only then does the next pool
    start a new one."""
    from multiprocessing import forkserver

    import psutil

    pid, until = getattr(forkserver._forkserver, "_forkserver_pid", None), time.monotonic() + at_most_s  # noqa: SLF001
    with contextlib.suppress(psutil.Error):
        while pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.01)


def _start_worker(environment: dict[str, str]) -> None:
    os.environ.clear()  # a forked process has the environment of the first fork
    os.environ.update(environment)
    begin_worker()


def in_fresh_process(doing: str, work: Callable[..., _T], *arguments: Any, module: str | None = None) -> _T:
    """Return `work(*arguments)` from a process in which no plugin code ran. Its exceptions are raised here. `module` is
    imported when the process starts, default: that of `work`.

    Raises:
        WorkerKilled: the process was killed while `doing`."""
    with working(fresh_processes(1, module or work.__module__), doing) as submit:
        result: _T = submit(work, *arguments).result()
        return result


@contextmanager
def without_main_module() -> Iterator[None]:
    """Start workers without the parent's script: a script without `if __name__ == "__main__"` would run again in each.
    Work for workers is never defined in a script."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


EventCallback = Callable[[Mapping[str, Any]], None]
"""Receives each event of a run, such as a started stage, a finished epoch or a decoded recording."""

ProgressCallback = Callable[[int, int, str], None]
"""Receives (items done, total items, description of the last item)."""

DownloadCallback = Callable[[str, int, int | None], None]
"""Receives (description, bytes so far, total bytes if known)."""

BytesCallback = Callable[[int, int], None]
"""Receives (bytes so far, total bytes)."""

_STEP_S = 5.0


def throttle_progress(what: str, on_event: EventCallback | None) -> ProgressCallback:
    """Return a callback that sends a note on the progress to `on_event` every few seconds, and at the end."""
    last = time.monotonic()

    def note(done: int, total: int, which: str) -> None:
        nonlocal last
        if on_event and (done == total or time.monotonic() - last >= _STEP_S):
            last = time.monotonic()
            on_event({"event": "note", "text": f"{what}: {done} of {total} ({which})"})

    return note
