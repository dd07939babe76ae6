"""Cache of what boards show, kept for the user from one command to the next, and named by all that it follows from: the
bytes of files, those of embench and of installed plugin packages among them."""

from __future__ import annotations

import hashlib
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import embench
from embench import registry
from embench.files import cache_root

_CODE = (".py", ".yaml", ".html", ".j2")
_FORGOTTEN_S = 30 * 86400


def kept_place(kind: str, *names: str) -> Path:
    """The file of the cache for what this code makes of what `of` names. What code made that is a month old goes when
    other code begins."""
    folder = cache_root() / "boards" / code_digest()
    if not folder.is_dir():
        for old in folder.parent.glob("*"):
            with suppress(OSError):  # another process may remove it
                if time.time() - old.stat().st_mtime > _FORGOTTEN_S:
                    shutil.rmtree(old)
    return folder / kind / hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


@cache
def code_digest() -> str:
    """A digest of the files of embench and of installed plugin packages, by which boards are made."""
    found, package = hashlib.sha256(), Path(embench.__file__).parent
    own = sorted(path for path in package.rglob("*") if path.suffix in _CODE)
    for path in (*own, *registry.shipped("**/*.py"), *registry.shipped("**/*.yaml")):
        found.update(f"{path.name} ".encode() + path.read_bytes())
    return found.hexdigest()[:32]
