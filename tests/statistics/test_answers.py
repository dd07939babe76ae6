"""The answers that a record gives, and the form in which a result is printed."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from embench.reasons import Reason
from embench.records.scores import Score, Scores
from embench.statistics.answers import (
    Answer,
    TargetAnswers,
    answer_questions,
    explain_unranked,
    format_with_interval,
    judge_interval,
    plain_reason,
)
from embench.statistics.form import as_html, lines, result_forms

TITLES = {
    "auroc_crossed_matched": "Time-matched AUROC",
    "auroc_crossed": "Stimulus-matched AUROC",
    "concordance_crossed": "Stimulus-matched C-index",
}
FEW = {"id": "few_comparisons", "what": "matched comparisons", "least_comparisons": 200, "least_subjects": 10}
TOO_FEW = {**FEW, "comparisons": 150, "subjects": 24}
TOO_FEW_SUBJECTS = {**FEW, "comparisons": 90, "subjects": 7}


def interval(low: float, width: float = 0.2) -> dict[str, float]:
    return {"mean": low + width / 2, "low": low, "high": low + width}


def scores(metric: str = "auroc_crossed_matched", low: float = 0.56, **more: Any) -> Scores:
    """A method with this low end of the primary metric, beside three models without a signal."""
    models = {"elapsed_time": interval(0.5, 0.0), "protocol_phase": interval(0.79, 0.16), "movement": interval(0.4)}
    return Scores(
        {
            "primary_metrics": {"stress": metric},
            "scores": {"stress": {metric: interval(low, 0.12)}},
            "confound_only": {name: {"stress": {metric: score}} for name, score in models.items()},
            **more,
        }
    )


def level(low: float = 0.02, *, adjusted: bool = True, score: float = 0.1, share: float = 0.8) -> dict[str, Any]:
    return {
        "partial_r": interval(low, 0.13),
        "residual_score": interval(score),
        "residual_proportion": share,
        "associated": adjusted,
    }


def analysis(local: Any = None, full: Any = None, **more: Any) -> dict[str, Any]:
    """What `scores.json` holds of the confound analysis."""
    levels = {"movement": local or level(), "protocol_phase": full or level(-0.042, adjusted=False)}
    about = {
        "metric": "auroc_crossed_matched",
        "mean_difference": True,
        "has_movement": True,
        "decisive_level": "movement",
    }
    return {"adjusted": {"stress": {**about, "levels": levels, **more}}}


def run(design: str = "fixed_order", *, leaks: bool = False, **more: Any) -> dict[str, Any]:
    """What `run.yaml` holds, of features of a wristband and an SVM on Stress-Predict."""
    read = ("ppg", "eda", "temp")
    return {
        "dataset": {"name": "embench_plugins/stress_predict"},
        "cohort": {"design": design, "subjects": 34},
        "card": {"fixed_order": design == "fixed_order"},
        "protocol": {"leaks": leaks},
        "method": {
            "encoders": dict.fromkeys(read, "embench_plugins/handcrafted"),
            "fusion": "embench_plugins/svm",
            "modalities": list(read),
            "pretrainers": [],
            "joins": "estimator",
        },
        "config": {},
        "seeds": [0, 1, 2],
        "test_evaluations": {"stress": 166},
        "methods_evaluated": {"stress": 52},
        **more,
    }


def test_an_answer_says_under_how_many_variants_of_the_rule_it_is_yes() -> None:
    some = {
        "third_penalty": True,
        "triple_penalty": False,
        "metric_of_residuals": False,
    }
    evidence = {}
    for name, variants in (("some", some), ("all", dict.fromkeys(some, True)), ("none", {})):
        found = scores(**analysis(local=level(0.02), full=level(0.03), variants=variants))
        evidence[name] = [each.evidence for each in result_forms(run(), found)["stress"].answers]
        printed = "\n".join(lines(result_forms(run(), found)["stress"], 160))
        assert ("yes under 1 of 3 variants of the rule" in printed) == (name == "some")
    told = [more.removeprefix(less) for more, less in zip(evidence["some"], evidence["all"], strict=True)]
    assert sorted(filter(None, told)) == ["; yes under 1 of 3 variants of the rule"]  # of the level that decides alone
    assert evidence["all"] == evidence["none"]
    assert repr(answers(found)).startswith("Time-matched AUROC 0.62 (0.56 to 0.68); more than by chance? yes (")


def answers(found: Scores, **about: Any) -> TargetAnswers:
    return answer_questions(run(**about), found)["stress"]


def words(found: TargetAnswers) -> dict[str, str]:
    return {each.question: each.answer for each in found.answers}


def test_each_question_has_an_answer_and_its_evidence() -> None:
    found = answers(scores(**analysis()))
    assert words(found) == {
        "chance": "yes",
        "held": "held constant",
        "movement": "yes",
        "protocol_phase": "not shown",
    }
    evidence = [each.evidence for each in found.answers]
    assert evidence == [
        "AUROC 0.62 (0.56 to 0.68)",
        "by the metric (±0.02)",
        "partial r 0.09 (0.02 to 0.15)",
        "partial r 0.02 (-0.04 to 0.09)",
    ]


@pytest.mark.parametrize(
    ("low", "answer"), [(0.51, "yes"), (0.45, "not shown"), (0.3, "reversed")], ids=["above", "around", "below"]
)
def test_an_answer_follows_from_the_interval(low: float, answer: str) -> None:
    assert words(answers(scores(low=low)))["chance"] == answer
    assert judge_interval(Score(mean=0.6), 0.5) == "too few data"


@pytest.mark.parametrize(
    ("low", "local", "condition"),
    [
        (0.46, level(adjusted=False), "but AUROC is not above chance"),
        (
            0.56,
            level(adjusted=False, score=-0.01),
            "the adjusted scores of the two labels differ by 0.09 (-0.01 to 0.19) SD",
        ),
        (0.56, level(adjusted=False, share=1.3), "but 130% of the score's variance is left (5% to 125% is allowed)"),
    ],
    ids=["chance", "difference", "variance"],
)
def test_a_condition_that_fails_although_the_interval_excludes_0_is_named(
    low: float, local: Any, condition: str
) -> None:
    found = answers(scores(low=low, **analysis(local))).find_answer("movement")
    assert found
    assert found.answer == "not shown"
    assert found.evidence.startswith("partial r 0.09 (0.02 to 0.15), ")
    assert condition in found.evidence


def test_no_answer_rests_on_a_score_that_is_not_the_primary_metric() -> None:
    """Earlier records may hold an analysis of the score within subjects, which does not hold the stimulus constant."""
    found = answers(scores("auroc_crossed", **analysis(score="auroc_within")), design="shared_stimuli")
    assert words(found) == {"chance": "yes", "held": "held constant", "movement": "too few data"}
    undefined = {"scores": {"stress": {"auroc_crossed": {"undefined": TOO_FEW}, "auroc_within": interval(0.7)}}}
    found = answers(scores("auroc_crossed", **undefined, **analysis(score="auroc_within")), design="shared_stimuli")
    assert set(words(found).values()) == {"too few data"}


@pytest.mark.parametrize(
    ("why", "seeds", "text", "remedy"),
    [
        (
            TOO_FEW,
            [0, 1, 2],
            "150 matched comparisons of 24 subjects; 200 are needed.",
            "Other partitions may give enough:  embench run ... --seeds 0-9 --dry-run",
        ),
        (TOO_FEW, list(range(10)), "150 matched comparisons", "More subjects are needed"),
        (TOO_FEW_SUBJECTS, [0], "7 of 34 subjects share a test fold with a subject of opposite labels; 10 are", "More"),
    ],
    ids=["seeds help", "all seeds used", "too few subjects"],
)
def test_too_few_data_says_what_is_missing(why: str, seeds: list[int], text: str, remedy: str) -> None:
    content = {"scores": {"stress": {"auroc_crossed": {"undefined": why}}}, "confound_only": {}}
    found = answers(scores("auroc_crossed", **content), design="shared_stimuli", seeds=seeds)
    assert found.problem
    assert found.problem.answer == "too few data"
    assert text in found.problem.reason
    assert found.problem.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("enough", "remedy"),
    [
        ({"seeds": [0, 1, 2, 3]}, "4 partitions give enough:  embench run ... --seeds 0-3"),
        ({"seeds": [1, 0]}, "2 partitions give enough:  embench run ... --seeds 1,0"),
        ({"subjects": 28}, "About 28 subjects with such labels would give enough."),
    ],
)
def test_too_few_data_says_what_gives_enough(enough: dict[str, Any], remedy: str) -> None:
    content = {"scores": {"stress": {"auroc_crossed": {"undefined": TOO_FEW}}}, "confound_only": {}}
    found = answers(scores("auroc_crossed", **content, enough_data={"stress": enough}), design="shared_stimuli")
    assert found.problem
    assert found.problem.remedy == remedy


@pytest.mark.parametrize("confound", ["elapsed_time", "stimulus_mean"])
def test_a_design_that_leaves_nothing_to_compare_cannot_tell(confound: str) -> None:
    content = {
        "scores": {"stress": {"auroc_crossed": {"undefined": TOO_FEW}, "auroc_within": interval(0.8)}},
        "confound_only": {confound: {"stress": {"auroc_within": interval(0.98, 0.04)}}},
    }
    found = answers(scores("auroc_crossed", **content), design="shared_stimuli")
    assert found.problem
    assert found.problem.answer == "cannot be told"
    assert "This design cannot separate stress from the " in found.problem.reason


def test_without_the_confound_analysis_the_answer_is_not_computed() -> None:
    assert words(answers(scores()))["movement"] == "not computed"
    assert "movement" not in words(answers(scores(), leaks=True))
    found = answers(scores(adjusted={"stress": {"undefined": "the release hides when units were recorded"}}))
    assert words(found)["movement"] == "cannot be told"


@pytest.mark.parametrize(
    ("dataset", "said"), [("own/study", "`start_s:`"), ("embench_plugins/own", "`time:`"), ("a/eegmat", "release")]
)
def test_missing_times_are_said_of_the_release_or_of_ones_own_description(dataset, said) -> None:
    assert said in plain_reason(Reason.make("hidden_times"), dataset)


@pytest.mark.parametrize(
    ("movement", "held", "text"),
    [
        (True, ["acc"], "given time and movement within 10 min?"),
        (True, ["acc", "emg"], "given time, movement and muscle activity (EMG) within 10 min?"),
        (False, [], "given the time since the start? (movement was not recorded)"),
    ],
)
def test_a_question_names_what_is_adjusted_for(movement: bool, held: list[str], text: str) -> None:
    found = answers(scores(**analysis(has_movement=movement, adjusted_for=held)))
    assert text in [each.text for each in found.answers]
    assert bool(found.find_answer("protocol_phase")) == movement


def test_figures_show_what_decides() -> None:
    assert format_with_interval(Score(mean=0.621, low=0.56, high=0.675), 0.5) == "0.62 (0.56 to 0.68)"
    assert format_with_interval(Score(mean=0.03, low=0.0012, high=0.06), 0.0) == "0.030 (0.001 to 0.060)"
    assert format_with_interval(Score(mean=-0.001, low=-0.1, high=0.1)) == "0.00 (-0.10 to 0.10)"


PAPER = (
    "On Stress-Predict (n = 34), an SVM on handcrafted features of PPG, EDA and skin temperature, tested on "
    "participants not used for training, distinguished stress tasks from rest (time-matched AUROC 0.62, 95 % CI "
    "0.56 to 0.68; chance 0.50). The scores were associated with the label after adjustment for time and wrist "
    "movement within 10 min (partial r = 0.09, 95 % CI 0.02 to 0.15; not corrected for the 52 methods evaluated "
    "on these labels), but not demonstrably after adjustment for the protocol phase inferred from movement (0.02, "
    "95 % CI -0.04 to 0.09; that phase alone: AUROC 0.87). Effects of the tasks other than stress, such as "
    "speech, breathing and posture, are not excluded."
)


def test_the_sentence_for_a_paper_is_complete_by_itself() -> None:
    assert result_forms(run(), scores(**analysis()))["stress"].sentence == PAPER


def sentence_and_notes(**about: Any) -> str:
    form = result_forms(run(**about), scores(**analysis(decisive_level="protocol_phase")))["stress"]
    return " ".join([form.sample, form.sentence, *form.notes])


@pytest.mark.parametrize(
    ("encoder", "fusion", "text"),
    [
        ("object:0123456789abcdef0123:small_cnn", "single", "the network small_cnn on PPG and EDA, tested on"),
        ("embench_plugins/tcn", "single", "a TCN on PPG and EDA, tested on"),
        ("embench_plugins/tcn", None, "a TCN on PPG and EDA, tested on"),
    ],
)
def test_a_network_is_named_in_the_sentence_as_its_author_calls_it(encoder: str, fusion: str, text: str) -> None:
    method = {"encoders": {"ppg+eda": encoder}, "fusion": fusion, "modalities": ["ppg+eda"], "joins": "unimodal"}
    assert f"On Stress-Predict (n = 34), {text}" in sentence_and_notes(method=method)


def test_the_sentence_says_of_synthetic_data_that_they_are() -> None:
    dataset = {"name": "embench_plugins/stress_predict", "synthetic": {"effect": 0.8}}
    expected = "On synthetic data in the format of Stress-Predict (n = 34), "
    assert expected in sentence_and_notes(dataset=dataset)


def test_the_sentence_names_the_other_study_that_was_trained_on() -> None:
    text = sentence_and_notes(config={"train_dataset": "embench_plugins/wearable_stress"})
    assert ", trained on Wearable Stress alone and tested on participants not used for training," in text


def test_predictions_of_windows_are_not_called_a_file() -> None:
    method = {"submission": "mine", "encoders": {}, "modalities": []}
    text = sentence_and_notes(method=method, submission={"file": "predictions.csv", "windows": True})
    assert "the method mine, trained outside embench on its folds and tested on participants not used for" in text
    assert "file" not in text
    assert "whose predictions were given in a file" in sentence_and_notes(method=method, submission={"file": "p.csv"})


def test_normalisation_has_one_wording_and_only_a_context_beyond_the_unit_reads_more() -> None:
    said = "needs the test subject's whole session for normalisation, so it cannot run live"
    rules = {"leaks": False, "rules": {"unit": {"rating": "recording", "continuous_s": 10.0, "condition_s": 10.0}}}

    def notes(view: dict[str, Any], time_context: str) -> str:
        config = {"parts": {"encoder[ppg]": {"view": view}}}
        return sentence_and_notes(
            target_access="unlabelled", time_context=time_context, config=config, protocol=rules
        )  # fmt: skip

    for length in (4.0, 10.0):
        text = notes({"kind": "context", "length_s": length}, "causal")
        assert said in text
        assert "this context is not longer than a unit" in text
        assert "because" not in text
    beyond = notes({"kind": "context", "length_s": 60.0}, "causal")
    assert said in beyond
    assert "decides, because the method reads up to 60 s before the end of each unit." in beyond


@pytest.mark.parametrize("width", [80, 100, 118])
def test_lines_fit_and_no_word_is_torn(width: int) -> None:
    form = result_forms(run(), scores(**analysis()))["stress"]
    printed = lines(form, width, every=True)
    assert max(map(len, printed)) <= width
    flat = " ".join(" ".join(printed).split())
    assert PAPER in flat
    whole = {word for answer in form.answers for word in f"{answer.text} {answer.evidence}".split()}
    assert whole <= set(flat.split())


def test_models_stand_from_best_to_worst_and_constants_share_a_line() -> None:
    form = result_forms(run(), scores(**analysis()))["stress"]
    assert [(each.names, each.score, each.above) for each in form.models] == [
        ("phase of the protocol, inferred from movement", "0.87 (0.79 to 0.95)", True),
        ("movement during the scored segment", "0.50 (0.40 to 0.60)", False),
        ("time since the start", "0.50 always", False),
    ]
    assert "An unmeasured confound that explains 8 % of the remaining variance" in form.notes[0]
    assert form.notes[-1] == "166 evaluations on these labels are recorded."


def test_html_and_terminal_have_the_same_words() -> None:
    form = result_forms(run(), scores(**analysis()))["stress"]
    html = " ".join(unescape(as_html(form)).replace("<", " <").split())
    for text in (form.question, form.sample, *form.about, form.explanation, form.sentence, *form.notes):
        assert text in html
    for each in form.answers:
        assert f"{each.text} </td> <td>{each.answer} </td> <td>{each.evidence} </td>" in html


def test_answers_of_later_rules_are_printed_like_others() -> None:
    """A study of ratings, with the answers on position and previous stimulus that records may hold later."""
    form = result_forms(run("shared_stimuli"), scores("auroc_crossed", **analysis(score="auroc_crossed")))["stress"]
    more = Answer(
        "position", "given the position in the session?", "excluded by design", "position alone 0.50 (0.44 to 0.57)"
    )
    printed = textwrap.dedent("\n".join(lines(replace(form, answers=(*form.answers, more)), 118)))
    assert "excluded by design  position alone 0.50 (0.44 to 0.57)" in printed
    assert "given the stimulus?" in printed


def test_entries_that_nothing_ranks_are_ordered_by_the_metric_within_subjects() -> None:
    score = Score(mean=0.6, low=0.5, high=0.7)
    for metric, inside in (("concordance_crossed", "C-index"), ("auroc_crossed", "AUROC")):
        text = explain_unranked(metric, "shared_stimuli", ("elapsed_time", score), [score])
        assert f"Entries are ordered by the Within-subject {inside}" in text
        assert text.endswith("time since the start reaches 0.60; no entry scores higher.")
