"""Salt, split and commitment: nobody can choose who is hidden, and hidden labels cannot be changed later.

The host first draws a salt and publishes a commitment to it, to the list of subjects, and to all labels. Later a public
value becomes known that nobody could predict. The hash of both is the seed of the split. So the host, who knows the
salt, cannot try seeds, and others, who know the public value, cannot compute the split.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, StringConstraints

from embench.challenge.form import ChallengePart, PublicValue
from embench.errors import CheckFailed, DataError, UsageError
from embench.files import make_folder, parse_json, read_text, saving, write_text
from embench.records.manifest import as_model

CommittedPart = Literal["training", "feedback", "final"]
Document = TypeVar("Document", bound=BaseModel)
CommitmentDigest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Secrets(ChallengePart):
    """Two random numbers of 256 bits, which only the host knows until the challenge is closed."""

    salt: CommitmentDigest
    nonce: CommitmentDigest


class Commitment(ChallengePart):
    """The document that the host publishes before the public value is known.

    Args:
        salt: SHA-256 of the salt. `subjects`: of the salt, the subjects with their groups, and the sizes of the parts.
            `labels`: of the nonce and the labels of all subjects.
    """

    challenge: str
    salt: CommitmentDigest
    subjects: CommitmentDigest
    labels: CommitmentDigest
    public_value: PublicValue
    demonstration: bool
    committed: dt.datetime


class Sizes(ChallengePart):
    """Number of subjects in each hidden group."""

    feedback: int = Field(ge=0)
    final: int = Field(ge=1)


class Opening(ChallengePart):
    """The values behind the commitment, published at the end. `nonce` and `labels` are None if labels stay withheld."""

    salt: CommitmentDigest
    public_value: str
    groups: dict[str, str]
    sizes: Sizes
    split: dict[str, CommittedPart]
    nonce: CommitmentDigest | None
    labels: list[str] | None


def hash_parts(*parts: object) -> str:
    """Return the SHA-256 of plain values, which no other values share.

    >>> hash_parts("a", "bc") == hash_parts("ab", "c")
    False
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def draw_secrets() -> Secrets:
    """Return a new salt and a new nonce."""
    return Secrets(salt=secrets.token_hex(32), nonce=secrets.token_hex(32))


def split_subjects(salt: str, public_value: str, groups: Mapping[str, str], sizes: Sizes) -> dict[str, CommittedPart]:
    """Return subject -> its part. Groups of subjects recorded together are never divided, and the final and feedback
    groups have at most the requested sizes.

    Args:
        groups: subject -> name of its group.

    Raises:
        UsageError: fewer than a quarter of the subjects would remain for training, or the final group would be empty.
    """
    if 4 * (sizes.final + sizes.feedback) > 3 * len(groups):
        raise UsageError(
            f"{sizes.final} + {sizes.feedback} of {len(groups)} subjects would be hidden",
            where="final_subjects, feedback_subjects",
            expected="at most three quarters of the subjects, so that methods can be trained",
        )
    seed = hash_parts("split", salt, public_value)
    members = Counter(groups.values())
    part_of: dict[str, CommittedPart] = {}
    count: Counter[str] = Counter()
    order = sorted(members, key=lambda name: hash_parts(seed, name))
    hidden: tuple[tuple[CommittedPart, int], ...] = (("final", sizes.final), ("feedback", sizes.feedback))
    for part, size in hidden:
        for name in order:
            if name not in part_of and count[part] + members[name] <= size:
                part_of[name] = part
                count[part] += members[name]
    if not count["final"]:
        raise UsageError(
            f"no group of subjects is as small as the final group of {sizes.final}",
            where="final_subjects",
            expected="at least the size of the smallest group recorded together",
        )
    return {subject: part_of.get(group, "training") for subject, group in sorted(groups.items())}


def make_commitment(
    drawn: Secrets, challenge: str, groups: Mapping[str, str], sizes: Sizes, labels: Sequence[str],
    public_value: PublicValue, *, demonstration: bool, now: dt.datetime,
) -> Commitment:  # fmt: skip
    """Return the commitment to a salt, the subjects and all labels (lines as of `Labels.lines`).

    Raises:
        UsageError: the public value is known already, except for a demonstration.
    """
    if public_value.when <= now and not demonstration:
        raise UsageError(
            f"the public value was known at {public_value.when:%Y-%m-%d %H:%M} UTC, before the commitment",
            where="public_value.when",
            expected="a time in the future: otherwise you could try salts until the split suits you",
        )
    return Commitment(
        challenge=challenge,
        salt=hash_parts("salt", drawn.salt),
        subjects=_hash_subjects(drawn.salt, groups, sizes),
        labels=_hash_labels(drawn.nonce, labels),
        public_value=public_value,
        demonstration=demonstration,
        committed=now.replace(microsecond=0),
    )


def commit_split(nonce: str, split: Mapping[str, CommittedPart], labels: Sequence[str]) -> str:
    """Return the SHA-256 over labels, split and nonce, which the public package contains."""
    return hash_parts("split and labels", nonce, dict(split), sorted(labels))


def commit_reference(nonce: str, files: Mapping[str, str]) -> str:
    """Return the SHA-256 over the files by which the final group is scored, and the nonce. The public package contains
    it. `files`: name -> SHA-256."""
    return hash_parts("reference", nonce, dict(files))


def check_opening(opening: Opening, commitment: Commitment, package_commitment: str) -> list[str]:
    """Check that an opening fits both commitments, and return what was checked, in words.

    Raises:
        CheckFailed: the salt, the subjects, the split or the labels are not those of the commitment.
    """
    where = f"challenge {commitment.challenge}"

    def check(holds: bool, what: str) -> str:
        if not holds:
            raise CheckFailed(f"not as committed: {what}", where=where, expected="the values of the commitment")
        return what

    checked = [
        check(hash_parts("salt", opening.salt) == commitment.salt, "the salt"),
        check(
            _hash_subjects(opening.salt, opening.groups, opening.sizes) == commitment.subjects,
            "the subjects and the sizes of the groups",
        ),
        check(
            split_subjects(opening.salt, opening.public_value, opening.groups, opening.sizes) == opening.split,
            "the split, from the salt and the public value",
        ),
    ]
    if opening.nonce is not None and opening.labels is not None:
        checked.append(check(_hash_labels(opening.nonce, opening.labels) == commitment.labels, "the labels"))
        known = commit_split(opening.nonce, opening.split, opening.labels)
        checked.append(check(known == package_commitment, "labels and split in the public package"))
    return checked


def _hash_subjects(salt: str, groups: Mapping[str, str], sizes: Sizes) -> str:
    return hash_parts("subjects", salt, dict(groups), sizes.model_dump())


def _hash_labels(nonce: str, labels: Sequence[str]) -> str:
    return hash_parts("labels", nonce, sorted(labels))


def write_secret(path: Path, model: BaseModel) -> None:
    """Write a document of the holder, readable for its owner only. Raises MachineError if it cannot be written."""
    with saving("the holder's file", path):
        make_folder(path.parent)
        write_text(path, model.model_dump_json(indent=1) + "\n")
        path.chmod(0o600)


def read_document(path: Path, kind: type[Document], what: str) -> Document:
    """Read a JSON document that `embench challenge` wrote. Raises DataError if it is missing or damaged."""
    try:
        content = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise DataError(
            f"{what} is missing" if missing else f"{what} cannot be read: {error}",
            where=str(path),
            expected="the file as `embench challenge` wrote it",
        ) from error
    return as_model(kind, content, what, str(path))
