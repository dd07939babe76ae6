"""Finds the weights that a network starts from: `.safetensors` only, because other formats can run code when read."""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from embench.errors import DataError, UsageError

RANDOM, UNNAMED = "random", "to be named"
"""`UNNAMED` is that of a recipe whose paper starts from weights that nobody has named yet."""

EXPECTED = f"`{RANDOM}`, a folder, a .safetensors file, or OWNER/NAME@COMMIT on the Hugging Face hub"
_HUB = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
_WANTED = ("config.json", "*.safetensors", "*.safetensors.index.json")


def find_files(text: str) -> tuple[Path, ...]:
    """Return the files of the pretrained weights that `text` names: none for `random`, the file for a path to a
    `.safetensors` file, the files that `save_pretrained` wrote for a path to a folder. For a repository of the hub at a
    commit, the files are downloaded once and cached.

    Raises:
        UsageError: `text` is not such a name or path, the file has another format, or the hub name lacks the commit.
        DataError: weights do not exist, or cannot be read or downloaded.
    """
    if text == RANDOM:
        return ()
    path = Path(text).expanduser()
    if path.is_dir():
        return _find_in_folder(path, text)
    if path.is_file():
        if path.suffix != ".safetensors":
            raise UsageError("these weights are no safetensors file", where=text, expected=EXPECTED, hint=_CONVERT)
        return (_check_readable(path),)
    found = _HUB.fullmatch(text)
    if found is None:
        hint = "the commit's 40 digits pin a hub name: the same name would mean other weights tomorrow"
        raise UsageError("there are no such weights", where=text, expected=EXPECTED, hint=hint if "/" in text else None)
    return _find_in_folder(_download(found[1], found[2]), text)


_CONVERT = "embench weights convert FILE --out DIR makes a folder that can be named here"


def _find_in_folder(folder: Path, text: str) -> tuple[Path, ...]:
    found = sorted({path for pattern in _WANTED for path in folder.glob(pattern)})
    weights = [_check_readable(path) for path in found if path.suffix == ".safetensors"]
    if not weights:
        others = [path.name for kind in ("bin", "pt", "pth", "ckpt") for path in folder.glob(f"*.{kind}")]
        raise DataError(
            "no safetensors weights are there" + (f", only {', '.join(sorted(others))}" if others else ""),
            where=text,
            expected="model.safetensors",
            hint=_CONVERT if others else None,
        )
    return tuple(found)


def _check_readable(path: Path) -> Path:
    try:
        with safe_open(path, framework="pt"):
            return path
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"the weights cannot be read: {error}", where=str(path), expected="a whole safetensors file"
        ) from error


_UNREACHABLE: dict[tuple[str, str], DataError] = {}
"""What could not be downloaded by this process: a set of methods asks for the same weights again and again, and the hub
is tried for half a minute each time."""


def _download(repository: str, commit: str) -> Path:
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    here = try_to_load_from_cache(repository, "model.safetensors", revision=commit)
    if isinstance(here, str):  # a commit never changes, and a stage needs no network for what was downloaded
        return Path(here).parent
    if known := _UNREACHABLE.get((repository, commit)):
        raise known
    try:
        return Path(snapshot_download(repository, revision=commit, allow_patterns=list(_WANTED)))
    except (OSError, HfHubHTTPError) as error:
        _UNREACHABLE[repository, commit] = DataError(
            f"the weights cannot be downloaded: {' '.join(str(error).split())[:200]}",
            where=f"{repository}@{commit}",
            hint="download them where there is a network, and name the folder",
        )
        raise _UNREACHABLE[repository, commit] from error
