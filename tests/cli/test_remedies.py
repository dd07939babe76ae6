"""The last line of an error is a command to type, or what to do."""

import shlex

import pytest

from embench.errors import PluginError

BEGIN = "run --dataset stress_predict --modalities eda"
OF = "run --dataset stress_predict --encoder tcn --modalities"


def last(embench, line):
    done = embench(*shlex.split(line))
    assert done.code in (2, 3), done.err
    return done.err.strip().splitlines()[-1].strip()


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (f"{BEGIN} --encoder logreg", f"embench {BEGIN} --encoder handcrafted --fusion logreg"),
        (f"{BEGIN} --encoder=LogisticRegression", f"embench {BEGIN} --encoder handcrafted --fusion logreg"),
        (f"{BEGIN} --encoder handcrafted --fusion tcn", f"embench {BEGIN} --encoder tcn --fusion concat"),
        (f"{BEGIN} --encoder cnn_ft --seeds 0", f"embench {BEGIN} --encoder cnn_tf --seeds 0"),
        (f"{OF} eda --protocol loso", f"embench {OF} eda --protocol leave-one-subject-out-v3"),
        (f"{BEGIN} --encoder tcn --set encoder.layers=2", None),
        (f"{OF} bvp", f"embench {OF} ppg"),
        (f"{OF} gsr,temp", f"embench {OF} eda,temp"),
        (f"{OF} hrv", f"embench {OF} ppg"),
        ("data verify amigoss", "embench data verify amigos"),
        ("list encodr", "embench list encoder"),
        ("export", "embench export --help"),
        ("report nowhere", "embench report --help"),
        ("data labels", "embench data labels --help"),
        ("labels deap", "embench data labels --help"),
        ("leaderboard compare", "embench compare --help"),
        ("verify", "embench data verify --help or embench leaderboard verify --help"),
    ],
)
def test_it_is_the_whole_right_command(embench, line, command):
    label, _, told = last(embench, line).partition(": ")
    if command is not None:
        assert told == command
    assert label in ("command", "what to do")


@pytest.mark.parametrize("option", ["--model", "--classifier", "--network"])
def test_options_of_other_programs_are_answered_with_ours(embench, option):
    done = embench("run", "--dataset", "deap", option, "svm")
    assert f"no such option: {option}. Use --encoder for a network and --fusion for a classifier" in done.err
    assert last(embench, f"run --dataset deap {option} svm").endswith("--encoder handcrafted --fusion logreg")


def test_missing_data_end_with_a_command_that_makes_some(embench, tmp_path):
    (tmp_path / "deap").mkdir()
    assert "embench data synthesize amigos --out" in last(embench, f"data labels amigos --data-root {tmp_path}")


def test_a_plugin_that_fails_and_a_bug_end_with_the_command_that_shows_where(embench, monkeypatch):
    def fail(error):
        def entries(_=None):
            raise error

        monkeypatch.setattr("embench.registry.entries", entries)
        return embench("list", "encoder").err.rstrip().splitlines()[-1]

    assert fail(PluginError("it failed")) == "  command: embench --debug list encoder"
    assert fail(PluginError("it failed", hint="give it time")) == "  what to do: give it time"
    assert "`embench --debug list encoder`" in fail(ZeroDivisionError())
