"""The last line of an error is a command to type, or what to do."""

import random
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from embench.cli import main
from embench.errors import CheckFailed, DataError, EmbenchError, MachineError, PluginError, Unfinished, UsageError

ROOT = Path(__file__).parents[2]
REFUSED = yaml.safe_load(Path(__file__).with_name("refused.yaml").read_text(encoding="utf-8"))
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
        (f"{OF} eda --protocol loso", f"embench {OF} eda --protocol leave-one-subject-out-v4"),
        (f"{BEGIN} --encoder tcn --set encoder.layers=2", None),
        (f'{BEGIN} --encoder "cnn_tf\'{{["', None),  # the word that is right is part of the wrong one
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
        (
            "verify",
            "embench data verify --help or embench leaderboard verify --help or embench challenge verify --help",
        ),
    ],
)
def test_it_is_the_whole_right_command(embench, line, command):
    label, _, told = last(embench, line).partition(": ")
    if command is not None:
        assert told == command
    assert label != "command" or shlex.split(told) != ["embench", *shlex.split(line)]
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


LINE = "run --dataset deap --encoder tcn"
SETTING = "encoder.build.weights=lab/net@12ab"


@pytest.mark.parametrize(
    ("hint", "command"),
    [
        ("--target arousal,valence", f"{LINE} --set encoder.lr=1 --target arousal,valence"),
        (f"to freeze them: --set {SETTING}", f"{LINE} --set encoder.lr=1 --set {SETTING}"),
        (f"--set {SETTING}; for another method than the paper's: --set encoder.build.weights=random",
         f"{LINE} --set encoder.lr=1 --set {SETTING}"),
        ("--set encoder.lr=0.1", f"{LINE} --set encoder.lr=0.1"),
        ("--set encoder.build.accepts='CC BY-NC 4.0'",
         f"{LINE} --set encoder.lr=1 --set 'encoder.build.accepts=CC BY-NC 4.0'"),
        ("--dataset amigos", "run --encoder tcn --set encoder.lr=1 --dataset amigos"),
    ],
)  # fmt: skip
def test_the_options_of_a_hint_come_into_the_command(embench, monkeypatch, hint, command):
    assert refuse(embench, monkeypatch, UsageError("no", hint=hint)).endswith(f"\n  command: embench {command}\n")


@pytest.mark.parametrize(
    "hint",
    [
        "--set encoder.lr=..",
        "try a smaller lr: --set ...lr=1e-4",
        "add --pretrainer NAME",
        "for pretraining: --pretrainer NAME:amigos with another --dataset. For scoring: add `labels` to the card",
        "name it yourself: --dataset ./FOLDER",
        "it ran out of memory: --cluster memory_gb=16 reserves more; the same command resumes",
        "if they agreed: --consent --ethics 'COMMITTEE, NUMBER'",
        "--dev requires validation subjects: use more subjects or another --protocol",
        "--set encoder.layout=matrix needs no positions",
        "for another command's option: --metric auroc",
        "let the user's --set encoder.lr=1",
        "--set encoder.name='",
    ],
)
def test_a_hint_that_says_more_than_options_is_printed_alone(embench, monkeypatch, hint):
    assert refuse(embench, monkeypatch, UsageError("no", hint=hint)).endswith(f"\n  what to do: {hint}\n")


def test_of_several_equal_options_none_is_replaced(embench, monkeypatch):
    error = UsageError("no", hint="--encoder tcn")
    line = ("run", "--dataset", "deap", "--encoder", "eeg=svm", "--encoder", "ecg=tcn")
    assert "command:" not in refuse(embench, monkeypatch, error, *line)


def test_the_papers_network_without_weights_is_refused_with_the_command_that_names_them(embench, data):
    line = f"run --dataset amigos --data-root {data} --modalities video --encoder videomae --protocol strizhkova2024"
    done = embench(*shlex.split(f"{line} --target valence --recipe paper --seeds 0 --dry-run"))
    assert done.code == 2
    begin, _, weights = done.err.strip().splitlines()[-1].rpartition(" ")
    assert begin == f"  command: embench {line} --target valence --recipe paper --seeds 0 --dry-run --set"
    assert weights.startswith("encoder.build.weights=MCG-NJU/videomae-base@")


def test_no_message_ends_in_a_traceback(embench, monkeypatch):
    rng = random.Random(0)
    for _ in range(200):
        error = rng.choice([CheckFailed, UsageError, DataError, PluginError, MachineError, Unfinished])(
            fuzzed(rng), **{part: fuzzed(rng) for part in ("where", "expected", "hint") if rng.random() < 0.7}
        )
        settings = [f"--set=x{fuzzed(rng)}" for _ in range(rng.randrange(4))]
        printed = refuse(embench, monkeypatch, error, *LINE.split(), *settings)
        assert printed.startswith(f"{error.label}: ")
        assert "Traceback" not in printed
        assert "embench has a bug" not in printed


@pytest.mark.parametrize("name", REFUSED["faults"])
def test_what_is_refused_ends_in_a_message(embench, data, monkeypatch, tmp_path, name):
    entries = [ROOT / "leaderboards" / entry for entry in REFUSED["entries"]]
    words = REFUSED["faults"][name].replace("{quick}", REFUSED["quick"]).split()
    for file, text in REFUSED["files"].items():
        (tmp_path / file).write_text(text)
    (tmp_path / "damaged").symlink_to(data / "damaged")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBENCH_DATA", str(data))
    done = embench(*(word.format(*entries, data=data) for word in words))
    assert done.code in range(1, 7), done.err
    assert done.err
    assert "Traceback" not in done.err


@pytest.fixture(scope="module")
def data(made_once):
    """Generated data of the datasets that are refused, and damaged ones."""

    def make(root):
        for dataset, seconds in {"amigos": 12, "case": 60, "stress_predict": 90}.items():
            line = f"data synthesize {dataset} --out {root / dataset} --subjects 4 --length-s {seconds}"
            assert main(shlex.split(line)) == 0
        shutil.copytree(root / "stress_predict", root / "damaged" / "stress_predict")
        for file in sorted((root / "damaged").rglob("*.csv"))[:3]:
            file.write_bytes(file.read_bytes()[:40])

    return made_once("refused", make)


def refuse(embench, monkeypatch, error, *line):
    """What is printed where a run is refused with an error."""

    def fail(**_):
        raise error

    assert isinstance(error, EmbenchError)
    monkeypatch.setattr("embench.cli.run.make_request", fail)
    return embench(*(line or (*LINE.split(), "--set", "encoder.lr=1"))).err


FRAGMENTS = [
    "'", '"', "`", "{", "}", "{0}", "[", "]", "[/red]", "[bold", "\n", "\\", "\\g<1>", "%s", "$(x)", "; ", ": ", "=",
    "--set ", "--set encoder.lr=1", "--target", "--", "did you mean", "did you mean x?", "did you mean ( or y?",
    "embench ", "paper's", "\x1b[2J", "\u202e", "*", "(", "?", "an encoder", "None", "\t", " ", "NAME", "..",
]  # fmt: skip


def fuzzed(rng):
    return "".join(rng.choice(FRAGMENTS) for _ in range(rng.randrange(1, 9)))
