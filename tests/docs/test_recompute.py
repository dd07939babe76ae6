"""The script that recomputes scores from the files of a run or an entry, with none of embench's code, gets what embench
wrote, or says why it can't."""

import json
import shutil
import subprocess
import sys

import pytest

from embench.records.record import read_record, write_entry

from ..tiny.fixtures import cache
from ..tiny.running import Bench
from ..tiny.world import make_subject, of_all_kinds, write
from .pages import ROOT

__all__ = ["cache"]

AGREE = "agree with scores.json to 1e-6"


def recompute(folder, code=0):
    script = [sys.executable, ROOT / "docs" / "recompute.py", folder]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    return done


def one_order(number):
    """Six tasks in one order, each after rest; how long they are differs, and when the last one ends."""
    lasts = [60.0 + 80.0 * (number >> r & 1) for r in range(5)]
    return make_subject(number, stimuli=6, seconds=[*lasts, 60.0 + 8 * number].__getitem__, start_s=(200.0).__mul__)


def shared_films(number):
    """All see the same films, two of them together."""
    return make_subject(number, stimuli=12, stimulus=lambda r: f"v{r}", group=f"g{number // 2:02d}")


def own_films(number):
    """Nobody sees what another one sees; one of them feels the same all the time."""
    alike = {"ratings": {"arousal": 7.0, "valence": 3.0}} if number == 3 else {}
    return make_subject(number, stimuli=8, stimulus=lambda r: f"p{number}-v{r}", **alike)


def felt_films(number):
    """All see the same films, of which each is felt otherwise by some."""
    return [{**row, "stimulus": f"v{row['order']}"} for row in of_all_kinds(number + 1)[f"p{number:02d}"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subjects", "dataset", "target", "primary_metric"),
    [
        (one_order, "Session", "stress", "auroc_crossed_matched"),
        (shared_films, "Tiny", "arousal", "auroc_crossed"),
        (own_films, "Tiny", "arousal", "auroc_within"),
        (felt_films, "Kinds", "arousal_value", "concordance_crossed"),
    ],
)
def test_headlines_and_intervals_are_recomputed_from_the_files(tmp_path, subjects, dataset, target, primary_metric):
    data = write(tmp_path, {f"p{n:02d}": subjects(n) for n in range(20)}, dataset)
    bench = Bench(data, tmp_path / "runs", dataset)
    method = {"encoder": "Moments", "fusion": "logreg", "modalities": "ecg,eda", "targets": target}
    if target.endswith("_value"):
        method |= {"encoder": "Pool", "fusion": "single", "modalities": "ecg"}
    rules = tmp_path / "rules.yaml"
    three = "split: {by: group, folds: 3, neighbours: 4}"  # of five, each fits once more what clock and movement tell
    rules.write_text(f"extends: subject-independent-v4\nname: mine\n{three}\n")
    result = bench.run(**method, protocol=str(rules), seeds="0,1")
    entry = tmp_path / "boards" / "protocol" / result.id
    write_entry(entry, read_record(result.folder), tmp_path / "boards" / "shared")
    done, published = recompute(result.folder), recompute(entry)
    assert published.stdout == done.stdout
    assert result.scores["primary_metrics"] == {target: primary_metric}
    first, *_, last = done.stdout.splitlines()
    named, name, *numbers = first.replace("[", "").replace(",", "").replace("]", "").split()
    score = result.scores["scores"][target][primary_metric]
    assert (named, name) == (target, primary_metric)
    assert score["training_overlap"] is not None
    assert [float(n) for n in numbers] == pytest.approx([score[k] for k in ("mean", "low", "high")], abs=1e-6)
    within = not primary_metric.endswith("_within")
    assert last == f"{1 + within} of {1 + within} {AGREE}"


def entry_of(pattern):
    """The first entry of a protocol of a board."""
    return min(path.parent for path in (ROOT / "leaderboards").glob(f"{pattern}/*/run.yaml"))


@pytest.mark.parametrize(
    ("protocol", "ends"),
    [
        ("eegmat/subject-independent-v4", f"2 of 2 {AGREE}"),
        ("hku956/subject-independent-v4", "not recomputed: sealed, predictions and labels are not public. Holders of"),
        pytest.param("wearable_stress/subject-independent-v4", AGREE, marks=pytest.mark.slow),
        pytest.param("stress_predict/subject-independent-v4", AGREE, marks=pytest.mark.slow),
        pytest.param("stress_predict/subject-independent-strict-v4", AGREE, marks=pytest.mark.slow),
    ],
)
def test_published_entries_agree_or_say_why_they_can_t_be_recomputed(protocol, ends):
    assert ends in recompute(entry_of(protocol)).stdout.splitlines()[-1]


def test_a_score_that_does_not_follow_from_the_files_is_named(tmp_path):
    published = entry_of("eegmat/subject-independent-v4")
    shutil.copytree(published, forged := tmp_path / "protocol" / published.name)
    shutil.copytree(published.parents[1] / "shared", tmp_path / "shared")
    scores = json.loads((forged / "scores.json").read_text())
    scores["scores"]["task"]["auroc_within"]["mean"] += 0.01
    (forged / "scores.json").write_text(json.dumps(scores))
    said = recompute(forged, code=1).stdout
    assert "DISAGREES" in said
    assert said.endswith(f"1 of 2 {AGREE}\n")
