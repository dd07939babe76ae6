"""The door for pretrained weights: what may come in, what it is known to have seen, and how it fills a network.

Only `.safetensors` are read, and no code that lies beside them. `pretrained.yaml` has the weights that are known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open
from torch import Tensor, nn

from embench.errors import DataError, MachineError, UsageError
from embench.interfaces.pretraining_data import PretrainingData
from embench.interfaces.recipe import Recipe
from embench_plugins import weights

TABLE = Path(__file__).with_suffix(".yaml")
"""The known weights, by family of networks."""

BUILD: Mapping[str, Any] = {"weights": weights.RANDOM, "accepts": ""}
"""Keys of `build` that the recipe of a pretrained encoder has: where its weights come from, and the licence that the
user accepts where it forbids something."""


def find_assets(recipe: Recipe, family: str) -> tuple[Path, ...]:
    """The files of `build.weights`, none for `random`; looked through before anything is computed.

    Raises:
        UsageError: the text means nothing, weights of another format, code, or weights whose licence was not accepted.
        DataError: the weights are not there or cannot be read, or are other ones than their name says.
    """
    text = str(recipe.build["weights"])
    if text == weights.UNNAMED:
        names = ", ".join(list_family(family))
        raise UsageError(
            f"the paper's {family} starts from pretrained weights, and none are named",
            where="encoder.build.weights",
            expected=f"{weights.EXPECTED}; known: {names or 'none'}",
            hint=f"for another method than the paper's: --set encoder.build.weights={weights.RANDOM}",
        )
    known = _find_by_name(family, text)
    if known:
        _check_licence(*known, recipe)
    files = weights.find_files(text)
    if files:
        _refuse_code(files, text)
        _check_digest(files, known[1].get("sha256") if known else None, text)
        if not known and (found := _find_by_digest(family, files)):
            _check_licence(*found, recipe)
    return files


def require(library: str, needed_by: str) -> None:
    """Raises MachineError where a library of the extra `foundation` is not installed; it is not imported."""
    if find_spec(library) is None:
        raise MachineError(
            f"{library} is not installed, and {needed_by} needs it",
            hint="in a clone, pip install '.[foundation]'",
        )


def find_data(recipe: Recipe, family: str) -> PretrainingData | None:
    """The data that the weights of a recipe saw; None for random ones, and where nothing is known of them."""
    text = str(recipe.build["weights"])
    if text in (weights.RANDOM, weights.UNNAMED):
        return None
    files = weights.find_files(text)
    found = _find_by_name(family, text) or _find_by_digest(family, files)
    if found is None:
        return _find_in_manifest(files)
    return _make_data(*found)


def list_family(family: str) -> dict[str, PretrainingData]:
    """The known weights of a family, by their name on the hub, with the commit where that is of one."""
    return {
        f"{name}@{about.get('commit', 'COMMIT')}": _make_data(name, about)
        for name, about in _list_known(family).items()
    }


def fill(module: nn.Module, files: Sequence[Path], where: str, ignore: Sequence[str] = ()) -> None:
    """Gives a network the tensors of `.safetensors` files: all of its own, by name and shape, as float32.

    Args:
        where: what the weights go by, for errors.
        ignore: beginnings of the names of tensors that the files may hold beside them, or the network may keep as it
            is, such as those of a head.

    Raises:
        DataError: a tensor is missing, too many, or of another shape.
    """
    found: dict[str, Tensor] = {}
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    # The hooks with which a network reads older names of its own weights.
    for hook in module._load_state_dict_pre_hooks.values():  # noqa: SLF001  torch has no public list of them
        hook(found, "", {}, True, [], [], [])
    own = module.state_dict()
    skipped = tuple(ignore)
    wanted = {name for name in own if not name.startswith(skipped)} if skipped else set(own)
    given = {name for name in found if not name.startswith(skipped)} if skipped else set(found)
    wrong = [
        *(f"no {name}" for name in sorted(wanted - given)),
        *(f"{name}, which it has not" for name in sorted(given - wanted)),
        *(
            f"{name} {tuple(found[name].shape)} for {tuple(own[name].shape)}"
            for name in sorted(wanted & given)
            if found[name].shape != own[name].shape
        ),
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DataError(
            f"these weights are of another network: {'; '.join(wrong[:3])}{more}",
            where=where,
            expected="the tensors of the network by name and shape",
        )
    module.load_state_dict({name: found[name].to(own[name].dtype) for name in wanted}, strict=False)


def read_config(files: Sequence[Path]) -> dict[str, Any]:
    """The content of the `config.json` among files; nothing where there is none. Raises DataError."""
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
    """Known weights by the name on the hub that a text has, at a commit of which that is true."""
    name, at, commit = text.partition("@")
    about = _list_known(family).get(name) if at else None
    return (name, about) if about and about.get("commit", commit) == commit else None


def _find_by_digest(family: str, files: Sequence[Path]) -> tuple[str, Mapping[str, Any]] | None:
    """Known weights by the content of their one file."""
    by_digest = {about["sha256"]: name for name, about in _list_known(family).items() if "sha256" in about}
    found = [path for path in files if path.suffix == ".safetensors"]
    if not by_digest or len(found) != 1 or (name := by_digest.get(_compute_sha256(found[0]))) is None:
        return None
    return name, _list_known(family)[name]


def _list_known(family: str) -> Mapping[str, Mapping[str, Any]]:
    """The known weights of a family: name on the hub -> what is known of them."""
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
    """Refuses weights that come with code of their own, which would have to be run to read them."""
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
    """Refuses a file that is not the one whose SHA-256 is known, or stands in the manifest of a conversion."""
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
    """The data that weights saw by the manifest of their conversion."""
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
    """Size and time of a file, which tell that it was changed since it was read."""
    about = path.stat()
    return about.st_size, about.st_mtime_ns
