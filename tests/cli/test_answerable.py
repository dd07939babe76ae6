"""Before training, three commands say in the same words what a study cannot answer."""

import json

import pytest

from embench.planning.plan import make
from embench.planning.request import Request

from ..tiny.world import make_subjects, plugin, sharing_stimuli, write

TINY = plugin("Tiny")
RUN = ("run", "--dataset", TINY, "--encoder", "handcrafted", "--fusion", "logreg", "--target", "arousal")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"), sharing_stimuli(make_subjects(8)))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "answerable-cache"))


def told(embench, root):
    verified = embench("data", "verify", TINY, "--data-root", root, "--json")
    [found] = [each for each in json.loads(verified.out)["cannot_answer"] if each["target"] == "arousal"]
    assert found["answer"] == "too few data"
    assert found["reason"].startswith("Too few comparisons: ")
    return f"arousal: too few data. {found['reason']}"


def test_verify_and_a_plan_say_the_same(embench, root):
    request = Request(dataset=TINY, encoders=("handcrafted",), fusion="logreg", targets="arousal", data_root=root)
    [found] = make(request).unanswerable()
    assert f"arousal: {found.answer}. {found.reason}" == told(embench, root)


def test_it_is_said_before_anything_is_trained(root, tmp_path):
    from embench.runs.run import run

    class Begun(Exception):
        """Training has begun."""

    told = []

    def follow(event):
        if event["event"] == "plan":
            raise Begun
        if event["event"] == "note":
            told.append(event["text"])

    request = Request(
        dataset=TINY, encoders=("handcrafted",), fusion="logreg", targets="arousal", data_root=root,
        runs=str(tmp_path), seeds="0", device="cpu",
    )  # fmt: skip
    with pytest.raises(Begun):
        run(request, follow)
    [found] = make(request).unanswerable()
    assert f"arousal: {found.answer}. {found.reason} {found.remedy}" in told


@pytest.mark.slow
def test_a_look_and_the_dry_runs_of_several_say_it_too(embench, root, tmp_path):
    page, text = tmp_path / "data.html", told(embench, root)
    for line in (
        ("data", "verify", TINY),
        ("data", "report", TINY, "--target", "arousal", "--out", page),
        (*RUN, "--dry-run"),
        ("grid", *RUN[1:], "--dry-run"),
        ("baselines", "--dataset", TINY, "--target", "arousal", "--dry-run"),
    ):
        done = embench(*line, "--data-root", root)
        assert done.code == 0, done.err
        assert text in " ".join(done.out.split())
    assert text in " ".join(page.read_text().split())


def test_the_command_that_gives_enough_comparisons_is_printed(capsys):
    from embench.cli.console import show_parts
    from embench.screen import unanswerable_parts

    show_parts(unanswerable_parts([{
        "target": "calm", "answer": "too few data", "reason": "Too few comparisons: 7 of 24.", "remedy": "seeds",
        "seeds": [0, 1], "command": "embench run --dataset mine --seeds 0,1",
    }]))  # fmt: skip
    printed = capsys.readouterr().out
    assert "calm: too few data. Too few comparisons: 7 of 24." in printed
    assert printed.endswith("  embench run --dataset mine --seeds 0,1\n")
