"""Methods with runs at several amounts that test subjects give: the curve in reports, on boards and entries, and as
data."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from embench.interfaces.metric import Undefined
from embench.leaderboard.rows import load_entry_summaries
from embench.protocols import Given
from embench.records.record import Record, write_record
from embench.report.axis_curves import calibration_data_section
from embench.report.facts import RunFacts
from embench.site import build_site
from embench.site.leaderboards import build_calibration_curves

from ..leaderboard.test_given import personal_record
from ..leaderboard.test_verify import publish


@pytest.fixture(scope="module")
def made() -> dict[int, Record]:
    """Runs of a method by how many units they were given."""
    return {k: personal_record(Given(k), f"cnn_tf-single-{k}123456789", units=20) for k in (2, 5)}


def test_a_method_at_several_amounts_has_a_curve_and_one_at_a_single_amount_has_none(
    made: dict[int, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    first = publish(tmp_path, made[5])
    assert build_calibration_curves(load_entry_summaries(tmp_path / "boards")) == []
    publish(tmp_path, made[2])
    site = build_site(tmp_path / "boards", tmp_path / "two").parent
    board, own = site / first.parts[-3] / "index.html", site.joinpath(*first.parts[-3:]).with_suffix(".html")
    for page in (board, own):
        text = page.read_text()
        assert "Scores by calibration data" in text
        assert "Gain over the best confound-only model" in text
        assert "no amount may be chosen" in text
    rows = list(csv.DictReader((site / "data" / "given-curves.csv").open()))
    assert {row["at"] for row in rows} == {"2", "5"}
    assert {"labelled", "time_since_calibration", "calibration_class_proportions", "no_calibration"} <= {
        row["line"] for row in rows
    }
    assert {row["kind"] for row in rows} == {"method", "control", "gain"}


def test_a_report_draws_the_runs_beside_it_that_differ_in_what_is_given_alone(
    made: dict[int, Record], tmp_path: Path
) -> None:
    facts = []
    for record in made.values():
        folder = tmp_path / record.run["id"]
        write_record(folder, record)
        facts.append(RunFacts(record, folder, Undefined("not here")))
    section = calibration_data_section(facts[0])
    assert section is not None
    assert "Gain over the best confound-only model" in section
    assert section == calibration_data_section(facts[1])
    assert calibration_data_section(RunFacts(made[2], facts[0].folder, Undefined("not here"), for_others=True)) is None
    other = made[5]
    config = {**other.run["config"], "label_subjects": 3}
    write_record(facts[1].folder, replace(other, run={**other.run, "config": config}))
    assert calibration_data_section(facts[0]) is None
