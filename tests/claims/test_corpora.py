"""Pretraining corpora of a paper: used where they are present; otherwise the paper's page says what was used."""

from __future__ import annotations

import pytest
import yaml

from embench.claims.corpora import describe_pretraining
from embench.claims.examine import claim_pairs, measured_requests
from embench.claims.files import printed_tables, select_claims
from embench.claims.page import requests_of_tables
from embench.planning.method import resolve_method
from embench_plugins.datasets.own import synthetic

ALL = "amigos/all"
PAPER = "the paper's split"
CORPUS = f"masked_value:corpus+{ALL}"


@pytest.fixture
def corpus(tmp_path):
    """A data root with a corpus of ECG and EEG."""
    synthetic.synthesize_corpus(tmp_path / "corpus", subjects=2, seed=0, effect=1.0, length_s=12)
    return tmp_path


def keep_only(root, modality):
    """Leave one modality in the description of the corpus."""
    path = root / "corpus" / "dataset.yaml"
    content = yaml.safe_load(path.read_text())
    content["recordings"] = [part for part in content["recordings"] if modality in part["signals"]]
    path.write_text(yaml.safe_dump(content))


def pretrainers(root):
    return {
        each.row.row: each.by_split[PAPER].pretrainers
        for each in requests_of_tables("vazquez2022", ALL, {"data_root": root})
    }


def notes(root, *claims):
    return describe_pretraining(printed_tables("vazquez2022")[0].rows, select_claims("vazquez2022", claims), ALL, root)


def test_rows_with_pretraining_use_the_corpora_that_are_present(corpus):
    assert pretrainers(corpus) == {
        "EEG, pre-train: no": (),
        "EEG, pre-train: yes": (CORPUS,),
        "ECG": (CORPUS,),
        "fused, pre-train: yes": (CORPUS,),
        "fused, pre-train: no": (),
    }
    eeg, ecg = notes(corpus, "V1")
    assert eeg == (
        "EEG, pre-train: yes, fused, pre-train: yes, claim V1: pretrained on eeg of the training part of amigos/all "
        "and of `corpus`."
    )
    assert ecg.startswith("ECG, fused, pre-train: yes: pretrained on ecg ")


def test_without_corpora_the_page_says_what_a_row_is_pretrained_on(tmp_path):
    assert pretrainers(tmp_path)["EEG, pre-train: yes"] == ("masked_value",)
    eeg, _ = notes(tmp_path, "V1")
    assert "of the training part of amigos/all alone, not on the paper's corpora: no `corpus` with eeg is below" in eeg


def test_a_corpus_of_one_modality_serves_this_one_alone(corpus):
    keep_only(corpus, "eeg")
    found = pretrainers(corpus)
    assert (found["EEG, pre-train: yes"], found["ECG"]) == ((CORPUS,), ("masked_value",))
    assert found["fused, pre-train: yes"] == ("ecg=masked_value", f"eeg={CORPUS}")
    eeg, ecg = notes(corpus)
    assert "and of `corpus`" in eeg
    assert "no `corpus` with ecg" in ecg
    (fused,) = (r.by_split[PAPER] for r in requests_of_tables("vazquez2022", ALL, {"data_root": corpus})
                if r.row.row == "fused, pre-train: yes")  # fmt: skip
    method = resolve_method(fused, fused.card, ["ecg", "eeg"], "cpu")
    assert [(step.modality, len(step.sources)) for step in method.pretraining] == [("ecg", 0), ("eeg", 1)]


def test_claims_use_the_corpora_and_the_comparison_with_the_training_part_stays(corpus):
    options = {"data_root": corpus, "seeds": "0"}
    (v1, v7) = claim_pairs(select_claims("vazquez2022", ("V1", "V7")), [ALL], ["paper"], options)
    assert (v1.a.pretrainers, v1.b.pretrainers) == ((CORPUS,), ())
    assert (v7.a.pretrainers, v7.b.pretrainers) == ((CORPUS,), ("masked_value",))
    (v6,) = select_claims("vazquez2022", ("V6",))
    assert {request.pretrainers for request in measured_requests(v6, ALL, options).values()} == {(CORPUS,)}
