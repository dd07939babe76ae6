"""Near names, for messages about wrong ones."""

from __future__ import annotations

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


def _shape(name: str) -> str:
    return name.lower().replace("-", "_")
