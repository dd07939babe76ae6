"""A study with ratings of clips, and a host and teams who act by the functions behind `embench challenge`."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from embench.challenge import hosting
from embench.challenge.closing import close_challenge
from embench.challenge.commitment import Secrets
from embench.challenge.hosting import Begun, Layout, begin
from embench.challenge.inbox import Inbox, InboxEntry
from embench.challenge.results import Results
from embench.challenge.scoring import read_reference
from embench.challenge.study import StudyRef
from embench.challenge.submissions import Expected, read_expected

BEFORE = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
"""When the host commits."""
KNOWN = dt.datetime(2027, 1, 2, tzinfo=dt.UTC)
"""When the public value becomes known."""
OPEN = dt.datetime(2027, 2, 1, tzinfo=dt.UTC)
DEADLINE = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
CLOSED = dt.datetime(2027, 3, 2, tzinfo=dt.UTC)
VALUE = "8f3a" * 16
SUBJECTS, CLIPS, FINAL, FEEDBACK = 50, 6, 14, 6
LADDER = {"feedback": "ladder", "final_subjects": 13, "feedback_subjects": 12}
ANSWERS = {
    "name": "calm2027", "title": "Arousal from skin conductance", "contact": "host@example.org",
    "deadline": f"{DEADLINE:%Y-%m-%dT%H:%MZ}", "final_subjects": FINAL, "feedback_subjects": FEEDBACK,
    "labels_after": "published", "source": "drand default network, round 5200000", "when": f"{KNOWN:%Y-%m-%dT%H:%MZ}",
    "labels_ever_public": "no", "approval": "Committee of Example, no. 17", "consent_third_parties": "yes",
    "consent_competitions": "yes", "lawful_basis": "consent", "access_agreement": "agreement.pdf",
    "withdrawals": "write to the contact", "retention": "until 2028", "prohibited_uses": "identification",
}  # fmt: skip
METHOD = """\
method: {name}
code: https://example.org/code
external_data: none
weights: none
adaptation: none
manual_labelling: no
time_context: none
"""


def write_study(root: Path, *, flip: frozenset[str] = frozenset(), public: str = "no") -> Path:
    """Write a study in which people rated clips in different orders. `flip`: people whose ratings are turned round,
    while their signals stay."""
    rng = np.random.default_rng(0)
    ratings = ["participant,clip,start_s,arousal"]
    for person in range(1, SUBJECTS + 1):
        folder = root / f"P{person:02d}"
        folder.mkdir(parents=True)
        for position, clip in enumerate(rng.permutation(CLIPS)):
            arousal = int(rng.integers(1, 10))
            eda = 3 + 0.02 * np.cumsum(rng.standard_normal(80)) * (1 + arousal / 4)
            stated = 10 - arousal if folder.name in flip else arousal
            ratings.append(f"{folder.name},{clip},{40 * position},{stated}")
            lines = [f"{k / 4:.2f},{value:.4f}" for k, value in enumerate(eda)]
            (folder / f"clip{clip}.csv").write_text("\n".join(["time,EDA", *lines]) + "\n")
    (root / ".embench").mkdir()
    (root / ".embench" / "pseudonyms.json").write_text(json.dumps({"key": "7c" * 32}))  # the same in each run
    (root / "ratings.csv").write_text("\n".join(ratings) + "\n")
    keys = "table: ratings.csv, keys: {participant: participant, clip: clip}"
    (root / "dataset.yaml").write_text(f"""\
name: {root.name}
title: Clips
citation: unpublished
licence: not shared
mains_hz: 50
longest_s: 20
fixed_order: false
labels_public: {public}
recordings:
  - files: "{{participant}}/clip{{clip}}.csv"
    stimulus: "{{clip}}"
    start_s: {{{keys}, column: start_s}}
    signals:
      eda: {{channels: {{eda: EDA}}, time: time, unit: uS}}
labels:
  arousal: {{{keys}, column: arousal, scale: [1, 9]}}
targets:
  high: {{label: arousal, kind: binary, cut: 5}}
