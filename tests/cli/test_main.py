"""Exit codes and messages: what goes wrong ends with the right code and one message that says what to do."""

import errno
import io
import json
import shlex
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import typer

from embench import errors
from embench.cli import app, listing, machine, main
from embench.cli.options import EXAMPLES


@pytest.fixture
def failing(monkeypatch):
    """Makes `embench list` raise."""

    def fail(error):
        def entries(_=None):
            raise error

        monkeypatch.setattr("embench.registry.entries", entries)

    return fail


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.CheckFailed("w", where="there"), 1, "check failed: w\n  where: there"),
        (errors.UsageError("w", hint="do"), 2, "wrong arguments: w\n  what to do: do"),
        (errors.DataError("w", expected="a file"), 3, "data: w\n  expected: a file"),
        (errors.PluginError("w"), 4, "plugin: w"),
        (errors.MachineError("w"), 5, "machine: w"),
        (errors.Unfinished("w"), 6, "finished with failures: w"),
        (MemoryError(), 5, "out of memory"),
        (
            BrokenProcessPool("a plugin's own"),
            5,
            "machine: a worker process was killed\n  what to do: often the machine",
        ),
        (EOFError("a pipe"), 70, "embench has a bug: EOFError: a pipe"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 5, "No space left on device\n  where: /x"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 5, "Read-only file system"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division by zero"), 70, "embench has a bug: ZeroDivisionError: division by zero"),
        (OSError(errno.ENOENT, "No such file", "/x"), 70, "embench has a bug"),
    ],
)
def test_errors_become_exit_codes(embench, failing, error, code, text):
    failing(error)
    done = embench("list")
    assert done.code == code
    assert text in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_out_of_memory_of_a_gpu_is_the_machines(embench, failing):
    import torch

    failing(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert embench("list").code == 5


@pytest.mark.parametrize("line", [("--debug", "list"), ("list", "--debug")])
def test_traceback_only_with_debug(embench, failing, line):
    failing(ZeroDivisionError("here"))
    done = embench(*line)
    assert done.code == 70
    assert "Traceback" in done.err


def test_a_bug_says_how_to_report_it(embench, failing):
    failing(ZeroDivisionError("here"))
    done = embench("list", "encoder")
    assert "report this message and the output of `embench --debug list encoder`" in done.err
    assert "test_main.py:" in done.err


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (("lst",), "Did you mean 'list'"),
        (("run", "--datset", "amigos"), "--dataset"),
        (("run", "--dataset", "amigos"), "Missing option '--encoder'"),
        (("run", "--dataset", "amigos", "--encoder", "cnn_tf", "--recipe", "smal"), "'small'"),
        (("data", "synthesise", "amigos"), "Did you mean 'synthesize'"),
        (("list", "encodr"), "did you mean encoder"),
        (("list", "protocl"), "did you mean protocol"),
        (("info", "cnn_ft"), "did you mean cnn_tf"),
        (("data", "verify", "amigoss"), "did you mean amigos"),
        (("run", "--config", "none.yaml"), "cannot read none.yaml"),
    ],
)
def test_wrong_arguments_offer_the_nearest_name(embench, line, text):
    done = embench(*line)
    assert done.code == 2
    assert text in done.err
    assert done.out == ""


