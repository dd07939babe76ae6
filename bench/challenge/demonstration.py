"""`python -m bench.challenge.demonstration DATA OUT`: a challenge on Stress-Predict with three simulated teams.

Labels of Stress-Predict are public, so the challenge is a demonstration. The teams:

- `linear`: the starter of the package;
- `forest`: boosted trees on the starter's features, with those of the neighbouring minute;
- `climber`: the starter, and then changes of stretches of its predictions at random, each kept if the feedback became
  better. It never looks at a signal again, so on new people it is the starter with noise.

The public value is a text chosen here; in earnest it is a number that nobody knows at the commitment.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from embench.challenge.closing import close_challenge
from embench.challenge.form import FORM_FILE
from embench.challenge.hosting import Layout, begin
from embench.challenge.inbox import Inbox
from embench.challenge.scoring import primary_score, read_reference, score_rows
from embench.challenge.study import StudyRef
from embench.challenge.submissions import check_submission
from embench.challenge.verification import verify_results

SUBMISSIONS, STRETCH = 200, 12
"""Scored submissions of `climber`; units of 10 s of a stretch that is changed."""
ANSWERS = {
    "name": "stress_predict_demo", "title": "Stress at the wrist", "contact": "nobody", "deadline": "2090-01-01T00:00Z",
    "final_subjects": "12", "feedback_subjects": "13", "feedback": "ladder", "submissions_per_team": str(SUBMISSIONS),
    "labels_after": "published", "source": "a text in bench/challenge/demonstration.py", "when": "2026-11-01T00:00Z",
    "labels_ever_public": "yes", "approval": "Iqbal et al. 2022, doi 10.3390/s22218135, section 2",
    "consent_third_parties": "yes", "consent_competitions": "yes", "lawful_basis": "public data, MIT licence",
    "access_agreement": "MIT licence", "withdrawals": "none, since the data are public", "retention": "unlimited",
    "prohibited_uses": "identification",
}  # fmt: skip
METHOD = """\
method: {name}
code: bench/challenge/demonstration.py
external_data: none
weights: none
adaptation: none
manual_labelling: no
time_context: none
"""


def host(data: str, out: Path) -> Layout:
    """Do all steps from the form to the package."""
    ref = StudyRef(
        dataset="stress_predict", data_root=data, target="stress", protocol="subject-independent-v4",
        modalities=("eda", "ppg", "acc"), demonstration=True,
    )  # fmt: skip
    place, now = Layout(out), dt.datetime.now(dt.UTC)
    begin(out, ref, now=now)
    path = place.holder / FORM_FILE
    text = path.read_text()
    for key, value in ANSWERS.items():
        text = re.sub(rf"^(\s*{key}:) \S.*$", rf"\1 {value}", text, flags=re.MULTILINE)
    path.write_text(text)
    for value in (None, "a value that nobody had to wait for"):
        for line in begin(out, ref, public_value=value, now=now).lines:
            sys.stdout.write(f"{line}\n")
    teams = ["team,members,affiliated", *(f"{name},{name}@example.org,no" for name in ("linear", "forest", "climber"))]
    (place.holder / "teams.csv").write_text("\n".join(teams) + "\n")
    return place


def submit(inbox: Path, team: str, number: int, table: pd.DataFrame) -> Path:
    folder = inbox / team / f"{number:03d}"
    folder.mkdir(parents=True)
    table.to_csv(folder / "predictions.csv", index=False)
    (folder / "method.yaml").write_text(METHOD.format(name=team))
    at = dt.datetime.now(dt.UTC).timestamp() - 10_000 + number  # in their order
    os.utime(folder, (at, at))
    return folder


def predict_by_forest(package: Path) -> pd.DataFrame:
    """Boosted trees on the features of the starter, also averaged over a minute to each side."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    code = (package / "starter.py").read_text().partition("# ## Model and predictions")[0].rpartition("# %%")[0]
    names: dict = {"__file__": str(package / "starter.py")}
    exec(compile(code, "starter.py", "exec"), names)  # noqa: S102  the package's own starter
    units, X = names["units"], names["X"]
    by_recording = pd.DataFrame(X).groupby(units["recording"].to_numpy())
    X = np.hstack([X, by_recording.transform(lambda x: x.rolling(13, center=True, min_periods=1).mean())])
    train = ((units["part"] == "training") & units["label"].notna()).to_numpy()
    hidden = (units["part"] == "hidden").to_numpy()
    model = HistGradientBoostingClassifier(max_iter=100, max_depth=3, random_state=0)
    model.fit(X[train], units["label"].to_numpy(float)[train].astype(int))
    table = units.loc[hidden, ["subject", "recording", "unit", "target"]].copy()
    return table.assign(score=model.predict_proba(X[hidden])[:, 1])


