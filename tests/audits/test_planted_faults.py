"""Faults that were planted are found, and said to be severe. Planting shares no code with the audit."""

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from embench.audits.checks.confounds import check_balance
from embench.audits.checks.records import check_scores, check_statements, check_validation
from embench.audits.checks.subjects import check_shift
from embench.audits.collect import collect_evidence
from embench.engine import fits
from embench.interfaces.metric import Undefined
from embench.planning import graph
from embench.records.predictions import Predictions
from embench.records.scores import Scores
from embench.runs import external

from ..sample import sample
from ..tiny.world import few_folds, plugin
from .planting import abouts, audit_run, cheat, copy_of, copy_subject, method, predicted, put, table, world

TINY = plugin("Tiny")
SHORT = (10, 13)
"""How long recordings last, in s, where nothing is asked of their signals."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Subjects rated at random, with an effect in the ECG."""
    return world(tmp_path_factory.mktemp("clean"), n_subjects=9, stimuli=10, seconds=(12, 16))


@pytest.fixture(scope="module")
def network(clean):
    """A run of a network with statistics of its training subjects."""
    return method(clean, cheat("Honest"), fusion="single", protocol=few_folds(clean, 2))


def severe(audited) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, finding in audited.findings:
        if finding.severity == "severe":
            found[name] = "; ".join(filter(None, (found.get(name), finding.what)))
    return found


def of_file(tmp_path, root, score, protocol="") -> dict[str, str]:
    """Severe findings about predictions that somebody's own code made, by default in two folds."""
    path, place = predicted(tmp_path / "mine.csv", root, score), tmp_path / "out" / "mine"
    scored = external.score(path, TINY, protocol=protocol or few_folds(root), data_root=root, out=place)
    return severe(audit_run(scored.folder, data_root=root))


def test_nothing_is_severe_where_nothing_was_planted(network, tmp_path):
    audited = audit_run(network.folder, out=tmp_path)
    assert severe(audited) == {}
    requested = set(audited.checks)
    assert {
        "subjects",
        "copies",
        "statistics",
        "stages",
        "labels",
        "scores",
        "subject",
        "stimulus",
        "time",
    } <= requested
    assert {"length", "order", "one_subject", "hidden", "probes", "shift"} <= requested
    assert audited.checks["stages"].figures["differ"] == 0
    written = json.loads((tmp_path / "audit.json").read_text())
    assert written["counts"]["severe"] == 0
    assert written["measured"]["statistics"]["buffers"] == 4  # a mean and an SD in each of two folds


@pytest.mark.parametrize(("sure", "warned"), [(True, True), (False, False)])
def test_overconfidence_is_told_from_luck(clean, tmp_path, sure, warned):
    """Labels are drawn at random: probabilities near one half are right, whatever few units a fold show."""

    def score(_, noise):
        return 0.02 + 0.96 * float(noise.random() < 0.5) if sure else noise.uniform(0.45, 0.55)

    path = predicted(tmp_path / "mine.csv", clean, score)
    rules = few_folds(clean, 2)
    scored = external.score(path, TINY, protocol=rules, data_root=clean, out=tmp_path / "out" / "mine")
    found = {
        name for name, finding in audit_run(scored.folder, data_root=clean).findings if finding.severity == "warning"
    }
    assert ("calibration" in found) is warned


# What predictions rest on.


def test_prediction_by_subject_mean(tmp_path):
    rate = {f"p{n:02d}": n / 17 for n in range(18)}
    rng = np.random.default_rng(1)
    high = lambda about: rng.random() < 0.15 + 0.7 * about["person"] / 17  # noqa: E731
    root = world(tmp_path / "w", high, n_subjects=18, seconds=SHORT)
    found = of_file(tmp_path, root, lambda about, noise: rate[about["subject"]] + noise.normal(0, 0.03))
    assert "the subject explains" in found["subject"]


