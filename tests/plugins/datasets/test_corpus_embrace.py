"""Raw files of an EmbracePlus, written by the library that reads them, in the layout that the maker documents."""

import numpy as np

from embench_plugins.datasets.corpus import Corpus

from .corpus_files import only
from .damages.corpus_embrace import COUNTS, FILE, session, whole


def test_every_sample_is_the_one_that_was_written(tmp_path):
    whole(tmp_path)
    recording, raw = only(tmp_path), session()["rawData"]
    assert recording.subject == "S07"
    for modality, sensor in (("ppg", "bvp"), ("eda", "eda"), ("temp", "temperature")):
        signal = recording.signals[modality]
        assert signal.rate == raw[sensor]["samplingFrequency"]
        np.testing.assert_array_equal(signal.data[0], np.float32(raw[sensor]["values"]))
    gravity = np.outer([1, 2, -1], COUNTS) * 32 / 65535
    np.testing.assert_allclose(recording.signals["acc"].data, gravity, rtol=1e-6)


def test_flipped_bytes_are_told_or_change_samples(tmp_path):
    whole(tmp_path)
    file, rng = tmp_path / FILE, np.random.default_rng(0)
    content = file.read_bytes()
    for _ in range(150):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 3):
            damaged[at] = rng.integers(256)
        file.write_bytes(damaged)
        for finding in Corpus(tmp_path).verify():  # an unforeseen error of the library would end the test
            assert finding.severity == "note" or finding.where == str(file)
