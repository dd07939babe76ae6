"""The starts of own recordings in their sessions, by dates in tables and headers of files; what else hides a clock."""

from datetime import UTC, datetime

import numpy as np
import pytest
from tests.own_cases.files import Wave, edf

from embench.cli import main
from embench_plugins.datasets.own.reader import Own
from embench_plugins.datasets.own.synthetic import write_edf

from .own_files import BINARY, EDA, column, describe, write

START = 1_704_103_200
TASK = {"task": {"file": "task", "classes": ["calm", "stress"]}}
TARGETS = {"task": {"label": "task", **BINARY, "negative": ["calm"]}}


def table(start: float, unit: float = 1.0) -> str:
    return "t,EDA\n" + "".join(f"{(start + k / 4) / unit:.3f},{k % 9 + 1}\n" for k in range(40))


def places(root, eda, files="{participant}_{task}.csv"):
    describe(root, {"files": files, "signals": eda}, TASK, TARGETS)
    reader = Own(root)
    found = {r.id: (r.start_s, r.order) for s in reader.subjects() for r in reader.recordings(s)}
    return found, [finding.what for finding in reader.verify()]


EDF = {"eda": {"channels": {"eda": "EDA"}, "unit": "uS"}}
TIMED = {"eda": {"channels": {"eda": "EDA"}, "unit": "uS", "time": "t"}}


def test_unix_times_give_the_place_in_the_session(tmp_path):
    write(tmp_path, {"A_stress.csv": table(START), "A_calm.csv": table(START + 300), "B_calm.csv": table(START + 9)})
    found, said = places(tmp_path, TIMED)
    assert found == {"A/calm": (300, 1), "A/stress": (0, 0), "B/calm": (0, 0)}
    assert not any("start_s" in what for what in said)


def test_headers_of_edf_files_give_it(tmp_path):
    data = np.random.default_rng(0).standard_normal((1, 20 * 8))
    for task, clock in (("stress", "09.00.00"), ("calm", "09.10.00")):
        write_edf(tmp_path / f"A_{task}.edf", ("EDA",), 8, data, f"01.03.24{clock}")
    found, _ = places(tmp_path, {"eda": {**EDF["eda"], "unit": "a.u."}}, "{participant}_{task}.edf")
    assert found == {"A/calm": (600, 1), "A/stress": (0, 0)}


def test_the_fraction_of_a_second_of_edf_plus_counts(tmp_path):
    data = np.arange(160) / 160
    for task, begins in (("stress", 0.0), ("calm", 0.75)):
        (tmp_path / f"A_{task}.edf").write_bytes(edf([Wave("EDA", "uS", data)], [(1, "film")], begins))
    found, _ = places(tmp_path, EDF, "{participant}_{task}.edf")
    assert found == {"A/calm": (0.75, 1), "A/stress": (0, 0)}


@pytest.mark.parametrize("start", ["01.01.8500.00.00", "01.03.2400.00.00"])
def test_a_header_that_hides_the_day_gives_none(tmp_path, start):
    data = np.random.default_rng(0).standard_normal((1, 20 * 8))
    for task in ("stress", "calm"):
        write_edf(tmp_path / f"A_{task}.edf", ("EDA",), 8, data, start)
    eda = {"eda": {"channels": {"eda": "EDA"}, "unit": "a.u."}}
    found, said = places(tmp_path, eda, "{participant}_{task}.edf")
    assert set(found.values()) == {(None, None)}
    assert any("2 recordings" in what and "`start_s:`" in what for what in said)


def test_what_the_description_says_comes_first(tmp_path):
    write(tmp_path, {"A_stress.csv": table(START), "A_calm.csv": table(START + 300)})
    rows = "who,task,begins\nA,stress,40\nA,calm,1000\n"
    write(tmp_path, {"starts.csv": rows})
    start = {"table": "starts.csv", "keys": {"participant": "who", "task": "task"}, "column": "begins"}
    source = {"files": "{participant:?}_{task}.csv", "signals": TIMED, "start_s": start}
    describe(tmp_path, source, TASK, TARGETS)
    assert {r.id: (r.start_s, r.order) for r in Own(tmp_path).recordings("A")} == {
        "A/calm": (1000, 1), "A/stress": (40, 0),
    }  # fmt: skip


def test_files_without_times_say_what_is_missing(tmp_path):
    write(tmp_path, {f"{who}_{task}.csv": column(range(1, 41)) for who in "AB" for task in ("calm", "stress")})
    found, said = places(tmp_path, {"eda": EDA})
    assert set(found.values()) == {(None, None)}
    assert sum("nothing says when 4 recordings began" in what for what in said) == 1


def test_dates_are_in_the_stated_zone(tmp_path):
    stamps = [datetime.fromtimestamp(START + k / 4, UTC).strftime("%Y-%m-%d %H:%M:%S.%f") for k in range(40)]
    rows = "t,EDA\n" + "".join(f"{at},{k % 9 + 1}\n" for k, at in enumerate(stamps))
    write(tmp_path, {"A_calm.csv": rows, "A_stress.csv": rows.replace("2024-01-01", "2024-01-02")})
    found, _ = places(tmp_path, TIMED)
    assert found == {"A/calm": (0, 0), "A/stress": (86_400, 1)}


def test_one_cause_is_one_line_and_never_empties_a_study(tmp_path, capsys):
    people = [f"P{k:02d}" for k in range(1, 7)]
    rows = "who,from,to,stage\n" + "".join(f"{p},03.05.2024 10:33:08,03.05.2024 10:34:{k:02d},stress\n"
                                           for k, p in enumerate(people, 10))  # fmt: skip
    write(tmp_path, {**{f"{p}.csv": column(range(1, 400)) for p in people}, "stages.csv": rows})
    keys = {"participant": "who"}
    trials = {"table": "stages.csv", "keys": keys, "start": "from", "end": "to", "stimulus": "stage"}
    source = {"files": "{participant:P##}.csv", "signals": {"eda": EDA}, "trials": trials}
    describe(tmp_path, source, {"stage": {"trial": "stage", "classes": ["rest", "stress"]}}, {
        "stress": {"label": "stage", **BINARY},
    })  # fmt: skip
    before = (tmp_path / "dataset.yaml").read_text()
    assert main(["data", "verify", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert told.count("10:33:08") == 1
    assert "6 findings like this" in " ".join(told.split())
    assert main(["data", "verify", str(tmp_path), "--exclude-faulty"]) == 1
    assert "over a third" in capsys.readouterr().err
    assert (tmp_path / "dataset.yaml").read_text() == before
    faulty = "\nfaulty:\n" + "".join(f"  - {{recording: {p}}}\n" for p in people)
    (tmp_path / "dataset.yaml").write_text(before + faulty)
    assert main(["data", "verify", str(tmp_path)]) != 0
    assert "leave no recording" in capsys.readouterr().err
