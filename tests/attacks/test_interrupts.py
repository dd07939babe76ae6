"""Ctrl-C and SIGTERM while a model is fitted: answered in seconds, even if a library carries on, and nothing that was
fitted to the end of an interrupt is kept."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from embench.engine.stage import Folder
from embench.engine.work import run_stage
from embench.interfaces.units import LabelRule, Target
from embench.planning.plan import Plan
from embench.statistics import nuisance_models
from embench.statistics.confound_only import BalancedTrees, ConfoundTask, predict_with_trees
from embench.store.store import Store, cache_array, is_cached

from ..tiny.fixtures import cache, shared, six
from ..tiny.running import Bench

__all__ = ["cache", "shared", "six"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
SIGNALS = [signal.SIGINT, signal.SIGTERM]
ANSWERED_S = 10.0
"""Seconds within which an interrupt must be answered."""
NUISANCES = ("balanced_trees", "trees", "careful_trees", "forest", "linear", "kernel", "perceptron")
TARGETS = {
    "binary": Target("t", "binary", LabelRule(), label="t"),
    "value": Target("t", "value", LabelRule(), label="t"),
}


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    """Handlers as in a terminal; a shell may have the tests ignore SIGINT."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def plan(shared: Bench) -> Plan:
    """A plan whose store has room for what is kept."""
    return shared.plan("Moments", fusion="mlp", modalities="ecg")


def struck(patch: pytest.MonkeyPatch, kind: type[Any], number: int) -> None:
    """Has the next fit of a class be interrupted, and carry on with half of the rows, as some libraries do."""
    fit, waiting = kind.fit, [number]

    def fit_half(self: Any, x: np.ndarray, y: np.ndarray, **options: Any) -> Any:
        if not waiting:
            return fit(self, x, y, **options)
        try:
            os.kill(os.getpid(), waiting.pop())
            raise AssertionError("the signal was lost")
        except KeyboardInterrupt:
            return fit(self, x[::2], y[::2])

    patch.setattr(kind, "fit", fit_half)


def draw(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Columns (160, 3) and labels (160,)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 3))
    return x, x[:, 0] if kind == "value" else (x[:, 0] > 0).astype(float)


def fit_nuisance(name: str, kind: str, _: Store) -> np.ndarray:
    x, y = draw(kind)
    half = np.arange(len(x)) < len(x) // 2
    parts = [(np.flatnonzero(half == side), np.flatnonzero(half != side)) for side in (True, False)]
    members = {name: (x, getattr(nuisance_models, name))}
    return nuisance_models.predictions(members, y, TARGETS[kind], parts, seed=0)[name]


def fit_confounds(_: str, kind: str, store: Store) -> np.ndarray:
    x, y = draw(kind)
    train, test = np.arange(120), np.arange(120, 160)
    task = ConfoundTask(TARGETS[kind], [], y, train, test, {}, {}, None, 0, partial(cache_array, store))
    return predict_with_trees(task, x)[0]  # type: ignore[index]


def last_step(name: str, kind: str) -> type[Any]:
    model = getattr(nuisance_models, name)(0, kind != "value")
    return type(model[-1] if isinstance(model, Pipeline) else model)


