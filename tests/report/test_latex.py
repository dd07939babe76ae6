"""What a paper needs of some runs: tables that LaTeX can read, a methods section that agrees with the record, and a
bibliography that has every citation."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from embench import protocols, registry
from embench.cli import main
from embench.errors import CheckFailed, UsageError
from embench.records import record
from embench.records.record import Record, names_resolved
from embench.records.scores import Scores
from embench.report import latex
from embench.report.facts import RunFacts
from embench.report.latex import bibliography
from embench.report.latex.bibliography import escape
from embench.statistics.answers import format_with_interval
from embench.statistics.comparison import paired_gap

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "leaderboards" / "wearable_stress" / "subject-independent-v4"
EVERY = ("--latex", "--methods", "--bibtex")
NAMES = ["{}", "a & b", "50 % \\ of_it", "#1 {best} ~ $x^2$ <y>"]


@pytest.fixture(scope="module")
def published() -> list[Record]:
    """Two runs of real subjects from the boards: an estimator, and a network that was pretrained."""
    return [record.read_record(BOARD / name) for name in ("handcrafted-svm-8995e310c4", "tcn-shared_tf-915ac858a6")]


def changed(of: Record, **parts: Any) -> Record:
    return replace(
        of, run={**of.run, **{k: {**of.run[k], **v} if isinstance(v, dict) else v for k, v in parts.items()}}
    )


def scored(of: Record, **parts: Any) -> Record:
    return replace(of, scores=Scores({**of.scores, **parts}))


def check_balanced(text: str) -> None:
    """Fails where braces or environments don't fit, or a special character is not escaped."""
    bare = re.sub(r"\\[{}$&#%_]", "", re.sub(r"(?m)^%.*$", "", text))
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\*?\}", text):
        if what == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    assert not re.search(r"(?<!\\)[#_%]", bare)


def check_latex(text: str) -> list[list[str]]:
    """The cells of the only table in a text; fails where braces, environments or columns don't fit."""
    check_balanced(text)
    [columns] = re.findall(r"\\begin\{tabular\*\}\{\\linewidth\}\{@\{\}p\{\d+pt\}@\{\S+?\}\}(r+)@\{\}\}", text)
    rows = [line[: -len(r" \\")] for line in text.splitlines() if line.endswith(r" \\")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)&", row)] for row in rows]
    assert {len(row) for row in cells} == {1 + len(columns)}
    first, second, *others = cells
    return [[f"{a} {b}".replace("{}", "").strip() for a, b in zip(first, second, strict=True)], *others]


@pytest.fixture(scope="module")
def table(published: list[Record]) -> str:
    """The table of the two runs."""
    return latex.latex_tables(published)


def test_a_table_holds_the_runs_scores_and_the_controls(published: list[Record], table: str) -> None:
    text = table
    rows = check_latex(text)
    head, first = rows[0], rows[1]
    scores = published[0].scores.get_scores("stress")
    score = scores[published[0].scores.primary_metrics["stress"]]
    shown = plain(first[head.index("Time-matched AUROC")])
    assert f"{score.mean:.2f} [{score.low:.2f}, {score.high:.2f}]" == shown
    assert "Within-subject AUROC" not in head  # a line has no room for it
    head, first, *_ = check_latex(latex.latex_tables(published[:1]))
    assert plain(first[head.index("Within-subject AUROC")]) == f"{scores['auroc_within'].mean:.2f}"
    assert "stress on Wearable Device Dataset, stress sessions of 36 people, protocol" in text
    assert "(22 subjects, three seeds), protocol" in latex.latex_tables(published[1:])
    assert r"\emph{position in the session}" in [row[0] for row in rows]
    assert not re.search(r"wearable\\_stress|balanced\\_accuracy|elapsed\\_time", text)


def plain(cell: str) -> str:
    """A cell as it is printed."""
    return re.sub(r"\\\w+|[{}$]", "", cell)


