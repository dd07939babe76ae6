"""Everything that somebody may forge in an entry is refused by `leaderboard verify`, or found by `reproduce`; and
nothing of an entry is ever executed."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from embench import registry
from embench.cli import main
from embench.leaderboard.entries import hash_entry, list_test_stages, pick_stages
from embench.records import record
from embench.records.record import read_manifest

from ..attacks.forger import Forger
from ..attacks.test_forged_entries import FORGERIES, SAMPLE
from ..sample import proof
from .boards import FEW, Place, place, publish_run
from .test_verify import honest, published

__all__ = ["honest", "place", "published"]

ONLY_A_RUN = {"predictions moved towards the labels, and scored again with the data", "the number of parameters"}
"""What holds together, and only another run of the request shows."""
TRIED = ONLY_A_RUN | set(SAMPLE)
"""`make rates` tries all."""


def verify(*arguments: Any) -> int:
    return main(["leaderboard", "verify", *map(str, arguments)])


def reproduce(folder: Path, of: Place, *more: str) -> int:
    return main(
        ["leaderboard", "reproduce", str(folder), "--attester", "A. Reader", "--data-root", str(of.data), *more]
    )


@pytest.fixture
def copied(place: Place, tmp_path: Path) -> Path:
    """The entry on a copy of its board."""
    shutil.copytree(place.boards, tmp_path / "boards")
    return tmp_path / "boards" / place.entry.relative_to(place.boards)


@pytest.mark.slow
def test_the_entry_itself_is_verified_and_reproduced(
    place: Place, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(copied, "--data-root", place.data) == 0
    assert "failed" not in (said := capsys.readouterr().out)
    # With the data and the ledger at hand, everything is checked, but for whose files these few subjects are.
    assert [line.split()[0] for line in said.splitlines() if " not possible " in line] == ["release"]
    ledger = next((place.root / "cache" / "ledger").rglob("test_labels_opened.jsonl"))
    before = ledger.read_text().count("\n")
    assert reproduce(copied, place, "--spot-check", "2") == 0
    assert "reproduced: stress_predict/subject-independent-v4/handcrafted-lda-" in capsys.readouterr().out
    assert reproduce(copied, place) == 0
    [path] = copied.parents[1].glob("attestations/*--a-reader.json")
    attested = json.loads(path.read_text())
    assert (attested["level"], attested["stages"], attested["greatest"]) == ("reproduced", None, {"predictions": 0.0})
    # The labels were opened, which the ledger holds, and nothing was learned that was not published.
    lines = [json.loads(line)["entry"] for line in ledger.read_text().splitlines()[before:]]
    assert [line["reproduces"] for line in lines] == [copied.name]
    assert verify(copied, "--data-root", place.data) == 0  # so the record's number of looks is still that of the ledger


@pytest.mark.slow
@pytest.mark.parametrize("name", [name if name in TRIED else pytest.param(name, marks=proof) for name in FORGERIES])
def test_forged_entries_are_refused_or_found(
    place: Place, copied: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMBENCH_DATA", str(place.data))
    FORGERIES[name](Forger(copied))
    capsys.readouterr()
    code = verify(copied, "--data-root", place.data)
    said = capsys.readouterr()
    assert code == (0 if name in ONLY_A_RUN else 1), said.err + said.out
    assert ("failed" in said.out) == (name not in ONLY_A_RUN)
    if name in ONLY_A_RUN:
        for more in (["--spot-check", "2"], []):
            assert reproduce(copied, place, *more) == 1
            assert "not reproduced" in capsys.readouterr().out
        assert not list(copied.parents[1].glob("attestations/*"))


@pytest.mark.slow
def test_a_spot_check_finds_predictions_that_were_moved_in_the_folds_that_it_runs(
    place: Place, copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMBENCH_DATA", str(place.data))
    forger = Forger(copied)
    rows = record.read_shared_text(record.shared_folder(copied), "rows", forger.run["entry"]["rows"]).splitlines()
    heads = rows[0].split(",")
    at = [tuple(int(row.split(",")[heads.index(name)]) for name in ("seed", "fold")) for row in rows[1:]]
    moved = np.array([stage == (1, 2) for stage in at])
    forger.edit_numbers(lambda scores: np.where(moved, scores**2, scores))
    forger.score_again(with_data=True)
    assert verify(copied) == 0
    run = read_manifest(copied)
    picked = {n: pick_stages(hash_entry(copied, run), n, 2, list_test_stages(copied, run)) for n in map(str, range(99))}
    hit, miss = (next(n for n, two in picked.items() if ((1, 2) in two) == wanted) for wanted in (True, False))
    assert reproduce(copied, place, "--spot-check", "2", "--nonce", miss) == 0
    assert reproduce(copied, place, "--spot-check", "2", "--nonce", hit) == 1
    assert "seed 1, fold 2" in capsys.readouterr().out
    assert not list(copied.parents[1].glob("attestations/*"))  # of the nonce that missed them, which somebody chose


@pytest.mark.slow
def test_entries_without_labels_are_compared_by_their_seal_and_their_published_digits(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = registry.load_plugin("dataset", "stress_predict")
    monkeypatch.setattr(reader, "card", replace(reader.card, labels_public="no"))
    data, boards = ["--data-root", str(place.data)], tmp_path / "boards"
    assert main(["run", *FEW, "--fusion", "lda", *data, "--runs", str(tmp_path / "runs")]) == 0
    folder = publish_run(tmp_path / "runs", boards, place.data)
    assert not (folder / record.PREDICTIONS_FILE).exists()
    capsys.readouterr()
    assert verify(folder, *data) == 0
    assert re.search("labels +passed", capsys.readouterr().out)
    assert reproduce(folder, place, "--spot-check", "2") == 2  # it holds no predictions of single folds
    assert reproduce(folder, place) == 0
    assert "greatest difference of scores: 0" in capsys.readouterr().out
    Forger(folder).edit_scores(lambda scores: scores["scores"]["stress"]["auroc"].update(mean=0.9))
    assert verify(folder, *data) == 0  # nothing in it contradicts that
    assert reproduce(folder, place) == 1
    assert "scores.stress.auroc.mean: 0.9, but it follows" in capsys.readouterr().out
    seal = folder / "labels.hmac"
    seal.write_text(seal.read_text().replace("labels ", "labels 0"))
    assert verify(folder, *data) == 1
    assert "the withheld labels are not those of the data" in capsys.readouterr().out


PLANTED: dict[str, Any] = {
    "dataset": lambda run, file: run["dataset"].update(name=file),
    "encoder": lambda run, file: run["method"]["encoders"].update(ppg=file),
    "part": lambda run, file: run["config"]["parts"]["fusion"].update(plugin=file),
    "request": lambda run, file: run["config"].update(request={"dataset": file, "encoders": [file]}),
    "setting": lambda run, file: run["recipe"].update(settings=[f"encoder={file}"]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_class_in_a_file_is_not_imported(
    published: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "RAN"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.py").write_text(f"open({str(mark)!r}, 'w')\nclass X: pass\n")
    run = yaml.safe_load((published / "run.yaml").read_text())
    PLANTED[name](run, f"{tmp_path}/x.py:X" if name in ("dataset", "part") else "./x.py:X")
    (published / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    everything(published)
    assert not mark.exists()


def test_a_pickle_is_not_read(published: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return open, (str(tmp_path / "RAN"), "w")

    for content in (pickle.dumps(Bomb()), None):
        path = published / record.PREDICTIONS_FILE
        if content is None:
            with path.open("wb") as file:
                np.savez(file, score=np.array([Bomb()], dtype=object))
        else:
            path.write_bytes(content)
        everything(published)
    assert not (tmp_path / "RAN").exists()


def test_a_yaml_tag_makes_nothing(published: Path, tmp_path: Path) -> None:
    mark = tmp_path / "RAN"
    with (published / "run.yaml").open("a") as file:
        file.write(f"\nx: !!python/object/apply:os.system ['touch {mark}']\n")
    everything(published)
    assert not mark.exists()


def everything(folder: Path) -> None:
    """Every command that reads an entry of somebody else refuses this one, without a bug."""
    boards = folder.parents[2]
    assert verify(folder) == 1
    assert verify(boards) == 1
    assert main(["leaderboard", "reproduce", str(folder), "--attester", "A. Reader"]) == 1
    assert main(["leaderboard", "build", "--leaderboards", str(boards)]) in (1, 3)
    assert main(["leaderboard", "show", "--leaderboards", str(boards)]) in (0, 1, 3)  # it reads no predictions


DAMAGED: dict[str, tuple[str, str]] = {
    "run.yaml": ("id: [", "the file is not YAML"),
    "scores.json": ("{", "the file is not JSON"),
    "summands.json": ("[]", "the file is damaged"),
    "predictions.npz": ("", "cannot be read"),
    "audit.json": ("{}", "the audit cannot be read"),
    "notes.txt": ("hello", "notes.txt is not a file of an entry"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_named(published: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, says = DAMAGED[name]
    (published / name).write_text(text)
    assert verify(published) == 1
    said = capsys.readouterr().out
    assert says in said
    assert name in said


def test_a_field_of_another_kind_is_a_failed_check_and_no_bug(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in ({"parts": "none"}, {"parts": {"fusion": []}}, {}):
        run = yaml.safe_load((published / "run.yaml").read_text())
        run["config"] = content
        (published / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
        assert verify(published) == 1
        assert re.search("method +failed", capsys.readouterr().out)
