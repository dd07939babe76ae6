"""Five labs' folders: described without an editor, read without a finding, and scored against the stimulus."""

from datetime import datetime, timedelta

import pytest
import yaml
from tests.sample import proof, sample
from tests.tiny.world import few_folds

from embench.cli import main
from embench.records.record import read_record
from embench_plugins.datasets.own.draft import write_draft
from embench_plugins.datasets.own.reader import Own

from . import folders
from .layouts import LAYOUTS, lay_out

LABS = {
    "wristband": (folders.wristband, "by Bewertungen.csv", {"ppg", "eda", "temp", "acc"}),
    "brainvision": (folders.brainvision, "by markers in the files", {"eeg", "eda"}),
    "streams": (folders.streams, "by markers in the files", {"ecg", "eda"}),
    "strap": (folders.strap, "(baseline, stroop, speech), each up to 40 s, in one order", {"ecg"}),
    "bids": (folders.bids, "by sub-{participant}/beh", {"ecg", "eda"}),
}
LONG = ("brainvision", "streams", "strap")
"""Those whose method `make rates` runs."""
PEOPLE = 4
KNOWN = {
    "title": "A study", "citation": "unpublished", "licence": "not shared", "mains_hz": "50", "fixed_order": "false",
}  # fmt: skip
"""What only the owner of a folder knows."""


def filled(text: str) -> str:
    """A draft with what only its owner knows; nothing else may be open."""
    lines = [f"{key}: {KNOWN[key]}" if (key := line.partition(":")[0]) in KNOWN else line for line in text.splitlines()]
    assert not [line for line in lines[1:] if "TODO" in line]
    return "\n".join(lines)


@pytest.fixture(scope="module", params=sample(LABS, "wristband", "brainvision", "streams"))
def lab(request, tmp_path_factory):
    write, said, modalities = LABS[request.param]
    root = write(tmp_path_factory.mktemp("labs") / request.param, PEOPLE)
    return root, said, modalities


def test_a_lab_s_folder_is_understood_and_read_without_a_finding(lab):
    root, said, modalities = lab
    text = write_draft(root)
    told = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    assert said in told
    assert f"{PEOPLE} orders" in told or root.name == "strap"
    (root / "dataset.yaml").write_text(filled(text))
    reader = Own(root)
    assert reader.verify() == []
    recordings = [r for subject in reader.subjects() for r in reader.recordings(subject)]
    films = ("sea", "joy1", "fear1") if root.name == "strap" else folders.FILMS
    assert len(recordings) == PEOPLE * len(films)
    assert {len({r.stimulus for r in recordings if r.subject == s}) for s in reader.subjects()} == {len(films)}
    assert all(set(r.signals) == modalities for r in recordings)
    assert all(folders.FILM_S - 1 <= r.duration_s <= folders.FILM_S + 1 for r in recordings)


def test_ratings_are_those_of_the_film_and_the_person(lab):
    """Of the first person, in the order of play, as the folder's writer drew them."""
    root, _, _ = lab
    (root / "dataset.yaml").write_text(filled(write_draft(root)))
    reader = Own(root)
    one = folders.sessions(1, ("sea", "joy1", "fear1") if root.name == "strap" else folders.FILMS)[0]
    name = {"wristband": "Erregung", "strap": "stress"}.get(root.name, "arousal")
    first = min(reader.subjects(), key=lambda s: int("".join(filter(str.isdigit, s))))
    played = sorted(reader.recordings(first), key=lambda r: r.start_s)
    assert [float(r.labels[name].values[0]) for r in played] == list(one.arousal)
    assert [r.start_s for r in played] == pytest.approx(one.begins, abs=1.0)


@pytest.mark.parametrize("layout", sample(LAYOUTS, *LAYOUTS[1::2]), ids=lambda layout: layout.files)
def test_a_layout_of_names_is_joined_with_its_table(tmp_path, layout):
    lay_out(tmp_path, layout)
    text = write_draft(tmp_path)
    (tmp_path / "dataset.yaml").write_text(filled(text))
    reader = Own(tmp_path)
    recordings = [r for subject in reader.subjects() for r in reader.recordings(subject)]
    assert len(reader.subjects()) == 6, text
    assert all("arousal" in r.labels for r in recordings), text
    assert [f for f in reader.verify() if f.severity != "note"] == []
    films = {r.stimulus for r in recordings}
    assert len(films) == 4, text
    values = {(r.subject, r.stimulus): float(r.labels["arousal"].values[0]) for r in recordings}
    assert sorted(values.values()) == sorted(layout.ratings())


def test_the_zone_of_a_wide_table_is_that_in_which_its_times_lie_in_the_recordings(tmp_path):
    root = folders.strap(tmp_path / "strap", 2)
    for path in (root / "Polar").iterdir():
        head, *rows = path.read_text().splitlines()
        times = [datetime.fromisoformat(row.partition(";")[0]) - timedelta(hours=1) for row in rows]
        texts = [
            f"{t:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z;{row.partition(';')[2]}" for t, row in zip(times, rows, strict=True)
        ]
        path.write_text("\n".join([head, *texts]) + "\n")
    text = write_draft(root)
    assert "timezone: UTC+01:00  # a guess" in text
    (root / "dataset.yaml").write_text(filled(text))
    assert Own(root).verify() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wristband", "bids", *(pytest.param(n, marks=proof) for n in LONG)])
def test_a_lab_s_folder_ends_with_scores_beside_what_the_stimulus_tells(name, tmp_path, monkeypatch):
    root = LABS[name][0](tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "new", f"./{root.name}"]) == 0
    path = root / "dataset.yaml"
    path.write_text(filled(path.read_text()))
    assert main(["data", "verify", f"./{root.name}"]) == 0
    target = next(iter(yaml.load(path.read_text(), yaml.BaseLoader)["targets"]))
    options = ["--encoder", "handcrafted", "--fusion", "ridge", "--seeds", "0", "--target", target]
    options += ["--protocol", few_folds(tmp_path)]
    assert main(["run", "--dataset", f"./{root.name}", *options, "--runs", str(tmp_path / "runs")]) == 0
    (folder,) = (path.parent for path in (tmp_path / "runs").rglob("scores.json"))
    confound_only = {control.name: control for control in read_record(folder).scores.get_confound_only_models(target)}
    assert not confound_only["stimulus_mean"].reason
    assert -1 <= confound_only["stimulus_mean"].scores["ccc"].mean <= 1
