"""Runs of the boards. They were chosen before any of them began.

`GROUPS` are in the order in which they are run and published: features of all datasets, then networks, from the cheap
ones to those that take hours. `make board` runs all but those of `MORE`, `make board-more` these as well.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from embench.planning.request import Request

FIXED, BEFORE, STRICT, LEGACY = (
    "subject-independent-v3",
    "subject-independent-v2",
    "subject-independent-strict-v3",
    "segment-random-legacy",
)
ALL, BOTH = "ppg,eda,temp", "ecg,eeg"
ESTIMATORS = ("logreg", "linear_svm", "svm", "lda", "naive_bayes", "knn", "forest", "boosting", "mlp")
FAST = ("svm", "forest", "boosting")


class Row(NamedTuple):
    """One run. `encoder` is one, or `modality=encoder` with commas between."""

    dataset: str
    encoder: str
    fusion: str
    modalities: str
    pretrainer: str | None = None
    protocol: str = FIXED
    targets: str | None = None
    train: str | None = None
    labelled: str | None = None
    settings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Text on what is particular to the row."""
        parts = [f"{self.encoder} + {self.fusion} on {self.modalities}"]
        parts += [f"after {self.pretrainer}"] if self.pretrainer else []
        parts += [f"trained on {self.train}"] if self.train else []
        parts += [f"labels of {self.labelled} subjects"] if self.labelled else []
        return ", ".join([*parts, *self.settings, f"{self.dataset} {self.targets or ''}".strip(), self.protocol])

    def request(self, **places: object) -> Request:
        """Request for `embench run`; recipe and device are the same on every machine.

        Args:
            places: the request's `data_root`, `runs` and `workers`.
        """
        return Request(
            self.dataset,
            encoders=tuple(self.encoder.split(",")),
            fusion=self.fusion,
            modalities=self.modalities,
            pretrainers=(self.pretrainer,) if self.pretrainer else (),
            protocol=self.protocol,
            targets=self.targets,
            train_dataset=self.train,
            label_subjects=self.labelled,
            settings=self.settings,
            recipe="small",
            device="cpu",
            **places,  # type: ignore[arg-type]
        )


def handcrafted(
    dataset: str, modalities: tuple[str, ...], fusions: tuple[str, ...] = ESTIMATORS, **options: str
) -> list[Row]:
    return [Row(dataset, "handcrafted", f, m, **options) for m, f in product(modalities, fusions)]


def wristband(dataset: str, other: str) -> dict[str, list[Row]]:
    """The networks of a dataset of a wristband, in groups of rising cost."""

    def row(encoder: str, fusion: str, modalities: str = ALL, pretrainer: str | None = None, *settings: str) -> Row:
        return Row(dataset, encoder, fusion, modalities, pretrainer, settings=settings)

    return {
        "networks": [
            row("tcn", "shared_tf"),
            row("cnn_tf", "single", "eda"),
            row("unet_se", "single", "ppg"),
            row("cnn_mlp", "cross_attn", "ppg+eda"),
        ],
        "pretrained": [
            row("tcn", "shared_tf", ALL, "signal_transform"),
            row("tcn", "shared_tf", ALL, f"signal_transform:{other}"),
        ],
        "masked": [
            row("cnn_tf", "single", "eda", "masked_value"),
            row("cnn_tf", "single", "eda", f"masked_value:{other}"),
        ],
        "one modality": [row("tcn", "single", modality) for modality in ALL.split(",")],
        "fusions": [
            row("cnn_tf", "late"),
            row("cnn_tf", "cross_attn"),
            row("ppg=unet_se,eda=cnn_tf", "modality_aware", "ppg,eda"),
        ],
        "joining": [row("tcn", "concat"), row("tcn", "shared_tf", ALL, None, "fusion.build.across=false")],
        "claims": [
            row("tcn", "shared_tf", ALL, "signal_transform", "encoder.frozen=true", "fusion.frozen=true"),
            row("tcn", "shared_tf", ALL, "signal_transform")._replace(labelled="2"),
            row("tcn", "shared_tf")._replace(labelled="2"),
            row("handcrafted", "mlp", "ppg,eda"),
            row("cnn_tf", "single", "ppg+eda"),
        ],
        "cnn_mlp": [row("cnn_mlp", "cross_attn")],
    }


