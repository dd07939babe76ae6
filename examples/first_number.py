# %% [markdown]
# # A first number
#
# A scikit-learn pipeline on features of skin conductance, tested on subjects that it was not trained on. The recordings
# are synthetic (80 MB): they show that everything works, and say nothing about real people.

# %%
import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)  # kept as it is when the cell is run again

# %% [markdown]
# `embench.open_dataset` opens a dataset. With the real files of AMIGOS in the same folder, nothing else changes.

# %%
dataset = embench.open_dataset("amigos", data_root="data")
next(dataset.recordings(dataset.subjects()[0]))

# %% [markdown]
# `embench.benchmark` fills in what a pipeline lacks: the features of the encoder `handcrafted`, the default
# [protocol](../docs/why/protocol.md), and the confound-only models. One seed is enough for a first look. Without
# `seeds` there are as many as a result needs.

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
result = embench.benchmark(model, "amigos", modalities="eda", target="arousal", seeds=0, data_root="data", workers=1)
result.to_pandas(method="model")[["metric", "primary_metric", "mean", "low", "high"]].dropna()

# %% [markdown]
# The primary metric is the stimulus-matched AUROC. It compares two subjects on two stimuli that they labelled in
# opposite ways, so that knowing the stimulus does not help. [How to read a result](../docs/guide/result.md) explains
# the rest.

# %%
print(result)

# %% [markdown]
# The model next to the confound-only models. Below it is the score within each subject, where knowing the stimulus may
# help. A model that cannot score anything else is a dashed line.

# %%
from matplotlib import pyplot as plt

fig, (above, below) = plt.subplots(2, 1, figsize=(9, 4), layout="constrained", height_ratios=(1, 2))
result.plot(ax=above)
result.plot(metric="auroc_within", ax=below).set_title("")
