"""Pretrained weights: check which may be read, look up the data that they were trained on, and load them into a
network.

Only `.safetensors` are read, and no code that comes with them. `pretrained.yaml` lists the known weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from embench.errors import DataError, MachineError, UsageError
from embench.interfaces.pretraining_data import PretrainingData
from embench.interfaces.recipe import Recipe

RANDOM, UNNAMED = "random", "to be named"
"""Values of `build.weights`. `UNNAMED`: the paper starts from pretrained weights, and the user has to name them."""

EXPECTED = f"`{RANDOM}`, a folder, a .safetensors file, or OWNER/NAME@COMMIT on the Hugging Face hub"
_HUB = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
_WANTED = ("config.json", "*.safetensors", "*.safetensors.index.json")
_CONVERT = "embench weights convert FILE --out DIR makes a folder that can be named here"

TABLE = Path(__file__).with_suffix(".yaml")
"""File of the known weights: family of networks -> name on the hub -> facts about the weights."""

BUILD: Mapping[str, Any] = {"weights": RANDOM, "accepts": ""}
"""Keys of `build` in the recipe of a pretrained encoder: the weights to start from, and the licence that the user
accepts, which is needed if it forbids some uses."""


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
            raise UsageError("these weights are not a safetensors file", where=text, expected=EXPECTED, hint=_CONVERT)
        return (_check_readable(path),)
    hub_name = _HUB.fullmatch(text)
    if hub_name is None:
        hint = "the commit's 40 digits pin a hub name: the same name would mean other weights tomorrow"
        raise UsageError("there are no such weights", where=text, expected=EXPECTED, hint=hint if "/" in text else None)
    return _find_in_folder(_download(hub_name[1], hub_name[2]), text)


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
"""Failed downloads of this process, by (repository, commit). A set of methods needs the same weights many times, and
each attempt to reach the hub takes half a minute."""


def _download(repository: str, commit: str) -> Path:
    """Return the folder of the cached or downloaded weights. Raises DataError if neither exists."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    cached = try_to_load_from_cache(repository, "model.safetensors", revision=commit)
    if isinstance(cached, str):  # a commit never changes, and a stage needs no network for what was downloaded
        return Path(cached).parent
    if failure := _UNREACHABLE.get((repository, commit)):
        raise failure
    try:
        return Path(snapshot_download(repository, revision=commit, allow_patterns=list(_WANTED)))
    except (OSError, HfHubHTTPError) as error:
        _UNREACHABLE[repository, commit] = DataError(
            f"the weights cannot be downloaded: {' '.join(str(error).split())[:200]}",
            where=f"{repository}@{commit}",
            hint="download them where there is a network, and name the folder",
        )
        raise _UNREACHABLE[repository, commit] from error


def find_assets(recipe: Recipe, family: str) -> tuple[Path, ...]:
    """Return the files of `build.weights`, none for `random`. They are checked before a run computes anything.

    Raises:
        UsageError: the text names no weights, weights of another format, weights that come with code, or weights whose
            licence was not accepted.
        DataError: the weights are missing or unreadable, or their SHA-256 differs from the known one.
    """
    text = str(recipe.build["weights"])
    if text == UNNAMED:
        names = ", ".join(list_family(family))
        raise UsageError(
            f"the paper's {family} starts from pretrained weights, and none are named",
            where="encoder.build.weights",
            expected=f"{EXPECTED}; known: {names or 'none'}",
            hint=f"for another method than the paper's: --set encoder.build.weights={RANDOM}",
        )
    known = _find_by_name(family, text)
    if known:
        _check_licence(*known, recipe)
    files = find_files(text)
    if files:
        _refuse_code(files, text)
        _check_digest(files, known[1].get("sha256") if known else None, text)
        if not known and (found := _find_by_digest(family, files)):
            _check_licence(*found, recipe)
    return files


def require(library: str, needed_by: str) -> None:
    """Raise MachineError if a library of the extra `foundation` is not installed, without importing it."""
    if find_spec(library) is None:
        raise MachineError(
            f"{library} is not installed, and {needed_by} needs it",
            hint="in a clone, pip install '.[foundation]'",
        )


def find_data(recipe: Recipe, family: str) -> PretrainingData | None:
    """Return the data on which a recipe's weights were pretrained. None for random weights, and if nothing is known."""
    text = str(recipe.build["weights"])
    if text in (RANDOM, UNNAMED):
        return None
    files = find_files(text)
    found = _find_by_name(family, text) or _find_by_digest(family, files)
    return _find_in_manifest(files) if found is None else _make_data(*found)


def list_family(family: str) -> dict[str, PretrainingData]:
    """Return the known weights of a family of networks, by `name@commit` on the hub."""
    return {
        f"{name}@{about.get('commit', 'COMMIT')}": _make_data(name, about)
        for name, about in _list_known(family).items()
    }


