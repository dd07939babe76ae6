"""Damaged copies of the wearable device dataset."""

from functools import partial

from embench_plugins.datasets.wearable_stress import synthetic
from embench_plugins.datasets.wearable_stress import synthetic as wearable_stress_exercise
from embench_plugins.datasets.wearable_stress.reader import WearableStress, WearableStressExercise

from .. import edit
from ..damage import Copy, Table, nothing, refused, same

FOLDER = "Wearable_Dataset/STRESS/S01"
RIDE = "Wearable_Dataset/AEROBIC/S01"
RATINGS = "Stress_Level_v1.csv"

whole = partial(synthetic.synthesize, subjects=2, seed=3, effect=1.0, length_s=120.0)
"""S01 and f01."""
with_rides = partial(wearable_stress_exercise.synthesize_exercise, subjects=2, seed=3, effect=1.0, length_s=120.0)


def much(rows: list[str]) -> list[str]:
    return [rows[0], rows[1].replace(rows[1].split(",")[1], "much", 1)]


DAMAGES: Table = {
    Copy("wearable_stress", WearableStress, "S01", whole): [
        refused(f"{FOLDER}/tags.csv", edit.replace("2013-", "2014-"), "different times"),
        refused(f"{FOLDER}/EDA.csv", edit.write("2013-02-24 12:23:49\n4.0\n0.3\nx\n"), "line 4"),
        refused(RATINGS, edit.write(",Baseline\nS01,3\n"), "no column Stroop"),
        refused(RATINGS, edit.lines(much), "`much` is not a number"),
        refused(RATINGS, edit.write(""), "not readable"),
        same("*", edit.into("release")),
    ],
    Copy("wearable_stress/exercise", WearableStressExercise, "S01", with_rides): [
        refused(f"{RIDE}/tags.csv", edit.replace("2013-", "2014-"), "different times"),
        refused(f"{RIDE}/EDA.csv", edit.write("2013-02-24 12:23:49\n4.0\n0.3\nx\n"), "line 4"),
        same(RATINGS, edit.write("")),
        same("*", edit.into("release")),
    ],
    Copy("no wearable_stress", WearableStress, "S01", edit.nothing): [
        nothing(".", edit.nothing, "no file of Wearable Device Dataset"),
    ],
}
