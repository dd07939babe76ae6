"""The layout of HKU956, shared by its reader and its synthesizer: names of files and folders, and rates."""

from __future__ import annotations

from embench.interfaces.dataset import ModalityCard
from embench_plugins.datasets.devices import e4

SIGNALS = "1. physiological[ _]signals"
"""The release's readme writes the folder's name with a space, its archive with an underscore."""

RATINGS = "3. AV_ratings.csv"
PERSONALITY = "4. participant_personality.csv"
COLUMNS = ("participant_id", "song_no", "song_id", "valence_rating", "valence", "arousal_rating", "arousal",
           "play_duration")  # fmt: skip
SIGNS = {-1: "negative", 0: "neutral", 1: "positive"}
"""What the release calls a rating below, at and above 0."""

CARDS = {name: e4.CARDS[name] for name in ("ppg", "eda", "temp")} | {"hr": ModalityCard(("hr",), 1.0, "bpm")}
FOLDERS = {"ppg": "BVP", "eda": "EDA", "temp": "TEMP", "hr": "HR"}
PEOPLE = tuple(f"hku{number}" for number in range(1903, 1933))
