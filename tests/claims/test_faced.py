"""Claims of `gerster2026` on generated FACED: the verdicts that were planted, where the EEG tells films alone, and
where it follows what subjects felt."""

import json

import pytest

from embench_plugins.datasets.synthetic.faced import Planted, fill, synthesize

pytestmark = pytest.mark.slow

FILMS, FELT = "films alone", "emotions felt"
PLANTED = {FILMS: Planted(film=6, emotion=0, block=0), FELT: Planted(film=0, emotion=3, block=0)}
SUBJECTS = {FILMS: 6, FELT: 8}
"""With fewer, intervals are too wide for these verdicts."""
VERDICTS = {
    "G1": {FILMS: "supported", FELT: "contradicted"},
    "E1": {FILMS: "supported", FELT: "contradicted"},
    "E3": {FILMS: "supported", FELT: "contradicted"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Gives the folder with clips of some seconds in which this was planted."""

    def write(planted, subjects):
        root = tmp_path_factory.mktemp("faced")
        synthesize(root / "sidecars", subjects, 0, 0.0, length_s=6)
        fill(root / "sidecars", root / "faced", 0, planted)
        return root

    return write


@pytest.fixture
def verdicts(made, tmp_path, embench):
    """Runs claims with three seeds; gives the rows of each, what `over` says -> its row."""

    def run(planted, subjects, *claims):
        own = ["--data-root", made(planted, subjects), "--runs", tmp_path, "--device", "cpu", "--workers", "1"]
        chosen = (word for name in claims for word in ("--claim", name))
        done = embench("claims", "gerster2026", *own, "--recipe", "small", "--json", *chosen)
        assert done.code == 0, done.err
        found = json.loads(done.out)["claims"]
        return {claim["id"]: {row["over"]: row for row in claim["rows"]} for claim in found}

    return run


@pytest.mark.parametrize("world", PLANTED)
def test_claims_get_the_verdicts_that_were_planted(world, verdicts):
    found = verdicts(PLANTED[world], SUBJECTS[world], *VERDICTS)
    assert {name: rows["people"]["verdict"] for name, rows in found.items()} == {
        name: expected[world] for name, expected in VERDICTS.items()
    }
    assert len({row["runs"][0] for rows in found.values() for row in rows.values()}) == 1  # all share the plain run
