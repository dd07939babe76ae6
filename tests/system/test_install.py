"""The wheel holds all of both packages and works elsewhere; `make install` tries it in empty environments."""

import os
import subprocess
import sys
import zipfile

import pytest

from ..install import build, missing


@pytest.mark.slow
def test_the_wheel_is_whole_and_works_elsewhere(tmp_path):
    try:
        wheel = build(tmp_path)
    except subprocess.CalledProcessError:
        pytest.skip("no wheel can be built: pip finds no package index to take hatchling from")
    assert not missing(wheel)
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EMBENCH")}
    clean["PYTHONPATH"] = str(tmp_path / "site")
    for line in (["--version"], ["list"], ["info", "cnn_tf"], ["leaderboard", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", "import sys, embench.cli as c; print(c.__file__); sys.exit(c.main())", *line],
            cwd=tmp_path, env=clean, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(tmp_path / "site"))
