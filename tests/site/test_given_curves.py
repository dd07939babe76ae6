"""Methods with rows at several amounts that test subjects give: the curve on the board, on the entry, and as data."""

import csv
from pathlib import Path

import pytest

from embench.protocols import Given
from embench.site import build_site

from ..leaderboard.test_given import personal_record
from ..leaderboard.test_verify import publish


def test_a_method_at_several_amounts_has_a_curve_and_one_at_a_single_amount_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    first = publish(tmp_path, personal_record(Given(5), "cnn_tf-single-0123456789", units=20))
    alone = build_site(tmp_path / "boards", tmp_path / "one").parent
    assert "by what test subjects give" not in (alone / first.parts[-3] / "index.html").read_text()
    assert not (alone / "data" / "given-curves.csv").exists()
    publish(tmp_path, personal_record(Given(2), "cnn_tf-single-1123456789", units=20))
    site = build_site(tmp_path / "boards", tmp_path / "two").parent
    board, own = site / first.parts[-3] / "index.html", site.joinpath(*first.parts[-3:]).with_suffix(".html")
    for page in (board, own):
        text = page.read_text()
        assert "Scores by what test subjects give" in text
        assert "Gain above the best control" in text
        assert "no amount may be chosen" in text
    rows = list(csv.DictReader((site / "data" / "given-curves.csv").open()))
    assert {row["at"] for row in rows} == {"2", "5"}
    assert {"labelled", "since_slice", "slice_share", "nothing_given"} <= {row["line"] for row in rows}
    assert {row["kind"] for row in rows} == {"method", "control", "gain"}
