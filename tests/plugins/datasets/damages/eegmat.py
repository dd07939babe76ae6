"""Damaged copies of eegmat."""

from functools import partial

from embench_plugins.datasets.eegmat import synthetic
from embench_plugins.datasets.eegmat.reader import Eegmat

from .. import edit
from ..damage import Copy, Table, nothing, refused, same, warned

REST = "Subject00_1.edf"

whole = partial(synthetic.synthesize, subjects=2, seed=3, effect=1.0, length_s=30.0)

DAMAGES: Table = {
    Copy("eegmat", Eegmat, "Subject00", whole): [
        refused(REST, edit.replace("EEG T3 ", "EEG X3 "), "no channel EEG T3"),
        refused(REST, edit.replace("uV ", "mV "), "in mV"),
        refused(REST, edit.put(244, b"2       "), "250 Hz"),
        refused(REST, edit.replace("500     ", "250     "), "its header says 30 records"),
        warned("Subject01_2.edf", edit.remove, "Subject01 has the file of rest only: no score within this subject"),
        same("*", edit.into("eeg-during-mental-arithmetic-tasks-1.0.0")),
    ],
    Copy("no eegmat", Eegmat, "Subject00", edit.nothing): [
        nothing(".", edit.nothing, "no file of EEG during mental arithmetic"),
    ],
}
