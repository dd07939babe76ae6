"""Requests that are looked up in a study, of which some fail."""

import pytest

from embench.errors import DataError, UsageError
from embench.runs.run import GridResult, format_title
from embench.studies.study import RunStudy, correct_p


def test_p_values_that_are_not_known_count_for_no_correction():
    assert correct_p({"a": 0.04, "b": None, "c": 0.01}) == pytest.approx({"a": 0.04, "c": 0.02})
    assert correct_p({"a": None}) == {}


def test_a_request_that_cannot_be_planned_holds_up_no_other(bench):
    fits, broken = (bench.request(modalities=name) for name in ("eda", "smell"))
    study = RunStudy([fits, broken, fits])
    assert isinstance(study.refusal([fits, broken]), UsageError)
    assert study.refusal([fits]) is None
    assert study.plan(fits).request.modalities == "eda"
    assert study.result(broken) is study.refusal([broken])


def test_of_a_grid_that_is_over_nothing_is_run_and_each_reason_is_kept(bench):
    late, failed, unfit = (bench.request(modalities="eda", seeds=seeds) for seeds in ("0", "1", "2"))
    error = DataError("the signal is lost")
    plan = RunStudy([failed]).plan(failed)
    study = RunStudy([late, failed, unfit], GridResult((), {format_title(plan): error}), {unfit: "too long"})
    study.run([late, failed])
    assert study.result(late).what == "the run did not start"
    assert study.result(failed) is error
    assert study.result(unfit).what == "too long"
