"""Tables on a terminal, and boards."""

import io

from embench.cli import console, show

from .conftest import DOCUMENT, SCORES


def test_tables_are_drawn_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    show.result(DOCUMENT, SCORES)
    text = terminal.getvalue()
    assert "│" in text
    assert "0.612" in text
    assert "SYNTHETIC" in text


def test_real_data_are_not_called_generated(capsys):
    show.result({**DOCUMENT, "synthetic": False}, SCORES)
    assert "SYNTHETIC" not in capsys.readouterr().out


def test_numbers_that_json_has_not_become_null(capsys):
    console.document({"a": float("nan"), "b": [float("inf"), 1.5], "c": (1,)})
    assert "".join(capsys.readouterr().out.split()) == '{"a":null,"b":[null,1.5],"c":[1]}'


def test_board_without_entries(embench, tmp_path):
    done = embench("leaderboard", "show", "--boards", tmp_path)
    assert done.code == 0
    assert "no published entries" in done.out
    assert embench("leaderboard", "show", "amigos", "--boards", tmp_path).code == 2
    assert embench("leaderboard", "build", "--boards", tmp_path).code == 0
    assert (tmp_path / "README.md").is_file()


def test_board_rows(embench, monkeypatch):
    number = {"mean": 0.7, "low": 0.6, "high": 0.8}
    method = {
        "kind": "method", "rank": 1, "encoders": {"eda": "cnn_tf", "ppg": "cnn_tf"}, "fusion": "late",
        "pretrainers": [], "modalities": ["eda", "ppg"], "recipe": "small", "people": 24, "headline": "auroc_within",
        "score": number, "not_cleared": ["elapsed_time"], "id": "r1", "mark": [], "apart": [],
        "cost": {"wall_s": 3.0, "parameters": 1200},
    }  # fmt: skip
    control = {"kind": "control", "control": "prior", "people": 24, "score": None, "id": "r1"}
    section = {"dataset": "d", "protocol": "p", "target": "t", "leaks": True, "rows": [method, control]}
    section["superseded_by"] = "p-v2"
    monkeypatch.setattr("embench.leaderboard.leaderboard_sections", lambda *_: [section])
    done = embench("leaderboard", "show")
    assert "d, p (superseded by p-v2), leaks, target t" in done.out
    assert "3 s" in done.out
    assert "1.2 k" in done.out
    assert "cnn_tf + late" in done.out
    assert "not above elapsed_time" in done.out
    assert "(prior)" in done.out
