"""Nothing public reveals hidden labels: public files are searched, and made again with other hidden labels."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from embench.challenge.commitment import Secrets
from embench.challenge.scoring import read_reference

from .world import (
    BEFORE,
    FIXED,
    KNOWN,
    LADDER,
    OPEN,
    VALUE,
    Host,
    close_withheld,
    fill_form,
    public_bytes,
    write_study,
)


def twin(study: Path, root: Path, parts: tuple[str, ...], **answers: object) -> list[Host]:
    """Two challenges with the same salt and nonce: of the study, and of one in which the labels of people in these
    hidden parts are turned round."""
    one = Host(study, root / "one" / "c").pack(**answers)
    split = {row["subject"]: row["part"] for row in csv.DictReader((one.place.holder / "split.csv").open())}
    names = {p: name for name, p in _names(study).items()}
    flipped = frozenset(names[who] for who, part in split.items() if part in parts)
    assert flipped
    changed = write_study(root / "changed" / study.name, flip=flipped)
    other = Host(changed, root / "other" / "c").pack(**answers)
    assert one.labels() != other.labels()
    assert one.labels().keys() >= {unit for unit, y in other.labels().items() if one.labels().get(unit) != y}
    return [one, other]


def _names(study: Path) -> dict[str, str]:
    from embench.data.find import find_source

    reader = find_source(str(study), None).reader
    return {original: pseudonym for pseudonym, original in reader.owners.items()}  # type: ignore[attr-defined]


def comparable(folder: Path) -> dict[str, object]:
    """Path -> content. MATLAB files count by their arrays, since their head has the time of writing; of the text, the
    commitments are left out, which are hashes with the nonce."""
    found: dict[str, object] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".mat":
            found[name] = {key: value.tobytes() for key, value in loadmat(path).items() if not key.startswith("__")}
        elif path.name not in ("SHA256SUMS", "commitment.json"):
            text = re.sub(r"(split_and_labels|labels|reference): [0-9a-f]{64}", r"\1", path.read_text())
            found[name] = text
    return found


@pytest.mark.slow
def test_the_package_is_the_same_whatever_the_hidden_labels_are(study, tmp_path):
    one, other = twin(study, tmp_path, ("final", "feedback"))
    first, second = comparable(one.place.public), comparable(other.place.public)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    packages = [host.place.public / "commitment.json" for host in (one, other)]
    known, changed = (json.loads(path.read_text()) for path in packages)
    assert [key for key in known if known[key] != changed[key]] == ["labels"]


@pytest.mark.slow
def test_answers_without_scores_are_the_same_whatever_the_hidden_labels_are(study, tmp_path):
    hosts = twin(study, tmp_path, ("final", "feedback"))
    text = hosts[0].predictions(2.0)
    for host in hosts:
        host.register(("alpha", "a", "no"))
        host.submit("alpha", "one", text=text)
        host.submit("alpha", "two", text=text.replace("high,0.", "high,7."))
        host.score()
    assert comparable(hosts[0].place.feedback) == comparable(hosts[1].place.feedback)
    assert comparable(hosts[0].place.answers) == comparable(hosts[1].place.answers)


@pytest.mark.slow
def test_scored_answers_do_not_depend_on_labels_of_the_final_group(study, tmp_path):
    answers = {**LADDER, "submissions_per_team": 20}
    hosts = twin(study, tmp_path, ("final",), **answers)
    texts = [hosts[0].predictions(skill, seed=seed) for seed, skill in enumerate(np.linspace(0, 3, 6))]
    for host in hosts:
        host.register(("alpha", "a", "no"))
        for k, text in enumerate(texts):
            host.submit("alpha", f"{k}", text=text)
        host.score()
    one, other = (comparable(host.place.feedback) | comparable(host.place.answers) for host in hosts)
    assert one == other
    assert "feedback 0." in str(one)


def test_public_files_hold_no_secret_and_no_hidden_label(whole_host):
    host = whole_host
    host.register(("alpha", "a", "no"))
    host.submit("alpha", "one")
    host.score()
    secrets = Secrets.model_validate_json((host.place.holder / "secrets.json").read_text())
    split = {row["subject"]: row["part"] for row in csv.DictReader((host.place.holder / "split.csv").open())}
    public = public_bytes(host.place.public, host.place.feedback, host.place.answers) | {
        "c": (host.root / "commitment.json").read_bytes()
    }
    for path, content in public.items():
        for secret in (secrets.salt, secrets.nonce):
            assert secret.encode() not in content, path
            assert bytes.fromhex(secret) not in content, path
        assert b"feedback" not in content or not path.endswith(("units.csv", "folds.csv", "recordings.csv")), path
    hidden = {who for who, part in split.items() if part != "training"}
    labelled = list(csv.DictReader(io.StringIO((host.place.public / "labels.csv").read_text())))
    assert {row["participant"] for row in labelled} == set(split) - hidden
    units = list(csv.DictReader(io.StringIO((host.place.public / "units.csv").read_text())))
    assert {row["label"] for row in units if row["part"] == "hidden"} == {""}
    assert {row["subject"] for row in units if row["part"] == "hidden"} == hidden
    assert {row["part"] for row in csv.DictReader((host.place.public / "folds.csv").open())} == {"training", "hidden"}


def test_the_package_holds_nothing_of_the_machine_or_of_the_participants(whole_host, study):
    host = whole_host
    for path, content in public_bytes(host.place.public).items():
        assert str(study.parent).encode() not in content, path
        assert str(host.root).encode() not in content, path
        assert not re.search(rb"(?<![A-Za-z0-9])P(0[1-9]|[1-4][0-9])(?![A-Za-z0-9])", content) or path.endswith(".mat")


def test_the_holders_folder_is_private(host):
    assert host.place.holder.stat().st_mode & 0o077 == 0
    assert (host.place.holder / "secrets.json").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_two_hundred_answers_of_the_ladder_reveal_few_labels(study, tmp_path):
    """The attack of Blum and Hardt (2015): random labelings, and a vote of those that were told to be better."""
    host = Host(study, tmp_path / "c").pack(**LADDER, submissions_per_team=200)
    host.register(("thief", "t", "no"))
    rng, units = np.random.default_rng(0), list(host.expected.units.items())
    guesses = rng.integers(0, 2, (60, len(units)))
    for k, guess in enumerate(guesses):
        rows = [f"{s},{r},{u},high,{0.2 + 0.6 * y}" for (u, (s, r)), y in zip(units, guess.tolist(), strict=True)]
        host.submit("thief", f"{k:03d}", text="\n".join(["subject,recording,unit,target,score", *rows]))
    entries = host.score()
    told = [entry.feedback for entry in entries]
    assert told == sorted(told)  # only improvements are told
    assert len(set(told)) <= 4
    labels = host.labels()
    final = set(read_reference(host.place.reference("final")).labels["unit"].tolist())
    gained = [k for k in range(1, len(told)) if told[k] > told[k - 1]] or [0]
    vote = guesses[gained].mean(0) > 0.5
    right = [vote[i] == labels[unit] for i, (unit, _) in enumerate(units) if unit in final]
    assert abs(np.mean(right) - 0.5) < 3 * 0.5 / np.sqrt(len(right))


@pytest.mark.slow
def test_withheld_results_hold_neither_labels_nor_predictions_nor_the_nonce(study, tmp_path):
    host = close_withheld(study, tmp_path / "c", alpha=2.0, beta=1.0)
    secrets = Secrets.model_validate_json((host.place.holder / "secrets.json").read_text())
    results = public_bytes(host.place.results)
    assert {Path(path).name for path in results} == {
        "results.json", "opening.json", "commitment.json", "challenge.yaml", "leaderboard.csv", "report.md",
        "status.csv", "teams.csv",
    }  # fmt: skip
    units = set(host.expected.units)
    for path, content in results.items():
        assert secrets.nonce.encode() not in content, path
        assert not any(unit.encode() in content for unit in units), path
    numbers = re.findall(r"\d\.\d+", results[str(host.place.results / "results.json")].decode())
    assert max(len(number) for number in numbers) <= 5  # three digits


def test_no_package_without_approval_or_consent(study, tmp_path):
    for k, answer in enumerate(
        ({"approval": "none"}, {"approval": "pending"}, {"consent_third_parties": "no"}, {"consent_competitions": "no"})
    ):
        host = Host(study, tmp_path / f"c{k}")
        host.begin(BEFORE)
        fill_form(host.place.holder / "form.yaml", **answer)
        with pytest.raises(Exception, match="no public package without ethics approval and consent"):
            host.begin(BEFORE)
        assert [path.name for path in host.root.iterdir()] == ["holder"]


@pytest.mark.slow
def test_labels_that_were_public_are_refused_or_marked(study, tmp_path):
    for k, change in enumerate(({"labels_ever_public": "yes"}, {})):
        data = study if change else write_study(tmp_path / "open", public="yes")
        host = Host(data, tmp_path / f"c{k}")
        if change:  # only the form says so
            host.begin(BEFORE)
            fill_form(host.place.holder / "form.yaml", **change)
        with pytest.raises(Exception, match="these labels cannot be hidden"):
            host.begin(BEFORE)
        host = Host(data, tmp_path / f"d{k}", demonstration=True).pack(**change)
        assert "demonstration: true" in (host.place.public / "challenge.yaml").read_text()


def test_a_study_that_changed_after_the_commitment_is_refused(study, tmp_path):
    changed = tmp_path / "moving"
    shutil.copytree(study, changed)
    host = Host(changed, tmp_path / "c")
    host.begin(BEFORE)
    fill_form(host.place.holder / "form.yaml")
    host.begin(BEFORE)
    table = changed / "ratings.csv"
    lines = table.read_text().splitlines()
    who, clip, start, arousal = lines[1].split(",")
    table.write_text("\n".join([lines[0], f"{who},{clip},{start},{10 - int(arousal)}", *lines[2:]]) + "\n")
    with pytest.raises(Exception, match="changed since the commitment: labels"):
        host.begin(KNOWN, VALUE)


def test_a_later_form_cannot_change_the_sizes_or_the_salt(study, tmp_path):
    host = Host(study, tmp_path / "c")
    host.begin(BEFORE)
    fill_form(host.place.holder / "form.yaml")
    host.begin(BEFORE)
    with pytest.raises(Exception, match="the public value becomes known"):
        host.begin(OPEN.replace(year=2026), VALUE)
    fill_form(host.place.holder / "form.yaml", final_subjects=13)
    with pytest.raises(Exception, match="changed since the commitment: subjects or sizes"):
        host.begin(KNOWN, VALUE)
    fill_form(host.place.holder / "form.yaml")
    changed = FIXED.model_copy(update={"salt": "00" * 32})
    (host.place.holder / "secrets.json").write_text(changed.model_dump_json())
    with pytest.raises(Exception, match="changed since the commitment: the salt"):
        host.begin(KNOWN, VALUE)
