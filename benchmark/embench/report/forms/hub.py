"""Files of the Hugging Face Hub: a run's row in `.eval_results/`, and the `eval.yaml` of a benchmark's dataset.

The fields are those that https://huggingface.co/docs/hub/eval-results documents, and no others. A row names the task
under which the benchmark's `eval.yaml` lists its board, so both are made from the same names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from embench.errors import CheckFailed, UsageError
from embench.leaderboard.board import BoardSection
from embench.records.manifest import Manifest
from embench.records.record import Record
from embench.records.wording import counted, format_interval, in_words, method_name
from embench.statistics.metrics import metric_facts

FRAMEWORK = "embench"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def hub_results(records: Sequence[Record], benchmark: str) -> str:
    """The content of a model's `.eval_results/<name>.yaml`: one result for each run and target.

    Args:
        benchmark: the Hub's dataset that is the benchmark, as `owner/name`.

    Raises:
        UsageError: `benchmark` is no such name. CheckFailed: a run has nothing to submit, with the reason.
    """
    _check_repository(benchmark)
    results = [_result(of, target, benchmark) for of in records for target in of.scores.headlines]
    return yaml.safe_dump(results, sort_keys=False, allow_unicode=True, width=1000)


def _result(of: Record, target: str, benchmark: str) -> dict[str, Any]:
    run, metric = of.manifest, of.scores.headlines[target]
    score = of.scores.score(target, metric)
    if score is None or (reason := _why_not(run)):
        reason = _why_not(run) or f"{metric} of {target} is undefined"
        raise CheckFailed(f"the run has no result for the Hub: {reason}", where=run.id)
    interval = f", 95 % interval {format_interval(score, '{} to {}')}" if format_interval(score) else ""
    return {
        "dataset": {"id": benchmark, "task_id": _task(run.protocol.name, target)},
        "value": round(score.mean, 6),
        "evaluation_framework": FRAMEWORK,
        "notes": f"{method_name(of.run) or run.id}; {metric_facts(metric).title}{interval}; "
        f"{counted(len(run.seeds), 'seed')}, {counted(score.subjects or 0, 'subject')}; run {run.id}",
    }


def _why_not(run: Manifest) -> str:
    if run.dataset.synthetic is not None:
        return "its data are synthetic"
    if run.dev:
        return "it scored validation subjects (--dev)"
    return "its protocol leaks, so that it is no task of the benchmark" if run.protocol.leaks else ""


def hub_benchmark(title: str, sections: Sequence[BoardSection], benchmark: str) -> str:
    """The `eval.yaml` of a benchmark's dataset: one task for each board of one dataset.

    Args:
        title: what the dataset is called.
        sections: as `leaderboard_sections` gives them. Those under a protocol that leaks are no tasks, nor are those of
            rows trained on another dataset.

    Raises:
        UsageError: `benchmark` is no name of a repository on the Hub.
    """
    _check_repository(benchmark)
    boards = {
        (section.protocol, section.target): section.rows[0].headline
        for section in sections
        if not (section.trained_on or section.leaks)
    }
    named = [f"{in_words(t)} under {p} by {metric_facts(metric).title}" for (p, t), metric in boards.items()]
    content = {
        "name": title,
        "description": f"Recognition from physiological signals on {title}, scored by embench: {'; '.join(named)}.",
        "evaluation_framework": FRAMEWORK,
        "tasks": [{"id": _task(protocol, target), "config": "default", "split": "test"} for protocol, target in boards],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)


def _task(protocol: str, target: str) -> str:
    return f"{target}-{protocol}"


def _check_repository(name: str) -> None:
    if not _REPOSITORY.fullmatch(name):
        raise UsageError(f"`{name}` names no dataset of the Hub", where="--hub", expected="OWNER/NAME")
