"""A bundle for Codabench: phases, hidden labels, and a scoring program that is the light installation."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from embench.challenge.commitment import CommittedPart
from embench.challenge.form import FORM_FILE, Form, read_form
from embench.challenge.hosting import Layout
from embench.challenge.package import CHALLENGE_FILE, METHOD_FILE, UNITS_FILE, read_challenge
from embench.challenge.results import as_numbers
from embench.challenge.scoring import REFERENCE_FILES, primary_score, read_reference, score_rows
from embench.challenge.submissions import check_submission
from embench.errors import EmbenchError, UsageError
from embench.files import saving, write_text
from embench.statistics import metric_facts
from embench.vocabulary import escape_control

SCORES_FILE, DETAILS_FILE = "scores.json", "detailed_results.html"
_PROGRAM = '''\
"""Called by Codabench as: python score.py INPUT OUTPUT. INPUT has ref/ (hidden labels) and res/ (the submission)."""

import sys

from embench.challenge.codabench import score_bundle

sys.exit(score_bundle(sys.argv[1:]))
'''
_COMMAND = "python3 score.py /app/input /app/output"
_DOCKERFILE = """\
# The image that scores submissions: build it in the folder of embench's sources, then push it.
FROM python:3.12-slim
COPY . /embench
RUN pip install --no-cache-dir -r /embench/requirements-score.txt && pip install --no-cache-dir --no-deps /embench
"""
_LOGO = (
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e366"
    "0000000049454e44ae426082"
)
"""A PNG of one pixel, since Codabench requires a logo."""


def write_bundle(place: Layout, out: Path, image: str) -> None:
    """Write the bundle of a challenge as a zip file. It holds the hidden labels.

    Args:
        image: name of the Docker image with embench.

    Raises:
        UsageError: the name of the image is missing. MachineError: the file cannot be written.
    """
    if not image:
        raise UsageError(
            "the Docker image with embench has no name",
            where="--image",
            expected="an image built from the Dockerfile of the bundle, under a name of your choice",
            hint="--image YOURS/embench-score:0.1",
        )
    form, challenge = read_form(place.holder / FORM_FILE), read_challenge(place.public)
    phases: list[tuple[str, CommittedPart]] = [("Feedback", "feedback"), ("Final", "final")]
    if not form.feedback_subjects:
        phases = phases[1:]
    members: dict[str, bytes] = {
        "competition.yaml": _describe(form, challenge, [name for name, _ in phases], image).encode(),
        "logo.png": bytes.fromhex(_LOGO),
        "Dockerfile": _DOCKERFILE.encode(),
        "pages/overview.md": _overview(form, challenge).encode(),
        "pages/terms.md": (place.public / "RULES.md").read_bytes(),
        "scoring_program/score.py": _PROGRAM.encode(),
        "scoring_program/metadata.yaml": yaml.safe_dump({"command": _COMMAND}).encode(),
    }
    for name, part in phases:
        folder = f"reference_{name.lower()}"
        for file in (CHALLENGE_FILE, UNITS_FILE):
            members[f"{folder}/{file}"] = (place.public / file).read_bytes()
        if name == "Final" or form.feedback == "ladder":
            for file in REFERENCE_FILES:
                members[f"{folder}/{file}"] = (place.reference(part) / file).read_bytes()
    with saving("the bundle", out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    out.chmod(0o600)


def _describe(form: Form, challenge: Mapping[str, Any], phases: Sequence[str], image: str) -> str:
    """Return the text of competition.yaml, of version 2."""
    start, end = str(challenge["committed"])[:10], f"{form.deadline:%Y-%m-%d}"
    last = f"{form.deadline:%Y-%m-%d %H:%M}"
    dates = {"Feedback": {"start": start, "end": end}, "Final": {"start": last}}
    columns = [("score", "Score", "desc"), ("low", "Low", "desc"), ("high", "High", "desc"), ("valid", "Valid", "desc")]
    content = {
        "version": 2,
        "title": form.title,
        "description": f"{form.name}: hosted with embench",
        "image": "logo.png",
        "terms": "pages/terms.md",
        "docker_image": image,
        "registration_auto_approve": False,
        "enable_detailed_results": True,
        "pages": [{"title": "Overview", "file": "pages/overview.md"}],
        "tasks": [
            {
                "index": k, "name": name, "description": f"{name} group", "is_public": False,
                "reference_data": f"reference_{name.lower()}", "scoring_program": "scoring_program",
            }
            for k, name in enumerate(phases)
        ],
        "phases": [
            {
                "name": name, "description": f"{name} group", "tasks": [k], **dates[name],
                "max_submissions": form.submissions_per_team if name == "Feedback" else 1,
                "max_submissions_per_day": form.submissions_per_team if name == "Feedback" else 1,
                "execution_time_limit": 300, "auto_migrate_to_this_phase": False,
                "hide_output": name == "Final",
            }
            for k, name in enumerate(phases)
        ],
        "leaderboards": [
            {
                "title": "Results", "key": "main", "submission_rule": "Force_Last", "hidden": True,
                "columns": [
                    {"title": title, "key": key, "index": k, "sorting": sorting}
                    for k, (key, title, sorting) in enumerate(columns)
                ],
            }
        ],
    }  # fmt: skip
    return yaml.safe_dump(content, sort_keys=False, width=118, allow_unicode=True)


def _overview(form: Form, challenge: Mapping[str, Any]) -> str:
    hidden = challenge["subjects"]["hidden"]
    return (
        f"# {form.title}\n\nPredict `{challenge['target']['name']}` of {hidden} hidden subjects. Submit a zip file "
        f"with `predictions.csv` and `{METHOD_FILE}`, as the public package describes them. The host ranks teams on "
        f"the final group, with intervals, and shared where nothing tells teams apart.\n\nContact: {form.contact}\n"
    )


def score_bundle(arguments: Sequence[str]) -> int:
    """Score one submission as Codabench calls it: `INPUT OUTPUT`. Write `scores.json` and a page, and return the exit
    code: 0, or 1 for an invalid submission, whose fault is printed."""
    given, out = (Path(name) for name in arguments)
    try:
        scores, words = _score(given / "ref", given / "res")
    except EmbenchError as error:
        sys.stderr.write(escape_control(str(error)) + "\n")
        return 1
    with saving("the scores", out):
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / SCORES_FILE, json.dumps(scores) + "\n")
        write_text(out / DETAILS_FILE, f"<p>{words}</p>\n")
    return 0


def _score(reference: Path, submission: Path) -> tuple[dict[str, float], str]:
    """Return the numbers for Codabench's leaderboard, and a sentence. Without labels in the reference, a valid
    submission gets `valid` 1 alone."""
    found = check_submission(submission, reference)
    if not (reference / REFERENCE_FILES[0]).exists():
        return {"valid": 1}, f"valid: {len(found.rows)} units"
    metric, score = primary_score(score_rows(read_reference(reference), found.rows))
    numbers = as_numbers(score)
    if numbers is None:
        return {"valid": 1}, f"{metric_facts(metric).title} is undefined on these subjects"
    mean, low, high = numbers
    scores = {"valid": 1.0, "score": round(mean, 3)}
    scores |= {name: round(end, 3) for name, end in (("low", low), ("high", high)) if end is not None}
    return scores, f"{metric_facts(metric).title} {mean:.2f}"
