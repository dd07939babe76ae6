"""Tests on real recordings of whether scores add something to clock and movement: the `study` that all of it reads, and
`attacks`, scores made of movement or event markers alone."""

import argparse
import os
from pathlib import Path

PROTOCOL = "subject-independent-v4"
DATASETS = ("stress_predict", "wearable_stress")
TARGET = "stress"


def arguments(about: str | None) -> argparse.ArgumentParser:
    """A parser for a command on a dataset: `dataset`, and what `with_data_root` has."""
    parser = with_data_root(about)
    parser.add_argument("dataset", choices=DATASETS)
    return parser


def with_data_root(about: str | None) -> argparse.ArgumentParser:
    """A parser of `data_root`, the folder with that of the dataset."""
    parser = argparse.ArgumentParser(description=about)
    root, about_root = os.environ.get("EMBENCH_TEST_DATA"), "the folder above that of the dataset"
    parser.add_argument("--data-root", type=Path, default=root, required=root is None, help=about_root)
    return parser
