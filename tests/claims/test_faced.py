"""Claims of `gerster2026` on generated FACED: the verdicts that were planted, where the EEG tells films alone, and
where it follows what subjects felt."""

import json

import pytest

from embench_plugins.datasets.faced.synthetic import Planted, synthesize

from ..sample import WHOLE, proof

pytestmark = pytest.mark.slow

FILMS, FELT = "films alone", "emotions felt"
PLANTED = {FILMS: Planted(film=6, emotion=0, block=0), FELT: Planted(film=0, emotion=3, block=0)}
SUBJECTS = {FILMS: 5, FELT: 10}
"""With fewer, intervals are too wide for the verdicts on these claims; `ENOUGH` for those on all."""
ENOUGH = {FILMS: 6, FELT: 10}
VERDICTS = {
    "G1": {FILMS: "supported", FELT: "contradicted"},
    "E1": {FILMS: "supported", FELT: "contradicted"},
    "E3": {FILMS: "supported", FELT: "contradicted"},
}
CLAIMS = [*VERDICTS] if WHOLE else ["G1", "E1"]
"""E3, of the same measure as E1, needs a run of its own."""
MORE = {
    "G2": {FILMS: "supported", FELT: "contradicted"},
    "G3a": {FILMS: "undecided", FELT: "undecided"},
    "G3b": {FILMS: "undecided", FELT: "undecided"},
    "G4": {FILMS: "supported", FELT: "supported"},
    "G4-chance": {FILMS: "contradicted", FELT: "contradicted"},
    "E1-chance": {FILMS: "undecided", FELT: "contradicted"},
    "E2": {FILMS: "supported", FELT: "undecided"},
}
"""What docs/papers/gerster2026.md says of the others, in those sets alone."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Gives the folder with clips of some seconds in which this was planted."""

    def write(planted, subjects):
        root = tmp_path_factory.mktemp("faced")
        synthesize(root / "faced", subjects, 0, planted.emotion, length_s=6, planted=planted)
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


def of_people(found):
    return {name: rows["subjects"]["verdict"] for name, rows in found.items()}


@pytest.mark.parametrize("world", [FILMS, pytest.param(FELT, marks=proof)])
def test_claims_get_the_verdicts_that_were_planted(world, verdicts):
    found = verdicts(PLANTED[world], SUBJECTS[world], *CLAIMS)
    assert of_people(found) == {name: VERDICTS[name][world] for name in CLAIMS}
    assert len({row["runs"][0] for rows in found.values() for row in rows.values()}) == 1  # all share the plain run


@proof
def test_a_class_of_one_film_is_easier_where_not_every_film_is_recognised(verdicts):
    assert of_people(verdicts(Planted(film=3, emotion=0, block=0), 8, "G3a")) == {"G3a": "supported"}


@proof
@pytest.mark.parametrize("world", PLANTED)
def test_all_claims_get_the_verdicts_that_the_papers_page_says(world, verdicts):
    found = verdicts(PLANTED[world], ENOUGH[world], *VERDICTS, *MORE)
    assert of_people(found) == {name: expected[world] for name, expected in {**VERDICTS, **MORE}.items()}
    assert found["E1-chance"]["stimuli"].get("holds_reference", False) is (world == FILMS)
