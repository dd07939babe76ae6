#!/usr/bin/env bash
# Packs what a trial on a machine with a GPU needs into the folder .gpu of the project: see README.md beside this.
#   bash bench/gpu/pack.sh [--video]      for Python 3.12 there; FOR=3.13 for another
# --video takes the decoder `av` along (36 MB); without it films can't be decoded there, and an empty module stands in.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/../.."
VIDEO=""; [ "${1:-}" = --video ] && VIDEO=1
PYTHON=${PYTHON:-python3}
FOR=${FOR:-3.12}
TO=.gpu
rm -rf "$TO"; mkdir -p "$TO/whl" "$TO/stub"

# Versions are those of the project's constraints where it names them.
version() { sed -n "s/^$1==//Ip" constraints.txt | head -1; }
fetch() {
    local of; of=$(version "$1")
    "$PYTHON" -m pip download -q --no-deps --only-binary=:all: --python-version "$FOR" --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
        --platform manylinux2014_x86_64 --platform manylinux1_x86_64 -d "$TO/whl" "$1${of:+==$of}" 2>"$TO/pip.log" ||
        { echo "no wheel of $1 $of" >&2; cat "$TO/pip.log" >&2; exit 1; }
}
for name in neurokit2 PyWavelets platformdirs psutil filelock pydantic pydantic_core annotated-types typing-inspection soxr isal typer; do
    fetch "$name"
done
if [ -n "$VIDEO" ]; then fetch av; else
    mkdir -p "$TO/stub/av" && cat >"$TO/stub/av/__init__.py" <<'P'
"""Stands in for PyAV, which did not travel: it can be imported, films cannot be opened."""

import importlib.abc
import importlib.machinery
import sys
import types


class Missing(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.startswith("av.") else None

    def create_module(self, spec):
        return Missing(spec.name)

    def exec_module(self, module):
        pass


class FFmpegError(OSError):
    pass


def open(*args, **kwargs):
    raise FFmpegError("PyAV did not travel: pack with --video")


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (Exception,), {})


sys.meta_path.append(Finder())
P
fi
# The wheel brings the entry points and versions; the code that runs is the tree's.
"$PYTHON" -m pip wheel -q --no-deps -w "$TO/whl" . 2>"$TO/pip.log" || { cat "$TO/pip.log" >&2; exit 1; }
rm -f "$TO/pip.log"
git archive --format=tar HEAD benchmark plugins tests bench registry.yaml pyproject.toml CITATION.cff Makefile |
    gzip -9 >"$TO/project.tar.gz"
git rev-parse HEAD >"$TO/commit"

# Real recordings of six people, where they are at hand.
REAL=${EMBENCH_TEST_DATA:-}/stress_predict
if [ -d "$REAL/Raw_data" ]; then
    rest=$(cd "$REAL" && ls -d LICENSE README.md Processed_data Raw_data/Readme Raw_data/S0[2-7] 2>/dev/null)
    tar cJf "$TO/stress_predict.tar.xz" -C "$REAL/.." $(printf 'stress_predict/%s ' $rest)
fi
cp "$HERE/trial.sh" "$HERE"/*.py "$TO/"
du -sh "$TO"/* "$TO"
cat <<'T'
now, on the machine with a GPU, in a copy of this folder, .gpu included:
    bash .gpu/trial.sh
T
