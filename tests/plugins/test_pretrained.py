"""The door for pretrained weights: what is refused before anything is computed, and what comes in.

No weights of anybody lie here. Twins stand for them: small networks, saved as the real ones are."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from embench.errors import DataError, EmbenchError, UsageError
from embench.interfaces.recipe import Recipe
from embench_plugins import pretrained

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def twin(width: int = 3) -> nn.Module:
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


def recipe(weights: Any, **build: Any) -> Recipe:
    return Recipe(build={**pretrained.BUILD, "weights": str(weights), **build})


def assets(weights: Any, **build: Any) -> tuple[Path, ...]:
    return pretrained.find_assets(recipe(weights, **build), "twin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A twin as `save_pretrained` leaves it."""
    made = tmp_path / "weights"
    made.mkdir()
    save_file(twin().state_dict(), made / "model.safetensors")
    (made / "config.json").write_text('{"width": 3}')
    return made


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the table of known weights: `lab/twin`, and what is said of it."""

    def write(**about: Any) -> None:
        path = tmp_path / "known.yaml"
        entry = {"licence": "MIT", "source": "https://example.org/twin", **about}
        path.write_text(yaml.safe_dump({"twin": {"lab/twin": entry}}))
        monkeypatch.setattr(pretrained, "TABLE", path)

    return write


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The twin as a download of before left it; there is no network."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    snapshot = cache / "models--lab--twin" / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    return f"lab/twin@{COMMIT}"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(weights: Any, kind: type[EmbenchError] = UsageError, **build: Any) -> EmbenchError:
    with pytest.raises(kind) as error:
        assets(weights, **build)
    assert "\n" not in error.value.what
    return error.value


def test_a_folder_and_a_commit_on_the_hub_come_in(folder: Path, known: Callable[..., None]) -> None:
    known()
    assert [path.name for path in assets(folder)] == ["config.json", "model.safetensors"]
    assert assets(folder / "model.safetensors") == (folder / "model.safetensors",)
    assert assets("random") == ()


def test_a_commit_on_the_hub_comes_in_and_is_known(hub: str, known: Callable[..., None]) -> None:
    known(others="none", saw={"deap": "unlabelled"})
    assert [path.name for path in assets(hub)] == ["config.json", "model.safetensors"]
    data = pretrained.find_data(recipe(hub), "twin")
    assert data is not None
    assert (data.name, data.licence, data.source) == ("lab/twin", "MIT", "https://example.org/twin")
    assert (data.declared, data.look_up("deap"), data.look_up("faced")) == (True, "unlabelled", "none")
    assert pretrained.find_data(recipe(hub), "another family") is None


def test_what_is_true_of_one_commit_is_not_said_of_others(hub: str, known: Callable[..., None]) -> None:
    known(others="none", commit="f" * 40)
    assert pretrained.find_data(recipe(hub), "twin") is None
    known(others="none", commit=COMMIT)
    found = pretrained.find_data(recipe(hub), "twin")
    assert found is not None
    assert found.others == "none"


@pytest.mark.parametrize("name", ["lab/twin", "lab/twin@main", f"lab/twin@{COMMIT[:7]}"])
def test_a_name_on_the_hub_that_can_move_is_refused(name: str) -> None:
    assert "40 digits" in str(refused(name).hint)


def test_known_weights_of_another_content_are_refused(hub: str, known: Callable[..., None]) -> None:
    known(sha256="0" * 64)
    error = refused(hub, DataError)
    assert "these are not the weights" in error.what
    assert error.expected == f"a file of SHA-256 {'0' * 64}"


def test_a_folder_is_known_by_its_content_alone(folder: Path, known: Callable[..., None]) -> None:
    known(sha256="0" * 64, others="none")
    assert pretrained.find_data(recipe(folder), "twin") is None
    known(sha256=sha256(folder / "model.safetensors"), others="none")
    data = pretrained.find_data(recipe(folder), "twin")
    assert data is not None
    assert (data.name, data.others) == ("lab/twin", "none")


def test_a_converted_folder_whose_weights_were_changed_is_refused(folder: Path) -> None:
    manifest = {"id": "converted-1", "sha256": sha256(folder / "model.safetensors"), "title": "its paper"}
    manifest["seen"] = [
        {"dataset": "embench_plugins/deap", "labels": "none", "licence": "asked for"},
        {"dataset": "kinetics400", "labels": "source", "licence": "CC-BY-4.0"},
    ]
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    assert assets(folder)
    data = pretrained.find_data(recipe(folder), "twin")
    assert data is not None
    assert {name: data.look_up(name) for name in ("deap", "kinetics400", "faced")} == {
        "deap": "unlabelled", "kinetics400": "labelled", "faced": "none",
    }  # fmt: skip
    save_file(twin(4).state_dict(), folder / "model.safetensors")
    assert "these are not the weights" in refused(folder, DataError).what


def test_code_beside_weights_is_refused_by_name_and_never_run(folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (folder / "modeling_twin.py").write_text(f"open({str(ran)!r}, 'w')")
    assert "modeling_twin.py" in refused(folder).what
    (folder / "modeling_twin.py").unlink()
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "modeling_twin.Twin"}}))
    assert "auto_map in config.json" in refused(folder).what
    assert not ran.exists()


def test_code_on_the_hub_is_refused_too(hub: str, known: Callable[..., None]) -> None:
    known()
    (assets(hub)[0].parent / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "lab/twin--m.Twin"}}))
    assert "auto_map in config.json" in refused(hub).what


class Runs:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", ["bin", "pt", "pth", "ckpt"])
def test_a_pickle_is_refused_unread_and_the_way_in_is_named(suffix: str, tmp_path: Path) -> None:
    ran, path = tmp_path / "ran", tmp_path / "only" / f"twin.{suffix}"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Runs(ran)))
    for named, kind in ((path, UsageError), (path.parent, DataError)):
        assert "embench weights convert" in str(refused(named, kind).hint)
    path.rename(path.with_suffix(".safetensors"))
    assert "cannot be read" in refused(path.with_suffix(".safetensors"), DataError).what
    assert not ran.exists()


def test_a_licence_that_forbids_something_is_asked_for(
    hub: str, known: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    known(licence="CC-BY-NC-4.0", asks=True)
    for accepts in ("", "yes", "MIT", "CC-BY-NC"):
        error = refused(hub, accepts=accepts)
        assert "CC-BY-NC-4.0" in error.what
        assert error.where == "encoder.build.accepts"
        assert error.hint == "--set encoder.build.accepts='CC-BY-NC-4.0'"
    found = assets(hub, accepts="CC-BY-NC-4.0")
    # A copy of the file under another name is asked for just the same.
    known(licence="CC-BY-NC-4.0", asks=True, sha256=sha256(found[1]))
    assert refused(found[1].parent).where == "encoder.build.accepts"
    # Nothing is downloaded before.
    monkeypatch.setattr("embench_plugins.pretrained.find_files", lambda _: pytest.fail("it was looked for"))
    refused(hub)


def test_a_network_is_filled_whole_or_not_at_all(folder: Path) -> None:
    net, files = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), assets(folder)
    pretrained.fill(net, files, "twin")
    for name, value in twin().state_dict().items():
        assert torch.equal(net.state_dict()[name], value)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    bare, larger = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(*twin(), nn.Linear(3, 1))
    for other, said in (
        (twin(4), r"0\.bias \(3,\) for \(4,\)"),
        (bare, r"1\.bias, which it has not"),
        (larger, r"no 2\.bias"),
    ):
        untouched = {name: value.clone() for name, value in other.state_dict().items()}
        with pytest.raises(DataError, match=said):
            pretrained.fill(other, files, "twin")
        assert all(torch.equal(value, untouched[name]) for name, value in other.state_dict().items())
    pretrained.fill(bare, files, "twin", ignore=("1.",))
    pretrained.fill(larger, files, "twin", ignore=("2.",))
    assert torch.equal(larger.state_dict()["0.weight"], before["0.weight"])


def test_weights_in_half_precision_are_read_as_float32(folder: Path) -> None:
    halves = {k: v.half() if v.is_floating_point() else v for k, v in twin().state_dict().items()}
    save_file(halves, folder / "model.safetensors")
    net = twin(3)
    pretrained.fill(net, assets(folder), "twin")
    assert net[0].weight.dtype == torch.float32  # type: ignore[index]
    assert torch.equal(net.state_dict()["0.weight"], halves["0.weight"].float())


def test_the_table_is_whole() -> None:
    table = yaml.safe_load(pretrained.TABLE.read_text())
    words = {"none", "unlabelled", "labelled", "undisclosed"}
    for known in table.values():
        for name, about in known.items():
            assert name.count("/") == 1
            assert about.keys() <= {
                "licence", "asks", "source", "declared", "saw", "others", "commit", "sha256",
            }  # fmt: skip
            assert about["licence"]
            assert about["source"].startswith("https://")
            assert {about.get("others", "undisclosed"), *about.get("saw", {}).values()} <= words
            assert len(about.get("commit", COMMIT)) == 40
            assert len(about.get("sha256", "0" * 64)) == 64