def climb(place: Layout, root: Path, base: pd.DataFrame) -> None:
    """Send submissions that change stretches of the best one so far, and read the answers."""
    rng, best, told = np.random.default_rng(0), base, None
    stretch = base.groupby("recording").cumcount() // STRETCH
    code = (base["recording"] + stretch.astype(str)).astype("category").cat.codes.to_numpy()
    table = base
    for number in range(SUBMISSIONS):
        folder = submit(root, "climber", number, table)
        Inbox(place, root).read_new(dt.datetime.now(dt.UTC))
        answer = next(e.feedback for e in Inbox(place, root).entries if e.team == "climber" and e.file == folder.name)
        if told is None or answer > told:
            best, told = table, answer
        logit = np.log(best["score"] / (1 - best["score"])) + rng.normal(0, 1.0, code.max() + 1)[code]
        table = best.assign(score=(1 / (1 + np.exp(-logit))).clip(1e-6, 1 - 1e-6))
    submitted = [path for path in (root / "climber").iterdir() if path.is_dir()]
    chosen = next(
        p
        for p in submitted
        if pd.read_csv(p / "predictions.csv")["score"].sub(best["score"].to_numpy()).abs().max() < 1e-9
    )
    (root / "climber" / "final.txt").write_text(chosen.name)


def climb_without_ladder(place: Layout, root: Path, steps: int = 100) -> tuple[float, float]:
    """Climb with scores of the feedback group as they are, which embench does not offer. Return the reached feedback
    score and the final score of the same predictions."""
    feedback, final = (read_reference(place.reference(part)) for part in ("feedback", "final"))
    rows = list(check_submission(root / "linear" / "000", place.public).rows)
    stretches = sorted({(row.recording, int(row.unit.rpartition(":")[2].partition("-")[0]) // 120_000) for row in rows})
    code = {name: k for k, name in enumerate(stretches)}
    at = [code[row.recording, int(row.unit.rpartition(":")[2].partition("-")[0]) // 120_000] for row in rows]
    rng, logit = np.random.default_rng(1), np.array([np.log(p / (1 - p)) for p in (row.scores[0] for row in rows)])

    def score(reference, values):
        changed = [row._replace(scores=(float(1 / (1 + np.exp(-x))),)) for row, x in zip(rows, values, strict=True)]
        return primary_score(score_rows(reference, changed, confounds=False))[1].mean

    best = score(feedback, logit)
    for _ in range(steps):
        tried = logit + rng.normal(0, 1.0, len(code))[at]
        if (value := score(feedback, tried)) > best:
            logit, best = tried, value
    return best, score(final, logit)


def main(data: str, out: Path) -> None:
    root, place = out.parent / "inbox", host(data, out)
    base = pd.read_csv(place.public / "baseline.csv")
    submit(root, "linear", 0, base)
    submit(root, "forest", 0, predict_by_forest(place.public))
    climb(place, root, base)
    reference = read_reference(place.reference("feedback"))
    inbox = Inbox(place, root)
    for team in ("linear", "forest", "climber"):
        entry = inbox.find_final(team)
        rows = check_submission(root / team / entry.file, place.public).rows
        _, score = primary_score(score_rows(reference, rows, confounds=False))
        sys.stdout.write(
            f"{team}: submission {entry.file}, told {entry.feedback}, on the feedback group {score.mean:.3f}\n"
        )
    close_challenge(place, root, early=True, now=dt.datetime.now(dt.UTC))
    sys.stdout.write((place.results / "report.md").read_text())
    for line in verify_results(place.results):
        sys.stdout.write(f"{line}\n")
    reached = climb_without_ladder(place, root)
    sys.stdout.write("climber with scores as they are: feedback {:.3f}, final {:.3f}\n".format(*reached))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
