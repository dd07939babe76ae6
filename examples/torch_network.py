# %% [markdown]
# # A torch network
#
# A network over windows of an ECG, given as a function that makes it. embench adds the head, trains it anew in each
# fold, and chooses nothing on test subjects. The recordings are synthetic (80 MB).

# %%
import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)

# %% [markdown]
# `embench.make_encoder` takes a function, not a network, because every fold and seed must start from new weights. A
# network that exists already may have learned from subjects that a fold tests. The function returns a module that maps
# windows `(B, channels, samples)` to vectors `(B, D)`.

# %%
from torch import nn

WIDTH = 16


def small(channels, samples):
    return nn.Sequential(
        nn.Conv1d(channels, WIDTH, kernel_size=32, stride=4),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.BatchNorm1d(WIDTH),
    )


encoder = embench.make_encoder(small, window_s=10, epochs=30, lr=5e-3)
result = embench.benchmark(encoder, "amigos", modalities="ecg", target="arousal", seeds=0, data_root="data", workers=1)
result.to_pandas(method="model")[["metric", "primary_metric", "mean", "low", "high"]].dropna()

# %% [markdown]
# The same cell again finds these results. After a change, of `WIDTH` as of any other number, the network is trained
# again.

# %%
print(result)

# %% [markdown]
# The record has the losses of every fold by epoch. If the validation loss rises while the training loss falls, as it
# does here, the network is too large or trained for too long.

# %%
import pandas as pd
from matplotlib import pyplot as plt

history = pd.read_csv(result.folder / "history.csv")
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for column, people, style in (("loss", "training people", "-"), ("val_loss", "validation people", "--")):
    folds = history.pivot_table(index="epoch", columns="fold", values=column)
    colour = "#0072B2" if column == "loss" else "#D55E00"
    ax.fill_between(folds.index + 1, folds.min(axis=1), folds.max(axis=1), color=colour, alpha=0.15, linewidth=0)
    ax.plot(folds.index + 1, folds.mean(axis=1), style, color=colour, label=f"{people}, mean and range of folds")
ax.set(xlabel="epoch", ylabel="cross-entropy, nats", title="Learning curves, synthetic recordings")
ax.legend(frameon=False)