def test_columns_are_chosen(published: list[Record]) -> None:
    columns = ["seeds", "f1_weighted", "parameters", "energy"]
    rows = check_latex(latex.latex_tables(published, columns))
    asked = ["above chance", "given movement", "given phase"]
    assert rows[0] == ["method", "seeds", "Time-matched AUROC", *asked, "weighted F1", "parameters", "energy"]
    assert (rows[1][1], rows[1][-1]) == ("6", "not measured")
    with pytest.raises(UsageError, match="unknown column `f1`") as found:
        latex.latex_tables(published, ["f1"])
    assert "time, parameters, flops" in str(found.value)


def test_the_best_is_bold_and_all_are_compared_with_the_strongest_baseline(published: list[Record], table: str) -> None:
    head, *rows = check_latex(table)
    of = [record.scores.get_score("stress", record.scores.primary_metrics["stress"]) for record in published]
    best = max(of, key=lambda score: score.mean)
    cells = [row[head.index("Time-matched AUROC")] for row in rows[:2]]
    assert [cell.startswith(rf"\textbf{{{best.mean:.2f}}}") for cell in cells] == [score is best for score in of]
    assert not any("textbf" in cell for row in rows[2:] for cell in row)
    apart = [row[head.index("difference")] for row in rows]
    gap = paired_gap(published[1], published[0], "stress")
    assert apart[0] == "baseline"
    assert plain(apart[1]) == f"{gap.mean:.2f} [{gap.low:.2f}, {gap.high:.2f}]"
    assert set(apart[2:]) == {""}
    assert "paired difference from the strongest baseline method on features, handcrafted + svm" in table
    alone = latex.latex_tables([published[1]])
    assert "difference" not in check_latex(alone)[0]
    assert "textbf" not in alone


def test_models_with_a_constant_score_are_a_note_and_rows_are_chosen(published: list[Record], table: str) -> None:
    one = [published[0]]
    assert r"\emph{majority class}" not in [row[0] for row in check_latex(table)]
    assert re.search(r"Models with a constant score, by construction: .*majority class.* \(0.50\)", table)
    chosen = latex.latex_tables(one, rows=["majority", "elapsed_time"])
    assert [row[0] for row in check_latex(chosen)[2:]] == [r"\emph{time since the start}", r"\emph{majority class}"]
    assert "constant score" not in chosen
    assert len(check_latex(latex.latex_tables(one, rows=["none"]))) == 2
    with pytest.raises(UsageError, match="unknown confound-only model `clock`") as found:
        latex.latex_tables(one, rows=["clock"])
    assert "--confound-only-models" in str(found.value)


def test_what_runs_differ_in_has_a_column_and_controls_come_from_the_largest(published: list[Record]) -> None:
    one, three = changed(published[0], seeds=[0], cohort={"repaired": 0.12}), published[1]
    rows = check_latex(latex.latex_tables([one, three]))
    assert rows[0][:2] == ["method", "seeds"]
    assert [row[1] for row in rows[1:]] == ["1", *["3"] * (len(rows) - 2)]
    text = latex.methods_section([one, three])
    assert text.count("The protocol was") == 1
    assert "Each seed has its own partition" in text
    assert "It was run with the seed 0." in text
    assert "It was run with the seeds 0, 1 and 2." in text
    assert "There was one seed (0)" in latex.methods_section([one])


def test_a_table_has_a_column_for_each_question_that_some_run_is_asked(
    published: list[Record], table: str, judged: list[Record]
) -> None:
    head, first, *_ = check_latex(table)
    score = published[0].scores.get_score("stress", published[0].scores.primary_metrics["stress"])
    assert first[head.index("above chance")] == ("yes" if score.low > 0.5 else "not shown")
    leaking = scored(changed(published[0], protocol={"leaks": True}), adjusted={})
    assert not {"given movement", "given phase"} & set(check_latex(latex.latex_tables([leaking]))[0])
    head, first, second, *models = check_latex(latex.latex_tables(judged))
    asked = [head.index(name) for name in ("above chance", "given movement", "given phase")]
    assert [first[k] for k in asked] == ["yes", "yes", "not shown"]
    assert all(second[k] in ("yes", "not shown") for k in asked)
    assert {row[k] for row in models for k in asked} == {""}


