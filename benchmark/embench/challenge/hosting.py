"""Begin a challenge: the form, the commitment, and the package once the public value is known."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from embench.challenge.commitment import (
    Commitment,
    CommittedPart,
    Secrets,
    Sizes,
    commit_reference,
    commit_split,
    draw_secrets,
    make_commitment,
    read_document,
    split_subjects,
    write_secret,
)
from embench.challenge.form import FORM_FILE, Form, read_form, write_form
from embench.challenge.ladder import describe_bound
from embench.challenge.package import CHALLENGE_FILE, write_public_package
from embench.challenge.scoring import explain_undefined, hash_reference, write_reference
from embench.challenge.study import (
    HostedStudy,
    StudyRef,
    check_power,
    describe_admission,
    describe_resolution,
    find_exposure,
    list_part,
    open_study,
)
from embench.errors import UsageError
from embench.files import aside, saving, temporary, write_text
from embench.records.record import format_csv
from embench.statistics import metric_facts
from embench.system import ProgressCallback

SECRETS_FILE, STUDY_FILE, COMMITMENT_FILE, TEAMS_FILE = "secrets.json", "study.json", "commitment.json", "teams.csv"
SPLIT_FILE = "split.csv"
TEAM_COLUMNS = ("team", "members", "affiliated")


class Layout(NamedTuple):
    """Folders of a challenge. `holder` stays with the host; `public`, `feedback` and `results` are for everyone."""

    root: Path

    @property
    def holder(self) -> Path:
        """Folder for the host alone: secrets, hidden labels, state."""
        return self.root / "holder"

    @property
    def public(self) -> Path:
        """The public package."""
        return self.root / "public"

    @property
    def feedback(self) -> Path:
        """States of all submissions, for everyone."""
        return self.root / "feedback"

    @property
    def answers(self) -> Path:
        """A file for each team, which only this team should get."""
        return self.root / "answers"

    @property
    def results(self) -> Path:
        """Folder that is published at the end."""
        return self.root / "results"

    def reference(self, part: CommittedPart) -> Path:
        """Return the folder with the labels of a hidden group."""
        return self.holder / "reference" / part


class Begun(NamedTuple):
    """The step that `begin` took: `stage` is `form`, `committed`, `waiting` or `packed`; `lines` say it in words."""

    stage: str
    lines: Sequence[str]


def begin(
    root: Path,
    ref: StudyRef | None,
    *,
    demonstration: bool = False,
    public_value: str | None = None,
    now: dt.datetime,
    progress: ProgressCallback | None = None,
    fitting: ProgressCallback | None = None,
) -> Begun:
    """Do the next step of a new challenge in the folder `root`: write the form, publish the commitment, or, with the
    public value, split the subjects and write the package.

    Args:
        ref: the study, needed for the first step; later ones remember it.
        demonstration: accept labels that others have; remembered, and possible until the commitment.
        progress: called with counts of subjects. `fitting`: with counts of folds with fitted confound-only models.

    Raises:
        UsageError: no study or another one is named, the form is incomplete, labels cannot be hidden, or a step comes
            too early. DataError: see `open_study`.
    """
    place = Layout(root)
    form_path, study_path = place.holder / FORM_FILE, place.holder / STUDY_FILE
    if not form_path.exists():
        if ref is None:
            raise UsageError("no study is named", where=str(root), expected="STUDY, a folder or the name of a dataset")
        study = open_study(ref, progress)
        if (reasons := find_exposure(study, ever_public=False)) and not demonstration:
            raise _refuse_labels(ref, reasons)
        write_form(form_path)
        write_secret(study_path, ref.model_copy(update={"demonstration": demonstration}))
        return Begun("form", [f"fill in {form_path}, then run: embench challenge new --out {root}"])
    if (place.public / CHALLENGE_FILE).exists():
        raise UsageError(
            "this challenge has its package already", where=str(place.public), expected="a new --out",
            hint=f"to go on with it: embench challenge score INBOX --challenge {root}",
        )  # fmt: skip
    known = read_document(study_path, StudyRef, "the holder's note on the study")
    if ref is not None and ref != known.model_copy(update={"demonstration": ref.demonstration}):
        raise UsageError(
            "the challenge in this folder began with another study or other options",
            where=str(study_path),
            expected=f"{known.dataset}, as at the first call, or no STUDY",
            hint="to change them before the commitment, delete the folder and begin again",
        )
    if demonstration and not known.demonstration:
        known = _become_demonstration(place, known)
    form = read_form(form_path)
    if not (root / COMMITMENT_FILE).exists():
        return _commit(place, form, known, now, progress, fitting)
    if public_value is None:
        commitment = read_document(root / COMMITMENT_FILE, Commitment, "the commitment")
        return Begun("waiting", [_say_waiting(root, commitment)])
    return _pack(place, form, known, public_value.strip().lower(), now, progress)


def _refuse_labels(ref: StudyRef, reasons: Sequence[str]) -> UsageError:
    """Return the error for labels that cannot be hidden in earnest."""
    return UsageError(
        "these labels cannot be hidden: " + "; ".join(reasons),
        where=ref.dataset,
        expected="labels that nobody outside has, and that confound-only models do not predict above 0.80",
        hint="for a trial whose results mean nothing, repeat the command with --demonstration",
    )


def _become_demonstration(place: Layout, ref: StudyRef) -> StudyRef:
    """Note that a challenge is a demonstration. Raises UsageError after the commitment, which says that it is none."""
    if (place.root / COMMITMENT_FILE).exists():
        raise UsageError(
            "this challenge was committed in earnest", where="--demonstration",
            expected="no --demonstration; for a trial, a new --out",
        )  # fmt: skip
    marked = ref.model_copy(update={"demonstration": True})
    write_secret(place.holder / STUDY_FILE, marked)
    return marked


def _say_waiting(root: Path, commitment: Commitment) -> str:
    value = commitment.public_value
    return (
        f"publish {root / COMMITMENT_FILE} now; after {value.when:%Y-%m-%d %H:%M} UTC, run: embench challenge new "
        f"--out {root} --public-value VALUE, with the value of: {value.source}"
    )


def _say_packed(place: Layout) -> list[str]:
    command = f"embench challenge score INBOX --challenge {place.root}"
    return [
        f"publish {place.public}; keep {place.holder} to yourself, with a backup",
        f"register teams in {place.holder / TEAMS_FILE}, then run: {command}",
    ]


def _commit(
    place: Layout, form: Form, ref: StudyRef, now: dt.datetime, progress: ProgressCallback | None,
    fitting: ProgressCallback | None,
) -> Begun:  # fmt: skip
    """Check that the study's labels can be hidden, draw the secrets and write the commitment."""
    study = open_study(ref, progress)
    reasons = describe_admission(study, ever_public=form.labels_ever_public, progress=fitting)
    if reasons and not ref.demonstration:
        raise _refuse_labels(ref, reasons)
    sizes = Sizes(feedback=form.feedback_subjects, final=form.final_subjects)
    _check_estimable(study, sizes, ("final", "feedback") if form.feedback == "ladder" else ("final",))
    drawn = draw_secrets()
    commitment = make_commitment(
        drawn, form.name, study.groups, sizes, study.labels().lines(), form.public_value,
        demonstration=ref.demonstration, now=now,
    )  # fmt: skip
    write_secret(place.holder / SECRETS_FILE, drawn)
    with saving("the commitment", place.root):
        if not (place.holder / TEAMS_FILE).exists():
            write_text(place.holder / TEAMS_FILE, format_csv([], TEAM_COLUMNS))
        write_text(place.root / COMMITMENT_FILE, commitment.model_dump_json(indent=1) + "\n")
    lines = [describe_resolution(form.final_subjects)]
    lines += [f"demonstration: {reason}" for reason in reasons]
    return Begun("committed", [*lines, _say_waiting(place.root, commitment)])


