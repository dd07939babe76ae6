# %% [markdown]
# # Your own pipeline, and your own network
#
# Any scikit-learn estimator is a fusion, and any torch network over windows of a signal is an encoder. embench splits
# the subjects, trains a new copy in each fold, and scores both in the same way. Half a minute, and 80 MB of
# generated files.

# %%
import embench

# Synthetic recordings in the format of AMIGOS: they show that everything works, and say nothing about real subjects.
# Run again, the cell keeps what it wrote.
embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)
common = {"target": "arousal", "seeds": 0, "data_root": "data"}

# %% [markdown]
# ## A pipeline
#
# Features may be missing (NaN). Where a pipeline does not take that, and does not impute by itself, embench puts a
# median imputer in front of it. A row is called after its steps, or as `name` says.

# %%
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

forest = make_pipeline(SimpleImputer(), VarianceThreshold(), SelectKBest(k=5), RandomForestClassifier(100))
ours = embench.benchmark(forest, "amigos", name="five-features", modalities=["ecg", "eda"], **common)
ours

# %% [markdown]
# ## A network
#
# `embench.network` takes a function that makes a network, not a network: every fold and seed must start from new
# weights, and one that exists already may have learned from subjects that a fold tests.

# %%
from torch import nn

WIDTH = 16


def small(channels, samples):
    return nn.Sequential(
        nn.Conv1d(channels, WIDTH, kernel_size=16, stride=8),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
    )


net = embench.benchmark(embench.network(small, window_s=10, epochs=3), "amigos", modalities="eda", **common)
net

# %% [markdown]
# The same cell again finds the results of the first time. After a change, of `WIDTH` as of any other number, the
# network is trained again.
#
# Which of the two is better, on the same subjects:

# %%
print(embench.compare(ours, net).sentence)

# %%
ours.plot()
