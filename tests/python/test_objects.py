"""Objects as methods: what they score, that nothing of them is shared between folds, and what is refused."""

import copy
import inspect

import numpy as np
import pytest
import torch
import yaml
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

import embench
from embench.cli import main
from embench.errors import CheckFailed, PluginError, UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.tokens import Tokens
from embench.interfaces.units import View
from embench.leaderboard.entries import explain_unpublishable
from embench.python.networks import estimator_class, needs_imputing, weight_parameter
from embench.python.running import plugin_name
from embench.records.record import read_manifest, read_scores
from embench.registry import catalogue
from embench.runs import guards
from embench.testing import check_encoder, check_estimator
from embench.testing.encoders import check_encoder_input

from ..tiny.world import plugin

PIPELINE = make_pipeline(
    SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), LogisticRegression(max_iter=2000)
)


def small(channels, samples):  # noqa: ARG001  what every such function is given
    return nn.Sequential(nn.Conv1d(channels, 4, 9, stride=4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())


def options(bench, **more):
    return {
        "dataset": plugin("Tiny"), "data_root": bench.data, "runs": bench.runs, "target": "arousal", "seeds": 0,
        "device": "cpu", "workers": 1, **more,
    }  # fmt: skip


@pytest.fixture
def features(shared):
    return options(shared, encoder=plugin("Moments"), modalities="ecg,eda")


@pytest.mark.slow
def test_a_pipeline_gives_the_predictions_of_the_same_bundled_method(features):
    given = embench.run(fusion=PIPELINE, **features)
    named = embench.run(fusion="logreg", set="fusion.class_weight=none", **features)
    one, other = (result.to_pandas("predictions") for result in (given, named))
    assert one.equals(other)
    assert given.scores["scores"] == named.scores["scores"]
    assert given.id != named.id


@pytest.mark.slow
def test_a_pipeline_scored_inside_has_the_digits_of_score(features, tmp_path):
    inside = embench.run(fusion=PIPELINE, **features)
    predictions = inside.to_pandas("predictions")[["subject", "recording", "unit", "target", "seed", "score"]]
    again = embench.score(
        predictions, plugin("Tiny"), data_root=features["data_root"], out=tmp_path / "out", name="mine"
    )
    assert dict(again.scores.content) == dict(inside.scores.content)
    predictions.to_csv(tmp_path / "mine.csv", index=False)
    line = ["score", tmp_path / "mine.csv", "--dataset", plugin("Tiny"), "--data-root", features["data_root"]]
    assert main([str(word) for word in [*line, "--out", tmp_path / "cli", "--name", "mine"]]) == 0
    assert read_scores(tmp_path / "cli") == again.scores


@pytest.mark.slow
def test_equal_objects_share_stages_and_others_do_not(features, shared):
    embench.run(fusion=PIPELINE, **features)
    before = shared.stages()
    embench.run(fusion=make_pipeline(*(step for _, step in PIPELINE.steps)), **features)
    assert shared.stages() == before
    embench.run(fusion=PIPELINE.set_params(logisticregression__C=0.5), **features)
    assert shared.stages() > before
    PIPELINE.set_params(logisticregression__C=1.0)


@pytest.mark.slow
def test_a_fitted_estimator_is_the_same_as_a_fresh_one(features):
    fresh = embench.run(fusion=LogisticRegression(), **features)
    fitted = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    assert embench.run(fusion=fitted, **features).id == fresh.id


@pytest.mark.slow
def test_a_forest_is_seeded_by_its_stage(features):
    forest = RandomForestClassifier(5)
    first = embench.run(fusion=forest, **features)
    assert forest.random_state is None
    seeded = estimator_class(forest)(Recipe(), seed=7)
    seeded.fit(np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2.0, np.zeros(20), np.ones(20))
    assert {
        tree.random_state for tree in [seeded._model[-1] if hasattr(seeded._model, "steps") else seeded._model]
    } == {7}
    assert embench.run(fusion=RandomForestClassifier(5), **features).scores == first.scores


@pytest.mark.slow
def test_workers_give_what_this_process_gives(bench, tmp_path):
    made = options(bench, modalities="eda", recipe="quick")
    alone = embench.run(encoder=embench.make_encoder(small, window_s=4), **made)
    others = embench.run(
        encoder=embench.make_encoder(small, window_s=4), **{**made, "workers": 2, "runs": tmp_path / "others"}
    )
    assert alone.to_pandas("predictions").equals(others.to_pandas("predictions"))
    assert alone.id == others.id
    assert alone.id.startswith("small-single-")
    (about,) = alone.manifest["objects"].values()
    assert about["source"][0].startswith("def small(channels, samples):")


class Argmax(nn.Module):
    def forward(self, x):
        return x.argmax(1, keepdim=True)


class Mine(Encoder):
    accepts = frozenset({"ecg", "eda"})
    recipes = dict.fromkeys(PRESETS, Recipe(epochs=1, view=View("window", 4.0, 4.0)))

    def build(self, spec):
        return Mean(spec.shape[0])


class Mean(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.linear = nn.Linear(channels, 4)

    def forward(self, x, mask=None):
        return Tokens(self.linear(x.mean(2))[:, None])


@pytest.mark.slow
def test_classes_of_plugins_and_names_mix(bench, capsys):
    made = options(bench, modalities=["ecg", "eda"], recipe="quick")
    result = embench.run(encoder={"ecg": Mine, "eda": plugin("Pool")}, fusion="late", **made)
    noted = capsys.readouterr().err
    assert "note on your encoder Mine: the network reads masked samples" in noted
    assert "zero the masked samples before the first layer: `x = embench.nn.hide(x, mask)`" in noted
    method = result.manifest["method"]
    assert method["encoders"]["ecg"].endswith(":Mine")
    assert method["encoders"]["eda"].endswith("plugins.py:Pool")
    assert result.manifest["conformance"]["encoder[ecg]"]["id"] == "failed_check"


@pytest.mark.slow
def test_the_record_says_what_the_object_was_and_no_board_takes_it(features, tmp_path, capsys):
    result = embench.run(fusion=PIPELINE, **features)
    run = yaml.safe_load((result.folder / "run.yaml").read_text())
    (about,) = run["objects"].values()
    assert "LogisticRegression(max_iter=2000)" in about["repr"]
    assert any(
        "code or files that nobody else has" in why for why in explain_unpublishable(read_manifest(result.folder))
    )
    catalogue._GIVEN.clear()  # as in another process
    assert main(["run", "--from", str(result.folder), "--data-root", str(features["data_root"])]) == 2
    assert "is an object of another Python process" in capsys.readouterr().err
    assert main(["report", str(result.folder), "--out", str(tmp_path / "r.html")]) == 1
    assert embench.write_report(result, tmp_path / "r.html").is_file()  # made by this process


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"encoder": nn.Linear(2, 2)}, "a network that exists already"),
        ({"encoder": small}, "embench.make_encoder"),
        ({"encoder": Mine(Recipe())}, "the class itself"),
        ({"fusion": LinearSVC()}, "CalibratedClassifierCV"),
        ({"fusion": LogisticRegression}, r"LogisticRegression\(\)"),
        ({"fusion": StandardScaler()}, "not a fusion|neither"),
        ({"fusion": CalibratedClassifierCV(FrozenEstimator(LogisticRegression()))}, "fitted already"),
        ({"fusion": 3}, "a int is not a fusion"),
        ({"fusion": Ridge()}, "cannot predict two classes"),
        ({"fusoin": "late"}, "fusion"),
        ({"seeds": "x"}, "seeds="),
        ({"fusion": "object:00000000000000000000:Net"}, "object of another Python process"),
    ],
)
def test_what_cannot_be_run_is_refused_in_pythons_words(features, wrong, said):
    with pytest.raises(UsageError, match=f"(?s){said}") as caught:
        embench.run(**{**features, "fusion": "logreg", **wrong})
    assert "--" not in str(caught.value)


