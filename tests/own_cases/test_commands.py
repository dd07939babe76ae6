"""What the commands print and count of studies in the forms that are known to go wrong."""

import csv

import pytest

from embench.cli import main
from embench_plugins.datasets.own.reader import Own

from .cells import CASES as CELLS
from .files import PEOPLE, column, table, write
from .markers import CASES as MARKERS
from .times import CASES as TIMES

MADE = {case.name: case.make for case in (*CELLS, *MARKERS, *TIMES)}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lost end", ["P02", "film_start_joy"]),
        ("an hour that comes twice", ["02:10", "P01_stages.csv"]),
        ("codes that differ in case", ["`A`", "`a`"]),
    ],
)
def test_verify_prints_the_fault_and_does_not_end_with_nothing_found(name, words, tmp_path, capsys):
    MADE[name](tmp_path)
    main(["data", "verify", str(tmp_path)])
    told = "".join(capsys.readouterr())
    assert all(word in told for word in words)
    assert "no findings" not in told


def test_values_off_the_scale_are_no_labels_of_the_units(tmp_path, monkeypatch):
    MADE["99 and -99 off the scale"](tmp_path / "study")
    monkeypatch.chdir(tmp_path)
    assert main(["data", "labels", "./study", "--units", "units.csv"]) == 0
    with (tmp_path / "units.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["label"]]) == 6


@pytest.mark.slow
def test_a_run_says_which_values_are_off_the_scale(tmp_path, monkeypatch, capsys):
    MADE["99 and -99 off the scale"](tmp_path / "study")
    monkeypatch.chdir(tmp_path)
    method = ["--encoder", "handcrafted", "--fusion", "logreg", "--seeds", "0", "--protocol", "subject-independent-v4"]
    main(["run", "--dataset", "./study", *method])
    told = " ".join("".join(capsys.readouterr()).split())
    assert "outside the scale of 1 to 9 have no label: `-99` (1), `99` (2)" in told


FILMS = ("joy_1", "joy_2", "fear_1", "fear_2")
CODES = ("A_01", "A_02", "A_03", "B_01", "B_02", "B_03")


def _underscores(codes, films, form="{who}_{film}.csv"):
    def make(root):
        for k, who in enumerate(codes):
            write(root, {form.format(who=who, film=film): column(k, 30, 4) for film in films})
        rows = [(who, film, (3 * k + 2 * j) % 9 + 1) for k, who in enumerate(codes) for j, film in enumerate(films)]
        names = ("participant", "clip", "arousal")
        write(root, {"ratings.csv": table(dict(zip(names, zip(*rows, strict=True), strict=True)))})

    return make


@pytest.mark.parametrize(
    ("codes", "films", "form"),
    [
        (CODES, FILMS, "{who}_{film}.csv"),
        (CODES, ("joy", "fear", "sea"), "{who}_{film}.csv"),
        (("A_01_x", "A_02_x", "B_01_x"), FILMS, "{who}_{film}.csv"),
        (CODES, FILMS, "{film}_{who}.csv"),
        (PEOPLE, FILMS, "{who}_{film}.csv"),
        (CODES, FILMS, "{who}/{film}.csv"),
    ],
    ids=["as reported", "one word a film", "three words a person", "films first", "plain names", "folders"],
)
def test_the_table_decides_where_the_name_of_a_person_ends(codes, films, form, tmp_path, capsys):
    _underscores(codes, films, form)(tmp_path)
    assert main(["data", "new", str(tmp_path)]) == 0
    text = (tmp_path / "dataset.yaml").read_text()
    assert "participant: arousal" not in text
    filled = "\n".join(line.replace("TODO", "50" if "mains" in line else "false") for line in text.splitlines())
    (tmp_path / "dataset.yaml").write_text(filled)
    reader = Own(tmp_path)
    assert len(reader.subjects()) == len(codes), capsys.readouterr().out
    recordings = [r for subject in reader.subjects() for r in reader.recordings(subject)]
    assert len({r.stimulus for r in recordings}) == len(films)
    assert all("arousal" in r.labels for r in recordings)
