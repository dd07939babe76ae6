"""Access to the Hugging Face hub. Dry runs never contact it; a run warns in one line if the hub does not answer."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from embench.errors import DataError

if TYPE_CHECKING:
    from embench.interfaces.encoder import Encoder

_NAME = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
_CONSTANTS = "huggingface_hub.constants"
_OFFLINE = "HF_HUB_OFFLINE"


@contextmanager
def offline() -> Iterator[None]:
    """Keep Hugging Face libraries in this process and its workers offline inside the context."""
    before = os.environ.get(_OFFLINE)
    os.environ[_OFFLINE] = "1"
    _update_library()
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OFFLINE]
        else:
            os.environ[_OFFLINE] = before
        _update_library()


def _update_library() -> None:
    """Update the setting of the hub's library, if it is imported, since it reads the environment only once."""
    if constants := sys.modules.get(_CONSTANTS):
        vars(constants)[_OFFLINE] = _is_offline()


def _is_offline() -> bool:
    wanted = os.environ.get(_OFFLINE) or os.environ.get("TRANSFORMERS_OFFLINE", "")
    return wanted.upper() in ("1", "ON", "YES", "TRUE")


def find_assets(encoder: Encoder) -> tuple[Path, ...]:
    """Return the files that an encoder reads. Weights on the hub are downloaded, unless offline.

    Raises:
        UsageError, DataError: the files are not available."""
    if _is_offline() and (found := _NAME.fullmatch(str(encoder.recipe.build.get("weights")))):
        _check_present(*found.groups())
    log = logging.getLogger("huggingface_hub.utils._http")
    log.addFilter(_replace_message)
    try:
        return encoder.assets()
    finally:
        log.removeFilter(_replace_message)


def _check_present(name: str, commit: str) -> None:
    """Raise DataError if weights on the hub are not on this machine."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(name, revision=commit, allow_patterns="*.safetensors", local_files_only=True)
    except LocalEntryNotFoundError as error:
        raise DataError(
            f"the weights {name} are not on this machine, and nothing is downloaded in a dry run or offline",
            where="encoder.build.weights",
            hint=f"hf download {name} --revision {commit}",
        ) from error


def _replace_message(_: logging.LogRecord) -> bool:
    """Drop a log record of the hub's library, and warn instead."""
    warnings.warn("the Hugging Face hub does not answer; embench tries again for about half a minute", stacklevel=2)
    return False
