"""Reading `registry.yaml` fragments: found without importing, faults told, nothing in the way of anything else."""

import subprocess
import sys

import pytest

from embench import registry

BUNDLED_KINDS = {"dataset", "encoder", "pretrainer", "fusion", "metric"}


def test_bundled_plugins_come_in_by_the_entry_point():
    found = registry.entries()
    assert {e.kind for e in found} >= BUNDLED_KINDS
    assert {e.package for e in found} == {"embench_plugins"}
    assert not [e for e in found if e.broken]


def test_outside_package_is_listed_beside_the_bundled_ones(acme):
    plain = registry.find("encoder", "plain")
    assert plain.full_name == "embench_acme/plain"
    assert (plain.version, plain.revision, plain.modalities) == ("1.2.0", 3, ("eda", "ppg"))
    assert plain.source == acme / "registry.yaml"
    assert "cnn_tf" in registry.list_plugins("encoder")


def test_listing_imports_no_package(site, installing):
    for name in ("embench_acme", "embench_broken"):
        installing.install(name, site)
    program = (
        "import sys; from embench import registry; registry.entries(); print(registry.origin(registry.find('encoder',"
        " 'embench_acme/cnn_tf'))); print([m for m in sys.modules if m.startswith(('embench_', 'torch', 'numpy'))])"
    )
    path = f"import sys; sys.path.insert(0, {str(site)!r}); "
    done = subprocess.run([sys.executable, "-c", path + program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].endswith("encoders.py:14")
    assert done.stdout.splitlines()[1] == "[]"


def test_editable_install_is_found_through_its_pth(site, installing):
    import site as python_site

    installing.install("embench_acme", site, editable=True)
    before = list(sys.path)
    try:
        python_site.addsitedir(str(site))
        registry.refresh()
        assert registry.find("encoder", "plain").source == installing.HERE / "embench_acme/embench_acme/registry.yaml"
    finally:
        sys.path[:] = before


def test_package_below_a_namespace_is_found_without_importing_its_parents(site, installing):
    inner = site / "acme_space" / "emotions"
    inner.mkdir(parents=True)
    (site / "acme_space" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    fragment = "metric:\n  m: {target: 'acme_space.emotions.m:M', revision: 1, summary: s}\n"
    (inner / "registry.yaml").write_text(fragment)
    installing.write(site, "acme-space", "1", {"plugins": "acme_space.emotions"})
    registry.refresh()
    assert registry.find("metric", "m").full_name == "acme_space.emotions/m"


@pytest.mark.usefixtures("acme")
@pytest.mark.usefixtures("broken")
def test_broken_entries_are_listed_with_what_is_wrong_and_others_work():
    problems = {(e.kind, e.name): e.broken for e in registry.entries() if e.broken}
    assert "did you mean encoder" in problems["package", "embench_broken"]
    assert "did you mean summary" in problems["encoder", "unknown_field"]
    assert registry.load_plugin("encoder", "plain").__name__ == "Plain"
    assert "unknown_field" not in registry.list_plugins("encoder")


GOOD = "{target: 'embench_other.m:M', revision: 1, summary: s}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a list", "not a mapping of kinds"),
        ("encoder: [a]", "not a mapping of names"),
        ("encoder: {a: [", "is not YAML"),
        ("encoder:\n\ta: 1", "line 2 is not YAML"),
        (f"api: 2\nencoder: {{a: {GOOD}}}", "`api` is 2, and embench"),
        (f"api: one\nencoder: {{a: {GOOD}}}", "write `api: 1`"),
        ("encoder: {a: {target: m:C, revision: 1, summary: ''}}", "`summary` is missing"),
        (f"encoder:\n  twice: {GOOD}\n  twice: {GOOD}", "twice` appears twice"),
        ("encoder: {a: 1}", "not a mapping of fields"),
        ("encoder: {a: {target: m:C, revision: 1}}", "`summary` is missing"),
        ("encoder: {a: {target: just_a_module, revision: 1, summary: s}}", "expected `module:Class`"),
        ("encoder: {a: {target: 'm:C', revision: yes, summary: s}}", "expected an integer"),
        ("encoder: {a: {target: 'm:C', revision: 0, summary: s}}", "expected an integer"),
        ("encoder: {a: {target: 'm:C', revision: 1, summary: s, modalities: eda}}", "expected a list of names"),
        ("encoder: {'a=b': {target: 'm:C', revision: 1, summary: s}}", "a name consists of letters"),
        ("encoder: {a: {target: 'm:C', revision: 1, summary: s, synthesizer: 'm:f'}}", "unknown field `synthesizer`"),
        ("dataset: {a: {target: 'm:C', revision: 1, summary: s, synthesiser: 'm:f'}}", "did you mean synthesizer"),
        ("dataset: {a: {target: 'm:C', revision: 1, summary: s, synthesizer: m}}", "expected `module:function`"),
        ("dataset: {a: {target: 'm:C', revision: 1, summary: s, hours: long}}", "`hours` is 'long', expected a number"),
        ("dataset: {a: {target: 'm:C', revision: 1, summary: s, address: 5}}", "expected text"),
        ("encoder: {a: {target: 'm:C', revision: 1, summary: s, hours: 5}}", "unknown field `hours`"),
        (f"dataset: {{a: {{{GOOD[1:-1]}, modalities: [ppg], sites: {{ppg: wirst}}}}}}", "did you mean wrist"),
        (
            f"dataset: {{a: {{{GOOD[1:-1]}, modalities: [ppg], sites: {{eda: wrist}}}}}}",
            "'eda', which `modalities` does not contain",
        ),
        (f"dataset: {{a: {{{GOOD[1:-1]}, sites: wrist}}}}", "`sites` is 'wrist', expected a mapping"),
        (f"dataset: {{a: {{{GOOD[1:-1]}, asks: stress}}}}", "`asks` is 'stress', expected a mapping"),
        (
            f"dataset: {{a: {{{GOOD[1:-1]}, asks: {{t: {{question: q}}}}}}}}",
            "requires `question` and `labels`",
        ),
        (f"dataset: {{a: {{{GOOD[1:-1]}, asks: {{t: {{question: 5, labels: task}}}}}}}}", "is 5, expected text"),
        (f"dataset: {{a: {{{GOOD[1:-1]}, asks: {{t: {{question: q, labels: tsk}}}}}}}}", "did you mean task"),
        ("encoder: {a: {target: 'm:C', revision: 1, summary: s, features: 5}}", "expected true or false"),
        ("metric: {a: {target: 'm:C', revision: 1, summary: s, features: true}}", "unknown field `features`"),
        ("encoder: {a: {target: 'm:C', revision: 1, summary: s, ranks: true}}", "unknown field `ranks`"),
    ],
)
def test_faults_of_a_fragment_are_named(site, text, problem, installing):
    package = site / "embench_other"
    package.mkdir()
    (package / "registry.yaml").write_text(text)
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    registry.refresh()
    faults = [e.broken for e in registry.entries() if e.package == "embench_other" and e.broken]
    assert any(problem in fault for fault in faults), faults
    assert registry.find("encoder", "cnn_tf").package == "embench_plugins"


@pytest.mark.parametrize(
    ("value", "problem"),
    [("nowhere_at_all", "the package nowhere_at_all does not exist"), ("a:b", "name of a package")],
)
def test_entry_point_that_leads_nowhere_is_a_broken_package(site, value, problem, installing):
    installing.write(site, "embench-other", "1", {"plugins": value})
    registry.refresh()
    fault = next(e for e in registry.entries() if e.kind == registry.BROKEN_PACKAGE)
    assert problem in (fault.broken or "")


def test_package_without_its_fragment_is_broken(site, installing):
    (site / "embench_other").mkdir()
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    registry.refresh()
    fault = next(e for e in registry.entries() if e.package == "embench_other")
    assert "does not exist" in (fault.broken or "")
    assert "registry.yaml" in (fault.broken or "")


def test_datasets_ask_questions_of_targets_that_they_have():
    for name in registry.list_plugins("dataset"):
        card = registry.load_plugin("dataset", name).card
        assert set(registry.find_questions(registry.find("dataset", name).full_name)) <= {
            t.name for t in card.targets
        }, name
