"""Damaged copies of EmoEEG-MC."""

from functools import partial

from embench_plugins.datasets.emoeeg_mc import synthetic
from embench_plugins.datasets.emoeeg_mc.reader import EmoEegMc, EmoEegMcProcessed

from .. import edit
from ..damage import Copy, Table, noted, nothing, refused, same, warned

RUN = "sub-25/eeg/sub-25_task-emotion_run-01_eeg.edf"
RATINGS = "sub-25/beh/sub-25_task-emotion_beh.tsv"
FILMS = "derivatives/sub-25/ses-vid/eeg/sub-25_ses-vid_task-emotion_reorder.npy"
EDA = "sub-25/eeg/sub-25_task-emotion_recording-GSR_physio.tsv.gz"

whole_processed = partial(synthetic.synthesize_processed, subjects=1, seed=3, effect=1.0, length_s=2)
whole = partial(synthetic.synthesize, subjects=1, seed=3, effect=1.0, length_s=2)

DAMAGES: Table = {
    Copy("emoeeg_mc", EmoEegMc, "sub-25", whole): [
        refused(RUN, edit.replace("Fpz ", "Xpz "), "no channel Fpz"),
        refused(RUN, edit.replace("uV ", "mV "), "in mV"),
        refused(RUN, edit.replace("EDF Annotations", "EDF Annotatio  "), "no channel of annotations"),
        refused(RUN, edit.replace("\x144\x14", "\x149\x14"), "triggers of", at=RUN),
        refused(RUN, edit.replace("0       X X", "1       X X"), "this is not an EDF or BDF file"),
        refused(RATINGS, edit.replace("score_7", "score_x"), "no column score_7"),
        refused(RATINGS, edit.replace("[[38]]", "[[88]]"), "video_name, row 1", "[[88]]"),
        refused(EDA, edit.replace("\t", " "), "not readable"),
        warned(RUN, edit.remove, "no EEG, but labels alone"),
        warned(RATINGS, edit.remove, "the ratings are missing"),
        warned(EDA, edit.remove, "there is no eda"),
        warned(RUN, edit.replace("03.05.24", "03.05.23"), "no PPG and EDA"),
        same("participants.tsv", edit.remove),
    ],
    Copy("emoeeg_mc/processed", EmoEegMcProcessed, "sub-25", whole_processed): [
        refused(FILMS, edit.cut(0.5), "not readable"),
        refused(FILMS, edit.replace("(21, 64, 400)", "(20, 64, 420)"), "(20, 64, 420)"),
        nothing(FILMS, edit.remove, "no file of EmoEEG-MC"),
        noted(RATINGS, edit.remove, "the ratings of 42 trials are not known"),
    ],
    Copy("no emoeeg_mc", EmoEegMc, "sub-25", edit.nothing): [
        nothing(".", edit.nothing, "no file of EmoEEG-MC"),
    ],
}
