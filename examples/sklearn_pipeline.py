# %% [markdown]
# # A scikit-learn pipeline
#
# A pipeline with imputation, selection of features and a random forest, as an object. The score of each subject stands
# next to the mean. The recordings are synthetic (80 MB).

# %%
import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)

# %% [markdown]
# Each fold fits a clone of the pipeline to the training subjects only, selection of features included. A `random_state`
# that is None gets a seed, so that a repetition gives the same numbers. A classifier needs `predict_proba`, because
# scores are probabilities.

# %%
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

forest = make_pipeline(SimpleImputer(), VarianceThreshold(), SelectKBest(k=5), RandomForestClassifier(100))
result = embench.benchmark(
    forest,
    "amigos",
    name="five-features",
    modalities=["ecg", "eda"],
    target="arousal",
    seeds=0,
    data_root="data",
    workers=1,
)
result.to_pandas()[["method", "metric", "mean", "low", "high"]].query("metric == 'auroc_crossed'").dropna()

# %% [markdown]
# `result.to_pandas("predictions")` has a row for each unit, with its label. It gives any score that you define, such as
# the AUROC within each subject.

# %%
from sklearn.metrics import roc_auc_score

rows = result.to_pandas("predictions").dropna(subset="label")
both = rows.groupby("subject").filter(lambda own: own["label"].nunique() == 2)
within = both.groupby("subject")[["label", "score"]].apply(lambda own: roc_auc_score(own["label"], own["score"]))
within.describe().round(2)

# %%
print(result)

# %%
from matplotlib import pyplot as plt

mean = result.scores.get_score("arousal", "auroc_within")
fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
ax.axhspan(mean.low, mean.high, color="#0072B2", alpha=0.15, linewidth=0, label="95 % interval of the mean")
ax.axhline(mean.mean, color="#0072B2", label=f"mean, {mean.mean:.2f}")
ax.axhline(0.5, color="0.4", linestyle="--", linewidth=1, label="chance")
ax.plot(within.sort_values().index, within.sort_values(), "o", color="#D55E00", label="a person")
ax.set(xlabel="person", ylabel="AUROC within the person", title="People differ, synthetic recordings")
ax.tick_params(axis="x", rotation=90)
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