def test_prediction_by_stimulus(tmp_path):
    rng = np.random.default_rng(1)
    liked = {f"v{k}": k / 11 for k in range(12)}
    root = world(tmp_path / "w", lambda about: rng.random() < 0.1 + 0.8 * liked[about["stimulus"]], seconds=SHORT)
    found = of_file(tmp_path, root, lambda about, noise: liked[about["stimulus"]] + noise.normal(0, 0.05))
    assert "the stimulus explains" in found["stimulus"]
    assert set(found) == {"stimulus"}


@pytest.mark.parametrize("protocol", sample(["", "subject-independent-v4"], ""))
def test_prediction_by_clock(tmp_path, protocol):
    rng = np.random.default_rng(1)
    root = world(tmp_path / "w", lambda about: rng.random() < 0.1 + 0.8 * about["order"] / 11, seconds=SHORT)
    score = lambda about, noise: (about["start_s"] - 3000) / 500 + noise.normal(0, 0.05)  # noqa: E731
    found = of_file(tmp_path, root, score, protocol)
    assert "time since the start" in found["time"]
    assert set(found) == {"time"}


@pytest.mark.parametrize("sign", sample([1, -1], -1))
def test_a_clock_that_learned_the_tasks_says_little_inside_classes(tmp_path, sign):
    """The better a clock, the less of it is left inside classes; its negative is the same clock."""
    root = world(tmp_path / "w", lambda about: about["order"] >= 6, seconds=SHORT)

    def score(about, noise):
        return 0.5 + sign * (0.3 * np.tanh(3 * (about["order"] - 5.5)) + noise.normal(0, 0.02))

    assert set(of_file(tmp_path, root, score)) == {"time"}


def test_prediction_by_recording_length(tmp_path):
    rng = np.random.default_rng(1)
    root = world(tmp_path / "w", lambda about: rng.random() < 0.1 + 0.8 * (about["seconds"] - 18) / 6)
    found = of_file(tmp_path, root, lambda about, noise: (about["seconds"] - 18) / 6 + noise.normal(0, 0.05))
    assert "length of the recording" in found["length"]
    assert set(found) == {"length"}


@pytest.mark.slow
def test_label_in_the_file_order(tmp_path):
    root = world(tmp_path / "w", lambda about: about["place"] >= 6)
    found = of_file(tmp_path, root, lambda about, noise: about["place"] / 11 + noise.normal(0, 0.05))
    assert "position in the files" in found["order"]
    result = method(root, plugin("Pool"), fusion="single")  # one that could not know the order
    assert severe(audit_run(result.folder, out=tmp_path)) == {
        "order": "labels of arousal follow the order of the files"
    }


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["absent", "short"])
def test_labels_in_what_is_missing(tmp_path, lost):
    """The ECG of high recordings is absent, or ends early: what is there tells the label, whatever it looks like."""
    root = world(tmp_path / "w")
    for path in sorted((root / "Tiny").glob("*.npz")):
        with np.load(path) as content:
            arrays = dict(content)
        rows = json.loads(str(arrays.pop("about")))
        for row in (row for row in rows if row["ratings"]["arousal"] > 5):
            if lost == "absent":
                del arrays[f"{row['id']} ecg"]
                row["modalities"] = []
            else:
                arrays[f"{row['id']} ecg"] = arrays[f"{row['id']} ecg"][:, :-128]
        np.savez(path, about=json.dumps(rows), **arrays)
    result = external.score(
        predicted(tmp_path / "mine.csv", root, lambda about, _: 0.2 + 0.6 * (about["ratings"]["arousal"] > 5)),
        TINY, data_root=root, out=tmp_path / "out" / "mine",
    )  # fmt: skip
    found = severe(audit_run(result.folder, data_root=root))
    assert found["missing"] == "labels of arousal follow how much of ecg was recorded"


@pytest.mark.slow
def test_one_subject_effect(tmp_path):
    root = world(tmp_path / "w", n_subjects=20, stimuli=60, seconds=(4, 6))
    truth = {about["id"]: about["ratings"]["arousal"] > 5 for about in abouts(root)}

    def score(about, noise):
        known = about["subject"] == "p07"
        return 0.2 + 0.6 * truth[about["id"]] if known else noise.uniform(0.3, 0.7)

    found = of_file(tmp_path, root, score)
    assert "p07" in found["one_subject"]
    assert set(found) == {"one_subject"}


