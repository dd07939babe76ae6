# %% [markdown]
# # Compare three methods
#
# Scores of three methods with intervals, and the paired difference of every two: which is better, and are there enough
# subjects to tell? The recordings are synthetic (80 MB).

# %%
from itertools import combinations

import pandas as pd
from matplotlib import pyplot as plt

import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)
common = {"dataset": "amigos", "modalities": "eda", "target": "arousal", "seeds": 0, "data_root": "data", "workers": 1}
names = ("logreg", "naive_bayes", "knn")
runs = {name: embench.run(encoder="handcrafted", fusion=name, **common) for name in names}

# %% [markdown]
# Intervals of two methods may overlap while one is better on nearly every subject. What counts is the paired difference
# over subjects. `embench.compare` gives it with a sentence that may be quoted.

# %%
pairs = [embench.compare(runs[one], runs[other]) for one, other in combinations(names, 2)]
for pair in pairs:
    print(pair.sentence)

# %% [markdown]
# Three comparisons have three chances to be wrong. The command `embench compare RUN RUN RUN` corrects for that (Holm),
# and marks methods that can't be told apart by a common letter.

# %%
scores = {name: run.scores.get_score("arousal", "auroc_crossed") for name, run in runs.items()}
pd.DataFrame({name: {"mean": s.mean, "low": s.low, "high": s.high} for name, s in scores.items()}).T.round(3)

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
spans = [(s.mean, s.low, s.high) for s in scores.values()]
gaps = [(pair.difference.mean, pair.difference.low, pair.difference.high) for pair in pairs]
labels = [f"{one} minus {other}" for one, other in combinations(names, 2)]
for ax, rows, ticks, chance in ((left, spans, names, 0.5), (right, gaps, labels, 0.0)):
    for k, (mean, low, high) in enumerate(rows):
        ax.errorbar(mean, k, xerr=[[mean - low], [high - mean]], fmt="o", color="#0072B2", capsize=4)
    ax.axvline(chance, color="0.4", linestyle="--", linewidth=1)
    ax.set_yticks(range(len(ticks)), ticks)
    ax.set_ylim(len(ticks) - 0.5, -0.5)
left.set(xlabel="stimulus-matched AUROC, 95 % interval", title="Scores; dashed: chance")
right.set(xlabel="difference, 95 % interval", title="Paired differences; dashed: none")
fig.suptitle("Arousal from skin conductance, synthetic recordings")

# %% [markdown]
# The best of the three, next to confound-only models:

# %%
print(max(runs.values(), key=lambda run: run.scores.get_score("arousal", "auroc_crossed").mean))
