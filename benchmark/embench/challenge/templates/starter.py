# %% [markdown]
# # A first submission
#
# Run all cells. They compute four features of each channel in each unit, fit a linear model on the training subjects,
# and write `predictions.csv` with a prediction for each unit of the hidden subjects. The host's `baseline.csv` was made
# in the same way.

# %%
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.io import loadmat
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

with open("challenge.yaml") as file:
    challenge = yaml.safe_load(file)
signals = challenge["signals"]
texts = dict.fromkeys(("subject", "group", "recording", "stimulus", "unit"), str)
units = pd.read_csv("units.csv", dtype=texts, keep_default_na=False, na_values={"label": ""})
columns = challenge["target"]["columns"]

# %% [markdown]
# ## Features
#
# Each recording has a folder, with a file for each recorded modality: an array (samples, channels). NaN marks lost
# samples. Features are standardised within each subject, which needs no label.


# %%
def compute_features(part):
    part = part[np.isfinite(part)]
    if len(part) < 2:
        return [0.0, 0.0, 0.0, 0.0]
    return [part.mean(), part.std(), part.max() - part.min(), part[-1] - part[0]]


rows = {}
for folder, own in units.groupby("folder"):
    files = {modality: Path(folder, f"{modality}.mat") for modality in signals}
    arrays = {modality: loadmat(file)[modality] for modality, file in files.items() if file.exists()}
    for _, unit in own.iterrows():
        values = []
        for modality, about in signals.items():
            missing = np.full((1, len(about["channels"])), np.nan)
            x, rate = arrays.get(modality, missing), about["rate"]
            cut = x[int(unit["start_s"] * rate) : max(int(unit["stop_s"] * rate), 1)]
            values += [number for channel in cut.T for number in compute_features(channel.astype(float))]
        rows[unit["unit"]] = values
X = np.array([rows[unit] for unit in units["unit"]])
for subject in units["subject"].unique():
    own = (units["subject"] == subject).to_numpy()
    X[own] = (X[own] - X[own].mean(0)) / (X[own].std(0) + 1e-9)

# %% [markdown]
# ## Model and predictions

# %%
train = ((units["part"] == "training") & units["label"].notna()).to_numpy()
hidden = (units["part"] == "hidden").to_numpy()
y = units["label"].to_numpy(float)[train]
values = challenge["target"]["kind"] == "value"
model = make_pipeline(StandardScaler(), Ridge(100.0) if values else LogisticRegression(C=0.01, max_iter=1000))
model.fit(X[train], y if values else y.astype(int))
out = units.loc[hidden, ["subject", "recording", "unit", "target"]].copy()
if values:
    out["score"] = model.predict(X[hidden])
elif len(columns) == 1:
    out["score"] = model.predict_proba(X[hidden])[:, 1]
else:
    out[columns] = 0.0
    for k, name in enumerate(model.classes_):
        out[f"score_{name}"] = model.predict_proba(X[hidden])[:, k]
out.to_csv("predictions.csv", index=False)
print(f"predictions.csv: {len(out)} units of {out['subject'].nunique()} hidden subjects")