def test_a_network_that_make_returns_again_is_refused(bench):
    def hidden():
        kept = []

        def make(channels, samples):
            if not kept:
                kept.append(small(channels, samples))
            return kept[0]

        return make

    encoder = embench.make_encoder(hidden(), window_s=4)
    instance = encoder(encoder.recipes["quick"])
    from embench.testing.require import rows

    spec = rows(instance, "eda").spec
    instance.build(spec)
    with pytest.raises(PluginError, match="for the second time"):
        encoder(encoder.recipes["quick"]).build(spec)
    with pytest.raises(UsageError, match="exists already"):
        embench.run(encoder=encoder, **options(bench, modalities="eda"))
    with pytest.raises(UsageError, match="exists already"):
        embench.make_encoder(small(1, 8))


@pytest.mark.slow
def test_what_a_network_raises_is_said_to_be_its_own_with_file_and_line(bench):
    encoder = embench.make_encoder(lambda c, t: nn.Sequential(nn.Flatten(), nn.Linear(c * t + 1, 4)), name="mine")
    line = inspect.getsourcelines(vars(encoder)["make"].__func__)[1]
    with pytest.raises(PluginError, match=r"encoder mine failed in .* shapes cannot be multiplied") as caught:
        embench.run(encoder=encoder, **options(bench, modalities="eda"))
    assert f"{__file__}:{line}" in str(caught.value.where)


