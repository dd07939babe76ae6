"""Claims of each paper from synthetic data to verdicts, at the `quick` recipe."""

import json

import pytest

from embench.claims.examine import direction_verdict
from embench.records import record

from ..sample import WHOLE, proof

pytestmark = pytest.mark.slow

PAPERS = {
    "vazquez2022": ("amigos/all", "V1", "V4"),
    "strizhkova2024": ("amigos", "S6", "S10-physio"),
    "woo2023": ("amigos", "W1", "W3-ecg"),
    "wu2023": ("k_emocon", "U1", "U6-eda"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A few made-up subjects of each dataset; those of K-EmoCon were recorded in pairs."""
    from embench.cli import main

    root = tmp_path_factory.mktemp("claims")
    for name, subjects, length in [("amigos", 4, 12), *[("k_emocon", 6, 300)] * WHOLE]:
        size = ["--subjects", str(subjects), "--length-s", str(length)]
        assert main(["data", "synthesize", name, "--out", str(root / name), *size]) == 0
    return root


@pytest.mark.parametrize(
    "paper", ["strizhkova2024", *(pytest.param(p, marks=proof) for p in ("wu2023", "vazquez2022", "woo2023"))]
)
def test_two_claims_of_a_paper_end_with_verdicts_that_follow_from_the_rows(paper, data, tmp_path, embench):
    dataset, *ids = PAPERS[paper]
    line = ["claims", paper, "--dataset", dataset, "--data-root", data, "--runs", tmp_path, "--recipe", "quick"]
    line += ["--seeds", "0", "--device", "cpu", "--workers", "1", "--json"]
    done = embench(*line, *(word for name in ids for word in ("--claim", name)))
    document = json.loads(done.out)
    assert [claim["id"] for claim in document["claims"]] == ids
    compared = [row for claim in document["claims"] for row in claim["rows"] if row["status"] == "compared"]
    assert "paper" in {row["leg"] for row in compared}
    for row in (row for claim in document["claims"] for row in claim["rows"] if row["status"] != "compared"):
        assert row["leg"] == "fixed"
        assert "Too few" in row["reason"]  # a primary metric that compares subjects, of four of them
    for row in compared:
        assert row["synthetic"]
        assert row["recipe"] == "quick"
        gap = row["difference"]
        a, b = (record.read_record(row["runs"][side]) for side in ("a", "b"))
        if set(a.predictions["unit"]) == set(b.predictions["unit"]):  # else it is of the units that both answered
            one, other = (run.scores["scores"][row["target"]][row["metric"]]["mean"] for run in (a, b))
            assert gap["mean"] == pytest.approx(one - other, abs=1e-6)
        assert row["verdict"] == direction_verdict(
            gap["low"], gap["high"], row["corrected"], seeds=row["seeds"], allowance=row["allowance"]
        )
    missing = [row for claim in document["claims"] for row in claim["rows"] if row["status"] != "compared"]
    assert all("undefined" in row["reason"] for row in missing), missing  # four subjects may have one class each
    assert done.code == (6 if missing else 0)
