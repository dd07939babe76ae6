"""Near names, for messages about wrong ones; and later versions of names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

SYNONYMS: dict[str, str | tuple[str, ...]] = {
    **dict.fromkeys(("bvp", "pulse", "blood_volume_pulse"), "ppg"),
    **dict.fromkeys(("gsr", "gsc", "scl", "scr", "skin_conductance"), "eda"),
    **dict.fromkeys(("skt", "skin_temperature"), "temp"),
    **dict.fromkeys(("rsp", "respiration", "breathing"), "resp"),
    "heart_rate": "hr",
    **dict.fromkeys(("hrv", "ibi"), ("hr", "ppg", "ecg")),  # which features of the two give
    **dict.fromkeys(("accelerometer", "accelerometry", "movement"), "acc"),
    "loso": "leave_one_subject_out",
    "logisticregression": "logreg",
    "svc": "svm",
    "linearsvc": "linear_svm",
    **dict.fromkeys(("linearregression", "linear_regression", "ols", "ridgecv"), "ridge"),
    **dict.fromkeys(("linearsvr", "svr_linear"), "linear_svr"),
    **dict.fromkeys(("rf", "randomforest", "randomforestclassifier", "randomforestregressor"), "forest"),
    **dict.fromkeys(("kneighborsclassifier", "kneighborsregressor", "nearest_neighbours"), "knn"),
    "lineardiscriminantanalysis": "lda",
    **dict.fromkeys(("mlpclassifier", "mlpregressor"), "mlp"),
    "gaussiannb": "naive_bayes",
    **dict.fromkeys(("xgboost", "lightgbm", "gradient_boosting", "histgradientboostingclassifier"), "boosting"),
    "histgradientboostingregressor": "boosting",
}
"""Terms of other projects -> the beginning of our names for them, or several, the likeliest first."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that `name` is a synonym of or resembles, the nearest first."""
    by_shape = {_shape(k): k for k in known}
    for begins in our_words(name):
        if meant := [k for shape, k in by_shape.items() if shape == begins or shape.startswith(f"{begins}_")]:
            return meant[:3]
    return [by_shape[shape] for shape in get_close_matches(_shape(name), by_shape, n=3, cutoff=0.55)]


def our_words(name: str) -> tuple[str, ...]:
    """The beginnings here of what researchers call `name`, the likeliest first; empty where no other word is known.

    >>> our_words("LogisticRegression"), our_words("tcn")
    (('logreg',), ())
    """
    meant = SYNONYMS.get(_shape(name), ())
    return (meant,) if isinstance(meant, str) else meant


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A sentence that offers the nearest names, or None where nothing comes near."""
    near = nearest(name, known)
    return f"did you mean {' or '.join(near)}?" if near else None


def latest_version(name: str, known: Iterable[str]) -> str:
    """The name of the latest version among the known names that differ from `name` in their version alone.

    >>> latest_version("rules-v1", ["rules-v1", "rules-v2", "strict-rules-v3"])
    'rules-v2'
    """
    base, version = _version(name)
    return max([name, *(k for k in known if version and _version(k)[0] == base)], key=lambda k: _version(k)[1])


def _version(name: str) -> tuple[str, int]:
    """The name without its version, and the version; 0 for none."""
    found = re.fullmatch(r"(.+)-v(\d+)", name)
    return (found[1], int(found[2])) if found else (name, 0)


def _shape(name: str) -> str:
    return name.lower().replace("-", "_")