class EEGNet(nn.Sequential):
    pass


def test_objects_are_named_after_all_that_they_are():
    named = {
        "SimpleImputer-StandardScaler-LogisticRegression": PIPELINE,
        "GSCV-SI-SS-LogisticRegression": GridSearchCV(PIPELINE, {"logisticregression__C": [1]}),  # too long otherwise
        "RandomForestClassifier": make_pipeline("passthrough", RandomForestClassifier()),
    }
    assert [estimator_class(model).__name__ for model in named.values()] == list(named)


def test_a_network_without_a_name_is_called_after_its_class():
    def make(channels, samples):
        return EEGNet(small(channels, samples))

    before = torch.get_rng_state()
    assert embench.make_encoder(lambda channels, samples: EEGNet(small(channels, samples))).__name__ == "EEGNet"
    assert embench.make_encoder(make).__name__ == "EEGNet"
    assert embench.make_encoder(small).__name__ == "small"
    assert embench.make_encoder(lambda *_: nn.Sequential(nn.Flatten())).__name__ == "network"  # of torch's own layers
    assert embench.make_encoder(small, name="my-net").__name__ == "my-net"
    assert embench.make_encoder(lambda *_: 1 / 0).__name__ == "network"
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "modalities"),
    [(PIPELINE, "ecg,eda"), (embench.make_encoder(small, window_s=4), "eda")],
    ids=["pipe", "net"],
)
def test_benchmark_names_a_row(bench, model, modalities):
    more = {"data_root": bench.data, "runs": bench.runs, "modalities": modalities, "seeds": 0, "recipe": "quick"}
    result = embench.benchmark(model, plugin("Tiny"), target="arousal", workers=1, name="night-shift", **more)
    assert "night-shift" in result.id
    (about,) = (a for name, a in result.manifest["objects"].items() if name.endswith(":night-shift"))
    assert "max_iter=2000" in about["repr"] or "embench.make_encoder(night-shift)" in about["repr"]
    assert embench.open_result(result.folder).id == result.id


@pytest.mark.parametrize("name", ["", "two words", "../up", "1st", "a" * 49, "a:b"])
def test_a_name_that_no_id_can_hold_is_refused(name):
    for model in (PIPELINE, embench.make_encoder(small)):
        with pytest.raises(UsageError, match="is not a valid name"):
            embench.benchmark(model, "amigos", name=name)
    with pytest.raises(UsageError, match="is not a valid name"):
        embench.make_encoder(small, name=name)


