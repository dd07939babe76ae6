"""The identity of a bundled plugin's code may change with that code only: caches, stages and entries hang on it.

Where this fails and the plugin was changed on purpose, write the new identities with

    python -m tests.golden.test_golden_identities
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from embench import registry

FILE = Path(__file__).with_name("identities.json")
KINDS = ("dataset", "encoder", "pretrainer", "fusion", "metric")


def identities() -> dict[str, str]:
    """`kind name` -> the first 16 digits of the SHA-256 of its code identity."""
    return {
        f"{kind} {name}": hashlib.sha256(registry.code_identity(kind, name).encode()).hexdigest()[:16]
        for kind in KINDS
        for name in registry.list_plugins(kind)
    }


def test_bundled_plugins_have_the_identities_that_were_recorded() -> None:
    recorded, found = json.loads(FILE.read_text(encoding="utf-8")), identities()
    assert {name for name in {*recorded, *found} if recorded.get(name) != found.get(name)} == set()


if __name__ == "__main__":
    FILE.write_text(json.dumps(identities(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