_TRIALS = 5


def _check_estimable(study: HostedStudy, sizes: Sizes, scored: Sequence[CommittedPart]) -> None:
    """Raise UsageError if the hidden groups that are scored are too small for scores. A few splits that will not be
    used decide, since nobody may change the real split once it is known."""
    for k in range(_TRIALS):
        split = split_subjects(f"trial {k}", "", study.groups, sizes)
        for part in scored:
            if why := explain_undefined(study, split, part):
                raise UsageError(
                    f"a {part} group of {len(list_part(split, part))} subjects may have no score: {why}",
                    where=f"{part}_subjects",
                    expected="a larger group, or more subjects or labels in the study",
                )


def _pack(
    place: Layout, form: Form, ref: StudyRef, public_value: str, now: dt.datetime, progress: ProgressCallback | None
) -> Begun:
    """Split the subjects, and write the package and the references of the hidden groups."""
    commitment = read_document(place.root / COMMITMENT_FILE, Commitment, "the commitment")
    drawn = read_document(place.holder / SECRETS_FILE, Secrets, "the holder's secrets")
    _check_public_value(public_value, commitment, now)
    study = open_study(ref, progress)
    sizes = Sizes(feedback=form.feedback_subjects, final=form.final_subjects)
    labels = study.labels().lines()
    _check_unchanged(drawn, commitment, form, study, sizes, labels)
    split = split_subjects(drawn.salt, public_value, study.groups, sizes)
    parts: tuple[CommittedPart, ...] = ("final", "feedback") if form.feedback_subjects else ("final",)
    metrics = {part: write_reference(place.reference(part), study, split, part) for part in parts}
    rows = [{"subject": name, "group": study.groups[name], "part": part} for name, part in split.items()]
    with saving("the split", place.holder):
        write_text(place.holder / SPLIT_FILE, format_csv(rows, ("subject", "group", "part")))
    final, hidden = list_part(split, "final"), list_part(split, "final", "feedback")
    facts = _describe_numbers(study, form, commitment, final, hidden)
    facts |= {
        "demonstration": commitment.demonstration,
        "public_value": {**commitment.public_value.model_dump(mode="json"), "value": public_value},
        "commitment": {
            "salt": commitment.salt,
            "split_and_labels": commit_split(drawn.nonce, split, labels),
            "reference": commit_reference(drawn.nonce, hash_reference(place.reference("final"))),
        },
        "metric": metric_facts(metrics["final"]).title,
        "modalities": list(ref.modalities or study.store.modalities),
    }
    whole = aside(place.public)
    with temporary(whole):
        write_public_package(whole, study, split, form, facts, facts["modalities"], progress)
        shutil.copyfile(place.root / COMMITMENT_FILE, whole / COMMITMENT_FILE)
        whole.rename(place.public)
    lines = [f"{len(split) - len(hidden)} training subjects, {len(hidden)} hidden", facts["resolution"]]
    lines += [facts["feedback_bound"]] if facts.get("feedback_bound") else []
    lines += [warning] if (warning := check_power(final)) else []
    return Begun("packed", [*lines, *_say_packed(place)])


