"""What an encoder rests on besides its code: files by their content, and versions of libraries."""

import hashlib

import pytest

from embench.errors import DataError


@pytest.fixture
def planned(shared, tmp_path):
    """Plans whose encoder rests on a file with a content, at a name."""

    def plan(content, name="weights.bin", **options):
        path = tmp_path / name
        path.write_bytes(content)
        settings = (f"encoder.build.file={path}",)
        return shared.plan("Resting", modalities="ecg", settings=settings, **options)

    return plan


def test_the_content_of_a_file_decides_the_stages_and_the_run(planned):
    first, again, other = planned(b"one"), planned(b"one"), planned(b"two")
    assert first.graph.stages.keys() == again.graph.stages.keys()
    assert first.id == again.id
    assert first.graph.stages.keys().isdisjoint(other.graph.stages)
    assert first.id != other.id


def test_pretraining_rests_on_them_too(planned):
    def pretraining(content):
        plan = planned(content, pretrainers=("masked_value",))
        return {id_ for id_, stage in plan.graph.stages.items() if stage.kind == "pretrain"}

    assert pretraining(b"one").isdisjoint(pretraining(b"two"))


def test_they_stand_in_stages_and_in_the_record(planned):
    plan, content = planned(b"one"), hashlib.sha256(b"one").hexdigest()
    for part in [plan.config["parts"]["encoder[ecg]"], *(s.params.plain()["modalities"]["ecg"] for s in fitted(plan))]:
        assert part["assets"] == {"weights.bin": content}
        assert part["libraries"].keys() == {"safetensors"}


def test_a_missing_file_is_told_before_anything_is_trained(shared):
    with pytest.raises(DataError, match="no such file"):
        shared.plan("Resting", modalities="ecg", settings=("encoder.build.file=/nowhere",))


def test_encoders_that_rest_on_nothing_have_nothing_of_it(shared):
    plan = shared.plan("Pool", modalities="ecg")
    for stage in fitted(plan):
        plain = stage.params.plain()
        assert plain["modalities"]["ecg"].keys() == {"encoder", "code", "recipe"}
        assert "layer_decay" not in plain["recipe"]


def fitted(plan):
    found = [stage for stage in plan.graph.stages.values() if stage.kind == "unimodal"]
    assert found
    return found
