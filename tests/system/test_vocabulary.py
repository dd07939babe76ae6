"""The vocabulary names what records, tables and pages show, and its banned forms find what they should."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from embench import registry, vocabulary
from embench.statistics import CONDITIONED_NEEDS, metric_facts
from embench.statistics.conditioned import BY_MOMENT, BY_TIME, CONDITIONED, OF_VALUES
from embench.statistics.confound_only import CONFOUND_ONLY, PROTOCOL_PHASE, STIMULUS_MOMENT
from embench.statistics.confound_test import CONFOUND_LEVELS

TERMS = [term for known in vocabulary.sections().values() for term in known.values()]
FORMS = [pytest.param(form, id=f"{term.id}: {form.hit}") for term in TERMS for form in term.banned]
SECTION = {"metric": "metrics", "modality": "modalities", "pretrainer": "pretrainers"}
"""Kind of a plugin -> the section of its names; encoders and fusions are methods."""


@pytest.mark.parametrize("banned", FORMS)
def test_a_banned_form_finds_its_example_and_not_the_similar_sentence(banned: vocabulary.BannedForm) -> None:
    form = re.compile(banned.form, re.IGNORECASE)
    assert form.search(banned.hit)
    assert not form.search(banned.non_hit)


def test_every_bundled_name_has_a_label() -> None:
    kinds = ("encoder", "fusion", "metric", "modality", "pretrainer")
    named = [(e.kind, e.name) for e in registry.entries() if e.kind in kinds and e.package == registry.BUNDLED]
    named += [("modality", m.name) for m in registry.modalities() if m.package == registry.BUNDLED]
    assert len(named) > 50
    assert [pair for pair in named if pair[1] not in vocabulary.terms(SECTION.get(pair[0], "methods"))] == []


def test_every_score_model_and_level_of_a_record_has_a_label() -> None:
    metrics, models, levels = (vocabulary.terms(section) for section in ("metrics", "models", "levels"))
    assert {*CONDITIONED, *OF_VALUES, *BY_MOMENT, *BY_TIME, *CONDITIONED_NEEDS} <= metrics.keys()
    assert {*CONFOUND_ONLY, PROTOCOL_PHASE, STIMULUS_MOMENT} <= models.keys()
    assert set(CONFOUND_LEVELS) <= levels.keys()


def test_a_name_of_a_record_is_shown_by_its_label_and_an_unknown_one_by_its_words() -> None:
    assert vocabulary.label("auroc_crossed_matched") == "Time-matched AUROC"
    assert vocabulary.label("protocol_phase") == vocabulary.label("protocol_phase")
    assert vocabulary.label("embench_plugins/svm") == "SVM"
    assert vocabulary.label("acme/own_metric") == "acme/own metric"
    assert vocabulary.definition("acme/own_metric") == ""
    assert metric_facts("auroc_within").title == metric_facts("embench_plugins/auroc_within").title


def test_a_definition_is_one_line_without_a_banned_form() -> None:
    forms = [re.compile(banned.form, re.IGNORECASE) for term in TERMS for banned in term.banned if not banned.only_in]
    assert [term.id for term in TERMS if not term.definition or "\n" in term.definition] == []
    shown = [text for term in TERMS for text in (term.label, term.definition)]
    assert [text for text in shown if any(form.search(text) for form in forms)] == []


def test_the_vocabulary_waits_for_no_heavy_library() -> None:
    code = (
        "import sys, embench.vocabulary as v; v.label('svm'); print(*{'numpy', 'torch', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
