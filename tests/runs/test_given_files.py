"""Files of predictions that were made with something of the test subjects: what they must say, and what is made of
it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import embench
from embench.data.find import find_source
from embench.errors import DataError, EmbenchError, UsageError
from embench.protocols import load_protocol
from embench.records.record import read_record
from embench.records.scores import CalibrationGain
from embench.runs import external
from embench.runs.external import list_unit_rows

from ..audits.planting import audit_run
from ..planning.days import write_days, write_rules
from ..tiny.world import RULES

MOST = 3


class World(NamedTuple):
    data: str
    protocol: str
    units: Sequence[Mapping[str, Any]]
    folder: Path

    def of(self, use: str) -> list[Mapping[str, Any]]:
        return [unit for unit in self.units if unit["use"] == use]

    def write(self, name: str, amounts: Mapping[str, float], more: Sequence[Mapping[str, Any]] = ()) -> Path:
        """A file with rows of all scored units for each amount, as well told as its number says."""
        path = self.folder / f"{name}.csv"
        with path.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["subject", "recording", "unit", "target", "score", "calibration_data"])
            for given, well in amounts.items():
                for k, unit in enumerate([*self.of("scored"), *more]):
                    score = 0.5 + well * (float(unit["label"]) - 0.5) + (k * 7 % 10 - 4.5) / 25
                    names = [unit[key] for key in ("subject", "recording", "unit", "target")]
                    lines.writerow([*names, f"{min(max(score, 0), 1):.4f}", given])
        return path

    def score(self, path: Path, given: str | None = None, **about: Any) -> list[Any]:
        about = {"protocol": self.protocol, "runs": self.folder / "runs", **about}
        return external.score_amounts(path, self.data, calibration_data=given, **about)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("calibration_data")
    data, path = write_days(root / "days", days=["day1"], blocks=10), root / "units.yaml"
    personal = {"gives": "units", "most": MOST, "guard_s": 30.0, "block_s": 120.0}
    rules = {**RULES, "primary_metric": "by_design", "normalise": "given", "personal": personal}
    path.write_text(yaml.safe_dump(rules))
    known, card = load_protocol(str(path)), find_source(str(data), None).card
    own = find_source(str(data), None).pseudonymous
    assert own is not None
    store = find_source(str(data), None).prepared(known, 1, None)
    return World(str(data), str(path), list_unit_rows(store, card, card.targets, known, own.original_names()), root)


def is_by_labels(personal: CalibrationGain) -> bool:
    """True if the verdict is what all that is there says; whether the clock does is by chance in so few people."""
    above = all(gaps["auroc_within"].above_zero for gaps in personal.compared_with.values())
    return personal.source == ("labels" if above else "not_shown")


def test_the_list_of_units_says_what_each_is_for(world: World) -> None:
    uses = Counter(unit["use"] for unit in world.units)
    assert uses["calibration"] == 6 * 2 * MOST
    assert uses["scored"] > uses["gap"] > 0
    for unit in world.units:
        assert (unit["use"] == "calibration") == (unit["rank"] != "")
        assert (unit["use"] == "scored") == (unit["fold_0"] != "")
    first = [unit for unit in world.of("calibration") if unit["subject"] == world.units[0]["subject"]]
    by_class = {label: [u["rank"] for u in first if u["label"] == label] for label in ("0", "1")}
    assert by_class == {"0": [1, 2, 3], "1": [1, 2, 3]}
    last = max(unit["start_s"] for unit in first)
    assert all(u["start_s"] > last for u in world.of("scored") if u["subject"] == first[0]["subject"])


@pytest.mark.slow
def test_a_file_of_several_amounts_makes_a_record_of_each_with_what_the_others_say(world: World) -> None:
    results = world.score(world.write("several", {"0": 0.1, "2": 0.6, "unlabelled:2": 0.1}))
    runs = {str(result.manifest["calibration_data"]): result for result in results}
    assert list(runs) == ["{}", "{'unlabelled': 2}", "{'labelled': 2}"]
    labelled = runs["{'labelled': 2}"]
    assert labelled.manifest["target_access"] == "2_labelled_units"
    personal = labelled.scores.get_calibration_gain("stress")
    assert set(personal.compared_with) == {
        "no_calibration",
        "calibration_normalised",
        "calibration_class_proportions",
        "time_since_calibration",
    }
    assert personal.missing == ["calibration_only"]
    assert labelled.scores["confound_only"]["calibration_only"]["stress"]["undefined"] == {"id": "unknown_features"}
    others = ("no_calibration", "calibration_normalised")
    assert all(personal.compared_with[name]["auroc_within"].above_zero for name in others)
    assert is_by_labels(personal)
    mean = {given: result.scores.get_score("stress", "auroc_within").mean for given, result in runs.items()}
    gained = personal.compared_with["no_calibration"]["auroc_within"].difference.mean
    assert gained == pytest.approx(mean["{'labelled': 2}"] - mean["{}"])
    assert runs["{}"].scores.get_calibration_gain("stress") is None
    unlabelled = runs["{'unlabelled': 2}"].scores.get_calibration_gain("stress")
    assert not unlabelled.missing
    assert unlabelled.source == "not_shown"
    audited = audit_run(labelled.folder, dataset=world.data)
    assert not [finding.what for _, finding in audited.findings if finding.severity == "severe"]


def test_what_a_file_lacks_is_said_by_the_verdict_and_judged_by_the_rest(world: World) -> None:
    [alone] = world.score(world.write("alone", {"2": 0.6}))
    personal = alone.scores.get_calibration_gain("stress")
    assert personal.missing == ["no_calibration", "calibration_normalised", "calibration_only"]
    assert set(personal.compared_with) == {"calibration_class_proportions", "time_since_calibration"}
    assert personal.compared_with["calibration_class_proportions"]["auroc_within"].above_zero
    assert is_by_labels(personal)
    told = " ".join(alone.summaries["stress"].notes)
    assert "not compared with no_calibration, calibration_normalised and calibration_only" in told
    some = world.of("scored")[:5]
    path = world.write("partly", {"2": 0.6})
    with path.open("a", newline="") as file:
        for unit in some:
            csv.writer(file).writerow([*(unit[key] for key in ("subject", "recording", "unit", "target")), 0.5, "0"])
    [partly] = world.score(path, "2")
    assert partly.scores["confound_only"]["no_calibration"]["stress"]["undefined"]["n"] == 5
    assert "no_calibration" in partly.scores.get_calibration_gain("stress").missing


def test_python_chooses_an_amount(world: World, tmp_path: Path) -> None:
    path = world.write("chosen", {"0": 0.1, "1": 0.5})
    about: dict[str, Any] = {"dataset": world.data, "protocol": world.protocol}
    found = embench.score(path, calibration_data=1, out=tmp_path / "one", **about)
    assert read_record(found.folder).run["calibration_data"] == {"labelled": 1}
    assert "no_calibration" in found.scores.get_calibration_gain("stress").compared_with
    with pytest.raises(UsageError, match="several amounts"):
        embench.score(path, out=tmp_path / "two", **about)


@pytest.mark.parametrize(
    ("use", "words"),
    [("calibration", "that are calibration data"), ("gap", "in the gap between calibration data and")],
)
def test_units_that_are_given_or_in_the_gap_are_no_predictions(world: World, use: str, words: str) -> None:
    path = world.write(f"with-{use}", {"2": 0.5}, world.of(use)[:2])
    with pytest.raises(DataError, match=words):
        world.score(path)


def refusals(world: World) -> dict[str, Callable[[], object]]:
    blank = world.write("blank", {"": 0.5, "2": 0.5})
    return {
        "the amount of calibration data is not known": lambda: world.score(world.write("silent", {"": 0.5})),
        "rows do not name": lambda: world.score(blank),
        "are not an amount of calibration data": lambda: world.score(world.write("odd", {"five": 0.5})),
        "no rows with 3": lambda: world.score(world.write("two", {"2": 0.5}), "3"),
        f"have at most {MOST} units": lambda: world.score(world.write("silent", {"0": 0.5, "9": 0.5})),
        "does not let a file choose": lambda: world.score(
            world.write("elsewhere", {"2": 0.5}), protocol=write_rules(world.folder, "blocks")
        ),
    }


@pytest.mark.parametrize("number", range(6))
def test_a_file_that_does_not_say_what_was_given_is_refused(world: World, number: int) -> None:
    words, refused = list(refusals(world).items())[number]
    with pytest.raises(EmbenchError, match=words):
        refused()
    assert not list((world.folder / "runs").glob("*/submission-silent*"))