WRISTBANDS = {
    name: wristband(name, other)
    for name, other in {
        "wearable_stress": "stress_predict",
        "hku956": "stress_predict",
        "stress_predict": "wearable_stress",
    }.items()
}

EEG = {
    "networks": [
        Row("eegmat", *method)
        for method in (
            ("cnn_tf", "single", "eeg"),
            ("cnn_tf", "single", "eeg", "masked_value"),
            ("cnn_tf", "single", "ecg"),
            ("cnn_tf", "single", "ecg", "masked_value"),
            ("cnn_tf", "late", BOTH),
            ("cnn_tf", "late", BOTH, "masked_value"),
            ("cnn_tf", "cross_attn", BOTH),
            ("cnn_mlp", "cross_attn", "ecg+eeg"),
            ("tcn", "single", "ecg"),
            ("unet_se", "single", "ecg"),
            ("unet_se", "single", "eeg"),
            ("unet_se", "modality_aware", BOTH),
        )
    ],
    "claims": [
        Row("eegmat", "cnn_tf", "single", "ecg", "masked_value", settings=("encoder.build.layers=0",)),
        Row("eegmat", "unet_se", "modality_aware", BOTH, settings=("fusion.build.attention=false",)),
        Row("eegmat", "amigos_features", "naive_bayes", "eeg"),
    ],
}

EACH_AND_ALL = ("ppg", "eda", "temp", ALL)

TRIVIAL = [
    *(
        Row(dataset, "signal_mean", "logreg", modalities)
        for dataset, every in {
            "stress_predict": (*EACH_AND_ALL, "acc"),
            "wearable_stress": (*EACH_AND_ALL, "acc"),
            "hku956": (*EACH_AND_ALL, "hr"),
            "eegmat": ("eeg", "ecg", BOTH),
        }.items()
        for modalities in every
    ),
    *(
        row
        for dataset in ("stress_predict", "wearable_stress")
        for row in handcrafted(dataset, ("acc",), (*FAST, "mlp"))
    ),
]
"""The mean of each signal, and the accelerometer in the recipes of the best rows: what other rows should beat."""

CHEAP = {
    "stress_predict, features": handcrafted("stress_predict", EACH_AND_ALL),
    "wearable_stress, features": handcrafted("wearable_stress", EACH_AND_ALL),
    "wearable_stress, own rating": handcrafted("wearable_stress", EACH_AND_ALL, targets="rating_high"),
    "hku956, features": handcrafted("hku956", EACH_AND_ALL),
    "eegmat, features": handcrafted("eegmat", ("eeg", "ecg", BOTH)),
    "strict": handcrafted("stress_predict", (ALL,), FAST, protocol=STRICT),
    "leaking": [
        row
        for dataset in ("stress_predict", "wearable_stress", "hku956", "eegmat")
        for row in handcrafted(dataset, ("eeg" if dataset == "eegmat" else ALL,), FAST, protocol=LEGACY)
    ],
    "trivial": TRIVIAL,
    "train here, test there": [
        row
        for here, there in (("stress_predict", "wearable_stress"), ("wearable_stress", "stress_predict"))
        for row in (
            *handcrafted(there, (ALL,), targets="stress", train=here),
            Row(there, "tcn", "shared_tf", ALL, targets="stress", train=here),
            Row(there, "cnn_tf", "single", "eda", targets="stress", train=here),
        )
    ],
}

NETWORKS = {
    **{f"eegmat, {name}": group for name, group in EEG.items()},
    **{f"{dataset}, {name}": group for dataset, groups in WRISTBANDS.items() for name, group in groups.items()},
}
MORE = (
    *(f"wearable_stress, {name}" for name in ("masked", "fusions", "cnn_mlp")),
    *(f"hku956, {name}" for name in WRISTBANDS["hku956"] if name != "networks"),
    *(f"stress_predict, {name}" for name in WRISTBANDS["stress_predict"] if name != "networks"),
)
GROUPS = {**CHEAP, **NETWORKS}

RESCORED = tuple(
    row
    for name, rows in WRISTBANDS["stress_predict"].items()
    if name != "networks"
    for row in rows
    if row.encoder != "handcrafted"
)
"""Rows that are not trained where version 2 has an entry of theirs: its predictions are scored again."""
