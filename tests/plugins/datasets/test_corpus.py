"""The corpus reader: files of every kind against what was written or what the field's own libraries read."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pyedflib
import pytest
import wfdb
from scipy.io import savemat

from embench.errors import DataError
from embench.testing import check_dataset
from embench_plugins.datasets.formats.matlab import inflate
from embench_plugins.datasets.own.reader import Corpus

from ...sample import sample
from .corpus_files import describe, only, source, waves, write_e4, write_edf
from .damages import corpus_embrace as embrace
from .real import released


class TestEdf:
    @pytest.mark.parametrize("suffix", [".edf", ".bdf"])
    def test_every_sample_is_the_one_that_pyedflib_reads(self, tmp_path, suffix):
        names = ["Fc5.", "Cz..", "T3"]
        write_edf(tmp_path / f"S001R01{suffix}", waves(3, 160 * 30, 150), names)
        describe(tmp_path, source(f"{{participant}}R01{suffix}", "eeg", channels=["FC5", "T7", "Cz"]))
        recording = only(tmp_path)
        with pyedflib.EdfReader(str(tmp_path / f"S001R01{suffix}")) as file:
            expected = np.stack([file.readSignal(i) for i in (0, 2, 1)])
        signal = recording.signals["eeg"]
        np.testing.assert_array_equal(signal.data, expected.astype(np.float32))
        assert (signal.rate, signal.channels, signal.unit) == (160, ("FC5", "T7", "Cz"), "uV")
        assert (recording.id, recording.subject, recording.group) == (f"S001R01{suffix}", "S001", "S001")
        assert (recording.duration_s, recording.start_s, recording.labels) == (30, 0, {})

    def test_a_long_file_comes_in_pieces_of_up_to_ten_minutes_that_leave_nothing_out(self, tmp_path):
        data = waves(1, 32 * 1505, 150)
        write_edf(tmp_path / "night.edf", data, ["lead"], rate=32, unit="mV")
        recordings = list(Corpus(describe(tmp_path, source("{participant}.edf"))).recordings("night"))
        assert [r.start_s for r in recordings] == [0, 501, 1003]
        assert [r.id for r in recordings] == ["night.edf@0s", "night.edf@501s", "night.edf@1003s"]
        assert max(r.duration_s for r in recordings) <= Corpus.card.longest_s
        joined = np.concatenate([r.signals["ecg"].data for r in recordings], 1)
        np.testing.assert_allclose(joined, data, atol=0.01)

    def test_units_of_voltages_are_brought_to_one(self, tmp_path):
        write_edf(tmp_path / "a.edf", waves(1, 3200, 150), ["lead"], unit="uV")
        in_millivolt = only(describe(tmp_path, source("{participant}.edf"))).signals["ecg"]
        other_stated = only(describe(tmp_path, source("{participant}.edf", unit="V"))).signals["ecg"]
        assert in_millivolt.unit == other_stated.unit == "mV"
        assert np.abs(in_millivolt.data).max() == pytest.approx(0.15, rel=0.01)
        np.testing.assert_array_equal(in_millivolt.data, other_stated.data)  # the file knows its unit

    def test_files_at_rates_of_their_own_are_of_one_corpus(self, tmp_path):
        for name, rate, size in (("S001", 160, 100), ("S088", 128, -100)):
            write_edf(tmp_path / f"{name}.edf", waves(1, 30 * rate, size), ["Cz.."], rate=rate)
        describe(tmp_path, source("{participant}.edf", "eeg", channels=["Cz"]))
        rates = [next(Corpus(tmp_path).recordings(subject)).signals["eeg"].rate for subject in ("S001", "S088")]
        assert rates == [160, 128]
        check_dataset(Corpus, tmp_path)

    def test_channels_of_one_modality_have_one_rate(self, tmp_path):
        with pyedflib.EdfWriter(str(tmp_path / "a.edf"), 2, file_type=pyedflib.FILETYPE_EDF) as file:
            for i, rate in enumerate((64, 32)):
                about = {"label": f"c{i}", "dimension": "mV", "sample_frequency": rate}
                limits = {"physical_min": -9, "physical_max": 9, "digital_min": -99, "digital_max": 99}
                file.setSignalHeader(i, {**about, **limits})
            file.writeSamples([waves(1, 640)[0], waves(1, 320)[0]])
        with pytest.raises(DataError, match="c0 640 at 64 Hz, c1 320 at 32 Hz"):
            only(describe(tmp_path, source("{participant}.edf", channels=["c0", "c1"])))

    def test_a_channel_that_is_missing_names_the_nearest(self, tmp_path):
        write_edf(tmp_path / "a.edf", waves(2, 320, 100), ["Fc5.", "Cz.."])
        with pytest.raises(DataError, match=r"a\.edf has no channel `FC6` of eeg; did you mean Fc5\.\?") as caught:
            only(describe(tmp_path, source("{participant}.edf", "eeg", channels=["FC6"])))
        assert "Cz.." in caught.value.expected
        assert caught.value.where.endswith("dataset.yaml, line 8")

    @pytest.mark.parametrize("label", ["EEG Cz-REF", "cz", "Cz..", "EEG CZ"])
    def test_names_are_found_however_they_are_dressed(self, tmp_path, label):
        write_edf(tmp_path / "a.edf", waves(1, 320, 100), [label])
        assert only(describe(tmp_path, source("{participant}.edf", "eeg", channels=["Cz"]))).signals[
            "eeg"
        ].channels == ("Cz",)

    def test_a_file_that_was_not_closed_is_read_to_its_end(self, tmp_path):
        write_edf(tmp_path / "a.edf", waves(1, 3200, 100), ["lead"], unit="mV", kind=pyedflib.FILETYPE_EDF)
        content = bytearray((tmp_path / "a.edf").read_bytes())
        content[236:244] = b"-1      "
        (tmp_path / "a.edf").write_bytes(content[:-320])
        assert only(describe(tmp_path, source("{participant}.edf"))).duration_s == 19


class TestWfdb:
    def write(self, root: Path, data: np.ndarray) -> None:
        wfdb.wrsamp("rec", 250, ["mV", "mV"], ["II", "V"], p_signal=data.T, fmt=["16", "16"], write_dir=str(root))

    def test_every_sample_is_the_one_that_wfdb_reads(self, tmp_path):
        self.write(tmp_path, waves(2, 250 * 700))
        recordings = list(
            Corpus(describe(tmp_path, source("{participant}.hea", channels={"left": "V"}))).recordings("rec")
        )
        assert len(recordings) == 2
        joined = np.concatenate([r.signals["ecg"].data for r in recordings], 1)
        np.testing.assert_array_equal(joined[0], wfdb.rdrecord(str(tmp_path / "rec")).p_signal[:, 1].astype(np.float32))

    def test_lost_samples_are_nan_and_told(self, tmp_path):
        data = waves(2, 2500)
        data[1, 100:150] = np.nan
        self.write(tmp_path, data)
        describe(tmp_path, source("{participant}.hea", channels=["II", "V"]))
        np.testing.assert_array_equal(np.isnan(only(tmp_path).signals["ecg"].data), np.isnan(data))
        assert any("50 samples of ecg are lost" in finding.what for finding in Corpus(tmp_path).verify())

    def test_the_signal_file_decides_the_contents_too(self, tmp_path):
        self.write(tmp_path, waves(2, 2500))
        names = [p.name for p in Corpus(describe(tmp_path, source("{participant}.hea", channels=["II"]))).files("rec")]
        assert names == ["dataset.yaml", "rec.dat", "rec.hea"]

    def test_without_the_library_the_error_names_the_extra(self, tmp_path, monkeypatch):
        self.write(tmp_path, waves(2, 2500))
        monkeypatch.setitem(__import__("sys").modules, "wfdb", None)
        with pytest.raises(DataError, match="wfdb") as caught:
            only(describe(tmp_path, source("{participant}.hea", channels=["II"])))
        assert "pip install wfdb" in caught.value.hint


class TestMatlab:
    def test_a_nested_struct_as_way_eeg_gal_has_it(self, tmp_path):
        eeg, emg = waves(32, 1000, 50).T.astype(np.float32), waves(5, 8000).T
        names = np.array([f"E{i}" for i in range(31)] + ["Fp1"], object)
        part = {"names": names, "sig": eeg, "samplingrate": 500}
        content = {"hs": {"name": "s", "eeg": part, "emg": {**part, "sig": emg}}}
        savemat(tmp_path / "HS_P1_S1.mat", content, do_compression=True)
        describe(
            tmp_path,
            source("HS_{participant}_{series}.mat", "eeg", channels=["Fp1", "E0"], unit="uV", array="hs.eeg.sig",
                   names="hs.eeg.names", rate="hs.eeg.samplingrate"),
        )  # fmt: skip
        signal = only(tmp_path).signals["eeg"]
        np.testing.assert_array_equal(signal.data, eeg.T[[31, 0]])
        assert (signal.rate, only(tmp_path).subject) == (500, "P1")

    def test_a_struct_with_old_electrode_names_as_large_eeg_bci_has_it(self, tmp_path):
        data = waves(22, 2000, 50).T
        names = np.array([["Fp1"], ["T3"], *[[f"x{i}"] for i in range(20)]], object)
        savemat(tmp_path / "CLA-SubjectJ-170504-3St.mat", {"o": {"data": data, "chnames": names, "sampFreq": 200.0}})
        describe(
            tmp_path,
            source("{a}-{participant:Subject?}-{b}.mat", "eeg", channels=["T7"], unit="uV", array="o.data",
                   names="o.chnames", rate="o.sampFreq"),
        )  # fmt: skip
        recording = only(tmp_path)
        np.testing.assert_array_equal(recording.signals["eeg"].data[0], data[:, 1].astype(np.float32))
        assert recording.subject == "SubjectJ"

    @pytest.mark.parametrize("turned", [False, True])
    def test_a_bare_matrix_has_channels_by_number_and_time_along_its_longer_side(self, tmp_path, turned):
        data = waves(3, 500).astype(np.float32)
        savemat(tmp_path / "a.mat", {"x": data.T if turned else data}, format="4")
        describe(tmp_path, source("{participant}.mat", channels={"lead": "2"}, unit="mV", array="x", rate=100))
        np.testing.assert_array_equal(only(tmp_path).signals["ecg"].data[0], data[1])

    def test_as_many_channels_as_names_where_the_recording_is_shorter_than_wide(self, tmp_path):
        data = waves(40, 30)
        savemat(tmp_path / "a.mat", {"x": data, "n": np.array([f"c{i}" for i in range(40)], object)})
        describe(
            tmp_path, source("{participant}.mat", channels={"lead": "c7"}, unit="mV", array="x", names="n", rate=100)
        )
        np.testing.assert_array_equal(only(tmp_path).signals["ecg"].data[0], data[7].astype(np.float32))

    def test_a_variable_that_unpacks_to_more_than_there_may_be_is_refused(self):
        head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
        packed = zlib.compress(bytes(10_000))
        content = head + struct.pack("<II", 15, len(packed)) + packed
        assert len(inflate(content, 10_000)[0]) == 10_128
        with pytest.raises(ValueError, match="over"):
            inflate(content, 9_999)


class TestCsv:
    @pytest.mark.parametrize(("separator", "suffix"), [(",", "csv"), (";", "csv"), ("\t", "tsv")])
    def test_columns_by_name_in_pieces(self, tmp_path, separator, suffix):
        data = waves(3, 4 * 1300)
        rows = [separator.join(("time", "ECG I", "EDA")), *(separator.join(f"{v:.5f}" for v in row) for row in data.T)]
        (tmp_path / f"S1.{suffix}").write_text("\ufeff" + "\r\n".join(rows) + "\r\n\r\n", "utf-8")
        signals = {
            "ecg": {"channels": {"left": "ECG I"}, "rate": 4, "unit": "mV"},
            "eda": {"channels": {"eda": "EDA"}, "rate": 4, "unit": "uS"},
        }
        describe(tmp_path, {"files": f"{{participant}}.{suffix}", "signals": signals})
        recordings = list(Corpus(tmp_path).recordings("S1"))
        assert [r.duration_s for r in recordings] == [433, 433, 434]
        for m, column in (("ecg", 1), ("eda", 2)):
            joined = np.concatenate([r.signals[m].data[0] for r in recordings])
            np.testing.assert_array_equal(joined, np.round(data[column], 5).astype(np.float32))


class TestE4:
    """Exports of an Empatica E4: the two rows before the samples are no samples."""

    EDA = np.round(waves(1, 400)[0] + 1.5, 6)

    @pytest.mark.parametrize("start", ["1495437325.000000", "2013-02-24 12:23:49"])
    def test_start_and_rate_are_read_as_such(self, tmp_path, start):
        write_e4(tmp_path / "S2" / "EDA.csv", start, 4, self.EDA)
        recording = only(describe(tmp_path, source("{participant}/EDA.csv", "eda", channels=["eda"], unit="uS")))
        assert (recording.subject, recording.signals["eda"].rate, recording.duration_s) == ("S2", 4, 100)
        np.testing.assert_array_equal(recording.signals["eda"].data[0], self.EDA.astype(np.float32))

    def test_acceleration_has_three_columns_in_parts_of_g(self, tmp_path):
        counts = np.random.default_rng(1).integers(-128, 128, (320, 3))
        write_e4(tmp_path / "S2" / "ACC.csv", "1495437325.000000", 32, counts)
        recording = only(describe(tmp_path, source("{participant}/ACC.csv", "acc", channels=["x", "y", "z"], unit="g")))
        np.testing.assert_array_equal(recording.signals["acc"].data, (counts.T / 64).astype(np.float32))

    def test_a_table_without_a_header_that_begins_with_a_time_is_a_finding(self, tmp_path):
        path = tmp_path / "eda.csv"
        path.write_text("\n".join(["1495437325", *(f"{value:g}" for value in self.EDA)]))
        describe(tmp_path, source("{participant}.csv", "eda", channels={"eda": "1"}, rate=4, unit="uS"))
        (finding,) = [finding for finding in Corpus(tmp_path).verify() if finding.severity == "warning"]
        assert finding.where == str(path)
        assert "the first sample is 1.49544e+09, the others are" in finding.what


class TestEmbracePlus:
    """Raw files, written by the library that reads them, in the layout that the maker documents."""

    def test_every_sample_is_the_one_that_was_written(self, tmp_path):
        embrace.whole(tmp_path)
        recording, raw = only(tmp_path), embrace.session()["rawData"]
        assert recording.subject == "S07"
        for modality, sensor in (("ppg", "bvp"), ("eda", "eda"), ("temp", "temperature")):
            signal = recording.signals[modality]
            assert signal.rate == raw[sensor]["samplingFrequency"]
            np.testing.assert_array_equal(signal.data[0], np.float32(raw[sensor]["values"]))
        gravity = np.outer([1, 2, -1], embrace.COUNTS) * 32 / 65535
        np.testing.assert_allclose(recording.signals["acc"].data, gravity, rtol=1e-6)

    @pytest.mark.parametrize("flips", sample((40, 150), 40))
    def test_flipped_bytes_are_told_or_change_samples(self, flips, tmp_path):
        embrace.whole(tmp_path)
        file, rng = tmp_path / embrace.FILE, np.random.default_rng(0)
        content = file.read_bytes()
        for _ in range(flips):
            damaged = bytearray(content)
            for at in rng.integers(0, len(content), 3):
                damaged[at] = rng.integers(256)
            file.write_bytes(damaged)
            for finding in Corpus(tmp_path).verify():  # an unforeseen error of the library would end the test
                assert finding.severity == "note" or finding.where == str(file)


class TestFolder:
    def test_a_modality_of_zeros_is_absent(self, tmp_path):
        (tmp_path / "a.csv").write_text("a,b\n" + "0,1\n0,2\n" * 20)
        signals = {
            "ecg": {"channels": {"x": "a"}, "rate": 4, "unit": "mV"},
            "eda": {"channels": {"x": "b"}, "rate": 4, "unit": "uS"},
        }
        describe(tmp_path, {"files": "{participant}.csv", "signals": signals})
        assert set(only(tmp_path).signals) == {"eda"}
        assert any("no ecg in it" in finding.what for finding in Corpus(tmp_path).verify())

    def test_verify_tells_rates_and_goes_on_after_a_damaged_file(self, tmp_path):
        for name, rate in (("a", 160), ("c", 128)):
            write_edf(tmp_path / f"{name}.edf", waves(1, rate * 36, 100), ["lead"], unit="mV", rate=rate)
        (tmp_path / "b.edf").write_bytes(b"no")
        findings = Corpus(describe(tmp_path, source("{participant}.edf"))).verify()
        assert [Path(f.where).name for f in findings if f.severity == "error"] == ["b.edf"]
        assert [f.what for f in findings if f.severity == "note"] == ["ecg at 128, 160 Hz"]

    def test_a_filter_that_only_some_files_had_is_not_taken_as_applied(self, tmp_path):
        sources = [source("{participant:a*}", applied=[0.5, 40]), source("{participant:b*}", applied=[1, None])]
        (tmp_path / "a.csv").touch()
        assert Corpus(describe(tmp_path, *sources)).card.modalities["ecg"].applied == (0.5, None)


class TestRealRecordings:
    @pytest.fixture
    def physionet(self, tmp_path) -> Path:
        """Four recordings of four collections: 212 format, 16 bits with a missing companion, MATLAB as WFDB, EDF+."""
        for file in (
            "mitdb/100.hea", "mitdb/100.dat", "ptb/s0010_re.hea", "ptb/s0010_re.dat",
            "c2015/a103l.hea", "c2015/a103l.mat", "edf/test_generator_2.edf",
        ):  # fmt: skip
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).symlink_to(released("physionet_samples") / Path(file).name)
        pulse = source("{participant:c2015}/*.hea", channels={"left": "II"})
        pulse["signals"]["ppg"] = {"channels": ["PLETH"], "unit": "a.u."}
        return describe(
            tmp_path,
            source("{participant:mitdb}/*.hea", channels={"left": "MLII"}),
            source("{participant:ptb}/*.hea", channels={"left": "ii"}),
            pulse,
            source("{participant:edf}/*.edf", channels={"left": "ECG"}),
            mains_hz=60,
        )

    def test_every_sample_is_the_one_that_wfdb_reads(self, physionet):
        reader = Corpus(physionet)
        for subject, file, modality, channel, rate in (
            ("mitdb", "100", "ecg", 0, 360), ("ptb", "s0010_re", "ecg", 1, 1000),
            ("c2015", "a103l", "ecg", 0, 250), ("c2015", "a103l", "ppg", 2, 250),
        ):  # fmt: skip
            signals = [recording.signals[modality] for recording in reader.recordings(subject)]
            joined = np.concatenate([signal.data[0] for signal in signals])
            expected = wfdb.rdrecord(str(physionet / subject / file), channels=[channel]).p_signal[:, 0]
            np.testing.assert_array_equal(joined, expected.astype(np.float32))
            assert {signal.rate for signal in signals} == {rate}

    def test_an_edf_that_the_libraries_refuse_is_read(self, physionet, tmp_path):
        """One unit of it is a degree sign in Latin-1; with a letter in its place pyedflib reads it."""
        path = physionet / "edf" / "test_generator_2.edf"
        with pytest.raises(OSError, match="Physical Dimension"):
            pyedflib.EdfReader(str(path))
        (tmp_path / "plain.edf").write_bytes(path.read_bytes()[:3584].replace(b"\xb0", b"d") + path.read_bytes()[3584:])
        with pyedflib.EdfReader(str(tmp_path / "plain.edf")) as file:
            expected = file.readSignal(file.getSignalLabels().index("ECG"))
        signal = next(Corpus(physionet).recordings("edf")).signals["ecg"]
        np.testing.assert_array_equal(signal.data[0], (expected * 1e-3).astype(np.float32))
        assert (signal.rate, len(expected)) == (200, 120_000)

    def test_it_conforms(self, physionet):
        check_dataset(Corpus, physionet)

    def test_prepared_it_is_all_at_one_rate(self, physionet, tmp_path):
        from embench.store import prepare

        store = prepare(Corpus(physionet), "embench_plugins/corpus", "test", rate_hz=128, cache=tmp_path / "cache")
        assert {m: (entry.rate, entry.channels) for m, entry in store.modalities.items()} == {
            "ecg": (128, ("left",)), "ppg": (128, ("PLETH",))
        }  # fmt: skip
        seconds = {entry.subject: 0.0 for entry in store.recordings}
        for entry in store.recordings:
            seconds[entry.subject] += entry.spans["ecg"].samples / 128
        assert seconds == pytest.approx({"mitdb": 1805.6, "ptb": 38.4, "c2015": 330, "edf": 600}, abs=0.1)
