"""What a release is made with: the workflows, the container and the versions of Python say the same, and hold."""

import json
import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch

import pytest
import yaml

from ..install import ROOT, build, missing

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = [c.rpartition(" :: ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
RELEASE, TESTS, PROOFS = (ROOT / ".github/workflows" / f"{name}.yml" for name in ("release", "tests", "proofs"))


def jobs(workflow):
    return yaml.safe_load(workflow.read_text())["jobs"]


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def ignored(name):
    """Whether `.dockerignore` keeps a file out: its patterns begin at the top, and a folder's hold for all in it."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    parts = name.split("/")
    beginnings = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    anchored = [line for line in lines if not line.startswith("**/")]
    anywhere = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    return any(b.count("/") == p.count("/") and fnmatch(b, p) for b in beginnings for p in anchored) or any(
        fnmatch(part, p) for part in parts for p in anywhere
    )


def instructions():
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def test_every_version_of_python_is_tried_by_tests_and_by_a_release():
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert jobs(TESTS)["quick"]["strategy"]["matrix"]["python"] == PYTHONS
    assert jobs(RELEASE)["check"]["strategy"]["matrix"]["python"] == PYTHONS


@pytest.mark.parametrize("workflow", [RELEASE, TESTS, PROOFS], ids=lambda path: path.stem)
def test_actions_are_pinned_to_commits_and_no_secret_is_read(workflow):
    text = workflow.read_text()
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert "secrets." not in text
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_every_long_proof_is_run_every_night():
    """Those that the table of bench/testing.md lists."""
    listed = re.findall(r"^\| `make ([\w-]+)` \|", (ROOT / "bench/testing.md").read_text(), re.MULTILINE)
    proofs = set(listed) - {"test", "test-all"}
    assert set(jobs(PROOFS)["proof"]["strategy"]["matrix"]["proof"]) == proofs


def test_only_what_was_checked_is_published_and_only_that_job_may_publish():
    made = jobs(RELEASE)
    assert (made["publish"]["needs"], made["check"]["needs"]) == ("check", "build")
    assert made["publish"]["permissions"] == {"id-token": "write"}
    assert not [name for name, job in made.items() if "permissions" in job and name != "publish"]
    assert "actions/checkout" not in json.dumps(made["publish"]), "it publishes the artefact and runs no other code"


def test_the_container_runs_embench_as_a_user_without_rights():
    last = dict(instructions())
    assert json.loads(last["ENTRYPOINT"]) == ["embench"]
    assert last["USER"] not in ("root", "0")
    images = [words.split()[0] for name, words in instructions() if name == "FROM"]
    assert {re.fullmatch(r"python:(3\.\d+)-slim", image)[1] for image in images} <= set(PYTHONS)


def test_all_that_the_container_copies_is_there():
    copied = [words.split()[:-1] for name, words in instructions() if name == "COPY" and "--from" not in words]
    sources = [source for sources in copied for source in sources]
    assert "constraints.txt" in sources
    for source in sources:
        assert (ROOT / source).exists()
        assert not ignored(source)


@pytest.mark.slow
def test_the_wheel_can_be_built_from_what_the_container_is_sent(tmp_path):
    sent = [name for name in tracked() if not ignored(name)]
    assert not [name for name in sent if name.startswith(("leaderboards/", "tests/"))]
    for name in sent:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / "source" / name, follow_symlinks=False)
    try:
        wheel = build(tmp_path / "dist", tmp_path / "source")
    except subprocess.CalledProcessError:
        pytest.skip("no wheel can be built: pip finds no package index to take hatchling from")
    assert wheel.name.endswith("-py3-none-any.whl"), "a wheel of Python alone, for all systems"
    assert not missing(wheel)
