"""Names in records: their resolution, and names that only their author's machine knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embench import registry
from embench.errors import CheckFailed
from embench.records.floors import RANDOM
from embench.records.record import Record
from embench.registry.trust import HINT, installed_only
from embench.texts import names_code, names_place, texts_in

LOCAL_OPTIONS = ("data_root", "runs", "pretrained", "pretrainers")
"""Options that may name places on a user's machine; of weights that were started from the hash is published, and
pretrainers stand elsewhere in the record, without paths."""


def board_name(dataset: str) -> str:
    """A dataset's folder of leaderboards: its name, without the bundled package's, a variant after a hyphen."""
    return dataset.removeprefix(f"{registry.BUNDLED}/").replace("/", "-")


@contextmanager
def names_resolved(
    records: Sequence[tuple[Path, Record]], *, trust_code: bool = False, given: str | None = None
) -> Iterator[None]:
    """Resolves names of these records (folder, record) among installed packages only, for the duration of the context.
    The code of a method that was given from Python is not needed: the record describes it.

    Args:
        trust_code: whether the user vouches for their authors, so that classes in files are imported.
        given: a folder of data that the user names.

    Raises:
        CheckFailed: without `trust_code`, a field names a class in a file.
    """
    for folder, record in () if trust_code else records:
        named = (found for found in texts_in(record.run) if names_code(found[1]) and "object:" not in found[1])
        if found := next(named, None):
            raise CheckFailed(
                f"the record names code in a file, which is not run: {found[1]}",
                where=f"{folder / 'run.yaml'}, {found[0]}",
                expected="names of installed plugins",
                hint=HINT,
            )
    where = ", ".join(str(folder / "run.yaml") for folder, _ in records)
    with installed_only(where, trust_code=trust_code, given=given):
        yield


def is_own(dataset: str) -> bool:
    """Tells whether a dataset's full name in records is that of somebody's own recordings.

    >>> is_own("own/study"), is_own("embench_plugins/own")
    (True, False)
    """
    return dataset.startswith("own/")


def public_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """The content of run.yaml without `LOCAL_OPTIONS`; a protocol's file goes by the protocol's name, since the record
    holds its rules."""
    config = dict(run["config"])
    if "request" in config:
        asked = config["request"]
        kept = {name: value for name, value in asked.items() if name not in LOCAL_OPTIONS or value == RANDOM}
        if "protocol" in kept:
            kept["protocol"] = run["protocol"]["name"]
        for option, part in (("dataset", "dataset"), ("train_dataset", "trained_on")):
            if names_place(str(kept.get(option))):
                kept[option] = run[part]["name"]
        config["request"] = kept
    return {**run, "config": config}


def private_fields(content: Any) -> list[str]:
    """The fields of a record's file that name a class in a file, or a place on a machine, which nobody else has."""
    return [field for field, text in texts_in(content) if names_code(text) or names_place(text)]


def family_of(dataset: str) -> str:
    """A dataset's full name without its variant, which is of the same subjects; a class in a file has none."""
    return dataset if ":" in dataset else "/".join(dataset.split("/")[:2])
