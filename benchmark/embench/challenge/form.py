"""The form that a host fills in: facts about a challenge, and answers on ethics and access."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from embench.errors import UsageError
from embench.files import MOST_YAML, make_folder, parse_yaml, read_text, saving, write_text
from embench.records.manifest import as_model
from embench.records.wording import counted

FORM_FILE = "form.yaml"
TEMPLATES = Path(__file__).parent / "templates"
FEWEST_FINAL = 5
"""Least number of subjects behind a published number."""

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=2000)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]


class ChallengePart(BaseModel):
    """A document of a challenge, or a part of one. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PublicValue(ChallengePart):
    """The later public value: its source, and when it becomes known."""

    source: _Text
    when: dt.datetime

    @field_validator("when")
    @classmethod
    def _in_utc(cls, when: dt.datetime) -> dt.datetime:
        return as_utc(when)


class EthicsForm(ChallengePart):
    """Answers on approval, consent and access, which are published."""

    approval: _Text
    consent_third_parties: bool
    consent_competitions: bool
    lawful_basis: _Text
    access_agreement: _Text
    withdrawals: _Text
    retention: _Text
    prohibited_uses: _Text


class Form(ChallengePart):
    """A completed form."""

    name: _Name
    title: _Text
    contact: _Text
    deadline: dt.datetime
    final_subjects: int = Field(ge=FEWEST_FINAL, le=10**6)
    feedback_subjects: int = Field(ge=0, le=10**6)
    feedback: Literal["validity", "ladder"] = "validity"
    submissions_per_team: int = Field(default=3, ge=1, le=1000)
    labels_after: Literal["published", "withheld"]
    public_value: PublicValue
    labels_ever_public: bool
    ethics: EthicsForm

    @field_validator("deadline")
    @classmethod
    def _in_utc(cls, when: dt.datetime) -> dt.datetime:
        return as_utc(when)


def as_utc(when: dt.datetime) -> dt.datetime:
    """Return a time in UTC; a time without a zone is in UTC already."""
    return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def write_form(path: Path) -> None:
    """Write an empty form. Raises MachineError if the file cannot be written."""
    with saving("the form", path):
        make_folder(path.parent)
        write_text(path, (TEMPLATES / FORM_FILE).read_text("utf-8"))


def read_form(path: Path) -> Form:
    """Read a form and check that it is complete.

    Raises:
        UsageError: answers are missing; or approval or consent is missing, and the data may not be published.
        DataError: an answer is of the wrong kind.
    """
    content = _read_answers(path)
    unanswered = [key for key, value in _walk(content) if _NO_ANSWER.search(str(value))]
    if unanswered:
        verb = "has" if len(unanswered) == 1 else "have"
        raise UsageError(
            f"{counted(len(unanswered), 'question')} {verb} no answer: {', '.join(unanswered)}",
            where=str(path),
            expected="an answer in place of each TODO",
            hint="fill in the form, then run the same command again",
        )
    form = as_model(Form, content, "the form", str(path), "answers as the comments in the form describe them")
    _check_consent(form, path)
    if form.feedback == "ladder" and form.feedback_subjects < FEWEST_FINAL:
        raise UsageError(
            f"scores on {form.feedback_subjects} feedback subjects would reveal labels of single people",
            where=f"{path}, feedback_subjects",
            expected=f"at least {FEWEST_FINAL}, or `feedback: validity`",
        )
    return form


_NO_ANSWER = re.compile(r"\bTODO\b|^\s*(~|null)?\s*$")


def _read_answers(path: Path) -> dict[str, Any]:
    """Return the answers as texts, as they were written: YAML would read `2027-12-31` as a date, and `17:04` as a
    number. The fields of `Form` read their values from texts."""
    try:
        text = read_text(path, MOST_YAML)
        parse_yaml(text)  # refuses texts that would exceed the memory
        content = yaml.load(text, yaml.BaseLoader)  # noqa: S506  a loader of plain texts
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the form cannot be read: {error}", where=str(path), expected="YAML") from error
    if not isinstance(content, dict):
        raise UsageError("the form is not a list of answers", where=str(path), expected="`name: answer` in each line")
    return content


def _walk(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each answer, also of nested ones."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _walk(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


_REFUSALS = re.compile(r"(no|none|not? (yet|approved|applicable)|n/?a|pending|tbd|unknown|-+)\.?", re.IGNORECASE)
"""Answers which state that approval is missing."""


def _check_consent(form: Form, path: Path) -> None:
    """Raise UsageError if ethics approval or consent is missing."""
    missing = [] if not _REFUSALS.fullmatch(form.ethics.approval) else ["approval"]
    missing += [name for name in ("consent_third_parties", "consent_competitions") if not getattr(form.ethics, name)]
    if missing:
        raise UsageError(
            f"no public package without ethics approval and consent: {', '.join(missing)}",
            where=f"{path}, ethics",
            expected="an approval, and consent that covers third parties and competitions",
            hint="ask the ethics committee; data without them must not be published",
        )
