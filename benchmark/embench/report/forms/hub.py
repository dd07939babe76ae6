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
from embench.leaderboard.sealing import DIGITS
from embench.leaderboard.sections import BoardSection
from embench.records.record import Record
from embench.records.wording import counted, format_interval, in_words
from embench.report.facts import RunFacts
from embench.statistics.answers import TargetAnswers
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
    results = [_result(run, head, benchmark) for run in map(RunFacts, records) for head in run.answers.values()]
    return yaml.safe_dump(results, sort_keys=False, allow_unicode=True, width=1000)


def _result(run: RunFacts, head: TargetAnswers, benchmark: str) -> dict[str, Any]:
    about, score = run.manifest, head.score
    reasons = {
        "its data are synthetic": run.synthetic,
        "it scored validation subjects (--dev)": about.dev,
        "its protocol leaks, so that it is not a task of the benchmark": about.protocol.leaks,
        f"{head.metric} of {head.target} is undefined": score is None,
    }
    if score is None or any(reasons.values()):
        reason = next(reason for reason, holds in reasons.items() if holds)
        raise CheckFailed(f"the run has no result for the Hub: {reason}", where=about.id)
    interval = format_interval(score, ", 95 % interval {} to {}")
    return {
        "dataset": {"id": benchmark, "task_id": _task(about.protocol.name, head.target)},
        "value": round(score.mean, 6 if about.card.labels_public == "yes" else DIGITS),
        "evaluation_framework": FRAMEWORK,
        "notes": f"{run.name}; {head.title}{interval}; {counted(len(about.seeds), 'seed')}, "
        f"{counted(score.subjects or 0, 'subject')}; run {about.id}",
    }


def hub_benchmark(title: str, sections: Sequence[BoardSection], benchmark: str) -> str:
    """The `eval.yaml` of a benchmark's dataset: one task for each board of one dataset.

    Args:
        title: what the dataset is called.
        sections: as `leaderboard_sections` gives them. Those under a protocol that leaks are no tasks, nor are those of
            rows trained on another dataset.

    Raises:
        UsageError: `benchmark` is not a name of a repository on the Hub.
    """
    _check_repository(benchmark)
    boards = {(s.protocol, s.target): s.rows[0].headline for s in sections if not (s.trained_on or s.leaks)}
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
