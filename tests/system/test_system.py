"""Locks are one process's at a time and end with it; cores and memory are what this process has."""

import errno
import subprocess
import sys

import pytest

from embench import system
from embench.errors import MachineError

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


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS])
def test_a_disk_without_locks_is_named(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(MachineError, match="cannot be locked") as error, system.locked(tmp_path / "lock"):
        pass
    assert error.value.where == str(tmp_path / "lock")


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


def test_the_machine_has_memory():
    assert system.free_memory() > 0
