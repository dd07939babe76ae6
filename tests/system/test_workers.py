"""Workers that are killed are named, with what they did; an interrupt is the parent's to answer."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import psutil
import pytest

from embench import system
from embench.errors import WorkerKilled


def struck(number):
    os.kill(os.getpid(), number)
    return "went on"


def server():
    """The process whose copies `fresh_processes` makes."""
    return next(child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline()))


@pytest.mark.parametrize(("number", "memory"), [(signal.SIGKILL, True), (signal.SIGTERM, False)])
def test_a_killed_process_is_named_with_the_signal_and_what_to_do(number, memory):
    with pytest.raises(WorkerKilled) as caught:
        system.in_fresh_process("while reading x.pt", struck, number, module="os")
    assert caught.value.exit_code == 5
    assert caught.value.what == f"a worker process was killed by {number.name} while reading x.pt"
    assert ("ran out of memory" in caught.value.hint) == memory
    assert "finished work is kept, rerun to resume" in caught.value.hint


def test_a_process_that_ends_itself_is_not_called_killed():
    with pytest.raises(WorkerKilled, match="ended by itself, with code 3, while asking"):
        system.in_fresh_process("while asking", os._exit, 3, module="os")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_an_interrupt_of_a_worker_interrupts_nobody(method):
    context = multiprocessing.get_context(method)
    with system.working(ProcessPoolExecutor(1, context, system.begin_worker)) as submit:
        assert submit(struck, signal.SIGINT).result() == "went on"


def struck_beside_another(pool):
    with system.working(pool, "while preparing") as submit:
        submit(time.sleep, 60)
        submit(struck, signal.SIGTERM).result()


def test_a_copy_of_a_process_that_answers_a_termination_is_terminated():
    def answer(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, answer)
    try:
        pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"), system.begin_worker)
        with pytest.raises(WorkerKilled, match="killed by SIGTERM while preparing"):
            struck_beside_another(pool)
    finally:
        signal.signal(signal.SIGTERM, before)


def work_whose_server_is_killed():
    with system.working(system.fresh_processes(2, "os")) as submit:
        waiting = submit(time.sleep, 60)
        found = server()
        found.kill()
        # A busy machine takes a moment to end all its threads. It is left for the next server's start to be noticed.
        os.waitid(os.P_PID, found.pid, os.WEXITED | os.WNOWAIT)
        waiting.result()


@pytest.mark.slow
def test_a_killed_server_is_named_and_another_one_is_started():
    with pytest.raises(WorkerKilled, match=r"the server that starts worker processes \(forkserver\) was killed"):
        work_whose_server_is_killed()
    assert system.in_fresh_process("", len, "abc", module="os") == 3


@pytest.mark.slow  # else whichever test starts the next server is charged with all that its copies took
def test_a_server_that_is_killed_before_it_has_started_a_process_is_named():
    assert system.in_fresh_process("", len, "abc", module="os") == 3
    found = server()
    found.suspend()  # so that it is killed while it is asked
    kill = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.5; kill -9 {found.pid}"])
    with pytest.raises(WorkerKilled, match=r"\(forkserver\) was killed while asking"):
        system.in_fresh_process("while asking", len, "abc", module="os")
    kill.wait()


INTERRUPTED = """
import signal, time
from embench import system

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background inherits that it is ignored
try:
    print("ready", flush=True)
    with system.working(system.fresh_processes(1, "embench.system")) as submit:
        submit(time.sleep, 60).result()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("after_s", [0.0, 0.1, 1.0])
def test_an_interrupt_from_the_terminal_ends_all_without_a_traceback(after_s):
    line = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(line, stdout=-1, stderr=-1, text=True, start_new_session=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=30) == ("interrupted\n", "")


@pytest.mark.slow
def test_a_killed_worker_of_joblib_is_named_and_an_interrupted_one_goes_on():
    from joblib import Parallel, delayed

    def strike(number):
        with system.joblib_workers("while fitting"):
            return Parallel(n_jobs=2)(delayed(struck)(number) for _ in range(2))

    assert strike(signal.SIGINT) == ["went on", "went on"]
    with pytest.raises(WorkerKilled, match="a worker process was killed by SIGKILL while fitting"):
        strike(signal.SIGKILL)
