"""Five hundred ways to break a lab's folder: no traceback, no loss and no other signal without a word, and each message
says where. `EMBENCH_WHOLE_PROOFS=1` tries them all."""

import random
import re
import shutil

import numpy as np
import pytest
from tests.sample import WHOLE

from embench.data.checks import check_dataset_files
from embench.errors import EmbenchError
from embench_plugins.datasets.own.draft import write_draft
from embench_plugins.datasets.own.reader import Own

from . import folders
from .mutations import FILES, TABLES, TEXTS, of_yaml
from .test_labs import LABS, filled

PEOPLE = 5
DRAWN = 100 if WHOLE else 6
NOT_READ = ("dataset.yaml", "Protokoll.txt", "dataset_description.json", "codes.csv", "tags.csv")


def contents(root):
    """Subject and stimulus -> id, mean and spread of each signal, and ratings, of all recordings."""
    found = {}
    for subject in (reader := Own(root)).subjects():
        for r in reader.recordings(subject):
            signals = {m: np.where(np.isfinite(s.data), s.data, np.nan) for m, s in r.signals.items()}
            stated = {m: (np.nanmean(x, 1), np.nanstd(x, 1)) for m, x in signals.items()}
            found[subject, r.stimulus] = r.id, stated, {n: float(label.values[0]) for n, label in r.labels.items()}
    return found


def sizes(before):
    """Modality -> what is a small part of how much recordings differ."""
    stated = [signals for _, signals, _ in before.values()]
    return {m: 0.1 * np.mean([of[m][1] for of in stated]) + np.std([of[m][0] for of in stated]) for m in stated[0]}


def differences(before, after, scale):
    """Subject, id and what is another, of each recording that is."""
    for key, (id_, signals, labels) in before.items():
        _, now, rated = after.get(key, (None, {}, {}))
        moved = [
            m for m, of in signals.items() if m not in now or np.abs(np.subtract(of, now[m])).max() > 0.05 * scale[m]
        ]
        others = [name for name in labels if rated.get(name) != labels[name]]
        if moved or others:
            yield key[0], id_, (*moved, *others)


def is_named(subject, told):
    digits = re.sub(r"\D", "", subject)
    return re.search(rf"(?<!\w)({re.escape(subject)}|{int(digits or 0)})(?!\w)", told) is not None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LABS)
def test_what_breaks_is_told_where(name, tmp_path):
    base = getattr(folders, name)(tmp_path / "base", PEOPLE)
    (base / "dataset.yaml").write_text(filled(write_draft(base)))
    before = contents(base)
    scale = sizes(before)
    tried = 0
    for k in range(2 * DRAWN):
        rng, root = random.Random(f"{name} {k}"), tmp_path / f"{k}"
        shutil.copytree(base, root)
        path = rng.choice([p for p in sorted(root.rglob("*")) if p.is_file() and p.name not in NOT_READ])
        if rng.random() < 0.1:
            path, kind, done = root / "dataset.yaml", "yaml", of_yaml(rng, root / "dataset.yaml")
        else:
            kinds = TABLES if path.suffix in TEXTS else FILES
            kind = rng.choice(sorted(kinds))
            done = kinds[kind](rng, path)
        if done and tried < DRAWN:
            tried += 1
            judge(root, path, f"{path.relative_to(root)}: {kind}: {done}", before, scale)
        shutil.rmtree(root)
    assert tried == DRAWN


def judge(root, path, case, before, scale):
    told, after, error = [], None, None
    try:
        told = check_dataset_files(Own(root), "embench_plugins/own", root / ".cache").findings
        after = contents(root)
    except EmbenchError as raised:
        error = raised
    if error:
        assert error.where, case
        assert error.expected or error.hint or told, f"{case}: {error.what}"
    if after is None or path.name == "dataset.yaml":
        return
    words = " ".join(f"{finding.where} {finding.what}" for finding in told)
    for subject, id_, what in differences(before, after, scale):
        named = path.name.lower() in words.lower() or id_ in words or is_named(subject, words)
        assert named or "are of no recording here" in words, f"{case}: {id_}: {what}: {words[:300]}"
