"""What a run says while it goes on."""

import io
import sys

import pytest

from embench import screen
from embench.cli import console
from embench.screen import Progress, Steps, format_duration, suggest_smaller

STAGE = {"id": "a", "kind": "unimodal", "fold": 1, "seed": 0, "modality": "eda", "target": "arousal"}
EVENTS = [
    {"event": "plan", "total": 2, "done": 3, "stages": [STAGE, {"id": "b", "kind": "predict"}]},
    {"event": "note", "text": "preparing [amigos]"},
    {"event": "stage_started", "stage": STAGE},
    {"event": "epoch_ended", "stage": STAGE, "epoch": 1, "epochs": 2, "loss": 0.7},
    {"event": "epoch_ended", "stage": STAGE, "epoch": 2, "epochs": 2, "loss": 0.6},
    {"event": "stage_ended", "stage": STAGE, "figures": {}, "done": 1, "total": 2},
    {"event": "stage_started", "stage": {"id": "b", "kind": "predict"}},
    {"event": "stage_ended", "stage": {"id": "b", "kind": "predict"}, "figures": {}, "done": 2, "total": 2},
]


def test_plain_lines_go_to_stderr(capsys):
    with Progress() as progress:
        for event in EVENTS:
            progress.event(event)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines == [
        "2 stages to run, 3 already done",
        "preparing [amigos]",
        "training 1 of 1",  # too early to tell the time left
        "predicting 1 of 1",
    ]


def fits(count, seconds, now):
    """The events of so many estimators that take so many seconds each, with their predictions."""
    todo = [{"id": f"{kind} {k}", "kind": kind, "fold": k} for k in range(count) for kind in ("estimator", "predict")]
    yield {"event": "plan", "total": len(todo), "done": 0, "stages": todo}
    for done, stage in enumerate(todo, 1):
        yield {"event": "stage_started", "stage": stage}
        now[0] += seconds if stage["kind"] == "estimator" else 0.0
        yield {"event": "stage_ended", "stage": stage, "figures": {}, "done": done, "total": len(todo)}


