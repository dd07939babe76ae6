# %% [markdown]
# # Your own predictions
#
# A table of predictions made by any other code, scored with the folds, intervals and confound-only models of
# embench. Neither a plugin nor torch is needed. The recordings are synthetic (80 MB).

# %%
import subprocess
import sys

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from scipy.signal import find_peaks
from sklearn.linear_model import LogisticRegression

import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)

# %% [markdown]
# The command `embench data labels` lists the units to predict, and the fold that tests each of them under each seed.

# %%
command = "embench data labels amigos --target arousal --units units.csv --data-root data"
subprocess.run([sys.executable, "-m", *command.split()], check=True, stdout=subprocess.DEVNULL)
units = pd.read_csv("units.csv").dropna(subset="label").reset_index(drop=True)
units[["subject", "recording", "unit", "target", "label", "fold_0", "fold_1"]].head(3)

# %% [markdown]
# Your own code: two features, standardised within each subject, and a classifier. A model that was fitted to the other
# folds predicts the units of a fold.

# %%
dataset, features = embench.open_dataset("amigos", data_root="data"), {}
for subject in dataset.subjects():
    for recording in dataset.recordings(subject):
        if {"eda", "ecg"} <= set(recording.signals):  # units without a prediction are counted and listed
            ecg, eda = recording.signals["ecg"], recording.signals["eda"]
            beats, _ = find_peaks(ecg.data[0], prominence=0.6 * np.nanmax(ecg.data[0]), distance=0.4 * ecg.rate)
            rises, _ = find_peaks(eda.data[0][::32], prominence=0.05 * np.nanstd(eda.data[0]))
            features[recording.id] = [np.median(np.diff(beats)) / ecg.rate, len(rises) / eda.duration_s]

units = units[units["recording"].isin(features)].reset_index(drop=True)
X = pd.DataFrame([features[name] for name in units["recording"]], columns=["s between beats", "rises a second"])
grouped = X.groupby(units["subject"])
X = ((X - grouped.transform("mean")) / grouped.transform("std")).fillna(0)
tables = []
for seed in (0, 1, 2):
    fold, score = units[f"fold_{seed}"], np.empty(len(units))
    for k in fold.unique():
        model = LogisticRegression().fit(X[fold != k], units["label"][fold != k])
        score[fold == k] = model.predict_proba(X[fold == k])[:, 1]
    tables.append(units[["subject", "recording", "unit", "target"]].assign(seed=seed, fold=fold, score=score))

result = embench.score(pd.concat(tables), "amigos", name="beats and rises", data_root="data")
print(result)

# %% [markdown]
# Scores are probabilities here. Do they agree with the observed frequencies?

# %%
bins = pd.DataFrame(result.assess_calibration().bins)
fig, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="calibrated")
error = [bins["observed"] - bins["low"], bins["high"] - bins["observed"]]
ax.errorbar(bins["predicted"], bins["observed"], yerr=error, fmt="o", color="#0072B2", capsize=3, label="95 % interval")
ax.set(xlabel="predicted probability of high arousal", ylabel="share of units with high arousal", xlim=(0, 1))
ax.set_title("Do probabilities come true? Synthetic recordings")
ax.legend(frameon=False, loc="upper left")
