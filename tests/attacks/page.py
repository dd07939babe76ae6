"""What stops each kind of forgery, as `docs/why/forgeries.md` lists it: made of the attacks that the tests try."""

from __future__ import annotations

from bench.markdown import table

from ..docs.pages import ROOT
from . import test_copies, test_declared_words, test_levels

PAGE = ROOT / "docs" / "why" / "forgeries.md"
ABOUT = {
    "confound_only": "confound-only models: weaker, others', fewer",
    "predictions": "predictions: other seed or method, smoothed, from labels",
    "predictions changed later": "predictions changed after an attestation",
    "predictions moved very little": "predictions moved by less than .005 of a score",
    "a method of one's own": "a method by a plugin that nobody has",
    "folds and groups": "folds and groups",
    "labels and people": "labels of others, or subjects or units left out",
    "labels of files said to be others": "labels of files said to be others",
    "units without a signal": "errors counted as units without a signal",
    "times and stimuli": "times, stimuli and lengths of sessions",
    "summands": "contributions by which entries are ranked",
    "the answers given time and movement": "the answers given time and movement",
    "what else the entry shows": "other fields: scores, label rule, settings, coverage",
    "what else the data show": "who was left out, and why",
    "an audit of something else": "another entry's audit",
    "what happened on the board": "an entry revived or changed, or that brings its attestation",
    "an entry twice": "an entry under a second id",
    "words of a person": "an audit, attestation, ledger or time by hand",
}
"""Kind of `test_levels.FORGERIES` -> what is forged."""
OTHERS = (
    ("what an entry says of its files and code", "", "`verify --data-root`", "no"),
    ("statements of run.yaml", str(len(test_declared_words.WORDS)), "`verify`", "yes"),
    ("statements that no other entry shares", "", "no rank", "listed"),
    ("copies, also rescaled or with noise", str(len(test_copies.CHANGES)), "`verify --previous`", "yes"),
    ("nonces: chosen, too old, or brought along", "", "`build`", "yes"),
    ("withheld labels: tables tried against the hash", "", "the secret of own data", "-"),
    ("withheld labels: one of each of a few subjects", "", "`submit`", "-"),
)
"""What is forged, how often, what stops it, and whether CI does, of the attacks of other files."""


def forgeries() -> str:
    rows = []
    for kind, of in test_levels.FORGERIES.items():
        stops = {(each.level, "yes" if each.ci or each.level == test_levels.VERIFY else "no") for each in of.values()}
        rows += [[ABOUT[kind], str(len(of)), level, ci] for level, ci in sorted(stops)]
    return table(["what is forged", "number", "stopped by", "in CI"], [*rows, *map(list, OTHERS)])