def test_what_is_generated_leaks_or_was_validated_is_said(published: list[Record]) -> None:
    of = published[0]
    made = changed(of, dataset={"synthetic": {"seed": 0}})
    assert "Synthetic data: these numbers say nothing about real subjects" in latex.latex_tables([made])
    assert "no number below says anything about real subjects" in latex.methods_section([made])
    rules = protocols.load_protocol("segment-random-legacy")
    leaking = changed(of, protocol={"name": rules.name, "hash": rules.hash, "leaks": True, "leaks_by": {"a & b": {}}})
    assert "This protocol leaks" in latex.latex_tables([leaking])
    assert r"\textbf{This split leaks}: a \& b" in latex.methods_section([leaking])
    assert "validation subjects" in latex.latex_tables([changed(of, dev=True)])
    assert "the test labels stayed closed" in latex.methods_section([changed(of, dev=True)])
    about = {"name": "lab/n_t", "licence": "MIT", "source": "https://x.org", "declared": True, "saw": "none"}
    said = latex.methods_section([replace(of, run={**of.run, "weights": {"eda": about}})])
    assert r"Weights of eda: lab/n\_t (MIT), saw of the test subjects: none, as its authors declare" in said


@pytest.mark.parametrize("name", NAMES)
def test_names_from_outside_do_no_harm(published: list[Record], name: str) -> None:
    nothing = {"encoders": {}, "fusion": None, "pretrainers": [], "modalities": [], "submission": name}
    missing = {"units": 3, "labelled": 3, "subjects": {}, "predictions": 9}
    about = {"missing": {"stress": missing}, "folds": {}}
    run = {**published[0].run, "method": nothing, "submission": about}
    of = replace(scored(published[0], absent={"stress": 3}), run=run)
    rows = check_latex(latex.latex_tables([of]))
    assert rows[1][0].startswith(escape(name))
    assert "Three units had no prediction." in latex.methods_section([of])


