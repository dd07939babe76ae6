# %% [markdown]
# # A first number
#
# A scikit-learn pipeline, fitted to handcrafted features of physiological signals, tested on subjects that it was not
# trained on, beside the controls that it must beat. Half a minute, and 80 MB of generated files.

# %%
import embench

# Synthetic recordings in the format of AMIGOS: they show that everything works, and say nothing about real subjects.
# Run again, the cell keeps what it wrote.
embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)

# %% [markdown]
# `embench.dataset` opens a dataset: here the synthetic one. With real files in the same place, nothing else changes.

# %%
dataset = embench.dataset("amigos", data_root="data")
dataset

# %%
next(dataset.recordings(dataset.subjects()[0]))

# %% [markdown]
# `embench.benchmark` fills in what a pipeline lacks: features of all modalities that the encoder `handcrafted` reads,
# the default protocol, and the controls. One seed is enough for a first look; a result needs three, which is the
# default.

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
result = embench.benchmark(model, "amigos", modalities="eda", target="arousal", seeds=0, data_root="data")
result.to_pandas(method="model")

# %% [markdown]
# Rows of predictions are those of the model; `method="all"` adds the controls.

# %%
result.to_pandas("predictions").groupby("subject")[["score", "label"]].mean()

# %% [markdown]
# The first number: the headline with its 95 % interval, and whether it lies above every control. Chance is .5.

# %%
print(result)

# %%
result.plot()