def test_a_plugin_keeps_its_name():
    with pytest.raises(UsageError, match="already has a name"):
        embench.benchmark("logreg", "amigos", name="mine")


class OneChannel(nn.Module):
    """For one channel alone, as a network for one's own data is; it prints, and computes in double precision."""

    def __init__(self, channels, samples):
        super().__init__()
        print("made for", channels, samples)
        self.conv, self.out = nn.Conv1d(1, 4, 9, stride=4, dtype=torch.float64), nn.Linear(4, 4)

    def forward(self, x):
        return self.out(self.conv(x).mean(2)).double()


def test_an_object_is_checked_on_the_input_of_this_run(shared, capfd):
    cls = embench.make_encoder(OneChannel, window_s=4)
    plan = shared.plan(plugin_name("encoder", cls), modalities="ecg")
    part = plan.method.encoders["ecg"]
    assert (
        guards.check_object("encoder", part.name, part.recipe, guards.describe_input(plan, "encoder[ecg]")) == "passed"
    )
    assert "made for" not in capfd.readouterr().out
    with pytest.raises(CheckFailed, match="expected input"):
        check_encoder_input(cls, cls.recipes["small"], "acc", ("x", "y", "z"), 128.0)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(1, 4).half()], "the weights of layer `2` are torch.float16"),
        ([nn.Flatten(), nn.Softmax(1), Argmax()], r"returns torch.int64, from layer `2 \(Argmax\)`"),
    ],
)
def test_another_dtype_is_named_with_its_layer(layers, words):
    def make(channels, samples):  # noqa: ARG001  what every such function is given
        return copy.deepcopy(nn.Sequential(*layers))

    cls = embench.make_encoder(make, window_s=4, name="calibration_data")
    with pytest.raises(CheckFailed, match=words):
        check_encoder_input(cls, cls.recipes["small"], "ecg", ("left",), 128.0)


def test_wrapped_objects_conform():
    check_estimator(estimator_class(PIPELINE))
    check_estimator(estimator_class(HistGradientBoostingClassifier(max_iter=5)))
    check_estimator(estimator_class(Ridge()))
    check_encoder(embench.make_encoder(small, window_s=4))


def test_missing_values_are_imputed_only_where_nothing_else_takes_them():
    assert needs_imputing(LogisticRegression())
    assert needs_imputing(make_pipeline(StandardScaler(), LogisticRegression()))
    assert not needs_imputing(PIPELINE)
    assert not needs_imputing(GridSearchCV(PIPELINE, {"logisticregression__C": [1]}))
    assert not needs_imputing(make_pipeline(StandardScaler(), HistGradientBoostingClassifier()))
    assert weight_parameter(PIPELINE) == "logisticregression__sample_weight"
    assert weight_parameter(make_pipeline(StandardScaler(), GridSearchCV(LogisticRegression(), {"C": [1]}))) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: embench.run(dataset="deap", model="svm"), 'fusion="logreg"'),
        (lambda: embench.run(dataset="deap", encoder=LinearSVC()), r'encoder="handcrafted", fusion=LinearSVC\(\.\.\)'),
        (lambda: embench.run(dataset="deap", encoder=LinearSVC), r'encoder="handcrafted", fusion=LinearSVC\(\.\.\)'),
        (lambda: embench.benchmark(small, "deap"), r"pass embench\.make_encoder\(small\) as the encoder"),
        (lambda: embench.run(dataset="deap", encoder="logreg"), "encoder=handcrafted fusion=logreg"),
    ],
)
def test_words_and_objects_in_the_wrong_place_are_answered_with_the_right_ones(call, words):
    with pytest.raises(UsageError, match=words):
        call()
