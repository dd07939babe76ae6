"""Pretrained runs and their comparison runs, run for real: what is printed, compared and reported."""

import json

import pytest

from embench import run_grid
from embench.records.record import read_manifest

from ..tiny.world import plugin

SHORT = ("--modalities", "ecg", "--target", "arousal", "--set", "encoder.epochs=2")


@pytest.mark.slow
def test_one_command_runs_a_pretrained_row_and_its_comparison_runs(bench, embench, tmp_path):
    line = bench.line("--pretrainer", "masked_value", *SHORT, "--pretraining-comparison")
    plans = embench(*line, "--dry-run", "--json")
    assert plans.code == 0, plans.err
    assert len(json.loads(plans.out)) == 4
    assert not bench.stages()
    done = embench(*line, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    row, frozen, scratch, features = (run["run"] for run in document["runs"])
    (found,) = document["pretraining_comparison"]
    assert (found["run"], found["epochs_at_most"]) == (row, 2)
    assert [(each["kind"], each["run"]) for each in found["differences"]] == [
        ("random_frozen", frozen), ("scratch", scratch), ("features", features),
    ]  # fmt: skip
    assert all(
        each["difference"]["low"] <= each["difference"]["mean"] <= each["difference"]["high"]
        for each in found["differences"]
    )
    folders = [bench.runs / "Tiny" / id_ for id_ in (row, frozen, scratch, features)]
    assert read_manifest(folders[1]).config["parts"]["encoder[ecg]"]["frozen"]
    again = embench(*line)
    assert "0 stages to run" in again.err
    text = " ".join(again.out.split())
    assert "except for encoder.epochs=2" in text
    assert "Networks were trained for at most 2 epochs" in text

    compared = json.loads(embench("compare", *folders, "--json").out)
    assert compared["pretraining_comparison"] == document["pretraining_comparison"]

    board = run_grid(
        dataset=plugin("Tiny"), encoder=plugin("Pool"), pretrainer="masked_value", modalities="ecg", target="arousal",
        protocol=bench.protocol, recipe="quick", seeds=0, device="cpu", data_root=bench.data, runs=bench.runs,
        workers=1, set="encoder.epochs=2", pretraining_comparison=True, progress=False,
    )  # fmt: skip
    assert [result.id for result in board.results] == [row, frozen, scratch, features]
    (compared_there,) = board.pretraining_comparisons.values()
    assert [(gain.run, gain.difference.mean) for gain in compared_there.gains] == [
        (each["run"], each["difference"]["mean"]) for each in found["differences"]
    ]
    assert "over the same from scratch" in repr(board)
    # A run that is trained less is not compared, and neither is another method.
    less = embench(*bench.line(*SHORT[:-1], "encoder.epochs=1", "--json"))
    other = bench.runs / "Tiny" / json.loads(less.out)["run"]
    compared = json.loads(embench("compare", folders[0], folders[2], other, "--json").out)
    assert [each["run"] for each in compared["pretraining_comparison"][0]["differences"]] == [scratch]
    assert "its comparison runs" not in embench("compare", folders[0], other).out

    page = embench("report", folders[0], "--out", tmp_path / "page.html", "--data-root", bench.data, "--trust-code")
    assert page.code == 0, page.err
    html = (tmp_path / "page.html").read_text()
    assert "From-scratch and feature comparison" in html
    assert all(id_ in html for id_ in (frozen, scratch, features))
    assert other.name not in html


def test_comparison_runs_of_what_is_not_pretrained_are_refused_before_anything_is_computed(bench, embench):
    refused = embench(*bench.line(*SHORT, "--pretraining-comparison"))
    assert refused.code == 2
    assert "--pretraining-comparison requires a pretrained encoder or a pretrainer" in refused.err
    assert not bench.stages()
