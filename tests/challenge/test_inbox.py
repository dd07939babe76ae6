"""The inbox: three submissions of each team, no late ones, and an interrupted command goes on."""

from __future__ import annotations

import datetime as dt
import shutil

import pytest

from embench.challenge.inbox import Inbox, read_teams
from embench.errors import DataError, UsageError

from .world import DEADLINE, OPEN


def test_a_team_has_three_valid_submissions(host):
    host.register(("alpha", "a", "no"))
    for k in range(5):
        host.submit("alpha", f"{k}", seed=k, at=OPEN + dt.timedelta(hours=k))
    host.submit("alpha", "bad", text="nothing", at=OPEN)
    states = {entry.file: (entry.state, entry.reason) for entry in host.score()}
    assert [states[f"{k}"][0] for k in range(5)] == ["valid"] * 3 + ["refused"] * 2
    assert "three valid submissions" in states["4"][1]
    assert states["bad"][0] == "invalid"


def test_late_repeated_and_unregistered_submissions_are_refused(host):
    host.register(("alpha", "a", "no"))
    host.submit("alpha", "in time", at=DEADLINE)
    host.submit("alpha", "again", at=DEADLINE)
    host.submit("alpha", "late", at=DEADLINE + dt.timedelta(seconds=1), seed=3)
    host.submit("unknown", "one")
    found = {entry.file: entry.reason for entry in host.score() if entry.state == "refused"}
    assert found == {
        "in time": "the same submission was read before",
        "late": "it arrived after the deadline",
        "one": "the team is not registered",
    }


def test_nothing_is_read_twice_and_an_interrupted_command_goes_on(host):
    host.register(("alpha", "a", "no"), ("beta", "b", "no"))
    host.submit("alpha", "one")
    host.submit("beta", "one", seed=1)

    class Interrupt(Exception):
        pass

    def stop(_):
        raise Interrupt

    with pytest.raises(Interrupt):
        Inbox(host.place, host.inbox).read_new(OPEN, stop)
    assert [(entry.team, entry.state) for entry in host.score()] == [("beta", "valid")]
    assert host.score() == []
    assert (host.place.feedback / "status.csv").read_text().count("valid") == 2


def test_the_last_valid_submission_is_final_unless_the_team_chooses(host):
    host.register(("alpha", "a", "no"))
    for k in range(2):
        host.submit("alpha", f"{k}", seed=k, at=OPEN + dt.timedelta(hours=k))
    host.score()
    inbox = Inbox(host.place, host.inbox)
    assert inbox.find_final("alpha").file == "1"
    (host.inbox / "alpha" / "final.txt").write_text("0\n")
    assert inbox.find_final("alpha").file == "0"
    (host.inbox / "alpha" / "final.txt").write_text("../../holder\n")
    with pytest.raises(DataError, match="names no valid submission"):
        inbox.find_final("alpha")


def test_a_submission_that_was_changed_after_it_was_read_does_not_count(host):
    host.register(("alpha", "a", "no"))
    folder = host.submit("alpha", "one")
    (entry,) = host.score()
    (folder / "predictions.csv").write_text(host.predictions(3.0, seed=9))
    with pytest.raises(DataError, match="was changed after it was read"):
        Inbox(host.place, host.inbox).load(entry)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("alpha", "a;b", "no"), ("beta", "B", "no")], "b is in two teams"),
        ([("alpha", "a", "no"), ("alpha", "b", "no")], "registered twice"),
        ([("al/pha", "a", "no")], "does not register a team"),
        ([("alpha", "", "no")], "members or `affiliated` are missing"),
        ([("alpha", "a", "maybe")], "members or `affiliated` are missing"),
    ],
)
def test_one_registration_for_each_person(host, rows, why):
    host.register(*rows)
    with pytest.raises(UsageError, match=why):
        read_teams(host.place.holder / "teams.csv")


def test_a_table_of_teams_that_a_spreadsheet_saved_is_read_or_explained(host):
    path = host.place.holder / "teams.csv"
    text = "team,members,affiliated\r\nalpha,a;b,no\r\n"
    path.write_bytes(("\ufeff" + text).encode())
    assert list(read_teams(path)) == ["alpha"]
    path.write_text(text.replace(",", ";"))
    with pytest.raises(UsageError, match="the first line of the table of teams is another one"):
        read_teams(path)


def test_files_outside_the_folders_of_teams_are_named(host):
    host.register(("alpha", "a", "no"))
    host.submit("alpha", "one")
    (host.inbox / "loose.zip").write_bytes(b"")
    inbox = Inbox(host.place, host.inbox)
    assert inbox.list_ignored() == ["loose.zip"]
    assert [entry.team for entry in inbox.read_new(OPEN)] == ["alpha"]


def test_an_answer_to_a_team_is_one_readable_line(host):
    host.register(("alpha", "a", "no"))
    host.submit("alpha", "one", text="nothing")
    (entry,) = host.score()
    assert "; where: alpha/one/predictions.csv, line 1; expected: subject, recording" in entry.reason


def test_a_missing_inbox_is_named(host):
    host.register(("alpha", "a", "no"))
    shutil.rmtree(host.inbox, ignore_errors=True)
    with pytest.raises(DataError, match="the inbox is not a folder"):
        host.score()