""")
    return root


FIXED = Secrets(salt="5a" * 32, nonce="6b" * 32)


def fill_form(path: Path, **other: object) -> None:
    """Answer the questions of a form."""
    text = path.read_text()
    for key, value in {**ANSWERS, **other}.items():
        text = re.sub(rf"^(\s*{key}:) \S.*$", rf"\1 {value}", text, flags=re.MULTILINE)
    path.write_text(text)


class Host:
    """A host with a challenge in `root`, and the inbox beside it."""

    def __init__(self, study: Path, root: Path, *, demonstration: bool = False) -> None:
        self.root, self.place, self.inbox = root, Layout(root), root.parent / "inbox"
        self.demonstration = demonstration
        self.ref = StudyRef(
            dataset=str(study), data_root=None, target="high", protocol="subject-independent-v4", modalities=()
        )

    def begin(self, now: dt.datetime, value: str | None = None) -> Begun:
        return begin(self.root, self.ref, demonstration=self.demonstration, public_value=value, now=now)

    def pack(self, **answers: object) -> Host:
        """Do all steps from the form to the package."""
        assert self.begin(BEFORE).stage == "form"
        fill_form(self.place.holder / "form.yaml", **answers)
        with pytest.MonkeyPatch.context() as patch:  # so that each run of the tests hides the same people
            patch.setattr(hosting, "draw_secrets", lambda: FIXED)
            assert self.begin(BEFORE).stage == "committed"
        assert self.begin(KNOWN, VALUE).stage == "packed"
        return self

    def register(self, *rows: tuple[str, str, str]) -> None:
        lines = ["team,members,affiliated", *(",".join(row) for row in rows)]
        (self.place.holder / "teams.csv").write_text("\n".join(lines) + "\n")

    @property
    def expected(self) -> Expected:
        return read_expected(self.place.public)

    def labels(self) -> dict[str, float]:
        """Hidden unit -> label: what only the host knows."""
        found: dict[str, float] = {}
        for part in ("final", "feedback"):
            if self.place.reference(part).exists():
                labels = read_reference(self.place.reference(part)).labels
                found |= dict(zip(labels["unit"].tolist(), labels["label"].tolist(), strict=True))
        return found

    def predictions(self, skill: float, seed: int = 0) -> str:
        """A file of predictions: noise, plus `skill` where the label is positive."""
        rng, labels = np.random.default_rng(seed), self.labels()
        rows = ["subject,recording,unit,target,score"]
        for unit, (subject, recording) in self.expected.units.items():
            logit = rng.normal() + skill * (labels.get(unit, 0.5) - 0.5)
            rows.append(f"{subject},{recording},{unit},high,{1 / (1 + np.exp(-logit)):.6f}")
        return "\n".join(rows) + "\n"

    def submit(
        self, team: str, name: str, *, skill: float = 1.0, seed: int = 0, at: dt.datetime = OPEN,
        text: str | None = None, method: str | None = None,
    ) -> Path:  # fmt: skip
        """Put a submission of a team into the inbox, as if it had arrived at a time."""
        folder = self.inbox / team / name
        folder.mkdir(parents=True)
        (folder / "predictions.csv").write_text(self.predictions(skill, seed) if text is None else text)
        (folder / "method.yaml").write_text(METHOD.format(name=f"method of {team}") if method is None else method)
        self.arrive(folder, at)
        return folder

    @staticmethod
    def arrive(path: Path, at: dt.datetime = OPEN) -> None:
        os.utime(path, (at.timestamp(), at.timestamp()), follow_symlinks=False)

    def score(self, now: dt.datetime = OPEN) -> list[InboxEntry]:
        return Inbox(self.place, self.inbox).read_new(now)

    def close(self, now: dt.datetime = CLOSED) -> Results:
        return close_challenge(self.place, self.inbox, now=now)


def public_bytes(*folders: Path) -> dict[str, bytes]:
    """Path -> content of each file in the folders that others get."""
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def close_withheld(study: Path, root: Path, **skills: float) -> Host:
    """Host a challenge whose labels stay withheld, with a submission of each team's skill, and close it."""
    host = Host(study, root).pack(labels_after="withheld")
    host.register(*((team, team[0], "no") for team in skills))
    for team, skill in skills.items():
        host.submit(team, "one", skill=skill)
    host.score()
    host.close(CLOSED)
    return host
