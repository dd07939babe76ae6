"""`--stack 5`: the networks of five folds trained as one, against one after another."""

from __future__ import annotations

from typing import Any

from bench.speed import data
from bench.speed.measure import Row, Setting, Took, Way, faster, timed, turns
from embench.runs import run
from embench.runs.stages import run_stages


def rows(setting: Setting) -> list[Row]:
    root, name = data.stress_predict(setting)
    common: dict[str, Any] = {"encoders": ("handcrafted",), "fusion": "single", "modalities": "eda"}
    common |= {"recipe": "small", "seeds": "0", "device": "cpu"}
    common |= {"settings": (f"encoder.epochs={setting.size(20, 2)}", "encoder.selection=last")}

    def training(stack: int | None) -> Way:
        """All training of a run by one worker, in a new folder each turn; nothing is predicted or scored."""

        def way() -> Took:
            place = {"data_root": root, "runs": setting.new("runs"), "workers": 1}
            request = run.Request("stress_predict", stack=stack, **place, **common)
            stages = [s for s in run.plan(request).graph.stages.values() if s.kind != "predict"]
            outcome: list[Any] = []
            found = timed(lambda: outcome.append(run_stages(stages, request, None)))()
            outcome[0][0].check({stage.id: stage for stage in stages})
            return found

        return way

    ways = {"one": training(None), "stack": training(5)}
    times = turns(ways, setting.size(3, 1), warm=True)
    what = f"training handcrafted-size networks on {name}, 5 folds, 20 epochs, --stack 5"
    return [faster(what, times["stack"], times["one"], "one by one", least=2)]