# What was learned from.


@pytest.mark.slow
def test_a_duplicated_subject(tmp_path):
    rng = np.random.default_rng(4)
    root = world(tmp_path / "w", n_subjects=10, stimuli=8)
    noisy = lambda x, rate: 2.5 * x[:, rate:] - 3 + rng.normal(0, 0.1, (1, x.shape[1] - rate))  # noqa: E731
    copy_subject(root, "p03", "p09", noisy)
    result = method(root, plugin("Moments"), fusion="logreg", protocol=few_folds(root))
    found = severe(audit_run(result.folder, out=tmp_path))
    assert found == {"copies": "1 pairs of subjects have the same signals: p03 and p09"}


@pytest.mark.slow
def test_normalising_over_everybody_in_the_encoder(clean, tmp_path):
    result = method(clean, cheat("Everybody"), fusion="single")
    assert "including test subjects" in severe(audit_run(result.folder, out=tmp_path))["statistics"]


@pytest.mark.slow
def test_normalising_over_everybody_in_the_engine(clean, tmp_path, monkeypatch):
    """As an engine would that fits statistics before it splits."""
    honest = fits.with_stats
    all_subjects = {"mean": np.array([0.02], np.float32), "std": np.array([1.02], np.float32)}

    def before_the_split(specs, modalities, data, train):
        return {
            m: type(s)(**{**vars(s), "stats": all_subjects}) for m, s in honest(specs, modalities, data, train).items()
        }

    with monkeypatch.context() as patch:
        patch.setattr(fits, "with_stats", before_the_split)
        result = method(clean, cheat("Honest"), fusion="single", settings=("encoder.lr=0.02",))
    found = severe(audit_run(result.folder, out=tmp_path))
    assert "statistics" in found


@pytest.mark.slow
def test_pretraining_on_test_subjects_in_the_planner(clean, tmp_path, monkeypatch):
    """As a planner would that hands all recordings to pretraining."""
    honest = graph.make_role_segments

    with monkeypatch.context() as patch:
        patch.setattr(
            graph,
            "make_role_segments",
            lambda cohort, _, which: honest(cohort, dict.fromkeys(cohort.subjects, 0), which),
        )
        result = method(clean, plugin("Pool"), fusion="single", pretrainers=("masked_value",))
    audited = audit_run(result.folder, out=tmp_path)
    assert set(severe(audited)) == {"stages"}
    assert "recordings other than those of the training subjects" in audited.checks["stages"].findings[0].what


