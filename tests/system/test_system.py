"""Locks are one process's at a time and end with it; cores and memory are what this process has."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from embench import system

HOLD = """
import sys
from pathlib import Path
from embench.system import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which holds the lock `held`."""
    line = [sys.executable, "-c", HOLD, str(tmp_path / "held")]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_is_one_processes_and_ends_when_it_is_killed(holder, tmp_path):
    with system.locked(tmp_path / "held", wait=False) as ours:
        assert not ours
    holder.kill()
    holder.wait()
    with system.locked(tmp_path / "held") as ours:
        assert ours
    with system.locked(tmp_path / "held", wait=False) as ours:
        assert ours


WITHOUT_LOCKS = """
import errno
import fcntl


def refuse(*_):
    raise OSError(errno.{code}, "this disk has no locks")


fcntl.flock = fcntl.lockf = refuse
"""
"""A `sitecustomize` that makes every disk of a process one without locks, as Lustre and NFS may be."""

ADD = """
import sys
import time
from pathlib import Path
from embench.system import locked

total = Path(sys.argv[1])
for _ in range(40):
    with locked(total.with_name("lock")):
        number = int(total.read_text())
        time.sleep(0.001)
        total.write_text(str(number + 1))
"""


def start(code, *arguments, without):
    """Another process on a disk without locks."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(without), os.environ.get("PYTHONPATH", "")])}
    line = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def without(tmp_path):
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT_LOCKS.format(code="ENOLCK"))
    return folder


@pytest.mark.parametrize("code", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_two_processes_on_a_disk_without_locks_take_turns(tmp_path, without, code):
    (without / "sitecustomize.py").write_text(WITHOUT_LOCKS.format(code=code))
    (tmp_path / "total").write_text("0")
    both = [start(ADD, tmp_path / "total", without=without) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "total").read_text() == "80"


def test_a_lease_on_a_disk_without_locks_ends_when_its_holder_is_killed(tmp_path, without):
    with start(HOLD, tmp_path / "held", without=without) as process:
        assert process.stdout.readline() == "held\n"
        assert (tmp_path / ".held.lease").exists()
        asking = start(HOLD.replace("])):", "]), wait=False) as ours:").replace('"held"', "ours"), tmp_path / "held",
                       without=without)  # fmt: skip
        assert asking.communicate("")[0] == "False\n"
        process.kill()
        process.wait()
        assert start(HOLD, tmp_path / "held", without=without).communicate("")[0] == "held\n"


def test_a_lease_of_another_machine_is_taken_over_when_it_shows_no_life(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr(system, "LEASE_S", 1.0)
    lease = tmp_path / ".held.lease"
    with system.locked(tmp_path / "held") as ours:
        assert ours
        marker = lease.read_text()
        with system.locked(tmp_path / "held", wait=False) as again:
            assert not again
    assert not lease.exists()
    lease.write_text(marker.replace(socket.gethostname(), "another-machine"))
    lease.chmod(0o600)
    with system.locked(tmp_path / "held", wait=False) as ours:
        assert not ours, "its holder may live on that machine"
    with system.locked(tmp_path / "held") as ours:
        assert ours


def test_cores_are_those_that_this_process_may_use():
    requested = "import psutil; psutil.Process().cpu_affinity([0]); from embench import system; print(system.cores())"
    done = subprocess.run([sys.executable, "-c", requested], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


PEAK = """
from embench import system

system.reset_peak_memory()
before = system.peak_memory()
block = bytearray(64 << 20)
block[::4096] = b"x" * len(block[::4096])
del block
assert system.peak_memory() - before > 48 << 20, (before, system.peak_memory())
"""


def test_peak_memory_is_of_what_was_used_since_the_reset():
    # In a process of its own: memory that other tests gave back would be used again.
    subprocess.run([sys.executable, "-c", PEAK], check=True)


def test_errors_that_say_that_memory_gave_out_are_known():
    refused = "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    told = [RuntimeError(refused), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()]
    assert all(map(system.out_of_memory, [*told, OSError(errno.ENOMEM, "Cannot allocate memory")]))
    others = [RuntimeError("shapes do not match"), ValueError("out of memory"), OSError(errno.ENOSPC, "No space left")]
    assert not any(map(system.out_of_memory, others))


def test_the_machine_has_memory():
    assert system.free_memory() > 0


LIMIT = """
import numpy
from threadpoolctl import threadpool_info

from embench.system import limited_threads


def threads():
    return [library["num_threads"] for library in threadpool_info()]


with limited_threads(1):
    print(threads())
import scipy.linalg  # brings a BLAS of its own

print(threads())
with limited_threads(1):
    print(threads())
print(threads())
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="numpy and scipy share the system's own BLAS here")
def test_threads_are_limited_in_a_library_that_was_loaded_meanwhile_too():
    """More of them would add sums in another order."""
    several = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    program = f"import os; hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, range(os.cpu_count()))\n{LIMIT}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=several, check=True)
    assert done.stdout.splitlines() == ["[1]", "[2, 2]", "[1, 1]", "[2, 2]"]
