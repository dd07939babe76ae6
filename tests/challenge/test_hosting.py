"""The first steps of a host: faults are named before the form is filled in, and the public value is not read early."""

from __future__ import annotations

import datetime as dt

import pytest

from embench.challenge.form import read_form
from embench.cli import main
from embench.errors import EmbenchError, UsageError

from .world import BEFORE, KNOWN, VALUE, Host, fill_form


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "amigos"
    assert main(["data", "synthesize", "amigos", "--out", str(root), "--subjects", "12", "--length-s", "25"]) == 0
    return root


def commit(host: Host, **answers: object) -> None:
    host.begin(BEFORE)
    fill_form(host.place.holder / "form.yaml", **answers)
    host.begin(BEFORE)


@pytest.mark.parametrize("demonstration", [False, True])
def test_the_public_value_is_refused_before_its_time(study, tmp_path, demonstration):
    host = Host(study, tmp_path / "c", demonstration=demonstration)
    commit(host)
    early = KNOWN - dt.timedelta(minutes=2, seconds=18)
    with pytest.raises(UsageError, match=r"(?s)becomes known at 2027-01-02 00:00 UTC.*it is 2027-01-01 23:57 UTC"):
        host.begin(early, VALUE)
    assert not host.place.public.exists()


@pytest.mark.parametrize("value", ["8f3a5c", "VALUE", "", "g" * 64, "8f3a" * 7])
def test_a_value_that_cannot_be_the_public_one_is_refused(study, tmp_path, value):
    host = Host(study, tmp_path / "c")
    commit(host)
    with pytest.raises(UsageError, match=r"(?s)not the public value.*at least 32 hexadecimal digits"):
        host.begin(KNOWN, value)
    assert not host.place.public.exists()


@pytest.mark.parametrize("named", [True, False])
def test_a_folder_that_cannot_be_read_is_named_before_the_form(tmp_path, named):
    (tmp_path / "amigos").mkdir()
    host = Host(tmp_path / ("amigos" if named else "missing"), tmp_path / "c")
    with pytest.raises(EmbenchError):
        host.begin(BEFORE)
    assert not host.root.exists()


def test_synthetic_labels_are_named_before_the_form(synthetic, tmp_path):
    command = ["challenge", "new", "amigos", "--data-root", str(synthetic.parent), "--target", "arousal"]
    command += ["--modalities", "eda", "--out", str(tmp_path / "c")]
    assert main(command) == 2
    assert not (tmp_path / "c").exists()
    assert main([*command, "--demonstration"]) == 0
    assert (tmp_path / "c" / "holder" / "form.yaml").exists()


def test_a_challenge_becomes_a_demonstration_with_its_form(study, tmp_path, capsys):
    host = Host(study, tmp_path / "c")
    host.begin(BEFORE)
    form = host.place.holder / "form.yaml"
    fill_form(form, labels_ever_public="yes", when="2090-01-01T12:00Z", deadline="2091-01-01T12:00Z")
    text = form.read_text()
    assert main(["challenge", "new", "--out", str(host.root)]) == 2
    assert "these labels cannot be hidden" in capsys.readouterr().err
    assert main(["challenge", "new", "--out", str(host.root), "--demonstration"]) == 0
    assert form.read_text() == text
    assert '"demonstration": true' in (host.root / "commitment.json").read_text()


def test_a_commitment_does_not_become_a_demonstration(study, tmp_path, capsys):
    host = Host(study, tmp_path / "c")
    commit(host)
    assert main(["challenge", "new", "--out", str(host.root), "--demonstration"]) == 2
    assert "committed" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["2027-12-31", "2028", "12.50", "yes", "17:04", "007"])
def test_texts_of_the_form_stand_as_they_were_written(study, tmp_path, text):
    host = Host(study, tmp_path / "c")
    host.begin(BEFORE)
    path = host.place.holder / "form.yaml"
    fill_form(path, retention=text, approval=f"no. {text}", withdrawals=text)
    form = read_form(path)
    assert form.ethics.retention == form.ethics.withdrawals == text
    assert form.final_subjects == 14
    assert form.ethics.consent_competitions is True
    assert form.labels_ever_public is False


@pytest.mark.parametrize("nothing", ["''", "~", "null", "TODO"])
def test_questions_without_an_answer_are_named(study, tmp_path, nothing):
    host = Host(study, tmp_path / "c")
    host.begin(BEFORE)
    fill_form(host.place.holder / "form.yaml", retention=nothing)
    with pytest.raises(UsageError, match=r"one question has no answer: ethics\.retention"):
        read_form(host.place.holder / "form.yaml")