_PUBLIC_VALUE = re.compile(r"[0-9a-f]{32,1000}")


def _check_public_value(value: str, commitment: Commitment, now: dt.datetime) -> None:
    """Raise UsageError if the public value is not known yet, or is too short to be one. The split that it decides
    cannot be drawn again."""
    source, when = commitment.public_value.source, commitment.public_value.when
    if when > now:
        raise UsageError(
            f"the public value becomes known at {when:%Y-%m-%d %H:%M} UTC", where="--public-value",
            expected=f"the value of: {source}", hint=f"it is {now:%Y-%m-%d %H:%M} UTC; repeat the command after that",
        )  # fmt: skip
    if not _PUBLIC_VALUE.fullmatch(value):
        raise UsageError(
            f"`{value[:80]}` is not the public value", where="--public-value",
            expected=f"at least 32 hexadecimal digits, which are the value of: {source}",
            hint="look up the value there, and repeat the command with it",
        )  # fmt: skip


def _check_unchanged(
    drawn: Secrets, commitment: Commitment, form: Form, study: HostedStudy, sizes: Sizes, labels: Sequence[str]
) -> None:
    """Raise UsageError if the study, the form or the secrets differ from what was committed."""
    again = make_commitment(
        drawn, form.name, study.groups, sizes, labels, form.public_value, demonstration=True, now=commitment.committed
    )
    pairs = {
        "the salt": (again.salt, commitment.salt),
        "subjects or sizes of the hidden groups": (again.subjects, commitment.subjects),
        "labels": (again.labels, commitment.labels),
        "the name": (again.challenge, commitment.challenge),
        "the public value's source": (again.public_value, commitment.public_value),
    }
    if changed := [what for what, (one, other) in pairs.items() if one != other]:
        raise UsageError(
            f"changed since the commitment: {', '.join(changed)}",
            where=COMMITMENT_FILE,
            expected="the study and the form as they were committed",
            hint="undo the change; if a subject withdrew, begin a new challenge with a new public value",
        )


def _describe_numbers(
    study: HostedStudy, form: Form, commitment: Commitment, final: Sequence[str], hidden: Sequence[str]
) -> dict[str, Any]:
    """Return counts and limits for challenge.yaml. Which hidden subjects are in which group is not among them."""
    facts: dict[str, Any] = {
        "subjects": {"hidden": len(hidden), "final": len(final), "all": len(study.groups)},
        "committed": commitment.committed.isoformat(),
        "resolution": describe_resolution(len(final)),
    }
    if form.feedback == "ladder":
        facts["feedback_bound"] = describe_bound(len(hidden) - len(final), form.submissions_per_team)
    return facts