def test_version(embench):
    done = embench("--version")
    assert (done.code, done.out.split()[0]) == (0, "embench")


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "embench", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "embench"
    done = subprocess.run([sys.executable, "-m", "embench", "run", "--nonsense"], capture_output=True, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("embench lea", ["leaderboard"]),
        ("embench data sta", ["status"]),
        ("embench run --enc", ["--encoder"]),
        ("embench run --encoder cn", ["cnn_mlp", "cnn_tf"]),
        ("embench grid --encoder eeg=cnn_t", ["eeg=cnn_tf"]),
        ("embench baselines --dataset wesad/", ["wesad/chest"]),
        ("embench pretrain --protocol subject-independent-v", ["subject-independent-v4"]),
    ],
)
def test_tab_completes_commands_options_and_names(words, completed, monkeypatch, capsys):
    requested = {"_EMBENCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    for name, value in requested.items():
        monkeypatch.setenv(name, value)
    main([])
    assert capsys.readouterr().out.split() == completed


def test_help_of_every_command(embench):
    done = embench("--help")
    assert done.code == 0
    for command in ("run", "grid", "list", "info", "doctor", "baselines"):
        assert command in done.out
        assert embench(command, "--help").code == 0
    for group in (("data", "status"), ("data", "labels"), ("leaderboard", "build")):
        assert embench(*group, "--help").code == 0


def _commands(group, words=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_ends_with_two_examples_that_it_can_read(embench, monkeypatch, name):
    read, program = [], typer.main.get_command(app).context_class
    monkeypatch.setattr(program, "invoke", lambda self, *_, **__: read.append(self.command_path))
    assert len(EXAMPLES[name]) >= 2
    for part in COMMANDS[name].epilog.splitlines():
        shlex.split(part.removesuffix(" \\"))  # no line ends inside quotes
    unfolded = COMMANDS[name].epilog.replace(" \\\n    ", " ")
    assert unfolded.split("\n") == ["Examples:", *EXAMPLES[name]]
    monkeypatch.chdir(Path(__file__).parents[2])
    for line in EXAMPLES[name]:
        done = embench(*shlex.split(line)[1:])
        assert (done.code, read[-1]) == (0, f"embench {name}"), (line, done.err)


def test_examples_stand_at_the_end_of_the_help_in_lines_that_can_be_copied(embench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    end = embench("tune", "--help").out.partition("Examples:")[2]
    lines = [line.rstrip() for line in end.splitlines() if line.strip()]
    assert max(map(len, lines)) <= 80
    lines = "\n".join(lines).replace("\\\n", " ").splitlines()
    assert [shlex.split(line) for line in lines] == [shlex.split(line) for line in EXAMPLES["tune"]]
    assert set(EXAMPLES) == set(COMMANDS)


def test_help_groups_the_commands(embench):
    out = embench("--help").out
    titles = [line.strip("╭─╮ ") for line in out.splitlines() if line.startswith("╭")]
    assert titles == ["Options", "Run", "Data", "Evaluate", "Publish", "Extend"]


def test_options_of_run_stand_in_groups_and_keep_their_brackets(embench):
    out = embench("run", "--help").out
    assert [out.count(f" {title} ") for title in ("Method and data", "Experiments", "Files", "Machine")] == [1] * 4
    assert "ecg[left]" in out


@pytest.mark.parametrize("line", [("-q", "data", "status"), ("data", "status", "--quiet"), ("data", "-q", "status")])
def test_quiet_may_stand_anywhere_and_leaves_the_result(embench, tmp_path, line):
    (tmp_path / "amigos").mkdir()
    loud = embench("data", "status", "--data-root", tmp_path / "amigos")
    assert loud.err
    done = embench(*line, "--data-root", tmp_path / "amigos")
    assert (done.code, done.out, done.err) == (0, loud.out, "")


def test_a_warning_is_shown_once_however_often_it_comes(embench, monkeypatch):
    import warnings

    def warn(_=None):
        for text in ("two packages have it", "two packages have it", "another"):
            warnings.warn(text, UserWarning, stacklevel=1)
        warnings.warn_explicit("two packages have it", UserWarning, "elsewhere.py", 3)
        return []

    monkeypatch.setattr("embench.registry.entries", warn)
    assert embench("list").err.splitlines() == ["warning: two packages have it", "warning: another"]


def test_doctor_has_a_document(embench, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path))  # the user's own may hold very many files
    found = {row["what"]: row for row in json.loads(embench("doctor", "--json").out)}
    assert found["embench"]["broken"] is False
    assert found["encoder videomae"]["detail"] == "can be built with transformers"
    assert found["torch"]["detail"].endswith(" MB")
    assert "device" in found


@pytest.mark.parametrize("how", ["--no-color", "NO_COLOR"])
def test_without_colour_a_terminal_gets_no_escapes(monkeypatch, how):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def printed(*flags):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        assert main(["info", "cnn_ft", *flags]) == 2
        return terminal.getvalue()

    assert "\x1b[" in printed()
    if how == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[" not in printed()
    else:
        assert "\x1b[" not in printed(how)
        assert "\x1b[" in printed()  # it holds for one line alone


def test_warnings_are_one_line(embench, acme):
    assert acme
    done = embench("data", "status", "cnn_tf")
    assert done.code == 2
    from embench import registry

    def warn(_=None):
        registry.find("encoder", "cnn_tf")
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embench.registry.entries", warn)
        patch.setattr(registry, "entries", warn)
        done = embench("list")
    assert done.err.startswith("warning: encoder `cnn_tf` means embench_plugins/cnn_tf")
    assert ".py:" not in done.err


def test_list_shows_every_plugin_and_the_broken_ones(embench, broken):
    done = embench("list")
    assert done.code == 0
    for name in ("stress_predict", "cnn_tf", "cross_attn", "auroc_within"):
        assert name in done.out
    assert "did you mean summary" in done.out
    assert str(broken) in done.out


def test_info_says_where_it_comes_from(embench):
    done = embench("info", "cross_attn")
    assert done.code == 0
    assert "cross_attn.py:" in done.out
    assert "strizhkova2024" in done.out


def test_doctor_finds_broken_plugins(embench, broken, tmp_path, monkeypatch):
    assert broken
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    done = embench("doctor", "--data-root", tmp_path)
    assert done.code == 1
    assert "a_library_that_is_not_there" in done.out
    assert "check failed: " in done.err
    assert "embench_broken/needs_missing" in done.err


def test_doctor_finds_a_network_whose_library_cannot_be_imported(embench, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "transformers", None)
    done = embench("doctor", "--data-root", tmp_path)
    assert done.code == 1
    assert "broken: encoder videomae" in done.err
    assert "cannot be built with transformers" in done.out


def test_doctor_is_content_otherwise(embench, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "_LIBRARIES", ("torch", "numpy"))
    (tmp_path / "amigos").mkdir()
    done = embench("doctor", "--data-root", tmp_path)
    assert done.code == 0, done.out
    assert f"{tmp_path}: amigos" in done.out
    assert "BROKEN" not in done.out


def test_doctor_tells_a_cache_that_cannot_be_written(embench, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "file" / "cache"))
    done = embench("doctor", "--data-root", tmp_path)
    assert done.code == 1
    assert "cache folder" in done.err


def test_main_and_listing_are_what_the_script_runs():
    assert callable(main)
    assert callable(listing.list_kinds)


@pytest.mark.parametrize(
    ("option", "names"), [("encoder", "handcrafted,signal_mean"), ("fusion", "logreg,lda")], ids=["encoder", "fusion"]
)
def test_several_names_in_one_value_of_a_grid_are_answered_with_the_command_that_was_meant(embench, option, names):
    line = ["--dataset", "stress_predict", *(["--encoder", "handcrafted"] if option == "fusion" else [])]
    done = embench("grid", *line, f"--{option}", names)
    assert done.code == 2
    one, other = names.split(",")
    assert f"embench grid {' '.join(line)} --{option} {one} --{option} {other}" in done.err
