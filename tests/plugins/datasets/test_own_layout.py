"""The dataset.yaml in which damages/own.py makes mistakes, and texts that YAML would take for something else."""

from embench_plugins.datasets.own import Own

from .damages.own import DESCRIPTION, described


def test_the_description_that_is_spoilt_is_right(tmp_path):
    described(tmp_path)
    reader = Own(tmp_path)
    recordings = [recording for subject in reader.subjects() for recording in reader.recordings(subject)]
    assert all(path.is_file() for subject in reader.subjects() for path in reader.files(subject))
    assert [r.id for r in recordings] == ["A1/1", "A1/2", "A2/1", "A2/2"]
    assert [float(r.labels["arousal"].values[0]) for r in recordings] == [3, 4, 5, 6]
    assert {r.group for r in recordings} == {"site Lyon", "site Graz"}
    assert {finding.severity for finding in reader.verify()} <= {"note"}


def test_texts_stay_as_they_are_written(tmp_path):
    """YAML would make a truth value of `no`, and numbers of `01`."""
    text = DESCRIPTION.replace("classes: [rest, stress]", "classes: {no: rest, yes: stress}")
    text = text.replace("  id: code", "  id: code\n  exclude: [01]")
    described(tmp_path)
    (tmp_path / "dataset.yaml").write_text(text)
    (tmp_path / "A1").rename(tmp_path / "01")
    for name in ("people.csv", "ratings.csv", "tasks.csv"):
        table = (tmp_path / name).read_text().replace("A1", "01").replace(",rest", ",no").replace(",stress", ",yes")
        (tmp_path / name).write_text(table)
    reader = Own(tmp_path)
    assert reader.subjects() == ["A2"]
    assert [r.labels["task"].values[0] for r in reader.recordings("A2")] == [0, 1]
