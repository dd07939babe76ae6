# %% [markdown]
# # A network of braindecode
#
# A published network for EEG from [braindecode](https://braindecode.org), next to a linear model on features of the
# same EEG. Install braindecode by `pip install braindecode`. It needs a `torchaudio` that fits the installed `torch`.
# The recordings are synthetic (80 MB).

# %%
import braindecode
from braindecode.models import ShallowFBCSPNet

import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)
common = {"dataset": "amigos", "modalities": "eeg", "target": "valence", "seeds": 0, "data_root": "data", "workers": 1}
print("braindecode", braindecode.__version__)

# %% [markdown]
# embench asks for a new network in each fold, and adds a head to it. So `n_outputs` is the width of the vector in
# between, not the number of classes. Fewer filters than in the paper keep the time below a minute.

# %%


def shallow(channels, samples):
    return ShallowFBCSPNet(
        channels, n_outputs=16, n_times=samples, n_filters_time=8, n_filters_spat=8, filter_time_length=25
    )


network = embench.run(encoder=embench.make_encoder(shallow, window_s=10, epochs=10, lr=2e-3), **common)
linear = embench.run(encoder="handcrafted", fusion="logreg", **common)

# %% [markdown]
# Which is better, on the same subjects? On synthetic recordings, the answer says nothing about either method.

# %%
print(embench.compare(network, linear).sentence)
print(network)

# %%
from matplotlib import pyplot as plt

fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
for k, (name, result) in enumerate({"ShallowFBCSPNet": network, "features,\nlogistic regression": linear}.items()):
    score = result.scores.get_score("valence", "auroc_crossed")
    error = [[score.mean - score.low], [score.high - score.mean]]
    ax.errorbar(score.mean, k, xerr=error, fmt="o", capsize=4, color=("#0072B2", "#D55E00")[k])
    ax.text(score.high + 0.01, k, name, va="center")
ax.axvline(0.5, color="0.4", linestyle="--", linewidth=1)
ax.text(0.5, 1.45, " chance", color="0.4", va="bottom")
ax.set(xlabel="auroc_crossed, 95 % interval", ylim=(1.8, -0.5), xlim=(0.3, 1.05), yticks=[])
ax.set_title("Valence from EEG, synthetic recordings")
