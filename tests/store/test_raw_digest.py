"""The digest of raw files, which keys what is published about labels that are not public."""

import shutil

from small_dataset import SmallDataset, write_subjects

from embench.store import fingerprint


def test_the_same_files_give_the_same_digest_anywhere(tmp_path):
    here = write_subjects(tmp_path / "here", 2)
    there = shutil.copytree(here, tmp_path / "there")
    digest = fingerprint.raw_digest(SmallDataset(here), tmp_path / "cache")
    assert len(digest) == 32
    assert fingerprint.raw_digest(SmallDataset(there), tmp_path / "other") == digest
    with (there / "p1.npz").open("ab") as file:
        file.write(b"0")
    assert fingerprint.raw_digest(SmallDataset(there), tmp_path / "other") != digest