FITS: dict[str, tuple[Callable[[str, str, Store], np.ndarray], Callable[[str, str], type[Any]]]] = {
    **dict.fromkeys(NUISANCES, (fit_nuisance, last_step)),
    "confound_only": (
        fit_confounds, lambda _, kind: HistGradientBoostingRegressor if kind == "value" else BalancedTrees
    ),
}  # fmt: skip
"""Model without a signal -> (function that fits it, function that returns the class whose fit is interrupted)."""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", FITS)
def test_a_model_without_a_signal(
    name: str, kind: str, number: int, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, struck_class = FITS[name]
    store, key = plan.test.store, ["interrupted", name, kind, str(tmp_path)]
    kept = sorted((store.path / "kept").glob("*"))
    with monkeypatch.context() as patch:
        struck(patch, struck_class(name, kind), number)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            cache_array(store, key, lambda: fit(name, kind, store))
        assert time.monotonic() - began < ANSWERED_S
    assert not is_cached(store, key)
    assert sorted((store.path / "kept").glob("*")) == kept
    whole = fit(name, kind, store)
    assert np.array_equal(cache_array(store, key, lambda: fit(name, kind, store)), whole)
    for path in set((store.path / "kept").glob("*")) - set(kept):
        path.unlink()  # the next signal finds nothing either


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.filterwarnings("ignore:Training interrupted by user")
def test_a_method(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """scikit-learn's perceptrons stop where they are and call themselves fitted. The fit ends in an error, too, as if
    the library had met what it did not finish."""
    estimator = next(stage for stage in plan.graph.stages.values() if stage.kind == "estimator")
    predict = next(stage for stage in plan.graph.stages.values() if stage.inputs.get("fitted") == estimator.id)
    run_stage(estimator, tmp_path)
    after_epoch, waiting = MLPClassifier._update_no_improvement_count, [number]

    def interrupted_once(self: Any, *arguments: Any) -> None:
        after_epoch(self, *arguments)
        if waiting:
            os.kill(os.getpid(), waiting.pop())

    def unfitted(*_: Any) -> None:
        raise ValueError("not fitted yet")

    for error in (None, unfitted):
        waiting[:] = [number]
        with monkeypatch.context() as patch:
            patch.setattr(MLPClassifier, "_update_no_improvement_count", interrupted_once)
            if error:
                patch.setattr(MLPClassifier, "predict_proba", error)
            with pytest.raises(KeyboardInterrupt):
                run_stage(predict, tmp_path)
        assert not Folder(tmp_path, predict.id).done
    assert run_stage(predict, tmp_path)
    assert Folder(tmp_path, predict.id).done


class Stubborn(MLPClassifier):
    """A perceptron that takes long, and that stops training early when it is interrupted."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Stubborn:
        until = time.monotonic() + 6
        try:
            while time.monotonic() < until:
                time.sleep(0.05)
        except KeyboardInterrupt:
            pass
        return super().fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_search_over_fits_that_each_carry_on(number: int) -> None:
    """Such a search would take its whole time, whoever presses Ctrl-C: each fit swallows one interrupt."""
    from embench.system import hearing_interrupts

    x, y = draw("binary")
    search = GridSearchCV(Stubborn(max_iter=2), {"alpha": [0.1, 1.0, 10.0]}, cv=2)
    began = time.monotonic()
    threading.Timer(0.5, os.kill, [os.getpid(), number]).start()
    with pytest.raises(KeyboardInterrupt), hearing_interrupts():
        search.fit(x, y)
    assert time.monotonic() - began < ANSWERED_S


def test_an_exception_in_a_callback_of_compiled_code_is_not_lost() -> None:
    """Compiled libraries cannot pass it on, print it and carry on with what they got: a number nobody computed."""
    from embench.system import fitting

    @ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
    def gradient(_: float) -> float:
        raise ValueError("no gradient")

    with pytest.raises(ValueError, match="no gradient"), fitting(1):
        gradient(1.0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_while_an_object_is_deleted_ends_nothing() -> None:
    """As of a library's finaliser that ran by chance during a fit."""
    from embench.system import fitting

    class Odd:
        def __del__(self) -> None:
            raise ValueError("at the end")

    with fitting(1):
        Odd()
        gc.collect()


APART = """
import signal, sys, time
import numpy as np
import embench.registry as registry
from embench import cli
cli.listing.list_kinds
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background inherits that it is ignored

def compiled():
    from sklearn.svm import SVC
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60_000, 40))
    y = rng.integers(0, 2, len(x))
    print("up", flush=True)
    SVC(C=1e6, cache_size=1).fit(x, y)

def carries_on():
    print("up", flush=True)
    for _ in range(2):
        try:
            time.sleep(40)
        except KeyboardInterrupt:
            pass

def deletes():
    class Slow:
        def __del__(self):
            print("up", flush=True)
            time.sleep(5)
    Slow()
    time.sleep(60)

registry.entries = lambda *_: {work}()
sys.exit(cli.main(["list"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("work", ["compiled", "carries_on", "deletes"])
def test_a_command(work: str, number: int) -> None:
    """A command in code that never returns to Python, in code that ignores one interrupt, and in a finaliser, where
    Python drops what is raised."""
    line = [sys.executable, "-c", APART.replace("{work}", work)]
    with subprocess.Popen(line, stdout=-1, stderr=-1, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(1)
        process.send_signal(number)
        try:
            _, said = process.communicate(timeout=ANSWERED_S)
        finally:
            process.kill()
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[signal.Signals(number)]
    assert process.returncode == 128 + number
    assert f"{word}; finished work is kept" in said


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_an_import_that_runs_a_string(number: int, tmp_path: Path) -> None:
    """As the import of a dataclass does: Python then ends with SIGINT, whatever the exit code."""
    path = tmp_path / "method.py"
    path.write_text(f"import os, time\nexec('os.kill(os.getpid(), {int(number)}); time.sleep(9)')\n")
    method = ["--encoder", f"{path}:Method", "--dataset", "amigos", "--data-root", str(tmp_path)]
    line = [sys.executable, "-m", "embench", "run", *method]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 128 + number, done.stderr
