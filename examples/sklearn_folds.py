# %% [markdown]
# # Features and folds for scikit-learn
#
# `cross_val_score` on the features and folds of embench, and predictions of the same model with an interval. The
# recordings are synthetic (80 MB).

# %%
import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)

# %% [markdown]
# A row of the table is a unit, a column a feature. `splitter` has the folds of the protocol: subjects of the test part
# are never in the training part.

# %%
where = {"target": "arousal", "data_root": "data"}
features = embench.compute_features("amigos", modalities=["ecg", "eda"], **where)
units, y = (features.index.get_level_values(name).to_numpy() for name in ("unit", "label"))
folds = embench.make_splitter("amigos", seed=0, **where)
features.iloc[:3, :4].round(2)

# %%
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

forest = make_pipeline(SimpleImputer(keep_empty_features=True), RandomForestClassifier(100, random_state=0))
areas = cross_val_score(forest, features.to_numpy(), y, groups=units, cv=folds, scoring="roc_auc")
areas.round(2)

# %% [markdown]
# The mean of these areas has no interval, and nothing says whether time or the stimulus would do as well. The
# predictions of the same folds, scored by embench, have both.

# %%
import pandas as pd

tables = []
for train, test in folds.split(features, groups=units):
    known = train[~pd.isna(y[train])]
    score = forest.fit(features.to_numpy()[known], y[known]).predict_proba(features.to_numpy()[test])[:, 1]
    rows = features.index[test].to_frame(index=False)[["subject", "recording", "unit"]]
    tables.append(rows.assign(target="arousal", score=score))
result = embench.score(pd.concat(tables), "amigos", name="forest", **where)
print(result)

# %%
from matplotlib import pyplot as plt

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
result.plot(ax=ax)
ax.set_title("A forest on features of ECG and EDA, synthetic recordings")
