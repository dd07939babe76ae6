"""Claims from files to verdicts, on the small subjects of `tests/tiny`, as a package of somebody else brings them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from embench import registry
from embench.claims.examine import direction_verdict
from embench.claims.files import ClaimRun
from embench.records import record

from ..sample import sample
from ..tiny.fixtures import six_subjects
from ..tiny.world import TIMELESS, write

PAPER = "acme2030"
TINY = "embench_acme/tiny"
PLUGINS = Path(__file__).parents[1] / "tiny" / "plugins.py"
REGISTRY = {"dataset": {"tiny": "Tiny"}, "encoder": {"pool": "Pool", "raising": "Raising"}}
"""What the package brings of the small plugins; a claim names no file."""

CLAIM = {
    "paper": PAPER,
    "claim": "The heart says more than the skin.",
    "both": {"encoder": "embench_acme/pool", "fusion": "single"},
    "a": {"modalities": "ecg"},
    "b": {"modalities": "eda"},
    "direction": "higher",
    "protocol": "strizhkova2024",
    "metric": "accuracy",
    "datasets": {TINY: {"targets": ["arousal", "valence"], "published": {"arousal": 0.5}}},
}

ONE = {**CLAIM, "datasets": {TINY: {"targets": ["arousal"]}}}
"""The same of one target."""


@pytest.fixture
def bring(acme, tmp_path, embench):
    """Writes claims into the package, by id; gives what runs `embench claims` on them."""

    def made(**by_id):
        folder = acme / "claims" / PAPER
        folder.mkdir(parents=True)
        shutil.copyfile(PLUGINS, acme / "small.py")
        known = yaml.safe_load((acme / "registry.yaml").read_text())
        for kind, names in REGISTRY.items():
            about = {"revision": 1, "summary": "Small."}
            known.setdefault(kind, {}).update(
                {name: {"target": f"embench_acme.small:{cls}", **about} for name, cls in names.items()}
            )
        (acme / "registry.yaml").write_text(yaml.safe_dump(known))
        registry.refresh()
        for name, claim in by_id.items():
            (folder / f"{name}.yaml").write_text(json.dumps({"id": name, **claim}))
        # Without clocks, so that there are no confound-only models to be fitted: claims compare methods.
        write(tmp_path / "data", six_subjects(**TIMELESS), dataset="tiny")
        own = ["--data-root", tmp_path / "data", "--runs", tmp_path / "runs", "--recipe", "quick", "--seeds", "0"]
        own += ["--device", "cpu", "--workers", "1"]
        return lambda *arguments: embench("claims", PAPER, *own, *arguments)

    return made


def rows_of(done, claim="A1"):
    document = json.loads(done.out)
    return next(each["rows"] for each in document["claims"] if each["id"] == claim)


@pytest.mark.slow
def test_both_protocols_and_targets_are_compared_as_the_runs_own_scores_say(bring):
    done = bring(A1=CLAIM)("--json")
    assert done.code == 0, done.err
    rows = rows_of(done)
    assert [(row["leg"], row["target"]) for row in rows] == [
        (leg, target) for leg in ("fixed", "paper") for target in ("arousal", "valence")
    ]
    for row in rows:
        a, b = (record.read_record(row["runs"][side]) for side in ("a", "b"))
        assert a.run["protocol"]["name"] == row["protocol"]
        assert [run.run["method"]["modalities"] for run in (a, b)] == [["ecg"], ["eda"]]
        assert row["metric"] == ("accuracy" if row["leg"] == "paper" else "auroc_within")
        assert row["difference"]["low"] <= row["difference"]["mean"] <= row["difference"]["high"]
        assert row["corrected"] >= row["p"]
        assert row["cost"] == {"a": a.run["cost"]["wall_seconds"], "b": b.run["cost"]["wall_seconds"]}
        assert row["seeds"] == 1
        assert row["verdict"] == direction_verdict(
            row["difference"]["low"], row["difference"]["high"], row["corrected"], seeds=1, allowance=False
        )
        assert row["verdict"] in ("one seed", "undecided")
    published = {(row["leg"], row["target"]): row["published"] for row in rows}
    assert published == {("fixed", "arousal"): None, ("fixed", "valence"): None,
                         ("paper", "arousal"): 0.5, ("paper", "valence"): None}  # fmt: skip


@pytest.mark.slow
def test_holm_counts_a_comparison_once_whichever_claims_ask(bring):
    """Two p values under a leg: the smaller is doubled, the larger kept unless it would come before. A second claim of
    the same runs changes nothing."""
    done = bring(A1=CLAIM, A2={**CLAIM, "claim": "The same."})("--json", "--protocols", "fixed")
    assert done.code == 0, done.err
    one, two = rows_of(done), rows_of(done, "A2")
    p = [row["p"] for row in one]
    first = min(1, 2 * min(p))
    expected = [first if value == min(p) else max(first, value) for value in p]
    assert [row["corrected"] for row in one] == pytest.approx(expected)
    assert [row["corrected"] for row in two] == pytest.approx(expected)
    assert [row["runs"] for row in one] == [row["runs"] for row in two]


@pytest.mark.slow
def test_what_is_missing_is_named_and_the_other_claims_go_on(bring):
    lost = {**CLAIM, "datasets": {"wesad": {"targets": ["stress"]}}, "a": {"modalities": "temp"}}
    unknown = {**CLAIM, "a": {"modalities": "ecg", "encoder": "video_of_tomorrow"}}
    never = {"paper": PAPER, "claim": "People like it.", "not_tested": "Nobody asked them."}
    done = bring(A1=CLAIM, A2=lost, A3=unknown, A4=never)("--protocols", "fixed")
    assert done.code == 6
    assert "A1: The heart says more than the skin." in done.out
    assert "Within-subject AUROC" in done.out
    assert "missing: wesad" in done.out
    assert "embench data synthesize wesad" in done.out
    assert "no encoder has the name `video_of_tomorrow`" in done.out
    assert "Nobody asked them." in done.out
    assert "A2: no data of WESAD" in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_the_set_of_a_paper_ends_in_a_page_of_printed_and_obtained_numbers(bring, acme, embench, tmp_path):
    never = {"paper": PAPER, "claim": "People like it.", "not_tested": "Nobody asked them."}
    raising = {"modalities": "ecg", "encoder": "embench_acme/raising"}
    printed = {**ONE, "datasets": {TINY: {"targets": ["arousal"], "published": {"arousal": 0.5}}}}
    bring(A1=printed, A2={**ONE, "a": raising}, A3=never)
    (acme / "baselines").mkdir()
    (acme / "baselines" / "paper-acme.yaml").write_text(f"name: paper-acme\nsummary: Theirs.\npaper: {PAPER}\n")
    registry.refresh()
    places = ["--data-root", tmp_path / "data", "--runs", tmp_path / "runs", "--device", "cpu", "--workers", "1"]
    done = embench(
        "baselines", "--baseline-set", "paper-acme", "--dataset", TINY, *places, "--recipe", "quick", "--seeds", "0"
    )
    assert done.code == 6  # of a row that fails
    (page,) = (tmp_path / "runs").glob(f"*/{PAPER}.md")
    text = page.read_text()
    for protocol in ("subject-independent-v4", "strizhkova2024"):
        assert f"| {TINY} | arousal | {protocol} |" in text
    assert "+0.500" in text  # as printed
    assert "side a failed: encoder embench_acme/raising" in text
    assert "Nobody asked them." in text
    assert "published" in done.out
    assert str(page) in "".join(done.out.split())


@pytest.mark.parametrize(("modalities", "lacks"), [("eeg", "eeg"), ("eda[left]+ecg[up]", "ecg[up]")])
def test_a_dataset_that_is_asked_for_and_lacks_what_a_claim_reads_does_not_apply(bring, modalities, lacks):
    done = bring(A1={**CLAIM, "a": {"modalities": modalities}, "datasets": {"deap": {}}})("--dataset", TINY, "--json")
    assert done.code == 0
    assert {(row["status"], row["reason"]) for row in rows_of(done)} == {("does not apply", f"{TINY} has no {lacks}")}


def test_a_claim_on_what_is_no_modality_says_so(bring):
    broken = {**CLAIM, "a": {"modalities": "ecg[left"}, "datasets": {"deap": {}}}
    done = bring(A1=broken)("--dataset", TINY, "--json")
    assert {(row["status"], row["reason"]) for row in rows_of(done)} == {
        ("missing", "cannot read the modality 'ecg[left'")
    }


@pytest.mark.parametrize("others", sample([{}, {"A1": ONE}], {}), ids=["alone", "beside another"])
def test_a_failing_side_is_missing_and_says_why(bring, others):
    raising = {"modalities": "ecg", "encoder": "embench_acme/raising"}
    done = bring(**others, A2={**ONE, "a": raising})("--protocols", "fixed")
    assert done.code == 6
    assert "side a failed" in done.out
    assert ("one seed" in done.out or "undecided" in done.out) == bool(others)


def test_a_dry_run_trains_nothing(bring, tmp_path):
    done = bring(A1=CLAIM)("--dry-run", "--json")
    assert done.code == 0
    assert [row["status"] for row in rows_of(done)] == ["can be run", "can be run"]
    assert rows_of(done)[0]["a"]["modalities"] == "ecg"
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_lower_is_a_direction_too(bring):
    run = bring(A1=ONE, A2={**ONE, "a": {"modalities": "eda"}, "b": {"modalities": "ecg"}, "direction": "lower"})
    done = run("--protocols", "fixed", "--json")
    for one, other in zip(rows_of(done), rows_of(done, "A2"), strict=True):
        assert one["difference"]["mean"] == pytest.approx(-other["difference"]["mean"])
        assert one["verdict"] == other["verdict"]


POOL = {"encoder": "embench_acme/pool", "fusion": "single", "modalities": "ecg"}


def asking(measure, *, metric="accuracy", **own):
    """A measured claim under `strizhkova2024`."""
    about = {"paper": PAPER, "claim": "Something is so.", "protocol": "strizhkova2024", "metric": metric}
    return {**about, "measure": measure, "datasets": {TINY: {"targets": ["arousal"]}}, **own}


@pytest.mark.slow
def test_measured_claims_share_runs_of_other_targets_and_protocols_and_pair_them_by_subject(bring):
    both = {"arousal": POOL, "valence": {**POOL, "target": "valence"}}
    elsewhere = {"arousal": POOL, "others": {**POOL, "protocol": "subject-independent-v4"}}
    run = bring(
        A1=asking("gap_by_subject", runs=both, published={"arousal": 0.7, "valence": 0.4}),
        A2=asking("gap_by_subject", runs=elsewhere),
        A3=asking("gap_by_label", runs={"arousal": POOL}, by="valence"),
    )
    done = run("--json", "--protocols", "paper")
    assert done.code == 0, done.err
    (one,), (two,), (three,) = (rows_of(done, claim) for claim in ("A1", "A2", "A3"))
    assert one["runs"][0] == two["runs"][0] == three["runs"][0]
    records = [record.read_record(folder) for folder in (*one["runs"], two["runs"][1])]
    assert [r.run["targets"] for r in records] == [["arousal"], ["valence"], ["arousal"]]
    assert [r.run["protocol"]["name"] for r in records][2] == "subject-independent-v4"
    hits = {target: ClaimRun(of, "", target, "accuracy").right() for target, of in zip(both, records, strict=False)}
    shares = {
        target: [
            np.mean([hit for of_fold in of.values() for unit, hit in of_fold.items() if unit.startswith(name)])
            for name in records[0].groups
        ]
        for target, of in hits.items()
    }
    assert one["mean"] == pytest.approx(np.mean(shares["arousal"]) - np.mean(shares["valence"]))
    assert one["published"] == pytest.approx(0.3)
    assert (one["over"], one["count"]) == ("subjects", 6)
    assert one["verdict"] in ("one seed", "undecided")
    text = run("--protocols", "paper").out
    assert "valence: --encoder embench_acme/pool --fusion single --modalities ecg --target valence" in text
    assert "arousal 0.7, valence 0.4" in text


@pytest.mark.slow
def test_a_margin_decides_between_near_and_far(bring):
    near = asking("by_subject", runs={"pool": POOL}, reference=0.5, margin=2.0)
    far = asking("by_subject", runs={"pool": POOL}, reference=5.0, margin=1.0)
    run = bring(A1=near, A2=far, A3={**near, "margin": 0.0001})
    done = run("--json", "--protocols", "paper", "--seeds", "0,1,2")
    verdicts = [rows_of(done, claim)[0]["verdict"] for claim in ("A1", "A2", "A3")]
    assert verdicts == ["supported", "contradicted", "undecided"]
    assert rows_of(done, "A1")[0]["holds_reference"]
    assert "holds_reference" not in rows_of(done, "A2")[0]
