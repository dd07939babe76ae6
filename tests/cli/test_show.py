"""Tables on a terminal, and boards."""

import io
import re

import pytest

from embench.cli import console, show
from embench.protocols import load_protocol
from embench.records.scores import Scores

from .conftest import NUMBER, SCORES, a_result


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("terminal", [True, False])
def test_tables_fit_the_terminal_and_cut_no_word(monkeypatch, width, terminal):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream = Stream()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", str(width))
    why = "the release hides when units were recorded, and no accelerometer was worn by any of its subjects at all"
    hidden = {**SCORES["confound_only"], "movement": {"arousal": {"undefined": why}}}
    show.print_run(a_result({**SCORES, "confound_only": hidden}), every=True)
    text = re.sub(r"\x1b\[\d*m", "", stream.getvalue())
    assert max(map(len, text.splitlines())) <= width
    assert "0.61 (0.55 to 0.67)" in text
    assert set(why.replace(",", "").split()) <= set(text.replace(",", "").split())


def test_the_score_of_who_knows_the_stimulus_stands_beside_each_score(capsys):
    show.print_run(a_result(SCORES), every=True)
    assert "stimulus_mean" not in capsys.readouterr().out
    knows = {"arousal": {"auroc": {**NUMBER, "mean": 0.913}, "auroc_within": {**NUMBER, "mean": 0.925}}}
    show.print_run(
        a_result({**SCORES, "confound_only": {**SCORES["confound_only"], "stimulus_mean": knows}}), every=True
    )
    lines = capsys.readouterr().out.splitlines()
    assert "stimulus_mean" in next(line for line in lines if line.startswith("metric (* primary)"))
    assert "0.913" in next(line for line in lines if line.startswith("auroc "))
    assert "0.925" in next(line for line in lines if line.startswith("auroc_within *"))


def test_a_plan_says_how_long_clock_and_movement_take_the_first_time(capsys):
    show.print_plan({"expected_s": 61.0, "nuisances_s": 300.0})
    assert "confound analysis, fitted once for this dataset: about 5 min" in capsys.readouterr().out


def test_real_data_are_not_called_generated(capsys):
    show.print_run(a_result(SCORES, synthetic=False))
    assert "SYNTHETIC" not in capsys.readouterr().out


def test_scores_of_a_protocol_that_leaks_are_said_to_be_ranked_by_no_board(capsys):
    made = a_result(SCORES, synthetic=False)
    show.print_run(made)
    assert "LEAKS" not in capsys.readouterr().out
    leaks = {"split.by": {"subjects": [12, 12], "recordings": [0, 96]}}
    rules = {"rules": load_protocol("epic2023-time").content(), "leaks": True, "leaks_by": leaks}
    made.manifest["protocol"] |= {"name": "epic2023-time", **rules}
    trained = "are trained on: 12 of 12 subjects and 0 of 96 recordings"
    for shown in (show.print_run, lambda found: show.print_runs([found])):
        shown(made)
        out = capsys.readouterr().out.replace("\n", " ")
        assert "epic2023-time LEAKS: other units" in " ".join(out.split())
        assert f"{trained}. No leaderboard ranks these scores." in " ".join(out.split())


def test_numbers_that_json_has_not_become_null(capsys):
    console.document({"a": float("nan"), "b": [float("inf"), 1.5], "c": (1,)})
    assert "".join(capsys.readouterr().out.split()) == '{"a":null,"b":[null,1.5],"c":[1]}'


def test_board_without_entries(embench, tmp_path):
    done = embench("leaderboard", "show", "--leaderboards", tmp_path)
    assert done.code == 0
    assert "no published entries" in done.out
    assert embench("leaderboard", "show", "amigos", "--leaderboards", tmp_path).code == 2
    assert embench("leaderboard", "show", "--format", "json", "--leaderboards", tmp_path).out == "[]\n"
    assert embench("leaderboard", "build", "--leaderboards", tmp_path).code == 0
    assert (tmp_path / "README.md").is_file()


