"""The script that recomputes an entry's headline from its files, with none of embench's code, gets what a run wrote."""

import subprocess
import sys

import pytest

from embench.records.record import read_record, write_entry

from ..tiny.fixtures import cache
from ..tiny.running import Bench
from ..tiny.world import make_subject, write
from .pages import ROOT

__all__ = ["cache"]


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subjects", "dataset", "target", "headline"),
    [
        (one_order, "Session", "stress", "auroc_crossed_matched"),
        (shared_films, "Tiny", "arousal", "auroc_crossed"),
        (own_films, "Tiny", "arousal", "auroc_within"),
    ],
)
def test_headlines_and_intervals_are_recomputed_from_the_files(tmp_path, subjects, dataset, target, headline):
    data = write(tmp_path, {f"p{n:02d}": subjects(n) for n in range(20)}, dataset)
    bench = Bench(data, tmp_path / "runs", dataset)
    method = {"encoder": "Moments", "fusion": "logreg", "modalities": "ecg,eda", "targets": target}
    result = bench.run(**method, protocol="subject-independent-v2", seeds="0,1")
    entry = tmp_path / "boards" / "protocol" / result.id
    write_entry(entry, read_record(result.folder), tmp_path / "boards" / "shared")
    script = [sys.executable, "-W", "ignore", ROOT / "docs" / "recompute.py"]
    done, published = (
        subprocess.run([*script, folder], capture_output=True, text=True, check=True)
        for folder in (result.folder, entry)
    )
    assert published.stdout == done.stdout
    assert result.scores["headlines"] == {target: headline}
    named, name, *numbers = done.stdout.split()
    score = result.scores["scores"][target][headline]
    assert (named, name) == (target, headline)
    assert score["shared_variance"] is not None
    assert [float(n) for n in numbers] == pytest.approx([score[k] for k in ("mean", "low", "high")], abs=1e-6)
