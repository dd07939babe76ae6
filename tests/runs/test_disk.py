"""A read-only or full disk: exit code 5, one message, nothing half written, and the same command goes on later."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..sample import sample
from ..tiny.running import start_apart
from ..tiny.world import plugin

PROGRAM = "import sys; from embench.cli import main; sys.exit(main())"


def test_runs_cannot_be_kept_where_a_file_stands(bench, embench):
    bench.runs.parent.mkdir(exist_ok=True)
    bench.runs.write_text("")
    done = embench(*bench.line("--modalities", "ecg"))
    assert done.code == 5
    assert "cannot write to this folder" in done.err
    assert "--runs" in done.err


def test_pretraining_cannot_be_kept_there_either(bench, embench):
    bench.runs.parent.mkdir(exist_ok=True)
    bench.runs.write_text("")
    encoder = ("--encoder", plugin("Pool"), "--pretrainer", "masked_value", "--corpus", plugin("Tiny"))
    places = ("--data-root", bench.data, "--runs", bench.runs, "--device", "cpu", "--recipe", "quick")
    done = embench("pretrain", *encoder, *places, "--modalities", "ecg")
    assert done.code == 5
    assert "cannot write to this folder" in done.err


def test_a_read_only_folder_is_found_before_anything_is_trained(bench, embench, monkeypatch):
    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda s, d: refuse(s) if bench.runs in s.parents else write(s, d))
    done = embench(*bench.line("--modalities", "ecg"))
    assert done.code == 5
    assert "Read-only file system" in done.err
    assert not list((bench.runs / "stages").iterdir())


@pytest.mark.parametrize(
    "file",
    sample(
        ["stage.json", "weights.safetensors", "result.json", "predictions.npz", "predictions.csv.gz", "run.yaml"],
        "weights.safetensors",
    ),
)
def test_a_disk_that_fills_up_at_any_file(shared, bench, embench, monkeypatch, file):
    """Whatever cannot be renamed into place: one message, no half file, and the next run is as if nothing happened."""
    replace = Path.replace

    def full(self, target):
        if Path(target).name == file:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return replace(self, target)

    line = bench.line("--modalities", "ecg", "--target", "arousal", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        done = embench(*line)
    assert done.code == 5, done.err
    assert "No space left on device" in done.err
    assert not done.out
    assert "Traceback" not in done.err
    assert not list(bench.runs.rglob(file))
    assert not [path for path in bench.runs.rglob(".*") if path.is_file()]
    assert embench(*line).code == 0
    whole = shared.run("Pool", modalities="ecg")
    (again,) = (bench.runs / "Tiny").iterdir()
    assert (again / "predictions.csv.gz").read_bytes() == (whole.folder / "predictions.csv.gz").read_bytes()


def limited():
    """Files may not grow over 60 kB, as on a disk that is nearly full; writing over it fails instead of killing."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


@pytest.mark.slow
def test_a_file_that_cannot_grow(bench, tmp_path):
    """A real write that fails half-way, in a process of its own."""
    bench.plan(modalities="ecg")  # prepares the data while there is room
    large = ("--set", "encoder.build.dim=2000", "--set", "encoder.epochs=1")  # so that no checkpoint comes before
    line = bench.line("--modalities", "ecg", "--target", "arousal", *large)
    writing = start_apart(line, tmp_path / "printed", first=limited)
    writing.join()
    printed = (tmp_path / "printed").read_text()
    assert writing.exitcode == 5, printed
    assert "weights.safetensors" in printed
    assert not list(bench.runs.rglob("result.json"))


def mounts():
    if not shutil.which("unshare"):
        return False
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return probe.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not mounts(), reason="may not mount a file system of its own")
@pytest.mark.parametrize(("options", "text"), [("size=40k", "No space left"), ("ro", "Read-only file system")])
def test_on_a_real_disk_that_is_full_or_read_only(bench, tmp_path, options, text):
    bench.plan(modalities="ecg")
    disk = tmp_path / "disk"
    disk.mkdir()
    bench.runs = disk / "runs"
    line = bench.line("--modalities", "ecg", "--target", "arousal")
    script = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, str(disk), sys.executable, "-c", PROGRAM, *line]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