CROSSED = {
    "primary_metrics": {"stress": "auroc_crossed_matched"},
    "scores": {"stress": {"auroc_crossed_matched": NUMBER, "auroc_within": {**NUMBER, "mean": 0.7}}},
    "confound_only": {
        "elapsed_time": {
            "stress": {
                "auroc_crossed_matched": {"mean": 0.5, "std": 0.0, "low": 0.5, "high": 0.5},
                "auroc_within": {**NUMBER, "mean": 0.95},
            }
        },
        "movement": {"stress": {"auroc_crossed_matched": {**NUMBER, "mean": 0.56}, "auroc_within": NUMBER}},
    },
}


def fixed_order(scores):
    made = a_result({**Scores.make_empty(), **scores}, synthetic=False)
    made.manifest["cohort"]["design"] = "fixed_order"
    return made


def test_a_model_that_cannot_win_and_is_high_within_subjects_stands_beside_the_method(capsys):
    found = fixed_order(CROSSED)
    show.print_run(found, every=True)
    out = capsys.readouterr().out
    assert "0.50 always" in out
    assert "0.56 (0.55 to 0.67)" in out
    why = "Not the primary metric: Within-subject AUROC 0.70 (0.55 to 0.67), which does not hold time and movement"
    assert f"{why} constant; time since the start alone reaches 0.95." in " ".join(out.split())


def test_the_headline_of_several_runs_is_a_column_where_it_is_one(capsys):
    one, other = a_result(SCORES, synthetic=False), fixed_order(CROSSED)
    for found, heads in (([one], ["Within-subject"]), ([one, other], ["primary", "score"])):
        show.print_runs(found)
        head = capsys.readouterr().out.splitlines()[0].split()
        assert [name for name in ("primary", "score", "Within-subject") if name in head] == heads


def test_where_the_headline_is_undefined_the_reason_stands_in_its_place(capsys):
    hidden = {"undefined": "not estimable: 24 quadruples of 2 subjects; at least 200 of 10 are needed"}
    clock = {"elapsed_time": {"stress": {"auroc_crossed_matched": hidden, "auroc_within": {**NUMBER, "mean": 1.0}}}}
    own = {"stress": {"auroc_crossed_matched": hidden, "auroc_within": {**NUMBER, "mean": 0.7}}}
    found = fixed_order({**CROSSED, "scores": own, "confound_only": clock})
    show.print_run(found)
    text = " ".join(capsys.readouterr().out.split())
    shown = " ".join(re.sub(r"<[^>]+>", " ", found._repr_html_()).split())
    for told in (text, " ".join(str(found).split()), shown):
        assert "This design cannot separate stress from the time since the start" in told
        assert "Within-subject AUROC, not the primary metric 0.70" in told
        assert "time since the start 1.00 (0.55 to 0.67) above this method" in told
        assert "more than by chance" not in told


def test_a_clock_that_is_always_right_within_subjects_is_not_so_by_construction():
    certain = {"auroc_within": {"mean": 1.0, "std": 0.0, "low": 1.0, "high": 1.0}}
    clock = {"elapsed_time": {"stress": {**CROSSED["confound_only"]["elapsed_time"]["stress"], **certain}}}
    shown = fixed_order({**CROSSED, "confound_only": clock}).summaries["stress"]
    assert shown.models[-1].score == "0.50 always"
    assert "time since the start alone reaches 1.00" in " ".join(shown.more)


def test_a_control_at_chance_needs_no_explanation(capsys):
    show.print_run(a_result(SCORES, synthetic=False))
    out = capsys.readouterr().out
    assert "majority class" in out
    assert "0.50 always" in out


def test_a_score_whose_sd_is_over_folds_has_the_t_interval_of_papers_beside_it(capsys):
    number = {**NUMBER, "mean": 0.81, "std": 0.015, "over": "folds"}
    folds = [{"method": "model", "target": "arousal", "seed": seed, "fold": f} for seed in (0, 1) for f in range(10)]
    scores = {**SCORES, "primary_metrics": {"arousal": "f1_macro"}, "scores": {"arousal": {"f1_macro": number}}}
    show.print_run(a_result({**scores, "folds": folds}), every=True)
    assert "0.810 ± 0.0107" in capsys.readouterr().out  # 2.262 x .015 / sqrt(10)
    show.print_run(
        a_result({**scores, "scores": {"arousal": {"f1_macro": {**number, "over": "subjects"}}}}), every=True
    )
    assert "over folds" not in capsys.readouterr().out
