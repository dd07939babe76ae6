"""Every command that prints tables, at 80 and 100 columns: no line is longer, and no word is torn."""

import re
from pathlib import Path

import pytest

from embench.cli import main
from embench.cli.console import show_table

from ..leaderboard.made_up import put
from ..published import link_entries
from ..tiny.fixtures import cache, shared, six

__all__ = ["cache", "shared", "six"]
WIDTHS = (80, 100)
LEFT_OUT = re.compile(r"Columns (without room here:.*?\bnames|hidden for lack of space:.*?all scores)\.", re.DOTALL)
"""A sentence that a wide terminal has no need of."""
PLAIN = (
    "", "list", "list dataset", "list metric", "list modality", "list protocol", "list --matrix", "info cnn_tf",
    "info cnn_tf --dataset stress_predict", "info amigos", "info eda", "info subject-independent-v4",
    "info strizhkova2024", "claims", "data status",
)  # fmt: skip
BOARDS = (
    "leaderboard show --leaderboards boards", "leaderboard show stress_predict --leaderboards boards",
    "leaderboard show --all --leaderboards boards", "leaderboard show --metric auroc_within --leaderboards boards",
    "leaderboard show --filter kind=control --leaderboards boards",
)  # fmt: skip
ENTRIES = (
    "leaderboard verify boards",
    "leaderboard verify {0}",
    "compare {0} {1} --metric auroc_within",
    "compare {0} {1} --metric auroc_within --all",
)
OF_DATA = (
    "data status", "data verify amigos", "data labels amigos", "data confounds amigos --target arousal --seeds 0",
    "data prepare amigos", "doctor",
)  # fmt: skip
METHOD = "--dataset amigos --encoder handcrafted --modalities eda --seeds 0 --workers 1"
GRID = f"grid {METHOD} --fusion logreg --fusion lda"
TUNE = f"tune {METHOD} --fusion logreg --target arousal --trials 2 --search fusion.build.C=0.1,1"
RUNS = (
    f"run {METHOD} --fusion lda", f"run {METHOD} --fusion lda --all", f"run {METHOD} --fusion lda --dry-run",
    GRID, f"{GRID} --dry-run", "grid status runs", "compare {0} {1} --metric auroc_within", "audit {0}", TUNE,
    "score {0}/predictions.csv.gz --dataset amigos", "score {0}/predictions.csv.gz --dataset amigos --all",
    "baselines --dataset amigos --modalities eda --seeds 0 --workers 1", "plugin check embench_plugins/handcrafted", "",
)  # fmt: skip


PASSED = re.compile(r"[-\\]+$|\W?\d")
"""Rules of tables, the ends of folded commands, and numbers: times are never the same."""


def rendered(embench, monkeypatch, line, width):
    monkeypatch.setenv("COLUMNS", str(width))
    done = embench(*line.split())
    assert done.code in (0, 1), done.err
    return done.out


def pieces(word):
    """The parts of a word that may stand alone in a line: it may be folded after hyphens, in heads after `_`, and a
    long path after a slash."""
    parts = re.split(r"(?<=[-_/])", word)
    return {"".join(parts[i:k]) for i in range(len(parts)) for k in range(i + 1, len(parts) + 1)}


def check(embench, monkeypatch, line, widths=WIDTHS):
    whole = set().union(*map(pieces, rendered(embench, monkeypatch, line, 1000).split()))
    for width in widths:
        text = LEFT_OUT.sub("", rendered(embench, monkeypatch, line, width))
        assert [each for each in text.splitlines() if len(each) > width] == []
        torn = {
            word
            for word in text.split()
            if word not in whole and set(word) - set("-\\") and not re.match(r"\W?\d", word)
        }
        assert torn == set()


def test_a_path_that_fits_no_line_is_folded_after_a_slash(monkeypatch, capsys):
    place = "/home/somebody/studies/.venv/lib/python3.11/site-packages/embench_plugins/datasets/amigos/reader.py:44"
    monkeypatch.setenv("COLUMNS", "80")
    show_table([{"field": "origin", "value": place}, {"field": "licence", "value": "a word and " * 12}])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "".join(line.removeprefix("origin").strip() for line in lines[2:4]) == place


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder: paths in it are short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBENCH_DATA", "data")
    return tmp_path


@pytest.mark.parametrize("line", PLAIN)
def test_what_the_program_knows_fits(embench, monkeypatch, here, line):
    assert here
    check(embench, monkeypatch, line)


CHOSEN = {
    "stress_predict/subject-independent-v4": [
        "handcrafted-svm-4f*",
        "handcrafted-svm-d5*",
        "tcn-shared_tf-*",
        "unet_se-single-*",
    ],
    "wearable_stress/subject-independent-v4": ["handcrafted-svm-89*"],
}


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """The two of them that are compared, as `boards` in a folder: each is scored anew at every width."""
    folder = tmp_path_factory.mktemp("published")
    link_entries(folder / "boards", {"eegmat/subject-independent-v4": ["handcrafted-svm-[59]*"]})
    return folder


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """The same beside made-up rows, one near to a bound, and one that leaks."""
    folder = tmp_path_factory.mktemp("several")
    root = link_entries(folder / "boards", CHOSEN)
    put(root, "cnn_tf-late-aaaaaaaaaa", 0.56, effect=0.07, access="baseline")
    put(root, "cnn_tf-late-bbbbbbbbbb", 0.55, evidence=None)
    put(root, "cnn_tf-late-cccccccccc", 0.9, leaks=True)
    return folder


@pytest.mark.parametrize("line", BOARDS)
def test_boards_fit(embench, monkeypatch, several, line):
    monkeypatch.chdir(several)
    assert "tress" in rendered(embench, monkeypatch, line, 100)
    check(embench, monkeypatch, line)


@pytest.mark.slow
@pytest.mark.parametrize("line", ENTRIES)
def test_what_is_said_of_entries_fits(embench, monkeypatch, boards, line):
    monkeypatch.chdir(boards)
    entries = sorted(path.relative_to(boards) for path in boards.glob("boards/eegmat/*/*-svm-*"))
    check(embench, monkeypatch, line.format(*entries), WIDTHS[:1])


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A working folder with synthetic data and the runs of a grid."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("EMBENCH_DATA", "data")
        size = ["--subjects", "4", "--length-s", "25"]
        assert main(["data", "synthesize", "amigos", "--out", "data/amigos", *size]) == 0
        assert main(GRID.split()) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("line", [*OF_DATA, *RUNS])
def test_what_is_said_of_data_and_runs_fits(embench, monkeypatch, work, line):
    monkeypatch.chdir(work)
    monkeypatch.setenv("EMBENCH_DATA", "data")
    runs = sorted(path.parent.as_posix() for path in Path("runs").glob("*/*/run.yaml"))
    check(embench, monkeypatch, line.format(*runs), WIDTHS[:1])
