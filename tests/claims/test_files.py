"""Claims as files: the bundled ones name what exists, wrong ones are refused by field, any package may bring some."""

import json
import warnings
from importlib.metadata import PackageNotFoundError, version

import pytest

from embench import protocols, registry
from embench.claims.examine import claim_pairs, measured_requests
from embench.claims.files import Claim, MeasuredClaim, installed_claims, read_claim, select_claims
from embench.data.cohort import card_for_protocol
from embench.errors import UsageError
from embench.interfaces.recipe import PRESETS
from embench.interfaces.recording import split_modality
from embench.planning.method import resolve_method

GOOD = """
id: A1
paper: acme2030
claim: One is better than the other.
both: {fusion: single, modalities: eda}
a: {encoder: cnn_tf}
b: {encoder: tcn}
direction: higher
protocol: wu2023-last
metric: accuracy
datasets:
  wesad: {targets: [stress], published: {stress: 0.1}}
"""

WEIGHTS = (
    "encoder[video].build.weights=random",
    *(f"encoder[eeg:{n}].build.weights=random" for n in ("labram", "cbramod", "biot", "eegpt", "luna", "reve")),
)
"""Those of the papers cannot be had here."""

BUNDLED = [claim for claim in installed_claims() if isinstance(claim, Claim)]


def test_every_bundled_file_is_read():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = installed_claims()
    assert {claim.paper for claim in found} == {
        "vazquez2022", "strizhkova2024", "woo2023", "wu2023", "chen2023", "gerster2026", "xu2025",
        "banville2026", "xiong2025", "guetschel2026", "singh2025", "quiroz2018",
    }  # fmt: skip
    ids = [claim.id for claim in found if claim.paper == "strizhkova2024"]
    assert ids.index("S2") < ids.index("S10")


@pytest.mark.parametrize("claim", BUNDLED, ids=lambda claim: claim.id)
@pytest.mark.filterwarnings("ignore:.*starts from random weights")
def test_what_a_bundled_claim_names_exists(claim):
    """Protocol, metric, targets; and every side is a method that the planner accepts, at every preset."""
    assert claim.metric in registry.list_plugins("metric")
    rules = protocols.load_protocol(claim.protocol)
    for dataset in (*claim.datasets, *claim.elsewhere):
        card = card_for_protocol(rules, registry.load_plugin("dataset", dataset).card)
        assert set(claim.place(dataset).targets) <= {target.name for target in card.targets}
        for preset in PRESETS:
            options = {"recipe": preset, "seeds": "0", "settings": WEIGHTS}
            (pair,) = claim_pairs([claim], [dataset], ["paper"], options)
            for side in (pair.a, pair.b):
                if not _is_there(side, card):
                    continue
                method = resolve_method(side, card, list(card.modalities), "cpu")
                assert method.preset == preset
                assert [p.part.short for p in method.pretraining] or not side.pretrainers


MEASURED = [claim for claim in installed_claims() if isinstance(claim, MeasuredClaim)]


