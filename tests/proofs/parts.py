"""What the long proofs are made of: proof -> part -> command, in the order in which parts are run. A part takes at most
90 minutes of one core."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ..fuzz.harness import DATASETS as DAMAGED
from ..mutants.faults import load
from ..sealed.boards import DATASETS as SEALED
from ..truth.added import CELLS as ADDED
from ..truth.allowance import CELLS
from ..truth.confound_models import DESIGNS as ATTACKED
from ..truth.papers import PAPERS
from ..truth.personal import DESIGNS
from ..truth.test_every_dataset import SMALL

PYTHON = (sys.executable, "-m")
PYTEST = (*PYTHON, "pytest", "-q", "--no-header")
DRAWN = ".embench/proofs/allowance"
"""Where the draws of `tests.truth.allowance` lie."""
RATES = (
    "truth/test_effect", "truth/test_face_level", "truth/test_faced_films", "truth/test_no_effect",
    "truth/test_near_one", "truth/test_person_label", "truth/test_rates", "truth/test_strizhkova2024",
    "truth/test_unseen_stimuli", "truth/test_values", "truth/test_woo2023", "truth/test_wu2023", "attacks/test_bounds",
    "attacks/test_clocks", "attacks/test_copies", "attacks/test_forged_entries", "attacks/test_forged_records",
    "attacks/test_levels", "audits/test_clean_runs", "audits/test_real_clocks", "authoring/test_scaffold",
    "claims/test_faced", "claims/test_papers", "labs/test_labs", "leaderboard/test_forgeries",
    "leaderboard/test_published", "plugins/datasets/test_synthetic_faces",
    "records/test_schema", "runs/test_video_methods", "testing/test_bundled",
)  # fmt: skip
HALVES = (
    ("truth/test_faces", "is_found and amigos"), ("truth/test_faces", "is_found and deap"),
    ("truth/test_faces", "nothing and amigos"), ("truth/test_faces", "nothing and deap"),
    ("truth/test_sessions", "kernel or cycles"), ("truth/test_sessions", "not (kernel or cycles)"),
)  # fmt: skip
"""Files that take longer than a part may, and some of their tests."""
CASES = 2000
"""Damaged files of each dataset."""
STUDIES = 300
"""Mutated studies of one's own."""
MANY_FOLDS = ("chen2023-within", "gerster2026-time")
"""Protocols whose hundreds of folds take most of the time."""

Parts = dict[str, tuple[str, ...]]


def _rates() -> Iterator[tuple[str, tuple[str, ...]]]:
    for file in RATES:
        yield file, (*PYTEST, f"tests/{file}.py")
    for file, tests in HALVES:
        yield f"{file} {tests}", (*PYTEST, f"tests/{file}.py", "-k", tests)
    for dataset in SMALL:
        tests = f"[{dataset}]"
        yield f"truth/test_every_dataset {dataset}", (*PYTEST, "tests/truth/test_every_dataset.py", "-k", tests)
    for models, n_subjects, effect in CELLS:
        cell = (models, str(n_subjects), str(effect))
        yield f"allowance {' '.join(cell)}", (*PYTHON, "tests.truth.allowance", DRAWN, *cell)
    for cell in ADDED:
        yield f"added {cell}", (*PYTHON, "tests.truth.added", "200", cell)
    for design in ATTACKED:
        yield f"confound models, {design}", (*PYTHON, "tests.truth.confound_models", "10", design)
    yield "films", (*PYTHON, "tests.truth.films", "300")
    yield "tuned", (*PYTHON, "tests.truth.tuned", "50")


def _sealed() -> Iterator[tuple[str, tuple[str, ...]]]:
    file = (*PYTEST, "tests/sealed/test_sealed.py", "-k")
    yield "attack", (*file, "not (any_dataset or than_the_prior or difference)")
    yield "entries", (*file, "than_the_prior")
    yield "differences", (*file, "difference")
    for dataset in SEALED:
        yield dataset, (*file, " and not ".join([f"[{dataset}-", *MANY_FOLDS]))
        for protocol in MANY_FOLDS:
            yield f"{dataset} {protocol}", (*file, f"[{dataset}-{protocol}]")


PROOFS: dict[str, Parts] = {
    "rates": dict(_rates()),
    "personal": {name: (*PYTHON, "tests.truth.personal", "50", name) for name in DESIGNS},
    "fuzz": {
        **{name: (*PYTHON, "tests.fuzz", str(CASES), name) for name in DAMAGED},
        "own studies": (*PYTHON, "tests.own_cases", str(STUDIES)),
        "own cases": (*PYTEST, "tests/own_cases/test_own_cases.py", "-k", "read_rightly"),
    },
    "mutants": {
        "map": (*PYTHON, "tests.mutants", "map", "-m", "not slow"),
        **{of: (*PYTHON, "tests.mutants", "run", *(f.name for f in load(of))) for of in ("planted", "drawn")},
    },
    "sealed": dict(_sealed()),
    "papers": {
        **{f"{name} {on}": (*PYTHON, "tests.truth.papers", name, on) for name in PAPERS for on in PAPERS[name]},
        **{name: (*PYTEST, "-m", "slow", f"tests/docs/test_{name}.py") for name in ("papers", "memory")},
    },
}
