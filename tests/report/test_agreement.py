"""A result has the same words wherever it is shown: terminal, Python, report, site and papers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from embench import report
from embench.cli import console, show
from embench.interfaces.units import LabelRule, Target
from embench.protocols import load_protocol
from embench.records.predictions import Labels, Predictions
from embench.records.record import read_record, write_record
from embench.records.scores import Scores
from embench.report import latex
from embench.report.facts import RunFacts
from embench.report.latex.bibliography import escape, in_apa
from embench.report.sections import headline_section
from embench.site import build_site
from embench.statistics.form import ResultForm, lines
from embench.statistics.result import Result

from ..leaderboard.test_verify import made_record
from ..published import PUBLISHED, link_entries
from ..tiny import scored

ENTRIES = {
    "time-matched": "stress_predict/subject-independent-v4/handcrafted-svm-d535a9be1d",
    "trained elsewhere": "stress_predict/subject-independent-v4/handcrafted-forest-0117c509e8",
    "tasks": "wearable_stress/subject-independent-v4/handcrafted-boosting-8e326b138b",
    "ratings": "wearable_stress/subject-independent-v4/handcrafted-boosting-e6894e7056",
    "cannot be told": "eegmat/subject-independent-v4/handcrafted-svm-50a3987de6",
    "labels withheld": "hku956/subject-independent-v4/handcrafted-boosting-41132ac825",
}
"""What is special about a published entry -> its place."""
QUICK = ("time-matched", "cannot be told")


def in_order(values: scored.Run, name: str) -> scored.Run:
    """A made-up run whose classes are ratings from 1 to 9, with predictions of them."""
    rng = np.random.default_rng(0)
    label = values.labels["label"] * 4 + rng.integers(1, 6, len(values.labels))
    score = values.predictions["score"] * 8 + 1
    labels = {**values.labels.columns, "label": label, "target": np.full(len(label), name)}
    kept = {**values.predictions.columns, "score": score, "decision": score, "target": np.full(len(score), name)}
    return replace(values, predictions=Predictions(kept), labels=Labels(labels))


def made_up(what: str, folder: Path) -> Path:
    """The folder of a made-up run."""
    values, target, design = scored._run(units=12), scored.BINARY, "shared_stimuli" if what == "stimuli" else "free"
    if what == "continuous":
        target = Target("arousal", "value", LabelRule(), "arousal")
        values = in_order(values, target.name)
    rules = load_protocol("segment-random-legacy" if what == "leaking" else "subject-independent-v4")
    record = made_record(values, target, design, protocol=rules)
    run = {**record.run, "id": f"cnn_tf-single-{len(what):010d}"}
    if what == "leaking":
        about = {
            "name": rules.name,
            "leaks": True,
            "leaks_by": {"split.by": {"subjects": [34, 34], "recordings": [34, 34]}},
        }
        run |= {"protocol": {**run["protocol"], **about}}
        record = replace(record, scores=Scores({**record.scores, "adjusted": {}}))
    if what == "continuous":
        rule = {"name": "arousal", "kind": "value", "label": "arousal", "n": 1, "rule": {}}
        run |= {"targets": ["arousal"], "card": {**run["card"], "label_rules": [rule]}}
    if what == "a file":
        method = {"encoders": {}, "fusion": None, "pretrainers": [], "modalities": [], "submission": "mine, <v2> & 5 %"}
        run |= {"method": method, "submission": {"missing": {}, "folds": {}}}
    write_record(folder / run["id"], replace(record, run=run))
    return folder / run["id"]


RESULTS = [*ENTRIES, "stimuli", "free", "continuous", "a file", "leaking"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of each result."""
    made: dict[str, Path] = {}

    def find(what: str) -> Path:
        if what in ENTRIES:
            return PUBLISHED / ENTRIES[what]
        if what not in made:
            made[what] = made_up(what, tmp_path_factory.mktemp("made"))
        return made[what]

    return find


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the published entries."""
    chosen: dict[str, list[str]] = {}
    for entry in ENTRIES.values():
        board, _, name = entry.rpartition("/")
        chosen.setdefault(board, []).append(name)
    boards = link_entries(tmp_path_factory.mktemp("boards"), chosen)
    return build_site(boards, tmp_path_factory.mktemp("site") / "out").parent


def folded(text: str) -> str:
    """The words of a text, without the marks of code."""
    return " ".join(text.replace("`", "").split())


def of_html(text: str) -> str:
    """The words that a page shows, with the minus sign of a terminal."""
    words = unescape(re.sub(r"<[^>]+>", " ", re.sub(r"</?(?:code|q|strong)>", "", text)))
    return folded(words.replace("\N{MINUS SIGN}", "-"))


def texts(form: ResultForm) -> Iterator[str]:
    """All that a form says, without what `--all` adds."""
    yield from (form.question, form.sample, *form.about, form.problem, form.remedy, form.explanation)
    yield from (form.sentence, *form.notes)
    yield f"{form.metric} {form.score}"
    for answer in form.answers:
        yield f"{answer.text} {answer.answer} {answer.evidence}"
    for model in form.models:
        yield f"{model.names} {model.score}{' above this method' if model.above else ''}"


def missing(form: ResultForm, shown: str, *, every: bool = False) -> list[str]:
    """The texts of a form that are not shown."""
    wanted = [*texts(form), *(form.more if every else ())]
    return [text for text in map(folded, wanted) if text not in shown]


def printed(capsys: pytest.CaptureFixture[str], show_it: Callable[[], object]) -> str:
    """The words that a call prints."""
    capsys.readouterr()
    show_it()
    return folded(capsys.readouterr().out)


@pytest.mark.parametrize(
    "what", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RESULTS]
)
def test_terminal_python_and_papers_agree(
    what: str,
    place: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(console, "LINE_WIDTH", 5000)  # cells of a table that is folded are not in one piece
    folder = place(what)
    result = Result.read(folder)
    assert result.summaries
    short, long = (printed(capsys, lambda every=every: show.print_run(result, every=every)) for every in (False, True))
    record = read_record(folder)
    methods = folded(latex.methods_section([record]))
    python, notebook = folded(str(result)), of_html(result._repr_html_())
    section = of_html(str(headline_section(RunFacts(record)).markup))
    for form in result.summaries.values():
        assert not missing(form, short)
        assert not missing(form, long, every=True)
        assert not missing(form, notebook)
        assert not missing(form, section, every=True)
        assert folded(form.sentence) in python
        assert all(folded(escape(text)) in methods for text in (in_apa(form.sentence), *form.notes))


@pytest.mark.parametrize("what", QUICK)
def test_a_narrow_terminal_has_the_same_words(what: str, place: Callable[[str], Path]) -> None:
    for form in Result.read(place(what)).summaries.values():
        narrow, wide = lines(form, 80, every=True), lines(form, 5000, every=True)
        assert max(map(len, narrow)) <= 80
        assert Counter(" ".join(narrow).split()) == Counter(" ".join(wide).split())


@pytest.mark.slow
@pytest.mark.parametrize("what", RESULTS)
def test_reports_agree(what: str, place: Callable[[str], Path], tmp_path: Path) -> None:
    path = report.write_report(place(what), tmp_path / "report.html", data_root=tmp_path, trust_code=True)
    shown = of_html(path.read_text())
    for form in Result.read(place(what)).summaries.values():
        assert not missing(form, shown, every=True)


@pytest.mark.slow
@pytest.mark.parametrize("what", list(ENTRIES))
def test_pages_of_entries_agree(what: str, place: Callable[[str], Path], site: Path) -> None:
    shown = of_html((site / f"{ENTRIES[what]}.html").read_text())
    for form in Result.read(place(what)).summaries.values():
        assert not missing(form, shown, every=True)