def test_a_kind_of_stage_has_one_counter_now_and_then_and_at_its_end(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with Progress() as progress:
        for event in fits(50, 4.0, now):
            progress.event(event)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "100 stages to run, 0 already done"
    assert lines[1] == "fitting 3 of 50, about 3 min left"
    assert lines[-2:] == ["fitting 50 of 50, about 1 s left", "predicting 50 of 50"]
    assert len(lines) == 19


def test_what_runs_at_once_is_counted_in_one_line(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    todo = [STAGE, {"id": "b", "kind": "predict"}, {"id": "c", "kind": "predict"}]
    with Progress() as progress:
        progress.event({"event": "plan", "total": 3, "done": 0, "stages": todo})
        for stage in todo:
            progress.event({"event": "stage_started", "stage": stage})
        now[0] = 60.0
        progress.event({"event": "epoch_ended", "stage": STAGE, "epoch": 3, "epochs": 9, "loss": 0.5})
        progress.event({"event": "stage_ended", "stage": todo[1], "figures": {}, "done": 1, "total": 3})
        progress.event({"event": "stage_failed", "stage": todo[2], "error": "it broke", "done": 2, "total": 3})
    assert capsys.readouterr().err.splitlines()[1:] == [
        "training 0 of 1, predicting 0 of 2 (unimodal eda arousal fold 1 seed 0: epoch 3 of 9, loss 0.5000)",
        "failed predict: it broke",
        "training 0 of 1, predicting 2 of 2",
    ]


def test_the_first_result_and_the_confound_analysis_are_told(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with Progress() as progress:
        progress.event({"event": "scored", "run": "r", "lines": ["AUROC 0.61", "  [0.55, 0.67]"]})
        movement = {"done": 0, "total": None, "text": "reading movement", "seconds": 130.0}
        progress.event({"event": "confounds", **movement})
        for done in range(13):
            now[0] += 6.0
            progress.event({"event": "confounds", "done": done, "total": 12, "text": "arousal", "seconds": None})
    assert capsys.readouterr().err.splitlines() == [
        "AUROC 0.61",
        "  [0.55, 0.67]",
        "confound analysis: reading movement, about 2 min left",
        "confound analysis: 0 of 12, about 2 min left",  # by the forecast
        "confound analysis: 2 of 12, about 1 min left",  # by the pace
        "confound analysis: 4 of 12, about 48 s left",
        "confound analysis: 6 of 12, about 36 s left",
        "confound analysis: 8 of 12, about 24 s left",
        "confound analysis: 10 of 12, about 12 s left",
        "confound analysis: 12 of 12",
    ]


def test_scoring_is_told(capsys):
    with Progress() as progress:
        progress.event({"event": "scoring", "run": "tcn-single-0123456789"})
    assert capsys.readouterr().err == "scoring tcn-single-0123456789 and its confound-only models\n"


def test_epochs_are_told_now_and_then(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with Progress() as progress:
        for epoch in range(1, 31):
            now[0] += 1.0
            progress.event({"event": "epoch_ended", "stage": STAGE, "epoch": epoch, "epochs": 40, "loss": 0.5})
    assert [line.split()[10] for line in capsys.readouterr().err.splitlines()] == ["10", "20", "30"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes stderr a terminal, and gives it; while fixtures are set up, pytest has a stderr of its own."""

    def shown():
        monkeypatch.setattr("sys.stderr", Terminal())
        monkeypatch.setenv("TERM", "xterm")
        return sys.stderr

    return shown


def test_bars_on_a_terminal(terminal):
    shown = terminal()
    with Progress() as progress:
        for event in EVENTS:
            progress.event(event)
    assert "preparing [amigos]" in shown.getvalue()


@pytest.mark.parametrize(("flags", "lines"), [({"quiet": True}, 0), ({"verbose": True}, 8), ({}, 4)])
def test_quiet_and_verbose(capsys, flags, lines):
    with console.mode(**{"quiet": False, "verbose": False, "colour": True, **flags}), Progress() as progress:
        for event in EVENTS:
            progress.event(event)
    assert len(capsys.readouterr().err.splitlines()) == lines


@pytest.mark.parametrize(("seconds", "text"), [(4, "4 s"), (61, "1 min"), (5000, "83 min"), (9000, "2.5 h")])
def test_duration(seconds, text):
    assert format_duration(seconds) == text


def test_steps_are_told_now_and_then_with_the_time_left(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with Steps() as steps:
        for done in range(1, 31):
            now[0] += 2.0
            steps(done, 30, "prepared")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "prepared: 5 of 30 subjects"  # 8 s since the first
    assert lines[1] == "prepared: 10 of 30 subjects, about 40 s left"
    assert lines[-1] == "prepared: 30 of 30 subjects"
    assert len(lines) == 6


def test_what_all_steps_need_is_not_counted_for_each(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with Steps("entries", "written") as steps:
        now[0] = 19.0  # read, before the first is written
        for done in range(1, 295):
            now[0] += 0.1
            steps(done, 294, "written")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "written: 1 of 294 entries"  # once: 1.5 h left
    assert lines[1].startswith("written: 101 of 294 entries, about 19 s left")


def test_a_download_that_goes_on_is_timed_by_what_it_gains(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with Steps("MB") as steps:
        steps(900_000_000, 1_000_000_000, "downloading x.zip")
        now[0] = 20.0
        steps(920_000_000, 1_000_000_000, "downloading x.zip")
        steps(10, None, "downloading y.zip")
    assert capsys.readouterr().err.splitlines() == ["downloading x.zip: 920 of 1,000 MB, about 1 min left"]


def stages(*kinds):
    return [{"id": f"{kind} {k}", "kind": kind, "fold": k} for k in range(5) for kind in kinds]


def test_time_left_comes_from_stages_of_the_same_kind_and_not_from_what_came_before_them(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    todo = stages("estimator", "predict")
    with Progress() as progress:
        progress.event({"event": "plan", "total": 10, "done": 0, "stages": todo})
        now[0] = 300.0  # features are computed
        for done, stage in enumerate(todo, 1):
            progress.event({"event": "stage_started", "stage": stage})
            now[0] += 20.0 if stage["kind"] == "estimator" else 1.0
            progress.event({"event": "stage_ended", "stage": stage, "figures": {}, "done": done, "total": 10})
    assert capsys.readouterr().err.splitlines()[1:] == [
        "fitting 1 of 5, about 1 min left",  # 4 others of 20 s
        "fitting 2 of 5, about 1 min left",
        "fitting 3 of 5, about 43 s left",
        "fitting 4 of 5, about 22 s left",
        "fitting 5 of 5, about 1 s left",
        "predicting 5 of 5",
    ]


def test_epochs_tell_the_time_left_before_the_first_stage_is_over_and_workers_share_it(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    todo = stages("fusion")
    with Progress() as progress:
        progress.event({"event": "plan", "total": 5, "done": 0, "stages": todo})
        for stage in todo[:2]:
            progress.event({"event": "stage_started", "stage": stage})
        for epoch, now[0] in ((1, 100.0), (2, 160.0)):  # of a stage that begins with 40 s of loading
            progress.event({"event": "epoch_ended", "stage": todo[0], "epoch": epoch, "epochs": 10, "loss": 0.5})
    one, two = capsys.readouterr().err.splitlines()[-2:]
    assert one == "training 0 of 5 (fusion fold 0: epoch 1 of 10, loss 0.5000)"  # nothing to compare it with
    assert two == "training 0 of 5 (fusion fold 0: epoch 2 of 10, loss 0.5000), about 24 min left"
    # (5 x 640 s - 2 x 160 s) / 2


def test_a_kind_of_stage_on_a_terminal_has_a_bar(monkeypatch, terminal):
    now, shown = [100.0], terminal()
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with Progress() as progress:
        progress.event({"event": "plan", "total": 2, "done": 0, "stages": [STAGE, {**STAGE, "id": "b", "fold": 2}]})
        progress.event({"event": "stage_started", "stage": STAGE})
        for epoch, now[0] in ((5, 105.0), (10, 110.0)):
            progress.event({"event": "epoch_ended", "stage": STAGE, "epoch": epoch, "epochs": 40, "loss": 0.5})
        progress.event({"event": "confounds", "done": 1, "total": 4, "text": "fold 1", "seconds": 70.0})
    rows = shown.getvalue().splitlines()
    assert any("training 0 of 2" in row and "epoch 10 of 40, loss 0.5000" in row for row in rows)
    assert any("stages 0 of 2" in row and "about 1 min left" in row for row in rows)
    assert any("confound analysis: 1 of 4" in row and "about 1 min left, fold 1" in row for row in rows)


def test_a_long_job_is_foretold_with_ways_to_make_it_smaller(capsys):
    with Progress(["--recipe quick", "--seeds 0"]) as progress:
        progress.event({"event": "forecast", "seconds": 500.0})
        progress.event({"event": "plan", "total": 2, "done": 0})
        progress.event({"event": "forecast", "seconds": 5691.0})
        progress.event({"event": "plan", "total": 15, "done": 0})
    assert capsys.readouterr().err.splitlines() == [
        "2 stages to run, 0 already done, about 8 min",
        "warning: this run takes about 1.6 h on this machine; to reduce the time: --recipe quick, --seeds 0",
        "15 stages to run, 0 already done, about 1.6 h",
    ]


@pytest.mark.parametrize(
    ("options", "ways"),
    [
        ({}, ["--recipe quick", "--seeds 0", "fewer --modalities"]),
        ({"recipe": "quick", "seeds": "2", "modalities": "eda"}, []),
        (
            {"recipe": "small", "seeds": "0", "modalities": "eda,ppg"},
            ["--recipe quick", "fewer --modalities"],
        ),
    ],
)
def test_ways_to_make_a_run_smaller_are_those_that_it_has_left(options, ways):
    from embench.planning.request import make_request

    assert suggest_smaller(make_request(dataset="deap", encoder="tcn", **options)) == ways