@pytest.mark.parametrize("claim", MEASURED, ids=lambda claim: claim.id)
@pytest.mark.filterwarnings("ignore:.*starts from random weights")
def test_every_run_of_a_measured_claim_is_a_method_that_the_planner_accepts(claim):
    for dataset in claim.datasets:
        for request in measured_requests(
            claim, dataset, {"seeds": "0", "recipe": "paper", "settings": WEIGHTS}
        ).values():
            card = card_for_protocol(
                protocols.load_protocol(request.protocol), registry.load_plugin("dataset", dataset).card
            )
            assert set(claim.datasets[dataset].targets) <= {target.name for target in card.targets}
            if _is_there(request, card):
                assert resolve_method(request, card, list(card.modalities), "cpu").preset == "paper"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("measure: gap", "measure: size"), "`measure` is size, expected one of cases"),
        (("  two: {encoder: tcn}\n", ""), "gap takes 2 runs, but the claim has 1"),
        (("two: {encoder: tcn}", "two: {}"), "run two has no encoder"),
        (("two: {encoder: tcn}", "two: {encodr: tcn}"), "encodr: unknown key"),
        (("metric: accuracy", "metric: accuracy\nby: stress"), "`by` applies only to by_subject, "),
        (("measure: gap\nruns:\n  one: {encoder: cnn_tf}\n", "measure: gap_by_label\nruns:\n"), "`by` is missing"),
        (("measure: gap\n", "measure: gap\nmargin: 0\n"), "margin"),
        (("metric: accuracy", "metric: accuracy\npublished: {a: 0.1, b: 0.2, c: 0.3}"), "published"),
    ],
)
def test_a_wrong_measured_claim_is_refused(tmp_path, change, text):
    good = """
id: A1
paper: acme2030
claim: One is higher.
measure: gap
runs:
  one: {encoder: cnn_tf}
  two: {encoder: tcn}
protocol: wu2023
metric: accuracy
datasets: {wesad: {targets: [stress]}}
"""
    claim = read_claim(write(tmp_path, good))
    assert isinstance(claim, MeasuredClaim)
    assert claim.published_value is None
    with pytest.raises(UsageError, match="claim") as error:
        read_claim(write(tmp_path, good.replace(*change)))
    assert text in str(error.value)


def _is_there(request, card):
    """Whether this version has the plugins and their libraries, and the reader the modalities."""
    plugins = [("encoder", name.rpartition("=")[2]) for name in request.encoders]
    plugins += [("pretrainer", text.partition(":")[0]) for text in request.pretrainers]
    read = [name for modality in request.modalities.split(",") for name in split_modality(modality)]
    if not (all(name in registry.list_plugins(kind) for kind, name in plugins) and set(read) <= set(card.modalities)):
        return False
    needed = {
        library for kind, name in plugins if kind == "encoder" for library in registry.load_plugin(kind, name).libraries
    }
    try:
        return all(version(library) for library in needed)
    except PackageNotFoundError:
        return False


def write(folder, text, paper="acme2030", name="A1"):
    path = folder / "claims" / paper / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_sides_are_made_of_what_both_have_the_dataset_and_their_own(tmp_path):
    text = GOOD.replace(
        "published: {stress: 0.1}}", "both: {modalities: temp}, b: {encoder: cnn_mlp, set: encoder.lr=1e-3}}"
    )
    claim = read_claim(write(tmp_path, text))
    assert claim.options("a", "wesad") == {"fusion": "single", "modalities": "temp", "encoder": ("cnn_tf",)}
    assert claim.options("b", "wesad") == {
        "fusion": "single",
        "modalities": "temp",
        "encoder": ("cnn_mlp",),
        "set": ("encoder.lr=1e-3",),
    }
    assert claim.options("b", "case")["encoder"] == ("tcn",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("metric: accuracy", "metrik: accuracy"), "metrik: unknown key"),
        (("a: {encoder: cnn_tf}", "a: {encodr: cnn_tf}"), "a.encodr: unknown key"),
        (("direction: higher", "direction: better"), "direction"),
        (("a: {encoder: cnn_tf}", "a: {encoder: tcn}"), "a and b are equal on wesad"),
        (("a: {encoder: cnn_tf}", "a: {}"), "no encoder on wesad"),
        (("published: {stress: 0.1}", "published: {arousal: 0.1}"), "arousal, which `targets` does not contain"),
        (("published: {stress: 0.1}", "published: {stress: 10 points}"), "published.stress"),
        (("id: A1", "id: A2"), "claim A2"),
        (("datasets:\n  wesad: {targets: [stress], published: {stress: 0.1}}", "datasets: {}"), "datasets"),
        (("claim: One is", "claim: One: is"), "cannot read the file"),
    ],
)
def test_a_wrong_file_is_refused_by_field(tmp_path, change, text):
    assert change[0] in GOOD
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(UsageError, match="claim") as error:
        read_claim(path)
    assert text in str(error.value)
    assert str(path) in str(error.value)