def test_every_character_that_latex_acts_on_is_escaped() -> None:
    assert escape("a_b & 5% #1 {x} $y$ ~ ^ \\") == (
        r"a\_b \& 5\% \#1 \{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )


def test_undefined_scores_are_dashes_with_the_reason_in_the_text(published: list[Record]) -> None:
    of = published[0]
    undefined = {of.scores.primary_metrics["stress"]: {"undefined": "12 quadruples of 3 people"}}
    nothing = scored(of, scores={"stress": {**of.scores.content["scores"]["stress"], **undefined}})
    assert "--" in check_latex(latex.latex_tables([nothing]))[1]
    told = latex.methods_section([nothing])
    assert "is undefined: 12 quadruples of 3 people" in told
    assert "cannot be attributed" not in told


def test_the_methods_section_agrees_with_record_and_protocol(published: list[Record]) -> None:
    text = latex.methods_section(published)
    run = published[0].run
    assert f"with {len(run['cohort']['subjects'])} subjects" in text
    assert "five folds" in text
    assert "three seeds" in latex.methods_section(published[1:])
    assert r"resampled to 128~Hz" in text
    assert "z-scored for each subject" in text
    assert r"20~\% (at least 4)" in text
    assert r"segments of 10~s" in text
    assert "Models without any physiological signal (time since the start, " in text
    assert text.count("The protocol was") == 1
    for of in published:
        score = of.scores.get_score("stress", of.scores.primary_metrics["stress"])
        assert escape(format_with_interval(score, 0.5, "{}, 95 % CI [{}, {}]; chance 0.50")) in text
    assert r"Pretraining used stress\_predict" in text
    assert "pretrained separately in each fold" not in text
    own = changed(published[1], method={"pretrainers": ["embench_plugins/signal_transform"]})
    assert "pretrained separately in each fold" in latex.methods_section([own])


def entry_of(name: str) -> Record:
    """A published entry of Stress-Predict."""
    [folder] = (ROOT / "leaderboards" / "stress_predict" / "subject-independent-v4").glob(f"{name}-*")
    return record.read_record(folder)


def test_a_network_is_described_with_architecture_input_and_training() -> None:
    of = entry_of("cnn_tf-single")
    [modality] = of.manifest.method.modalities
    recipe = of.run["config"]["parts"][f"encoder[{modality}]"]
    text = latex.methods_section([of])
    check_balanced(text)
    build = recipe["build"]
    for expected in (
        "three convolutions and a Transformer over every sample",
        rf"windows of {recipe['view']['length_s']:g}~s",
        rf"at {recipe['prepare']['rate_hz']}~Hz (160 samples)",
        "widths {}, {} and {}".format(*build["widths"]),
        "kernels {}, {} and {}".format(*build["kernels"]),
        f"layers {build['layers']}",
        f"had {of.manifest.cost.parameters:,} parameters",
        rf"trained with AdamW ($\beta$ = 0.9 and 0.999, weight decay {recipe['weight_decay']:g})",
        f"learning rate {recipe['lr']:g} (cosine decay to 0 after {recipe['warmup']} epoch of linear warm-up)",
        f"batches of {recipe['batch']}",
        f"at most {recipe['epochs']} epochs, of which the one with the lowest loss on validation subjects was kept",
        "loss: binary cross-entropy, classes weighted inversely to their frequency",
        "PyTorch 2",
        "passbands: EDA 0 to 2~Hz" if modality == "eda" else "passbands: ",
    ):
        assert expected in text
    assert "face kernels" not in text
    assert "Supplement" not in text


def test_parts_that_were_trained_alike_are_described_once() -> None:
    text = latex.methods_section([entry_of("tcn-shared_tf")])
    assert text.count("Encoders and fusion were trained with") == 1
    assert r"one window of 60~s for each unit, which ends with the unit and may begin before it" in text
    assert r"\texttt{shared\_tf} (a Transformer layer over the tokens of all modalities) joined the modalities" in text


def test_an_estimator_is_described_with_its_settings_and_features(published: list[Record]) -> None:
    of = published[0]
    text = latex.methods_section([of, of])
    check_balanced(text)
    assert "was fitted to these features, with C = 1; missing values by median" in text
    assert "was trained with" not in text
    supplement = text.partition(r"\paragraph{Supplement: features}")[2]
    for modality, name in of.manifest.method.encoders.items():
        encoder = registry.load_plugin("encoder", name)
        about = registry.load_plugin("dataset", of.manifest.dataset.name).card.modalities[modality]
        names = encoder(encoder.recipes["small"]).feature_names(modality, about.channels)
        shown = names if len(about.channels) == 1 else [each.removeprefix(f"{about.channels[0]}_") for each in names]
        assert supplement.count(escape(", ".join(shown[:3]))) == 1


def test_a_pipeline_of_scikit_learn_is_described_with_its_hyperparameters(published: list[Record]) -> None:
    of, name = published[0], "object:0123456789abcdef0123:StandardScaler-LogisticRegression"
    steps = ["StandardScaler()", "LogisticRegression(C=0.1,\n class_weight='balanced')"]

    def section(*before: str) -> str:
        listed = ", ".join(f"('step{k}', {step})" for k, step in enumerate([*before, *steps]))
        about = {name: {"repr": f"Pipeline(steps=[{listed}])"}}
        own = changed(of, method={"fusion": name})
        text = latex.methods_section([replace(own, run={**own.run, "objects": about})])
        check_balanced(text)
        return " ".join(text.split())

    text = section()
    assert r"\texttt{StandardScaler()} and \texttt{LogisticRegression(C=0.1, class\_weight='balanced')}" in text
    assert "Missing values were replaced by the median of the training rows" in text
    assert "Missing values were" not in section("SimpleImputer(strategy='mean')")


def test_a_run_of_an_object_is_described_without_its_code(published: list[Record]) -> None:
    of, name = published[0], "object:0123456789abcdef0123:Scaled-SVC"
    parts = {**of.run["config"]["parts"], "fusion": {**of.run["config"]["parts"]["fusion"], "plugin": name}}
    own = changed(of, method={"fusion": name}, config={"parts": parts})
    own = replace(own, run={**own.run, "objects": {name: {"repr": "Pipeline(steps=[('svc', SVC(C=3))])"}}})
    with names_resolved([(Path("mine"), own)]):
        assert "SVC(C=3)" in latex.methods_section([own])
    for file in ("./mine.py:Net", "./object:0123456789abcdef0123:x/mine.py:Net"):
        in_a_file = changed(of, method={"fusion": file})
        with pytest.raises(CheckFailed, match="code in a file"), names_resolved([(Path("theirs"), in_a_file)]):
            pass


def test_two_runs_of_one_method_are_named_by_the_setting_that_differs(published: list[Record]) -> None:
    of = published[0]
    parts = of.run["config"]["parts"]
    build = {**parts["fusion"]["build"], "C": 0.1}
    other = changed(of, id="other", config={"parts": {**parts, "fusion": {**parts["fusion"], "build": build}}})
    texts = latex.latex_tables([of, other], rows=["none"]), latex.methods_section([of, other])
    for text in texts:
        assert "C 0.1" in text
        assert "C 1" in text
    assert r"\emph{C 0.1}: On Wearable Stress" in texts[1]


def test_runs_that_differ_in_settings_share_a_paragraph_and_the_count_of_evaluations() -> None:
    of = entry_of("cnn_tf-single")
    [modality] = of.manifest.method.modalities
    parts, part = of.run["config"]["parts"], f"encoder[{modality}]"
    runs = []
    for tried, length in enumerate((10.0, 30.0, 60.0), 1):
        config = {"parts": {**parts, part: {**parts[part], "view": {"kind": "context", "length_s": length}}}}
        run = {**of.run, "entry": None, "id": f"r{tried}", "config": {**of.run["config"], **config}}
        runs.append(replace(of, run={**run, "methods_evaluated": tried, "test_evaluations": tried}))
    text = " ".join(latex.methods_section(runs).split())
    check_balanced(text)
    assert "It was run in three variants, which differ as follows." in text
    assert all(rf"\emph{{context {length} s}}: \texttt{{cnn\_tf}}" in text for length in (10, 30, 60))
    for once in (
        "trained with AdamW",
        "Hardware and software",
        "3 evaluations on these labels",
        "3 methods, including",
    ):
        assert text.count(once) == 1
    assert "o other method was scored" not in text


def test_labels_with_their_counts_and_what_held_out_subjects_were_for_are_said() -> None:
    of = entry_of("cnn_tf-single")
    text = latex.methods_section([of])
    assert "was the assigned task (Stroop, interview, hyperventilation), not reported feelings: 3,673 labelled" in text
    parts = {name: {**part, "selection": "last"} for name, part in of.run["config"]["parts"].items()}
    last = latex.methods_section([changed(of, config={"parts": parts})])
    assert "of which the last was kept; the held-out validation subjects were not used for that" in last
    assert "used the recipe" not in text


def test_layers_of_a_network_from_python_are_those_of_its_code() -> None:
    of, name = entry_of("cnn_tf-single"), "object:0123456789abcdef0123:MyNet"
    source = [
        "class MyNet(nn.Module):",
        "    def __init__(self, channels, samples):",
        r"        self.about = '} \\end{document} % & #1'",
        "        self.body = nn.Sequential(nn.Conv1d(channels, 16, kernel_size=7), nn.ReLU(),",
        "                                  torch.nn.LSTM(16, 32), nn.Linear(len('%_#}'), 1))",
    ]
    own = changed(of, method={"encoders": dict.fromkeys(of.run["method"]["encoders"], name)})
    own = replace(own, run={**own.run, "objects": {name: {"repr": "MyNet", "source": source}}})
    text = latex.methods_section([own])
    check_balanced(text)
    layers = [r"\texttt{Conv1d(channels, 16, kernel\_size=7)}", r"\texttt{ReLU()}", r"\texttt{LSTM(16, 32)}"]
    assert f"builds, in this order: {', '.join(layers)} and " in text
    assert "with the head that embench adds: layer normalisation and a linear layer" in text
    assert "recipe" not in text
    broken = replace(own, run={**own.run, "objects": {name: {"repr": "MyNet", "source": [*source, "("]}}})
    assert "Its code is in the record of the run." in latex.methods_section([broken])


def test_training_is_told_of_what_was_trained(published: list[Record]) -> None:
    history = [{"kind": "unimodal", "epoch": "0"}, {"kind": "pretrain", "epoch": "0"}]
    of = replace(published[1], history=history)
    parts = of.run["config"]["parts"]
    text = latex.methods_section([of])
    for part in (name for name in parts if name.startswith(("encoder", "pretrainer"))):
        assert f"batches of {parts[part]['batch']}" in text
        assert f"{parts[part]['epochs']} epochs, of which" in text
    assert "The pretext task" in text


def test_other_rules_are_read_from_the_record(published: list[Record]) -> None:
    rules = {
        **protocols.load_protocol("subject-independent-v4").model_dump(mode="json"),
        "name": "mine",
        "rate_hz": 64.0,
    }
    rules = {**rules, "split": {"by": "group", "folds": "each"}, "validation": {"fraction": 0.0, "at_least": 0}}
    of = changed(published[0], protocol={"name": "mine", "hash": "x", "rules": rules})
    text = latex.methods_section([of])
    assert r"resampled to 64~Hz" in text
    assert "one fold for each of them" in text
    assert "held out for validation" not in text
    unknown = changed(published[0], protocol={"name": "mine", "hash": "x"})
    assert r"The protocol was \texttt{mine}. There" not in latex.methods_section([unknown])
    assert r"The protocol was \texttt{mine}." in latex.methods_section([unknown])


def test_what_the_design_cannot_tell_is_not_called_not_shown() -> None:
    of = record.read_record(ROOT / "leaderboards" / "eegmat" / "subject-independent-v4" / "handcrafted-svm-50a3987de6")
    text = latex.latex_tables([of])
    head, first, *_ = check_latex(text)
    assert {first[head.index(name)] for name in ("above chance", "given movement")} == {"cannot be told"}
    assert "not shown" not in text
    because = "Everybody rested first and calculated afterwards, so the difference cannot be attributed to arithmetic"
    assert because in text
    assert because in latex.methods_section([of])


def test_every_citation_has_its_entry(published: list[Record]) -> None:
    keys = set(re.findall(r"[\w]+", " ".join(re.findall(r"\\cite\{([^}]*)\}", latex.methods_section(published)))))
    text = latex.bibtex(published)
    entries = list(bibliography.parse_bibtex(text))
    assert keys <= {entry.key for entry in entries}
    assert {"hongn2025", "embench"} <= keys
    assert len({entry.key for entry in entries}) == len(entries) == text.count("\n@") + 1
    for entry in entries:
        assert entry.text.count("{") == entry.text.count("}")
        assert re.search(r"^\s*title\s*=", entry.text, re.MULTILINE)
        assert re.search(r"^\s*author\s*=", entry.text, re.MULTILINE)


def test_intervals_are_described_with_their_paper(published: list[Record]) -> None:
    assert "jackknife over groups of subjects" in latex.methods_section(published[:1])
    assert "efron1981" in {entry.key for entry in bibliography.parse_bibtex(latex.bibtex(published[:1]))}


def test_embench_is_cited_with_version_year_and_address(published: list[Record]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cff["version"], cff["type"]) == (project["version"], "software")
    own = next(entry.text for entry in bibliography.parse_bibtex(latex.bibtex(published)) if entry.key == "embench")
    assert f"version = {{{project['version']}}}" in own
    assert f"year = {{{cff['date-released'].year}}}" in own
    assert f"url = {{{cff['url']}}}" in own


def test_every_bundled_plugin_and_dataset_can_be_cited() -> None:
    for entry in registry.entries():
        if entry.package != registry.BUNDLED:
            continue
        if entry.paper:
            assert bibliography.find_paper_key(entry.paper), entry.full_name
        if entry.kind == "dataset" and entry.name not in ("corpus", "own"):
            card = registry.load_plugin("dataset", entry.full_name).card
            paper = bibliography.dataset_paper(entry.full_name)
            assert paper.doi == card.doi
            year = re.search(r"year = \{(\d{4})\}", paper.text)
            assert year is not None
            assert year[1] in card.citation
            assert card.citation.split(" et al.")[0].split(",")[0] in paper.text
    for name in protocols.protocol_names():
        if name[-1].isdigit() and "-" not in name:
            assert bibliography.find_protocol_paper(name) == name


def test_a_dataset_without_an_entry_is_cited_by_its_card() -> None:
    paper = bibliography.dataset_paper("corpus")
    assert paper.text.startswith("@misc{corpus,")
    assert "that of the recordings" in paper.text


def test_embench_is_cited_as_its_citation_file_says() -> None:
    packed = Path(bibliography.__file__).parents[2] / "CITATION.cff"
    assert packed.read_text() == (ROOT / "CITATION.cff").read_text()
    assert "author = {{embench contributors}}" in bibliography.embench_paper().text


@pytest.mark.slow
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(BOARD / "handcrafted-svm-8995e310c4")
    assert main(["export", run, "--latex"]) == 0
    check_latex(capsys.readouterr().out)
    assert main(["export", run]) == 2
    assert "--latex, --methods, --bibtex or --unit-table" in capsys.readouterr().err
    assert main(["export", run, "--latex", "--columns", "seeds, time"]) == 0
    assert check_latex(capsys.readouterr().out)[0][1:4] == ["seeds", "Time-matched AUROC", "above chance"]
    assert main(["export", run, "--methods", "--columns", "seeds"]) == 2
    assert main(["export", run, "--methods", "--confound-only-models", "none"]) == 2
    assert main(["export", str(tmp_path), "--latex"]) == 3


@pytest.fixture(scope="module")
def judged() -> list[Record]:
    """Two entries: one that reads a unit at a time, one that reads what came before."""
    board = ROOT / "leaderboards" / "stress_predict" / "subject-independent-v4"
    return [record.read_record(next(board.glob(name))) for name in ("handcrafted-svm-d535a9be1d", "tcn-shared_tf-*")]


def test_the_methods_section_names_models_without_a_signal_and_the_adjustment(judged: list[Record]) -> None:
    text = " ".join(latex.methods_section(judged).split())
    assert "Models without any physiological signal (time since the start, majority class, movement during the " in text
    assert "Time, movement and signal quality were regressed out of scores and labels" in text
    assert "associated with the label after adjustment for time and wrist movement within 10 min" in text


def test_a_caption_defines_columns_and_holds_no_result(judged: list[Record]) -> None:
    form = RunFacts(judged[0]).summaries["stress"]
    for some in (judged[:1], judged):
        text = " ".join(latex.latex_tables(some).split())
        assert escape(form.explanation) in text
        assert "participants" not in text
        assert r"\emph{above chance}, \emph{given movement}, \emph{given phase}: whether the scores are" in text
        assert r"\label{tab:stress-predict-stress-subject-independent-v4}" in text
    assert r"\emph{given phase} decides" in text
    assert r"\emph{given phase} decides" not in latex.latex_tables(judged[:1])


def test_minus_signs_are_signs_and_intervals_have_one_form(published: list[Record], judged: list[Record]) -> None:
    text = "".join(write(published + judged) for write in (latex.latex_tables, latex.methods_section))
    assert "$-$0." in text
    assert not re.search(r"[ (\[]-\d", text)
    assert not re.search(r"CI\}? \S+ to ", text)


def test_without_an_estimator_differences_are_from_the_first_run(published: list[Record]) -> None:
    net = published[1]
    other = changed(net, id="other")
    head, first, second, *_ = check_latex(text := latex.latex_tables([net, other], ["difference", "parameters"]))
    assert [row[head.index("difference")] for row in (first, second)] == ["baseline", "0.00 [0.00, 0.00]"]
    assert "paired difference from tcn + shared" in " ".join(text.split())
    with pytest.raises(UsageError, match="one run has no difference"):
        latex.latex_tables([net], ["difference"])


def test_rows_of_models_have_the_names_of_the_glossary(judged: list[Record]) -> None:
    for name in ("protocol_phase", "protocol_phase"):
        rows = check_latex(latex.latex_tables(judged[:1], rows=[name]))
        assert [row[0] for row in rows[2:]] == [r"\emph{phase of the protocol, inferred from movement}"]


def test_each_text_has_a_file_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "d.tex"
    assert main(["export", str(BOARD / "handcrafted-svm-8995e310c4"), *EVERY, "--out", str(out)]) == 0
    texts = [(tmp_path / name).read_text() for name in ("d.tex", "d_methods.tex", "d.bib")]
    parts = (r"\toprule", "The protocol was", "@article{")
    assert [[part in text for part in parts] for text in texts] == [[k == n for k in range(3)] for n in range(3)]
