"""Nonces: random values that decide which folds of an entry a spot check runs. Nobody can choose or predict them.

Maintainers draw a secret and hash it repeatedly; they publish the end of this hash chain as a commitment. The hash of
each nonce is the previous nonce, so nonces are revealed from the end of the chain backwards. Each nonce is revealed
with the digests of all published entries that have none yet. So an entry has exactly one nonce, which was revealed
after its content was fixed. The holder of the secret can neither choose nor skip a nonce.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from embench.errors import CheckFailed, UsageError
from embench.files import parse_json, read_text, saving, write_text
from embench.records.manifest import as_model

NONCES_FILE = "nonces.json"
CHAIN = 100_000
"""Number of nonces that one secret yields."""
_Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Reveal(BaseModel):
    """A revealed nonce, the time, and the digests of the entries whose spot checks use it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nonce: _Hex = Field(description="The nonce.")
    revealed: dt.datetime = Field(description="Time at which it was revealed, in UTC.")
    entries: list[_Hex] = Field(description="Digests of the entries that it is for.")


class Nonces(BaseModel):
    """The content of `nonces.json`: the commitment, and the nonces revealed since, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commitment: _Hex = Field(description="End of the hash chain, to which the maintainers committed.")
    revealed: list[Reveal] = Field(default=[], description="Revealed nonces, oldest first.")

    @property
    def last(self) -> str:
        """The latest revealed value; the next nonce is its preimage."""
        return self.revealed[-1].nonce if self.revealed else self.commitment

    def find_reveal(self, digest: str) -> Reveal | None:
        """Return the first nonce that was revealed for the entry with this digest; None where there is none yet."""
        return next((each for each in self.revealed if digest in each.entries), None)


def read_nonces(boards: Path) -> Nonces | None:
    """Read the nonces of the leaderboards in a folder; None without a commitment.

    Raises:
        CheckFailed: a nonce does not follow from the previous one. DataError: the file is damaged.
    """
    path = boards / NONCES_FILE
    if not path.is_file():
        return None
    expected = "a file as `embench leaderboard reveal-nonce` writes it"
    known = as_model(Nonces, parse_json(read_text(path)), "the file of nonces", str(path), expected)
    before = known.commitment
    for each in known.revealed:
        if _hash(each.nonce) != before:
            raise CheckFailed("a nonce does not follow from the one before", where=f"{path}: {each.nonce}")
        before = each.nonce
    return known


def commit_nonces(boards: Path) -> str:
    """Draw a secret, write the commitment to it, and return the secret. Raises UsageError if one exists already."""
    if (boards / NONCES_FILE).exists():
        raise UsageError("nonces are committed already", where=str(boards / NONCES_FILE))
    secret = end = secrets.token_hex(32)
    for _ in range(CHAIN):
        end = _hash(end)
    _write(boards, Nonces(commitment=end))
    return secret


def reveal_nonce(boards: Path, digests: Sequence[str], secret: str) -> Reveal | None:
    """Reveal the next nonce for the entries (by digest) that have no nonce yet; return None where all have one.

    Raises:
        UsageError: the commitment is missing, or it was made with another secret.
    """
    known, nonce = read_nonces(boards), secret
    if known is None:
        raise UsageError("no nonces are committed", where=str(boards), hint="embench leaderboard reveal-nonce --commit")
    new = [digest for digest in digests if known.find_reveal(digest) is None]
    for _ in range(CHAIN):
        if (end := _hash(nonce)) == known.last:
            break
        nonce = end
    else:
        raise UsageError("the secret is not the committed one", where="$EMBENCH_NONCE_SECRET")
    if not new:
        return None
    reveal = Reveal(nonce=nonce, revealed=dt.datetime.now(dt.UTC).replace(microsecond=0), entries=sorted(new))
    _write(boards, known.model_copy(update={"revealed": [*known.revealed, reveal]}))
    return reveal


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(boards: Path, nonces: Nonces) -> None:
    path = boards / NONCES_FILE
    with saving("the nonces", path):
        write_text(path, nonces.model_dump_json(indent=1) + "\n")