def test_a_claim_says_why_it_is_not_tested(tmp_path):
    text = "id: A2\npaper: acme2030\nclaim: People like it.\nnot_tested: Nobody asked them.\n"
    assert read_claim(write(tmp_path, text, name="A2")).not_tested == "Nobody asked them."
    with pytest.raises(UsageError, match="metric: unknown key"):
        read_claim(write(tmp_path, text + "metric: accuracy\n", name="A2"))


def test_another_package_brings_claims_and_a_broken_one_costs_itself_alone(acme):
    write(acme, GOOD)
    broken = write(acme, "id: A3\n", name="A3")
    with pytest.warns(UserWarning, match="a claim is excluded") as caught:
        (found,) = select_claims("acme2030", ())
    assert str(broken) in str(caught[0].message)
    assert found.claim == "One is better than the other."
    with pytest.warns(UserWarning, match="excluded"):
        assert {claim.paper for claim in select_claims(None, ())} > {"acme2030", "wu2023"}


def test_names_that_are_not_there_are_answered_with_the_nearest():
    with pytest.raises(UsageError, match="wu2032") as error:
        select_claims("wu2032", ())
    assert "wu2023" in error.value.hint
    with pytest.raises(UsageError, match="W11") as error:
        select_claims("woo2023", ("W11",))
    assert "W1" in error.value.hint


def test_settings_of_a_modalitys_encoder_reach_the_sides_that_read_it():
    (claim,) = select_claims("strizhkova2024", ("S5",))
    named = ("encoder[video].build.drop_path=0.0", "fusion.epochs=3")
    (pair,) = claim_pairs([claim], ["amigos"], ["paper"], {"settings": named, "seeds": "0"})
    assert pair.a.settings == ("fusion.epochs=3",)
    assert pair.b.settings == named
    (claim,) = select_claims("vazquez2022", ("V8",))
    (pair,) = claim_pairs([claim], ["amigos"], ["paper"], {"settings": named, "seeds": "0"})
    assert pair.b.settings == ("encoder.build.layers=0", "fusion.epochs=3")


def test_weights_of_one_encoder_reach_the_side_that_starts_from_them():
    """The other side has no such setting, and would be refused."""
    (claim,) = select_claims("banville2026", ("N1",))
    named = ("encoder[eeg:cbramod].build.weights=w", "encoder[eeg:labram].build.weights=x", "encoder[eeg].batch=8")
    (pair,) = claim_pairs([claim], ["eegmat"], ["paper"], {"settings": named, "seeds": "0"})
    assert pair.a.settings == (*claim.a.stated["set"], "encoder[eeg].build.weights=w", "encoder[eeg].batch=8")
    assert pair.b.settings == (*claim.b.stated["set"], "encoder[eeg].batch=8")


def test_without_a_paper_the_command_lists_and_plans_nothing(embench, tmp_path, monkeypatch):
    monkeypatch.setattr("embench.claims.examine.claim_pairs", None)
    (tmp_path / "amigos").mkdir()
    out = " ".join(embench("claims", "--data-root", tmp_path).out.split())
    assert "W1 Attention between modalities raises accuracy. on amigos" in out
    assert "requires wesad or case or k_emocon" in out
    assert "not yet in embench" in out
    assert "embench claims strizhkova2024 --recipe quick --dry-run" in out  # the first paper whose data are there
    rows = json.loads(embench("claims", "--data-root", tmp_path, "--json").out)
    found = {(row["paper"], row["id"]): row for row in rows}
    assert found["woo2023", "W1"]["here"] == ["amigos"]
    assert found["wu2023", "U1"]["here"] == []


def test_all_stands_for_every_paper(embench, monkeypatch):
    chosen = []
    monkeypatch.setattr("embench.claims.files.select_claims", lambda paper, ids: chosen.append((paper, ids)) or [])
    assert embench("claims", "all", "--dry-run").code == 0
    assert chosen == [(None, ())]