def fill(module: nn.Module, files: Sequence[Path], where: str, ignore: Sequence[str] = ()) -> None:
    """Load the tensors of `.safetensors` files into a network as float32: every tensor of the network by name and
    shape.

    Args:
        where: name or path of the weights, for errors.
        ignore: beginnings of the names of tensors to skip, in the files and in the network, such as those of a head.

    Raises:
        DataError: a tensor is missing, unexpected, or of another shape.
    """
    loaded: dict[str, Tensor] = {}
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                loaded |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    # The hooks with which a network reads older names of its own weights.
    for hook in module._load_state_dict_pre_hooks.values():  # noqa: SLF001  torch has no public list of them
        hook(loaded, "", {}, True, [], [], [])
    state = module.state_dict()
    needed, available = (
        {name for name in names if not name.startswith(tuple(ignore))} if ignore else set(names)
        for names in (state, loaded)
    )
    wrong = [
        *(f"no {name}" for name in sorted(needed - available)),
        *(f"{name}, which it has not" for name in sorted(available - needed)),
        *(
            f"{name} {tuple(loaded[name].shape)} for {tuple(state[name].shape)}"
            for name in sorted(needed & available)
            if loaded[name].shape != state[name].shape
        ),
    ]
    if wrong:
        further = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DataError(
            f"these weights are of another network: {'; '.join(wrong[:3])}{further}",
            where=where,
            expected="the tensors of the network by name and shape",
        )
    module.load_state_dict({name: loaded[name].to(state[name].dtype) for name in needed}, strict=False)


def read_config(files: Sequence[Path]) -> dict[str, Any]:
    """Return the content of the `config.json` among the files, empty if there is none. Raises DataError."""
    for path in files:
        if path.name == "config.json":
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise DataError(f"it cannot be read: {error}", where=str(path), expected="JSON") from error
            if not isinstance(content, dict):
                raise DataError("it describes no network", where=str(path), expected="a JSON object")
            return content
    return {}


def _make_data(name: str, about: Mapping[str, Any]) -> PretrainingData:
    return PretrainingData(
        name=name,
        licence=about["licence"],
        source=about["source"],
        declared=about.get("declared", True),
        saw=about.get("saw", {}),
        others=about.get("others", "undisclosed"),
    )


def _find_by_name(family: str, text: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return (name, facts) of the known weights that `text` names as NAME@COMMIT, else None."""
    name, separator, commit = text.partition("@")
    about = _list_known(family).get(name) if separator else None
    return (name, about) if about and about.get("commit", commit) == commit else None


def _find_by_digest(family: str, files: Sequence[Path]) -> tuple[str, Mapping[str, Any]] | None:
    """Return (name, facts) of the known weights whose SHA-256 is that of the one `.safetensors` file among `files`."""
    by_digest = {about["sha256"]: name for name, about in _list_known(family).items() if "sha256" in about}
    found = [path for path in files if path.suffix == ".safetensors"]
    if not by_digest or len(found) != 1 or (name := by_digest.get(_compute_sha256(found[0]))) is None:
        return None
    return name, _list_known(family)[name]


def _list_known(family: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the known weights of a family: name on the hub -> facts about them."""
    return _read(TABLE, *_read_state(TABLE)).get(family, {})


@cache
def _read(table: Path, *_: int) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    return yaml.safe_load(table.read_text(encoding="utf-8"))


def _check_licence(name: str, about: Mapping[str, Any], recipe: Recipe) -> None:
    licence, accepted = about["licence"], str(recipe.build.get("accepts", ""))
    if about.get("asks") and accepted != licence:
        raise UsageError(
            f"the licence of {name} forbids something, and it was not accepted: {licence}",
            where="encoder.build.accepts",
            expected=f"{licence}, once you have read it: {about['source']}",
            hint=f"--set encoder.build.accepts='{licence}'",
        )


def _refuse_code(files: Sequence[Path], text: str) -> None:
    """Raise UsageError for weights that can only be read by running code that comes with them."""
    folder = files[0].parent
    code = sorted(path.name for path in folder.glob("*.py")) if Path(text).expanduser().is_dir() else []
    if "auto_map" in read_config(files):
        code = ["auto_map in config.json", *code]
    if code:
        raise UsageError(
            f"these weights bring code of their own, which is never run: {', '.join(code)}",
            where=text,
            expected="weights of a network that an installed package has",
            hint="delete the code if the weights need none of it: copy model.safetensors into a folder of its own",
        )


def _check_digest(files: Sequence[Path], known: str | None, text: str) -> None:
    """Raise DataError if the SHA-256 differs from `known`; if that is None, from the manifest of the conversion."""
    found = [path for path in files if path.suffix == ".safetensors"]
    expected = known or _read_manifest(files).get("sha256")
    if expected and (len(found) != 1 or _compute_sha256(found[0]) != expected):
        raise DataError(
            "these are not the weights that their name or manifest says",
            where=f"{text}, {found[0].name}",
            expected=f"a file of SHA-256 {expected}",
            hint="download or convert them again",
        )


def _find_in_manifest(files: Sequence[Path]) -> PretrainingData | None:
    """Return the pretraining data that the manifest of a conversion states."""
    manifest = _read_manifest(files)
    if not manifest.get("seen"):
        return None
    saw: dict[str, Any] = {}
    for entry in manifest["seen"]:
        name = "/".join(str(entry["dataset"]).split("/")[1:2]) or str(entry["dataset"])
        if saw.get(name) != "labelled":
            saw[name] = "labelled" if entry["labels"] == "source" else "unlabelled"
    licences = dict.fromkeys(str(entry["licence"]) for entry in manifest["seen"])
    return PretrainingData(str(manifest["id"]), "; ".join(licences), str(manifest["title"]), saw=saw, others="none")


def _read_manifest(files: Sequence[Path]) -> dict[str, Any]:
    path = files[0].parent / "manifest.yaml"
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"it cannot be read: {error}", where=str(path), expected="a manifest of weights") from error
    return content if isinstance(content, dict) else {}


def _compute_sha256(path: Path) -> str:
    return _compute_digest(path, *_read_state(path))


@cache
def _compute_digest(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _read_state(path: Path) -> tuple[int, int]:
    """Return a file's size and modification time; results about it are cached until either changes."""
    about = path.stat()
    return about.st_size, about.st_mtime_ns