@pytest.mark.slow
def test_pretraining_on_a_corpus_that_holds_test_subjects(tmp_path):
    """Under other names, on another scale, so that no file is the same."""
    root = world(tmp_path / "w")
    shutil.copytree(root / "Tiny", root / "Other")
    for path in (root / "Other").glob("*.npz"):
        number = int(path.stem[1:])
        source = f"p{number:02d}"
        copy_subject(root, source, source, lambda x, rate: 0.4 * x[:, rate // 2 :] + 1, into="Other")
    result = method(root, plugin("Pool"), fusion="single", pretrainers=(f"masked_value:{plugin('Other')}",))
    assert result.manifest["pretraining_overlap"] == "none"
    found = severe(audit_run(result.folder, out=tmp_path))
    assert "contain signals of 12 test subjects" in found["pretraining"]


def test_people_of_two_datasets_who_have_the_same_names_are_others(tmp_path):
    few = {"n_subjects": 6, "stimuli": 6}
    root = world(tmp_path / "w", **few)
    shutil.copytree(world(tmp_path / "o", seed=1, **few) / "Tiny", root / "Other")
    result = method(root, plugin("Pool"), fusion="single", train_dataset=plugin("Other"), protocol=few_folds(root))
    assert severe(audit_run(result.folder, out=tmp_path)) == {}


@pytest.mark.slow
def test_labels_that_still_tell_when_training_labels_are_permuted(tmp_path):
    """A method that knew the answer before: the tone of the signal names the label, and nothing is learned."""
    root = world(tmp_path / "w")
    for path in (root / "Tiny").glob("*.npz"):
        with np.load(path) as content:
            about, arrays = json.loads(str(content["about"])), {k: content[k] for k in content.files if k != "about"}
        rng = np.random.default_rng(3)
        for row in about:
            x = arrays[f"{row['id']} ecg"]
            hz = 8.0 if row["ratings"]["arousal"] > 5 else 4.0
            x += 3 * np.sin(2 * np.pi * hz * np.arange(x.shape[1]) / 64) * rng.uniform(0.8, 1.2)
        np.savez(path, about=json.dumps(about), **arrays)
    result = method(root, cheat("Tone"), fusion=cheat("KnowsBefore"))
    found = severe(audit_run(result.folder, retrained=3, out=tmp_path))
    assert "trained on permuted labels, the method still scores" in found["permuted_labels"]


@pytest.mark.slow
def test_an_honest_method_learns_nothing_from_permuted_labels(clean, tmp_path):
    result = method(clean, plugin("Moments"), fusion="logreg")
    audited = audit_run(result.folder, retrained=4, out=tmp_path)
    assert "permuted_labels" not in severe(audited)
    assert len(audited.checks["permuted_labels"].figures["arousal"]["permuted"]) == 4


STOPPED = (plugin("Moments"), "logreg", []), (cheat("Honest"), "single", ["encoder[ecg]"])


@pytest.mark.parametrize(
    ("encoder", "fusion", "stopped"),
    sample(STOPPED, STOPPED[1]),
)
def test_only_what_was_trained_by_epochs_was_stopped_early(clean, tmp_path, encoder, fusion, stopped):
    early, few = ("encoder.selection=early_stop",), few_folds(clean, 2)
    result = method(clean, encoder, fusion=fusion, settings=early, protocol=few)
    assert audit_run(result.folder, out=tmp_path).checks["validation"].figures["stopped_early"] == stopped


# What the record says.


@pytest.mark.parametrize(
    ("matched", "balanced", "warned"),
    [
        ({"mean": 0.6}, {"mean": 0.57}, True),
        ({"mean": 0.6}, {"mean": 0.59}, False),
        ({"mean": 0.57}, {"mean": 0.6}, False),
    ],
)
def test_a_score_that_comes_from_the_longer_session_gets_a_warning(network, matched, balanced, warned):
    scores = {"arousal": {"auroc_crossed_matched": matched, "auroc_crossed_balanced": balanced}}
    found = check_balance(replace(collect_evidence(network.folder, None), rescored=Scores.make_empty(scores=scores)))
    assert [finding.severity for finding in found.findings] == ["warning"] * warned


@pytest.mark.parametrize("scores", [{}, {"auroc_crossed_balanced": {"undefined": "too few"}}])
def test_nothing_is_said_of_a_balanced_score_that_is_not_there(network, scores):
    scores = {"arousal": {"auroc_crossed_matched": {"mean": 0.6}, **scores}}
    evidence = replace(collect_evidence(network.folder, None), rescored=Scores.make_empty(scores=scores))
    assert isinstance(check_balance(evidence), Undefined)


def test_shuffled_labels(network, tmp_path):
    folder = copy_of(network.folder, tmp_path)
    rows = table(folder / "labels.csv.gz")
    shuffled = np.random.default_rng(0).permutation(len(rows))
    put(folder / "labels.csv.gz", [{**row, "label": rows[k]["label"]} for row, k in zip(rows, shuffled, strict=True)])
    found = severe(audit_run(folder))
    assert "differ from those that the rules of the dataset card make" in found["labels"]


def test_scores_that_do_not_follow_from_the_predictions(network, tmp_path):
    folder = copy_of(network.folder, tmp_path)
    scores = json.loads((folder / "scores.json").read_text())
    scores["scores"]["arousal"]["auroc_within"]["mean"] += 0.02
    (folder / "scores.json").write_text(json.dumps(scores))
    assert set(severe(audit_run(folder))) == {"scores"}


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda s: s["scores"]["arousal"]["auroc_within"].update(low=0.9), "scores.arousal.auroc_within.low"),
        (
            lambda s: s["confound_only"]["prior"]["arousal"]["auroc"].update(mean=0.4),
            "confound_only.prior.arousal.auroc.mean",
        ),
        (lambda s: s["primary_metrics"].update(arousal="auroc"), "primary_metrics.arousal"),
        (lambda s: s["folds"][0].update(auroc=0.99), "folds[0].auroc"),
    ],
)
def test_every_number_and_word_of_the_scores_is_compared(network, edit, place):
    evidence = collect_evidence(network.folder, None)
    scores = copy.deepcopy(dict(evidence.record.scores))
    edit(scores)
    found = check_scores(replace(evidence, record=replace(evidence.record, scores=Scores(scores))))
    assert [finding.severity for finding in found.findings] == ["severe"]
    assert place in {difference["place"].removesuffix("[0]") for difference in found.findings[0].evidence["examples"]}


