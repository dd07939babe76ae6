"""The folds of a spot check follow from a nonce that neither the author of an entry nor its checker could choose."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from embench.cli import main
from embench.errors import EmbenchError
from embench.leaderboard import load_sections
from embench.leaderboard.entries import hash_entry, list_test_stages, name_attestation, pick_stages
from embench.leaderboard.nonces import Nonces, commit_nonces, read_nonces, reveal_nonce
from embench.records.record import read_manifest

from ..leaderboard.boards import Place, place
from ..leaderboard.test_verify import honest, published

__all__ = ["honest", "place", "published"]


def spot_check(entry: Path, value: str, **more: Any) -> Path:
    """The file that somebody writes who ran the folds of a nonce."""
    run = read_manifest(entry)
    digest = hash_entry(entry, run)
    content = {
        "version": 1, "protocol": run.protocol.name, "entry": run.id, "digest": digest, "level": "spot_checked",
        "by": "Somebody Else", "on": "2026-12-24", "versions": {}, "nonce": value,
        "stages": pick_stages(digest, value, 2, list_test_stages(entry, run)), **more,
    }  # fmt: skip
    path = entry.parents[1] / "attestations" / name_attestation(run.protocol.name, run.id, "Somebody Else")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def evidence(entry: Path) -> str:
    """The word of the leaderboard; where it refuses an attestation, that."""
    try:
        sections = load_sections(entry.parents[2])
    except EmbenchError:
        return "refused"
    [row] = [row for section in sections for row in section.rows if row.is_method and row.id == entry.name]
    return row.evidence.level


def test_a_nonce_that_its_checker_ground_attests_nothing(published: Path) -> None:
    run, stages = read_manifest(published), [(0, 0), (1, 1)]
    drawn = (
        n
        for n in map(str, range(9999))
        if pick_stages(hash_entry(published, run), n, 2, list_test_stages(published, run)) == stages
    )
    spot_check(published, next(drawn))
    assert evidence(published) in ("refused", "self_reported")


def test_a_nonce_of_ones_own_is_refused_in_a_pull_request(published: Path, tmp_path: Path) -> None:
    boards = published.parents[2]
    shutil.copytree(boards, tmp_path / "earlier")
    spot_check(published, "1")
    assert main(["leaderboard", "verify", str(boards), "--previous", str(tmp_path / "earlier")]) == 1


def digest_of(entry: Path) -> str:
    return hash_entry(entry, read_manifest(entry))


def drawn(entry: Path, nonces: Nonces) -> Path:
    """The spot check of the folds that follow from the nonce of an entry."""
    found = nonces.revealed[-1]
    run, when = read_manifest(entry), found.revealed.isoformat()
    nonce = {"value": found.nonce, "source": "nonces.json", "time": when}
    return spot_check(entry, found.nonce, version=2, nonce=nonce, total=len(list_test_stages(entry, run)))


@pytest.fixture
def secret(published: Path) -> str:
    """That of the published boards, whose nonces were revealed for somebody else's entry."""
    boards = published.parents[2]
    secret = commit_nonces(boards)
    reveal_nonce(boards, ["0" * 64], secret)
    return secret


def nonces_of(entry: Path) -> Nonces:
    found = read_nonces(entry.parents[2])
    assert found
    return found


def test_the_folds_of_the_revealed_nonce_attest(published: Path, secret: str) -> None:
    reveal_nonce(published.parents[2], ["0" * 64, digest_of(published)], secret)
    drawn(published, nonces_of(published))
    assert nonces_of(published).revealed[1].entries == [digest_of(published)]
    [row] = [row for s in load_sections(published.parents[2]) for row in s.rows if row.is_method]
    assert str(row.evidence) == "2 of 8 stages checked by Somebody Else, 2026-12-24"
    assert row.evidence.level == "spot_checked"


def test_a_nonce_that_is_older_than_the_entry_is_refused(published: Path, secret: str) -> None:
    drawn(published, nonces_of(published))
    assert evidence(published) == "refused"
    reveal_nonce(published.parents[2], [digest_of(published)], secret)
    assert evidence(published) == "refused"


@pytest.mark.parametrize(
    "more", [{"nonce": {"time": "2026-12-01T00:00:00Z"}}, {"total": 500}, {"stages": [[0, 0], [0, 1]]}]
)
def test_what_does_not_follow_from_the_nonce_is_refused(published: Path, secret: str, more: Any) -> None:
    reveal_nonce(published.parents[2], [digest_of(published)], secret)
    path = drawn(published, nonces_of(published))
    content = json.loads(path.read_text())
    if "nonce" in more:
        more = {"nonce": content["nonce"] | more["nonce"]}
    different = {name: value for name, value in more.items() if content[name] != value}
    path.write_text(json.dumps({**content, **different}))
    assert evidence(published) == ("refused" if different else "spot_checked")


@pytest.mark.usefixtures("secret")
def test_nobody_without_the_secret_reveals_a_nonce(published: Path) -> None:
    with pytest.raises(EmbenchError, match="the secret is not the committed one"):
        reveal_nonce(published.parents[2], [digest_of(published)], "0" * 64)
    path = published.parents[2] / "nonces.json"
    content = json.loads(path.read_text())
    made = {"nonce": "1" * 64, "revealed": "2026-12-01T00:00:00Z", "entries": [digest_of(published)]}
    path.write_text(json.dumps({**content, "revealed": [*content["revealed"], made]}))
    drawn(published, Nonces.model_validate(json.loads(path.read_text())))
    assert evidence(published) == "refused"


@pytest.mark.parametrize("change", ["committed anew", "revealed", "deleted"])
def test_a_pull_request_brings_no_nonce(published: Path, secret: str, tmp_path: Path, change: str) -> None:
    boards = published.parents[2]
    shutil.copytree(boards, tmp_path / "earlier")
    line = ["leaderboard", "verify", str(boards), "--previous", str(tmp_path / "earlier")]
    assert main(line) == 0
    if change == "revealed":
        reveal_nonce(boards, [digest_of(published)], secret)
    else:
        (boards / "nonces.json").unlink()
    if change == "committed anew":
        commit_nonces(boards)
    assert main(line) == 1


@pytest.mark.slow
def test_a_nonce_by_hand_is_not_attested(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["leaderboard", "reproduce", str(place.entry), "--spot-check", "2", "--data-root", str(place.data)]
    for more in ([], ["--nonce", "19"]):
        assert main([*line, "--attester", "A. Reader", *more]) == 0
        assert "not attested" in capsys.readouterr().err
    assert not list(place.entry.parents[1].glob("attestations/*"))
