"""What a fit takes on this machine is measured once for an estimator and a shape of its rows."""

from __future__ import annotations

from embench.sets.running import estimator_seconds
from embench_plugins.fusions.classical import LogReg

from ..tiny.running import Bench
from ..tiny.world import make_subjects, write


def test_an_estimator_is_tried_once_for_rows_of_a_width(tmp_path, monkeypatch):
    fits, fit = [], LogReg.fit
    monkeypatch.setattr(LogReg, "fit", lambda self, X, *rest: fits.append(X.shape[1]) or fit(self, X, *rest))
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    bench = Bench(write(tmp_path, make_subjects(6), seed=7), tmp_path / "runs")
    plan = bench.plan("handcrafted", fusion="logreg", modalities="ecg")
    seconds = estimator_seconds(plan, 5)
    assert seconds > 0
    assert set(fits) == {5}
    fits.clear()
    assert estimator_seconds(plan, 5) == seconds
    assert not fits
    assert estimator_seconds(plan, 6) != seconds
    assert set(fits) == {6}
    for file in (tmp_path / "cache" / "forecasts").iterdir():
        file.write_bytes(b"damaged")
    assert estimator_seconds(plan, 5) > 0
    assert set(fits) == {5, 6}


def test_what_cannot_be_fitted_takes_no_time(tmp_path):
    bench = Bench(write(tmp_path, make_subjects(6), seed=7), tmp_path / "runs")
    assert estimator_seconds(bench.plan("handcrafted", fusion="logreg", modalities="ecg"), 0) == 0