def test_a_record_that_contradicts_itself(network):
    evidence = collect_evidence(network.folder, None)
    run = copy.deepcopy(dict(evidence.record.run))
    run["method"]["fusion"] = "embench_plugins/cross_attn"
    found = check_statements(replace(evidence, record=replace(evidence.record, run=run)))
    assert "method.fusion: embench_plugins/cross_attn" in found.findings[0].what
    assert not check_statements(evidence).findings


def test_a_look_at_the_labels_that_the_record_does_not_count(network):
    evidence = collect_evidence(network.folder, None)
    assert not check_validation(evidence).findings
    run = {**evidence.record.run, "test_evaluations": {"arousal": 0}}
    (finding,) = check_validation(replace(evidence, record=replace(evidence.record, run=run))).findings
    assert finding.severity == "severe"
    assert finding.evidence["ledger"]["test_evaluations"] == evidence.record.run["test_evaluations"]
    assert finding.evidence["recorded"]["test_evaluations"] == {"arousal": 0}


def test_a_score_that_never_changes_is_as_high_with_any_shift(network):
    evidence = collect_evidence(network.folder, None)
    rows = evidence.predictions
    flat = Predictions({**rows.columns, "score": np.full(len(rows), 0.5)})
    figures = check_shift(replace(evidence, record=replace(evidence.record, predictions=flat))).figures["arousal"]
    assert figures == pytest.approx({"auroc": 0.5, "mean": 0.5, "p": 1.0})


def test_a_test_subject_who_was_trained_on(network, tmp_path):
    folder = copy_of(network.folder, tmp_path)
    rows = table(folder / "folds.csv")
    tested = next(row for row in rows if row["role"] == "test")
    put(folder / "folds.csv", [*rows, {**tested, "role": "train"}])
    assert "both training and test" in severe(audit_run(folder))["subjects"]


@pytest.mark.slow
def test_recordings_of_a_subject_in_several_folds(network, tmp_path):
    folder = copy_of(network.folder, tmp_path)
    rows = table(folder / "predictions.csv.gz")
    for row in rows:
        if row["recording"].endswith(("v1", "v3", "v5")):
            row["fold"] = str((int(row["fold"]) + 1) % 2)
    put(folder / "predictions.csv.gz", rows)
    assert "subjects" in severe(audit_run(folder))


@pytest.mark.slow
def test_hidden_layers_normalised_over_the_test_subjects(network, tmp_path):
    folder = copy_of(network.folder, tmp_path)
    with np.load(folder / "embeddings.npz") as file:
        kept = {name: file[name] for name in file.files}
    for fold in range(2):
        own = kept["fold"] == fold
        x = kept["x"][own]
        kept["x"][own] = (x - x.mean(0)) / (x.std(0) + 1e-9)
    np.savez(folder / "embeddings.npz", **kept)
    assert "standardised over the test subjects" in severe(audit_run(folder))["hidden"]


@pytest.mark.slow
def test_less_access_claimed_than_the_protocol_gives(network, tmp_path):
    folder = copy_of(network.folder, tmp_path)
    text = (folder / "run.yaml").read_text()
    (folder / "run.yaml").write_text(text.replace("target_access: unlabelled", "target_access: none"))
    assert set(severe(audit_run(folder))) == {"access", "statements"}
