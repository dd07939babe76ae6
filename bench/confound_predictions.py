"""`python -m bench.confound_predictions DATASET.. --data-root DIR`: publish the predictions of models of confounds.

Writes `plugins/embench_plugins/confounds/DATASET.npz` for datasets whose labels are public. With `--check`, fits the
models of one fold of one seed again instead, and prints the model that differs most from the file (log odds).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from embench import registry
from embench.data.find import find_source
from embench.interfaces.metric import Undefined
from embench.protocols import load_protocol
from embench.statistics.confound_test import MODEL_PARTITIONS, make_studies
from embench.statistics.nuisance_columns import (
    Study,
    confound_models,
    pack_predictions,
    published_key,
    published_predictions,
)
from embench.statistics.nuisance_models import predictions

PROTOCOL = "subject-independent-v4"
OUT = Path(__file__).parents[1] / "plugins" / "embench_plugins" / "confounds"


def main() -> None:
    """Write or check the files of some datasets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--check", action="store_true", help="refit a fold instead of writing")
    chosen = parser.parse_args()
    for name in chosen.datasets:
        source = find_source(name, chosen.data_root)
        if source.card.labels_public != "yes":
            raise SystemExit(f"{name}: its labels are not public, and predictions of models fitted on them tell labels")
        studies = list(studies_in(name, chosen.data_root))
        if chosen.check:
            largest = {model: apart.max() for model, apart in differences(studies[0]).items()}
            worst = max(largest, key=lambda model: largest[model])
            print(f"{name}: largest difference {largest[worst]:.2g} ({worst})")
            continue
        tables = {}
        for study in studies:
            for block in ("local", "contact"):
                members = confound_models(block, study)[1]
                made = predictions(members, study.y, study.target, study.parts, study.seed)
                tables[published_key(block, study)] = pack_predictions(made)
        OUT.mkdir(exist_ok=True)
        np.savez_compressed(OUT / f"{registry.find('dataset', name).name}.npz", allow_pickle=False, **tables)


def studies_in(name: str, root: Path) -> list[Study]:
    """Return the studies in which all seeds share models, of each target that is not small."""
    protocol = load_protocol(PROTOCOL)
    cohort = find_source(name, root).cohort(protocol, None)
    found = make_studies(cohort, protocol, {target.name: range(MODEL_PARTITIONS) for target in cohort.targets})
    return [study for of in found.values() if not isinstance(of, Undefined) for study in of.values()]


def differences(study: Study) -> dict[str, np.ndarray]:
    """Return by how much each model's predictions for the study's first fold, fitted again, differ from the published
    ones: (m, K) for the units that the fold tests."""
    apart = {}
    tested = study.parts[0][1]
    for block in ("local", "contact"):
        members = confound_models(block, study)[1]
        known = published_predictions(study.cohort.store.name, published_key(block, study), list(members))
        if known is None:
            raise SystemExit(f"no predictions are published for these data: {study.cohort.store.name}, {block}")
        again = predictions(members, study.y, study.target, study.parts[:1], study.seed)
        apart |= {name: np.abs(again[name][tested] - known[name][tested]) for name in members}
    return apart


if __name__ == "__main__":
    main()
